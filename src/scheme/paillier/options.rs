//! What makes Paillier faster, each measure with its switch.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::math::ring::Arithmetic;

/// Where the randomness of ciphertexts comes from.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Randomisation {
    /// r^N modulo N^2 for a random unit r: an exponent as long as N (Paillier 1999).
    #[default]
    Textbook,
    /// h^a for a fixed N-th power h and a random a of half the length of N, from a table (Damgard, Jurik, Nielsen 2010).
    ShortExponent,
}

/// The measures in use. The default is everything that leaves keys and ciphertexts as the textbook makes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Options {
    /// What computes.
    pub arithmetic: Arithmetic,
    /// Where masks come from. [`Randomisation::ShortExponent`] asks for primes that are 3 modulo 4.
    pub randomisation: Randomisation,
    /// Decryption modulo p^2 and q^2 instead of N^2.
    pub crt_decryption: bool,
    /// The owner's encryption modulo p^2 and q^2 instead of N^2; the ciphertexts are the same.
    pub crt_encryption: bool,
    /// Dot products by multi-exponentiation instead of one exponentiation a term; the ciphertexts are the same.
    pub multi_exponentiation: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            arithmetic: Arithmetic::default(),
            randomisation: Randomisation::default(),
            crt_decryption: true,
            crt_encryption: true,
            multi_exponentiation: true,
        }
    }
}
