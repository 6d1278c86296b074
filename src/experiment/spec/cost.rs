//! `[cost]` as it is written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What costs are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CostOf {
    /// One activation: a polynomial of ciphertexts under `bgv`, `bfv` and `ckks`; under an additive scheme it goes to the client and back.
    #[default]
    Activation,
    /// A training iteration of a fully connected network, by the formula of the system whose scheme it is.
    Network,
}

/// How many values are activated together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Filling {
    /// One, in one ciphertext and one message.
    #[default]
    One,
    /// As many as ciphertexts have slots, in several ciphertexts a thread.
    Full,
}

/// `[cost]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CostSpec {
    /// What costs are of: `activation` or `network`.
    pub of: CostOf,
    /// Of an activation: `one` value, or a `full` batch; seconds are those of one value in either.
    pub filling: Filling,
    /// Of a network: neurons of every layer, inputs and outputs included.
    pub widths: Vec<usize>,
    /// Of a network under `bgn`: products that stand for one activation (GELU-Net's C, "above 30").
    pub products: usize,
    /// Of a network under `el_gamal`: the formula's Z, of which the paper gives no number. With 1 its cost is the least that it can be.
    pub pieces: usize,
}

impl Default for CostSpec {
    fn default() -> Self {
        Self {
            of: CostOf::default(),
            filling: Filling::default(),
            widths: Vec::new(),
            products: 30,
            pieces: 1,
        }
    }
}
