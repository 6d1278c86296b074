//! Numbers in the clear: as they are, or as the twins of ciphertexts, which take the same course and the same bytes.

mod vector;

use num_bigint::BigUint;

use self::vector::Sum;
pub use self::vector::Vector;
use super::{
    Engine, Rules, SlotError, Term,
    integer::{Integer, Modulus, Slot},
    ring::{fraction_bits, integers},
};
use crate::{math::stream::Stream, network::Row, scheme::rlwe::RlweError};

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
    fn write<T: Clone>(
        &self,
        level: usize,
        fresh: bool,
        numbers: &Vector<T>,
        number: impl Fn(&T, &mut Vec<u8>),
        out: &mut Vec<u8>,
    ) {
        let end = out.len() + self.payload_bytes(level, fresh);
        out.push(u8::try_from(level).unwrap_or(u8::MAX));
        numbers.all(self.slots).for_each(|one| number(one, out));
        debug_assert!(out.len() <= end, "numbers in the clear are shorter than ciphertexts");
        out.resize(end, 0);
    }

    /// The level, and slots of so many bytes each.
    fn read<'b, T>(
        &self,
        bytes: &mut &'b [u8],
        fresh: bool,
        width: usize,
        number: impl Fn(&'b [u8]) -> T,
    ) -> Result<(Vector<T>, usize), SlotError> {
        let bad = |why| SlotError::from(RlweError::Bytes { what: "a ciphertext's twin", why });
        let level = usize::from(*bytes.first().ok_or(bad("it ends too early"))?);
        if level == 0 || level >= self.payload_bytes.len() {
            return Err(bad("its level does not exist"));
        }
        let (payload, rest) =
            bytes.split_at_checked(self.payload_bytes(level, fresh)).ok_or(bad("it ends too early"))?;
        *bytes = rest;
        let numbers = payload.get(1..1 + width * self.slots).ok_or(bad("it is too short"))?;
        let numbers: Vec<_> = numbers.chunks_exact(width.max(1)).collect();
        let last = numbers.last().copied().unwrap_or_default();
        let head = numbers.iter().rposition(|number| *number != last).map_or(0, |before| before + 1);
        let head = numbers[..head].iter().copied().map(&number).collect();
        Ok((Vector { head, rest: number(last) }, level))
    }
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

        fn write_evaluation(&self, evaluation: &usize, out: &mut Vec<u8>) {
            out.resize(out.len() + self.shape.evaluation_bytes(*evaluation), 0);
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
    modulus: Modulus,
}

impl Integers {
    /// The twin of an engine with so many levels.
    pub fn of<E: Engine>(engine: &E, levels: usize, modulus: &BigUint) -> Self {
        Self { shape: Shape::of(engine, levels), modulus: Modulus::new(modulus.clone()) }
    }

    /// Slots by their number, those from `head` on alike.
    fn of_slots(&self, head: usize, slot: impl Fn(usize) -> Integer + Sync) -> Vector<Integer> {
        Vector::from_fn(head, |index| self.modulus.centre(slot(index)))
    }
}

