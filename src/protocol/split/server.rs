//! The server's side: it holds the model and sees ciphertexts and masked gradients.

use crate::backend::{Backend, Matrix, Number};
use crate::math::stream::Stream;
use crate::network::{Linear, Network, Step};
use crate::protocol::ProtocolError;
use crate::protocol::message::{Kind, Message};
use crate::protocol::split::{Settings, Shape};
use crate::protocol::transcript::Link;
use crate::scheme::encoding::{EncodingError, Scale};

/// A linear layer of backend numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer<N> {
    /// A row an output, at the scale of weights.
    pub weights: Matrix<N>,
    /// One an output, at the scale of sums.
    pub bias: Vec<N>,
}

impl<N: Number> Layer<N> {
    /// The numbers one after another: weights row by row, then biases.
    pub(super) fn parameters_mut(&mut self) -> impl Iterator<Item = &mut N> {
        self.weights.values_mut().chain(self.bias.iter_mut())
    }

    /// The numbers one after another: weights row by row, then biases.
    pub fn parameters(&self) -> impl Iterator<Item = &N> {
        self.weights.values().chain(self.bias.iter())
    }
}

/// Encodes a network's linear layers, refusing weights beyond the circuit's bound and layers of another shape than was agreed on.
pub fn encode_network<N: Number>(
    network: &Network,
    settings: &Settings,
) -> Result<Vec<Layer<N>>, ProtocolError> {
    let bound = libm::exp2(f64::from(settings.weight_magnitude_bits));
    let encode = |value: f64, scale: Scale| {
        if value.abs() <= bound {
            N::from_f64(value, scale).map_err(backend)
        } else {
            Err(ProtocolError::Magnitude { what: "a weight", value, bound, key: "weight_magnitude_bits" })
        }
    };
    let linear: Vec<Linear> = network
        .steps()
        .unwrap_or_default()
        .into_iter()
        .filter_map(|step| match step {
            Step::Linear(linear) => Some(linear),
            Step::Activation(_) => None,
        })
        .collect();
    if !linear.iter().map(Shape::of).eq(settings.layers.iter().copied()) {
        return Err(unexpected("a network of other layers", "the layers that were agreed on"));
    }
    let layer = |linear: Linear| {
        let mut rows = Vec::with_capacity(linear.rows.len());
        let mut bias = Vec::with_capacity(linear.rows.len());
        for row in linear.rows {
            let terms = row
                .terms
                .into_iter()
                .map(|(column, weight)| Ok((column, encode(weight, settings.weight_scale())?)));
            rows.push(terms.collect::<Result<_, ProtocolError>>()?);
            bias.push(encode(row.bias, settings.sum_scale())?);
        }
        Ok(Layer { weights: Matrix { columns: linear.inputs, rows }, bias })
    };
    linear.into_iter().map(layer).collect()
}

/// The server of one client.
pub struct Server<'a, B: Backend> {
    backend: &'a B,
    settings: &'a Settings,
    link: &'a mut Link,
    /// Where keys, encryptions and re-randomisations come from.
    private: &'a Stream,
    /// Where session lengths come from; public, so that they can be forecast.
    sessions: &'a Stream,
    secret: B::SecretKey,
    client: B::PublicKey,
    /// The model that classifies.
    inference: Vec<Layer<B::Number>>,
    /// The model in training: masked within a session.
    training: Vec<Layer<B::Number>>,
    session: Option<Session<B::Number>>,
    answers: u64,
    observer: Option<Observer<'a, B::Number>>,
}

/// Is shown every step that the server opens, `ηΔ + r` in the order of [`Layer::parameters`]: what a curious server has to work with.
pub type Observer<'a, N> = Box<dyn FnMut(&[N]) + 'a>;

/// What the server remembers of a session.
struct Session<N> {
    /// The weights it began with (w^I).
    start: Vec<Layer<N>>,
    /// Masked updates that are still to come.
    updates_left: usize,
}

impl<'a, B: Backend> Server<'a, B> {
    /// Exchanges keys with the client.
    ///
    /// `trained` classifies; `initial` is what training under the protocol starts from. About `samples` samples will be
    /// classified: so much is made in advance, if the settings say so.
    pub fn accept(
        backend: &'a B,
        settings: &'a Settings,
        link: &'a mut Link,
        private: &'a Stream,
        sessions: &'a Stream,
        (trained, initial): (&Network, &Network),
        samples: usize,
    ) -> Result<Self, ProtocolError> {
        let secret = backend.generate_keys(&private.derive("keys"))?;
        let key = link.expect(Kind::PublicKey, "the client's public key")?;
        let client = backend.read_public_key(&key.body)?;
        if settings.precompute {
            let (_, masks) = settings.inference_masks(samples);
            backend.precompute(&client, masks, &private.derive("pool"))?;
        }
        let own = backend.write_public_key(backend.public_key(&secret));
        link.send(&Message::new(Kind::PublicKey, own))?;
        Ok(Self {
            backend,
            settings,
            link,
            private,
            sessions,
            secret,
            client,
            inference: encode_network(trained, settings)?,
            training: encode_network(initial, settings)?,
            session: None,
            answers: 0,
            observer: None,
        })
    }

