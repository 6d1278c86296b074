//! Arithmetic under everything else: streams of randomness, primes, modular arithmetic on batches.

pub mod gemm;
pub mod modexp;
pub(crate) mod montgomery;
pub(crate) mod pool;
pub mod prime;
pub mod ring;
pub mod rns;
pub mod rows;
pub mod sampling;
pub mod stream;
pub mod uniform;
pub mod vector;
pub mod wipe;
