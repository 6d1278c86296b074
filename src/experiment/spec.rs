//! An experiment file as it is written: plain serde types, unknown keys refused, nothing checked yet.
//!
//! [`experiment::plan`](crate::experiment::plan) turns a [`Spec`] into checked settings. The JSON schema that editors
//! complete experiment files with is made from these types (`henn schema`).

mod approximation;
mod cost;
mod training;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::approximation::{ApproximationSpec, IntervalRule, IntervalSpec, Stage};
pub use self::cost::{CostOf, CostSpec, Filling};
pub use self::training::{OptimiserName, ScheduleName, TrainingSpec};
use crate::backend::Variant;
use crate::dataset::Scaling;
use crate::math::ring::Arithmetic;
use crate::network::{Activation, Loss, PoolKind};
use crate::protocol::link::Place;
use crate::protocol::refresh::Policy;
use crate::protocol::split::Masks;
use crate::scheme::paillier::Randomisation;
pub use crate::scheme::registry::SchemeName;

/// One experiment: what to compute, at which points, and how to show it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// Version of the file format; this is version 1.
    pub schema: u32,
    /// One line that says what the table or chart shows.
    #[serde(default)]
    pub title: String,
    /// Key of the paper, for example `gelu_net`; its published values are compared.
    pub paper: Option<String>,
    /// The paper's artifact, for example `table_3`.
    pub artifact: Option<String>,
    /// The data set and what is done to it.
    #[serde(default)]
    pub data: DataSpec,
    /// The network.
    #[serde(default)]
    pub network: NetworkSpec,
    /// The polynomial that stands for the activation once the network is trained.
    #[serde(default)]
    pub approximation: ApproximationSpec,
    /// Training in plaintext, before anything is encrypted.
    #[serde(default)]
    pub training: TrainingSpec,
    /// The cryptosystem.
    #[serde(default)]
    pub scheme: SchemeSpec,
    /// Who computes what, and what is sent.
    #[serde(default)]
    pub protocol: ProtocolSpec,
    /// Where the task is an attack: which.
    #[serde(default)]
    pub attack: AttackSpec,
    /// Where the task is a cost: of what.
    #[serde(default)]
    pub cost: CostSpec,
    /// Variants, repetitions, seed.
    #[serde(default)]
    pub run: RunSpec,
    /// Points to run together: each is a set of dotted keys laid over the file.
    #[serde(default, rename = "case")]
    pub cases: Vec<Overrides>,
    /// Points of the grid that are left out: those that have all the values of one of these.
    #[serde(default, rename = "exclude")]
    pub excluded: Vec<Overrides>,
    /// A grid of points: each dotted key with the list of its values.
    #[serde(default)]
    pub sweep: BTreeMap<String, Vec<serde_json::Value>>,
    /// The table.
    pub table: Option<TableSpec>,
    /// The chart.
    pub figure: Option<FigureSpec>,
    /// What the paper claims, as relations that hold or not.
    #[serde(default, rename = "claim")]
    pub claims: Vec<ClaimSpec>,
    /// `quick` and `paper`: dotted keys laid over the file for that scale.
    #[serde(default)]
    pub profile: BTreeMap<ProfileName, Overrides>,
}

/// Dotted keys with the values that they take.
pub type Overrides = BTreeMap<String, serde_json::Value>;

/// The two scales of an experiment.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
pub enum ProfileName {
    /// Minutes: fewer repetitions or samples.
    Quick,
    /// The scale of the paper.
    Paper,
}

impl ProfileName {
    /// As written in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Paper => "paper",
        }
    }
}

/// `[data]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DataSpec {
    /// Name in the manifest, see `henn datasets list`.
    pub name: Option<String>,
    /// Share of the samples that is held out, above 0 and below 1. A published split wins over it.
    pub test_fraction: f64,
    /// How features are scaled; fitted on the training part.
    pub scaling: Scaling,
    /// Of the training part, in its seeded order, only this share is used; above 0, at most 1.
    pub train_share: f64,
    /// At most this many training samples.
    pub train_limit: Option<usize>,
    /// Only so many features, evenly spread over those that there are.
    pub feature_limit: Option<usize>,
    /// At most this many test samples go through the protocol, in every variant alike.
    pub test_limit: Option<usize>,
}

impl Default for DataSpec {
    fn default() -> Self {
        Self {
            name: None,
            test_fraction: 0.2,
            scaling: Scaling::default(),
            train_share: 1.0,
            train_limit: None,
            feature_limit: None,
            test_limit: None,
        }
    }
}

