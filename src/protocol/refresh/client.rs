//! The client: it owns keys, data and weights, and encrypts anew what the server asks for.

#![expect(clippy::needless_pass_by_value, reason = "a view of an array is a reference already")]

use std::{borrow::Cow, collections::BTreeMap};

use ndarray::{Array1, Array2, ArrayView2, Axis};
use num_bigint::BigInt;
use serde::{Deserialize, Serialize};

use super::{Exchange, Forecast, Layout, Place, Point, Request, Script, Settings, forecast::chunks, server};
use crate::{
    backend::{
        Value,
        slots::{Engine, SlotError, Slots},
    },
    math::{pool::map, stream::Stream},
    protocol::{
        ProtocolError,
        message::{Body, Kind, Message},
        transcript::{Chain, Link},
    },
};

/// Numbers that were encrypted anew, in the paper's unit, a weight or neuron each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refreshes {
    /// Because their ciphertexts had used up their modulus.
    pub refreshed: u64,
    /// Only to lie in other slots.
    pub reformed: u64,
}

impl Refreshes {
    fn add(&mut self, other: Self) {
        self.refreshed += other.refreshed;
        self.reformed += other.reformed;
    }

    /// So many times over.
    #[must_use]
    pub fn times(self, times: u64) -> Self {
        Self { refreshed: self.refreshed * times, reformed: self.reformed * times }
    }
}

/// Where training stands between two iterations, as the client knows it: enough for another conversation to take it up. It holds the weights
/// as they are after the iteration, and is as secret as they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    losses: Vec<f64>,
    weights: Vec<Vec<Held>>,
    encrypted: u64,
    refreshes: Refreshes,
    trace: Vec<String>,
    opened: Chain,
}

impl Checkpoint {
    /// Iterations that are done.
    pub fn iterations(&self) -> usize {
        self.losses.len()
    }
}

/// What a ciphertext of weights holds, a number a block, and which of the client's encryptions it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Held {
    encryption: u64,
    numbers: Vec<f64>,
}

/// The values of slots, and the integers behind them as they are hashed; empty for real numbers.
struct Noted {
    values: Vec<f64>,
    integers: Vec<u8>,
}

impl Noted {
    fn of(slots: &[impl Value]) -> Self {
        let mut integers = Vec::new();
        for slot in slots {
            let before = integers.len();
            slot.write_integer(&mut integers);
            if integers.len() > before {
                integers.push(b';');
            }
        }
        Self { values: slots.iter().map(Value::to_f64).collect(), integers }
    }
}

/// What the client has opened.
#[derive(Debug, Clone, Default)]
pub struct Opened {
    /// Outputs, samples x classes.
    pub outputs: Array2<f64>,
    /// Mean loss of every iteration, before its step.
    pub losses: Vec<f64>,
    /// Every integer behind results, and a hash over those that were encrypted anew; empty for real numbers.
    pub trace: Vec<BigInt>,
    /// Counted in training as the client did it.
    pub training: Refreshes,
    /// The same in classification.
    pub classification: Refreshes,
}

/// The client of one server.
pub struct Client<'a, E: Engine> {
    slots: &'a Slots<E>,
    settings: &'a Settings,
    forecast: &'a Forecast,
    link: &'a mut Link,
    private: &'a Stream,
    secret: E::Secret,
    layout: Layout,
    encrypted: u64,
    opened: Opened,
    chain: Chain,
    /// Weights of all layers, as they were last encrypted.
    held: Vec<Vec<Held>>,
}

impl<'a, E: Engine> Client<'a, E> {
    /// Sends the keys. `private` is where keys and encryptions come from.
    ///
    /// # Errors
    /// What channel and arithmetic refuse.
    pub fn connect(
        slots: &'a Slots<E>,
        settings: &'a Settings,
        forecast: &'a Forecast,
        link: &'a mut Link,
        private: &'a Stream,
    ) -> Result<Self, ProtocolError> {
        let engine = slots.engine();
        let layout = server::layout(slots, settings)?;
        let steps = settings.steps(&layout);
        let (secret, evaluation) = engine.generate(&steps, &private.derive("keys"))?;
        let bytes = engine.evaluation_bytes(steps.len());
        let body = Body::written(bytes, |out| engine.write_evaluation(&evaluation, out));
        drop(evaluation);
        link.send(Message::new(Kind::PublicKey, body))?;
        Ok(Self {
            slots,
            settings,
            forecast,
            link,
            private,
            secret,
            layout,
            encrypted: 0,
            opened: Opened::default(),
            chain: Chain::default(),
            held: vec![Vec::new(); settings.layers()],
        })
    }

