//! What the protocol computes and sends, in closed form.

use crate::backend::{Operation, OperationCounts};
use crate::protocol::channel::LENGTH_BYTES;
use crate::protocol::message::HEADER_BYTES;
use crate::protocol::split::{Settings, Shape};
use crate::protocol::transcript::Traffic;
use crate::scheme::packing::Packing;

impl Settings {
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
        for _ in 0..self.clients {
            exchange.request(1, 0, public_key_bytes);
            exchange.answer(1, 0, public_key_bytes);
        }
        let counts = &mut forecast.inference;
        let forward = |counts: &mut OperationCounts, samples: usize, layer: &Shape| {
            let count = |each: usize| (samples * each) as u64;
            counts.add(Operation::Encryption, count(layer.inputs));
            counts.add(Operation::ScalarProduct, count(layer.terms));
            counts.add(Operation::Addition, count(layer.terms - layer.outputs));
            counts.add(Operation::PlainAddition, count(layer.outputs));
        };
        let backward = |counts: &mut OperationCounts, samples: usize, layer: &Shape| {
            let count = |each: usize| (samples * each) as u64;
            counts.add(Operation::Encryption, count(layer.outputs));
            counts.add(Operation::ScalarProduct, count(layer.terms));
            counts.add(Operation::Addition, count(layer.terms - layer.reached()));
        };
        // The answers to so many numbers a message, and what packing them takes.
        let answers =
            |counts: &mut OperationCounts, packing: Option<Packing>, messages: usize, numbers: usize| {
                let packed = messages * packing.map_or(numbers, |packing| packing.plaintexts(numbers));
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
            let sent = answers(counts, self.packing, full, self.batch * shape.outputs)
                + answers(counts, self.packing, usize::from(last > 0), last * shape.outputs);
            exchange.answer(batches, sent, 0);
        }
        let gradients = self.gradient_ciphertexts();
        let packing = self.training_packing();
        for &iterations in sessions {
            exchange.request(1, 0, 0);
            exchange.answer(1, 1, 0);
            forecast.training.add(Operation::Encryption, 1);
            // Weights are masked from the second iteration on.
            for (counts, iterations) in
                [(&mut forecast.opening, 1), (&mut forecast.training, iterations.saturating_sub(1))]
            {
                for shape in &self.layers {
                    exchange.request(iterations, iterations * shape.inputs, 0);
                    forward(counts, iterations, shape);
                    let sent = answers(counts, packing, iterations, shape.outputs);
                    exchange.answer(iterations, sent, 0);
                }
                for shape in self.layers.iter().skip(1) {
                    exchange.request(iterations, iterations * shape.outputs, 0);
                    backward(counts, iterations, shape);
                    let sent = answers(counts, packing, iterations, shape.inputs);
                    exchange.answer(iterations, sent, 0);
                }
            }
            let masked = (iterations - 1) * gradients;
            exchange.one_way(iterations - 1, masked);
            let counts = &mut forecast.training;
            for operation in [
                Operation::ScalarProduct,
                Operation::PlainAddition,
                Operation::Rerandomisation,
                Operation::Decryption,
            ] {
                counts.add(operation, masked as u64);
            }
            let mut exchange = Exchange { traffic: &mut forecast.final_updates, ciphertext_bytes };
            exchange.request(1, gradients, 0);
            exchange.answer(1, 0, 0);
            counts.add(Operation::Encryption, gradients as u64);
            counts.add(Operation::Decryption, gradients as u64);
        }
        forecast.traffic = forecast.traffic.plus(&forecast.final_updates, 1);
        forecast
    }
}

/// What a run of the protocol takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Forecast {
    /// Operations of both parties while classifying.
    pub inference: OperationCounts,
    /// Operations of both parties in the first iterations of sessions, in which weights are not masked yet.
    pub opening: OperationCounts,
    /// Operations of both parties in the rest of training; weights are masked, so products cost more.
    pub training: OperationCounts,
    /// What goes over the channels.
    pub traffic: Traffic,
    /// Of it, the final updates of sessions (Algorithm 5): the sums up, and the word that they have been applied down.
    pub final_updates: Traffic,
}

impl Forecast {
    /// Operations of both parties.
    pub fn operations(&self) -> OperationCounts {
        self.inference.plus(&self.opening).plus(&self.training)
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
