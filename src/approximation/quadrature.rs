//! Integrals over an interval: Gauss and Legendre's rule on panels that shrink towards every place where something is steep.
//!
//! Functions have their step or kink at x = 0, which is a part of 10⁻⁵ of [-10⁵, 10⁵]; weights are steep at the middle or at the ends. Panels
//! double in width away from these, so that on each of them the integrand is as good as a polynomial of low degree. All is done in
//! `u = (x - middle) / half`, from -1 to 1.

use std::f64::consts::{FRAC_PI_2, PI};

use super::Measure;

/// What CryptoDL's polynomials were made with in place of 1 under the root; see [`Measure::ChebyshevRegularised`].
const REGULARISATION: f64 = 0.001;

/// Nodes of the rule on every panel: exact to degree 79.
const NODES: usize = 40;

/// The width of the panel at the step: tanh 2x has its nearest pole at a distance of π/4.
const STEP: f64 = 0.25;

/// The interval on which a function is replaced.
#[derive(Debug, Clone, Copy)]
pub(super) struct Domain {
    /// Its middle.
    pub(super) middle: f64,
    /// Half of its width.
    pub(super) half: f64,
}

impl Domain {
    pub(super) fn new([low, high]: [f64; 2]) -> Self {
        Self { middle: low.midpoint(high), half: (high - low) / 2.0 }
    }

    pub(super) fn x(self, u: f64) -> f64 {
        self.middle + self.half * u
    }

    pub(super) fn is_symmetric(self) -> bool {
        self.middle == 0.0
    }

    /// The points between which everything is smooth, from -1 (or 0 for the upper half) to 1, as angles θ of `u = sin θ` where asked for.
    fn breaks(self, angles: bool, upper_half: bool) -> Vec<f64> {
        let bound = |u: f64| u.clamp(-1.0, 1.0);
        let step = bound(-self.middle / self.half);
        let mut points = vec![-1.0, 1.0, 0.0, step];
        // Away from the step, in doubling widths.
        let widths = std::iter::successors(Some(STEP / self.half), |width| Some(2.0 * width));
        for width in widths.take_while(|width| *width < 2.0) {
            points.extend([bound(step - width), bound(step + width)]);
        }
        // Away from the middle, where the damped weight vanishes with all its derivatives.
        for width in std::iter::successors(Some(0.5), |width| Some(0.5 * width)).take(6) {
            points.extend([-width, width]);
        }
        if angles {
            for point in &mut points {
                *point = libm::asin(*point);
            }
            // Away from the ends, where the regularised weight has its poles at a distance of √0.001.
            for width in std::iter::successors(Some(0.5), |width| Some(0.5 * width)).take(7) {
                points.extend([width - FRAC_PI_2, FRAC_PI_2 - width]);
            }
        }
        points.retain(|point| !upper_half || *point >= 0.0);
        points.sort_by(f64::total_cmp);
        // -0 and 0 are equal, and neighbours.
        points.dedup();
        points
    }

    /// Nodes for integrals under a measure over u; on the upper half alone, with twice the weight, where the integrand is known to be even.
    pub(super) fn nodes(self, measure: Measure, upper_half: bool) -> Vec<Node> {
        let angles = matches!(measure, Measure::Chebyshev | Measure::ChebyshevRegularised);
        let rule = gauss_legendre();
        let breaks = self.breaks(angles, upper_half);
        let twice = if upper_half { 2.0 } else { 1.0 };
        let mut nodes = Vec::with_capacity(breaks.len() * NODES);
        for (from, to) in breaks.iter().zip(breaks.iter().skip(1)) {
            let half = 0.5 * (to - from);
            for (place, share) in &rule {
                let s = from + half * (1.0 + place);
                let (u, weight) = match measure {
                    Measure::Uniform => (s, 1.0),
                    Measure::Damped => (s, libm::exp(-1.0 / (s * s))),
                    // du / √(1 - u²) = dθ
                    Measure::Chebyshev => (libm::sin(s), 1.0),
                    // 1.001 - u² = 0.001 + cos² θ, without cancellation at the ends
                    Measure::ChebyshevRegularised => {
                        let cosine = libm::cos(s);
                        (libm::sin(s), cosine / (REGULARISATION + cosine * cosine).sqrt())
                    }
                };
                nodes.push(Node { u, weight: twice * half * share * weight });
            }
        }
        nodes
    }

    /// Points close enough together to see every bend of an error, dense at the step, the middle and the ends.
    pub(super) fn grid(self, upper_half: bool) -> Vec<f64> {
        const PARTS: u8 = 32;
        let breaks = self.breaks(true, upper_half);
        let panels = breaks.iter().zip(breaks.iter().skip(1));
        let inside = panels.flat_map(|(from, to)| {
            (0..PARTS).map(move |part| from + (to - from) * f64::from(part) / f64::from(PARTS))
        });
        inside.map(libm::sin).chain(std::iter::once(1.0)).collect()
    }
}

/// A point and its share of an integral.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub(super) u: f64,
    pub(super) weight: f64,
}

