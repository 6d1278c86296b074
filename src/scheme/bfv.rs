//! BFV: exact arithmetic on vectors of residues modulo a prime t, without levels.
//!
//! Brakerski (CRYPTO 2012), Fan and Vercauteren (IACR ePrint 2012/144). The phase of a ciphertext is `Q m / t + e`, with the message m in
//! the highest digits, so that a product divides by Q / t and errors grow the same in every product: the modulus need not change.
//! Slots are those of [`bgv`](crate::scheme::bgv).
//!
//! # Products
//! Over residues (after Halevi, Polyakov and Shoup, CT-RSA 2019): both factors are extended to further primes B, multiplied as integers modulo
//! Q B, multiplied by t and divided by Q with rounding modulo B, which is [`Division`], and brought back modulo Q.
//!
//! # Security
//! That of [`rlwe`](crate::scheme::rlwe).

use num_bigint::BigInt;

use crate::{
    math::{
        rns::{Basis, Conversion, Polynomial, Prime, polynomial::Domain, prime::transform_primes},
        stream::Stream,
    },
    scheme::rlwe::{
        Automorphism, Batching, Context, Division, Literal, Parameters, Plaintext, PublicKey, RlweError,
        RotationKeys, SecretKey, SwitchingKey,
    },
};

/// Bits of the primes of B.
const EXTENSION_BITS: u32 = 50;
/// Bits by which B exceeds the greatest quotient of a product of two parts: one for the sign, one for the middle part's two terms, and
/// two for the error of the extension.
const SPARE_BITS: u64 = 4;

/// The scheme with its parameters.
#[derive(Debug)]
pub struct Bfv {
    context: Context,
    batching: Batching,
    extension: Extension,
}

/// What a product needs.
#[derive(Debug)]
struct Extension {
    /// B, then Q
    both: Basis,
    enter: Conversion,
    leave: Conversion,
    /// by Q
    division: Division,
}

/// An encrypted message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ciphertext {
    /// in values
    parts: Vec<Polynomial>,
}

impl Ciphertext {
    /// Polynomials: two, or three after a product that was not relinearised.
    pub fn parts(&self) -> usize {
        self.parts.len()
    }
}

impl Bfv {
    /// The scheme for a plaintext modulus, a prime of at most 60 bits that is 1 modulo 2N and none of the ciphertext's.
    pub fn try_new(literal: &Literal, plaintext_modulus: u64) -> Result<Self, RlweError> {
        let parameters = Parameters::try_new(literal)?;
        let batching = Batching::try_new(&parameters, plaintext_modulus)?;
        let (degree, modulus) = (parameters.degree(), parameters.modulus());
        // A product's coefficients are below 2 N (Q/2)^2; times t / Q.
        let bits = modulus.product().bits()
            + u64::from(batching.prime().bits())
            + u64::from(parameters.log_degree())
            + SPARE_BITS;
        let count = usize::try_from(bits.div_ceil(u64::from(EXTENSION_BITS) - 1)).unwrap_or(usize::MAX);
        let taken: Vec<u64> = modulus.with(parameters.special()).primes().map(Prime::value).collect();
        let missing =
            RlweError::Primes { count, bits: EXTENSION_BITS, log_step: parameters.log_degree() + 1 };
        let extension = transform_primes(EXTENSION_BITS, degree, count, &taken)
            .and_then(|primes| Basis::try_new(degree, &primes))
            .ok_or(missing)?;
        let (from, to): (Vec<_>, Vec<_>) = (modulus.primes().collect(), extension.primes().collect());
        let extension = Extension {
            both: extension.with(modulus),
            enter: Conversion::new(&from, &to),
            leave: Conversion::new(&to, &from),
            division: Division::new(extension, modulus.clone(), 1),
        };
        Ok(Self { context: Context::new(parameters, 1), batching, extension })
    }

    /// The parameters.
    pub fn parameters(&self) -> &Parameters {
        self.context.parameters()
    }

    /// t
    pub fn plaintext_modulus(&self) -> u64 {
        self.batching.prime().value()
    }

    /// N slots, two rows of half as many.
    pub fn slots(&self) -> usize {
        self.parameters().degree()
    }

    fn level(&self) -> usize {
        self.parameters().levels()
    }

    fn basis(&self) -> &Basis {
        self.parameters().modulus()
    }

