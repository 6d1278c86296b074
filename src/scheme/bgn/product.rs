//! The second level: ciphertexts in the target group, which products are, and which can be added but not multiplied.
//!
//! With `g = e(G, H)`, written additively, a ciphertext of m is `(ag, bg, cg, mg + xbg + ycg - xyag)` for some
//! a, b, c. The product of `(rG, mG + rxG)` with `(sH, nH + syH)`, the pairings of the parts 0 with 0, 0 with 1, 1 with 0
//! and 1 with 1, is such a ciphertext of mn, with `a = rs`, `b = r(n + sy)`, `c = s(m + rx)`. Fresh ones are made right here, with a, b,
//! c random: they are as those of any product that has been randomised, and the public multiples of g that it
//! takes are pairings of the public key. So anybody who has a ciphertext cannot tell how it came about once it is
//! randomised.
//!
//! # Bytes
//! Four elements of 288 bytes in the order of above, each in the torus form of the crate blstrs: what takes two numbers of
//! a field of degree 6 in general takes one where the norm is 1. The identity is 288 zeros. Whether an element has the
//! groups' order is checked: others would tell of the secret key.

use blstrs::Gt;
use num_bigint::BigUint;
use rayon::prelude::*;

use super::{
    Bgn, ORDER, PublicKey, SecretKey, encrypt_each,
    group_element::{GT_BYTES, T_TABLE, decode_gt, encode_gt, secret_sum},
    randomised,
    scalar::{SecretScalar, scalar_of},
};
use crate::{
    math::{rows::Rows, stream::Stream},
    scheme::{
        additive::{AdditiveScheme, SchemeError, check_lengths, check_samples},
        exponential::{
            self, CHEAP_ITEMS, read_each,
            straus::{self, Summand},
        },
    },
};

/// The cryptosystem at its second level, with a bound on the messages that decryption finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Products {
    first: Bgn,
}

/// An encrypted product, or a sum of products: four elements of the target group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product(pub(super) [Gt; 4]);

impl Products {
    pub(super) fn new(first: Bgn) -> Self {
        Self { first }
    }
}

impl AdditiveScheme for Products {
    type PublicKey = PublicKey;
    type SecretKey = SecretKey;
    type Ciphertext = Product;

    fn generate_keys(&self, randomness: &Stream) -> Result<SecretKey, SchemeError> {
        self.first.generate_keys(randomness)
    }

