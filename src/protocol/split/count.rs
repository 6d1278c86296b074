//! The paper's count of what an iteration of training sends, as printed and as it is.
//!
//! GELU-Net (IJCAI-18, section 4) counts *messages*, each of one number: `2m(n - 1)` forward, where `n` layers have `m` neurons each, and on the
//! way back `m` for the errors and `m² + m` for the gradients of every inner layer, and one for `1/η`. The errors are in truth `m` up and
//! `m` down. As printed the last layer's gradients are not sent at all, so that the server trains with a stale last layer; this
//! protocol sends them. With layers of `d_0, ..., d_(n-1)` neurons the numbers are
//!
//! * forward `Σ_(i<n-1) d_i` up and `Σ_(i≥1) d_i` down,
//! * errors `Σ_(1≤i≤n-2) d_(i+1)` up and `Σ_(1≤i≤n-2) d_i` down,
//! * gradients `Σ_(1≤i≤n-1) (d_(i-1) d_i + d_i)` up, of which the paper leaves out `i = n - 1`.
//!
//! A number is a ciphertext, but with packing: then answers share ciphertexts, message by message, and so do gradients, those of weights and those
//! of biases, layer by layer.

use crate::protocol::split::StepPacking;
use crate::scheme::packing::Packing;

/// Ciphertexts of one iteration, by what they are for; both directions together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Iteration {
    /// Activations up, sums down.
    pub forward: u64,
    /// Errors up, products with them down.
    pub errors: u64,
    /// Gradients of all layers, the last included: up.
    pub gradients: u64,
}

impl Iteration {
    /// The closed forms for layers of so many neurons, inputs and outputs included.
    pub fn of(widths: &[usize], packing: Option<Packing>, steps: Option<StepPacking>) -> Self {
        let down = |numbers: usize| packing.map_or(numbers, |packing| packing.plaintexts(numbers));
        let pairs = || widths.windows(2).map(|pair| (pair[0], pair[1]));
        let sum = |numbers: &mut dyn Iterator<Item = usize>| numbers.map(|number| number as u64).sum();
        Self {
            forward: sum(&mut pairs().map(|(before, after)| before + down(after))),
            errors: sum(&mut pairs().skip(1).map(|(before, after)| after + down(before))),
            gradients: sum(&mut pairs().map(|(before, after)| match steps {
                Some(steps) => steps.weights.plaintexts(before * after) + steps.biases.plaintexts(after),
                None => before * after + after,
            })),
        }
    }

    /// All of them, and the one that brings `1/η`.
    pub fn total(self) -> u64 {
        self.forward + self.errors + self.gradients + 1
    }
}

/// The paper's own total for `n` layers of `m` neurons, with errors in both directions: `2m(n - 1) + (n - 2)(m² + 3m) + 1`.
pub fn printed(layers: usize, width: usize) -> u64 {
    let (n, m) = (layers as u64, width as u64);
    2 * m * n.saturating_sub(1) + n.saturating_sub(2) * (m * m + 3 * m) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_those_of_a_calculation_by_hand() {
        let iris = Iteration::of(&[4, 5, 3], None, None);
        assert_eq!(iris, Iteration { forward: 17, errors: 8, gradients: 25 + 18 });
        let mnist = Iteration::of(&[784, 300, 10], None, None);
        assert_eq!(mnist, Iteration { forward: 1394, errors: 310, gradients: 235_500 + 3010 });
        // Two numbers share a ciphertext down: 4 and 3 up forward and 3 and 2 down, 3 up with 3 down for errors.
        let two = Packing { slot_bits: 48, slots: 2 };
        let packed = Iteration::of(&[4, 5, 3], Some(two), None);
        assert_eq!(packed, Iteration { forward: 4 + 3 + 5 + 2, errors: 3 + 3, gradients: 43 });
        // 20 and 15 weights by sevens, 5 and 3 biases by twos.
        let steps = StepPacking { weights: Packing { slot_bits: 12, slots: 7 }, biases: two };
        let gradients = Iteration::of(&[4, 5, 3], Some(two), Some(steps)).gradients;
        assert_eq!(gradients, 3 + 3 + 3 + 2);
    }

    /// Where all layers are equally wide the paper's total is ours less the last layer's gradients.
    #[test]
    fn the_printed_total_leaves_out_the_last_layer() {
        for (layers, width) in [(3, 10), (4, 7), (5, 2)] {
            let widths = vec![width; layers];
            let last = (width * width + width) as u64;
            assert_eq!(Iteration::of(&widths, None, None).total(), printed(layers, width) + last);
        }
    }
}
