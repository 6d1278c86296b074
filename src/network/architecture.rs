//! Architectures as plain data, and those that have names.

use super::{
    Network, NetworkError,
    activation::{Loss, Nonlinearity},
    convolution::Convolution,
    dense::Dense,
    layer::{self, Layer},
    normalisation::Normalisation,
    pooling::{Pool, PoolKind},
    real::Real,
    shape::Shape,
};
use crate::math::stream::Stream;
use ndarray::{Array1, Array2};
use ndarray_rand::{RandomExt, rand_distr::StandardUniform};
use serde::{Deserialize, Serialize};

/// Most parameters of a network that is built: 256 MiB of 32-bit numbers.
const MOST_PARAMETERS: usize = 1 << 26;

/// One layer without its numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum LayerSpec {
    /// An affine layer.
    Dense {
        /// Neurons.
        outputs: usize,
        /// Whether something is added to every sum.
        #[serde(default = "yes", skip_serializing_if = "is_yes")]
        bias: bool,
    },
    /// A convolution.
    Convolution {
        /// Channels that it makes.
        outputs: usize,
        /// Rows and columns of the window.
        kernel: usize,
        /// Step of the window.
        #[serde(default = "one")]
        stride: usize,
        /// Zeros on every side.
        #[serde(default)]
        padding: usize,
        /// Groups of channels; as many as there are channels: depthwise.
        #[serde(default = "one")]
        groups: usize,
    },
    /// Pooling.
    Pool {
        /// Mean or max.
        pool: PoolKind,
        /// Rows and columns of the window.
        size: usize,
        /// Step of the window.
        stride: usize,
        /// Padding on every side.
        #[serde(default)]
        padding: usize,
    },
    /// An activation, or a polynomial in its place.
    Activation {
        /// The function.
        function: Nonlinearity,
    },
    /// Batch normalisation.
    Normalisation,
    /// Dropout.
    Dropout {
        /// Share of values set to zero while training.
        rate: f64,
    },
    /// `x + f(x)`.
    Residual {
        /// The layers of f.
        layers: Vec<LayerSpec>,
    },
}

const fn one() -> usize {
    1
}

const fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde asks for")]
const fn is_yes(flag: &bool) -> bool {
    *flag
}

impl<T: Real> Network<T> {
    /// A network with fresh weights, from one stream per layer with weights, `layer-1`, `layer-2`, ..., counted through
    /// the whole network.
    ///
    /// Dense weights are uniform as in [`Network::initialise`]; those of convolutions in `±sqrt(6 / inputs of a
    /// window)` (He et al., "Delving Deep into Rectifiers", ICCV 2015). Biases are zero.
    ///
    /// # Errors
    /// [`NetworkError::Architecture`] when a layer does not fit the one before it, or when the last one does not make
    /// `classes` plain features.
    pub fn build(
        input: Shape,
        specs: &[LayerSpec],
        classes: usize,
        loss: Loss,
        stream: &Stream,
    ) -> Result<Self, NetworkError> {
        let network = Self::construct(
            input,
            specs,
            loss,
            &mut Weights { stream: Some(stream), count: 0, total: 0, most: MOST_PARAMETERS },
        )?;
        let output = network.output_shape();
        if output != Some(Shape::features(classes)) {
            return Err(NetworkError::Architecture {
                layer: specs.len(),
                input: output.unwrap_or(input),
                reason: "the last layer must make one output per class",
            });
        }
        Ok(network)
    }

    /// A network of zeros, of so many numbers at most.
    pub fn hollow(input: Shape, specs: &[LayerSpec], loss: Loss, most: usize) -> Result<Self, NetworkError> {
        Self::construct(input, specs, loss, &mut Weights { stream: None, count: 0, total: 0, most })
    }

    fn construct(
        input: Shape,
        specs: &[LayerSpec],
        loss: Loss,
        weights: &mut Weights,
    ) -> Result<Self, NetworkError> {
        Ok(Self { input, layers: weights.layers(input, specs, 0)?.0, loss })
    }

    /// The architecture, from which an equal network without its numbers can be built.
    pub fn specs(&self) -> Vec<LayerSpec> {
        self.layers.iter().map(Layer::spec).collect()
    }

    /// The same network in 64-bit numbers; none of its own changes.
    pub fn widened(&self) -> Network {
        let mut values = Vec::new();
        layer::visit_mut(&mut self.clone().layers, "", &mut |_, _, _, own| {
            values.extend(own.iter().map(|value| value.wide()));
        });
        // What was built once can be built again.
        let mut wide = Network::hollow(self.input, &self.specs(), self.loss, usize::MAX)
            .unwrap_or_else(|_| Network { input: self.input, layers: Vec::new(), loss: self.loss });
        let mut values = values.into_iter();
        layer::visit_mut(&mut wide.layers, "", &mut |_, _, _, own| {
            own.iter_mut().zip(&mut values).for_each(|(own, value)| *own = value);
        });
        wide
    }

