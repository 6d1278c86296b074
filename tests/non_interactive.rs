//! Inference by a server that computes alone, under each scheme over a ring: encrypted, simulated and foretold.

#![expect(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "tests; the exemption for tests does not reach their helper functions, and counts are compared exactly"
)]

use std::net::TcpListener;

use henn::backend::Variant;
use henn::backend::meter::Interrupt;
use henn::dataset::Store;
use henn::experiment::plan::{Plan, Request, System};
use henn::experiment::spec::ProfileName;
use henn::protocol::channel::{Channel, Tcp};
use henn::protocol::message::{Kind, Message};
use henn::protocol::tls::Remote;
use henn::runner::cell::{self, Computed, Peer, Prepared};
use henn::runner::watch::Watch;
use henn::runner::{estimate, serve};

/// Parameters that are insecure, and quick.
const FILE: &str = r#"
schema = 1
[data]
name = "iris"
scaling = "min_max"
test_limit = 20
[network]
hidden = [4]
[approximation]
method = "taylor"
degree = 3
[training]
epochs = 3
[scheme]
name = "bgv"
log_degree = 12
security = "paper"
[protocol]
name = "non_interactive"
activation_bits = 8
weight_bits = 8
coefficient_bits = 10
activation_magnitude_bits = 1
norm_bits = 4
"#;

const SCHEMES: [&[&str]; 3] =
    [&["scheme.name=bgv"], &["scheme.name=bfv"], &["scheme.name=ckks", "protocol.activation_bits=40"]];

fn load(set: &[&str]) -> Result<Plan, String> {
    let set: Vec<String> = set.iter().map(ToString::to_string).collect();
    let profile = ProfileName::Quick;
    let request = Request { name: "test", origin: "test", text: FILE, profile, set: &set, grid: &[] };
    Plan::load(&request).map(|(plan, _)| plan).map_err(|report| report.to_string())
}

fn compute(plan: &Plan, variant: Variant, peer: Peer<'_>) -> Computed {
    let settings = plan.points[0].task.inference().unwrap();
    let prepared = Prepared::new(settings, 0, &Store::new("absent"), &Interrupt::default()).unwrap();
    cell::compute(&prepared, variant, &Watch::default(), peer).unwrap()
}

#[test]
fn encrypted_equals_simulated_and_what_was_foretold() {
    for scheme in SCHEMES {
        for more in
            [&["approximation.degree=1"][..], &[], &["network.hidden=[3, 2]"], &["network.activation=square"]]
        {
            let set = [scheme, more].concat();
            let plan = load(&set).unwrap();
            let [simulated, encrypted] =
                [Variant::Simulated, Variant::Encrypted].map(|variant| compute(&plan, variant, Peer::Local));
            assert!(!encrypted.disagrees, "{set:?}");
            assert_eq!(simulated.counts, encrypted.counts, "{set:?}");
            let (forecast, samples) =
                estimate::forecast_ahead(plan.points[0].task.inference().unwrap(), 0).unwrap();
            assert_eq!(samples, 20);
            for (name, count) in forecast.as_ref().unwrap().operations().by_name() {
                assert_eq!(encrypted.counts[&name], count, "{name} under {set:?}");
            }
            for (name, count) in forecast.as_ref().unwrap().traffic().by_name() {
                assert_eq!(encrypted.counts[name], count, "{name} under {set:?}");
            }
            if scheme[0] == "scheme.name=ckks" {
                let [error, bound] =
                    ["log2_error_max", "log2_error_bound"].map(|name| encrypted.metrics[name]);
                assert!(error <= bound, "2^{error} beyond 2^{bound}");
            } else {
                assert_eq!(simulated.digest, encrypted.digest, "{set:?}");
                assert_eq!(encrypted.metrics["mismatches"], 0.0);
            }
        }
    }
}

