//! The client's side: it holds the data, opens pre-activations, applies activations and masks gradients.

#![expect(clippy::needless_pass_by_value, reason = "views of arrays are passed by value, as ndarray does")]

use std::time::Instant;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use num_bigint::BigInt;

use crate::backend::{Backend, Number, Value};
use crate::math::stream::Stream;
use crate::protocol::ProtocolError;
use crate::protocol::message::{Kind, Message};
use crate::protocol::split::layer::{Layer, encoding, gradient_scales, unexpected, update, zero_layers};
use crate::protocol::split::{Arithmetics, Masks, Settings};
use crate::protocol::transcript::{Link, Traffic};
use crate::scheme::encoding::Scale;

/// What the client has learnt.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// The last layer's pre-activations, samples x outputs, of every sample that was classified.
    pub outputs: Array2<f64>,
    /// Loss of every training iteration, before its update.
    pub losses: Vec<f64>,
    /// Every integer that the client opened, masks taken out, in order; empty for real numbers.
    pub trace: Vec<BigInt>,
    /// What the final updates of its sessions (Algorithm 5) took of the channel.
    pub final_updates: Traffic,
    /// Seconds of the same, the server's part included.
    pub final_seconds: f64,
}

impl Outcome {
    /// Adds what another client of the same server has learnt.
    pub fn join(&mut self, other: Self) {
        self.losses.extend(other.losses);
        self.trace.extend(other.trace);
        self.final_updates = self.final_updates.plus(&other.final_updates, 1);
        self.final_seconds += other.final_seconds;
    }
}

/// A training sample: its features and its class.
pub type Sample<'s> = (ArrayView1<'s, f64>, usize);

/// The client of one server.
pub struct Client<'a, B: Backend> {
    arithmetics: Arithmetics<'a, B>,
    settings: &'a Settings,
    link: &'a mut Link,
    private: &'a Stream,
    secret: B::SecretKey,
    server: B::PublicKey,
    outcome: Outcome,
    requests: u64,
}

/// What the client knows of a session.
struct Session<N: Number, C> {
    hidden_rate: C,
    /// What the server's masked weights would be if the true ones were zero: κ of the sums of masks (r^wc, r^bc). Wiped when dropped.
    corrections: Vec<Layer<N>>,
    /// The sums of gradients (Δ^c).
    gradients: Vec<N>,
}

impl<N: Number, C> Drop for Session<N, C> {
    fn drop(&mut self) {
        self.corrections.iter_mut().for_each(Layer::wipe);
    }
}

/// A forward pass: each layer's input and pre-activation.
struct Forward {
    inputs: Vec<Array1<f64>>,
    sums: Vec<Array1<f64>>,
}

impl<'a, B: Backend> Client<'a, B> {
    /// Exchanges keys with the server. `private` is where keys, encryptions and masks come from. About `samples` samples
    /// will be classified: so many encryptions are made in advance, if the settings say so.
    ///
    /// # Errors
    /// [`ProtocolError::Room`] where keys are too short for the circuit.
    pub fn connect(
        arithmetics: impl Into<Arithmetics<'a, B>>,
        settings: &'a Settings,
        link: &'a mut Link,
        private: &'a Stream,
        samples: usize,
    ) -> Result<Self, ProtocolError> {
        let arithmetics = arithmetics.into();
        let Arithmetics { client: backend, server: theirs } = arithmetics;
        let secret = backend.generate_keys(&private.derive("keys"))?;
        let own = backend.write_public_key(backend.public_key(&secret));
        link.send(Message::new(Kind::PublicKey, own))?;
        if settings.precompute {
            let (encryptions, _) = settings.inference_masks(samples);
            backend.precompute_own(&secret, encryptions, &private.derive("pool"))?;
        }
        let key = link.expect(Kind::PublicKey, "the server's public key")?;
        let server = theirs.read_public_key(&key.body)?;
        let own_bits = backend.plaintext_bits(backend.public_key(&secret));
        settings.check_room(own_bits, theirs.plaintext_bits(&server))?;
        let outputs = Array2::zeros((0, settings.outputs()));
        let outcome = Outcome { outputs, ..Outcome::default() };
        Ok(Self { arithmetics, settings, link, private, secret, server, outcome, requests: 0 })
    }

