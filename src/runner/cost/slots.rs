//! Seconds per operation on ciphertexts over rings, at every level that a circuit uses.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::backend::slots::{Engine, Job, SlotError, Term, Work};
use crate::backend::{BackendError, Operation, OperationCounts};
use crate::math::{pool::map, stream::Stream};
use crate::network::Row;
use crate::protocol::ProtocolError;
use crate::protocol::channel::pipe;
use crate::protocol::message::{Body, Kind, Message};
use crate::protocol::non_interactive::parameters::{Lattice, Visitor};
use crate::protocol::transcript::{Link, Traffic};
use crate::runner::RunError;
use crate::runner::cost::Care;

/// Terms of a sum as layers have it.
const TERMS: usize = 8;
/// Inputs and rows of a layer whose products are timed: rows in full panels, inputs beyond the caches.
const LAYER: [usize; 2] = [64, 20];
/// Times that every thread does an operation, each on a ciphertext of its own, as circuits do; what comes out is kept until all are done.
const TIMES: usize = 2;
/// Rotations of one ciphertext after the other, each with a key of its own, as in sums over slots: keys do not stay in the caches.
const STEPS: [i64; 4] = [1, 2, 4, 8];
/// How often all operations are measured, one after the other: a machine that others use is slow for a while, and then all of it is.
const PASSES: usize = 7;
/// Seconds for all passes after the first, as a share of what the work will take, and the least and the most of them.
const SHARE: f64 = 0.5;
const SECONDS: Range<f64> = 1.0..5.0;
/// Of those seconds every operation has its part of the work; this share is for all alike, as one that was disturbed would weigh what it does not.
const ALIKE: f64 = 0.3;
/// What is more than this share of the work is measured so often at least.
const WEIGHTY: f64 = 0.01;
const LEAST: usize = 3;
/// One time takes about so long: waking a thread is no part of what circuits do to a hundred ciphertexts. What it makes is kept, so that there is a limit.
const ROUND_SECONDS: f64 = 0.01;
const MOST: usize = 16;
/// Bytes of messages whose way is timed, as powers of two: large ones take fresh memory.
const MESSAGES: [u32; 4] = [16, 20, 24, 26];

/// Ciphertexts in such a message.
const MESSAGE_PARTS: usize = 8;

/// Seconds of wall time per operation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SlotCosts {
    threads: usize,
    /// A byte of the server's keys, made, written and read.
    keys: f64,
    /// A byte's way through the channel, by the size of its message: frames, copies, the transcript's hash.
    bytes: [f64; MESSAGES.len()],
    /// A message, however short: who waits for it wakes, and its threads.
    message: f64,
    /// at every level of the circuit
    units: BTreeMap<(Operation, usize), Unit>,
    /// over all levels of the circuit
    mean: BTreeMap<Operation, f64>,
}

/// Seconds of an operation.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Unit {
    /// of each of many, when all threads are busy
    many: f64,
    /// of each of as many as there are threads, from handing them over to the end of the last
    few: f64,
    /// of one alone, of which the threads share the parts
    alone: f64,
}

impl Unit {
    /// Of each of so many together, a thread each as long as they fill the threads.
    fn of(self, together: usize, threads: usize) -> f64 {
        match together {
            1 => return self.alone,
            few if few < Job::MANY => {}
            _ => return self.many,
        }
        let all = threads.max(1);
        let rest = together % all;
        let start = ((self.few - self.many) * all as f64).max(0.0);
        // As many as there are threads take so much longer than one.
        let last = |rest: usize| {
            let one = self.alone - start;
            one + (self.many * all as f64 - one) * (rest - 1) as f64 / (all - 1) as f64
        };
        let last = if rest == 0 { 0.0 } else { last(rest) };
        (start + self.many * (together - rest) as f64 + last) / together as f64
    }
}

/// How many of an operation are done together when it is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Together {
    Many,
    AsThreads,
    One,
}

/// What is measured: operations at levels, of so many.
type Key = (Operation, usize, Together);

