//! Primes with a proof: no probable primes in keys.
//!
//! Large primes are built upwards in the manner of Maurer ("Fast generation of prime numbers and secure public-key
//! cryptographic parameters", J. Cryptology 8, 1995) and Shawe-Taylor (FIPS 186-5, appendix B.10): given a prime q, look
//! for p = 2hq + 1 with q > sqrt(p), and prove p by Pocklington's criterion. Below 2^64 the Miller-Rabin test with the
//! first twelve primes as bases is a proof (Sorenson and Webster, Math. Comp. 86, 2017: no composite below 3.1 * 10^23
//! passes).

use std::sync::LazyLock;

use num_bigint::BigUint;
use num_integer::Integer;
use num_traits::{One, ToPrimitive, Zero};
use rand::RngCore;
use thiserror::Error;

use crate::math::{modexp::Modulus, stream::Stream, uniform, wipe::SecretUint};

/// Least size of a prime from [`proven_prime`].
pub const MIN_PRIME_BITS: u64 = 16;
/// Greatest size of a prime from [`proven_prime`].
pub const MAX_PRIME_BITS: u64 = 8192;

/// Bases that make Miller-Rabin a proof for every 64-bit integer.
const PROVEN_BASES: [u64; 12] = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37];
/// Candidates are sieved by the primes below this; about one candidate in ten is left for the exponentiation.
const SIEVE_LIMIT: u32 = 1 << 16;

static SMALL_PRIMES: LazyLock<Vec<u32>> = LazyLock::new(sieve_of_eratosthenes);

/// A size for which no prime is made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
#[error("prime of {bits} bits: must be between {min} and {max}")]
pub struct PrimeBitsError {
    /// as asked
    pub bits: u64,
    /// least
    pub min: u64,
    /// most
    pub max: u64,
}

/// A prime together with its proof, a chain of primes. All of it is wiped when dropped: every link divides its
/// predecessor minus 1, so whoever sees the second link can factor a modulus made with the first.
pub struct ProvenPrime {
    /// From the base case upwards.
    links: Vec<SecretUint>,
    value: SecretUint,
}

impl ProvenPrime {
    /// The prime.
    pub fn value(&self) -> &BigUint {
        &self.value
    }

    /// The prime without its proof.
    pub fn into_value(self) -> SecretUint {
        self.value
    }

    /// The proof: the prime first, then each link, down to one below 2^64. For neighbours p, q: q divides p - 1,
    /// q^2 > p, and 2 is a Pocklington witness: 2^(p-1) = 1 and gcd(2^((p-1)/q) - 1, p) = 1 modulo p.
    pub fn chain(&self) -> impl Iterator<Item = &BigUint> {
        std::iter::once(self.value()).chain(self.links.iter().rev().map(|link| &**link))
    }
}

/// A random prime of exactly `bits` bits, the two highest of them set, so that the product of two has exactly twice as
/// many bits. The same stream gives the same prime.
///
/// # Errors
/// When `bits` is not in [`MIN_PRIME_BITS`]`..=`[`MAX_PRIME_BITS`].
pub fn proven_prime(bits: u64, stream: &Stream) -> Result<ProvenPrime, PrimeBitsError> {
    let (min, max) = (MIN_PRIME_BITS, MAX_PRIME_BITS);
    if !(min..=max).contains(&bits) {
        return Err(PrimeBitsError { bits, min, max });
    }
    // Sizes from the wanted one down to the base case; half of the bits and one more make q > sqrt(p).
    let mut sizes: Vec<_> =
        std::iter::successors(Some(bits), |&size| (size > 64).then_some(size / 2 + 1)).collect();
    let mut rng = stream.rng();
    let base = sizes.pop().unwrap_or(bits);
    let mut value = SecretUint::new(word_prime(base, &mut rng).into());
    let mut links = Vec::new();
    for size in sizes.into_iter().rev() {
        let next = prime_above(size, &value, &mut rng);
        links.push(std::mem::replace(&mut value, next));
    }
    Ok(ProvenPrime { links, value })
}

/// Whether a 64-bit integer is prime, proven.
pub fn is_prime_u64(n: u64) -> bool {
    if n < 2 {
        return false;
    }
    if PROVEN_BASES.iter().any(|&base| n.is_multiple_of(base)) {
        return PROVEN_BASES.contains(&n);
    }
    let twos = (n - 1).trailing_zeros();
    let odd = (n - 1) >> twos;
    PROVEN_BASES.iter().all(|&base| {
        let mut power = pow_u64(base, odd, n);
        if power == 1 || power == n - 1 {
            return true;
        }
        (1..twos).any(|_| {
            power = multiply_u64(power, power, n);
            power == n - 1
        })
    })
}

