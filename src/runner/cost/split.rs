//! Seconds of a cell under the split protocol, from the calls that its parties will make.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::backend::{BackendError, Operation, OperationCounts};
use crate::protocol::ProtocolError;
use crate::protocol::split::{Forecast, Masks, Settings, Shape};
use crate::runner::RunError;
use crate::runner::cost::bench::{Bench, Call, Weights};
use crate::scheme::additive::{AdditiveScheme, SchemeError};
use crate::scheme::packing::Packing;
use crate::scheme::registry::{Parameters, Visitor};

/// Seconds of wall time of all operations of a cell.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SplitCosts {
    /// Both parties' keys, and the client's used for the first time.
    keys: f64,
    /// Of every operation, all times that it is done.
    seconds: BTreeMap<Operation, f64>,
    /// Of every operation, once.
    units: BTreeMap<Operation, f64>,
}

/// Cells that were measured, with their costs: one measurement a process and cell.
type Known = Vec<(Parameters, Settings, Forecast, SplitCosts)>;
static MEASURED: OnceLock<Mutex<Known>> = OnceLock::new();

struct Measure<'a> {
    protocol: &'a Settings,
    forecast: &'a Forecast,
    /// Of the server's key, as long as exact masks.
    plaintext_bits: u32,
}

impl Visitor for Measure<'_> {
    type Output = Result<SplitCosts, SchemeError>;

    fn visit<S: AdditiveScheme + Clone>(self, scheme: S) -> Self::Output {
        let bench = Bench::new(&scheme)?;
        let Self { protocol, forecast, plaintext_bits } = self;
        let keys = (1 + protocol.clients) as f64 * bench.keys + bench.tables;
        let mut costs = SplitCosts { keys, ..SplitCosts::default() };
        costs.inference(&bench, protocol, forecast)?;
        costs.training(&bench, protocol, forecast, plaintext_bits)?;
        let counts = forecast.operations();
        for (operation, seconds) in &costs.seconds {
            let count = counts.get(*operation).max(1);
            costs.units.insert(*operation, seconds / count as f64);
        }
        Ok(costs)
    }
}

/// How a layer is computed and answered.
#[derive(Clone, Copy)]
struct Turn<'l> {
    shape: &'l Shape,
    samples: usize,
    weights: Weights,
    packing: Option<Packing>,
    /// How often this is done.
    times: f64,
}

impl SplitCosts {
    /// Measures, or remembers, what a cell costs with the threads in use.
    pub(super) fn of(
        parameters: &Parameters,
        protocol: &Settings,
        forecast: &Forecast,
    ) -> Result<Self, RunError> {
        let mut table = MEASURED.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
        let known = table.iter().find(|(scheme, settings, ahead, _)| {
            scheme == parameters && settings == protocol && ahead == forecast
        });
        if let Some((_, _, _, costs)) = known {
            return Ok(costs.clone());
        }
        let plaintext_bits = u32::try_from(parameters.plaintext_bits()).unwrap_or(u32::MAX);
        let costs = parameters
            .visit(Measure { protocol, forecast, plaintext_bits })
            .and_then(|measured| measured)
            .map_err(|error| ProtocolError::from(BackendError::from(error)))?;
        table.push((*parameters, protocol.clone(), *forecast, costs.clone()));
        Ok(costs)
    }

    pub(super) fn predict(&self) -> f64 {
        self.keys + self.seconds.values().sum::<f64>()
    }

    pub(super) fn seconds_done(&self, counts: &OperationCounts) -> f64 {
        self.units.iter().map(|(operation, seconds)| seconds * counts.get(*operation) as f64).sum()
    }

    fn add(&mut self, operation: Operation, seconds: f64) {
        *self.seconds.entry(operation).or_default() += seconds;
    }

    fn inference<S: AdditiveScheme>(
        &mut self,
        bench: &Bench<'_, S>,
        protocol: &Settings,
        forecast: &Forecast,
    ) -> Result<(), SchemeError> {
        let inputs: usize = protocol.layers.iter().map(|shape| shape.inputs).sum();
        let encryptions = forecast.inference.get(Operation::Encryption);
        let samples = usize::try_from(encryptions).unwrap_or(usize::MAX) / inputs.max(1);
        let together = protocol.batch.min(samples).max(1);
        let times = samples as f64 / together as f64;
        let weights = Weights::Trained(protocol.weight_scale().0);
        for shape in &protocol.layers {
            let turn = Turn { shape, samples: together, weights, packing: protocol.packing, times };
            self.turn(bench, turn, protocol.precompute)?;
        }
        Ok(())
    }

