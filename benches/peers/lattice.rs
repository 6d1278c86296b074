//! The lattice schemes' rows: what is called of henn is in the three implementations of `Scheme`.

use std::{hint::black_box, rc::Rc};

use henn::{
    math::stream::Stream,
    scheme::{
        bfv::{self, Bfv},
        bgv::{self, Bgv},
        ckks::{self, Ckks},
        rlwe::{Literal, Plaintext, PublicKey, RotationKeys, SecretKey, SwitchingKey},
    },
};
use num_complex::Complex64;
use serde_json::{Map, Value};

use super::{Prepared, Work};

/// 1 modulo 2N for every N that is measured.
const PLAINTEXT_MODULUS: u64 = 786_433;
/// Slots hold 0, 1, …, so that their squares stay below half of the plaintext modulus.
const VALUES: usize = 100;
/// Rotations that share a decomposition.
const HOISTED: i64 = 16;

trait Scheme: Sized + 'static {
    type Slots;
    type Plain: 'static;
    type Cipher: 'static;

    fn try_new(literal: &Literal) -> Option<Self>;
    /// Of Q and of the special primes.
    fn bits(&self) -> [u64; 2];
    fn secret_key(&self, randomness: &Stream) -> SecretKey;
    fn public_key(&self, secret: &SecretKey, randomness: &Stream) -> PublicKey;
    fn relinearisation_key(&self, secret: &SecretKey, randomness: &Stream) -> SwitchingKey;
    fn rotation_keys(&self, secret: &SecretKey, steps: &[i64], randomness: &Stream) -> RotationKeys;
    fn slots(&self) -> Self::Slots;
    /// Whether they are the squares of what `slots` gives, rotated to the left by one step where that is asked for.
    fn are_squares(slots: &Self::Slots, rotated: bool) -> bool;
    fn encode(&self, slots: &Self::Slots) -> Self::Plain;
    fn encrypt(&self, key: &PublicKey, plain: &Self::Plain, randomness: &Stream) -> Self::Cipher;
    /// Decrypts and decodes.
    fn decrypt(&self, key: &SecretKey, cipher: &Self::Cipher) -> Self::Slots;
    fn add(&self, left: &Self::Cipher, right: &Self::Cipher) -> Self::Cipher;
    fn multiply_plain(&self, cipher: &Self::Cipher, plain: &Self::Plain) -> Self::Cipher;
    fn multiply(&self, left: &Self::Cipher, right: &Self::Cipher) -> Self::Cipher;
    fn relinearise(&self, cipher: &Self::Cipher, key: &SwitchingKey) -> Self::Cipher;
    /// Drops the last prime, where the scheme does that.
    fn drop_prime(&self, cipher: &Self::Cipher) -> Option<Self::Cipher>;
    fn rotate_many(&self, cipher: &Self::Cipher, steps: &[i64], keys: &RotationKeys) -> Vec<Self::Cipher>;
}

/// What the three have in common, word for word.
macro_rules! common {
    ($cipher:ty, $plain:ty, $slots:ty) => {
        type Slots = $slots;
        type Plain = $plain;
        type Cipher = $cipher;

        fn bits(&self) -> [u64; 2] {
            let parameters = self.parameters();
            [parameters.modulus(), parameters.special()].map(|basis| basis.product().bits())
        }

        fn secret_key(&self, randomness: &Stream) -> SecretKey {
            self.generate_secret_key(randomness)
        }

        fn public_key(&self, secret: &SecretKey, randomness: &Stream) -> PublicKey {
            self.generate_public_key(secret, randomness)
        }

        fn relinearisation_key(&self, secret: &SecretKey, randomness: &Stream) -> SwitchingKey {
            self.generate_relinearisation_key(secret, randomness)
        }

        fn rotation_keys(&self, secret: &SecretKey, steps: &[i64], randomness: &Stream) -> RotationKeys {
            self.generate_rotation_keys(secret, steps, false, randomness)
        }

        fn encrypt(&self, key: &PublicKey, plain: &$plain, randomness: &Stream) -> $cipher {
            self.encrypt(key, plain, randomness)
        }

        fn multiply_plain(&self, cipher: &$cipher, plain: &$plain) -> $cipher {
            self.multiply_plain(cipher, plain)
        }

        fn multiply(&self, left: &$cipher, right: &$cipher) -> $cipher {
            self.multiply(left, right).unwrap()
        }

        fn relinearise(&self, cipher: &$cipher, key: &SwitchingKey) -> $cipher {
            self.relinearise(cipher, key)
        }

        fn rotate_many(&self, cipher: &$cipher, steps: &[i64], keys: &RotationKeys) -> Vec<$cipher> {
            self.rotate_many(cipher, steps, keys).unwrap()
        }
    };
}

