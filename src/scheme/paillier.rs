//! Paillier's cryptosystem (Eurocrypt 1999) with generator 1 + N.
//!
//! A message m below N = pq becomes `(1 + mN) * r^N mod N^2` for a random unit r; products of ciphertexts are sums of
//! messages. The secret key decrypts modulo p^2 and q^2 and joins the halves.
//!
//! # Security
//! Semantically secure under the decisional composite residuosity assumption against somebody who sees public keys and
//! ciphertexts; malleable by design. The arithmetic is num-bigint's, whose time depends on secrets: nobody who can
//! measure single decryptions finely may ask for them.
//!
//! # Bytes
//! A public key is N, a ciphertext is itself, both as big-endian numbers of fixed length (bits of N and of N^2, in whole
//! bytes).

use num_bigint::{BigInt, BigUint, Sign};
use num_integer::Integer;
use num_traits::One;
use rayon::prelude::*;

use crate::{
    math::{prime::small_factor, stream::Stream, uniform, wipe::SecretUint},
    scheme::additive::{AdditiveScheme, SchemeError},
};

mod key;

pub use key::{PublicKey, SecretKey};

/// Least size of a modulus.
pub const MIN_MODULUS_BITS: u64 = 512;
/// Greatest size of a modulus.
pub const MAX_MODULUS_BITS: u64 = 16_384;
/// Least size that [`Paillier::insecure_for_tests`] takes.
const MIN_INSECURE_BITS: u64 = 64;

/// The cryptosystem with moduli of a given size.
///
/// Keys and ciphertexts belong to the instance's size; using those of another size with it is a mistake of the caller
/// that gives meaningless results, not a danger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paillier {
    modulus_bits: u64,
}

/// An encrypted residue: a unit modulo N^2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ciphertext {
    value: BigUint,
}

impl Ciphertext {
    /// The number itself, below N^2.
    pub fn value(&self) -> &BigUint {
        &self.value
    }
}

impl Paillier {
    /// Paillier with moduli of `modulus_bits` bits: an even number in [`MIN_MODULUS_BITS`]`..=`[`MAX_MODULUS_BITS`].
    ///
    /// What a size is worth is told by
    /// [`factoring_security_bits`](crate::scheme::security::factoring_security_bits).
    ///
    /// # Errors
    /// [`SchemeError::ModulusBits`].
    pub fn try_new(modulus_bits: u64) -> Result<Self, SchemeError> {
        Self::with_least(modulus_bits, MIN_MODULUS_BITS)
    }

    /// Paillier with moduli down to 64 bits, which are factored in a blink: for fast tests only.
    ///
    /// # Errors
    /// [`SchemeError::ModulusBits`].
    pub fn insecure_for_tests(modulus_bits: u64) -> Result<Self, SchemeError> {
        Self::with_least(modulus_bits, MIN_INSECURE_BITS)
    }

    fn with_least(bits: u64, min: u64) -> Result<Self, SchemeError> {
        let max = MAX_MODULUS_BITS;
        if bits.is_even() && (min..=max).contains(&bits) {
            Ok(Self { modulus_bits: bits })
        } else {
            Err(SchemeError::ModulusBits { bits, min, max })
        }
    }

    /// Bits of the modulus N.
    pub fn modulus_bits(&self) -> u64 {
        self.modulus_bits
    }

    /// The key with the given prime factors of N, whose primality the caller vouches for.
    ///
    /// # Errors
    /// [`SchemeError::ModulusBits`] when the product does not have exactly this instance's size, [`SchemeError::Range`]
    /// when a factor is even or fails Fermat's test to base 2, or when the two do not fit each other: too close (FIPS
    /// 186-5 asks for a difference above 2^(bits/2 - 100)), or gcd(N, (p-1)(q-1)) is not 1.
    pub fn from_primes(&self, p: BigUint, q: BigUint) -> Result<SecretKey, SchemeError> {
        SecretKey::try_new(self.modulus_bits, SecretUint::new(p), SecretUint::new(q))
    }

    /// Encrypts one residue with a given unit `r` in place of a random one. Who knows r reads the message, and two
    /// messages with the same r betray their difference: for reproducing published ciphertexts.
    ///
    /// # Errors
    /// [`SchemeError::MessageRange`]; [`SchemeError::Range`] when r is not in 1..N, [`SchemeError::NotAUnit`] when it
    /// shares a factor with N, both with index 0.
    pub fn encrypt_with(
        &self,
        key: &PublicKey,
        residue: &BigUint,
        r: &BigUint,
    ) -> Result<Ciphertext, SchemeError> {
        check_residue(key, 0, residue)?;
        if *r == BigUint::ZERO || r >= key.modulus() {
            return Err(SchemeError::Range { what: "randomness", index: 0 });
        }
        if !r.gcd(key.modulus()).is_one() {
            return Err(SchemeError::NotAUnit { index: 0 });
        }
        let mask = key.square().pow(r, key.modulus());
        Ok(Ciphertext { value: key.square().multiply(&plain_power(key, residue), &mask) })
    }

