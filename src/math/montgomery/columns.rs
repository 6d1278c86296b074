//! Products, squares and reductions of one number a lane, row by row into columns of sums that are wider than digits.

use crate::math::vector::{DIGIT_MASK, Residues, Unit};

/// Rows in one sweep.
pub(super) const WIDE: usize = 4;

/// Adds `2^52 - 1 - digit` to every column.
#[expect(clippy::inline_always, reason = "part of a task")]
#[inline(always)]
pub(super) fn complement<U: Unit>(unit: U, columns: &mut [U::Sum], digits: &[U::Digit]) {
    let top = unit.sum(DIGIT_MASK);
    for (column, digit) in columns.iter_mut().zip(digits) {
        *column = unit.add(*column, unit.subtract(top, unit.widen(*digit)));
    }
}

/// A product under way: what is added to, and both factors.
pub(super) type Product<'a, U> =
    (&'a mut [<U as Unit>::Sum], &'a [<U as Residues>::Digit], &'a [<U as Residues>::Digit]);

/// `columns += left * right` for every product. They take turns: what one waits for at the ends of a sweep is filled by the
/// next.
#[expect(clippy::inline_always, reason = "part of a task")]
#[inline(always)]
pub(super) fn product<U: Unit, const K: usize>(unit: U, mut products: [Product<'_, U>; K]) {
    let n = products[0].1.len();
    let mut at = 0;
    while at + WIDE <= n {
        for (columns, left, right) in &mut products {
            let factors = [left[at], left[at + 1], left[at + 2], left[at + 3]];
            sweep(unit, &mut columns[at..], &factors, right);
        }
        at += WIDE;
    }
    while at < n {
        for (columns, left, right) in &mut products {
            sweep_one(unit, &mut columns[at..], left[at], right);
        }
        at += 1;
    }
}

/// A square under way: what is added to, and the number.
pub(super) type Square<'a, U> = (&'a mut [<U as Unit>::Sum], &'a [<U as Residues>::Digit]);

/// `columns = 2 columns + number^2` for every square: the pairs of different digits once, then all doubled, then the squares
/// of digits.
#[expect(clippy::inline_always, reason = "part of a task")]
#[inline(always)]
pub(super) fn square<U: Unit, const K: usize>(unit: U, mut squares: [Square<'_, U>; K]) {
    let n = squares[0].1.len();
    let mut at = 0;
    while at + WIDE < n {
        for (columns, number) in &mut squares {
            let factors = [number[at], number[at + 1], number[at + 2], number[at + 3]];
            pairs(unit, &mut columns[2 * at..], &factors);
            sweep(unit, &mut columns[2 * at + WIDE..], &factors, &number[at + WIDE..]);
        }
        at += WIDE;
    }
    while at + 1 < n {
        for (columns, number) in &mut squares {
            sweep_one(unit, &mut columns[2 * at + 1..], number[at], &number[at + 1..]);
        }
        at += 1;
    }
    for (columns, number) in squares {
        for (pair, digit) in columns.chunks_exact_mut(2).zip(number) {
            let (low, high) = (unit.add(pair[0], pair[0]), unit.add(pair[1], pair[1]));
            (pair[0], pair[1]) = unit.multiply_add(low, high, *digit, *digit);
        }
    }
}

/// The products of different digits of one block.
#[expect(clippy::inline_always, reason = "part of a task")]
#[inline(always)]
pub(super) fn pairs<U: Unit>(unit: U, columns: &mut [U::Sum], digits: &[U::Digit; WIDE]) {
    for left in 0..WIDE {
        for right in left + 1..WIDE {
            let at = left + right;
            let (low, high) = (columns[at], columns[at + 1]);
            (columns[at], columns[at + 1]) = unit.multiply_add(low, high, digits[left], digits[right]);
        }
    }
}

/// The columns that four rows under way add to. Plain variables, so that they stay in registers.
pub(super) struct Window<U: Unit>(U::Sum, U::Sum, U::Sum, U::Sum);

#[expect(clippy::inline_always, reason = "part of a task")]
impl<U: Unit> Window<U> {
    /// The lowest four columns.
    #[inline(always)]
    fn open(columns: &[U::Sum]) -> Self {
        Self(columns[0], columns[1], columns[2], columns[3])
    }

    /// Adds the products of a digit with four factors; `next` is the column above the window.
    #[inline(always)]
    fn add(&mut self, unit: U, factors: &[U::Digit; WIDE], digit: U::Digit, next: &mut U::Sum) {
        (self.0, self.1) = unit.multiply_add(self.0, self.1, factors[0], digit);
        (self.1, self.2) = unit.multiply_add(self.1, self.2, factors[1], digit);
        (self.2, self.3) = unit.multiply_add(self.2, self.3, factors[2], digit);
        (self.3, *next) = unit.multiply_add(self.3, *next, factors[3], digit);
    }

    /// Moves up by one column; the lowest is complete.
    #[inline(always)]
    fn shift(&mut self, next: U::Sum) -> U::Sum {
        let lowest = self.0;
        (self.0, self.1, self.2, self.3) = (self.1, self.2, self.3, next);
        lowest
    }

    #[inline(always)]
    fn close(self, columns: &mut [U::Sum]) {
        (columns[0], columns[1], columns[2], columns[3]) = (self.0, self.1, self.2, self.3);
    }
}

/// `columns += factors * row`: one pass over the columns for four rows of the product.
#[expect(clippy::inline_always, reason = "part of a task")]
#[inline(always)]
pub(super) fn sweep<U: Unit>(unit: U, columns: &mut [U::Sum], factors: &[U::Digit; WIDE], row: &[U::Digit]) {
    let n = row.len();
    let columns = &mut columns[..n + WIDE];
    let mut window = Window::<U>::open(columns);
    for (at, digit) in row.iter().enumerate() {
        let mut next = columns[at + WIDE];
        window.add(unit, factors, *digit, &mut next);
        columns[at] = window.shift(next);
    }
    window.close(&mut columns[n..]);
}

/// The same for one row.
#[expect(clippy::inline_always, reason = "part of a task")]
#[inline(always)]
pub(super) fn sweep_one<U: Unit>(unit: U, columns: &mut [U::Sum], factor: U::Digit, row: &[U::Digit]) {
    let columns = &mut columns[..=row.len()];
    let mut under_way = columns[0];
    for (at, digit) in row.iter().enumerate() {
        let (low, high) = unit.multiply_add(under_way, columns[at + 1], factor, *digit);
        columns[at] = low;
        under_way = high;
    }
    columns[row.len()] = under_way;
}

/// Four rows of the reduction: the quotient's digits that make the lowest four columns multiples of 2^52, with the
/// triangle of products that this needs; the carry goes to the fifth column.
#[expect(clippy::inline_always, reason = "part of a task")]
#[inline(always)]
pub(super) fn eliminate<U: Unit>(
    unit: U,
    columns: &mut [U::Sum],
    modulus: &[U::Digit],
    inverse: U::Digit,
) -> [U::Digit; WIDE] {
    let (m0, m1, m2, m3) = (modulus[0], modulus[1], modulus[2], modulus[3]);
    let (c0, mut c1, mut c2, mut c3, mut c4) = (columns[0], columns[1], columns[2], columns[3], columns[4]);
    let q0 = unit.low_product(c0, inverse);
    let lowest;
    (lowest, c1) = unit.multiply_add(c0, c1, q0, m0);
    (c1, c2) = unit.multiply_add(c1, c2, q0, m1);
    (c2, c3) = unit.multiply_add(c2, c3, q0, m2);
    (c3, c4) = unit.multiply_add(c3, c4, q0, m3);
    c1 = unit.add(c1, unit.carry(lowest));
    let q1 = unit.low_product(c1, inverse);
    (c1, c2) = unit.multiply_add(c1, c2, q1, m0);
    (c2, c3) = unit.multiply_add(c2, c3, q1, m1);
    (c3, c4) = unit.multiply_add(c3, c4, q1, m2);
    c2 = unit.add(c2, unit.carry(c1));
    let q2 = unit.low_product(c2, inverse);
    (c2, c3) = unit.multiply_add(c2, c3, q2, m0);
    (c3, c4) = unit.multiply_add(c3, c4, q2, m1);
    c3 = unit.add(c3, unit.carry(c2));
    let q3 = unit.low_product(c3, inverse);
    (c3, c4) = unit.multiply_add(c3, c4, q3, m0);
    columns[4] = unit.add(c4, unit.carry(c3));
    [q0, q1, q2, q3]
}

/// What [`eliminate`] left of `columns += quotient * modulus`: the products beyond the lowest four columns.
#[expect(clippy::inline_always, reason = "part of a task")]
#[inline(always)]
pub(super) fn sweep_rest<U: Unit>(
    unit: U,
    columns: &mut [U::Sum],
    q: &[U::Digit; WIDE],
    modulus: &[U::Digit],
) {
    let n = modulus.len();
    let columns = &mut columns[..=n + WIDE];
    let mut window = Window::<U>::open(&columns[WIDE..]);
    (window.0, window.1) = unit.multiply_add(window.0, window.1, q[3], modulus[1]);
    (window.0, window.1) = unit.multiply_add(window.0, window.1, q[2], modulus[2]);
    (window.1, window.2) = unit.multiply_add(window.1, window.2, q[3], modulus[2]);
    (window.0, window.1) = unit.multiply_add(window.0, window.1, q[1], modulus[3]);
    (window.1, window.2) = unit.multiply_add(window.1, window.2, q[2], modulus[3]);
    (window.2, window.3) = unit.multiply_add(window.2, window.3, q[3], modulus[3]);
    let columns = &mut columns[WIDE..];
    for (at, digit) in modulus[WIDE..].iter().enumerate() {
        let mut next = columns[at + WIDE];
        window.add(unit, q, *digit, &mut next);
        columns[at] = window.shift(next);
    }
    window.close(&mut columns[n - WIDE..]);
}

/// One row of the reduction.
#[expect(clippy::inline_always, reason = "part of a task")]
#[inline(always)]
pub(super) fn eliminate_one<U: Unit>(
    unit: U,
    columns: &mut [U::Sum],
    modulus: &[U::Digit],
    inverse: U::Digit,
) -> U::Digit {
    let quotient = unit.low_product(columns[0], inverse);
    sweep_one(unit, columns, quotient, modulus);
    columns[1] = unit.add(columns[1], unit.carry(columns[0]));
    quotient
}

/// Digits from columns, of several numbers at the same time.
#[expect(clippy::inline_always, reason = "part of a task")]
#[inline(always)]
pub(super) fn carry_out<U: Unit, const K: usize>(
    unit: U,
    columns: [&[U::Sum]; K],
    digits: &mut [&mut [U::Digit]; K],
) {
    let mut carries = [unit.sum(0); K];
    for at in 0..digits[0].len() {
        for k in 0..K {
            let sum = unit.add(carries[k], columns[k][at]);
            digits[k][at] = unit.low_digit(sum);
            carries[k] = unit.carry(sum);
        }
    }
}
