//! The module chain: a lower module never imports a higher one.

#![expect(
    clippy::unwrap_used,
    reason = "a test; the exemption for tests does not reach its helper functions"
)]

use std::fs;
use std::path::{Path, PathBuf};

/// The chain, lowest first.
const CHAIN: [&str; 12] = [
    "math",
    "scheme",
    "approximation",
    "dataset",
    "network",
    "backend",
    "protocol",
    "attack",
    "experiment",
    "runner",
    "report",
    "cli",
];

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn level(module: &str) -> Option<usize> {
    CHAIN.iter().position(|known| *known == module)
}

/// Modules named after `crate::` in a source, `crate::{a, b}` included.
fn imports(text: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut modules = Vec::new();
    for after in text.split("crate::").skip(1) {
        if let Some(group) = after.strip_prefix('{') {
            let mut depth = 1;
            let mut start = true;
            for (at, letter) in group.char_indices() {
                match letter {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 1 => start = true,
                    c if depth == 1 && start && c.is_alphabetic() => {
                        modules.push(word(&group[at..]));
                        start = false;
                    }
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
            }
        } else {
            modules.push(word(after));
        }
    }
    modules
}

#[test]
fn no_module_imports_a_higher_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut checked = 0;
    for path in sources(&root) {
        let relative = path.strip_prefix(&root).unwrap();
        let first = relative.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
        let own = first.trim_end_matches(".rs");
        let Some(own_level) = level(own) else {
            assert!(["lib", "main"].contains(&own), "{own} is not in the chain");
            continue;
        };
        for module in imports(&fs::read_to_string(&path).unwrap()) {
            if let Some(imported) = level(&module) {
                checked += 1;
                assert!(
                    imported <= own_level,
                    "{} imports {module}, which stands above {own}",
                    relative.display()
                );
            }
        }
    }
    assert!(checked > 100, "only {checked} imports found: the test reads the wrong files");
}

#[test]
fn the_reader_of_imports_sees_every_form() {
    let found =
        imports("use crate::math::x; use crate::{scheme::{a, b}, dataset::c, network}; crate::cli::say()");
    assert_eq!(found, ["math", "scheme", "dataset", "network", "cli"]);
}

#[test]
fn lib_lists_the_modules_in_the_order_of_the_chain() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let listed: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let expected: Vec<&str> = CHAIN.into_iter().filter(|module| listed.contains(module)).collect();
    assert_eq!(listed, expected);
}

#[test]
fn the_committed_schema_is_the_one_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/schema.json");
    let committed: serde_json::Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(committed, henn::experiment::schema(), "run `henn schema > experiments/schema.json`");
}
