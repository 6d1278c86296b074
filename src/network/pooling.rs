//! Mean and max pooling.

use super::{
    real::Real,
    shape::{Shape, Window},
};
use ndarray::Array2;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Planes that go to one thread at a time.
const PLANES: usize = 32;

/// What is made of the values under a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PoolKind {
    /// Their mean; padding counts as zeros, so that it is the same linear map everywhere.
    Mean,
    /// The greatest, the first one on ties; padding is never the greatest.
    Max,
}

/// Pooling with square windows, each channel by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// Mean or max.
    pub kind: PoolKind,
    /// Rows and columns of the window.
    pub size: usize,
    /// Step of the window.
    pub stride: usize,
    /// Padding on every side.
    pub padding: usize,
}

impl Pool {
    fn window(self) -> Window {
        Window { size: self.size, stride: self.stride, padding: self.padding }
    }

    /// Shape of the outputs; `None` when the inputs do not fit.
    pub(super) fn output(self, input: Shape) -> Option<Shape> {
        self.window().over(input, input.channels)
    }

    /// The pooled batch.
    pub(super) fn forward<T: Real>(self, values: &Array2<T>, input: Shape, output: Shape) -> Array2<T> {
        let samples = values.ncols() / input.positions().max(1);
        let mut out = Array2::zeros((output.channels, samples * output.positions()));
        let (Some(from), Some(to)) = (values.as_slice(), out.as_slice_mut()) else { return out };
        let scale = T::one() / T::from_f64((self.size * self.size) as f64);
        to.par_chunks_mut(output.positions() * PLANES)
            .zip(from.par_chunks(input.positions() * PLANES))
            .for_each(|(to, from)| {
                let planes =
                    to.chunks_exact_mut(output.positions()).zip(from.chunks_exact(input.positions()));
                planes.for_each(|(to, from)| match self.kind {
                    PoolKind::Mean if self.is_halving() => halve(from, to, input.width, output.width, scale),
                    PoolKind::Mean => {
                        to.fill(T::zero());
                        self.each(input, output, |place, under| to[place] += from[under]);
                        for to in to {
                            *to *= scale;
                        }
                    }
                    PoolKind::Max => {
                        to.fill(T::neg_infinity());
                        // NaN stays, so that divergence cannot hide.
                        self.each(input, output, |place, under| {
                            if from[under] > to[place] || from[under].is_nan() {
                                to[place] = from[under];
                            }
                        });
                    }
                });
            });
        out
    }

    /// The derivative with respect to the inputs.
    pub(super) fn backward<T: Real>(
        self,
        values: &Array2<T>,
        slopes: &Array2<T>,
        input: Shape,
        output: Shape,
    ) -> Array2<T> {
        let mut back = Array2::zeros(values.dim());
        let (Some(from), Some(slopes), Some(to)) =
            (values.as_slice(), slopes.as_slice(), back.as_slice_mut())
        else {
            return back;
        };
        let scale = T::one() / T::from_f64((self.size * self.size) as f64);
        to.par_chunks_mut(input.positions() * PLANES)
            .zip(from.par_chunks(input.positions() * PLANES))
            .zip(slopes.par_chunks(output.positions() * PLANES))
            .for_each_init(Vec::new, |greatest: &mut Vec<(T, usize)>, ((to, from), slopes)| {
                let planes = to.chunks_exact_mut(input.positions()).zip(from.chunks_exact(input.positions()));
                for ((to, from), slopes) in planes.zip(slopes.chunks_exact(output.positions())) {
                    match self.kind {
                        PoolKind::Mean if self.is_halving() => {
                            spread(slopes, to, input.width, output.width, scale);
                        }
                        PoolKind::Mean => {
                            self.each(input, output, |place, under| to[under] += slopes[place] * scale);
                        }
                        PoolKind::Max => {
                            greatest.clear();
                            greatest.resize(output.positions(), (T::neg_infinity(), usize::MAX));
                            self.each(input, output, |place, under| {
                                if from[under] > greatest[place].0 {
                                    greatest[place] = (from[under], under);
                                }
                            });
                            for ((_, under), slope) in greatest.iter().zip(slopes) {
                                if let Some(to) = to.get_mut(*under) {
                                    *to += *slope;
                                }
                            }
                        }
                    }
                }
            });
        back
    }

