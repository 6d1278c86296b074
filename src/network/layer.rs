//! Layers, and how values and derivatives go through a sequence of them.

use super::{
    activation::Nonlinearity,
    convolution::Convolution,
    dense::{Dense, flatten, unflatten},
    elementwise,
    normalisation::{Normalisation, Statistics},
    pooling::Pool,
    real::Real,
    shape::Shape,
};
use crate::math::stream::Stream;
use ndarray::Array2;
use rand::RngCore;

/// One layer. Batches are channels x (samples x positions), see [`Shape`].
#[derive(Debug, Clone, PartialEq)]
pub enum Layer<T = f64> {
    /// An affine map of all features of a sample, which makes plain features of images.
    Dense(Dense<T>),
    /// A convolution.
    Convolution(Convolution<T>),
    /// Mean or max pooling.
    Pool(Pool),
    /// A function of every value.
    Activation(Nonlinearity),
    /// Batch normalisation of every channel.
    Normalisation(Normalisation<T>),
    /// While training, sets values to zero with probability `rate` and divides the others by `1 - rate`; otherwise
    /// nothing.
    Dropout {
        /// From 0 to below 1.
        rate: f64,
    },
    /// `x + f(x)`, where f is a sequence of layers that keeps the shape.
    Residual(Vec<Layer<T>>),
}

/// What a pass through the layers in training depends on.
pub(super) struct Mode<'a> {
    /// Where dropout draws from: one child per layer.
    pub(super) stream: &'a Stream,
    /// Weight of the penalty on values outside the interval of a polynomial.
    pub(super) penalty: f64,
}

/// Takes an array of a layer: its name, what it is, its shape and its numbers.
pub(super) type Visit<'a, T> = dyn FnMut(&str, Part, &[usize], &mut [T]) + 'a;

/// What a layer keeps for the way back, beside its inputs and outputs.
enum Cache<T> {
    None,
    Flat(Array2<T>),
    Statistics(Statistics<T>),
    Mask(Vec<T>),
    Tape(Tape<T>),
}

/// Everything that a sequence of layers computed: inputs and outputs of every layer.
pub(super) struct Tape<T> {
    shapes: Vec<Shape>,
    values: Vec<Array2<T>>,
    caches: Vec<Cache<T>>,
}

impl<T> Tape<T> {
    /// The outputs of the last layer.
    pub(super) fn outputs(&self) -> &Array2<T> {
        // There is always the input.
        &self.values[self.values.len() - 1]
    }
}

impl<T: Real> Layer<T> {
    /// Shape of the outputs; `None` when the inputs do not fit.
    pub(super) fn output(&self, input: Shape) -> Option<Shape> {
        match self {
            Self::Dense(dense) => {
                (dense.weights.ncols() == input.len()).then(|| Shape::features(dense.weights.nrows()))
            }
            Self::Convolution(convolution) => convolution.output(input),
            Self::Pool(pool) => pool.output(input),
            Self::Normalisation(normalisation) => {
                (normalisation.scale.len() == input.channels).then_some(input)
            }
            Self::Activation(_) | Self::Dropout { .. } => Some(input),
            Self::Residual(layers) => (output(layers, input)? == input).then_some(input),
        }
    }

    /// Trained numbers: those that weight decay shrinks come first.
    pub(super) fn parameters(&self) -> usize {
        match self {
            Self::Dense(dense) => dense.weights.len() + dense.bias.len(),
            Self::Convolution(convolution) => convolution.weights.len() + convolution.bias.len(),
            Self::Normalisation(normalisation) => 2 * normalisation.scale.len(),
            Self::Pool(_) | Self::Activation(_) | Self::Dropout { .. } => 0,
            Self::Residual(layers) => parameters(layers),
        }
    }

