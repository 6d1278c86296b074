//! Linear maps whose weights come from fewer parameters: those of a convolution stand at all its positions, and a mean after it adds
//! neighbours up.

use ndarray::ArrayView1;
use serde::Serialize;

use super::{
    Network,
    layer::Layer,
    linear::{mean, windows},
    pooling::PoolKind,
    shape::Shape,
};

/// Where the weights and biases of a linear map come from: each is a sum of parameters, divided by `2^shift`.
///
/// Serialised without its rows, which follow from the architecture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sharing {
    /// Numbers that the map takes.
    pub inputs: usize,
    /// One output each.
    #[serde(skip)]
    pub rows: Vec<SharedRow>,
    /// Parameters that are weights.
    pub weights: usize,
    /// Parameters that are biases.
    pub biases: usize,
    /// What everything is divided by: the values that a mean is of, 2 to this power.
    pub shift: u32,
}

/// One output of a [`Sharing`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SharedRow {
    /// The inputs that it takes, in their order, each with the weights that are summed up. A sum of none is 1: a mean of inputs has no
    /// parameters.
    pub terms: Vec<(usize, Vec<usize>)>,
    /// The biases that are summed up.
    pub biases: Vec<usize>,
}

impl SharedRow {
    /// Products with a parameter, and biases, that are summed up.
    fn summands(&self) -> usize {
        self.terms.iter().map(|(_, weights)| weights.len().max(1)).sum::<usize>() + self.biases.len()
    }
}

impl Sharing {
    /// A layer that is a convolution or a mean of `2^k` values; `None` for another.
    fn of(layer: &Layer, input: Shape, output: Shape) -> Option<Self> {
        let (convolution, shift) = match layer {
            Layer::Convolution(convolution) => (convolution.clone(), None),
            Layer::Pool(pool) if pool.kind == PoolKind::Mean => {
                let area = pool.size * pool.size;
                let shift = area.is_power_of_two().then(|| area.trailing_zeros())?;
                (mean(*pool, input.channels), Some(shift))
            }
            _ => return None,
        };
        let of_channel = convolution.weights.ncols();
        let row = |(channel, terms): (usize, Vec<(usize, usize)>)| {
            let weights =
                |index| if shift.is_some() { Vec::new() } else { vec![channel * of_channel + index] };
            SharedRow {
                terms: terms.into_iter().map(|(column, index)| (column, weights(index))).collect(),
                biases: if shift.is_some() { Vec::new() } else { vec![channel] },
            }
        };
        let (weights, biases) = match shift {
            None => (convolution.weights.len(), convolution.bias.len()),
            Some(_) => (0, 0),
        };
        let rows = windows(&convolution, input, output).map(row).collect();
        Some(Self { inputs: input.len(), rows, weights, biases, shift: shift.unwrap_or(0) })
    }

    /// First this, then a mean; `None` where an input would be counted twice without a weight, or what follows has parameters.
    fn then(&self, mean: &Self) -> Option<Self> {
        if mean.weights + mean.biases > 0 {
            return None;
        }
        let merged = |row: &SharedRow| {
            let mut sums: Vec<Option<Vec<usize>>> = vec![None; self.inputs];
            let mut biases = Vec::new();
            for (through, _) in &row.terms {
                let inner = self.rows.get(*through)?;
                biases.extend(&inner.biases);
                for (column, weights) in &inner.terms {
                    match sums.get_mut(*column)? {
                        Some(_) if weights.is_empty() => return None,
                        Some(sum) => sum.extend(weights),
                        none => *none = Some(weights.clone()),
                    }
                }
            }
            let terms = sums.into_iter().enumerate().filter_map(|(column, sum)| Some((column, sum?)));
            Some(SharedRow { terms: terms.collect(), biases })
        };
        let rows = mean.rows.iter().map(merged).collect::<Option<_>>()?;
        Some(Self { rows, shift: self.shift + mean.shift, ..*self })
    }

    /// Terms of all rows.
    pub fn terms(&self) -> usize {
        self.rows.iter().map(|row| row.terms.len()).sum()
    }

