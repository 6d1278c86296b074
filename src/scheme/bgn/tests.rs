use std::fmt::Debug;

use blstrs::{Fp12, Gt};
use ff::Field;
use group::{Group, prime::PrimeCurveAffine};
use num_bigint::BigInt;
use num_traits::One;
use proptest::prelude::*;

use super::{
    group_element::{Element, GT_BYTES, T_TABLE, Table, decode_gt, encode_gt, secret_sum},
    *,
};
use crate::scheme::exponential::logarithm::{Searchable, logarithms};

fn scheme(bits: u32) -> Bgn {
    Bgn::try_new(bits).unwrap()
}

fn key(seed: u64) -> SecretKey {
    scheme(8).generate_keys(&Stream::seeded(seed)).unwrap()
}

fn residue(message: i64) -> BigUint {
    let magnitude = BigUint::from(message.unsigned_abs());
    if message < 0 { &*ORDER - magnitude } else { magnitude }
}

fn residues(messages: &[i64]) -> Vec<BigUint> {
    messages.iter().copied().map(residue).collect()
}

fn scalar(message: i64) -> Scalar {
    *scalar_of(&residue(message))
}

fn encrypt(key: &SecretKey, messages: &[i64], seed: u64) -> Vec<Ciphertext> {
    scheme(8).encrypt(key.public(), &residues(messages), &Stream::seeded(seed)).unwrap()
}

/// The elements with the messages in the exponent.
fn bare<E: Element>(messages: &[i64]) -> Vec<E> {
    messages.iter().map(|message| E::generator() * scalar(*message)).collect()
}

fn with_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

/// The number r in the curve's description (Bowe, 2017).
#[test]
fn the_order_is_the_published_one() {
    let published = "73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001";
    assert_eq!(format!("{:x}", *ORDER), published);
}

/// The generators' encodings in the Internet-Draft on pairing-friendly curves, with flags for the compressed form; that
/// of the negative of one has another flag.
#[test]
fn plain_messages_are_the_published_multiples_of_the_generators() {
    let g = "f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb";
    let h = "e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e\
             024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8";
    let (zero_g, zero_h) = ("c0".to_owned() + &"00".repeat(47), "c0".to_owned() + &"00".repeat(95));
    let (scheme, key) = (scheme(8), key(1));
    let zeros = scheme.linear(key.public(), &[], &[[].as_slice(); 3]).unwrap();
    let ciphertexts = scheme.add_plain(key.public(), &zeros, &residues(&[0, 1, -1])).unwrap();
    let mut bytes = Vec::new();
    scheme.write_ciphertexts(key.public(), &ciphertexts, &mut bytes);
    let one = [&*zero_g, "97", g, &zero_h, "93", h].concat();
    let minus_one = [&*zero_g, "b7", g, &zero_h, "b3", h].concat();
    let zero = [&*zero_g, &zero_g, &zero_h, &zero_h].concat();
    assert_eq!(hex::encode(&bytes), [zero, one, minus_one].concat());
    assert!(scheme.read_ciphertexts(key.public(), &bytes).unwrap() == ciphertexts);
}

/// The definition, with the secret key, by the crate's own products and pairings.
#[test]
fn ciphertexts_of_both_levels_are_what_the_papers_say() {
    let (scheme, key) = (scheme(8), key(2));
    let (x, y) = (**key.left(), **key.right());
    let (g, h, t) = (G1Affine::generator(), G2Affine::generator(), Gt::generator());
    assert_eq!((*key.public().left(), *key.public().right()), (g * x, h * y));

    let Ciphertext { left, right } = &encrypt(&key, &[-77], 3)[0];
    let mut rng = Stream::seeded(3).item(0).rng();
    let (r, s) = (*random_scalar(&mut rng), *random_scalar(&mut rng));
    assert_eq!(*left, [g * r, g * (scalar(-77) + r * x)]);
    assert_eq!(*right, [h * s, h * (scalar(-77) + s * y)]);

    let product = &scheme.multiply(&encrypt(&key, &[5], 4), &encrypt(&key, &[-7], 5)).unwrap()[0];
    let (left, right) = (encrypt(&key, &[5], 4)[0].affine_left(), encrypt(&key, &[-7], 5)[0].affine_right());
    let pair = |i: usize, j: usize| blstrs::pairing(&left[i], &right[j]);
    assert_eq!(product.0, [pair(0, 0), pair(0, 1), pair(1, 0), pair(1, 1)]);

    let fresh = scheme.products().encrypt(key.public(), &residues(&[-77]), &Stream::seeded(6)).unwrap();
    let mut rng = Stream::seeded(6).item(0).rng();
    let [a, b, c] = std::array::from_fn(|_| *random_scalar(&mut rng));
    assert_eq!(fresh[0].0, [t * a, t * b, t * c, t * (scalar(-77) + x * b + y * c - x * y * a)]);
}

