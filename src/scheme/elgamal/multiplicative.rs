//! ElGamal's cryptosystem modulo a safe prime, with products of messages.
//!
//! Source: ElGamal, IEEE Transactions on Information Theory 31, 1985. Modulo a prime p = 2q + 1 with q prime and 3 modulo 4
//! the quadratic residues are a group of prime order q, and of x and -x exactly one is among them. So a residue is written
//! as its magnitude, the lesser of x and p - x; the group is that of the numbers 1..=q with the magnitude of
//! the product, the "signed quadratic residues" (Hofheinz and Kiltz, Crypto 2009, modulo composites). Every number in
//! 1..=q is a message, and stands for whichever of m and p - m is a quadratic residue. With generator g and public
//! key h = g^x a message m becomes `(g^r, m h^r)` for a random r, all of them magnitudes.
//!
//! # Groups
//! The primes are those of RFC 7919 (ffdhe), with g = 2. The exponents x and r are as short as its section 5.2 permits.
//!
//! # Security
//! Semantically secure under the decisional Diffie-Hellman assumption in the quadratic residues and the assumption that
//! short exponents cannot be told from others (Koshiba and Kurosawa, PKC 2004), against somebody who sees
//! public keys and ciphertexts; magnitudes can be turned into residues and back by anybody and so change nothing. Malleable
//! by design. Whether secrets show in the time depends on the [arithmetic](crate::math::ring).
//!
//! # Bytes
//! Big-endian numbers in 1..=q of the length of p in whole bytes: h for a public key, `g^r` and then `m h^r` for a
//! ciphertext. All such numbers are elements of the group. The identity 1 is refused as a public key; as a part of a
//! ciphertext it is an element like others, as the power with exponent 0 has it.

use std::{borrow::Borrow, fmt, sync::Arc};

use num_bigint::BigUint;
use num_traits::One;

use crate::{
    math::{
        ring::{Arithmetic, Element, Powers, Ring},
        stream::Stream,
        uniform,
        wipe::SecretUint,
    },
    scheme::{
        additive::{SchemeError, check_lengths},
        multiplicative::MultiplicativeScheme,
        residue::{whole_bytes, write_padded},
        security::factoring_security_bits,
    },
};

/// The generator of every group here: 2 is a quadratic residue modulo primes that are 7 modulo 8.
const GENERATOR: u32 = 2;
/// A safe prime that is 7 modulo 8, the greatest below 2^64.
const INSECURE_PRIME: u64 = 18_446_744_073_709_543_127;

/// A safe prime of RFC 7919, appendix A.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SafePrime {
    /// 2048 bits.
    Ffdhe2048,
    /// 3072 bits.
    Ffdhe3072,
    /// 4096 bits.
    Ffdhe4096,
}

impl SafePrime {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ffdhe2048, Self::Ffdhe3072, Self::Ffdhe4096];

    /// Bits of the prime.
    pub fn bits(self) -> u64 {
        match self {
            Self::Ffdhe2048 => 2048,
            Self::Ffdhe3072 => 3072,
            Self::Ffdhe4096 => 4096,
        }
    }

    /// Bits of secret exponents: the least that RFC 7919, section 5.2, permits.
    pub fn exponent_bits(self) -> u64 {
        match self {
            Self::Ffdhe2048 => 225,
            Self::Ffdhe3072 => 275,
            Self::Ffdhe4096 => 325,
        }
    }

    /// Security in bits. Discrete logarithms modulo a prime are as hard as factoring a modulus of its size: NIST SP 800-57
    /// part 1 has both in one row. Exponents are long enough not to lower it.
    pub fn security_bits(self) -> u32 {
        factoring_security_bits(self.bits())
    }

    /// The prime: `2^b - 2^(b-64) + (floor(2^(b-130) e) + X) 2^64 - 1` for b bits, with the X of RFC 7919.
    pub fn value(self) -> BigUint {
        let (bits, offset) = match self {
            Self::Ffdhe2048 => (2048, 560_316_u32),
            Self::Ffdhe3072 => (3072, 2_625_351),
            Self::Ffdhe4096 => (4096, 5_736_041),
        };
        let one = BigUint::one;
        let middle = euler_digits(bits - 130) + offset;
        (one() << bits) - (one() << (bits - 64)) + (middle << 64_u32) - 1_u32
    }
}