    /// Every array of the layer with its name, whether it is trained, and whether weight decay shrinks it.
    pub(super) fn visit_mut(&mut self, prefix: &str, visit: &mut Visit<T>) {
        fn slice<T: Real, D: ndarray::Dimension>(array: &mut ndarray::Array<T, D>) -> &mut [T] {
            if !array.is_standard_layout() {
                *array = array.as_standard_layout().into_owned();
            }
            array.as_slice_mut().unwrap_or_default()
        }
        let mut part = |name: &str, part, shape: &[usize], values: &mut [T]| {
            visit(&format!("{prefix}.{name}"), part, shape, values);
        };
        match self {
            Self::Dense(Dense { weights, bias }) => {
                let (outputs, inputs) = weights.dim();
                part("weights", Part::Weights, &[outputs, inputs], slice(weights));
                if !bias.is_empty() {
                    part("bias", Part::Other, &[outputs], slice(bias));
                }
            }
            Self::Convolution(Convolution { weights, bias, kernel, .. }) => {
                let (outputs, inputs) = weights.dim();
                let shape = [outputs, inputs / (*kernel * *kernel).max(1), *kernel, *kernel];
                part("weights", Part::Weights, &shape, slice(weights));
                part("bias", Part::Other, &[outputs], slice(bias));
            }
            Self::Normalisation(Normalisation { scale, shift, mean, variance, .. }) => {
                let shape = [scale.len()];
                part("scale", Part::Other, &shape, slice(scale));
                part("shift", Part::Other, &shape, slice(shift));
                part("mean", Part::Average, &shape, slice(mean));
                part("variance", Part::Average, &shape, slice(variance));
            }
            Self::Pool(_) | Self::Activation(_) | Self::Dropout { .. } => {}
            Self::Residual(layers) => visit_mut(layers, &format!("{prefix}."), visit),
        }
    }

    fn forward(
        &self,
        values: &Array2<T>,
        shapes: (Shape, Shape),
        mode: &Mode,
        index: usize,
    ) -> (Array2<T>, Cache<T>) {
        let (input, output) = shapes;
        match self {
            Self::Dense(dense) if input.positions() == 1 => (dense.forward(values.view()), Cache::None),
            Self::Dense(dense) => {
                let flat = flatten(values, input);
                (dense.forward(flat.view()), Cache::Flat(flat))
            }
            Self::Convolution(convolution) => {
                (convolution.forward(values.view(), input, output), Cache::None)
            }
            Self::Pool(pool) => (pool.forward(values, input, output), Cache::None),
            Self::Activation(of) => (activate(of, values), Cache::None),
            Self::Normalisation(normalisation) => {
                let (out, statistics) = normalisation.forward(values);
                (out, Cache::Statistics(statistics))
            }
            Self::Dropout { rate } => {
                let mask = mask(values.len(), *rate, &mode.stream.item(index as u64));
                let mut out = values.clone();
                out.iter_mut().zip(&mask).for_each(|(x, factor)| *x *= *factor);
                (out, Cache::Mask(mask))
            }
            Self::Residual(layers) => {
                let inner = Mode { stream: &mode.stream.item(index as u64), penalty: mode.penalty };
                let tape = forward(layers, values.clone(), input, &inner);
                let mut out = tape.outputs().clone();
                out += values;
                (out, Cache::Tape(tape))
            }
        }
    }

