//! Exponential ElGamal over the group ristretto255.
//!
//! ElGamal's cryptosystem (IEEE Transactions on Information Theory 31, 1985) with the message in the exponent, as in Cramer,
//! Gennaro and Schoenmakers (Eurocrypt 1997): with base point G and public key H = xG a message m becomes
//! `(rG, mG + rH)` for a random r. Sums of ciphertexts are ciphertexts of sums. The secret key gives mG, and a search among
//! small numbers gives m, so messages have a bound. The group is ristretto255 (RFC 9496) of prime order l = 2^252 + 27742317777372353535851937790883648493: messages are residues modulo l, and -m is
//! l - m.
//!
//! # Security
//! Semantically secure under the decisional Diffie-Hellman assumption in the group, against somebody who sees public
//! keys and ciphertexts; malleable by design. Encryption and the product with the secret key take the same time for all
//! messages, randomness and keys; the search takes longer for larger messages, so nobody who can measure single
//! decryptions may ask for them. Weights and plain summands are no secrets of the party that computes with
//! them and may show in its time.
//!
//! # Bytes
//! A group element is its encoding of 32 bytes by RFC 9496. A public key is H, a ciphertext `rG` and then `mG + rH`. The
//! identity is refused as a public key. As a part of a ciphertext it is an element like others: it occurs in the
//! empty dot product.

use std::sync::LazyLock;

use curve25519_dalek::{RistrettoPoint, Scalar, ristretto::CompressedRistretto};
use num_bigint::BigUint;
use rand::RngCore;
use rayon::prelude::*;
use zeroize::{Zeroize, Zeroizing};

use crate::{
    math::{rows::Rows, stream::Stream},
    scheme::{
        additive::{AdditiveScheme, SchemeError, check_lengths, check_samples},
        exponential::{self, CHEAP_ITEMS, straus},
    },
};

mod key;
pub mod multiplicative;
mod search;

pub use key::{PublicKey, SecretKey};

/// Least bits of a bound on messages.
pub const MIN_BOUND_BITS: u32 = 1;
/// Greatest bits of a bound on messages.
///
/// The table of the search stops growing at 64 MiB, which leaves four million steps of half a microsecond to one for the
/// worst message of 44 bits, or for one beyond the bound: two to four seconds on one core. Four bits more would make it
/// a minute.
pub const MAX_BOUND_BITS: u32 = 44;
/// Security of ristretto255 in bits, as NIST SP 800-186 counts that of the curve underneath. Pollard's rho method takes about
/// 2^126 group operations.
pub const SECURITY_BITS: u32 = 128;

/// Bytes of an encoded group element.
const POINT_BYTES: usize = 32;

/// The group's order.
static ORDER: LazyLock<BigUint> = LazyLock::new(|| BigUint::from_bytes_le((-Scalar::ONE).as_bytes()) + 1_u32);

/// The cryptosystem with a bound on the messages that decryption finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ElGamal {
    bound_bits: u32,
}

/// An encrypted residue: two group elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ciphertext {
    /// rG
    mask: RistrettoPoint,
    /// mG + rH
    body: RistrettoPoint,
}

impl ElGamal {
    /// `ElGamal` that decrypts messages of magnitude below `2^bound_bits`, a number in
    /// [`MIN_BOUND_BITS`]`..=`[`MAX_BOUND_BITS`].
    ///
    /// # Errors
    /// [`SchemeError::BoundBits`].
    pub fn try_new(bound_bits: u32) -> Result<Self, SchemeError> {
        let range = MIN_BOUND_BITS..=MAX_BOUND_BITS;
        exponential::check_bound_bits(bound_bits, &range).map(|bound_bits| Self { bound_bits })
    }

    /// Bits of the greatest message.
    pub fn bound_bits(&self) -> u32 {
        self.bound_bits
    }
}

impl AdditiveScheme for ElGamal {
    type PublicKey = PublicKey;
    type SecretKey = SecretKey;
    type Ciphertext = Ciphertext;

    fn generate_keys(&self, randomness: &Stream) -> Result<SecretKey, SchemeError> {
        Ok(SecretKey::generate(randomness))
    }

