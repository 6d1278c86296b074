//! Looks for secrets in the time of arithmetic, after Reparaz, Balasch and Verbauwhede, "Dude, is my code constant time?"
//! (DATE 2017): the same operation on inputs of two classes, taken in random order, and Welch's t-test between their times.
//!
//! `cargo bench --bench constant_time`; a name as argument chooses, `--continuous NAME` goes on until it is stopped. It
//! prints one line a check. A `max t` beyond 5 in magnitude that stays, or grows with the number of samples, is a leak;
//! the checks named `control` have one, to show that one is found.

use std::path::PathBuf;

use dudect_bencher::{
    Class, CtRunner,
    ctbench::{BenchMetadata, BenchName, BenchOpts, BenchRng, run_benches_console},
};
use henn::{
    math::{
        ring::{Arithmetic, Element, Ring},
        stream::Stream,
    },
    scheme::{
        additive::AdditiveScheme,
        paillier::{Options, Paillier},
    },
};
use num_bigint::BigUint;
use num_traits::One;
use rand::RngCore;

const SAMPLES: u64 = 3000;

fn main() -> std::io::Result<()> {
    // Cargo adds `--bench`.
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench").peekable();
    let continuous = arguments.next_if(|argument| argument == "--continuous").is_some();
    let options = BenchOpts { continuous, filter: arguments.next(), file_out: None::<PathBuf> };
    let check = |name, benchfn| BenchMetadata { name: BenchName(name), seed: Some(1), benchfn };
    run_benches_console(
        options,
        vec![
            check("decryption", |runner, _: &mut BenchRng| decryption(runner, Arithmetic::Vector, 1)),
            check("decryption_of_eight", |runner, _| decryption(runner, Arithmetic::Vector, 8)),
            check("power", |runner, _| power(runner, Ring::power)),
            check("control_power_vartime", |runner, _| power(runner, Ring::power_vartime)),
            check("decryption_num_bigint", |runner, _| decryption(runner, Arithmetic::NumBigint, 1)),
        ],
    )
}

/// Inputs of both classes in random order, made before anything is timed: making one leaves traces in caches.
fn inputs<T>(samples: u64, randomness: &Stream, make: impl Fn(Class, &Stream) -> T) -> Vec<(Class, T)> {
    let input = |sample| {
        let left = randomness.derive("class").item(sample).seed_u64().is_multiple_of(2);
        let class = if left { Class::Left } else { Class::Right };
        (class, make(class, &randomness.derive("input").item(sample)))
    };
    (0..samples).map(input).collect()
}

/// A number of exactly so many bits.
fn random(bits: u64, randomness: &Stream) -> BigUint {
    let mut bytes = vec![0; usize::try_from(bits.div_ceil(8)).unwrap_or(0)];
    randomness.rng().fill_bytes(&mut bytes);
    let top = BigUint::one() << (bits - 1);
    (BigUint::from_bytes_le(&bytes) % &top) | top
}

/// One ciphertext of zero again and again, against fresh ciphertexts of random messages.
fn decryption(runner: &mut CtRunner, arithmetic: Arithmetic, count: usize) {
    const BITS: u64 = 2048;
    let randomness = Stream::seeded(1);
    let Ok(scheme) = Paillier::try_new(BITS) else { return };
    let Ok(key) = scheme.generate_keys(&randomness.derive("keys")) else { return };
    let encrypt = |messages: &[BigUint], randomness: &Stream| {
        scheme.encrypt_own(&key, messages, &randomness.derive("encrypt")).unwrap_or_default()
    };
    let zeros = encrypt(&vec![BigUint::ZERO; count], &randomness);
    let inputs = inputs(SAMPLES / count as u64, &randomness, |class, randomness| match class {
        Class::Left => zeros.clone(),
        Class::Right => {
            let messages: Vec<_> = (0..count as u64).map(|i| random(BITS - 2, &randomness.item(i))).collect();
            encrypt(&messages, randomness)
        }
    });
    let scheme = scheme.with_options(Options { arithmetic, ..Options::default() });
    let Ok(key) = scheme.generate_keys(&randomness.derive("keys")) else { return };
    for (class, ciphertexts) in &inputs {
        runner.run_one(*class, || scheme.decrypt(&key, ciphertexts));
    }
}

/// An exponent of a single bit against random exponents of the same length.
fn power<T>(runner: &mut CtRunner, power: impl Fn(&Ring, &[Element], &BigUint) -> T) {
    const BITS: u64 = 1024;
    let randomness = Stream::seeded(2);
    let Some(ring) = Ring::modulo(random(BITS, &randomness) | BigUint::one(), Arithmetic::Vector) else {
        return;
    };
    let base = ring.read(&[&random(BITS - 1, &randomness.derive("base"))]);
    let inputs = inputs(SAMPLES, &randomness, |class, randomness| match class {
        Class::Left => (BigUint::one() << (BITS - 1)).to_bytes_le(),
        Class::Right => random(BITS, randomness).to_bytes_le(),
    });
    for (class, bytes) in &inputs {
        // Both from the same place, and in the cache.
        let exponent = BigUint::from_bytes_le(bytes);
        runner.run_one(*class, || power(&ring, &base, &exponent));
    }
}