/// `floor(2^bits e)`, from the series of inverse factorials as one fraction.
///
/// What is left out is less than 2^-64 times the last place, so it could change the result only where 64 binary digits after
/// it are ones; that they are not is part of the test against the published primes.
fn euler_digits(bits: u64) -> BigUint {
    let (mut numerator, mut denominator, mut term) = (BigUint::one(), BigUint::one(), 0_u32);
    while denominator.bits() <= bits + 64 {
        term += 1;
        numerator = numerator * term + 1_u32;
        denominator *= term;
    }
    (numerator << bits) / denominator
}

/// The cryptosystem in one group.
pub struct MultiplicativeElGamal {
    /// modulo p
    ring: Ring,
    /// q, the order of the group and its greatest number
    order: BigUint,
    /// Exponents are below this.
    exponent_bound: BigUint,
    /// of g
    generator: Powers,
}

/// A public key: h, with a table of its powers that clones share.
#[derive(Clone)]
pub struct PublicKey {
    value: BigUint,
    powers: Arc<Powers>,
}

/// A secret key: the exponent x with h = g^x. No `Debug`, no `Clone`; wiped when dropped, with the gaps that
/// [`wipe`](crate::math::wipe) tells of.
pub struct SecretKey {
    public: PublicKey,
    exponent: SecretUint,
}

/// An encrypted message: two numbers of the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ciphertext {
    /// g^r
    mask: BigUint,
    /// m h^r
    body: BigUint,
}

impl PublicKey {
    /// h.
    pub fn value(&self) -> &BigUint {
        &self.value
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({:#x})", self.value)
    }
}

impl SecretKey {
    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }
}

impl Ciphertext {
    /// g^r and m h^r.
    pub fn parts(&self) -> (&BigUint, &BigUint) {
        (&self.mask, &self.body)
    }
}

impl MultiplicativeElGamal {
    /// The cryptosystem modulo a prime.
    ///
    /// # Errors
    /// None that can happen: [`SchemeError::Range`] would tell of an even modulus.
    pub fn try_new(prime: SafePrime, arithmetic: Arithmetic) -> Result<Self, SchemeError> {
        Self::modulo(prime.value(), prime.exponent_bits(), arithmetic)
    }

    /// The cryptosystem modulo a prime of 64 bits, where discrete logarithms take moments: for fast tests only.
    ///
    /// # Errors
    /// As for [`try_new`](Self::try_new).
    pub fn insecure_for_tests(arithmetic: Arithmetic) -> Result<Self, SchemeError> {
        Self::modulo(INSECURE_PRIME.into(), 64, arithmetic)
    }

    /// For a safe prime that is 7 modulo 8.
    fn modulo(prime: BigUint, exponent_bits: u64, arithmetic: Arithmetic) -> Result<Self, SchemeError> {
        let order: BigUint = &prime >> 1;
        let refused = SchemeError::Range { what: "modulus", index: 0 };
        let ring = Ring::modulo(prime, arithmetic).ok_or(refused)?;
        let exponent_bound = (BigUint::one() << exponent_bits).min(order.clone());
        let generator = table(&ring, &GENERATOR.into(), &exponent_bound);
        Ok(Self { ring, order, exponent_bound, generator })
    }

    /// The key with public half `value`.
    fn public(&self, value: BigUint) -> PublicKey {
        let powers = Arc::new(table(&self.ring, &value, &self.exponent_bound));
        PublicKey { value, powers }
    }

