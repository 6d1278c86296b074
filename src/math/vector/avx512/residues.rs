//! Residues in AVX-512. The blocks of `unsafe` rely on the units' existence, as in the module above.
#![expect(clippy::inline_always, reason = "a task is compiled as one function")]

use std::arch::x86_64::{
    __m512d, __m512i, _CMP_LT_OQ, _mm512_add_pd, _mm512_castpd_si512, _mm512_castsi512_pd,
    _mm512_cmp_pd_mask, _mm512_cvtepu64_pd, _mm512_cvtpd_epu64, _mm512_fmadd_pd, _mm512_fmsub_pd,
    _mm512_fnmadd_pd, _mm512_madd52hi_epu64, _mm512_madd52lo_epu64, _mm512_mask_add_pd, _mm512_mul_pd,
    _mm512_permutex2var_epi64, _mm512_set_epi64, _mm512_set1_pd, _mm512_setzero_pd, _mm512_setzero_si512,
    _mm512_shuffle_i64x2, _mm512_sub_pd, _mm512_unpackhi_epi64, _mm512_unpacklo_epi64,
};

use super::{Float512, Ifma512, LANES, lanes};
use crate::math::vector::{
    float::Doubles,
    residues::{Residues, integer_words},
};

/// The transpose of a square of 64 numbers.
#[inline(always)]
fn transposed(rows: [__m512i; 8]) -> [__m512i; 8] {
    let [a, b, c, d, e, f, g, h] = rows;
    let ((a, b), (c, d)) = (pairs(a, b), pairs(c, d));
    let ((e, f), (g, h)) = (pairs(e, f), pairs(g, h));
    let ((a, c), (b, d)) = (fours(a, c), fours(b, d));
    let ((e, g), (f, h)) = (fours(e, g), fours(f, h));
    let ((a, e), (b, f)) = (halves(a, e), halves(b, f));
    let ((c, g), (d, h)) = (halves(c, g), halves(d, h));
    [a, b, c, d, e, f, g, h]
}

/// The transposes of squares of two, of four made of such squares, and of eight.
#[inline(always)]
fn pairs(x: __m512i, y: __m512i) -> (__m512i, __m512i) {
    // SAFETY: called through a unit only, whose existence proves AVX-512 F; register arithmetic only.
    unsafe { (_mm512_unpacklo_epi64(x, y), _mm512_unpackhi_epi64(x, y)) }
}

#[inline(always)]
fn fours(x: __m512i, y: __m512i) -> (__m512i, __m512i) {
    // SAFETY: as above.
    unsafe {
        let low = _mm512_set_epi64(13, 12, 5, 4, 9, 8, 1, 0);
        let high = _mm512_set_epi64(15, 14, 7, 6, 11, 10, 3, 2);
        (_mm512_permutex2var_epi64(x, low, y), _mm512_permutex2var_epi64(x, high, y))
    }
}

#[inline(always)]
fn halves(x: __m512i, y: __m512i) -> (__m512i, __m512i) {
    // SAFETY: as above.
    unsafe { (_mm512_shuffle_i64x2::<0b0100_0100>(x, y), _mm512_shuffle_i64x2::<0b1110_1110>(x, y)) }
}

#[inline(always)]
fn load_transposed(block: &[u64; 64]) -> [__m512i; 8] {
    let mut rows = [lanes::splat(0); 8];
    for (row, lanes) in rows.iter_mut().zip(block.chunks_exact(LANES)) {
        *row = lanes::load(lanes);
    }
    transposed(rows)
}

#[inline(always)]
fn store_transposed(vectors: [__m512i; 8], block: &mut [u64; 64]) {
    for (vector, lanes) in transposed(vectors).into_iter().zip(block.chunks_exact_mut(LANES)) {
        lanes::store(vector, lanes);
    }
}

/// A prime for integers.
#[derive(Clone, Copy)]
pub(crate) struct IfmaModulus {
    prime: __m512i,
    twice: __m512i,
    /// 2^52, and 1
    radix: [__m512i; 2],
    one: [__m512i; 2],
}

impl Residues for Ifma512 {
    type Digit = __m512i;
    type Modulus = IfmaModulus;
    type Factor = [__m512i; 2];
    type Products = [__m512i; 2];

    const TERMS: usize = 14;
    const RATIOS: bool = true;

