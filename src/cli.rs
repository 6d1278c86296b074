//! The command line: one file a verb.

mod check;
mod compare;
mod completions;
mod credential;
mod datasets;
mod doctor;
mod list;
mod report;
mod reproduce;
mod run;
mod schema;
mod serve;
mod show;
mod sweep;

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use thiserror::Error;

use crate::backend::meter::Interrupt;
use crate::dataset::{DatasetError, Store};
use crate::experiment::diagnostic::Report as Diagnostics;
use crate::experiment::plan::{Plan, Request};
use crate::experiment::spec::ProfileName;
use crate::protocol::tls::CredentialError;
use crate::report::ReportError;
use crate::runner::RunError;
use crate::runner::progress::Progress;

/// What the program says when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// Done.
    Success,
    /// Ran, but a claim, tolerance or comparison failed under `--strict`, or something outside henn failed.
    Failed,
    /// Wrong usage or an invalid file.
    Usage,
    /// Refused for security.
    Insecure,
    /// An encrypted result disagrees with its exact circuit.
    Disagreement,
    /// Interrupted.
    Interrupted,
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(match status {
            ExitStatus::Success => 0,
            ExitStatus::Failed => 1,
            ExitStatus::Usage => 2,
            ExitStatus::Insecure => 3,
            ExitStatus::Disagreement => 4,
            ExitStatus::Interrupted => 130,
        })
    }
}

/// Neural networks under homomorphic encryption: plain, simulated and encrypted, beside what the papers printed.
#[derive(Debug, Parser)]
#[command(name = "henn", version, about, max_term_width = 110)]
struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

/// Options of every verb.
#[derive(Debug, clap::Args)]
struct Global {
    /// Directory for results
    #[arg(long, global = true, default_value = "results", value_name = "DIR")]
    out: PathBuf,
    /// Number of threads [default: one a core]
    #[arg(long, global = true, value_name = "N")]
    jobs: Option<std::num::NonZeroUsize>,
    /// No progress on stderr
    #[arg(long, global = true)]
    quiet: bool,
    /// JSON on stdout
    #[arg(long, global = true)]
    json: bool,
    /// Directory of experiment files [default: experiments/ here or above]
    #[arg(long, global = true, value_name = "DIR", env = "HENN_EXPERIMENTS")]
    experiments: Option<PathBuf>,
    /// Directory of fetched data sets [default: datasets/cache beside the experiments]
    #[arg(long, global = true, value_name = "DIR", env = "HENN_DATASET_CACHE")]
    dataset_cache: Option<PathBuf>,
    /// Directory to take data sets from that the cache lacks: DIR/<name>/<file>
    #[arg(long, global = true, value_name = "DIR", env = "HENN_DATASET_MIRROR")]
    mirror: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run an experiment and write its tables, chart and verdict
    Run(run::Arguments),
    /// Run all experiments of one or more papers
    Reproduce(reproduce::Arguments),
    /// Run an experiment over a grid of values
    Sweep(sweep::Arguments),
    /// List experiments
    List(list::Arguments),
    /// Show an experiment as it would run
    Show(show::Arguments),
    /// Read, resolve, estimate and judge experiments; run nothing
    Check(check::Arguments),
    /// Make tables, chart and verdict again from the records of a run
    Report(report::Arguments),
    /// Compare the records of two runs
    Compare(compare::Arguments),
    /// List, fetch or verify data sets
    Datasets(datasets::Arguments),
    /// Be the server party for runs with --connect
    Serve(serve::Arguments),
    /// Print the JSON schema of experiment files
    Schema,
    /// Print completions for a shell
    Completions(completions::Arguments),
    /// Say what this machine has and lacks; make certificates
    Doctor(doctor::Arguments),
}

/// Options that choose and change an experiment.
#[derive(Debug, clap::Args)]
struct Choice {
    /// Name under experiments/ without .toml, or a file
    experiment: String,
    /// Scale
    #[arg(long, value_enum, default_value = "quick")]
    profile: ProfileName,
    /// Override a key of the file
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Root of all randomness
    #[arg(long)]
    seed: Option<u64>,
}

