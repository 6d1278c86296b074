//! How errors grow: bounds that hold but for a negligible part of all randomness, without any key.
//!
//! Norms are canonical: the greatest magnitude of a polynomial's values at the complex roots of X^N + 1, which is no less than that
//! of its coefficients. A polynomial with independent coefficients of variance V has one below `6 sqrt(N V)`; products of two or three such
//! are bounded with 16 and 40 in place of 36 and 216 (Gentry, Halevi and Smart, CRYPTO 2012, appendix A.5). Messages modulo t
//! count as uniform: encoding spreads them. Everything is kept as a logarithm to base 2.

use std::ops::{Add, Mul};

use super::{Context, RlweError};

/// log2 of a bound on a magnitude.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Bound(pub f64);

impl Bound {
    /// Of nothing.
    pub const ZERO: Self = Self(f64::NEG_INFINITY);

    /// Of a number.
    pub fn of(magnitude: f64) -> Self {
        Self(libm::log2(magnitude))
    }

    /// Times the power of two that another logarithm stands for, inverted.
    #[must_use]
    pub fn over(self, divisor: Self) -> Self {
        Self(self.0 - divisor.0)
    }
}

impl Add for Bound {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let (more, less) = if self.0 < other.0 { (other.0, self.0) } else { (self.0, other.0) };
        if less == f64::NEG_INFINITY {
            Self(more)
        } else {
            Self(more + libm::log2(1.0 + libm::exp2(less - more)))
        }
    }
}

#[expect(clippy::suspicious_arithmetic_impl, reason = "logarithms of factors are added")]
impl Mul for Bound {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

/// Standard deviations that a sum of independent numbers stays within.
const ONE: f64 = 6.0;
/// The same for products of two such sums.
const TWO: f64 = 16.0;
/// And of three.
const THREE: f64 = 40.0;
/// Of a uniform number in an interval of length 1.
const UNIFORM: f64 = 1.0 / 12.0;
/// Of -1, 0 and 1.
const TERNARY: f64 = 2.0 / 3.0;
/// Of an error.
const ERROR: f64 = 10.5;

/// Where the message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the lowest digit (BGV): the bound is one of the phase.
    Lowest,
    /// In the highest digit (BFV): of what t times the phase has beside a multiple of Q.
    Highest,
    /// Together with the error (CKKS): of the error.
    Together,
}

/// The rules by which bounds grow under some parameters.
#[derive(Debug, Clone)]
pub struct Noise {
    place: Place,
    degree: f64,
    /// t; 1 in CKKS
    plaintext: Bound,
    /// the primes of Q
    primes: Vec<Bound>,
    special: Bound,
    /// digits that a switch of keys has at each level, as their products
    digits: Vec<Vec<Bound>>,
    /// see [`Context::multiplier`]
    multipliers: Vec<Bound>,
}

impl Noise {
    /// The rules of a context; t is the scheme's, even where the context has none (BFV).
    pub fn new(context: &Context, place: Place, plaintext_modulus: u64) -> Self {
        let parameters = context.parameters();
        let log2 = |prime: crate::math::rns::Prime| Bound::of(prime.value() as f64);
        let product = |bounds: &[Bound]| bounds.iter().fold(Bound(0.0), |product, one| product * *one);
        let primes: Vec<_> = parameters.modulus().primes().map(log2).collect();
        let levels = 0..=parameters.levels();
        let digits = levels
            .clone()
            .map(|level| parameters.digits(level).into_iter().map(|digit| product(&primes[digit])).collect());
        Self {
            place,
            degree: parameters.degree() as f64,
            plaintext: Bound::of(plaintext_modulus as f64),
            special: product(&parameters.special().primes().map(log2).collect::<Vec<_>>()),
            digits: digits.collect(),
            multipliers: levels
                .map(|level| {
                    Bound::of(if level == 0 { 1.0 } else { context.multiplier(level).unsigned_abs() as f64 })
                })
                .collect(),
            primes,
        }
    }

    /// What errors are multiplied by: t where the message is below them, or is multiplied by t to be read.
    fn step(&self) -> Bound {
        match self.place {
            Place::Lowest | Place::Highest => self.plaintext,
            Place::Together => Bound(0.0),
        }
    }

    fn norm(&self, spread: f64, variances: &[f64]) -> Bound {
        Bound::of(spread * variances.iter().map(|variance| (self.degree * variance).sqrt()).product::<f64>())
    }

    /// Of a message modulo t.
    pub fn message(&self) -> Bound {
        self.plaintext * self.norm(ONE, &[UNIFORM])
    }

    /// What rounding both parts of a ciphertext changes.
    fn rounding(&self) -> Bound {
        self.step() * (self.norm(ONE, &[UNIFORM]) + self.norm(TWO, &[UNIFORM, TERNARY]))
    }

