//! Montgomery multiplication of as many numbers at once as a vector unit has lanes, modulo an odd number or its square.
//!
//! # Digits
//! A number has `n` digits of 52 bits, `R = 2^(52 n)`, and `R` is at least [`SLACK_BITS`] bits longer than the modulus `s`,
//! so that values up to a few `s` need no correction between multiplications. Products are computed row by row into sums
//! that are wider than digits; carries are taken once, at the end.
//!
//! # Modulo a square
//! Modulo `s^2` a number is a pair `x0 + x1 s`. Its square costs three products of half the length and two reductions, 3.5
//! units where the plain method modulo a number of twice the length costs 6, and a product 5 instead of 8 (the idea is in
//! Jost, Ha, Kulesza, Naor: "Encryption performance improvements of the Paillier cryptosystem", IACR ePrint 2015/864;
//! here with Montgomery's quotient): with `x0 y0 + m s = r0 R`, in which `m` is the quotient that the reduction finds anyway,
//! `x y / R = r0 + s (x0 y1 + x1 y0 - m) / R` modulo `s^2`.
//!
//! One number alone is computed across the lanes of a vector unit (`across`), or, where there is none, in 64-bit words
//! (`words`), with the same results.
//!
//! # Time
//! Everything here takes the same steps and touches the same memory whatever the numbers are; what depends on them
//! is named `_vartime`.

use std::{hint::black_box, mem, slice};

use zeroize::Zeroize;

use self::{
    alone::{Alone, ChooseAlone, Step},
    columns::{Factors, Modulus, TILE, Terms, double, reduce},
};
use super::vector::{DIGIT_MASK, Task, Unit};

mod across;
mod alone;
mod columns;
mod constants;
mod table;
mod words;

pub(crate) use self::{
    constants::{Constants, from_digits, to_digits},
    table::Table,
};

/// The digits of a fully reduced number times R: n, or those of both halves of a pair.
pub(crate) type Residue = Box<[u64]>;

/// One number a lane: a low half, or `low + high s`.
pub(crate) struct Number<U: Unit> {
    /// those of the high half after those of the low one
    digits: Vec<U::Digit>,
    /// n
    low: usize,
}

impl<U: Unit> Clone for Number<U> {
    fn clone(&self) -> Self {
        Self { digits: self.digits.clone(), low: self.low }
    }
}

impl<U: Unit> Number<U> {
    /// All digits, the high half's after the low one's.
    pub(crate) fn digits(&self) -> &[U::Digit] {
        &self.digits
    }

    /// The same, to be changed.
    pub(crate) fn digits_mut(&mut self) -> &mut [U::Digit] {
        &mut self.digits
    }

    fn low(&self) -> &[U::Digit] {
        &self.digits[..self.low]
    }

    /// No digits where numbers are no pairs.
    fn high(&self) -> &[U::Digit] {
        &self.digits[self.low..]
    }

    fn low_mut(&mut self) -> &mut [U::Digit] {
        &mut self.digits[..self.low]
    }

    fn high_mut(&mut self) -> &mut [U::Digit] {
        &mut self.digits[self.low..]
    }
}

struct Kernel<'a, 'c, U: Unit> {
    multiplier: &'a mut Multiplier<'c, U>,
    /// the left factor, and the result
    number: &'a mut Number<U>,
    right: Option<&'a Number<U>>,
    step: Step,
}

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
impl<U: Unit> Task for Kernel<'_, '_, U> {
    type Output = ();

    #[inline(always)]
    fn run<V: Unit>(self, _: V) {
        match (self.step, self.right) {
            (Step::Multiply, Some(right)) => self.multiplier.multiply_lanes(self.number, right),
            (Step::MultiplyByLow, Some(right)) => self.multiplier.multiply_lanes_by_low(self.number, right),
            (Step::Multiply | Step::MultiplyByLow, None) => {}
            (Step::Square, _) => self.multiplier.square_lanes(self.number),
            (Step::Reduce, _) => self.multiplier.reduce_lanes(self.number),
        }
    }
}

