//! The split protocol of GELU-Net (IJCAI-18): linear layers on the server, activations at the clients.
//!
//! A linear layer is any linear map between two activations: a dense layer, or a convolution and a mean, which together are one map with
//! sparse rows ([`Linear`](crate::network::Linear)). Classification takes every network of such maps. Training takes those whose weights are sums
//! of parameters ([`Sharing`](crate::network::Sharing)): dense layers, convolutions, and means of `2^k` values, whose division is exact
//! because the scale takes it up. Gradients and masks are those of parameters; both parties make the map's weights of them.
//!
//! A client holds data and a Paillier key, the server the model in the clear and a key of its own. Forward, the
//! client sends `[a]_c`, the server answers `[W a + b]_c`, the client opens it and applies the activation (Algorithm 1).
//! Backward, it sends `[δ]_c` and gets `[Wᵀ δ]_c` (Algorithm 2). Gradients go to the server under the server's key, hidden
//! by masks whose sum the client remembers and takes out of whatever it opens (Algorithms 3 and 4); a session ends with
//! the sums of the true gradients, which put the server's weights right (Algorithm 5). Clients take turns, one session each; each has a
//! channel, a key and masks of its own.
//!
//! # Masks
//! * [`Masks::Exact`], the paper's: uniform in `Z_{N_s}`, so that a masked gradient is a uniform residue whatever the gradient
//!   (perfect hiding). The server's masked weights are residues too. As factors under the client's key, modulo `N_c`, they stand
//!   for their canonical lifts from 0 to `N_s`; a session begins with signed weights. The client follows what the server's weights
//!   would be if the true ones were zero, by the same steps (`layer::update`): that lift is `κ(r) = N_s - r`, 0 before
//!   the first mask, and what it makes of a sum is subtracted modulo `N_c` from what was opened. `κ` is off by `N_s` if a residue
//!   comes too near to 0, of which [`Settings::required_server_bits`] bounds the probability. Exponents are as long as the modulus.
//! * [`Masks::Statistical`]: uniform integers `mask_security_bits` longer than what they hide, so that masked weights stay short:
//!   every value is a signed integer that never wraps, which [`Settings::required_bits`] proves. `κ(r) = -r`.
//!
//! With either, 1/η is an inverse modulo `N_s` that the client has encrypted only, and training is the same bit for bit.
//!
//! # What differs from the paper, and why
//! * An integer division by η does not exist in `Z_N`; the paper's real numbers would lose weights of 2^-20 beside masks of 2^2048.
//! * Masked gradients of *all* layers, the last included, are sent after the backward pass. As printed, the last layer
//!   is never updated within a session and lower layers see weights that are already updated, which is not
//!   back-propagation. With this order training equals the same training without masks bit for bit. The server insists on it: in a
//!   session it answers each layer once an iteration, in this order, and nothing else.
//! * Sessions last 2 to [`Settings::session_bound`] iterations (the paper: up to m + 1). One opened pre-activation per
//!   neuron and iteration is a linear equation in its fan-in + 1 unknowns, so a session may not be longer than the
//!   smallest fan-in. A session of one iteration would show the server that iteration's gradient.
//!
//! What stays open in the protocol itself, masks or no masks:
//! * The client also opens `Wᵀ δ`, one equation per *column*, so it learns the last layer up to a shift that softmax
//!   ignores after (outputs - 1) iterations; with two outputs, after one.
//! * The bound is one session's. One that trains session after session and knows the learning rate collects equations across them;
//!   what other clients train between them is unknown to it, but a few iterations change a layer by a matrix of low rank only.
//! * Classification is not limited: after fan-in + 1 queries a client can solve for a dense layer. All positions of a
//!   convolution share its weights, so that one query has equations enough to solve for a whole convolution, and no length of a session
//!   hides one: the bound on sessions is that of the dense layers.
//!
//! Scales (fraction bits): activations and errors `fa`, gradients `fg`, learning rate `k`, weights `fw = fg + k`, biases
//! and sums `fw + fa`, bias gradients `fg + fa`.

mod bounds;
pub mod client;
pub mod count;
mod forecast;
pub mod layer;
pub mod server;
mod shape;
mod turn;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::backend::{Backend, Rate};
use crate::network::{Loss, Nonlinearity};
use crate::scheme::encoding::Scale;
use crate::scheme::packing::Packing;

pub use forecast::Forecast;
pub use shape::Shape;

/// How gradients are hidden from the server during a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Masks {
    /// Uniform modulo the server's modulus, as in the paper: masked gradients say nothing of the true ones. Takes a scheme that
    /// shows what messages wrap around at (`paillier`), and exponents of the modulus's length.
    Exact,
    /// Uniform integers `mask_security_bits` longer than what they hide.
    #[default]
    Statistical,
    /// None: the server sees every gradient. For comparison only.
    None,
}

