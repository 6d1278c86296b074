//! Dot products of group elements with rows of integers, fast for short ones.
//!
//! Straus's method (American Mathematical Monthly 70, 1964) with signed digits: an integer is written in the
//! non-adjacent form of a width w, whose digits are odd or zero, below `2^(w-1)` in magnitude, and at most one in w in a
//! row is not zero. Odd multiples of an input are computed once for all rows, and the terms of a row share their
//! doublings. With weights of b bits, one weight costs about b/(w + 1) additions and a row b doublings.

use curve25519_dalek::{RistrettoPoint, traits::Identity};
use num_bigint::{BigInt, BigUint, Sign};
use num_integer::Integer;

use crate::math::{
    pool::map,
    rows::{Rows, Term},
};

/// What is summed: some group elements that are always multiplied by the same number.
pub(in crate::scheme) trait Summand: Copy + Send + Sync {
    /// The neutral element.
    fn zero() -> Self;

    /// The sum.
    fn plus(&self, other: &Self) -> Self;

    /// The difference.
    fn minus(&self, other: &Self) -> Self;

    /// The double.
    fn twice(&self) -> Self {
        self.plus(self)
    }
}

impl Summand for [RistrettoPoint; 2] {
    fn zero() -> Self {
        [RistrettoPoint::identity(); 2]
    }

    fn plus(&self, other: &Self) -> Self {
        [self[0] + other[0], self[1] + other[1]]
    }

    fn minus(&self, other: &Self) -> Self {
        [self[0] - other[0], self[1] - other[1]]
    }
}

/// Inputs that one task has tables for. More would save doublings, fewer memory: the greatest tables have 64 pairs each.
const INPUTS_PER_TASK: usize = 256;
/// Widths of the digits: from no table to tables of 64 entries.
const WIDTHS: std::ops::RangeInclusive<u32> = 2..=8;

/// A digit that is not zero, and the input that it belongs to.
struct Multiple {
    input: u16,
    digit: i16,
}

/// For every sample, a stretch of as many inputs as there are columns, and every row, sample by sample, the sum of weighted
/// inputs. Where there are no columns there is one sample.
pub(in crate::scheme) fn dot_products<S: Summand>(inputs: &[S], rows: &Rows<'_>, order: &BigUint) -> Vec<S> {
    let zero = || vec![S::zero(); rows.len()];
    let columns = rows.columns();
    if columns == 0 {
        return zero();
    }
    let starts = (0..columns).step_by(INPUTS_PER_TASK);
    let plans = map(starts, |start| Plan::new(start, rows, order));
    let sums = map(inputs.chunks_exact(columns), |sample| {
        let parts = map(&plans, |plan| plan.sums(&sample[plan.start..])).into_iter();
        let sum = parts.reduce(|left, right| left.iter().zip(&right).map(|(a, b)| a.plus(b)).collect());
        sum.unwrap_or_else(zero)
    });
    sums.into_iter().flatten().collect()
}

/// What is to be done with a stretch of inputs of every sample.
struct Plan {
    /// Of the stretch.
    start: usize,
    inputs: usize,
    width: u32,
    /// For every row the digits that are not zero, by position, lowest first.
    rows: Vec<Vec<Vec<Multiple>>>,
}

impl Plan {
    fn new(start: usize, rows: &Rows<'_>, order: &BigUint) -> Self {
        let inputs = INPUTS_PER_TASK.min(rows.columns() - start);
        let weights = |row: &[Term<'_>]| -> Vec<(u16, BigInt)> {
            let first = row.partition_point(|(column, _)| *column < start);
            let terms = row[first..].iter().map_while(|&(column, weight)| {
                let input = column - start;
                // Inputs of a task are far fewer.
                (input < inputs).then(|| (u16::try_from(input).unwrap_or(u16::MAX), shorten(weight, order)))
            });
            terms.collect()
        };
        let rows: Vec<_> = rows.iter().map(weights).collect();
        let width = best_width(inputs, &rows);
        Self { start, inputs, width, rows: map(&rows, |row| by_position(row, width)) }
    }

    /// The sums over the inputs of the stretch, which are those in front.
    fn sums<S: Summand>(&self, inputs: &[S]) -> Vec<S> {
        let inputs = &inputs[..self.inputs];
        let tables = map(inputs, |input| odd_multiples(input, self.width));
        map(&self.rows, |row| dot_product(&tables, row))
    }
}