/// The constants as vectors, and the memory that multiplications need.
pub(crate) struct Multiplier<'c, U: Unit> {
    unit: U,
    constants: &'c Constants,
    modulus: Modulus<U>,
    /// Columns of a number that is reduced, or differences.
    columns: Vec<U::Sum>,
    /// of the low half, and of the high one
    quotients: Vec<U::Digit>,
    /// Where a number is computed before it takes the place of the old one.
    result: Number<U>,
    /// Empty until it is needed: to take and give back memory is some of the time of a product.
    doubled: Vec<U::Digit>,
    /// in place of all that, where there is one lane
    alone: Option<Box<dyn Alone>>,
}

impl<U: Unit> Drop for Multiplier<'_, U> {
    fn drop(&mut self) {
        let digit = self.unit.digit(0);
        let result = &mut self.result.digits;
        for digits in [&mut self.modulus.digits, &mut self.quotients, result, &mut self.doubled] {
            digits.fill(digit);
            black_box(digits);
        }
        self.modulus.inverse.fill(digit);
        black_box(&mut self.modulus.inverse);
        self.columns.fill(self.unit.sum(0));
        black_box(&mut self.columns);
    }
}

#[expect(clippy::inline_always, reason = "a task is compiled as one function with its unit's instructions")]
impl<'c, U: Unit> Multiplier<'c, U> {
    /// For numbers with these constants.
    #[inline(always)]
    pub(crate) fn new(unit: U, constants: &'c Constants) -> Self {
        let n = constants.digits();
        let all = constants.residue_digits();
        let mut modulus = vec![unit.digit(0); n];
        for (place, digit) in modulus.iter_mut().zip(&constants.modulus) {
            *place = unit.digit(*digit);
        }
        let mut inverse = [unit.digit(0); TILE];
        for (place, digit) in inverse.iter_mut().zip(&constants.long_inverse) {
            *place = unit.digit(*digit);
        }
        Self {
            unit,
            constants,
            modulus: Modulus { digits: modulus, inverse },
            columns: vec![unit.sum(0); 2 * n],
            quotients: vec![unit.digit(0); all],
            result: Number { digits: vec![unit.digit(0); all], low: n },
            doubled: Vec::new(),
            alone: (U::LANES == 1).then(|| unit.engine().run(ChooseAlone(constants))),
        }
    }

    /// The unit.
    #[inline(always)]
    pub(crate) fn unit(&self) -> U {
        self.unit
    }

    /// Zero in every lane.
    #[inline(always)]
    pub(crate) fn zero(&self) -> Number<U> {
        let digits = vec![self.unit.digit(0); self.constants.residue_digits()];
        Number { digits, low: self.constants.digits() }
    }

    /// One residue a lane; with fewer residues than lanes the last is repeated.
    #[inline(always)]
    pub(crate) fn load(&self, residues: &[&[u64]]) -> Number<U> {
        let mut number = self.zero();
        self.load_into(&mut number, residues);
        number
    }

    /// The same in place of a number.
    #[inline(always)]
    pub(crate) fn load_into(&self, number: &mut Number<U>, residues: &[&[u64]]) {
        let mut lanes = [0; 8];
        for (at, digit) in number.digits_mut().iter_mut().enumerate() {
            for (lane, value) in lanes[..U::LANES].iter_mut().enumerate() {
                *value = residues[lane.min(residues.len() - 1)][at];
            }
            *digit = self.unit.load(&lanes[..U::LANES]);
        }
        lanes.zeroize();
    }

