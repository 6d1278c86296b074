//! What can go wrong with a data set.

use std::{fmt, path::PathBuf};

use thiserror::Error;

/// Why a data set could not be described, read, fetched or split.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// The manifest cannot be understood.
    #[error("the data-set manifest is wrong: {reason}")]
    Manifest {
        /// What is wrong, with the entry or the line.
        reason: String,
    },
    /// No entry of the manifest has this name.
    #[error("there is no data set {name:?}; the known ones are {}", .known.join(", "))]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// Every name in the manifest, in its order.
        known: Vec<String>,
    },
    /// Files of a set that is not embedded are not in the cache.
    #[error("data set {name} is not here: {} not found in {}\n{ways_out}", .files.join(", "), .directory.display())]
    Absent {
        /// The name of the set.
        name: String,
        /// The files that are missing.
        files: Vec<String>,
        /// Where they were looked for.
        directory: PathBuf,
        /// How to get them, one way a line.
        ways_out: String,
    },
    /// A raw file is not the one that the manifest describes.
    #[error("{file} has SHA-256 {found}, the manifest says {expected}; remove it and fetch the set again")]
    Digest {
        /// The file.
        file: String,
        /// What was found, in hexadecimal, or how the size differs.
        found: String,
        /// What the manifest says.
        expected: String,
    },
    /// A raw file breaks its format.
    #[error("{file}, {place}: {fault}")]
    Malformed {
        /// The file.
        file: String,
        /// Where in the file.
        place: Place,
        /// What is wrong there.
        #[source]
        fault: Fault,
    },
    /// The files are well formed but hold something else than the manifest says.
    #[error("data set {name} has {found} {what}, the manifest says {expected}")]
    Shape {
        /// The name of the set.
        name: String,
        /// "rows", "columns" or "classes with rows".
        what: &'static str,
        /// How many the files hold.
        found: usize,
        /// How many the manifest says.
        expected: usize,
    },
    /// The fraction of rows that go to the test part is out of range.
    #[error("a test fraction of {fraction} is not strictly between 0 and 1")]
    Fraction {
        /// The fraction that was asked for.
        fraction: f64,
    },
    /// A split that leaves one part without rows.
    #[error("{test_rows} test rows of {rows} leave one part empty; 1 to {} are permitted", .rows.saturating_sub(1))]
    EmptyPart {
        /// The rows that would go to the test part.
        test_rows: usize,
        /// The rows of the whole set.
        rows: usize,
    },
    /// No source gave the files that are missing.
    #[error(
        "data set {name} could not be fetched: {} missing\n{}\n{ways_out}",
        .files.join(", "),
        .failures.iter().map(|failure| format!("  {failure}")).collect::<Vec<_>>().join("\n")
    )]
    Fetch {
        /// The name of the set.
        name: String,
        /// The files that are still missing.
        files: Vec<String>,
        /// Every source that was tried in vain, in order.
        failures: Vec<SourceFailure>,
        /// What else can be done, one way a line.
        ways_out: String,
    },
    /// The file system said no.
    #[error("cannot {action} {}", .path.display())]
    Io {
        /// What was tried: "read", "create", ...
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the system answered.
        #[source]
        source: std::io::Error,
    },
}

impl DatasetError {
    /// The same without places of this machine, for results that are the same on every one.
    pub fn without_places(&self) -> String {
        match self {
            Self::Absent { name, files, .. } => format!("data set {name} is absent: {}", files.join(", ")),
            other => other.to_string(),
        }
    }
}

/// A source that did not give a file, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFailure {
    /// The source: a path, a package or an address.
    pub source: String,
    /// Why it was of no use.
    pub reason: String,
}

impl fmt::Display for SourceFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.source, self.reason)
    }
}

/// A place in a raw file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// A line of text, counted from 1.
    Line(usize),
    /// A byte, counted from 0.
    Byte(usize),
    /// The file as a whole.
    Whole,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Byte(byte) => write!(f, "byte {byte}"),
            Self::Whole => f.write_str("whole file"),
        }
    }
}

