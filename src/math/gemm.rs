//! Products of matrices of floating-point numbers.
//!
//! [`ordered`] adds in one fixed order, for results that are the same bytes on every machine; [`fast`] is faer's
//! product of 32-bit numbers, which adds in an order that depends on the processor, but not on threads: it runs on the
//! thread that calls it.
//!
//! Both add to what `out` holds, `out += a · b`, or [`fast`] replaces it.

#![expect(clippy::needless_pass_by_value, reason = "a view of an array is a reference already")]

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use ndarray::{ArrayView2, ArrayViewMut2, CowArray, Ix2, s};
use pulp::{Arch, NullaryFnOnce};

/// Columns of a tile of [`ordered`]: two vectors of AVX-512.
const LANES: usize = 16;
/// Rows of a tile of [`ordered`].
const ROWS: usize = 4;

/// `out += a · b`, every element's sum taken in the order of the index summed over, starting from what `out` holds.
///
/// Vector instructions run across the columns of `out`, and no product is fused with a sum, so that neither the make of
/// the processor nor the shape of the tiles can change a bit.
///
/// # Panics
/// When the shapes do not fit.
pub fn ordered(a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>, mut out: ArrayViewMut2<'_, f64>) {
    check(a.dim(), b.dim(), out.dim());
    let (rows, inner) = a.dim();
    let columns = b.ncols();
    if rows == 0 || columns == 0 || inner == 0 {
        return;
    }
    // Few columns would leave lanes idle; products commute, so that the transpose has the same bits.
    if columns < LANES && columns < rows {
        ordered_wide(b.reversed_axes(), a.reversed_axes(), out.reversed_axes());
    } else {
        ordered_wide(a, b, out.view_mut());
    }
}

fn ordered_wide(a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>, mut out: ArrayViewMut2<'_, f64>) {
    let inner = a.ncols();
    let a = a.as_standard_layout();
    let Some(a) = a.as_slice() else { return };
    let mut panel = vec![[0.0; LANES]; inner];
    let arch = Arch::new();
    for start in (0..b.ncols()).step_by(LANES) {
        let width = LANES.min(b.ncols() - start);
        for (to, from) in panel.iter_mut().zip(b.slice(s![.., start..start + width]).rows()) {
            to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
        }
        let mut out = out.slice_mut(s![.., start..start + width]);
        for (block, mut out) in out.axis_chunks_iter_mut(ndarray::Axis(0), ROWS).enumerate() {
            let mut sums = [[0.0; LANES]; ROWS];
            for (sums, out) in sums.iter_mut().zip(out.rows()) {
                sums.iter_mut().zip(out).for_each(|(sum, out)| *sum = *out);
            }
            let rows = out.nrows();
            let a = &a[block * ROWS * inner..][..rows * inner];
            arch.dispatch(Tile { a, panel: &panel, sums: &mut sums, rows });
            for (sums, out) in sums.iter().zip(out.rows_mut()) {
                out.into_iter().zip(sums).for_each(|(out, sum)| *out = *sum);
            }
        }
    }
}

/// A few rows of `a` times a panel of columns of `b`.
struct Tile<'a> {
    a: &'a [f64],
    panel: &'a [[f64; LANES]],
    sums: &'a mut [[f64; LANES]; ROWS],
    rows: usize,
}

impl NullaryFnOnce for Tile<'_> {
    type Output = ();

    #[expect(
        clippy::inline_always,
        reason = "it must be inlined to be compiled for the vector instructions found"
    )]
    #[inline(always)]
    fn call(self) {
        let inner = self.panel.len();
        if self.rows == ROWS {
            let (first, rest) = self.a.split_at(inner);
            let (second, rest) = rest.split_at(inner);
            let (third, fourth) = rest.split_at(inner);
            let mut sums = *self.sums;
            let factors = first.iter().zip(second).zip(third.iter().zip(fourth));
            for (row, ((a, b), (c, d))) in self.panel.iter().zip(factors) {
                for (sums, factor) in sums.iter_mut().zip([a, b, c, d]) {
                    for (sum, value) in sums.iter_mut().zip(row) {
                        *sum += factor * value;
                    }
                }
            }
            *self.sums = sums;
        } else {
            for (sums, factors) in self.sums.iter_mut().zip(self.a.chunks_exact(inner.max(1))) {
                let mut total = *sums;
                for (row, factor) in self.panel.iter().zip(factors) {
                    for (sum, value) in total.iter_mut().zip(row) {
                        *sum += factor * value;
                    }
                }
                *sums = total;
            }
        }
    }
}

/// `out = a · b`, or `out += a · b` where `add`, as fast as the processor can, on this thread.
///
/// Matrices that lie in one piece of memory, by rows or by columns, are used where they are; others are copied.
///
/// # Panics
/// When the shapes do not fit.
pub fn fast(a: ArrayView2<'_, f32>, b: ArrayView2<'_, f32>, mut out: ArrayViewMut2<'_, f32>, add: bool) {
    check(a.dim(), b.dim(), out.dim());
    let accumulate = if add { Accum::Add } else { Accum::Replace };
    if let Some(target) = in_one_piece_mut(&mut out) {
        multiply(a, b, target, accumulate);
    } else {
        let mut copy = out.to_owned();
        if let Some(target) = in_one_piece_mut(&mut copy.view_mut()) {
            multiply(a, b, target, accumulate);
        }
        out.assign(&copy);
    }
}

