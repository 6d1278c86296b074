//! What decides the result of a cell: task, data, network, training, cryptosystem and protocol.

use serde::Serialize;

use crate::approximation::{Polynomial, Request as Fit};
use crate::dataset::{self, Scaling};
use crate::experiment::spec::{AttackOn, Filling, IntervalRule, Precision, Randomness, Stage};
use crate::network::{
    Activation, LayerSpec, Loss, Network, Nonlinearity, Optimiser, Shape, Training, architecture,
};
use crate::protocol::link::Place;
use crate::protocol::non_interactive;
use crate::protocol::non_interactive::parameters::{self, Lattice, Refusal, Wish};
use crate::protocol::{refresh, split};
use crate::scheme::registry::Parameters;

/// What the cells of a point are.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Task {
    /// A network is trained, and classifies by a protocol.
    Inference(Box<Settings>),
    /// A polynomial is fitted.
    Approximation(Fit),
    /// A data set is described.
    Data {
        /// Its name in the manifest.
        describe: String,
    },
    /// A party computes what it should not know.
    Attack(Box<Attack>),
    /// Something is priced.
    Cost(Box<Cost>),
}

/// What is priced, under a cryptosystem.
#[derive(Debug, Clone, Serialize)]
pub struct Cost {
    /// What.
    pub of: Priced,
    /// Bits of security of the cryptosystem by the named table.
    pub security_bits: u32,
    /// Below what is required, and run all the same because the file says `security = "paper"`.
    pub marked: bool,
    /// Root of the randomness.
    pub seed: u64,
    /// Where keys come from.
    pub rng: Randomness,
}

/// What has a price.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Priced {
    /// A polynomial of ciphertexts in place of an activation.
    Polynomial {
        /// A scheme over a ring.
        scheme: Lattice,
        /// A network that is nothing but the activation.
        protocol: non_interactive::Settings,
        /// How many values at once.
        filling: Filling,
    },
    /// An activation that the client computes.
    Outsourced {
        /// An additive scheme.
        scheme: Parameters,
        /// What the client computes.
        activation: Nonlinearity,
        /// Where the two are.
        link: Place,
        /// How many values at once.
        filling: Filling,
    },
    /// An iteration of training, by the formula of the system whose scheme it is.
    Network {
        /// An additive scheme.
        scheme: Parameters,
        /// Paillier, whose unit others are compared with.
        paillier: Parameters,
        /// Neurons of every layer.
        widths: Vec<usize>,
        /// C.
        products: usize,
        /// Z.
        pieces: usize,
        /// The split protocol for one session on a network of these widths.
        protocol: split::Settings,
    },
}

/// An attack, and the network and protocol that it is on.
#[derive(Debug, Clone, Serialize)]
pub struct Attack {
    /// What it starts from.
    pub on: AttackOn,
    /// Pictures that are kept of the first repetition.
    pub shown: usize,
    /// The network and the protocol.
    pub settings: Settings,
}

impl Task {
    /// The data set that it takes, where it takes one.
    pub fn data(&self) -> Option<&str> {
        match self {
            Self::Inference(settings) => Some(&settings.data.name),
            Self::Approximation(_) | Self::Cost(_) => None,
            Self::Data { describe } => Some(describe),
            Self::Attack(attack) => Some(&attack.settings.data.name),
        }
    }

    /// Bits of security of what is encrypted, and whether they are below what is required; none where nothing is.
    pub fn security(&self) -> Option<(u32, bool)> {
        match self {
            Self::Inference(settings) => Some((settings.security_bits, settings.marked)),
            Self::Cost(cost) => Some((cost.security_bits, cost.marked)),
            Self::Approximation(_) | Self::Data { .. } | Self::Attack(_) => None,
        }
    }

    /// The settings of an inference.
    pub fn inference(&self) -> Option<&Settings> {
        match self {
            Self::Inference(settings) => Some(settings),
            Self::Approximation(_) | Self::Data { .. } | Self::Attack(_) | Self::Cost(_) => None,
        }
    }
}

