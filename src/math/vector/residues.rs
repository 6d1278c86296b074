//! Residues modulo a prime of at most 50 bits between the steps of a computation, where they need not be reduced all the way.
//!
//! What a unit keeps of a residue is its own affair: numbers below four times the prime for units of integers; for floating point
//! signed integers of small magnitude, which additions do not have to correct. Only what `leave` stores is the same for all.
//!
//! Magnitudes are stated in multiples of the prime p. Every operation takes what the others yield as long as the bounds that it names are
//! kept; *tight* is what `enter` and `tighten` yield, a product or a total: at most p in floating point, below 2p in integers.

use super::{DIGIT_BITS, DIGIT_MASK, portable::Portable};

/// The arithmetic of such residues. See the module.
pub(crate) trait Residues: Copy {
    /// A digit of every lane, each below 2^52: here a residue.
    type Digit: Copy + Send + Sync;
    /// A prime in the forms that reductions need.
    type Modulus: Copy;
    /// A residue that many others are multiplied with.
    type Factor: Copy;
    /// A sum of products that is not reduced yet.
    type Products: Copy;

    /// Most products in a sum.
    const TERMS: usize;
    /// Whether factors are two words each, not one.
    const RATIOS: bool;

    /// A residue as a factor, in words for tables; the second is 0 for units that do not need it.
    fn words(value: u64, prime: u64) -> [u64; 2];
    /// A prime.
    fn modulus(self, prime: u64) -> Self::Modulus;
    /// The same factor in all lanes.
    fn factor(self, words: [u64; 2]) -> Self::Factor;
    /// One factor a lane, of the words from `at` on; `ratios` may be empty for units that do not need them.
    fn load_factors(self, values: &[u64], ratios: &[u64], at: usize) -> Self::Factor;
    /// The first word of a factor as one residue in all lanes, for sums of products.
    fn constant(self, residue: u64) -> Self::Digit;

    /// From numbers below p.
    fn enter(self, lanes: &[u64]) -> Self::Digit;
    /// To numbers below p, from residues of at most 4p.
    fn leave(self, x: Self::Digit, modulus: &Self::Modulus, lanes: &mut [u64]);
    /// To numbers below p, from tight residues.
    fn finish(self, x: Self::Digit, modulus: &Self::Modulus, lanes: &mut [u64]);
    /// What [`keep`](Self::keep) has stored.
    fn reload(self, lanes: &[u64]) -> Self::Digit;
    /// Residues in the unit's own form.
    fn keep(self, x: Self::Digit, lanes: &mut [u64]);
    /// Eight vectors: in the `i`-th the `i`-th number of every run of eight, for as many runs as there are lanes from `run` on.
    fn reload_transposed(self, block: &[u64; 64], run: usize) -> [Self::Digit; 8];
    /// The opposite.
    fn keep_transposed(self, vectors: [Self::Digit; 8], block: &mut [u64; 64], run: usize);

    /// Makes a residue of at most 4p tight where that makes later operations exact; integers correct themselves.
    fn tighten(self, x: Self::Digit, modulus: &Self::Modulus) -> Self::Digit;
    /// `x + y`, which nothing reduces.
    fn plus(self, x: Self::Digit, y: Self::Digit) -> Self::Digit;
    /// `x factor`, tight, for x of at most 4p.
    fn times(self, x: Self::Digit, factor: &Self::Factor, modulus: &Self::Modulus) -> Self::Digit;
    /// `(a + root b, a - root b)`: in floating point the magnitude of a, and p.
    fn spread(
        self,
        a: Self::Digit,
        b: Self::Digit,
        root: &Self::Factor,
        modulus: &Self::Modulus,
    ) -> (Self::Digit, Self::Digit);
    /// `(a + b, (a - b) root)`: in floating point the sum of the magnitudes, and p.
    fn gather(
        self,
        a: Self::Digit,
        b: Self::Digit,
        root: &Self::Factor,
        modulus: &Self::Modulus,
    ) -> (Self::Digit, Self::Digit);

    /// A sum of products that is a tight residue.
    fn products(self, base: Self::Digit) -> Self::Products;
    /// The sum with the product of two numbers, one below p and one below 2^50; of at most [`TERMS`](Self::TERMS) of them.
    fn add_product(self, sum: Self::Products, x: Self::Digit, y: Self::Digit) -> Self::Products;
    /// The sum, tight.
    fn total(self, sum: Self::Products, modulus: &Self::Modulus) -> Self::Digit;
}

/// A prime for integers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PortableModulus {
    prime: u64,
    twice: u64,
    /// 2^52, and 1
    radix: [u64; 2],
    one: [u64; 2],
}

