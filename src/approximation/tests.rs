//! Agreement with published numbers and with mpmath, numpy and scipy. How the vectors were made is told in `tests/vectors/README.md`.

use serde_json::Value;

use super::*;

const FITTED: [Activation; 6] = [
    Activation::Sigmoid,
    Activation::Tanh,
    Activation::Relu,
    Activation::BipolarSigmoid,
    Activation::Softplus,
    Activation::Swish,
];

fn request(function: Activation, method: Method, degree: usize, interval: [f64; 2]) -> Request {
    Request {
        function,
        method,
        measure: Measure::Uniform,
        degree,
        interval,
        points: None,
        coefficients: Vec::new(),
        digits: None,
    }
}

fn projection(function: Activation, measure: Measure, degree: usize, interval: [f64; 2]) -> Approximation {
    let request = Request { measure, ..request(function, Method::Projection, degree, interval) };
    approximate(&request).unwrap()
}

mod published {
    //! CryptoDL (`PoPETs` 2018(3)), Tables 8 and 9. Coefficients there are cut off, norms are rounded or cut off; even coefficients are noise of the
    //! paper's quadrature, as the sigmoid less 1/2 is odd.

    use super::*;

    const P1: Measure = Measure::ChebyshevRegularised;
    const P2: Measure = Measure::Damped;

