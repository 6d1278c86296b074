//! The same multiplication for one number in words, for processors without a vector unit.
//!
//! Words hold 58 bits, so that 128-bit sums take whole columns of products without a carry; that is a fifth fewer products
//! than with digits of 52. The results are those of the vectors bit for bit, because R stays `2^(52 n)`: the reduction
//! ends with a step of less than a word.

use zeroize::Zeroize;

use super::{Alone, Constants, Step};
use crate::math::vector::{DIGIT_BITS, Task, Unit, run_portable};

/// Bits of a word. A column adds up at most three products a row: 3 * 2^116 a row leaves room for a thousand rows.
const WORD_BITS: u32 = 58;
const WORD_MASK: u64 = (1 << WORD_BITS) - 1;

/// The constants in words, and the memory that multiplications need. Wiped when dropped.
pub(super) struct Words {
    modulus: Vec<u64>,
    /// `(s - 1) R + 1`
    tail: Vec<u64>,
    /// -1 / s modulo 2^58
    inverse: u64,
    /// 52 n
    radix_bits: usize,
    square: bool,
    first: Vec<u128>,
    second: Vec<u128>,
    quotient: Vec<u64>,
    result: Vec<u64>,
    operands: [Vec<u64>; 4],
    /// The operands and the results in digits.
    given: [Vec<u64>; 4],
    wide: Vec<u64>,
    taken: [Vec<u64>; 2],
}

impl Drop for Words {
    fn drop(&mut self) {
        self.inverse.zeroize();
        for words in [&mut self.modulus, &mut self.tail, &mut self.quotient, &mut self.result] {
            words.zeroize();
        }
        self.first.zeroize();
        self.second.zeroize();
        let digits = self.given.iter_mut().chain(&mut self.taken).chain([&mut self.wide]);
        self.operands.iter_mut().chain(digits).for_each(Zeroize::zeroize);
    }
}

#[expect(clippy::inline_always, reason = "compiled with the task's instructions")]
impl Words {
    pub(super) fn new(constants: &Constants) -> Self {
        let Constants { modulus, less_one, square, .. } = constants;
        let n = modulus.len();
        let radix_bits = n * DIGIT_BITS as usize;
        let count = radix_bits.div_ceil(WORD_BITS as usize);
        let mut operands = [0; 4].map(|_| vec![0; count]);
        convert(modulus, DIGIT_BITS, 0, &mut operands[0], WORD_BITS);
        let modulus = operands[0].clone();
        // Newton's iteration doubles the correct bits, of which an odd number's own lowest three are a start.
        let inverse = (0..5).fold(modulus[0], |inverse, _| {
            inverse.wrapping_mul(2_u64.wrapping_sub(modulus[0].wrapping_mul(inverse)))
        });
        let mut digits = vec![0; less_one.len()];
        digits[0] = 1;
        digits.extend_from_slice(less_one);
        let mut tail = vec![0; 2 * count + 1];
        convert(&digits, DIGIT_BITS, 0, &mut tail, WORD_BITS);
        let sums = || vec![0; 2 * count + 1];
        Self {
            modulus,
            tail,
            inverse: inverse.wrapping_neg() & WORD_MASK,
            radix_bits,
            square: *square,
            first: sums(),
            second: sums(),
            quotient: vec![0; count],
            result: vec![0; 2 * count + 1],
            operands,
            given: [0; 4].map(|_| vec![0; n]),
            wide: vec![0; 2 * n],
            taken: [0; 2].map(|_| vec![0; n]),
        }
    }

    #[inline(always)]
    fn multiply(&mut self) {
        self.first.fill(0);
        self.start_second();
        let [left, left_high, right, right_high] = &self.operands;
        add_product(&mut self.first, left, right);
        if self.square {
            add_product(&mut self.second, left, right_high);
            add_product(&mut self.second, left_high, right);
        }
        self.reduce();
    }