    /// What has gone over the channel so far.
    pub fn traffic(&self) -> Traffic {
        self.link.traffic()
    }

    /// Ends the conversation.
    pub fn close(self) -> Result<Outcome, ProtocolError> {
        self.link.send(Message::new(Kind::Close, Vec::new()))?;
        Ok(self.outcome)
    }

    /// Classifies samples (samples x inputs); their outputs are appended to the outcome.
    pub fn infer(&mut self, features: ArrayView2<'_, f64>) -> Result<(), ProtocolError> {
        let layers = self.settings.layers.len();
        for batch in features.axis_chunks_iter(Axis(0), self.settings.batch.max(1)) {
            let mut values = batch.to_owned();
            for layer in 0..layers {
                let sums = self.forward_layer(layer, values.view(), None)?;
                values =
                    if layer + 1 == layers { sums } else { sums.mapv(|z| self.settings.activation.value(z)) };
            }
            self.outcome
                .outputs
                .append(Axis(0), values.view())
                .map_err(|_| unexpected("outputs of another width", "outputs"))?;
        }
        Ok(())
    }

    /// Trains on `features` and `labels`, one sample an iteration, in sessions of the server's choosing, with nobody else's between.
    pub fn train(&mut self, features: ArrayView2<'_, f64>, labels: &[usize]) -> Result<(), ProtocolError> {
        let mut left = features.nrows().min(labels.len());
        let mut samples = features.outer_iter().zip(labels.iter().copied());
        while left > 0 {
            left -= self.session(left, &mut samples)?;
        }
        Ok(())
    }

    /// A session, when `left` iterations of the training are left for all clients together; returns its length.
    ///
    /// # Errors
    /// [`ProtocolError::Unexpected`] when the server chooses a length that is not allowed, or the samples end.
    pub fn session(
        &mut self,
        left: usize,
        samples: &mut dyn Iterator<Item = Sample<'_>>,
    ) -> Result<usize, ProtocolError> {
        let count = u32::try_from(left).unwrap_or(u32::MAX);
        self.link.send(Message { kind: Kind::Begin, layer: 0, count, body: Vec::new().into() })?;
        let answer = self.link.expect(Kind::Session, "a session")?;
        let length = answer.count as usize;
        // A session of one iteration would show its gradient to the server; in one longer than the bound, sums of
        // masks could outgrow the plaintext space.
        let most = left.min(self.settings.session_bound());
        if length < 2 || length > most {
            let found = format!("a session of {length} iterations, where 2 to {most} are allowed");
            return Err(unexpected(&found, "2 up to the session's bound"));
        }
        let hidden_rate = self.arithmetics.server.read_ciphertexts(&self.server, &answer.body)?.pop();
        let mut session = Session {
            hidden_rate: hidden_rate.ok_or_else(|| unexpected("an empty session", "[1/η]"))?,
            corrections: zero_layers(self.settings)?,
            gradients: gradient_scales(self.settings).map(B::Number::zero).collect(),
        };
        for iteration in 0..length {
            let Some((x, label)) = samples.next() else {
                return Err(unexpected(
                    &format!("{iteration} samples"),
                    "a sample an iteration of the session",
                ));
            };
            self.iterate(x, label, &mut session, iteration + 1 == length)?;
        }
        Ok(length)
    }

