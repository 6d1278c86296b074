//! The transform in vectors, for primes of at most 50 bits and degrees from 64 on.
//!
//! Negacyclic, without a separate twist (Longa and Naehrig, CANS 2016), with Harvey's lazy butterflies: residues are not reduced
//! all the way between the layers. Two layers are done at once, and in parts that stay in the first cache as soon as they are small enough.
//! The last three layers, which combine neighbours, run on blocks of 64 residues that are transposed first, so that a vector never
//! combines its own lanes; the values stay in that order, which is the same for all primes and vector units.

use super::{Prime, buffer::Buffer};
use crate::math::vector::{Engine, Task, Unit};

/// Least degree.
pub(super) const MIN_DEGREE: usize = BLOCK;
/// Residues that the last three layers treat together: eight runs of eight.
const BLOCK: usize = 64;
const RUN: usize = 8;
/// Roots that a block needs: one, two and four for every run.
const BLOCK_ROOTS: usize = 7 * RUN;
/// Residues that stay in the first cache, with the roots that they need: all layers of such a part are done before the next part.
const PART: usize = 2048;

/// Powers of a root of unity as factors in a unit's words, which the last three layers want in the order of their use.
#[derive(Debug)]
struct Roots {
    /// layer by layer, from the one with the longest steps, in bit-reversed order
    long: Vec<[u64; 2]>,
    /// block by block: values, and ratios where the unit needs them
    values: Buffer,
    ratios: Buffer,
}

/// Makes the roots in the words of a unit.
struct MakeRoots {
    prime: Prime,
    degree: usize,
    root: u64,
}

impl Task for MakeRoots {
    type Output = Roots;

    fn run<U: Unit>(self, _: U) -> Roots {
        let Self { prime, degree, root } = self;
        let bits = degree.trailing_zeros();
        let mut powers = vec![1; degree];
        for at in 1..degree {
            powers[at] = prime.multiply(powers[at - 1], root);
        }
        let factor = |index: usize| {
            let reversed = index.reverse_bits() >> (usize::BITS - bits);
            U::words(powers[reversed], prime.value())
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
        let row = |word: usize, short: &[[u64; 2]]| {
            Buffer::from(&short.iter().map(|words| words[word]).collect::<Vec<_>>()[..])
        };
        Roots {
            long: (0..degree / RUN).map(factor).collect(),
            values: row(0, &short),
            ratios: row(1, if U::RATIOS { &short } else { &[] }),
        }
    }
}

/// The tables of one degree and prime, for one engine.
#[derive(Debug)]
pub(super) struct Transform {
    engine: Engine,
    prime: Prime,
    degree: usize,
    forward: Roots,
    inverse: Roots,
    /// 1/N, and the last root of the inverse
    scale: u64,
    last: u64,
}

impl Transform {
    /// From a primitive 2N-th root of unity.
    pub(super) fn new(engine: Engine, prime: Prime, degree: usize, root: u64) -> Self {
        let roots = |root| engine.run(MakeRoots { prime, degree, root });
        let inverse = prime.invert(root);
        Self {
            engine,
            prime,
            degree,
            forward: roots(root),
            inverse: roots(inverse),
            scale: prime.invert(prime.reduce(degree as u64)),
            last: prime.power(inverse, degree as u64 / 2),
        }
    }

    /// Coefficients to values.
    pub(super) fn forward(&self, row: &mut [u64]) {
        self.engine.run(Forward { transform: self, row });
    }

    /// Values to coefficients times a residue.
    pub(super) fn inverse_times(&self, row: &mut [u64], factor: u64) {
        let scale = self.prime.multiply(self.scale, factor);
        self.engine.run(Inverse { transform: self, row, scale });
    }
}

/// Coefficients to values.
struct Forward<'a> {
    transform: &'a Transform,
    row: &'a mut [u64],
}

