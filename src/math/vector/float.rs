//! Residues in double precision, for the units that compute with it.
//!
//! All is rounded to nearest. An integer is exact below 2^53 in magnitude, that is for all residues here: at most 5p.

use super::residues::Residues;

/// 2^52
pub(super) const TWO_52: f64 = 4_503_599_627_370_496.0;
/// 2^104: the sum with a product below it has ulp 2^52, so that the product's high half is left in the mantissa.
pub(super) const TWO_104: f64 = TWO_52 * TWO_52;
/// 1.5 2^52: the sum with a number of magnitude up to 2^51 is that number rounded to the nearest integer, and this.
pub(super) const ROUND: f64 = 1.5 * TWO_52;
/// The same for multiples of 2 and magnitudes up to 2^52, and for multiples of 2^51 and magnitudes up to 2^102.
const ROUND_2: f64 = 2.0 * ROUND;
const ROUND_HIGH: f64 = ROUND * (TWO_52 / 2.0);

/// Vectors of numbers in double precision.
pub(crate) trait Doubles: Copy {
    /// One number a lane.
    type Vector: Copy + Send + Sync;

    /// Numbers of a vector.
    const LANES: usize;

    /// The same number in all lanes.
    fn splat(self, value: f64) -> Self::Vector;
    /// Numbers from their bits, and their bits.
    fn bits(self, lanes: &[u64]) -> Self::Vector;
    /// The opposite.
    fn store_bits(self, x: Self::Vector, lanes: &mut [u64]);
    /// Numbers from integers below 2^52.
    fn integers(self, lanes: &[u64]) -> Self::Vector;
    /// The opposite.
    fn store_integers(self, x: Self::Vector, lanes: &mut [u64]);
    /// [`Residues::reload_transposed`]
    fn bits_transposed(self, block: &[u64; 64], run: usize) -> [Self::Vector; 8];
    /// [`Residues::keep_transposed`]
    fn store_bits_transposed(self, vectors: [Self::Vector; 8], block: &mut [u64; 64], run: usize);
    /// `x + y`
    fn plus(self, x: Self::Vector, y: Self::Vector) -> Self::Vector;
    /// `x - y`
    fn minus(self, x: Self::Vector, y: Self::Vector) -> Self::Vector;
    /// `x y`
    fn product(self, x: Self::Vector, y: Self::Vector) -> Self::Vector;
    /// `x y + z`, rounded once
    fn product_plus(self, x: Self::Vector, y: Self::Vector, z: Self::Vector) -> Self::Vector;
    /// `x y - z`, rounded once
    fn product_minus(self, x: Self::Vector, y: Self::Vector, z: Self::Vector) -> Self::Vector;
    /// `z - x y`, rounded once
    fn minus_product(self, z: Self::Vector, x: Self::Vector, y: Self::Vector) -> Self::Vector;
    /// `x + y` where x is negative, and x elsewhere
    fn lift(self, x: Self::Vector, y: Self::Vector) -> Self::Vector;
}

/// A prime for floating point.
#[derive(Clone, Copy)]
pub(crate) struct FloatModulus<V> {
    prime: V,
    inverse: V,
}

#[expect(
    clippy::inline_always,
    clippy::cast_precision_loss,
    reason = "a task is compiled as one function; residues are below 2^50"
)]
impl<D: Doubles> Residues for D {
    type Digit = D::Vector;
    type Modulus = FloatModulus<D::Vector>;
    type Factor = D::Vector;
    /// a multiple of 2^51 with `ROUND_HIGH`, and the rest
    type Products = [D::Vector; 2];

    const TERMS: usize = 4;
    const RATIOS: bool = false;

    /// Of least magnitude, at most p/2.
    fn words(value: u64, prime: u64) -> [u64; 2] {
        let centred = if value > prime / 2 { -((prime - value) as f64) } else { value as f64 };
        [centred.to_bits(), 0]
    }

    #[inline(always)]
    fn modulus(self, prime: u64) -> FloatModulus<D::Vector> {
        FloatModulus { prime: self.splat(prime as f64), inverse: self.splat(1.0 / prime as f64) }
    }

    #[inline(always)]
    fn factor(self, words: [u64; 2]) -> D::Vector {
        self.splat(f64::from_bits(words[0]))
    }

    #[inline(always)]
    fn load_factors(self, values: &[u64], _: &[u64], at: usize) -> D::Vector {
        self.bits(&values[at..at + D::LANES])
    }

    #[inline(always)]
    fn constant(self, residue: u64) -> D::Vector {
        self.splat(residue as f64)
    }

