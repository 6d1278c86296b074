//! Masks and turns of the split protocol, on the protocol's own interface: exact and statistical masks against an independent
//! training in fixed point, keys of two sizes, several clients, what the server keeps, and messages out of order.

#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test; the exemption for tests does not reach its helper functions"
)]

use std::borrow::Cow;

use henn::backend::{Additive, Backend, Meter, Rate, Value};
use henn::math::stream::Stream;
use henn::network::{Activation, Loss, Network};
use henn::protocol::ProtocolError;
use henn::protocol::channel::{Pipe, pipe};
use henn::protocol::split::client::Client;
use henn::protocol::split::server::{Layer, Observation, Server};
use henn::protocol::split::{Arithmetics, Masks, Settings, Shape};
use henn::protocol::transcript::{Link, Traffic};
use henn::scheme::okamoto_uchiyama::OkamotoUchiyama;
use henn::scheme::paillier::Paillier;
use henn::scheme::twin::Twin;
use ndarray::Array2;
use num_bigint::{BigInt, BigUint};
use num_traits::ToPrimitive;
use proptest::prelude::*;

#[path = "masks/oracle.rs"]
mod oracle;
#[path = "masks/order.rs"]
mod order;

use oracle::{Order, oracle};

const MASKS: [Masks; 3] = [Masks::None, Masks::Statistical, Masks::Exact];

fn settings(widths: &[usize], training_iterations: usize) -> Settings {
    Settings {
        layers: Shape::dense_layers(widths),
        activation: Activation::Sigmoid.into(),
        loss: Loss::CrossEntropy,
        batch: 1,
        training_iterations,
        rate: Rate { mantissa: 25, bits: 8 },
        masks: Masks::None,
        mask_security_bits: 40,
        clients: 1,
        session_limit: None,
        activation_bits: 12,
        gradient_bits: 12,
        weight_magnitude_bits: 4,
        activation_magnitude_bits: 4,
        packing: None,
        step_packing: None,
        precompute: false,
    }
}

fn network(settings: &Settings, widths: &[usize], seed: u64) -> Network {
    Network::initialise(widths, settings.activation.clone(), settings.loss, &Stream::seeded(seed))
}

/// The samples of a client.
type Part = (Array2<f64>, Vec<usize>);

/// A few samples for each client.
fn parts(settings: &Settings, seed: u64) -> Vec<Part> {
    let (inputs, classes) = (settings.layers[0].inputs, settings.outputs());
    let part = |client: usize| {
        // Not as many for every client, and fewer than a session may ask for.
        let count = 3 + client;
        let stream = Stream::seeded(seed).item(client as u64);
        let number = |at: usize| stream.item(at as u64).seed_u64();
        let features = Array2::from_shape_fn((count, inputs), |(row, column)| {
            (number(row * inputs + column) % 4001) as f64 / 1000.0 - 2.0
        });
        (features, (0..count).map(|row| (number(1000 + row) % classes as u64) as usize).collect())
    };
    (0..settings.clients).map(part).collect()
}

fn sessions() -> Stream {
    Stream::seeded(6)
}

/// What a training shows.
#[derive(Debug, Default, PartialEq)]
struct Trained {
    /// The server's numbers at the end.
    weights: Vec<BigInt>,
    /// What the clients opened, masks taken out.
    trace: Vec<BigInt>,
    /// Of the last messages of sessions.
    final_updates: Traffic,
}

