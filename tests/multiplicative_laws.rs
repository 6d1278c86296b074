//! The laws of a multiplicatively homomorphic scheme, written once and checked for each of them against plain arithmetic.
//! A new scheme is one more test at the end of the first part.

#![expect(
    clippy::unwrap_used,
    reason = "a test; the exemption for tests does not reach its helper functions"
)]

use henn::{
    math::{ring::Arithmetic, stream::Stream},
    scheme::{
        additive::SchemeError,
        elgamal::multiplicative::{MultiplicativeElGamal, SafePrime},
        multiplicative::MultiplicativeScheme,
    },
};
use num_bigint::BigUint;
use num_traits::One;
use proptest::{
    prelude::*,
    test_runner::{RngAlgorithm, TestRng, TestRunner},
};

#[test]
fn multiplicative_elgamal_obeys_the_laws_at_64_bits() {
    laws(&MultiplicativeElGamal::insecure_for_tests(Arithmetic::Vector).unwrap(), 64);
}

#[test]
fn multiplicative_elgamal_in_plain_big_integers_obeys_the_laws_at_64_bits() {
    laws(&MultiplicativeElGamal::insecure_for_tests(Arithmetic::NumBigint).unwrap(), 64);
}

#[test]
fn multiplicative_elgamal_obeys_the_laws_at_2048_bits() {
    laws(&MultiplicativeElGamal::try_new(SafePrime::Ffdhe2048, Arithmetic::default()).unwrap(), 4);
}

/// A scheme with two of its keys.
struct Bench<'s, S: MultiplicativeScheme> {
    scheme: &'s S,
    secret: S::SecretKey,
    other: S::SecretKey,
}

/// Checks every law, the random ones on `cases` inputs each.
fn laws<S: MultiplicativeScheme>(scheme: &S, cases: u32) {
    let key = |seed| scheme.generate_keys(&Stream::seeded(seed)).unwrap();
    let bench = Bench { scheme, secret: key(1), other: key(2) };
    bench.arithmetic(cases);
    bench.products_that_are_messages_are_those_of_the_integers();
    bench.edges_of_the_message_space();
    bench.randomisation();
    bench.wrong_key();
    bench.serialisation();
    bench.batches_are_their_items();
    bench.threads_change_nothing();
    bench.refusals();
    bench.hostile_bytes(cases);
}

