//! Scalars of the groups: secret ones, random ones, those of messages.

use std::ops::Deref;

use blstrs::Scalar;
use ff::Field;
use num_bigint::BigUint;
use rand::RngCore;
use zeroize::{DefaultIsZeroes, Zeroize, Zeroizing};

/// A scalar that is wiped when dropped.
pub(super) struct SecretScalar(Zeroizing<Wipeable>);

#[derive(Clone, Copy, Default)]
struct Wipeable(Scalar);

impl DefaultIsZeroes for Wipeable {}

impl SecretScalar {
    pub(super) fn new(scalar: Scalar) -> Self {
        Self(Zeroizing::new(Wipeable(scalar)))
    }
}

impl Deref for SecretScalar {
    type Target = Scalar;

    fn deref(&self) -> &Scalar {
        let Wipeable(scalar) = &*self.0;
        scalar
    }
}

/// A uniform scalar, by rejection of at most every other draw.
pub(super) fn random_scalar(rng: &mut impl RngCore) -> SecretScalar {
    let mut bytes = Zeroizing::new([0; 32]);
    loop {
        rng.fill_bytes(&mut *bytes);
        bytes[31] &= 0x7f;
        if let Some(scalar) = Scalar::from_bytes_le(&bytes).into_option() {
            return SecretScalar::new(scalar);
        }
    }
}

/// The scalar of a residue below the order.
pub(super) fn scalar_of(residue: &BigUint) -> SecretScalar {
    let mut bytes = Zeroizing::new([0; 32]);
    let mut digits = residue.to_bytes_le();
    for (byte, digit) in bytes.iter_mut().zip(&digits) {
        *byte = *digit;
    }
    digits.zeroize();
    SecretScalar::new(Scalar::from_bytes_le(&bytes).unwrap_or(Scalar::ZERO))
}
