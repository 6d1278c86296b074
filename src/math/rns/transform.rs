//! The transform in vectors, for primes of at most 50 bits and degrees from 64 on.
//!
//! Negacyclic, without a separate twist (Longa and Naehrig, CANS 2016), with Harvey's lazy butterflies: residues stay below four
//! times the prime between the layers. The last three layers, which combine neighbours, run on blocks of 64 residues that are
//! transposed first, so that a vector never combines its own lanes; the values stay in that order, which is the same for all primes and
//! vector units.

use super::{
    Prime,
    kernel::{Factor, subtract_once},
};
use crate::math::vector::{DIGIT_BITS, Task, Unit};

/// Least degree.
pub(super) const MIN_DEGREE: usize = BLOCK;
/// Residues that the last three layers treat together: eight runs of eight.
const BLOCK: usize = 64;
const RUN: usize = 8;
/// Roots that a block needs: one, two and four for every run.
const BLOCK_ROOTS: usize = 7 * RUN;

/// Powers of a root of unity and their ratios to the prime, which the last three layers want in the order of their use.
#[derive(Debug)]
struct Roots {
    /// layer by layer, from the one with the longest steps, in bit-reversed order
    long: Vec<Factor>,
    /// block by block: values, and ratios
    values: Vec<u64>,
    ratios: Vec<u64>,
}

impl Roots {
    fn new(prime: Prime, degree: usize, root: u64) -> Self {
        let bits = degree.trailing_zeros();
        let mut powers = vec![1; degree];
        for at in 1..degree {
            powers[at] = prime.multiply(powers[at - 1], root);
        }
        let factor = |index: usize| {
            let reversed = index.reverse_bits() >> (usize::BITS - bits);
            Factor::new(prime, powers[reversed])
        };
        let mut short = Vec::with_capacity(degree / BLOCK * BLOCK_ROOTS);
        for block in 0..degree / BLOCK {
            for (layer, count) in [(3, 1), (2, 2), (1, 4)] {
                for part in 0..count {
                    let runs = block * RUN..(block + 1) * RUN;
                    short.extend(runs.map(|run| factor((degree >> layer) + run * count + part)));
                }
            }
        }
        Self {
            long: (0..degree / RUN).map(factor).collect(),
            values: short.iter().map(|factor| factor.value).collect(),
            ratios: short.iter().map(|factor| factor.ratio).collect(),
        }
    }
}

/// The tables of one degree and prime.
#[derive(Debug)]
pub(super) struct Transform {
    prime: Prime,
    degree: usize,
    forward: Roots,
    inverse: Roots,
    /// 1/N
    scale: Factor,
}

impl Transform {
    /// From a primitive 2N-th root of unity.
    pub(super) fn new(prime: Prime, degree: usize, root: u64) -> Self {
        Self {
            prime,
            degree,
            forward: Roots::new(prime, degree, root),
            inverse: Roots::new(prime, degree, prime.invert(root)),
            scale: Factor::new(prime, prime.invert(prime.reduce(degree as u64))),
        }
    }
}

/// Coefficients to values.
pub(super) struct Forward<'a> {
    pub(super) transform: &'a Transform,
    pub(super) row: &'a mut [u64],
}

/// Values to coefficients.
pub(super) struct Inverse<'a> {
    pub(super) transform: &'a Transform,
    pub(super) row: &'a mut [u64],
}

/// A prime in the forms that butterflies need.
#[derive(Clone, Copy)]
struct Modulus<U: Unit> {
    digit: U::Digit,
    once: U::Sum,
    twice: U::Sum,
}

/// A root and its ratio, in all lanes or one a lane.
type Root<U> = [<U as Unit>::Digit; 2];

#[expect(clippy::inline_always, reason = "part of a task")]
impl<U: Unit> Modulus<U> {
    #[inline(always)]
    fn new(unit: U, prime: Prime) -> Self {
        let value = prime.value();
        Self { digit: unit.digit(value), once: unit.sum(value), twice: unit.sum(2 * value) }
    }

    /// `(a + root b, a - root b)`, from numbers below 4p to such.
    #[inline(always)]
    fn spread(&self, unit: U, a: U::Sum, b: U::Sum, root: &Root<U>) -> (U::Sum, U::Sum) {
        let a = subtract_once(unit, a, self.twice);
        let b = unit.reduced_product(unit.low_digit(b), root[0], root[1], self.digit);
        (unit.add(a, b), unit.add(a, unit.subtract(self.twice, b)))
    }

