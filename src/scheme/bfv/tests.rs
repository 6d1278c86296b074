use super::*;
use crate::scheme::rlwe::{
    Place,
    laws::{Lab, exact_lab, law_of_overflow, laws, party},
};

exact_lab!(Bfv, Place::Highest);
laws!(Bfv);
law_of_overflow!(Bfv);

/// A tower of squares as high as the modulus bears.
#[test]
fn squares_of_squares_are_exact() {
    let party = party::<Bfv>(6, 4, 2, 0, 1);
    let scheme = &party.scheme;
    let mut expected = party.slots(1);
    let mut power = party.encrypt(&expected, 3);
    for _ in 0..4 {
        power = scheme.relinearise(&scheme.multiply(&power, &power).unwrap(), &party.relinearisation);
        expected = expected.iter().map(|value| scheme.product(*value, *value)).collect();
        assert_eq!(scheme.decode(&scheme.decrypt(&party.secret, &power)), expected);
    }
    assert!(scheme.noise_budget(&party.secret, &power) > 0.0);
}

#[test]
fn what_cannot_be_computed_is_refused() {
    let party = party::<Bfv>(5, 2, 1, 0, 1);
    let one = party.encrypt(&[1], 1);
    let raw = party.scheme.multiply(&one, &one).unwrap();
    assert_eq!(
        party.scheme.multiply(&raw, &one).unwrap_err().to_string(),
        "a product of a ciphertext of 3 parts; relinearise it first"
    );
    assert!(matches!(
        party.scheme.rotate_many(&one, &[5], &party.rotations),
        Err(RlweError::Rotation { steps: 5 })
    ));
    assert_eq!(
        party.scheme.lower(&one).unwrap_err().to_string(),
        "modulus switching in BFV at level 2 needs level 3"
    );
}
