//! The negacyclic number-theoretic transform modulo one prime.
//!
//! For primes of at most 50 bits and degrees from 64 on the transform is henn's own, in vectors (`transform`); others go to `tfhe-ntt`, whose
//! speed for 50-bit primes on processors with IFMA is the measure for ours (`benches/ntt.rs`).

use std::fmt;

use tfhe_ntt::prime64::Plan;

use super::{
    Prime,
    kernel::{self, MAX_BITS},
    products::SumsOfProducts,
    transform::{self, Transform},
};
use crate::math::vector::Engine;

/// Least degree that the transform takes.
pub const MIN_DEGREE: usize = 16;

/// Tables for polynomials of one degree modulo one prime.
pub struct Ntt {
    degree: usize,
    prime: Prime,
    kind: Kind,
}

enum Kind {
    Vector(Box<Transform>),
    Long(Box<Plan>),
}

impl fmt::Debug for Ntt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ntt({} mod {})", self.degree(), self.prime.value())
    }
}

impl Ntt {
    /// For polynomials modulo X^`degree` + 1; `None` unless `degree` is a power of two from [`MIN_DEGREE`] on and `prime` a prime
    /// that is 1 modulo twice that.
    pub fn try_new(degree: usize, prime: u64) -> Option<Self> {
        let value = prime;
        let prime = Prime::try_new(value)?;
        let plan = Plan::try_new(degree, value)?;
        let kind = if prime.bits() <= MAX_BITS && degree >= transform::MIN_DEGREE {
            let root = primitive_root(prime, degree)?;
            Kind::Vector(Box::new(Transform::new(Engine::fastest(), prime, degree, root)))
        } else {
            Kind::Long(Box::new(plan))
        };
        Some(Self { degree, prime, kind })
    }

    /// N
    pub fn degree(&self) -> usize {
        self.degree
    }

    /// The prime.
    pub fn prime(&self) -> Prime {
        self.prime
    }

    /// Coefficients to values.
    ///
    /// # Panics
    /// Here and below, when a slice has not the length [`degree`](Self::degree).
    pub fn forward(&self, row: &mut [u64]) {
        assert_eq!(row.len(), self.degree, "one residue a coefficient");
        match &self.kind {
            Kind::Vector(transform) => transform.forward(row),
            Kind::Long(plan) => plan.fwd(row),
        }
    }

    /// Values to coefficients.
    ///
    /// # Panics
    /// See [`forward`](Self::forward).
    pub fn inverse(&self, row: &mut [u64]) {
        self.inverse_times(row, 1);
    }

    /// Values to coefficients times a residue.
    ///
    /// # Panics
    /// See [`forward`](Self::forward).
    pub fn inverse_times(&self, row: &mut [u64], factor: u64) {
        assert_eq!(row.len(), self.degree, "one residue a value");
        match &self.kind {
            Kind::Vector(transform) => transform.inverse_times(row, factor),
            Kind::Long(plan) => {
                plan.inv(row);
                plan.normalize(row);
                kernel::scale(self.prime, row, factor);
            }
        }
    }

    /// The sums of the terms' first factors times each of the others, value by value.
    ///
    /// # Panics
    /// See [`forward`](Self::forward).
    pub fn sums_of_products<const COUNT: usize>(
        &self,
        sums: [&mut [u64]; COUNT],
        terms: &[(&[u64], [&[u64]; COUNT])],
    ) {
        self.products(false, sums, terms);
    }

    /// Adds one row to another.
    pub fn add(&self, sum: &mut [u64], row: &[u64]) {
        kernel::combine(self.prime, kernel::Pointwise::Add, sum, row);
    }

    /// Adds a row times a residue to another.
    pub fn add_scaled(&self, sum: &mut [u64], row: &[u64], factor: u64) {
        kernel::add_scaled(self.prime, sum, row, factor);
    }

    /// Adds the products of the terms' factors to a sum, value by value.
    ///
    /// # Panics
    /// See [`forward`](Self::forward).
    pub fn inner_product(&self, sum: &mut [u64], terms: &[(&[u64], [&[u64]; 1])]) {
        self.products(true, [sum], terms);
    }

