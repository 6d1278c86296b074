//! One cell: prepare the network in plaintext, run the protocol, compare with the exact circuit.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Instant;

use ndarray::Array2;
use sha2::{Digest, Sha256};

use crate::backend::meter::Interrupt;
use crate::backend::{Meter, OperationCounts, Variant};
use crate::dataset::{self, Split, Store};
use crate::experiment::plan::Settings;
use crate::experiment::spec::Randomness;
use crate::math::stream::Stream;
use crate::network::{Network, argmax};
use crate::runner::conversation::{Conversation, converse};
use crate::runner::estimate::Forecast;
use crate::runner::{RunError, estimate};

pub use crate::runner::conversation::answer_variant;

/// Changes whenever a cell's meaning does, so that older cached cells are not taken for newer ones.
const FORMAT: u32 = 2;

/// The content key of a cell: what decides its record, hashed.
pub fn key(settings: &Settings, variant: Variant, repetition: usize) -> Result<String, RunError> {
    let entry = dataset::catalogue()?.get(&settings.data.name)?;
    let files: Vec<&str> = entry.files().iter().map(|file| file.sha256.as_str()).collect();
    let content = serde_json::json!({
        "format": FORMAT,
        "henn": env!("CARGO_PKG_VERSION"),
        "settings": settings,
        "files": files,
        "variant": variant,
        "repetition": repetition,
    });
    Ok(hex::encode(Sha256::digest(content.to_string())))
}

/// What every variant of a point and repetition shares.
pub struct Prepared {
    /// Scaled samples.
    pub split: Split,
    /// The network before training.
    pub initial: Network,
    /// The network after training in plaintext.
    pub trained: Network,
    /// Seconds that training took.
    pub training_seconds: f64,
    root: Stream,
}

impl Prepared {
    /// Loads, splits, scales and trains; the same bytes in every process that does it.
    pub fn new(
        settings: &Settings,
        repetition: usize,
        store: &Store,
        interrupt: &Interrupt,
    ) -> Result<Self, RunError> {
        let root = Stream::seeded(settings.seed).item(repetition as u64);
        let dataset = store.load(&settings.data.name)?;
        let split =
            dataset.split(settings.data.test_fraction, settings.data.scaling, &root.derive("split"))?;
        let system = &settings.system;
        let mut initial =
            Network::initialise(system.widths(), settings.activation, system.loss(), &root.derive("weights"));
        let mut trained = initial.clone();
        let start = Instant::now();
        trained.train(
            split.train.features.view(),
            &split.train.labels,
            &settings.training,
            &root.derive("training"),
            &mut |_| if interrupt.is_raised() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) },
        )?;
        if interrupt.is_raised() {
            return Err(RunError::Interrupted);
        }
        // From here on polynomials stand for the activation, where the experiment says so.
        initial.replace_activations(system.activation());
        trained.replace_activations(system.activation());
        Ok(Self { split, initial, trained, training_seconds: start.elapsed().as_secs_f64(), root })
    }

    /// The test samples that go through the protocol.
    pub fn workload(&self, settings: &Settings) -> dataset::Samples {
        let limit = settings.data.test_limit.unwrap_or(usize::MAX);
        self.split.test.take(limit.min(self.split.test.len()))
    }

    /// The training samples of the protocol, one an iteration, round and round in a seeded order.
    pub(super) fn training_order(&self, settings: &Settings) -> Vec<usize> {
        use rand::seq::SliceRandom;
        let mut order: Vec<usize> = (0..self.split.train.len()).collect();
        order.shuffle(&mut self.root.derive("protocol-training").rng());
        order.into_iter().cycle().take(settings.system.training_iterations()).collect()
    }

    /// The stream that session lengths come from.
    pub(super) fn sessions(&self) -> Stream {
        self.root.derive("sessions")
    }

    /// A party's private stream: its keys, encryptions and masks.
    pub(super) fn private(&self, settings: &Settings, party: &str) -> Result<Stream, RunError> {
        match settings.rng {
            Randomness::Seeded => Ok(self.root.derive(party)),
            Randomness::Os => Stream::from_os().map_err(RunError::Entropy),
        }
    }

    /// What the protocol will take at this cell.
    pub fn forecast(&self, settings: &Settings) -> Result<Forecast, RunError> {
        estimate::forecast(settings, self.workload(settings).len(), &self.sessions())
    }
}

