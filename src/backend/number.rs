//! Numbers as their owner sees them: reals, or fixed-point integers that know their scale.

use std::borrow::Cow;

use num_bigint::BigInt;
use num_traits::Zero;
use serde::Serialize;

use crate::math::wipe::wipe;
use crate::scheme::encoding::{EncodingError, Fixed, Scale};

/// A number as its owner sees it.
pub trait Value: Clone + PartialEq + Send + Sync + 'static {
    /// Its value.
    fn to_f64(&self) -> f64;
    /// The exact integer behind it, for comparisons bit by bit; `None` for real numbers.
    fn integer(&self) -> Option<Cow<'_, BigInt>>;
    /// Appends that integer in two's complement, in as few bytes as hold it, the lowest first.
    fn write_integer(&self, out: &mut Vec<u8>) {
        out.extend(self.integer().map(|integer| integer.to_signed_bytes_le()).unwrap_or_default());
    }
}

/// A number that a party computes with in the clear.
pub trait Number: Value {
    /// The number nearest to `value` at `scale`.
    fn from_f64(value: f64, scale: Scale) -> Result<Self, EncodingError>;
    /// Zero at `scale`.
    fn zero(scale: Scale) -> Self;
    /// The sum; both must have the same scale.
    fn add(&self, other: &Self) -> Result<Self, EncodingError>;
    /// The difference; both must have the same scale.
    fn subtract(&self, other: &Self) -> Result<Self, EncodingError>;
    /// The product; scales add.
    #[must_use]
    fn multiply(&self, other: &Self) -> Self;
    /// The product with the learning rate, whose scale is added.
    #[must_use]
    fn times_rate(&self, rate: Rate) -> Self;
    /// The quotient by `2^bits`: exact, as its scale takes it up.
    #[must_use]
    fn halved(self, bits: u32) -> Self;
    /// Overwrites it with zero, in its own buffer where it has one: for masks.
    fn wipe(&mut self);
}

/// A learning rate that a fixed-point circuit can use: `mantissa / 2^bits`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Rate {
    /// The integer that gradients are multiplied by; at least 1.
    pub mantissa: u32,
    /// Fraction bits.
    pub bits: u32,
}

impl Rate {
    /// Its value.
    pub fn value(self) -> f64 {
        f64::from(self.mantissa) / libm::exp2(f64::from(self.bits))
    }
}

impl Value for f64 {
    fn to_f64(&self) -> f64 {
        *self
    }

    fn integer(&self) -> Option<Cow<'_, BigInt>> {
        None
    }
}

impl Number for f64 {
    fn from_f64(value: f64, _scale: Scale) -> Result<Self, EncodingError> {
        Ok(value)
    }

    fn zero(_scale: Scale) -> Self {
        0.0
    }

    fn add(&self, other: &Self) -> Result<Self, EncodingError> {
        Ok(self + other)
    }

    fn subtract(&self, other: &Self) -> Result<Self, EncodingError> {
        Ok(self - other)
    }

    fn multiply(&self, other: &Self) -> Self {
        self * other
    }

    fn times_rate(&self, rate: Rate) -> Self {
        self * rate.value()
    }

    fn halved(self, bits: u32) -> Self {
        self * libm::exp2(-f64::from(bits))
    }

    fn wipe(&mut self) {
        *self = 0.0;
    }
}

impl Value for Fixed {
    fn to_f64(&self) -> f64 {
        Fixed::to_f64(self)
    }

    fn integer(&self) -> Option<Cow<'_, BigInt>> {
        Some(Cow::Borrowed(&self.mantissa))
    }
}

impl Number for Fixed {
    fn from_f64(value: f64, scale: Scale) -> Result<Self, EncodingError> {
        Fixed::from_f64(value, scale)
    }

    fn zero(scale: Scale) -> Self {
        Self { mantissa: BigInt::zero(), scale }
    }

    fn add(&self, other: &Self) -> Result<Self, EncodingError> {
        self.checked_add(other)
    }

    fn subtract(&self, other: &Self) -> Result<Self, EncodingError> {
        self.checked_sub(other)
    }

    fn multiply(&self, other: &Self) -> Self {
        Self { mantissa: &self.mantissa * &other.mantissa, scale: Scale(self.scale.0 + other.scale.0) }
    }

    fn times_rate(&self, rate: Rate) -> Self {
        Self { mantissa: &self.mantissa * rate.mantissa, scale: Scale(self.scale.0 + rate.bits) }
    }

    fn halved(self, bits: u32) -> Self {
        let Self { mantissa, scale } = self;
        Self { mantissa, scale: Scale(scale.0 + bits) }
    }

    fn wipe(&mut self) {
        // Taking a big integer apart moves its digits, and copies none.
        let (_, mut magnitude) = std::mem::take(&mut self.mantissa).into_parts();
        wipe(&mut magnitude);
    }
}
