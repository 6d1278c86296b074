//! Activations over whole slices.

#![expect(
    clippy::inline_always,
    reason = "what must be compiled for the vector instructions found must be inlined"
)]

use super::{
    activation::{Activation, Nonlinearity},
    real::Real,
};
use crate::approximation::{Basis, Polynomial};
use pulp::{Arch, NullaryFnOnce};
use rayon::prelude::*;

/// Elements that go to one thread at a time.
const CHUNK: usize = 1 << 14;
/// Elements that go through a polynomial together.
const LANES: usize = 16;

/// `a = f(z)` for every element.
pub(super) fn values<T: Real>(of: &Nonlinearity, z: &[T], a: &mut [T]) {
    let arch = Arch::new();
    a.par_chunks_mut(CHUNK).zip(z.par_chunks(CHUNK)).for_each(|(a, z)| arch.dispatch(Values { of, z, a }));
}

/// `slope ← slope · f'(z)` for every element, where `a = f(z)`.
pub(super) fn derivatives<T: Real>(of: &Nonlinearity, z: &[T], a: &[T], slopes: &mut [T]) {
    let arch = Arch::new();
    let chunks = slopes.par_chunks_mut(CHUNK).zip(z.par_chunks(CHUNK)).zip(a.par_chunks(CHUNK));
    chunks.for_each(|((slopes, z), a)| arch.dispatch(Derivatives { of, z, a, slopes }));
}

struct Values<'a, T> {
    of: &'a Nonlinearity,
    z: &'a [T],
    a: &'a mut [T],
}

impl<T: Real> NullaryFnOnce for Values<'_, T> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { of, z, a } = self;
        // Those that are not among the first few go through 64 bits.
        #[allow(unreachable_patterns, clippy::allow_attributes, reason = "there may be other activations")]
        match of {
            Nonlinearity::Exact(Activation::Relu) => {
                map(
                    z,
                    a,
                    #[inline(always)]
                    |z| if z < T::zero() { T::zero() } else { z },
                );
            }
            Nonlinearity::Exact(Activation::Square) => map(
                z,
                a,
                #[inline(always)]
                |z| z * z,
            ),
            Nonlinearity::Exact(Activation::Sigmoid) => map(z, a, T::logistic),
            Nonlinearity::Exact(Activation::Tanh) => map(z, a, T::hyperbolic_tangent),
            Nonlinearity::Exact(other) => map(z, a, |z| T::from_f64(other.value(z.wide()))),
            Nonlinearity::Polynomial(polynomial) => Evaluator::new(polynomial).values(z, a),
        }
    }
}

struct Derivatives<'a, T> {
    of: &'a Nonlinearity,
    z: &'a [T],
    a: &'a [T],
    slopes: &'a mut [T],
}

impl<T: Real> NullaryFnOnce for Derivatives<'_, T> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { of, z, a, slopes } = self;
        let two = T::one() + T::one();
        #[allow(unreachable_patterns, clippy::allow_attributes, reason = "there may be other activations")]
        match of {
            Nonlinearity::Exact(Activation::Relu) => {
                for (slope, z) in slopes.iter_mut().zip(z) {
                    *slope *= if *z > T::zero() { T::one() } else { T::zero() };
                }
            }
            Nonlinearity::Exact(Activation::Square) => {
                slopes.iter_mut().zip(z).for_each(|(slope, z)| *slope *= two * *z);
            }
            Nonlinearity::Exact(Activation::Sigmoid) => {
                slopes.iter_mut().zip(a).for_each(|(slope, a)| *slope *= *a * (T::one() - *a));
            }
            Nonlinearity::Exact(Activation::Tanh) => {
                slopes.iter_mut().zip(a).for_each(|(slope, a)| *slope *= T::one() - *a * *a);
            }
            Nonlinearity::Exact(other) => {
                for ((slope, z), a) in slopes.iter_mut().zip(z).zip(a) {
                    *slope *= T::from_f64(other.derivative(z.wide(), a.wide()));
                }
            }
            Nonlinearity::Polynomial(polynomial) => Evaluator::new(polynomial).derivatives(z, slopes),
        }
    }
}

#[inline(always)]
fn map<T: Real>(z: &[T], a: &mut [T], of: impl Fn(T) -> T) {
    a.iter_mut().zip(z).for_each(|(a, z)| *a = of(*z));
}

/// A polynomial with coefficients of the network's own kind: the recurrences of [`Polynomial`], to the bit in 64 bits,
/// on many elements at once.
struct Evaluator<T> {
    basis: Basis,
    coefficients: Vec<T>,
    low: T,
    high: T,
}

impl<T: Real> Evaluator<T> {
    fn new(polynomial: &Polynomial) -> Self {
        let [low, high] = polynomial.interval.map(T::from_f64);
        let coefficients = polynomial.coefficients.iter().map(|c| T::from_f64(*c)).collect();
        Self { basis: polynomial.basis, coefficients, low, high }
    }

