//! The client's side: it holds the data, opens pre-activations, applies activations and masks gradients.

#![expect(clippy::needless_pass_by_value, reason = "views of arrays are passed by value, as ndarray does")]

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use num_bigint::BigInt;

use crate::backend::{Backend, Matrix, Number};
use crate::math::stream::Stream;
use crate::protocol::ProtocolError;
use crate::protocol::message::{Kind, Message};
use crate::protocol::split::server::{Layer, backend, gradient_scales, unexpected};
use crate::protocol::split::{Masks, Settings, Shape};
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
}

/// The client of one server.
pub struct Client<'a, B: Backend> {
    backend: &'a B,
    settings: &'a Settings,
    link: &'a mut Link,
    private: &'a Stream,
    secret: B::SecretKey,
    server: B::PublicKey,
    outcome: Outcome,
    requests: u64,
}

/// What the client knows of a session: the sums of its masks (r^wc, r^bc) and of its gradients (Δ^c).
struct Session<N, C> {
    hidden_rate: C,
    masks: Vec<Layer<N>>,
    gradients: Vec<N>,
}

/// A forward pass: each layer's input and pre-activation.
struct Forward {
    inputs: Vec<Array1<f64>>,
    sums: Vec<Array1<f64>>,
}

impl<'a, B: Backend> Client<'a, B> {
    /// Exchanges keys with the server. `private` is where keys, encryptions and masks come from. About `samples` samples
    /// will be classified: so many encryptions are made in advance, if the settings say so.
    pub fn connect(
        backend: &'a B,
        settings: &'a Settings,
        link: &'a mut Link,
        private: &'a Stream,
        samples: usize,
    ) -> Result<Self, ProtocolError> {
        let secret = backend.generate_keys(&private.derive("keys"))?;
        let own = backend.write_public_key(backend.public_key(&secret));
        link.send(&Message::new(Kind::PublicKey, own))?;
        if settings.precompute {
            let (encryptions, _) = settings.inference_masks(samples);
            backend.precompute_own(&secret, encryptions, &private.derive("pool"))?;
        }
        let key = link.expect(Kind::PublicKey, "the server's public key")?;
        let server = backend.read_public_key(&key.body)?;
        let outputs = Array2::zeros((0, settings.outputs()));
        let outcome = Outcome { outputs, ..Outcome::default() };
        Ok(Self { backend, settings, link, private, secret, server, outcome, requests: 0 })
    }

    /// What has gone over the channel so far.
    pub fn traffic(&self) -> Traffic {
        self.link.traffic()
    }

