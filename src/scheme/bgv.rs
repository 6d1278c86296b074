//! BGV: exact arithmetic on vectors of residues modulo a prime t.
//!
//! Brakerski, Gentry and Vaikuntanathan, "(Leveled) fully homomorphic encryption without bootstrapping" (ITCS 2012). The phase of a
//! ciphertext is `f m + t e` modulo Q, with the message m in the lowest digit. A plaintext is a vector of N residues modulo t (Smart and
//! Vercauteren 2014): the values of m at the roots of X^N + 1, in two rows of N/2 slots each, which rotate together; a third automorphism
//! swaps the rows.
//!
//! Dropping a prime divides the phase by it, and so multiplies the message by its inverse modulo t. That *factor* f is kept beside
//! the ciphertext and taken out when it is decrypted; sums bring their terms to one factor first.
//!
//! # Security
//! That of [`rlwe`](crate::scheme::rlwe). Ciphertexts are malleable, and what computes with them learns the plaintexts that it is given.

use crate::{
    math::{
        rns::{Conversion, Polynomial, Prime},
        stream::Stream,
    },
    scheme::rlwe::{
        Automorphism, Batching, Context, Literal, Parameters, Plaintext, PublicKey, RlweError, RotationKeys,
        SecretKey, SwitchingKey,
    },
};

/// The scheme with its parameters.
#[derive(Debug)]
pub struct Bgv {
    context: Context,
    batching: Batching,
}

/// An encrypted message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ciphertext {
    /// in values modulo the primes of the level
    parts: Vec<Polynomial>,
    level: usize,
    /// f
    factor: u64,
}

impl Ciphertext {
    /// Primes that are left.
    pub fn level(&self) -> usize {
        self.level
    }

    /// Polynomials: two, or three after a product that was not relinearised.
    pub fn parts(&self) -> usize {
        self.parts.len()
    }
}

impl Bgv {
    /// The scheme for a plaintext modulus, a prime of at most 60 bits that is 1 modulo 2N and none of the ciphertext's.
    pub fn try_new(literal: &Literal, plaintext_modulus: u64) -> Result<Self, RlweError> {
        let parameters = Parameters::try_new(literal)?;
        let batching = Batching::try_new(&parameters, plaintext_modulus)?;
        Ok(Self { context: Context::new(parameters, plaintext_modulus), batching })
    }

    /// The parameters.
    pub fn parameters(&self) -> &Parameters {
        self.context.parameters()
    }

    /// t
    pub fn plaintext_modulus(&self) -> u64 {
        self.context.plaintext_modulus()
    }

    /// N slots, two rows of half as many.
    pub fn slots(&self) -> usize {
        self.parameters().degree()
    }

    fn prime(&self) -> Prime {
        self.batching.prime()
    }

    /// A fresh secret key.
    pub fn generate_secret_key(&self, randomness: &Stream) -> SecretKey {
        SecretKey::generate(&self.context, randomness)
    }

    /// A public key of a secret key.
    pub fn generate_public_key(&self, secret: &SecretKey, randomness: &Stream) -> PublicKey {
        PublicKey::generate(&self.context, secret, randomness)
    }

    /// The key that makes products of two parts again.
    pub fn generate_relinearisation_key(&self, secret: &SecretKey, randomness: &Stream) -> SwitchingKey {
        self.context.relinearisation_key(secret, randomness)
    }

    /// Keys for rotations by these numbers of steps, and for the swap of the rows.
    pub fn generate_rotation_keys(
        &self,
        secret: &SecretKey,
        steps: &[i64],
        swap: bool,
        randomness: &Stream,
    ) -> RotationKeys {
        self.context.rotation_keys(secret, steps, swap, randomness)
    }

    /// The plaintext of residues of least magnitude, the first row of slots first; what is missing is 0.
    pub fn encode(&self, values: &[i64]) -> Result<Plaintext, RlweError> {
        self.batching.encode(values)
    }

    /// All slots of a plaintext.
    pub fn decode(&self, plaintext: &Plaintext) -> Vec<i64> {
        self.batching.decode(plaintext)
    }

