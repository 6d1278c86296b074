//! Signed and fractional numbers as residues.
//!
//! A [`Fixed`] is an integer mantissa with a number of fraction bits, its [`Scale`]; its value is `mantissa / 2^scale`,
//! exactly. Sums keep the scale, products add scales, and the scale travels with the number, so that it cannot be lost
//! on the way through a network. Signed integers become residues by python-paillier's rule
//! (`phe.EncodedNumber`): the lower third of the residues is positive, the upper third negative, and the middle third
//! means overflow.

use std::ops::Neg;

use num_bigint::{BigInt, BigUint, Sign};
use num_traits::{One, ToPrimitive, Zero};
use thiserror::Error;

/// Greatest number of fraction bits.
pub const MAX_SCALE: u32 = 1 << 16;

/// Fraction bits of a fixed-point number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scale(pub u32);

impl Scale {
    /// The scale of a product.
    pub fn checked_add(self, other: Self) -> Result<Self, EncodingError> {
        Self(self.0.saturating_add(other.0)).checked()
    }

    fn checked(self) -> Result<Self, EncodingError> {
        let Self(bits) = self;
        if bits <= MAX_SCALE { Ok(self) } else { Err(EncodingError::ScaleTooLarge { bits, max: MAX_SCALE }) }
    }
}

/// A signed fixed-point number: exactly `mantissa / 2^scale`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fixed {
    /// The number in units of its last fraction bit.
    pub mantissa: BigInt,
    /// Fraction bits.
    pub scale: Scale,
}

/// Why a number cannot be encoded, decoded or combined.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum EncodingError {
    /// NaN or an infinity.
    #[error("{value}: only finite numbers can be encoded")]
    NotFinite {
        /// as given
        value: f64,
    },
    /// Too many fraction bits.
    #[error("scale of {bits} bits: must be at most {max}")]
    ScaleTooLarge {
        /// as asked, or the sum of two scales
        bits: u32,
        /// most
        max: u32,
    },
    /// A sum of numbers with different scales.
    #[error("scales of {left} and {right} bits: terms of a sum must have the same")]
    ScaleMismatch {
        /// fraction bits of the left term
        left: u32,
        /// fraction bits of the right term
        right: u32,
    },
    /// A number whose sign the modulus cannot hold, or a residue in the middle third.
    #[error("overflow: number of {bits} bits, must be at most a third of the modulus ({max_bits} bits)")]
    Overflow {
        /// bits of the magnitude, for a residue of the smaller of its two possible magnitudes
        bits: u64,
        /// bits of the greatest magnitude
        max_bits: u64,
    },
    /// Not a residue.
    #[error("number of {bits} bits: must be below the modulus ({modulus_bits} bits)")]
    NotAResidue {
        /// bits of the number
        bits: u64,
        /// bits of the modulus
        modulus_bits: u64,
    },
}

impl Fixed {
    /// The nearest number with the given scale, ties to even; exact whenever the scale suffices, whatever the magnitude.
    ///
    /// # Errors
    /// [`EncodingError::NotFinite`], [`EncodingError::ScaleTooLarge`].
    pub fn from_f64(value: f64, scale: Scale) -> Result<Self, EncodingError> {
        if !value.is_finite() {
            return Err(EncodingError::NotFinite { value });
        }
        let Scale(fraction_bits) = scale.checked()?;
        // IEEE 754 binary64: |value| = digits * 2^exponent.
        let stored = value.to_bits() >> 52 & 0x7ff;
        let fraction = value.to_bits() & ((1 << 52) - 1);
        let digits = BigUint::from(if stored == 0 { fraction } else { fraction | 1 << 52 });
        let exponent = i64::try_from(stored.max(1)).unwrap_or(0) - 1075;
        let magnitude = shift_to_even(&digits, exponent + i64::from(fraction_bits));
        let sign = if value < 0.0 { Sign::Minus } else { Sign::Plus };
        Ok(Self { mantissa: BigInt::from_biguint(sign, magnitude), scale })
    }

