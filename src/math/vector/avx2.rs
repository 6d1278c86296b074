//! AVX2 with fused multiply-adds: four lanes in double precision, for processors without AVX-512.
//!
//! Values of [`Float256`] exist only where `detect` found the processor's features, which is what every block of `unsafe` relies
//! on; those that touch memory check the lengths beside it.
#![expect(unsafe_code, reason = "SIMD: intrinsics need the features that `detect` has found")]
#![expect(
    clippy::inline_always,
    clippy::cast_possible_wrap,
    reason = "a task is compiled as one function; lanes are handed over as signed integers"
)]

use std::arch::{
    asm,
    x86_64::{
        __m256d, __m256i, _mm256_add_epi64, _mm256_add_pd, _mm256_alignr_epi8, _mm256_and_si256,
        _mm256_blendv_pd, _mm256_castpd_si256, _mm256_castsi256_pd, _mm256_cmpeq_epi64, _mm256_cmpgt_epi64,
        _mm256_fmadd_pd, _mm256_loadu_si256, _mm256_mul_epi32, _mm256_or_si256, _mm256_permute2x128_si256,
        _mm256_permutevar8x32_epi32, _mm256_set_epi64x, _mm256_set1_epi64x, _mm256_set1_pd,
        _mm256_slli_epi64, _mm256_srli_epi64, _mm256_storeu_si256, _mm256_sub_epi64, _mm256_sub_pd,
        _mm256_xor_si256,
    },
};

use super::{
    DIGIT_BITS, DIGIT_MASK, Engine, Task, Unit,
    float::{ROUND, TWO_52, TWO_104},
    portable::Portable,
};

mod residues;

const LANES: usize = 4;

/// AVX2 and fused multiply-adds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Float256(());

impl Float256 {
    /// The unit, where the processor has it.
    pub(crate) fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("bmi2");
        found.then_some(Self(()))
    }
}

/// Runs a task portably, compiled with the products of words without flags and the vectors of 256 bits that newer x86
/// processors have; an error hands it back where this one lacks them.
pub(crate) fn run_portable<T: Task>(task: T) -> Result<T::Output, T> {
    #[target_feature(enable = "bmi2,avx2")]
    fn run<T: Task>(task: T) -> T::Output {
        Portable(Engine::Portable).vectorize(task)
    }
    if is_x86_feature_detected!("bmi2") && is_x86_feature_detected!("avx2") {
        // SAFETY: the features were just found.
        return Ok(unsafe { run(task) });
    }
    Err(task)
}

#[inline(always)]
fn splat(value: u64) -> __m256i {
    // SAFETY: called through a unit only, whose existence proves AVX2.
    unsafe { _mm256_set1_epi64x(value as i64) }
}

#[inline(always)]
fn load(lanes: &[u64]) -> __m256i {
    assert_eq!(lanes.len(), LANES);
    // SAFETY: AVX2 as above; exactly 32 bytes are read, and no alignment is asked for.
    unsafe { _mm256_loadu_si256(lanes.as_ptr().cast()) }
}

#[inline(always)]
fn store(vector: __m256i, lanes: &mut [u64]) {
    assert_eq!(lanes.len(), LANES);
    // SAFETY: AVX2 as above; exactly 32 bytes are written, and no alignment is asked for.
    unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), vector) }
}

/// (what 1.5 2^52 plus the low half is in bits, what 2^104 plus the high half is in bits) of a product of digits. The high half is
/// rounded to nearest, so the low one has a sign: its magnitude is at most 2^51.
#[inline(always)]
fn halves(left: __m256d, right: __m256d) -> (__m256i, __m256i) {
    // SAFETY: called through a unit only, whose existence proves fused multiply-adds; register arithmetic only.
    unsafe {
        let high = _mm256_fmadd_pd(left, right, _mm256_set1_pd(TWO_104));
        // All exact: a multiple of 2^52, an integer of magnitude up to 2^51, and an integer between 2^52 and 2^53.
        let rest = _mm256_sub_pd(_mm256_set1_pd(TWO_104), high);
        let low = _mm256_add_pd(_mm256_fmadd_pd(left, right, rest), _mm256_set1_pd(ROUND));
        (_mm256_castpd_si256(low), _mm256_castpd_si256(high))
    }
}

