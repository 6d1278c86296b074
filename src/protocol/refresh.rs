//! Training and classification on encrypted data and weights; the client refreshes what has used up its modulus (CryptoDL, 2018).
//!
//! The client owns data, weights and results; all of them reach the server encrypted under its key. Slots hold the samples of a batch. The
//! server goes forward with the polynomial in place of the activation, and back with its derivative, sums gradients over the slots and moves
//! the weights. Where levels or errors would not allow the next operation, it sends the ciphertexts of a step together to the client, who
//! decrypts, rescales and encrypts anew: the only place where numbers are divided.
//!
//! * [`Circuit`] is the computation, over any [`Engine`](crate::backend::slots::Engine), with a [`Refresher`] wherever it may ask the client.
//! * [`Schedule`] says where it asks: as the paper's counts have it, or as seldom as the parameters allow.
//! * [`Forecast`] is the same circuit over nothing: what is sent, in which order, at which scale and level. Both parties follow it.
//!
//! Networks have no biases, as those that the paper's counts belong to (77, 192, 452, 600, 640 refreshes).

mod circuit;
mod client;
mod forecast;
mod layout;
pub mod parameters;
mod schedule;
mod server;

use serde::Serialize;

pub use circuit::{Circuit, Part, Refresher, Request};
pub use client::{Checkpoint, Client, Opened, Refreshes};
pub use forecast::{Exchange, Forecast, Script, Tally};
pub use layout::{Form, Layout};
pub use schedule::{PaperLevels, Place, Point, Policy, Schedule};
pub use server::{Course, Phases, serve};

use crate::{
    approximation::Polynomial,
    backend::{Rate, slots::Rules},
    network::Loss,
};

/// What both parties agree on before they start.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Settings {
    /// Inputs, hidden neurons, outputs.
    pub widths: Vec<usize>,
    /// In place of every activation.
    pub activation: Polynomial,
    /// How outputs are read.
    pub loss: Loss,
    /// Samples of a batch; each has one slot or, as the slots are filled round and round, several.
    pub batch: usize,
    /// Iterations of training, one batch each; 0: the network is given, and classifies.
    pub iterations: usize,
    /// The step along the mean gradient.
    pub rate: Rate,
    /// Whether as many weights share a ciphertext as there are batches in its slots.
    pub packing: bool,
    /// Where ciphertexts are refreshed.
    pub policy: Policy,
    /// Primes of the ciphertexts' modulus; none: as many as the policy takes.
    pub levels: Option<usize>,
    /// Fraction bits of activations and errors; in CKKS of all numbers.
    pub activation_bits: u32,
    /// No input, activation or error exceeds 2 to this power where it is refreshed.
    pub activation_magnitude_bits: u32,
    /// Fraction bits of weights.
    pub weight_bits: u32,
    /// No weight exceeds 2 to this power where it is refreshed.
    pub weight_magnitude_bits: u32,
    /// Fraction bits of the polynomial's coefficients.
    pub coefficient_bits: u32,
}

fn power_of_two(bits: u32) -> f64 {
    libm::exp2(f64::from(bits))
}

impl Settings {
    /// Layers with weights.
    pub fn layers(&self) -> usize {
        self.widths.len().saturating_sub(1)
    }

    /// Weights of a layer, counted from 1.
    pub fn weights(&self, layer: usize) -> usize {
        self.widths[layer - 1] * self.widths[layer]
    }

    /// Ciphertexts of all weights, and of the layer that has most.
    pub fn weight_ciphertexts(&self, layout: Option<Layout>) -> (usize, usize) {
        let groups = |neurons: usize| layout.map_or(neurons, |layout| layout.groups(neurons));
        let layers = self.widths.windows(2).map(|pair| pair[0] * groups(pair[1]));
        layers.fold((0, 0), |(all, widest), layer| (all + layer, widest.max(layer)))
    }

    /// log2 of the slots that a batch takes.
    pub fn log_period(&self) -> u32 {
        self.batch.next_power_of_two().trailing_zeros()
    }

    /// Whether the polynomial is put over the outputs too, as it is where the network is trained by the protocol.
    pub fn activates_outputs(&self) -> bool {
        self.iterations > 0
    }

    /// Scale of activations.
    fn activation_scale(&self) -> f64 {
        power_of_two(self.activation_bits)
    }

    /// Greatest activation.
    fn activation_magnitude(&self) -> f64 {
        power_of_two(self.activation_magnitude_bits)
    }

    /// Scale of weights: that of all numbers where products are rescaled.
    fn weight_scale(&self, rules: &Rules) -> f64 {
        power_of_two(if rules.rescales() { self.activation_bits } else { self.weight_bits })
    }

    /// Greatest weight.
    fn weight_magnitude(&self) -> f64 {
        power_of_two(self.weight_magnitude_bits)
    }

    /// Scale and greatest magnitude of what is encrypted anew at a point.
    fn fresh(&self, point: Point, rules: &Rules) -> (f64, f64) {
        let period = power_of_two(self.log_period());
        let outputs = self.widths.last().copied().unwrap_or(1) as f64;
        let most = self.activation_magnitude();
        match point {
            Point::Weight => (self.weight_scale(rules), self.weight_magnitude()),
            Point::Gradient => (self.activation_scale(), most * period),
            Point::LossProduct => (self.activation_scale(), most * most * outputs),
            Point::LossSum => (self.activation_scale(), most * most * outputs * period),
            _ => (self.activation_scale(), most),
        }
    }
}

/// SecureML's messages in an iteration: a share of every sample's inputs of each layer, and of every weight
/// (CryptoDL, table 5: `|B| Σ d_(i-1) + Σ d_(i-1) d_i`).
pub fn secure_ml_count(widths: &[usize], batch: usize) -> u64 {
    let pairs = || widths.windows(2);
    let inputs: usize = pairs().map(|pair| pair[0]).sum();
    let weights: usize = pairs().map(|pair| pair[0] * pair[1]).sum();
    (batch * inputs + weights) as u64
}

#[cfg(test)]
mod tests;
