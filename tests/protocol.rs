//! The split protocol: against plain stochastic gradient descent, against itself without masks, against its closed
//! forms, across backends and across a network.

#![expect(
    clippy::float_cmp,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test; the exemption for tests does not reach its helper functions"
)]

use std::net::{TcpListener, TcpStream};

use henn::backend::meter::Interrupt;
use henn::backend::{Meter, Plain, Rate, Variant};
use henn::dataset::Store;
use henn::experiment::plan::{Plan, Request, System};
use henn::experiment::spec::ProfileName;
use henn::math::stream::Stream;
use henn::network::{Activation, LayerSpec, Loss, Network, PoolKind, Shape as InputShape, Step};
use henn::protocol::channel::{Channel, Tcp, pipe};
use henn::protocol::message::{Kind, Message};
use henn::protocol::split::client::Client;
use henn::protocol::split::server::{Layer, Server};
use henn::protocol::split::{Masks, Settings, Shape};
use henn::protocol::tls::Remote;
use henn::protocol::transcript::Link;
use henn::runner::cell::{self, Computed, Peer, Prepared};
use henn::runner::estimate;
use henn::runner::serve;
use henn::runner::watch::Watch;
use ndarray::Axis;
use proptest::prelude::*;

#[path = "protocol/turns.rs"]
mod turns;

const FILE: &str = r#"
schema = 1
[data]
name = "iris"
test_limit = 4
[network]
hidden = [5]
[training]
epochs = 3
[scheme]
name = "paillier"
modulus_bits = 512
security = "paper"
[protocol]
name = "split"
batch = 3
training_iterations = 5
"#;

/// The split protocol's settings at a plan's first point.
fn split_settings(plan: &Plan) -> Settings {
    match &plan.points[0].task.inference().unwrap().system {
        System::Split { protocol, .. } => protocol.clone(),
        other => panic!("not the split protocol: {other:?}"),
    }
}

fn load(set: impl IntoIterator<Item = impl ToString>) -> Result<Plan, String> {
    let set: Vec<String> = set.into_iter().map(|key| key.to_string()).collect();
    let request = Request {
        name: "test",
        origin: "test",
        text: FILE,
        profile: ProfileName::Quick,
        set: &set,
        grid: &[],
    };
    Plan::load(&request).map(|(plan, _)| plan).map_err(|report| report.to_string())
}

fn plan(set: &[&str]) -> Plan {
    load(set).unwrap_or_else(|report| panic!("{report}"))
}

fn compute(plan: &Plan, variant: Variant) -> Computed {
    let settings = plan.points[0].task.inference().unwrap();
    let store = Store::new("absent");
    let prepared = Prepared::new(settings, 0, &store, &Interrupt::default()).unwrap();
    cell::compute(&prepared, variant, &Watch::default(), Peer::Local).unwrap()
}

/// The digest covers every output, every integer that the client opened and every trained weight.
#[test]
fn masked_training_is_bit_identical_to_training_without_masks() {
    for clients in [&[][..], &["protocol.clients=3", "protocol.training_iterations=13"]] {
        for variant in [Variant::Simulated, Variant::Encrypted] {
            let bare = compute(&plan(&[clients, &["protocol.masks=none"]].concat()), variant);
            for masks in ["protocol.masks=statistical", "protocol.masks=exact"] {
                let masked = compute(&plan(&[clients, &[masks]].concat()), variant);
                assert_eq!(masked.digest, bare.digest);
                assert_eq!(masked.counts, bare.counts);
                assert_eq!(masked.metrics, bare.metrics);
                assert_ne!(masked.transcript, bare.transcript, "the masks must show on the wire");
            }
        }
    }
}

#[test]
fn longer_masks_change_nothing_either() {
    let short = compute(&plan(&[]), Variant::Simulated);
    let long = compute(&plan(&["protocol.mask_security_bits=128"]), Variant::Simulated);
    assert_eq!(short.digest, long.digest);
}

