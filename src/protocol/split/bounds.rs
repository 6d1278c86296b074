//! How long sessions last, and what the plaintext spaces must hold so that nothing wraps that may not.

use rand::Rng;

use crate::backend::Operation;
use crate::math::stream::Stream;
use crate::protocol::ProtocolError;
use crate::protocol::split::{Masks, Settings, Shape, StepPacking};
use crate::scheme::encoding::Scale;
use crate::scheme::packing::Packing;

/// ⌈log2 n⌉.
fn log2(n: usize) -> u32 {
    n.max(1).next_power_of_two().trailing_zeros()
}

impl Settings {
    /// Encryptions by the client, and re-randomisations by the server, that classifying so many samples takes.
    pub fn inference_masks(&self, samples: usize) -> (usize, usize) {
        let counts = self.forecast(samples, &[], 0, 0).inference;
        let count = |operation| usize::try_from(counts.get(operation)).unwrap_or(usize::MAX);
        (count(Operation::Encryption), count(Operation::Rerandomisation))
    }

    /// The smallest fan-in of a layer: the longest session that leaves every neuron with at least one unknown to a client that knows
    /// the learning rate.
    ///
    /// A neuron has fan-in + 1 unknowns, and the rate where it is not known is one more; an iteration opens one equation in them. So
    /// fan-in + 2 iterations give everything away to a client that does not know the rate (`experiments/gelu_net/session_bound.toml`
    /// does it), fan-in + 1 to one that does; the paper's m + 2 counts neurons where it should count inputs.
    ///
    /// Layers that share their weights do not count: one iteration opens equations enough for a convolution, and a mean has nothing to hide.
    pub fn smallest_fan_in(&self) -> usize {
        let own = self.layers.iter().filter(|layer| layer.sharing.is_none());
        own.map(|layer| layer.shortest).min().unwrap_or(0)
    }

    /// The longest session (`d_max`): the smallest fan-in, or less where less is asked for.
    pub fn session_bound(&self) -> usize {
        self.smallest_fan_in().min(self.session_limit.unwrap_or(usize::MAX))
    }

    /// How the server packs its answers in training, if it does: sums under exact masks are as long as the modulus, and two of them
    /// do not fit into a plaintext.
    pub fn training_packing(&self) -> Option<Packing> {
        self.packing.filter(|_| self.masks != Masks::Exact)
    }

    /// How gradients are packed into a server's plaintexts of so many bits: not under exact masks, of which each fills a plaintext.
    ///
    /// A step is below `2^(its mask's bits + 1)`, and the sum of a session's gradients far below that.
    pub fn step_packing_for(&self, plaintext_bits: u64) -> Option<StepPacking> {
        let packing = |scale: Scale| Packing::new(u64::from(self.mask_bits(scale)) + 1, plaintext_bits);
        let is_packed = self.training_iterations > 0 && self.masks != Masks::Exact;
        is_packed
            .then(|| StepPacking { weights: packing(self.weight_scale()), biases: packing(self.sum_scale()) })
    }

    /// Bits of a plaintext of packed masks, where they are packed.
    pub fn packed_mask_bits(&self) -> Option<u64> {
        self.step_packing.map(|packing| packing.weights.bits().max(packing.biases.bits()))
    }

    /// Bits that the client's plaintext modulus `N_c` must have so that no value of the circuit wraps, masks included.
    ///
    /// A masked weight is below `2^(fw + B) + d (2^(fw + B) + 2^(fw + B + σ)) < 2^(fw + B + σ + ⌈log2 d⌉ + 1)`; a sum has
    /// fan-in products of it with an activation below `2^(fa + A)`, and a bias, where a weight that is a sum of parameters counts as so
    /// many; the fan-in is that of the longest row, or on the way back of the longest column. Two more bits hold the sign and the unused middle third. Where nothing is
    /// trained, weights are below `2^(fw + B)` and nothing is masked. Sums under exact masks wrap all the time: there it is the sum
    /// without the mask that must fit, `|z| < N_c / 3`.
    pub fn required_bits(&self) -> u64 {
        self.magnitude_bits() + 2
    }

