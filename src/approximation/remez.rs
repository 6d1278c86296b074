//! The polynomial with the least greatest error, by Remez's exchange (Remez 1934; Powell, Approximation Theory and Methods, chapter 9).
//!
//! On an interval about 0 only the odd or even part is sought, on the upper half: there its polynomials satisfy Haar's condition, whereas on the
//! whole interval an odd function has one alternation more than its degree asks for, and the system for it is singular.

use super::{
    least_squares::Family,
    polynomial::{Basis, Polynomial},
    quadrature::{Domain, peaks},
};

/// The exchange came to no end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stuck {
    /// The error that every polynomial has at least (de la Vallée-Poussin).
    pub(super) least: f64,
    /// That of the best one found.
    pub(super) found: f64,
}

/// Coefficients of Chebyshev's polynomials of the best approximation to f, a function of u.
pub(super) fn minimax(
    f: impl Fn(f64) -> f64,
    family: Family,
    domain: Domain,
    upper_half: bool,
) -> Result<Vec<f64>, Stuck> {
    const ROUNDS: usize = 100;
    /// Errors relative to the least one that count as equal to it, and those that are accepted where rounding ends the exchange.
    const EQUAL: f64 = 1e-13;
    const ACCEPTED: f64 = 1e-9;
    /// Relative to the function: what rounding of itself and of the polynomial may add.
    const ROUNDING: f64 = 16.0 * f64::EPSILON;
    let grid = domain.grid(upper_half);
    let scale = grid.iter().fold(0.0, |scale: f64, u| scale.max(f(*u).abs()));
    let mut reference = first_reference(family, upper_half);
    let mut best = (f64::INFINITY, 0.0, Vec::new());
    for _ in 0..ROUNDS {
        let Some((coefficients, level)) = levelled(&f, family, &reference) else { break };
        let polynomial = Polynomial { basis: Basis::Chebyshev, coefficients, interval: [-1.0, 1.0] };
        let error = |u: f64| f(u) - polynomial.value(u);
        let mut points = grid.clone();
        points.extend(&reference);
        points.sort_by(f64::total_cmp);
        points.dedup();
        let alternation = alternating(peaks(error, &points, 0.0));
        let found = alternation.iter().fold(0.0, |highest: f64, (_, e)| highest.max(e.abs()));
        if found < best.0 {
            best = (found, level.abs(), polynomial.coefficients.clone());
        }
        if found - level.abs() <= EQUAL * found {
            break;
        }
        let next = reduced(alternation, reference.len());
        if next.len() < reference.len() {
            break;
        }
        reference = next.into_iter().map(|(u, _)| u).collect();
    }
    let (found, least, coefficients) = best;
    if found - least <= ACCEPTED * found + ROUNDING * scale {
        Ok(coefficients)
    } else {
        Err(Stuck { least, found })
    }
}

/// Where Chebyshev's polynomial after the family's last has its extremes; on the upper half, those that are not negative.
fn first_reference(family: Family, upper_half: bool) -> Vec<f64> {
    let next = if upper_half { family.start + 2 * family.count } else { family.count };
    let point = |i: usize| libm::cos(std::f64::consts::PI * i as f64 / next as f64);
    // The cosine of a right angle is not 0 after rounding.
    (0..=family.count).rev().map(|i| if 2 * i == next { 0.0 } else { point(i) }).collect()
}

/// Of neighbouring peaks with one sign the highest.
fn alternating(peaks: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    let mut kept: Vec<(f64, f64)> = Vec::new();
    for peak in peaks {
        match kept.last_mut() {
            Some(last) if last.1.signum() * peak.1.signum() > 0.0 => {
                if peak.1.abs() > last.1.abs() {
                    *last = peak;
                }
            }
            _ => kept.push(peak),
        }
    }
    kept
}

