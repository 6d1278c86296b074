//! Ciphertexts of all three schemes, and how they and keys are written and read.

use std::fmt;

use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use rayon::prelude::*;

use super::{Context, PublicKey, RlweError, RotationKeys, SwitchingKey};
use crate::math::{
    pool::in_pool,
    rns::{Basis, Polynomial, polynomial::Domain},
    sampling::uniform,
};

/// What a uniform polynomial is expanded from: it is public, and takes the polynomial's place where that is written.
pub type Seed = [u8; 32];

/// The uniform polynomial of a seed.
pub(super) fn expand(basis: &Basis, seed: Seed) -> Polynomial {
    uniform(basis, &mut ChaCha20Rng::from_seed(seed))
}

/// What a scheme keeps beside a ciphertext's polynomials.
pub trait Tag: Copy + PartialEq + fmt::Debug + Send + Sync {
    /// As 64 bits.
    fn to_word(self) -> u64;
    /// From 64 bits that may be anything; `None` when no ciphertext has them.
    fn from_word(word: u64) -> Option<Self>;
}

/// BGV and BFV keep nothing beside the polynomials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Untagged;

impl Tag for Untagged {
    fn to_word(self) -> u64 {
        0
    }

    fn from_word(word: u64) -> Option<Self> {
        (word == 0).then_some(Self)
    }
}

/// An encrypted message: polynomials in values modulo the primes of its level.
#[derive(Debug, Clone, PartialEq)]
pub struct Ciphertext<T> {
    pub(in crate::scheme) parts: Vec<Polynomial>,
    pub(in crate::scheme) level: usize,
    pub(in crate::scheme) tag: T,
    /// of the second part, as long as nothing was computed
    seed: Option<Seed>,
    /// the fingerprint of the context that it was made in
    context: u64,
}

impl<T: Copy> Ciphertext<T> {
    pub(in crate::scheme) fn new(context: &Context, parts: Vec<Polynomial>, level: usize, tag: T) -> Self {
        Self { parts, level, tag, seed: None, context: context.fingerprint() }
    }

    pub(in crate::scheme) fn seeded(
        context: &Context,
        parts: [Polynomial; 2],
        level: usize,
        tag: T,
        seed: Seed,
    ) -> Self {
        Self { seed: Some(seed), ..Self::new(context, parts.into(), level, tag) }
    }

    /// Other polynomials at the same level.
    pub(in crate::scheme) fn with(&self, parts: Vec<Polynomial>) -> Self {
        Self { parts, level: self.level, tag: self.tag, seed: None, context: self.context }
    }

    /// Primes that are left.
    pub fn level(&self) -> usize {
        self.level
    }

    /// Polynomials: two, or three after a product that was not relinearised.
    pub fn parts(&self) -> usize {
        self.parts.len()
    }

    /// Whether it was made in this context.
    pub(in crate::scheme) fn check(
        &self,
        operation: &'static str,
        context: &Context,
    ) -> Result<(), RlweError> {
        if self.context == context.fingerprint() { Ok(()) } else { Err(RlweError::Context { operation }) }
    }

    /// Whether it was made in this context and its level is this one or a higher one.
    pub(in crate::scheme) fn check_level(
        &self,
        operation: &'static str,
        context: &Context,
        level: usize,
    ) -> Result<(), RlweError> {
        self.check(operation, context)?;
        if (1..=self.level).contains(&level) {
            return Ok(());
        }
        Err(RlweError::Level { operation, level: self.level, needed: level.max(1) })
    }
}

/// Bytes before the residues: number of parts, level, tag, and whether a seed follows.
const HEADER_BYTES: usize = 1 + 1 + 8 + 1;

impl Context {
    /// Bytes of a written ciphertext of two parts.
    pub fn ciphertext_bytes(&self, level: usize, seeded: bool) -> usize {
        let rows = packed_bytes(&self.basis(level));
        HEADER_BYTES + if seeded { rows + size_of::<Seed>() } else { 2 * rows }
    }

