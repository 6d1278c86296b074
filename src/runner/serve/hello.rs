//! The first message of a client: which cell it wants.

use serde::{Deserialize, Serialize};

use crate::backend::Variant;
use crate::experiment::plan::{Plan, Request};
use crate::experiment::spec::ProfileName;
use crate::protocol::ProtocolError;
use crate::protocol::channel::LENGTH_BYTES;
use crate::protocol::message::HEADER_BYTES;

/// No hello is longer.
const MAX_HELLO_BYTES: usize = 1 << 20;
/// No frame before the hello's end is longer.
pub(super) const MAX_FRAME_BYTES: usize = MAX_HELLO_BYTES + HEADER_BYTES + LENGTH_BYTES;

/// Which cell the client wants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    henn: String,
    pub(super) name: String,
    text: String,
    profile: ProfileName,
    set: Vec<String>,
    grid: Vec<String>,
    pub(super) point: usize,
    pub(super) variant: Variant,
    pub(super) repetition: usize,
    pub(super) cell: String,
}

impl Hello {
    /// The hello for one cell of a plan.
    pub fn new(plan: &Plan, point: usize, variant: Variant, repetition: usize, cell: &str) -> Self {
        Self {
            henn: env!("CARGO_PKG_VERSION").to_owned(),
            name: plan.name.clone(),
            text: plan.text.clone(),
            profile: plan.profile,
            set: plan.set.clone(),
            grid: plan.grid.clone(),
            point,
            variant,
            repetition,
            cell: cell.to_owned(),
        }
    }

    /// As JSON.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The experiment in it.
    pub(super) fn request(&self) -> Request<'_> {
        Request {
            name: &self.name,
            origin: "the client's experiment",
            text: &self.text,
            profile: self.profile,
            set: &self.set,
            grid: &self.grid,
        }
    }

    /// From a stranger.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, ProtocolError> {
        let refuse = |found: String| ProtocolError::Unexpected { found, expected: "a hello" };
        if bytes.len() > MAX_HELLO_BYTES {
            return Err(refuse(format!("a hello of {} bytes", bytes.len())));
        }
        let hello: Self =
            serde_json::from_slice(bytes).map_err(|error| refuse(format!("a broken hello ({error})")))?;
        if hello.henn == env!("CARGO_PKG_VERSION") {
            Ok(hello)
        } else {
            Err(refuse(format!("a client of version {}, this is {}", hello.henn, env!("CARGO_PKG_VERSION"))))
        }
    }
}
