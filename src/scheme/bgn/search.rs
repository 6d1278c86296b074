//! Small discrete logarithms by baby steps and giant steps (Shanks, 1971), in the first group and in the target group.
//!
//! For every D of a list, the m with D = mG and magnitude below a bound is looked for, of either sign. An element and its
//! negative share a coordinate, so with B = 2^t - 1 baby steps a table finds |j| <= B, and a giant step goes
//! 2B + 1 = 2^(t+1) - 1 numbers further.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicUsize, Ordering},
};

use blst::p1_affines;
use blstrs::{Fp12, G1Projective, Gt};
use rayon::prelude::*;

use super::group_element::Element;

/// Greatest t: 2^23 slots of eight bytes.
const MAX_TABLE_BITS: u32 = 22;
/// A search of up to `b` bits takes `2^(b - t)` steps and the table `2^t`: with `t = b/2 + 3` the table costs as much as
/// 64 searches of the worst kind.
const TABLE_MARGIN_BITS: u32 = 3;
/// Bits of a slot that hold the baby step; the others hold the upper bits of its fingerprint.
const INDEX_MASK: u64 = (1 << MAX_TABLE_BITS) - 1;
/// Points that share an inversion while the table is made.
const BABY_BATCH: u64 = 512;
/// Giant steps in either direction that share an inversion: from few, because most messages are small, to many.
const GIANT_BATCHES: [u64; 2] = [8, 128];

/// A table of every size, made when it is first needed.
pub(super) type Tables<E> = [OnceLock<Arc<Table<E>>>; MAX_TABLE_BITS as usize + 1];

/// A group in which logarithms are looked for.
pub(super) trait Searchable: Element {
    fn tables() -> &'static Tables<Self>;

    /// For every element bits that it shares with its negative and hardly ever with another multiple of the generator.
    fn fingerprints(elements: &[Self]) -> Vec<u64>;
}

impl Searchable for G1Projective {
    fn tables() -> &'static Tables<Self> {
        static TABLES: Tables<G1Projective> = [const { OnceLock::new() }; MAX_TABLE_BITS as usize + 1];
        &TABLES
    }

    /// From the x-coordinate; the identity is given as (0, 0).
    fn fingerprints(elements: &[Self]) -> Vec<u64> {
        if elements.is_empty() {
            return Vec::new();
        }
        let points: Vec<_> = elements.iter().map(|element| *element.as_ref()).collect();
        p1_affines::from(&points).as_slice().iter().map(|point| point.x.l[0]).collect()
    }
}

impl Searchable for Gt {
    fn tables() -> &'static Tables<Self> {
        static TABLES: Tables<Gt> = [const { OnceLock::new() }; MAX_TABLE_BITS as usize + 1];
        &TABLES
    }

    /// From the half that conjugation leaves alone.
    fn fingerprints(elements: &[Self]) -> Vec<u64> {
        let number = |element: &Self| {
            let raw: blst::blst_fp12 = Fp12::from(*element).into();
            raw.fp6[0].fp2[0].fp[0].l[0]
        };
        elements.iter().map(number).collect()
    }
}

/// The baby steps.
pub(super) struct Table<E: Element> {
    /// What a giant step adds to the number, and to an element, up and down.
    stride: u64,
    giants: [E::Entry; 2],
    /// The fingerprint of the identity.
    zero: u64,
    /// Open addressing with linear probing at half load: a fingerprint's lower bits say where to begin, its upper ones are
    /// stored with the baby step, which is not 0; 0 is an empty slot.
    slots: Vec<u64>,
}

impl<E: Searchable> Table<E> {
    /// The table for a bound.
    fn for_bound(bound_bits: u32) -> Arc<Self> {
        let bits = (bound_bits.div_ceil(2) + TABLE_MARGIN_BITS).min(MAX_TABLE_BITS);
        let place = &E::tables()[bits as usize];
        if let Some(table) = place.get() {
            return Arc::clone(table);
        }
        // Not inside `get_or_init`: while a thread of the pool waits for the parallel parts it may begin another decryption,
        // which would wait for the same cell. At worst two threads make the same table.
        let table = Arc::new(Self::new(bits));
        Arc::clone(place.get_or_init(|| table))
    }

    fn new(bits: u32) -> Self {
        let base = E::generator();
        let entry = base.entry();
        let most = (1_u64 << bits) - 1;
        // Baby steps reach `most` to either side.
        let stride = 2 * most + 1;
        let batches = (0..=most / BABY_BATCH).into_par_iter().map(|batch| {
            let first = (batch * BABY_BATCH).max(1);
            let after = ((batch + 1) * BABY_BATCH).min(most + 1);
            let points =
                std::iter::successors(Some(multiple(first)), |point: &E| Some(point.plus_entry(&entry)));
            let points: Vec<_> = points.zip(first..after).map(|(point, _)| point).collect();
            E::fingerprints(&points).into_iter().zip(first..after).collect::<Vec<_>>()
        });
        let batches: Vec<_> = batches.collect();
        let giant: E = multiple(stride);
        let zero = E::fingerprints(&[E::identity()]).first().copied().unwrap_or_default();
        let giants = [giant.entry(), (-giant).entry()];
        let mut table = Self { stride, giants, zero, slots: vec![0; 2 << bits] };
        for (key, step) in batches.into_iter().flatten() {
            table.insert(key, step);
        }
        table
    }

