//! Arithmetic modulo one odd number or the square of one, on whole batches.
//!
//! There are two implementations behind one interface, which give the same numbers: [`Arithmetic::NumBigint`] is what
//! the papers' plain big integers stand for, [`Arithmetic::Vector`] computes eight or four numbers at once and knows the form of
//! its modulus. Batches are spread over the threads; the results depend on the arguments alone.
//!
//! # Time
//! With vectors, exponentiations take the same steps and touch the same memory for all exponents of a length, whatever
//! the numbers are, unless the method is named `_vartime`. num-bigint's time depends on the numbers: do not offer it to
//! somebody who can measure it finely.

mod digits;
mod lanes;
mod number;

use std::borrow::Borrow;

use self::digits::Digits;
use crate::math::{rows::Rows, wipe::wipe};
use num_bigint::BigUint;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which implementation computes.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Arithmetic {
    /// One number after the other in num-bigint.
    NumBigint,
    /// Eight or four numbers at once where the processor can, else a portable form of the same algorithms.
    #[default]
    Vector,
}

/// The residues modulo an odd number m above 1. Wiped when dropped; no `Debug`.
pub struct Ring {
    modulus: BigUint,
    /// s, where m is s^2 by construction
    root: Option<BigUint>,
    kind: Kind,
}

enum Kind {
    Number(number::Numbers),
    Lanes(Box<lanes::Lanes>),
}

/// A residue in the form that its ring computes with. Rings with the same modulus and arithmetic share their elements;
/// an element in another ring gives meaningless results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element(Form);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    Number(BigUint),
    Digits(Digits),
}

/// Powers of one element, from which others are put together; see [`Ring::powers_of`].
pub struct Powers(Table);

enum Table {
    Number { base: BigUint },
    Lanes(lanes::Powers),
}

impl Drop for Ring {
    fn drop(&mut self) {
        wipe(&mut self.modulus);
        if let Some(root) = &mut self.root {
            wipe(root);
        }
    }
}

impl Element {
    /// Overwrites the digits; those that others share, a batch or clones, with the last of them.
    pub fn wipe(&mut self) {
        match &mut self.0 {
            Form::Number(number) => wipe(number),
            Form::Digits(digits) => digits.wipe(),
        }
    }

    fn number(&self) -> &BigUint {
        static ZERO: BigUint = BigUint::ZERO;
        match &self.0 {
            Form::Number(number) => number,
            Form::Digits(_) => &ZERO,
        }
    }

    fn digits(&self) -> &[u64] {
        match &self.0 {
            Form::Digits(digits) => digits,
            Form::Number(_) => &[],
        }
    }
}

impl From<Digits> for Element {
    fn from(digits: Digits) -> Self {
        Self(Form::Digits(digits))
    }
}

impl Ring {
    /// The residues modulo `modulus`; `None` when it is even or 1.
    pub fn modulo(modulus: BigUint, arithmetic: Arithmetic) -> Option<Self> {
        let kind = match arithmetic {
            Arithmetic::NumBigint => Kind::Number(number::Numbers::try_new(modulus.clone())?),
            Arithmetic::Vector => Kind::Lanes(Box::new(lanes::Lanes::try_new(&modulus, false)?)),
        };
        Some(Self { modulus, root: None, kind })
    }

    /// The residues modulo the square of `root`; `None` when it is even or 1.
    pub fn modulo_square(root: BigUint, arithmetic: Arithmetic) -> Option<Self> {
        let modulus = &root * &root;
        let kind = match arithmetic {
            Arithmetic::NumBigint => Kind::Number(number::Numbers::try_new(modulus.clone())?),
            Arithmetic::Vector => Kind::Lanes(Box::new(lanes::Lanes::try_new(&root, true)?)),
        };
        Some(Self { modulus, root: Some(root), kind })
    }

    /// m
    pub fn modulus(&self) -> &BigUint {
        &self.modulus
    }

    /// Which implementation computes.
    pub fn arithmetic(&self) -> Arithmetic {
        match self.kind {
            Kind::Number(_) => Arithmetic::NumBigint,
            Kind::Lanes(_) => Arithmetic::Vector,
        }
    }

    /// The elements for numbers of at most twice the modulus's length.
    pub fn read(&self, numbers: &[&BigUint]) -> Vec<Element> {
        match &self.kind {
            Kind::Number(ring) => numbers.iter().map(|number| element(ring.reduce(number))).collect(),
            Kind::Lanes(ring) => digits(ring.read(numbers)),
        }
    }

    /// The numbers of elements, below m.
    pub fn write(&self, elements: &[impl Borrow<Element>]) -> Vec<BigUint> {
        match &self.kind {
            Kind::Number(_) => elements.iter().map(|element| element.borrow().number().clone()).collect(),
            Kind::Lanes(ring) => ring.write(&views(elements)),
        }
    }

    /// 1
    pub fn one(&self) -> Element {
        match &self.kind {
            Kind::Number(_) => element(1_u32.into()),
            Kind::Lanes(ring) => Digits::from(Box::<[u64]>::from(ring.one())).into(),
        }
    }

    /// The products, pair by pair; as many as the shorter list has.
    pub fn multiply(
        &self,
        left: &[impl Borrow<Element> + Sync],
        right: &[impl Borrow<Element> + Sync],
    ) -> Vec<Element> {
        match &self.kind {
            Kind::Number(ring) => ring.multiply(&borrowed(left), &borrowed(right)),
            Kind::Lanes(ring) => ring.multiply(
                left.len().min(right.len()),
                |i| left[i].borrow().digits(),
                |i| right[i].borrow().digits(),
            ),
        }
    }

