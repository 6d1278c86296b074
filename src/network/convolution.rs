//! Convolutions, as products of weights and columns of what lies under the window.
//!
//! A batch goes through in blocks of samples of a fixed size, each on one thread; gradients of blocks are added in the
//! order of the blocks, so that the number of threads cannot change a bit.

use super::{
    real::Real,
    shape::{Shape, Window},
};
use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut2, Axis, s};
use pulp::{Arch, NullaryFnOnce};
use rayon::prelude::*;

/// Columns of a block that its matrices still fit a core's cache with.
const COLUMNS: usize = 1536;
/// Columns below which a block is too small to be fast.
const FEWEST: usize = 256;

/// A convolution (in fact a correlation, as everywhere in this field) with square windows.
#[derive(Debug, Clone, PartialEq)]
pub struct Convolution<T = f64> {
    /// Weights, outputs x (inputs of a group x size x size).
    pub weights: Array2<T>,
    /// Bias, one per output channel.
    pub bias: Array1<T>,
    /// Rows and columns of the window.
    pub kernel: usize,
    /// Step of the window.
    pub stride: usize,
    /// Zeros on every side.
    pub padding: usize,
    /// Groups of channels that know nothing of one another; as many as channels: a depthwise convolution.
    pub groups: usize,
}

impl<T: Real> Convolution<T> {
    pub(super) fn window(&self) -> Window {
        Window { size: self.kernel, stride: self.stride, padding: self.padding }
    }

    /// Shape of the outputs; `None` when the inputs do not fit.
    pub(super) fn output(&self, input: Shape) -> Option<Shape> {
        self.window().over(input, self.bias.len())
    }

    /// Samples of a block.
    fn block(samples: usize, positions: usize) -> usize {
        let columns = (samples * positions / 8).clamp(FEWEST, COLUMNS);
        (columns / positions.max(1)).clamp(1, samples.max(1))
    }

    /// The sums of a batch.
    pub(super) fn forward(&self, values: ArrayView2<T>, input: Shape, output: Shape) -> Array2<T> {
        let (outside, inside) = (output.positions(), input.positions());
        let samples = values.ncols() / inside.max(1);
        let mut out = rows(&self.bias, samples * outside);
        let block = Self::block(samples, outside);
        let blocks: Vec<_> = out
            .axis_chunks_iter_mut(Axis(1), block * outside)
            .zip(values.axis_chunks_iter(Axis(1), block * inside))
            .collect();
        let (columns, outputs) = (self.weights.ncols(), output.channels / self.groups);
        let inputs = input.channels / self.groups;
        blocks.into_par_iter().for_each_init(Vec::new, |buffer: &mut Vec<T>, (mut out, values)| {
            buffer.resize(columns * out.ncols(), T::zero());
            for group in 0..self.groups {
                let outputs = group * outputs..(group + 1) * outputs;
                let values = values.slice(s![group * inputs..(group + 1) * inputs, ..]);
                gather(values, self.window(), input, output, buffer);
                let out = out.slice_mut(s![outputs.clone(), ..]);
                if let Ok(columns) = ArrayView2::from_shape((columns, out.ncols()), &buffer[..]) {
                    T::multiply(self.weights.slice(s![outputs, ..]), columns, out, true);
                }
            }
        });
        out
    }

