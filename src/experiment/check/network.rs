//! The rules of `[network]`.

use super::Checker;
use crate::{
    dataset,
    experiment::{
        diagnostic::Code,
        plan::input_shape,
        spec::{Architecture, Spec},
    },
    math::stream::Stream,
    network::{LayerSpec, Network, Nonlinearity, PoolKind, architecture},
};

/// Most neurons of a layer.
const MAX_WIDTH: usize = 100_000;
/// Most hidden layers.
const MAX_LAYERS: usize = 64;

/// Most weights of a fully connected network: whoever reads a stranger's file must not run out of memory over it.
const MAX_WEIGHTS: usize = 100_000_000;

/// What a network is made of.
pub(super) enum Layers {
    /// Dense layers, which their widths describe.
    Dense,
    /// Any others.
    Listed(Vec<LayerSpec>),
}

impl Layers {
    /// The layers where they are listed.
    pub(super) fn listed(&self) -> Option<&[LayerSpec]> {
        match self {
            Self::Dense => None,
            Self::Listed(layers) => Some(layers),
        }
    }
}

/// The layers of a network; nothing where they do not fit the data.
pub(super) fn layers(
    spec: &Spec,
    entry: Option<&dataset::Entry>,
    checker: &mut Checker<'_>,
) -> Option<Layers> {
    let network = &spec.network;
    let kind = network.architecture;
    checker.within("network.hidden", network.hidden.len(), &(0..=MAX_LAYERS));
    for (index, &width) in network.hidden.iter().enumerate() {
        checker.within(&format!("network.hidden.{index}"), width, &(1..=MAX_WIDTH));
    }
    let given = [
        ("network.hidden", !network.hidden.is_empty(), Architecture::Mlp, "mlp"),
        ("network.normalised", network.normalised.is_some(), Architecture::CryptoDl, "crypto_dl"),
        ("network.width", network.width.is_some(), Architecture::Resnet, "resnet"),
        ("network.pooling", network.pooling.is_some(), Architecture::Resnet, "resnet"),
    ];
    let given = given.into_iter().chain([("network.bias", network.bias.is_some(), Architecture::Mlp, "mlp")]);
    for (path, is_given, of, name) in given {
        if is_given && kind != of {
            checker.error(
                path,
                Code::Incompatible,
                format!("`{path}` belongs to architecture `{name}`"),
                "leave the key out, or choose that architecture",
            );
        }
    }
    let width = network.width.unwrap_or(16);
    checker.within("network.width", width, &(1..=512));
    if let (Architecture::Mlp, Some(entry)) = (kind, entry) {
        let inputs = spec.data.feature_limit.unwrap_or_else(|| entry.columns());
        let widths: Vec<usize> =
            [inputs].into_iter().chain(network.hidden.iter().copied()).chain([entry.classes()]).collect();
        let products = widths.windows(2).map(|pair| pair[0].saturating_mul(pair[1]));
        let weights = products.fold(0, usize::saturating_add);
        if weights > MAX_WEIGHTS {
            checker.error(
                "network.hidden",
                Code::Range,
                format!("the network has {weights} weights; allowed: {MAX_WEIGHTS}"),
                "lower the widths",
            );
            return None;
        }
    }
    if kind == Architecture::Mlp && network.bias != Some(false) {
        return Some(Layers::Dense);
    }
    let entry = entry?;
    let (function, classes) = (Nonlinearity::from(network.activation), entry.classes());
    let layers = match kind {
        Architecture::Mlp => architecture::unbiased_mlp(&network.hidden, &function, classes),
        Architecture::Conv1 => architecture::conv_1(&function, classes),
        Architecture::Lenet5 => architecture::lenet_5(&function, classes),
        Architecture::CryptoNets => architecture::cryptonets(&function, classes),
        Architecture::CryptoDl => {
            architecture::crypto_dl(&function, classes, network.normalised.unwrap_or(false))
        }
        Architecture::Deep => architecture::deep(&function, classes),
        Architecture::CifarSmall => architecture::cifar_small(&function, classes),
        Architecture::Resnet => {
            architecture::resnet(&function, classes, width, network.pooling.unwrap_or(PoolKind::Mean))
        }
    };
    let built = Network::<f32>::build(
        input_shape(entry, spec.data.feature_limit),
        &layers,
        classes,
        network.loss,
        &Stream::seeded(0),
    );
    if let Err(error) = built {
        checker.error(
            "network.architecture",
            Code::Incompatible,
            format!("{} does not fit the architecture: {error}", entry.name()),
            "choose a set of pictures of another size, or another architecture",
        );
        return None;
    }
    Some(Layers::Listed(layers))
}
