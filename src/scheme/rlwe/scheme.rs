//! What the three schemes do alike.

use std::{borrow::Cow, fmt};

use num_bigint::BigInt;

use super::{
    Automorphism, Ciphertext, Context, Parameters, PublicKey, RlweError, RotationKeys, SecretKey,
    SwitchingKey, Tag,
};
use crate::math::{
    rns::{Polynomial, Row},
    stream::Stream,
};

/// A ciphertext that may not have needed a change.
pub type Borrowed<'c, T> = Cow<'c, Ciphertext<T>>;

/// A message in values, for products with ciphertexts of its level and those below.
#[derive(Debug, Clone)]
pub struct Prepared<T> {
    values: Polynomial,
    level: usize,
    tag: T,
    context: u64,
}

/// Two factors.
pub type Pair<'c, T> = (&'c Ciphertext<T>, &'c Ciphertext<T>);

/// A scheme over a ring: vectors of slots that are added, multiplied and rotated under encryption.
///
/// Ciphertexts know the parameters that they were made under: those of others are refused with [`RlweError::Context`] by whatever can
/// fail. What cannot fail (negatives, sums and products with what is not encrypted, relinearisation, decryption) takes those of
/// this scheme only, and panics or gives garbage for others; so do keys of other parameters.
pub trait RlweScheme: fmt::Debug + Send + Sync {
    /// What is kept beside a ciphertext's polynomials.
    type Tag: Tag;
    /// An encoded message.
    type Plaintext: Clone + Send + Sync;
    /// A decrypted message.
    type Decrypted;

    /// Parameters and tables.
    fn context(&self) -> &Context;

    /// Numbers that a message holds.
    fn slots(&self) -> usize;

    /// The tag of a fresh ciphertext of a message.
    fn fresh_tag(&self, plaintext: &Self::Plaintext) -> Self::Tag;

    /// A message as what is added to the phase of a ciphertext, in values.
    ///
    /// # Errors
    /// [`RlweError::Scale`] where the tags do not fit each other.
    fn summand(
        &self,
        plaintext: &Self::Plaintext,
        level: usize,
        tag: Self::Tag,
    ) -> Result<Polynomial, RlweError>;

    /// A message as what a phase is multiplied by, in values.
    fn factor(&self, plaintext: &Self::Plaintext, level: usize) -> Polynomial;

    /// An integer in all slots (at the scale of the tag) as what is added to the phase: residues modulo the level's primes.
    fn constant(&self, integer: &BigInt, level: usize, tag: Self::Tag) -> Vec<u64>;

    /// The tag of a product.
    fn product_tag(&self, left: Self::Tag, right: Self::Tag) -> Self::Tag;

    /// Checks that sums of these tags make sense; they all do, where there is no scale.
    ///
    /// # Errors
    /// [`RlweError::Scale`] in CKKS.
    fn check_tags(
        &self,
        _operation: &'static str,
        _left: Self::Tag,
        _right: Self::Tag,
    ) -> Result<(), RlweError> {
        Ok(())
    }

