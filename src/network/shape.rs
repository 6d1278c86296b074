//! How the features of a sample lie.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The shape of one sample: images have rows and columns, plain features are channels of a single position.
///
/// Features are counted channel by channel, and within a channel row by row. A batch is a matrix of channels x
/// (samples x positions): every channel of all samples lies together, sample after sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Channels, or features.
    pub channels: usize,
    /// Rows of an image; 1 of plain features.
    pub height: usize,
    /// Columns of an image; 1 of plain features.
    pub width: usize,
}

impl Shape {
    /// Images.
    pub const fn image(channels: usize, height: usize, width: usize) -> Self {
        Self { channels, height, width }
    }

    /// Plain features.
    pub const fn features(count: usize) -> Self {
        Self { channels: count, height: 1, width: 1 }
    }

    /// Positions of a channel.
    pub const fn positions(self) -> usize {
        self.height.saturating_mul(self.width)
    }

    /// Features of a sample.
    pub const fn len(self) -> usize {
        self.channels.saturating_mul(self.positions())
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} x {} x {}", self.channels, self.height, self.width)
    }
}

/// A square window that moves over an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) size: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
}

impl Window {
    /// The shape of what it makes, with so many channels; `None` when it does not fit.
    pub(super) fn over(self, input: Shape, channels: usize) -> Option<Shape> {
        let along = |length: usize| {
            let padded = length.checked_add(self.padding.checked_mul(2)?)?;
            Some(padded.checked_sub(self.size)?.checked_div(self.stride)? + 1)
        };
        // Padding of a whole window would make outputs of nothing.
        let sound = self.size > 0 && self.padding < self.size && !input.is_empty();
        sound.then(|| Some(Shape { channels, height: along(input.height)?, width: along(input.width)? }))?
    }

    /// Of the outputs along one axis of `outputs`, those whose place `offset` of the window lies on the image of
    /// `length`: from the first to before the last.
    pub(super) fn inside(self, offset: usize, length: usize, outputs: usize) -> (usize, usize) {
        // output * stride + offset - padding is at least 0 and below length.
        let first = self.padding.saturating_sub(offset).div_ceil(self.stride);
        let end = (length + self.padding).saturating_sub(offset).div_ceil(self.stride);
        let end = end.min(outputs);
        (first.min(end), end)
    }
}
