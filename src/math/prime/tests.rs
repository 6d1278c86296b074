//! Tests of the primes against trial division, published numbers and an independent Miller-Rabin.

use proptest::prelude::*;
use rand::RngCore;

use super::*;

fn big(n: u64) -> BigUint {
    n.into()
}

/// Miller-Rabin with 24 random bases, written anew over num-bigint so that it shares nothing with the code under test.
fn miller_rabin(n: &BigUint, rng: &mut impl RngCore) -> bool {
    let one = big(1);
    let less = n - 1u8;
    let twos = less.trailing_zeros().unwrap();
    (0..24).all(|_| {
        let base = big(rng.next_u64()) % (n - 3u8) + 2u8;
        let mut power = base.modpow(&(&less >> twos), n);
        (0..twos).any(|turn| {
            let passes = power == less || (turn == 0 && power == one);
            power = &power * &power % n;
            passes
        })
    })
}

fn trial_division(n: u64) -> bool {
    n >= 2 && (2..n).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d))
}

#[test]
fn words_agree_with_trial_division() {
    for n in (0..20_000).chain((1 << 32) - 300..(1 << 32) + 300) {
        assert_eq!(is_prime_u64(n), trial_division(n), "{n}");
    }
}

#[test]
fn known_primes_are_prime() {
    // Mersenne primes, the greatest primes below 2^32 and 2^64, the prime field of Goldilocks.
    for n in [(1 << 31) - 1, (1 << 61) - 1, 4_294_967_291, 18_446_744_073_709_551_557, 0xffff_ffff_0000_0001]
    {
        assert!(is_prime_u64(n), "{n}");
    }
}

#[test]
fn pseudoprimes_are_composite() {
    // Carmichael numbers; the least strong pseudoprimes to the first 1, 2, ..., 11 prime bases (OEIS A014233); 2^64 - 1.
    let carmichael = [561, 1105, 1729, 2465, 2821, 6601, 8911, 825_265, 321_197_185, 9_746_347_772_161];
    let strong = [
        2047,
        1_373_653,
        25_326_001,
        3_215_031_751,
        2_152_302_898_747,
        3_474_749_660_383,
        341_550_071_728_321,
        3_825_123_056_546_413_051,
        u64::MAX,
    ];
    for n in carmichael.into_iter().chain(strong) {
        assert!(!is_prime_u64(n), "{n}");
    }
}

#[test]
fn there_are_6542_primes_below_two_to_the_sixteenth() {
    assert_eq!(SMALL_PRIMES.len(), 6542);
    assert_eq!(SMALL_PRIMES.last(), Some(&65_521));
}

#[test]
fn small_factors_are_found() {
    assert_eq!(small_factor(&(big(65_521) * big(65_537))), Some(65_521));
    assert_eq!(small_factor(&(big(65_537) * big(65_537))), None);
    assert_eq!(small_factor(&big(0)), Some(2));
}

#[test]
fn every_size_has_its_top_two_bits_and_passes_an_independent_test() {
    let mut rng = Stream::seeded(99).rng();
    for bits in [16, 17, 31, 32, 63, 64, 65, 66, 67, 96, 127, 128, 129, 130, 131, 255, 256, 385, 512] {
        let prime = proven_prime(bits, &Stream::seeded(bits)).unwrap();
        assert_eq!(prime.value() >> (bits - 2), big(3), "{bits}");
        assert!(miller_rabin(prime.value(), &mut rng), "{bits}");
    }
}

