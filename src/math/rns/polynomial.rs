//! Polynomials in residues, row by row, and what is done with all their rows.

use std::sync::Arc;

use num_bigint::{BigInt, BigUint};
use num_traits::One;
use rayon::prelude::*;
use zeroize::Zeroize;

use super::{
    Ntt, Prime,
    buffer::{Buffer, Reservation},
    kernel::{self, Pointwise},
};
use crate::math::pool::for_each;

/// What the numbers of a polynomial's rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Domain {
    /// coefficients, that of X^0 first
    Coefficients,
    /// values, in the order of [`Ntt::exponents`]
    Values,
}

/// A polynomial of degree below N modulo the primes of a [`Basis`]: one row of N residues a prime. Clones share rows until one is changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Polynomial {
    degree: usize,
    domain: Domain,
    rows: Buffer,
}

impl Polynomial {
    /// What the numbers are.
    pub fn domain(&self) -> Domain {
        self.domain
    }

    /// The residues, a row a prime.
    pub fn rows(&self) -> std::slice::ChunksExact<'_, u64> {
        self.rows.chunks_exact(self.degree)
    }

    /// The same, to be changed.
    pub fn rows_mut(&mut self) -> std::slice::ChunksExactMut<'_, u64> {
        self.rows.chunks_exact_mut(self.degree)
    }

    /// All residues, one row after the other.
    pub fn residues(&self) -> &[u64] {
        &self.rows
    }

    /// From the residues of whole rows.
    ///
    /// # Panics
    /// When they are no whole number of rows.
    pub fn from_residues(degree: usize, domain: Domain, rows: Vec<u64>) -> Self {
        assert!(rows.len().is_multiple_of(degree), "whole rows");
        Self { degree, domain, rows: rows.into() }
    }

    /// The rows of the first `count` primes, in the same memory.
    #[must_use]
    pub fn first_rows(&self, count: usize) -> Self {
        let mut first = self.clone();
        first.truncate(count);
        first
    }

    /// Forgets the rows from the `count`-th on.
    pub fn truncate(&mut self, count: usize) {
        self.rows.truncate(count * self.degree);
    }

    /// The polynomial with every row's numbers taken from these places: see [`automorphism`].
    ///
    /// # Panics
    /// When there are not N of them.
    #[must_use]
    pub fn permuted(&self, places: &[u32]) -> Self {
        assert_eq!(places.len(), self.degree, "one place a number");
        let rows = Buffer::stale(self.rows.len());
        let mut moved = Self { degree: self.degree, domain: self.domain, rows };
        for_each(moved.rows_mut().zip(self.rows()), |(out, row)| {
            for (out, place) in out.iter_mut().zip(places) {
                *out = row[*place as usize];
            }
        });
        moved
    }

    /// Appends rows of further primes.
    pub fn extend(&mut self, rows: &[u64]) {
        self.rows.extend(rows);
    }
}

impl Zeroize for Polynomial {
    fn zeroize(&mut self) {
        self.rows.zeroize();
    }
}

/// Primes with their transforms, in the order of a polynomial's rows. A clone shares the tables.
#[derive(Clone, Debug)]
pub struct Basis {
    degree: usize,
    transforms: Vec<Arc<Ntt>>,
}

impl Basis {
    /// The basis of these primes for polynomials modulo X^`degree` + 1; `None` where one has no transform or occurs twice.
    pub fn try_new(degree: usize, primes: &[u64]) -> Option<Self> {
        let distinct = primes.iter().enumerate().all(|(at, prime)| !primes[..at].contains(prime));
        let transforms: Option<Vec<_>> =
            primes.par_iter().map(|&prime| Ntt::try_new(degree, prime).map(Arc::new)).collect();
        Some(Self { degree, transforms: transforms.filter(|_| distinct)? })
    }

    /// Memory for so many polynomials, ahead of them.
    pub fn reserve(&self, count: usize) -> Reservation {
        Reservation::new(self.degree * self.len(), count)
    }

    /// N
    pub fn degree(&self) -> usize {
        self.degree
    }

    /// The number of primes.
    pub fn len(&self) -> usize {
        self.transforms.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.transforms.is_empty()
    }

    /// The transforms.
    pub fn transforms(&self) -> &[Arc<Ntt>] {
        &self.transforms
    }

