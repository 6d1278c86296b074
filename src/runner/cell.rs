//! One cell: prepare the network in plaintext, run the protocol, compare with the exact circuit.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Instant;

use num_bigint::BigInt;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::backend::meter::Interrupt;
use crate::backend::{Additive, Backend, Meter, Number, OperationCounts, Plain, Variant};
use crate::dataset::{self, Split, Store};
use crate::experiment::plan::Settings;
use crate::experiment::spec::Randomness;
use crate::math::stream::Stream;
use crate::network::{Network, argmax};
use crate::protocol::ProtocolError;
use crate::protocol::channel::{Channel, Tcp, pipe};
use crate::protocol::message::{Kind, Message};
use crate::protocol::split::Forecast;
use crate::protocol::split::client::{Client, Outcome};
use crate::protocol::split::server::{Layer, Server};
use crate::protocol::transcript::{Link, Traffic};
use crate::runner::{RunError, estimate};
use crate::scheme::additive::AdditiveScheme;
use crate::scheme::registry::Visitor;
use crate::scheme::twin::Twin;

/// Changes whenever a cell's meaning does, so that older cached cells are not taken for newer ones.
const FORMAT: u32 = 1;

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
        let protocol = &settings.protocol;
        let initial = Network::initialise(
            &protocol.widths,
            protocol.activation,
            protocol.loss,
            &root.derive("weights"),
        );
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
        Ok(Self { split, initial, trained, training_seconds: start.elapsed().as_secs_f64(), root })
    }

    /// The test samples that go through the protocol.
    pub fn workload(&self, settings: &Settings) -> dataset::Samples {
        let limit = settings.data.test_limit.unwrap_or(usize::MAX);
        self.split.test.take(limit.min(self.split.test.len()))
    }

    /// The training samples of the protocol, one an iteration, round and round in a seeded order.
    fn training_order(&self, settings: &Settings) -> Vec<usize> {
        use rand::seq::SliceRandom;
        let mut order: Vec<usize> = (0..self.split.train.len()).collect();
        order.shuffle(&mut self.root.derive("protocol-training").rng());
        order.into_iter().cycle().take(settings.protocol.training_iterations).collect()
    }

    /// The stream that session lengths come from.
    fn sessions(&self) -> Stream {
        self.root.derive("sessions")
    }

    /// A party's private stream: its keys, encryptions and masks.
    fn private(&self, settings: &Settings, party: &str) -> Result<Stream, RunError> {
        match settings.rng {
            Randomness::Seeded => Ok(self.root.derive(party)),
            Randomness::Os => Stream::from_os().map_err(RunError::Entropy),
        }
    }

    /// What the protocol will take at this cell.
    pub fn forecast(&self, settings: &Settings) -> Forecast {
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
    let local = Watch::new(watch.interrupt.clone());
    let reference = converse(Plain::new, settings, prepared, &local, Peer::Local)?;
    if variant == Variant::Plain {
        let run = converse(Plain::new, settings, prepared, watch, peer)?;
        return Ok(summarise(settings, prepared, &run, &reference, None));
    }
    let encrypted = variant == Variant::Encrypted;
    let run = visit(settings, Converse { settings, prepared, watch, peer, encrypted })??;
    let exact = if encrypted {
        let watch = &Watch::new(watch.interrupt.clone());
        let peer = Peer::Local;
        Some(visit(settings, Converse { settings, prepared, watch, peer, encrypted: false })??)
    } else {
        None
    };
    Ok(summarise(settings, prepared, &run, &reference, exact.as_ref()))
}

/// Hands the cell's scheme to a visitor.
pub(super) fn visit<V: Visitor>(settings: &Settings, visitor: V) -> Result<V::Output, RunError> {
    let visited = settings.scheme.parameters.visit(visitor);
    Ok(visited.map_err(|error| ProtocolError::Backend(error.into()))?)
}

fn twin<S: AdditiveScheme>(scheme: &S, settings: &Settings) -> Twin {
    Twin::of(scheme, settings.scheme.parameters.plaintext_bits())
}

/// A conversation under the cell's scheme, or under its twin.
struct Converse<'a> {
    settings: &'a Settings,
    prepared: &'a Prepared,
    watch: &'a Watch,
    peer: Peer<'a>,
    encrypted: bool,
}

impl Visitor for Converse<'_> {
    type Output = Result<Conversation, RunError>;

    fn visit<S: AdditiveScheme + Clone>(self, scheme: S) -> Self::Output {
        let Self { settings, prepared, watch, peer, encrypted } = self;
        if encrypted {
            return converse(|meter| Additive::new(scheme.clone(), meter), settings, prepared, watch, peer);
        }
        let twin = twin(&scheme, settings);
        converse(|meter| Additive::new(twin.clone(), meter), settings, prepared, watch, peer)
    }
}

