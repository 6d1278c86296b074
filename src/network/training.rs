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
mod tests;
