use num_bigint::{BigInt, BigUint};
use num_integer::Integer;
use num_traits::One;
use proptest::{
    prelude::*,
    test_runner::{RngAlgorithm, TestRng, TestRunner},
};

use super::{Kind, Ring, lanes::Lanes, number::Numbers};
use crate::math::{rows::Rows, vector::Engine};

/// The ring modulo `root`, or its square, in num-bigint and on every engine of this processor.
fn rings(root: &BigUint, square: bool) -> Vec<(String, Ring)> {
    let modulus = if square { root * root } else { root.clone() };
    let ring = |kind| Ring { modulus: modulus.clone(), root: square.then(|| root.clone()), kind };
    let mut rings =
        vec![("num-bigint".to_owned(), ring(Kind::Number(Numbers::try_new(modulus.clone()).unwrap())))];
    for engine in Engine::available() {
        let lanes = Lanes::with_engine(root, square, engine).unwrap();
        rings.push((format!("{engine}"), ring(Kind::Lanes(Box::new(lanes)))));
    }
    rings
}

/// Odd moduli of so many bits: the least, the greatest, and one from random bytes.
fn moduli(bits: u64, bytes: &[u8]) -> Vec<BigUint> {
    let high = BigUint::one() << (bits - 1);
    let random = (BigUint::from_bytes_le(bytes) % &high) | &high | BigUint::one();
    vec![&high + 1_u32, (&high << 1_u32) - 1_u32, random]
}

/// Numbers below m: the edges, the multiples of the root next to them, and some from random bytes.
fn numbers(modulus: &BigUint, root: &BigUint, bytes: &[u8], count: usize) -> Vec<BigUint> {
    let mut numbers: Vec<BigUint> = vec![0_u32.into(), 1_u32.into(), 2_u32.into(), modulus - 1_u32];
    numbers.extend([root - 1_u32, root.clone(), root + 1_u32, modulus - root, modulus / 2_u32]);
    numbers.extend((0..count).map(|i| BigUint::from_bytes_le(&bytes[i..]) % modulus));
    numbers.iter().map(|number| number % modulus).collect()
}

/// Random bytes for numbers of up to 8192 bits.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 2048)
}

fn for_random(cases: u32, check: impl Fn(Vec<u8>)) {
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    runner
        .run(&bytes(), |bytes| {
            check(bytes);
            Ok(())
        })
        .unwrap();
}

fn refs(numbers: &[BigUint]) -> Vec<&BigUint> {
    numbers.iter().collect()
}

/// Checks `check` on rings of all sizes: (name, ring, its root, random bytes).
fn on_rings(sizes: &[u64], cases: u32, check: impl Fn(&str, &Ring, &BigUint, &[u8])) {
    for_random(cases, |bytes| {
        for &bits in sizes {
            for root in moduli(bits, &bytes) {
                for square in [false, true] {
                    for (name, ring) in rings(&root, square) {
                        check(&format!("{name}, {bits} bits, square: {square}"), &ring, &root, &bytes);
                    }
                }
            }
        }
    });
}

const SMALL: [u64; 9] = [2, 31, 52, 64, 100, 252, 253, 512, 1024];
const LARGE: [u64; 5] = [1536, 2048, 3072, 4096, 8192];

#[test]
fn numbers_are_read_and_written_reduced() {
    let check = |name: &str, ring: &Ring, root: &BigUint, bytes: &[u8]| {
        let m = ring.modulus();
        let mut all = numbers(m, root, bytes, 11);
        // Up to twice the modulus's length.
        all.extend([m * m - 1_u32, m.clone(), m + 1_u32, (m * m) >> 1]);
        let elements = ring.read(&refs(&all));
        let expected: Vec<_> = all.iter().map(|number| number % m).collect();
        assert!(ring.write(&elements) == expected, "{name}");
        assert!(ring.read(&refs(&expected)) == elements, "{name}: another form of the same numbers");
        assert!(ring.write(&[ring.one()]) == [BigUint::one() % m], "{name}");
        assert!(ring.read(&[]).is_empty(), "{name}");
    };
    on_rings(&SMALL, 8, check);
    on_rings(&LARGE, 1, check);
}

#[test]
fn products_are_products() {
    let check = |name: &str, ring: &Ring, root: &BigUint, bytes: &[u8]| {
        let m = ring.modulus();
        let left = numbers(m, root, bytes, 14);
        let mut right = left.clone();
        right.rotate_left(1);
        right.extend_from_within(..2);
        let product = ring.multiply(&ring.read(&refs(&left)), &ring.read(&refs(&right)));
        let expected: Vec<_> = left.iter().zip(&right).map(|(a, b)| a * b % m).collect();
        assert!(ring.write(&product) == expected, "{name}");
        // The same element whatever way it was reached.
        assert!(product == ring.read(&refs(&expected)), "{name}");
    };
    on_rings(&SMALL, 8, check);
    on_rings(&LARGE, 1, check);
}

