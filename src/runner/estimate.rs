//! What a cell will take, before it runs: operations, traffic, memory.

use crate::backend::slots::Work;
use crate::backend::{BackendError, OperationCounts, Variant};
use crate::dataset;
use crate::experiment::plan::{Settings, System};
use crate::math::stream::Stream;
use crate::network::Step;
use crate::protocol::non_interactive::parameters::Lattice;
use crate::protocol::transcript::Traffic;
use crate::protocol::{ProtocolError, non_interactive, refresh, split};
use crate::runner::RunError;
use crate::scheme::additive::AdditiveScheme;
use crate::scheme::registry::{Parameters, Visitor};

/// What a protocol takes.
#[derive(Debug, Clone)]
pub enum Forecast {
    /// The split protocol, in closed form.
    Split(split::Forecast),
    /// A server that computes alone: the circuit, run over nothing.
    NonInteractive(non_interactive::Forecast),
    /// A server whose ciphertexts the client refreshes: the same.
    Refresh(Box<refresh::Forecast>),
}

impl Forecast {
    /// What goes over the channel.
    pub fn traffic(&self) -> Traffic {
        match self {
            Self::Split(forecast) => forecast.traffic,
            Self::NonInteractive(forecast) => forecast.traffic,
            Self::Refresh(forecast) => forecast.total.traffic,
        }
    }

    /// Operations of both parties.
    pub fn operations(&self) -> OperationCounts {
        match self {
            Self::Split(forecast) => forecast.operations(),
            Self::NonInteractive(forecast) => forecast.operations,
            Self::Refresh(forecast) => forecast.total.operations,
        }
    }

    /// Bytes of the keys that a server over rings is given.
    pub fn key_bytes(&self) -> usize {
        match self {
            Self::Split(_) => 0,
            Self::NonInteractive(forecast) => forecast.key_bytes,
            Self::Refresh(forecast) => forecast.key_bytes,
        }
    }

    /// Operations on ciphertexts over rings, by level; none under other schemes.
    pub fn work(&self) -> Option<&Work> {
        match self {
            Self::Split(_) => None,
            Self::NonInteractive(forecast) => Some(&forecast.work),
            Self::Refresh(forecast) => Some(&forecast.total.work),
        }
    }
}

/// What the protocol will take at a cell, before anything is loaded, and how many samples; nothing where there is no protocol, or none of which
/// everything is known.
pub fn forecast_ahead(settings: &Settings, repetition: usize) -> Result<(Option<Forecast>, usize), RunError> {
    let entry = dataset::catalogue()?.get(&settings.data.name)?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of the rows")]
    let held_out = (entry.rows() as f64 * settings.data.test_fraction).round() as usize;
    let samples = entry.test_rows().unwrap_or(held_out).min(settings.data.test_limit.unwrap_or(usize::MAX));
    let sessions = Stream::seeded(settings.seed).item(repetition as u64).derive("sessions");
    Ok((forecast(settings, samples, &sessions)?, samples))
}

/// Bytes of a public key and of a ciphertext.
struct Sizes;

impl Visitor for Sizes {
    type Output = (usize, usize);

    fn visit<S: AdditiveScheme + Clone>(self, scheme: S) -> (usize, usize) {
        (scheme.public_key_bytes(), scheme.ciphertext_bytes())
    }
}

/// What the protocol will take for so many samples; nothing where there is no protocol, or none of which everything is known.
pub(super) fn forecast(
    settings: &Settings,
    samples: usize,
    sessions: &Stream,
) -> Result<Option<Forecast>, RunError> {
    Ok(match &settings.system {
        System::Split { scheme, protocol } => {
            // The plan has checked that sessions exist and that the modulus size is allowed.
            let sessions = protocol.sessions(sessions).unwrap_or_default();
            let sizes = scheme.visit(Sizes).unwrap_or_default();
            Some(Forecast::Split(protocol.forecast(samples, &sessions, sizes.0, sizes.1)))
        }
        System::NonInteractive { scheme, protocol } => {
            let forecast = scheme.forecast(protocol, samples);
            let forecast = forecast.map_err(|error| ProtocolError::from(BackendError::from(error)))?;
            Some(Forecast::NonInteractive(forecast))
        }
        System::Refresh { scheme, protocol } => {
            let forecast = scheme.forecast(protocol, samples).map_err(ProtocolError::from)?;
            Some(Forecast::Refresh(Box::new(forecast)))
        }
        System::Pending { .. } | System::Local(_) => None,
    })
}

