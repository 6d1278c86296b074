//! The laws that every scheme over rings obeys, checked with the schemes' own arithmetic of slots as the oracle, and the bounds on
//! errors beside the true ones.

use proptest::prelude::*;
use rand::RngCore;

use super::{
    Bound, Ciphertext, Literal, Noise, PublicKey, RlweScheme, RotationKeys, SecretKey, SwitchingKey,
};
use crate::math::stream::Stream;

/// What the laws need to know of a scheme.
pub(in crate::scheme) trait Lab: RlweScheme + Sized {
    type Slot: Copy + std::fmt::Debug + PartialEq;

    /// The scheme with so many primes and special primes; the choice picks a plaintext modulus.
    fn build(literal: impl Fn(u32) -> Literal, choice: usize) -> Self;
    fn noise(&self) -> Noise;
    fn random(&self, rng: &mut impl RngCore) -> Self::Slot;
    fn pack(&self, slots: &[Self::Slot]) -> Self::Plaintext;
    fn unpack(&self, decrypted: &Self::Decrypted) -> Vec<Self::Slot>;
    fn sum(&self, a: Self::Slot, b: Self::Slot) -> Self::Slot;
    fn product(&self, a: Self::Slot, b: Self::Slot) -> Self::Slot;
    /// Times an integer.
    fn times(&self, a: Self::Slot, integer: i64) -> Self::Slot;
    /// Plus an integer at the scale of a ciphertext.
    fn plus(&self, a: Self::Slot, integer: i64, ciphertext: &Ciphertext<Self::Tag>) -> Self::Slot;
    /// What becomes of the slots under the inversion.
    fn inverted(&self, slots: &[Self::Slot]) -> Vec<Self::Slot>;
    /// Rows of slots that rotate.
    fn rows() -> usize;
    /// log2 of the greatest error of slots, at the scale of the ciphertext: what a bound on errors is compared with. Exact schemes
    /// compare slots, and report the errors that the secret key sees.
    fn error(
        &self,
        secret: &SecretKey,
        ciphertext: &Ciphertext<Self::Tag>,
        expected: &[Self::Slot],
    ) -> Result<f64, String>;
    /// Whether a drop to a lower level divides the error.
    fn drops_divide() -> bool;
    /// log2 of the greatest magnitude of an encoded slot.
    fn magnitude(&self) -> Bound;
}

pub(in crate::scheme) const STEPS: [i64; 3] = [1, 3, -2];

/// Keys of a small ring: insecure, and quick.
pub(in crate::scheme) struct Party<S> {
    pub scheme: S,
    pub secret: SecretKey,
    pub public: PublicKey,
    pub relinearisation: SwitchingKey,
    pub rotations: RotationKeys,
}

