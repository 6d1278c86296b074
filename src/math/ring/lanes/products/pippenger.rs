//! Pippenger's method (1976): for every window the inputs are multiplied into one bucket for each value of its digit; the
//! buckets are then weighted by two products each.
//!
//! Lanes are outputs' windows, all independent of each other.

use std::ops::Range;

use rayon::prelude::*;

use super::{Digit, Jobs, join, load_all};
use crate::math::{
    montgomery::{Multiplier, Number, Residue},
    vector::{Task, Unit},
};

/// By group of jobs, sign and job: the products.
pub(super) fn products(jobs: &Jobs<'_>) -> Vec<Vec<Vec<Residue>>> {
    let (ring, windows) = (jobs.ring, jobs.exponents.windows);
    let lanes = ring.engine.lanes();
    let units = jobs.count() * windows;
    let groups: Vec<Range<usize>> =
        (0..units).step_by(lanes).map(|start| start..units.min(start + lanes)).collect();
    // unit, sign
    let products: Vec<Vec<Residue>> = groups
        .into_par_iter()
        .flat_map_iter(|units| ring.engine.group(units.len()).run(Buckets { jobs, units }))
        .collect();
    let digits = ring.constants.residue_digits();
    let joined = |group: Range<usize>| {
        let lanes = ring.engine.group(group.len()).lanes();
        let mut sums = vec![0; jobs.signs * windows * digits * lanes];
        for lane in 0..lanes {
            let job = (group.start + lane).min(group.end - 1);
            for window in 0..windows {
                for (sign, product) in products[job * windows + window].iter().enumerate() {
                    let at = (sign * windows + window) * digits;
                    for (digit, value) in product.iter().enumerate() {
                        sums[(at + digit) * lanes + lane] = *value;
                    }
                }
            }
        }
        ring.engine.group(group.len()).run(Join { jobs, sums: &sums, group })
    };
    jobs.groups().into_par_iter().map(joined).collect()
}

/// Joins the windows of one group of jobs.
struct Join<'a> {
    jobs: &'a Jobs<'a>,
    /// sign, window, digit, lane
    sums: &'a [u64],
    group: Range<usize>,
}

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
impl Task for Join<'_> {
    /// sign, job
    type Output = Vec<Vec<Residue>>;

    #[inline(always)]
    fn run<U: Unit>(self, unit: U) -> Self::Output {
        let constants = &self.jobs.ring.constants;
        let mut multiplier = Multiplier::new(unit, constants);
        let parts = load_all(&multiplier, self.sums, constants.residue_digits());
        join(&mut multiplier, self.jobs, &parts, &self.group)
    }
}

/// One window of an output a lane.
struct Buckets<'a> {
    jobs: &'a Jobs<'a>,
    units: Range<usize>,
}

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
impl Task for Buckets<'_> {
    /// unit, sign
    type Output = Vec<Vec<Residue>>;

    #[inline(always)]
    fn run<U: Unit>(self, unit: U) -> Self::Output {
        let Jobs { ring, inputs, exponents, signs, .. } = self.jobs;
        let mut multiplier = Multiplier::new(unit, &ring.constants);
        let digits = ring.constants.residue_digits();
        let buckets = 1_usize << exponents.width;
        // lane, sign, bucket, digit
        let mut table = ring.one.repeat(U::LANES * signs * buckets);
        let place =
            |lane: usize, sign: usize, bucket: usize| ((lane * signs + sign) * buckets + bucket) * digits;
        let unit_of = |lane: usize| (self.units.start + lane).min(self.units.end - 1);
        let mut at = [0; 8];
        let mut bucket = multiplier.zero();
        let mut digits_of: [&[Digit]; 8] = [&[]; 8];
        for (lane, digits) in digits_of[..U::LANES].iter_mut().enumerate() {
            let (job, window) = (unit_of(lane) / exponents.windows, unit_of(lane) % exponents.windows);
            *digits = exponents.of(job % exponents.rows, window);
        }
        let longest = digits_of.iter().map(|digits| digits.len()).max().unwrap_or(0);
        for index in 0..longest {
            let mut terms: [&[u64]; 8] = [&[]; 8];
            for lane in 0..U::LANES {
                let sample = unit_of(lane) / exponents.windows / exponents.rows;
                // A lane that has no term left goes to a bucket that nobody reads.
                (at[lane], terms[lane]) = match digits_of[lane].get(index) {
                    Some(digit) => (
                        place(lane, usize::from(digit.negative), usize::from(digit.value)),
                        inputs[sample * exponents.columns + digit.column],
                    ),
                    None => (place(lane, 0, 0), &*ring.one),
                };
            }
            gather(unit, &table, &at, &mut bucket);
            let term = multiplier.load(&terms[..U::LANES]);
            multiplier.multiply(&mut bucket, &term);
            scatter(unit, &bucket, &at, &mut table);
        }
        let mut out = vec![Vec::with_capacity(*signs); self.units.len()];
        for sign in 0..*signs {
            // b_1 b_2^2 b_3^3 ... from the highest down.
            let mut running = multiplier.load(&[&ring.one]);
            let mut product = running.clone();
            for value in (1..buckets).rev() {
                for (lane, at) in at[..U::LANES].iter_mut().enumerate() {
                    *at = place(lane, sign, value);
                }
                gather(unit, &table, &at, &mut bucket);
                multiplier.multiply(&mut running, &bucket);
                multiplier.multiply(&mut product, &running);
            }
            for (out, product) in out.iter_mut().zip(multiplier.store(&mut product, self.units.len())) {
                out.push(product);
            }
        }
        out
    }
}

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
#[inline(always)]
fn gather<U: Unit>(unit: U, table: &[u64], at: &[usize; 8], number: &mut Number<U>) {
    for (offset, digit) in number.digits_mut().iter_mut().enumerate() {
        *digit = unit.gather_vartime(table, &at[..U::LANES], offset);
    }
}

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
#[inline(always)]
fn scatter<U: Unit>(unit: U, number: &Number<U>, at: &[usize; 8], table: &mut [u64]) {
    let mut lanes = [0; 8];
    for (offset, digit) in number.digits().iter().enumerate() {
        unit.store(*digit, &mut lanes[..U::LANES]);
        for (value, at) in lanes[..U::LANES].iter().zip(at) {
            table[at + offset] = *value;
        }
    }
}
