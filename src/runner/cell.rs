//! One cell: prepare the network in plaintext, run the protocol, compare with the exact circuit.

use std::collections::BTreeMap;

use ndarray::Array2;
use sha2::{Digest, Sha256};

use crate::approximation;
use crate::backend::Variant;
use crate::dataset::{self, Store};
use crate::experiment::plan::{System, Task};
use crate::experiment::spec::Randomness;
use crate::network::argmax;
use crate::protocol::refresh;
use crate::protocol::tls::Remote;
use crate::protocol::transcript::Traffic;
use crate::runner::conversation::{Conversation, converse};
use crate::runner::record::Picture;
use crate::runner::watch::Watch;
use crate::runner::{RunError, prepared};

pub use crate::runner::conversation::answer_variant;
pub use crate::runner::prepared::Prepared;

/// Changes whenever a cell's meaning does, so that older cached cells are not taken for newer ones.
const FORMAT: u32 = 4;

/// The content key of a cell: what decides its record, hashed.
pub fn key(task: &Task, variant: Variant, repetition: usize, store: &Store) -> Result<String, RunError> {
    let files = match task.data() {
        Some(name) => store.digests(dataset::catalogue()?.get(name)?)?,
        None => Vec::new(),
    };
    let content = serde_json::json!({
        "format": FORMAT,
        "henn": env!("CARGO_PKG_VERSION"),
        "settings": task,
        "files": files,
        "variant": variant,
        "repetition": repetition,
    });
    Ok(hex::encode(Sha256::digest(content.to_string())))
}

/// What a computed cell yields.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Computed {
    /// Results by name.
    pub metrics: BTreeMap<String, f64>,
    /// Results by epoch.
    pub curves: BTreeMap<String, Vec<f64>>,
    /// Pictures of an attack.
    pub pictures: Vec<Picture>,
    /// Counts by name.
    pub counts: BTreeMap<String, u64>,
    /// SHA-256 over outputs and opened integers.
    pub digest: String,
    /// A chain of hashes over the channel's messages, where there is one and keys come from the seed.
    pub transcript: Option<String>,
    /// Seconds by phase.
    pub seconds: BTreeMap<String, f64>,
    /// Whether a decrypted integer or a count differs from the exact circuit's.
    pub disagrees: bool,
    /// What a reader of the numbers must know.
    pub notes: Vec<String>,
}

/// A data set as it is found: how many samples, features and classes.
pub fn describe(name: &str, store: &Store) -> Result<Computed, RunError> {
    let dataset = store.load(name)?;
    let classes = dataset.class_counts();
    let fewest = classes.iter().copied().min().unwrap_or(0);
    let metrics = [
        ("instances", dataset.len() as f64),
        ("features", dataset.features.ncols() as f64),
        ("classes", dataset.classes as f64),
        ("test_instances", dataset.test_rows.unwrap_or(0) as f64),
        ("smallest_class", fewest as f64),
    ];
    let note = dataset::catalogue()?.get(name)?.note();
    Ok(Computed {
        metrics: metrics.map(|(name, value)| (name.to_owned(), value)).into(),
        digest: dataset.digest,
        notes: note.map(|note| format!("{name}: {note}")).into_iter().collect(),
        ..Computed::default()
    })
}

/// Where the server is.
#[derive(Debug, Clone, Copy)]
pub enum Peer<'a> {
    /// In this process.
    Local,
    /// Elsewhere; the bytes are the hello that tells it which cell to serve.
    Remote(&'a Remote, &'a [u8]),
}

/// Computes one cell.
pub fn compute(
    prepared: &Prepared,
    variant: Variant,
    watch: &Watch,
    peer: Peer<'_>,
) -> Result<Computed, RunError> {
    if let System::Local(_) = prepared.settings.system {
        return Ok(local(prepared));
    }
    let run = |variant, watch: &Watch, peer| converse(prepared, variant, watch, peer);
    let reference = run(Variant::Plain, &watch.beside(), Peer::Local)?;
    let found = run(variant, watch, peer)?;
    let exact = match variant {
        Variant::Encrypted => Some(run(Variant::Simulated, &watch.beside(), Peer::Local)?),
        Variant::Plain | Variant::Simulated => None,
    };
    Ok(summarise(prepared, &found, &reference, exact.as_ref()))
}