impl Choice {
    /// The overrides, the seed among them.
    fn overrides(&self) -> Vec<String> {
        self.set.iter().cloned().chain(self.seed.map(|seed| format!("run.seed={seed}"))).collect()
    }
}

/// Why a verb ended.
#[derive(Debug, Error)]
enum CliError {
    #[error("{}", .0.render(false))]
    Invalid(Box<Diagnostics>),
    #[error("no experiment `{name}` under {}{}", directory.display(), suggestion.as_ref().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
    UnknownExperiment { name: String, directory: PathBuf, suggestion: Option<String> },
    #[error(
        "no directory `experiments` here or above: change to the repository, or name it with --experiments"
    )]
    NoExperiments,
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("{0}")]
    Usage(String),
    #[error(
        "{0} is no loopback address: without TLS and a token henn keeps to this machine; `henn doctor --certificates FOLDER` makes what --certificate, --key, --pin and --token take"
    )]
    NotLoopback(String),
    #[error("{}: {source}", path.display())]
    Credential { path: PathBuf, source: CredentialError },
    #[error("{source}")]
    Generation { source: CredentialError },
    #[error("{}: others can read it (mode {mode:o}); allowed: 600 or 400", path.display())]
    Exposed { path: PathBuf, mode: u32 },
    #[error("{}: it exists, and is not written over", path.display())]
    Exists { path: PathBuf },
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    #[error(transparent)]
    Report(#[from] ReportError),
    #[error("threads: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
    #[error("signals: {0}")]
    Signals(#[from] ctrlc::Error),
    #[error("json: {0}")]
    Json(#[from] serde_json::Error),
}

impl CliError {
    fn status(&self) -> ExitStatus {
        match self {
            Self::Invalid(report) if report.only_insecure() => ExitStatus::Insecure,
            Self::NotLoopback(_) | Self::Exposed { .. } => ExitStatus::Insecure,
            Self::Run(error) if error.is_interrupt() => ExitStatus::Interrupted,
            Self::Run(_)
            | Self::Dataset(_)
            | Self::Report(_)
            | Self::Threads(_)
            | Self::Generation { .. }
            | Self::Signals(_)
            | Self::Json(_) => ExitStatus::Failed,
            _ => ExitStatus::Usage,
        }
    }
}

/// What every verb works with.
struct Context {
    global: Global,
    progress: Progress,
    interrupt: Interrupt,
}

/// Parses the command line, does what it says, and says how it ended.
pub fn main() -> ExitStatus {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no mistakes; a stderr that is gone cannot be helped.
            drop(error.print());
            return if error.use_stderr() { ExitStatus::Usage } else { ExitStatus::Success };
        }
    };
    match dispatch(arguments) {
        Ok(status) => status,
        Err(error) => {
            match &error {
                CliError::Invalid(report) => complain(report.render(color()).trim_end()),
                other => complain(format!("error: {other}")),
            }
            error.status()
        }
    }
}

fn dispatch(arguments: Arguments) -> Result<ExitStatus, CliError> {
    let Arguments { global, verb } = arguments;
    if let Some(jobs) = global.jobs {
        rayon::ThreadPoolBuilder::new().num_threads(jobs.get()).build_global()?;
    }
    let interrupt = Interrupt::default();
    let raised = interrupt.clone();
    ctrlc::set_handler(move || raised.raise())?;
    let progress = Progress::new(global.quiet);
    let context = Context { global, progress, interrupt };
    match verb {
        Verb::Run(arguments) => run::main(&context, &arguments),
        Verb::Reproduce(arguments) => reproduce::main(&context, &arguments),
        Verb::Sweep(arguments) => sweep::main(&context, &arguments),
        Verb::List(arguments) => list::main(&context, &arguments),
        Verb::Show(arguments) => show::main(&context, &arguments),
        Verb::Check(arguments) => check::main(&context, &arguments),
        Verb::Report(arguments) => report::main(&context, &arguments),
        Verb::Compare(arguments) => compare::main(&context, &arguments),
        Verb::Datasets(arguments) => datasets::main(&context, &arguments),
        Verb::Serve(arguments) => serve::main(&context, &arguments),
        Verb::Schema => schema::main(),
        Verb::Completions(arguments) => Ok(completions::main(&arguments)),
        Verb::Doctor(arguments) => doctor::main(&context, &arguments),
    }
}