    /// Writes a ciphertext: residues in as many bits as their primes have, the second half as a seed where it is one.
    pub fn write_ciphertext<T: Tag>(&self, ciphertext: &Ciphertext<T>, out: &mut Vec<u8>) {
        let basis = self.basis(ciphertext.level);
        // Parameters have far fewer than 256 primes, and ciphertexts at most three parts.
        out.push(u8::try_from(ciphertext.parts.len()).unwrap_or(u8::MAX));
        out.push(u8::try_from(ciphertext.level).unwrap_or(u8::MAX));
        out.extend(ciphertext.tag.to_word().to_le_bytes());
        out.push(u8::from(ciphertext.seed.is_some()));
        for (index, part) in ciphertext.parts.iter().enumerate() {
            match ciphertext.seed {
                Some(seed) if index == 1 => out.extend(seed),
                _ => pack(&basis, part, extended(out, packed_bytes(&basis))),
            }
        }
    }

    /// Reads one ciphertext off the front of bytes that may be anything.
    ///
    /// # Errors
    /// [`RlweError::Bytes`] when they are no ciphertext of these parameters.
    pub fn read_ciphertext<T: Tag>(&self, bytes: &mut &[u8]) -> Result<Ciphertext<T>, RlweError> {
        const WHAT: &str = "a ciphertext";
        let [parts, level, tag @ .., seeded] = *take::<HEADER_BYTES>(bytes, WHAT)?;
        let (parts, level) = (usize::from(parts), usize::from(level));
        let bad = |why| RlweError::Bytes { what: WHAT, why };
        if !(2..=3).contains(&parts) || (seeded == 1 && parts != 2) || seeded > 1 {
            return Err(bad("it has neither two parts nor three"));
        }
        if !(self.lowest_level()..=self.parameters().levels()).contains(&level) {
            return Err(bad("its level does not exist"));
        }
        let tag = T::from_word(u64::from_le_bytes(tag)).ok_or(bad("its scale cannot be"))?;
        let basis = self.basis(level);
        let first = unpack(&basis, bytes, WHAT)?;
        if seeded == 1 {
            let seed = *take::<{ size_of::<Seed>() }>(bytes, WHAT)?;
            return Ok(Ciphertext::seeded(self, [first, expand(&basis, seed)], level, tag, seed));
        }
        let others = (1..parts).map(|_| unpack(&basis, bytes, WHAT)).collect::<Result<Vec<_>, _>>()?;
        Ok(Ciphertext::new(self, [vec![first], others].concat(), level, tag))
    }

    /// Bytes of a written public key.
    pub fn public_key_bytes(&self) -> usize {
        packed_bytes(self.parameters().modulus()) + size_of::<Seed>()
    }

    /// Writes a public key, its uniform half as a seed.
    pub fn write_public_key(&self, key: &PublicKey, out: &mut Vec<u8>) {
        let ([body, _], basis) = (key.parts(), self.parameters().modulus());
        pack(basis, body, extended(out, packed_bytes(basis)));
        out.extend(key.seed());
    }

    /// Reads a public key off the front of bytes that may be anything.
    ///
    /// # Errors
    /// [`RlweError::Bytes`]
    pub fn read_public_key(&self, bytes: &mut &[u8]) -> Result<PublicKey, RlweError> {
        const WHAT: &str = "a public key";
        let basis = self.parameters().modulus();
        let body = unpack(basis, bytes, WHAT)?;
        let seed = *take::<{ size_of::<Seed>() }>(bytes, WHAT)?;
        Ok(PublicKey::from_parts([body, expand(basis, seed)], seed))
    }

    /// Bytes of a written key for switching.
    pub fn switching_key_bytes(&self) -> usize {
        let levels = self.parameters().levels();
        self.parameters().digits(levels).len() * (packed_bytes(&self.extended(levels)) + size_of::<Seed>())
    }

