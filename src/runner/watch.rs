//! How a cell is watched, stopped, and taken up again.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::backend::meter::Interrupt;
use crate::backend::{Meter, OperationCounts};
use crate::protocol::refresh::{Checkpoint, Phases};
use crate::protocol::transcript::{Chain, Traffic};
use crate::runner::RunError;
use crate::runner::cache::Partial;

/// Checkpoints are no closer than this: writing them takes time too.
const PERIOD: Duration = Duration::from_secs(2);

/// A training between two iterations: all that a conversation needs to take it up, and to count as if it had never stopped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Saved {
    pub training: Checkpoint,
    pub traffic: Traffic,
    pub transcript: Chain,
    /// The client's and the server's.
    pub operations: [BTreeMap<String, u64>; 2],
    pub phases: Phases,
    /// Making keys; encrypting the network.
    pub seconds_before: (f64, f64),
    /// Of training.
    pub seconds: f64,
}

/// How a cell is watched and stopped.
#[derive(Debug, Default)]
pub struct Watch {
    /// Asks to stop.
    pub interrupt: Interrupt,
    /// Counts the client's operations.
    pub client: Meter,
    /// Counts the server's operations, where it runs in this process.
    pub server: Meter,
    /// Seconds of the server's phases of training.
    pub phases: Mutex<Phases>,
    /// Where a training that takes long is kept, and what was found there.
    partial: Option<(Partial, Option<Saved>)>,
    written: Mutex<Option<Instant>>,
}

impl Watch {
    /// Meters at zero that listen to `interrupt`.
    pub fn new(interrupt: Interrupt) -> Self {
        Self {
            client: Meter::new(interrupt.clone()),
            server: Meter::new(interrupt.clone()),
            interrupt,
            ..Self::default()
        }
    }

    /// Keeps what is done, after taking up what was kept before, if that is wanted.
    #[must_use]
    pub fn keeping(mut self, partial: Partial, resumes: bool) -> Self {
        let found = if resumes { partial.get() } else { None };
        self.partial = Some((partial, found));
        self
    }

    /// Another watch for a conversation beside this one, which is not kept.
    #[must_use]
    pub fn beside(&self) -> Self {
        Self::new(self.interrupt.clone())
    }

    /// Both parties' counts so far.
    pub fn counts(&self) -> OperationCounts {
        self.client.counts().plus(&self.server.counts())
    }

    /// The phases so far.
    pub fn phases(&self) -> Phases {
        *self.phases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What an earlier conversation has left.
    pub(super) fn saved(&self) -> Option<&Saved> {
        self.partial.as_ref()?.1.as_ref()
    }

    /// Counts as if the earlier conversation were this one.
    pub(super) fn resume(&self, saved: &Saved) {
        let [client, server] = saved.operations.each_ref().map(OperationCounts::from_names);
        self.client.resume(&client);
        self.server.resume(&server);
        *self.phases.lock().unwrap_or_else(PoisonError::into_inner) = saved.phases;
    }

    /// Keeps where a training stands, unless that was done a moment ago.
    pub(super) fn save(&self, make: impl FnOnce(Phases, OperationCounts) -> Saved) -> Result<(), RunError> {
        let Some((partial, _)) = &self.partial else { return Ok(()) };
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if written.get_or_insert_with(Instant::now).elapsed() >= PERIOD {
            partial.put(&make(self.phases(), self.server.counts()))?;
            *written = Some(Instant::now());
        }
        Ok(())
    }
}
