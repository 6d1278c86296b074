//! Cells of costs: one activation, or one iteration of training, by formulas, counted messages and measured units.
//!
//! Times are this machine's; what is counted or follows from a formula is in the records.

mod activation;
mod network;

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::backend::meter::Interrupt;
use crate::backend::{BackendError, Variant};
use crate::experiment::plan::{Cost, Priced};
use crate::experiment::spec::Randomness;
use crate::math::stream::Stream;
use crate::protocol::ProtocolError;
use crate::runner::RunError;
use crate::runner::cell::Computed;
use crate::scheme::additive::SchemeError;

/// Computes a cell of costs.
///
/// # Errors
/// What schemes refuse, failures of the protocol, and a wish to stop.
pub fn run(
    cost: &Cost,
    variant: Variant,
    repetition: usize,
    interrupt: &Interrupt,
) -> Result<Computed, RunError> {
    let private = match cost.rng {
        Randomness::Seeded => Stream::seeded(cost.seed).item(repetition as u64).derive("cost"),
        Randomness::Os => Stream::from_os().map_err(RunError::Entropy)?,
    };
    match &cost.of {
        Priced::Polynomial { scheme, protocol, filling } => {
            let visitor =
                activation::Evaluation { protocol, filling: *filling, private: &private, interrupt };
            let found = scheme.visit(visitor).and_then(|found| found).map_err(ProtocolError::from)?;
            let mut computed = Computed::from(found);
            let parameters = [
                ("log_degree", f64::from(scheme.log_degree)),
                ("modulus_bits", f64::from(scheme.total_bits())),
                ("depth", f64::from(protocol.activation.depth())),
            ];
            computed.metrics.extend(parameters.map(|(name, value)| (name.to_owned(), value)));
            Ok(computed)
        }
        Priced::Outsourced { scheme, activation, link, filling } => {
            let visitor =
                activation::RoundTrip { activation, link: *link, filling: *filling, private: &private };
            Ok(scheme.visit(visitor).and_then(|found| found).map_err(refused)?.into())
        }
        Priced::Network { scheme, paillier, widths, products, pieces, protocol } => {
            let priced = network::Network {
                scheme,
                paillier,
                widths,
                products: *products,
                pieces: *pieces,
                protocol,
                private: &private,
                interrupt,
            };
            Ok(priced.run(variant)?.into())
        }
    }
}

fn refused(error: SchemeError) -> RunError {
    ProtocolError::from(BackendError::from(error)).into()
}

/// What a cell has found.
#[derive(Debug, Default)]
struct Found {
    metrics: BTreeMap<String, f64>,
    counts: BTreeMap<String, u64>,
    seconds: BTreeMap<String, f64>,
    /// Whether something that was opened is not what it should be.
    disagrees: bool,
}

impl Found {
    fn result(&mut self, name: &str, value: f64) {
        self.metrics.insert(name.to_owned(), value);
    }

    fn seconds(&mut self, name: &str, value: f64) {
        self.seconds.insert(name.to_owned(), value);
    }
}

impl From<Found> for Computed {
    fn from(found: Found) -> Self {
        let Found { metrics, counts, seconds, disagrees } = found;
        let mut hash = Sha256::new();
        for (name, value) in &metrics {
            hash.update(name);
            hash.update(value.to_le_bytes());
        }
        for (name, count) in &counts {
            hash.update(name);
            hash.update(count.to_le_bytes());
        }
        Self { metrics, counts, seconds, disagrees, digest: hex::encode(hash.finalize()), ..Self::default() }
    }
}
