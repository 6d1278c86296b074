//! Cells of attacks: what a party of the split protocol sees, gathered by running it, and what follows from that.

use std::collections::BTreeMap;

use ndarray::{Array1, Array2, ArrayView1, Axis};
use num_traits::ToPrimitive;
use sha2::{Digest, Sha256};

use crate::attack::{self, Iteration};
use crate::backend::meter::Interrupt;
use crate::backend::{Additive, Meter, Value};
use crate::dataset::{self, Store};
use crate::experiment::plan::{Attack, System};
use crate::experiment::spec::AttackOn;
use crate::network::Nonlinearity;
use crate::protocol::ProtocolError;
use crate::protocol::channel::pipe;
use crate::protocol::message::{Kind, Message};
use crate::protocol::split::client::{Client, Outcome};
use crate::protocol::split::server::{Observation, Server};
use crate::protocol::split::{self, Settings as Protocol};
use crate::protocol::transcript::Link;
use crate::runner::RunError;
use crate::runner::cell::{Computed, Prepared};
use crate::runner::model::Models;
use crate::runner::record::Picture;
use crate::scheme::additive::AdditiveScheme;
use crate::scheme::registry;
use crate::scheme::twin::Twin;

/// Computes a cell of an attack.
///
/// # Errors
/// What preparing the network refuses, and failures of the protocol.
pub fn run(
    attack: &Attack,
    repetition: usize,
    store: &Store,
    models: &Models<'_>,
    interrupt: &Interrupt,
) -> Result<Computed, RunError> {
    let prepared = Prepared::with(&attack.settings, repetition, store, models)?;
    let mut computed = match attack.on {
        AttackOn::Activations => activations(&prepared)?,
        AttackOn::Gradients => gradients(&prepared, interrupt)?,
        AttackOn::Sums => sums(&prepared, interrupt)?,
    };
    // Charts show one repetition.
    let shown = if repetition == 0 { attack.shown } else { 0 };
    computed.pictures.truncate(shown);
    computed
        .metrics
        .extend(prepared.metrics.get("parameters").map(|count| ("parameters".to_owned(), *count)));
    computed.notes.extend(prepared.notes);
    Ok(computed)
}

/// The server, with the first layer's activations of test samples.
fn activations(prepared: &Prepared) -> Result<Computed, RunError> {
    let samples = prepared.workload().features;
    let layer = prepared.trained.dense_layers().next().ok_or(RunError::NoProtocol)?;
    let Nonlinearity::Exact(activation) = prepared.settings.system.activation() else {
        return Err(RunError::NoProtocol);
    };
    let sums = samples.dot(&layer.weights.t()) + &layer.bias;
    let seen = sums.mapv(|z| activation.value(z));
    let rebuilt =
        attack::inputs_from_activations(layer, activation, seen.view()).ok_or(RunError::NoProtocol)?;
    compare(prepared, &samples, &rebuilt)
}

/// The server, with the steps that it opens in training: those of every iteration but a session's last, of which it learns the sum alone.
fn gradients(prepared: &Prepared, interrupt: &Interrupt) -> Result<Computed, RunError> {
    let protocol = protocol(prepared)?;
    let seen = converse(prepared, interrupt)?;
    let order = prepared.training_order();
    let sessions = protocol.sessions(&prepared.sessions()).unwrap_or_default();
    let mut observed = Vec::new();
    let mut done = 0;
    for length in sessions {
        observed.extend(order.iter().skip(done).take(length - 1));
        done += length;
    }
    let shape = protocol.layers.first().ok_or(RunError::NoProtocol)?;
    let originals = prepared.split.train.features.select(Axis(0), &observed);
    let mut rebuilt = Array2::zeros(originals.dim());
    for (mut row, step) in rebuilt.outer_iter_mut().zip(&seen.steps) {
        let (weights, bias) = step.split_at(shape.inputs * shape.outputs);
        let weights = Array2::from_shape_vec((shape.outputs, shape.inputs), weights.to_vec());
        let weights = weights.map_err(|_| RunError::NoProtocol)?;
        row.assign(&attack::input_from_gradient(weights.view(), ArrayView1::from(bias)));
    }
    compare(prepared, &originals, &rebuilt)
}

