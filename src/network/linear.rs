//! Networks as maps that a server can compute on ciphertexts: sums of products with weights, and functions between them.
//!
//! Dense layers, convolutions, mean pooling and batch normalisation are linear, and linear maps that follow one another are one: so pooling and
//! normalisation cost neither a level nor a product of their own. Which inputs an output takes follows from the architecture, not from the weights.

use crate::approximation::Polynomial;
use ndarray::{ArrayView1, ArrayView2};

use super::{
    Network, activation::Nonlinearity, convolution::Convolution, layer::Layer, pooling::Pool,
    pooling::PoolKind, shape::Shape,
};

/// A linear map: `weights x + bias`, in sparse rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// Number of inputs.
    pub inputs: usize,
    /// One output each.
    pub rows: Vec<Row>,
}

/// One output of a [`Linear`] map.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Row {
    /// The inputs that it takes, in their order, each with its weight.
    pub terms: Vec<(usize, f64)>,
    /// What is added.
    pub bias: f64,
}

/// A part of a network.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// A linear map.
    Linear(Linear),
    /// A function of every value.
    Activation(Nonlinearity),
}

impl Linear {
    /// A dense layer, of `weights` outputs x inputs; without bias where that is empty.
    pub fn dense(weights: ArrayView2<'_, f64>, bias: &[f64]) -> Self {
        let rows = weights.outer_iter().zip(bias.iter().chain(std::iter::repeat(&0.0)));
        let row = |(row, bias): (ArrayView1<'_, f64>, &f64)| Row {
            terms: row.iter().copied().enumerate().collect(),
            bias: *bias,
        };
        Self { inputs: weights.ncols(), rows: rows.map(row).collect() }
    }

    /// First `first`, then this.
    fn after(&self, first: &Self) -> Self {
        // Rows become long, so that their terms are summed in place, input by input.
        let mut sums = vec![None; first.inputs];
        let merged = |row: &Row| {
            sums.fill(None);
            let mut bias = row.bias;
            for &(through, weight) in &row.terms {
                let Some(inner) = first.rows.get(through) else { continue };
                bias += weight * inner.bias;
                for &(input, factor) in &inner.terms {
                    if let Some(sum) = sums.get_mut(input) {
                        *sum = Some(sum.unwrap_or(0.0) + weight * factor);
                    }
                }
            }
            let terms = sums.iter().enumerate().filter_map(|(input, sum)| Some((input, (*sum)?)));
            Row { terms: terms.collect(), bias }
        };
        Self { inputs: first.inputs, rows: self.rows.iter().map(merged).collect() }
    }

    /// The greatest sum of the magnitudes of a row's weights and bias.
    pub fn norm(&self) -> f64 {
        let row = |row: &Row| row.terms.iter().map(|(_, weight)| weight.abs()).sum::<f64>() + row.bias.abs();
        self.rows.iter().map(row).fold(0.0, f64::max)
    }

    /// The most terms of a row.
    pub fn longest(&self) -> usize {
        self.rows.iter().map(|row| row.terms.len()).max().unwrap_or(0)
    }

    /// Terms of all rows.
    pub fn terms(&self) -> usize {
        self.rows.iter().map(|row| row.terms.len()).sum()
    }
}

/// The same function with squares in place of a polynomial of degree 2: `a x^2 + b x + c` is `a (x + b / 2a)^2 + c - b^2 / 4a`, and
/// what is done before and after the square is part of the linear maps there. `None` for other polynomials, and where an activation is not
/// between two linear maps.
pub fn squares(mut steps: Vec<Step>, polynomial: &Polynomial) -> Option<Vec<Step>> {
    if polynomial.degree() != 2 {
        return None;
    }
    let [c, b, a, ..] = polynomial.to_monomial().coefficients[..] else { return None };
    let (shift, rest) = (b / (2.0 * a), c - b * b / (4.0 * a));
    for at in 0..steps.len() {
        if let Step::Linear(_) = steps[at] {
            continue;
        }
        let (before, after) = steps.split_at_mut(at);
        let (Some(Step::Linear(before)), [_, Step::Linear(after), ..]) = (before.last_mut(), after) else {
            return None;
        };
        before.rows.iter_mut().for_each(|row| row.bias += shift);
        for row in &mut after.rows {
            row.bias += rest * row.terms.iter().map(|(_, weight)| weight).sum::<f64>();
            row.terms.iter_mut().for_each(|(_, weight)| *weight *= a);
        }
    }
    Some(steps)
}

