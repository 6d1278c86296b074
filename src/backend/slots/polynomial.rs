//! Polynomials of ciphertexts, in the fewest levels and with few products (Paterson and Stockmeyer, SIAM J. Comput. 2, 1973).
//!
//! A polynomial is cut at powers of two above a number of *baby* powers: `p = q x^g + r`, and so on with q and r. Every part is told the scale that it
//! must end with, from the whole down, so that sums need no correction: in CKKS by the primes that the products will be divided by, in
//! fixed-point arithmetic by the scales of the powers. Chebyshev's polynomials take the place of powers alike: `T_(a+b) = 2 T_a T_b - T_(a-b)`.

use std::collections::{BTreeMap, BTreeSet};

use super::{Ciphertext, Engine, Of, SlotError, Slots};
use crate::approximation::{Basis, Polynomial};

/// A part that was evaluated.
enum Part<C> {
    Constant(f64),
    Ciphertext(C),
}

/// How a polynomial is cut.
#[derive(Debug, Clone, Copy)]
struct Cut {
    basis: Basis,
    /// Parts have fewer coefficients than this, or as many.
    baby: usize,
}

impl Cut {
    /// The power at which so many coefficients are cut, if they are.
    fn at(self, count: usize) -> Option<usize> {
        if count <= self.baby {
            return None;
        }
        // The greatest of baby, 2 baby, 4 baby, ... that is below.
        let powers = std::iter::successors(Some(self.baby), |power| Some(2 * power));
        powers.take_while(|power| *power < count).last()
    }

    /// Quotient and remainder by the power g.
    fn divided(self, coefficients: &[f64], g: usize) -> [Vec<f64>; 2] {
        let mut quotient = coefficients[g..].to_vec();
        let mut remainder = coefficients[..g].to_vec();
        if self.basis == Basis::Chebyshev {
            // T_(g+i) = 2 T_g T_i - T_(g-i)
            for (i, coefficient) in coefficients[g..].iter().enumerate().skip(1) {
                quotient[i] *= 2.0;
                remainder[g - i] -= coefficient;
            }
        }
        [quotient, remainder].map(trimmed)
    }

    /// The powers that a polynomial takes, those that they are made of included.
    fn powers(self, coefficients: &[f64], into: &mut BTreeSet<usize>) {
        match self.at(coefficients.len()) {
            None => coefficients
                .iter()
                .enumerate()
                .skip(1)
                .filter(|(_, c)| **c != 0.0)
                .for_each(|(i, _)| add(i, into)),
            Some(g) => {
                add(g, into);
                self.divided(coefficients, g).iter().for_each(|part| self.powers(part, into));
            }
        }
    }

    /// Products of ciphertexts that are no powers.
    fn products(self, coefficients: &[f64]) -> usize {
        self.at(coefficients.len()).map_or(0, |g| {
            let [quotient, remainder] = self.divided(coefficients, g);
            usize::from(quotient.len() > 1) + self.products(&quotient) + self.products(&remainder)
        })
    }

    /// Levels that it takes, where a product with a constant takes one or none.
    fn levels(self, coefficients: &[f64], constant: u32) -> u32 {
        match self.at(coefficients.len()) {
            None => {
                let highest = coefficients.iter().rposition(|c| *c != 0.0).unwrap_or(0);
                if highest == 0 { 0 } else { log2(highest) + constant }
            }
            Some(g) => {
                let [quotient, remainder] = self.divided(coefficients, g);
                let product = if quotient.len() > 1 {
                    self.levels(&quotient, constant).max(log2(g)) + 1
                } else {
                    log2(g) + constant
                };
                product.max(self.levels(&remainder, constant))
            }
        }
    }

    /// The cut with the fewest levels, and of these with the fewest products.
    fn best(basis: Basis, coefficients: &[f64], constant: u32) -> Self {
        let sizes = std::iter::successors(Some(1), |baby| Some(2 * baby));
        let cuts = sizes.take_while(|baby| *baby < 2 * coefficients.len()).map(|baby| Self { basis, baby });
        let cost = |cut: &Self| {
            let mut powers = BTreeSet::new();
            cut.powers(coefficients, &mut powers);
            // The first power is given.
            let products = powers.len() - powers.len().min(1) + cut.products(coefficients);
            (cut.levels(coefficients, constant), products)
        };
        cuts.min_by_key(cost).unwrap_or(Self { basis, baby: 1 })
    }
}

/// Without zeros at the end.
fn trimmed(mut coefficients: Vec<f64>) -> Vec<f64> {
    let end = coefficients.iter().rposition(|coefficient| *coefficient != 0.0).map_or(0, |last| last + 1);
    coefficients.truncate(end);
    coefficients
}

/// Halves of a power, the greater first.
fn halves(power: usize) -> [usize; 2] {
    [power.div_ceil(2), power / 2]
}

fn add(power: usize, into: &mut BTreeSet<usize>) {
    if into.insert(power) && power > 1 {
        for half in halves(power) {
            add(half, into);
        }
        into.insert(1);
    }
}

fn log2(power: usize) -> u32 {
    power.next_power_of_two().trailing_zeros()
}

