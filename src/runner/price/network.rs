//! What an iteration of training takes by the formulas of GELU-Net's table 2, with units measured here, and what the protocol's channel counts.
//!
//! For `n` layers of `m` neurons the paper has `n m² p` for GELU-Net, `C n m b` for BGN-Net and `Z² m³ n e` for ElGamal-Net, with one operation of Paillier
//! (p), of BGN (b) and of ElGamal (e). A unit here is what those systems do most of: under Paillier and ElGamal a product with a
//! weight in a layer's sum, under BGN a product of two ciphertexts, of which C stand for one activation. `n m²` products with weights that
//! BGN-Net makes as well are left out of its row as printed.

use std::time::Instant;

use ndarray::Array2;
use num_bigint::BigUint;

use crate::backend::meter::Interrupt;
use crate::backend::{Additive, Meter, Variant};
use crate::math::stream::Stream;
use crate::network;
use crate::protocol::channel::pipe;
use crate::protocol::message::{Kind, Message};
use crate::protocol::split::client::Client;
use crate::protocol::split::count::{self, Iteration};
use crate::protocol::split::server::Server;
use crate::protocol::split::{Settings, Shape};
use crate::protocol::transcript::{Link, Traffic};
use crate::runner::RunError;
use crate::runner::cost::bench::{Bench, Call, FULL_BATCH, Weights};
use crate::runner::price::{Found, refused};
use crate::scheme::additive::{AdditiveScheme, SchemeError};
use crate::scheme::bgn::Bgn;
use crate::scheme::registry::{AdditiveName, Parameters, Visitor};
use crate::scheme::twin::Twin;

/// Pairs of ciphertexts whose products are timed.
const PAIRS: u32 = 16;

/// A network's price under one system.
pub(super) struct Network<'a> {
    pub(super) scheme: &'a Parameters,
    pub(super) paillier: &'a Parameters,
    pub(super) widths: &'a [usize],
    pub(super) products: usize,
    pub(super) pieces: usize,
    pub(super) protocol: &'a Settings,
    pub(super) private: &'a Stream,
    pub(super) interrupt: &'a Interrupt,
}

/// Seconds of single operations.
#[derive(Debug, Clone, Copy)]
struct Units {
    encryption: f64,
    decryption: f64,
    /// With a weight, in a sum of a layer.
    scalar_product: f64,
}

impl Network<'_> {
    pub(super) fn run(&self, variant: Variant) -> Result<Found, RunError> {
        let mut found = Found::default();
        // n layers, inputs included, of m neurons: the widest.
        let n = self.widths.len() as f64;
        let m = self.widths.iter().copied().max().unwrap_or(0) as f64;
        let (c, z) = (self.products as f64, self.pieces as f64);
        let (operations, messages) = match self.scheme.name {
            AdditiveName::Bgn => (c * n * m, n * m * m),
            AdditiveName::ElGamal => (z * z * m * m * m * n, z * z * m * m * n),
            AdditiveName::Paillier | AdditiveName::OkamotoUchiyama => (n * m * m, n * m * m),
        };
        found.result("formula_operations", operations);
        found.result("formula_messages", messages);
        if self.scheme.name == AdditiveName::Paillier {
            self.counts(variant, &mut found)?;
        }
        if variant == Variant::Encrypted {
            self.units(operations, (n, m), &mut found)?;
        }
        Ok(found)
    }

    /// Closed forms, and what the channel has counted of a session.
    fn counts(&self, variant: Variant, found: &mut Found) -> Result<(), RunError> {
        let iteration = Iteration::of(self.widths, self.protocol.packing, self.protocol.step_packing);
        let widest = self.widths.iter().copied().max().unwrap_or(0);
        let counted = self.scheme.visit(Session { network: self, is_twin: variant != Variant::Encrypted });
        let counted = counted.map_err(refused)??;
        // Per iteration; a count that is no multiple of their number shows as a fraction.
        let iterations = self.protocol.training_iterations.max(1) as f64;
        let each = |kinds: [u64; 2]| (kinds[0] + kinds[1]) as f64 / iterations;
        for (name, value) in [
            ("closed_forward", iteration.forward as f64),
            ("closed_errors", iteration.errors as f64),
            ("closed_gradients", iteration.gradients as f64),
            ("closed_total", iteration.total() as f64),
            ("printed_total", count::printed(self.widths.len(), widest) as f64),
            ("ciphertexts_forward", each(counted.forward)),
            ("ciphertexts_errors", each(counted.errors)),
            ("ciphertexts_gradients", each(counted.gradients)),
        ] {
            found.result(name, value);
        }
        let names = counted.traffic.by_name();
        found.counts.extend(names.map(|(name, count)| (name.to_owned(), count)));
        Ok(())
    }

    /// Measured units, and what they make of the formulas.
    fn units(&self, operations: f64, (n, m): (f64, f64), found: &mut Found) -> Result<(), RunError> {
        let shape = match self.widths {
            [inputs, outputs, ..] => Shape::dense(*inputs, *outputs),
            _ => return Ok(()),
        };
        let weights = Weights::Trained(self.protocol.weight_scale().0);
        let measure = |parameters: &Parameters| {
            let visitor = Measure { shape: &shape, weights };
            parameters.visit(visitor).and_then(|units| units).map_err(refused)
        };
        let own = measure(self.scheme)?;
        found.seconds("seconds_per_encryption", own.encryption);
        found.seconds("seconds_per_decryption", own.decryption);
        found.seconds("seconds_per_scalar_product", own.scalar_product);
        let mut unit = own.scalar_product;
        let mut left_out = 0.0;
        if self.scheme.name == AdditiveName::Bgn {
            unit = self.product().map_err(refused)?;
            found.seconds("seconds_per_product", unit);
            left_out = n * m * m * own.scalar_product;
            let paillier = measure(self.paillier)?.scalar_product;
            let work = self.products as f64 * unit;
            found.seconds("break_even_width", work / paillier);
            // n m² p < n m² s + C n m b, which every width satisfies where BGN's product with a weight takes no less than Paillier's.
            if paillier > own.scalar_product {
                found.seconds("break_even_width_whole", work / (paillier - own.scalar_product));
            }
        }
        found.seconds("seconds_unit", unit);
        found.seconds("seconds_formula", operations * unit);
        found.seconds("seconds_formula_whole", operations * unit + left_out);
        Ok(())
    }

    /// Seconds of a product of two ciphertexts under BGN.
    fn product(&self) -> Result<f64, SchemeError> {
        let scheme = Bgn::try_new(self.scheme.message_bits.unwrap_or(0))?;
        let secret = scheme.generate_keys(&self.private.derive("keys"))?;
        let messages: Vec<BigUint> = (0..PAIRS).map(|index| BigUint::from(index % 2)).collect();
        let ciphertexts = scheme.encrypt_own(&secret, &messages, &self.private.derive("encryption"))?;
        std::hint::black_box(scheme.multiply(&ciphertexts[..1], &ciphertexts[..1])?);
        let start = Instant::now();
        std::hint::black_box(scheme.multiply(&ciphertexts, &ciphertexts)?);
        Ok(start.elapsed().as_secs_f64() / f64::from(PAIRS))
    }
}

