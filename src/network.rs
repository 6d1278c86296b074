//! Networks of dense layers and convolutions, trained on plaintext data.
//!
//! These are the models that the protocols then evaluate under encryption, and the plaintext results that encrypted
//! ones are compared with. There is one kind of network, [`Network`], over two kinds of numbers (see [`Real`]): 64-bit
//! ones, whose results are the same bytes on every machine (random numbers from [`Stream`], exponentials from `libm`,
//! sums in one fixed order), and 32-bit ones for larger networks, as fast as the machine can and the same bytes whatever
//! the number of threads.
//!
//! Matrices of samples are samples x features, images channel by channel and row by row (see [`Shape`]); labels are class
//! indices from 0 to outputs - 1.

#![expect(clippy::needless_pass_by_value, reason = "a view of an array is a reference already")]

mod activation;
pub mod architecture;
mod augmentation;
mod backpropagation;
mod checkpoint;
mod conjugate_gradient;
mod convolution;
mod dense;
mod elementwise;
mod exchange;
mod layer;
mod linear;
mod normalisation;
mod optimiser;
mod pooling;
mod real;
mod settings;
mod shape;
mod sharing;
mod training;

pub use activation::{Activation, Loss, Nonlinearity, softmax};
pub use architecture::LayerSpec;
pub use augmentation::Augmentation;
pub use convolution::Convolution;
pub use dense::Dense;
pub use exchange::ExchangeError;
pub use layer::Layer;
pub use linear::{Linear, Row, Step, squares};
pub use normalisation::Normalisation;
pub use pooling::{Pool, PoolKind};
pub use real::Real;
pub use settings::{Optimiser, Schedule, Training, Validation};
pub use shape::Shape;
pub use sharing::{SharedRow, Sharing};
pub use training::{Epoch, Progress, Report, Score, Stop, Trainer};

use crate::math::stream::Stream;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, s};

/// Samples that are evaluated together.
const TOGETHER: usize = 256;

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
    /// A layer does not fit.
    #[error("layer {layer} cannot be made for inputs of {input}: {reason}")]
    Architecture {
        /// The layer within its sequence, counted from 1.
        layer: usize,
        /// What comes in: channels x height x width.
        input: Shape,
        /// What is wrong.
        reason: &'static str,
    },
    /// A checkpoint does not fit the network and its training.
    #[error("the checkpoint cannot be used: {0}")]
    Checkpoint(#[source] ExchangeError),
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

/// A network: the layers one after another, the last one's outputs as the loss reads them.
#[derive(Debug, Clone, PartialEq)]
pub struct Network<T = f64> {
    /// Shape of one sample.
    pub input: Shape,
    /// The layers, input side first.
    pub layers: Vec<Layer<T>>,
    /// Loss that training minimises.
    pub loss: Loss,
}

/// What an activation is given, over samples and neurons.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// The activation, counted from 0 in the order of the layers, those within residuals included.
    pub activation: usize,
    /// The smallest and the greatest value.
    pub extremes: [f64; 2],
    /// The values that enclose the share of all values that was asked for, as much being left out below as above.
    pub quantiles: [f64; 2],
}

impl Network {
    /// A fully connected network with fresh weights for `widths` = inputs, hidden layers, outputs: the activation
    /// follows every layer but the last.
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
        let activation = activation.into();
        let dense = |(index, pair): (usize, &[usize])| {
            let (inputs, outputs) = (pair[0], pair[1]);
            let limit = (6.0 / (inputs + outputs).max(1) as f64).sqrt();
            let stream = stream.derive(&format!("layer-{}", index + 1));
            let weights = architecture::uniform(outputs, inputs, limit, &stream);
            Dense { weights, bias: Array1::zeros(outputs) }
        };
        Self::of_dense(widths.windows(2).enumerate().map(dense).collect(), activation, loss)
    }

    /// A fully connected network of these layers, with the activation between them.
    pub fn of_dense(layers: Vec<Dense>, activation: impl Into<Nonlinearity>, loss: Loss) -> Self {
        let activation = activation.into();
        let input = Shape::features(layers.first().map_or(0, |layer| layer.weights.ncols()));
        let mut all = Vec::with_capacity(2 * layers.len());
        for layer in layers {
            if !all.is_empty() {
                all.push(Layer::Activation(activation.clone()));
            }
            all.push(Layer::Dense(layer));
        }
        Self { input, layers: all, loss }
    }
}

impl<T: Real> Network<T> {
    /// The dense layers, input side first: all layers with weights of a fully connected network.
    pub fn dense_layers(&self) -> impl Iterator<Item = &Dense<T>> {
        self.layers.iter().filter_map(|layer| match layer {
            Layer::Dense(dense) => Some(dense),
            _ => None,
        })
    }

