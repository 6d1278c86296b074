//! The cache of raw files, and the way from an entry's raw files to a [`Dataset`].

use std::{
    fs::File,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use ndarray::Array2;
use sha2::{Digest, Sha256};

use super::{
    Dataset, DatasetError, Entry, Fault, Format, Place, RawFile, catalogue, delimited, embedded, gzip, idx,
    keel, table::Table,
};

/// No compressed text file of the manifest unpacks to more.
const LARGEST_TEXT: u64 = 1 << 28;

/// The raw files on this machine: those inside the program, and a cache directory for the others, which lie in it as
/// `<name of the set>/<file>`.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) directory: PathBuf,
}

impl Store {
    /// A store with its cache in `directory`, which need not exist before the first fetch.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// The cache directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Whether every raw file is here in its right size; only [`Store::verify`] says that it is the right file.
    pub fn is_present(&self, entry: &Entry) -> bool {
        self.missing(entry).is_empty()
    }

    /// Reads the data set of this name.
    ///
    /// # Errors
    /// [`DatasetError::Unknown`], and what [`Store::load_entry`] says.
    pub fn load(&self, name: &str) -> Result<Dataset, DatasetError> {
        self.load_entry(catalogue()?.get(name)?)
    }

    /// Reads the data set of a manifest entry. No byte is looked at before its digest is checked.
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
        let table = read(entry, &names, &raw)?;
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
        };
        let filled = dataset.class_counts().iter().filter(|&&count| count > 0).count();
        shape("classes with rows", filled, entry.classes())?;
        Ok(dataset)
    }

    /// Checks that every raw file is here and is the one that the manifest describes.
    ///
    /// # Errors
    /// [`DatasetError::Absent`], [`DatasetError::Digest`] or [`DatasetError::Io`].
    pub fn verify(&self, entry: &Entry) -> Result<(), DatasetError> {
        self.raw(entry).map(|_| ())
    }

    /// Where a raw file lies in the cache.
    pub(crate) fn path(&self, entry: &Entry, file: &RawFile) -> PathBuf {
        self.directory.join(entry.name()).join(&file.name)
    }

    /// The raw files that are not here, by size and name alone.
    fn missing<'e>(&self, entry: &'e Entry) -> Vec<&'e RawFile> {
        let here = |file: &RawFile| {
            embedded::bytes(entry.name(), &file.name).is_some()
                || self
                    .path(entry, file)
                    .metadata()
                    .is_ok_and(|data| data.is_file() && data.len() == file.bytes)
        };
        entry.files().iter().filter(|file| !here(file)).collect()
    }

    /// The checked bytes of every raw file, in the order of the manifest.
    fn raw(&self, entry: &Entry) -> Result<Vec<Vec<u8>>, DatasetError> {
        let absent = |file: &&RawFile| {
            embedded::bytes(entry.name(), &file.name).is_none() && !self.path(entry, file).exists()
        };
        let files: Vec<_> = entry.files().iter().filter(absent).map(|file| file.name.clone()).collect();
        if !files.is_empty() {
            return Err(DatasetError::Absent {
                name: entry.name().into(),
                files,
                directory: self.directory.join(entry.name()),
                ways_out: ways_out(entry),
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
        let wrong = |found| DatasetError::Digest { file: shown, found, expected: file.sha256.clone() };
        let Some(bytes) = bytes else {
            return Err(wrong(format!("of more than {} bytes", file.bytes)));
        };
        match hex(&Sha256::digest(&bytes)) {
            found if found == file.sha256 => Ok(bytes),
            found => Err(wrong(found)),
        }
    }
}

/// What the raw files of an entry hold.
fn read(entry: &Entry, names: &[String], raw: &[Vec<u8>]) -> Result<Table, DatasetError> {
    let mut table = Table::default();
    let classes = entry.class_names();
    if let Format::Idx = entry.format() {
        for (names, raw) in names.chunks_exact(2).zip(raw.chunks_exact(2)) {
            let (images, labels) = ((names[0].as_str(), &raw[0][..]), (names[1].as_str(), &raw[1][..]));
            idx::read(images, labels, entry.columns(), classes.len(), &mut table)?;
        }
        return Ok(table);
    }
    for (name, bytes) in names.iter().zip(raw) {
        let unpacked;
        let text = if gzip::is_gzip(bytes) {
            unpacked = gzip::unpack(&bytes[..], LARGEST_TEXT)
                .map_err(|fault: Fault| fault.at(name, Place::Whole))?;
            &unpacked
        } else {
            bytes
        };
        match entry.format() {
            Format::Keel { drop } => keel::read(name, text, drop, classes, &mut table)?,
            Format::Delimited { delimiter, header_lines, label, drop, nominal } => {
                let layout = delimited::Layout {
                    delimiter: *delimiter,
                    header_lines: *header_lines,
                    label: *label,
                    drop,
                    nominal,
                    columns: entry.columns(),
                    classes,
                };
                delimited::read(name, text, &layout, &mut table)?;
            }
            Format::Idx => {}
        }
    }
    Ok(table)
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
    format!(
        "ways out:\n  \
         henn datasets fetch {name}\n  \
         henn datasets fetch {name} --mirror DIR, or HENN_DATASET_MIRROR=DIR in the environment, where DIR has \
         {name}/{file} (or {file}.gz) and so on\n  \
         by hand from {}",
        entry.home()
    )
}

#[cfg(test)]
pub(crate) mod tests;
