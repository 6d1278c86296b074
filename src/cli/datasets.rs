//! `henn datasets`

use std::path::PathBuf;

use clap::Subcommand;

use crate::cli::{CliError, Context, ExitStatus, complain, say};
use crate::dataset::{self, Entry};
use crate::report::export::grid;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List data sets and where they come from
    List,
    /// Fetch data sets into the cache
    Fetch {
        /// Names; see `henn datasets list`
        #[arg(required = true)]
        names: Vec<String>,
        /// Look here first: DIR/<name>/<file>
        #[arg(long, value_name = "DIR", env = "HENN_DATASET_MIRROR")]
        mirror: Option<PathBuf>,
    },
    /// Check every data set that is here against its digest
    Verify,
}

pub(super) fn main(context: &Context, arguments: &Arguments) -> Result<ExitStatus, CliError> {
    match &arguments.verb {
        None | Some(Verb::List) => list(context),
        Some(Verb::Fetch { names, mirror }) => {
            let store = context.store();
            // All names are known before anything is fetched.
            let entries: Vec<&Entry> =
                names.iter().map(|name| dataset::catalogue()?.get(name)).collect::<Result<_, _>>()?;
            for entry in entries {
                if entry.embedded() {
                    say(format!("{}: embedded, nothing to fetch", entry.name()));
                    continue;
                }
                let fetched = store.fetch(entry, mirror.as_deref(), &mut |what, done, total| {
                    context.progress.transfer(what, done, total);
                })?;
                context.progress.transfer_done();
                for failure in &fetched.failures {
                    context.progress.note(&format!("{}: {}", failure.source, failure.reason));
                }
                for file in &fetched.files {
                    say(format!(
                        "{}: {} ({} bytes) from {}",
                        entry.name(),
                        file.name,
                        file.bytes,
                        file.source
                    ));
                }
            }
            Ok(ExitStatus::Success)
        }
        Some(Verb::Verify) => {
            let store = context.store();
            let mut status = ExitStatus::Success;
            for entry in dataset::catalogue()?.entries() {
                if !store.is_present(entry) {
                    say(format!("{}: absent", entry.name()));
                    continue;
                }
                match store.verify(entry).and_then(|()| store.load_entry(entry)) {
                    Ok(_) => say(format!("{}: fine", entry.name())),
                    Err(error) => {
                        complain(format!("error: {error}"));
                        status = ExitStatus::Failed;
                    }
                }
            }
            Ok(status)
        }
    }
}

fn list(context: &Context) -> Result<ExitStatus, CliError> {
    let store = context.store();
    let entries = dataset::catalogue()?.entries();
    if context.global.json {
        for entry in entries {
            say(serde_json::to_string(entry)?);
        }
        return Ok(ExitStatus::Success);
    }
    let heads = ["name", "rows", "features", "classes", "present", "licence"].map(str::to_owned);
    let rows: Vec<Vec<String>> = entries
        .iter()
        .map(|entry| {
            let present = match (entry.embedded(), store.is_present(entry)) {
                (true, _) => "embedded",
                (false, true) => "fetched",
                (false, false) => "absent",
            };
            vec![
                entry.name().to_owned(),
                entry.rows().to_string(),
                entry.columns().to_string(),
                entry.classes().to_string(),
                present.to_owned(),
                entry.licence().to_owned(),
            ]
        })
        .collect();
    say(grid(&heads, &rows));
    Ok(ExitStatus::Success)
}
