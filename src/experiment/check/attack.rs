//! The rules of `[attack]`.

use super::{Checker, settings};
use crate::{
    attack,
    backend::Variant,
    experiment::{
        diagnostic::Code,
        plan::{Attack, System},
        spec::{AttackOn, Spec},
    },
};

/// Most pictures in a row of a chart.
const MOST_SHOWN: usize = 12;

/// Checks an attack, and the network and protocol that it is on.
pub(super) fn attack(spec: &Spec, checker: &mut Checker<'_>) -> Option<Attack> {
    let on = spec.attack.on;
    checker.within("attack.shown", spec.attack.shown, &(0..=MOST_SHOWN));
    let wanted = match on {
        AttackOn::Activations => Variant::Plain,
        AttackOn::Gradients | AttackOn::Sums => Variant::Simulated,
    };
    if spec.run.variants != [wanted] {
        let message = format!("this attack is on numbers of the variant `{wanted}`");
        checker.error("run.variants", Code::Incompatible, message, &format!("use [\"{wanted}\"]"));
    }
    if on != AttackOn::Gradients && attack::inverse(spec.network.activation, 0.5).is_none() {
        checker.error(
            "network.activation",
            Code::Incompatible,
            "this attack needs an activation that can be inverted".to_owned(),
            "use `sigmoid`, `tanh` or `bipolar_sigmoid`",
        );
    }
    if spec.approximation.method.is_some() || spec.training.curve {
        checker.error(
            "attack",
            Code::Incompatible,
            "an attack is on a network with its own activation".to_owned(),
            "leave `[approximation]` and `training.curve` out",
        );
    }
    let mut settings = settings(spec, checker)?;
    if on == AttackOn::Activations {
        return Some(Attack { on, shown: spec.attack.shown, settings });
    }
    match &settings.system {
        System::Split { protocol, .. } if protocol.training_iterations > 1 && !settings.hidden.is_empty() => {
        }
        _ => {
            checker.error(
                "protocol",
                Code::Incompatible,
                "this attack is on training under protocol `split`, of a network with hidden layers"
                    .to_owned(),
                "set `protocol.name` and, to 2 or more, `protocol.training_iterations`",
            );
            return None;
        }
    }
    if let System::Split { protocol, .. } = &settings.system
        && protocol.clients > 1
    {
        checker.error(
            "protocol.clients",
            Code::Incompatible,
            format!("an attack is on one client or by one, not {}", protocol.clients),
            "set it to 1",
        );
    }
    // The protocol trains from freshly initialised weights.
    settings.training.epochs = 0;
    Some(Attack { on, shown: spec.attack.shown, settings })
}
