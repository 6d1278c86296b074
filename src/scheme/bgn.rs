//! The cryptosystem of Boneh, Goh and Nissim in groups of prime order: sums of messages, and one product.
//!
//! Boneh, Goh and Nissim (TCC 2005) compute with encrypted numbers by a pairing of a composite order. Freeman (Eurocrypt
//! 2010) moves that to groups of prime order by a *projecting* pairing: in place of a pairing of elements, one of vectors
//! of elements, with secret linear maps of each side that take the randomness away and that the pairing respects. Here the
//! vectors are pairs, the pairing of two of them is the four pairings of their elements (the tensor product), and
//! the maps are those of exponential ElGamal on either side, `(a, b) -> b - xa`; this form with the least keys and
//! ciphertexts is that of Attrapadung et al. (`AsiaCCS` 2018), there called lifted ElGamal with two levels.
//!
//! With G and H the generators of the two groups of the curve BLS12-381, g = e(G, H) and random r and s, a message m at the
//! first level is `(rG, mG + rxG)` and `(sH, mH + syH)`, so that any two ciphertexts can be multiplied. A product is
//! in the target group: the four pairings of a first half with a second one, see [`product`].
//! Sums of ciphertexts are ciphertexts of sums at either level. The secret key takes the randomness
//! away, and a search among small numbers gives m, so messages have a bound. The order of the groups is a prime r of 255
//! bits: messages are residues modulo r, and -m is r - m.
//!
//! # Security
//! Semantically secure at both levels under the SXDH assumption, that decisional Diffie-Hellman is hard in both
//! groups of the curve, against somebody who sees public keys and ciphertexts; malleable by design. Whoever makes a
//! ciphertext may put different messages into its halves; decryption reads the first.
//! Encryption and the work with the secret key take the same time for all messages, randomness and keys: the products with
//! secrets are those of the crate blstrs, or run through tables of which every entry is read. The search takes
//! longer for larger messages, so nobody who can measure single decryptions may ask for them. Weights and plain summands are
//! no secrets of the party that computes with them and may show in its time.
//!
//! # Bytes
//! An element of the curve's groups is its compressed encoding of 48 or 96 bytes (that of Zcash). A public key is xG and
//! yH, a ciphertext its four elements in the order of above, 288 bytes together. The identity is refused in a public key.
//! As a part of a ciphertext it is an element like others: it occurs in the empty dot product.
//!
//! # The crates
//! Elements and pairings are those of blstrs, which is a safe interface to blst. Its feature `__private_bench` shows the
//! type of field elements that its public functions already take; without it the target group has neither a choice in
//! constant time nor a way from blst's products of pairings. The feature promises nothing, so the version is fixed.

use std::sync::LazyLock;

use blstrs::{G1Affine, G1Projective, G2Affine, G2Projective, Scalar};
use group::Curve;
use num_bigint::BigUint;
use rayon::prelude::*;

use self::{
    group_element::{G_TABLE, G1_BYTES, G2_BYTES, H_TABLE, decode_g1, decode_g2},
    scalar::{SecretScalar, random_scalar, scalar_of},
};
use crate::{
    math::{rows::Rows, stream::Stream},
    scheme::{
        additive::{AdditiveScheme, SchemeError, check_lengths, check_rows, check_samples},
        exponential::{
            self, CHEAP_ITEMS, read_each,
            straus::{self, Summand},
        },
    },
};

mod group_element;
mod key;
mod pairing;
pub mod product;
mod scalar;
mod search;

pub use key::{PublicKey, SecretKey};
pub use product::{Product, Products};

