//! The rules that turn a [`Spec`] into [`Settings`], each with its message.

use std::fmt::Display;
use std::ops::RangeInclusive;

use self::protocol::system;
use crate::backend::Variant;
use crate::dataset;
use crate::experiment::diagnostic::{Code, Diagnostic, nearest};
use crate::experiment::document::Document;
use crate::experiment::plan::{Data, Settings, Task};
use crate::experiment::spec::{Architecture, Precision, Spec, Stage, TaskName};

mod approximation;
mod attack;
mod cost;
mod network;
mod protocol;
mod report;
mod scheme;
mod training;

pub use self::report::{CURVES, EPOCH, claims, figure, table};

/// Keys of papers.
const PAPERS: [&str; 5] = ["ppbp", "gelu_net", "crypto_dl", "paillier_cnn", "transfer_mlr"];

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
pub fn task(spec: &Spec, checker: &mut Checker<'_>) -> Option<Task> {
    let before = checker.found.len();
    run(spec, checker);
    let task = match spec.run.task {
        TaskName::Inference => settings(spec, checker).map(|settings| Task::Inference(Box::new(settings))),
        TaskName::Approximation => approximation::fit(spec, checker).map(Task::Approximation),
        TaskName::Attack => attack::attack(spec, checker).map(|attack| Task::Attack(Box::new(attack))),
        TaskName::Cost => cost::cost(spec, checker).map(|cost| Task::Cost(Box::new(cost))),
        TaskName::Data => data(spec, checker).map(|entry| Task::Data { describe: entry.name().to_owned() }),
    };
    task.filter(|_| !checker.has_errors_since(before))
}

fn settings(spec: &Spec, checker: &mut Checker<'_>) -> Option<Settings> {
    let before = checker.found.len();
    let entry = data(spec, checker);
    let layers = network::layers(spec, entry, checker);
    training::check(spec, checker);
    let chosen = approximation::chosen(spec, checker);
    let system =
        system(spec, entry, chosen.as_ref(), layers.as_ref().and_then(network::Layers::listed), checker);
    let blocked = checker.has_errors_since(before);
    match (entry, system) {
        (Some(entry), Some((system, security_bits, marked))) if !blocked => Some(Settings {
            data: Data {
                name: entry.name().to_owned(),
                test_fraction: spec.data.test_fraction,
                scaling: spec.data.scaling,
                test_limit: spec.data.test_limit,
                train_share: spec.data.train_share,
                train_limit: spec.data.train_limit,
                feature_limit: spec.data.feature_limit,
            },
            hidden: spec.network.hidden.clone(),
            activation: spec.network.activation,
            approximation: chosen.and_then(|chosen| chosen.approximation),
            layers: layers?.listed().map(<[_]>::to_vec),
            precision: spec.network.precision.unwrap_or(match spec.network.architecture {
                Architecture::Mlp => Precision::Double,
                _ => Precision::Single,
            }),
            training: training::settings(&spec.training),
            fine_tuning: (spec.approximation.stage == Stage::FineTuning)
                .then(|| training::settings(&training::fine_tuning(&spec.training))),
            curve: spec.training.curve,
            security_bits,
            marked,
            system,
            link: spec.protocol.link,
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
    let share = spec.data.train_share;
    if !(share > 0.0 && share <= 1.0) {
        let message = format!("`data.train_share` is {share}");
        checker.error("data.train_share", Code::Range, message, "allowed: above 0, at most 1");
    }
    if spec.data.train_limit == Some(0) {
        let message = "`data.train_limit` is 0".to_owned();
        checker.error("data.train_limit", Code::Range, message, "allowed: 1 or more");
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
    if let (Some(limit), Some(entry)) = (spec.data.feature_limit, entry) {
        checker.within("data.feature_limit", limit, &(1..=entry.columns()));
    }
    if entry.is_none() {
        let names: Vec<&str> = catalogue.names().collect();
        checker.unknown("data.name", "data set", name, names.iter().copied());
    }
    entry
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
        let others = match spec.run.task {
            TaskName::Inference => Variant::ALL.as_slice(),
            // Its rules are its own.
            TaskName::Attack => &[Variant::Plain, Variant::Simulated],
            TaskName::Cost => &[Variant::Simulated, Variant::Encrypted],
            TaskName::Approximation | TaskName::Data => &[Variant::Plain],
        };
        if !others.contains(variant) {
            let path = format!("run.variants.{index}");
            let message = format!("nothing of this task can be {variant}");
            let names: Vec<&str> = others.iter().map(|variant| variant.name()).collect();
            let help = format!("allowed: {}", names.join(", "));
            checker.error(&path, Code::Incompatible, message, &help);
        }
        if spec.run.variants.iter().take(index).any(|earlier| earlier == variant) {
            let path = format!("run.variants.{index}");
            checker.error(&path, Code::Range, format!("variant `{variant}` is listed twice"), "list it once");
        }
    }
}
