//! Vector units: eight numbers at once in AVX-512, four in AVX2, or one at a time anywhere, behind one trait.
//!
//! A number is a row of 52-bit digits; a vector holds the same digit of as many numbers as the unit has lanes. Code is
//! written once, over `Unit`, as a `Task`, and `Engine::run` compiles it for the processor that it finds. All units
//! compute the same digits; tests hold them against each other.
//!
//! * `Ifma512`: AVX-512 IFMA, one instruction for either half of a product of digits (Ice Lake, Zen 4
//!   and later).
//! * `Float512`: AVX-512 without IFMA. The halves of a product come from double-precision fused
//!   multiply-adds that round towards zero (Emmart, Zheng, Weems: "Faster modular exponentiation using double precision
//!   floating point arithmetic on the GPU", ARITH 2018).
//! * `Float256`: AVX2 with fused multiply-adds, which round to nearest, so that low halves have a sign.
//! * `Portable`: one lane, products of 128 bits.
//!
//! The environment variable `HENN_VECTOR` (`portable`, `avx2`, `avx512f`, `avx512ifma`) narrows the choice for comparisons; a unit
//! that the processor does not have is never chosen.

use std::{fmt, sync::OnceLock};

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod float;
mod portable;
mod residues;

pub(crate) use residues::Residues;

/// Bits of a digit.
pub(crate) const DIGIT_BITS: u32 = 52;
/// The greatest digit.
pub(crate) const DIGIT_MASK: u64 = (1 << DIGIT_BITS) - 1;

/// A computation that is written for any unit. Implementations are `#[inline(always)]`, as is what they call in their hot
/// loops, so that they are compiled with the unit's instructions.
pub(crate) trait Task {
    /// What it yields.
    type Output;
    /// Computes it.
    fn run<U: Unit>(self, unit: U) -> Self::Output;
}

/// The instructions that modular arithmetic needs. A value of the type is the proof that the processor has them.
pub(crate) trait Unit: Residues + Copy + Send + Sync + 'static {
    /// A sum of digits or of products of digits of every lane. Sums wrap, so differences may be taken as long as the final
    /// value is not negative.
    type Sum: Copy + Send + Sync;
    /// A choice between two digits in every lane.
    type Choice: Copy;

    /// How many numbers are computed at once.
    const LANES: usize;
    /// Whether a product takes many steps, but an addition only a short one of its own. Then all halves of products that belong to a
    /// column are best added to one sum, and what waits for products of products is worth some more of them.
    const PATIENT: bool;
    /// What [`multiply_add`](Self::multiply_add) adds to the low sum beyond the product.
    const LOW_BIAS: u64;
    /// The same for the high sum.
    const HIGH_BIAS: u64;

    /// The engine in whose lanes a single number is computed.
    fn engine(self) -> Engine;
    /// Runs a task compiled with this unit's instructions.
    fn vectorize<T: Task>(self, task: T) -> T::Output;
    /// The same digit in all lanes.
    fn digit(self, digit: u64) -> Self::Digit;
    /// The same sum in all lanes.
    fn sum(self, value: u64) -> Self::Sum;
    /// One digit a lane, from a slice of exactly [`LANES`](Self::LANES).
    fn load(self, lanes: &[u64]) -> Self::Digit;
    /// One value a lane, from a slice of exactly [`LANES`](Self::LANES).
    fn load_sum(self, lanes: &[u64]) -> Self::Sum;
    /// One digit a lane, to a slice of exactly [`LANES`](Self::LANES).
    fn store(self, digit: Self::Digit, lanes: &mut [u64]);
    /// One value a lane, its lowest 64 bits, to a slice of exactly [`LANES`](Self::LANES).
    fn store_sum(self, sum: Self::Sum, lanes: &mut [u64]);
    /// `table[at[lane] + offset]` in every lane. Not constant in time.
    ///
    /// # Panics
    /// If an index is outside the table.
    fn gather_vartime(self, table: &[u64], at: &[usize], offset: usize) -> Self::Digit;
    /// `entries[index]` in every lane, reading all the entries: their number is a power of two of at least 8. An index
    /// beyond them counts modulo their number.
    fn pick(self, entries: &[u64], index: Self::Sum) -> Self::Digit;
    /// Adds a product, the low half to one sum and the high half to the other, which stands for the next digit; the
    /// portable unit adds the whole to the low sum.
    fn multiply_add(
        self,
        low: Self::Sum,
        high: Self::Sum,
        left: Self::Digit,
        right: Self::Digit,
    ) -> (Self::Sum, Self::Sum);
    /// `sum * factor` modulo 2^52.
    fn low_product(self, sum: Self::Sum, factor: Self::Digit) -> Self::Digit;
    /// A sum with the product of the lowest 32 bits of two others, as numbers with a sign.
    fn add_short_product(self, sum: Self::Sum, left: Self::Sum, right: Self::Sum) -> Self::Sum;
    /// The lesser, of sums as numbers without sign.
    fn min(self, left: Self::Sum, right: Self::Sum) -> Self::Sum;
    /// The lanes of `low` and then of `high` without the first `skip`, fewer than there are, for units of more than one lane.
    fn align(self, skip: usize, high: Self::Sum, low: Self::Sum) -> Self::Sum;
    /// Makes digits, each below 2^52, of the columns of one number, which the lanes of these vectors are in turn: adds `carry`
    /// to the first, and returns what is carried beyond the last. Columns of units of more than one lane are below 2^64
    /// with what is carried into them; where a unit's high halves lack a carry, a column may be negative before, modulo 2^64.
    fn settle(self, columns: &mut [Self::Sum], carry: u64) -> u64;
    /// Wrapping addition.
    fn add(self, left: Self::Sum, right: Self::Sum) -> Self::Sum;
    /// Wrapping subtraction.
    fn subtract(self, left: Self::Sum, right: Self::Sum) -> Self::Sum;
    /// The sum without its lowest 52 bits, as a sum one digit further up.
    fn carry(self, sum: Self::Sum) -> Self::Sum;
    /// The lowest 52 bits.
    fn low_digit(self, sum: Self::Sum) -> Self::Digit;
    /// A digit as a sum.
    fn widen(self, digit: Self::Digit) -> Self::Sum;
    /// The choice of the first digit in lanes where `flag` is 1, of the second where it is 0; units of one lane hide it
    /// from the compiler.
    fn choice(self, flag: Self::Sum) -> Self::Choice;
    /// The chosen digits; in constant time.
    fn select(self, choice: Self::Choice, first: Self::Digit, second: Self::Digit) -> Self::Digit;
}

