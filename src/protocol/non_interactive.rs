//! Inference by a server that computes alone: the client sends encrypted samples and opens encrypted outputs.
//!
//! A ciphertext holds one feature of many samples, a slot each (CryptoNets, ICML 2016). The model is the server's, in the clear; layers are
//! sums of products with its weights, and the activation is a polynomial. One message goes up with the keys for products, then a batch's
//! inputs go up and its outputs down, each in as many messages as [`Settings::message_bytes`] asks for.
//!
//! What is known of every ciphertext depends on the shape of the network, on the polynomial and on bounds on the weights that both parties
//! know, not on the weights: so the client knows scale and length of the answer. The bounds are either promised
//! ([`Settings::norm_bits`]), so that [`parameters::plan`] finds parameters before anything is trained; or they are measured on
//! the trained network, layer by layer ([`Settings::measured`]), which the server then tells the client. In both cases magnitudes
//! follow by interval arithmetic: no input within its bound can pass them. A server whose weights pass them refuses.
//!
//! # The circuit of squares
//! With measured bounds activations are polynomials of degree 2, which [`squares`] makes squares by adapting the linear maps about them. A
//! square is neither relinearised nor rescaled: that is done once for every sum that a layer makes of squares, of which there are fewer. In
//! CKKS weights have a scale of their own, and sums are rescaled only as far as the scale of inputs is kept: few short primes suffice.

use std::sync::Arc;

use ndarray::{Array2, ArrayView2, Axis};
use serde::Serialize;

use crate::{
    approximation::Polynomial,
    backend::{
        BackendError, Meter, OperationCounts, Value,
        slots::{Dry, Engine, Of, SlotError, Slots},
    },
    math::{pool::map, stream::Stream},
    network::{LayerSpec, Loss, Network, Shape, Step, squares},
    protocol::{
        ProtocolError,
        channel::LENGTH_BYTES,
        message::{Body, HEADER_BYTES, Kind, Message},
        transcript::{Link, Traffic},
    },
};

pub mod parameters;

/// What both parties agree on before they start.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Settings {
    /// The shape of a sample.
    pub input: Shape,
    /// The layers; whatever function they name, `activation` stands for it.
    pub layers: Vec<LayerSpec>,
    /// Classes, one output each.
    pub classes: usize,
    /// In place of every activation.
    pub activation: Polynomial,
    /// How outputs are read.
    pub loss: Loss,
    /// Fraction bits of inputs; in CKKS of all numbers.
    pub input_bits: u32,
    /// No input exceeds 2 to this power.
    pub input_magnitude_bits: u32,
    /// Fraction bits of weights.
    pub weight_bits: u32,
    /// Fraction bits of the polynomial's coefficients.
    pub coefficient_bits: u32,
    /// The magnitudes of a neuron's weights and bias sum to no more than 2 to this power, where that is promised.
    pub norm_bits: u32,
    /// The same sums, layer by layer of the circuit of squares, where they are measured on the trained network; none as long as
    /// there is no such network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<Vec<f64>>,
    /// No message with more than one ciphertext is longer.
    pub message_bytes: usize,
}

/// Bytes of a message, where nothing else is asked for: inputs are computed with and sent at the same time.
pub const MESSAGE_BYTES: usize = 8 << 20;
/// Measured bounds are rounded up to multiples of this: sums in another order are within them.
const NORM_STEP: f64 = 1.0 / 64.0;

fn power_of_two(bits: u32) -> f64 {
    libm::exp2(f64::from(bits))
}

impl Settings {
    /// The scale of inputs.
    pub fn input_scale(&self) -> f64 {
        power_of_two(self.input_bits)
    }

    /// No input exceeds this.
    pub fn input_magnitude(&self) -> f64 {
        power_of_two(self.input_magnitude_bits)
    }

    /// The magnitudes of the weights and bias of a neuron of the `index`-th linear layer sum to no more than this.
    fn norm(&self, index: usize) -> f64 {
        match &self.measured {
            Some(norms) => norms.get(index).copied().unwrap_or(f64::INFINITY),
            None => power_of_two(self.norm_bits),
        }
    }

    /// What the server evaluates; nothing of a network that is not made of linear maps and activations, which experiments refuse.
    fn circuit(&self, model: &Network) -> Vec<Step> {
        let steps = model.steps().unwrap_or_default();
        if self.measured.is_some() { squares(steps, &self.activation).unwrap_or_default() } else { steps }
    }

    /// The same with the bounds of a trained network in place of those that were measured before.
    #[must_use]
    pub fn measured_on(self, model: &Network) -> Self {
        let circuit = self.circuit(model);
        let norms = circuit.iter().filter_map(|step| match step {
            Step::Linear(layer) => Some((layer.norm() / NORM_STEP).ceil() * NORM_STEP),
            Step::Activation(_) => None,
        });
        Self { measured: Some(norms.collect()), ..self }
    }

