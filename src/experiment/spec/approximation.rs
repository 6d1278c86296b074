//! `[approximation]` as it is written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::approximation::{Measure, Method};

/// Where a polynomial is fitted, as written: two bounds, or a rule.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum IntervalSpec {
    /// From, to.
    Bounds([f64; 2]),
    /// From the data, or from the trained network.
    Rule(IntervalRule),
}

/// Rules for intervals, all symmetric about 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IntervalRule {
    /// As wide as the mean of the features' means (CryptoDL, Algorithm 1).
    MeanMean,
    /// As wide as the greatest of them.
    MaxMean,
    /// As wide as the least of them.
    MinMean,
    /// As wide as what reaches the activation in the trained network, but for the outermost share.
    Measured,
}

/// When a polynomial takes the activation's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Once the network is trained with the activation itself.
    #[default]
    AfterTraining,
    /// From the start: the network is trained with the polynomial.
    Training,
    /// After training, and then it is trained on.
    FineTuning,
}

/// `[approximation]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ApproximationSpec {
    /// How the polynomial is found; absent: the exact activation.
    pub method: Option<Method>,
    /// What a projection weighs errors with.
    pub measure: Option<Measure>,
    /// Its degree.
    pub degree: Option<usize>,
    /// Where it is fitted: `[from, to]`, `mean_mean`, `max_mean`, `min_mean` or `measured`.
    pub interval: Option<IntervalSpec>,
    /// Of `measured`: the share of pre-activations that lie inside, above 0 and at most 1.
    pub coverage: f64,
    /// Of `least_squares`: equidistant points; absent: all of the interval.
    pub points: Option<usize>,
    /// Of `given`: the coefficients of 1, x, x^2, ...
    pub coefficients: Vec<f64>,
    /// Digits after the point of each coefficient; what follows is cut off.
    pub digits: Option<u32>,
    /// When it takes the activation's place.
    pub stage: Stage,
}

impl Default for ApproximationSpec {
    fn default() -> Self {
        Self {
            method: None,
            measure: None,
            degree: None,
            interval: None,
            coverage: 0.999,
            points: None,
            coefficients: Vec::new(),
            digits: None,
            stage: Stage::default(),
        }
    }
}