/// What a job is priced by.
fn keys(job: &Job) -> impl Iterator<Item = Key> {
    let operation = match job.operation {
        // Measured with the products, of which there are some wherever there are these.
        Operation::Relinearisation => Operation::Product,
        other => other,
    };
    let together: &[_] = match job.together {
        1 => &[Together::One],
        few if few < Job::MANY => &[Together::Many, Together::AsThreads, Together::One],
        _ => &[Together::Many],
    };
    let level = job.level;
    together.iter().map(move |together| (operation, level, *together))
}

/// What was measured, how carefully, and when.
type Known = Vec<(Lattice, bool, Care, BTreeSet<Key>, SlotCosts, Instant)>;
static MEASURED: OnceLock<Mutex<Known>> = OnceLock::new();
/// For so long that holds for a cell that runs, as between its simulated variant and the encrypted one: a machine that others use is fast for some seconds and
/// slow for some.
const VALID: Duration = Duration::from_secs(3);
/// Of a byte in messages of these sizes, and of a message: no scheme has a part in it.
static WAY: OnceLock<([f64; MESSAGES.len()], f64)> = OnceLock::new();
/// Messages whose coming is timed, and how long each is waited for: parties compute for about so long between them.
const WAKES: usize = 15;
const WAIT: Duration = Duration::from_millis(2);

impl SlotCosts {
    /// Measures, or remembers, the costs of what a circuit takes: whether it multiplies by known numbers in whole layers.
    pub(super) fn of(scheme: &Lattice, in_layers: bool, work: &Work, care: Care) -> Result<Self, RunError> {
        let mut table = MEASURED.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
        let sought = work.keys().flat_map(keys).collect();
        let known = table.iter().find(|(known, layers, with, before, ..)| {
            known == scheme && *layers == in_layers && *with >= care && *before == sought
        });
        if let Some((.., costs, _)) = known {
            return Ok(costs.clone().averaged(work));
        }
        let costs = scheme.visit(Measure { sought: &sought, work, in_layers, care }).and_then(|costs| costs);
        let costs = costs.map_err(|error| ProtocolError::from(BackendError::from(error)))?;
        table.push((scheme.clone(), in_layers, care, sought, costs.clone(), Instant::now()));
        Ok(costs.averaged(work))
    }

    /// Forgets what was measured too long ago for a cell that is about to run.
    pub(super) fn forget_old() {
        let mut table = MEASURED.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
        table.retain(|(.., measured)| measured.elapsed() < VALID);
    }

    /// With the mean of every operation over the levels of some work.
    fn averaged(mut self, work: &Work) -> Self {
        for operation in Operation::ALL {
            let of = work.iter().filter(|(job, _)| job.operation == operation);
            let (count, seconds) = of.fold((0.0, 0.0), |(count, seconds), (key, times)| {
                (count + *times as f64, seconds + self.price(key) * *times as f64)
            });
            if count > 0.0 {
                self.mean.insert(operation, seconds / count);
            }
        }
        self
    }

    fn price(&self, job: &Job) -> f64 {
        let unit = self.units.get(&(job.operation, job.level));
        unit.map_or(0.0, |unit| unit.of(job.together, self.threads))
    }

    /// Seconds of some work by what they are priced by.
    fn weights(&self, work: &Work) -> BTreeMap<Key, f64> {
        let mut weights = BTreeMap::new();
        for (job, count) in work {
            let parts = keys(job).count() as f64;
            keys(job)
                .for_each(|key| *weights.entry(key).or_default() += self.price(job) * *count as f64 / parts);
        }
        weights
    }

    pub(super) fn predict(&self, work: &Work, traffic: &Traffic, key_bytes: usize) -> f64 {
        let work = work.iter().map(|(job, count)| self.price(job) * *count as f64);
        self.keys * key_bytes as f64 + work.sum::<f64>() + self.way(traffic)
    }

    /// Seconds of all messages' ways, as if all were of the same size.
    fn way(&self, traffic: &Traffic) -> f64 {
        let bytes = (traffic.bytes_up + traffic.bytes_down) as f64;
        let messages = (traffic.messages_up + traffic.messages_down) as f64;
        let size = (bytes / messages.max(1.0)).log2();
        let distance = |at: &usize| (f64::from(MESSAGES[*at]) - size).abs();
        let nearest = (0..MESSAGES.len()).min_by(|a, b| distance(a).total_cmp(&distance(b)));
        messages * self.message + bytes * nearest.map_or(0.0, |at| self.bytes[at])
    }

