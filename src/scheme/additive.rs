//! What an additively homomorphic public-key scheme offers to the layers above.
//!
//! Messages are residues modulo the [plaintext modulus](AdditiveScheme::plaintext_modulus); signed and fractional numbers
//! are the business of [`encoding`](crate::scheme::encoding). Every method that is called with many numbers takes them
//! at once, so that an implementation can fill vector lanes and cores; a batch gives the same bytes as its items one by
//! one, whatever the number of threads.

use num_bigint::{BigInt, BigUint};
use thiserror::Error;

use crate::math::{rows::Rows, stream::Stream};

/// An additively homomorphic public-key cryptosystem with given parameters.
///
/// Laws, checked for every scheme by `tests/scheme_laws.rs` (`M` is the plaintext modulus):
/// decrypt(encrypt(m)) = m for messages within the bound; add adds modulo M; a dot product with integer weights is the
/// integer dot product modulo M; adding a plaintext adds it; re-randomising changes the ciphertext and not the message; reading what was written
/// gives it back; a wrong key does not decrypt.
pub trait AdditiveScheme: Send + Sync + 'static {
    /// The public key.
    type PublicKey: Clone + PartialEq + Send + Sync;
    /// The secret key, which holds its public key too. No `Debug`, no `Clone`, wiped when dropped.
    type SecretKey: Send + Sync;
    /// One ciphertext.
    type Ciphertext: Clone + PartialEq + Send + Sync;

    /// Makes a key pair from the given randomness.
    fn generate_keys(&self, randomness: &Stream) -> Result<Self::SecretKey, SchemeError>;

    /// The public half of a secret key.
    fn public_key<'k>(&self, key: &'k Self::SecretKey) -> &'k Self::PublicKey;

    /// M: messages are the residues 0..M.
    fn plaintext_modulus<'k>(&self, key: &'k Self::PublicKey) -> &'k BigUint;

    /// Encrypts residues; item `i` draws its randomness from `randomness.item(i)`.
    fn encrypt(
        &self,
        key: &Self::PublicKey,
        residues: &[BigUint],
        randomness: &Stream,
    ) -> Result<Vec<Self::Ciphertext>, SchemeError>;

    /// What [`encrypt`](Self::encrypt) gives under the public half of `key`, byte for byte: the key's owner may know a
    /// faster way.
    fn encrypt_own(
        &self,
        key: &Self::SecretKey,
        residues: &[BigUint],
        randomness: &Stream,
    ) -> Result<Vec<Self::Ciphertext>, SchemeError> {
        self.encrypt(self.public_key(key), residues, randomness)
    }

    /// The greatest magnitude of a message, as a centred residue, that decryption finds; `None` when all of them are found.
    ///
    /// Schemes that hold the message in an exponent have one: they search for it.
    fn message_bound(&self) -> Option<BigUint> {
        None
    }

    /// What messages wrap around at, for the key's owner: M, unless that is part of the secret.
    fn opening_modulus<'k>(&self, key: &'k Self::SecretKey) -> &'k BigUint {
        self.plaintext_modulus(self.public_key(key))
    }

    /// Decrypts to residues in 0..M.
    ///
    /// # Errors
    /// [`SchemeError::BeyondBound`] when a message is not within [`message_bound`](Self::message_bound), as happens with a
    /// wrong key too.
    fn decrypt(
        &self,
        key: &Self::SecretKey,
        ciphertexts: &[Self::Ciphertext],
    ) -> Result<Vec<BigUint>, SchemeError>;

    /// The sums of encrypted messages, pair by pair.
    ///
    /// # Errors
    /// [`SchemeError::LengthMismatch`] when the two slices differ in length.
    fn add(
        &self,
        key: &Self::PublicKey,
        left: &[Self::Ciphertext],
        right: &[Self::Ciphertext],
    ) -> Result<Vec<Self::Ciphertext>, SchemeError>;

    /// The sums of encrypted and plain residues, pair by pair; deterministic, so re-randomise before they leave.
    ///
    /// # Errors
    /// [`SchemeError::LengthMismatch`] when the two slices differ in length.
    fn add_plain(
        &self,
        key: &Self::PublicKey,
        left: &[Self::Ciphertext],
        residues: &[BigUint],
    ) -> Result<Vec<Self::Ciphertext>, SchemeError>;

    /// For every sample, a stretch of as many inputs as there are columns, its dot products with all rows of signed integer
    /// weights, sample by sample; where there are no columns there is one sample. Deterministic, so re-randomise before they
    /// leave. Time depends on the weights, and grows with those that are terms of a row and not zero.
    ///
    /// # Errors
    /// [`SchemeError::LengthMismatch`] when the inputs are no whole number of samples.
    fn combine(
        &self,
        key: &Self::PublicKey,
        inputs: &[Self::Ciphertext],
        rows: &Rows<'_>,
    ) -> Result<Vec<Self::Ciphertext>, SchemeError>;

    /// The same with full rows.
    ///
    /// # Errors
    /// [`SchemeError::LengthMismatch`] when rows differ in length, or the inputs are no whole number of samples.
    fn linear(
        &self,
        key: &Self::PublicKey,
        inputs: &[Self::Ciphertext],
        rows: &[&[BigInt]],
    ) -> Result<Vec<Self::Ciphertext>, SchemeError> {
        check_rows(inputs.len(), rows)?;
        self.combine(key, inputs, &Rows::dense(rows))
    }

    /// The products of one encrypted message with many secret factors, each below 2^`bits`. Deterministic, so re-randomise
    /// before they leave. Time must not depend on the factors where the scheme's encryption does not on its randomness.
    ///
    /// All factors share their base, so that schemes with tables of a fixed base need no squarings; this default has none.
    ///
    /// # Errors
    /// Those of [`linear`](Self::linear).
    fn multiples(
        &self,
        key: &Self::PublicKey,
        ciphertext: &Self::Ciphertext,
        factors: &[&BigUint],
        bits: u64,
    ) -> Result<Vec<Self::Ciphertext>, SchemeError> {
        debug_assert!(factors.iter().all(|factor| factor.bits() <= bits), "a factor beyond its bound");
        let factors: Vec<BigInt> = factors.iter().map(|factor| BigInt::from((*factor).clone())).collect();
        let rows: Vec<&[BigInt]> = factors.iter().map(std::slice::from_ref).collect();
        self.linear(key, std::slice::from_ref(ciphertext), &rows)
    }

    /// Ciphertexts of the same messages with fresh randomness; item `i` draws from `randomness.item(i)`.
    fn rerandomise(
        &self,
        key: &Self::PublicKey,
        ciphertexts: &[Self::Ciphertext],
        randomness: &Stream,
    ) -> Vec<Self::Ciphertext>;

    /// Length in bytes of every serialised public key.
    fn public_key_bytes(&self) -> usize;

    /// Length in bytes of every serialised ciphertext.
    fn ciphertext_bytes(&self) -> usize;

    /// Appends exactly [`public_key_bytes`](Self::public_key_bytes) bytes.
    fn write_public_key(&self, key: &Self::PublicKey, out: &mut Vec<u8>);

    /// Reads and checks a public key from a stranger.
    fn read_public_key(&self, bytes: &[u8]) -> Result<Self::PublicKey, SchemeError>;

    /// Appends exactly [`ciphertext_bytes`](Self::ciphertext_bytes) bytes for each.
    fn write_ciphertexts(&self, key: &Self::PublicKey, ciphertexts: &[Self::Ciphertext], out: &mut Vec<u8>);

    /// Reads and checks ciphertexts from a stranger: the length must be a whole number of ciphertexts, every one an
    /// element of the group that the scheme computes in.
    fn read_ciphertexts(
        &self,
        key: &Self::PublicKey,
        bytes: &[u8],
    ) -> Result<Vec<Self::Ciphertext>, SchemeError>;
}

