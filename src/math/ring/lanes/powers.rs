//! Exponentiation by windows: many bases to one exponent, or one base to many exponents.

use std::hint::black_box;

use num_bigint::BigUint;
use zeroize::Zeroize;

use super::{Digits, Lanes, NotAUnit};
use crate::math::{
    montgomery::{Multiplier, Number, Residue},
    vector::{Task, Unit},
};

/// Bits of a window in tables of a fixed base.
const FIXED_WINDOW: u32 = 6;
/// Powers in a table for one window.
const ENTRIES: usize = 1 << FIXED_WINDOW;
/// How many times the lanes are filled while one window of a fixed base's table stays in the cache.
const ROUNDS: usize = 8;

/// For every window k of a fixed base's exponents, the powers `base^(e 2^(6k))` for e below 64. The base is public.
pub(in crate::math::ring) struct Powers {
    /// window, digit, entry
    table: Vec<u64>,
    windows: usize,
    /// Whether the high half of an entry `x0 + x1 s` is replaced by its ratio `x1 / x0` modulo s. Then the entry is
    /// `x0 (1 + s x1 / x0)`, and in a product of such the ratios are added.
    ratios: bool,
}

/// The windows of an exponent, lowest first. Wiped when dropped.
struct Windows(Vec<u64>);

impl Drop for Windows {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl Windows {
    /// `count` windows of `width` bits, taken from whole words: a test of single bits may become a branch.
    fn new(exponent: &BigUint, width: u32, count: usize) -> Self {
        let mut words: Vec<u64> = exponent.iter_u64_digits().collect();
        let word = |index: usize| words.get(index).map_or(0, |word| u128::from(*word));
        let window = |index: usize| {
            let at = index * width as usize;
            let two = word(at / 64) | (word(at / 64 + 1) << 64);
            #[expect(clippy::cast_possible_truncation, reason = "masked to a window")]
            let window = (two >> (at % 64)) as u64 & ((1 << width) - 1);
            window
        };
        let windows = Self((0..count).map(window).collect());
        words.zeroize();
        windows
    }

    fn count(bits: u64, width: u32) -> usize {
        usize::try_from(bits.div_ceil(width.into())).unwrap_or(usize::MAX)
    }
}

/// Bits of a window for exponents of this length: squarings are the same, a longer window saves products and costs a
/// table.
fn window_width(bits: u64) -> u32 {
    match bits {
        0..=16 => 2,
        17..=80 => 3,
        81..=240 => 4,
        241..=1200 => 5,
        _ => 6,
    }
}

impl Lanes {
    /// Every base to the same exponent.
    pub(in crate::math::ring) fn power(
        &self,
        bases: &[&[u64]],
        exponent: &BigUint,
        vartime: bool,
    ) -> Vec<Residue> {
        let bits = exponent.bits();
        // Reading the whole table each time makes long windows dearer.
        let width = if vartime { window_width(bits) } else { window_width(bits).min(5) };
        let windows = Windows::new(exponent, width, Windows::count(bits, width));
        self.in_groups(bases.len(), |items, engine| {
            engine.run(Power { ring: self, bases: &bases[items], windows: &windows, width, vartime })
        })
    }

    pub(in crate::math::ring) fn powers_of(&self, base: &[u64], bits: u64, lasting: bool) -> Powers {
        let windows = Windows::count(bits, FIXED_WINDOW).max(1);
        let bases = self.engine.group(1).run(Doublings { ring: self, base, count: windows });
        let digits = self.constants.residue_digits();
        let mut tables = self.in_groups(windows, |items, engine| {
            let bases: Vec<&[u64]> = bases[items].iter().map(|digits| &**digits).collect();
            engine.run(Entries { ring: self, bases: &bases })
        });
        let may_add = windows as u64 <= self.constants.most_added();
        let ratios = lasting && may_add && self.take_ratios(tables.iter_mut().flatten().collect()).is_ok();
        let mut table = vec![0; windows * digits * ENTRIES];
        for (window, entries) in table.chunks_exact_mut(digits * ENTRIES).zip(&tables) {
            for (e, entry) in entries.iter().enumerate() {
                for (digit, row) in entry.iter().zip(window.chunks_exact_mut(ENTRIES)) {
                    row[e] = *digit;
                }
            }
        }
        Powers { table, windows, ratios }
    }

