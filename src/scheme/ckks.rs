//! CKKS: approximate arithmetic on vectors of complex numbers.
//!
//! Cheon, Kim, Kim and Song, "Homomorphic encryption for arithmetic of approximate numbers" (ASIACRYPT 2017), over residues (Cheon, Han,
//! Kim, Kim and Song, SAC 2018). The phase of a ciphertext is `S m + e`: a polynomial whose values at half of the roots of X^N + 1 are the
//! N/2 slots times a *scale* S, and an error that is part of the result. A product multiplies scales; *rescaling* drops the level's
//! last prime and divides by it. Scales are kept as they are, not as they were meant: primes are not powers of two.
//!
//! # Precision
//! Numbers are exact to about log2 S - log2 N bits less what the circuit adds up. Compare a result with the exact circuit; what leaves the
//! program is rounded to what was measured.
//!
//! # Security
//! That of [`rlwe`](crate::scheme::rlwe). Whoever is given a decrypted result with its error learns of the secret key (Li and Micciancio,
//! EUROCRYPT 2021): round results before they are published.

use num_complex::Complex64;

use crate::{
    math::{
        rns::{Polynomial, Prime},
        stream::Stream,
    },
    scheme::rlwe::{
        Automorphism, Context, Literal, Parameters, PublicKey, RlweError, RotationKeys, SecretKey,
        SwitchingKey,
    },
};

mod embedding;

use embedding::Embedding;

/// Greatest magnitude of a coefficient that is encoded: 2^62.
const MAX_COEFFICIENT: f64 = 4_611_686_018_427_387_904.0;
/// Scales that differ by less are taken for equal: primes of one length differ by that much, and it is far below the errors.
const SCALE_TOLERANCE: f64 = 1e-9;

/// The scheme with its parameters.
#[derive(Debug)]
pub struct Ckks {
    context: Context,
    embedding: Embedding,
}

/// A message as a polynomial with a scale.
#[derive(Debug, Clone, PartialEq)]
pub struct Plaintext {
    coefficients: Vec<i64>,
    scale: f64,
}

impl Plaintext {
    /// S
    pub fn scale(&self) -> f64 {
        self.scale
    }
}

/// An encrypted message.
#[derive(Debug, Clone, PartialEq)]
pub struct Ciphertext {
    /// in values modulo the primes of the level
    parts: Vec<Polynomial>,
    level: usize,
    scale: f64,
}

impl Ciphertext {
    /// Primes that are left.
    pub fn level(&self) -> usize {
        self.level
    }

    /// S
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// Polynomials: two, or three after a product that was not relinearised.
    pub fn parts(&self) -> usize {
        self.parts.len()
    }
}

impl Ckks {
    /// The scheme with these parameters.
    pub fn try_new(literal: &Literal) -> Result<Self, RlweError> {
        let parameters = Parameters::try_new(literal)?;
        let embedding = Embedding::new(parameters.degree());
        Ok(Self { context: Context::new(parameters, 1), embedding })
    }

    /// The parameters.
    pub fn parameters(&self) -> &Parameters {
        self.context.parameters()
    }