    /// Shows somebody the steps that are opened.
    #[must_use]
    pub fn observed_by(mut self, observer: Observer<'a, B::Number>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Answers until the client closes; returns the layers of the model in training.
    pub fn serve(mut self) -> Result<Vec<Layer<B::Number>>, ProtocolError> {
        loop {
            let message = self.link.receive()?;
            match message.kind {
                Kind::Activations => self.forward(&message)?,
                Kind::Errors => self.backward(&message)?,
                Kind::Begin => self.begin(message.count)?,
                Kind::MaskedGradients => self.masked_update(&message)?,
                Kind::SummedGradients => self.finish(&message)?,
                Kind::Close => return Ok(self.training),
                Kind::Fault => {
                    return Err(ProtocolError::Fault(String::from_utf8_lossy(&message.body).into_owned()));
                }
                other => return Err(unexpected(&format!("{other:?}"), "a request")),
            }
        }
    }

    /// Randomness for the next answer.
    fn randomness(&mut self) -> Stream {
        self.answers += 1;
        self.private.derive("answers").item(self.answers)
    }

    fn shape(&self, layer: u32) -> Result<Shape, ProtocolError> {
        self.settings
            .layers
            .get(layer as usize)
            .copied()
            .ok_or_else(|| unexpected(&format!("layer {layer}"), "a layer of the network"))
    }

    /// Reads ciphertexts under `key`, exactly `expected` of them.
    fn read(
        &self,
        key: &B::PublicKey,
        bytes: &[u8],
        expected: usize,
    ) -> Result<Vec<B::Ciphertext>, ProtocolError> {
        let wanted = expected.checked_mul(self.backend.ciphertext_bytes());
        if wanted != Some(bytes.len()) || expected == 0 {
            return Err(unexpected(
                &format!("{} bytes for {expected} ciphertexts", bytes.len()),
                "as many ciphertexts as announced",
            ));
        }
        Ok(self.backend.read_ciphertexts(key, bytes)?)
    }

    /// Algorithm 1, line 5: `[W a + b]_c`.
    fn forward(&mut self, message: &Message) -> Result<(), ProtocolError> {
        let shape = self.shape(message.layer)?;
        let inputs =
            self.read(&self.client, &message.body, (message.count as usize).saturating_mul(shape.inputs))?;
        let randomness = self.randomness();
        let model = if self.session.is_some() { &self.training } else { &self.inference };
        let layer = &model[message.layer as usize];
        let sums = self.backend.affine(
            &self.client,
            &layer.weights,
            Some(&layer.bias),
            &inputs,
            self.settings.packing,
            &randomness,
        )?;
        self.answer(Kind::Sums, message, &sums)
    }

    /// Algorithm 2, line 5: `[Wᵀ δ]_c`.
    fn backward(&mut self, message: &Message) -> Result<(), ProtocolError> {
        let shape = self.shape(message.layer)?;
        if self.session.is_none() || message.layer == 0 {
            return Err(unexpected("errors", "errors of an upper layer, within a session"));
        }
        let errors =
            self.read(&self.client, &message.body, (message.count as usize).saturating_mul(shape.outputs))?;
        let randomness = self.randomness();
        let weights = self.training[message.layer as usize].weights.transposed();
        let products =
            self.backend.affine(&self.client, &weights, None, &errors, self.settings.packing, &randomness)?;
        self.answer(Kind::Products, message, &products)
    }

    fn answer(
        &mut self,
        kind: Kind,
        request: &Message,
        ciphertexts: &[B::Ciphertext],
    ) -> Result<(), ProtocolError> {
        let body = self.backend.write_ciphertexts(&self.client, ciphertexts);
        self.link.send(&Message { kind, layer: request.layer, count: request.count, body })
    }

    /// Draws the session's length and gives `[1/η]_s` away (Algorithm 1, line 1; Algorithm 2, line 1).
    fn begin(&mut self, left: u32) -> Result<(), ProtocolError> {
        if self.session.is_some() {
            return Err(unexpected("Begin", "the end of the session that has begun"));
        }
        let length = self
            .settings
            .next_session(left as usize, &self.sessions.item(u64::from(left)))
            .ok_or_else(|| unexpected(&format!("{left} iterations left"), "at least 2 iterations"))?;
        let randomness = self.randomness();
        let hidden = self.backend.hide_rate(&self.secret, self.settings.rate, &randomness)?;
        self.session = Some(Session { start: self.training.clone(), updates_left: length - 1 });
        let body = self.backend.write_ciphertexts(self.backend.public_key(&self.secret), &[hidden]);
        let count = u32::try_from(length).unwrap_or(u32::MAX);
        self.link.send(&Message { kind: Kind::Session, layer: 0, count, body })
    }

    fn parameters(&self) -> usize {
        self.settings.layers.iter().map(|shape| shape.parameters()).sum()
    }

    fn scales(&self) -> Vec<Scale> {
        gradient_scales(self.settings)
    }

    /// Algorithm 2, line 12: w̃ ← w̃ - (ηΔ + r).
    fn masked_update(&mut self, message: &Message) -> Result<(), ProtocolError> {
        match &mut self.session {
            Some(session) if session.updates_left > 0 => session.updates_left -= 1,
            _ => return Err(unexpected("masked gradients", "no more than the session allows")),
        }
        let key = self.backend.public_key(&self.secret).clone();
        let masked = self.read(&key, &message.body, self.parameters())?;
        let mut at = 0;
        let mut steps = Vec::with_capacity(masked.len());
        for (scale, count) in runs(&self.scales()) {
            let part = masked.get(at..at + count).unwrap_or_default();
            steps.extend(self.backend.open_steps(&self.secret, self.settings.rate, part, scale)?);
            at += count;
        }
        if let Some(observe) = &mut self.observer {
            observe(&steps);
        }
        subtract(&mut self.training, &steps)
    }

    /// Algorithm 5: w^F = w^I - η ΣΔ.
    fn finish(&mut self, message: &Message) -> Result<(), ProtocolError> {
        let Some(session) = self.session.take() else {
            return Err(unexpected("summed gradients", "a session that has begun"));
        };
        let key = self.backend.public_key(&self.secret).clone();
        let sums = self.read(&key, &message.body, self.parameters())?;
        let mut at = 0;
        let mut steps = Vec::with_capacity(sums.len());
        for (scale, count) in runs(&self.scales()) {
            let part = sums.get(at..at + count).unwrap_or_default();
            let opened = self.backend.decrypt(&self.secret, part, scale)?;
            steps.extend(opened.iter().map(|sum| sum.times_rate(self.settings.rate)));
            at += count;
        }
        self.training = session.start;
        subtract(&mut self.training, &steps)?;
        let bound = libm::exp2(f64::from(self.settings.weight_magnitude_bits));
        for number in self.training.iter().flat_map(Layer::parameters) {
            let value = number.to_f64();
            if value.is_nan() || value.abs() > bound {
                return Err(ProtocolError::Magnitude {
                    what: "a trained weight",
                    value,
                    bound,
                    key: "weight_magnitude_bits",
                });
            }
        }
        self.link.send(&Message::new(Kind::Updated, Vec::new()))
    }
}

fn subtract<N: Number>(layers: &mut [Layer<N>], steps: &[N]) -> Result<(), ProtocolError> {
    for (parameter, step) in layers.iter_mut().flat_map(Layer::parameters_mut).zip(steps) {
        *parameter = parameter.subtract(step).map_err(backend)?;
    }
    Ok(())
}

/// The scale of every gradient, in the order of [`Layer::parameters`], layer after layer.
pub(super) fn gradient_scales(settings: &Settings) -> Vec<Scale> {
    let mut scales = Vec::new();
    for shape in &settings.layers {
        scales.extend(std::iter::repeat_n(settings.gradient_scale(), shape.terms));
        scales.extend(std::iter::repeat_n(settings.bias_gradient_scale(), shape.outputs));
    }
    scales
}

/// Runs of equal scales.
fn runs(scales: &[Scale]) -> Vec<(Scale, usize)> {
    scales.chunk_by(|a, b| a == b).filter_map(|run| Some((*run.first()?, run.len()))).collect()
}

pub(super) fn backend(error: EncodingError) -> ProtocolError {
    ProtocolError::Backend(error.into())
}

pub(super) fn unexpected(found: &str, expected: &'static str) -> ProtocolError {
    ProtocolError::Unexpected { found: found.to_owned(), expected }
}
