//! The same multiplication for one number in 64-bit words: what a single lane computes with.
//!
//! Words of 64 bits need a third fewer products than digits of 52. The results are those of the vectors bit for bit,
//! because R stays `2^(52 n)`: the reduction ends with a step of less than a word.

use zeroize::Zeroize;

use super::super::vector::{DIGIT_BITS, DIGIT_MASK};

/// The constants in words, and the memory that multiplications need. Wiped when dropped.
pub(super) struct Words {
    modulus: Vec<u64>,
    /// `(s - 1) R + 1`
    tail: Vec<u64>,
    /// -1 / s modulo 2^64
    inverse: u64,
    /// 52 n
    radix_bits: usize,
    square: bool,
    first: Vec<u64>,
    second: Vec<u64>,
    quotient: Vec<u64>,
    operands: [Vec<u64>; 4],
}

impl Drop for Words {
    fn drop(&mut self) {
        self.inverse.zeroize();
        for words in
            [&mut self.modulus, &mut self.tail, &mut self.first, &mut self.second, &mut self.quotient]
        {
            words.zeroize();
        }
        self.operands.iter_mut().for_each(Zeroize::zeroize);
    }
}

#[expect(clippy::inline_always, reason = "compiled with the task's instructions")]
impl Words {
    /// From the digits of s and s - 1.
    pub(super) fn new(modulus: &[u64], less_one: &[u64], square: bool) -> Self {
        let radix_bits = modulus.len() * DIGIT_BITS as usize;
        let words = radix_bits.div_ceil(64);
        let mut operands = [0; 4].map(|_| vec![0; words]);
        pack(modulus, &mut operands[0]);
        let modulus = operands[0].clone();
        // Newton's iteration doubles the correct bits, of which an odd number's own lowest three are a start.
        let inverse = (0..5).fold(modulus[0], |inverse, _| {
            inverse.wrapping_mul(2_u64.wrapping_sub(modulus[0].wrapping_mul(inverse)))
        });
        let mut tail = vec![0; 2 * words + 1];
        let mut digits = vec![0; less_one.len()];
        digits[0] = 1;
        digits.extend_from_slice(less_one);
        pack(&digits, &mut tail);
        let sums = || vec![0; 2 * words + 1];
        Self {
            modulus,
            tail,
            inverse: inverse.wrapping_neg(),
            radix_bits,
            square,
            first: sums(),
            second: sums(),
            quotient: vec![0; words],
            operands,
        }
    }

    /// Takes an operand's digits in: low and high halves of the left, then of the right factor.
    pub(super) fn set(&mut self, operand: usize, digits: &[u64]) {
        pack(digits, &mut self.operands[operand]);
    }

    /// The product of the operands, divided by R, for [`take`](Self::take) to fetch.
    #[inline(always)]
    pub(super) fn multiply(&mut self) {
        let [left, left_high, right, right_high] = &self.operands;
        self.first.fill(0);
        add_product(&mut self.first, left, right);
        if self.square {
            self.second.copy_from_slice(&self.tail);
            add_product(&mut self.second, left, right_high);
            add_product(&mut self.second, left_high, right);
        }
        self.reduce();
    }

    /// The square of the left operand likewise.
    #[inline(always)]
    pub(super) fn square(&mut self) {
        let [left, left_high, ..] = &mut self.operands;
        self.first.fill(0);
        add_square(&mut self.first, left);
        if self.square {
            self.second.copy_from_slice(&self.tail);
            double(left_high);
            add_product(&mut self.second, left, left_high);
        }
        self.reduce();
    }

    /// A number of 2n digits divided by R.
    #[inline(always)]
    pub(super) fn reduce_wide(&mut self, digits: &[u64]) {
        pack(digits, &mut self.first);
        self.second.copy_from_slice(&self.tail);
        self.reduce();
    }

    /// The digits of the result: its low, then its high half.
    pub(super) fn take(&self, high: bool, digits: &mut [u64]) {
        let sums = if high { &self.second } else { &self.first };
        unpack(sums, self.radix_bits, digits);
    }

    #[inline(always)]
    fn reduce(&mut self) {
        reduce(&mut self.first, &self.modulus, self.inverse, self.radix_bits, &mut self.quotient);
        if self.square {
            // R - 1 - m
            let mut carry = false;
            let partial = self.radix_bits % 64;
            let last = self.quotient.len() - 1;
            for (at, word) in self.second.iter_mut().enumerate() {
                let mask = if at < last || (at == last && partial == 0) {
                    u64::MAX
                } else if at == last {
                    (1 << partial) - 1
                } else {
                    0
                };
                let complement = self.quotient.get(at).map_or(0, |quotient| !quotient & mask);
                let (sum, first) = word.overflowing_add(complement);
                let (sum, second) = sum.overflowing_add(u64::from(carry));
                (*word, carry) = (sum, first | second);
            }
            reduce(&mut self.second, &self.modulus, self.inverse, self.radix_bits, &mut self.quotient);
        }
    }
}

/// Digits of 52 bits to words; what the words cannot hold must be zero.
fn pack(digits: &[u64], words: &mut [u64]) {
    let (mut pending, mut bits) = (0_u128, 0);
    let mut digits = digits.iter();
    for word in words {
        while bits < 64 {
            let Some(digit) = digits.next() else { break };
            pending |= u128::from(*digit) << bits;
            bits += DIGIT_BITS;
        }
        *word = low_word(pending);
        pending >>= 64;
        bits = bits.saturating_sub(64);
    }
}

