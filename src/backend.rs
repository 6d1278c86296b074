//! The arithmetic that a protocol needs, behind one trait: real numbers, integers in the clear, or ciphertexts.
//!
//! * [`Plain`]: `f64`, nothing rounded, nothing encrypted.
//! * [`Additive`] over a scheme: fixed-point integers under real keys (`encrypted`), or, over the scheme's
//!   [`Twin`](crate::scheme::twin::Twin), the same circuit in the clear (`simulated`).
//!
//! Protocol code is written once against [`Backend`] and counts its operations in a [`Meter`].

pub mod additive;
pub mod matrix;
pub mod meter;
pub mod number;
pub mod plain;
pub mod slots;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use crate::backend::additive::Additive;
pub use crate::backend::matrix::Matrix;
pub use crate::backend::meter::{Meter, Operation, OperationCounts};
pub use crate::backend::number::{Number, Rate, Value};
pub use crate::backend::plain::Plain;
use crate::backend::slots::SlotError;
use crate::math::stream::Stream;
use crate::scheme::additive::SchemeError;
use crate::scheme::encoding::{EncodingError, Scale};
use crate::scheme::packing::Packing;

/// The three ways to compute one cell.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
pub enum Variant {
    /// Real numbers, nothing encrypted.
    Plain,
    /// The circuit of the encrypted variant on plain integers.
    Simulated,
    /// Real keys, real ciphertexts.
    Encrypted,
}