    /// How many ciphertexts of so many bytes go in a message.
    fn part(&self, ciphertext_bytes: usize) -> usize {
        (self.message_bytes / ciphertext_bytes.max(1)).max(1)
    }

    /// Products one after another from inputs to outputs, those with weights and coefficients included.
    pub fn depth(&self) -> u32 {
        let depth = |step: &Step| match step {
            Step::Linear(_) => 1,
            Step::Activation(_) if self.measured.is_some() => 1,
            Step::Activation(_) => self.activation.depth(),
        };
        self.hollow().iter().map(depth).sum()
    }

    /// The network's outputs from its inputs, all at as few primes as they need.
    ///
    /// # Errors
    /// [`SlotError::Norm`] where weights are greater than was promised; others where the parameters do not suffice.
    pub fn evaluate<E: Engine>(
        &self,
        slots: &Slots<E>,
        evaluation: &E::Evaluation,
        steps: &[Step],
        inputs: Vec<Of<E>>,
    ) -> Result<Vec<Of<E>>, SlotError> {
        let (weight, coefficient) = (power_of_two(self.weight_bits), power_of_two(self.coefficient_bits));
        let mut values = inputs;
        let mut linear = 0;
        let mut are_squares = false;
        for step in steps {
            values = match step {
                Step::Linear(layer) => {
                    let norm = self.norm(linear);
                    linear += 1;
                    if self.measured.is_some() {
                        let sums = slots.layer(layer, &values, weight, norm)?;
                        drop(values);
                        let settle = |sum: Of<E>| {
                            let sum = if are_squares { slots.relinearised(evaluation, &sum)? } else { sum };
                            slots.settled(sum)
                        };
                        map(sums, settle).into_iter().collect::<Result<_, _>>()?
                    } else {
                        let scale = values.first().map_or(1.0, |value| value.state().scale);
                        slots.affine(layer, &values, slots.rules().product_scale(scale, weight), norm)?
                    }
                }
                Step::Activation(_) if self.measured.is_some() => {
                    are_squares = true;
                    map(values, |z| slots.square(&z)).into_iter().collect::<Result<_, _>>()?
                }
                Step::Activation(_) => {
                    let activate = |z: &Of<E>| slots.polynomial(evaluation, z, &self.activation, coefficient);
                    map(&values, activate).into_iter().collect::<Result<_, _>>()?
                }
            };
        }
        map(&values, |value| slots.compact(value)).into_iter().collect()
    }

    /// The network without weights; nothing of what is not made of linear maps and activations, which experiments refuse.
    pub fn hollow(&self) -> Vec<Step> {
        let network = Network::hollow(self.input, &self.layers, self.loss, usize::MAX);
        network.ok().and_then(|network| network.steps()).unwrap_or_default()
    }

    fn inputs(&self) -> usize {
        self.input.len()
    }

    /// What so many samples take on an engine, from a run with nothing in place of numbers.
    ///
    /// # Errors
    /// Where the parameters do not suffice.
    pub fn forecast<E: Engine>(
        &self,
        engine: &E,
        levels: usize,
        samples: usize,
    ) -> Result<Forecast, SlotError> {
        self.forecast_of(&self.hollow(), engine, levels, samples)
    }

