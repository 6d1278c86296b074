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
        pool::{for_each, in_pool},
        rns::{Basis, Conversion, Polynomial, Prime, polynomial::Domain, prime::transform_primes},
    },
    scheme::rlwe::{
        Batching, Borrowed, Ciphertext, Context, Division, ExactScheme, Literal, Pair, Parameters, Plaintext,
        RlweError, RlweScheme, SecretKey, Untagged,
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
    /// Q modulo t
    modulus: u64,
    /// -1/t modulo the primes of Q
    negative_inverses: Vec<u64>,
}

impl Bfv {
    fn level(&self) -> usize {
        self.parameters().levels()
    }

    fn basis(&self) -> &Basis {
        self.parameters().modulus()
    }

    /// `Q m / t`, rounded, in values: `(Q m - r) / t` for the residue r of Q m of least magnitude modulo t, where Q is 0 modulo its
    /// primes.
    fn scaled(&self, plaintext: &Plaintext) -> Polynomial {
        let (basis, prime) = (self.basis(), self.batching.prime());
        let rest = plaintext.coefficients().iter().map(|&m| self.rest(prime.reduce_signed(m)));
        let mut scaled = basis.polynomial(&rest.collect::<Vec<_>>());
        basis.scale(&mut scaled, &self.extension.negative_inverses);
        basis.forward(&mut scaled);
        scaled
    }

    /// r, for a residue m.
    fn rest(&self, residue: u64) -> i64 {
        let prime = self.batching.prime();
        prime.centre(prime.multiply(residue, self.extension.modulus))
    }

    /// A part modulo B Q, in values.
    fn extend(&self, part: &Polynomial, extended: &mut Polynomial) {
        let Extension { both, enter, .. } = &self.extension;
        let count = both.len() - self.level();
        let mut weighted = part.clone();
        self.basis().inverse_times(&mut weighted, enter.weights());
        enter.convert_weighted(weighted.residues(), self.slots(), extended.rows_mut().take(count));
        let rows = extended.rows_mut().zip(both.transforms()).enumerate();
        for_each(rows, |(index, (row, ntt))| match index.checked_sub(count) {
            Some(own) => row.copy_from_slice(&part.residues()[own * self.slots()..(own + 1) * self.slots()]),
            None => ntt.forward(row),
        });
    }
}

impl ExactScheme for Bfv {
    fn try_new(literal: &Literal, plaintext_modulus: u64) -> Result<Self, RlweError> {
        let parameters = Parameters::try_new(literal, None)?;
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
        let prime = batching.prime();
        let (from, to): (Vec<_>, Vec<_>) = (modulus.primes().collect(), extension.primes().collect());
        let leave = Conversion::new(&to, &from);
        let factors = (1, i64::try_from(prime.value()).unwrap_or(i64::MAX));
        let extension = Extension {
            both: extension.with(modulus),
            enter: Conversion::new(&from, &to),
            division: Division::with_factors(
                extension,
                modulus.clone(),
                factors,
                leave.weights(),
                Domain::Coefficients,
            ),
            leave,
            modulus: prime.reduce_big(&modulus.product()),
            negative_inverses: modulus
                .primes()
                .map(|q| q.negate(q.invert(q.reduce(prime.value()))))
                .collect(),
        };
        let levels = parameters.levels();
        Ok(Self { context: Context::new(parameters, 1, levels, plaintext_modulus), batching, extension })
    }

    fn plaintext_modulus(&self) -> u64 {
        self.batching.prime().value()
    }

    fn encode(&self, values: &[i64]) -> Result<Plaintext, RlweError> {
        self.batching.encode(values)
    }

    fn decode(&self, plaintext: &Plaintext) -> Vec<i64> {
        self.batching.decode(plaintext)
    }
}

impl RlweScheme for Bfv {
    type Tag = Untagged;
    type Plaintext = Plaintext;
    type Decrypted = Plaintext;

    fn context(&self) -> &Context {
        &self.context
    }

    /// N slots, two rows of half as many.
    fn slots(&self) -> usize {
        self.parameters().degree()
    }

    fn fresh_tag(&self, _plaintext: &Plaintext) -> Untagged {
        Untagged
    }

    fn summand(&self, plaintext: &Plaintext, _level: usize, _tag: Untagged) -> Result<Polynomial, RlweError> {
        Ok(self.scaled(plaintext))
    }

    fn factor(&self, plaintext: &Plaintext, _level: usize) -> Polynomial {
        let mut values = self.basis().polynomial(plaintext.coefficients());
        self.basis().forward(&mut values);
        values
    }

    fn constant(&self, integer: &BigInt, _level: usize, _tag: Untagged) -> Vec<u64> {
        let rest = self.rest(self.batching.prime().reduce_integer(integer));
        let factors = self.basis().primes().zip(&self.extension.negative_inverses);
        factors.map(|(prime, factor)| prime.multiply(prime.reduce_signed(rest), *factor)).collect()
    }

    fn product_tag(&self, _left: Untagged, _right: Untagged) -> Untagged {
        Untagged
    }

