//! Inference by a server that computes alone: the client sends encrypted samples and opens encrypted outputs.
//!
//! A ciphertext holds one feature of many samples, a slot each (CryptoNets, ICML 2016). The model is the server's, in the clear; layers are
//! sums of products with its weights, and the activation is a polynomial. One message goes up with the keys for products, then one up
//! and one down a batch.
//!
//! What is known of every ciphertext depends on the shape of the network, on the polynomial and on [`Settings::norm`], not on the weights, so
//! that [`parameters::plan`] finds parameters before anything is trained, and the client knows scale and length of the answer.

use std::sync::Arc;

use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;
use serde::Serialize;

use crate::{
    approximation::Polynomial,
    backend::{
        BackendError, Meter, Number, OperationCounts,
        slots::{Ciphertext, Dry, Engine, Of, SlotError, Slots},
    },
    math::stream::Stream,
    network::{LayerSpec, Loss, Network, Shape, Step},
    protocol::{
        ProtocolError,
        channel::LENGTH_BYTES,
        message::{HEADER_BYTES, Kind, Message},
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
    /// The magnitudes of a neuron's weights and bias sum to no more than 2 to this power.
    pub norm_bits: u32,
}

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

    /// The magnitudes of a neuron's weights and bias sum to no more than this.
    pub fn norm(&self) -> f64 {
        power_of_two(self.norm_bits)
    }

    /// Products one after another from inputs to outputs, those with weights and coefficients included.
    pub fn depth(&self) -> u32 {
        let depth = |step: &Step| match step {
            Step::Linear(_) => 1,
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
        for step in steps {
            match step {
                Step::Linear(layer) => {
                    let scale = values.first().map_or(1.0, |value| value.state().scale);
                    let target = slots.rules().product_scale(scale, weight);
                    values = slots.affine(layer, &values, target, self.norm())?;
                }
                Step::Activation(_) => {
                    let activate = |z: &Of<E>| slots.polynomial(evaluation, z, &self.activation, coefficient);
                    values = values.par_iter().map(activate).collect::<Result<_, _>>()?;
                }
            }
        }
        values.par_iter().map(|value| slots.compact(value)).collect()
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
        let slots = Slots::new(Arc::new(Dry::of(engine, levels)), Meter::default());
        let inputs = (0..self.inputs())
            .map(|_| slots.encrypt(&(), &[], self.input_scale(), self.input_magnitude(), &Stream::seeded(0)))
            .collect::<Result<Vec<_>, _>>()?;
        let (fresh, top) = (inputs.len(), inputs.first().map_or(0, |input| input.state().level));
        let outputs = self.evaluate(&slots, &0, &self.hollow(), inputs)?;
        let count = outputs.len();
        let state = outputs.first().ok_or(SlotError::Empty)?.state().clone();
        for output in &outputs {
            slots.decrypt(&(), output)?;
        }
        let batches = samples.div_ceil(engine.slots().max(1)) as u64;
        let frame = (LENGTH_BYTES + HEADER_BYTES) as u64;
        let bytes = |payloads: usize, each: usize| frame + (payloads * each) as u64;
        let up = bytes(fresh, engine.payload_bytes(top, true));
        let down = bytes(count, engine.payload_bytes(state.level, false));
        let traffic = Traffic {
            rounds: batches,
            messages_up: 1 + batches,
            messages_down: batches,
            bytes_up: bytes(1, engine.evaluation_bytes(0)) + batches * up,
            bytes_down: batches * down,
            ciphertexts_up: batches * fresh as u64,
            ciphertexts_down: batches * count as u64,
        };
        Ok(Forecast {
            operations: slots.meter().counts().times(batches),
            work: slots.work().into_iter().map(|(key, count)| (key, count * batches)).collect(),
            traffic,
            longest_message: [bytes(1, engine.evaluation_bytes(0)), up, down]
                .into_iter()
                .max()
                .map_or(0, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
            ciphertext_bytes: [engine.payload_bytes(top, true), engine.payload_bytes(state.level, false)],
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
    keys_sent: impl FnOnce(),
) -> Result<Opened<E::Number>, ProtocolError> {
    let bound = settings.input_magnitude();
    if let Some(&value) = features.iter().find(|value| !matches!(value.abs(), size if size <= bound)) {
        let (what, key) = ("an input", "activation_magnitude_bits");
        return Err(ProtocolError::Magnitude { what, value, bound, key });
    }
    let (secret, evaluation) =
        slots.engine().generate(&[], &private.derive("keys")).map_err(BackendError::from)?;
    link.send(&Message::new(Kind::PublicKey, slots.engine().write_evaluation(&evaluation)))?;
    drop(evaluation);
    keys_sent();
    let width = settings.classes;
    let mut opened = Opened { outputs: Array2::zeros((0, width)), numbers: Vec::new() };
    let batches = features.axis_chunks_iter(Axis(0), slots.engine().slots().max(1));
    for (index, batch) in (0_u64..).zip(batches) {
        let randomness = private.derive("encryption").item(index);
        let columns: Vec<Vec<f64>> = batch.columns().into_iter().map(|column| column.to_vec()).collect();
        let bytes: Result<Vec<Vec<u8>>, SlotError> = (0_u64..)
            .zip(&columns)
            .collect::<Vec<_>>()
            .into_par_iter()
            .map(|(feature, column)| {
                let randomness = randomness.item(feature);
                let ciphertext =
                    slots.encrypt(&secret, column, settings.input_scale(), bound, &randomness)?;
                let mut bytes = Vec::new();
                slots.write(&ciphertext, true, &mut bytes);
                Ok(bytes)
            })
            .collect();
        let body = bytes.map_err(BackendError::from)?.concat();
        let count = u32::try_from(batch.nrows()).unwrap_or(u32::MAX);
        link.send(&Message { kind: Kind::Activations, layer: 0, count, body })?;
        let answer = link.expect(Kind::Sums, "outputs")?;
        let mut rest = &answer.body[..];
        let columns = (0..width).map(|_| slots.open(&secret, &mut rest, output_scale));
        let columns = columns.collect::<Result<Vec<_>, _>>().map_err(BackendError::from)?;
        if !rest.is_empty() {
            let (found, expected) = (format!("{} bytes too many", rest.len()), "outputs");
            return Err(ProtocolError::Unexpected { found, expected });
        }
        for sample in 0..batch.nrows() {
            let numbers: Vec<E::Number> = columns.iter().map(|column| column[sample].clone()).collect();
            let row: ndarray::Array1<f64> = numbers.iter().map(Number::to_f64).collect();
            // As wide as the outputs by construction.
            opened.outputs.append(Axis(0), row.view().insert_axis(Axis(0))).map_err(|error| {
                ProtocolError::Unexpected { found: error.to_string(), expected: "outputs" }
            })?;
            opened.numbers.extend(numbers);
        }
    }
    link.send(&Message::new(Kind::Close, Vec::new()))?;
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
    let steps = model.steps().unwrap_or_default();
    loop {
        let request = link.receive()?;
        if request.kind == Kind::Close {
            return Ok(());
        }
        let request = request.expect(Kind::Activations, "inputs")?;
        let mut rest = &request.body[..];
        let scale = (settings.input_scale(), settings.input_magnitude());
        let inputs = (0..settings.inputs()).map(|_| slots.read_fresh(&mut rest, scale.0, scale.1));
        let inputs: Vec<Ciphertext<_>> = inputs.collect::<Result<_, _>>().map_err(BackendError::from)?;
        if !rest.is_empty() {
            let (found, expected) = (format!("{} bytes too many", rest.len()), "inputs");
            return Err(ProtocolError::Unexpected { found, expected });
        }
        let outputs = settings.evaluate(slots, &evaluation, &steps, inputs).map_err(|error| match error {
            SlotError::Norm { found, most, .. } => ProtocolError::Magnitude {
                what: "the sum of a neuron's weights",
                value: found,
                bound: most,
                key: "norm_bits",
            },
            other => BackendError::from(other).into(),
        })?;
        let mut body = Vec::new();
        for output in &outputs {
            slots.write(output, false, &mut body);
        }
        let count = request.count;
        link.send(&Message { kind: Kind::Sums, layer: 0, count, body })?;
    }
}
