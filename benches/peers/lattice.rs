//! The lattice schemes' rows: what the schemes do is called through one trait.

use std::{hint::black_box, rc::Rc};

use henn::{
    math::stream::Stream,
    scheme::{
        bfv::Bfv,
        bgv::Bgv,
        ckks::{self, Ckks},
        rlwe::{Ciphertext, ExactScheme, Literal, Plaintext, RlweScheme},
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

/// What the measurements need to know of a scheme beside its operations.
trait Subject: RlweScheme + Sized + 'static {
    type Slots;

    fn try_new(literal: &Literal) -> Option<Self>;
    fn numbers(&self) -> Self::Slots;
    /// Whether they are the squares of what `numbers` gives, rotated to the left by one step where that is asked for.
    fn are_squares(slots: &Self::Slots, rotated: bool) -> bool;
    fn pack(&self, slots: &Self::Slots) -> Self::Plaintext;
    fn unpack(&self, decrypted: Self::Decrypted) -> Self::Slots;
}

/// BGV and BFV.
macro_rules! exact {
    ($scheme:ty) => {
        impl Subject for $scheme {
            type Slots = Vec<i64>;

            fn try_new(literal: &Literal) -> Option<Self> {
                ExactScheme::try_new(literal, PLAINTEXT_MODULUS).ok()
            }

            fn numbers(&self) -> Vec<i64> {
                (0..self.slots()).map(|slot| i64::try_from(slot % VALUES).unwrap()).collect()
            }

            fn are_squares(slots: &Vec<i64>, rotated: bool) -> bool {
                let places = 0..slots.len() / 2 - 1;
                places.zip(slots).all(|(place, slot)| {
                    usize::try_from(*slot) == Ok(((place + usize::from(rotated)) % VALUES).pow(2))
                })
            }

            fn pack(&self, slots: &Vec<i64>) -> Plaintext {
                self.encode(slots).unwrap()
            }

            fn unpack(&self, decrypted: Plaintext) -> Vec<i64> {
                self.decode(&decrypted)
            }
        }
    };
}

exact!(Bgv);
exact!(Bfv);

impl Subject for Ckks {
    type Slots = Vec<Complex64>;

    fn try_new(literal: &Literal) -> Option<Self> {
        Self::try_new(literal).ok()
    }

    fn numbers(&self) -> Vec<Complex64> {
        (0..self.slots()).map(|slot| Complex64::from((slot % VALUES) as f64 / VALUES as f64)).collect()
    }

    fn are_squares(slots: &Vec<Complex64>, rotated: bool) -> bool {
        let expected = |place: usize| ((place + usize::from(rotated)) % VALUES) as f64 / VALUES as f64;
        let places = 0..slots.len() - 1;
        places.zip(slots).all(|(place, slot)| (slot - expected(place).powi(2)).norm() < 1e-4)
    }

    fn pack(&self, slots: &Vec<Complex64>) -> ckks::Plaintext {
        // A product that is rescaled comes back to this scale.
        let last = self.parameters().modulus().primes().last().unwrap();
        self.encode(slots, last.value() as f64).unwrap()
    }

    fn unpack(&self, decrypted: ckks::Phase) -> Vec<Complex64> {
        self.decode(&decrypted)
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

fn work<S: Subject>(op: &str, literal: &Literal) -> Option<Prepared> {
    let randomness = Stream::seeded(1);
    let scheme = Rc::new(S::try_new(literal)?);
    let secret = scheme.generate_secret_key(&randomness.derive("secret"));
    let public = scheme.generate_public_key(&secret, &randomness.derive("public"));
    let slots = scheme.numbers();
    let plain = scheme.pack(&slots);
    let cipher = scheme.encrypt(&public, &plain, &randomness.derive("message")).unwrap();
    let product = |cipher: &Ciphertext<S::Tag>| {
        let key = scheme.generate_relinearisation_key(&secret, &randomness.derive("relinearisation"));
        let squares = scheme.relinearise(&scheme.multiply(cipher, cipher).unwrap(), &key);
        let squares = scheme.lower(&squares).unwrap_or(squares);
        // Parameters are chosen by hand, and keys that switch with too much error would be measured as well.
        assert!(S::are_squares(&scheme.unpack(scheme.decrypt(&secret, &squares)), false), "a wrong product");
        (key, squares)
    };
    let parameters = scheme.parameters();
    let bits = [parameters.modulus(), parameters.special()].map(|basis| basis.product().bits());
    let (bits, s) = (Some(bits), Rc::clone(&scheme));
    let mut batch = 1;
    let work: Work = match op {
        "encode" => Box::new(move || drop(black_box(s.pack(&slots)))),
        "encrypt" => Box::new(move || drop(black_box(s.encrypt(&public, &plain, &randomness)))),
        "decrypt" => Box::new(move || drop(black_box(s.decrypt(&secret, &cipher)))),
        "decrypt_decode" => Box::new(move || drop(black_box(s.unpack(s.decrypt(&secret, &cipher))))),
        "add" => Box::new(move || drop(black_box(s.add(&cipher, &cipher)))),
        "multiply_plain" => Box::new(move || drop(black_box(s.multiply_plain(&cipher, &plain)))),
        "multiply_prepared" => {
            let prepared = s.prepare(&plain, cipher.level());
            Box::new(move || drop(black_box(s.multiply_prepared(&cipher, &prepared))))
        }
        "product" => {
            let (key, _) = product(&cipher);
            Box::new(move || drop(black_box(s.relinearise(&s.multiply(&cipher, &cipher).unwrap(), &key))))
        }
        "product_rescale" => {
            let (key, _) = product(&cipher);
            Box::new(move || {
                let _ = black_box(s.lower(&s.relinearise(&s.multiply(&cipher, &cipher).unwrap(), &key)));
            })
        }
        "rescale" | "switch_modulus" => {
            s.lower(&cipher).ok()?;
            Box::new(move || drop(black_box(s.lower(&cipher))))
        }
        "rotate" | "rotate_each" | "rotate_hoisted" => {
            let steps: Vec<i64> = if op == "rotate" { vec![1] } else { (1..=HOISTED).collect() };
            batch = steps.len();
            let keys = s.generate_rotation_keys(&secret, &steps, false, &randomness.derive("rotations"));
            // Of a product without its prime, so that what is checked is not at the highest level alone.
            let (_, squares) = product(&cipher);
            let rotated = s.rotate_many(&squares, &steps, &keys).unwrap();
            assert!(S::are_squares(&s.unpack(s.decrypt(&secret, &rotated[0])), true), "a wrong rotation");
            if op == "rotate_hoisted" {
                Box::new(move || drop(black_box(s.rotate_many(&cipher, &steps, &keys))))
            } else {
                // All of them are kept, as those that are hoisted are.
                let rotate = move |step: &i64| s.rotate(&cipher, *step, &keys);
                Box::new(move || drop(black_box(steps.iter().map(&rotate).collect::<Vec<_>>())))
            }
        }
        _ => return None,
    };
    Some(Prepared { work, batch, bits })
}
