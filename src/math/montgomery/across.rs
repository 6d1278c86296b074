//! The same multiplication for one number across the lanes of a vector unit: a vector holds neighbouring digits, l of them.
//!
//! A product is schoolbook multiplication by blocks: a vector of l digits times one digit in all lanes. What belongs to the
//! factor's digits r, r + l, r + 2l, … is l digits apart, so it is added up without moving lanes; the l sums, and the high
//! halves, are put together once a column of vectors, moved up by 0 to l lanes.
//!
//! Montgomery's quotient would be found digit by digit, each waiting for the one before. Here it is one product,
//! `m = t (-1 / s) mod R`, of which only the low half is needed, and of `m s` only the high half with the two
//! digits below it: two products without waiting instead of one with.
//!
//! Results are those of the other layouts bit for bit: `m`, and `(t + m s) / R`, are the same numbers.

use std::{hint::black_box, ops::Range};

use zeroize::Zeroize;

use super::{Alone, Constants, Step};
use crate::math::vector::{DIGIT_BITS, DIGIT_MASK, Residues, Task, Unit};

/// The most lanes of a vector.
const MOST: usize = 8;

/// Every digit of a number in all lanes.
type Factor<V> = Vec<<V as Residues>::Digit>;

/// The constants as vectors, and the memory that multiplications need. Wiped when dropped. Rows of digits and of columns
/// fill vectors; what they have beyond a number's digits is zero.
pub(super) struct Across<V: Unit> {
    unit: V,
    /// digits of a number
    n: usize,
    /// vectors of a number
    vectors: usize,
    square: bool,
    /// which lanes of a number's last vector have digits
    within: V::Choice,
    /// (s - 1) R + R, in columns
    correction: Vec<u64>,
    /// s, as a factor
    modulus: Factor<V>,
    /// -1 / s modulo R, as a factor
    inverse: Factor<V>,
    /// low and high half of the left, then of the right operand
    operands: [Vec<u64>; 4],
    /// the same as vectors on the left of a product, and as factors on its right
    left: [Vec<V::Digit>; 2],
    right: [Factor<V>; 2],
    /// the product of the low halves, and the mixed products; and a vector of zeros
    columns: [Vec<u64>; 2],
    /// the products of their reductions, likewise
    high: [Vec<u64>; 2],
    /// t modulo R, then m, of both
    quotient: [Vec<V::Digit>; 2],
    /// what is being carried out
    sums: Vec<V::Sum>,
    /// digits of the results
    results: [Vec<u64>; 2],
}

struct Run<'a, V: Unit> {
    across: &'a mut Across<V>,
    step: Step,
}

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
impl<V: Unit> Task for Run<'_, V> {
    type Output = ();

    #[inline(always)]
    fn run<U: Unit>(self, _: U) {
        match self.step {
            Step::Multiply | Step::MultiplyByLow => self.across.multiply(self.step),
            Step::Square => self.across.square(),
            Step::Reduce => self.across.reduce(Step::Reduce),
        }
    }
}

