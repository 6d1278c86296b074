//! Keys of exponential ElGamal.

use std::{fmt, sync::Arc};

use curve25519_dalek::{RistrettoPoint, Scalar, ristretto::RistrettoBasepointTable, traits::Identity as _};
use zeroize::Zeroizing;

use super::random_scalar;
use crate::math::stream::Stream;

/// A public key: the group element H, with a table for products with it.
#[derive(Clone)]
pub struct PublicKey {
    point: RistrettoPoint,
    /// Thirty kilobytes, which clones share.
    table: Arc<RistrettoBasepointTable>,
}

impl PublicKey {
    /// The key, or `None` for the identity, under which every message would lie open.
    pub(super) fn try_new(point: RistrettoPoint) -> Option<Self> {
        (point != RistrettoPoint::identity()).then(|| Self::new(point))
    }

    fn new(point: RistrettoPoint) -> Self {
        Self { point, table: Arc::new(RistrettoBasepointTable::create(&point)) }
    }

    /// H
    pub(super) fn point(&self) -> &RistrettoPoint {
        &self.point
    }

    /// H times a scalar, in the same time for every scalar.
    pub(super) fn multiply(&self, scalar: &Scalar) -> RistrettoPoint {
        &*self.table * scalar
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.point == other.point
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({:?})", self.point.compress())
    }
}

/// A secret key: the scalar x with H = xG. No `Debug`, no `Clone`; wiped when dropped.
pub struct SecretKey {
    public: PublicKey,
    exponent: Zeroizing<Scalar>,
}

impl SecretKey {
    /// A key with a uniform scalar that is not zero.
    pub(super) fn generate(randomness: &Stream) -> Self {
        let mut rng = randomness.rng();
        loop {
            let exponent = random_scalar(&mut rng);
            if let Some(public) = PublicKey::try_new(RistrettoPoint::mul_base(&exponent)) {
                return Self { public, exponent };
            }
        }
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// x
    pub(super) fn exponent(&self) -> &Scalar {
        &self.exponent
    }
}