    pub(super) fn seconds_done(&self, counts: &OperationCounts) -> f64 {
        self.mean.iter().map(|(operation, seconds)| seconds * counts.get(*operation) as f64).sum()
    }
}

struct Measure<'w> {
    sought: &'w BTreeSet<Key>,
    work: &'w Work,
    in_layers: bool,
    care: Care,
}

impl Visitor for Measure<'_> {
    type Output = Result<SlotCosts, SlotError>;

    fn visit<E: Engine, T: Engine<Number = E::Number>>(
        self,
        engine: E,
        _twin: T,
        _levels: usize,
    ) -> Self::Output {
        let randomness = Stream::seeded(0).derive("unit-costs");
        // Keys for rotations where the circuit has any.
        let rotates = self.sought.iter().any(|(operation, ..)| *operation == Operation::Rotation);
        let steps: &[i64] = if rotates { &STEPS } else { &[] };
        let made = || {
            let start = Instant::now();
            let (secret, evaluation) = engine.generate(steps, &randomness)?;
            let mut keys = Vec::new();
            engine.write_evaluation(&evaluation, &mut keys);
            engine.read_evaluation(&keys)?;
            Ok::<_, SlotError>((start.elapsed().as_secs_f64() / keys.len().max(1) as f64, secret, evaluation))
        };
        // Twice: of those that are made and those that are read.
        let reserved = engine.reserve(0, 2 * steps.len() + 1);
        // The first keys also make what a context makes once.
        made()?;
        let (per_byte, secret, evaluation) = made()?;
        let way = || (MESSAGES.map(|size| seconds_of_byte(1 << size)), seconds_of_message());
        let (bytes, message) = *WAY.get_or_init(way);
        let mut costs = SlotCosts {
            threads: rayon::current_num_threads(),
            keys: per_byte,
            bytes,
            message,
            ..SlotCosts::default()
        };
        let scale = 1024.0;
        drop(reserved);
        // All slots are filled, with numbers of either sign.
        let values: Vec<f64> = (0..engine.slots()).map(|slot| libm::sin(slot as f64)).collect();
        let encrypt = || engine.encrypt(&secret, &values, scale, &randomness);
        let fresh = encrypt()?;
        let instances = engine.rules().instances() as f64;
        let all = |level| Ok::<_, SlotError>(vec![engine.drop_to(&fresh, level)?; costs.threads * TIMES]);
        // Seconds of an operation, and of the relinearisation that was measured with it.
        let time = |(operation, level, together): Key, least: f64| {
            let all = all(level)?;
            let other = |index: usize| &all[index % all.len()];
            let timed = Timed { together, threads: costs.threads, least };
            let seconds = match operation {
                Operation::Encryption => timed.each(&all, |_, _| {
                    let fresh = encrypt()?;
                    let mut bytes = Vec::new();
                    engine.write(&fresh, level, true, &mut bytes);
                    engine.read(&mut &bytes[..], true)
                })?,
                Operation::Decryption => timed.each(&all, |payload, _| {
                    let mut bytes = Vec::new();
                    engine.write(payload, level, false, &mut bytes);
                    let (payload, _) = engine.read(&mut &bytes[..], false)?;
                    engine.decrypt(&secret, &payload, scale)
                })?,
                Operation::ScalarProduct if self.in_layers => {
                    let [inputs, rows] = LAYER;
                    let payloads = vec![other(0).clone(); inputs];
                    let terms = (0..inputs).map(|at| (at, 1.5)).collect();
                    let rows = vec![Row { terms, bias: 1.0 }; rows];
                    let (payloads, scales) = (payloads.iter().collect::<Vec<_>>(), vec![scale; inputs]);
                    let timed = Timed { together: Together::Many, ..timed };
                    let layer =
                        timed.each(&[()], |(), _| engine.layer(&payloads, &scales, &rows, scale * scale))?;
                    layer / (inputs * rows.len()) as f64
                }
                // A sum of products counts its additions too: they are part of the products here.
                Operation::ScalarProduct => {
                    let sum = timed.each(&all, |_, index| {
                        let terms: [_; TERMS] = std::array::from_fn(|term| Term {
                            payload: other(index + term),
                            weight: 1.5,
                            scale,
                        });
                        engine.combine(&terms, scale * scale)
                    })?;
                    sum / TERMS as f64
                }
                Operation::PlainAddition => {
                    timed.each(&all, |payload, _| engine.add_constant(payload, 1.0, scale))?
                }
                // Sums of products differ in their number of terms.
                Operation::Product => {
                    let timed = Timed { least: least / 2.0, ..timed };
                    let sum = |terms: usize| {
                        timed.each(&all, |payload, index| {
                            let pairs: Vec<_> =
                                (1..=terms).map(|term| (payload, other(index + term))).collect();
                            engine.dot(&evaluation, &pairs)
                        })
                    };
                    let (many, one) = (sum(1 + TERMS)?, sum(1)?);
                    let product = (many - one).max(0.0) / TERMS as f64;
                    return Ok([product, (one - product).max(0.0)].map(|seconds| seconds / instances));
                }
                Operation::PlainProduct => {
                    timed.each(&all, |payload, _| engine.multiply_vector(payload, &values, scale))?
                }
                // What was rotated is added to what it was, wherever there are rotations.
                Operation::Rotation => {
                    let chain = timed.each(&all, |payload, _| {
                        steps.iter().try_fold(payload.clone(), |sum, step| {
                            let rotated = engine.rotate(&evaluation, &sum, &[*step])?;
                            let term = |payload| Term { payload, weight: 1.0, scale: 1.0 };
                            let terms: Vec<_> = rotated.iter().chain([&sum]).map(term).collect();
                            engine.combine(&terms, scale)
                        })
                    })?;
                    chain / steps.len() as f64
                }
                Operation::Rescaling if level > 1 && engine.rules().rescales() => {
                    timed.each(&all, |payload, _| engine.rescale(payload))?
                }
                Operation::Rescaling if level > 1 => {
                    timed.each(&all, |payload, _| engine.drop_to(payload, level - 1))?
                }
                Operation::Relinearisation
                | Operation::Rescaling
                | Operation::Addition
                | Operation::Rerandomisation => 0.0,
            };
            Ok::<_, SlotError>([seconds / instances, 0.0])
        };
        let mut samples: BTreeMap<Key, Samples> = BTreeMap::new();
        for key in self.sought {
            samples.insert(*key, Samples { seconds: vec![time(*key, 0.0)?], owed: 0.0 });
        }
        costs.units = units(&samples);
        if self.care == Care::Glance {
            return Ok(costs);
        }
        // What weighs more is measured longer, all through the passes.
        let weights = costs.weights(self.work);
        let whole = weights.values().sum::<f64>().max(f64::MIN_POSITIVE);
        let pass = (SHARE * whole).clamp(SECONDS.start, SECONDS.end) / (PASSES - 1) as f64;
        for _ in 1..PASSES {
            for (key, samples) in &mut samples {
                let weight = weights.get(key).copied().unwrap_or(0.0) / whole;
                samples.owed += pass * ((1.0 - ALIKE) * weight + ALIKE / self.sought.len() as f64);
                // What takes longer than its part owes the rest, and waits until later passes have paid it.
                if samples.owed > 0.0 {
                    let begin = Instant::now();
                    samples.seconds.push(time(*key, samples.owed)?);
                    samples.owed -= begin.elapsed().as_secs_f64();
                }
            }
        }
        // Of two times that differ much, a third tells which one was disturbed.
        for (key, samples) in &mut samples {
            let weight = weights.get(key).copied().unwrap_or(0.0) / whole;
            while weight > WEIGHTY && samples.seconds.len() < LEAST {
                samples.seconds.push(time(*key, 0.0)?);
            }
        }
        costs.units = units(&samples);
        Ok(costs)
    }
}