/// Trains with one arithmetic under the clients' keys and another under the server's.
fn train<B: Backend>(
    keys: Arithmetics<'_, B>,
    settings: &Settings,
    initial: &Network,
    parts: &[Part],
) -> Result<Trained, ProtocolError> {
    let (near, far): (Vec<Pipe>, Vec<Pipe>) = (0..settings.clients).map(|_| pipe()).unzip();
    let bytes = keys.client.ciphertext_bytes();
    std::thread::scope(|scope| {
        let serving = scope.spawn(move || {
            let mut links: Vec<Link> =
                far.into_iter().map(|end| Link::server(Box::new(end), bytes)).collect();
            let (private, sessions) = (Stream::seeded(5), sessions());
            let server =
                Server::accept(keys, settings, &mut links, &private, &sessions, (initial, initial), 0)?;
            let layers = server.serve()?;
            let numbers = layers.iter().flat_map(Layer::parameters);
            Ok::<Vec<BigInt>, ProtocolError>(
                numbers.filter_map(|number| number.integer().map(Cow::into_owned)).collect(),
            )
        });
        let drive = || {
            let mut links: Vec<Link> =
                near.into_iter().map(|end| Link::client(Box::new(end), bytes)).collect();
            let private: Vec<Stream> =
                (0..settings.clients).map(|i| Stream::seeded(70).item(i as u64)).collect();
            let mut clients = Vec::new();
            for (link, private) in links.iter_mut().zip(&private) {
                clients.push(Client::connect(keys, settings, link, private, 0)?);
            }
            let mut samples: Vec<_> = parts
                .iter()
                .map(|(features, labels)| {
                    let rows: Vec<_> = features.outer_iter().zip(labels.iter().copied()).collect();
                    rows.into_iter().cycle()
                })
                .collect();
            let (mut left, mut turn) = (settings.training_iterations, 0);
            while left > 0 {
                left -= clients[turn].session(left, &mut samples[turn])?;
                turn = (turn + 1) % clients.len();
            }
            let mut found = Trained::default();
            for client in clients {
                let outcome = client.close()?;
                found.trace.extend(outcome.trace);
                found.final_updates = found.final_updates.plus(&outcome.final_updates, 1);
            }
            Ok::<_, ProtocolError>(found)
        };
        let driven = drive();
        let served = serving.join().unwrap();
        let found = match (driven, served) {
            // The other side only saw it go away.
            (Err(ProtocolError::Channel(_) | ProtocolError::Fault(_)), Err(error)) | (Err(error), _) => {
                return Err(error);
            }
            (Ok(found), served) => Trained { weights: served?, ..found },
        };
        Ok(found)
    })
}

/// What the server kept after every masked update, with one client.
fn watch<B: Backend>(
    keys: Arithmetics<'_, B>,
    settings: &Settings,
    initial: &Network,
    parts: &[Part],
) -> Vec<Vec<BigInt>> {
    let (near, far) = pipe();
    let bytes = keys.client.ciphertext_bytes();
    std::thread::scope(|scope| {
        let serving = scope.spawn(move || {
            let mut links = [Link::server(Box::new(far), bytes)];
            let (private, sessions) = (Stream::seeded(5), sessions());
            let mut kept: Vec<Vec<BigInt>> = Vec::new();
            let server =
                Server::accept(keys, settings, &mut links, &private, &sessions, (initial, initial), 0)
                    .unwrap();
            let observer = Box::new(|seen: Observation<'_, B::Number>| {
                let numbers = seen.layers.iter().flat_map(Layer::parameters);
                kept.push(numbers.filter_map(|number| number.integer().map(Cow::into_owned)).collect());
            });
            server.observed_by(observer).serve().unwrap();
            kept
        });
        let mut link = Link::client(Box::new(near), bytes);
        let private = Stream::seeded(70);
        let mut client = Client::connect(keys, settings, &mut link, &private, 0).unwrap();
        let (features, labels) = &parts[0];
        let rows = (0..settings.training_iterations).map(|i| i % labels.len()).collect::<Vec<_>>();
        let labels: Vec<usize> = rows.iter().map(|row| labels[*row]).collect();
        client.train(features.select(ndarray::Axis(0), &rows).view(), &labels).unwrap();
        client.close().unwrap();
        serving.join().unwrap()
    })
}

fn twin(bits: u64) -> Additive<Twin> {
    Additive::new(Twin::of(&Paillier::insecure_for_tests(bits).unwrap(), bits), Meter::default())
}

fn paillier(bits: u64) -> Additive<Paillier> {
    Additive::new(Paillier::insecure_for_tests(bits).unwrap(), Meter::default())
}

