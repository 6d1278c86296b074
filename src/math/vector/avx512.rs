//! AVX-512: eight lanes, by IFMA or by fused multiply-adds in double precision.
//!
//! With `residues` below it the only `unsafe` code of henn. Values of [`Ifma512`] and [`Float512`] exist only where `detect` found the processor's
//! features, which is what every block relies on; those that touch memory check the lengths beside it.
#![expect(unsafe_code, reason = "SIMD: intrinsics need the features that `detect` has found")]
#![expect(
    clippy::inline_always,
    clippy::cast_possible_wrap,
    clippy::cast_possible_truncation,
    reason = "a task is compiled as one function; lanes are handed over as signed integers and flags of eight lanes in the lowest bits"
)]

use std::{
    arch::x86_64::{
        __m512d, __m512i, __mmask8, _MM_FROUND_NO_EXC, _MM_FROUND_TO_ZERO, _mm512_add_epi64,
        _mm512_alignr_epi64, _mm512_and_si512, _mm512_castpd_si512, _mm512_castsi512_pd,
        _mm512_cmpeq_epi64_mask, _mm512_cmpgt_epu64_mask, _mm512_cvtepu64_pd, _mm512_cvtpd_epu64,
        _mm512_fmadd_round_pd, _mm512_i64gather_epi64, _mm512_loadu_si512, _mm512_madd52hi_epu64,
        _mm512_madd52lo_epu64, _mm512_mask_add_epi64, _mm512_mask_blend_epi64, _mm512_mask_blend_pd,
        _mm512_maskz_permutex2var_epi64, _mm512_min_epu64, _mm512_mul_epi32, _mm512_or_si512,
        _mm512_permutexvar_epi64, _mm512_set1_epi64, _mm512_set1_pd, _mm512_setzero_si512, _mm512_srli_epi64,
        _mm512_storeu_si512, _mm512_sub_epi64, _mm512_sub_pd, _mm512_test_epi64_mask,
    },
    hint::black_box,
};

use super::{
    DIGIT_MASK, Engine, Task, Unit,
    float::{TWO_52, TWO_104},
};

mod residues;

const LANES: usize = 8;

/// AVX-512 with IFMA.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ifma512(());

/// AVX-512 without IFMA.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Float512 {
    /// All lanes, which the compiler is not told: where it may add many terms in another order, it keeps them all in memory first.
    all: __mmask8,
}

impl Ifma512 {
    /// The unit, where the processor has it.
    pub(crate) fn detect() -> Option<Self> {
        // The cfg is for scripts/emulate-ifma alone, which emulates the instructions that the processor then refuses.
        let found = (cfg!(henn_emulated_ifma) || is_x86_feature_detected!("avx512ifma"))
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("bmi2");
        found.then_some(Self(()))
    }
}

impl Float512 {
    /// The unit, where the processor has it.
    pub(crate) fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("bmi2");
        found.then(|| Self { all: black_box(__mmask8::MAX) })
    }
}

/// What the two units share: 64-bit integer lanes.
mod lanes {
    use super::{
        __m512i, __mmask8, _mm512_add_epi64, _mm512_alignr_epi64, _mm512_and_si512, _mm512_cmpeq_epi64_mask,
        _mm512_cmpgt_epu64_mask, _mm512_i64gather_epi64, _mm512_loadu_si512, _mm512_mask_add_epi64,
        _mm512_maskz_permutex2var_epi64, _mm512_min_epu64, _mm512_mul_epi32, _mm512_or_si512,
        _mm512_permutexvar_epi64, _mm512_set1_epi64, _mm512_srli_epi64, _mm512_storeu_si512,
        _mm512_sub_epi64, _mm512_test_epi64_mask, DIGIT_MASK, LANES,
    };

    #[inline(always)]
    pub(super) fn splat(value: u64) -> __m512i {
        // SAFETY: called through a unit only, whose existence proves AVX-512 F.
        unsafe { _mm512_set1_epi64(value as i64) }
    }