    /// The most products with a parameter, and biases, that an output sums up.
    pub fn longest_row(&self) -> usize {
        self.rows.iter().map(SharedRow::summands).max().unwrap_or(0)
    }

    /// For every input the products with a parameter that take it.
    fn columns(&self) -> Vec<usize> {
        let mut columns = vec![0; self.inputs];
        for (column, weights) in self.rows.iter().flat_map(|row| &row.terms) {
            columns[*column] += weights.len().max(1);
        }
        columns
    }

    /// The most products with a parameter that take an input.
    pub fn longest_column(&self) -> usize {
        self.columns().into_iter().max().unwrap_or(0)
    }

    /// Inputs that an output takes.
    pub fn reached(&self) -> usize {
        self.columns().into_iter().filter(|products| *products > 0).count()
    }

    /// The derivatives with respect to the weights, and to the biases, from the inputs and the derivatives with respect to the outputs.
    pub fn gradient(&self, input: ArrayView1<'_, f64>, error: ArrayView1<'_, f64>) -> (Vec<f64>, Vec<f64>) {
        let (mut weights, mut biases) = (vec![0.0; self.weights], vec![0.0; self.biases]);
        for (row, error) in self.rows.iter().zip(error) {
            for (column, shared) in &row.terms {
                let product = error * input[*column];
                for weight in shared {
                    weights[*weight] += product;
                }
            }
            for bias in &row.biases {
                biases[*bias] += error;
            }
        }
        let unit = libm::exp2(-f64::from(self.shift));
        weights.iter_mut().chain(&mut biases).for_each(|sum| *sum *= unit);
        (weights, biases)
    }
}

impl Network {
    /// Where the weights of the linear [`steps`](Self::steps) come from, step by step: nothing for a dense layer, which has one of its own in
    /// every place. `None` where the network has other steps than dense layers with biases, and convolutions and means of `2^k` values, which
    /// may follow one another if the convolution comes first.
    pub fn sharings(&self) -> Option<Vec<Option<Sharing>>> {
        let mut sharings = Vec::new();
        let mut shape = self.input;
        // The step that has begun, if any.
        let mut step: Option<Option<Sharing>> = None;
        for layer in &self.layers {
            let output = layer.output(shape)?;
            match (layer, &step) {
                (Layer::Dropout { .. }, _) => {}
                (Layer::Activation(_), _) => sharings.push(step.take()?),
                (Layer::Dense(dense), None) if !dense.bias.is_empty() => step = Some(None),
                (Layer::Dense(_), _) | (_, Some(None)) => return None,
                (layer, before) => {
                    let next = Sharing::of(layer, shape, output)?;
                    step = Some(Some(match before {
                        Some(Some(before)) => before.then(&next)?,
                        _ => next,
                    }));
                }
            }
            shape = output;
        }
        sharings.extend(step);
        Some(sharings)
    }