    /// A printed number: `2.0694e-15`, `0.160`.
    fn printed(text: &str) -> (f64, f64) {
        let (digits, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let decimals = digits.split_once('.').map_or(0, |(_, decimals)| decimals.len());
        let unit = format!("1e{}", exponent.parse::<i64>().unwrap() - i64::try_from(decimals).unwrap());
        (text.parse().unwrap(), unit.parse().unwrap())
    }

    /// Whether cutting the number off after the printed digits gives what is printed.
    fn cut_off(found: f64, text: &str) -> bool {
        let (value, unit) = printed(text);
        found.signum() * value.signum() > 0.0
            && (0.0..1.0).contains(&((found.abs() - value.abs()) / unit + 1e-9))
    }

    /// Whether rounding or cutting off gives what is printed.
    fn agrees(found: f64, text: &str) -> bool {
        let (value, unit) = printed(text);
        cut_off(found, text) || (found - value).abs() <= 0.5 * unit
    }

    /// Measure, power of ten of the interval's bound, degree, leading coefficient, that of x, norm.
    const TABLES: [(Measure, i32, usize, &str, &str, &str); 16] = [
        (P1, 3, 3, "-8.606e-10", "0.001", "0.276"),
        (P2, 3, 3, "-4.805e-10", "0.0009", "0.270"),
        (P1, 3, 5, "2.0694e-15", "0.001", "0.226704"),
        (P2, 3, 5, "6.653e-16", "0.001", "0.094159"),
        (P1, 3, 7, "-5.917e-21", "0.002", "0.196167"),
        (P2, 3, 7, "-1.098e-21", "0.001", "0.037212"),
        (P1, 3, 9, "1.841e-26", "0.003", "0.175104"),
        (P2, 3, 9, "2.002e-27", "0.001", "0.016006"),
        // Table 9
        (P1, 1, 5, "0.00001", "0.160", "0.066"),
        (P2, 1, 5, "6.371e-6", "0.124", "0.008"),
        (P1, 2, 5, "2.060e-10", "0.019", "0.207"),
        (P2, 2, 5, "6.653e-11", "0.012", "0.030"),
        (P1, 3, 5, "2.069e-15", "0.001", "0.227"),
        (P2, 3, 5, "6.653e-16", "0.001", "0.094"),
        (P1, 4, 5, "2.069e-20", "0.0001", "0.229"),
        (P2, 4, 5, "6.653e-21", "0.0001", "0.300"),
    ];

    #[test]
    fn tables_8_and_9_are_met_to_every_digit_but_for_one_norm() {
        for (measure, power, degree, leading, first, norm) in TABLES {
            let bound = f64::powi(10.0, power);
            let found = projection(Activation::Sigmoid, measure, degree, [-bound, bound]);
            let place = format!("{measure:?}, degree {degree}, [-1e{power}, 1e{power}]: {found:?}");
            assert!(cut_off(found.coefficient(degree), leading), "{place}");
            assert!(cut_off(found.coefficient(1), first), "{place}");
            assert!(found.coefficient(0).to_bits() == 0.5_f64.to_bits(), "{place}");
            assert!((0..=degree).step_by(2).skip(1).all(|n| found.coefficient(n) == 0.0), "{place}");
            if (measure, power) == (P2, 4) {
                // Printed as .300, which no reading of the formula gives.
                assert!(!agrees(found.norm, norm) && (found.norm - 0.297_757_581).abs() < 1e-9, "{place}");
            } else {
                assert!(agrees(found.norm, norm), "{place}");
            }
        }
    }

    /// With equation (2) as it is printed neither coefficients nor norms are those of the tables.
    #[test]
    fn the_measure_as_printed_gives_other_tables() {
        for (measure, power, degree, leading, _, norm) in TABLES {
            let bound = f64::powi(10.0, power);
            // Five decimals of the coefficient on [-10, 10] are too few to tell.
            if measure == P1 && power > 1 {
                let found = projection(Activation::Sigmoid, Measure::Chebyshev, degree, [-bound, bound]);
                assert!(!cut_off(found.coefficient(degree), leading), "{found:?}");
                assert!(!agrees(found.norm, norm) || norm.len() < 6, "{found:?}");
            }
        }
    }

    /// Ten digits of all coefficients, recomputed with mpmath: measure, bound, degree, those of x, x³, ..., and the norm.
    #[test]
    fn all_coefficients_of_the_tables_are_those_of_mpmath() {
        let printed = Measure::Chebyshev;
        let cases: [(Measure, f64, &[f64], f64); 21] = [
            (P1, 1e3, &[0.001_279_173_147, -8.606_981_878e-10], 0.276_869_952),
            (printed, 1e3, &[0.001_273_229_073, -8.488_137_969e-10], 0.277_573_5),
            (P2, 1e3, &[0.000_953_862_993_5, -4.805_914_198e-10], 0.270_652_476),
            (P1, 1e3, &[0.001_915_883_857, -3.427_504_548e-9, 2.069_405_91e-15], 0.226_704_306),
            (printed, 1e3, &[0.001_909_822_666, -3.395_188_169e-9, 2.037_099_498e-15], 0.227_121_886),
            (P2, 1e3, &[0.001_258_430_907, -1.413_730_006e-9, 6.653_260_125e-16], 0.094_159_214_7),
            (
                P1,
                1e3,
                &[0.002_552_472_682, -8.548_533_097e-9, 1.236_806_432e-14, -5.917_271_535e-21],
                0.196_167_021,
            ),
            (
                printed,
                1e3,
                &[0.002_546_391_128, -8.487_735_868e-9, 1.222_219_49e-14, -5.820_054_513e-21],
                0.196_454_079,
            ),
            (
                P2,
                1e3,
                &[0.001_529_314_638, -2.802_833_172e-9, 2.868_195_896e-15, -1.098_884_448e-21],
                0.037_211_926_1,
            ),
            (
                P1,
                1e3,
                &[
                    0.003_188_996_293,
                    -1.707_196_341e-8,
                    4.318_355_112e-14,
                    -4.717_933_338e-20,
                    1.841_631_286e-26,
                ],
                0.175_104_078,
            ),
            (
                printed,
                1e3,
                &[
                    0.003_182_926_085,
                    -1.697_486_863e-8,
                    4.277_587_283e-14,
                    -4.655_829_175e-20,
                    1.810_588_322e-26,
                ],
                0.175_319_126,
            ),
            (
                P2,
                1e3,
                &[
                    0.001_777_905_227,
                    -4.651_745_278e-9,
                    7.652_882_539e-15,
                    -6.279_289_945e-21,
                    2.002_149_489e-27,
                ],
                0.016_006_242_7,
            ),
            (P1, 10.0, &[0.160_867_224, -0.002_474_132_021, 1.398_013_85e-5], 0.065_775_480_3),
            (printed, 10.0, &[0.160_526_456_7, -0.002_455_963_361, 1.379_850_784e-5], 0.066_185_260_7),
            (P2, 10.0, &[0.124_085_105_2, -0.001_368_813_649, 6.371_657_547e-6], 0.008_342_969_75),
            (P1, 100.0, &[0.019_122_255_48, -3.415_724_104e-6, 2.060_937_265e-10], 0.207_413_18),
            (printed, 100.0, &[0.019_062_009_57, -3.383_602_862e-6, 2.028_825_93e-10], 0.207_854_726),
            (P2, 100.0, &[0.012_584_309_07, -1.413_730_006e-6, 6.653_260_125e-11], 0.029_775_758_1),
            (P1, 1e4, &[0.000_191_592_050_9, -3.427_622_617e-12, 2.069_490_804e-20], 0.228_666_04),
            (printed, 1e4, &[0.000_190_985_895_1, -3.395_304_28e-12, 2.037_182_434e-20], 0.229_081_061),
            (P2, 1e4, &[0.000_125_843_090_7, -1.413_730_006e-12, 6.653_260_125e-21], 0.297_757_581),
        ];
        for (measure, bound, coefficients, norm) in cases {
            let degree = 2 * coefficients.len() - 1;
            let found = projection(Activation::Sigmoid, measure, degree, [-bound, bound]);
            for (coefficient, expected) in (1..).step_by(2).map(|n| found.coefficient(n)).zip(coefficients) {
                assert!((coefficient / expected - 1.0).abs() < 5.1e-10, "{coefficient:e} for {expected:e}");
            }
            assert!((found.norm / norm - 1.0).abs() < 6e-9, "{} for {norm}", found.norm);
        }
    }
}

mod vectors {
    use super::*;

