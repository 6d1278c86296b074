//! Arithmetic under everything else: streams of randomness, primes, integers.

pub mod modexp;
pub mod prime;
pub mod stream;
pub mod uniform;
pub mod wipe;