    /// The same function without batch normalisation, wherever that follows an affine layer or a convolution: it is
    /// folded into their weights, with its running averages. Dropout, which does nothing any more, is left out.
    #[must_use]
    pub fn folded(&self) -> Self {
        Self { input: self.input, layers: fold(&self.layers), loss: self.loss }
    }
}

impl<T: Real> Layer<T> {
    fn spec(&self) -> LayerSpec {
        match self {
            Self::Dense(Dense { weights, bias }) => {
                LayerSpec::Dense { outputs: weights.nrows(), bias: !bias.is_empty() }
            }
            Self::Convolution(Convolution { bias, kernel, stride, padding, groups, .. }) => {
                LayerSpec::Convolution {
                    outputs: bias.len(),
                    kernel: *kernel,
                    stride: *stride,
                    padding: *padding,
                    groups: *groups,
                }
            }
            Self::Pool(Pool { kind, size, stride, padding }) => {
                LayerSpec::Pool { pool: *kind, size: *size, stride: *stride, padding: *padding }
            }
            Self::Activation(function) => LayerSpec::Activation { function: function.clone() },
            Self::Normalisation(_) => LayerSpec::Normalisation,
            Self::Dropout { rate } => LayerSpec::Dropout { rate: *rate },
            Self::Residual(layers) => LayerSpec::Residual { layers: layers.iter().map(Self::spec).collect() },
        }
    }
}

fn fold<T: Real>(layers: &[Layer<T>]) -> Vec<Layer<T>> {
    let mut folded: Vec<Layer<T>> = Vec::with_capacity(layers.len());
    for layer in layers {
        match (layer, folded.last_mut()) {
            (Layer::Dropout { .. }, _) => {}
            (
                Layer::Normalisation(normalisation),
                Some(
                    Layer::Dense(Dense { weights, bias })
                    | Layer::Convolution(Convolution { weights, bias, .. }),
                ),
            ) => {
                if bias.is_empty() {
                    *bias = Array1::zeros(weights.nrows());
                }
                for ((mut row, bias), (factor, summand)) in
                    weights.rows_mut().into_iter().zip(bias).zip(normalisation.affine())
                {
                    row.mapv_inplace(|weight| weight * factor);
                    *bias = *bias * factor + summand;
                }
            }
            (Layer::Residual(layers), _) => folded.push(Layer::Residual(fold(layers))),
            (layer, _) => folded.push(layer.clone()),
        }
    }
    folded
}

/// Where the numbers of a new network come from, and how many there are so far.
struct Weights<'a> {
    stream: Option<&'a Stream>,
    count: usize,
    total: usize,
    most: usize,
}

