//! What is known of a ciphertext without opening it, and how that changes: level, scale, magnitude, and bounds on its errors.
//!
//! The rules alone decide at which level a product happens and when a prime is dropped, so that a circuit takes the same course over
//! ciphertexts, over numbers in the clear and over nothing at all.

use num_bigint::BigUint;
use num_traits::ToPrimitive;

use crate::scheme::rlwe::{Bound, Noise, RlweError};

use super::SlotError;

/// Scales that differ by less are equal: what `f64` loses in a long circuit.
const SCALE_TOLERANCE: f64 = 1e-9;

/// What is known of a ciphertext.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// Primes that are left.
    pub level: usize,
    /// What numbers are multiplied by.
    pub scale: f64,
    /// No number is greater.
    pub magnitude: f64,
    /// Bounds on errors, one a plaintext modulus.
    noise: Vec<Bound>,
}

/// How numbers are held.
#[derive(Debug, Clone)]
enum Kind {
    /// As they are.
    Real,
    /// As integers modulo a product of plaintext moduli; scales are powers of two and only grow.
    Exact { modulus: BigUint, is_levelled: bool },
    /// As reals with errors; products are rescaled to about this scale.
    Approximate { scale: f64, primes: Vec<f64> },
}

/// The rules of some parameters.
#[derive(Debug, Clone)]
pub struct Rules {
    kind: Kind,
    levels: usize,
    noises: Vec<Noise>,
}

impl Rules {
    /// For numbers that nothing is done to.
    pub fn real() -> Self {
        Self { kind: Kind::Real, levels: 1, noises: Vec::new() }
    }

    /// For integers modulo a product of plaintext moduli, one bound on errors each.
    pub fn exact(modulus: BigUint, noises: Vec<Noise>, levels: usize, is_levelled: bool) -> Self {
        Self { kind: Kind::Exact { modulus, is_levelled }, levels, noises }
    }

    /// For reals with errors: the scale that products come back to, and the primes.
    pub fn approximate(scale: f64, primes: Vec<f64>, noise: Noise) -> Self {
        Self { levels: primes.len(), kind: Kind::Approximate { scale, primes }, noises: vec![noise] }
    }

    /// Levels of a fresh ciphertext.
    pub fn levels(&self) -> usize {
        self.levels
    }

    /// Whether numbers are integers at a scale, without errors.
    pub fn is_exact(&self) -> bool {
        matches!(self.kind, Kind::Exact { .. })
    }

    /// Ciphertexts of the scheme that stand for one here.
    pub fn instances(&self) -> usize {
        self.noises.len().max(1)
    }

    /// The scale that a factor has by which a number is multiplied, so that the product, rescaled once where that is done, has the scale
    /// `target`.
    pub fn factor_scale(&self, state: &State, level: usize, target: f64) -> f64 {
        match &self.kind {
            Kind::Real => 1.0,
            Kind::Exact { .. } => target / state.scale,
            Kind::Approximate { primes, .. } => target * primes[level - 1] / state.scale,
        }
    }

    /// The scale that a factor has so that the product has the scale `raw`.
    pub fn factor(&self, state: &State, raw: f64) -> f64 {
        if matches!(self.kind, Kind::Real) { 1.0 } else { raw / state.scale }
    }

    /// Whether rescaling leaves the scale that products come back to, or more.
    pub fn is_above(&self, state: &State) -> bool {
        match &self.kind {
            Kind::Approximate { scale, primes } => {
                state.level > 1 && state.scale / primes[state.level - 1] >= *scale
            }
            Kind::Real | Kind::Exact { .. } => false,
        }
    }

    /// The scale to ask for where the numbers should be about as exact as fresh ones: in exact schemes the product of both.
    pub fn product_scale(&self, left: f64, right: f64) -> f64 {
        match &self.kind {
            Kind::Real => 1.0,
            Kind::Exact { .. } => left * right,
            Kind::Approximate { scale, .. } => *scale,
        }
    }

    /// Whether products are rescaled, so that every factor costs a level.
    pub fn rescales(&self) -> bool {
        matches!(self.kind, Kind::Approximate { .. })
    }