impl Engine for Integers {
    /// The slots and the level.
    type Payload = (Vector<Integer>, usize);
    type Number = Slot;
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
        let number = |value: &f64| Ok(self.modulus.centre(Integer::nearest(*value, scale)?));
        let head = values.iter().map(number).collect::<Result<Vec<_>, SlotError>>()?;
        Ok((Vector { head, rest: Integer::ZERO }, self.shape.payload_bytes.len() - 1))
    }

    fn decrypt(&self, _secret: &(), (slots, _): &Self::Payload, scale: f64) -> Result<Vec<Slot>, SlotError> {
        let scale = fraction_bits(scale)?;
        let number = |slot: &Integer| Slot { mantissa: slot.clone(), scale };
        Ok(slots.all(self.shape.slots).map(number).collect())
    }

    fn drop_to(&self, (slots, _): &Self::Payload, level: usize) -> Result<Self::Payload, SlotError> {
        Ok((slots.clone(), level))
    }

    fn rescale(&self, payload: &Self::Payload) -> Result<Self::Payload, SlotError> {
        Ok(payload.clone())
    }

    fn combine(&self, terms: &[Term<'_, Self::Payload>], _raw: f64) -> Result<Self::Payload, SlotError> {
        let weights = terms.iter().map(|term| Integer::nearest(term.weight, term.scale));
        let weights = weights.collect::<Result<Vec<_>, _>>()?;
        let level = terms.first().map_or(0, |term| term.payload.1);
        let sum = |slot: usize| {
            terms.iter().zip(&weights).map(|(term, weight)| term.payload.0.get(slot) * weight).sum()
        };
        Ok((self.of_slots(vector::head(terms.iter().map(|term| &term.payload.0)), sum), level))
    }

    fn add_constant(
        &self,
        (slots, level): &Self::Payload,
        value: f64,
        scale: f64,
    ) -> Result<Self::Payload, SlotError> {
        let integer = Integer::nearest(value, scale)?;
        Ok((slots.map(|slot| self.modulus.centre(slot + &integer)), *level))
    }

    fn dot(
        &self,
        _evaluation: &usize,
        pairs: &[(&Self::Payload, &Self::Payload)],
    ) -> Result<Self::Payload, SlotError> {
        let level = pairs.first().map_or(0, |(left, _)| left.1);
        let head = vector::head(pairs.iter().flat_map(|(left, right)| [&left.0, &right.0]));
        let sum = |slot: usize| pairs.iter().map(|(left, right)| left.0.get(slot) * right.0.get(slot)).sum();
        Ok((self.of_slots(head, sum), level))
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
        let integers = integers(values, scale)?;
        // Beyond the values there are zeros.
        let product =
            |slot: usize| integers.get(slot).map_or(Integer::ZERO, |integer| slots.get(slot) * integer);
        Ok((self.of_slots(integers.len(), product), *level))
    }

    fn rotate(
        &self,
        _evaluation: &usize,
        (slots, level): &Self::Payload,
        steps: &[i64],
    ) -> Result<Vec<Self::Payload>, SlotError> {
        let rotated = |steps: &i64| (slots.rotated(self.shape.slots, self.shape.row, *steps), *level);
        Ok(steps.iter().map(rotated).collect())
    }

    fn write(&self, (slots, _): &Self::Payload, level: usize, fresh: bool, out: &mut Vec<u8>) {
        self.shape.write(level, fresh, slots, |slot, out| self.modulus.write(slot, out), out);
    }

    fn read(&self, bytes: &mut &[u8], fresh: bool) -> Result<(Self::Payload, usize), SlotError> {
        let number = |bytes: &[u8]| self.modulus.read(bytes);
        let (slots, level) = self.shape.read(bytes, fresh, self.modulus.width(), number)?;
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
    type Payload = (Vector<f64>, usize);
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
        Ok((Vector { head: values.to_vec(), rest: 0.0 }, self.shape.payload_bytes.len() - 1))
    }

    fn decrypt(&self, _secret: &(), (slots, _): &Self::Payload, _scale: f64) -> Result<Vec<f64>, SlotError> {
        Ok(slots.all(self.shape.slots).copied().collect())
    }

    fn drop_to(&self, (slots, _): &Self::Payload, level: usize) -> Result<Self::Payload, SlotError> {
        Ok((slots.clone(), level))
    }

    fn rescale(&self, (slots, level): &Self::Payload) -> Result<Self::Payload, SlotError> {
        Ok((slots.clone(), level - 1))
    }

    fn combine(&self, terms: &[Term<'_, Self::Payload>], _raw: f64) -> Result<Self::Payload, SlotError> {
        let mut sum = Sum::of(vector::head(terms.iter().map(|term| &term.payload.0)));
        for Term { payload: (slots, _), weight, scale } in terms {
            let weight = self.round(*weight, *scale);
            sum.add(slots, |slot| slot * weight);
        }
        Ok((sum.vector(), terms.first().map_or(0, |term| term.payload.1)))
    }

    fn add_constant(
        &self,
        (slots, level): &Self::Payload,
        value: f64,
        scale: f64,
    ) -> Result<Self::Payload, SlotError> {
        let value = self.round(value, scale);
        Ok((slots.map(|slot| slot + value), *level))
    }

    fn dot(
        &self,
        _evaluation: &usize,
        pairs: &[(&Self::Payload, &Self::Payload)],
    ) -> Result<Self::Payload, SlotError> {
        let head = vector::head(pairs.iter().flat_map(|(left, right)| [&left.0, &right.0]));
        let mut sum = Sum::of(head);
        for (left, right) in pairs {
            sum.add_product(&left.0, &right.0);
        }
        Ok((sum.vector(), pairs.first().map_or(0, |(left, _)| left.1)))
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
        // Beyond the values there are zeros.
        let head = values.iter().enumerate().map(|(slot, value)| slots.get(slot) * value).collect();
        Ok((Vector { head, rest: 0.0 }, *level))
    }

    fn rotate(
        &self,
        _evaluation: &usize,
        (slots, level): &Self::Payload,
        steps: &[i64],
    ) -> Result<Vec<Self::Payload>, SlotError> {
        let rotated = |steps: &i64| (slots.rotated(self.shape.slots, self.shape.row, *steps), *level);
        Ok(steps.iter().map(rotated).collect())
    }

    fn write(&self, (slots, _): &Self::Payload, level: usize, fresh: bool, out: &mut Vec<u8>) {
        self.shape.write(level, fresh, slots, |slot, out| out.extend_from_slice(&slot.to_le_bytes()), out);
    }

    fn read(&self, bytes: &mut &[u8], fresh: bool) -> Result<(Self::Payload, usize), SlotError> {
        let number = |bytes: &[u8]| bytes.try_into().map_or(f64::NAN, f64::from_le_bytes);
        let (slots, level) = self.shape.read(bytes, fresh, 8, number)?;
        Ok(((slots, level), level))
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
        self.shape.write(level, fresh, &Vector { head: Vec::new(), rest: () }, |(), _| (), out);
    }

    fn read(&self, bytes: &mut &[u8], fresh: bool) -> Result<((), usize), SlotError> {
        let (_, level) = self.shape.read(bytes, fresh, 0, |_| ())?;
        Ok(((), level))
    }
}