    /// Writes a key for switching, its uniform halves as seeds.
    pub fn write_switching_key(&self, key: &SwitchingKey, out: &mut Vec<u8>) {
        in_pool(|| self.put_switching_key(key, extended(out, self.switching_key_bytes())));
    }

    fn put_switching_key(&self, key: &SwitchingKey, out: &mut [u8]) {
        let basis = self.extended(self.parameters().levels());
        let packed = packed_bytes(&basis);
        let digits = out.par_chunks_exact_mut(packed + size_of::<Seed>()).zip(key.digits()).zip(key.seeds());
        digits.for_each(|((out, [body, _]), seed)| {
            let (out, end) = out.split_at_mut(packed);
            pack(&basis, body, out);
            end.copy_from_slice(seed);
        });
    }

    /// Reads a key for switching off the front of bytes that may be anything.
    ///
    /// # Errors
    /// [`RlweError::Bytes`]
    pub fn read_switching_key(&self, bytes: &mut &[u8]) -> Result<SwitchingKey, RlweError> {
        const WHAT: &str = "a key for switching";
        let own = split_off(bytes, self.switching_key_bytes(), WHAT)?;
        let basis = self.extended(self.parameters().levels());
        let digit = |mut bytes: &[u8]| {
            let body = unpack(&basis, &mut bytes, WHAT)?;
            let seed = *take::<{ size_of::<Seed>() }>(&mut bytes, WHAT)?;
            Ok(([body, expand(&basis, seed)], seed))
        };
        let digits = own.par_chunks_exact(packed_bytes(&basis) + size_of::<Seed>()).map(digit);
        // All of them, and then the first mistake: the same bytes give the same one.
        let digits = in_pool(|| digits.collect::<Vec<Result<_, RlweError>>>());
        Ok(SwitchingKey::from_digits(digits.into_iter().collect::<Result<_, _>>()?))
    }

    /// Bytes of so many written keys for automorphisms.
    pub fn rotation_keys_bytes(&self, count: usize) -> usize {
        count * (self.switching_key_bytes() + size_of::<u32>()) + size_of::<u32>()
    }

    /// Writes keys for automorphisms.
    pub fn write_rotation_keys(&self, keys: &RotationKeys, out: &mut Vec<u8>) {
        // At most one a power of X, of which there are fewer than 2^17.
        let word = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
        out.extend(word(keys.keys.len()));
        let bytes = size_of::<u32>() + self.switching_key_bytes();
        let keys: Vec<_> = keys.keys.iter().collect();
        let out = extended(out, keys.len() * bytes);
        in_pool(|| {
            out.par_chunks_exact_mut(bytes).zip(keys).for_each(|(out, (power, (_, key)))| {
                let (start, out) = out.split_at_mut(size_of::<u32>());
                start.copy_from_slice(&word(*power));
                self.put_switching_key(key, out);
            });
        });
    }

    /// Reads keys for automorphisms off the front of bytes that may be anything.
    ///
    /// # Errors
    /// [`RlweError::Bytes`]
    pub fn read_rotation_keys(&self, bytes: &mut &[u8]) -> Result<RotationKeys, RlweError> {
        const WHAT: &str = "keys for rotations";
        let word = |bytes: &mut &[u8]| Ok(u32::from_le_bytes(*take::<4>(bytes, WHAT)?) as usize);
        let count = word(bytes)?;
        let each = size_of::<u32>() + self.switching_key_bytes();
        let own = split_off(bytes, count.saturating_mul(each), WHAT)?;
        let key = |mut bytes: &[u8]| {
            let power = word(&mut bytes)?;
            if power.is_multiple_of(2) || power >= 2 * self.parameters().degree() {
                return Err(RlweError::Bytes { what: WHAT, why: "an automorphism does not exist" });
            }
            Ok((power, (self.automorphism(power), self.read_switching_key(&mut bytes)?)))
        };
        let keys = in_pool(|| own.par_chunks_exact(each).map(key).collect::<Vec<_>>());
        Ok(RotationKeys { keys: keys.into_iter().collect::<Result<_, _>>()? })
    }
}

