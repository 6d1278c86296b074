//! Arithmetic on vectors of numbers, one a slot: what a server that computes alone needs.
//!
//! A circuit is written once against [`Slots`], which keeps for every ciphertext what is known without a key ([`State`]: level, scale,
//! magnitude, bounds on errors), refuses what could not be decrypted before it is computed, and counts. An [`Engine`] does the work on
//! payloads:
//!
//! * [`Reals`]: `f64`, nothing encrypted; nothing rounded, or as the twin of [`Approximate`].
//! * [`Exact`] over BGV or BFV: fixed-point integers modulo several plaintext moduli; [`Integers`] is its twin in the clear.
//! * [`Approximate`] over CKKS.
//! * [`Dry`]: nothing, for plans: which levels a circuit takes, what it counts, whether it can be decrypted.

#![expect(clippy::needless_pass_by_value, reason = "a view of an array is a reference already")]

mod clear;
mod engine;
mod integer;
mod matrix;
mod polynomial;
mod ring;
mod rules;

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

pub use clear::{Dry, Integers, Reals, Vector};
pub use engine::{Engine, SlotError, Term};
pub use integer::{Integer, Slot};
pub use matrix::{VolleyRevolver, matrix_steps};
pub use ring::{Approximate, Exact};
pub use rules::{Rules, State};

use crate::{
    backend::{Meter, Operation},
    math::{pool::map, stream::Stream},
    network::{Linear, Row},
};

/// A protected vector with what is known of it.
#[derive(Debug, Clone)]
pub struct Ciphertext<P> {
    payload: P,
    state: State,
}

impl<P> Ciphertext<P> {
    /// What is known of it.
    pub fn state(&self) -> &State {
        &self.state
    }
}

/// An operation where it stands in a circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Job {
    /// What is done.
    pub operation: Operation,
    /// The level at which it is done.
    pub level: usize,
    /// Ciphertexts that the circuit makes together, each on a thread of its own as long as there are threads; at most [`MANY`](Self::MANY).
    pub together: usize,
}

impl Job {
    /// So many, or more: what threads make of the last ones weighs nothing.
    pub const MANY: usize = 64;
}

/// Numbers of operations.
pub type Work = BTreeMap<Job, u64>;

/// What an engine's ciphertexts are.
pub type Of<E> = Ciphertext<<E as Engine>::Payload>;

/// The arithmetic of an engine, with rules and counts.
#[derive(Debug)]
pub struct Slots<E> {
    engine: Arc<E>,
    meter: Meter,
    work: Mutex<Work>,
    /// what is under way: see [`Job::together`]
    together: AtomicUsize,
}

impl<E: Engine> Slots<E> {
    /// Counts into `meter`.
    pub fn new(engine: Arc<E>, meter: Meter) -> Self {
        Self { engine, meter, work: Mutex::default(), together: AtomicUsize::new(Job::MANY) }
    }

    /// The engine.
    pub fn engine(&self) -> &E {
        &self.engine
    }

    /// The rules.
    pub fn rules(&self) -> &Rules {
        self.engine.rules()
    }

