//! Polynomials in place of activation functions: what encryption can compute.
//!
//! [`approximate`] finds one by a [`Method`] on an interval `[low, high]`, and says how far off it is. Inside, everything is done in
//! `u = (x - middle) / half` from -1 to 1 and in Chebyshev's polynomials; powers of x, whose coefficients fall to 10⁻²⁶ and below on wide
//! intervals, are made at the end where they are wanted ([`Approximation::coefficient`], [`Polynomial::to_monomial`]).
//!
//! All the functions are a line plus an odd or an even function. On an interval about 0 only that rest is fitted: coefficients that vanish are 0 and
//! not noise, the sigmoid's constant is 1/2 to the last bit, and a degree without a power of its own collapses to the one below.

mod activation;
mod chiang;
mod least_squares;
mod polynomial;
mod quadrature;
mod remez;
mod taylor;
#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use self::{
    activation::Activation,
    polynomial::{Basis, Polynomial},
    taylor::{TaylorError, taylor},
};
use self::{
    activation::Shape,
    least_squares::{Family, Sample, fit},
    quadrature::{Domain, peaks},
};

/// Highest degree of a fit, and most of a given polynomial.
const MAX_DEGREE: usize = 31;

/// Most points of a grid.
const MAX_POINTS: usize = 1_000_000;

/// The greatest magnitude of an interval's bounds, and the least width, absolute and relative to the greater bound: powers of x and of 1/x up to the
/// highest degree stay numbers.
const MAX_BOUND: f64 = 1e9;
const MIN_WIDTH: f64 = 1e-6;

/// The weight of errors in a projection, over `u = (x - middle) / half` from -1 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// All the same: `du`, for which Legendre's polynomials are orthogonal.
    #[default]
    Uniform,
    /// `du / √(1 - u²)`: CryptoDL (`PoPETs` 2018(3)), equation (2), as printed.
    Chebyshev,
    /// `du / √(1.001 - u²)`: that with which CryptoDL's Tables 8 and 9 were made. With the printed one their coefficients are 1.5 % off.
    ChebyshevRegularised,
    /// `exp(-1/u²) du`: CryptoDL's equation (3), `exp(-(l/x)²) dx`; it ignores the middle.
    Damped,
}

/// How a polynomial is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The Maclaurin series.
    Taylor,
    /// The least integral of squared errors under a [`Measure`] (CryptoDL, Theorems 2 and 3).
    Projection,
    /// The least sum of squared errors on evenly spaced points, or their integral.
    LeastSquares,
    /// The least weighted sum of squared errors of values and slopes, to a polynomial of degree 11 that stands for the function (arXiv 2304.03807).
    Chiang,
    /// The same with the wrong sign that the constants in that paper came from: for the sigmoid on [-8, 8] alone.
    ChiangReleased,
    /// The least greatest error, by Remez's exchange.
    Minimax,
    /// `x²` in place of whatever the function is (CryptoNets, ICML 2016).
    Square,
    /// Coefficients from elsewhere.
    Given,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Request {
    /// What is replaced.
    pub function: Activation,
    /// How.
    pub method: Method,
    /// The weight of errors, for [`Method::Projection`].
    pub measure: Measure,
    /// 1 to 31 (63 for [`Method::Taylor`], 11 for Chiang's fits); for [`Method::Square`] and [`Method::Given`] without meaning.
    pub degree: usize,
    /// Where.
    pub interval: [f64; 2],
    /// For [`Method::LeastSquares`]: points of the grid, the bounds included; `None` for the integral.
    pub points: Option<usize>,
    /// For [`Method::Given`]: those of powers of x, that of degree 0 first.
    pub coefficients: Vec<f64>,
    /// Digits after the decimal point at which coefficients of powers of x are cut off, towards 0: CryptoDL's *precision*.
    pub digits: Option<u32>,
}

/// A polynomial in place of a function, and how far off it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Approximation {
    /// The polynomial.
    pub polynomial: Polynomial,
    /// The degree that was asked for.
    pub requested: usize,
    /// The greatest error on the interval.
    pub max_error: f64,
    /// The root of the mean squared error on the interval.
    pub rms_error: f64,
    /// The error in the method's own measure. With l half the width: `√∫ e² dμ` over u for the two Chebyshev measures and `√(l ∫ e² dμ)`,
    /// an integral over x, for the others, as CryptoDL's Tables 8 and 9 have it; `√Σ e²` on a grid; [`Approximation::max_error`] for
    /// [`Method::Minimax`]; the root of what they minimise for Chiang's fits; otherwise `√∫ e² dx`.
    pub norm: f64,
}

