//! The rules of `[cost]`.

use super::{Checker, approximation, protocol, scheme};
use crate::{
    backend::Variant,
    experiment::{
        diagnostic::Code,
        plan::{Cost, Priced},
        spec::{CostOf, Spec},
    },
    network::{LayerSpec, Nonlinearity, Shape},
    protocol::{
        non_interactive::{self, parameters::Lattice},
        split,
    },
    scheme::{
        paillier::Options,
        registry::{AdditiveName, Kind, LatticeName, Parameters},
    },
};

/// Numbers of neurons that a layer may have.
const WIDTHS: std::ops::RangeInclusive<usize> = 2..=4096;
/// Numbers of layers, inputs included: without a hidden one there is nothing to send back.
const LAYERS: std::ops::RangeInclusive<usize> = 3..=16;
/// Most weights of a network that is trained for two iterations: minutes on numbers in the clear.
const MOST_WEIGHTS: usize = 1_000_000;
/// Numbers that a formula may be given.
const FACTORS: std::ops::RangeInclusive<usize> = 1..=10_000;
/// Iterations of a session: the fewest that do not show a single gradient.
const ITERATIONS: usize = 2;

/// Checks what is priced.
pub(super) fn cost(spec: &Spec, checker: &mut Checker<'_>) -> Option<Cost> {
    match spec.cost.of {
        CostOf::Activation => activation(spec, checker),
        CostOf::Network => network(spec, checker),
    }
}

fn priced(spec: &Spec, of: Priced, (security_bits, marked): (u32, bool)) -> Cost {
    Cost { of, security_bits, marked, seed: spec.run.seed, rng: spec.run.rng }
}

fn activation(spec: &Spec, checker: &mut Checker<'_>) -> Option<Cost> {
    if spec.run.variants != [Variant::Encrypted] {
        checker.error(
            "run.variants",
            Code::Incompatible,
            "times of an activation are those of the variant `encrypted`".to_owned(),
            "use [\"encrypted\"]",
        );
    }
    let filling = spec.cost.filling;
    let chosen = approximation::chosen(spec, checker);
    let name = scheme::name(spec, checker)?;
    scheme::measures(spec, name, checker);
    match name.kind() {
        Kind::Lattice(name) => {
            let chosen = chosen?;
            let (scheme, protocol, security, marked) = polynomial(spec, name, &chosen, checker)?;
            Some(priced(spec, Priced::Polynomial { scheme, protocol, filling }, (security, marked)))
        }
        Kind::Additive(name) => {
            let found = scheme::additive(spec, name, checker);
            if spec.protocol.link.is_none() {
                checker.missing("protocol.link", "allowed: local_local, cloud_cloud, cloud_local");
            }
            let (mut scheme, security, marked) = found?;
            let (activation, link) = (chosen?.nonlinearity, spec.protocol.link?);
            // Values that come and go have the bits of a layer's sums, where the scheme searches for them.
            let sums = protocol::split_settings(spec, activation.clone(), Vec::new(), 0, checker);
            bound(&mut scheme, &sums, checker)?;
            Some(priced(spec, Priced::Outsourced { scheme, activation, link, filling }, (security, marked)))
        }
    }
}

/// A network that is an activation and nothing else, and the smallest parameters that evaluate it.
fn polynomial(
    spec: &Spec,
    name: LatticeName,
    chosen: &approximation::Chosen,
    checker: &mut Checker<'_>,
) -> Option<(Lattice, non_interactive::Settings, u32, bool)> {
    protocol::ranges(&spec.protocol, checker);
    let polynomial = chosen.nonlinearity.polynomial().filter(|_| !chosen.is_pending());
    let Some(activation) = polynomial else {
        checker.error(
            "network.activation",
            Code::Incompatible,
            format!("scheme `{name}` evaluates polynomials that are known before any data are"),
            "use activation `square`, or add `[approximation]` with a `method` and an interval of two numbers",
        );
        return None;
    };
    let asked = &spec.protocol;
    let protocol = non_interactive::Settings {
        input: Shape::features(1),
        layers: vec![LayerSpec::Activation { function: Nonlinearity::Polynomial(activation.clone()) }],
        classes: 1,
        activation,
        loss: spec.network.loss,
        input_bits: asked.activation_bits,
        input_magnitude_bits: asked.activation_magnitude_bits,
        weight_bits: asked.weight_bits,
        coefficient_bits: asked.coefficient_bits,
        norm_bits: asked.norm_bits,
        measured: None,
        message_bytes: non_interactive::MESSAGE_BYTES,
    };
    let (scheme, security, marked) = scheme::lattice(spec, name, &protocol, checker)?;
    Some((scheme, protocol, security, marked))
}

