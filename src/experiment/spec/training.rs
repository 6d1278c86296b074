//! `[training]` as it is written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::network::Augmentation;

/// What is made of gradients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OptimiserName {
    /// Stochastic gradient descent with momentum.
    #[default]
    Sgd,
    /// The same with Nesterov's momentum.
    Nesterov,
    /// Adam.
    Adam,
    /// Scaled conjugate gradient over all samples at once, as MATLAB's toolbox does by default.
    ScaledConjugateGradient,
}

/// How the learning rate goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleName {
    /// Always the same.
    #[default]
    Constant,
    /// Down to 0 along half a cosine.
    Cosine,
    /// Up along a line for the first fifth of the steps, then down to 0 along another.
    OneCycle,
}

/// `[training]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrainingSpec {
    /// Passes over the training part; of the scaled conjugate gradient, most iterations.
    pub epochs: usize,
    /// `sgd`, `nesterov`, `adam` or `scaled_conjugate_gradient`.
    pub optimiser: OptimiserName,
    /// Step length; the scaled conjugate gradient finds its own.
    pub learning_rate: f64,
    /// Share of the last step that is added to the next, 0 (none) to below 1.
    pub momentum: f64,
    /// How the learning rate goes: `constant`, `cosine` or `one_cycle`.
    pub schedule: ScheduleName,
    /// Samples a step.
    pub batch_size: usize,
    /// Share of every weight that joins its gradient.
    pub weight_decay: f64,
    /// Share of the target that is spread over all classes, from 0 to below 1.
    pub label_smoothing: f64,
    /// Weight of the squared distance of what polynomials are given to their interval.
    pub penalty: f64,
    /// Changes of pictures, drawn anew in every epoch: `{ flip = true, shift = 4, cutout = 8 }`.
    pub augmentation: Option<Augmentation>,
    /// Share of the training part that is held out to stop by; 0: none.
    pub validation_share: f64,
    /// Epochs without a lower loss on what is held out before training stops.
    pub patience: usize,
    /// Passes with the polynomial after those with the activation, where `approximation.stage = "fine_tuning"`; absent: as many.
    pub fine_tuning_epochs: Option<usize>,
    /// The step size of those passes, the greatest where the schedule changes it, above 0 and at most 1000; absent: the same.
    pub fine_tuning_learning_rate: Option<f64>,
    /// Whether accuracy and loss on the test part are recorded before the training and after every epoch, for charts with `x = "epoch"`. A
    /// training that diverges is then a result: the cell has what was reached until then. Only without a protocol; default no.
    pub curve: bool,
}

impl Default for TrainingSpec {
    fn default() -> Self {
        Self {
            epochs: 100,
            optimiser: OptimiserName::default(),
            learning_rate: 0.1,
            momentum: 0.0,
            schedule: ScheduleName::default(),
            batch_size: 1,
            weight_decay: 0.0,
            label_smoothing: 0.0,
            penalty: 0.0,
            augmentation: None,
            validation_share: 0.0,
            patience: 6,
            fine_tuning_epochs: None,
            fine_tuning_learning_rate: None,
            curve: false,
        }
    }
}
