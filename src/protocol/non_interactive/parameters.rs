//! The smallest parameters of a scheme over rings under which a circuit can be decrypted.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use num_bigint::BigUint;
use serde::Serialize;

use super::{Forecast, Settings};
use crate::{
    backend::slots::{Approximate, Engine, Exact, Integers, Reals, SlotError},
    math::rns::prime::transform_primes,
    network::Step,
    scheme::{
        bfv::Bfv,
        bgv::Bgv,
        registry::LatticeName,
        rlwe::{Literal, Place},
        security::lattice_security_bits,
    },
};

/// Bits of primes that hold more than a scale: the longest that vector products take.
pub(in crate::protocol) const LONGEST: u32 = 50;
/// Lengths of primes that are tried for a circuit of squares under CKKS, where the scale need not be that of a prime: those whose residues
/// sums of products take in one limb.
const LENGTHS: std::ops::RangeInclusive<u32> = 24..=31;
/// Degrees that are tried, as powers of two.
const LOG_DEGREES: std::ops::RangeInclusive<u32> = 12..=16;
/// Most primes of Q that are tried.
const MOST_PRIMES: usize = 40;
/// Most bits of the product of all plaintext moduli.
/// Scales are `f64`, which ends at 2^1024.
const MOST_PLAINTEXT_BITS: u64 = 1000;
/// Most bits of a plaintext modulus: with these a level of BGV takes one prime.
const PLAINTEXT_BITS: u64 = 34;

/// A scheme over a ring with all its parameters.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Lattice {
    /// Which.
    pub name: LatticeName,
    /// log2 of the ring degree.
    pub log_degree: u32,
    /// Bits of the primes of Q.
    pub modulus_bits: Vec<u32>,
    /// Bits of the special primes.
    pub special_bits: Vec<u32>,
    /// t, of several instances of an exact scheme; none in CKKS.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub plaintext_moduli: Vec<u64>,
    /// The scale that CKKS' products come back to, as a power of two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_bits: Option<u32>,
}

/// Something to do with the engine of a scheme and its twin.
pub trait Visitor {
    /// What it yields.
    type Output;
    /// Does it.
    fn visit<E: Engine, T: Engine<Number = E::Number>>(
        self,
        engine: E,
        twin: T,
        levels: usize,
    ) -> Self::Output;
}

impl Lattice {
    /// Bits of Q P as they add up from the lengths of its primes, which is no less than what the product has.
    pub fn total_bits(&self) -> u32 {
        self.modulus_bits.iter().chain(&self.special_bits).sum()
    }

    /// Security by the 2024 guidelines.
    pub fn security_bits(&self) -> u32 {
        lattice_security_bits(self.log_degree, self.total_bits())
    }

    /// The product of the plaintext moduli, in bits; 0 in CKKS.
    pub fn plaintext_bits(&self) -> u64 {
        self.plaintext_moduli.iter().map(|t| BigUint::from(*t)).reduce(|a, b| a * b).map_or(0, |t| t.bits())
    }

    fn literal(&self) -> Literal {
        Literal {
            log_degree: self.log_degree,
            modulus_bits: self.modulus_bits.clone(),
            special_bits: self.special_bits.clone(),
        }
    }

    /// Makes the engine and its twin and hands them to the visitor.
    ///
    /// # Errors
    /// Those of the scheme's parameters.
    pub fn visit<V: Visitor>(&self, visitor: V) -> Result<V::Output, SlotError> {
        let (literal, levels) = (self.literal(), self.modulus_bits.len());
        Ok(match self.name {
            LatticeName::Bgv => {
                let engine = Exact::<Bgv>::try_new(&literal, &self.plaintext_moduli, Place::Lowest)?;
                let twin = Integers::of(&engine, levels, engine.modulus());
                visitor.visit(engine, twin, levels)
            }
            LatticeName::Bfv => {
                let engine = Exact::<Bfv>::try_new(&literal, &self.plaintext_moduli, Place::Highest)?;
                let twin = Integers::of(&engine, levels, engine.modulus());
                visitor.visit(engine, twin, levels)
            }
            LatticeName::Ckks => {
                let scale = libm::exp2(f64::from(self.scale_bits.unwrap_or_default()));
                let engine = Approximate::try_new(&literal, scale)?;
                let twin = Reals::of(&engine, levels);
                visitor.visit(engine, twin, levels)
            }
        })
    }

