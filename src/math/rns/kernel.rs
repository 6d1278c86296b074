//! Arithmetic on rows of residues in vectors, for primes of at most 50 bits.

use super::Prime;
use crate::math::vector::{DIGIT_BITS, Engine, Task, Unit};

/// Most bits of a prime that the kernels take.
pub(super) const MAX_BITS: u32 = 50;
/// Most terms whose products are summed without being reduced.
pub(super) const MAX_TERMS: usize = 14;

/// Terms that are summed at once.
const GROUP: usize = 4;

/// Most bits of [`Convert`]'s `shift`: that many more than 2^5 terms need not fit a digit.
const MAX_SHIFT: u32 = 46;

/// Whether the kernels take a row of this length modulo this prime.
fn takes(prime: Prime, degree: usize) -> bool {
    prime.bits() <= MAX_BITS && degree.is_multiple_of(8)
}

/// `x` or `x - less`, whichever does not wrap.
#[expect(clippy::inline_always, reason = "part of a task")]
#[inline(always)]
fn subtract_once<U: Unit>(unit: U, x: U::Sum, less: U::Sum) -> U::Sum {
    unit.min(x, unit.subtract(x, less))
}

/// What is done with two rows, to the first.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pointwise {
    Add,
    Subtract,
}

/// Sums or differences of residues.
struct Combine<'a> {
    prime: Prime,
    how: Pointwise,
    left: &'a mut [u64],
    right: &'a [u64],
}

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
impl Task for Combine<'_> {
    type Output = ();

    #[inline(always)]
    fn run<U: Unit>(self, unit: U) {
        let modulus = unit.sum(self.prime.value());
        let rows = self.left.chunks_exact_mut(U::LANES).zip(self.right.chunks_exact(U::LANES));
        for (left, right) in rows {
            let (a, b) = (unit.load_sum(left), unit.load_sum(right));
            let sum = match self.how {
                Pointwise::Add => unit.add(a, b),
                Pointwise::Subtract => unit.add(a, unit.subtract(modulus, b)),
            };
            unit.store_sum(subtract_once(unit, sum, modulus), left);
        }
    }
}

/// Products of residues with one factor.
struct Scale<'a> {
    prime: Prime,
    row: &'a mut [u64],
    factor: u64,
}

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
impl Task for Scale<'_> {
    type Output = ();

    #[inline(always)]
    fn run<U: Unit>(self, unit: U) {
        let value = self.prime.value();
        let (modulus, factor) = (unit.modulus(value), unit.factor(U::words(self.factor, value)));
        for lanes in self.row.chunks_exact_mut(U::LANES) {
            unit.finish(unit.times(unit.enter(lanes), &factor, &modulus), &modulus, lanes);
        }
    }
}

/// Residues of numbers of a magnitude below the prime.
struct Reduce<'a> {
    prime: Prime,
    row: &'a mut [u64],
    numbers: &'a [i64],
}

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
impl Task for Reduce<'_> {
    type Output = ();

    #[inline(always)]
    fn run<U: Unit>(self, _: U) {
        let prime = self.prime.value();
        for (residue, number) in self.row.iter_mut().zip(self.numbers) {
            // The sign in all bits: without a branch, so that the compiler makes vectors of it.
            *residue = number.cast_unsigned().wrapping_add((number >> 63).cast_unsigned() & prime);
        }
    }
}

/// Residues of numbers, none of which is greater in magnitude than `greatest`.
pub(super) fn reduce(prime: Prime, row: &mut [u64], numbers: &[i64], greatest: u64) {
    if greatest < prime.value() {
        return Engine::fastest().run(Reduce { prime, row, numbers });
    }
    for (residue, number) in row.iter_mut().zip(numbers) {
        *residue = prime.reduce_signed(*number);
    }
}

/// Adds to residues others times a factor.
struct AddScaled<'a> {
    prime: Prime,
    sum: &'a mut [u64],
    row: &'a [u64],
    factor: u64,
}

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
impl Task for AddScaled<'_> {
    type Output = ();

    #[inline(always)]
    fn run<U: Unit>(self, unit: U) {
        let value = self.prime.value();
        let (modulus, factor) = (unit.modulus(value), unit.factor(U::words(self.factor, value)));
        for (sum, row) in self.sum.chunks_exact_mut(U::LANES).zip(self.row.chunks_exact(U::LANES)) {
            let product = unit.times(unit.enter(row), &factor, &modulus);
            unit.leave(unit.plus(unit.enter(sum), product), &modulus, sum);
        }
    }
}

/// Adds to residues others times a factor.
pub(super) fn add_scaled(prime: Prime, sum: &mut [u64], row: &[u64], factor: u64) {
    if takes(prime, sum.len()) {
        return Engine::fastest().run(AddScaled { prime, sum, row, factor });
    }
    for (sum, residue) in sum.iter_mut().zip(row) {
        *sum = prime.add(*sum, prime.multiply(*residue, factor));
    }
}

/// Adds or subtracts residues.
pub(super) fn combine(prime: Prime, how: Pointwise, left: &mut [u64], right: &[u64]) {
    if takes(prime, left.len()) {
        return Engine::fastest().run(Combine { prime, how, left, right });
    }
    for (left, right) in left.iter_mut().zip(right) {
        *left = match how {
            Pointwise::Add => prime.add(*left, *right),
            Pointwise::Subtract => prime.subtract(*left, *right),
        };
    }
}

/// Multiplies residues by one.
pub(super) fn scale(prime: Prime, row: &mut [u64], factor: u64) {
    if takes(prime, row.len()) {
        return Engine::fastest().run(Scale { prime, row, factor });
    }
    for residue in row {
        *residue = prime.multiply(*residue, factor);
    }
}

