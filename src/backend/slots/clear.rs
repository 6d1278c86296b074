//! Numbers in the clear: as they are, or as the twins of ciphertexts, which take the same course and the same bytes.

use num_bigint::{BigInt, BigUint};
use num_integer::Integer;
use rayon::prelude::*;

use super::{
    Engine, Rules, SlotError, Term,
    ring::{fraction_bits, integer},
};
use crate::{
    math::stream::Stream,
    network::Row,
    scheme::{
        encoding::{Fixed, centred},
        rlwe::RlweError,
    },
};

/// Slots, keys and lengths of the engine that a twin stands for.
#[derive(Debug, Clone)]
struct Shape {
    rules: Rules,
    slots: usize,
    row: usize,
    /// of keys without rotations, and of a rotation's more
    evaluation_bytes: [usize; 2],
    /// by level: a payload's, fresh and not
    payload_bytes: Vec<[usize; 2]>,
}

impl Shape {
    fn of<E: Engine>(engine: &E, levels: usize) -> Self {
        let without = engine.evaluation_bytes(0);
        let bytes = |level: usize| {
            // There is no level 0.
            let level = level.max(1);
            [engine.payload_bytes(level, true), engine.payload_bytes(level, false)]
        };
        Self {
            rules: engine.rules().clone(),
            slots: engine.slots(),
            row: engine.row(),
            evaluation_bytes: [without, engine.evaluation_bytes(1) - without],
            payload_bytes: (0..=levels).map(bytes).collect(),
        }
    }

    fn evaluation_bytes(&self, rotations: usize) -> usize {
        self.evaluation_bytes[0] + rotations * self.evaluation_bytes[1]
    }

    fn payload_bytes(&self, level: usize, fresh: bool) -> usize {
        self.payload_bytes[level][usize::from(!fresh)]
    }

    /// Pads to the length of a payload of a level, with the level first.
    fn write(&self, level: usize, fresh: bool, numbers: impl Iterator<Item = Vec<u8>>, out: &mut Vec<u8>) {
        let end = out.len() + self.payload_bytes(level, fresh);
        out.push(u8::try_from(level).unwrap_or(u8::MAX));
        numbers.for_each(|number| out.extend(number));
        debug_assert!(out.len() <= end, "numbers in the clear are shorter than ciphertexts");
        out.resize(end, 0);
    }

    /// The level, and so many bytes a slot.
    fn read<'b>(
        &self,
        bytes: &mut &'b [u8],
        fresh: bool,
        width: usize,
    ) -> Result<(usize, std::slice::ChunksExact<'b, u8>), SlotError> {
        let bad = |why| SlotError::from(RlweError::Bytes { what: "a ciphertext's twin", why });
        let level = usize::from(*bytes.first().ok_or(bad("it ends too early"))?);
        if level == 0 || level >= self.payload_bytes.len() {
            return Err(bad("its level does not exist"));
        }
        let (payload, rest) =
            bytes.split_at_checked(self.payload_bytes(level, fresh)).ok_or(bad("it ends too early"))?;
        *bytes = rest;
        let numbers = payload.get(1..1 + width * self.slots).ok_or(bad("it is too short"))?;
        Ok((level, numbers.chunks_exact(width.max(1))))
    }
}

/// Vectors by slot, rotated to the left within rows.
fn rotated<T: Clone>(slots: &[T], row: usize, steps: i64) -> Vec<T> {
    let by = usize::try_from(steps.rem_euclid(i64::try_from(row).unwrap_or(i64::MAX))).unwrap_or(0);
    slots.chunks(row).flat_map(|row| [&row[by..], &row[..by]].concat()).collect()
}

/// The methods of an engine that are those of its shape.
macro_rules! shaped {
    () => {
        fn rules(&self) -> &Rules {
            &self.shape.rules
        }

        fn slots(&self) -> usize {
            self.shape.slots
        }

        fn row(&self) -> usize {
            self.shape.row
        }

        fn generate(&self, steps: &[i64], _randomness: &Stream) -> Result<((), usize), SlotError> {
            Ok(((), steps.len()))
        }

        fn evaluation_bytes(&self, rotations: usize) -> usize {
            self.shape.evaluation_bytes(rotations)
        }

        fn payload_bytes(&self, level: usize, fresh: bool) -> usize {
            self.shape.payload_bytes(level, fresh)
        }

        fn write_evaluation(&self, evaluation: &usize) -> Vec<u8> {
            vec![0; self.shape.evaluation_bytes(*evaluation)]
        }

        fn read_evaluation(&self, bytes: &[u8]) -> Result<usize, SlotError> {
            let rotations = bytes.len().saturating_sub(self.shape.evaluation_bytes[0])
                / self.shape.evaluation_bytes[1].max(1);
            let (what, found, expected) = ("keys", bytes.len(), self.shape.evaluation_bytes(rotations));
            if found == expected { Ok(rotations) } else { Err(SlotError::Length { what, found, expected }) }
        }
    };
}

