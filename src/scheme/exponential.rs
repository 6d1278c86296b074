//! What the schemes share that have their messages in the exponents of groups of prime order: residues modulo the order, which
//! decryption finds by a search and which therefore have a bound.

use std::ops::RangeInclusive;

use num_bigint::BigUint;
use rand_chacha::ChaCha20Rng;

use self::logarithm::{Searchable, logarithms};
use crate::{
    math::{pool::map, stream::Stream},
    scheme::additive::SchemeError,
};

pub(super) mod logarithm;
pub(super) mod straus;

/// Items of a batch whose work is not worth a task of its own.
pub(super) const CHEAP_ITEMS: usize = 64;

/// Refuses a bound on messages whose bits are not in this range.
pub(super) fn check_bound_bits(bits: u32, range: &RangeInclusive<u32>) -> Result<u32, SchemeError> {
    let (min, max) = (*range.start(), *range.end());
    if range.contains(&bits) { Ok(bits) } else { Err(SchemeError::BoundBits { bits, min, max }) }
}

/// The greatest message of so many bits.
pub(super) fn bound(bits: u32) -> BigUint {
    ((1_u64 << bits) - 1).into()
}

/// The messages in the exponents of bare elements, as residues.
pub(super) fn messages<E: Searchable>(
    elements: &[E],
    bound_bits: u32,
    order: &BigUint,
) -> Result<Vec<BigUint>, SchemeError> {
    let found = logarithms(elements, bound_bits)
        .map_err(|index| SchemeError::BeyondBound { index, bound: bound(bound_bits) })?;
    let residue = |message: i64| {
        let magnitude = message.unsigned_abs();
        if message < 0 { order - magnitude } else { magnitude.into() }
    };
    Ok(found.into_iter().map(residue).collect())
}

/// Refuses residues that are not below the order.
pub(super) fn check_residues(residues: &[BigUint], order: &BigUint) -> Result<(), SchemeError> {
    match residues.iter().position(|residue| residue >= order) {
        Some(index) => Err(SchemeError::MessageRange { index, bits: order.bits() }),
        None => Ok(()),
    }
}

/// Applies `change` to every item and its own stream of randomness, in parallel.
pub(super) fn randomised<T: Sync, U: Send>(
    items: &[T],
    randomness: &Stream,
    change: impl Fn(&T, &mut ChaCha20Rng) -> U + Sync,
) -> Vec<U> {
    map(items.iter().enumerate(), |(index, item)| change(item, &mut randomness.item(index as u64).rng()))
}

/// Decodes ciphertexts of a given length.
pub(super) fn read_each<T: Send>(
    bytes: &[u8],
    expected: usize,
    decode: impl Fn(&[u8]) -> Option<T> + Send + Sync,
) -> Result<Vec<T>, SchemeError> {
    if !bytes.len().is_multiple_of(expected) {
        return Err(SchemeError::Length { what: "ciphertexts", bytes: bytes.len(), expected });
    }
    let checked = map(bytes.chunks_exact(expected), decode).into_iter().enumerate();
    checked.map(|(index, read)| read.ok_or(SchemeError::NotAnElement { what: "ciphertext", index })).collect()
}
