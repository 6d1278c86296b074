//! What is computed once from parameters, and the switching of keys and moduli.

use std::sync::OnceLock;

use num_bigint::BigUint;
use sha2::{Digest, Sha256};

use super::{Ciphertext, Parameters, RlweError, SwitchingKey};
use crate::math::{
    pool::{for_each, in_pool},
    rns::{
        Basis, Buffer, Conversion, Polynomial, Prime, Reservation,
        polynomial::{Domain, automorphism},
    },
};

/// Parameters with a plaintext modulus t (1 for schemes without one), and tables that are made when they are first needed.
#[derive(Debug)]
pub struct Context {
    parameters: Parameters,
    plaintext_modulus: u64,
    lowest_level: usize,
    fingerprint: u64,
    /// the order of values
    exponents: Vec<usize>,
    /// at every level: division by the special primes, and by the last prime
    by_special: Vec<OnceLock<Division>>,
    by_last: Vec<OnceLock<Division>>,
    /// at every level: from each digit to the other primes
    digits: Vec<OnceLock<Vec<Conversion>>>,
}

impl Context {
    /// The context of parameters, the plaintext modulus by which errors are multiplied, which is prime to them, the lowest level that
    /// ciphertexts may have, and the modulus of messages, 1 where they are reals.
    pub fn new(
        parameters: Parameters,
        plaintext_modulus: u64,
        lowest_level: usize,
        message_modulus: u64,
    ) -> Self {
        let fingerprint = fingerprint(&parameters, [plaintext_modulus, message_modulus]);
        let exponents =
            parameters.modulus().transforms().first().map_or_else(Vec::new, |ntt| ntt.exponents());
        let levels = parameters.levels() + 1;
        Self {
            parameters,
            plaintext_modulus,
            lowest_level,
            fingerprint,
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

    /// What tells it from contexts of other parameters.
    pub(in crate::scheme) fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// The order of values: see [`Ntt::exponents`](crate::math::rns::Ntt::exponents).
    pub fn exponents(&self) -> &[usize] {
        &self.exponents
    }

    /// The primes of a level.
    pub fn basis(&self, level: usize) -> Basis {
        self.parameters.modulus().part(0..level)
    }

    /// Memory for so many ciphertexts of the highest level, and for so many keys for switching, ahead of them.
    pub fn reserve(&self, ciphertexts: usize, keys: usize) -> [Reservation; 2] {
        let levels = self.parameters.levels();
        let digits = self.parameters.digits(levels).len();
        [self.basis(levels).reserve(2 * ciphertexts), self.extended(levels).reserve(2 * digits * keys)]
    }

    /// The primes of a level, and the special ones.
    pub fn extended(&self, level: usize) -> Basis {
        self.basis(level).with(self.parameters.special())
    }

    /// A ciphertext's parts divided by the last prime of its level, and that prime.
    pub(in crate::scheme) fn divided_by_last<T: Copy>(
        &self,
        operation: &'static str,
        ciphertext: &Ciphertext<T>,
    ) -> Result<(Vec<Polynomial>, u64), RlweError> {
        ciphertext.check(operation, self)?;
        let level = ciphertext.level;
        if level < 2 {
            return Err(RlweError::Level { operation, level, needed: 2 });
        }
        let division = self.by_last(level);
        let last = self.parameters.modulus().primes().nth(level - 1).map_or(1, Prime::value);
        let degree = self.parameters.degree();
        let parts = &ciphertext.parts;
        let quotient = |part: &Polynomial| {
            let make = |row: usize, [number]: [&mut [u64]; 1]| {
                number.copy_from_slice(&part.residues()[row * degree..(row + 1) * degree]);
            };
            let [quotient] = division.apply(make, |_, _, _| {});
            quotient
        };
        Ok((in_pool(|| parts.iter().map(quotient).collect()), last))
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
        let conversions = self.conversions(level);
        let weights: Vec<u64> = conversions.iter().flat_map(Conversion::weights).copied().collect();
        let mut weighted = polynomial.clone();
        basis.inverse_times(&mut weighted, &weights);
        let mut digits: Vec<Polynomial> =
            conversions.iter().map(|_| extended.unset(Domain::Values)).collect();
        let parts = digits.iter_mut().zip(conversions).zip(self.parameters.digits(level));
        for_each(parts, |((values, conversion), digit)| {
            let own = digit.start * degree..digit.end * degree;
            let mut rows: Vec<_> = values.rows_mut().collect();
            // The digit's own rows are values already.
            for (row, source) in
                rows.drain(digit.clone()).zip(polynomial.residues()[own.clone()].chunks_exact(degree))
            {
                row.copy_from_slice(source);
            }
            let others = rows.iter_mut().map(|row| &mut **row);
            conversion.convert_weighted(&weighted.residues()[own], degree, others);
            let transforms = extended.transforms();
            let transforms = transforms[..digit.start].iter().chain(&transforms[digit.end..]);
            for_each(rows.into_iter().zip(transforms), |(row, ntt)| ntt.forward(row));
        });
        digits
    }

    /// What stands for `c s'` under s: the sum of a polynomial's digits times the key's, divided by the special primes; each part added to
    /// what is given for it, and then put through the automorphism that finds values at these places.
    pub fn switch(
        &self,
        digits: &[Polynomial],
        key: &SwitchingKey,
        level: usize,
        bases: [Option<&Polynomial>; 2],
        places: Option<&[u32]>,
    ) -> [Polynomial; 2] {
        let extended = self.extended(level);
        let degree = self.parameters.degree();
        let levels = self.parameters.levels();
        let range = |row: usize| row * degree..(row + 1) * degree;
        let make = |row: usize, sums: [&mut [u64]; 2]| {
            // The key has the rows of all levels.
            let place = if row < level { row } else { row - level + levels };
            let terms = digits.iter().zip(key.digits()).map(|(digit, key)| {
                (&digit.residues()[range(row)], key.each_ref().map(|half| &half.residues()[range(place)]))
            });
            extended.transforms()[row].sums_of_products(sums, &terms.collect::<Vec<_>>());
        };
        let finish = |row: usize, parts: [&mut [u64]; 2], spare: [&mut [u64]; 2]| {
            for ((part, spare), base) in parts.into_iter().zip(spare).zip(bases) {
                if let Some(base) = base {
                    extended.transforms()[row].add(part, &base.residues()[range(row)]);
                }
                if let Some(places) = places {
                    spare.copy_from_slice(part);
                    for (value, place) in part.iter_mut().zip(places) {
                        *value = spare[*place as usize];
                    }
                }
            }
        };
        self.by_special(level).apply(make, finish)
    }

    /// Where the automorphism X -> X^`power` finds values.
    pub fn automorphism(&self, power: usize) -> Vec<u32> {
        automorphism(&self.exponents, power)
    }

    /// An automorphism applied to values.
    pub fn permute(&self, polynomial: &Polynomial, places: &[u32]) -> Polynomial {
        polynomial.permuted(places)
    }
}

fn fingerprint(parameters: &Parameters, moduli: [u64; 2]) -> u64 {
    let mut hash = Sha256::new();
    let all = [parameters.modulus(), parameters.special()];
    for basis in all {
        hash.update((basis.len() as u64).to_le_bytes());
        basis.primes().for_each(|prime| hash.update(prime.value().to_le_bytes()));
    }
    for number in [parameters.degree() as u64].into_iter().chain(moduli) {
        hash.update(number.to_le_bytes());
    }
    hash.finalize().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Division by the product D of the last primes of a basis: from c to `(r c - d) / D`, where d is r c modulo D and a multiple of t, of
/// magnitude at most t D / 2.
#[derive(Debug)]
pub struct Division {
    keep: Basis,
    dropped: Basis,
    /// to -t/D times the number
    conversion: Conversion,
    /// r/t modulo the dropped primes, with the conversion's weights
    weights: Vec<u64>,
    /// r/D modulo the others
    inverse: Vec<u64>,
    /// what the quotients are given in
    domain: Domain,
}

impl Division {
    /// Constants for a modulus `keep` times `dropped`, t and r; quotients are given in values.
    pub fn new(keep: Basis, dropped: Basis, plaintext_modulus: u64, multiplier: i64) -> Self {
        let times = vec![1; keep.len()];
        Self::with_factors(keep, dropped, (plaintext_modulus, multiplier), &times, Domain::Values)
    }

    /// The same for quotients that are multiplied by a factor modulo each prime that is kept, and given in this domain.
    pub fn with_factors(
        keep: Basis,
        dropped: Basis,
        (plaintext_modulus, multiplier): (u64, i64),
        times: &[u64],
        domain: Domain,
    ) -> Self {
        let (from, to): (Vec<_>, Vec<_>) = (dropped.primes().collect(), keep.primes().collect());
        let product: BigUint = dropped.product();
        let inverse = |(p, times): (&Prime, &u64)| p.multiply(p.invert(p.reduce_big(&product)), *times);
        let inverse: Vec<u64> = to.iter().zip(times).map(inverse).collect();
        let factors = to.iter().zip(&inverse);
        let factors = factors.map(|(p, inverse)| p.negate(p.multiply(p.reduce(plaintext_modulus), *inverse)));
        let conversion = Conversion::with_factors(&from, &to, &factors.collect::<Vec<_>>());
        let times = |p: &Prime, number| p.multiply(p.reduce_signed(multiplier), number);
        let weights = from.iter().zip(conversion.weights());
        let weights = weights
            .map(|(p, weight)| times(p, p.multiply(p.invert(p.reduce(plaintext_modulus)), *weight)))
            .collect();
        let inverse = to.iter().zip(inverse).map(|(p, inverse)| times(p, inverse)).collect();
        Self { keep, dropped, conversion, weights, inverse, domain }
    }

    /// The quotients of numbers in values, of which `make` makes a row, of the dropped primes or of the others, in a place that is used
    /// again: they are never all in memory. `finish` gets every row of the quotients, and the place.
    pub fn apply<const COUNT: usize>(
        &self,
        make: impl Fn(usize, [&mut [u64]; COUNT]) + Send + Sync,
        finish: impl Fn(usize, [&mut [u64]; COUNT], [&mut [u64]; COUNT]) + Send + Sync,
    ) -> [Polynomial; COUNT] {
        let (kept, degree) = (self.keep.len(), self.keep.degree());
        let mut rests: [_; COUNT] = std::array::from_fn(|_| self.dropped.unset(Domain::Coefficients));
        let rows = across(&mut rests).into_iter().zip(self.dropped.transforms()).zip(&self.weights);
        for_each(rows.enumerate(), |(row, ((mut rests, ntt), weight))| {
            make(kept + row, rests.each_mut().map(|rest| &mut **rest));
            for rest in rests {
                ntt.inverse_times(rest, *weight);
            }
        });
        // -d / D, to which c / D is then added.
        let mut quotients: [_; COUNT] = std::array::from_fn(|_| self.keep.unset(self.domain));
        for_each(quotients.iter_mut().zip(&rests), |(quotient, rest)| {
            self.conversion.convert_weighted(rest.residues(), degree, quotient.rows_mut());
        });
        let rows = across(&mut quotients).into_iter().zip(self.keep.transforms()).zip(&self.inverse);
        for_each(rows.enumerate(), |(row, ((mut quotients, ntt), inverse))| {
            let mut scratch: [_; COUNT] = std::array::from_fn(|_| Buffer::stale(degree));
            make(row, scratch.each_mut().map(|number| &mut **number));
            for (quotient, number) in quotients.iter_mut().zip(&mut scratch) {
                match self.domain {
                    Domain::Values => {
                        ntt.forward(quotient);
                        ntt.add_scaled(quotient, number, *inverse);
                    }
                    Domain::Coefficients => {
                        ntt.inverse_times(number, *inverse);
                        ntt.add(quotient, number);
                    }
                }
            }
            finish(row, quotients, scratch.each_mut().map(|number| &mut **number));
        });
        quotients
    }
}

/// The rows of polynomials, those of one prime together.
fn across<const COUNT: usize>(polynomials: &mut [Polynomial; COUNT]) -> Vec<[&mut [u64]; COUNT]> {
    let mut rows = polynomials.each_mut().map(Polynomial::rows_mut);
    let count = rows.iter().map(ExactSizeIterator::len).min().unwrap_or(0);
    (0..count).map(|_| rows.each_mut().map(|rows| rows.next().unwrap_or_default())).collect()
}
