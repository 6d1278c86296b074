//! Speed of BFV at three sizes that are 128-bit secure, on one core.
//!
//! The sizes are those of `scripts/bench-peers`: ring degree and bits of the whole modulus, special primes included.

#![expect(clippy::expect_used, reason = "a benchmark may stop where it cannot measure")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use henn::{
    math::{rns::prime::transform_primes, stream::Stream},
    scheme::{bfv::Bfv, rlwe::Literal},
};

/// log2 N, bits and number of the primes of Q, and of the special primes.
const SIZES: [(u32, [u32; 2], [u32; 2]); 3] =
    [(13, [50, 3], [50, 1]), (14, [47, 6], [47, 3]), (15, [47, 12], [47, 5])];

fn operations(c: &mut Criterion) {
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global().expect("nobody used rayon before");
    for (log_degree, modulus, special) in SIZES {
        let list = |[bits, count]: [u32; 2]| vec![bits; count as usize];
        let literal = Literal { log_degree, modulus_bits: list(modulus), special_bits: list(special) };
        let plaintext = transform_primes(20, 1 << log_degree, 1, &[]).expect("permitted parameters")[0];
        let scheme = Bfv::try_new(&literal, plaintext).expect("permitted parameters");
        let randomness = Stream::seeded(1);
        let secret = scheme.generate_secret_key(&randomness);
        let public = scheme.generate_public_key(&secret, &randomness.derive("public"));
        let relinearisation =
            scheme.generate_relinearisation_key(&secret, &randomness.derive("relinearisation"));
        let steps: Vec<i64> = (1..=16).collect();
        let rotations =
            scheme.generate_rotation_keys(&secret, &steps, false, &randomness.derive("rotations"));
        let values: Vec<i64> = (0..1_i64 << log_degree).map(|i| i % 1000).collect();
        let message = scheme.encode(&values).expect("permitted parameters");
        let a = scheme.encrypt(&public, &message, &randomness.derive("a"));
        let mut group =
            c.benchmark_group(format!("bfv/{}/{}", scheme.slots(), scheme.parameters().modulus_bits()));
        group.sample_size(10);
        group.bench_function("encode", |b| b.iter(|| scheme.encode(black_box(&values))));
        group.bench_function("encrypt", |b| {
            b.iter(|| scheme.encrypt(&public, black_box(&message), &randomness));
        });
        group.bench_function("decrypt", |b| b.iter(|| scheme.decrypt(&secret, black_box(&a))));
        group.bench_function("add", |b| b.iter(|| scheme.add(black_box(&a), &a)));
        group.bench_function("multiply_plain", |b| b.iter(|| scheme.multiply_plain(black_box(&a), &message)));
        group.bench_function("multiply_relinearise", |b| {
            b.iter(|| {
                scheme.relinearise(
                    &scheme.multiply(black_box(&a), &a).expect("permitted parameters"),
                    &relinearisation,
                )
            });
        });
        group.bench_function("rotate", |b| b.iter(|| scheme.rotate_many(black_box(&a), &[3], &rotations)));
        group.bench_function("rotate_16_hoisted", |b| {
            b.iter(|| scheme.rotate_many(black_box(&a), &steps, &rotations));
        });
        group.finish();
    }
}

criterion_group!(benches, operations);
criterion_main!(benches);
