//! Speed of exponential ElGamal over ristretto255 and of multiplicative ElGamal modulo a safe prime, on one core.

#![expect(clippy::expect_used, reason = "a benchmark may stop where it cannot measure")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use henn::{
    math::{ring::Arithmetic, stream::Stream},
    scheme::{
        additive::AdditiveScheme,
        elgamal::{
            ElGamal,
            multiplicative::{MultiplicativeElGamal, SafePrime},
        },
        multiplicative::MultiplicativeScheme,
    },
};
use num_bigint::{BigInt, BigUint};

/// Ciphertexts of a batch.
const BATCH: u64 = 64;
/// Inputs and outputs of the dot products: the first layer of a digit classifier without hidden ones.
const INPUTS: usize = 784;
const OUTPUTS: usize = 10;

fn one_core() {
    // The other group may have been first.
    let _ = rayon::ThreadPoolBuilder::new().num_threads(1).build_global();
}

/// Numbers of up to so many bits, the same on every run.
fn numbers(count: u64, bits: u32) -> Vec<BigUint> {
    let randomness = Stream::seeded(bits.into());
    (0..count).map(|i| BigUint::from(randomness.item(i).seed_u64() >> (64 - bits))).collect()
}

fn exponential(criterion: &mut Criterion) {
    one_core();
    let randomness = Stream::seeded(1);
    let scheme = ElGamal::try_new(16).expect("a permitted bound");
    let secret = scheme.generate_keys(&randomness.derive("keys")).expect("no refusal");
    let public = secret.public();
    let messages = numbers(BATCH, 16);
    let ciphertexts = scheme.encrypt(public, &messages, &randomness).expect("residues");

    let mut group = criterion.benchmark_group("elgamal");
    group.sample_size(10).throughput(Throughput::Elements(BATCH));
    group.bench_function("encrypt-64", |b| {
        b.iter(|| scheme.encrypt(public, black_box(&messages), &randomness));
    });
    group.bench_function("encrypt-own-64", |b| {
        b.iter(|| scheme.encrypt_own(&secret, black_box(&messages), &randomness));
    });
    group.bench_function("rerandomise-64", |b| {
        b.iter(|| scheme.rerandomise(public, black_box(&ciphertexts), &randomness));
    });
    let mut bytes = Vec::new();
    scheme.write_ciphertexts(public, &ciphertexts, &mut bytes);
    group.bench_function("write-64", |b| {
        b.iter(|| {
            bytes.clear();
            scheme.write_ciphertexts(public, black_box(&ciphertexts), &mut bytes);
        });
    });
    group.bench_function("read-64", |b| b.iter(|| scheme.read_ciphertexts(public, black_box(&bytes))));
    for bits in [16, 24, 32] {
        let scheme = ElGamal::try_new(bits).expect("a permitted bound");
        let ciphertexts =
            scheme.encrypt(public, &numbers(BATCH, bits), &randomness).expect("messages within the bound");
        // The table is made before the clock starts.
        scheme.decrypt(&secret, &ciphertexts[..1]).expect("a message within the bound");
        group.bench_function(format!("decrypt-64-of-{bits}-bits"), |b| {
            b.iter(|| scheme.decrypt(&secret, black_box(&ciphertexts)));
        });
    }

    let inputs: Vec<_> = ciphertexts.iter().cycle().take(INPUTS).cloned().collect();
    let count = (INPUTS * OUTPUTS) as u64;
    // Weights of 16 bits, half of them negative.
    let weights = numbers(count, 16).into_iter().zip([1, -1].into_iter().cycle());
    let weights: Vec<BigInt> = weights.map(|(weight, sign)| BigInt::from(weight) * sign).collect();
    let rows: Vec<_> = weights.chunks_exact(INPUTS).collect();
    group.throughput(Throughput::Elements(count));
    group.bench_function("linear-784x10-of-16-bits", |b| {
        b.iter(|| scheme.linear(public, &inputs, black_box(&rows)));
    });
    group.finish();
}

fn multiplicative(criterion: &mut Criterion) {
    one_core();
    let randomness = Stream::seeded(2);
    for arithmetic in [Arithmetic::NumBigint, Arithmetic::Vector] {
        let scheme =
            MultiplicativeElGamal::try_new(SafePrime::Ffdhe3072, arithmetic).expect("an odd modulus");
        let secret = scheme.generate_keys(&randomness.derive("keys")).expect("no refusal");
        let public = secret.public();
        let messages: Vec<_> = (1..=BATCH).map(|i| scheme.greatest_message() / BigUint::from(i)).collect();
        let ciphertexts = scheme.encrypt(public, &messages, &randomness).expect("messages");

        let mut group = criterion.benchmark_group(format!("multiplicative-elgamal-3072-{arithmetic:?}"));
        group.sample_size(10).throughput(Throughput::Elements(BATCH));
        group.bench_function("encrypt-64", |b| {
            b.iter(|| scheme.encrypt(public, black_box(&messages), &randomness));
        });
        group.bench_function("decrypt-64", |b| b.iter(|| scheme.decrypt(&secret, black_box(&ciphertexts))));
        group.bench_function("multiply-64", |b| {
            b.iter(|| scheme.multiply(public, black_box(&ciphertexts), &ciphertexts));
        });
        group.finish();
    }
}

criterion_group!(benches, exponential, multiplicative);
criterion_main!(benches);