fn network(spec: &Spec, checker: &mut Checker<'_>) -> Option<Cost> {
    let before = checker.found.len();
    let cost = &spec.cost;
    protocol::ranges(&spec.protocol, checker);
    checker.within("cost.products", cost.products, &FACTORS);
    checker.within("cost.pieces", cost.pieces, &FACTORS);
    if cost.widths.is_empty() {
        checker.missing("cost.widths", "neurons of every layer, for example `[4, 5, 3]`");
    } else if !LAYERS.contains(&cost.widths.len()) {
        let allowed = format!("allowed: {} to {}", LAYERS.start(), LAYERS.end());
        let message = format!("`cost.widths` has {} layers, inputs included", cost.widths.len());
        checker.error("cost.widths", Code::Range, message, &allowed);
    }
    for (index, &width) in cost.widths.iter().enumerate() {
        checker.within(&format!("cost.widths.{index}"), width, &WIDTHS);
    }
    let weights = cost.widths.windows(2).map(|pair| pair[0].saturating_mul(pair[1]));
    let weights = weights.fold(0_usize, usize::saturating_add);
    if weights > MOST_WEIGHTS {
        checker.error(
            "cost.widths",
            Code::Range,
            format!("a network of these widths has {weights} weights; allowed: {MOST_WEIGHTS}"),
            "lower the widths",
        );
    }
    let name = scheme::name(spec, checker)?;
    scheme::measures(spec, name, checker);
    let Kind::Additive(name @ (AdditiveName::Paillier | AdditiveName::Bgn | AdditiveName::ElGamal)) =
        name.kind()
    else {
        checker.error(
            "scheme.name",
            Code::Incompatible,
            format!("no formula for a network under `{name}` is known"),
            "allowed: paillier (GELU-Net), bgn (BGN-Net), el_gamal (ElGamal-Net)",
        );
        return None;
    };
    let (mut scheme, security, marked) = scheme::additive(spec, name, checker)?;
    if checker.has_errors_since(before) {
        return None;
    }
    let layers = split::Shape::dense_layers(&cost.widths);
    let activation: Nonlinearity = spec.network.activation.into();
    // What cannot hide the learning rate does not train: its units are those of a classification.
    let iterations = if name == AdditiveName::Paillier { ITERATIONS } else { 0 };
    let mut protocol = protocol::split_settings(spec, activation, layers, iterations, checker);
    scheme::plaintext_space(&mut scheme, &mut protocol, &spec.protocol, checker);
    let options = if name == AdditiveName::Paillier { scheme.options } else { Options::default() };
    let paillier = Parameters {
        name: AdditiveName::Paillier,
        modulus_bits: spec.scheme.modulus_bits,
        message_bits: None,
        options,
    };
    let (widths, products, pieces) = (cost.widths.clone(), cost.products, cost.pieces);
    let of = Priced::Network { scheme, paillier, widths, products, pieces, protocol };
    (!checker.has_errors_since(before)).then(|| priced(spec, of, (security, marked)))
}

/// Bits of the messages that a scheme with a search has to find: those of sums of one term.
fn bound(scheme: &mut Parameters, protocol: &split::Settings, checker: &mut Checker<'_>) -> Option<()> {
    let Some(most) = scheme.name.max_message_bits() else { return Some(()) };
    let needed = protocol.magnitude_bits();
    scheme.message_bits = u32::try_from(needed).ok().filter(|bits| *bits <= most);
    if scheme.message_bits.is_none() {
        checker.error(
            "scheme.name",
            Code::Overflow,
            format!(
                "values have {needed} bits, and scheme `{}` finds messages of at most {most}",
                scheme.name
            ),
            "lower `activation_bits`, `gradient_bits`, `learning_rate_bits` and the magnitudes in [protocol]",
        );
    }
    scheme.message_bits.map(|_| ())
}
