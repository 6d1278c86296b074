//! Links between the parties, as a model: what counted rounds and bytes would take on one.
//!
//! `seconds = rounds * round-trip time + bytes / bandwidth`, bytes of both directions one after the other, nothing overlapping with the
//! computation. Slow starts of TCP, losses and encryption of the link are not in it.
//!
//! GELU-Net (IJCAI-18) prints seconds for three pairs of places and of the links only the local network's bandwidth. The other numbers are
//! those that SecureML (Mohassel and Zhang, IEEE S&P 2017) gives for machines of a cloud, whose delays are taken for round trips.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::protocol::transcript::Traffic;

/// Where client and server are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Both in one local network: 1 Gbit/s (GELU-Net), 0.17 ms (SecureML's local network).
    LocalLocal,
    /// Both in one region of a cloud: 1 GB/s, 0.17 ms (SecureML's local network, which is one).
    CloudCloud,
    /// The server in a cloud far away: 9 MB/s, 72 ms (SecureML's wide area network).
    CloudLocal,
}

/// What a link takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinkModel {
    /// From a message to its answer, both empty.
    pub round_trip_seconds: f64,
    /// In either direction.
    pub bytes_per_second: f64,
}

impl Place {
    /// Its link.
    pub fn model(self) -> LinkModel {
        let (round_trip_seconds, bytes_per_second) = match self {
            Self::LocalLocal => (0.17e-3, 1e9 / 8.0),
            Self::CloudCloud => (0.17e-3, 1e9),
            Self::CloudLocal => (72e-3, 9e6),
        };
        LinkModel { round_trip_seconds, bytes_per_second }
    }
}

impl LinkModel {
    /// Seconds that messages take on their way.
    pub fn seconds(self, traffic: &Traffic) -> f64 {
        let bytes = (traffic.bytes_up + traffic.bytes_down) as f64;
        traffic.rounds as f64 * self.round_trip_seconds + bytes / self.bytes_per_second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_and_bytes_take_their_time() {
        let traffic =
            Traffic { rounds: 10, bytes_up: 8_000_000, bytes_down: 1_000_000, ..Traffic::default() };
        let seconds = |place: Place| place.model().seconds(&traffic);
        assert!((seconds(Place::CloudLocal) - (0.72 + 1.0)).abs() < 1e-12);
        assert!((seconds(Place::LocalLocal) - (0.0017 + 0.072)).abs() < 1e-12);
        assert!(seconds(Place::CloudCloud) < seconds(Place::LocalLocal));
    }
}