    /// Derivatives with respect to weights and bias, written to `gradient`, weights first; and, if asked for, with
    /// respect to the inputs.
    pub(super) fn backward(
        &self,
        values: ArrayView2<T>,
        slopes: ArrayView2<T>,
        (input, output): (Shape, Shape),
        gradient: &mut [T],
        inwards: bool,
    ) -> Option<Array2<T>> {
        let (outside, inside) = (output.positions(), input.positions());
        let samples = values.ncols() / inside.max(1);
        let block = Self::block(samples, outside);
        let mut back = Array2::zeros(if inwards { values.dim() } else { (0, values.ncols()) });
        let blocks: Vec<_> = back
            .axis_chunks_iter_mut(Axis(1), block * inside)
            .zip(values.axis_chunks_iter(Axis(1), block * inside))
            .zip(slopes.axis_chunks_iter(Axis(1), block * outside))
            .collect();
        let (rows, outputs) = (self.weights.ncols(), output.channels / self.groups);
        let inputs = input.channels / self.groups;
        let partial: Vec<Vec<T>> = blocks
            .into_par_iter()
            .map_init(Vec::new, |buffer: &mut Vec<T>, ((mut back, values), slopes)| {
                let mut gradient = vec![T::zero(); self.weights.len() + self.bias.len()];
                let (weights, bias) = gradient.split_at_mut(self.weights.len());
                buffer.resize(rows * slopes.ncols(), T::zero());
                for group in 0..self.groups {
                    let (outputs, inputs) =
                        (group * outputs..(group + 1) * outputs, group * inputs..(group + 1) * inputs);
                    let slopes = slopes.slice(s![outputs.clone(), ..]);
                    gather(values.slice(s![inputs.clone(), ..]), self.window(), input, output, buffer);
                    let weights = &mut weights[outputs.start * rows..outputs.end * rows];
                    if let (Ok(columns), Ok(weights)) = (
                        ArrayView2::from_shape((rows, slopes.ncols()), &buffer[..]),
                        ArrayViewMut2::from_shape((outputs.len(), rows), weights),
                    ) {
                        T::multiply(slopes, columns.t(), weights, false);
                    }
                    if inwards {
                        if let Ok(columns) =
                            ArrayViewMut2::from_shape((rows, slopes.ncols()), &mut buffer[..])
                        {
                            T::multiply(self.weights.slice(s![outputs, ..]).t(), slopes, columns, false);
                        }
                        scatter(buffer, self.window(), input, output, back.slice_mut(s![inputs, ..]));
                    }
                }
                for (sum, row) in bias.iter_mut().zip(slopes.rows()) {
                    *sum = sum_of(row.to_slice());
                }
                gradient
            })
            .collect();
        gradient.fill(T::zero());
        for partial in partial {
            gradient.iter_mut().zip(partial).for_each(|(sum, value)| *sum += value);
        }
        inwards.then_some(back)
    }
}

/// Eight sums side by side, then those: an order that is fixed, and that vector instructions suit.
fn sum_of<T: Real>(row: Option<&[T]>) -> T {
    let row = row.unwrap_or_default();
    let chunks = row.chunks_exact(8);
    let rest = chunks.remainder().iter().fold(T::zero(), |sum, value| sum + *value);
    let mut sums = [T::zero(); 8];
    for chunk in chunks {
        sums.iter_mut().zip(chunk).for_each(|(sum, value)| *sum += *value);
    }
    sums.iter().fold(rest, |sum, value| sum + *value)
}

/// A matrix whose rows are of one number each.
pub(super) fn rows<T: Real>(numbers: &Array1<T>, columns: usize) -> Array2<T> {
    let mut all = Vec::with_capacity(numbers.len() * columns);
    numbers.iter().for_each(|number| all.resize(all.len() + columns, *number));
    Array2::from_shape_vec((numbers.len(), columns), all).unwrap_or_default()
}