    /// The divisor of the scale at a level, 1 where scales stay.
    pub fn divisor(&self, level: usize) -> f64 {
        match &self.kind {
            Kind::Approximate { primes, .. } => primes[level - 1],
            Kind::Real | Kind::Exact { .. } => 1.0,
        }
    }

    /// log2 of the greatest magnitude of an encoded number.
    fn encoded(state: &State) -> Bound {
        Bound::of(state.magnitude * state.scale)
    }

    fn noise(&self, of: impl Fn(&Noise, usize) -> Bound) -> Vec<Bound> {
        self.noises.iter().enumerate().map(|(index, noise)| of(noise, index)).collect()
    }

    /// The state, if it can be opened.
    fn checked(&self, operation: &'static str, state: State) -> Result<State, SlotError> {
        let encoded = Self::encoded(&state);
        if !state.magnitude.is_finite() {
            return Err(SlotError::Unbounded { operation });
        }
        if let Kind::Exact { modulus, .. } = &self.kind {
            let available = Bound::of(modulus.to_f64().unwrap_or(f64::MAX).min(f64::MAX)).0 - 1.0;
            if encoded.0 >= available {
                return Err(SlotError::Wrapped { operation, needed: encoded.0, available });
            }
        }
        for (noise, bound) in self.noises.iter().zip(&state.noise) {
            noise.check(operation, *bound, encoded, state.level)?;
        }
        Ok(state)
    }

    /// Of a fresh encryption under one's own key.
    pub fn fresh(&self, scale: f64, magnitude: f64) -> Result<State, SlotError> {
        let noise = self.noise(|noise, _| noise.fresh(true));
        self.checked("encryption", State { level: self.levels, scale, magnitude, noise })
    }

    /// At a lower level.
    pub fn dropped(&self, state: &State, level: usize) -> Result<State, SlotError> {
        if level > state.level || level == 0 {
            let (operation, needed) = ("dropping primes", level.max(1));
            return Err(RlweError::Level { operation, level: state.level, needed }.into());
        }
        let divides = matches!(self.kind, Kind::Exact { is_levelled: true, .. });
        let noise = self.noise(|noise, index| {
            let bound = state.noise[index];
            if divides {
                (level + 1..=state.level).rev().fold(bound, |bound, at| noise.lowered(bound, at))
            } else {
                bound
            }
        });
        self.checked("dropping primes", State { level, noise, ..state.clone() })
    }

    /// Primes that are divided by, and not only left out, when a ciphertext goes to a lower level.
    pub fn divisions(&self, from: usize, to: usize) -> usize {
        if matches!(self.kind, Kind::Exact { is_levelled: true, .. }) { from.saturating_sub(to) } else { 0 }
    }

    /// Divided by the last prime, with its scale.
    pub fn rescaled(&self, state: &State) -> Result<State, SlotError> {
        let Kind::Approximate { primes, .. } = &self.kind else { return Ok(state.clone()) };
        if state.level < 2 {
            return Err(RlweError::Level { operation: "rescaling", level: state.level, needed: 2 }.into());
        }
        let noise = self.noise(|noise, index| noise.lowered(state.noise[index], state.level));
        let scale = state.scale / primes[state.level - 1];
        self.checked("rescaling", State { level: state.level - 1, scale, noise, ..state.clone() })
    }

    /// The least level at which the numbers can still be opened.
    pub fn lowest(&self, state: &State) -> usize {
        if matches!(self.kind, Kind::Exact { is_levelled: false, .. } | Kind::Real) {
            return state.level;
        }
        // From above: a bound that is not met at one level is not met below it.
        (1..state.level)
            .rev()
            .take_while(|level| self.dropped(state, *level).is_ok())
            .last()
            .unwrap_or(state.level)
    }

    /// Whether terms can be added.
    pub fn same_scale(&self, operation: &'static str, left: f64, right: f64) -> Result<(), SlotError> {
        if matches!(self.kind, Kind::Real) || (left / right - 1.0).abs() < SCALE_TOLERANCE {
            return Ok(());
        }
        let needed = format!("2^{:.12}", libm::log2(left));
        Err(RlweError::Scale { operation, scale: libm::log2(right), needed }.into())
    }

