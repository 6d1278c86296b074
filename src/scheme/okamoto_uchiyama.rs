//! The cryptosystem of Okamoto and Uchiyama (Eurocrypt 1998): n = p^2 q, messages modulo p.
//!
//! A message m becomes `g^m h^r mod n`, with `h = g^n mod n` and a random r; products of ciphertexts are sums of messages.
//! As in Coron, Naccache, Paillier ("Accelerating Okamoto-Uchiyama's public-key cryptosystem", Electronics Letters 1999),
//! g is a power `a^((p-1)/u)` for a prime factor u of p - 1, here of half its length, so that decryption raises to u
//! instead of p - 1. The random r is little longer than u: enough to be uniform modulo u, and beyond the reach of
//! searches for short exponents modulo q. Powers of g and h come from tables.
//!
//! # Messages
//! p is secret, so nobody else knows what messages wrap around at. Towards the layers above, messages are residues modulo
//! the public n, of which only those within [`message_bound`](AdditiveScheme::message_bound) of zero have a meaning; the
//! owner's [`opening_modulus`](AdditiveScheme::opening_modulus) is p.
//!
//! # Security
//! One-way if n = p^2 q is hard to factor, semantically secure if p-th powers cannot be told from others (the p-subgroup
//! assumption). Whoever can ask for decryptions of numbers of his choice learns p: m and m + p encrypt alike, so a
//! decryption that is not what was encrypted betrays a multiple of p. The protocols here never return a decryption of what
//! a stranger encrypted.
//!
//! # Bytes
//! A public key is n, g, h, a ciphertext is itself: big-endian numbers of the length of n in whole bytes.

use std::{
    fmt,
    ops::Range,
    sync::{Arc, OnceLock},
};

use num_bigint::{BigInt, BigUint, Sign};
use num_integer::Integer;
use num_traits::One;

use crate::{
    math::{
        pool::{in_pool, in_shares},
        prime::{PrimeBitsError, proven_prime, small_factor},
        ring::{Arithmetic, Element, Powers, Ring},
        rows::Rows,
        stream::Stream,
        uniform,
        wipe::SecretUint,
    },
    scheme::{
        additive::{AdditiveScheme, SchemeError, check_lengths},
        encoding::centred,
        residue::{self, check_residues, ciphertexts, is_square, whole_bytes, write_padded},
    },
};

pub use crate::scheme::residue::Ciphertext;

/// Least size of a modulus.
pub const MIN_MODULUS_BITS: u64 = 768;
/// Greatest size of a modulus.
pub const MAX_MODULUS_BITS: u64 = 12_288;
/// Least size that [`OkamotoUchiyama::insecure_for_tests`] takes.
const MIN_INSECURE_BITS: u64 = 240;
/// The random exponent is so many bits longer than u, so that it is nearly uniform modulo u.
const EXPONENT_MARGIN_BITS: u64 = 64;
/// Messages are raised to in steps of so many bits: all that time tells of them.
const MESSAGE_STEP_BITS: u64 = 40;
/// Items that a thread takes through all steps at least: vectors of eight lanes are filled some times, as tables of fixed bases want it.
const SHARE: usize = 32;

/// The cryptosystem with moduli of a given size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OkamotoUchiyama {
    modulus_bits: u64,
    arithmetic: Arithmetic,
}

/// A public key. Clones share it.
#[derive(Clone)]
pub struct PublicKey(Arc<Public>);

struct Public {
    modulus: BigUint,
    /// modulo n
    ring: Ring,
    generator: BigUint,
    mask: BigUint,
    tables: OnceLock<Tables>,
}

/// What encryption needs.
struct Tables {
    generator: Powers,
    mask: Powers,
    /// g^-(2^(40 k)) for k from 1
    offsets: Vec<Element>,
}

