//! Published values: `experiments/reference/<paper>.toml`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

use crate::backend::Variant;
use crate::experiment::metric;
use crate::runner::record::Finished;

/// The published values of one paper.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// Key of the paper.
    pub paper: String,
    /// Its title.
    pub title: String,
    /// Where it appeared.
    pub source: String,
    /// Its values.
    #[serde(default, rename = "value")]
    pub values: Vec<Published>,
}

/// One published value.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// Table or figure.
    pub artifact: String,
    /// Keys of cells that it belongs to.
    pub row: BTreeMap<String, String>,
    /// The row as printed.
    pub row_label: String,
    /// The column as printed: the system.
    pub column: String,
    /// Our variant of that system; absent while henn has none.
    pub variant: Option<Variant>,
    /// Our metric.
    pub metric: String,
    /// Unit of the printed value.
    pub unit: String,
    /// As printed.
    pub value: f64,
    /// Printed after `±`.
    pub spread: Option<f64>,
    /// Half a unit of the last printed digit, where no spread is printed; a whole one where digits were cut off.
    pub rounding: Option<f64>,
    /// Why the value cannot be right, if it cannot.
    pub erratum: Option<String>,
}

impl Published {
    /// What the value itself leaves open.
    pub fn tolerance(&self) -> f64 {
        self.spread.or(self.rounding).unwrap_or(0.0)
    }

    /// Whether a cell is of this row.
    pub fn is_row_of(&self, cell: &Finished) -> bool {
        self.row.iter().all(|(key, value)| cell.label(key).as_deref() == Some(value))
    }
}

/// Why published values cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// The file is not there or cannot be read.
    #[error("{}: {source}", path.display())]
    File {
        /// the file
        path: PathBuf,
        /// why
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("{}: {message}", path.display())]
    Malformed {
        /// the file
        path: PathBuf,
        /// why
        message: String,
    },
}

impl Reference {
    /// Reads the values of a paper.
    pub fn load(experiments: &Path, paper: &str) -> Result<Self, ReferenceError> {
        let path = experiments.join("reference").join(format!("{paper}.toml"));
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(source) => return Err(ReferenceError::File { path, source }),
        };
        let malformed = |message: String| ReferenceError::Malformed { path: path.clone(), message };
        let reference: Self = toml::from_str(&text).map_err(|error| malformed(error.to_string()))?;
        match reference.values.iter().find(|value| metric::find(&value.metric).is_none()) {
            Some(value) => Err(malformed(format!("unknown metric `{}`", value.metric))),
            None => Ok(reference),
        }
    }
}
