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

use std::hint::black_box;

use num_bigint::BigUint;
use num_integer::Integer;
use num_traits::One;
use zeroize::Zeroize;

use self::{across::Across, words::Words};
use super::vector::{DIGIT_BITS, DIGIT_MASK, Task, Unit, run_portable};

mod across;
mod words;

/// R is at least so many bits longer than the modulus. Eight: sums of a few residues may be multiplied without correction.
const SLACK_BITS: u64 = 8;
/// Least number of digits: a sweep covers four rows.
const LEAST_DIGITS: usize = 5;
/// Entries of the longest table that can be read whole: windows of six bits.
const LONGEST_TABLE: usize = 64;
/// Rows in one sweep.
const WIDE: usize = 4;

/// What is the same for all lanes and units. Wiped when dropped: the modulus may be secret.
pub(crate) struct Constants {
    /// digits of s
    modulus: Vec<u64>,
    /// digits of R - s
    complement: Vec<u64>,
    /// digits of s - 1
    less_one: Vec<u64>,
    /// -1 / s modulo 2^52
    inverse: u64,
    /// digits of -1 / s modulo R
    long_inverse: Vec<u64>,
    /// whether numbers are pairs modulo s^2
    square: bool,
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
        let n = usize::try_from(needed).unwrap_or(usize::MAX).max(LEAST_DIGITS);
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

/// A step of arithmetic that is compiled once a unit: it is long, and needed in many places.
#[derive(Clone, Copy)]
enum Step {
    /// The product of the operands, divided by R.
    Multiply,
    /// The square of the left operand likewise.
    Square,
    /// A number of 2n digits divided by R.
    Reduce,
}

/// The arithmetic of one number, which is given and taken in digits.
trait Alone {
    /// Where an operand's digits go: low and high halves of the left, then of the right factor.
    fn operand(&mut self, operand: usize) -> &mut [u64];
    /// Where the 2n digits of a number go that is only divided by R.
    fn wide(&mut self) -> &mut [u64];
    /// Computes what [`result`](Self::result) then has.
    fn run(&mut self, step: Step);
    /// Makes the result the left operand.
    fn again(&mut self);
    /// The digits of the result: of its low or of its high half.
    fn result(&self, high: bool) -> &[u64];
}

/// Chooses between the ways to compute with one number.
struct ChooseAlone<'c>(&'c Constants);

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
impl Task for ChooseAlone<'_> {
    type Output = Box<dyn Alone>;

    #[inline(always)]
    fn run<U: Unit>(self, unit: U) -> Self::Output {
        if U::LANES == 1 { Box::new(Words::new(self.0)) } else { Box::new(Across::new(unit, self.0)) }
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
            (Step::Multiply | Step::Square, _) => self.multiplier.square_lanes(self.number),
            (Step::Reduce, _) => self.multiplier.reduce(self.number),
        }
    }
}

/// Numbers to choose from, one after the other in memory. Wiped when dropped.
pub(crate) struct Table<U: Unit> {
    unit: U,
    /// entry, digit
    digits: Vec<U::Digit>,
    /// digits of an entry
    stride: usize,
}

impl<U: Unit> Drop for Table<U> {
    fn drop(&mut self) {
        self.digits.fill(self.unit.digit(0));
        black_box(&self.digits);
    }
}