/// A source prime of a conversion.
#[derive(Debug, Clone, Copy)]
struct Source {
    /// 2^(52 + shift) / q, rounded down
    reciprocal: u64,
}

/// A target prime of a conversion.
#[derive(Debug, Clone)]
struct Target {
    prime: Prime,
    /// Q/q for every source, and then -Q
    factors: Vec<u64>,
}

/// The constants of a conversion in vectors.
#[derive(Debug, Clone)]
pub(super) struct Tables {
    sources: Vec<Source>,
    targets: Vec<Target>,
    /// Fractions are summed in units of 2^-`shift`.
    shift: u32,
}

impl Tables {
    /// From the sources and the targets with `Q/q` for every source and then `-Q`; `None` where the kernel does not take
    /// them.
    pub(super) fn try_new(sources: &[Prime], targets: &[(Prime, Vec<u64>)]) -> Option<Self> {
        let mut primes = sources.iter().chain(targets.iter().map(|(prime, _)| prime));
        if sources.len() > MAX_TERMS || primes.any(|prime| prime.bits() > MAX_BITS) {
            return None;
        }
        let least = sources.iter().map(|prime| prime.bits() - 1).min()?;
        let shift = least.min(MAX_SHIFT);
        let source = |prime: &Prime| {
            #[expect(clippy::cast_possible_truncation, reason = "below 2^52, as the prime is above 2^shift")]
            let reciprocal = ((1_u128 << (DIGIT_BITS + shift)) / u128::from(prime.value())) as u64;
            Source { reciprocal }
        };
        let target =
            |(prime, factors): &(Prime, Vec<u64>)| Target { prime: *prime, factors: factors.clone() };
        Some(Self {
            sources: sources.iter().map(source).collect(),
            targets: targets.iter().map(target).collect(),
            shift,
        })
    }
}

/// Converts a stretch of coefficients between bases; see [`Conversion`](super::Conversion).
pub(super) struct Convert<'a, 'r> {
    pub(super) tables: &'a Tables,
    /// a stretch of every source's row, weighted
    pub(super) rows: &'a [&'a [u64]],
    /// the same stretch of every target's
    pub(super) out: Vec<&'r mut [u64]>,
}

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
impl Task for Convert<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<U: Unit>(self, unit: U) {
        let Tables { sources, targets, shift } = self.tables;
        let zero = unit.digit(0);
        let minus = |bias: u64, terms: usize| unit.sum(0_u64.wrapping_sub(bias.wrapping_mul(terms as u64)));
        let start = |terms| (minus(U::LOW_BIAS, terms), minus(U::HIGH_BIAS, terms));
        let count = sources.len();
        let (down, half) = (unit.digit(1 << (DIGIT_BITS - shift)), unit.sum(1 << (shift - 1)));
        let vectors = self.rows.first().map_or(0, |row| row.len()) / U::LANES;
        let mut reciprocals = [zero; MAX_TERMS];
        for (reciprocal, source) in reciprocals.iter_mut().zip(sources) {
            *reciprocal = unit.digit(source.reciprocal);
        }
        // The y_i and then v: vector by vector, the terms of each together.
        let mut terms = vec![zero; (count + 1) * vectors];
        for (vector, terms) in terms.chunks_exact_mut(count + 1).enumerate() {
            let at = vector * U::LANES;
            // The sum of the y_i / q_i in units of 2^-shift, its fraction dropped.
            let (mut low, mut high) = start(count);
            for ((row, term), reciprocal) in self.rows.iter().zip(&mut *terms).zip(&reciprocals) {
                *term = unit.enter(&row[at..at + U::LANES]);
                (low, high) = unit.multiply_add(low, high, *term, *reciprocal);
            }
            let sum = unit.add(unit.add(high, unit.carry(low)), half);
            let (low, high) = start(1);
            let (low, high) = unit.multiply_add(low, high, unit.low_digit(sum), down);
            terms[count] = unit.low_digit(unit.add(high, unit.carry(low)));
        }
        for (target, out) in targets.iter().zip(self.out) {
            let modulus = unit.modulus(target.prime.value());
            let mut factors = [zero; MAX_TERMS + 1];
            for (factor, value) in factors.iter_mut().zip(&target.factors) {
                *factor = unit.constant(*value);
            }
            for first in (0..=count).step_by(GROUP) {
                let terms = terms.chunks_exact(count + 1);
                match count + 1 - first {
                    1 => add_terms::<U, 1>(unit, &modulus, terms, &factors, first, out),
                    2 => add_terms::<U, 2>(unit, &modulus, terms, &factors, first, out),
                    3 => add_terms::<U, 3>(unit, &modulus, terms, &factors, first, out),
                    _ => add_terms::<U, GROUP>(unit, &modulus, terms, &factors, first, out),
                }
            }
        }
    }
}

/// The sums of products of some of each vector's terms, from the `first` on, and of what is there unless that is the very first.
#[expect(clippy::inline_always, reason = "part of a task")]
#[inline(always)]
fn add_terms<U: Unit, const COUNT: usize>(
    unit: U,
    modulus: &U::Modulus,
    terms: std::slice::ChunksExact<'_, U::Digit>,
    factors: &[U::Digit; MAX_TERMS + 1],
    first: usize,
    out: &mut [u64],
) {
    let mut own = [unit.constant(0); COUNT];
    own.copy_from_slice(&factors[first..first + COUNT]);
    for (terms, out) in terms.zip(out.chunks_exact_mut(U::LANES)) {
        let base = if first == 0 { unit.constant(0) } else { unit.enter(out) };
        let mut products = unit.products(base);
        for (term, factor) in terms[first..first + COUNT].iter().zip(own) {
            products = unit.add_product(products, *term, factor);
        }
        unit.finish(unit.total(products, modulus), modulus, out);
    }
}