impl Network {
    /// The network as linear maps and functions, in turns; `None` where a layer is neither: the greatest of a window, residuals.
    pub fn steps(&self) -> Option<Vec<Step>> {
        let mut steps: Vec<Step> = Vec::new();
        let mut shape = self.input;
        for layer in &self.layers {
            let linear = match layer {
                Layer::Dropout { .. } => continue,
                Layer::Activation(function) => {
                    steps.push(Step::Activation(function.clone()));
                    continue;
                }
                Layer::Dense(dense) => Linear::dense(dense.weights.view(), &dense.bias.to_vec()),
                Layer::Convolution(convolution) => convolved(convolution, shape, layer.output(shape)?),
                Layer::Pool(pool) if pool.kind == PoolKind::Mean => {
                    convolved(&mean(*pool, shape.channels), shape, layer.output(shape)?)
                }
                Layer::Normalisation(normalisation) => {
                    let channels = normalisation.affine();
                    let row = |(index, &(factor, summand)): (usize, &(f64, f64))| Row {
                        terms: vec![(index, factor)],
                        bias: summand,
                    };
                    let each =
                        channels.iter().flat_map(|affine| std::iter::repeat_n(affine, shape.positions()));
                    Linear { inputs: shape.len(), rows: each.enumerate().map(row).collect() }
                }
                Layer::Pool(_) | Layer::Residual(_) => return None,
            };
            shape = layer.output(shape)?;
            match steps.last_mut() {
                Some(Step::Linear(before)) => *before = linear.after(before),
                _ => steps.push(Step::Linear(linear)),
            }
        }
        Some(steps)
    }
}

/// The mean of a window as a depthwise convolution.
pub(super) fn mean(pool: Pool, channels: usize) -> Convolution {
    let area = pool.size * pool.size;
    Convolution {
        weights: ndarray::Array2::from_elem((channels, area), 1.0 / area as f64),
        bias: ndarray::Array1::zeros(channels),
        kernel: pool.size,
        stride: pool.stride,
        padding: pool.padding,
        groups: channels,
    }
}

/// What a convolution's windows see, channel by channel, row by row: the channel of the output, and the inputs with the place of their
/// weight among the channel's.
pub(super) fn windows(
    convolution: &Convolution,
    input: Shape,
    output: Shape,
) -> impl Iterator<Item = (usize, Vec<(usize, usize)>)> {
    let &Convolution { kernel, stride, padding, groups, .. } = convolution;
    let (of_group, outputs_of_group) = (input.channels / groups, output.channels / groups);
    // Where the window's row or column lies on the image, if it does.
    let place = move |out: usize, offset: usize, length: usize| {
        (out * stride + offset).checked_sub(padding).filter(|at| *at < length)
    };
    (0..output.len()).map(move |at| {
        let (channel, position) = (at / output.positions(), at % output.positions());
        let (down, right) = (position / output.width, position % output.width);
        let first = channel / outputs_of_group.max(1) * of_group;
        let term = |index: usize| {
            let (from, offset) = (index / (kernel * kernel), index % (kernel * kernel));
            let y = place(down, offset / kernel, input.height)?;
            let x = place(right, offset % kernel, input.width)?;
            Some((((first + from) * input.height + y) * input.width + x, index))
        };
        (channel, (0..of_group * kernel * kernel).filter_map(term).collect())
    })
}

