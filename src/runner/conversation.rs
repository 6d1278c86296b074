//! One conversation of client and server: the two sides of every protocol over every arithmetic.

mod refresh_side;
mod slot_side;
mod split_side;

use std::collections::BTreeMap;
use std::time::Instant;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::backend::{BackendError, Meter, OperationCounts, Plain, Variant};
use crate::experiment::plan::System;
use crate::math::rns::Reservation;
use crate::protocol::ProtocolError;
use crate::protocol::channel::{Channel, pipe};
use crate::protocol::message::{Kind, Message};
use crate::protocol::refresh;
use crate::protocol::split::client::Outcome;
use crate::protocol::transcript::{Chain, Link, Traffic};
use crate::runner::RunError;
use crate::runner::cell::{Peer, Prepared};
use crate::runner::conversation::refresh_side::RefreshSides;
use crate::runner::conversation::slot_side::SlotSides;
use crate::runner::conversation::split_side::{SplitSide, SplitSides};
use crate::runner::watch::Watch;

/// The server's closing words to the harness.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServerReport {
    /// Operations by name.
    operations: BTreeMap<String, u64>,
    /// The trained weights as bits of `f64`, so that no digit is lost on the way.
    weights: Vec<u64>,
    /// The integers behind them, for exact backends.
    integers: Vec<String>,
    /// Seconds of the phases of training, where it has them.
    phases: Option<refresh::Phases>,
}

/// What the client's side of a protocol yields.
#[derive(Default)]
struct Driven {
    outcome: Outcome,
    /// Where the client has them.
    weights: Vec<f64>,
    keys_seconds: f64,
    encryption_seconds: f64,
    sending_seconds: f64,
    inference_seconds: f64,
    training_seconds: f64,
    /// Samples that the same messages could have carried: where slots are filled with samples.
    capacity: Option<usize>,
    /// See [`Conversation`].
    classification: Option<Batches>,
    /// See [`Conversation`].
    refreshes: Option<[refresh::Refreshes; 2]>,
}

/// What classification took of the channel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Batches {
    /// Samples went in so many batches, one after the other.
    pub count: usize,
    /// Messages of classification alone, without those that exchange keys.
    pub traffic: Traffic,
}

