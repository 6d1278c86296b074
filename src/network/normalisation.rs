//! Batch normalisation (Ioffe and Szegedy, "Batch Normalization", ICML 2015).

use super::real::Real;
use ndarray::{Array1, Array2, ArrayView1, Axis, Zip};
use rayon::prelude::*;

/// Shares of a block's numbers that are summed in working precision before they join a sum of 64 bits.
const BLOCK: usize = 512;

/// Normalises every channel to mean 0 and variance 1, then scales and shifts it: `y = scale (x - mean) / sqrt(variance +
/// epsilon) + shift`. While training, mean and variance are the batch's own; afterwards they are running averages.
#[derive(Debug, Clone, PartialEq)]
pub struct Normalisation<T = f64> {
    /// Scale of every channel, trained.
    pub scale: Array1<T>,
    /// Shift of every channel, trained.
    pub shift: Array1<T>,
    /// Running mean.
    pub mean: Array1<T>,
    /// Running variance (unbiased).
    pub variance: Array1<T>,
    /// Added to variances.
    pub epsilon: f64,
    /// Share of a batch's mean and variance in the running ones.
    pub momentum: f64,
}

/// A batch's own statistics.
#[derive(Debug, Clone)]
pub(super) struct Statistics<T> {
    pub(super) mean: Vec<T>,
    pub(super) variance: Vec<T>,
}

impl<T: Real> Normalisation<T> {
    /// A normalisation that changes nothing yet.
    pub fn new(channels: usize) -> Self {
        Self {
            scale: Array1::ones(channels),
            shift: Array1::zeros(channels),
            mean: Array1::zeros(channels),
            variance: Array1::ones(channels),
            epsilon: 1e-5,
            momentum: 0.1,
        }
    }

    fn deviation(&self, variance: T) -> T {
        (variance + T::from_f64(self.epsilon)).sqrt()
    }

    /// Of every channel, the factor and the summand that it amounts to with the running averages.
    pub fn affine(&self) -> Vec<(T, T)> {
        let channels = self.scale.iter().zip(&self.shift).zip(self.mean.iter().zip(&self.variance));
        channels
            .map(|((scale, shift), (mean, variance))| {
                let factor = *scale / self.deviation(*variance);
                (factor, *shift - *mean * factor)
            })
            .collect()
    }

    /// With the running averages.
    pub(super) fn infer(&self, values: &mut Array2<T>) {
        for (mut row, (factor, summand)) in values.rows_mut().into_iter().zip(self.affine()) {
            row.mapv_inplace(|x| x * factor + summand);
        }
    }

    /// With the batch's own statistics, which are returned.
    pub(super) fn forward(&self, values: &Array2<T>) -> (Array2<T>, Statistics<T>) {
        let count = values.ncols() as f64;
        let mut out = values.clone();
        let rows: Vec<_> = out.axis_iter_mut(Axis(0)).zip(self.scale.iter().zip(&self.shift)).collect();
        let (mean, variance) = rows
            .into_par_iter()
            .with_min_len(least(values))
            .map(|(mut row, (scale, shift))| {
                let mean = T::from_f64(sum(row.view(), |x| x) / count);
                let variance = T::from_f64(sum(row.view(), |x| (x - mean) * (x - mean)) / count);
                let factor = *scale / self.deviation(variance);
                row.mapv_inplace(|x| (x - mean) * factor + *shift);
                (mean, variance)
            })
            .unzip();
        (out, Statistics { mean, variance })
    }

    /// Derivatives with respect to scale and shift, written to `gradient`, scale first, and with respect to the inputs.
    pub(super) fn backward(
        &self,
        values: &Array2<T>,
        slopes: &Array2<T>,
        batch: &Statistics<T>,
        gradient: &mut [T],
    ) -> Array2<T> {
        let count = values.ncols() as f64;
        let mut back = slopes.clone();
        let statistics = batch.mean.iter().zip(&batch.variance).zip(&self.scale);
        let rows: Vec<_> = back.axis_iter_mut(Axis(0)).zip(values.rows()).zip(statistics).collect();
        let sums: Vec<(T, T)> = rows
            .into_par_iter()
            .with_min_len(least(values))
            .map(|((mut row, values), ((mean, variance), scale))| {
                let inverse = T::one() / self.deviation(*variance);
                let shift = sum(row.view(), |slope| slope);
                let of_scale = sum_of_products(row.view(), values, *mean) * inverse.wide();
                let (a, b) = (T::from_f64(shift / count), T::from_f64(of_scale / count) * inverse);
                let factor = *scale * inverse;
                Zip::from(&mut row).and(&values).for_each(|slope, x| {
                    *slope = factor * (*slope - a - (*x - *mean) * b);
                });
                (T::from_f64(of_scale), T::from_f64(shift))
            })
            .collect();
        let (scale, shift) = gradient.split_at_mut(self.scale.len());
        for ((scale, shift), sums) in scale.iter_mut().zip(shift).zip(sums) {
            (*scale, *shift) = sums;
        }
        back
    }

    /// Lets the running averages follow a batch of so many values a channel.
    pub(super) fn follow(&mut self, batch: &Statistics<T>, count: usize) {
        let momentum = T::from_f64(self.momentum);
        let unbiased = T::from_f64(count as f64 / (count.max(2) - 1) as f64);
        for (running, mean) in self.mean.iter_mut().zip(&batch.mean) {
            *running = (T::one() - momentum) * *running + momentum * *mean;
        }
        for (running, variance) in self.variance.iter_mut().zip(&batch.variance) {
            *running = (T::one() - momentum) * *running + momentum * *variance * unbiased;
        }
    }
}

/// Rows that are worth a thread.
fn least<T>(values: &Array2<T>) -> usize {
    ((1 << 14) / values.ncols().max(1)).max(1)
}

/// The sum over a row: eight sums side by side within a block, blocks in 64 bits.
fn sum<T: Real>(row: ArrayView1<T>, of: impl Fn(T) -> T) -> f64 {
    let row = row.to_slice().unwrap_or_default();
    row.chunks(BLOCK).fold(0.0, |total, block| {
        let mut sums = [T::zero(); 8];
        for chunk in block.chunks(8) {
            sums.iter_mut().zip(chunk).for_each(|(sum, x)| *sum += of(*x));
        }
        total + sums.iter().fold(T::zero(), |sum, x| sum + *x).wide()
    })
}

/// `Σ slope · (x - mean)`, added like [`sum`].
fn sum_of_products<T: Real>(slopes: ArrayView1<T>, values: ArrayView1<T>, mean: T) -> f64 {
    let (slopes, values) = (slopes.to_slice().unwrap_or_default(), values.to_slice().unwrap_or_default());
    slopes.chunks(BLOCK).zip(values.chunks(BLOCK)).fold(0.0, |total, (slopes, values)| {
        let mut sums = [T::zero(); 8];
        for (slopes, values) in slopes.chunks(8).zip(values.chunks(8)) {
            for ((sum, slope), x) in sums.iter_mut().zip(slopes).zip(values) {
                *sum += *slope * (*x - mean);
            }
        }
        total + sums.iter().fold(T::zero(), |sum, x| sum + *x).wide()
    })
}
