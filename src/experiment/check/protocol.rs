//! The rules of `[protocol]`, and which scheme bears which protocol.

use super::{Checker, approximation::Chosen, scheme};
use crate::{
    approximation::Polynomial,
    backend::{Rate, Variant},
    dataset,
    experiment::{
        diagnostic::Code,
        plan::{Local, System, input_shape},
        spec::{Architecture, Norms, ProtocolName, ProtocolSpec, SchemeName, Spec},
    },
    math::stream::Stream,
    network::{LayerSpec, Loss, Network, Nonlinearity, Step, architecture, squares},
    protocol::{non_interactive, refresh, split},
    scheme::registry::Kind,
};

/// The protocol over the scheme, the scheme's security, and whether that is marked.
pub(super) fn system(
    spec: &Spec,
    entry: Option<&dataset::Entry>,
    activation: Option<&Chosen>,
    layers: Option<&[LayerSpec]>,
    checker: &mut Checker<'_>,
) -> Option<(System, u32, bool)> {
    if spec.protocol.name.is_none() && spec.scheme.name.is_none() {
        return local(spec, entry, activation, checker);
    }
    let scheme = scheme::name(spec, checker);
    if let Some(scheme) = scheme {
        scheme::measures(spec, scheme, checker);
    }
    let Some(protocol) = spec.protocol.name else {
        checker.missing("protocol.name", "allowed: split, refresh, non_interactive");
        if let Some(Kind::Additive(name)) = scheme.map(SchemeName::kind) {
            scheme::additive(spec, name, checker);
        }
        return None;
    };
    let incompatible = |checker: &mut Checker<'_>, message: String, help: &str| {
        checker.error("protocol.name", Code::Incompatible, message, help);
        None
    };
    match (protocol, scheme.map(|scheme| (scheme, scheme.kind()))) {
        (ProtocolName::Split, Some((_, Kind::Additive(name)))) => {
            let scheme = scheme::additive(spec, name, checker);
            let protocol = split(spec, entry, (activation?.nonlinearity.clone(), layers), checker);
            let ((mut scheme, security, marked), mut protocol) = scheme.zip(protocol)?;
            scheme::plaintext_space(&mut scheme, &mut protocol, &spec.protocol, checker);
            Some((System::Split { scheme, protocol }, security, marked))
        }
        (ProtocolName::NonInteractive, Some((_, Kind::Lattice(name)))) => {
            let activation = activation?;
            let protocol = non_interactive(spec, entry, (activation, layers), checker)?;
            if activation.is_pending() || protocol.measured.is_some() {
                let (wish, required, _) = scheme::wish(spec, name, checker);
                return Some((System::Pending { wish, protocol }, required, false));
            }
            let (scheme, security, marked) = scheme::lattice(spec, name, &protocol, checker)?;
            Some((System::NonInteractive { scheme, protocol }, security, marked))
        }
        (ProtocolName::Split, Some((scheme, Kind::Lattice(_)))) => incompatible(
            checker,
            format!("protocol `split` takes an additive scheme, which `{scheme}` is not used as"),
            &format!("with `{scheme}` use `protocol.name = \"non_interactive\"`"),
        ),
        (ProtocolName::Refresh, Some((_, Kind::Lattice(name)))) => {
            let protocol = refresh(spec, entry, activation?, checker)?;
            let (scheme, security, marked) = scheme::refreshed(spec, name, &protocol, checker)?;
            Some((System::Refresh { scheme, protocol }, security, marked))
        }
        (ProtocolName::Refresh | ProtocolName::NonInteractive, Some((scheme, Kind::Additive(name)))) => {
            scheme::additive(spec, name, checker);
            let protocol = if protocol == ProtocolName::Refresh { "refresh" } else { "non_interactive" };
            incompatible(
                checker,
                format!("protocol `{protocol}` multiplies ciphertexts, which scheme `{scheme}` cannot do"),
                &format!("with `{scheme}` use `protocol.name = \"split\"`, which only adds ciphertexts"),
            )
        }
        (ProtocolName::Split, None) => {
            split(spec, entry, (activation?.nonlinearity.clone(), layers), checker);
            None
        }
        (ProtocolName::Refresh | ProtocolName::NonInteractive, None) => None,
    }
}