/// How a raw file breaks its format. Columns are counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Fault {
    /// A row with too few or too many columns.
    #[error("{found} columns, {expected} are permitted")]
    Columns {
        /// The columns of the row.
        found: usize,
        /// The columns that every row has.
        expected: usize,
    },
    /// A field that is no number, or one that arithmetic would overflow on.
    #[error("column {column} holds {text:?}, which is not a number between -1e100 and 1e100")]
    Number {
        /// The column.
        column: usize,
        /// The field.
        text: String,
    },
    /// A nominal value or a class that is not declared.
    #[error("column {column} holds {text:?}; permitted are {}", .permitted.join(", "))]
    Undeclared {
        /// The column.
        column: usize,
        /// The value.
        text: String,
        /// The declared values.
        permitted: Vec<String>,
    },
    /// A quoted field that is not closed, or with text behind the closing quote.
    #[error("column {column}: a quoted field is not closed at its end")]
    Quote {
        /// The column.
        column: usize,
    },
    /// Bytes that are not UTF-8 text.
    #[error("this is not UTF-8 text")]
    Utf8,
    /// A header line that cannot be understood.
    #[error("{text:?} is not understood; expected {expected}")]
    Header {
        /// The line.
        text: String,
        /// What belongs there.
        expected: &'static str,
    },
    /// The declared classes are not those of the manifest.
    #[error("the declared classes are {}, the manifest says {}", .found.join(", "), .expected.join(", "))]
    Classes {
        /// The classes that the file declares.
        found: Vec<String>,
        /// The classes of the manifest.
        expected: Vec<String>,
    },
    /// A binary file that starts with the wrong number.
    #[error("the file starts with {found:#010x}, {expected:#010x} is expected")]
    Magic {
        /// The first four bytes, big-endian.
        found: u32,
        /// What they must be.
        expected: u32,
    },
    /// A binary file whose length is not what its header says.
    #[error("{found} bytes, the header asks for {}", .expected.map_or_else(|| "more than can be".into(), |n| n.to_string()))]
    Length {
        /// The length of the file.
        found: usize,
        /// The length by the header; `None` where it overflows.
        expected: Option<usize>,
    },
    /// A file of images whose pictures are not of the size that the manifest says.
    #[error("{found} values a picture, {expected} are expected")]
    Pixels {
        /// Rows times columns of the header.
        found: usize,
        /// The columns of the manifest.
        expected: usize,
    },
    /// A file of labels that does not go with its file of images.
    #[error("{found} labels for {expected} rows")]
    Labels {
        /// The labels.
        found: usize,
        /// The rows, or pictures, that they are for.
        expected: usize,
    },
    /// A label that is no class.
    #[error("label {found}; permitted are {first} to {last}")]
    Label {
        /// The label.
        found: u8,
        /// The label of the first class.
        first: usize,
        /// The label of the last class.
        last: usize,
    },
    /// Label columns that do not name exactly one class.
    #[error("{found} of the label columns hold 1, exactly one is permitted")]
    OneHot {
        /// How many hold 1.
        found: usize,
    },
    /// A binary file that ends within a record.
    #[error("{found} bytes, which is no whole number of records of {record} bytes, or none")]
    Records {
        /// The length of the file.
        found: usize,
        /// The length of a record.
        record: usize,
    },
    /// More rows than the manifest says; the rest is not read.
    #[error("more than the permitted {limit} rows")]
    Rows {
        /// The rows that the manifest says.
        limit: usize,
    },
    /// A picture that cannot be decoded.
    #[error("the JPEG data are damaged: {reason}")]
    Jpeg {
        /// What the decoder says.
        reason: String,
    },
    /// A picture of another size than the manifest says.
    #[error("a picture of {width} x {height}, {expected_width} x {expected_height} is permitted")]
    Size {
        /// The picture's width.
        width: usize,
        /// The picture's height.
        height: usize,
        /// The width by the manifest.
        expected_width: usize,
        /// The height by the manifest.
        expected_height: usize,
    },
    /// A tar archive that cannot be read.
    #[error("the archive is damaged: {reason}")]
    Archive {
        /// What is wrong.
        reason: String,
    },
    /// A member of an archive that does not belong there.
    #[error("{name:?} does not belong into the archive; permitted are {permitted}")]
    Member {
        /// The beginning of the member's name.
        name: String,
        /// What may be there.
        permitted: String,
    },
    /// A member that an archive lacks.
    #[error("the archive has no {name}")]
    NoMember {
        /// The member.
        name: String,
    },
    /// A spreadsheet that cannot be read.
    #[error("the spreadsheet is damaged: {reason}")]
    Spreadsheet {
        /// What is wrong.
        reason: String,
    },
    /// Damaged compressed data.
    #[error("the gzip data are damaged: {reason}")]
    Gzip {
        /// What the decompressor says.
        reason: String,
    },
    /// More data than is permitted.
    #[error("more than the permitted {limit} bytes")]
    TooLarge {
        /// The bound.
        limit: u64,
    },
}

impl Fault {
    /// This fault at `place` in `file`.
    pub(crate) fn at(self, file: &str, place: Place) -> DatasetError {
        DatasetError::Malformed { file: file.into(), place, fault: self }
    }
}

/// `text`, or its beginning where it is long: an error message must not carry a whole hostile file.
pub(crate) fn clip(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut chars = text.chars();
    let mut clipped: String = chars.by_ref().take(LONGEST).collect();
    if chars.next().is_some() {
        clipped.push_str("...");
    }
    clipped
}
