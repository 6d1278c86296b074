//! Cryptosystems, each one file behind a shared interface, and the tables that judge their parameters.

pub mod additive;
pub mod encoding;
pub mod paillier;
pub mod security;
pub mod twin;
