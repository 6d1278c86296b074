//! How ristretto255 is searched for small discrete logarithms: among Edwards points.
//!
//! The search compares many group elements with a table, and an element of ristretto255 is a set of four points, or eight
//! with their negatives, whose canonical form is dear. So the search runs among points of the curve underneath, where the
//! u-coordinate of Montgomery's form is that of a point and its negative, and a batch of them costs one inversion. With s
//! the encoding of an element, s^2 is the u-coordinate of one of its points, up to sign and up to a point of small order
//! (RFC 9496, section 4.3.1, with y = (1 - s^2)/(1 + s^2) and u = (1 + y)/(1 - y) = 1/s^2, and 1/u is u moved by the point of
//! order two). Eight times the point is rid of what is of small order: lifting is a homomorphism up to sign.

use std::sync::OnceLock;

use curve25519_dalek::{
    EdwardsPoint, MontgomeryPoint, RistrettoPoint, Scalar, constants::RISTRETTO_BASEPOINT_POINT,
    traits::Identity,
};
use num_bigint::BigUint;
use num_traits::One;

use crate::scheme::exponential::logarithm::{Searchable, Tables};

impl Searchable for RistrettoPoint {
    type Point = EdwardsPoint;
    type Entry = EdwardsPoint;

    fn tables() -> &'static Tables<Self> {
        static TABLES: Tables<RistrettoPoint> = Tables::new();
        &TABLES
    }

    fn multiple(number: u64) -> Self {
        Self::mul_base(&Scalar::from(number))
    }

    fn lift(elements: &[Self]) -> Vec<EdwardsPoint> {
        lift(elements)
    }

    fn point(number: u64) -> EdwardsPoint {
        static BASE: OnceLock<EdwardsPoint> = OnceLock::new();
        let base = BASE.get_or_init(|| {
            lift(&[RISTRETTO_BASEPOINT_POINT]).first().copied().unwrap_or_else(EdwardsPoint::identity)
        });
        base * Scalar::from(number)
    }

    fn entries(point: EdwardsPoint) -> [EdwardsPoint; 2] {
        [point, -point]
    }

    fn add(point: &EdwardsPoint, entry: &EdwardsPoint) -> EdwardsPoint {
        point + entry
    }

    /// From the u-coordinate, as good as random for multiples of a point; infinity is given as zero.
    fn fingerprints(points: &[EdwardsPoint]) -> Vec<u64> {
        let coordinates = EdwardsPoint::to_montgomery_batch(points);
        let bits = |coordinate: &MontgomeryPoint| {
            coordinate.0.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
        };
        coordinates.iter().map(bits).collect()
    }
}

/// For each D a point that depends on D alone: 16 times any of its points, or the negative of that.
///
/// The encoding of 2D is cheaper in a batch than that of D.
fn lift(elements: &[RistrettoPoint]) -> Vec<EdwardsPoint> {
    let field = (BigUint::one() << 255_u32) - 19_u32;
    let encodings = RistrettoPoint::double_and_compress_batch(elements);
    let points = encodings.iter().map(|encoding| {
        let root = BigUint::from_bytes_le(encoding.as_bytes());
        let mut bytes = [0; 32];
        for (byte, digit) in bytes.iter_mut().zip((&root * &root % &field).to_bytes_le()) {
            *byte = digit;
        }
        // Every such number is the coordinate of a point; were it not, the identity would not be verified.
        let point = MontgomeryPoint(bytes).to_edwards(0).unwrap_or_else(EdwardsPoint::identity);
        point.mul_by_cofactor()
    });
    points.collect()
}
