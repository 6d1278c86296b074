//! Stochastic gradient descent with momentum.

use super::{Dense, Network, NetworkError, backpropagation::Workspace};
use crate::math::stream::Stream;
use ndarray::{ArrayView2, Zip};
use rand::seq::SliceRandom;
use std::ops::ControlFlow;

/// Settings of stochastic gradient descent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Training {
    /// Passes over the samples; 0 leaves the network as it is.
    pub epochs: usize,
    /// Step per gradient, above 0.
    pub learning_rate: f64,
    /// Share of the previous step that is kept, from 0 to below 1.
    pub momentum: f64,
    /// Samples per step, at least 1; the last batch of an epoch may be smaller.
    pub batch_size: usize,
}

impl Training {
    fn check(&self) -> Result<(), NetworkError> {
        let fail = |name, value, permitted| Err(NetworkError::Setting { name, value, permitted });
        if !(self.learning_rate.is_finite() && self.learning_rate > 0.0) {
            return fail("learning_rate", self.learning_rate, "finite and above 0");
        }
        if !(0.0..1.0).contains(&self.momentum) {
            return fail("momentum", self.momentum, "at least 0 and below 1");
        }
        if self.batch_size == 0 {
            return fail("batch_size", 0.0, "at least 1");
        }
        Ok(())
    }
}

/// What has happened when an epoch is over.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Epoch {
    /// This epoch, counted from 1.
    pub number: usize,
    /// Number of epochs asked for.
    pub of: usize,
    /// Mean loss per sample over the epoch, each sample's taken just before the step that uses it.
    pub loss: f64,
}

