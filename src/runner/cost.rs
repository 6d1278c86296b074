//! Seconds per operation on this host, measured in a moment, for estimates and predictions.

use crate::backend::OperationCounts;
use crate::experiment::plan::{Settings, System};
use crate::runner::RunError;
use crate::runner::estimate::Forecast;

pub(super) mod bench;
mod slots;
mod split;

/// How long operations are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Care {
    /// Everything once: for estimates before a run.
    Glance,
    /// Until what weighs most is known well: for predictions that stand beside what was measured.
    Prediction,
}

/// Seconds per operation of a cell's system.
#[derive(Debug, Clone)]
pub enum Costs {
    /// Of an additive scheme under the split protocol.
    Split(split::SplitCosts),
    /// Of a scheme over a ring, by level.
    Slots(slots::SlotCosts),
}

impl Costs {
    /// Forgets what was measured too long ago for a cell that is about to run: estimates before that need not be so near.
    pub fn forget_old() {
        slots::SlotCosts::forget_old();
    }

    /// Measures, or remembers, what the operations of a cell cost with the threads in use.
    pub fn of(settings: &Settings, forecast: &Forecast, care: Care) -> Result<Self, RunError> {
        match (&settings.system, forecast) {
            (System::NonInteractive { scheme, .. }, Forecast::NonInteractive(forecast)) => {
                Ok(Self::Slots(slots::SlotCosts::of(scheme, true, &forecast.work, care)?))
            }
            (System::Refresh { scheme, .. }, Forecast::Refresh(forecast)) => {
                Ok(Self::Slots(slots::SlotCosts::of(&scheme.scheme, false, &forecast.total.work, care)?))
            }
            (System::Split { scheme, protocol }, Forecast::Split(forecast)) => {
                Ok(Self::Split(split::SplitCosts::of(scheme, protocol, forecast)?))
            }
            _ => Ok(Self::Slots(slots::SlotCosts::default())),
        }
    }

    /// Seconds that the encrypted variant of a cell will take.
    pub fn predict(&self, forecast: &Forecast) -> f64 {
        match self {
            Self::Split(costs) => costs.predict(),
            Self::Slots(costs) => forecast
                .work()
                .map_or(0.0, |work| costs.predict(work, &forecast.traffic(), forecast.key_bytes())),
        }
    }

    /// Share of the work that has been done, from what the parties have counted so far.
    pub fn seconds_done(&self, counts: &OperationCounts) -> f64 {
        match self {
            Self::Split(costs) => costs.seconds_done(counts),
            Self::Slots(costs) => costs.seconds_done(counts),
        }
    }
}