/// What was measured of an operation.
struct Samples {
    /// of every pass, with those of relinearisations where it is a product
    seconds: Vec<[f64; 2]>,
    /// that it has still to be measured for, or, below 0, that it was measured for in advance
    owed: f64,
}

fn units(samples: &BTreeMap<Key, Samples>) -> BTreeMap<(Operation, usize), Unit> {
    let mut units: BTreeMap<_, Unit> = BTreeMap::new();
    for ((operation, level, together), samples) in samples {
        let mut put = |operation, of: usize| {
            let unit = units.entry((operation, *level)).or_default();
            let seconds = middle(samples.seconds.iter().map(|seconds| seconds[of]).collect());
            match together {
                Together::Many => unit.many = seconds,
                Together::AsThreads => unit.few = seconds,
                Together::One => unit.alone = seconds,
            }
        };
        put(*operation, 0);
        if *operation == Operation::Product {
            put(Operation::Relinearisation, 1);
        }
    }
    units
}

/// How an operation is timed.
struct Timed {
    together: Together,
    threads: usize,
    /// seconds at least
    least: f64,
}

impl Timed {
    /// Seconds of some work on each of some ciphertexts.
    fn each<P: Sync, T: Send>(
        &self,
        all: &[P],
        work: impl Fn(&P, usize) -> Result<T, SlotError> + Sync,
    ) -> Result<f64, SlotError> {
        let together = |items: Range<usize>| {
            let made = map(items, |index| work(&all[index % all.len()], index));
            made.into_iter().collect::<Result<Vec<_>, _>>()
        };
        let steps_of = |count: usize| {
            let steps = |_| {
                let starts = (0..all.len()).step_by(count);
                starts.map(|start| together(start..all.len().min(start + count))).collect()
            };
            mean_seconds(self.least, 1, steps)
        };
        let seconds = match self.together {
            Together::Many => mean_seconds(self.least, MOST, |times| together(0..all.len() * times)),
            Together::AsThreads => steps_of(self.threads),
            Together::One => steps_of(1),
        };
        Ok(seconds? / all.len() as f64)
    }
}

