//! The cache of raw files, and the way from an entry's raw files to a [`Dataset`].

use std::{
    fs::File,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use ndarray::Array2;
use sha2::{Digest, Sha256};

use super::{Dataset, DatasetError, Entry, RawFile, catalogue, embedded, gzip, reader};

/// The raw files on this machine: those inside the program, and a cache directory for the others, which lie in it as
/// `<name of the set>/<file>`. What the cache lacks may be in a mirror.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) directory: PathBuf,
    pub(crate) mirror: Option<PathBuf>,
}

/// Where the raw files of a set are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// In the program.
    Embedded,
    /// In the cache.
    Cached,
    /// At least partly in the mirror alone; loading the set takes them from there.
    Mirrored,
    /// At least one is nowhere on this machine.
    Absent,
}

impl Store {
    /// A store with its cache in `directory`, which need not exist before the first fetch.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), mirror: None }
    }

    /// The same store with a directory to take files from that the cache lacks; it has them as `<folder>/<file>` or
    /// `<folder>/<file>.gz` and is never written to.
    #[must_use]
    pub fn with_mirror(mut self, mirror: Option<PathBuf>) -> Self {
        self.mirror = mirror;
        self
    }

    /// The cache directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where the raw files are, by name and size alone; only [`Store::verify`] says that they are the right ones.
    pub fn presence(&self, entry: &Entry) -> Presence {
        let missing = self.missing(entry);
        if entry.embedded() {
            Presence::Embedded
        } else if missing.is_empty() {
            Presence::Cached
        } else if missing.iter().all(|file| self.in_mirror(entry, file).iter().any(|path| path.is_file())) {
            Presence::Mirrored
        } else {
            Presence::Absent
        }
    }

    /// Whether every raw file is here, be it in the mirror.
    pub fn is_present(&self, entry: &Entry) -> bool {
        self.presence(entry) != Presence::Absent
    }

    /// Reads the data set of this name.
    ///
    /// # Errors
    /// [`DatasetError::Unknown`], and what [`Store::load_entry`] says.
    pub fn load(&self, name: &str) -> Result<Dataset, DatasetError> {
        self.load_entry(catalogue()?.get(name)?)
    }

    /// Reads the data set of a manifest entry. No byte is looked at before its digest is checked, where it is known.
    /// Files that the cache lacks come from the mirror, if there is one, and stay in the cache; the network is not asked.
    ///
    /// # Errors
    /// [`DatasetError::Absent`] where files are missing, [`DatasetError::Digest`] where one is another than the
    /// manifest's, [`DatasetError::Malformed`] and [`DatasetError::Shape`] where the manifest itself is wrong about
    /// them.
    pub fn load_entry(&self, entry: &Entry) -> Result<Dataset, DatasetError> {
        let raw = self.raw(entry)?;
        let mut all = Sha256::new();
        for bytes in &raw {
            all.update(bytes);
        }
        let names: Vec<_> =
            entry.files().iter().map(|file| format!("{}/{}", entry.name(), file.name)).collect();
        let table = reader::read(entry, &names, &raw)?;
        drop(raw);
        let shape = |what, found, expected| {
            if found == expected {
                return Ok(());
            }
            Err(DatasetError::Shape { name: entry.name().into(), what, found, expected })
        };
        let rows = table.labels.len();
        shape("rows", rows, entry.rows())?;
        shape("values", table.features.len(), entry.rows().saturating_mul(entry.columns()))?;
        let features = Array2::from_shape_vec((rows, entry.columns()), table.features).map_err(|error| {
            DatasetError::Manifest { reason: format!("data set {}: {error}", entry.name()) }
        })?;
        let dataset = Dataset {
            name: entry.name().into(),
            features,
            labels: table.labels,
            classes: entry.classes(),
            class_names: entry.class_names().to_vec(),
            digest: hex(&all.finalize()),
            test_rows: entry.test_rows(),
            picture: entry.picture(),
        };
        let filled = dataset.class_counts().iter().filter(|&&count| count > 0).count();
        shape("classes with rows", filled, entry.classes())?;
        Ok(dataset)
    }

    /// Checks that every raw file is here and is the one that the manifest describes, as far as it gives digests.
    ///
    /// # Errors
    /// [`DatasetError::Absent`], [`DatasetError::Digest`] or [`DatasetError::Io`].
    pub fn verify(&self, entry: &Entry) -> Result<(), DatasetError> {
        self.raw(entry).map(|_| ())
    }

    /// The SHA-256 of each raw file: the manifest's, or where that has none, what the file itself gives (`None` where it
    /// is not here). What is computed from a set is known by these.
    ///
    /// # Errors
    /// Those of [`Store::load_entry`] for files that are here, where a digest has to be computed.
    pub fn digests(&self, entry: &Entry) -> Result<Vec<Option<String>>, DatasetError> {
        let found = if entry.digests_known() {
            Vec::new()
        } else {
            match self.raw(entry) {
                Ok(raw) => raw.iter().map(|bytes| hex(&Sha256::digest(bytes))).collect(),
                Err(DatasetError::Absent { .. }) => Vec::new(),
                Err(error) => return Err(error),
            }
        };
        let digest =
            |(index, file): (usize, &RawFile)| file.sha256.clone().or_else(|| found.get(index).cloned());
        Ok(entry.files().iter().enumerate().map(digest).collect())
    }

    /// Where a raw file lies in the cache.
    pub(crate) fn path(&self, entry: &Entry, file: &RawFile) -> PathBuf {
        self.directory.join(entry.name()).join(&file.name)
    }

    /// Where a raw file may lie in the mirror: as it is, and compressed.
    pub(crate) fn in_mirror(&self, entry: &Entry, file: &RawFile) -> Vec<PathBuf> {
        let folder = self.mirror.iter().map(|mirror| mirror.join(entry.folder()));
        folder
            .flat_map(|folder| [folder.join(&file.name), folder.join(format!("{}.gz", file.name))])
            .collect()
    }

    /// The raw files that are neither embedded nor in the cache, by size and name alone.
    fn missing<'e>(&self, entry: &'e Entry) -> Vec<&'e RawFile> {
        let here = |file: &RawFile| {
            embedded::bytes(entry.name(), &file.name).is_some()
                || self
                    .path(entry, file)
                    .metadata()
                    .is_ok_and(|data| data.is_file() && fits(data.len(), file))
        };
        entry.files().iter().filter(|file| !here(file)).collect()
    }

    /// The checked bytes of every raw file, in the order of the manifest.
    fn raw(&self, entry: &Entry) -> Result<Vec<Vec<u8>>, DatasetError> {
        let absent = |file: &&RawFile| {
            embedded::bytes(entry.name(), &file.name).is_none() && !self.path(entry, file).exists()
        };
        let mut missing: Vec<_> = entry.files().iter().filter(absent).collect();
        let mut failures = Vec::new();
        if !missing.is_empty() {
            failures = self.take_from_mirror(entry, &mut missing, &mut |_, _, _| {})?.failures;
        }
        if !missing.is_empty() {
            let mut ways_out = ways_out(entry);
            for failure in failures.iter().rev() {
                ways_out.insert_str(0, &format!("  {failure}\n"));
            }
            return Err(DatasetError::Absent {
                name: entry.name().into(),
                files: missing.iter().map(|file| file.name.clone()).collect(),
                directory: self.directory.join(entry.name()),
                ways_out,
            });
        }
        entry.files().iter().map(|file| self.bytes(entry, file)).collect()
    }

    /// The checked bytes of one raw file.
    pub(crate) fn bytes(&self, entry: &Entry, file: &RawFile) -> Result<Vec<u8>, DatasetError> {
        let path = self.path(entry, file);
        let (shown, bytes) = match embedded::bytes(entry.name(), &file.name) {
            Some(bytes) => (format!("the built-in {}/{}", entry.name(), file.name), Some(bytes.to_vec())),
            None => (path.display().to_string(), read_at_most(&path, file.bytes)?),
        };
        let expected = || file.sha256.clone().unwrap_or_else(|| format!("at most {} bytes", file.bytes));
        let Some(bytes) = bytes else {
            let found = format!("of more than {} bytes", file.bytes);
            return Err(DatasetError::Digest { file: shown, found, expected: expected() });
        };
        match mismatch(&bytes, file) {
            None => Ok(bytes),
            Some(found) => Err(DatasetError::Digest { file: shown, found, expected: expected() }),
        }
    }
}

