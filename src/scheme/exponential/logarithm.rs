//! Small discrete logarithms by baby steps and giant steps (Shanks, 1971), in any group.
//!
//! For every D of a list, the m with D = mG and magnitude below a bound is looked for, of either sign. The search may run in
//! another group than that of the elements, where many points are compared with a table more cheaply; what it finds is
//! verified in the first. A point and its negative share a fingerprint, so with B = 2^t - 1 baby steps a table finds
//! |j| <= B, and a giant step goes 2B + 1 = 2^(t+1) - 1 numbers further.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicUsize, Ordering},
};

use crate::math::pool::map;

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

/// Elements that share the inversions of their first step, at most.
const SHARED_ITEMS: usize = 32;

/// A table of every size, made when it is first needed.
pub(in crate::scheme) struct Tables<E: Searchable>([OnceLock<Arc<Table<E>>>; MAX_TABLE_BITS as usize + 1]);

impl<E: Searchable> Tables<E> {
    /// None made yet.
    pub(in crate::scheme) const fn new() -> Self {
        Self([const { OnceLock::new() }; MAX_TABLE_BITS as usize + 1])
    }
}

/// A group in which logarithms to the base of a generator are looked for.
pub(in crate::scheme) trait Searchable:
    Copy + PartialEq + Send + Sync + std::ops::Neg<Output = Self> + 'static
{
    /// What the search runs among.
    type Point: Copy + Send + Sync;
    /// A point in the form in which it is added to many others.
    type Entry: Send + Sync;

    /// The tables of this group.
    fn tables() -> &'static Tables<Self>;
    /// The generator times a number, whose bits show in the time.
    fn multiple(number: u64) -> Self;
    /// For every element a point that depends on it alone: a homomorphism up to sign.
    fn lift(elements: &[Self]) -> Vec<Self::Point>;
    /// The generator's point times a number.
    fn point(number: u64) -> Self::Point;
    /// What adds a point, and what subtracts it.
    fn entries(point: Self::Point) -> [Self::Entry; 2];
    /// The sum.
    fn add(point: &Self::Point, entry: &Self::Entry) -> Self::Point;
    /// For every point bits that it shares with its negative and hardly ever with another multiple of the generator's.
    fn fingerprints(points: &[Self::Point]) -> Vec<u64>;
}

/// The baby steps.
pub(in crate::scheme) struct Table<E: Searchable> {
    /// What a giant step adds to the number, and to a point, up and down.
    stride: u64,
    giants: [E::Entry; 2],
    /// The fingerprint of no step at all.
    zero: u64,
    /// Open addressing with linear probing at half load: a fingerprint's lower bits say where to begin, its upper ones are
    /// stored with the baby step, which is not 0; 0 is an empty slot.
    slots: Vec<u64>,
}

impl<E: Searchable> Table<E> {
    /// The table for a bound.
    fn for_bound(bound_bits: u32) -> Arc<Self> {
        let bits = (bound_bits.div_ceil(2) + TABLE_MARGIN_BITS).min(MAX_TABLE_BITS);
        let place = &E::tables().0[bits as usize];
        if let Some(table) = place.get() {
            return Arc::clone(table);
        }
        // Not inside `get_or_init`: while a thread of the pool waits for the parallel parts it may begin another decryption,
        // which would wait for the same cell. At worst two threads make the same table.
        let table = Arc::new(Self::new(bits));
        Arc::clone(place.get_or_init(|| table))
    }

    fn new(bits: u32) -> Self {
        let [entry, _] = E::entries(E::point(1));
        let most = (1_u64 << bits) - 1;
        // Baby steps reach `most` to either side.
        let stride = 2 * most + 1;
        let batches = map(0..=most / BABY_BATCH, |batch| {
            let first = (batch * BABY_BATCH).max(1);
            let after = ((batch + 1) * BABY_BATCH).min(most + 1);
            let points = std::iter::successors(Some(E::point(first)), |point| Some(E::add(point, &entry)));
            let points: Vec<_> = points.zip(first..after).map(|(point, _)| point).collect();
            E::fingerprints(&points).into_iter().zip(first..after).collect::<Vec<_>>()
        });
        let zero = E::fingerprints(&[E::point(0)]).first().copied().unwrap_or_default();
        let giants = E::entries(E::point(stride));
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
pub(in crate::scheme) fn logarithms<E: Searchable>(elements: &[E], bits: u32) -> Result<Vec<i64>, usize> {
    if elements.is_empty() {
        return Ok(Vec::new());
    }
    let missing = AtomicUsize::new(usize::MAX);
    let search = Search { table: Table::for_bound(bits), bound: (1 << bits) - 1, missing };
    let share = elements.len().div_ceil(rayon::current_num_threads()).clamp(1, SHARED_ITEMS);
    let chunks = elements.chunks(share).enumerate();
    let found = map(chunks, |(chunk, elements)| search.find_some(elements, chunk * share));
    found.into_iter().flatten().enumerate().map(|(index, number)| number.ok_or(index)).collect()
}

impl<E: Searchable> Search<E> {
    /// The numbers of neighbouring elements, the first of which is the `first` of the whole list.
    fn find_some(&self, elements: &[E], first: usize) -> Vec<Option<i64>> {
        let points = E::lift(elements);
        let keys = E::fingerprints(&points);
        let targets = (first..).zip(elements).zip(points.iter().zip(keys));
        targets
            .map(|((index, element), (point, key))| {
                let number = self.verify(element, 0, key).or_else(|| self.find_far(element, point, index));
                if number.is_none() {
                    self.missing.fetch_min(index, Ordering::Relaxed);
                }
                number
            })
            .collect()
    }

    /// The number of an element that the baby steps alone do not find.
    fn find_far(&self, target: &E, point: &E::Point, index: usize) -> Option<i64> {
        let Table { stride, giants: [forward, back], .. } = &*self.table;
        let last = self.bound.saturating_sub(stride / 2).div_ceil(*stride);
        let (mut up, mut down) = (*point, *point);
        let [mut count, most] = GIANT_BATCHES;
        let mut step = 1;
        while step <= last && index < self.missing.load(Ordering::Relaxed) {
            let steps = step..(step + count).min(last + 1);
            let points: Vec<_> = steps
                .clone()
                .flat_map(|_| {
                    up = E::add(&up, forward);
                    down = E::add(&down, back);
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

    /// The number of an element whose point, `step` giant steps away in either direction, has this fingerprint, if it is in
    /// the table. The direction says nothing where lifting leaves the sign open.
    fn verify(&self, target: &E, step: u64, key: u64) -> Option<i64> {
        let distance = step * self.table.stride;
        self.table.look_up(key).find_map(|baby| {
            let magnitudes = [distance.abs_diff(baby), distance + baby];
            // Without a giant step they are equal.
            let distinct = magnitudes.into_iter().skip(usize::from(step == 0));
            distinct.filter(|&magnitude| magnitude <= self.bound).find_map(|magnitude| {
                let (number, multiple) = (magnitude.cast_signed(), E::multiple(magnitude));
                if multiple == *target { Some(number) } else { (-multiple == *target).then_some(-number) }
            })
        })
    }
}
