//! `henn datasets`

use clap::Subcommand;

use crate::cli::{CliError, Context, ExitStatus, complain, say};
use crate::dataset::{self, Entry, Presence};
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
    },
    /// Check every data set that is here against its digest
    Verify,
}

pub(super) fn main(context: &Context, arguments: &Arguments) -> Result<ExitStatus, CliError> {
    match &arguments.verb {
        None | Some(Verb::List) => list(context),
        Some(Verb::Fetch { names }) => {
            let store = context.store();
            // All names are known before anything is fetched.
            let entries: Vec<&Entry> =
                names.iter().map(|name| dataset::catalogue()?.get(name)).collect::<Result<_, _>>()?;
            for entry in entries {
                if entry.embedded() {
                    say(format!("{}: embedded, nothing to fetch", entry.name()));
                    continue;
                }
                let fetched = store.fetch(entry, &mut |what, done, total| {
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
                match store.presence(entry) {
                    Presence::Absent => {
                        say(format!("{}: absent", entry.name()));
                        continue;
                    }
                    // Nothing is copied only to be checked; it will be checked when it is taken from there.
                    Presence::Mirrored => {
                        say(format!("{}: absent, but in the mirror", entry.name()));
                        continue;
                    }
                    Presence::Embedded | Presence::Cached => {}
                }
                match store.load_entry(entry) {
                    Ok(_) if entry.digests_known() => say(format!("{}: fine", entry.name())),
                    Ok(_) => say(format!("{}: readable, but its digest is not known", entry.name())),
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
            let present = match store.presence(entry) {
                Presence::Embedded => "embedded",
                Presence::Cached => "fetched",
                Presence::Mirrored => "mirror",
                Presence::Absent => "absent",
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
    say(grid(&heads, 1, &rows));
    Ok(ExitStatus::Success)
}
