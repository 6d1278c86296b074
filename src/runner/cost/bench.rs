//! Seconds of an additive scheme's operations, in batches as a protocol has them.
//!
//! Times are those of whole calls, because calls are what a protocol makes: one ciphertext takes a vector unit as long as eight, products of
//! powers share tables among the rows of a layer and squarings among its columns, and how much they share depends on the layer.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Instant;

use num_bigint::{BigInt, BigUint, Sign};

use crate::math::rows::Rows;
use crate::math::stream::Stream;
use crate::protocol::split::Shape;
use crate::scheme::additive::{AdditiveScheme, SchemeError};
use crate::scheme::packing::Packing;

/// Ciphertexts of a batch that fills lanes and threads.
pub(in crate::runner) const FULL_BATCH: usize = 64;
/// Seconds that the encryption of a batch may take here.
const LONGEST_MEASUREMENT: f64 = 1.0;
/// Products with weights that are measured of a layer; of a larger one, so many and half as many.
const MOST_PRODUCTS: usize = 1 << 14;
/// Columns that a layer keeps when it is thinned.
const FEWEST_COLUMNS: usize = 16;
/// Plaintexts that are packed side by side, at most: lanes and threads are full.
const MOST_PACKS: usize = 16;
/// Outputs that a backend computes in one call.
const OUTPUTS_AT_ONCE: usize = 64;
/// A measurement is repeated until it has taken as long as this.
const SHORTEST: f64 = 2e-3;

/// Bits of a layer's weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::runner) enum Weights {
    /// Weights as trainings leave them, with so many fraction bits: the more of them are summed, the smaller they are.
    Trained(u32),
    /// All of so many bits, as under masks.
    Long(u32),
}

/// What is measured at several sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::runner) enum Call {
    /// Under one's own key.
    EncryptOwn,
    /// Under another's.
    Encrypt,
    Decrypt,
    Rerandomise,
    AddPlain,
    Add,
    /// From numbers to bytes and back, with the checks of a reader.
    Wire,
}

/// A scheme with keys, and ciphertexts to compute with.
pub(in crate::runner) struct Bench<'s, S: AdditiveScheme> {
    scheme: &'s S,
    secret: S::SecretKey,
    message: BigUint,
    ciphertexts: Vec<S::Ciphertext>,
    randomness: Stream,
    /// of one pair of keys
    pub(in crate::runner) keys: f64,
    /// of tables that are made when a key is used for the first time, by its owner and by another
    pub(in crate::runner) tables: f64,
    known: RefCell<BTreeMap<(Call, usize), f64>>,
}

impl<'s, S: AdditiveScheme> Bench<'s, S> {
    /// Makes keys and ciphertexts.
    pub(in crate::runner) fn new(scheme: &'s S) -> Result<Self, SchemeError> {
        let randomness = Stream::seeded(0).derive("unit-costs");
        // Searches for primes differ in length: the mean of two.
        let start = Instant::now();
        let secret = scheme.generate_keys(&randomness)?;
        drop(scheme.generate_keys(&randomness.derive("again"))?);
        let keys = start.elapsed().as_secs_f64() / 2.0;
        // A circuit of short sums may have a bound below it.
        let message = BigUint::from(12_345_u32);
        let message =
            scheme.message_bound().map_or_else(|| message.clone(), |most| most.min(message.clone()));
        let mut bench = Self {
            scheme,
            secret,
            message,
            ciphertexts: Vec::new(),
            randomness,
            keys,
            tables: 0.0,
            known: RefCell::default(),
        };
        let start = Instant::now();
        bench.ciphertexts = bench.encrypted(1)?;
        std::hint::black_box(scheme.decrypt(&bench.secret, &bench.ciphertexts)?);
        std::hint::black_box(scheme.rerandomise(bench.public(), &bench.ciphertexts, &bench.randomness));
        bench.tables = start.elapsed().as_secs_f64();
        let few = 2 * rayon::current_num_threads();
        let start = Instant::now();
        bench.ciphertexts = bench.encrypted(few)?;
        let each = start.elapsed().as_secs_f64() / few as f64;
        // A layer's batch fills the lanes of vector units; where a few take long there are none to fill.
        if each * (FULL_BATCH as f64) < LONGEST_MEASUREMENT {
            bench.ciphertexts = bench.encrypted(FULL_BATCH)?;
        }
        Ok(bench)
    }

    fn public(&self) -> &S::PublicKey {
        self.scheme.public_key(&self.secret)
    }

    fn encrypted(&self, count: usize) -> Result<Vec<S::Ciphertext>, SchemeError> {
        let messages = vec![self.message.clone(); count];
        self.scheme.encrypt_own(&self.secret, &messages, &self.randomness.derive("encrypt"))
    }

    /// So many ciphertexts, over and over the same.
    fn some(&self, count: usize) -> Vec<S::Ciphertext> {
        self.ciphertexts.iter().cycle().take(count).cloned().collect()
    }

