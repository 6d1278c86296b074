//! What one activation takes: a polynomial of ciphertexts, or a round trip to the client.
//!
//! All seconds are those of one value: where more of them share a ciphertext, a call or a message, their share of it.

use std::sync::Arc;
use std::time::Instant;

use num_bigint::{BigInt, BigUint};

use crate::approximation::Polynomial;
use crate::backend::meter::Interrupt;
use crate::backend::slots::{Engine, Of, SlotError, Slots};
use crate::backend::{Meter, Value};
use crate::experiment::spec::Filling;
use crate::math::pool::map;
use crate::math::stream::Stream;
use crate::network::Nonlinearity;
use crate::protocol::channel::LENGTH_BYTES;
use crate::protocol::link::Place;
use crate::protocol::message::HEADER_BYTES;
use crate::protocol::non_interactive::Settings;
use crate::protocol::non_interactive::parameters::Visitor;
use crate::protocol::transcript::Traffic;
use crate::runner::cost::bench::FULL_BATCH;
use crate::runner::price::Found;
use crate::scheme::additive::{AdditiveScheme, SchemeError};
use crate::scheme::encoding::encode_signed;
use crate::scheme::registry;

/// Ciphertexts of a thread, where all threads are busy.
const TIMES: usize = 2;
/// Values of which the client's function is timed.
const VALUES: usize = 1 << 16;
/// Times that a single value goes and comes.
const TRIPS: usize = 8;

/// Evaluates a polynomial.
pub(super) struct Evaluation<'a> {
    pub(super) protocol: &'a Settings,
    pub(super) filling: Filling,
    pub(super) private: &'a Stream,
    pub(super) interrupt: &'a Interrupt,
}

/// What has been evaluated.
struct Evaluated<N> {
    /// By ciphertext.
    opened: Vec<Vec<N>>,
    /// No number is farther from the exact circuit's.
    bound: f64,
    /// Of all ciphertexts.
    seconds: f64,
}

impl Evaluation<'_> {
    /// The activation on every ciphertext, each as short as its numbers allow. A square is a product and nothing else.
    fn evaluate<E: Engine>(
        &self,
        slots: &Slots<E>,
        evaluation: &E::Evaluation,
        inputs: &[Of<E>],
    ) -> Result<Vec<Of<E>>, SlotError> {
        let activation = &self.protocol.activation;
        let is_square = *activation == Polynomial::monomial(vec![0.0, 0.0, 1.0], activation.interval);
        let precision = libm::exp2(f64::from(self.protocol.coefficient_bits));
        let one = |input: &Of<E>| {
            let value = if is_square {
                slots.multiply(evaluation, input, input)?
            } else {
                slots.polynomial(evaluation, input, activation, precision)?
            };
            slots.compact(&value)
        };
        map(inputs, one).into_iter().collect()
    }

    /// Keys, so many ciphertexts of values, and what the activation makes of them.
    fn run<E: Engine>(
        &self,
        engine: E,
        ciphertexts: usize,
        values: &[f64],
    ) -> Result<Evaluated<E::Number>, SlotError> {
        let slots = Slots::new(Arc::new(engine), Meter::new(self.interrupt.clone()));
        let (secret, evaluation) = slots.engine().generate(&[], &self.private.derive("keys"))?;
        let (scale, magnitude) = (self.protocol.input_scale(), self.protocol.input_magnitude());
        let randomness = self.private.derive("encryption");
        let inputs = (0..ciphertexts as u64)
            .map(|index| slots.encrypt(&secret, values, scale, magnitude, &randomness.item(index)))
            .collect::<Result<Vec<_>, _>>()?;
        // What happens for the first time takes longer.
        drop(self.evaluate(&slots, &evaluation, &inputs)?);
        let start = Instant::now();
        let outputs = self.evaluate(&slots, &evaluation, &inputs)?;
        let seconds = start.elapsed().as_secs_f64();
        let bound = outputs.first().map_or(0.0, |output| slots.rules().error(output.state()));
        let opened = outputs.iter().map(|output| slots.decrypt(&secret, output));
        let opened = opened.collect::<Result<Vec<_>, _>>()?;
        Ok(Evaluated { opened, bound, seconds })
    }
}

