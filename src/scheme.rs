//! Cryptosystems, each one file behind a shared interface, and the tables that judge their parameters.

pub mod additive;
pub mod bfv;
pub mod bgn;
pub mod bgv;
pub mod ckks;
pub mod elgamal;
pub mod encoding;
mod exponential;
pub mod multiplicative;
pub mod okamoto_uchiyama;
pub mod packing;
pub mod paillier;
pub mod registry;
pub mod residue;
pub mod rlwe;
pub mod security;
pub mod twin;