fn multiply(a: ArrayView2<'_, f32>, b: ArrayView2<'_, f32>, out: MatMut<'_, f32>, accumulate: Accum) {
    let (of_a, of_b) = (together(a), together(b));
    if let (Some(a), Some(b)) = (in_one_piece(of_a.view()), in_one_piece(of_b.view())) {
        matmul(out, accumulate, a, b, 1.0_f32, Par::Seq);
    }
}

/// The matrix itself, or a copy where it has gaps.
fn together(view: ArrayView2<'_, f32>) -> CowArray<'_, f32, Ix2> {
    if in_one_piece(view).is_some() { view.into() } else { view.to_owned().into() }
}

/// The matrix where it lies, by rows or by columns; `None` when it has gaps.
fn in_one_piece(view: ArrayView2<'_, f32>) -> Option<MatRef<'_, f32>> {
    let (rows, columns) = view.dim();
    let by_rows = view.to_slice().map(|slice| MatRef::from_row_major_slice(slice, rows, columns));
    by_rows.or_else(|| Some(MatRef::from_column_major_slice(view.reversed_axes().to_slice()?, rows, columns)))
}

fn in_one_piece_mut<'a>(view: &'a mut ArrayViewMut2<'_, f32>) -> Option<MatMut<'a, f32>> {
    let (rows, columns) = view.dim();
    if view.is_standard_layout() {
        return view.as_slice_mut().map(|slice| MatMut::from_row_major_slice_mut(slice, rows, columns));
    }
    // By columns it is contiguous in memory order without being so by rows.
    (view.strides()[0] == 1)
        .then(|| view.as_slice_memory_order_mut())?
        .map(|slice| MatMut::from_column_major_slice_mut(slice, rows, columns))
}

fn check(a: (usize, usize), b: (usize, usize), out: (usize, usize)) {
    assert!(a.1 == b.0 && out == (a.0, b.1), "a product of {a:?} and {b:?} is not of shape {out:?}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, Zip};
    use proptest::prelude::*;

    /// Row by row in the order of the index summed over, as plainly as can be.
    fn plain(a: &Array2<f64>, b: &Array2<f64>, out: &mut Array2<f64>) {
        Zip::from(a.rows()).and(out.rows_mut()).for_each(|factors, mut sum| {
            Zip::from(&factors).and(b.rows()).for_each(|&factor, row| sum.scaled_add(factor, &row));
        });
    }

    #[expect(clippy::cast_possible_truncation, reason = "the nearest number is meant")]
    fn single_precision(x: f64) -> f32 {
        x as f32
    }

    fn noise(shape: (usize, usize), seed: u32) -> Array2<f64> {
        let mut state = u64::from(seed);
        Array2::from_shape_simple_fn(shape, || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / f64::from(u32::MAX) - 1e6
        })
    }

    proptest! {
        #[test]
        fn sums_are_in_order_to_the_bit(m in 0_usize..23, k in 0_usize..23, n in 0_usize..37, seed: u32, ta: bool, tb: bool) {
            let a = if ta { noise((k, m), seed).reversed_axes() } else { noise((m, k), seed) };
            let b = if tb { noise((n, k), !seed).reversed_axes() } else { noise((k, n), !seed) };
            let mut expected = noise((m, n), seed ^ 5);
            let mut found = expected.clone();
            let initial = expected.clone();
            plain(&a, &b, &mut expected);
            ordered(a.view(), b.view(), found.view_mut());
            prop_assert!(found.iter().zip(&expected).all(|(x, y)| x.to_bits() == y.to_bits()));
            // Every second row and column of what is twice as large, or a matrix in one piece.
            let (step, times) = if seed % 2 == 0 { (1, 1) } else { (2, 2_usize) };
            let spread = |of: &Array2<f64>| {
                let mut large = Array2::zeros((of.nrows() * times, of.ncols() * times));
                large.slice_mut(s![..;step, ..;step]).assign(&of.mapv(single_precision));
                large
            };
            let (a, b) = (spread(&a), spread(&b));
            let mut single = spread(&initial);
            fast(a.slice(s![..;step, ..;step]), b.slice(s![..;step, ..;step]), single.slice_mut(s![..;step, ..;step]), true);
            let single = single.slice(s![..;step, ..;step]);
            prop_assert!(single.iter().zip(&expected).all(|(x, y)| (f64::from(*x) - y).abs() < 1e7 + 1e-5 * y.abs()));
        }
    }

    #[test]
    #[should_panic(expected = "a product of (2, 3) and (2, 3)")]
    fn shapes_that_do_not_fit_are_refused() {
        let a = Array2::zeros((2, 3));
        ordered(a.view(), a.view(), Array2::zeros((2, 3)).view_mut());
    }
}
