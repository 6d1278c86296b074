//! What is computed once from parameters, and the switching of keys and moduli.

use std::sync::OnceLock;

use num_bigint::BigUint;
use rayon::prelude::*;

use super::{Ciphertext, Parameters, RlweError, SwitchingKey};
use crate::math::rns::{
    Basis, Conversion, Polynomial, Prime,
    polynomial::{Domain, automorphism},
};

/// Parameters with a plaintext modulus t (1 for schemes without one), and tables that are made when they are first needed.
#[derive(Debug)]
pub struct Context {
    parameters: Parameters,
    plaintext_modulus: u64,
    lowest_level: usize,
    /// the order of values
    exponents: Vec<usize>,
    /// at every level: division by the special primes, and by the last prime
    by_special: Vec<OnceLock<Division>>,
    by_last: Vec<OnceLock<Division>>,
    /// at every level: from each digit to the other primes
    digits: Vec<OnceLock<Vec<Conversion>>>,
}

impl Context {
    /// The context of parameters, a plaintext modulus that is prime to them, and the lowest level that ciphertexts may have.
    pub fn new(parameters: Parameters, plaintext_modulus: u64, lowest_level: usize) -> Self {
        let exponents =
            parameters.modulus().transforms().first().map_or_else(Vec::new, |ntt| ntt.exponents());
        let levels = parameters.levels() + 1;
        Self {
            parameters,
            plaintext_modulus,
            lowest_level,
            exponents,
            by_special: (0..levels).map(|_| OnceLock::new()).collect(),
            by_last: (0..levels).map(|_| OnceLock::new()).collect(),
            digits: (0..levels).map(|_| OnceLock::new()).collect(),
        }
    }

    /// The parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// t
    pub fn plaintext_modulus(&self) -> u64 {
        self.plaintext_modulus
    }

    /// The lowest level that ciphertexts may have: the highest where a scheme has no others.
    pub fn lowest_level(&self) -> usize {
        self.lowest_level
    }

    /// The order of values: see [`Ntt::exponents`](crate::math::rns::Ntt::exponents).
    pub fn exponents(&self) -> &[usize] {
        &self.exponents
    }

    /// The primes of a level.
    pub fn basis(&self, level: usize) -> Basis {
        self.parameters.modulus().part(0..level)
    }

    /// The primes of a level, and the special ones.
    pub fn extended(&self, level: usize) -> Basis {
        self.basis(level).with(self.parameters.special())
    }

    /// Whether a ciphertext's level is this one or a higher one.
    pub(in crate::scheme) fn check_level<T: Copy>(
        &self,
        operation: &'static str,
        ciphertext: &Ciphertext<T>,
        level: usize,
    ) -> Result<(), RlweError> {
        if (1..=ciphertext.level).contains(&level) {
            return Ok(());
        }
        Err(RlweError::Level { operation, level: ciphertext.level, needed: level.max(1) })
    }

    /// A ciphertext's parts divided by the last prime of its level, and that prime.
    pub(in crate::scheme) fn divided_by_last<T: Copy>(
        &self,
        operation: &'static str,
        ciphertext: &Ciphertext<T>,
    ) -> Result<(Vec<Polynomial>, u64), RlweError> {
        let level = ciphertext.level;
        if level < 2 {
            return Err(RlweError::Level { operation, level, needed: 2 });
        }
        let division = self.by_last(level);
        let last = self.parameters.modulus().primes().nth(level - 1).map_or(1, Prime::value);
        Ok((ciphertext.parts.iter().map(|part| division.apply(part.clone())).collect(), last))
    }

    /// Division by the last prime of a level above 1.
    pub fn by_last(&self, level: usize) -> &Division {
        self.by_last[level].get_or_init(|| {
            let last = self.parameters.modulus().part(level - 1..level);
            Division::new(self.basis(level - 1), last, self.plaintext_modulus, self.multiplier(level))
        })
    }

    /// The residue modulo t, of least magnitude, of the last prime of a level: what a phase is multiplied by when that is dropped, so that
    /// the message stays. 1 without a t.
    pub fn multiplier(&self, level: usize) -> i64 {
        let last = self.parameters.modulus().primes().nth(level - 1);
        let plaintext = Prime::try_new(self.plaintext_modulus);
        last.zip(plaintext).map_or(1, |(last, t)| t.centre(t.reduce(last.value())))
    }

    fn by_special(&self, level: usize) -> &Division {
        self.by_special[level].get_or_init(|| {
            Division::new(self.basis(level), self.parameters.special().clone(), self.plaintext_modulus, 1)
        })
    }

    fn conversions(&self, level: usize) -> &[Conversion] {
        self.digits[level].get_or_init(|| {
            let all: Vec<Prime> = self.extended(level).primes().collect();
            let digits = self.parameters.digits(level).into_iter();
            digits
                .map(|digit| {
                    let others = [&all[..digit.start], &all[digit.end..]].concat();
                    Conversion::new(&all[digit], &others)
                })
                .collect()
        })
    }

