use proptest::prelude::*;

use super::*;
use crate::math::rns::prime::transform_primes;

/// What a test computes with: small rings are insecure, and quick.
struct Party {
    scheme: Bgv,
    secret: SecretKey,
    public: PublicKey,
    relinearisation: SwitchingKey,
    rotations: RotationKeys,
}

const STEPS: [i64; 3] = [1, 3, -2];

fn party(log_degree: u32, primes: usize, special: usize, plaintext_bits: u32, seed: u64) -> Party {
    let literal = Literal { log_degree, modulus_bits: vec![45; primes], special_bits: vec![46; special] };
    let modulus = transform_primes(plaintext_bits, 1 << log_degree, 1, &[]).unwrap()[0];
    let scheme = Bgv::try_new(&literal, modulus).unwrap();
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

    fn each(&self, left: &[i64], right: &[i64], operation: fn(i128, i128) -> i128) -> Vec<i64> {
        let prime = Prime::try_new(self.scheme.plaintext_modulus()).unwrap();
        let t = i128::from(prime.value());
        let residue = |(a, b): (&i64, &i64)| operation((*a).into(), (*b).into()).rem_euclid(t);
        let values = left.iter().zip(right).map(residue);
        values.map(|value| prime.centre(u64::try_from(value).unwrap())).collect()
    }
}

fn values(scheme: &Bgv, seed: u64) -> Vec<i64> {
    let mut rng = Stream::seeded(seed).derive("values").rng();
    let t = scheme.plaintext_modulus();
    let prime = Prime::try_new(t).unwrap();
    (0..scheme.slots()).map(|_| prime.centre(rand::RngCore::next_u64(&mut rng) % t)).collect()
}

fn rotated(values: &[i64], steps: i64) -> Vec<i64> {
    let (first, second) = values.split_at(values.len() / 2);
    let turn = |row: &[i64]| {
        let mut row = row.to_vec();
        let by = usize::try_from(steps.rem_euclid(i64::try_from(row.len()).unwrap())).unwrap();
        row.rotate_left(by);
        row
    };
    [turn(first), turn(second)].concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Sums, products and rotations at all levels, with one and with several special primes.
    #[test]
    fn decrypted_results_are_those_of_integer_arithmetic(
        log_degree in 4_u32..10,
        special in 1_usize..4,
        plaintext_bits in prop::sample::select(vec![17_u32, 20, 30]),
        seed: u64,
    ) {
        let party = party(log_degree, 5, special, plaintext_bits, seed);
        let scheme = &party.scheme;
        let (a, b) = (values(scheme, seed), values(scheme, seed ^ 1));
        let (left, right) = (party.encrypt(&a, 1), party.encrypt(&b, 2));
        prop_assert_eq!(&party.decrypt(&left), &a);
        prop_assert_eq!(party.decrypt(&scheme.add(&left, &right).unwrap()), party.each(&a, &b, |a, b| a + b));
        prop_assert_eq!(party.decrypt(&scheme.negate(&left)), party.each(&a, &a, |a, _| -a));
        let plain = scheme.encode(&b).unwrap();
        prop_assert_eq!(party.decrypt(&scheme.add_plain(&left, &plain)), party.each(&a, &b, |a, b| a + b));
        let product = party.each(&a, &b, |a, b| a * b);
        prop_assert_eq!(&party.decrypt(&scheme.multiply_plain(&left, &plain)), &product);
        let raw = scheme.multiply(&left, &right).unwrap();
        prop_assert_eq!(&party.decrypt(&raw), &product);
        let relinearised = scheme.relinearise(&raw, &party.relinearisation);
        prop_assert_eq!(relinearised.parts(), 2);
        prop_assert_eq!(&party.decrypt(&relinearised), &product);
        // Down the levels: the factor changes, the message does not, and ciphertexts of different factors can be added.
        let mut low = relinearised;
        while low.level() > 2 {
            low = scheme.switch_modulus(&low).unwrap();
            prop_assert_eq!(&party.decrypt(&low), &product);
            let steps = scheme.rotate_many(&low, &STEPS, &party.rotations).unwrap();
            for (rotation, steps) in steps.iter().zip(STEPS) {
                prop_assert_eq!(party.decrypt(rotation), rotated(&product, steps));
            }
        }
        let swapped = party.decrypt(&scheme.swap_rows(&low, &party.rotations).unwrap());
        prop_assert_eq!(swapped, [&product[product.len() / 2..], &product[..product.len() / 2]].concat());
        let sum = scheme.add(&low, &left).unwrap();
        prop_assert_eq!(party.decrypt(&sum), party.each(&product, &a, |a, b| a + b));
        prop_assert_eq!(party.decrypt(&scheme.add_plain(&low, &plain)), party.each(&product, &b, |a, b| a + b));
    }

    /// A chain of products, a level each: t of 17 bits and primes of 45 leave room for that.
    #[test]
    fn squares_go_down_to_the_last_level(log_degree in 4_u32..9, seed: u64) {
        let party = party(log_degree, 6, 2, 17, seed);
        let scheme = &party.scheme;
        let mut expected = values(scheme, seed);
        let mut power = party.encrypt(&expected, 3);
        while power.level() > 1 {
            let square = scheme.relinearise(&scheme.multiply(&power, &power).unwrap(), &party.relinearisation);
            power = scheme.switch_modulus(&square).unwrap();
            expected = party.each(&expected, &expected, |a, b| a * b);
            prop_assert_eq!(party.decrypt(&power), expected.clone());
        }
        prop_assert!(scheme.noise_budget(&party.secret, &power) > 0);
    }
}