    /// A sum of products with integers, all at one scale.
    pub fn combined(&self, terms: &[(&State, f64)], level: usize) -> Result<State, SlotError> {
        let Some((first, _)) = terms.first() else { return Err(SlotError::Empty) };
        let mut magnitude = 0.0;
        let mut noise = vec![Bound::ZERO; self.noises.len()];
        for (term, integer) in terms {
            self.same_scale("a sum", first.scale, term.scale)?;
            let term = self.dropped(term, level)?;
            magnitude += term.magnitude * integer.abs();
            // Scales that are taken for equal and are not.
            let off =
                Self::encoded(&term) * Bound::of((first.scale / term.scale - 1.0).abs() * integer.abs());
            for (sum, one) in noise.iter_mut().zip(&term.noise) {
                *sum = *sum + *one * Bound::of(integer.abs()) + off;
            }
        }
        self.checked("a sum", State { level, scale: first.scale, magnitude, noise })
    }

    /// A sum of products with numbers, each rounded at its own scale so that the products have the scale `raw`; not yet rescaled.
    pub fn weighted(&self, terms: &[(&State, f64)], level: usize, raw: f64) -> Result<State, SlotError> {
        let mut magnitude = 0.0;
        let mut noise = vec![Bound::ZERO; self.noises.len()];
        for (term, weight) in terms {
            let term = self.dropped(term, level)?;
            magnitude += term.magnitude * weight.abs();
            let integer = Bound::of((weight.abs() * raw / term.scale).round());
            for ((sum, one), noise) in noise.iter_mut().zip(&term.noise).zip(&self.noises) {
                *sum = *sum + noise.times_integer(*one, Self::encoded(&term), integer);
            }
        }
        // What rounding the weights adds: in exact arithmetic it is part of the numbers.
        if let Kind::Exact { .. } = self.kind {
            magnitude += terms.iter().map(|(term, _)| term.magnitude * 0.5 * term.scale / raw).sum::<f64>();
        }
        self.checked("a sum of products", State { level, scale: raw, magnitude, noise })
    }

    /// A row of a layer with its bias, not yet rescaled: the magnitudes of both sum to at most `norm`. Where the weights of the exact
    /// circuit are `rounded` too, that they are is no error.
    pub fn layer(
        &self,
        inputs: &[&State],
        level: usize,
        (raw, rounded): (f64, bool),
        norm: f64,
    ) -> Result<State, SlotError> {
        let inputs = inputs.iter().map(|input| self.dropped(input, level)).collect::<Result<Vec<_>, _>>()?;
        let most = inputs.iter().map(|input| input.magnitude).fold(1.0, f64::max);
        let mut noise = vec![Bound::ZERO; self.noises.len()];
        let mut whole = noise.clone();
        let mut rounding = self.half_step(raw);
        for input in &inputs {
            // A weight that is rounded is off by half a step of its scale.
            rounding += input.magnitude * self.half_step(raw / input.scale);
            let integers = Bound::of(norm * raw / input.scale);
            for (index, rules) in self.noises.iter().enumerate() {
                // The greatest error times the norm is no less than the errors times their weights; rounding adds half of each input.
                let error = input.noise[index];
                whole[index] = Bound(whole[index].0.max((error * integers).0));
                let message = if rounded { Bound::ZERO } else { Self::encoded(input) };
                noise[index] = noise[index] + rules.times_integer(error, message, Bound::of(0.5));
            }
        }
        let noise = noise.into_iter().zip(whole).map(|(rounded, whole)| rounded + whole);
        let noise = noise.zip(&self.noises).map(|(bound, rules)| rules.plus_integer(bound)).collect();
        let magnitude = norm * most + rounding;
        self.checked("a layer", State { level, scale: raw, magnitude, noise })
    }

    /// A sum with a constant.
    pub fn plus_constant(&self, state: &State, value: f64) -> Result<State, SlotError> {
        let noise = self.noise(|noise, index| noise.plus_integer(state.noise[index]));
        let magnitude = state.magnitude + value.abs() + self.half_step(state.scale);
        self.checked("a sum with a constant", State { magnitude, noise, ..state.clone() })
    }

    /// What rounding may add to a number at a scale.
    fn half_step(&self, scale: f64) -> f64 {
        if matches!(self.kind, Kind::Exact { .. }) { 0.5 / scale } else { 0.0 }
    }

