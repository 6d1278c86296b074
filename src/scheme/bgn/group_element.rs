//! Elements of the three groups: products with secret numbers in constant time, and encodings.

use std::sync::LazyLock;

use blstrs::{Compress, Fp12, G1Affine, G1Projective, G2Affine, G2Projective, Gt, Scalar};
use group::{Curve, Group};
use subtle::{ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroizing;

use super::Summand;

/// Bits of a window of an exponent: 16 entries are read for every one that is used.
const WINDOW_BITS: usize = 4;
const ENTRIES: usize = 1 << WINDOW_BITS;

/// Bytes of an encoded element of the first group, the second, and the target group.
pub(super) const G1_BYTES: usize = 48;
pub(super) const G2_BYTES: usize = 96;
pub(super) const GT_BYTES: usize = 288;

/// Of the generators G, H, and g = e(G, H).
pub(super) static G_TABLE: LazyLock<Table<G1Projective>> =
    LazyLock::new(|| Table::new(G1Projective::generator()));
pub(super) static H_TABLE: LazyLock<Table<G2Projective>> =
    LazyLock::new(|| Table::new(G2Projective::generator()));
pub(super) static T_TABLE: LazyLock<Table<Gt>> = LazyLock::new(|| Table::new(Gt::generator()));

/// A group of which tables are made. All three are written additively, as the crate writes them.
pub(super) trait Element: Group<Scalar = Scalar> {
    /// An element as tables hold it, which can be chosen in constant time.
    type Entry: ConditionallySelectable + Send + Sync;

    fn entry(&self) -> Self::Entry;

    fn plus_entry(&self, entry: &Self::Entry) -> Self;
}

impl Element for G1Projective {
    type Entry = G1Affine;

    fn entry(&self) -> G1Affine {
        self.to_affine()
    }

    fn plus_entry(&self, entry: &G1Affine) -> Self {
        self + entry
    }
}

impl Element for G2Projective {
    type Entry = G2Affine;

    fn entry(&self) -> G2Affine {
        self.to_affine()
    }

    fn plus_entry(&self, entry: &G2Affine) -> Self {
        self + entry
    }
}

impl Element for Gt {
    type Entry = Fp12;

    fn entry(&self) -> Fp12 {
        (*self).into()
    }

    fn plus_entry(&self, entry: &Fp12) -> Self {
        self + Self::from(*entry)
    }
}

/// Multiples of one element for products with scalars: `digit * 16^i` times the element for all digits and windows i.
pub(super) struct Table<E: Element> {
    windows: Vec<[E::Entry; ENTRIES]>,
}

impl<E: Element> Table<E> {
    pub(super) fn new(element: E) -> Self {
        let shift = |base: &E| (0..WINDOW_BITS).fold(*base, |sum, _| sum.double());
        let bases = std::iter::successors(Some(element), |base| Some(shift(base)));
        Self { windows: bases.take(256 / WINDOW_BITS).map(|base| multiples(&base)).collect() }
    }

    /// The element times a scalar, in the same time for every scalar.
    pub(super) fn multiply(&self, scalar: &Scalar) -> E {
        let digits = digits(scalar);
        let windows = self.windows.iter().zip(&*digits);
        windows.fold(E::identity(), |sum, (entries, digit)| sum.plus_entry(&choose(entries, *digit)))
    }

    /// The same for a scalar that is no secret: fast where it or its negative is short.
    pub(super) fn multiply_vartime(&self, scalar: &Scalar) -> E {
        let last = |digits: &[u8]| digits.iter().rposition(|digit| *digit != 0);
        let (forth, back) = (digits(scalar), digits(&-scalar));
        let negative = last(&*back) < last(&*forth);
        let windows = self.windows.iter().zip(if negative { &*back } else { &*forth });
        let used = windows.filter(|(_, digit)| **digit != 0);
        let sum =
            used.fold(E::identity(), |sum, (entries, digit)| sum.plus_entry(&entries[usize::from(*digit)]));
        if negative { -sum } else { sum }
    }
}

/// The sum of three elements of the target group, each times a scalar, in the same time for all scalars.
///
/// The crate's own product in this group branches on the bits of the scalar.
pub(super) fn secret_sum(terms: &[(Gt, &Scalar); 3]) -> Gt {
    let terms = terms.each_ref().map(|(element, scalar)| (multiples(element), digits(scalar)));
    (0..256 / WINDOW_BITS).rev().fold(Gt::identity(), |sum, window| {
        let shifted = (0..WINDOW_BITS).fold(sum, |sum, _| sum.double());
        let add = |sum: Gt, (entries, digits): &(_, Digits)| sum.plus_entry(&choose(entries, digits[window]));
        terms.iter().fold(shifted, add)
    })
}

type Digits = Zeroizing<[u8; 256 / WINDOW_BITS]>;

/// 0 to 15 times the element.
fn multiples<E: Element>(element: &E) -> [E::Entry; ENTRIES] {
    let mut multiple = E::identity();
    std::array::from_fn(|_| {
        let entry = multiple.entry();
        multiple += element;
        entry
    })
}

/// The windows of a scalar, lowest first.
fn digits(scalar: &Scalar) -> Digits {
    let bytes = Zeroizing::new(scalar.to_bytes_le());
    let mut digits = Zeroizing::new([0; 256 / WINDOW_BITS]);
    for (pair, byte) in digits.chunks_exact_mut(2).zip(&*bytes) {
        pair.copy_from_slice(&[byte & 15, byte >> 4]);
    }
    digits
}

/// The entry of a secret number; all of them are read.
fn choose<T: ConditionallySelectable>(entries: &[T; ENTRIES], digit: u8) -> T {
    let mut chosen = entries[0];
    for (number, entry) in (0_u8..).zip(entries).skip(1) {
        chosen.conditional_assign(entry, number.ct_eq(&digit));
    }
    chosen
}

/// The first halves of ciphertexts, and the second ones, and products.
impl Summand for ([G1Projective; 2], [G2Projective; 2]) {
    fn zero() -> Self {
        ([G1Projective::identity(); 2], [G2Projective::identity(); 2])
    }

    fn plus(&self, other: &Self) -> Self {
        let ((a, b), (c, d)) = (self, other);
        ([a[0] + c[0], a[1] + c[1]], [b[0] + d[0], b[1] + d[1]])
    }

    fn minus(&self, other: &Self) -> Self {
        let ((a, b), (c, d)) = (self, other);
        ([a[0] - c[0], a[1] - c[1]], [b[0] - d[0], b[1] - d[1]])
    }

    fn twice(&self) -> Self {
        (self.0.map(|part| part.double()), self.1.map(|part| part.double()))
    }
}

impl Summand for [Gt; 4] {
    fn zero() -> Self {
        [Gt::identity(); 4]
    }

    fn plus(&self, other: &Self) -> Self {
        std::array::from_fn(|i| self[i] + other[i])
    }

    fn minus(&self, other: &Self) -> Self {
        std::array::from_fn(|i| self[i] - other[i])
    }

    fn twice(&self) -> Self {
        self.map(|part| part.double())
    }
}

/// The element of the first group with this encoding.
pub(super) fn decode_g1(bytes: &[u8]) -> Option<G1Projective> {
    G1Projective::from_compressed(bytes.try_into().ok()?).into_option()
}

/// The element of the second group with this encoding.
pub(super) fn decode_g2(bytes: &[u8]) -> Option<G2Projective> {
    G2Projective::from_compressed(bytes.try_into().ok()?).into_option()
}

/// The torus form of an element of the target group: of `a + bw` the quotient `(a + 1) / b`, six numbers of the
/// prime field with the lowest byte first. The identity, which has none, is given as 0, the form of -1, which is not in
/// the group.
pub(super) fn encode_gt(element: &Gt, out: &mut Vec<u8>) {
    let length = out.len() + GT_BYTES;
    if !bool::from(element.is_identity()) {
        // A vector takes whatever is written.
        let _written = element.write_compressed(&mut *out);
    }
    out.resize(length, 0);
}

/// The element of the target group with this encoding.
///
/// What is in torus form is of norm 1, and blst checks whether it has the group's order, with one Frobenius map and one
/// power (Scott, "A note on group membership tests for G1, G2 and GT on BLS pairing-friendly curves", 2021).
pub(super) fn decode_gt(bytes: &[u8]) -> Option<Gt> {
    if bytes.len() != GT_BYTES {
        return None;
    }
    if bytes.iter().all(|byte| *byte == 0) {
        return Some(Gt::identity());
    }
    Gt::read_compressed(bytes).ok()
}
