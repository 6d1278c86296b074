//! What the numbers of a modulus have in common, and digits of 52 bits from integers and back.

use num_bigint::BigUint;
use num_integer::Integer;
use num_traits::One;
use zeroize::Zeroize;

use super::columns::TILE;
use crate::math::vector::{DIGIT_BITS, DIGIT_MASK};

/// R is at least so many bits longer than the modulus. Eight: sums of a few residues may be multiplied without correction.
const SLACK_BITS: u64 = 8;

/// What is the same for all lanes and units. Wiped when dropped: the modulus may be secret.
pub(crate) struct Constants {
    /// digits of s
    pub(super) modulus: Vec<u64>,
    /// digits of R - s
    pub(super) complement: Vec<u64>,
    /// digits of s - 1
    pub(super) less_one: Vec<u64>,
    /// -1 / s modulo 2^52
    pub(super) inverse: u64,
    /// digits of -1 / s modulo R
    pub(super) long_inverse: Vec<u64>,
    /// whether numbers are pairs modulo s^2
    pub(super) square: bool,
}

impl Drop for Constants {
    fn drop(&mut self) {
        self.modulus.zeroize();
        self.complement.zeroize();
        self.less_one.zeroize();
        self.inverse.zeroize();
        self.long_inverse.zeroize();
    }
}

impl Constants {
    /// For arithmetic modulo `root`, or modulo its square; `None` when it is even or 1.
    pub(crate) fn try_new(root: &BigUint, square: bool) -> Option<Self> {
        if root.is_even() || root.is_one() {
            return None;
        }
        let needed = (root.bits() + SLACK_BITS).div_ceil(DIGIT_BITS.into());
        let n = usize::try_from(needed).ok()?.next_multiple_of(TILE);
        let radix = BigUint::one() << (u64::from(DIGIT_BITS) * n as u64);
        let long_inverse = to_digits(&(&radix - root.modinv(&radix)?), n);
        Some(Self {
            modulus: to_digits(root, n),
            complement: to_digits(&(radix - root), n),
            less_one: to_digits(&(root - 1_u32), n),
            inverse: long_inverse[0],
            long_inverse,
            square,
        })
    }

    /// n
    pub(crate) fn digits(&self) -> usize {
        self.modulus.len()
    }

    /// How many numbers below s have a sum that may be multiplied.
    pub(crate) fn most_added(&self) -> u64 {
        // A quarter of R / s, which is a power of two or more.
        let modulus = self.modulus.iter().rposition(|digit| *digit != 0).map_or(0, |top| {
            DIGIT_BITS as usize * (top + 1)
                - (self.modulus[top].leading_zeros() - (u64::BITS - DIGIT_BITS)) as usize
        });
        1 << (DIGIT_BITS as usize * self.digits() - modulus - 2).min(63)
    }

    /// Digits of a residue: n, or 2n for a pair.
    pub(crate) fn residue_digits(&self) -> usize {
        if self.square { 2 * self.digits() } else { self.digits() }
    }
}

/// The lowest `count` digits of a number.
pub(crate) fn to_digits(value: &BigUint, count: usize) -> Vec<u64> {
    let mut digits = vec![0; count];
    for (at, word) in (0_u64..).step_by(64).zip(value.iter_u64_digits()) {
        let (digit, shift) = (at / u64::from(DIGIT_BITS), at % u64::from(DIGIT_BITS));
        let wide = u128::from(word) << shift;
        // A word of 64 bits reaches into three digits at most.
        for part in 0..3 {
            let index = usize::try_from(digit).unwrap_or(usize::MAX).saturating_add(part as usize);
            if let Some(digit) = digits.get_mut(index) {
                #[expect(clippy::cast_possible_truncation, reason = "masked to a digit")]
                let bits = (wide >> (part * DIGIT_BITS)) as u64 & DIGIT_MASK;
                *digit |= bits;
            }
        }
    }
    digits
}

/// The number with these digits, each below 2^52.
pub(crate) fn from_digits(digits: &[u64]) -> BigUint {
    let bits = digits.len() * DIGIT_BITS as usize;
    let mut words = vec![0_u32; bits.div_ceil(32) + 2];
    for (at, digit) in (0..).step_by(DIGIT_BITS as usize).zip(digits) {
        let (word, shift) = (at / 32, at % 32);
        let wide = u128::from(*digit) << shift;
        for (part, word) in words[word..].iter_mut().take(3).enumerate() {
            #[expect(clippy::cast_possible_truncation, reason = "the parts are of 32 bits")]
            let bits = (wide >> (32 * part)) as u32;
            *word |= bits;
        }
    }
    let value = BigUint::from_slice(&words);
    words.zeroize();
    value
}