impl Approximation {
    /// Whether the polynomial's degree is below what was asked for, as an even degree of an odd function is.
    pub fn collapses(&self) -> bool {
        self.polynomial.degree() < self.requested
    }

    /// The coefficient of `x^n`, whatever the basis.
    pub fn coefficient(&self, n: usize) -> f64 {
        self.polynomial.to_monomial().coefficients.get(n).copied().unwrap_or(0.0)
    }
}

/// Why there is no such polynomial.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum ApproximationError {
    /// A degree outside the range.
    #[error("a polynomial of degree {degree}; allowed: 1 to {max}")]
    Degree {
        /// As asked for.
        degree: usize,
        /// Greatest allowed.
        max: usize,
    },
    /// A function that the method does not know.
    #[error("{function:?} by {method:?}; allowed: {allowed}")]
    Function {
        /// The function.
        function: Activation,
        /// The method.
        method: Method,
        /// What it knows.
        allowed: &'static str,
    },
    /// An interval that is empty, too narrow or too wide, or no interval.
    #[error(
        "the interval [{low}, {high}]; allowed: bounds from -1e9 to 1e9, a width from 1e-6, absolute and relative to the bounds"
    )]
    Interval {
        /// The lower bound.
        low: f64,
        /// The upper one.
        high: f64,
    },
    /// A grid with too few or too many points.
    #[error("{points} points; allowed: {min} to {max}")]
    Points {
        /// As asked for.
        points: usize,
        /// Least allowed: one more than the degree.
        min: usize,
        /// Most allowed.
        max: usize,
    },
    /// Too few or too many given coefficients.
    #[error("{count} coefficients; allowed: 1 to {max}")]
    Coefficients {
        /// As given.
        count: usize,
        /// Most allowed.
        max: usize,
    },
    /// A given coefficient that is no number.
    #[error("the coefficient of x^{power} is {value}; allowed: finite numbers")]
    Coefficient {
        /// Its power.
        power: usize,
        /// As given.
        value: f64,
    },
    /// Polynomials that the points do not tell apart.
    #[error(
        "the polynomials of degree {degree} are not independent on [{low}, {high}]; allowed: lower degrees"
    )]
    Singular {
        /// As asked for.
        degree: usize,
        /// The lower bound.
        low: f64,
        /// The upper one.
        high: f64,
    },
    /// Remez's exchange came to no end.
    #[error(
        "the exchange ended at an error of {found}, where {least} may be possible; allowed: lower degrees"
    )]
    NotConverged {
        /// The error that every polynomial has at least.
        least: f64,
        /// That of the best one found.
        found: f64,
    },
}

/// A function and the polynomials for it, on an interval.
#[derive(Debug, Clone, Copy)]
struct Problem {
    function: Activation,
    interval: [f64; 2],
    domain: Domain,
    degree: usize,
    family: Family,
}

impl Problem {
    fn new(function: Activation, interval: [f64; 2], degree: usize) -> Self {
        let domain = Domain::new(interval);
        let (start, step) =
            if domain.is_symmetric() { (usize::from(function.shape().odd), 2) } else { (0, 1) };
        let family = Family { start, step, count: (degree - start.min(degree)) / step + 1 };
        Self { function, interval, domain, degree, family }
    }

    fn of_degree(self, degree: usize) -> Self {
        Self::new(self.function, self.interval, degree)
    }

    /// The line that is added to what is fitted: none where all is fitted.
    fn shape(self) -> Shape {
        let shape = self.function.shape();
        if self.domain.is_symmetric() { shape } else { Shape { constant: 0.0, slope: 0.0, odd: false } }
    }

    /// What is fitted, at u.
    fn core(self, u: f64) -> f64 {
        let x = self.domain.x(u);
        if self.domain.is_symmetric() { self.function.core(x) } else { self.function.value(x) }
    }

    /// With the line added.
    fn whole(self, mut coefficients: Vec<f64>) -> Polynomial {
        let shape = self.shape();
        coefficients.resize(self.degree.max(1) + 1, 0.0);
        coefficients[0] += shape.constant;
        coefficients[1] += shape.slope * self.domain.half;
        Polynomial { basis: Basis::Chebyshev, coefficients, interval: self.interval }
    }

