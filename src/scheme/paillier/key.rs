//! Keys of the Paillier cryptosystem and what is computed from them once.

use std::fmt;

use num_bigint::BigUint;
use num_integer::Integer;
use num_traits::One;

use crate::{
    math::{
        modexp::Modulus,
        prime::{PrimeBitsError, proven_prime},
        stream::Stream,
        wipe::SecretUint,
    },
    scheme::additive::SchemeError,
};

/// FIPS 186-5 asks for |p - q| above 2^(bits of a factor - this).
const DISTANCE_MARGIN_BITS: u64 = 100;

/// A public key: the modulus N, and its square ready for use.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    modulus: BigUint,
    square: Modulus,
}

impl PublicKey {
    /// The key, or `None` when the modulus is even or 1.
    pub(super) fn try_new(modulus: BigUint) -> Option<Self> {
        let square = Modulus::try_new(&modulus * &modulus)?;
        Some(Self { modulus, square })
    }

    /// N.
    pub fn modulus(&self) -> &BigUint {
        &self.modulus
    }

    /// N^2, to which ciphertexts are reduced.
    pub fn square(&self) -> &Modulus {
        &self.square
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({:#x})", self.modulus)
    }
}

/// A secret key: the primes p and q and what decryption needs of them. No `Debug`, no `Clone`; its numbers are wiped when
/// dropped, with the gaps that [`wipe`](crate::math::wipe) tells of.
pub struct SecretKey {
    public: PublicKey,
    p: Factor,
    q: Factor,
    /// 1 / p modulo q.
    p_inverse: SecretUint,
    /// p^-2 modulo q^2
    p_square_inverse: SecretUint,
}

/// One prime s of the modulus N = st.
struct Factor {
    prime: SecretUint,
    /// s - 1
    order: SecretUint,
    /// s^2
    square: Modulus,
    /// 1 / L((1 + N)^(s-1) mod s^2) modulo s, where L(x) = (x - 1) / s.
    scale: SecretUint,
    /// s
    field: Modulus,
    /// t modulo s - 1
    cofactor: SecretUint,
}

impl SecretKey {
    /// A key from fresh proven primes of half the size each.
    pub(super) fn generate(modulus_bits: u64, randomness: &Stream) -> Result<Self, SchemeError> {
        let half = modulus_bits / 2;
        let mut attempt = 0;
        loop {
            let stream = randomness.item(attempt);
            let (p, q) = rayon::join(
                || proven_prime(half, &stream.derive("p")),
                || proven_prime(half, &stream.derive("q")),
            );
            let refused = |error: PrimeBitsError| SchemeError::ModulusBits {
                bits: modulus_bits,
                min: 2 * error.min,
                max: 2 * error.max,
            };
            let (p, q) = (p.map_err(refused)?.into_value(), q.map_err(refused)?.into_value());
            if fit_together(&p, &q, half) {
                return Self::try_new(modulus_bits, p, q);
            }
            attempt += 1;
        }
    }

    pub(super) fn try_new(modulus_bits: u64, p: SecretUint, q: SecretUint) -> Result<Self, SchemeError> {
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
        let p_inverse = p.modinv(&q).ok_or(refused(1))?;
        let p_square_inverse = (&*p * &*p).modinv(&(&*q * &*q)).ok_or(refused(1))?;
        let public = PublicKey::try_new(modulus).ok_or(refused(0))?;
        let (p, q) =
            (Factor::try_new(p, &public).ok_or(refused(0))?, Factor::try_new(q, &public).ok_or(refused(1))?);
        Ok(Self {
            public,
            p,
            q,
            p_inverse: SecretUint::new(p_inverse),
            p_square_inverse: SecretUint::new(p_square_inverse),
        })
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The primes p and q: the whole secret, for handing a key to another program.
    pub fn factors(&self) -> (&BigUint, &BigUint) {
        (&self.p.prime, &self.q.prime)
    }

    /// r^N modulo N^2 for every unit r, by the Chinese remainder theorem: about a third of the work without the factors.
    pub(super) fn masks(&self, units: &[SecretUint]) -> Vec<BigUint> {
        let (modulo_p, modulo_q) = rayon::join(|| self.p.masks(units), || self.q.masks(units));
        let (p, q) = (self.p.square.value(), self.q.square.value());
        let join = |(at_p, at_q): (BigUint, BigUint)| {
            let difference = at_q + q - (&at_p % q);
            at_p + p * (difference * &*self.p_square_inverse % q)
        };
        modulo_p.into_iter().zip(modulo_q).map(join).collect()
    }

    /// The messages of ciphertexts, by the Chinese remainder theorem.
    pub(super) fn decrypt(&self, ciphertexts: &[&BigUint]) -> Vec<BigUint> {
        let (modulo_p, modulo_q) =
            rayon::join(|| self.p.decrypt(ciphertexts), || self.q.decrypt(ciphertexts));
        let (p, q) = self.factors();
        let join = |(at_p, at_q): (BigUint, BigUint)| {
            let difference = at_q + q - (&at_p % q);
            at_p + p * (difference * &*self.p_inverse % q)
        };
        modulo_p.into_iter().zip(modulo_q).map(join).collect()
    }
}

impl Factor {
    fn try_new(prime: SecretUint, public: &PublicKey) -> Option<Self> {
        let square = Modulus::try_new(&*prime * &*prime)?;
        let order = SecretUint::new(&*prime - 1u8);
        let generator = public.modulus() + 1u8;
        let scale = quotient(&square.pow(&generator, &order), &prime).modinv(&prime)?;
        let field = Modulus::try_new(prime.clone())?;
        let cofactor = SecretUint::new(public.modulus() / &*prime % &*order);
        Some(Self { prime, order, square, scale: SecretUint::new(scale), field, cofactor })
    }

    /// r^N modulo s^2 for every unit r, as (r^t mod s)^s: the s-th power of x modulo s^2 depends on x modulo s alone.
    fn masks(&self, units: &[SecretUint]) -> Vec<BigUint> {
        let roots = self.field.pow_each(units, &self.cofactor);
        self.square.pow_each(&roots, &self.prime)
    }

    /// The messages modulo this prime.
    fn decrypt(&self, ciphertexts: &[&BigUint]) -> Vec<BigUint> {
        let powers = self.square.pow_each(ciphertexts, &self.order);
        powers.iter().map(|power| quotient(power, &self.prime) * &*self.scale % &*self.prime).collect()
    }
}

/// Paillier's L(x) = (x - 1) / s, and zero for x = 0, which only a multiple of the prime can bring.
fn quotient(x: &BigUint, prime: &BigUint) -> BigUint {
    if *x == BigUint::ZERO { BigUint::ZERO } else { (x - 1u8) / prime }
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
