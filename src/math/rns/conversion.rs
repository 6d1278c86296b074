//! From residues modulo some primes to residues modulo others.
//!
//! A number modulo Q = `q_1` ... `q_k` is `sum y_i Q/q_i - v Q` with `y_i = x (Q/q_i)^-1` modulo `q_i`, and v is the sum of the `y_i / q_i`,
//! rounded: to the nearest integer for the number of least magnitude. The sum is taken in double precision, or in units of 2^-46,
//! (Halevi, Polyakov and Shoup, CT-RSA 2019, section 2.2), whose error matters only for numbers within Q 2^-40 of
//! Q/2, and there gives x + Q or x - Q in place of x: the same for all target primes.

use num_bigint::BigUint;
use num_traits::One;

use zeroize::Zeroizing;

use super::{
    Prime,
    buffer::Buffer,
    kernel::{self, Convert, Tables},
};
use crate::math::{pool::for_each, vector::Engine};

/// Coefficients that are converted together.
const BLOCK: usize = 1024;

/// The constants of a conversion.
#[derive(Debug, Clone)]
pub struct Conversion {
    from: Vec<Prime>,
    to: Vec<Prime>,
    /// (Q/q_i)^-1 modulo `q_i`: the weights
    inverses: Vec<u64>,
    /// 1 / `q_i`
    reciprocals: Vec<f64>,
    /// for every target prime: `Q/q_i`, and -Q
    factors: Vec<(Vec<u64>, u64)>,
    /// the same for vectors, where they take it
    tables: Option<Tables>,
}

impl Conversion {
    /// From residues modulo distinct primes to residues modulo others.
    pub fn new(from: &[Prime], to: &[Prime]) -> Self {
        Self::with_factors(from, to, &vec![1; to.len()])
    }

    /// The same, with results multiplied by a factor for each of the others.
    pub fn with_factors(from: &[Prime], to: &[Prime], times: &[u64]) -> Self {
        let product: BigUint = from.iter().fold(BigUint::one(), |product, prime| product * prime.value());
        let others: Vec<BigUint> = from.iter().map(|prime| &product / prime.value()).collect();
        let inverse = |(prime, others): (&Prime, &BigUint)| prime.invert(prime.reduce_big(others));
        let inverses: Vec<u64> = from.iter().zip(&others).map(inverse).collect();
        let factors: Vec<(Vec<u64>, u64)> = to
            .iter()
            .zip(times)
            .map(|(prime, times)| {
                let times = |number| prime.multiply(prime.reduce_big(number), *times);
                (others.iter().map(times).collect(), prime.negate(times(&product)))
            })
            .collect();
        let joined = factors.iter().map(|(factors, less)| factors.iter().chain([less]).copied().collect());
        let targets: Vec<(Prime, Vec<u64>)> = to.iter().copied().zip(joined).collect();
        Self {
            tables: Tables::try_new(from, &targets),
            from: from.to_vec(),
            to: to.to_vec(),
            inverses,
            reciprocals: from.iter().map(|prime| 1.0 / prime.value() as f64).collect(),
            factors,
        }
    }

    /// Rows of coefficients modulo the targets, one after the other, from such rows modulo the sources: of the integers of least magnitude.
    ///
    /// # Panics
    /// When there is not one source row of `degree` coefficients a prime.
    pub fn convert(&self, rows: &[u64], degree: usize) -> Vec<u64> {
        self.convert_with(Engine::fastest(), rows, degree)
    }

    fn convert_with(&self, engine: Engine, rows: &[u64], degree: usize) -> Vec<u64> {
        // What is decrypted passes here.
        let mut weighted = Zeroizing::new(Buffer::from(rows));
        let rows = weighted.chunks_exact_mut(degree).zip(&self.from).zip(&self.inverses);
        for_each(rows, |((row, prime), weight)| kernel::scale(*prime, row, *weight));
        let mut out = vec![0; degree * self.to.len()];
        self.convert_weighted_with(engine, &weighted, degree, out.chunks_exact_mut(degree));
        out
    }

    /// What residues modulo each source are multiplied with first.
    pub fn weights(&self) -> &[u64] {
        &self.inverses
    }