#[test]
fn encrypted_equals_simulated_in_every_integer_and_every_count() {
    for set in [
        &["network.hidden=[3, 4]"][..],
        &["training.momentum=0.5", "network.activation=tanh"],
        &["network.loss=squared"],
        &["protocol.packing=true"],
        &["scheme.precompute=true"],
        &["scheme.randomisation=short_exponent", "protocol.packing=true", "scheme.precompute=true"],
        &["scheme.arithmetic=num_bigint", "scheme.crt_decryption=false", "scheme.crt_encryption=false"],
        &["scheme.multi_exponentiation=false"],
        &["protocol.masks=exact", "protocol.packing=true", "scheme.precompute=true"],
        &["protocol.masks=exact", "scheme.arithmetic=num_bigint", "network.loss=squared"],
        &[
            "protocol.masks=exact",
            "protocol.clients=2",
            "protocol.training_iterations=9",
            "network.hidden=[3, 4]",
        ],
        &["scheme.name=okamoto_uchiyama", "scheme.modulus_bits=768"],
        &["scheme.name=okamoto_uchiyama", "scheme.modulus_bits=768", "protocol.packing=true"],
        &[&["scheme.name=el_gamal"], SHORT_MESSAGES].concat(),
        &[&["scheme.name=bgn", "scheme.security=paper"], SHORT_MESSAGES].concat(),
    ] {
        let plan = plan(set);
        let (simulated, encrypted) = (compute(&plan, Variant::Simulated), compute(&plan, Variant::Encrypted));
        assert_eq!(simulated.digest, encrypted.digest);
        assert_eq!(simulated.counts, encrypted.counts);
        assert_eq!(encrypted.metrics["mismatches"], 0.0);
        assert!(!encrypted.disagrees);
    }
}

/// Digits are pictures of 8 x 8 that are part of the program; the convolution of Conv-1 leaves 2 x 2 of each, which a mean makes one.
const PICTURES: &[&str] = &[
    "data.name=digits",
    "data.scaling=min_max",
    "data.test_limit=3",
    "network.architecture=conv_1",
    "network.hidden=[]",
    "protocol.training_iterations=0",
    "protocol.batch=2",
    "training.epochs=1",
];

/// Convolutions and means are sparse rows: the same circuit in every variant, with the counts of the closed form, and the labels of the
/// network in plaintext.
#[test]
fn convolutional_networks_classify_as_in_plaintext() {
    for set in [
        &[][..],
        &["protocol.packing=true", "scheme.precompute=true"],
        &["scheme.arithmetic=num_bigint"],
        &["scheme.multi_exponentiation=false"],
        &["scheme.name=okamoto_uchiyama", "scheme.modulus_bits=768"],
        &[&["scheme.name=el_gamal"], SHORT_MESSAGES].concat(),
    ] {
        let plan = plan(&[PICTURES, set].concat());
        let settings = split_settings(&plan);
        let shapes =
            settings.layers.iter().map(|layer| (layer.inputs, layer.outputs, layer.terms, layer.longest));
        assert_eq!(shapes.collect::<Vec<_>>(), [(64, 20, 500, 25), (20, 5, 20, 4), (5, 10, 50, 5)]);
        let [plain, simulated, encrypted] = Variant::ALL.map(|variant| compute(&plan, variant));
        assert_eq!(simulated.digest, encrypted.digest);
        assert_eq!(simulated.counts, encrypted.counts);
        assert_eq!([plain.metrics["disagreements"], encrypted.metrics["mismatches"]], [0.0, 0.0]);
        assert!(
            plain.metrics["max_abs_error"] < 1e-4,
            "trained in 32 bits: {}",
            plain.metrics["max_abs_error"]
        );
        assert!(!encrypted.disagrees);
        let (forecast, _) = estimate::forecast_ahead(plan.points[0].task.inference().unwrap(), 0).unwrap();
        let forecast = forecast.unwrap();
        for (name, value) in forecast.traffic().by_name() {
            assert_eq!(encrypted.counts[name], value, "{name}");
        }
        for (name, value) in forecast.operations().by_name() {
            assert_eq!(encrypted.counts[&name], value, "{name}");
        }
    }
}

/// The bound of a sum is that of the longest row, not of the widest layer.
#[test]
fn short_rows_need_fewer_bits() {
    let convolution = split_settings(&plan(PICTURES));
    let mut dense = convolution.clone();
    dense.layers = Shape::dense_layers(&[64, 20, 10]);
    assert_eq!(dense.required_bits() - convolution.required_bits(), 2, "65 terms take 7 bits, 26 take 5");
}

/// What is divided by something else than a power of 2 has no exact circuit.
#[test]
fn training_what_no_circuit_trains_is_refused_by_place() {
    let set = ["data.name=digits", "network.hidden=[]", "network.architecture=deep"];
    let report = load(set).unwrap_err();
    let line = FILE.lines().position(|line| line.starts_with("training_iterations")).unwrap() + 1;
    for part in ["cannot train this network", &format!("test:{line}:"), "training_iterations = 5"] {
        assert!(report.contains(part), "{part}: {report}");
    }
}

