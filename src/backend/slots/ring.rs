//! Real ciphertexts: several instances of an exact scheme, or one of CKKS.

use num_bigint::{BigInt, BigUint};
use num_complex::Complex64;
use num_traits::{FromPrimitive, ToPrimitive};

use super::{
    Engine, Rules, SlotError, Term,
    integer::{Integer, Modulus, Slot},
};
use crate::{
    math::{
        pool::map,
        rns::{Prime, Reservation},
        stream::Stream,
    },
    network::Row,
    scheme::{
        ckks::{self, Ckks},
        encoding::{Fixed, Scale},
        rlwe::{
            Ciphertext, ExactScheme, Literal, Noise, Place, RlweError, RlweScheme, RotationKeys, SecretKey,
            SwitchingKey, Untagged,
        },
    },
};

/// Keys for products and rotations under one secret.
#[derive(Debug)]
pub struct EvaluationKeys {
    relinearisation: SwitchingKey,
    rotations: RotationKeys,
}

impl EvaluationKeys {
    fn generate<S: RlweScheme>(scheme: &S, secret: &SecretKey, steps: &[i64], randomness: &Stream) -> Self {
        Self {
            relinearisation: scheme
                .generate_relinearisation_key(secret, &randomness.derive("relinearisation")),
            rotations: scheme.generate_rotation_keys(secret, steps, false, &randomness.derive("rotations")),
        }
    }

    fn bytes<S: RlweScheme>(scheme: &S, rotations: usize) -> usize {
        scheme.context().switching_key_bytes() + scheme.context().rotation_keys_bytes(rotations)
    }

    fn reserve<S: RlweScheme>(scheme: &S, ciphertexts: usize, rotations: usize) -> [Reservation; 2] {
        scheme.context().reserve(ciphertexts, 1 + rotations)
    }

    fn write<S: RlweScheme>(&self, scheme: &S, out: &mut Vec<u8>) {
        scheme.context().write_switching_key(&self.relinearisation, out);
        scheme.context().write_rotation_keys(&self.rotations, out);
    }

    fn read<S: RlweScheme>(scheme: &S, bytes: &mut &[u8]) -> Result<Self, SlotError> {
        Ok(Self {
            relinearisation: scheme.context().read_switching_key(bytes)?,
            rotations: scheme.context().read_rotation_keys(bytes)?,
        })
    }
}

fn end(bytes: &[u8]) -> Result<(), SlotError> {
    if bytes.is_empty() {
        return Ok(());
    }
    Err(RlweError::Bytes { what: "keys", why: "something follows them" }.into())
}

/// Integers modulo the product of several plaintext moduli, one instance of the scheme each.
#[derive(Debug)]
pub struct Exact<S> {
    instances: Vec<S>,
    modulus: Modulus,
    /// of every instance: the product of the others' moduli, and its inverse modulo its own
    cofactors: Vec<(Integer, u64)>,
    rules: Rules,
}

impl<S: ExactScheme> Exact<S> {
    /// Instances with these plaintext moduli, which are distinct primes.
    ///
    /// # Errors
    /// Those of the scheme.
    pub fn try_new(literal: &Literal, plaintext_moduli: &[u64], place: Place) -> Result<Self, SlotError> {
        let instances =
            plaintext_moduli.iter().map(|t| S::try_new(literal, *t)).collect::<Result<Vec<_>, _>>()?;
        let modulus: BigUint = plaintext_moduli.iter().product();
        let cofactor = |t: &u64| {
            let others = &modulus / t;
            let inverse = Prime::try_new(*t).map_or(0, |prime| prime.invert(prime.reduce_big(&others)));
            (BigInt::from(others).into(), inverse)
        };
        let noises = instances.iter().map(|one| Noise::new(one.context(), place, one.plaintext_modulus()));
        let noises = noises.collect();
        let levels = literal.modulus_bits.len();
        Ok(Self {
            cofactors: plaintext_moduli.iter().map(cofactor).collect(),
            rules: Rules::exact(modulus.clone(), noises, levels, place == Place::Lowest),
            instances,
            modulus: Modulus::new(modulus),
        })
    }

