//! Seconds per operation on this host, measured in a moment, for estimates and predictions.

use std::sync::OnceLock;
use std::time::Instant;

use num_bigint::{BigInt, BigUint};

use crate::backend::BackendError;
use crate::backend::{Operation, OperationCounts};
use crate::experiment::plan::{Settings, System};
use crate::math::stream::Stream;
use crate::protocol::{ProtocolError, split};
use crate::runner::RunError;
use crate::runner::estimate::Forecast;
use crate::scheme::additive::{AdditiveScheme, SchemeError};
use crate::scheme::registry::{Parameters, Visitor};

mod slots;

/// Seconds per operation of a cell's system.
#[derive(Debug, Clone)]
pub enum Costs {
    /// Of an additive scheme under the split protocol.
    Split(UnitCosts),
    /// Of a scheme over a ring, by level.
    Slots(slots::SlotCosts),
}

impl Costs {
    /// Measures, or remembers, what the operations of a cell cost with the threads in use.
    pub fn of(settings: &Settings, forecast: &Forecast) -> Result<Self, RunError> {
        match (&settings.system, forecast) {
            (System::NonInteractive { scheme, .. }, Forecast::NonInteractive(forecast)) => {
                Ok(Self::Slots(slots::SlotCosts::of(scheme, &forecast.work)?))
            }
            (System::Refresh { scheme, .. }, Forecast::Refresh(forecast)) => {
                Ok(Self::Slots(slots::SlotCosts::of(&scheme.scheme, &forecast.total.work)?))
            }
            (System::Split { scheme, .. }, _) => Ok(Self::Split(UnitCosts::of(scheme)?)),
            _ => Ok(Self::Slots(slots::SlotCosts::default())),
        }
    }

    /// Seconds that the encrypted variant of a cell will take.
    pub fn predict(&self, settings: &Settings, forecast: &Forecast) -> f64 {
        match (self, &settings.system, forecast) {
            (Self::Split(costs), System::Split { protocol, scheme }, Forecast::Split(forecast)) => {
                costs.predict(protocol, scheme.plaintext_bits(), forecast)
            }
            (Self::Slots(costs), _, forecast) => forecast
                .work()
                .map_or(0.0, |work| costs.predict(work, &forecast.traffic(), forecast.key_bytes())),
            _ => 0.0,
        }
    }

    /// Share of the work that has been done, from what the parties have counted so far.
    pub fn seconds_done(&self, settings: &Settings, counts: &OperationCounts) -> f64 {
        match (self, &settings.system) {
            (Self::Split(costs), System::Split { protocol, .. }) => {
                costs.seconds_of(counts, protocol.weight_scale().0 + 2)
            }
            (Self::Slots(costs), _) => costs.seconds_done(counts),
            (Self::Split(_), _) => 0.0,
        }
    }
}

/// Seconds of wall time per operation when a batch keeps all threads busy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UnitCosts {
    /// Under one's own key: nearly all encryptions are.
    encryption: f64,
    decryption: f64,
    addition: f64,
    rerandomisation: f64,
    /// A product with an unmasked weight, per bit of the weight.
    scalar_bit: f64,
    keys: f64,
}

/// A batch as layers have it.
const FULL_BATCH: usize = 64;
/// Seconds that the encryption of a batch may take here.
const LONGEST_MEASUREMENT: f64 = 1.0;

/// Sizes that were measured, with their costs: one measurement a process and size.
static MEASURED: OnceLock<std::sync::Mutex<Vec<(Parameters, UnitCosts)>>> = OnceLock::new();

/// Measures whatever scheme it visits.
struct Measure;

impl Visitor for Measure {
    type Output = Result<UnitCosts, SchemeError>;

    fn visit<S: AdditiveScheme + Clone>(self, scheme: S) -> Self::Output {
        UnitCosts::measure(&scheme)
    }
}

impl UnitCosts {
    /// Measures, or remembers, the costs of a scheme with the threads in use.
    pub fn of(parameters: &Parameters) -> Result<Self, RunError> {
        let table = MEASURED.get_or_init(std::sync::Mutex::default);
        let mut table = table.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((_, costs)) = table.iter().find(|(known, _)| known == parameters) {
            return Ok(*costs);
        }
        let costs = parameters
            .visit(Measure)
            .and_then(|measured| measured)
            .map_err(|error| ProtocolError::from(BackendError::from(error)))?;
        table.push((*parameters, costs));
        Ok(costs)
    }