/// A convolution, a mean that stands alone, and a dense layer, in sessions of two clients.
const TRAINED_PICTURES: &[&str] = &[
    "data.name=digits",
    "data.scaling=min_max",
    "data.test_limit=3",
    "network.architecture=conv_1",
    "network.hidden=[]",
    "protocol.clients=2",
    "protocol.training_iterations=11",
    "protocol.batch=2",
    "training.epochs=1",
    "training.learning_rate=0.5",
];

/// Bit for bit under every kind of mask, with the counts of the closed form.
#[test]
fn convolutional_networks_are_trained_alike_under_all_masks() {
    let bare = compute(&plan(&[TRAINED_PICTURES, &["protocol.masks=none"]].concat()), Variant::Simulated);
    for masks in ["statistical", "exact"] {
        let masks = format!("protocol.masks={masks}");
        for packing in ["protocol.packing=false", "protocol.packing=true"] {
            let plan = plan(&[TRAINED_PICTURES, &[&masks, packing]].concat());
            let [plain, simulated, encrypted] = Variant::ALL.map(|variant| compute(&plan, variant));
            assert_eq!([&simulated.digest, &encrypted.digest], [&bare.digest; 2]);
            assert_eq!(simulated.counts, encrypted.counts);
            assert_eq!(encrypted.metrics["mismatches"], 0.0);
            assert!(simulated.metrics["training_max_abs_error"] < 1e-3);
            assert_ne!(plain.metrics["training_loss"], 0.0);
            let (forecast, _) =
                estimate::forecast_ahead(plan.points[0].task.inference().unwrap(), 0).unwrap();
            let forecast = forecast.unwrap();
            for (name, value) in forecast.traffic().by_name() {
                assert_eq!(encrypted.counts[name], value, "{name}");
            }
            for (name, value) in forecast.operations().by_name() {
                assert_eq!(encrypted.counts[&name], value, "{name}");
            }
        }
    }
}

/// A circuit whose sums a search finds.
const SHORT_MESSAGES: &[&str] = &[
    "protocol.training_iterations=0",
    "protocol.activation_bits=6",
    "protocol.gradient_bits=2",
    "protocol.learning_rate_bits=4",
    "protocol.weight_magnitude_bits=2",
    "protocol.activation_magnitude_bits=3",
];

/// Packing and precomputation change what is sent, not what is computed.
#[test]
fn packing_and_precomputation_leave_the_results_alone() {
    let digest = |set: &[&str]| compute(&plan(set), Variant::Encrypted);
    let plain = digest(&[]);
    let packed = digest(&["protocol.packing=true"]);
    let ahead = digest(&["scheme.precompute=true"]);
    assert_eq!([&packed.digest, &ahead.digest], [&plain.digest; 2]);
    assert!(packed.counts["bytes_down"] < plain.counts["bytes_down"]);
    assert!(packed.counts["decryptions"] < plain.counts["decryptions"]);
    assert_eq!(ahead.counts, plain.counts);
    assert_ne!(ahead.transcript, plain.transcript, "the randomness comes from another stream");
}

/// A circuit of 16 fraction bits strays from real numbers, and not far.
#[test]
fn fixed_point_follows_real_numbers() {
    let simulated = compute(&plan(&[]), Variant::Simulated);
    let error = simulated.metrics["training_max_abs_error"];
    assert!(error > 0.0 && error < 1e-4, "{error}");
    let coarse = compute(&plan(&["protocol.activation_bits=4"]), Variant::Simulated);
    assert!(coarse.metrics["max_abs_error"] > 100.0 * simulated.metrics["max_abs_error"]);
}