    /// The product of the plaintext moduli.
    pub fn modulus(&self) -> &BigUint {
        self.modulus.value()
    }

    /// Each instance does something, in parallel.
    fn each<T: Send>(
        &self,
        work: impl Fn(&S, usize) -> Result<T, SlotError> + Sync,
    ) -> Result<Vec<T>, SlotError> {
        map(self.instances.iter().enumerate(), |(index, one)| work(one, index)).into_iter().collect()
    }

    fn encode(one: &S, integers: &[Integer]) -> Result<S::Plaintext, SlotError> {
        // Primes of at most 60 bits.
        let t = i64::try_from(one.plaintext_modulus()).unwrap_or(i64::MAX);
        Ok(one.encode(&integers.iter().map(|integer| integer.residue(t)).collect::<Vec<_>>())?)
    }
}

/// The integers nearest to numbers at a scale.
pub(super) fn integers(values: &[f64], scale: f64) -> Result<Vec<Integer>, SlotError> {
    values.iter().map(|value| Integer::nearest(*value, scale)).collect()
}

/// The integer nearest to a number at a scale, which is a power of two.
fn integer(value: f64, scale: f64) -> Result<BigInt, SlotError> {
    Ok(Fixed::from_f64(value, fraction_bits(scale)?)?.mantissa)
}