#[test]
fn bounds_are_checked() {
    for bits in [0, MAX_BOUND_BITS + 1, u32::MAX] {
        let refused = SchemeError::BoundBits { bits, min: MIN_BOUND_BITS, max: MAX_BOUND_BITS };
        assert_eq!(Bgn::try_new(bits), Err(refused));
    }
    for (bits, bound) in [(MIN_BOUND_BITS, 1), (16, 65_535), (MAX_BOUND_BITS, (1_u64 << 40) - 1)] {
        assert_eq!(scheme(bits).message_bound(), Some(bound.into()));
        assert_eq!(scheme(bits).products().message_bound(), Some(bound.into()));
    }
}

mod products_of_ciphertexts {
    use super::*;

    #[test]
    fn products_are_within_the_bound_or_refused() {
        let (scheme, key) = (scheme(12), key(7));
        let decrypt = |a, b| {
            let products = scheme.multiply(&encrypt(&key, &[a], 1), &encrypt(&key, &[b], 2)).unwrap();
            scheme.products().decrypt(&key, &products)
        };
        for (a, b) in [(0, 9), (1, -4095), (-63, -65), (65, -63), (4095, -1)] {
            assert_eq!(decrypt(a, b), Ok(vec![residue(a * b)]));
        }
        for (a, b) in [(64, 64), (-64, 64), (1 << 20, 1 << 20)] {
            assert_eq!(decrypt(a, b), Err(SchemeError::BeyondBound { index: 0, bound: residue(4095) }));
        }
    }

    #[test]
    fn unequal_lists_and_ragged_rows_are_refused() {
        let (scheme, key) = (scheme(8), key(8));
        let three = encrypt(&key, &[1, 2, 3], 1);
        let mismatch = |left, right| Some(SchemeError::LengthMismatch { left, right });
        assert_eq!(scheme.multiply(&three, &three[..2]).err(), mismatch(3, 2));
        assert_eq!(scheme.dot_products(&three, &[&three[..2]]).err(), mismatch(3, 2));
        assert_eq!(scheme.dot_products(&three, &[&three, &three[..1]]).err(), mismatch(3, 1));
        assert!(scheme.multiply(&[], &[]).unwrap().is_empty());
        assert!(scheme.dot_products(&three, &[]).unwrap().is_empty());
        let empty = scheme.dot_products(&[], &[&[], &[]]).unwrap();
        assert_eq!(scheme.products().decrypt(&key, &empty), Ok(residues(&[0, 0])));
    }

    /// More than one task's worth, and identities among them, whatever the number of threads.
    #[test]
    fn long_dot_products_come_together() {
        let (scheme, key) = (scheme(20), key(9));
        let number = |i: i64| i * 7919 % 201 - 100;
        let (a, b): (Vec<_>, Vec<_>) = (0..70).map(|i| (number(i), number(i + 70))).unzip();
        let (mut inputs, row) = (encrypt(&key, &a, 1), encrypt(&key, &b, 2));
        inputs[5] = scheme.linear(key.public(), &[], &[&[]]).unwrap()[0].clone();
        let expected: i64 = (0..70).filter(|i| *i != 5).map(|i| a[i] * b[i]).sum();
        let work = || scheme.dot_products(&inputs, &[&row]).unwrap();
        let sums = with_threads(1, work);
        assert!(with_threads(3, work) == sums);
        assert_eq!(scheme.products().decrypt(&key, &sums), Ok(vec![residue(expected)]));
        let apart = scheme.multiply(&inputs, &row).unwrap();
        let together = scheme.products().linear(key.public(), &apart, &[&vec![BigInt::one(); 70]]);
        assert!(together.unwrap() == sums);
    }