    fn cases(part: &str) -> Vec<Value> {
        let document: Value = serde_json::from_str(include_str!("vectors/approximation.json")).unwrap();
        let cases = document[part].as_array().unwrap().clone();
        assert!(cases.len() >= 5, "{part}");
        cases
    }

    fn read<T: serde::de::DeserializeOwned>(case: &Value, field: &str) -> T {
        serde_json::from_value(case[field].clone()).unwrap()
    }

    /// The greatest difference of coefficients relative to the greatest of them, which is what rounding allows; zeros must be zeros on intervals
    /// about 0.
    fn difference(found: &Polynomial, expected: &[f64], place: &str) -> f64 {
        assert_eq!(found.basis, Basis::Chebyshev, "{place}");
        let scale = expected.iter().fold(0.0, |scale: f64, c| scale.max(c.abs()));
        let padded = found.coefficients.iter().copied().chain(std::iter::repeat(0.0));
        let symmetric = found.interval[0] + found.interval[1] == 0.0;
        let differences = padded.zip(expected).map(|(found, expected)| {
            assert!(!symmetric || *expected != 0.0 || found == 0.0, "{place}: {found} for 0");
            (found - expected).abs() / scale
        });
        assert!(found.coefficients.iter().skip(expected.len()).all(|c| *c == 0.0), "{place}");
        differences.fold(0.0, f64::max)
    }

    #[test]
    fn projections_are_those_of_mpmath() {
        let mut worst = [0.0_f64; 3];
        for case in cases("projections") {
            let (degree, interval): (usize, [f64; 2]) = (read(&case, "degree"), read(&case, "interval"));
            let (function, measure) = (read(&case, "function"), read(&case, "measure"));
            let found = projection(function, measure, degree, interval);
            let place = format!("{function:?} {measure:?} {interval:?} {degree}");
            let expected: Vec<f64> = read(&case, "chebyshev");
            let off = difference(&found.polynomial, &expected, &place);
            assert!(off < 1e-12, "{place}: {off:e}");
            worst[0] = worst[0].max(off);
            let norm: f64 = read(&case, "norm");
            // What the function's own rounding adds to a norm near 0.
            let scale = expected.iter().fold(0.0, |scale: f64, c| scale.max(c.abs()));
            let off = (found.norm - norm).abs() / (norm + 1e-6 * scale);
            assert!(off < 1e-9, "{place}: norm {} for {norm}: {off:e}", found.norm);
            worst[1] = worst[1].max(off);
            let leading: f64 = read(&case, "leading");
            let last = expected[degree].abs();
            if interval[0] + interval[1] == 0.0 && last > 1e-5 * scale {
                let off = (found.coefficient(degree) / leading - 1.0).abs();
                assert!(off < 1e-9, "{place}: {} for {leading}", found.coefficient(degree));
                worst[2] = worst[2].max(off);
            }
        }
        println!("coefficients {:e}, norms {:e}, leading coefficients {:e}", worst[0], worst[1], worst[2]);
    }

