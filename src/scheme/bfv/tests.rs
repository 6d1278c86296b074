use proptest::prelude::*;

use super::*;

const STEPS: [i64; 2] = [1, -3];

struct Party {
    scheme: Bfv,
    secret: SecretKey,
    public: PublicKey,
    relinearisation: SwitchingKey,
    rotations: RotationKeys,
}

fn party(log_degree: u32, primes: usize, special: usize, plaintext_bits: u32, seed: u64) -> Party {
    let literal = Literal { log_degree, modulus_bits: vec![45; primes], special_bits: vec![46; special] };
    let modulus = transform_primes(plaintext_bits, 1 << log_degree, 1, &[]).unwrap()[0];
    let scheme = Bfv::try_new(&literal, modulus).unwrap();
    let randomness = Stream::seeded(seed);
    let secret = scheme.generate_secret_key(&randomness.derive("secret"));
    Party {
        public: scheme.generate_public_key(&secret, &randomness.derive("public")),
        relinearisation: scheme.generate_relinearisation_key(&secret, &randomness.derive("relinearisation")),
        rotations: scheme.generate_rotation_keys(&secret, &STEPS, true, &randomness.derive("rotations")),
        secret,
        scheme,
    }
}

impl Party {
    fn encrypt(&self, values: &[i64], seed: u64) -> Ciphertext {
        self.scheme.encrypt(&self.public, &self.scheme.encode(values).unwrap(), &Stream::seeded(seed))
    }

    fn decrypt(&self, ciphertext: &Ciphertext) -> Vec<i64> {
        self.scheme.decode(&self.scheme.decrypt(&self.secret, ciphertext))
    }

    /// Least magnitude modulo t.
    fn centred(&self, value: i128) -> i64 {
        let t = i128::from(self.scheme.plaintext_modulus());
        let residue = value.rem_euclid(t);
        i64::try_from(if residue > t / 2 { residue - t } else { residue }).unwrap()
    }

    fn each(&self, left: &[i64], right: &[i64], operation: fn(i128, i128) -> i128) -> Vec<i64> {
        left.iter().zip(right).map(|(a, b)| self.centred(operation((*a).into(), (*b).into()))).collect()
    }

    fn values(&self, seed: u64) -> Vec<i64> {
        let mut rng = Stream::seeded(seed).derive("values").rng();
        (0..self.scheme.slots()).map(|_| self.centred(rand::RngCore::next_u64(&mut rng).into())).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn decrypted_results_are_those_of_integer_arithmetic(
        log_degree in 4_u32..10,
        special in 1_usize..4,
        plaintext_bits in prop::sample::select(vec![17_u32, 20, 30]),
        seed: u64,
    ) {
        let party = party(log_degree, 4, special, plaintext_bits, seed);
        let scheme = &party.scheme;
        let (a, b) = (party.values(seed), party.values(!seed));
        let (left, right) = (party.encrypt(&a, 1), party.encrypt(&b, 2));
        let sum = party.each(&a, &b, |a, b| a + b);
        prop_assert_eq!(&party.decrypt(&left), &a);
        prop_assert_eq!(&party.decrypt(&scheme.add(&left, &right)), &sum);
        prop_assert_eq!(party.decrypt(&scheme.negate(&left)), party.each(&a, &a, |a, _| -a));
        let plain = scheme.encode(&b).unwrap();
        prop_assert_eq!(&party.decrypt(&scheme.add_plain(&left, &plain)), &sum);
        let product = party.each(&a, &b, |a, b| a * b);
        prop_assert_eq!(&party.decrypt(&scheme.multiply_plain(&left, &plain)), &product);
        let raw = scheme.multiply(&left, &right).unwrap();
        prop_assert_eq!(&party.decrypt(&raw), &product);
        let relinearised = scheme.relinearise(&raw, &party.relinearisation);
        prop_assert_eq!(relinearised.parts(), 2);
        prop_assert_eq!(&party.decrypt(&relinearised), &product);
        for (rotation, steps) in scheme.rotate_many(&relinearised, &STEPS, &party.rotations).unwrap().iter().zip(STEPS) {
            let half = product.len() / 2;
            let by = usize::try_from(steps.rem_euclid(i64::try_from(half).unwrap())).unwrap();
            let mut expected = product.clone();
            expected[..half].rotate_left(by);
            expected[half..].rotate_left(by);
            prop_assert_eq!(party.decrypt(rotation), expected);
        }
        let swapped = scheme.swap_rows(&relinearised, &party.rotations).unwrap();
        let half = product.len() / 2;
        prop_assert_eq!(party.decrypt(&swapped), [&product[half..], &product[..half]].concat());
    }

    /// A tower of squares as high as the modulus bears.
    #[test]
    fn squares_of_squares_are_exact(log_degree in 4_u32..9, seed: u64) {
        let party = party(log_degree, 4, 2, 17, seed);
        let scheme = &party.scheme;
        let mut expected = party.values(seed);
        let mut power = party.encrypt(&expected, 3);
        for _ in 0..4 {
            power = scheme.relinearise(&scheme.multiply(&power, &power).unwrap(), &party.relinearisation);
            expected = party.each(&expected, &expected, |a, b| a * b);
            prop_assert_eq!(party.decrypt(&power), expected.clone());
        }
        prop_assert!(scheme.noise_budget(&party.secret, &power) > 0);
    }
}

#[test]
fn what_cannot_be_computed_is_refused() {
    let party = party(5, 2, 1, 17, 1);
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
}