/// How a cell is watched and stopped.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    /// Asks to stop.
    pub interrupt: Interrupt,
    /// Counts the client's operations.
    pub client: Meter,
    /// Counts the server's operations, where it runs in this process.
    pub server: Meter,
}

impl Watch {
    /// Meters at zero that listen to `interrupt`.
    pub fn new(interrupt: Interrupt) -> Self {
        Self { client: Meter::new(interrupt.clone()), server: Meter::new(interrupt.clone()), interrupt }
    }

    /// Both parties' counts so far.
    pub fn counts(&self) -> OperationCounts {
        self.client.counts().plus(&self.server.counts())
    }
}

/// What a computed cell yields.
#[derive(Debug, Clone, PartialEq)]
pub struct Computed {
    /// Results by name.
    pub metrics: BTreeMap<String, f64>,
    /// Counts by name.
    pub counts: BTreeMap<String, u64>,
    /// SHA-256 over outputs and opened integers.
    pub digest: String,
    /// SHA-256 over the channel's messages.
    pub transcript: String,
    /// Seconds by phase.
    pub seconds: BTreeMap<String, f64>,
    /// Whether a decrypted integer or a count differs from the exact circuit's.
    pub disagrees: bool,
}

/// Where the server is.
#[derive(Debug, Clone, Copy)]
pub enum Peer<'a> {
    /// In this process.
    Local,
    /// At an address; the bytes are the hello that tells it which cell to serve.
    Remote(&'a str, &'a [u8]),
}

/// Computes one cell.
pub fn compute(
    settings: &Settings,
    variant: Variant,
    prepared: &Prepared,
    watch: &Watch,
    peer: Peer<'_>,
) -> Result<Computed, RunError> {
    let run = |variant, watch: &Watch, peer| converse(settings, variant, prepared, watch, peer);
    let local = || Watch::new(watch.interrupt.clone());
    let reference = run(Variant::Plain, &local(), Peer::Local)?;
    let found = run(variant, watch, peer)?;
    let exact = match variant {
        Variant::Encrypted => Some(run(Variant::Simulated, &local(), Peer::Local)?),
        Variant::Plain | Variant::Simulated => None,
    };
    Ok(summarise(settings, prepared, &found, &reference, exact.as_ref()))
}