impl Network {
    /// Trains in place on `features` (samples x inputs) and `labels`, one per sample.
    ///
    /// Epoch `n` visits the samples in an order drawn from `stream.item(n)`, in batches; each step is
    /// `v ← momentum · v - learning_rate · gradient`, `w ← w + v`. `on_epoch` is called after each epoch and may stop
    /// the training, which is not an error.
    ///
    /// # Errors
    /// When features, labels or settings do not fit, before anything is changed, or when the training diverges; the
    /// weights are then of no use.
    pub fn train(
        &mut self,
        features: ArrayView2<f64>,
        labels: &[usize],
        settings: &Training,
        stream: &Stream,
        on_epoch: &mut dyn FnMut(Epoch) -> ControlFlow<()>,
    ) -> Result<(), NetworkError> {
        settings.check()?;
        self.check(features, labels)?;
        let samples = features.nrows();
        let mut workspace = Workspace::new(self, settings.batch_size.min(samples));
        let mut velocity: Vec<Dense> = self.layers.iter().map(Dense::zeros_like).collect();
        for number in 1..=settings.epochs {
            let mut order: Vec<usize> = (0..samples).collect();
            order.shuffle(&mut stream.item(number as u64).rng());
            let mut loss = 0.0;
            for batch in order.chunks(settings.batch_size) {
                workspace.gather(features, labels, batch);
                loss += workspace.backpropagate(self);
                step(&mut self.layers, &mut velocity, &workspace.gradients, settings);
            }
            loss /= samples as f64;
            if !(loss.is_finite() && self.is_finite()) {
                return Err(NetworkError::Diverged { epoch: number, of: settings.epochs, loss });
            }
            if on_epoch(Epoch { number, of: settings.epochs, loss }).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn check(&self, features: ArrayView2<f64>, labels: &[usize]) -> Result<(), NetworkError> {
        let (Some(first), Some(last)) = (self.layers.first(), self.layers.last()) else {
            return Err(NetworkError::NoLayers);
        };
        let (samples, found) = features.dim();
        if samples == 0 {
            return Err(NetworkError::NoSamples);
        }
        let (expected, classes) = (first.weights.ncols(), last.weights.nrows());
        if found != expected {
            return Err(NetworkError::Features { found, expected });
        }
        if labels.len() != samples {
            return Err(NetworkError::Labels { found: labels.len(), samples });
        }
        match labels.iter().enumerate().find(|&(_, &label)| label >= classes) {
            Some((sample, &label)) => Err(NetworkError::Label { sample, label, classes }),
            None => Ok(()),
        }
    }

    fn is_finite(&self) -> bool {
        let finite = |value: &f64| value.is_finite();
        self.layers.iter().all(|layer| layer.weights.iter().all(finite) && layer.bias.iter().all(finite))
    }
}

/// `v ← momentum · v - learning_rate · gradient`, `w ← w + v`.
fn step(layers: &mut [Dense], velocity: &mut [Dense], gradients: &[Dense], settings: &Training) {
    let update = |w: &mut f64, v: &mut f64, g: &f64| {
        *v = settings.momentum * *v - settings.learning_rate * g;
        *w += *v;
    };
    for ((layer, v), g) in layers.iter_mut().zip(velocity).zip(gradients) {
        Zip::from(&mut layer.weights).and(&mut v.weights).and(&g.weights).for_each(update);
        Zip::from(&mut layer.bias).and(&mut v.bias).and(&g.bias).for_each(update);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{
        Activation, Loss,
        backpropagation::tests::{ACTIVATIONS, LOSSES, noise},
    };
    use ndarray::{array, s};

    fn go_on(_: Epoch) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    #[test]
    fn one_step_without_momentum_subtracts_learning_rate_times_gradient() {
        let stream = Stream::seeded(5);
        let before = Network::initialise(&[4, 3, 2], Activation::Tanh, Loss::CrossEntropy, &stream);
        let (x, labels) = noise(1, 4, 2, &stream.derive("noise"));
        let gradients = before.gradients(x.view(), &labels);
        let mut after = before.clone();
        let settings = Training { epochs: 1, learning_rate: 0.25, momentum: 0.0, batch_size: 8 };
        after.train(x.view(), &labels, &settings, &stream, &mut go_on).unwrap();
        for ((after, before), gradient) in after.layers.iter().zip(&before.layers).zip(&gradients) {
            assert_eq!(after.weights, &before.weights - &(0.25 * &gradient.weights));
            assert_eq!(after.bias, &before.bias - &(0.25 * &gradient.bias));
        }
        assert_ne!(after, before);
    }

    #[test]
    fn momentum_repeats_a_share_of_the_last_step() {
        // One weight, no sample can be wrong about the sums: y = w x + b with x = 1, t = 1, so both have gradient y - 1.
        let layer = Dense { weights: array![[0.0]], bias: array![0.0] };
        let mut network =
            Network { layers: vec![layer], activation: Activation::Relu.into(), loss: Loss::Squared };
        let settings = Training { epochs: 2, learning_rate: 0.125, momentum: 0.5, batch_size: 1 };
        network.train(array![[1.0]].view(), &[0], &settings, &Stream::seeded(0), &mut go_on).unwrap();
        // Step 1: gradient -1, v = 1/8, w = 1/8. Step 2: y = 1/4, gradient -3/4, v = 1/16 + 3/32, w = 9/32.
        assert_eq!(network.layers[0], Dense { weights: array![[0.28125]], bias: array![0.28125] });
    }

    #[test]
    fn a_short_last_batch_is_averaged_over_its_own_samples() {
        // Three samples that are all alike: every batch has the same mean gradient, whatever its size.
        let x = array![[1.0], [1.0], [1.0]];
        let run = |epochs, batch_size| {
            let layer = Dense { weights: array![[0.0]], bias: array![0.0] };
            let mut network =
                Network { layers: vec![layer], activation: Activation::Relu.into(), loss: Loss::Squared };
            let settings = Training { epochs, learning_rate: 0.125, momentum: 0.0, batch_size };
            network.train(x.view(), &[0, 0, 0], &settings, &Stream::seeded(0), &mut go_on).unwrap();
            network
        };
        assert_eq!(run(1, 2), run(2, 3));
    }

    #[test]
    fn training_separates_what_is_linearly_separable() {
        for loss in LOSSES {
            let stream = Stream::seeded(8);
            // Two clouds, 8 standard deviations apart.
            let (mut x, labels) = noise(200, 2, 2, &stream);
            for (mut row, &label) in x.rows_mut().into_iter().zip(&labels) {
                row[0] += if label == 0 { -4.0 } else { 4.0 };
            }
            let mut network = Network::initialise(&[2, 2], Activation::Sigmoid, loss, &stream);
            let before = network.mean_loss(x.view(), &labels);
            let mut seen = Vec::new();
            let settings = Training { epochs: 60, learning_rate: 0.1, momentum: 0.9, batch_size: 16 };
            network
                .train(x.view(), &labels, &settings, &stream.derive("order"), &mut |epoch| {
                    seen.push((epoch.number, epoch.of));
                    ControlFlow::Continue(())
                })
                .unwrap();
            assert!(network.accuracy(x.view(), &labels) > 0.99, "{loss:?}");
            assert!(network.mean_loss(x.view(), &labels) < 0.5 * before, "{loss:?}");
            assert_eq!(seen, (1..=60).map(|number| (number, 60)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_hidden_layer_learns_exclusive_or_and_a_linear_network_cannot() {
        let x = array![[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]];
        let labels = [0, 1, 1, 0];
        let settings = Training { epochs: 1500, learning_rate: 0.1, momentum: 0.9, batch_size: 4 };
        let train = |widths: &[usize], activation| {
            let stream = Stream::seeded(2);
            let mut network = Network::initialise(widths, activation, Loss::CrossEntropy, &stream);
            network.train(x.view(), &labels, &settings, &stream.derive("order"), &mut go_on).unwrap();
            network.accuracy(x.view(), &labels)
        };
        for activation in ACTIVATIONS {
            assert!(train(&[2, 8, 2], activation) > 0.99, "{activation:?}");
        }
        assert!(train(&[2, 2], Activation::Tanh) < 0.8);
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_order_does_not() {
        let (x, labels) = noise(50, 6, 3, &Stream::seeded(1).derive("noise"));
        let bits = |seed| {
            let stream = Stream::seeded(1);
            let mut network =
                Network::initialise(&[6, 5, 3], Activation::Sigmoid, Loss::CrossEntropy, &stream);
            let settings = Training { epochs: 3, learning_rate: 0.1, momentum: 0.9, batch_size: 8 };
            network.train(x.view(), &labels, &settings, &Stream::seeded(seed), &mut go_on).unwrap();
            let all =
                network.layers.iter().flat_map(|l| l.weights.iter().chain(&l.bias).map(|w| w.to_bits()));
            all.collect::<Vec<u64>>()
        };
        assert_eq!(bits(1), bits(1));
        assert_ne!(bits(1), bits(2));
    }

    #[test]
    fn divergence_names_its_epoch() {
        let stream = Stream::seeded(4);
        let (x, labels) = noise(20, 3, 2, &stream.derive("noise"));
        let mut network = Network::initialise(&[3, 4, 2], Activation::Square, Loss::Squared, &stream);
        let settings = Training { epochs: 50, learning_rate: 10.0, momentum: 0.9, batch_size: 20 };
        let mut last = 0;
        let result = network.train(x.view(), &labels, &settings, &stream, &mut |epoch| {
            last = epoch.number;
            ControlFlow::Continue(())
        });
        let Err(NetworkError::Diverged { epoch, of: 50, .. }) = result else { panic!("{result:?}") };
        assert_eq!(epoch, last + 1);
        assert!(epoch < 50);
    }

    #[test]
    fn a_callback_can_stop_the_training() {
        let stream = Stream::seeded(4);
        let (x, labels) = noise(20, 3, 2, &stream.derive("noise"));
        let run = |epochs, stop_after| {
            let mut network = Network::initialise(&[3, 2], Activation::Relu, Loss::CrossEntropy, &stream);
            let settings = Training { epochs, learning_rate: 0.1, momentum: 0.0, batch_size: 5 };
            let mut stop = |epoch: Epoch| {
                if epoch.number == stop_after { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            network.train(x.view(), &labels, &settings, &stream, &mut stop).unwrap();
            network
        };
        assert_eq!(run(10, 2), run(2, 10));
        assert_ne!(run(10, 2), run(3, 10));
    }

    #[test]
    fn what_does_not_fit_is_refused_before_anything_changes() {
        let stream = Stream::seeded(0);
        let (x, labels) = noise(4, 3, 2, &stream);
        let good = Training { epochs: 1, learning_rate: 0.1, momentum: 0.0, batch_size: 2 };
        let attempt = |widths: &[usize], x: ArrayView2<f64>, labels: &[usize], settings: Training| {
            let mut network = Network::initialise(widths, Activation::Relu, Loss::CrossEntropy, &stream);
            let before = network.clone();
            let error = network.train(x, labels, &settings, &stream, &mut go_on).unwrap_err();
            assert_eq!(network, before);
            error
        };
        let w = &[3, 2];
        assert_eq!(attempt(&[3], x.view(), &labels, good), NetworkError::NoLayers);
        assert_eq!(attempt(w, x.slice(s![..0, ..]), &[], good), NetworkError::NoSamples);
        assert_eq!(
            attempt(&[5, 2], x.view(), &labels, good),
            NetworkError::Features { found: 3, expected: 5 }
        );
        assert_eq!(attempt(w, x.view(), &labels[..3], good), NetworkError::Labels { found: 3, samples: 4 });
        let label = NetworkError::Label { sample: 2, label: 2, classes: 2 };
        assert_eq!(attempt(w, x.view(), &[0, 1, 2, 2], good), label);
        for (settings, setting) in [
            (Training { learning_rate: 0.0, ..good }, "learning_rate"),
            (Training { learning_rate: f64::INFINITY, ..good }, "learning_rate"),
            (Training { momentum: 1.0, ..good }, "momentum"),
            (Training { momentum: -0.1, ..good }, "momentum"),
            (Training { batch_size: 0, ..good }, "batch_size"),
        ] {
            let error = attempt(w, x.view(), &labels, settings);
            assert!(matches!(error, NetworkError::Setting { name, .. } if name == setting), "{error}");
        }
    }
}
