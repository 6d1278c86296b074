//! How hard moduli are to factor and lattice problems to solve, by the published tables.
//!
//! # Factoring
//!
//! | modulus, bits | security, bits | source |
//! |---|---|---|
//! | 512 | 57 | number field sieve formula |
//! | 768 | 69 | number field sieve formula |
//! | 1024 | 80 | NIST SP 800-57 part 1 rev. 5, table 2 |
//! | 2048 | 112 | the same |
//! | 3072 | 128 | the same |
//! | 7680 | 192 | the same |
//! | 15360 | 256 | the same |
//!
//! A 512-bit modulus was factored in 1999, one of 768 bits in 2009 and one of 829 bits in 2020, so nothing below 1024 is
//! secure by any reading, and NIST disallows 1024 since 2014.
//!
//! # Learning with errors over rings
//!
//! The greatest bits of the modulus, that of key switching included, for a ternary secret and errors of standard deviation 3.19 at ring
//! degree N ("Security guidelines for implementing homomorphic encryption", IACR ePrint 2024/463; the last column is the
//! Homomorphic Encryption Standard of 2018, which later attacks have overtaken by some bits):
//!
//! | N | 128 bits | 192 bits | 256 bits | 128 bits in 2018 |
//! |---|---|---|---|---|
//! | 1024 | 26 | - | - | 27 |
//! | 2048 | 53 | 36 | 27 | 54 |
//! | 4096 | 106 | 73 | 56 | 109 |
//! | 8192 | 214 | 147 | 114 | 218 |
//! | 16384 | 430 | 297 | 230 | 438 |
//! | 32768 | 868 | 597 | 462 | 881 |
//! | 65536 | 1747 | 1199 | 929 | - |

/// Security that parameters must reach to be called secure, in bits.
pub const REQUIRED_SECURITY_BITS: u32 = 128;

/// (modulus bits, security bits) of NIST SP 800-57 part 1, highest first.
const NIST_TABLE: [(u64, u32); 5] = [(15_360, 256), (7_680, 192), (3_072, 128), (2_048, 112), (1_024, 80)];

/// (log2 N, greatest bits of the modulus at 128, 192 and 256 bits of security).
const LATTICE_TABLE: [(u32, [u32; 3]); 7] = [
    (10, [26, 0, 0]),
    (11, [53, 36, 27]),
    (12, [106, 73, 56]),
    (13, [214, 147, 114]),
    (14, [430, 297, 230]),
    (15, [868, 597, 462]),
    (16, [1747, 1199, 929]),
];

/// (log2 N, greatest bits of the modulus at 128 bits of security by the standard of 2018).
const LATTICE_TABLE_2018: [(u32, u32); 6] = [(10, 27), (11, 54), (12, 109), (13, 218), (14, 438), (15, 881)];

/// Security of learning with errors over a ring of degree 2^`log_degree` with a modulus of so many bits, in bits.
///
/// The column of the 2024 guidelines whose bound the modulus keeps: 256, 192 or 128. Beyond the last, an estimate below 128
/// in proportion to the modulus, as security falls with N / log Q: rough, for marks only. 0 for a degree that the table has not.
pub fn lattice_security_bits(log_degree: u32, modulus_bits: u32) -> u32 {
    let Some((_, bounds)) = LATTICE_TABLE.iter().find(|(degree, _)| *degree == log_degree) else { return 0 };
    let kept = [128, 192, 256].into_iter().zip(bounds).rev().find(|(_, bound)| modulus_bits <= **bound);
    kept.map_or_else(|| (128 * bounds[0] / modulus_bits).min(127), |(security, _)| security)
}

/// Whether a modulus that the 2024 guidelines refuse at 128 bits was secure by the standard of 2018.
pub fn lattice_was_secure_in_2018(log_degree: u32, modulus_bits: u32) -> bool {
    LATTICE_TABLE_2018.iter().any(|&(degree, bound)| degree == log_degree && modulus_bits <= bound)
}

/// Security of a modulus of two equal primes against factoring, in bits.
///
/// From 1024 bits on, the row of NIST SP 800-57 part 1 that the modulus reaches, nothing between rows. Below, the formula
/// of the FIPS 140 implementation guidance (140-2 IG 7.5, 140-3 IG D.B) that underlies the table, rounded down:
/// `(1.923 * cbrt(L ln 2) * cbrt(ln(L ln 2)^2) - 4.69) / ln 2` for L bits.
pub fn factoring_security_bits(modulus_bits: u64) -> u32 {
    let row = NIST_TABLE.iter().find(|(bits, _)| modulus_bits >= *bits);
    row.map_or_else(|| number_field_sieve_bits(modulus_bits), |&(_, security)| security)
}

fn number_field_sieve_bits(modulus_bits: u64) -> u32 {
    let size = modulus_bits as f64 * std::f64::consts::LN_2;
    // Below four bits the logarithm or the whole is negative.
    if modulus_bits < 4 {
        return 0;
    }
    let log = libm::log(size);
    let work = (1.923 * libm::cbrt(size) * libm::cbrt(log * log) - 4.69) / std::f64::consts::LN_2;
    // The formula is negative for very small moduli.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to what a u32 holds"
    )]
    let bits = work.clamp(0.0, 1e6) as u32;
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_sp_800_57_is_reproduced() {
        let got = [1024, 2048, 3072, 7680, 15_360].map(factoring_security_bits);
        assert_eq!(got, [80, 112, 128, 192, 256]);
    }

    #[test]
    fn between_rows_nothing_is_gained() {
        assert_eq!(
            [2047, 3071, 7679, 15_359, u64::MAX].map(factoring_security_bits),
            [80, 112, 128, 192, 256]
        );
    }

    #[test]
    fn the_formula_agrees_with_the_table_within_its_rounding() {
        // 79.9999 at 1024, 110.1 at 2048, 131.97 at 3072 bits; the table rounds to symmetric ciphers' sizes.
        assert_eq!([1024, 2048, 3072].map(number_field_sieve_bits), [79, 110, 131]);
        assert_eq!([512, 768].map(factoring_security_bits), [57, 69]);
    }

    #[test]
    fn more_bits_are_never_less_secure() {
        let all: Vec<_> = (0..=1100).map(factoring_security_bits).collect();
        assert!(all.is_sorted());
        assert_eq!(all[..8], [0; 8]);
    }
    #[test]
    fn every_cell_of_the_lattice_table_is_a_boundary() {
        for (log_degree, bounds) in LATTICE_TABLE {
            for (security, bound) in [128, 192, 256].into_iter().zip(bounds).filter(|(_, bound)| *bound > 0) {
                assert_eq!(lattice_security_bits(log_degree, bound), security);
                assert!(lattice_security_bits(log_degree, bound + 1) < security);
            }
        }
        for (log_degree, bound) in LATTICE_TABLE_2018 {
            assert!(lattice_was_secure_in_2018(log_degree, bound));
            assert!(!lattice_was_secure_in_2018(log_degree, bound + 1));
            assert!((100..128).contains(&lattice_security_bits(log_degree, bound)));
        }
    }

    #[test]
    fn security_falls_with_the_modulus_and_is_none_for_unknown_degrees() {
        for (log_degree, _) in LATTICE_TABLE {
            let all: Vec<_> = (1..3000).map(|bits| lattice_security_bits(log_degree, bits)).collect();
            assert!(all.iter().rev().is_sorted());
        }
        assert_eq!([9, 17].map(|log_degree| lattice_security_bits(log_degree, 20)), [0, 0]);
    }
}