    /// Derivatives with respect to the layer's inputs; `None` when nobody asks for them (`inwards` is false).
    fn backward(
        &self,
        (values, outputs, cache): (&Array2<T>, &Array2<T>, &Cache<T>),
        mut slopes: Array2<T>,
        shapes: (Shape, Shape),
        mode: &Mode,
        gradient: &mut [T],
        inwards: bool,
    ) -> Option<Array2<T>> {
        match (self, cache) {
            (Self::Dense(dense), Cache::Flat(flat)) => {
                let back = dense.backward(flat.view(), slopes.view(), gradient, inwards)?;
                Some(unflatten(&back, shapes.0))
            }
            (Self::Dense(dense), _) => dense.backward(values.view(), slopes.view(), gradient, inwards),
            (Self::Convolution(convolution), _) => {
                convolution.backward(values.view(), slopes.view(), shapes, gradient, inwards)
            }
            (Self::Pool(pool), _) => Some(pool.backward(values, &slopes, shapes.0, shapes.1)),
            (Self::Activation(of), _) => {
                let samples = values.ncols() / shapes.0.positions().max(1);
                if let (Some(z), Some(a), Some(slopes)) =
                    (values.as_slice(), outputs.as_slice(), slopes.as_slice_mut())
                {
                    elementwise::derivatives(of, z, a, slopes);
                    if let Some([low, high]) = penalised(of, mode) {
                        let scale = T::from_f64(2.0 * mode.penalty / samples as f64);
                        let excess = |z: T| (z - high).max(T::zero()) + (z - low).min(T::zero());
                        slopes.iter_mut().zip(z).for_each(|(slope, z)| *slope += scale * excess(*z));
                    }
                }
                Some(slopes)
            }
            (Self::Normalisation(normalisation), Cache::Statistics(batch)) => {
                Some(normalisation.backward(values, &slopes, batch, gradient))
            }
            (Self::Dropout { .. }, Cache::Mask(mask)) => {
                slopes.iter_mut().zip(mask).for_each(|(slope, factor)| *slope *= *factor);
                Some(slopes)
            }
            (Self::Residual(layers), Cache::Tape(tape)) => {
                if let Some(through) = backward(layers, tape, slopes.clone(), mode, gradient, true) {
                    slopes += &through;
                }
                Some(slopes)
            }
            // A layer is given its own cache.
            _ => Some(slopes),
        }
    }
}

/// What an array of a layer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Trained, and shrunk by weight decay.
    Weights,
    /// Trained.
    Other,
    /// A running average.
    Average,
}

fn activate<T: Real>(of: &Nonlinearity, values: &Array2<T>) -> Array2<T> {
    let mut out = Array2::zeros(values.dim());
    match (values.as_slice(), out.as_slice_mut()) {
        (Some(z), Some(a)) => elementwise::values(of, z, a),
        _ => out = values.mapv(|z| T::from_f64(of.value(z.wide()))),
    }
    out
}

/// The interval that values should keep to.
fn penalised<T: Real>(of: &Nonlinearity, mode: &Mode) -> Option<[T; 2]> {
    match of {
        Nonlinearity::Polynomial(polynomial) if mode.penalty > 0.0 => {
            Some(polynomial.interval.map(T::from_f64))
        }
        _ => None,
    }
}

/// Factors of dropout: 0 with probability `rate`, otherwise `1 / (1 - rate)`.
fn mask<T: Real>(count: usize, rate: f64, stream: &Stream) -> Vec<T> {
    let mut rng = stream.rng();
    let keep = T::from_f64(1.0 / (1.0 - rate));
    // 32 bits decide: a share of 2^32.
    let threshold = rate * 4_294_967_296.0;
    (0..count).map(|_| if f64::from(rng.next_u32()) < threshold { T::zero() } else { keep }).collect()
}

/// Shape of what a sequence of layers makes; `None` when one does not fit.
pub(super) fn output<T: Real>(layers: &[Layer<T>], input: Shape) -> Option<Shape> {
    layers.iter().try_fold(input, |shape, layer| layer.output(shape))
}

/// Trained numbers of a sequence of layers.
pub(super) fn parameters<T: Real>(layers: &[Layer<T>]) -> usize {
    layers.iter().map(Layer::parameters).sum()
}

/// Visits the arrays of a sequence of layers, named by the layer's place.
pub(super) fn visit_mut<T: Real>(layers: &mut [Layer<T>], prefix: &str, visit: &mut Visit<T>) {
    for (index, layer) in layers.iter_mut().enumerate() {
        layer.visit_mut(&format!("{prefix}{}", index + 1), visit);
    }
}