    /// `(a + b, (a - b) root)`, from numbers below 2p to such.
    #[inline(always)]
    fn gather(&self, unit: U, a: U::Sum, b: U::Sum, root: &Root<U>) -> (U::Sum, U::Sum) {
        let difference = unit.add(a, unit.subtract(self.twice, b));
        let product = unit.reduced_product(unit.low_digit(difference), root[0], root[1], self.digit);
        (subtract_once(unit, unit.add(a, b), self.twice), product)
    }
}

#[expect(clippy::inline_always, reason = "part of a task")]
#[inline(always)]
fn splat<U: Unit>(unit: U, factor: Factor) -> Root<U> {
    [unit.digit(factor.value), unit.digit(factor.ratio)]
}

/// The roots of a block for some of its runs: `part` counts through one, two and four for the layers.
#[expect(clippy::inline_always, reason = "part of a task")]
#[inline(always)]
fn short_root<U: Unit>(unit: U, roots: &Roots, block: usize, part: usize, run: usize) -> Root<U> {
    let at = block * BLOCK_ROOTS + part * RUN + run;
    [unit.load(&roots.values[at..at + U::LANES]), unit.load(&roots.ratios[at..at + U::LANES])]
}

/// Where a block's eight vectors are that hold the same place of some runs.
#[expect(clippy::inline_always, reason = "part of a task")]
#[inline(always)]
fn load_runs<U: Unit>(unit: U, block: &[u64; BLOCK], run: usize) -> [U::Sum; RUN] {
    let mut vectors = [unit.sum(0); RUN];
    for (place, vector) in vectors.iter_mut().enumerate() {
        *vector = unit.load_sum(&block[RUN * place + run..RUN * place + run + U::LANES]);
    }
    vectors
}

#[expect(clippy::inline_always, reason = "part of a task")]
#[inline(always)]
fn store_runs<U: Unit>(unit: U, vectors: &[U::Sum; RUN], block: &mut [u64; BLOCK], run: usize) {
    for (place, vector) in vectors.iter().enumerate() {
        unit.store_sum(*vector, &mut block[RUN * place + run..RUN * place + run + U::LANES]);
    }
}

#[expect(clippy::inline_always, reason = "part of a task")]
#[inline(always)]
fn transpose(block: &mut [u64; BLOCK]) {
    for row in 0..RUN {
        for column in row + 1..RUN {
            block.swap(RUN * row + column, RUN * column + row);
        }
    }
}

