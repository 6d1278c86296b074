//! What is done with the parts of ciphertexts, whatever their messages mean.

use std::collections::BTreeMap;

use num_bigint::BigInt;
use zeroize::Zeroizing;

use super::{Context, RlweError, SecretKey, SwitchingKey};
use crate::math::{
    pool::{in_pool, map},
    rns::Polynomial,
    stream::Stream,
};

/// Generates, with -1, the odd powers modulo 2N: a rotation by k steps is the automorphism X -> X^(5^k).
pub(in crate::scheme) const GENERATOR: usize = 5;

/// Keys for automorphisms: rotations by some numbers of steps, and the one that takes X to its inverse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RotationKeys {
    /// by the automorphism's power: where it finds values, and the key
    pub(super) keys: BTreeMap<usize, (Vec<u32>, SwitchingKey)>,
}

/// An automorphism that ciphertexts are put through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::scheme) enum Automorphism {
    /// to the left by so many steps
    Rotation(i64),
    /// X to its inverse: the rows of BGV in each other's place, the conjugate of CKKS
    Inversion,
}

/// The parts of a ciphertext.
type Parts = Vec<Polynomial>;

impl Context {
    /// Keys for rotations by these numbers of steps and, where asked for, for the inversion.
    pub(in crate::scheme) fn rotation_keys(
        &self,
        secret: &SecretKey,
        steps: &[i64],
        inversion: bool,
        randomness: &Stream,
    ) -> RotationKeys {
        let rotations = steps.iter().map(|&steps| Automorphism::Rotation(steps));
        let all: Vec<_> = rotations.chain(inversion.then_some(Automorphism::Inversion)).collect();
        let key = |automorphism| {
            let power = self.power(automorphism);
            // From s to the secret that the automorphism takes to s: it is applied after the key, to two parts instead of all digits.
            let back = self.inverse_power(power);
            let before = secret.permuted(self, &self.automorphism(back));
            let key = SwitchingKey::generate(self, &before, secret.values(), &randomness.item(power as u64));
            (power, (self.automorphism(power), key))
        };
        RotationKeys { keys: map(all, key).into_iter().collect() }
    }

    /// The key that makes products of two parts again.
    pub(in crate::scheme) fn relinearisation_key(
        &self,
        secret: &SecretKey,
        randomness: &Stream,
    ) -> SwitchingKey {
        let all = self.extended(self.parameters().levels());
        let square = Zeroizing::new(all.multiply(secret.values(), secret.values()));
        SwitchingKey::generate(self, secret, &square, randomness)
    }

    /// What X becomes a power of.
    fn power(&self, automorphism: Automorphism) -> usize {
        let order = 2 * self.parameters().degree();
        match automorphism {
            Automorphism::Rotation(steps) => {
                let steps = steps.rem_euclid((order / 4).cast_signed() as i64).unsigned_abs();
                (0..steps).fold(1, |power, _| power * GENERATOR % order)
            }
            Automorphism::Inversion => order - 1,
        }
    }

    /// The power of the automorphism that undoes another.
    fn inverse_power(&self, power: usize) -> usize {
        let order = 2 * self.parameters().degree();
        // Odd powers modulo a power of two: every step doubles the bits that are right, from three on.
        (0..usize::BITS.ilog2())
            .fold(power, |inverse, _| inverse.wrapping_mul(2_usize.wrapping_sub(power.wrapping_mul(inverse))))
            % order
    }

    /// The sum.
    pub(in crate::scheme) fn sum(&self, left: &[Polynomial], right: &[Polynomial], level: usize) -> Parts {
        let basis = self.basis(level);
        let (more, fewer) = if left.len() < right.len() { (right, left) } else { (left, right) };
        let mut sum = more.to_vec();
        for (sum, part) in sum.iter_mut().zip(fewer) {
            basis.add(sum, part);
        }
        sum
    }

    /// The sum of products, in one part less than the factors of the longest have together.
    pub(in crate::scheme) fn dot(&self, pairs: &[(&[Polynomial], &[Polynomial])], level: usize) -> Parts {
        let basis = self.basis(level);
        let part = |index: usize| {
            let terms = pairs.iter().flat_map(|(left, right)| {
                left.iter().enumerate().filter_map(move |(i, a)| Some((a, right.get(index.checked_sub(i)?)?)))
            });
            basis.sum_of_products(&terms.collect::<Vec<_>>())
        };
        let parts = pairs.iter().map(|(left, right)| (left.len() + right.len()).saturating_sub(1));
        let count = parts.max().unwrap_or(0);
        in_pool(|| map(0..count, part))
    }

    /// The sum of the parts of ciphertexts, which are of this level or a higher one, times integers.
    pub(in crate::scheme) fn combination(&self, terms: &[(&[Polynomial], &BigInt)], level: usize) -> Parts {
        let basis = self.basis(level);
        let count = terms.iter().map(|(parts, _)| parts.len()).max().unwrap_or(0);
        let part = |index: usize| {
            let terms = terms.iter().filter_map(|(parts, factor)| Some((parts.get(index)?, *factor)));
            basis.combination(&terms.collect::<Vec<_>>())
        };
        in_pool(|| map(0..count, part))
    }

    /// Three parts in two; others as they are.
    pub(in crate::scheme) fn relinearised(
        &self,
        parts: &[Polynomial],
        key: &SwitchingKey,
        level: usize,
    ) -> Parts {
        match parts {
            [first, second, third] => in_pool(|| {
                let digits = self.decompose(third, level);
                self.switch(&digits, key, level, [Some(first), Some(second)], None).into()
            }),
            _ => parts.to_vec(),
        }
    }

    /// Two parts under each of some automorphisms; what these share is computed once (hoisting, Halevi and Shoup, CRYPTO 2018).
    pub(in crate::scheme) fn automorphisms(
        &self,
        parts: &[Polynomial],
        automorphisms: &[Automorphism],
        keys: &RotationKeys,
        level: usize,
    ) -> Result<Vec<Parts>, RlweError> {
        let [first, second] = parts else {
            return Err(RlweError::Parts { operation: "a rotation", parts: parts.len() });
        };
        let moved = |digits: &[Polynomial], automorphism: Automorphism| {
            let power = self.power(automorphism);
            let (places, key) = keys.keys.get(&power).ok_or(match automorphism {
                Automorphism::Rotation(steps) => RlweError::Rotation { steps },
                Automorphism::Inversion => RlweError::Inversion,
            })?;
            Ok(self.switch(digits, key, level, [Some(first), None], Some(places)).into())
        };
        in_pool(|| {
            let digits = self.decompose(second, level);
            map(automorphisms, |&automorphism| moved(&digits, automorphism)).into_iter().collect()
        })
    }
}