    #[inline(always)]
    fn enter(self, lanes: &[u64]) -> D::Vector {
        self.integers(lanes)
    }

    #[inline(always)]
    fn leave(self, x: D::Vector, modulus: &FloatModulus<D::Vector>, lanes: &mut [u64]) {
        self.finish(self.tighten(x, modulus), modulus, lanes);
    }

    #[inline(always)]
    fn finish(self, x: D::Vector, modulus: &FloatModulus<D::Vector>, lanes: &mut [u64]) {
        self.store_integers(self.lift(x, modulus.prime), lanes);
    }

    #[inline(always)]
    fn reload(self, lanes: &[u64]) -> D::Vector {
        self.bits(lanes)
    }

    #[inline(always)]
    fn keep(self, x: D::Vector, lanes: &mut [u64]) {
        self.store_bits(x, lanes);
    }

    #[inline(always)]
    fn reload_transposed(self, block: &[u64; 64], run: usize) -> [D::Vector; 8] {
        self.bits_transposed(block, run)
    }

    #[inline(always)]
    fn keep_transposed(self, vectors: [D::Vector; 8], block: &mut [u64; 64], run: usize) {
        self.store_bits_transposed(vectors, block, run);
    }

    /// At most p/2, and hardly more where the quotient was a tie.
    #[inline(always)]
    fn tighten(self, x: D::Vector, modulus: &FloatModulus<D::Vector>) -> D::Vector {
        let round = self.splat(ROUND);
        let quotient = self.minus(self.product_plus(x, modulus.inverse, round), round);
        self.minus_product(x, quotient, modulus.prime)
    }

    #[inline(always)]
    fn plus(self, x: D::Vector, y: D::Vector) -> D::Vector {
        Doubles::plus(self, x, y)
    }

    /// The quotient, below 2^51 in magnitude for x of at most 4p and factors of at most p/2, is wrong by at most a half for being
    /// rounded, and by a half for the errors of `product` and `inverse`: the rest is at most p.
    #[inline(always)]
    fn times(self, x: D::Vector, factor: &D::Vector, modulus: &FloatModulus<D::Vector>) -> D::Vector {
        let round = self.splat(ROUND);
        let product = self.product(x, *factor);
        let rest = self.product_minus(x, *factor, product);
        let quotient = self.minus(self.product_plus(product, modulus.inverse, round), round);
        // Both are exact: integers below 2^53.
        Doubles::plus(self, self.minus_product(product, quotient, modulus.prime), rest)
    }

    #[inline(always)]
    fn spread(
        self,
        a: D::Vector,
        b: D::Vector,
        root: &D::Vector,
        modulus: &FloatModulus<D::Vector>,
    ) -> (D::Vector, D::Vector) {
        let b = self.times(b, root, modulus);
        (Doubles::plus(self, a, b), self.minus(a, b))
    }

    #[inline(always)]
    fn gather(
        self,
        a: D::Vector,
        b: D::Vector,
        root: &D::Vector,
        modulus: &FloatModulus<D::Vector>,
    ) -> (D::Vector, D::Vector) {
        (Doubles::plus(self, a, b), self.times(self.minus(a, b), root, modulus))
    }

    #[inline(always)]
    fn products(self, base: D::Vector) -> [D::Vector; 2] {
        [self.splat(ROUND_HIGH), base]
    }

    /// The high part takes a multiple of 2^51, exactly what the sum was rounded to; what is left of the product, at most 2^50 in
    /// magnitude, is exact, and so is the sum of four of those.
    #[inline(always)]
    fn add_product(self, [high, low]: [D::Vector; 2], x: D::Vector, y: D::Vector) -> [D::Vector; 2] {
        let sum = self.product_plus(x, y, high);
        let rest = self.product_minus(x, y, self.minus(sum, high));
        [sum, Doubles::plus(self, low, rest)]
    }

    /// The quotient, below 2^52 in magnitude, is rounded to a multiple of two, so the high part's rest is at most 2p, that is below 2^51;
    /// with the low part, of at most 2^52 + 2^50, it is below 2^53.
    #[inline(always)]
    fn total(self, [high, low]: [D::Vector; 2], modulus: &FloatModulus<D::Vector>) -> D::Vector {
        let round = self.splat(ROUND_2);
        let high = self.minus(high, self.splat(ROUND_HIGH));
        let quotient = self.minus(self.product_plus(high, modulus.inverse, round), round);
        let rest = self.minus_product(high, quotient, modulus.prime);
        self.tighten(Doubles::plus(self, rest, low), modulus)
    }
}
