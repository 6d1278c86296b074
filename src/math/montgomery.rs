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

use std::{hint::black_box, slice};

use zeroize::Zeroize;

use self::{
    alone::{Alone, ChooseAlone, Step},
    columns::{WIDE, carry_out, complement, eliminate, eliminate_one, product, square, sweep_rest},
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

/// One number a lane: `low`, or `low + high s`.
pub(crate) struct Number<U: Unit> {
    /// n digits
    low: Vec<U::Digit>,
    /// n digits, or none where numbers are no pairs
    high: Vec<U::Digit>,
}

impl<U: Unit> Clone for Number<U> {
    fn clone(&self) -> Self {
        Self { low: self.low.clone(), high: self.high.clone() }
    }
}

impl<U: Unit> Number<U> {
    /// All digits, `high` after `low`.
    pub(crate) fn digits(&self) -> impl Iterator<Item = &U::Digit> {
        self.low.iter().chain(&self.high)
    }

    /// The same, to be changed.
    pub(crate) fn digits_mut(&mut self) -> impl Iterator<Item = &mut U::Digit> {
        self.low.iter_mut().chain(&mut self.high)
    }
}

struct Kernel<'a, 'c, U: Unit> {
    multiplier: &'a mut Multiplier<'c, U>,
    /// the left factors, and the results
    numbers: &'a mut [Number<U>],
    /// as many
    right: &'a [Number<U>],
    step: Step,
}

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
impl<U: Unit> Task for Kernel<'_, '_, U> {
    type Output = ();

    #[inline(always)]
    fn run<V: Unit>(self, _: V) {
        let multiplier = self.multiplier;
        match (self.step, self.numbers, self.right) {
            (Step::Multiply, [one, two], [by_one, by_two]) => {
                multiplier.multiply_two([one, two], [by_one, by_two]);
            }
            (Step::Multiply, [one], [by]) => multiplier.multiply_lanes(one, by),
            (Step::Square, [one, two], _) => multiplier.square_two([one, two]),
            (Step::Square, [one], _) => multiplier.square_lanes(one),
            (Step::Reduce, [one], _) => multiplier.reduce(one),
            _ => {}
        }
    }
}

/// The constants as vectors, and the memory that multiplications need.
pub(crate) struct Multiplier<'c, U: Unit> {
    unit: U,
    constants: &'c Constants,
    modulus: Vec<U::Digit>,
    inverse: U::Digit,
    /// What the unit's biases sum up to in every column of a product of n by n digits.
    biases: Vec<u64>,
    /// Columns of the product of the low halves, and of the mixed products, or of another number's.
    first: Vec<U::Sum>,
    second: Vec<U::Sum>,
    doubled: Vec<U::Digit>,
    picked: Vec<U::Digit>,
    /// in place of all that, where there is one lane
    alone: Option<Box<dyn Alone>>,
}

impl<U: Unit> Drop for Multiplier<'_, U> {
    fn drop(&mut self) {
        let (digit, sum) = (self.unit.digit(0), self.unit.sum(0));
        for digits in [&mut self.modulus, &mut self.doubled, &mut self.picked] {
            digits.fill(digit);
            black_box(digits);
        }
        for sums in [&mut self.first, &mut self.second] {
            sums.fill(sum);
            black_box(sums);
        }
    }
}