/// Bytes of the program itself.
const PROGRAM: usize = 32 << 20;

/// Bytes that a cell is expected to hold at once: the data set three times over (as read, split, scaled), and what its protocol holds.
pub fn memory(settings: &Settings, entry: &dataset::Entry, variant: Variant) -> usize {
    PROGRAM.saturating_add(working_memory(settings, entry, variant))
}

/// Bytes that a server is expected to hold for a cell, the program itself left out.
pub(super) fn session_memory(settings: &Settings, entry: &dataset::Entry, variant: Variant) -> usize {
    // Threads, their stacks, buffers, and the experiment.
    const SESSION: usize = 4 << 20;
    // The network before and after training, its gradients and what an optimiser keeps, and the same as numbers of the protocol.
    const WEIGHT: usize = 6 * size_of::<f64>() + 64;
    let weights: usize = match &settings.system {
        System::Split { protocol, .. } => {
            protocol.layers.iter().map(|layer| layer.terms + layer.outputs).sum()
        }
        System::NonInteractive { protocol, .. } => {
            let hollow = protocol.hollow();
            let linear = hollow.iter().map(|step| match step {
                Step::Linear(layer) => layer.terms() + layer.rows.len(),
                Step::Activation(_) => 0,
            });
            linear.sum()
        }
        System::Refresh { protocol, .. } => {
            protocol.widths.windows(2).map(|pair| pair[0].saturating_mul(pair[1])).sum()
        }
        System::Pending { .. } | System::Local(_) => 0,
    };
    let working = working_memory(settings, entry, variant);
    SESSION.saturating_add(weights.saturating_mul(WEIGHT)).saturating_add(working)
}

/// Bytes of the longest message that a client has to send at a cell.
pub(super) fn longest_message(settings: &Settings, forecast: &Forecast, variant: Variant) -> usize {
    // What the harness says to the protocol's messages.
    const LEAST: usize = 1 << 16;
    let longest = match (forecast, &settings.system) {
        (Forecast::NonInteractive(forecast), _) => forecast.longest_message,
        (Forecast::Refresh(forecast), _) => forecast.total.longest_message,
        (Forecast::Split(_), System::Split { scheme, protocol }) => {
            let (key, ciphertext) = scheme.visit(Sizes).unwrap_or_default();
            let widest = protocol.layers.iter().map(|layer| layer.inputs.max(layer.outputs)).max();
            let gradients = match protocol.training_iterations {
                0 => 0,
                _ if variant == Variant::Plain => protocol.parameters(),
                _ => protocol.gradient_ciphertexts(),
            };
            let numbers = protocol.batch.saturating_mul(widest.unwrap_or(0)).max(gradients);
            let bytes = if variant == Variant::Plain { size_of::<f64>() } else { ciphertext };
            key.saturating_add(numbers.saturating_mul(bytes))
        }
        (Forecast::Split(_), _) => 0,
    };
    // Numbers in the clear may be longer than those of very small parameters.
    let factor = if variant == Variant::Plain { 2 } else { 1 };
    longest.saturating_mul(factor).saturating_add(LEAST)
}