    fn public_key<'k>(&self, key: &'k SecretKey) -> &'k PublicKey {
        key.public()
    }

    /// The order of the groups, whatever the key.
    fn plaintext_modulus<'k>(&self, _key: &'k PublicKey) -> &'k BigUint {
        &ORDER
    }

    /// The first encryption under a key makes tables, which takes about as long as five ciphertexts.
    fn encrypt(
        &self,
        key: &PublicKey,
        residues: &[BigUint],
        randomness: &Stream,
    ) -> Result<Vec<Product>, SchemeError> {
        let zero = <[Gt; 4]>::zero();
        encrypt_each(residues, randomness, |message, random| {
            let mut parts = randomise(key, &zero, random);
            parts[3] += T_TABLE.multiply(message);
            Product(parts)
        })
    }

    /// The owner computes (m + xb + yc - xya)g in place of four products.
    fn encrypt_own(
        &self,
        key: &SecretKey,
        residues: &[BigUint],
        randomness: &Stream,
    ) -> Result<Vec<Product>, SchemeError> {
        encrypt_each(residues, randomness, |message, random| {
            let [a, b, c] = random;
            let last = message + b * **key.left() + c * **key.right() - a * **key.both();
            let last = SecretScalar::new(last);
            Product([a, b, c, &last].map(|scalar| T_TABLE.multiply(scalar)))
        })
    }

    fn message_bound(&self) -> Option<BigUint> {
        self.first.message_bound()
    }

    /// The first decryption of a process makes a table for the search, which takes about as long as the search for 64
    /// messages as great as the bound.
    fn decrypt(&self, key: &SecretKey, ciphertexts: &[Product]) -> Result<Vec<BigUint>, SchemeError> {
        let bare = ciphertexts.par_iter().map(|Product([both, left, right, last])| {
            last + secret_sum(&[(-left, key.left()), (-right, key.right()), (*both, key.both())])
        });
        exponential::messages(&bare.collect::<Vec<_>>(), self.first.bound_bits, &ORDER)
    }

    fn add(
        &self,
        _key: &PublicKey,
        left: &[Product],
        right: &[Product],
    ) -> Result<Vec<Product>, SchemeError> {
        check_lengths(left.len(), right.len())?;
        let pairs = left.par_iter().zip(right).with_min_len(CHEAP_ITEMS);
        Ok(pairs.map(|(a, b)| Product(a.0.plus(&b.0))).collect())
    }

    fn add_plain(
        &self,
        _key: &PublicKey,
        left: &[Product],
        residues: &[BigUint],
    ) -> Result<Vec<Product>, SchemeError> {
        check_lengths(left.len(), residues.len())?;
        let sums = left.par_iter().zip(residues).map(|(Product(old), residue)| {
            let mut parts = *old;
            parts[3] += T_TABLE.multiply_vartime(&scalar_of(&(residue % &*ORDER)));
            Product(parts)
        });
        Ok(sums.collect())
    }

    /// Work grows with the number of the weights that are not zero and with their bits.
    fn combine(
        &self,
        _key: &PublicKey,
        inputs: &[Product],
        rows: &Rows<'_>,
    ) -> Result<Vec<Product>, SchemeError> {
        check_samples(inputs.len(), rows.columns(), rows.len())?;
        let inputs: Vec<_> = inputs.iter().map(|input| input.0).collect();
        Ok(straus::dot_products(&inputs, rows, &ORDER).into_iter().map(Product).collect())
    }

    fn rerandomise(&self, key: &PublicKey, ciphertexts: &[Product], randomness: &Stream) -> Vec<Product> {
        randomised(ciphertexts, randomness, |old, random| Product(randomise(key, &old.0, random)))
    }

    fn public_key_bytes(&self) -> usize {
        self.first.public_key_bytes()
    }

    fn ciphertext_bytes(&self) -> usize {
        4 * GT_BYTES
    }

    fn write_public_key(&self, key: &PublicKey, out: &mut Vec<u8>) {
        self.first.write_public_key(key, out);
    }

    fn read_public_key(&self, bytes: &[u8]) -> Result<PublicKey, SchemeError> {
        self.first.read_public_key(bytes)
    }

    fn write_ciphertexts(&self, _key: &PublicKey, ciphertexts: &[Product], out: &mut Vec<u8>) {
        let encodings: Vec<_> = ciphertexts
            .par_iter()
            .map(|Product(parts)| {
                let mut bytes = Vec::with_capacity(4 * GT_BYTES);
                for part in parts {
                    encode_gt(part, &mut bytes);
                }
                bytes
            })
            .collect();
        out.extend(encodings.into_iter().flatten());
    }

    fn read_ciphertexts(&self, _key: &PublicKey, bytes: &[u8]) -> Result<Vec<Product>, SchemeError> {
        read_each(bytes, self.ciphertext_bytes(), |bytes| {
            let parts: Vec<_> = bytes.chunks_exact(GT_BYTES).map(decode_gt).collect::<Option<_>>()?;
            Some(Product(parts.try_into().ok()?))
        })
    }
}

/// The sum of a ciphertext with a fresh one of zero.
fn randomise(key: &PublicKey, old: &[Gt; 4], [a, b, c]: [&blstrs::Scalar; 3]) -> [Gt; 4] {
    let tables = key.product_tables();
    let last = tables.left.multiply(b) + tables.right.multiply(c) - tables.both.multiply(a);
    let [a, b, c] = [a, b, c].map(|random| T_TABLE.multiply(random));
    [a, b, c, last].plus(old)
}
