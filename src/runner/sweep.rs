//! Runs every cell of a plan that is not cached, in order, and keeps what is done whatever happens.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::backend::Variant;
use crate::backend::meter::Interrupt;
use crate::dataset::{self, Store};
use crate::experiment::plan::{Plan, Point, Task};
use crate::experiment::spec::Randomness;
use crate::protocol::tls::Remote;
use crate::runner::cache::Cache;
use crate::runner::cell::{self, Computed, Peer, Prepared};
use crate::runner::cost::{Care, Costs};
use crate::runner::file::{Lock, write_atomic};
use crate::runner::model::Models;
use crate::runner::progress::{Position, Progress};
use crate::runner::provenance::{self, Origin};
use crate::runner::record::{Finished, Measured, Record};
use crate::runner::serve::Hello;
use crate::runner::watch::Watch;
use crate::runner::{RunError, attack, estimate, price};

/// How a plan is run.
#[derive(Debug)]
pub struct Options<'a> {
    /// Where results go; a directory an experiment is made below it.
    pub out: &'a Path,
    /// Only these variants; all of the plan's when empty.
    pub variants: &'a [Variant],
    /// Compute cells again that are cached.
    pub fresh: bool,
    /// The serving party; in this process when absent.
    pub connect: Option<&'a Remote>,
    /// Data sets.
    pub store: &'a Store,
    /// Bytes of memory that a cell may take; none: what is free.
    pub memory: Option<u64>,
    /// Asks to stop.
    pub interrupt: Interrupt,
    /// Says what goes on.
    pub progress: &'a Progress,
}

/// A cell that could not run, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotRun {
    /// The point's keys with their values.
    pub point: BTreeMap<String, String>,
    /// Why.
    pub reason: String,
}

/// What a run has left behind.
#[derive(Debug)]
pub struct Outcome {
    /// The directory with the files.
    pub directory: PathBuf,
    /// Finished cells, in the order of the plan.
    pub finished: Vec<Finished>,
    /// Cells served from the cache.
    pub cached: usize,
    /// Points that could not run.
    pub not_run: Vec<NotRun>,
    /// Cells whose decrypted integers or counts differ from the exact circuit.
    pub disagreements: Vec<String>,
    /// Whether the user stopped it.
    pub interrupted: bool,
    _lock: Lock,
}

/// One cell of a plan.
struct Cell<'p> {
    point_index: usize,
    point: &'p Point,
    variant: Variant,
    repetition: usize,
    key: String,
}

/// Where an experiment's results go.
pub fn directory(out: &Path, plan: &Plan) -> PathBuf {
    out.join(&plan.name)
}

/// Runs a plan.
pub fn run(plan: &Plan, options: &Options<'_>) -> Result<Outcome, RunError> {
    let directory = directory(options.out, plan);
    let lock = Lock::take(&directory)?;
    let origin = Origin::now();
    let models = Models::new(&directory, options.interrupt.clone(), options.progress);
    let cache = Cache::new(&directory);
    let cells = cells(plan, options)?;
    let mut outcome = Outcome {
        directory,
        finished: Vec::new(),
        cached: 0,
        not_run: Vec::new(),
        disagreements: Vec::new(),
        interrupted: false,
        _lock: lock,
    };
    let hits: Vec<Option<Finished>> =
        cells.iter().map(|cell| if options.fresh { None } else { cache.get(&cell.key) }).collect();
    let work: Vec<f64> = cells
        .iter()
        .zip(&hits)
        .map(|(cell, hit)| if hit.is_some() { Ok(0.0) } else { predict(cell) })
        .collect::<Result<_, _>>()?;
    let total: f64 = work.iter().sum();
    options.progress.start(&plan.name, cells.len(), hits.iter().flatten().count(), total);
    // The variants of a point and repetition lie side by side and share their preparation.
    let mut prepared: Option<((usize, usize), Rc<Prepared>)> = None;
    for (number, ((cell, hit), seconds)) in cells.iter().zip(hits).zip(&work).enumerate() {
        if let Some(mut finished) = hit {
            // Labels belong to the file that asks, not to the content that was computed.
            finished.record.point = labels(cell.point);
            outcome.cached += 1;
            outcome.finished.push(finished);
            continue;
        }
        let at = (cell.point_index, cell.repetition);
        let fits = fits(cell, options.memory);
        let work = match (&cell.point.task, &prepared) {
            _ if fits.is_err() => fits.map(|()| Work::Done(Computed::default())),
            (Task::Inference(_), Some((key, ready))) if *key == at => Ok(Work::Inference(Rc::clone(ready))),
            (Task::Inference(settings), _) => {
                Prepared::with(settings, cell.repetition, options.store, &models)
                    .map(|ready| Work::Inference(Rc::new(ready)))
            }
            (Task::Approximation(request), _) => cell::fit(request).map(Work::Done),
            (Task::Attack(attack), _) => {
                attack::run(attack, cell.repetition, options.store, &models, &options.interrupt)
                    .map(Work::Done)
            }
            (Task::Cost(cost), _) => {
                price::run(cost, cell.variant, cell.repetition, &options.interrupt).map(Work::Done)
            }
            (Task::Data { describe }, _) => cell::describe(describe, options.store).map(Work::Done),
        };
        let done = work.and_then(|work| {
            if let Work::Inference(ready) = &work {
                prepared = Some((at, Rc::clone(ready)));
            }
            run_cell(plan, cell, work, number, *seconds, options)
        });
        match done {
            Ok((finished, disagrees)) => {
                if disagrees {
                    outcome.disagreements.push(finished.record.cell.clone());
                } else {
                    cache.put(&finished)?;
                }
                outcome.finished.push(finished);
                write_records(&outcome)?;
            }
            Err(error) if error.is_interrupt() || options.interrupt.is_raised() => {
                outcome.interrupted = true;
                break;
            }
            Err(error) if error.is_of_the_cell() => {
                let missing = NotRun { point: labels(cell.point), reason: error.reason() };
                if !outcome.not_run.contains(&missing) {
                    if outcome.not_run.iter().all(|known| known.reason != missing.reason) {
                        options.progress.note(&format!("not run: {error}"));
                    }
                    outcome.not_run.push(missing);
                }
            }
            Err(error) => return Err(error),
        }
    }
    write_records(&outcome)?;
    let manifest = provenance::manifest(plan, &origin, outcome.interrupted, options)?;
    write_atomic(&outcome.directory.join("manifest.json"), &manifest)?;
    Ok(outcome)
}