fn runner(cases: u32) -> TestRunner {
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

impl<S: MultiplicativeScheme> Bench<'_, S> {
    fn public(&self) -> &S::PublicKey {
        self.scheme.public_key(&self.secret)
    }

    fn greatest(&self) -> &BigUint {
        self.scheme.greatest_message()
    }

    fn encrypt(&self, messages: &[BigUint], seed: u64) -> Vec<S::Ciphertext> {
        self.scheme.encrypt(self.public(), messages, &Stream::seeded(seed)).unwrap()
    }

    fn decrypt(&self, ciphertexts: &[S::Ciphertext]) -> Vec<BigUint> {
        self.scheme.decrypt(&self.secret, ciphertexts).unwrap()
    }

    fn multiply(&self, left: &[S::Ciphertext], right: &[S::Ciphertext]) -> Vec<S::Ciphertext> {
        self.scheme.multiply(self.public(), left, right).unwrap()
    }

    fn wrap(&self, product: &BigUint) -> BigUint {
        self.scheme.wrap(product).unwrap()
    }

    fn bytes(&self, ciphertexts: &[S::Ciphertext]) -> Vec<u8> {
        let mut out = Vec::new();
        self.scheme.write_ciphertexts(self.public(), ciphertexts, &mut out);
        out
    }

    /// Some messages: the edges and a few in between.
    fn samples(&self) -> Vec<BigUint> {
        let most = self.greatest();
        let mut samples: Vec<_> = [1_u8, 2, 3, 255].map(BigUint::from).into();
        samples.extend([most.clone(), most - 1u8, most / 2u8, most / 2u8 + 1u8, most / 3u8]);
        samples
    }

    fn arithmetic(&self, cases: u32) {
        let message = prop::array::uniform32(any::<u8>());
        let inputs =
            (prop::collection::vec((message, message), 0..6), any::<[u8; 12]>(), 0..97, any::<u64>());
        let law = runner(cases).run(&inputs, |(items, exponent, cut, seed)| {
            // Numbers far longer than a message and its square are wide enough to be all but uniform.
            let message = |bytes: [u8; 32]| BigUint::from_bytes_le(&bytes).pow(20) % self.greatest() + 1u8;
            let left: Vec<_> = items.iter().map(|item| message(item.0)).collect();
            let right: Vec<_> = items.iter().map(|item| message(item.1)).collect();
            let (a, b) = (self.encrypt(&left, seed), self.encrypt(&right, !seed));
            prop_assert_eq!(&self.decrypt(&a), &left);
            let expected: Vec<_> = left.iter().zip(&right).map(|(a, b)| self.wrap(&(a * b))).collect();
            prop_assert_eq!(self.decrypt(&self.multiply(&a, &b)), expected);

            // By repeated multiplication of messages that wrap around each time.
            let exponent: BigUint = BigUint::from_bytes_le(&exponent) >> cut;
            let power = |message: &BigUint| {
                (0..exponent.bits()).rev().fold(BigUint::one(), |x, bit| {
                    let square = self.wrap(&(&x * &x));
                    if exponent.bit(bit) { self.wrap(&(square * message)) } else { square }
                })
            };
            let powers = self.scheme.pow(self.public(), &a, &exponent);
            prop_assert_eq!(self.decrypt(&powers), left.iter().map(power).collect::<Vec<_>>());
            Ok(())
        });
        law.unwrap();
    }

    fn products_that_are_messages_are_those_of_the_integers(&self) {
        let root = self.greatest().sqrt();
        let messages = [BigUint::from(1u8), 2u8.into(), 3u8.into(), 1000u16.into(), &root - 1u8, root];
        let ciphertexts = self.encrypt(&messages, 3);
        let mirrored: Vec<_> = ciphertexts.iter().rev().cloned().collect();
        let products = self.decrypt(&self.multiply(&ciphertexts, &mirrored));
        let expected: Vec<_> = messages.iter().zip(messages.iter().rev()).map(|(a, b)| a * b).collect();
        assert_eq!(products, expected);
        assert!(expected.iter().all(|product| self.wrap(product) == *product && product <= self.greatest()));
        let squares: Vec<_> = messages.iter().map(|message| message * message).collect();
        assert_eq!(self.decrypt(&self.scheme.pow(self.public(), &ciphertexts, &2u8.into())), squares);
    }

    fn edges_of_the_message_space(&self) {
        let samples = self.samples();
        let ciphertexts = self.encrypt(&samples, 4);
        assert_eq!(self.decrypt(&ciphertexts), samples);
        for (left, a) in ciphertexts.iter().zip(&samples) {
            let products = self.multiply(&vec![left.clone(); samples.len()], &ciphertexts);
            let expected: Vec<_> = samples.iter().map(|b| self.wrap(&(a * b))).collect();
            assert_eq!(self.decrypt(&products), expected);
        }
        let ones = self.scheme.pow(self.public(), &ciphertexts, &BigUint::ZERO);
        assert_eq!(self.decrypt(&ones), vec![BigUint::one(); samples.len()]);
        let same = self.scheme.pow(self.public(), &ciphertexts, &BigUint::one());
        assert!(same == ciphertexts);
        // An exponent longer than the group is large: m^(a b) is (m^a)^b.
        let (a, b): (BigUint, BigUint) = (self.greatest() - 5u8, self.greatest() * 3u8 + 1u8);
        let once = self.scheme.pow(self.public(), &ciphertexts, &(&a * &b));
        let twice = self.scheme.pow(self.public(), &self.scheme.pow(self.public(), &ciphertexts, &a), &b);
        assert!(once == twice);
        assert!(self.scheme.wrap(&BigUint::ZERO).is_none());
        assert!(self.decrypt(&[]).is_empty());
    }

    fn randomisation(&self) {
        let same = vec![BigUint::from(5u8); 4];
        let ciphertexts = self.encrypt(&same, 5);
        let fresh = self.scheme.rerandomise(self.public(), &ciphertexts, &Stream::seeded(6));
        assert_eq!(self.decrypt(&fresh), same);
        let both = ciphertexts.iter().chain(&fresh);
        let all: Vec<_> = both.map(|ciphertext| self.bytes(std::slice::from_ref(ciphertext))).collect();
        for (i, left) in all.iter().enumerate() {
            assert!(!all[..i].contains(left), "two encryptions of one message are equal");
        }
        assert!(self.encrypt(&same, 5) == ciphertexts, "the same stream gives other ciphertexts");
        assert!(self.encrypt(&same, 7) != ciphertexts, "another stream gives the same ciphertexts");
    }

    fn wrong_key(&self) {
        let samples = self.samples();
        let ciphertexts = self.encrypt(&samples, 8);
        for (ciphertext, message) in ciphertexts.into_iter().zip(&samples) {
            let wrong = self.scheme.decrypt(&self.other, &[ciphertext]);
            assert!(wrong.is_err() || wrong.is_ok_and(|got| got[0] != *message));
        }
        assert!(self.public() != self.scheme.public_key(&self.other));
    }

    fn serialisation(&self) {
        let mut out = vec![42];
        self.scheme.write_public_key(self.public(), &mut out);
        assert_eq!((out.len(), out[0]), (1 + self.scheme.public_key_bytes(), 42));
        assert!(self.scheme.read_public_key(&out[1..]).unwrap() == *self.public());

        // The zeroth power is the shortest of ciphertexts, if they differ in length.
        let mut ciphertexts = self.encrypt(&self.samples(), 9);
        ciphertexts.extend(self.scheme.pow(self.public(), &ciphertexts[..1], &BigUint::ZERO));
        let bytes = self.bytes(&ciphertexts);
        assert_eq!(bytes.len(), ciphertexts.len() * self.scheme.ciphertext_bytes());
        assert!(self.scheme.read_ciphertexts(self.public(), &bytes).unwrap() == ciphertexts);
        assert!(self.scheme.read_ciphertexts(self.public(), &[]).unwrap().is_empty());
        // A key that was read encrypts as the one that was written.
        let read = self.scheme.read_public_key(&out[1..]).unwrap();
        let again = self.scheme.encrypt(&read, &self.samples(), &Stream::seeded(9)).unwrap();
        assert!(again[..] == ciphertexts[..again.len()]);
    }

    fn batches_are_their_items(&self) {
        let samples = self.samples();
        let all = self.encrypt(&samples, 10);
        let fresh = self.scheme.rerandomise(self.public(), &all, &Stream::seeded(11));
        for count in 0..samples.len() {
            // An item depends on its position and its message, not on the others.
            let mut others = vec![BigUint::one(); count];
            others.push(samples[count].clone());
            assert!(self.encrypt(&others, 10)[count] == all[count]);
            let mut others = vec![all[0].clone(); count];
            others.push(all[count].clone());
            assert!(
                self.scheme.rerandomise(self.public(), &others, &Stream::seeded(11))[count] == fresh[count]
            );
            assert_eq!(self.decrypt(&all[count..=count]), samples[count..=count]);
        }
    }

    fn threads_change_nothing(&self) {
        let messages: Vec<_> = (0..100_u32).map(|i| self.greatest() / (i + 2)).collect();
        let work = || {
            let key = self.scheme.generate_keys(&Stream::seeded(12)).unwrap();
            let mut out = Vec::new();
            self.scheme.write_public_key(self.scheme.public_key(&key), &mut out);
            let ciphertexts = self.encrypt(&messages, 13);
            let fresh = self.scheme.rerandomise(self.public(), &ciphertexts, &Stream::seeded(14));
            out.extend(self.bytes(&ciphertexts));
            out.extend(self.bytes(&fresh));
            out.extend(self.bytes(&self.multiply(&ciphertexts, &fresh)));
            out.extend(self.bytes(&self.scheme.pow(self.public(), &ciphertexts, &77u8.into())));
            (out, self.decrypt(&ciphertexts))
        };
        let with =
            |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work);
        let (one, four) = (with(1), with(4));
        assert!(one == four);
        assert_eq!(one.1, messages);
    }

    fn refusals(&self) {
        let most = self.greatest();
        for bad in [BigUint::ZERO, most + 1u8, most * 2u8, most << 100] {
            let messages = [1u8.into(), 2u8.into(), bad];
            let result = self.scheme.encrypt(self.public(), &messages, &Stream::seeded(15));
            assert_eq!(result.err(), Some(SchemeError::Range { what: "message", index: 2 }));
        }
        let ciphertexts = self.encrypt(&[1u8.into(), 2u8.into()], 16);
        let result = self.scheme.multiply(self.public(), &ciphertexts[..1], &ciphertexts);
        assert_eq!(result.err(), Some(SchemeError::LengthMismatch { left: 1, right: 2 }));
    }

    fn hostile_bytes(&self, cases: u32) {
        let refused = |result: Option<SchemeError>, length, whole| {
            let Some(SchemeError::Length { bytes, expected, .. }) = result else { return false };
            (bytes, expected) == (length, whole)
        };
        let expected = self.scheme.ciphertext_bytes();
        let good = self.bytes(&self.encrypt(&self.samples(), 17));
        for bytes in [1, expected - 1, expected + 1, 2 * expected - 1] {
            assert!(refused(
                self.scheme.read_ciphertexts(self.public(), &good[..bytes]).err(),
                bytes,
                expected
            ));
        }
        let expected = self.scheme.public_key_bytes();
        for bytes in [0, expected - 1, expected + 1, 2 * expected] {
            assert!(refused(self.scheme.read_public_key(&vec![1; bytes]).err(), bytes, expected));
        }
        for filler in [0, 0xff] {
            let key = self.scheme.read_public_key(&vec![filler; expected]);
            assert_eq!(key.err(), Some(SchemeError::NotAnElement { what: "public key", index: 0 }));
            let mut bytes = good.clone();
            bytes[self.scheme.ciphertext_bytes()..2 * self.scheme.ciphertext_bytes()].fill(filler);
            let ciphertexts = self.scheme.read_ciphertexts(self.public(), &bytes);
            assert_eq!(ciphertexts.err(), Some(SchemeError::NotAnElement { what: "ciphertext", index: 1 }));
        }
        // Whatever is accepted is a ciphertext: written again it is the same, and it decrypts to a message.
        let noise = prop::collection::vec(any::<u8>(), 2 * self.scheme.ciphertext_bytes());
        let law = runner(cases).run(&noise, |bytes| {
            if let Ok(ciphertexts) = self.scheme.read_ciphertexts(self.public(), &bytes) {
                prop_assert_eq!(self.bytes(&ciphertexts), bytes);
                let messages = self.decrypt(&ciphertexts);
                prop_assert!(messages.iter().all(|m| *m != BigUint::ZERO && m <= self.greatest()));
            }
            Ok(())
        });
        law.unwrap();
    }
}