#[expect(clippy::inline_always, reason = "a task is compiled as one function with its unit's instructions")]
impl<'c, U: Unit> Multiplier<'c, U> {
    /// For numbers with these constants.
    #[inline(always)]
    pub(crate) fn new(unit: U, constants: &'c Constants) -> Self {
        let n = constants.digits();
        // Products whose low half falls into a column.
        let lows = |column: usize| (column + 1).min((2 * n - 1).saturating_sub(column)) as u64;
        let biases = (0..2 * n)
            .map(|column| {
                let highs = if column == 0 { 0 } else { lows(column - 1) };
                let low = U::LOW_BIAS.wrapping_mul(lows(column));
                low.wrapping_add(U::HIGH_BIAS.wrapping_mul(highs))
            })
            .collect();
        let columns = || vec![unit.sum(0); 2 * n + 1];
        Self {
            unit,
            constants,
            modulus: constants.modulus.iter().map(|digit| unit.digit(*digit)).collect(),
            inverse: unit.digit(constants.inverse),
            biases,
            first: columns(),
            second: columns(),
            doubled: vec![unit.digit(0); if constants.square { n } else { 0 }],
            picked: vec![unit.digit(0); constants.residue_digits()],
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
        let half = vec![self.unit.digit(0); self.constants.digits()];
        let high = if self.constants.square { half.clone() } else { Vec::new() };
        Number { low: half, high }
    }

    /// One residue a lane; with fewer residues than lanes the last is repeated.
    #[inline(always)]
    pub(crate) fn load(&self, residues: &[&[u64]]) -> Number<U> {
        let mut number = self.zero();
        let mut lanes = [0; 8];
        for (at, digit) in number.digits_mut().enumerate() {
            for (lane, value) in lanes[..U::LANES].iter_mut().enumerate() {
                *value = residues[lane.min(residues.len() - 1)][at];
            }
            *digit = self.unit.load(&lanes[..U::LANES]);
        }
        lanes.zeroize();
        number
    }

    /// The residues of the first `count` lanes, fully reduced: below s, or pairs of numbers below s.
    #[inline(always)]
    pub(crate) fn store(&mut self, number: &Number<U>, count: usize) -> Vec<Residue> {
        let mut number = number.clone();
        let zero = self.unit.sum(0);
        let flag = self.subtract_once(&mut number.low, zero);
        if self.constants.square {
            // The high half is below 3s + 1.
            self.subtract_once(&mut number.high, flag);
            self.subtract_once(&mut number.high, zero);
            self.subtract_once(&mut number.high, zero);
        }
        let mut residues = vec![vec![0; self.constants.residue_digits()].into_boxed_slice(); count];
        self.store_digits(&number, &mut residues);
        residues
    }

    /// The same for a number modulo s, without a high half, in a ring of pairs.
    #[inline(always)]
    pub(crate) fn store_half(&mut self, number: &Number<U>, count: usize) -> Vec<Residue> {
        let mut number = number.clone();
        self.normalise(&mut number);
        let mut residues = vec![vec![0; self.constants.digits()].into_boxed_slice(); count];
        self.store_digits(&number, &mut residues);
        residues
    }

    /// Fully reduces a low half below 2s.
    #[inline(always)]
    pub(crate) fn normalise(&mut self, number: &mut Number<U>) {
        let zero = self.unit.sum(0);
        self.subtract_once(&mut number.low, zero);
    }

    #[inline(always)]
    fn store_digits(&self, number: &Number<U>, residues: &mut [Residue]) {
        let mut lanes = [0; 8];
        for (at, digit) in number.digits().enumerate() {
            self.unit.store(*digit, &mut lanes[..U::LANES]);
            for (residue, value) in residues.iter_mut().zip(lanes) {
                residue[at] = value;
            }
        }
        lanes.zeroize();
    }

    /// A table of these numbers, at most 64.
    #[inline(always)]
    pub(crate) fn table(&self, numbers: &[&Number<U>]) -> Table<U> {
        let digits = numbers.iter().flat_map(|number| number.digits()).copied().collect();
        Table::new(self.unit, digits, self.constants.residue_digits())
    }

    /// Changes a number into an entry of a table, reading all of the table.
    #[inline(always)]
    pub(crate) fn pick(&mut self, table: &Table<U>, index: u64, number: &mut Number<U>) {
        table.pick(index, &mut self.picked);
        for (digit, picked) in number.digits_mut().zip(&self.picked) {
            *digit = *picked;
        }
    }

    /// Adds `more`, 0 or 1 a lane, then subtracts s where the sum reaches it; tells where.
    #[inline(always)]
    fn subtract_once(&mut self, digits: &mut [U::Digit], more: U::Sum) -> U::Sum {
        let unit = self.unit;
        let (mut plain, mut less) = (more, more);
        let differences = &mut self.first;
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
        self.multiply_each(slice::from_mut(left), slice::from_ref(right));
    }

    /// `left * right / R`, number by number.
    #[inline(always)]
    pub(crate) fn multiply_each(&mut self, left: &mut [Number<U>], right: &[Number<U>]) {
        let at_once = self.constants.at_once(U::LANES);
        for (left, right) in left.chunks_mut(at_once).zip(right.chunks(at_once)) {
            self.step(Step::Multiply, left, right);
        }
    }

    /// `number^2 / R`, so many times.
    #[inline(always)]
    pub(crate) fn square(&mut self, number: &mut Number<U>, times: u32) {
        self.square_each(slice::from_mut(number), times);
    }

    /// `number^2 / R`, so many times, of every number.
    #[inline(always)]
    pub(crate) fn square_each(&mut self, numbers: &mut [Number<U>], times: u32) {
        let at_once = self.constants.at_once(U::LANES);
        for numbers in numbers.chunks_mut(at_once) {
            if let (Some(_), [number]) = (&self.alone, &mut *numbers) {
                self.run_alone(Step::Square, times, number, None);
                continue;
            }
            for _ in 0..times {
                self.step(Step::Square, numbers, &[]);
            }
        }
    }

    #[inline(always)]
    fn step(&mut self, step: Step, numbers: &mut [Number<U>], right: &[Number<U>]) {
        match (&self.alone, &mut *numbers) {
            (Some(_), [number]) => self.run_alone(step, 1, number, right.first()),
            _ => self.unit.vectorize(Kernel { multiplier: self, numbers, right, step }),
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
        self.start_first(1);
        let mut lanes = [0; 8];
        for (at, column) in self.first.iter_mut().take(2 * self.constants.digits()).enumerate() {
            for (lane, value) in lanes[..U::LANES].iter_mut().enumerate() {
                *value = wide[lane.min(wide.len() - 1)][at];
            }
            *column = unit.add(*column, unit.load_sum(&lanes[..U::LANES]));
        }
        lanes.zeroize();
        if self.constants.square {
            self.start_second(1);
        }
        self.step(Step::Reduce, slice::from_mut(&mut number), &[]);
        number
    }

    /// A step with one number, which is the left operand and takes the result, so many times.
    fn run_alone(&mut self, step: Step, times: u32, number: &mut Number<U>, right: Option<&Number<U>>) {
        let (unit, Some(alone)) = (self.unit, &mut self.alone) else { return };
        if times == 0 {
            return;
        }
        let right = right.map(|right| [&right.low, &right.high]);
        if !matches!(step, Step::Reduce) {
            let halves = [&number.low, &number.high].into_iter().chain(right.into_iter().flatten());
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
        for (high, half) in [(false, &mut number.low), (true, &mut number.high)] {
            for (digit, value) in half.iter_mut().zip(alone.result(high)) {
                *digit = unit.load(slice::from_ref(value));
            }
        }
    }

    #[inline(always)]
    fn multiply_lanes(&mut self, left: &mut Number<U>, right: &Number<U>) {
        let unit = self.unit;
        self.start_first(2);
        product(unit, [(&mut self.first, &left.low, &right.low)]);
        if self.constants.square {
            self.start_second(3);
            product(unit, [(&mut self.second, &left.low, &right.high)]);
            product(unit, [(&mut self.second, &left.high, &right.low)]);
        }
        self.reduce(left);
    }

    /// Two products modulo s, each without a high half.
    #[inline(always)]
    fn multiply_two(&mut self, left: [&mut Number<U>; 2], right: [&Number<U>; 2]) {
        self.start_two(2);
        let (first, second) = (&mut *self.first, &mut *self.second);
        product(self.unit, [(first, &left[0].low, &right[0].low), (second, &left[1].low, &right[1].low)]);
        self.reduce_two(left);
    }

    /// Two squares likewise.
    #[inline(always)]
    fn square_two(&mut self, numbers: [&mut Number<U>; 2]) {
        self.start_two(1);
        square(self.unit, [(&mut self.first, &numbers[0].low), (&mut self.second, &numbers[1].low)]);
        self.reduce_two(numbers);
    }

    #[inline(always)]
    fn square_lanes(&mut self, number: &mut Number<U>) {
        let unit = self.unit;
        // The columns are doubled on the way, and their start with them.
        self.start_first(1);
        square(unit, [(&mut self.first, &number.low)]);
        if self.constants.square {
            let mut carry = unit.sum(0);
            for (doubled, digit) in self.doubled.iter_mut().zip(&number.high) {
                let digit = unit.widen(*digit);
                carry = unit.add(unit.add(digit, digit), carry);
                *doubled = unit.low_digit(carry);
                carry = unit.carry(carry);
            }
            self.start_second(2);
            product(unit, [(&mut self.second, &number.low, &self.doubled)]);
        }
        self.reduce(number);
    }

    /// Adds without reducing: the sum of a few numbers may be multiplied, but not stored.
    #[inline(always)]
    pub(crate) fn add(&self, left: &mut Number<U>, right: &Number<U>) {
        let unit = self.unit;
        let halves = [(&mut left.low, &right.low), (&mut left.high, &right.high)];
        for (left, right) in halves {
            let mut carry = unit.sum(0);
            for (left, right) in left.iter_mut().zip(right) {
                carry = unit.add(carry, unit.add(unit.widen(*left), unit.widen(*right)));
                *left = unit.low_digit(carry);
                carry = unit.carry(carry);
            }
        }
    }

    /// `left + s - right`, for fully reduced numbers modulo s (no pairs).
    #[inline(always)]
    pub(crate) fn subtract(&self, left: &mut Number<U>, right: &Number<U>) {
        let unit = self.unit;
        // Digit by digit with 2^52 lent from the next one, so that no sum is negative.
        let mut carry = unit.sum(1);
        let parts = left.low.iter_mut().zip(&right.low).zip(&self.modulus);
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
    pub(crate) fn quotient(&mut self, number: &Number<U>) -> Number<U> {
        let mut number = number.clone();
        let mut one = self.zero();
        if let Some(lowest) = one.low.first_mut() {
            *lowest = self.unit.digit(1);
        }
        self.multiply(&mut number, &one);
        // The low half is now 1 or 1 + s.
        let zero = self.unit.sum(0);
        let flag = self.subtract_once(&mut number.low, zero);
        self.subtract_once(&mut number.high, flag);
        Number { low: number.high, high: Vec::new() }
    }

    /// Prepares columns for so many products of n by n digits, the reduction's included.
    #[inline(always)]
    fn start(unit: U, columns: &mut [U::Sum], biases: &[u64], products: u64) {
        for (column, bias) in columns.iter_mut().zip(biases) {
            *column = unit.sum(0_u64.wrapping_sub(bias.wrapping_mul(products)));
        }
        if let Some(last) = columns.last_mut() {
            *last = unit.sum(0);
        }
    }

    #[inline(always)]
    fn start_first(&mut self, products: u64) {
        Self::start(self.unit, &mut self.first, &self.biases, products);
    }

    #[inline(always)]
    fn start_two(&mut self, products: u64) {
        self.start_first(products);
        Self::start(self.unit, &mut self.second, &self.biases, products);
    }

    /// The same for the mixed columns, with `(s - 1) R + 1` in them: `-m / R` is `(R - 1 - m + 1) / R + s - 1` modulo s.
    #[inline(always)]
    fn start_second(&mut self, products: u64) {
        let n = self.constants.digits();
        Self::start(self.unit, &mut self.second, &self.biases, products);
        for (column, digit) in self.second[n..].iter_mut().zip(&self.constants.less_one) {
            *column = self.unit.add(*column, self.unit.sum(*digit));
        }
        self.second[0] = self.unit.add(self.second[0], self.unit.sum(1));
    }

    /// Montgomery's reduction of the columns, of both products together.
    #[inline(always)]
    fn reduce(&mut self, out: &mut Number<U>) {
        let n = self.modulus.len();
        if !self.constants.square {
            for at in self.reduce_first()..n {
                eliminate_one(self.unit, &mut self.first[at..], &self.modulus, self.inverse);
            }
            return carry_out(self.unit, [&self.first[n..]], &mut [&mut out.low]);
        }
        self.reduce_both(true);
        carry_out(self.unit, [&self.first[n..], &self.second[n..]], &mut [&mut out.low, &mut out.high]);
    }

    /// Montgomery's reduction of two numbers' columns.
    #[inline(always)]
    fn reduce_two(&mut self, [one, two]: [&mut Number<U>; 2]) {
        let n = self.modulus.len();
        self.reduce_both(false);
        carry_out(self.unit, [&self.first[n..], &self.second[n..]], &mut [&mut one.low, &mut two.low]);
    }

    /// The rows of the low product that come in fours; tells where it stopped.
    #[inline(always)]
    fn reduce_first(&mut self) -> usize {
        let (unit, modulus) = (self.unit, &*self.modulus);
        let mut at = 0;
        while at + WIDE <= modulus.len() {
            let first = &mut self.first[at..];
            let quotient = eliminate(unit, first, modulus, self.inverse);
            sweep_rest(unit, first, &quotient, modulus);
            at += WIDE;
        }
        at
    }

    /// The rows of both. A quotient is a long chain of dependent steps, so behind each the sweep of the other is put, which
    /// does not wait for it. The second of a pair has the first's quotient in it (`mixed`).
    #[inline(always)]
    fn reduce_both(&mut self, mixed: bool) {
        let (unit, modulus) = (self.unit, &*self.modulus);
        let (first, second) = (&mut self.first, &mut self.second);
        let mut last: Option<[U::Digit; WIDE]> = None;
        let mut at = 0;
        while at + WIDE <= modulus.len() {
            let quotient = eliminate(unit, &mut first[at..], modulus, self.inverse);
            if let Some(last) = &last {
                sweep_rest(unit, &mut second[at - WIDE..], last, modulus);
            }
            if mixed {
                complement(unit, &mut second[at..], &quotient);
            }
            last = Some(eliminate(unit, &mut second[at..], modulus, self.inverse));
            sweep_rest(unit, &mut first[at..], &quotient, modulus);
            at += WIDE;
        }
        if let Some(last) = &last {
            sweep_rest(unit, &mut second[at - WIDE..], last, modulus);
        }
        for at in at..modulus.len() {
            let quotient = eliminate_one(unit, &mut first[at..], modulus, self.inverse);
            if mixed {
                complement(unit, &mut second[at..], &[quotient]);
            }
            eliminate_one(unit, &mut second[at..], modulus, self.inverse);
        }
    }
}
