//! Rings over vector units: residues as Montgomery digits, as many at once as there are lanes.

use std::ops::Range;

use num_bigint::BigUint;
use num_traits::One;
use zeroize::Zeroize;

use super::{Digits, NotAUnit};
use crate::math::{
    montgomery::{Constants, Multiplier, Number, Residue, from_digits, to_digits},
    pool::{for_each, map},
    rows::Rows,
    vector::{DIGIT_BITS, Engine, Group, Task, Unit},
};

mod powers;
mod products;

pub(super) use powers::Powers;

/// Residues of an odd modulus, or of its square.
pub(super) struct Lanes {
    engine: Engine,
    constants: Constants,
    /// s
    root: BigUint,
    /// R modulo the modulus
    one: Residue,
    /// R^3 2^(i [`chunk_bits`](Self::chunk_bits)) modulo the modulus: what takes the i-th part of a number in.
    entries: Vec<Residue>,
}

impl Drop for Lanes {
    fn drop(&mut self) {
        crate::math::wipe::wipe(&mut self.root);
        self.one.zeroize();
        self.entries.iter_mut().for_each(Zeroize::zeroize);
    }
}

/// Parts that a number to be read may have.
const CHUNKS: usize = 2;
/// How often the lanes are filled with products by one thread before it takes others: one filling takes less than handing it over does.
const PRODUCTS: usize = 4;

impl Lanes {
    pub(super) fn try_new(root: &BigUint, square: bool) -> Option<Self> {
        Self::with_engine(root, square, Engine::fastest())
    }

    pub(super) fn with_engine(root: &BigUint, square: bool, engine: Engine) -> Option<Self> {
        let constants = Constants::try_new(root, square)?;
        let mut lanes =
            Self { engine, constants, root: root.clone(), one: Box::default(), entries: Vec::new() };
        let radix = BigUint::one() << (u64::from(DIGIT_BITS) * lanes.constants.digits() as u64);
        lanes.one = lanes.residue(&radix);
        let cube = &radix * &radix * &radix;
        let entries = (0..CHUNKS as u64).map(|i| lanes.residue(&(&cube << (i * lanes.chunk_bits()))));
        lanes.entries = entries.collect();
        Some(lanes)
    }

    /// The digits of a number, reduced.
    fn residue(&self, number: &BigUint) -> Residue {
        let n = self.constants.digits();
        let mut digits = to_digits(&(number % &self.root), n);
        if self.constants.residue_digits() > n {
            digits.extend(to_digits(&(number / &self.root % &self.root), n));
        }
        digits.into()
    }

    /// A number is read in parts of so many bits: below 2^(2 bits of s), which is below R s.
    fn chunk_bits(&self) -> u64 {
        2 * self.root.bits()
    }

    pub(super) fn one(&self) -> &[u64] {
        &self.one
    }

    /// Gives every group of lanes to `work` in the form that suits its size, in parallel; the answers in order.
    fn in_groups<T: Send>(
        &self,
        count: usize,
        work: impl Fn(Range<usize>, Group) -> Vec<T> + Sync,
    ) -> Vec<T> {
        self.in_groups_of(1, count, work)
    }

    /// The same with groups of as many numbers as fill the lanes up to `rounds` times, where that leaves work for all threads.
    fn in_groups_of<T: Send, I: IntoIterator<Item = T>>(
        &self,
        rounds: usize,
        count: usize,
        work: impl Fn(Range<usize>, Group) -> I + Sync,
    ) -> Vec<T> {
        let groups = self.groups(rounds, count);
        let made = map(groups, |group| {
            let form = self.engine.group(group.len());
            work(group, form).into_iter().collect::<Vec<_>>()
        });
        let mut out = Vec::with_capacity(count);
        for part in made {
            out.extend(part);
        }
        out
    }

    /// The same where every number has its answer's place, of `size` words.
    fn in_groups_into(
        &self,
        out: &mut [u64],
        size: usize,
        work: impl Fn(Range<usize>, Group, &mut [u64]) + Sync,
    ) {
        let mut rest = out;
        let groups = self.groups(1, rest.len() / size.max(1)).into_iter();
        let places = groups.map(|group| {
            let place;
            (place, rest) = std::mem::take(&mut rest).split_at_mut(size * group.len());
            (group, place)
        });
        for_each(places, |(group, place)| {
            let form = self.engine.group(group.len());
            work(group, form, place);
        });
    }

