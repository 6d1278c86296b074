//! Secret integers that are overwritten before their memory is given back.
//!
//! num-bigint knows nothing of zeroing, and without `unsafe` its digits cannot be reached directly, so they are
//! overwritten through its own interface. What this covers: the buffers of the values held in a [`SecretUint`] when it is
//! dropped. What it does not cover: intermediate results, in particular the temporaries that num-bigint makes inside
//! a product, a power, a gcd or an inverse, buffers that it outgrew, registers and stack, pages swapped out. Those
//! stay in freed memory until somebody reuses it. Nor is num-bigint's arithmetic constant in time.

use std::{borrow::Borrow, hint::black_box, ops::Deref};

use num_bigint::BigUint;

/// An unsigned integer that is wiped when dropped. No `Debug`, no `Clone`.
pub struct SecretUint(BigUint);

impl SecretUint {
    /// Takes charge of a value; copies made before are the caller's.
    pub fn new(value: BigUint) -> Self {
        Self(value)
    }
}

impl Deref for SecretUint {
    type Target = BigUint;

    fn deref(&self) -> &BigUint {
        &self.0
    }
}

impl Borrow<BigUint> for SecretUint {
    fn borrow(&self) -> &BigUint {
        &self.0
    }
}

impl Drop for SecretUint {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

/// Overwrites an integer with zero in its own buffer.
pub fn wipe(value: &mut BigUint) {
    blank(value);
    // The compiler must assume that somebody reads the cleared digits here, so it cannot drop the writes.
    let value = black_box(value);
    if let Some(top) = value.bits().checked_sub(1) {
        value.set_bit(top, false);
    }
}

/// Replaces the digits by as many of which only the highest is not zero, in the same buffer: num-bigint has room for them there, and
/// while that one stands it does not shorten the number. Only shortening can move digits to another buffer and free the old
/// one with digits still in it.
fn blank(value: &mut BigUint) {
    let mut digits = vec![0; value.iter_u32_digits().len()];
    if let Some(highest) = digits.last_mut() {
        *highest = 1;
        value.assign_from_slice(&digits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wiped_number_is_zero() {
        for digits in [vec![], vec![1], vec![u32::MAX; 2], vec![0x1234_5678; 97]] {
            let mut value = BigUint::new(digits);
            wipe(&mut value);
            assert_eq!(value, BigUint::ZERO);
        }
    }

    #[test]
    fn the_length_stays_until_all_lower_digits_are_gone() {
        let mut value = BigUint::new(vec![0xdead_beef; 97]);
        blank(&mut value);
        assert_eq!(value, BigUint::from(1u8) << (96 * 32));
    }
}