fn cells<'p>(plan: &'p Plan, options: &Options<'_>) -> Result<Vec<Cell<'p>>, RunError> {
    let mut cells = Vec::new();
    for (point_index, point) in plan.points.iter().enumerate() {
        for repetition in 0..point.repetitions {
            for &variant in &point.variants {
                if options.variants.is_empty() || options.variants.contains(&variant) {
                    let key = cell::key(&point.task, variant, repetition, options.store)?;
                    cells.push(Cell { point_index, point, variant, repetition, key });
                }
            }
        }
    }
    Ok(cells)
}

/// # Errors
/// [`RunError::Memory`] where a cell would take more than there is.
fn fits(cell: &Cell<'_>, limit: Option<u64>) -> Result<(), RunError> {
    let Some(settings) = cell.point.task.inference() else { return Ok(()) };
    let Some(limit) = limit.or_else(provenance::free_memory_bytes) else { return Ok(()) };
    let entry = dataset::catalogue()?.get(&settings.data.name)?;
    let needed = estimate::memory(settings, entry, cell.variant) as u64;
    if needed <= limit {
        return Ok(());
    }
    Err(RunError::Memory { needed_mebibytes: needed >> 20, limit_mebibytes: limit >> 20 })
}

fn predict(cell: &Cell<'_>) -> Result<f64, RunError> {
    let Some(settings) = cell.point.task.inference().filter(|_| cell.variant == Variant::Encrypted) else {
        return Ok(0.0);
    };
    let (forecast, _) = estimate::forecast_ahead(settings, cell.repetition)?;
    forecast.map_or(Ok(0.0), |forecast| Ok(Costs::of(settings, &forecast, Care::Glance)?.predict(&forecast)))
}

/// What is there of a cell before its protocol runs.
enum Work {
    /// A trained network.
    Inference(Rc<Prepared>),
    /// Everything: there is no protocol.
    Done(Computed),
}

