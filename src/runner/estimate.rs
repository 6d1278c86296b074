//! What a cell will take, before it runs: operations, traffic, memory.

use crate::backend::Variant;
use crate::dataset;
use crate::experiment::plan::Settings;
use crate::math::stream::Stream;
use crate::protocol::split::Forecast;
use crate::runner::RunError;
use crate::scheme::additive::AdditiveScheme;
use crate::scheme::registry::Visitor;

/// What the protocol will take at a cell, before anything is loaded.
pub fn forecast_ahead(settings: &Settings, repetition: usize) -> Result<(Forecast, usize), RunError> {
    let entry = dataset::catalogue()?.get(&settings.data.name)?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of the rows")]
    let held_out = (entry.rows() as f64 * settings.data.test_fraction).round() as usize;
    let samples = entry.test_rows().unwrap_or(held_out).min(settings.data.test_limit.unwrap_or(usize::MAX));
    let sessions = Stream::seeded(settings.seed).item(repetition as u64).derive("sessions");
    Ok((forecast(settings, samples, &sessions), samples))
}

/// Bytes of a public key and of a ciphertext.
struct Sizes;

impl Visitor for Sizes {
    type Output = (usize, usize);

    fn visit<S: AdditiveScheme + Clone>(self, scheme: S) -> (usize, usize) {
        (scheme.public_key_bytes(), scheme.ciphertext_bytes())
    }
}

/// What the protocol will take for so many samples.
pub(super) fn forecast(settings: &Settings, samples: usize, sessions: &Stream) -> Forecast {
    // The plan has checked that sessions exist and that the modulus size is allowed.
    let sessions = settings.protocol.sessions(sessions).unwrap_or_default();
    let sizes = settings.scheme.parameters.visit(Sizes).unwrap_or_default();
    settings.protocol.forecast(samples, &sessions, sizes.0, sizes.1)
}

/// Bytes that a cell is expected to hold at once: the data set three times over (as read, split, scaled), and one batch
/// of the widest layer as ciphertexts, on the way in and out, as numbers and as bytes.
pub fn memory(settings: &Settings, entry: &dataset::Entry, variant: Variant) -> usize {
    const PROGRAM: usize = 32 << 20;
    let protocol = &settings.protocol;
    let data = 3 * entry.rows() * entry.columns() * size_of::<f64>();
    let widest = protocol.widths.iter().copied().max().unwrap_or(0);
    let batch = protocol.batch * widest;
    let gradients: usize = match protocol.training_iterations {
        0 => 0,
        _ => protocol.shapes().iter().map(|shape| shape.parameters()).sum(),
    };
    let number = match variant {
        Variant::Plain => size_of::<f64>(),
        Variant::Simulated | Variant::Encrypted => {
            settings.scheme.parameters.visit(Sizes).unwrap_or_default().1
        }
    };
    PROGRAM + data + 6 * number * batch.max(gradients)
}
