//! Mistakes in an experiment file: each gets a pointed message and its exit code, and none panics.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test; the exemption for tests does not reach its helper functions"
)]

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

/// A file without mistakes, in the lines of which the mistakes are made.
const GOOD: &str = r#"schema = 1
title = "a test"
paper = "gelu_net"
artifact = "table_3"

[data]
name = "iris"
test_fraction = 0.2
scaling = "standard"

[network]
hidden = [5]
activation = "sigmoid"

[training]
epochs = 10
learning_rate = 0.1
momentum = 0.0

[scheme]
name = "paillier"
modulus_bits = 3072
security = 128

[protocol]
name = "split"
mask_security_bits = 40

[run]
variants = ["plain", "simulated"]
repetitions = 1

[sweep]
"training.batch_size" = [1, 2]

[table]
rows = "variant"
cell = "accuracy ± std"

[[claim]]
text = "no accuracy is lost"
holds = "simulated.accuracy == plain.accuracy"
"#;

struct Output {
    status: Option<i32>,
    text: String,
}

fn henn(text: &str, arguments: &[&str]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("experiments")).unwrap();
    fs::write(directory.path().join("experiment.toml"), text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_henn"))
        .current_dir(directory.path())
        .env("NO_COLOR", "1")
        .args(arguments)
        .output()
        .unwrap();
    Output { status: output.status.code(), text: String::from_utf8(output.stderr).unwrap() }
}

fn check(text: &str) -> Output {
    henn(text, &["check", "experiment.toml"])
}

/// `GOOD` with one piece replaced.
fn with(good: &str, bad: &str) -> String {
    assert!(GOOD.contains(good), "{good} is not in the good file");
    GOOD.replacen(good, bad, 1)
}

#[test]
fn a_file_without_mistakes_passes() {
    let output = check(GOOD);
    assert_eq!((output.status, output.text.as_str()), (Some(0), ""));
}

#[test]
fn every_mistake_is_named_with_its_place_and_the_way_out() {
    let mistakes: &[(&str, &str, &str, i32)] = &[
        ("no TOML at all", "[network]", "[network", 2),
        ("a key misspelt", "epochs = 10", "epoch = 10", 2),
        ("a table misspelt", "[training]", "[trainig]", 2),
        ("a value of the wrong type", "epochs = 10", "epochs = \"ten\"", 2),
        ("a negative number of epochs", "epochs = 10", "epochs = -1", 2),
        ("no epochs", "epochs = 10", "epochs = 0", 2),
        ("a negative rate", "learning_rate = 0.1", "learning_rate = -0.1", 2),
        ("a rate that is no number", "learning_rate = 0.1", "learning_rate = nan", 2),
        ("too much momentum", "momentum = 0.0", "momentum = 1.0", 2),
        ("an unknown data set", "name = \"iris\"", "name = \"irsi\"", 2),
        ("no data set", "name = \"iris\"\n", "", 2),
        ("everything held out", "test_fraction = 0.2", "test_fraction = 1.0", 2),
        ("an unknown scaling", "scaling = \"standard\"", "scaling = \"standart\"", 2),
        ("a layer without neurons", "hidden = [5]", "hidden = [5, 0]", 2),
        ("an unknown activation", "activation = \"sigmoid\"", "activation = \"sigmod\"", 2),
        ("an unknown scheme", "name = \"paillier\"", "name = \"pailier\"", 2),
        ("no scheme", "name = \"paillier\"\n", "", 2),
        ("a protocol that the scheme cannot do", "name = \"split\"", "name = \"refresh\"", 2),
        ("a short key without the mark", "modulus_bits = 3072", "modulus_bits = 512", 3),
        ("an impossible key", "modulus_bits = 3072", "modulus_bits = 100", 2),
        ("a security that nobody judges by", "security = 128", "security = 100", 2),
        ("more security than the key gives", "security = 128", "security = 192", 3),
        ("weak masks", "mask_security_bits = 40", "mask_security_bits = 8", 2),
        ("a single training iteration", "mask_security_bits = 40", "training_iterations = 1", 2),
        ("no variants", "variants = [\"plain\", \"simulated\"]", "variants = []", 2),
        ("a variant twice", "variants = [\"plain\", \"simulated\"]", "variants = [\"plain\", \"plain\"]", 2),
        ("no repetitions", "repetitions = 1", "repetitions = 0", 2),
        (
            "a sweep over a key that does not exist",
            "\"training.batch_size\" =",
            "\"training.batchsize\" =",
            2,
        ),
        ("a mistake inside a sweep", "[1, 2]", "[1, 0]", 2),
        ("a sweep that is no list", "[1, 2]", "5", 2),
        ("rows by a key that does not exist", "rows = \"variant\"", "rows = \"varient\"", 2),
        ("an unknown metric", "cell = \"accuracy ± std\"", "cell = \"acuracy ± std\"", 2),
        ("a claim about an unknown metric", "== plain.accuracy", "== plain.acc", 2),
        ("a claim without a comparison", "== plain.accuracy", "plain.accuracy", 2),
        ("an unknown paper", "paper = \"gelu_net\"", "paper = \"gelunet\"", 2),
        ("no schema", "schema = 1\n", "", 2),
        ("a newer schema", "schema = 1", "schema = 2", 2),
    ];
    let mut snapshot = String::new();
    for (name, good, bad, status) in mistakes {
        let output = check(&with(good, bad));
        assert_eq!(output.status, Some(*status), "{name}: {}", output.text);
        assert!(!output.text.contains("panicked"), "{name}: {}", output.text);
        if *status != 0 {
            assert!(output.text.contains("experiment.toml:"), "{name} names no place: {}", output.text);
        }
        writeln!(snapshot, "## {name} (exit {status})\n{}", output.text).unwrap();
    }
    insta::assert_snapshot!(snapshot);
}