    /// Slots from where a fingerprint's search begins, around the table.
    fn places(&self, key: u64) -> impl Iterator<Item = usize> {
        let mask = self.slots.len() - 1;
        #[expect(clippy::cast_possible_truncation, reason = "only the lower bits count")]
        let start = key as usize & mask;
        (start..=mask).chain(0..start)
    }

    fn insert(&mut self, key: u64, step: u64) {
        let free = self.places(key).find(|&place| self.slots[place] == 0);
        if let Some(place) = free {
            self.slots[place] = (key & !INDEX_MASK) | step;
        }
    }

    /// The baby steps that may have a fingerprint: hardly ever more than the right one.
    fn look_up(&self, key: u64) -> impl Iterator<Item = u64> {
        let slots = self.places(key).map(|place| self.slots[place]).take_while(|&slot| slot != 0);
        let steps = slots.filter(move |slot| slot & !INDEX_MASK == key & !INDEX_MASK);
        (key == self.zero).then_some(0).into_iter().chain(steps.map(|slot| slot & INDEX_MASK))
    }
}

/// What the targets of one call share.
struct Search<E: Searchable> {
    table: Arc<Table<E>>,
    /// Greatest magnitude.
    bound: u64,
    /// The target with the least number that was not found. Those after it need not be looked for.
    missing: AtomicUsize,
}

/// The numbers m with D = mG and |m| < `2^bits`, in order, or the position of the first D that has none.
///
/// The work for one D is bounded by `2^(bits - t)` steps for a table of `2^t`.
pub(super) fn logarithms<E: Searchable>(elements: &[E], bits: u32) -> Result<Vec<i64>, usize> {
    if elements.is_empty() {
        return Ok(Vec::new());
    }
    let missing = AtomicUsize::new(usize::MAX);
    let search = Search { table: Table::for_bound(bits), bound: (1 << bits) - 1, missing };
    let found: Vec<_> = elements
        .par_iter()
        .enumerate()
        .map(|(index, element)| {
            let number = search.find(element, index);
            if number.is_none() {
                search.missing.fetch_min(index, Ordering::Relaxed);
            }
            number
        })
        .collect();
    found.into_iter().enumerate().map(|(index, number)| number.ok_or(index)).collect()
}

impl<E: Searchable> Search<E> {
    /// The number of an element.
    fn find(&self, target: &E, index: usize) -> Option<i64> {
        let near = E::fingerprints(std::slice::from_ref(target));
        near.into_iter().find_map(|key| self.verify(target, 0, key)).or_else(|| self.find_far(target, index))
    }

    /// The number of an element that the baby steps alone do not find.
    fn find_far(&self, target: &E, index: usize) -> Option<i64> {
        let Table { stride, giants: [forward, back], .. } = &*self.table;
        let last = self.bound.saturating_sub(stride / 2).div_ceil(*stride);
        let (mut up, mut down) = (*target, *target);
        let [mut count, most] = GIANT_BATCHES;
        let mut step = 1;
        while step <= last && index < self.missing.load(Ordering::Relaxed) {
            let steps = step..(step + count).min(last + 1);
            let points: Vec<_> = steps
                .clone()
                .flat_map(|_| {
                    up = up.plus_entry(forward);
                    down = down.plus_entry(back);
                    [up, down]
                })
                .collect();
            let keys = E::fingerprints(&points);
            let mut probes = steps.clone().flat_map(|step| [step, step]).zip(keys);
            let found = probes.find_map(|(step, key)| self.verify(target, step, key));
            if found.is_some() {
                return found;
            }
            step = steps.end;
            count = (2 * count).min(most);
        }
        None
    }

    /// The number of an element that is a baby step and `step` giant steps, either way, from where a fingerprint was seen.
    fn verify(&self, target: &E, step: u64, key: u64) -> Option<i64> {
        let distance = step * self.table.stride;
        self.table.look_up(key).find_map(|baby| {
            let magnitudes = [distance.abs_diff(baby), distance + baby];
            magnitudes.into_iter().filter(|&magnitude| magnitude <= self.bound).find_map(|magnitude| {
                let (number, multiple) = (magnitude.cast_signed(), multiple::<E>(magnitude));
                if multiple == *target { Some(number) } else { (-multiple == *target).then_some(-number) }
            })
        })
    }
}

/// The generator times a number, whose bits show in the time.
fn multiple<E: Element>(number: u64) -> E {
    let bits = (0..u64::BITS - number.leading_zeros()).rev();
    bits.fold(E::identity(), |sum, bit| {
        let twice = sum.double();
        if number >> bit & 1 == 1 { twice + E::generator() } else { twice }
    })
}