    /// Seconds of a call on so many numbers together.
    pub(in crate::runner) fn seconds(&self, call: Call, count: usize) -> Result<f64, SchemeError> {
        if count == 0 {
            return Ok(0.0);
        }
        let measured = count.min(self.ciphertexts.len());
        let share = count as f64 / measured as f64;
        if let Some(seconds) = self.known.borrow().get(&(call, measured)) {
            return Ok(seconds * share);
        }
        let (scheme, public) = (self.scheme, self.public());
        let ciphertexts = &self.ciphertexts[..measured];
        let messages = vec![self.message.clone(); measured];
        let seconds = timed(|| {
            match call {
                Call::EncryptOwn => drop(self.encrypted(measured)?),
                Call::Encrypt => drop(scheme.encrypt(public, &messages, &self.randomness)?),
                Call::Decrypt => drop(scheme.decrypt(&self.secret, ciphertexts)?),
                Call::Rerandomise => drop(scheme.rerandomise(public, ciphertexts, &self.randomness)),
                Call::AddPlain => drop(scheme.add_plain(public, ciphertexts, &messages)?),
                Call::Add => drop(scheme.add(public, ciphertexts, ciphertexts)?),
                Call::Wire => {
                    let mut bytes = Vec::with_capacity(measured * scheme.ciphertext_bytes());
                    scheme.write_ciphertexts(public, ciphertexts, &mut bytes);
                    drop(scheme.read_ciphertexts(public, &bytes)?);
                }
            }
            Ok(())
        })?;
        self.known.borrow_mut().insert((call, measured), seconds);
        Ok(seconds * share)
    }

    /// Seconds of one number of a batch that fills lanes and threads.
    pub(in crate::runner) fn each(&self, call: Call) -> Result<f64, SchemeError> {
        Ok(self.seconds(call, self.ciphertexts.len())? / self.ciphertexts.len() as f64)
    }

    /// Seconds of a linear layer on so many samples together.
    ///
    /// Of a large layer a part of the columns is measured, and a smaller one: what a column adds follows from the two, and what the rows
    /// take however many columns there are.
    pub(in crate::runner) fn layer(
        &self,
        shape: &Shape,
        samples: usize,
        weights: Weights,
    ) -> Result<f64, SchemeError> {
        if samples == 0 || shape.outputs == 0 || shape.inputs == 0 {
            return Ok(0.0);
        }
        let together = (OUTPUTS_AT_ONCE / shape.outputs).clamp(1, samples);
        let times = samples as f64 / together as f64;
        let products = shape.terms * together;
        if products <= MOST_PRODUCTS {
            return Ok(times * self.linear(shape, shape.inputs, together, weights)?);
        }
        let columns = |products_of: usize| {
            let columns = shape.inputs.saturating_mul(products_of) / products;
            columns.clamp(FEWEST_COLUMNS.min(shape.inputs), shape.inputs)
        };
        let (more, less) = (columns(MOST_PRODUCTS), columns(MOST_PRODUCTS / 2));
        let many = self.linear(shape, more, together, weights)?;
        if more == less {
            return Ok(times * many * shape.inputs as f64 / more as f64);
        }
        let few = self.linear(shape, less, together, weights)?;
        let column = ((many - few) / (more - less) as f64).max(0.0);
        Ok(times * (many + column * (shape.inputs - more) as f64))
    }

    /// Seconds of all rows of a layer on so many of its columns.
    fn linear(
        &self,
        shape: &Shape,
        columns: usize,
        samples: usize,
        weights: Weights,
    ) -> Result<f64, SchemeError> {
        let share = columns as f64 / shape.inputs as f64;
        let dense = shape.terms == shape.inputs * shape.outputs;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at least 1, at most columns"
        )]
        let terms = ((shape.terms as f64 / shape.outputs as f64 * share).round() as usize).clamp(1, columns);
        let terms = if dense { columns } else { terms };
        let fan_in = shape.terms.div_ceil(shape.outputs);
        let numbers: Vec<BigInt> = (0..(shape.outputs * terms) as u64)
            .map(|index| weight(weights, fan_in, self.randomness.derive("weights").item(index).seed_u64()))
            .collect();
        let mut rows = Rows::new(columns);
        for (index, row) in numbers.chunks(terms).enumerate() {
            // Sparse rows lie one behind the other, as windows of a picture do, and begin again where columns end.
            let start = if dense { 0 } else { index * terms % (columns - terms + 1) };
            let placed = rows.push(row.iter().enumerate().map(|(at, weight)| (start + at, weight)));
            placed.map_err(|_| SchemeError::LengthMismatch { left: start + terms, right: columns })?;
        }
        let inputs = self.some(columns * samples);
        timed(|| self.scheme.combine(self.public(), &inputs, &rows).map(drop))
    }

    /// Seconds of packing so many numbers.
    pub(in crate::runner) fn packing(&self, packing: Packing, numbers: usize) -> Result<f64, SchemeError> {
        let measured = numbers.min(MOST_PACKS * packing.slots);
        if measured == 0 {
            return Ok(0.0);
        }
        let ciphertexts = self.some(measured);
        let seconds = timed(|| packing.pack(self.scheme, self.public(), &ciphertexts).map(drop))?;
        Ok(seconds * numbers as f64 / measured as f64)
    }

    /// Seconds of hiding so many gradients by masks of so many bits: powers of one ciphertext.
    pub(in crate::runner) fn masks(&self, bits: u32, count: usize) -> Result<f64, SchemeError> {
        let measured = count.min(FULL_BATCH);
        if measured == 0 {
            return Ok(0.0);
        }
        let shape = Shape::dense(1, measured);
        let seconds = self.linear(&shape, 1, 1, Weights::Long(bits))?;
        Ok(seconds * count as f64 / measured as f64)
    }
}

