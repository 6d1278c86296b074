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
    /// How it is written in tables.
    pub digits: Digits,
}

/// How a number is written in tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digits {
    /// With so many digits after the point.
    Fixed(usize),
    /// As a power of ten with so many digits after the point.
    Scientific(usize),
}

use Digits::{Fixed, Scientific};

const fn metric(name: &'static str, title: &'static str, kind: Kind, digits: Digits) -> Metric {
    Metric { name, title, kind, digits }
}

impl Metric {
    /// A value as it stands in tables.
    pub fn format(&self, value: f64) -> String {
        match self.digits {
            Fixed(digits) => format!("{value:.digits$}"),
            Scientific(_) if value == 0.0 => "0".to_owned(),
            Scientific(digits) => format!("{value:.digits$e}"),
        }
    }
}

/// All names.
pub const METRICS: &[Metric] = &[
    metric("accuracy", "accuracy", Kind::Result, Fixed(4)),
    metric("loss", "loss", Kind::Result, Fixed(4)),
    metric("samples", "test samples", Kind::Result, Fixed(0)),
    metric("disagreements", "labels unlike plain", Kind::Result, Fixed(0)),
    metric("mismatches", "integers unlike exact circuit", Kind::Result, Fixed(0)),
    metric("label_mismatches", "labels unlike exact circuit", Kind::Result, Fixed(0)),
    metric("max_abs_error", "max output error", Kind::Result, Scientific(1)),
    metric("training_loss", "loss while training", Kind::Result, Fixed(4)),
    metric("trained_accuracy", "accuracy after protocol training", Kind::Result, Fixed(4)),
    metric("training_max_abs_error", "max weight error after training", Kind::Result, Scientific(1)),
    metric("accuracy_exact", "accuracy with the exact activation", Kind::Result, Fixed(4)),
    metric("log2_error_min", "least log2 error", Kind::Result, Fixed(1)),
    metric("log2_error_mean", "mean log2 error", Kind::Result, Fixed(1)),
    metric("log2_error_max", "greatest log2 error", Kind::Result, Fixed(1)),
    metric("log2_error_bound", "bound on log2 error", Kind::Result, Fixed(1)),
    metric("depth", "multiplicative depth", Kind::Result, Fixed(0)),
    metric("levels", "primes dropped", Kind::Result, Fixed(0)),
    metric("log_degree", "log2 N", Kind::Result, Fixed(0)),
    metric("modulus_bits", "log2 QP", Kind::Result, Fixed(0)),
    metric("plaintext_bits", "bits of plaintext", Kind::Result, Fixed(0)),
    metric("instances", "instances", Kind::Result, Fixed(0)),
    metric("features", "features", Kind::Result, Fixed(0)),
    metric("classes", "classes", Kind::Result, Fixed(0)),
    metric("test_instances", "published test part", Kind::Result, Fixed(0)),
    metric("smallest_class", "smallest class", Kind::Result, Fixed(0)),
    metric("error", "share of wrong labels", Kind::Result, Fixed(4)),
    metric("train_accuracy", "accuracy on the training part", Kind::Result, Fixed(4)),
    metric("iterations", "iterations", Kind::Result, Fixed(0)),
    metric("diverged", "share that diverged", Kind::Result, Fixed(2)),
    metric("diverged_epoch", "epoch of divergence", Kind::Result, Fixed(1)),
    metric("psnr", "peak to noise (dB)", Kind::Result, Fixed(2)),
    metric("correlation", "correlation with the original", Kind::Result, Fixed(4)),
    metric("correlation_least", "least correlation", Kind::Result, Fixed(4)),
    metric("correlation_greatest", "greatest correlation", Kind::Result, Fixed(4)),
    metric("weight_error", "relative error of the weights", Kind::Result, Scientific(1)),
    metric("parameters", "weights", Kind::Result, Fixed(0)),
    metric("degree", "degree", Kind::Result, Fixed(0)),
    metric("degree_requested", "degree asked for", Kind::Result, Fixed(0)),
    metric("interval_low", "interval from", Kind::Result, Scientific(3)),
    metric("interval_high", "interval to", Kind::Result, Scientific(3)),
    metric("norm", "norm of the error", Kind::Result, Fixed(6)),
    metric("max_error", "greatest error", Kind::Result, Scientific(3)),
    metric("rms_error", "root mean square error", Kind::Result, Scientific(3)),
    metric("coefficient_0", "coefficient of x^0", Kind::Result, Scientific(6)),
    metric("coefficient_1", "coefficient of x^1", Kind::Result, Scientific(6)),
    metric("coefficient_2", "coefficient of x^2", Kind::Result, Scientific(6)),
    metric("coefficient_3", "coefficient of x^3", Kind::Result, Scientific(6)),
    metric("coefficient_4", "coefficient of x^4", Kind::Result, Scientific(6)),
    metric("coefficient_5", "coefficient of x^5", Kind::Result, Scientific(6)),
    metric("coefficient_6", "coefficient of x^6", Kind::Result, Scientific(6)),
    metric("coefficient_7", "coefficient of x^7", Kind::Result, Scientific(6)),
    metric("coefficient_8", "coefficient of x^8", Kind::Result, Scientific(6)),
    metric("coefficient_9", "coefficient of x^9", Kind::Result, Scientific(6)),
    // Of activations that are priced: how many share a ciphertext, or a message.
    metric("values", "values together", Kind::Result, Fixed(0)),
    // GELU-Net's table 2: by its formulas, by the closed forms of what one iteration sends, and by the channel's count.
    metric("formula_operations", "operations by the formula", Kind::Result, Fixed(0)),
    metric("formula_messages", "messages by the formula", Kind::Result, Fixed(0)),
    metric("printed_total", "messages of an iteration, as printed", Kind::Result, Fixed(0)),
    metric("closed_total", "ciphertexts of an iteration, closed form", Kind::Result, Fixed(0)),
    metric("closed_forward", "forward, closed form", Kind::Result, Fixed(0)),
    metric("closed_errors", "errors, closed form", Kind::Result, Fixed(0)),
    metric("closed_gradients", "gradients, closed form", Kind::Result, Fixed(0)),
    metric("ciphertexts_forward", "forward, counted", Kind::Result, Fixed(1)),
    metric("ciphertexts_errors", "errors, counted", Kind::Result, Fixed(1)),
    metric("ciphertexts_gradients", "gradients, counted", Kind::Result, Fixed(1)),
    metric("rounds", "rounds", Kind::Count, Fixed(0)),
    metric("messages", "messages", Kind::Count, Fixed(0)),
    metric("bytes_up", "bytes up", Kind::Count, Fixed(0)),
    metric("bytes_down", "bytes down", Kind::Count, Fixed(0)),
    metric("ciphertexts_up", "ciphertexts up", Kind::Count, Fixed(0)),
    metric("ciphertexts_down", "ciphertexts down", Kind::Count, Fixed(0)),
    // Of training under `split`: the updates that end its sessions (GELU-Net, Algorithm 5), which the counts above contain too.
    metric("final_messages", "messages of final updates", Kind::Count, Fixed(0)),
    metric("final_bytes_up", "bytes up of final updates", Kind::Count, Fixed(0)),
    metric("final_bytes_down", "bytes down of final updates", Kind::Count, Fixed(0)),
    metric("final_ciphertexts", "ciphertexts of final updates", Kind::Count, Fixed(0)),
    metric("refreshes", "refreshes", Kind::Count, Fixed(0)),
    metric("refreshes_inference", "refreshes in classification", Kind::Count, Fixed(0)),
    metric("reforms", "laid out anew", Kind::Count, Fixed(0)),
    metric("secure_ml_messages", "SecureML's messages", Kind::Result, Fixed(0)),
    metric(Operation::Encryption.name(), "encryptions", Kind::Count, Fixed(0)),
    metric(Operation::Decryption.name(), "decryptions", Kind::Count, Fixed(0)),
    metric(Operation::ScalarProduct.name(), "scalar products", Kind::Count, Fixed(0)),
    metric(Operation::Addition.name(), "additions", Kind::Count, Fixed(0)),
    metric(Operation::PlainAddition.name(), "plain additions", Kind::Count, Fixed(0)),
    metric(Operation::Rerandomisation.name(), "re-randomisations", Kind::Count, Fixed(0)),
    metric(Operation::Product.name(), "products", Kind::Count, Fixed(0)),
    metric(Operation::Relinearisation.name(), "relinearisations", Kind::Count, Fixed(0)),
    metric(Operation::PlainProduct.name(), "plain products", Kind::Count, Fixed(0)),
    metric(Operation::Rotation.name(), "rotations", Kind::Count, Fixed(0)),
    metric(Operation::Rescaling.name(), "rescalings", Kind::Count, Fixed(0)),
    metric("seconds", "time (s)", Kind::Measured, Fixed(3)),
    metric("seconds_training", "plain training (s)", Kind::Measured, Fixed(3)),
    metric("seconds_keys", "keys (s)", Kind::Measured, Fixed(3)),
    metric("seconds_inference", "inference (s)", Kind::Measured, Fixed(3)),
    metric("seconds_protocol_training", "protocol training (s)", Kind::Measured, Fixed(3)),
    // Of the protocol training, final updates and all, the mean over its iterations.
    metric("seconds_iteration", "one training iteration (s)", Kind::Measured, Fixed(3)),
    metric("seconds_final_update", "final updates (s)", Kind::Measured, Fixed(3)),
    // Before the protocol begins: part of none of its times.
    metric("seconds_memory", "taking memory (s)", Kind::Measured, Fixed(3)),
    metric("seconds_encryption", "encrypting the network (s)", Kind::Measured, Fixed(3)),
    metric("seconds_forward", "forward (s)", Kind::Measured, Fixed(3)),
    metric("seconds_backward", "backward (s)", Kind::Measured, Fixed(3)),
    metric("seconds_refresh", "refresh (s)", Kind::Measured, Fixed(3)),
    // Of batches that fill all slots: slots of all batches, over the seconds from the first encryption to the last decryption.
    metric("predictions_per_hour", "predictions an hour", Kind::Measured, Fixed(0)),
    // Of one batch, from the first encryption to the last decryption; under `split` with batches of one sample, of one sample.
    metric("seconds_latency", "one batch (s)", Kind::Measured, Fixed(3)),
    // Of batches that fill all slots, where samples fill slots.
    metric("seconds_per_sample", "one sample of full batches (s)", Kind::Measured, Scientific(2)),
    // The first of them, and the messages of a batch on the link that `protocol.link` names.
    metric("seconds_on_link", "one batch on the link (s)", Kind::Measured, Fixed(3)),
    // Of one value, where more of them are activated together its share.
    metric("seconds_communication", "communication (s)", Kind::Measured, Scientific(2)),
    metric("seconds_crypto", "decryption and encryption (s)", Kind::Measured, Scientific(2)),
    metric("seconds_activation", "activation (s)", Kind::Measured, Scientific(2)),
    metric("seconds_total", "total (s)", Kind::Measured, Scientific(2)),
    // Units, and what they make of formulas.
    metric("seconds_per_encryption", "encryption (s)", Kind::Measured, Scientific(2)),
    metric("seconds_per_decryption", "decryption (s)", Kind::Measured, Scientific(2)),
    metric("seconds_per_scalar_product", "product with a weight (s)", Kind::Measured, Scientific(2)),
    metric("seconds_per_product", "product of ciphertexts (s)", Kind::Measured, Scientific(2)),
    metric("seconds_unit", "unit of the formula (s)", Kind::Measured, Scientific(2)),
    metric("seconds_formula", "by the formula (s)", Kind::Measured, Scientific(2)),
    metric(
        "seconds_formula_whole",
        "with the products that it leaves out (s)",
        Kind::Measured,
        Scientific(2),
    ),
    metric("break_even_width", "break-even width", Kind::Measured, Fixed(0)),
    metric("break_even_width_whole", "break-even width with what is left out", Kind::Measured, Fixed(0)),
    metric("seconds_predicted", "predicted (s)", Kind::Measured, Fixed(3)),
    metric("prediction_error", "predicted over measured, less 1", Kind::Measured, Fixed(2)),
    metric("peak_memory_bytes", "peak memory (bytes)", Kind::Measured, Fixed(0)),
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
