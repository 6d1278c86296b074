//! Networks as safetensors, for other programs and for henn's own cache.
//!
//! Tensors are called by the place of their layer: `1.weights`, `1.bias`, `3.1.weights` (the first layer of the residual
//! that is layer 3). Weights of convolutions are outputs x inputs of a group x rows x columns. The architecture is kept
//! as JSON in the entry `henn` of the file's metadata.

use super::{Network, activation::Loss, architecture::LayerSpec, layer, real::Real, shape::Shape};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Why a file is not a network, or a checkpoint, that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// It is not in the format safetensors.
    #[error("it is not a file of safetensors: {0}")]
    Format(String),
    /// It does not say what it holds.
    #[error("its metadata have no entry `henn` that can be read: {0}")]
    Description(String),
    /// The architecture is none.
    #[error("its architecture is not sound: {0}")]
    Architecture(String),
    /// A tensor is missing.
    #[error("the tensor `{name}` is missing")]
    Missing {
        /// Name of the tensor.
        name: String,
    },
    /// There are tensors that belong to no layer.
    #[error("it has {found} tensors, but exactly {expected} belong to the architecture")]
    Surplus {
        /// Tensors in the file.
        found: usize,
        /// Tensors of the architecture.
        expected: usize,
    },
    /// A tensor has another shape or kind of number.
    #[error("the tensor `{name}` is {found}, but must be {expected}")]
    Tensor {
        /// Name of the tensor.
        name: String,
        /// Kind and shape in the file.
        found: String,
        /// Kind and shape that the architecture has.
        expected: String,
    },
    /// A number is infinite or not a number.
    #[error("the tensor `{name}` holds a number that is not finite")]
    NotFinite {
        /// Name of the tensor.
        name: String,
    },
    /// A checkpoint belongs to another training.
    #[error("its {what} is another than that of this training")]
    Other {
        /// What differs.
        what: &'static str,
    },
}

/// What the metadata say of a network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Description {
    version: u32,
    input: Shape,
    layers: Vec<LayerSpec>,
    loss: Loss,
}

impl Description {
    pub(super) fn of<T: Real>(network: &Network<T>) -> Self {
        Self { version: 1, input: network.input, layers: network.specs(), loss: network.loss }
    }

    /// A network of zeros, of no more numbers than so many bytes can hold.
    pub(super) fn hollow<T: Real>(&self, bytes: usize) -> Result<Network<T>, ExchangeError> {
        if self.version != 1 {
            return Err(ExchangeError::Architecture(format!("version {}, only 1 is known", self.version)));
        }
        Network::hollow(self.input, &self.layers, self.loss, bytes / T::BYTES)
            .map_err(|error| ExchangeError::Architecture(error.to_string()))
    }
}

/// Tensors that are written one after another.
pub(super) struct Writer(Vec<(String, Dtype, Vec<usize>, Vec<u8>)>);

impl Writer {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn put<T: Real>(&mut self, name: &str, shape: &[usize], values: &[T]) {
        let mut bytes = Vec::with_capacity(values.len() * T::BYTES);
        for value in values {
            value.write(&mut bytes);
        }
        self.0.push((name.to_owned(), T::DTYPE, shape.to_vec(), bytes));
    }

    pub(super) fn put_network<T: Real>(&mut self, prefix: &str, network: &Network<T>) {
        // Visiting wants to bring arrays into standard order.
        let mut network = network.clone();
        layer::visit_mut(&mut network.layers, prefix, &mut |name, _, shape, values| {
            self.put(name, shape, values);
        });
    }

    /// The file's bytes, the same ones every time.
    pub(super) fn finish(self, description: &impl Serialize) -> Vec<u8> {
        let views = self.0.iter().filter_map(|(name, kind, shape, bytes)| {
            TensorView::new(*kind, shape.clone(), bytes).ok().map(|view| (name.as_str(), view))
        });
        // A map of one entry, whose order cannot vary.
        let description = serde_json::to_string(description).unwrap_or_default();
        let metadata = std::iter::once(("henn".to_owned(), description)).collect();
        safetensors::serialize(views, Some(metadata)).unwrap_or_default()
    }
}

/// Tensors of a file.
pub(super) struct Reader<'a> {
    tensors: SafeTensors<'a>,
    taken: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new<D: DeserializeOwned>(bytes: &'a [u8]) -> Result<(Self, D), ExchangeError> {
        let format = |error: safetensors::SafeTensorError| ExchangeError::Format(error.to_string());
        let tensors = SafeTensors::deserialize(bytes).map_err(format)?;
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(format)?;
        let missing = || ExchangeError::Description("there is none".to_owned());
        let text =
            metadata.metadata().as_ref().and_then(|entries| entries.get("henn")).ok_or_else(missing)?;
        let description =
            serde_json::from_str(text).map_err(|error| ExchangeError::Description(error.to_string()))?;
        Ok((Self { tensors, taken: 0 }, description))
    }

    pub(super) fn take<T: Real>(
        &mut self,
        name: &str,
        shape: &[usize],
        values: &mut [T],
    ) -> Result<(), ExchangeError> {
        let missing = |_| ExchangeError::Missing { name: name.to_owned() };
        let tensor = self.tensors.tensor(name).map_err(missing)?;
        let bytes = tensor.data();
        if tensor.dtype() != T::DTYPE || tensor.shape() != shape || bytes.len() != values.len() * T::BYTES {
            return Err(ExchangeError::Tensor {
                name: name.to_owned(),
                found: format!("{:?} {:?}", tensor.dtype(), tensor.shape()),
                expected: format!("{:?} {shape:?}", T::DTYPE),
            });
        }
        for (value, bytes) in values.iter_mut().zip(bytes.chunks_exact(T::BYTES)) {
            *value = T::read(bytes)
                .filter(|value| value.is_finite())
                .ok_or_else(|| ExchangeError::NotFinite { name: name.to_owned() })?;
        }
        self.taken += 1;
        Ok(())
    }

    pub(super) fn take_network<T: Real>(
        &mut self,
        prefix: &str,
        network: &mut Network<T>,
    ) -> Result<(), ExchangeError> {
        let mut result = Ok(());
        layer::visit_mut(&mut network.layers, prefix, &mut |name, _, shape, values| {
            if result.is_ok() {
                result = self.take(name, shape, values);
            }
        });
        result
    }

    pub(super) fn finish(self) -> Result<(), ExchangeError> {
        let found = self.tensors.len();
        if found == self.taken { Ok(()) } else { Err(ExchangeError::Surplus { found, expected: self.taken }) }
    }
}

impl<T: Real> Network<T> {
    /// The network as safetensors; the same bytes every time.
    pub fn export(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.put_network("", self);
        writer.finish(&Description::of(self))
    }

    /// Reads what [`Network::export`] wrote.
    ///
    /// # Errors
    /// When the bytes are not a network of this kind of numbers, all of them finite.
    pub fn import(bytes: &[u8]) -> Result<Self, ExchangeError> {
        let (mut reader, description) = Reader::new::<Description>(bytes)?;
        let mut network = description.hollow(bytes.len())?;
        reader.take_network("", &mut network)?;
        reader.finish()?;
        Ok(network)
    }
}