    fn measure<S: AdditiveScheme>(scheme: &S) -> Result<Self, SchemeError> {
        const WEIGHT_BITS: u32 = 64;
        let randomness = Stream::seeded(0).derive("unit-costs");
        let start = Instant::now();
        let secret = scheme.generate_keys(&randomness)?;
        let keys = start.elapsed().as_secs_f64();
        let public = scheme.public_key(&secret);
        let message = BigUint::from(12_345_u32);
        // A circuit of short sums may have a bound below it.
        let message =
            scheme.message_bound().map_or_else(|| message.clone(), |bound| bound.min(message.clone()));
        let encrypt = |batch: usize| {
            let messages = vec![message.clone(); batch];
            let start = Instant::now();
            let ciphertexts = scheme.encrypt_own(&secret, &messages, &randomness.derive("encrypt"))?;
            Ok((ciphertexts, start.elapsed().as_secs_f64() / batch as f64))
        };
        let few = 2 * rayon::current_num_threads();
        let (mut ciphertexts, mut encryption) = encrypt(few)?;
        // A layer's batch fills the lanes of vector units; where a few take long there are none to fill.
        if encryption * (FULL_BATCH as f64) < LONGEST_MEASUREMENT {
            (ciphertexts, encryption) = encrypt(FULL_BATCH)?;
        }
        let batch = ciphertexts.len();
        let each = |start: Instant| start.elapsed().as_secs_f64() / batch as f64;

        let start = Instant::now();
        let decrypted = scheme.decrypt(&secret, &ciphertexts)?;
        let decryption = each(start);
        std::hint::black_box(decrypted);
        let start = Instant::now();
        let fresh = scheme.rerandomise(public, &ciphertexts, &randomness.derive("rerandomise"));
        let rerandomisation = each(start);
        std::hint::black_box(fresh);

        let threads = rayon::current_num_threads() as f64;
        let weights: Vec<BigInt> = vec![(BigInt::from(1) << WEIGHT_BITS) - 1; batch];
        let start = Instant::now();
        std::hint::black_box(scheme.linear(public, &ciphertexts, &[&weights])?);
        let scalar_bit = each(start) / f64::from(WEIGHT_BITS) / threads;
        let start = Instant::now();
        std::hint::black_box(scheme.add(public, &ciphertexts, &ciphertexts)?);
        let addition = each(start);
        Ok(Self { encryption, decryption, addition, rerandomisation, scalar_bit, keys })
    }

    fn seconds_of(&self, counts: &OperationCounts, weight_bits: u32) -> f64 {
        Operation::ALL
            .into_iter()
            .map(|operation| {
                let unit = match operation {
                    Operation::Encryption => self.encryption,
                    Operation::Decryption => self.decryption,
                    Operation::ScalarProduct => self.scalar_bit * f64::from(weight_bits),
                    Operation::Addition | Operation::PlainAddition => self.addition,
                    Operation::Rerandomisation => self.rerandomisation,
                    // Additive schemes have none of these.
                    Operation::Product
                    | Operation::Relinearisation
                    | Operation::PlainProduct
                    | Operation::Rotation
                    | Operation::Rescaling => 0.0,
                };
                unit * counts.get(operation) as f64
            })
            .sum()
    }

    fn predict(&self, protocol: &split::Settings, plaintext_bits: u64, forecast: &split::Forecast) -> f64 {
        let weight = protocol.weight_scale();
        // A trained weight is a few units at most.
        let unmasked = self.seconds_of(&forecast.inference.plus(&forecast.opening), weight.0 + 2);
        let masked = match protocol.masks {
            split::Masks::Exact => u32::try_from(plaintext_bits).unwrap_or(u32::MAX),
            split::Masks::Statistical | split::Masks::None => protocol.mask_bits(weight) + 2,
        };
        let keys = (1 + protocol.clients) as f64 * self.keys;
        keys + unmasked + self.seconds_of(&forecast.training, masked)
    }
}
