//! Activation and loss functions, with the derivatives that training needs.

use ndarray::{Array1, ArrayView1, ArrayViewMut1};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::approximation::Activation;
use crate::approximation::Polynomial;

/// What a layer is put through: an activation as it is, or a polynomial in its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Nonlinearity {
    /// The function itself.
    Exact(Activation),
    /// A polynomial.
    Polynomial(Polynomial),
}

impl Nonlinearity {
    /// The value at `z`.
    pub fn value(&self, z: f64) -> f64 {
        match self {
            Self::Exact(activation) => activation.value(z),
            Self::Polynomial(polynomial) => polynomial.value(z),
        }
    }

    /// The derivative at `z`, given `a = value(z)`.
    pub fn derivative(&self, z: f64, a: f64) -> f64 {
        match self {
            Self::Exact(activation) => activation.derivative(z, a),
            Self::Polynomial(polynomial) => polynomial.derivative(z),
        }
    }

    /// The polynomial that it is; `None` of what is none.
    pub fn polynomial(&self) -> Option<Polynomial> {
        match self {
            Self::Polynomial(polynomial) => Some(polynomial.clone()),
            Self::Exact(Activation::Square) => Some(Polynomial::monomial(vec![0.0, 0.0, 1.0], [-1.0, 1.0])),
            Self::Exact(_) => None,
        }
    }
}

impl From<Activation> for Nonlinearity {
    fn from(activation: Activation) -> Self {
        Self::Exact(activation)
    }
}

/// Loss that training minimises. The target `t` of a label is its unit vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// Softmax output and cross-entropy, in nats.
    #[default]
    CrossEntropy,
    /// Linear output and half the squared distance, `½ |z - t|²`.
    Squared,
}

impl Loss {
    /// The loss of one sample with outputs `z`.
    ///
    /// # Panics
    /// When `label` is not below the number of outputs.
    pub fn value(self, z: ArrayView1<f64>, label: usize) -> f64 {
        match self {
            // -log softmax(z)[label], with the greatest output taken out, as it would overflow.
            Self::CrossEntropy => {
                let greatest = greatest(z);
                libm::log(z.iter().map(|&v| libm::exp(v - greatest)).sum()) + greatest - z[label]
            }
            Self::Squared => {
                let error = |(index, &v): (usize, &f64)| v - f64::from(u8::from(index == label));
                0.5 * z.iter().enumerate().map(error).map(|e| e * e).sum::<f64>()
            }
        }
    }

    /// The loss when the target is spread out: `1 - smoothing` of it stays on the label, the rest is shared by all
    /// classes alike.
    ///
    /// # Panics
    /// Like [`Loss::value`].
    pub fn smoothed(self, z: ArrayView1<f64>, label: usize, smoothing: f64) -> f64 {
        if smoothing <= 0.0 {
            return self.value(z, label);
        }
        let classes = z.len() as f64;
        match self {
            Self::CrossEntropy => {
                self.value(z, label) + smoothing * (z[label] - z.iter().sum::<f64>() / classes)
            }
            Self::Squared => {
                let target = |index| smoothing / classes + if index == label { 1.0 - smoothing } else { 0.0 };
                0.5 * z.iter().enumerate().map(|(index, z)| (z - target(index)).powi(2)).sum::<f64>()
            }
        }
    }

    /// Like [`Loss::differentiate`], of [`Loss::smoothed`].
    ///
    /// # Panics
    /// Like [`Loss::value`].
    pub fn differentiate_smoothed(self, mut z: ArrayViewMut1<f64>, label: usize, smoothing: f64) {
        self.differentiate(z.view_mut(), label);
        if smoothing > 0.0 {
            let share = smoothing / z.len() as f64;
            z[label] += smoothing;
            z.mapv_inplace(|slope| slope - share);
        }
    }

    /// Replaces the outputs `z` of one sample by the derivative of the loss with respect to them: `softmax(z) - t`, or
    /// `z - t`.
    ///
    /// # Panics
    /// When `label` is not below the number of outputs.
    pub fn differentiate(self, mut z: ArrayViewMut1<f64>, label: usize) {
        if self == Self::CrossEntropy {
            softmax_in_place(z.view_mut());
        }
        z[label] -= 1.0;
    }
}

/// Softmax, `exp(z) / Σ exp(z)`. The greatest value is subtracted first, so that no finite input overflows.
pub fn softmax(z: ArrayView1<f64>) -> Array1<f64> {
    let mut values = z.to_owned();
    softmax_in_place(values.view_mut());
    values
}

fn softmax_in_place(mut z: ArrayViewMut1<f64>) {
    let greatest = greatest(z.view());
    z.mapv_inplace(|v| libm::exp(v - greatest));
    let sum = z.sum();
    z /= sum;
}

fn greatest(z: ArrayView1<f64>) -> f64 {
    z.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-14, "{found} is not {expected}");
    }

    #[test]
    fn not_a_number_stays_not_a_number() {
        assert!(Loss::CrossEntropy.value(array![0.0, f64::NAN].view(), 0).is_nan());
    }

    #[test]
    fn softmax_of_logarithms_is_their_proportion() {
        let z = array![0.0, 2.0_f64.log2().mul_add(std::f64::consts::LN_2, 0.0), std::f64::consts::LN_10];
        let found = softmax(z.view());
        for (value, weight) in found.iter().zip([1.0, 2.0, 10.0]) {
            near(*value, weight / 13.0);
        }
        near(Loss::CrossEntropy.value(z.view(), 2), 0.262_364_264_467_491_06); // log(1.3)
    }

    #[test]
    fn softmax_does_not_overflow_at_ten_thousand() {
        let found = softmax(array![1e4, 1e4, -1e4].view());
        for (value, expected) in found.iter().zip([0.5, 0.5, 0.0]) {
            near(*value, expected);
        }
        assert!((Loss::CrossEntropy.value(array![1e4, -1e4].view(), 1) - 2e4).abs() < 1e-9);
    }

    #[test]
    fn names_in_files_are_snake_case() {
        assert_eq!(serde_json::to_string(&Loss::CrossEntropy).unwrap(), "\"cross_entropy\"");
        assert_eq!(serde_json::from_str::<Activation>("\"relu\"").unwrap(), Activation::Relu);
        assert!(serde_json::from_str::<Activation>("\"gelu\"").is_err());
    }
}
