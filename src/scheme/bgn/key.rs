//! Keys of the cryptosystem.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use blstrs::{G1Projective, G2Projective, Gt};
use group::{Curve, Group};

use super::{
    group_element::{G_TABLE, H_TABLE, Table},
    scalar::{SecretScalar, random_scalar},
};
use crate::math::stream::Stream;

/// A public key: xG and yH, with tables for products with them that clones share.
#[derive(Clone)]
pub struct PublicKey {
    left: G1Projective,
    right: G2Projective,
    tables: Arc<Tables>,
}

/// Tables for encryption.
pub(super) struct Tables {
    /// of xG
    pub(super) left: Table<G1Projective>,
    /// of yH
    pub(super) right: Table<G2Projective>,
    /// Made when they are first needed.
    products: OnceLock<ProductTables>,
}

/// Tables for encryption at the second level, two megabytes.
pub(super) struct ProductTables {
    /// of xg
    pub(super) left: Table<Gt>,
    /// of yg
    pub(super) right: Table<Gt>,
    /// of xyg
    pub(super) both: Table<Gt>,
}

impl PublicKey {
    /// The key, or `None` where an element is the identity, under which every message would lie open.
    pub(super) fn try_new(left: &G1Projective, right: &G2Projective) -> Option<Self> {
        if bool::from(left.is_identity() | right.is_identity()) {
            return None;
        }
        let products = OnceLock::new();
        let tables = Tables { left: Table::new(*left), right: Table::new(*right), products };
        Some(Self { left: *left, right: *right, tables: Arc::new(tables) })
    }

    /// xG
    pub(super) fn left(&self) -> &G1Projective {
        &self.left
    }

    /// yH
    pub(super) fn right(&self) -> &G2Projective {
        &self.right
    }

    pub(super) fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Everybody can make these: `e(xG, H)`, `e(G, yH)`, `e(xG, yH)`.
    pub(super) fn product_tables(&self) -> &ProductTables {
        self.tables.products.get_or_init(|| {
            let table = |left: &G1Projective, right: &G2Projective| {
                Table::new(blstrs::pairing(&left.to_affine(), &right.to_affine()))
            };
            ProductTables {
                left: table(&self.left, &G2Projective::generator()),
                right: table(&G1Projective::generator(), &self.right),
                both: table(&self.left, &self.right),
            }
        })
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.left == other.left && self.right == other.right
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({}, {})", self.left, self.right)
    }
}

/// A secret key: the scalars x and y, and their product. No `Debug`, no `Clone`; wiped when dropped, but for copies of the
/// scalars that computing leaves on the stack.
pub struct SecretKey {
    public: PublicKey,
    left: SecretScalar,
    right: SecretScalar,
    both: SecretScalar,
}

impl SecretKey {
    /// A key with uniform scalars that are not zero.
    pub(super) fn generate(randomness: &Stream) -> Self {
        let mut rng = randomness.rng();
        loop {
            let (left, right) = (random_scalar(&mut rng), random_scalar(&mut rng));
            if let Some(public) = PublicKey::try_new(&G_TABLE.multiply(&left), &H_TABLE.multiply(&right)) {
                let both = SecretScalar::new(*left * *right);
                return Self { public, left, right, both };
            }
        }
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// x
    pub(super) fn left(&self) -> &SecretScalar {
        &self.left
    }

    /// y
    pub(super) fn right(&self) -> &SecretScalar {
        &self.right
    }

    /// xy
    pub(super) fn both(&self) -> &SecretScalar {
        &self.both
    }
}