#[test]
fn long_plaintext_moduli_have_exact_products_too() {
    let party = party(6, 6, 2, 59, 7);
    let (a, b) = (values(&party.scheme, 1), values(&party.scheme, 2));
    let product = party.scheme.multiply(&party.encrypt(&a, 1), &party.encrypt(&b, 2)).unwrap();
    let product = party.scheme.relinearise(&product, &party.relinearisation);
    assert_eq!(party.decrypt(&product), party.each(&a, &b, |a, b| a * b));
}

#[test]
fn the_same_seed_gives_the_same_ciphertext_whatever_the_threads() {
    let compute = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let party = party(8, 4, 2, 20, 9);
            let a = party.encrypt(&values(&party.scheme, 1), 1);
            let product = party.scheme.multiply(&a, &a).unwrap();
            party.scheme.relinearise(&product, &party.relinearisation)
        })
    };
    assert_eq!(compute(1), compute(2));
}

#[test]
fn what_cannot_be_computed_is_refused() {
    let party = party(5, 2, 1, 17, 1);
    let scheme = &party.scheme;
    let bottom = scheme.switch_to(&party.encrypt(&[1], 1), 1).unwrap();
    let refused = |error: RlweError| error.to_string();
    assert_eq!(
        refused(scheme.switch_modulus(&bottom).unwrap_err()),
        "modulus switching at level 1 needs level 2"
    );
    assert_eq!(
        refused(scheme.switch_to(&bottom, 2).unwrap_err()),
        "modulus switching at level 1 needs level 2"
    );
    assert_eq!(
        refused(scheme.rotate(&bottom, 5, &party.rotations).unwrap_err()),
        "no key for a rotation by 5"
    );
    assert_eq!(refused(scheme.encode(&[0; 33]).unwrap_err()), "33 values for 32 slots");
    let half = i64::try_from(scheme.plaintext_modulus() / 2).unwrap();
    assert!(scheme.encode(&[half, -half]).is_ok());
    assert!(matches!(scheme.encode(&[0, half + 1]), Err(RlweError::Value { index: 1, .. })));
    let literal = Literal { log_degree: 5, modulus_bits: vec![17], special_bits: vec![20] };
    let first = Parameters::try_new(&literal).unwrap().modulus().primes().next().unwrap().value();
    for modulus in [first, 65_536, 97 * 2 + 1, 1 << 61] {
        assert!(
            matches!(Bgv::try_new(&literal, modulus), Err(RlweError::PlaintextModulus { .. })),
            "{modulus}"
        );
    }
}

#[test]
fn another_key_decrypts_to_something_else() {
    let (party, other) = (party(6, 3, 1, 20, 1), party(6, 3, 1, 20, 2));
    let values = values(&party.scheme, 1);
    let ciphertext = party.encrypt(&values, 1);
    assert_ne!(other.decrypt(&ciphertext), values);
}
