//! Gradients of the mean loss, by backpropagation.

use super::{
    Network, argmax, augmentation, layer, layer::Mode, layer::Tape, real::Real, settings::Training,
    shape::Shape,
};
use crate::math::stream::Stream;
use ndarray::{Array1, Array2, ArrayView2, Axis};

/// What a batch gave beside its gradient.
pub(super) struct Outcome<T> {
    /// Sum of the losses of its samples.
    pub(super) loss: f64,
    /// Samples that were classified right.
    pub(super) right: usize,
    /// Everything that was computed.
    pub(super) tape: Tape<T>,
}

/// Samples (samples x features) as the layers take them: channels x (samples x positions).
///
/// # Panics
/// When there are not as many features as the shape has.
pub(super) fn batch<T: Real>(features: ArrayView2<T>, shape: Shape) -> Array2<T> {
    assert_eq!(features.ncols(), shape.len(), "features of a sample");
    let positions = shape.positions();
    let mut values = Array2::zeros((shape.channels, features.nrows() * positions));
    if positions == 1 {
        values.assign(&features.t());
        return values;
    }
    for (sample, row) in features.axis_iter(Axis(0)).enumerate() {
        for (channel, mut to) in values.axis_iter_mut(Axis(0)).enumerate() {
            let from = row.slice(ndarray::s![channel * positions..(channel + 1) * positions]);
            to.slice_mut(ndarray::s![sample * positions..(sample + 1) * positions]).assign(&from);
        }
    }
    values
}

/// The same for the samples with these indices, changed as the settings say by draws from `stream`.
pub(super) fn gather<T: Real>(
    features: ArrayView2<T>,
    indices: &[usize],
    shape: Shape,
    settings: &Training,
    stream: &Stream,
) -> Array2<T> {
    match settings.augmentation {
        Some(augmentation) => augmentation::batch(features, indices, shape, augmentation, stream),
        None => batch(features.select(Axis(0), indices).view(), shape),
    }
}

impl<T: Real> Network<T> {
    /// Gradient of the mean loss with respect to every parameter: layer by layer, weights row by row and then the bias
    /// (of batch normalisation: scale, then shift). Dropout draws from the stream of seed 0; batch normalisation uses
    /// the statistics of these samples.
    ///
    /// # Panics
    /// When `features` does not have as many columns as the network has inputs, when there is not one label per sample,
    /// or when a label is not below the number of outputs.
    pub fn gradients(&self, features: ArrayView2<T>, labels: &[usize]) -> Vec<T> {
        assert_eq!(labels.len(), features.nrows(), "one label per sample");
        let mode = Mode { stream: &Stream::seeded(0), penalty: 0.0 };
        let mut gradient = vec![T::zero(); self.parameters()];
        self.backpropagate(batch(features, self.input), labels, 0.0, &mode, &mut gradient);
        gradient
    }

    /// Writes the gradient of the mean loss of a batch (channels x (samples x positions)).
    pub(super) fn backpropagate(
        &self,
        values: Array2<T>,
        labels: &[usize],
        smoothing: f64,
        mode: &Mode,
        gradient: &mut [T],
    ) -> Outcome<T> {
        let tape = layer::forward(&self.layers, values, self.input, mode);
        let mut slopes = tape.outputs().clone();
        let scale = 1.0 / labels.len() as f64;
        let (mut loss, mut right) = (0.0, 0);
        // In 64 bits and in one row of memory, whatever the network is made of.
        let mut row = Array1::<f64>::zeros(slopes.nrows());
        for (mut column, &label) in slopes.axis_iter_mut(Axis(1)).zip(labels) {
            row.iter_mut().zip(&column).for_each(|(to, from)| *to = from.wide());
            loss += self.loss.smoothed(row.view(), label, smoothing);
            right += usize::from(argmax(&row) == label);
            self.loss.differentiate_smoothed(row.view_mut(), label, smoothing);
            column.iter_mut().zip(&row).for_each(|(to, from)| *to = T::from_f64(from * scale));
        }
        loss += layer::penalty(&self.layers, &tape, mode);
        layer::backward(&self.layers, &tape, slopes, mode, gradient, false);
        Outcome { loss, right, tape }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        approximation::{Basis, Polynomial},
        network::{Activation, LayerSpec, Loss, Nonlinearity, PoolKind, layer::Part},
    };
    use ndarray_rand::{RandomExt, rand_distr::StandardNormal};

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

    fn conv(outputs: usize, kernel: usize, stride: usize, padding: usize, groups: usize) -> LayerSpec {
        LayerSpec::Convolution { outputs, kernel, stride, padding, groups }
    }

    fn pool(pool: PoolKind, size: usize, stride: usize, padding: usize) -> LayerSpec {
        LayerSpec::Pool { pool, size, stride, padding }
    }

    fn act(function: impl Into<Nonlinearity>) -> LayerSpec {
        LayerSpec::Activation { function: function.into() }
    }