    /// Bits of the greatest magnitude that the client opens and that may not wrap.
    pub fn magnitude_bits(&self) -> u64 {
        let weight = match self.masks {
            _ if self.training_iterations == 0 => self.weight_scale().0 + self.weight_magnitude_bits,
            Masks::Exact => self.trained_bits(self.weight_scale()),
            Masks::Statistical | Masks::None => {
                self.mask_bits(self.weight_scale()) + log2(self.session_bound().max(2)) + 1
            }
        };
        self.sum_bits(weight)
    }

    /// Bits of the greatest magnitude that is left in training when masks are out of what the client has opened.
    pub fn unmasked_bits(&self) -> u64 {
        self.sum_bits(self.trained_bits(self.weight_scale()))
    }

    /// Bits of a sum of products of weights of so many bits.
    fn sum_bits(&self, weight: u32) -> u64 {
        let summands = self.layers.iter().map(Shape::summands).max().unwrap_or(1);
        let back = self.layers.iter().map(Shape::summands_back).max().unwrap_or(1);
        let summands = if self.training_iterations == 0 { summands } else { summands.max(back + 1) };
        let sum = weight + self.activation_bits + self.activation_magnitude_bits + log2(summands);
        u64::from(sum) + 1
    }

    /// Bits of a weight or bias (at `scale`) within a session, masks apart: below `2^B` at its start, and moved by less than that in
    /// each of d iterations, as learning rates are 1 at most.
    fn trained_bits(&self, scale: Scale) -> u32 {
        scale.0 + self.weight_magnitude_bits + log2(self.session_bound().max(2)) + 1
    }

    /// Bits that the server's plaintext modulus `N_s` must have.
    ///
    /// Statistical masks: a step `ηΔ + r`, of which the server takes the representative of least magnitude, is below
    /// `2^(fw + fa + B + σ + 1)`, and has a sign.
    ///
    /// Exact masks: the client takes the lift of a masked weight w - r to be `w - r + N_s`, which is wrong if the uniform residue lies
    /// within `|w|` of a multiple of `N_s`: with a probability below `2 |w| / N_s` for each masked number of each update. All of them
    /// together stay below 2^-σ if `N_s` has as many bits as this says. (A wrap that happens all the same is found: what the client
    /// opens is then far beyond [`Settings::unmasked_bits`].)
    pub fn required_server_bits(&self) -> u64 {
        let bias = self.sum_scale();
        let bits = match self.masks {
            _ if self.training_iterations == 0 => 0,
            Masks::Statistical | Masks::None => self.mask_bits(bias) + 2,
            Masks::Exact => {
                self.trained_bits(bias) + 2 + log2(self.masked_numbers()) + self.mask_security_bits
            }
        };
        u64::from(bits)
    }

    /// Masked numbers of a whole training, at most.
    pub fn masked_numbers(&self) -> usize {
        self.parameters().saturating_mul(self.training_iterations)
    }

    /// Whether the parties' plaintext spaces, of so many bits, hold the circuit; none where a space has no end.
    ///
    /// # Errors
    /// [`ProtocolError::Room`].
    pub(super) fn check_room(&self, client: Option<u64>, server: Option<u64>) -> Result<(), ProtocolError> {
        let spaces =
            [("client's", client, self.required_bits()), ("server's", server, self.required_server_bits())];
        for (whose, bits, min) in spaces {
            if let Some(bits) = bits.filter(|bits| *bits < min) {
                return Err(ProtocolError::Room { whose, bits, min });
            }
        }
        Ok(())
    }

    /// The length of the next session when `left` iterations are left: uniform in 2 ..= bound, but never so that a single
    /// iteration stays over for a last session. `None` when that cannot be had.
    pub fn next_session(&self, left: usize, randomness: &Stream) -> Option<usize> {
        let bound = self.session_bound();
        if left < 2 || bound < 2 {
            return None;
        }
        let allowed: Vec<usize> = (2..=bound.min(left)).filter(|length| left - length != 1).collect();
        let allowed: Vec<usize> = if bound == 2 && left % 2 == 1 { Vec::new() } else { allowed };
        let index = randomness.rng().random_range(0..allowed.len().max(1));
        allowed.get(index).copied()
    }

    /// All sessions of a training run.
    pub fn sessions(&self, randomness: &Stream) -> Option<Vec<usize>> {
        let mut left = self.training_iterations;
        let mut sessions = Vec::new();
        while left > 0 {
            let next = self.next_session(left, &randomness.item(left as u64))?;
            sessions.push(next);
            left -= next;
        }
        Some(sessions)
    }
}
