//! Maclaurin series of activation functions.

use std::f64::consts::{FRAC_PI_2, FRAC_PI_4, LN_2, PI};

use thiserror::Error;

use super::{Activation, Polynomial};

/// Highest degree: beyond it the series says nothing new within its radius.
pub(super) const MAX_DEGREE: usize = 63;

/// Why there is no such series.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TaylorError {
    /// A degree outside the range.
    #[error("a series of degree {degree}; allowed: 1 to {max}")]
    Degree {
        /// As asked for.
        degree: usize,
        /// Greatest allowed.
        max: usize,
    },
    /// A function that is not analytic at 0.
    #[error("{function:?} has no series at 0; allowed: all but relu")]
    Function {
        /// The function.
        function: Activation,
    },
}

/// The Maclaurin polynomial of a degree; the functions are analytic, and the interval is the part of the series' radius of convergence in which
/// it is of use: half of it.
///
/// The sigmoid and the hyperbolic tangent satisfy `y' = y (1 - y)` and `y' = 1 - y²`: their coefficients follow from the lower ones (Cauchy
/// products). As both are odd but for a constant, an even degree gives the polynomial of the degree below. The others follow from these two:
/// `tanh 2z`, softplus as the integral of the sigmoid, and swish as z times the sigmoid.
///
/// # Errors
/// [`TaylorError`]
pub fn taylor(function: Activation, degree: usize) -> Result<Polynomial, TaylorError> {
    if !(1..=MAX_DEGREE).contains(&degree) {
        return Err(TaylorError::Degree { degree, max: MAX_DEGREE });
    }
    let half = |radius: f64| [-radius / 2.0, radius / 2.0];
    let (coefficients, interval) = match function {
        Activation::Sigmoid => (logistic(degree, true), half(PI)),
        Activation::Tanh => (logistic(degree, false), half(FRAC_PI_2)),
        Activation::Relu => return Err(TaylorError::Function { function }),
        Activation::BipolarSigmoid => {
            // tanh 2z: powers of two, without rounding.
            let mut scale = 0.5;
            let scaled = logistic(degree, false).into_iter().map(|coefficient| {
                scale *= 2.0;
                coefficient * scale
            });
            (scaled.collect(), half(FRAC_PI_4))
        }
        Activation::Softplus => {
            // The integral of the sigmoid.
            let sigmoid = logistic(degree - 1, true);
            let integral = sigmoid.iter().zip(1_u8..).map(|(coefficient, n)| coefficient / f64::from(n));
            (std::iter::once(LN_2).chain(integral).collect(), half(PI))
        }
        Activation::Swish => (std::iter::once(0.0).chain(logistic(degree - 1, true)).collect(), half(PI)),
        Activation::Square => ([0.0, 0.0, 1.0].into_iter().take(degree + 1).collect(), [-1.0, 1.0]),
    };
    Ok(Polynomial::monomial(coefficients, interval))
}

/// The coefficients of the sigmoid, or of the hyperbolic tangent.
fn logistic(degree: usize, sigmoid: bool) -> Vec<f64> {
    let mut coefficients = vec![if sigmoid { 0.5 } else { 0.0 }];
    for n in 0..degree {
        // The coefficient of x^n of y².
        let square: f64 = (0..=n).map(|i| coefficients[i] * coefficients[n - i]).sum();
        let slope = if sigmoid { coefficients[n] - square } else { f64::from(u8::from(n == 0)) - square };
        // Odd functions but for the constant: what is left of even powers is rounding.
        let is_even = (n + 1).is_multiple_of(2);
        coefficients.push(if is_even { 0.0 } else { slope / (n + 1) as f64 });
    }
    coefficients
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the Bernoulli numbers: tanh x = x - x³/3 + 2x⁵/15 - 17x⁷/315 + 62x⁹/2835, and sigmoid x = 1/2 + tanh(x/2)/2.
    #[test]
    fn the_series_are_the_known_ones() {
        let near = |found: &[f64], expected: &[f64]| {
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-16, "{found} in place of {expected}");
            }
        };
        let tanh = [0.0, 1.0, 0.0, -1.0 / 3.0, 0.0, 2.0 / 15.0, 0.0, -17.0 / 315.0, 0.0, 62.0 / 2835.0];
        near(&taylor(Activation::Tanh, 9).unwrap().coefficients, &tanh);
        let sigmoid = [0.5, 0.25, 0.0, -1.0 / 48.0, 0.0, 1.0 / 480.0, 0.0, -17.0 / 80640.0];
        near(&taylor(Activation::Sigmoid, 7).unwrap().coefficients, &sigmoid);
        near(&taylor(Activation::Square, 3).unwrap().coefficients, &[0.0, 0.0, 1.0]);
        assert_eq!(taylor(Activation::Sigmoid, 4).unwrap().degree(), 3);
    }

    #[test]
    fn long_series_converge_to_the_function() {
        for x in [-1.5, -0.2, 0.7, 1.5] {
            let sigmoid = taylor(Activation::Sigmoid, 63).unwrap().value(x);
            assert!((sigmoid - 1.0 / (1.0 + libm::exp(-x))).abs() < 1e-14);
            let tanh = taylor(Activation::Tanh, 63).unwrap().value(x / 2.0);
            assert!((tanh - libm::tanh(x / 2.0)).abs() < 1e-14);
            for (function, x) in
                [(Activation::BipolarSigmoid, x / 4.0), (Activation::Softplus, x), (Activation::Swish, x)]
            {
                let value = taylor(function, 63).unwrap().value(x);
                assert!((value - function.value(x)).abs() < 1e-14, "{function:?} at {x}");
            }
        }
    }

    #[test]
    fn degrees_outside_the_range_are_refused() {
        for degree in [0, 64] {
            assert_eq!(taylor(Activation::Tanh, degree), Err(TaylorError::Degree { degree, max: 63 }));
        }
    }
}
