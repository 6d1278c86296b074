//! Random polynomials for lattice cryptography.

use rand::RngCore;

use super::rns::{Basis, Polynomial, polynomial::Domain};

/// Bits of either half of a centred binomial number: a variance of 10.5, a standard deviation of 3.24, no less than the 3.19 that the
/// tables of secure parameters assume.
const BINOMIAL_BITS: u32 = 21;
/// The greatest magnitude of such a number.
pub const MAX_ERROR: u32 = BINOMIAL_BITS;

/// Numbers of -1, 0 and 1, each equally probable.
pub fn ternary(count: usize, rng: &mut impl RngCore) -> Vec<i64> {
    let mut bits = Pairs { word: 0, left: 0 };
    (0..count)
        .map(|_| {
            loop {
                match bits.next(rng) {
                    0 => return -1,
                    1 => return 0,
                    2 => return 1,
                    _ => {}
                }
            }
        })
        .collect()
}

/// Two bits at a time.
struct Pairs {
    word: u64,
    left: u32,
}

impl Pairs {
    fn next(&mut self, rng: &mut impl RngCore) -> u64 {
        if self.left == 0 {
            (self.word, self.left) = (rng.next_u64(), u64::BITS / 2);
        }
        let pair = self.word & 3;
        self.word >>= 2;
        self.left -= 1;
        pair
    }
}

/// Numbers of a centred binomial distribution: the difference of the numbers of ones among 21 bits and 21 others.
pub fn centred_binomial(count: usize, rng: &mut impl RngCore) -> Vec<i64> {
    let mask = (1_u64 << BINOMIAL_BITS) - 1;
    (0..count)
        .map(|_| {
            let word = rng.next_u64();
            let ones = |bits: u64| i64::from((bits & mask).count_ones());
            ones(word) - ones(word >> BINOMIAL_BITS)
        })
        .collect()
}

/// A uniform polynomial, in values: row by row, by rejection.
pub fn uniform(basis: &Basis, rng: &mut impl RngCore) -> Polynomial {
    let mut polynomial = basis.zero(Domain::Values);
    for (row, prime) in polynomial.rows_mut().zip(basis.primes()) {
        let mask = u64::MAX >> (u64::BITS - prime.bits());
        for residue in row {
            *residue = loop {
                let candidate = rng.next_u64() & mask;
                if candidate < prime.value() {
                    break candidate;
                }
            };
        }
    }
    polynomial
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::{rns::prime::transform_primes, stream::Stream};

    const COUNT: usize = 100_000;

    fn moments(numbers: &[i64]) -> (f64, f64) {
        let mean = |of: &dyn Fn(i64) -> i64| {
            numbers.iter().map(|&x| of(x)).sum::<i64>() as f64 / numbers.len() as f64
        };
        (mean(&|x| x), mean(&|x| x * x))
    }

    /// Five standard deviations of the sample's moments, for a fixed seed.
    #[test]
    fn distributions_have_their_moments_and_bounds() {
        let mut rng = Stream::seeded(1).rng();
        let (mean, square) = moments(&ternary(COUNT, &mut rng));
        assert!(mean.abs() < 0.013 && (square - 2.0 / 3.0).abs() < 0.0075, "{mean} {square}");
        let errors = centred_binomial(COUNT, &mut rng);
        let (mean, square) = moments(&errors);
        assert!(mean.abs() < 0.052 && (square - 10.5).abs() < 0.24, "{mean} {square}");
        assert!(errors.iter().all(|error| error.unsigned_abs() <= MAX_ERROR.into()));
    }

    #[test]
    fn uniform_residues_fill_their_range() {
        let degree = 1 << 12;
        let basis = Basis::try_new(degree, &transform_primes(30, degree, 3, &[]).unwrap()).unwrap();
        let polynomial = uniform(&basis, &mut Stream::seeded(2).rng());
        for (row, prime) in polynomial.rows().zip(basis.primes()) {
            let mean = row.iter().map(|residue| *residue as f64).sum::<f64>() / degree as f64;
            assert!((mean / prime.value() as f64 - 0.5).abs() < 0.023, "{mean}");
            assert!(row.iter().all(|residue| *residue < prime.value()));
        }
    }
}