/// Independent of the protocol: gradients come from the network's own backpropagation.
#[test]
fn the_protocol_trains_as_stochastic_gradient_descent_does() {
    let dense = |activation, loss| Network::initialise(&[4, 5, 4, 3], activation, loss, &Stream::seeded(4));
    let activation = || LayerSpec::Activation { function: Activation::Sigmoid.into() };
    let mean = || LayerSpec::Pool { pool: PoolKind::Mean, size: 2, stride: 2, padding: 0 };
    let convolution =
        |outputs, kernel, padding| LayerSpec::Convolution { outputs, kernel, stride: 1, padding, groups: 1 };
    // A convolution with a mean, one without, and a mean alone.
    let pictures = [
        convolution(3, 5, 2),
        mean(),
        activation(),
        convolution(2, 3, 0),
        activation(),
        mean(),
        activation(),
        LayerSpec::Dense { outputs: 10, bias: true },
    ];
    let pictures =
        Network::build(InputShape::image(1, 8, 8), &pictures, 10, Loss::CrossEntropy, &Stream::seeded(4));
    for (name, activation, loss, initial) in [
        ("iris", Activation::Sigmoid, Loss::CrossEntropy, dense(Activation::Sigmoid, Loss::CrossEntropy)),
        ("iris", Activation::Tanh, Loss::Squared, dense(Activation::Tanh, Loss::Squared)),
        ("digits", Activation::Sigmoid, Loss::CrossEntropy, pictures.unwrap()),
    ] {
        let rate = Rate { mantissa: 410, bits: 12 };
        let linear = initial.steps().unwrap().into_iter().filter_map(|step| match step {
            Step::Linear(linear) => Some(Shape::of(&linear)),
            Step::Activation(_) => None,
        });
        let layers = linear.zip(initial.sharings().unwrap());
        let settings = Settings {
            layers: layers.map(|(shape, sharing)| shape.sharing(sharing)).collect(),
            activation: activation.into(),
            loss,
            batch: 7,
            training_iterations: 8,
            rate,
            masks: Masks::Statistical,
            mask_security_bits: 40,
            clients: 1,
            session_limit: None,
            activation_bits: 16,
            gradient_bits: 16,
            weight_magnitude_bits: 8,
            activation_magnitude_bits: 6,
            packing: None,
            step_packing: None,
            precompute: false,
        };
        let dataset = Store::new("absent").load(name).unwrap();
        let split = dataset.split(0.2, henn::dataset::Scaling::Standard, &Stream::seeded(3)).unwrap();
        let samples = split.train.take(settings.training_iterations);

        let mut expected = initial.clone();
        for (row, label) in samples.features.axis_chunks_iter(Axis(0), 1).zip(&samples.labels) {
            let gradients = expected.gradients(row, &[*label]);
            expected.move_by(-rate.value(), &gradients);
        }

        let backend = Plain::new(Meter::default());
        let (near, far) = pipe();
        let layers = std::thread::scope(|scope| {
            let (settings, initial, backend) = (&settings, &initial, &backend);
            let serving = scope.spawn(move || {
                let mut link = Link::server(Box::new(far), 8);
                let (private, sessions) = (Stream::seeded(5), Stream::seeded(6));
                let models = (initial, initial);
                let links = std::slice::from_mut(&mut link);
                Server::accept(backend, settings, links, &private, &sessions, models, 0)
                    .unwrap()
                    .serve()
                    .unwrap()
            });
            let mut link = Link::client(Box::new(near), 8);
            let private = Stream::seeded(7);
            let mut client = Client::connect(backend, settings, &mut link, &private, 0).unwrap();
            client.train(samples.features.view(), &samples.labels).unwrap();
            client.close().unwrap();
            serving.join().unwrap()
        });
        let found: Vec<f64> = layers.iter().flat_map(Layer::parameters).copied().collect();
        let wanted: Vec<f64> = expected.step_parameters().concat();
        assert_eq!(found.len(), wanted.len());
        for (found, wanted) in found.iter().zip(&wanted) {
            assert!((found - wanted).abs() < 1e-12, "{found} against {wanted}");
        }
        assert_eq!(initial.with_parameters(&wanted), Some(expected.clone()));
        assert!(expected != initial);
    }
}

