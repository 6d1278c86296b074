//! Integers as slots hold them: in two words of the machine, and in memory of their own only where those do not suffice.

use std::{
    borrow::Cow,
    iter::Sum,
    ops::{Add, Mul},
};

use num_bigint::{BigInt, BigUint};
use num_integer::Integer as _;
use num_traits::ToPrimitive;

use super::{SlotError, ring::fraction_bits};
use crate::{
    backend::Value,
    scheme::encoding::{Fixed, Scale, centred},
};

/// An integer of any size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Integer(Size);

/// What is [`Small`](Self::Small) is never [`Big`](Self::Big), so that equal integers are equal here.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Size {
    Small(i128),
    Big(BigInt),
}

impl Integer {
    pub(super) const ZERO: Self = Self(Size::Small(0));

    /// The integer nearest to `value * scale`, ties to even.
    ///
    /// # Errors
    /// Where the value is not finite, or the scale no power of two of at least 1.
    pub(super) fn nearest(value: f64, scale: f64) -> Result<Self, SlotError> {
        // i128 has all integers below.
        const BEYOND: f64 = (1_u128 << 126) as f64;
        // With the sign.
        const EXPONENT_BITS: u32 = u64::BITS + 1 - f64::MANTISSA_DIGITS;
        // A power of two has no fraction bits but the one that is not stored, and products with it are exact.
        let is_power = scale >= 1.0 && scale.to_bits() << EXPONENT_BITS == 0;
        let scaled = (value * scale).round_ties_even();
        if is_power && scaled.abs() < BEYOND {
            #[expect(clippy::cast_possible_truncation, reason = "an integer below 2^126")]
            return Ok(Self(Size::Small(scaled as i128)));
        }
        Ok(Fixed::from_f64(value, fraction_bits(scale)?)?.mantissa.into())
    }

    /// The residue of least magnitude modulo an odd number below 2^63.
    #[expect(clippy::cast_possible_truncation, reason = "a residue of less magnitude than the modulus")]
    pub(super) fn residue(&self, modulus: i64) -> i64 {
        let residue = match &self.0 {
            Size::Small(integer) => match i64::try_from(*integer) {
                Ok(short) => short.rem_euclid(modulus),
                Err(_) => integer.rem_euclid(i128::from(modulus)) as i64,
            },
            Size::Big(integer) => integer.mod_floor(&modulus.into()).to_i64().unwrap_or_default(),
        };
        if residue > modulus / 2 { residue - modulus } else { residue }
    }

    pub(super) fn to_big(&self) -> Cow<'_, BigInt> {
        match &self.0 {
            Size::Small(integer) => Cow::Owned((*integer).into()),
            Size::Big(integer) => Cow::Borrowed(integer),
        }
    }
}

impl From<i128> for Integer {
    fn from(integer: i128) -> Self {
        Self(Size::Small(integer))
    }
}

impl From<BigInt> for Integer {
    fn from(integer: BigInt) -> Self {
        Self(integer.to_i128().map_or_else(|| Size::Big(integer), Size::Small))
    }
}

impl Add for &Integer {
    type Output = Integer;

    fn add(self, other: Self) -> Integer {
        if let (Size::Small(a), Size::Small(b)) = (&self.0, &other.0)
            && let Some(sum) = a.checked_add(*b)
        {
            return sum.into();
        }
        (&*self.to_big() + &*other.to_big()).into()
    }
}

impl Mul for &Integer {
    type Output = Integer;

    fn mul(self, other: Self) -> Integer {
        if let (Size::Small(a), Size::Small(b)) = (&self.0, &other.0)
            && let Some(product) = a.checked_mul(*b)
        {
            return product.into();
        }
        (&*self.to_big() * &*other.to_big()).into()
    }
}

impl Sum for Integer {
    fn sum<I: Iterator<Item = Self>>(terms: I) -> Self {
        terms.fold(Self::ZERO, |sum, term| &sum + &term)
    }
}

/// A product of plaintext moduli, which integers of slots are taken modulo.
#[derive(Debug, Clone)]
pub(super) struct Modulus {
    value: BigUint,
    half: BigUint,
    /// The modulus and its half where i128 holds twice as much.
    small: Option<[i128; 2]>,
}

impl Modulus {
    pub(super) fn new(value: BigUint) -> Self {
        let half = &value >> 1_u32;
        let small = value.to_i128().filter(|modulus| *modulus <= i128::MAX / 2);
        Self { small: small.map(|modulus| [modulus, modulus / 2]), half, value }
    }