/// Everything that decides the result of a cell of inference, apart from variant and repetition.
#[derive(Debug, Clone, Serialize)]
pub struct Settings {
    /// Data set.
    pub data: Data,
    /// Neurons of the hidden layers of a fully connected network.
    pub hidden: Vec<usize>,
    /// The layers of any other network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<Vec<LayerSpec>>,
    /// The numbers that it is trained in.
    #[serde(skip_serializing_if = "is_double")]
    pub precision: Precision,
    /// Activation of the hidden layers while training.
    pub activation: Activation,
    /// The polynomial in place of the activation, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approximation: Option<Approximation>,
    /// Training in plaintext.
    #[serde(serialize_with = "training_fields")]
    pub training: Training,
    /// Training with the polynomial after that with the activation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fine_tuning: Option<Training>,
    /// Whether the training is recorded epoch by epoch, until it diverges if it does.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub curve: bool,
    /// Bits of security of the cryptosystem by the named table.
    pub security_bits: u32,
    /// Below what is required, and run all the same because the file says `security = "paper"`.
    pub marked: bool,
    /// Cryptosystem and protocol.
    pub system: System,
    /// The link that counted messages are timed on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<Place>,
    /// Root of the randomness.
    pub seed: u64,
    /// Where keys come from.
    pub rng: Randomness,
}

/// The shape of a set's samples as networks see it, with all features or so many of them.
pub fn input_shape(entry: &dataset::Entry, feature_limit: Option<usize>) -> Shape {
    match entry.picture() {
        _ if feature_limit.is_some() => Shape::features(feature_limit.unwrap_or_default()),
        Some(picture) => Shape::image(picture.channels, picture.height, picture.width),
        None => Shape::features(entry.columns()),
    }
}

impl Settings {
    /// The layers of the network, with its activation.
    pub fn layer_specs(&self, classes: usize) -> Vec<LayerSpec> {
        self.layers
            .clone()
            .unwrap_or_else(|| architecture::mlp(&self.hidden, &self.activation.into(), classes))
    }
}

/// A polynomial in place of an activation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Approximation {
    /// How it is fitted; its interval stands for nothing where a rule gives it.
    pub request: Fit,
    /// The rule for its interval, where it depends on the data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
    /// When it takes the activation's place.
    pub stage: Stage,
}

/// A rule for the interval of a polynomial.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Rule {
    /// Which.
    pub rule: IntervalRule,
    /// Of what is measured, the share inside.
    pub coverage: f64,
}

fn training_fields<S: serde::Serializer>(training: &Training, serializer: S) -> Result<S::Ok, S::Error> {
    // Plain gradient descent is written as it always was: the content keys of its cells stay what they are.
    match training.optimiser {
        Optimiser::Sgd { learning_rate, momentum, .. }
            if *training
                == (Training {
                    epochs: training.epochs,
                    batch_size: training.batch_size,
                    optimiser: Optimiser::sgd(learning_rate, momentum),
                    ..Training::default()
                }) =>
        {
            (training.epochs, learning_rate, momentum, training.batch_size).serialize(serializer)
        }
        _ => training.serialize(serializer),
    }
}

/// The data set of a cell.
#[derive(Debug, Clone, Serialize)]
pub struct Data {
    /// Name in the manifest.
    pub name: String,
    /// Share held out.
    pub test_fraction: f64,
    /// Scaling of features.
    pub scaling: Scaling,
    /// Most test samples that go through the protocol.
    pub test_limit: Option<usize>,
    /// Share of the training part that is used.
    #[serde(skip_serializing_if = "is_all")]
    pub train_share: f64,
    /// Most training samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train_limit: Option<usize>,
    /// Only so many features.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feature_limit: Option<usize>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde asks for")]
fn is_double(precision: &Precision) -> bool {
    *precision == Precision::Double
}

#[expect(clippy::trivially_copy_pass_by_ref, clippy::float_cmp, reason = "what serde asks for; 1 is exact")]
fn is_all(share: &f64) -> bool {
    *share == 1.0
}

/// A protocol over a cryptosystem that can bear it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum System {
    /// Linear layers on the server, activations at the client.
    Split {
        /// An additive scheme.
        scheme: Parameters,
        /// The protocol.
        protocol: split::Settings,
    },
    /// The server computes alone.
    NonInteractive {
        /// A scheme over a ring.
        scheme: Lattice,
        /// The protocol.
        protocol: non_interactive::Settings,
    },
    /// The server computes, and the client refreshes what it sends back.
    Refresh {
        /// A scheme over a ring, and where the client is asked.
        scheme: refresh::parameters::Planned,
        /// The protocol.
        protocol: refresh::Settings,
    },
    /// The same as [`System::NonInteractive`] with a polynomial that depends on the data or bounds that depend on the training: parameters are found
    /// when they are known.
    Pending {
        /// What is asked of the parameters.
        wish: Wish,
        /// The protocol, but for what is not known yet.
        protocol: non_interactive::Settings,
    },
    /// No protocol: the network in plaintext.
    Local(Local),
}