/// The rule on [-1, 1]: Legendre's polynomial's zeros by Newton's iteration, which doubles the digits each time.
fn gauss_legendre() -> Vec<(f64, f64)> {
    let zeros = (0..NODES).map(|i| {
        let mut x = -libm::cos(PI * (i as f64 + 0.75) / (NODES as f64 + 0.5));
        let mut slope = 1.0;
        for _ in 0..8 {
            let (mut now, mut before) = (x, 1.0);
            for n in 2..=NODES {
                let n = n as f64;
                (now, before) = (((2.0 * n - 1.0) * x * now - (n - 1.0) * before) / n, now);
            }
            slope = NODES as f64 * (before - x * now) / (1.0 - x * x);
            x -= now / slope;
        }
        (x, 2.0 / ((1.0 - x * x) * slope * slope))
    });
    zeros.collect()
}

/// The greatest magnitudes of an error along increasing points: every peak at least `share` times as high as the highest, sharpened by golden
/// section. With the error's sign.
pub(super) fn peaks(error: impl Fn(f64) -> f64, points: &[f64], share: f64) -> Vec<(f64, f64)> {
    const GOLDEN: f64 = 0.618_033_988_749_894_9;
    let values: Vec<f64> = points.iter().map(|u| error(*u)).collect();
    let highest = values.iter().fold(0.0, |high: f64, value| high.max(value.abs()));
    let is_peak = |i: usize| {
        let (height, sign) = (values[i].abs(), values[i].signum());
        // A low peak between high ones of the other sign is one too.
        let below = |j: Option<&f64>| j.is_none_or(|value| sign * value <= height);
        height >= share * highest
            && below(i.checked_sub(1).and_then(|j| values.get(j)))
            && below(values.get(i + 1))
    };
    let sharpened = (0..points.len()).filter(|i| is_peak(*i)).map(|i| {
        let sign = values[i].signum();
        let height = |u: f64| sign * error(u);
        let mut best = (points[i], height(points[i]));
        let (mut low, mut high) = (points[i.saturating_sub(1)], points[(i + 1).min(points.len() - 1)]);
        let inner = |low: f64, high: f64| (high - GOLDEN * (high - low), low + GOLDEN * (high - low));
        let (mut left, mut right) = inner(low, high);
        let (mut at_left, mut at_right) = (height(left), height(right));
        // 0.618^40 of the bracket: the height is quadratic in what is left.
        for _ in 0..40 {
            if at_left > at_right {
                high = right;
                (right, at_right) = (left, at_left);
                left = inner(low, high).0;
                at_left = height(left);
            } else {
                low = left;
                (left, at_left) = (right, at_right);
                right = inner(low, high).1;
                at_right = height(right);
            }
        }
        for found in [(left, at_left), (right, at_right)] {
            if found.1 > best.1 {
                best = found;
            }
        }
        (best.0, sign * best.1)
    });
    sharpened.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn integral(domain: Domain, measure: Measure, upper_half: bool, f: impl Fn(f64) -> f64) -> f64 {
        domain.nodes(measure, upper_half).iter().map(|node| node.weight * f(node.u)).sum()
    }

    /// The whole measures: 2, π, 2 asin(1/√1.001) and 2 (e⁻¹ - √π erfc 1).
    #[test]
    fn measures_have_their_known_masses() {
        let masses = [
            (Measure::Uniform, 2.0),
            (Measure::Chebyshev, PI),
            (Measure::ChebyshevRegularised, 2.0 * libm::asin(1.0 / 1.001_f64.sqrt())),
            (Measure::Damped, 2.0 * (libm::exp(-1.0) - PI.sqrt() * libm::erfc(1.0))),
        ];
        for (measure, mass) in masses {
            for interval in [[-1.0, 1.0], [-1e5, 1e5], [-1.0, 3.0], [7.0, 9.0]] {
                let domain = Domain::new(interval);
                for upper_half in [false, true] {
                    let found = integral(domain, measure, upper_half, |_| 1.0);
                    assert!(
                        (found - mass).abs() < 1e-14 * mass,
                        "{measure:?} on {interval:?}: {found} for {mass}"
                    );
                }
                let fourth = integral(domain, Measure::Chebyshev, false, |u| u * u * u * u);
                assert!((fourth - PI * 3.0 / 8.0).abs() < 1e-14);
            }
        }
    }

    #[test]
    fn narrow_steps_are_integrated_wherever_they_are() {
        for (interval, half) in [([-1e5, 1e5], 1e5), ([-1.0, 2e5 - 1.0], 1e5)] {
            let domain = Domain::new(interval);
            // ∫ (1 - tanh² x) dx = tanh(high) - tanh(low)
            let found = integral(domain, Measure::Uniform, false, |u| {
                let t = libm::tanh(domain.x(u));
                1.0 - t * t
            });
            let expected = libm::tanh(interval[1]) - libm::tanh(interval[0]);
            assert!((found * half - expected).abs() < 1e-10, "{} for {expected}", found * half);
        }
    }

    #[test]
    fn peaks_are_found_on_and_off_the_grid() {
        let grid = Domain::new([-1.0, 1.0]).grid(false);
        let found = peaks(|u| libm::cos(7.0 * libm::acos(u)), &grid, 0.5);
        assert_eq!(found.len(), 8);
        assert!(found.iter().all(|(_, height)| (height.abs() - 1.0).abs() < 1e-15));
    }
}
