//! The sides of the protocol in which the server computes alone.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use crate::backend::slots::{Engine, Reals, SlotError, Slots};
use crate::backend::{OperationCounts, Value, Variant};
use crate::math::rns::Reservation;
use crate::network::Step;
use crate::protocol::channel::Channel;
use crate::protocol::non_interactive::{self, parameters};
use crate::protocol::split::client::Outcome;
use crate::protocol::transcript::{Link, Traffic};
use crate::runner::RunError;
use crate::runner::cell::Prepared;
use crate::runner::conversation::{Batches, Driven, ServerReport, Side, Visitor, the_one};
use crate::runner::watch::Watch;

/// A side of the protocol in which the server computes alone.
struct SlotSide<'a, E> {
    slots: Slots<E>,
    protocol: &'a non_interactive::Settings,
    forecast: &'a non_interactive::Forecast,
}

impl<E: Engine> Side for SlotSide<'_, E> {
    /// What goes into a layer and what comes out of it, where that is most.
    fn reserve(&self) -> Vec<Reservation> {
        let steps = self.protocol.hollow();
        let layers = steps.iter().filter_map(|step| match step {
            Step::Linear(layer) => Some(layer.inputs + layer.rows.len()),
            Step::Activation(_) => None,
        });
        self.slots.engine().reserve(layers.max().unwrap_or(0), 0)
    }

    fn link(&self, channel: Box<dyn Channel>, is_client: bool) -> Link {
        Link::new(channel, is_client, Some(self.forecast.ciphertext_bytes))
    }

    fn drive(&self, prepared: &Prepared, _watch: &Watch, links: &mut [Link]) -> Result<Driven, RunError> {
        let link = the_one(links)?;
        let private = prepared.private("client")?;
        let workload = prepared.workload();
        let start = Instant::now();
        let (mut keys_seconds, mut before) = (0.0, Traffic::default());
        let opened = non_interactive::infer(
            &self.slots,
            self.protocol,
            link,
            &private,
            (workload.features.view(), self.forecast.output_scale),
            |traffic| (keys_seconds, before) = (start.elapsed().as_secs_f64(), traffic),
        )?;
        let trace =
            opened.numbers.iter().filter_map(|number| number.integer().map(Cow::into_owned)).collect();
        let outcome = Outcome { outputs: opened.outputs, trace, ..Outcome::default() };
        let inference_seconds = start.elapsed().as_secs_f64() - keys_seconds;
        let slots = self.slots.engine().slots().max(1);
        let capacity = Some(workload.len().next_multiple_of(slots));
        let count = workload.len().div_ceil(slots);
        let classification = Some(Batches { count, traffic: link.traffic().since(&before) });
        Ok(Driven { outcome, keys_seconds, inference_seconds, capacity, classification, ..Driven::default() })
    }

    fn serve(
        &self,
        prepared: &Prepared,
        _watch: &Watch,
        links: &mut [Link],
    ) -> Result<ServerReport, RunError> {
        let link = the_one(links)?;
        non_interactive::serve(&self.slots, self.protocol, link, &prepared.trained)?;
        Ok(ServerReport { operations: self.counts().by_name(), ..ServerReport::default() })
    }

    fn counts(&self) -> OperationCounts {
        self.slots.meter().counts()
    }

    fn error_bound(&self) -> Option<f64> {
        // Exact numbers have none.
        (self.forecast.error > 0.0).then_some(self.forecast.error)
    }

    fn levels(&self) -> usize {
        self.forecast.levels
    }
}

/// Makes such sides, of a variant.
pub(super) struct SlotSides<'a, V> {
    pub(super) protocol: &'a non_interactive::Settings,
    pub(super) samples: usize,
    pub(super) variant: Variant,
    pub(super) visitor: V,
}

impl<V: Visitor> SlotSides<'_, V> {
    fn over<E: Engine>(self, engine: E, levels: usize) -> Result<V::Output, SlotError> {
        let forecast = &self.protocol.forecast(&engine, levels, self.samples)?;
        let (engine, protocol) = (Arc::new(engine), self.protocol);
        let make = |meter| SlotSide { slots: Slots::new(Arc::clone(&engine), meter), protocol, forecast };
        Ok(self.visitor.visit(make))
    }
}

impl<V: Visitor> parameters::Visitor for SlotSides<'_, V> {
    type Output = Result<V::Output, SlotError>;

    fn visit<E: Engine, T: Engine<Number = E::Number>>(
        self,
        engine: E,
        twin: T,
        levels: usize,
    ) -> Self::Output {
        match self.variant {
            Variant::Plain => self.over(Reals::exact(engine.slots()), 1),
            Variant::Simulated => self.over(twin, levels),
            Variant::Encrypted => self.over(engine, levels),
        }
    }
}