    /// The primes.
    pub fn primes(&self) -> impl ExactSizeIterator<Item = Prime> {
        self.transforms.iter().map(|ntt| ntt.prime())
    }

    /// The product of the primes.
    pub fn product(&self) -> BigUint {
        self.primes().fold(BigUint::one(), |product, prime| product * prime.value())
    }

    /// The basis of a part of the primes.
    #[must_use]
    pub fn part(&self, range: std::ops::Range<usize>) -> Self {
        Self { degree: self.degree, transforms: self.transforms[range].to_vec() }
    }

    /// These primes and then those of another basis.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        let transforms = self.transforms.iter().chain(&other.transforms).cloned().collect();
        Self { degree: self.degree, transforms }
    }

    /// 0
    pub fn zero(&self, domain: Domain) -> Polynomial {
        Polynomial { degree: self.degree, domain, rows: Buffer::zeros(self.degree * self.len()) }
    }

    /// A polynomial whose residues are yet to be written: they are any numbers.
    pub fn unset(&self, domain: Domain) -> Polynomial {
        Polynomial { degree: self.degree, domain, rows: Buffer::stale(self.degree * self.len()) }
    }

    /// The polynomial with these coefficients, modulo every prime.
    ///
    /// # Panics
    /// When there are not N of them. The methods below panic when a polynomial is not one of this basis, or not of the domain that
    /// they name, which is a mistake of the caller's code.
    pub fn polynomial(&self, coefficients: &[i64]) -> Polynomial {
        assert_eq!(coefficients.len(), self.degree, "one coefficient a power");
        let mut polynomial = self.unset(Domain::Coefficients);
        let greatest =
            coefficients.iter().fold(0, |greatest, coefficient| coefficient.unsigned_abs().max(greatest));
        self.each(&mut polynomial, |ntt, row| kernel::reduce(ntt.prime(), row, coefficients, greatest));
        polynomial
    }

    /// Applies `change` to every row, in parallel.
    pub fn each(&self, polynomial: &mut Polynomial, change: impl Fn(&Ntt, &mut [u64]) + Sync) {
        self.check(polynomial);
        for_each(polynomial.rows_mut().zip(&self.transforms), |(row, ntt)| change(ntt, row));
    }

    /// Applies `change` to every row of the first and the same row of the second, in parallel.
    pub fn each_with(
        &self,
        left: &mut Polynomial,
        right: &Polynomial,
        change: impl Fn(&Ntt, &mut [u64], &[u64]) + Sync,
    ) {
        self.check(left);
        self.check_domain(right, left.domain);
        let rows = left.rows_mut().zip(right.rows()).zip(&self.transforms);
        for_each(rows, |((left, right), ntt)| change(ntt, left, right));
    }

    /// Coefficients to values; values stay.
    pub fn forward(&self, polynomial: &mut Polynomial) {
        if polynomial.domain == Domain::Coefficients {
            self.each(polynomial, Ntt::forward);
            polynomial.domain = Domain::Values;
        }
    }

    /// Values to coefficients; coefficients stay.
    pub fn inverse(&self, polynomial: &mut Polynomial) {
        if polynomial.domain == Domain::Values {
            self.each(polynomial, Ntt::inverse);
            polynomial.domain = Domain::Coefficients;
        }
    }

    /// Values to coefficients times a factor that is given in residues, one a prime.
    pub fn inverse_times(&self, polynomial: &mut Polynomial, factor: &[u64]) {
        self.check_domain(polynomial, Domain::Values);
        let rows = polynomial.rows_mut().zip(&self.transforms).zip(factor);
        for_each(rows, |((row, ntt), factor)| ntt.inverse_times(row, *factor));
        polynomial.domain = Domain::Coefficients;
    }

    /// `left += right`
    pub fn add(&self, left: &mut Polynomial, right: &Polynomial) {
        self.each_with(left, right, |ntt, left, right| {
            kernel::combine(ntt.prime(), Pointwise::Add, left, right);
        });
    }

    /// `left -= right`
    pub fn subtract(&self, left: &mut Polynomial, right: &Polynomial) {
        self.each_with(left, right, |ntt, left, right| {
            kernel::combine(ntt.prime(), Pointwise::Subtract, left, right);
        });
    }

    /// `polynomial = -polynomial`
    pub fn negate(&self, polynomial: &mut Polynomial) {
        self.each(polynomial, |ntt, row| {
            let prime = ntt.prime();
            for residue in row {
                *residue = prime.negate(*residue);
            }
        });
    }

    /// `polynomial *= factor`, for an integer that is given in residues, one a prime.
    pub fn scale(&self, polynomial: &mut Polynomial, factor: &[u64]) {
        self.check(polynomial);
        let rows = polynomial.rows_mut().zip(&self.transforms).zip(factor);
        for_each(rows, |((row, ntt), factor)| kernel::scale(ntt.prime(), row, *factor));
    }

    /// The residues of an integer.
    pub fn residues(&self, number: &BigUint) -> Vec<u64> {
        self.primes().map(|prime| prime.reduce_big(number)).collect()
    }

    /// `left right`, of values.
    pub fn multiply(&self, left: &Polynomial, right: &Polynomial) -> Polynomial {
        self.sum_of_products(&[(left, right)])
    }

    /// The sum of products of values.
    pub fn sum_of_products(&self, terms: &[(&Polynomial, &Polynomial)]) -> Polynomial {
        for (left, right) in terms {
            self.check_domain(left, Domain::Values);
            self.check_domain(right, Domain::Values);
        }
        let mut sum = self.unset(Domain::Values);
        for_each(sum.rows_mut().zip(&self.transforms).enumerate(), |(at, (sum, ntt))| {
            let range = at * self.degree..(at + 1) * self.degree;
            let terms: Vec<(&[u64], [&[u64]; 1])> = terms
                .iter()
                .map(|(left, right)| (&left.rows[range.clone()], [&right.rows[range.clone()]]))
                .collect();
            ntt.sums_of_products([sum], &terms);
        });
        sum
    }

    /// `sum += left right`, of values.
    pub fn multiply_add(&self, sum: &mut Polynomial, left: &Polynomial, right: &Polynomial) {
        for polynomial in [&*sum, left, right] {
            self.check_domain(polynomial, Domain::Values);
        }
        let rows = sum.rows_mut().zip(left.rows()).zip(right.rows()).zip(&self.transforms);
        for_each(rows, |(((sum, left), right), ntt)| ntt.inner_product(sum, &[(left, [right])]));
    }

    /// The polynomial's coefficients as integers of least magnitude modulo the product of the primes: exact and slow, for
    /// decoding and for tests.
    pub fn lift(&self, polynomial: &Polynomial) -> Vec<BigInt> {
        let mut coefficients = polynomial.clone();
        self.inverse(&mut coefficients);
        let modulus = self.product();
        let weights: Vec<BigUint> = self
            .primes()
            .map(|prime| {
                let others = &modulus / prime.value();
                &others * prime.invert(prime.reduce_big(&others))
            })
            .collect();
        let rows: Vec<&[u64]> = coefficients.rows().collect();
        let half = &modulus >> 1_u32;
        (0..self.degree)
            .into_par_iter()
            .map(|at| {
                let terms = weights.iter().zip(&rows).map(|(weight, row)| weight * row[at]);
                let value = terms.sum::<BigUint>() % &modulus;
                if value > half { BigInt::from(value) - BigInt::from(modulus.clone()) } else { value.into() }
            })
            .collect()
    }

    fn check_domain(&self, polynomial: &Polynomial, domain: Domain) {
        self.check(polynomial);
        assert_eq!(polynomial.domain, domain, "the domain");
    }

    fn check(&self, polynomial: &Polynomial) {
        assert!(
            polynomial.degree == self.degree && polynomial.rows.len() == self.degree * self.len(),
            "a polynomial of this basis"
        );
    }
}

