//! Straus's method (1964): the powers of every input up to a window's length are tabled once, for all rows.

use std::ops::Range;

use rayon::prelude::*;

use super::{Digit, Jobs, join, load_all};
use crate::math::{
    montgomery::{Multiplier, Number, Residue},
    ring::lanes::Lanes,
    vector::{Task, Unit},
};

/// Bytes of tables that are kept at once: what a core's second cache holds.
const TABLE_BYTES: usize = 1 << 20;
/// The same where rows are sparse. Lanes wait for one another at the end of every tile, and sparse rows have few terms in each.
const SPARSE_TABLE_BYTES: usize = 1 << 26;

/// By group of jobs, sign and job: the products.
pub(super) fn products(jobs: &Jobs<'_>) -> Vec<Vec<Vec<Residue>>> {
    let Jobs { ring, inputs, exponents, samples, .. } = jobs;
    let (columns, width) = (exponents.columns, exponents.width);
    let groups = jobs.groups();
    let (lanes, digits) = (ring.engine.lanes(), ring.constants.residue_digits());
    let entry_bytes = (size_of::<u64>() * digits) << width;
    let table_bytes = if exponents.full { TABLE_BYTES } else { SPARSE_TABLE_BYTES };
    let tile =
        (table_bytes / (entry_bytes * samples).max(1)).max(1).next_multiple_of(lanes).min(columns.max(1));
    let tables = |part: &Range<usize>| build(ring, inputs, columns, part.clone(), width);
    // Where rows are empty, the products of nothing.
    let last = columns.saturating_sub(1) / tile;
    let part = |index: usize| index * tile..columns.min((index + 1) * tile);
    // Every thread has columns of its own, so that neither tables nor sums have to go to another; who has done his share helps others
    // with their groups.
    let share = last.div_ceil(rayon::current_num_threads()).max(1);
    let shares: Vec<Range<usize>> =
        (0..last).step_by(share).map(|start| start..last.min(start + share)).collect();
    // share, group; sign, window, digit, lane
    let sums: Vec<Vec<Vec<u64>>> = shares
        .into_par_iter()
        .map(|share| {
            let mut sums: Vec<Vec<u64>> = vec![Vec::new(); groups.len()];
            for part in share.map(part) {
                let tables = &tables(&part);
                sums.par_iter_mut().zip(&groups).for_each(|(sums, group)| {
                    let tile = Tile { jobs, tables, part: part.clone(), group: group.clone() };
                    ring.engine.group(group.len()).run(Accumulate { tile, sums });
                });
            }
            sums
        })
        .collect();
    let part = part(last);
    let tables = &tables(&part);
    let joined = groups.par_iter().enumerate().map(|(index, group)| {
        let tile = Tile { jobs, tables, part: part.clone(), group: group.clone() };
        let sums = sums.iter().map(|groups| groups[index].as_slice()).collect();
        ring.engine.group(group.len()).run(Finish { tile, sums })
    });
    joined.collect()
}

/// The powers below 2^width of some columns of every sample: (sample, column), entry, digit.
fn build(ring: &Lanes, inputs: &[&[u64]], columns: usize, part: Range<usize>, width: u32) -> Vec<u64> {
    let bases: Vec<&[u64]> =
        inputs.chunks_exact(columns.max(1)).flat_map(|sample| &sample[part.clone()]).copied().collect();
    let size = ring.constants.residue_digits() << width;
    let mut tables = vec![0; bases.len() * size];
    ring.in_groups_into(&mut tables, size, |items, engine, table| {
        engine.run(Tables { ring, bases: &bases[items], width, table });
    });
    tables
}

struct Tables<'a> {
    ring: &'a Lanes,
    bases: &'a [&'a [u64]],
    width: u32,
    table: &'a mut [u64],
}

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
impl Task for Tables<'_> {
    type Output = ();

    #[inline(always)]
    fn run<U: Unit>(self, unit: U) {
        let digits = self.ring.constants.residue_digits();
        let entries = 1_usize << self.width;
        let mut multiplier = Multiplier::new(unit, &self.ring.constants);
        let base = multiplier.load(self.bases);
        let mut power = multiplier.load(&[&self.ring.one]);
        let mut lanes = [0; 8];
        for entry in 0..entries {
            match entry {
                0 => {}
                1 => power = base.clone(),
                _ => multiplier.multiply(&mut power, &base),
            }
            for (at, digit) in power.digits().iter().enumerate() {
                unit.store(*digit, &mut lanes[..U::LANES]);
                for (table, value) in self.table.chunks_exact_mut(entries * digits).zip(lanes) {
                    table[entry * digits + at] = value;
                }
            }
        }
    }
}

/// The powers of some columns, and a group of jobs that they go into.
struct Tile<'a> {
    jobs: &'a Jobs<'a>,
    tables: &'a [u64],
    part: Range<usize>,
    group: Range<usize>,
}

