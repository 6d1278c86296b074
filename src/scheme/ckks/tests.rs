use proptest::prelude::*;

use super::*;

const SCALE: f64 = 1_099_511_627_776.0; // 2^40
const STEPS: [i64; 3] = [1, 5, -3];

struct Party {
    scheme: Ckks,
    secret: SecretKey,
    public: PublicKey,
    relinearisation: SwitchingKey,
    rotations: RotationKeys,
}

fn party(log_degree: u32, primes: usize, special: usize, seed: u64) -> Party {
    let modulus_bits = [vec![50], vec![40; primes - 1]].concat();
    let scheme =
        Ckks::try_new(&Literal { log_degree, modulus_bits, special_bits: vec![50; special] }).unwrap();
    let randomness = Stream::seeded(seed);
    let secret = scheme.generate_secret_key(&randomness.derive("secret"));
    Party {
        public: scheme.generate_public_key(&secret, &randomness.derive("public")),
        relinearisation: scheme.generate_relinearisation_key(&secret, &randomness.derive("relinearisation")),
        rotations: scheme.generate_rotation_keys(&secret, &STEPS, true, &randomness.derive("rotations")),
        secret,
        scheme,
    }
}

fn values(count: usize, seed: u64) -> Vec<Complex64> {
    let mut rng = Stream::seeded(seed).derive("values").rng();
    let mut number = || f64::from(rand::RngCore::next_u32(&mut rng)) / f64::from(u32::MAX) * 2.0 - 1.0;
    (0..count).map(|_| Complex64::new(number(), number())).collect()
}

impl Party {
    fn encrypt(&self, values: &[Complex64], seed: u64) -> Ciphertext {
        self.scheme.encrypt(&self.public, &self.scheme.encode(values, SCALE).unwrap(), &Stream::seeded(seed))
    }

    /// log2 of the greatest error.
    fn error(&self, ciphertext: &Ciphertext, expected: &[Complex64]) -> f64 {
        let found = self.scheme.decrypt(&self.secret, ciphertext);
        assert_eq!(found.len(), expected.len());
        found.iter().zip(expected).map(|(a, b)| (a - b).norm()).fold(0.0, f64::max).log2()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// At most 2^-22 beside the exact circuit, for slots of magnitude below 1.5, scale 2^40 and degrees to 1024.
    #[test]
    fn results_are_near_those_of_complex_arithmetic(log_degree in 4_u32..11, special in 1_usize..4, seed: u64) {
        let party = party(log_degree, 5, special, seed);
        let scheme = &party.scheme;
        let (a, b) = (values(scheme.slots(), seed), values(scheme.slots(), !seed));
        let (left, right) = (party.encrypt(&a, 1), party.encrypt(&b, 2));
        let each = |operation: fn(Complex64, Complex64) -> Complex64| -> Vec<Complex64> {
            a.iter().zip(&b).map(|(a, b)| operation(*a, *b)).collect()
        };
        prop_assert!(party.error(&left, &a) < -22.0);
        prop_assert!(party.error(&scheme.add(&left, &right).unwrap(), &each(|a, b| a + b)) < -22.0);
        prop_assert!(party.error(&scheme.negate(&left), &each(|a, _| -a)) < -22.0);
        let plain = scheme.encode(&b, SCALE).unwrap();
        prop_assert!(party.error(&scheme.add_plain(&left, &plain).unwrap(), &each(|a, b| a + b)) < -22.0);
        let product = each(|a, b| a * b);
        prop_assert!(party.error(&scheme.multiply_plain(&left, &plain), &product) < -22.0);
        let raw = scheme.multiply(&left, &right).unwrap();
        prop_assert!(party.error(&raw, &product) < -22.0);
        let low = scheme.rescale(&scheme.relinearise(&raw, &party.relinearisation)).unwrap();
        prop_assert_eq!((low.parts(), low.level()), (2, 4));
        prop_assert!(party.error(&low, &product) < -22.0);
        for (rotation, steps) in scheme.rotate_many(&low, &STEPS, &party.rotations).unwrap().iter().zip(STEPS) {
            let mut expected = product.clone();
            let by = steps.rem_euclid(i64::try_from(expected.len()).unwrap());
            expected.rotate_left(usize::try_from(by).unwrap());
            prop_assert!(party.error(rotation, &expected) < -22.0);
        }
        let conjugate = scheme.conjugate(&low, &party.rotations).unwrap();
        prop_assert!(party.error(&conjugate, &each(|a, b| (a * b).conj())) < -22.0);
    }

    /// A chain of squares down to the last level, whose scale is tracked exactly.
    #[test]
    fn squares_go_down_to_the_last_level(log_degree in 4_u32..10, seed: u64) {
        let party = party(log_degree, 6, 2, seed);
        let scheme = &party.scheme;
        // In the unit disc, where squares do not magnify errors.
        let mut expected = values(scheme.slots(), seed);
        for value in &mut expected {
            *value *= std::f64::consts::FRAC_1_SQRT_2;
        }
        let mut power = party.encrypt(&expected, 3);
        while power.level() > 1 {
            let square = scheme.multiply(&power, &power).unwrap();
            power = scheme.rescale(&scheme.relinearise(&square, &party.relinearisation)).unwrap();
            for value in &mut expected {
                *value *= *value;
            }
            let error = party.error(&power, &expected);
            prop_assert!(error < -17.0, "level {}: {error}", power.level());
        }
    }
}

#[test]
fn what_cannot_be_computed_is_refused() {
    let party = party(5, 2, 1, 1);
    let scheme = &party.scheme;
    let one = [Complex64::ONE];
    let top = party.encrypt(&one, 1);
    let refused = |error: RlweError| error.to_string();
    let bottom = scheme.rescale(&top).unwrap();
    assert_eq!(refused(scheme.rescale(&bottom).unwrap_err()), "rescaling at level 1 needs level 2");
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
    assert!(matches!(scheme.conjugate(&top, &none), Err(RlweError::Inversion)));
}