/// One conversation, as the harness sees it.
pub(super) struct Conversation {
    pub outcome: Outcome,
    pub traffic: Traffic,
    pub transcript: String,
    pub operations: OperationCounts,
    /// Weights after training under the protocol.
    pub weights: Vec<f64>,
    pub integers: Vec<String>,
    /// Taking memory from the system, before the conversation and part of none of its times.
    pub memory_seconds: f64,
    pub keys_seconds: f64,
    pub inference_seconds: f64,
    pub training_seconds: f64,
    /// Encrypting the network and sending it, before training or, without any, before classification.
    pub encryption_seconds: f64,
    /// Encrypting and sending the network that classifies: part of neither training nor inference.
    pub sending_seconds: f64,
    /// Of the seconds of training.
    pub phases: Option<refresh::Phases>,
    /// Whether its numbers have errors.
    pub is_approximate: bool,
    /// In training where there is any, and in classification after it; as the client counted them.
    pub refreshes: Option<[refresh::Refreshes; 2]>,
    /// Samples that would have taken the same time: slots of all batches.
    pub capacity: Option<usize>,
    /// Of protocols that classify batch by batch with a model that is there.
    pub classification: Option<Batches>,
    /// No output is farther from the exact circuit's, where the scheme has errors.
    pub error_bound: Option<f64>,
    /// What the scheme's parameters came out as.
    pub parameters: Vec<(&'static str, f64)>,
}

impl Conversation {
    /// The outputs as they leave the program: what has errors is rounded to a step no smaller than the greatest of them. Digits that say
    /// nothing of the result may say something of the key (Li and Micciancio, EUROCRYPT 2021); leaving them out is no proof of security against
    /// whoever chooses inputs and sees results.
    pub(super) fn published(&self, greatest_error: f64) -> Array2<f64> {
        if greatest_error <= 0.0 {
            return self.outcome.outputs.clone();
        }
        let step = libm::exp2(libm::ceil(libm::log2(greatest_error)));
        self.outcome.outputs.mapv(|output| libm::rint(output / step) * step)
    }
}

/// The channel of a protocol with one client.
fn the_one(links: &mut [Link]) -> Result<&mut Link, ProtocolError> {
    match links {
        [link] => Ok(link),
        links => Err(ProtocolError::Clients { clients: 1, channels: links.len() }),
    }
}

/// One side's arithmetic under a protocol.
trait Side: Send + Sync {
    /// Clients, each of which has a channel.
    fn clients(&self) -> usize {
        1
    }
    /// Takes the memory that a conversation will hold, where that is much.
    fn reserve(&self) -> Vec<Reservation> {
        Vec::new()
    }
    /// Its end of a channel.
    fn link(&self, channel: Box<dyn Channel>, is_client: bool) -> Link;
    /// The clients' part.
    fn drive(&self, prepared: &Prepared, watch: &Watch, links: &mut [Link]) -> Result<Driven, RunError>;
    /// The server's part.
    fn serve(&self, prepared: &Prepared, watch: &Watch, links: &mut [Link])
    -> Result<ServerReport, RunError>;
    /// What it has computed.
    fn counts(&self) -> OperationCounts;
    /// See [`Conversation`].
    fn error_bound(&self) -> Option<f64> {
        None
    }
    /// See [`Conversation`].
    fn is_approximate(&self) -> bool {
        self.error_bound().is_some()
    }
    /// See [`Conversation`].
    fn levels(&self) -> usize {
        0
    }
}

/// Something to do with both sides of a cell's conversation.
trait Visitor {
    type Output;
    /// The maker of a side that counts into a meter.
    fn visit<S: Side>(self, make: impl Fn(Meter) -> S + Sync) -> Self::Output;
}

/// Hands the sides of a variant of a cell to a visitor.
fn visit<V: Visitor>(prepared: &Prepared, variant: Variant, visitor: V) -> Result<V::Output, RunError> {
    match &prepared.settings.system {
        System::Split { protocol, .. } if variant == Variant::Plain => {
            Ok(visitor.visit(|meter| SplitSide { backend: Plain::new(meter), protocol }))
        }
        System::Split { scheme, protocol } => {
            let sides = SplitSides { scheme, protocol, encrypted: variant == Variant::Encrypted, visitor };
            Ok(scheme.visit(sides).map_err(|error| ProtocolError::Backend(error.into()))?)
        }
        System::NonInteractive { scheme, protocol } => {
            let samples = prepared.workload().len();
            let sides = SlotSides { protocol, samples, variant, visitor };
            let visited = scheme.visit(sides).and_then(|visited| visited);
            Ok(visited.map_err(|error| ProtocolError::from(BackendError::from(error)))?)
        }
        System::Refresh { scheme, protocol } => {
            let samples = prepared.workload().len();
            let sides = RefreshSides { scheme, protocol, samples, variant, visitor };
            let visited = scheme.scheme.visit(sides).and_then(|visited| visited);
            Ok(visited.map_err(ProtocolError::from)?)
        }
        System::Pending { .. } | System::Local(_) => Err(RunError::NoProtocol),
    }
}

/// A variant of a cell, client and server.
pub(super) fn converse(
    prepared: &Prepared,
    variant: Variant,
    watch: &Watch,
    peer: Peer<'_>,
) -> Result<Conversation, RunError> {
    let mut conversation = visit(prepared, variant, Converse { prepared, watch, peer })??;
    if let System::NonInteractive { scheme, protocol } = &prepared.settings.system
        && variant != Variant::Plain
    {
        conversation.parameters.extend([
            ("depth", f64::from(protocol.depth())),
            ("log_degree", f64::from(scheme.log_degree)),
            ("modulus_bits", f64::from(scheme.total_bits())),
            ("plaintext_bits", scheme.plaintext_bits() as f64),
        ]);
    }
    if let System::Refresh { scheme, .. } = &prepared.settings.system
        && variant != Variant::Plain
    {
        let scheme = &scheme.scheme;
        conversation.parameters.extend([
            ("log_degree", f64::from(scheme.log_degree)),
            ("modulus_bits", f64::from(scheme.total_bits())),
            ("plaintext_bits", scheme.plaintext_bits() as f64),
            ("levels", scheme.modulus_bits.len() as f64),
        ]);
    }
    Ok(conversation)
}

struct Converse<'a> {
    prepared: &'a Prepared,
    watch: &'a Watch,
    peer: Peer<'a>,
}

