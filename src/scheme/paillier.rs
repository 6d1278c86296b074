//! Paillier's cryptosystem (Eurocrypt 1999) with generator 1 + N.
//!
//! A message m below N = pq becomes `(1 + mN) * r^N mod N^2` for a random unit r; products of ciphertexts are sums of
//! messages. The secret key decrypts modulo p^2 and q^2 and joins the halves.
//!
//! # Measures
//! [`Options`] switches every measure that makes the textbook's form faster; what each gains is a table of
//! `experiments/sweep/paillier_optimisations.toml`. None of them changes messages, sizes or what the server computes.
//! With [`Randomisation::ShortExponent`] the mask is `h^a` with `h = (-x^2)^N mod N^2` and a random a of half the length of
//! N, from a table of powers of h (Damgard, Jurik, Nielsen: "A generalization of Paillier's public-key system with
//! applications to electronic voting", 2010, section 4.2). As x is derived from N by a hash, no party has to trust
//! another's h, and nothing is added to the public key.
//!
//! # Security
//! Semantically secure under the decisional composite residuosity assumption against somebody who sees public keys and
//! ciphertexts (with short exponents: and under the assumption that factoring is hard for moduli of two primes that are
//! 3 modulo 4, which such keys have); malleable by design. In [`Arithmetic::Vector`](crate::math::ring::Arithmetic::Vector) the exponentiations with secret
//! exponents take the same steps whatever the secrets are. What is not: reading and joining numbers in num-bigint, and
//! everything in [`Arithmetic::NumBigint`](crate::math::ring::Arithmetic::NumBigint); so nobody who can measure single decryptions finely may ask for them.
//!
//! # Bytes
//! A public key is N, a ciphertext is itself, both as big-endian numbers of fixed length (bits of N and of N^2, in whole
//! bytes).

use std::ops::Range;

use num_bigint::BigUint;
use num_integer::Integer;
use num_traits::One;
use rayon::prelude::*;

use crate::{
    math::{
        pool::{in_pool, in_shares},
        prime::small_factor,
        ring::Element,
        rows::Rows,
        stream::Stream,
        uniform,
        wipe::SecretUint,
    },
    scheme::{
        additive::{AdditiveScheme, SchemeError, check_lengths},
        residue::{self, check_residues, ciphertexts, is_square, whole_bytes, write_padded},
    },
};

mod key;
mod options;

