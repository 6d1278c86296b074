//! The rules that turn a [`Spec`] into [`Settings`], each with its message.

use std::fmt::Display;
use std::ops::RangeInclusive;

use crate::backend::{Rate, Variant};
use crate::dataset;
use crate::experiment::claim::{Relation, RelationError};
use crate::experiment::diagnostic::{Code, Diagnostic, nearest};
use crate::experiment::document::Document;
use crate::experiment::metric::{self, CellExpression};
use crate::experiment::plan::{Claim, Data, Figure, Scheme, Settings, Table};
use crate::experiment::spec::{
    ClaimSpec, FigureSpec, ProtocolName, ProtocolSpec, SchemeName, SecuritySpec, Spec, TableSpec,
};
use crate::math::stream::Stream;
use crate::network::Training;
use crate::protocol::split;
use crate::scheme::okamoto_uchiyama::OkamotoUchiyama;
use crate::scheme::packing::Packing;
use crate::scheme::paillier::{Options, Paillier};
use crate::scheme::registry::Parameters;
use crate::scheme::security::REQUIRED_SECURITY_BITS;

/// Keys of papers.
const PAPERS: [&str; 5] = ["ppbp", "gelu_net", "crypto_dl", "paillier_cnn", "transfer_mlr"];
/// Keys that are not of the file but of the cell.
const CELL_KEYS: [&str; 2] = ["variant", "repetition"];
/// Most neurons of a layer.
const MAX_WIDTH: usize = 100_000;
/// Most hidden layers.
const MAX_LAYERS: usize = 64;

/// Collects findings about one document.
pub struct Checker<'a> {
    document: &'a Document<'a>,
    found: &'a mut Vec<Diagnostic>,
}

impl<'a> Checker<'a> {
    /// Findings about `document` go to `found`.
    pub fn new(document: &'a Document<'a>, found: &'a mut Vec<Diagnostic>) -> Self {
        Self { document, found }
    }

    fn error(&mut self, path: &str, code: Code, message: String, help: &str) {
        let span = self.document.span(path);
        self.found.push(Diagnostic::error(code, span, message).help(help));
    }

    /// Reports a key that is not there. One that is there but could not be read has been reported already.
    fn missing(&mut self, path: &str, help: &str) {
        if self.document.get(path).is_none() {
            self.error(path, Code::Missing, format!("`{path}` is missing"), help);
        }
    }

    fn warn(&mut self, path: &str, code: Code, message: String, help: &str) {
        let span = self.document.span(path);
        self.found.push(Diagnostic::warning(code, span, message).help(help));
    }

    fn unknown<'n>(
        &mut self,
        path: &str,
        what: &str,
        name: &str,
        names: impl Iterator<Item = &'n str> + Clone,
    ) {
        let span = self.document.span(path);
        let allowed: Vec<&str> = names.clone().collect();
        let mut diagnostic = Diagnostic::error(Code::UnknownName, span, format!("unknown {what} `{name}`"))
            .help(&format!("allowed: {}", allowed.join(", ")));
        if let Some(right) = nearest(name, names) {
            diagnostic = diagnostic.label(&format!("did you mean `{right}`?"));
        }
        self.found.push(diagnostic);
    }

    /// Reports a value outside its range.
    fn within<T: PartialOrd + Display + Copy>(&mut self, path: &str, value: T, range: &RangeInclusive<T>) {
        if !range.contains(&value) {
            let allowed = format!("allowed: {} to {}", range.start(), range.end());
            self.error(path, Code::Range, format!("`{path}` is {value}"), &allowed);
        }
    }

    fn has_errors_since(&self, count: usize) -> bool {
        self.found
            .iter()
            .skip(count)
            .any(|diagnostic| diagnostic.severity == crate::experiment::diagnostic::Severity::Error)
    }
}