    /// As [`convert`](Self::convert), of residues that were multiplied with the [`weights`](Self::weights), to one row a target.
    ///
    /// # Panics
    /// When there is not one row of `degree` coefficients a prime.
    pub fn convert_weighted<'a>(
        &self,
        rows: &[u64],
        degree: usize,
        out: impl ExactSizeIterator<Item = &'a mut [u64]>,
    ) {
        self.convert_weighted_with(Engine::fastest(), rows, degree, out);
    }

    fn convert_weighted_with<'a>(
        &self,
        engine: Engine,
        rows: &[u64],
        degree: usize,
        out: impl ExactSizeIterator<Item = &'a mut [u64]>,
    ) {
        assert!(rows.len() == degree * self.from.len() && out.len() == self.to.len(), "one row a prime");
        let rows: Vec<&[u64]> = rows.chunks_exact(degree).collect();
        let mut blocks: Vec<Vec<&mut [u64]>> = (0..degree.div_ceil(BLOCK)).map(|_| Vec::new()).collect();
        for row in out {
            assert_eq!(row.len(), degree, "one residue a coefficient");
            for (block, part) in blocks.iter_mut().zip(row.chunks_mut(BLOCK)) {
                block.push(part);
            }
        }
        for_each(blocks.into_iter().enumerate(), |(block, targets)| {
            let range = block * BLOCK..degree.min((block + 1) * BLOCK);
            let rows: Vec<&[u64]> = rows.iter().map(|row| &row[range.clone()]).collect();
            match self.tables.as_ref().filter(|_| range.len().is_multiple_of(8)) {
                Some(tables) => engine.run(Convert { tables, rows: &rows, out: targets }),
                None => self.convert_block(&rows, targets),
            }
        });
    }

    fn convert_block(&self, rows: &[&[u64]], targets: Vec<&mut [u64]>) {
        let mut quotients = vec![0.0; rows.first().map_or(0, |row| row.len())];
        for (reciprocal, row) in self.reciprocals.iter().zip(rows) {
            for (quotient, weighted) in quotients.iter_mut().zip(*row) {
                *quotient += *weighted as f64 * reciprocal;
            }
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "below the number of primes"
        )]
        let quotients: Vec<u64> = quotients.iter().map(|quotient| libm::rint(*quotient) as u64).collect();
        for ((prime, (factors, less)), target) in self.to.iter().zip(&self.factors).zip(targets) {
            for (out, quotient) in target.iter_mut().zip(&quotients) {
                *out = prime.multiply(prime.reduce(*quotient), *less);
            }
            for (factor, row) in factors.iter().zip(rows) {
                for (out, weighted) in target.iter_mut().zip(*row) {
                    *out = prime.add(*out, prime.multiply(prime.reduce(*weighted), *factor));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use num_bigint::BigInt;
    use proptest::prelude::*;

    use super::*;
    use crate::math::rns::prime::transform_primes;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn residues_are_those_of_the_integer_of_least_magnitude(
            count in 1_usize..6,
            bits in prop::sample::select(vec![30_u32, 45, 50]),
            words in prop::collection::vec(any::<u32>(), 10),
            shift in 0_u32..300,
        ) {
            let from: Vec<_> = transform_primes(bits, 16, count, &[]).unwrap();
            let to = [transform_primes(50, 16, 2, &from).unwrap(), vec![65_537, 17]].concat();
            let primes = |list: &[u64]| list.iter().map(|&prime| Prime::try_new(prime).unwrap()).collect::<Vec<_>>();
            let (from, to) = (primes(&from), primes(&to));
            let product: BigUint = from.iter().map(|prime| BigUint::from(prime.value())).product();
            let number = (BigUint::from_slice(&words) >> shift) % &product;
            let centred = if &number * 2_u32 > product { BigInt::from(number.clone()) - BigInt::from(product) } else { number.clone().into() };
            let rows: Vec<u64> = from.iter().map(|prime| prime.reduce_big(&number)).collect();
            let expected: Vec<u64> = to.iter().map(|prime| {
                let residue = prime.reduce_big(centred.magnitude());
                if centred < BigInt::ZERO { prime.negate(residue) } else { residue }
            }).collect();
            // One number in integers, and eight of them in vectors, of which the last is different.
            let conversion = Conversion::new(&from, &to);
            prop_assert_eq!(conversion.convert(&rows, 1), expected.clone());
            let mut many: Vec<u64> = rows.iter().flat_map(|residue| [*residue; 16]).collect();
            for (row, prime) in many.chunks_exact_mut(16).zip(&from) {
                row[15] = prime.value() - 1;
            }
            let mut wide: Vec<u64> = expected.iter().flat_map(|residue| [*residue; 16]).collect();
            for (row, prime) in wide.chunks_exact_mut(16).zip(&to) {
                row[15] = prime.value() - 1;
            }
            prop_assert_eq!(conversion.tables.is_some(), true);
            for engine in Engine::available() {
                prop_assert_eq!(&conversion.convert_with(engine, &many, 16), &wide, "{}", engine);
            }
        }
    }
}