    fn words(value: u64, prime: u64) -> [u64; 2] {
        integer_words(value, prime)
    }

    #[inline(always)]
    fn modulus(self, prime: u64) -> IfmaModulus {
        IfmaModulus {
            prime: lanes::splat(prime),
            twice: lanes::splat(2 * prime),
            radix: self.factor(integer_words((1 << 52) % prime, prime)),
            one: self.factor(integer_words(1, prime)),
        }
    }

    #[inline(always)]
    fn factor(self, words: [u64; 2]) -> [__m512i; 2] {
        [lanes::splat(words[0]), lanes::splat(words[1])]
    }

    #[inline(always)]
    fn load_factors(self, values: &[u64], ratios: &[u64], at: usize) -> [__m512i; 2] {
        [lanes::load(&values[at..at + LANES]), lanes::load(&ratios[at..at + LANES])]
    }

    #[inline(always)]
    fn constant(self, residue: u64) -> __m512i {
        lanes::splat(residue)
    }

    #[inline(always)]
    fn enter(self, lanes: &[u64]) -> __m512i {
        lanes::load(lanes)
    }

    #[inline(always)]
    fn leave(self, x: __m512i, modulus: &IfmaModulus, lanes: &mut [u64]) {
        lanes::store(subtract_once(subtract_once(x, modulus.twice), modulus.prime), lanes);
    }

    #[inline(always)]
    fn finish(self, x: __m512i, modulus: &IfmaModulus, lanes: &mut [u64]) {
        lanes::store(subtract_once(x, modulus.prime), lanes);
    }

    #[inline(always)]
    fn reload(self, lanes: &[u64]) -> __m512i {
        lanes::load(lanes)
    }

    #[inline(always)]
    fn keep(self, x: __m512i, lanes: &mut [u64]) {
        lanes::store(x, lanes);
    }

    #[inline(always)]
    fn reload_transposed(self, block: &[u64; 64], _: usize) -> [__m512i; 8] {
        load_transposed(block)
    }

    #[inline(always)]
    fn keep_transposed(self, vectors: [__m512i; 8], block: &mut [u64; 64], _: usize) {
        store_transposed(vectors, block);
    }

    #[inline(always)]
    fn tighten(self, x: __m512i, _: &IfmaModulus) -> __m512i {
        x
    }

    #[inline(always)]
    fn plus(self, x: __m512i, y: __m512i) -> __m512i {
        lanes::add(x, y)
    }

    #[inline(always)]
    fn times(self, x: __m512i, factor: &[__m512i; 2], modulus: &IfmaModulus) -> __m512i {
        // SAFETY: `self` proves AVX-512 IFMA; register arithmetic only. The instructions take the lowest 52 bits of their factors.
        unsafe {
            let zero = _mm512_setzero_si512();
            let quotient = _mm512_madd52hi_epu64(zero, x, factor[1]);
            let product = _mm512_madd52lo_epu64(zero, x, factor[0]);
            lanes::low_bits(lanes::subtract(product, _mm512_madd52lo_epu64(zero, quotient, modulus.prime)))
        }
    }

    #[inline(always)]
    fn spread(
        self,
        a: __m512i,
        b: __m512i,
        root: &[__m512i; 2],
        modulus: &IfmaModulus,
    ) -> (__m512i, __m512i) {
        let (a, b) = (subtract_once(a, modulus.twice), self.times(b, root, modulus));
        (lanes::add(a, b), lanes::add(a, lanes::subtract(modulus.twice, b)))
    }

    #[inline(always)]
    fn gather(
        self,
        a: __m512i,
        b: __m512i,
        root: &[__m512i; 2],
        modulus: &IfmaModulus,
    ) -> (__m512i, __m512i) {
        let difference = lanes::add(a, lanes::subtract(modulus.twice, b));
        (subtract_once(lanes::add(a, b), modulus.twice), self.times(difference, root, modulus))
    }

    #[inline(always)]
    fn products(self, base: __m512i) -> [__m512i; 2] {
        [base, lanes::splat(0)]
    }

    #[inline(always)]
    fn add_product(self, [low, high]: [__m512i; 2], x: __m512i, y: __m512i) -> [__m512i; 2] {
        // SAFETY: as above.
        unsafe { [_mm512_madd52lo_epu64(low, x, y), _mm512_madd52hi_epu64(high, x, y)] }
    }

