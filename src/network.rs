//! Fully connected networks in 64-bit floating point, trained on plaintext data.
//!
//! These are the models that the protocols then evaluate under encryption, and the plaintext results that encrypted
//! ones are compared with. Everything is reproducible to the byte: random numbers come from
//! [`Stream`], exponentials from `libm`, and sums are taken in one fixed order on one thread (see `product.rs`), so
//! neither the number of threads nor the make of the processor can change a weight.
//!
//! Matrices of samples are samples x features; labels are class indices from 0 to outputs - 1.

#![expect(clippy::needless_pass_by_value, reason = "a view of an array is a reference already")]

mod activation;
mod backpropagation;
mod product;
mod training;

pub use activation::{Activation, Loss, Nonlinearity, softmax};
pub use training::{Epoch, Training};

use crate::math::stream::Stream;
use ndarray::{Array1, Array2, ArrayView2, Axis};
use ndarray_rand::{RandomExt, rand_distr::StandardUniform};

/// Why a network cannot be trained.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// The network has no layers, so there is nothing to train.
    #[error("the network has no layers; it needs at least one (two widths)")]
    NoLayers,
    /// There is nothing to train on.
    #[error("there are no samples; training needs at least 1")]
    NoSamples,
    /// The features do not fit the first layer.
    #[error("the samples have {found} features, but the network takes exactly {expected}")]
    Features {
        /// Columns of the feature matrix.
        found: usize,
        /// Inputs of the first layer.
        expected: usize,
    },
    /// Samples and labels do not match one to one.
    #[error("there are {found} labels for {samples} samples; every sample needs exactly one")]
    Labels {
        /// Number of labels.
        found: usize,
        /// Number of samples.
        samples: usize,
    },
    /// A label names a class that the network has no output for.
    #[error(
        "sample {sample} has label {label}, but the network has {classes} outputs (labels 0 to {classes} - 1)"
    )]
    Label {
        /// Index of the sample.
        sample: usize,
        /// Its label.
        label: usize,
        /// Outputs of the last layer.
        classes: usize,
    },
    /// A training setting is out of range.
    #[error("{name} is {value}, but must be {permitted}")]
    Setting {
        /// Name of the setting in [`Training`].
        name: &'static str,
        /// The value given.
        value: f64,
        /// The permitted range, in words.
        permitted: &'static str,
    },
    /// Loss or weights grew beyond the finite numbers; a smaller learning rate may help.
    #[error(
        "training diverged at epoch {epoch} of {of} (mean loss {loss}, which must be finite, as must all weights)"
    )]
    Diverged {
        /// The epoch, counted from 1.
        epoch: usize,
        /// Number of epochs asked for.
        of: usize,
        /// Mean loss of that epoch.
        loss: f64,
    },
}

/// One affine layer, `z = W a + b`. Also the shape of its gradient and of its momentum.
#[derive(Debug, Clone, PartialEq)]
pub struct Dense {
    /// Weights, outputs x inputs.
    pub weights: Array2<f64>,
    /// Bias, one per output.
    pub bias: Array1<f64>,
}

impl Dense {
    /// A layer of zeros of the same shape.
    fn zeros_like(other: &Self) -> Self {
        Self { weights: Array2::zeros(other.weights.raw_dim()), bias: Array1::zeros(other.bias.raw_dim()) }
    }
}

/// A fully connected network: every layer but the last is followed by the activation; the last one is affine, and the
/// loss says how its outputs are read.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// The layers, input side first.
    pub layers: Vec<Dense>,
    /// Activation of every hidden layer.
    pub activation: Nonlinearity,
    /// Loss that training minimises.
    pub loss: Loss,
}