    /// Numbers that are computed together: full lanes up to `rounds` times, and single ones where the last are too few for that.
    fn groups(&self, rounds: usize, count: usize) -> Vec<Range<usize>> {
        let lanes = self.engine.lanes();
        let full = if count % lanes > self.engine.few() { count } else { count - count % lanes };
        let rounds = full.div_ceil(lanes).div_ceil(rayon::current_num_threads()).clamp(1, rounds);
        let groups = (0..full).step_by(rounds * lanes).map(|start| start..full.min(start + rounds * lanes));
        groups.chain((full..count).map(|one| one..one + 1)).collect()
    }

    pub(super) fn read(&self, numbers: &[&BigUint]) -> Vec<Residue> {
        let bits = self.chunk_bits();
        let longest = numbers.iter().map(|number| number.bits()).max().unwrap_or(0);
        let chunks = usize::try_from(longest.div_ceil(bits)).unwrap_or(usize::MAX).clamp(1, CHUNKS);
        let mask = (BigUint::one() << bits) - 1_u32;
        let digits = 2 * self.constants.digits();
        self.in_groups(numbers.len(), |items, engine| {
            let parts: Vec<Vec<Vec<u64>>> = (0..chunks as u64)
                .map(|chunk| {
                    let part = |number: &&BigUint| to_digits(&((*number >> (chunk * bits)) & &mask), digits);
                    numbers[items.clone()].iter().map(part).collect()
                })
                .collect();
            engine.run(Read { ring: self, parts })
        })
    }

    pub(super) fn write(&self, residues: &[&[u64]]) -> Vec<BigUint> {
        let n = self.constants.digits();
        self.in_groups(residues.len(), |items, engine| {
            let digits = engine.run(Write { ring: self, residues: &residues[items] });
            let number = |digits: &[u64]| match digits.split_at(n) {
                (low, []) => from_digits(low),
                (low, high) => from_digits(low) + from_digits(high) * &self.root,
            };
            digits.iter().map(|digits| number(digits)).collect()
        })
    }

    /// Pairs of residues, whose digits are looked up where they are read: the lists of a batch that others make of them would have
    /// to cross from their thread to this one.
    pub(super) fn multiply<'a, T: From<Digits> + Send>(
        &self,
        count: usize,
        left: impl Fn(usize) -> &'a [u64] + Sync,
        right: impl Fn(usize) -> &'a [u64] + Sync,
    ) -> Vec<T> {
        let size = u32::try_from(self.constants.residue_digits()).unwrap_or(u32::MAX);
        self.in_groups_of(PRODUCTS, count, |items, engine| {
            let left: Vec<_> = items.clone().map(&left).collect();
            let right: Vec<_> = items.map(&right).collect();
            let multiply = Multiply { ring: self, left: &left, right: &right };
            Digits::batch(engine.run(multiply), size).map(T::from)
        })
    }

    pub(super) fn quotients(&self, residues: &[&[u64]]) -> Vec<BigUint> {
        self.in_groups(residues.len(), |items, engine| {
            let digits = engine.run(Quotient { ring: self, residues: &residues[items] });
            digits.iter().map(|digits| from_digits(&digits[..self.constants.digits()])).collect()
        })
    }

    pub(super) fn scaled_differences(
        &self,
        left: &[BigUint],
        right: &[BigUint],
        factor: &[u64],
    ) -> Vec<BigUint> {
        let n = self.constants.digits();
        let digits = |numbers: &[BigUint]| -> Vec<Vec<u64>> {
            numbers.iter().map(|number| to_digits(number, n)).collect()
        };
        self.in_groups(left.len().min(right.len()), |items, engine| {
            let (mut left, mut right) = (digits(&left[items.clone()]), digits(&right[items]));
            let differences = engine.run(ScaledDifference { ring: self, left: &left, right: &right, factor });
            left.iter_mut().chain(&mut right).for_each(Zeroize::zeroize);
            differences.iter().map(|digits| from_digits(digits)).collect()
        })
    }

    /// One inversion for all, and three products each (Montgomery's trick), in as many chains as there are lanes.
    pub(super) fn invert(&self, residues: &[&[u64]]) -> Result<Vec<Residue>, NotAUnit> {
        if residues.is_empty() {
            return Ok(Vec::new());
        }
        self.engine.group(residues.len()).run(Invert { ring: self, residues })
    }

    fn invert_one(&self, residue: &[u64]) -> Result<Residue, NotAUnit> {
        let modulus = if self.constants.residue_digits() > self.constants.digits() {
            &self.root * &self.root
        } else {
            self.root.clone()
        };
        let number = self.write(&[residue]).pop().ok_or(NotAUnit)?;
        let inverse = number.modinv(&modulus).ok_or(NotAUnit)?;
        self.read(&[&inverse]).pop().ok_or(NotAUnit)
    }
}

