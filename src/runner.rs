//! Runs the cells of a plan: one (variant, point, repetition) after another, each cached by its content.

pub mod attack;
pub mod cache;
pub mod cell;
mod conversation;
pub mod cost;
pub mod estimate;
pub mod file;
pub mod model;
pub mod prepared;
pub mod price;
pub mod progress;
pub mod provenance;
pub mod record;
pub mod serve;
pub mod sweep;
pub mod watch;

use std::path::PathBuf;

use thiserror::Error;

use crate::approximation::ApproximationError;
use crate::dataset::DatasetError;
use crate::network::NetworkError;
use crate::protocol::ProtocolError;
use crate::protocol::channel::ChannelError;
use crate::protocol::non_interactive::parameters::Refusal;

/// Why a run ended before its time.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// A data set cannot be had or read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// Training in plaintext failed.
    #[error("training in plaintext: {0}")]
    Network(#[from] NetworkError),
    /// There is no such polynomial.
    #[error("approximation: {0}")]
    Approximation(#[from] ApproximationError),
    /// The data give no interval to fit a polynomial on.
    #[error(
        "the interval of the approximation would reach from -{reach} to {reach}; it must be finite and not empty"
    )]
    Interval {
        /// Half its width.
        reach: f64,
    },
    /// The polynomial that the data give makes a circuit for which there are no parameters.
    #[error(transparent)]
    Parameters(#[from] Refusal),
    /// The protocol failed.
    #[error("protocol: {0}")]
    Protocol(#[from] ProtocolError),
    /// There is nothing for two parties to do.
    #[error("the experiment names no protocol")]
    NoProtocol,
    /// A file cannot be written or read.
    #[error("{}: {source}", path.display())]
    File {
        /// the file
        path: PathBuf,
        /// why
        source: std::io::Error,
    },
    /// Another henn works in the directory.
    #[error("{}: another henn is writing there; wait for it, or choose another directory with --out", path.display())]
    Locked {
        /// the directory
        path: PathBuf,
    },
    /// A cell would take more memory than it may.
    #[error(
        "it would take about {needed_mebibytes} MiB of memory; {limit_mebibytes} MiB are free, or allowed by --memory"
    )]
    Memory {
        /// As estimated.
        needed_mebibytes: u64,
        /// What there is.
        limit_mebibytes: u64,
    },
    /// The operating system has no randomness to give.
    #[error("no entropy from the operating system: {0}")]
    Entropy(rand::rand_core::OsError),
    /// A part of the program panicked; this is a bug.
    #[error("the serving party panicked; please report this")]
    Panicked,
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
}

impl RunError {
    /// Wraps a failure to write or read `path`.
    pub fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }

    /// Whether it is this cell alone that cannot run: its data are absent, its training has no end, its numbers leave the circuit's bounds, or
    /// there are no parameters for it. The rest of an experiment runs all the same, and says so.
    pub fn is_of_the_cell(&self) -> bool {
        matches!(
            self,
            Self::Dataset(DatasetError::Absent { .. })
                | Self::Network(NetworkError::Diverged { .. })
                | Self::Protocol(
                    ProtocolError::Magnitude { .. } | ProtocolError::Channel(ChannelError::TooLong { .. })
                )
                | Self::Approximation(_)
                | Self::Interval { .. }
                | Self::Parameters(_)
                | Self::Memory { .. }
        )
    }

    /// Why a cell was not run, without places of this machine: results are the same on every one.
    pub fn reason(&self) -> String {
        match self {
            Self::Dataset(error) => error.without_places(),
            Self::Memory { needed_mebibytes, .. } => {
                format!("it would take about {needed_mebibytes} MiB of memory, more than there was")
            }
            other => other.to_string(),
        }
    }

    /// Whether the user asked to stop.
    pub fn is_interrupt(&self) -> bool {
        match self {
            Self::Interrupted => true,
            Self::Protocol(error) => error.is_interrupt(),
            _ => false,
        }
    }
}
