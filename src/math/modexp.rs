//! Arithmetic modulo one odd number: the seam behind which exponentiation can be made faster.
//!
//! Everything here is a function of its arguments alone, so a faster implementation gives the same numbers. The present
//! one is num-bigint's Montgomery exponentiation with a window of four bits. Its time depends on the numbers: do not
//! offer it to somebody who can measure it finely.

use std::borrow::Borrow;

use num_bigint::BigUint;
use num_integer::Integer;
use num_traits::One;
use rayon::prelude::*;

use crate::math::wipe::wipe;

/// Bases that share one row of squarings, and one task, in [`Modulus::product_of_powers`].
const TERMS_PER_TASK: usize = 128;

/// An odd modulus above 1. Wiped when dropped, because the squares of secret primes are among them; no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Modulus {
    value: BigUint,
}

impl Modulus {
    /// A modulus, or `None` when the value is even or 1.
    pub fn try_new(value: BigUint) -> Option<Self> {
        (value.is_odd() && !value.is_one()).then_some(Self { value })
    }

    /// The modulus itself.
    pub fn value(&self) -> &BigUint {
        &self.value
    }

    /// `left * right`, reduced.
    pub fn multiply(&self, left: &BigUint, right: &BigUint) -> BigUint {
        (left * right) % &self.value
    }

    /// The inverse, or `None` when `value` is not a unit.
    pub fn invert(&self, value: &BigUint) -> Option<BigUint> {
        (value % &self.value).modinv(&self.value)
    }

    /// `base^exponent`, reduced.
    pub fn pow(&self, base: &BigUint, exponent: &BigUint) -> BigUint {
        base.modpow(exponent, &self.value)
    }

    /// Every base to the same exponent, in order, in parallel.
    pub fn pow_each<B: Borrow<BigUint> + Sync>(&self, bases: &[B], exponent: &BigUint) -> Vec<BigUint> {
        bases.par_iter().map(|base| self.pow(base.borrow(), exponent)).collect()
    }

    /// The product of `base^exponent` over all (base, exponent) terms, in parallel; 1 when there is none.
    ///
    /// Straus's method with one bit at a time: the terms of a task share their squarings, so a term costs about half as
    /// many multiplications as its exponent has bits.
    pub fn product_of_powers(&self, terms: &[(&BigUint, &BigUint)]) -> BigUint {
        let parts: Vec<_> = terms.par_chunks(TERMS_PER_TASK).map(|task| self.straus(task)).collect();
        parts.iter().fold(BigUint::one(), |product, part| self.multiply(&product, part))
    }

    fn straus(&self, terms: &[(&BigUint, &BigUint)]) -> BigUint {
        let bits = terms.iter().map(|(_, exponent)| exponent.bits()).max().unwrap_or(0);
        (0..bits).rev().fold(BigUint::one(), |power, bit| {
            // Squaring the leading 1 is not worth a branch: it is one digit long.
            let square = self.multiply(&power, &power);
            let factors = terms.iter().filter(|(_, exponent)| exponent.bit(bit));
            factors.fold(square, |product, (base, _)| self.multiply(&product, base))
        })
    }
}

impl Drop for Modulus {
    fn drop(&mut self) {
        wipe(&mut self.value);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The schoolbook definition, by repeated multiplication on machine integers.
    fn slow_pow(base: u64, exponent: u64, modulus: u64) -> u64 {
        (0..exponent).fold(1, |power, _| {
            u64::try_from(u128::from(power) * u128::from(base) % u128::from(modulus)).unwrap()
        })
    }

    #[test]
    fn even_numbers_and_one_are_no_moduli() {
        let accepted = |value: u8| Modulus::try_new(value.into()).is_some();
        assert_eq!([0, 1, 2, 3, 4, 255].map(accepted), [false, false, false, true, false, true]);
    }

    proptest! {
        #[test]
        fn powers_are_repeated_products(half in 1..u64::MAX / 2, base: u64, exponent in 0_u64..200) {
            let number = 2 * half + 1;
            let modulus = Modulus::try_new(number.into()).unwrap();
            let expected = BigUint::from(slow_pow(base, exponent, number));
            prop_assert_eq!(modulus.pow(&base.into(), &exponent.into()), expected);
        }

        #[test]
        fn products_of_powers_are_products_of_powers(
            half in 1..u64::MAX / 2,
            terms in prop::collection::vec((any::<u64>(), 0_u64..40), 0..300),
        ) {
            let number = 2 * half + 1;
            let modulus = Modulus::try_new(number.into()).unwrap();
            let expected = terms.iter().fold(1, |product, &(base, exponent)| {
                let power = u128::from(slow_pow(base, exponent, number));
                u64::try_from(u128::from(product) * power % u128::from(number)).unwrap()
            });
            let terms: Vec<_> = terms.iter().map(|&(b, e)| (BigUint::from(b), BigUint::from(e))).collect();
            let terms: Vec<_> = terms.iter().map(|(base, exponent)| (base, exponent)).collect();
            prop_assert_eq!(modulus.product_of_powers(&terms), BigUint::from(expected));
        }

        #[test]
        fn an_inverse_multiplies_to_one_and_exists_for_units_only(half in 1..u64::MAX / 2, value: u64) {
            let number = 2 * half + 1;
            let modulus = Modulus::try_new(number.into()).unwrap();
            match modulus.invert(&value.into()) {
                Some(inverse) => {
                    prop_assert!(modulus.multiply(&inverse, &value.into()).is_one());
                }
                None => prop_assert!(value.gcd(&number) > 1),
            }
        }
    }
}
