//! What Paillier reads and refuses as ciphertexts.

use henn::math::stream::Stream;
use henn::scheme::{
    additive::{AdditiveScheme, SchemeError},
    paillier::Paillier,
};
use num_bigint::BigUint;
use num_traits::One;

fn read(numbers: &[BigUint]) -> Result<usize, SchemeError> {
    let scheme = Paillier::insecure_for_tests(128).unwrap();
    let key = scheme.generate_keys(&Stream::seeded(1)).unwrap();
    let bytes = numbers.iter().flat_map(|number| {
        let digits = number.to_bytes_be();
        [vec![0; scheme.ciphertext_bytes() - digits.len()], digits].concat()
    });
    let bytes: Vec<_> = bytes.collect();
    scheme.read_ciphertexts(scheme.public_key(&key), &bytes).map(|ciphertexts| ciphertexts.len())
}

/// The same factors as in [`read`].
fn factors() -> (BigUint, BigUint) {
    let key = Paillier::insecure_for_tests(128).unwrap().generate_keys(&Stream::seeded(1)).unwrap();
    let (p, q) = key.factors();
    (p.clone(), q.clone())
}

fn one() -> BigUint {
    BigUint::one()
}

#[test]
fn the_greatest_unit_is_read_and_the_square_of_the_modulus_is_not() {
    let (p, q) = factors();
    let square = (&p * &q) * (&p * &q);
    assert_eq!(read(&[one(), &square - 1u8]), Ok(2));
    let refused = |index| Err(SchemeError::Range { what: "ciphertext", index });
    assert_eq!(read(std::slice::from_ref(&square)), refused(0));
    assert_eq!(read(&[one(), one(), square + 1u8]), refused(2));
    assert_eq!(read(&[one(), (BigUint::one() << 256) - 1u8]), refused(1));
}

#[test]
fn zero_and_multiples_of_the_primes_are_no_units_and_the_first_is_named() {
    let (p, q) = factors();
    let refused = |index| Err(SchemeError::NotAUnit { index });
    assert_eq!(read(&[BigUint::ZERO]), refused(0));
    assert_eq!(read(&[one(), one(), p.clone()]), refused(2));
    assert_eq!(read(&[one(), &q * 12_345u32, one(), p.clone()]), refused(1));
    assert_eq!(read(&[one(), &p * &q, BigUint::ZERO]), refused(1));
    assert_eq!(read(&[&p + 1u8, &q + 1u8]), Ok(2));
}