/// A network that is used in plaintext only.
#[derive(Debug, Clone, Serialize)]
pub struct Local {
    /// What hidden layers are put through.
    pub activation: Nonlinearity,
    /// Output and error function.
    pub loss: Loss,
}

impl System {
    /// What hidden layers are put through.
    pub fn activation(&self) -> Nonlinearity {
        match self {
            Self::Split { protocol, .. } => protocol.activation.clone(),
            Self::NonInteractive { protocol, .. } | Self::Pending { protocol, .. } => {
                Nonlinearity::Polynomial(protocol.activation.clone())
            }
            Self::Refresh { protocol, .. } => Nonlinearity::Polynomial(protocol.activation.clone()),
            Self::Local(local) => local.activation.clone(),
        }
    }

    /// Output and error function.
    pub fn loss(&self) -> Loss {
        match self {
            Self::Split { protocol, .. } => protocol.loss,
            Self::NonInteractive { protocol, .. } | Self::Pending { protocol, .. } => protocol.loss,
            Self::Refresh { protocol, .. } => protocol.loss,
            Self::Local(local) => local.loss,
        }
    }

    /// Training iterations under the protocol.
    pub fn training_iterations(&self) -> usize {
        match self {
            Self::Split { protocol, .. } => protocol.training_iterations,
            Self::Refresh { protocol, .. } => protocol.iterations,
            Self::NonInteractive { .. } | Self::Pending { .. } | Self::Local(_) => 0,
        }
    }

    /// Whether the network that classifies is what the protocol has trained, and not what plaintext has.
    pub fn trains_model(&self) -> bool {
        matches!(self, Self::Refresh { protocol, .. } if protocol.iterations > 0)
    }

    /// The cryptosystem's name.
    pub fn scheme_name(&self) -> &'static str {
        match self {
            Self::Split { scheme, .. } => scheme.name.name(),
            Self::NonInteractive { scheme, .. } => scheme.name.name(),
            Self::Refresh { scheme, .. } => scheme.scheme.name.name(),
            Self::Pending { wish, .. } => wish.name.name(),
            Self::Local(_) => "none",
        }
    }

    /// The same with a polynomial in place of the activation.
    ///
    /// # Errors
    /// Where no parameters suffice for the circuit that it makes.
    pub fn with_polynomial(self, polynomial: &Polynomial) -> Result<Self, Refusal> {
        Ok(match self {
            Self::Split { scheme, mut protocol } => {
                protocol.activation = Nonlinearity::Polynomial(polynomial.clone());
                Self::Split { scheme, protocol }
            }
            Self::Pending { wish, mut protocol } => {
                protocol.activation = polynomial.clone();
                if protocol.measured.is_some() {
                    return Ok(Self::Pending { wish, protocol });
                }
                Self::NonInteractive { scheme: parameters::plan(&protocol, wish)?, protocol }
            }
            Self::Local(local) => {
                Self::Local(Local { activation: Nonlinearity::Polynomial(polynomial.clone()), ..local })
            }
            planned @ (Self::NonInteractive { .. } | Self::Refresh { .. }) => planned,
        })
    }

    /// The same with bounds that are measured on the trained network, where they are.
    ///
    /// # Errors
    /// Where no parameters suffice for the circuit.
    pub fn with_weights(self, trained: &Network) -> Result<Self, Refusal> {
        Ok(match self {
            Self::Pending { wish, protocol } if protocol.measured.is_some() => {
                let protocol = protocol.measured_on(trained);
                Self::NonInteractive { scheme: parameters::plan(&protocol, wish)?, protocol }
            }
            other => other,
        })
    }

    /// Where the security bits come from.
    pub fn security_source(&self) -> &'static str {
        match self {
            Self::Split { scheme, .. } => scheme.security_source(),
            Self::NonInteractive { .. } | Self::Refresh { .. } | Self::Pending { .. } => {
                "guidelines of 2024 for ternary secrets"
            }
            Self::Local(_) => "nothing is encrypted",
        }
    }
}