/// Convolution and mean pooling are sums of products as dense layers are; the polynomial is fitted to what the trained network shows.
#[test]
fn convolutions_and_measured_intervals_run_encrypted_too() {
    const CNN: [&str; 9] = [
        "data.name=digits",
        "data.test_limit=10",
        "network.architecture=conv_1",
        "network.hidden=[]",
        "training.epochs=1",
        "training.learning_rate=0.01",
        "approximation.method=minimax",
        "approximation.degree=1",
        "approximation.interval=measured",
    ];
    for scheme in SCHEMES {
        let plan = load(&[scheme, &CNN].concat()).unwrap();
        let [plain, simulated, encrypted] = [Variant::Plain, Variant::Simulated, Variant::Encrypted]
            .map(|variant| compute(&plan, variant, Peer::Local));
        assert!(!encrypted.disagrees, "{scheme:?}");
        assert_eq!(simulated.counts, encrypted.counts, "{scheme:?}");
        // 20 convolved pixels of 25 products each; their mean is part of the outputs' sums of 20; then 10 sums of 5.
        assert!(encrypted.counts["scalar_products"] >= 20 * 25 + 5 * 4 + 10 * 5);
        assert!(plain.metrics["max_abs_error"] < 1e-5, "{}", plain.metrics["max_abs_error"]);
        assert!(simulated.metrics["max_abs_error"] < 0.1, "{}", simulated.metrics["max_abs_error"]);
        assert!(plain.metrics["interval_high"] > 0.0);
    }
}

/// Bounds that are measured on the trained network, activations that are squares: bit for bit what is simulated, and what was foretold; and
/// however many messages carry inputs and outputs, they are the same.
#[test]
fn a_circuit_of_squares_is_the_simulated_one_in_any_number_of_messages() {
    const CNN: [&str; 9] = [
        "data.name=digits",
        "data.test_limit=10",
        "network.architecture=conv_1",
        "network.hidden=[]",
        "network.activation=square",
        "training.epochs=2",
        "training.learning_rate=0.002",
        "protocol.norms=measured",
        "approximation.degree=2",
    ];
    for scheme in SCHEMES {
        let plan = load(&[scheme, &CNN].concat()).unwrap();
        let settings = plan.points[0].task.inference().unwrap();
        let mut prepared = Prepared::new(settings, 0, &Store::new("absent"), &Interrupt::default()).unwrap();
        let mut digests = Vec::new();
        for message_bytes in [1, 700_000, 8 << 20] {
            let System::NonInteractive { protocol, .. } = &mut prepared.settings.system else {
                panic!("not planned")
            };
            protocol.message_bytes = message_bytes;
            let run = |variant| cell::compute(&prepared, variant, &Watch::default(), Peer::Local).unwrap();
            let [simulated, encrypted] = [Variant::Simulated, Variant::Encrypted].map(run);
            assert!(!encrypted.disagrees, "{scheme:?}");
            assert_eq!(simulated.counts, encrypted.counts, "{scheme:?}");
            let forecast = prepared.forecast().unwrap().unwrap();
            for (name, count) in forecast.operations().by_name() {
                assert_eq!(encrypted.counts[&name], count, "{name} under {scheme:?}");
            }
            for (name, count) in forecast.traffic().by_name() {
                assert_eq!(encrypted.counts[name], count, "{name} under {scheme:?}");
            }
            if scheme[0] == "scheme.name=ckks" {
                assert!(encrypted.metrics["log2_error_max"] <= encrypted.metrics["log2_error_bound"]);
            } else {
                assert_eq!(simulated.digest, encrypted.digest, "{scheme:?}");
            }
            digests.push(simulated.digest);
        }
        assert_eq!([&digests[0], &digests[0]], [&digests[1], &digests[2]], "{scheme:?}");
        // A network beyond what was measured is refused by the server.
        if let System::NonInteractive { protocol, .. } = &mut prepared.settings.system {
            protocol.measured.as_mut().unwrap()[0] /= 2.0;
        }
        let refused =
            cell::compute(&prepared, Variant::Simulated, &Watch::default(), Peer::Local).unwrap_err();
        assert!(refused.to_string().contains("the sum of a neuron's weights"), "{refused}");
    }
}