/// The client, with everything that it opens in training.
fn sums(prepared: &Prepared, interrupt: &Interrupt) -> Result<Computed, RunError> {
    let protocol = protocol(prepared)?;
    let seen = converse(prepared, interrupt)?;
    let order = prepared.training_order();
    let train = &prepared.split.train;
    let activation = &protocol.activation;
    let shapes = &protocol.layers;
    let fixed = |value: f64, scale: crate::scheme::encoding::Scale| {
        let step = libm::exp2(f64::from(scale.0));
        (value * step).round_ties_even() / step
    };
    let unit = libm::exp2(f64::from(protocol.sum_scale().0));
    let mut opened = seen.outcome.trace.iter().map(|integer| integer.to_f64().unwrap_or(f64::NAN) / unit);
    let mut iterations = Vec::new();
    for &row in &order {
        let input = train.features.row(row);
        // Forward every layer's sums, then back the products of all layers but the first.
        let mut take = |count: usize| -> Array1<f64> { opened.by_ref().take(count).collect() };
        let forward: Vec<Array1<f64>> = shapes.iter().map(|shape| take(shape.outputs)).collect();
        let products: Vec<Array1<f64>> =
            shapes.iter().skip(1).rev().map(|shape| take(shape.inputs)).collect();
        let (Some(sums), Some(product)) = (forward.first(), products.last()) else { break };
        let error: Array1<f64> = product
            .iter()
            .zip(sums)
            .map(|(q, &z)| q * activation.derivative(z, activation.value(z)))
            .collect();
        // As the protocol rounds what it sends.
        let column = error.view().insert_axis(Axis(1));
        let weights = column.dot(&input.insert_axis(Axis(0)));
        let gradient = (
            weights.mapv(|value| fixed(value, protocol.gradient_scale())),
            error.mapv(|value| fixed(value, protocol.bias_gradient_scale())),
        );
        let input = input.mapv(|value| fixed(value, protocol.activation_scale()));
        iterations.push(Iteration { input, sums: sums.clone(), gradient });
    }
    let found = attack::weights_from_sums(&iterations);
    let right = prepared.initial.dense_layers().next().ok_or(RunError::NoProtocol)?;
    let error = attack::relative_error(found.view(), right.weights.view());
    Ok(Computed {
        metrics: BTreeMap::from([("weight_error".to_owned(), error)]),
        digest: digest(found.iter()),
        ..Computed::default()
    })
}

fn protocol(prepared: &Prepared) -> Result<&Protocol, RunError> {
    match &prepared.settings.system {
        System::Split { protocol, .. } => Ok(protocol),
        _ => Err(RunError::NoProtocol),
    }
}

/// How like originals (samples x features) what was rebuilt of them is.
fn compare(
    prepared: &Prepared,
    originals: &Array2<f64>,
    rebuilt: &Array2<f64>,
) -> Result<Computed, RunError> {
    let pairs = || originals.outer_iter().zip(rebuilt.outer_iter());
    let correlations: Vec<f64> = pairs().map(|(x, found)| attack::correlation(found, x)).collect();
    let noise: f64 = pairs().map(|(x, found)| attack::psnr(found, x)).sum();
    let count = correlations.len().max(1) as f64;
    let extreme = |start: f64, choose: fn(f64, f64) -> f64| correlations.iter().copied().fold(start, choose);
    let metrics = [
        ("samples", correlations.len() as f64),
        ("psnr", noise / count),
        ("correlation", correlations.iter().sum::<f64>() / count),
        ("correlation_least", extreme(1.0, f64::min)),
        ("correlation_greatest", extreme(-1.0, f64::max)),
    ];
    let entry = dataset::catalogue()?.get(&prepared.settings.data.name)?;
    let width = entry.picture().filter(|picture| picture.channels == 1).map(|picture| picture.width);
    let pictures = width.into_iter().flat_map(|width| {
        pairs().zip(&correlations).map(move |((x, found), correlation)| Picture {
            width,
            original: grey(&x),
            rebuilt: grey(&found),
            correlation: *correlation,
        })
    });
    Ok(Computed {
        pictures: pictures.collect(),
        metrics: metrics.map(|(name, value)| (name.to_owned(), value)).into(),
        digest: digest(rebuilt.iter()),
        ..Computed::default()
    })
}

/// Brightness of pixels from 0 to 1, two hexadecimal digits each.
fn grey(pixels: &ArrayView1<'_, f64>) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 255")]
    let byte = |value: &f64| (value.clamp(0.0, 1.0) * 255.0).round() as u8;
    hex::encode(pixels.iter().map(byte).collect::<Vec<u8>>())
}

fn digest<'a>(numbers: impl Iterator<Item = &'a f64>) -> String {
    let mut hash = Sha256::new();
    numbers.for_each(|number| hash.update(number.to_le_bytes()));
    hex::encode(hash.finalize())
}

/// What the parties see of a training.
struct Seen {
    /// The server: the first layer's steps of every iteration that it opened, weights row by row and then biases.
    steps: Vec<Vec<f64>>,
    /// The client.
    outcome: Outcome,
}

/// Trains under the protocol on the scheme's twin: the parties' own code, masks included, on numbers in the clear.
fn converse(prepared: &Prepared, interrupt: &Interrupt) -> Result<Seen, RunError> {
    let System::Split { scheme, protocol } = &prepared.settings.system else {
        return Err(RunError::NoProtocol);
    };
    let visitor = Training { prepared, protocol, interrupt, plaintext_bits: scheme.plaintext_bits() };
    scheme.visit(visitor).map_err(|error| ProtocolError::Backend(error.into()))?
}

struct Training<'a> {
    prepared: &'a Prepared,
    protocol: &'a split::Settings,
    interrupt: &'a Interrupt,
    plaintext_bits: u64,
}