/// A secret key. No `Debug`, no `Clone`; its numbers are wiped when dropped, with the gaps that
/// [`wipe`](crate::math::wipe) tells of.
pub struct SecretKey {
    public: PublicKey,
    p: SecretUint,
    q: SecretUint,
    /// u, a prime factor of p - 1
    order: SecretUint,
    /// modulo p^2
    square: Ring,
    /// modulo p
    field: Ring,
    /// 1 / L(g^u mod p^2) modulo p, an element of `field`
    scale: Element,
}

impl PublicKey {
    fn try_new(modulus: BigUint, generator: BigUint, mask: BigUint, arithmetic: Arithmetic) -> Option<Self> {
        let ring = Ring::modulo(modulus.clone(), arithmetic)?;
        Some(Self(Arc::new(Public { modulus, ring, generator, mask, tables: OnceLock::new() })))
    }

    /// n.
    pub fn modulus(&self) -> &BigUint {
        &self.0.modulus
    }

    /// g and h.
    pub fn generators(&self) -> (&BigUint, &BigUint) {
        (&self.0.generator, &self.0.mask)
    }

    /// Bits of p, and of u: one bit more than half of them.
    fn factor_bits(&self) -> (u64, u64) {
        factor_bits(self.modulus().bits())
    }

    fn tables(&self) -> &Tables {
        self.0.tables.get_or_init(|| {
            let ring = &self.0.ring;
            let (p_bits, u_bits) = self.factor_bits();
            let bases = ring.read(&[&self.0.generator, &self.0.mask]);
            let steps = message_bits(p_bits).div_ceil(MESSAGE_STEP_BITS);
            let generator = ring.powers_of(&bases[0], steps * MESSAGE_STEP_BITS + 1);
            let exponents: Vec<_> =
                (1..=steps).map(|step| BigUint::one() << (step * MESSAGE_STEP_BITS)).collect();
            let bits = steps * MESSAGE_STEP_BITS + 1;
            let powers = ring.power_of_fixed(&generator, &exponents.iter().collect::<Vec<_>>(), bits);
            // g is a unit, or the key would not have been read.
            let offsets = ring.invert_vartime(&powers).unwrap_or(powers);
            Tables { generator, mask: ring.powers_of(&bases[1], u_bits + EXPONENT_MARGIN_BITS), offsets }
        })
    }

    /// g^m for signed messages: g^(m + 2^k) g^-(2^k), with a common k that is beyond all of them.
    fn message_powers(&self, residues: &[BigUint]) -> Vec<Element> {
        let (ring, tables) = (&self.0.ring, self.tables());
        let messages: Vec<BigInt> = residues.iter().map(|residue| centred(residue, self.modulus())).collect();
        let bits = messages.iter().map(BigInt::bits).max().unwrap_or(0);
        let step = usize::try_from(bits.div_ceil(MESSAGE_STEP_BITS).max(1)).unwrap_or(usize::MAX);
        let Some(offset) = tables.offsets.get(step - 1) else {
            // Beyond every meaning, but still as defined.
            let exponents: Vec<BigInt> = messages;
            let rows: Vec<&[BigInt]> = exponents.iter().map(std::slice::from_ref).collect();
            let base = ring.read(&[&self.0.generator]);
            return ring.products_of_powers_vartime(&base, &Rows::dense(&rows)).unwrap_or_default();
        };
        let shift = BigInt::one() << (step as u64 * MESSAGE_STEP_BITS);
        let exponents: Vec<SecretUint> =
            messages.iter().map(|message| SecretUint::new((message + &shift).magnitude().clone())).collect();
        let exponents: Vec<&BigUint> = exponents.iter().map(|exponent| &**exponent).collect();
        let bits = step as u64 * MESSAGE_STEP_BITS + 1;
        let powers = ring.power_of_fixed(&tables.generator, &exponents, bits);
        ring.multiply(&powers, &vec![offset; powers.len()])
    }