    /// The same with the network without weights, which takes a moment to make.
    fn forecast_of<E: Engine>(
        &self,
        hollow: &[Step],
        engine: &E,
        levels: usize,
        samples: usize,
    ) -> Result<Forecast, SlotError> {
        let slots = Slots::new(Arc::new(Dry::of(engine, levels)), Meter::default());
        let inputs = (0..self.inputs())
            .map(|_| slots.encrypt(&(), &[], self.input_scale(), self.input_magnitude(), &Stream::seeded(0)))
            .collect::<Result<Vec<_>, _>>()?;
        let (fresh, top) = (inputs.len(), inputs.first().map_or(0, |input| input.state().level));
        let outputs = self.evaluate(&slots, &0, hollow, inputs)?;
        let count = outputs.len();
        let state = outputs.first().ok_or(SlotError::Empty)?.state().clone();
        for output in &outputs {
            slots.decrypt(&(), output)?;
        }
        let batches = samples.div_ceil(engine.slots().max(1)) as u64;
        let ciphertext_bytes = [engine.payload_bytes(top, true), engine.payload_bytes(state.level, false)];
        let frame = (LENGTH_BYTES + HEADER_BYTES) as u64;
        let key_bytes = engine.evaluation_bytes(0);
        let keys = frame + key_bytes as u64;
        // Messages, their bytes, and those of the longest.
        let parts = |count: usize, each: usize| {
            let part = self.part(each);
            let messages = count.div_ceil(part) as u64;
            (messages, messages * frame + (count * each) as u64, frame + (count.min(part) * each) as u64)
        };
        let (up, down) = (parts(fresh, ciphertext_bytes[0]), parts(count, ciphertext_bytes[1]));
        let traffic = Traffic {
            rounds: batches,
            messages_up: 1 + batches * up.0,
            messages_down: batches * down.0,
            bytes_up: keys + batches * up.1,
            bytes_down: batches * down.1,
            ciphertexts_up: batches * fresh as u64,
            ciphertexts_down: batches * count as u64,
        };
        let longest = keys.max(up.2).max(down.2);
        Ok(Forecast {
            operations: slots.meter().counts().times(batches),
            work: slots.work().into_iter().map(|(key, count)| (key, count * batches)).collect(),
            traffic,
            key_bytes,
            longest_message: usize::try_from(longest).unwrap_or(usize::MAX),
            ciphertext_bytes,
            levels: top - state.level,
            output_scale: state.scale,
            error: slots.rules().error(&state),
            budget: slots.rules().budget(&state),
        })
    }
}

/// What a run of the protocol takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// Operations of both parties.
    pub operations: OperationCounts,
    /// The same by level.
    pub work: crate::backend::slots::Work,
    /// What goes over the channel.
    pub traffic: Traffic,
    /// Bytes of the keys that the server is given.
    pub key_bytes: usize,
    /// Bytes of the longest message.
    pub longest_message: usize,
    /// Bytes of a ciphertext on the way up and down.
    pub ciphertext_bytes: [usize; 2],
    /// Primes that are dropped on the way.
    pub levels: usize,
    /// The scale of the outputs.
    pub output_scale: f64,
    /// No output is farther from the exact circuit's than this.
    pub error: f64,
    /// Bits of the modulus that are left.
    pub budget: f64,
}

/// What the client has opened.
pub struct Opened<N> {
    /// Samples x outputs.
    pub outputs: Array2<f64>,
    /// The same as its owner sees them, sample by sample.
    pub numbers: Vec<N>,
}

