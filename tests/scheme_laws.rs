//! The laws of an additively homomorphic scheme, written once and checked for each of them against plain arithmetic
//! modulo the plaintext modulus. A new scheme is one more test at the end of the first part.

#![expect(
    clippy::unwrap_used,
    reason = "a test; the exemption for tests does not reach its helper functions"
)]

use henn::{
    math::stream::Stream,
    scheme::{
        additive::{AdditiveScheme, SchemeError},
        paillier::Paillier,
        twin::Twin,
    },
};
use num_bigint::{BigInt, BigUint};
use num_integer::Integer;
use num_traits::One;
use proptest::{
    prelude::*,
    test_runner::{RngAlgorithm, TestRng, TestRunner},
};

#[test]
fn paillier_obeys_the_laws_at_128_bits() {
    laws(&Paillier::insecure_for_tests(128).unwrap(), 64);
}

#[test]
fn paillier_obeys_the_laws_at_a_size_that_is_no_whole_number_of_bytes() {
    laws(&Paillier::insecure_for_tests(150).unwrap(), 16);
}

#[test]
fn paillier_obeys_the_laws_at_512_bits() {
    laws(&Paillier::try_new(512).unwrap(), 4);
}

/// A twin hides nothing and knows one key only; its arithmetic, sizes and refusals are a scheme's.
#[test]
fn the_simulated_twin_obeys_the_laws_of_arithmetic() {
    let twin = Twin::of(&Paillier::try_new(512).unwrap(), 512);
    let key = || twin.generate_keys(&Stream::seeded(1)).unwrap();
    let bench = Bench { scheme: &twin, secret: key(), other: key() };
    bench.arithmetic(64);
    bench.edges_of_the_plaintext_space();
    bench.serialisation();
    bench.batches_are_their_items();
    bench.refusals();
}

/// A scheme with two of its keys.
struct Bench<'s, S: AdditiveScheme> {
    scheme: &'s S,
    secret: S::SecretKey,
    other: S::SecretKey,
}

/// Checks every law, the random ones on `cases` inputs each.
fn laws<S: AdditiveScheme>(scheme: &S, cases: u32) {
    let key = |seed| scheme.generate_keys(&Stream::seeded(seed)).unwrap();
    let bench = Bench { scheme, secret: key(1), other: key(2) };
    bench.arithmetic(cases);
    bench.edges_of_the_plaintext_space();
    bench.randomisation();
    bench.wrong_key();
    bench.serialisation();
    bench.batches_are_their_items();
    bench.owners_encrypt_the_same_bytes();
    bench.threads_change_nothing();
    bench.refusals();
    bench.hostile_bytes(cases);
}

