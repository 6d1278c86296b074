//! Settings of training.

use super::{NetworkError, augmentation::Augmentation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a network is trained.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Training {
    /// Passes over the samples, or iterations of the scaled conjugate gradient; 0 leaves the network as it is.
    pub epochs: usize,
    /// Samples per step, at least 1; the last batch of an epoch may be smaller. The scaled conjugate gradient takes all
    /// samples at once.
    pub batch_size: usize,
    /// What is made of gradients.
    pub optimiser: Optimiser,
    /// How the learning rate goes.
    pub schedule: Schedule,
    /// Share of every weight that joins its gradient; biases and normalisations are spared. Under Adam it shrinks
    /// weights directly instead (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019).
    pub weight_decay: f64,
    /// Share of the target that is spread over all classes, from 0 to below 1.
    pub label_smoothing: f64,
    /// Weight of the squared distance of what polynomials are given to their interval, summed over neurons; 0 for none.
    pub penalty: f64,
    /// Changes of images, drawn anew in every epoch.
    pub augmentation: Option<Augmentation>,
    /// Stops when held-out samples get worse.
    pub validation: Option<Validation>,
}

impl Default for Training {
    fn default() -> Self {
        Self {
            epochs: 100,
            batch_size: 1,
            optimiser: Optimiser::default(),
            schedule: Schedule::Constant,
            weight_decay: 0.0,
            label_smoothing: 0.0,
            penalty: 0.0,
            augmentation: None,
            validation: None,
        }
    }
}

/// What is made of gradients.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Optimiser {
    /// Stochastic gradient descent: `v ← momentum · v - learning_rate · gradient`, `w ← w + v`.
    Sgd {
        /// Step per gradient, above 0.
        learning_rate: f64,
        /// Share of the previous step that is kept, from 0 to below 1.
        #[serde(default)]
        momentum: f64,
        /// Steps as if the next share of the step were taken already: `w ← w + momentum · v - learning_rate · gradient`.
        #[serde(default)]
        nesterov: bool,
    },
    /// Adam (Kingma and Ba, ICLR 2015), with decoupled weight decay.
    Adam {
        /// Step, above 0.
        learning_rate: f64,
        /// Share of the running mean that is kept, from 0 to below 1.
        #[serde(default = "beta1")]
        beta1: f64,
        /// Share of the running mean of squares that is kept, from 0 to below 1.
        #[serde(default = "beta2")]
        beta2: f64,
        /// Added to the root of the mean square, above 0.
        #[serde(default = "epsilon")]
        epsilon: f64,
    },
    /// Scaled conjugate gradient (Møller, Neural Networks 6(4), 1993) with all samples at once. The defaults are those of
    /// MATLAB's `trainscg`.
    ScaledConjugateGradient {
        /// Step of the difference that stands for the second derivative, above 0.
        #[serde(default = "sigma")]
        sigma: f64,
        /// Scale at the start, above 0.
        #[serde(default = "lambda")]
        lambda: f64,
        /// Stops when the gradient is shorter, at least 0.
        #[serde(default = "least_gradient")]
        least_gradient: f64,
    },
}

const fn beta1() -> f64 {
    0.9
}
const fn beta2() -> f64 {
    0.999
}
const fn epsilon() -> f64 {
    1e-8
}
const fn sigma() -> f64 {
    5e-5
}
const fn lambda() -> f64 {
    5e-7
}
const fn least_gradient() -> f64 {
    1e-6
}

impl Optimiser {
    /// Stochastic gradient descent.
    pub const fn sgd(learning_rate: f64, momentum: f64) -> Self {
        Self::Sgd { learning_rate, momentum, nesterov: false }
    }

    /// Adam with its usual constants.
    pub const fn adam(learning_rate: f64) -> Self {
        Self::Adam { learning_rate, beta1: beta1(), beta2: beta2(), epsilon: epsilon() }
    }