/// A lookup, which is vectors of the processor's own making where there is one lane.
struct Pick<'a, U: Unit> {
    table: &'a Table<U>,
    index: u64,
    /// as many digits as an entry has
    picked: &'a mut [U::Digit],
}

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
impl<U: Unit> Task for Pick<'_, U> {
    type Output = ();

    #[inline(always)]
    fn run<V: Unit>(self, _: V) {
        // So many digits stay in registers while the table goes by.
        const AT_ONCE: usize = 4;
        let (unit, stride) = (self.table.unit, self.table.stride);
        let choice = |number: u64| {
            let difference = number ^ self.index;
            // Opaque: the compiler would make a branch of a flag that it knows to be 0 or 1.
            unit.choice(unit.sum(black_box((difference.wrapping_sub(1) & !difference) >> 63)))
        };
        let mut choices = [choice(0); LONGEST_TABLE];
        let choices = &mut choices[..self.table.digits.len() / stride];
        for (number, entry) in (0..).zip(&mut *choices) {
            *entry = choice(number);
        }
        let entries = || choices.iter().zip(self.table.digits.chunks_exact(stride));
        let (chunks, rest) = self.picked[..stride].as_chunks_mut::<AT_ONCE>();
        for (start, chunk) in (0..).step_by(AT_ONCE).zip(&mut *chunks) {
            let mut digits = *chunk;
            for (choice, entry) in entries() {
                for (digit, candidate) in digits.iter_mut().zip(&entry[start..start + AT_ONCE]) {
                    *digit = unit.select(*choice, *candidate, *digit);
                }
            }
            *chunk = digits;
        }
        for (start, digit) in (AT_ONCE * chunks.len()..).zip(rest) {
            for (choice, entry) in entries() {
                *digit = unit.select(*choice, entry[start], *digit);
            }
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
    /// Columns of the product of the low halves, and of the mixed products.
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
            second: if constants.square { columns() } else { Vec::new() },
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
    pub(crate) fn table(&self, numbers: &[Number<U>]) -> Table<U> {
        let digits = numbers.iter().flat_map(Number::digits).copied().collect();
        Table { unit: self.unit, digits, stride: self.constants.residue_digits() }
    }

    /// Changes a number into an entry of a table, reading all of the table.
    #[inline(always)]
    pub(crate) fn pick(&mut self, table: &Table<U>, index: u64, number: &mut Number<U>) {
        let pick = Pick { table, index, picked: &mut self.picked };
        if U::LANES == 1 {
            run_portable(pick);
        } else {
            pick.run(self.unit);
        }
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
        if U::LANES == 1 {
            return self.run_alone(Step::Multiply, 1, left, Some(right));
        }
        self.unit.vectorize(Kernel {
            multiplier: self,
            number: left,
            right: Some(right),
            step: Step::Multiply,
        });
    }

    /// `number^2 / R`, so many times.
    #[inline(always)]
    pub(crate) fn square(&mut self, number: &mut Number<U>, times: u32) {
        if U::LANES == 1 {
            return self.run_alone(Step::Square, times, number, None);
        }
        for _ in 0..times {
            self.unit.vectorize(Kernel { multiplier: self, number, right: None, step: Step::Square });
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
        unit.vectorize(Kernel { multiplier: self, number: &mut number, right: None, step: Step::Reduce });
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
                    unit.store(*digit, std::slice::from_mut(value));
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
                *digit = unit.load(std::slice::from_ref(value));
            }
        }
    }

    #[inline(always)]
    fn multiply_lanes(&mut self, left: &mut Number<U>, right: &Number<U>) {
        let unit = self.unit;
        self.start_first(2);
        product(unit, &mut self.first, &left.low, &right.low);
        if self.constants.square {
            self.start_second(3);
            product(unit, &mut self.second, &left.low, &right.high);
            product(unit, &mut self.second, &left.high, &right.low);
        }
        self.reduce(left);
    }

    #[inline(always)]
    fn square_lanes(&mut self, number: &mut Number<U>) {
        let unit = self.unit;
        // The columns are doubled on the way, and their start with them.
        self.start_first(1);
        square(unit, &mut self.first, &number.low);
        if self.constants.square {
            let mut carry = unit.sum(0);
            for (doubled, digit) in self.doubled.iter_mut().zip(&number.high) {
                let digit = unit.widen(*digit);
                carry = unit.add(unit.add(digit, digit), carry);
                *doubled = unit.low_digit(carry);
                carry = unit.carry(carry);
            }
            self.start_second(2);
            product(unit, &mut self.second, &number.low, &self.doubled);
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

    /// Prepares the columns for so many products of n by n digits, the reduction's included.
    #[inline(always)]
    fn start_first(&mut self, products: u64) {
        for (column, bias) in self.first.iter_mut().zip(&self.biases) {
            *column = self.unit.sum(0_u64.wrapping_sub(bias.wrapping_mul(products)));
        }
        if let Some(last) = self.first.last_mut() {
            *last = self.unit.sum(0);
        }
    }

    /// The same for the mixed columns, with `(s - 1) R + 1` in them: `-m / R` is `(R - 1 - m + 1) / R + s - 1` modulo s.
    #[inline(always)]
    fn start_second(&mut self, products: u64) {
        let n = self.constants.digits();
        for (column, bias) in self.second.iter_mut().zip(&self.biases) {
            *column = self.unit.sum(0_u64.wrapping_sub(bias.wrapping_mul(products)));
        }
        for (column, digit) in self.second[n..].iter_mut().zip(&self.constants.less_one) {
            *column = self.unit.add(*column, self.unit.sum(*digit));
        }
        self.second[0] = self.unit.add(self.second[0], self.unit.sum(1));
        if let Some(last) = self.second.last_mut() {
            *last = self.unit.sum(0);
        }
    }

    /// Montgomery's reduction of the columns, of both products together.
    #[inline(always)]
    fn reduce(&mut self, out: &mut Number<U>) {
        let n = self.modulus.len();
        let at = if self.constants.square { self.reduce_both() } else { self.reduce_first() };
        for at in at..n {
            self.reduce_row(at);
        }
        carry_out(self.unit, &self.first[n..], &mut out.low);
        if self.constants.square {
            carry_out(self.unit, &self.second[n..], &mut out.high);
        }
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

    /// The rows of both products that come in fours. A quotient is a long chain of dependent steps, so behind each the
    /// sweep of the other product is put, which does not wait for it.
    #[inline(always)]
    fn reduce_both(&mut self) -> usize {
        let (unit, modulus) = (self.unit, &*self.modulus);
        let (first, second) = (&mut self.first, &mut self.second);
        let mut last: Option<[U::Digit; WIDE]> = None;
        let mut at = 0;
        while at + WIDE <= modulus.len() {
            let quotient = eliminate(unit, &mut first[at..], modulus, self.inverse);
            if let Some(last) = &last {
                sweep_rest(unit, &mut second[at - WIDE..], last, modulus);
            }
            complement(unit, &mut second[at..], &quotient);
            last = Some(eliminate(unit, &mut second[at..], modulus, self.inverse));
            sweep_rest(unit, &mut first[at..], &quotient, modulus);
            at += WIDE;
        }
        if let Some(last) = &last {
            sweep_rest(unit, &mut second[at - WIDE..], last, modulus);
        }
        at
    }

    #[inline(always)]
    fn reduce_row(&mut self, at: usize) {
        let (unit, modulus) = (self.unit, &*self.modulus);
        let quotient = eliminate_one(unit, &mut self.first[at..], modulus, self.inverse);
        if self.constants.square {
            let second = &mut self.second[at..];
            complement(unit, second, &[quotient]);
            eliminate_one(unit, second, modulus, self.inverse);
        }
    }
}

/// Adds `2^52 - 1 - digit` to every column.
#[expect(clippy::inline_always, reason = "part of a task")]
#[inline(always)]
fn complement<U: Unit>(unit: U, columns: &mut [U::Sum], digits: &[U::Digit]) {
    let top = unit.sum(DIGIT_MASK);
    for (column, digit) in columns.iter_mut().zip(digits) {
        *column = unit.add(*column, unit.subtract(top, unit.widen(*digit)));
    }
}

/// `columns += left * right`.
#[expect(clippy::inline_always, reason = "part of a task")]
#[inline(always)]
fn product<U: Unit>(unit: U, columns: &mut [U::Sum], left: &[U::Digit], right: &[U::Digit]) {
    let n = left.len();
    let mut at = 0;
    while at + WIDE <= n {
        let factors = [left[at], left[at + 1], left[at + 2], left[at + 3]];
        sweep(unit, &mut columns[at..], &factors, right);
        at += WIDE;
    }
    while at < n {
        sweep_one(unit, &mut columns[at..], left[at], right);
        at += 1;
    }
}

/// `columns = 2 columns + number^2`: the pairs of different digits once, then all doubled, then the squares of digits.
#[expect(clippy::inline_always, reason = "part of a task")]
#[inline(always)]
fn square<U: Unit>(unit: U, columns: &mut [U::Sum], number: &[U::Digit]) {
    let n = number.len();
    let mut at = 0;
    while at + WIDE < n {
        let factors = [number[at], number[at + 1], number[at + 2], number[at + 3]];
        pairs(unit, &mut columns[2 * at..], &factors);
        sweep(unit, &mut columns[2 * at + WIDE..], &factors, &number[at + WIDE..]);
        at += WIDE;
    }
    while at + 1 < n {
        sweep_one(unit, &mut columns[2 * at + 1..], number[at], &number[at + 1..]);
        at += 1;
    }
    for (pair, digit) in columns.chunks_exact_mut(2).zip(number) {
        let (low, high) = (unit.add(pair[0], pair[0]), unit.add(pair[1], pair[1]));
        (pair[0], pair[1]) = unit.multiply_add(low, high, *digit, *digit);
    }
}

/// The products of different digits of one block.
#[expect(clippy::inline_always, reason = "part of a task")]
#[inline(always)]
fn pairs<U: Unit>(unit: U, columns: &mut [U::Sum], digits: &[U::Digit; WIDE]) {
    for left in 0..WIDE {
        for right in left + 1..WIDE {
            let at = left + right;
            let (low, high) = (columns[at], columns[at + 1]);
            (columns[at], columns[at + 1]) = unit.multiply_add(low, high, digits[left], digits[right]);
        }
    }
}

/// The columns that four rows under way add to. Plain variables, so that they stay in registers.
struct Window<U: Unit>(U::Sum, U::Sum, U::Sum, U::Sum);

#[expect(clippy::inline_always, reason = "part of a task")]
impl<U: Unit> Window<U> {
    /// The lowest four columns.
    #[inline(always)]
    fn open(columns: &[U::Sum]) -> Self {
        Self(columns[0], columns[1], columns[2], columns[3])
    }

    /// Adds the products of a digit with four factors; `next` is the column above the window.
    #[inline(always)]
    fn add(&mut self, unit: U, factors: &[U::Digit; WIDE], digit: U::Digit, next: &mut U::Sum) {
        (self.0, self.1) = unit.multiply_add(self.0, self.1, factors[0], digit);
        (self.1, self.2) = unit.multiply_add(self.1, self.2, factors[1], digit);
        (self.2, self.3) = unit.multiply_add(self.2, self.3, factors[2], digit);
        (self.3, *next) = unit.multiply_add(self.3, *next, factors[3], digit);
    }

    /// Moves up by one column; the lowest is complete.
    #[inline(always)]
    fn shift(&mut self, next: U::Sum) -> U::Sum {
        let lowest = self.0;
        (self.0, self.1, self.2, self.3) = (self.1, self.2, self.3, next);
        lowest
    }

    #[inline(always)]
    fn close(self, columns: &mut [U::Sum]) {
        (columns[0], columns[1], columns[2], columns[3]) = (self.0, self.1, self.2, self.3);
    }
}

/// `columns += factors * row`: one pass over the columns for four rows of the product.
#[expect(clippy::inline_always, reason = "part of a task")]
#[inline(always)]
fn sweep<U: Unit>(unit: U, columns: &mut [U::Sum], factors: &[U::Digit; WIDE], row: &[U::Digit]) {
    let n = row.len();
    let columns = &mut columns[..n + WIDE];
    let mut window = Window::<U>::open(columns);
    for (at, digit) in row.iter().enumerate() {
        let mut next = columns[at + WIDE];
        window.add(unit, factors, *digit, &mut next);
        columns[at] = window.shift(next);
    }
    window.close(&mut columns[n..]);
}

/// The same for one row.
#[expect(clippy::inline_always, reason = "part of a task")]
#[inline(always)]
fn sweep_one<U: Unit>(unit: U, columns: &mut [U::Sum], factor: U::Digit, row: &[U::Digit]) {
    let columns = &mut columns[..=row.len()];
    let mut under_way = columns[0];
    for (at, digit) in row.iter().enumerate() {
        let (low, high) = unit.multiply_add(under_way, columns[at + 1], factor, *digit);
        columns[at] = low;
        under_way = high;
    }
    columns[row.len()] = under_way;
}

/// Four rows of the reduction: the quotient's digits that make the lowest four columns multiples of 2^52, with the
/// triangle of products that this needs; the carry goes to the fifth column.
#[expect(clippy::inline_always, reason = "part of a task")]
#[inline(always)]
fn eliminate<U: Unit>(
    unit: U,
    columns: &mut [U::Sum],
    modulus: &[U::Digit],
    inverse: U::Digit,
) -> [U::Digit; WIDE] {
    let (m0, m1, m2, m3) = (modulus[0], modulus[1], modulus[2], modulus[3]);
    let (c0, mut c1, mut c2, mut c3, mut c4) = (columns[0], columns[1], columns[2], columns[3], columns[4]);
    let q0 = unit.low_product(c0, inverse);
    let lowest;
    (lowest, c1) = unit.multiply_add(c0, c1, q0, m0);
    (c1, c2) = unit.multiply_add(c1, c2, q0, m1);
    (c2, c3) = unit.multiply_add(c2, c3, q0, m2);
    (c3, c4) = unit.multiply_add(c3, c4, q0, m3);
    c1 = unit.add(c1, unit.carry(lowest));
    let q1 = unit.low_product(c1, inverse);
    (c1, c2) = unit.multiply_add(c1, c2, q1, m0);
    (c2, c3) = unit.multiply_add(c2, c3, q1, m1);
    (c3, c4) = unit.multiply_add(c3, c4, q1, m2);
    c2 = unit.add(c2, unit.carry(c1));
    let q2 = unit.low_product(c2, inverse);
    (c2, c3) = unit.multiply_add(c2, c3, q2, m0);
    (c3, c4) = unit.multiply_add(c3, c4, q2, m1);
    c3 = unit.add(c3, unit.carry(c2));
    let q3 = unit.low_product(c3, inverse);
    (c3, c4) = unit.multiply_add(c3, c4, q3, m0);
    columns[4] = unit.add(c4, unit.carry(c3));
    [q0, q1, q2, q3]
}

/// What [`eliminate`] left of `columns += quotient * modulus`: the products beyond the lowest four columns.
#[expect(clippy::inline_always, reason = "part of a task")]
#[inline(always)]
fn sweep_rest<U: Unit>(unit: U, columns: &mut [U::Sum], q: &[U::Digit; WIDE], modulus: &[U::Digit]) {
    let n = modulus.len();
    let columns = &mut columns[..=n + WIDE];
    let mut window = Window::<U>::open(&columns[WIDE..]);
    (window.0, window.1) = unit.multiply_add(window.0, window.1, q[3], modulus[1]);
    (window.0, window.1) = unit.multiply_add(window.0, window.1, q[2], modulus[2]);
    (window.1, window.2) = unit.multiply_add(window.1, window.2, q[3], modulus[2]);
    (window.0, window.1) = unit.multiply_add(window.0, window.1, q[1], modulus[3]);
    (window.1, window.2) = unit.multiply_add(window.1, window.2, q[2], modulus[3]);
    (window.2, window.3) = unit.multiply_add(window.2, window.3, q[3], modulus[3]);
    let columns = &mut columns[WIDE..];
    for (at, digit) in modulus[WIDE..].iter().enumerate() {
        let mut next = columns[at + WIDE];
        window.add(unit, q, *digit, &mut next);
        columns[at] = window.shift(next);
    }
    window.close(&mut columns[n - WIDE..]);
}

/// One row of the reduction.
#[expect(clippy::inline_always, reason = "part of a task")]
#[inline(always)]
fn eliminate_one<U: Unit>(
    unit: U,
    columns: &mut [U::Sum],
    modulus: &[U::Digit],
    inverse: U::Digit,
) -> U::Digit {
    let quotient = unit.low_product(columns[0], inverse);
    sweep_one(unit, columns, quotient, modulus);
    columns[1] = unit.add(columns[1], unit.carry(columns[0]));
    quotient
}

/// Digits from columns.
#[expect(clippy::inline_always, reason = "part of a task")]
#[inline(always)]
fn carry_out<U: Unit>(unit: U, columns: &[U::Sum], digits: &mut [U::Digit]) {
    let mut carry = unit.sum(0);
    for (digit, column) in digits.iter_mut().zip(columns) {
        carry = unit.add(carry, *column);
        *digit = unit.low_digit(carry);
        carry = unit.carry(carry);
    }
}