    #[inline(always)]
    fn square(&mut self) {
        self.first.fill(0);
        add_square(&mut self.first, &self.operands[0]);
        if self.square {
            self.start_second();
            let [left, left_high, ..] = &mut self.operands;
            // 59 bits: a column of the mixed products is still far from 128.
            for word in left_high.iter_mut() {
                *word *= 2;
            }
            add_product(&mut self.second, left, left_high);
        }
        self.reduce();
    }

    #[inline(always)]
    fn reduce_wide(&mut self) {
        convert(&self.wide, DIGIT_BITS, 0, &mut self.result, WORD_BITS);
        for (sum, word) in self.first.iter_mut().zip(&self.result) {
            *sum = u128::from(*word);
        }
        self.start_second();
        self.reduce();
    }

    #[inline(always)]
    fn start_second(&mut self) {
        for (sum, word) in self.second.iter_mut().zip(&self.tail) {
            *sum = u128::from(*word);
        }
    }

    #[inline(always)]
    fn reduce(&mut self) {
        reduce(&mut self.first, &self.modulus, self.inverse, self.radix_bits, &mut self.quotient);
        if self.square {
            // R - 1 - m
            let last = self.quotient.len() - 1;
            let partial = self.radix_bits - last * WORD_BITS as usize;
            for (at, (sum, word)) in self.second.iter_mut().zip(&self.quotient).enumerate() {
                let mask = if at < last { WORD_MASK } else { (1 << partial) - 1 };
                *sum += u128::from(!word & mask);
            }
            reduce(&mut self.second, &self.modulus, self.inverse, self.radix_bits, &mut self.quotient);
        }
    }
}

impl Alone for Words {
    fn operand(&mut self, operand: usize) -> &mut [u64] {
        &mut self.given[operand]
    }

    fn wide(&mut self) -> &mut [u64] {
        &mut self.wide
    }

    fn run(&mut self, step: Step) {
        for (words, digits) in self.operands.iter_mut().zip(&self.given) {
            convert(digits, DIGIT_BITS, 0, words, WORD_BITS);
        }
        if let Step::MultiplyByLow = step {
            self.operands[3].fill(0);
        }
        run_portable(Run { words: self, step });
        for (sums, digits) in [&self.first, &self.second].into_iter().zip(&mut self.taken) {
            let mut carry = 0;
            for (word, sum) in self.result.iter_mut().zip(sums) {
                let wide = sum + carry;
                *word = low_word(wide);
                carry = wide >> WORD_BITS;
            }
            convert(&self.result, WORD_BITS, self.radix_bits, digits, DIGIT_BITS);
        }
    }

    fn again(&mut self) {
        self.given[..2].swap_with_slice(&mut self.taken);
    }

    fn result(&self, high: bool) -> &[u64] {
        &self.taken[usize::from(high)]
    }
}

struct Run<'a> {
    words: &'a mut Words,
    step: Step,
}

#[expect(clippy::inline_always, reason = "compiled with the processor's products of words")]
impl Task for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn run<U: Unit>(self, _: U) {
        match self.step {
            Step::Multiply | Step::MultiplyByLow => self.words.multiply(),
            Step::Square => self.words.square(),
            Step::Reduce => self.words.reduce_wide(),
        }
    }
}

/// The words of `to` bits of a number that is given in words of `from` bits, without its lowest `skip` bits.
fn convert(words: &[u64], from: u32, skip: usize, out: &mut [u64], to: u32) {
    let mask = (1 << to) - 1;
    let (skip, shift) = (skip / from as usize, skip % from as usize);
    let mut words = words[skip..].iter();
    let (mut pending, mut bits) = (0_u128, 0_u32);
    if let Some(word) = words.next() {
        pending = u128::from(word >> shift);
        bits = from - u32::try_from(shift).unwrap_or(0);
    }
    for out in out {
        while bits < to {
            let Some(word) = words.next() else { break };
            pending |= u128::from(*word) << bits;
            bits += from;
        }
        *out = low_word(pending) & mask;
        pending >>= to;
        bits = bits.saturating_sub(to);
    }
}

