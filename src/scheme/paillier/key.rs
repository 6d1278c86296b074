//! Keys of the Paillier cryptosystem and what is computed from them once.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use num_bigint::BigUint;
use num_integer::Integer;
use num_traits::One;
use sha2::{Digest, Sha256};

use super::{
    Ciphertext,
    options::{Options, Randomisation},
};
use crate::{
    math::{
        modexp::Modulus,
        prime::{PrimeBitsError, proven_prime},
        ring::{Arithmetic, Element, Powers, Ring},
        stream::Stream,
        uniform,
        wipe::SecretUint,
    },
    scheme::additive::SchemeError,
};

/// FIPS 186-5 asks for |p - q| above 2^(bits of a factor - this).
const DISTANCE_MARGIN_BITS: u64 = 100;

/// A public key: the modulus N, and what is computed from it once. Clones share that.
#[derive(Clone)]
pub struct PublicKey(Arc<Public>);

struct Public {
    modulus: BigUint,
    /// modulo N^2
    ring: Ring,
    mask_powers: OnceLock<Powers>,
}

impl PublicKey {
    /// The key, or `None` when the modulus is even or 1.
    pub(super) fn try_new(modulus: BigUint, arithmetic: Arithmetic) -> Option<Self> {
        let ring = Ring::modulo_square(modulus.clone(), arithmetic)?;
        Some(Self(Arc::new(Public { modulus, ring, mask_powers: OnceLock::new() })))
    }

    /// N.
    pub fn modulus(&self) -> &BigUint {
        &self.0.modulus
    }

    /// The residues modulo N^2, which ciphertexts are.
    pub fn ring(&self) -> &Ring {
        &self.0.ring
    }

    /// The powers of h = (-x^2)^N modulo N^2, made when they are first asked for. The unit x is a hash of N, so it is the
    /// same for everybody and was chosen by nobody.
    pub(super) fn mask_powers(&self) -> &Powers {
        self.0.mask_powers.get_or_init(|| {
            let ring = self.ring();
            let base = ring.power_vartime(&ring.read(&[&self.mask_root()]), self.modulus());
            let base = base.first().cloned().unwrap_or_else(|| ring.one());
            ring.lasting_powers_of(&base, self.modulus().bits() / 2)
        })
    }