/// Training with every kind of mask, and without a protocol.
fn check_masks<B: Backend>(keys: Arithmetics<'_, B>, settings: &Settings, widths: &[usize], seed: u64) {
    let (initial, parts) = (network(settings, widths, seed), parts(settings, seed ^ 1));
    let expected = oracle(settings, &initial, &parts, Order::BackPropagation);
    let found = MASKS.map(|masks| {
        let settings = Settings { masks, ..settings.clone() };
        train(keys, &settings, &initial, &parts).unwrap()
    });
    for (masks, found) in MASKS.iter().zip(&found) {
        assert_eq!(found.weights, expected, "{masks:?}");
    }
    assert!(found.iter().all(|other| *other == found[0]));
    let lengths = settings.sessions(&sessions()).unwrap();
    let forecast = settings.forecast(0, &lengths, 0, keys.client.ciphertext_bytes());
    assert_eq!(forecast.final_updates.messages_up, lengths.len() as u64);
    assert_eq!(found[0].final_updates.rounds, lengths.len() as u64);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// On the twin of the scheme, whose moduli are of two sizes.
    #[test]
    fn every_mask_trains_as_fixed_point_does(
        inputs in 2_usize..6,
        hidden in prop::collection::vec(2_usize..6, 1..3),
        outputs in 2_usize..5,
        clients in 1_usize..4,
        limit in prop::option::of(2_usize..5),
        more in 0_usize..9,
        sizes in (64_u64..128, 64_u64..128),
        seed: u64,
    ) {
        let widths = [&[inputs][..], &hidden, &[outputs]].concat();
        let mut settings = settings(&widths, 0);
        settings.clients = clients;
        settings.session_limit = limit.map(|limit| limit.min(settings.smallest_fan_in()));
        settings.training_iterations = clients * settings.session_bound() + more;
        if settings.session_bound() == 2 {
            settings.training_iterations += settings.training_iterations % 2;
        }
        let (theirs, own) = (twin(2 * sizes.0), twin(2 * sizes.1));
        check_masks(Arithmetics { client: &theirs, server: &own }, &settings, &widths, seed);
    }
}

/// With real keys, the server's shorter and longer than the clients'.
#[test]
fn every_mask_trains_as_fixed_point_does_under_encryption() {
    for (sizes, clients) in [((192, 160), 2), ((160, 256), 1), ((192, 192), 3)] {
        let widths = [3, 4, 3];
        let mut settings = settings(&widths, 0);
        settings.clients = clients;
        settings.training_iterations = 3 * clients + 2;
        let (theirs, own) = (paillier(sizes.0), paillier(sizes.1));
        check_masks(Arithmetics { client: &theirs, server: &own }, &settings, &widths, 9);
    }
}

/// Three weight layers: with fewer the paper's order updates none too early.
#[test]
fn the_printed_order_of_updates_trains_another_network() {
    let widths = [3, 4, 4, 3];
    let settings = Settings { masks: Masks::Exact, ..settings(&widths, 6) };
    let (initial, parts) = (network(&settings, &widths, 2), parts(&settings, 3));
    let backend = twin(192);
    let found = train(Arithmetics::from(&backend), &settings, &initial, &parts).unwrap();
    assert_eq!(found.weights, oracle(&settings, &initial, &parts, Order::BackPropagation));
    assert_ne!(found.weights, oracle(&settings, &initial, &parts, Order::Printed));
}

/// What the server keeps under exact masks fills its modulus evenly, is never a true weight, and is another one with other masks only.
#[test]
fn the_masked_weights_that_the_server_keeps_look_uniform() {
    let widths = [4, 5, 3];
    let bare = settings(&widths, 160);
    let exact = Settings { masks: Masks::Exact, ..bare.clone() };
    let (initial, parts) = (network(&bare, &widths, 4), parts(&bare, 5));
    let (theirs, own) = (twin(192), twin(160));
    let keys = Arithmetics { client: &theirs, server: &own };
    let [bare, exact] = [&bare, &exact].map(|settings| watch(keys, settings, &initial, &parts).concat());
    assert_eq!(bare.len(), exact.len());
    assert!(bare.iter().zip(&exact).all(|(bare, exact)| bare != exact));
    // Eight equal parts of the twin's modulus, which is hardly more than 2^159.
    let modulus = BigUint::from(1_u8) << 159_u32;
    let mut counts = [0_usize; 8];
    for number in &exact {
        let part: BigUint = number.to_biguint().unwrap() * 8_u8 / &modulus;
        counts[part.to_usize().unwrap().min(7)] += 1;
    }
    let mean = exact.len() as f64 / 8.0;
    assert!(mean > 400.0, "{counts:?}");
    assert!(counts.iter().all(|&count| (count as f64 - mean).abs() < 6.0 * mean.sqrt()), "{counts:?}");
    assert!(bare.iter().all(|number| number.bits() < 64));
}

