//! The client: it owns keys, data and weights, and encrypts anew what the server asks for.

#![expect(clippy::needless_pass_by_value, reason = "a view of an array is a reference already")]

use ndarray::{Array1, Array2, ArrayView2, Axis};
use num_bigint::BigInt;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::{Exchange, Forecast, Layout, Point, Request, Script, Settings, forecast::chunks, server};
use crate::{
    backend::{
        Number,
        slots::{Engine, SlotError, Slots},
    },
    math::stream::Stream,
    protocol::{
        ProtocolError,
        message::{Kind, Message},
        transcript::Link,
    },
};

/// What the client has opened.
#[derive(Debug, Clone, Default)]
pub struct Opened {
    /// Outputs, samples x classes.
    pub outputs: Array2<f64>,
    /// Mean loss of every iteration, before its step.
    pub losses: Vec<f64>,
    /// Weights after training, layer by layer, outputs x inputs.
    pub weights: Vec<Array2<f64>>,
    /// Every integer behind results, and a hash over those that were encrypted anew; empty for real numbers.
    pub trace: Vec<BigInt>,
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
    hash: Sha256,
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
        link.send(&Message::new(Kind::PublicKey, engine.write_evaluation(&evaluation)))?;
        let (opened, hash) = (Opened::default(), Sha256::new());
        Ok(Self { slots, settings, forecast, link, private, secret, layout, encrypted: 0, opened, hash })
    }

    /// Sends the weights, layer by layer, outputs x inputs.
    ///
    /// # Errors
    /// [`ProtocolError::Magnitude`] for a weight beyond the promised bound, and what channel and arithmetic refuse.
    pub fn send_weights(&mut self, weights: &[ArrayView2<'_, f64>]) -> Result<(), ProtocolError> {
        for (layer, weights) in (1..).zip(weights) {
            let slots = self.layout.weights(weights.view());
            let bytes = self.slots.engine().payload_bytes(self.slots.rules().levels(), true);
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

    /// Trains: an iteration a batch of samples (samples x features) with their labels. Weights must have been sent.
    ///
    /// # Errors
    /// [`ProtocolError::Magnitude`], and what channel and arithmetic refuse.
    pub fn train(&mut self, batches: &[(Array2<f64>, Vec<usize>)]) -> Result<(), ProtocolError> {
        let Some(script) = &self.forecast.training else { return Ok(()) };
        for (features, labels) in batches {
            let mut body = self.encrypt_features(features.view())?;
            let outputs = self.settings.widths.last().copied().unwrap_or(0);
            let wanted = Array2::from_shape_fn((outputs, labels.len()), |(output, sample)| {
                f64::from(u8::from(labels[sample] == output))
            });
            // Where there are no neurons the activation of nothing is to be no error.
            let nothing = self.settings.activation.value(0.0);
            let wanted = self.layout.grouped(wanted.view(), nothing);
            let count = self.settings.widths[0] + wanted.len();
            body.extend(self.encrypt(Point::Label, &wanted)?);
            self.send(Kind::Activations, 0, count, body)?;
            self.follow(script)?;
            let state = script.results.first().ok_or(SlotError::Empty)?;
            let loss = self.receive(Kind::Sums, 1, state.scale)?;
            let sum = loss[0].first().map_or(f64::NAN, Number::to_f64);
            self.keep(loss[0].iter().take(1));
            self.opened.losses.push(sum / self.layout.period as f64);
            self.opened.trace.extend(self.digest());
        }
        let states: Vec<_> = script.results.iter().skip(1).cloned().collect();
        for (layer, state) in (1..).zip(&states) {
            let (outputs, inputs) = (self.settings.widths[layer], self.settings.widths[layer - 1]);
            let bytes = self.slots.engine().payload_bytes(state.level, false);
            let mut slots = Vec::new();
            for count in chunks(self.layout.groups(outputs) * inputs, bytes) {
                slots.extend(self.receive(Kind::Weights, count, state.scale)?);
            }
            let layout = self.layout;
            let number = |at: (usize, usize)| layout.weight(&slots, at, inputs);
            let all = (0..outputs).flat_map(|output| (0..inputs).map(move |input| (output, input)));
            let numbers: Vec<E::Number> = all.filter_map(number).collect();
            self.opened.trace.extend(numbers.iter().filter_map(|number| number.integer().cloned()));
            let values = numbers.iter().map(Number::to_f64).collect();
            let shape = (outputs, inputs);
            let weights = Array2::from_shape_vec(shape, values).map_err(|error| {
                ProtocolError::Unexpected { found: error.to_string(), expected: "weights" }
            })?;
            self.opened.weights.push(weights);
        }
        Ok(())
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
            self.follow(script)?;
            let state = script.results.first().ok_or(SlotError::Empty)?;
            let slots = self.receive(Kind::Sums, self.layout.groups(outputs), state.scale)?;
            for sample in 0..batch.nrows() {
                let numbers: Vec<E::Number> =
                    (0..outputs).filter_map(|neuron| self.layout.neuron(&slots, neuron, sample)).collect();
                self.opened.trace.extend(numbers.iter().filter_map(|number| number.integer().cloned()));
                rows.push(numbers.iter().map(Number::to_f64).collect::<Array1<f64>>());
            }
            self.opened.trace.extend(self.digest());
        }
        let mut found = Array2::zeros((rows.len(), outputs));
        found.outer_iter_mut().zip(&rows).for_each(|(mut to, from)| to.assign(from));
        self.opened.outputs = found;
        Ok(())
    }

    /// Weights after training.
    pub fn weights(&self) -> &Vec<Array2<f64>> {
        &self.opened.weights
    }

    /// Ends the conversation.
    ///
    /// # Errors
    /// What the channel refuses.
    pub fn close(self) -> Result<Opened, ProtocolError> {
        self.link.send(&Message::new(Kind::Close, Vec::new()))?;
        Ok(self.opened)
    }

    /// Encrypts anew what the server asks for, in the order that is known.
    fn follow(&mut self, script: &Script) -> Result<(), ProtocolError> {
        script.exchanges.iter().try_for_each(|exchange| self.refresh(exchange))
    }

    fn refresh(&mut self, exchange: &Exchange) -> Result<(), ProtocolError> {
        let Exchange { request, sent, state, answered } = exchange;
        let Request { place: (point, layer), from, to, neurons } = *request;
        let opened = self.receive(Kind::Refresh, *sent, state.scale)?;
        for slots in &opened {
            self.keep(slots.iter());
        }
        let values: Vec<Vec<f64>> =
            opened.iter().map(|slots| slots.iter().map(Number::to_f64).collect()).collect();
        drop(opened);
        let fresh = self.layout.reformed(&values, from, to, neurons);
        let body = self.encrypt(point, &fresh)?;
        self.send(Kind::Refreshed, layer, *answered, body)
    }

    fn encrypt_features(&mut self, features: ArrayView2<'_, f64>) -> Result<Vec<u8>, ProtocolError> {
        let slots: Vec<_> =
            features.columns().into_iter().map(|column| self.layout.replicated(column)).collect();
        self.encrypt(Point::Activation, &slots)
    }

    /// Fresh ciphertexts of slots, as they are sent.
    fn encrypt(&mut self, point: Point, slots: &[Vec<f64>]) -> Result<Vec<u8>, ProtocolError> {
        let (scale, bound) = self.settings.fresh(point, self.slots.rules());
        let key = if point == Point::Weight { "weight_magnitude_bits" } else { "activation_magnitude_bits" };
        let what = if point == Point::Weight { "a weight" } else { "an activation or error" };
        let beyond = slots.iter().flatten().find(|value| !matches!(value.abs(), size if size <= bound));
        if let Some(&value) = beyond {
            return Err(ProtocolError::Magnitude { what, value, bound, key });
        }
        let randomness = self.private.derive("encryption");
        let first = self.encrypted;
        self.encrypted += slots.len() as u64;
        let one = |(index, values): (usize, &Vec<f64>)| {
            let randomness = randomness.item(first + index as u64);
            let ciphertext = self.slots.encrypt(&self.secret, values, scale, bound, &randomness)?;
            let mut bytes = Vec::new();
            self.slots.write(&ciphertext, true, &mut bytes);
            Ok(bytes)
        };
        let bytes: Result<Vec<Vec<u8>>, SlotError> = slots.par_iter().enumerate().map(one).collect();
        Ok(bytes?.concat())
    }

    fn send(&mut self, kind: Kind, layer: usize, count: usize, body: Vec<u8>) -> Result<(), ProtocolError> {
        self.link.send(&server::message(kind, layer, count, body))
    }

    /// The slots of so many ciphertexts.
    fn receive(
        &mut self,
        kind: Kind,
        count: usize,
        scale: f64,
    ) -> Result<Vec<Vec<E::Number>>, ProtocolError> {
        let message = self.link.expect(kind, "ciphertexts")?;
        let parts = server::parts(&message.body, message.count, count)?;
        let open = |mut bytes: &[u8]| {
            let opened = self.slots.open(&self.secret, &mut bytes, scale)?;
            if bytes.is_empty() {
                Ok(opened)
            } else {
                Err(SlotError::Length { what: "a ciphertext", found: bytes.len(), expected: 0 })
            }
        };
        let opened: Result<Vec<_>, SlotError> = parts.into_par_iter().map(open).collect();
        Ok(opened?)
    }

    fn keep<'n>(&mut self, numbers: impl Iterator<Item = &'n E::Number>) {
        for integer in numbers.filter_map(Number::integer) {
            self.hash.update(integer.to_signed_bytes_le());
            self.hash.update(b";");
        }
    }

    /// A hash of what was opened so far, where numbers are exact.
    fn digest(&self) -> Option<BigInt> {
        let exact = self.slots.rules().is_exact();
        exact.then(|| BigInt::from_bytes_be(num_bigint::Sign::Plus, &self.hash.clone().finalize()))
    }
}