/// Real numbers, through the same circuit, are the network's own outputs.
#[test]
fn the_plain_variant_is_the_network() {
    let plain = compute(&load(&[]).unwrap(), Variant::Plain, Peer::Local);
    assert!(plain.metrics["max_abs_error"] < 1e-12);
    let simulated = compute(&load(&[]).unwrap(), Variant::Simulated, Peer::Local);
    assert!(simulated.metrics["max_abs_error"] < 0.05, "{}", simulated.metrics["max_abs_error"]);
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
fn over_tcp_the_bytes_are_those_of_one_process() {
    for scheme in SCHEMES {
        let plan = load(&[scheme, &["approximation.degree=1"]].concat()).unwrap();
        for variant in Variant::ALL {
            let near = compute(&plan, variant, Peer::Local);
            let key = cell::key(&plan.points[0].task, variant, 0, &Store::new("absent")).unwrap();
            let hello = serve::Hello::new(&plan, 0, variant, 0, &key).to_bytes();
            let far = with_server(1, |address| {
                compute(&plan, variant, Peer::Remote(&Remote::plain(address), &hello))
            });
            assert_eq!((near.metrics, near.counts), (far.metrics, far.counts));
            assert_eq!((near.digest, near.transcript), (far.digest, far.transcript));
        }
    }
}

#[test]
fn a_server_survives_keys_and_samples_that_are_none() {
    let plan = load(&["approximation.degree=1"]).unwrap();
    let variant = Variant::Encrypted;
    let key = cell::key(&plan.points[0].task, variant, 0, &Store::new("absent")).unwrap();
    let hello = serve::Hello::new(&plan, 0, variant, 0, &key).to_bytes();
    let (forecast, _) = estimate::forecast_ahead(plan.points[0].task.inference().unwrap(), 0).unwrap();
    let traffic = forecast.as_ref().unwrap().traffic();
    with_server(4, |address| {
        // Of the right length and not: neither residues below their primes nor keys.
        for length in [0, 1, usize::try_from(traffic.bytes_up).unwrap() / 2] {
            let mut channel = Tcp::connect(address).unwrap();
            channel.send(Message::new(Kind::Hello, hello.clone()).into_frame()).unwrap();
            channel.send(Message::new(Kind::PublicKey, vec![0xff; length]).into_frame()).unwrap();
            let answer = Message::from_frame(channel.receive().unwrap()).unwrap();
            assert_eq!(answer.kind, Kind::Fault);
        }
        let honest = compute(&plan, variant, Peer::Remote(&Remote::plain(address), &hello));
        assert!(!honest.disagrees);
    });
}

#[test]
fn what_cannot_run_is_refused_with_the_reason() {
    let refused = |set: &[&str], needles: &[&str]| {
        let Err(report) = load(set) else { panic!("{set:?} was accepted") };
        for needle in needles {
            assert!(report.contains(needle), "{set:?}: {needle:?} is not in\n{report}");
        }
    };
    refused(&["network.activation=relu"], &["no series", "`sigmoid`"]);
    refused(&["approximation.degree=64"], &["degree 64", "1 to 63"]);
    refused(&["protocol.name=split"], &["`split` takes an additive scheme", "non_interactive"]);
    refused(&["protocol.name=refresh"], &["without biases"]);
    refused(&["protocol.training_iterations=2"], &["classifies and does not train"]);
    refused(&["scheme.log_degree=40"], &["`scheme.log_degree` is 40", "12 to 16"]);
    refused(&["scheme.security=128"], &["2^12", "128 required"]);
    refused(&["network.hidden=[100000, 100000]"], &["weights", "10000000"]);
    refused(&["data.scaling=integer"], &["inputs up to 255"]);
    refused(&["scheme.arithmetic=vector"], &["no choice of `scheme.arithmetic`"]);
    refused(&["scheme.name=paillier", "protocol.name=split"], &["no choice of `scheme.log_degree`"]);
    refused(&["approximation.degree=63", "protocol.weight_bits=40"], &["no parameters", "bits"]);
    // Without a polynomial there is nothing that the server could evaluate; the square is one.
    let text = FILE.replace("[approximation]\nmethod = \"taylor\"\ndegree = 3\n", "");
    let load = |text: &str| {
        let profile = ProfileName::Quick;
        let request = Request { name: "test", origin: "test", text, profile, set: &[], grid: &[] };
        Plan::load(&request).map(|_| ()).map_err(|report| report.to_string())
    };
    assert!(load(&text).unwrap_err().contains("evaluates polynomials only"));
    load(&text.replace("hidden = [4]", "hidden = [4]\nactivation = \"square\"")).unwrap();
}

#[test]
fn weights_and_inputs_beyond_the_promise_are_refused_by_name() {
    let run = |set: &[&str]| {
        let plan = load(set).unwrap();
        let settings = plan.points[0].task.inference().unwrap();
        let prepared = Prepared::new(settings, 0, &Store::new("absent"), &Interrupt::default()).unwrap();
        cell::compute(&prepared, Variant::Simulated, &Watch::default(), Peer::Local).unwrap_err().to_string()
    };
    assert!(run(&["protocol.norm_bits=0"]).contains("raise `protocol.norm_bits`"));
    let standard = run(&["data.scaling=standard", "protocol.activation_magnitude_bits=0"]);
    assert!(standard.contains("raise `protocol.activation_magnitude_bits`"), "{standard}");
}