    /// Replaces high halves by their ratios to the low ones; `Err`, and nothing is done, where there are no high halves or a low one
    /// is no unit.
    fn take_ratios(&self, residues: Vec<&mut Residue>) -> Result<(), NotAUnit> {
        let n = self.constants.digits();
        let halves = Self::with_engine(&self.root, false, self.engine);
        let halves = halves.filter(|_| self.constants.residue_digits() > n).ok_or(NotAUnit)?;
        let split = || residues.iter().map(|residue| residue.split_at(n));
        let mut inverses = halves.invert(&split().map(|(low, _)| low).collect::<Vec<_>>())?;
        let highs: Vec<&[u64]> = split().map(|(_, high)| high).collect();
        let mut ratios: Vec<Digits> = halves.multiply(highs.len(), |i| highs[i], |i| &inverses[i]);
        for (residue, ratio) in residues.into_iter().zip(&ratios) {
            residue[n..].copy_from_slice(ratio);
        }
        inverses.iter_mut().for_each(Zeroize::zeroize);
        ratios.iter_mut().for_each(Digits::wipe);
        Ok(())
    }

    pub(in crate::math::ring) fn power_of_fixed(
        &self,
        powers: &Powers,
        exponents: &[&BigUint],
        bits: u64,
    ) -> Vec<Residue> {
        let count = Windows::count(bits, FIXED_WINDOW).min(powers.windows);
        self.in_groups_of(ROUNDS, exponents.len(), |items, engine| {
            let windows: Vec<_> =
                exponents[items].iter().map(|exponent| Windows::new(exponent, FIXED_WINDOW, count)).collect();
            engine.run(FixedPower { ring: self, powers, windows: &windows })
        })
    }
}

struct Power<'a> {
    ring: &'a Lanes,
    bases: &'a [&'a [u64]],
    windows: &'a Windows,
    width: u32,
    vartime: bool,
}

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
impl Task for Power<'_> {
    type Output = Vec<Residue>;

    #[inline(always)]
    fn run<U: Unit>(self, unit: U) -> Self::Output {
        let mut multiplier = Multiplier::new(unit, &self.ring.constants);
        let base = multiplier.load(self.bases);
        let mut table = vec![multiplier.load(&[&self.ring.one]), base];
        for number in 2..1_usize << self.width {
            let next = if number % 2 == 0 {
                let mut square = table[number / 2].clone();
                multiplier.square(&mut square, 1);
                square
            } else {
                let mut product = table[number - 1].clone();
                multiplier.multiply(&mut product, &table[1]);
                product
            };
            table.push(next);
        }
        let secret = (!self.vartime).then(|| multiplier.table(&table));
        let mut power: Option<Number<U>> = None;
        let mut picked = multiplier.zero();
        for window in self.windows.0.iter().rev() {
            let factor = if let Some(secret) = &secret {
                secret.pick(*window, &mut picked);
                &picked
            } else {
                &table[usize::try_from(*window).unwrap_or(0)]
            };
            if let Some(power) = &mut power {
                multiplier.square(power, self.width);
                if secret.is_some() || *window > 0 {
                    multiplier.multiply(power, factor);
                }
            } else {
                power = Some(factor.clone());
            }
        }
        let mut power = power.unwrap_or_else(|| table[0].clone());
        for number in &mut table {
            number.digits_mut().fill(unit.digit(0));
        }
        black_box(&table);
        multiplier.store(&mut power, self.bases.len())
    }
}

/// base^(2^(6k)) for every window k.
struct Doublings<'a> {
    ring: &'a Lanes,
    base: &'a [u64],
    count: usize,
}

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
impl Task for Doublings<'_> {
    type Output = Vec<Residue>;

    #[inline(always)]
    fn run<U: Unit>(self, unit: U) -> Self::Output {
        let mut multiplier = Multiplier::new(unit, &self.ring.constants);
        let mut power = multiplier.load(&[self.base]);
        let mut out = Vec::with_capacity(self.count);
        for k in 0..self.count {
            if k > 0 {
                multiplier.square(&mut power, FIXED_WINDOW);
            }
            out.extend(multiplier.store(&mut power, 1));
        }
        out
    }
}