    /// The nearest `f64`, ties to even; infinite when the value rounds beyond the greatest finite one.
    pub fn to_f64(&self) -> f64 {
        let magnitude = self.mantissa.magnitude();
        let scale = i64::from(self.scale.0);
        let bits = i64::try_from(magnitude.bits()).unwrap_or(i64::MAX);
        // Weight of the last bit that the result can hold: 53 digits, but none below the least subnormal.
        let last = (bits - 53 - scale).max(-1074);
        let digits = shift_to_even(magnitude, -scale - last).to_u64().unwrap_or(u64::MAX);
        // At most 2^53 times a power of two that the result can hold: exact, or beyond the greatest finite number.
        let value = libm::scalbn(digits as f64, i32::try_from(last).unwrap_or(i32::MAX));
        if self.mantissa.sign() == Sign::Minus { -value } else { value }
    }

    /// The sum, at the common scale.
    pub fn checked_add(&self, other: &Self) -> Result<Self, EncodingError> {
        self.same_scale(other)?;
        Ok(Self { mantissa: &self.mantissa + &other.mantissa, scale: self.scale })
    }

    /// The difference, at the common scale.
    pub fn checked_sub(&self, other: &Self) -> Result<Self, EncodingError> {
        self.same_scale(other)?;
        Ok(Self { mantissa: &self.mantissa - &other.mantissa, scale: self.scale })
    }

    /// The product, exactly, at the sum of the scales.
    pub fn checked_mul(&self, other: &Self) -> Result<Self, EncodingError> {
        let scale = self.scale.checked_add(other.scale)?;
        Ok(Self { mantissa: &self.mantissa * &other.mantissa, scale })
    }

    fn same_scale(&self, other: &Self) -> Result<(), EncodingError> {
        let (Scale(left), Scale(right)) = (self.scale, other.scale);
        if left == right { Ok(()) } else { Err(EncodingError::ScaleMismatch { left, right }) }
    }
}

impl Neg for Fixed {
    type Output = Self;

    fn neg(self) -> Self {
        Self { mantissa: -self.mantissa, scale: self.scale }
    }
}

impl Neg for &Fixed {
    type Output = Fixed;

    fn neg(self) -> Fixed {
        Fixed { mantissa: -&self.mantissa, scale: self.scale }
    }
}

/// The greatest magnitude that [`encode_signed`] takes: N / 3 - 1, as python-paillier's `max_int`.
pub fn max_magnitude(modulus: &BigUint) -> BigUint {
    let third = modulus / 3u8;
    if third.is_zero() { third } else { third - 1u8 }
}

/// The residue of a signed integer: itself, or N - |v| when negative.
///
/// # Errors
/// [`EncodingError::Overflow`] when the magnitude is above [`max_magnitude`].
pub fn encode_signed(value: &BigInt, modulus: &BigUint) -> Result<BigUint, EncodingError> {
    let magnitude = value.magnitude();
    let max = max_magnitude(modulus);
    if *magnitude > max {
        return Err(EncodingError::Overflow { bits: magnitude.bits(), max_bits: max.bits() });
    }
    Ok(if value.sign() == Sign::Minus { modulus - magnitude } else { magnitude.clone() })
}

/// The signed integer of a residue.
///
/// # Errors
/// [`EncodingError::NotAResidue`] when it is not below the modulus, [`EncodingError::Overflow`] when it is in the middle
/// third.
pub fn decode_signed(residue: &BigUint, modulus: &BigUint) -> Result<BigInt, EncodingError> {
    if residue >= modulus {
        return Err(EncodingError::NotAResidue { bits: residue.bits(), modulus_bits: modulus.bits() });
    }
    let max = max_magnitude(modulus);
    let value = centred(residue, modulus);
    if *value.magnitude() > max {
        return Err(EncodingError::Overflow { bits: value.bits(), max_bits: max.bits() });
    }
    Ok(value)
}

/// The integer of least magnitude that is congruent to `value`, the positive one of two; all residues are used, none
/// means overflow. A zero modulus reduces nothing.
pub fn centred(value: &BigUint, modulus: &BigUint) -> BigInt {
    let residue = if modulus.is_zero() { value.clone() } else { value % modulus };
    if &residue << 1 > *modulus && !modulus.is_zero() {
        BigInt::from_biguint(Sign::Minus, modulus - residue)
    } else {
        residue.into()
    }
}