    /// What so many samples take.
    ///
    /// # Errors
    /// Where these parameters do not suffice for the circuit.
    pub fn forecast(&self, settings: &Settings, samples: usize) -> Result<Forecast, SlotError> {
        self.forecast_of(&settings.hollow(), settings, samples)
    }

    fn forecast_of(
        &self,
        hollow: &[Step],
        settings: &Settings,
        samples: usize,
    ) -> Result<Forecast, SlotError> {
        struct Ahead<'s>(&'s [Step], &'s Settings, usize);
        impl Visitor for Ahead<'_> {
            type Output = Result<Forecast, SlotError>;
            fn visit<E: Engine, T: Engine<Number = E::Number>>(
                self,
                engine: E,
                _twin: T,
                levels: usize,
            ) -> Self::Output {
                self.1.forecast_of(self.0, &engine, levels, self.2)
            }
        }
        self.visit(Ahead(hollow, settings, samples))?
    }
}

/// What is asked of parameters.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Wish {
    /// The scheme.
    pub name: LatticeName,
    /// log2 of the ring degree, where it is given.
    pub log_degree: Option<u32>,
    /// Bits of security; 0 where the file asks for a paper's own parameters.
    pub security_bits: u32,
}

/// Why there are no parameters.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The shortest modulus that was not refused for its security does not suffice for the circuit.
    #[error(
        "the circuit takes a modulus of {modulus_bits} bits or more, which gives {security_bits} bits of security at the ring degree \
         2^{log_degree} (with less: {error})"
    )]
    Insecure {
        /// log2 of the degree.
        log_degree: u32,
        /// Bits of the next longer modulus.
        modulus_bits: u32,
        /// Its security.
        security_bits: u32,
        /// What was wrong with the modulus before.
        error: SlotError,
    },
    /// The circuit takes more than any parameters that are tried.
    #[error("no parameters suffice for the circuit: {0}")]
    Impossible(SlotError),
}

/// What has been planned in this process: the points of a sweep often share a circuit.
pub(in crate::protocol) type Planned<T> = Mutex<BTreeMap<String, Result<T, Refusal>>>;

static PLANNED: Planned<Lattice> = Mutex::new(BTreeMap::new());

/// Finds the smallest degree, and for it the shortest modulus, under which a circuit can be decrypted; remembers what it has found.
///
/// # Errors
/// [`Refusal`]
pub fn plan(settings: &Settings, wish: Wish) -> Result<Lattice, Refusal> {
    let hollow = settings.hollow();
    smallest(&PLANNED, settings, wish, |log_degree| at_degree(settings, &hollow, wish, log_degree))
}

/// What is found at the smallest degree where anything is found; remembered for these settings and this wish.
pub(in crate::protocol) fn smallest<T: Clone>(
    planned: &Planned<T>,
    settings: &impl Serialize,
    wish: Wish,
    at_degree: impl Fn(u32) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    let search = || {
        let degrees = wish.log_degree.map_or(LOG_DEGREES, |log_degree| log_degree..=log_degree);
        let mut refusal = Refusal::Impossible(SlotError::Empty);
        for log_degree in degrees {
            match at_degree(log_degree) {
                Ok(found) => return Ok(found),
                Err(refused) => refusal = refused,
            }
        }
        Err(refusal)
    };
    let Ok(key) = serde_json::to_string(&(settings, wish)) else { return search() };
    if let Some(found) = planned.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return found.clone();
    }
    let found = search();
    planned.lock().unwrap_or_else(PoisonError::into_inner).insert(key, found.clone());
    found
}

/// Bits of the plaintext modulus with which a circuit is tried again that was refused for too few; none where that was not why, or more are
/// not to be had.
pub(in crate::protocol) fn more_plaintext_bits(error: &SlotError, plaintext_bits: u64) -> Option<u64> {
    let SlotError::Wrapped { needed, .. } = error else { return None };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bits of a number; saturates"
    )]
    let needed = (needed.ceil() as u64).saturating_add(2);
    (needed > plaintext_bits && needed <= MOST_PLAINTEXT_BITS).then_some(needed)
}