    #[inline(always)]
    pub(super) fn load(lanes: &[u64]) -> __m512i {
        assert_eq!(lanes.len(), LANES);
        // SAFETY: AVX-512 F as above; exactly 64 bytes are read, and no alignment is asked for.
        unsafe { _mm512_loadu_si512(lanes.as_ptr().cast()) }
    }

    #[inline(always)]
    pub(super) fn store(vector: __m512i, lanes: &mut [u64]) {
        assert_eq!(lanes.len(), LANES);
        // SAFETY: AVX-512 F as above; exactly 64 bytes are written, and no alignment is asked for.
        unsafe { _mm512_storeu_si512(lanes.as_mut_ptr().cast(), vector) }
    }

    #[inline(always)]
    pub(super) fn gather(table: &[u64], at: &[usize], offset: usize) -> __m512i {
        assert!(at.len() == LANES && at.iter().all(|at| at + offset < table.len()));
        let mut index = [0_u64; LANES];
        for (index, at) in index.iter_mut().zip(at) {
            *index = (at + offset) as u64;
        }
        let index = load(&index);
        // SAFETY: AVX-512 F as above; every index was just found to be inside the table.
        unsafe { _mm512_i64gather_epi64::<8>(index, table.as_ptr().cast()) }
    }

    /// Every sixteen entries are two vectors, from which the index's lowest four bits choose; kept where the higher ones match.
    #[inline(always)]
    pub(super) fn pick(entries: &[u64], index: __m512i) -> __m512i {
        if let Ok(few) = entries.try_into() {
            let few: &[u64; LANES] = few;
            // SAFETY: AVX-512 F as above; register arithmetic only.
            return unsafe { _mm512_permutexvar_epi64(index, load(few)) };
        }
        let mask = entries.len() as u64 - 1;
        // SAFETY: as above.
        let high = unsafe { _mm512_and_si512(index, _mm512_set1_epi64((mask & !15) as i64)) };
        let mut picked = splat(0);
        for (at, part) in (0..).step_by(2 * LANES).zip(entries.chunks_exact(2 * LANES)) {
            let (first, second) = (load(&part[..LANES]), load(&part[LANES..]));
            // SAFETY: as above.
            unsafe {
                let here: __mmask8 = _mm512_cmpeq_epi64_mask(high, _mm512_set1_epi64(at));
                let chosen = _mm512_maskz_permutex2var_epi64(here, first, index, second);
                picked = _mm512_or_si512(picked, chosen);
            }
        }
        picked
    }

    #[inline(always)]
    pub(super) fn align(skip: usize, high: __m512i, low: __m512i) -> __m512i {
        // SAFETY: AVX-512 F as above; register arithmetic only.
        unsafe {
            match skip {
                0 => low,
                1 => _mm512_alignr_epi64::<1>(high, low),
                2 => _mm512_alignr_epi64::<2>(high, low),
                3 => _mm512_alignr_epi64::<3>(high, low),
                4 => _mm512_alignr_epi64::<4>(high, low),
                5 => _mm512_alignr_epi64::<5>(high, low),
                6 => _mm512_alignr_epi64::<6>(high, low),
                _ => _mm512_alignr_epi64::<7>(high, low),
            }
        }
    }

    #[inline(always)]
    pub(super) fn add(left: __m512i, right: __m512i) -> __m512i {
        // SAFETY: AVX-512 F as above; register arithmetic only.
        unsafe { _mm512_add_epi64(left, right) }
    }