/// A party of a ring of degree 2^`log_degree` with so many primes.
pub(in crate::scheme) fn party<S: Lab>(
    log_degree: u32,
    primes: usize,
    special: usize,
    choice: usize,
    seed: u64,
) -> Party<S> {
    let literal =
        |bits| Literal { log_degree, modulus_bits: vec![bits; primes], special_bits: vec![46; special] };
    let scheme = S::build(literal, choice);
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

impl<S: Lab> Party<S> {
    pub(in crate::scheme) fn slots(&self, seed: u64) -> Vec<S::Slot> {
        let mut rng = Stream::seeded(seed).derive("slots").rng();
        (0..self.scheme.slots()).map(|_| self.scheme.random(&mut rng)).collect()
    }

    pub(in crate::scheme) fn encrypt(&self, slots: &[S::Slot], seed: u64) -> Ciphertext<S::Tag> {
        self.scheme.encrypt(&self.public, &self.scheme.pack(slots), &Stream::seeded(seed)).unwrap()
    }

    /// Whether the slots are the expected ones, and the true error is within the bound.
    pub(in crate::scheme) fn holds(
        &self,
        ciphertext: &Ciphertext<S::Tag>,
        expected: &[S::Slot],
        bound: Bound,
    ) -> Result<(), TestCaseError> {
        let error = self.scheme.error(&self.secret, ciphertext, expected).map_err(TestCaseError::fail)?;
        prop_assert!(error <= bound.0, "an error of {error:.1} bits, bounded by {:.1}", bound.0);
        Ok(())
    }

    fn rotated(slots: &[S::Slot], steps: i64) -> Vec<S::Slot> {
        let row = slots.len() / S::rows();
        let by = usize::try_from(steps.rem_euclid(i64::try_from(row).unwrap())).unwrap();
        let turn = |row: &[S::Slot]| [&row[by..], &row[..by]].concat();
        slots.chunks(row).flat_map(turn).collect()
    }

    fn each(a: &[S::Slot], b: &[S::Slot], of: impl Fn(S::Slot, S::Slot) -> S::Slot) -> Vec<S::Slot> {
        a.iter().zip(b).map(|(a, b)| of(*a, *b)).collect()
    }
}

/// Encryptions, sums, products and rotations at the highest level.
pub(in crate::scheme) fn arithmetic<S: Lab>(party: &Party<S>, seed: u64) -> Result<(), TestCaseError> {
    let Party { scheme, secret, relinearisation, rotations, .. } = party;
    let (noise, level) = (scheme.noise(), scheme.parameters().levels());
    let (a, b) = (party.slots(seed), party.slots(!seed));
    let (left, right) = (party.encrypt(&a, seed), party.encrypt(&b, !seed));
    let (fresh, own) = (noise.fresh(false), noise.fresh(true));
    let size = scheme.magnitude();
    party.holds(&left, &a, fresh)?;
    let mine = scheme.encrypt_own(secret, &scheme.pack(&a), &Stream::seeded(seed)).unwrap();
    party.holds(&mine, &a, own)?;
    let sum = Party::<S>::each(&a, &b, |a, b| scheme.sum(a, b));
    party.holds(&scheme.add(&left, &right).unwrap(), &sum, fresh + fresh)?;
    let negative: Vec<_> = a.iter().map(|a| scheme.times(*a, -1)).collect();
    party.holds(&scheme.negate(&left), &negative, fresh)?;
    let difference = Party::<S>::each(&b, &negative, |b, a| scheme.sum(b, a));
    party.holds(&scheme.subtract(&right, &mine).unwrap(), &difference, fresh + own)?;
    let plain = scheme.pack(&b);
    party.holds(&scheme.add_plain(&left, &plain).unwrap(), &sum, noise.plus_message(fresh))?;
    let product = Party::<S>::each(&a, &b, |a, b| scheme.product(a, b));
    let bound = noise.times_message(fresh, [size, size]);
    party.holds(&scheme.multiply_plain(&left, &plain), &product, bound)?;
    let prepared = scheme.prepare(&plain, level);
    prop_assert_eq!(
        scheme.multiply_prepared(&left, &prepared).unwrap(),
        scheme.multiply_plain(&left, &plain)
    );
    for integer in [0_i64, 1, -3, 1000] {
        let shifted: Vec<_> = a.iter().map(|a| scheme.plus(*a, integer, &left)).collect();
        party.holds(&scheme.add_integer(&left, &integer.into()), &shifted, noise.plus_integer(fresh))?;
        let scaled = Party::<S>::each(&a, &b, |a, b| {
            scheme.sum(scheme.times(a, integer), scheme.times(b, 7 - integer))
        });
        let terms = [(&left, integer.into()), (&right, (7 - integer).into())];
        let weight = Bound::of((integer.abs() + (7 - integer).abs()) as f64);
        party.holds(&scheme.combine(&terms, left.tag).unwrap(), &scaled, fresh * weight)?;
    }
    let raw = scheme.multiply(&left, &right).unwrap();
    prop_assert_eq!(raw.parts(), 3);
    let bound = noise.product([fresh, fresh], [size, size], level);
    party.holds(&raw, &product, bound)?;
    let more = [(&right, &right), (&mine, &left)];
    let products = more.map(|(left, right)| scheme.multiply(left, right).unwrap());
    let sum = products.iter().try_fold(raw.clone(), |sum, product| scheme.add(&sum, product)).unwrap();
    prop_assert_eq!(scheme.dot(&[(&left, &right), more[0], more[1]]).unwrap(), sum);
    prop_assert!(scheme.dot(&[]).is_err());
    let relinearised = scheme.relinearise(&raw, relinearisation);
    prop_assert_eq!(relinearised.parts(), 2);
    party.holds(&relinearised, &product, noise.switched(bound, level))?;
    for (rotation, steps) in scheme.rotate_many(&left, &STEPS, rotations).unwrap().iter().zip(STEPS) {
        party.holds(rotation, &Party::<S>::rotated(&a, steps), noise.switched(fresh, level))?;
    }
    let inverted = scheme.invert(&left, rotations).unwrap();
    party.holds(&inverted, &scheme.inverted(&a), noise.switched(fresh, level))
}

/// Down the levels: the message stays, and ciphertexts of different levels can be combined where their scales agree.
pub(in crate::scheme) fn levels<S: Lab>(party: &Party<S>, seed: u64) -> Result<(), TestCaseError> {
    let Party { scheme, relinearisation, .. } = party;
    let (noise, top) = (scheme.noise(), scheme.parameters().levels());
    let (a, b) = (party.slots(seed), party.slots(!seed));
    let (mut left, mut right) = (party.encrypt(&a, seed), party.encrypt(&b, !seed));
    let mut bounds = [noise.fresh(false); 2];
    let size = scheme.magnitude();
    let (mut a, mut b) = (a, b);
    let mut level = top;
    while level > 1 {
        // Alternately one factor and both, so that levels differ.
        let product = scheme.multiply(&left, &right).unwrap();
        let product = scheme.relinearise(&product, relinearisation);
        let bound = noise.switched(noise.product(bounds, [size, size], level), level);
        let lowered = scheme.lower(&product).unwrap();
        let bound = noise.lowered(bound, level);
        level -= 1;
        if noise.budget(bound, size, level) <= 0.0 {
            break;
        }
        let expected = Party::<S>::each(&a, &b, |a, b| scheme.product(a, b));
        party.holds(&lowered, &expected, bound)?;
        let low = scheme.drop_to(&right, level).unwrap().into_owned();
        let plain = scheme.pack(&b);
        let prepared = scheme.prepare(&plain, top);
        prop_assert_eq!(
            scheme.multiply_prepared(&low, &prepared).unwrap(),
            scheme.multiply_plain(&low, &plain)
        );
        prop_assert_eq!(low.level(), level);
        (a, b) = (expected, b);
        (left, bounds[0]) = (lowered, bound);
        right = low;
        if S::drops_divide() {
            bounds[1] = noise.lowered(bounds[1], level + 1);
        }
        party.holds(&right, &b, bounds[1])?;
    }
    Ok(())
}

/// Results are right as long as the bound on errors says so, and the exact circuit tells that they are not once it is passed by far.
pub(in crate::scheme) fn overflow<S: Lab>(party: &Party<S>, seed: u64) -> Result<(), TestCaseError> {
    let Party { scheme, relinearisation, .. } = party;
    let (noise, level) = (scheme.noise(), scheme.parameters().levels());
    let mut rng = Stream::seeded(seed).derive("steps").rng();
    let mut expected = party.slots(seed);
    let mut current = party.encrypt(&expected, seed);
    let mut bound = noise.fresh(false);
    while noise.budget(bound, Bound::ZERO, level) > -40.0 {
        match rng.next_u32() % 3 {
            0 => {
                current = scheme.relinearise(&scheme.multiply(&current, &current).unwrap(), relinearisation);
                expected = Party::<S>::each(&expected, &expected, |a, b| scheme.product(a, b));
                bound = noise.switched(noise.product([bound; 2], [Bound::ZERO; 2], level), level);
            }
            1 => {
                current = scheme.combine(&[(&current, 1021.into())], current.tag).unwrap();
                expected = expected.iter().map(|slot| scheme.times(*slot, 1021)).collect();
                bound = noise.times_integer(bound, Bound::ZERO, Bound::of(1021.0));
            }
            _ => {
                let other = party.slots(rng.next_u64());
                current = scheme.multiply_plain(&current, &scheme.pack(&other));
                expected = Party::<S>::each(&expected, &other, |a, b| scheme.product(a, b));
                bound = noise.times_message(bound, [Bound::ZERO; 2]);
            }
        }
        if noise.budget(bound, Bound::ZERO, level) > 0.0 {
            party.holds(&current, &expected, bound)?;
        }
    }
    prop_assert!(party.holds(&current, &expected, bound).is_err(), "an overflow that nobody sees");
    Ok(())
}

/// What was written can be read, whatever it was, in as many bytes as were foretold; what was cut, changed or lengthened is refused or is
/// another ciphertext of the same ring.
pub(in crate::scheme) fn bytes<S: Lab>(party: &Party<S>, seed: u64) -> Result<(), TestCaseError> {
    let Party { scheme, secret, public, relinearisation, rotations } = party;
    let (context, level) = (scheme.context(), scheme.parameters().levels());
    let slots = party.slots(seed);
    let theirs = party.encrypt(&slots, seed);
    let mine = scheme.encrypt_own(secret, &scheme.pack(&slots), &Stream::seeded(seed)).unwrap();
    let raw = scheme.multiply(&theirs, &mine).unwrap();
    let mut rng = Stream::seeded(seed).derive("bytes").rng();
    for (ciphertext, foretold) in [
        (&theirs, Some(context.ciphertext_bytes(level, false))),
        (&mine, Some(context.ciphertext_bytes(level, true))),
        (&raw, None),
    ] {
        let mut written = Vec::new();
        context.write_ciphertext(ciphertext, &mut written);
        prop_assert_eq!(foretold.unwrap_or(written.len()), written.len());
        let mut rest = &written[..];
        prop_assert_eq!(&context.read_ciphertext::<S::Tag>(&mut rest).unwrap(), ciphertext);
        prop_assert!(rest.is_empty());
        let cut = usize::try_from(rng.next_u32()).unwrap() % written.len();
        prop_assert!(context.read_ciphertext::<S::Tag>(&mut &written[..cut]).is_err());
        let mut changed = written.clone();
        changed[cut] ^= 1 << (rng.next_u32() % 8);
        if let Ok(other) = context.read_ciphertext::<S::Tag>(&mut &changed[..]) {
            prop_assert!(&other != ciphertext);
            // It is computed with like any other: nothing panics.
            scheme.decrypt(secret, &other);
        }
    }
    let mut written = Vec::new();
    context.write_public_key(public, &mut written);
    prop_assert_eq!(written.len(), context.public_key_bytes());
    prop_assert_eq!(&context.read_public_key(&mut &written[..]).unwrap(), public);
    prop_assert!(context.read_public_key(&mut &written[1..]).is_err());
    written.fill(0xff);
    prop_assert!(context.read_public_key(&mut &written[..]).is_err());
    let mut written = Vec::new();
    context.write_switching_key(relinearisation, &mut written);
    prop_assert_eq!(written.len(), context.switching_key_bytes());
    prop_assert_eq!(&context.read_switching_key(&mut &written[..]).unwrap(), relinearisation);
    prop_assert!(context.read_switching_key(&mut &written[1..]).is_err());
    let mut written = Vec::new();
    context.write_rotation_keys(rotations, &mut written);
    prop_assert_eq!(written.len(), context.rotation_keys_bytes(STEPS.len() + 1));
    prop_assert_eq!(&context.read_rotation_keys(&mut &written[..]).unwrap(), rotations);
    prop_assert!(context.read_rotation_keys(&mut &written[1..]).is_err());
    Ok(())
}

/// The laws for one scheme.
macro_rules! laws {
    ($scheme:ty) => {
        proptest::proptest! {
            #![proptest_config(proptest::prelude::ProptestConfig::with_cases(1000))]

            #[test]
            fn sums_products_and_rotations_are_those_of_the_slots(
                log_degree in 4_u32..8, special in 1_usize..4, choice: usize, seed: u64,
            ) {
                let party = $crate::scheme::rlwe::laws::party::<$scheme>(log_degree, 4, special, choice, seed);
                $crate::scheme::rlwe::laws::arithmetic(&party, seed)?;
            }

            #[test]
            fn bytes_are_read_as_they_were_written(
                log_degree in 4_u32..7, special in 1_usize..3, choice: usize, seed: u64,
            ) {
                let party = $crate::scheme::rlwe::laws::party::<$scheme>(log_degree, 3, special, choice, seed);
                $crate::scheme::rlwe::laws::bytes(&party, seed)?;
            }
        }

        /// The laws are of small rings; this is one of a larger, with the vector transform.
        #[test]
        fn the_laws_hold_in_a_large_ring() {
            for (log_degree, choice) in [(10, 0), (12, 1)] {
                let party = $crate::scheme::rlwe::laws::party::<$scheme>(log_degree, 4, 2, choice, 1);
                $crate::scheme::rlwe::laws::arithmetic(&party, 1).unwrap();
            }
        }

        #[test]
        fn the_same_seed_gives_the_same_ciphertext_whatever_the_threads() {
            let compute = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| {
                    let party = $crate::scheme::rlwe::laws::party::<$scheme>(8, 4, 2, 0, 9);
                    let a = party.encrypt(&party.slots(1), 1);
                    let product = party.scheme.multiply(&a, &a).unwrap();
                    party.scheme.relinearise(&product, &party.relinearisation)
                })
            };
            assert_eq!(compute(1), compute(2));
        }

        #[test]
        fn ciphertexts_of_other_parameters_are_refused() {
            use $crate::scheme::rlwe::{RlweError, RlweScheme};
            // As many primes, of another ring; and another plaintext modulus or another number of special primes.
            let party = $crate::scheme::rlwe::laws::party::<$scheme>(6, 3, 1, 0, 1);
            let mine = party.encrypt(&party.slots(1), 1);
            for other in [(7, 1, 0), (6, 2, 1)] {
                let other = $crate::scheme::rlwe::laws::party::<$scheme>(other.0, 3, other.1, other.2, 1);
                let theirs = other.encrypt(&other.slots(1), 1);
                let scheme = &party.scheme;
                let refused = |error: RlweError| assert!(matches!(error, RlweError::Context { .. }), "{error}");
                refused(scheme.add(&mine, &theirs).unwrap_err());
                refused(scheme.add(&theirs, &mine).unwrap_err());
                refused(scheme.multiply(&mine, &theirs).unwrap_err());
                refused(scheme.add_plain(&theirs, &scheme.pack(&party.slots(1))).unwrap_err());
                refused(scheme.rotate(&theirs, 1, &party.rotations).unwrap_err());
                refused(scheme.invert(&theirs, &party.rotations).unwrap_err());
                refused(scheme.drop_to(&theirs, 3).unwrap_err());
                refused(scheme.combine(&[(&mine, 1.into()), (&theirs, 1.into())], mine.tag).unwrap_err());
                let prepared = scheme.prepare(&scheme.pack(&party.slots(1)), 3);
                refused(scheme.multiply_prepared(&theirs, &prepared).unwrap_err());
                let prepared = other.scheme.prepare(&other.scheme.pack(&other.slots(1)), 3);
                refused(scheme.multiply_prepared(&mine, &prepared).unwrap_err());
            }
        }

        #[test]
        fn another_key_decrypts_to_something_else() {
            let [party, other] =
                [1, 2].map(|seed| $crate::scheme::rlwe::laws::party::<$scheme>(6, 3, 1, 0, seed));
            let slots = party.slots(1);
            let ciphertext = party.encrypt(&slots, 1);
            assert!(other.scheme.error(&other.secret, &ciphertext, &slots).map_or(true, |error| error > 60.0));
        }
    };
}