/// Values to coefficients, times N and a factor.
struct Inverse<'a> {
    transform: &'a Transform,
    row: &'a mut [u64],
    scale: u64,
}

/// What layers are done with.
#[derive(Clone, Copy)]
struct Layers<'a, U: Unit> {
    unit: U,
    degree: usize,
    modulus: U::Modulus,
    roots: &'a Roots,
}

/// The pairs of a layer among eight places, with the number of the root that each takes.
const SHORT_LAYERS: [[(usize, usize, usize); 4]; 3] = [
    [(0, 4, 0), (1, 5, 0), (2, 6, 0), (3, 7, 0)],
    [(0, 2, 1), (1, 3, 1), (4, 6, 2), (5, 7, 2)],
    [(0, 1, 3), (2, 3, 4), (4, 5, 5), (6, 7, 6)],
];

#[expect(clippy::inline_always, reason = "part of a task")]
impl<U: Unit> Layers<'_, U> {
    /// The number of the block of a size that starts at `at`, in a tree whose root is 1.
    #[inline(always)]
    fn node(&self, at: usize, size: usize) -> usize {
        (self.degree + at) / size
    }

    /// The root of such a block.
    #[inline(always)]
    fn root(&self, node: usize) -> U::Factor {
        self.unit.factor(self.roots.long[node])
    }

    /// A block's residues, from numbers below the prime in the transform's first layer.
    #[inline(always)]
    fn load<const FIRST: bool>(&self, lanes: &[u64]) -> U::Digit {
        if FIRST { self.unit.enter(lanes) } else { self.unit.reload(lanes) }
    }

    /// The roots of a block of 64 for some of its runs: `part` counts through one, two and four for the layers.
    #[inline(always)]
    fn short_root(&self, block: usize, part: usize, run: usize) -> U::Factor {
        let at = block * BLOCK_ROOTS + part * RUN + run;
        self.unit.load_factors(&self.roots.values, &self.roots.ratios, at)
    }

    /// One layer.
    #[inline(always)]
    fn spread_once<const FIRST: bool>(&self, block: &mut [u64], node: usize) {
        let Self { unit, modulus, .. } = self;
        let root = self.root(node);
        let (left, right) = block.split_at_mut(block.len() / 2);
        for (left, right) in left.chunks_exact_mut(U::LANES).zip(right.chunks_exact_mut(U::LANES)) {
            let (a, b) = unit.spread(self.load::<FIRST>(left), self.load::<FIRST>(right), &root, modulus);
            unit.keep(a, left);
            unit.keep(b, right);
        }
    }

    /// Two layers. In floating point at most p becomes at most 3p; what comes in is at most 3p and tight where it is not multiplied.
    #[inline(always)]
    fn spread_twice<const FIRST: bool>(&self, block: &mut [u64], node: usize) {
        let Self { unit, modulus, .. } = self;
        let roots = [self.root(node), self.root(2 * node), self.root(2 * node + 1)];
        let (left, right) = block.split_at_mut(block.len() / 2);
        let ((a, b), (c, d)) = (left.split_at_mut(left.len() / 2), right.split_at_mut(right.len() / 2));
        let lanes = a.chunks_exact_mut(U::LANES).zip(b.chunks_exact_mut(U::LANES));
        let lanes = lanes.zip(c.chunks_exact_mut(U::LANES)).zip(d.chunks_exact_mut(U::LANES));
        for (((a, b), c), d) in lanes {
            let (mut x, mut y) = (self.load::<FIRST>(a), self.load::<FIRST>(b));
            if !FIRST {
                (x, y) = (unit.tighten(x, modulus), unit.tighten(y, modulus));
            }
            let (x, z) = unit.spread(x, self.load::<FIRST>(c), &roots[0], modulus);
            let (y, w) = unit.spread(y, self.load::<FIRST>(d), &roots[0], modulus);
            let (x, y) = unit.spread(x, y, &roots[1], modulus);
            let (z, w) = unit.spread(z, w, &roots[2], modulus);
            unit.keep(x, a);
            unit.keep(y, b);
            unit.keep(z, c);
            unit.keep(w, d);
        }
    }

    /// All layers of a part that starts at `at`, from blocks of a size on, to numbers below the prime.
    #[inline(always)]
    fn spread_part(&self, part: &mut [u64], at: usize, mut size: usize) {
        let Self { unit, modulus, .. } = self;
        while size > RUN {
            for (node, block) in (self.node(at, size)..).zip(part.chunks_exact_mut(size)) {
                self.spread_twice::<false>(block, node);
            }
            size /= 4;
        }
        for (index, block) in (at / BLOCK..).zip(part.as_chunks_mut::<BLOCK>().0) {
            let copy = if U::LANES < RUN { *block } else { [0; BLOCK] };
            for run in (0..RUN).step_by(U::LANES) {
                let mut x = unit.reload_transposed(if U::LANES < RUN { &copy } else { block }, run);
                // At most 3p again becomes p and three times that much more.
                for x in &mut x[..RUN / 2] {
                    *x = unit.tighten(*x, modulus);
                }
                for layer in SHORT_LAYERS {
                    for (a, b, part) in layer {
                        let root = self.short_root(index, part, run);
                        (x[a], x[b]) = unit.spread(x[a], x[b], &root, modulus);
                    }
                }
                for (place, x) in x.into_iter().enumerate() {
                    let at = RUN * place + run;
                    unit.leave(x, modulus, &mut block[at..at + U::LANES]);
                }
            }
        }
    }

    /// The layers of a part that starts at `at`, of numbers below the prime, up to blocks of a size.
    #[inline(always)]
    fn gather_part(&self, part: &mut [u64], at: usize, size: usize) {
        let Self { unit, modulus, .. } = self;
        for (index, block) in (at / BLOCK..).zip(part.as_chunks_mut::<BLOCK>().0) {
            let copy = if U::LANES < RUN { *block } else { [0; BLOCK] };
            for run in (0..RUN).step_by(U::LANES) {
                let source = if U::LANES < RUN { &copy } else { &*block };
                let mut x = [unit.constant(0); RUN];
                for (place, x) in x.iter_mut().enumerate() {
                    let at = RUN * place + run;
                    *x = unit.enter(&source[at..at + U::LANES]);
                }
                for (number, layer) in SHORT_LAYERS.iter().rev().enumerate() {
                    // Sums of two layers are at most 4p, and products at most p.
                    if number == 2 {
                        (x[0], x[4]) = (unit.tighten(x[0], modulus), unit.tighten(x[4], modulus));
                    }
                    for (a, b, part) in *layer {
                        let root = self.short_root(index, part, run);
                        (x[a], x[b]) = unit.gather(x[a], x[b], &root, modulus);
                    }
                }
                for x in &mut x[..RUN / 2] {
                    *x = unit.tighten(*x, modulus);
                }
                unit.keep_transposed(x, block, run);
            }
        }
        let mut reached = RUN;
        while reached < size {
            reached *= 4;
            for (node, block) in (self.node(at, reached)..).zip(part.chunks_exact_mut(reached)) {
                self.gather_twice(block, node);
            }
        }
    }

    /// Two layers, from residues of at most p to such.
    #[inline(always)]
    fn gather_twice(&self, block: &mut [u64], node: usize) {
        let Self { unit, modulus, .. } = self;
        let roots = [self.root(node), self.root(2 * node), self.root(2 * node + 1)];
        let (left, right) = block.split_at_mut(block.len() / 2);
        let ((a, b), (c, d)) = (left.split_at_mut(left.len() / 2), right.split_at_mut(right.len() / 2));
        let lanes = a.chunks_exact_mut(U::LANES).zip(b.chunks_exact_mut(U::LANES));
        let lanes = lanes.zip(c.chunks_exact_mut(U::LANES)).zip(d.chunks_exact_mut(U::LANES));
        for (((a, b), c), d) in lanes {
            let (x, y) = unit.gather(unit.reload(a), unit.reload(b), &roots[1], modulus);
            let (z, w) = unit.gather(unit.reload(c), unit.reload(d), &roots[2], modulus);
            let (x, z) = unit.gather(x, z, &roots[0], modulus);
            let (y, w) = unit.gather(y, w, &roots[0], modulus);
            unit.keep(unit.tighten(x, modulus), a);
            unit.keep(unit.tighten(y, modulus), b);
            unit.keep(z, c);
            unit.keep(w, d);
        }
    }

    /// The last layer, with a factor for the sums and a root that has it already.
    #[inline(always)]
    fn gather_last(&self, row: &mut [u64], scale: &U::Factor, root: &U::Factor) {
        let Self { unit, modulus, .. } = self;
        let (left, right) = row.split_at_mut(row.len() / 2);
        for (left, right) in left.chunks_exact_mut(U::LANES).zip(right.chunks_exact_mut(U::LANES)) {
            let (a, b) = unit.gather(unit.reload(left), unit.reload(right), root, modulus);
            unit.finish(unit.times(a, scale, modulus), modulus, left);
            unit.finish(b, modulus, right);
        }
    }

    /// The last two layers in the same way.
    #[inline(always)]
    fn gather_last_twice(&self, row: &mut [u64], scale: &U::Factor, root: &U::Factor) {
        let Self { unit, modulus, .. } = self;
        let roots = [self.root(2), self.root(3)];
        let (left, right) = row.split_at_mut(row.len() / 2);
        let ((a, b), (c, d)) = (left.split_at_mut(left.len() / 2), right.split_at_mut(right.len() / 2));
        let lanes = a.chunks_exact_mut(U::LANES).zip(b.chunks_exact_mut(U::LANES));
        let lanes = lanes.zip(c.chunks_exact_mut(U::LANES)).zip(d.chunks_exact_mut(U::LANES));
        for (((a, b), c), d) in lanes {
            let (x, y) = unit.gather(unit.reload(a), unit.reload(b), &roots[0], modulus);
            let (z, w) = unit.gather(unit.reload(c), unit.reload(d), &roots[1], modulus);
            let (x, z) = unit.gather(x, z, root, modulus);
            let (y, w) = unit.gather(y, w, root, modulus);
            unit.finish(unit.times(x, scale, modulus), modulus, a);
            unit.finish(unit.times(y, scale, modulus), modulus, b);
            unit.finish(z, modulus, c);
            unit.finish(w, modulus, d);
        }
    }
}