    /// One layer's request and answer; what is made in advance is made in full batches.
    fn turn<S: AdditiveScheme>(
        &mut self,
        bench: &Bench<'_, S>,
        Turn { shape, samples, weights, packing, times }: Turn<'_>,
        ahead: bool,
    ) -> Result<(), SchemeError> {
        let (up, answers) = (samples * shape.inputs, samples * shape.outputs);
        let down = packing.map_or(answers, |packing| packing.plaintexts(answers));
        let batch = |call: Call, then: Call, count: usize| -> Result<f64, SchemeError> {
            Ok(if ahead {
                bench.each(call)? * count as f64 + bench.seconds(then, count)?
            } else {
                bench.seconds(call, count)?
            })
        };
        let encryption = batch(Call::EncryptOwn, Call::AddPlain, up)? + bench.seconds(Call::Wire, up)?;
        let fresh = batch(Call::Rerandomise, Call::Add, down)?;
        let decryption = bench.seconds(Call::Decrypt, down)? + bench.seconds(Call::Wire, down)?;
        let mut products = bench.layer(shape, samples, weights)?;
        if let Some(packing) = packing {
            products += bench.packing(packing, answers)?;
        }
        self.add(Operation::Encryption, times * encryption);
        self.add(Operation::ScalarProduct, times * products);
        self.add(Operation::PlainAddition, times * bench.seconds(Call::AddPlain, answers)?);
        self.add(Operation::Rerandomisation, times * fresh);
        self.add(Operation::Decryption, times * decryption);
        Ok(())
    }

    fn training<S: AdditiveScheme>(
        &mut self,
        bench: &Bench<'_, S>,
        protocol: &Settings,
        forecast: &Forecast,
        plaintext_bits: u32,
    ) -> Result<(), SchemeError> {
        let iterations = protocol.training_iterations;
        if iterations == 0 {
            return Ok(());
        }
        let gradients = protocol.gradient_ciphertexts();
        let back: Vec<Shape> = protocol.layers.iter().skip(1).map(Shape::transposed).collect();
        // Every session encrypts the rate and the sums, every iteration what layers are sent.
        let inputs: usize = protocol.layers.iter().chain(&back).map(|shape| shape.inputs).sum();
        let training = forecast.opening.plus(&forecast.training);
        let encryptions = usize::try_from(training.get(Operation::Encryption)).unwrap_or(usize::MAX);
        let sessions = encryptions.saturating_sub(iterations * inputs) / (1 + gradients);
        let masked = iterations.saturating_sub(sessions);
        let scale = protocol.weight_scale();
        let bits = match protocol.masks {
            Masks::Exact => plaintext_bits,
            Masks::Statistical | Masks::None => protocol.mask_bits(scale),
        };
        let packing = protocol.training_packing();
        // Before a session's first update weights are as they were.
        for (weights, times) in [(Weights::Trained(scale.0), sessions), (Weights::Long(bits), masked)] {
            for shape in protocol.layers.iter().chain(&back) {
                let turn = Turn { shape, samples: 1, weights, packing, times: times as f64 };
                self.turn(bench, turn, false)?;
            }
        }
        // Masks are packed as the gradients are.
        let mask_bits = protocol.packed_mask_bits().and_then(|bits| u32::try_from(bits).ok()).unwrap_or(bits);
        let wire = bench.each(Call::Wire)? * gradients as f64;
        let once = [
            (Operation::ScalarProduct, bench.masks(mask_bits, gradients)?, masked),
            (Operation::PlainAddition, bench.each(Call::AddPlain)? * gradients as f64, masked),
            (Operation::Rerandomisation, bench.each(Call::Rerandomise)? * gradients as f64, masked),
            (Operation::Decryption, bench.each(Call::Decrypt)? * gradients as f64 + wire, masked + sessions),
            (Operation::Encryption, bench.each(Call::Encrypt)? * gradients as f64, sessions),
        ];
        for (operation, seconds, times) in once {
            self.add(operation, seconds * times as f64);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Rate;
    use crate::network::{Activation, Loss};
    use crate::protocol::split::Masks;
    use crate::scheme::paillier::Options;
    use crate::scheme::registry::AdditiveName;

    /// What has been done when everything has been counted is everything but the keys.
    #[test]
    fn progress_ends_at_the_prediction() {
        let options = Options::default();
        let scheme =
            Parameters { name: AdditiveName::Paillier, modulus_bits: 512, message_bits: None, options };
        let settings = |training_iterations| Settings {
            layers: Shape::dense_layers(&[4, 5, 3]),
            activation: Activation::Sigmoid.into(),
            loss: Loss::CrossEntropy,
            batch: 3,
            training_iterations,
            rate: Rate { mantissa: 410, bits: 12 },
            masks: Masks::Statistical,
            mask_security_bits: 40,
            clients: 1,
            session_limit: None,
            activation_bits: 16,
            gradient_bits: 16,
            weight_magnitude_bits: 8,
            activation_magnitude_bits: 6,
            packing: None,
            step_packing: None,
            precompute: false,
        };
        for (iterations, sessions) in [(0, &[][..]), (5, &[3, 2])] {
            let settings = settings(iterations);
            let forecast = settings.forecast(4, sessions, 64, 128);
            let costs = SplitCosts::of(&scheme, &settings, &forecast).unwrap();
            let done = costs.seconds_done(&forecast.operations());
            assert!(costs.keys > 0.0 && done > 0.0);
            assert!((costs.keys + done - costs.predict()).abs() < 1e-9 * costs.predict());
            // One measurement a cell.
            assert_eq!(SplitCosts::of(&scheme, &settings, &forecast).unwrap(), costs);
        }
    }
}