    /// A fresh secret key.
    pub fn generate_secret_key(&self, randomness: &Stream) -> SecretKey {
        SecretKey::generate(&self.context, randomness)
    }

    /// A public key of a secret key.
    pub fn generate_public_key(&self, secret: &SecretKey, randomness: &Stream) -> PublicKey {
        PublicKey::generate(&self.context, secret, randomness)
    }

    /// The key that makes products of two parts again.
    pub fn generate_relinearisation_key(&self, secret: &SecretKey, randomness: &Stream) -> SwitchingKey {
        self.context.relinearisation_key(secret, randomness)
    }

    /// Keys for rotations by these numbers of steps, and for the swap of the rows.
    pub fn generate_rotation_keys(
        &self,
        secret: &SecretKey,
        steps: &[i64],
        swap: bool,
        randomness: &Stream,
    ) -> RotationKeys {
        self.context.rotation_keys(secret, steps, swap, randomness)
    }

    /// The plaintext of residues of least magnitude, the first row of slots first; what is missing is 0.
    pub fn encode(&self, values: &[i64]) -> Result<Plaintext, RlweError> {
        self.batching.encode(values)
    }

    /// All slots of a plaintext.
    pub fn decode(&self, plaintext: &Plaintext) -> Vec<i64> {
        self.batching.decode(plaintext)
    }

    /// Encrypts.
    pub fn encrypt(&self, key: &PublicKey, plaintext: &Plaintext, randomness: &Stream) -> Ciphertext {
        let mut parts = key.encrypt_zero(&self.context, randomness);
        self.basis().add(&mut parts[0], &self.scaled(plaintext));
        Ciphertext { parts: parts.into() }
    }

    /// `Q m / t`, rounded, in values: `(Q m - r) / t` for the residue r of Q m of least magnitude modulo t, where Q is 0 modulo its
    /// primes.
    fn scaled(&self, plaintext: &Plaintext) -> Polynomial {
        let (basis, prime) = (self.basis(), self.batching.prime());
        let modulus = prime.reduce_big(&basis.product());
        let rest = plaintext.coefficients().iter();
        let rest = rest.map(|&m| prime.centre(prime.multiply(prime.reduce_signed(m), modulus)));
        let mut scaled = basis.polynomial(&rest.collect::<Vec<_>>());
        let factor = basis.primes().map(|q| q.negate(q.invert(q.reduce(prime.value())))).collect::<Vec<_>>();
        basis.scale(&mut scaled, &factor);
        basis.forward(&mut scaled);
        scaled
    }

    /// Decrypts. The result is the message as long as the error has not passed Q / 2t; the exact circuit is the oracle of that.
    pub fn decrypt(&self, key: &SecretKey, ciphertext: &Ciphertext) -> Plaintext {
        let (basis, prime) = (self.basis(), self.batching.prime());
        // t times the phase is Q m and an error: what it is modulo Q, from which the multiple of Q follows modulo t.
        let mut phase = key.phase(&self.context, &ciphertext.parts, self.level());
        basis.inverse(&mut phase);
        basis.scale(&mut phase, &basis.residues(&prime.value().into()));
        let from: Vec<Prime> = basis.primes().collect();
        let residues = Conversion::new(&from, &[prime]).convert(phase.residues(), self.slots());
        let inverse = prime.negate(prime.invert(prime.reduce_big(&basis.product())));
        let residues: Vec<u64> =
            residues.into_iter().map(|residue| prime.multiply(residue, inverse)).collect();
        self.batching.plaintext(&residues)
    }

    /// Bits that errors may still grow by: those between t times the error and half of Q. 0 when the message may be lost. For tests and
    /// reports: it takes the secret key.
    pub fn noise_budget(&self, key: &SecretKey, ciphertext: &Ciphertext) -> u64 {
        let basis = self.basis();
        let mut phase = key.phase(&self.context, &ciphertext.parts, self.level());
        basis.scale(&mut phase, &basis.residues(&self.plaintext_modulus().into()));
        let greatest = basis.lift(&phase).iter().map(BigInt::bits).max().unwrap_or(0);
        (basis.product().bits() - 1).saturating_sub(greatest)
    }

    /// The sum.
    #[must_use]
    pub fn add(&self, left: &Ciphertext, right: &Ciphertext) -> Ciphertext {
        Ciphertext { parts: self.context.sum(&left.parts, &right.parts, self.level()) }
    }