    /// The parameters of every linear step: weights row by row, then biases.
    pub fn step_parameters(&self) -> Vec<Vec<f64>> {
        let mut steps = vec![Vec::new()];
        for layer in &self.layers {
            let (weights, bias) = match layer {
                Layer::Activation(_) => {
                    steps.push(Vec::new());
                    continue;
                }
                Layer::Dense(dense) => (&dense.weights, &dense.bias),
                Layer::Convolution(convolution) => (&convolution.weights, &convolution.bias),
                _ => continue,
            };
            if let Some(step) = steps.last_mut() {
                step.extend(weights.iter().chain(bias));
            }
        }
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::stream::Stream;
    use crate::network::{Activation, Loss, Nonlinearity, Step, architecture};
    use ndarray::Array1;
    use ndarray_rand::{RandomExt, rand_distr::StandardNormal};

    fn network(specs: &[crate::network::LayerSpec]) -> Network {
        Network::build(Shape::image(1, 28, 28), specs, 10, Loss::CrossEntropy, &Stream::seeded(3)).unwrap()
    }

    /// Against the merged maps, whose weights are computed from real numbers.
    #[test]
    fn sums_of_parameters_are_the_merged_weights() {
        let function = Nonlinearity::from(Activation::Sigmoid);
        for specs in [architecture::conv_1(&function, 10), architecture::lenet_5(&function, 10)] {
            let network = network(&specs);
            let sharings = network.sharings().unwrap();
            let parameters = network.step_parameters();
            let linear = network.steps().unwrap().into_iter().filter_map(|step| match step {
                Step::Linear(linear) => Some(linear),
                Step::Activation(_) => None,
            });
            let mut shared = 0;
            for ((linear, sharing), parameters) in linear.zip(&sharings).zip(&parameters) {
                let Some(sharing) = sharing else {
                    assert_eq!(parameters.len(), linear.terms() + linear.rows.len());
                    continue;
                };
                shared += 1;
                assert_eq!(parameters.len(), sharing.weights + sharing.biases);
                assert_eq!((sharing.inputs, sharing.terms()), (linear.inputs, linear.terms()));
                let (weights, biases) = parameters.split_at(sharing.weights);
                let unit = libm::exp2(-f64::from(sharing.shift));
                for (row, expected) in sharing.rows.iter().zip(&linear.rows) {
                    let bias: f64 = row.biases.iter().map(|bias| biases[*bias]).sum();
                    assert!((bias * unit - expected.bias).abs() < 1e-12);
                    for ((column, terms), (place, weight)) in row.terms.iter().zip(&expected.terms) {
                        let sum: f64 = terms.iter().map(|term| weights[*term]).sum();
                        let sum = if terms.is_empty() { 1.0 } else { sum };
                        assert_eq!(column, place);
                        assert!((sum * unit - weight).abs() < 1e-12);
                    }
                }
            }
            assert_eq!(shared, 2);
        }
    }

    /// Against the network's own back-propagation, for what comes before a dense layer.
    #[test]
    fn gradients_are_those_of_back_propagation() {
        let function = Nonlinearity::from(Activation::Square);
        let mut specs = architecture::lenet_5(&function, 10);
        // The first convolution and its mean, and a layer that makes classes of it.
        specs.truncate(3);
        specs.push(crate::network::LayerSpec::Dense { outputs: 10, bias: true });
        let network = network(&specs);
        let x = Array1::random_using(784, StandardNormal, &mut Stream::seeded(4).rng());
        let expected = network.gradients(x.view().insert_axis(ndarray::Axis(0)), &[7]);
        let sharings = network.sharings().unwrap();
        let sharing = sharings[0].as_ref().unwrap();
        let Layer::Dense(last) = &network.layers[3] else { unreachable!() };
        let parameters = &network.step_parameters()[0];
        let (weights, biases) = parameters.split_at(sharing.weights);
        let sum = |row: &SharedRow| {
            let terms = row
                .terms
                .iter()
                .map(|(column, terms)| x[*column] * terms.iter().map(|term| weights[*term]).sum::<f64>());
            (terms.sum::<f64>() + row.biases.iter().map(|bias| biases[*bias]).sum::<f64>()) / 4.0
        };
        let z: Array1<f64> = sharing.rows.iter().map(sum).collect();
        let mut error = last.weights.dot(&(&z * &z)) + &last.bias;
        network.loss.differentiate(error.view_mut(), 7);
        let back = last.weights.t().dot(&error) * &z * 2.0;
        let (weights, biases) = sharing.gradient(x.view(), back.view());
        for (found, wanted) in weights.iter().chain(&biases).zip(&expected) {
            assert!((found - wanted).abs() < 1e-9 * (1.0 + wanted.abs()), "{found} against {wanted}");
        }
    }

    #[test]
    fn what_cannot_be_shared_out_has_no_sharings() {
        let function = Nonlinearity::from(Activation::Square);
        // A mean of nine values, and normalisations.
        for specs in [architecture::cryptonets(&function, 10), architecture::deep(&function, 10)] {
            assert_eq!(network(&specs).sharings(), None);
        }
        let unbiased = architecture::unbiased_mlp(&[5], &function, 10);
        assert_eq!(network(&unbiased).sharings(), None);
        let dense = architecture::mlp(&[5], &function, 10);
        assert_eq!(network(&dense).sharings(), Some(vec![None, None]));
    }
}
