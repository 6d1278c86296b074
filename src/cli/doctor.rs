//! `henn doctor`

use std::path::PathBuf;
use std::process::Command;

use crate::cli::{CliError, Context, ExitStatus, credential, names, say};
use crate::dataset::{self, Presence};
use crate::math::vector::Engine;
use crate::runner::provenance;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Make a certificate with its key and a token for `henn serve` and `henn run --connect`, in new files of this folder
    #[arg(long, value_name = "FOLDER")]
    certificates: Option<PathBuf>,
}

pub(super) fn main(context: &Context, arguments: &Arguments) -> Result<ExitStatus, CliError> {
    if let Some(folder) = &arguments.certificates {
        for path in credential::generate(folder)? {
            say(path.display());
        }
        return Ok(ExitStatus::Success);
    }
    let mut fine = true;
    let mut line = |name: &str, good: bool, text: String| {
        fine &= good;
        say(format!("{} {name}: {text}", if good { "ok     " } else { "MISSING" }));
    };
    // What one can do without.
    let optional = |name: &str, good: bool, text: &str| {
        say(format!("{} {name}: {text}", if good { "ok     " } else { "absent " }));
    };
    let unknown = || "unknown".to_owned();
    line("processor", true, provenance::cpu_model().unwrap_or_else(unknown));
    line("vector extensions", true, provenance::cpu_features().map_or_else(unknown, |found| found.join(" ")));
    let vector = Engine::fastest();
    let choice = match vector.lanes() {
        1 => format!("{vector}: big integers one at a time"),
        lanes => format!("{vector}: {lanes} big integers at once"),
    };
    line("vector unit in use", true, choice);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    line("threads", true, format!("{} of {cores} cores", rayon::current_num_threads()));
    let memory = provenance::memory_bytes().map_or_else(unknown, |bytes| format!("{} MiB", bytes >> 20));
    line("memory", true, memory);
    match context.experiments() {
        Ok(directory) => {
            line("experiments", true, format!("{} in {}", names(&directory).len(), directory.display()));
        }
        Err(error) => line("experiments", false, error.to_string()),
    }
    let store = context.store();
    for entry in dataset::catalogue()?.entries().iter().filter(|entry| !entry.embedded()) {
        let presence = store.presence(entry);
        let text = match presence {
            Presence::Embedded | Presence::Cached => "fetched".to_owned(),
            Presence::Mirrored => "in the mirror".to_owned(),
            Presence::Absent if entry.fetchable() => format!("`henn datasets fetch {}`", entry.name()),
            Presence::Absent => format!("by hand from {}", entry.home()),
        };
        let present = presence != Presence::Absent;
        optional(&format!("data set {}", entry.name()), present, &text);
    }
    let npm = Command::new("npm").arg("--version").output().is_ok_and(|output| output.status.success());
    let text =
        if npm { "can fetch data sets" } else { "without it data sets come from a mirror or their home" };
    optional("npm", npm, text);
    let out = &context.global.out;
    let writable = tempfile::tempdir_in(if out.is_dir() { out } else { std::path::Path::new(".") }).is_ok();
    line("results directory", writable, out.display().to_string());
    Ok(if fine { ExitStatus::Success } else { ExitStatus::Failed })
}