    /// Every base to the same secret exponent, of whose value only the length in bits shows.
    pub fn power(&self, bases: &[impl Borrow<Element>], exponent: &BigUint) -> Vec<Element> {
        match &self.kind {
            Kind::Number(ring) => ring.power(&borrowed(bases), exponent),
            Kind::Lanes(ring) => digits(ring.power(&views(bases), exponent, false)),
        }
    }

    /// Every base to the same public exponent.
    pub fn power_vartime(&self, bases: &[impl Borrow<Element>], exponent: &BigUint) -> Vec<Element> {
        match &self.kind {
            Kind::Number(ring) => ring.power(&borrowed(bases), exponent),
            Kind::Lanes(ring) => digits(ring.power(&views(bases), exponent, true)),
        }
    }

    /// A table for exponents of up to `bits` bits: 64 powers for every six of them.
    pub fn powers_of(&self, base: &Element, bits: u64) -> Powers {
        self.table_of(base, bits, false)
    }

    /// The same for a table that is often used: modulo a square it takes twice as long, and a power from it a fifth less.
    pub fn lasting_powers_of(&self, base: &Element, bits: u64) -> Powers {
        self.table_of(base, bits, true)
    }

    fn table_of(&self, base: &Element, bits: u64, lasting: bool) -> Powers {
        Powers(match &self.kind {
            Kind::Number(_) => Table::Number { base: base.number().clone() },
            Kind::Lanes(ring) => Table::Lanes(ring.powers_of(base.digits(), bits, lasting)),
        })
    }

    /// The base of a table to secret exponents below 2^`bits`, which is at most what the table was made for.
    pub fn power_of_fixed(&self, powers: &Powers, exponents: &[&BigUint], bits: u64) -> Vec<Element> {
        match (&self.kind, &powers.0) {
            (Kind::Number(ring), Table::Number { base }) => ring.powers(base, exponents),
            (Kind::Lanes(ring), Table::Lanes(table)) => digits(ring.power_of_fixed(table, exponents, bits)),
            // A table of another ring: the caller's mistake, as with elements.
            _ => exponents.iter().map(|_| self.one()).collect(),
        }
    }

    /// For every sample, a stretch of as many inputs as there are columns, and every row, sample by sample: the product of the
    /// inputs to the powers of the row's signed exponents. Where there are no columns there is one sample.
    ///
    /// Time depends on the exponents.
    ///
    /// # Errors
    /// `Err` when an input to a negative power is no unit.
    pub fn products_of_powers_vartime(
        &self,
        inputs: &[impl Borrow<Element>],
        rows: &Rows<'_>,
    ) -> Result<Vec<Element>, NotAUnit> {
        match &self.kind {
            Kind::Number(ring) => ring.products_of_powers(&borrowed(inputs), rows),
            Kind::Lanes(ring) => Ok(digits(ring.products_of_powers(&views(inputs), rows)?)),
        }
    }

    /// The inverses of units. Time depends on them.
    ///
    /// # Errors
    /// `Err` when one is no unit.
    pub fn invert_vartime(&self, elements: &[impl Borrow<Element>]) -> Result<Vec<Element>, NotAUnit> {
        match &self.kind {
            Kind::Number(ring) => ring.invert(&borrowed(elements)),
            Kind::Lanes(ring) => Ok(digits(ring.invert(&views(elements))?)),
        }
    }

    /// `(x - 1) / s` modulo s for elements that are 1 modulo s, where m is s^2: Paillier's L. Zeros in other rings.
    pub fn quotients(&self, elements: &[impl Borrow<Element>]) -> Vec<BigUint> {
        match (&self.kind, &self.root) {
            (_, None) => vec![BigUint::ZERO; elements.len()],
            (Kind::Number(_), Some(root)) => {
                elements.iter().map(|x| number::quotient(x.borrow().number(), root)).collect()
            }
            (Kind::Lanes(ring), Some(_)) => ring.quotients(&views(elements)),
        }
    }

    /// `(left - right) factor` modulo m, pair by pair, for numbers of at most the modulus's length: a step of the Chinese
    /// remainder theorem.
    pub fn scaled_differences(&self, left: &[BigUint], right: &[BigUint], factor: &Element) -> Vec<BigUint> {
        match &self.kind {
            Kind::Number(ring) => ring.scaled_differences(left, right, factor.number()),
            Kind::Lanes(ring) => ring.scaled_differences(left, right, factor.digits()),
        }
    }
}

/// An element had no inverse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a unit of the ring")]
pub struct NotAUnit;

fn element(number: BigUint) -> Element {
    Element(Form::Number(number))
}

fn digits(residues: Vec<impl Into<Digits>>) -> Vec<Element> {
    residues.into_iter().map(|digits| Element::from(digits.into())).collect()
}

fn borrowed(elements: &[impl Borrow<Element>]) -> Vec<&Element> {
    elements.iter().map(Borrow::borrow).collect()
}

fn views(elements: &[impl Borrow<Element>]) -> Vec<&[u64]> {
    elements.iter().map(|element| element.borrow().digits()).collect()
}

#[cfg(test)]
mod tests;
