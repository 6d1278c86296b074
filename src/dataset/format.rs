//! How raw files are written, as the manifest says it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Picture;

/// How the raw files are written. Text and records that are compressed with gzip are unpacked when they are read.
///
/// Columns, rows and sheets are counted from 1, files are read one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Format {
    /// The KEEL format, which declares its attributes.
    Keel {
        /// The names of attributes that are no features.
        #[serde(default)]
        drop: Vec<String>,
    },
    /// A row a line.
    Delimited {
        /// What stands between two fields.
        delimiter: Delimiter,
        /// Lines before the first row.
        #[serde(default)]
        header_lines: usize,
        /// Where the class is.
        label: Label,
        /// Labels whose rows are no part of the set; their numbers are still checked.
        #[serde(default)]
        skip_labels: Vec<String>,
        /// Columns that are no features.
        #[serde(default)]
        drop: Vec<usize>,
        /// Features that are no numbers.
        #[serde(default)]
        nominal: Vec<Nominal>,
    },
    /// A sheet of an Excel workbook of the years 1997 to 2003 (`.xls`).
    Xls {
        /// The name of the sheet.
        sheet: String,
        /// The first row with data; as many rows follow as the set has.
        first_row: usize,
        /// The columns of the features.
        features: Vec<usize>,
        /// The column of the class.
        label: usize,
    },
    /// The IDX format of MNIST; the files are pairs of pictures and labels.
    Idx,
    /// The binary format of CIFAR-10: a byte for the class, counted from 0, then the planes of a picture.
    Cifar {
        /// The files inside a gzipped tar archive; none where the raw files are no archives.
        #[serde(default)]
        members: Vec<String>,
    },
    /// The binary format of STL-10: pairs of pictures, whose planes are written column by column, and labels, which are
    /// counted from 1.
    Stl10 {
        /// The files inside a gzipped tar archive; none where the raw files are no archives.
        #[serde(default)]
        members: Vec<String>,
    },
    /// A gzipped tar archive with JPEG pictures as `part/class/name.jpg`.
    JpegArchive {
        /// The parts, in their order.
        parts: Vec<String>,
    },
}

/// What stands between two fields of a delimited file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delimiter {
    /// A comma; fields may be quoted.
    Comma,
    /// A semicolon; fields may be quoted.
    Semicolon,
    /// Any amount of white space.
    Whitespace,
}

/// Where a delimited file has its classes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Label {
    /// In one column.
    Column(usize),
    /// In one column a class: 1 in the column of the row's class, 0 or -1 in the others.
    OneHot(Vec<usize>),
    /// Outside of the rows.
    Elsewhere(Elsewhere),
}

/// Where classes can be outside of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Elsewhere {
    /// In a file of their own, one a line: the files are pairs of rows and labels.
    SeparateFile,
}

impl Label {
    /// The columns that are labels.
    pub(crate) fn columns(&self) -> &[usize] {
        match self {
            Self::Column(column) => std::slice::from_ref(column),
            Self::OneHot(columns) => columns,
            Self::Elsewhere(Elsewhere::SeparateFile) => &[],
        }
    }
}

/// Columns of a delimited file whose values are words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nominal {
    /// The columns, counted from 1.
    pub columns: Vec<usize>,
    /// The words, which become 0, 1, ... in this order.
    pub values: Vec<String>,
}

impl Format {
    /// What is wrong with the format of an entry with so many features, these classes and so many files, if anything.
    pub(crate) fn check(
        &self,
        columns: usize,
        classes: &[String],
        files: usize,
        picture: Option<Picture>,
    ) -> Result<(), String> {
        let ensure = |condition: bool, reason: &str| if condition { Ok(()) } else { Err(reason.to_owned()) };
        let pairs = |reason| ensure(files.is_multiple_of(2), reason);
        match self {
            Self::Keel { .. } => Ok(()),
            Self::Idx => pairs("IDX files must be pairs of pictures and labels"),
            Self::Delimited { label, skip_labels, drop, nominal, .. } => {
                let special: Vec<_> = nominal
                    .iter()
                    .flat_map(|nominal| &nominal.columns)
                    .chain(drop)
                    .chain(label.columns())
                    .collect();
                let width = columns.saturating_add(drop.len() + label.columns().len());
                ensure(
                    special.iter().all(|column| (1..=width).contains(*column)),
                    "a column is out of range",
                )?;
                ensure(distinct(&special), "a column is named twice")?;
                let words = nominal.iter().all(|nominal| distinct(&nominal.values));
                ensure(words, "a nominal value is there twice")?;
                ensure(!skip_labels.iter().any(|label| classes.contains(label)), "a class is to be skipped")?;
                match label {
                    Label::Column(_) => Ok(()),
                    Label::OneHot(columns) => {
                        ensure(columns.len() == classes.len(), "there must be one label column a class")?;
                        ensure(skip_labels.is_empty(), "skip_labels needs a single label column")
                    }
                    Label::Elsewhere(Elsewhere::SeparateFile) => {
                        ensure(skip_labels.is_empty(), "skip_labels needs a single label column")?;
                        pairs("files with separate labels must be pairs of rows and labels")
                    }
                }
            }
            Self::Xls { first_row, features, label, .. } => {
                let all: Vec<_> = features.iter().chain([label]).collect();
                ensure(features.len() == columns, "there must be as many feature columns as columns")?;
                ensure(distinct(&all), "a column is named twice")?;
                ensure(*first_row > 0 && all.iter().all(|column| **column > 0), "rows and columns start at 1")
            }
            Self::Cifar { members } => ensure(distinct(members), "a member is there twice"),
            Self::Stl10 { members } => {
                ensure(picture.is_some(), "this format needs a picture")?;
                ensure(distinct(members), "a member is there twice")?;
                let reason = "STL-10's files must be pairs of pictures and labels";
                if members.is_empty() {
                    pairs(reason)
                } else {
                    ensure(members.len().is_multiple_of(2), reason)
                }
            }
            Self::JpegArchive { parts } => {
                ensure(!parts.is_empty() && distinct(parts), "there must be parts, each once")?;
                let channels = picture.map(|picture| picture.channels);
                ensure(matches!(channels, Some(1 | 3)), "this format needs a picture with 1 or 3 channels")
            }
        }
    }
}

/// Whether no item is there twice.
pub(crate) fn distinct<T: Ord>(items: &[T]) -> bool {
    items.iter().collect::<BTreeSet<_>>().len() == items.len()
}
