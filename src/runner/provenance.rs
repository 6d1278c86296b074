//! Where a result comes from: commit, compiler, machine, inputs. And what the machine says of its memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::dataset;
use crate::experiment::plan::Plan;
use crate::experiment::spec::Randomness;
use crate::math::vector::Engine;
use crate::protocol::tls::Remote;
use crate::runner::RunError;
use crate::runner::sweep::Options;

/// The lock file that this program was built from.
const LOCK_FILE: &[u8] = include_bytes!("../../Cargo.lock");

/// The time of day.
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

/// When a run began, and from which sources: what is committed while it runs is not what it ran.
#[derive(Debug)]
pub struct Origin {
    started: DateTime<Utc>,
    commit: Option<String>,
    dirty: Option<bool>,
}

impl Origin {
    /// Now.
    pub fn now() -> Self {
        Self {
            started: now(),
            commit: output("git", &["rev-parse", "HEAD"]),
            dirty: output("git", &["status", "--porcelain"]).map(|text| !text.is_empty()),
        }
    }
}

/// `manifest.json` of a run.
pub fn manifest(
    plan: &Plan,
    origin: &Origin,
    interrupted: bool,
    options: &Options<'_>,
) -> Result<Vec<u8>, RunError> {
    let mut data = BTreeMap::new();
    for point in &plan.points {
        let Some(name) = point.task.data() else { continue };
        let entry = dataset::catalogue()?.get(name)?;
        let names = entry.files().iter().map(|file| file.name.as_str());
        let files: BTreeMap<&str, Option<String>> = names.zip(options.store.digests(entry)?).collect();
        data.insert(entry.name().to_owned(), files);
    }
    let first = plan.points.first();
    let seeded = first.is_none_or(|point| point.rng == Randomness::Seeded);
    let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
    let manifest = json!({
        "henn": env!("CARGO_PKG_VERSION"),
        "experiment": plan.name,
        "profile": plan.profile.name(),
        "set": plan.set,
        "grid": plan.grid,
        "seed": first.map(|point| point.seed),
        "key_origin": if seeded { "seeded" } else { "os" },
        "key_origin_note": if seeded {
            "keys come from the public seed and protect nothing; set run.rng = \"os\" for real keys"
        } else {
            "keys come from the operating system's entropy"
        },
        "spec_sha256": hex::encode(Sha256::digest(&plan.text)),
        "lock_sha256": hex::encode(Sha256::digest(LOCK_FILE)),
        "data_sha256": data,
        "commit": origin.commit,
        "dirty": origin.dirty,
        "rustc": output("rustc", &["--version"]),
        "build": if cfg!(debug_assertions) { "debug" } else { "release" },
        "target": format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
        "cpu": cpu_model(),
        "cpu_features": cpu_features(),
        "vector_unit": Engine::fastest().name(),
        "cores": std::thread::available_parallelism().map(std::num::NonZero::get).ok(),
        "threads": rayon::current_num_threads(),
        "memory_bytes": memory_bytes(),
        "server": options.connect.map_or("in process", Remote::address),
        "argv": std::env::args().map(portable).collect::<Vec<_>>(),
        "start": time(origin.started),
        "end": time(now()),
        "interrupted": interrupted,
    });
    let mut text = serde_json::to_vec_pretty(&manifest)
        .map_err(|error| RunError::file("manifest.json")(error.into()))?;
    text.push(b'\n');
    Ok(text)
}

/// What a program prints, if it is there and succeeds.
fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output =
        Command::new(program).args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The processor's name, where the system tells.
#[cfg(target_os = "linux")]
pub fn cpu_model() -> Option<String> {
    use procfs::Current;
    procfs::CpuInfo::current().ok()?.model_name(0).map(ToOwned::to_owned)
}

/// The vector extensions that matter for big-integer and polynomial arithmetic, where the system tells.
#[cfg(target_os = "linux")]
pub fn cpu_features() -> Option<Vec<String>> {
    use procfs::Current;
    let info = procfs::CpuInfo::current().ok()?;
    let known = ["adx", "avx2", "avx512f", "avx512ifma", "bmi2", "fma", "sha_ni", "vaes"];
    let flags = info.flags(0)?;
    Some(known.into_iter().filter(|name| flags.contains(name)).map(ToOwned::to_owned).collect())
}

/// The machine's memory in bytes, where the system tells.
#[cfg(target_os = "linux")]
pub fn memory_bytes() -> Option<u64> {
    use procfs::Current;
    Some(procfs::Meminfo::current().ok()?.mem_total)
}

/// Bytes that this process may still take, by the system and by the group of processes that it is in, where they tell.
#[cfg(target_os = "linux")]
pub fn free_memory_bytes() -> Option<u64> {
    use procfs::Current;
    let free = procfs::Meminfo::current().ok()?.mem_available?;
    let number = |name: &str| -> Option<u64> {
        std::fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok()?.trim().parse().ok()
    };
    let of_group = || Some(number("memory.max")?.saturating_sub(number("memory.current")?));
    Some(of_group().map_or(free, |group| group.min(free)))
}

/// The most memory that this process has had since [`reset_peak_memory`], where the system tells.
#[cfg(target_os = "linux")]
pub fn peak_memory_bytes() -> Option<f64> {
    let kibibytes = procfs::process::Process::myself().ok()?.status().ok()?.vmhwm?;
    Some((kibibytes * 1024) as f64)
}

/// Starts a new measurement of peak memory, where the system can.
pub fn reset_peak_memory() {
    // Documented in proc(5): writing 5 resets the peak resident set. Where it is not allowed the peak is the process's.
    if let Ok(mut file) = File::options().write(true).open("/proc/self/clear_refs") {
        drop(file.write_all(b"5"));
    }
}

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    /// Not known on this system.
    pub fn cpu_model() -> Option<String> {
        None
    }
    /// Not known on this system.
    pub fn cpu_features() -> Option<Vec<String>> {
        None
    }
    /// Not known on this system.
    pub fn memory_bytes() -> Option<u64> {
        None
    }
    /// Not known on this system.
    pub fn free_memory_bytes() -> Option<u64> {
        None
    }
    /// Not known on this system.
    pub fn peak_memory_bytes() -> Option<f64> {
        None
    }
}
#[cfg(not(target_os = "linux"))]
pub use elsewhere::{cpu_features, cpu_model, free_memory_bytes, memory_bytes, peak_memory_bytes};
/// An argument without the directories of this machine: the last component of an absolute path.
fn portable(argument: String) -> String {
    let path = Path::new(&argument);
    match path.file_name().filter(|_| path.is_absolute()) {
        Some(name) => name.to_string_lossy().into_owned(),
        None => argument,
    }
}