/// The weight, or where it is about as long as the order or longer, a number below the order in magnitude that is congruent
/// to it.
fn shorten(weight: &BigInt, order: &BigUint) -> BigInt {
    let long = order.bits() - 2;
    if weight.bits() <= long {
        return weight.clone();
    }
    let order = BigInt::from(order.clone());
    let residue = weight.mod_floor(&order);
    if residue.bits() > long { residue - order } else { residue }
}

/// The width that makes the least additions.
fn best_width(inputs: usize, rows: &[Vec<(u16, BigInt)>]) -> u32 {
    let inputs = inputs as u64;
    let bits: u64 = rows.iter().flatten().map(|(_, weight)| weight.bits()).sum();
    let cost = |width: u32| {
        let table = if width == 2 { 0 } else { inputs << (width - 2) };
        table + bits / u64::from(width + 1)
    };
    WIDTHS.min_by_key(|&width| cost(width)).unwrap_or(2)
}

/// The input times 1, 3, 5, ... below `2^(width - 1)`.
fn odd_multiples<S: Summand>(input: &S, width: u32) -> Vec<S> {
    let count = 1 << (width - 2);
    if count == 1 {
        return vec![*input];
    }
    let twice = input.twice();
    std::iter::successors(Some(*input), |multiple| Some(multiple.plus(&twice))).take(count).collect()
}

/// The digits of a row that are not zero, by position, lowest first.
fn by_position(row: &[(u16, BigInt)], width: u32) -> Vec<Vec<Multiple>> {
    let mut positions = Vec::new();
    for (input, weight) in row {
        let negative = weight.sign() == Sign::Minus;
        for (position, digit) in non_adjacent_form(weight.magnitude(), width) {
            if positions.len() <= position {
                positions.resize_with(position + 1, Vec::new);
            }
            let digit = if negative { -digit } else { digit };
            positions[position].push(Multiple { input: *input, digit });
        }
    }
    positions
}

/// The positions and digits of the non-adjacent form of a number: `number = sum of digit * 2^position`.
fn non_adjacent_form(number: &BigUint, width: u32) -> Vec<(usize, i16)> {
    let mut words: Vec<u64> = number.iter_u64_digits().collect();
    // Room for a carry, and for reading two words at once.
    words.extend([0, 0]);
    let bits_from = |position: usize| {
        let (word, shift) = (position / 64, position % 64);
        let both = u128::from(words[word]) | u128::from(words[word + 1]) << 64;
        #[expect(clippy::cast_possible_truncation, reason = "the lower half is wanted")]
        let low = (both >> shift) as u64;
        low
    };
    let end = (words.len() - 1) * 64;
    let (mut position, mut carry, mut digits) = (0, 0, Vec::new());
    while position < end {
        // Below 2^8 plus one.
        #[expect(clippy::cast_possible_truncation, reason = "masked to 8 bits")]
        let window = (bits_from(position) & ((1 << width) - 1)) as i16 + carry;
        if window % 2 == 0 {
            position += 1;
            continue;
        }
        // A digit in the upper half is made negative, and one is carried to the next.
        let (digit, next) = if window >= 1 << (width - 1) { (window - (1 << width), 1) } else { (window, 0) };
        digits.push((position, digit));
        carry = next;
        position += width as usize;
    }
    digits
}

