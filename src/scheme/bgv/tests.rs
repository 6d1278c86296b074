use super::*;
use crate::{
    math::{rns::prime::transform_primes, stream::Stream},
    scheme::rlwe::{
        Place,
        laws::{Lab, exact_lab, law_of_levels, law_of_overflow, laws, party},
    },
};

exact_lab!(Bgv, Place::Lowest);
laws!(Bgv);
law_of_overflow!(Bgv);
law_of_levels!(Bgv);

/// A chain of products, a level each.
#[test]
fn squares_go_down_to_the_last_level() {
    let party = party::<Bgv>(6, 6, 2, 0, 1);
    let scheme = &party.scheme;
    let mut expected = party.slots(1);
    let mut power = party.encrypt(&expected, 3);
    while power.level() > 1 {
        let square = scheme.relinearise(&scheme.multiply(&power, &power).unwrap(), &party.relinearisation);
        power = scheme.lower(&square).unwrap();
        expected = expected.iter().map(|value| scheme.product(*value, *value)).collect();
        assert_eq!(scheme.decode(&scheme.decrypt(&party.secret, &power)), expected);
    }
    assert!(scheme.noise_budget(&party.secret, &power) > 0.0);
}

#[test]
fn long_plaintext_moduli_have_exact_products_too() {
    let literal = Literal { log_degree: 6, modulus_bits: vec![45; 6], special_bits: vec![46; 2] };
    let scheme = Bgv::try_new(&literal, transform_primes(59, 64, 1, &[]).unwrap()[0]).unwrap();
    let randomness = Stream::seeded(7);
    let secret = scheme.generate_secret_key(&randomness);
    let key = scheme.generate_relinearisation_key(&secret, &randomness.derive("relinearisation"));
    let mut rng = randomness.derive("values").rng();
    let values: Vec<i64> = (0..64).map(|_| scheme.random(&mut rng)).collect();
    let ciphertext = scheme.encrypt_own(&secret, &scheme.encode(&values).unwrap(), &randomness).unwrap();
    let product = scheme.relinearise(&scheme.multiply(&ciphertext, &ciphertext).unwrap(), &key);
    let expected: Vec<i64> = values.iter().map(|value| scheme.product(*value, *value)).collect();
    assert_eq!(scheme.decode(&scheme.decrypt(&secret, &product)), expected);
}

/// Primes are near multiples of t, so that dropping one costs few bits.
#[test]
fn the_primes_of_a_modulus_suit_the_plaintext() {
    for (log_degree, bits) in [(12, 20), (13, 30), (14, 34)] {
        let literal = Literal { log_degree, modulus_bits: vec![50; 6], special_bits: vec![50] };
        let t = transform_primes(bits, 1 << log_degree, 1, &[]).unwrap()[0];
        let scheme = Bgv::try_new(&literal, t).unwrap();
        let worst = (1..=6).map(|level| scheme.context().multiplier(level).unsigned_abs()).max();
        assert!(worst.unwrap() < 500, "t of {bits} bits: {worst:?}");
        assert!(scheme.parameters().modulus().primes().all(|prime| prime.bits() == 50));
    }
}

#[test]
fn what_cannot_be_computed_is_refused() {
    let party = party::<Bgv>(5, 2, 1, 0, 1);
    let scheme = &party.scheme;
    let fresh = party.encrypt(&[1], 1);
    let bottom = scheme.drop_to(&fresh, 1).unwrap();
    let refused = |error: RlweError| error.to_string();
    assert_eq!(refused(scheme.lower(&bottom).unwrap_err()), "modulus switching at level 1 needs level 2");
    assert_eq!(
        refused(scheme.drop_to(&bottom, 2).unwrap_err()),
        "modulus switching at level 1 needs level 2"
    );
    let error = scheme.rotate(&bottom, 5, &party.rotations).unwrap_err();
    assert_eq!(refused(error), "no key for a rotation by 5");
    assert_eq!(refused(scheme.encode(&[0; 33]).unwrap_err()), "33 values for 32 slots");
    let half = i64::try_from(scheme.plaintext_modulus() / 2).unwrap();
    assert!(scheme.encode(&[half, -half]).is_ok());
    assert!(matches!(scheme.encode(&[0, half + 1]), Err(RlweError::Value { index: 1, .. })));
    let literal = Literal { log_degree: 5, modulus_bits: vec![17], special_bits: vec![20] };
    for modulus in [65_536, 97 * 2 + 1, 1 << 61] {
        assert!(
            matches!(Bgv::try_new(&literal, modulus), Err(RlweError::PlaintextModulus { .. })),
            "{modulus}"
        );
    }
}