    #[inline(always)]
    pub(super) fn add_short_product(sum: __m512i, left: __m512i, right: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_add_epi64(sum, _mm512_mul_epi32(left, right)) }
    }

    #[inline(always)]
    pub(super) fn subtract(left: __m512i, right: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_sub_epi64(left, right) }
    }

    #[inline(always)]
    pub(super) fn carry(sum: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_srli_epi64::<52>(sum) }
    }

    #[inline(always)]
    pub(super) fn low_bits(sum: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_and_si512(sum, _mm512_set1_epi64(DIGIT_MASK as i64)) }
    }

    #[inline(always)]
    pub(super) fn is_set(flag: __m512i) -> __mmask8 {
        // SAFETY: as above.
        unsafe { _mm512_test_epi64_mask(flag, flag) }
    }

    #[inline(always)]
    pub(super) fn min(left: __m512i, right: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_min_epu64(left, right) }
    }

    /// After one round of carries every column is below 2^53. What then still has to move is one bit a column: as when two
    /// numbers of one bit a column are added, those that overflow by themselves generate it and those full of ones hand it on.
    #[inline(always)]
    pub(super) fn settle(columns: &mut [__m512i], carry: u64) -> u64 {
        // So many vectors have their flags in one word, with a bit to spare for the carry.
        const AT_ONCE: usize = 7;
        let mut below = splat(carry);
        let mut bit = 0;
        for block in columns.chunks_mut(AT_ONCE) {
            let (mut generate, mut hand_on) = (0_u64, 0_u64);
            for (at, column) in (0..).step_by(LANES).zip(&mut *block) {
                let high = self::carry(*column);
                *column = add(low_bits(*column), align(7, high, below));
                below = high;
                // SAFETY: as above.
                let flags = unsafe {
                    let full = _mm512_set1_epi64(DIGIT_MASK as i64);
                    [_mm512_cmpgt_epu64_mask(*column, full), _mm512_cmpeq_epi64_mask(*column, full)]
                };
                generate |= u64::from(flags[0]) << at;
                hand_on |= u64::from(flags[1]) << at;
            }
            let carries = (hand_on + (generate << 1 | bit)) ^ hand_on;
            for (at, column) in (0..).step_by(LANES).zip(&mut *block) {
                // SAFETY: as above.
                let carried = unsafe {
                    _mm512_mask_add_epi64(*column, (carries >> at) as __mmask8, *column, _mm512_set1_epi64(1))
                };
                *column = low_bits(carried);
            }
            bit = carries >> (LANES * block.len()) & 1;
        }
        let mut last = [0; LANES];
        store(below, &mut last);
        last[LANES - 1] + bit
    }
}

impl Unit for Ifma512 {
    type Sum = __m512i;
    type Choice = __mmask8;

    const LANES: usize = LANES;
    const PATIENT: bool = false;
    const LOW_BIAS: u64 = 0;
    const HIGH_BIAS: u64 = 0;

    #[inline(always)]
    fn engine(self) -> Engine {
        Engine::Ifma512
    }

    #[inline(always)]
    fn vectorize<T: Task>(self, task: T) -> T::Output {
        #[target_feature(enable = "avx512f,avx512dq,avx512ifma,bmi2")]
        fn run<T: Task>(unit: Ifma512, task: T) -> T::Output {
            task.run(unit)
        }
        // SAFETY: `self` exists only where `detect` found these features.
        unsafe { run(self, task) }
    }

    #[inline(always)]
    fn digit(self, digit: u64) -> __m512i {
        lanes::splat(digit)
    }

    #[inline(always)]
    fn sum(self, value: u64) -> __m512i {
        lanes::splat(value)
    }

    #[inline(always)]
    fn load(self, lanes: &[u64]) -> __m512i {
        lanes::load(lanes)
    }

    #[inline(always)]
    fn load_sum(self, lanes: &[u64]) -> __m512i {
        lanes::load(lanes)
    }

    #[inline(always)]
    fn store(self, digit: __m512i, lanes: &mut [u64]) {
        lanes::store(digit, lanes);
    }

    #[inline(always)]
    fn store_sum(self, sum: __m512i, lanes: &mut [u64]) {
        lanes::store(sum, lanes);
    }

    #[inline(always)]
    fn gather_vartime(self, table: &[u64], at: &[usize], offset: usize) -> __m512i {
        lanes::gather(table, at, offset)
    }

    #[inline(always)]
    fn pick(self, entries: &[u64], index: __m512i) -> __m512i {
        lanes::pick(entries, index)
    }

