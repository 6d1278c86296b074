//! Two parties, a channel between them that counts, and what they say to each other.

pub mod channel;
pub mod link;
pub mod message;
pub mod non_interactive;
pub mod refresh;
pub mod split;
pub mod tls;
pub mod transcript;

use thiserror::Error;

use crate::backend::BackendError;
use crate::backend::slots::SlotError;
use crate::protocol::channel::ChannelError;

/// Why a protocol ended before its time.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// The channel failed.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// The arithmetic failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The peer sent what the protocol does not allow here.
    #[error("unexpected message from the peer: {found}, expected {expected}")]
    Unexpected {
        /// what came
        found: String,
        /// what should have come
        expected: &'static str,
    },
    /// The peer gave up.
    #[error("the peer gave up: {0}")]
    Fault(String),
    /// A number larger than the circuit allows for.
    #[error("{what} {value} exceeds the bound {bound}; raise `protocol.{key}`")]
    Magnitude {
        /// a weight, an activation, ...
        what: &'static str,
        /// its value
        value: f64,
        /// largest magnitude allowed
        bound: f64,
        /// the key that sets the bound
        key: &'static str,
    },
}

impl From<SlotError> for ProtocolError {
    fn from(error: SlotError) -> Self {
        BackendError::from(error).into()
    }
}

impl ProtocolError {
    /// What the peer may be told: everything but the values of numbers, which are the model's or the data's.
    pub fn for_peer(&self) -> String {
        match self {
            Self::Magnitude { what, bound, key, .. } => {
                format!("{what} exceeds the bound {bound}; raise `protocol.{key}`")
            }
            other => other.to_string(),
        }
    }

    /// Whether the user asked to stop.
    pub fn is_interrupt(&self) -> bool {
        matches!(self, Self::Backend(BackendError::Interrupted))
    }
}
