//! Pairings of the halves of ciphertexts, many at once.

use std::sync::LazyLock;

use ::pairing::{MillerLoopResult, MultiMillerLoop};
use blst::blst_fp12;
use blstrs::{Bls12, Fp12, G1Affine, G2Affine, G2Prepared, Gt};
use group::{Group, prime::PrimeCurveAffine};
use rayon::prelude::*;

/// The halves of two ciphertexts that are multiplied.
pub(super) type Factors<'a> = (&'a [G1Affine; 2], &'a [G2Affine; 2]);

/// Pairings that one task computes, which share their squarings in eights.
const PAIRS_PER_TASK: usize = 32;

/// The second half of the ciphertext of 1 without randomness is (0, H).
static PREPARED_H: LazyLock<G2Prepared> = LazyLock::new(|| G2Affine::generator().into());

/// The sum of the products of pairs of ciphertexts: all pairings of first with second halves, in the order 00, 01, 10, 11.
///
/// One final exponentiation serves a component, however many pairs there are.
pub(super) fn inner_product(pairs: &[Factors<'_>]) -> [Gt; 4] {
    let component = |index: usize| {
        let parts = pairs.par_chunks(PAIRS_PER_TASK).map(|pairs| {
            miller_loops(pairs.iter().map(|(left, right)| (&left[index / 2], &right[index % 2])))
        });
        let product = parts.reduce(blst_fp12::default, |a, b| a * b);
        Gt::from(Fp12::from(product.final_exp()))
    };
    let ((a, b), (c, d)) = rayon::join(
        || rayon::join(|| component(0), || component(1)),
        || rayon::join(|| component(2), || component(3)),
    );
    [a, b, c, d]
}

/// The product with a ciphertext of 1 without randomness, of which all but two pairings are known.
pub(super) fn lift(left: &[G1Affine; 2]) -> [Gt; 4] {
    let pair = |element| Bls12::multi_miller_loop(&[(element, &PREPARED_H)]).final_exponentiation();
    [Gt::identity(), pair(&left[0]), Gt::identity(), pair(&left[1])]
}

/// The product of the Miller loops of pairs.
fn miller_loops<'a>(pairs: impl Iterator<Item = (&'a G1Affine, &'a G2Affine)>) -> blst_fp12 {
    // The identity pairs with everything to the identity, and the loop has no lines for it.
    let mut pairs = pairs.filter(|(p, q)| !bool::from(p.is_identity() | q.is_identity())).peekable();
    if pairs.peek().is_none() {
        return blst_fp12::default();
    }
    let mut context = blst::Pairing::new(false, &[]);
    pairs.for_each(|(p, q)| context.raw_aggregate(q.as_ref(), p.as_ref()));
    context.as_fp12()
}