    fn sample(self, u: f64, weight: f64) -> Sample {
        Sample { u, weight, value: self.core(u), slope_weight: 0.0, slope: 0.0 }
    }

    /// For integrals.
    fn samples(self, measure: Measure) -> Vec<Sample> {
        let nodes = self.domain.nodes(measure, self.domain.is_symmetric());
        nodes.into_iter().map(|node| self.sample(node.u, node.weight)).collect()
    }

    /// Evenly spaced, the bounds included; of an interval about 0 the upper half with twice the weight.
    fn grid_samples(self, points: usize) -> Vec<Sample> {
        let all = grid(points).map(|u| (u, 1.0));
        if self.domain.is_symmetric() {
            let half = all.filter(|(u, _)| *u >= 0.0).map(|(u, _)| (u, if u > 0.0 { 2.0 } else { 1.0 }));
            half.map(|(u, weight)| self.sample(u, weight)).collect()
        } else {
            all.map(|(u, weight)| self.sample(u, weight)).collect()
        }
    }

    fn fitted(self, samples: &[Sample]) -> Result<Polynomial, ApproximationError> {
        fit(samples, self.family).map(|coefficients| self.whole(coefficients)).ok_or_else(|| self.singular())
    }

    fn singular(self) -> ApproximationError {
        let [low, high] = self.interval;
        ApproximationError::Singular { degree: self.degree, low, high }
    }

    /// The function where it is a polynomial itself: squares, and the rectifier on one side of its kink.
    fn exact(self) -> Option<Polynomial> {
        let [low, high] = self.interval;
        let coefficients = match self.function {
            Activation::Square if self.degree >= 2 => vec![0.0, 0.0, 1.0],
            Activation::Relu if low >= 0.0 => vec![0.0, 1.0],
            Activation::Relu if high <= 0.0 => vec![0.0],
            _ => return None,
        };
        Some(Polynomial::monomial(coefficients, self.interval))
    }
}

/// Evenly spaced points from -1 to 1.
fn grid(points: usize) -> impl Iterator<Item = f64> {
    let last = points.saturating_sub(1).max(1) as f64;
    (0..points).map(move |i| (2.0 * i as f64 - last) / last)
}

/// The polynomial that a method puts in place of a function.
///
/// # Errors
/// [`ApproximationError`]
pub fn approximate(request: &Request) -> Result<Approximation, ApproximationError> {
    check(request)?;
    let problem = Problem::new(request.function, request.interval, request.degree);
    let domain = problem.domain;
    // The norm of Chiang's fits is not of the function.
    let mut norm = None;
    let (polynomial, requested) = match request.method {
        Method::Square => (Polynomial::monomial(vec![0.0, 0.0, 1.0], request.interval), 2),
        Method::Given => {
            let last = request.coefficients.len().saturating_sub(1);
            (Polynomial::monomial(request.coefficients.clone(), request.interval), last)
        }
        Method::Taylor => {
            let series = taylor(request.function, request.degree).map_err(|error| match error {
                TaylorError::Degree { degree, max } => ApproximationError::Degree { degree, max },
                TaylorError::Function { function } => {
                    let allowed = "all but relu, which has a kink at 0";
                    ApproximationError::Function { function, method: request.method, allowed }
                }
            })?;
            (Polynomial { interval: request.interval, ..series }, request.degree)
        }
        _ if let Some(polynomial) = problem.exact() => (polynomial, request.degree),
        Method::Projection => (problem.fitted(&problem.samples(request.measure))?, request.degree),
        Method::LeastSquares => {
            let samples = match request.points {
                Some(points) => problem.grid_samples(points),
                None => problem.samples(Measure::Uniform),
            };
            (problem.fitted(&samples)?, request.degree)
        }
        Method::Chiang | Method::ChiangReleased => {
            let released = request.method == Method::ChiangReleased;
            let found =
                chiang::chiang(&problem, released, chiang::VALUES).ok_or_else(|| problem.singular())?;
            norm = Some(found.1);
            (found.0, request.degree)
        }
        Method::Minimax => {
            let core = |u: f64| problem.core(u);
            let found = remez::minimax(core, problem.family, domain, domain.is_symmetric());
            let found = found
                .map_err(|remez::Stuck { least, found }| ApproximationError::NotConverged { least, found });
            (problem.whole(found?), request.degree)
        }
    };
    let polynomial = match request.digits {
        Some(digits) => truncated(&polynomial, digits),
        None => polynomial,
    };
    let error = |u: f64| {
        let x = domain.x(u);
        request.function.value(x) - polynomial.value(x)
    };
    let squares = |measure: Measure| -> f64 {
        let terms = domain.nodes(measure, false).into_iter().map(|node| {
            let e = error(node.u);
            node.weight * e * e
        });
        terms.sum()
    };
    let highest = peaks(error, &domain.grid(false), 0.9);
    let max_error = highest.iter().fold(0.0, |high: f64, (_, e)| high.max(e.abs()));
    let norm = match (norm, request.method, request.points) {
        (Some(norm), ..) => norm,
        (None, Method::Minimax, _) => max_error,
        (None, Method::LeastSquares, Some(points)) => {
            grid(points).map(error).map(|e| e * e).sum::<f64>().sqrt()
        }
        (None, Method::Projection, _) => match request.measure {
            Measure::Chebyshev | Measure::ChebyshevRegularised => squares(request.measure).sqrt(),
            Measure::Uniform | Measure::Damped => (domain.half * squares(request.measure)).sqrt(),
        },
        _ => (domain.half * squares(Measure::Uniform)).sqrt(),
    };
    let rms_error = (0.5 * squares(Measure::Uniform)).sqrt();
    Ok(Approximation { polynomial, requested, max_error, rms_error, norm })
}

