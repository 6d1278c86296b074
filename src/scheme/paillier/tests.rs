//! Tests of what only Paillier has; the laws that every scheme obeys are in `tests/scheme_laws.rs`.

use num_bigint::BigInt;

use super::*;
use crate::math::{prime::proven_prime, ring::Arithmetic};

fn big(n: u64) -> BigUint {
    n.into()
}

/// The greatest prime below 2^32 and the one before it.
fn small_key() -> (Paillier, SecretKey) {
    let scheme = Paillier::insecure_for_tests(64).unwrap();
    let key = scheme.from_primes(big(4_294_967_291), big(4_294_967_279)).unwrap();
    (scheme, key)
}

#[test]
fn sizes_are_checked() {
    let bits = |result: Result<Paillier, SchemeError>| result.map(|scheme| scheme.modulus_bits());
    assert_eq!(bits(Paillier::try_new(512)), Ok(512));
    assert_eq!(bits(Paillier::try_new(16_384)), Ok(16_384));
    assert_eq!(bits(Paillier::insecure_for_tests(64)), Ok(64));
    for bits in [0, 64, 510, 513, 16_386, u64::MAX] {
        let expected = Err(SchemeError::ModulusBits { bits, min: 512, max: 16_384 });
        assert_eq!(Paillier::try_new(bits), expected);
    }
    assert!(Paillier::insecure_for_tests(62).is_err());
}

#[test]
fn a_ciphertext_is_what_the_definition_says() {
    // 128-bit arithmetic on machine words, r^N by repeated squaring, nothing shared with the code under test.
    let (p, q) = (65_521_u128, 65_519_u128);
    let (n, square) = (p * q, (p * q) * (p * q));
    let multiply =
        |a: u128, b: u128| (0..64).rev().fold(0, |sum, bit| (2 * sum + (b >> bit & 1) * a) % square);
    let power =
        |r| (0..64).rev().fold(1, |x, bit| multiply(multiply(x, x), if n >> bit & 1 == 1 { r } else { 1 }));
    let key = PublicKey::try_new(n.into(), Options::default().arithmetic).unwrap();
    for (m, r) in [(0, 1), (1, 1), (12_345, 2), (n - 1, n - 1), (n / 2, 123_456_789)] {
        let scheme = Paillier { modulus_bits: 32, options: Options::default() };
        let got = scheme.encrypt_with(&key, &m.into(), &r.into()).unwrap();
        assert_eq!(scheme.value(&key, &got), BigUint::from(multiply((1 + m * n) % square, power(r))));
    }
}

#[test]
fn a_generated_modulus_is_the_product_of_two_proven_primes_of_half_its_size() {
    for bits in [64, 66, 256, 512] {
        let scheme = Paillier::insecure_for_tests(bits).unwrap();
        let key = scheme.generate_keys(&Stream::seeded(bits)).unwrap();
        let (p, q) = key.factors();
        assert_eq!((p.bits(), q.bits(), key.public().modulus().bits()), (bits / 2, bits / 2, bits));
        assert_eq!(p * q, *key.public().modulus());
        assert_ne!(p, q);
    }
}

#[test]
fn keys_are_reproducible_and_differ_by_seed() {
    let scheme = Paillier::insecure_for_tests(128).unwrap();
    let modulus = |seed| scheme.generate_keys(&Stream::seeded(seed)).unwrap().public().modulus().clone();
    assert_eq!(modulus(1), modulus(1));
    assert_ne!(modulus(1), modulus(2));
}

#[test]
fn bad_factors_are_refused() {
    let scheme = Paillier::insecure_for_tests(64).unwrap();
    let refused = |p, q| scheme.from_primes(big(p), big(q)).err();
    let range = |index| Some(SchemeError::Range { what: "prime factor", index });
    let prime = 4_294_967_291;
    assert_eq!(refused(prime, prime), range(1));
    assert_eq!(refused(prime, prime - 2), range(1));
    assert_eq!(refused(prime + 1, prime), range(0));
    assert_eq!(refused(prime, (1 << 31) - 1), Some(SchemeError::ModulusBits { bits: 63, min: 64, max: 64 }));
    // With q = 2p + 1, p divides q - 1 and so gcd(N, (p-1)(q-1)) = p.
    let p = (1_u64 << 20..1 << 21)
        .find(|&p| [p, 2 * p + 1].into_iter().all(crate::math::prime::is_prime_u64))
        .unwrap();
    let bits = (big(p) * big(2 * p + 1)).bits();
    let same_size = Paillier { modulus_bits: bits, options: Options::default() };
    assert_eq!(same_size.from_primes(big(p), big(2 * p + 1)).err(), range(1));
    assert_eq!(same_size.from_primes(big(2 * p + 1), big(p)).err(), range(1));
}