/// A view of owned rows.
fn views(rows: &[Vec<u64>]) -> Vec<&[u64]> {
    rows.iter().map(Vec::as_slice).collect()
}

fn boxed(rows: &[Residue]) -> Vec<&[u64]> {
    rows.iter().map(|digits| &**digits).collect()
}

/// Numbers to residues: every part is reduced, carried to its place by a product, and the parts are added.
struct Read<'a> {
    ring: &'a Lanes,
    /// part, number, 2n digits
    parts: Vec<Vec<Vec<u64>>>,
}

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
impl Task for Read<'_> {
    type Output = Vec<Residue>;

    #[inline(always)]
    fn run<U: Unit>(mut self, unit: U) -> Self::Output {
        let count = self.parts.first().map_or(0, Vec::len);
        let mut multiplier = Multiplier::new(unit, &self.ring.constants);
        let mut sum = multiplier.zero();
        for (numbers, entry) in self.parts.iter_mut().zip(&self.ring.entries) {
            let mut part = multiplier.reduce_wide(&views(numbers));
            let entry = multiplier.load(&[entry]);
            multiplier.multiply(&mut part, &entry);
            multiplier.add(&mut sum, &part);
            numbers.iter_mut().for_each(Zeroize::zeroize);
        }
        // Back into the range of a product.
        let one = multiplier.load(&[&self.ring.one]);
        multiplier.multiply(&mut sum, &one);
        multiplier.store(&mut sum, count)
    }
}

/// Residues to the digits of their numbers: Montgomery's factor is taken out.
struct Write<'a> {
    ring: &'a Lanes,
    residues: &'a [&'a [u64]],
}

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
impl Task for Write<'_> {
    type Output = Vec<Residue>;

    #[inline(always)]
    fn run<U: Unit>(self, unit: U) -> Self::Output {
        let mut multiplier = Multiplier::new(unit, &self.ring.constants);
        let mut number = multiplier.load(self.residues);
        let mut one = multiplier.zero();
        if let Some(lowest) = one.digits_mut().first_mut() {
            *lowest = unit.digit(1);
        }
        multiplier.multiply(&mut number, &one);
        multiplier.store(&mut number, self.residues.len())
    }
}

struct Multiply<'a> {
    ring: &'a Lanes,
    left: &'a [&'a [u64]],
    right: &'a [&'a [u64]],
}

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
impl Task for Multiply<'_> {
    /// one product after the other
    type Output = Box<[u64]>;

    #[inline(always)]
    fn run<U: Unit>(self, unit: U) -> Self::Output {
        let mut multiplier = Multiplier::new(unit, &self.ring.constants);
        let size = self.ring.constants.residue_digits();
        let mut products = vec![0; size * self.left.len()].into_boxed_slice();
        let (mut product, mut factor) = (multiplier.zero(), multiplier.zero());
        let pairs = self.left.chunks(U::LANES).zip(self.right.chunks(U::LANES));
        for ((left, right), products) in pairs.zip(products.chunks_mut(size * U::LANES)) {
            multiplier.load_into(&mut product, left);
            multiplier.load_into(&mut factor, right);
            multiplier.multiply(&mut product, &factor);
            multiplier.store_into(&mut product, &mut products.chunks_exact_mut(size).collect::<Vec<_>>());
        }
        products
    }
}