/// The sums with the [`halves`] of a product. As one piece, because the compiler changes the order of sums of many terms and then has
/// them all in memory; in this order nearly all stays in the sixteen registers, and the processor finds by itself what it can do at
/// once.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn multiply_add(mut low: __m256i, mut high: __m256i, left: __m256d, right: __m256d) -> (__m256i, __m256i) {
    // SAFETY: register arithmetic only, with instructions that the function's features name.
    unsafe {
        asm!(
            "vmovapd {half}, {two_104}",
            "vfmadd231pd {half}, {left}, {right}",
            "vpaddq {high}, {high}, {half}",
            "vsubpd {half}, {two_104}, {half}",
            "vfmadd231pd {half}, {left}, {right}",
            "vaddpd {half}, {half}, {round}",
            "vpaddq {low}, {low}, {half}",
            half = out(ymm_reg) _,
            two_104 = in(ymm_reg) _mm256_set1_pd(TWO_104),
            round = in(ymm_reg) _mm256_set1_pd(ROUND),
            left = in(ymm_reg) left,
            right = in(ymm_reg) right,
            low = inout(ymm_reg) low,
            high = inout(ymm_reg) high,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    (low, high)
}

/// Numbers from integers below 2^52.
#[inline(always)]
fn small(integers: __m256i) -> __m256d {
    // SAFETY: called through a unit only, whose existence proves AVX2; register arithmetic only.
    unsafe {
        let bits = _mm256_or_si256(integers, splat(TWO_52.to_bits()));
        _mm256_sub_pd(_mm256_castsi256_pd(bits), _mm256_set1_pd(TWO_52))
    }
}

/// The opposite.
#[inline(always)]
fn whole(numbers: __m256d) -> __m256i {
    // SAFETY: as above.
    unsafe {
        let bits = _mm256_castpd_si256(_mm256_add_pd(numbers, _mm256_set1_pd(TWO_52)));
        _mm256_xor_si256(bits, splat(TWO_52.to_bits()))
    }
}

/// All ones where the first is greater, of numbers without sign.
#[inline(always)]
fn is_greater(left: __m256i, right: __m256i) -> __m256i {
    let sign = splat(1 << 63);
    // SAFETY: called through a unit only, whose existence proves AVX2; register arithmetic only.
    unsafe { _mm256_cmpgt_epi64(_mm256_xor_si256(left, sign), _mm256_xor_si256(right, sign)) }
}

impl Unit for Float256 {
    type Sum = __m256i;
    /// all ones or zeros
    type Choice = __m256i;

    const LANES: usize = LANES;
    const PATIENT: bool = true;
    // 2^52 less than what is added, and 1 more: what is left of a low half is then positive, and what is left of a high half lacks the
    // 1 that is carried into it.
    const LOW_BIAS: u64 = ROUND.to_bits() - (1 << DIGIT_BITS);
    const HIGH_BIAS: u64 = TWO_104.to_bits() + 1;

    #[inline(always)]
    fn engine(self) -> Engine {
        Engine::Float256
    }

    #[inline(always)]
    fn vectorize<T: Task>(self, task: T) -> T::Output {
        #[target_feature(enable = "avx2,fma,bmi2")]
        fn run<T: Task>(unit: Float256, task: T) -> T::Output {
            task.run(unit)
        }
        // SAFETY: `self` exists only where `detect` found these features.
        unsafe { run(self, task) }
    }

    #[inline(always)]
    fn digit(self, digit: u64) -> __m256d {
        self.low_digit(splat(digit))
    }

    #[inline(always)]
    fn sum(self, value: u64) -> __m256i {
        splat(value)
    }

    #[inline(always)]
    fn load(self, lanes: &[u64]) -> __m256d {
        self.low_digit(load(lanes))
    }

    #[inline(always)]
    fn load_sum(self, lanes: &[u64]) -> __m256i {
        load(lanes)
    }

    #[inline(always)]
    fn store(self, digit: __m256d, lanes: &mut [u64]) {
        store(self.widen(digit), lanes);
    }

    #[inline(always)]
    fn store_sum(self, sum: __m256i, lanes: &mut [u64]) {
        store(sum, lanes);
    }

    #[inline(always)]
    fn gather_vartime(self, table: &[u64], at: &[usize], offset: usize) -> __m256d {
        let lane = |lane: usize| table[at[lane] + offset] as i64;
        // SAFETY: `self` proves AVX2; register arithmetic only.
        self.low_digit(unsafe { _mm256_set_epi64x(lane(3), lane(2), lane(1), lane(0)) })
    }

    /// Every four entries are a vector, from which the index's lowest two bits choose a number of two words; kept where the higher
    /// ones match.
    #[inline(always)]
    fn pick(self, entries: &[u64], index: __m256i) -> __m256d {
        let mask = entries.len() as u64 - 1;
        // SAFETY: `self` proves AVX2; register arithmetic only.
        let (words, high) = unsafe {
            let low = _mm256_slli_epi64::<1>(_mm256_and_si256(index, splat(3)));
            let words = _mm256_or_si256(low, _mm256_slli_epi64::<32>(_mm256_or_si256(low, splat(1))));
            (words, _mm256_and_si256(index, splat(mask & !3)))
        };
        let mut picked = splat(0);
        for (at, part) in (0..).step_by(LANES).zip(entries.chunks_exact(LANES)) {
            // SAFETY: as above.
            unsafe {
                let chosen = _mm256_permutevar8x32_epi32(load(part), words);
                let here = _mm256_cmpeq_epi64(high, splat(at));
                picked = _mm256_or_si256(picked, _mm256_and_si256(here, chosen));
            }
        }
        self.low_digit(picked)
    }

    #[inline(always)]
    fn multiply_add(self, low: __m256i, high: __m256i, left: __m256d, right: __m256d) -> (__m256i, __m256i) {
        // SAFETY: `self` proves AVX2 and fused multiply-adds.
        unsafe { multiply_add(low, high, left, right) }
    }

    #[inline(always)]
    fn low_product(self, sum: __m256i, factor: __m256d) -> __m256d {
        let (low, _) = halves(self.low_digit(sum), factor);
        self.low_digit(self.subtract(low, splat(ROUND.to_bits())))
    }

    #[inline(always)]
    fn add_short_product(self, sum: __m256i, left: __m256i, right: __m256i) -> __m256i {
        // SAFETY: `self` proves AVX2; register arithmetic only.
        unsafe { _mm256_add_epi64(sum, _mm256_mul_epi32(left, right)) }
    }

    #[inline(always)]
    fn min(self, left: __m256i, right: __m256i) -> __m256i {
        let (l, r) = (left, right);
        // SAFETY: as above.
        unsafe {
            let (l, r) = (_mm256_castsi256_pd(l), _mm256_castsi256_pd(r));
            _mm256_castpd_si256(_mm256_blendv_pd(l, r, _mm256_castsi256_pd(is_greater(left, right))))
        }
    }

    #[inline(always)]
    fn align(self, skip: usize, high: __m256i, low: __m256i) -> __m256i {
        // SAFETY: as above.
        unsafe {
            let middle = _mm256_permute2x128_si256::<0x21>(low, high);
            match skip {
                0 => low,
                1 => _mm256_alignr_epi8::<8>(middle, low),
                2 => middle,
                _ => _mm256_alignr_epi8::<8>(high, middle),
            }
        }
    }

    #[inline(always)]
    fn settle(self, columns: &mut [__m256i], mut carry: u64) -> u64 {
        let mut lanes = [0; LANES];
        for column in columns {
            store(*column, &mut lanes);
            for lane in &mut lanes {
                let sum = lane.wrapping_add(carry);
                (*lane, carry) = (sum & DIGIT_MASK, sum >> DIGIT_BITS);
            }
            *column = load(&lanes);
        }
        carry
    }

    #[inline(always)]
    fn add(self, left: __m256i, right: __m256i) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_add_epi64(left, right) }
    }

    #[inline(always)]
    fn subtract(self, left: __m256i, right: __m256i) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_sub_epi64(left, right) }
    }

    #[inline(always)]
    fn carry(self, sum: __m256i) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_srli_epi64::<52>(sum) }
    }

    #[inline(always)]
    fn low_digit(self, sum: __m256i) -> __m256d {
        // SAFETY: as above.
        small(unsafe { _mm256_and_si256(sum, splat(DIGIT_MASK)) })
    }

    #[inline(always)]
    fn widen(self, digit: __m256d) -> __m256i {
        whole(digit)
    }

    #[inline(always)]
    fn choice(self, flag: __m256i) -> __m256i {
        self.subtract(splat(0), flag)
    }

    #[inline(always)]
    fn select(self, choice: __m256i, first: __m256d, second: __m256d) -> __m256d {
        // SAFETY: as above.
        unsafe { _mm256_blendv_pd(second, first, _mm256_castsi256_pd(choice)) }
    }
}