    /// One iteration of Algorithms 1 and 2 on one sample.
    fn iterate(
        &mut self,
        x: ArrayView1<'_, f64>,
        label: usize,
        session: &mut Session<B::Number, B::Ciphertext>,
        last: bool,
    ) -> Result<(), ProtocolError> {
        let forward = self.forward(x, &session.corrections)?;
        let layers = forward.sums.len();
        let Some(outputs) = forward.sums.last() else { return Ok(()) };
        self.outcome.losses.push(self.settings.loss.value(outputs.view(), label));
        let mut error = outputs.clone();
        self.settings.loss.differentiate(error.view_mut(), label);
        let mut errors = vec![error];
        for layer in (1..layers).rev() {
            let error = &errors[errors.len() - 1];
            let product = self.backward_layer(layer, error.view(), &session.corrections)?;
            let activation = &self.settings.activation;
            let derivative = forward.sums[layer - 1]
                .iter()
                .zip(&forward.inputs[layer])
                .map(|(&z, &a)| activation.derivative(z, a));
            errors.push(product.iter().zip(derivative).map(|(q, d)| q * d).collect());
        }
        errors.reverse();
        let gradients = self.gradients(&forward, &errors)?;
        for (sum, gradient) in session.gradients.iter_mut().zip(&gradients) {
            *sum = sum.add(gradient).map_err(encoding)?;
        }
        if last { self.send_sums(session) } else { self.send_masked(session, &gradients) }
    }

    fn forward(
        &mut self,
        x: ArrayView1<'_, f64>,
        corrections: &[Layer<B::Number>],
    ) -> Result<Forward, ProtocolError> {
        let mut forward = Forward { inputs: Vec::new(), sums: Vec::new() };
        let mut values = x.to_owned();
        for (layer, correction) in corrections.iter().enumerate() {
            let sums = self.forward_layer(layer, values.view().insert_axis(Axis(0)), Some(correction))?;
            let sums = sums.row(0).to_owned();
            forward.inputs.push(values);
            values = sums.mapv(|z| self.settings.activation.value(z));
            forward.sums.push(sums);
        }
        Ok(forward)
    }

    /// Sends `[a]_c` for samples x inputs, opens `[W̃ a + b̃]_c` and takes the masks out (Algorithm 4).
    fn forward_layer(
        &mut self,
        layer: usize,
        inputs: ArrayView2<'_, f64>,
        correction: Option<&Layer<B::Number>>,
    ) -> Result<Array2<f64>, ProtocolError> {
        let numbers =
            self.encode(inputs.iter().copied(), "an activation", self.settings.activation_scale())?;
        let width = self.settings.layers[layer].outputs;
        let corrections = correction.map(|correction| {
            let rows = || correction.weights.rows.iter().zip(&correction.bias);
            let samples = numbers.chunks(inputs.ncols());
            let sums = samples.flat_map(|sample| rows().map(move |(row, bias)| dot(row, sample, bias)));
            sums.collect::<Result<Vec<_>, _>>()
        });
        let corrections = corrections.transpose()?;
        let kinds = (Kind::Activations, Kind::Sums);
        let opened = self.ask(kinds, layer, &numbers, (inputs.nrows(), width), corrections.as_deref())?;
        let values: Vec<f64> = opened.iter().map(|sum| self.record(sum)).collect();
        Array2::from_shape_vec((inputs.nrows(), width), values)
            .map_err(|_| unexpected("sums of another shape", "one a sample and output"))
    }

    /// Sends `[δ]_c`, opens `[W̃ᵀ δ]_c` and takes the masks out (Algorithm 4).
    fn backward_layer(
        &mut self,
        layer: usize,
        error: ArrayView1<'_, f64>,
        corrections: &[Layer<B::Number>],
    ) -> Result<Array1<f64>, ProtocolError> {
        let numbers = self.encode(error.iter().copied(), "an error", self.settings.activation_scale())?;
        let width = self.settings.layers[layer].inputs;
        let zero = B::Number::zero(self.settings.opened_scale(layer));
        let rows = corrections[layer].weights.transposed().rows;
        let corrections = rows.iter().map(|row| dot(row, &numbers, &zero)).collect::<Result<Vec<_>, _>>()?;
        let kinds = (Kind::Errors, Kind::Products);
        let opened = self.ask(kinds, layer, &numbers, (1, width), Some(&corrections))?;
        Ok(opened.iter().map(|product| self.record(product)).collect())
    }

