//! Data sets: the ones that travel inside the program, the ones that are fetched, and what is done to them before
//! a network sees them.
//!
//! `datasets/manifest.toml` describes every set: shape, classes, file format, licence, origin and the SHA-256 of each
//! raw file. [`catalogue`] reads it, a [`Store`] turns an entry into a [`Dataset`] (never without checking the digest
//! first) and fetches what is not embedded, and [`Dataset::split`] makes the training and the test part.

mod archive;
mod delimited;
mod embedded;
mod error;
mod fetch;
mod format;
mod gzip;
mod idx;
mod jpeg;
mod keel;
mod manifest;
mod reader;
mod record;
mod scaling;
mod split;
mod spreadsheet;
mod store;
mod table;

use ndarray::{Array2, Axis, s};
use serde::{Deserialize, Serialize};

pub use error::{DatasetError, Fault, Place, SourceFailure};
pub use fetch::{Fetched, FetchedFile, Progress};
pub use format::{Delimiter, Elsewhere, Format, Label, Nominal};
pub use manifest::{Catalogue, Entry, Package, RawFile, Registry, catalogue};
pub use scaling::Scaling;
pub use store::{Presence, Store};

/// A labelled data set for classification, as its raw files give it: unscaled and in the order of the files.
///
/// # Memory
/// Every feature takes eight bytes, so MNIST takes about 440 MB and CIFAR-10 about 1.5 GB; [`Dataset::split`] takes as much again,
/// [`Dataset::into_split`] only the test part.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// The name of the manifest entry.
    pub name: String,
    /// The features, rows x columns; all finite.
    pub features: Array2<f64>,
    /// The class of each row, each below [`Dataset::classes`].
    pub labels: Vec<usize>,
    /// The number of classes.
    pub classes: usize,
    /// What the raw files call each class, in the order of the labels.
    pub class_names: Vec<String>,
    /// Hexadecimal SHA-256 over the raw files' bytes, one after the other in the order of the manifest.
    pub digest: String,
    /// The last so many rows are the published test part; `None` where the set was published in one piece.
    pub test_rows: Option<usize>,
    /// The shape of each row, where the rows are pictures.
    pub picture: Option<Picture>,
}

/// The shape of a picture whose values go channel by channel (red, green, blue), row by row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Picture {
    /// Values a pixel.
    pub channels: usize,
    /// Rows of pixels.
    pub height: usize,
    /// Columns of pixels.
    pub width: usize,
}

impl Picture {
    /// How many values a picture has; `None` where nothing can have so many.
    pub fn values(self) -> Option<usize> {
        self.channels.checked_mul(self.height)?.checked_mul(self.width)
    }
}

impl Dataset {
    /// The number of rows.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether the set has no rows.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Keeps only so many features, evenly spread over those that there are; then the rows are no pictures any more.
    pub fn keep_features(&mut self, count: usize) {
        let all = self.features.ncols();
        let count = count.min(all);
        // In the middle of as many equal parts.
        let kept: Vec<usize> = (0..count).map(|index| (2 * index + 1) * all / (2 * count)).collect();
        self.features = self.features.select(Axis(1), &kept);
        self.picture = None;
    }

    /// How many rows each class has, in the order of the labels.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes];
        for &label in &self.labels {
            counts[label] += 1;
        }
        counts
    }
}

/// Some samples and their classes.
#[derive(Debug, Clone, PartialEq)]
pub struct Samples {
    /// The features, samples x columns.
    pub features: Array2<f64>,
    /// The class of each sample.
    pub labels: Vec<usize>,
}

impl Samples {
    /// The number of samples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The first `n` samples, or all of them where there are fewer.
    #[must_use]
    pub fn take(&self, n: usize) -> Self {
        let n = n.min(self.len());
        Self { features: self.features.slice(s![..n, ..]).to_owned(), labels: self.labels[..n].to_vec() }
    }
}

/// A data set in its two parts, scaled.
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    /// What a network is trained on, and what the scaling was fitted on.
    pub train: Samples,
    /// What the trained network is judged by.
    pub test: Samples,
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn take_gives_the_first_samples_and_never_more_than_there_are() {
        let samples = Samples { features: array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], labels: vec![2, 0, 1] };
        assert_eq!(samples.take(2), Samples { features: array![[1.0, 2.0], [3.0, 4.0]], labels: vec![2, 0] });
        assert_eq!(samples.take(9), samples);
        assert!(samples.take(0).is_empty());
        assert_eq!(samples.take(0).features.dim(), (0, 2));
    }
}