    pub(super) fn value(&self) -> &BigUint {
        &self.value
    }

    /// Bytes of a written residue.
    pub(super) fn width(&self) -> usize {
        usize::try_from(self.value.bits() / 8 + 1).unwrap_or(usize::MAX)
    }

    /// The integer of least magnitude that is congruent to another.
    pub(super) fn centre(&self, integer: Integer) -> Integer {
        match (&integer.0, self.small) {
            (Size::Small(number), Some([_, half])) if number.unsigned_abs() <= half.unsigned_abs() => integer,
            (Size::Small(number), Some([modulus, half])) => {
                let residue = number.rem_euclid(modulus);
                (if residue > half { residue - modulus } else { residue }).into()
            }
            _ => {
                let number = integer.to_big();
                if *number.magnitude() <= self.half {
                    return integer;
                }
                let residue = number.mod_floor(&self.value.clone().into());
                centred(&residue.to_biguint().unwrap_or_default(), &self.value).into()
            }
        }
    }

    /// Writes the residue of an integer of least magnitude.
    pub(super) fn write(&self, integer: &Integer, out: &mut Vec<u8>) {
        let end = out.len() + self.width();
        if let (Size::Small(number), Some([modulus, _])) = (&integer.0, self.small) {
            let residue = if *number < 0 { number + modulus } else { *number };
            out.extend_from_slice(&residue.to_le_bytes()[..self.width()]);
        } else {
            let residue = integer.to_big().mod_floor(&self.value.clone().into());
            out.extend(residue.to_biguint().unwrap_or_default().to_bytes_le());
        }
        out.resize(end, 0);
    }

    /// The integer of least magnitude with a written residue.
    pub(super) fn read(&self, bytes: &[u8]) -> Integer {
        let Some([modulus, half]) = self.small else {
            return centred(&BigUint::from_bytes_le(bytes), &self.value).into();
        };
        let mut written = [0; size_of::<u128>()];
        written[..bytes.len()].copy_from_slice(bytes);
        // What a hostile peer wrote may be beyond the modulus.
        let residue = (u128::from_le_bytes(written) % modulus.unsigned_abs()).cast_signed();
        (if residue > half { residue - modulus } else { residue }).into()
    }
}

/// What a slot of an exact scheme holds: a fixed-point number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// The number in units of its last fraction bit.
    pub(super) mantissa: Integer,
    /// Fraction bits.
    pub(super) scale: Scale,
}

impl Value for Slot {
    fn to_f64(&self) -> f64 {
        // From there on a quotient may be subnormal, and rounded twice.
        const MOST: u32 = 1000;
        match &self.mantissa.0 {
            Size::Small(mantissa) if self.scale.0 <= MOST => {
                libm::ldexp(*mantissa as f64, -i32::try_from(self.scale.0).unwrap_or(0))
            }
            _ => Fixed { mantissa: self.mantissa.to_big().into_owned(), scale: self.scale }.to_f64(),
        }
    }

