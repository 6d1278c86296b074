//! Where ciphertexts are refreshed in an iteration.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Form, Layout, Refreshes, Request, Settings};

/// A kind of ciphertext at a moment of the circuit: where it can be refreshed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Point {
    /// Products of weights and inputs, before they are summed.
    ForwardProduct,
    /// Sums, before the activation.
    Sum,
    /// Activations, before the next layer and, of the last, before the error.
    Activation,
    /// The labels.
    Label,
    /// The difference of outputs and labels.
    Error,
    /// The squares of the differences.
    LossProduct,
    /// Their sum.
    LossSum,
    /// Sums again, before the derivative.
    SumAgain,
    /// Derivatives of activations.
    Derivative,
    /// Derivatives of the loss by sums.
    Delta,
    /// Products of weights and deltas, before they are summed.
    BackwardProduct,
    /// Their sums.
    BackwardSum,
    /// Activations again, before the gradients.
    ActivationAgain,
    /// Gradients, one a sample.
    GradientProduct,
    /// Gradients, summed over the samples.
    Gradient,
    /// Weights, after their step.
    Weight,
}

/// A point of a layer, counted from 1.
pub type Place = (Point, usize);

impl Point {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::ForwardProduct => "products",
            Self::Sum => "sums",
            Self::Activation => "activations",
            Self::Label => "labels",
            Self::Error => "errors",
            Self::LossProduct => "squared errors",
            Self::LossSum => "loss",
            Self::SumAgain => "sums, on the way back",
            Self::Derivative => "derivatives",
            Self::Delta => "deltas",
            Self::BackwardProduct => "products, on the way back",
            Self::BackwardSum => "errors of the layer below",
            Self::ActivationAgain => "activations, on the way back",
            Self::GradientProduct => "gradients of every sample",
            Self::Gradient => "gradients",
            Self::Weight => "weights",
        }
    }

    /// Numbers that are refreshed at a point in the paper's unit, a neuron or weight each.
    pub fn values(self, settings: &Settings, layer: usize) -> usize {
        match self {
            Self::ForwardProduct
            | Self::BackwardProduct
            | Self::GradientProduct
            | Self::Gradient
            | Self::Weight => settings.weights(layer),
            Self::LossProduct | Self::LossSum => 1,
            _ => settings.widths[layer],
        }
    }
}

impl Request {
    /// Numbers in some of the ciphertexts of a place, in the paper's unit.
    pub(super) fn numbers(
        &self,
        settings: &Settings,
        layout: &Layout,
        ciphertexts: std::ops::Range<usize>,
    ) -> u64 {
        let (point, layer) = self.place;
        let neurons = settings.widths[layer];
        let group = |ciphertext: usize| match point {
            Point::ForwardProduct | Point::GradientProduct | Point::Gradient | Point::Weight => {
                ciphertext / settings.widths[layer - 1]
            }
            Point::BackwardProduct => ciphertext % layout.groups(neurons),
            _ => ciphertext,
        };
        let numbers = |ciphertext| match point {
            Point::LossProduct | Point::LossSum => 1,
            _ if self.from == Form::Replicated => 1,
            _ => layout.shared(neurons, group(ciphertext)),
        };
        ciphertexts.map(numbers).sum::<usize>() as u64
    }
}

/// Levels of the paper's parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PaperLevels {
    /// L = 5
    #[serde(rename = "paper_5")]
    Five,
    /// L = 10
    #[serde(rename = "paper_10")]
    Ten,
    /// L = 20
    #[serde(rename = "paper_20")]
    Twenty,
}

impl PaperLevels {
    /// The number.
    pub fn levels(self) -> usize {
        match self {
            Self::Five => 5,
            Self::Ten => 10,
            Self::Twenty => 20,
        }
    }

    /// Whether the paper's counts have a refresh at a point.
    ///
    /// The printed counts fit closed forms in the numbers of weights and neurons exactly (all of tables 3, 5, 6 and 7). Which ciphertext is
    /// refreshed when is not printed: this is one way to come to the same counts.
    ///
    /// * L = 20: every neuron once, every weight beyond the first layer twice.
    /// * L = 10: neurons 4 times in the first layer and 5 times in the others, weights twice in the first layer and 3 times in the others, and 2
    ///   ciphertexts more, for which the loss stands here.
    /// * L = 5: neurons 6 and 7 times, weights 4 and 5 times, and the same 2.
    fn refreshes(self, (point, layer): Place, layers: usize) -> bool {
        let (five, ten) = (self == Self::Five, self == Self::Ten);
        let (first, last) = (layer == 1, layer == layers);
        match point {
            Point::ForwardProduct | Point::GradientProduct | Point::SumAgain => five,
            Point::Sum => five && !first,
            Point::Activation => true,
            Point::Label
            | Point::Error
            | Point::LossProduct
            | Point::LossSum
            | Point::Derivative
            | Point::Delta => five || ten,
            Point::BackwardProduct => !first && (five || ten),
            Point::BackwardSum => five || (ten && !first),
            Point::ActivationAgain => !last && (five || ten),
            Point::Gradient | Point::Weight => five || ten || !first,
        }
    }
}

/// When ciphertexts are refreshed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// As seldom as the parameters allow.
    #[default]
    Lazy,
    /// As often as CryptoDL counts with the levels of its parameters.
    #[serde(untagged)]
    Paper(PaperLevels),
}

/// Where an iteration asks the client.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Schedule {
    /// Where ciphertexts are refreshed.
    pub refreshed: BTreeSet<Place>,
    /// Where they are only laid out anew, because several neurons share a ciphertext.
    pub reformed: BTreeSet<Place>,
    /// Level at which gradients are summed over the slots; none: whatever they have.
    pub gradient_level: Option<usize>,
}

impl Schedule {
    /// What every schedule has: new forms where neurons share ciphertexts, and in training fresh weights where iterations follow one another.
    pub fn least(settings: &Settings, blocks: usize, training: bool) -> Self {
        let hidden = 1..settings.layers();
        let mut schedule = Self::default();
        if blocks > 1 {
            schedule.reformed.extend(hidden.clone().map(|layer| (Point::Activation, layer)));
            if training {
                schedule.reformed.extend(hidden.map(|layer| (Point::BackwardSum, layer)));
            }
        }
        if training && settings.iterations > 1 {
            schedule.refreshed.extend((1..=settings.layers()).map(|layer| (Point::Weight, layer)));
        }
        schedule
    }

    /// Whether the client is asked at a place.
    pub fn asks(&self, place: Place) -> bool {
        self.refreshed.contains(&place) || self.reformed.contains(&place)
    }

    /// The paper's.
    pub fn paper(settings: &Settings, levels: PaperLevels, blocks: usize, opportunities: &[Place]) -> Self {
        let mut schedule = Self::least(settings, blocks, true);
        let layers = settings.layers();
        schedule.refreshed.extend(opportunities.iter().filter(|place| levels.refreshes(**place, layers)));
        schedule
    }

    /// Numbers that are encrypted anew each time.
    pub fn refreshes(&self, settings: &Settings) -> Refreshes {
        let values = |(point, layer): &Place| point.values(settings, *layer) as u64;
        Refreshes {
            refreshed: self.refreshed.iter().map(values).sum(),
            reformed: self.reformed.difference(&self.refreshed).map(values).sum(),
        }
    }
}
