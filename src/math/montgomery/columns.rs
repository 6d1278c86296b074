//! Products, squares and reductions of one number a lane.
//!
//! A number's digits come in blocks of [`TILE`], a product in *tiles*, the products of two blocks. All tiles whose blocks have the
//! same sum of positions add to the same few columns, which stay in registers, wider than digits, until they are complete:
//! a reduction that keeps pace with the product (Koç, Acar, Kaliski: "Analyzing and comparing Montgomery multiplication
//! algorithms", IEEE Micro 1996, finely integrated product scanning, here by blocks). The tiles of the next columns do not wait
//! for a quotient, which is a long chain of dependent steps.

use crate::math::vector::{Residues, Unit};

/// Digits of a block: a number's digits are a whole number of blocks.
pub(super) const TILE: usize = 5;

type Digit<U> = <U as Residues>::Digit;
type Block<U> = [Digit<U>; TILE];

/// The columns that the tiles of one anti-diagonal add to; where sums take long the halves of a product have sums of their own, so
/// that neither waits for the other.
struct Window<U: Unit> {
    /// column
    low: [U::Sum; 2 * TILE],
    /// column above this one
    high: [U::Sum; 2 * TILE - 1],
}

#[expect(clippy::inline_always, reason = "part of a task")]
impl<U: Unit> Window<U> {
    #[inline(always)]
    fn new(unit: U) -> Self {
        Self { low: [unit.sum(0); 2 * TILE], high: [unit.sum(0); 2 * TILE - 1] }
    }

    #[inline(always)]
    fn add(&mut self, unit: U, column: usize, left: Digit<U>, right: Digit<U>) {
        let low = self.low[column];
        if U::PATIENT {
            let above = self.low[column + 1];
            (self.low[column], self.low[column + 1]) = unit.multiply_add(low, above, left, right);
        } else {
            (self.low[column], self.high[column]) = unit.multiply_add(low, self.high[column], left, right);
        }
    }

    #[inline(always)]
    fn row(&mut self, unit: U, at: usize, left: Digit<U>, right: &Block<U>) {
        for (j, right) in right.iter().enumerate() {
            self.add(unit, at + j, left, *right);
        }
    }

    /// All products of two blocks.
    #[inline(always)]
    fn tile(&mut self, unit: U, left: &Block<U>, right: &Block<U>) {
        for (i, left) in left.iter().enumerate() {
            self.row(unit, i, *left, right);
        }
    }

    /// The square of a block from its digits, once and twice.
    #[inline(always)]
    fn middle(&mut self, unit: U, block: &Block<U>, doubled: &Block<U>) {
        for (i, left) in block.iter().enumerate() {
            self.add(unit, 2 * i, *left, *left);
            if let Some(next) = block.get(i + 1) {
                self.add(unit, 2 * i + 1, *left, twice(unit, *next));
            }
        }
        for (i, left) in block.iter().enumerate() {
            for (j, right) in doubled.iter().enumerate() {
                if j > i + 1 {
                    self.add(unit, i + j, *left, *right);
                }
            }
        }
    }

    /// The products of a block with twice the block above it.
    #[inline(always)]
    fn neighbours(&mut self, unit: U, block: &Block<U>, above: &Block<U>, doubled: &Block<U>) {
        let [rows @ .., last] = block;
        for (i, left) in rows.iter().enumerate() {
            self.row(unit, i, *left, doubled);
        }
        let mut doubled = *doubled;
        doubled[0] = twice(unit, above[0]);
        self.row(unit, TILE - 1, *last, &doubled);
    }

    /// Of the tile that [`eliminate`] began, the products beyond its columns, which are below this window.
    #[inline(always)]
    fn rest(&mut self, unit: U, quotient: &Block<U>, modulus: &Block<U>) {
        for (i, quotient) in quotient.iter().enumerate() {
            for (column, modulus) in modulus[TILE - i..].iter().enumerate() {
                self.add(unit, column, *quotient, *modulus);
            }
        }
    }

    /// The lowest columns, now complete; the window moves up by as many.
    #[inline(always)]
    fn complete(&mut self, unit: U) -> [U::Sum; TILE] {
        let (low, high) = (self.low, self.high);
        let mut columns = [low[0]; TILE];
        for k in 1..TILE {
            columns[k] = unit.add(low[k], high[k - 1]);
        }
        *self = Self::new(unit);
        self.low[..TILE].copy_from_slice(&low[TILE..]);
        self.high[..TILE - 1].copy_from_slice(&high[TILE..]);
        self.low[0] = unit.add(low[TILE], high[TILE - 1]);
        columns
    }
}