impl Tile<'_> {
    /// Sign, window: the products so far, which are empty before the first tile, times this tile's powers.
    #[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
    #[inline(always)]
    fn products<U: Unit>(&self, multiplier: &mut Multiplier<'_, U>, sums: &[u64]) -> Vec<Number<U>> {
        let Self { jobs: Jobs { ring, exponents, signs, .. }, tables, part, group } = self;
        let unit = multiplier.unit();
        let digits = ring.constants.residue_digits();
        let count = signs * exponents.windows;
        // A first factor is a product already.
        let mut empty = vec![sums.is_empty(); count];
        let mut products: Vec<Number<U>> = if sums.is_empty() {
            let one = multiplier.load(&[&ring.one]);
            vec![one; count]
        } else {
            load_all(multiplier, sums, digits)
        };
        let job = |lane: usize| (group.start + lane).min(group.end - 1);
        let mut factor = multiplier.zero();
        let mut at = [0; 8];
        let mut flags = [0; 8];
        for window in 0..exponents.windows {
            let mut terms: [&[Digit]; 8] = [&[]; 8];
            for (lane, terms) in terms[..U::LANES].iter_mut().enumerate() {
                *terms = exponents.within(job(lane) % exponents.rows, window, part);
            }
            let longest = terms.iter().map(|terms| terms.len()).max().unwrap_or(0);
            for index in 0..longest {
                let mut negatives = 0;
                for lane in 0..U::LANES {
                    let first = job(lane) / exponents.rows * part.len();
                    // A lane that has no term left multiplies by the power of zero.
                    let (input, value, negative) =
                        terms[lane].get(index).map_or((first, 0, false), |digit| {
                            (first + digit.column - part.start, digit.value, digit.negative)
                        });
                    at[lane] = ((input << exponents.width) + usize::from(value)) * digits;
                    flags[lane] = u64::from(negative);
                    negatives += usize::from(negative);
                }
                for (offset, digit) in factor.digits_mut().iter_mut().enumerate() {
                    *digit = unit.gather_vartime(tables, &at[..U::LANES], offset);
                }
                if negatives == 0 || negatives == U::LANES {
                    let place = usize::from(negatives > 0) * exponents.windows + window;
                    if empty[place] {
                        products[place] = factor.clone();
                    } else {
                        multiplier.multiply(&mut products[place], &factor);
                    }
                    empty[place] = false;
                } else {
                    (empty[window], empty[exponents.windows + window]) = (false, false);
                    // Each lane continues the product of its sign.
                    let is_minus = unit.choice(unit.load_sum(&flags[..U::LANES]));
                    let (plus, minus) = products.split_at_mut(exponents.windows);
                    let (plus, minus) = (&mut plus[window], &mut minus[window]);
                    let mut chosen = plus.clone();
                    for (digit, minus) in chosen.digits_mut().iter_mut().zip(minus.digits()) {
                        *digit = unit.select(is_minus, *minus, *digit);
                    }
                    multiplier.multiply(&mut chosen, &factor);
                    for ((plus, minus), digit) in
                        plus.digits_mut().iter_mut().zip(minus.digits_mut()).zip(chosen.digits())
                    {
                        *minus = unit.select(is_minus, *digit, *minus);
                        *plus = unit.select(is_minus, *plus, *digit);
                    }
                }
            }
        }
        products
    }
}

/// Multiplies the powers of a tile into the products of one group of jobs.
struct Accumulate<'a> {
    tile: Tile<'a>,
    sums: &'a mut Vec<u64>,
}

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
impl Task for Accumulate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<U: Unit>(self, unit: U) {
        let Self { tile, sums } = self;
        let mut multiplier = Multiplier::new(unit, &tile.jobs.ring.constants);
        let size = tile.jobs.ring.constants.residue_digits() * U::LANES;
        let products = tile.products(&mut multiplier, sums);
        sums.resize(products.len() * size, 0);
        for (sums, product) in sums.chunks_exact_mut(size).zip(&products) {
            for (lanes, digit) in sums.chunks_exact_mut(U::LANES).zip(product.digits()) {
                unit.store(*digit, lanes);
            }
        }
    }
}

/// The same with the last tile, after which the products of all shares and then the windows are joined.
struct Finish<'a> {
    tile: Tile<'a>,
    /// share
    sums: Vec<&'a [u64]>,
}

#[expect(clippy::inline_always, reason = "compiled with the unit's instructions")]
impl Task for Finish<'_> {
    /// sign, job
    type Output = Vec<Vec<Residue>>;

    #[inline(always)]
    fn run<U: Unit>(self, unit: U) -> Self::Output {
        let Self { tile, sums } = self;
        let ring = tile.jobs.ring;
        let mut multiplier = Multiplier::new(unit, &ring.constants);
        let (first, others) =
            sums.split_first().map_or((&[][..], &[][..]), |(first, others)| (*first, others));
        let mut products = tile.products(&mut multiplier, first);
        for other in others {
            let other = load_all(&multiplier, other, ring.constants.residue_digits());
            for (product, other) in products.iter_mut().zip(&other) {
                multiplier.multiply(product, other);
            }
        }
        join(&mut multiplier, tile.jobs, &products, &tile.group)
    }
}
