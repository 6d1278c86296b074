//! Vectors of residues modulo a prime t as polynomials modulo t (Smart and Vercauteren, "Fully homomorphic SIMD operations", 2014).
//!
//! The N values at the roots of X^N + 1 are two rows of N/2 slots: the roots of powers of 5, and their inverses. The automorphism
//! X -> X^(5^k) turns both rows by k slots, X -> 1/X swaps them.

use super::{GENERATOR, Parameters, RlweError};
use crate::math::rns::{Ntt, Prime, prime::MAX_BITS};

/// A message as a polynomial: coefficients of least magnitude modulo t.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plaintext {
    coefficients: Vec<i64>,
}

impl Plaintext {
    /// The polynomial's coefficients, that of X^0 first.
    pub fn coefficients(&self) -> &[i64] {
        &self.coefficients
    }
}

/// The transform modulo t, and where the value of each slot is.
#[derive(Debug)]
pub(in crate::scheme) struct Batching {
    transform: Ntt,
    places: Vec<usize>,
}

impl Batching {
    /// For a plaintext modulus, a prime of at most 60 bits that is 1 modulo 2N and none of the ciphertext's.
    pub(in crate::scheme) fn try_new(
        parameters: &Parameters,
        plaintext_modulus: u64,
    ) -> Result<Self, RlweError> {
        let (degree, log_step) = (parameters.degree(), parameters.log_degree() + 1);
        let refused = RlweError::PlaintextModulus { modulus: plaintext_modulus, log_step };
        let taken = parameters.modulus().with(parameters.special());
        let fits = plaintext_modulus >> (MAX_BITS - 1) == 0
            && taken.primes().all(|prime| prime.value() != plaintext_modulus);
        let transform = Ntt::try_new(degree, plaintext_modulus).filter(|_| fits).ok_or(refused)?;
        let mut position = vec![0; 2 * degree];
        for (at, exponent) in transform.exponents().into_iter().enumerate() {
            position[exponent] = at;
        }
        let row = std::iter::successors(Some(1), |power| Some(power * GENERATOR % (2 * degree)));
        let row: Vec<usize> = row.take(degree / 2).collect();
        let places = row.iter().map(|&power| position[power]);
        let places = places.chain(row.iter().map(|&power| position[2 * degree - power])).collect();
        Ok(Self { transform, places })
    }

    /// t
    pub(in crate::scheme) fn prime(&self) -> Prime {
        self.transform.prime()
    }

    /// The plaintext of residues of least magnitude, the first row of slots first; what is missing is 0.
    pub(in crate::scheme) fn encode(&self, values: &[i64]) -> Result<Plaintext, RlweError> {
        let (prime, slots) = (self.prime(), self.places.len());
        if values.len() > slots {
            return Err(RlweError::Slots { values: values.len(), slots });
        }
        let max = prime.value() / 2;
        if let Some(index) = values.iter().position(|value| value.unsigned_abs() > max) {
            return Err(RlweError::Value { index, value: values[index], max });
        }
        let mut row = vec![0; slots];
        for (value, place) in values.iter().zip(&self.places) {
            row[*place] = prime.reduce_signed(*value);
        }
        self.transform.inverse(&mut row);
        Ok(self.plaintext(&row))
    }

    /// The plaintext of a polynomial's residues modulo t.
    pub(in crate::scheme) fn plaintext(&self, residues: &[u64]) -> Plaintext {
        let prime = self.prime();
        Plaintext { coefficients: residues.iter().map(|residue| prime.centre(*residue)).collect() }
    }

    /// All slots of a plaintext.
    pub(in crate::scheme) fn decode(&self, plaintext: &Plaintext) -> Vec<i64> {
        let prime = self.prime();
        let residues = plaintext.coefficients.iter();
        let mut row: Vec<u64> = residues.map(|&value| prime.reduce_signed(value)).collect();
        self.transform.forward(&mut row);
        self.places.iter().map(|&place| prime.centre(row[place])).collect()
    }
}
