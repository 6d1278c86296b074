//! Speed of the cryptosystem of Boneh, Goh and Nissim at both levels, on one core.

#![expect(clippy::expect_used, reason = "a benchmark may stop where it cannot measure")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use henn::{
    math::stream::Stream,
    scheme::{
        additive::AdditiveScheme,
        bgn::{Bgn, PublicKey, SecretKey},
    },
};
use num_bigint::{BigInt, BigUint};

/// Inputs of the dot products.
const INPUTS: u32 = 16;
/// Of the greatest message.
const BOUND_BITS: u32 = 24;

fn bgn(criterion: &mut Criterion) {
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global().expect("nobody used rayon before");
    let scheme = Bgn::try_new(BOUND_BITS).expect("a permitted bound");
    let randomness = Stream::seeded(BOUND_BITS.into());
    let secret = scheme.generate_keys(&randomness.derive("keys")).expect("no errors");
    level(criterion, "bgn-1", &scheme, &secret);
    level(criterion, "bgn-2", &scheme.products(), &secret);

    let messages: Vec<_> = (1..=INPUTS).map(BigUint::from).collect();
    let inputs = scheme.encrypt(secret.public(), &messages, &randomness).expect("residues");
    let first = &inputs[..1];
    let mut group = criterion.benchmark_group("bgn-products");
    group.sample_size(10);
    group.bench_function("multiply", |b| b.iter(|| scheme.multiply(black_box(first), &inputs[1..2])));
    group.bench_function("dot-16", |b| b.iter(|| scheme.dot_products(black_box(&inputs), &[&inputs])));
    group.bench_function("lift", |b| b.iter(|| scheme.lift(black_box(first))));
    group.finish();
}

/// What both levels can do.
fn level<S>(criterion: &mut Criterion, name: &str, scheme: &S, secret: &SecretKey)
where
    S: AdditiveScheme<PublicKey = PublicKey, SecretKey = SecretKey>,
{
    let (public, randomness) = (secret.public(), Stream::seeded(1));
    let bound = (1_u32 << BOUND_BITS) - 1;
    let messages: Vec<_> = (1..=INPUTS).map(|i| BigUint::from(bound / i)).collect();
    let inputs = scheme.encrypt(public, &messages, &randomness).expect("residues");
    let first = &inputs[..1];
    // Weights of 16 bits, half of them negative, drawn once.
    let weight = |i: u32| {
        let magnitude = (randomness.item(i.into()).seed_u64() & 0xffff | 0x8000).cast_signed();
        BigInt::from(if i.is_multiple_of(2) { magnitude } else { -magnitude })
    };
    let weights: Vec<_> = (0..INPUTS).map(weight).collect();
    let mut bytes = Vec::new();
    scheme.write_ciphertexts(public, first, &mut bytes);

    let mut group = criterion.benchmark_group(name);
    group.sample_size(10);
    group.bench_function("encrypt", |b| {
        b.iter(|| scheme.encrypt(public, black_box(&messages[..1]), &randomness));
    });
    group.bench_function("encrypt-own", |b| {
        b.iter(|| scheme.encrypt_own(secret, black_box(&messages[..1]), &randomness));
    });
    group.bench_function("decrypt-1-of-24-bits", |b| {
        let one = scheme.encrypt(public, &[BigUint::from(1_u8)], &randomness).expect("a residue");
        b.iter(|| scheme.decrypt(secret, black_box(&one)));
    });
    group.bench_function("decrypt-greatest-of-24-bits", |b| {
        b.iter(|| scheme.decrypt(secret, black_box(first)));
    });
    group.bench_function("dot-16-of-16-bits", |b| {
        b.iter(|| scheme.linear(public, &inputs, &[black_box(&weights)]));
    });
    group.bench_function("rerandomise", |b| {
        b.iter(|| scheme.rerandomise(public, black_box(first), &randomness));
    });
    group.bench_function("write", |b| {
        b.iter(|| {
            let mut bytes = Vec::new();
            scheme.write_ciphertexts(public, black_box(first), &mut bytes);
            bytes
        });
    });
    group.bench_function("read", |b| b.iter(|| scheme.read_ciphertexts(public, black_box(&bytes))));
    group.finish();
}

criterion_group!(benches, bgn);
criterion_main!(benches);
