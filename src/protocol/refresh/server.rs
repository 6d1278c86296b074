//! The server: it computes on what it cannot read.

use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};

use serde::{Deserialize, Serialize};

use super::{
    Circuit, Exchange, Forecast, Layout, Place, Point, Refresher, Request, Script, Settings, circuit::Part,
    forecast::chunks,
};
use crate::{
    backend::slots::{Engine, Of, SlotError, Slots},
    math::pool::map,
    protocol::{
        ProtocolError,
        message::{Body, Kind, Message},
        transcript::Link,
    },
};

/// Seconds that the server spent, waiting included.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phases {
    /// Going forward in training.
    pub forward: f64,
    /// Going back, and moving weights.
    pub backward: f64,
    /// Asking the client, which is part of the others.
    pub refresh: f64,
}

/// Where a training is taken up, and who hears of its course.
#[derive(Debug)]
pub struct Course<'a> {
    /// Iterations that are done already.
    pub iterations: usize,
    /// Seconds so far, kept up to date.
    pub phases: &'a Mutex<Phases>,
}

pub(super) fn layout<E: Engine>(slots: &Slots<E>, settings: &Settings) -> Result<Layout, ProtocolError> {
    let engine = slots.engine();
    let layout = Layout::new(engine.slots(), engine.row(), settings.log_period(), settings.packing);
    let (what, found, expected) = ("a batch", settings.batch, engine.row());
    Ok(layout.ok_or(SlotError::Length { what, found, expected })?)
}

pub(super) fn message(kind: Kind, layer: usize, count: usize, body: Body) -> Message {
    let number = |of: usize| u32::try_from(of).unwrap_or(u32::MAX);
    Message { kind, layer: number(layer), count: number(count), body }
}

/// The bytes of each of so many ciphertexts of one length.
pub(super) fn parts(body: &[u8], told: u32, count: usize) -> Result<Vec<&[u8]>, ProtocolError> {
    if u32::try_from(count) != Ok(told) || count == 0 || !body.len().is_multiple_of(count) || body.is_empty()
    {
        let found = format!("{told} ciphertexts in {} bytes in place of {count}", body.len());
        return Err(ProtocolError::Unexpected { found, expected: "ciphertexts" });
    }
    Ok(body.chunks_exact(body.len() / count).collect())
}

impl Settings {
    /// Steps of all rotations.
    pub fn steps(&self, layout: &Layout) -> Vec<i64> {
        if self.iterations == 0 {
            return Vec::new();
        }
        layout.sample_steps().chain(layout.block_steps()).collect()
    }
}

/// Serves one client: training, if there is any, from where it is taken up, and the classification of so many samples.
///
/// # Errors
/// What channel and arithmetic refuse.
pub fn serve<E: Engine>(
    slots: &Slots<E>,
    settings: &Settings,
    forecast: &Forecast,
    link: &mut Link,
    samples: usize,
    course: &Course<'_>,
) -> Result<(), ProtocolError> {
    let layout = layout(slots, settings)?;
    let keys = link.expect(Kind::PublicKey, "the client's keys")?;
    let expected = slots.engine().evaluation_bytes(settings.steps(&layout).len());
    if keys.body.len() != expected {
        let found = format!("keys of {} bytes in place of {expected}", keys.body.len());
        return Err(ProtocolError::Unexpected { found, expected: "the client's keys" });
    }
    let evaluation = slots.engine().read_evaluation(&keys.body)?;
    drop(keys);
    let mut server = Server { slots, settings, layout, link };
    let outputs = layout.groups(settings.widths.last().copied().unwrap_or(0));
    let inputs = settings.widths[0];
    if let Some(script) = &forecast.training {
        let mut weights = server.weights()?;
        for iteration in course.iterations..settings.iterations {
            let circuit = Circuit {
                slots,
                evaluation: &evaluation,
                settings,
                schedule: &script.schedule,
                layout,
                thin: false,
            };
            let mut given = server.fresh(Kind::Activations, inputs + outputs, Point::Activation)?;
            let labels = given.split_off(inputs);
            let name = format!("iteration {} of {}", iteration + 1, settings.iterations);
            let mut asking = Asking::new(&mut server, script, &name);
            let loss = circuit.iterate(&mut asking, &mut weights, given, labels)?;
            asking.leave(&mut course.phases.lock().unwrap_or_else(PoisonError::into_inner));
            server.send(Kind::Sums, 0, &[loss], script.results.first().map_or(1, |state| state.level))?;
        }
        for (layer, (weights, state)) in (1..).zip(weights.iter().zip(script.results.iter().skip(1))) {
            let bytes = slots.engine().payload_bytes(state.level, false);
            let mut rest = &weights[..];
            for count in chunks(weights.len(), bytes) {
                let (part, after) = rest.split_at(count);
                rest = after;
                server.send(Kind::Weights, layer, part, state.level)?;
            }
        }
    }
    let weights = server.weights()?;
    let script = &forecast.classification;
    let circuit =
        Circuit { slots, evaluation: &evaluation, settings, schedule: &script.schedule, layout, thin: false };
    let batches = samples.div_ceil(settings.batch);
    for batch in 1..=batches {
        let given = server.fresh(Kind::Activations, inputs, Point::Activation)?;
        let name = format!("classification {batch} of {batches}");
        let mut asking = Asking::new(&mut server, script, &name);
        let found = circuit.classify(&mut asking, &weights, given)?;
        server.send(Kind::Sums, 0, &found, script.results.first().map_or(1, |state| state.level))?;
    }
    server.link.expect(Kind::Close, "the end")?;
    Ok(())
}