/// The twin of [`Exact`](super::Exact): integers modulo the same modulus.
#[derive(Debug, Clone)]
pub struct Integers {
    shape: Shape,
    modulus: BigUint,
    signed: BigInt,
    half: BigUint,
}

impl Integers {
    /// The twin of an engine with so many levels.
    pub fn of<E: Engine>(engine: &E, levels: usize, modulus: &BigUint) -> Self {
        let half = modulus >> 1_u32;
        let signed = modulus.clone().into();
        Self { shape: Shape::of(engine, levels), modulus: modulus.clone(), signed, half }
    }

    fn reduce(&self, number: BigInt) -> BigInt {
        if *number.magnitude() <= self.half {
            return number;
        }
        centred(&number.mod_floor(&self.signed).to_biguint().unwrap_or_default(), &self.modulus)
    }

    fn width(&self) -> usize {
        usize::try_from(self.modulus.bits() / 8 + 1).unwrap_or(usize::MAX)
    }

    fn of_slots(&self, level: usize, slot: impl Fn(usize) -> BigInt + Sync) -> (Vec<BigInt>, usize) {
        ((0..self.shape.slots).into_par_iter().map(|index| self.reduce(slot(index))).collect(), level)
    }
}

impl Engine for Integers {
    /// The slots and the level.
    type Payload = (Vec<BigInt>, usize);
    type Number = Fixed;
    type Secret = ();
    /// How many rotations have keys.
    type Evaluation = usize;

    shaped!();

    fn encrypt(
        &self,
        _secret: &(),
        values: &[f64],
        scale: f64,
        _randomness: &Stream,
    ) -> Result<Self::Payload, SlotError> {
        let mut slots = values
            .iter()
            .map(|value| Ok(self.reduce(integer(*value, scale)?)))
            .collect::<Result<Vec<_>, SlotError>>()?;
        slots.resize(self.shape.slots, BigInt::ZERO);
        Ok((slots, self.shape.payload_bytes.len() - 1))
    }

    fn decrypt(&self, _secret: &(), (slots, _): &Self::Payload, scale: f64) -> Result<Vec<Fixed>, SlotError> {
        let scale = fraction_bits(scale)?;
        Ok(slots.iter().map(|slot| Fixed { mantissa: slot.clone(), scale }).collect())
    }

    fn drop_to(&self, (slots, _): &Self::Payload, level: usize) -> Result<Self::Payload, SlotError> {
        Ok((slots.clone(), level))
    }

    fn rescale(&self, payload: &Self::Payload) -> Result<Self::Payload, SlotError> {
        Ok(payload.clone())
    }

