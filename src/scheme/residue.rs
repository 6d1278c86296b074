//! Ciphertexts that are residues modulo a composite number: what Paillier and Okamoto-Uchiyama share.
//!
//! Products of ciphertexts are sums of messages, and powers are products with integers. Bytes are big-endian numbers of
//! fixed length.

use std::borrow::Borrow;

use num_bigint::BigUint;
use num_integer::Integer;
use num_traits::One;
use rayon::prelude::*;

use crate::{
    math::{
        pool::in_pool,
        ring::{Element, NotAUnit, Ring},
        rows::{Rows, Term},
        wipe::SecretUint,
    },
    scheme::additive::{SchemeError, check_samples},
};

/// An encrypted message: a unit of a ring, in the form that its arithmetic computes with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ciphertext(pub(crate) Element);

impl Borrow<Element> for Ciphertext {
    fn borrow(&self) -> &Element {
        &self.0
    }
}

pub(crate) fn ciphertexts(elements: Vec<Element>) -> Vec<Ciphertext> {
    elements.into_iter().map(Ciphertext).collect()
}

/// See [`AdditiveScheme::combine`](crate::scheme::additive::AdditiveScheme::combine), by multi-exponentiation or, as the
/// papers count it, with one exponentiation an input and output. `base` is a number that shares the ring's prime factors.
pub(crate) fn combine(
    ring: &Ring,
    base: &BigUint,
    inputs: &[Ciphertext],
    rows: &Rows<'_>,
    multi_exponentiation: bool,
) -> Result<Vec<Ciphertext>, SchemeError> {
    check_samples(inputs.len(), rows.columns(), rows.len())?;
    let products = in_pool(|| {
        if multi_exponentiation {
            ring.products_of_powers_vartime(inputs, rows)
        } else {
            one_by_one(ring, inputs, rows)
        }
    });
    // Only ciphertexts of another key can fail: those read or made with this one are units.
    products.map(ciphertexts).map_err(|NotAUnit| {
        let values = ring.write(inputs);
        SchemeError::NotAUnit { index: first_non_unit(base, &values).unwrap_or(0) }
    })
}

/// See [`AdditiveScheme::multiples`](crate::scheme::additive::AdditiveScheme::multiples): one table of the ciphertext's
/// powers, read in constant time.
pub(crate) fn multiples(
    ring: &Ring,
    ciphertext: &Ciphertext,
    factors: &[&BigUint],
    bits: u64,
) -> Vec<Ciphertext> {
    in_pool(|| {
        let powers = ring.powers_of(&ciphertext.0, bits);
        ciphertexts(ring.power_of_fixed(&powers, factors, bits))
    })
}

fn one_by_one(ring: &Ring, inputs: &[Ciphertext], rows: &Rows<'_>) -> Result<Vec<Element>, NotAUnit> {
    let columns = rows.columns();
    let jobs: Vec<(&[Ciphertext], &[Term<'_>])> = (0..rows.samples(inputs.len()))
        .flat_map(|sample| rows.iter().map(move |row| (&inputs[sample * columns..], row)))
        .collect();
    let job = |(sample, row): &(&[Ciphertext], &[Term<'_>])| {
        row.iter().try_fold(ring.one(), |product, (column, weight)| {
            let weight = Rows::dense(&[std::slice::from_ref(*weight)]);
            let power = ring.products_of_powers_vartime(&sample[*column..=*column], &weight)?;
            Ok(ring.multiply(&[product], &power).pop().unwrap_or_else(|| ring.one()))
        })
    };
    jobs.par_iter().map(job).collect()
}

/// Appends ciphertexts of `length` bytes each.
pub(crate) fn write(ring: &Ring, ciphertexts: &[Ciphertext], length: usize, out: &mut Vec<u8>) {
    for value in ring.write(ciphertexts) {
        write_padded(&value, length, out);
    }
}

/// Reads ciphertexts of `length` bytes each from a stranger: all must be in range and units. `base` is as in [`combine`].
pub(crate) fn read(
    ring: &Ring,
    base: &BigUint,
    bytes: &[u8],
    length: usize,
) -> Result<Vec<Ciphertext>, SchemeError> {
    if !bytes.len().is_multiple_of(length) {
        return Err(SchemeError::Length { what: "ciphertexts", bytes: bytes.len(), expected: length });
    }
    let values: Vec<_> = bytes.chunks_exact(length).map(BigUint::from_bytes_be).collect();
    if let Some(index) = values.iter().position(|value| value >= ring.modulus()) {
        return Err(SchemeError::Range { what: "ciphertext", index });
    }
    match first_non_unit(base, &values) {
        Some(index) => Err(SchemeError::NotAUnit { index }),
        None => Ok(ciphertexts(ring.read(&values.iter().collect::<Vec<_>>()))),
    }
}

/// Position of the first number that shares a factor with `base`. One gcd for all of them when there is none.
pub(crate) fn first_non_unit(base: &BigUint, values: &[BigUint]) -> Option<usize> {
    let residues: Vec<_> = values.par_iter().map(|value| value % base).collect();
    if are_units(base, &residues) {
        return None;
    }
    residues.iter().position(|residue| !residue.gcd(base).is_one())
}

/// Whether no number shares a factor with `base`.
pub(crate) fn are_units(base: &BigUint, values: &[impl Borrow<BigUint>]) -> bool {
    let product = values.iter().fold(BigUint::one(), |product, value| product * value.borrow() % base);
    SecretUint::new(product).gcd(base).is_one()
}

/// Every message must be a residue of `modulus`.
pub(crate) fn check_residues(modulus: &BigUint, residues: &[BigUint]) -> Result<(), SchemeError> {
    match residues.iter().position(|residue| residue >= modulus) {
        Some(index) => Err(SchemeError::MessageRange { index, bits: modulus.bits() }),
        None => Ok(()),
    }
}

pub(crate) fn is_square(n: &BigUint) -> bool {
    let root = n.sqrt();
    &root * &root == *n
}

/// Bytes that hold so many bits.
pub(crate) fn whole_bytes(bits: u64) -> usize {
    // At most twice the greatest modulus.
    usize::try_from(bits.div_ceil(8)).unwrap_or(usize::MAX)
}

/// Appends the number in big-endian order with leading zeros.
pub(crate) fn write_padded(number: &BigUint, length: usize, out: &mut Vec<u8>) {
    let digits = number.to_bytes_be();
    debug_assert!(digits.len() <= length, "a number of another key size");
    out.resize(out.len() + length.saturating_sub(digits.len()), 0);
    out.extend_from_slice(&digits);
}