/// Digits from the words beyond the first `skip` bits.
fn unpack(words: &[u64], skip: usize, digits: &mut [u64]) {
    let shift = skip % 64;
    let mut words = words[skip / 64..].iter();
    let mut pending = u128::from(words.next().copied().unwrap_or(0)) >> shift;
    let mut bits = 64 - shift;
    for digit in digits {
        if bits < DIGIT_BITS as usize {
            pending |= u128::from(words.next().copied().unwrap_or(0)) << bits;
            bits += 64;
        }
        *digit = low_word(pending) & DIGIT_MASK;
        pending >>= DIGIT_BITS;
        bits -= DIGIT_BITS as usize;
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the lowest word is what is asked for")]
fn low_word(wide: u128) -> u64 {
    wide as u64
}

/// `sums += row * factor`; the carry out of the row.
#[inline(always)]
fn add_row(sums: &mut [u64], row: &[u64], factor: u64) -> u64 {
    // Four products at a time, then their two chains of carries: what compilers turn into additions with carry.
    const UNROLLED: usize = 4;
    let mut over = 0;
    let (sums, sums_rest) = sums.as_chunks_mut::<UNROLLED>();
    let (row, row_rest) = row.as_chunks::<UNROLLED>();
    for (sums, row) in sums.iter_mut().zip(row) {
        let [p0, p1, p2, p3] = row.map(|word| {
            let product = u128::from(word) * u128::from(factor);
            (low_word(product), low_word(product >> 64))
        });
        let (w0, carry) = p0.0.overflowing_add(over);
        let (w1, carry) = p1.0.carrying_add(p0.1, carry);
        let (w2, carry) = p2.0.carrying_add(p1.1, carry);
        let (w3, carry) = p3.0.carrying_add(p2.1, carry);
        over = p3.1 + u64::from(carry);
        let carry;
        (sums[0], carry) = sums[0].overflowing_add(w0);
        let (s1, carry) = sums[1].carrying_add(w1, carry);
        let (s2, carry) = sums[2].carrying_add(w2, carry);
        let (s3, carry) = sums[3].carrying_add(w3, carry);
        (sums[1], sums[2], sums[3]) = (s1, s2, s3);
        over += u64::from(carry);
    }
    for (sum, word) in sums_rest.iter_mut().zip(row_rest) {
        let wide = u128::from(*word) * u128::from(factor) + u128::from(*sum) + u128::from(over);
        *sum = low_word(wide);
        over = low_word(wide >> 64);
    }
    over
}

/// `sums += left * right`.
#[expect(clippy::inline_always, reason = "compiled with the task's instructions")]
#[inline(always)]
fn add_product(sums: &mut [u64], left: &[u64], right: &[u64]) {
    let n = right.len();
    let mut carry = false;
    for (at, factor) in left.iter().enumerate() {
        let over = add_row(&mut sums[at..at + n], right, *factor);
        let (sum, first) = sums[at + n].overflowing_add(over);
        let (sum, second) = sum.overflowing_add(u64::from(carry));
        (sums[at + n], carry) = (sum, first | second);
    }
    let last = &mut sums[2 * n];
    *last = last.wrapping_add(u64::from(carry));
}

/// `sums = number^2`, for sums of zero.
#[expect(clippy::inline_always, reason = "compiled with the task's instructions")]
#[inline(always)]
fn add_square(sums: &mut [u64], number: &[u64]) {
    let n = number.len();
    for (at, factor) in number.iter().enumerate() {
        let start = 2 * at + 1;
        sums[at + n] = add_row(&mut sums[start..at + n], &number[at + 1..], *factor);
    }
    double(sums);
    let mut carry = 0_u64;
    for (pair, word) in sums.chunks_exact_mut(2).zip(number) {
        let square = u128::from(*word) * u128::from(*word);
        let low = u128::from(pair[0]) + u128::from(low_word(square)) + u128::from(carry);
        let high = u128::from(pair[1]) + (square >> 64) + (low >> 64);
        (pair[0], pair[1]) = (low_word(low), low_word(high));
        carry = low_word(high >> 64);
    }
}

#[expect(clippy::inline_always, reason = "compiled with the task's instructions")]
#[inline(always)]
fn double(words: &mut [u64]) {
    let mut carry = 0;
    for word in words {
        let next = *word >> 63;
        *word = *word << 1 | carry;
        carry = next;
    }
}

/// Makes the lowest `bits` bits of the sums zero by adding a multiple of the modulus, and leaves that multiple's factor.
#[expect(clippy::inline_always, reason = "compiled with the task's instructions")]
#[inline(always)]
fn reduce(sums: &mut [u64], modulus: &[u64], inverse: u64, bits: usize, quotient: &mut [u64]) {
    let n = modulus.len();
    let mut carry = false;
    for (at, quotient) in quotient.iter_mut().enumerate() {
        let left = bits - 64 * at;
        let mask = if left >= 64 { u64::MAX } else { (1 << left) - 1 };
        *quotient = sums[at].wrapping_mul(inverse) & mask;
        let over = add_row(&mut sums[at..at + n], modulus, *quotient);
        let (sum, first) = sums[at + n].overflowing_add(over);
        let (sum, second) = sum.overflowing_add(u64::from(carry));
        (sums[at + n], carry) = (sum, first | second);
    }
    let last = &mut sums[2 * n];
    *last = last.wrapping_add(u64::from(carry));
}
