//! Speed of CKKS at three sizes that are 128-bit secure, on one core.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark may stop where it cannot measure, and says what it found"
)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use henn::scheme::{ckks::Ckks, rlwe::RlweScheme};
use num_complex::Complex64;

#[path = "lattice/operations.rs"]
mod operations;

const SIZES: [operations::Size; 3] =
    [(13, [50, 3], [50, 1]), (14, [42, 7], [42, 3]), (15, [50, 12], [50, 4])];

fn ckks(c: &mut Criterion) {
    operations::one_thread();
    for size in SIZES {
        let scheme = Ckks::try_new(&operations::literal(size)).expect("permitted parameters");
        // A product that is rescaled comes back to about this scale.
        let scale = f64::from(size.1[0]).exp2();
        let values: Vec<Complex64> =
            (0..scheme.slots()).map(|i| Complex64::from((i % 1000) as f64 / 1000.0)).collect();
        let encode = || scheme.encode(black_box(&values), scale).expect("permitted values");
        operations::measure(c, "ckks", &scheme, &encode(), encode);
    }
}

criterion_group!(benches, ckks);
criterion_main!(benches);