impl Variant {
    /// As written in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Simulated => "simulated",
            Self::Encrypted => "encrypted",
        }
    }

    /// All three, in the order of tables.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Simulated, Self::Encrypted];
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Arithmetic on numbers that one party protects under its key and another computes with.
///
/// Batches draw the randomness of item `i` from `randomness.item(i)`, so that the number of threads changes nothing.
pub trait Backend: Send + Sync + 'static {
    /// A number as its owner sees it.
    type Number: Number;
    /// A party's public key.
    type PublicKey: Clone + Send + Sync;
    /// A party's secret key.
    type SecretKey: Send + Sync;
    /// A protected number.
    type Ciphertext: Clone + Send + Sync;

    /// Makes a key pair.
    fn generate_keys(&self, randomness: &Stream) -> Result<Self::SecretKey, BackendError>;

    /// The public half of a secret key.
    fn public_key<'k>(&self, key: &'k Self::SecretKey) -> &'k Self::PublicKey;

    /// Protects numbers under a key.
    fn encrypt(
        &self,
        key: &Self::PublicKey,
        numbers: &[Self::Number],
        randomness: &Stream,
    ) -> Result<Vec<Self::Ciphertext>, BackendError>;

    /// Protects numbers under one's own key, which may be faster.
    fn encrypt_own(
        &self,
        key: &Self::SecretKey,
        numbers: &[Self::Number],
        randomness: &Stream,
    ) -> Result<Vec<Self::Ciphertext>, BackendError> {
        self.encrypt(self.public_key(key), numbers, randomness)
    }

    /// Opens numbers that are known to have `scale`.
    fn decrypt(
        &self,
        key: &Self::SecretKey,
        ciphertexts: &[Self::Ciphertext],
        scale: Scale,
    ) -> Result<Vec<Self::Number>, BackendError>;

    /// Makes `count` encryptions of zero under a key in advance, which later encryptions and re-randomisations under the
    /// same key use up, in order.
    fn precompute(
        &self,
        key: &Self::PublicKey,
        count: usize,
        randomness: &Stream,
    ) -> Result<(), BackendError>;

    /// The same under one's own key.
    fn precompute_own(
        &self,
        key: &Self::SecretKey,
        count: usize,
        randomness: &Stream,
    ) -> Result<(), BackendError> {
        self.precompute(self.public_key(key), count, randomness)
    }

    /// Ciphertexts that so many packed numbers take; the numbers themselves where the backend does not pack.
    fn packed_len(&self, numbers: usize, packing: Option<Packing>) -> usize;

    /// Numbers of one scale in the clear, several to a plaintext; the numbers themselves where the backend does not pack.
    fn pack(&self, numbers: &[Self::Number], packing: Packing) -> Vec<Self::Number>;

    /// The first `count` numbers of packed ones.
    fn unpack(&self, packed: &[Self::Number], count: usize, packing: Packing) -> Vec<Self::Number>;

    /// Opens the first `count` numbers that [`affine`](Self::affine) has packed.
    fn decrypt_packed(
        &self,
        key: &Self::SecretKey,
        ciphertexts: &[Self::Ciphertext],
        count: usize,
        packing: Option<Packing>,
        scale: Scale,
    ) -> Result<Vec<Self::Number>, BackendError>;

    /// Opens a number a correction, which [`affine`](Self::affine) has packed if asked for, and takes the corrections off:
    /// modulo the plaintext space where numbers are not packed, so that only what is left must fit into it.
    fn decrypt_corrected(
        &self,
        key: &Self::SecretKey,
        ciphertexts: &[Self::Ciphertext],
        corrections: &[Self::Number],
        packing: Option<Packing>,
        scale: Scale,
    ) -> Result<Vec<Self::Number>, BackendError>;

    /// `weights · x + bias` for every sample x: `inputs` holds samples x columns ciphertexts, the answer samples x rows,
    /// packed if asked for, freshly re-randomised so that nothing but the result leaves.
    fn affine(
        &self,
        key: &Self::PublicKey,
        weights: &Matrix<Self::Number>,
        bias: Option<&[Self::Number]>,
        inputs: &[Self::Ciphertext],
        packing: Option<Packing>,
        randomness: &Stream,
    ) -> Result<Vec<Self::Ciphertext>, BackendError>;

    /// A uniform mask below 2^`bits` (as an integer at `scale`); zero where the backend has none.
    fn random_mask(&self, bits: u32, scale: Scale, randomness: &Stream) -> Self::Number;

    /// A mask that is uniform among the residues of a key's plaintext space, as an integer from 0 at `scale`; zero where
    /// the backend has none.
    fn uniform_mask(&self, key: &Self::PublicKey, scale: Scale, randomness: &Stream) -> Self::Number;

    /// The least integer from 0 that is congruent to a number in a key's plaintext space (the canonical lift); the number
    /// itself where nothing wraps.
    fn residue(&self, key: &Self::PublicKey, number: &Self::Number) -> Self::Number;

    /// Bits of a key's plaintext space; none where it has no end.
    fn plaintext_bits(&self, key: &Self::PublicKey) -> Option<u64>;

    /// The server's learning rate as it gives it away: `[1/η]` under its own key (GELU-Net, Algorithm 2, line 1).
    ///
    /// 1/η is the inverse of η's integer modulo the plaintext modulus: an integer division does not exist there.
    fn hide_rate(
        &self,
        key: &Self::SecretKey,
        rate: Rate,
        randomness: &Stream,
    ) -> Result<Self::Ciphertext, BackendError>;

    /// `[Δ + r/η]` for every gradient Δ and mask r (GELU-Net, Algorithm 3), re-randomised. Masks are integers from 0 and
    /// below 2 to the power that comes with them, which is public: nothing else of them shows in times. Both may be packed: what is opened
    /// then is `ηΔ + r` in every slot, because the server multiplies what it has opened by η, which divides out 1/η alone.
    fn mask_gradients(
        &self,
        key: &Self::PublicKey,
        hidden_rate: &Self::Ciphertext,
        gradients: &[Self::Number],
        masks: (&[Self::Number], u64),
        randomness: &Stream,
    ) -> Result<Vec<Self::Ciphertext>, BackendError>;

    /// `η·Δ + r` from what [`mask_gradients`](Self::mask_gradients) made; the gradients have `scale`.
    fn open_steps(
        &self,
        key: &Self::SecretKey,
        rate: Rate,
        masked: &[Self::Ciphertext],
        scale: Scale,
    ) -> Result<Vec<Self::Number>, BackendError>;

    /// Length in bytes of every serialised public key.
    fn public_key_bytes(&self) -> usize;
    /// Length in bytes of every serialised ciphertext.
    fn ciphertext_bytes(&self) -> usize;
    /// Serialises a public key.
    fn write_public_key(&self, key: &Self::PublicKey) -> Vec<u8>;
    /// Reads and checks a public key.
    fn read_public_key(&self, bytes: &[u8]) -> Result<Self::PublicKey, BackendError>;
    /// Serialises ciphertexts under a key.
    fn write_ciphertexts(&self, key: &Self::PublicKey, ciphertexts: &[Self::Ciphertext]) -> Vec<u8>;
    /// Reads and checks ciphertexts.
    fn read_ciphertexts(
        &self,
        key: &Self::PublicKey,
        bytes: &[u8],
    ) -> Result<Vec<Self::Ciphertext>, BackendError>;

    /// What has been computed so far.
    fn meter(&self) -> &Meter;
}

/// Why a backend could not compute.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum BackendError {
    /// The scheme refused an input.
    #[error(transparent)]
    Scheme(#[from] SchemeError),
    /// A number does not fit its encoding.
    #[error(transparent)]
    Encoding(#[from] EncodingError),
    /// Arithmetic on slots refused.
    #[error(transparent)]
    Slots(SlotError),
    /// A list of the wrong length.
    #[error("{what}: {found} numbers, expected {expected}")]
    Shape {
        /// the list
        what: &'static str,
        /// as found
        found: usize,
        /// as needed
        expected: usize,
    },
    /// A row of a linear map whose columns are not in ascending order, or beyond the last.
    #[error("the columns of a row must ascend and be below {columns}")]
    Order {
        /// of the map
        columns: usize,
    },
    /// A number that is not finite.
    #[error("{what} {index} is not a finite number")]
    NotFinite {
        /// the list
        what: &'static str,
        /// position in it
        index: usize,
    },
    /// A learning rate that has no inverse in a plaintext space.
    #[error("learning rate of mantissa {mantissa}: it must have no factor in common with the modulus")]
    NoInverse {
        /// as asked
        mantissa: u32,
    },
    /// A mask that is no integer from 0 below its bound.
    #[error("mask {index}: must be from 0 and have at most {bits} bits")]
    Mask {
        /// position in the list
        index: usize,
        /// as agreed
        bits: u64,
    },
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
}
