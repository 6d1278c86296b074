//! What a party of a split network can compute from what it sees: inputs from activations, inputs from gradients, weights from sums.
//!
//! The first two are the attacks by which GELU-Net (Zhang et al., IJCAI-18, figures 1 and 2) argues that activations must be encrypted and
//! gradients masked; the third is the one that its bound on the length of a session is about.

#![expect(clippy::needless_pass_by_value, reason = "a view of an array is a reference already")]

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

use crate::network::{Activation, Dense};

/// What is left of a row that depends on those before it is rounding.
const INDEPENDENT: f64 = 1e-10;
/// Nearest that an activation may come to an end of its range, where its inverse is infinite.
const FROM_END: f64 = 1e-12;
/// The greatest ratio of peak to noise that is told apart from no noise at all, in dB.
const MOST_DECIBELS: f64 = 100.0;

/// The shortest columns `X` with `A X = Y` for `A` (equations x unknowns) and `Y` (equations x right-hand sides): `Aᵀ(A Aᵀ)⁻¹Y` where the rows
/// of `A` are independent. Rows that depend on those before them are left out, so that equations which contradict each other by rounding alone
/// do no harm.
///
/// # Panics
/// When `A` and `Y` have different numbers of rows.
pub fn shortest_solution(a: ArrayView2<'_, f64>, y: ArrayView2<'_, f64>) -> Array2<f64> {
    assert_eq!(a.nrows(), y.nrows(), "a right-hand side for every equation");
    // Rows made orthonormal one after another (Gram and Schmidt, twice against rounding), and the same done to the right-hand sides: in the
    // new basis the solution's coordinates are those.
    let mut basis: Vec<(Array1<f64>, Array1<f64>)> = Vec::new();
    for (row, right) in a.outer_iter().zip(y.outer_iter()) {
        let (mut row, mut right) = (row.to_owned(), right.to_owned());
        let before = row.dot(&row).sqrt();
        for _ in 0..2 {
            for (unit, coordinates) in &basis {
                let share = unit.dot(&row);
                row.scaled_add(-share, unit);
                right.scaled_add(-share, coordinates);
            }
        }
        let length = row.dot(&row).sqrt();
        if length > INDEPENDENT * before {
            basis.push((row / length, right / length));
        }
    }
    let mut solution = Array2::zeros((a.ncols(), y.ncols()));
    for (unit, coordinates) in &basis {
        for (mut row, share) in solution.outer_iter_mut().zip(unit) {
            row.scaled_add(*share, coordinates);
        }
    }
    solution
}

/// The `z` with `activation(z) = a`; `None` for activations that have none or several. Where rounding has brought `a` to an end of the
/// activation's range, the `z` of a number near it.
pub fn inverse(activation: Activation, a: f64) -> Option<f64> {
    match activation {
        Activation::Sigmoid => {
            let a = a.clamp(FROM_END, 1.0 - FROM_END);
            Some(libm::log(a / (1.0 - a)))
        }
        Activation::Tanh => Some(libm::atanh(a.clamp(FROM_END - 1.0, 1.0 - FROM_END))),
        Activation::BipolarSigmoid => inverse(Activation::Tanh, a).map(|z| 0.5 * z),
        Activation::Relu | Activation::Softplus | Activation::Swish | Activation::Square => None,
    }
}

/// Inputs (samples x inputs) from the activations of the first layer (samples x outputs): `x̂ = Wᵀ(W Wᵀ)⁻¹(f⁻¹(a) - b)`, the shortest of all
/// inputs that give these activations (GELU-Net, section 3; printed with `(Wᵀ Wᵀ)⁻¹`, which has no meaning). `None` where the activation has
/// no inverse.
///
/// # Panics
/// When there are not as many activations as the layer has outputs.
pub fn inputs_from_activations(
    layer: &Dense,
    activation: Activation,
    activations: ArrayView2<'_, f64>,
) -> Option<Array2<f64>> {
    let mut sums = Array2::zeros(activations.dim());
    for (sum, a) in sums.iter_mut().zip(activations.iter()) {
        *sum = inverse(activation, *a)?;
    }
    sums -= &layer.bias;
    Some(shortest_solution(layer.weights.view(), sums.t()).reversed_axes())
}

/// The input of a layer from the gradient of one sample: `Δw = δ aᵀ` and `Δb = δ`, so `a = Δw / Δb` in every row (GELU-Net, section 3). The
/// row with the greatest `|Δb|` is taken, in which rounding matters least; zeros where all are zero.
pub fn input_from_gradient(weights: ArrayView2<'_, f64>, bias: ArrayView1<'_, f64>) -> Array1<f64> {
    let rows = weights.outer_iter().zip(bias).max_by(|(_, a), (_, b)| a.abs().total_cmp(&b.abs()));
    match rows {
        Some((row, &bias)) if bias != 0.0 => row.mapv(|w| w / bias),
        _ => Array1::zeros(weights.ncols()),
    }
}