    /// The digits of a polynomial, in values modulo the primes of its level and the special ones: for each the integers of least magnitude that
    /// have the polynomial's residues modulo the digit's primes.
    pub fn decompose(&self, polynomial: &Polynomial, level: usize) -> Vec<Polynomial> {
        let (basis, extended) = (self.basis(level), self.extended(level));
        let degree = self.parameters.degree();
        let mut coefficients = polynomial.clone();
        basis.inverse(&mut coefficients);
        let conversions = self.conversions(level).par_iter();
        conversions
            .zip(self.parameters.digits(level))
            .map(|(conversion, digit)| {
                let own = digit.start * degree..digit.end * degree;
                let others = conversion.convert(&coefficients.residues()[own.clone()], degree);
                let mut rows: Vec<&[u64]> = others.chunks_exact(degree).collect();
                let values = polynomial.residues();
                rows.splice(digit.start..digit.start, values[own].chunks_exact(degree));
                let mut rows = rows.concat();
                // The digit's own rows are values already.
                rows.par_chunks_exact_mut(degree)
                    .zip(extended.transforms())
                    .enumerate()
                    .filter(|(row, _)| !digit.contains(row))
                    .for_each(|(_, (row, ntt))| ntt.forward(row));
                Polynomial::from_residues(degree, Domain::Values, rows)
            })
            .collect()
    }

    /// What stands for `c s'` under s: the sum of a polynomial's digits times the key's, divided by the special primes.
    pub fn switch(&self, digits: &[Polynomial], key: &SwitchingKey, level: usize) -> [Polynomial; 2] {
        let extended = self.extended(level);
        let degree = self.parameters.degree();
        let levels = self.parameters.levels();
        [0, 1].map(|half| {
            let mut sum = extended.zero(Domain::Values);
            let rows = sum.rows_mut().collect::<Vec<_>>();
            rows.into_par_iter().zip(extended.transforms()).enumerate().for_each(|(row, (sum, ntt))| {
                // The key has the rows of all levels.
                let place = if row < level { row } else { row - level + levels };
                let range = |row: usize| row * degree..(row + 1) * degree;
                let terms = digits
                    .iter()
                    .zip(key.digits())
                    .map(|(digit, key)| (&digit.residues()[range(row)], &key[half].residues()[range(place)]));
                ntt.inner_product(sum, &terms.collect::<Vec<_>>());
            });
            self.by_special(level).apply(sum)
        })
    }

    /// Where the automorphism X -> X^`power` finds values.
    pub fn automorphism(&self, power: usize) -> Vec<u32> {
        automorphism(&self.exponents, power)
    }

    /// An automorphism applied to values.
    pub fn permute(&self, polynomial: &Polynomial, places: &[u32]) -> Polynomial {
        let degree = self.parameters.degree();
        let mut rows = vec![0; polynomial.residues().len()];
        rows.par_chunks_exact_mut(degree).zip(polynomial.residues().par_chunks_exact(degree)).for_each(
            |(out, row)| {
                for (out, place) in out.iter_mut().zip(places) {
                    *out = row[*place as usize];
                }
            },
        );
        Polynomial::from_residues(degree, polynomial.domain(), rows)
    }
}

/// Division by the product D of the last primes of a basis: from c to `(r c - d) / D`, where d is r c modulo D and a multiple of t, of
/// magnitude at most t D / 2.
#[derive(Debug)]
pub struct Division {
    keep: Basis,
    dropped: Basis,
    conversion: Conversion,
    /// r/t modulo the dropped primes
    inverse_plaintext: Vec<u64>,
    /// t/r modulo the others
    plaintext: Vec<u64>,
    /// r/D modulo the others
    inverse: Vec<u64>,
}

impl Division {
    /// Constants for a modulus `keep` times `dropped`, t and r.
    pub fn new(keep: Basis, dropped: Basis, plaintext_modulus: u64, multiplier: i64) -> Self {
        let (from, to): (Vec<_>, Vec<_>) = (dropped.primes().collect(), keep.primes().collect());
        let product: BigUint = dropped.product();
        Self {
            conversion: Conversion::new(&from, &to),
            inverse_plaintext: from
                .iter()
                .map(|p| p.multiply(p.reduce_signed(multiplier), p.invert(p.reduce(plaintext_modulus))))
                .collect(),
            plaintext: to
                .iter()
                .map(|p| p.multiply(p.reduce(plaintext_modulus), p.invert(p.reduce_signed(multiplier))))
                .collect(),
            inverse: to
                .iter()
                .map(|p| p.multiply(p.reduce_signed(multiplier), p.invert(p.reduce_big(&product))))
                .collect(),
            keep,
            dropped,
        }
    }

    /// The quotient of values.
    pub fn apply(&self, mut polynomial: Polynomial) -> Polynomial {
        let degree = self.keep.degree();
        let rest = polynomial.residues()[degree * self.keep.len()..].to_vec();
        let mut rest = Polynomial::from_residues(degree, Domain::Values, rest);
        polynomial.truncate(self.keep.len());
        self.dropped.inverse(&mut rest);
        self.dropped.scale(&mut rest, &self.inverse_plaintext);
        let difference = self.conversion.convert(rest.residues(), degree);
        let mut difference = Polynomial::from_residues(degree, Domain::Coefficients, difference);
        self.keep.scale(&mut difference, &self.plaintext);
        self.keep.forward(&mut difference);
        self.keep.subtract(&mut polynomial, &difference);
        self.keep.scale(&mut polynomial, &self.inverse);
        polynomial
    }
}
