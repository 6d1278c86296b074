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
use crate::protocol::message::Kind;

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
    /// A message that the protocol knows and does not allow yet, or no longer.
    #[error(
        "message out of order: {found:?} of layer {found_layer}, expected {expected:?} of layer {expected_layer}"
    )]
    OutOfOrder {
        /// what came
        found: Kind,
        /// counted from 0
        found_layer: usize,
        /// what should have come
        expected: Kind,
        /// counted from 0
        expected_layer: usize,
    },
    /// A plaintext space that does not hold the circuit.
    #[error("the {whose} plaintext space has {bits} bits: at least {min} are needed")]
    Room {
        /// the client's or the server's
        whose: &'static str,
        /// as it is
        bits: u64,
        /// as the circuit needs
        min: u64,
    },
    /// An opened number that no run of the circuit gives: a mask has wrapped, or the peer sent something else.
    #[error(
        "a number of {bits} bits was opened; the circuit gives at most {max}: a masked weight wrapped, or the peer sent something else"
    )]
    Beyond {
        /// of its magnitude
        bits: u64,
        /// of the greatest magnitude
        max: u64,
    },
    /// Several clients where there is one channel, or the other way round.
    #[error(
        "{clients} clients and {channels} channels: each client needs one; over TCP there is one, so set `protocol.clients` to 1"
    )]
    Clients {
        /// as agreed
        clients: usize,
        /// as there are
        channels: usize,
    },
    /// Fewer training samples than clients.
    #[error("{samples} training samples for {clients} clients: each needs one at least")]
    Samples {
        /// as agreed
        clients: usize,
        /// as there are
        samples: usize,
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