/// Most weights of a network whose circuit is planned: a few seconds.
const MOST_WEIGHTS: usize = 10_000_000;

/// Inputs, hidden neurons, outputs.
fn widths(spec: &Spec, entry: &dataset::Entry) -> Vec<usize> {
    let hidden = spec.network.hidden.iter().copied();
    std::iter::once(spec.data.feature_limit.unwrap_or_else(|| entry.columns()))
        .chain(hidden)
        .chain(std::iter::once(entry.classes()))
        .collect()
}

/// A network without a protocol.
fn local(
    spec: &Spec,
    entry: Option<&dataset::Entry>,
    activation: Option<&Chosen>,
    checker: &mut Checker<'_>,
) -> Option<(System, u32, bool)> {
    for (index, variant) in spec.run.variants.iter().enumerate() {
        if *variant != Variant::Plain {
            checker.error(
                &format!("run.variants.{index}"),
                Code::Missing,
                format!("variant `{variant}` needs a scheme and a protocol"),
                "name them in [scheme] and [protocol], or run the plain variant alone",
            );
            return None;
        }
    }
    let (_, activation) = (entry?, activation?.nonlinearity.clone());
    Some((System::Local(Local { activation, loss: spec.network.loss }), 0, false))
}

fn non_interactive(
    spec: &Spec,
    entry: Option<&dataset::Entry>,
    (activation, layers): (&Chosen, Option<&[LayerSpec]>),
    checker: &mut Checker<'_>,
) -> Option<non_interactive::Settings> {
    let protocol = &spec.protocol;
    ranges(protocol, checker);
    if protocol.training_iterations > 0 {
        checker.error(
            "protocol.training_iterations",
            Code::Incompatible,
            "protocol `non_interactive` classifies and does not train".to_owned(),
            "set it to 0",
        );
    }
    // Stands for one that is not known yet.
    let identity = || Polynomial::monomial(vec![0.0, 1.0], [-1.0, 1.0]);
    let polynomial = activation.nonlinearity.polynomial();
    let Some(activation) = polynomial.or_else(|| activation.is_pending().then(identity)) else {
        checker.error(
            "network.activation",
            Code::Incompatible,
            "a server that computes alone evaluates polynomials only".to_owned(),
            "add `[approximation]` with a `method`, or use activation `square`",
        );
        return None;
    };
    let is_measured = protocol.norms == Norms::Measured;
    if is_measured && activation.degree() != 2 {
        checker.error(
            "protocol.norms",
            Code::Incompatible,
            "measured bounds take activations that are squares or polynomials of degree 2, known before the training".to_owned(),
            "use activation `square`, `approximation.degree = 2` with a fixed interval, or promised bounds",
        );
        return None;
    }
    integer_inputs(spec, checker);
    let entry = entry?;
    let dense = || architecture::mlp(&spec.network.hidden, &spec.network.activation.into(), entry.classes());
    let layers = layers.map_or_else(dense, <[LayerSpec]>::to_vec);
    let network = Network::hollow(
        input_shape(entry, spec.data.feature_limit),
        &layers,
        spec.network.loss,
        MOST_WEIGHTS,
    );
    let Some(steps) = network.ok().and_then(|network| network.steps()) else {
        checker.error(
            "network.architecture",
            Code::Incompatible,
            format!("protocol `non_interactive` cannot evaluate this network, or it has more than {MOST_WEIGHTS} weights"),
            "allowed: dense layers, convolutions, mean pooling, batch normalisation",
        );
        return None;
    };
    if is_measured && squares(steps.clone(), &activation).is_none() {
        checker.error(
            "protocol.norms",
            Code::Incompatible,
            "measured bounds take networks whose activations are between linear layers".to_owned(),
            "use promised bounds",
        );
        return None;
    }
    let terms = steps.iter().map(|step| match step {
        Step::Linear(layer) => layer.terms(),
        Step::Activation(_) => 0,
    });
    let terms: usize = terms.sum();
    if terms > MOST_WEIGHTS {
        checker.error(
            "network.hidden",
            Code::Range,
            format!(
                "the network has {terms} products with weights; under protocol `non_interactive` allowed: {MOST_WEIGHTS}"
            ),
            "lower the widths",
        );
        return None;
    }
    Some(non_interactive::Settings {
        input: input_shape(entry, spec.data.feature_limit),
        layers,
        classes: entry.classes(),
        activation,
        loss: spec.network.loss,
        input_bits: protocol.activation_bits,
        input_magnitude_bits: protocol.activation_magnitude_bits,
        weight_bits: protocol.weight_bits,
        coefficient_bits: protocol.coefficient_bits,
        norm_bits: protocol.norm_bits,
        measured: is_measured.then(Vec::new),
        message_bytes: non_interactive::MESSAGE_BYTES,
    })
}