/// What BGV and BFV have in common besides.
macro_rules! exact {
    () => {
        fn try_new(literal: &Literal) -> Option<Self> {
            Self::try_new(literal, PLAINTEXT_MODULUS).ok()
        }

        fn slots(&self) -> Vec<i64> {
            (0..self.slots()).map(|slot| i64::try_from(slot % VALUES).unwrap()).collect()
        }

        fn are_squares(slots: &Vec<i64>, rotated: bool) -> bool {
            let places = 0..slots.len() / 2 - 1;
            places.zip(slots).all(|(place, slot)| {
                usize::try_from(*slot) == Ok(((place + usize::from(rotated)) % VALUES).pow(2))
            })
        }

        fn encode(&self, slots: &Vec<i64>) -> Plaintext {
            self.encode(slots).unwrap()
        }

        fn decrypt(&self, key: &SecretKey, cipher: &Self::Cipher) -> Vec<i64> {
            self.decode(&self.decrypt(key, cipher))
        }
    };
}

impl Scheme for Bgv {
    common!(bgv::Ciphertext, Plaintext, Vec<i64>);
    exact!();

    fn add(&self, left: &bgv::Ciphertext, right: &bgv::Ciphertext) -> bgv::Ciphertext {
        self.add(left, right).unwrap()
    }

    fn drop_prime(&self, cipher: &bgv::Ciphertext) -> Option<bgv::Ciphertext> {
        self.switch_modulus(cipher).ok()
    }
}

impl Scheme for Bfv {
    common!(bfv::Ciphertext, Plaintext, Vec<i64>);
    exact!();

    fn add(&self, left: &bfv::Ciphertext, right: &bfv::Ciphertext) -> bfv::Ciphertext {
        self.add(left, right)
    }

    fn drop_prime(&self, _: &bfv::Ciphertext) -> Option<bfv::Ciphertext> {
        None
    }
}

impl Scheme for Ckks {
    common!(ckks::Ciphertext, ckks::Plaintext, Vec<Complex64>);

    fn try_new(literal: &Literal) -> Option<Self> {
        Self::try_new(literal).ok()
    }

    fn slots(&self) -> Vec<Complex64> {
        (0..self.slots()).map(|slot| Complex64::from((slot % VALUES) as f64 / VALUES as f64)).collect()
    }

    fn are_squares(slots: &Vec<Complex64>, rotated: bool) -> bool {
        let expected = |place: usize| ((place + usize::from(rotated)) % VALUES) as f64 / VALUES as f64;
        let places = 0..slots.len() - 1;
        places.zip(slots).all(|(place, slot)| (slot - expected(place).powi(2)).norm() < 1e-4)
    }

    fn encode(&self, slots: &Vec<Complex64>) -> ckks::Plaintext {
        // A product that is rescaled comes back to this scale.
        let last = self.parameters().modulus().primes().last().unwrap();
        self.encode(slots, last.value() as f64).unwrap()
    }

    fn decrypt(&self, key: &SecretKey, cipher: &ckks::Ciphertext) -> Vec<Complex64> {
        self.decrypt(key, cipher)
    }

    fn add(&self, left: &ckks::Ciphertext, right: &ckks::Ciphertext) -> ckks::Ciphertext {
        self.add(left, right).unwrap()
    }

    fn drop_prime(&self, cipher: &ckks::Ciphertext) -> Option<ckks::Ciphertext> {
        self.rescale(cipher).ok()
    }
}