/// Least bits of a bound on messages.
pub const MIN_BOUND_BITS: u32 = 1;
/// Greatest bits of a bound on messages.
///
/// The tables of the search stop growing at 64 MiB each, which takes four million steps. For the worst message of 40 bits, or
/// one beyond the bound, a search in the target group then takes a quarter of a million multiplications, a second on one core,
/// and the table as much as sixteen such searches. Every bit more would double the search.
pub const MAX_BOUND_BITS: u32 = 40;
/// Security of the pairing in bits: discrete logarithms in the target group, the weakest of the three, are estimated
/// at 2^126 by Guillevic, "A short-list of pairing-friendly curves resistant to special TNFS at the 128-bit security level" (PKC
/// 2020). Earlier and rougher estimates for the curve are as low as 2^117.
pub const SECURITY_BITS: u32 = 126;

/// The groups' order.
static ORDER: LazyLock<BigUint> =
    LazyLock::new(|| BigUint::from_bytes_le(&(-Scalar::from(1)).to_bytes_le()) + 1_u32);

/// The cryptosystem at its first level, with a bound on the messages that decryption finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bgn {
    bound_bits: u32,
}

/// An encrypted residue that can be multiplied once: two elements of either group of the curve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ciphertext {
    /// rG, mG + rxG
    left: [G1Projective; 2],
    /// sH, mH + syH
    right: [G2Projective; 2],
}

impl Bgn {
    /// The cryptosystem that decrypts messages of magnitude below `2^bound_bits`, a number in
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

    /// The second level, with the same keys and the same bound: what products are in.
    pub fn products(&self) -> Products {
        Products::new(*self)
    }

    /// The products of encrypted messages, pair by pair; deterministic, so re-randomise before they leave.
    ///
    /// # Errors
    /// [`SchemeError::LengthMismatch`] when the two slices differ in length.
    pub fn multiply(&self, left: &[Ciphertext], right: &[Ciphertext]) -> Result<Vec<Product>, SchemeError> {
        check_lengths(left.len(), right.len())?;
        let pairs = left.par_iter().zip(right);
        let products = pairs
            .map(|(left, right)| pairing::inner_product(&[(&left.affine_left(), &right.affine_right())]));
        Ok(products.map(Product).collect())
    }

    /// For every sample, a stretch of as many inputs as a row is long, its dot products with all rows of encrypted weights,
    /// sample by sample; where rows are empty there is one sample. Deterministic, so re-randomise before they leave.
    ///
    /// # Errors
    /// [`SchemeError::LengthMismatch`] when rows differ in length, or the inputs are no whole number of samples.
    pub fn dot_products(
        &self,
        inputs: &[Ciphertext],
        rows: &[&[Ciphertext]],
    ) -> Result<Vec<Product>, SchemeError> {
        check_rows(inputs.len(), rows)?;
        let columns = rows.first().map_or(0, |row| row.len());
        let inputs: Vec<_> = inputs.par_iter().map(Ciphertext::affine_left).collect();
        let rows: Vec<Vec<_>> =
            rows.par_iter().map(|row| row.par_iter().map(Ciphertext::affine_right).collect()).collect();
        // Empty rows have one sample, which is empty.
        let samples: Vec<_> =
            if columns == 0 { vec![&inputs[..]] } else { inputs.chunks_exact(columns).collect() };
        let sums = samples.par_iter().flat_map(|sample| {
            rows.par_iter().map(|row| {
                let pairs: Vec<_> = sample.iter().zip(row).collect();
                Product(pairing::inner_product(&pairs))
            })
        });
        Ok(sums.collect())
    }

    /// Ciphertexts of the same messages at the second level, by products with a ciphertext of 1 that needs no
    /// randomness; deterministic, so re-randomise before they leave.
    pub fn lift(&self, ciphertexts: &[Ciphertext]) -> Vec<Product> {
        let lifted = ciphertexts.par_iter().map(|ciphertext| pairing::lift(&ciphertext.affine_left()));
        lifted.map(Product).collect()
    }
}

impl Ciphertext {
    fn affine_left(&self) -> [G1Affine; 2] {
        self.left.map(|part| part.to_affine())
    }

