//! Uniform random integers of any size.

use num_bigint::BigUint;
use rand::RngCore;
use zeroize::Zeroize;

/// A uniform integer in `0..bound`, by rejection; zero when `bound` is zero.
///
/// Draws whole bytes, so the same generator state gives the same integer on every machine.
pub fn below(bound: &BigUint, rng: &mut impl RngCore) -> BigUint {
    if *bound == BigUint::ZERO {
        return BigUint::ZERO;
    }
    let bits = bound.bits();
    let mut bytes = vec![0; usize::try_from(bits.div_ceil(8)).unwrap_or(usize::MAX)];
    let mask = u8::MAX >> ((8 - bits % 8) % 8);
    loop {
        rng.fill_bytes(&mut bytes);
        if let Some(top) = bytes.first_mut() {
            *top &= mask;
        }
        let value = BigUint::from_bytes_be(&bytes);
        if value < *bound {
            bytes.zeroize();
            return value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::stream::Stream;

    #[test]
    fn small_bounds_are_filled_evenly() {
        let mut rng = Stream::seeded(1).rng();
        for bound in [1_usize, 2, 3, 5, 255, 256, 257] {
            let mut counts = vec![0_u32; bound];
            let draws = 400 * bound;
            for _ in 0..draws {
                counts[usize::try_from(below(&BigUint::from(bound), &mut rng)).unwrap()] += 1;
            }
            // Mean 400, standard deviation 20 or less: six of them on either side.
            assert!(counts.iter().all(|&count| (280..=520).contains(&count)), "{bound}: {counts:?}");
        }
    }

    #[test]
    fn nothing_is_below_zero() {
        assert_eq!(below(&BigUint::ZERO, &mut Stream::seeded(1).rng()), BigUint::ZERO);
    }
}