    #[test]
    fn least_squares_on_grids_are_those_of_numpy() {
        for case in cases("grids") {
            let (function, degree, interval) =
                (read(&case, "function"), read(&case, "degree"), read(&case, "interval"));
            let points: usize = read(&case, "points");
            let request =
                Request { points: Some(points), ..request(function, Method::LeastSquares, degree, interval) };
            let found = approximate(&request).unwrap();
            let place = format!("{function:?} {interval:?} {degree} {points}");
            let off = difference(&found.polynomial, &read::<Vec<f64>>(&case, "chebyshev"), &place);
            assert!(off < 1e-12, "{place}: {off:e}");
            // As many points as coefficients: nothing is left.
            assert!(points > degree + 1 || found.norm < 1e-9, "{place}: {}", found.norm);
        }
    }

    /// Programs over finitely many points bound the error from below, and they lie close together.
    #[test]
    fn least_greatest_errors_are_those_of_linear_programs() {
        for case in cases("minimax") {
            let (function, degree, interval) =
                (read(&case, "function"), read(&case, "degree"), read(&case, "interval"));
            let found = approximate(&request(function, Method::Minimax, degree, interval)).unwrap();
            let expected: f64 = read(&case, "error");
            let off = found.max_error / expected - 1.0;
            assert!((-1e-9..2e-5).contains(&off), "{function:?} {interval:?} {degree}: {off:e}");
        }
    }

