//! Changes of images that leave their class as it is.

use super::{real::Real, shape::Shape};
use crate::math::stream::Stream;
use ndarray::{Array2, ArrayView2};
use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What may be done to an image, drawn anew for every image in every epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Augmentation {
    /// Mirrors left and right, half of the time.
    pub flip: bool,
    /// Most pixels that an image is shifted by, down or up and right or left; what comes in is zero.
    pub shift: usize,
    /// Rows and columns of a square that is set to zero at a random place, cut at the edges; 0 for none.
    pub cutout: usize,
}

/// One image's change.
struct Change {
    flip: bool,
    /// Of the place that is read against the place that is written.
    down: isize,
    right: isize,
    /// Rows and columns that are set to zero.
    hole: [std::ops::Range<usize>; 2],
}

impl Augmentation {
    fn draw(self, shape: Shape, stream: &Stream) -> Change {
        let mut rng = stream.rng();
        let most = i32::try_from(self.shift).unwrap_or(i32::MAX);
        let flip = self.flip && rng.random::<bool>();
        let mut shift = || rng.random_range(-most..=most) as isize;
        let (down, right) = (shift(), shift());
        let mut hole = |length: usize| {
            let centre = (rng.random::<u32>() as usize) % length.max(1);
            let start = centre.saturating_sub(self.cutout / 2);
            start..if self.cutout == 0 { start } else { length.min(centre + self.cutout.div_ceil(2)) }
        };
        Change { flip, down, right, hole: [hole(shape.height), hole(shape.width)] }
    }
}

/// The samples of a batch as channels x (samples x positions), each changed by a draw from its own child of `stream`.
pub(super) fn batch<T: Real>(
    features: ArrayView2<T>,
    batch: &[usize],
    shape: Shape,
    augmentation: Augmentation,
    stream: &Stream,
) -> Array2<T> {
    let positions = shape.positions();
    let mut values = Array2::zeros((shape.channels, batch.len() * positions));
    for (place, &sample) in batch.iter().enumerate() {
        let change = augmentation.draw(shape, &stream.item(sample as u64));
        let row = features.row(sample);
        for (channel, mut to) in values.rows_mut().into_iter().enumerate() {
            let Some(to) = to.as_slice_mut() else { continue };
            let to = &mut to[place * positions..(place + 1) * positions];
            for (y, to) in to.chunks_exact_mut(shape.width).enumerate() {
                let Some(from_y) = y.checked_add_signed(change.down).filter(|y| *y < shape.height) else {
                    continue;
                };
                let hole = if change.hole[0].contains(&y) { change.hole[1].clone() } else { 0..0 };
                for (x, to) in to.iter_mut().enumerate() {
                    let from_x = if change.flip { shape.width - 1 - x } else { x };
                    let from_x = from_x.checked_add_signed(change.right).filter(|x| *x < shape.width);
                    if let Some(from_x) = from_x.filter(|_| !hole.contains(&x)) {
                        *to = row[channel * positions + from_y * shape.width + from_x];
                    }
                }
            }
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_mirrored_shifted_and_cut_but_never_mixed() {
        let shape = Shape::image(2, 4, 5);
        let features = Array2::from_shape_fn((3, 40), |(sample, at)| 1.0 + (sample * 40 + at) as f64);
        let augmentation = Augmentation { flip: true, shift: 1, cutout: 2 };
        let stream = Stream::seeded(1);
        let mut seen = [false; 3];
        for epoch in 0..40 {
            let found = batch(features.view(), &[2, 0], shape, augmentation, &stream.item(epoch));
            assert_eq!(found.dim(), (2, 40));
            for ((channel, at), value) in found.indexed_iter() {
                let sample = if at < 20 { 2 } else { 0 };
                let low = (sample * 40 + channel * 20) as f64;
                assert!(*value == 0.0 || (*value > low && *value <= low + 20.0));
            }
            let first: Vec<f64> =
                found.row(0).iter().take(20).copied().filter(|value| *value > 0.0).collect();
            seen[0] |= first.windows(2).any(|pair| pair[1] < pair[0]);
            seen[1] |= first.windows(2).all(|pair| pair[1] > pair[0]);
            seen[2] |= first.len() < 12;
        }
        assert_eq!(seen, [true; 3]);
        let none = batch(features.view(), &[1], shape, Augmentation::default(), &stream);
        assert_eq!(none, features.row(1).to_shape((2, 20)).unwrap());
    }
}