    /// Sends the weights, layer by layer, outputs x inputs.
    ///
    /// # Errors
    /// [`ProtocolError::Magnitude`] for a weight beyond the promised bound, and what channel and arithmetic refuse.
    pub fn send_weights(&mut self, weights: &[ArrayView2<'_, f64>]) -> Result<(), ProtocolError> {
        for (layer, weights) in (1..).zip(weights) {
            let slots = self.layout.weights(weights.view());
            let bytes = self.slots.fresh_bytes();
            let mut rest = &slots[..];
            for count in chunks(slots.len(), bytes) {
                let (part, after) = rest.split_at(count);
                rest = after;
                let body = self.encrypt(Point::Weight, part)?;
                self.send(Kind::Weights, layer, count, body)?;
            }
        }
        Ok(())
    }

    /// Takes up a training that another conversation began, in place of [`send_weights`](Self::send_weights): the same ciphertexts of weights
    /// are sent again, provided that keys and encryptions come from the same stream.
    ///
    /// # Errors
    /// Like `send_weights`; [`ProtocolError::Unexpected`] where the checkpoint is of another network.
    pub fn resume(&mut self, checkpoint: &Checkpoint) -> Result<(), ProtocolError> {
        let other = || ProtocolError::Unexpected {
            found: "a checkpoint of another training".to_owned(),
            expected: "one of this training",
        };
        let trace: Option<_> = checkpoint.trace.iter().map(|integer| integer.parse().ok()).collect();
        self.opened.trace = trace.ok_or_else(other)?;
        for (layer, held) in (1..).zip(&checkpoint.weights) {
            let widths = self.settings.widths.get(layer - 1..=layer).ok_or_else(other)?;
            let (count, blocks) = (widths[0] * self.layout.groups(widths[1]), self.layout.blocks);
            if held.len() != count || held.iter().any(|held| held.numbers.len() != blocks) {
                return Err(other());
            }
            let bytes = self.slots.fresh_bytes();
            let mut rest = &held[..];
            for count in chunks(count, bytes) {
                let (part, after) = rest.split_at(count);
                rest = after;
                let slots: Vec<_> = part.iter().map(|held| self.layout.spread(&held.numbers)).collect();
                let body = self.encrypt_items(Point::Weight, &slots, |index| part[index].encryption)?;
                self.send(Kind::Weights, layer, count, body)?;
            }
        }
        self.held.clone_from(&checkpoint.weights);
        (self.encrypted, self.chain) = (checkpoint.encrypted, checkpoint.opened);
        self.opened.losses.clone_from(&checkpoint.losses);
        self.opened.training = checkpoint.refreshes;
        Ok(())
    }

    /// Where training stands; between two iterations.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            losses: self.opened.losses.clone(),
            weights: self.held.clone(),
            encrypted: self.encrypted,
            refreshes: self.opened.training,
            trace: self.opened.trace.iter().map(BigInt::to_string).collect(),
            opened: self.chain,
        }
    }

    /// What has gone over the channel so far, for whoever keeps a checkpoint.
    pub fn link(&mut self) -> &mut Link {
        self.link
    }

    /// One iteration over a batch of samples (samples x features) with their labels. Weights must have been sent.
    ///
    /// # Errors
    /// [`ProtocolError::Magnitude`], and what channel and arithmetic refuse.
    pub fn iterate(&mut self, features: ArrayView2<'_, f64>, labels: &[usize]) -> Result<(), ProtocolError> {
        let Some(script) = &self.forecast.training else { return Ok(()) };
        let mut body = self.encrypt_features(features)?;
        let outputs = self.settings.widths.last().copied().unwrap_or(0);
        let wanted = Array2::from_shape_fn((outputs, labels.len()), |(output, sample)| {
            f64::from(u8::from(labels[sample] == output))
        });
        // Where there are no neurons the activation of nothing is to be no error.
        let nothing = self.settings.activation.value(0.0);
        let wanted = self.layout.grouped(wanted.view(), nothing);
        let count = self.settings.widths[0] + wanted.len();
        body.extend(&self.encrypt(Point::Label, &wanted)?);
        self.send(Kind::Activations, 0, count, body)?;
        self.held.iter_mut().for_each(Vec::clear);
        let refreshes = self.follow(script)?;
        self.opened.training.add(refreshes);
        let state = script.results.first().ok_or(SlotError::Empty)?;
        let loss = self.receive(Kind::Sums, 1, state.scale, |mut slots| {
            slots.truncate(1);
            Noted::of(&slots)
        })?;
        let sum = loss[0].values.first().copied().unwrap_or(f64::NAN);
        self.keep(&loss);
        self.opened.losses.push(sum / self.layout.period as f64);
        self.opened.trace.extend(self.digest());
        Ok(())
    }

    /// Ends the training: the weights, layer by layer, outputs x inputs.
    ///
    /// # Errors
    /// What channel and arithmetic refuse.
    pub fn receive_weights(&mut self) -> Result<Vec<Array2<f64>>, ProtocolError> {
        let Some(script) = &self.forecast.training else { return Ok(Vec::new()) };
        let mut layers = Vec::new();
        let states: Vec<_> = script.results.iter().skip(1).cloned().collect();
        for (layer, state) in (1..).zip(&states) {
            let (outputs, inputs) = (self.settings.widths[layer], self.settings.widths[layer - 1]);
            let bytes = self.slots.engine().payload_bytes(state.level, false);
            let mut slots = Vec::new();
            for count in chunks(self.layout.groups(outputs) * inputs, bytes) {
                slots.extend(self.receive(Kind::Weights, count, state.scale, |slots| slots)?);
            }
            let layout = self.layout;
            let number = |at: (usize, usize)| layout.weight(&slots, at, inputs);
            let all = (0..outputs).flat_map(|output| (0..inputs).map(move |input| (output, input)));
            let numbers: Vec<E::Number> = all.filter_map(number).collect();
            self.opened
                .trace
                .extend(numbers.iter().filter_map(|number| number.integer().map(Cow::into_owned)));
            let values = numbers.iter().map(Value::to_f64).collect();
            let shape = (outputs, inputs);
            let weights = Array2::from_shape_vec(shape, values).map_err(|error| {
                ProtocolError::Unexpected { found: error.to_string(), expected: "weights" }
            })?;
            layers.push(weights);
        }
        Ok(layers)
    }

    /// Classifies samples (samples x features) in batches. Weights must have been sent.
    ///
    /// # Errors
    /// [`ProtocolError::Magnitude`], and what channel and arithmetic refuse.
    pub fn classify(&mut self, features: ArrayView2<'_, f64>) -> Result<(), ProtocolError> {
        let script = &self.forecast.classification;
        let outputs = self.settings.widths.last().copied().unwrap_or(0);
        let mut rows = Vec::new();
        for batch in features.axis_chunks_iter(Axis(0), self.settings.batch) {
            let body = self.encrypt_features(batch)?;
            self.send(Kind::Activations, 0, self.settings.widths[0], body)?;
            let refreshes = self.follow(script)?;
            self.opened.classification.add(refreshes);
            let state = script.results.first().ok_or(SlotError::Empty)?;
            let slots = self.receive(Kind::Sums, self.layout.groups(outputs), state.scale, |slots| slots)?;
            for sample in 0..batch.nrows() {
                let numbers: Vec<E::Number> =
                    (0..outputs).filter_map(|neuron| self.layout.neuron(&slots, neuron, sample)).collect();
                self.opened
                    .trace
                    .extend(numbers.iter().filter_map(|number| number.integer().map(Cow::into_owned)));
                rows.push(numbers.iter().map(Value::to_f64).collect::<Array1<f64>>());
            }
            self.opened.trace.extend(self.digest());
        }
        let mut found = Array2::zeros((rows.len(), outputs));
        found.outer_iter_mut().zip(&rows).for_each(|(mut to, from)| to.assign(from));
        self.opened.outputs = found;
        Ok(())
    }

    /// Ends the conversation.
    ///
    /// # Errors
    /// What the channel refuses.
    pub fn close(self) -> Result<Opened, ProtocolError> {
        self.link.send(Message::new(Kind::Close, Vec::new()))?;
        Ok(self.opened)
    }

    /// Encrypts anew what the server asks for, in the order that is known; counts what it has done.
    fn follow(&mut self, script: &Script) -> Result<Refreshes, ProtocolError> {
        let mut done = Refreshes::default();
        // A step's ciphertexts may come in several messages.
        let mut so_far = BTreeMap::<Place, usize>::new();
        for exchange in &script.exchanges {
            let place = exchange.request.place;
            let first = so_far.entry(place).or_default();
            let ciphertexts = *first..*first + exchange.sent;
            *first = ciphertexts.end;
            self.refresh(exchange)?;
            let numbers = exchange.request.numbers(self.settings, &self.layout, ciphertexts);
            let is_refresh = script.schedule.refreshed.contains(&place);
            *(if is_refresh { &mut done.refreshed } else { &mut done.reformed }) += numbers;
        }
        Ok(done)
    }

    fn refresh(&mut self, exchange: &Exchange) -> Result<(), ProtocolError> {
        let Exchange { request, sent, state, answered } = exchange;
        let Request { place: (point, layer), from, to, neurons } = *request;
        let opened = self.receive(Kind::Refresh, *sent, state.scale, |slots| Noted::of(&slots))?;
        self.keep(&opened);
        let values: Vec<Vec<f64>> = opened.into_iter().map(|noted| noted.values).collect();
        let fresh = self.layout.reformed(&values, from, to, neurons);
        if point == Point::Weight {
            let layout = self.layout;
            let held = (self.encrypted..).zip(&fresh);
            let held =
                held.map(|(encryption, slots)| Held { encryption, numbers: layout.firsts(slots).collect() });
            self.held[layer - 1].extend(held);
        }
        let body = self.encrypt(point, &fresh)?;
        self.send(Kind::Refreshed, layer, *answered, body)
    }

    fn encrypt_features(&mut self, features: ArrayView2<'_, f64>) -> Result<Body, ProtocolError> {
        let slots: Vec<_> =
            features.columns().into_iter().map(|column| self.layout.replicated(column)).collect();
        self.encrypt(Point::Activation, &slots)
    }

    /// Fresh ciphertexts of slots, as they are sent.
    fn encrypt(&mut self, point: Point, slots: &[Vec<f64>]) -> Result<Body, ProtocolError> {
        let first = self.encrypted;
        self.encrypted += slots.len() as u64;
        self.encrypt_items(point, slots, |index| first + index as u64)
    }

    /// The same with the number of every encryption.
    fn encrypt_items(
        &self,
        point: Point,
        slots: &[Vec<f64>],
        number: impl Fn(usize) -> u64 + Sync,
    ) -> Result<Body, ProtocolError> {
        let (scale, bound) = self.settings.fresh(point, self.slots.rules());
        let key = if point == Point::Weight { "weight_magnitude_bits" } else { "activation_magnitude_bits" };
        let what = if point == Point::Weight { "a weight" } else { "an activation or error" };
        let beyond = |slots: &Vec<f64>| {
            slots.iter().copied().find(|value| !matches!(value.abs(), size if size <= bound))
        };
        if let Some(value) = slots.iter().find_map(beyond) {
            return Err(ProtocolError::Magnitude { what, value, bound, key });
        }
        let randomness = self.private.derive("encryption");
        let (engine, secret) = (self.slots, &self.secret);
        Ok(Body::of_parts(slots.len(), engine.fresh_bytes(), |index, out| {
            let randomness = randomness.item(number(index));
            let ciphertext = engine.encrypt(secret, &slots[index], scale, bound, &randomness)?;
            engine.write(&ciphertext, true, out);
            Ok::<_, SlotError>(())
        })?)
    }

    fn send(&mut self, kind: Kind, layer: usize, count: usize, body: Body) -> Result<(), ProtocolError> {
        self.link.send(server::message(kind, layer, count, body))
    }

    /// What is made of the slots of each of so many ciphertexts.
    fn receive<T: Send>(
        &mut self,
        kind: Kind,
        count: usize,
        scale: f64,
        make: impl Fn(Vec<E::Number>) -> T + Sync,
    ) -> Result<Vec<T>, ProtocolError> {
        let message = self.link.expect(kind, "ciphertexts")?;
        let parts = server::parts(&message.body, message.count, count)?;
        let open = |mut bytes: &[u8]| {
            let opened = self.slots.open(&self.secret, &mut bytes, scale)?;
            if bytes.is_empty() {
                Ok(make(opened))
            } else {
                Err(SlotError::Length { what: "a ciphertext", found: bytes.len(), expected: 0 })
            }
        };
        Ok(map(parts, open).into_iter().collect::<Result<_, SlotError>>()?)
    }

    fn keep(&mut self, opened: &[Noted]) {
        // Real numbers are not the same twice.
        opened
            .iter()
            .filter(|noted| !noted.integers.is_empty())
            .for_each(|noted| self.chain.extend([&noted.integers]));
    }

    /// A hash of what was opened so far, where numbers are exact.
    fn digest(&self) -> Option<BigInt> {
        let exact = self.slots.rules().is_exact();
        exact.then(|| BigInt::from_bytes_be(num_bigint::Sign::Plus, self.chain.as_bytes()))
    }
}
