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

use num_bigint::BigInt;
use num_complex::Complex64;
use num_traits::ToPrimitive;
use zeroize::Zeroizing;

use crate::{
    math::rns::{Polynomial, Prime},
    scheme::rlwe::{
        Borrowed, Ciphertext, Context, Literal, Parameters, RlweError, RlweScheme, SecretKey, Tag,
    },
};

mod embedding;

use embedding::Embedding;

/// Greatest magnitude of a coefficient that is encoded: 2^62.
const MAX_COEFFICIENT: f64 = 4_611_686_018_427_387_904.0;
/// Scales that differ by less are taken for equal: what `f64` loses in a long circuit. At a scale of 2^40 that is about the error of a fresh
/// ciphertext; `backend::slots` adds it to its bounds.
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

/// A decrypted message, with its error: wiped when dropped, as the secret follows from it and its ciphertext.
#[derive(Clone)]
pub struct Phase {
    values: Zeroizing<Polynomial>,
    level: usize,
    scale: f64,
}

/// S
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Scale(pub f64);

impl Tag for Scale {
    fn to_word(self) -> u64 {
        self.0.to_bits()
    }

    fn from_word(word: u64) -> Option<Self> {
        let scale = f64::from_bits(word);
        (scale.is_normal() && scale > 0.0).then_some(Self(scale))
    }
}

impl Ciphertext<Scale> {
    /// S
    pub fn scale(&self) -> f64 {
        self.tag.0
    }
}

impl Ckks {
    /// The scheme with these parameters.
    pub fn try_new(literal: &Literal) -> Result<Self, RlweError> {
        let parameters = Parameters::try_new(literal, None)?;
        let embedding = Embedding::new(parameters.degree());
        Ok(Self { context: Context::new(parameters, 1, 1, 1), embedding })
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

    fn values(&self, plaintext: &Plaintext, level: usize) -> Polynomial {
        let basis = self.context.basis(level);
        let mut polynomial = basis.polynomial(&plaintext.coefficients);
        basis.forward(&mut polynomial);
        polynomial
    }

    /// All slots of a decrypted message, with their errors.
    ///
    /// Two primes hold nearly all messages, and a third tells whether they hold this one: only where they do not is the message taken modulo
    /// all of them.
    pub fn decode(&self, phase: &Phase) -> Vec<Complex64> {
        let coefficients = self.short(phase).unwrap_or_else(|| {
            let lifted = self.context.basis(phase.level).lift(&phase.values);
            lifted.iter().map(|coefficient| coefficient.to_f64().unwrap_or(f64::NAN)).collect()
        });
        let (real, imaginary) = coefficients.split_at(coefficients.len() / 2);
        let inverse = 1.0 / phase.scale;
        let slots = real.iter().zip(imaginary);
        let mut slots: Vec<_> = slots.map(|(re, im)| Complex64::new(re * inverse, im * inverse)).collect();
        self.embedding.forward(&mut slots);
        slots
    }

    /// The coefficients of a phase that is below half of the product of the level's first two primes, or of the one that is left; `None`
    /// where it is not.
    fn short(&self, phase: &Phase) -> Option<Vec<f64>> {
        let count = phase.level.min(3);
        let first = self.context.basis(count);
        let mut values = Zeroizing::new(phase.values.first_rows(count));
        first.inverse(&mut values);
        let primes: Vec<Prime> = first.primes().collect();
        let rows: Vec<&[u64]> = values.rows().collect();
        let ([one, rest @ ..], [low, others @ ..]) = (&primes[..], &rows[..]) else { return None };
        let ([two, rest @ ..], [high, others @ ..]) = (rest, others) else {
            return Some(low.iter().map(|residue| one.centre(*residue) as f64).collect());
        };
        let inverse = two.invert(two.reduce(one.value()));
        // x = low + one k for k = (high - low) / one modulo two; k of least magnitude, and low too.
        let parts = |(low, high): (&u64, &u64)| {
            let low = one.centre(*low);
            (low, two.centre(two.multiply(two.subtract(*high, two.reduce_signed(low)), inverse)))
        };
        if let ([three, ..], [check, ..]) = (rest, others) {
            let step = three.reduce(one.value());
            let residue = |(low, k): (i64, i64)| {
                three.add(three.reduce_signed(low), three.multiply(three.reduce_signed(k), step))
            };
            if low.iter().zip(*high).map(parts).map(residue).ne(check.iter().copied()) {
                return None;
            }
        }
        let number = |(low, k): (i64, i64)| one.value() as f64 * k as f64 + low as f64;
        Some(low.iter().zip(*high).map(parts).map(number).collect())
    }

    fn check_scales(operation: &'static str, left: f64, right: f64) -> Result<(), RlweError> {
        if (left / right - 1.0).abs() < SCALE_TOLERANCE {
            return Ok(());
        }
        let needed = format!("2^{:.12}", libm::log2(left));
        Err(RlweError::Scale { operation, scale: libm::log2(right), needed })
    }
}

impl RlweScheme for Ckks {
    type Tag = Scale;
    type Plaintext = Plaintext;
    type Decrypted = Phase;

