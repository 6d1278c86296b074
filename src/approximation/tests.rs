//! Agreement with published numbers and with mpmath, numpy and scipy. How the vectors were made is told in `tests/vectors/README.md`.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

mod published;

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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Each method is the best by its own measure, wherever the interval lies.
    #[test]
    fn methods_are_the_best_by_their_own_measures(
        function in prop::sample::select(&FITTED[..]),
        degree in 1_usize..=31,
        middle in -3.0..3.0,
        power in -2.0..5.0,
        about_zero in any::<bool>(),
    ) {
        let half = libm::pow(10.0, power);
        let middle = if about_zero { 0.0 } else { half * middle };
        let interval = [middle - half, middle + half];
        let [fitted, minimax] = [Method::LeastSquares, Method::Minimax]
            .map(|method| approximate(&request(function, method, degree, interval)));
        let (fitted, minimax) = (fitted.unwrap(), minimax.unwrap());
        let rounding = 1e-14 * (1.0 + interval[1].abs());
        prop_assert!(minimax.max_error <= fitted.max_error * (1.0 + 1e-9) + rounding);
        prop_assert!(fitted.rms_error <= minimax.rms_error * (1.0 + 1e-9) + rounding);
        prop_assert!(fitted.rms_error <= fitted.max_error * (1.0 + 1e-9));
        let points = Some(400);
        let grid = approximate(&Request { points, ..request(function, Method::LeastSquares, degree, interval) }).unwrap();
        prop_assert!(fitted.norm <= (grid.rms_error * (2.0 * half).sqrt()) * (1.0 + 1e-9) + rounding * half.sqrt());
    }
}
