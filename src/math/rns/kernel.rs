//! Arithmetic on rows of residues in vectors, for primes of at most 50 bits.

use super::Prime;
use crate::math::vector::{DIGIT_BITS, Engine, Task, Unit};

/// Most bits of a prime that the kernels take.
pub(super) const MAX_BITS: u32 = 50;
/// Most terms whose products are summed without being reduced.
pub(super) const MAX_TERMS: usize = 14;

/// Most bits of [`Convert`]'s `shift`: that many more than 2^5 terms need not fit a digit.
const MAX_SHIFT: u32 = 46;

/// Whether the kernels take a row of this length modulo this prime.
fn takes(prime: Prime, degree: usize) -> bool {
    prime.bits() <= MAX_BITS && degree.is_multiple_of(8)
}

/// A residue that many others are multiplied with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Factor {
    pub(super) value: u64,
    /// value 2^52 / prime, rounded down
    pub(super) ratio: u64,
}

impl Factor {
    pub(super) fn new(prime: Prime, value: u64) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "below 2^52, as the value is below the prime")]
        let ratio = ((u128::from(value) << DIGIT_BITS) / u128::from(prime.value())) as u64;
        Self { value, ratio }
    }
}

/// `x value` modulo the prime for numbers x below 2^52, below twice the prime.
#[expect(clippy::inline_always, reason = "part of a task")]
#[inline(always)]
fn product<U: Unit>(unit: U, x: U::Digit, factor: [U::Digit; 2], modulus: U::Digit) -> U::Sum {
    unit.reduced_product(x, factor[0], factor[1], modulus)
}

#[expect(clippy::inline_always, reason = "part of a task")]
#[inline(always)]
fn digits<U: Unit>(unit: U, factor: Factor) -> [U::Digit; 2] {
    [unit.digit(factor.value), unit.digit(factor.ratio)]
}

/// `x` or `x - less`, whichever does not wrap.
#[expect(clippy::inline_always, reason = "part of a task")]
#[inline(always)]
pub(super) fn subtract_once<U: Unit>(unit: U, x: U::Sum, less: U::Sum) -> U::Sum {
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
    factor: Factor,
}

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
impl Task for Scale<'_> {
    type Output = ();

    #[inline(always)]
    fn run<U: Unit>(self, unit: U) {
        let (modulus, less) = (unit.digit(self.prime.value()), unit.sum(self.prime.value()));
        let factor = digits(unit, self.factor);
        for lanes in self.row.chunks_exact_mut(U::LANES) {
            let reduced = product(unit, unit.load(lanes), factor, modulus);
            unit.store_sum(subtract_once(unit, reduced, less), lanes);
        }
    }
}

/// Adds to residues others times a factor.
struct AddScaled<'a> {
    prime: Prime,
    sum: &'a mut [u64],
    row: &'a [u64],
    factor: Factor,
}

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
impl Task for AddScaled<'_> {
    type Output = ();

    #[inline(always)]
    fn run<U: Unit>(self, unit: U) {
        let value = self.prime.value();
        let modulus = unit.digit(value);
        let (once, twice) = (unit.sum(value), unit.sum(2 * value));
        let factor = digits(unit, self.factor);
        for (sum, row) in self.sum.chunks_exact_mut(U::LANES).zip(self.row.chunks_exact(U::LANES)) {
            let reduced = product(unit, unit.load(row), factor, modulus);
            let total = subtract_once(unit, unit.add(unit.load_sum(sum), reduced), twice);
            unit.store_sum(subtract_once(unit, total, once), sum);
        }
    }
}

/// Adds to residues others times a factor.
pub(super) fn add_scaled(prime: Prime, sum: &mut [u64], row: &[u64], factor: u64) {
    if takes(prime, sum.len()) {
        return Engine::fastest().run(AddScaled { prime, sum, row, factor: Factor::new(prime, factor) });
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
        return Engine::fastest().run(Scale { prime, row, factor: Factor::new(prime, factor) });
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
    /// 2^52, and 1
    radix: Factor,
    one: Factor,
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
        let target = |(prime, factors): &(Prime, Vec<u64>)| Target {
            prime: *prime,
            factors: factors.clone(),
            radix: Factor::new(*prime, prime.reduce(1 << DIGIT_BITS)),
            one: Factor::new(*prime, 1),
        };
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
        let mut out = self.out;
        let zero = unit.digit(0);
        let minus = |bias: u64, terms: usize| unit.sum(0_u64.wrapping_sub(bias.wrapping_mul(terms as u64)));
        let start = |terms| (minus(U::LOW_BIAS, terms), minus(U::HIGH_BIAS, terms));
        let count = sources.len();
        let (down, half) = (unit.digit(1 << (DIGIT_BITS - shift)), unit.sum(1 << (shift - 1)));
        let width = self.rows.first().map_or(0, |row| row.len());
        // y_i, and then v
        let mut terms = [zero; MAX_TERMS + 1];
        for at in (0..width).step_by(U::LANES) {
            // The sum of the y_i / q_i in units of 2^-shift, its fraction dropped.
            let (mut low, mut high) = start(count);
            for ((source, row), term) in sources.iter().zip(self.rows).zip(&mut terms) {
                *term = unit.load(&row[at..at + U::LANES]);
                (low, high) = unit.multiply_add(low, high, *term, unit.digit(source.reciprocal));
            }
            let sum = unit.add(unit.add(high, unit.carry(low)), half);
            let (low, high) = start(1);
            let (low, high) = unit.multiply_add(low, high, unit.low_digit(sum), down);
            terms[count] = unit.low_digit(unit.add(high, unit.carry(low)));
            for (target, out) in targets.iter().zip(&mut out) {
                let (mut low, mut high) = start(count + 1);
                for (term, factor) in terms.iter().zip(&target.factors) {
                    (low, high) = unit.multiply_add(low, high, *term, unit.digit(*factor));
                }
                let high = unit.add(high, unit.carry(low));
                let modulus = unit.digit(target.prime.value());
                let upper = product(unit, unit.low_digit(high), digits(unit, target.radix), modulus);
                let lower = product(unit, unit.low_digit(low), digits(unit, target.one), modulus);
                let sum = unit.add(upper, lower);
                let sum = subtract_once(unit, sum, unit.sum(2 * target.prime.value()));
                let sum = subtract_once(unit, sum, unit.sum(target.prime.value()));
                unit.store_sum(sum, &mut out[at..at + U::LANES]);
            }
        }
    }
}
