//! Cryptosystems, each one file behind a shared interface, and the tables that judge their parameters.

pub mod additive;
pub mod encoding;
pub mod okamoto_uchiyama;
pub mod paillier;
pub mod residue;
pub mod security;
pub mod twin;