/// A weight out of 64 random bits.
fn weight(weights: Weights, fan_in: usize, random: u64) -> BigInt {
    let sign = if random & 1 == 0 { Sign::Plus } else { Sign::Minus };
    let magnitude = match weights {
        Weights::Trained(bits) => {
            // Uniform in ±sqrt(6 / fan-in), as weights are before they are trained.
            let unit = (random >> 11) as f64 / (1_u64 << 53) as f64;
            let value = unit * (6.0 / fan_in.max(1) as f64).sqrt() * libm::exp2(f64::from(bits));
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "not negative; saturates"
            )]
            let rounded = value.round() as u64;
            BigUint::from(rounded.max(1))
        }
        Weights::Long(bits) => {
            let top = BigUint::from(1_u32) << bits.saturating_sub(1);
            // Half of the bits are ones.
            let mut pattern = BigUint::from(random);
            while pattern.bits() < u64::from(bits) {
                pattern = (pattern << 64_u32) + (random | 1);
            }
            top | (pattern & ((BigUint::from(1_u32) << bits.saturating_sub(1)) - 1_u32))
        }
    };
    BigInt::from_biguint(sign, magnitude)
}

/// Seconds of some work: the least of three times, or of fewer where it takes long.
fn timed(work: impl Fn() -> Result<(), SchemeError>) -> Result<f64, SchemeError> {
    let mut least = f64::INFINITY;
    let mut spent = 0.0;
    for round in 0..3 {
        let start = Instant::now();
        let mut times = 0_u32;
        loop {
            work()?;
            times += 1;
            if start.elapsed().as_secs_f64() >= SHORTEST {
                break;
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        spent += seconds;
        least = least.min(seconds / f64::from(times));
        if spent > 0.4 || (round > 0 && spent > 0.2) {
            break;
        }
    }
    Ok(least)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheme::paillier::Paillier;
    use crate::scheme::twin::Twin;

    #[test]
    fn weights_have_the_length_that_is_asked_for_and_both_signs() {
        let draw = |weights, fan_in| {
            (0..200_u64)
                .map(|index| weight(weights, fan_in, Stream::seeded(1).item(index).seed_u64()))
                .collect::<Vec<_>>()
        };
        let long = draw(Weights::Long(70), 1);
        assert!(long.iter().all(|weight| weight.bits() == 70));
        for sign in [Sign::Plus, Sign::Minus] {
            assert!(long.iter().any(|weight| weight.sign() == sign));
        }
        // 2^11 sqrt(6 / 600) is 204.8, and sqrt(6 / 6) leaves all 2^11.
        let most = |fan_in| {
            let weights = draw(Weights::Trained(11), fan_in);
            weights.iter().map(|weight| weight.magnitude().clone()).max().unwrap()
        };
        assert!(most(600) <= 205_u32.into() && most(600) > 150_u32.into(), "{}", most(600));
        assert!(most(6) <= 2048_u32.into() && most(6) > 1500_u32.into(), "{}", most(6));
    }

    /// Sparse and dense rows of every size are made, whole and thinned.
    #[test]
    fn every_shape_of_layer_is_measured() {
        let scheme = Twin::of(&Paillier::insecure_for_tests(64).unwrap(), 64);
        let bench = Bench::new(&scheme).unwrap();
        let sparse = |inputs, outputs, each| Shape {
            inputs,
            outputs,
            terms: outputs * each,
            longest: each,
            shortest: each,
            sharing: None,
        };
        for shape in [
            Shape::dense(1, 1),
            Shape::dense(3, 70),
            Shape::dense(784, 300),
            sparse(784, 720, 25),
            sparse(864, 256, 216),
            sparse(720, 180, 4),
        ] {
            for samples in [1, 3] {
                let seconds = bench.layer(&shape, samples, Weights::Trained(11)).unwrap();
                assert!(seconds > 0.0 && seconds < 60.0, "{shape:?}: {seconds}");
            }
        }
        assert!(bench.layer(&Shape::dense(0, 1), 1, Weights::Long(3)).unwrap().abs() < f64::EPSILON);
    }
}
