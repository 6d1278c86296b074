//! Products of powers: the tables of every input are shared by all outputs (Straus, 1964).
//!
//! An output needs one product for every input and window of its exponents' digits; windows are kept apart until the end,
//! where they are joined by squarings. Positive and negative exponents are gathered apart, so that one inversion for all
//! outputs is enough.

use std::ops::Range;

use num_bigint::{BigInt, Sign};
use rayon::prelude::*;

use super::Lanes;
use crate::math::{
    montgomery::{Multiplier, Number, Residue},
    ring::{any_negative, longest},
    vector::{Task, Unit},
};

/// Bytes of tables that are kept at once: what a core's second cache holds.
const TABLE_BYTES: usize = 1 << 20;
/// Longest window.
const MAX_WIDTH: u32 = 7;

/// For every sample and row the products over positive and over negative exponents (empty when there are none).
pub(super) fn products(ring: &Lanes, inputs: &[&[u64]], rows: &[&[BigInt]]) -> (Vec<Residue>, Vec<Residue>) {
    let columns = rows.first().map_or(0, |row| row.len());
    let samples = inputs.len().checked_div(columns).unwrap_or(1);
    let jobs = samples * rows.len();
    let signs = if any_negative(rows) { 2 } else { 1 };
    let width = best_width(longest(rows), rows.len());
    let exponents = Digits::new(rows, width, longest(rows));
    let windows = exponents.windows;
    let lanes = ring.engine.lanes();
    let groups: Vec<Range<usize>> =
        (0..jobs).step_by(lanes).map(|start| start..jobs.min(start + lanes)).collect();
    // sign, window, digit, lane: one buffer a group of jobs, kept from tile to tile
    let mut sums: Vec<Vec<u64>> = vec![Vec::new(); groups.len()];
    let digits = ring.constants.residue_digits();
    let entry_bytes = (size_of::<u64>() * digits) << width;
    let tile = (TABLE_BYTES / (entry_bytes * samples).max(1)).next_multiple_of(lanes).min(columns.max(1));
    for start in (0..columns).step_by(tile) {
        let part = start..columns.min(start + tile);
        let tables = build(ring, inputs, columns, part.clone(), width);
        sums.par_iter_mut().zip(&groups).for_each(|(sums, jobs)| {
            ring.engine.for_batch(lanes).run(Accumulate {
                ring,
                tables: &tables,
                part: part.clone(),
                exponents: &exponents,
                jobs: jobs.clone(),
                signs,
                sums,
            });
        });
    }
    let joined: Vec<Vec<Vec<Residue>>> = sums
        .par_iter()
        .zip(&groups)
        .map(|(sums, jobs)| {
            let join = Join { ring, sums, windows, width, signs, count: jobs.len() };
            ring.engine.for_batch(lanes).run(join)
        })
        .collect();
    let mut out = [Vec::with_capacity(jobs), Vec::with_capacity(jobs)];
    for group in joined {
        for (out, part) in out.iter_mut().zip(group) {
            out.extend(part);
        }
    }
    let [plus, minus] = out;
    (plus, minus)
}

/// The width with the fewest products: a table of 2^w an input, one product an input, output and window.
fn best_width(bits: u64, rows: usize) -> u32 {
    let cost = |width: u32| (1_u64 << width) + rows as u64 * bits.div_ceil(width.into());
    (1..=MAX_WIDTH).min_by_key(|width| cost(*width)).unwrap_or(1)
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

/// The powers below 2^width of some columns of every sample: (sample, column), entry, digit.
fn build(ring: &Lanes, inputs: &[&[u64]], columns: usize, part: Range<usize>, width: u32) -> Vec<u64> {
    let bases: Vec<&[u64]> =
        inputs.chunks_exact(columns).flat_map(|sample| &sample[part.clone()]).copied().collect();
    let parts = ring.in_groups(bases.len(), |items, engine| {
        vec![engine.run(Tables { ring, bases: &bases[items], width })]
    });
    parts.concat()
}

struct Tables<'a> {
    ring: &'a Lanes,
    bases: &'a [&'a [u64]],
    width: u32,
}

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
impl Task for Tables<'_> {
    type Output = Vec<u64>;

    #[inline(always)]
    fn run<U: Unit>(self, unit: U) -> Vec<u64> {
        let digits = self.ring.constants.residue_digits();
        let entries = 1_usize << self.width;
        let mut table = vec![0; self.bases.len() * entries * digits];
        let mut multiplier = Multiplier::new(unit, &self.ring.constants);
        let base = multiplier.load(self.bases);
        let mut power = multiplier.load(&[&self.ring.one]);
        let mut lanes = [0; 8];
        for entry in 0..entries {
            if entry > 0 {
                multiplier.multiply(&mut power, &base);
            }
            for (at, digit) in power.digits().enumerate() {
                unit.store(*digit, &mut lanes[..U::LANES]);
                for (table, value) in table.chunks_exact_mut(entries * digits).zip(lanes) {
                    table[entry * digits + at] = value;
                }
            }
        }
        table
    }
}