impl Visitor for Converse<'_> {
    type Output = Result<Conversation, RunError>;

    fn visit<S: Side>(self, make: impl Fn(Meter) -> S + Sync) -> Self::Output {
        let Self { prepared, watch, peer } = self;
        let client = make(watch.client.clone());
        let start = Instant::now();
        // Of a server elsewhere that is the server's own.
        let reserved = if matches!(peer, Peer::Local) { client.reserve() } else { Vec::new() };
        let memory_seconds = if reserved.is_empty() { 0.0 } else { start.elapsed().as_secs_f64() };
        let conversation = match peer {
            Peer::Remote(remote, hello) => {
                let channel = remote.connect().map_err(ProtocolError::from)?;
                let mut link = client.link(Box::new(channel), true);
                link.send(Message::new(Kind::Hello, hello.to_vec()))?;
                conclude(&client, prepared, watch, &mut [link])
            }
            Peer::Local => {
                let server = make(watch.server.clone());
                let (near, far): (Vec<_>, Vec<_>) = (0..client.clients()).map(|_| pipe()).unzip();
                std::thread::scope(|scope| {
                    let far: Vec<Box<dyn Channel>> = far.into_iter().map(|end| Box::new(end) as _).collect();
                    let serving = scope.spawn(|| answer(&server, prepared, watch, far));
                    let mut links: Vec<Link> =
                        near.into_iter().map(|end| client.link(Box::new(end), true)).collect();
                    let driven = conclude(&client, prepared, watch, &mut links);
                    // Closes the pipes, so that a server that still waits ends too.
                    drop(links);
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
        };
        drop(reserved);
        Ok(Conversation { memory_seconds, ..conversation? })
    }
}

/// The client's part, and the server's report after it.
fn conclude<S: Side>(
    side: &S,
    prepared: &Prepared,
    watch: &Watch,
    links: &mut [Link],
) -> Result<Conversation, RunError> {
    let driven = side.drive(prepared, watch, links)?;
    let (channels, clients) = (links.len(), side.clients());
    let link = links.first_mut().ok_or(ProtocolError::Clients { clients, channels })?;
    let report = link.expect(Kind::Report, "the server's report")?;
    let report: ServerReport =
        serde_json::from_slice(&report.body).map_err(|error| ProtocolError::Unexpected {
            found: format!("a report that cannot be read ({error})"),
            expected: "a report",
        })?;
    Ok(Conversation {
        outcome: driven.outcome,
        traffic: links.iter().fold(Traffic::default(), |sum, link| sum.plus(&link.traffic(), 1)),
        transcript: hex::encode(chain(links).as_bytes()),
        operations: side.counts().plus(&OperationCounts::from_names(&report.operations)),
        weights: if driven.weights.is_empty() {
            report.weights.into_iter().map(f64::from_bits).collect()
        } else {
            driven.weights
        },
        integers: report.integers,
        memory_seconds: 0.0,
        keys_seconds: driven.keys_seconds,
        inference_seconds: driven.inference_seconds,
        training_seconds: driven.training_seconds,
        encryption_seconds: driven.encryption_seconds,
        sending_seconds: driven.sending_seconds,
        phases: report.phases,
        is_approximate: side.is_approximate(),
        refreshes: driven.refreshes,
        capacity: driven.capacity,
        classification: driven.classification,
        error_bound: side.error_bound(),
        parameters: if side.levels() > 0 { vec![("levels", side.levels() as f64)] } else { Vec::new() },
    })
}

/// The chain of the one channel, or one over those of all.
fn chain(links: &[Link]) -> Chain {
    match links {
        [link] => link.chain(),
        links => {
            let mut all = Chain::default();
            all.extend(links.iter().map(|link| *link.chain().as_bytes()));
            all
        }
    }
}

/// The server's side of a cell; a failure is told to the clients before it is returned.
fn answer<S: Side>(
    side: &S,
    prepared: &Prepared,
    watch: &Watch,
    channels: Vec<Box<dyn Channel>>,
) -> Result<(), RunError> {
    let mut links: Vec<Link> = channels.into_iter().map(|channel| side.link(channel, false)).collect();
    let served = side.serve(prepared, watch, &mut links);
    let message = match &served {
        Ok(report) => Message::new(Kind::Report, serde_json::to_vec(report).unwrap_or_default()),
        Err(RunError::Protocol(error)) => Message::new(Kind::Fault, error.for_peer().into_bytes()),
        Err(error) => Message::new(Kind::Fault, error.to_string().into_bytes()),
    };
    // A client may be gone already; then it is not there to be told. The report goes to the first alone.
    let told: Vec<_> = match &served {
        Ok(_) => links.iter_mut().take(1).map(|link| link.send(message.clone())).collect(),
        Err(_) => links.iter_mut().map(|link| link.send(message.clone())).collect(),
    };
    served?;
    Ok(told.into_iter().collect::<Result<(), _>>()?)
}

/// Serves one variant of a cell to a client at the other end of `channel`.
pub fn answer_variant(
    prepared: &Prepared,
    variant: Variant,
    watch: &Watch,
    channel: Box<dyn Channel>,
) -> Result<(), RunError> {
    visit(prepared, variant, Answer { prepared, watch, channel })?
}

/// The server's side of a variant.
struct Answer<'a> {
    prepared: &'a Prepared,
    watch: &'a Watch,
    channel: Box<dyn Channel>,
}

impl Visitor for Answer<'_> {
    type Output = Result<(), RunError>;

    fn visit<S: Side>(self, make: impl Fn(Meter) -> S + Sync) -> Self::Output {
        answer(&make(self.watch.server.clone()), self.prepared, self.watch, vec![self.channel])
    }
}