    /// N/2 slots.
    pub fn slots(&self) -> usize {
        self.parameters().degree() / 2
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

    /// Keys for rotations by these numbers of steps, and for conjugation.
    pub fn generate_rotation_keys(
        &self,
        secret: &SecretKey,
        steps: &[i64],
        conjugation: bool,
        randomness: &Stream,
    ) -> RotationKeys {
        self.context.rotation_keys(secret, steps, conjugation, randomness)
    }

    /// The plaintext of some slots at a scale; what is missing is 0.
    ///
    /// # Errors
    /// [`RlweError::Slots`], and [`RlweError::Scale`] where a coefficient would not fit 62 bits or is no number.
    pub fn encode(&self, values: &[Complex64], scale: f64) -> Result<Plaintext, RlweError> {
        if values.len() > self.slots() {
            return Err(RlweError::Slots { values: values.len(), slots: self.slots() });
        }
        let mut slots = values.to_vec();
        slots.resize(self.slots(), Complex64::ZERO);
        self.embedding.inverse(&mut slots);
        let parts = slots.iter().map(|slot| slot.re).chain(slots.iter().map(|slot| slot.im));
        let coefficients: Vec<f64> = parts.map(|part| libm::rint(part * scale)).collect();
        // Not a number is not below either.
        if !coefficients.iter().all(|coefficient| coefficient.abs() < MAX_COEFFICIENT) {
            let needed = "coefficients below 2^62".to_owned();
            return Err(RlweError::Scale { operation: "encoding", scale: libm::log2(scale), needed });
        }
        #[expect(clippy::cast_possible_truncation, reason = "found to be below 2^62")]
        let coefficients = coefficients.into_iter().map(|coefficient| coefficient as i64).collect();
        Ok(Plaintext { coefficients, scale })
    }

    /// Encrypts at the highest level.
    pub fn encrypt(&self, key: &PublicKey, plaintext: &Plaintext, randomness: &Stream) -> Ciphertext {
        let level = self.parameters().levels();
        let mut parts = key.encrypt_zero(&self.context, randomness);
        self.context.basis(level).add(&mut parts[0], &self.values(plaintext, level));
        Ciphertext { parts: parts.into(), level, scale: plaintext.scale }
    }

    fn values(&self, plaintext: &Plaintext, level: usize) -> Polynomial {
        let basis = self.context.basis(level);
        let mut polynomial = basis.polynomial(&plaintext.coefficients);
        basis.forward(&mut polynomial);
        polynomial
    }

    /// All slots, with their errors. They are right as long as the phase stays below half of the product of the level's
    /// first two primes, or of the one that is left.
    pub fn decrypt(&self, key: &SecretKey, ciphertext: &Ciphertext) -> Vec<Complex64> {
        let count = ciphertext.level.min(2);
        let first = self.context.basis(count);
        let parts: Vec<_> = ciphertext.parts.iter().map(|part| part.first_rows(count)).collect();
        let mut phase = key.phase(&self.context, &parts, count);
        first.inverse(&mut phase);
        let primes: Vec<Prime> = first.primes().collect();
        let rows: Vec<&[u64]> = phase.rows().collect();
        let coefficients: Vec<f64> = match (&primes[..], &rows[..]) {
            ([one], [row]) => {
                row.iter().map(|residue| one.centre(*residue) as f64 / ciphertext.scale).collect()
            }
            ([one, two], [low, high]) => {
                let inverse = two.invert(two.reduce(one.value()));
                let lift = |(low, high): (&u64, &u64)| {
                    // x = low + one k for k = (high - low) / one modulo two; k of least magnitude, and low too.
                    let low = one.centre(*low);
                    let k = two.multiply(two.subtract(*high, two.reduce_signed(low)), inverse);
                    let wide = i128::from(low) + i128::from(one.value()) * i128::from(two.centre(k));
                    wide as f64 / ciphertext.scale
                };
                low.iter().zip(*high).map(lift).collect()
            }
            _ => Vec::new(),
        };
        let (real, imaginary) = coefficients.split_at(coefficients.len() / 2);
        let mut slots: Vec<_> = real.iter().zip(imaginary).map(|(re, im)| Complex64::new(*re, *im)).collect();
        self.embedding.forward(&mut slots);
        slots
    }

    /// Without the primes above a level: the message and its scale stay.
    pub fn drop_to(&self, ciphertext: &Ciphertext, level: usize) -> Result<Ciphertext, RlweError> {
        if level < 1 || level > ciphertext.level {
            let (operation, needed) = ("dropping primes", level.max(1));
            return Err(RlweError::Level { operation, level: ciphertext.level, needed });
        }
        let parts = ciphertext.parts.iter().map(|part| part.first_rows(level)).collect();
        Ok(Ciphertext { parts, level, scale: ciphertext.scale })
    }

    /// Drops the last prime and divides by it.
    pub fn rescale(&self, ciphertext: &Ciphertext) -> Result<Ciphertext, RlweError> {
        let level = ciphertext.level;
        if level < 2 {
            return Err(RlweError::Level { operation: "rescaling", level, needed: 2 });
        }
        let division = self.context.by_last(level);
        let last = self.parameters().modulus().primes().nth(level - 1).map_or(1, Prime::value);
        let parts = ciphertext.parts.iter().map(|part| division.apply(part.clone())).collect();
        Ok(Ciphertext { parts, level: level - 1, scale: ciphertext.scale / last as f64 })
    }

    /// Both at the lower level.
    fn levelled(&self, left: &Ciphertext, right: &Ciphertext) -> Result<[Ciphertext; 2], RlweError> {
        let level = left.level.min(right.level);
        Ok([self.drop_to(left, level)?, self.drop_to(right, level)?])
    }

    fn check_scales(operation: &'static str, left: f64, right: f64) -> Result<(), RlweError> {
        if (left / right - 1.0).abs() < SCALE_TOLERANCE {
            return Ok(());
        }
        let needed = format!("2^{:.12}", libm::log2(left));
        Err(RlweError::Scale { operation, scale: libm::log2(right), needed })
    }

    /// The sum of ciphertexts of one scale; at the lower level of the two.
    pub fn add(&self, left: &Ciphertext, right: &Ciphertext) -> Result<Ciphertext, RlweError> {
        Self::check_scales("a sum", left.scale, right.scale)?;
        let [left, right] = self.levelled(left, right)?;
        let parts = self.context.sum(&left.parts, &right.parts, left.level);
        Ok(Ciphertext { parts, ..left })
    }

    /// The negative.
    #[must_use]
    pub fn negate(&self, ciphertext: &Ciphertext) -> Ciphertext {
        let mut negative = ciphertext.clone();
        let basis = self.context.basis(negative.level);
        negative.parts.iter_mut().for_each(|part| basis.negate(part));
        negative
    }

    /// The sum with a plaintext of the same scale.
    pub fn add_plain(&self, ciphertext: &Ciphertext, plaintext: &Plaintext) -> Result<Ciphertext, RlweError> {
        Self::check_scales("a sum with a plaintext", ciphertext.scale, plaintext.scale)?;
        let values = self.values(plaintext, ciphertext.level);
        let parts = self.context.sum(&ciphertext.parts, &[values], ciphertext.level);
        Ok(Ciphertext { parts, ..*ciphertext })
    }

    /// The product with a plaintext, slot by slot; scales multiply.
    #[must_use]
    pub fn multiply_plain(&self, ciphertext: &Ciphertext, plaintext: &Plaintext) -> Ciphertext {
        let values = self.values(plaintext, ciphertext.level);
        let parts = self.context.product(&ciphertext.parts, &[values], ciphertext.level);
        Ciphertext { parts, level: ciphertext.level, scale: ciphertext.scale * plaintext.scale }
    }

    /// The product, slot by slot, at the lower level of the two; scales multiply.
    pub fn multiply(&self, left: &Ciphertext, right: &Ciphertext) -> Result<Ciphertext, RlweError> {
        let [left, right] = self.levelled(left, right)?;
        let parts = self.context.product(&left.parts, &right.parts, left.level);
        Ok(Ciphertext { parts, level: left.level, scale: left.scale * right.scale })
    }

    /// A ciphertext of three parts in two.
    #[must_use]
    pub fn relinearise(&self, ciphertext: &Ciphertext, key: &SwitchingKey) -> Ciphertext {
        let parts = self.context.relinearised(&ciphertext.parts, key, ciphertext.level);
        Ciphertext { parts, ..*ciphertext }
    }

    /// The slots rotated to the left by each of these numbers of steps; what the rotations share is computed once.
    pub fn rotate_many(
        &self,
        ciphertext: &Ciphertext,
        steps: &[i64],
        keys: &RotationKeys,
    ) -> Result<Vec<Ciphertext>, RlweError> {
        let rotations: Vec<_> = steps.iter().map(|&steps| Automorphism::Rotation(steps)).collect();
        self.automorphisms(ciphertext, &rotations, keys)
    }

    /// The slots' conjugates.
    pub fn conjugate(&self, ciphertext: &Ciphertext, keys: &RotationKeys) -> Result<Ciphertext, RlweError> {
        let conjugate = self.automorphisms(ciphertext, &[Automorphism::Inversion], keys)?;
        Ok(conjugate.into_iter().next().unwrap_or_else(|| ciphertext.clone()))
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