    /// Windows of two by two side by side, the usual case.
    fn is_halving(self) -> bool {
        (self.size, self.stride, self.padding) == (2, 2, 0)
    }

    /// Calls back with every place of the output and every input under the window there, row by row.
    fn each(self, input: Shape, output: Shape, mut visit: impl FnMut(usize, usize)) {
        let window = self.window();
        for dy in 0..self.size {
            let (top, bottom) = window.inside(dy, input.height, output.height);
            for dx in 0..self.size {
                let (left, right) = window.inside(dx, input.width, output.width);
                for y in top..bottom {
                    let row = (y * self.stride + dy - self.padding) * input.width;
                    for x in left..right {
                        visit(y * output.width + x, row + x * self.stride + dx - self.padding);
                    }
                }
            }
        }
    }
}

fn halve<T: Real>(from: &[T], to: &mut [T], inside: usize, outside: usize, scale: T) {
    for (rows, to) in from.chunks_exact(2 * inside).zip(to.chunks_exact_mut(outside)) {
        let (top, bottom) = rows.split_at(inside);
        for ((to, top), bottom) in to.iter_mut().zip(top.chunks_exact(2)).zip(bottom.chunks_exact(2)) {
            *to = (top[0] + top[1] + bottom[0] + bottom[1]) * scale;
        }
    }
}

fn spread<T: Real>(slopes: &[T], to: &mut [T], inside: usize, outside: usize, scale: T) {
    for (rows, slopes) in to.chunks_exact_mut(2 * inside).zip(slopes.chunks_exact(outside)) {
        let (top, bottom) = rows.split_at_mut(inside);
        for ((slope, top), bottom) in
            slopes.iter().zip(top.chunks_exact_mut(2)).zip(bottom.chunks_exact_mut(2))
        {
            let slope = *slope * scale;
            (top[0], top[1], bottom[0], bottom[1]) = (slope, slope, slope, slope);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn means_and_maxima_are_those_by_hand() {
        let input = Shape::image(1, 3, 4);
        let values: Array2<f64> = array![[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0]];
        let run = |kind, size, stride, padding| {
            let pool = Pool { kind, size, stride, padding };
            pool.forward(&values, input, pool.output(input).unwrap())
        };
        assert_eq!(run(PoolKind::Mean, 2, 2, 0), array![[3.5, 5.5]]);
        assert_eq!(run(PoolKind::Max, 2, 2, 0), array![[6.0, 8.0]]);
        assert_eq!(run(PoolKind::Max, 3, 2, 1), array![[6.0, 8.0, 10.0, 12.0]]);
        // The corner of a padded window has 1, 2, 5 and 6, of nine places.
        assert!((run(PoolKind::Mean, 3, 2, 1)[[0, 0]] - 14.0 / 9.0).abs() < 1e-15);
        // Two by two by the long way round.
        let long = Pool { kind: PoolKind::Mean, size: 2, stride: 1, padding: 0 };
        let all = long.forward(&values, input, long.output(input).unwrap());
        assert_eq!((all[[0, 0]], all[[0, 2]]), (3.5, 5.5));
        assert!(Pool { kind: PoolKind::Max, size: 5, stride: 1, padding: 0 }.output(input).is_none());
    }

    #[test]
    fn not_a_number_stays_not_a_number() {
        let pool = Pool { kind: PoolKind::Max, size: 2, stride: 2, padding: 0 };
        let input = Shape::image(1, 2, 2);
        let found = pool.forward(&array![[1.0, f64::NAN, 2.0, 0.0]], input, pool.output(input).unwrap());
        assert!(found[[0, 0]].is_nan());
    }
}
