//! The order of a session's messages: forward through all layers, back through all but the first, then the gradients of all.
//!
//! What a client may ask within a session is what the bound on its length is about, so the server keeps to it: each layer answers
//! once an iteration, for one sample. Gradients that came between the errors would be the paper's order, in which lower layers see
//! weights that are already updated (Algorithm 2 as printed).

use crate::protocol::ProtocolError;
use crate::protocol::message::{Kind, Message};
use crate::protocol::split::layer::unexpected;

/// Where a session has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turn {
    /// Linear layers of the network.
    layers: usize,
    /// Iterations of the session.
    length: usize,
    /// Iterations that are over.
    done: usize,
    /// Messages of this iteration that have come.
    step: usize,
}

impl Turn {
    /// The start of a session.
    pub(super) fn new(layers: usize, length: usize) -> Self {
        Self { layers, length, done: 0, step: 0 }
    }

    /// What must come next, and of which layer.
    fn due(&self) -> (Kind, usize) {
        let (forward, all) = (self.layers, 2 * self.layers - 1);
        match self.step {
            step if step < forward => (Kind::Activations, step),
            step if step < all => (Kind::Errors, all - step),
            _ if self.done + 1 < self.length => (Kind::MaskedGradients, 0),
            _ => (Kind::SummedGradients, 0),
        }
    }

    /// Takes a message, if it is the one that is due.
    pub(super) fn take(&mut self, message: &Message) -> Result<(), ProtocolError> {
        let (expected, layer) = self.due();
        let found_layer = message.layer as usize;
        if message.kind != expected || found_layer != layer {
            return Err(ProtocolError::OutOfOrder {
                found: message.kind,
                found_layer,
                expected,
                expected_layer: layer,
            });
        }
        if matches!(expected, Kind::Activations | Kind::Errors) && message.count != 1 {
            return Err(unexpected(&format!("{} samples", message.count), "one sample an iteration"));
        }
        self.step += 1;
        if self.step == 2 * self.layers {
            (self.step, self.done) = (0, self.done + 1);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_goes_forward_back_and_then_updates() {
        let due = [
            (Kind::Activations, 0),
            (Kind::Activations, 1),
            (Kind::Activations, 2),
            (Kind::Errors, 2),
            (Kind::Errors, 1),
        ];
        let mut turn = Turn::new(3, 3);
        for last in [Kind::MaskedGradients, Kind::MaskedGradients, Kind::SummedGradients] {
            for (kind, layer) in due.into_iter().chain([(last, 0)]) {
                let message = |kind, layer: usize, count| Message {
                    kind,
                    layer: u32::try_from(layer).unwrap(),
                    count,
                    body: vec![].into(),
                };
                let before = turn;
                for wrong in [Kind::Activations, Kind::Errors, Kind::MaskedGradients, Kind::SummedGradients] {
                    if wrong != kind {
                        let refused = turn.take(&message(wrong, layer, 1)).unwrap_err();
                        assert!(matches!(
                            refused,
                            ProtocolError::OutOfOrder { found, expected, .. } if (found, expected) == (wrong, kind)
                        ));
                    }
                }
                assert!(turn.take(&message(kind, layer + 1, 1)).is_err());
                if layer + 1 < due.len() && kind != last {
                    assert!(
                        turn.take(&message(kind, layer, 2)).is_err(),
                        "a session's equations are counted"
                    );
                }
                assert_eq!(turn, before, "what was refused has moved the session on");
                turn.take(&message(kind, layer, 1)).unwrap();
            }
        }
    }
}