/// Both factors of a product, n digits each.
pub(super) type Factors<'a, U> = (&'a [Digit<U>], &'a [Digit<U>]);

/// What is added up: products of numbers of n digits, and the square of one.
pub(super) struct Terms<'a, U: Unit, const K: usize> {
    pub(super) products: [Factors<'a, U>; K],
    /// The number, and its [double](double).
    pub(super) square: Option<Factors<'a, U>>,
}

/// The digits of twice a number.
#[expect(clippy::inline_always, reason = "part of a task")]
#[inline(always)]
pub(super) fn double<U: Unit>(unit: U, number: &[Digit<U>], out: &mut [Digit<U>]) {
    let mut carry = unit.sum(0);
    for (digit, doubled) in number.iter().zip(out) {
        let sum = unit.add(unit.widen(*digit), unit.widen(*digit));
        *doubled = unit.low_digit(unit.add(sum, carry));
        carry = unit.carry(sum);
    }
}

/// The digit of a double without what is carried into it. The products of a digit with twice all digits above it are those with
/// the digits of the double, except for the lowest, into which the digit itself was carried.
#[expect(clippy::inline_always, reason = "part of a task")]
#[inline(always)]
fn twice<U: Unit>(unit: U, digit: Digit<U>) -> Digit<U> {
    unit.low_digit(unit.add(unit.widen(digit), unit.widen(digit)))
}

/// The modulus in all lanes.
pub(super) struct Modulus<U: Unit> {
    /// n digits
    pub(super) digits: Vec<Digit<U>>,
    /// The lowest digits of -1 / s.
    pub(super) inverse: Block<U>,
}

/// What a column has too much of after so many products of n by n digits and a square.
#[expect(clippy::inline_always, reason = "part of a task")]
#[inline(always)]
fn bias<U: Unit>(n: usize, column: usize, products: usize, square: bool) -> u64 {
    if U::LOW_BIAS == 0 && U::HIGH_BIAS == 0 {
        return 0;
    }
    // Products of digits whose low half falls into a column.
    let lows = |column: usize| {
        let lows = (column + 1).min((2 * n - 1).saturating_sub(column));
        (products * lows + if square { lows.div_ceil(2) } else { 0 }) as u64
    };
    let highs = if column == 0 { 0 } else { lows(column - 1) };
    U::LOW_BIAS.wrapping_mul(lows(column)).wrapping_add(U::HIGH_BIAS.wrapping_mul(highs))
}

/// Montgomery's reduction of a sum: the quotient, and `(sum + quotient * modulus) / R` in digits. `start` is what a column, of 2n,
/// has in it before.
#[expect(clippy::inline_always, reason = "part of a task")]
#[inline(always)]
pub(super) fn reduce<U: Unit, const K: usize>(
    unit: U,
    terms: &Terms<'_, U, K>,
    start: impl Fn(usize) -> U::Sum,
    modulus: &Modulus<U>,
    quotient: &mut [Digit<U>],
    out: &mut [Digit<U>],
) {
    let blocks = |digits| <[Digit<U>]>::as_chunks::<TILE>(digits).0;
    let (products, square) = (terms.products.map(|(x, y)| (blocks(x), blocks(y))), terms.square);
    let square = square.map(|(number, doubled)| (blocks(number), blocks(doubled)));
    let digits = blocks(&modulus.digits);
    let (quotient, out) = (quotient.as_chunks_mut::<TILE>().0, out.as_chunks_mut::<TILE>().0);
    let n = digits.len();
    let mut window = Window::new(unit);
    let mut carry = unit.sum(0);
    for at in 0..2 * n {
        let lowest = (at + 1).saturating_sub(n);
        if let Some((number, doubled)) = square {
            for i in lowest..at / 2 {
                window.tile(unit, &number[i], &doubled[at - i]);
            }
            if at % 2 == 0 {
                window.middle(unit, &number[at / 2], &doubled[at / 2]);
            } else if lowest <= at / 2 {
                let above = at / 2 + 1;
                window.neighbours(unit, &number[at / 2], &number[above], &doubled[above]);
            }
        }
        for (left, right) in &products {
            for i in lowest..n.min(at + 1) {
                window.tile(unit, &left[i], &right[at - i]);
            }
        }
        // The newest quotient last.
        for i in lowest..n.min(at) {
            window.tile(unit, &quotient[i], &digits[at - i]);
        }
        if (1..=n).contains(&at) {
            window.rest(unit, &quotient[at - 1], &digits[0]);
        }
        let mut columns = window.complete(unit);
        for (k, column) in columns.iter_mut().enumerate() {
            let at = at * TILE + k;
            // The reduction is a product too.
            let bias = unit.sum(bias::<U>(TILE * n, at, K + 1, square.is_some()));
            *column = unit.add(*column, unit.subtract(start(at), bias));
        }
        columns[0] = unit.add(columns[0], carry);
        if let Some(out) = at.checked_sub(n).and_then(|at| out.get_mut(at)) {
            carry = unit.sum(0);
            for (column, digit) in columns.into_iter().zip(out) {
                let sum = unit.add(column, carry);
                *digit = unit.low_digit(sum);
                carry = unit.carry(sum);
            }
        } else {
            (quotient[at], carry) = eliminate(unit, &columns, &digits[0], &modulus.inverse);
        }
    }
}