/// So many of them, still with alternating signs: the lowest go, and where one inside goes, so does the lower of the two that then meet.
fn reduced(mut peaks: Vec<(f64, f64)>, size: usize) -> Vec<(f64, f64)> {
    while peaks.len() > size {
        let height = |i: usize| peaks[i].1.abs();
        let last = peaks.len() - 1;
        let lowest = if last == size {
            if height(0) < height(last) { 0 } else { last }
        } else {
            (0..=last).min_by(|a, b| height(*a).total_cmp(&height(*b))).unwrap_or(last)
        };
        peaks.remove(lowest);
        peaks = alternating(peaks);
    }
    peaks
}

/// The polynomial whose error is the same on all points of the reference but for the sign, which alternates; and that error.
fn levelled(f: impl Fn(f64) -> f64, family: Family, reference: &[f64]) -> Option<(Vec<f64>, f64)> {
    let row = |(i, u): (usize, &f64)| {
        // T_n by its recurrence.
        let top = family.start + family.step * family.count;
        let mut values = vec![1.0, *u];
        for n in 2..=top {
            values.push(2.0 * u * values[n - 1] - values[n - 2]);
        }
        let sign = if i.is_multiple_of(2) { 1.0 } else { -1.0 };
        family.degrees().map(|degree| values[degree]).chain([sign, f(*u)]).collect()
    };
    let solution = solved(reference.iter().enumerate().map(row).collect())?;
    let (level, rest) = solution.split_last()?;
    let mut coefficients = vec![0.0; family.degrees().last()? + 1];
    family.degrees().zip(rest).for_each(|(degree, value)| coefficients[degree] = *value);
    Some((coefficients, *level))
}

/// Gauss's elimination with the greatest pivot of each column; rows carry their right side at the end.
fn solved(mut rows: Vec<Vec<f64>>) -> Option<Vec<f64>> {
    let size = rows.len();
    for column in 0..size {
        let pivot =
            (column..size).max_by(|a, b| rows[*a][column].abs().total_cmp(&rows[*b][column].abs()))?;
        rows.swap(column, pivot);
        let (above, below) = rows.split_at_mut(column + 1);
        let head = above.last()?;
        if head[column] == 0.0 || !head[column].is_finite() {
            return None;
        }
        for row in below {
            let factor = row[column] / head[column];
            row.iter_mut().zip(head).skip(column).for_each(|(value, above)| *value -= factor * above);
        }
    }
    let mut solution = vec![0.0; size];
    for i in (0..size).rev() {
        let known: f64 = (i + 1..size).map(|j| rows[i][j] * solution[j]).sum();
        solution[i] = (rows[i][size] - known) / rows[i][i];
    }
    Some(solution)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The monomial of degree n is best replaced by itself without Chebyshev's polynomial of degree n, which leaves 2^(1-n).
    #[test]
    fn powers_lose_chebyshevs_polynomial() {
        let all = Family { start: 0, step: 1, count: 5 };
        let found = minimax(|u| u * u * u * u * u, all, Domain::new([-1.0, 1.0]), false).unwrap();
        for (coefficient, expected) in found.iter().zip([0.0, 0.625, 0.0, 0.3125, 0.0]) {
            assert!((coefficient - expected).abs() < 1e-14, "{found:?}");
        }
        let odd = Family { start: 1, step: 2, count: 2 };
        let found = minimax(|u| u * u * u * u * u, odd, Domain::new([-1.0, 1.0]), true).unwrap();
        assert!((found[1] - 0.625).abs() < 1e-14 && (found[3] - 0.3125).abs() < 1e-14, "{found:?}");
    }

    /// |u| is best replaced by u² + 1/8 in degree 2, with the error 1/8.
    #[test]
    fn the_kink_of_the_magnitude_is_met() {
        let even = Family { start: 0, step: 2, count: 2 };
        let found = minimax(f64::abs, even, Domain::new([-1.0, 1.0]), true).unwrap();
        assert!((found[0] - 0.625).abs() < 1e-14 && (found[2] - 0.5).abs() < 1e-14, "{found:?}");
    }
}