/// Whether two lists are equally long.
pub(crate) fn check_lengths(left: usize, right: usize) -> Result<(), SchemeError> {
    if left == right { Ok(()) } else { Err(SchemeError::LengthMismatch { left, right }) }
}

/// Whether `inputs` numbers are a whole number of samples for these rows of weights.
pub(crate) fn check_rows<W>(inputs: usize, rows: &[&[W]]) -> Result<(), SchemeError> {
    let columns = rows.first().map_or(0, |row| row.len());
    if let Some(row) = rows.iter().find(|row| row.len() != columns) {
        return Err(SchemeError::LengthMismatch { left: columns, right: row.len() });
    }
    check_samples(inputs, columns, rows.len())
}

/// Whether `inputs` numbers are a whole number of samples for so many rows of so many columns.
pub(crate) fn check_samples(inputs: usize, columns: usize, rows: usize) -> Result<(), SchemeError> {
    let whole = if columns == 0 { inputs == 0 || rows == 0 } else { inputs.is_multiple_of(columns) };
    if whole { Ok(()) } else { Err(SchemeError::LengthMismatch { left: inputs, right: columns }) }
}

/// Why a scheme refused an input.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SchemeError {
    /// The modulus has too few or too many bits.
    #[error("modulus of {bits} bits: must be an even number between {min} and {max}")]
    ModulusBits {
        /// as asked
        bits: u64,
        /// least
        min: u64,
        /// most
        max: u64,
    },
    /// Serialised data of the wrong length.
    #[error("{what} of {bytes} bytes: must be {expected}")]
    Length {
        /// what was read
        what: &'static str,
        /// as found
        bytes: usize,
        /// a multiple of this for a list, else exactly this
        expected: usize,
    },
    /// A serialised number outside its range.
    #[error("{what} {index}: not in the range that the key allows")]
    Range {
        /// what was read
        what: &'static str,
        /// position in the list
        index: usize,
    },
    /// A ciphertext that shares a factor with the modulus.
    #[error("ciphertext {index}: not a unit modulo the key's modulus")]
    NotAUnit {
        /// position in the list
        index: usize,
    },
    /// A plaintext outside 0..M.
    #[error("message {index}: not a residue of the plaintext modulus ({bits} bits)")]
    MessageRange {
        /// position in the list
        index: usize,
        /// bits of the plaintext modulus
        bits: u64,
    },
    /// A bound on messages that decryption cannot search up to.
    #[error("messages of {bits} bits: must be between {min} and {max}")]
    BoundBits {
        /// as asked
        bits: u32,
        /// least
        min: u32,
        /// most
        max: u32,
    },
    /// Bytes that are not the encoding of an element of the group, or of one that is not permitted here.
    #[error("{what} {index}: not the encoding of a permitted group element")]
    NotAnElement {
        /// what was read
        what: &'static str,
        /// position in the list
        index: usize,
    },
    /// Two lists that must be equally long.
    #[error("{left} ciphertexts against {right} operands: must be equally many")]
    LengthMismatch {
        /// ciphertexts
        left: usize,
        /// what they are combined with
        right: usize,
    },
    /// A message that decryption cannot find: too large for the scheme's bound, or of another key.
    #[error(
        "ciphertext {index}: its message is not between -{bound} and {bound}, or it belongs to another key"
    )]
    BeyondBound {
        /// position in the list
        index: usize,
        /// greatest magnitude that is found
        bound: BigUint,
    },
}
