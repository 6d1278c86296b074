//! Many sums of polynomials times small integers at once: a layer of known weights.
//!
//! Rows of weights that take the same inputs are computed together, some at a time, so that what is loaded is used for all of them; and
//! a stretch of coefficients at a time, of which all inputs fit the second cache. Products are of 32 bits and are summed in 64 without
//! being reduced: residues that are longer are cut into two limbs.

use std::collections::BTreeMap;

use num_bigint::BigInt;
use rayon::prelude::*;

use super::{Basis, Polynomial, Prime, polynomial::Domain};
use crate::math::vector::{Engine, Task, Unit};

/// Coefficients of every input that are kept in the cache at a time.
const BLOCK: usize = 64;
/// Rows that are summed at once, and vectors of each: their sums stay in registers.
const ROWS: usize = 5;
/// See [`ROWS`].
const VECTORS: usize = 4;
/// Coefficients that a panel takes at once: those of the widest vectors.
const STRETCH: usize = VECTORS * 8;
/// Most bits of a limb, which is a number with a sign.
const LIMB_BITS: u32 = 31;
/// No row's magnitudes sum to more: its sums of products with limbs fit 63 bits.
const MOST: u64 = 1 << LIMB_BITS;

/// A row of a layer: the inputs that it takes, each with its weight.
pub type Row = Vec<(usize, i64)>;

/// A few rows that take the same inputs.
struct Panel {
    inputs: Vec<usize>,
    rows: Vec<usize>,
    /// input by input, a weight a row
    weights: Vec<u64>,
}

/// The rows in panels; `None` where a sum could overflow.
fn panels(rows: &[Row]) -> Option<Vec<Panel>> {
    let mut alike: BTreeMap<Vec<usize>, Vec<usize>> = BTreeMap::new();
    for (index, row) in rows.iter().enumerate() {
        let magnitude = row.iter().try_fold(0_u64, |sum, (_, weight)| sum.checked_add(weight.unsigned_abs()));
        if magnitude? >= MOST {
            return None;
        }
        alike.entry(row.iter().map(|(input, _)| *input).collect()).or_default().push(index);
    }
    let panel = |(inputs, members): (&Vec<usize>, &[usize])| {
        let of_input = |at: usize| members.iter().map(move |row| rows[*row][at].1.cast_unsigned());
        let weights = (0..inputs.len()).flat_map(of_input).collect();
        Panel { inputs: inputs.clone(), rows: members.to_vec(), weights }
    };
    let few = alike.iter().flat_map(|(inputs, rows)| rows.chunks(ROWS).map(move |few| (inputs, few)));
    Some(few.map(panel).collect())
}

/// A stretch of all sums modulo one prime.
struct Stretch<'a, 'r> {
    prime: Prime,
    panels: &'a [Panel],
    /// the same stretch of every input
    inputs: &'a [&'a [u64]],
    /// and of every sum
    sums: Vec<&'r mut [u64]>,
}

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
impl Task for Stretch<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<U: Unit>(mut self, unit: U) {
        let width = self.sums.first().map_or(0, |sum| sum.len());
        let bits = self.prime.bits();
        let limbs = bits.div_ceil(LIMB_BITS);
        let limb = bits.div_ceil(limbs);
        let mut values = vec![0; self.inputs.len() * width];
        for index in 0..limbs {
            let (shift, mask) = (index * limb, (1_u64 << limb) - 1);
            for (values, input) in values.chunks_exact_mut(width).zip(self.inputs) {
                for (value, residue) in values.iter_mut().zip(*input) {
                    *value = residue >> shift & mask;
                }
            }
            let place = Place { prime: self.prime, values: &values, width, limb, shift };
            for panel in self.panels {
                match panel.rows.len() {
                    1 => place.sum::<U, 1>(unit, panel, &mut self.sums),
                    2 => place.sum::<U, 2>(unit, panel, &mut self.sums),
                    3 => place.sum::<U, 3>(unit, panel, &mut self.sums),
                    4 => place.sum::<U, 4>(unit, panel, &mut self.sums),
                    _ => place.sum::<U, ROWS>(unit, panel, &mut self.sums),
                }
            }
        }
    }
}

/// A limb of all inputs.
struct Place<'a> {
    prime: Prime,
    values: &'a [u64],
    width: usize,
    /// bits of a limb
    limb: u32,
    /// bits below it
    shift: u32,
}