/// The fraction bits of a scale.
///
/// # Errors
/// [`RlweError::Scale`] where it is not a power of two of at least 1: circuits over integers do not divide.
pub(super) fn fraction_bits(scale: f64) -> Result<Scale, SlotError> {
    let bits = libm::log2(scale);
    if bits < 0.0 || bits.fract() != 0.0 || !bits.is_finite() {
        let needed = "a power of two, at least 1".to_owned();
        return Err(RlweError::Scale { operation: "fixed-point numbers", scale: bits, needed }.into());
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an exponent of f64")]
    Ok(Scale(bits as u32))
}

/// Rows of integers, each with the input that it is for, and biases.
type Rounded = (Vec<Vec<(usize, BigInt)>>, Vec<BigInt>);

/// Weights at the scales of their inputs, and biases at the scale of the products.
fn rounded(
    rows: &[Row],
    scales: &[f64],
    raw: f64,
    round: impl Fn(f64, f64) -> Result<BigInt, SlotError> + Sync,
) -> Result<Rounded, SlotError> {
    let weights = map(rows, |row| {
        let weight = |&(at, weight): &(usize, f64)| Ok((at, round(weight, scales[at])?));
        row.terms.iter().map(weight).collect::<Result<Vec<_>, SlotError>>()
    });
    let biases = rows.iter().map(|row| round(row.bias, raw));
    Ok((weights.into_iter().collect::<Result<_, SlotError>>()?, biases.collect::<Result<_, SlotError>>()?))
}

impl<S: ExactScheme<Tag = Untagged> + 'static> Engine for Exact<S> {
    type Payload = Vec<Ciphertext<Untagged>>;
    type Number = Slot;
    type Secret = Vec<SecretKey>;
    type Evaluation = Vec<EvaluationKeys>;

    fn rules(&self) -> &Rules {
        &self.rules
    }

    fn slots(&self) -> usize {
        self.instances.first().map_or(0, S::slots)
    }

    fn row(&self) -> usize {
        self.slots() / 2
    }

    fn generate(
        &self,
        steps: &[i64],
        randomness: &Stream,
    ) -> Result<(Self::Secret, Self::Evaluation), SlotError> {
        let keys = self.each(|one, index| {
            let randomness = randomness.item(index as u64);
            let secret = one.generate_secret_key(&randomness.derive("secret"));
            let keys = EvaluationKeys::generate(one, &secret, steps, &randomness);
            Ok((secret, keys))
        })?;
        Ok(keys.into_iter().unzip())
    }

    fn encrypt(
        &self,
        secret: &Self::Secret,
        values: &[f64],
        scale: f64,
        randomness: &Stream,
    ) -> Result<Self::Payload, SlotError> {
        let integers = integers(values, scale)?;
        self.each(|one, index| {
            let plaintext = Self::encode(one, &integers)?;
            Ok(one.encrypt_own(&secret[index], &plaintext, &randomness.item(index as u64))?)
        })
    }

    fn decrypt(
        &self,
        secret: &Self::Secret,
        payload: &Self::Payload,
        scale: f64,
    ) -> Result<Vec<Slot>, SlotError> {
        let scale = fraction_bits(scale)?;
        // By the Chinese remainder theorem: every residue by what is 1 modulo its t and 0 modulo the others.
        let digits = self.each(|one, index| {
            let slots = one.decode(&one.decrypt(&secret[index], &payload[index]));
            let inverse = self.cofactors[index].1;
            let prime = Prime::try_new(one.plaintext_modulus());
            let digit =
                |slot: i64| prime.map_or(0, |prime| prime.multiply(prime.reduce_signed(slot), inverse));
            Ok(slots.into_iter().map(digit).collect::<Vec<_>>())
        })?;
        let number = |slot: usize| {
            let terms = digits.iter().zip(&self.cofactors);
            let sum =
                terms.map(|(digits, (others, _))| &Integer::from(i128::from(digits[slot])) * others).sum();
            Slot { mantissa: self.modulus.centre(sum), scale }
        };
        Ok(map(0..self.slots(), number))
    }

    fn drop_to(&self, payload: &Self::Payload, level: usize) -> Result<Self::Payload, SlotError> {
        self.each(|one, index| Ok(one.drop_to(&payload[index], level)?.into_owned()))
    }

    fn rescale(&self, payload: &Self::Payload) -> Result<Self::Payload, SlotError> {
        Ok(payload.clone())
    }

    fn combine(&self, terms: &[Term<'_, Self::Payload>], _raw: f64) -> Result<Self::Payload, SlotError> {
        let integers =
            terms.iter().map(|term| integer(term.weight, term.scale)).collect::<Result<Vec<_>, _>>()?;
        self.each(|one, index| {
            let prime = Prime::try_new(one.plaintext_modulus());
            let reduced = |integer: &BigInt| {
                prime.map_or_else(BigInt::default, |prime| prime.centre(prime.reduce_integer(integer)).into())
            };
            let terms = terms.iter().zip(&integers);
            let terms: Vec<_> =
                terms.map(|(term, integer)| (&term.payload[index], reduced(integer))).collect();
            Ok(one.combine(&terms, Untagged)?)
        })
    }

    fn add_constant(
        &self,
        payload: &Self::Payload,
        value: f64,
        scale: f64,
    ) -> Result<Self::Payload, SlotError> {
        let integer = integer(value, scale)?;
        self.each(|one, index| Ok(one.add_integer(&payload[index], &integer)))
    }

    fn dot(
        &self,
        evaluation: &Self::Evaluation,
        pairs: &[(&Self::Payload, &Self::Payload)],
    ) -> Result<Self::Payload, SlotError> {
        self.each(|one, index| {
            let pairs: Vec<_> = pairs.iter().map(|(left, right)| (&left[index], &right[index])).collect();
            Ok(one.relinearise(&one.dot(&pairs)?, &evaluation[index].relinearisation))
        })
    }

    fn layer(
        &self,
        inputs: &[&Self::Payload],
        scales: &[f64],
        rows: &[Row],
        raw: f64,
    ) -> Result<Vec<Self::Payload>, SlotError> {
        let (weights, biases) = rounded(rows, scales, raw, integer)?;
        let outputs = self.each(|one, index| {
            let inputs: Vec<_> = inputs.iter().map(|input| &input[index]).collect();
            let prime = Prime::try_new(one.plaintext_modulus());
            // Of least magnitude modulo t.
            let reduced =
                |integer: &BigInt| prime.map_or(0, |prime| prime.centre(prime.reduce_integer(integer)));
            let row = |row: &Vec<(usize, BigInt)>| row.iter().map(|(at, one)| (*at, reduced(one))).collect();
            let rows: Vec<_> = weights.iter().map(row).collect();
            Ok(one.layer(&inputs, &rows, &biases, Untagged)?)
        })?;
        let mut outputs: Vec<_> = outputs.into_iter().map(Vec::into_iter).collect();
        Ok(rows.iter().map(|_| outputs.iter_mut().filter_map(Iterator::next).collect()).collect())
    }

    fn square(&self, payload: &Self::Payload) -> Result<Self::Payload, SlotError> {
        self.each(|one, index| Ok(one.multiply(&payload[index], &payload[index])?))
    }

    fn relinearise(
        &self,
        evaluation: &Self::Evaluation,
        payload: &Self::Payload,
    ) -> Result<Self::Payload, SlotError> {
        self.each(|one, index| Ok(one.relinearise(&payload[index], &evaluation[index].relinearisation)))
    }

    fn multiply_vector(
        &self,
        payload: &Self::Payload,
        values: &[f64],
        scale: f64,
    ) -> Result<Self::Payload, SlotError> {
        let integers = integers(values, scale)?;
        self.each(|one, index| Ok(one.multiply_plain(&payload[index], &Self::encode(one, &integers)?)))
    }

    fn rotate(
        &self,
        evaluation: &Self::Evaluation,
        payload: &Self::Payload,
        steps: &[i64],
    ) -> Result<Vec<Self::Payload>, SlotError> {
        let rotated = self.each(|one, index| {
            Ok(one.rotate_many(&payload[index], steps, &evaluation[index].rotations)?)
        })?;
        let of = |step: usize| rotated.iter().map(|one| one[step].clone()).collect();
        Ok((0..steps.len()).map(of).collect())
    }

    fn evaluation_bytes(&self, rotations: usize) -> usize {
        self.instances.iter().map(|one| EvaluationKeys::bytes(one, rotations)).sum()
    }

    fn reserve(&self, payloads: usize, rotations: usize) -> Vec<Reservation> {
        self.instances.iter().flat_map(|one| EvaluationKeys::reserve(one, payloads, rotations)).collect()
    }

    fn payload_bytes(&self, level: usize, fresh: bool) -> usize {
        self.instances.iter().map(|one| one.context().ciphertext_bytes(level, fresh)).sum()
    }

    fn write_evaluation(&self, evaluation: &Self::Evaluation, out: &mut Vec<u8>) {
        for (one, keys) in self.instances.iter().zip(evaluation) {
            keys.write(one, out);
        }
    }

    fn read_evaluation(&self, mut bytes: &[u8]) -> Result<Self::Evaluation, SlotError> {
        let keys = self
            .instances
            .iter()
            .map(|one| EvaluationKeys::read(one, &mut bytes))
            .collect::<Result<_, _>>()?;
        end(bytes)?;
        Ok(keys)
    }

    fn write(&self, payload: &Self::Payload, _level: usize, _fresh: bool, out: &mut Vec<u8>) {
        for (one, ciphertext) in self.instances.iter().zip(payload) {
            one.context().write_ciphertext(ciphertext, out);
        }
    }

    fn read(&self, bytes: &mut &[u8], _fresh: bool) -> Result<(Self::Payload, usize), SlotError> {
        let read = |one: &S| one.context().read_ciphertext(bytes);
        let payload = self.instances.iter().map(read).collect::<Result<Vec<Ciphertext<Untagged>>, _>>()?;
        let level = payload.first().map_or(0, Ciphertext::level);
        let same = payload.iter().all(|one| one.level() == level && one.parts() == 2);
        let why = "its instances do not fit each other";
        if same { Ok((payload, level)) } else { Err(RlweError::Bytes { what: "a ciphertext", why }.into()) }
    }
}

/// Reals with errors under CKKS.
#[derive(Debug)]
pub struct Approximate {
    scheme: Ckks,
    rules: Rules,
}

impl Approximate {
    /// The engine whose products come back to a scale.
    ///
    /// # Errors
    /// Those of the scheme.
    pub fn try_new(literal: &Literal, scale: f64) -> Result<Self, SlotError> {
        let scheme = Ckks::try_new(literal)?;
        let primes = scheme.parameters().modulus().primes().map(|prime| prime.value() as f64).collect();
        let noise = Noise::new(scheme.context(), Place::Together, 1);
        Ok(Self { rules: Rules::approximate(scale, primes, noise), scheme })
    }

    fn encode(&self, values: &[f64], scale: f64) -> Result<ckks::Plaintext, SlotError> {
        let values: Vec<_> = values.iter().map(|value| Complex64::new(*value, 0.0)).collect();
        Ok(self.scheme.encode(&values, scale)?)
    }
}

/// The integer nearest to a number at any scale.
fn nearest(value: f64, scale: f64) -> Result<BigInt, SlotError> {
    let not_finite = crate::scheme::encoding::EncodingError::NotFinite { value };
    BigInt::from_f64(libm::rint(value * scale)).ok_or(SlotError::Encoding(not_finite))
}

impl Engine for Approximate {
    type Payload = Ciphertext<ckks::Scale>;
    type Number = f64;
    type Secret = SecretKey;
    type Evaluation = EvaluationKeys;

    fn rules(&self) -> &Rules {
        &self.rules
    }

    fn slots(&self) -> usize {
        self.scheme.slots()
    }

    fn row(&self) -> usize {
        self.slots()
    }

    fn generate(&self, steps: &[i64], randomness: &Stream) -> Result<(SecretKey, EvaluationKeys), SlotError> {
        let secret = self.scheme.generate_secret_key(&randomness.derive("secret"));
        let keys = EvaluationKeys::generate(&self.scheme, &secret, steps, randomness);
        Ok((secret, keys))
    }

    fn encrypt(
        &self,
        secret: &SecretKey,
        values: &[f64],
        scale: f64,
        randomness: &Stream,
    ) -> Result<Self::Payload, SlotError> {
        Ok(self.scheme.encrypt_own(secret, &self.encode(values, scale)?, randomness)?)
    }

    fn decrypt(
        &self,
        secret: &SecretKey,
        payload: &Self::Payload,
        scale: f64,
    ) -> Result<Vec<f64>, SlotError> {
        // What the peer wrote beside the ciphertext is not believed.
        self.rules.same_scale("decryption", scale, payload.scale())?;
        let slots = self.scheme.decode(&self.scheme.decrypt(secret, payload));
        Ok(slots.into_iter().map(|slot| slot.re).collect())
    }

    fn drop_to(&self, payload: &Self::Payload, level: usize) -> Result<Self::Payload, SlotError> {
        Ok(self.scheme.drop_to(payload, level)?.into_owned())
    }

    fn rescale(&self, payload: &Self::Payload) -> Result<Self::Payload, SlotError> {
        Ok(self.scheme.lower(payload)?)
    }

    fn combine(&self, terms: &[Term<'_, Self::Payload>], raw: f64) -> Result<Self::Payload, SlotError> {
        let terms = terms.iter().map(|term| Ok((term.payload, nearest(term.weight, term.scale)?)));
        Ok(self.scheme.combine(&terms.collect::<Result<Vec<_>, SlotError>>()?, ckks::Scale(raw))?)
    }

    fn add_constant(
        &self,
        payload: &Self::Payload,
        value: f64,
        scale: f64,
    ) -> Result<Self::Payload, SlotError> {
        Ok(self.scheme.add_integer(payload, &nearest(value, scale)?))
    }

    fn dot(
        &self,
        evaluation: &EvaluationKeys,
        pairs: &[(&Self::Payload, &Self::Payload)],
    ) -> Result<Self::Payload, SlotError> {
        Ok(self.scheme.relinearise(&self.scheme.dot(pairs)?, &evaluation.relinearisation))
    }

    fn layer(
        &self,
        inputs: &[&Self::Payload],
        scales: &[f64],
        rows: &[Row],
        raw: f64,
    ) -> Result<Vec<Self::Payload>, SlotError> {
        let (weights, biases) = rounded(rows, scales, raw, nearest)?;
        let short = |row: &Vec<(usize, BigInt)>| {
            row.iter().map(|(at, integer)| Some((*at, integer.to_i64()?))).collect::<Option<Vec<_>>>()
        };
        if let Some(rows) = weights.iter().map(short).collect::<Option<Vec<_>>>() {
            return Ok(self.scheme.layer(inputs, &rows, &biases, ckks::Scale(raw))?);
        }
        let sum = |(row, bias): (&Vec<(usize, BigInt)>, &BigInt)| {
            let terms: Vec<_> = row.iter().map(|(at, one)| (inputs[*at], one.clone())).collect();
            Ok(self.scheme.add_integer(&self.scheme.combine(&terms, ckks::Scale(raw))?, bias))
        };
        map(weights.iter().zip(&biases), sum).into_iter().collect()
    }

    fn square(&self, payload: &Self::Payload) -> Result<Self::Payload, SlotError> {
        Ok(self.scheme.multiply(payload, payload)?)
    }

    fn relinearise(
        &self,
        evaluation: &EvaluationKeys,
        payload: &Self::Payload,
    ) -> Result<Self::Payload, SlotError> {
        Ok(self.scheme.relinearise(payload, &evaluation.relinearisation))
    }

    fn multiply_vector(
        &self,
        payload: &Self::Payload,
        values: &[f64],
        scale: f64,
    ) -> Result<Self::Payload, SlotError> {
        Ok(self.scheme.multiply_plain(payload, &self.encode(values, scale)?))
    }

    fn rotate(
        &self,
        evaluation: &EvaluationKeys,
        payload: &Self::Payload,
        steps: &[i64],
    ) -> Result<Vec<Self::Payload>, SlotError> {
        Ok(self.scheme.rotate_many(payload, steps, &evaluation.rotations)?)
    }

    fn evaluation_bytes(&self, rotations: usize) -> usize {
        EvaluationKeys::bytes(&self.scheme, rotations)
    }

    fn reserve(&self, payloads: usize, rotations: usize) -> Vec<Reservation> {
        EvaluationKeys::reserve(&self.scheme, payloads, rotations).into()
    }

    fn payload_bytes(&self, level: usize, fresh: bool) -> usize {
        self.scheme.context().ciphertext_bytes(level, fresh)
    }

    fn write_evaluation(&self, evaluation: &EvaluationKeys, out: &mut Vec<u8>) {
        evaluation.write(&self.scheme, out);
    }

    fn read_evaluation(&self, mut bytes: &[u8]) -> Result<EvaluationKeys, SlotError> {
        let keys = EvaluationKeys::read(&self.scheme, &mut bytes)?;
        end(bytes)?;
        Ok(keys)
    }

    fn write(&self, payload: &Self::Payload, _level: usize, _fresh: bool, out: &mut Vec<u8>) {
        self.scheme.context().write_ciphertext(payload, out);
    }

    fn read(&self, bytes: &mut &[u8], _fresh: bool) -> Result<(Self::Payload, usize), SlotError> {
        let payload: Self::Payload = self.scheme.context().read_ciphertext(bytes)?;
        if payload.parts() != 2 {
            return Err(RlweError::Bytes { what: "a ciphertext", why: "it is not relinearised" }.into());
        }
        let level = payload.level();
        Ok((payload, level))
    }
}

#[cfg(test)]
impl<S: ExactScheme<Tag = Untagged>> Exact<S> {
    /// Bits that the secret key sees left in the worst instance.
    pub(super) fn noise_budget(&self, secret: &[SecretKey], payload: &[Ciphertext<Untagged>]) -> f64 {
        let budgets = self.instances.iter().zip(secret).zip(payload);
        budgets.map(|((one, key), payload)| one.noise_budget(key, payload)).fold(f64::INFINITY, f64::min)
    }
}
