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
    /// `z²`: the one that homomorphic encryption can evaluate exactly.
    Square,
}

impl Activation {
    /// The activation at `z`; NaN stays NaN, so that divergence cannot hide.
    pub fn value(self, z: f64) -> f64 {
        match self {
            Self::Sigmoid => 1.0 / (1.0 + libm::exp(-z)),
            Self::Tanh => libm::tanh(z),
            Self::Relu => {
                if z < 0.0 {
                    0.0
                } else {
                    z
                }
            }
            Self::Square => z * z,
        }
    }

    /// The derivative at `z`, given `a = value(z)`; 0 at the kink of [`Activation::Relu`].
    pub fn derivative(self, z: f64, a: f64) -> f64 {
        match self {
            Self::Sigmoid => a * (1.0 - a),
            Self::Tanh => 1.0 - a * a,
            Self::Relu => f64::from(u8::from(z > 0.0)),
            Self::Square => 2.0 * z,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    }

    #[test]
    fn derivatives_match_central_differences() {
        for activation in [Activation::Sigmoid, Activation::Tanh, Activation::Relu, Activation::Square] {
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
        for activation in [Activation::Sigmoid, Activation::Tanh, Activation::Relu, Activation::Square] {
            assert!(activation.value(f64::NAN).is_nan(), "{activation:?}");
        }
    }
}
