//! Products of powers, for every sample and row, by whichever method needs fewer multiplications.
//!
//! Exponents are cut into windows of a few bits. [`straus`] multiplies table entries, which all rows share; [`pippenger`]
//! sorts inputs into buckets and needs no tables, which is better for long sums with few rows. Either way windows are
//! kept apart until the end, where they are joined by squarings, and positive and negative exponents are gathered apart,
//! so that one inversion for all outputs is enough.

use std::ops::Range;

use num_bigint::Sign;

use super::Lanes;
use crate::math::{
    montgomery::{Multiplier, Number, Residue},
    rows::Rows,
    vector::Unit,
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

    /// The one with the fewest multiplications for these exponents.
    fn best(rows: &Rows<'_>, lengths: &[u64], signs: usize) -> Self {
        let (columns, signs) = (rows.columns() as u64, signs as u64);
        let bits = lengths.len().saturating_sub(1) as u64;
        // A product a term and window, in as many windows as the term is long.
        let terms = |width: u32| {
            let windows = (0_u64..).zip(lengths).map(|(bits, count)| count * bits.div_ceil(width.into()));
            windows.sum::<u64>()
        };
        // A table of 2^w an input.
        let straus =
            (1..=MAX_TABLE_WIDTH).map(|width| ((columns << width) + terms(width), Self::Straus(width)));
        // Two products a bucket, for every output and window.
        let pippenger = (1..=MAX_BUCKET_WIDTH).map(|width| {
            let buckets = (2 * signs) << width;
            let windows = rows.len() as u64 * bits.div_ceil(width.into());
            (terms(width) + windows * buckets, Self::Pippenger(width))
        });
        straus.chain(pippenger).min_by_key(|(cost, _)| *cost).map_or(Self::Straus(1), |(_, method)| method)
    }
}

/// For every sample and row the products over positive and over negative exponents (empty when there are none).
pub(super) fn products(ring: &Lanes, inputs: &[&[u64]], rows: &Rows<'_>) -> [Vec<Residue>; 2] {
    let samples = rows.samples(inputs.len());
    let signs = if rows.any_negative() { 2 } else { 1 };
    let lengths = lengths(rows);
    let method = Method::best(rows, &lengths, signs);
    let exponents = Digits::new(rows, method.width(), lengths.len().saturating_sub(1));
    let jobs = Jobs { ring, inputs, exponents, samples, signs };
    let joined = match method {
        Method::Straus(_) => straus::products(&jobs),
        Method::Pippenger(_) => pippenger::products(&jobs),
    };
    let mut out = [Vec::with_capacity(jobs.count()), Vec::with_capacity(jobs.count())];
    for group in joined {
        for (out, part) in out.iter_mut().zip(group) {
            out.extend(part);
        }
    }
    out
}

/// How many exponents there are of every length in bits, up to the greatest.
fn lengths(rows: &Rows<'_>) -> Vec<u64> {
    let mut lengths = vec![0; 1];
    for (_, exponent) in rows.terms() {
        // The bits of a number that is in memory.
        let bits = usize::try_from(exponent.bits()).unwrap_or(usize::MAX);
        if bits >= lengths.len() {
            lengths.resize(bits + 1, 0);
        }
        lengths[bits] += 1;
    }
    lengths
}

/// A digit that is not zero.
#[derive(Debug, Clone, Copy)]
struct Digit {
    column: usize,
    value: u8,
    negative: bool,
}

/// The digits of all exponents that are not zero: lanes go through them each at its own columns, so that what is zero or not there at all
/// takes no time.
struct Digits {
    /// row, window (lowest first), ascending columns
    all: Vec<Digit>,
    /// where the digits of a row and window begin, and the end of all
    starts: Vec<usize>,
    columns: usize,
    rows: usize,
    windows: usize,
    width: u32,
    /// Whether every row has a term in every column.
    full: bool,
}

