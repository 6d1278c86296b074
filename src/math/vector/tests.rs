use proptest::prelude::*;

use super::{DIGIT_BITS, DIGIT_MASK, Engine, Group, Task, Unit};

/// The engines of this processor, told where some are missing.
fn engines() -> Vec<Engine> {
    let found: Vec<_> = Engine::available().collect();
    for engine in Engine::ALL.iter().filter(|engine| !found.contains(engine)) {
        eprintln!("skipped {engine}: this processor does not have it");
    }
    found
}

/// Digits at the edges and between.
fn digit() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        Just(1),
        Just(DIGIT_MASK),
        Just(DIGIT_MASK - 1),
        Just(1 << (DIGIT_BITS - 1)),
        (0..DIGIT_BITS).prop_map(|bit| 1 << bit),
        (0..DIGIT_BITS).prop_map(|bit| (1 << bit) - 1),
        0..=DIGIT_MASK,
    ]
}

/// All operations on eight pairs of digits, one list of results a lane, in a form that is the same for all units.
struct Everything<'a> {
    left: &'a [u64; 8],
    right: &'a [u64; 8],
}

impl Task for Everything<'_> {
    type Output = Vec<Vec<u64>>;

    fn run<U: Unit>(self, unit: U) -> Vec<Vec<u64>> {
        let table: Vec<u64> = (0..32).map(|i| i * 77 + 5).collect();
        let mut out = Vec::new();
        for (left, right) in self.left.chunks(U::LANES).zip(self.right.chunks(U::LANES)) {
            let (a, b) = (unit.load(left), unit.load(right));
            let zero = unit.sum(0);
            // Three times the product and both factors, carried out to digits.
            let (mut low, mut high) = (unit.add(unit.widen(a), unit.widen(b)), zero);
            for _ in 0..3 {
                (low, high) = unit.multiply_add(low, high, a, b);
            }
            low = unit.subtract(low, unit.sum(U::LOW_BIAS.wrapping_mul(3)));
            high = unit.subtract(high, unit.sum(U::HIGH_BIAS.wrapping_mul(3)));
            high = unit.add(high, unit.carry(low));
            let index = unit.load_sum(left);
            let flags: Vec<u64> = right.iter().map(|right| right & 1).collect();
            let flag = unit.load_sum(&flags);
            let at: Vec<usize> = right.iter().map(|right| (*right % 16) as usize).collect();
            let results = [
                unit.low_digit(low),
                unit.low_digit(high),
                unit.low_digit(unit.carry(high)),
                unit.low_product(unit.add(unit.widen(a), unit.sum(DIGIT_MASK + 1)), b),
                unit.low_digit(unit.subtract(unit.add(unit.widen(a), unit.sum(DIGIT_MASK)), unit.widen(b))),
                unit.pick(&table[..8], index),
                unit.pick(&table[..16], index),
                unit.pick(&table, index),
                unit.select(unit.choice(flag), a, b),
                unit.low_digit(unit.min(unit.widen(a), unit.subtract(unit.widen(b), unit.sum(1 << 51)))),
                unit.gather_vartime(&table, &at, 16),
                unit.digit(left[0]),
            ];
            let mut lanes = vec![vec![0; results.len()]; U::LANES];
            for (place, digit) in results.into_iter().enumerate() {
                let mut values = vec![0; U::LANES];
                unit.store(digit, &mut values);
                for (lane, value) in lanes.iter_mut().zip(values) {
                    lane[place] = value;
                }
            }
            // What is the same in all lanes belongs to the first.
            for lane in &mut lanes {
                lane.pop();
            }
            out.extend(lanes);
        }
        out
    }
}

/// The same from the definitions, in 128-bit integers.
fn expected(a: u64, b: u64) -> Vec<u64> {
    let mask = u128::from(DIGIT_MASK);
    let sum = 3 * u128::from(a) * u128::from(b) + u128::from(a) + u128::from(b);
    let table = |index: u64| index * 77 + 5;
    let digit = |wide: u128| u64::try_from(wide & mask).unwrap();
    vec![
        digit(sum),
        digit(sum >> DIGIT_BITS),
        digit(sum >> (2 * DIGIT_BITS)),
        digit(u128::from(a) * u128::from(b)),
        digit(u128::from(a) + mask - u128::from(b)),
        table(a % 8),
        table(a % 16),
        table(a % 32),
        if b % 2 == 1 { a } else { b },
        if b < 1 << 51 { a } else { a.min(b - (1 << 51)) },
        table(b % 16 + 16),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn every_unit_computes_what_the_definitions_say(
        left in prop::array::uniform8(digit()),
        right in prop::array::uniform8(digit()),
    ) {
        let expected: Vec<_> = left.iter().zip(&right).map(|(a, b)| expected(*a, *b)).collect();
        for engine in engines() {
            prop_assert_eq!(&engine.run(Everything { left: &left, right: &right }), &expected, "{}", engine);
        }
    }
}

#[test]
fn the_portable_engine_is_always_there_and_the_fastest_is_available() {
    assert_eq!(Engine::available().next(), Some(Engine::Portable));
    assert!(Engine::available().any(|engine| engine == Engine::fastest()));
    assert_eq!(Engine::Portable.lanes(), 1);
}

#[test]
fn one_number_is_computed_alone() {
    for engine in engines() {
        assert_eq!(
            [1, 2, 8].map(|count| engine.group(count)),
            [Group::Alone(engine), Group::Lanes(engine), Group::Lanes(engine)]
        );
        assert_eq!(engine.group(1).lanes(), 1);
    }
}

/// The digits of a number's columns, lanes first, and what is carried beyond them.
struct Settle<'a> {
    columns: &'a [u64],
    carry: u64,
}

impl Task for Settle<'_> {
    type Output = (Vec<u64>, u64);

    fn run<U: Unit>(self, unit: U) -> Self::Output {
        let mut sums: Vec<_> = self.columns.chunks(U::LANES).map(|lanes| unit.load_sum(lanes)).collect();
        let carry = unit.settle(&mut sums, self.carry);
        let mut digits = vec![0; self.columns.len()];
        for (sum, lanes) in sums.iter().zip(digits.chunks_mut(U::LANES)) {
            unit.store_sum(*sum, lanes);
        }
        (digits, carry)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    /// Up to three blocks of flags, with rows of full digits that hand a carry on over all of them.
    #[test]
    fn carries_run_through_all_lanes(
        columns in prop::collection::vec(
            prop_oneof![6 => Just(DIGIT_MASK), 1 => digit(), 1 => any::<u64>().prop_map(|column| column >> 1)], 8..160,
        ),
        carry in prop_oneof![Just(0), Just(1), digit()],
    ) {
        let columns = &columns[..columns.len() / 8 * 8];
        let mut sum = u128::from(carry);
        let digits: Vec<u64> = columns.iter().map(|column| {
            sum += u128::from(*column);
            let digit = u64::try_from(sum & u128::from(DIGIT_MASK)).unwrap();
            sum >>= DIGIT_BITS;
            digit
        }).collect();
        let expected = (digits, u64::try_from(sum).unwrap());
        for engine in engines() {
            prop_assert_eq!(&engine.run(Settle { columns, carry }), &expected, "{}", engine);
        }
    }
}