struct Server<'a, E: Engine> {
    slots: &'a Slots<E>,
    settings: &'a Settings,
    layout: Layout,
    link: &'a mut Link,
}

impl<E: Engine> Server<'_, E> {
    /// All weights, which the client sends layer by layer.
    fn weights(&mut self) -> Result<Vec<Vec<Of<E>>>, ProtocolError> {
        let widths = &self.settings.widths;
        let bytes = self.slots.engine().payload_bytes(self.slots.rules().levels(), true);
        let counts: Vec<_> = widths.windows(2).map(|pair| self.layout.groups(pair[1]) * pair[0]).collect();
        let mut layers = Vec::new();
        for count in counts {
            let mut layer = Vec::new();
            for part in chunks(count, bytes) {
                layer.extend(self.fresh(Kind::Weights, part, Point::Weight)?);
            }
            layers.push(layer);
        }
        Ok(layers)
    }

    /// Fresh ciphertexts.
    fn fresh(&mut self, kind: Kind, count: usize, point: Point) -> Result<Vec<Of<E>>, ProtocolError> {
        let message = self.link.expect(kind, "ciphertexts")?;
        let (scale, magnitude) = self.settings.fresh(point, self.slots.rules());
        let parts = parts(&message.body, message.count, count)?;
        let read = |mut bytes: &[u8]| {
            let found = self.slots.read_fresh(&mut bytes, scale, magnitude)?;
            let (what, found_bytes) = ("a ciphertext", bytes.len());
            if bytes.is_empty() {
                Ok(found)
            } else {
                Err(SlotError::Length { what, found: found_bytes, expected: 0 })
            }
        };
        Ok(map(parts, read).into_iter().collect::<Result<_, SlotError>>()?)
    }

    /// Sends ciphertexts with as few primes as a plan found enough.
    fn send(
        &mut self,
        kind: Kind,
        layer: usize,
        ciphertexts: &[Of<E>],
        level: usize,
    ) -> Result<(), ProtocolError> {
        let bytes = self.slots.engine().payload_bytes(level, false);
        let body = Body::of_parts(ciphertexts.len(), bytes, |index, out| {
            self.slots.write(&*self.slots.drop_to(&ciphertexts[index], level)?, false, out);
            Ok::<_, SlotError>(())
        })?;
        self.link.send(message(kind, layer, ciphertexts.len(), body))
    }
}

/// Asks the client, by a script, and takes the time.
struct Asking<'s, 'a, E: Engine> {
    server: &'s mut Server<'a, E>,
    exchanges: std::slice::Iter<'s, Exchange>,
    since: Instant,
    part: Option<Part>,
    phases: Phases,
    /// For whoever watches.
    name: &'s str,
    asked: usize,
}

impl<'s, 'a, E: Engine> Asking<'s, 'a, E> {
    fn new(server: &'s mut Server<'a, E>, script: &'s Script, name: &'s str) -> Self {
        let (since, phases) = (Instant::now(), Phases::default());
        Self { server, exchanges: script.exchanges.iter(), since, part: None, phases, name, asked: 0 }
    }

    fn settle(&mut self) {
        let seconds = self.since.elapsed().as_secs_f64();
        match self.part {
            Some(Part::Forward) => self.phases.forward += seconds,
            Some(Part::Backward) => self.phases.backward += seconds,
            None => {}
        }
        self.since = Instant::now();
    }

    fn leave(mut self, total: &mut Phases) {
        self.settle();
        total.forward += self.phases.forward;
        total.backward += self.phases.backward;
        total.refresh += self.phases.refresh;
    }
}

impl<E: Engine> Refresher<E> for Asking<'_, '_, E> {
    fn refresh(&mut self, request: Request, ciphertexts: Vec<Of<E>>) -> Result<Vec<Of<E>>, ProtocolError> {
        let start = Instant::now();
        let (point, layer) = request.place;
        let Some(exchange) = self.exchanges.next().filter(|exchange| exchange.request == request) else {
            let found = format!("a refresh at {point:?} of layer {layer}");
            return Err(ProtocolError::Unexpected { found, expected: "the course that was planned" });
        };
        self.server.send(Kind::Refresh, layer, &ciphertexts, exchange.state.level)?;
        drop(ciphertexts);
        let fresh = self.server.fresh(Kind::Refreshed, exchange.answered, point)?;
        self.phases.refresh += start.elapsed().as_secs_f64();
        self.asked += exchange.sent;
        Ok(fresh)
    }

    fn pass(&mut self, (point, layer): Place) {
        let (name, asked) = (self.name, self.asked);
        let stage = format!("{name}, layer {layer}, {}, {asked} ciphertexts refreshed", point.name());
        self.server.slots.meter().at(stage);
    }

    fn enter(&mut self, part: Part) {
        self.settle();
        self.part = Some(part);
    }
}
