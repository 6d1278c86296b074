//! Steps of stochastic gradient descent and of Adam.

use super::{
    Network,
    layer::{self, Part},
    real::Real,
    settings::{Optimiser, Training},
};
use rayon::prelude::*;

/// Parameters that go to one thread at a time.
const CHUNK: usize = 1 << 15;

/// What an optimiser remembers between steps.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct State<T> {
    /// One number per parameter each. Gradient descent: the last step. Adam: means of gradients and of their squares.
    /// Conjugate gradient: negative gradient and direction.
    pub(super) vectors: Vec<Vec<T>>,
    /// What the conjugate gradient knows beside them.
    pub(super) scalars: Vec<f64>,
    /// Steps so far.
    pub(super) steps: u64,
}

impl<T: Real> State<T> {
    pub(super) fn new(optimiser: Optimiser, parameters: usize) -> Self {
        let (vectors, scalars) = match optimiser {
            Optimiser::Sgd { .. } => (1, 0),
            Optimiser::Adam { .. } => (2, 0),
            Optimiser::ScaledConjugateGradient { .. } => (2, super::conjugate_gradient::SCALARS),
        };
        Self { vectors: vec![vec![T::zero(); parameters]; vectors], scalars: vec![0.0; scalars], steps: 0 }
    }

    /// One step along a gradient, the learning rate times `factor`.
    pub(super) fn step(
        &mut self,
        network: &mut Network<T>,
        gradient: &[T],
        settings: &Training,
        factor: f64,
    ) {
        self.steps += 1;
        let steps = self.steps as f64;
        let mut at = 0;
        let vectors = &mut self.vectors;
        layer::visit_mut(&mut network.layers, "", &mut |_, part, _, values| {
            if part == Part::Average {
                return;
            }
            let range = at..at + values.len();
            at = range.end;
            let decay = if part == Part::Weights { settings.weight_decay } else { 0.0 };
            let gradient = &gradient[range.clone()];
            match (settings.optimiser, &mut vectors[..]) {
                (Optimiser::Sgd { learning_rate, momentum, nesterov }, [velocity, ..]) => {
                    let step = Descent {
                        rate: T::from_f64(learning_rate * factor),
                        momentum: T::from_f64(momentum),
                        decay: T::from_f64(decay),
                        nesterov,
                    };
                    let chunks = values.par_chunks_mut(CHUNK).zip(velocity[range].par_chunks_mut(CHUNK));
                    chunks.zip(gradient.par_chunks(CHUNK)).for_each(|((w, v), g)| step.apply(w, v, g));
                }
                (Optimiser::Adam { learning_rate, beta1, beta2, epsilon }, [first, second, ..]) => {
                    let rate = learning_rate * factor;
                    let step = Adam {
                        rate: T::from_f64(rate / (1.0 - libm::pow(beta1, steps))),
                        keep: T::from_f64(1.0 - rate * decay),
                        root: T::from_f64((1.0 - libm::pow(beta2, steps)).sqrt()),
                        first: T::from_f64(beta1),
                        second: T::from_f64(beta2),
                        epsilon: T::from_f64(epsilon),
                    };
                    let moments =
                        first[range.clone()].par_chunks_mut(CHUNK).zip(second[range].par_chunks_mut(CHUNK));
                    let chunks = values.par_chunks_mut(CHUNK).zip(moments).zip(gradient.par_chunks(CHUNK));
                    chunks.for_each(|((w, (m, v)), g)| step.apply(w, m, v, g));
                }
                // The conjugate gradient does not step along single gradients.
                _ => {}
            }
        });
    }
}

struct Descent<T> {
    rate: T,
    momentum: T,
    decay: T,
    nesterov: bool,
}

impl<T: Real> Descent<T> {
    fn apply(&self, w: &mut [T], v: &mut [T], g: &[T]) {
        for ((w, v), g) in w.iter_mut().zip(v).zip(g) {
            // Nothing is added where nothing decays, so that a zero keeps its sign.
            let g = if self.decay > T::zero() { *g + self.decay * *w } else { *g };
            *v = self.momentum * *v - self.rate * g;
            *w += if self.nesterov { self.momentum * *v - self.rate * g } else { *v };
        }
    }
}

struct Adam<T> {
    rate: T,
    keep: T,
    root: T,
    first: T,
    second: T,
    epsilon: T,
}

impl<T: Real> Adam<T> {
    fn apply(&self, w: &mut [T], m: &mut [T], v: &mut [T], g: &[T]) {
        for (((w, m), v), g) in w.iter_mut().zip(m).zip(v).zip(g) {
            *m = self.first * *m + (T::one() - self.first) * *g;
            *v = self.second * *v + (T::one() - self.second) * *g * *g;
            *w = *w * self.keep - self.rate * *m / ((*v).sqrt() / self.root + self.epsilon);
        }
    }
}
