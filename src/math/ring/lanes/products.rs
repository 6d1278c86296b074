//! Products of powers, for every sample and row, by whichever method needs fewer multiplications.
//!
//! Exponents are cut into windows of a few bits. [`straus`] multiplies table entries, which all rows share; [`pippenger`]
//! sorts inputs into buckets and needs no tables, which is better for long sums with few rows. Either way windows are
//! kept apart until the end, where they are joined by squarings, and positive and negative exponents are gathered apart,
//! so that one inversion for all outputs is enough.

use std::ops::Range;

use num_bigint::{BigInt, Sign};
use rayon::prelude::*;

use super::Lanes;
use crate::math::{
    montgomery::{Multiplier, Number, Residue},
    ring::{any_negative, longest},
    vector::{Task, Unit},
};

mod pippenger;
mod straus;

/// Longest window of a table.
const MAX_TABLE_WIDTH: u32 = 7;
/// Longest window of buckets.
const MAX_BUCKET_WIDTH: u32 = 8;

/// What is to be multiplied.
struct Jobs<'a> {
    ring: &'a Lanes,
    /// sample after sample
    inputs: &'a [&'a [u64]],
    exponents: Digits,
    samples: usize,
    /// 2 when some exponent is negative
    signs: usize,
}

impl Jobs<'_> {
    /// Outputs: samples times rows.
    fn count(&self) -> usize {
        self.samples * self.exponents.rows
    }

    /// The outputs in groups that fill the lanes.
    fn groups(&self) -> Vec<Range<usize>> {
        let (count, lanes) = (self.count(), self.ring.engine.lanes());
        (0..count).step_by(lanes).map(|start| start..count.min(start + lanes)).collect()
    }
}

/// A method with the bits of its windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Straus(u32),
    Pippenger(u32),
}

impl Method {
    fn width(self) -> u32 {
        match self {
            Self::Straus(width) | Self::Pippenger(width) => width,
        }
    }

    /// The one with the fewest multiplications, for so many rows of so many exponents of `bits` bits.
    fn best(bits: u64, rows: usize, columns: usize, signs: usize) -> Self {
        let (rows, columns, signs) = (rows as u64, columns as u64, signs as u64);
        // A table of 2^w an input, one product an input, output and window.
        let straus = (1..=MAX_TABLE_WIDTH).map(|width| {
            let table = columns << width;
            (table + rows * columns * bits.div_ceil(width.into()), Self::Straus(width))
        });
        // One product an input, output and window, and two a bucket.
        let pippenger = (1..=MAX_BUCKET_WIDTH).map(|width| {
            let buckets = (2 * signs) << width;
            (rows * bits.div_ceil(width.into()) * (columns + buckets), Self::Pippenger(width))
        });
        straus.chain(pippenger).min_by_key(|(cost, _)| *cost).map_or(Self::Straus(1), |(_, method)| method)
    }
}

/// For every sample and row the products over positive and over negative exponents (empty when there are none).
pub(super) fn products(ring: &Lanes, inputs: &[&[u64]], rows: &[&[BigInt]]) -> [Vec<Residue>; 2] {
    let columns = rows.first().map_or(0, |row| row.len());
    let samples = inputs.len().checked_div(columns).unwrap_or(1);
    let signs = if any_negative(rows) { 2 } else { 1 };
    let bits = longest(rows);
    let method = Method::best(bits, rows.len(), columns, signs);
    let jobs = Jobs { ring, inputs, exponents: Digits::new(rows, method.width(), bits), samples, signs };
    // sign, window, digit, lane: one buffer a group
    let sums = match method {
        Method::Straus(_) => straus::sums(&jobs),
        Method::Pippenger(_) => pippenger::sums(&jobs),
    };
    let joined: Vec<Vec<Vec<Residue>>> = sums
        .par_iter()
        .zip(jobs.groups())
        .map(|(sums, group)| {
            let join = Join { jobs: &jobs, sums, count: group.len() };
            ring.engine.group(group.len()).run(join)
        })
        .collect();
    let mut out = [Vec::with_capacity(jobs.count()), Vec::with_capacity(jobs.count())];
    for group in joined {
        for (out, part) in out.iter_mut().zip(group) {
            out.extend(part);
        }
    }
    out
}

/// The digits of all exponents.
struct Digits {
    /// row, column, window; lowest window first
    values: Vec<u8>,
    /// row, column
    negative: Vec<bool>,
    columns: usize,
    rows: usize,
    windows: usize,
    width: u32,
}

impl Digits {
    fn new(rows: &[&[BigInt]], width: u32, bits: u64) -> Self {
        let windows = usize::try_from(bits.div_ceil(width.into())).unwrap_or(usize::MAX);
        let columns = rows.first().map_or(0, |row| row.len());
        let mut values = Vec::with_capacity(rows.len() * columns * windows);
        let exponents = || rows.iter().flat_map(|row| row.iter());
        for exponent in exponents() {
            let magnitude = exponent.magnitude();
            values.extend((0..windows as u64 * u64::from(width)).step_by(width as usize).map(|at| {
                (0..width).fold(0, |digit, bit| digit | u8::from(magnitude.bit(at + u64::from(bit))) << bit)
            }));
        }
        let negative = exponents().map(|exponent| exponent.sign() == Sign::Minus).collect();
        Self { values, negative, columns, rows: rows.len(), windows, width }
    }

    fn of(&self, row: usize, column: usize) -> (&[u8], bool) {
        let at = row * self.columns + column;
        (&self.values[at * self.windows..(at + 1) * self.windows], self.negative[at])
    }
}

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
#[inline(always)]
fn load_all<U: Unit>(multiplier: &Multiplier<'_, U>, sums: &[u64], digits: usize) -> Vec<Number<U>> {
    sums.chunks_exact(digits * U::LANES)
        .map(|values| {
            let mut number = multiplier.zero();
            for (digit, lanes) in number.digits_mut().zip(values.chunks_exact(U::LANES)) {
                *digit = multiplier.unit().load(lanes);
            }
            number
        })
        .collect()
}

/// Joins the windows of one group of jobs.
struct Join<'a> {
    jobs: &'a Jobs<'a>,
    sums: &'a [u64],
    count: usize,
}

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
impl Task for Join<'_> {
    /// sign, job
    type Output = Vec<Vec<Residue>>;

    #[inline(always)]
    fn run<U: Unit>(self, unit: U) -> Self::Output {
        let Jobs { ring, exponents, signs, .. } = self.jobs;
        let mut multiplier = Multiplier::new(unit, &ring.constants);
        let parts = load_all(&multiplier, self.sums, ring.constants.residue_digits());
        let mut out = Vec::with_capacity(*signs);
        for sign in 0..*signs {
            let mut windows = parts.iter().skip(sign * exponents.windows).take(exponents.windows).rev();
            let highest = windows.next().cloned();
            let mut product = highest.unwrap_or_else(|| multiplier.load(&[&ring.one]));
            for part in windows {
                multiplier.square(&mut product, exponents.width);
                multiplier.multiply(&mut product, part);
            }
            out.push(multiplier.store(&product, self.count));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::Method;

    #[test]
    fn long_sums_with_few_rows_use_buckets_and_many_rows_share_tables() {
        assert_eq!(Method::best(24, 1, 784, 2), Method::Pippenger(6));
        assert_eq!(Method::best(16, 300, 784, 2), Method::Straus(6));
        assert!(matches!(Method::best(100, 23, 1, 1), Method::Straus(_)));
        assert_eq!(Method::best(0, 0, 0, 1).width(), 1);
    }
}