    #[inline(always)]
    fn multiply_add(self, low: __m512i, high: __m512i, left: __m512i, right: __m512i) -> (__m512i, __m512i) {
        // SAFETY: `self` proves AVX-512 IFMA; register arithmetic only.
        unsafe { (_mm512_madd52lo_epu64(low, left, right), _mm512_madd52hi_epu64(high, left, right)) }
    }

    #[inline(always)]
    fn low_product(self, sum: __m512i, factor: __m512i) -> __m512i {
        // SAFETY: as above. The instruction takes the lowest 52 bits of its factors.
        unsafe { _mm512_madd52lo_epu64(_mm512_setzero_si512(), sum, factor) }
    }

    #[inline(always)]
    fn align(self, skip: usize, high: __m512i, low: __m512i) -> __m512i {
        lanes::align(skip, high, low)
    }

    #[inline(always)]
    fn add_short_product(self, sum: __m512i, left: __m512i, right: __m512i) -> __m512i {
        lanes::add_short_product(sum, left, right)
    }

    #[inline(always)]
    fn min(self, left: __m512i, right: __m512i) -> __m512i {
        lanes::min(left, right)
    }

    #[inline(always)]
    fn settle(self, columns: &mut [__m512i], carry: u64) -> u64 {
        lanes::settle(columns, carry)
    }

    #[inline(always)]
    fn add(self, left: __m512i, right: __m512i) -> __m512i {
        lanes::add(left, right)
    }

    #[inline(always)]
    fn subtract(self, left: __m512i, right: __m512i) -> __m512i {
        lanes::subtract(left, right)
    }

    #[inline(always)]
    fn carry(self, sum: __m512i) -> __m512i {
        lanes::carry(sum)
    }

    #[inline(always)]
    fn low_digit(self, sum: __m512i) -> __m512i {
        lanes::low_bits(sum)
    }

    #[inline(always)]
    fn widen(self, digit: __m512i) -> __m512i {
        digit
    }

    #[inline(always)]
    fn choice(self, flag: __m512i) -> __mmask8 {
        lanes::is_set(flag)
    }

    #[inline(always)]
    fn select(self, choice: __mmask8, first: __m512i, second: __m512i) -> __m512i {
        // SAFETY: `self` proves AVX-512 F; register arithmetic only.
        unsafe { _mm512_mask_blend_epi64(choice, second, first) }
    }
}

/// Towards zero, without exceptions.
const DOWN: i32 = _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC;
/// (bits of 2^52 + low half, bits of 2^104 + high half) of a product of digits.
#[inline(always)]
fn halves(left: __m512d, right: __m512d) -> (__m512i, __m512i) {
    // SAFETY: called through a unit only, whose existence proves AVX-512 F; register arithmetic only.
    unsafe {
        let high = _mm512_fmadd_round_pd::<DOWN>(left, right, _mm512_set1_pd(TWO_104));
        // Exact: a multiple of 2^52 below 2^104 in magnitude.
        let rest = _mm512_sub_pd(_mm512_set1_pd(TWO_104 + TWO_52), high);
        // Exact: an integer between 2^52 and 2^53.
        let low = _mm512_fmadd_round_pd::<DOWN>(left, right, rest);
        (_mm512_castpd_si512(low), _mm512_castpd_si512(high))
    }
}

impl Unit for Float512 {
    type Sum = __m512i;
    type Choice = __mmask8;

    const LANES: usize = LANES;
    const PATIENT: bool = false;
    const LOW_BIAS: u64 = TWO_52.to_bits();
    const HIGH_BIAS: u64 = TWO_104.to_bits();

    #[inline(always)]
    fn engine(self) -> Engine {
        Engine::Float512
    }

    #[inline(always)]
    fn vectorize<T: Task>(self, task: T) -> T::Output {
        #[target_feature(enable = "avx512f,avx512dq,bmi2")]
        fn run<T: Task>(unit: Float512, task: T) -> T::Output {
            task.run(unit)
        }
        // SAFETY: `self` exists only where `detect` found these features.
        unsafe { run(self, task) }
    }