#[test]
fn powers_are_those_of_num_bigint() {
    let check = |name: &str, ring: &Ring, root: &BigUint, bytes: &[u8]| {
        let m = ring.modulus();
        let bases = numbers(m, root, bytes, 2);
        let elements = ring.read(&refs(&bases));
        let exponents: [BigUint; 5] = [
            0_u32.into(),
            1_u32.into(),
            31_u32.into(),
            BigUint::from_bytes_le(&bytes[..9]),
            BigUint::from_bytes_le(&bytes[..35]) | BigUint::one() << 279,
        ];
        for exponent in exponents {
            let expected: Vec<_> = bases.iter().map(|base| base.modpow(&exponent, m)).collect();
            assert!(ring.write(&ring.power(&elements, &exponent)) == expected, "{name}");
            assert!(ring.write(&ring.power_vartime(&elements, &exponent)) == expected, "{name}");
        }
    };
    on_rings(&SMALL, 2, check);
    on_rings(&LARGE[..2], 1, check);
}

/// One thread takes full lanes, several of them where a table is gone through, and what is left over.
#[test]
fn powers_of_many_numbers_are_those_of_num_bigint() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let check = |name: &str, ring: &Ring, root: &BigUint, bytes: &[u8]| {
        let m = ring.modulus();
        let bases = numbers(m, root, bytes, 30);
        let exponents = bases.iter().map(|base| base % (BigUint::one() << 60_u32)).collect::<Vec<_>>();
        let powers =
            |exponent: &BigUint| -> Vec<_> { bases.iter().map(|base| base.modpow(exponent, m)).collect() };
        pool.install(|| {
            for count in [16, 24, 39] {
                let elements = ring.read(&refs(&bases[..count]));
                let found = ring.write(&ring.power(&elements, &exponents[12]));
                assert!(found == powers(&exponents[12])[..count], "{name}, {count}");
            }
            let base = ring.read(&[&bases[10]]).pop().unwrap();
            let found = ring.write(&ring.power_of_fixed(&ring.powers_of(&base, 60), &refs(&exponents), 60));
            let expected: Vec<_> = exponents.iter().map(|exponent| bases[10].modpow(exponent, m)).collect();
            assert!(found == expected, "{name}");
        });
    };
    on_rings(&SMALL, 1, check);
    on_rings(&LARGE[..2], 1, check);
}

#[test]
fn a_full_exponent_of_a_large_modulus_gives_num_bigints_power() {
    for_random(1, |bytes| {
        let root = moduli(2048, &bytes).pop().unwrap();
        let exponent = BigUint::from_bytes_le(&bytes[300..556]);
        for (name, ring) in rings(&root, true) {
            let bases: Vec<_> = (0..9).map(|i| BigUint::from_bytes_le(&bytes[i..512 + i])).collect();
            let powers = ring.write(&ring.power(&ring.read(&refs(&bases)), &exponent));
            let expected = [0, 8].map(|i| bases[i].modpow(&exponent, ring.modulus()));
            assert!([&powers[0], &powers[8]] == [&expected[0], &expected[1]], "{name}");
        }
    });
}

#[test]
fn a_table_of_a_fixed_base_gives_its_powers() {
    let check = |name: &str, ring: &Ring, root: &BigUint, bytes: &[u8]| {
        let base = numbers(ring.modulus(), root, bytes, 1).pop().unwrap();
        let element = ring.read(&[&base]).pop().unwrap();
        for bits in [1, 5, 64, 131, 384] {
            let [powers, lasting] = [ring.powers_of(&element, bits), ring.lasting_powers_of(&element, bits)];
            let mut exponents: Vec<BigUint> =
                vec![0_u32.into(), 1_u32.into(), (BigUint::one() << bits) - 1_u32];
            exponents
                .extend((0..7).map(|i| BigUint::from_bytes_le(&bytes[i..i + 40]) % (BigUint::one() << bits)));
            let expected: Vec<_> =
                exponents.iter().map(|exponent| base.modpow(exponent, ring.modulus())).collect();
            for powers in [powers, lasting] {
                let found = ring.power_of_fixed(&powers, &refs(&exponents), bits);
                assert!(ring.write(&found) == expected, "{name}, {bits}");
            }
        }
    };
    on_rings(&SMALL, 2, check);
    on_rings(&LARGE[..1], 1, check);
}

/// The definition, term by term.
fn slow_product(inputs: &[BigUint], row: &[BigInt], m: &BigUint) -> BigUint {
    inputs.iter().zip(row).fold(BigUint::one() % m, |product, (input, exponent)| {
        let power = input.modpow(exponent.magnitude(), m);
        let power = if *exponent < BigInt::ZERO { power.modinv(m).unwrap() } else { power };
        product * power % m
    })
}