    /// `count` random units r, the i-th from `randomness.item(i)`.
    fn units(key: &PublicKey, count: usize, randomness: &Stream) -> Vec<SecretUint> {
        (0..count as u64)
            .into_par_iter()
            .map(|index| random_unit(key.modulus(), &randomness.item(index)))
            .collect()
    }

    /// r^N for `count` random units: fresh encryptions of zero.
    fn masks(key: &PublicKey, count: usize, randomness: &Stream) -> Vec<BigUint> {
        key.square().pow_each(&Self::units(key, count, randomness), key.modulus())
    }

    /// (1 + mN) times a mask, for every message m.
    fn masked(
        key: &PublicKey,
        residues: &[BigUint],
        masks: impl FnOnce() -> Vec<BigUint>,
    ) -> Result<Vec<Ciphertext>, SchemeError> {
        residues.iter().enumerate().try_for_each(|(index, residue)| check_residue(key, index, residue))?;
        let masked = residues.par_iter().zip(masks());
        Ok(masked
            .map(|(residue, mask)| Ciphertext {
                value: key.square().multiply(&plain_power(key, residue), &mask),
            })
            .collect())
    }
}

impl AdditiveScheme for Paillier {
    type PublicKey = PublicKey;
    type SecretKey = SecretKey;
    type Ciphertext = Ciphertext;

    fn generate_keys(&self, randomness: &Stream) -> Result<SecretKey, SchemeError> {
        SecretKey::generate(self.modulus_bits, randomness)
    }

    fn public_key<'k>(&self, key: &'k SecretKey) -> &'k PublicKey {
        key.public()
    }

    fn plaintext_modulus<'k>(&self, key: &'k PublicKey) -> &'k BigUint {
        key.modulus()
    }

    fn encrypt(
        &self,
        key: &PublicKey,
        residues: &[BigUint],
        randomness: &Stream,
    ) -> Result<Vec<Ciphertext>, SchemeError> {
        Self::masked(key, residues, || Self::masks(key, residues.len(), randomness))
    }

    fn encrypt_own(
        &self,
        key: &SecretKey,
        residues: &[BigUint],
        randomness: &Stream,
    ) -> Result<Vec<Ciphertext>, SchemeError> {
        let public = key.public();
        Self::masked(public, residues, || key.masks(&Self::units(public, residues.len(), randomness)))
    }

    fn decrypt(&self, key: &SecretKey, ciphertexts: &[Ciphertext]) -> Vec<BigUint> {
        let values: Vec<_> = ciphertexts.iter().map(Ciphertext::value).collect();
        key.decrypt(&values)
    }

    fn add(&self, key: &PublicKey, left: &Ciphertext, right: &Ciphertext) -> Ciphertext {
        Ciphertext { value: key.square().multiply(&left.value, &right.value) }
    }

    fn add_plain(&self, key: &PublicKey, left: &Ciphertext, residue: &BigUint) -> Ciphertext {
        Ciphertext { value: key.square().multiply(&left.value, &plain_power(key, residue)) }
    }

    /// Work grows with the bits of the weights. Positive and negative weights are multiplied apart, so that one
    /// inversion is enough; it is left out when no weight is negative.
    fn dot(
        &self,
        key: &PublicKey,
        ciphertexts: &[Ciphertext],
        weights: &[BigInt],
    ) -> Result<Ciphertext, SchemeError> {
        if ciphertexts.len() != weights.len() {
            return Err(SchemeError::LengthMismatch { left: ciphertexts.len(), right: weights.len() });
        }
        let terms_of = |sign: Sign| -> Vec<_> {
            let pairs = ciphertexts.iter().zip(weights).filter(|(_, weight)| weight.sign() == sign);
            pairs.map(|(ciphertext, weight)| (ciphertext.value(), weight.magnitude())).collect()
        };
        let square = key.square();
        let plus = square.product_of_powers(&terms_of(Sign::Plus));
        let negative = terms_of(Sign::Minus);
        if negative.is_empty() {
            return Ok(Ciphertext { value: plus });
        }
        match square.invert(&square.product_of_powers(&negative)) {
            Some(inverse) => Ok(Ciphertext { value: square.multiply(&plus, &inverse) }),
            // Only ciphertexts of another key can get here: those read or made with this one are units.
            None => Err(SchemeError::NotAUnit { index: first_non_unit(key, ciphertexts).unwrap_or(0) }),
        }
    }

    fn rerandomise(
        &self,
        key: &PublicKey,
        ciphertexts: &[Ciphertext],
        randomness: &Stream,
    ) -> Vec<Ciphertext> {
        let masks = Self::masks(key, ciphertexts.len(), randomness);
        let masked = ciphertexts.par_iter().zip(masks);
        masked.map(|(old, mask)| Ciphertext { value: key.square().multiply(&old.value, &mask) }).collect()
    }

    fn public_key_bytes(&self) -> usize {
        whole_bytes(self.modulus_bits)
    }

    fn ciphertext_bytes(&self) -> usize {
        whole_bytes(2 * self.modulus_bits)
    }

    fn write_public_key(&self, key: &PublicKey, out: &mut Vec<u8>) {
        write_padded(key.modulus(), self.public_key_bytes(), out);
    }

    /// Checks what can be checked without the factors: N is odd, of exactly this size, without a prime factor below
    /// 2^16, and no square. A modulus of another shape made on purpose stays possible; it harms only its maker.
    fn read_public_key(&self, bytes: &[u8]) -> Result<PublicKey, SchemeError> {
        let expected = self.public_key_bytes();
        if bytes.len() != expected {
            return Err(SchemeError::Length { what: "public key", bytes: bytes.len(), expected });
        }
        let modulus = BigUint::from_bytes_be(bytes);
        let refused = SchemeError::Range { what: "modulus", index: 0 };
        // The sieve's primes include 2, so it refuses even numbers as well.
        if modulus.bits() != self.modulus_bits || small_factor(&modulus).is_some() || is_square(&modulus) {
            return Err(refused);
        }
        PublicKey::try_new(modulus).ok_or(refused)
    }

    fn write_ciphertext(&self, ciphertext: &Ciphertext, out: &mut Vec<u8>) {
        write_padded(&ciphertext.value, self.ciphertext_bytes(), out);
    }

    fn read_ciphertexts(&self, key: &PublicKey, bytes: &[u8]) -> Result<Vec<Ciphertext>, SchemeError> {
        let expected = self.ciphertext_bytes();
        if !bytes.len().is_multiple_of(expected) {
            return Err(SchemeError::Length { what: "ciphertexts", bytes: bytes.len(), expected });
        }
        let numbers = bytes.chunks_exact(expected).map(BigUint::from_bytes_be);
        let ciphertexts: Vec<_> = numbers.map(|value| Ciphertext { value }).collect();
        let in_range = |ciphertext: &Ciphertext| ciphertext.value < *key.square().value();
        if let Some(index) = ciphertexts.iter().position(|ciphertext| !in_range(ciphertext)) {
            return Err(SchemeError::Range { what: "ciphertext", index });
        }
        match first_non_unit(key, &ciphertexts) {
            Some(index) => Err(SchemeError::NotAUnit { index }),
            None => Ok(ciphertexts),
        }
    }
}