/// Writes what lies under the window at every place of every sample: row (channel, row of the window, column of the
/// window), column (sample, place).
fn gather<T: Real>(values: ArrayView2<T>, window: Window, input: Shape, output: Shape, columns: &mut [T]) {
    let places = output.positions();
    let width = values.ncols() / input.positions().max(1) * places;
    // With its padding, one channel of one sample at a time: windows then need not look for the edges.
    let padded_width = input.width + 2 * window.padding;
    let mut padded = vec![T::zero(); (input.height + 2 * window.padding) * padded_width];
    let mut blocks = columns.chunks_exact_mut(width.max(1) * window.size * window.size);
    for channel in values.rows() {
        let (Some(channel), Some(block)) = (channel.to_slice(), blocks.next()) else { return };
        for (sample, plane) in channel.chunks_exact(input.positions()).enumerate() {
            let plane = if window.padding == 0 {
                plane
            } else {
                let inner = padded.chunks_exact_mut(padded_width).skip(window.padding);
                for (to, from) in inner.zip(plane.chunks_exact(input.width)) {
                    to[window.padding..][..input.width].copy_from_slice(from);
                }
                &padded
            };
            for ((dy, dx), row) in offsets(window).zip(block.chunks_exact_mut(width)) {
                let row = &mut row[sample * places..(sample + 1) * places];
                for (y, to) in row.chunks_exact_mut(output.width).enumerate() {
                    let from = &plane[(y * window.stride + dy) * padded_width + dx..];
                    if window.stride == 1 {
                        to.copy_from_slice(&from[..output.width]);
                    } else {
                        to.iter_mut()
                            .zip(from.iter().step_by(window.stride))
                            .for_each(|(to, from)| *to = *from);
                    }
                }
            }
        }
    }
}

/// Adds to every input what [`gather`] took from it.
fn scatter<T: Real>(columns: &[T], window: Window, input: Shape, output: Shape, back: ArrayViewMut2<T>) {
    Arch::new().dispatch(Scatter { columns, window, input, output, back });
}

struct Scatter<'a, T> {
    columns: &'a [T],
    window: Window,
    input: Shape,
    output: Shape,
    back: ArrayViewMut2<'a, T>,
}

impl<T: Real> NullaryFnOnce for Scatter<'_, T> {
    type Output = ();

    #[expect(
        clippy::inline_always,
        reason = "it must be inlined to be compiled for the vector instructions found"
    )]
    #[inline(always)]
    fn call(self) {
        let Self { columns, window, input, output, mut back } = self;
        let places = output.positions();
        let width = back.ncols() / input.positions().max(1) * places;
        let padded_width = input.width + 2 * window.padding;
        let mut padded = vec![T::zero(); (input.height + 2 * window.padding) * padded_width];
        let mut blocks = columns.chunks_exact(width.max(1) * window.size * window.size);
        for channel in back.rows_mut() {
            let (Some(channel), Some(block)) = (channel.into_slice(), blocks.next()) else { return };
            for (sample, plane) in channel.chunks_exact_mut(input.positions()).enumerate() {
                padded.fill(T::zero());
                for ((dy, dx), row) in offsets(window).zip(block.chunks_exact(width)) {
                    let row = &row[sample * places..(sample + 1) * places];
                    for (y, from) in row.chunks_exact(output.width).enumerate() {
                        let to = &mut padded[(y * window.stride + dy) * padded_width + dx..];
                        if window.stride == 1 {
                            to.iter_mut().zip(from).for_each(|(to, from)| *to += *from);
                        } else {
                            let to = to.iter_mut().step_by(window.stride);
                            to.zip(from).for_each(|(to, from)| *to += *from);
                        }
                    }
                }
                let inner = padded.chunks_exact(padded_width).skip(window.padding);
                for (to, from) in plane.chunks_exact_mut(input.width).zip(inner) {
                    to.copy_from_slice(&from[window.padding..][..input.width]);
                }
            }
        }
    }
}

#[inline]
fn offsets(window: Window) -> impl Iterator<Item = (usize, usize)> {
    (0..window.size).flat_map(move |dy| (0..window.size).map(move |dx| (dy, dx)))
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "the nearest number is meant")]
mod tests {
    use super::*;
    use crate::{
        math::stream::Stream,
        network::backpropagation::{batch, tests::noise},
    };
    use proptest::prelude::*;