#[test]
fn factors_too_close_for_fips_are_refused() {
    let p = proven_prime(256, &Stream::seeded(1)).unwrap().into_value();
    let next = |start: BigUint| {
        let odd = (0_u32..10_000)
            .map(|i| &start + 2 * i)
            .find(|n| small_factor(n).is_none() && big(2).modpow(&(n - 1u8), n).is_one());
        odd.unwrap()
    };
    let scheme = Paillier::try_new(512).unwrap();
    let near = next(&*p - (BigUint::one() << 156) + (BigUint::one() << 100));
    let far = next(&*p - (BigUint::one() << 157));
    assert_eq!(
        scheme.from_primes(p.clone(), near).err(),
        Some(SchemeError::Range { what: "prime factor", index: 1 })
    );
    assert!(scheme.from_primes(p.clone(), far).is_ok());
}

#[test]
fn item_i_of_a_batch_draws_from_the_i_th_stream() {
    let (scheme, key) = small_key();
    let (public, stream) = (key.public(), Stream::seeded(3));
    let batch = scheme.encrypt(public, &[7, 8, 9].map(big), &stream).unwrap();
    let units = [0, 1, 2].map(|i| uniform::below(public.modulus(), &mut stream.item(i).rng()));
    for ((message, unit), ciphertext) in [7, 8, 9].map(big).iter().zip(&units).zip(&batch) {
        assert_eq!(scheme.encrypt_with(public, message, unit).as_ref(), Ok(ciphertext));
    }
}

#[test]
fn equal_factors_do_not_fit_together_even_where_the_margin_is_nothing() {
    assert!(!key::fit_together(&big(4_294_967_291), &big(4_294_967_291), 32));
    assert!(key::fit_together(&big(4_294_967_291), &big(4_294_967_279), 32));
}

#[test]
fn random_units_are_units_and_all_of_them_occur() {
    let root = Stream::seeded(5);
    let units: std::collections::BTreeSet<_> =
        (0..200).map(|i| u64::try_from(&*random_unit(&big(15), &root.item(i))).unwrap()).collect();
    assert_eq!(units.into_iter().collect::<Vec<_>>(), [1, 2, 4, 7, 8, 11, 13, 14]);
}

#[test]
fn units_that_are_drawn_together_are_those_that_are_drawn_alone() {
    let root = Stream::seeded(5);
    // Modulo 15 nearly every batch has one that is no unit at first, modulo the prime none has.
    for modulus in [big(15), big(4_294_967_291)] {
        let alone: Vec<_> = (3..40).map(|i| random_unit(&modulus, &root.item(i))).collect();
        for range in [3..40, 3..4] {
            let together = random_units(&modulus, range, &root);
            assert!(together.iter().zip(&alone).all(|(together, alone)| **together == **alone));
        }
    }
}

#[test]
fn given_randomness_is_checked() {
    let (scheme, key) = small_key();
    let public = key.public();
    let refused = |m: &BigUint, r: &BigUint| scheme.encrypt_with(public, m, r).err();
    let range = Some(SchemeError::Range { what: "randomness", index: 0 });
    assert_eq!(refused(&big(1), &big(0)), range);
    assert_eq!(refused(&big(1), public.modulus()), range);
    assert_eq!(refused(&big(1), key.factors().0), Some(SchemeError::NotAUnit { index: 0 }));
    assert_eq!(refused(public.modulus(), &big(1)), Some(SchemeError::MessageRange { index: 0, bits: 64 }));
}

#[test]
fn public_keys_from_strangers_are_checked() {
    let (scheme, key) = small_key();
    let read = |n: &BigUint| scheme.read_public_key(&n.to_bytes_be());
    let refused = SchemeError::Range { what: "modulus", index: 0 };
    let good = key.public().modulus();
    assert_eq!(read(good).as_ref(), Ok(key.public()));
    let prime = big(4_294_967_291);
    let bad = [
        good - 1u8,
        &prime * &prime,
        big(u64::MAX),
        // 65521 is the greatest prime below 2^16.
        big(65_521) * big(281_479_271_677_943),
    ];
    for n in bad {
        assert_eq!(n.bits(), 64);
        assert_eq!(read(&n), Err(refused.clone()));
    }
    // A good product, but of one bit less.
    let short = prime * ((1_u64 << 31) - 1);
    assert_eq!(short.bits(), 63);
    assert_eq!(read(&short), Err(refused));
    let length = |bytes| Err(SchemeError::Length { what: "public key", bytes, expected: 8 });
    assert_eq!(scheme.read_public_key(&[]), length(0));
    assert_eq!(scheme.read_public_key(&[255; 9]), length(9));
}