    /// A product with a vector of numbers that are at most `most`, at a scale; not yet rescaled.
    pub fn times_vector(&self, state: &State, most: f64, scale: f64) -> Result<State, SlotError> {
        let other = Bound::of(most * scale);
        let noise =
            self.noise(|noise, index| noise.times_message(state.noise[index], [Self::encoded(state), other]));
        let magnitude = state.magnitude * (most + self.half_step(scale));
        self.checked(
            "a product with a vector",
            State { scale: state.scale * scale, magnitude, noise, ..state.clone() },
        )
    }

    /// The sum of products at a level, relinearised where that is said, and not yet rescaled.
    fn dot_at(
        &self,
        pairs: &[(&State, &State)],
        level: usize,
        is_switched: bool,
    ) -> Result<State, SlotError> {
        let Some((left, right)) = pairs.first() else { return Err(SlotError::Empty) };
        let scale = left.scale * right.scale;
        let mut magnitude = 0.0;
        let mut noise = vec![Bound::ZERO; self.noises.len()];
        for (left, right) in pairs {
            self.same_scale("a sum of products", scale, left.scale * right.scale)?;
            let (left, right) = (self.dropped(left, level)?, self.dropped(right, level)?);
            let encoded = [Self::encoded(&left), Self::encoded(&right)];
            magnitude += left.magnitude * right.magnitude;
            // Scales that are taken for equal and are not.
            let off = encoded[0] * encoded[1] * Bound::of((scale / (left.scale * right.scale) - 1.0).abs());
            for (index, (sum, rules)) in noise.iter_mut().zip(&self.noises).enumerate() {
                *sum = *sum + rules.product([left.noise[index], right.noise[index]], encoded, level) + off;
            }
        }
        let noise = self.noise(
            |rules, index| {
                if is_switched { rules.switched(noise[index], level) } else { noise[index] }
            },
        );
        self.checked("a product", State { level, scale, magnitude, noise })
    }

    /// The sum of products where it leaves the most room: the level, and the state before rescaling.
    ///
    /// Where dropping primes makes errors smaller (BGV) that is the level with the greatest budget after the products.
    pub fn dot(&self, pairs: &[(&State, &State)]) -> Result<State, SlotError> {
        self.best_dot(pairs, true)
    }

    /// The square, not relinearised: what that adds comes with the sum that it is part of.
    pub fn square(&self, state: &State) -> Result<State, SlotError> {
        self.best_dot(&[(state, state)], false)
    }

    fn best_dot(&self, pairs: &[(&State, &State)], is_switched: bool) -> Result<State, SlotError> {
        let highest = pairs.iter().map(|(left, right)| left.level.min(right.level)).min().unwrap_or(0);
        let top = self.dot_at(pairs, highest, is_switched);
        if !matches!(self.kind, Kind::Exact { is_levelled: true, .. }) {
            return top;
        }
        let mut best = top;
        for level in (1..highest).rev() {
            match self.dot_at(pairs, level, is_switched) {
                Ok(found) if best.as_ref().map_or(true, |best| self.budget(&found) >= self.budget(best)) => {
                    best = Ok(found);
                }
                // The refusal to report is that of the highest level.
                Ok(_) | Err(_) => {}
            }
        }
        best
    }

    /// After a switch of keys: a rotation, or a relinearisation.
    pub fn rotated(&self, state: &State) -> Result<State, SlotError> {
        let noise = self.noise(|noise, index| noise.switched(state.noise[index], state.level));
        self.checked("a rotation", State { noise, ..state.clone() })
    }

    /// Bits of the modulus that errors have not used up: those of the worst plaintext modulus.
    pub fn budget(&self, state: &State) -> f64 {
        let budgets = self.noises.iter().zip(&state.noise);
        let budgets = budgets.map(|(noise, bound)| noise.budget(*bound, Self::encoded(state), state.level));
        budgets.fold(f64::INFINITY, f64::min)
    }

    /// No number is farther from the exact circuit's than this.
    pub fn error(&self, state: &State) -> f64 {
        match &self.kind {
            Kind::Real | Kind::Exact { .. } => 0.0,
            Kind::Approximate { .. } => {
                state.noise.first().map_or(0.0, |bound| libm::exp2(bound.0 - libm::log2(state.scale)))
            }
        }
    }
}
