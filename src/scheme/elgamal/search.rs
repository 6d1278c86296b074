//! Small discrete logarithms in ristretto255, by baby steps and giant steps (Shanks, 1971).
//!
//! For every D of a list, the m with D = mG and magnitude below a bound is looked for, of either sign.
//!
//! # Why Edwards points
//! The search compares many group elements with a table, and an element of ristretto255 is a set of four points, or eight
//! with their negatives, whose canonical form is dear. So the search runs among points of the curve underneath, where the
//! u-coordinate of Montgomery's form is that of a point and its negative, and a batch of them costs one inversion. With s
//! the encoding of an element, s^2 is the u-coordinate of one of its points, up to sign and up to a point of small order
//! (RFC 9496, section 4.3.1, with y = (1 - s^2)/(1 + s^2) and u = (1 + y)/(1 - y) = 1/s^2, and 1/u is u moved by the point of
//! order two). Eight times the point is rid of what is of small order: [`lift`] is a homomorphism up to sign.
//!
//! # Table
//! With B = 2^t - 1 baby steps the table finds |j| <= B, so that a giant step goes 2B + 1 = 2^(t+1) - 1 numbers further.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicUsize, Ordering},
};

use curve25519_dalek::{
    EdwardsPoint, MontgomeryPoint, RistrettoPoint, Scalar, constants::RISTRETTO_BASEPOINT_POINT,
    traits::Identity,
};
use num_bigint::BigUint;
use num_traits::One;
use rayon::prelude::*;

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
static TABLES: [OnceLock<Arc<Table>>; MAX_TABLE_BITS as usize + 1] =
    [const { OnceLock::new() }; MAX_TABLE_BITS as usize + 1];

/// The baby steps.
struct Table {
    /// A giant step from one point to the next: `stride` times the base, which is lifted G.
    giant: EdwardsPoint,
    /// What a giant step adds to the number.
    stride: u64,
    /// Open addressing with linear probing at half load: a fingerprint's lower bits say where to begin, its upper ones are
    /// stored with the baby step, which is not 0; 0 is an empty slot.
    slots: Vec<u64>,
}

impl Table {
    /// The table for a bound.
    fn for_bound(bound_bits: u32) -> Arc<Self> {
        let bits = (bound_bits.div_ceil(2) + TABLE_MARGIN_BITS).min(MAX_TABLE_BITS);
        let place = &TABLES[bits as usize];
        if let Some(table) = place.get() {
            return Arc::clone(table);
        }
        // Not inside `get_or_init`: while a thread of the pool waits for the parallel parts it may begin another decryption,
        // which would wait for the same cell. At worst two threads make the same table.
        let table = Arc::new(Self::new(bits));
        Arc::clone(place.get_or_init(|| table))
    }

    fn new(bits: u32) -> Self {
        let base = lift(&[RISTRETTO_BASEPOINT_POINT]).first().copied().unwrap_or_default();
        let most = (1_u64 << bits) - 1;
        // Baby steps reach `most` to either side.
        let stride = 2 * most + 1;
        let batches = (0..=most / BABY_BATCH).into_par_iter().map(|batch| {
            let first = (batch * BABY_BATCH).max(1);
            let after = ((batch + 1) * BABY_BATCH).min(most + 1);
            let start = base * Scalar::from(first);
            let points = std::iter::successors(Some(start), |point| Some(point + base));
            let points: Vec<_> = points.zip(first..after).map(|(point, _)| point).collect();
            let keys = EdwardsPoint::to_montgomery_batch(&points);
            keys.iter().map(fingerprint).zip(first..after).collect::<Vec<_>>()
        });
        let batches: Vec<_> = batches.collect();
        let mut table = Self { giant: base * Scalar::from(stride), stride, slots: vec![0; 2 << bits] };
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

    /// The baby steps that may have a u-coordinate: hardly ever more than the right one.
    fn look_up(&self, coordinate: &MontgomeryPoint) -> impl Iterator<Item = u64> {
        let key = fingerprint(coordinate);
        // The point at infinity has no coordinate and is given as zero, which belongs to no other multiple of the base.
        let infinity = (coordinate.0 == [0; 32]).then_some(0);
        let slots = self.places(key).map(|place| self.slots[place]).take_while(|&slot| slot != 0);
        let steps = slots.filter(move |slot| slot & !INDEX_MASK == key & !INDEX_MASK);
        infinity.into_iter().chain(steps.map(|slot| slot & INDEX_MASK))
    }
}

/// An element to be found: itself and its lifted form.
struct Target {
    element: RistrettoPoint,
    lifted: EdwardsPoint,
}

/// What the targets of one call share.
struct Search {
    table: Arc<Table>,
    /// Greatest magnitude.
    bound: u64,
    /// The target with the least number that was not found. Those after it need not be looked for.
    missing: AtomicUsize,
}

/// The numbers m with D = mG and |m| < `2^bits`, in order, or the position of the first D that has none.
///
/// The work for one D is bounded by `2^(bits - t)` steps for a table of `2^t`.
pub(super) fn logarithms(elements: &[RistrettoPoint], bits: u32) -> Result<Vec<i64>, usize> {
    if elements.is_empty() {
        return Ok(Vec::new());
    }
    let missing = AtomicUsize::new(usize::MAX);
    let search = Search { table: Table::for_bound(bits), bound: (1 << bits) - 1, missing };
    let share = elements.len().div_ceil(rayon::current_num_threads()).clamp(1, SHARED_ITEMS);
    let found: Vec<_> = elements
        .par_chunks(share)
        .enumerate()
        .flat_map_iter(|(chunk, elements)| search.find_some(elements, chunk * share))
        .collect();
    let numbered = found.into_iter().enumerate();
    numbered.map(|(index, number)| number.ok_or(index)).collect()
}

impl Search {
    /// The numbers of neighbouring elements, the first of which is the `first` of the whole list.
    fn find_some(&self, elements: &[RistrettoPoint], first: usize) -> Vec<Option<i64>> {
        let lifted = lift(elements);
        let coordinates = EdwardsPoint::to_montgomery_batch(&lifted);
        let targets = elements.iter().zip(lifted).map(|(&element, lifted)| Target { element, lifted });
        let numbered = (first..).zip(targets.zip(coordinates));
        numbered
            .map(|(index, (target, coordinate))| {
                let near = self.verify(&target, 0, &coordinate);
                let number = near.or_else(|| self.find_far(&target, index));
                if number.is_none() {
                    self.missing.fetch_min(index, Ordering::Relaxed);
                }
                number
            })
            .collect()
    }