/// The network in plaintext, with nothing after it.
fn local(prepared: &Prepared) -> Computed {
    let outputs = &prepared.outputs;
    let mut hash = Sha256::new();
    outputs.iter().for_each(|number| hash.update(number.to_le_bytes()));
    prepared.curves.values().flatten().for_each(|number| hash.update(number.to_le_bytes()));
    let seconds = BTreeMap::from([("seconds_training".to_owned(), prepared.training_seconds)]);
    Computed {
        metrics: quality(prepared, outputs, outputs),
        curves: prepared.curves.clone(),
        digest: hex::encode(hash.finalize()),
        seconds,
        notes: prepared.notes.clone(),
        ..Computed::default()
    }
}

/// The class that every row of outputs, samples x classes, votes for.
fn labels(outputs: &Array2<f64>) -> Vec<usize> {
    outputs.outer_iter().map(|row| argmax(row.iter().copied())).collect()
}

/// How good outputs are, beside those of the network in plaintext.
fn quality(prepared: &Prepared, outputs: &Array2<f64>, plain_outputs: &Array2<f64>) -> BTreeMap<String, f64> {
    let workload = prepared.workload();
    let samples = workload.len() as f64;
    let (labels, plain_labels) = (labels(outputs), labels(plain_outputs));
    let count = |flags: &mut dyn Iterator<Item = bool>| flags.filter(|flag| *flag).count() as f64;
    let losses = outputs.outer_iter().zip(&workload.labels);
    let loss: f64 = losses.map(|(row, &label)| prepared.settings.system.loss().value(row, label)).sum();
    let accuracy = count(&mut labels.iter().zip(&workload.labels).map(|(a, b)| a == b)) / samples;
    let mut metrics = prepared.metrics.clone();
    let mut put = |name: &str, value: f64| metrics.insert(name.to_owned(), value);
    put("samples", samples);
    put("accuracy", accuracy);
    put("error", 1.0 - accuracy);
    put("loss", loss / samples);
    put("disagreements", unequal(&labels, &plain_labels) as f64);
    put("max_abs_error", greatest_difference(outputs.iter(), plain_outputs.iter()));
    metrics
}

/// A polynomial and its errors.
pub fn fit(request: &approximation::Request) -> Result<Computed, RunError> {
    let fitted = approximation::approximate(request)?;
    let mut hash = Sha256::new();
    fitted.polynomial.coefficients.iter().for_each(|number| hash.update(number.to_le_bytes()));
    Ok(Computed {
        metrics: prepared::polynomial_metrics(&fitted),
        digest: hex::encode(hash.finalize()),
        notes: prepared::polynomial_note(request, &fitted).into_iter().collect(),
        ..Computed::default()
    })
}

