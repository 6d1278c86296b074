//! Vectors whose slots beyond a few are all alike.
//!
//! A batch seldom fills a ciphertext, and what a circuit does to a slot is done to every one: slots that nothing was put into stay equal to one
//! another, and are computed once for all of them. A rotation mixes them; after it every slot is kept.

use crate::math::pool::map;

/// As many slots as an engine has: the first ones, and what all others hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Vector<T> {
    pub(super) head: Vec<T>,
    pub(super) rest: T,
}

impl<T: Clone> Vector<T> {
    /// A slot; beyond the head they are alike.
    pub(super) fn get(&self, slot: usize) -> &T {
        self.head.get(slot).unwrap_or(&self.rest)
    }

    /// All slots.
    pub(super) fn all(&self, slots: usize) -> impl Iterator<Item = &T> {
        self.head.iter().chain(std::iter::repeat(&self.rest)).take(slots)
    }

    /// Every slot by a function that takes slots with the same contents to the same.
    pub(super) fn map<U>(&self, function: impl Fn(&T) -> U) -> Vector<U> {
        Vector { head: self.head.iter().map(&function).collect(), rest: function(&self.rest) }
    }

    /// Slots rotated to the left within rows.
    pub(super) fn rotated(&self, slots: usize, row: usize, steps: i64) -> Self {
        if self.head.is_empty() {
            return self.clone();
        }
        let by = usize::try_from(steps.rem_euclid(i64::try_from(row).unwrap_or(i64::MAX))).unwrap_or(0);
        let turned = |start: usize| (start + by..start + row).chain(start..start + by);
        let head = (0..slots).step_by(row).flat_map(turned).map(|slot| self.get(slot).clone()).collect();
        Self { head, rest: self.rest.clone() }
    }
}

impl<T: Send> Vector<T> {
    /// Slots by their number; those from `head` on are alike.
    pub(super) fn from_fn(head: usize, slot: impl Fn(usize) -> T + Sync) -> Self {
        Self { head: map(0..head, &slot), rest: slot(head) }
    }
}

/// The longest head.
pub(super) fn head<'v, T: 'v>(vectors: impl IntoIterator<Item = &'v Vector<T>>) -> usize {
    vectors.into_iter().map(|vector| vector.head.len()).max().unwrap_or(0)
}

/// A sum of vectors, term by term.
pub(super) struct Sum {
    /// Slots of the longest head, and one for all others.
    slots: Vec<f64>,
}

impl Sum {
    /// Of vectors with heads of so many slots at most.
    pub(super) fn of(head: usize) -> Self {
        Self { slots: vec![0.0; head + 1] }
    }

    pub(super) fn add(&mut self, vector: &Vector<f64>, term: impl Fn(f64) -> f64) {
        let (own, beyond) = self.slots.split_at_mut(vector.head.len());
        own.iter_mut().zip(&vector.head).for_each(|(sum, slot)| *sum += term(*slot));
        let rest = term(vector.rest);
        for sum in beyond {
            *sum += rest;
        }
    }

    pub(super) fn add_product(&mut self, left: &Vector<f64>, right: &Vector<f64>) {
        let (long, short) = if left.head.len() < right.head.len() { (right, left) } else { (left, right) };
        let (both, more) = long.head.split_at(short.head.len());
        let (own, beyond) = self.slots.split_at_mut(both.len());
        own.iter_mut().zip(both.iter().zip(&short.head)).for_each(|(sum, (a, b))| *sum += a * b);
        let (own, beyond) = beyond.split_at_mut(more.len());
        own.iter_mut().zip(more).for_each(|(sum, slot)| *sum += slot * short.rest);
        let rest = long.rest * short.rest;
        for sum in beyond {
            *sum += rest;
        }
    }

    pub(super) fn vector(mut self) -> Vector<f64> {
        let rest = self.slots.pop().unwrap_or_default();
        Vector { head: self.slots, rest }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SLOTS: usize = 16;

    fn vector() -> impl Strategy<Value = Vector<f64>> {
        let numbers = prop::collection::vec(-3_i32..=3, 0..=SLOTS);
        (numbers, -3_i32..=3).prop_map(|(head, rest)| Vector {
            head: head.into_iter().map(f64::from).collect(),
            rest: f64::from(rest),
        })
    }

    fn all(vector: &Vector<f64>) -> Vec<f64> {
        vector.all(SLOTS).copied().collect()
    }

    proptest! {
        /// Against the same on all slots.
        #[test]
        fn slots_beyond_the_head_stand_for_all_others(a in vector(), b in vector(), weight in -3_i32..=3, steps in -9_i64..=9) {
            let weight = f64::from(weight);
            let mut sum = Sum::of(head([&a, &b]));
            sum.add(&a, |slot| slot * weight);
            sum.add_product(&a, &b);
            let expected: Vec<f64> =
                all(&a).iter().zip(all(&b)).map(|(a, b)| 0.0 + a * weight + a * b).collect();
            prop_assert_eq!(all(&sum.vector()), expected);

            let product = Vector::from_fn(head([&a, &b]), |slot| a.get(slot) * b.get(slot));
            let expected: Vec<f64> = all(&a).iter().zip(all(&b)).map(|(a, b)| a * b).collect();
            prop_assert_eq!(all(&product), expected);

            let mut rows = all(&a);
            for row in rows.chunks_mut(SLOTS / 2) {
                row.rotate_left(usize::try_from(steps.rem_euclid(8)).unwrap());
            }
            prop_assert_eq!(all(&a.rotated(SLOTS, SLOTS / 2, steps)), rows);
        }
    }
}