/// Most weights under protocol `refresh`: hours.
const MOST_REFRESHED: usize = 1_000_000;

fn refresh(
    spec: &Spec,
    entry: Option<&dataset::Entry>,
    activation: &Chosen,
    checker: &mut Checker<'_>,
) -> Option<refresh::Settings> {
    let protocol = &spec.protocol;
    let before = checker.found.len();
    ranges(protocol, checker);
    let mut incompatible = |path: &str, message: &str, help: &str| {
        checker.error(path, Code::Incompatible, message.to_owned(), help);
    };
    if spec.network.architecture != Architecture::Mlp || spec.network.bias != Some(false) {
        incompatible(
            "network.bias",
            "protocol `refresh` takes fully connected networks without biases: one ciphertext a weight",
            "use architecture `mlp` with `network.bias = false`",
        );
    }
    if protocol.training_iterations > 0 && spec.network.loss != Loss::Squared {
        incompatible(
            "network.loss",
            "under protocol `refresh` networks are trained on the squared error",
            "set it to `squared`",
        );
    }
    let polynomial = activation.nonlinearity.polynomial().filter(|_| !activation.is_pending());
    if polynomial.is_none() {
        incompatible(
            "network.activation",
            "protocol `refresh` evaluates polynomials that are known before the data are",
            "add `[approximation]` with a `method` and an interval of two numbers, or use activation `square`",
        );
    }
    if let Some(levels) = protocol.levels {
        checker.within("protocol.levels", levels, &(1..=32));
    }
    let rate = rate(spec, 64.0, checker);
    let (entry, activation) = (entry?, polynomial?);
    let settings = refresh::Settings {
        widths: widths(spec, entry),
        activation,
        loss: spec.network.loss,
        batch: protocol.batch,
        iterations: protocol.training_iterations,
        rate,
        packing: protocol.packing,
        policy: protocol.policy,
        levels: protocol.levels,
        activation_bits: protocol.activation_bits,
        activation_magnitude_bits: protocol.activation_magnitude_bits,
        weight_bits: protocol.weight_bits,
        weight_magnitude_bits: protocol.weight_magnitude_bits,
        coefficient_bits: protocol.coefficient_bits,
    };
    let weights: usize = (1..=settings.layers()).map(|layer| settings.weights(layer)).sum();
    if weights > MOST_REFRESHED {
        let message =
            format!("the network has {weights} weights; under protocol `refresh` allowed: {MOST_REFRESHED}");
        checker.error("network.hidden", Code::Range, message, "lower the widths");
    }
    (!checker.has_errors_since(before)).then_some(settings)
}