/// What a client knows of one of its training iterations.
#[derive(Debug, Clone, PartialEq)]
pub struct Iteration {
    /// The first layer's input.
    pub input: Array1<f64>,
    /// Its sums `z = W a + b`, opened.
    pub sums: Array1<f64>,
    /// The gradient that the client sends after them: outputs x inputs, and one an output.
    pub gradient: (Array2<f64>, Array1<f64>),
}

/// The first layer's weights (outputs x inputs) as they were before the first of these iterations, as far as their sums tell: with the steps
/// `D` and `d` that its own gradients have added up to, a row of every iteration says `z = w·a + b - η (D·a + d)`, an equation in the row's
/// inputs + 2 unknowns `w`, `b` and `η`. With fewer equations it is the shortest of all solutions, which is not the weights.
pub fn weights_from_sums(iterations: &[Iteration]) -> Array2<f64> {
    let Some(first) = iterations.first() else { return Array2::zeros((0, 0)) };
    let (outputs, inputs) = first.gradient.0.dim();
    let mut weights = Array2::zeros((outputs, inputs));
    for (row, mut found) in weights.outer_iter_mut().enumerate() {
        let (mut steps, mut bias_steps) = (Array1::<f64>::zeros(inputs), 0.0);
        let mut equations = Array2::zeros((iterations.len(), inputs + 2));
        let mut sums = Array2::zeros((iterations.len(), 1));
        for (index, iteration) in iterations.iter().enumerate() {
            let mut equation = equations.row_mut(index);
            equation.slice_mut(ndarray::s![..inputs]).assign(&iteration.input);
            equation[inputs] = 1.0;
            equation[inputs + 1] = -(steps.dot(&iteration.input) + bias_steps);
            sums[[index, 0]] = iteration.sums[row];
            steps += &iteration.gradient.0.row(row);
            bias_steps += iteration.gradient.1[row];
        }
        let solution = shortest_solution(equations.view(), sums.view());
        found.assign(&solution.index_axis(Axis(1), 0).slice(ndarray::s![..inputs]));
    }
    weights
}

/// Length of the difference over the length of what is right; 0 when that is 0.
pub fn relative_error(found: ArrayView2<'_, f64>, right: ArrayView2<'_, f64>) -> f64 {
    let square = |sum: f64, value: f64| sum + value * value;
    let size = right.iter().copied().fold(0.0, square);
    let error = found.iter().zip(&right).map(|(a, b)| a - b).fold(0.0, square);
    if size > 0.0 { (error / size).sqrt() } else { 0.0 }
}

/// Pearson's correlation, from -1 to 1; 0 where one of the two is constant.
pub fn correlation(a: ArrayView1<'_, f64>, b: ArrayView1<'_, f64>) -> f64 {
    let centred = |values: ArrayView1<'_, f64>| {
        let mean = values.mean().unwrap_or(0.0);
        values.mapv(|value| value - mean)
    };
    let (a, b) = (centred(a), centred(b));
    let size = (a.dot(&a) * b.dot(&b)).sqrt();
    if size > 0.0 { (a.dot(&b) / size).clamp(-1.0, 1.0) } else { 0.0 }
}