    fn public_key<'k>(&self, key: &'k SecretKey) -> &'k PublicKey {
        key.public()
    }

    /// The order of the group, whatever the key.
    fn plaintext_modulus<'k>(&self, _key: &'k PublicKey) -> &'k BigUint {
        &ORDER
    }

    fn encrypt(
        &self,
        key: &PublicKey,
        residues: &[BigUint],
        randomness: &Stream,
    ) -> Result<Vec<Ciphertext>, SchemeError> {
        encrypt_each(residues, randomness, |message, random| Ciphertext {
            mask: RistrettoPoint::mul_base(random),
            body: RistrettoPoint::mul_base(message) + key.multiply(random),
        })
    }

    /// The owner computes (m + rx)G in place of mG + rH: one product less.
    fn encrypt_own(
        &self,
        key: &SecretKey,
        residues: &[BigUint],
        randomness: &Stream,
    ) -> Result<Vec<Ciphertext>, SchemeError> {
        encrypt_each(residues, randomness, |message, random| {
            let sum = Zeroizing::new(message + random * key.exponent());
            Ciphertext { mask: RistrettoPoint::mul_base(random), body: RistrettoPoint::mul_base(&sum) }
        })
    }

    fn message_bound(&self) -> Option<BigUint> {
        Some(exponential::bound(self.bound_bits))
    }

    /// The first decryption of a process makes a table for the search, which takes about as long as the search for 64
    /// messages as great as the bound.
    fn decrypt(&self, key: &SecretKey, ciphertexts: &[Ciphertext]) -> Result<Vec<BigUint>, SchemeError> {
        let points: Vec<_> = ciphertexts
            .par_iter()
            .map(|ciphertext| ciphertext.body - ciphertext.mask * key.exponent())
            .collect();
        exponential::messages(&points, self.bound_bits, &ORDER)
    }

    fn add(
        &self,
        _key: &PublicKey,
        left: &[Ciphertext],
        right: &[Ciphertext],
    ) -> Result<Vec<Ciphertext>, SchemeError> {
        check_lengths(left.len(), right.len())?;
        let pairs = left.par_iter().zip(right).with_min_len(CHEAP_ITEMS);
        Ok(pairs.map(|(a, b)| Ciphertext { mask: a.mask + b.mask, body: a.body + b.body }).collect())
    }

    fn add_plain(
        &self,
        _key: &PublicKey,
        left: &[Ciphertext],
        residues: &[BigUint],
    ) -> Result<Vec<Ciphertext>, SchemeError> {
        check_lengths(left.len(), residues.len())?;
        let pairs = left.par_iter().zip(residues);
        Ok(pairs
            .map(|(old, residue)| Ciphertext {
                mask: old.mask,
                body: old.body + RistrettoPoint::mul_base(&scalar_of(&(residue % &*ORDER))),
            })
            .collect())
    }

    /// Work grows with the number of the weights that are not zero and with their bits.
    fn combine(
        &self,
        _key: &PublicKey,
        inputs: &[Ciphertext],
        rows: &Rows<'_>,
    ) -> Result<Vec<Ciphertext>, SchemeError> {
        check_samples(inputs.len(), rows.columns(), rows.len())?;
        let points: Vec<_> = inputs.iter().map(|input| [input.mask, input.body]).collect();
        let sums = straus::dot_products(&points, rows, &ORDER);
        Ok(sums.into_iter().map(|[mask, body]| Ciphertext { mask, body }).collect())
    }

    fn rerandomise(
        &self,
        key: &PublicKey,
        ciphertexts: &[Ciphertext],
        randomness: &Stream,
    ) -> Vec<Ciphertext> {
        exponential::randomised(ciphertexts, randomness, |old, rng| {
            let random = random_scalar(rng);
            Ciphertext {
                mask: old.mask + RistrettoPoint::mul_base(&random),
                body: old.body + key.multiply(&random),
            }
        })
    }

    fn public_key_bytes(&self) -> usize {
        POINT_BYTES
    }

    fn ciphertext_bytes(&self) -> usize {
        2 * POINT_BYTES
    }

    fn write_public_key(&self, key: &PublicKey, out: &mut Vec<u8>) {
        out.extend_from_slice(key.point().compress().as_bytes());
    }

    fn read_public_key(&self, bytes: &[u8]) -> Result<PublicKey, SchemeError> {
        if bytes.len() != POINT_BYTES {
            return Err(SchemeError::Length {
                what: "public key",
                bytes: bytes.len(),
                expected: POINT_BYTES,
            });
        }
        decode(bytes)
            .and_then(PublicKey::try_new)
            .ok_or(SchemeError::NotAnElement { what: "public key", index: 0 })
    }

    fn write_ciphertexts(&self, _key: &PublicKey, ciphertexts: &[Ciphertext], out: &mut Vec<u8>) {
        let encodings: Vec<_> = ciphertexts
            .par_iter()
            .map(|ciphertext| [ciphertext.mask.compress(), ciphertext.body.compress()])
            .collect();
        encodings.iter().flatten().for_each(|encoding| out.extend_from_slice(encoding.as_bytes()));
    }

    fn read_ciphertexts(&self, _key: &PublicKey, bytes: &[u8]) -> Result<Vec<Ciphertext>, SchemeError> {
        exponential::read_each(bytes, self.ciphertext_bytes(), |bytes| {
            let (mask, body) = bytes.split_at(POINT_BYTES);
            Some(Ciphertext { mask: decode(mask)?, body: decode(body)? })
        })
    }
}

/// Applies `encrypt` to every message and its randomness.
fn encrypt_each(
    residues: &[BigUint],
    randomness: &Stream,
    encrypt: impl Fn(&Scalar, &Scalar) -> Ciphertext + Sync,
) -> Result<Vec<Ciphertext>, SchemeError> {
    exponential::check_residues(residues, &ORDER)?;
    let encrypt = |residue: &BigUint, rng: &mut _| encrypt(&scalar_of(residue), &random_scalar(rng));
    Ok(exponential::randomised(residues, randomness, encrypt))
}

/// A uniform scalar from 64 random bytes.
fn random_scalar(rng: &mut impl RngCore) -> Zeroizing<Scalar> {
    let mut bytes = Zeroizing::new([0; 64]);
    rng.fill_bytes(&mut *bytes);
    Zeroizing::new(Scalar::from_bytes_mod_order_wide(&bytes))
}

/// The scalar of a residue below the order.
fn scalar_of(residue: &BigUint) -> Zeroizing<Scalar> {
    let mut bytes = [0; POINT_BYTES];
    let mut digits = residue.to_bytes_le();
    for (byte, digit) in bytes.iter_mut().zip(&digits) {
        *byte = *digit;
    }
    let scalar = Zeroizing::new(Scalar::from_bytes_mod_order(bytes));
    bytes.zeroize();
    digits.zeroize();
    scalar
}

/// The element with this encoding; `None` for anything but the one encoding of an element.
fn decode(bytes: &[u8]) -> Option<RistrettoPoint> {
    CompressedRistretto::from_slice(bytes).ok()?.decompress()
}

#[cfg(test)]
mod tests;
