//! Backpropagation, in buffers that are made once per training.

use super::{Dense, Network, product};
use ndarray::{Array2, ArrayView2, Axis, Zip, s};

impl Network {
    /// Gradient of the mean loss with respect to every weight and bias, by backpropagation.
    ///
    /// # Panics
    /// When `features` does not have as many columns as the network has inputs, when there is not one label per sample,
    /// or when a label is not below the number of outputs.
    pub fn gradients(&self, features: ArrayView2<f64>, labels: &[usize]) -> Vec<Dense> {
        assert_eq!(labels.len(), features.nrows(), "one label per sample");
        let mut workspace = Workspace::new(self, features.nrows());
        workspace.inputs.assign(&features);
        workspace.labels.extend_from_slice(labels);
        workspace.backpropagate(self);
        workspace.gradients
    }
}

/// Buffers for one batch, made once per training. Arrays have room for a full batch; `labels` says how many of their
/// rows are in use.
pub(super) struct Workspace {
    labels: Vec<usize>,
    inputs: Array2<f64>,
    /// Per layer: the weights as inputs x outputs, the order in which products read them.
    transposed: Vec<Array2<f64>>,
    /// Per layer: `W a + b`, in the last layer overwritten by the derivative of the loss.
    sums: Vec<Array2<f64>>,
    /// Per hidden layer: the activation of its sums.
    values: Vec<Array2<f64>>,
    /// Per hidden layer: the derivative of the loss with respect to its sums.
    deltas: Vec<Array2<f64>>,
    /// Gradients of the mean loss of the last batch.
    pub(super) gradients: Vec<Dense>,
}

impl Workspace {
    /// Buffers for batches of up to `rows` samples.
    pub(super) fn new(network: &Network, rows: usize) -> Self {
        let widths = network.widths();
        let buffers = |widths: &[usize]| widths.iter().map(|&width| Array2::zeros((rows, width))).collect();
        let layers = widths.get(1..).unwrap_or_default();
        let hidden = layers.split_last().map_or(layers, |(_, hidden)| hidden);
        Self {
            labels: Vec::with_capacity(rows),
            inputs: Array2::zeros((rows, widths.first().copied().unwrap_or(0))),
            transposed: network
                .layers
                .iter()
                .map(|layer| Array2::zeros(layer.weights.t().raw_dim()))
                .collect(),
            sums: buffers(layers),
            values: buffers(hidden),
            deltas: buffers(hidden),
            gradients: network.layers.iter().map(Dense::zeros_like).collect(),
        }
    }

    /// Makes the samples with the indices in `batch` the current batch.
    pub(super) fn gather(&mut self, features: ArrayView2<f64>, labels: &[usize], batch: &[usize]) {
        self.labels.clear();
        for (mut row, &sample) in self.inputs.axis_iter_mut(Axis(0)).zip(batch) {
            row.assign(&features.row(sample));
            self.labels.push(labels[sample]);
        }
    }

