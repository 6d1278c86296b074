//! Trained networks on disk, by what they were trained from; and trainings that go on where they were interrupted.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::backend::meter::Interrupt;
use crate::experiment::plan::Settings;
use crate::math::stream::Stream;
use crate::network::{Epoch, Network, NetworkError, Real, Report, Score, Stop, Trainer, Training};
use crate::runner::RunError;
use crate::runner::cache::build;
use crate::runner::file::write_atomic;
use crate::runner::progress::{Progress, human};

/// A training that is shorter leaves nothing behind, and is not spoken of.
const LONG: Duration = Duration::from_secs(10);

/// Where trained networks are kept, and how a training is watched.
#[derive(Debug, Clone)]
pub struct Models<'a> {
    directory: Option<PathBuf>,
    interrupt: Interrupt,
    progress: Option<&'a Progress>,
    /// What decides a network, apart from its architecture, its training and its stream.
    content: String,
}

/// A trained network and its training.
pub struct Trained<T> {
    /// The network.
    pub network: Network<T>,
    /// How long it took, in epochs.
    pub report: Report,
    /// The share of training samples that were right in the last epoch.
    pub accuracy: f64,
    /// The same in seconds.
    pub seconds: f64,
}

impl<T> Trained<T> {
    /// A network that is not trained here.
    pub fn untouched(network: Network<T>) -> Self {
        let report = Report { epochs: 0, kept: 0, stop: Stop::Epochs };
        Self { network, report, accuracy: f64::NAN, seconds: 0.0 }
    }
}

/// A training, epoch by epoch.
pub struct Curve {
    /// Of the network on samples that it is not trained on: before the training, and after every epoch whose numbers are finite.
    pub scores: Vec<Score>,
    /// The epoch, counted from 1, in which loss or weights left the finite numbers, if they did: nothing comes after it.
    pub diverged: Option<usize>,
}

/// What stands beside a network's file.
#[derive(Serialize, Deserialize)]
struct Card {
    build: String,
    epochs: usize,
    kept: usize,
    stop: Stop,
    accuracy: f64,
    seconds: f64,
    sha256: String,
}

impl<'a> Models<'a> {
    /// Below a directory of results.
    pub fn new(results: &Path, interrupt: Interrupt, progress: &'a Progress) -> Self {
        let directory = Some(results.join(".models"));
        Self { directory, interrupt, progress: Some(progress), content: String::new() }
    }

    /// Nothing is kept.
    pub fn none(interrupt: Interrupt) -> Self {
        Self { directory: None, interrupt, progress: None, content: String::new() }
    }

    /// Those of a cell's data, by the digest of their files.
    #[must_use]
    pub fn of(&self, settings: &Settings, repetition: usize, digest: &str) -> Self {
        let data = &settings.data;
        let content = serde_json::json!({
            "data": digest,
            "split": (data.test_fraction, data.scaling, data.train_share, data.train_limit),
            "seed": settings.seed,
            "repetition": repetition,
        });
        Self { content: content.to_string(), ..self.clone() }
    }

