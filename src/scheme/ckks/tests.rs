use rand::RngCore;

use super::*;
use crate::{
    math::stream::Stream,
    scheme::rlwe::{
        Bound, Noise, Place,
        laws::{Lab, law_of_levels, laws, party},
    },
};

const SCALE: f64 = 1_099_511_627_776.0; // 2^40

impl Lab for Ckks {
    type Slot = Complex64;

    fn build(literal: impl Fn(u32) -> Literal, _choice: usize) -> Self {
        let mut literal = literal(40);
        literal.modulus_bits[0] = 50;
        Self::try_new(&literal).unwrap()
    }

    fn noise(&self) -> Noise {
        Noise::new(self.context(), Place::Together, 1)
    }

    /// In the unit disc.
    fn random(&self, rng: &mut impl RngCore) -> Complex64 {
        let mut number = || f64::from(rng.next_u32()) / f64::from(u32::MAX) * 2.0 - 1.0;
        Complex64::new(number(), number()) * std::f64::consts::FRAC_1_SQRT_2
    }

    fn pack(&self, slots: &[Complex64]) -> Plaintext {
        self.encode(slots, SCALE).unwrap()
    }

    fn unpack(&self, decrypted: &Phase) -> Vec<Complex64> {
        self.decode(decrypted)
    }

    fn sum(&self, a: Complex64, b: Complex64) -> Complex64 {
        a + b
    }

    fn product(&self, a: Complex64, b: Complex64) -> Complex64 {
        a * b
    }

    fn times(&self, a: Complex64, integer: i64) -> Complex64 {
        a * integer as f64
    }

    fn plus(&self, a: Complex64, integer: i64, ciphertext: &Ciphertext<Scale>) -> Complex64 {
        a + integer as f64 / ciphertext.tag.0
    }

    fn inverted(&self, slots: &[Complex64]) -> Vec<Complex64> {
        slots.iter().map(Complex64::conj).collect()
    }

    fn rows() -> usize {
        1
    }

    fn drops_divide() -> bool {
        false
    }

    fn error(
        &self,
        secret: &SecretKey,
        ciphertext: &Ciphertext<Scale>,
        expected: &[Complex64],
    ) -> Result<f64, String> {
        let found = self.decode(&self.decrypt(secret, ciphertext));
        let error = found.iter().zip(expected).map(|(a, b)| (a - b).norm()).fold(0.0, f64::max);
        // What f64 itself loses is part of it where the scale is the square.
        Ok(libm::log2(error * ciphertext.tag.0))
    }

    fn magnitude(&self) -> Bound {
        Bound::of(SCALE)
    }
}

laws!(Ckks);
law_of_levels!(Ckks);

#[test]
fn what_cannot_be_computed_is_refused() {
    let party = party::<Ckks>(5, 2, 1, 0, 1);
    let scheme = &party.scheme;
    let one = [Complex64::ONE];
    let top = party.encrypt(&one, 1);
    let refused = |error: RlweError| error.to_string();
    let bottom = scheme.lower(&top).unwrap();
    assert_eq!(refused(scheme.lower(&bottom).unwrap_err()), "rescaling at level 1 needs level 2");
    assert_eq!(refused(scheme.drop_to(&bottom, 2).unwrap_err()), "dropping primes at level 1 needs level 2");
    assert!(matches!(scheme.add(&top, &bottom), Err(RlweError::Scale { operation: "a sum", .. })));
    let plain = scheme.encode(&one, 2.0 * SCALE).unwrap();
    assert!(matches!(scheme.add_plain(&top, &plain), Err(RlweError::Scale { .. })));
    assert!(matches!(scheme.encode(&one, 1e300), Err(RlweError::Scale { operation: "encoding", .. })));
    assert!(matches!(scheme.encode(&[Complex64::new(f64::NAN, 0.0)], SCALE), Err(RlweError::Scale { .. })));
    assert_eq!(refused(scheme.encode(&[one[0]; 17], SCALE).unwrap_err()), "17 values for 16 slots");
    let raw = scheme.multiply(&top, &top).unwrap();
    assert_eq!(
        refused(scheme.rotate_many(&raw, &[1], &party.rotations).unwrap_err()),
        "a rotation of a ciphertext of 3 parts; relinearise it first"
    );
    let none = scheme.generate_rotation_keys(&party.secret, &[], false, &Stream::seeded(1));
    assert!(matches!(scheme.invert(&top, &none), Err(RlweError::Inversion)));
}