pub(in crate::scheme) use laws;

/// The law for schemes with levels.
macro_rules! law_of_levels {
    ($scheme:ty) => {
        proptest::proptest! {
            #![proptest_config(proptest::prelude::ProptestConfig::with_cases(1000))]

            #[test]
            fn messages_stay_down_the_levels(
                log_degree in 4_u32..7, special in 1_usize..3, choice: usize, seed: u64,
            ) {
                let party = $crate::scheme::rlwe::laws::party::<$scheme>(log_degree, 5, special, choice, seed);
                $crate::scheme::rlwe::laws::levels(&party, seed)?;
            }
        }
    };
}

pub(in crate::scheme) use law_of_levels;

/// A hundred ways to overflow, for schemes whose messages are no part of the error.
macro_rules! law_of_overflow {
    ($scheme:ty) => {
        proptest::proptest! {
            #![proptest_config(proptest::prelude::ProptestConfig::with_cases(100))]

            #[test]
            fn an_overflow_is_seen_by_the_exact_circuit(log_degree in 4_u32..7, choice: usize, seed: u64) {
                let party = $crate::scheme::rlwe::laws::party::<$scheme>(log_degree, 3, 2, choice, seed);
                $crate::scheme::rlwe::laws::overflow(&party, seed)?;
            }
        }
    };
}

