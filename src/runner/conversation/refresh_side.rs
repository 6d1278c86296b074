//! The sides of the protocol in which the client refreshes what the server computes with.

use std::sync::Arc;
use std::time::Instant;

use ndarray::{Array2, ArrayView2};

use crate::backend::slots::{Engine, Reals, SlotError, Slots};
use crate::backend::{OperationCounts, Variant};
use crate::math::rns::Reservation;
use crate::network::Network;
use crate::protocol::channel::Channel;
use crate::protocol::non_interactive::parameters;
use crate::protocol::refresh;
use crate::protocol::split::client::Outcome;
use crate::protocol::transcript::Link;
use crate::runner::RunError;
use crate::runner::cell::Prepared;
use crate::runner::conversation::{Driven, ServerReport, Side, Visitor, the_one};
use crate::runner::watch::{Saved, Watch};

/// A side of the protocol in which the client refreshes.
struct RefreshSide<'a, E> {
    slots: Slots<E>,
    protocol: &'a refresh::Settings,
    forecast: &'a refresh::Forecast,
}

impl<E: Engine> Side for RefreshSide<'_, E> {
    /// Keys, the network's ciphertexts, and what goes through it.
    fn reserve(&self) -> Vec<Reservation> {
        let (engine, protocol) = (self.slots.engine(), self.protocol);
        let layout =
            refresh::Layout::new(engine.slots(), engine.row(), protocol.log_period(), protocol.packing);
        let (weights, _) = protocol.weight_ciphertexts(layout);
        let rotations = layout.map_or(0, |layout| protocol.steps(&layout).len());
        engine.reserve(weights + protocol.widths.iter().sum::<usize>(), rotations)
    }

    fn link(&self, channel: Box<dyn Channel>, is_client: bool) -> Link {
        Link::new(channel, is_client, None)
    }

    fn drive(&self, prepared: &Prepared, watch: &Watch, links: &mut [Link]) -> Result<Driven, RunError> {
        let link = the_one(links)?;
        let private = prepared.private("client")?;
        let mut driven = Driven::default();
        let seconds = |start: Instant| start.elapsed().as_secs_f64();
        let start = Instant::now();
        let mut client = refresh::Client::connect(&self.slots, self.protocol, self.forecast, link, &private)?;
        driven.keys_seconds = seconds(start);
        let start = Instant::now();
        let weights = |network: &Network| -> Vec<Array2<f64>> {
            network.dense_layers().map(|layer| layer.weights.clone()).collect()
        };
        let mut model = weights(&prepared.trained);
        if self.protocol.iterations > 0 {
            let saved = watch.saved();
            if let Some(saved) = saved {
                client.resume(&saved.training)?;
                watch.resume(saved);
                client.link().resume(saved.traffic, saved.transcript);
                (driven.keys_seconds, driven.encryption_seconds) = saved.seconds_before;
            } else {
                client.send_weights(&views(&weights(&prepared.initial)))?;
                driven.encryption_seconds = seconds(start);
            }
            let (done, before) =
                saved.as_ref().map_or((0, 0.0), |saved| (saved.training.iterations(), saved.seconds));
            let started = if saved.is_some() { Instant::now() } else { start };
            let batches = prepared.training_batches(self.protocol.batch, self.protocol.iterations);
            for (features, labels) in batches.iter().skip(done) {
                client.iterate(features.view(), labels)?;
                watch.save(|phases, server| {
                    let link = client.link();
                    let (traffic, transcript) = (link.traffic(), link.chain());
                    Saved {
                        training: client.checkpoint(),
                        traffic,
                        transcript,
                        operations: [self.counts(), server].map(|counts| counts.by_name()),
                        phases,
                        seconds_before: (driven.keys_seconds, driven.encryption_seconds),
                        seconds: before + seconds(started),
                    }
                })?;
            }
            model = client.receive_weights()?;
            driven.training_seconds = before + seconds(started);
            driven.weights = model.iter().flatten().copied().collect();
        }
        let start = Instant::now();
        client.send_weights(&views(&model))?;
        driven.sending_seconds = seconds(start);
        if self.protocol.iterations == 0 {
            driven.encryption_seconds = driven.sending_seconds;
        }
        let start = Instant::now();
        client.classify(prepared.workload().features.view())?;
        driven.inference_seconds = seconds(start);
        let refresh::Opened { outputs, losses, trace, training, classification } = client.close()?;
        driven.outcome = Outcome { outputs, losses, trace, ..Outcome::default() };
        driven.refreshes = Some(if self.protocol.iterations > 0 {
            [training, classification]
        } else {
            [classification, refresh::Refreshes::default()]
        });
        Ok(driven)
    }

    fn serve(
        &self,
        prepared: &Prepared,
        watch: &Watch,
        links: &mut [Link],
    ) -> Result<ServerReport, RunError> {
        let link = the_one(links)?;
        let samples = prepared.workload().len();
        let iterations = watch.saved().map_or(0, |saved| saved.training.iterations());
        let course = refresh::Course { iterations, phases: &watch.phases };
        refresh::serve(&self.slots, self.protocol, self.forecast, link, samples, &course)?;
        let phases = (self.protocol.iterations > 0).then(|| watch.phases());
        Ok(ServerReport { operations: self.counts().by_name(), phases, ..ServerReport::default() })
    }

    fn counts(&self) -> OperationCounts {
        self.slots.meter().counts()
    }

    fn is_approximate(&self) -> bool {
        self.slots.rules().rescales()
    }
}

fn views(weights: &[Array2<f64>]) -> Vec<ArrayView2<'_, f64>> {
    weights.iter().map(|layer| layer.view()).collect()
}

/// Makes such sides, of a variant.
pub(super) struct RefreshSides<'a, V> {
    pub(super) scheme: &'a refresh::parameters::Planned,
    pub(super) protocol: &'a refresh::Settings,
    pub(super) samples: usize,
    pub(super) variant: Variant,
    pub(super) visitor: V,
}

impl<V: Visitor> RefreshSides<'_, V> {
    fn over<E: Engine>(self, engine: E, levels: usize) -> Result<V::Output, SlotError> {
        let protocol = self.protocol;
        let forecast = &protocol.forecast(&engine, levels, &self.scheme.schedules, self.samples)?;
        let engine = Arc::new(engine);
        let make = |meter| RefreshSide { slots: Slots::new(Arc::clone(&engine), meter), protocol, forecast };
        Ok(self.visitor.visit(make))
    }
}

impl<V: Visitor> parameters::Visitor for RefreshSides<'_, V> {
    type Output = Result<V::Output, SlotError>;

    fn visit<E: Engine, T: Engine<Number = E::Number>>(
        self,
        engine: E,
        twin: T,
        levels: usize,
    ) -> Self::Output {
        match self.variant {
            Variant::Plain => self.over(Reals::like(&engine), 1),
            Variant::Simulated => self.over(twin, levels),
            Variant::Encrypted => self.over(engine, levels),
        }
    }
}
