//! What a scheme, or a stand-in for one, does to vectors of slots.

use thiserror::Error;

use crate::{
    backend::{BackendError, Value},
    math::{pool::map, rns::Reservation, stream::Stream},
    network::Row,
    scheme::{encoding::EncodingError, rlwe::RlweError},
};

use super::Rules;

/// What cannot be computed on slots, and why.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum SlotError {
    /// The scheme refused.
    #[error(transparent)]
    Scheme(#[from] RlweError),
    /// A number does not fit its encoding.
    #[error(transparent)]
    Encoding(#[from] EncodingError),
    /// Numbers that would wrap around the plaintext modulus.
    #[error("{operation} gives numbers of {needed:.1} bits, the plaintext modulus holds {available:.1}")]
    Wrapped {
        /// What was asked for.
        operation: &'static str,
        /// log2 of the greatest.
        needed: f64,
        /// log2 of half of the modulus.
        available: f64,
    },
    /// Numbers without a bound.
    #[error("{operation} gives numbers without a bound")]
    Unbounded {
        /// What was asked for.
        operation: &'static str,
    },
    /// A number above the magnitude that was promised.
    #[error("number {index} is {value}; its magnitude may be {most} at most")]
    Magnitude {
        /// Position.
        index: usize,
        /// The number.
        value: f64,
        /// Greatest magnitude.
        most: f64,
    },
    /// Weights beyond what was promised.
    #[error("row {row}: the magnitudes of weights and bias sum to {found}, at most {most} were promised")]
    Norm {
        /// Which.
        row: usize,
        /// The sum.
        found: f64,
        /// Greatest sum.
        most: f64,
    },
    /// A sum of nothing.
    #[error("a sum without terms")]
    Empty,
    /// Vectors of a length that does not fit.
    #[error("{what} of {found}, expected {expected}")]
    Length {
        /// What has the length.
        what: &'static str,
        /// As found.
        found: usize,
        /// As needed.
        expected: usize,
    },
    /// A ciphertext at another level than the circuit has here.
    #[error("a ciphertext of level {found}, expected {expected}")]
    Level {
        /// As found.
        found: usize,
        /// As needed.
        expected: usize,
    },
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
}

impl From<SlotError> for BackendError {
    fn from(error: SlotError) -> Self {
        match error {
            SlotError::Interrupted => Self::Interrupted,
            error => Self::Slots(error),
        }
    }
}

/// Arithmetic on payloads; what is known of them is kept in [`Slots`](super::Slots).
pub trait Engine: Send + Sync + 'static {
    /// What stands for a vector of numbers.
    type Payload: Clone + Send + Sync;
    /// A number as its owner sees it.
    type Number: Value;
    /// What encrypts and decrypts.
    type Secret: Send + Sync;
    /// What a server is given to multiply and rotate.
    type Evaluation: Send + Sync;

    /// The rules of the parameters.
    fn rules(&self) -> &Rules;
    /// Numbers that one payload holds.
    fn slots(&self) -> usize;
    /// Numbers that rotate together.
    fn row(&self) -> usize;
    /// Fresh keys, with those for rotations by these numbers of steps.
    fn generate(
        &self,
        steps: &[i64],
        randomness: &Stream,
    ) -> Result<(Self::Secret, Self::Evaluation), SlotError>;
    /// Protects numbers at a scale; slots beyond them hold zeros.
    fn encrypt(
        &self,
        secret: &Self::Secret,
        values: &[f64],
        scale: f64,
        randomness: &Stream,
    ) -> Result<Self::Payload, SlotError>;
    /// Opens all slots.
    fn decrypt(
        &self,
        secret: &Self::Secret,
        payload: &Self::Payload,
        scale: f64,
    ) -> Result<Vec<Self::Number>, SlotError>;
    /// The same numbers with fewer primes.
    fn drop_to(&self, payload: &Self::Payload, level: usize) -> Result<Self::Payload, SlotError>;
    /// Divided by the last prime, with the scale.
    fn rescale(&self, payload: &Self::Payload) -> Result<Self::Payload, SlotError>;
    /// The sum of products with numbers that are rounded at a scale each; `raw` is the scale of all products.
    fn combine(&self, terms: &[Term<'_, Self::Payload>], raw: f64) -> Result<Self::Payload, SlotError>;
    /// Rows of such sums with a bias each, which is rounded at the scale of all products: every input has a scale for its weights.
    /// Engines may do better than one sum after another.
    fn layer(
        &self,
        inputs: &[&Self::Payload],
        scales: &[f64],
        rows: &[Row],
        raw: f64,
    ) -> Result<Vec<Self::Payload>, SlotError> {
        let row = |Row { terms, bias }: &Row| {
            let term = |&(at, weight): &(usize, f64)| Term { payload: inputs[at], weight, scale: scales[at] };
            let sum = self.combine(&terms.iter().map(term).collect::<Vec<_>>(), raw)?;
            self.add_constant(&sum, *bias, raw)
        };
        map(rows, row).into_iter().collect()
    }
    /// The sum with a number at the payload's scale.
    fn add_constant(
        &self,
        payload: &Self::Payload,
        value: f64,
        scale: f64,
    ) -> Result<Self::Payload, SlotError>;
    /// The sum of products, slot by slot; relinearised once.
    fn dot(
        &self,
        evaluation: &Self::Evaluation,
        pairs: &[(&Self::Payload, &Self::Payload)],
    ) -> Result<Self::Payload, SlotError>;
    /// The square, slot by slot, that is yet to be relinearised.
    fn square(&self, payload: &Self::Payload) -> Result<Self::Payload, SlotError>;
    /// What was computed from squares, as short as other payloads again.
    fn relinearise(
        &self,
        evaluation: &Self::Evaluation,
        payload: &Self::Payload,
    ) -> Result<Self::Payload, SlotError>;
    /// The product with numbers at a scale, slot by slot.
    fn multiply_vector(
        &self,
        payload: &Self::Payload,
        values: &[f64],
        scale: f64,
    ) -> Result<Self::Payload, SlotError>;
    /// Rotations to the left, of every row.
    fn rotate(
        &self,
        evaluation: &Self::Evaluation,
        payload: &Self::Payload,
        steps: &[i64],
    ) -> Result<Vec<Self::Payload>, SlotError>;
    /// Bytes of written keys for multiplications and so many rotations.
    fn evaluation_bytes(&self, rotations: usize) -> usize;
    /// Bytes of a written payload of a level; fresh ones are shorter.
    fn payload_bytes(&self, level: usize, fresh: bool) -> usize;
    /// Takes memory for so many payloads of the highest level, ahead of them, and for keys for multiplications and so many rotations;
    /// nothing in the clear.
    fn reserve(&self, _payloads: usize, _rotations: usize) -> Vec<Reservation> {
        Vec::new()
    }
    /// Writes keys.
    fn write_evaluation(&self, evaluation: &Self::Evaluation, out: &mut Vec<u8>);
    /// Reads and checks keys.
    fn read_evaluation(&self, bytes: &[u8]) -> Result<Self::Evaluation, SlotError>;
    /// Writes a payload of a level.
    fn write(&self, payload: &Self::Payload, level: usize, fresh: bool, out: &mut Vec<u8>);
    /// Reads and checks a payload; also gives its level.
    fn read(&self, bytes: &mut &[u8], fresh: bool) -> Result<(Self::Payload, usize), SlotError>;
}

/// A payload, the number that it is multiplied by, and the scale of that number.
#[derive(Debug)]
pub struct Term<'p, P> {
    /// The payload.
    pub payload: &'p P,
    /// The number.
    pub weight: f64,
    /// Its scale.
    pub scale: f64,
}