    /// Randomised products, lifted numbers and fresh ciphertexts cannot be told apart by how they add up.
    #[test]
    fn whatever_is_at_the_second_level_adds_up() {
        let (scheme, key) = (scheme(16), key(10));
        let (second, public) = (scheme.products(), key.public());
        let (a, b) = (encrypt(&key, &[12, -3], 1), encrypt(&key, &[-40, 50], 2));
        let products = scheme.multiply(&a, &b).unwrap();
        let fresh = second.encrypt(public, &residues(&[1000, -1000]), &Stream::seeded(3)).unwrap();
        let lifted = scheme.lift(&a);
        assert_eq!(second.decrypt(&key, &lifted), Ok(residues(&[12, -3])));
        let all = [products.clone(), lifted, fresh].concat();
        let sample: [BigInt; 6] = [3, -2, 1, 10, -1, 2].map(BigInt::from);
        let sum = second.linear(public, &all, &[&sample]).unwrap();
        let expected = -1440 + 300 + 12 - 30 - 1000 - 2000;
        assert_eq!(second.decrypt(&key, &sum), Ok(residues(&[expected])));
        let random = second.rerandomise(public, &products, &Stream::seeded(4));
        assert!(random.iter().zip(&products).all(|(new, old)| (0..4).all(|i| new.0[i] != old.0[i])));
        assert_eq!(second.decrypt(&key, &random), Ok(residues(&[-480, -150])));
        let mut bytes = Vec::new();
        second.write_ciphertexts(public, &scheme.lift(&a), &mut bytes);
        assert!(second.read_ciphertexts(public, &bytes).unwrap() == scheme.lift(&a));
    }

    /// Linear maps of the first level go through the product.
    #[test]
    fn products_of_sums_are_sums_of_products() {
        let (scheme, key) = (scheme(20), key(11));
        let inputs = encrypt(&key, &[11, -5], 1);
        let weights: [BigInt; 2] = [7.into(), (-3).into()];
        let sum = scheme.linear(key.public(), &inputs, &[&weights]).unwrap();
        let sum = scheme.add_plain(key.public(), &sum, &residues(&[-100])).unwrap();
        let square = scheme.multiply(&sum, &sum).unwrap();
        assert_eq!(scheme.products().decrypt(&key, &square), Ok(residues(&[64])));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn dot_products_are_those_of_the_integers(
            columns in 1_usize..4,
            rows in 1_usize..3,
            samples in 1_usize..3,
            numbers in prop::collection::vec(-1000_i64..=1000, 15),
            seed: u64,
        ) {
            let (scheme, key) = (scheme(22), key(12));
            let (inputs, rest) = numbers.split_at(columns * samples);
            let rest = &rest[..columns * rows];
            let dot = |a: &[i64], b: &[i64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<i64>();
            let expected: Vec<_> = inputs
                .chunks(columns)
                .flat_map(|sample| rest.chunks(columns).map(move |row| dot(sample, row)))
                .collect();
            let weights = encrypt(&key, rest, !seed);
            let weights: Vec<_> = weights.chunks(columns).collect();
            let products = scheme.dot_products(&encrypt(&key, inputs, seed), &weights).unwrap();
            prop_assert_eq!(scheme.products().decrypt(&key, &products), Ok(residues(&expected)));
        }
    }
}

mod search_for_messages {
    use super::*;