/// (1 + N)^m modulo N^2, which is congruent to 1 + mN, and below N^2 when m is a residue.
fn plain_power(key: &PublicKey, residue: &BigUint) -> BigUint {
    residue * key.modulus() + 1u8
}

fn check_residue(key: &PublicKey, index: usize, residue: &BigUint) -> Result<(), SchemeError> {
    let modulus = key.modulus();
    if residue < modulus { Ok(()) } else { Err(SchemeError::MessageRange { index, bits: modulus.bits() }) }
}

/// A uniform unit modulo N.
fn random_unit(modulus: &BigUint, randomness: &Stream) -> SecretUint {
    let mut rng = randomness.rng();
    loop {
        let candidate = SecretUint::new(uniform::below(modulus, &mut rng));
        if candidate.gcd(modulus).is_one() {
            return candidate;
        }
    }
}

/// Position of the first ciphertext that shares a factor with N. One gcd for all of them when there is none.
fn first_non_unit(key: &PublicKey, ciphertexts: &[Ciphertext]) -> Option<usize> {
    let modulus = key.modulus();
    let residues: Vec<_> = ciphertexts.par_iter().map(|ciphertext| &ciphertext.value % modulus).collect();
    let product = residues.iter().fold(BigUint::one(), |product, residue| product * residue % modulus);
    if product.gcd(modulus).is_one() {
        return None;
    }
    residues.iter().position(|residue| !residue.gcd(modulus).is_one())
}

fn is_square(n: &BigUint) -> bool {
    let root = n.sqrt();
    &root * &root == *n
}

fn whole_bytes(bits: u64) -> usize {
    // At most 2 * MAX_MODULUS_BITS.
    usize::try_from(bits.div_ceil(8)).unwrap_or(usize::MAX)
}

/// Appends the number in big-endian order with leading zeros.
fn write_padded(number: &BigUint, length: usize, out: &mut Vec<u8>) {
    let digits = number.to_bytes_be();
    debug_assert!(digits.len() <= length, "a number of another key size");
    out.resize(out.len() + length.saturating_sub(digits.len()), 0);
    out.extend_from_slice(&digits);
}

#[cfg(test)]
mod tests;