fn summarise(
    prepared: &Prepared,
    run: &Conversation,
    reference: &Conversation,
    exact: Option<&Conversation>,
) -> Computed {
    let settings = &prepared.settings;
    // Where the scheme has errors: those beside the exact circuit, with the bound that they keep.
    let errors: Option<Vec<f64>> = exact.filter(|_| run.is_approximate).map(|exact| {
        let both = run.outcome.outputs.iter().zip(&exact.outcome.outputs);
        // An error of nothing has no logarithm: the least that numbers near 1 can differ by stands for it.
        both.map(|(a, b)| (a - b).abs().max(f64::EPSILON)).collect()
    });
    let greatest = |errors: &[f64]| errors.iter().copied().fold(0.0, f64::max);
    let published = run.published(errors.as_ref().map_or(0.0, |errors| greatest(errors)));
    // What the protocol trains is compared with what it trains in plaintext.
    let plain = if settings.system.trains_model() { &reference.outcome.outputs } else { &prepared.outputs };
    let mut metrics = quality(prepared, &published, plain);
    let mut put = |name: &str, value: f64| metrics.insert(name.to_owned(), value);
    let losses = &run.outcome.losses;
    if !losses.is_empty() {
        put("training_loss", losses.iter().sum::<f64>() / losses.len() as f64);
        put("training_max_abs_error", greatest_difference(run.weights.iter(), reference.weights.iter()));
    }
    // What `refresh` trains it classifies with; what `split` trains is looked at here.
    if let (System::Split { .. }, false) = (&settings.system, losses.is_empty())
        && let Some(trained) = prepared.initial.with_parameters(&run.weights)
    {
        let workload = prepared.workload();
        put("trained_accuracy", trained.accuracy(workload.features.view(), &workload.labels));
    }
    if let System::Refresh { protocol, .. } = &settings.system
        && protocol.iterations > 0
    {
        let count = refresh::secure_ml_count(&protocol.widths, protocol.batch) * protocol.iterations as u64;
        put("secure_ml_messages", count as f64);
    }
    for (name, value) in &run.parameters {
        put(name, *value);
    }
    let mut disagrees = false;
    if let Some(exact) = exact {
        put("label_mismatches", unequal(&labels(&published), &labels(&exact.outcome.outputs)) as f64);
        let opened = unequal(&run.outcome.trace, &exact.outcome.trace);
        let weights = unequal(&run.integers, &exact.integers);
        // Approximate numbers have no integers that could differ.
        if !run.is_approximate {
            put("mismatches", (opened + weights) as f64);
        }
        disagrees = opened + weights > 0
            || run.operations != exact.operations
            || run.traffic != exact.traffic
            || run.outcome.final_updates != exact.outcome.final_updates
            || run.refreshes != exact.refreshes;
        if let Some(errors) = &errors {
            // To a tenth of a bit: more would say something of the errors themselves.
            let tenth = |bits: f64| libm::rint(bits * 10.0) / 10.0;
            let logarithms = || errors.iter().map(|error| libm::log2(*error));
            put("log2_error_min", tenth(logarithms().fold(f64::INFINITY, f64::min)));
            put("log2_error_mean", tenth(logarithms().sum::<f64>() / errors.len() as f64));
            put("log2_error_max", tenth(libm::log2(greatest(errors))));
            if let Some(bound) = run.error_bound {
                put("log2_error_bound", libm::log2(bound));
                // Not a number is above it.
                disagrees |= errors.iter().any(|error| !matches!(error, error if *error <= bound));
            }
        }
    }

    let mut counts = BTreeMap::new();
    for (name, value) in run.traffic.by_name() {
        counts.insert(name.to_owned(), value);
    }
    let last = run.outcome.final_updates;
    if last != Traffic::default() {
        let parts = [
            ("final_messages", last.messages_up + last.messages_down),
            ("final_bytes_up", last.bytes_up),
            ("final_bytes_down", last.bytes_down),
            ("final_ciphertexts", last.ciphertexts_up + last.ciphertexts_down),
        ];
        counts.extend(parts.map(|(name, count)| (name.to_owned(), count)));
    }
    let [first, then] = run.refreshes.unwrap_or_default();
    counts.insert("refreshes".to_owned(), first.refreshed);
    let others = [("reforms", first.reformed), ("refreshes_inference", then.refreshed)];
    counts.extend(others.into_iter().filter(|(_, count)| *count > 0).map(|(n, count)| (n.to_owned(), count)));
    counts.extend(run.operations.by_name());
    let total = run.keys_seconds + run.training_seconds + run.sending_seconds + run.inference_seconds;
    let mut seconds = BTreeMap::from(
        [
            ("seconds", total),
            ("seconds_keys", run.keys_seconds),
            ("seconds_inference", run.inference_seconds),
            ("seconds_protocol_training", run.training_seconds),
            ("seconds_training", prepared.training_seconds),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    if last != Traffic::default() {
        seconds.insert("seconds_final_update".to_owned(), run.outcome.final_seconds);
    }
    if !run.outcome.losses.is_empty() {
        let mean = run.training_seconds / run.outcome.losses.len() as f64;
        seconds.insert("seconds_iteration".to_owned(), mean);
    }
    if run.memory_seconds > 0.0 {
        seconds.insert("seconds_memory".to_owned(), run.memory_seconds);
    }
    if run.encryption_seconds > 0.0 {
        seconds.insert("seconds_encryption".to_owned(), run.encryption_seconds);
    }
    if let Some(refresh::Phases { forward, backward, refresh }) = run.phases {
        seconds.insert("seconds_forward".to_owned(), forward);
        seconds.insert("seconds_backward".to_owned(), backward);
        seconds.insert("seconds_refresh".to_owned(), refresh);
    }
    if let Some(capacity) = run.capacity.filter(|capacity| *capacity > 0 && run.inference_seconds > 0.0) {
        seconds.insert("predictions_per_hour".to_owned(), 3600.0 * capacity as f64 / run.inference_seconds);
        seconds.insert("seconds_per_sample".to_owned(), run.inference_seconds / capacity as f64);
    }
    if let Some(batches) = run.classification.filter(|batches| batches.count > 0) {
        let count = batches.count as f64;
        seconds.insert("seconds_latency".to_owned(), run.inference_seconds / count);
        if let Some(place) = settings.link {
            let seconds_on_link = run.inference_seconds + place.model().seconds(&batches.traffic);
            seconds.insert("seconds_on_link".to_owned(), seconds_on_link / count);
        }
    }
    let digest = digest(run, &published);
    let transcript = (settings.rng == Randomness::Seeded).then(|| run.transcript.clone());
    Computed {
        metrics,
        counts,
        digest,
        transcript,
        seconds,
        disagrees,
        notes: prepared.notes.clone(),
        ..Computed::default()
    }
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
