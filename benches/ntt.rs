//! Speed of the transform modulo one prime beside that of `tfhe-ntt`, on one core, at the degrees of the lattice schemes' sizes.
//!
//! Both transform the same row over and over: what comes out is a row again, so its values differ and its time does not. The peer's
//! inverse leaves a factor N, which its `normalize` takes out; ours has that in it, so both are timed with it.

#![expect(clippy::expect_used, reason = "a benchmark may stop where it cannot measure")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use henn::math::rns::{Ntt, prime::transform_primes};
use tfhe_ntt::prime64::Plan;

/// The most that our vectors take.
const BITS: u32 = 50;

fn transforms(c: &mut Criterion) {
    for degree in [8192, 16384, 32768] {
        let prime = transform_primes(BITS, degree, 1, &[]).expect("there are some")[0];
        let ours = Ntt::try_new(degree, prime).expect("a permitted degree");
        let peer = Plan::try_new(degree, prime).expect("a permitted degree");
        let row: Vec<u64> =
            (1..=degree as u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) % prime).collect();
        let mut group = c.benchmark_group(format!("ntt/{degree}/{BITS}"));
        let mut values = row.clone();
        group.bench_function("forward", |b| b.iter(|| ours.forward(black_box(&mut values))));
        let mut values = row.clone();
        group.bench_function("forward, tfhe-ntt", |b| b.iter(|| peer.fwd(black_box(&mut values))));
        let mut values = row.clone();
        group.bench_function("inverse", |b| b.iter(|| ours.inverse(black_box(&mut values))));
        let mut values = row.clone();
        group.bench_function("inverse, tfhe-ntt", |b| {
            b.iter(|| {
                peer.inv(black_box(&mut values));
                peer.normalize(&mut values);
            });
        });
        group.finish();
    }
}

criterion_group!(benches, transforms);
criterion_main!(benches);
