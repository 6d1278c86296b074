//! Least squares by orthogonal polynomials: of integrals and of sums over grids, and of slopes as well as of values.
//!
//! The polynomials that are orthogonal for the weights are made one from the other (Arnoldi's iteration with a second orthogonalisation; Brubeck,
//! Nakatsukasa and Trefethen, SIAM Review 63, 2021), as values on the points and, by the same steps, as coefficients of Chebyshev's polynomials.
//! No Gram matrix and no powers of large numbers ever arise.

/// A point with its target, in u from -1 to 1.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) u: f64,
    pub(super) weight: f64,
    pub(super) value: f64,
    /// The weight of the slope, mostly 0.
    pub(super) slope_weight: f64,
    /// Its target, `df/du`.
    pub(super) slope: f64,
}

/// Which of Chebyshev's polynomials are used: all, the odd ones or the even ones, up to a degree.
#[derive(Debug, Clone, Copy)]
pub(super) struct Family {
    pub(super) start: usize,
    pub(super) step: usize,
    pub(super) count: usize,
}

impl Family {
    /// The degrees.
    pub(super) fn degrees(self) -> impl Iterator<Item = usize> + Clone {
        (0..self.count).map(move |k| self.start + self.step * k)
    }
}

/// A polynomial, as values and slopes on the points and as coefficients of Chebyshev's.
#[derive(Clone)]
struct Member {
    values: Vec<[f64; 2]>,
    coefficients: Vec<f64>,
}

impl Member {
    /// Adds a multiple of another.
    fn add(&mut self, factor: f64, other: &Self) {
        for (sum, term) in self.values.iter_mut().zip(&other.values) {
            sum[0] += factor * term[0];
            sum[1] += factor * term[1];
        }
        self.coefficients.iter_mut().zip(&other.coefficients).for_each(|(sum, term)| *sum += factor * term);
    }

    fn product(&self, other: &Self, samples: &[Sample]) -> f64 {
        let terms = self.values.iter().zip(&other.values).zip(samples);
        terms.map(|((a, b), sample)| sample.weight * a[0] * b[0] + sample.slope_weight * a[1] * b[1]).sum()
    }

    fn scale(&mut self, factor: f64) {
        self.values.iter_mut().flatten().for_each(|value| *value *= factor);
        self.coefficients.iter_mut().for_each(|coefficient| *coefficient *= factor);
    }

    /// Times `T_step`, for a step of 1 or 2: `T_a T_b = (T_(a+b) + T_|a-b|) / 2`.
    fn raised(&self, step: usize, samples: &[Sample]) -> Self {
        let values = self.values.iter().zip(samples).map(|(value, sample)| {
            let u = sample.u;
            let (factor, slope) = if step == 1 { (u, 1.0) } else { (2.0 * u * u - 1.0, 4.0 * u) };
            [factor * value[0], slope * value[0] + factor * value[1]]
        });
        let mut coefficients = vec![0.0; self.coefficients.len()];
        for (k, coefficient) in self.coefficients.iter().enumerate().filter(|(_, c)| **c != 0.0) {
            for target in [k + step, k.abs_diff(step)] {
                if let Some(sum) = coefficients.get_mut(target) {
                    *sum += 0.5 * coefficient;
                }
            }
        }
        Self { values: values.collect(), coefficients }
    }
}

/// Coefficients of Chebyshev's polynomials that leave the least `Σ weight (value - p)² + slope_weight (slope - p')²`; `None` where the points do
/// not determine them.
pub(super) fn fit(samples: &[Sample], family: Family) -> Option<Vec<f64>> {
    /// What is left of a polynomial that depends on those below is rounding.
    const INDEPENDENT: f64 = 1e-11;
    let top = family.start + family.step * family.count.saturating_sub(1);
    let mut first = Member { values: vec![[1.0, 0.0]; samples.len()], coefficients: vec![0.0; top + 1] };
    first.coefficients[family.start] = 1.0;
    if family.start == 1 {
        first.values.iter_mut().zip(samples).for_each(|(value, sample)| *value = [sample.u, 1.0]);
    }
    let mut members: Vec<Member> = Vec::with_capacity(family.count);
    let mut next = first;
    for _ in 0..family.count {
        let before = next.product(&next, samples).sqrt();
        for _ in 0..2 {
            for member in &members {
                let share = next.product(member, samples);
                next.add(-share, member);
            }
        }
        let norm = next.product(&next, samples).sqrt();
        if norm.is_nan() || norm <= INDEPENDENT * before {
            return None;
        }
        next.scale(1.0 / norm);
        let raised = next.raised(family.step, samples);
        members.push(std::mem::replace(&mut next, raised));
    }
    let values = samples.iter().map(|sample| [sample.value, sample.slope]).collect();
    let mut rest = Member { values, coefficients: vec![0.0; top + 1] };
    // What the first pass leaves of the fitted part is rounding, which the second removes.
    for _ in 0..2 {
        for member in &members {
            let share = rest.product(member, samples);
            rest.add(-share, member);
        }
    }
    Some(rest.coefficients.iter().map(|coefficient| 0.0 - coefficient).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(points: &[f64], f: impl Fn(f64) -> f64) -> Vec<Sample> {
        let sample = |u: &f64| Sample { u: *u, weight: 1.0, value: f(*u), slope_weight: 0.0, slope: 0.0 };
        points.iter().map(sample).collect()
    }

    #[test]
    fn polynomials_are_found_again() {
        let points: Vec<f64> = (-10..=10).map(|i| f64::from(i) / 10.0).collect();
        // 1 - 2 T_1 + 3 T_4
        let f = |u: f64| 1.0 - 2.0 * u + 3.0 * (8.0 * u * u * u * u - 8.0 * u * u + 1.0);
        let found = fit(&samples(&points, f), Family { start: 0, step: 1, count: 8 }).unwrap();
        for (coefficient, expected) in found.iter().zip([1.0, -2.0, 0.0, 0.0, 3.0, 0.0, 0.0, 0.0]) {
            assert!((coefficient - expected).abs() < 1e-14, "{coefficient} for {expected}");
        }
    }

    #[test]
    fn too_few_points_determine_nothing() {
        let points = [-1.0, 0.0, 1.0];
        assert!(fit(&samples(&points, |u| u), Family { start: 0, step: 1, count: 3 }).is_some());
        assert!(fit(&samples(&points, |u| u), Family { start: 0, step: 1, count: 4 }).is_none());
        assert!(fit(&[], Family { start: 0, step: 1, count: 1 }).is_none());
    }

    #[test]
    fn slopes_alone_determine_all_but_the_constant() {
        let point = |i: i32| {
            let u = f64::from(i) / 4.0;
            Sample { u, weight: 1e-12, value: 0.0, slope_weight: 1.0, slope: 3.0 * u * u }
        };
        let points: Vec<Sample> = (-4..=4).map(point).collect();
        // u³ = (3 T_1 + T_3) / 4
        let found = fit(&points, Family { start: 1, step: 2, count: 2 }).unwrap();
        assert!((found[1] - 0.75).abs() < 1e-9 && (found[3] - 0.25).abs() < 1e-9 && found[2] == 0.0);
    }
}