    /// Both at one level and with one tag, so that their phases can be added.
    ///
    /// # Errors
    /// [`RlweError::Scale`] where that cannot be.
    fn aligned<'c>(
        &self,
        left: &'c Ciphertext<Self::Tag>,
        right: &'c Ciphertext<Self::Tag>,
    ) -> Result<[Borrowed<'c, Self::Tag>; 2], RlweError>;

    /// Drops the last prime and divides by it: rescaling in CKKS, modulus switching in BGV.
    ///
    /// # Errors
    /// [`RlweError::Level`] at the last level, and always in BFV, which has one.
    fn lower(&self, ciphertext: &Ciphertext<Self::Tag>) -> Result<Ciphertext<Self::Tag>, RlweError>;

    /// The same message at a lower level.
    ///
    /// # Errors
    /// [`RlweError::Level`] where it is not lower.
    fn drop_to<'c>(
        &self,
        ciphertext: &'c Ciphertext<Self::Tag>,
        level: usize,
    ) -> Result<Borrowed<'c, Self::Tag>, RlweError>;

    /// Decrypts.
    fn decrypt(&self, key: &SecretKey, ciphertext: &Ciphertext<Self::Tag>) -> Self::Decrypted;

    /// log2 of half of the modulus over the greatest magnitude that decryption sees; not above 0 where the message may be
    /// lost. For tests and reports: it takes the secret key.
    fn noise_budget(&self, key: &SecretKey, ciphertext: &Ciphertext<Self::Tag>) -> f64;

    /// The parameters.
    fn parameters(&self) -> &Parameters {
        self.context().parameters()
    }

    /// A fresh secret key.
    fn generate_secret_key(&self, randomness: &Stream) -> SecretKey {
        SecretKey::generate(self.context(), randomness)
    }

    /// A public key of a secret key.
    fn generate_public_key(&self, secret: &SecretKey, randomness: &Stream) -> PublicKey {
        PublicKey::generate(self.context(), secret, randomness)
    }

    /// The key that makes products of two parts again.
    fn generate_relinearisation_key(&self, secret: &SecretKey, randomness: &Stream) -> SwitchingKey {
        self.context().relinearisation_key(secret, randomness)
    }

    /// Keys for rotations by these numbers of steps, and for the inversion: the swap of BGV's and BFV's rows, CKKS' conjugation.
    fn generate_rotation_keys(
        &self,
        secret: &SecretKey,
        steps: &[i64],
        inversion: bool,
        randomness: &Stream,
    ) -> RotationKeys {
        self.context().rotation_keys(secret, steps, inversion, randomness)
    }

    /// Encrypts at the highest level.
    ///
    /// # Errors
    /// Those of [`RlweScheme::summand`].
    fn encrypt(
        &self,
        key: &PublicKey,
        plaintext: &Self::Plaintext,
        randomness: &Stream,
    ) -> Result<Ciphertext<Self::Tag>, RlweError> {
        let (level, tag) = (self.parameters().levels(), self.fresh_tag(plaintext));
        let mut parts = key.encrypt_zero(self.context(), randomness);
        self.context().basis(level).add(&mut parts[0], &self.summand(plaintext, level, tag)?);
        Ok(Ciphertext::new(self.context(), parts.into(), level, tag))
    }

    /// Encrypts under one's own key: half as long when written, as its uniform half is a seed, and with a smaller error.
    ///
    /// # Errors
    /// Those of [`RlweScheme::summand`].
    fn encrypt_own(
        &self,
        key: &SecretKey,
        plaintext: &Self::Plaintext,
        randomness: &Stream,
    ) -> Result<Ciphertext<Self::Tag>, RlweError> {
        let (level, tag) = (self.parameters().levels(), self.fresh_tag(plaintext));
        let (mut parts, seed) = key.encrypt_zero(self.context(), randomness);
        self.context().basis(level).add(&mut parts[0], &self.summand(plaintext, level, tag)?);
        Ok(Ciphertext::seeded(self.context(), parts, level, tag, seed))
    }

    /// The sum; at the lower level of the two.
    ///
    /// # Errors
    /// Those of [`RlweScheme::aligned`].
    fn add(
        &self,
        left: &Ciphertext<Self::Tag>,
        right: &Ciphertext<Self::Tag>,
    ) -> Result<Ciphertext<Self::Tag>, RlweError> {
        let [left, right] = self.aligned(left, right)?;
        Ok(left.with(self.context().sum(&left.parts, &right.parts, left.level)))
    }

    /// The difference; at the lower level of the two.
    ///
    /// # Errors
    /// Those of [`RlweScheme::aligned`].
    fn subtract(
        &self,
        left: &Ciphertext<Self::Tag>,
        right: &Ciphertext<Self::Tag>,
    ) -> Result<Ciphertext<Self::Tag>, RlweError> {
        self.add(left, &self.negate(right))
    }

    /// The negative.
    #[must_use]
    fn negate(&self, ciphertext: &Ciphertext<Self::Tag>) -> Ciphertext<Self::Tag> {
        let basis = self.context().basis(ciphertext.level);
        let mut parts = ciphertext.parts.clone();
        for part in &mut parts {
            basis.negate(part);
        }
        ciphertext.with(parts)
    }

    /// The sum with a plaintext.
    ///
    /// # Errors
    /// Those of [`RlweScheme::summand`].
    fn add_plain(
        &self,
        ciphertext: &Ciphertext<Self::Tag>,
        plaintext: &Self::Plaintext,
    ) -> Result<Ciphertext<Self::Tag>, RlweError> {
        ciphertext.check("a sum with a plaintext", self.context())?;
        let values = self.summand(plaintext, ciphertext.level, ciphertext.tag)?;
        Ok(ciphertext.with(self.context().sum(&ciphertext.parts, &[values], ciphertext.level)))
    }

    /// A message ready for products with ciphertexts of a level: what is multiplied with many is transformed once.
    fn prepare(&self, plaintext: &Self::Plaintext, level: usize) -> Prepared<Self::Tag> {
        let (tag, context) = (self.fresh_tag(plaintext), self.context().fingerprint());
        Prepared { values: self.factor(plaintext, level), level, tag, context }
    }

    /// The product with a prepared message, slot by slot.
    ///
    /// # Errors
    /// [`RlweError::Level`] where it was prepared for a lower level.
    fn multiply_prepared(
        &self,
        ciphertext: &Ciphertext<Self::Tag>,
        prepared: &Prepared<Self::Tag>,
    ) -> Result<Ciphertext<Self::Tag>, RlweError> {
        let (level, operation) = (ciphertext.level, "a product with a prepared message");
        ciphertext.check(operation, self.context())?;
        if prepared.context != self.context().fingerprint() {
            return Err(RlweError::Context { operation });
        }
        if prepared.level < level {
            return Err(RlweError::Level { operation, level: prepared.level, needed: level });
        }
        let basis = self.context().basis(level);
        let lower = (prepared.level > level).then(|| prepared.values.first_rows(level));
        let values = lower.as_ref().unwrap_or(&prepared.values);
        let parts = ciphertext.parts.iter().map(|part| basis.multiply(part, values)).collect();
        Ok(Ciphertext::new(self.context(), parts, level, self.product_tag(ciphertext.tag, prepared.tag)))
    }

    /// The product with a plaintext, slot by slot.
    #[must_use]
    fn multiply_plain(
        &self,
        ciphertext: &Ciphertext<Self::Tag>,
        plaintext: &Self::Plaintext,
    ) -> Ciphertext<Self::Tag> {
        let values = self.factor(plaintext, ciphertext.level);
        let basis = self.context().basis(ciphertext.level);
        let parts = ciphertext.parts.iter().map(|part| basis.multiply(part, &values)).collect();
        let tag = self.product_tag(ciphertext.tag, self.fresh_tag(plaintext));
        Ciphertext::new(self.context(), parts, ciphertext.level, tag)
    }

    /// The sum with an integer in all slots, at the ciphertext's scale.
    #[must_use]
    fn add_integer(&self, ciphertext: &Ciphertext<Self::Tag>, integer: &BigInt) -> Ciphertext<Self::Tag> {
        let residues = self.constant(integer, ciphertext.level, ciphertext.tag);
        let mut parts = ciphertext.parts.clone();
        if let Some(part) = parts.first_mut() {
            self.context().basis(ciphertext.level).add_constant(part, &residues);
        }
        ciphertext.with(parts)
    }

    /// The sum of products with integers at the lowest level of all, with a tag: in CKKS scales may differ as long as their products with
    /// those of the integers are the scale of the tag.
    ///
    /// # Errors
    /// [`RlweError::Parts`] without terms.
    fn combine(
        &self,
        terms: &[(&Ciphertext<Self::Tag>, BigInt)],
        tag: Self::Tag,
    ) -> Result<Ciphertext<Self::Tag>, RlweError> {
        let none = RlweError::Parts { operation: "a sum", parts: 0 };
        let level = terms.iter().map(|(ciphertext, _)| ciphertext.level).min().ok_or(none)?;
        let dropped = terms.iter().map(|(ciphertext, _)| self.drop_to(ciphertext, level));
        let dropped = dropped.collect::<Result<Vec<_>, _>>()?;
        let parts =
            dropped.iter().map(|ciphertext| &ciphertext.parts[..]).zip(terms.iter().map(|term| &term.1));
        Ok(Ciphertext::new(
            self.context(),
            self.context().combination(&parts.collect::<Vec<_>>(), level),
            level,
            tag,
        ))
    }

    /// Sums of products with integers and a constant, one a row: what [`combine`](Self::combine) and
    /// [`add_integer`](Self::add_integer) give one after another, in less time. Inputs have one level and one number of parts.
    ///
    /// # Errors
    /// [`RlweError::Level`] and [`RlweError::Parts`] where they do not, or a row takes an input that there is not.
    fn layer(
        &self,
        inputs: &[&Ciphertext<Self::Tag>],
        rows: &[Row],
        constants: &[BigInt],
        tag: Self::Tag,
    ) -> Result<Vec<Ciphertext<Self::Tag>>, RlweError> {
        let operation = "a layer";
        let first = inputs.first().ok_or(RlweError::Parts { operation, parts: 0 })?;
        let (level, parts) = (first.level, first.parts.len());
        for input in inputs {
            input.check(operation, self.context())?;
            if input.level != level {
                return Err(RlweError::Level { operation, level: input.level, needed: level });
            }
            if input.parts.len() != parts {
                return Err(RlweError::Parts { operation, parts: input.parts.len() });
            }
        }
        if rows.iter().flatten().any(|(input, _)| *input >= inputs.len()) {
            return Err(RlweError::Parts { operation, parts: 0 });
        }
        let basis = self.context().basis(level);
        let mut outputs: Vec<Vec<Polynomial>> = rows.iter().map(|_| Vec::with_capacity(parts)).collect();
        for part in 0..parts {
            let inputs: Vec<_> = inputs.iter().map(|input| &input.parts[part]).collect();
            let sums = basis.layer(&inputs, rows);
            outputs.iter_mut().zip(sums).for_each(|(output, sum)| output.push(sum));
        }
        let output = |(mut parts, constant): (Vec<Polynomial>, &BigInt)| {
            if let Some(part) = parts.first_mut() {
                basis.add_constant(part, &self.constant(constant, level, tag));
            }
            Ciphertext::new(self.context(), parts, level, tag)
        };
        Ok(outputs.into_iter().zip(constants).map(output).collect())
    }

    /// The product, slot by slot, at the lower level of the two, in one part less than the factors have together.
    ///
    /// # Errors
    /// [`RlweError::Parts`] in BFV, whose factors must have two.
    fn multiply(
        &self,
        left: &Ciphertext<Self::Tag>,
        right: &Ciphertext<Self::Tag>,
    ) -> Result<Ciphertext<Self::Tag>, RlweError> {
        self.dot(&[(left, right)])
    }

    /// The sum of products, slot by slot, at the lowest level of all; each is what [`multiply`](Self::multiply) gives.
    ///
    /// # Errors
    /// [`RlweError::Parts`] without terms, [`RlweError::Scale`] in CKKS where products differ in it, and those of `multiply`.
    fn dot(&self, pairs: &[Pair<'_, Self::Tag>]) -> Result<Ciphertext<Self::Tag>, RlweError> {
        let operation = "a sum of products";
        let none = RlweError::Parts { operation, parts: 0 };
        let level = pairs.iter().map(|(left, right)| left.level.min(right.level)).min().ok_or(none)?;
        let tags: Vec<_> = pairs.iter().map(|(left, right)| self.product_tag(left.tag, right.tag)).collect();
        for tag in &tags[1..] {
            self.check_tags(operation, tags[0], *tag)?;
        }
        let dropped = pairs.iter().map(|(left, right)| {
            left.check(operation, self.context())?;
            right.check(operation, self.context())?;
            Ok((self.drop_to(left, level)?, self.drop_to(right, level)?))
        });
        let dropped = dropped.collect::<Result<Vec<_>, RlweError>>()?;
        let parts: Vec<_> = dropped.iter().map(|(left, right)| (&left.parts[..], &right.parts[..])).collect();
        Ok(Ciphertext::new(self.context(), self.context().dot(&parts, level), level, tags[0]))
    }

    /// A ciphertext of three parts in two.
    #[must_use]
    fn relinearise(&self, ciphertext: &Ciphertext<Self::Tag>, key: &SwitchingKey) -> Ciphertext<Self::Tag> {
        ciphertext.with(self.context().relinearised(&ciphertext.parts, key, ciphertext.level))
    }

    /// Slots (both rows of them) rotated to the left by each of these numbers of steps; what the rotations share is computed once
    /// (hoisting, Halevi and Shoup, CRYPTO 2018).
    ///
    /// # Errors
    /// [`RlweError::Rotation`] without a key, [`RlweError::Parts`] before relinearisation.
    fn rotate_many(
        &self,
        ciphertext: &Ciphertext<Self::Tag>,
        steps: &[i64],
        keys: &RotationKeys,
    ) -> Result<Vec<Ciphertext<Self::Tag>>, RlweError> {
        ciphertext.check("a rotation", self.context())?;
        let rotations: Vec<_> = steps.iter().map(|&steps| Automorphism::Rotation(steps)).collect();
        let moved = self.context().automorphisms(&ciphertext.parts, &rotations, keys, ciphertext.level)?;
        Ok(moved.into_iter().map(|parts| ciphertext.with(parts)).collect())
    }

    /// Slots (both rows of them) rotated to the left.
    ///
    /// # Errors
    /// Like [`RlweScheme::rotate_many`].
    fn rotate(
        &self,
        ciphertext: &Ciphertext<Self::Tag>,
        steps: i64,
        keys: &RotationKeys,
    ) -> Result<Ciphertext<Self::Tag>, RlweError> {
        let rotated = self.rotate_many(ciphertext, &[steps], keys)?;
        Ok(rotated.into_iter().next().unwrap_or_else(|| ciphertext.clone()))
    }

    /// The rows in each other's place (BGV, BFV); the conjugates (CKKS).
    ///
    /// # Errors
    /// [`RlweError::Inversion`] without a key, [`RlweError::Parts`] before relinearisation.
    fn invert(
        &self,
        ciphertext: &Ciphertext<Self::Tag>,
        keys: &RotationKeys,
    ) -> Result<Ciphertext<Self::Tag>, RlweError> {
        ciphertext.check("an inversion", self.context())?;
        let inversion = [Automorphism::Inversion];
        let moved = self.context().automorphisms(&ciphertext.parts, &inversion, keys, ciphertext.level)?;
        Ok(moved.into_iter().next().map_or_else(|| ciphertext.clone(), |parts| ciphertext.with(parts)))
    }
}

/// A scheme whose slots are residues modulo a prime t.
pub trait ExactScheme:
    RlweScheme<Plaintext = super::Plaintext, Decrypted = super::Plaintext> + Sized
{
    /// The scheme for a plaintext modulus, a prime of at most 60 bits that is 1 modulo 2N and none of the ciphertext's.
    ///
    /// # Errors
    /// [`RlweError::PlaintextModulus`], and those of [`Parameters::try_new`].
    fn try_new(literal: &super::Literal, plaintext_modulus: u64) -> Result<Self, RlweError>;

    /// t
    fn plaintext_modulus(&self) -> u64;

    /// The plaintext of residues of least magnitude, the first row of slots first; what is missing is 0.
    ///
    /// # Errors
    /// [`RlweError::Slots`], [`RlweError::Value`].
    fn encode(&self, values: &[i64]) -> Result<super::Plaintext, RlweError>;

    /// All slots of a plaintext.
    fn decode(&self, plaintext: &super::Plaintext) -> Vec<i64>;
}