/// Seconds of some work: the mean, as circuits are disturbed as often. It is done for so long at least, and so many times in one round at most.
fn mean_seconds<T>(
    least: f64,
    most: usize,
    work: impl Fn(usize) -> Result<Vec<T>, SlotError>,
) -> Result<f64, SlotError> {
    let begin = Instant::now();
    // The first round takes memory that later ones find again.
    let made = work(1)?;
    let first = begin.elapsed().as_secs_f64();
    drop(made);
    let times = (1..most).rfind(|times| *times as f64 * first <= ROUND_SECONDS).unwrap_or(1);
    let (mut rounds, mut sum) = (0, 0.0);
    while rounds == 0 || begin.elapsed().as_secs_f64() < least {
        let start = Instant::now();
        let made = work(times)?;
        sum += start.elapsed().as_secs_f64();
        drop(made);
        rounds += times;
    }
    Ok(sum / rounds as f64)
}

/// The mean without the least and the greatest, where there are more than two.
fn middle(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    let middle = match seconds.len() {
        0..3 => &seconds[..],
        count => &seconds[1..count - 1],
    };
    middle.iter().sum::<f64>() / middle.len().max(1) as f64
}

fn median(seconds: &mut [f64]) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

/// Seconds of a byte's way from one party to the other, in messages of some size.
fn seconds_of_byte(size: usize) -> f64 {
    let (near, far) = pipe();
    let mut client = Link::new(Box::new(near), true, None);
    let mut server = Link::new(Box::new(far), false, None);
    let part = size / MESSAGE_PARTS;
    let mut rounds: [f64; 3] = std::array::from_fn(|_| {
        let start = Instant::now();
        let write = |_, out: &mut Vec<u8>| {
            out.resize(part, 0);
            Ok::<_, ProtocolError>(())
        };
        // A pipe between two ends that are both here cannot fail.
        let received = Body::of_parts(MESSAGE_PARTS, part, write).and_then(|body| {
            client.send(Message { kind: Kind::Activations, layer: 0, count: 0, body })?;
            server.receive()
        });
        let seconds = start.elapsed().as_secs_f64();
        drop(received);
        seconds / size as f64
    });
    median(&mut rounds)
}