    /// Ends the conversation.
    pub fn close(self) -> Result<Outcome, ProtocolError> {
        self.link.send(&Message::new(Kind::Close, Vec::new()))?;
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

    /// Trains on `features` and `labels`, one sample an iteration, in sessions of the server's choosing.
    pub fn train(&mut self, features: ArrayView2<'_, f64>, labels: &[usize]) -> Result<(), ProtocolError> {
        let mut samples = features.outer_iter().zip(labels);
        let mut left = features.nrows().min(labels.len());
        while left > 0 {
            let count = u32::try_from(left).unwrap_or(u32::MAX);
            self.link.send(&Message { kind: Kind::Begin, layer: 0, count, body: Vec::new() })?;
            let answer = self.link.expect(Kind::Session, "a session")?;
            let length = answer.count as usize;
            // A session of one iteration would show its gradient to the server; in one longer than the bound, sums of
            // masks could outgrow the plaintext space.
            if length < 2 || length > left.min(self.settings.session_bound()) {
                return Err(unexpected(
                    &format!("a session of {length} iterations"),
                    "2 up to the session's bound",
                ));
            }
            let key = self.server.clone();
            let hidden_rate = self
                .backend
                .read_ciphertexts(&key, &answer.body)?
                .pop()
                .ok_or_else(|| unexpected("an empty session", "[1/η]"))?;
            let mut session = Session {
                hidden_rate,
                masks: zero_layers(self.settings),
                gradients: gradient_scales(self.settings).into_iter().map(B::Number::zero).collect(),
            };
            for iteration in 0..length {
                let Some((x, &label)) = samples.next() else { break };
                self.iterate(x, label, &mut session, iteration + 1 == length)?;
            }
            left -= length;
        }
        Ok(())
    }

    /// One iteration of Algorithms 1 and 2 on one sample.
    fn iterate(
        &mut self,
        x: ArrayView1<'_, f64>,
        label: usize,
        session: &mut Session<B::Number, B::Ciphertext>,
        last: bool,
    ) -> Result<(), ProtocolError> {
        let forward = self.forward(x, &session.masks)?;
        let layers = forward.sums.len();
        let Some(outputs) = forward.sums.last() else { return Ok(()) };
        self.outcome.losses.push(self.settings.loss.value(outputs.view(), label));
        let mut error = outputs.clone();
        self.settings.loss.differentiate(error.view_mut(), label);
        let mut errors = vec![error];
        for layer in (1..layers).rev() {
            let error = &errors[errors.len() - 1];
            let product = self.backward_layer(layer, error.view(), &session.masks)?;
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
            *sum = sum.add(gradient).map_err(backend)?;
        }
        if last { self.send_sums(session) } else { self.send_masked(session, &gradients) }
    }

    fn forward(
        &mut self,
        x: ArrayView1<'_, f64>,
        masks: &[Layer<B::Number>],
    ) -> Result<Forward, ProtocolError> {
        let mut forward = Forward { inputs: Vec::new(), sums: Vec::new() };
        let mut values = x.to_owned();
        for (layer, mask) in masks.iter().enumerate() {
            let sums = self.forward_layer(layer, values.view().insert_axis(Axis(0)), Some(mask))?;
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
        mask: Option<&Layer<B::Number>>,
    ) -> Result<Array2<f64>, ProtocolError> {
        let numbers =
            self.encode(inputs.iter().copied(), "an activation", self.settings.activation_scale())?;
        let width = self.settings.layers[layer].outputs;
        let opened = self.ask((Kind::Activations, Kind::Sums), layer, &numbers, inputs.nrows(), width)?;
        let mut values = Vec::with_capacity(opened.len());
        for (sample, sums) in numbers.chunks(inputs.ncols()).zip(opened.chunks(width)) {
            for (row, sum) in sums.iter().enumerate() {
                let sum = match mask {
                    Some(mask) => {
                        let dot = dot(&mask.weights.rows[row], sample, self.settings.sum_scale())?;
                        sum.add(&dot).and_then(|sum| sum.add(&mask.bias[row])).map_err(backend)?
                    }
                    None => sum.clone(),
                };
                values.push(self.record(&sum));
            }
        }
        Array2::from_shape_vec((inputs.nrows(), width), values)
            .map_err(|_| unexpected("sums of another shape", "one a sample and output"))
    }

    /// Sends `[δ]_c`, opens `[W̃ᵀ δ]_c` and takes the masks out (Algorithm 4).
    fn backward_layer(
        &mut self,
        layer: usize,
        error: ArrayView1<'_, f64>,
        masks: &[Layer<B::Number>],
    ) -> Result<Array1<f64>, ProtocolError> {
        let numbers = self.encode(error.iter().copied(), "an error", self.settings.activation_scale())?;
        let width = self.settings.layers[layer].inputs;
        let opened = self.ask((Kind::Errors, Kind::Products), layer, &numbers, 1, width)?;
        let mut values = Vec::with_capacity(width);
        let masks = masks[layer].weights.transposed();
        for (row, product) in masks.rows.iter().zip(&opened) {
            let dot = dot(row, &numbers, self.settings.sum_scale())?;
            let product = product.add(&dot).map_err(backend)?;
            values.push(self.record(&product));
        }
        Ok(values.into())
    }

    /// Δw = δ aᵀ and Δb = δ for every layer (equation 1), as fixed-point numbers in the order of parameters.
    fn gradients(&self, forward: &Forward, errors: &[Array1<f64>]) -> Result<Vec<B::Number>, ProtocolError> {
        let mut out = Vec::new();
        for (input, error) in forward.inputs.iter().zip(errors) {
            let products = error.iter().flat_map(|&e| input.iter().map(move |&a| e * a));
            out.extend(self.encode_step(products, self.settings.gradient_scale())?);
            out.extend(self.encode_step(error.iter().copied(), self.settings.bias_gradient_scale())?);
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
        let masks: Vec<B::Number> = (0..)
            .zip(gradient_scales(self.settings))
            .map(|(index, scale)| {
                let scale = Scale(scale.0 + self.settings.rate.bits);
                match self.settings.masks {
                    Masks::Statistical => {
                        let bits = self.settings.mask_bits(scale);
                        self.backend.random_mask(bits, scale, &mask_randomness.item(index))
                    }
                    Masks::None => B::Number::zero(scale),
                }
            })
            .collect();
        let masked = self.backend.mask_gradients(
            &self.server,
            &session.hidden_rate,
            gradients,
            &masks,
            &randomness.derive("encryption"),
        )?;
        let sums = session.masks.iter_mut().flat_map(Layer::parameters_mut);
        for (sum, mask) in sums.zip(&masks) {
            *sum = sum.add(mask).map_err(backend)?;
        }
        let body = self.backend.write_ciphertexts(&self.server, &masked);
        self.link.send(&Message::new(Kind::MaskedGradients, body))
    }

    /// Algorithm 5.
    fn send_sums(&mut self, session: &Session<B::Number, B::Ciphertext>) -> Result<(), ProtocolError> {
        let randomness = self.randomness();
        let sums = self.backend.encrypt(&self.server, &session.gradients, &randomness)?;
        let body = self.backend.write_ciphertexts(&self.server, &sums);
        self.link.send(&Message::new(Kind::SummedGradients, body))?;
        self.link.expect(Kind::Updated, "the end of the session")?;
        Ok(())
    }

    /// Sends numbers encrypted under the client's key and opens `count * width` numbers in answer.
    fn ask(
        &mut self,
        (request, response): (Kind, Kind),
        layer: usize,
        numbers: &[B::Number],
        count: usize,
        width: usize,
    ) -> Result<Vec<B::Number>, ProtocolError> {
        let randomness = self.randomness();
        let own = self.backend.public_key(&self.secret).clone();
        let sealed = self.backend.encrypt_own(&self.secret, numbers, &randomness)?;
        let body = self.backend.write_ciphertexts(&own, &sealed);
        let (wire_layer, wire_count) =
            (u32::try_from(layer).unwrap_or(u32::MAX), u32::try_from(count).unwrap_or(u32::MAX));
        self.link.send(&Message { kind: request, layer: wire_layer, count: wire_count, body })?;
        let answer = self.link.expect(response, "the answer of a layer")?;
        let ciphertexts = self.backend.read_ciphertexts(&own, &answer.body)?;
        let (packing, numbers) = (self.settings.packing, count * width);
        if answer.layer != wire_layer || ciphertexts.len() != self.backend.packed_len(numbers, packing) {
            return Err(unexpected(
                &format!("{} ciphertexts of layer {}", ciphertexts.len(), answer.layer),
                "a number for every sample and output of the layer that was asked for",
            ));
        }
        let scale = self.settings.sum_scale();
        Ok(self.backend.decrypt_packed(&self.secret, &ciphertexts, numbers, packing, scale)?)
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
            self.outcome.trace.push(integer.clone());
        }
        number.to_f64()
    }

    fn randomness(&mut self) -> Stream {
        self.requests += 1;
        self.private.derive("requests").item(self.requests)
    }
}

fn zero_layers<N: Number>(settings: &Settings) -> Vec<Layer<N>> {
    // Only dense layers are trained, so that a mask stands in every column.
    let row = |inputs| (0..inputs).map(|column| (column, N::zero(settings.weight_scale()))).collect();
    let layer = |shape: &Shape| Layer {
        weights: Matrix { columns: shape.inputs, rows: vec![row(shape.inputs); shape.outputs] },
        bias: vec![N::zero(settings.sum_scale()); shape.outputs],
    };
    settings.layers.iter().map(layer).collect()
}

fn dot<N: Number>(row: &[(usize, N)], numbers: &[N], scale: Scale) -> Result<N, ProtocolError> {
    let mut sum = N::zero(scale);
    for (column, weight) in row {
        sum = sum.add(&weight.multiply(&numbers[*column])).map_err(backend)?;
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
                N::from_f64(value, scale).map_err(backend)
            } else {
                Err(ProtocolError::Magnitude { what, value, bound, key })
            }
        })
        .collect()
}