/// Section 2.7 of the reference: `[4,5,3]` takes 17 ciphertexts forward, 8 for errors, 43 for the gradients of all layers.
#[test]
fn one_iteration_of_iris_takes_the_ciphertexts_that_the_closed_form_says() {
    let settings = split_settings(&plan(&["protocol.training_iterations=2"]));
    let two = settings.forecast(0, &[2], 64, 128).traffic;
    let three = settings.forecast(0, &[3], 64, 128).traffic;
    let iteration = three.ciphertexts_up + three.ciphertexts_down - two.ciphertexts_up - two.ciphertexts_down;
    assert_eq!(iteration, 17 + 8 + 43);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_counted_is_what_the_closed_forms_say(
        hidden in prop::collection::vec(2_usize..9, 0..4),
        limit in 1_usize..12,
        batch in 1_usize..8,
        iterations in 2_usize..12,
        seed: u32,
        packing: bool,
        masks in prop::sample::select(vec!["none", "statistical", "exact"]),
        clients in 1_usize..4,
        session in 2_usize..5,
    ) {
        let bound = hidden.iter().copied().chain([4, session]).min().unwrap_or(session);
        let iterations = if clients > 1 { iterations.max(clients * bound) } else { iterations };
        // Sessions of two iterations only admit even numbers.
        let iterations = if bound == 2 { iterations.next_multiple_of(2) } else { iterations };
        let set = [
            format!("protocol.masks={masks}"),
            format!("protocol.clients={clients}"),
            format!("protocol.session_limit={bound}"),
            format!("network.hidden={hidden:?}"),
            format!("data.test_limit={limit}"),
            format!("protocol.batch={batch}"),
            format!("protocol.training_iterations={iterations}"),
            format!("run.seed={seed}"),
            format!("protocol.packing={packing}"),
            "training.epochs=1".to_owned(),
        ];
        let plan = plan(&set.each_ref().map(String::as_str));
        let (forecast, samples) = estimate::forecast_ahead(plan.points[0].task.inference().unwrap(), 0).unwrap();
        prop_assert_eq!(samples, limit);
        let counted = compute(&plan, Variant::Simulated).counts;
        if let Some(estimate::Forecast::Split(forecast)) = &forecast {
            let last = forecast.final_updates;
            prop_assert_eq!(counted["final_messages"], last.messages_up + last.messages_down);
            prop_assert_eq!(counted["final_bytes_up"], last.bytes_up);
            prop_assert_eq!(counted["final_bytes_down"], last.bytes_down);
            prop_assert_eq!(counted["final_ciphertexts"], last.ciphertexts_up + last.ciphertexts_down);
        }
        for (name, value) in forecast.as_ref().unwrap().traffic().by_name() {
            prop_assert_eq!(counted[name], value, "{}", name);
        }
        for (name, value) in forecast.as_ref().unwrap().operations().by_name() {
            prop_assert_eq!(counted[&name], value, "{}", name);
        }
    }

    #[test]
    fn sessions_never_show_a_single_gradient_nor_a_whole_layer(
        widths in prop::collection::vec(2_usize..20, 2..5),
        iterations in 2_usize..60,
        seed: u64,
    ) {
        let mut settings = split_settings(&plan(&[]));
        settings.layers = Shape::dense_layers(&widths);
        settings.training_iterations = iterations;
        let bound = settings.session_bound();
        match settings.sessions(&Stream::seeded(seed)) {
            Some(sessions) => {
                prop_assert_eq!(sessions.iter().sum::<usize>(), iterations);
                prop_assert!(sessions.iter().all(|length| (2..=bound).contains(length)));
            }
            None => prop_assert!(bound == 2 && iterations % 2 == 1),
        }
    }
}

#[test]
fn a_weight_beyond_the_circuit_is_refused_by_name() {
    let plan = plan(&["protocol.weight_magnitude_bits=0", "training.epochs=200"]);
    let settings = plan.points[0].task.inference().unwrap();
    let prepared = Prepared::new(settings, 0, &Store::new("absent"), &Interrupt::default()).unwrap();
    let error = cell::compute(&prepared, Variant::Simulated, &Watch::default(), Peer::Local).unwrap_err();
    assert!(error.to_string().contains("protocol.weight_magnitude_bits"), "{error}");
}

#[test]
fn an_interrupt_stops_a_cell() {
    let plan = plan(&[]);
    let settings = plan.points[0].task.inference().unwrap();
    let interrupt = Interrupt::default();
    let prepared = Prepared::new(settings, 0, &Store::new("absent"), &interrupt).unwrap();
    interrupt.raise();
    let watch = Watch::new(interrupt);
    let error = cell::compute(&prepared, Variant::Encrypted, &watch, Peer::Local).unwrap_err();
    assert!(error.is_interrupt(), "{error}");
}

/// A server for so many connections, and its address.
fn with_server<T>(connections: usize, client: impl FnOnce(&str) -> T) -> T {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let log = Box::new(|_: &str| ());
            let options = serve::Options {
                connections: Some(connections),
                ..serve::Options::new(Store::new("absent"), log)
            };
            serve::serve(&listener, options, &Interrupt::default())
        });
        client(&address)
    })
}

