//! The rules of `[training]`.

use super::Checker;
use crate::{
    experiment::{
        diagnostic::Code,
        spec::{OptimiserName, ScheduleName, Spec, Stage, TrainingSpec},
    },
    network::{Optimiser, Schedule, Training, Validation},
};

/// Share of the steps of a cycle in which the learning rate rises.
const RISE: f64 = 0.2;

/// Checks every number.
pub(super) fn check(spec: &Spec, checker: &mut Checker<'_>) {
    let training = &spec.training;
    let mut number = |key: &str, value: f64, fine: bool, allowed: &str| {
        if !fine {
            let path = format!("training.{key}");
            checker.error(&path, Code::Range, format!("`{path}` is {value}"), allowed);
        }
    };
    let share = |value: f64| (0.0..1.0).contains(&value);
    let tuning = training.fine_tuning_learning_rate.map(|rate| ("fine_tuning_learning_rate", rate));
    for (key, rate) in [("learning_rate", training.learning_rate)].into_iter().chain(tuning) {
        number(key, rate, rate > 0.0 && rate <= 1000.0, "allowed: above 0, at most 1000");
    }
    number("momentum", training.momentum, share(training.momentum), "allowed: 0 to below 1");
    number(
        "weight_decay",
        training.weight_decay,
        (0.0..=10.0).contains(&training.weight_decay),
        "allowed: 0 to 10",
    );
    number(
        "label_smoothing",
        training.label_smoothing,
        share(training.label_smoothing),
        "allowed: 0 to below 1",
    );
    number("penalty", training.penalty, (0.0..=1e6).contains(&training.penalty), "allowed: 0 to 1e6");
    number(
        "validation_share",
        training.validation_share,
        share(training.validation_share),
        "allowed: 0 to below 1",
    );
    checker.within("training.epochs", training.epochs, &(1..=1_000_000));
    checker.within("training.batch_size", training.batch_size, &(1..=1_000_000));
    checker.within("training.patience", training.patience, &(1..=1_000_000));
    let protocol = spec.protocol.name.is_some();
    if training.curve && (protocol || spec.approximation.stage == Stage::FineTuning) {
        let message = "a training that is recorded epoch by epoch stands alone".to_owned();
        let help = "leave `[protocol]` and `[scheme]` and fine tuning out, or `training.curve`";
        checker.error("training.curve", Code::Incompatible, message, help);
    }
    if let Some(epochs) = training.fine_tuning_epochs {
        checker.within("training.fine_tuning_epochs", epochs, &(1..=1_000_000));
    }
}

/// What holds for the passes with the polynomial after those with the activation.
pub(super) fn fine_tuning(training: &TrainingSpec) -> TrainingSpec {
    TrainingSpec {
        epochs: training.fine_tuning_epochs.unwrap_or(training.epochs),
        learning_rate: training.fine_tuning_learning_rate.unwrap_or(training.learning_rate),
        ..training.clone()
    }
}

/// As the network takes them.
pub(super) fn settings(training: &TrainingSpec) -> Training {
    let (learning_rate, momentum) = (training.learning_rate, training.momentum);
    Training {
        epochs: training.epochs,
        batch_size: training.batch_size,
        optimiser: match training.optimiser {
            OptimiserName::Sgd => Optimiser::sgd(learning_rate, momentum),
            OptimiserName::Nesterov => Optimiser::Sgd { learning_rate, momentum, nesterov: true },
            OptimiserName::Adam => Optimiser::adam(learning_rate),
            OptimiserName::ScaledConjugateGradient => Optimiser::scaled_conjugate_gradient(),
        },
        schedule: match training.schedule {
            ScheduleName::Constant => Schedule::Constant,
            ScheduleName::Cosine => Schedule::Cosine,
            ScheduleName::OneCycle => Schedule::OneCycle { rise: RISE },
        },
        weight_decay: training.weight_decay,
        label_smoothing: training.label_smoothing,
        penalty: training.penalty,
        augmentation: training.augmentation,
        validation: (training.validation_share > 0.0)
            .then_some(Validation { share: training.validation_share, patience: training.patience }),
    }
}
