//! The rules of `[protocol]`.

use super::Checker;
use crate::{
    backend::Rate,
    dataset,
    experiment::{
        diagnostic::Code,
        spec::{ProtocolName, ProtocolSpec, Spec},
    },
    math::stream::Stream,
    protocol::split,
};

pub(super) fn protocol(
    spec: &Spec,
    entry: Option<&dataset::Entry>,
    checker: &mut Checker<'_>,
) -> Option<split::Settings> {
    let protocol = &spec.protocol;
    match (protocol.name, spec.scheme.name) {
        (None, _) => {
            checker.missing("protocol.name", "allowed: split");
            return None;
        }
        (Some(name @ (ProtocolName::Refresh | ProtocolName::NonInteractive)), Some(scheme)) => {
            let name = if name == ProtocolName::Refresh { "refresh" } else { "non_interactive" };
            checker.error(
                "protocol.name",
                Code::Incompatible,
                format!("protocol `{name}` multiplies ciphertexts, which scheme `{scheme}` cannot do"),
                &format!("with `{scheme}` use `protocol.name = \"split\"`, which only adds ciphertexts"),
            );
            return None;
        }
        _ => {}
    }
    ranges(protocol, checker);
    if spec.data.scaling == dataset::Scaling::Integer && protocol.activation_magnitude_bits < 8 {
        checker.error(
            "protocol.activation_magnitude_bits",
            Code::Range,
            format!(
                "`data.scaling = \"integer\"` gives inputs up to 255, the circuit allows 2^{}",
                protocol.activation_magnitude_bits
            ),
            "raise it to 8, or choose another scaling",
        );
    }
    let entry = entry?;
    let bits = protocol.learning_rate_bits.min(31);
    let mantissa = (spec.training.learning_rate * libm::exp2(f64::from(bits))).round();
    if protocol.training_iterations > 0 && !(1.0..=libm::exp2(f64::from(bits))).contains(&mantissa) {
        checker.error(
            "training.learning_rate",
            Code::Range,
            format!(
                "learning rate {} cannot be used under the protocol with {bits} fraction bits",
                spec.training.learning_rate
            ),
            "allowed there: 2^-`protocol.learning_rate_bits` to 1",
        );
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 1..=2^31")]
    let mantissa = mantissa.clamp(1.0, libm::exp2(31.0)) as u32;
    let widths: Vec<usize> = std::iter::once(entry.columns())
        .chain(spec.network.hidden.iter().copied())
        .chain(std::iter::once(entry.classes()))
        .collect();
    let settings = split::Settings {
        widths,
        activation: spec.network.activation,
        loss: spec.network.loss,
        batch: protocol.batch,
        training_iterations: protocol.training_iterations,
        rate: Rate { mantissa, bits },
        masks: protocol.masks,
        mask_security_bits: protocol.mask_security_bits,
        activation_bits: protocol.activation_bits,
        gradient_bits: protocol.gradient_bits,
        weight_magnitude_bits: protocol.weight_magnitude_bits,
        activation_magnitude_bits: protocol.activation_magnitude_bits,
        packing: None,
        precompute: spec.scheme.precompute,
    };
    if settings.sessions(&Stream::seeded(0)).is_none() {
        let bound = settings.session_bound();
        checker.error(
            "protocol.training_iterations",
            Code::Range,
            format!(
                "{} training iterations cannot be cut into sessions of 2 to {bound} (the smallest fan-in)",
                protocol.training_iterations
            ),
            "a single iteration would show its gradient to the server, more than the smallest fan-in the model to the \
             client; allowed: 0, or 2 and more (even numbers only where the smallest fan-in is 2)",
        );
        return None;
    }
    Some(settings)
}

fn ranges(protocol: &ProtocolSpec, checker: &mut Checker<'_>) {
    checker.within("protocol.batch", protocol.batch, &(1..=4096));
    checker.within("protocol.training_iterations", protocol.training_iterations, &(0..=1_000_000));
    checker.within("protocol.mask_security_bits", protocol.mask_security_bits, &(40..=128));
    checker.within("protocol.activation_bits", protocol.activation_bits, &(1..=40));
    checker.within("protocol.gradient_bits", protocol.gradient_bits, &(1..=40));
    checker.within("protocol.learning_rate_bits", protocol.learning_rate_bits, &(1..=31));
    checker.within("protocol.weight_magnitude_bits", protocol.weight_magnitude_bits, &(0..=32));
    checker.within("protocol.activation_magnitude_bits", protocol.activation_magnitude_bits, &(0..=32));
}