/// In training.
pub(super) fn forward<T: Real>(layers: &[Layer<T>], values: Array2<T>, input: Shape, mode: &Mode) -> Tape<T> {
    let mut tape = Tape { shapes: vec![input], values: vec![values], caches: Vec::new() };
    for (index, layer) in layers.iter().enumerate() {
        let shape = tape.shapes[index];
        let output = layer.output(shape).unwrap_or(shape);
        let (values, cache) = layer.forward(&tape.values[index], (shape, output), mode, index);
        tape.shapes.push(output);
        tape.values.push(values);
        tape.caches.push(cache);
    }
    tape
}

/// The way back: derivatives with respect to all parameters, layer by layer, and, if asked for, to the inputs.
pub(super) fn backward<T: Real>(
    layers: &[Layer<T>],
    tape: &Tape<T>,
    slopes: Array2<T>,
    mode: &Mode,
    gradient: &mut [T],
    inwards: bool,
) -> Option<Array2<T>> {
    let mut slopes = Some(slopes);
    let mut gradient = gradient;
    for (index, layer) in layers.iter().enumerate().rev() {
        let (rest, own) = gradient.split_at_mut(gradient.len() - layer.parameters());
        gradient = rest;
        let kept = (&tape.values[index], &tape.values[index + 1], &tape.caches[index]);
        let shapes = (tape.shapes[index], tape.shapes[index + 1]);
        let inwards = inwards || index > 0;
        slopes = layer.backward(kept, slopes?, shapes, mode, own, inwards);
    }
    slopes
}

/// The penalty on values outside the intervals of polynomials, summed over the samples of a batch.
pub(super) fn penalty<T: Real>(layers: &[Layer<T>], tape: &Tape<T>, mode: &Mode) -> f64 {
    let of_layer = |(index, layer): (usize, &Layer<T>)| match (layer, &tape.caches[index]) {
        (Layer::Activation(of), _) => penalised::<T>(of, mode).map_or(0.0, |[low, high]| {
            let square = |z: &T| {
                let excess = (*z - high).max(T::zero()) + (*z - low).min(T::zero());
                (excess * excess).wide()
            };
            mode.penalty * tape.values[index].iter().map(square).sum::<f64>()
        }),
        (Layer::Residual(layers), Cache::Tape(tape)) => penalty(layers, tape, mode),
        _ => 0.0,
    };
    if mode.penalty > 0.0 { layers.iter().enumerate().map(of_layer).sum() } else { 0.0 }
}

/// Lets running averages follow what the batch had.
pub(super) fn follow<T: Real>(layers: &mut [Layer<T>], tape: &Tape<T>) {
    for (index, layer) in layers.iter_mut().enumerate() {
        match (layer, &tape.caches[index]) {
            (Layer::Normalisation(normalisation), Cache::Statistics(batch)) => {
                normalisation.follow(batch, tape.values[index].ncols());
            }
            (Layer::Residual(layers), Cache::Tape(tape)) => follow(layers, tape),
            _ => {}
        }
    }
}

/// Without training: running averages, no dropout. `observe` is shown the inputs of every activation, which are counted
/// from 0 in the order of the layers, inner ones of residuals included.
pub(super) fn infer<T: Real>(
    layers: &[Layer<T>],
    mut values: Array2<T>,
    mut shape: Shape,
    count: &mut usize,
    observe: &mut dyn FnMut(usize, &Array2<T>),
) -> Array2<T> {
    for layer in layers {
        let output = layer.output(shape).unwrap_or(shape);
        values = match layer {
            Layer::Dense(dense) if shape.positions() == 1 => dense.forward(values.view()),
            Layer::Dense(dense) => dense.forward(flatten(&values, shape).view()),
            Layer::Convolution(convolution) => convolution.forward(values.view(), shape, output),
            Layer::Pool(pool) => pool.forward(&values, shape, output),
            Layer::Activation(of) => {
                observe(*count, &values);
                *count += 1;
                activate(of, &values)
            }
            Layer::Normalisation(normalisation) => {
                normalisation.infer(&mut values);
                values
            }
            Layer::Dropout { .. } => values,
            Layer::Residual(layers) => infer(layers, values.clone(), shape, count, observe) + values,
        };
        shape = output;
    }
    values
}