    /// Trains on `features` (samples x inputs) and their labels, with the root's stream of that purpose, or reads what has been trained so before.
    ///
    /// # Errors
    /// What training refuses, and [`RunError::Interrupted`]: what is done until then is kept.
    pub fn train<T: Real>(
        &self,
        network: Network<T>,
        (features, labels): (ArrayView2<'_, T>, &[usize]),
        training: &Training,
        (root, purpose): (&Stream, &str),
    ) -> Result<Trained<T>, RunError> {
        let stream = &root.derive(purpose);
        let path = self.path(&network, training, purpose);
        if let Some(found) = path.as_deref().and_then(read) {
            return Ok(found);
        }
        let mut trainer = self.resumed(path.as_deref(), network, training)?;
        let (start, done_before) = (Instant::now(), trainer.epochs());
        let (mut said, mut kept) = (start, start);
        let mut accuracy = f64::NAN;
        loop {
            let interrupt = &self.interrupt;
            let go_on = &mut |_| {
                if interrupt.is_raised() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let Some(epoch) = trainer.epoch(features, labels, stream, go_on)? else { break };
            accuracy = epoch.accuracy;
            if said.elapsed() > LONG {
                said = Instant::now();
                self.say(&epoch, start.elapsed(), epoch.number - done_before);
            }
            if let Some(path) = &path
                && (kept.elapsed() > LONG || (interrupt.is_raised() && start.elapsed() > LONG))
            {
                kept = Instant::now();
                write_atomic(&path.with_extension("checkpoint"), &trainer.checkpoint())?;
            }
            if interrupt.is_raised() {
                break;
            }
        }
        if self.interrupt.is_raised() {
            return Err(RunError::Interrupted);
        }
        let (network, report) = trainer.finish();
        let trained = Trained { network, report, accuracy, seconds: start.elapsed().as_secs_f64() };
        if let Some(path) = &path {
            keep(path, &trained)?;
        }
        Ok(trained)
    }

    /// Trains like [`Models::train`] and looks at the network after every epoch on samples that are held out. A training that diverges ends
    /// with the network before that epoch. Nothing is kept.
    ///
    /// # Errors
    /// What training refuses, divergence apart, and [`RunError::Interrupted`].
    pub fn follow<T: Real>(
        &self,
        network: Network<T>,
        (features, labels): (ArrayView2<'_, T>, &[usize]),
        (test, test_labels): (ArrayView2<'_, T>, &[usize]),
        training: &Training,
        root: &Stream,
    ) -> Result<(Trained<T>, Curve), RunError> {
        let stream = &root.derive("training");
        let (start, mut said) = (Instant::now(), Instant::now());
        let mut trainer = Trainer::new(network, *training)?;
        let mut curve = Curve { scores: vec![trainer.network().score(test, test_labels)], diverged: None };
        let mut accuracy = f64::NAN;
        let mut before = trainer.network().clone();
        loop {
            let interrupt = &self.interrupt;
            let go_on = &mut |_| {
                if interrupt.is_raised() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let epoch = match trainer.epoch(features, labels, stream, go_on) {
                Ok(Some(epoch)) => epoch,
                Ok(None) => break,
                Err(NetworkError::Diverged { epoch, .. }) => {
                    curve.diverged = Some(epoch);
                    break;
                }
                Err(error) => return Err(error.into()),
            };
            let score = trainer.network().score(test, test_labels);
            // Finite weights can still be too large for the sums of their products.
            if !score.loss.is_finite() {
                curve.diverged = Some(epoch.number);
                break;
            }
            curve.scores.push(score);
            before.clone_from(trainer.network());
            accuracy = epoch.accuracy;
            if said.elapsed() > LONG {
                said = Instant::now();
                self.say(&epoch, start.elapsed(), epoch.number);
            }
        }
        if self.interrupt.is_raised() {
            return Err(RunError::Interrupted);
        }
        let (mut network, mut report) = trainer.finish();
        if let Some(epoch) = curve.diverged {
            network = before;
            report.epochs = epoch - 1;
            report.kept = epoch - 1;
        }
        let seconds = start.elapsed().as_secs_f64();
        Ok((Trained { network, report, accuracy, seconds }, curve))
    }

    fn say(&self, epoch: &Epoch, elapsed: Duration, done: usize) {
        let Some(progress) = self.progress else { return };
        let Epoch { number, of, loss, accuracy, .. } = epoch;
        let left = elapsed.as_secs_f64() / done.max(1) as f64 * (of - number) as f64;
        progress.note(&format!(
            "  training: epoch {number} of {of}, loss {loss:.4}, accuracy {accuracy:.4}, at most {} left",
            human(left)
        ));
    }

    /// A training that goes on where it was interrupted, or a new one.
    fn resumed<T: Real>(
        &self,
        path: Option<&Path>,
        network: Network<T>,
        training: &Training,
    ) -> Result<Trainer<T>, NetworkError> {
        if let Some(bytes) = path.and_then(|path| fs::read(path.with_extension("checkpoint")).ok())
            && let Ok(trainer) = Trainer::resume(network.clone(), *training, &bytes)
        {
            if let Some(progress) = self.progress {
                progress.note(&format!("  training goes on after epoch {}", trainer.epochs()));
            }
            return Ok(trainer);
        }
        Trainer::new(network, *training)
    }

    /// The file of a network; none where nothing is kept.
    fn path<T: Real>(&self, network: &Network<T>, training: &Training, purpose: &str) -> Option<PathBuf> {
        let directory = self.directory.as_ref()?;
        let mut hash = Sha256::new();
        let settings = serde_json::to_string(training).unwrap_or_default();
        for part in [build(), env!("CARGO_PKG_VERSION"), &self.content, &settings, purpose] {
            hash.update(part);
            hash.update([0]);
        }
        // The network before training: its architecture and its numbers.
        hash.update(network.export());
        Some(directory.join(format!("{}.safetensors", hex::encode(hash.finalize()))))
    }
}

/// A network that has been trained before, if its file is whole.
fn read<T: Real>(path: &Path) -> Option<Trained<T>> {
    let card: Card = serde_json::from_slice(&fs::read(path.with_extension("json")).ok()?).ok()?;
    let bytes = fs::read(path).ok()?;
    if card.build != build() || card.sha256 != hex::encode(Sha256::digest(&bytes)) {
        return None;
    }
    Some(Trained {
        network: Network::import(&bytes).ok()?,
        report: Report { epochs: card.epochs, kept: card.kept, stop: card.stop },
        accuracy: card.accuracy,
        seconds: card.seconds,
    })
}

fn keep<T: Real>(path: &Path, trained: &Trained<T>) -> Result<(), RunError> {
    let bytes = trained.network.export();
    let card = Card {
        build: build().to_owned(),
        epochs: trained.report.epochs,
        kept: trained.report.kept,
        stop: trained.report.stop,
        accuracy: trained.accuracy,
        seconds: trained.seconds,
        sha256: hex::encode(Sha256::digest(&bytes)),
    };
    write_atomic(path, &bytes)?;
    let json = serde_json::to_vec(&card).map_err(|error| RunError::file(path)(error.into()))?;
    write_atomic(&path.with_extension("json"), &json)?;
    // Gone already where there was none.
    drop(fs::remove_file(path.with_extension("checkpoint")));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Activation, Loss};
    use ndarray::array;

    #[test]
    fn a_network_is_trained_once_and_a_broken_file_is_no_network() {
        let directory = tempfile::tempdir().unwrap();
        let progress = Progress::new(true);
        let models = Models::new(directory.path(), Interrupt::default(), &progress);
        let features = array![[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]];
        let labels = [0, 1, 1, 0];
        let root = Stream::seeded(1);
        let network = Network::initialise(&[2, 3, 2], Activation::Tanh, Loss::CrossEntropy, &root);
        let train = |epochs, purpose| {
            let training = Training { epochs, ..Training::default() };
            models.train(network.clone(), (features.view(), &labels), &training, (&root, purpose)).unwrap()
        };
        let files = || fs::read_dir(directory.path().join(".models")).unwrap().count();
        let first = train(5, "training");
        assert_eq!(files(), 2);
        let again = train(5, "training");
        // Read, not trained: even the seconds are the same.
        assert_eq!((&again.network, again.seconds.to_bits()), (&first.network, first.seconds.to_bits()));
        assert_eq!((again.report, again.accuracy.to_bits()), (first.report, first.accuracy.to_bits()));
        assert_ne!(train(6, "training").network, first.network);
        assert_ne!(train(5, "other").network, first.network);
        assert_eq!(files(), 6);
        for entry in fs::read_dir(directory.path().join(".models")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "safetensors") {
                let mut bytes = fs::read(&path).unwrap();
                *bytes.last_mut().unwrap() ^= 1;
                write_atomic(&path, &bytes).unwrap();
            }
        }
        assert_eq!(train(5, "training").network, first.network);
    }

    #[test]
    fn a_training_that_is_followed_is_the_same_and_one_that_diverges_ends_with_the_network_before() {
        let models = Models::none(Interrupt::default());
        let features = array![[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]];
        let labels = [0, 1, 1, 0];
        let root = Stream::seeded(1);
        let follow = |activation, learning_rate| {
            let network = Network::initialise(&[2, 3, 2], activation, Loss::Squared, &root);
            let optimiser = crate::network::Optimiser::sgd(learning_rate, 0.0);
            let training = Training { epochs: 8, optimiser, ..Training::default() };
            let samples = (features.view(), &labels[..]);
            let kept = models.follow(network.clone(), samples, samples, &training, &root).unwrap();
            (kept, models.train(network, samples, &training, (&root, "training")))
        };
        let ((trained, curve), alone) = follow(Activation::Tanh, 0.1);
        assert_eq!((curve.scores.len(), curve.diverged), (9, None));
        assert_eq!(trained.network, alone.unwrap().network);
        assert_eq!(curve.scores.last(), Some(&trained.network.score(features.view(), &labels)));

        let ((trained, curve), alone) = follow(Activation::Square, 10.0);
        assert!(matches!(alone, Err(RunError::Network(NetworkError::Diverged { .. }))));
        let epoch = curve.diverged.unwrap();
        assert_eq!((trained.report.epochs, curve.scores.len()), (epoch - 1, epoch));
        assert_eq!(curve.scores.last(), Some(&trained.network.score(features.view(), &labels)));
        assert!(curve.scores.iter().all(|score| score.loss.is_finite()));
    }
}