impl Network {
    /// A network with fresh weights for `widths` = inputs, hidden layers, outputs.
    ///
    /// Weights are uniform in `±sqrt(6 / (inputs + outputs))` of their layer (Glorot and Bengio, "Understanding the
    /// difficulty of training deep feedforward neural networks", AISTATS 2010, equation 16), drawn from the child
    /// stream `layer-1`, `layer-2`, ...; biases are zero. Fewer than two widths make a network without layers, which
    /// [`Network::train`] refuses.
    pub fn initialise(
        widths: &[usize],
        activation: impl Into<Nonlinearity>,
        loss: Loss,
        stream: &Stream,
    ) -> Self {
        let layer = |(index, pair): (usize, &[usize])| {
            let (inputs, outputs) = (pair[0], pair[1]);
            let limit = (6.0 / (inputs + outputs).max(1) as f64).sqrt();
            let mut rng = stream.derive(&format!("layer-{}", index + 1)).rng();
            let unit: Array2<f64> = Array2::random_using((outputs, inputs), StandardUniform, &mut rng);
            Dense { weights: unit.mapv_into(|u| (2.0 * u - 1.0) * limit), bias: Array1::zeros(outputs) }
        };
        let activation = activation.into();
        Self { layers: widths.windows(2).enumerate().map(layer).collect(), activation, loss }
    }

    /// Widths of the network: inputs, hidden layers, outputs. Empty when it has no layers.
    pub fn widths(&self) -> Vec<usize> {
        let inputs = self.layers.first().map(|layer| layer.weights.ncols());
        inputs.into_iter().chain(self.layers.iter().map(|layer| layer.weights.nrows())).collect()
    }

    /// The last layer's outputs before any softmax (logits), samples x outputs.
    ///
    /// # Panics
    /// When `features` does not have as many columns as the network has inputs.
    pub fn outputs(&self, features: ArrayView2<f64>) -> Array2<f64> {
        let mut values = features.to_owned();
        for (index, layer) in self.layers.iter().enumerate() {
            let mut next = Array2::zeros((values.nrows(), layer.weights.nrows()));
            let weights = layer.weights.t().as_standard_layout().into_owned();
            product::affine(values.view(), weights.view(), layer.bias.view(), &mut next.view_mut());
            if index + 1 < self.layers.len() {
                next.mapv_inplace(|z| self.activation.value(z));
            }
            values = next;
        }
        values
    }

    /// The predicted class of every sample: the greatest output, the first one on ties.
    ///
    /// # Panics
    /// Like [`Network::outputs`].
    pub fn predict(&self, features: ArrayView2<f64>) -> Vec<usize> {
        self.outputs(features).axis_iter(Axis(0)).map(argmax).collect()
    }

    /// Share of samples whose predicted class is their label, from 0 to 1; NaN without samples.
    ///
    /// # Panics
    /// Like [`Network::outputs`].
    pub fn accuracy(&self, features: ArrayView2<f64>, labels: &[usize]) -> f64 {
        let predicted = self.predict(features);
        let right = predicted.iter().zip(labels).filter(|(found, label)| found == label).count();
        right as f64 / predicted.len() as f64
    }

    /// Mean loss per sample; NaN without samples.
    ///
    /// # Panics
    /// Like [`Network::outputs`], and when a label is not below the number of outputs.
    pub fn mean_loss(&self, features: ArrayView2<f64>, labels: &[usize]) -> f64 {
        let outputs = self.outputs(features);
        let rows = outputs.axis_iter(Axis(0)).zip(labels);
        rows.map(|(z, &label)| self.loss.value(z, label)).sum::<f64>() / outputs.nrows() as f64
    }
}