    fn check<E: Searchable + Element + Debug>() {
        for bits in [1, 2, 3, 7] {
            let bound = (1 << bits) - 1;
            let within: Vec<_> = (-bound..=bound).collect();
            assert_eq!(logarithms(&bare::<E>(&within), bits), Ok(within));
            for beyond in [bound + 1, bound + 2, 2 * bound + 2, 1 << 40] {
                for beyond in [beyond, -beyond] {
                    assert_eq!(logarithms(&bare::<E>(&[0, beyond]), bits), Err(1), "{beyond}");
                }
            }
        }
        // Around multiples of what a giant step goes further, which is 2^(t+1) - 1 for a table of 2^t.
        let (stride, bound) = ((2_i64 << 12) - 1, (1 << 18) - 1);
        let centres = (0..=bound / stride).flat_map(|step| [step * stride, step * stride + stride / 2]);
        let near = centres.flat_map(|centre| (-1..=1).map(move |offset| centre + offset));
        let messages: Vec<_> =
            near.filter(|message| *message <= bound).flat_map(|message| [message, -message]).collect();
        assert!(messages.len() > 300);
        assert_eq!(logarithms(&bare::<E>(&messages), 18), Ok(messages));
        assert_eq!(logarithms(&bare::<E>(&[bound, -bound, -bound - 1]), 18), Err(2));
    }

    #[test]
    fn all_are_found_within_the_bound_and_none_beyond_in_the_first_group() {
        check::<G1Projective>();
    }

    #[test]
    fn all_are_found_within_the_bound_and_none_beyond_in_the_target_group() {
        check::<Gt>();
    }

    #[test]
    fn the_first_message_beyond_the_bound_is_named() {
        let mut messages = vec![3; 100];
        messages[31] = 65_536;
        messages[32] = -65_536;
        messages[90] = 1 << 50;
        for threads in [1, 3] {
            let found = with_threads(threads, || logarithms(&bare::<Gt>(&messages), 16));
            assert_eq!(found, Err(31));
        }
    }

    /// Two threads that need the same table at once, from inside tasks of the pool.
    #[test]
    fn decryptions_inside_of_tasks_do_not_wait_for_each_other() {
        let found: Vec<_> =
            (0..16_i64).into_par_iter().map(|i| logarithms(&bare::<G1Projective>(&[-i << 16]), 21)).collect();
        assert_eq!(found, (0..16).map(|i| Ok(vec![-i << 16])).collect::<Vec<_>>());
    }
}

mod products_with_scalars {
    use super::*;

    fn check<E: Element + PartialEq + Debug>(table: &Table<E>, element: E, scalar: Scalar) {
        let expected = element * scalar;
        assert_eq!(table.multiply(&scalar), expected);
        assert_eq!(table.multiply_vartime(&scalar), expected);
    }

    fn check_all(scalar: Scalar) {
        check(&G_TABLE, G1Projective::generator(), scalar);
        check(&H_TABLE, G2Projective::generator(), scalar);
        check(&T_TABLE, Gt::generator(), scalar);
    }

    #[test]
    fn tables_give_the_products_of_the_crate_for_numbers_at_the_edges() {
        let edges = [0, 1, 2, 15, 16, 17, 255, 1 << 40];
        edges.into_iter().flat_map(|edge| [edge, -edge]).for_each(|edge| check_all(scalar(edge)));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn tables_give_the_products_of_the_crate(seed: u64) {
            let mut rng = Stream::seeded(seed).rng();
            let scalars: [_; 6] = std::array::from_fn(|_| *random_scalar(&mut rng));
            check_all(scalars[0]);
            let [x, y, z] = [3, 4, 5].map(|i| Gt::generator() * scalars[i]);
            let sum = secret_sum(&[(x, &scalars[0]), (y, &scalars[1]), (z, &scalars[2])]);
            prop_assert_eq!(sum, x * scalars[0] + y * scalars[1] + z * scalars[2]);
        }

        #[test]
        fn weighted_sums_of_long_weights_are_the_products_of_the_crate(seed: u64) {
            let mut rng = Stream::seeded(seed).rng();
            let scalars: [_; 3] = std::array::from_fn(|_| *random_scalar(&mut rng));
            let weight = BigInt::from(BigUint::from_bytes_le(&scalars[2].to_bytes_le()));
            let (g, h) = (G1Projective::generator(), G2Projective::generator());
            let input = Ciphertext {
                left: [g * scalars[0], g * scalars[1]],
                right: [h * scalars[1], h * scalars[0]],
            };
            let rows: [&[BigInt]; 2] = [std::slice::from_ref(&weight), &[-(&weight >> 100_u32)]];
            let key = key(13);
            let found = scheme(8).linear(key.public(), std::slice::from_ref(&input), &rows).unwrap();
            let shifted = scalar_of(&(weight.magnitude() >> 100_u32));
            let expected = [scalars[2], -*shifted].map(|number| Ciphertext {
                left: input.left.map(|part| part * number),
                right: input.right.map(|part| part * number),
            });
            prop_assert_eq!(found, expected);
        }
    }
}

mod bytes_from_strangers {
    use super::*;

