//! henn's side of `scripts/bench-peers`: answers one request a line on standard input with the time of one sample.
//!
//! A request is `{"op": ..., "params": {...}, "seconds": s}`, the answer `{"us": microseconds an operation, "n": operations}`,
//! with `"bits"`, of Q and the special primes, where a lattice scheme answers, or `{"error": ...}`. A workload is made when it is first asked
//! for, and kept until another one is: keys of the lattice schemes fill hundreds of MiB.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a coprocess that speaks on standard output; a workload that cannot be made is a mistake here"
)]

#[path = "peers/lattice.rs"]
mod lattice;

use std::{
    hint::black_box,
    io::{BufRead, Write},
    time::Instant,
};

use henn::{
    math::{
        ring::{Arithmetic, Ring},
        stream::Stream,
    },
    scheme::{
        additive::AdditiveScheme,
        okamoto_uchiyama::OkamotoUchiyama,
        paillier::{Options, Paillier, Randomisation},
    },
};
use num_bigint::{BigInt, BigUint};
use num_traits::One;
use rand::RngCore;
use serde_json::{Map, Value, json};

/// One batch of an operation, which may be repeated.
type Work = Box<dyn Fn()>;

/// What a request times.
struct Prepared {
    work: Work,
    /// Operations in one call.
    batch: usize,
    /// Bits of Q and of the special primes of a lattice scheme.
    bits: Option<[u64; 2]>,
}

/// The workload in use, and of which request it is.
type Latest = Option<(String, Prepared)>;

fn main() {
    if !std::env::args().any(|argument| argument == "--serve") {
        println!("see scripts/bench-peers");
        return;
    }
    // This thread is one of those that compute, as a caller's is that does not want to wait for others to wake.
    rayon::ThreadPoolBuilder::new().use_current_thread().build_global().unwrap();
    let mut latest: Latest = None;
    for line in std::io::stdin().lock().lines() {
        let answer = answer(&line.unwrap(), &mut latest);
        println!("{answer}");
        std::io::stdout().flush().unwrap();
    }
}

fn answer(line: &str, latest: &mut Latest) -> Value {
    let Ok(request) = serde_json::from_str::<Value>(line) else {
        return json!({ "error": "not a line of JSON" });
    };
    let (Some(op), Some(params), Some(seconds)) =
        (request["op"].as_str(), request["params"].as_object(), request["seconds"].as_f64())
    else {
        return json!({ "error": "op, params and seconds are needed" });
    };
    let key = format!("{op} {params:?}");
    if latest.as_ref().is_none_or(|(of, _)| *of != key) {
        // Before the next one is made, so that both are never in memory.
        *latest = None;
        let prepared = lattice::prepare(op, params)
            .or_else(|| prepare(op, params).map(|(work, batch)| Prepared { work, batch, bits: None }));
        *latest = prepared.map(|prepared| (key, prepared));
    }
    let Some((_, Prepared { work, batch, bits })) = latest else {
        return json!({ "error": format!("henn does not know {op} with these parameters") });
    };
    let start = Instant::now();
    let mut batches = 0;
    while batches == 0 || start.elapsed().as_secs_f64() < seconds {
        work();
        batches += 1;
    }
    let n = batches * *batch;
    let mut answer = json!({ "us": start.elapsed().as_secs_f64() * 1e6 / n as f64, "n": n });
    if let Some(bits) = bits {
        answer["bits"] = json!(bits);
    }
    answer
}

fn number(params: &Map<String, Value>, name: &str) -> Option<u64> {
    params.get(name)?.as_u64()
}

/// A number of exactly so many bits.
fn random(bits: u64, randomness: &Stream) -> BigUint {
    let mut bytes = vec![0; usize::try_from(bits.div_ceil(8)).unwrap()];
    randomness.rng().fill_bytes(&mut bytes);
    let top = BigUint::one() << (bits - 1);
    (BigUint::from_bytes_le(&bytes) % &top) | top
}