    /// Encrypts at the highest level.
    pub fn encrypt(&self, key: &PublicKey, plaintext: &Plaintext, randomness: &Stream) -> Ciphertext {
        let level = self.parameters().levels();
        let basis = self.context.basis(level);
        let mut parts = key.encrypt_zero(&self.context, randomness);
        basis.add(&mut parts[0], &self.values(plaintext, level, 1));
        Ciphertext { parts: parts.into(), level, factor: 1 }
    }

    /// A plaintext times a factor modulo t, in values.
    fn values(&self, plaintext: &Plaintext, level: usize, factor: u64) -> Polynomial {
        let (basis, prime) = (self.context.basis(level), self.prime());
        let mut polynomial = if factor == 1 {
            basis.polynomial(plaintext.coefficients())
        } else {
            let scaled = plaintext.coefficients().iter();
            let scaled =
                scaled.map(|&value| prime.centre(prime.multiply(prime.reduce_signed(value), factor)));
            basis.polynomial(&scaled.collect::<Vec<_>>())
        };
        basis.forward(&mut polynomial);
        polynomial
    }

    /// Decrypts. The result is the message as long as the error has not passed a quarter of the modulus; the exact circuit is the oracle of
    /// that.
    pub fn decrypt(&self, key: &SecretKey, ciphertext: &Ciphertext) -> Plaintext {
        let (level, prime) = (ciphertext.level, self.prime());
        let mut phase = key.phase(&self.context, &ciphertext.parts, level);
        let basis = self.context.basis(level);
        basis.inverse(&mut phase);
        let from: Vec<Prime> = basis.primes().collect();
        let conversion = Conversion::new(&from, &[prime]);
        let inverse = prime.invert(ciphertext.factor);
        let residues = conversion.convert(phase.residues(), self.slots());
        let residues: Vec<u64> =
            residues.into_iter().map(|residue| prime.multiply(residue, inverse)).collect();
        self.batching.plaintext(&residues)
    }

    /// Bits between the greatest coefficient of the phase and half of the modulus: what is left for errors to grow. 0 when the
    /// message may be lost. For tests and reports: it takes the secret key.
    pub fn noise_budget(&self, key: &SecretKey, ciphertext: &Ciphertext) -> u64 {
        let basis = self.context.basis(ciphertext.level);
        let phase = basis.lift(&key.phase(&self.context, &ciphertext.parts, ciphertext.level));
        let greatest = phase.iter().map(num_bigint::BigInt::bits).max().unwrap_or(0);
        (basis.product().bits() - 1).saturating_sub(greatest)
    }

    /// Drops the last prime: the error shrinks with the modulus.
    pub fn switch_modulus(&self, ciphertext: &Ciphertext) -> Result<Ciphertext, RlweError> {
        let level = ciphertext.level;
        if level < 2 {
            return Err(RlweError::Level { operation: "modulus switching", level, needed: 2 });
        }
        let division = self.context.by_last(level);
        let prime = self.prime();
        let last = self.parameters().modulus().primes().nth(level - 1).map_or(1, Prime::value);
        let factor = prime.multiply(ciphertext.factor, prime.invert(prime.reduce(last)));
        let parts = ciphertext.parts.iter().map(|part| division.apply(part.clone())).collect();
        Ok(Ciphertext { parts, level: level - 1, factor })
    }

    /// Drops primes until a level is reached.
    pub fn switch_to(&self, ciphertext: &Ciphertext, level: usize) -> Result<Ciphertext, RlweError> {
        if level < 1 || level > ciphertext.level {
            let operation = "modulus switching";
            return Err(RlweError::Level { operation, level: ciphertext.level, needed: level.max(1) });
        }
        let mut switched = ciphertext.clone();
        while switched.level > level {
            switched = self.switch_modulus(&switched)?;
        }
        Ok(switched)
    }

    /// Both at the lower level.
    fn levelled(&self, left: &Ciphertext, right: &Ciphertext) -> Result<[Ciphertext; 2], RlweError> {
        let level = left.level.min(right.level);
        Ok([self.switch_to(left, level)?, self.switch_to(right, level)?])
    }