/// What both parties agree on before they start.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Settings {
    /// The linear layers, first layer first, without their weights.
    pub layers: Vec<Shape>,
    /// Activation of hidden layers.
    pub activation: Nonlinearity,
    /// Output and error function.
    pub loss: Loss,
    /// Test samples that travel together.
    pub batch: usize,
    /// Training iterations, one sample each.
    pub training_iterations: usize,
    /// Learning rate.
    pub rate: Rate,
    /// How gradients are hidden.
    pub masks: Masks,
    /// σ: statistical masks are so much longer than what they hide; with exact ones, a training in which one wraps is as rare as 2^-σ.
    pub mask_security_bits: u32,
    /// Clients that take turns in training, a session each. The first of them classifies.
    #[serde(skip_serializing_if = "is_one")]
    pub clients: usize,
    /// Most iterations of a session, where fewer are asked for than the bound allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_limit: Option<usize>,
    /// fa.
    pub activation_bits: u32,
    /// fg.
    pub gradient_bits: u32,
    /// No weight, bias or step exceeds 2 to this power.
    pub weight_magnitude_bits: u32,
    /// No input, activation or error exceeds 2 to this power.
    pub activation_magnitude_bits: u32,
    /// How the server packs its answers, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packing: Option<Packing>,
    /// How the client packs gradients, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_packing: Option<StepPacking>,
    /// Whether both parties make encryptions of zero in advance, enough for the inference.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub precompute: bool,
}

/// How gradients are packed. A slot holds a step of the server, `ηΔ + r`, which is all that the server learns, packed or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct StepPacking {
    /// Those of weights.
    pub weights: Packing,
    /// Those of biases.
    pub biases: Packing,
}

/// Gradients of one kind and layer, which are sent together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Their scale.
    pub scale: Scale,
    /// How many there are.
    pub count: usize,
    /// How they are packed, if they are.
    pub packing: Option<Packing>,
}

impl Run {
    /// Ciphertexts that they take.
    pub fn ciphertexts(self) -> usize {
        self.packing.map_or(self.count, |packing| packing.plaintexts(self.count))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde asks for")]
fn is_one(count: &usize) -> bool {
    *count == 1
}

/// A party's arithmetic under the two kinds of key, whose sizes may differ. It counts into one meter.
#[derive(Debug)]
pub struct Arithmetics<'a, B> {
    /// Under a client's key.
    pub client: &'a B,
    /// Under the server's key.
    pub server: &'a B,
}

impl<B> Clone for Arithmetics<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B> Copy for Arithmetics<'_, B> {}

impl<'a, B: Backend> From<&'a B> for Arithmetics<'a, B> {
    /// Keys of one size.
    fn from(backend: &'a B) -> Self {
        Self { client: backend, server: backend }
    }
}

impl Settings {
    /// Weights and biases of all layers.
    pub fn parameters(&self) -> usize {
        self.layers.iter().map(Shape::parameters).sum()
    }

    /// The gradients in the order in which they are sent: layer after layer, weights before biases.
    pub fn gradient_runs(&self) -> Vec<Run> {
        let packing = self.step_packing;
        let of_layer = |layer: &Shape| {
            let weights = (self.gradient_scale(), layer.weights(), packing.map(|packing| packing.weights));
            let biases = (self.bias_gradient_scale(), layer.biases(), packing.map(|packing| packing.biases));
            [weights, biases].map(|(scale, count, packing)| Run { scale, count, packing })
        };
        self.layers.iter().flat_map(of_layer).filter(|run| run.count > 0).collect()
    }

    /// Ciphertexts that gradients of all layers take.
    pub fn gradient_ciphertexts(&self) -> usize {
        self.gradient_runs().into_iter().map(Run::ciphertexts).sum()
    }

    /// Outputs of the last layer.
    pub fn outputs(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.outputs)
    }

    /// Scale of activations and errors.
    pub fn activation_scale(&self) -> Scale {
        Scale(self.activation_bits)
    }

    /// Scale of weight gradients.
    pub fn gradient_scale(&self) -> Scale {
        Scale(self.gradient_bits)
    }

    /// Scale of bias gradients.
    pub fn bias_gradient_scale(&self) -> Scale {
        Scale(self.gradient_bits + self.activation_bits)
    }

    /// Scale of weights.
    pub fn weight_scale(&self) -> Scale {
        Scale(self.gradient_bits + self.rate.bits)
    }

    /// Scale of biases, and of what the client opens of layers without a mean.
    pub fn sum_scale(&self) -> Scale {
        Scale(self.weight_scale().0 + self.activation_bits)
    }

    /// Scale of what the client opens of a layer.
    pub fn opened_scale(&self, layer: usize) -> Scale {
        Scale(self.sum_scale().0 + self.layers.get(layer).map_or(0, Shape::shift))
    }

    /// Bits of a statistical mask for a step at `scale`.
    pub fn mask_bits(&self, scale: Scale) -> u32 {
        scale.0 + self.weight_magnitude_bits + self.mask_security_bits
    }
}
