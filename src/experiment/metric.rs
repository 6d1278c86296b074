//! The names of what a cell yields, as tables, charts and claims use them.

use crate::backend::Operation;
use crate::experiment::diagnostic::nearest;

/// Where a value is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A result: the same on every run of the same file, seed and host.
    Result,
    /// A number of operations, messages or bytes: exact.
    Count,
    /// A time or memory figure: differs from run to run, and so never in the deterministic files.
    Measured,
}

/// One name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// As in experiment files and records.
    pub name: &'static str,
    /// As in the heads of tables, with its unit.
    pub title: &'static str,
    /// Where it is recorded.
    pub kind: Kind,
    /// Digits after the point in tables; none for numbers that are best read as powers of ten.
    pub digits: Option<usize>,
}

const fn metric(name: &'static str, title: &'static str, kind: Kind, digits: Option<usize>) -> Metric {
    Metric { name, title, kind, digits }
}

impl Metric {
    /// A value as it stands in tables.
    pub fn format(&self, value: f64) -> String {
        match self.digits {
            Some(digits) => format!("{value:.digits$}"),
            None if value == 0.0 => "0".to_owned(),
            None => format!("{value:.1e}"),
        }
    }
}

/// All names.
pub const METRICS: [Metric; 42] = [
    metric("accuracy", "accuracy", Kind::Result, Some(4)),
    metric("loss", "loss", Kind::Result, Some(4)),
    metric("samples", "test samples", Kind::Result, Some(0)),
    metric("disagreements", "labels unlike plain", Kind::Result, Some(0)),
    metric("mismatches", "integers unlike exact circuit", Kind::Result, Some(0)),
    metric("max_abs_error", "max output error", Kind::Result, None),
    metric("training_loss", "loss while training", Kind::Result, Some(4)),
    metric("training_max_abs_error", "max weight error after training", Kind::Result, None),
    metric("accuracy_exact", "accuracy with the exact activation", Kind::Result, Some(4)),
    metric("log2_error_min", "least log2 error", Kind::Result, Some(1)),
    metric("log2_error_mean", "mean log2 error", Kind::Result, Some(1)),
    metric("log2_error_max", "greatest log2 error", Kind::Result, Some(1)),
    metric("log2_error_bound", "bound on log2 error", Kind::Result, Some(1)),
    metric("depth", "multiplicative depth", Kind::Result, Some(0)),
    metric("levels", "primes dropped", Kind::Result, Some(0)),
    metric("log_degree", "log2 N", Kind::Result, Some(0)),
    metric("modulus_bits", "log2 QP", Kind::Result, Some(0)),
    metric("plaintext_bits", "bits of plaintext", Kind::Result, Some(0)),
    metric("rounds", "rounds", Kind::Count, Some(0)),
    metric("messages", "messages", Kind::Count, Some(0)),
    metric("bytes_up", "bytes up", Kind::Count, Some(0)),
    metric("bytes_down", "bytes down", Kind::Count, Some(0)),
    metric("ciphertexts_up", "ciphertexts up", Kind::Count, Some(0)),
    metric("ciphertexts_down", "ciphertexts down", Kind::Count, Some(0)),
    metric("refreshes", "refreshes", Kind::Count, Some(0)),
    metric(Operation::Encryption.name(), "encryptions", Kind::Count, Some(0)),
    metric(Operation::Decryption.name(), "decryptions", Kind::Count, Some(0)),
    metric(Operation::ScalarProduct.name(), "scalar products", Kind::Count, Some(0)),
    metric(Operation::Addition.name(), "additions", Kind::Count, Some(0)),
    metric(Operation::PlainAddition.name(), "plain additions", Kind::Count, Some(0)),
    metric(Operation::Rerandomisation.name(), "re-randomisations", Kind::Count, Some(0)),
    metric(Operation::Product.name(), "products", Kind::Count, Some(0)),
    metric(Operation::PlainProduct.name(), "plain products", Kind::Count, Some(0)),
    metric(Operation::Rotation.name(), "rotations", Kind::Count, Some(0)),
    metric(Operation::Rescaling.name(), "rescalings", Kind::Count, Some(0)),
    metric("seconds", "time (s)", Kind::Measured, Some(3)),
    metric("seconds_training", "plain training (s)", Kind::Measured, Some(3)),
    metric("seconds_keys", "keys (s)", Kind::Measured, Some(3)),
    metric("seconds_inference", "inference (s)", Kind::Measured, Some(3)),
    metric("seconds_protocol_training", "protocol training (s)", Kind::Measured, Some(3)),
    metric("seconds_predicted", "predicted (s)", Kind::Measured, Some(3)),
    metric("peak_memory_bytes", "peak memory (bytes)", Kind::Measured, Some(0)),
];

/// The metric called `name`.
pub fn find(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.name == name)
}

/// The name nearest to one that does not exist.
pub fn suggest(name: &str) -> Option<&'static str> {
    nearest(name, METRICS.iter().map(|metric| metric.name))
}

/// What stands in a table's cells: a metric, and whether its spread over repetitions stands beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CellExpression {
    /// The metric.
    pub metric: &'static Metric,
    /// Followed by `± std`.
    pub spread: bool,
}

impl CellExpression {
    /// Reads `metric` or `metric ± std`; on failure gives back the unknown name.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, spread) = match text.split_once('±') {
            Some((name, rest)) if rest.trim() == "std" => (name.trim(), true),
            Some(_) => return Err(text.to_owned()),
            None => (text.trim(), false),
        };
        find(name).map(|metric| Self { metric, spread }).ok_or_else(|| name.to_owned())
    }
}