    fn context(&self) -> &Context {
        &self.context
    }

    /// N/2 slots.
    fn slots(&self) -> usize {
        self.parameters().degree() / 2
    }

    fn fresh_tag(&self, plaintext: &Plaintext) -> Scale {
        Scale(plaintext.scale)
    }

    fn summand(&self, plaintext: &Plaintext, level: usize, tag: Scale) -> Result<Polynomial, RlweError> {
        Self::check_scales("a sum with a plaintext", tag.0, plaintext.scale)?;
        Ok(self.values(plaintext, level))
    }

    fn factor(&self, plaintext: &Plaintext, level: usize) -> Polynomial {
        self.values(plaintext, level)
    }

    fn constant(&self, integer: &BigInt, level: usize, _tag: Scale) -> Vec<u64> {
        self.context.basis(level).signed_residues(integer)
    }

    fn product_tag(&self, left: Scale, right: Scale) -> Scale {
        Scale(left.0 * right.0)
    }

    fn check_tags(&self, operation: &'static str, left: Scale, right: Scale) -> Result<(), RlweError> {
        Self::check_scales(operation, left.0, right.0)
    }

    fn aligned<'c>(
        &self,
        left: &'c Ciphertext<Scale>,
        right: &'c Ciphertext<Scale>,
    ) -> Result<[Borrowed<'c, Scale>; 2], RlweError> {
        Self::check_scales("a sum", left.tag.0, right.tag.0)?;
        let level = left.level.min(right.level);
        Ok([self.drop_to(left, level)?, self.drop_to(right, level)?])
    }

    /// The scale is divided too.
    fn lower(&self, ciphertext: &Ciphertext<Scale>) -> Result<Ciphertext<Scale>, RlweError> {
        let (parts, last) = self.context.divided_by_last("rescaling", ciphertext)?;
        Ok(Ciphertext::new(&self.context, parts, ciphertext.level - 1, Scale(ciphertext.tag.0 / last as f64)))
    }

    /// Without the primes above a level: the message and its scale stay.
    fn drop_to<'c>(
        &self,
        ciphertext: &'c Ciphertext<Scale>,
        level: usize,
    ) -> Result<Borrowed<'c, Scale>, RlweError> {
        ciphertext.check_level("dropping primes", &self.context, level)?;
        if level == ciphertext.level {
            return Ok(Borrowed::Borrowed(ciphertext));
        }
        let parts = ciphertext.parts.iter().map(|part| part.first_rows(level)).collect();
        Ok(Borrowed::Owned(Ciphertext::new(&self.context, parts, level, ciphertext.tag)))
    }

    fn decrypt(&self, key: &SecretKey, ciphertext: &Ciphertext<Scale>) -> Phase {
        let values = key.phase(&self.context, &ciphertext.parts, ciphertext.level);
        Phase { values, level: ciphertext.level, scale: ciphertext.tag.0 }
    }

    fn noise_budget(&self, key: &SecretKey, ciphertext: &Ciphertext<Scale>) -> f64 {
        let basis = self.context.basis(ciphertext.level);
        basis.slack(&key.phase(&self.context, &ciphertext.parts, ciphertext.level))
    }
}

#[cfg(test)]
mod tests;