/// The quotient's digits that make these columns multiples of 2^52, and what is carried beyond them. Products with the quotient are
/// counted in what the columns lack.
#[expect(clippy::inline_always, reason = "part of a task")]
#[inline(always)]
fn eliminate<U: Unit>(
    unit: U,
    complete: &[U::Sum; TILE],
    modulus: &Block<U>,
    inverse: &Block<U>,
) -> (Block<U>, U::Sum) {
    let mut columns = [unit.sum(0); TILE + 1];
    columns[..TILE].copy_from_slice(complete);
    if U::PATIENT {
        // All digits by one product with the inverse, and what they carry by another.
        let lacking = lacking(unit);
        for (column, lacking) in columns.iter_mut().zip(lacking) {
            *column = unit.subtract(*column, lacking);
        }
        let (low, carry) = digits(unit, &columns);
        let (quotient, _) = digits(unit, &triangle(unit, lacking, &low, inverse));
        let mut sums = triangle(unit, lacking, &quotient, modulus);
        for (sum, digit) in sums.iter_mut().zip(low) {
            *sum = unit.add(*sum, unit.widen(digit));
        }
        let (_, more) = digits(unit, &sums);
        return (quotient, unit.add(carry, more));
    }
    let mut quotient = *inverse;
    for (i, digit) in quotient.iter_mut().enumerate() {
        // This product too is in what the column lacks.
        let sum = unit.add(columns[i], unit.sum(U::LOW_BIAS));
        *digit = unit.low_product(sum, inverse[0]);
        for (at, modulus) in (i..TILE).zip(modulus) {
            (columns[at], columns[at + 1]) =
                unit.multiply_add(columns[at], columns[at + 1], *digit, *modulus);
        }
        columns[i + 1] = unit.add(columns[i + 1], unit.carry(columns[i]));
    }
    (quotient, columns[TILE])
}

/// What columns lack before the products of a [`triangle`] are added.
#[expect(clippy::inline_always, reason = "part of a task")]
#[inline(always)]
fn lacking<U: Unit>(unit: U) -> [U::Sum; TILE + 1] {
    let mut columns = [unit.sum(0); TILE + 1];
    for (k, column) in columns.iter_mut().enumerate() {
        let lows = if k < TILE { k as u64 + 1 } else { 0 };
        let bias = U::LOW_BIAS.wrapping_mul(lows).wrapping_add(U::HIGH_BIAS.wrapping_mul(k as u64));
        *column = unit.sum(0_u64.wrapping_sub(bias));
    }
    columns
}

/// Adds the products of two blocks whose low halves belong to the lowest columns.
#[expect(clippy::inline_always, reason = "part of a task")]
#[inline(always)]
fn triangle<U: Unit>(
    unit: U,
    mut columns: [U::Sum; TILE + 1],
    left: &Block<U>,
    right: &Block<U>,
) -> [U::Sum; TILE + 1] {
    for (i, left) in left.iter().enumerate() {
        for (at, right) in (i..TILE).zip(right) {
            (columns[at], columns[at + 1]) = unit.multiply_add(columns[at], columns[at + 1], *left, *right);
        }
    }
    columns
}

/// The lowest digits of columns, and what is carried to the one above them, with what it has.
#[expect(clippy::inline_always, reason = "part of a task")]
#[inline(always)]
fn digits<U: Unit>(unit: U, columns: &[U::Sum; TILE + 1]) -> (Block<U>, U::Sum) {
    let mut carry = unit.sum(0);
    let mut block = [unit.digit(0); TILE];
    for (column, digit) in columns.iter().zip(&mut block) {
        let sum = unit.add(*column, carry);
        *digit = unit.low_digit(sum);
        carry = unit.carry(sum);
    }
    (block, unit.add(columns[TILE], carry))
}
