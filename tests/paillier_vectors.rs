//! Agreement with python-paillier, an independent implementation, bit for bit and in both directions. How the files were
//! made is told in `tests/vectors/README.md`.

#![expect(
    clippy::unwrap_used,
    reason = "a test; the exemption for tests does not reach its helper functions"
)]

use henn::{
    math::{ring::Arithmetic, stream::Stream},
    scheme::{
        additive::{AdditiveScheme, SchemeError},
        encoding::{Fixed, Scale, decode_signed, encode_signed, max_magnitude},
        paillier::{Ciphertext, Options, Paillier, SecretKey},
    },
};
use num_bigint::{BigInt, BigUint};
use num_traits::Num;
use serde_json::{Value, json};

fn document(name: &str) -> Value {
    let path = format!("{}/tests/vectors/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn hex(value: &Value) -> BigUint {
    BigUint::from_str_radix(value.as_str().unwrap(), 16).unwrap()
}

fn signed(value: &Value) -> BigInt {
    value.as_str().unwrap().parse().unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn index(value: &Value) -> usize {
    value.as_u64().unwrap().try_into().unwrap()
}

/// A key of python-paillier with everything that it computed.
struct Phe<'v> {
    scheme: Paillier,
    secret: SecretKey,
    ciphertexts: Vec<Ciphertext>,
    messages: Vec<BigUint>,
    vectors: &'v Value,
}

impl<'v> Phe<'v> {
    /// Encrypts all messages with the given randomness, and compares.
    fn new(vectors: &'v Value, options: Options) -> Self {
        let scheme = Paillier::try_new(vectors["bits"].as_u64().unwrap()).unwrap().with_options(options);
        let secret = scheme.from_primes(hex(&vectors["p"]), hex(&vectors["q"])).unwrap();
        let encryptions = list(&vectors["encryptions"]);
        let messages: Vec<_> = encryptions.iter().map(|item| hex(&item["residue"])).collect();
        let encrypt = |item: &Value| {
            let ciphertext =
                scheme.encrypt_with(secret.public(), &hex(&item["residue"]), &hex(&item["r"])).unwrap();
            assert_eq!(scheme.value(secret.public(), &ciphertext), hex(&item["ciphertext"]));
            ciphertext
        };
        let ciphertexts = encryptions.iter().map(encrypt).collect();
        Self { scheme, secret, ciphertexts, messages, vectors }
    }

    fn check(&self) {
        let public = self.secret.public();
        let modulus = public.modulus();
        assert_eq!(self.scheme.decrypt(&self.secret, &self.ciphertexts).as_ref(), Ok(&self.messages));

        assert_eq!(max_magnitude(modulus).bits(), self.vectors["max_int_bits"].as_u64().unwrap());
        for item in list(&self.vectors["signed"]) {
            let (value, residue) = (signed(&item["value"]), hex(&item["residue"]));
            assert_eq!(encode_signed(&value, modulus).as_ref(), Ok(&residue));
            assert_eq!(decode_signed(&residue, modulus), Ok(value));
        }
        for item in list(&self.vectors["sums"]) {
            let [left, right] = ["left", "right"].map(|side| &self.ciphertexts[index(&item[side])..][..1]);
            assert_eq!(self.only_value(self.scheme.add(public, left, right)), hex(&item["ciphertext"]));
        }
        for item in list(&self.vectors["products"]) {
            let of = index(&item["of"]);
            let product =
                self.scheme.linear(public, &self.ciphertexts[of..=of], &[&[signed(&item["scalar"])]]);
            assert_eq!(self.only_value(product), hex(&item["ciphertext"]));
        }
        let dot = &self.vectors["dot"];
        let weights: Vec<_> = list(&dot["weights"]).iter().map(signed).collect();
        let product = self.scheme.linear(public, &self.ciphertexts, &[&weights]);
        assert_eq!(self.only_value(product), hex(&dot["ciphertext"]));
        let plain = &self.vectors["plain"];
        let of = index(&plain["of"]);
        let sum = self.scheme.add_plain(public, &self.ciphertexts[of..=of], &[hex(&plain["residue"])]);
        assert_eq!(self.only_value(sum), hex(&plain["ciphertext"]));
    }

    fn only_value(&self, ciphertexts: Result<Vec<Ciphertext>, SchemeError>) -> BigUint {
        let [ciphertext] = ciphertexts.unwrap().try_into().unwrap();
        self.scheme.value(self.secret.public(), &ciphertext)
    }
}

#[test]
fn ciphertexts_sums_and_products_of_python_paillier_are_reproduced() {
    let document = document("paillier_phe.json");
    let keys = list(&document["keys"]);
    let sizes: Vec<_> = keys.iter().map(|key| key["bits"].as_u64().unwrap()).collect();
    assert_eq!(sizes, [512, 1024, 2048, 3072]);
    for key in keys {
        for arithmetic in [Arithmetic::NumBigint, Arithmetic::Vector] {
            Phe::new(key, Options { arithmetic, ..Options::default() }).check();
        }
        let textbook = Options { crt_decryption: false, multi_exponentiation: false, ..Options::default() };
        Phe::new(key, textbook).check();
    }
}

#[test]
fn floats_are_encoded_as_by_python_paillier() {
    let document = document("paillier_phe.json");
    let floats = &document["floats"];
    let key = &document["keys"][index(&floats["key"])];
    let modulus = hex(&key["p"]) * hex(&key["q"]);
    let scale = Scale(floats["scale"].as_u64().unwrap().try_into().unwrap());
    let numbers = list(&floats["numbers"]);
    assert_eq!(numbers.len(), 16);
    for number in numbers {
        let bits = u64::from_str_radix(number["bits"].as_str().unwrap(), 16).unwrap();
        let fixed = Fixed::from_f64(f64::from_bits(bits), scale).unwrap();
        assert_eq!(encode_signed(&fixed.mantissa, &modulus), Ok(hex(&number["residue"])), "{number}");
    }
}

/// A key and ciphertexts of henn's own making from a seed.
fn henn_key(bits: u64) -> Value {
    let seed = 7 + bits;
    let scheme = Paillier::try_new(bits).unwrap();
    let root = Stream::seeded(seed);
    let secret = scheme.generate_keys(&root.derive("keys")).unwrap();
    let (public, (p, q)) = (secret.public(), secret.factors());
    let messages = [BigUint::from(2_024_u32), public.modulus() - 17u8];
    let mut ciphertexts = scheme.encrypt(public, &messages, &root.derive("encrypt")).unwrap();
    let weights = [-70_000_001, 123_456_789].map(BigInt::from);
    ciphertexts.extend(scheme.linear(public, &ciphertexts, &[&weights]).unwrap());
    let last = scheme.rerandomise(public, &ciphertexts[2..], &root.derive("rerandomise"));
    ciphertexts.extend(last);
    // 2024 * -70000001 + -17 * 123456789, both terms negative.
    let dot = public.modulus() - 2_024_u64 * 70_000_001 - 17_u64 * 123_456_789;
    let residues = [messages.to_vec(), vec![dot.clone(), dot]].concat();
    let list = residues.iter().zip(&ciphertexts).map(|(residue, ciphertext)| {
        json!({ "residue": format!("{residue:x}"), "ciphertext": format!("{:x}", scheme.value(public, ciphertext)) })
    });
    let list: Vec<_> = list.collect();
    json!({ "bits": bits, "seed": seed, "p": format!("{p:x}"), "q": format!("{q:x}"), "ciphertexts": list })
}

#[test]
fn ciphertexts_from_seeds_are_those_that_python_paillier_decrypted() {
    let keys = [512, 1024, 2048, 3072].map(henn_key);
    let made = json!({ "keys": keys });
    let mut recorded = document("paillier_henn.json");
    let mut decrypted = 0;
    for key in recorded["keys"].as_array_mut().unwrap() {
        for item in key["ciphertexts"].as_array_mut().unwrap() {
            let item = item.as_object_mut().unwrap();
            let by_phe = item.remove("phe_decrypts_to");
            assert_eq!(by_phe.as_ref(), item.get("residue"), "not decrypted by phe, or to something else");
            decrypted += 1;
        }
    }
    assert!(made["keys"] == recorded["keys"], "henn now makes other keys or ciphertexts:\n{made:#}");
    assert_eq!(decrypted, 16);
}