/// The server's closing words to the harness.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerReport {
    /// Operations by name.
    operations: BTreeMap<String, u64>,
    /// The trained weights as bits of `f64`, so that no digit is lost on the way.
    weights: Vec<u64>,
    /// The integers behind them, for exact backends.
    integers: Vec<String>,
}

/// One conversation, as the harness sees it.
struct Conversation {
    outcome: Outcome,
    traffic: Traffic,
    transcript: String,
    operations: OperationCounts,
    /// Weights after training under the protocol.
    weights: Vec<f64>,
    integers: Vec<String>,
    keys_seconds: f64,
    inference_seconds: f64,
    training_seconds: f64,
}

fn converse<B: Backend>(
    backend: impl Fn(Meter) -> B,
    settings: &Settings,
    prepared: &Prepared,
    watch: &Watch,
    peer: Peer<'_>,
) -> Result<Conversation, RunError> {
    let client = backend(watch.client.clone());
    match peer {
        Peer::Remote(address, hello) => {
            let channel = Tcp::connect(address).map_err(ProtocolError::from)?;
            let mut link = Link::client(Box::new(channel), client.ciphertext_bytes());
            link.send(&Message::new(Kind::Hello, hello.to_vec()))?;
            drive(&client, settings, prepared, &mut link)
        }
        Peer::Local => {
            let server = backend(watch.server.clone());
            let (near, far) = pipe();
            std::thread::scope(|scope| {
                let serving = scope.spawn(|| answer(&server, settings, prepared, Box::new(far)));
                let mut link = Link::client(Box::new(near), client.ciphertext_bytes());
                let driven = drive(&client, settings, prepared, &mut link);
                // Closes the pipe, so that a server that still waits ends too.
                drop(link);
                let served = serving.join().map_err(|_| RunError::Panicked)?;
                match (driven, served) {
                    // The server's reason is the better one when the client only saw it go away.
                    (
                        Err(RunError::Protocol(ProtocolError::Channel(_) | ProtocolError::Fault(_))),
                        Err(error),
                    ) => Err(error),
                    (driven, _) => driven,
                }
            })
        }
    }
}

/// The client's side of a cell.
fn drive<B: Backend>(
    backend: &B,
    settings: &Settings,
    prepared: &Prepared,
    link: &mut Link,
) -> Result<Conversation, RunError> {
    let private = prepared.private(settings, "client")?;
    let workload = prepared.workload(settings);
    let start = Instant::now();
    let mut client = Client::connect(backend, &settings.protocol, link, &private, workload.len())?;
    let keys_seconds = start.elapsed().as_secs_f64();
    let start = Instant::now();
    client.infer(workload.features.view())?;
    let inference_seconds = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let order = prepared.training_order(settings);
    let features = prepared.split.train.features.select(ndarray::Axis(0), &order);
    let labels: Vec<usize> = order.iter().map(|&index| prepared.split.train.labels[index]).collect();
    client.train(features.view(), &labels)?;
    let training_seconds = start.elapsed().as_secs_f64();
    let outcome = client.close()?;
    let report = link.expect(Kind::Report, "the server's report")?;
    let report: ServerReport =
        serde_json::from_slice(&report.body).map_err(|error| ProtocolError::Unexpected {
            found: format!("a report that cannot be read ({error})"),
            expected: "a report",
        })?;
    Ok(Conversation {
        outcome,
        traffic: link.traffic(),
        transcript: link.digest(),
        operations: backend.meter().counts().plus(&OperationCounts::from_names(&report.operations)),
        weights: report.weights.into_iter().map(f64::from_bits).collect(),
        integers: report.integers,
        keys_seconds,
        inference_seconds,
        training_seconds,
    })
}

/// The server's side of a cell; a failure is told to the client before it is returned.
pub fn answer<B: Backend>(
    backend: &B,
    settings: &Settings,
    prepared: &Prepared,
    channel: Box<dyn Channel>,
) -> Result<(), RunError> {
    let mut link = Link::server(channel, backend.ciphertext_bytes());
    let served = serve(backend, settings, prepared, &mut link);
    let message = match &served {
        Ok(report) => Message::new(Kind::Report, serde_json::to_vec(report).unwrap_or_default()),
        Err(RunError::Protocol(error)) => Message::new(Kind::Fault, error.for_peer().into_bytes()),
        Err(error) => Message::new(Kind::Fault, error.to_string().into_bytes()),
    };
    // The client may be gone already; then nobody is left to be told.
    let told = link.send(&message);
    served.and_then(|_| Ok(told?))
}

