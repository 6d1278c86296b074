//! What a multiplicatively homomorphic public-key scheme offers to the layers above.
//!
//! Messages are the numbers from 1 to a [greatest](MultiplicativeScheme::greatest_message). They form a group, in which a
//! product is that of the integers as long as it is a message, and else [wraps around](MultiplicativeScheme::wrap). Every
//! method that is called with many numbers takes them at once; a batch gives the same bytes as its items one by one,
//! whatever the number of threads.

use num_bigint::BigUint;

use crate::{math::stream::Stream, scheme::additive::SchemeError};

/// A multiplicatively homomorphic public-key cryptosystem with given parameters.
///
/// Laws, checked for every scheme by `tests/multiplicative_laws.rs`: decrypt(encrypt(m)) = m; multiply multiplies and pow
/// raises, both up to [`wrap`](Self::wrap); re-randomising changes the ciphertext and not the message; reading what was
/// written gives it back; a wrong key does not decrypt.
pub trait MultiplicativeScheme: Send + Sync + 'static {
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

    /// Messages are the numbers from 1 to this.
    fn greatest_message(&self) -> &BigUint;

    /// The message that a product of messages stands for: itself if it is one. `None` for numbers that are no products of
    /// messages, such as zero.
    fn wrap(&self, product: &BigUint) -> Option<BigUint>;

    /// Encrypts messages; item `i` draws its randomness from `randomness.item(i)`.
    ///
    /// # Errors
    /// [`SchemeError::Range`] for a number that is no message.
    fn encrypt(
        &self,
        key: &Self::PublicKey,
        messages: &[BigUint],
        randomness: &Stream,
    ) -> Result<Vec<Self::Ciphertext>, SchemeError>;

    /// Decrypts to messages.
    fn decrypt(
        &self,
        key: &Self::SecretKey,
        ciphertexts: &[Self::Ciphertext],
    ) -> Result<Vec<BigUint>, SchemeError>;

    /// The products of encrypted messages, pair by pair; deterministic, so re-randomise before they leave.
    ///
    /// # Errors
    /// [`SchemeError::LengthMismatch`] when the two slices differ in length.
    fn multiply(
        &self,
        key: &Self::PublicKey,
        left: &[Self::Ciphertext],
        right: &[Self::Ciphertext],
    ) -> Result<Vec<Self::Ciphertext>, SchemeError>;

    /// Every encrypted message to the power of one public exponent; deterministic, so re-randomise before they leave. Time
    /// depends on the exponent.
    fn pow(
        &self,
        key: &Self::PublicKey,
        ciphertexts: &[Self::Ciphertext],
        exponent: &BigUint,
    ) -> Vec<Self::Ciphertext>;

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

    /// Reads and checks ciphertexts from a stranger: the length must be a whole number of ciphertexts, every one of
    /// elements of the group that the scheme computes in.
    fn read_ciphertexts(
        &self,
        key: &Self::PublicKey,
        bytes: &[u8],
    ) -> Result<Vec<Self::Ciphertext>, SchemeError>;
}