/// Multiplies the powers of a tile into the products of one group of jobs.
struct Accumulate<'a> {
    ring: &'a Lanes,
    tables: &'a [u64],
    part: Range<usize>,
    exponents: &'a Digits,
    jobs: Range<usize>,
    signs: usize,
    sums: &'a mut Vec<u64>,
}

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
impl Task for Accumulate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<U: Unit>(self, unit: U) {
        let Self { ring, tables, part, exponents, jobs, signs, sums } = self;
        let mut multiplier = Multiplier::new(unit, &ring.constants);
        let digits = ring.constants.residue_digits();
        let count = signs * exponents.windows;
        let mut products: Vec<Number<U>> = if sums.is_empty() {
            let one = multiplier.load(&[&ring.one]);
            vec![one; count]
        } else {
            load_all(&multiplier, sums, digits)
        };
        let job = |lane: usize| (jobs.start + lane).min(jobs.end - 1);
        let mut factor = multiplier.zero();
        let mut at = [0; 8];
        let mut flags = [0; 8];
        for column in part.clone() {
            for window in 0..exponents.windows {
                let (mut any, mut negatives) = (false, 0);
                for lane in 0..U::LANES {
                    let (sample, row) = (job(lane) / exponents.rows, job(lane) % exponents.rows);
                    let (values, negative) = exponents.of(row, column);
                    let input = sample * part.len() + column - part.start;
                    at[lane] = ((input << exponents.width) + usize::from(values[window])) * digits;
                    any |= values[window] > 0;
                    flags[lane] = u64::from(negative);
                    negatives += usize::from(negative);
                }
                if !any {
                    continue;
                }
                for (offset, digit) in factor.digits_mut().enumerate() {
                    *digit = unit.gather_vartime(tables, &at[..U::LANES], offset);
                }
                if negatives == 0 || negatives == U::LANES {
                    let sign = usize::from(negatives > 0);
                    multiplier.multiply(&mut products[sign * exponents.windows + window], &factor);
                } else {
                    // Each lane continues the product of its sign.
                    let flag = unit.load_sum(&flags[..U::LANES]);
                    let (plus, minus) = products.split_at_mut(exponents.windows);
                    let (plus, minus) = (&mut plus[window], &mut minus[window]);
                    let mut chosen = plus.clone();
                    for (digit, minus) in chosen.digits_mut().zip(minus.digits()) {
                        *digit = unit.select(flag, *minus, *digit);
                    }
                    multiplier.multiply(&mut chosen, &factor);
                    for ((plus, minus), digit) in
                        plus.digits_mut().zip(minus.digits_mut()).zip(chosen.digits())
                    {
                        *minus = unit.select(flag, *digit, *minus);
                        *plus = unit.select(flag, *plus, *digit);
                    }
                }
            }
        }
        sums.resize(count * digits * U::LANES, 0);
        let places = sums.chunks_exact_mut(U::LANES);
        for (lanes, digit) in places.zip(products.iter().flat_map(Number::digits)) {
            unit.store(*digit, lanes);
        }
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
    ring: &'a Lanes,
    sums: &'a [u64],
    windows: usize,
    width: u32,
    signs: usize,
    count: usize,
}

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
impl Task for Join<'_> {
    /// sign, job
    type Output = Vec<Vec<Residue>>;

    #[inline(always)]
    fn run<U: Unit>(self, unit: U) -> Self::Output {
        let mut multiplier = Multiplier::new(unit, &self.ring.constants);
        let parts = load_all(&multiplier, self.sums, self.ring.constants.residue_digits());
        let mut out = Vec::with_capacity(self.signs);
        for sign in 0..self.signs {
            let mut product = multiplier.load(&[&self.ring.one]);
            let windows = parts.iter().skip(sign * self.windows).take(self.windows).rev();
            for (number, part) in windows.enumerate() {
                if number > 0 {
                    for _ in 0..self.width {
                        multiplier.square(&mut product);
                    }
                }
                multiplier.multiply(&mut product, part);
            }
            out.push(multiplier.store(&product, self.count));
        }
        out
    }
}
