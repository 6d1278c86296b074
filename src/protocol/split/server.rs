//! The server's side: it holds the model and sees ciphertexts and masked gradients.

use crate::backend::{Backend, Number, Value};
use crate::math::stream::Stream;
use crate::network::Network;
use crate::protocol::ProtocolError;
use crate::protocol::message::{Kind, Message};
use crate::protocol::split::layer::{encode_network, unexpected, update};
use crate::protocol::split::turn::Turn;
use crate::protocol::split::{Arithmetics, Masks, Run, Settings, Shape};
use crate::protocol::transcript::Link;
use crate::scheme::encoding::Scale;
use crate::scheme::packing::Packing;

pub use crate::protocol::split::layer::Layer;

/// The server of clients that take turns.
pub struct Server<'a, B: Backend> {
    arithmetics: Arithmetics<'a, B>,
    settings: &'a Settings,
    peers: Vec<Peer<'a, B>>,
    /// Whose turn it is.
    turn: usize,
    /// Where keys, encryptions and re-randomisations come from.
    private: &'a Stream,
    /// Where session lengths come from; public, so that they can be forecast.
    sessions: &'a Stream,
    secret: B::SecretKey,
    /// The model that classifies.
    inference: Vec<Layer<B::Number>>,
    /// The model in training: masked within a session.
    training: Vec<Layer<B::Number>>,
    session: Option<Session<B::Number>>,
    /// Training iterations that are not part of a session yet.
    left: usize,
    answers: u64,
    observer: Option<Observer<'a, B::Number>>,
}

/// A client, as the server knows it.
struct Peer<'a, B: Backend> {
    link: &'a mut Link,
    key: B::PublicKey,
    is_done: bool,
}

/// What the server has in the clear after an update within a session: what a curious server has to work with.
#[derive(Debug, Clone, Copy)]
pub struct Observation<'s, N> {
    /// Every step that it opened, `ηΔ + r` in the order of [`Layer::parameters`].
    pub steps: &'s [N],
    /// The weights that it keeps, after these steps.
    pub layers: &'s [Layer<N>],
}

/// Is shown what the server sees.
pub type Observer<'a, N> = Box<dyn FnMut(Observation<'_, N>) + 'a>;

/// What the server remembers of a session.
struct Session<N> {
    /// The weights it began with (w^I).
    start: Vec<Layer<N>>,
    turn: Turn,
}

impl<'a, B: Backend> Server<'a, B> {
    /// Exchanges keys with the clients, one a link.
    ///
    /// `trained` classifies; `initial` is what training under the protocol starts from. About `samples` samples will be
    /// classified: so much is made in advance for the first client, if the settings say so.
    ///
    /// # Errors
    /// [`ProtocolError::Clients`] unless there are as many links as clients; [`ProtocolError::Room`] where keys are too short.
    pub fn accept(
        arithmetics: impl Into<Arithmetics<'a, B>>,
        settings: &'a Settings,
        links: &'a mut [Link],
        private: &'a Stream,
        sessions: &'a Stream,
        (trained, initial): (&Network, &Network),
        samples: usize,
    ) -> Result<Self, ProtocolError> {
        let arithmetics = arithmetics.into();
        let Arithmetics { client: theirs, server: own } = arithmetics;
        if links.len() != settings.clients {
            return Err(ProtocolError::Clients { clients: settings.clients, channels: links.len() });
        }
        let secret = own.generate_keys(&private.derive("keys"))?;
        let mut peers = Vec::with_capacity(links.len());
        for (index, link) in links.iter_mut().enumerate() {
            let key = link.expect(Kind::PublicKey, "the client's public key")?;
            let key = theirs.read_public_key(&key.body)?;
            settings.check_room(theirs.plaintext_bits(&key), own.plaintext_bits(own.public_key(&secret)))?;
            if settings.precompute && index == 0 {
                let (_, masks) = settings.inference_masks(samples);
                theirs.precompute(&key, masks, &private.derive("pool"))?;
            }
            link.send(Message::new(Kind::PublicKey, own.write_public_key(own.public_key(&secret))))?;
            peers.push(Peer { link, key, is_done: false });
        }
        Ok(Self {
            arithmetics,
            settings,
            peers,
            turn: 0,
            private,
            sessions,
            secret,
            inference: encode_network(trained, settings)?,
            training: encode_network(initial, settings)?,
            session: None,
            left: settings.training_iterations,
            answers: 0,
            observer: None,
        })
    }

