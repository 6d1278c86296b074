//! The smallest parameters under which the protocol runs, and its schedules.

use std::{collections::BTreeMap, sync::Mutex};

use serde::Serialize;

use super::{Forecast, Policy, Schedule, Settings};
use crate::{
    backend::slots::{Engine, SlotError},
    protocol::non_interactive::parameters::{self, LONGEST, Lattice, Refusal, Visitor, Wish, candidate},
};

/// Most primes of Q that are tried.
const MOST_PRIMES: usize = 32;

/// Parameters, and where the client is asked under them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Planned {
    /// The scheme.
    pub scheme: Lattice,
    /// For training, where there is any, and for classification.
    pub schedules: [Option<Schedule>; 2],
}

impl Planned {
    /// What training and the classification of so many samples take.
    ///
    /// # Errors
    /// Where the parameters do not suffice.
    pub fn forecast(&self, settings: &Settings, samples: usize) -> Result<Forecast, SlotError> {
        struct Ahead<'s>(&'s Settings, &'s [Option<Schedule>; 2], usize);
        impl Visitor for Ahead<'_> {
            type Output = Result<Forecast, SlotError>;
            fn visit<E: Engine, T: Engine<Number = E::Number>>(
                self,
                engine: E,
                _twin: T,
                levels: usize,
            ) -> Self::Output {
                self.0.forecast(&engine, levels, self.1, self.2)
            }
        }
        self.scheme.visit(Ahead(settings, &self.schedules, samples))?
    }
}

struct Schedules<'s>(&'s Settings);

impl Visitor for Schedules<'_> {
    type Output = Result<[Option<Schedule>; 2], SlotError>;

    fn visit<E: Engine, T: Engine<Number = E::Number>>(
        self,
        engine: E,
        _twin: T,
        levels: usize,
    ) -> Self::Output {
        self.0.schedules(&engine, levels)
    }
}

static PLANNED: parameters::Planned<Planned> = Mutex::new(BTreeMap::new());

/// Finds parameters and schedules; remembers what it has found.
///
/// The degree is the smallest at which the circuit comes to its end, however often the client is asked. Where the policy is the paper's, the number
/// of primes is the smallest that suffices for it; where it is lazy, the one with the fewest refreshes.
///
/// # Errors
/// [`Refusal`]
pub fn plan(settings: &Settings, wish: Wish) -> Result<Planned, Refusal> {
    parameters::smallest(&PLANNED, settings, wish, |log_degree| at_degree(settings, wish, log_degree))
}

fn at_degree(settings: &Settings, wish: Wish, log_degree: u32) -> Result<Planned, Refusal> {
    let mut error = SlotError::Empty;
    let mut refusal = None;
    let mut best: Option<(u64, Planned)> = None;
    let mut plaintext_bits = 0;
    let primes = settings.levels.map_or(1..=MOST_PRIMES, |levels| levels..=levels);
    for primes in primes {
        loop {
            let mut chain = vec![settings.activation_bits; primes];
            chain[0] = LONGEST;
            let bits = settings.activation_bits;
            let Some(scheme) = candidate(wish, bits, log_degree, chain, plaintext_bits) else {
                refusal.get_or_insert(Refusal::Impossible(error.clone()));
                break;
            };
            let security_bits = scheme.security_bits();
            if security_bits < wish.security_bits {
                let modulus_bits = scheme.total_bits();
                refusal =
                    Some(Refusal::Insecure { log_degree, modulus_bits, security_bits, error: error.clone() });
                break;
            }
            let found = scheme.visit(Schedules(settings)).and_then(|found| found);
            error = match found {
                Ok(schedules) => {
                    let asked = |schedule: &Option<Schedule>| {
                        schedule.as_ref().map_or(0, |schedule| schedule.refreshes(settings).refreshed)
                    };
                    // An iteration counts once for each, a classification once.
                    let refreshes =
                        asked(&schedules[0]) * settings.iterations.max(1) as u64 + asked(&schedules[1]);
                    if best.as_ref().is_none_or(|(fewest, _)| refreshes < *fewest) {
                        best = Some((refreshes, Planned { scheme, schedules }));
                    }
                    break;
                }
                Err(error) => error,
            };
            let Some(needed) = parameters::more_plaintext_bits(&error, plaintext_bits) else { break };
            plaintext_bits = needed;
        }
        let is_paper = matches!(settings.policy, Policy::Paper(_));
        if refusal.is_some() || best.as_ref().is_some_and(|(refreshes, _)| is_paper || *refreshes == 0) {
            break;
        }
    }
    match (best, refusal) {
        (Some((_, planned)), _) => Ok(planned),
        (None, Some(refusal)) => Err(refusal),
        (None, None) => Err(Refusal::Impossible(error)),
    }
}