impl Context {
    /// The directory of experiment files.
    fn experiments(&self) -> Result<PathBuf, CliError> {
        if let Some(directory) = &self.global.experiments {
            return Ok(directory.clone());
        }
        let here = std::env::current_dir().map_err(|source| CliError::File { path: ".".into(), source })?;
        // Relative where it can be, so that messages and manifests do not carry the machine's paths.
        let mut relative = PathBuf::new();
        for ancestor in here.ancestors() {
            if ancestor.join("experiments").is_dir() {
                return Ok(relative.join("experiments"));
            }
            relative.push("..");
        }
        Err(CliError::NoExperiments)
    }

    /// The data sets.
    fn store(&self) -> Store {
        let cache = match (&self.global.dataset_cache, self.experiments()) {
            (Some(directory), _) => directory.clone(),
            (None, Ok(experiments)) => {
                experiments.parent().map(Path::to_path_buf).unwrap_or_default().join("datasets/cache")
            }
            (None, Err(_)) => PathBuf::from("datasets/cache"),
        };
        Store::new(cache).with_mirror(self.global.mirror.clone())
    }

    /// The text of an experiment, with its name and where it was found.
    fn read(&self, experiment: &str) -> Result<(String, PathBuf, String), CliError> {
        let is_file = Path::new(experiment).extension().is_some_and(|extension| extension == "toml");
        let path = if is_file {
            PathBuf::from(experiment)
        } else {
            self.experiments()?.join(format!("{experiment}.toml"))
        };
        if !path.is_file() && !is_file {
            let directory = self.experiments()?;
            let names = names(&directory);
            let suggestion =
                crate::experiment::diagnostic::nearest(experiment, names.iter().map(String::as_str));
            return Err(CliError::UnknownExperiment {
                name: experiment.to_owned(),
                directory,
                suggestion: suggestion.map(str::to_owned),
            });
        }
        let text =
            std::fs::read_to_string(&path).map_err(|source| CliError::File { path: path.clone(), source })?;
        let name = if is_file { self.name_of(&path) } else { experiment.to_owned() };
        Ok((name, path, text))
    }

    /// The name of an experiment file: its path below experiments/, or its stem elsewhere.
    fn name_of(&self, path: &Path) -> String {
        let below = self.experiments().ok().and_then(|directory| {
            let directory = directory.canonicalize().ok()?;
            let path = path.canonicalize().ok()?;
            Some(path.strip_prefix(directory).ok()?.with_extension("").to_string_lossy().into_owned())
        });
        below.unwrap_or_else(|| path.file_stem().unwrap_or_default().to_string_lossy().into_owned())
    }

    /// Reads and checks an experiment; warnings go to stderr.
    fn plan(&self, choice: &Choice, grid: &[String]) -> Result<Plan, CliError> {
        let (name, path, text) = self.read(&choice.experiment)?;
        let set = choice.overrides();
        let request = Request {
            name: &name,
            origin: &path.display().to_string(),
            text: &text,
            profile: choice.profile,
            set: &set,
            grid,
        };
        let (plan, warnings) = Plan::load(&request).map_err(|report| CliError::Invalid(Box::new(report)))?;
        if !warnings.diagnostics.is_empty() {
            self.progress.note(warnings.render(color()).trim_end());
        }
        Ok(plan)
    }
}

/// Names of all experiments below a directory, sorted.
fn names(directory: &Path) -> Vec<String> {
    let mut names = Vec::new();
    collect(directory, "", &mut names);
    names.sort();
    names
}

fn collect(directory: &Path, prefix: &str, names: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = entry.path();
        if path.is_dir() && name != "reference" {
            collect(&path, &format!("{prefix}{name}/"), names);
        } else if let Some(stem) = name.strip_suffix(".toml") {
            names.push(format!("{prefix}{stem}"));
        }
    }
}

/// Writes to stdout; a reader that is gone is no failure.
fn say(text: impl Display) {
    drop(writeln!(std::io::stdout().lock(), "{text}"));
}

/// Writes to stderr.
fn complain(text: impl Display) {
    drop(writeln!(std::io::stderr().lock(), "{text}"));
}

/// Whether messages on stderr are coloured.
fn color() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