/// The first powers of every base, entry by entry.
struct Entries<'a> {
    ring: &'a Lanes,
    bases: &'a [&'a [u64]],
}

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
impl Task for Entries<'_> {
    /// base, entry, digit
    type Output = Vec<Vec<Residue>>;

    #[inline(always)]
    fn run<U: Unit>(self, unit: U) -> Self::Output {
        let count = self.bases.len();
        let mut multiplier = Multiplier::new(unit, &self.ring.constants);
        let base = multiplier.load(self.bases);
        let mut power = multiplier.load(&[&self.ring.one]);
        let mut tables = vec![Vec::with_capacity(ENTRIES); count];
        for e in 0..ENTRIES {
            if e > 0 {
                multiplier.multiply(&mut power, &base);
            }
            for (table, entry) in tables.iter_mut().zip(multiplier.store(&mut power, count)) {
                table.push(entry);
            }
        }
        tables
    }
}

struct FixedPower<'a> {
    ring: &'a Lanes,
    powers: &'a Powers,
    /// one list an exponent
    windows: &'a [Windows],
}

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
impl Task for FixedPower<'_> {
    type Output = Vec<Residue>;

    #[inline(always)]
    fn run<U: Unit>(self, unit: U) -> Self::Output {
        let mut multiplier = Multiplier::new(unit, &self.ring.constants);
        let rounds: Vec<&[Windows]> = self.windows.chunks(U::LANES).collect();
        let one = multiplier.load(&[&self.ring.one]);
        let mut powers = vec![one.clone(); rounds.len()];
        // One, and s times the ratios of all factors.
        let mut rest = if self.powers.ratios { powers.clone() } else { Vec::new() };
        let mut factors = vec![multiplier.zero(); rounds.len()];
        let windows = self.windows.first().map_or(0, |windows| windows.0.len());
        let mut lanes = [0; 8];
        let mut digits = vec![0; if U::LANES == 1 { self.ring.constants.residue_digits() } else { 0 }];
        let length = self.ring.constants.residue_digits() * ENTRIES;
        for (window, rows) in self.powers.table.chunks_exact(length).take(windows).enumerate() {
            for (round, factor) in rounds.iter().zip(&mut factors) {
                for (lane, index) in lanes[..U::LANES].iter_mut().enumerate() {
                    *index = round[lane.min(round.len() - 1)].0[window];
                }
                if U::LANES == 1 {
                    // A vector reads the table faster.
                    unit.engine().run(Pick { rows, index: lanes[0], digits: &mut digits });
                    for (digit, value) in factor.digits_mut().iter_mut().zip(&digits) {
                        *digit = unit.load(std::slice::from_ref(value));
                    }
                } else {
                    let index = unit.load_sum(&lanes[..U::LANES]);
                    for (digit, entries) in factor.digits_mut().iter_mut().zip(rows.chunks_exact(ENTRIES)) {
                        *digit = unit.pick(entries, index);
                    }
                }
            }
            for (round, (power, factor)) in powers.iter_mut().zip(&factors).enumerate() {
                if let Some(rest) = rest.get_mut(round) {
                    multiplier.multiply_by_low(power, factor);
                    multiplier.add_high(rest, factor);
                } else {
                    multiplier.multiply(power, factor);
                }
            }
        }
        for (power, rest) in powers.iter_mut().zip(&rest) {
            multiplier.multiply(power, rest);
        }
        lanes.zeroize();
        digits.zeroize();
        let mut out = Vec::with_capacity(self.windows.len());
        for (power, round) in powers.iter_mut().zip(&rounds) {
            out.extend(multiplier.store(power, round.len()));
        }
        out
    }
}

/// The digits of one power from the table of a window.
struct Pick<'a> {
    rows: &'a [u64],
    index: u64,
    digits: &'a mut [u64],
}

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
impl Task for Pick<'_> {
    type Output = ();

    #[inline(always)]
    fn run<U: Unit>(self, unit: U) {
        let index = unit.sum(self.index);
        let mut lanes = [0; 8];
        for (digit, entries) in self.digits.iter_mut().zip(self.rows.chunks_exact(ENTRIES)) {
            unit.store(unit.pick(entries, index), &mut lanes[..U::LANES]);
            *digit = lanes[0];
        }
        lanes.zeroize();
    }
}