impl<E: Engine> Slots<E> {
    /// The polynomial of every slot. In fixed-point arithmetic coefficients have the scale `precision`, and the result has that times the
    /// scale of x to the degree; reals with errors come back to their scale.
    ///
    /// # Errors
    /// Where the levels or the plaintext modulus do not suffice.
    pub fn polynomial(
        &self,
        evaluation: &E::Evaluation,
        x: &Of<E>,
        polynomial: &Polynomial,
        precision: f64,
    ) -> Result<Of<E>, SlotError> {
        let coefficients = trimmed(polynomial.coefficients.clone());
        let rules = self.rules();
        let x = match polynomial.basis {
            Basis::Monomial => x.clone(),
            Basis::Chebyshev => {
                let [low, high] = polynomial.interval;
                let target = rules.product_scale(x.state.scale, precision);
                let mapped = self.combine(&[(x, 2.0 / (high - low))], target)?;
                self.add_constant(&mapped, -(low + high) / (high - low))?
            }
        };
        if coefficients.len() < 2 {
            let zero = self.combine(&[(&x, 0.0)], rules.product_scale(x.state.scale, precision))?;
            return self.add_constant(&zero, coefficients.first().copied().unwrap_or(0.0));
        }
        let cut = Cut::best(polynomial.basis, &coefficients, u32::from(rules.rescales()));
        let mut wanted = BTreeSet::new();
        cut.powers(&coefficients, &mut wanted);
        let mut powers: BTreeMap<usize, Of<E>> = BTreeMap::new();
        let bound = x.state.magnitude;
        powers.insert(1, x);
        for &power in wanted.iter().filter(|power| **power > 1) {
            let [more, less] = halves(power);
            let mut product = self.multiply(evaluation, &powers[&more], &powers[&less])?;
            if polynomial.basis == Basis::Chebyshev {
                product = self.sum(&[(&product, 2)])?;
                product = if more == less {
                    self.add_constant(&product, -1.0)?
                } else {
                    let first = self.combine(&[(&powers[&1], 1.0)], product.state.scale)?;
                    self.sum(&[(&product, 1), (&first, -1)])?
                };
                // Not what sums allow for, but what the polynomial attains.
                let most = libm::cosh(power as f64 * libm::acosh(bound.max(1.0)));
                product.state.magnitude = product.state.magnitude.min(most + 1e-9);
            }
            powers.insert(power, product);
        }
        let target = if rules.rescales() {
            rules.product_scale(1.0, 1.0)
        } else {
            powers[&1].state.scale.powi(i32::try_from(coefficients.len() - 1).unwrap_or(i32::MAX)) * precision
        };
        match self.part(evaluation, cut, &coefficients, &powers, target)? {
            Part::Ciphertext(found) => Ok(found),
            // There are two coefficients, and the last is not 0.
            Part::Constant(_) => Err(SlotError::Empty),
        }
    }

    fn part(
        &self,
        evaluation: &E::Evaluation,
        cut: Cut,
        coefficients: &[f64],
        powers: &BTreeMap<usize, Of<E>>,
        target: f64,
    ) -> Result<Part<Of<E>>, SlotError> {
        let constant = coefficients.first().copied().unwrap_or(0.0);
        let Some(g) = cut.at(coefficients.len()) else {
            let terms =
                coefficients.iter().enumerate().skip(1).filter(|(_, coefficient)| **coefficient != 0.0);
            let terms: Vec<_> = terms.map(|(power, coefficient)| (&powers[&power], *coefficient)).collect();
            if terms.is_empty() {
                return Ok(Part::Constant(constant));
            }
            return Ok(Part::Ciphertext(self.shifted(self.combine(&terms, target)?, constant)?));
        };
        let giant = &powers[&g];
        let [quotient, remainder] = cut.divided(coefficients, g);
        let level = level_of(cut, &quotient, powers).min(giant.state.level);
        let needed = target * self.rules().divisor(level) / giant.state.scale;
        let product = match self.part(evaluation, cut, &quotient, powers, needed)? {
            Part::Constant(factor) => self.combine(&[(giant, factor)], target)?,
            Part::Ciphertext(factor) => self.multiply(evaluation, &factor, giant)?,
        };
        Ok(Part::Ciphertext(match self.part(evaluation, cut, &remainder, powers, target)? {
            Part::Constant(constant) => self.shifted(product, constant)?,
            Part::Ciphertext(rest) => self.sum(&[(&product, 1), (&rest, 1)])?,
        }))
    }

    fn shifted(&self, ciphertext: Of<E>, constant: f64) -> Result<Of<E>, SlotError> {
        if constant == 0.0 { Ok(ciphertext) } else { self.add_constant(&ciphertext, constant) }
    }
}

/// The level that a part will have where products are rescaled; elsewhere it decides nothing.
fn level_of<P>(cut: Cut, coefficients: &[f64], powers: &BTreeMap<usize, Ciphertext<P>>) -> usize {
    let of = |power: usize| powers[&power].state.level;
    match cut.at(coefficients.len()) {
        None => {
            let used =
                coefficients.iter().enumerate().skip(1).filter(|(_, coefficient)| **coefficient != 0.0);
            used.map(|(power, _)| of(power).saturating_sub(1)).min().unwrap_or(usize::MAX)
        }
        Some(g) => {
            let [quotient, remainder] = cut.divided(coefficients, g);
            let product = level_of(cut, &quotient, powers).min(of(g)).saturating_sub(1);
            product.min(level_of(cut, &remainder, powers))
        }
    }
}