    /// Δw = δ aᵀ and Δb = δ for every layer (equation 1), summed up over the places of a parameter, as fixed-point numbers in the order of
    /// parameters.
    fn gradients(&self, forward: &Forward, errors: &[Array1<f64>]) -> Result<Vec<B::Number>, ProtocolError> {
        let mut out = Vec::new();
        let scales = (self.settings.gradient_scale(), self.settings.bias_gradient_scale());
        for ((input, error), shape) in forward.inputs.iter().zip(errors).zip(&self.settings.layers) {
            if let Some(sharing) = &shape.sharing {
                let (weights, biases) = sharing.gradient(input.view(), error.view());
                out.extend(self.encode_step(weights.into_iter(), scales.0)?);
                out.extend(self.encode_step(biases.into_iter(), scales.1)?);
            } else {
                let products = error.iter().flat_map(|&e| input.iter().map(move |&a| e * a));
                out.extend(self.encode_step(products, scales.0)?);
                out.extend(self.encode_step(error.iter().copied(), scales.1)?);
            }
        }
        Ok(out)
    }

    /// Algorithm 3, and the masks' sums.
    fn send_masked(
        &mut self,
        session: &mut Session<B::Number, B::Ciphertext>,
        gradients: &[B::Number],
    ) -> Result<(), ProtocolError> {
        let randomness = self.randomness();
        let mask_randomness = randomness.derive("masks");
        let (backend, key) = (self.arithmetics.server, &self.server);
        let mut masks: Vec<B::Number> = (0..)
            .zip(gradient_scales(self.settings))
            .map(|(index, scale)| {
                let scale = Scale(scale.0 + self.settings.rate.bits);
                let randomness = mask_randomness.item(index);
                match self.settings.masks {
                    Masks::Exact => backend.uniform_mask(key, scale, &randomness),
                    Masks::Statistical => {
                        backend.random_mask(self.settings.mask_bits(scale), scale, &randomness)
                    }
                    Masks::None => B::Number::zero(scale),
                }
            })
            .collect();
        let bits = match self.settings.masks {
            Masks::Exact => backend.plaintext_bits(key).unwrap_or(0),
            Masks::Statistical => self.settings.mask_bits(self.settings.sum_scale()).into(),
            Masks::None => 1,
        };
        let mut sent = self.packed(&masks);
        let masked = backend.mask_gradients(
            key,
            &session.hidden_rate,
            &self.packed(gradients),
            (&sent, self.settings.packed_mask_bits().unwrap_or(bits)),
            &randomness.derive("encryption"),
        )?;
        sent.iter_mut().for_each(B::Number::wipe);
        update(backend, key, self.settings.masks, &mut session.corrections, &masks)?;
        masks.iter_mut().for_each(B::Number::wipe);
        let body = backend.write_ciphertexts(key, &masked);
        self.link.send(Message::new(Kind::MaskedGradients, body))
    }

    /// A number a parameter as it is sent.
    fn packed(&self, numbers: &[B::Number]) -> Vec<B::Number> {
        let mut rest = numbers;
        let mut packed = Vec::new();
        for run in self.settings.gradient_runs() {
            let (part, others) = rest.split_at(run.count);
            rest = others;
            match run.packing {
                Some(packing) => packed.extend(self.arithmetics.server.pack(part, packing)),
                None => packed.extend_from_slice(part),
            }
        }
        packed
    }

    /// Algorithm 5.
    fn send_sums(&mut self, session: &Session<B::Number, B::Ciphertext>) -> Result<(), ProtocolError> {
        let randomness = self.randomness();
        let (before, start) = (self.link.traffic(), Instant::now());
        let backend = self.arithmetics.server;
        let sums = backend.encrypt(&self.server, &self.packed(&session.gradients), &randomness)?;
        let body = backend.write_ciphertexts(&self.server, &sums);
        self.link.send(Message::new(Kind::SummedGradients, body))?;
        self.link.expect(Kind::Updated, "the end of the session")?;
        self.outcome.final_updates = self.outcome.final_updates.plus(&self.link.traffic().since(&before), 1);
        self.outcome.final_seconds += start.elapsed().as_secs_f64();
        Ok(())
    }