    #[test]
    fn series_are_those_of_mpmath() {
        for case in cases("series") {
            let expected: Vec<f64> = read(&case, "coefficients");
            let found = taylor(read(&case, "function"), expected.len() - 1).unwrap();
            for (n, (found, expected)) in found.coefficients.iter().zip(&expected).enumerate() {
                assert!(
                    (found - expected).abs() <= 4e-15 * expected.abs(),
                    "{case} at {n}: {found} for {expected}"
                );
            }
        }
    }
}

/// The theorem of alternation: an error that takes its greatest magnitude with alternating signs at degree + 2 points is the least there is.
#[test]
fn minimax_errors_alternate_at_degree_plus_two_points() {
    let mut refused = Vec::new();
    for function in FITTED {
        for interval in [[-1.0, 1.0], [-8.0, 8.0], [-1.0, 3.0], [-1e3, 1e3], [-1e5, 1e5], [-4.0, 0.5]] {
            for degree in [1, 2, 3, 4, 7, 8, 15, 31] {
                let place = format!("{function:?} {interval:?} {degree}");
                let found = match approximate(&request(function, Method::Minimax, degree, interval)) {
                    Ok(found) => found,
                    Err(error) => {
                        refused.push(format!("{place}: {error}"));
                        continue;
                    }
                };
                let domain = Domain::new(interval);
                let scale = interval[1].max(1.0);
                if found.max_error < 1e-11 * scale {
                    // Rounding of the function hides the alternation.
                    continue;
                }
                let error = |u: f64| function.value(domain.x(u)) - found.polynomial.value(domain.x(u));
                let mut signs: Vec<f64> = Vec::new();
                let low = found.max_error * (1.0 - 1e-7) - 1e-14 * scale;
                for (_, e) in peaks(error, &domain.grid(false), 0.5) {
                    if e.abs() >= low && signs.last().is_none_or(|sign| sign * e < 0.0) {
                        signs.push(e.signum());
                    }
                }
                assert!(signs.len() >= degree + 2, "{place}: {} of {}", signs.len(), degree + 2);
            }
        }
    }
    assert!(refused.is_empty(), "{refused:#?}");
}

#[test]
fn even_degrees_of_odd_functions_collapse() {
    for method in [Method::Taylor, Method::Projection, Method::LeastSquares, Method::Minimax, Method::Chiang]
    {
        for (function, degree, expected) in [
            (Activation::Sigmoid, 4, 3),
            (Activation::Sigmoid, 5, 5),
            (Activation::Tanh, 2, 1),
            (Activation::Swish, 5, 4),
            (Activation::Softplus, 6, 6),
            (Activation::Square, 5, 2),
        ] {
            let found = approximate(&request(function, method, degree, [-2.0, 2.0])).unwrap();
            assert_eq!(found.polynomial.degree(), expected, "{method:?} {function:?}");
            assert_eq!(found.collapses(), expected < degree, "{method:?} {function:?}");
        }
    }
    let [even, odd] =
        [4, 3].map(|degree| projection(Activation::Sigmoid, Measure::Damped, degree, [-9.0, 9.0]));
    assert!((0..5).all(|n| even.coefficient(n).to_bits() == odd.coefficient(n).to_bits()));
    // Not about 0, every degree counts.
    assert!(!projection(Activation::Sigmoid, Measure::Uniform, 4, [-1.0, 3.0]).collapses());
}

#[test]
fn no_other_polynomial_has_less_of_the_error_that_a_method_minimises() {
    let error = |method: Method, measure: Measure, polynomial: &Polynomial, interval: [f64; 2]| {
        let given = Request {
            measure,
            coefficients: polynomial.to_monomial().coefficients,
            ..request(Activation::Swish, Method::Given, 0, interval)
        };
        let found = approximate(&given).unwrap();
        match (method, measure) {
            (Method::Minimax, _) => found.max_error,
            _ => found.rms_error,
        }
    };
    for interval in [[-1.0, 3.0], [-4.0, 4.0]] {
        for method in [Method::Projection, Method::Minimax] {
            let best = approximate(&request(Activation::Swish, method, 4, interval))
                .unwrap()
                .polynomial
                .to_monomial();
            let least = error(method, Measure::Uniform, &best, interval);
            for (n, shift) in (0..5).flat_map(|n| [(n, 1e-4), (n, -1e-4)]) {
                let mut other = best.clone();
                other.coefficients[n] += shift;
                assert!(error(method, Measure::Uniform, &other, interval) > least, "{method:?} {n} {shift}");
            }
        }
    }
}

#[test]
fn coefficients_are_cut_off_in_decimal() {
    let given = Request {
        coefficients: vec![0.29, -1.999_99, 3.0e-7, -4.0e-12, 1e22, 123.456],
        digits: Some(2),
        ..request(Activation::Sigmoid, Method::Given, 0, [-1.0, 1.0])
    };
    let found = approximate(&given).unwrap();
    assert_eq!(found.polynomial.coefficients, [0.29, -1.99, 0.0, 0.0, 1e22, 123.45]);
    assert!(found.polynomial.coefficients[3].is_sign_positive());
    // CryptoDL's ten digits leave nothing of the fifth degree on [-1000, 1000].
    let wide = Request {
        digits: Some(10),
        measure: Measure::ChebyshevRegularised,
        ..request(Activation::Sigmoid, Method::Projection, 5, [-1e3, 1e3])
    };
    let found = approximate(&wide).unwrap();
    assert_eq!(found.polynomial.coefficients, [0.5, 0.001_915_883_8, 0.0, -3.4e-9, 0.0, 0.0]);
    assert!(found.collapses());
}

#[test]
fn squares_and_given_polynomials_are_taken_as_they_are() {
    let found = approximate(&request(Activation::Relu, Method::Square, 7, [-2.0, 2.0])).unwrap();
    assert_eq!(found.polynomial.coefficients, [0.0, 0.0, 1.0]);
    // At -2; and ∫ (x² - max(0, x))² over [-2, 2] is 6.4 + 6.4 + 8/3 - 8.
    assert!((found.max_error - 4.0).abs() < 1e-14 && !found.collapses());
    assert!((found.norm - (12.8_f64 + 8.0 / 3.0 - 8.0).sqrt()).abs() < 1e-13, "{}", found.norm);
    assert!((found.rms_error - found.norm / 2.0).abs() < 1e-14);
    let chiang = Request {
        coefficients: vec![0.5, 0.106_795_345_032_162_94, 0.0, -0.000_385_032_598_050_75],
        ..request(Activation::Sigmoid, Method::Given, 0, [-8.0, 8.0])
    };
    let found = approximate(&chiang).unwrap();
    assert!((found.max_error - 0.170_339_739_2).abs() < 1e-9 && (found.rms_error - 0.111_776_1).abs() < 1e-6);
}

#[test]
fn functions_that_are_polynomials_are_met_exactly() {
    for method in [Method::Projection, Method::LeastSquares, Method::Minimax] {
        for (function, interval, expected) in [
            (Activation::Relu, [0.0, 9.0], vec![0.0, 1.0]),
            (Activation::Relu, [-9.0, -1.0], vec![0.0]),
            (Activation::Square, [-1.0, 3.0], vec![0.0, 0.0, 1.0]),
        ] {
            let found = approximate(&request(function, method, 3, interval)).unwrap();
            assert_eq!(found.polynomial.coefficients, expected);
            assert!(found.max_error == 0.0 && found.norm == 0.0 && found.collapses());
        }
    }
}

#[test]
fn wrong_requests_are_refused_with_what_is_allowed() {
    let with = |method: Method, degree: usize, interval: [f64; 2]| {
        approximate(&request(Activation::Relu, method, degree, interval)).unwrap_err()
    };
    let unit = [-1.0, 1.0];
    for degree in [0, 32, usize::MAX] {
        assert_eq!(with(Method::Minimax, degree, unit), ApproximationError::Degree { degree, max: 31 });
    }
    assert_eq!(with(Method::Chiang, 12, unit), ApproximationError::Degree { degree: 12, max: 11 });
    assert!(matches!(with(Method::Taylor, 3, unit), ApproximationError::Function { .. }));
    assert!(matches!(with(Method::ChiangReleased, 3, [-8.0, 8.0]), ApproximationError::Function { .. }));
    for [low, high] in
        [[1.0, 1.0], [2.0, 1.0], [0.0, f64::INFINITY], [0.0, 1e-7], [1e8, 1e8 + 1.0], [-2e9, 1.0]]
    {
        assert_eq!(with(Method::Projection, 3, [low, high]), ApproximationError::Interval { low, high });
    }
    assert!(matches!(with(Method::Square, 3, [f64::NAN, 1.0]), ApproximationError::Interval { .. }));
    let grid = Request { points: Some(3), ..request(Activation::Relu, Method::LeastSquares, 3, unit) };
    assert_eq!(approximate(&grid), Err(ApproximationError::Points { points: 3, min: 4, max: 1_000_000 }));
    let given = |coefficients: Vec<f64>| {
        approximate(&Request { coefficients, ..request(Activation::Relu, Method::Given, 0, unit) })
            .unwrap_err()
    };
    assert_eq!(given(Vec::new()), ApproximationError::Coefficients { count: 0, max: 64 });
    assert!(matches!(given(vec![1.0, f64::NAN]), ApproximationError::Coefficient { power: 1, .. }));
    assert_eq!(with(Method::Minimax, 32, unit).to_string(), "a polynomial of degree 32; allowed: 1 to 31");
}

#[test]
fn every_request_in_range_is_answered() {
    for function in [&FITTED[..], &[Activation::Square]].concat() {
        for interval in
            [[-1.0, 1.0], [-1e5, 1e5], [-1.0, 3.0], [2.0, 5.0], [-1e9, 1e9], [-5e-7, 5e-7], [99.0, 100.0]]
        {
            for degree in [1, 2, 31] {
                for measure in
                    [Measure::Uniform, Measure::Chebyshev, Measure::ChebyshevRegularised, Measure::Damped]
                {
                    let found = projection(function, measure, degree, interval);
                    let values = [found.max_error, found.rms_error, found.norm];
                    assert!(
                        values.iter().all(|value| value.is_finite()),
                        "{function:?} {interval:?} {found:?}"
                    );
                }
                let found = approximate(&request(function, Method::Minimax, degree, interval));
                assert!(found.is_ok(), "{function:?} {interval:?} {degree}: {found:?}");
            }
        }
    }
}
