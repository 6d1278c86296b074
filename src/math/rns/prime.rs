//! Arithmetic modulo one prime that fits a machine word.

use num_bigint::BigUint;
use num_traits::ToPrimitive;
use tfhe_ntt::prime::is_prime64;

/// Most bits of a prime.
pub const MAX_BITS: u32 = 61;

/// An odd number above 2 and below 2^61, modulo which numbers are added and multiplied. Powers to a given inverse exponent
/// take it for a prime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Prime {
    value: u64,
    bits: u32,
    /// 2^(2 bits) / value, rounded down (Barrett, CRYPTO 1986)
    ratio: u64,
}

impl Prime {
    /// The arithmetic modulo `value`; `None` where it is even, below 3 or of more than 61 bits.
    pub fn try_new(value: u64) -> Option<Self> {
        let bits = u64::BITS - value.leading_zeros();
        if value < 3 || value.is_multiple_of(2) || bits > MAX_BITS {
            return None;
        }
        let ratio = u64::try_from((1_u128 << (2 * bits)) / u128::from(value)).ok()?;
        Some(Self { value, bits, ratio })
    }

    /// The number itself.
    pub fn value(self) -> u64 {
        self.value
    }

    /// Its bits.
    pub fn bits(self) -> u32 {
        self.bits
    }

    /// `a + b` for residues.
    #[inline]
    pub fn add(self, a: u64, b: u64) -> u64 {
        let sum = a + b;
        sum.min(sum.wrapping_sub(self.value))
    }

    /// `a - b` for residues.
    #[inline]
    pub fn subtract(self, a: u64, b: u64) -> u64 {
        let difference = a.wrapping_sub(b);
        difference.min(difference.wrapping_add(self.value))
    }

    /// `-a` for a residue.
    #[inline]
    pub fn negate(self, a: u64) -> u64 {
        self.subtract(0, a)
    }

    /// `a b` for residues.
    #[inline]
    pub fn multiply(self, a: u64, b: u64) -> u64 {
        self.reduce_product(u128::from(a) * u128::from(b))
    }

    /// A number below 2^(2 bits), reduced.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the quotient is below 2^62; the rest is taken modulo 2^64"
    )]
    pub(super) fn reduce_product(self, wide: u128) -> u64 {
        // The quotient is at most two too small.
        let quotient = ((wide >> (self.bits - 1)) * u128::from(self.ratio)) >> (self.bits + 1);
        let rest = (wide as u64).wrapping_sub((quotient as u64).wrapping_mul(self.value));
        let rest = rest.min(rest.wrapping_sub(self.value));
        rest.min(rest.wrapping_sub(self.value))
    }

    /// Any number, reduced.
    #[inline]
    pub fn reduce(self, number: u64) -> u64 {
        if number < self.value { number } else { number % self.value }
    }

    /// Any signed number, reduced.
    #[inline]
    pub fn reduce_signed(self, number: i64) -> u64 {
        let magnitude = self.reduce(number.unsigned_abs());
        if number < 0 { self.negate(magnitude) } else { magnitude }
    }

    /// Any number of any length, reduced.
    pub fn reduce_big(self, number: &BigUint) -> u64 {
        (number % self.value).to_u64().unwrap_or_default()
    }

    /// The residue of least magnitude, of `-value/2..=value/2`.
    #[inline]
    pub fn centre(self, residue: u64) -> i64 {
        if residue > self.value / 2 { -(self.value - residue).cast_signed() } else { residue.cast_signed() }
    }

    /// `base^exponent` for a residue; time depends on the exponent.
    pub fn power(self, base: u64, exponent: u64) -> u64 {
        let bits = (0..u64::BITS - exponent.leading_zeros()).rev();
        bits.fold(1, |power, bit| {
            let square = self.multiply(power, power);
            if exponent >> bit & 1 == 1 { self.multiply(square, base) } else { square }
        })
    }

    /// `1 / a` for a residue that is not 0, modulo a prime.
    pub fn invert(self, a: u64) -> u64 {
        self.power(a, self.value - 2)
    }
}