    /// Encodings that are none, of the first group or (`pair`) the second.
    fn bad_encodings(pair: bool) -> Vec<Vec<u8>> {
        let bytes = if pair { G2_BYTES } else { G1_BYTES };
        let with = |changes: &[(usize, u8)]| {
            let mut encoding = vec![0; bytes];
            for &(place, byte) in changes {
                encoding[place] = byte;
            }
            encoding
        };
        let field: BigUint =
            "4002409555221667393417789825735904156556882819939007885332058136124031650490837864442\
                              687629129015664037894272559787"
                .parse()
                .unwrap();
        let mut beyond = (&field + 4_u8).to_bytes_be();
        beyond.resize(bytes, 0);
        beyond[0] |= 0x80;
        let last = bytes - 1;
        let mut bad = vec![
            with(&[]),
            // Not compressed, flags that contradict each other, an identity with something else in it.
            with(&[(0, 0x40)]),
            with(&[(0, 0xe0)]),
            with(&[(0, 0xc1)]),
            with(&[(0, 0xc0), (last, 1)]),
            vec![0xff; bytes],
            beyond,
        ];
        // On no curve or on the curve and in no permitted group: small x-coordinates are none of ours.
        bad.extend((0..40).map(|x| with(&[(0, 0x80), (last, x)])));
        bad
    }

    /// A point on the curve of the first group that has the order of no subgroup of ours: (0, 2) has the order 3.
    #[test]
    fn the_bad_encodings_have_points_of_the_curves_among_them() {
        let on_curve = |bytes: &[u8]| match *bytes {
            [..] if bytes.len() == G1_BYTES => G1Affine::from_compressed_unchecked(bytes.try_into().unwrap())
                .into_option()
                .is_some_and(|point| bool::from(point.is_on_curve() & !point.is_torsion_free())),
            _ => G2Affine::from_compressed_unchecked(bytes.try_into().unwrap())
                .into_option()
                .is_some_and(|point| bool::from(point.is_on_curve() & !point.is_torsion_free())),
        };
        for pair in [false, true] {
            let bad = bad_encodings(pair);
            let wrong_group = bad.iter().filter(|bytes| on_curve(bytes)).count();
            assert!(wrong_group >= 10 && wrong_group < bad.len() - 15, "{wrong_group}");
        }
    }

    #[test]
    fn encodings_that_are_not_the_one_of_an_element_are_refused() {
        let (scheme, key) = (scheme(8), key(1));
        let (mut good, mut public) = (Vec::new(), Vec::new());
        scheme.write_ciphertexts(key.public(), &encrypt(&key, &[5, 6], 1), &mut good);
        scheme.write_public_key(key.public(), &mut public);
        let refused = |what, index| Some(SchemeError::NotAnElement { what, index });
        for pair in [false, true] {
            let (bytes, places, place) =
                if pair { (G2_BYTES, [96, 192], 48) } else { (G1_BYTES, [0, 48], 0) };
            for bad in bad_encodings(pair) {
                for (index, start) in [(0, places[0]), (0, places[1]), (1, 288 + places[0])] {
                    let mut changed = good.clone();
                    changed[start..start + bytes].copy_from_slice(&bad);
                    let result = scheme.read_ciphertexts(key.public(), &changed);
                    assert_eq!(result.err(), refused("ciphertext", index), "{bad:02x?}");
                }
                let mut changed = public.clone();
                changed[place..place + bytes].copy_from_slice(&bad);
                assert_eq!(scheme.read_public_key(&changed).err(), refused("public key", 0), "{bad:02x?}");
            }
            // The identity is an element, but opens the messages as a key.
            let mut changed = public.clone();
            changed[place..place + bytes].fill(0);
            changed[place] = 0xc0;
            assert_eq!(scheme.read_public_key(&changed).err(), refused("public key", 0));
        }
    }