    /// Fills `gradients` with those of the mean loss of the batch, and returns the sum of its losses.
    pub(super) fn backpropagate(&mut self, network: &Network) -> f64 {
        let used = s![..self.labels.len(), ..];
        let Some(top) = network.layers.len().checked_sub(1) else {
            return 0.0;
        };
        for (index, layer) in network.layers.iter().enumerate() {
            let below = if index == 0 { &self.inputs } else { &self.values[index - 1] };
            self.transposed[index].assign(&layer.weights.t());
            let (weights, mut sums) = (self.transposed[index].view(), self.sums[index].slice_mut(used));
            product::affine(below.slice(used), weights, layer.bias.view(), &mut sums);
            if index < top {
                Zip::from(self.values[index].slice_mut(used))
                    .and(self.sums[index].slice(used))
                    .for_each(|a, &z| *a = network.activation.value(z));
            }
        }
        let mut loss = 0.0;
        let scale = 1.0 / self.labels.len() as f64;
        for (mut row, &label) in self.sums[top].axis_iter_mut(Axis(0)).zip(&self.labels) {
            loss += network.loss.value(row.view(), label);
            network.loss.differentiate(row.view_mut(), label);
            row *= scale;
        }
        for index in (0..=top).rev() {
            let delta = if index == top { &self.sums[top] } else { &self.deltas[index] }.slice(used);
            let below = if index == 0 { &self.inputs } else { &self.values[index - 1] }.slice(used);
            let gradient = &mut self.gradients[index];
            product::product(delta.t(), below, &mut gradient.weights.view_mut());
            product::column_sums(delta, &mut gradient.bias.view_mut());
            if let Some(lower) = index.checked_sub(1) {
                // Split, because the delta of this layer is read while that of the one below is written.
                let (deltas, above) = self.deltas.split_at_mut(index);
                let delta = above.first().unwrap_or(&self.sums[top]).slice(used);
                let mut out = deltas[lower].slice_mut(used);
                product::product(delta, network.layers[index].weights.view(), &mut out);
                Zip::from(out).and(self.sums[lower].slice(used)).and(below).for_each(|d, &z, &a| {
                    *d *= network.activation.derivative(z, a);
                });
            }
        }
        loss
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        math::stream::Stream,
        network::{Activation, Loss},
    };
    use ndarray_rand::{RandomExt, rand_distr::StandardNormal};

    pub(in crate::network) const ACTIVATIONS: [Activation; 7] = [
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::Relu,
        Activation::BipolarSigmoid,
        Activation::Softplus,
        Activation::Swish,
        Activation::Square,
    ];
    pub(in crate::network) const LOSSES: [Loss; 2] = [Loss::CrossEntropy, Loss::Squared];

    /// Normal features, and labels that take turns.
    pub(in crate::network) fn noise(
        samples: usize,
        features: usize,
        classes: usize,
        stream: &Stream,
    ) -> (Array2<f64>, Vec<usize>) {
        let values = Array2::random_using((samples, features), StandardNormal, &mut stream.rng());
        (values, (0..samples).map(|sample| (sample * 7 + 1) % classes).collect())
    }

    /// Mutable access to parameter `index` of a layer, weights row by row and then the bias.
    fn parameter(layer: &mut Dense, index: usize) -> &mut f64 {
        let weights = layer.weights.len();
        layer
            .weights
            .iter_mut()
            .chain(&mut layer.bias)
            .nth(index)
            .unwrap_or_else(|| panic!("{index} of {weights}"))
    }

    #[test]
    fn gradients_are_central_finite_differences_for_every_activation_and_loss() {
        for (activation, loss) in ACTIVATIONS.into_iter().flat_map(|a| LOSSES.map(|l| (a, l))) {
            for (case, widths) in [&[4, 3][..], &[4, 5, 3], &[3, 6, 4, 2]].into_iter().enumerate() {
                let stream = Stream::seeded(11 + case as u64);
                let mut network = Network::initialise(widths, activation, loss, &stream);
                // Biases away from zero, as their gradients are tested too.
                for layer in &mut network.layers {
                    layer.bias.iter_mut().zip(1_u8..).for_each(|(b, i)| *b = 0.05 * f64::from(i));
                }
                let (x, labels) = noise(5, widths[0], widths[widths.len() - 1], &stream.derive("noise"));
                let found = network.gradients(x.view(), &labels);
                for (index, gradient) in found.iter().enumerate() {
                    for (place, &g) in gradient.weights.iter().chain(&gradient.bias).enumerate() {
                        let h = 1e-5;
                        let loss_at = |shift: f64| {
                            let mut moved = network.clone();
                            *parameter(&mut moved.layers[index], place) += shift;
                            moved.mean_loss(x.view(), &labels)
                        };
                        let slope = (loss_at(h) - loss_at(-h)) / (2.0 * h);
                        let context =
                            format!("{activation:?} {loss:?} {widths:?} layer {index} place {place}");
                        assert!(
                            (g - slope).abs() < 1e-7 * (1.0 + slope.abs()),
                            "{context}: {g} is not {slope}"
                        );
                    }
                }
            }
        }
    }
}