/// The lowest 58 bits.
#[expect(clippy::cast_possible_truncation, reason = "the lowest word is what is asked for")]
fn low_word(wide: u128) -> u64 {
    wide as u64 & WORD_MASK
}

/// `sum + left[i] * right[last - i]` over all i, for lists of equal length.
#[expect(clippy::inline_always, reason = "compiled with the task's instructions")]
#[inline(always)]
fn dot(sum: u128, left: &[u64], right: &[u64]) -> u128 {
    let product = |left: u64, right: u64| u128::from(left) * u128::from(right);
    let (fours, rest) = left.as_chunks::<4>();
    let (last, fours_back) = right.as_rchunks::<4>();
    let mut sum = match (rest, last) {
        ([a], [x, ..]) => sum + product(*a, *x),
        ([a, b], [x, y, ..]) => sum + product(*a, *y) + product(*b, *x),
        ([a, b, c], [x, y, z]) => sum + product(*a, *z) + product(*b, *y) + product(*c, *x),
        _ => sum,
    };
    for (left, right) in fours.iter().zip(fours_back.iter().rev()) {
        sum += product(left[0], right[3]);
        sum += product(left[1], right[2]);
        sum += product(left[2], right[1]);
        sum += product(left[3], right[0]);
    }
    sum
}

/// `sums += left * right`: columns that grow, then columns that shrink.
#[expect(clippy::inline_always, reason = "compiled with the task's instructions")]
#[inline(always)]
fn add_product(sums: &mut [u128], left: &[u64], right: &[u64]) {
    let n = left.len();
    let (low, high) = sums.split_at_mut(n);
    for (column, sum) in low.iter_mut().enumerate() {
        *sum = dot(*sum, &left[..=column], &right[..=column]);
    }
    for (start, sum) in (1..n).zip(high) {
        *sum = dot(*sum, &left[start..], &right[start..]);
    }
}

/// `sums = number^2`, for sums of zero: every pair of different words once, doubled, and the squares of words.
#[expect(clippy::inline_always, reason = "compiled with the task's instructions")]
#[inline(always)]
fn add_square(sums: &mut [u128], number: &[u64]) {
    let n = number.len();
    for (column, sum) in sums.iter_mut().enumerate().take(2 * n - 1) {
        let start = (column + 1).saturating_sub(n);
        let terms = &number[start..=column - start];
        let (left, right) = terms.split_at(terms.len() / 2);
        let (middle, right) = right.split_at(terms.len() % 2);
        let squared = middle.first().map_or(0, |word| u128::from(*word) * u128::from(*word));
        *sum = 2 * dot(0, left, right) + squared;
    }
}

/// Makes the lowest `bits` bits of the sums zero by adding a multiple of the modulus, and leaves that multiple's factor.
#[expect(clippy::inline_always, reason = "compiled with the task's instructions")]
#[inline(always)]
fn reduce(sums: &mut [u128], modulus: &[u64], inverse: u64, bits: usize, quotient: &mut [u64]) {
    let n = modulus.len();
    let mut carry = 0;
    for column in 0..n {
        let sum = dot(sums[column] + carry, &quotient[..column], &modulus[1..=column]);
        let left = bits - WORD_BITS as usize * column;
        let mask = if left >= WORD_BITS as usize { WORD_MASK } else { (1 << left) - 1 };
        quotient[column] = low_word(sum).wrapping_mul(inverse) & mask;
        let sum = sum + u128::from(quotient[column]) * u128::from(modulus[0]);
        // The last word may keep bits beyond R.
        sums[column] = sum & u128::from(WORD_MASK);
        carry = sum >> WORD_BITS;
    }
    sums[n] += carry;
    for (start, sum) in (1..n).zip(&mut sums[n..]) {
        *sum = dot(*sum, &quotient[start..], &modulus[start..]);
    }
}
