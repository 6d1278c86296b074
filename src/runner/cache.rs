//! Finished cells on disk: one file a cell, named by its content key.
//!
//! Running again is how a run is resumed. A cell is used only if its file is whole, by a checksum, and was made by the
//! same build of henn, so that a change in the code never serves an old number.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use crate::runner::RunError;
use crate::runner::file::write_atomic;
use crate::runner::record::Finished;

/// The cells of one experiment.
#[derive(Debug)]
pub struct Cache {
    directory: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    build: String,
    key: String,
    checksum: String,
    content: String,
}

impl Cache {
    /// The cells below a results directory.
    pub fn new(results: &Path) -> Self {
        Self { directory: results.join(".cells") }
    }

    fn path(&self, key: &str) -> PathBuf {
        self.directory.join(format!("{key}.json"))
    }

    /// The finished cell of a key, if there is one that can be used.
    pub fn get(&self, key: &str) -> Option<Finished> {
        read(&self.path(key), key).filter(|finished: &Finished| finished.record.cell == key)
    }

    /// Keeps a finished cell; what it left unfinished is no longer needed.
    pub fn put(&self, finished: &Finished) -> Result<(), RunError> {
        let key = &finished.record.cell;
        write(&self.path(key), key, finished)?;
        // Where there is none, that is as well.
        drop(fs::remove_file(self.partial(key).path));
        Ok(())
    }

    /// Where an unfinished cell is kept.
    pub fn partial(&self, key: &str) -> Partial {
        Partial { path: self.directory.join(format!("{key}.partial.json")), key: key.to_owned() }
    }
}

/// What an unfinished cell leaves for whoever takes it up.
#[derive(Debug, Clone)]
pub struct Partial {
    path: PathBuf,
    key: String,
}

impl Partial {
    /// What was left, if it can be used.
    pub(super) fn get<T: DeserializeOwned>(&self) -> Option<T> {
        read(&self.path, &self.key)
    }

    /// Leaves something.
    pub(super) fn put<T: Serialize>(&self, found: &T) -> Result<(), RunError> {
        write(&self.path, &self.key, found)
    }
}

/// What a file holds, if it is whole, of this key and of this build.
fn read<T: DeserializeOwned>(path: &Path, key: &str) -> Option<T> {
    let entry: Entry = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    let is_whole = entry.build == build() && entry.key == key && entry.checksum == checksum(&entry.content);
    if is_whole { serde_json::from_str(&entry.content).ok() } else { None }
}

fn write<T: Serialize>(path: &Path, key: &str, content: &T) -> Result<(), RunError> {
    let json = |error: serde_json::Error| RunError::file(path)(error.into());
    let content = serde_json::to_string(content).map_err(json)?;
    let (build, key, checksum) = (build().to_owned(), key.to_owned(), checksum(&content));
    let entry = Entry { build, key, checksum, content };
    write_atomic(path, serde_json::to_string(&entry).map_err(json)?.as_bytes())
}

/// SHA-256 of the running program; empty where it cannot read itself.
pub(super) fn build() -> &'static str {
    static BUILD: OnceLock<String> = OnceLock::new();
    BUILD.get_or_init(|| {
        let program = std::env::current_exe().and_then(fs::read);
        program.map(|bytes| hex::encode(Sha256::digest(bytes))).unwrap_or_default()
    })
}

fn checksum(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}