    /// Applies `of` to blocks of lanes, the last one filled up with zeros.
    #[inline(always)]
    fn blocks(z: &[T], out: &mut [T], of: impl Fn(&[T; LANES], &mut [T; LANES])) {
        let mut inputs = [T::zero(); LANES];
        let mut outputs = [T::zero(); LANES];
        for (z, out) in z.chunks(LANES).zip(out.chunks_mut(LANES)) {
            inputs[..z.len()].copy_from_slice(z);
            outputs[..out.len()].copy_from_slice(out);
            of(&inputs, &mut outputs);
            out.copy_from_slice(&outputs[..out.len()]);
        }
    }

    #[inline(always)]
    fn scaled(&self, z: T) -> T {
        let two = T::one() + T::one();
        (two * z - (self.low + self.high)) / (self.high - self.low)
    }

    #[inline(always)]
    fn values(&self, z: &[T], a: &mut [T]) {
        let two = T::one() + T::one();
        match self.basis {
            Basis::Monomial => Self::blocks(z, a, |z, a| {
                *a = [T::zero(); LANES];
                for coefficient in self.coefficients.iter().rev() {
                    a.iter_mut().zip(z).for_each(|(sum, x)| *sum = *sum * *x + *coefficient);
                }
            }),
            Basis::Chebyshev => Self::blocks(z, a, |z, out| {
                let u = z.map(|z| self.scaled(z));
                let (first, rest) =
                    self.coefficients.split_first().map_or((T::zero(), &[][..]), |(a, b)| (*a, b));
                let (mut a, mut b) = ([T::zero(); LANES], [T::zero(); LANES]);
                for c in rest.iter().rev() {
                    for ((a, b), u) in a.iter_mut().zip(&mut b).zip(&u) {
                        (*a, *b) = (*c + two * *u * *a - *b, *a);
                    }
                }
                for (((out, u), a), b) in out.iter_mut().zip(u).zip(a).zip(b) {
                    *out = first + u * a - b;
                }
            }),
        }
    }

    #[inline(always)]
    fn derivatives(&self, z: &[T], slopes: &mut [T]) {
        let two = T::one() + T::one();
        match self.basis {
            Basis::Monomial => Self::blocks(z, slopes, |z, slopes| {
                let mut sums = [T::zero(); LANES];
                for (power, coefficient) in self.coefficients.iter().enumerate().skip(1).rev() {
                    let factor = T::from_f64(power as f64) * *coefficient;
                    sums.iter_mut().zip(z).for_each(|(sum, x)| *sum = *sum * *x + factor);
                }
                slopes.iter_mut().zip(sums).for_each(|(slope, sum)| *slope *= sum);
            }),
            Basis::Chebyshev => Self::blocks(z, slopes, |z, slopes| {
                let u = z.map(|z| self.scaled(z));
                let (mut first, mut second) = ([T::one(); LANES], [T::zero(); LANES]);
                let mut sums = [T::zero(); LANES];
                for (n, coefficient) in self.coefficients.iter().enumerate().skip(1) {
                    let factor = T::from_f64(n as f64) * *coefficient;
                    for (((sum, first), second), u) in
                        sums.iter_mut().zip(&mut first).zip(&mut second).zip(&u)
                    {
                        *sum += factor * *first;
                        (*first, *second) = (two * *u * *first - *second, *first);
                    }
                }
                for (slope, sum) in slopes.iter_mut().zip(sums) {
                    *slope *= sum * two / (self.high - self.low);
                }
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn slices_have_the_bits_of_single_values(
            coefficients in prop::collection::vec(-2.0..2.0, 0..8),
            z in prop::collection::vec(-3.0..3.0, 0..40),
            chebyshev: bool,
            exact in 0_usize..5,
        ) {
            let basis = if chebyshev { Basis::Chebyshev } else { Basis::Monomial };
            let polynomial = Polynomial { basis, coefficients, interval: [-2.5, 3.5] };
            let of = [Activation::Relu, Activation::Square, Activation::Sigmoid, Activation::Tanh]
                .get(exact).map_or(Nonlinearity::Polynomial(polynomial), |of| (*of).into());
            let mut a = vec![f64::NAN; z.len()];
            values(&of, &z, &mut a);
            let mut slopes = vec![1.25; z.len()];
            derivatives(&of, &z, &a, &mut slopes);
            for ((z, a), slope) in z.iter().zip(a).zip(slopes) {
                prop_assert_eq!(of.value(*z).to_bits(), a.to_bits());
                prop_assert_eq!((1.25 * of.derivative(*z, a)).to_bits(), slope.to_bits());
            }
        }
    }
}