    /// What has been computed so far.
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    /// What has been computed so far, job by job.
    pub fn work(&self) -> Work {
        self.work.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn count(&self, operation: Operation, count: usize, level: usize) -> Result<(), SlotError> {
        self.meter.check().map_err(|_| SlotError::Interrupted)?;
        let count = count * self.rules().instances();
        self.meter.add(operation, count);
        if count > 0 {
            let together = self.together.load(Ordering::Relaxed);
            let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
            *work.entry(Job { operation, level, together }).or_default() += count as u64;
        }
        Ok(())
    }

    /// Does what makes so many ciphertexts together. One thread says so, before others take part.
    pub(crate) fn together<T>(&self, count: usize, work: impl FnOnce() -> T) -> T {
        let before = self.together.swap(count.clamp(1, Job::MANY), Ordering::Relaxed);
        let done = work();
        self.together.store(before, Ordering::Relaxed);
        done
    }

    /// Protects numbers of at most a magnitude at a scale.
    ///
    /// # Errors
    /// [`SlotError::Magnitude`], and those of the encoding.
    pub fn encrypt(
        &self,
        secret: &E::Secret,
        values: &[f64],
        scale: f64,
        magnitude: f64,
        randomness: &Stream,
    ) -> Result<Of<E>, SlotError> {
        if values.len() > self.engine.slots() {
            let (what, found, expected) = ("a vector", values.len(), self.engine.slots());
            return Err(SlotError::Length { what, found, expected });
        }
        // Not a number is not within either.
        if let Some(index) = values.iter().position(|value| !matches!(value.abs(), size if size <= magnitude))
        {
            return Err(SlotError::Magnitude { index, value: values[index], most: magnitude });
        }
        let state = self.rules().fresh(scale, magnitude)?;
        self.count(Operation::Encryption, 1, state.level)?;
        Ok(Ciphertext { payload: self.engine.encrypt(secret, values, scale, randomness)?, state })
    }

    /// A fresh ciphertext that somebody else made, of a scale and magnitude that the protocol fixes.
    ///
    /// # Errors
    /// Those of the decoding; [`SlotError::Level`] when it is not fresh.
    pub fn read_fresh(&self, bytes: &mut &[u8], scale: f64, magnitude: f64) -> Result<Of<E>, SlotError> {
        let state = self.rules().fresh(scale, magnitude)?;
        let (payload, level) = self.engine.read(bytes, true)?;
        if level != state.level {
            return Err(SlotError::Level { found: level, expected: state.level });
        }
        Ok(Ciphertext { payload, state })
    }

    /// Bytes of a written fresh ciphertext.
    pub fn fresh_bytes(&self) -> usize {
        self.engine.payload_bytes(self.rules().levels(), true)
    }

    /// Bytes of a written ciphertext that is not fresh.
    pub fn bytes(&self, ciphertext: &Of<E>) -> usize {
        self.engine.payload_bytes(ciphertext.state.level, false)
    }

    /// Writes a ciphertext; `fresh` when it is what [`encrypt`](Self::encrypt) gave.
    pub fn write(&self, ciphertext: &Of<E>, fresh: bool, out: &mut Vec<u8>) {
        self.engine.write(&ciphertext.payload, ciphertext.state.level, fresh, out);
    }

    /// Opens a ciphertext of a scale that the protocol fixes.
    ///
    /// # Errors
    /// Those of the decoding.
    pub fn open(
        &self,
        secret: &E::Secret,
        bytes: &mut &[u8],
        scale: f64,
    ) -> Result<Vec<E::Number>, SlotError> {
        let (payload, level) = self.engine.read(bytes, false)?;
        self.count(Operation::Decryption, 1, level)?;
        self.engine.decrypt(secret, &payload, scale)
    }

    /// Counts what lowers ciphertexts from a level to another.
    pub(crate) fn dropped(&self, count: usize, from: usize, to: usize) -> Result<(), SlotError> {
        (to + 1..=from).try_for_each(|at| {
            self.count(Operation::Rescaling, count * self.rules().divisions(at, at - 1), at)
        })
    }

    /// Counts decryptions of ciphertexts of a level.
    pub(crate) fn opened(&self, count: usize, level: usize) -> Result<(), SlotError> {
        self.count(Operation::Decryption, count, level)
    }

    /// Opens a ciphertext.
    ///
    /// # Errors
    /// [`SlotError::Interrupted`]
    pub fn decrypt(&self, secret: &E::Secret, ciphertext: &Of<E>) -> Result<Vec<E::Number>, SlotError> {
        self.count(Operation::Decryption, 1, ciphertext.state.level)?;
        self.engine.decrypt(secret, &ciphertext.payload, ciphertext.state.scale)
    }

    /// The same numbers with fewer primes.
    ///
    /// # Errors
    /// [`RlweError::Level`](crate::scheme::rlwe::RlweError::Level) where that is not lower, and where the errors would pass the modulus.
    pub fn drop_to<'c>(&self, ciphertext: &'c Of<E>, level: usize) -> Result<Cow<'c, Of<E>>, SlotError> {
        if level == ciphertext.state.level {
            return Ok(Cow::Borrowed(ciphertext));
        }
        let state = self.rules().dropped(&ciphertext.state, level)?;
        self.dropped(1, ciphertext.state.level, level)?;
        Ok(Cow::Owned(Ciphertext { payload: self.engine.drop_to(&ciphertext.payload, level)?, state }))
    }

    /// With as few primes as its numbers need: shortest to send.
    ///
    /// # Errors
    /// Those of [`drop_to`](Self::drop_to).
    pub fn compact(&self, ciphertext: &Of<E>) -> Result<Of<E>, SlotError> {
        Ok(self.drop_to(ciphertext, self.rules().lowest(&ciphertext.state))?.into_owned())
    }

    fn rescaled(&self, ciphertext: Of<E>) -> Result<Of<E>, SlotError> {
        if !self.rules().rescales() {
            return Ok(ciphertext);
        }
        let state = self.rules().rescaled(&ciphertext.state)?;
        self.count(Operation::Rescaling, 1, ciphertext.state.level)?;
        Ok(Ciphertext { payload: self.engine.rescale(&ciphertext.payload)?, state })
    }

    /// A sum of products with small integers; all terms have one scale, and the sum has it too.
    ///
    /// # Errors
    /// [`SlotError::Empty`], [`RlweError::Scale`](crate::scheme::rlwe::RlweError::Scale).
    pub fn sum(&self, terms: &[(&Of<E>, i32)]) -> Result<Of<E>, SlotError> {
        let level = terms.iter().map(|(term, _)| term.state.level).min().ok_or(SlotError::Empty)?;
        let known: Vec<_> = terms.iter().map(|(term, integer)| (&term.state, f64::from(*integer))).collect();
        let state = self.rules().combined(&known, level)?;
        let dropped =
            terms.iter().map(|(term, _)| self.drop_to(term, level)).collect::<Result<Vec<_>, _>>()?;
        let weighted = dropped.iter().zip(terms);
        let weighted: Vec<_> = weighted
            .map(|(term, (_, integer))| Term {
                payload: &term.payload,
                weight: f64::from(*integer),
                scale: 1.0,
            })
            .collect();
        self.count(Operation::Addition, terms.len() - 1, level)?;
        Ok(Ciphertext { payload: self.engine.combine(&weighted, state.scale)?, state })
    }

    /// A sum of products with numbers, at the scale `target`; it is rescaled where products are. Terms with the weight 0 are left out.
    ///
    /// # Errors
    /// [`SlotError::Empty`] without terms, [`RlweError::Level`](crate::scheme::rlwe::RlweError::Level) where the levels are used up.
    pub fn combine(&self, terms: &[(&Of<E>, f64)], target: f64) -> Result<Of<E>, SlotError> {
        let level = terms.iter().map(|(term, _)| term.state.level).min().ok_or(SlotError::Empty)?;
        let terms: Vec<_> =
            match terms.iter().filter(|(_, weight)| *weight != 0.0).copied().collect::<Vec<_>>() {
                // The sum is zero, at the right level and scale.
                none if none.is_empty() => terms.get(..1).unwrap_or_default().to_vec(),
                some => some,
            };
        let raw = target * self.rules().divisor(level);
        let known: Vec<_> = terms.iter().map(|(term, weight)| (&term.state, *weight)).collect();
        let state = self.rules().weighted(&known, level, raw)?;
        let dropped =
            terms.iter().map(|(term, _)| self.drop_to(term, level)).collect::<Result<Vec<_>, _>>()?;
        let weighted = dropped.iter().zip(&terms);
        let weighted: Vec<_> = weighted
            .map(|(term, (_, weight))| {
                let scale = self.rules().factor_scale(&term.state, level, target);
                Term { payload: &term.payload, weight: *weight, scale }
            })
            .collect();
        self.count(Operation::ScalarProduct, weighted.len(), level)?;
        self.count(Operation::Addition, weighted.len() - 1, level)?;
        self.rescaled(Ciphertext { payload: self.engine.combine(&weighted, raw)?, state })
    }

    /// The sum with one number in all slots.
    ///
    /// # Errors
    /// Where it would not fit.
    pub fn add_constant(&self, ciphertext: &Of<E>, value: f64) -> Result<Of<E>, SlotError> {
        let state = self.rules().plus_constant(&ciphertext.state, value)?;
        self.count(Operation::PlainAddition, 1, state.level)?;
        let payload = self.engine.add_constant(&ciphertext.payload, value, state.scale)?;
        Ok(Ciphertext { payload, state })
    }

    /// The product, slot by slot; rescaled where products are.
    ///
    /// # Errors
    /// Where the errors or the numbers would not fit, and where the levels are used up.
    pub fn multiply(
        &self,
        evaluation: &E::Evaluation,
        left: &Of<E>,
        right: &Of<E>,
    ) -> Result<Of<E>, SlotError> {
        self.dot(evaluation, &[(left, right)])
    }

    /// The sum of products, slot by slot; rescaled where products are. It is relinearised once.
    ///
    /// # Errors
    /// [`SlotError::Empty`], [`RlweError::Scale`](crate::scheme::rlwe::RlweError::Scale) where products differ in their scale, and those of [`multiply`](Self::multiply).
    pub fn dot(&self, evaluation: &E::Evaluation, pairs: &[(&Of<E>, &Of<E>)]) -> Result<Of<E>, SlotError> {
        let known: Vec<_> = pairs.iter().map(|(left, right)| (&left.state, &right.state)).collect();
        let state = self.rules().dot(&known)?;
        let dropped = pairs.iter().map(|(left, right)| {
            let lower = self.drop_to(left, state.level)?;
            // A square's factor is lowered once.
            let other =
                if std::ptr::eq(*left, *right) { None } else { Some(self.drop_to(right, state.level)?) };
            Ok((lower, other))
        });
        let dropped = dropped.collect::<Result<Vec<_>, SlotError>>()?;
        let payloads = dropped.iter().map(|(left, right)| {
            (&left.payload, right.as_ref().map_or(&left.payload, |right| &right.payload))
        });
        self.count(Operation::Product, pairs.len(), state.level)?;
        self.count(Operation::Relinearisation, 1, state.level)?;
        let payload = self.engine.dot(evaluation, &payloads.collect::<Vec<_>>())?;
        self.rescaled(Ciphertext { payload, state })
    }

    /// The product with a vector of numbers, at the scale `target`; slots beyond the vector become zeros.
    ///
    /// # Errors
    /// Like [`multiply`](Self::multiply).
    pub fn multiply_vector(
        &self,
        ciphertext: &Of<E>,
        values: &[f64],
        target: f64,
    ) -> Result<Of<E>, SlotError> {
        let level = ciphertext.state.level;
        let scale = self.rules().factor_scale(&ciphertext.state, level, target);
        let most = values.iter().map(|value| value.abs()).fold(0.0, f64::max);
        let state = self.rules().times_vector(&ciphertext.state, most, scale)?;
        self.count(Operation::PlainProduct, 1, level)?;
        let payload = self.engine.multiply_vector(&ciphertext.payload, values, scale)?;
        self.rescaled(Ciphertext { payload, state })
    }

    /// Rotations to the left by several numbers of steps; what they share is computed once.
    ///
    /// # Errors
    /// [`RlweError::Rotation`](crate::scheme::rlwe::RlweError::Rotation) without a key.
    pub fn rotate(
        &self,
        evaluation: &E::Evaluation,
        ciphertext: &Of<E>,
        steps: &[i64],
    ) -> Result<Vec<Of<E>>, SlotError> {
        let state = self.rules().rotated(&ciphertext.state)?;
        self.count(Operation::Rotation, steps.len(), state.level)?;
        let rotated = self.engine.rotate(evaluation, &ciphertext.payload, steps)?;
        Ok(rotated.into_iter().map(|payload| Ciphertext { payload, state: state.clone() }).collect())
    }

    /// Linear layers: `weights x + bias` for vectors of ciphertexts, a row of weights an output, at the scale `target`.
    ///
    /// The magnitudes of a row and its bias sum to at most `norm`. What is known of the results follows from that alone, not from the
    /// weights: so what a plan found out before there were any holds.
    ///
    /// # Errors
    /// [`SlotError::Length`] where a row does not fit the inputs, [`SlotError::Norm`] where it passes the norm, and like
    /// [`combine`](Self::combine).
    pub fn affine(
        &self,
        layer: &Linear,
        inputs: &[Of<E>],
        target: f64,
        norm: f64,
    ) -> Result<Vec<Of<E>>, SlotError> {
        let level = inputs.iter().map(|input| input.state.level).min().ok_or(SlotError::Empty)?;
        let raw = (target * self.rules().divisor(level), false);
        let sums = self.sums(layer, inputs, (level, raw), norm)?;
        map(sums, |sum| self.rescaled(sum)).into_iter().collect()
    }

    /// The same with weights at a scale of their own, and without rescaling: see [`settled`](Self::settled). Inputs may be
    /// [squares](Self::square).
    ///
    /// # Errors
    /// Those of [`affine`](Self::affine).
    pub fn layer(
        &self,
        layer: &Linear,
        inputs: &[Of<E>],
        scale: f64,
        norm: f64,
    ) -> Result<Vec<Of<E>>, SlotError> {
        let first = inputs.first().ok_or(SlotError::Empty)?;
        let level = inputs.iter().map(|input| input.state.level).min().ok_or(SlotError::Empty)?;
        // The exact circuit has such short weights too.
        self.sums(layer, inputs, (level, (first.state.scale * scale, true)), norm)
    }

    /// Rows of a layer at a level, whose products have the scale `raw`; see [`Rules::layer`].
    fn sums(
        &self,
        layer: &Linear,
        inputs: &[Of<E>],
        (level, (raw, rounded)): (usize, (f64, bool)),
        norm: f64,
    ) -> Result<Vec<Of<E>>, SlotError> {
        let (what, expected) = ("the inputs of a layer", inputs.len());
        if layer.inputs != expected {
            return Err(SlotError::Length { what, found: layer.inputs, expected });
        }
        let known: Vec<_> = inputs.iter().map(|input| &input.state).collect();
        let state = self.rules().layer(&known, level, (raw, rounded), norm)?;
        for (index, Row { terms, bias }) in layer.rows.iter().enumerate() {
            let found = terms.iter().map(|(_, weight)| weight.abs()).sum::<f64>() + bias.abs();
            if !matches!(found, found if found <= norm) {
                return Err(SlotError::Norm { row: index, found, most: norm });
            }
            if let Some((at, _)) = terms.iter().find(|(at, _)| *at >= expected) {
                return Err(SlotError::Length { what, found: at + 1, expected });
            }
            self.count(Operation::ScalarProduct, terms.len(), level)?;
            self.count(Operation::Addition, terms.len().saturating_sub(1), level)?;
            self.count(Operation::PlainAddition, 1, level)?;
        }
        let dropped = inputs.iter().map(|input| self.drop_to(input, level)).collect::<Result<Vec<_>, _>>()?;
        let payloads: Vec<_> = dropped.iter().map(|input| &input.payload).collect();
        let scales: Vec<_> = known.iter().map(|state| self.rules().factor(state, raw)).collect();
        let sums = self.engine.layer(&payloads, &scales, &layer.rows, raw)?;
        Ok(sums.into_iter().map(|payload| Ciphertext { payload, state: state.clone() }).collect())
    }

    /// The square, which is neither relinearised nor rescaled: [`layer`](Self::layer) takes it as it is.
    ///
    /// # Errors
    /// Like [`multiply`](Self::multiply).
    pub fn square(&self, ciphertext: &Of<E>) -> Result<Of<E>, SlotError> {
        let state = self.rules().square(&ciphertext.state)?;
        let dropped = self.drop_to(ciphertext, state.level)?;
        self.count(Operation::Product, 1, state.level)?;
        Ok(Ciphertext { payload: self.engine.square(&dropped.payload)?, state })
    }

    /// A sum of [squares](Self::square), relinearised.
    ///
    /// # Errors
    /// Where the errors would not fit.
    pub fn relinearised(&self, evaluation: &E::Evaluation, sum: &Of<E>) -> Result<Of<E>, SlotError> {
        let state = self.rules().rotated(&sum.state)?;
        self.count(Operation::Relinearisation, 1, state.level)?;
        Ok(Ciphertext { payload: self.engine.relinearise(evaluation, &sum.payload)?, state })
    }

    /// Rescaled as long as the scale stays at least that which products come back to (the "waterline" of EVA, PLDI 2020).
    ///
    /// # Errors
    /// Where the errors would not fit.
    pub fn settled(&self, mut ciphertext: Of<E>) -> Result<Of<E>, SlotError> {
        while self.rules().is_above(&ciphertext.state) {
            ciphertext = self.rescaled(ciphertext)?;
        }
        Ok(ciphertext)
    }
}

#[cfg(test)]
mod tests;
