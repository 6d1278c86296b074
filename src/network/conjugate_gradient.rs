//! The scaled conjugate gradient (M. F. Møller, "A Scaled Conjugate Gradient Algorithm for Fast Supervised Learning",
//! Neural Networks 6(4), 1993).
//!
//! Notation as there: w weights, r the negative gradient, p the direction, δ its curvature, λ the scale that keeps δ
//! above zero, Δ how well a quadratic predicted the loss.

use super::{optimiser::State, real::Real};

/// Places of the scalars of a [`State`].
pub(super) const SCALARS: usize = 6;
const LAMBDA: usize = 0;
const LAMBDA_BAR: usize = 1;
/// 1 after a step that lowered the loss.
const SUCCESS: usize = 2;
/// Curvature along the direction, without the scale.
const DELTA: usize = 3;
const LOSS: usize = 4;
const RIGHT: usize = 5;

/// The loss at some parameters, the samples classified right, and the gradient if it was asked for.
pub(super) struct Evaluation<T> {
    pub(super) loss: f64,
    pub(super) right: usize,
    pub(super) gradient: Vec<T>,
}

/// What an iteration came to.
pub(super) struct Iteration {
    pub(super) loss: f64,
    pub(super) right: usize,
    /// Length of the gradient.
    pub(super) gradient: f64,
}

fn dot<T: Real>(a: &[T], b: &[T]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a.wide() * b.wide()).sum()
}

/// `w + step · p`.
fn along<T: Real>(w: &[T], step: f64, p: &[T]) -> Vec<T> {
    let step = T::from_f64(step);
    w.iter().zip(p).map(|(w, p)| *w + step * *p).collect()
}

/// One iteration from the parameters `w`, which are changed when the loss falls. `evaluate` gives loss and gradient at
/// other parameters.
pub(super) fn iterate<T: Real>(
    w: &mut Vec<T>,
    state: &mut State<T>,
    (sigma, lambda): (f64, f64),
    evaluate: &mut dyn FnMut(&[T]) -> Evaluation<T>,
) -> Iteration {
    let State { vectors, scalars, steps } = state;
    let ([r, p], [..]) = (&mut vectors[..], &mut scalars[..]) else {
        return Iteration { loss: f64::NAN, right: 0, gradient: 0.0 };
    };
    if *steps == 0 {
        let start = evaluate(w);
        *r = start.gradient.iter().map(|g| -*g).collect();
        p.clone_from(r);
        scalars[LAMBDA] = lambda;
        scalars[LAMBDA_BAR] = 0.0;
        scalars[SUCCESS] = 1.0;
        scalars[LOSS] = start.loss;
        scalars[RIGHT] = start.right as f64;
    }
    *steps += 1;
    let mut mu = dot(p, r);
    if mu <= 0.0 {
        // Rounding has turned the direction away from where the loss falls.
        p.clone_from(r);
        mu = dot(p, r);
        scalars[SUCCESS] = 1.0;
    }
    let length = dot(p, p);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of samples")]
    let done = |scalars: &[f64], r: &[T]| Iteration {
        loss: scalars[LOSS],
        right: scalars[RIGHT] as usize,
        gradient: dot(r, r).sqrt(),
    };
    if length <= 0.0 || !length.is_finite() {
        return done(scalars, r);
    }
    if scalars[SUCCESS] > 0.0 {
        let step = sigma / length.sqrt();
        let ahead = evaluate(&along(w, step, p));
        // p · (E'(w + σ p) - E'(w)) / σ, with r = -E'(w).
        scalars[DELTA] = (dot(p, &ahead.gradient) + mu) / step;
    }
    let mut delta = scalars[DELTA] + (scalars[LAMBDA] - scalars[LAMBDA_BAR]) * length;
    if delta <= 0.0 {
        scalars[LAMBDA_BAR] = 2.0 * (scalars[LAMBDA] - delta / length);
        delta = -delta + scalars[LAMBDA] * length;
        scalars[LAMBDA] = scalars[LAMBDA_BAR];
    }
    let alpha = mu / delta;
    let next = along(w, alpha, p);
    let there = evaluate(&next);
    let comparison = 2.0 * delta * (scalars[LOSS] - there.loss) / (mu * mu);
    if comparison >= 0.0 {
        *w = next;
        let new: Vec<T> = there.gradient.iter().map(|g| -*g).collect();
        scalars[LOSS] = there.loss;
        scalars[RIGHT] = there.right as f64;
        scalars[LAMBDA_BAR] = 0.0;
        scalars[SUCCESS] = 1.0;
        if steps.is_multiple_of(w.len() as u64) {
            p.clone_from(&new);
        } else {
            let beta = T::from_f64((dot(&new, &new) - dot(&new, r)) / mu);
            p.iter_mut().zip(&new).for_each(|(p, r)| *p = *r + beta * *p);
        }
        *r = new;
        if comparison >= 0.75 {
            scalars[LAMBDA] *= 0.25;
        }
    } else {
        scalars[LAMBDA_BAR] = scalars[LAMBDA];
        scalars[SUCCESS] = 0.0;
        // δ is kept with the scale in it, from which λ - λ̄ is added next time.
    }
    scalars[DELTA] = delta;
    // Also where the comparison is not a number: the step was too far.
    if comparison.is_nan() || comparison < 0.25 {
        let more =
            if comparison.is_finite() { delta * (1.0 - comparison) / length } else { 3.0 * scalars[LAMBDA] };
        scalars[LAMBDA] += more;
    }
    done(scalars, r)
}