/// The units that this processor can be asked for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Engine {
    /// One lane, any processor.
    Portable,
    /// AVX2 and fused multiply-adds: four lanes in floating point.
    Float256,
    /// AVX-512 F and DQ: eight lanes in floating point.
    Float512,
    /// AVX-512 IFMA: eight lanes.
    Ifma512,
}

impl Engine {
    /// All of them, slowest first.
    pub const ALL: [Self; 4] = [Self::Portable, Self::Float256, Self::Float512, Self::Ifma512];

    /// As the environment variable and reports call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Float256 => "avx2",
            Self::Float512 => "avx512f",
            Self::Ifma512 => "avx512ifma",
        }
    }

    /// Those that this processor has, slowest first; never empty.
    pub fn available() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|engine| engine.is_available())
    }

    /// The fastest that this processor has and `HENN_VECTOR` allows.
    pub fn fastest() -> Self {
        static FASTEST: OnceLock<Engine> = OnceLock::new();
        *FASTEST.get_or_init(|| {
            let limit = std::env::var("HENN_VECTOR").ok();
            let limit = limit.and_then(|name| Self::ALL.into_iter().find(|engine| engine.name() == name));
            let allowed = Self::available().filter(|engine| limit.is_none_or(|limit| *engine <= limit));
            allowed.last().unwrap_or(Self::Portable)
        })
    }

    /// How a group of so many numbers is computed.
    pub(crate) fn group(self, count: usize) -> Group {
        if count == 1 { Group::Alone(self) } else { Group::Lanes(self) }
    }

    /// The most numbers that are computed one after another in less time than in the lanes of a vector that stays mostly
    /// empty.
    pub(crate) fn few(self) -> usize {
        match self {
            Self::Portable => 1,
            Self::Float256 => 2,
            Self::Ifma512 => 3,
            Self::Float512 => 4,
        }
    }

    /// Numbers computed at once.
    pub fn lanes(self) -> usize {
        match self {
            Self::Portable => portable::Portable::LANES,
            #[cfg(target_arch = "x86_64")]
            Self::Float256 => <avx2::Float256 as Unit>::LANES,
            #[cfg(target_arch = "x86_64")]
            Self::Float512 => <avx512::Float512 as Unit>::LANES,
            #[cfg(target_arch = "x86_64")]
            Self::Ifma512 => avx512::Ifma512::LANES,
            #[cfg(not(target_arch = "x86_64"))]
            _ => 1,
        }
    }

    fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Float256 => avx2::Float256::detect().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Float512 => avx512::Float512::detect().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Ifma512 => avx512::Ifma512::detect().is_some(),
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }

    /// Runs a task with this engine's instructions, or portably where the processor lacks them.
    pub(crate) fn run<T: Task>(self, task: T) -> T::Output {
        #[cfg(target_arch = "x86_64")]
        match self {
            Self::Ifma512 => {
                if let Some(unit) = avx512::Ifma512::detect() {
                    return unit.vectorize(task);
                }
            }
            Self::Float512 => {
                if let Some(unit) = avx512::Float512::detect() {
                    return unit.vectorize(task);
                }
            }
            Self::Float256 => {
                if let Some(unit) = avx2::Float256::detect() {
                    return unit.vectorize(task);
                }
            }
            Self::Portable => {}
        }
        portable::Portable(Self::Portable).vectorize(task)
    }
}

/// How an engine computes a group of numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Group {
    /// One a lane.
    Lanes(Engine),
    /// One, across all lanes.
    Alone(Engine),
}

impl Group {
    /// Numbers computed at once.
    pub(crate) fn lanes(self) -> usize {
        match self {
            Self::Lanes(engine) => engine.lanes(),
            Self::Alone(_) => 1,
        }
    }

    /// Runs a task on a group of so many numbers.
    pub(crate) fn run<T: Task>(self, task: T) -> T::Output {
        match self {
            Self::Lanes(engine) => engine.run(task),
            Self::Alone(engine) => portable::Portable(engine).vectorize(task),
        }
    }
}

/// Runs a task portably, but compiled with instructions that this processor has and old ones lack.
pub(crate) fn run_portable<T: Task>(task: T) -> T::Output {
    #[cfg(target_arch = "x86_64")]
    let task = match avx2::run_portable(task) {
        Ok(output) => return output,
        Err(task) => task,
    };
    portable::Portable(Engine::Portable).vectorize(task)
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests;