/// So many more bytes at the end, which are yet to be written.
fn extended(out: &mut Vec<u8>, bytes: usize) -> &mut [u8] {
    let start = out.len();
    out.resize(start + bytes, 0);
    &mut out[start..]
}

/// So many bytes off the front.
fn split_off<'b>(bytes: &mut &'b [u8], count: usize, what: &'static str) -> Result<&'b [u8], RlweError> {
    let early = RlweError::Bytes { what, why: "it ends too early" };
    let (own, rest) = bytes.split_at_checked(count).ok_or(early)?;
    *bytes = rest;
    Ok(own)
}

fn take<'b, const COUNT: usize>(
    bytes: &mut &'b [u8],
    what: &'static str,
) -> Result<&'b [u8; COUNT], RlweError> {
    let (taken, rest) =
        bytes.split_first_chunk().ok_or(RlweError::Bytes { what, why: "it ends too early" })?;
    *bytes = rest;
    Ok(taken)
}

/// Bytes of a polynomial's residues.
fn packed_bytes(basis: &Basis) -> usize {
    // Degrees are multiples of 8, so every row ends with a byte.
    basis.primes().map(|prime| basis.degree() / 8 * prime.bits() as usize).sum()
}

/// Residues one after the other, each in as many bits as its prime has, the lowest first.
fn pack(basis: &Basis, polynomial: &Polynomial, mut out: &mut [u8]) {
    for (row, prime) in polynomial.rows().zip(basis.primes()) {
        let bits = prime.bits();
        let own;
        (own, out) = out.split_at_mut(basis.degree() / 8 * bits as usize);
        let (words, end) = own.as_chunks_mut();
        let mut words = words.iter_mut();
        let (mut word, mut filled) = (0_u128, 0);
        for residue in row {
            word |= u128::from(*residue) << filled;
            filled += bits;
            if filled >= u64::BITS {
                #[expect(clippy::cast_possible_truncation, reason = "the lowest 64 bits")]
                let low = word as u64;
                words.next().into_iter().for_each(|out| *out = low.to_le_bytes());
                word >>= u64::BITS;
                filled -= u64::BITS;
            }
        }
        end.copy_from_slice(&word.to_le_bytes()[..end.len()]);
    }
}

fn unpack(basis: &Basis, bytes: &mut &[u8], what: &'static str) -> Result<Polynomial, RlweError> {
    let mut packed = split_off(bytes, packed_bytes(basis), what)?;
    let mut polynomial = basis.unset(Domain::Values);
    for (row, prime) in polynomial.rows_mut().zip(basis.primes()) {
        let bits = prime.bits();
        let own;
        (own, packed) = packed.split_at(basis.degree() / 8 * bits as usize);
        let (words, end) = own.as_chunks();
        let mut last = [0; size_of::<u64>()];
        last[..end.len()].copy_from_slice(end);
        let mut words = words.iter().chain(std::iter::once(&last)).map(|word| u64::from_le_bytes(*word));
        let mask = (1_u128 << bits) - 1;
        let (mut word, mut filled) = (0_u128, 0);
        for residue in row {
            if filled < bits {
                word |= u128::from(words.next().unwrap_or_default()) << filled;
                filled += u64::BITS;
            }
            #[expect(clippy::cast_possible_truncation, reason = "below 2^bits")]
            let low = (word & mask) as u64;
            *residue = low;
            word >>= bits;
            filled -= bits;
            if *residue >= prime.value() {
                return Err(RlweError::Bytes { what, why: "a residue is not below its prime" });
            }
        }
    }
    Ok(polynomial)
}