    /// Shows somebody what is opened and kept.
    #[must_use]
    pub fn observed_by(mut self, observer: Observer<'a, B::Number>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Answers one client after another, the next one after every session, until all of them have closed; returns the layers of the
    /// model in training.
    pub fn serve(mut self) -> Result<Vec<Layer<B::Number>>, ProtocolError> {
        loop {
            let message = self.peers[self.turn].link.receive()?;
            if message.kind == Kind::Fault {
                return Err(ProtocolError::Fault(String::from_utf8_lossy(&message.body).into_owned()));
            }
            if let Some(session) = &mut self.session {
                session.turn.take(&message)?;
            }
            match message.kind {
                Kind::Activations => self.forward(&message)?,
                Kind::Errors => self.backward(&message)?,
                Kind::Begin => self.begin(message.count)?,
                Kind::MaskedGradients => self.masked_update(&message)?,
                Kind::SummedGradients => {
                    self.finish(&message)?;
                    self.pass_on();
                }
                Kind::Close => {
                    self.peers[self.turn].is_done = true;
                    if !self.pass_on() {
                        return Ok(self.training);
                    }
                }
                other => return Err(unexpected(&format!("{other:?}"), "a request")),
            }
        }
    }

    /// Makes it the turn of the next client that has not closed; false when all have.
    fn pass_on(&mut self) -> bool {
        let count = self.peers.len();
        let next = (1..=count).map(|step| (self.turn + step) % count).find(|next| !self.peers[*next].is_done);
        self.turn = next.unwrap_or(self.turn);
        next.is_some()
    }

    /// Randomness for the next answer.
    fn randomness(&mut self) -> Stream {
        self.answers += 1;
        self.private.derive("answers").item(self.answers)
    }

    fn shape(&self, layer: u32) -> Result<&Shape, ProtocolError> {
        self.settings
            .layers
            .get(layer as usize)
            .ok_or_else(|| unexpected(&format!("layer {layer}"), "a layer of the network"))
    }

    /// Algorithm 1, line 5: `[W a + b]_c`.
    fn forward(&mut self, message: &Message) -> Result<(), ProtocolError> {
        let width = self.shape(message.layer)?.inputs;
        let randomness = self.randomness();
        let (backend, key) = (self.arithmetics.client, &self.peers[self.turn].key);
        let inputs = read(backend, key, &message.body, (message.count as usize).saturating_mul(width))?;
        let model = if self.session.is_some() { &self.training } else { &self.inference };
        let layer = &model[message.layer as usize];
        let (bias, packing) = (Some(&layer.bias[..]), self.packing());
        let sums = backend.affine(key, &layer.weights, bias, &inputs, packing, &randomness)?;
        self.answer(Kind::Sums, message, &sums)
    }

    /// Algorithm 2, line 5: `[Wᵀ δ]_c`.
    fn backward(&mut self, message: &Message) -> Result<(), ProtocolError> {
        let width = self.shape(message.layer)?.outputs;
        if self.session.is_none() || message.layer == 0 {
            return Err(unexpected("errors", "errors of an upper layer, within a session"));
        }
        let randomness = self.randomness();
        let (backend, key) = (self.arithmetics.client, &self.peers[self.turn].key);
        let errors = read(backend, key, &message.body, (message.count as usize).saturating_mul(width))?;
        let weights = self.training[message.layer as usize].weights.transposed();
        let products = backend.affine(key, &weights, None, &errors, self.packing(), &randomness)?;
        self.answer(Kind::Products, message, &products)
    }

    /// How answers are packed now.
    fn packing(&self) -> Option<Packing> {
        if self.session.is_some() { self.settings.training_packing() } else { self.settings.packing }
    }

    fn answer(
        &mut self,
        kind: Kind,
        request: &Message,
        ciphertexts: &[B::Ciphertext],
    ) -> Result<(), ProtocolError> {
        let peer = &mut self.peers[self.turn];
        let body = self.arithmetics.client.write_ciphertexts(&peer.key, ciphertexts);
        peer.link.send(Message { kind, layer: request.layer, count: request.count, body: body.into() })
    }

    /// Draws the session's length and gives `[1/η]_s` away (Algorithm 1, line 1; Algorithm 2, line 1).
    fn begin(&mut self, left: u32) -> Result<(), ProtocolError> {
        if self.session.is_some() {
            return Err(unexpected("Begin", "the end of the session that has begun"));
        }
        if left as usize != self.left {
            let found = format!("{left} iterations left, where there are {}", self.left);
            return Err(unexpected(&found, "as many as are left"));
        }
        let length = self
            .settings
            .next_session(self.left, &self.sessions.item(u64::from(left)))
            .ok_or_else(|| unexpected(&format!("{left} iterations left"), "at least 2 iterations"))?;
        let randomness = self.randomness();
        let backend = self.arithmetics.server;
        let hidden = backend.hide_rate(&self.secret, self.settings.rate, &randomness)?;
        let turn = Turn::new(self.settings.layers.len(), length);
        self.session = Some(Session { start: self.training.clone(), turn });
        self.left -= length;
        let body = backend.write_ciphertexts(backend.public_key(&self.secret), &[hidden]);
        let count = u32::try_from(length).unwrap_or(u32::MAX);
        self.peers[self.turn].link.send(Message { kind: Kind::Session, layer: 0, count, body: body.into() })
    }

    /// Reads a number a parameter under the server's key, packed as agreed, and opens those of a kind together.
    fn open(
        &self,
        message: &Message,
        open: impl Fn(&[B::Ciphertext], Scale) -> Result<Vec<B::Number>, ProtocolError>,
    ) -> Result<Vec<B::Number>, ProtocolError> {
        let backend = self.arithmetics.server;
        let key = backend.public_key(&self.secret);
        let runs = self.settings.gradient_runs();
        let length = |run: &Run| backend.packed_len(run.count, run.packing);
        let sealed = read(backend, key, &message.body, runs.iter().map(length).sum())?;
        let mut rest = &sealed[..];
        let mut opened = Vec::with_capacity(self.settings.parameters());
        for run in runs {
            let (part, others) = rest.split_at(length(&run));
            rest = others;
            let numbers = open(part, run.scale)?;
            opened.extend(match run.packing {
                Some(packing) => backend.unpack(&numbers, run.count, packing),
                None => numbers,
            });
        }
        Ok(opened)
    }

    /// Algorithm 2, line 12: w̃ ← w̃ - (ηΔ + r).
    fn masked_update(&mut self, message: &Message) -> Result<(), ProtocolError> {
        if self.session.is_none() {
            return Err(unexpected("masked gradients", "a session that has begun"));
        }
        let (backend, rate) = (self.arithmetics.server, self.settings.rate);
        let steps =
            self.open(message, |part, scale| Ok(backend.open_steps(&self.secret, rate, part, scale)?))?;
        let key = backend.public_key(&self.secret);
        update(backend, key, self.settings.masks, &mut self.training, &steps)?;
        if let Some(observe) = &mut self.observer {
            observe(Observation { steps: &steps, layers: &self.training });
        }
        Ok(())
    }

    /// Algorithm 5: w^F = w^I - η ΣΔ.
    fn finish(&mut self, message: &Message) -> Result<(), ProtocolError> {
        let Some(session) = self.session.take() else {
            return Err(unexpected("summed gradients", "a session that has begun"));
        };
        let (backend, rate) = (self.arithmetics.server, self.settings.rate);
        let steps = self.open(message, |part, scale| Ok(backend.decrypt(&self.secret, part, scale)?))?;
        let steps: Vec<_> = steps.iter().map(|sum| sum.times_rate(rate)).collect();
        self.training = session.start;
        // True sums: there is nothing left to be reduced.
        update(backend, backend.public_key(&self.secret), Masks::None, &mut self.training, &steps)?;
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
        self.peers[self.turn].link.send(Message::new(Kind::Updated, Vec::new()))
    }
}

/// Reads ciphertexts under `key`, exactly `expected` of them.
fn read<B: Backend>(
    backend: &B,
    key: &B::PublicKey,
    bytes: &[u8],
    expected: usize,
) -> Result<Vec<B::Ciphertext>, ProtocolError> {
    let wanted = expected.checked_mul(backend.ciphertext_bytes());
    if wanted != Some(bytes.len()) || expected == 0 {
        return Err(unexpected(
            &format!("{} bytes for {expected} ciphertexts", bytes.len()),
            "as many ciphertexts as announced",
        ));
    }
    Ok(backend.read_ciphertexts(key, bytes)?)
}
