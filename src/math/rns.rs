//! Polynomials modulo X^N + 1 and a product of primes, in residues modulo each prime: the arithmetic under the lattice schemes.
//!
//! The primes are 1 modulo 2N, so that X^N + 1 splits and a number-theoretic transform gives a polynomial's values at its roots:
//! products of polynomials are then products of values ("double CRT", Gentry, Halevi and Smart, CRYPTO 2012). They
//! are below 2^50, where AVX-512's 52-bit products suffice for the transform.
//!
//! Nothing here knows of keys or messages. Results are exact and do not depend on the number of threads.

mod buffer;
mod combination;
pub mod conversion;
mod kernel;
mod layer;
pub mod ntt;
pub mod polynomial;
pub mod prime;
mod products;
mod transform;

pub(crate) use buffer::Buffer;
pub use buffer::Reservation;

pub use conversion::Conversion;
pub use layer::Row;
pub use ntt::Ntt;
pub use polynomial::{Basis, Polynomial};
pub use prime::Prime;