    /// Widths of a fully connected network: inputs, hidden layers, outputs. Empty when it has no layers.
    pub fn widths(&self) -> Vec<usize> {
        let inputs = self.dense_layers().next().map(|layer| layer.weights.ncols());
        inputs.into_iter().chain(self.dense_layers().map(|layer| layer.weights.nrows())).collect()
    }

    /// Shape of the outputs; `None` when a layer does not fit the one before it.
    pub fn output_shape(&self) -> Option<Shape> {
        layer::output(&self.layers, self.input)
    }

    /// Number of trained parameters.
    pub fn parameters(&self) -> usize {
        layer::parameters(&self.layers)
    }

    /// The activations in the order of the layers, those within residuals included.
    pub fn activations(&self) -> Vec<&Nonlinearity> {
        fn collect<'a, T>(layers: &'a [Layer<T>], found: &mut Vec<&'a Nonlinearity>) {
            for layer in layers {
                match layer {
                    Layer::Activation(of) => found.push(of),
                    Layer::Residual(layers) => collect(layers, found),
                    _ => {}
                }
            }
        }
        let mut found = Vec::new();
        collect(&self.layers, &mut found);
        found
    }

    /// Puts another function in the place of every activation.
    pub fn replace_activations(&mut self, by: impl Into<Nonlinearity>) {
        let by = by.into();
        self.each_activation(&mut |_, of| *of = by.clone());
    }

    /// Puts another function in the place of one activation, counted from 0 as in [`Network::activations`]; whether
    /// there is that activation.
    pub fn replace_activation(&mut self, index: usize, by: impl Into<Nonlinearity>) -> bool {
        let mut by = Some(by.into());
        self.each_activation(&mut |at, of| {
            if at == index
                && let Some(by) = by.take()
            {
                *of = by;
            }
        });
        by.is_none()
    }

    fn each_activation(&mut self, change: &mut dyn FnMut(usize, &mut Nonlinearity)) {
        fn walk<T>(
            layers: &mut [Layer<T>],
            count: &mut usize,
            change: &mut dyn FnMut(usize, &mut Nonlinearity),
        ) {
            for layer in layers {
                match layer {
                    Layer::Activation(of) => {
                        change(*count, of);
                        *count += 1;
                    }
                    Layer::Residual(layers) => walk(layers, count, change),
                    _ => {}
                }
            }
        }
        walk(&mut self.layers, &mut 0, change);
    }

    /// The last layer's outputs before any softmax (logits), samples x outputs.
    ///
    /// # Panics
    /// When `features` does not have as many columns as the network has inputs, or a layer does not fit the one before.
    pub fn outputs(&self, features: ArrayView2<T>) -> Array2<T> {
        self.observed(features, &mut |_, _| {})
    }

    /// Like [`Network::outputs`]; `observe` is shown what every activation is given, a part of the samples at a time.
    fn observed(&self, features: ArrayView2<T>, observe: &mut dyn FnMut(usize, &Array2<T>)) -> Array2<T> {
        let output = self.output_shape().unwrap_or(Shape::features(0));
        let mut outputs = Array2::zeros((features.nrows(), output.len()));
        for start in (0..features.nrows()).step_by(TOGETHER) {
            let end = features.nrows().min(start + TOGETHER);
            let values = backpropagation::batch(features.slice(s![start..end, ..]), self.input);
            let found = layer::infer(&self.layers, values, self.input, &mut 0, observe);
            outputs.slice_mut(s![start..end, ..]).assign(&dense::flatten(&found, output).t());
        }
        outputs
    }

    /// What the activations are given on these samples: extremes, and the quantiles that enclose `share` of the values
    /// (0 to 1).
    ///
    /// Keeps all values of an activation in memory at a time; give it a part of the samples where that is too much.
    ///
    /// # Panics
    /// Like [`Network::outputs`].
    pub fn pre_activation_ranges(&self, features: ArrayView2<T>, share: f64) -> Vec<Range> {
        let mut values: Vec<Vec<T>> = vec![Vec::new(); self.activations().len()];
        self.observed(features, &mut |index, z| values[index].extend(z));
        let range = |(activation, mut values): (usize, Vec<T>)| {
            let last = values.len().checked_sub(1)?;
            let left_out = (0.5 * (1.0 - share.clamp(0.0, 1.0)) * last as f64).floor();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to last / 2")]
            let left_out = left_out as usize;
            let order = |a: &T, b: &T| a.wide().total_cmp(&b.wide());
            let mut nth = |index| values.select_nth_unstable_by(index, order).1.wide();
            let extremes = [nth(0), nth(last)];
            Some(Range { activation, extremes, quantiles: [nth(left_out), nth(last - left_out)] })
        };
        values.into_iter().enumerate().filter_map(range).collect()
    }

    /// The predicted class of every sample: the greatest output, the first one on ties.
    ///
    /// # Panics
    /// Like [`Network::outputs`].
    pub fn predict(&self, features: ArrayView2<T>) -> Vec<usize> {
        self.outputs(features).axis_iter(Axis(0)).map(argmax).collect()
    }

    /// Share of samples whose predicted class is their label, from 0 to 1; NaN without samples.
    ///
    /// # Panics
    /// Like [`Network::outputs`].
    pub fn accuracy(&self, features: ArrayView2<T>, labels: &[usize]) -> f64 {
        let predicted = self.predict(features);
        let right = predicted.iter().zip(labels).filter(|(found, label)| found == label).count();
        right as f64 / predicted.len() as f64
    }

    /// Mean loss per sample; NaN without samples.
    ///
    /// # Panics
    /// Like [`Network::outputs`], and when a label is not below the number of outputs.
    pub fn mean_loss(&self, features: ArrayView2<T>, labels: &[usize]) -> f64 {
        self.score(features, labels).loss
    }

    /// Mean loss and accuracy in one go; both NaN without samples.
    ///
    /// # Panics
    /// Like [`Network::mean_loss`].
    pub fn score(&self, features: ArrayView2<T>, labels: &[usize]) -> Score {
        let outputs = self.outputs(features);
        let wide = |z: ArrayView1<T>| z.mapv(Real::wide);
        let rows = outputs.axis_iter(Axis(0)).zip(labels);
        let loss = rows.map(|(z, &label)| self.loss.value(wide(z).view(), label)).sum::<f64>();
        let rows = outputs.axis_iter(Axis(0)).zip(labels);
        let right = rows.filter(|(z, label)| argmax(*z) == **label).count();
        let samples = outputs.nrows() as f64;
        Score { loss: loss / samples, accuracy: right as f64 / samples }
    }

    /// Adds `step · direction` to the parameters, which lie as in [`Network::gradients`].
    ///
    /// # Panics
    /// When there are not as many numbers as parameters.
    pub fn move_by(&mut self, step: T, direction: &[T]) {
        assert_eq!(direction.len(), self.parameters(), "one number per parameter");
        let mut rest = direction;
        layer::visit_mut(&mut self.layers, "", &mut |_, part, _, values| {
            if part != layer::Part::Average {
                let (own, others) = rest.split_at(values.len());
                rest = others;
                values.iter_mut().zip(own).for_each(|(value, by)| *value += step * *by);
            }
        });
    }

    /// The same network with other parameters, which lie as in [`Network::gradients`]; `None` when they are not as many.
    #[must_use]
    pub fn with_parameters(&self, parameters: &[T]) -> Option<Self> {
        let mut network = self.clone();
        let own = network.parameters();
        if own != parameters.len() {
            return None;
        }
        let mut rest = parameters.iter();
        layer::visit_mut(&mut network.layers, "", &mut |_, part, _, values| {
            if part != layer::Part::Average {
                values.iter_mut().zip(&mut rest).for_each(|(value, new)| *value = *new);
            }
        });
        Some(network)
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
        Network::of_dense(vec![first, last], Activation::Square, Loss::Squared)
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
        for (layer, limit) in network.dense_layers().zip([0.1_f64.sqrt(), 0.2_f64.sqrt()]) {
            let count = layer.weights.len() as f64;
            let largest = layer.weights.iter().fold(0.0_f64, |so_far, w| so_far.max(w.abs()));
            assert!(largest <= limit && largest > 0.9 * limit, "{largest} of {limit}");
            // A uniform variable in ±limit has variance limit²/3; 5 standard errors of the mean.
            assert!(layer.weights.sum().abs() / count < 5.0 * limit / (3.0 * count).sqrt());
            assert!(layer.bias.iter().all(|&b| b == 0.0));
        }
        let again = Network::initialise(&[40, 20, 10], Activation::Tanh, Loss::CrossEntropy, &stream);
        assert_eq!(network, again);
        let first: Vec<u64> = network.dense_layers().map(|layer| layer.weights[[0, 0]].to_bits()).collect();
        assert_ne!(first[0], first[1]);
    }

    #[test]
    fn widths_of_nothing_make_a_network_without_layers() {
        let network = Network::initialise(&[], Activation::Relu, Loss::Squared, &Stream::seeded(0));
        assert!(network.widths().is_empty());
        let empty = Network::initialise(&[0, 0], Activation::Relu, Loss::Squared, &Stream::seeded(0));
        assert_eq!(empty.widths(), [0, 0]);
    }
}