/// The least prime below 2^16 that divides `n`, if any; zero is divided by 2.
pub fn small_factor(n: &BigUint) -> Option<u32> {
    SMALL_PRIMES.iter().copied().find(|&prime| remainder(n, prime) == 0)
}

/// A random prime of 2 to 64 bits with the two highest set.
fn word_prime(bits: u64, rng: &mut impl RngCore) -> u64 {
    loop {
        let candidate = (rng.next_u64() | 3 << 62) >> (64 - bits) | 1;
        if is_prime_u64(candidate) {
            return candidate;
        }
    }
}

/// A prime p = 2hq + 1 of `bits` bits with the two highest set, for a prime q above 2^32 with q^2 > 2^bits.
///
/// From a uniform h on, candidates are tried in order of h.
fn prime_above(bits: u64, q: &BigUint, rng: &mut impl RngCore) -> SecretUint {
    let step: BigUint = q << 1;
    let top = BigUint::one() << bits;
    let least_h = ((BigUint::from(3u8) << (bits - 2)) - 1u8).div_ceil(&step);
    let most_h = (&top - 2u8) / &step;
    let choices = &most_h - &least_h + 1u8;
    // One candidate in about 0.35 bits is prime, so a window without any is a matter of e^-11.
    let window = usize::try_from(4 * bits).unwrap_or(usize::MAX);
    loop {
        let start = SecretUint::new((&least_h + uniform::below(&choices, rng)) * &step + 1u8);
        let composite = sieve(&start, &step, window);
        for (offset, _) in composite.iter().enumerate().filter(|&(_, &composite)| !composite) {
            let candidate = &*start + &step * offset;
            if candidate >= top {
                break;
            }
            if pocklington(&candidate, q) {
                return SecretUint::new(candidate);
            }
        }
    }
}

/// Whether 2 proves by Pocklington's criterion that p is prime, given that q is. A prime p that 2 does not prove is
/// refused as well; among p = 2hq + 1 there is hardly ever one.
///
/// Why it proves: let r be a prime factor of p and b = 2^((p-1)/q). Then b^q = 1 and b != 1 modulo r, so b has order q
/// modulo r, q divides r - 1, and r > q > sqrt(p). All prime factors being above the root, there is just one.
fn pocklington(p: &BigUint, q: &BigUint) -> bool {
    let (cofactor, rest) = (p - 1u8).div_rem(q);
    let Some(modulus) = Modulus::try_new(p.clone()) else { return false };
    if !rest.is_zero() || q * q <= *p {
        return false;
    }
    let root = modulus.pow(&2u8.into(), &cofactor);
    modulus.pow(&root, q).is_one() && (root - 1u8).gcd(p).is_one()
}

/// For each of `start + i * step`, i < `window`, whether a small prime divides it. No small prime may divide `step / 2`
/// and `start` must be odd and above all small primes.
fn sieve(start: &BigUint, step: &BigUint, window: usize) -> Vec<bool> {
    let mut composite = vec![false; window];
    for &prime in SMALL_PRIMES.iter().skip(1) {
        let modulus = u64::from(prime);
        // start + i * step = 0 gives i = -start / step; the inverse by Fermat.
        let inverse = pow_u64(remainder(step, prime), modulus - 2, modulus);
        let first = (modulus - remainder(start, prime)) * inverse % modulus;
        let (Ok(first), Ok(stride)) = (usize::try_from(first), usize::try_from(prime)) else { continue };
        composite.iter_mut().skip(first).step_by(stride).for_each(|mark| *mark = true);
    }
    composite
}

fn remainder(n: &BigUint, divisor: u32) -> u64 {
    (n % divisor).to_u64().unwrap_or(0)
}

fn multiply_u64(left: u64, right: u64, modulus: u64) -> u64 {
    // The remainder is below a 64-bit modulus.
    u64::try_from(u128::from(left) * u128::from(right) % u128::from(modulus)).unwrap_or(0)
}

fn pow_u64(mut base: u64, mut exponent: u64, modulus: u64) -> u64 {
    let mut power = 1 % modulus;
    while exponent > 0 {
        if exponent & 1 == 1 {
            power = multiply_u64(power, base, modulus);
        }
        base = multiply_u64(base, base, modulus);
        exponent >>= 1;
    }
    power
}

fn sieve_of_eratosthenes() -> Vec<u32> {
    let mut composite = vec![false; SIEVE_LIMIT as usize];
    let mut primes = Vec::new();
    for n in 2..SIEVE_LIMIT {
        if composite.get(n as usize).is_some_and(|&mark| !mark) {
            primes.push(n);
            composite.iter_mut().skip(2 * n as usize).step_by(n as usize).for_each(|mark| *mark = true);
        }
    }
    primes
}

#[cfg(test)]
mod tests;
