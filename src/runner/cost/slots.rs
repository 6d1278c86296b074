//! Seconds per operation on ciphertexts over rings, at every level that a circuit uses.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

use rayon::prelude::*;

use crate::backend::slots::{Engine, SlotError, Term, Work};
use crate::backend::{BackendError, Operation, OperationCounts};
use crate::math::stream::Stream;
use crate::protocol::ProtocolError;
use crate::protocol::non_interactive::parameters::{Lattice, Visitor};
use crate::runner::RunError;

/// Terms of a sum as layers have it.
const TERMS: usize = 8;

/// Seconds of wall time per operation when all threads are busy.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SlotCosts {
    keys: f64,
    units: BTreeMap<(Operation, usize), f64>,
    /// over all levels of the circuit
    mean: BTreeMap<Operation, f64>,
}

/// What was measured.
static MEASURED: OnceLock<Mutex<Vec<(Lattice, Work, SlotCosts)>>> = OnceLock::new();

impl SlotCosts {
    /// Measures, or remembers, the costs of what a circuit takes.
    pub(super) fn of(scheme: &Lattice, work: &Work) -> Result<Self, RunError> {
        let mut table = MEASURED.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, _, costs)) =
            table.iter().find(|(known, before, _)| known == scheme && before.keys().eq(work.keys()))
        {
            return Ok(costs.clone().averaged(work));
        }
        let measured = scheme.visit(Measure(work)).and_then(|measured| measured);
        let costs = measured.map_err(|error| ProtocolError::from(BackendError::from(error)))?;
        table.push((scheme.clone(), work.clone(), costs.clone()));
        Ok(costs.averaged(work))
    }

    /// With the mean of every operation over the levels of some work.
    fn averaged(mut self, work: &Work) -> Self {
        for operation in Operation::ALL {
            let of = work.iter().filter(|((found, _), _)| *found == operation);
            let (count, seconds) = of.fold((0.0, 0.0), |(count, seconds), (key, times)| {
                (count + *times as f64, seconds + self.units[key] * *times as f64)
            });
            if count > 0.0 {
                self.mean.insert(operation, seconds / count);
            }
        }
        self
    }

    pub(super) fn predict(&self, work: &Work) -> f64 {
        let work = work.iter().map(|(key, count)| self.units.get(key).unwrap_or(&0.0) * *count as f64);
        self.keys + work.sum::<f64>()
    }

    pub(super) fn seconds_done(&self, counts: &OperationCounts) -> f64 {
        self.mean.iter().map(|(operation, seconds)| seconds * counts.get(*operation) as f64).sum()
    }
}

struct Measure<'w>(&'w Work);

impl Visitor for Measure<'_> {
    type Output = Result<SlotCosts, SlotError>;

    fn visit<E: Engine, T: Engine<Number = E::Number>>(
        self,
        engine: E,
        _twin: T,
        _levels: usize,
    ) -> Self::Output {
        let randomness = Stream::seeded(0).derive("unit-costs");
        let start = Instant::now();
        // A key for a rotation where the circuit has any.
        let rotates = self.0.keys().any(|(operation, _)| *operation == Operation::Rotation);
        let steps: &[i64] = if rotates { &[1] } else { &[] };
        let (secret, evaluation) = engine.generate(steps, &randomness)?;
        let keys = engine.write_evaluation(&evaluation);
        engine.read_evaluation(&keys)?;
        let mut costs = SlotCosts { keys: start.elapsed().as_secs_f64(), ..SlotCosts::default() };
        let scale = 1024.0;
        let fresh = engine.encrypt(&secret, &[1.0], scale, &randomness)?;
        let instances = engine.rules().instances() as f64;
        for &(operation, level) in self.0.keys() {
            let payload = engine.drop_to(&fresh, level)?;
            // One operation a thread, as circuits have it.
            let measure = |work: &(dyn Fn() -> Result<(), SlotError> + Sync)| {
                let threads = rayon::current_num_threads();
                let start = Instant::now();
                (0..threads).into_par_iter().map(|_| work()).collect::<Result<Vec<()>, _>>()?;
                Ok::<f64, SlotError>(start.elapsed().as_secs_f64() / threads as f64 / instances)
            };
            let seconds = match operation {
                Operation::Encryption => measure(&|| {
                    let fresh = engine.encrypt(&secret, &[1.0], scale, &randomness)?;
                    let mut bytes = Vec::new();
                    engine.write(&fresh, level, true, &mut bytes);
                    engine.read(&mut &bytes[..], true)?;
                    Ok(())
                })?,
                Operation::Decryption => measure(&|| {
                    let mut bytes = Vec::new();
                    engine.write(&payload, level, false, &mut bytes);
                    let (payload, _) = engine.read(&mut &bytes[..], false)?;
                    engine.decrypt(&secret, &payload, scale)?;
                    Ok(())
                })?,
                // A sum of products counts its additions too: they are part of the products here.
                Operation::ScalarProduct => {
                    let terms: [_; TERMS] =
                        std::array::from_fn(|_| Term { payload: &payload, weight: 1.5, scale });
                    measure(&|| engine.combine(&terms, scale * scale).map(drop))? / TERMS as f64
                }
                Operation::PlainAddition => measure(&|| engine.add_constant(&payload, 1.0, scale).map(drop))?,
                // Sums of products differ in their number of terms.
                Operation::Product => {
                    let pairs = [(&payload, &payload); 1 + TERMS];
                    let many = measure(&|| engine.dot(&evaluation, &pairs).map(drop))?;
                    let one = measure(&|| engine.dot(&evaluation, &pairs[..1]).map(drop))?;
                    let product = (many - one).max(0.0) / TERMS as f64;
                    costs.units.insert((Operation::Relinearisation, level), (one - product).max(0.0));
                    product
                }
                // Measured with the products, of which there are some wherever there are these.
                Operation::Relinearisation => continue,
                Operation::PlainProduct => {
                    measure(&|| engine.multiply_vector(&payload, &[1.0], scale).map(drop))?
                }
                Operation::Rotation => measure(&|| engine.rotate(&evaluation, &payload, steps).map(drop))?,
                Operation::Rescaling if level > 1 && engine.rules().rescales() => {
                    measure(&|| engine.rescale(&payload).map(drop))?
                }
                Operation::Rescaling if level > 1 => {
                    measure(&|| engine.drop_to(&payload, level - 1).map(drop))?
                }
                Operation::Rescaling | Operation::Addition | Operation::Rerandomisation => 0.0,
            };
            costs.units.insert((operation, level), seconds);
        }
        Ok(costs)
    }
}
