use num_traits::ToPrimitive;
use sha2::{Digest, Sha256};

use super::*;
use crate::math::{modexp::Modulus, prime::is_prime_u64};

fn tiny() -> MultiplicativeElGamal {
    MultiplicativeElGamal::insecure_for_tests(Arithmetic::default()).unwrap()
}

fn power(base: u64, exponent: u64, modulus: u64) -> u64 {
    let multiply = |a: u64, b: u64| (u128::from(a) * u128::from(b) % u128::from(modulus)).to_u64().unwrap();
    (0..64).rev().fold(1, |x, bit| {
        let square = multiply(x, x);
        if exponent >> bit & 1 == 1 { multiply(square, base) } else { square }
    })
}

/// SHA-256 of the primes as OpenSSL 3 writes them (`openssl genpkey -genparam -algorithm DH -pkeyopt group:ffdhe2048`), as
/// big-endian bytes.
#[test]
fn the_primes_are_those_that_openssl_has() {
    let expected = [
        "9cd3b7f336872f46c09428d1bbc19877a4d440512cda8d1c1cf0cd6e33698966",
        "0eaf67db3a839156d5013494a5318a772b5697d270d721f37f092efc69ea5a17",
        "4648414224ac881b3d0dc59b466f96d06a558278776807797ecf1f66ff397b3e",
    ];
    let digests = SafePrime::ALL.map(|prime| hex::encode(Sha256::digest(prime.value().to_bytes_be())));
    assert_eq!(digests, expected);
    assert_eq!(SafePrime::ALL.map(|prime| prime.value().bits()), SafePrime::ALL.map(SafePrime::bits));
}

/// 2.5 in binary is 10.1, e is 10.1011011111100001010100...
#[test]
fn the_digits_of_euler_s_number_are_exact() {
    let expected = [2_u32, 5, 10, 21, 43, 86, 173, 347, 695, 1391, 2783].map(BigUint::from);
    assert_eq!(std::array::from_fn(|bits| euler_digits(bits as u64)), expected);
    let scaled = euler_digits(200) * BigUint::from(10_u8).pow(50);
    assert_eq!((scaled >> 200_u32).to_string(), "271828182845904523536028747135266249775724709369995");
}

/// Fermat's test to two bases, which is no proof: those are published with the primes.
#[test]
fn the_primes_and_their_halves_may_be_prime_and_two_is_a_residue() {
    for prime in SafePrime::ALL {
        let p = prime.value();
        let q: BigUint = &p >> 1;
        for number in [&p, &q] {
            let modulus = Modulus::try_new(number.clone()).unwrap();
            for base in [2_u32, 3] {
                assert!(modulus.pow(&base.into(), &(number - 1_u32)).is_one());
            }
        }
        assert!(Modulus::try_new(p).unwrap().pow(&2_u32.into(), &q).is_one());
    }
}

#[test]
fn the_prime_for_tests_is_safe_and_two_is_a_residue() {
    assert!(is_prime_u64(INSECURE_PRIME) && is_prime_u64(INSECURE_PRIME / 2));
    assert_eq!(power(2, INSECURE_PRIME / 2, INSECURE_PRIME), 1);
}

#[test]
fn security_is_what_the_standards_say() {
    assert_eq!(SafePrime::ALL.map(SafePrime::security_bits), [112, 128, 128]);
    // Twice as many bits of the exponent as of security, at least.
    assert!(SafePrime::ALL.iter().all(|prime| prime.exponent_bits() >= 2 * u64::from(prime.security_bits())));
}

/// ElGamal's definition in the quadratic residues, on machine words: the residue among m and p - m is what is encrypted.
#[test]
fn a_ciphertext_is_the_magnitude_of_the_textbook_s() {
    let (scheme, p) = (tiny(), INSECURE_PRIME);
    let q = p / 2;
    let key = scheme.generate_keys(&Stream::seeded(1)).unwrap();
    let x = key.exponent.to_u64().unwrap();
    let h = power(2, x, p);
    let magnitude = |residue: u64| residue.min(p - residue);
    assert_eq!(key.public().value(), &magnitude(h).into());
    let messages = [1, 2, 3, 5, q - 1, q, 0x0123_4567_89ab_cdef];
    let randomness = Stream::seeded(2);
    let ciphertexts = scheme.encrypt(key.public(), &messages.map(BigUint::from), &randomness).unwrap();
    for ((i, message), ciphertext) in (0..).zip(messages).zip(&ciphertexts) {
        let residue = if power(message, q, p) == 1 { message } else { p - message };
        assert_eq!(power(residue, q, p), 1);
        let r = uniform::below(&q.into(), &mut randomness.item(i).rng()).to_u64().unwrap();
        let body = (u128::from(residue) * u128::from(power(h, r, p)) % u128::from(p)).to_u64().unwrap();
        let expected = (magnitude(power(2, r, p)).into(), magnitude(body).into());
        assert_eq!(ciphertext.parts(), (&expected.0, &expected.1));
        // And the textbook's decryption of it.
        let shared = power(power(2, r, p), x, p);
        let plain =
            (u128::from(body) * u128::from(power(shared, p - 2, p)) % u128::from(p)).to_u64().unwrap();
        assert_eq!(plain, residue);
    }
    assert_eq!(scheme.decrypt(&key, &ciphertexts), Ok(messages.map(BigUint::from).into()));
}