    /// h^r for random exponents, the i-th from `randomness.item(i)`.
    fn masks(&self, items: Range<usize>, randomness: &Stream) -> Vec<Element> {
        let bits = self.factor_bits().1 + EXPONENT_MARGIN_BITS;
        let bound = BigUint::one() << bits;
        let exponents: Vec<SecretUint> = items
            .map(|index| SecretUint::new(uniform::below(&bound, &mut randomness.item(index as u64).rng())))
            .collect();
        let exponents: Vec<&BigUint> = exponents.iter().map(|exponent| &**exponent).collect();
        self.0.ring.power_of_fixed(&self.tables().mask, &exponents, bits)
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.modulus() == other.modulus() && self.generators() == other.generators()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({:#x})", self.modulus())
    }
}

impl SecretKey {
    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// p and q: the whole secret.
    pub fn factors(&self) -> (&BigUint, &BigUint) {
        (&self.p, &self.q)
    }

    /// From p, q, the prime factor u of p - 1 and a random number; `None` when they do not fit, which is all but
    /// impossible for random ones.
    fn try_new(
        (p, q, order): (SecretUint, SecretUint, SecretUint),
        seed: &BigUint,
        arithmetic: Arithmetic,
    ) -> Option<Self> {
        let square = Ring::modulo_square(p.clone(), arithmetic)?;
        let field = Ring::modulo(p.clone(), arithmetic)?;
        let modulus = square.modulus() * &*q;
        if *p == *q || !seed.gcd(&modulus).is_one() {
            return None;
        }
        let ring = Ring::modulo(modulus.clone(), arithmetic)?;
        let cofactor = SecretUint::new((&*p - 1u8) / &*order);
        let generator = ring.write(&ring.power(&ring.read(&[seed]), &cofactor)).pop()?;
        let mask = ring.write(&ring.power_vartime(&ring.read(&[&generator]), &modulus)).pop()?;
        let quotient = square.quotients(&square.power(&square.read(&[&generator]), &order)).pop()?;
        let scale = SecretUint::new(quotient.modinv(&p)?);
        let scale = field.read(&[&scale]).pop()?;
        let public = PublicKey::try_new(modulus, generator, mask, arithmetic)?;
        Some(Self { public, p, q, order, square, field, scale })
    }
}

impl Drop for SecretKey {
    fn drop(&mut self) {
        self.scale.wipe();
    }
}

/// Bits of p and of u for moduli of a size.
fn factor_bits(modulus_bits: u64) -> (u64, u64) {
    let p_bits = modulus_bits / 3;
    (p_bits, p_bits / 2 + 1)
}

/// Messages have a magnitude below 2 to this power: a quarter of the least p.
fn message_bits(p_bits: u64) -> u64 {
    p_bits - 2
}

impl OkamotoUchiyama {
    /// With moduli of `modulus_bits` bits: a multiple of 3 in [`MIN_MODULUS_BITS`]`..=`[`MAX_MODULUS_BITS`], or one or two
    /// bits more, which go to q.
    ///
    /// # Errors
    /// [`SchemeError::ModulusBits`].
    pub fn try_new(modulus_bits: u64) -> Result<Self, SchemeError> {
        Self::with_least(modulus_bits, MIN_MODULUS_BITS)
    }

    /// With moduli down to 240 bits, which are factored in a moment: for fast tests only.
    ///
    /// # Errors
    /// [`SchemeError::ModulusBits`].
    pub fn insecure_for_tests(modulus_bits: u64) -> Result<Self, SchemeError> {
        Self::with_least(modulus_bits, MIN_INSECURE_BITS)
    }

    fn with_least(bits: u64, min: u64) -> Result<Self, SchemeError> {
        let max = MAX_MODULUS_BITS;
        if bits.is_even() && (min..=max).contains(&bits) {
            Ok(Self { modulus_bits: bits, arithmetic: Arithmetic::default() })
        } else {
            Err(SchemeError::ModulusBits { bits, min, max })
        }
    }

    /// The same with another arithmetic.
    #[must_use]
    pub fn with_arithmetic(self, arithmetic: Arithmetic) -> Self {
        Self { arithmetic, ..self }
    }

    /// Bits of the messages' magnitudes.
    pub fn message_bits(&self) -> u64 {
        message_bits(factor_bits(self.modulus_bits).0)
    }
}

impl AdditiveScheme for OkamotoUchiyama {
    type PublicKey = PublicKey;
    type SecretKey = SecretKey;
    type Ciphertext = Ciphertext;

    fn generate_keys(&self, randomness: &Stream) -> Result<SecretKey, SchemeError> {
        let (p_bits, _) = factor_bits(self.modulus_bits);
        let q_bits = self.modulus_bits - 2 * p_bits;
        let refused = |error: PrimeBitsError| SchemeError::ModulusBits {
            bits: self.modulus_bits,
            min: 3 * error.min,
            max: 3 * error.max,
        };
        let mut attempt = 0;
        loop {
            let stream = randomness.item(attempt);
            attempt += 1;
            let (p, q) = rayon::join(
                || proven_prime(p_bits, &stream.derive("p")),
                || proven_prime(q_bits, &stream.derive("q")),
            );
            let (p, q) = (p.map_err(refused)?, q.map_err(refused)?);
            // Two high bits set are too few for three factors: the product may be a bit short.
            if (p.value() * p.value() * q.value()).bits() != self.modulus_bits {
                continue;
            }
            // The proof of p rests on a prime factor of p - 1 beyond its root.
            let Some(order) = p.chain().nth(1).map(|order| SecretUint::new(order.clone())) else { continue };
            let modulus = p.value() * p.value() * q.value();
            let seed = uniform::below(&modulus, &mut stream.derive("generator").rng());
            let parts = (p.into_value(), q.into_value(), order);
            if let Some(key) = SecretKey::try_new(parts, &seed, self.arithmetic) {
                return Ok(key);
            }
        }
    }

    fn public_key<'k>(&self, key: &'k SecretKey) -> &'k PublicKey {
        key.public()
    }