impl<V: Unit> Drop for Across<V> {
    fn drop(&mut self) {
        let digit = self.unit.digit(0);
        let [right, right_high] = &mut self.right;
        for digits in [&mut self.modulus, &mut self.inverse, right, right_high] {
            digits.fill(digit);
            black_box(digits);
        }
        for digits in self.left.iter_mut().chain(&mut self.quotient) {
            digits.fill(digit);
            black_box(digits);
        }
        self.sums.fill(self.unit.sum(0));
        black_box(&mut self.sums);
        let rows = self.operands.iter_mut().chain(&mut self.columns).chain(&mut self.high);
        rows.chain(&mut self.results).chain([&mut self.correction]).for_each(Zeroize::zeroize);
    }
}

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
impl<V: Unit> Across<V> {
    #[inline(always)]
    pub(super) fn new(unit: V, constants: &Constants) -> Self {
        let n = constants.digits();
        let vectors = n.div_ceil(V::LANES);
        let zero = unit.digit(0);
        let digits = || vec![0; vectors * V::LANES];
        let columns = || vec![0; (2 * vectors + 1) * V::LANES];
        let factors = || vec![zero; vectors * V::LANES];
        let mut correction = columns();
        correction[..n].fill(DIGIT_MASK);
        correction[0] += 1;
        correction[n..2 * n].copy_from_slice(&constants.less_one);
        let mut within = [0; MOST];
        within[..n - (vectors - 1) * V::LANES].fill(1);
        let mut across = Self {
            unit,
            n,
            vectors,
            square: constants.square,
            within: unit.choice(unit.load_sum(&within[..V::LANES])),
            correction,
            modulus: factors(),
            inverse: factors(),
            operands: [0; 4].map(|_| digits()),
            left: [0; 2].map(|_| vec![zero; vectors]),
            right: [0; 2].map(|_| factors()),
            columns: [0; 2].map(|_| columns()),
            high: [0; 2].map(|_| columns()),
            quotient: [0; 2].map(|_| vec![zero; vectors]),
            sums: vec![unit.sum(0); vectors],
            results: [0; 2].map(|_| digits()),
        };
        let mut row = digits();
        for (digits, out) in
            [(&constants.modulus, &mut across.modulus), (&constants.long_inverse, &mut across.inverse)]
        {
            row[..n].copy_from_slice(digits);
            factor(unit, &row, out);
        }
        row.zeroize();
        across
    }

    #[inline(always)]
    fn multiply(&mut self, step: Step) {
        let unit = self.unit;
        let ([left, _], [right, _]) = (&mut self.left, &mut self.right);
        vectors(unit, &self.operands[0], left);
        factor(unit, &self.operands[2], right);
        product(unit, [(left, right)], 0..2 * self.vectors, &mut self.columns[0]);
        self.reduce(step);
    }

    #[inline(always)]
    fn square(&mut self) {
        let unit = self.unit;
        let ([left, _], [right, _]) = (&mut self.left, &mut self.right);
        vectors(unit, &self.operands[0], left);
        factor(unit, &self.operands[0], right);
        square(unit, left, right, &mut self.columns[0]);
        self.reduce(Step::Square);
    }

    /// The mixed products, for factors whose low halves are there already.
    #[inline(always)]
    fn mix(&mut self, step: Step) {
        let (unit, all) = (self.unit, 0..2 * self.vectors);
        let ([left, left_high], [right, right_high]) = (&mut self.left, &mut self.right);
        vectors(unit, &self.operands[1], left_high);
        let columns = &mut self.columns[1];
        match step {
            Step::Multiply => {
                factor(unit, &self.operands[3], right_high);
                product(unit, [(&*left, &*right_high), (&*left_high, &*right)], all, columns);
            }
            Step::MultiplyByLow => product(unit, [(left_high, right)], all, columns),
            Step::Square => {
                product(unit, [(left_high, right)], all, columns);
                for column in columns {
                    *column *= 2;
                }
            }
            Step::Reduce => {}
        }
    }

    /// Reduces the columns. A step that stands between two others which wait for each other does not wait for either.
    #[inline(always)]
    fn reduce(&mut self, step: Step) {
        self.begin(0);
        if !self.square {
            self.find_quotient(0);
            return self.finish(0);
        }
        self.mix(step);
        self.find_quotient(0);
        // As everywhere: - m / R is (R - 1 - m + 1) / R + s - 1 modulo s.
        let unit = self.unit;
        for (column, correction) in self.columns[1].iter_mut().zip(&self.correction) {
            *column += correction;
        }
        for (columns, digit) in self.columns[1].chunks_exact_mut(V::LANES).zip(&self.quotient[0]) {
            unit.store_sum(unit.subtract(unit.load_sum(columns), unit.widen(*digit)), columns);
        }
        self.begin(1);
        self.finish(0);
        self.find_quotient(1);
        self.finish(1);
    }