/// Kinds of network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// Fully connected layers.
    #[default]
    Mlp,
    /// One convolution, mean pooling, output (GELU-Net).
    #[serde(rename = "conv_1")]
    Conv1,
    /// Two convolutions with mean pooling, three dense layers.
    #[serde(rename = "lenet_5")]
    Lenet5,
    /// The network of CryptoNets.
    #[serde(rename = "cryptonets")]
    CryptoNets,
    /// Two convolutions and two dense layers with mean pooling (CryptoDL).
    #[serde(rename = "crypto_dl")]
    CryptoDl,
    /// Four convolutions with batch normalisation, mean pooling and two dense layers, for small pictures.
    Deep,
    /// Six convolutions with batch normalisation and mean pooling, for coloured pictures of 32 x 32.
    CifarSmall,
    /// A residual network of nine layers for coloured pictures of 32 x 32.
    Resnet,
}

/// The numbers that a network is trained in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 64 bits: the same bytes on every machine.
    #[default]
    Double,
    /// 32 bits: several times faster, the same bytes on one machine.
    Single,
}

/// `[network]`
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkSpec {
    /// Kind of network.
    pub architecture: Architecture,
    /// Neurons of each hidden layer of an `mlp`.
    pub hidden: Vec<usize>,
    /// Activation of the hidden layers.
    pub activation: Activation,
    /// `cross_entropy` (softmax output) or `squared` (linear output).
    pub loss: Loss,
    /// The numbers of the training; absent: `double` for an `mlp`, `single` for the others.
    pub precision: Option<Precision>,
    /// Of an `mlp`: whether its layers have biases; default yes. Protocol `refresh` has none.
    pub bias: Option<bool>,
    /// Of `crypto_dl`: whether batch normalisation comes before every activation; default no.
    pub normalised: Option<bool>,
    /// Of `resnet`: channels of the first layer; default 16.
    pub width: Option<usize>,
    /// Of `resnet`: `mean` (default) or `max` pooling.
    pub pooling: Option<PoolKind>,
}

/// What security is asked for: 128 bits, or `"paper"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SecuritySpec {
    /// At least so many bits by the tables that henn judges with; 128 or more.
    Bits(u32),
    /// Whatever the paper used; every row and chart then carries the mark and the estimate.
    Marked(PaperMark),
}

/// The word `"paper"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaperMark {
    /// The paper's own parameters.
    Paper,
}

/// `[scheme]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SchemeSpec {
    /// The cryptosystem.
    pub name: Option<SchemeName>,
    /// Bits of the modulus: of N = pq for Paillier, of n = p^2 q for Okamoto-Uchiyama. The others have fixed groups.
    pub modulus_bits: u64,
    /// log2 of the ring degree N of BGV, BFV and CKKS, 12 to 16; absent: the smallest that is secure.
    pub log_degree: Option<u32>,
    /// Security asked for.
    pub security: SecuritySpec,
    /// What computes modulo N: `vector` (default) or `num_bigint`. Paillier and Okamoto-Uchiyama only.
    pub arithmetic: Option<Arithmetic>,
    /// Where Paillier's masks come from: `textbook` (default, r^N) or `short_exponent` (Damgard, Jurik, Nielsen).
    pub randomisation: Option<Randomisation>,
    /// Whether Paillier decrypts modulo p^2 and q^2; default yes.
    pub crt_decryption: Option<bool>,
    /// Whether Paillier's key owner encrypts modulo p^2 and q^2; default yes.
    pub crt_encryption: Option<bool>,
    /// Whether Paillier's dot products are multi-exponentiations instead of one exponentiation a term; default yes.
    pub multi_exponentiation: Option<bool>,
    /// Whether encryptions of zero are made in advance, when keys are exchanged, and used up online.
    pub precompute: bool,
}

impl Default for SchemeSpec {
    fn default() -> Self {
        Self {
            name: None,
            modulus_bits: 3072,
            log_degree: None,
            security: SecuritySpec::Bits(128),
            arithmetic: None,
            randomisation: None,
            crt_decryption: None,
            crt_encryption: None,
            multi_exponentiation: None,
            precompute: false,
        }
    }
}

/// Protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProtocolName {
    /// GELU-Net: linear layers on the server, activations at the client.
    Split,
    /// The client refreshes ciphertexts whose noise has run out (needs products of ciphertexts).
    Refresh,
    /// The server computes alone (needs products of ciphertexts).
    NonInteractive,
}