    fn integer(&self) -> Option<Cow<'_, BigInt>> {
        Some(self.mantissa.to_big())
    }

    fn write_integer(&self, out: &mut Vec<u8>) {
        match &self.mantissa.0 {
            Size::Small(mantissa) => {
                // As few bytes as hold the bits and one for the sign.
                let magnitude = if *mantissa < 0 { !mantissa } else { *mantissa };
                let bits = i128::BITS + 1 - magnitude.leading_zeros();
                out.extend(mantissa.to_le_bytes().iter().take(bits.div_ceil(8) as usize));
            }
            Size::Big(mantissa) => out.extend(mantissa.to_signed_bytes_le()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scheme::{encoding::EncodingError, rlwe::RlweError};

    /// Of all sizes, among them those on either side of 127 bits.
    fn big() -> impl Strategy<Value = BigInt> {
        let shifted = (any::<i64>(), 0_u32..200).prop_map(|(short, places)| BigInt::from(short) << places);
        let edge = (0_u32..140, -2_i32..=2, any::<bool>());
        let edge = edge.prop_map(|(places, more, negative)| {
            let edge: BigInt = (BigInt::from(1) << places) + more;
            if negative { -edge } else { edge }
        });
        prop_oneof![shifted, edge, any::<i128>().prop_map(BigInt::from)]
    }

    fn modulus() -> impl Strategy<Value = BigUint> {
        prop::collection::vec((1_u64 << 20)..(1 << 60), 1..5)
            .prop_map(|factors| factors.into_iter().map(|factor| factor | 1).product())
    }

    proptest! {
        /// Against num-bigint.
        #[test]
        fn arithmetic_is_that_of_big_integers(a in big(), b in big(), modulus in modulus(), short in 1_i64..i64::MAX / 2) {
            let [x, y] = [&a, &b].map(|one| Integer::from(one.clone()));
            prop_assert_eq!((&x + &y).to_big().into_owned(), &a + &b);
            prop_assert_eq!((&x * &y).to_big().into_owned(), &a * &b);
            // Equal integers are equal however they came about.
            prop_assert_eq!(&(&x * &y) + &x, Integer::from(&a * &b + &a));
            let small = Integer::from(i128::from(short));
            prop_assert_eq!(&(&small * &x) + &(&Integer::from(-i128::from(short)) * &x), Integer::ZERO);

            let residue = |integer: &BigInt, modulus: &BigUint| {
                centred(&integer.mod_floor(&modulus.clone().into()).to_biguint().unwrap(), modulus)
            };
            let of = Modulus::new(modulus.clone());
            let expected = residue(&a, &modulus);
            let found = of.centre(x.clone());
            prop_assert_eq!(&*found.to_big(), &expected);
            let odd = short | 1;
            prop_assert_eq!(BigInt::from(x.residue(odd)), residue(&a, &odd.unsigned_abs().into()));

            let mut written = vec![7];
            of.write(&found, &mut written);
            let mut bytes = expected.mod_floor(&modulus.clone().into()).to_biguint().unwrap().to_bytes_le();
            bytes.resize(of.width(), 0);
            prop_assert_eq!(&written[1..], &bytes[..]);
            prop_assert_eq!(of.read(&bytes), found);
            let least = Integer::from(i128::MIN);
            let expected = residue(&least.to_big(), &modulus);
            prop_assert_eq!(of.centre(least), Integer::from(expected));
        }

        /// Against the same number with a big integer.
        #[test]
        fn slots_are_the_numbers_that_they_stand_for(a in big(), scale in prop_oneof![0_u32..80, 1060..1100_u32]) {
            let fixed = Fixed { mantissa: a.clone(), scale: Scale(scale) };
            let slot = Slot { mantissa: a.into(), scale: Scale(scale) };
            prop_assert_eq!(slot.to_f64().to_bits(), Value::to_f64(&fixed).to_bits());
            prop_assert_eq!(slot.integer(), fixed.integer());
            let [mut written, mut expected] = [vec![], vec![]];
            slot.write_integer(&mut written);
            fixed.write_integer(&mut expected);
            prop_assert_eq!(written, expected);
        }

        #[test]
        fn the_nearest_integer_is_that_of_fixed_point_numbers(value: f64, places in -2_i32..3, bits in 0_u32..150) {
            let scale = libm::exp2(f64::from(bits));
            // Some that are halves, or large.
            for value in [value, libm::ldexp(libm::rint(value * 1e-3), -places), libm::ldexp(0.5 + f64::from(places), -i32::try_from(bits).unwrap())] {
                let expected = Fixed::from_f64(value, Scale(bits)).map(|fixed| fixed.mantissa.into());
                prop_assert_eq!(Integer::nearest(value, scale), expected.map_err(SlotError::from));
            }
        }
    }

    #[test]
    fn a_written_residue_beyond_the_modulus_is_reduced() {
        let modulus = Modulus::new(101_u32.into());
        assert_eq!(modulus.read(&[255]), Integer::from(255 - 3 * 101));
        let modulus: BigUint = (BigUint::from(1_u32) << 125_u32) - 9_u32;
        let greatest = BigUint::from(u128::MAX);
        let expected = centred(&greatest, &modulus);
        assert_eq!(Modulus::new(modulus).read(&[255; 16]), Integer::from(expected));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let found = Integer::nearest(value, 4.0);
            assert!(matches!(found, Err(SlotError::Encoding(EncodingError::NotFinite { .. }))));
        }
        for scale in [0.5, 3.0, 1.0 + f64::EPSILON, -2.0, 0.0, f64::NAN, f64::INFINITY] {
            let found = Integer::nearest(1.0, scale);
            assert!(matches!(found, Err(SlotError::Scheme(RlweError::Scale { .. }))), "{scale}: {found:?}");
        }
    }
}