    /// As the definition has it, one sample and one place at a time.
    fn direct(of: &Convolution, x: &[f64], input: Shape, output: Shape) -> Vec<f64> {
        let (kernel, inputs, outputs) = (of.kernel, input.channels / of.groups, output.channels / of.groups);
        let mut found = Vec::new();
        for channel in 0..output.channels {
            for (y0, x0) in (0..output.height).flat_map(|y| (0..output.width).map(move |x| (y, x))) {
                let mut sum = of.bias[channel];
                for (i, (dy, dx)) in (0..inputs)
                    .flat_map(|i| (0..kernel).flat_map(move |dy| (0..kernel).map(move |dx| (i, (dy, dx)))))
                {
                    let (y, z) = (
                        (y0 * of.stride + dy).checked_sub(of.padding),
                        (x0 * of.stride + dx).checked_sub(of.padding),
                    );
                    if let (Some(y), Some(z)) = (y, z)
                        && y < input.height
                        && z < input.width
                    {
                        let from = channel / outputs * inputs + i;
                        sum += of.weights[[channel, (i * kernel + dy) * kernel + dx]]
                            * x[(from * input.height + y) * input.width + z];
                    }
                }
                found.push(sum);
            }
        }
        found
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn convolutions_are_those_of_the_definition(
            groups in 1_usize..4,
            inputs in 1_usize..3,
            outputs in 1_usize..3,
            height in 1_usize..9,
            width in 1_usize..9,
            kernel in 1_usize..5,
            stride in 1_usize..4,
            padding in 0_usize..4,
            samples in 1_usize..5,
            seed: u64,
        ) {
            let input = Shape::image(groups * inputs, height, width);
            let stream = Stream::seeded(seed);
            let of = Convolution {
                weights: noise(groups * outputs, inputs * kernel * kernel, 1, &stream.derive("w")).0,
                bias: noise(1, groups * outputs, 1, &stream.derive("b")).0.row(0).to_owned(),
                kernel, stride, padding, groups,
            };
            let Some(output) = of.output(input) else {
                prop_assert!(padding >= kernel || kernel > height + 2 * padding || kernel > width + 2 * padding);
                return Ok(());
            };
            let (x, _) = noise(samples, input.len(), 1, &stream.derive("x"));
            let found = of.forward(batch(x.view(), input).view(), input, output);
            let single = Convolution {
                weights: of.weights.mapv(|w| w as f32), bias: of.bias.mapv(|b| b as f32), kernel, stride, padding, groups,
            };
            let fast = single.forward(batch(x.mapv(|x| x as f32).view(), input).view(), input, output);
            for (sample, row) in x.rows().into_iter().enumerate() {
                let expected = direct(&of, row.to_slice().unwrap(), input, output);
                for (at, expected) in expected.iter().enumerate() {
                    let (channel, place) = (at / output.positions(), at % output.positions());
                    let at = [channel, sample * output.positions() + place];
                    prop_assert!((found[at] - expected).abs() < 1e-12 * 100.0);
                    prop_assert!((f64::from(fast[at]) - expected).abs() < 1e-4);
                }
            }
        }
    }

    #[test]
    fn the_number_of_threads_does_not_change_a_bit() {
        let input = Shape::image(3, 12, 12);
        let stream = Stream::seeded(1);
        let of = Convolution {
            weights: noise(8, 27, 1, &stream.derive("w")).0.mapv(|w| w as f32),
            bias: Array1::zeros(8),
            kernel: 3,
            stride: 1,
            padding: 1,
            groups: 1,
        };
        let x = batch(noise(40, input.len(), 1, &stream).0.mapv(|x| x as f32).view(), input);
        let output = of.output(input).unwrap();
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let out = of.forward(x.view(), input, output);
                let mut gradient = vec![0.0; of.weights.len() + 8];
                let back = of.backward(x.view(), out.view(), (input, output), &mut gradient, true);
                (out, gradient, back)
            })
        };
        assert!(run(1) == run(2) && run(1) == run(3));
    }
}