/// Checks the head of a file.
pub fn heading(spec: &Spec, checker: &mut Checker<'_>) {
    if spec.schema != 1 {
        checker.error(
            "schema",
            Code::Range,
            format!("schema {} is not known", spec.schema),
            "allowed: 1; a newer file needs a newer henn",
        );
    }
    if let Some(paper) = &spec.paper
        && !PAPERS.contains(&paper.as_str())
    {
        checker.unknown("paper", "paper", paper, PAPERS.into_iter());
    }
    if spec.artifact.is_some() && spec.paper.is_none() {
        checker.error(
            "artifact",
            Code::Missing,
            "`artifact` without `paper`".to_owned(),
            "name the paper too",
        );
    }
}

/// Checks everything that decides a cell; `None` when something stands in the way.
pub fn settings(spec: &Spec, checker: &mut Checker<'_>) -> Option<Settings> {
    let before = checker.found.len();
    let entry = data(spec, checker);
    network(spec, checker);
    training(spec, checker);
    run(spec, checker);
    let mut scheme = scheme(spec, checker);
    let mut protocol = protocol(spec, entry, checker);
    if let (Some(scheme), Some(protocol)) = (&mut scheme, &mut protocol) {
        plaintext_space(scheme, protocol, spec.protocol.packing, checker);
    }
    let blocked = checker.has_errors_since(before);
    match (entry, scheme, protocol) {
        (Some(entry), Some(scheme), Some(protocol)) if !blocked => Some(Settings {
            data: Data {
                name: entry.name().to_owned(),
                test_fraction: spec.data.test_fraction,
                scaling: spec.data.scaling,
                test_limit: spec.data.test_limit,
            },
            hidden: spec.network.hidden.clone(),
            activation: spec.network.activation,
            training: Training {
                epochs: spec.training.epochs,
                learning_rate: spec.training.learning_rate,
                momentum: spec.training.momentum,
                batch_size: spec.training.batch_size,
            },
            scheme,
            protocol,
            variants: spec.run.variants.clone(),
            repetitions: spec.run.repetitions,
            seed: spec.run.seed,
            rng: spec.run.rng,
        }),
        _ => None,
    }
}