impl Place<'_> {
    /// The sums of a panel; added, times what the limb stands for, to those of the limbs before.
    #[expect(clippy::inline_always, reason = "part of a task")]
    #[inline(always)]
    fn sum<U: Unit, const COUNT: usize>(&self, unit: U, panel: &Panel, sums: &mut [&mut [u64]]) {
        let Self { prime, values, width, limb, shift } = *self;
        let weight = |row: usize| panel.weights[row..].iter().step_by(COUNT);
        // A multiple of the prime that no sum is below the negative of.
        let starts: [u64; COUNT] = std::array::from_fn(|row| {
            let most: u64 = weight(row).map(|weight| weight.cast_signed().unsigned_abs()).sum();
            (most << limb).div_ceil(prime.value()) * prime.value()
        });
        // What is below the square of a power of two above the prime is reduced without a division.
        let short = starts.iter().all(|start| (2 * start) >> (2 * prime.bits()).min(63) == 0);
        let place = prime.reduce(1 << shift);
        for start in (0..width).step_by(STRETCH) {
            for start in (start..start + STRETCH).step_by(VECTORS * U::LANES) {
                let mut totals = starts.map(|start| [unit.sum(start); VECTORS]);
                // Arrays, whose lengths the compiler knows: so the totals stay in registers.
                let (all, _) = panel.weights.as_chunks::<COUNT>();
                for (input, weights) in panel.inputs.iter().zip(all) {
                    let from = input * width + start;
                    let lanes = &values[from..from + VECTORS * U::LANES];
                    let mut own = [unit.sum(0); VECTORS];
                    for (own, lanes) in own.iter_mut().zip(lanes.chunks_exact(U::LANES)) {
                        *own = unit.load_sum(lanes);
                    }
                    for row in 0..COUNT {
                        let weight = unit.sum(weights[row]);
                        for vector in 0..VECTORS {
                            totals[row][vector] =
                                unit.add_short_product(totals[row][vector], own[vector], weight);
                        }
                    }
                }
                for (totals, row) in totals.into_iter().zip(&panel.rows) {
                    let mut wide = [0; STRETCH];
                    for (total, wide) in totals.into_iter().zip(wide.chunks_exact_mut(U::LANES)) {
                        unit.store_sum(total, wide);
                    }
                    let sum = &mut sums[*row][start..start + VECTORS * U::LANES];
                    for (sum, wide) in sum.iter_mut().zip(wide) {
                        let own = if short { prime.reduce_product(wide.into()) } else { prime.reduce(wide) };
                        *sum = if shift == 0 { own } else { prime.add(*sum, prime.multiply(own, place)) };
                    }
                }
            }
        }
    }
}

impl Basis {
    /// Sums of polynomials of values, which may have further rows that are left out, times integers: one a row.
    ///
    /// # Panics
    /// If a row takes an input that there is not.
    pub fn layer(&self, inputs: &[&Polynomial], rows: &[Row]) -> Vec<Polynomial> {
        let degree = self.degree();
        if rows.is_empty() {
            return Vec::new();
        }
        let Some(panels) = panels(rows).filter(|_| degree.is_multiple_of(STRETCH)) else {
            return rows.par_iter().map(|row| self.sparse(inputs, row)).collect();
        };
        let block = BLOCK.min(degree);
        let of_prime = degree / block;
        let mut sums: Vec<_> = rows.iter().map(|_| self.unset(Domain::Values)).collect();
        let mut stretches: Vec<Vec<&mut [u64]>> =
            (0..self.len() * of_prime).map(|_| Vec::with_capacity(rows.len())).collect();
        for sum in &mut sums {
            let chunks = sum.rows_mut().flat_map(|row| row.chunks_mut(block));
            stretches.iter_mut().zip(chunks).for_each(|(stretch, chunk)| stretch.push(chunk));
        }
        let primes: Vec<Prime> = self.primes().collect();
        stretches.into_par_iter().enumerate().for_each(|(index, sums)| {
            let at = index * block;
            let inputs: Vec<_> = inputs.iter().map(|input| &input.residues()[at..at + block]).collect();
            let prime = primes[index / of_prime];
            Engine::fastest().run(Stretch { prime, panels: &panels, inputs: &inputs, sums });
        });
        sums
    }

    /// One row with weights of any length.
    fn sparse(&self, inputs: &[&Polynomial], row: &Row) -> Polynomial {
        let weights: Vec<BigInt> = row.iter().map(|(_, weight)| (*weight).into()).collect();
        let terms: Vec<_> = row.iter().zip(&weights).map(|((at, _), weight)| (inputs[*at], weight)).collect();
        self.combination(&terms)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::math::rns::{prime::transform_primes, transform::tests::numbers};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        /// Beside one sum after another, for primes of one limb and of two, for rows that share inputs and that do not, and for the
        /// greatest weights and residues.
        #[test]
        fn layers_are_sums_of_products(
            bits in prop::sample::select(vec![18_u32, 31, 32, 50, 61]),
            degree in prop::sample::select(vec![16_usize, 32, 128]),
            alike in 1_usize..8,
            magnitude in prop::sample::select(vec![3_i64, 1 << 20, (1 << 31) - 1, 1 << 40]),
            seed: u64,
        ) {
            let basis = Basis::try_new(degree, &transform_primes(bits, degree, 2, &[]).unwrap()).unwrap();
            let polynomial = |index: u64| {
                let mut polynomial = basis.zero(Domain::Values);
                for (row, prime) in polynomial.rows_mut().zip(basis.primes()) {
                    row.copy_from_slice(&numbers(degree, prime.value(), seed ^ index));
                    row[0] = prime.value() - 1;
                }
                polynomial
            };
            let inputs: Vec<_> = (0..9).map(polynomial).collect();
            let inputs: Vec<_> = inputs.iter().collect();
            let weight = |at: usize| (seed.wrapping_mul(2 * at as u64 + 1).cast_signed() % magnitude) / 9;
            let mut rows: Vec<Row> = (0..alike).map(|row| (0..9).map(|at| (at, weight(7 * row + at))).collect()).collect();
            rows.push(vec![(3, 1 - magnitude), (8, 0)]);
            rows.push(vec![]);
            let found = basis.layer(&inputs, &rows);
            for (found, row) in found.iter().zip(&rows) {
                prop_assert_eq!(found, &basis.sparse(&inputs, row));
            }
        }
    }
}
