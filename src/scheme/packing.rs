//! Several signed numbers in one plaintext, so that one ciphertext carries and one decryption opens many.
//!
//! Numbers `v_0, v_1, ...` of magnitude below `2^(b-1)` become `sum of v_i 2^(b i)`. Whoever holds ciphertexts packs them
//! by additions alone, from the highest down: `c <- 2^b c + c_i`. Slots need one bit more than the magnitudes, the guard
//! against borrowing from the next.

use num_bigint::{BigInt, BigUint};
use num_traits::{One, Zero};
use serde::Serialize;

use crate::scheme::additive::{AdditiveScheme, SchemeError};

/// How plaintexts are divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Packing {
    /// Bits of a slot: one more than those of the greatest magnitude.
    pub slot_bits: u64,
    /// Numbers in one plaintext.
    pub slots: usize,
}

impl Packing {
    /// As many slots as fit into `plaintext_bits` bits, when magnitudes are below 2^`magnitude_bits`; at least one.
    pub fn new(magnitude_bits: u64, plaintext_bits: u64) -> Self {
        let slot_bits = magnitude_bits + 1;
        // The plaintext space has a sign and, by its encoding, a middle third that means overflow.
        let room = plaintext_bits.saturating_sub(2) / slot_bits;
        Self { slot_bits, slots: usize::try_from(room).unwrap_or(usize::MAX).max(1) }
    }

    /// Plaintexts for so many numbers.
    pub fn plaintexts(self, numbers: usize) -> usize {
        numbers.div_ceil(self.slots)
    }

    /// Ciphertexts of `slots` messages each, in order; the last may hold fewer.
    ///
    /// All packs are computed side by side.
    ///
    /// # Errors
    /// Those of [`AdditiveScheme::linear`].
    pub fn pack<S: AdditiveScheme>(
        self,
        scheme: &S,
        key: &S::PublicKey,
        ciphertexts: &[S::Ciphertext],
    ) -> Result<Vec<S::Ciphertext>, SchemeError> {
        let mut packs: Vec<_> = ciphertexts.chunks(self.slots).collect();
        let mut packed: Vec<S::Ciphertext> = packs
            .iter_mut()
            .filter_map(|pack| {
                let (highest, rest) = pack.split_last()?;
                *pack = rest;
                Some(highest.clone())
            })
            .collect();
        let step = [BigInt::one() << self.slot_bits, BigInt::one()];
        loop {
            let mut terms = Vec::with_capacity(2 * packs.len());
            let mut at = Vec::with_capacity(packs.len());
            for (index, pack) in packs.iter_mut().enumerate() {
                if let Some((next, rest)) = pack.split_last() {
                    terms.extend([packed[index].clone(), next.clone()]);
                    at.push(index);
                    *pack = rest;
                }
            }
            if at.is_empty() {
                return Ok(packed);
            }
            for (index, sum) in at.into_iter().zip(scheme.linear(key, &terms, &[&step])?) {
                packed[index] = sum;
            }
        }
    }

    /// Numbers in the clear, `slots` to a plaintext; the last may hold fewer.
    pub fn join<'n>(self, numbers: &'n [&'n BigInt]) -> impl Iterator<Item = BigInt> + 'n {
        let join = move |pack: &[&BigInt]| {
            pack.iter().rev().fold(BigInt::zero(), |sum, value| (sum << self.slot_bits) + *value)
        };
        numbers.chunks(self.slots).map(join)
    }

    /// Bits of a full plaintext of numbers that are not negative.
    pub fn bits(self) -> u64 {
        self.slot_bits.saturating_mul(self.slots as u64)
    }

    /// The first `count` numbers of an opened plaintext.
    pub fn unpack(self, plaintext: &BigInt, count: usize) -> Vec<BigInt> {
        let base = BigInt::from(BigUint::one() << self.slot_bits);
        let half = BigInt::from(BigUint::one() << (self.slot_bits - 1));
        let mut rest = plaintext.clone();
        let mut slot = || {
            if rest.is_zero() {
                return BigInt::zero();
            }
            let mut value: BigInt = &rest - ((&rest >> self.slot_bits) << self.slot_bits);
            if value >= half {
                value -= &base;
            }
            rest = (&rest - &value) >> self.slot_bits;
            value
        };
        (0..count).map(|_| slot()).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        math::stream::Stream,
        scheme::{paillier::Paillier, twin::Twin},
    };

    #[test]
    fn slots_fill_the_plaintext_and_there_is_always_one() {
        assert_eq!(Packing::new(47, 3072), Packing { slot_bits: 48, slots: 63 });
        assert_eq!(Packing::new(47, 98).slots, 2);
        assert_eq!(Packing::new(47, 97).slots, 1);
        assert_eq!(Packing::new(47, 1), Packing { slot_bits: 48, slots: 1 });
        assert_eq!([0, 1, 63, 64].map(|count| Packing::new(47, 3072).plaintexts(count)), [0, 1, 1, 2]);
    }

    proptest! {
        #[test]
        fn what_is_packed_by_shifts_is_unpacked(
            bits in 1_u64..40,
            raw in prop::collection::vec(any::<i64>(), 0..40),
        ) {
            let values: Vec<BigInt> = raw.iter().map(|value| (value >> (63 - bits)).into()).collect();
            let packing = Packing { slot_bits: bits + 1, slots: values.len().max(1) };
            let sum = packing.join(&values.iter().collect::<Vec<_>>()).next().unwrap_or_default();
            // Magnitudes below 2^bits, and -2^bits too.
            prop_assert_eq!(packing.unpack(&sum, values.len()), values);
        }
    }

    /// Packs under a scheme, decrypts, unpacks.
    fn round_trip<S: AdditiveScheme>(scheme: &S, plaintext_bits: u64) {
        let key = scheme.generate_keys(&Stream::seeded(3)).unwrap();
        let public = scheme.public_key(&key);
        let modulus = scheme.plaintext_modulus(public);
        let packing = Packing::new(20, plaintext_bits);
        for count in [0, 1, packing.slots, packing.slots + 1, 3 * packing.slots - 1] {
            let values: Vec<i64> =
                (0..1 << 30).map(|i: i64| (i * 7919 % (1 << 21)) - (1 << 20)).take(count).collect();
            let residues: Vec<BigUint> = values
                .iter()
                .map(|value| match u64::try_from(*value) {
                    Ok(value) => value.into(),
                    Err(_) => modulus - value.unsigned_abs(),
                })
                .collect();
            let sealed = scheme.encrypt(public, &residues, &Stream::seeded(4)).unwrap();
            let packed = packing.pack(scheme, public, &sealed).unwrap();
            assert_eq!(packed.len(), packing.plaintexts(count));
            let opened = scheme.decrypt(&key, &packed).unwrap();
            let values: Vec<BigInt> = values.into_iter().map(BigInt::from).collect();
            let got: Vec<BigInt> = opened
                .iter()
                .zip(values.chunks(packing.slots))
                .flat_map(|(residue, part)| {
                    packing.unpack(&crate::scheme::encoding::centred(residue, modulus), part.len())
                })
                .collect();
            assert_eq!(got, values);
        }
    }

    #[test]
    fn ciphertexts_are_packed_like_numbers() {
        let scheme = Paillier::insecure_for_tests(256).unwrap();
        round_trip(&scheme, 256);
        round_trip(&Twin::of(&scheme, 256), 256);
    }
}