/// Position of the greatest value, the first one on ties; NaN loses to everything, and an empty sequence gives 0.
pub fn argmax<T: PartialOrd>(values: impl IntoIterator<Item = T>) -> usize {
    let mut best: Option<(usize, T)> = None;
    for (index, value) in values.into_iter().enumerate() {
        let comparable = value.partial_cmp(&value).is_some();
        if comparable && best.as_ref().is_none_or(|(_, greatest)| value > *greatest) {
            best = Some((index, value));
        }
    }
    best.map_or(0, |(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    /// A net small enough to evaluate by hand: hidden = square(x - y, 2x + 1), outputs = (h1 + h2, h1 - h2 + 3).
    fn by_hand() -> Network {
        let first = Dense { weights: array![[1.0, -1.0], [2.0, 0.0]], bias: array![0.0, 1.0] };
        let last = Dense { weights: array![[1.0, 1.0], [1.0, -1.0]], bias: array![0.0, 3.0] };
        Network { layers: vec![first, last], activation: Activation::Square.into(), loss: Loss::Squared }
    }

    #[test]
    fn outputs_loss_and_accuracy_match_a_calculation_by_hand() {
        let features = array![[1.0, 3.0], [0.0, 0.0]];
        // (-2)^2 = 4 and 3^2 = 9 give (13, -2); 0 and 1 give (1, 2).
        assert_eq!(by_hand().outputs(features.view()), array![[13.0, -2.0], [1.0, 2.0]]);
        assert_eq!(by_hand().predict(features.view()), [0, 1]);
        assert!((by_hand().accuracy(features.view(), &[0, 0]) - 0.5).abs() < f64::EPSILON);
        // 1/2 (12^2 + 2^2) = 74 and 1/2 (1^2 + 1^2) = 1.
        assert!((by_hand().mean_loss(features.view(), &[0, 1]) - 37.5).abs() < 1e-12);
        assert_eq!(by_hand().widths(), [2, 2, 2]);
    }

    #[test]
    fn a_transposed_view_gives_the_same_outputs() {
        let features = array![[1.0, 0.0, 2.0], [3.0, 0.0, -1.0]];
        assert_eq!(
            by_hand().outputs(features.t()),
            by_hand().outputs(features.t().as_standard_layout().view())
        );
    }

    #[test]
    fn argmax_takes_the_first_of_equals_and_never_nan() {
        assert_eq!(argmax([1.0, 3.0, 3.0, 2.0]), 1);
        assert_eq!(argmax([f64::NAN, -1.0, f64::NAN, 0.5]), 3);
        assert_eq!(argmax([5_u64, 7, 7]), 1);
        assert_eq!(argmax(Vec::<i32>::new()), 0);
    }

    #[test]
    fn fresh_weights_fill_the_glorot_range_and_biases_are_zero() {
        let stream = Stream::seeded(3);
        let network = Network::initialise(&[40, 20, 10], Activation::Tanh, Loss::CrossEntropy, &stream);
        assert_eq!(network.widths(), [40, 20, 10]);
        for (layer, limit) in network.layers.iter().zip([0.1_f64.sqrt(), 0.2_f64.sqrt()]) {
            let count = layer.weights.len() as f64;
            let largest = layer.weights.iter().fold(0.0_f64, |so_far, w| so_far.max(w.abs()));
            assert!(largest <= limit && largest > 0.9 * limit, "{largest} of {limit}");
            // A uniform variable in ±limit has variance limit²/3; 5 standard errors of the mean.
            assert!(layer.weights.sum().abs() / count < 5.0 * limit / (3.0 * count).sqrt());
            assert!(layer.bias.iter().all(|&b| b == 0.0));
        }
        let again = Network::initialise(&[40, 20, 10], Activation::Tanh, Loss::CrossEntropy, &stream);
        assert_eq!(network, again);
        assert_ne!(network.layers[0].weights[[0, 0]].to_bits(), network.layers[1].weights[[0, 0]].to_bits());
    }

    #[test]
    fn widths_of_nothing_make_a_network_without_layers() {
        let network = Network::initialise(&[], Activation::Relu, Loss::Squared, &Stream::seeded(0));
        assert!(network.widths().is_empty());
        let empty = Network::initialise(&[0, 0], Activation::Relu, Loss::Squared, &Stream::seeded(0));
        assert_eq!(empty.widths(), [0, 0]);
    }
}