    fn plaintext_modulus<'k>(&self, key: &'k PublicKey) -> &'k BigUint {
        key.modulus()
    }

    fn message_bound(&self) -> Option<BigUint> {
        Some((BigUint::one() << self.message_bits()) - 1u8)
    }

    fn opening_modulus<'k>(&self, key: &'k SecretKey) -> &'k BigUint {
        &key.p
    }

    fn encrypt(
        &self,
        key: &PublicKey,
        residues: &[BigUint],
        randomness: &Stream,
    ) -> Result<Vec<Ciphertext>, SchemeError> {
        check_residues(key.modulus(), residues)?;
        Ok(in_shares(residues.len(), SHARE, |items| {
            let masks = key.masks(items.clone(), randomness);
            ciphertexts(key.0.ring.multiply(&key.message_powers(&residues[items]), &masks))
        }))
    }

    /// Every message is found, whatever its magnitude, but only as one modulo p.
    fn decrypt(&self, key: &SecretKey, ciphertexts: &[Ciphertext]) -> Result<Vec<BigUint>, SchemeError> {
        let modulus = key.public.modulus();
        let residue = |message: &BigUint| match centred(message, &key.p).into_parts() {
            (Sign::Minus, magnitude) => modulus - magnitude,
            (_, magnitude) => magnitude,
        };
        Ok(in_shares(ciphertexts.len(), SHARE, |items| {
            let values = key.public.0.ring.write(&ciphertexts[items]);
            let powers = key.square.power(&key.square.read(&values.iter().collect::<Vec<_>>()), &key.order);
            let quotients = key.square.quotients(&powers);
            let zeros = vec![BigUint::ZERO; quotients.len()];
            let messages = key.field.scaled_differences(&quotients, &zeros, &key.scale);
            messages.iter().map(residue).collect()
        }))
    }

    fn add(
        &self,
        key: &PublicKey,
        left: &[Ciphertext],
        right: &[Ciphertext],
    ) -> Result<Vec<Ciphertext>, SchemeError> {
        in_pool(|| {
            check_lengths(left.len(), right.len())?;
            Ok(ciphertexts(key.0.ring.multiply(left, right)))
        })
    }

    fn add_plain(
        &self,
        key: &PublicKey,
        left: &[Ciphertext],
        residues: &[BigUint],
    ) -> Result<Vec<Ciphertext>, SchemeError> {
        in_pool(|| {
            check_lengths(left.len(), residues.len())?;
            let residues: Vec<_> = residues.iter().map(|residue| residue % key.modulus()).collect();
            Ok(ciphertexts(key.0.ring.multiply(left, &key.message_powers(&residues))))
        })
    }

    fn combine(
        &self,
        key: &PublicKey,
        inputs: &[Ciphertext],
        rows: &Rows<'_>,
    ) -> Result<Vec<Ciphertext>, SchemeError> {
        residue::combine(&key.0.ring, key.modulus(), inputs, rows, true)
    }

    fn multiples(
        &self,
        key: &PublicKey,
        ciphertext: &Ciphertext,
        factors: &[&BigUint],
        bits: u64,
    ) -> Result<Vec<Ciphertext>, SchemeError> {
        Ok(residue::multiples(&key.0.ring, ciphertext, factors, bits))
    }

    fn rerandomise(
        &self,
        key: &PublicKey,
        ciphertexts: &[Ciphertext],
        randomness: &Stream,
    ) -> Vec<Ciphertext> {
        in_pool(|| {
            let masks = key.masks(0..ciphertexts.len(), randomness);
            residue::ciphertexts(key.0.ring.multiply(ciphertexts, &masks))
        })
    }

    fn public_key_bytes(&self) -> usize {
        3 * whole_bytes(self.modulus_bits)
    }

    fn ciphertext_bytes(&self) -> usize {
        whole_bytes(self.modulus_bits)
    }

    fn write_public_key(&self, key: &PublicKey, out: &mut Vec<u8>) {
        let (generator, mask) = key.generators();
        for number in [key.modulus(), generator, mask] {
            write_padded(number, whole_bytes(self.modulus_bits), out);
        }
    }

    /// Checks what can be checked without the factors: n is odd, of exactly this size, without a prime factor below 2^16,
    /// and no square; g and h are units other than 1.
    fn read_public_key(&self, bytes: &[u8]) -> Result<PublicKey, SchemeError> {
        let expected = self.public_key_bytes();
        if bytes.len() != expected {
            return Err(SchemeError::Length { what: "public key", bytes: bytes.len(), expected });
        }
        let mut numbers = bytes.chunks_exact(whole_bytes(self.modulus_bits)).map(BigUint::from_bytes_be);
        let mut next = || numbers.next().unwrap_or_default();
        let (modulus, generator, mask) = (next(), next(), next());
        let refused = |index| SchemeError::Range { what: "number of the public key", index };
        if modulus.bits() != self.modulus_bits || small_factor(&modulus).is_some() || is_square(&modulus) {
            return Err(refused(0));
        }
        let bad = |number: &BigUint| number >= &modulus || number.is_one() || !number.gcd(&modulus).is_one();
        if let Some(at) = [&generator, &mask].into_iter().position(bad) {
            return Err(refused(at + 1));
        }
        PublicKey::try_new(modulus, generator, mask, self.arithmetic).ok_or(refused(0))
    }

    fn write_ciphertexts(&self, key: &PublicKey, ciphertexts: &[Ciphertext], out: &mut Vec<u8>) {
        residue::write(&key.0.ring, ciphertexts, self.ciphertext_bytes(), out);
    }

    fn read_ciphertexts(&self, key: &PublicKey, bytes: &[u8]) -> Result<Vec<Ciphertext>, SchemeError> {
        residue::read(&key.0.ring, key.modulus(), bytes, self.ciphertext_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(bits: u64) -> (OkamotoUchiyama, SecretKey) {
        let scheme = OkamotoUchiyama::insecure_for_tests(bits).unwrap();
        let key = scheme.generate_keys(&Stream::seeded(bits)).unwrap();
        (scheme, key)
    }

    #[test]
    fn a_key_is_what_the_paper_says() {
        for bits in [240, 250, 300, 510] {
            let (_, key) = key(bits);
            let (p, q) = key.factors();
            let n = key.public().modulus();
            assert_eq!((p * p * q, n.bits()), (n.clone(), bits));
            let ((g, h), square) = (key.public().generators(), p * p);
            assert_eq!(*h, g.modpow(n, n));
            // g has order up modulo p^2, and h order u.
            assert_eq!((p - 1u8) % &*key.order, BigUint::ZERO);
            assert!(g.modpow(&(p * &*key.order), &square).is_one());
            assert!(!g.modpow(&key.order, &square).is_one() && !g.modpow(p, &square).is_one());
            assert!(h.modpow(&key.order, &square).is_one());
        }
    }

    #[test]
    fn decryption_is_the_papers_with_p_minus_1() {
        let (scheme, key) = key(256);
        let (p, _) = key.factors();
        let square = p * p;
        let log = |x: &BigUint| (x.modpow(&(p - 1u8), &square) - 1u8) / p;
        let messages: Vec<BigUint> = [0_u32, 1, 77, 1 << 30].map(BigUint::from).into();
        let encrypted = scheme.encrypt(key.public(), &messages, &Stream::seeded(1)).unwrap();
        for (ciphertext, message) in encrypted.iter().zip(&messages) {
            let value = key.public.0.ring.write(std::slice::from_ref(&ciphertext.0)).pop().unwrap();
            let scale = log(key.public().generators().0).modinv(p).unwrap();
            assert_eq!(log(&value) * scale % p, *message);
        }
    }

    #[test]
    fn messages_wrap_around_at_p() {
        let (scheme, key) = key(240);
        let n = key.public().modulus();
        let p = key.factors().0;
        let half = p / 2u8;
        let messages = [p.clone(), p + 3u8, n - p, half.clone(), &half + 1u8];
        let opened =
            scheme.decrypt(&key, &scheme.encrypt(key.public(), &messages, &Stream::seeded(1)).unwrap());
        assert_eq!(opened.unwrap(), [BigUint::ZERO, 3u8.into(), BigUint::ZERO, half.clone(), n - half]);
    }

    #[test]
    fn sizes_are_checked() {
        for bits in [0, 238, 766, 769, 12_290] {
            let expected = Err(SchemeError::ModulusBits { bits, min: 768, max: 12_288 });
            assert_eq!(OkamotoUchiyama::try_new(bits), expected);
        }
        assert!(OkamotoUchiyama::try_new(2048).is_ok());
    }

    #[test]
    fn public_keys_from_strangers_are_checked() {
        let (scheme, key) = key(240);
        let mut good = Vec::new();
        scheme.write_public_key(key.public(), &mut good);
        assert!(scheme.read_public_key(&good).unwrap() == *key.public());
        let refused = |index| Some(SchemeError::Range { what: "number of the public key", index });
        let with = |index: usize, number: &BigUint| {
            let mut bytes = good.clone();
            let mut part = Vec::new();
            write_padded(number, 30, &mut part);
            bytes[30 * index..30 * (index + 1)].copy_from_slice(&part);
            scheme.read_public_key(&bytes).err()
        };
        let n = key.public().modulus();
        assert_eq!(with(0, &(n - 1u8)), refused(0));
        assert_eq!(with(0, &(n >> 1u8)), refused(0));
        for index in [1, 2] {
            for bad in [&BigUint::ZERO, &BigUint::one(), key.factors().0, n] {
                assert_eq!(with(index, bad), refused(index));
            }
        }
        let length = |bytes| Some(SchemeError::Length { what: "public key", bytes, expected: 90 });
        assert_eq!(scheme.read_public_key(&good[1..]).err(), length(89));
    }
}