impl Visitor for Evaluation<'_> {
    type Output = Result<Found, SlotError>;

    fn visit<E: Engine, T: Engine<Number = E::Number>>(
        self,
        engine: E,
        twin: T,
        _levels: usize,
    ) -> Self::Output {
        let (ciphertexts, held) = match self.filling {
            Filling::One => (1, 1),
            Filling::Full => (rayon::current_num_threads() * TIMES, engine.slots()),
        };
        // All over what the circuit allows for.
        let reach = self.protocol.input_magnitude();
        let at = |index: usize| reach * (2.0 * (index + 1) as f64 / (held + 1) as f64 - 1.0);
        let values: Vec<f64> =
            (0..held).map(at).map(|value| if held == 1 { reach / 2.0 } else { value }).collect();
        let Evaluated { opened, bound, seconds } = self.run(engine, ciphertexts, &values)?;
        let twin = self.run(twin, 1, &values)?;
        let exact = twin.opened.first().ok_or(SlotError::Empty)?;
        let mut found = Found::default();
        let (mut mismatches, mut greatest) = (0_usize, 0.0_f64);
        for (number, exact) in opened.iter().flat_map(|numbers| numbers.iter().zip(exact).take(held)) {
            match (number.integer(), exact.integer()) {
                (Some(a), Some(b)) => mismatches += usize::from(a != b),
                _ => greatest = greatest.max((number.to_f64() - exact.to_f64()).abs()),
            }
        }
        if bound > 0.0 {
            // To a tenth of a bit, as elsewhere; nothing at all has no logarithm.
            found.result("log2_error_max", libm::rint(libm::log2(greatest.max(f64::EPSILON)) * 10.0) / 10.0);
            found.result("log2_error_bound", libm::log2(bound));
        } else {
            found.result("mismatches", mismatches as f64);
        }
        found.disagrees = mismatches > 0 || !matches!(greatest, error if error <= bound.max(0.0));
        found.result("values", held as f64);
        let each = seconds / (ciphertexts * held) as f64;
        found.seconds("seconds_communication", 0.0);
        found.seconds("seconds_crypto", 0.0);
        found.seconds("seconds_activation", each);
        found.seconds("seconds_total", each);
        Ok(found)
    }
}

/// Sends ciphertexts to the client, who decrypts, activates and encrypts.
pub(super) struct RoundTrip<'a> {
    pub(super) activation: &'a Nonlinearity,
    pub(super) link: Place,
    pub(super) filling: Filling,
    pub(super) private: &'a Stream,
}

impl registry::Visitor for RoundTrip<'_> {
    type Output = Result<Found, SchemeError>;

    fn visit<S: AdditiveScheme + Clone>(self, scheme: S) -> Self::Output {
        let secret = scheme.generate_keys(&self.private.derive("keys"))?;
        let public = scheme.public_key(&secret);
        let modulus = scheme.plaintext_modulus(public);
        let (count, trips) = match self.filling {
            Filling::One => (1, TRIPS),
            Filling::Full => (rayon::current_num_threads() * TIMES * FULL_BATCH, 1),
        };
        let message = |index: usize| {
            let value = BigInt::from(index) - BigInt::from(count / 2);
            let is_found = scheme.message_bound().is_none_or(|most| *value.magnitude() <= most);
            let value = if is_found { value } else { BigInt::ZERO };
            // Far below the modulus.
            encode_signed(&value, modulus).unwrap_or_default()
        };
        let messages: Vec<BigUint> = (0..count).map(message).collect();
        let randomness = self.private.derive("encryption");
        // Tables are made for the first of them.
        let first = scheme.encrypt_own(&secret, &messages[..1], &randomness)?;
        scheme.decrypt(&secret, &first)?;
        let sent = scheme.encrypt_own(&secret, &messages, &randomness.item(0))?;
        let mut mismatches = 0;
        let start = Instant::now();
        for trip in 1..=trips as u64 {
            let opened = scheme.decrypt(&secret, &sent)?;
            mismatches += opened.iter().zip(&messages).filter(|(a, b)| a != b).count();
            std::hint::black_box(scheme.encrypt_own(&secret, &messages, &randomness.item(trip))?);
        }
        let crypto = start.elapsed().as_secs_f64() / (trips * count) as f64;

        let inputs: Vec<f64> = (0..VALUES).map(|index| index as f64 / VALUES as f64 * 8.0 - 4.0).collect();
        let start = Instant::now();
        std::hint::black_box(inputs.iter().map(|z| self.activation.value(*z)).sum::<f64>());
        let activation = start.elapsed().as_secs_f64() / VALUES as f64;

        let bytes = (LENGTH_BYTES + HEADER_BYTES + count * scheme.ciphertext_bytes()) as u64;
        let traffic = Traffic {
            rounds: 1,
            messages_up: 1,
            messages_down: 1,
            bytes_up: bytes,
            bytes_down: bytes,
            ciphertexts_up: count as u64,
            ciphertexts_down: count as u64,
        };
        let communication = self.link.model().seconds(&traffic) / count as f64;
        let mut found = Found::default();
        found.counts.extend(traffic.by_name().map(|(name, count)| (name.to_owned(), count)));
        found.result("values", count as f64);
        found.result("mismatches", mismatches as f64);
        found.disagrees = mismatches > 0;
        found.seconds("seconds_communication", communication);
        found.seconds("seconds_crypto", crypto);
        found.seconds("seconds_activation", activation);
        found.seconds("seconds_total", communication + crypto + activation);
        Ok(found)
    }
}