pub use crate::scheme::residue::Ciphertext;
pub use key::{PublicKey, SecretKey};
pub use options::{Options, Randomisation};

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
    options: Options,
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
            Ok(Self { modulus_bits: bits, options: Options::default() })
        } else {
            Err(SchemeError::ModulusBits { bits, min, max })
        }
    }

    /// The same with other measures.
    #[must_use]
    pub fn with_options(self, options: Options) -> Self {
        Self { options, ..self }
    }

    /// Bits of the modulus N.
    pub fn modulus_bits(&self) -> u64 {
        self.modulus_bits
    }

    /// The measures in use.
    pub fn options(&self) -> Options {
        self.options
    }

    /// The number that a ciphertext is, below N^2.
    pub fn value(&self, key: &PublicKey, ciphertext: &Ciphertext) -> BigUint {
        key.ring().write(std::slice::from_ref(&ciphertext.0)).pop().unwrap_or_default()
    }

    /// The key with the given prime factors of N, whose primality the caller vouches for.
    ///
    /// # Errors
    /// [`SchemeError::ModulusBits`] when the product does not have exactly this instance's size, [`SchemeError::Range`]
    /// when a factor is even or fails Fermat's test to base 2, or when the two do not fit each other: too close (FIPS
    /// 186-5 asks for a difference above 2^(bits/2 - 100)), or gcd(N, (p-1)(q-1)) is not 1.
    pub fn from_primes(&self, p: BigUint, q: BigUint) -> Result<SecretKey, SchemeError> {
        SecretKey::try_new(self.modulus_bits, SecretUint::new(p), SecretUint::new(q), self.options)
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
        check_residues(key.modulus(), std::slice::from_ref(residue))?;
        if *r == BigUint::ZERO || r >= key.modulus() {
            return Err(SchemeError::Range { what: "randomness", index: 0 });
        }
        if !r.gcd(key.modulus()).is_one() {
            return Err(SchemeError::NotAUnit { index: 0 });
        }
        let ring = key.ring();
        let mask = ring.power_vartime(&ring.read(&[r]), key.modulus());
        let product = ring.multiply(&mask, &plain_powers(key, std::slice::from_ref(residue)));
        product.into_iter().next().map(Ciphertext).ok_or(SchemeError::NotAUnit { index: 0 })
    }

    /// `count` random units r, the i-th from `randomness.item(i)`.
    fn units(key: &PublicKey, count: usize, randomness: &Stream) -> Vec<SecretUint> {
        in_shares(count, 1, |items| random_units(key.modulus(), items, randomness))
    }

    /// `count` random exponents a of half the modulus's length, the i-th from `randomness.item(i)`.
    fn short_exponents(&self, count: usize, randomness: &Stream) -> Vec<SecretUint> {
        let bound = BigUint::one() << (self.modulus_bits / 2);
        let exponent = |index| SecretUint::new(uniform::below(&bound, &mut randomness.item(index).rng()));
        (0..count as u64).into_par_iter().map(exponent).collect()
    }

    /// Fresh encryptions of zero: r^N, or h^a.
    fn masks(&self, key: &PublicKey, count: usize, randomness: &Stream) -> Vec<Element> {
        match self.options.randomisation {
            Randomisation::Textbook => {
                let units = Self::units(key, count, randomness);
                let units: Vec<&BigUint> = units.iter().map(|unit| &**unit).collect();
                key.ring().power_vartime(&key.ring().read(&units), key.modulus())
            }
            Randomisation::ShortExponent => {
                let exponents = self.short_exponents(count, randomness);
                let exponents: Vec<&BigUint> = exponents.iter().map(|exponent| &**exponent).collect();
                key.ring().power_of_fixed(key.mask_powers(), &exponents, self.modulus_bits / 2)
            }
        }
    }

    /// The same numbers, from the factors.
    fn own_masks(&self, key: &SecretKey, count: usize, randomness: &Stream) -> Vec<Element> {
        match self.options.randomisation {
            Randomisation::Textbook => key.masks(&Self::units(key.public(), count, randomness)),
            Randomisation::ShortExponent => key.short_masks(&self.short_exponents(count, randomness)),
        }
    }

    /// (1 + mN) times a mask, for every message m.
    fn masked(
        key: &PublicKey,
        residues: &[BigUint],
        masks: impl FnOnce() -> Vec<Element>,
    ) -> Result<Vec<Ciphertext>, SchemeError> {
        check_residues(key.modulus(), residues)?;
        Ok(ciphertexts(key.ring().multiply(&masks(), &plain_powers(key, residues))))
    }
}

impl AdditiveScheme for Paillier {
    type PublicKey = PublicKey;
    type SecretKey = SecretKey;
    type Ciphertext = Ciphertext;

    fn generate_keys(&self, randomness: &Stream) -> Result<SecretKey, SchemeError> {
        SecretKey::generate(self.modulus_bits, randomness, self.options)
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
        in_pool(|| Self::masked(key, residues, || self.masks(key, residues.len(), randomness)))
    }

    fn encrypt_own(
        &self,
        key: &SecretKey,
        residues: &[BigUint],
        randomness: &Stream,
    ) -> Result<Vec<Ciphertext>, SchemeError> {
        in_pool(|| {
            if !self.options.crt_encryption {
                return self.encrypt(key.public(), residues, randomness);
            }
            Self::masked(key.public(), residues, || self.own_masks(key, residues.len(), randomness))
        })
    }

