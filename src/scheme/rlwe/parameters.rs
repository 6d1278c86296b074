//! Parameters of a ring and its moduli.

use super::RlweError;
use crate::{
    math::rns::{
        Basis,
        prime::{prime_near, transform_primes},
    },
    scheme::security::lattice_security_bits,
};

/// Ring degrees, as powers of two: from what tests use to what the tables of security reach.
const LOG_DEGREES: std::ops::RangeInclusive<u32> = 4..=16;
/// Most bits of a prime of the ciphertext modulus: what 52-bit vector products take.
const MAX_PRIME_BITS: u32 = 50;

/// Parameters as written, unchecked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Literal {
    /// log2 N
    pub log_degree: u32,
    /// Bits of the primes of Q, the last dropped first.
    pub modulus_bits: Vec<u32>,
    /// Bits of the special primes, whose product is P.
    pub special_bits: Vec<u32>,
}

/// Checked parameters with their primes. These follow from the literal and BGV's plaintext modulus: for each length the greatest that have a
/// transform, where there is a t the ones nearest to a multiple of it.
#[derive(Debug, Clone)]
pub struct Parameters {
    literal: Literal,
    modulus: Basis,
    special: Basis,
    near: Option<u64>,
}

impl PartialEq for Parameters {
    fn eq(&self, other: &Self) -> bool {
        self.literal == other.literal && self.near == other.near
    }
}

impl Eq for Parameters {}

impl Parameters {
    /// Checks a literal and finds its primes, those of Q `near` multiples of a plaintext modulus.
    pub fn try_new(literal: &Literal, near: Option<u64>) -> Result<Self, RlweError> {
        let log_degree = literal.log_degree;
        if !LOG_DEGREES.contains(&log_degree) {
            let (min, max) = (*LOG_DEGREES.start(), *LOG_DEGREES.end());
            return Err(RlweError::Degree { log_degree, min, max });
        }
        let degree = 1_usize << log_degree;
        let mut taken = Vec::new();
        let mut basis = |what, lengths: &[u32], near: Option<u64>| -> Result<Basis, RlweError> {
            if lengths.is_empty() {
                return Err(RlweError::NoPrimes { what });
            }
            let min = log_degree + 2;
            if let Some(&bits) = lengths.iter().find(|bits| !(min..=MAX_PRIME_BITS).contains(*bits)) {
                return Err(RlweError::PrimeBits { what, bits, min, max: MAX_PRIME_BITS });
            }
            let mut primes = Vec::with_capacity(lengths.len());
            for &bits in lengths {
                let missing = || RlweError::Primes { count: lengths.len(), bits, log_step: log_degree + 1 };
                let near = near.and_then(|modulus| prime_near(bits, degree, modulus, &taken));
                let greatest = || transform_primes(bits, degree, 1, &taken)?.first().copied();
                let found = near.or_else(greatest).ok_or_else(missing)?;
                taken.push(found);
                primes.push(found);
            }
            let missing = RlweError::Primes { count: primes.len(), bits: min, log_step: log_degree + 1 };
            Basis::try_new(degree, &primes).ok_or(missing)
        };
        let modulus = basis("the ciphertext modulus", &literal.modulus_bits, near)?;
        let special = basis("key switching", &literal.special_bits, None)?;
        Ok(Self { literal: literal.clone(), modulus, special, near })
    }

    /// log2 N
    pub fn log_degree(&self) -> u32 {
        self.literal.log_degree
    }

    /// N
    pub fn degree(&self) -> usize {
        1 << self.literal.log_degree
    }

    /// The primes of Q.
    pub fn modulus(&self) -> &Basis {
        &self.modulus
    }

    /// The special primes.
    pub fn special(&self) -> &Basis {
        &self.special
    }

    /// Levels of a fresh ciphertext: the number of Q's primes.
    pub fn levels(&self) -> usize {
        self.modulus.len()
    }

    /// Bits of Q P.
    pub fn modulus_bits(&self) -> u32 {
        let product = self.modulus.product() * self.special.product();
        u32::try_from(product.bits()).unwrap_or(u32::MAX)
    }

    /// Security against attacks on learning with errors, the special primes counted; see [`lattice_security_bits`].
    pub fn security_bits(&self) -> u32 {
        lattice_security_bits(self.log_degree(), self.modulus_bits())
    }

    /// The primes of Q that are the digits of a key switch at a level.
    pub fn digits(&self, level: usize) -> Vec<std::ops::Range<usize>> {
        let width = self.special.len();
        (0..level).step_by(width).map(|start| start..level.min(start + width)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(log_degree: u32, modulus_bits: &[u32], special_bits: &[u32]) -> Literal {
        Literal { log_degree, modulus_bits: modulus_bits.to_vec(), special_bits: special_bits.to_vec() }
    }

    #[test]
    fn special_primes_count_for_security() {
        let at = |bits: &[u32], special| {
            let parameters = Parameters::try_new(&literal(13, bits, special), None).unwrap();
            (parameters.modulus_bits(), parameters.security_bits())
        };
        assert_eq!(at(&[42, 43, 43, 43], &[43]), (214, 128));
        assert_eq!(at(&[43, 43, 43, 43], &[43]), (215, 127));
        assert_eq!(at(&[49, 49], &[49]), (147, 192));
    }

    #[test]
    fn primes_are_all_distinct_and_follow_the_literal() {
        let parameters = Parameters::try_new(&literal(12, &[40, 30, 40], &[40, 30]), None).unwrap();
        let all: Vec<_> = parameters.modulus().with(parameters.special()).primes().collect();
        assert_eq!(all.iter().map(|prime| prime.bits()).collect::<Vec<_>>(), [40, 30, 40, 40, 30]);
        assert!(all.iter().enumerate().all(|(at, prime)| !all[..at].contains(prime)));
        assert_eq!(parameters.digits(3), [0..2, 2..3]);
        assert_eq!(parameters.digits(1).len(), 1);
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_range() {
        let refused = |literal| Parameters::try_new(&literal, None).unwrap_err().to_string();
        assert_eq!(refused(literal(3, &[40], &[40])), "the ring degree is 2^3; allowed: 2^4 to 2^16");
        assert_eq!(refused(literal(17, &[40], &[40])), "the ring degree is 2^17; allowed: 2^4 to 2^16");
        assert_eq!(refused(literal(13, &[], &[40])), "the ciphertext modulus needs at least one prime");
        assert_eq!(refused(literal(13, &[40], &[])), "key switching needs at least one prime");
        assert_eq!(
            refused(literal(13, &[51], &[40])),
            "the ciphertext modulus of 51 bits; allowed: 15 to 50"
        );
        assert_eq!(refused(literal(13, &[40], &[14])), "key switching of 14 bits; allowed: 15 to 50");
        assert!(matches!(
            Parameters::try_new(&literal(13, &[16; 9], &[40]), None),
            Err(RlweError::Primes { count: 9, bits: 16, log_step: 14 })
        ));
    }
}