#[test]
fn products_of_powers_are_products_of_powers() {
    let check = |name: &str, ring: &Ring, _: &BigUint, bytes: &[u8]| {
        let m = ring.modulus();
        let unit = |at: usize| {
            let mut candidate = BigUint::from_bytes_le(&bytes[at..]) % m;
            while !candidate.gcd(m).is_one() {
                candidate += 1_u32;
            }
            candidate
        };
        // (samples, columns, rows, bits of exponents, signed)
        let mut shapes = vec![
            (1, 1, 1, 40, true),
            (1, 3, 2, 16, false),
            (2, 5, 9, 16, true),
            (1, 0, 2, 3, true),
            (3, 1, 4, 100, true),
            (1, 40, 3, 1, true),
        ];
        if m.bits() < 600 {
            // Long enough for buckets.
            shapes.extend([(2, 150, 1, 24, true), (1, 150, 2, 9, false)]);
        }
        for (samples, columns, rows, bits, signed) in shapes {
            let inputs: Vec<_> = (0..samples * columns).map(unit).collect();
            let exponent = |at: usize| {
                let shifted = BigInt::from_signed_bytes_le(&bytes[at..at + 16]) >> (127_usize - bits);
                if signed { shifted } else { shifted.magnitude().clone().into() }
            };
            let matrix: Vec<Vec<BigInt>> = (0..rows)
                .map(|row| (0..columns).map(|column| exponent(row * 31 + column)).collect())
                .collect();
            let matrix: Vec<&[BigInt]> = matrix.iter().map(Vec::as_slice).collect();
            let elements = ring.read(&refs(&inputs));
            let got = ring.write(&ring.products_of_powers_vartime(&elements, &Rows::dense(&matrix)).unwrap());
            let empty: [&[BigUint]; 1] = [&[]];
            let parts: Vec<&[BigUint]> =
                if columns == 0 { empty.to_vec() } else { inputs.chunks(columns).collect() };
            let expected: Vec<_> = parts
                .iter()
                .flat_map(|sample| matrix.iter().map(|row| slow_product(sample, row, m)))
                .collect();
            assert!(got == expected, "{name}: {samples} x {columns} x {rows}, {bits} bits");
        }
    };
    on_rings(&SMALL[1..], 2, check);
    on_rings(&LARGE[..1], 1, check);
}

#[test]
fn inverses_multiply_to_one_and_exist_for_units_only() {
    let check = |name: &str, ring: &Ring, root: &BigUint, bytes: &[u8]| {
        let m = ring.modulus();
        let all = numbers(m, root, bytes, 20);
        let units: Vec<_> = all.iter().filter(|number| number.gcd(m).is_one()).cloned().collect();
        for count in [0, 1, 2, 9, units.len()] {
            let elements = ring.read(&refs(&units[..count.min(units.len())]));
            let inverses = ring.invert_vartime(&elements).unwrap();
            let products = ring.multiply(&elements, &inverses);
            assert!(products.iter().all(|product| *product == ring.one()), "{name}: {count}");
        }
        let others = ring.read(&[&units[0], &BigUint::ZERO, &units[1 % units.len()]]);
        assert!(ring.invert_vartime(&others).is_err(), "{name}");
    };
    on_rings(&SMALL, 2, check);
    on_rings(&LARGE[..1], 1, check);
}

#[test]
fn quotients_undo_what_powers_of_one_plus_s_are() {
    let check = |name: &str, ring: &Ring, root: &BigUint, bytes: &[u8]| {
        let wanted = numbers(root, root, bytes, 9);
        let powers: Vec<_> = wanted.iter().map(|x| 1_u32 + x * root).collect();
        let expected = if ring.root.is_some() { wanted } else { vec![BigUint::ZERO; powers.len()] };
        assert!(ring.quotients(&ring.read(&refs(&powers))) == expected, "{name}");
    };
    on_rings(&SMALL, 4, check);
    on_rings(&LARGE, 1, check);
}

#[test]
fn scaled_differences_wrap_around_zero() {
    for_random(4, |bytes| {
        for bits in SMALL.into_iter().chain(LARGE) {
            for root in moduli(bits, &bytes) {
                for (name, ring) in rings(&root, false) {
                    let left = numbers(&root, &root, &bytes, 3);
                    let mut right = left.clone();
                    right.reverse();
                    let factor = ring.read(&[&left[9]]).pop().unwrap();
                    let expected: Vec<_> =
                        left.iter().zip(&right).map(|(a, b)| (a + &root - b) * &left[9] % &root).collect();
                    assert!(ring.scaled_differences(&left, &right, &factor) == expected, "{name}, {bits}");
                }
            }
        }
    });
}

#[test]
fn even_numbers_and_one_are_no_moduli() {
    for arithmetic in [super::Arithmetic::NumBigint, super::Arithmetic::Vector] {
        let accepted = |value: u32| Ring::modulo(value.into(), arithmetic).is_some();
        assert_eq!([0, 1, 2, 3, 4, 255].map(accepted), [false, false, false, true, false, true]);
        let accepted = |value: u32| Ring::modulo_square(value.into(), arithmetic).is_some();
        assert_eq!([0, 1, 2, 3, 4, 255].map(accepted), [false, false, false, true, false, true]);
    }
}
