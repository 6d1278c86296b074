//! Speed of CKKS at three sizes that are 128-bit secure, on one core.
//!
//! The sizes are those of `scripts/bench-peers`: ring degree and bits of the whole modulus, special primes included.

#![expect(clippy::expect_used, reason = "a benchmark may stop where it cannot measure")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use henn::{
    math::stream::Stream,
    scheme::{ckks::Ckks, rlwe::Literal},
};
use num_complex::Complex64;

/// log2 N, bits and number of the primes of Q, and of the special primes.
const SIZES: [(u32, [u32; 2], [u32; 2]); 3] =
    [(13, [50, 3], [50, 1]), (14, [42, 7], [42, 3]), (15, [47, 12], [47, 5])];

fn operations(c: &mut Criterion) {
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global().expect("nobody used rayon before");
    for (log_degree, modulus, special) in SIZES {
        let list = |[bits, count]: [u32; 2]| vec![bits; count as usize];
        let literal = Literal { log_degree, modulus_bits: list(modulus), special_bits: list(special) };
        let scheme = Ckks::try_new(&literal).expect("permitted parameters");
        let randomness = Stream::seeded(1);
        let secret = scheme.generate_secret_key(&randomness);
        let public = scheme.generate_public_key(&secret, &randomness.derive("public"));
        let relinearisation =
            scheme.generate_relinearisation_key(&secret, &randomness.derive("relinearisation"));
        let steps: Vec<i64> = (1..=16).collect();
        let rotations =
            scheme.generate_rotation_keys(&secret, &steps, false, &randomness.derive("rotations"));
        // A product that is rescaled comes back to about this scale.
        let scale = f64::from(modulus[0]).exp2();
        let values: Vec<Complex64> =
            (0..scheme.slots()).map(|i| Complex64::from((i % 1000) as f64 / 1000.0)).collect();
        let message = scheme.encode(&values, scale).expect("permitted parameters");
        let a = scheme.encrypt(&public, &message, &randomness.derive("a"));
        let mut group =
            c.benchmark_group(format!("ckks/{}/{}", 1 << log_degree, scheme.parameters().modulus_bits()));
        group.sample_size(10);
        group.bench_function("encode", |b| b.iter(|| scheme.encode(black_box(&values), scale)));
        group.bench_function("encrypt", |b| {
            b.iter(|| scheme.encrypt(&public, black_box(&message), &randomness));
        });
        group.bench_function("decrypt", |b| b.iter(|| scheme.decrypt(&secret, black_box(&a))));
        group.bench_function("add", |b| b.iter(|| scheme.add(black_box(&a), &a)));
        group.bench_function("multiply_plain", |b| b.iter(|| scheme.multiply_plain(black_box(&a), &message)));
        group.bench_function("multiply_relinearise_rescale", |b| {
            b.iter(|| {
                let product = scheme.multiply(black_box(&a), &a).expect("permitted parameters");
                scheme.rescale(&scheme.relinearise(&product, &relinearisation))
            });
        });
        group.bench_function("rescale", |b| b.iter(|| scheme.rescale(black_box(&a))));
        group.bench_function("rotate", |b| b.iter(|| scheme.rotate_many(black_box(&a), &[3], &rotations)));
        group.bench_function("rotate_16_hoisted", |b| {
            b.iter(|| scheme.rotate_many(black_box(&a), &steps, &rotations));
        });
        group.finish();
    }
}

criterion_group!(benches, operations);
criterion_main!(benches);
