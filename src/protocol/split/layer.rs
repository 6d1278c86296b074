//! Linear layers in a backend's numbers: the model as the server keeps it, and what the client knows of its masks.

use crate::backend::{Backend, Matrix, Number};
use crate::network::{Linear, Network, Step};
use crate::protocol::ProtocolError;
use crate::protocol::split::{Masks, Settings, Shape};
use crate::scheme::encoding::{EncodingError, Scale};

/// A linear layer of backend numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer<N> {
    /// A row an output, at the scale of weights.
    pub weights: Matrix<N>,
    /// One an output, at the scale of sums.
    pub bias: Vec<N>,
}

impl<N: Number> Layer<N> {
    /// The numbers one after another: weights row by row, then biases.
    pub(super) fn parameters_mut(&mut self) -> impl Iterator<Item = &mut N> {
        self.weights.values_mut().chain(self.bias.iter_mut())
    }

    /// The numbers one after another: weights row by row, then biases.
    pub fn parameters(&self) -> impl Iterator<Item = &N> {
        self.weights.values().chain(self.bias.iter())
    }
}

/// Encodes a network's linear layers, refusing weights beyond the circuit's bound and layers of another shape than was agreed on.
pub fn encode_network<N: Number>(
    network: &Network,
    settings: &Settings,
) -> Result<Vec<Layer<N>>, ProtocolError> {
    let bound = libm::exp2(f64::from(settings.weight_magnitude_bits));
    let encode = |value: f64, scale: Scale| {
        if value.abs() <= bound {
            N::from_f64(value, scale).map_err(encoding)
        } else {
            Err(ProtocolError::Magnitude { what: "a weight", value, bound, key: "weight_magnitude_bits" })
        }
    };
    let linear: Vec<Linear> = network
        .steps()
        .unwrap_or_default()
        .into_iter()
        .filter_map(|step| match step {
            Step::Linear(linear) => Some(linear),
            Step::Activation(_) => None,
        })
        .collect();
    if !linear.iter().map(Shape::of).eq(settings.layers.iter().copied()) {
        return Err(unexpected("a network of other layers", "the layers that were agreed on"));
    }
    let layer = |linear: Linear| {
        let mut rows = Vec::with_capacity(linear.rows.len());
        let mut bias = Vec::with_capacity(linear.rows.len());
        for row in linear.rows {
            let terms = row
                .terms
                .into_iter()
                .map(|(column, weight)| Ok((column, encode(weight, settings.weight_scale())?)));
            rows.push(terms.collect::<Result<_, ProtocolError>>()?);
            bias.push(encode(row.bias, settings.sum_scale())?);
        }
        Ok(Layer { weights: Matrix { columns: linear.inputs, rows }, bias })
    };
    linear.into_iter().map(layer).collect()
}

/// Layers of zeros at the scales of a model.
pub(super) fn zero_layers<N: Number>(settings: &Settings) -> Vec<Layer<N>> {
    // Only dense layers are trained, so that a weight stands in every column.
    let row = |inputs| (0..inputs).map(|column| (column, N::zero(settings.weight_scale()))).collect();
    let layer = |shape: &Shape| Layer {
        weights: Matrix { columns: shape.inputs, rows: vec![row(shape.inputs); shape.outputs] },
        bias: vec![N::zero(settings.sum_scale()); shape.outputs],
    };
    settings.layers.iter().map(layer).collect()
}

/// Moves parameters by steps, `w̃ ← w̃ - (ηΔ + r)` (Algorithm 2, line 12); under exact masks to the canonical lift, modulo `N_s`.
///
/// The server does it to its weights, the client with the masks alone to zeros: the two lifts then differ by the true weight, whatever the
/// masks are. `key` is the server's. What stood there before is wiped.
pub(super) fn update<B: Backend>(
    backend: &B,
    key: &B::PublicKey,
    masks: Masks,
    layers: &mut [Layer<B::Number>],
    steps: &[B::Number],
) -> Result<(), ProtocolError> {
    for (parameter, step) in layers.iter_mut().flat_map(Layer::parameters_mut).zip(steps) {
        let mut next = parameter.subtract(step).map_err(encoding)?;
        if masks == Masks::Exact {
            let residue = backend.residue(key, &next);
            std::mem::replace(&mut next, residue).wipe();
        }
        std::mem::replace(parameter, next).wipe();
    }
    Ok(())
}

/// The scale of every gradient, in the order of [`Layer::parameters`], layer after layer.
pub(super) fn gradient_scales(settings: &Settings) -> Vec<Scale> {
    let mut scales = Vec::new();
    for shape in &settings.layers {
        scales.extend(std::iter::repeat_n(settings.gradient_scale(), shape.terms));
        scales.extend(std::iter::repeat_n(settings.bias_gradient_scale(), shape.outputs));
    }
    scales
}

pub(super) fn encoding(error: EncodingError) -> ProtocolError {
    ProtocolError::Backend(error.into())
}

pub(super) fn unexpected(found: &str, expected: &'static str) -> ProtocolError {
    ProtocolError::Unexpected { found: found.to_owned(), expected }
}