/// Seconds from the sending of a short message until the threads of the party that waited for it work.
fn seconds_of_message() -> f64 {
    let (near, far) = pipe();
    let mut client = Link::new(Box::new(near), true, None);
    let mut server = Link::new(Box::new(far), false, None);
    let mut rounds = std::thread::scope(|scope| {
        let sender = scope.spawn(move || {
            let send = |_| {
                std::thread::sleep(WAIT);
                let sent = Instant::now();
                client.send(Message::new(Kind::Activations, Vec::new())).ok().map(|()| sent)
            };
            (0..WAKES).map_while(send).collect::<Vec<_>>()
        });
        let receive = |_| {
            server.receive().ok()?;
            Some(rayon::scope(|_| Instant::now()))
        };
        let came: Vec<_> = (0..WAKES).map_while(receive).collect();
        let sent = sender.join().unwrap_or_default();
        came.iter().zip(sent).map(|(came, sent)| (*came - sent).as_secs_f64()).collect::<Vec<_>>()
    });
    // Neither end can go away, and with nothing else to tell, a message costs nothing.
    if rounds.is_empty() { 0.0 } else { median(&mut rounds) }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "sums and products of small integers are exact")]
mod tests {
    use super::*;

    fn traffic(messages: u64, bytes: u64) -> Traffic {
        Traffic { messages_up: messages, bytes_up: bytes, ..Traffic::default() }
    }

    #[test]
    fn a_byte_costs_what_it_costs_in_messages_of_its_size() {
        let costs = SlotCosts { bytes: [1.0, 2.0, 3.0, 4.0], ..SlotCosts::default() };
        let way = |messages, bytes| costs.way(&traffic(messages, bytes)) / bytes as f64;
        // Sizes between two that were timed count as the nearer one.
        assert_eq!([way(1, 1), way(2, 1 << 17), way(1, 1 << 17)], [1.0; 3]);
        assert_eq!([way(1, 1 << 19), way(4, 1 << 22)], [2.0; 2]);
        assert_eq!([way(1, 1 << 24), way(1, 1 << 26), way(1, 1 << 40)], [3.0, 4.0, 4.0]);
        assert_eq!(costs.way(&Traffic::default()), 0.0);
        let costs = SlotCosts { message: 0.5, ..costs };
        assert_eq!(costs.way(&traffic(4, 1 << 22)), 2.0 + 2.0 * f64::from(1 << 22));
    }

    #[test]
    fn work_is_priced_level_by_level_and_its_mean_by_what_is_done_where() {
        let product = |level| Job { operation: Operation::Product, level, together: Job::MANY };
        let unit = |many| Unit { many, few: f64::NAN, alone: f64::NAN };
        let units = [(1, 1.0), (2, 4.0)].map(|(level, many)| ((Operation::Product, level), unit(many)));
        let units = BTreeMap::from(units);
        let costs = SlotCosts { keys: 0.5, units, ..SlotCosts::default() };
        let work = Work::from([(product(1), 2), (product(2), 1)]);
        let costs = costs.averaged(&work);
        assert_eq!(costs.predict(&work, &Traffic::default(), 10), 5.0 + 6.0);
        let mut done = OperationCounts::default();
        done.add(Operation::Product, 3);
        assert_eq!(costs.seconds_done(&done), 6.0);
    }

    #[test]
    fn what_does_not_fill_the_threads_costs_more() {
        let unit = Unit { many: 1.0, few: 1.25, alone: 2.5 };
        let of = |threads| [1, 2, 3, 5, Job::MANY].map(|together| unit.of(together, threads));
        // Two take two seconds and half of one to begin; one more two seconds.
        assert_eq!(of(2), [2.5, 2.5 / 2.0, 4.5 / 3.0, 6.5 / 5.0, 1.0]);
        // Four take four and one to begin; one takes 2.5, and each of the next two 2.5 / 3 more.
        let four = [2.5, 5.0 / 3.0, 25.0 / 18.0, 6.5 / 5.0, 1.0];
        assert!(of(4).iter().zip(four).all(|(found, expected)| (found - expected).abs() < 1e-12));
        // There is nothing to share.
        let unit = Unit { many: 1.0, few: 1.0, alone: 1.0 };
        assert_eq!(unit.of(3, 1), 1.0);
    }

    #[test]
    fn a_median_is_in_the_middle() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
    }
}
