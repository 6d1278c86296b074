//! The laws of an additively homomorphic scheme, written once and checked for each of them against plain arithmetic
//! modulo the plaintext modulus. A new scheme is one more test at the end of the first part.
//!
//! Where messages have a bound, decryption must give what is within it and refuse what is beyond. A scheme that keeps
//! its opening modulus to itself cannot tell what is beyond, and need not.

#![expect(
    clippy::unwrap_used,
    reason = "a test; the exemption for tests does not reach its helper functions"
)]

use henn::{
    math::{rows::Rows, stream::Stream},
    scheme::{
        additive::{AdditiveScheme, SchemeError},
        bgn::Bgn,
        elgamal::ElGamal,
        encoding::centred,
        okamoto_uchiyama::OkamotoUchiyama,
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

#[test]
fn elgamal_obeys_the_laws_with_messages_of_8_bits() {
    laws(&ElGamal::try_new(8).unwrap(), 16);
}

#[test]
fn elgamal_obeys_the_laws_with_messages_of_20_bits() {
    laws(&ElGamal::try_new(20).unwrap(), 16);
}

#[test]
fn bgn_obeys_the_laws_before_and_after_its_product() {
    let scheme = Bgn::try_new(12).unwrap();
    laws(&scheme, 8);
    laws(&scheme.products(), 8);
}

#[test]
fn okamoto_uchiyama_obeys_the_laws_at_240_bits() {
    laws(&OkamotoUchiyama::insecure_for_tests(240).unwrap(), 16);
}

/// A twin hides nothing and knows one key only; its arithmetic, sizes and refusals are a scheme's.
#[test]
fn the_simulated_twin_obeys_the_laws_of_arithmetic() {
    let twin = Twin::of(&Paillier::try_new(512).unwrap(), 512);
    let key = || twin.generate_keys(&Stream::seeded(1)).unwrap();
    let bench = Bench { scheme: &twin, secret: key(), other: key() };
    bench.arithmetic(64);
    bench.edges_of_the_plaintext_space();
    bench.multiples();
    bench.bounds();
    bench.serialisation();
    bench.batches_are_their_items();
    bench.refusals();
}

#[path = "scheme_laws/strangers.rs"]
mod paillier_ciphertexts_from_strangers;

/// A scheme with two of its keys.
struct Bench<'s, S: AdditiveScheme> {
    scheme: &'s S,
    secret: S::SecretKey,
    other: S::SecretKey,
}

/// Checks every law, the random ones on `cases` inputs each. A bound on messages must be 255 at least.
fn laws<S: AdditiveScheme>(scheme: &S, cases: u32) {
    let key = |seed| scheme.generate_keys(&Stream::seeded(seed)).unwrap();
    let bench = Bench { scheme, secret: key(1), other: key(2) };
    bench.arithmetic(cases);
    bench.edges_of_the_plaintext_space();
    bench.multiples();
    bench.bounds();
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

    fn residues(&self, values: &[BigInt]) -> Vec<BigUint> {
        values.iter().map(|value| wrap(value, self.modulus())).collect()
    }

    fn encrypt(&self, values: &[BigInt], seed: u64) -> Vec<S::Ciphertext> {
        self.scheme.encrypt(self.public(), &self.residues(values), &Stream::seeded(seed)).unwrap()
    }

    fn decrypt(&self, ciphertexts: &[S::Ciphertext]) -> Result<Vec<BigUint>, SchemeError> {
        self.scheme.decrypt(&self.secret, ciphertexts)
    }

    fn add(&self, left: &[S::Ciphertext], right: &[S::Ciphertext]) -> Vec<S::Ciphertext> {
        self.scheme.add(self.public(), left, right).unwrap()
    }

    fn linear(&self, inputs: &[S::Ciphertext], rows: &[Vec<BigInt>]) -> Vec<S::Ciphertext> {
        let rows: Vec<_> = rows.iter().map(Vec::as_slice).collect();
        self.scheme.linear(self.public(), inputs, &rows).unwrap()
    }

    fn bytes(&self, ciphertexts: &[S::Ciphertext]) -> Vec<u8> {
        let mut out = Vec::new();
        self.scheme.write_ciphertexts(self.public(), ciphertexts, &mut out);
        out
    }

    /// The greatest magnitude of a message.
    fn limit(&self) -> BigUint {
        self.scheme.message_bound().unwrap_or_else(|| (self.modulus() - 1u8) / 2u8)
    }

    /// Whether decryption must find the message that wrapping makes of an integer.
    fn is_found(&self, value: &BigInt) -> bool {
        let Some(bound) = self.scheme.message_bound() else { return true };
        let opening = self.scheme.opening_modulus(&self.secret);
        *centred(&wrap(value, opening), opening).magnitude() <= bound
    }

    /// Ciphertexts of these integers decrypt to them, as wrapped, or are refused where they are beyond the bound.
    fn check(&self, ciphertexts: &[S::Ciphertext], values: &[BigInt]) {
        assert_eq!(ciphertexts.len(), values.len());
        let opening = self.scheme.opening_modulus(&self.secret);
        let (mut within, mut messages) = (Vec::new(), Vec::new());
        for (ciphertext, value) in ciphertexts.iter().zip(values) {
            if self.is_found(value) {
                within.push(ciphertext.clone());
                messages.push(centred(&wrap(value, opening), opening));
            } else if opening == self.modulus() {
                let refused = SchemeError::BeyondBound { index: 0, bound: self.limit() };
                assert_eq!(self.decrypt(std::slice::from_ref(ciphertext)), Err(refused), "{value}");
            }
        }
        assert_eq!(self.decrypt(&within), Ok(self.residues(&messages)));
    }

    /// Some messages: the edges and a few in between, of either sign.
    fn samples(&self) -> Vec<BigInt> {
        let limit = BigInt::from(self.limit());
        let magnitudes =
            [1.into(), 2.into(), limit.clone(), &limit - 1, &limit / 2, &limit / 2 + 1, &limit / 3];
        let signed = magnitudes.into_iter().flat_map(|magnitude| [magnitude.clone(), -magnitude]);
        std::iter::once(BigInt::ZERO).chain(signed).collect()
    }

    /// A message from many random bytes.
    fn message(&self, bytes: &[u8]) -> BigInt {
        let limit = self.limit();
        BigInt::from(BigUint::from_bytes_le(bytes) % (&limit * 2u8 + 1u8)) - BigInt::from(limit)
    }

    fn arithmetic(&self, cases: u32) {
        let item = (prop::array::uniform32(any::<u8>()), any::<[u8; 32]>(), any::<i128>(), 0_u32..128);
        let inputs = (prop::collection::vec(item, 0..6), any::<u64>(), any::<prop::sample::Index>());
        let law = runner(cases).run(&inputs, |(items, seed, share)| {
            let bytes = items.iter().map(|(low, high, ..)| [*low, *high].concat());
            let messages: Vec<_> = bytes.map(|bytes| self.message(&bytes)).collect();
            let ciphertexts = self.encrypt(&messages, seed);
            self.check(&ciphertexts, &messages);
            let neighbours: Vec<_> = messages.iter().skip(1).cloned().collect();
            let sums: Vec<_> = messages.iter().zip(&neighbours).map(|(a, b)| a + b).collect();
            let left = &ciphertexts[..neighbours.len()];
            self.check(&self.add(left, &ciphertexts[ciphertexts.len() - left.len()..]), &sums);
            let plain = self.scheme.add_plain(self.public(), left, &self.residues(&neighbours)).unwrap();
            self.check(&plain, &sums);

            // Shifting spreads the sizes of the weights, down to zero.
            let weights = items.iter().map(|&(.., weight, cut)| BigInt::from(weight >> cut));
            let (weights, messages): (Vec<_>, Vec<_>) = match self.scheme.message_bound() {
                None => (weights.collect(), messages),
                // Weights take some of the bits of the bound, messages the others, but for those that a sum of six grows
                // by.
                Some(bound) => {
                    let free = bound.bits() - 3;
                    let weight_bits = share.index(usize::try_from(free).unwrap()) as u64;
                    let (wide, narrow) = (BigInt::one() << weight_bits, bound.bits() - (free - weight_bits));
                    (
                        weights.map(|weight| weight % &wide).collect(),
                        messages.iter().map(|m| m >> narrow).collect(),
                    )
                }
            };
            let dot =
                |messages: &[BigInt], row: &[BigInt]| messages.iter().zip(row).map(|(m, w)| m * w).sum();
            let reversed: Vec<_> = weights.iter().rev().map(|weight| -weight).collect();
            let rows = [weights, reversed];
            let mut others = messages.clone();
            others.rotate_left(messages.len().min(1));
            // Without columns there is one sample whatever is asked for.
            let samples = if messages.is_empty() { vec![messages] } else { vec![messages, others] };
            let expected: Vec<BigInt> =
                samples.iter().flat_map(|sample| rows.iter().map(|row| dot(sample, row))).collect();
            prop_assert!(expected.iter().all(|value| self.is_found(value)));
            let ciphertexts = self.encrypt(&samples.concat(), !seed);
            self.check(&self.linear(&ciphertexts, &rows), &expected);
            // What is no term of a row counts as zero.
            let is_term = |column: usize| column % 3 != 1;
            let mut sparse = Rows::new(samples[0].len());
            for row in &rows {
                sparse.push(row.iter().enumerate().filter(|(column, _)| is_term(*column))).unwrap();
            }
            let zeros = rows.each_ref().map(|row| -> Vec<BigInt> {
                let numbers = row.iter().enumerate();
                numbers.map(|(at, weight)| if is_term(at) { weight.clone() } else { BigInt::ZERO }).collect()
            });
            let some = self.scheme.combine(self.public(), &ciphertexts, &sparse).unwrap();
            prop_assert!(some == self.linear(&ciphertexts, &zeros));
            Ok(())
        });
        law.unwrap();
    }

    fn edges_of_the_plaintext_space(&self) {
        let samples = self.samples();
        let ciphertexts = self.encrypt(&samples, 3);
        assert!(samples.iter().all(|sample| self.is_found(sample)));
        self.check(&ciphertexts, &samples);
        for (left, a) in ciphertexts.iter().zip(&samples) {
            let sums: Vec<_> = samples.iter().map(|b| a + b).collect();
            self.check(&self.add(&vec![left.clone(); samples.len()], &ciphertexts), &sums);
        }
        // A plain number that is no residue counts as the residue that it is congruent to.
        let beyond = self.scheme.add_plain(self.public(), &ciphertexts[1..2], &[self.modulus() + 5u8]);
        self.check(&beyond.unwrap(), &[6.into()]);
        // The empty dot product is zero; where there are no rows there is nothing.
        self.check(&self.linear(&[], &[vec![], vec![]]), &[0.into(), 0.into()]);
        assert!(self.linear(&ciphertexts, &[]).is_empty());
        let huge: BigInt = (BigInt::one() << 300u32) + 7;
        let around: BigInt = (BigInt::from(self.modulus().clone()) << 50u32) + 7;
        let weights = [huge.clone(), -huge, around.clone(), -around, 0.into(), 1.into(), (-1).into()];
        let rows = weights.clone().map(|weight| vec![weight]);
        for i in [1, 2, 3, 4] {
            let expected = weights.clone().map(|weight| weight * &samples[i]);
            assert!(expected[2..].iter().all(|value| self.is_found(value)));
            self.check(&self.linear(&ciphertexts[i..=i], &rows), &expected);
        }
    }

    /// Many products of one ciphertext are the products one by one, byte for byte: none, one, and factors of every length.
    fn multiples(&self) {
        let factors: Vec<BigUint> = [0_u32, 1, 2, 63, 64, 100]
            .into_iter()
            .map(|bits| (BigUint::one() << bits) - 1u8)
            .chain([BigUint::one() << 99_u32, self.modulus() - 1u8])
            .collect();
        let bits = factors.iter().map(BigUint::bits).max().unwrap();
        let ciphertexts = self.encrypt(&[3.into(), BigInt::ZERO], 30);
        for ciphertext in &ciphertexts {
            let factors: Vec<&BigUint> = factors.iter().collect();
            let many = self.scheme.multiples(self.public(), ciphertext, &factors, bits).unwrap();
            let rows: Vec<_> = factors.iter().map(|factor| vec![BigInt::from((*factor).clone())]).collect();
            let each = self.linear(std::slice::from_ref(ciphertext), &rows);
            assert!(self.bytes(&many) == self.bytes(&each));
            assert!(self.scheme.multiples(self.public(), ciphertext, &[], 1).unwrap().is_empty());
        }
    }

    fn bounds(&self) {
        let Some(bound) = self.scheme.message_bound() else {
            // Everything is found, the greatest residue and those around the middle too.
            let m = self.modulus();
            let residues = [m - 1u8, m / 2u8, m / 2u8 + 1u8, m * 2u8 / 3u8];
            let ciphertexts = self.scheme.encrypt(self.public(), &residues, &Stream::seeded(20)).unwrap();
            assert_eq!(self.decrypt(&ciphertexts), Ok(residues.into()));
            return;
        };
        let opening = self.scheme.opening_modulus(&self.secret);
        assert!(&bound * 2u8 < *opening && opening <= self.modulus());
        // Just past it, and far past it.
        let bound = BigInt::from(bound);
        let values: [BigInt; 4] =
            [&bound + 1, -&bound - 1, &bound * 2 + 3, BigInt::from(self.modulus() / 2u8)];
        let values = values.map(|value| centred(&wrap(&value, opening), opening));
        assert!(values[..2].iter().all(|value| !self.is_found(value)));
        self.check(&self.encrypt(&values, 20), &values);
        if opening == self.modulus() {
            // The first is named.
            let mixed = [bound.clone(), BigInt::ZERO, &bound + 1, bound.clone(), -&bound - 1];
            let refused = SchemeError::BeyondBound { index: 2, bound: self.limit() };
            assert_eq!(self.decrypt(&self.encrypt(&mixed, 21)), Err(refused));
        }
    }

    fn randomisation(&self) {
        let same = vec![BigInt::from(5); 4];
        let ciphertexts = self.encrypt(&same, 4);
        let fresh = self.scheme.rerandomise(self.public(), &ciphertexts, &Stream::seeded(5));
        self.check(&fresh, &same);
        let both = ciphertexts.iter().chain(&fresh);
        let all: Vec<_> = both.map(|ciphertext| self.bytes(std::slice::from_ref(ciphertext))).collect();
        for (i, left) in all.iter().enumerate() {
            assert!(!all[..i].contains(left), "two encryptions of one message are equal");
        }
        assert!(self.encrypt(&same, 4) == ciphertexts, "the same stream gives other ciphertexts");
        assert!(self.encrypt(&same, 6) != ciphertexts, "another stream gives the same ciphertexts");
    }

    fn wrong_key(&self) {
        let samples = self.samples();
        let ciphertexts = self.encrypt(&samples, 7);
        for (ciphertext, message) in ciphertexts.iter().zip(self.residues(&samples)) {
            match self.scheme.decrypt(&self.other, std::slice::from_ref(ciphertext)) {
                Ok(wrong) => assert!(wrong[0] != message),
                Err(SchemeError::BeyondBound { index, .. }) => {
                    assert!(index == 0 && self.scheme.message_bound().is_some());
                }
                Err(other) => assert_eq!(other.to_string(), "no other error"),
            }
        }
        assert!(self.public() != self.scheme.public_key(&self.other));
    }

    fn owners_encrypt_the_same_bytes(&self) {
        let randomness = Stream::seeded(9);
        let messages = self.residues(&self.samples());
        let public = self.scheme.encrypt(self.public(), &messages, &randomness).unwrap();
        let own = self.scheme.encrypt_own(&self.secret, &messages, &randomness).unwrap();
        assert!(public == own);
    }

    fn serialisation(&self) {
        let mut out = vec![42];
        self.scheme.write_public_key(self.public(), &mut out);
        assert_eq!((out.len(), out[0]), (1 + self.scheme.public_key_bytes(), 42));
        let read = self.scheme.read_public_key(&out[1..]).unwrap();
        assert!(read == *self.public());

        // The empty dot product is the shortest of ciphertexts, if they differ in length.
        let mut ciphertexts = self.encrypt(&self.samples(), 8);
        // A key that was read encrypts as the one that was written.
        let again = self.scheme.encrypt(&read, &self.residues(&self.samples()), &Stream::seeded(8)).unwrap();
        assert!(again == ciphertexts);
        ciphertexts.extend(self.linear(&[], &[vec![]]));
        let bytes = self.bytes(&ciphertexts);
        assert_eq!(bytes.len(), ciphertexts.len() * self.scheme.ciphertext_bytes());
        assert!(self.scheme.read_ciphertexts(self.public(), &bytes).unwrap() == ciphertexts);
        assert!(self.scheme.read_ciphertexts(self.public(), &[]).unwrap().is_empty());
        let one_by_one: Vec<_> =
            ciphertexts.iter().flat_map(|ciphertext| self.bytes(std::slice::from_ref(ciphertext))).collect();
        assert_eq!(one_by_one, bytes);
        let mut appended = vec![42];
        self.scheme.write_ciphertexts(self.public(), &ciphertexts, &mut appended);
        assert!(appended[0] == 42 && appended[1..] == bytes);
    }

    fn batches_are_their_items(&self) {
        let samples = self.samples();
        let all = self.encrypt(&samples, 9);
        let fresh = self.scheme.rerandomise(self.public(), &all, &Stream::seeded(10));
        let sums = self.add(&all, &fresh);
        let plain = self.scheme.add_plain(self.public(), &all, &self.residues(&samples)).unwrap();
        let rows = [vec![3.into()], vec![(-5).into()]];
        let products = self.linear(&all, &rows);
        for count in 0..samples.len() {
            // An item depends on its position and its message, not on the others.
            let mut others = vec![BigInt::ZERO; count];
            others.push(samples[count].clone());
            let alone = self.encrypt(&others, 9);
            assert!(alone[count] == all[count]);
            let mut others = vec![all[0].clone(); count];
            others.push(all[count].clone());
            assert!(
                self.scheme.rerandomise(self.public(), &others, &Stream::seeded(10))[count] == fresh[count]
            );
            let (item, residue) = (&all[count..=count], &self.residues(&samples)[count..=count]);
            assert_eq!(self.decrypt(item).unwrap(), residue);
            assert!(self.add(item, &fresh[count..=count]) == sums[count..=count]);
            assert!(self.scheme.add_plain(self.public(), item, residue).unwrap() == plain[count..=count]);
            assert!(self.linear(item, &rows) == products[2 * count..2 * count + 2]);
        }
        assert!(self.decrypt(&[]).unwrap().is_empty());
        assert!(self.add(&[], &[]).is_empty());
    }

    fn threads_change_nothing(&self) {
        let limit = BigInt::from(self.limit());
        let messages: Vec<_> = (0..300).map(|i| &limit / (i + 2) * (1 - i % 2 * 2)).collect();
        let weights = |start| (0..300).map(|i| BigInt::from(i * start % 101 - 50)).collect();
        let rows: Vec<Vec<BigInt>> = [37, 38, 39].map(weights).into();
        let work = || {
            let key = self.scheme.generate_keys(&Stream::seeded(11)).unwrap();
            let mut out = Vec::new();
            self.scheme.write_public_key(self.scheme.public_key(&key), &mut out);
            let ciphertexts = self.encrypt(&messages, 12);
            let fresh = self.scheme.rerandomise(self.public(), &ciphertexts, &Stream::seeded(13));
            out.extend(self.bytes(&ciphertexts));
            out.extend(self.bytes(&fresh));
            out.extend(self.bytes(&self.add(&ciphertexts, &fresh)));
            out.extend(self.bytes(&self.linear(&ciphertexts, &rows)));
            (out, self.decrypt(&ciphertexts))
        };
        let with =
            |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work);
        let (one, four) = (with(1), with(4));
        assert!(one == four);
        assert_eq!(one.1, Ok(self.residues(&messages)));
    }

    fn refusals(&self) {
        let m = self.modulus();
        let bits = m.bits();
        for bad in [m.clone(), m + 1u8, m << 100] {
            let result =
                self.scheme.encrypt(self.public(), &[0u8.into(), 1u8.into(), bad], &Stream::seeded(14));
            assert_eq!(result.err(), Some(SchemeError::MessageRange { index: 2, bits }));
        }
        let ciphertexts = self.encrypt(&[1.into(), 2.into(), 3.into()], 15);
        let mismatch = |left, right| Some(SchemeError::LengthMismatch { left, right });
        let public = self.public();
        assert_eq!(self.scheme.add(public, &ciphertexts[..1], &ciphertexts[..2]).err(), mismatch(1, 2));
        assert_eq!(self.scheme.add(public, &ciphertexts, &[]).err(), mismatch(3, 0));
        assert_eq!(self.scheme.add_plain(public, &ciphertexts[..1], &[]).err(), mismatch(1, 0));
        // Rows longer than the inputs, rows that leave some over, rows of different lengths.
        let (one, two): ([BigInt; 1], [BigInt; 2]) = ([1.into()], [1.into(), 2.into()]);
        let linear = |inputs, rows: &[&[BigInt]]| self.scheme.linear(public, inputs, rows).err();
        assert_eq!(linear(&ciphertexts[..1], &[&two]), mismatch(1, 2));
        assert_eq!(linear(&ciphertexts, &[&two, &two]), mismatch(3, 2));
        assert_eq!(linear(&ciphertexts, &[&one, &two]), mismatch(1, 2));
        assert_eq!(linear(&ciphertexts, &[&[]]), mismatch(3, 0));
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
        // Whatever is accepted is a ciphertext: written again it is the same, and it decrypts to a residue or is beyond the
        // bound.
        let noise = prop::collection::vec(any::<u8>(), 2 * self.scheme.ciphertext_bytes());
        let law = runner(cases).run(&noise, |bytes| {
            if let Ok(ciphertexts) = self.scheme.read_ciphertexts(self.public(), &bytes) {
                prop_assert_eq!(self.bytes(&ciphertexts), bytes);
                match self.decrypt(&ciphertexts) {
                    Ok(messages) => prop_assert!(messages.iter().all(|message| message < self.modulus())),
                    Err(error) => {
                        let beyond = matches!(error, SchemeError::BeyondBound { .. });
                        prop_assert!(beyond && self.scheme.message_bound().is_some());
                    }
                }
            }
            Ok(())
        });
        law.unwrap();
    }
}