/// The pairs of a layer among eight places, with the number of the root that each takes.
const SHORT_LAYERS: [[(usize, usize, usize); 4]; 3] = [
    [(0, 4, 0), (1, 5, 0), (2, 6, 0), (3, 7, 0)],
    [(0, 2, 1), (1, 3, 1), (4, 6, 2), (5, 7, 2)],
    [(0, 1, 3), (2, 3, 4), (4, 5, 5), (6, 7, 6)],
];

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
impl Task for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<U: Unit>(self, unit: U) {
        let Self { transform: Transform { prime, degree, forward: roots, .. }, row } = self;
        let modulus = Modulus::new(unit, *prime);
        let mut step = degree / 2;
        // Two layers at once, after one by itself where their number is odd.
        if (degree.trailing_zeros() - 3) % 2 == 1 {
            let root = splat(unit, roots.long[1]);
            let (left, right) = row.split_at_mut(step);
            for (left, right) in left.chunks_exact_mut(U::LANES).zip(right.chunks_exact_mut(U::LANES)) {
                let (a, b) = modulus.spread(unit, unit.load_sum(left), unit.load_sum(right), &root);
                unit.store_sum(a, left);
                unit.store_sum(b, right);
            }
            step /= 2;
        }
        while step >= 2 * RUN {
            let quarter = step / 2;
            let blocks = degree / (2 * step);
            for (index, block) in row.chunks_exact_mut(2 * step).enumerate() {
                let first = splat(unit, roots.long[blocks + index]);
                let second = splat(unit, roots.long[2 * (blocks + index)]);
                let third = splat(unit, roots.long[2 * (blocks + index) + 1]);
                let (left, right) = block.split_at_mut(step);
                let ((a, b), (c, d)) = (left.split_at_mut(quarter), right.split_at_mut(quarter));
                let lanes = a.chunks_exact_mut(U::LANES).zip(b.chunks_exact_mut(U::LANES));
                let lanes = lanes.zip(c.chunks_exact_mut(U::LANES)).zip(d.chunks_exact_mut(U::LANES));
                for (((a, b), c), d) in lanes {
                    let (x, z) = modulus.spread(unit, unit.load_sum(a), unit.load_sum(c), &first);
                    let (y, w) = modulus.spread(unit, unit.load_sum(b), unit.load_sum(d), &first);
                    let (x, y) = modulus.spread(unit, x, y, &second);
                    let (z, w) = modulus.spread(unit, z, w, &third);
                    unit.store_sum(x, a);
                    unit.store_sum(y, b);
                    unit.store_sum(z, c);
                    unit.store_sum(w, d);
                }
            }
            step /= 4;
        }
        for (index, block) in row.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
            transpose(block);
            for run in (0..RUN).step_by(U::LANES) {
                let mut x = load_runs(unit, block, run);
                for layer in SHORT_LAYERS {
                    for (a, b, part) in layer {
                        let root = short_root(unit, roots, index, part, run);
                        (x[a], x[b]) = modulus.spread(unit, x[a], x[b], &root);
                    }
                }
                for x in &mut x {
                    *x = subtract_once(unit, subtract_once(unit, *x, modulus.twice), modulus.once);
                }
                store_runs(unit, &x, block, run);
            }
        }
    }
}

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
impl Task for Inverse<'_> {
    type Output = ();

    #[inline(always)]
    fn run<U: Unit>(self, unit: U) {
        let Self { transform: Transform { prime, degree, inverse: roots, scale, .. }, row } = self;
        let modulus = Modulus::new(unit, *prime);
        for (index, block) in row.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
            for run in (0..RUN).step_by(U::LANES) {
                let mut x = load_runs(unit, block, run);
                for layer in SHORT_LAYERS.iter().rev() {
                    for (a, b, part) in *layer {
                        let root = short_root(unit, roots, index, part, run);
                        (x[a], x[b]) = modulus.gather(unit, x[a], x[b], &root);
                    }
                }
                store_runs(unit, &x, block, run);
            }
            transpose(block);
        }
        let mut step = RUN;
        while 4 * step <= *degree {
            let blocks = degree / (4 * step);
            for (index, block) in row.chunks_exact_mut(4 * step).enumerate() {
                let first = splat(unit, roots.long[blocks + index]);
                let second = splat(unit, roots.long[2 * (blocks + index)]);
                let third = splat(unit, roots.long[2 * (blocks + index) + 1]);
                let (left, right) = block.split_at_mut(2 * step);
                let ((a, b), (c, d)) = (left.split_at_mut(step), right.split_at_mut(step));
                let lanes = a.chunks_exact_mut(U::LANES).zip(b.chunks_exact_mut(U::LANES));
                let lanes = lanes.zip(c.chunks_exact_mut(U::LANES)).zip(d.chunks_exact_mut(U::LANES));
                for (((a, b), c), d) in lanes {
                    let (x, y) = modulus.gather(unit, unit.load_sum(a), unit.load_sum(b), &second);
                    let (z, w) = modulus.gather(unit, unit.load_sum(c), unit.load_sum(d), &third);
                    let (x, z) = modulus.gather(unit, x, z, &first);
                    let (y, w) = modulus.gather(unit, y, w, &first);
                    unit.store_sum(x, a);
                    unit.store_sum(y, b);
                    unit.store_sum(z, c);
                    unit.store_sum(w, d);
                }
            }
            step *= 4;
        }
        if step < *degree {
            let root = splat(unit, roots.long[1]);
            let (left, right) = row.split_at_mut(step);
            for (left, right) in left.chunks_exact_mut(U::LANES).zip(right.chunks_exact_mut(U::LANES)) {
                let (a, b) = modulus.gather(unit, unit.load_sum(left), unit.load_sum(right), &root);
                unit.store_sum(a, left);
                unit.store_sum(b, right);
            }
        }
        let scale = splat(unit, *scale);
        for lanes in row.chunks_exact_mut(U::LANES) {
            let product = unit.reduced_product(unit.load(lanes), scale[0], scale[1], modulus.digit);
            unit.store_sum(subtract_once(unit, product, modulus.once), lanes);
        }
    }
}

