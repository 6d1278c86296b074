//! What both parties know of a linear layer.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::network::{Linear, Sharing};

/// What is known of a linear layer without its weights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shape {
    /// Columns of its matrix.
    pub inputs: usize,
    /// Rows of its matrix; each has a term at least.
    pub outputs: usize,
    /// Terms of all rows.
    pub terms: usize,
    /// Terms of the longest row: the fan-in.
    pub longest: usize,
    /// Terms of the shortest row.
    pub shortest: usize,
    /// Where weights come from, if they are trained and are not parameters themselves.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "pointee")]
    pub sharing: Option<Arc<Sharing>>,
}

#[expect(clippy::ref_option, reason = "what serde asks for")]
fn pointee<S: Serializer>(sharing: &Option<Arc<Sharing>>, serializer: S) -> Result<S::Ok, S::Error> {
    sharing.as_deref().serialize(serializer)
}

impl Shape {
    /// A layer in which every output takes every input.
    pub fn dense(inputs: usize, outputs: usize) -> Self {
        let terms = inputs * outputs;
        Self { inputs, outputs, terms, longest: inputs, shortest: inputs, sharing: None }
    }

    /// The layers of a fully connected network of these inputs, hidden neurons and outputs.
    pub fn dense_layers(widths: &[usize]) -> Vec<Self> {
        widths.windows(2).map(|pair| Self::dense(pair[0], pair[1])).collect()
    }

    /// The shape of a linear map whose weights are its parameters.
    pub fn of(layer: &Linear) -> Self {
        let shortest = layer.rows.iter().map(|row| row.terms.len()).min().unwrap_or(0);
        Self {
            inputs: layer.inputs,
            outputs: layer.rows.len(),
            terms: layer.terms(),
            longest: layer.longest(),
            shortest,
            sharing: None,
        }
    }

    /// The same with weights that come from fewer parameters.
    #[must_use]
    pub fn sharing(self, sharing: Option<Sharing>) -> Self {
        Self { sharing: sharing.map(Arc::new), ..self }
    }

    /// The way back: rows become columns. For counts alone: the rows' lengths are bounds.
    #[must_use]
    pub fn transposed(&self) -> Self {
        let (inputs, outputs) = (self.outputs, self.inputs);
        Self { inputs, outputs, terms: self.terms, longest: inputs, shortest: 0, sharing: None }
    }

    /// Parameters that are weights.
    pub fn weights(&self) -> usize {
        self.sharing.as_ref().map_or(self.terms, |sharing| sharing.weights)
    }

    /// Parameters that are biases.
    pub fn biases(&self) -> usize {
        self.sharing.as_ref().map_or(self.outputs, |sharing| sharing.biases)
    }

    /// Weights and biases.
    pub fn parameters(&self) -> usize {
        self.weights() + self.biases()
    }

    /// The power of 2 that weights are divided by.
    pub fn shift(&self) -> u32 {
        self.sharing.as_ref().map_or(0, |sharing| sharing.shift)
    }

    /// The most products of a parameter, and biases, that a sum has.
    pub fn summands(&self) -> usize {
        self.sharing.as_ref().map_or(self.longest + 1, |sharing| sharing.longest_row())
    }

    /// The same on the way back.
    pub fn summands_back(&self) -> usize {
        self.sharing.as_ref().map_or(self.outputs, |sharing| sharing.longest_column())
    }

    /// Inputs that an output takes.
    pub fn reached(&self) -> usize {
        self.sharing.as_ref().map_or(self.inputs, |sharing| sharing.reached())
    }
}
