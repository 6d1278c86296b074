//! BGV: exact arithmetic on vectors of residues modulo a prime t.
//!
//! Brakerski, Gentry and Vaikuntanathan, "(Leveled) fully homomorphic encryption without bootstrapping" (ITCS 2012). The phase of a
//! ciphertext is `m + t e` modulo Q, with the message m in the lowest digit. A plaintext is a vector of N residues modulo t (Smart and
//! Vercauteren 2014): the values of m at the roots of X^N + 1, in two rows of N/2 slots each, which rotate together; a third automorphism
//! swaps the rows.
//!
//! Dropping a prime q divides the phase by it, and so would multiply the message by its inverse modulo t: the phase is multiplied by
//! q modulo t, of least magnitude, in the same step, so that messages stay as they are. The primes are chosen for which that is small.
//!
//! # Security
//! That of [`rlwe`](crate::scheme::rlwe). Ciphertexts are malleable, and what computes with them learns the plaintexts that it is given.

use num_bigint::BigInt;

use crate::{
    math::rns::{Conversion, Polynomial, Prime},
    scheme::rlwe::{
        Batching, Borrowed, Ciphertext, Context, ExactScheme, Literal, Parameters, Plaintext, RlweError,
        RlweScheme, SecretKey, Untagged,
    },
};

/// The scheme with its parameters.
#[derive(Debug)]
pub struct Bgv {
    context: Context,
    batching: Batching,
}

impl Bgv {
    fn prime(&self) -> Prime {
        self.batching.prime()
    }

    /// A message, in values.
    fn values(&self, plaintext: &Plaintext, level: usize) -> Polynomial {
        let basis = self.context.basis(level);
        let mut polynomial = basis.polynomial(plaintext.coefficients());
        basis.forward(&mut polynomial);
        polynomial
    }
}

impl ExactScheme for Bgv {
    fn try_new(literal: &Literal, plaintext_modulus: u64) -> Result<Self, RlweError> {
        let parameters = Parameters::try_new(literal, Some(plaintext_modulus))?;
        let batching = Batching::try_new(&parameters, plaintext_modulus)?;
        Ok(Self { context: Context::new(parameters, plaintext_modulus, 1, plaintext_modulus), batching })
    }

    fn plaintext_modulus(&self) -> u64 {
        self.context.plaintext_modulus()
    }

    fn encode(&self, values: &[i64]) -> Result<Plaintext, RlweError> {
        self.batching.encode(values)
    }

    fn decode(&self, plaintext: &Plaintext) -> Vec<i64> {
        self.batching.decode(plaintext)
    }
}

impl RlweScheme for Bgv {
    type Tag = Untagged;
    type Plaintext = Plaintext;
    type Decrypted = Plaintext;

    fn context(&self) -> &Context {
        &self.context
    }

    /// N slots, two rows of half as many.
    fn slots(&self) -> usize {
        self.parameters().degree()
    }

    fn fresh_tag(&self, _plaintext: &Plaintext) -> Untagged {
        Untagged
    }

    fn summand(&self, plaintext: &Plaintext, level: usize, _tag: Untagged) -> Result<Polynomial, RlweError> {
        Ok(self.values(plaintext, level))
    }

    fn factor(&self, plaintext: &Plaintext, level: usize) -> Polynomial {
        self.values(plaintext, level)
    }

    fn constant(&self, integer: &BigInt, level: usize, _tag: Untagged) -> Vec<u64> {
        let prime = self.prime();
        let centred = prime.centre(prime.reduce_integer(integer));
        self.context.basis(level).primes().map(|prime| prime.reduce_signed(centred)).collect()
    }

    fn product_tag(&self, _left: Untagged, _right: Untagged) -> Untagged {
        Untagged
    }

    fn aligned<'c>(
        &self,
        left: &'c Ciphertext<Untagged>,
        right: &'c Ciphertext<Untagged>,
    ) -> Result<[Borrowed<'c, Untagged>; 2], RlweError> {
        let level = left.level.min(right.level);
        Ok([self.drop_to(left, level)?, self.drop_to(right, level)?])
    }

    /// The error shrinks with the modulus.
    fn lower(&self, ciphertext: &Ciphertext<Untagged>) -> Result<Ciphertext<Untagged>, RlweError> {
        let (parts, _) = self.context.divided_by_last("modulus switching", ciphertext)?;
        Ok(Ciphertext::new(&self.context, parts, ciphertext.level - 1, Untagged))
    }

    fn drop_to<'c>(
        &self,
        ciphertext: &'c Ciphertext<Untagged>,
        level: usize,
    ) -> Result<Borrowed<'c, Untagged>, RlweError> {
        ciphertext.check_level("modulus switching", &self.context, level)?;
        let mut dropped = Borrowed::Borrowed(ciphertext);
        while dropped.level > level {
            dropped = Borrowed::Owned(self.lower(&dropped)?);
        }
        Ok(dropped)
    }

    /// The result is the message as long as the phase has not passed half of the modulus; the exact circuit is the oracle of
    /// that.
    fn decrypt(&self, key: &SecretKey, ciphertext: &Ciphertext<Untagged>) -> Plaintext {
        let (level, prime) = (ciphertext.level, self.prime());
        let mut phase = key.phase(&self.context, &ciphertext.parts, level);
        let basis = self.context.basis(level);
        basis.inverse(&mut phase);
        let from: Vec<Prime> = basis.primes().collect();
        let conversion = Conversion::new(&from, &[prime]);
        self.batching.plaintext(&conversion.convert(phase.residues(), self.slots()))
    }

    fn noise_budget(&self, key: &SecretKey, ciphertext: &Ciphertext<Untagged>) -> f64 {
        let basis = self.context.basis(ciphertext.level);
        basis.slack(&key.phase(&self.context, &ciphertext.parts, ciphertext.level))
    }
}

#[cfg(test)]
mod tests;