/// `{"degree": N, "primes": {"ours": {"q": [bits, count], "p": [bits, count]}}}`
fn literal(params: &Map<String, Value>) -> Option<Literal> {
    let ours = &params.get("primes")?["ours"];
    let list = |name: &str| -> Option<Vec<u32>> {
        let bits = u32::try_from(ours[name][0].as_u64()?).ok()?;
        Some(vec![bits; usize::try_from(ours[name][1].as_u64()?).ok()?])
    };
    let degree = params.get("degree")?.as_u64()?;
    Some(Literal { log_degree: degree.ilog2(), modulus_bits: list("q")?, special_bits: list("p")? })
}

/// The operation of a lattice scheme; nothing where `op` is none.
pub(super) fn prepare(op: &str, params: &Map<String, Value>) -> Option<Prepared> {
    let (scheme, op) = op.split_once('_')?;
    let literal = literal(params)?;
    match scheme {
        "bgv" => work::<Bgv>(op, &literal),
        "bfv" => work::<Bfv>(op, &literal),
        "ckks" => work::<Ckks>(op, &literal),
        _ => None,
    }
}

fn work<S: Scheme>(op: &str, literal: &Literal) -> Option<Prepared> {
    let randomness = Stream::seeded(1);
    let scheme = Rc::new(S::try_new(literal)?);
    let secret = scheme.secret_key(&randomness.derive("secret"));
    let public = scheme.public_key(&secret, &randomness.derive("public"));
    let slots = scheme.slots();
    let plain = scheme.encode(&slots);
    let cipher = scheme.encrypt(&public, &plain, &randomness.derive("message"));
    let product = |cipher: &S::Cipher| {
        let key = scheme.relinearisation_key(&secret, &randomness.derive("relinearisation"));
        let squares = scheme.relinearise(&scheme.multiply(cipher, cipher), &key);
        let squares = scheme.drop_prime(&squares).unwrap_or(squares);
        // Parameters are chosen by hand, and keys that switch with too much error would be measured as well.
        assert!(S::are_squares(&scheme.decrypt(&secret, &squares), false), "a wrong product");
        (key, squares)
    };
    let (bits, s) = (Some(scheme.bits()), Rc::clone(&scheme));
    let mut batch = 1;
    let work: Work = match op {
        "encode" => Box::new(move || drop(black_box(s.encode(&slots)))),
        "encrypt" => Box::new(move || drop(black_box(s.encrypt(&public, &plain, &randomness)))),
        "decrypt" => Box::new(move || drop(black_box(s.decrypt(&secret, &cipher)))),
        "add" => Box::new(move || drop(black_box(s.add(&cipher, &cipher)))),
        "multiply_plain" => Box::new(move || drop(black_box(s.multiply_plain(&cipher, &plain)))),
        "product" => {
            let (key, _) = product(&cipher);
            Box::new(move || drop(black_box(s.relinearise(&s.multiply(&cipher, &cipher), &key))))
        }
        "product_rescale" => {
            let (key, _) = product(&cipher);
            Box::new(move || {
                black_box(s.drop_prime(&s.relinearise(&s.multiply(&cipher, &cipher), &key)));
            })
        }
        "rescale" | "switch_modulus" => {
            s.drop_prime(&cipher)?;
            Box::new(move || drop(black_box(s.drop_prime(&cipher))))
        }
        "rotate" | "rotate_hoisted" => {
            let steps: Vec<i64> = if op == "rotate" { vec![1] } else { (1..=HOISTED).collect() };
            batch = steps.len();
            let keys = s.rotation_keys(&secret, &steps, &randomness.derive("rotations"));
            // Of a product without its prime, so that what is checked is not at the highest level alone.
            let (_, squares) = product(&cipher);
            let rotated = s.rotate_many(&squares, &steps, &keys);
            assert!(S::are_squares(&s.decrypt(&secret, &rotated[0]), true), "a wrong rotation");
            Box::new(move || drop(black_box(s.rotate_many(&cipher, &steps, &keys))))
        }
        _ => return None,
    };
    Some(Prepared { work, batch, bits })
}
