//! Activation functions, exact.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Activation function of the hidden layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// Logistic sigmoid, `1 / (1 + exp(-z))`.
    #[default]
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// Rectified linear unit, `max(0, z)`.
    Relu,
    /// The second sigmoid of CryptoDL (`PoPETs` 2018(3), Table 2), `2 / (1 + exp(-4z)) - 1 = tanh(2z)`.
    BipolarSigmoid,
    /// `ln(1 + exp(z))`.
    Softplus,
    /// `z / (1 + exp(-z))`.
    Swish,
    /// `z²`: the one that homomorphic encryption can evaluate exactly.
    Square,
}

impl Activation {
    /// The activation at `z`; NaN stays NaN, so that divergence cannot hide.
    pub fn value(self, z: f64) -> f64 {
        match self {
            Self::Sigmoid => sigmoid(z),
            Self::Tanh => libm::tanh(z),
            Self::Relu => rectified(z),
            Self::BipolarSigmoid => libm::tanh(2.0 * z),
            // exp of a negative number alone: nothing overflows.
            Self::Softplus => rectified(z) + libm::log1p(libm::exp(-z.abs())),
            Self::Swish => z * sigmoid(z),
            Self::Square => z * z,
        }
    }

    /// The derivative at `z`, given `a = value(z)`; 0 at the kink of [`Activation::Relu`].
    pub fn derivative(self, z: f64, a: f64) -> f64 {
        match self {
            Self::Sigmoid => a * (1.0 - a),
            Self::Tanh => 1.0 - a * a,
            Self::Relu => f64::from(u8::from(z > 0.0)),
            Self::BipolarSigmoid => 2.0 * (1.0 - a * a),
            Self::Softplus => sigmoid(z),
            Self::Swish => {
                let s = sigmoid(z);
                s + a * (1.0 - s)
            }
            Self::Square => 2.0 * z,
        }
    }

    /// What is known exactly: `f(z) = constant + slope z + core(z)`, where the core is odd or even.
    pub(super) fn shape(self) -> Shape {
        let (constant, slope, odd) = match self {
            Self::Sigmoid => (0.5, 0.0, true),
            Self::Tanh | Self::BipolarSigmoid => (0.0, 0.0, true),
            Self::Relu | Self::Softplus | Self::Swish => (0.0, 0.5, false),
            Self::Square => (0.0, 0.0, false),
        };
        Shape { constant, slope, odd }
    }

    /// The core of [`Activation::shape`].
    pub(super) fn core(self, z: f64) -> f64 {
        match self {
            Self::Sigmoid => 0.5 * libm::tanh(0.5 * z),
            Self::Relu => 0.5 * z.abs(),
            Self::Softplus => 0.5 * z.abs() + libm::log1p(libm::exp(-z.abs())),
            Self::Swish => 0.5 * z * libm::tanh(0.5 * z),
            Self::Tanh | Self::BipolarSigmoid | Self::Square => self.value(z),
        }
    }
}

/// The part of a function that needs no fit, and the symmetry of the rest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// Its value where the line starts, at 0.
    pub(super) constant: f64,
    /// The slope of the line.
    pub(super) slope: f64,
    /// Whether the rest is odd; else it is even.
    pub(super) odd: bool,
}

fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-z))
}

/// `max(0, z)` that keeps NaN.
fn rectified(z: f64) -> f64 {
    if z < 0.0 { 0.0 } else { z }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Activation; 7] = [
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::Relu,
        Activation::BipolarSigmoid,
        Activation::Softplus,
        Activation::Swish,
        Activation::Square,
    ];

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-14, "{found} is not {expected}");
    }

    #[test]
    fn activations_take_their_known_values() {
        near(Activation::Sigmoid.value(0.0), 0.5);
        near(Activation::Sigmoid.value(3.0_f64), 0.952_574_126_822_433_3);
        near(Activation::Sigmoid.value(-1e4), 0.0);
        near(Activation::Sigmoid.value(1e4), 1.0);
        near(Activation::Tanh.value(1.0), 0.761_594_155_955_764_9);
        near(Activation::Relu.value(-2.0), 0.0);
        near(Activation::Relu.value(2.5), 2.5);
        near(Activation::Square.value(-3.0), 9.0);
        near(Activation::BipolarSigmoid.value(0.5), 0.761_594_155_955_764_9);
        near(Activation::Softplus.value(0.0), std::f64::consts::LN_2);
        near(Activation::Softplus.value(-40.0), 4.248_354_255_291_589e-18);
        near(Activation::Softplus.value(1e4), 1e4);
        near(Activation::Swish.value(3.0), 2.857_722_380_467_299_7);
        near(Activation::Swish.value(-1e4), 0.0);
    }

    #[test]
    fn a_line_and_an_odd_or_even_core_make_up_the_function() {
        for (activation, z) in ALL.into_iter().flat_map(|a| [0.0, 0.3, 1.7, 25.0, 700.0].map(|z| (a, z))) {
            let shape = activation.shape();
            let sign = if shape.odd { -1.0 } else { 1.0 };
            let core = activation.core(z);
            assert!((activation.core(-z) - sign * core).abs() <= 1e-15 * core.abs(), "{activation:?} at {z}");
            for z in [z, -z] {
                let sum = shape.constant + shape.slope * z + activation.core(z);
                assert!((sum - activation.value(z)).abs() < 1e-15 * (1.0 + z.abs()), "{activation:?} at {z}");
            }
        }
    }

    #[test]
    fn derivatives_match_central_differences() {
        for activation in ALL {
            for z in [-2.3, -0.4, 0.7, 1.9] {
                let h = 1e-6;
                let slope = (activation.value(z + h) - activation.value(z - h)) / (2.0 * h);
                let found = activation.derivative(z, activation.value(z));
                assert!((found - slope).abs() < 1e-8, "{activation:?} at {z}: {found} is not {slope}");
            }
        }
    }

    #[test]
    fn not_a_number_stays_not_a_number() {
        for activation in ALL {
            assert!(activation.value(f64::NAN).is_nan(), "{activation:?}");
        }
    }
}