    /// The number of a target that the baby steps alone do not find.
    fn find_far(&self, target: &Target, index: usize) -> Option<i64> {
        let Table { giant, stride, .. } = &*self.table;
        let last = self.bound.saturating_sub(stride / 2).div_ceil(*stride);
        let (mut up, mut down) = (target.lifted, target.lifted);
        let [mut count, most] = GIANT_BATCHES;
        let mut step = 1;
        while step <= last && index < self.missing.load(Ordering::Relaxed) {
            let steps = step..(step + count).min(last + 1);
            let points: Vec<_> = steps
                .clone()
                .flat_map(|_| {
                    up += giant;
                    down -= giant;
                    [up, down]
                })
                .collect();
            let coordinates = EdwardsPoint::to_montgomery_batch(&points);
            let mut probes = steps.clone().flat_map(|step| [step, step]).zip(&coordinates);
            // Up or down makes no difference here: the sign of a lifted element is not known anyway.
            let found = probes.find_map(|(step, coordinate)| self.verify(target, step, coordinate));
            if found.is_some() {
                return found;
            }
            step = steps.end;
            count = (2 * count).min(most);
        }
        None
    }

    /// The number of a target whose lifted form, `step` giant steps away, has this coordinate, if it is in the table.
    fn verify(&self, target: &Target, step: u64, coordinate: &MontgomeryPoint) -> Option<i64> {
        let distance = step * self.table.stride;
        self.table.look_up(coordinate).find_map(|baby| {
            let magnitudes = [distance.abs_diff(baby), distance + baby];
            // Without a giant step they are equal.
            let distinct = magnitudes.into_iter().skip(usize::from(step == 0));
            distinct.filter(|&magnitude| magnitude <= self.bound).find_map(|magnitude| {
                let number = magnitude.cast_signed();
                let multiple = RistrettoPoint::mul_base(&Scalar::from(magnitude));
                if multiple == target.element {
                    Some(number)
                } else {
                    (-multiple == target.element).then_some(-number)
                }
            })
        })
    }
}

/// Bits of a u-coordinate that tell it from others: as good as random, for multiples of a point.
fn fingerprint(coordinate: &MontgomeryPoint) -> u64 {
    coordinate.0.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// For each D a point that depends on D alone: 16 times any of its points, or the negative of that.
///
/// The encoding of 2D is cheaper in a batch than that of D.
fn lift(elements: &[RistrettoPoint]) -> Vec<EdwardsPoint> {
    let field = (BigUint::one() << 255_u32) - 19_u32;
    let encodings = RistrettoPoint::double_and_compress_batch(elements);
    let points = encodings.iter().map(|encoding| {
        let root = BigUint::from_bytes_le(encoding.as_bytes());
        let mut bytes = [0; 32];
        for (byte, digit) in bytes.iter_mut().zip((&root * &root % &field).to_bytes_le()) {
            *byte = digit;
        }
        // Every such number is the coordinate of a point; were it not, the identity would not be verified.
        let point = MontgomeryPoint(bytes).to_edwards(0).unwrap_or_else(EdwardsPoint::identity);
        point.mul_by_cofactor()
    });
    points.collect()
}