/// Where bounds on weights come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Norms {
    /// The experiment file.
    #[default]
    Promised,
    /// The trained network.
    Measured,
}

/// `[protocol]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProtocolSpec {
    /// The protocol.
    pub name: Option<ProtocolName>,
    /// Samples that travel together; under `refresh` also those of a training iteration.
    pub batch: usize,
    /// Training iterations under the protocol, from freshly initialised weights; 0 for none. One sample each under `split`, a batch under
    /// `refresh`.
    pub training_iterations: usize,
    /// How gradients are hidden from the server.
    pub masks: Masks,
    /// Statistical security of the masks in bits, 40 to 128; of exact masks, how rarely (2 to minus this) a training meets one that
    /// wraps and ends.
    pub mask_security_bits: u32,
    /// Of `split`: clients that take turns in training, 1 to 64, a session each; the training samples are divided among them.
    pub clients: usize,
    /// Of `split`: most iterations of a session, from 2 to the smallest fan-in of a layer; absent: that fan-in.
    pub session_limit: Option<usize>,
    /// Fraction bits of activations and errors; of inputs where the server computes alone (CKKS: of all its numbers).
    pub activation_bits: u32,
    /// Fraction bits of gradients.
    pub gradient_bits: u32,
    /// Fraction bits of the learning rate under the protocol.
    pub learning_rate_bits: u32,
    /// No weight, bias or step of one may exceed 2 to this power.
    pub weight_magnitude_bits: u32,
    /// No input or activation may exceed 2 to this power.
    pub activation_magnitude_bits: u32,
    /// Fraction bits of weights where the server computes alone on integers.
    pub weight_bits: u32,
    /// Fraction bits of the activation polynomial's coefficients there.
    pub coefficient_bits: u32,
    /// Where the server computes alone: the magnitudes of a neuron's weights and bias sum to no more than 2 to this power.
    pub norm_bits: u32,
    /// Where the server computes alone: whether that is `promised` (default), or `measured` on the trained network layer by layer, with
    /// activations of degree 2 as squares. Parameters are then found after the training.
    pub norms: Norms,
    /// Whether the numbers of an answer, and of gradients that no exact masks hide, are packed into as few plaintexts as hold them (`split`), or
    /// as many weights share a ciphertext as its slots hold batches (`refresh`).
    pub packing: bool,
    /// Of `split` with `packing`: most numbers of an answer in one plaintext; absent: as many as fit. Fewer take less time to pack and more decryptions.
    pub slots: Option<usize>,
    /// Of `refresh`: where ciphertexts are refreshed. `lazy` (default): as seldom as the parameters allow; `paper_5`, `paper_10`, `paper_20`: as
    /// often as CryptoDL counts at these levels.
    pub policy: Policy,
    /// Of `refresh`: primes of the ciphertexts' modulus; absent: as many as the policy takes, or under `lazy` as make refreshes fewest.
    pub levels: Option<usize>,
    /// The link that counted rounds and bytes of a classification are timed on, for `seconds_on_link`: `local_local`, `cloud_cloud` or
    /// `cloud_local`. Absent: none.
    pub link: Option<Place>,
}

impl Default for ProtocolSpec {
    fn default() -> Self {
        Self {
            name: None,
            batch: 16,
            training_iterations: 0,
            masks: Masks::default(),
            mask_security_bits: 40,
            clients: 1,
            session_limit: None,
            activation_bits: 16,
            gradient_bits: 16,
            learning_rate_bits: 12,
            weight_magnitude_bits: 8,
            activation_magnitude_bits: 6,
            weight_bits: 8,
            coefficient_bits: 8,
            norm_bits: 5,
            norms: Norms::default(),
            packing: false,
            slots: None,
            policy: Policy::default(),
            levels: None,
            link: None,
        }
    }
}

/// Where the randomness of keys, encryptions and masks comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Randomness {
    /// The run's public seed: reproducible, and so without any protection.
    #[default]
    Seeded,
    /// The operating system.
    Os,
}

/// What the cells of an experiment are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskName {
    /// A network is trained in plaintext, and classifies by the protocol.
    #[default]
    Inference,
    /// A polynomial is fitted to an activation function; there is neither network nor data set.
    Approximation,
    /// A data set is read and described.
    Data,
    /// A party computes from what it sees what it should not know.
    Attack,
    /// What one activation or one iteration of training costs, by formulas and measured units.
    Cost,
}