    /// The residues of the first `count` lanes, fully reduced: below s, or pairs of numbers below s. The number stays reduced.
    #[inline(always)]
    pub(crate) fn store(&mut self, number: &mut Number<U>, count: usize) -> Vec<Residue> {
        let mut residues = vec![vec![0; self.constants.residue_digits()].into_boxed_slice(); count];
        let mut places: Vec<_> = residues.iter_mut().map(|residue| &mut **residue).collect();
        self.store_into(number, &mut places);
        residues
    }

    /// The same into given places.
    #[inline(always)]
    pub(crate) fn store_into(&mut self, number: &mut Number<U>, residues: &mut [&mut [u64]]) {
        let zero = self.unit.sum(0);
        let flag = self.subtract_once(number.low_mut(), zero);
        if self.constants.square {
            // The high half is below 3s + 1.
            self.subtract_once(number.high_mut(), flag);
            self.subtract_once(number.high_mut(), zero);
            self.subtract_once(number.high_mut(), zero);
        }
        self.store_digits(number, residues);
    }

    /// The same for a number modulo s, without a high half, in a ring of pairs.
    #[inline(always)]
    pub(crate) fn store_half(&mut self, number: &mut Number<U>, count: usize) -> Vec<Residue> {
        self.normalise(number);
        let mut residues = vec![vec![0; self.constants.digits()].into_boxed_slice(); count];
        let mut places: Vec<_> = residues.iter_mut().map(|residue| &mut **residue).collect();
        self.store_digits(number, &mut places);
        residues
    }

    /// Fully reduces a low half below 2s.
    #[inline(always)]
    pub(crate) fn normalise(&mut self, number: &mut Number<U>) {
        let zero = self.unit.sum(0);
        self.subtract_once(number.low_mut(), zero);
    }

    #[inline(always)]
    fn store_digits(&self, number: &Number<U>, residues: &mut [&mut [u64]]) {
        let mut lanes = [0; 8];
        for (at, digit) in number.digits().iter().enumerate() {
            self.unit.store(*digit, &mut lanes[..U::LANES]);
            for (residue, value) in residues.iter_mut().zip(lanes) {
                residue[at] = value;
            }
        }
        lanes.zeroize();
    }

    /// A table of these numbers, at most 64.
    #[inline(always)]
    pub(crate) fn table(&self, numbers: &[Number<U>]) -> Table<U> {
        Table::new(self.unit, numbers)
    }

    /// Adds `more`, 0 or 1 a lane, then subtracts s where the sum reaches it; tells where.
    #[inline(always)]
    fn subtract_once(&mut self, digits: &mut [U::Digit], more: U::Sum) -> U::Sum {
        let unit = self.unit;
        let (mut plain, mut less) = (more, more);
        let differences = &mut self.columns;
        for ((digit, difference), complement) in
            digits.iter_mut().zip(&mut *differences).zip(&self.constants.complement)
        {
            plain = unit.add(plain, unit.widen(*digit));
            less = unit.add(unit.add(less, unit.widen(*digit)), unit.sum(*complement));
            *digit = unit.low_digit(plain);
            *difference = less;
            plain = unit.carry(plain);
            less = unit.carry(less);
        }
        let choice = unit.choice(less);
        for (digit, difference) in digits.iter_mut().zip(&*differences) {
            *digit = unit.select(choice, unit.low_digit(*difference), *digit);
        }
        less
    }

    /// `left * right / R`.
    #[inline(always)]
    pub(crate) fn multiply(&mut self, left: &mut Number<U>, right: &Number<U>) {
        self.step(Step::Multiply, left, Some(right));
    }

    /// The same with the low half of the right factor, in four fifths of the time.
    #[inline(always)]
    pub(crate) fn multiply_by_low(&mut self, left: &mut Number<U>, right: &Number<U>) {
        self.step(Step::MultiplyByLow, left, Some(right));
    }

    /// `number^2 / R`, so many times.
    #[inline(always)]
    pub(crate) fn square(&mut self, number: &mut Number<U>, times: u32) {
        if U::LANES == 1 {
            return self.run_alone(Step::Square, times, number, None);
        }
        for _ in 0..times {
            self.step(Step::Square, number, None);
        }
    }