/// The sum of residues and of products of residues with residues, at most [`MAX_TERMS`](super::kernel::MAX_TERMS) of them.
pub(super) struct InnerProduct<'a> {
    pub(super) prime: Prime,
    pub(super) sum: &'a mut [u64],
    pub(super) terms: &'a [(&'a [u64], &'a [u64])],
}

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
impl Task for InnerProduct<'_> {
    type Output = ();

    #[inline(always)]
    fn run<U: Unit>(self, unit: U) {
        let Self { prime, sum, terms } = self;
        let modulus = Modulus::new(unit, prime);
        let radix = splat(unit, Factor::new(prime, prime.reduce(1 << DIGIT_BITS)));
        let one = splat(unit, Factor::new(prime, 1));
        let count = terms.len() as u64;
        let start =
            [U::LOW_BIAS, U::HIGH_BIAS].map(|bias| unit.sum(0_u64.wrapping_sub(bias.wrapping_mul(count))));
        for (at, lanes) in (0..).step_by(U::LANES).zip(sum.chunks_exact_mut(U::LANES)) {
            let [low, mut high] = start;
            let mut low = unit.add(low, unit.load_sum(lanes));
            for (left, right) in terms {
                let (left, right) = (&left[at..at + U::LANES], &right[at..at + U::LANES]);
                (low, high) = unit.multiply_add(low, high, unit.load(left), unit.load(right));
            }
            let high = unit.add(high, unit.carry(low));
            let upper = unit.reduced_product(unit.low_digit(high), radix[0], radix[1], modulus.digit);
            let lower = unit.reduced_product(unit.low_digit(low), one[0], one[1], modulus.digit);
            let total = subtract_once(unit, unit.add(upper, lower), modulus.twice);
            unit.store_sum(subtract_once(unit, total, modulus.once), lanes);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tfhe_ntt::prime64::Plan;

    use super::*;
    use crate::math::{
        rns::{ntt::primitive_root, prime::transform_primes},
        vector::Engine,
    };

    fn numbers(count: usize, below: u64, seed: u64) -> Vec<u64> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            if state.is_multiple_of(7) { below - 1 } else { (state >> 3) % below }
        };
        (0..count).map(|_| next()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        /// Against another library's transform, on every vector unit; odd and even numbers of layers.
        #[test]
        fn products_are_those_of_tfhe_ntt(
            log_degree in 6_u32..14,
            bits in prop::sample::select(vec![17_u32, 30, 45, 50]),
            seed: u64,
        ) {
            let degree = 1_usize << log_degree;
            let value = transform_primes(bits, degree, 1, &[]).unwrap()[0];
            let prime = Prime::try_new(value).unwrap();
            let (left, right, sum) =
                (numbers(degree, value, seed), numbers(degree, value, !seed), numbers(degree, value, seed ^ 9));
            let plan = Plan::try_new(degree, value).unwrap();
            let (mut a, mut b, mut expected) = (left.clone(), right.clone(), sum.clone());
            for row in [&mut a, &mut b, &mut expected] {
                plan.fwd(row);
            }
            plan.mul_accumulate(&mut expected, &a, &b);
            plan.mul_accumulate(&mut expected, &a, &a);
            plan.inv(&mut expected);
            plan.normalize(&mut expected);
            let root = primitive_root(prime, degree).unwrap();
            let transform = &Transform::new(prime, degree, root);
            let mut values = None;
            for engine in Engine::available() {
                let (mut a, mut b, mut product) = (left.clone(), right.clone(), sum.clone());
                for row in [&mut a, &mut b, &mut product] {
                    engine.run(Forward { transform, row });
                }
                // The order of values is the same everywhere.
                prop_assert_eq!(values.get_or_insert_with(|| a.clone()), &a);
                engine.run(InnerProduct { prime, sum: &mut product, terms: &[(&a, &b), (&a, &a)] });
                engine.run(Inverse { transform, row: &mut product });
                prop_assert_eq!(&product, &expected, "{}", engine);
                engine.run(Inverse { transform, row: &mut a });
                prop_assert_eq!(&a, &left, "{}", engine);
            }
        }
    }
}
