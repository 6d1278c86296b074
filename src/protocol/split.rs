//! The split protocol of GELU-Net (IJCAI-18): linear layers on the server, activations at the client.
//!
//! A linear layer is any linear map between two activations: a dense layer, or a convolution and a mean, which together are one map with
//! sparse rows ([`Linear`]). Classification takes every network of such maps; training takes dense ones.
//!
//! The client holds the data and a Paillier key, the server the model in the clear and a key of its own. Forward, the
//! client sends `[a]_c`, the server answers `[W a + b]_c`, the client opens it and applies the activation (Algorithm 1).
//! Backward, it sends `[δ]_c` and gets `[Wᵀ δ]_c` (Algorithm 2). Gradients go to the server under the server's key, hidden
//! by masks whose sum the client remembers and takes out of whatever it opens (Algorithms 3 and 4); a session ends with
//! the sums of the true gradients, which put the server's weights right (Algorithm 5).
//!
//! What differs from the paper, and why:
//! * Masks are uniform integers `mask_security_bits` longer than what they hide, not elements of `Z_N`, so that masked
//!   weights stay short: every value is a signed integer that never wraps, which [`Settings::required_bits`] proves.
//! * Masked gradients of *all* layers, the last included, are sent after the backward pass. As printed, the last layer
//!   is never updated within a session and lower layers see weights that are already updated, which is not
//!   back-propagation. With this order training equals the same training without masks bit for bit.
//! * Sessions last 2 to [`Settings::session_bound`] iterations (the paper: up to m + 1). One opened pre-activation per
//!   neuron and iteration is a linear equation in its fan-in + 1 unknowns, so a session may not be longer than the
//!   smallest fan-in. A session of one iteration would show the server that iteration's gradient.
//!
//! What stays open in the protocol itself, masks or no masks:
//! * The client also opens `Wᵀ δ`, one equation per *column*, so it learns the last layer up to a shift that softmax
//!   ignores after (outputs - 1) iterations; with two outputs, after one.
//! * The bound is one session's. Clients must take turns, as in the paper: one that trains session after session and
//!   knows the learning rate collects equations across them. henn's runs have one client.
//! * Classification is not limited: after fan-in + 1 queries a client can solve for a dense layer. All positions of a
//!   convolution share its weights, so that one query has equations enough to solve for a whole convolution.
//!
//! Scales (fraction bits): activations and errors `fa`, gradients `fg`, learning rate `k`, weights `fw = fg + k`, biases
//! and sums `fw + fa`, bias gradients `fg + fa`.

pub mod client;
pub mod count;
pub mod server;

use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::backend::{Operation, OperationCounts, Rate};
use crate::math::stream::Stream;
use crate::network::{Linear, Loss, Nonlinearity};
use crate::protocol::channel::LENGTH_BYTES;
use crate::protocol::message::HEADER_BYTES;
use crate::protocol::transcript::Traffic;
use crate::scheme::encoding::Scale;
use crate::scheme::packing::Packing;

/// How gradients are hidden from the server during a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Masks {
    /// Uniform integers `mask_security_bits` longer than what they hide.
    #[default]
    Statistical,
    /// None: the server sees every gradient. For comparison only.
    None,
}

/// What both parties agree on before they start.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Settings {
    /// The linear layers, first layer first, without their weights.
    pub layers: Vec<Shape>,
    /// Activation of hidden layers.
    pub activation: Nonlinearity,
    /// Output and error function.
    pub loss: Loss,
    /// Test samples that travel together.
    pub batch: usize,
    /// Training iterations, one sample each.
    pub training_iterations: usize,
    /// Learning rate.
    pub rate: Rate,
    /// How gradients are hidden.
    pub masks: Masks,
    /// Statistical security of the masks.
    pub mask_security_bits: u32,
    /// fa.
    pub activation_bits: u32,
    /// fg.
    pub gradient_bits: u32,
    /// No weight, bias or step exceeds 2 to this power.
    pub weight_magnitude_bits: u32,
    /// No input, activation or error exceeds 2 to this power.
    pub activation_magnitude_bits: u32,
    /// How the server packs its answers, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packing: Option<Packing>,
    /// Whether both parties make encryptions of zero in advance, enough for the inference.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub precompute: bool,
}

/// What is known of a linear layer without its weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Shape {
    /// Columns of its matrix.
    pub inputs: usize,
    /// Rows of its matrix; each has a term at least.
    pub outputs: usize,
    /// Terms of all rows.
    pub terms: usize,
    /// Terms of the longest row: the fan-in.
    pub longest: usize,
    /// Terms of the shortest row.
    pub shortest: usize,
}

impl Shape {
    /// A layer in which every output takes every input.
    pub fn dense(inputs: usize, outputs: usize) -> Self {
        Self { inputs, outputs, terms: inputs * outputs, longest: inputs, shortest: inputs }
    }

    /// The layers of a fully connected network of these inputs, hidden neurons and outputs.
    pub fn dense_layers(widths: &[usize]) -> Vec<Self> {
        widths.windows(2).map(|pair| Self::dense(pair[0], pair[1])).collect()
    }