    /// -x^2 modulo N.
    fn mask_root(&self) -> BigUint {
        let digest = Sha256::digest(self.modulus().to_bytes_be());
        let randomness = Stream::seeded(0).derive(&format!("paillier mask {}", hex::encode(digest)));
        let x = uniform::below(self.modulus(), &mut randomness.rng());
        self.modulus() - &x * &x % self.modulus()
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.modulus() == other.modulus()
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({:#x})", self.modulus())
    }
}

/// A secret key: the primes p and q and what decryption needs of them. No `Debug`, no `Clone`; its numbers are wiped when
/// dropped, with the gaps that [`wipe`](crate::math::wipe) tells of.
pub struct SecretKey {
    public: PublicKey,
    p: Factor,
    q: Factor,
    /// 1 / p modulo q, an element of q's field
    p_inverse: Element,
    /// p^-2 modulo q^2, an element of `q_square`
    p_square_inverse: Element,
    /// modulo q^2, as any other number
    q_square: Ring,
    /// (p - 1)(q - 1)
    order: SecretUint,
    /// modulo N
    message_ring: Ring,
    /// 1 / order modulo N, an element of `message_ring`
    order_inverse: Element,
}

/// One prime s of the modulus N = st.
struct Factor {
    prime: SecretUint,
    /// s - 1
    order: SecretUint,
    /// modulo s^2
    square: Ring,
    /// modulo s
    field: Ring,
    /// 1 / L((1 + N)^(s-1) mod s^2) modulo s, where L(x) = (x - 1) / s; an element of `field`.
    scale: Element,
    /// t modulo s - 1
    cofactor: SecretUint,
    mask_powers: OnceLock<Powers>,
}

impl SecretKey {
    /// A key from fresh proven primes of half the size each.
    pub(super) fn generate(
        modulus_bits: u64,
        randomness: &Stream,
        options: Options,
    ) -> Result<Self, SchemeError> {
        let half = modulus_bits / 2;
        let refused = |error: PrimeBitsError| SchemeError::ModulusBits {
            bits: modulus_bits,
            min: 2 * error.min,
            max: 2 * error.max,
        };
        let short = options.randomisation == Randomisation::ShortExponent;
        // With short exponents, primes that are 3 modulo 4: about two attempts each.
        let prime = |stream: &Stream| {
            let mut attempt = 0;
            loop {
                let item = stream.item(attempt);
                let prime = proven_prime(half, if short { &item } else { stream });
                let prime = prime.map_err(refused)?.into_value();
                if !short || prime.bit(1) {
                    return Ok(prime);
                }
                attempt += 1;
            }
        };
        let mut attempt = 0;
        loop {
            let stream = randomness.item(attempt);
            let (p, q) = rayon::join(|| prime(&stream.derive("p")), || prime(&stream.derive("q")));
            let (p, q) = (p?, q?);
            if fit_together(&p, &q, half) && (!short || ((&*p - 1u8).gcd(&(&*q - 1u8)) == 2u8.into())) {
                return Self::try_new(modulus_bits, p, q, options);
            }
            attempt += 1;
        }
    }

    pub(super) fn try_new(
        modulus_bits: u64,
        p: SecretUint,
        q: SecretUint,
        options: Options,
    ) -> Result<Self, SchemeError> {
        let modulus = &*p * &*q;
        let bits = modulus.bits();
        if bits != modulus_bits {
            return Err(SchemeError::ModulusBits { bits, min: modulus_bits, max: modulus_bits });
        }
        let refused = |index| SchemeError::Range { what: "prime factor", index };
        if let Some(index) = [&p, &q].iter().position(|factor| !may_be_prime(factor)) {
            return Err(refused(index));
        }
        if !fit_together(&p, &q, modulus_bits / 2) {
            return Err(refused(1));
        }
        Self::with_factors(modulus, p, q, options.arithmetic).ok_or(refused(0))
    }

    fn with_factors(modulus: BigUint, p: SecretUint, q: SecretUint, arithmetic: Arithmetic) -> Option<Self> {
        let p_inverse = SecretUint::new(p.modinv(&q)?);
        let p_square = SecretUint::new(&*p * &*p);
        let q_square = Ring::modulo(&*q * &*q, arithmetic)?;
        let p_square_inverse = SecretUint::new(p_square.modinv(q_square.modulus())?);
        let p_square_inverse = q_square.read(&[&p_square_inverse]).pop()?;
        let order = SecretUint::new((&*p - 1u8) * (&*q - 1u8));
        let message_ring = Ring::modulo(modulus.clone(), arithmetic)?;
        let order_inverse = SecretUint::new(order.modinv(&modulus)?);
        let order_inverse = message_ring.read(&[&order_inverse]).pop()?;
        let public = PublicKey::try_new(modulus, arithmetic)?;
        let (p, q) = (Factor::try_new(p, &public, arithmetic)?, Factor::try_new(q, &public, arithmetic)?);
        let p_inverse = q.field.read(&[&p_inverse]).pop()?;
        Some(Self { public, p, q, p_inverse, p_square_inverse, q_square, order, message_ring, order_inverse })
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The primes p and q: the whole secret, for handing a key to another program.
    pub fn factors(&self) -> (&BigUint, &BigUint) {
        (&self.p.prime, &self.q.prime)
    }

    /// r^N modulo N^2 for every unit r, by the Chinese remainder theorem.
    pub(super) fn masks(&self, units: &[SecretUint]) -> Vec<Element> {
        let (modulo_p, modulo_q) = rayon::join(|| self.p.masks(units), || self.q.masks(units));
        self.join_squares(&modulo_p, &modulo_q)
    }

    /// h^a modulo N^2 for every exponent a, likewise.
    pub(super) fn short_masks(&self, exponents: &[SecretUint]) -> Vec<Element> {
        let masks = |factor: &Factor| factor.short_masks(&self.public, exponents);
        let (modulo_p, modulo_q) = rayon::join(|| masks(&self.p), || masks(&self.q));
        self.join_squares(&modulo_p, &modulo_q)
    }

    fn join_squares(&self, modulo_p: &[BigUint], modulo_q: &[BigUint]) -> Vec<Element> {
        let steps = self.q_square.scaled_differences(modulo_q, modulo_p, &self.p_square_inverse);
        let p_square = self.p.square.modulus();
        let joined: Vec<_> = modulo_p.iter().zip(&steps).map(|(at_p, step)| at_p + p_square * step).collect();
        self.public.ring().read(&joined.iter().collect::<Vec<_>>())
    }

    /// The messages of ciphertexts, by the Chinese remainder theorem.
    pub(super) fn decrypt(&self, ciphertexts: &[Ciphertext]) -> Vec<BigUint> {
        let values = self.public.ring().write(ciphertexts);
        let values: Vec<_> = values.iter().collect();
        let (modulo_p, modulo_q) = rayon::join(|| self.p.decrypt(&values), || self.q.decrypt(&values));
        let steps = self.q.field.scaled_differences(&modulo_q, &modulo_p, &self.p_inverse);
        modulo_p.into_iter().zip(&steps).map(|(at_p, step)| at_p + &*self.p.prime * step).collect()
    }

    /// The same as published: L(c^((p-1)(q-1)) mod N^2) / ((p-1)(q-1)) modulo N.
    pub(super) fn decrypt_textbook(&self, ciphertexts: &[Ciphertext]) -> Vec<BigUint> {
        let ring = self.public.ring();
        let quotients = ring.quotients(&ring.power(ciphertexts, &self.order));
        let zeros = vec![BigUint::ZERO; quotients.len()];
        self.message_ring.scaled_differences(&quotients, &zeros, &self.order_inverse)
    }
}

impl Drop for SecretKey {
    fn drop(&mut self) {
        self.p_inverse.wipe();
        self.p_square_inverse.wipe();
        self.order_inverse.wipe();
    }
}

impl Factor {
    fn try_new(prime: SecretUint, public: &PublicKey, arithmetic: Arithmetic) -> Option<Self> {
        let order = SecretUint::new(&*prime - 1u8);
        let cofactor = SecretUint::new(public.modulus() / &*prime % &*order);
        // (1 + N)^(s-1) is 1 + (s-1)N modulo s^2, and (s-1)N/s = -t modulo s.
        let quotient = SecretUint::new(&*prime - public.modulus() / &*prime % &*prime);
        let scale = SecretUint::new(quotient.modinv(&prime)?);
        let square = Ring::modulo_square(prime.clone(), arithmetic)?;
        let field = Ring::modulo(prime.clone(), arithmetic)?;
        let scale = field.read(&[&scale]).pop()?;
        Some(Self { prime, order, square, field, scale, cofactor, mask_powers: OnceLock::new() })
    }

    /// r^N modulo s^2 for every unit r, as (r^t mod s)^s: the s-th power of x modulo s^2 depends on x modulo s alone.
    fn masks(&self, units: &[SecretUint]) -> Vec<BigUint> {
        let units: Vec<&BigUint> = units.iter().map(|unit| &**unit).collect();
        let roots = self.field.write(&self.field.power(&self.field.read(&units), &self.cofactor));
        let roots: Vec<_> = roots.into_iter().map(SecretUint::new).collect();
        let roots: Vec<&BigUint> = roots.iter().map(|root| &**root).collect();
        self.square.write(&self.square.power(&self.square.read(&roots), &self.prime))
    }

    /// h^a modulo s^2 for every exponent a.
    fn short_masks(&self, public: &PublicKey, exponents: &[SecretUint]) -> Vec<BigUint> {
        let powers = self.mask_powers.get_or_init(|| {
            let base = self.square.read(&[&public.mask_root()]);
            let base = self.square.power(&base, public.modulus()).pop();
            self.square
                .lasting_powers_of(&base.unwrap_or_else(|| self.square.one()), public.modulus().bits() / 2)
        });
        let exponents: Vec<&BigUint> = exponents.iter().map(|exponent| &**exponent).collect();
        let bits = public.modulus().bits() / 2;
        self.square.write(&self.square.power_of_fixed(powers, &exponents, bits))
    }

    /// The messages modulo this prime.
    fn decrypt(&self, ciphertexts: &[&BigUint]) -> Vec<BigUint> {
        let powers = self.square.power(&self.square.read(ciphertexts), &self.order);
        let quotients = self.square.quotients(&powers);
        let zeros = vec![BigUint::ZERO; quotients.len()];
        self.field.scaled_differences(&quotients, &zeros, &self.scale)
    }
}

impl Drop for Factor {
    fn drop(&mut self) {
        self.scale.wipe();
    }
}

/// Whether an odd number above 1 passes Fermat's test to base 2: a guard against mixed-up numbers, no proof.
fn may_be_prime(number: &BigUint) -> bool {
    Modulus::try_new(number.clone()).is_some_and(|modulus| modulus.pow(&2u8.into(), &(number - 1u8)).is_one())
}

/// Whether p and q are far enough from each other for Fermat's factoring method to be hopeless, and N shares no factor
/// with (p-1)(q-1), without which decryption is not unique.
pub(super) fn fit_together(p: &BigUint, q: &BigUint, half: u64) -> bool {
    let distance = if p > q { p - q } else { q - p };
    let least = BigUint::one() << half.saturating_sub(DISTANCE_MARGIN_BITS);
    let (p_order, q_order) = (p - 1u8, q - 1u8);
    // At sizes where the margin leaves nothing, it still asks for different primes.
    distance >= BigUint::one()
        && (half <= DISTANCE_MARGIN_BITS || distance > least)
        && (p * q).gcd(&(p_order * q_order)).is_one()
}
