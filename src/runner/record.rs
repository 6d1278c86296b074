//! What a cell yields: a deterministic record, and what was measured beside it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::backend::Variant;
use crate::experiment::metric::Kind;
use crate::experiment::metric::Metric;

/// One line of `records.jsonl`: the same bytes on every run of the same file, seed and host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Content key of the cell.
    pub cell: String,
    /// How it was computed.
    pub variant: Variant,
    /// The keys of the sweep with their values.
    pub point: BTreeMap<String, String>,
    /// Counted from 0.
    pub repetition: usize,
    /// Results.
    pub metrics: BTreeMap<String, f64>,
    /// Results by epoch, the first before the training; none where they are not asked for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub curves: BTreeMap<String, Vec<f64>>,
    /// Pictures of an attack; none elsewhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pictures: Vec<Picture>,
    /// Rounds, messages, bytes, operations.
    pub counts: BTreeMap<String, u64>,
    /// Security of the parameters by the named table; none where nothing is encrypted.
    pub security_bits: Option<u32>,
    /// Whether the parameters are a paper's own and below what is required.
    pub insecure_paper_parameters: bool,
    /// SHA-256 over every output and every integer that was opened.
    pub digest: String,
    /// A chain of BLAKE3 hashes over every message on the channel; none when keys come from the operating system.
    pub transcript: Option<String>,
    /// What a reader of the numbers must know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A picture before and after an attack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Picture {
    /// Pixels in a row.
    pub width: usize,
    /// Brightness of its pixels row by row, two hexadecimal digits each.
    pub original: String,
    /// The same as it was rebuilt, what is below 0 or above 1 being cut off.
    pub rebuilt: String,
    /// Pearson's correlation of the two, before anything was cut off.
    pub correlation: f64,
}

/// One line of `measured.jsonl`: what differs from run to run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Content key of the cell.
    pub cell: String,
    /// How it was computed.
    pub variant: Variant,
    /// Counted from 0.
    pub repetition: usize,
    /// Seconds by phase, peak memory in bytes, seconds predicted before the start.
    pub values: BTreeMap<String, f64>,
}

/// A finished cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finished {
    /// The deterministic part.
    pub record: Record,
    /// The rest.
    pub measured: Measured,
}

impl Finished {
    /// The value of a metric, wherever it is recorded.
    pub fn value(&self, metric: &Metric) -> Option<f64> {
        match metric.kind {
            Kind::Result => self.record.metrics.get(metric.name).copied(),
            Kind::Count => self.record.counts.get(metric.name).map(|count| *count as f64),
            Kind::Measured => self.measured.values.get(metric.name).copied(),
        }
    }

    /// The value of a key of tables and charts.
    pub fn label(&self, key: &str) -> Option<String> {
        match key {
            "variant" => Some(self.record.variant.name().to_owned()),
            "repetition" => Some(self.record.repetition.to_string()),
            _ => self.record.point.get(key).cloned(),
        }
    }
}