    fn aligned<'c>(
        &self,
        left: &'c Ciphertext<Untagged>,
        right: &'c Ciphertext<Untagged>,
    ) -> Result<[Borrowed<'c, Untagged>; 2], RlweError> {
        for ciphertext in [left, right] {
            ciphertext.check("a sum", &self.context)?;
        }
        Ok([Borrowed::Borrowed(left), Borrowed::Borrowed(right)])
    }

    fn lower(&self, ciphertext: &Ciphertext<Untagged>) -> Result<Ciphertext<Untagged>, RlweError> {
        let (operation, level) = ("modulus switching in BFV", ciphertext.level);
        Err(RlweError::Level { operation, level, needed: level + 1 })
    }

    fn drop_to<'c>(
        &self,
        ciphertext: &'c Ciphertext<Untagged>,
        level: usize,
    ) -> Result<Borrowed<'c, Untagged>, RlweError> {
        ciphertext.check("dropping primes", &self.context)?;
        if level == ciphertext.level {
            return Ok(Borrowed::Borrowed(ciphertext));
        }
        self.lower(ciphertext).map(Borrowed::Owned)
    }

    /// The result is the message as long as the error has not passed Q / 2t; the exact circuit is the oracle of that.
    fn decrypt(&self, key: &SecretKey, ciphertext: &Ciphertext<Untagged>) -> Plaintext {
        let (basis, prime) = (self.basis(), self.batching.prime());
        // t times the phase is Q m and an error: what it is modulo Q, from which the multiple of Q follows modulo t.
        let mut phase = key.phase(&self.context, &ciphertext.parts, self.level());
        basis.inverse(&mut phase);
        basis.scale(&mut phase, &basis.residues(&prime.value().into()));
        let from: Vec<Prime> = basis.primes().collect();
        let residues = Conversion::new(&from, &[prime]).convert(phase.residues(), self.slots());
        let inverse = prime.negate(prime.invert(self.extension.modulus));
        let residues: Vec<u64> =
            residues.into_iter().map(|residue| prime.multiply(residue, inverse)).collect();
        self.batching.plaintext(&residues)
    }

    fn noise_budget(&self, key: &SecretKey, ciphertext: &Ciphertext<Untagged>) -> f64 {
        let basis = self.basis();
        let mut phase = key.phase(&self.context, &ciphertext.parts, self.level());
        basis.scale(&mut phase, &basis.residues(&self.plaintext_modulus().into()));
        basis.slack(&phase)
    }

    fn dot(&self, pairs: &[Pair<'_, Untagged>]) -> Result<Ciphertext<Untagged>, RlweError> {
        let mut products = pairs.iter().map(|(left, right)| self.multiply(left, right));
        let none = RlweError::Parts { operation: "a sum of products", parts: 0 };
        let first = products.next().ok_or(none)??;
        products.try_fold(first, |sum, product| self.add(&sum, &product?))
    }

    /// The product, slot by slot, in three parts.
    fn multiply(
        &self,
        left: &Ciphertext<Untagged>,
        right: &Ciphertext<Untagged>,
    ) -> Result<Ciphertext<Untagged>, RlweError> {
        for factor in [left, right] {
            factor.check("a product", &self.context)?;
            if factor.parts.len() != 2 {
                return Err(RlweError::Parts { operation: "a product", parts: factor.parts.len() });
            }
        }
        let Extension { both, division, leave, .. } = &self.extension;
        let degree = self.slots();
        let parts = in_pool(|| {
            let mut extended = [
                both.unset(Domain::Values),
                both.unset(Domain::Values),
                both.unset(Domain::Values),
                both.unset(Domain::Values),
            ];
            let parts = left.parts.iter().chain(&right.parts);
            for_each(extended.iter_mut().zip(parts), |(extended, part)| self.extend(part, extended));
            let [a0, a1, b0, b1] = &extended;
            let make = |row: usize, [first, second, third]: [&mut [u64]; 3]| {
                let ntt = &both.transforms()[row];
                let [a0, a1, b0, b1] =
                    [a0, a1, b0, b1].map(|x| &x.residues()[row * degree..(row + 1) * degree]);
                ntt.sums_of_products([first], &[(a0, [b0])]);
                ntt.sums_of_products([second], &[(a0, [b1]), (a1, [b0])]);
                ntt.sums_of_products([third], &[(a1, [b1])]);
            };
            let quotients = division.apply::<3>(make, |_, _, _| {});
            let mut parts = quotients.each_ref().map(|_| self.basis().unset(Domain::Values));
            for_each(parts.iter_mut().zip(&quotients), |(part, quotient)| {
                leave.convert_weighted(quotient.residues(), degree, part.rows_mut());
                for_each(part.rows_mut().zip(self.basis().transforms()), |(row, ntt)| ntt.forward(row));
            });
            parts
        });
        Ok(Ciphertext::new(&self.context, parts.into(), self.level(), Untagged))
    }
}

#[cfg(test)]
mod tests;
