//! Speed of BFV at three sizes that are 128-bit secure, on one core.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark may stop where it cannot measure, and says what it found"
)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use henn::{
    math::rns::prime::transform_primes,
    scheme::{bfv::Bfv, rlwe::ExactScheme},
};

#[path = "lattice/operations.rs"]
mod operations;

const SIZES: [operations::Size; 3] =
    [(13, [50, 3], [50, 1]), (14, [47, 6], [47, 3]), (15, [50, 12], [50, 4])];

fn bfv(c: &mut Criterion) {
    operations::one_thread();
    for size in SIZES {
        let plaintext = transform_primes(20, 1 << size.0, 1, &[]).expect("permitted parameters")[0];
        let scheme = Bfv::try_new(&operations::literal(size), plaintext).expect("permitted parameters");
        let values: Vec<i64> = (0..1_i64 << size.0).map(|i| i % 1000).collect();
        let encode = || scheme.encode(black_box(&values)).expect("permitted values");
        operations::measure(c, "bfv", &scheme, &encode(), encode);
    }
}

criterion_group!(benches, bfv);
criterion_main!(benches);