/// The prime of exactly so many bits that is 1 modulo `2 degree`, not in `taken`, and nearest to a multiple of `modulus`, an odd number;
/// the greatest of several. `None` when none is near.
pub fn prime_near(bits: u32, degree: usize, modulus: u64, taken: &[u64]) -> Option<u64> {
    /// Distances that are tried: among a thousand numbers of 50 bits some thirty are prime.
    const FARTHEST: i64 = 1000;
    let (order, end) = (2 * degree as u128, 1_u128.checked_shl(bits)?);
    let t = Prime::try_new(modulus)?;
    let step = u128::from(modulus) * order;
    // 1 + order k is the distance modulo t for this k.
    let inverse = t.invert(t.reduce(2 * degree as u64));
    (1..=FARTHEST).flat_map(|distance| [distance, -distance]).find_map(|distance| {
        let k = t.multiply(t.reduce_signed(distance - 1), inverse);
        let least = 1 + order * u128::from(k);
        let mut candidate = least + end.checked_sub(1 + least)? / step * step;
        while candidate > end / 2 {
            let prime = u64::try_from(candidate).ok()?;
            if is_prime64(prime) && !taken.contains(&prime) {
                return Some(prime);
            }
            candidate = candidate.checked_sub(step)?;
        }
        None
    })
}

/// The greatest `count` primes below `2^bits` and above half of that which are 1 modulo `2 degree`, without those in `taken`; `None` when
/// there are not so many. `degree` is a power of two.
pub fn transform_primes(bits: u32, degree: usize, count: usize, taken: &[u64]) -> Option<Vec<u64>> {
    let step = 2 * degree as u64;
    let end = 1_u64.checked_shl(bits)?;
    let candidates =
        std::iter::successors(Some(end.checked_sub(step)? + 1), |candidate| candidate.checked_sub(step));
    let found: Vec<u64> = candidates
        .take_while(|candidate| *candidate > end / 2)
        .filter(|candidate| is_prime64(*candidate) && !taken.contains(candidate))
        .take(count)
        .collect();
    (found.len() == count).then_some(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn modulus() -> impl Strategy<Value = u64> {
        (2_u32..=MAX_BITS).prop_flat_map(|bits| (1_u64 << (bits - 1)..1 << bits).prop_map(|value| value | 1))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn residues_are_added_and_multiplied_as_wide_integers(value in modulus(), a: u64, b: u64) {
            let Some(prime) = Prime::try_new(value) else { return Ok(()) };
            let (a, b) = (a % value, b % value);
            let exact = |wide: u128| u64::try_from(wide % u128::from(value)).unwrap();
            let (wide_a, wide_b) = (u128::from(a), u128::from(b));
            prop_assert_eq!(prime.multiply(a, b), exact(wide_a * wide_b));
            prop_assert_eq!(prime.add(a, b), exact(wide_a + wide_b));
            prop_assert_eq!(prime.subtract(a, b), exact(wide_a + u128::from(value) - wide_b));
            prop_assert_eq!(prime.multiply(value - 1, value - 1), 1);
            prop_assert_eq!(prime.reduce_signed(prime.centre(a)), a);
            prop_assert!(prime.centre(a).unsigned_abs() <= value / 2);
            prop_assert_eq!(prime.reduce_big(&(BigUint::from(a) << 200_u32)),
                prime.multiply(a, prime.power(2 % value, 200)));
        }

        #[test]
        fn an_inverse_multiplies_to_one(a in 1_u64..65_537) {
            let prime = Prime::try_new(65_537).unwrap();
            prop_assert_eq!(prime.multiply(a, prime.invert(a % 65_537)), u64::from(!a.is_multiple_of(65_537)));
        }
    }

    #[test]
    fn even_small_and_long_numbers_are_refused() {
        let refused = [0, 1, 2, 4, 1 << 61, (1 << 61) + 1, u64::MAX];
        assert!(refused.into_iter().all(|value| Prime::try_new(value).is_none()));
        assert!(Prime::try_new((1 << 61) - 1).is_some());
    }

    #[test]
    fn transform_primes_are_distinct_primes_of_the_asked_length() {
        let first = transform_primes(50, 1 << 15, 5, &[]).unwrap();
        let more = transform_primes(50, 1 << 15, 5, &first).unwrap();
        let all: Vec<_> = first.iter().chain(&more).collect();
        assert!(all.is_sorted_by(|a, b| a > b));
        for prime in all {
            assert_eq!((prime % (1 << 16), prime >> 49), (1, 1));
            assert!(is_prime64(*prime));
        }
        assert_eq!(transform_primes(17, 1 << 15, 2, &[]), None);
        assert_eq!(transform_primes(17, 1 << 14, 1, &[]), Some(vec![65_537]));
        assert_eq!(transform_primes(17, 1 << 15, 1, &[]), Some(vec![65_537]));
    }
}
