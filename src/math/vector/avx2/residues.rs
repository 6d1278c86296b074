//! Doubles in AVX2. The blocks of `unsafe` rely on the unit's existence, as in the module above.
#![expect(clippy::inline_always, reason = "a task is compiled as one function")]

use std::arch::x86_64::{
    __m256d, __m256i, _CMP_LT_OQ, _mm256_add_pd, _mm256_and_pd, _mm256_castpd_si256, _mm256_castsi256_pd,
    _mm256_cmp_pd, _mm256_fmadd_pd, _mm256_fmsub_pd, _mm256_fnmadd_pd, _mm256_mul_pd,
    _mm256_permute2x128_si256, _mm256_set1_pd, _mm256_setzero_pd, _mm256_sub_pd, _mm256_unpackhi_epi64,
    _mm256_unpacklo_epi64,
};

use super::{Float256, LANES, load, small, splat, store, whole};
use crate::math::vector::float::Doubles;

/// The transpose of a square of 16 numbers.
#[inline(always)]
fn transposed([a, b, c, d]: [__m256i; LANES]) -> [__m256i; LANES] {
    // SAFETY: called through a unit only, whose existence proves AVX2; register arithmetic only.
    unsafe {
        let (ab, cd) = (_mm256_unpacklo_epi64(a, b), _mm256_unpacklo_epi64(c, d));
        let (ab_odd, cd_odd) = (_mm256_unpackhi_epi64(a, b), _mm256_unpackhi_epi64(c, d));
        [
            _mm256_permute2x128_si256::<0x20>(ab, cd),
            _mm256_permute2x128_si256::<0x20>(ab_odd, cd_odd),
            _mm256_permute2x128_si256::<0x31>(ab, cd),
            _mm256_permute2x128_si256::<0x31>(ab_odd, cd_odd),
        ]
    }
}

impl Doubles for Float256 {
    type Vector = __m256d;

    const LANES: usize = LANES;

    #[inline(always)]
    fn splat(self, value: f64) -> __m256d {
        // SAFETY: `self` proves AVX2; register arithmetic only.
        unsafe { _mm256_set1_pd(value) }
    }

    #[inline(always)]
    fn bits(self, lanes: &[u64]) -> __m256d {
        // SAFETY: as above.
        unsafe { _mm256_castsi256_pd(load(lanes)) }
    }

    #[inline(always)]
    fn store_bits(self, x: __m256d, lanes: &mut [u64]) {
        // SAFETY: as above.
        store(unsafe { _mm256_castpd_si256(x) }, lanes);
    }

    #[inline(always)]
    fn integers(self, lanes: &[u64]) -> __m256d {
        small(load(lanes))
    }

    #[inline(always)]
    fn store_integers(self, x: __m256d, lanes: &mut [u64]) {
        store(whole(x), lanes);
    }

    #[inline(always)]
    fn bits_transposed(self, block: &[u64; 64], run: usize) -> [__m256d; 8] {
        let mut vectors = [self.splat(0.0); 8];
        for (half, vectors) in vectors.chunks_exact_mut(LANES).enumerate() {
            let mut rows = [splat(0); LANES];
            for (lane, row) in rows.iter_mut().enumerate() {
                let at = 8 * (run + lane) + LANES * half;
                *row = load(&block[at..at + LANES]);
            }
            for (vector, integers) in vectors.iter_mut().zip(transposed(rows)) {
                // SAFETY: as above.
                *vector = unsafe { _mm256_castsi256_pd(integers) };
            }
        }
        vectors
    }

    #[inline(always)]
    fn store_bits_transposed(self, vectors: [__m256d; 8], block: &mut [u64; 64], run: usize) {
        for (half, vectors) in vectors.chunks_exact(LANES).enumerate() {
            let mut integers = [splat(0); LANES];
            for (integers, vector) in integers.iter_mut().zip(vectors) {
                // SAFETY: as above.
                *integers = unsafe { _mm256_castpd_si256(*vector) };
            }
            for (lane, row) in transposed(integers).into_iter().enumerate() {
                let at = 8 * (run + lane) + LANES * half;
                store(row, &mut block[at..at + LANES]);
            }
        }
    }

    #[inline(always)]
    fn plus(self, x: __m256d, y: __m256d) -> __m256d {
        // SAFETY: as above.
        unsafe { _mm256_add_pd(x, y) }
    }

    #[inline(always)]
    fn minus(self, x: __m256d, y: __m256d) -> __m256d {
        // SAFETY: as above.
        unsafe { _mm256_sub_pd(x, y) }
    }

    #[inline(always)]
    fn product(self, x: __m256d, y: __m256d) -> __m256d {
        // SAFETY: as above.
        unsafe { _mm256_mul_pd(x, y) }
    }

    #[inline(always)]
    fn product_plus(self, x: __m256d, y: __m256d, z: __m256d) -> __m256d {
        // SAFETY: `self` proves fused multiply-adds; register arithmetic only.
        unsafe { _mm256_fmadd_pd(x, y, z) }
    }

    #[inline(always)]
    fn product_minus(self, x: __m256d, y: __m256d, z: __m256d) -> __m256d {
        // SAFETY: as above.
        unsafe { _mm256_fmsub_pd(x, y, z) }
    }

    #[inline(always)]
    fn minus_product(self, z: __m256d, x: __m256d, y: __m256d) -> __m256d {
        // SAFETY: as above.
        unsafe { _mm256_fnmadd_pd(x, y, z) }
    }

    #[inline(always)]
    fn lift(self, x: __m256d, y: __m256d) -> __m256d {
        // SAFETY: as above.
        unsafe {
            let negative = _mm256_cmp_pd::<_CMP_LT_OQ>(x, _mm256_setzero_pd());
            _mm256_add_pd(x, _mm256_and_pd(negative, y))
        }
    }
}