    /// The scaled conjugate gradient with its usual constants.
    pub const fn scaled_conjugate_gradient() -> Self {
        Self::ScaledConjugateGradient { sigma: sigma(), lambda: lambda(), least_gradient: least_gradient() }
    }
}

/// As it follows a number of epochs: `at rate 0.1`.
impl std::fmt::Display for Optimiser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sgd { learning_rate, .. } => write!(f, "at rate {learning_rate}"),
            Self::Adam { learning_rate, .. } => write!(f, "of Adam at rate {learning_rate}"),
            Self::ScaledConjugateGradient { .. } => write!(f, "of the scaled conjugate gradient"),
        }
    }
}

impl Default for Optimiser {
    fn default() -> Self {
        Self::sgd(0.1, 0.0)
    }
}

/// How the learning rate goes over the whole training.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// Always the same.
    #[default]
    Constant,
    /// Down to 0 along half a cosine.
    Cosine,
    /// Up from 0 along a line for a share of the steps, then down to 0 along another.
    OneCycle {
        /// Share of the steps that go up, from 0 to 1.
        rise: f64,
    },
}

impl Schedule {
    /// Factor of the learning rate at a step (from 0) of so many.
    pub(super) fn factor(self, step: usize, of: usize) -> f64 {
        let done = (step as f64 + 0.5) / of.max(1) as f64;
        match self {
            Self::Constant => 1.0,
            Self::Cosine => 0.5 * (1.0 + libm::cos(std::f64::consts::PI * done)),
            Self::OneCycle { rise } if done < rise => done / rise,
            Self::OneCycle { rise } => (1.0 - done) / (1.0 - rise).max(f64::MIN_POSITIVE),
        }
    }
}

/// Samples that are held out, and what they decide.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Validation {
    /// Share of the samples that is held out, above 0 and below 1.
    pub share: f64,
    /// Epochs whose loss on those samples is above the least so far, one after another, before training stops; at least
    /// 1. The network is then the one of the least loss.
    pub patience: usize,
}

impl Training {
    pub(super) fn check(&self) -> Result<(), NetworkError> {
        let fail = |name, value, permitted| Err(NetworkError::Setting { name, value, permitted });
        let positive = |name, value: f64| {
            if value.is_finite() && value > 0.0 { Ok(()) } else { fail(name, value, "finite and above 0") }
        };
        let not_negative = |name, value: f64| {
            if value.is_finite() && value >= 0.0 {
                Ok(())
            } else {
                fail(name, value, "finite and at least 0")
            }
        };
        let share = |name, value: f64| {
            if (0.0..1.0).contains(&value) { Ok(()) } else { fail(name, value, "at least 0 and below 1") }
        };
        match self.optimiser {
            Optimiser::Sgd { learning_rate, momentum, .. } => {
                positive("learning_rate", learning_rate)?;
                share("momentum", momentum)?;
            }
            Optimiser::Adam { learning_rate, beta1, beta2, epsilon } => {
                positive("learning_rate", learning_rate)?;
                share("beta1", beta1)?;
                share("beta2", beta2)?;
                positive("epsilon", epsilon)?;
            }
            Optimiser::ScaledConjugateGradient { sigma, lambda, least_gradient } => {
                positive("sigma", sigma)?;
                positive("lambda", lambda)?;
                not_negative("least_gradient", least_gradient)?;
            }
        }
        if self.batch_size == 0 {
            return fail("batch_size", 0.0, "at least 1");
        }
        if let Schedule::OneCycle { rise } = self.schedule
            && !(0.0..=1.0).contains(&rise)
        {
            return fail("rise", rise, "from 0 to 1");
        }
        not_negative("weight_decay", self.weight_decay)?;
        share("label_smoothing", self.label_smoothing)?;
        not_negative("penalty", self.penalty)?;
        if let Some(validation) = self.validation {
            if !(validation.share > 0.0 && validation.share < 1.0) {
                return fail("validation.share", validation.share, "above 0 and below 1");
            }
            if validation.patience == 0 {
                return fail("validation.patience", 0.0, "at least 1");
            }
        }
        Ok(())
    }
}
