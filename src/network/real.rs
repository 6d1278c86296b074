//! The numbers that networks are made of.

use crate::math::gemm;
use ndarray::{ArrayView2, ArrayViewMut2, Axis, CowArray, Ix2, NdFloat};
use rayon::prelude::*;
use safetensors::Dtype;

/// Multiply-adds below which a product is not worth a second thread.
const ALONE: usize = 1 << 20;
/// Rows of a product that go to one thread at a time. Fixed, so that the number of threads cannot change a bit.
const ROWS: usize = 32;

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// A floating-point number that networks compute in.
///
/// * `f64`: sums in one fixed order and functions from `libm`, the same bytes on every machine;
/// * `f32`: the fastest products there are, the same bytes on the same machine, whatever the number of threads.
pub trait Real: NdFloat + Default + std::iter::Sum + sealed::Sealed {
    /// How safetensors calls it.
    const DTYPE: Dtype;
    /// Bytes of one number.
    const BYTES: usize;

    /// The nearest number of this kind.
    fn from_f64(value: f64) -> Self;
    /// The same number in 64 bits.
    fn wide(self) -> f64;
    /// The nearest numbers of this kind: the same ones where they are of it already.
    fn nearest(values: ArrayView2<'_, f64>) -> CowArray<'_, Self, Ix2>;
    /// Appends its bytes, least significant first.
    fn write(self, bytes: &mut Vec<u8>);
    /// Reads its bytes; `None` unless there are exactly [`Real::BYTES`].
    fn read(bytes: &[u8]) -> Option<Self>;
    /// `1 / (1 + exp(-self))`.
    #[must_use]
    fn logistic(self) -> Self;
    /// Hyperbolic tangent.
    #[must_use]
    fn hyperbolic_tangent(self) -> Self;
    /// `out = a · b`, or `out += a · b` where `add`, on this thread.
    ///
    /// # Panics
    /// When the shapes do not fit.
    fn multiply(a: ArrayView2<Self>, b: ArrayView2<Self>, out: ArrayViewMut2<Self>, add: bool);
}

impl Real for f64 {
    const DTYPE: Dtype = Dtype::F64;
    const BYTES: usize = 8;

    fn from_f64(value: f64) -> Self {
        value
    }

    fn wide(self) -> f64 {
        self
    }

    fn nearest(values: ArrayView2<'_, f64>) -> CowArray<'_, Self, Ix2> {
        values.into()
    }

    fn write(self, bytes: &mut Vec<u8>) {
        bytes.extend(self.to_le_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::from_le_bytes)
    }

    fn logistic(self) -> Self {
        1.0 / (1.0 + libm::exp(-self))
    }

    fn hyperbolic_tangent(self) -> Self {
        libm::tanh(self)
    }

    fn multiply(a: ArrayView2<Self>, b: ArrayView2<Self>, mut out: ArrayViewMut2<Self>, add: bool) {
        if !add {
            out.fill(0.0);
        }
        gemm::ordered(a, b, out);
    }
}

impl Real for f32 {
    const DTYPE: Dtype = Dtype::F32;
    const BYTES: usize = 4;

    #[expect(clippy::cast_possible_truncation, reason = "the nearest number is what is asked for")]
    fn from_f64(value: f64) -> Self {
        value as Self
    }

    fn wide(self) -> f64 {
        f64::from(self)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the nearest 32-bit number")]
    fn nearest(values: ArrayView2<'_, f64>) -> CowArray<'_, Self, Ix2> {
        values.mapv(|value| value as Self).into()
    }

    fn write(self, bytes: &mut Vec<u8>) {
        bytes.extend(self.to_le_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::from_le_bytes)
    }

    fn logistic(self) -> Self {
        1.0 / (1.0 + exponential(-self))
    }

    fn hyperbolic_tangent(self) -> Self {
        // 1 - 2 / (exp(2 z) + 1) would lose everything near 0.
        if self.abs() < 0.25 {
            let s = self * self;
            return self
                * (1.0 + s * (-1.0 / 3.0 + s * (2.0 / 15.0 + s * (-17.0 / 315.0 + s * (62.0 / 2835.0)))));
        }
        1.0 - 2.0 / (exponential(2.0 * self) + 1.0)
    }

    fn multiply(a: ArrayView2<Self>, b: ArrayView2<Self>, out: ArrayViewMut2<Self>, add: bool) {
        gemm::fast(a, b, out, add);
    }
}

/// `exp(x)` to within two units in the last place, by Cody and Waite's reduction and a polynomial of degree 6: no table
/// and no branch, so that loops over it become vector instructions.
fn exponential(x: f32) -> f32 {
    // Beyond these the result is about 1e-38 or 1e38, which is as good as 0 or infinity here; NaN stays NaN.
    let x = x.clamp(-87.0, 88.0);
    let n = (x * std::f32::consts::LOG2_E + 12_582_912.0) - 12_582_912.0;
    let r = x - n * 0.693_359_4 - n * -2.121_944_4e-4;
    let tail = 1.0 / 2.0 + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0 + r * (1.0 / 720.0))));
    let value = 1.0 + r + r * r * tail;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "n is from -126 to 128; NaN becomes 0"
    )]
    let power = f32::from_bits(((n as i32 + 127) << 23) as u32);
    value * power
}

/// `out += a · b`, on all cores where that is worth it. The same bytes whatever their number.
///
/// # Panics
/// When the shapes do not fit.
pub(super) fn multiply<T: Real>(a: ArrayView2<T>, b: ArrayView2<T>, mut out: ArrayViewMut2<T>) {
    if a.len().saturating_mul(b.ncols()) < ALONE || a.nrows() <= ROWS {
        return T::multiply(a, b, out, true);
    }
    let blocks: Vec<_> =
        a.axis_chunks_iter(Axis(0), ROWS).zip(out.axis_chunks_iter_mut(Axis(0), ROWS)).collect();
    blocks.into_par_iter().for_each(|(a, out)| T::multiply(a, b, out, true));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_of_32_bits_are_near_those_of_64() {
        for step in -4000..=4000_i16 {
            let z = f32::from(step) / 100.0;
            let wide = f64::from(z);
            let near = |found: f32, expected: f64| {
                assert!(
                    (f64::from(found) - expected).abs() <= 4e-7 * (1e-30 + expected.abs()),
                    "{z}: {found}, {expected}"
                );
            };
            near(exponential(z), libm::exp(wide));
            near(z.logistic(), wide.logistic());
            near(z.hyperbolic_tangent(), libm::tanh(wide));
        }
        assert!(exponential(f32::NAN).is_nan());
        assert!(f32::NAN.logistic().is_nan() && f32::NAN.hyperbolic_tangent().is_nan());
        assert!(f32::INFINITY.logistic() > 0.999_999_9 && f32::NEG_INFINITY.logistic() < 1e-37);
    }
}
