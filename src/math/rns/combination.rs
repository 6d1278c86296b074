//! Sums of polynomials times integers, and sums with a constant: what a layer of known weights does with ciphertexts.

use num_bigint::{BigInt, BigUint};
use num_integer::Integer;
use num_traits::ToPrimitive;
use rayon::prelude::*;

use super::{Basis, Polynomial, Prime, polynomial::Domain};
use crate::math::pool::for_each;

impl Prime {
    /// Any signed number of any length, reduced.
    pub fn reduce_integer(self, number: &BigInt) -> u64 {
        // From 0 to the modulus by the definition of the floor.
        u64::try_from(number.mod_floor(&self.value().into())).unwrap_or_default()
    }
}

impl Basis {
    /// log2 of half of the basis' product over the greatest coefficient of a polynomial.
    pub fn slack(&self, polynomial: &Polynomial) -> f64 {
        let log2 = |number: &BigUint| {
            // The highest 64 bits say enough.
            let shift = number.bits().saturating_sub(64);
            libm::log2((number >> shift).to_f64().unwrap_or(0.0)) + shift as f64
        };
        let greatest =
            self.lift(polynomial).into_iter().map(BigInt::into_parts).map(|(_, magnitude)| magnitude).max();
        log2(&self.product()) - 1.0 - greatest.map_or(f64::NEG_INFINITY, |greatest| log2(&greatest))
    }

    /// The residues of a signed integer.
    pub fn signed_residues(&self, number: &BigInt) -> Vec<u64> {
        self.primes().map(|prime| prime.reduce_integer(number)).collect()
    }

    /// Adds an integer, given in residues, to every value.
    pub fn add_constant(&self, polynomial: &mut Polynomial, residues: &[u64]) {
        debug_assert_eq!(polynomial.domain(), Domain::Values);
        let degree = self.degree();
        let rows = polynomial.rows_mut().collect::<Vec<_>>().into_par_iter();
        rows.zip(self.transforms()).zip(residues).for_each(|((row, ntt), residue)| {
            let prime = ntt.prime();
            row.iter_mut().take(degree).for_each(|value| *value = prime.add(*value, *residue));
        });
    }

    /// The sum of polynomials of values, which may have further rows that are left out, times integers.
    pub fn combination(&self, terms: &[(&Polynomial, &BigInt)]) -> Polynomial {
        let degree = self.degree();
        let factors: Vec<Vec<u64>> = terms.iter().map(|(_, factor)| self.signed_residues(factor)).collect();
        let mut sum = self.zero(Domain::Values);
        for_each(sum.rows_mut().zip(self.transforms()).enumerate(), |(row, (sum, ntt))| {
            for ((polynomial, _), factor) in terms.iter().zip(&factors) {
                ntt.add_scaled(sum, &polynomial.residues()[row * degree..(row + 1) * degree], factor[row]);
            }
        });
        sum
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::math::rns::prime::transform_primes;

    proptest! {
        /// Beside products with constant polynomials, for primes whose sums of products overflow 128 bits early and late.
        #[test]
        fn combinations_are_sums_of_products(
            bits in prop::sample::select(vec![20_u32, 50, 61]),
            integers in prop::collection::vec(any::<i128>(), 1..90),
            seed: u64,
        ) {
            let degree = 32;
            let basis = Basis::try_new(degree, &transform_primes(bits, degree, 2, &[]).unwrap()).unwrap();
            let polynomial = |index: usize| {
                let mut polynomial = basis.zero(Domain::Values);
                for (row, prime) in polynomial.rows_mut().zip(basis.primes()) {
                    for (at, value) in row.iter_mut().enumerate() {
                        // The greatest residues are among them.
                        *value = prime.value() - 1 - prime.reduce((seed >> 8).wrapping_mul((index * at) as u64));
                    }
                }
                polynomial
            };
            let polynomials: Vec<_> = (0..integers.len()).map(polynomial).collect();
            let integers: Vec<BigInt> = integers.into_iter().map(BigInt::from).collect();
            let terms: Vec<_> = polynomials.iter().zip(&integers).collect();
            let found = basis.combination(&terms);
            let mut expected = basis.zero(Domain::Values);
            for (polynomial, integer) in terms {
                let mut term = polynomial.clone();
                basis.scale(&mut term, &basis.signed_residues(integer));
                basis.add(&mut expected, &term);
            }
            prop_assert_eq!(&found, &expected);
            let residues = basis.signed_residues(&integers[0]);
            let mut sum = found.clone();
            basis.add_constant(&mut sum, &residues);
            for ((sum, found), (prime, residue)) in sum.rows().zip(found.rows()).zip(basis.primes().zip(residues)) {
                for (sum, found) in sum.iter().zip(found) {
                    prop_assert_eq!(*sum, prime.add(*found, residue));
                }
            }
        }
    }
}
