//! Affine layers.

use super::{convolution::rows, real::Real, real::multiply, shape::Shape};
use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut2, Axis};

/// One affine layer, `z = W a + b`.
#[derive(Debug, Clone, PartialEq)]
pub struct Dense<T = f64> {
    /// Weights, outputs x inputs.
    pub weights: Array2<T>,
    /// Bias, one per output; empty where there is none.
    pub bias: Array1<T>,
}

impl<T: Real> Dense<T> {
    /// The sums of a batch (inputs x samples): outputs x samples. Every sum starts at the bias, then goes through the
    /// inputs in order.
    pub(super) fn forward(&self, values: ArrayView2<T>) -> Array2<T> {
        let mut out = if self.bias.is_empty() {
            Array2::zeros((self.weights.nrows(), values.ncols()))
        } else {
            rows(&self.bias, values.ncols())
        };
        multiply(self.weights.view(), values, out.view_mut());
        out
    }

    /// Derivatives with respect to weights and bias, written to `gradient`, weights first; and, if asked for, with
    /// respect to the inputs.
    pub(super) fn backward(
        &self,
        values: ArrayView2<T>,
        slopes: ArrayView2<T>,
        gradient: &mut [T],
        inwards: bool,
    ) -> Option<Array2<T>> {
        let (weights, bias) = gradient.split_at_mut(self.weights.len());
        weights.fill(T::zero());
        if let Ok(weights) = ArrayViewMut2::from_shape(self.weights.dim(), weights) {
            multiply(slopes, values.t(), weights);
        }
        for (sum, row) in bias.iter_mut().zip(slopes.rows()) {
            *sum = row.iter().fold(T::zero(), |sum, slope| sum + *slope);
        }
        inwards.then(|| {
            let mut out = Array2::zeros((self.weights.ncols(), slopes.ncols()));
            multiply(self.weights.t(), slopes, out.view_mut());
            out
        })
    }
}

/// A batch of images as plain features: channels x (samples x positions) becomes features x samples.
pub(super) fn flatten<T: Real>(values: &Array2<T>, shape: Shape) -> Array2<T> {
    let positions = shape.positions();
    let samples = values.ncols() / positions.max(1);
    let mut flat = Array2::zeros((shape.len(), samples));
    for (channel, mut features) in
        values.rows().into_iter().zip(flat.axis_chunks_iter_mut(Axis(0), positions))
    {
        if let Ok(planes) = channel.into_shape_with_order((samples, positions)) {
            features.assign(&planes.t());
        }
    }
    flat
}

/// The way back from [`flatten`].
pub(super) fn unflatten<T: Real>(flat: &Array2<T>, shape: Shape) -> Array2<T> {
    let positions = shape.positions();
    let samples = flat.ncols();
    let mut values = Array2::zeros((shape.channels, samples * positions));
    for (mut channel, features) in
        values.rows_mut().into_iter().zip(flat.axis_chunks_iter(Axis(0), positions))
    {
        if let Ok(mut planes) = channel.view_mut().into_shape_with_order((samples, positions)) {
            planes.assign(&features.t());
        }
    }
    values
}
