//! `henn report`

use std::path::{Path, PathBuf};

use crate::cli::{Choice, CliError, Context, ExitStatus, complain, run, say};
use crate::experiment::spec::ProfileName;
use crate::report;
use crate::runner::sweep::{NotRun, read_records};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A directory of results; all of them when none is named
    directory: Option<PathBuf>,
}

pub(super) fn main(context: &Context, arguments: &Arguments) -> Result<ExitStatus, CliError> {
    let root = arguments.directory.as_deref().unwrap_or(&context.global.out);
    let mut directories = Vec::new();
    collect(root, &mut directories);
    directories.sort();
    if directories.is_empty() {
        return Err(CliError::Usage(format!("no records.jsonl below {}", root.display())));
    }
    let mut status = ExitStatus::Success;
    for directory in directories {
        if let Err(error) = remake(context, &directory) {
            complain(format!("error: {}: {error}", directory.display()));
            status = error.status();
        }
    }
    Ok(status)
}

fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
    if directory.join("records.jsonl").is_file() {
        found.push(directory.to_owned());
    }
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    // Runs that are kept are made again only when they are named.
    let kept = |entry: &std::fs::DirEntry| entry.file_name() == "reference";
    for entry in entries.flatten().filter(|entry| entry.path().is_dir() && !kept(entry)) {
        collect(&entry.path(), found);
    }
}

/// What a manifest says of how a run was asked for.
#[derive(serde::Deserialize)]
struct Manifest {
    experiment: String,
    profile: ProfileName,
    set: Vec<String>,
    grid: Vec<String>,
}

/// What an earlier verdict says beside its judgements.
#[derive(Default, serde::Deserialize)]
struct Judged {
    not_run: Vec<NotRun>,
}

fn remake(context: &Context, directory: &Path) -> Result<(), CliError> {
    let path = directory.join("manifest.json");
    let bytes = std::fs::read(&path).map_err(|source| CliError::File { path, source })?;
    let manifest: Manifest = serde_json::from_slice(&bytes)?;
    let experiment = manifest.experiment.strip_suffix(".sweep").unwrap_or(&manifest.experiment).to_owned();
    let choice = Choice { experiment, profile: manifest.profile, set: manifest.set, seed: None };
    let mut plan = context.plan(&choice, &manifest.grid)?;
    plan.name = manifest.experiment;
    let finished = read_records(directory)?;
    let reference = run::reference(context, &plan)?;
    // Why points did not run, records do not say. Without it they are just not there.
    let judged = std::fs::read(directory.join("verdict.json")).ok();
    let judged = judged.and_then(|bytes| serde_json::from_slice::<Judged>(&bytes).ok()).unwrap_or_default();
    let report = report::make(&plan, &finished, &judged.not_run, reference.as_ref());
    report.write(directory, &plan, &finished, reference.as_ref())?;
    say(report.to_terminal().trim_end());
    Ok(())
}