#[test]
fn two_processes_worth_of_tcp_give_the_same_bytes_as_one_process() {
    let plan = plan(&[]);
    let settings = plan.points[0].task.inference().unwrap();
    let prepared = Prepared::new(settings, 0, &Store::new("absent"), &Interrupt::default()).unwrap();
    for variant in Variant::ALL {
        let near = cell::compute(&prepared, variant, &Watch::default(), Peer::Local).unwrap();
        let key = cell::key(&plan.points[0].task, variant, 0, &Store::new("absent")).unwrap();
        let hello = serve::Hello::new(&plan, 0, variant, 0, &key).to_bytes();
        let far = with_server(1, |address| {
            let remote = Remote::plain(address);
            cell::compute(&prepared, variant, &Watch::default(), Peer::Remote(&remote, &hello)).unwrap()
        });
        assert_eq!((near.metrics, near.counts), (far.metrics, far.counts));
        assert_eq!((near.digest, near.transcript), (far.digest, far.transcript));
    }
}

#[test]
fn a_server_survives_clients_that_send_garbage() {
    let plan = plan(&[]);
    let settings = plan.points[0].task.inference().unwrap();
    let key = cell::key(&plan.points[0].task, Variant::Simulated, 0, &Store::new("absent")).unwrap();
    let good = serve::Hello::new(&plan, 0, Variant::Simulated, 0, &key);
    let mut wrong_cell = good.to_bytes();
    let at = wrong_cell.windows(8).position(|window| window == &key.as_bytes()[..8]).unwrap();
    wrong_cell[at] = if wrong_cell[at] == b'0' { b'1' } else { b'0' };
    let hello = |body: Vec<u8>| Message::new(Kind::Hello, body).into_frame();
    let frames: [Vec<u8>; 7] = [
        vec![],
        vec![0xff; 100],
        hello(b"no json".to_vec()),
        hello(vec![b'['; 2 << 20]),
        hello(wrong_cell),
        hello(good.to_bytes().iter().map(|byte| byte ^ 0x20).collect()),
        Message::new(Kind::Activations, vec![0; 1000]).into_frame(),
    ];
    with_server(frames.len() + 2, |address| {
        for frame in frames {
            let mut channel = Tcp::connect(address).unwrap();
            channel.send(frame).unwrap();
            let answer = Message::from_frame(channel.receive().unwrap()).unwrap();
            assert_eq!(answer.kind, Kind::Fault, "{answer:?}");
        }
        // Gone before it has said anything.
        drop(TcpStream::connect(address).unwrap());
        // And the next client is served all the same.
        let prepared = Prepared::new(settings, 0, &Store::new("absent"), &Interrupt::default()).unwrap();
        let hello = good.to_bytes();
        let remote = Remote::plain(address);
        let peer = Peer::Remote(&remote, &hello);
        cell::compute(&prepared, Variant::Simulated, &Watch::default(), peer).unwrap();
    });
}

/// Messages that are well formed but out of place end the conversation, with a reason and without a panic.
#[test]
fn a_server_refuses_what_the_protocol_does_not_allow() {
    let settings = split_settings(&plan(&[]));
    let network =
        Network::initialise(&[4, 5, 3], settings.activation.clone(), settings.loss, &Stream::seeded(1));
    let message = |kind, layer, count, bytes| Message { kind, layer, count, body: vec![0; bytes].into() };
    let wrong = [
        message(Kind::Activations, 9, 1, 32),
        message(Kind::Activations, 0, 2, 32),
        message(Kind::Activations, 0, 0, 0),
        message(Kind::Activations, 0, u32::MAX, 32),
        message(Kind::Errors, 1, 1, 24),
        message(Kind::MaskedGradients, 0, 0, 8),
        message(Kind::SummedGradients, 0, 0, 8),
        message(Kind::Begin, 0, 1, 0),
        message(Kind::Sums, 0, 1, 0),
        message(Kind::PublicKey, 0, 0, 0),
    ];
    for wrong in wrong {
        let backend = Plain::new(Meter::default());
        let (mut near, far) = pipe();
        std::thread::scope(|scope| {
            let (settings, network, backend) = (&settings, &network, &backend);
            let serving = scope.spawn(move || {
                let mut link = Link::server(Box::new(far), 8);
                let (private, sessions) = (Stream::seeded(5), Stream::seeded(6));
                let links = std::slice::from_mut(&mut link);
                let server =
                    Server::accept(backend, settings, links, &private, &sessions, (network, network), 0);
                server.unwrap().serve().map(|_| ())
            });
            near.send(Message::new(Kind::PublicKey, vec![]).into_frame()).unwrap();
            near.receive().unwrap();
            near.send(wrong.clone().into_frame()).unwrap();
            assert!(serving.join().unwrap().is_err(), "{wrong:?} was accepted");
        });
    }
}
