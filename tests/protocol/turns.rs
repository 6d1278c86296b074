//! Several clients, exact masks and final updates, as experiment files ask for them.

use henn::backend::Variant;
use henn::backend::meter::Interrupt;
use henn::dataset::Store;
use henn::protocol::tls::Remote;
use henn::runner::cell::{self, Peer, Prepared};
use henn::runner::serve;
use henn::runner::watch::Watch;

use super::{compute, load, plan, split_settings, with_server};

/// Training goes on with the same weights whoever holds the samples; another division is another order of samples.
#[test]
fn clients_divide_the_samples_among_them() {
    let trained = |clients: usize| {
        let set = [format!("protocol.clients={clients}"), "protocol.training_iterations=12".to_owned()];
        compute(&plan(&set.each_ref().map(String::as_str)), Variant::Simulated)
    };
    let [one, two] = [1, 2].map(trained);
    assert_ne!(one.digest, two.digest);
    // The same sessions and messages, and keys for one client more.
    assert_eq!(one.counts["final_messages"], two.counts["final_messages"]);
    assert_eq!(one.counts["messages"] + 2, two.counts["messages"]);
    assert_eq!(one.counts["ciphertexts_up"], two.counts["ciphertexts_up"]);
}

#[test]
fn exact_masks_and_clients_are_refused_where_they_do_not_fit() {
    let wrong: [(&[&str], &str); 7] = [
        (
            &["protocol.masks=exact", "scheme.name=okamoto_uchiyama", "scheme.modulus_bits=768"],
            "which scheme `okamoto_uchiyama` keeps secret",
        ),
        (&["protocol.clients=0"], "allowed: 1 to 64"),
        (&["protocol.clients=2"], "allowed there: 1 client, or 8 iterations and more"),
        (&["protocol.session_limit=1"], "allowed: 2 to 4"),
        (&["protocol.session_limit=5"], "allowed: 2 to 4"),
        (&["protocol.session_limit=2"], "even numbers only where sessions last 2"),
        (
            &[
                "run.task=attack",
                "attack.on=sums",
                "run.variants=[\"simulated\"]",
                "protocol.clients=2",
                "protocol.training_iterations=8",
            ],
            "an attack is on one client",
        ),
    ];
    for (set, expected) in wrong {
        let report = load(set).unwrap_err();
        assert!(report.contains(expected), "{set:?}: {report}");
    }
}

/// A plan is refused where wraps are too likely, with the size that would do; no size of key that is allowed is so small.
#[test]
fn a_modulus_is_long_enough_for_rare_wraps_or_said_to_be_too_short() {
    let settings = split_settings(&plan(&["protocol.masks=exact", "protocol.mask_security_bits=128"]));
    // fw + fa + B, d = 4, one bit to spare, 43 numbers in 5 iterations, and the security.
    assert_eq!(settings.required_server_bits(), (28 + 16 + 8) + 2 + 1 + 2 + 8 + 128);
    assert!(settings.required_bits() < 512 && settings.required_server_bits() < 512);
}

#[test]
fn several_clients_are_refused_over_one_connection() {
    let plan = plan(&["protocol.clients=2", "protocol.training_iterations=8"]);
    let settings = plan.points[0].task.inference().unwrap();
    let prepared = Prepared::new(settings, 0, &Store::new("absent"), &Interrupt::default()).unwrap();
    let key = cell::key(&plan.points[0].task, Variant::Simulated, 0, &Store::new("absent")).unwrap();
    let hello = serve::Hello::new(&plan, 0, Variant::Simulated, 0, &key).to_bytes();
    let error = with_server(1, |address| {
        let remote = Remote::plain(address);
        let peer = Peer::Remote(&remote, &hello);
        cell::compute(&prepared, Variant::Simulated, &Watch::default(), peer).unwrap_err()
    });
    assert!(error.to_string().contains("2 clients and 1 channels"), "{error}");
}

/// Algorithm 5 stands apart: in every session the sums of 43 gradients up in one message and a word down. Steps are below 2^77 for weights, of
/// which 6 fit into 510 bits, and 2^93 for biases, of which 5 do: 20 and 15 weights, 5 and 3 biases.
#[test]
fn a_final_update_of_iris_takes_a_ciphertext_a_parameter_or_a_pack() {
    for (packing, ciphertexts) in [("false", 43), ("true", 4 + 1 + 3 + 1)] {
        let set = ["protocol.training_iterations=4", "protocol.session_limit=2"];
        let packing = format!("protocol.packing={packing}");
        let plan = plan(&[&set[..], &[packing.as_str()]].concat());
        let counts = compute(&plan, Variant::Encrypted).counts;
        assert_eq!((counts["final_messages"], counts["final_ciphertexts"]), (2 * 2, 2 * ciphertexts));
        // Frames of 4 + 9 bytes, ciphertexts of 128.
        assert_eq!(counts["final_bytes_up"], 2 * (13 + ciphertexts * 128));
        assert_eq!(counts["final_bytes_down"], 2 * 13);
    }
}