#[test]
fn the_proof_can_be_checked_link_by_link() {
    for bits in [64, 65, 200, 768] {
        let prime = proven_prime(bits, &Stream::seeded(7)).unwrap();
        let chain: Vec<_> = prime.chain().cloned().collect();
        assert_eq!(&chain[0], prime.value());
        for pair in chain.windows(2) {
            let (p, q) = (&pair[0], &pair[1]);
            assert!(q * q > *p);
            assert!(((p - 1u8) % q).is_zero());
            assert!(big(2).modpow(&(p - 1u8), p).is_one());
            let root = big(2).modpow(&((p - 1u8) / q), p);
            assert!((root - 1u8).modinv(p).is_some());
        }
        // The last link, by trial division where that is quick enough, else by the independent test.
        let last = chain.last().unwrap().to_u64().unwrap();
        if last < 1 << 40 {
            assert!(trial_division(last));
        } else {
            assert!(miller_rabin(&last.into(), &mut Stream::seeded(8).rng()));
        }
        assert_eq!(
            chain.len(),
            match bits {
                64 => 1,
                65 => 2,
                200 => 3,
                _ => 5,
            }
        );
    }
}

#[test]
fn the_criterion_refuses_composites_and_short_proofs() {
    // 3 * 2^8 + 1 = 769 is prime, but 3 is below its root. 13741 = 7 * 13 * 151 is a Fermat pseudoprime to base 2 with
    // 229 > sqrt(13741) dividing 13740: only the greatest common divisor tells.
    assert!(!pocklington(&big(769), &big(3)));
    assert!(!pocklington(&big(13_741), &big(229)));
    // 2 * 3 * 23 + 1 = 139 is prime with 23 > sqrt(139), 2 * 2 * 23 + 1 = 93 is not, and 23 does not divide 148.
    assert!(pocklington(&big(139), &big(23)));
    assert!(!pocklington(&big(93), &big(23)));
    assert!(!pocklington(&big(149), &big(23)));
}

/// A generator whose first bytes are given.
struct Scripted<R> {
    first: Vec<u8>,
    rest: R,
}

impl<R: RngCore> RngCore for Scripted<R> {
    fn next_u32(&mut self) -> u32 {
        self.rest.next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.rest.next_u64()
    }

    fn fill_bytes(&mut self, out: &mut [u8]) {
        if self.first.is_empty() {
            self.rest.fill_bytes(out);
        } else {
            out.copy_from_slice(&std::mem::take(&mut self.first));
        }
    }
}

#[test]
fn a_search_that_starts_at_the_top_of_the_range_stays_in_it() {
    for seed in 0..20 {
        let mut rest = Stream::seeded(seed).rng();
        let q = big(word_prime(34, &mut rest));
        // The greatest h with 2hq + 1 < 2^66, counted from the least with 2hq + 1 >= 3 * 2^64.
        let step: BigUint = &q << 1;
        let [third_quarter, top]: [BigUint; 2] = [big(3) << 64, big(4) << 64];
        let (least, most) = ((third_quarter - 1u8).div_ceil(&step), (top - 2u8) / &step);
        let mut rng = Scripted { first: (most - least).to_bytes_be(), rest };
        assert_eq!(&*prime_above(66, &q, &mut rng) >> 64, big(3));
        assert!(rng.first.is_empty());
    }
}

#[test]
fn the_same_stream_gives_the_same_prime_and_another_gives_another() {
    let draw = |seed| proven_prime(256, &Stream::seeded(seed)).unwrap().value().clone();
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
}

#[test]
fn sizes_out_of_range_are_refused() {
    for bits in [0, 1, 15, 8193, u64::MAX] {
        let error = proven_prime(bits, &Stream::seeded(1)).err();
        assert_eq!(error, Some(PrimeBitsError { bits, min: 16, max: 8192 }));
    }
}

proptest! {
    #[test]
    fn the_sieve_marks_exactly_the_multiples_of_small_primes(seed: u64) {
        let mut rng = Stream::seeded(seed).rng();
        let step = big(word_prime(40, &mut rng)) << 1;
        let start = &step * (rng.next_u64() | 1 << 63) + 1u8;
        for (i, mark) in sieve(&start, &step, 50).into_iter().enumerate() {
            prop_assert_eq!(mark, small_factor(&(&start + &step * i)).is_some());
        }
    }

    #[test]
    fn words_agree_with_an_independent_test(n in 1_u64 << 40..u64::MAX) {
        prop_assert_eq!(is_prime_u64(n | 1), miller_rabin(&big(n | 1), &mut Stream::seeded(n).rng()));
    }
}