/// The sum of one row from the digits of its weights and the odd multiples of its inputs.
fn dot_product<S: Summand>(tables: &[Vec<S>], positions: &[Vec<Multiple>]) -> S {
    positions.iter().rev().fold(S::zero(), |sum, terms| {
        terms.iter().fold(sum.twice(), |sum, term| {
            let multiple = &tables[usize::from(term.input)][usize::from(term.digit.unsigned_abs() / 2)];
            if term.digit < 0 { sum.minus(multiple) } else { sum.plus(multiple) }
        })
    })
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::Scalar;
    use num_traits::One;
    use proptest::prelude::*;

    use super::*;

    type Pair = [RistrettoPoint; 2];

    fn order() -> BigUint {
        BigUint::from_bytes_le((-Scalar::ONE).as_bytes()) + 1_u32
    }

    fn scalar(number: &BigInt) -> Scalar {
        let residue = number.mod_floor(&order().into()).magnitude().to_bytes_le();
        let mut bytes = [0; 32];
        bytes[..residue.len()].copy_from_slice(&residue);
        Scalar::from_bytes_mod_order(bytes)
    }

    /// Multiples of the generator that are all different.
    fn inputs(count: usize) -> Vec<Pair> {
        let point = |i: usize| RistrettoPoint::mul_base(&Scalar::from(i as u64).invert());
        (1..=count).map(|i| [point(2 * i), point(2 * i + 1)]).collect()
    }

    /// The same with the products of the crate.
    fn slow(inputs: &[Pair], rows: &[Vec<BigInt>]) -> Vec<Pair> {
        let columns = rows[0].len();
        let sum = |sample: &[Pair], row: &[BigInt]| {
            let part =
                |i: usize| sample.iter().zip(row).map(|(input, weight)| input[i] * scalar(weight)).sum();
            [part(0), part(1)]
        };
        inputs.chunks_exact(columns).flat_map(|sample| rows.iter().map(move |row| sum(sample, row))).collect()
    }

    fn fast(inputs: &[Pair], rows: &[Vec<BigInt>]) -> Vec<Pair> {
        let rows: Vec<_> = rows.iter().map(Vec::as_slice).collect();
        dot_products(inputs, &Rows::dense(&rows), &order())
    }

    #[test]
    fn stretches_of_long_rows_come_together() {
        let weight = |i: usize| BigInt::from(i * 2_654_435_761 % 65_537) - 32_768;
        for columns in [INPUTS_PER_TASK, INPUTS_PER_TASK + 1, 2 * INPUTS_PER_TASK + 7] {
            let rows: Vec<Vec<_>> =
                (0..3).map(|row| (0..columns).map(|i| weight(i + row)).collect()).collect();
            let inputs = inputs(2 * columns);
            assert_eq!(fast(&inputs, &rows), slow(&inputs, &rows));
        }
    }

    /// All of them give the same, so another test is needed for the choice.
    #[test]
    fn wide_digits_are_chosen_where_tables_are_shared() {
        let row = |weight: i64| -> Vec<_> { (0..10).map(|input| (input, weight.into())).collect() };
        let width = |rows: usize, weight: i64| best_width(10, &vec![row(weight); rows]);
        assert_eq!([width(1, 1), width(1, 1 << 15), width(10, 1 << 15), width(1000, 1 << 15)], [2, 2, 5, 8]);
    }

    proptest! {
        #[test]
        fn dot_products_are_sums_of_products(
            columns in 1_usize..5,
            samples in 1_usize..3,
            rows in 1_usize..12,
            numbers in prop::collection::vec((any::<[u8; 40]>(), 0_u32..320, any::<bool>()), 60),
        ) {
            // Of all lengths up to 320 bits, down to zero.
            let weight = |(bytes, cut, negative): &([u8; 40], u32, bool)| {
                let magnitude = BigInt::from(BigUint::from_bytes_le(bytes) >> *cut);
                if *negative { -magnitude } else { magnitude }
            };
            let weights: Vec<_> = numbers.iter().map(weight).collect();
            let rows: Vec<_> = (0..rows).map(|row| weights[row * columns..(row + 1) * columns].to_vec()).collect();
            let inputs = inputs(columns * samples);
            prop_assert_eq!(fast(&inputs, &rows), slow(&inputs, &rows));
        }

        #[test]
        fn the_non_adjacent_form_has_the_value_of_the_number(
            bytes in prop::collection::vec(any::<u8>(), 0..34),
            ones in 0_u32..200,
            width in WIDTHS,
        ) {
            // Long runs of ones carry far.
            let number = (BigUint::from_bytes_le(&bytes) << ones) | ((BigUint::one() << ones) - 1_u32);
            let digits = non_adjacent_form(&number, width);
            let value: BigInt = digits.iter().map(|&(position, digit)| BigInt::from(digit) << position).sum();
            prop_assert_eq!(value, BigInt::from(number));
            prop_assert!(digits.iter().all(|(_, digit)| digit % 2 != 0 && digit.unsigned_abs() < 1 << (width - 1)));
            prop_assert!(digits.windows(2).all(|pair| pair[1].0 - pair[0].0 >= width as usize));
        }
    }
}
