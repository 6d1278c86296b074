//! Finished cells on disk: one file a cell, named by its content key.
//!
//! Running again is how a run is resumed. A cell is used only if its file is whole, by a checksum, and was made by the
//! same build of henn, so that a change in the code never serves an old number.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::runner::RunError;
use crate::runner::file::write_atomic;
use crate::runner::record::Finished;

/// The finished cells of one experiment.
#[derive(Debug)]
pub struct Cache {
    directory: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    build: String,
    checksum: String,
    cell: String,
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
        let bytes = fs::read(self.path(key)).ok()?;
        let entry: Entry = serde_json::from_slice(&bytes).ok()?;
        if entry.build != build() || entry.checksum != checksum(&entry.cell) {
            return None;
        }
        let finished: Finished = serde_json::from_str(&entry.cell).ok()?;
        (finished.record.cell == key).then_some(finished)
    }

    /// Keeps a finished cell.
    pub fn put(&self, finished: &Finished) -> Result<(), RunError> {
        let path = self.path(&finished.record.cell);
        let json = |error: serde_json::Error| RunError::file(&path)(error.into());
        let cell = serde_json::to_string(finished).map_err(json)?;
        let entry = Entry { build: build().to_owned(), checksum: checksum(&cell), cell };
        write_atomic(&path, serde_json::to_string(&entry).map_err(json)?.as_bytes())
    }
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