/// Whether the layers before the last three are odd in number, so that one of them is done by itself.
fn is_odd(degree: usize) -> bool {
    (degree / RUN).trailing_zeros() % 2 == 1
}

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
impl Task for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<U: Unit>(self, unit: U) {
        let Self { transform: &Transform { prime, degree, forward: ref roots, .. }, row } = self;
        let layers = Layers { unit, degree, modulus: unit.modulus(prime.value()), roots };
        let mut size = if is_odd(degree) {
            layers.spread_once::<true>(row, 1);
            degree / 2
        } else {
            layers.spread_twice::<true>(row, 1);
            degree / 4
        };
        while size > PART {
            for (node, block) in (layers.node(0, size)..).zip(row.chunks_exact_mut(size)) {
                layers.spread_twice::<false>(block, node);
            }
            size /= 4;
        }
        let part = size.max(BLOCK);
        for (at, row) in (0..).step_by(part).zip(row.chunks_exact_mut(part)) {
            layers.spread_part(row, at, size);
        }
    }
}

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
impl Task for Inverse<'_> {
    type Output = ();

    #[inline(always)]
    fn run<U: Unit>(self, unit: U) {
        let Self { transform: &Transform { prime, degree, inverse: ref roots, last, .. }, row, scale } = self;
        let layers = Layers { unit, degree, modulus: unit.modulus(prime.value()), roots };
        let end = if is_odd(degree) { degree / 2 } else { degree / 4 };
        let mut size = RUN;
        while 4 * size <= end.min(PART) {
            size *= 4;
        }
        let part = size.max(BLOCK);
        for (at, row) in (0..).step_by(part).zip(row.chunks_exact_mut(part)) {
            layers.gather_part(row, at, size);
        }
        while size < end {
            size *= 4;
            for (node, block) in (layers.node(0, size)..).zip(row.chunks_exact_mut(size)) {
                layers.gather_twice(block, node);
            }
        }
        let factor = |value| unit.factor(U::words(value, prime.value()));
        let (scale, root) = (factor(scale), factor(prime.multiply(scale, last)));
        if is_odd(degree) {
            layers.gather_last(row, &scale, &root);
        } else {
            layers.gather_last_twice(row, &scale, &root);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;
    use tfhe_ntt::prime64::Plan;

    use super::*;
    use crate::math::rns::{ntt::primitive_root, prime::transform_primes, products::SumsOfProducts};

    pub(in crate::math::rns) fn numbers(count: usize, below: u64, seed: u64) -> Vec<u64> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            if state.is_multiple_of(7) { below - 1 } else { (state >> 3) % below }
        };
        (0..count).map(|_| next()).collect()
    }

    /// All residues at the ends, where what is not reduced is greatest.
    #[test]
    fn transforms_of_the_greatest_numbers_are_exact() {
        for log_degree in [6, 7, 12, 13, 15] {
            let degree = 1 << log_degree;
            for value in transform_primes(50, degree, 2, &[]).unwrap() {
                let (prime, plan) = (Prime::try_new(value).unwrap(), Plan::try_new(degree, value).unwrap());
                let root = primitive_root(prime, degree).unwrap();
                for pattern in [[value - 1; 2], [value - 1, 0], [value / 2, value / 2 + 1], [1, value - 1]] {
                    let row: Vec<u64> = pattern.into_iter().cycle().take(degree).collect();
                    let mut expected = row.clone();
                    plan.inv(&mut expected);
                    plan.normalize(&mut expected);
                    plan.fwd(&mut expected);
                    assert_eq!(expected, row);
                    let mut portable: Option<[Vec<u64>; 2]> = None;
                    for engine in Engine::available() {
                        let transform = Transform::new(engine, prime, degree, root);
                        let (mut values, mut back) = (row.clone(), row.clone());
                        transform.forward(&mut values);
                        transform.inverse_times(&mut back, value - 1);
                        let both = [values, back];
                        assert_eq!(portable.get_or_insert_with(|| both.clone()), &both, "{engine}");
                        let [mut values, _] = both;
                        transform.inverse_times(&mut values, 1);
                        assert_eq!(values, row, "{engine}");
                    }
                }
            }
        }
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
            let mut values = None;
            let factor = numbers(1, value, seed ^ 5)[0];
            for engine in Engine::available() {
                let transform = &Transform::new(engine, prime, degree, root);
                let (mut a, mut b, mut product) = (left.clone(), right.clone(), sum.clone());
                for row in [&mut a, &mut b, &mut product] {
                    transform.forward(row);
                }
                // The order of values is the same everywhere.
                prop_assert_eq!(values.get_or_insert_with(|| a.clone()), &a);
                let terms = [(&a[..], [&b[..]]), (&a, [&a])];
                engine.run(SumsOfProducts { prime, add: true, sums: [&mut product], terms: &terms });
                transform.inverse_times(&mut product, 1);
                prop_assert_eq!(&product, &expected, "{}", engine);
                transform.inverse_times(&mut a, factor);
                let times: Vec<u64> = left.iter().map(|x| prime.multiply(*x, factor)).collect();
                prop_assert_eq!(&a, &times, "{}", engine);
            }
        }
    }
}
