//! Linear layers in a backend's numbers: the model as the server keeps it, and what the client knows of its masks.

use std::sync::Arc;

use crate::backend::{Backend, Matrix, Number};
use crate::network::{Linear, Network, Sharing, Step};
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
    shared: Option<Shared<N>>,
}

/// What the weights and biases of a layer are made of, where they are not parameters themselves.
#[derive(Debug, Clone, PartialEq)]
struct Shared<N> {
    sharing: Arc<Sharing>,
    /// weights, then biases
    parameters: Vec<N>,
    /// What a sum of no weights, and one of no biases, stands for.
    empty: [N; 2],
}

impl<N: Number> Shared<N> {
    fn matrix(&self) -> Result<(Matrix<N>, Vec<N>), ProtocolError> {
        let (weights, biases) = self.parameters.split_at(self.sharing.weights);
        let sum = |parameters: &[N], summands: &[usize], empty: &N| -> Result<N, ProtocolError> {
            let Some((first, rest)) = summands.split_first() else { return Ok(empty.clone()) };
            let mut sum = parameters[*first].clone();
            for summand in rest {
                sum = sum.add(&parameters[*summand]).map_err(encoding)?;
            }
            Ok(sum.halved(self.sharing.shift))
        };
        let [one, zero] = &self.empty;
        let (mut rows, mut bias) = (Vec::new(), Vec::new());
        for row in &self.sharing.rows {
            let terms =
                row.terms.iter().map(|(column, summands)| Ok((*column, sum(weights, summands, one)?)));
            rows.push(terms.collect::<Result<_, ProtocolError>>()?);
            bias.push(sum(biases, &row.biases, zero)?);
        }
        Ok((Matrix { columns: self.sharing.inputs, rows }, bias))
    }
}

impl<N: Number> Layer<N> {
    /// A layer whose weights and biases are sums of parameters; a sum of no weights stands for `one`.
    fn shared(
        sharing: &Arc<Sharing>,
        parameters: Vec<N>,
        one: f64,
        settings: &Settings,
    ) -> Result<Self, ProtocolError> {
        let one = N::from_f64(one, settings.weight_scale()).map_err(encoding)?;
        let empty = [one, N::zero(settings.sum_scale())].map(|number| number.halved(sharing.shift));
        let shared = Shared { sharing: Arc::clone(sharing), parameters, empty };
        let (weights, bias) = shared.matrix()?;
        Ok(Self { weights, bias, shared: Some(shared) })
    }

    /// Makes weights and biases of changed parameters.
    fn refresh(&mut self) -> Result<(), ProtocolError> {
        if let Some(shared) = &self.shared {
            let (weights, bias) = shared.matrix()?;
            self.wipe_sums();
            (self.weights, self.bias) = (weights, bias);
        }
        Ok(())
    }

    fn wipe_sums(&mut self) {
        self.weights.values_mut().chain(&mut self.bias).for_each(N::wipe);
    }

    /// Overwrites everything with zeros.
    pub(super) fn wipe(&mut self) {
        self.wipe_sums();
        self.shared.iter_mut().flat_map(|shared| &mut shared.parameters).for_each(N::wipe);
    }

    /// The numbers that are trained, one after another: weights row by row, then biases.
    pub(super) fn parameters_mut(&mut self) -> impl Iterator<Item = &mut N> {
        let own = self.shared.is_none();
        let sums = self.weights.values_mut().chain(self.bias.iter_mut()).filter(move |_| own);
        self.shared.iter_mut().flat_map(|shared| &mut shared.parameters).chain(sums)
    }

    /// The numbers that are trained, one after another: weights row by row, then biases.
    pub fn parameters(&self) -> impl Iterator<Item = &N> {
        let own = self.shared.is_none();
        let sums = self.weights.values().chain(self.bias.iter()).filter(move |_| own);
        self.shared.iter().flat_map(|shared| &shared.parameters).chain(sums)
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
    let agreed = |(linear, shape): (&Linear, &Shape)| {
        Shape { sharing: shape.sharing.clone(), ..Shape::of(linear) } == *shape
    };
    if linear.len() != settings.layers.len() || !linear.iter().zip(&settings.layers).all(agreed) {
        return Err(unexpected("a network of other layers", "the layers that were agreed on"));
    }
    let own = |linear: Linear| {
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
        Ok(Layer { weights: Matrix { columns: linear.inputs, rows }, bias, shared: None })
    };
    let shared = |sharing: &Arc<Sharing>, parameters: Vec<f64>| {
        if parameters.len() != sharing.weights + sharing.biases {
            return Err(unexpected("a layer of other parameters", "the parameters that were agreed on"));
        }
        let scales = scales(settings, sharing.weights, sharing.biases);
        let numbers = parameters.into_iter().zip(scales).map(|(value, scale)| encode(value, scale));
        Layer::shared(sharing, numbers.collect::<Result<_, _>>()?, 1.0, settings)
    };
    let parameters = network.step_parameters();
    let layers = linear.into_iter().zip(&settings.layers).zip(parameters);
    layers
        .map(|((linear, shape), parameters)| match &shape.sharing {
            None => own(linear),
            Some(sharing) => shared(sharing, parameters),
        })
        .collect()
}

/// The scales of so many weights and biases.
fn scales(settings: &Settings, weights: usize, biases: usize) -> impl Iterator<Item = Scale> {
    let weights = std::iter::repeat_n(settings.weight_scale(), weights);
    weights.chain(std::iter::repeat_n(settings.sum_scale(), biases))
}

/// Layers of zeros at the scales of a model: constants are zero as well.
pub(super) fn zero_layers<N: Number>(settings: &Settings) -> Result<Vec<Layer<N>>, ProtocolError> {
    let row = |inputs| (0..inputs).map(|column| (column, N::zero(settings.weight_scale()))).collect();
    let layer = |shape: &Shape| match &shape.sharing {
        // Without sharing a layer that is trained is dense, so that a weight stands in every column.
        None => Ok(Layer {
            weights: Matrix { columns: shape.inputs, rows: vec![row(shape.inputs); shape.outputs] },
            bias: vec![N::zero(settings.sum_scale()); shape.outputs],
            shared: None,
        }),
        Some(sharing) => {
            let zeros = scales(settings, sharing.weights, sharing.biases).map(N::zero).collect();
            Layer::shared(sharing, zeros, 0.0, settings)
        }
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
    layers.iter_mut().try_for_each(Layer::refresh)
}

/// The scale of every gradient, in the order of [`Layer::parameters`], layer after layer.
pub(super) fn gradient_scales(settings: &Settings) -> impl Iterator<Item = Scale> {
    settings.gradient_runs().into_iter().flat_map(|run| std::iter::repeat_n(run.scale, run.count))
}

pub(super) fn encoding(error: EncodingError) -> ProtocolError {
    ProtocolError::Backend(error.into())
}

pub(super) fn unexpected(found: &str, expected: &'static str) -> ProtocolError {
    ProtocolError::Unexpected { found: found.to_owned(), expected }
}