fn run_cell(
    plan: &Plan,
    cell: &Cell<'_>,
    work: Work,
    number: usize,
    expected: f64,
    options: &Options<'_>,
) -> Result<(Finished, bool), RunError> {
    let prepared = match work {
        Work::Inference(prepared) => prepared,
        Work::Done(computed) => {
            let ticket = options.progress.cell(number, &describe(cell), 0.0, Box::new(Position::default));
            ticket.done();
            return Ok(finish(cell, computed));
        }
    };
    let (prepared, settings) = (&*prepared, &prepared.settings);
    let hello;
    let peer = match options.connect {
        Some(remote) => {
            hello = Hello::new(plan, cell.point_index, cell.variant, cell.repetition, &cell.key).to_bytes();
            Peer::Remote(remote, &hello)
        }
        None => Peer::Local,
    };
    let mut watch = Watch::new(options.interrupt.clone());
    // Under keys that nobody can make again there is nothing to take up.
    if settings.rng == Randomness::Seeded && options.connect.is_none() {
        let partial = Cache::new(&directory(options.out, plan)).partial(&cell.key);
        watch = watch.keeping(partial, !options.fresh);
    }
    let name = describe(cell);
    let forecast = prepared.forecast()?;
    Costs::forget_old();
    let costs = match (&forecast, cell.variant) {
        (Some(forecast), Variant::Encrypted) => Some(Costs::of(settings, forecast, Care::Prediction)?),
        _ => None,
    };
    // Bounds that are measured on the trained network are known only now.
    let expected = match (&forecast, &costs) {
        (Some(forecast), Some(costs)) => costs.predict(forecast),
        _ => expected,
    };
    let meters = [watch.client.clone(), watch.server.clone()];
    let done = move || {
        let counts = meters[0].counts().plus(&meters[1].counts());
        let seconds = costs.as_ref().map_or(0.0, |costs| costs.seconds_done(&counts));
        Position { seconds, stage: meters[1].stage() }
    };
    provenance::reset_peak_memory();
    let ticket = options.progress.cell(number, &name, expected, Box::new(done));
    let computed = cell::compute(prepared, cell.variant, &watch, peer)?;
    ticket.done();
    let mut computed = computed;
    if let (Some(forecast), Variant::Simulated) = (&forecast, cell.variant) {
        let costs = Costs::of(settings, forecast, Care::Prediction)?;
        computed.seconds.insert("seconds_predicted".to_owned(), costs.predict(forecast));
    } else if expected > 0.0 {
        computed.seconds.insert("seconds_predicted".to_owned(), expected);
        if let Some(seconds) = computed.seconds.get("seconds").copied().filter(|seconds| *seconds > 0.0) {
            computed.seconds.insert("prediction_error".to_owned(), expected / seconds - 1.0);
        }
    }
    if let Some(bytes) = provenance::peak_memory_bytes() {
        computed.seconds.insert("peak_memory_bytes".to_owned(), bytes);
    }
    Ok(finish(cell, computed))
}

/// A cell's record, and whether it disagrees with its exact circuit.
fn finish(cell: &Cell<'_>, computed: Computed) -> (Finished, bool) {
    let encrypted = cell.point.task.security().filter(|_| cell.variant == Variant::Encrypted);
    let record = Record {
        cell: cell.key.clone(),
        variant: cell.variant,
        point: labels(cell.point),
        repetition: cell.repetition,
        metrics: computed.metrics,
        curves: computed.curves,
        pictures: computed.pictures,
        counts: computed.counts,
        security_bits: encrypted.map(|(bits, _)| bits),
        insecure_paper_parameters: encrypted.is_some_and(|(_, marked)| marked),
        digest: computed.digest,
        transcript: computed.transcript,
        notes: computed.notes,
    };
    let (variant, repetition, values) = (cell.variant, cell.repetition, computed.seconds);
    let measured = Measured { cell: cell.key.clone(), variant, repetition, values };
    (Finished { record, measured }, computed.disagrees)
}

fn labels(point: &Point) -> BTreeMap<String, String> {
    point.labels.iter().cloned().collect()
}

fn describe(cell: &Cell<'_>) -> String {
    let what = match &cell.point.task {
        Task::Cost(_) => "cost",
        task => task.data().unwrap_or("approximation"),
    };
    format!("{what} {}, repetition {} of {}", cell.variant, cell.repetition + 1, cell.point.repetitions)
}

fn write_records(outcome: &Outcome) -> Result<(), RunError> {
    let lines = |write: &dyn Fn(&Finished) -> serde_json::Result<String>, name: &str| {
        let path = outcome.directory.join(name);
        let mut text = String::new();
        for finished in &outcome.finished {
            text.push_str(&write(finished).map_err(|error| RunError::file(&path)(error.into()))?);
            text.push('\n');
        }
        write_atomic(&path, text.as_bytes())
    };
    lines(&|finished| serde_json::to_string(&finished.record), "records.jsonl")?;
    lines(&|finished| serde_json::to_string(&finished.measured), "measured.jsonl")
}

/// Reads the finished cells that an earlier run left in a results directory.
pub fn read_records(directory: &Path) -> Result<Vec<Finished>, RunError> {
    let records: Vec<Record> = read_lines(&directory.join("records.jsonl"))?;
    let mut measured: Vec<Measured> = read_lines(&directory.join("measured.jsonl")).unwrap_or_default();
    Ok(records
        .into_iter()
        .map(|record| {
            let found = measured.iter().position(|measured| measured.cell == record.cell);
            let measured = match found {
                Some(index) => measured.swap_remove(index),
                None => Measured {
                    cell: record.cell.clone(),
                    variant: record.variant,
                    repetition: record.repetition,
                    values: BTreeMap::new(),
                },
            };
            Finished { record, measured }
        })
        .collect())
}

fn read_lines<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Vec<T>, RunError> {
    let text = std::fs::read_to_string(path).map_err(RunError::file(path))?;
    text.lines()
        .enumerate()
        .map(|(number, line)| {
            serde_json::from_str(line).map_err(|error| {
                let message = format!("line {}: {error}", number + 1);
                RunError::file(path)(std::io::Error::new(std::io::ErrorKind::InvalidData, message))
            })
        })
        .collect()
}
