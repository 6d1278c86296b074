//! How hard moduli are to factor, by the published tables.
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

/// Security that parameters must reach to be called secure, in bits.
pub const REQUIRED_SECURITY_BITS: u32 = 128;

/// (modulus bits, security bits) of NIST SP 800-57 part 1, highest first.
const NIST_TABLE: [(u64, u32); 5] = [(15_360, 256), (7_680, 192), (3_072, 128), (2_048, 112), (1_024, 80)];

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
}
