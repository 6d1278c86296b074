//! Sums of products of residues, reduced once for as many products as the unit takes.

use super::Prime;
use crate::math::vector::{Task, Unit};

/// Terms that are summed at once: their number is known to the compiler.
const GROUP: usize = 4;

/// Vectors of a row that are taken at once.
const VECTORS: usize = 4;

/// A row, and those that it is multiplied with for each of the sums.
pub(super) type Term<'a, const COUNT: usize> = (&'a [u64], [&'a [u64]; COUNT]);

/// Sums of products of rows with rows, each with one of the other factors, and with what is in the sums before where that is asked for.
pub(super) struct SumsOfProducts<'a, 'r, const COUNT: usize> {
    pub(super) prime: Prime,
    pub(super) add: bool,
    pub(super) sums: [&'r mut [u64]; COUNT],
    pub(super) terms: &'a [Term<'a, COUNT>],
}

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
impl<const COUNT: usize> Task for SumsOfProducts<'_, '_, COUNT> {
    type Output = ();

    #[inline(always)]
    fn run<U: Unit>(self, unit: U) {
        const { assert!(U::TERMS >= GROUP, "a group is a sum") };
        let Self { prime, mut add, mut sums, terms } = self;
        let modulus = unit.modulus(prime.value());
        if terms.is_empty() && !add {
            for sum in &mut sums {
                sum.fill(0);
            }
        }
        for group in terms.chunks(GROUP) {
            match *group {
                [a] => add_group(unit, &modulus, add, &mut sums, [a]),
                [a, b] => add_group(unit, &modulus, add, &mut sums, [a, b]),
                [a, b, c] => add_group(unit, &modulus, add, &mut sums, [a, b, c]),
                [a, b, c, d] => add_group(unit, &modulus, add, &mut sums, [a, b, c, d]),
                _ => {}
            }
            add = true;
        }
    }
}

/// The sums of some terms, and of what was there.
#[expect(clippy::inline_always, reason = "part of a task")]
#[inline(always)]
fn add_group<U: Unit, const TERMS: usize, const COUNT: usize>(
    unit: U,
    modulus: &U::Modulus,
    add: bool,
    sums: &mut [&mut [u64]; COUNT],
    terms: [Term<'_, COUNT>; TERMS],
) {
    let width = sums[0].len();
    let zero = unit.constant(0);
    // Some vectors of a row after each other: the rows are often a multiple of a page apart, and so many lines in turn would
    // evict each other from the first cache.
    for start in (0..width).step_by(VECTORS * U::LANES) {
        let mut products = [[unit.products(zero); COUNT]; VECTORS];
        if add {
            for (vector, products) in products.iter_mut().enumerate() {
                let at = start + vector * U::LANES;
                for (product, sum) in products.iter_mut().zip(&*sums) {
                    *product = unit.products(unit.enter(&sum[at..at + U::LANES]));
                }
            }
        }
        for (left, rights) in &terms {
            let mut lefts = [zero; VECTORS];
            for (vector, value) in lefts.iter_mut().enumerate() {
                let at = start + vector * U::LANES;
                *value = unit.enter(&left[at..at + U::LANES]);
            }
            for (which, right) in rights.iter().enumerate() {
                for (vector, products) in products.iter_mut().enumerate() {
                    let at = start + vector * U::LANES;
                    let right = unit.enter(&right[at..at + U::LANES]);
                    products[which] = unit.add_product(products[which], lefts[vector], right);
                }
            }
        }
        for (vector, products) in products.into_iter().enumerate() {
            let at = start + vector * U::LANES;
            for (product, sum) in products.into_iter().zip(&mut *sums) {
                unit.finish(unit.total(product, modulus), modulus, &mut sum[at..at + U::LANES]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::math::{
        rns::{prime::transform_primes, transform::tests::numbers},
        vector::Engine,
    };

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        /// Against the definition; more terms than any unit sums at once.
        #[test]
        fn sums_of_products_are_those_of_residues(
            count in 0_usize..20,
            bits in prop::sample::select(vec![17_u32, 49, 50]),
            add: bool,
            edge: bool,
            seed: u64,
        ) {
            let value = transform_primes(bits, 64, 1, &[]).unwrap()[0];
            let prime = Prime::try_new(value).unwrap();
            let row = |at: u64| numbers(64, value, seed ^ at);
            let mut rows: Vec<[Vec<u64>; 3]> = (0..count as u64).map(|at| [row(3 * at), row(3 * at + 1), row(3 * at + 2)]).collect();
            if edge && bits >= 49 {
                // Products that floating point leaves as much of as it ever does: near 2^50 modulo 2^51.
                let odd = value - 2;
                let inverse = (0..6).fold(odd, |inverse, _| inverse.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(inverse))));
                let left = |off: u64| inverse.wrapping_mul((1 << 50) - off) % (1 << 51);
                let left = (seed % 1000..seed % 1000 + 1000).map(left).find(|left| *left < value).unwrap();
                for row in &mut rows {
                    *row = [vec![left; 64], vec![odd; 64], vec![odd; 64]];
                }
            }
            let terms: Vec<(&[u64], [&[u64]; 2])> = rows.iter().map(|[a, b, c]| (&a[..], [&b[..], &c[..]])).collect();
            let start = [row(98), row(99)];
            let expected = [0, 1].map(|half: usize| (0..64).map(|i| {
                let base = if add { start[half][i] } else { 0 };
                rows.iter().fold(base, |sum, row| prime.add(sum, prime.multiply(row[0][i], row[half + 1][i])))
            }).collect::<Vec<_>>());
            for engine in Engine::available() {
                let mut sums = start.clone();
                engine.run(SumsOfProducts { prime, add, sums: sums.each_mut().map(|sum| &mut sum[..]), terms: &terms });
                prop_assert_eq!(&sums, &expected, "{}", engine);
            }
        }
    }
}