    #[inline(always)]
    fn total(self, [low, high]: [__m512i; 2], modulus: &IfmaModulus) -> __m512i {
        let high = lanes::add(high, lanes::carry(low));
        let sum =
            lanes::add(self.times(high, &modulus.radix, modulus), self.times(low, &modulus.one, modulus));
        subtract_once(sum, modulus.twice)
    }
}

#[inline(always)]
fn subtract_once(x: __m512i, less: __m512i) -> __m512i {
    lanes::min(x, lanes::subtract(x, less))
}

impl Doubles for Float512 {
    type Vector = __m512d;

    const LANES: usize = LANES;

    #[inline(always)]
    fn splat(self, value: f64) -> __m512d {
        // SAFETY: `self` proves AVX-512 F; register arithmetic only.
        unsafe { _mm512_set1_pd(value) }
    }

    #[inline(always)]
    fn bits(self, lanes: &[u64]) -> __m512d {
        // SAFETY: as above.
        unsafe { _mm512_castsi512_pd(lanes::load(lanes)) }
    }

    #[inline(always)]
    fn store_bits(self, x: __m512d, lanes: &mut [u64]) {
        // SAFETY: as above.
        lanes::store(unsafe { _mm512_castpd_si512(x) }, lanes);
    }

    #[inline(always)]
    fn integers(self, lanes: &[u64]) -> __m512d {
        // SAFETY: `self` proves AVX-512 DQ; register arithmetic only.
        unsafe { _mm512_cvtepu64_pd(lanes::load(lanes)) }
    }

    #[inline(always)]
    fn store_integers(self, x: __m512d, lanes: &mut [u64]) {
        // SAFETY: as above.
        lanes::store(unsafe { _mm512_cvtpd_epu64(x) }, lanes);
    }

    #[inline(always)]
    fn bits_transposed(self, block: &[u64; 64], _: usize) -> [__m512d; 8] {
        let mut vectors = [self.splat(0.0); 8];
        for (vector, integers) in vectors.iter_mut().zip(load_transposed(block)) {
            // SAFETY: `self` proves AVX-512 F; register arithmetic only.
            *vector = unsafe { _mm512_castsi512_pd(integers) };
        }
        vectors
    }

    #[inline(always)]
    fn store_bits_transposed(self, vectors: [__m512d; 8], block: &mut [u64; 64], _: usize) {
        let mut integers = [lanes::splat(0); 8];
        for (integers, vector) in integers.iter_mut().zip(vectors) {
            // SAFETY: as above.
            *integers = unsafe { _mm512_castpd_si512(vector) };
        }
        store_transposed(integers, block);
    }

    #[inline(always)]
    fn plus(self, x: __m512d, y: __m512d) -> __m512d {
        // SAFETY: as above.
        unsafe { _mm512_add_pd(x, y) }
    }

    #[inline(always)]
    fn minus(self, x: __m512d, y: __m512d) -> __m512d {
        // SAFETY: as above.
        unsafe { _mm512_sub_pd(x, y) }
    }

    #[inline(always)]
    fn product(self, x: __m512d, y: __m512d) -> __m512d {
        // SAFETY: as above.
        unsafe { _mm512_mul_pd(x, y) }
    }

    #[inline(always)]
    fn product_plus(self, x: __m512d, y: __m512d, z: __m512d) -> __m512d {
        // SAFETY: as above.
        unsafe { _mm512_fmadd_pd(x, y, z) }
    }

    #[inline(always)]
    fn product_minus(self, x: __m512d, y: __m512d, z: __m512d) -> __m512d {
        // SAFETY: as above.
        unsafe { _mm512_fmsub_pd(x, y, z) }
    }

    #[inline(always)]
    fn minus_product(self, z: __m512d, x: __m512d, y: __m512d) -> __m512d {
        // SAFETY: as above.
        unsafe { _mm512_fnmadd_pd(x, y, z) }
    }

    #[inline(always)]
    fn lift(self, x: __m512d, y: __m512d) -> __m512d {
        // SAFETY: as above.
        unsafe {
            let negative = _mm512_cmp_pd_mask::<_CMP_LT_OQ>(x, _mm512_setzero_pd());
            _mm512_mask_add_pd(x, negative, x, y)
        }
    }
}
