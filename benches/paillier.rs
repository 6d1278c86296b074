//! Speed of the Paillier cryptosystem at the sizes of the published experiments, on one core.

#![expect(clippy::expect_used, reason = "a benchmark may stop where it cannot measure")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use henn::{
    math::stream::Stream,
    scheme::{additive::AdditiveScheme, paillier::Paillier},
};
use num_bigint::{BigInt, BigUint};

/// Inputs of the dot product.
const INPUTS: u32 = 16;

fn paillier(criterion: &mut Criterion) {
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global().expect("nobody used rayon before");
    for bits in [1024, 2048, 3072] {
        size(criterion, bits);
    }
}

fn size(criterion: &mut Criterion, bits: u64) {
    let scheme = Paillier::try_new(bits).expect("a permitted size");
    let randomness = Stream::seeded(bits);
    let secret = scheme.generate_keys(&randomness.derive("keys")).expect("a permitted size");
    let public = secret.public();
    let messages: Vec<_> = (1..=INPUTS).map(|i| public.modulus() / BigUint::from(i + 1)).collect();
    let ciphertexts = scheme.encrypt(public, &messages, &randomness.derive("inputs")).expect("residues");
    let first = &ciphertexts[..1];
    // Weights of 24 bits, half of them negative, drawn once.
    let weight = |i: u32| {
        let magnitude = (randomness.item(i.into()).seed_u64() & 0x00ff_ffff | 0x0080_0000).cast_signed();
        BigInt::from(if i.is_multiple_of(2) { magnitude } else { -magnitude })
    };
    let weights: Vec<_> = (0..INPUTS).map(weight).collect();

    let mut group = criterion.benchmark_group(format!("paillier-{bits}"));
    group.sample_size(10);
    group.bench_function("encrypt", |b| {
        b.iter(|| scheme.encrypt(public, black_box(&messages[..1]), &randomness));
    });
    group.bench_function("decrypt", |b| b.iter(|| scheme.decrypt(&secret, black_box(first))));
    group.bench_function("dot-16-of-24-bits", |b| {
        b.iter(|| scheme.linear(public, &ciphertexts, &[black_box(&weights)]));
    });
    group.bench_function("rerandomise", |b| {
        b.iter(|| scheme.rerandomise(public, black_box(first), &randomness));
    });
    // Another seed each time: the time of one search is mostly luck.
    let mut seed = 0;
    group.bench_function("keygen", |b| {
        b.iter(|| {
            seed += 1;
            scheme.generate_keys(&randomness.derive("keygen").item(seed)).map(drop)
        });
    });
    group.finish();
}

criterion_group!(benches, paillier);
criterion_main!(benches);
