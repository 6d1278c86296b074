//! Matrix products that add in one fixed order.
//!
//! ndarray's own product chooses a kernel by what the processor offers (fused multiply-add or not), so its last bits
//! differ between machines. These add row by row in the order of the index summed over; the compiler may use vector
//! instructions across a row, which cannot change a bit.

use ndarray::{ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2, Axis, Zip};

/// `out = a · b`; rows of `b` and `out` should be contiguous, for speed.
pub(super) fn product(a: ArrayView2<f64>, b: ArrayView2<f64>, out: &mut ArrayViewMut2<f64>) {
    out.fill(0.0);
    accumulate(a, b, out);
}

/// `out = a · weights + bias` in every row, for `weights` of inputs x outputs.
pub(super) fn affine(
    a: ArrayView2<f64>,
    weights: ArrayView2<f64>,
    bias: ArrayView1<f64>,
    out: &mut ArrayViewMut2<f64>,
) {
    out.assign(&bias);
    accumulate(a, weights, out);
}

/// `out = Σ rows of a`.
pub(super) fn column_sums(a: ArrayView2<f64>, out: &mut ArrayViewMut1<f64>) {
    out.fill(0.0);
    a.axis_iter(Axis(0)).for_each(|row| *out += &row);
}

fn accumulate(a: ArrayView2<f64>, b: ArrayView2<f64>, out: &mut ArrayViewMut2<f64>) {
    Zip::from(a.rows()).and(out.rows_mut()).for_each(|factors, mut sum| {
        Zip::from(&factors).and(b.rows()).for_each(|&factor, row| sum.scaled_add(factor, &row));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    #[test]
    fn products_agree_with_ndarray_for_transposed_operands_too() {
        let a = Array2::from_shape_fn((5, 4), |(i, j)| (i * 4 + j) as f64 - 7.0);
        let b = Array2::from_shape_fn((3, 4), |(i, j)| (i + 2 * j) as f64 / 4.0);
        let mut out = Array2::from_elem((5, 3), f64::NAN);
        // Small multiples of a power of two: sums are exact in every order.
        product(a.view(), b.t(), &mut out.view_mut());
        assert_eq!(out, a.dot(&b.t()));
        let bias = array![1.0, 0.0, -2.0];
        affine(a.view(), b.t(), bias.view(), &mut out.view_mut());
        assert_eq!(out, a.dot(&b.t()) + &bias);
        let mut sums = array![9.0, 9.0, 9.0, 9.0];
        column_sums(a.view(), &mut sums.view_mut());
        assert_eq!(sums, a.sum_axis(Axis(0)));
    }
}