    fn decrypt(&self, key: &SecretKey, ciphertexts: &[Ciphertext]) -> Result<Vec<BigUint>, SchemeError> {
        in_pool(|| {
            Ok(if self.options.crt_decryption {
                key.decrypt(ciphertexts)
            } else {
                key.decrypt_textbook(ciphertexts)
            })
        })
    }

    fn add(
        &self,
        key: &PublicKey,
        left: &[Ciphertext],
        right: &[Ciphertext],
    ) -> Result<Vec<Ciphertext>, SchemeError> {
        in_pool(|| {
            check_lengths(left.len(), right.len())?;
            Ok(ciphertexts(key.ring().multiply(left, right)))
        })
    }

    fn add_plain(
        &self,
        key: &PublicKey,
        left: &[Ciphertext],
        residues: &[BigUint],
    ) -> Result<Vec<Ciphertext>, SchemeError> {
        in_pool(|| {
            check_lengths(left.len(), residues.len())?;
            Ok(ciphertexts(key.ring().multiply(left, &plain_powers(key, residues))))
        })
    }

    fn combine(
        &self,
        key: &PublicKey,
        inputs: &[Ciphertext],
        rows: &Rows<'_>,
    ) -> Result<Vec<Ciphertext>, SchemeError> {
        residue::combine(key.ring(), key.modulus(), inputs, rows, self.options.multi_exponentiation)
    }

    fn multiples(
        &self,
        key: &PublicKey,
        ciphertext: &Ciphertext,
        factors: &[&BigUint],
        bits: u64,
    ) -> Result<Vec<Ciphertext>, SchemeError> {
        Ok(residue::multiples(key.ring(), ciphertext, factors, bits))
    }

    fn rerandomise(
        &self,
        key: &PublicKey,
        ciphertexts: &[Ciphertext],
        randomness: &Stream,
    ) -> Vec<Ciphertext> {
        in_pool(|| {
            let masks = self.masks(key, ciphertexts.len(), randomness);
            residue::ciphertexts(key.ring().multiply(ciphertexts, &masks))
        })
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
        PublicKey::try_new(modulus, self.options.arithmetic).ok_or(refused)
    }

    fn write_ciphertexts(&self, key: &PublicKey, ciphertexts: &[Ciphertext], out: &mut Vec<u8>) {
        residue::write(key.ring(), ciphertexts, self.ciphertext_bytes(), out);
    }

    fn read_ciphertexts(&self, key: &PublicKey, bytes: &[u8]) -> Result<Vec<Ciphertext>, SchemeError> {
        residue::read(key.ring(), key.modulus(), bytes, self.ciphertext_bytes())
    }
}

/// (1 + N)^m modulo N^2, which is congruent to 1 + mN.
fn plain_powers(key: &PublicKey, residues: &[BigUint]) -> Vec<Element> {
    let powers: Vec<_> = residues.iter().map(|residue| residue * key.modulus() + 1u8).collect();
    key.ring().read(&powers.iter().collect::<Vec<_>>())
}

/// Uniform units modulo N. That all are units as they are drawn is as good as certain, and one gcd tells of all.
fn random_units(modulus: &BigUint, items: Range<usize>, randomness: &Stream) -> Vec<SecretUint> {
    let streams = || items.clone().map(|index| randomness.item(index as u64));
    let drawn: Vec<_> =
        streams().map(|stream| SecretUint::new(uniform::below(modulus, &mut stream.rng()))).collect();
    if residue::are_units(modulus, &drawn) {
        return drawn;
    }
    streams().map(|stream| random_unit(modulus, &stream)).collect()
}

/// The first number of a stream that is a unit modulo N.
fn random_unit(modulus: &BigUint, randomness: &Stream) -> SecretUint {
    let mut rng = randomness.rng();
    loop {
        let candidate = SecretUint::new(uniform::below(modulus, &mut rng));
        if candidate.gcd(modulus).is_one() {
            return candidate;
        }
    }
}

#[cfg(test)]
mod tests;