    fn products<const COUNT: usize>(
        &self,
        add: bool,
        mut sums: [&mut [u64]; COUNT],
        terms: &[(&[u64], [&[u64]; COUNT])],
    ) {
        let fits = |row: &[u64]| row.len() == self.degree;
        let terms_fit =
            terms.iter().all(|(left, rights)| fits(left) && rights.iter().all(|right| fits(right)));
        assert!(terms_fit && sums.iter().all(|sum| fits(sum)), "one residue a value");
        match &self.kind {
            Kind::Vector(_) => Engine::fastest().run(SumsOfProducts { prime: self.prime, add, sums, terms }),
            Kind::Long(plan) => {
                for (at, sum) in sums.iter_mut().enumerate() {
                    if !add {
                        sum.fill(0);
                    }
                    for (left, rights) in terms {
                        plan.mul_accumulate(sum, left, rights[at]);
                    }
                }
            }
        }
    }

    /// For every value the odd exponent e below 2N, such that it is the polynomial's value at the e-th power of one primitive 2N-th root of
    /// unity. The same for all primes of at most 50 bits, and for all longer ones.
    pub fn exponents(&self) -> Vec<usize> {
        let (n, prime) = (self.degree(), self.prime);
        let mut x = vec![0; n];
        if let Some(coefficient) = x.get_mut(1) {
            *coefficient = 1;
        }
        self.forward(&mut x);
        let root = x.first().copied().unwrap_or(1);
        let powers = std::iter::successors(Some(1), |power| Some(prime.multiply(*power, root)));
        let exponent: std::collections::BTreeMap<u64, usize> = powers.take(2 * n).zip(0..).collect();
        x.iter().map(|value| exponent.get(value).copied().unwrap_or_default()).collect()
    }
}

/// A primitive 2N-th root of unity, a power of the least number that has one; `None` where the prime has none.
pub(super) fn primitive_root(prime: Prime, degree: usize) -> Option<u64> {
    let order = 2 * degree as u64;
    let cofactor = (prime.value() - 1) / order;
    let candidates = (2..1000).map(|base| prime.power(prime.reduce(base), cofactor));
    // Its N-th power is -1, and not 1.
    candidates.into_iter().find(|root| prime.power(*root, order / 2) == prime.value() - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::math::rns::prime::transform_primes;

    /// The definition: X^N is -1.
    fn schoolbook(prime: Prime, left: &[u64], right: &[u64]) -> Vec<u64> {
        let n = left.len();
        let mut product = vec![0; n];
        for (i, a) in left.iter().enumerate() {
            for (j, b) in right.iter().enumerate() {
                let term = prime.multiply(*a, *b);
                let place = &mut product[(i + j) % n];
                *place = if i + j < n { prime.add(*place, term) } else { prime.subtract(*place, term) };
            }
        }
        product
    }

    proptest! {
        #[test]
        fn products_of_values_are_products_of_polynomials(
            log_degree in 4_u32..8,
            bits in prop::sample::select(vec![20_u32, 30, 49, 50, 51, 60]),
            seed: u64,
        ) {
            let n = 1_usize << log_degree;
            let value = transform_primes(bits, n, 1, &[]).unwrap()[0];
            let ntt = Ntt::try_new(n, value).unwrap();
            let mut state = seed;
            let mut next = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                if state % 5 == 0 { value - 1 } else { (state >> 2) % value }
            };
            let (left, right): (Vec<_>, Vec<_>) = (0..n).map(|_| (next(), next())).unzip();
            let expected = schoolbook(ntt.prime(), &left, &right);
            let (mut a, mut b, mut product) = (left.clone(), right, vec![0; n]);
            ntt.forward(&mut a);
            ntt.forward(&mut b);
            ntt.inner_product(&mut product, &[(&a, [&b])]);
            ntt.inverse(&mut product);
            prop_assert_eq!(product, expected);
            ntt.inverse(&mut a);
            prop_assert_eq!(a, left);
        }
    }

    #[test]
    fn the_order_of_values_is_one_of_odd_exponents_and_the_same_for_all_primes() {
        for log_degree in [4, 7, 12] {
            let n = 1_usize << log_degree;
            let primes = transform_primes(45, n, 3, &[]).unwrap();
            let orders: Vec<_> =
                primes.iter().map(|&prime| Ntt::try_new(n, prime).unwrap().exponents()).collect();
            assert!(orders.iter().all(|order| *order == orders[0]));
            let mut sorted = orders[0].clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..n).map(|i| 2 * i + 1).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_has_no_transform_is_refused() {
        assert!(Ntt::try_new(8, 65_537).is_none());
        assert!(Ntt::try_new(24, 65_537).is_none());
        assert!(Ntt::try_new(1 << 16, 65_537).is_none());
        assert!(Ntt::try_new(16, 33 * 65).is_none());
        assert!(Ntt::try_new(1 << 15, 65_537).is_some());
    }
}
