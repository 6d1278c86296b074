//! Keys: the secret, encryptions of zero under it, and encryptions of other secrets for switching.

use zeroize::{Zeroize, Zeroizing};

use super::{Context, Seed, ciphertext::expand};
use crate::math::{
    pool::{join, map},
    rns::{Basis, Polynomial, polynomial::Domain},
    sampling::{centred_binomial, ternary},
    stream::Stream,
};

/// A ternary secret s, in values modulo all primes. No `Debug`, no `Clone`; wiped when dropped.
pub struct SecretKey {
    values: Polynomial,
}

impl Drop for SecretKey {
    fn drop(&mut self) {
        self.values.zeroize();
    }
}

impl SecretKey {
    /// A fresh secret.
    pub fn generate(context: &Context, randomness: &Stream) -> Self {
        let parameters = context.parameters();
        let coefficients =
            Zeroizing::new(ternary(parameters.degree(), &mut randomness.derive("secret").rng()));
        let extended = context.extended(parameters.levels());
        let mut values = extended.polynomial(&coefficients);
        extended.forward(&mut values);
        Self { values }
    }

    /// s modulo the primes of a level.
    pub(in crate::scheme) fn at(&self, level: usize) -> Polynomial {
        self.values.first_rows(level)
    }

    /// s modulo all primes.
    pub(in crate::scheme) fn values(&self) -> &Polynomial {
        &self.values
    }

    /// s under an automorphism, which finds values at these places.
    pub(in crate::scheme) fn permuted(&self, context: &Context, places: &[u32]) -> Self {
        Self { values: context.permute(&self.values, places) }
    }

    /// The phase `c_0 + c_1 s + c_2 s^2 + …` of a ciphertext.
    pub(in crate::scheme) fn phase(
        &self,
        context: &Context,
        parts: &[Polynomial],
        level: usize,
    ) -> Zeroizing<Polynomial> {
        let basis = context.basis(level);
        let secret = Zeroizing::new(self.at(level));
        // Whoever knows a phase beside its ciphertext knows the secret.
        let mut sum: Option<Zeroizing<Polynomial>> = None;
        for part in parts.iter().rev() {
            sum = Some(match sum {
                None => Zeroizing::new(part.clone()),
                Some(sum) => {
                    let mut product = Zeroizing::new(part.clone());
                    basis.multiply_add(&mut product, &sum, &secret);
                    product
                }
            });
        }
        sum.unwrap_or_else(|| Zeroizing::new(basis.zero(Domain::Values)))
    }

    /// A fresh encryption of zero at the highest level, and what its second half is expanded from.
    pub(in crate::scheme) fn encrypt_zero(
        &self,
        context: &Context,
        randomness: &Stream,
    ) -> ([Polynomial; 2], Seed) {
        let level = context.parameters().levels();
        zero(context, &context.basis(level), &Zeroizing::new(self.at(level)), randomness)
    }
}

/// An encryption of zero under a secret: `(t e - a s, a)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    parts: [Polynomial; 2],
    seed: Seed,
}

impl PublicKey {
    /// A public key of a secret.
    pub fn generate(context: &Context, secret: &SecretKey, randomness: &Stream) -> Self {
        let (parts, seed) = secret.encrypt_zero(context, randomness);
        Self { parts, seed }
    }

    pub(super) fn from_parts(parts: [Polynomial; 2], seed: Seed) -> Self {
        Self { parts, seed }
    }

    pub(super) fn parts(&self) -> &[Polynomial; 2] {
        &self.parts
    }

    pub(super) fn seed(&self) -> Seed {
        self.seed
    }

    /// A fresh encryption of zero: `u` times the key, and errors.
    pub(in crate::scheme) fn encrypt_zero(&self, context: &Context, randomness: &Stream) -> [Polynomial; 2] {
        let parameters = context.parameters();
        let basis = context.basis(parameters.levels());
        let small = |numbers: Vec<i64>, factor: u64| {
            let numbers = Zeroizing::new(numbers);
            let mut polynomial = basis.polynomial(&numbers);
            if factor != 1 {
                basis.scale(&mut polynomial, &basis.residues(&factor.into()));
            }
            basis.forward(&mut polynomial);
            polynomial
        };
        let degree = parameters.degree();
        let error = |half: u64| {
            let mut rng = randomness.derive("error").item(half).rng();
            small(centred_binomial(degree, &mut rng), context.plaintext_modulus())
        };
        let mask = || Zeroizing::new(small(ternary(degree, &mut randomness.derive("mask").rng()), 1));
        let (mask, mut errors) = join(mask, || <[_; 2]>::from(join(|| error(0), || error(1))));
        for (error, part) in errors.iter_mut().zip(&self.parts) {
            basis.multiply_add(error, &mask, part);
        }
        errors
    }
}

/// Encryptions under s, a digit each, of P times another secret s'.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwitchingKey {
    digits: Vec<[Polynomial; 2]>,
    /// of the digits' second halves
    seeds: Vec<Seed>,
}

impl SwitchingKey {
    /// The key from `other`, in values modulo all primes, to `secret`.
    pub(in crate::scheme) fn generate(
        context: &Context,
        secret: &SecretKey,
        other: &Polynomial,
        randomness: &Stream,
    ) -> Self {
        let parameters = context.parameters();
        let extended = context.extended(parameters.levels());
        let special = parameters.special().product();
        let digits = parameters.digits(parameters.levels());
        let digits = map(digits.into_iter().enumerate(), |(index, digit)| {
            let randomness = randomness.item(index as u64);
            let (mut parts, seed) = zero(context, &extended, secret.values(), &randomness);
            let degree = parameters.degree();
            let rows = parts[0].rows_mut().zip(other.residues().chunks_exact(degree)).zip(extended.primes());
            for ((out, other), prime) in rows.skip(digit.start).take(digit.len()) {
                let factor = prime.reduce_big(&special);
                for (out, other) in out.iter_mut().zip(other) {
                    *out = prime.add(*out, prime.multiply(*other, factor));
                }
            }
            (parts, seed)
        });
        Self::from_digits(digits)
    }

    pub(super) fn from_digits(digits: Vec<([Polynomial; 2], Seed)>) -> Self {
        let (digits, seeds) = digits.into_iter().unzip();
        Self { digits, seeds }
    }

    pub(super) fn seeds(&self) -> &[Seed] {
        &self.seeds
    }

    /// A pair a digit.
    pub(in crate::scheme) fn digits(&self) -> &[[Polynomial; 2]] {
        &self.digits
    }

    /// Bytes of its residues.
    pub fn bytes(&self) -> usize {
        self.digits.iter().flatten().map(|part| 8 * part.residues().len()).sum()
    }
}

/// `(t e - a s, a)` in values of a basis, and what a is expanded from.
fn zero(
    context: &Context,
    basis: &Basis,
    secret: &Polynomial,
    randomness: &Stream,
) -> ([Polynomial; 2], Seed) {
    // The generator's own seed: it says nothing of the stream that it was derived from.
    let seed = randomness.derive("uniform").rng().get_seed();
    let a = expand(basis, seed);
    let error = centred_binomial(basis.degree(), &mut randomness.derive("error").rng());
    let error = Zeroizing::new(error);
    let mut body = basis.polynomial(&error);
    basis.scale(&mut body, &basis.residues(&context.plaintext_modulus().into()));
    basis.forward(&mut body);
    // Whoever knows a and this knows the secret.
    basis.subtract(&mut body, &Zeroizing::new(basis.multiply(&a, secret)));
    ([body, a], seed)
}
