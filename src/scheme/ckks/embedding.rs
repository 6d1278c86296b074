//! The canonical embedding: between a real polynomial's coefficients and its values at half of the primitive 2N-th roots of unity, one of each
//! conjugate pair, in the order of powers of 5, which rotations turn.
//!
//! The transform is the "special" one of the scheme's authors (HEAAN): a Fourier transform of N/2 complex numbers in place, whose
//! k-th number holds the k-th and the (k + N/2)-th coefficient.

use std::f64::consts::PI;

use num_complex::Complex64;

use crate::scheme::rlwe::GENERATOR;

/// The roots for one degree.
#[derive(Debug)]
pub(super) struct Embedding {
    /// the 2N-th roots of unity
    roots: Vec<Complex64>,
    /// 5^j modulo 2N
    powers: Vec<usize>,
}

impl Embedding {
    pub(super) fn new(degree: usize) -> Self {
        let order = 2 * degree;
        let angle = |k: usize| 2.0 * PI * k as f64 / order as f64;
        // libm gives the same bits on every machine.
        let roots = (0..order).map(|k| Complex64::new(libm::cos(angle(k)), libm::sin(angle(k)))).collect();
        let powers = std::iter::successors(Some(1), |power| Some(power * GENERATOR % order));
        Self { roots, powers: powers.take(degree / 2).collect() }
    }

    /// Coefficients to values.
    pub(super) fn forward(&self, numbers: &mut [Complex64]) {
        reverse_bits(numbers);
        let mut length = 2;
        while length <= numbers.len() {
            for block in numbers.chunks_exact_mut(length) {
                let (left, right) = block.split_at_mut(length / 2);
                for ((a, b), power) in left.iter_mut().zip(right).zip(&self.powers) {
                    let turned = *b * self.root(*power, length);
                    (*a, *b) = (*a + turned, *a - turned);
                }
            }
            length *= 2;
        }
    }

    /// Values to coefficients.
    pub(super) fn inverse(&self, numbers: &mut [Complex64]) {
        let mut length = numbers.len();
        while length >= 2 {
            for block in numbers.chunks_exact_mut(length) {
                let (left, right) = block.split_at_mut(length / 2);
                for ((a, b), power) in left.iter_mut().zip(right).zip(&self.powers) {
                    let difference = *a - *b;
                    (*a, *b) = (*a + *b, difference * self.root(*power, length).conj());
                }
            }
            length /= 2;
        }
        reverse_bits(numbers);
        let count = numbers.len() as f64;
        for number in numbers {
            *number /= count;
        }
    }

    /// The root that a butterfly of a layer takes: the power of 5, among the roots of order four times the layer's length.
    fn root(&self, power: usize, length: usize) -> Complex64 {
        let order = 4 * length;
        self.roots[power % order * (self.roots.len() / order)]
    }
}

fn reverse_bits(numbers: &mut [Complex64]) {
    let bits = numbers.len().trailing_zeros();
    for at in 0..numbers.len() {
        let other = at.reverse_bits() >> (usize::BITS - bits);
        if at < other {
            numbers.swap(at, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition: the polynomial's values at the roots.
    #[test]
    fn values_are_those_of_the_polynomial_at_powers_of_five() {
        for degree in [16_usize, 64] {
            let embedding = Embedding::new(degree);
            let coefficients: Vec<f64> = (0..degree).map(|i| ((i * i + 3 * i) % 17) as f64 - 8.0).collect();
            let half = degree / 2;
            let pair = |k: usize| Complex64::new(coefficients[k], coefficients[k + half]);
            let mut slots: Vec<_> = (0..half).map(pair).collect();
            let before = slots.clone();
            embedding.forward(&mut slots);
            let mut power = 1;
            for slot in &slots {
                let term = |(k, c): (usize, &f64)| embedding.roots[k * power % (2 * degree)] * *c;
                let expected: Complex64 = coefficients.iter().enumerate().map(term).sum();
                assert!((slot - expected).norm() < 1e-10, "{slot} {expected}");
                power = power * GENERATOR % (2 * degree);
            }
            embedding.inverse(&mut slots);
            assert!(slots.iter().zip(&before).all(|(a, b)| (a - b).norm() < 1e-12));
        }
    }
}