    /// The shape of a linear map.
    pub fn of(layer: &Linear) -> Self {
        let shortest = layer.rows.iter().map(|row| row.terms.len()).min().unwrap_or(0);
        Self {
            inputs: layer.inputs,
            outputs: layer.rows.len(),
            terms: layer.terms(),
            longest: layer.longest(),
            shortest,
        }
    }

    /// Weights and biases.
    pub fn parameters(self) -> usize {
        self.terms + self.outputs
    }
}

impl Settings {
    /// Outputs of the last layer.
    pub fn outputs(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.outputs)
    }

    /// Scale of activations and errors.
    pub fn activation_scale(&self) -> Scale {
        Scale(self.activation_bits)
    }

    /// Scale of weight gradients.
    pub fn gradient_scale(&self) -> Scale {
        Scale(self.gradient_bits)
    }

    /// Scale of bias gradients.
    pub fn bias_gradient_scale(&self) -> Scale {
        Scale(self.gradient_bits + self.activation_bits)
    }

    /// Scale of weights.
    pub fn weight_scale(&self) -> Scale {
        Scale(self.gradient_bits + self.rate.bits)
    }

    /// Scale of biases and of what the client opens.
    pub fn sum_scale(&self) -> Scale {
        Scale(self.weight_scale().0 + self.activation_bits)
    }

    /// Bits of a mask for a step at `scale`.
    pub fn mask_bits(&self, scale: Scale) -> u32 {
        scale.0 + self.weight_magnitude_bits + self.mask_security_bits
    }

    /// Encryptions by the client, and re-randomisations by the server, that classifying so many samples takes.
    pub fn inference_masks(&self, samples: usize) -> (usize, usize) {
        let counts = self.forecast(samples, &[], 0, 0).inference;
        let count = |operation| usize::try_from(counts.get(operation)).unwrap_or(usize::MAX);
        (count(Operation::Encryption), count(Operation::Rerandomisation))
    }

    /// The longest session that leaves every layer with at least one unknown a neuron: the smallest fan-in.
    pub fn session_bound(&self) -> usize {
        self.layers.iter().map(|layer| layer.shortest).min().unwrap_or(0)
    }

    /// Bits that the plaintext modulus must have so that no value of the circuit wraps, masks included.
    ///
    /// A masked weight is below `2^(fw + B) + d (2^(fw + B) + 2^(fw + B + σ)) < 2^(fw + B + σ + ⌈log2 d⌉ + 1)`; a sum has
    /// fan-in products of it with an activation below `2^(fa + A)`, and a bias; the fan-in is that of the longest row, or on
    /// the way back of the longest column. Two more bits hold the sign and the unused middle third. Where nothing is
    /// trained, weights are below `2^(fw + B)` and nothing is masked.
    pub fn required_bits(&self) -> u64 {
        self.magnitude_bits() + 2
    }

    /// Bits of the greatest magnitude that the client opens.
    pub fn magnitude_bits(&self) -> u64 {
        let log2 = |n: usize| n.max(1).next_power_of_two().trailing_zeros();
        let session = self.session_bound().max(2);
        let longest = self.layers.iter().map(|layer| layer.longest).max().unwrap_or(1);
        let (weight, fan_in) = if self.training_iterations == 0 {
            (self.weight_scale().0 + self.weight_magnitude_bits, longest)
        } else {
            let back = self.layers.iter().map(|layer| layer.outputs).max().unwrap_or(1);
            (self.mask_bits(self.weight_scale()) + log2(session) + 1, longest.max(back))
        };
        let sum = weight + self.activation_bits + self.activation_magnitude_bits + log2(fan_in + 1);
        u64::from(sum) + 1
    }

    /// The length of the next session when `left` iterations are left: uniform in 2 ..= bound, but never so that a single
    /// iteration stays over for a last session. `None` when that cannot be had.
    pub fn next_session(&self, left: usize, randomness: &Stream) -> Option<usize> {
        let bound = self.session_bound();
        if left < 2 || bound < 2 {
            return None;
        }
        let allowed: Vec<usize> = (2..=bound.min(left)).filter(|length| left - length != 1).collect();
        let allowed: Vec<usize> = if bound == 2 && left % 2 == 1 { Vec::new() } else { allowed };
        let index = randomness.rng().random_range(0..allowed.len().max(1));
        allowed.get(index).copied()
    }

    /// All sessions of a training run.
    pub fn sessions(&self, randomness: &Stream) -> Option<Vec<usize>> {
        let mut left = self.training_iterations;
        let mut sessions = Vec::new();
        while left > 0 {
            let next = self.next_session(left, &randomness.item(left as u64))?;
            sessions.push(next);
            left -= next;
        }
        Some(sessions)
    }

    /// What the protocol will compute and send, in closed form: for estimates before anything runs, and as a second
    /// opinion on what the channel counts.
    pub fn forecast(
        &self,
        samples: usize,
        sessions: &[usize],
        public_key_bytes: usize,
        ciphertext_bytes: usize,
    ) -> Forecast {
        let mut forecast = Forecast::default();
        let mut exchange = Exchange { traffic: &mut forecast.traffic, ciphertext_bytes };
        exchange.request(1, 0, public_key_bytes);
        exchange.answer(1, 0, public_key_bytes);
        let counts = &mut forecast.inference;
        let forward = |counts: &mut OperationCounts, samples: usize, layer: &Shape| {
            let count = |each: usize| (samples * each) as u64;
            counts.add(Operation::Encryption, count(layer.inputs));
            counts.add(Operation::ScalarProduct, count(layer.terms));
            counts.add(Operation::Addition, count(layer.terms - layer.outputs));
            counts.add(Operation::PlainAddition, count(layer.outputs));
        };
        // Every input of a layer that is trained has a weight.
        let backward = |counts: &mut OperationCounts, samples: usize, layer: &Shape| {
            let count = |each: usize| (samples * each) as u64;
            counts.add(Operation::Encryption, count(layer.outputs));
            counts.add(Operation::ScalarProduct, count(layer.terms));
            counts.add(Operation::Addition, count(layer.terms - layer.inputs));
        };
        // The answers to so many numbers a message, and what packing them takes.
        let answers = |counts: &mut OperationCounts, messages: usize, numbers: usize| {
            let packed = messages * self.packing.map_or(numbers, |packing| packing.plaintexts(numbers));
            let shifts = (messages * numbers - packed) as u64;
            counts.add(Operation::ScalarProduct, shifts);
            counts.add(Operation::Addition, shifts);
            counts.add(Operation::Rerandomisation, packed as u64);
            counts.add(Operation::Decryption, packed as u64);
            packed
        };
        let batches = samples.div_ceil(self.batch.max(1));
        for shape in &self.layers {
            exchange.request(batches, samples * shape.inputs, 0);
            forward(counts, samples, shape);
            let (full, last) = (samples / self.batch.max(1), samples % self.batch.max(1));
            let sent = answers(counts, full, self.batch * shape.outputs)
                + answers(counts, usize::from(last > 0), last * shape.outputs);
            exchange.answer(batches, sent, 0);
        }
        let parameters: usize = self.layers.iter().map(|shape| shape.parameters()).sum();
        let counts = &mut forecast.training;
        for &iterations in sessions {
            exchange.request(1, 0, 0);
            exchange.answer(1, 1, 0);
            counts.add(Operation::Encryption, 1);
            for shape in &self.layers {
                exchange.request(iterations, iterations * shape.inputs, 0);
                forward(counts, iterations, shape);
                let sent = answers(counts, iterations, shape.outputs);
                exchange.answer(iterations, sent, 0);
            }
            for shape in self.layers.iter().skip(1) {
                exchange.request(iterations, iterations * shape.outputs, 0);
                backward(counts, iterations, shape);
                let sent = answers(counts, iterations, shape.inputs);
                exchange.answer(iterations, sent, 0);
            }
            let masked = (iterations - 1) * parameters;
            exchange.one_way(iterations - 1, masked);
            for operation in [
                Operation::ScalarProduct,
                Operation::PlainAddition,
                Operation::Rerandomisation,
                Operation::Decryption,
            ] {
                counts.add(operation, masked as u64);
            }
            exchange.request(1, parameters, 0);
            exchange.answer(1, 0, 0);
            counts.add(Operation::Encryption, parameters as u64);
            counts.add(Operation::Decryption, parameters as u64);
        }
        forecast
    }
}

