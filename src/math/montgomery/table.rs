//! Tables that are read whole, so that a secret index leaves no trace in the memory that is touched.

use std::hint::black_box;

use crate::math::vector::{Task, Unit, run_portable};

/// Entries of the longest table that can be read whole: windows of six bits.
const LONGEST_TABLE: usize = 64;

/// Numbers to choose from, one after the other in memory. Wiped when dropped.
pub(crate) struct Table<U: Unit> {
    unit: U,
    /// entry, digit
    digits: Vec<U::Digit>,
    /// digits of an entry
    stride: usize,
}

#[expect(clippy::inline_always, reason = "part of a task")]
impl<U: Unit> Table<U> {
    /// A table of at most 64 numbers of `stride` digits, from the digits of one after the other.
    #[inline(always)]
    pub(super) fn new(unit: U, digits: Vec<U::Digit>, stride: usize) -> Self {
        Self { unit, digits, stride }
    }

    /// Replaces digits by those of an entry, reading all entries.
    #[inline(always)]
    pub(super) fn pick(&self, index: u64, picked: &mut [U::Digit]) {
        let pick = Pick { table: self, index, picked };
        if U::LANES == 1 {
            run_portable(pick);
        } else {
            pick.run(self.unit);
        }
    }
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