fn data(spec: &Spec, checker: &mut Checker<'_>) -> Option<&'static dataset::Entry> {
    let fraction = spec.data.test_fraction;
    if !(fraction > 0.0 && fraction < 1.0) {
        checker.error(
            "data.test_fraction",
            Code::Range,
            format!("`data.test_fraction` is {fraction}"),
            "allowed: above 0 and below 1",
        );
    }
    if spec.data.test_limit == Some(0) {
        checker.error(
            "data.test_limit",
            Code::Range,
            "`data.test_limit` is 0".to_owned(),
            "allowed: 1 or more",
        );
    }
    let Some(name) = &spec.data.name else {
        checker.missing("data.name", "see `henn datasets list`");
        return None;
    };
    let catalogue = match dataset::catalogue() {
        Ok(catalogue) => catalogue,
        Err(error) => {
            checker.error(
                "data.name",
                Code::UnknownName,
                error.to_string(),
                "the build's manifest is broken",
            );
            return None;
        }
    };
    let entry = catalogue.find(name);
    if entry.is_none() {
        let names: Vec<&str> = catalogue.names().collect();
        checker.unknown("data.name", "data set", name, names.iter().copied());
    }
    entry
}

fn network(spec: &Spec, checker: &mut Checker<'_>) {
    let hidden = &spec.network.hidden;
    checker.within("network.hidden", hidden.len(), &(0..=MAX_LAYERS));
    for (index, &width) in hidden.iter().enumerate() {
        checker.within(&format!("network.hidden.{index}"), width, &(1..=MAX_WIDTH));
    }
}

fn training(spec: &Spec, checker: &mut Checker<'_>) {
    let training = &spec.training;
    let rate = training.learning_rate;
    if !(rate > 0.0 && rate <= 1000.0) {
        checker.error(
            "training.learning_rate",
            Code::Range,
            format!("`training.learning_rate` is {rate}"),
            "allowed: above 0, at most 1000",
        );
    }
    if !(0.0..1.0).contains(&training.momentum) {
        checker.error(
            "training.momentum",
            Code::Range,
            format!("`training.momentum` is {}", training.momentum),
            "allowed: 0 to below 1",
        );
    }
    checker.within("training.epochs", training.epochs, &(1..=1_000_000));
    checker.within("training.batch_size", training.batch_size, &(1..=1_000_000));
}

fn run(spec: &Spec, checker: &mut Checker<'_>) {
    checker.within("run.repetitions", spec.run.repetitions, &(1..=1000));
    if spec.run.variants.is_empty() {
        checker.error(
            "run.variants",
            Code::Missing,
            "`run.variants` is empty".to_owned(),
            "allowed: plain, simulated, encrypted",
        );
    }
    for (index, variant) in spec.run.variants.iter().enumerate() {
        if spec.run.variants.iter().take(index).any(|earlier| earlier == variant) {
            let path = format!("run.variants.{index}");
            checker.error(&path, Code::Range, format!("variant `{variant}` is listed twice"), "list it once");
        }
    }
}

fn scheme(spec: &Spec, checker: &mut Checker<'_>) -> Option<Scheme> {
    let names = SchemeName::ALL.map(SchemeName::name).join(", ");
    let Some(name) = spec.scheme.name else {
        checker.missing("scheme.name", &format!("allowed: {names}"));
        return None;
    };
    let bits = spec.scheme.modulus_bits;
    let refused = match name {
        SchemeName::Paillier => Paillier::try_new(bits).err(),
        SchemeName::OkamotoUchiyama => OkamotoUchiyama::try_new(bits).err(),
        SchemeName::ElGamal | SchemeName::Bgn => None,
    };
    if let Some(error) = refused {
        checker.error(
            "scheme.modulus_bits",
            Code::Range,
            error.to_string(),
            "3072 bits give 128-bit security",
        );
        return None;
    }
    measures(spec, name, checker);
    let default = Options::default();
    let options = Options {
        arithmetic: spec.scheme.arithmetic.unwrap_or_default(),
        randomisation: spec.scheme.randomisation.unwrap_or_default(),
        crt_decryption: spec.scheme.crt_decryption.unwrap_or(default.crt_decryption),
        crt_encryption: spec.scheme.crt_encryption.unwrap_or(default.crt_encryption),
        multi_exponentiation: spec.scheme.multi_exponentiation.unwrap_or(default.multi_exponentiation),
    };
    let modulus_bits = if name.has_modulus() { bits } else { 0 };
    let parameters = Parameters { name, modulus_bits, message_bits: None, options };
    let security_bits = parameters.security_bits();
    let required = match spec.scheme.security {
        SecuritySpec::Marked(_) => REQUIRED_SECURITY_BITS,
        SecuritySpec::Bits(bits) => {
            if ![128, 192, 256].contains(&bits) {
                checker.error(
                    "scheme.security",
                    Code::Range,
                    format!("`scheme.security` is {bits}"),
                    "allowed: 128, 192, 256, or \"paper\" for a paper's own parameters, which marks every row",
                );
            }
            bits
        }
    };
    let short = security_bits < required;
    let marked = matches!(spec.scheme.security, SecuritySpec::Marked(_));
    let source = parameters.security_source();
    let what = if name.has_modulus() { format!("a modulus of {bits} bits") } else { format!("`{name}`") };
    let at = if name.has_modulus() { "scheme.modulus_bits" } else { "scheme.name" };
    if short && !marked {
        let span = checker.document.span(at);
        let error = Diagnostic::error(
            Code::Insecure,
            span,
            format!("{what} gives {security_bits} bits of security, {required} required"),
        );
        checker.found.push(if name.has_modulus() {
            error
                .label("1024 / 2048 / 3072 / 7680 / 15360 bits give 80 / 112 / 128 / 192 / 256 (NIST SP 800-57)")
                .help("raise `scheme.modulus_bits`, or set `scheme.security = \"paper\"`, which marks every row and chart")
        } else {
            error
                .label(&format!("{security_bits} bits by {source}"))
                .help("choose another scheme, or set `scheme.security = \"paper\"`, which marks every row and chart")
        });
    } else if short {
        checker.warn(
            at,
            Code::Insecure,
            format!("{what} gives only {security_bits} bits of security ({source})"),
            "every row and chart of this experiment carries the mark",
        );
    }
    Some(Scheme { parameters, security_bits, marked: short })
}

/// Measures that a scheme does not have.
fn measures(spec: &Spec, name: SchemeName, checker: &mut Checker<'_>) {
    let scheme = &spec.scheme;
    let given = [
        ("scheme.arithmetic", scheme.arithmetic.is_some() && !name.has_modulus()),
        ("scheme.randomisation", scheme.randomisation.is_some() && name != SchemeName::Paillier),
        ("scheme.crt_decryption", scheme.crt_decryption.is_some() && name != SchemeName::Paillier),
        ("scheme.crt_encryption", scheme.crt_encryption.is_some() && name != SchemeName::Paillier),
        (
            "scheme.multi_exponentiation",
            scheme.multi_exponentiation.is_some() && name != SchemeName::Paillier,
        ),
    ];
    for (path, wrong) in given {
        if wrong {
            checker.error(
                path,
                Code::Incompatible,
                format!("scheme `{name}` has no choice of `{path}`"),
                "leave the key out, or use scheme `paillier`",
            );
        }
    }
}

fn protocol(
    spec: &Spec,
    entry: Option<&dataset::Entry>,
    checker: &mut Checker<'_>,
) -> Option<split::Settings> {
    let protocol = &spec.protocol;
    match (protocol.name, spec.scheme.name) {
        (None, _) => {
            checker.missing("protocol.name", "allowed: split");
            return None;
        }
        (Some(name @ (ProtocolName::Refresh | ProtocolName::NonInteractive)), Some(scheme)) => {
            let name = if name == ProtocolName::Refresh { "refresh" } else { "non_interactive" };
            checker.error(
                "protocol.name",
                Code::Incompatible,
                format!("protocol `{name}` multiplies ciphertexts, which scheme `{scheme}` cannot do"),
                &format!("with `{scheme}` use `protocol.name = \"split\"`, which only adds ciphertexts"),
            );
            return None;
        }
        _ => {}
    }
    ranges(protocol, checker);
    if spec.data.scaling == dataset::Scaling::Integer && protocol.activation_magnitude_bits < 8 {
        checker.error(
            "protocol.activation_magnitude_bits",
            Code::Range,
            format!(
                "`data.scaling = \"integer\"` gives inputs up to 255, the circuit allows 2^{}",
                protocol.activation_magnitude_bits
            ),
            "raise it to 8, or choose another scaling",
        );
    }
    let entry = entry?;
    let bits = protocol.learning_rate_bits.min(31);
    let mantissa = (spec.training.learning_rate * libm::exp2(f64::from(bits))).round();
    if protocol.training_iterations > 0 && !(1.0..=libm::exp2(f64::from(bits))).contains(&mantissa) {
        checker.error(
            "training.learning_rate",
            Code::Range,
            format!(
                "learning rate {} cannot be used under the protocol with {bits} fraction bits",
                spec.training.learning_rate
            ),
            "allowed there: 2^-`protocol.learning_rate_bits` to 1",
        );
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 1..=2^31")]
    let mantissa = mantissa.clamp(1.0, libm::exp2(31.0)) as u32;
    let widths: Vec<usize> = std::iter::once(entry.columns())
        .chain(spec.network.hidden.iter().copied())
        .chain(std::iter::once(entry.classes()))
        .collect();
    let settings = split::Settings {
        widths,
        activation: spec.network.activation,
        loss: spec.network.loss,
        batch: protocol.batch,
        training_iterations: protocol.training_iterations,
        rate: Rate { mantissa, bits },
        masks: protocol.masks,
        mask_security_bits: protocol.mask_security_bits,
        activation_bits: protocol.activation_bits,
        gradient_bits: protocol.gradient_bits,
        weight_magnitude_bits: protocol.weight_magnitude_bits,
        activation_magnitude_bits: protocol.activation_magnitude_bits,
        packing: None,
        precompute: spec.scheme.precompute,
    };
    if settings.sessions(&Stream::seeded(0)).is_none() {
        let bound = settings.session_bound();
        checker.error(
            "protocol.training_iterations",
            Code::Range,
            format!(
                "{} training iterations cannot be cut into sessions of 2 to {bound} (the smallest fan-in)",
                protocol.training_iterations
            ),
            "a single iteration would show its gradient to the server, more than the smallest fan-in the model to the \
             client; allowed: 0, or 2 and more (even numbers only where the smallest fan-in is 2)",
        );
        return None;
    }
    Some(settings)
}

fn ranges(protocol: &ProtocolSpec, checker: &mut Checker<'_>) {
    checker.within("protocol.batch", protocol.batch, &(1..=4096));
    checker.within("protocol.training_iterations", protocol.training_iterations, &(0..=1_000_000));
    checker.within("protocol.mask_security_bits", protocol.mask_security_bits, &(40..=128));
    checker.within("protocol.activation_bits", protocol.activation_bits, &(1..=40));
    checker.within("protocol.gradient_bits", protocol.gradient_bits, &(1..=40));
    checker.within("protocol.learning_rate_bits", protocol.learning_rate_bits, &(1..=31));
    checker.within("protocol.weight_magnitude_bits", protocol.weight_magnitude_bits, &(0..=32));
    checker.within("protocol.activation_magnitude_bits", protocol.activation_magnitude_bits, &(0..=32));
}

/// Whether the circuit fits the plaintext space; where decryption searches, the circuit's bound becomes the search's.
fn plaintext_space(
    scheme: &mut Scheme,
    protocol: &mut split::Settings,
    packing: bool,
    checker: &mut Checker<'_>,
) {
    let name = scheme.parameters.name;
    if let Some(max) = name.max_message_bits() {
        if protocol.training_iterations > 0 {
            checker.error(
                "protocol.training_iterations",
                Code::Incompatible,
                format!("training hides 1/η modulo the plaintext modulus, and scheme `{name}` finds short messages only"),
                "set it to 0, or use scheme `paillier` or `okamoto_uchiyama`",
            );
            return;
        }
        let needed = protocol.magnitude_bits();
        if needed > u64::from(max) {
            checker.error(
                "scheme.name",
                Code::Overflow,
                format!("the circuit's sums have {needed} bits, and scheme `{name}` finds messages of at most {max}"),
                "lower `activation_bits`, `gradient_bits`, `learning_rate_bits` and the magnitudes in [protocol]",
            );
            return;
        }
        scheme.parameters.message_bits = u32::try_from(needed).ok();
    }
    let (required, available) = (protocol.required_bits(), scheme.parameters.plaintext_bits());
    if required > available {
        checker.error(
            "scheme.modulus_bits",
            Code::Overflow,
            format!("the circuit needs {required} bits of plaintext, the modulus has {available}"),
            "lower the fraction or mask bits in [protocol], or raise `scheme.modulus_bits`",
        );
    }
    if packing {
        protocol.packing = Some(Packing::new(protocol.magnitude_bits(), available));
    }
}

/// Reports a key of a table or chart that tells no cells apart.
fn cell_key(path: &str, key: &str, keys: &[String], checker: &mut Checker<'_>) -> bool {
    let known = CELL_KEYS.contains(&key)
        || keys.iter().any(|label| label == key && checker.document.get(label).is_some());
    let swept = keys.iter().any(|label| label == key) && key.contains('.');
    if known || swept {
        return true;
    }
    let names: Vec<&str> = CELL_KEYS.into_iter().chain(keys.iter().map(String::as_str)).collect();
    checker.unknown(path, "key", key, names.iter().copied());
    false
}

fn unknown_metric(path: &str, name: &str, checker: &mut Checker<'_>) {
    let span = checker.document.span(path);
    let names: Vec<&str> = metric::METRICS.iter().map(|metric| metric.name).collect();
    let mut diagnostic = Diagnostic::error(Code::UnknownName, span, format!("unknown metric `{name}`"))
        .help(&format!("allowed, each alone or followed by `± std`: {}", names.join(", ")));
    if let Some(right) = metric::suggest(name) {
        diagnostic = diagnostic.label(&format!("did you mean `{right}`?"));
    }
    checker.found.push(diagnostic);
}

/// Checks `[table]`.
pub fn table(spec: &TableSpec, keys: &[String], checker: &mut Checker<'_>) -> Option<Table> {
    let mut fine = cell_key("table.rows", &spec.rows, keys, checker);
    for (index, column) in spec.columns.iter().enumerate() {
        fine &= cell_key(&format!("table.columns.{index}"), column, keys, checker);
    }
    let mut cells = Vec::new();
    for cell in spec.cell.as_slice() {
        match CellExpression::parse(cell) {
            Ok(cell) => cells.push(cell),
            Err(name) => {
                unknown_metric("table.cell", &name, checker);
                fine = false;
            }
        }
    }
    fine.then(|| Table { rows: spec.rows.clone(), columns: spec.columns.clone(), cells })
}

/// Checks `[figure]`.
pub fn figure(spec: &FigureSpec, keys: &[String], checker: &mut Checker<'_>) -> Option<Figure> {
    let mut fine = cell_key("figure.x", &spec.x, keys, checker);
    if let Some(series) = &spec.series {
        fine &= cell_key("figure.series", series, keys, checker);
    }
    if let Some([low, high]) = spec.y_range
        && !(low < high && (!spec.y_logarithmic || low > 0.0))
    {
        checker.error(
            "figure.y_range",
            Code::Range,
            format!("`figure.y_range` is [{low}, {high}]"),
            "allowed: a lower bound below the upper; above 0 on a logarithmic axis",
        );
        fine = false;
    }
    let Some(y) = metric::find(&spec.y) else {
        unknown_metric("figure.y", &spec.y, checker);
        return None;
    };
    fine.then(|| Figure {
        kind: spec.kind,
        x: spec.x.clone(),
        y,
        series: spec.series.clone(),
        x_label: spec.x_label.clone(),
        y_label: spec.y_label.clone(),
        y_range: spec.y_range.map(|[low, high]| (low, high)),
        y_logarithmic: spec.y_logarithmic,
    })
}

/// Checks the `[[claim]]`s.
pub fn claims(specs: &[ClaimSpec], checker: &mut Checker<'_>) -> Vec<Claim> {
    let mut claims = Vec::new();
    for (index, spec) in specs.iter().enumerate() {
        let path = format!("claim.{index}.holds");
        match Relation::parse(&spec.holds) {
            Ok(relation) => {
                claims.push(Claim { text: spec.text.clone(), source: spec.holds.clone(), relation });
            }
            Err(error) => {
                let span = checker.document.span(&path);
                let mut diagnostic = Diagnostic::error(Code::Expression, span, error.to_string())
                    .help("for example `encrypted.accuracy >= plain.accuracy - 0.01`");
                let right = match &error {
                    RelationError::Metric(name) => metric::suggest(name),
                    RelationError::Variant(name) => {
                        nearest(name, Variant::ALL.into_iter().map(Variant::name))
                    }
                    _ => None,
                };
                if let Some(right) = right {
                    diagnostic = diagnostic.label(&format!("did you mean `{right}`?"));
                }
                checker.found.push(diagnostic);
            }
        }
    }
    claims
}