fn working_memory(settings: &Settings, entry: &dataset::Entry, variant: Variant) -> usize {
    let data = 3 * entry.rows() * entry.columns() * size_of::<f64>();
    let protocol = match &settings.system {
        System::Split { scheme, protocol } => split_memory(scheme, protocol, variant),
        System::NonInteractive { scheme, protocol } => {
            let words = match variant {
                Variant::Plain => 1,
                Variant::Simulated => 4,
                // Two polynomials, and a third while products are made.
                Variant::Encrypted => 3 * scheme.modulus_bits.len(),
            };
            let instances = scheme.plaintext_moduli.len().max(1);
            let ciphertext = (size_of::<u64>() << scheme.log_degree) * words * instances;
            // Every layer holds its inputs and outputs, and the powers that a polynomial takes on every thread.
            let width = |step: &Step| match step {
                Step::Linear(layer) => layer.inputs.max(layer.rows.len()),
                Step::Activation(_) => 0,
            };
            let widest = protocol.hollow().iter().map(width).max().unwrap_or(0);
            let powers = protocol.activation.degree() * rayon::current_num_threads();
            let primes = scheme.modulus_bits.len() + scheme.special_bits.len();
            let digits = scheme.modulus_bits.len().div_ceil(scheme.special_bits.len().max(1));
            let keys = (size_of::<u64>() << scheme.log_degree) * 2 * digits * primes * instances;
            // The client's keys, as bytes and as the server reads them.
            let keys = if variant == Variant::Plain { 0 } else { 3 * keys };
            ciphertext * (3 * widest + powers) + keys
        }
        System::Refresh { scheme, protocol } => refresh_memory(&scheme.scheme, protocol, variant),
        // Nothing is known of parameters yet, or there are none.
        System::Pending { .. } | System::Local(_) => 0,
    };
    data.saturating_add(protocol)
}

/// All weights, the longest message on its way, and what a step makes.
fn refresh_memory(scheme: &Lattice, protocol: &refresh::Settings, variant: Variant) -> usize {
    let slots = size_of::<u64>() << scheme.log_degree;
    let instances = scheme.plaintext_moduli.len().max(1);
    let words = match variant {
        Variant::Plain => 1,
        Variant::Simulated => 4,
        Variant::Encrypted => 2 * scheme.modulus_bits.len() * instances,
    };
    let row = 1 << (scheme.log_degree - 1);
    let layout = refresh::Layout::new(row, row, protocol.log_period(), protocol.packing);
    let (all, widest) = protocol.weight_ciphertexts(layout);
    let ciphertext = slots * words;
    // Gradients, their sums, what is sent, what comes back, as numbers and as bytes.
    let step = 6 * (widest * ciphertext).min(1 << 28);
    // Neurons of all layers: what goes forward waits for the way back, and is lowered there.
    let neurons = 2 * protocol.widths.iter().sum::<usize>();
    ciphertext * (all + neurons) + step
}

/// One batch of the widest layer as ciphertexts, on the way in and out, as numbers and as bytes.
fn split_memory(scheme: &Parameters, protocol: &split::Settings, variant: Variant) -> usize {
    let widest = protocol.layers.iter().map(|layer| layer.inputs.max(layer.outputs)).max().unwrap_or(0);
    let batch = protocol.batch * widest;
    let gradients: usize = match protocol.training_iterations {
        0 => 0,
        _ if variant == Variant::Plain => protocol.parameters(),
        _ => protocol.gradient_ciphertexts(),
    };
    let number = match variant {
        Variant::Plain => size_of::<f64>(),
        Variant::Simulated | Variant::Encrypted => scheme.visit(Sizes).unwrap_or_default().1,
    };
    // The table of [1/η]'s powers: 64 for every six bits of a mask.
    let table = match protocol.masks {
        _ if gradients == 0 || variant != Variant::Encrypted => 0,
        split::Masks::Exact => 64 * scheme.plaintext_bits().div_ceil(6),
        split::Masks::Statistical | split::Masks::None => {
            let alone = u64::from(protocol.mask_bits(protocol.sum_scale()));
            64 * protocol.packed_mask_bits().unwrap_or(alone).div_ceil(6)
        }
    };
    number * (6 * batch.max(gradients) + usize::try_from(table).unwrap_or(usize::MAX / number.max(1)))
}