    #[inline(always)]
    fn digit(self, digit: u64) -> __m512d {
        self.low_digit(lanes::splat(digit))
    }

    #[inline(always)]
    fn sum(self, value: u64) -> __m512i {
        lanes::splat(value)
    }

    #[inline(always)]
    fn load(self, lanes: &[u64]) -> __m512d {
        self.low_digit(lanes::load(lanes))
    }

    #[inline(always)]
    fn load_sum(self, lanes: &[u64]) -> __m512i {
        lanes::load(lanes)
    }

    #[inline(always)]
    fn store(self, digit: __m512d, lanes: &mut [u64]) {
        lanes::store(self.widen(digit), lanes);
    }

    #[inline(always)]
    fn store_sum(self, sum: __m512i, lanes: &mut [u64]) {
        lanes::store(sum, lanes);
    }

    #[inline(always)]
    fn gather_vartime(self, table: &[u64], at: &[usize], offset: usize) -> __m512d {
        self.low_digit(lanes::gather(table, at, offset))
    }

    #[inline(always)]
    fn pick(self, entries: &[u64], index: __m512i) -> __m512d {
        self.low_digit(lanes::pick(entries, index))
    }

    #[inline(always)]
    fn multiply_add(self, low: __m512i, high: __m512i, left: __m512d, right: __m512d) -> (__m512i, __m512i) {
        let (l, h) = halves(left, right);
        // SAFETY: `self` proves AVX-512 F; register arithmetic only.
        unsafe {
            (_mm512_mask_add_epi64(low, self.all, low, l), _mm512_mask_add_epi64(high, self.all, high, h))
        }
    }

    #[inline(always)]
    fn low_product(self, sum: __m512i, factor: __m512d) -> __m512d {
        let (low, _) = halves(self.low_digit(sum), factor);
        // SAFETY: `self` proves AVX-512 F; register arithmetic only.
        unsafe { _mm512_sub_pd(_mm512_castsi512_pd(low), _mm512_set1_pd(TWO_52)) }
    }

    #[inline(always)]
    fn align(self, skip: usize, high: __m512i, low: __m512i) -> __m512i {
        lanes::align(skip, high, low)
    }

    #[inline(always)]
    fn add_short_product(self, sum: __m512i, left: __m512i, right: __m512i) -> __m512i {
        lanes::add_short_product(sum, left, right)
    }

    #[inline(always)]
    fn min(self, left: __m512i, right: __m512i) -> __m512i {
        lanes::min(left, right)
    }

    #[inline(always)]
    fn settle(self, columns: &mut [__m512i], carry: u64) -> u64 {
        lanes::settle(columns, carry)
    }

    #[inline(always)]
    fn add(self, left: __m512i, right: __m512i) -> __m512i {
        lanes::add(left, right)
    }

    #[inline(always)]
    fn subtract(self, left: __m512i, right: __m512i) -> __m512i {
        lanes::subtract(left, right)
    }

    #[inline(always)]
    fn carry(self, sum: __m512i) -> __m512i {
        lanes::carry(sum)
    }

    #[inline(always)]
    fn low_digit(self, sum: __m512i) -> __m512d {
        // SAFETY: `self` proves AVX-512 DQ; register arithmetic only.
        unsafe { _mm512_cvtepu64_pd(lanes::low_bits(sum)) }
    }

    #[inline(always)]
    fn widen(self, digit: __m512d) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_cvtpd_epu64(digit) }
    }

    #[inline(always)]
    fn choice(self, flag: __m512i) -> __mmask8 {
        lanes::is_set(flag)
    }

    #[inline(always)]
    fn select(self, choice: __mmask8, first: __m512d, second: __m512d) -> __m512d {
        // SAFETY: `self` proves AVX-512 F; register arithmetic only.
        unsafe { _mm512_mask_blend_pd(choice, second, first) }
    }
}