    /// Sends numbers encrypted under the client's key, opens `count * width` numbers in answer and takes corrections off them.
    fn ask(
        &mut self,
        (request, response): (Kind, Kind),
        layer: usize,
        numbers: &[B::Number],
        (count, width): (usize, usize),
        corrections: Option<&[B::Number]>,
    ) -> Result<Vec<B::Number>, ProtocolError> {
        let randomness = self.randomness();
        let backend = self.arithmetics.client;
        let own = backend.public_key(&self.secret);
        let sealed = backend.encrypt_own(&self.secret, numbers, &randomness)?;
        let body = backend.write_ciphertexts(own, &sealed);
        let (wire_layer, wire_count) =
            (u32::try_from(layer).unwrap_or(u32::MAX), u32::try_from(count).unwrap_or(u32::MAX));
        self.link.send(Message { kind: request, layer: wire_layer, count: wire_count, body: body.into() })?;
        let answer = self.link.expect(response, "the answer of a layer")?;
        let ciphertexts = backend.read_ciphertexts(own, &answer.body)?;
        let (scale, expected) = (self.settings.opened_scale(layer), count * width);
        let packing =
            if corrections.is_some() { self.settings.training_packing() } else { self.settings.packing };
        if answer.layer != wire_layer || ciphertexts.len() != backend.packed_len(expected, packing) {
            return Err(unexpected(
                &format!("{} ciphertexts of layer {}", ciphertexts.len(), answer.layer),
                "a number for every sample and output of the layer that was asked for",
            ));
        }
        let Some(corrections) = corrections else {
            return Ok(backend.decrypt_packed(&self.secret, &ciphertexts, expected, packing, scale)?);
        };
        let opened = backend.decrypt_corrected(&self.secret, &ciphertexts, corrections, packing, scale)?;
        let max = self.settings.unmasked_bits();
        let longest = opened.iter().filter_map(|number| Some(number.integer()?.bits())).max().unwrap_or(0);
        if longest > max {
            return Err(ProtocolError::Beyond { bits: longest, max });
        }
        Ok(opened)
    }

    fn encode(
        &self,
        values: impl Iterator<Item = f64>,
        what: &'static str,
        scale: Scale,
    ) -> Result<Vec<B::Number>, ProtocolError> {
        let bits = self.settings.activation_magnitude_bits;
        bounded(values, what, bits, "activation_magnitude_bits", scale)
    }

    fn encode_step(
        &self,
        values: impl Iterator<Item = f64>,
        scale: Scale,
    ) -> Result<Vec<B::Number>, ProtocolError> {
        bounded(values, "a gradient", self.settings.weight_magnitude_bits, "weight_magnitude_bits", scale)
    }

    /// Notes an opened number and returns its value.
    fn record(&mut self, number: &B::Number) -> f64 {
        if let Some(integer) = number.integer() {
            self.outcome.trace.push(integer.into_owned());
        }
        number.to_f64()
    }

    fn randomness(&mut self) -> Stream {
        self.requests += 1;
        self.private.derive("requests").item(self.requests)
    }
}

/// The dot product of a row with numbers, and a number that is added.
fn dot<N: Number>(row: &[(usize, N)], numbers: &[N], start: &N) -> Result<N, ProtocolError> {
    let mut sum = start.clone();
    for (column, weight) in row {
        sum = sum.add(&weight.multiply(&numbers[*column])).map_err(encoding)?;
    }
    Ok(sum)
}

fn bounded<N: Number>(
    values: impl Iterator<Item = f64>,
    what: &'static str,
    bits: u32,
    key: &'static str,
    scale: Scale,
) -> Result<Vec<N>, ProtocolError> {
    let bound = libm::exp2(f64::from(bits));
    values
        .map(|value| {
            if value.abs() <= bound {
                N::from_f64(value, scale).map_err(encoding)
            } else {
                Err(ProtocolError::Magnitude { what, value, bound, key })
            }
        })
        .collect()
}