#[test]
fn all_mistakes_are_reported_in_one_go() {
    let text = with("epochs = 10", "epoch = 10")
        .replace("\"iris\"", "\"irsi\"")
        .replace("momentum = 0.0", "momentum = 2.0")
        .replace("scaling = \"standard\"", "scaling = 7")
        .replace("modulus_bits = 3072", "modulus_bits = 1024")
        .replace("repetitions = 1", "repetitions = 0");
    let output = check(&text);
    assert_eq!(output.status, Some(2));
    insta::assert_snapshot!(output.text);
}

#[test]
fn set_is_checked_as_the_file_is() {
    let mut snapshot = String::new();
    for (set, status) in [
        ("training.epochs=0", 2),
        ("training.epochz=5", 2),
        ("scheme.modulus_bits=1024", 3),
        ("data.name=wine", 0),
        ("nonsense", 2),
        ("title.deeper=1", 2),
    ] {
        let output = henn(GOOD, &["check", "experiment.toml", "--set", set]);
        assert_eq!(output.status, Some(status), "{set}: {}", output.text);
        writeln!(snapshot, "## --set {set} (exit {status})\n{}", output.text).unwrap();
    }
    insta::assert_snapshot!(snapshot);
}

#[test]
fn wrong_usage_is_exit_2_and_a_missing_experiment_suggests_the_nearest() {
    assert_eq!(henn(GOOD, &["run"]).status, Some(2));
    assert_eq!(henn(GOOD, &["run", "experiment.toml", "--variant", "plane"]).status, Some(2));
    let output = henn(GOOD, &["run", "absent.toml"]);
    assert_eq!(output.status, Some(2));
    assert!(output.text.contains("absent.toml"), "{}", output.text);
    let root = env!("CARGO_MANIFEST_DIR");
    let output = henn(GOOD, &["--experiments", &format!("{root}/experiments"), "run", "quikstart"]);
    assert_eq!(output.status, Some(2));
    assert!(output.text.contains("did you mean `quickstart`?"), "{}", output.text);
}