struct Quotient<'a> {
    ring: &'a Lanes,
    residues: &'a [&'a [u64]],
}

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
impl Task for Quotient<'_> {
    type Output = Vec<Residue>;

    #[inline(always)]
    fn run<U: Unit>(self, unit: U) -> Self::Output {
        let mut multiplier = Multiplier::new(unit, &self.ring.constants);
        let number = multiplier.load(self.residues);
        let mut quotient = multiplier.quotient(number);
        multiplier.store_half(&mut quotient, self.residues.len())
    }
}

struct ScaledDifference<'a> {
    ring: &'a Lanes,
    left: &'a [Vec<u64>],
    right: &'a [Vec<u64>],
    factor: &'a [u64],
}

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
impl Task for ScaledDifference<'_> {
    type Output = Vec<Residue>;

    #[inline(always)]
    fn run<U: Unit>(self, unit: U) -> Self::Output {
        let count = self.left.len();
        let mut multiplier = Multiplier::new(unit, &self.ring.constants);
        let factor = multiplier.load(&[self.factor]);
        let mut left = multiplier.load(&views(self.left));
        let mut right = multiplier.load(&views(self.right));
        multiplier.multiply(&mut left, &factor);
        multiplier.multiply(&mut right, &factor);
        multiplier.normalise(&mut left);
        multiplier.normalise(&mut right);
        multiplier.subtract(&mut left, &right);
        multiplier.store(&mut left, count)
    }
}

struct Invert<'a> {
    ring: &'a Lanes,
    residues: &'a [&'a [u64]],
}

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
impl Task for Invert<'_> {
    type Output = Result<Vec<Residue>, NotAUnit>;

    #[inline(always)]
    fn run<U: Unit>(self, unit: U) -> Self::Output {
        let ring = self.ring;
        let mut multiplier = Multiplier::new(unit, &ring.constants);
        // The last group is filled up with ones.
        let groups: Vec<Number<U>> = self
            .residues
            .chunks(U::LANES)
            .map(|group| {
                let mut group = group.to_vec();
                group.resize(U::LANES, &ring.one);
                multiplier.load(&group)
            })
            .collect();
        let mut prefixes = Vec::with_capacity(groups.len());
        let mut product = multiplier.load(&[&ring.one]);
        for group in &groups {
            prefixes.push(product.clone());
            multiplier.multiply(&mut product, group);
        }
        // One chain a lane: now one inversion for all lanes.
        let totals = multiplier.store(&mut product, U::LANES);
        let mut before: Vec<Residue> = Vec::with_capacity(U::LANES);
        let mut running: Residue = ring.one.clone();
        for total in &totals {
            before.push(running.clone());
            running = ring.product(&running, total);
        }
        let mut inverse = ring.invert_one(&running)?;
        let mut inverses: Vec<Residue> = Vec::with_capacity(U::LANES);
        for (total, before) in totals.iter().zip(&before).rev() {
            inverses.push(ring.product(&inverse, before));
            inverse = ring.product(&inverse, total);
        }
        inverses.reverse();
        let mut inverse = multiplier.load(&boxed(&inverses));
        let mut out = Vec::with_capacity(groups.len() * U::LANES);
        for (group, prefix) in groups.iter().zip(&prefixes).rev() {
            let mut one = inverse.clone();
            multiplier.multiply(&mut one, prefix);
            multiplier.multiply(&mut inverse, group);
            let mut part = multiplier.store(&mut one, U::LANES);
            part.reverse();
            out.extend(part);
        }
        out.reverse();
        out.truncate(self.residues.len());
        Ok(out)
    }
}

impl Lanes {
    /// One product in one lane.
    fn product(&self, left: &[u64], right: &[u64]) -> Residue {
        self.engine.group(1).run(Multiply { ring: self, left: &[left], right: &[right] })
    }

    /// See [`Ring::products_of_powers_vartime`](super::Ring::products_of_powers_vartime).
    pub(super) fn products_of_powers(
        &self,
        inputs: &[&[u64]],
        rows: &Rows<'_>,
    ) -> Result<Vec<Digits>, NotAUnit> {
        let [plus, minus] = products::products(self, inputs, rows);
        if !rows.any_negative() {
            return Ok(plus.into_iter().map(Digits::from).collect());
        }
        let inverses = self.invert(&boxed(&minus))?;
        Ok(self.multiply(plus.len(), |i| &plus[i], |i| &inverses[i]))
    }
}
