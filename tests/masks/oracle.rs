//! Training in fixed point without any protocol, written against the paper and not against the code that is tested.

use henn::network::{Network, Nonlinearity};
use henn::protocol::split::Settings;
use ndarray::Array1;
use num_bigint::BigInt;

use super::{Part, sessions};

/// When the gradients of a layer move its weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Order {
    /// When all errors are known.
    BackPropagation,
    /// As soon as its own errors are known, before those of the layer below (Algorithm 2 as printed).
    Printed,
}

/// Stochastic gradient descent in fixed point, without any protocol: the integers of all layers, weights row by row and then biases.
pub(crate) fn oracle(settings: &Settings, initial: &Network, parts: &[Part], order: Order) -> Vec<BigInt> {
    let (fa, fg) = (settings.activation_bits, settings.gradient_bits);
    let fw = fg + settings.rate.bits;
    let step = i128::from(settings.rate.mantissa);
    let fixed = |value: f64, bits: u32| (value * libm::exp2(f64::from(bits))).round_ties_even() as i128;
    let real = |integer: i128| integer as f64 / libm::exp2(f64::from(fw + fa));
    let mut layers: Vec<(Vec<Vec<i128>>, Vec<i128>)> = initial
        .dense_layers()
        .map(|layer| {
            let rows = layer.weights.outer_iter();
            let weights = rows.map(|row| row.iter().map(|w| fixed(*w, fw)).collect()).collect();
            (weights, layer.bias.iter().map(|b| fixed(*b, fw + fa)).collect())
        })
        .collect();
    let activation: &Nonlinearity = &settings.activation;
    let mut taken = vec![0; parts.len()];
    let lengths = settings.sessions(&sessions()).unwrap();
    for (session, length) in lengths.into_iter().enumerate() {
        let client = session % parts.len();
        for _ in 0..length {
            let (features, labels) = &parts[client];
            let row = taken[client] % labels.len();
            taken[client] += 1;
            let (mut values, label) = (features.row(row).to_vec(), labels[row]);
            let (mut inputs, mut sums) = (Vec::new(), Vec::<Vec<f64>>::new());
            for (weights, bias) in &layers {
                let numbers: Vec<i128> = values.iter().map(|a| fixed(*a, fa)).collect();
                let dot = |row: &Vec<i128>| row.iter().zip(&numbers).map(|(w, a)| w * a).sum::<i128>();
                let z: Vec<f64> = weights.iter().zip(bias).map(|(row, b)| real(dot(row) + b)).collect();
                inputs.push(values);
                values = z.iter().map(|z| activation.value(*z)).collect();
                sums.push(z);
            }
            let mut error = Array1::from(sums.last().unwrap().clone());
            settings.loss.differentiate(error.view_mut(), label);
            let mut errors = error.to_vec();
            let mut steps = Vec::new();
            for at in (0..layers.len()).rev() {
                let gradient = |e: f64| inputs[at].iter().map(|a| fixed(e * a, fg)).collect::<Vec<_>>();
                let weights: Vec<Vec<i128>> = errors.iter().map(|e| gradient(*e)).collect();
                let bias: Vec<i128> = errors.iter().map(|e| fixed(*e, fg + fa)).collect();
                let step = (at, weights, bias);
                if order == Order::Printed {
                    apply(&mut layers, &step, i128::from(settings.rate.mantissa));
                }
                steps.push(step);
                if at > 0 {
                    let numbers: Vec<i128> = errors.iter().map(|e| fixed(*e, fa)).collect();
                    let product = |column: usize| {
                        let rows = layers[at].0.iter().zip(&numbers);
                        real(rows.map(|(row, e)| row[column] * e).sum::<i128>())
                    };
                    errors = (0..inputs[at].len())
                        .map(|l| product(l) * activation.derivative(sums[at - 1][l], inputs[at][l]))
                        .collect();
                }
            }
            if order == Order::BackPropagation {
                for gradients in &steps {
                    apply(&mut layers, gradients, step);
                }
            }
        }
    }
    layers
        .into_iter()
        .flat_map(|(weights, bias)| weights.into_iter().flatten().chain(bias).collect::<Vec<_>>())
        .map(BigInt::from)
        .collect()
}

type Gradients = (usize, Vec<Vec<i128>>, Vec<i128>);

fn apply(layers: &mut [(Vec<Vec<i128>>, Vec<i128>)], (at, weights, bias): &Gradients, step: i128) {
    let layer = &mut layers[*at];
    for (w, g) in layer.0.iter_mut().flatten().zip(weights.iter().flatten()) {
        *w -= step * g;
    }
    for (b, g) in layer.1.iter_mut().zip(bias) {
        *b -= step * g;
    }
}
