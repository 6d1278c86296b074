//! Tables that are read whole, so that a secret index leaves no trace in the memory that is touched.

use std::hint::black_box;

use super::Number;
use crate::math::vector::{Task, Unit, run_portable};

/// Entries of the longest table that can be read whole: windows of six bits.
const LONGEST_TABLE: usize = 64;

/// So many digits of an entry stay in registers while those of the others go by.
const AT_ONCE: usize = 8;

/// Numbers to choose from. Wiped when dropped.
pub(crate) struct Table<U: Unit> {
    unit: U,
    /// group of neighbouring digits, entry: in the order in which they are read, for the sake of the processor that reads ahead
    groups: Vec<[U::Digit; AT_ONCE]>,
    entries: usize,
}

#[expect(clippy::inline_always, reason = "part of a task")]
impl<U: Unit> Table<U> {
    /// A table of at most 64 numbers.
    #[inline(always)]
    pub(super) fn new(unit: U, numbers: &[Number<U>]) -> Self {
        let (entries, digits) = (numbers.len(), numbers.first().map_or(0, |number| number.digits().len()));
        let mut groups = vec![[unit.digit(0); AT_ONCE]; digits.div_ceil(AT_ONCE) * entries];
        for (entry, number) in numbers.iter().enumerate() {
            for (at, digit) in number.digits().iter().enumerate() {
                groups[at / AT_ONCE * entries + entry][at % AT_ONCE] = *digit;
            }
        }
        Self { unit, groups, entries }
    }

    /// Changes a number into an entry, reading all entries.
    #[inline(always)]
    pub(crate) fn pick(&self, index: u64, number: &mut Number<U>) {
        let pick = Pick { table: self, index, picked: number.digits_mut() };
        if U::LANES == 1 {
            run_portable(pick);
        } else {
            pick.run(self.unit);
        }
    }
}

impl<U: Unit> Drop for Table<U> {
    fn drop(&mut self) {
        self.groups.fill([self.unit.digit(0); AT_ONCE]);
        black_box(&self.groups);
    }
}

/// A lookup, which is vectors of the processor's own making where there is one lane.
struct Pick<'a, U: Unit> {
    table: &'a Table<U>,
    index: u64,
    /// as many digits as an entry has
    picked: &'a mut [U::Digit],
}

#[expect(clippy::inline_always, reason = "part of a task")]
impl<U: Unit> Task for Pick<'_, U> {
    type Output = ();

    #[inline(always)]
    fn run<V: Unit>(self, _: V) {
        let (unit, entries) = (self.table.unit, self.table.entries);
        let choice = |number: u64| {
            let difference = number ^ self.index;
            // Opaque: the compiler would make a branch of a flag that it knows to be 0 or 1.
            unit.choice(unit.sum(black_box((difference.wrapping_sub(1) & !difference) >> 63)))
        };
        let mut choices = [choice(0); LONGEST_TABLE];
        let choices = &mut choices[..entries];
        for (number, entry) in (0..).zip(&mut *choices) {
            *entry = choice(number);
        }
        for (picked, groups) in
            self.picked.chunks_mut(AT_ONCE).zip(self.table.groups.chunks_exact(entries.max(1)))
        {
            let mut digits = [unit.digit(0); AT_ONCE];
            for (choice, group) in choices.iter().zip(groups) {
                for (digit, candidate) in digits.iter_mut().zip(group) {
                    *digit = unit.select(*choice, *candidate, *digit);
                }
            }
            picked.copy_from_slice(&digits[..picked.len()]);
        }
    }
}