#[expect(
    clippy::inline_always,
    clippy::cast_possible_truncation,
    reason = "a task is compiled as one function; residues are below 2^52"
)]
impl Residues for Portable {
    type Digit = u64;
    type Modulus = PortableModulus;
    type Factor = [u64; 2];
    type Products = u128;

    const TERMS: usize = 14;
    const RATIOS: bool = true;

    fn words(value: u64, prime: u64) -> [u64; 2] {
        integer_words(value, prime)
    }

    #[inline(always)]
    fn modulus(self, prime: u64) -> PortableModulus {
        let radix = integer_words((1 << DIGIT_BITS) % prime, prime);
        PortableModulus { prime, twice: 2 * prime, radix, one: integer_words(1, prime) }
    }

    #[inline(always)]
    fn factor(self, words: [u64; 2]) -> [u64; 2] {
        words
    }

    #[inline(always)]
    fn load_factors(self, values: &[u64], ratios: &[u64], at: usize) -> [u64; 2] {
        [values[at], ratios[at]]
    }

    #[inline(always)]
    fn constant(self, residue: u64) -> u64 {
        residue
    }

    #[inline(always)]
    fn enter(self, lanes: &[u64]) -> u64 {
        lanes[0]
    }

    #[inline(always)]
    fn leave(self, x: u64, modulus: &PortableModulus, lanes: &mut [u64]) {
        lanes[0] = subtract_once(subtract_once(x, modulus.twice), modulus.prime);
    }

    #[inline(always)]
    fn finish(self, x: u64, modulus: &PortableModulus, lanes: &mut [u64]) {
        lanes[0] = subtract_once(x, modulus.prime);
    }

    #[inline(always)]
    fn reload(self, lanes: &[u64]) -> u64 {
        lanes[0]
    }

    #[inline(always)]
    fn keep(self, x: u64, lanes: &mut [u64]) {
        lanes[0] = x;
    }

    #[inline(always)]
    fn reload_transposed(self, block: &[u64; 64], run: usize) -> [u64; 8] {
        std::array::from_fn(|place| block[8 * run + place])
    }

    #[inline(always)]
    fn keep_transposed(self, vectors: [u64; 8], block: &mut [u64; 64], run: usize) {
        block[8 * run..8 * run + 8].copy_from_slice(&vectors);
    }

    #[inline(always)]
    fn tighten(self, x: u64, _: &PortableModulus) -> u64 {
        x
    }

    #[inline(always)]
    fn plus(self, x: u64, y: u64) -> u64 {
        x + y
    }

    #[inline(always)]
    fn times(self, x: u64, factor: &[u64; 2], modulus: &PortableModulus) -> u64 {
        let quotient = ((u128::from(x) * u128::from(factor[1])) >> DIGIT_BITS) as u64;
        x.wrapping_mul(factor[0]).wrapping_sub(quotient.wrapping_mul(modulus.prime))
    }

    #[inline(always)]
    fn spread(self, a: u64, b: u64, root: &[u64; 2], modulus: &PortableModulus) -> (u64, u64) {
        let (a, b) = (subtract_once(a, modulus.twice), self.times(b, root, modulus));
        (a + b, a + modulus.twice - b)
    }

    #[inline(always)]
    fn gather(self, a: u64, b: u64, root: &[u64; 2], modulus: &PortableModulus) -> (u64, u64) {
        (subtract_once(a + b, modulus.twice), self.times(a + modulus.twice - b, root, modulus))
    }

    #[inline(always)]
    fn products(self, base: u64) -> u128 {
        base.into()
    }

    #[inline(always)]
    fn add_product(self, sum: u128, x: u64, y: u64) -> u128 {
        sum + u128::from(x) * u128::from(y)
    }

    #[inline(always)]
    fn total(self, sum: u128, modulus: &PortableModulus) -> u64 {
        let (high, low) = ((sum >> DIGIT_BITS) as u64, sum as u64 & DIGIT_MASK);
        let sum = self.times(high, &modulus.radix, modulus) + self.times(low, &modulus.one, modulus);
        subtract_once(sum, modulus.twice)
    }
}

#[expect(clippy::inline_always, reason = "part of a task")]
#[inline(always)]
fn subtract_once(x: u64, less: u64) -> u64 {
    x.min(x.wrapping_sub(less))
}

/// A residue, and 2^52 times its ratio to the prime, rounded down.
pub(super) fn integer_words(value: u64, prime: u64) -> [u64; 2] {
    #[expect(clippy::cast_possible_truncation, reason = "below 2^52, as the value is below the prime")]
    let ratio = ((u128::from(value) << DIGIT_BITS) / u128::from(prime)) as u64;
    [value, ratio]
}