    /// The columns of m from those of t, of which the lowest become digits.
    #[inline(always)]
    fn begin(&mut self, which: usize) {
        let unit = self.unit;
        let (columns, quotient) = (&mut *self.columns[which], &mut *self.quotient[which]);
        // Lanes beyond n are carried out with the others; of the low product they reach nothing that is used.
        load_sums(unit, columns, &mut self.sums);
        let carry = unit.settle(&mut self.sums, 0);
        for ((sum, columns), digit) in
            self.sums.iter().zip(columns.chunks_exact_mut(V::LANES)).zip(&mut *quotient)
        {
            unit.store_sum(*sum, columns);
            *digit = unit.low_digit(*sum);
        }
        columns[self.vectors * V::LANES] += carry;
        product(unit, [(&*quotient, &self.inverse)], 0..self.vectors, &mut self.high[which]);
    }

    /// m, and the columns of m s.
    #[inline(always)]
    fn find_quotient(&mut self, which: usize) {
        let unit = self.unit;
        let (high, quotient) = (&mut *self.high[which], &mut *self.quotient[which]);
        load_sums(unit, high, &mut self.sums);
        unit.settle(&mut self.sums, 0);
        for (sum, digit) in self.sums.iter().zip(&mut *quotient) {
            *digit = unit.low_digit(*sum);
        }
        if let Some(last) = quotient.last_mut() {
            *last = unit.select(self.within, *last, unit.digit(0));
        }
        // From one below the vector with the second digit below R on: the first of a range is not complete.
        let range = ((self.n - 2) / V::LANES).saturating_sub(1)..2 * self.vectors;
        product(unit, [(&*quotient, &self.modulus)], range, high);
    }

    /// The digits of `(t + m s) / R`.
    #[inline(always)]
    fn finish(&mut self, which: usize) {
        let (unit, n) = (self.unit, self.n);
        let (columns, high) = (&*self.columns[which], &*self.high[which]);
        // The digits below R sum up to a multiple of R, so their highest two tell which.
        let [second, first] = [n - 2, n - 1].map(|digit| u128::from(columns[digit] + high[digit]));
        let below = (first << DIGIT_BITS) + second;
        let unit_of_radix = 1 << (2 * DIGIT_BITS);
        let carry = ((below + unit_of_radix - 1) >> (2 * DIGIT_BITS)) as u64;
        let rows = columns[n..].chunks_exact(V::LANES).zip(high[n..].chunks_exact(V::LANES));
        for (sum, (columns, high)) in self.sums.iter_mut().zip(rows) {
            *sum = unit.add(unit.load_sum(columns), unit.load_sum(high));
        }
        unit.settle(&mut self.sums, carry);
        for (sum, digits) in self.sums.iter().zip(self.results[which].chunks_exact_mut(V::LANES)) {
            unit.store_sum(*sum, digits);
        }
    }
}

impl<V: Unit> Alone for Across<V> {
    fn operand(&mut self, operand: usize) -> &mut [u64] {
        &mut self.operands[operand][..self.n]
    }

    fn wide(&mut self) -> &mut [u64] {
        self.columns[1].fill(0);
        &mut self.columns[0][..2 * self.n]
    }

    fn run(&mut self, step: Step) {
        self.unit.vectorize(Run { across: self, step });
    }

    fn again(&mut self) {
        self.operands[..2].swap_with_slice(&mut self.results);
    }

    fn result(&self, high: bool) -> &[u64] {
        &self.results[usize::from(high)][..self.n]
    }
}

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
#[inline(always)]
fn load_sums<V: Unit>(unit: V, columns: &[u64], out: &mut [V::Sum]) {
    for (out, lanes) in out.iter_mut().zip(columns.chunks_exact(V::LANES)) {
        *out = unit.load_sum(lanes);
    }
}

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
#[inline(always)]
fn vectors<V: Unit>(unit: V, digits: &[u64], out: &mut [V::Digit]) {
    for (out, lanes) in out.iter_mut().zip(digits.chunks_exact(V::LANES)) {
        *out = unit.load(lanes);
    }
}

/// Every digit in all lanes.
#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
#[inline(always)]
fn factor<V: Unit>(unit: V, digits: &[u64], out: &mut [V::Digit]) {
    for (out, digit) in out.iter_mut().zip(digits) {
        *out = unit.digit(*digit);
    }
}