    /// Networks that together have every kind of layer, each in the ways that differ.
    fn networks() -> Vec<Vec<LayerSpec>> {
        use Activation::{Relu, Sigmoid, Square, Tanh};
        let last = || LayerSpec::Dense { outputs: 3, bias: true };
        let monomial = Polynomial::monomial(vec![0.4, 0.5, 0.2, -0.03], [-0.5, 0.4]);
        let chebyshev = Polynomial {
            basis: Basis::Chebyshev,
            coefficients: vec![0.4, 0.6, -0.1, 0.2],
            interval: [-1.0, 1.5],
        };
        vec![
            vec![last()],
            vec![
                LayerSpec::Dense { outputs: 5, bias: true },
                act(Sigmoid),
                LayerSpec::Dense { outputs: 4, bias: true },
                act(Tanh),
                last(),
            ],
            vec![conv(3, 3, 1, 1, 1), act(Relu), pool(PoolKind::Mean, 2, 2, 0), last()],
            vec![conv(4, 3, 1, 0, 2), act(Square), pool(PoolKind::Max, 2, 1, 0), conv(2, 2, 1, 0, 1), last()],
            vec![
                conv(2, 3, 1, 1, 2),
                act(Tanh),
                pool(PoolKind::Max, 3, 2, 1),
                pool(PoolKind::Mean, 3, 2, 1),
                last(),
            ],
            vec![
                conv(3, 2, 3, 1, 1),
                LayerSpec::Normalisation,
                act(Nonlinearity::Polynomial(monomial)),
                last(),
            ],
            vec![
                LayerSpec::Normalisation,
                LayerSpec::Dense { outputs: 4, bias: true },
                LayerSpec::Normalisation,
                act(Nonlinearity::Polynomial(chebyshev)),
                LayerSpec::Dropout { rate: 0.4 },
                last(),
            ],
            vec![
                conv(3, 3, 1, 1, 1),
                LayerSpec::Residual {
                    layers: vec![
                        conv(3, 3, 1, 1, 1),
                        LayerSpec::Normalisation,
                        act(Sigmoid),
                        LayerSpec::Residual { layers: vec![conv(3, 1, 1, 0, 1), act(Square)] },
                        LayerSpec::Dropout { rate: 0.2 },
                    ],
                },
                act(Tanh),
                last(),
            ],
        ]
    }

    #[test]
    fn gradients_are_central_finite_differences_for_every_layer_and_loss() {
        let shape = Shape::image(2, 6, 5);
        for (case, specs) in networks().iter().enumerate() {
            for (loss, smoothing, penalty) in
                [(LOSSES[0], 0.0, 0.3), (LOSSES[1], 0.1, 0.0), (LOSSES[0], 0.2, 0.0)]
            {
                let stream = Stream::seeded(30 + case as u64);
                let mut network = Network::<f64>::build(shape, specs, 3, loss, &stream).unwrap();
                // Biases, scales and shifts away from zero and one, as their gradients are tested too.
                layer::visit_mut(&mut network.layers, "", &mut |_, part, _, values| {
                    if part == Part::Other {
                        values.iter_mut().zip(1_u8..).for_each(|(value, i)| *value += 0.05 * f64::from(i));
                    }
                });
                let (x, labels) = noise(5, shape.len(), 3, &stream.derive("noise"));
                let mode = Mode { stream: &stream.derive("dropout"), penalty };
                let mut found = vec![0.0; network.parameters()];
                network.backpropagate(batch(x.view(), shape), &labels, smoothing, &mode, &mut found);
                let mut unused = found.clone();
                for (place, &g) in found.iter().enumerate() {
                    let h = 1e-5;
                    let mut loss_at = |shift: f64| {
                        let mut moved = network.clone();
                        let mut direction = vec![0.0; found.len()];
                        direction[place] = shift;
                        moved.move_by(1.0, &direction);
                        let values = batch(x.view(), shape);
                        moved.backpropagate(values, &labels, smoothing, &mode, &mut unused).loss / 5.0
                    };
                    let slope = (loss_at(h) - loss_at(-h)) / (2.0 * h);
                    let context = format!("network {case} {loss:?} {smoothing} {penalty} place {place}");
                    assert!((g - slope).abs() < 1e-7 * (1.0 + slope.abs()), "{context}: {g} is not {slope}");
                }
            }
        }
    }

    #[test]
    fn a_penalty_is_paid_outside_of_the_interval_alone() {
        let polynomial = Polynomial::monomial(vec![0.0, 1.0], [-1.0, 2.0]);
        let specs = [act(Nonlinearity::Polynomial(polynomial))];
        let network =
            Network::<f64>::build(Shape::features(2), &specs, 2, Loss::Squared, &Stream::seeded(0)).unwrap();
        let loss = |x: [f64; 2], penalty| {
            let mode = Mode { stream: &Stream::seeded(0), penalty };
            let x = Array2::from_shape_vec((1, 2), x.to_vec()).unwrap();
            network.backpropagate(batch(x.view(), network.input), &[0], 0.0, &mode, &mut []).loss
        };
        assert!((loss([-1.0, 2.0], 3.0) - loss([-1.0, 2.0], 0.0)).abs() < 1e-12);
        // 3 (0.5² + 2²)
        assert!((loss([-1.5, 4.0], 3.0) - loss([-1.5, 4.0], 0.0) - 12.75).abs() < 1e-12);
    }

    #[test]
    fn dropout_keeps_the_expectation_and_does_nothing_without_training() {
        let specs = [LayerSpec::Dropout { rate: 0.3 }];
        let network =
            Network::<f64>::build(Shape::features(20_000), &specs, 20_000, Loss::Squared, &Stream::seeded(0))
                .unwrap();
        let x = Array2::ones((1, 20_000));
        assert_eq!(network.outputs(x.view()), x);
        let mode = Mode { stream: &Stream::seeded(3), penalty: 0.0 };
        let tape = layer::forward(&network.layers, batch(x.view(), network.input), network.input, &mode);
        let zeros = tape.outputs().iter().filter(|value| **value == 0.0).count() as f64;
        // Five standard deviations of a binomial distribution.
        assert!((zeros - 6000.0).abs() < 5.0 * (20_000.0 * 0.3 * 0.7_f64).sqrt());
        assert!(tape.outputs().iter().all(|value| *value == 0.0 || (value - 1.0 / 0.7).abs() < 1e-12));
    }
}