/// `value * 2^shift`, rounded to an integer, ties to even.
fn shift_to_even(value: &BigUint, shift: i64) -> BigUint {
    let places = shift.unsigned_abs();
    if shift >= 0 {
        return value << places;
    }
    // Shifted out completely, and less than half.
    if places > value.bits() {
        return BigUint::zero();
    }
    let kept = value >> places;
    let half = value.bit(places - 1);
    let exactly = value.trailing_zeros() == Some(places - 1);
    if half && (kept.bit(0) || !exactly) { kept + BigUint::one() } else { kept }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "conversions are exact or correctly rounded, so equality is the claim")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fixed(mantissa: i64, scale: u32) -> Fixed {
        Fixed { mantissa: mantissa.into(), scale: Scale(scale) }
    }

    #[test]
    fn known_numbers_have_their_mantissas() {
        let mantissa = |value, scale| Fixed::from_f64(value, Scale(scale)).unwrap().mantissa;
        assert_eq!(mantissa(0.5, 0), 0.into());
        assert_eq!(mantissa(1.5, 0), 2.into());
        assert_eq!(mantissa(-2.5, 0), (-2).into());
        assert_eq!(mantissa(-0.0, 20), 0.into());
        assert_eq!(mantissa(0.1, 10), 102.into());
        assert_eq!(mantissa(f64::MAX, 3), BigInt::from((1_u64 << 53) - 1) << (971 + 3));
        assert_eq!(mantissa(f64::from_bits(1), 1074), 1.into());
        assert_eq!(mantissa(f64::from_bits(1), 1073), 0.into());
        assert_eq!(mantissa(f64::from_bits(3), 1073), 2.into());
    }

    #[test]
    fn infinities_and_nan_are_refused() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(matches!(Fixed::from_f64(value, Scale(1)), Err(EncodingError::NotFinite { .. })));
        }
    }

    #[test]
    fn halfway_cases_of_big_mantissas_go_to_even() {
        let two_53 = 1_i64 << 53;
        assert_eq!(fixed(two_53 + 1, 0).to_f64(), 9_007_199_254_740_992.0);
        assert_eq!(fixed(two_53 + 3, 0).to_f64(), 9_007_199_254_740_996.0);
        let nudged = (BigInt::from(two_53 + 1) << 100u8) + 1;
        assert_eq!(Fixed { mantissa: nudged, scale: Scale(100) }.to_f64(), 9_007_199_254_740_994.0);
    }

    #[test]
    fn the_ends_of_the_range_round_as_ieee_says() {
        let huge = |mantissa| Fixed { mantissa, scale: Scale(0) }.to_f64();
        let top = BigInt::from(1) << 1024u32;
        let half_step = BigInt::from(1) << 970u32;
        assert_eq!(huge(&top - &half_step - 1), f64::MAX);
        assert_eq!(huge(&top - &half_step), f64::INFINITY);
        assert_eq!(huge(-top), f64::NEG_INFINITY);
        assert_eq!(fixed(1, 1075).to_f64(), 0.0);
        assert_eq!(fixed(3, 1075).to_f64(), f64::from_bits(2));
        // Just above half of the least subnormal: rounding to 53 bits first would make it a tie.
        let above = (BigInt::from(1) << 100u32) + 1;
        assert_eq!(Fixed { mantissa: above, scale: Scale(1175) }.to_f64(), f64::from_bits(1));
        assert_eq!(fixed(-3, 1076).to_f64(), -f64::from_bits(1));
        assert_eq!(fixed(i64::MAX, MAX_SCALE).to_f64(), 0.0);
    }

    #[test]
    fn scales_are_kept_apart_and_limited() {
        let mismatch = EncodingError::ScaleMismatch { left: 3, right: 4 };
        assert_eq!(fixed(1, 3).checked_add(&fixed(1, 4)), Err(mismatch.clone()));
        assert_eq!(fixed(1, 3).checked_sub(&fixed(1, 4)), Err(mismatch));
        assert_eq!(fixed(-3, 3).checked_mul(&fixed(5, 4)), Ok(fixed(-15, 7)));
        assert_eq!(-&fixed(3, 3), fixed(-3, 3));
        let too_large = |bits| EncodingError::ScaleTooLarge { bits, max: MAX_SCALE };
        assert_eq!(fixed(1, MAX_SCALE).checked_mul(&fixed(1, 1)), Err(too_large(MAX_SCALE + 1)));
        assert_eq!(Fixed::from_f64(1.0, Scale(u32::MAX)), Err(too_large(u32::MAX)));
    }

    #[test]
    fn the_thirds_of_a_small_modulus_are_where_python_paillier_puts_them() {
        // N = 35: max_int = 35 // 3 - 1 = 10, so 0..=10 and 25..=34 decode.
        let modulus = BigUint::from(35u8);
        for residue in 0_u8..35 {
            let expected = match residue {
                0..=10 => Some(BigInt::from(residue)),
                25.. => Some(BigInt::from(residue) - 35),
                _ => None,
            };
            assert_eq!(decode_signed(&residue.into(), &modulus).ok(), expected, "{residue}");
        }
        let overflow = Err(EncodingError::Overflow { bits: 4, max_bits: 4 });
        assert_eq!(encode_signed(&11.into(), &modulus), overflow);
        assert_eq!(encode_signed(&(-11).into(), &modulus), overflow);
        assert_eq!(encode_signed(&(-10).into(), &modulus), Ok(25u8.into()));
        let outside = EncodingError::NotAResidue { bits: 6, modulus_bits: 6 };
        assert_eq!(decode_signed(&35u8.into(), &modulus), Err(outside));
    }

    #[test]
    fn moduli_too_small_for_a_sign_hold_zero_only() {
        for modulus in [0_u8, 1, 2, 3, 5] {
            let modulus = modulus.into();
            assert_eq!(encode_signed(&0.into(), &modulus), Ok(0u8.into()));
            assert!(encode_signed(&1.into(), &modulus).is_err());
        }
        assert_eq!(centred(&7u8.into(), &0u8.into()), 7.into());
    }

    proptest! {
        #[test]
        fn a_sufficient_scale_loses_nothing(value in prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL) {
            let fixed = Fixed::from_f64(value, Scale(1074)).unwrap();
            prop_assert_eq!(fixed.to_f64().to_bits(), value.to_bits());
        }

        #[test]
        fn machine_integers_convert_as_the_machine_does(mantissa: i128, scale in 0_u32..200) {
            // Division by a power of two is exact here: no result is subnormal.
            let expected = mantissa as f64 / libm::scalbn(1.0, i32::try_from(scale).unwrap());
            let fixed = Fixed { mantissa: mantissa.into(), scale: Scale(scale) };
            prop_assert_eq!(fixed.to_f64(), expected);
        }

        #[test]
        fn encoding_errs_by_half_a_unit_at_most(value in -1e12_f64..1e12, scale in 0_u32..10) {
            // Scaling by a power of two is exact, so the machine's own rounding is the reference.
            let expected = (value * f64::from(1 << scale)).round_ties_even();
            let fixed = Fixed::from_f64(value, Scale(scale)).unwrap();
            prop_assert_eq!(fixed.mantissa.to_f64(), Some(expected));
        }

        #[test]
        fn arithmetic_is_that_of_the_rationals(a: i32, b: i32, s in 0_u32..40, t in 0_u32..40) {
            let (a, b) = (i64::from(a), i64::from(b));
            prop_assert_eq!(fixed(a, s).checked_add(&fixed(b, s)), Ok(fixed(a + b, s)));
            prop_assert_eq!(fixed(a, s).checked_sub(&fixed(b, s)), Ok(fixed(a - b, s)));
            prop_assert_eq!(fixed(a, s).checked_mul(&fixed(b, t)), Ok(fixed(a * b, s + t)));
        }

        #[test]
        fn signed_integers_survive_and_are_congruent(value: i64, modulus in 1_u128 << 70..u128::MAX) {
            let residue = encode_signed(&value.into(), &modulus.into()).unwrap();
            let expected = i128::from(value).rem_euclid(i128::MAX);
            let wrapped = if value < 0 { modulus - u128::from(value.unsigned_abs()) } else { expected.unsigned_abs() };
            prop_assert_eq!(&residue, &BigUint::from(wrapped));
            prop_assert_eq!(decode_signed(&residue, &modulus.into()), Ok(value.into()));
            prop_assert_eq!(centred(&residue, &modulus.into()), value.into());
        }

        #[test]
        fn centred_is_least_and_congruent(value: u64, modulus in 1_u64..) {
            let got = centred(&value.into(), &modulus.into());
            prop_assert_eq!((BigInt::from(value) - &got) % modulus, BigInt::ZERO);
            prop_assert!(&got * 2 <= modulus.into() && &got * 2 > -BigInt::from(modulus));
        }
    }
}