/// The learning rate under a protocol that trains, at most a number.
fn rate(spec: &Spec, most: f64, checker: &mut Checker<'_>) -> Rate {
    let bits = spec.protocol.learning_rate_bits.min(31);
    let mantissa = (spec.training.learning_rate * libm::exp2(f64::from(bits))).round();
    if spec.protocol.training_iterations > 0
        && !(1.0..=most * libm::exp2(f64::from(bits))).contains(&mantissa)
    {
        checker.error(
            "training.learning_rate",
            Code::Range,
            format!(
                "learning rate {} cannot be used under the protocol with {bits} fraction bits",
                spec.training.learning_rate
            ),
            &format!("allowed there: 2^-`protocol.learning_rate_bits` to {most}"),
        );
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 1..=2^31")]
    let mantissa = mantissa.clamp(1.0, libm::exp2(31.0)) as u32;
    Rate { mantissa, bits }
}

fn split(
    spec: &Spec,
    entry: Option<&dataset::Entry>,
    (activation, listed): (Nonlinearity, Option<&[LayerSpec]>),
    checker: &mut Checker<'_>,
) -> Option<split::Settings> {
    ranges(&spec.protocol, checker);
    integer_inputs(spec, checker);
    let entry = entry?;
    let layers = match listed {
        None => split::Shape::dense_layers(&widths(spec, entry)),
        Some(listed) => split_layers(spec, entry, listed, checker)?,
    };
    let protocol = &spec.protocol;
    let settings = split_settings(spec, activation, layers, protocol.training_iterations, checker);
    if let Some(limit) = protocol.session_limit {
        checker.within("protocol.session_limit", limit, &(2..=settings.smallest_fan_in().max(2)));
    }
    let bound = settings.session_bound();
    if settings.clients > 1 && settings.training_iterations < settings.clients.saturating_mul(bound) {
        checker.error(
            "protocol.clients",
            Code::Range,
            format!(
                "{} training iterations in sessions of up to {bound} may leave some of {} clients without a turn",
                settings.training_iterations, settings.clients
            ),
            &format!(
                "allowed there: 1 client, or {} iterations and more",
                settings.clients.saturating_mul(bound)
            ),
        );
    }
    if settings.sessions(&Stream::seeded(0)).is_none() {
        checker.error(
            "protocol.training_iterations",
            Code::Range,
            format!(
                "{} training iterations cannot be cut into sessions of 2 to {bound} (the smallest fan-in)",
                protocol.training_iterations
            ),
            "a single iteration would show its gradient to the server, more than the smallest fan-in the model to the \
             client; allowed: 0, or 2 and more (even numbers only where sessions last 2)",
        );
        return None;
    }
    Some(settings)
}

/// The protocol of `[protocol]` on some layers, with so many training iterations.
pub(super) fn split_settings(
    spec: &Spec,
    activation: Nonlinearity,
    layers: Vec<split::Shape>,
    training_iterations: usize,
    checker: &mut Checker<'_>,
) -> split::Settings {
    let protocol = &spec.protocol;
    if let Some(slots) = protocol.slots {
        checker.within("protocol.slots", slots, &(1..=4096));
    }
    split::Settings {
        layers,
        activation,
        loss: spec.network.loss,
        batch: protocol.batch,
        training_iterations,
        rate: rate(spec, 1.0, checker),
        masks: protocol.masks,
        mask_security_bits: protocol.mask_security_bits,
        clients: protocol.clients.max(1),
        session_limit: protocol.session_limit,
        activation_bits: protocol.activation_bits,
        gradient_bits: protocol.gradient_bits,
        weight_magnitude_bits: protocol.weight_magnitude_bits,
        activation_magnitude_bits: protocol.activation_magnitude_bits,
        packing: None,
        step_packing: None,
        precompute: spec.scheme.precompute,
    }
}

/// The linear layers of a network that is no plain `mlp`.
fn split_layers(
    spec: &Spec,
    entry: &dataset::Entry,
    listed: &[LayerSpec],
    checker: &mut Checker<'_>,
) -> Option<Vec<split::Shape>> {
    let shape = input_shape(entry, spec.data.feature_limit);
    let network = Network::<f64>::hollow(shape, listed, spec.network.loss, MOST_WEIGHTS).ok();
    let steps = network.as_ref().and_then(Network::steps).unwrap_or_default();
    // The client puts what it has opened through the activation once, and reads the last layer's sums.
    let in_turns =
        steps.iter().enumerate().all(|(at, step)| matches!(step, Step::Linear(_)) == (at % 2 == 0));
    if steps.len().is_multiple_of(2) || !in_turns {
        checker.error(
            "network.architecture",
            Code::Incompatible,
            format!(
                "protocol `split` cannot evaluate this network, or it has more than {MOST_WEIGHTS} weights"
            ),
            "allowed: dense layers, convolutions, mean pooling, batch normalisation, with activations between them",
        );
        return None;
    }
    let layers = steps.iter().filter_map(|step| match step {
        Step::Linear(layer) => Some(split::Shape::of(layer)),
        Step::Activation(_) => None,
    });
    if spec.protocol.training_iterations == 0 {
        return Some(layers.collect());
    }
    let Some(sharings) = network.as_ref().and_then(Network::sharings) else {
        checker.error(
            "protocol.training_iterations",
            Code::Incompatible,
            "protocol `split` cannot train this network".to_owned(),
            "set it to 0, or use dense layers with biases, convolutions, and means of 4 or 16 values",
        );
        return None;
    };
    Some(layers.zip(sharings).map(|(layer, sharing)| layer.sharing(sharing)).collect())
}

/// Whether the circuit has room for what is not scaled.
fn integer_inputs(spec: &Spec, checker: &mut Checker<'_>) {
    let bits = spec.protocol.activation_magnitude_bits;
    if spec.data.scaling == dataset::Scaling::Integer && bits < 8 {
        checker.error(
            "protocol.activation_magnitude_bits",
            Code::Range,
            format!("`data.scaling = \"integer\"` gives inputs up to 255, the circuit allows 2^{bits}"),
            "raise it to 8, or choose another scaling",
        );
    }
}

pub(super) fn ranges(protocol: &ProtocolSpec, checker: &mut Checker<'_>) {
    checker.within("protocol.batch", protocol.batch, &(1..=32_768));
    checker.within("protocol.training_iterations", protocol.training_iterations, &(0..=1_000_000));
    checker.within("protocol.clients", protocol.clients, &(1..=64));
    if protocol.name != Some(ProtocolName::Split) {
        let kept = [("clients", protocol.clients == 1), ("session_limit", protocol.session_limit.is_none())];
        for (key, _) in kept.into_iter().filter(|(_, is_default)| !is_default) {
            checker.error(
                &format!("protocol.{key}"),
                Code::Incompatible,
                format!(
                    "`protocol.{key}` is one of protocol `split`: there are sessions of training there alone"
                ),
                "leave it out",
            );
        }
    }
    checker.within("protocol.mask_security_bits", protocol.mask_security_bits, &(40..=128));
    checker.within("protocol.activation_bits", protocol.activation_bits, &(1..=40));
    checker.within("protocol.gradient_bits", protocol.gradient_bits, &(1..=40));
    checker.within("protocol.learning_rate_bits", protocol.learning_rate_bits, &(1..=31));
    checker.within("protocol.weight_bits", protocol.weight_bits, &(1..=40));
    checker.within("protocol.coefficient_bits", protocol.coefficient_bits, &(0..=40));
    checker.within("protocol.norm_bits", protocol.norm_bits, &(0..=32));
    checker.within("protocol.weight_magnitude_bits", protocol.weight_magnitude_bits, &(0..=32));
    checker.within("protocol.activation_magnitude_bits", protocol.activation_magnitude_bits, &(0..=32));
}