    #[inline(always)]
    fn step(&mut self, step: Step, number: &mut Number<U>, right: Option<&Number<U>>) {
        // Known to the compiler, which leaves the other form out.
        if U::LANES == 1 {
            self.run_alone(step, 1, number, right);
        } else {
            self.unit.vectorize(Kernel { multiplier: self, number, right, step });
        }
    }

    /// `wide / R` for one number a lane, which is below `R s`, from its 2n digits.
    #[inline(always)]
    pub(crate) fn reduce_wide(&mut self, wide: &[&[u64]]) -> Number<U> {
        let unit = self.unit;
        let mut number = self.zero();
        if let Some(alone) = &mut self.alone {
            alone.wide().copy_from_slice(wide[0]);
            self.run_alone(Step::Reduce, 1, &mut number, None);
            return number;
        }
        let mut lanes = [0; 8];
        for (at, column) in self.columns.iter_mut().enumerate() {
            for (lane, value) in lanes[..U::LANES].iter_mut().enumerate() {
                *value = wide[lane.min(wide.len() - 1)][at];
            }
            *column = unit.load_sum(&lanes[..U::LANES]);
        }
        lanes.zeroize();
        self.step(Step::Reduce, &mut number, None);
        number
    }

    /// A step with one number, which is the left operand and takes the result, so many times.
    fn run_alone(&mut self, step: Step, times: u32, number: &mut Number<U>, right: Option<&Number<U>>) {
        let (unit, Some(alone)) = (self.unit, &mut self.alone) else { return };
        if times == 0 {
            return;
        }
        let right = right.map(|right| [right.low(), right.high()]);
        if !matches!(step, Step::Reduce) {
            let halves = [number.low(), number.high()].into_iter().chain(right.into_iter().flatten());
            for (operand, half) in halves.enumerate() {
                for (value, digit) in alone.operand(operand).iter_mut().zip(half) {
                    unit.store(*digit, slice::from_mut(value));
                }
            }
        }
        for time in 0..times {
            if time > 0 {
                alone.again();
            }
            alone.run(step);
        }
        let (low, high) = number.digits.split_at_mut(number.low);
        for (high, half) in [(false, low), (true, high)] {
            for (digit, value) in half.iter_mut().zip(alone.result(high)) {
                *digit = unit.load(slice::from_ref(value));
            }
        }
    }

    #[inline(always)]
    fn multiply_lanes(&mut self, left: &mut Number<U>, right: &Number<U>) {
        let unit = self.unit;
        let low = Terms { products: [(left.low(), right.low())], square: None };
        let mixed = [(left.low(), right.high()), (left.high(), right.low())];
        self.reduce(&low, mixed, |_, _| unit.sum(0));
        self.replace(left);
    }

    #[inline(always)]
    fn multiply_lanes_by_low(&mut self, left: &mut Number<U>, right: &Number<U>) {
        let unit = self.unit;
        let low = Terms { products: [(left.low(), right.low())], square: None };
        self.reduce(&low, [(left.high(), right.low())], |_, _| unit.sum(0));
        self.replace(left);
    }

    #[inline(always)]
    fn square_lanes(&mut self, number: &mut Number<U>) {
        let unit = self.unit;
        let mut doubled = mem::take(&mut self.doubled);
        doubled.resize(number.low, unit.digit(0));
        double(unit, number.low(), &mut doubled);
        let low = Terms { products: [], square: Some((number.low(), &doubled)) };
        self.reduce(&low, [(&doubled, number.high())], |_, _| unit.sum(0));
        self.doubled = doubled;
        self.replace(number);
    }

    #[inline(always)]
    fn reduce_lanes(&mut self, number: &mut Number<U>) {
        let nothing = Terms { products: [], square: None };
        self.reduce(&nothing, [], |columns, at| columns[at]);
        self.replace(number);
    }