    /// The negative.
    #[must_use]
    pub fn negate(&self, ciphertext: &Ciphertext) -> Ciphertext {
        let mut negative = ciphertext.clone();
        negative.parts.iter_mut().for_each(|part| self.basis().negate(part));
        negative
    }

    /// The sum with a plaintext.
    #[must_use]
    pub fn add_plain(&self, ciphertext: &Ciphertext, plaintext: &Plaintext) -> Ciphertext {
        let parts = self.context.sum(&ciphertext.parts, &[self.scaled(plaintext)], self.level());
        Ciphertext { parts }
    }

    /// The product with a plaintext, slot by slot.
    #[must_use]
    pub fn multiply_plain(&self, ciphertext: &Ciphertext, plaintext: &Plaintext) -> Ciphertext {
        let mut values = self.basis().polynomial(plaintext.coefficients());
        self.basis().forward(&mut values);
        Ciphertext { parts: self.context.product(&ciphertext.parts, &[values], self.level()) }
    }

    /// The product, slot by slot, in three parts.
    pub fn multiply(&self, left: &Ciphertext, right: &Ciphertext) -> Result<Ciphertext, RlweError> {
        for factor in [left, right] {
            if factor.parts.len() != 2 {
                return Err(RlweError::Parts { operation: "a product", parts: factor.parts.len() });
            }
        }
        let Extension { both, division, leave, .. } = &self.extension;
        let [left, right] =
            [left, right].map(|factor| factor.parts.iter().map(|part| self.extend(part)).collect::<Vec<_>>());
        let mut sums = vec![both.zero(Domain::Values); 3];
        for (i, a) in left.iter().enumerate() {
            for (b, sum) in right.iter().zip(&mut sums[i..]) {
                both.multiply_add(sum, a, b);
            }
        }
        let factor = both.residues(&self.plaintext_modulus().into());
        let extension = both.part(0..both.len() - self.level());
        let parts = sums.into_iter().map(|mut sum| {
            both.scale(&mut sum, &factor);
            let mut quotient = division.apply(sum);
            extension.inverse(&mut quotient);
            let rows = leave.convert(quotient.residues(), self.slots());
            let mut part = Polynomial::from_residues(self.slots(), Domain::Coefficients, rows);
            self.basis().forward(&mut part);
            part
        });
        Ok(Ciphertext { parts: parts.collect() })
    }

    /// A part modulo B Q, in values.
    fn extend(&self, part: &Polynomial) -> Polynomial {
        let Extension { both, enter, .. } = &self.extension;
        let mut coefficients = part.clone();
        self.basis().inverse(&mut coefficients);
        let rows = enter.convert(coefficients.residues(), self.slots());
        let mut extended = Polynomial::from_residues(self.slots(), Domain::Coefficients, rows);
        both.part(0..both.len() - self.level()).forward(&mut extended);
        extended.extend(part.residues());
        extended
    }

    /// A ciphertext of three parts in two.
    #[must_use]
    pub fn relinearise(&self, ciphertext: &Ciphertext, key: &SwitchingKey) -> Ciphertext {
        Ciphertext { parts: self.context.relinearised(&ciphertext.parts, key, self.level()) }
    }

    /// Both rows rotated to the left by each of these numbers of steps; what the rotations share is computed once.
    pub fn rotate_many(
        &self,
        ciphertext: &Ciphertext,
        steps: &[i64],
        keys: &RotationKeys,
    ) -> Result<Vec<Ciphertext>, RlweError> {
        let rotations: Vec<_> = steps.iter().map(|&steps| Automorphism::Rotation(steps)).collect();
        let moved = self.context.automorphisms(&ciphertext.parts, &rotations, keys, self.level())?;
        Ok(moved.into_iter().map(|parts| Ciphertext { parts }).collect())
    }

    /// The rows in each other's place.
    pub fn swap_rows(&self, ciphertext: &Ciphertext, keys: &RotationKeys) -> Result<Ciphertext, RlweError> {
        let swap = [Automorphism::Inversion];
        let moved = self.context.automorphisms(&ciphertext.parts, &swap, keys, self.level())?;
        let swapped = moved.into_iter().next().map(|parts| Ciphertext { parts });
        Ok(swapped.unwrap_or_else(|| ciphertext.clone()))
    }
}

#[cfg(test)]
mod tests;