    fn torus(element: &Fp12) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_gt(&Gt::from(*element), &mut bytes);
        bytes
    }

    fn frobenius(element: &Fp12, power: usize) -> Fp12 {
        let mut image = *element;
        image.frobenius_map(power);
        image
    }

    /// Elements of norm 1 that are outside of the cyclotomic subgroup, and in it but of another order: what is left of
    /// the final exponentiation when its last one or two steps are left out.
    #[test]
    fn elements_of_another_order_are_refused() {
        // Without a second one the first step would give the inverse of the generator.
        let general = Fp12::from(Gt::generator()) + Fp12::ONE + Fp12::ONE;
        let unitary = frobenius(&general, 6) * general.invert().unwrap();
        let cyclotomic = frobenius(&unitary, 2) * unitary;
        let is_cyclotomic = |element: &Fp12| frobenius(element, 4) * *element == frobenius(element, 2);
        let order = |element: &Fp12| {
            let bits = (0..ORDER.bits()).rev();
            bits.fold(Fp12::ONE, |power, bit| {
                let square = power * power;
                if ORDER.bit(bit) { square * element } else { square }
            }) == Fp12::ONE
        };
        assert_eq!(frobenius(&unitary, 6) * unitary, Fp12::ONE);
        assert!(!is_cyclotomic(&unitary) && is_cyclotomic(&cyclotomic) && !order(&cyclotomic));
        let right = Fp12::from(Gt::generator() * scalar(123));
        assert!(is_cyclotomic(&right) && order(&right));
        assert_eq!(decode_gt(&torus(&right)), Some(Gt::from(right)));
        for wrong in [unitary, cyclotomic, cyclotomic * right, -right] {
            assert_eq!(decode_gt(&torus(&wrong)), None);
        }
    }

    #[test]
    fn bad_encodings_in_the_target_group_are_refused() {
        let (scheme, key) = (scheme(8).products(), key(1));
        let ciphertexts = scheme.encrypt(key.public(), &residues(&[1, 2]), &Stream::seeded(1)).unwrap();
        let mut good = Vec::new();
        scheme.write_ciphertexts(key.public(), &ciphertexts, &mut good);
        let refused = |index| Some(SchemeError::NotAnElement { what: "ciphertext", index });
        for part in 0..8 {
            for coordinate in [0, 5] {
                // The same number and the field's, too long by one modulus; another number; too great a number.
                let start = GT_BYTES * part + 48 * coordinate;
                let field = BigUint::from_bytes_le(&(-blstrs::Fp::from(1)).to_bytes_le()) + 1_u8;
                let number = BigUint::from_bytes_le(&good[start..start + 48]);
                let numbers =
                    [&number + &field, &number ^ BigUint::one(), (BigUint::one() << 384_u32) - 1_u8];
                for number in numbers {
                    let mut bytes = number.to_bytes_le();
                    bytes.resize(48, 0);
                    let mut changed = good.clone();
                    changed[start..start + 48].copy_from_slice(&bytes);
                    assert_eq!(scheme.read_ciphertexts(key.public(), &changed).err(), refused(part / 4));
                }
            }
        }
        for bytes in [vec![0; GT_BYTES - 1], vec![0; GT_BYTES + 1], vec![0xff; GT_BYTES]] {
            assert_eq!(decode_gt(&bytes), None);
        }
        assert_eq!(decode_gt(&[0; GT_BYTES]), Some(Gt::identity()));
    }
}