/// The group of 11 elements modulo 23, all of it.
#[test]
fn all_products_modulo_23_are_those_of_the_integers_up_to_sign() {
    let scheme = MultiplicativeElGamal::modulo(23_u32.into(), 64, Arithmetic::default()).unwrap();
    let messages: Vec<BigUint> = (1_u32..=11).map(BigUint::from).collect();
    for seed in 0..10 {
        let key = scheme.generate_keys(&Stream::seeded(seed)).unwrap();
        assert!(*key.exponent > BigUint::ZERO && *key.exponent < 11_u32.into());
        let ciphertexts = scheme.encrypt(key.public(), &messages, &Stream::seeded(seed)).unwrap();
        for shift in 0..11 {
            let (mut others, mut factors) = (ciphertexts.clone(), messages.clone());
            others.rotate_left(shift);
            factors.rotate_left(shift);
            let products = scheme.multiply(key.public(), &ciphertexts, &others).unwrap();
            let pairs = messages.iter().zip(&factors);
            let expected: Vec<BigUint> = pairs
                .map(|(a, b)| (a * b % 23_u32).to_u32().unwrap())
                .map(|product| product.min(23 - product).into())
                .collect();
            assert_eq!(scheme.decrypt(&key, &products), Ok(expected));
        }
    }
}

#[test]
fn both_arithmetics_give_the_same_bytes() {
    let bytes = |arithmetic| {
        let scheme = MultiplicativeElGamal::try_new(SafePrime::Ffdhe2048, arithmetic).unwrap();
        let key = scheme.generate_keys(&Stream::seeded(3)).unwrap();
        let messages = [BigUint::one(), scheme.greatest_message().clone()];
        let ciphertexts = scheme.encrypt(key.public(), &messages, &Stream::seeded(4)).unwrap();
        let powers = scheme.pow(key.public(), &ciphertexts, &1_000_003_u32.into());
        let mut out = Vec::new();
        scheme.write_public_key(key.public(), &mut out);
        scheme.write_ciphertexts(key.public(), &ciphertexts, &mut out);
        scheme.write_ciphertexts(key.public(), &powers, &mut out);
        out
    };
    assert!(bytes(Arithmetic::NumBigint) == bytes(Arithmetic::Vector));
}

#[test]
fn secret_exponents_are_short() {
    let scheme = MultiplicativeElGamal::try_new(SafePrime::Ffdhe2048, Arithmetic::default()).unwrap();
    let lengths = (0..8).map(|seed| scheme.generate_keys(&Stream::seeded(seed)).unwrap().exponent.bits());
    let longest = lengths.max().unwrap();
    assert!((220..=225).contains(&longest), "{longest}");
}

#[test]
fn numbers_beyond_half_of_the_prime_are_no_elements() {
    let scheme = tiny();
    let key = scheme.generate_keys(&Stream::seeded(5)).unwrap();
    let q = INSECURE_PRIME / 2;
    let read = |numbers: &[u64]| {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
        scheme.read_ciphertexts(key.public(), &bytes).map(|ciphertexts| ciphertexts.len())
    };
    assert_eq!(read(&[1, q, q, 1]), Ok(2));
    for bad in [0, q + 1, INSECURE_PRIME, u64::MAX] {
        for part in 0..6 {
            let mut numbers = [7; 6];
            numbers[part] = bad;
            let refused = SchemeError::NotAnElement { what: "ciphertext", index: part / 2 };
            assert_eq!(read(&numbers), Err(refused));
        }
    }
    let public = |number: u64| scheme.read_public_key(&number.to_be_bytes()).map(|key| key.value().clone());
    assert_eq!([public(2), public(q)], [Ok(2_u32.into()), Ok(q.into())]);
    for bad in [0, 1, q + 1, u64::MAX] {
        assert_eq!(public(bad), Err(SchemeError::NotAnElement { what: "public key", index: 0 }));
    }
}
