//! Training: epochs over shuffled batches, or iterations over all samples.

use super::{
    Network, NetworkError, backpropagation,
    conjugate_gradient::{self, Evaluation},
    layer::{self, Mode, Part},
    optimiser::State,
    real::Real,
    settings::{Optimiser, Training},
};
use crate::math::stream::Stream;
use ndarray::{ArrayView2, Axis};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;

/// Samples whose gradients are taken together where all samples make a step.
const TOGETHER: usize = 2048;

/// Loss and accuracy on some samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// Mean loss per sample.
    pub loss: f64,
    /// Share of samples whose predicted class is their label, from 0 to 1.
    pub accuracy: f64,
}

/// What has happened when an epoch is over.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Epoch {
    /// This epoch, counted from 1.
    pub number: usize,
    /// Number of epochs asked for.
    pub of: usize,
    /// Mean loss per sample over the epoch, each sample's taken just before the step that uses it; penalty included.
    pub loss: f64,
    /// Share of samples that were classified right, just before the step that uses them.
    pub accuracy: f64,
    /// On the samples that were held out, after the epoch.
    pub validation: Option<Score>,
}

/// How far an epoch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// Number of epochs asked for.
    pub of: usize,
    /// Samples of it that are done.
    pub done: usize,
    /// Samples of an epoch.
    pub samples: usize,
}

/// Why a training ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// All epochs are done.
    Epochs,
    /// The held-out samples got worse for too long.
    Validation,
    /// The gradient has become shorter than asked for.
    Gradient,
    /// A callback said so.
    Callback,
}

/// What a training came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Report {
    /// Epochs, or iterations, that were done.
    pub epochs: usize,
    /// Why there are not more.
    pub stop: Stop,
    /// The epoch whose weights the network has: the best one on held-out samples, otherwise the last.
    pub kept: usize,
}

/// The best network on held-out samples so far.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Best<T> {
    pub(super) loss: f64,
    pub(super) epoch: usize,
    /// Epochs since then whose loss was above.
    pub(super) failures: usize,
    pub(super) network: Network<T>,
}

/// A training in progress: the network and everything that the next epoch depends on, samples and stream aside.
#[derive(Debug, Clone, PartialEq)]
pub struct Trainer<T = f64> {
    pub(super) network: Network<T>,
    pub(super) settings: Training,
    pub(super) state: State<T>,
    pub(super) epochs: usize,
    pub(super) best: Option<Best<T>>,
    pub(super) stop: Option<Stop>,
}

impl<T: Real> Trainer<T> {
    /// Before the first epoch.
    ///
    /// # Errors
    /// When a setting is out of range, or the network has no layers.
    pub fn new(network: Network<T>, settings: Training) -> Result<Self, NetworkError> {
        settings.check()?;
        if network.layers.is_empty() {
            return Err(NetworkError::NoLayers);
        }
        let state = State::new(settings.optimiser, network.parameters());
        Ok(Self { network, settings, state, epochs: 0, best: None, stop: None })
    }

    /// The network as it is now.
    pub const fn network(&self) -> &Network<T> {
        &self.network
    }

    /// Epochs done.
    pub const fn epochs(&self) -> usize {
        self.epochs
    }

    /// The network and what the training came to; [`Stop::Callback`] when it was not over.
    pub fn finish(self) -> (Network<T>, Report) {
        let (network, kept) = match self.best {
            Some(best) => (best.network, best.epoch),
            None => (self.network, self.epochs),
        };
        (network, Report { epochs: self.epochs, stop: self.stop.unwrap_or(Stop::Callback), kept })
    }