/// The operation as a closure, and how many operations one call does.
fn prepare(op: &str, params: &Map<String, Value>) -> Option<(Work, usize)> {
    let batch = usize::try_from(number(params, "batch").unwrap_or(1)).ok()?;
    let randomness = Stream::seeded(1);
    if op == "modpow" {
        let (bits, exponent_bits) = (number(params, "modulus_bits")?, number(params, "exponent_bits")?);
        let modulus = random(bits, &randomness.derive("modulus")) | BigUint::one();
        let ring = Ring::modulo(modulus.clone(), Arithmetic::Vector)?;
        let bases: Vec<_> = (0..batch as u64).map(|i| random(bits, &randomness.item(i)) % &modulus).collect();
        // The exponents of one batch are equal in length and value: the peers' are too in what decides their time.
        let exponent = random(exponent_bits, &randomness.derive("exponent"));
        let work = move || {
            let elements = ring.read(&bases.iter().collect::<Vec<_>>());
            black_box(ring.write(&ring.power(&elements, &exponent)));
        };
        return Some((Box::new(work), batch));
    }
    let bits = number(params, "bits")?;
    let messages: Vec<_> =
        (0..batch as u64).map(|i| random(30, &randomness.derive("message").item(i))).collect();
    if op.starts_with("ou_") {
        let scheme = OkamotoUchiyama::try_new(bits).ok()?;
        let key = scheme.generate_keys(&randomness.derive("keys")).ok()?;
        let ciphertexts = scheme.encrypt(key.public(), &messages, &randomness).ok()?;
        let work: Work = match op {
            "ou_encrypt" => Box::new(move || {
                black_box(scheme.encrypt(key.public(), &messages, &randomness).unwrap());
            }),
            "ou_decrypt" => Box::new(move || {
                black_box(scheme.decrypt(&key, &ciphertexts).unwrap());
            }),
            _ => return None,
        };
        return Some((work, batch));
    }
    let short = params.get("randomness").and_then(Value::as_str) == Some("short_exponent");
    let randomisation = if short { Randomisation::ShortExponent } else { Randomisation::Textbook };
    let scheme = Paillier::try_new(bits).ok()?.with_options(Options { randomisation, ..Options::default() });
    let key = scheme.generate_keys(&randomness.derive("keys")).ok()?;
    let encrypt = |count: u64| {
        let messages: Vec<_> =
            (0..count).map(|i| random(30, &randomness.derive("message").item(i))).collect();
        scheme.encrypt(key.public(), &messages, &randomness).ok()
    };
    let work: (Work, usize) = match op {
        "paillier_encrypt" if params.get("owner")?.as_bool()? => {
            let work = move || {
                black_box(scheme.encrypt_own(&key, &messages, &randomness).unwrap());
            };
            (Box::new(work), batch)
        }
        "paillier_encrypt" => {
            let work = move || {
                black_box(scheme.encrypt(key.public(), &messages, &randomness).unwrap());
            };
            (Box::new(work), batch)
        }
        "paillier_decrypt" => {
            let ciphertexts = encrypt(batch as u64)?;
            let work = move || {
                black_box(scheme.decrypt(&key, &ciphertexts).unwrap());
            };
            (Box::new(work), batch)
        }
        "paillier_add" => {
            let ciphertexts = encrypt(batch as u64)?;
            let work = move || {
                black_box(scheme.add(key.public(), &ciphertexts, &ciphertexts).unwrap());
            };
            (Box::new(work), batch)
        }
        "paillier_scalar" => {
            // Every ciphertext has its own scalar: one sample a ciphertext would share a row, so each is its own layer.
            let ciphertexts = encrypt(batch as u64)?;
            let scalar = BigInt::from(random(number(params, "scalar_bits")?, &randomness.derive("scalar")));
            let work = move || {
                black_box(
                    scheme.linear(key.public(), &ciphertexts, &[std::slice::from_ref(&scalar)]).unwrap(),
                );
            };
            (Box::new(work), batch)
        }
        "paillier_layer" => {
            let (rows, columns) = (number(params, "rows")?, number(params, "columns")?);
            let ciphertexts = encrypt(columns)?;
            let bits = number(params, "weight_bits")?;
            let weight = |i: u64| {
                let magnitude = BigInt::from(random(bits - 1, &randomness.derive("weight").item(i)));
                if i.is_multiple_of(2) { magnitude } else { -magnitude }
            };
            let weights: Vec<Vec<BigInt>> = (0..rows)
                .map(|row| (0..columns).map(|column| weight(row * columns + column)).collect())
                .collect();
            let work = move || {
                let rows: Vec<&[BigInt]> = weights.iter().map(Vec::as_slice).collect();
                black_box(scheme.linear(key.public(), &ciphertexts, &rows).unwrap());
            };
            (Box::new(work), 1)
        }
        _ => return None,
    };
    Some(work)
}