/// Where the automorphism that takes X to X^`power`, for an odd power, finds a polynomial's values, for values in the order of `exponents`: the
/// value at a root is the old value at the root's power.
pub fn automorphism(exponents: &[usize], power: usize) -> Vec<u32> {
    let order = 2 * exponents.len();
    let mut position = vec![0_u32; order];
    for (at, exponent) in (0..).zip(exponents) {
        position[*exponent] = at;
    }
    exponents.iter().map(|exponent| position[exponent * power % order]).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::math::rns::prime::transform_primes;

    fn basis(degree: usize, count: usize) -> Basis {
        Basis::try_new(degree, &transform_primes(40, degree, count, &[]).unwrap()).unwrap()
    }

    fn coefficients(degree: usize) -> impl Strategy<Value = Vec<i64>> {
        prop::collection::vec(prop_oneof![Just(0), -3_i64..=3, any::<i32>().prop_map(i64::from)], degree)
    }

    fn wide(coefficients: &[i64]) -> Vec<BigInt> {
        coefficients.iter().map(|&coefficient| coefficient.into()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(50))]
        #[test]
        fn sums_and_products_are_those_of_integer_polynomials(a in coefficients(32), b in coefficients(32)) {
            let basis = basis(32, 2);
            let (mut left, mut right) = (basis.polynomial(&a), basis.polynomial(&b));
            basis.forward(&mut left);
            basis.forward(&mut right);
            let mut product = vec![BigInt::ZERO; 32];
            for (i, a) in a.iter().enumerate() {
                for (j, b) in b.iter().enumerate() {
                    let term = BigInt::from(*a) * *b;
                    product[(i + j) % 32] += if i + j < 32 { term } else { -term };
                }
            }
            prop_assert_eq!(basis.lift(&basis.multiply(&left, &right)), product);
            let mut sum = left.clone();
            basis.add(&mut sum, &right);
            prop_assert_eq!(basis.lift(&sum), wide(&a).iter().zip(&b).map(|(a, b)| a + b).collect::<Vec<_>>());
            basis.subtract(&mut sum, &right);
            prop_assert_eq!(&sum, &left);
            basis.negate(&mut sum);
            basis.scale(&mut sum, &basis.residues(&3_u32.into()));
            prop_assert_eq!(basis.lift(&sum), wide(&a).into_iter().map(|a| a * -3).collect::<Vec<_>>());
        }

        #[test]
        fn residues_are_those_of_coefficients(seed: u64, edge in -2_i64..=2, negative: bool) {
            let basis = basis(32, 3);
            let edge = basis.primes().map(|prime| prime.value().cast_signed()).min().unwrap() + edge;
            let edge = if negative { -edge } else { edge };
            let coefficients: Vec<i64> = (0..32).map(|i| match i {
                0 => edge,
                1 => i64::MIN >> (seed % 64),
                _ => seed.rotate_left(i).cast_signed() >> (2 * i),
            }).collect();
            for kept in [&[0][..], &[0, 1]] {
                // Without the greatest numbers in place, and with them.
                let few: Vec<i64> = (0..32).map(|i| if kept.contains(&i) { coefficients[i] } else { coefficients[i] % edge }).collect();
                for (row, prime) in basis.polynomial(&few).rows().zip(basis.primes()) {
                    let expected: Vec<u64> = few.iter().map(|&number| prime.reduce_signed(number)).collect();
                    prop_assert_eq!(row, expected);
                }
            }
        }

        #[test]
        fn an_automorphism_moves_coefficients(a in coefficients(16), half in 0_usize..16) {
            let (basis, power) = (basis(16, 2), 2 * half + 1);
            let mut expected = vec![BigInt::ZERO; 16];
            for (i, a) in a.iter().enumerate() {
                let to = i * power % 32;
                expected[to % 16] = if to < 16 { (*a).into() } else { (-*a).into() };
            }
            let mut values = basis.polynomial(&a);
            basis.forward(&mut values);
            let places = automorphism(&basis.transforms()[0].exponents(), power);
            let moved = values.rows().flat_map(|row| places.iter().map(|&at| row[at as usize])).collect();
            let moved = Polynomial::from_residues(16, Domain::Values, moved);
            prop_assert_eq!(basis.lift(&moved), expected);
        }
    }

    #[test]
    fn a_basis_has_distinct_primes_with_transforms() {
        // 97 is 1 modulo 32, and not modulo 64.
        assert!(Basis::try_new(32, &[193, 97]).is_none());
        assert!(Basis::try_new(16, &[97, 193]).is_some());
        assert!(Basis::try_new(16, &[97, 97]).is_none());
        assert!(Basis::try_new(64, &[97]).is_none());
    }
}