/// Ratio of peak to noise in dB of a picture of brightness 0 to 1, what leaves that range being cut off; 100 at most.
pub fn psnr(picture: ArrayView1<'_, f64>, original: ArrayView1<'_, f64>) -> f64 {
    let errors = picture.iter().zip(original).map(|(a, b)| a.clamp(0.0, 1.0) - b);
    let mean = errors.map(|error| error * error).sum::<f64>() / original.len().max(1) as f64;
    (-10.0 * libm::log10(mean)).min(MOST_DECIBELS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::stream::Stream;
    use crate::network::{Loss, Network};
    use ndarray::array;
    use proptest::prelude::*;

    #[test]
    fn two_unknowns_are_found_as_by_hand_and_a_third_equation_changes_nothing() {
        // x + y = 3, x - y = 1, and their sum 2x = 4.
        let a = array![[1.0, 1.0], [1.0, -1.0], [2.0, 0.0]];
        let x = shortest_solution(a.view(), array![[3.0], [1.0], [4.0]].view());
        assert!((x[[0, 0]] - 2.0).abs() < 1e-14 && (x[[1, 0]] - 1.0).abs() < 1e-14, "{x}");
        // Of all points of the line 3x + 4y = 25 the nearest to the origin.
        let x = shortest_solution(array![[3.0, 4.0]].view(), array![[25.0]].view());
        assert!((x[[0, 0]] - 3.0).abs() < 1e-14 && (x[[1, 0]] - 4.0).abs() < 1e-14, "{x}");
    }

    #[test]
    fn inverses_undo_activations() {
        for activation in [Activation::Sigmoid, Activation::Tanh, Activation::BipolarSigmoid] {
            for z in [-3.0, -0.2, 0.0, 1.0, 4.0] {
                let found = inverse(activation, activation.value(z)).unwrap();
                assert!((found - z).abs() < 1e-9, "{activation:?} {z} {found}");
            }
            assert!(inverse(activation, 1.0).unwrap().is_finite());
        }
        assert_eq!(inverse(Activation::Square, 4.0), None);
    }

    #[test]
    fn as_many_neurons_as_inputs_give_the_input_away() {
        let layer = Dense { weights: array![[1.0, 2.0], [0.5, -1.0]], bias: array![0.1, -0.3] };
        // z = (0.1 + 1·0.4 + 2·0.7, -0.3 + 0.5·0.4 - 0.7) = (1.9, -0.8)
        let a = array![[1.9, -0.8]].mapv(|z| Activation::Sigmoid.value(z));
        let x = inputs_from_activations(&layer, Activation::Sigmoid, a.view()).unwrap();
        assert!((x[[0, 0]] - 0.4).abs() < 1e-12 && (x[[0, 1]] - 0.7).abs() < 1e-12, "{x}");
    }

    #[test]
    fn a_network_s_own_gradient_gives_its_input_away() {
        let network =
            Network::initialise(&[5, 4, 3], Activation::Sigmoid, Loss::CrossEntropy, &Stream::seeded(2));
        let x = array![[0.2, 0.0, 0.9, -0.4, 1.0]];
        let gradient = network.gradients(x.view(), &[1]);
        let weights = ArrayView2::from_shape((4, 5), &gradient[..20]).unwrap();
        let found = input_from_gradient(weights, ArrayView1::from(&gradient[20..24]));
        assert!((&found - &x.row(0)).iter().all(|error| error.abs() < 1e-12), "{found}");
        assert_eq!(input_from_gradient(array![[1.0, 2.0]].view(), array![0.0].view()), array![0.0, 0.0]);
    }

    #[test]
    fn measures_of_pictures_are_those_of_a_calculation_by_hand() {
        let (a, b) = (array![0.0, 0.5, 1.0], array![0.0, 0.5, 0.5]);
        // Less their means they are (-1/2, 0, 1/2) and (-1/3, 1/6, 1/6): product 1/4, squares 1/2 and 1/6.
        assert!((correlation(a.view(), b.view()) - 0.25 / (0.5_f64 / 6.0).sqrt()).abs() < 1e-12);
        assert!(correlation(a.view(), array![1.0, 1.0, 1.0].view()).abs() < 1e-15);
        // One pixel of three is off by 1/2: mean square 1/12.
        assert!((psnr(b.view(), a.view()) - 10.0 * libm::log10(12.0)).abs() < 1e-12);
        assert!((psnr(a.view(), a.view()) - 100.0).abs() < 1e-12);
    }

    proptest! {
        /// Gradient descent on a single linear layer, written out: with inputs + 2 iterations the weights are found, with fewer they are not.
        #[test]
        fn inputs_and_two_more_iterations_give_the_weights_away(seed in 0_u64..1000) {
            let (inputs, outputs, rate) = (4, 3, 0.1);
            let network =
                Network::initialise(&[inputs, outputs], Activation::Sigmoid, Loss::Squared, &Stream::seeded(seed));
            let right = network.dense_layers().next().unwrap().clone();
            let (mut w, mut b) = (right.weights.clone(), right.bias.clone());
            let draw = |label: &str, index: usize| {
                let bits = Stream::seeded(seed).derive(label).item(index as u64).seed_u64();
                (bits >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
            };
            let iterations: Vec<Iteration> = (0..inputs + 2)
                .map(|step| {
                    let input: Array1<f64> = (0..inputs).map(|at| draw("input", step * inputs + at)).collect();
                    let sums = w.dot(&input) + &b;
                    // A loss of its own for every output: |z - t|²/2.
                    let error: Array1<f64> =
                        sums.iter().enumerate().map(|(at, z)| z - draw("target", step * outputs + at)).collect();
                    let column = error.view().insert_axis(Axis(1));
                    let gradient = column.dot(&input.view().insert_axis(Axis(0)));
                    w.scaled_add(-rate, &gradient);
                    b.scaled_add(-rate, &error);
                    Iteration { input, sums, gradient: (gradient, error) }
                })
                .collect();
            let error = |count: usize| {
                relative_error(weights_from_sums(&iterations[..count]).view(), right.weights.view())
            };
            prop_assert!(error(inputs + 2) < 1e-4, "{}", error(inputs + 2));
            prop_assert!(error(inputs) > 1e-3, "{}", error(inputs));
        }
    }
}
