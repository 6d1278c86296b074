//! The rules of `[approximation]`.

use super::Checker;
use crate::{
    approximation::{Activation, ApproximationError, Method, Request, approximate},
    experiment::{
        diagnostic::Code,
        plan::{Approximation, Rule},
        spec::{IntervalRule, IntervalSpec, Spec, Stage},
    },
    network::Nonlinearity,
};

/// What hidden layers are put through.
pub(super) struct Chosen {
    /// The activation or the polynomial in its place; the activation where the polynomial depends on the data.
    pub(super) nonlinearity: Nonlinearity,
    /// The polynomial's making.
    pub(super) approximation: Option<Approximation>,
}

impl Chosen {
    /// Whether the polynomial is known once the data are.
    pub(super) fn is_pending(&self) -> bool {
        self.approximation.as_ref().is_some_and(|approximation| approximation.rule.is_some())
    }
}

/// The activation of the hidden layers, or what stands for it.
pub(super) fn chosen(spec: &Spec, checker: &mut Checker<'_>) -> Option<Chosen> {
    let activation = spec.network.activation;
    if spec.approximation.method.is_none() {
        return unused(spec, checker)
            .then(|| Chosen { nonlinearity: activation.into(), approximation: None });
    }
    let (request, rule) = request(spec, checker)?;
    let stage = spec.approximation.stage;
    if let Some(Rule { rule: IntervalRule::Measured, .. }) = rule
        && stage == Stage::Training
    {
        checker.error(
            "approximation.interval",
            Code::Incompatible,
            "an interval that is measured in the trained network cannot be known before training".to_owned(),
            "use stage `after_training` or `fine_tuning`, or another interval",
        );
        return None;
    }
    let nonlinearity = match rule {
        Some(_) => activation.into(),
        None => Nonlinearity::Polynomial(fitted(&request, checker)?.polynomial),
    };
    Some(Chosen { nonlinearity, approximation: Some(Approximation { request, rule, stage }) })
}

/// What is fitted where nothing but a fit is asked for.
pub(super) fn fit(spec: &Spec, checker: &mut Checker<'_>) -> Option<Request> {
    if spec.approximation.method.is_none() {
        checker.missing("approximation.method", METHODS);
        return None;
    }
    let (request, rule) = request(spec, checker)?;
    if rule.is_some() {
        checker.error(
            "approximation.interval",
            Code::Incompatible,
            "the interval depends on data, and this task has none".to_owned(),
            "give two bounds, for example `[-8.0, 8.0]`",
        );
        return None;
    }
    fitted(&request, checker)?;
    Some(request)
}

const METHODS: &str =
    "allowed: taylor, projection, least_squares, chiang, chiang_released, minimax, square, given";

/// Whether nothing is said of a polynomial that is not there.
fn unused(spec: &Spec, checker: &mut Checker<'_>) -> bool {
    let approximation = &spec.approximation;
    let said = approximation.degree.is_some()
        || approximation.measure.is_some()
        || approximation.interval.is_some()
        || approximation.points.is_some()
        || approximation.digits.is_some()
        || !approximation.coefficients.is_empty();
    if said {
        checker.missing("approximation.method", METHODS);
    }
    !said
}

fn fitted(request: &Request, checker: &mut Checker<'_>) -> Option<crate::approximation::Approximation> {
    match approximate(request) {
        Ok(found) => Some(found),
        Err(error) => {
            let path = match error {
                ApproximationError::Degree { .. }
                | ApproximationError::Singular { .. }
                | ApproximationError::NotConverged { .. } => "approximation.degree",
                ApproximationError::Interval { .. } => "approximation.interval",
                ApproximationError::Points { .. } => "approximation.points",
                ApproximationError::Coefficients { .. } | ApproximationError::Coefficient { .. } => {
                    "approximation.coefficients"
                }
                ApproximationError::Function { .. } => "approximation.method",
            };
            checker.error(path, Code::Range, error.to_string(), "choose another method, degree or interval");
            None
        }
    }
}

/// How the polynomial is fitted, and the rule for its interval where that is not given.
fn request(spec: &Spec, checker: &mut Checker<'_>) -> Option<(Request, Option<Rule>)> {
    let approximation = &spec.approximation;
    let method = approximation.method?;
    let function = spec.network.activation;
    let before = checker.found.len();
    let only = |path: &str, given: bool, of: Method, name: &str, checker: &mut Checker<'_>| {
        if given && method != of {
            checker.error(
                path,
                Code::Incompatible,
                format!("`{path}` belongs to method `{name}`"),
                "leave the key out, or choose that method",
            );
        }
    };
    only("approximation.measure", approximation.measure.is_some(), Method::Projection, "projection", checker);
    only(
        "approximation.points",
        approximation.points.is_some(),
        Method::LeastSquares,
        "least_squares",
        checker,
    );
    only(
        "approximation.coefficients",
        !approximation.coefficients.is_empty(),
        Method::Given,
        "given",
        checker,
    );
    if let Some(points) = approximation.points {
        checker.within("approximation.points", points, &(2..=1_000_000));
    }
    if let Some(digits) = approximation.digits {
        checker.within("approximation.digits", digits, &(1..=60));
    }
    if !(approximation.coverage > 0.0 && approximation.coverage <= 1.0) {
        let message = format!("`approximation.coverage` is {}", approximation.coverage);
        checker.error("approximation.coverage", Code::Range, message, "allowed: above 0, at most 1");
    }
    if method == Method::Taylor && function == Activation::Relu {
        checker.error(
            "approximation.method",
            Code::Incompatible,
            "`relu` has no series at 0, where it has a kink".to_owned(),
            "use another method, or activation `sigmoid`, `tanh` or `square`",
        );
    }
    let degree = match (method, approximation.degree) {
        (_, Some(degree)) => degree,
        (Method::Square, None) => 2,
        (Method::Given, None) => approximation.coefficients.len().saturating_sub(1),
        (Method::Chiang | Method::ChiangReleased, None) => 3,
        (_, None) => {
            checker.missing("approximation.degree", "the degree of the polynomial");
            return None;
        }
    };
    let (interval, rule) = match approximation.interval {
        Some(IntervalSpec::Bounds(bounds)) => (bounds, None),
        Some(IntervalSpec::Rule(rule)) => {
            ([-1.0, 1.0], Some(Rule { rule, coverage: approximation.coverage }))
        }
        // These are what they are wherever they are used.
        None if matches!(method, Method::Taylor | Method::Square | Method::Given) => ([-1.0, 1.0], None),
        None if matches!(method, Method::Chiang | Method::ChiangReleased) => ([-8.0, 8.0], None),
        None => {
            checker.missing(
                "approximation.interval",
                "two bounds, for example `[-8.0, 8.0]`, or mean_mean, max_mean, min_mean, measured",
            );
            return None;
        }
    };
    let [low, high] = interval;
    if !(low.is_finite() && high.is_finite() && low < high) {
        checker.error(
            "approximation.interval",
            Code::Range,
            format!("`approximation.interval` is [{low}, {high}]"),
            "allowed: two finite numbers, the lower one first",
        );
    }
    let request = Request {
        function,
        method,
        measure: approximation.measure.unwrap_or_default(),
        degree,
        interval,
        points: approximation.points,
        coefficients: approximation.coefficients.clone(),
        digits: approximation.digits,
    };
    (!checker.has_errors_since(before)).then_some((request, rule))
}