impl registry::Visitor for Training<'_> {
    type Output = Result<Seen, RunError>;

    fn visit<S: AdditiveScheme + Clone>(self, scheme: S) -> Self::Output {
        let Self { prepared, protocol, interrupt, plaintext_bits } = self;
        let twin = Twin::of(&scheme, plaintext_bits);
        let (near, far) = pipe();
        let bytes = Some([twin.ciphertext_bytes(); 2]);
        let first = protocol.layers.first().map_or(0, split::Shape::parameters);
        let meter = || Meter::new(interrupt.clone());
        std::thread::scope(|scope| {
            let twin_there = twin.clone();
            let serving = scope.spawn(move || -> Result<Vec<Vec<f64>>, RunError> {
                let (backend, mut link) =
                    (Additive::new(twin_there, meter()), Link::new(Box::new(far), false, bytes));
                let (private, sessions) = (prepared.private("server")?, prepared.sessions());
                let models = (&prepared.trained, &prepared.initial);
                let mut steps = Vec::new();
                let observer = Box::new(|seen: Observation<'_, _>| {
                    steps.push(seen.steps.iter().take(first).map(Value::to_f64).collect());
                });
                let links = std::slice::from_mut(&mut link);
                let server = Server::accept(&backend, protocol, links, &private, &sessions, models, 0)?;
                server.observed_by(observer).serve()?;
                // The client waits for nothing more, and may be gone.
                drop(link.send(Message::new(Kind::Report, Vec::new())));
                Ok(steps)
            });
            let train = || -> Result<Outcome, RunError> {
                let (backend, mut link) =
                    (Additive::new(twin, meter()), Link::new(Box::new(near), true, bytes));
                let private = prepared.private("client")?;
                let mut client = Client::connect(&backend, protocol, &mut link, &private, 0)?;
                let order = prepared.training_order();
                let features = prepared.split.train.features.select(Axis(0), &order);
                let labels: Vec<usize> =
                    order.iter().map(|&index| prepared.split.train.labels[index]).collect();
                client.train(features.view(), &labels)?;
                Ok(client.close()?)
            };
            let outcome = train();
            let steps = serving.join().map_err(|_| RunError::Panicked)?;
            // The client's error comes first: the server's may only say that the client is gone.
            Ok(Seen { outcome: outcome?, steps: steps? })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::plan::{Plan, Request, Task};
    use crate::experiment::spec::ProfileName;

    /// The metrics of a cell on the little digits, which are part of the program.
    fn metrics(on: &str, set: &[&str]) -> BTreeMap<String, f64> {
        let variant = if on == "activations" { "plain" } else { "simulated" };
        let text = format!(
            r#"
            schema = 1
            [data]
            name = "digits"
            scaling = "min_max"
            train_limit = 60
            test_limit = 10
            [network]
            hidden = [64]
            [training]
            epochs = 1
            [scheme]
            name = "paillier"
            [protocol]
            name = "split"
            training_iterations = 6
            [attack]
            on = "{on}"
            [run]
            task = "attack"
            variants = ["{variant}"]
            "#
        );
        let set: Vec<String> = set.iter().map(ToString::to_string).collect();
        let request = Request {
            name: "test",
            origin: "test",
            text: &text,
            profile: ProfileName::Quick,
            set: &set,
            grid: &[],
        };
        let (plan, _) = Plan::load(&request).unwrap_or_else(|report| panic!("{report}"));
        let Task::Attack(attack) = &plan.points[0].task else { panic!("no attack") };
        let interrupt = Interrupt::default();
        let models = Models::none(interrupt.clone());
        run(attack, 0, &Store::new("absent"), &models, &interrupt).unwrap().metrics
    }

    #[test]
    fn as_many_neurons_as_pixels_give_digits_away() {
        let found = metrics("activations", &[]);
        assert!(found["correlation_least"] > 0.999, "{found:?}");
        let fewer = metrics("activations", &["network.hidden=[16]"]);
        assert!(fewer["correlation"] < 0.95, "{fewer:?}");
    }

    #[test]
    fn gradients_give_digits_away_and_masked_ones_do_not() {
        let open = metrics("gradients", &["protocol.masks=none"]);
        assert!(open["correlation_least"] > 0.99 && open["psnr"] > 30.0, "{open:?}");
        let masked = metrics("gradients", &[]);
        assert!(masked["correlation"].abs() < 0.3 && masked["psnr"] < 15.0, "{masked:?}");
        assert_eq!(open["samples"].to_bits(), masked["samples"].to_bits());
    }

    #[test]
    fn the_client_solves_for_weights_with_two_iterations_more_than_inputs() {
        let error = |iterations: usize| {
            let set = [
                "data.name=iris".to_owned(),
                "network.hidden=[5]".to_owned(),
                format!("protocol.training_iterations={iterations}"),
            ];
            metrics("sums", &set.each_ref().map(String::as_str))["weight_error"]
        };
        assert!(error(4) > 0.01, "{}", error(4));
        assert!(error(6) < 1e-3, "{}", error(6));
    }
}
