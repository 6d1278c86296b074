//! The program as a user runs it: cache, threads, interruption, kill, failures of the disk.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test; the exemption for tests does not reach its helper functions"
)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Several cells of which each takes a moment.
const FILE: &str = r#"
schema = 1
title = "Cells to interrupt"
paper = "gelu_net"
artifact = "table_3"
[data]
name = "iris"
test_limit = 6
[network]
hidden = [4]
[training]
epochs = 2
[scheme]
name = "paillier"
modulus_bits = 1024
security = "paper"
[protocol]
name = "split"
training_iterations = 2
[run]
repetitions = 4
[table]
rows = "variant"
cell = ["accuracy ± std", "messages", "seconds"]
[figure]
kind = "bar"
x = "variant"
y = "accuracy"
x_label = "variant"
y_label = "accuracy (share)"
y_range = [0.0, 1.0]
[[claim]]
text = "no accuracy is lost"
holds = "encrypted.accuracy == plain.accuracy"
"#;

/// What must not differ between runs.
const DETERMINISTIC: [&str; 7] =
    ["records.jsonl", "table.csv", "table.md", "table.tex", "table.json", "figure.svg", "verdict.json"];

struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("cells.toml"), FILE).unwrap();
        Self { directory }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_henn"));
        command
            .current_dir(self.directory.path())
            .env("NO_COLOR", "1")
            .env("HENN_EXPERIMENTS", concat!(env!("CARGO_MANIFEST_DIR"), "/experiments"))
            .args(["run", "cells.toml"])
            .args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn spawn(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn results(&self) -> PathBuf {
        self.directory.path().join("results/cells")
    }

    fn files(&self) -> Vec<(&'static str, String)> {
        let read = |name| fs::read_to_string(self.results().join(name)).unwrap();
        DETERMINISTIC.iter().map(|&name| (name, read(name))).collect()
    }

    /// Compared file by file, so that a failure says which and not all of them.
    fn assert_files(&self, expected: &[(&'static str, String)]) {
        for ((name, found), (_, expected)) in self.files().iter().zip(expected) {
            assert!(found == expected, "{name} differs");
        }
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Waits until the program has said on stderr that `count` cells are done.
fn wait_for_cells(child: &mut Child, count: usize) {
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    for _ in 0..count {
        lines.by_ref().map(Result::unwrap).find(|line| line.starts_with('[')).expect("another cell");
    }
    // Keeps reading, so that the program is not stopped by a full pipe.
    std::thread::spawn(move || lines.for_each(drop));
}

#[test]
fn the_same_bytes_come_out_afresh_from_cache_and_with_other_threads() {
    let place = Place::new();
    let first = place.run(&["--jobs", "1"]);
    assert_eq!(first.status.code(), Some(0), "{}", stderr(&first));
    let files = place.files();
    assert!(files.iter().all(|(_, file)| !file.is_empty()));

    let again = place.run(&[]);
    assert!(stderr(&again).contains("all 12 cells served from cache"), "{}", stderr(&again));
    place.assert_files(&files);
    assert!(again.stdout == first.stdout, "times of a cached run are those of the run that computed it");

    let fresh = place.run(&["--fresh", "--jobs", "3"]);
    assert!(!stderr(&fresh).contains("cache ("), "{}", stderr(&fresh));
    place.assert_files(&files);

    let other = Place::new();
    assert_eq!(other.run(&["--seed", "2"]).status.code(), Some(0));
    assert!(other.files()[0] != files[0]);
}

#[test]
fn the_table_carries_the_mark_of_insecure_parameters() {
    let place = Place::new();
    let output = place.run(&["--variant", "encrypted"]);
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(table.contains('†') && table.contains("about 80 bits of security"), "{table}");
    let svg = fs::read_to_string(place.results().join("figure.svg")).unwrap();
    assert!(svg.contains("80-bit security"));
    assert!(stderr(&output).contains("warning[E010]"), "{}", stderr(&output));
}

#[test]
fn a_killed_run_goes_on_where_it_was_and_ends_with_the_same_bytes() {
    let whole = Place::new();
    assert_eq!(whole.run(&[]).status.code(), Some(0));
    let killed = Place::new();
    let mut child = killed.spawn(&[]);
    wait_for_cells(&mut child, 4);
    child.kill().unwrap();
    child.wait().unwrap();
    let done = fs::read_dir(killed.results().join(".cells")).unwrap().count();
    assert!((3..12).contains(&done), "{done} cells were done");
    let output = killed.run(&[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("of them from cache"), "{}", stderr(&output));
    let computed = stderr(&output).lines().filter(|line| line.starts_with('[')).count();
    // At most the cell that was being computed is computed twice.
    assert!(computed <= 12 - done + 1, "{computed} cells computed after {done}");
    killed.assert_files(&whole.files());
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_leaves_a_valid_part_and_exits_130() {
    let place = Place::new();
    let mut child = place.spawn(&[]);
    wait_for_cells(&mut child, 2);
    let signalled = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(signalled.success());
    let start = Instant::now();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    assert!(start.elapsed() < Duration::from_secs(20));
    let records = fs::read_to_string(place.results().join("records.jsonl")).unwrap();
    assert!(records.lines().count() >= 2);
    for line in records.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
    let manifest = fs::read(place.results().join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(manifest["interrupted"], true);
    assert!(place.results().join("table.md").is_file());
    assert_eq!(place.run(&[]).status.code(), Some(0));
}

#[test]
fn a_corrupt_cell_is_computed_again() {
    let place = Place::new();
    place.run(&["--variant", "plain"]);
    let files = place.files();
    for entry in fs::read_dir(place.results().join(".cells")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap().replace("accuracy\\\":", "accuracy\\\":1");
        fs::write(&path, text).unwrap();
    }
    let output = place.run(&["--variant", "plain"]);
    assert!(!stderr(&output).contains("from cache"), "{}", stderr(&output));
    place.assert_files(&files);
}

#[test]
fn two_runs_do_not_write_into_one_directory() {
    let place = Place::new();
    let mut child = place.spawn(&[]);
    wait_for_cells(&mut child, 1);
    let second = place.run(&[]);
    assert_eq!(second.status.code(), Some(1));
    assert!(stderr(&second).contains("another henn"), "{}", stderr(&second));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_results_directory_that_cannot_be_written_is_named() {
    let place = Place::new();
    fs::write(place.directory.path().join("blocked"), "").unwrap();
    let output = place.run(&["--out", "blocked"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("blocked"), "{}", stderr(&output));
}

#[test]
fn an_absent_data_set_is_not_run_and_says_how_to_get_it() {
    let place = Place::new();
    let output = place.run(&["--set", "data.name=mnist", "--variant", "plain", "--dataset-cache", "nowhere"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("henn datasets fetch mnist"), "{}", stderr(&output));
    let verdict = fs::read_to_string(place.results().join("verdict.json")).unwrap();
    assert!(verdict.contains("data set mnist is absent") && !verdict.contains("nowhere"), "{verdict}");
}

#[test]
fn a_grid_on_the_command_line_has_results_of_its_own() {
    let place = Place::new();
    let output = Command::new(env!("CARGO_BIN_EXE_henn"))
        .current_dir(place.directory.path())
        .env("HENN_EXPERIMENTS", concat!(env!("CARGO_MANIFEST_DIR"), "/experiments"))
        .args(["sweep", "cells.toml", "data.name=iris,wine", "run.repetitions=1", "--variant", "plain"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let records =
        fs::read_to_string(place.directory.path().join("results/cells.sweep/records.jsonl")).unwrap();
    assert_eq!(records.lines().count(), 2);
    assert!(records.contains("wine"));
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(table.contains("iris") && table.contains("wine"), "points are told apart: {table}");
}

#[test]
fn a_report_made_again_from_records_is_the_same() {
    let place = Place::new();
    fs::create_dir(place.directory.path().join("experiments")).unwrap();
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/reference");
    fs::create_dir(place.directory.path().join("experiments/reference")).unwrap();
    fs::copy(
        reference.join("gelu_net.toml"),
        place.directory.path().join("experiments/reference/gelu_net.toml"),
    )
    .unwrap();
    fs::copy(
        place.directory.path().join("cells.toml"),
        place.directory.path().join("experiments/cells.toml"),
    )
    .unwrap();
    let henn = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_henn"))
            .current_dir(place.directory.path())
            .args(arguments)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        output
    };
    henn(&["run", "cells", "--variant", "plain,simulated"]);
    let files = place.files();
    for name in &DETERMINISTIC[1..] {
        fs::remove_file(place.results().join(name)).unwrap();
    }
    henn(&["report", "results/cells"]);
    place.assert_files(&files);
    let compared = henn(&["compare", "--strict", "results/cells", "results/cells"]);
    assert!(String::from_utf8_lossy(&compared.stdout).contains("0 deterministic values differ"));

    // Why points did not run, no record says.
    let sets = ["sweep", "cells", "data.name=iris,mnist", "--variant", "plain", "--dataset-cache", "nowhere"];
    henn(&sets);
    let verdict =
        || fs::read_to_string(place.directory.path().join("results/cells.sweep/verdict.json")).unwrap();
    let before = verdict();
    assert!(before.contains("data set mnist is absent"), "{before}");
    henn(&["report", "results/cells.sweep"]);
    assert_eq!(verdict(), before);
}

#[test]
fn the_server_refuses_to_be_reached_from_elsewhere() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_henn")).args(["serve", "--listen", "0.0.0.0:0"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("loopback"), "{}", stderr(&output));
}