/// The client: sends keys and samples (samples x inputs), opens outputs.
///
/// # Errors
/// [`ProtocolError::Magnitude`] for a feature beyond the circuit's bound, and what channel and arithmetic refuse.
pub fn infer<E: Engine>(
    slots: &Slots<E>,
    settings: &Settings,
    link: &mut Link,
    private: &Stream,
    (features, output_scale): (ArrayView2<'_, f64>, f64),
    keys_sent: impl FnOnce(Traffic),
) -> Result<Opened<E::Number>, ProtocolError> {
    let bound = settings.input_magnitude();
    if let Some(&value) = features.iter().find(|value| !matches!(value.abs(), size if size <= bound)) {
        let (what, key) = ("an input", "activation_magnitude_bits");
        return Err(ProtocolError::Magnitude { what, value, bound, key });
    }
    let (secret, evaluation) =
        slots.engine().generate(&[], &private.derive("keys")).map_err(BackendError::from)?;
    let bytes = slots.engine().evaluation_bytes(0);
    let body = Body::written(bytes, |out| slots.engine().write_evaluation(&evaluation, out));
    drop(evaluation);
    link.send(Message::new(Kind::PublicKey, body))?;
    keys_sent(link.traffic());
    let width = settings.classes;
    let mut opened = Opened { outputs: Array2::zeros((0, width)), numbers: Vec::new() };
    let batches = features.axis_chunks_iter(Axis(0), slots.engine().slots().max(1));
    for (index, batch) in (0_u64..).zip(batches) {
        let randomness = private.derive("encryption").item(index);
        let columns: Vec<(u64, Vec<f64>)> =
            (0_u64..).zip(batch.columns()).map(|(index, column)| (index, column.to_vec())).collect();
        let count = u32::try_from(batch.nrows()).unwrap_or(u32::MAX);
        for part in columns.chunks(settings.part(slots.fresh_bytes())) {
            let body = Body::of_parts(part.len(), slots.fresh_bytes(), |index, out| {
                let (feature, column) = &part[index];
                let randomness = randomness.item(*feature);
                let ciphertext =
                    slots.encrypt(&secret, column, settings.input_scale(), bound, &randomness)?;
                slots.write(&ciphertext, true, out);
                Ok::<_, SlotError>(())
            })
            .map_err(BackendError::from)?;
            link.send(Message { kind: Kind::Activations, layer: 0, count, body })?;
        }
        let mut columns = Vec::with_capacity(width);
        while columns.len() < width {
            let answer = link.expect(Kind::Sums, "outputs")?;
            let mut rest = &answer.body[..];
            let before = columns.len();
            while !rest.is_empty() && columns.len() < width {
                columns.push(slots.open(&secret, &mut rest, output_scale).map_err(BackendError::from)?);
            }
            if !rest.is_empty() || columns.len() == before {
                return Err(ill_fitting(rest.len(), "outputs"));
            }
        }
        for sample in 0..batch.nrows() {
            let numbers: Vec<E::Number> = columns.iter().map(|column| column[sample].clone()).collect();
            let row: ndarray::Array1<f64> = numbers.iter().map(Value::to_f64).collect();
            // As wide as the outputs by construction.
            opened.outputs.append(Axis(0), row.view().insert_axis(Axis(0))).map_err(|error| {
                ProtocolError::Unexpected { found: error.to_string(), expected: "outputs" }
            })?;
            opened.numbers.extend(numbers);
        }
    }
    link.send(Message::new(Kind::Close, Vec::new()))?;
    Ok(opened)
}

/// The server: answers batches of samples until the client closes.
///
/// # Errors
/// What channel and arithmetic refuse; [`SlotError::Norm`] where the model is beyond the circuit's bound.
pub fn serve<E: Engine>(
    slots: &Slots<E>,
    settings: &Settings,
    link: &mut Link,
    model: &Network,
) -> Result<(), ProtocolError> {
    let keys = link.expect(Kind::PublicKey, "the client's keys")?;
    // Keys for rotations, which nobody asked for, could fill the memory.
    let expected = slots.engine().evaluation_bytes(0);
    if keys.body.len() != expected {
        let found = format!("keys of {} bytes in place of {expected}", keys.body.len());
        return Err(ProtocolError::Unexpected { found, expected: "the client's keys" });
    }
    let evaluation = slots.engine().read_evaluation(&keys.body).map_err(BackendError::from)?;
    drop(keys);
    let steps = settings.circuit(model);
    loop {
        let Some((inputs, count)) = read_inputs(slots, settings, link)? else { return Ok(()) };
        let outputs = settings.evaluate(slots, &evaluation, &steps, inputs).map_err(|error| match error {
            SlotError::Norm { found, most, .. } => ProtocolError::Magnitude {
                what: "the sum of a neuron's weights",
                value: found,
                bound: most,
                key: "norm_bits",
            },
            other => BackendError::from(other).into(),
        })?;
        let bytes = outputs.first().map_or(1, |output| slots.bytes(output));
        for part in outputs.chunks(settings.part(bytes)) {
            let body = Body::of_parts(part.len(), bytes, |index, out| {
                slots.write(&part[index], false, out);
                Ok::<_, SlotError>(())
            })
            .map_err(BackendError::from)?;
            link.send(Message { kind: Kind::Sums, layer: 0, count, body })?;
        }
    }
}

/// The inputs of a batch, and how many samples it has.
type Batch<E> = (Vec<Of<E>>, u32);

/// The next batch; `None` where the client closes.
fn read_inputs<E: Engine>(
    slots: &Slots<E>,
    settings: &Settings,
    link: &mut Link,
) -> Result<Option<Batch<E>>, ProtocolError> {
    let (scale, magnitude) = (settings.input_scale(), settings.input_magnitude());
    let each = slots.fresh_bytes().max(1);
    let mut inputs = Vec::with_capacity(settings.inputs());
    loop {
        let request = link.receive()?;
        if request.kind == Kind::Close && inputs.is_empty() {
            return Ok(None);
        }
        let request = request.expect(Kind::Activations, "inputs")?;
        let missing = settings.inputs() - inputs.len();
        let ciphertexts = request.body.chunks(each);
        if ciphertexts.len() == 0 || ciphertexts.len() > missing {
            return Err(ill_fitting(request.body.len().saturating_sub(missing * each), "inputs"));
        }
        let read = |mut bytes: &[u8]| {
            let input = slots.read_fresh(&mut bytes, scale, magnitude).map_err(BackendError::from)?;
            if bytes.is_empty() { Ok(input) } else { Err(ill_fitting(bytes.len(), "inputs")) }
        };
        inputs.extend(map(ciphertexts, read).into_iter().collect::<Result<Vec<_>, ProtocolError>>()?);
        if inputs.len() == settings.inputs() {
            return Ok(Some((inputs, request.count)));
        }
    }
}

fn ill_fitting(bytes: usize, expected: &'static str) -> ProtocolError {
    let found = if bytes == 0 { "an empty message".to_owned() } else { format!("{bytes} bytes too many") };
    ProtocolError::Unexpected { found, expected }
}