fn serve<B: Backend>(
    backend: &B,
    settings: &Settings,
    prepared: &Prepared,
    link: &mut Link,
) -> Result<ServerReport, RunError> {
    let private = prepared.private(settings, "server")?;
    let sessions = prepared.sessions();
    let models = (&prepared.trained, &prepared.initial);
    let samples = prepared.workload(settings).len();
    let server = Server::accept(backend, &settings.protocol, link, &private, &sessions, models, samples)?;
    let layers = server.serve()?;
    let numbers = || layers.iter().flat_map(Layer::parameters);
    Ok(ServerReport {
        operations: backend.meter().counts().by_name(),
        weights: numbers().map(|number| number.to_f64().to_bits()).collect(),
        integers: numbers().filter_map(|number| number.integer().map(BigInt::to_string)).collect(),
    })
}

/// Serves one variant of a cell to a client at the other end of `channel`.
pub fn answer_variant(
    settings: &Settings,
    variant: Variant,
    prepared: &Prepared,
    watch: &Watch,
    channel: Box<dyn Channel>,
) -> Result<(), RunError> {
    let meter = watch.server.clone();
    match variant {
        Variant::Plain => answer(&Plain::new(meter), settings, prepared, channel),
        Variant::Simulated => {
            visit(settings, Answer { settings, prepared, meter, channel, encrypted: false })?
        }
        Variant::Encrypted => {
            visit(settings, Answer { settings, prepared, meter, channel, encrypted: true })?
        }
    }
}

/// The server's side under the cell's scheme, or under its twin.
struct Answer<'a> {
    settings: &'a Settings,
    prepared: &'a Prepared,
    meter: Meter,
    channel: Box<dyn Channel>,
    encrypted: bool,
}

impl Visitor for Answer<'_> {
    type Output = Result<(), RunError>;

    fn visit<S: AdditiveScheme + Clone>(self, scheme: S) -> Self::Output {
        let Self { settings, prepared, meter, channel, encrypted } = self;
        if encrypted {
            return answer(&Additive::new(scheme, meter), settings, prepared, channel);
        }
        answer(&Additive::new(twin(&scheme, settings), meter), settings, prepared, channel)
    }
}

fn summarise(
    settings: &Settings,
    prepared: &Prepared,
    run: &Conversation,
    reference: &Conversation,
    exact: Option<&Conversation>,
) -> Computed {
    let workload = prepared.workload(settings);
    let outputs = &run.outcome.outputs;
    let samples = workload.len() as f64;
    let plain_outputs = prepared.trained.outputs(workload.features.view());
    let labels: Vec<usize> = outputs.outer_iter().map(|row| argmax(row.iter().copied())).collect();
    let plain_labels = plain_outputs.outer_iter().map(|row| argmax(row.iter().copied()));
    let count = |flags: &mut dyn Iterator<Item = bool>| flags.filter(|flag| *flag).count() as f64;
    let loss: f64 = outputs
        .outer_iter()
        .zip(&workload.labels)
        .map(|(row, &label)| settings.protocol.loss.value(row, label))
        .sum();

    let mut metrics = BTreeMap::new();
    let mut put = |name: &str, value: f64| metrics.insert(name.to_owned(), value);
    put("samples", samples);
    put("accuracy", count(&mut labels.iter().zip(&workload.labels).map(|(a, b)| a == b)) / samples);
    put("loss", loss / samples);
    put("disagreements", count(&mut labels.iter().copied().zip(plain_labels).map(|(a, b)| a != b)));
    put("max_abs_error", greatest_difference(outputs.iter(), plain_outputs.iter()));
    let losses = &run.outcome.losses;
    if !losses.is_empty() {
        put("training_loss", losses.iter().sum::<f64>() / losses.len() as f64);
        put("training_max_abs_error", greatest_difference(run.weights.iter(), reference.weights.iter()));
    }
    let mut disagrees = false;
    if let Some(exact) = exact {
        let opened = unequal(&run.outcome.trace, &exact.outcome.trace);
        let weights = unequal(&run.integers, &exact.integers);
        put("mismatches", (opened + weights) as f64);
        disagrees =
            opened + weights > 0 || run.operations != exact.operations || run.traffic != exact.traffic;
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
    Computed { metrics, counts, digest: digest(run), transcript: run.transcript.clone(), seconds, disagrees }
}

fn greatest_difference<'a>(left: impl Iterator<Item = &'a f64>, right: impl Iterator<Item = &'a f64>) -> f64 {
    left.zip(right).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// Places at which two lists differ, one that is missing included.
fn unequal<T: PartialEq>(left: &[T], right: &[T]) -> usize {
    left.iter().zip(right).filter(|(a, b)| a != b).count() + left.len().abs_diff(right.len())
}

fn digest(run: &Conversation) -> String {
    let mut hash = Sha256::new();
    for number in run.outcome.outputs.iter().chain(&run.outcome.losses).chain(&run.weights) {
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