    /// The sum; at the lower level of the two.
    pub fn add(&self, left: &Ciphertext, right: &Ciphertext) -> Result<Ciphertext, RlweError> {
        let [mut sum, mut other] = self.levelled(left, right)?;
        let (basis, prime) = (self.context.basis(sum.level), self.prime());
        if sum.factor != other.factor {
            // Of least magnitude, so that the error grows least.
            let ratio = prime.centre(prime.multiply(sum.factor, prime.invert(other.factor)));
            let residues: Vec<u64> = basis.primes().map(|prime| prime.reduce_signed(ratio)).collect();
            other.parts.iter_mut().for_each(|part| basis.scale(part, &residues));
        }
        sum.parts = self.context.sum(&sum.parts, &other.parts, sum.level);
        Ok(sum)
    }

    /// The negative.
    #[must_use]
    pub fn negate(&self, ciphertext: &Ciphertext) -> Ciphertext {
        let mut negative = ciphertext.clone();
        let basis = self.context.basis(negative.level);
        negative.parts.iter_mut().for_each(|part| basis.negate(part));
        negative
    }

    /// The sum with a plaintext.
    #[must_use]
    pub fn add_plain(&self, ciphertext: &Ciphertext, plaintext: &Plaintext) -> Ciphertext {
        let mut sum = ciphertext.clone();
        let values = self.values(plaintext, sum.level, sum.factor);
        if let Some(part) = sum.parts.first_mut() {
            self.context.basis(sum.level).add(part, &values);
        }
        sum
    }

    /// The product with a plaintext, slot by slot.
    #[must_use]
    pub fn multiply_plain(&self, ciphertext: &Ciphertext, plaintext: &Plaintext) -> Ciphertext {
        let basis = self.context.basis(ciphertext.level);
        let values = self.values(plaintext, ciphertext.level, 1);
        let parts = ciphertext.parts.iter().map(|part| basis.multiply(part, &values)).collect();
        Ciphertext { parts, ..*ciphertext }
    }

    /// The product, slot by slot, at the lower level of the two, in one part more than the factors have together less one.
    pub fn multiply(&self, left: &Ciphertext, right: &Ciphertext) -> Result<Ciphertext, RlweError> {
        let [left, right] = self.levelled(left, right)?;
        let parts = self.context.product(&left.parts, &right.parts, left.level);
        let factor = self.prime().multiply(left.factor, right.factor);
        Ok(Ciphertext { parts, level: left.level, factor })
    }

    /// A ciphertext of three parts in two.
    #[must_use]
    pub fn relinearise(&self, ciphertext: &Ciphertext, key: &SwitchingKey) -> Ciphertext {
        let parts = self.context.relinearised(&ciphertext.parts, key, ciphertext.level);
        Ciphertext { parts, ..*ciphertext }
    }

    /// Both rows rotated to the left by each of these numbers of steps; what the rotations share is computed once (hoisting, Halevi and Shoup,
    /// CRYPTO 2018).
    pub fn rotate_many(
        &self,
        ciphertext: &Ciphertext,
        steps: &[i64],
        keys: &RotationKeys,
    ) -> Result<Vec<Ciphertext>, RlweError> {
        let rotations: Vec<_> = steps.iter().map(|&steps| Automorphism::Rotation(steps)).collect();
        self.automorphisms(ciphertext, &rotations, keys)
    }

    /// Both rows rotated to the left.
    pub fn rotate(
        &self,
        ciphertext: &Ciphertext,
        steps: i64,
        keys: &RotationKeys,
    ) -> Result<Ciphertext, RlweError> {
        let rotated = self.rotate_many(ciphertext, &[steps], keys)?;
        Ok(rotated.into_iter().next().unwrap_or_else(|| ciphertext.clone()))
    }

    /// The rows in each other's place.
    pub fn swap_rows(&self, ciphertext: &Ciphertext, keys: &RotationKeys) -> Result<Ciphertext, RlweError> {
        let swapped = self.automorphisms(ciphertext, &[Automorphism::Inversion], keys)?;
        Ok(swapped.into_iter().next().unwrap_or_else(|| ciphertext.clone()))
    }

    fn automorphisms(
        &self,
        ciphertext: &Ciphertext,
        automorphisms: &[Automorphism],
        keys: &RotationKeys,
    ) -> Result<Vec<Ciphertext>, RlweError> {
        let moved = self.context.automorphisms(&ciphertext.parts, automorphisms, keys, ciphertext.level)?;
        Ok(moved.into_iter().map(|parts| Ciphertext { parts, ..*ciphertext }).collect())
    }
}

#[cfg(test)]
mod tests;