    /// g^r and h^r for `count` random r, the i-th from `randomness.item(i)`.
    fn masks(&self, key: &PublicKey, count: usize, randomness: &Stream) -> [Vec<Element>; 2] {
        let random =
            |index| SecretUint::new(uniform::below(&self.exponent_bound, &mut randomness.item(index).rng()));
        let exponents: Vec<_> = (0..count as u64).map(random).collect();
        let exponents: Vec<&BigUint> = exponents.iter().map(|exponent| &**exponent).collect();
        [&self.generator, &*key.powers]
            .map(|powers| self.ring.power_of_fixed(powers, &exponents, self.exponent_bound.bits()))
    }

    fn read(&self, numbers: impl IntoIterator<Item = impl Borrow<BigUint>>) -> Vec<Element> {
        let numbers: Vec<_> = numbers.into_iter().collect();
        self.ring.read(&numbers.iter().map(Borrow::borrow).collect::<Vec<_>>())
    }

    /// The magnitudes of residues.
    fn magnitudes(&self, elements: &[Element]) -> Vec<BigUint> {
        self.ring.write(elements).into_iter().map(|residue| self.magnitude(residue)).collect()
    }

    fn magnitude(&self, residue: BigUint) -> BigUint {
        if residue > self.order { self.ring.modulus() - residue } else { residue }
    }

    fn ciphertexts(&self, masks: &[Element], bodies: &[Element]) -> Vec<Ciphertext> {
        let (masks, bodies) = (self.magnitudes(masks), self.magnitudes(bodies));
        masks.into_iter().zip(bodies).map(|(mask, body)| Ciphertext { mask, body }).collect()
    }

    /// Masks and bodies.
    fn elements(&self, ciphertexts: &[Ciphertext]) -> [Vec<Element>; 2] {
        [
            self.read(ciphertexts.iter().map(|ciphertext| &ciphertext.mask)),
            self.read(ciphertexts.iter().map(|ciphertext| &ciphertext.body)),
        ]
    }

    fn is_element(&self, number: &BigUint) -> bool {
        *number != BigUint::ZERO && *number <= self.order
    }

    /// Bytes of a number of the group.
    fn number_bytes(&self) -> usize {
        whole_bytes(self.ring.modulus().bits())
    }
}

impl MultiplicativeScheme for MultiplicativeElGamal {
    type PublicKey = PublicKey;
    type SecretKey = SecretKey;
    type Ciphertext = Ciphertext;

    fn generate_keys(&self, randomness: &Stream) -> Result<SecretKey, SchemeError> {
        let choices = &self.exponent_bound - 1_u32;
        let exponent = SecretUint::new(uniform::below(&choices, &mut randomness.rng()) + 1_u32);
        let powers = self.ring.power_of_fixed(&self.generator, &[&exponent], self.exponent_bound.bits());
        let value = self.magnitudes(&powers).pop().unwrap_or_default();
        Ok(SecretKey { public: self.public(value), exponent })
    }