    /// Both halves of a result from the terms of the low half and the products of the high one. `start` gives what the low
    /// half's columns have in them before.
    #[inline(always)]
    fn reduce<const L: usize, const H: usize>(
        &mut self,
        low: &Terms<'_, U, L>,
        mixed: [Factors<'_, U>; H],
        start: impl Fn(&[U::Sum], usize) -> U::Sum,
    ) {
        let (unit, constants, n) = (self.unit, self.constants, self.constants.digits());
        let (quotient, other) = self.quotients.split_at_mut(n);
        let (half, high) = self.result.digits.split_at_mut(n);
        reduce(unit, low, |at| start(&self.columns, at), &self.modulus, quotient, half);
        if constants.square {
            // With (s - 1) R + 1: `-m / R` is `(R - 1 - m + 1) / R + s - 1` modulo s.
            let start = |at: usize| match (at.checked_sub(n), at) {
                (Some(at), _) => unit.sum(constants.less_one[at]),
                (None, at) => {
                    unit.subtract(unit.sum(DIGIT_MASK + u64::from(at == 0)), unit.widen(quotient[at]))
                }
            };
            reduce(unit, &Terms { products: mixed, square: None }, start, &self.modulus, other, high);
        }
    }

    /// What was computed takes the number's place.
    #[inline(always)]
    fn replace(&mut self, number: &mut Number<U>) {
        mem::swap(&mut self.result, number);
    }

    /// Adds without reducing: the sum of a few numbers may be multiplied, but not stored.
    #[inline(always)]
    pub(crate) fn add(&self, left: &mut Number<U>, right: &Number<U>) {
        self.add_digits(left.low_mut(), right.low());
        self.add_digits(left.high_mut(), right.high());
    }

    /// The same with high halves alone.
    #[inline(always)]
    pub(crate) fn add_high(&self, left: &mut Number<U>, right: &Number<U>) {
        self.add_digits(left.high_mut(), right.high());
    }

    #[inline(always)]
    fn add_digits(&self, left: &mut [U::Digit], right: &[U::Digit]) {
        let unit = self.unit;
        let mut carry = unit.sum(0);
        for (left, right) in left.iter_mut().zip(right) {
            carry = unit.add(carry, unit.add(unit.widen(*left), unit.widen(*right)));
            *left = unit.low_digit(carry);
            carry = unit.carry(carry);
        }
    }

    /// `left + s - right`, for fully reduced numbers modulo s (no pairs).
    #[inline(always)]
    pub(crate) fn subtract(&self, left: &mut Number<U>, right: &Number<U>) {
        let unit = self.unit;
        // Digit by digit with 2^52 lent from the next one, so that no sum is negative.
        let mut carry = unit.sum(1);
        let parts = left.low_mut().iter_mut().zip(right.low()).zip(&self.modulus.digits);
        for ((left, right), modulus) in parts {
            let lent = unit.subtract(unit.sum(DIGIT_MASK), unit.widen(*right));
            let sum = unit.add(unit.add(unit.widen(*left), unit.widen(*modulus)), lent);
            carry = unit.add(carry, sum);
            *left = unit.low_digit(carry);
            carry = unit.carry(carry);
        }
    }

    /// For pairs that stand for `1 + x s` times R: `x` modulo s, below 3s + 1, as a number without a high half.
    #[inline(always)]
    pub(crate) fn quotient(&mut self, mut number: Number<U>) -> Number<U> {
        let mut one = self.zero();
        if let Some(lowest) = one.digits.first_mut() {
            *lowest = self.unit.digit(1);
        }
        self.multiply(&mut number, &one);
        // The low half is now 1 or 1 + s.
        let zero = self.unit.sum(0);
        let flag = self.subtract_once(number.low_mut(), zero);
        self.subtract_once(number.high_mut(), flag);
        Number { digits: number.high().to_vec(), low: number.low }
    }
}