/// What an attack starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttackOn {
    /// The server rebuilds test samples from the first layer's activations in the clear.
    #[default]
    Activations,
    /// The server rebuilds training samples from the gradients that it opens under protocol `split`.
    Gradients,
    /// The client solves for the first layer's weights from the sums that it opens under protocol `split`.
    Sums,
}

/// `[attack]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AttackSpec {
    /// What it starts from: `activations`, `gradients` or `sums`.
    pub on: AttackOn,
    /// So many pictures of the first repetition are kept for charts.
    pub shown: usize,
}

impl Default for AttackSpec {
    fn default() -> Self {
        Self { on: AttackOn::default(), shown: 6 }
    }
}

/// `[run]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RunSpec {
    /// `inference` (default), `approximation`, `data`, `attack` or `cost`.
    pub task: TaskName,
    /// A name for this point, for tables and charts; decides nothing.
    pub label: String,
    /// Variants to run.
    pub variants: Vec<Variant>,
    /// How often each cell is repeated, with other splits, weights and keys.
    pub repetitions: usize,
    /// Root of all randomness.
    pub seed: u64,
    /// Where keys come from.
    pub rng: Randomness,
}

impl Default for RunSpec {
    fn default() -> Self {
        Self {
            task: TaskName::default(),
            label: String::new(),
            variants: Variant::ALL.to_vec(),
            repetitions: 1,
            seed: 1,
            rng: Randomness::default(),
        }
    }
}

/// `[table]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableSpec {
    /// One row a value of this: `variant` or a key of the sweep or cases.
    pub rows: String,
    /// One group of columns a value of these; none: one column a cell expression.
    #[serde(default)]
    pub columns: Vec<String>,
    /// What stands in the cells: a metric or count, optionally followed by `± std`.
    pub cell: OneOrMany,
}

/// `[figure]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FigureSpec {
    /// Bars, lines, points or images.
    pub kind: FigureKind,
    /// The key on the x axis: `variant` or a key of the sweep or cases. Of points: a metric or count. Of lines also `epoch`, with
    /// `training.curve`: one line a repetition.
    #[serde(default)]
    pub x: String,
    /// The metric or count on the y axis; of several each is a series of its own, and over epochs a chart of its own.
    #[serde(default)]
    pub y: OneOrMany,
    /// One series a value of this.
    pub series: Option<String>,
    /// One chart a value of this, side by side.
    pub panels: Option<String>,
    /// Label of the x axis, with its unit.
    #[serde(default)]
    pub x_label: String,
    /// Label of the y axis, with its unit.
    #[serde(default)]
    pub y_label: String,
    /// Range of the y axis.
    pub y_range: Option<[f64; 2]>,
    /// Logarithmic y axis.
    #[serde(default)]
    pub y_logarithmic: bool,
    /// Logarithmic x axis, where it is one of numbers.
    #[serde(default)]
    pub x_logarithmic: bool,
    /// Over epochs: the y axes of single metrics, where they differ from what is said above.
    #[serde(default)]
    pub axes: BTreeMap<String, AxisSpec>,
}

/// The y axis of one metric.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AxisSpec {
    /// Its label, with its unit.
    pub label: String,
    /// Its range; values beyond lie on its edge.
    pub range: Option<[f64; 2]>,
    /// Whether it is logarithmic.
    #[serde(default)]
    pub logarithmic: bool,
}

/// Kinds of chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FigureKind {
    /// Grouped bars.
    Bar,
    /// Lines with markers.
    Line,
    /// A point a value of every key, one metric against another.
    Scatter,
    /// Pictures of an attack: a row of originals, and below it one of what was rebuilt for every point, named by `series`.
    Images,
}

/// A string or a list of strings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMany {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl Default for OneOrMany {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl OneOrMany {
    /// As a list.
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// `[[claim]]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClaimSpec {
    /// The claim in words.
    pub text: String,
    /// The same as a relation between `variant.metric` terms, for every point and repetition; with `across`, between `label.metric` terms.
    pub holds: String,
    /// A key whose values are compared with one another, by their means over repetitions: terms name these values, spaces written as `_`.
    pub across: Option<String>,
    /// With `across`: the keys that what is compared has in common; default: the table's rows.
    #[serde(default)]
    pub at: Vec<String>,
}