fn runner(cases: u32) -> TestRunner {
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

/// A residue from 64 random bytes.
fn residues(modulus: &BigUint, bytes: &[[u8; 64]]) -> Vec<BigUint> {
    bytes.iter().map(|bytes| BigUint::from_bytes_le(bytes) % modulus).collect()
}

fn wrap(value: &BigInt, modulus: &BigUint) -> BigUint {
    value.mod_floor(&modulus.clone().into()).to_biguint().unwrap()
}

impl<S: AdditiveScheme> Bench<'_, S> {
    fn public(&self) -> &S::PublicKey {
        self.scheme.public_key(&self.secret)
    }

    fn modulus(&self) -> &BigUint {
        self.scheme.plaintext_modulus(self.public())
    }

    fn encrypt(&self, messages: &[BigUint], seed: u64) -> Vec<S::Ciphertext> {
        self.scheme.encrypt(self.public(), messages, &Stream::seeded(seed)).unwrap()
    }

    fn decrypt(&self, ciphertexts: &[S::Ciphertext]) -> Vec<BigUint> {
        self.scheme.decrypt(&self.secret, ciphertexts)
    }

    fn bytes(&self, ciphertexts: &[S::Ciphertext]) -> Vec<u8> {
        let mut out = Vec::new();
        for ciphertext in ciphertexts {
            self.scheme.write_ciphertext(ciphertext, &mut out);
        }
        out
    }

    /// Some messages: the edges and a few in between.
    fn samples(&self) -> Vec<BigUint> {
        let m = self.modulus();
        let mut samples: Vec<_> = [0_u8, 1, 2].map(BigUint::from).into();
        samples.extend([m - 1u8, m - 2u8, m / 2u8, m / 2u8 + 1u8, m / 3u8, m * 2u8 / 3u8]);
        samples
    }

    fn owners_encrypt_the_same_bytes(&self) {
        let randomness = Stream::seeded(9);
        let messages = self.samples();
        let public = self.scheme.encrypt(self.public(), &messages, &randomness).unwrap();
        let own = self.scheme.encrypt_own(&self.secret, &messages, &randomness).unwrap();
        assert!(public == own);
    }

    fn arithmetic(&self, cases: u32) {
        let item = (prop::array::uniform32(any::<u8>()), any::<[u8; 32]>(), any::<i128>(), 0_u32..128);
        let inputs = (prop::collection::vec(item, 0..6), any::<u64>());
        let modulus = self.modulus();
        let law = runner(cases).run(&inputs, |(items, seed)| {
            let bytes: Vec<[u8; 64]> =
                items.iter().map(|(low, high, ..)| [*low, *high].concat().try_into().unwrap()).collect();
            let messages = residues(modulus, &bytes);
            // Shifting spreads the sizes of the weights, down to zero.
            let weights: Vec<BigInt> =
                items.iter().map(|&(.., weight, cut)| (weight >> cut).into()).collect();
            let ciphertexts = self.encrypt(&messages, seed);
            prop_assert_eq!(&self.decrypt(&ciphertexts), &messages);

            let dot = self.scheme.dot(self.public(), &ciphertexts, &weights).unwrap();
            let sum: BigInt = messages.iter().zip(&weights).map(|(m, w)| BigInt::from(m.clone()) * w).sum();
            prop_assert_eq!(self.decrypt(&[dot]), [wrap(&sum, modulus)]);

            for (pair, ms) in ciphertexts.windows(2).zip(messages.windows(2)) {
                let sum = self.scheme.add(self.public(), &pair[0], &pair[1]);
                let plain = self.scheme.add_plain(self.public(), &pair[0], &ms[1]);
                let expected = (&ms[0] + &ms[1]) % modulus;
                prop_assert_eq!(self.decrypt(&[sum, plain]), [expected.clone(), expected]);
            }
            Ok(())
        });
        law.unwrap();
    }

    fn edges_of_the_plaintext_space(&self) {
        let samples = self.samples();
        let ciphertexts = self.encrypt(&samples, 3);
        assert_eq!(self.decrypt(&ciphertexts), samples);
        for (left, a) in ciphertexts.iter().zip(&samples) {
            for (right, b) in ciphertexts.iter().zip(&samples) {
                let sum = self.scheme.add(self.public(), left, right);
                assert_eq!(self.decrypt(&[sum]), [(a + b) % self.modulus()]);
            }
        }
        // A plain number that is no residue counts as the residue that it is congruent to.
        let beyond = self.scheme.add_plain(self.public(), &ciphertexts[1], &(self.modulus() + 5u8));
        assert_eq!(self.decrypt(&[beyond]), [BigUint::from(6u8)]);
        let nothing = self.scheme.dot(self.public(), &[], &[]).unwrap();
        assert_eq!(self.decrypt(&[nothing]), [BigUint::ZERO]);
        let huge: BigInt = (BigInt::one() << 300u32) + 7;
        for weight in [huge.clone(), -huge, 0.into(), 1.into(), (-1).into()] {
            let product =
                self.scheme.dot(self.public(), &ciphertexts[3..4], std::slice::from_ref(&weight)).unwrap();
            assert_eq!(
                self.decrypt(&[product]),
                [wrap(&(weight * BigInt::from(samples[3].clone())), self.modulus())]
            );
        }
    }

    fn randomisation(&self) {
        let same = vec![BigUint::from(5u8); 4];
        let ciphertexts = self.encrypt(&same, 4);
        let fresh = self.scheme.rerandomise(self.public(), &ciphertexts, &Stream::seeded(5));
        assert_eq!(self.decrypt(&fresh), same);
        let all: Vec<_> = ciphertexts
            .iter()
            .chain(&fresh)
            .map(|ciphertext| self.bytes(std::slice::from_ref(ciphertext)))
            .collect();
        for (i, left) in all.iter().enumerate() {
            assert!(!all[..i].contains(left), "two encryptions of one message are equal");
        }
        assert!(self.encrypt(&same, 4) == ciphertexts, "the same stream gives other ciphertexts");
        assert!(self.encrypt(&same, 6) != ciphertexts, "another stream gives the same ciphertexts");
    }

    fn wrong_key(&self) {
        let samples = self.samples();
        let wrong = self.scheme.decrypt(&self.other, &self.encrypt(&samples, 7));
        assert!(wrong.iter().zip(&samples).all(|(got, message)| got != message));
        assert!(self.public() != self.scheme.public_key(&self.other));
    }

    fn serialisation(&self) {
        let mut out = vec![42];
        self.scheme.write_public_key(self.public(), &mut out);
        assert_eq!((out.len(), out[0]), (1 + self.scheme.public_key_bytes(), 42));
        assert!(self.scheme.read_public_key(&out[1..]).unwrap() == *self.public());

        // The empty dot product is the shortest of ciphertexts, if they differ in length.
        let mut ciphertexts = self.encrypt(&self.samples(), 8);
        ciphertexts.push(self.scheme.dot(self.public(), &[], &[]).unwrap());
        let bytes = self.bytes(&ciphertexts);
        assert_eq!(bytes.len(), ciphertexts.len() * self.scheme.ciphertext_bytes());
        assert!(self.scheme.read_ciphertexts(self.public(), &bytes).unwrap() == ciphertexts);
        assert!(self.scheme.read_ciphertexts(self.public(), &[]).unwrap().is_empty());
    }

    fn batches_are_their_items(&self) {
        let samples = self.samples();
        let all = self.encrypt(&samples, 9);
        let fresh = self.scheme.rerandomise(self.public(), &all, &Stream::seeded(10));
        for count in 0..samples.len() {
            // An item depends on its position and its message, not on the others.
            let mut others = vec![BigUint::ZERO; count];
            others.push(samples[count].clone());
            let alone = self.encrypt(&others, 9);
            assert!(alone[count] == all[count]);
            let mut others = vec![all[0].clone(); count];
            others.push(all[count].clone());
            assert!(
                self.scheme.rerandomise(self.public(), &others, &Stream::seeded(10))[count] == fresh[count]
            );
            assert_eq!(self.decrypt(&all[count..=count]), samples[count..=count]);
        }
    }

    fn threads_change_nothing(&self) {
        let messages: Vec<_> = (0..300_u32).map(|i| self.modulus() / (i + 2)).collect();
        let weights: Vec<BigInt> = (0..300).map(|i| (i * 37 % 101 - 50).into()).collect();
        let work = || {
            let key = self.scheme.generate_keys(&Stream::seeded(11)).unwrap();
            let mut out = Vec::new();
            self.scheme.write_public_key(self.scheme.public_key(&key), &mut out);
            let ciphertexts = self.encrypt(&messages, 12);
            out.extend(self.bytes(&ciphertexts));
            out.extend(self.bytes(&self.scheme.rerandomise(
                self.public(),
                &ciphertexts,
                &Stream::seeded(13),
            )));
            out.extend(self.bytes(&[self.scheme.dot(self.public(), &ciphertexts, &weights).unwrap()]));
            (out, self.decrypt(&ciphertexts))
        };
        let with =
            |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work);
        let (one, four) = (with(1), with(4));
        assert!(one == four);
        assert_eq!(one.1, messages);
    }

    fn refusals(&self) {
        let m = self.modulus();
        let bits = m.bits();
        for bad in [m.clone(), m + 1u8, m << 100] {
            let result =
                self.scheme.encrypt(self.public(), &[0u8.into(), 1u8.into(), bad], &Stream::seeded(14));
            assert_eq!(result.err(), Some(SchemeError::MessageRange { index: 2, bits }));
        }
        let ciphertexts = self.encrypt(&[BigUint::one()], 15);
        let result = self.scheme.dot(self.public(), &ciphertexts, &[1.into(), 2.into()]);
        assert_eq!(result.err(), Some(SchemeError::LengthMismatch { left: 1, right: 2 }));
    }

    fn hostile_bytes(&self, cases: u32) {
        let expected = self.scheme.ciphertext_bytes();
        let good = self.bytes(&self.encrypt(&self.samples(), 16));
        for bytes in [1, expected - 1, expected + 1, 2 * expected - 1] {
            let result = self.scheme.read_ciphertexts(self.public(), &good[..bytes]);
            assert!(
                matches!(result.err(), Some(SchemeError::Length { bytes: b, expected: e, .. }) if (b, e) == (bytes, expected))
            );
        }
        let expected = self.scheme.public_key_bytes();
        for bytes in [0, expected - 1, expected + 1, 2 * expected] {
            let result = self.scheme.read_public_key(&vec![0xff; bytes]);
            assert!(
                matches!(result.err(), Some(SchemeError::Length { bytes: b, expected: e, .. }) if (b, e) == (bytes, expected))
            );
        }
        // Whatever is accepted is a ciphertext: written again it is the same, and it decrypts to a residue.
        let noise = prop::collection::vec(any::<u8>(), 2 * self.scheme.ciphertext_bytes());
        let law = runner(cases).run(&noise, |bytes| {
            if let Ok(ciphertexts) = self.scheme.read_ciphertexts(self.public(), &bytes) {
                prop_assert_eq!(self.bytes(&ciphertexts), bytes);
                prop_assert!(self.decrypt(&ciphertexts).iter().all(|message| message < self.modulus()));
            }
            Ok(())
        });
        law.unwrap();
    }
}

mod paillier_ciphertexts_from_strangers {
    use super::*;

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
}
