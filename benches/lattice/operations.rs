//! The operations of a scheme over a ring, on one core.
//!
//! The sizes are those of `scripts/bench-peers`: ring degree and bits of the whole modulus, special primes included.

use std::hint::black_box;

use criterion::Criterion;
use henn::{
    math::stream::Stream,
    runner::provenance::peak_memory_bytes,
    scheme::rlwe::{Literal, RlweScheme},
};

/// log2 N, bits and number of the primes of Q, and of the special primes.
pub(crate) type Size = (u32, [u32; 2], [u32; 2]);

pub(crate) fn literal((log_degree, modulus, special): Size) -> Literal {
    let list = |[bits, count]: [u32; 2]| vec![bits; count as usize];
    Literal { log_degree, modulus_bits: list(modulus), special_bits: list(special) }
}

pub(crate) fn one_thread() {
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global().expect("nobody used rayon before");
}

/// Everything but encoding, which differs.
pub(crate) fn measure<S: RlweScheme>(
    c: &mut Criterion,
    name: &str,
    scheme: &S,
    message: &S::Plaintext,
    encode: impl Fn() -> S::Plaintext,
) {
    let parameters = scheme.parameters();
    let randomness = Stream::seeded(1);
    let secret = scheme.generate_secret_key(&randomness);
    let public = scheme.generate_public_key(&secret, &randomness.derive("public"));
    let relinearisation = scheme.generate_relinearisation_key(&secret, &randomness.derive("relinearisation"));
    let steps: Vec<i64> = (1..=16).collect();
    let rotations = scheme.generate_rotation_keys(&secret, &steps, false, &randomness.derive("rotations"));
    let a = scheme.encrypt(&public, message, &randomness.derive("a")).expect("permitted parameters");
    let prepared = scheme.prepare(message, a.level());
    let mut group =
        c.benchmark_group(format!("{name}/{}/{}", parameters.degree(), parameters.modulus_bits()));
    group.sample_size(10);
    group.bench_function("encode", |b| b.iter(&encode));
    group.bench_function("encrypt", |b| {
        b.iter(|| scheme.encrypt(&public, black_box(message), &randomness));
    });
    group.bench_function("decrypt", |b| b.iter(|| scheme.decrypt(&secret, black_box(&a))));
    group.bench_function("add", |b| b.iter(|| scheme.add(black_box(&a), &a)));
    group.bench_function("multiply_plain", |b| b.iter(|| scheme.multiply_plain(black_box(&a), message)));
    group.bench_function("multiply_prepared", |b| {
        b.iter(|| scheme.multiply_prepared(black_box(&a), &prepared));
    });
    let product = || {
        let product = scheme.multiply(black_box(&a), &a).expect("permitted parameters");
        scheme.relinearise(&product, &relinearisation)
    };
    group.bench_function("multiply_relinearise", |b| b.iter(product));
    if scheme.lower(&a).is_ok() {
        group.bench_function("multiply_relinearise_lower", |b| b.iter(|| scheme.lower(&product())));
        group.bench_function("lower", |b| b.iter(|| scheme.lower(black_box(&a))));
    }
    group.bench_function("rotate", |b| b.iter(|| scheme.rotate(black_box(&a), 3, &rotations)));
    // Each with a key of its own, as hoisted ones: a key that is used again and again stays in the cache.
    group.bench_function("rotate_16_one_by_one", |b| {
        b.iter(|| {
            steps.iter().map(|step| scheme.rotate(black_box(&a), *step, &rotations)).collect::<Vec<_>>()
        });
    });
    group.bench_function("rotate_16_hoisted", |b| {
        b.iter(|| scheme.rotate_many(black_box(&a), &steps, &rotations));
    });
    group.finish();
    let all = parameters.modulus().with(parameters.special());
    let row: u64 = all.primes().map(|prime| u64::from(prime.bits())).sum();
    let halves = 2 * parameters.digits(parameters.levels()).len() as u64;
    let information = halves * parameters.degree() as u64 / 8 * row;
    println!(
        "{name}/{}: a relinearisation key takes {} bytes, {:.2} of its information; written {}; peak {} MiB",
        parameters.degree(),
        relinearisation.bytes(),
        relinearisation.bytes() as f64 / information as f64,
        scheme.context().switching_key_bytes(),
        peak_memory_bytes()
            .map_or_else(|| "?".to_owned(), |bytes| format!("{:.0}", bytes / f64::from(1 << 20))),
    );
}