fn at_degree(settings: &Settings, hollow: &[Step], wish: Wish, log_degree: u32) -> Result<Lattice, Refusal> {
    let mut error = SlotError::Empty;
    let mut plaintext_bits = 0;
    let is_free = settings.measured.is_some() && wish.name == LatticeName::Ckks;
    let lengths = if is_free { LENGTHS } else { settings.input_bits..=settings.input_bits };
    for primes in 1..=MOST_PRIMES {
        'lengths: for length in lengths.clone() {
            // The plaintext modulus grows until the numbers fit, whatever the errors do.
            loop {
                let mut chain = vec![length; primes];
                if settings.measured.is_none() {
                    chain[0] = LONGEST;
                }
                let candidate = candidate(wish, settings.input_bits, log_degree, chain, plaintext_bits);
                let Some(candidate) = candidate else { return Err(Refusal::Impossible(error)) };
                let security_bits = candidate.security_bits();
                if security_bits < wish.security_bits {
                    // More primes may be shorter.
                    if length > *lengths.start() {
                        break 'lengths;
                    }
                    let modulus_bits = candidate.total_bits();
                    return Err(Refusal::Insecure { log_degree, modulus_bits, security_bits, error });
                }
                error = match candidate.forecast_of(hollow, settings, 1) {
                    Ok(_) => return Ok(candidate),
                    Err(error) => error,
                };
                let Some(needed) = more_plaintext_bits(&error, plaintext_bits) else { break };
                plaintext_bits = needed;
            }
        }
    }
    Err(Refusal::Impossible(error))
}

/// Parameters with as many primes as `chain` has, in CKKS of these lengths; `None` where there are no such primes.
pub(in crate::protocol) fn candidate(
    wish: Wish,
    scale_bits: u32,
    log_degree: u32,
    chain: Vec<u32>,
    plaintext_bits: u64,
) -> Option<Lattice> {
    let (modulus_bits, plaintext_moduli, scale_bits) = match wish.name {
        LatticeName::Ckks => (chain, Vec::new(), Some(scale_bits)),
        LatticeName::Bgv | LatticeName::Bfv => {
            let count = plaintext_bits.div_ceil(PLAINTEXT_BITS - 1).max(1);
            let least = (plaintext_bits.div_ceil(count) + 1).clamp(u64::from(log_degree) + 4, PLAINTEXT_BITS);
            let count = usize::try_from(count).ok()?;
            // Of a length near that of the degree there are few primes.
            let mut lengths =
                (u32::try_from(least).ok()?..).take_while(|bits| u64::from(*bits) <= PLAINTEXT_BITS);
            let of_length = |bits| Some((bits, transform_primes(bits, 1 << log_degree, count, &[])?));
            let (bits, moduli) = lengths.find_map(of_length)?;
            // A level of BGV: what rounding leaves, and a few bits for sums.
            let level =
                if wish.name == LatticeName::Bgv { (bits + log_degree + 4).min(LONGEST) } else { LONGEST };
            (vec![level; chain.len()], moduli, None)
        }
    };
    // A digit of so many primes that are one bit shorter than the special ones leaves an error near that of rounding.
    let longest = match wish.name {
        LatticeName::Ckks => modulus_bits.iter().max().map_or(LONGEST, |bits| (bits + 1).min(LONGEST)),
        LatticeName::Bgv | LatticeName::Bfv => LONGEST,
    };
    let special_bits = vec![longest; special_primes(&modulus_bits, longest, log_degree, wish.security_bits)];
    Some(Lattice { name: wish.name, log_degree, modulus_bits, special_bits, plaintext_moduli, scale_bits })
}

/// How many special primes make the switch of keys cheapest, among those that keep the security.
fn special_primes(modulus_bits: &[u32], longest: u32, log_degree: u32, security_bits: u32) -> usize {
    let (primes, bits) = (modulus_bits.len(), modulus_bits.iter().sum::<u32>());
    let secure = |special: &usize| {
        let total = bits + longest * u32::try_from(*special).unwrap_or(u32::MAX / longest);
        lattice_security_bits(log_degree, total) >= security_bits
    };
    // Digits times the rows that each of them has.
    let cost = |special: &usize| primes.div_ceil(*special) * (primes + special);
    (1..=primes).filter(secure).min_by_key(cost).unwrap_or(1)
}