/// Whether a file of this length can be the one of the manifest.
fn fits(length: u64, file: &RawFile) -> bool {
    if file.sha256.is_some() { length == file.bytes } else { length <= file.bytes }
}

/// The digest of these bytes where it is known to be another.
pub(crate) fn mismatch(bytes: &[u8], file: &RawFile) -> Option<String> {
    let expected = file.sha256.as_ref()?;
    Some(hex(&Sha256::digest(bytes))).filter(|found| found != expected)
}

/// The bytes of a file, or `None` where there are more than `limit`.
pub(crate) fn read_at_most(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, DatasetError> {
    let failed = |source| DatasetError::Io { action: "read", path: path.into(), source };
    let file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.is_dir() {
        return Err(failed(ErrorKind::IsADirectory.into()));
    }
    gzip::read_bounded(file, limit).map_err(failed)
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|nibble| DIGITS[usize::from(nibble)] as char)
        .collect()
}

/// How to get the files of an entry, one way a line.
pub(crate) fn ways_out(entry: &Entry) -> String {
    let name = entry.name();
    let file = entry.files().first().map_or("<file>", |file| file.name.as_str());
    let fetch = if entry.fetchable() { format!("henn datasets fetch {name}\n  ") } else { String::new() };
    let note = entry.note().map_or_else(String::new, |note| format!("\nnote: {note}"));
    format!(
        "ways out:\n  {fetch}\
         --mirror DIR, or HENN_DATASET_MIRROR=DIR in the environment, where DIR has {}/{file} (or {file}.gz) and so on\n  \
         by hand from {}, as {name}/{file} and so on in the cache{note}",
        entry.folder(),
        entry.home()
    )
}

#[cfg(test)]
mod mirror_tests;
#[cfg(test)]
pub(crate) mod tests;