/// What a run of the protocol takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Forecast {
    /// Operations of both parties while classifying.
    pub inference: OperationCounts,
    /// Operations of both parties while training; weights are masked, so products cost more.
    pub training: OperationCounts,
    /// What goes over the channel.
    pub traffic: Traffic,
}

impl Forecast {
    /// Operations of both parties.
    pub fn operations(&self) -> OperationCounts {
        self.inference.plus(&self.training)
    }
}

/// Adds up messages that are alike.
struct Exchange<'a> {
    traffic: &'a mut Traffic,
    ciphertext_bytes: usize,
}

impl Exchange<'_> {
    fn bytes(&self, messages: usize, ciphertexts: usize, other: usize) -> u64 {
        (messages * (LENGTH_BYTES + HEADER_BYTES) + ciphertexts * self.ciphertext_bytes + other) as u64
    }

    fn one_way(&mut self, messages: usize, ciphertexts: usize) {
        self.traffic.bytes_up += self.bytes(messages, ciphertexts, 0);
        self.traffic.messages_up += messages as u64;
        self.traffic.ciphertexts_up += ciphertexts as u64;
    }

    fn request(&mut self, messages: usize, ciphertexts: usize, other: usize) {
        self.one_way(messages, ciphertexts);
        self.traffic.bytes_up += other as u64;
    }

    fn answer(&mut self, messages: usize, ciphertexts: usize, other: usize) {
        self.traffic.bytes_down += self.bytes(messages, ciphertexts, other);
        self.traffic.messages_down += messages as u64;
        self.traffic.ciphertexts_down += ciphertexts as u64;
        self.traffic.rounds += messages as u64;
    }
}