struct Measure<'a> {
    shape: &'a Shape,
    weights: Weights,
}

impl Visitor for Measure<'_> {
    type Output = Result<Units, SchemeError>;

    fn visit<S: AdditiveScheme + Clone>(self, scheme: S) -> Self::Output {
        let bench = Bench::new(&scheme)?;
        // As many samples as fill lanes and threads.
        let samples = FULL_BATCH.div_ceil(self.shape.outputs);
        let layer = bench.layer(self.shape, samples, self.weights)?;
        Ok(Units {
            encryption: bench.each(Call::EncryptOwn)?,
            decryption: bench.each(Call::Decrypt)?,
            scalar_product: layer / (self.shape.terms * samples) as f64,
        })
    }
}

/// Ciphertexts of a session's messages.
struct Counted {
    /// Up and down, as the others.
    forward: [u64; 2],
    errors: [u64; 2],
    /// Masked, and summed at the end.
    gradients: [u64; 2],
    traffic: Traffic,
}

/// One session of training, on random samples.
struct Session<'a> {
    network: &'a Network<'a>,
    is_twin: bool,
}

impl Visitor for Session<'_> {
    type Output = Result<Counted, RunError>;

    fn visit<S: AdditiveScheme + Clone>(self, scheme: S) -> Self::Output {
        if self.is_twin {
            self.converse(Twin::of(&scheme, self.network.scheme.plaintext_bits()))
        } else {
            self.converse(scheme)
        }
    }
}

impl Session<'_> {
    fn converse<S: AdditiveScheme + Clone>(&self, scheme: S) -> Result<Counted, RunError> {
        let Network { widths, protocol, private, interrupt, .. } = self.network;
        let model = network::Network::initialise(
            widths,
            protocol.activation.clone(),
            protocol.loss,
            &private.derive("weights"),
        );
        let bytes = Some([scheme.ciphertext_bytes(); 2]);
        let meter = || Meter::new((*interrupt).clone());
        let (near, far) = pipe();
        std::thread::scope(|scope| {
            let (there, model) = (scheme.clone(), &model);
            let serving = scope.spawn(move || -> Result<(), RunError> {
                let (backend, mut link) =
                    (Additive::new(there, meter()), Link::new(Box::new(far), false, bytes));
                let (own, sessions) = (private.derive("server"), private.derive("sessions"));
                let models = (model, model);
                let links = std::slice::from_mut(&mut link);
                Server::accept(&backend, protocol, links, &own, &sessions, models, 0)?.serve()?;
                // The client waits for nothing more, and may be gone.
                drop(link.send(Message::new(Kind::Report, Vec::new())));
                Ok(())
            });
            let train = || -> Result<Link, RunError> {
                let (backend, mut link) =
                    (Additive::new(scheme, meter()), Link::new(Box::new(near), true, bytes));
                let own = private.derive("client");
                let mut client = Client::connect(&backend, protocol, &mut link, &own, 0)?;
                let (samples, inputs) = (protocol.training_iterations, widths.first().copied().unwrap_or(0));
                let draw = |(sample, input): (usize, usize)| {
                    let bits = private.derive("samples").item((sample * inputs + input) as u64).seed_u64();
                    (bits >> 11) as f64 / (1_u64 << 53) as f64
                };
                let features = Array2::from_shape_fn((samples, inputs), draw);
                let labels: Vec<usize> = (0..samples).map(|sample| sample % 2).collect();
                client.train(features.view(), &labels)?;
                client.close()?;
                Ok(link)
            };
            let trained = train();
            let served = serving.join().map_err(|_| RunError::Panicked)?;
            // The client's error comes first: the server's may only say that the client is gone.
            let link = trained?;
            served?;
            let of = |kinds: [Kind; 2]| kinds.map(|kind| link.ciphertexts(kind));
            Ok(Counted {
                forward: of([Kind::Activations, Kind::Sums]),
                errors: of([Kind::Errors, Kind::Products]),
                gradients: of([Kind::MaskedGradients, Kind::SummedGradients]),
                traffic: link.traffic(),
            })
        })
    }
}
