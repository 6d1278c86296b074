//! What the schemes over rings share (BGV, BFV, CKKS): parameters, keys, and switching of keys and moduli.
//!
//! R is the ring of integer polynomials modulo X^N + 1. A ciphertext is a list of polynomials `c_0`, `c_1`, … modulo Q whose
//! *phase* `c_0 + c_1 s + …` under the secret s carries the message and a small error. The primes of Q are dropped one
//! by one as products make the error grow: a *level* is the number of primes that are left.
//!
//! # Key switching
//! The hybrid form (Gentry, Halevi and Smart, CRYPTO 2012; Han and Ki, CT-RSA 2020): Q's primes are cut into digits of as many primes
//! as there are special primes, whose product is P. A part c that multiplies s' is decomposed into its residues modulo the digits,
//! each multiplied with an encryption of P s' that is zero modulo the other digits, and the sum divided by P.
//!
//! # Dividing without losing the message
//! Where the message lies in the lowest digits of the phase (BGV, modulus t) a division by P subtracts a multiple of t that is
//! c modulo P, not the residue itself; with t = 1 this is division with rounding (BFV, CKKS). [`Division`] is both, for P and for the last
//! prime of Q. Where the message shall stay as it is (BGV), the quotient is that of r c, for the residue r of D modulo t of least magnitude;
//! [`Parameters`] choose primes for which it is small.
//!
//! # Security
//! Ternary secrets, errors from a centred binomial distribution of standard deviation 3.24; [`Parameters::security_bits`] judges them
//! with the special primes counted. Secret keys are wiped when dropped. The time of operations does not depend on keys or messages,
//! but that of sampling uniform numbers by rejection does on public ones.

mod batching;
mod ciphertext;
mod context;
mod evaluation;
mod key;
#[cfg(test)]
pub(in crate::scheme) mod laws;
mod noise;
mod parameters;
mod scheme;

use thiserror::Error;

pub(in crate::scheme) use batching::Batching;
pub use batching::Plaintext;
pub use ciphertext::{Ciphertext, Seed, Tag, Untagged};
pub use context::{Context, Division};
pub use evaluation::RotationKeys;
pub(in crate::scheme) use evaluation::{Automorphism, GENERATOR};
pub use key::{PublicKey, SecretKey, SwitchingKey};
pub use noise::{Bound, Noise, Place};
pub use parameters::{Literal, Parameters};
pub use scheme::{Borrowed, ExactScheme, Pair, Prepared, RlweScheme};

/// What cannot be computed, and why.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum RlweError {
    /// A ring degree outside the range.
    #[error("the ring degree is 2^{log_degree}; allowed: 2^{min} to 2^{max}")]
    Degree {
        /// What was asked for.
        log_degree: u32,
        /// Least allowed.
        min: u32,
        /// Greatest allowed.
        max: u32,
    },
    /// A prime's length outside the range.
    #[error("{what} of {bits} bits; allowed: {min} to {max}")]
    PrimeBits {
        /// Which prime.
        what: &'static str,
        /// What was asked for.
        bits: u32,
        /// Least allowed.
        min: u32,
        /// Greatest allowed.
        max: u32,
    },
    /// No prime, or not enough of them.
    #[error(
        "there are not {count} primes of {bits} bits that are 1 modulo 2^{log_step}; shorten the list or lengthen the primes"
    )]
    Primes {
        /// How many were asked for.
        count: usize,
        /// Of which length.
        bits: u32,
        /// 2^this is twice the degree.
        log_step: u32,
    },
    /// A list of primes that is empty.
    #[error("{what} needs at least one prime")]
    NoPrimes {
        /// Which list.
        what: &'static str,
    },
    /// A plaintext modulus that is no prime with a transform, or a prime of the ciphertext modulus.
    #[error(
        "the plaintext modulus {modulus} is no prime that is 1 modulo 2^{log_step} and different from the ciphertext's"
    )]
    PlaintextModulus {
        /// What was asked for.
        modulus: u64,
        /// 2^this is twice the degree.
        log_step: u32,
    },
    /// More values than slots.
    #[error("{values} values for {slots} slots")]
    Slots {
        /// What was given.
        values: usize,
        /// What there is.
        slots: usize,
    },
    /// A value that is not a residue of least magnitude.
    #[error("value {value} at {index}; its magnitude may be {max} at most")]
    Value {
        /// Position.
        index: usize,
        /// What was given.
        value: i64,
        /// Greatest magnitude.
        max: u64,
    },
    /// The modulus cannot be made smaller.
    #[error("{operation} at level {level} needs level {needed}")]
    Level {
        /// What was asked for.
        operation: &'static str,
        /// Primes left.
        level: usize,
        /// Primes needed.
        needed: usize,
    },
    /// A key for this step was not made.
    #[error("no key for a rotation by {steps}")]
    Rotation {
        /// Steps.
        steps: i64,
    },
    /// The key for the inversion was not made.
    #[error("no key for the inversion of X, which swaps rows and conjugates")]
    Inversion,
    /// A ciphertext that was not relinearised.
    #[error("{operation} of a ciphertext of {parts} parts; relinearise it first")]
    Parts {
        /// What was asked for.
        operation: &'static str,
        /// Parts that it has.
        parts: usize,
    },
    /// An error, or a message, that passes the modulus.
    #[error(
        "{operation} at level {level} needs {needed:.1} bits of the modulus, available are {available:.1}"
    )]
    Noise {
        /// What was asked for.
        operation: &'static str,
        /// Primes left.
        level: usize,
        /// log2 of what must fit.
        needed: f64,
        /// log2 of half of the modulus.
        available: f64,
    },
    /// A ciphertext that was made under other parameters.
    #[error("{operation} of a ciphertext of other parameters")]
    Context {
        /// What was asked for.
        operation: &'static str,
    },
    /// Bytes that are not what they should be.
    #[error("{what} cannot be read: {why}")]
    Bytes {
        /// What was expected.
        what: &'static str,
        /// What is wrong.
        why: &'static str,
    },
    /// A scale that cannot be represented, or scales that differ.
    #[error("{operation} at scale 2^{scale:.2}; needed: {needed}")]
    Scale {
        /// What was asked for.
        operation: &'static str,
        /// log2 of the scale.
        scale: f64,
        /// What it should be.
        needed: String,
    },
}
