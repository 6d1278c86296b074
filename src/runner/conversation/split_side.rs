//! The sides of the split protocol: a server, and clients that take turns.

use std::time::Instant;

use crate::backend::{Additive, Backend, OperationCounts, Value};
use crate::protocol::ProtocolError;
use crate::protocol::channel::Channel;
use crate::protocol::split;
use crate::protocol::split::client::Client;
use crate::protocol::split::server::{Layer, Server};
use crate::protocol::transcript::Link;
use crate::runner::RunError;
use crate::runner::cell::Prepared;
use crate::runner::conversation::{Batches, Driven, ServerReport, Side, Visitor};
use crate::runner::watch::Watch;
use crate::scheme::additive::AdditiveScheme;
use crate::scheme::registry;
use crate::scheme::twin::Twin;

/// A side of the split protocol.
pub(super) struct SplitSide<'a, B> {
    pub(super) backend: B,
    pub(super) protocol: &'a split::Settings,
}

impl<B: Backend> Side for SplitSide<'_, B> {
    fn clients(&self) -> usize {
        self.protocol.clients
    }

    fn link(&self, channel: Box<dyn Channel>, is_client: bool) -> Link {
        Link::new(channel, is_client, Some([self.backend.ciphertext_bytes(); 2]))
    }

    /// The first client classifies; then all of them train in turn, a session each, on their own samples.
    fn drive(&self, prepared: &Prepared, _watch: &Watch, links: &mut [Link]) -> Result<Driven, RunError> {
        let protocol = self.protocol;
        let (clients, channels) = (protocol.clients, links.len());
        if channels != clients {
            return Err(ProtocolError::Clients { clients, channels }.into());
        }
        // One stream a client: no two of them share a key or a mask.
        let private = (0..clients).map(|client| match client {
            0 => prepared.private("client"),
            other => prepared.private(&format!("client {other}")),
        });
        let private = private.collect::<Result<Vec<_>, _>>()?;
        let workload = prepared.workload();
        let start = Instant::now();
        let mut all = Vec::with_capacity(clients);
        for (link, private) in links.iter_mut().zip(&private) {
            let samples = if all.is_empty() { workload.len() } else { 0 };
            all.push(Client::connect(&self.backend, protocol, link, private, samples)?);
        }
        let mut driven = Driven { keys_seconds: start.elapsed().as_secs_f64(), ..Driven::default() };
        if let Some(first) = all.first_mut() {
            let before = first.traffic();
            let start = Instant::now();
            first.infer(workload.features.view())?;
            driven.inference_seconds = start.elapsed().as_secs_f64();
            let count = workload.len().div_ceil(protocol.batch.max(1));
            driven.classification = Some(Batches { count, traffic: first.traffic().since(&before) });
            driven.capacity = Some(workload.len());
        }
        let start = Instant::now();
        if protocol.training_iterations > 0 {
            train(&mut all, prepared, protocol)?;
        }
        driven.training_seconds = start.elapsed().as_secs_f64();
        let mut outcomes = all.into_iter().map(Client::close);
        if let Some(first) = outcomes.next() {
            driven.outcome = first?;
        }
        for other in outcomes {
            driven.outcome.join(other?);
        }
        Ok(driven)
    }

    fn serve(
        &self,
        prepared: &Prepared,
        _watch: &Watch,
        links: &mut [Link],
    ) -> Result<ServerReport, RunError> {
        let private = prepared.private("server")?;
        let sessions = prepared.sessions();
        let models = (&prepared.trained, &prepared.initial);
        let samples = prepared.workload().len();
        let (backend, protocol) = (&self.backend, self.protocol);
        let server = Server::accept(backend, protocol, links, &private, &sessions, models, samples)?;
        let layers = server.serve()?;
        let numbers = || layers.iter().flat_map(Layer::parameters);
        Ok(ServerReport {
            operations: self.counts().by_name(),
            weights: numbers().map(|number| number.to_f64().to_bits()).collect(),
            integers: numbers()
                .filter_map(|number| number.integer().map(|integer| integer.to_string()))
                .collect(),
            phases: None,
        })
    }

    fn counts(&self) -> OperationCounts {
        self.backend.meter().counts()
    }
}

/// Session after session, each with the next client.
fn train<B: Backend>(
    clients: &mut [Client<'_, B>],
    prepared: &Prepared,
    protocol: &split::Settings,
) -> Result<(), RunError> {
    let train = &prepared.split.train;
    let parts = prepared.training_parts(clients.len())?;
    let sample = |&row: &usize| (train.features.row(row), train.labels[row]);
    let mut samples: Vec<_> = parts.iter().map(|part| part.iter().cycle().map(sample)).collect();
    let mut left = protocol.training_iterations;
    while left > 0 {
        for (client, samples) in clients.iter_mut().zip(&mut samples) {
            if left > 0 {
                left -= client.session(left, samples)?;
            }
        }
    }
    Ok(())
}

/// Makes such sides of the encrypted variant, or of the simulated one.
pub(super) struct SplitSides<'a, V> {
    pub(super) scheme: &'a registry::Parameters,
    pub(super) protocol: &'a split::Settings,
    pub(super) encrypted: bool,
    pub(super) visitor: V,
}

impl<V: Visitor> registry::Visitor for SplitSides<'_, V> {
    type Output = V::Output;

    fn visit<S: AdditiveScheme + Clone>(self, scheme: S) -> V::Output {
        let protocol = self.protocol;
        if self.encrypted {
            return self
                .visitor
                .visit(|meter| SplitSide { backend: Additive::new(scheme.clone(), meter), protocol });
        }
        let twin = Twin::of(&scheme, self.scheme.plaintext_bits());
        self.visitor.visit(|meter| SplitSide { backend: Additive::new(twin.clone(), meter), protocol })
    }
}