    /// One more epoch on `features` (samples x inputs) and `labels`, one per sample; `None` when the training is over, or
    /// when `on_batch`, which is called after each batch, broke the epoch off: the trainer is then between epochs no
    /// more, and only a checkpoint can be continued.
    ///
    /// Epoch `n` visits the samples in an order drawn from `stream.item(n)`, in batches.
    ///
    /// # Errors
    /// When features or labels do not fit, before anything is changed, or when the training diverges.
    pub fn epoch(
        &mut self,
        features: ArrayView2<T>,
        labels: &[usize],
        stream: &Stream,
        on_batch: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Option<Epoch>, NetworkError> {
        self.network.check(features, labels)?;
        if self.stop.is_none() && self.epochs >= self.settings.epochs {
            self.stop = Some(Stop::Epochs);
        }
        if self.stop.is_some() {
            return Ok(None);
        }
        let (training, held_out) = self.split(labels.len(), stream)?;
        let (number, of) = (self.epochs + 1, self.settings.epochs);
        let step = match self.settings.optimiser {
            Optimiser::ScaledConjugateGradient { sigma, lambda, least_gradient } => {
                Some(self.iterate(features, labels, &training, stream, (sigma, lambda, least_gradient)))
            }
            _ => self.descend(features, labels, training.clone(), stream, on_batch),
        };
        let Some((loss, right)) = step else { return Ok(None) };
        let samples = training.len() as f64;
        let loss = loss / samples;
        if !(loss.is_finite() && self.network.is_finite()) {
            return Err(NetworkError::Diverged { epoch: number, of, loss });
        }
        self.epochs = number;
        let validation = (!held_out.is_empty()).then(|| {
            let labels: Vec<usize> = held_out.iter().map(|sample| labels[*sample]).collect();
            self.network.score(features.select(Axis(0), &held_out).view(), &labels)
        });
        if let (Some(score), Some(settings)) = (validation, self.settings.validation) {
            self.judge(score.loss, settings.patience);
        }
        Ok(Some(Epoch { number, of, loss, accuracy: right as f64 / samples, validation }))
    }

    /// The samples to train on, in order, and those that are held out.
    fn split(&self, samples: usize, stream: &Stream) -> Result<(Vec<usize>, Vec<usize>), NetworkError> {
        let mut all: Vec<usize> = (0..samples).collect();
        let Some(validation) = self.settings.validation else { return Ok((all, Vec::new())) };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of the samples")]
        let count = (validation.share * samples as f64).round() as usize;
        if count == 0 || count >= samples {
            let (value, permitted) = (validation.share, "a share that leaves samples on both sides");
            return Err(NetworkError::Setting { name: "validation.share", value, permitted });
        }
        all.shuffle(&mut stream.derive("validation").rng());
        let mut training = all.split_off(count);
        training.sort_unstable();
        Ok((training, all))
    }

    /// An epoch in batches: sum of losses, and samples that were right.
    fn descend(
        &mut self,
        features: ArrayView2<T>,
        labels: &[usize],
        mut order: Vec<usize>,
        stream: &Stream,
        on_batch: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Option<(f64, usize)> {
        let (number, of) = (self.epochs + 1, self.settings.epochs);
        let settings = self.settings;
        let samples = order.len();
        let stream = stream.item(number as u64);
        order.shuffle(&mut stream.rng());
        let (dropout, augmentation) = (stream.derive("dropout"), stream.derive("augmentation"));
        let mut gradient = vec![T::zero(); self.network.parameters()];
        let batches = samples.div_ceil(settings.batch_size);
        let (mut loss, mut right, mut done) = (0.0, 0, 0);
        for (index, batch) in order.chunks(settings.batch_size).enumerate() {
            let values =
                backpropagation::gather(features, batch, self.network.input, &settings, &augmentation);
            let labels: Vec<usize> = batch.iter().map(|sample| labels[*sample]).collect();
            let mode = Mode { stream: &dropout.item(index as u64), penalty: settings.penalty };
            let outcome =
                self.network.backpropagate(values, &labels, settings.label_smoothing, &mode, &mut gradient);
            loss += outcome.loss;
            right += outcome.right;
            let factor = settings.schedule.factor((number - 1) * batches + index, of * batches);
            self.state.step(&mut self.network, &gradient, &settings, factor);
            layer::follow(&mut self.network.layers, &outcome.tape);
            done += batch.len();
            if on_batch(Progress { epoch: number, of, done, samples }).is_break() {
                self.stop = Some(Stop::Callback);
                return None;
            }
        }
        Some((loss, right))
    }

    /// An iteration over all samples.
    fn iterate(
        &mut self,
        features: ArrayView2<T>,
        labels: &[usize],
        training: &[usize],
        stream: &Stream,
        (sigma, lambda, least_gradient): (f64, f64, f64),
    ) -> (f64, usize) {
        let selected = (training.len() < labels.len()).then(|| features.select(Axis(0), training));
        let features = selected.as_ref().map_or(features, |selected| selected.view());
        let labels: Vec<usize> = training.iter().map(|sample| labels[*sample]).collect();
        // The same masks and images every time: otherwise the loss would not be one function.
        let (dropout, changes) = (stream.derive("dropout"), stream.derive("augmentation"));
        let mut moved = self.network.clone();
        let settings = self.settings;
        let mut parameters = self.network.flat();
        let samples = labels.len();
        let mut evaluate = |at: &[T]| {
            moved.set_flat(at);
            let mut total = Evaluation { loss: 0.0, right: 0, gradient: vec![T::zero(); at.len()] };
            let mut gradient = vec![T::zero(); at.len()];
            for start in (0..samples).step_by(TOGETHER) {
                let end = samples.min(start + TOGETHER);
                let indices: Vec<usize> = (start..end).collect();
                let values = backpropagation::gather(features, &indices, moved.input, &settings, &changes);
                let mode = Mode { stream: &dropout.item(start as u64), penalty: settings.penalty };
                let labels = &labels[start..end];
                let outcome =
                    moved.backpropagate(values, labels, settings.label_smoothing, &mode, &mut gradient);
                total.loss += outcome.loss;
                total.right += outcome.right;
                let share = T::from_f64((end - start) as f64 / samples as f64);
                total.gradient.iter_mut().zip(&gradient).for_each(|(sum, g)| *sum += share * *g);
                layer::follow(&mut moved.layers, &outcome.tape);
            }
            total.loss /= samples as f64;
            decay(&mut moved, settings.weight_decay, &mut total);
            total
        };
        let done =
            conjugate_gradient::iterate(&mut parameters, &mut self.state, (sigma, lambda), &mut evaluate);
        // Running averages of the last evaluation, parameters of the last success.
        moved.set_flat(&parameters);
        self.network = moved;
        if done.gradient < least_gradient {
            self.stop = Some(Stop::Gradient);
        }
        (done.loss * samples as f64, done.right)
    }

    /// Remembers the best network on held-out samples, and stops when it has been better for too long.
    fn judge(&mut self, loss: f64, patience: usize) {
        match &mut self.best {
            // NaN is never better.
            Some(best) if loss.is_nan() || loss >= best.loss => {
                best.failures += usize::from(loss.is_nan() || loss > best.loss);
                if best.failures >= patience {
                    self.stop = Some(Stop::Validation);
                }
            }
            best => {
                *best = Some(Best { loss, epoch: self.epochs, failures: 0, network: self.network.clone() });
            }
        }
    }
}

/// Adds weight decay to loss and gradient.
fn decay<T: Real>(network: &mut Network<T>, decay: f64, total: &mut Evaluation<T>) {
    if decay > 0.0 {
        let mut at = 0;
        layer::visit_mut(&mut network.layers, "", &mut |_, part, _, values| {
            if part == Part::Average {
                return;
            }
            let gradient = &mut total.gradient[at..at + values.len()];
            at += values.len();
            if part == Part::Weights {
                for (g, w) in gradient.iter_mut().zip(values) {
                    *g += T::from_f64(decay) * *w;
                    total.loss += 0.5 * decay * w.wide() * w.wide();
                }
            }
        });
    }
}

impl<T: Real> Network<T> {
    /// Trains in place on `features` (samples x inputs) and `labels`, one per sample, see [`Trainer::epoch`].
    /// `on_epoch` is called after each epoch and may stop the training, which is not an error.
    ///
    /// # Errors
    /// When features, labels or settings do not fit, or when the training diverges; the network is then as it was.
    pub fn train(
        &mut self,
        features: ArrayView2<T>,
        labels: &[usize],
        settings: &Training,
        stream: &Stream,
        on_epoch: &mut dyn FnMut(Epoch) -> ControlFlow<()>,
    ) -> Result<Report, NetworkError> {
        settings.check()?;
        self.check(features, labels)?;
        let mut trainer = Trainer::new(self.clone(), *settings)?;
        while let Some(epoch) = trainer.epoch(features, labels, stream, &mut |_| ControlFlow::Continue(()))? {
            if on_epoch(epoch).is_break() {
                break;
            }
        }
        let report;
        (*self, report) = trainer.finish();
        Ok(report)
    }

    fn check(&self, features: ArrayView2<T>, labels: &[usize]) -> Result<(), NetworkError> {
        let Some(last) = self.layers.len().checked_sub(1) else {
            return Err(NetworkError::NoLayers);
        };
        let (samples, found) = features.dim();
        if samples == 0 {
            return Err(NetworkError::NoSamples);
        }
        let expected = self.input.len();
        if found != expected {
            return Err(NetworkError::Features { found, expected });
        }
        if labels.len() != samples {
            return Err(NetworkError::Labels { found: labels.len(), samples });
        }
        let output = self.output_shape().filter(|shape| shape.positions() == 1);
        let Some(output) = output else {
            let reason = "layers that fit each other and make plain features are needed";
            return Err(NetworkError::Architecture { layer: last + 1, input: self.input, reason });
        };
        let classes = output.channels;
        match labels.iter().enumerate().find(|&(_, &label)| label >= classes) {
            Some((sample, &label)) => Err(NetworkError::Label { sample, label, classes }),
            None => Ok(()),
        }
    }

    fn is_finite(&mut self) -> bool {
        let mut finite = true;
        layer::visit_mut(&mut self.layers, "", &mut |_, _, _, values| {
            finite &= values.iter().all(|value| value.is_finite());
        });
        finite
    }

    /// All parameters one after another, as in [`Network::gradients`].
    pub(super) fn flat(&mut self) -> Vec<T> {
        let mut flat = Vec::with_capacity(self.parameters());
        layer::visit_mut(&mut self.layers, "", &mut |_, part, _, values| {
            if part != Part::Average {
                flat.extend_from_slice(values);
            }
        });
        flat
    }

    /// The way back from [`Network::flat`].
    pub(super) fn set_flat(&mut self, mut flat: &[T]) {
        layer::visit_mut(&mut self.layers, "", &mut |_, part, _, values| {
            if part != Part::Average && flat.len() >= values.len() {
                let (own, rest) = flat.split_at(values.len());
                values.copy_from_slice(own);
                flat = rest;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{
        Activation, Dense, Loss, Optimiser, Schedule, Validation,
        backpropagation::tests::{LOSSES, noise},
    };

    const ACTIVATIONS: [Activation; 4] =
        [Activation::Sigmoid, Activation::Tanh, Activation::Relu, Activation::Square];

    fn sgd(epochs: usize, learning_rate: f64, momentum: f64, batch_size: usize) -> Training {
        Training {
            epochs,
            batch_size,
            optimiser: Optimiser::sgd(learning_rate, momentum),
            ..Training::default()
        }
    }
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
        let settings = sgd(1, 0.25, 0.0, 8);
        after.train(x.view(), &labels, &settings, &stream, &mut go_on).unwrap();
        let mut expected = before.clone();
        expected.move_by(-0.25, &gradients);
        assert_eq!(after, expected);
        assert_ne!(after, before);
    }

    #[test]
    fn momentum_repeats_a_share_of_the_last_step() {
        // One weight, no sample can be wrong about the sums: y = w x + b with x = 1, t = 1, so both have gradient y - 1.
        let layer = Dense { weights: array![[0.0]], bias: array![0.0] };
        let mut network = Network::of_dense(vec![layer], Activation::Relu, Loss::Squared);
        let settings = sgd(2, 0.125, 0.5, 1);
        network.train(array![[1.0]].view(), &[0], &settings, &Stream::seeded(0), &mut go_on).unwrap();
        // Step 1: gradient -1, v = 1/8, w = 1/8. Step 2: y = 1/4, gradient -3/4, v = 1/16 + 3/32, w = 9/32.
        assert_eq!(
            network.dense_layers().next(),
            Some(&Dense { weights: array![[0.28125]], bias: array![0.28125] })
        );
    }

    #[test]
    fn a_short_last_batch_is_averaged_over_its_own_samples() {
        // Three samples that are all alike: every batch has the same mean gradient, whatever its size.
        let x = array![[1.0], [1.0], [1.0]];
        let run = |epochs, batch_size| {
            let layer = Dense { weights: array![[0.0]], bias: array![0.0] };
            let mut network = Network::of_dense(vec![layer], Activation::Relu, Loss::Squared);
            let settings = sgd(epochs, 0.125, 0.0, batch_size);
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
            let settings = sgd(60, 0.1, 0.9, 16);
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
        let settings = sgd(1500, 0.1, 0.9, 4);
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
            let settings = sgd(3, 0.1, 0.9, 8);
            network.train(x.view(), &labels, &settings, &Stream::seeded(seed), &mut go_on).unwrap();
            let all =
                network.dense_layers().flat_map(|l| l.weights.iter().chain(&l.bias).map(|w| w.to_bits()));
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
        let settings = sgd(50, 10.0, 0.9, 20);
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
            let settings = sgd(epochs, 0.1, 0.0, 5);
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
        let good = sgd(1, 0.1, 0.0, 2);
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
        let with = |optimiser| Training { optimiser, ..good };
        for (settings, setting) in [
            (with(Optimiser::sgd(0.0, 0.0)), "learning_rate"),
            (with(Optimiser::sgd(f64::INFINITY, 0.0)), "learning_rate"),
            (with(Optimiser::sgd(0.1, 1.0)), "momentum"),
            (with(Optimiser::sgd(0.1, -0.1)), "momentum"),
            (with(Optimiser::adam(-1.0)), "learning_rate"),
            (Training { batch_size: 0, ..good }, "batch_size"),
            (Training { weight_decay: f64::NAN, ..good }, "weight_decay"),
            (Training { label_smoothing: 1.0, ..good }, "label_smoothing"),
            (Training { penalty: -1.0, ..good }, "penalty"),
            (Training { schedule: Schedule::OneCycle { rise: 2.0 }, ..good }, "rise"),
            (
                Training { validation: Some(Validation { share: 0.1, patience: 1 }), ..good },
                "validation.share",
            ),
            (
                Training { validation: Some(Validation { share: 0.5, patience: 0 }), ..good },
                "validation.patience",
            ),
        ] {
            let error = attempt(w, x.view(), &labels, settings);
            assert!(matches!(error, NetworkError::Setting { name, .. } if name == setting), "{error}");
        }
    }
}