pub(in crate::scheme) use law_of_overflow;

/// A lab for residues modulo t.
macro_rules! exact_lab {
    ($scheme:ty, $place:expr) => {
        impl $crate::scheme::rlwe::laws::Lab for $scheme {
            type Slot = i64;

            fn build(literal: impl Fn(u32) -> $crate::scheme::rlwe::Literal, choice: usize) -> Self {
                let literal = literal(45);
                let bits = [17_u32, 20, 30][choice % 3];
                let degree = 1 << literal.log_degree;
                let t = $crate::math::rns::prime::transform_primes(bits, degree, 1, &[]).unwrap()[0];
                Self::try_new(&literal, t).unwrap()
            }

            fn noise(&self) -> $crate::scheme::rlwe::Noise {
                $crate::scheme::rlwe::Noise::new(self.context(), $place, self.plaintext_modulus())
            }

            fn random(&self, rng: &mut impl rand::RngCore) -> i64 {
                let prime = $crate::math::rns::Prime::try_new(self.plaintext_modulus()).unwrap();
                prime.centre(rng.next_u64() % prime.value())
            }

            fn pack(&self, slots: &[i64]) -> $crate::scheme::rlwe::Plaintext {
                self.encode(slots).unwrap()
            }

            fn unpack(&self, decrypted: &$crate::scheme::rlwe::Plaintext) -> Vec<i64> {
                self.decode(decrypted)
            }

            fn sum(&self, a: i64, b: i64) -> i64 {
                let prime = $crate::math::rns::Prime::try_new(self.plaintext_modulus()).unwrap();
                prime.centre(prime.add(prime.reduce_signed(a), prime.reduce_signed(b)))
            }

            fn product(&self, a: i64, b: i64) -> i64 {
                // Not the arithmetic under test: wide integers.
                let t = i128::from(self.plaintext_modulus());
                let residue = (i128::from(a) * i128::from(b)).rem_euclid(t);
                i64::try_from(if residue > t / 2 { residue - t } else { residue }).unwrap()
            }

            fn times(&self, a: i64, integer: i64) -> i64 {
                self.product(a, integer)
            }

            fn plus(
                &self,
                a: i64,
                integer: i64,
                _ciphertext: &$crate::scheme::rlwe::Ciphertext<Self::Tag>,
            ) -> i64 {
                self.sum(a, integer)
            }

            fn inverted(&self, slots: &[i64]) -> Vec<i64> {
                let (first, second) = slots.split_at(slots.len() / 2);
                [second, first].concat()
            }

            fn rows() -> usize {
                2
            }

            fn drops_divide() -> bool {
                true
            }

            fn error(
                &self,
                secret: &$crate::scheme::rlwe::SecretKey,
                ciphertext: &$crate::scheme::rlwe::Ciphertext<Self::Tag>,
                expected: &[i64],
            ) -> Result<f64, String> {
                let found = self.unpack(&self.decrypt(secret, ciphertext));
                if found != expected {
                    return Err(format!("{found:?} in place of {expected:?}"));
                }
                let half = self.noise().modulus(ciphertext.level()).0 - 1.0;
                Ok(half - self.noise_budget(secret, ciphertext))
            }

            fn magnitude(&self) -> $crate::scheme::rlwe::Bound {
                $crate::scheme::rlwe::Bound::ZERO
            }
        }
    };
}

pub(in crate::scheme) use exact_lab;
