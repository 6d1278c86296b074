//! One lane in ordinary integers: the twin that every other unit is tested against.

use std::hint::black_box;

use super::{DIGIT_BITS, DIGIT_MASK, Engine, Task, Unit};

/// One lane, digits in 64-bit and sums in 128-bit integers; and an engine that may do better with a single number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portable(pub(super) Engine);

#[expect(
    clippy::inline_always,
    clippy::cast_possible_truncation,
    reason = "a task is compiled as one function; digits are taken from the low bits of sums on purpose"
)]
impl Unit for Portable {
    type Sum = u128;
    type Choice = u64;

    const LANES: usize = 1;
    const PATIENT: bool = false;
    const LOW_BIAS: u64 = 0;
    const HIGH_BIAS: u64 = 0;

    #[inline(always)]
    fn engine(self) -> Engine {
        self.0
    }

    #[inline(always)]
    fn vectorize<T: Task>(self, task: T) -> T::Output {
        task.run(self)
    }

    #[inline(always)]
    fn digit(self, digit: u64) -> u64 {
        digit
    }

    #[inline(always)]
    fn sum(self, value: u64) -> u128 {
        value.into()
    }

    #[inline(always)]
    fn load(self, lanes: &[u64]) -> u64 {
        lanes[0]
    }

    #[inline(always)]
    fn load_sum(self, lanes: &[u64]) -> u128 {
        lanes[0].into()
    }

    #[inline(always)]
    fn store(self, digit: u64, lanes: &mut [u64]) {
        lanes[0] = digit;
    }

    #[inline(always)]
    fn store_sum(self, sum: u128, lanes: &mut [u64]) {
        lanes[0] = sum as u64;
    }

    #[inline(always)]
    fn gather_vartime(self, table: &[u64], at: &[usize], offset: usize) -> u64 {
        table[at[0] + offset]
    }

    #[inline(always)]
    fn pick(self, entries: &[u64], index: u128) -> u64 {
        let index = index as u64 & (entries.len() as u64 - 1);
        let masked = |(at, entry): (u64, &u64)| {
            let difference = at ^ index;
            // All ones where the difference is zero: then only the subtraction borrows into the top bit.
            let equal = black_box((difference.wrapping_sub(1) & !difference) >> 63);
            entry & 0_u64.wrapping_sub(equal)
        };
        (0..).zip(entries).map(masked).fold(0, |picked, entry| picked | entry)
    }

    #[inline(always)]
    fn multiply_add(self, low: u128, high: u128, left: u64, right: u64) -> (u128, u128) {
        (low.wrapping_add(u128::from(left) * u128::from(right)), high)
    }

    #[inline(always)]
    fn add_short_product(self, sum: u128, left: u128, right: u128) -> u128 {
        let product = i128::from(left as i32) * i128::from(right as i32);
        sum.wrapping_add(product.cast_unsigned())
    }

    #[inline(always)]
    fn low_product(self, sum: u128, factor: u64) -> u64 {
        (sum as u64).wrapping_mul(factor) & DIGIT_MASK
    }

    #[inline(always)]
    fn min(self, left: u128, right: u128) -> u128 {
        left.min(right)
    }

    #[inline(always)]
    fn settle(self, columns: &mut [u128], carry: u64) -> u64 {
        let mut carry = u128::from(carry);
        for column in columns {
            carry += *column;
            *column = carry & u128::from(DIGIT_MASK);
            carry >>= DIGIT_BITS;
        }
        carry as u64
    }

    #[inline(always)]
    fn align(self, _: usize, high: u128, _: u128) -> u128 {
        high
    }

    #[inline(always)]
    fn add(self, left: u128, right: u128) -> u128 {
        left.wrapping_add(right)
    }

    #[inline(always)]
    fn subtract(self, left: u128, right: u128) -> u128 {
        left.wrapping_sub(right)
    }

    #[inline(always)]
    fn carry(self, sum: u128) -> u128 {
        sum >> DIGIT_BITS
    }

    #[inline(always)]
    fn low_digit(self, sum: u128) -> u64 {
        sum as u64 & DIGIT_MASK
    }

    #[inline(always)]
    fn widen(self, digit: u64) -> u128 {
        digit.into()
    }

    #[inline(always)]
    fn choice(self, flag: u128) -> u64 {
        // Opaque: the compiler would make a branch of a flag that it knows to be 0 or 1.
        0_u64.wrapping_sub(black_box(flag as u64))
    }

    #[inline(always)]
    fn select(self, mask: u64, first: u64, second: u64) -> u64 {
        (first & mask) | (second & !mask)
    }
}