    /// Of a fresh encryption, under the public key or the secret one.
    pub fn fresh(&self, own: bool) -> Bound {
        let errors = self.norm(ONE, &[ERROR]);
        let masked = if own { Bound::ZERO } else { self.norm(TWO, &[ERROR, TERNARY]) * Bound(1.0) };
        let message = match self.place {
            Place::Lowest | Place::Highest => self.message(),
            // The rounding of an encoded message.
            Place::Together => self.norm(ONE, &[UNIFORM]),
        };
        self.step() * (errors + masked) + message
    }

    /// Of a product with an integer, that stands for a number within half of it; the message has the magnitude (CKKS).
    pub fn times_integer(&self, noise: Bound, magnitude: Bound, integer: Bound) -> Bound {
        match self.place {
            // It is reduced modulo t.
            Place::Lowest | Place::Highest => noise * Bound(integer.0.min(self.plaintext.0 - 1.0)),
            Place::Together => noise * (integer + Bound(-1.0)) + magnitude * Bound(-1.0),
        }
    }

    /// Of a sum with an integer.
    pub fn plus_integer(&self, noise: Bound) -> Bound {
        match self.place {
            Place::Lowest | Place::Highest => noise + self.plaintext,
            Place::Together => noise + Bound(-1.0),
        }
    }

    /// Of a sum with a message.
    pub fn plus_message(&self, noise: Bound) -> Bound {
        match self.place {
            Place::Lowest | Place::Highest => noise + self.message(),
            Place::Together => noise + self.norm(ONE, &[UNIFORM]),
        }
    }

    /// Of a product with a message; magnitudes are those of the ciphertext's message and of the other (CKKS).
    pub fn times_message(&self, noise: Bound, [own, other]: [Bound; 2]) -> Bound {
        match self.place {
            Place::Lowest | Place::Highest => noise * self.message(),
            Place::Together => noise * other + (own + noise) * self.norm(ONE, &[UNIFORM]),
        }
    }

    /// Of a product at a level, with the magnitudes of the factors' messages (CKKS); before relinearisation.
    pub fn product(&self, [left, right]: [Bound; 2], magnitudes: [Bound; 2], level: usize) -> Bound {
        match self.place {
            Place::Lowest => left * right,
            Place::Together => magnitudes[0] * right + magnitudes[1] * left + left * right,
            Place::Highest => {
                let modulus = self.modulus(level);
                // A phase over Q: a polynomial of fractions, and what belongs to the message and the error.
                let wraps = self.rounding() + Bound(0.0);
                let three = self.step() * self.norm(THREE, &[UNIFORM, TERNARY, TERNARY]);
                (wraps + left.over(modulus)) * right
                    + (wraps + right.over(modulus)) * left
                    + (left * right).over(modulus)
                    + self.rounding()
                    + three
            }
        }
    }

    /// After a switch of keys at a level: a relinearisation or a rotation.
    pub fn switched(&self, noise: Bound, level: usize) -> Bound {
        let unit = self.norm(TWO, &[UNIFORM, ERROR]);
        let digits = self.digits[level].iter().fold(Bound::ZERO, |sum, digit| sum + *digit);
        noise + self.step() * (unit * digits).over(self.special) + self.rounding()
    }

    /// After the last prime of a level was dropped and divided by.
    pub fn lowered(&self, noise: Bound, level: usize) -> Bound {
        (noise * self.multipliers[level]).over(self.primes[level - 1]) + self.rounding()
    }

    /// What dropping primes cannot make smaller.
    pub fn floor(&self) -> Bound {
        self.rounding()
    }

    /// The product of the primes of a level.
    pub fn modulus(&self, level: usize) -> Bound {
        self.primes[..level].iter().fold(Bound(0.0), |product, prime| product * *prime)
    }

    /// The last prime of a level.
    pub fn last(&self, level: usize) -> Bound {
        self.primes[level - 1]
    }

    /// log2 of half of the modulus over what decryption sees: the bound, and in CKKS the message too.
    pub fn budget(&self, noise: Bound, magnitude: Bound, level: usize) -> f64 {
        let seen = match self.place {
            Place::Lowest | Place::Highest => noise,
            Place::Together => noise + magnitude,
        };
        self.modulus(level).over(seen).0 - 1.0
    }

    /// Whether the result of an operation can be decrypted.
    ///
    /// # Errors
    /// [`RlweError::Noise`]
    pub fn check(
        &self,
        operation: &'static str,
        noise: Bound,
        magnitude: Bound,
        level: usize,
    ) -> Result<(), RlweError> {
        let budget = self.budget(noise, magnitude, level);
        if budget > 0.0 {
            return Ok(());
        }
        let available = self.modulus(level).0 - 1.0;
        Err(RlweError::Noise { operation, level, needed: available - budget, available })
    }
}