    fn affine_right(&self) -> [G2Affine; 2] {
        self.right.map(|part| part.to_affine())
    }
}

impl AdditiveScheme for Bgn {
    type PublicKey = PublicKey;
    type SecretKey = SecretKey;
    type Ciphertext = Ciphertext;

    fn generate_keys(&self, randomness: &Stream) -> Result<SecretKey, SchemeError> {
        Ok(SecretKey::generate(randomness))
    }

    fn public_key<'k>(&self, key: &'k SecretKey) -> &'k PublicKey {
        key.public()
    }

    /// The order of the groups, whatever the key.
    fn plaintext_modulus<'k>(&self, _key: &'k PublicKey) -> &'k BigUint {
        &ORDER
    }

    fn encrypt(
        &self,
        key: &PublicKey,
        residues: &[BigUint],
        randomness: &Stream,
    ) -> Result<Vec<Ciphertext>, SchemeError> {
        encrypt_each(residues, randomness, |message, [r, s]| Ciphertext {
            left: [G_TABLE.multiply(r), G_TABLE.multiply(message) + key.tables().left.multiply(r)],
            right: [H_TABLE.multiply(s), H_TABLE.multiply(message) + key.tables().right.multiply(s)],
        })
    }

    /// The owner computes (m + rx)G in place of mG + rxG: one product less of three.
    fn encrypt_own(
        &self,
        key: &SecretKey,
        residues: &[BigUint],
        randomness: &Stream,
    ) -> Result<Vec<Ciphertext>, SchemeError> {
        encrypt_each(residues, randomness, |message, [r, s]| {
            let sums = [(r, key.left()), (s, key.right())]
                .map(|(random, secret)| SecretScalar::new(message + random * **secret));
            Ciphertext {
                left: [G_TABLE.multiply(r), G_TABLE.multiply(&sums[0])],
                right: [H_TABLE.multiply(s), H_TABLE.multiply(&sums[1])],
            }
        })
    }

    fn message_bound(&self) -> Option<BigUint> {
        Some(exponential::bound(self.bound_bits))
    }

    /// The first decryption of a process makes a table for the search, which takes about as long as the search for 64
    /// messages as great as the bound.
    fn decrypt(&self, key: &SecretKey, ciphertexts: &[Ciphertext]) -> Result<Vec<BigUint>, SchemeError> {
        let points: Vec<_> =
            ciphertexts.par_iter().map(|Ciphertext { left, .. }| left[1] - left[0] * **key.left()).collect();
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
        Ok(pairs.map(|(a, b)| Ciphertext::from(a.summand().plus(&b.summand()))).collect())
    }

    fn add_plain(
        &self,
        _key: &PublicKey,
        left: &[Ciphertext],
        residues: &[BigUint],
    ) -> Result<Vec<Ciphertext>, SchemeError> {
        check_lengths(left.len(), residues.len())?;
        let sums = left.par_iter().zip(residues).map(|(old, residue)| {
            let number = scalar_of(&(residue % &*ORDER));
            Ciphertext {
                left: [old.left[0], old.left[1] + G_TABLE.multiply_vartime(&number)],
                right: [old.right[0], old.right[1] + H_TABLE.multiply_vartime(&number)],
            }
        });
        Ok(sums.collect())
    }

    /// Work grows with the number of the weights that are not zero and with their bits.
    fn combine(
        &self,
        _key: &PublicKey,
        inputs: &[Ciphertext],
        rows: &Rows<'_>,
    ) -> Result<Vec<Ciphertext>, SchemeError> {
        check_samples(inputs.len(), rows.columns(), rows.len())?;
        let inputs: Vec<_> = inputs.iter().map(Ciphertext::summand).collect();
        let sums = straus::dot_products(&inputs, rows, &ORDER);
        Ok(sums.into_iter().map(Ciphertext::from).collect())
    }

    fn rerandomise(
        &self,
        key: &PublicKey,
        ciphertexts: &[Ciphertext],
        randomness: &Stream,
    ) -> Vec<Ciphertext> {
        randomised(ciphertexts, randomness, |old, [r, s]| Ciphertext {
            left: [old.left[0] + G_TABLE.multiply(r), old.left[1] + key.tables().left.multiply(r)],
            right: [old.right[0] + H_TABLE.multiply(s), old.right[1] + key.tables().right.multiply(s)],
        })
    }

    fn public_key_bytes(&self) -> usize {
        G1_BYTES + G2_BYTES
    }

    fn ciphertext_bytes(&self) -> usize {
        2 * (G1_BYTES + G2_BYTES)
    }

    fn write_public_key(&self, key: &PublicKey, out: &mut Vec<u8>) {
        out.extend_from_slice(&key.left().to_compressed());
        out.extend_from_slice(&key.right().to_compressed());
    }

    fn read_public_key(&self, bytes: &[u8]) -> Result<PublicKey, SchemeError> {
        let expected = self.public_key_bytes();
        if bytes.len() != expected {
            return Err(SchemeError::Length { what: "public key", bytes: bytes.len(), expected });
        }
        let (left, right) = bytes.split_at(G1_BYTES);
        let elements = decode_g1(left).zip(decode_g2(right));
        elements
            .and_then(|(left, right)| PublicKey::try_new(&left, &right))
            .ok_or(SchemeError::NotAnElement { what: "public key", index: 0 })
    }

    fn write_ciphertexts(&self, _key: &PublicKey, ciphertexts: &[Ciphertext], out: &mut Vec<u8>) {
        let encodings: Vec<_> = ciphertexts
            .par_iter()
            .map(|Ciphertext { left, right }| {
                (left.map(|part| part.to_compressed()), right.map(|part| part.to_compressed()))
            })
            .collect();
        for (left, right) in encodings {
            out.extend(left.iter().flatten());
            out.extend(right.iter().flatten());
        }
    }

    fn read_ciphertexts(&self, _key: &PublicKey, bytes: &[u8]) -> Result<Vec<Ciphertext>, SchemeError> {
        read_each(bytes, self.ciphertext_bytes(), |bytes| {
            let (left, right) = bytes.split_at(2 * G1_BYTES);
            let (a, b) = left.split_at(G1_BYTES);
            let (c, d) = right.split_at(G2_BYTES);
            let left = [decode_g1(a)?, decode_g1(b)?];
            Some(Ciphertext { left, right: [decode_g2(c)?, decode_g2(d)?] })
        })
    }
}