fn summarise(
    settings: &Settings,
    prepared: &Prepared,
    run: &Conversation,
    reference: &Conversation,
    exact: Option<&Conversation>,
) -> Computed {
    let workload = prepared.workload(settings);
    // Where the scheme has errors: those beside the exact circuit, with the bound that they keep.
    let errors: Option<(Vec<f64>, f64)> = exact.zip(run.error_bound).map(|(exact, bound)| {
        let both = run.outcome.outputs.iter().zip(&exact.outcome.outputs);
        // An error of nothing has no logarithm: the least that numbers near 1 can differ by stands for it.
        (both.map(|(a, b)| (a - b).abs().max(f64::EPSILON)).collect(), bound)
    });
    let greatest = |errors: &[f64]| errors.iter().copied().fold(0.0, f64::max);
    let published = run.published(errors.as_ref().map_or(0.0, |(errors, _)| greatest(errors)));
    let samples = workload.len() as f64;
    let plain_outputs = prepared.trained.outputs(workload.features.view());
    let labels: Vec<usize> = published.outer_iter().map(|row| argmax(row.iter().copied())).collect();
    let plain_labels = plain_outputs.outer_iter().map(|row| argmax(row.iter().copied()));
    let count = |flags: &mut dyn Iterator<Item = bool>| flags.filter(|flag| *flag).count() as f64;
    let losses = published.outer_iter().zip(&workload.labels);
    let loss: f64 = losses.map(|(row, &label)| settings.system.loss().value(row, label)).sum();

    let mut metrics = BTreeMap::new();
    let mut put = |name: &str, value: f64| metrics.insert(name.to_owned(), value);
    put("samples", samples);
    put("accuracy", count(&mut labels.iter().zip(&workload.labels).map(|(a, b)| a == b)) / samples);
    put("loss", loss / samples);
    put("disagreements", count(&mut labels.iter().copied().zip(plain_labels).map(|(a, b)| a != b)));
    put("max_abs_error", greatest_difference(published.iter(), plain_outputs.iter()));
    if settings.approximation.is_some() {
        let mut network = prepared.trained.clone();
        network.replace_activations(settings.activation);
        put("accuracy_exact", network.accuracy(workload.features.view(), &workload.labels));
    }
    let losses = &run.outcome.losses;
    if !losses.is_empty() {
        put("training_loss", losses.iter().sum::<f64>() / losses.len() as f64);
        put("training_max_abs_error", greatest_difference(run.weights.iter(), reference.weights.iter()));
    }
    for (name, value) in &run.parameters {
        put(name, *value);
    }
    let mut disagrees = false;
    if let Some(exact) = exact {
        let opened = unequal(&run.outcome.trace, &exact.outcome.trace);
        let weights = unequal(&run.integers, &exact.integers);
        put("mismatches", (opened + weights) as f64);
        disagrees =
            opened + weights > 0 || run.operations != exact.operations || run.traffic != exact.traffic;
        if let Some((errors, bound)) = &errors {
            // To a tenth of a bit: more would say something of the errors themselves.
            let tenth = |bits: f64| libm::rint(bits * 10.0) / 10.0;
            let logarithms = || errors.iter().map(|error| libm::log2(*error));
            put("log2_error_min", tenth(logarithms().fold(f64::INFINITY, f64::min)));
            put("log2_error_mean", tenth(logarithms().sum::<f64>() / errors.len() as f64));
            put("log2_error_max", tenth(libm::log2(greatest(errors))));
            put("log2_error_bound", libm::log2(*bound));
            // Not a number is above it.
            disagrees |= errors.iter().any(|error| !matches!(error, error if error <= bound));
        }
    }

    let mut counts = BTreeMap::new();
    for (name, value) in run.traffic.by_name() {
        counts.insert(name.to_owned(), value);
    }
    counts.insert("refreshes".to_owned(), 0);
    counts.extend(run.operations.by_name());
    let seconds = BTreeMap::from(
        [
            ("seconds", run.keys_seconds + run.inference_seconds + run.training_seconds),
            ("seconds_keys", run.keys_seconds),
            ("seconds_inference", run.inference_seconds),
            ("seconds_protocol_training", run.training_seconds),
            ("seconds_training", prepared.training_seconds),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    let digest = digest(run, &published);
    Computed { metrics, counts, digest, transcript: run.transcript.clone(), seconds, disagrees }
}

fn greatest_difference<'a>(left: impl Iterator<Item = &'a f64>, right: impl Iterator<Item = &'a f64>) -> f64 {
    left.zip(right).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// Places at which two lists differ, one that is missing included.
fn unequal<T: PartialEq>(left: &[T], right: &[T]) -> usize {
    left.iter().zip(right).filter(|(a, b)| a != b).count() + left.len().abs_diff(right.len())
}

fn digest(run: &Conversation, published: &Array2<f64>) -> String {
    let mut hash = Sha256::new();
    for number in published.iter().chain(&run.outcome.losses).chain(&run.weights) {
        hash.update(number.to_le_bytes());
    }
    for integer in &run.outcome.trace {
        hash.update(integer.to_string());
        hash.update(b";");
    }
    for integer in &run.integers {
        hash.update(integer);
        hash.update(b";");
    }
    hex::encode(hash.finalize())
}