#[test]
fn a_dot_product_needs_no_inverse_without_negative_weights_and_skips_zeros() {
    let (scheme, key) = small_key();
    // Multiples of a prime have no inverse, and the zeroth power of anything is 1.
    let stuck = of_numbers(&key, &[key.factors().0]);
    let dot = |weight: i64| scheme.linear(key.public(), &stuck, &[&[weight.into()]]);
    assert_eq!(dot(0), Ok(of_numbers(&key, &[&BigUint::one()])));
    assert_eq!(dot(1), Ok(stuck.clone()));
    assert_eq!(dot(-1), Err(SchemeError::NotAUnit { index: 0 }));
}

/// Ciphertexts that no reader would let pass.
fn of_numbers(key: &SecretKey, numbers: &[&BigUint]) -> Vec<Ciphertext> {
    ciphertexts(key.public().ring().read(numbers))
}

#[test]
fn a_multiple_of_a_prime_does_not_stop_decryption() {
    let (scheme, key) = small_key();
    let (p, _) = key.factors();
    let stuck = of_numbers(&key, &[&BigUint::ZERO, &(p * p), key.public().modulus()]);
    for crt_decryption in [true, false] {
        let scheme = scheme.with_options(Options { crt_decryption, ..Options::default() });
        let messages = scheme.decrypt(&key, &stuck).unwrap();
        assert!(messages.iter().all(|message| message < key.public().modulus()));
    }
}

/// Every combination of the measures.
fn all_options() -> impl Iterator<Item = Options> {
    (0..32_u32).map(|bits| Options {
        arithmetic: if bits & 1 == 0 { Arithmetic::NumBigint } else { Arithmetic::Vector },
        randomisation: if bits & 2 == 0 { Randomisation::Textbook } else { Randomisation::ShortExponent },
        crt_decryption: bits & 4 == 0,
        crt_encryption: bits & 8 == 0,
        multi_exponentiation: bits & 16 == 0,
    })
}

#[test]
fn no_measure_changes_messages_and_only_the_randomisation_changes_ciphertexts() {
    let work = |options: Options| {
        let scheme = Paillier::insecure_for_tests(256).unwrap().with_options(options);
        // The same key for all: its primes are 3 modulo 4.
        let short = Options { randomisation: Randomisation::ShortExponent, ..options };
        let key = scheme.with_options(short).generate_keys(&Stream::seeded(5)).unwrap();
        let messages: Vec<_> = (0..11_u32).map(|i| key.public().modulus() / (i + 1u32) - 1u32).collect();
        let weights: Vec<BigInt> = (0..11).map(|i| BigInt::from(i * 7919 - 40_000)).collect();
        let own = scheme.encrypt_own(&key, &messages, &Stream::seeded(6)).unwrap();
        let public = scheme.encrypt(key.public(), &messages, &Stream::seeded(6)).unwrap();
        assert_eq!(own, public);
        let sums = scheme.linear(key.public(), &own, &[&weights, &weights[..]]).unwrap();
        let fresh = scheme.rerandomise(key.public(), &sums, &Stream::seeded(7));
        let mut bytes = Vec::new();
        scheme.write_ciphertexts(key.public(), &[own, sums, fresh.clone()].concat(), &mut bytes);
        (bytes, scheme.decrypt(&key, &fresh).unwrap(), scheme.decrypt(&key, &public).unwrap())
    };
    let reference: Vec<_> = all_options().take(4).step_by(2).map(work).collect();
    assert!(reference[0].0 != reference[1].0);
    for options in all_options() {
        let (bytes, sums, messages) = work(options);
        let of_kind = &reference[usize::from(options.randomisation == Randomisation::ShortExponent)];
        assert!(bytes == of_kind.0, "{options:?}");
        assert!((&sums, &messages) == (&of_kind.1, &of_kind.2), "{options:?}");
    }
}

#[test]
fn keys_for_short_exponents_have_primes_that_are_3_modulo_4_and_masks_of_order_beyond_the_small_ones() {
    let options = Options { randomisation: Randomisation::ShortExponent, ..Options::default() };
    let scheme = Paillier::insecure_for_tests(128).unwrap().with_options(options);
    for seed in 0..5 {
        let key = scheme.generate_keys(&Stream::seeded(seed)).unwrap();
        let (p, q) = key.factors();
        assert_eq!([p % 4u8, q % 4u8], [3u8.into(), 3u8.into()]);
        assert_eq!((p - 1u8).gcd(&(q - 1u8)), 2u8.into());
        let zeros = scheme.encrypt(key.public(), &[BigUint::ZERO], &Stream::seeded(1)).unwrap();
        let mask = scheme.value(key.public(), &zeros[0]);
        // An N-th power: its order divides (p-1)(q-1), as that of every mask.
        let order = (p - 1u8) * (q - 1u8);
        assert!(mask.modpow(&order, key.public().ring().modulus()).is_one());
        assert!(!mask.is_one());
    }
}