    fn public_key<'k>(&self, key: &'k SecretKey) -> &'k PublicKey {
        key.public()
    }

    fn greatest_message(&self) -> &BigUint {
        &self.order
    }

    /// The magnitude of the residue; multiples of p have none.
    fn wrap(&self, product: &BigUint) -> Option<BigUint> {
        let residue = product % self.ring.modulus();
        (residue != BigUint::ZERO).then(|| self.magnitude(residue))
    }

    fn encrypt(
        &self,
        key: &PublicKey,
        messages: &[BigUint],
        randomness: &Stream,
    ) -> Result<Vec<Ciphertext>, SchemeError> {
        if let Some(index) = messages.iter().position(|message| !self.is_element(message)) {
            return Err(SchemeError::Range { what: "message", index });
        }
        let [masks, factors] = self.masks(key, messages.len(), randomness);
        Ok(self.ciphertexts(&masks, &self.ring.multiply(&self.read(messages), &factors)))
    }

    fn decrypt(&self, key: &SecretKey, ciphertexts: &[Ciphertext]) -> Result<Vec<BigUint>, SchemeError> {
        let [masks, bodies] = self.elements(ciphertexts);
        // Inverses of what is public, rather than of their secret powers.
        let inverses = self.ring.invert_vartime(&masks).map_err(|_| SchemeError::NotAUnit { index: 0 })?;
        let factors = self.ring.power(&inverses, &key.exponent);
        Ok(self.magnitudes(&self.ring.multiply(&bodies, &factors)))
    }

    fn multiply(
        &self,
        _key: &PublicKey,
        left: &[Ciphertext],
        right: &[Ciphertext],
    ) -> Result<Vec<Ciphertext>, SchemeError> {
        check_lengths(left.len(), right.len())?;
        let ([masks, bodies], [other_masks, other_bodies]) = (self.elements(left), self.elements(right));
        let masks = self.ring.multiply(&masks, &other_masks);
        Ok(self.ciphertexts(&masks, &self.ring.multiply(&bodies, &other_bodies)))
    }

    fn pow(&self, _key: &PublicKey, ciphertexts: &[Ciphertext], exponent: &BigUint) -> Vec<Ciphertext> {
        // The sign is lost anyway, so the order that counts is q, not p - 1.
        let exponent = exponent % &self.order;
        let [masks, bodies] =
            self.elements(ciphertexts).map(|part| self.ring.power_vartime(&part, &exponent));
        self.ciphertexts(&masks, &bodies)
    }

    fn rerandomise(
        &self,
        key: &PublicKey,
        ciphertexts: &[Ciphertext],
        randomness: &Stream,
    ) -> Vec<Ciphertext> {
        let [masks, bodies] = self.elements(ciphertexts);
        let [fresh, factors] = self.masks(key, ciphertexts.len(), randomness);
        self.ciphertexts(&self.ring.multiply(&masks, &fresh), &self.ring.multiply(&bodies, &factors))
    }

    fn public_key_bytes(&self) -> usize {
        self.number_bytes()
    }

    fn ciphertext_bytes(&self) -> usize {
        2 * self.number_bytes()
    }

    fn write_public_key(&self, key: &PublicKey, out: &mut Vec<u8>) {
        write_padded(&key.value, self.number_bytes(), out);
    }

    fn read_public_key(&self, bytes: &[u8]) -> Result<PublicKey, SchemeError> {
        let expected = self.public_key_bytes();
        if bytes.len() != expected {
            return Err(SchemeError::Length { what: "public key", bytes: bytes.len(), expected });
        }
        let value = BigUint::from_bytes_be(bytes);
        if self.is_element(&value) && !value.is_one() {
            Ok(self.public(value))
        } else {
            Err(SchemeError::NotAnElement { what: "public key", index: 0 })
        }
    }

    fn write_ciphertexts(&self, _key: &PublicKey, ciphertexts: &[Ciphertext], out: &mut Vec<u8>) {
        for number in ciphertexts.iter().flat_map(|ciphertext| [&ciphertext.mask, &ciphertext.body]) {
            write_padded(number, self.number_bytes(), out);
        }
    }

    fn read_ciphertexts(&self, _key: &PublicKey, bytes: &[u8]) -> Result<Vec<Ciphertext>, SchemeError> {
        let expected = self.ciphertext_bytes();
        if !bytes.len().is_multiple_of(expected) {
            return Err(SchemeError::Length { what: "ciphertexts", bytes: bytes.len(), expected });
        }
        let read = |(index, bytes): (usize, &[u8])| {
            let (mask, body) = bytes.split_at(self.number_bytes());
            let (mask, body) = (BigUint::from_bytes_be(mask), BigUint::from_bytes_be(body));
            if self.is_element(&mask) && self.is_element(&body) {
                Ok(Ciphertext { mask, body })
            } else {
                Err(SchemeError::NotAnElement { what: "ciphertext", index })
            }
        };
        bytes.chunks_exact(expected).enumerate().map(read).collect()
    }
}

/// Powers of a number for exponents below a bound.
fn table(ring: &Ring, base: &BigUint, exponent_bound: &BigUint) -> Powers {
    let base = ring.read(&[base]).pop().unwrap_or_else(|| ring.one());
    ring.powers_of(&base, exponent_bound.bits())
}

#[cfg(test)]
mod tests;