/// For products with numbers.
type Halves = ([G1Projective; 2], [G2Projective; 2]);

impl Ciphertext {
    fn summand(&self) -> Halves {
        (self.left, self.right)
    }
}

impl From<Halves> for Ciphertext {
    fn from((left, right): Halves) -> Self {
        Self { left, right }
    }
}

/// Applies `encrypt` to every message and its randomness.
fn encrypt_each<T: Send, const N: usize>(
    residues: &[BigUint],
    randomness: &Stream,
    encrypt: impl Fn(&Scalar, [&Scalar; N]) -> T + Sync,
) -> Result<Vec<T>, SchemeError> {
    exponential::check_residues(residues, &ORDER)?;
    Ok(randomised(residues, randomness, |residue, random| encrypt(&scalar_of(residue), random)))
}

/// Applies `change` to every item and its random scalars.
fn randomised<T: Sync, U: Send, const N: usize>(
    items: &[T],
    randomness: &Stream,
    change: impl Fn(&T, [&Scalar; N]) -> U + Sync,
) -> Vec<U> {
    exponential::randomised(items, randomness, |item, rng| {
        let scalars: [SecretScalar; N] = std::array::from_fn(|_| random_scalar(rng));
        change(item, scalars.each_ref().map(|scalar| &**scalar))
    })
}

#[cfg(test)]
mod tests;