impl Digits {
    fn new(rows: &Rows<'_>, width: u32, bits: usize) -> Self {
        let windows = bits.div_ceil(width as usize);
        let mut digits = Vec::with_capacity(rows.terms().len());
        let mut starts = vec![0];
        for row in rows.iter() {
            for at in (0..windows as u64).map(|window| window * u64::from(width)) {
                digits.extend(row.iter().filter_map(|&(column, exponent)| {
                    let magnitude = exponent.magnitude();
                    let bit = |bit| u8::from(magnitude.bit(at + u64::from(bit))) << bit;
                    let value = (0..width).fold(0, |digit, at| digit | bit(at));
                    let negative = exponent.sign() == Sign::Minus;
                    (value > 0).then_some(Digit { column, value, negative })
                }));
                starts.push(digits.len());
            }
        }
        let full = rows.is_full();
        Self { all: digits, starts, columns: rows.columns(), rows: rows.len(), windows, width, full }
    }

    /// The digits of a row and window.
    fn of(&self, row: usize, window: usize) -> &[Digit] {
        let at = row * self.windows + window;
        &self.all[self.starts[at]..self.starts[at + 1]]
    }

    /// Those of them that stand in some columns.
    fn within(&self, row: usize, window: usize, columns: &Range<usize>) -> &[Digit] {
        let digits = self.of(row, window);
        let before = |end: usize| digits.partition_point(|digit| digit.column < end);
        &digits[before(columns.start)..before(columns.end)]
    }
}

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
#[inline(always)]
fn load_all<U: Unit>(multiplier: &Multiplier<'_, U>, sums: &[u64], digits: usize) -> Vec<Number<U>> {
    let mut numbers = Vec::with_capacity(sums.len() / (digits * U::LANES));
    for values in sums.chunks_exact(digits * U::LANES) {
        let mut number = multiplier.zero();
        for (digit, lanes) in number.digits_mut().iter_mut().zip(values.chunks_exact(U::LANES)) {
            *digit = multiplier.unit().load(lanes);
        }
        numbers.push(number);
    }
    numbers
}

/// Joins the windows of one group of jobs. By sign and job.
#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
#[inline(always)]
fn join<U: Unit>(
    multiplier: &mut Multiplier<'_, U>,
    jobs: &Jobs<'_>,
    // sign, window
    parts: &[Number<U>],
    group: &Range<usize>,
) -> Vec<Vec<Residue>> {
    let Jobs { ring, exponents, signs, .. } = jobs;
    // Where nobody has a digit there is nothing to be multiplied by: all of a power of two but one window.
    let is_empty =
        |window: usize| group.clone().all(|job| exponents.of(job % exponents.rows, window).is_empty());
    let is_empty: Vec<bool> = (0..exponents.windows).map(is_empty).collect();
    let mut out = Vec::with_capacity(*signs);
    for sign in 0..*signs {
        let parts = &parts[sign * exponents.windows..][..exponents.windows];
        let mut windows = parts.iter().zip(&is_empty).rev();
        let highest = windows.next().map(|(part, _)| part.clone());
        let mut product = highest.unwrap_or_else(|| multiplier.load(&[&ring.one]));
        for (part, is_empty) in windows {
            multiplier.square(&mut product, exponents.width);
            if !is_empty {
                multiplier.multiply(&mut product, part);
            }
        }
        out.push(multiplier.store(&mut product, group.len()));
    }
    out
}

#[cfg(test)]
mod tests {
    use num_bigint::BigInt;

    use super::{Method, lengths};
    use crate::math::rows::Rows;

    fn best(bits: u32, rows: usize, columns: usize, signs: usize) -> Method {
        let row = vec![(BigInt::from(1) << bits) - 1; columns];
        let rows: Vec<&[BigInt]> = vec![&row; rows];
        let rows = Rows::dense(&rows);
        Method::best(&rows, &lengths(&rows), signs)
    }

    #[test]
    fn long_sums_with_few_rows_use_buckets_and_many_rows_share_tables() {
        assert_eq!(best(24, 1, 784, 2), Method::Pippenger(6));
        assert_eq!(best(16, 300, 784, 2), Method::Straus(6));
        assert!(matches!(best(100, 23, 1, 1), Method::Straus(_)));
        assert_eq!(best(0, 0, 0, 1).width(), 1);
    }

    /// A convolution of 5 x 5 by 2 to 5 channels: every input is in few sums.
    #[test]
    fn sparse_rows_have_tables_of_their_terms() {
        let weight = BigInt::from(2047);
        let mut rows = Rows::new(729);
        for row in 0..720 {
            rows.push((0..25).map(|term| (row % 29 * 25 + term, &weight))).unwrap();
        }
        assert_eq!(Method::best(&rows, &lengths(&rows), 2), Method::Straus(4));
    }
}
