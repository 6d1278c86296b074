//! Rings over num-bigint: one number after the other, as a program without special arithmetic computes.

use num_bigint::{BigUint, Sign};
use num_traits::One;
use rayon::prelude::*;

use super::{Element, NotAUnit, element};
use crate::math::{
    rows::{Rows, Term},
    wipe::wipe,
};

/// Residues of an odd modulus.
pub(super) struct Numbers {
    modulus: BigUint,
}

impl Drop for Numbers {
    fn drop(&mut self) {
        wipe(&mut self.modulus);
    }
}

impl Numbers {
    pub(super) fn try_new(modulus: BigUint) -> Option<Self> {
        (modulus.bit(0) && !modulus.is_one()).then_some(Self { modulus })
    }

    pub(super) fn reduce(&self, number: &BigUint) -> BigUint {
        number % &self.modulus
    }

    fn product(&self, left: &BigUint, right: &BigUint) -> BigUint {
        left * right % &self.modulus
    }

    pub(super) fn multiply(&self, left: &[&Element], right: &[&Element]) -> Vec<Element> {
        let pairs = left.par_iter().zip(right);
        pairs.map(|(left, right)| element(self.product(left.number(), right.number()))).collect()
    }

    pub(super) fn power(&self, bases: &[&Element], exponent: &BigUint) -> Vec<Element> {
        bases.par_iter().map(|base| element(base.number().modpow(exponent, &self.modulus))).collect()
    }

    pub(super) fn powers(&self, base: &BigUint, exponents: &[&BigUint]) -> Vec<Element> {
        exponents.par_iter().map(|exponent| element(base.modpow(exponent, &self.modulus))).collect()
    }

    /// One exponentiation an input and output, as the papers' scalar products are.
    pub(super) fn products_of_powers(
        &self,
        inputs: &[&Element],
        rows: &Rows<'_>,
    ) -> Result<Vec<Element>, NotAUnit> {
        let columns = rows.columns();
        let jobs: Vec<(&[&Element], &[Term<'_>])> = (0..rows.samples(inputs.len()))
            .flat_map(|sample| rows.iter().map(move |row| (&inputs[sample * columns..], row)))
            .collect();
        jobs.par_iter()
            .map(|(sample, row)| {
                let product = |sign| {
                    let terms = row.iter().filter(|(_, exponent)| exponent.sign() == sign);
                    terms.fold(BigUint::one(), |product, (column, exponent)| {
                        let power = sample[*column].number().modpow(exponent.magnitude(), &self.modulus);
                        self.product(&product, &power)
                    })
                };
                let (plus, minus) = (product(Sign::Plus), product(Sign::Minus));
                let inverse =
                    if minus.is_one() { minus } else { minus.modinv(&self.modulus).ok_or(NotAUnit)? };
                Ok(element(self.product(&plus, &inverse)))
            })
            .collect()
    }

    pub(super) fn invert(&self, elements: &[&Element]) -> Result<Vec<Element>, NotAUnit> {
        elements.par_iter().map(|x| x.number().modinv(&self.modulus).map(element).ok_or(NotAUnit)).collect()
    }

    pub(super) fn scaled_differences(
        &self,
        left: &[BigUint],
        right: &[BigUint],
        factor: &BigUint,
    ) -> Vec<BigUint> {
        let difference = |(left, right): (&BigUint, &BigUint)| {
            let least = right % &self.modulus;
            (left + &self.modulus - least) * factor % &self.modulus
        };
        left.iter().zip(right).map(difference).collect()
    }
}

/// `(x - 1) / root`, and zero for x = 0, which only a multiple of the root can bring.
pub(super) fn quotient(x: &BigUint, root: &BigUint) -> BigUint {
    if *x == BigUint::ZERO { BigUint::ZERO } else { (x - 1_u32) / root }
}