#[test]
fn keys_too_short_for_the_circuit_are_refused_with_what_is_needed() {
    let widths = [3, 4, 3];
    let settings = Settings { masks: Masks::Exact, ..settings(&widths, 4) };
    let (initial, parts) = (network(&settings, &widths, 2), parts(&settings, 3));
    let (short, long) = (twin(64), twin(256));
    let min = settings.required_server_bits();
    let error =
        train(Arithmetics { client: &long, server: &short }, &settings, &initial, &parts).unwrap_err();
    assert!(
        matches!(error, ProtocolError::Room { whose: "server's", bits: 64, min: m } if m == min),
        "{error}"
    );
    let statistical = Settings { masks: Masks::Statistical, ..settings.clone() };
    let min = statistical.required_bits();
    let error =
        train(Arithmetics { client: &short, server: &long }, &statistical, &initial, &parts).unwrap_err();
    assert!(
        matches!(error, ProtocolError::Room { whose: "client's", bits: 64, min: m } if m == min),
        "{error}"
    );
    // Exact masks do not make sums longer that must not wrap.
    assert!(settings.required_bits() + 30 < statistical.required_bits());
    // Rarer wraps take a longer modulus, bit by bit.
    let rare = Settings { mask_security_bits: 128, ..settings.clone() };
    assert_eq!(rare.required_server_bits() - settings.required_server_bits(), 88);
}

/// A scheme whose owner alone knows what messages wrap around at has room for statistical masks, and trains with them.
#[test]
fn statistical_masks_do_without_a_public_modulus() {
    let widths = [3, 4, 3];
    let mut settings = settings(&widths, 5);
    settings.masks = Masks::Statistical;
    let scheme = OkamotoUchiyama::insecure_for_tests(480).unwrap();
    let backend = Additive::new(scheme, Meter::default());
    let (initial, parts) = (network(&settings, &widths, 2), parts(&settings, 3));
    let found = train(Arithmetics::from(&backend), &settings, &initial, &parts).unwrap();
    assert_eq!(found.weights, oracle(&settings, &initial, &parts, Order::BackPropagation));
}

/// A wrapped mask shows as a sum that the circuit cannot give; here the server's weights are larger than was agreed on.
#[test]
fn sums_beyond_the_circuit_end_the_training() {
    let widths = [3, 4, 3];
    let exact = Settings { masks: Masks::Exact, ..settings(&widths, 4) };
    let lax = Settings { weight_magnitude_bits: 40, ..exact.clone() };
    let initial = {
        let mut network = network(&exact, &widths, 2);
        for layer in &mut network.layers {
            if let henn::network::Layer::Dense(dense) = layer {
                dense.weights.mapv_inplace(|w| w * libm::exp2(36.0));
            }
        }
        network
    };
    let backend = twin(256);
    let (near, far) = pipe();
    let bytes = backend.ciphertext_bytes();
    let error = std::thread::scope(|scope| {
        let (backend, lax, initial) = (&backend, &lax, &initial);
        scope.spawn(move || {
            let mut links = [Link::server(Box::new(far), bytes)];
            let (private, sessions) = (Stream::seeded(5), sessions());
            let models = (initial, initial);
            let server = Server::accept(backend, lax, &mut links, &private, &sessions, models, 0).unwrap();
            drop(server.serve());
        });
        let mut link = Link::client(Box::new(near), bytes);
        let private = Stream::seeded(70);
        let mut client = Client::connect(backend, &exact, &mut link, &private, 0).unwrap();
        let (features, labels) = &parts(&exact, 3)[0];
        let rows = [0, 1, 2, 0];
        let labels = rows.map(|row| labels[row]);
        client.train(features.select(ndarray::Axis(0), &rows).view(), &labels).unwrap_err()
    });
    let max = exact.unmasked_bits();
    assert!(matches!(error, ProtocolError::Beyond { bits, max: m } if m == max && bits > max), "{error}");
}