/// The sums of one column of vectors: what is to be added 0 to l digits up.
type Offsets<V> = [<V as Unit>::Sum; MOST + 1];

/// A left factor in vectors, and a right factor.
type Term<'a, V> = (&'a [<V as Residues>::Digit], &'a [<V as Residues>::Digit]);

/// As many products as go into one column, without their biases.
#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
#[inline(always)]
fn start<V: Unit>(unit: V, products: usize) -> Offsets<V> {
    let minus = |bias: u64| 0_u64.wrapping_sub(bias.wrapping_mul(products as u64));
    let mut sums = [unit.sum(minus(V::LOW_BIAS.wrapping_add(V::HIGH_BIAS))); MOST + 1];
    sums[0] = unit.sum(minus(V::LOW_BIAS));
    sums[V::LANES] = unit.sum(minus(V::HIGH_BIAS));
    sums
}

/// Adds a vector times the digits of another, which are those of a factor from `block` on.
#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
#[inline(always)]
fn add_block<V: Unit>(unit: V, sums: &mut Offsets<V>, vector: V::Digit, factor: &[V::Digit], block: usize) {
    let digits = &factor[V::LANES * block..][..V::LANES];
    for (offset, digit) in digits.iter().enumerate() {
        (sums[offset], sums[offset + 1]) = unit.multiply_add(sums[offset], sums[offset + 1], vector, *digit);
    }
}

/// The digits of one column from its sums and those of the column below.
#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
#[inline(always)]
fn put_together<V: Unit>(unit: V, sums: &Offsets<V>, below: &Offsets<V>, out: &mut [u64]) {
    let mut even = sums[0];
    let mut odd = below[V::LANES];
    for offset in (1..V::LANES).step_by(2) {
        odd = unit.add(odd, unit.align(V::LANES - offset, sums[offset], below[offset]));
        if offset + 1 < V::LANES {
            even = unit.add(even, unit.align(V::LANES - offset - 1, sums[offset + 1], below[offset + 1]));
        }
    }
    unit.store_sum(unit.add(even, odd), out);
}

/// The columns of vectors `range` of the sum of the terms' products; what reaches into the first from below it is missing.
#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
#[inline(always)]
fn product<V: Unit, const TERMS: usize>(
    unit: V,
    terms: [Term<'_, V>; TERMS],
    range: Range<usize>,
    out: &mut [u64],
) {
    let count = terms[0].0.len();
    let mut below = start(unit, 0);
    for (column, out) in range.clone().zip(out[V::LANES * range.start..].chunks_exact_mut(V::LANES)) {
        let lefts = (column + 1).saturating_sub(count)..count.min(column + 1);
        let mut sums = start(unit, TERMS * lefts.len());
        for left in lefts {
            for (vectors, digits) in &terms {
                add_block(unit, &mut sums, vectors[left], digits, column - left);
            }
        }
        put_together(unit, &sums, &below, out);
        below = sums;
    }
}

/// All columns of a square: every pair of different vectors once, doubled, and the squares of vectors.
#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
#[inline(always)]
fn square<V: Unit>(unit: V, vectors: &[V::Digit], digits: &[V::Digit], out: &mut [u64]) {
    let count = vectors.len();
    let mut below = start(unit, 0);
    for (column, out) in out.chunks_exact_mut(V::LANES).enumerate() {
        let lefts = (column + 1).saturating_sub(count)..count.min(column.div_ceil(2));
        let mut sums = start(unit, lefts.len());
        for left in lefts {
            add_block(unit, &mut sums, vectors[left], digits, column - left);
        }
        for sum in &mut sums {
            *sum = unit.add(*sum, *sum);
        }
        if column % 2 == 0 && column / 2 < count {
            for (sum, start) in sums.iter_mut().zip(start(unit, 1)) {
                *sum = unit.add(*sum, start);
            }
            add_block(unit, &mut sums, vectors[column / 2], digits, column / 2);
        }
        put_together(unit, &sums, &below, out);
        below = sums;
    }
}