/// A convolution's rows.
fn convolved(convolution: &Convolution, input: Shape, output: Shape) -> Linear {
    let row = |(channel, terms): (usize, Vec<(usize, usize)>)| Row {
        terms: terms
            .into_iter()
            .map(|(column, index)| (column, convolution.weights[[channel, index]]))
            .collect(),
        bias: convolution.bias[channel],
    };
    Linear { inputs: input.len(), rows: windows(convolution, input, output).map(row).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::stream::Stream;
    use crate::network::{Activation, Loss, architecture};
    use ndarray::Array2;
    use ndarray_rand::{RandomExt, rand_distr::StandardNormal};

    fn evaluate(steps: &[Step], input: &[f64]) -> Vec<f64> {
        steps.iter().fold(input.to_vec(), |values, step| match step {
            Step::Linear(linear) => {
                assert_eq!(linear.inputs, values.len());
                let sum = |row: &Row| row.terms.iter().map(|(at, weight)| values[*at] * weight).sum::<f64>();
                linear.rows.iter().map(|row| sum(row) + row.bias).collect()
            }
            Step::Activation(function) => values.iter().map(|z| function.value(*z)).collect(),
        })
    }

    #[test]
    fn steps_compute_what_the_network_computes() {
        let stream = Stream::seeded(3);
        let function = Nonlinearity::from(Activation::Sigmoid);
        let image = Shape::image(1, 28, 28);
        let cases = [
            (Shape::features(7), architecture::mlp(&[5, 4], &function, 3)),
            (image, architecture::conv_1(&function, 3)),
            (image, architecture::lenet_5(&function, 3)),
            (image, architecture::cryptonets(&function, 3)),
            (image, architecture::deep(&function, 3)),
        ];
        for (shape, specs) in cases {
            let mut network = Network::build(shape, &specs, 3, Loss::CrossEntropy, &stream).unwrap();
            // Normalisations that do something.
            for layer in &mut network.layers {
                if let Layer::Normalisation(of) = layer {
                    of.mean.iter_mut().zip(1_u8..).for_each(|(mean, n)| *mean = 0.01 * f64::from(n));
                    of.shift.fill(0.1);
                    of.variance.fill(0.7);
                }
            }
            let steps = network.steps().unwrap();
            let turns = steps.windows(2).all(|pair| {
                matches!(
                    pair,
                    [Step::Linear(_), Step::Activation(_)] | [Step::Activation(_), Step::Linear(_)]
                )
            });
            assert!(turns, "{specs:?}");
            let x = Array2::random_using((2, shape.len()), StandardNormal, &mut stream.rng());
            for (sample, expected) in x.outer_iter().zip(network.outputs(x.view()).outer_iter()) {
                let found = evaluate(&steps, &sample.to_vec());
                assert!(
                    found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-9),
                    "{found:?} {expected}"
                );
            }
        }
    }

    #[test]
    fn squares_compute_what_quadratic_polynomials_do() {
        let stream = Stream::seeded(4);
        for coefficients in [vec![0.0, 0.0, 1.0], vec![0.5, -0.75, 0.125]] {
            let polynomial = Polynomial::monomial(coefficients, [-1.0, 1.0]);
            let function = Nonlinearity::Polynomial(polynomial.clone());
            let (shape, specs) = (Shape::features(7), architecture::mlp(&[5, 4], &function, 3));
            let network = Network::build(shape, &specs, 3, Loss::CrossEntropy, &stream).unwrap();
            let steps = network.steps().unwrap();
            let mut squared = squares(steps.clone(), &polynomial).unwrap();
            let square = Nonlinearity::Polynomial(Polynomial::monomial(vec![0.0, 0.0, 1.0], [-1.0, 1.0]));
            squared
                .iter_mut()
                .filter(|step| matches!(step, Step::Activation(_)))
                .for_each(|step| *step = Step::Activation(square.clone()));
            let input: Vec<f64> = (0..7).map(|i| f64::from(i) / 7.0 - 0.5).collect();
            for (found, expected) in evaluate(&squared, &input).iter().zip(evaluate(&steps, &input)) {
                assert!((found - expected).abs() < 1e-12, "{found} {expected}");
            }
        }
        let cubic = Polynomial::monomial(vec![0.0, 0.0, 0.0, 1.0], [-1.0, 1.0]);
        assert_eq!(squares(Vec::new(), &cubic), None);
        assert_eq!(squares(Vec::new(), &Polynomial::monomial(vec![0.0, 1.0], [-1.0, 1.0])), None);
    }

    #[test]
    fn what_is_not_linear_has_no_steps() {
        let function = Nonlinearity::from(Activation::Relu);
        let specs = architecture::resnet(&function, 10, 4, PoolKind::Max);
        let shape = Shape::image(3, 32, 32);
        let network =
            Network::<f64>::build(shape, &specs, 10, Loss::CrossEntropy, &Stream::seeded(0)).unwrap();
        assert_eq!(network.steps(), None);
    }
}