    fn combine(&self, terms: &[Term<'_, Self::Payload>], _raw: f64) -> Result<Self::Payload, SlotError> {
        let integers =
            terms.iter().map(|term| integer(term.weight, term.scale)).collect::<Result<Vec<_>, _>>()?;
        let level = terms.first().map_or(0, |term| term.payload.1);
        let sum = |slot: usize| {
            terms.iter().zip(&integers).map(|(term, integer)| &term.payload.0[slot] * integer).sum()
        };
        Ok(self.of_slots(level, sum))
    }

    fn add_constant(
        &self,
        (slots, level): &Self::Payload,
        value: f64,
        scale: f64,
    ) -> Result<Self::Payload, SlotError> {
        let integer = integer(value, scale)?;
        Ok(self.of_slots(*level, |slot| &slots[slot] + &integer))
    }

    fn dot(
        &self,
        _evaluation: &usize,
        pairs: &[(&Self::Payload, &Self::Payload)],
    ) -> Result<Self::Payload, SlotError> {
        let level = pairs.first().map_or(0, |(left, _)| left.1);
        Ok(self
            .of_slots(level, |slot| pairs.iter().map(|(left, right)| &left.0[slot] * &right.0[slot]).sum()))
    }

    fn square(&self, payload: &Self::Payload) -> Result<Self::Payload, SlotError> {
        self.dot(&0, &[(payload, payload)])
    }

    fn relinearise(&self, _evaluation: &usize, payload: &Self::Payload) -> Result<Self::Payload, SlotError> {
        Ok(payload.clone())
    }

    fn multiply_vector(
        &self,
        (slots, level): &Self::Payload,
        values: &[f64],
        scale: f64,
    ) -> Result<Self::Payload, SlotError> {
        let integers = values.iter().map(|value| integer(*value, scale)).collect::<Result<Vec<_>, _>>()?;
        let product = |slot: usize| integers.get(slot).map_or(BigInt::ZERO, |integer| &slots[slot] * integer);
        Ok(self.of_slots(*level, product))
    }

    fn rotate(
        &self,
        _evaluation: &usize,
        (slots, level): &Self::Payload,
        steps: &[i64],
    ) -> Result<Vec<Self::Payload>, SlotError> {
        Ok(steps.iter().map(|steps| (rotated(slots, self.shape.row, *steps), *level)).collect())
    }

    fn write(&self, (slots, _): &Self::Payload, level: usize, fresh: bool, out: &mut Vec<u8>) {
        let number = |slot: &BigInt| {
            let mut bytes = slot.mod_floor(&self.signed).to_biguint().unwrap_or_default().to_bytes_le();
            bytes.resize(self.width(), 0);
            bytes
        };
        self.shape.write(level, fresh, slots.iter().map(number), out);
    }

    fn read(&self, bytes: &mut &[u8], fresh: bool) -> Result<(Self::Payload, usize), SlotError> {
        let (level, numbers) = self.shape.read(bytes, fresh, self.width())?;
        let slots = numbers.map(|number| centred(&BigUint::from_bytes_le(number), &self.modulus)).collect();
        Ok(((slots, level), level))
    }
}

/// Reals: as they are, or as the twin of [`Approximate`](super::Approximate) with constants rounded as there, and without its errors.
#[derive(Debug, Clone)]
pub struct Reals {
    shape: Shape,
    rounds: bool,
}

impl Reals {
    /// The twin of an engine with so many levels.
    pub fn of<E: Engine>(engine: &E, levels: usize) -> Self {
        Self { shape: Shape::of(engine, levels), rounds: true }
    }

    /// Vectors of so many numbers; nothing is rounded, and levels do not exist.
    pub fn exact(slots: usize) -> Self {
        let payload_bytes = vec![[1 + 8 * slots; 2]; 2];
        let shape =
            Shape { rules: Rules::real(), slots, row: slots, evaluation_bytes: [0, 0], payload_bytes };
        Self { shape, rounds: false }
    }

    /// As many numbers as an engine's payloads hold, which rotate alike; nothing is rounded, and levels do not exist.
    pub fn like<E: Engine>(engine: &E) -> Self {
        let mut exact = Self::exact(engine.slots());
        exact.shape.row = engine.row();
        exact
    }

    fn round(&self, value: f64, scale: f64) -> f64 {
        if self.rounds { libm::rint(value * scale) / scale } else { value }
    }
}

impl Engine for Reals {
    /// The slots and the level.
    type Payload = (Vec<f64>, usize);
    type Number = f64;
    type Secret = ();
    /// How many rotations have keys.
    type Evaluation = usize;

    shaped!();

    fn encrypt(
        &self,
        _secret: &(),
        values: &[f64],
        _scale: f64,
        _randomness: &Stream,
    ) -> Result<Self::Payload, SlotError> {
        let mut slots = values.to_vec();
        slots.resize(self.shape.slots, 0.0);
        Ok((slots, self.shape.payload_bytes.len() - 1))
    }

    fn decrypt(&self, _secret: &(), (slots, _): &Self::Payload, _scale: f64) -> Result<Vec<f64>, SlotError> {
        Ok(slots.clone())
    }

    fn drop_to(&self, (slots, _): &Self::Payload, level: usize) -> Result<Self::Payload, SlotError> {
        Ok((slots.clone(), level))
    }

    fn rescale(&self, (slots, level): &Self::Payload) -> Result<Self::Payload, SlotError> {
        Ok((slots.clone(), level - 1))
    }