impl Weights<'_> {
    fn layers<T: Real>(
        &mut self,
        input: Shape,
        specs: &[LayerSpec],
        nested: usize,
    ) -> Result<(Vec<Layer<T>>, Shape), NetworkError> {
        let mut shape = input;
        let mut layers = Vec::with_capacity(specs.len().min(1024));
        for (index, spec) in specs.iter().enumerate() {
            let fail = |reason| NetworkError::Architecture { layer: index + 1, input: shape, reason };
            let layer = self.layer(shape, spec, nested, &fail)?;
            shape = layer.output(shape).ok_or_else(|| fail("it does not fit what comes in"))?;
            layers.push(layer);
        }
        Ok((layers, shape))
    }

    fn layer<T: Real>(
        &mut self,
        input: Shape,
        spec: &LayerSpec,
        nested: usize,
        fail: &dyn Fn(&'static str) -> NetworkError,
    ) -> Result<Layer<T>, NetworkError> {
        Ok(match spec {
            LayerSpec::Dense { outputs, bias } => {
                let limit = (6.0 / input.len().saturating_add(*outputs).max(1) as f64).sqrt();
                let weights = self.draw(*outputs, input.len(), limit, fail)?;
                let bias = Array1::zeros(if *bias { *outputs } else { 0 });
                Layer::Dense(Dense { weights, bias })
            }
            LayerSpec::Convolution { outputs, kernel, stride, padding, groups } => {
                let (kernel, stride, padding, groups) = (*kernel, *stride, *padding, *groups);
                if kernel == 0 || stride == 0 || groups == 0 {
                    return Err(fail("kernel, stride and groups must be at least 1"));
                }
                if padding >= kernel {
                    return Err(fail("its padding must be below its kernel"));
                }
                if !(input.channels.is_multiple_of(groups) && outputs.is_multiple_of(groups)) || *outputs == 0
                {
                    return Err(fail("its groups must divide the channels before and after it"));
                }
                let inputs = (input.channels / groups).saturating_mul(kernel.saturating_mul(kernel));
                let weights = self.draw(*outputs, inputs, (6.0 / inputs.max(1) as f64).sqrt(), fail)?;
                let bias = Array1::zeros(*outputs);
                Layer::Convolution(Convolution { weights, bias, kernel, stride, padding, groups })
            }
            LayerSpec::Pool { pool, size, stride, padding } => {
                if *size == 0 || *stride == 0 || padding >= size {
                    return Err(fail("size and stride must be at least 1, and padding below the size"));
                }
                Layer::Pool(Pool { kind: *pool, size: *size, stride: *stride, padding: *padding })
            }
            LayerSpec::Activation { function } => Layer::Activation(function.clone()),
            LayerSpec::Normalisation => {
                self.take(input.channels.saturating_mul(4), fail)?;
                Layer::Normalisation(Normalisation::new(input.channels))
            }
            LayerSpec::Dropout { rate } if (0.0..1.0).contains(rate) => Layer::Dropout { rate: *rate },
            LayerSpec::Dropout { .. } => {
                return Err(fail("the rate of dropout must be at least 0 and below 1"));
            }
            // Nothing that is meant to be trained nests deeper, and a file could nest until the stack is full.
            LayerSpec::Residual { .. } if nested == 4 => {
                return Err(fail("residuals are nested more than 4 deep"));
            }
            LayerSpec::Residual { layers } => Layer::Residual(self.layers(input, layers, nested + 1)?.0),
        })
    }

    fn take(
        &mut self,
        numbers: usize,
        fail: &dyn Fn(&'static str) -> NetworkError,
    ) -> Result<(), NetworkError> {
        self.total = self.total.saturating_add(numbers);
        if self.total > self.most { Err(fail("there are too many parameters up to here")) } else { Ok(()) }
    }

    fn draw<T: Real>(
        &mut self,
        outputs: usize,
        inputs: usize,
        limit: f64,
        fail: &dyn Fn(&'static str) -> NetworkError,
    ) -> Result<Array2<T>, NetworkError> {
        self.take(outputs.saturating_mul(inputs.saturating_add(1)), fail)?;
        self.count += 1;
        Ok(match self.stream {
            Some(stream) => uniform(outputs, inputs, limit, &stream.derive(&format!("layer-{}", self.count))),
            None => Array2::zeros((outputs, inputs)),
        })
    }
}

/// Weights that are uniform in `±limit`.
pub(super) fn uniform<T: Real>(outputs: usize, inputs: usize, limit: f64, stream: &Stream) -> Array2<T> {
    let unit: Array2<f64> = Array2::random_using((outputs, inputs), StandardUniform, &mut stream.rng());
    unit.mapv(|u| T::from_f64((2.0 * u - 1.0) * limit))
}

fn convolution(outputs: usize, kernel: usize, stride: usize, padding: usize) -> LayerSpec {
    LayerSpec::Convolution { outputs, kernel, stride, padding, groups: 1 }
}

fn pool(pool: PoolKind, size: usize) -> LayerSpec {
    LayerSpec::Pool { pool, size, stride: size, padding: 0 }
}

fn activation(function: &Nonlinearity) -> LayerSpec {
    LayerSpec::Activation { function: function.clone() }
}

fn dense(outputs: usize) -> LayerSpec {
    LayerSpec::Dense { outputs, bias: true }
}

/// Fully connected layers: the activation follows every one but the last.
pub fn mlp(hidden: &[usize], function: &Nonlinearity, classes: usize) -> Vec<LayerSpec> {
    let hidden = hidden.iter().flat_map(|width| [dense(*width), activation(function)]);
    hidden.chain([dense(classes)]).collect()
}

/// The same without biases, as encrypted networks of one ciphertext a weight have it.
pub fn unbiased_mlp(hidden: &[usize], function: &Nonlinearity, classes: usize) -> Vec<LayerSpec> {
    let mut layers = mlp(hidden, function, classes);
    for layer in &mut layers {
        if let LayerSpec::Dense { bias, .. } = layer {
            *bias = false;
        }
    }
    layers
}

/// Conv-1 of GELU-Net (section 5): convolution of 5x5 by 2 to 5 channels, activation, mean pooling, activation, output.
pub fn conv_1(function: &Nonlinearity, classes: usize) -> Vec<LayerSpec> {
    let act = || activation(function);
    vec![convolution(5, 5, 2, 0), act(), pool(PoolKind::Mean, 2), act(), dense(classes)]
}

/// LeNet-5 for images of 28x28 as GELU-Net has it (section 5), the activation after the mean: convolutions of 5x5 (the
/// first padded by 2) to 6 and 16 channels, dense layers of 120 and 84.
pub fn lenet_5(function: &Nonlinearity, classes: usize) -> Vec<LayerSpec> {
    let act = || activation(function);
    let mean = || pool(PoolKind::Mean, 2);
    vec![
        convolution(6, 5, 1, 2),
        mean(),
        act(),
        convolution(16, 5, 1, 0),
        mean(),
        act(),
        dense(120),
        act(),
        dense(84),
        act(),
        dense(classes),
    ]
}

/// The network of CryptoNets (ICML 2016) that is trained: convolution of 5x5 by 2 (padded by 1) to 5 channels,
/// activation, mean pooling of 3x3 padded by 1, convolution of 5x5 by 2 to 50 channels, mean pooling, dense layer of 100, activation,
/// output.
pub fn cryptonets(function: &Nonlinearity, classes: usize) -> Vec<LayerSpec> {
    let act = || activation(function);
    let smooth = || LayerSpec::Pool { pool: PoolKind::Mean, size: 3, stride: 1, padding: 1 };
    vec![
        convolution(5, 5, 2, 1),
        act(),
        smooth(),
        convolution(50, 5, 2, 0),
        smooth(),
        dense(100),
        act(),
        dense(classes),
    ]
}

/// The network of CryptoDL (section 5.3: two convolutions and two dense layers, mean pooling). Batch normalisation comes
/// before every activation where `normalised`, which keeps polynomials within their interval.
pub fn crypto_dl(function: &Nonlinearity, classes: usize, normalised: bool) -> Vec<LayerSpec> {
    let act = || normalised.then_some(LayerSpec::Normalisation).into_iter().chain([activation(function)]);
    let mean = || pool(PoolKind::Mean, 2);
    [convolution(20, 5, 1, 0)]
        .into_iter()
        .chain(act())
        .chain([mean(), convolution(50, 5, 1, 0)])
        .chain(act())
        .chain([mean(), dense(256)])
        .chain(act())
        .chain([dense(classes)])
        .collect()
}

/// A deeper network for images of 28x28: four convolutions of 3x3, each with batch normalisation and activation, mean
/// pooling after every second one, dense layer of 128.
pub fn deep(function: &Nonlinearity, classes: usize) -> Vec<LayerSpec> {
    let block = |outputs| [convolution(outputs, 3, 1, 1), LayerSpec::Normalisation, activation(function)];
    let mean = || [pool(PoolKind::Mean, 2)];
    block(16)
        .into_iter()
        .chain(block(16))
        .chain(mean())
        .chain(block(32))
        .chain(block(32))
        .chain(mean())
        .chain([dense(128), LayerSpec::Normalisation, activation(function), dense(classes)])
        .collect()
}

/// A small network for images of 32x32 in colour: six convolutions of 3x3 with batch normalisation, mean pooling after
/// every second one.
pub fn cifar_small(function: &Nonlinearity, classes: usize) -> Vec<LayerSpec> {
    let block = |outputs| [convolution(outputs, 3, 1, 1), LayerSpec::Normalisation, activation(function)];
    let stage = |outputs| block(outputs).into_iter().chain(block(outputs)).chain([pool(PoolKind::Mean, 2)]);
    stage(32).chain(stage(64)).chain(stage(128)).chain([dense(classes)]).collect()
}

/// A residual network of nine layers for images of 32x32 (D. Page, "How to Train Your `ResNet`", 2018, without its final
/// scale), of `width` channels at first and eight times as many at last.
pub fn resnet(function: &Nonlinearity, classes: usize, width: usize, kind: PoolKind) -> Vec<LayerSpec> {
    let block = |outputs| [convolution(outputs, 3, 1, 1), LayerSpec::Normalisation, activation(function)];
    let residual =
        |outputs| LayerSpec::Residual { layers: block(outputs).into_iter().chain(block(outputs)).collect() };
    let stage = |outputs| block(outputs).into_iter().chain([pool(kind, 2)]);
    block(width)
        .into_iter()
        .chain(stage(2 * width))
        .chain([residual(2 * width)])
        .chain(stage(4 * width))
        .chain(stage(8 * width))
        .chain([residual(8 * width)])
        .chain([pool(kind, 4), dense(classes)])
        .collect()
}