/// Everything that can be wrong with a request before it is worked on.
fn check(request: &Request) -> Result<(), ApproximationError> {
    let [low, high] = request.interval;
    let bound = low.abs().max(high.abs());
    let width = high - low;
    // Written so that NaN is refused as well.
    if !(bound <= MAX_BOUND && width >= MIN_WIDTH && width >= MIN_WIDTH * bound) {
        return Err(ApproximationError::Interval { low, high });
    }
    let max = match request.method {
        Method::Square => return Ok(()),
        Method::Given => {
            let (count, max) = (request.coefficients.len(), taylor::MAX_DEGREE + 1);
            if !(1..=max).contains(&count) {
                return Err(ApproximationError::Coefficients { count, max });
            }
            let wrong = request.coefficients.iter().enumerate().find(|(_, value)| !value.is_finite());
            return wrong.map_or(Ok(()), |(power, value)| {
                Err(ApproximationError::Coefficient { power, value: *value })
            });
        }
        Method::Taylor => taylor::MAX_DEGREE,
        Method::Chiang | Method::ChiangReleased => chiang::INNER_DEGREE,
        Method::Projection | Method::LeastSquares | Method::Minimax => MAX_DEGREE,
    };
    if !(1..=max).contains(&request.degree) {
        return Err(ApproximationError::Degree { degree: request.degree, max });
    }
    if request.method == Method::ChiangReleased
        && !chiang::is_released_for(request.function, request.interval)
    {
        let allowed = "sigmoid on [-8, 8]";
        return Err(ApproximationError::Function {
            function: request.function,
            method: request.method,
            allowed,
        });
    }
    if let (Method::LeastSquares, Some(points)) = (request.method, request.points) {
        let (min, max) = (request.degree + 1, MAX_POINTS);
        if !(min..=max).contains(&points) {
            return Err(ApproximationError::Points { points, min, max });
        }
    }
    Ok(())
}

/// Coefficients of powers of x, cut off so many digits after the decimal point, in decimal: 0.29 keeps both its digits, which the binary number just
/// below it would not.
fn truncated(polynomial: &Polynomial, digits: u32) -> Polynomial {
    let cut = |coefficient: &f64| {
        // The shortest decimal that is this number, never with an exponent.
        let text = coefficient.to_string();
        let kept = text.find('.').map_or(text.len(), |point| {
            let digits = usize::try_from(digits).unwrap_or(usize::MAX);
            text.len().min((point + 1).saturating_add(digits))
        });
        // Adding 0 makes a negative 0 positive.
        text[..kept].parse::<f64>().map_or(*coefficient, |value| value + 0.0)
    };
    let powers = polynomial.to_monomial();
    Polynomial { coefficients: powers.coefficients.iter().map(cut).collect(), ..powers }
}
