//! The arithmetic of one number: across the lanes of a vector unit, or in words.

use super::{Constants, across::Across, words::Words};
use crate::math::vector::{Task, Unit};

/// A step of arithmetic that is compiled once a unit: it is long, and needed in many places.
#[derive(Clone, Copy)]
pub(super) enum Step {
    /// The product of the operands, divided by R.
    Multiply,
    /// with the low half of the right factor
    MultiplyByLow,
    /// The square of the left operand likewise.
    Square,
    /// A number of 2n digits divided by R.
    Reduce,
}

/// The arithmetic of one number, which is given and taken in digits.
pub(super) trait Alone {
    /// Where an operand's digits go: low and high halves of the left, then of the right factor.
    fn operand(&mut self, operand: usize) -> &mut [u64];
    /// Where the 2n digits of a number go that is only divided by R.
    fn wide(&mut self) -> &mut [u64];
    /// Computes what [`result`](Self::result) then has.
    fn run(&mut self, step: Step);
    /// Makes the result the left operand.
    fn again(&mut self);
    /// The digits of the result: of its low or of its high half.
    fn result(&self, high: bool) -> &[u64];
}

/// Chooses between the ways to compute with one number.
pub(super) struct ChooseAlone<'c>(pub(super) &'c Constants);

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
impl Task for ChooseAlone<'_> {
    type Output = Box<dyn Alone>;

    #[inline(always)]
    fn run<U: Unit>(self, unit: U) -> Self::Output {
        if U::LANES == 1 { Box::new(Words::new(self.0)) } else { Box::new(Across::new(unit, self.0)) }
    }
}