    fn combine(&self, terms: &[Term<'_, Self::Payload>], _raw: f64) -> Result<Self::Payload, SlotError> {
        let mut sum = vec![0.0; self.shape.slots];
        for Term { payload: (slots, _), weight, scale } in terms {
            let weight = self.round(*weight, *scale);
            sum.iter_mut().zip(slots).for_each(|(sum, slot)| *sum += slot * weight);
        }
        Ok((sum, terms.first().map_or(0, |term| term.payload.1)))
    }

    fn add_constant(
        &self,
        (slots, level): &Self::Payload,
        value: f64,
        scale: f64,
    ) -> Result<Self::Payload, SlotError> {
        let value = self.round(value, scale);
        Ok((slots.iter().map(|slot| slot + value).collect(), *level))
    }

    fn dot(
        &self,
        _evaluation: &usize,
        pairs: &[(&Self::Payload, &Self::Payload)],
    ) -> Result<Self::Payload, SlotError> {
        let mut sums = vec![0.0; self.shape.slots];
        for (left, right) in pairs {
            sums.iter_mut().zip(left.0.iter().zip(&right.0)).for_each(|(sum, (a, b))| *sum += a * b);
        }
        Ok((sums, pairs.first().map_or(0, |(left, _)| left.1)))
    }

    fn square(&self, payload: &Self::Payload) -> Result<Self::Payload, SlotError> {
        self.dot(&0, &[(payload, payload)])
    }

    fn relinearise(&self, _evaluation: &usize, payload: &Self::Payload) -> Result<Self::Payload, SlotError> {
        Ok(payload.clone())
    }

    fn multiply_vector(
        &self,
        (slots, level): &Self::Payload,
        values: &[f64],
        _scale: f64,
    ) -> Result<Self::Payload, SlotError> {
        let values = values.iter().copied().chain(std::iter::repeat(0.0));
        Ok((slots.iter().zip(values).map(|(slot, value)| slot * value).collect(), *level))
    }

    fn rotate(
        &self,
        _evaluation: &usize,
        (slots, level): &Self::Payload,
        steps: &[i64],
    ) -> Result<Vec<Self::Payload>, SlotError> {
        Ok(steps.iter().map(|steps| (rotated(slots, self.shape.row, *steps), *level)).collect())
    }

    fn write(&self, (slots, _): &Self::Payload, level: usize, fresh: bool, out: &mut Vec<u8>) {
        self.shape.write(level, fresh, slots.iter().map(|slot| slot.to_le_bytes().to_vec()), out);
    }

    fn read(&self, bytes: &mut &[u8], fresh: bool) -> Result<(Self::Payload, usize), SlotError> {
        let (level, numbers) = self.shape.read(bytes, fresh, 8)?;
        let number = |bytes: &[u8]| bytes.try_into().map_or(f64::NAN, f64::from_le_bytes);
        Ok(((numbers.map(number).collect(), level), level))
    }
}

/// Nothing in place of numbers: what a circuit does can be planned with it.
#[derive(Debug, Clone)]
pub struct Dry {
    shape: Shape,
}

impl Dry {
    /// In place of an engine with so many levels.
    pub fn of<E: Engine>(engine: &E, levels: usize) -> Self {
        Self { shape: Shape::of(engine, levels) }
    }
}

impl Engine for Dry {
    type Payload = ();
    type Number = f64;
    type Secret = ();
    /// How many rotations have keys.
    type Evaluation = usize;

    shaped!();

    fn encrypt(
        &self,
        _secret: &(),
        _values: &[f64],
        _scale: f64,
        _randomness: &Stream,
    ) -> Result<(), SlotError> {
        Ok(())
    }

    fn decrypt(&self, _secret: &(), (): &(), _scale: f64) -> Result<Vec<f64>, SlotError> {
        Ok(vec![0.0; self.shape.slots])
    }

    fn drop_to(&self, (): &(), _level: usize) -> Result<(), SlotError> {
        Ok(())
    }

    fn rescale(&self, (): &()) -> Result<(), SlotError> {
        Ok(())
    }

    fn combine(&self, _terms: &[Term<'_, ()>], _raw: f64) -> Result<(), SlotError> {
        Ok(())
    }

    fn add_constant(&self, (): &(), _value: f64, _scale: f64) -> Result<(), SlotError> {
        Ok(())
    }

    fn dot(&self, _evaluation: &usize, _pairs: &[(&(), &())]) -> Result<(), SlotError> {
        Ok(())
    }

    fn square(&self, (): &()) -> Result<(), SlotError> {
        Ok(())
    }

    fn relinearise(&self, _evaluation: &usize, (): &()) -> Result<(), SlotError> {
        Ok(())
    }

    fn layer(&self, _inputs: &[&()], _scales: &[f64], rows: &[Row], _raw: f64) -> Result<Vec<()>, SlotError> {
        Ok(vec![(); rows.len()])
    }

    fn multiply_vector(&self, (): &(), _values: &[f64], _scale: f64) -> Result<(), SlotError> {
        Ok(())
    }

    fn rotate(&self, _evaluation: &usize, (): &(), steps: &[i64]) -> Result<Vec<()>, SlotError> {
        Ok(vec![(); steps.len()])
    }

    fn write(&self, (): &(), level: usize, fresh: bool, out: &mut Vec<u8>) {
        self.shape.write(level, fresh, std::iter::empty(), out);
    }

    fn read(&self, bytes: &mut &[u8], fresh: bool) -> Result<((), usize), SlotError> {
        let (level, _) = self.shape.read(bytes, fresh, 0)?;
        Ok(((), level))
    }
}
