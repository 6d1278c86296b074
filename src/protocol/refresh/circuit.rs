//! An iteration, and a classification, over any arithmetic on slots.

use std::borrow::Cow;

use super::{Form, Layout, Place, Point, Schedule, Settings};
use crate::{
    approximation::Polynomial,
    backend::slots::{Engine, Of, SlotError, Slots},
    math::pool,
    protocol::ProtocolError,
};

/// Bytes of ciphertexts in one message, at most: a step with more takes several.
pub(super) const MESSAGE_BYTES: usize = 1 << 28;

/// Ciphertexts that are to be encrypted anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Where in the circuit.
    pub place: Place,
    /// How numbers lie in the ciphertexts that are sent.
    pub from: Form,
    /// How they shall lie in those that come back.
    pub to: Form,
    /// Neurons, where the form changes.
    pub neurons: usize,
}

/// Who encrypts anew.
pub trait Refresher<E: Engine> {
    /// The numbers of some ciphertexts in fresh ones.
    ///
    /// # Errors
    /// What channel and arithmetic refuse.
    fn refresh(&mut self, request: Request, ciphertexts: Vec<Of<E>>) -> Result<Vec<Of<E>>, ProtocolError>;

    /// The circuit comes to a place where it may ask; for plans.
    fn pass(&mut self, _place: Place) {}

    /// A part of the iteration begins; for whoever takes the time.
    fn enter(&mut self, _part: Part) {}
}

/// Parts of an iteration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// From inputs to outputs.
    Forward,
    /// From outputs to gradients, and the step of the weights.
    Backward,
}

/// The computation of the server.
pub struct Circuit<'a, E: Engine> {
    /// The arithmetic.
    pub slots: &'a Slots<E>,
    /// Its keys.
    pub evaluation: &'a E::Evaluation,
    /// What is computed.
    pub settings: &'a Settings,
    /// Where the client is asked.
    pub schedule: &'a Schedule,
    /// Where numbers are.
    pub layout: Layout,
    /// Of many ciphertexts that are made alike one is made and copied: for plans, which see no numbers.
    pub thin: bool,
}

/// Ciphertexts.
type Many<E> = Vec<Of<E>>;

/// What goes forward leaves behind for the way back.
struct Passed<E: Engine> {
    /// Inputs of every layer, replicated.
    inputs: Vec<Many<E>>,
    /// Sums of every layer, grouped.
    sums: Vec<Many<E>>,
    /// Outputs, grouped.
    outputs: Many<E>,
}

impl<E: Engine> Circuit<'_, E> {
    /// The outputs of samples, grouped; inputs are replicated.
    ///
    /// # Errors
    /// Where the parameters do not suffice, and those of the refresher.
    pub fn classify(
        &self,
        client: &mut impl Refresher<E>,
        weights: &[Many<E>],
        inputs: Many<E>,
    ) -> Result<Many<E>, ProtocolError> {
        let outputs = self.forward(client, weights, inputs)?.outputs;
        self.map(outputs.len(), |group| self.slots.compact(&outputs[group]))
    }

    /// Moves the weights by one step along the mean gradient of the squared error; gives the batch's summed loss.
    ///
    /// # Errors
    /// Like [`classify`](Self::classify).
    pub fn iterate(
        &self,
        client: &mut impl Refresher<E>,
        weights: &mut [Many<E>],
        inputs: Many<E>,
        labels: Many<E>,
    ) -> Result<Of<E>, ProtocolError> {
        client.enter(Part::Forward);
        let mut passed = self.forward(client, weights, inputs)?;
        client.enter(Part::Backward);
        let last = self.settings.layers();
        let labels = self.ask(client, (Point::Label, last), Form::Grouped, labels)?;
        let errors =
            self.map(labels.len(), |group| self.difference(&passed.outputs[group], &labels[group]))?;
        let errors = self.ask(client, (Point::Error, last), Form::Grouped, errors)?;
        let loss = self.loss(client, &errors)?;
        let mut deltas = self.delta(client, last, &errors, &passed.sums[last - 1])?;
        for layer in (1..=last).rev() {
            let below = if layer > 1 {
                let sums = self.backward(client, layer, &weights[layer - 1], &deltas)?;
                Some(self.delta(client, layer - 1, &sums, &passed.sums[layer - 2])?)
            } else {
                None
            };
            // Nothing below has use for them.
            let mut inputs = std::mem::take(&mut passed.inputs[layer - 1]);
            if layer > 1 {
                inputs = self.ask(client, (Point::ActivationAgain, layer - 1), Form::Replicated, inputs)?;
            }
            self.update(client, layer, &mut weights[layer - 1], (deltas, inputs))?;
            deltas = below.unwrap_or_default();
        }
        Ok(loss)
    }

    fn forward(
        &self,
        client: &mut impl Refresher<E>,
        weights: &[Many<E>],
        inputs: Many<E>,
    ) -> Result<Passed<E>, ProtocolError> {
        let mut passed = Passed { inputs: vec![inputs], sums: Vec::new(), outputs: Vec::new() };
        let last = self.settings.layers();
        for layer in 1..=last {
            let (weights, inputs) = (&weights[layer - 1], &passed.inputs[layer - 1]);
            let (groups, width) = (self.layout.groups(self.settings.widths[layer]), inputs.len());
            let sums = self.sums(
                (Point::ForwardProduct, layer),
                client,
                (groups, width),
                (weights, inputs),
                |group, input| (group * width + input, input),
            )?;
            let sums = self.ask(client, (Point::Sum, layer), Form::Grouped, sums)?;
            let activate = |group: usize| {
                let coefficient = super::power_of_two(self.settings.coefficient_bits);
                self.slots.polynomial(self.evaluation, &sums[group], &self.settings.activation, coefficient)
            };
            if layer < last {
                let activations = self.map(groups, activate)?;
                let to = if self.layout.blocks > 1 { Form::Replicated } else { Form::Grouped };
                let request = self.request((Point::Activation, layer), Form::Grouped, to);
                passed.inputs.push(self.asked(client, request, activations)?);
            } else if self.settings.activates_outputs() {
                let outputs = self.map(groups, activate)?;
                passed.outputs = self.ask(client, (Point::Activation, layer), Form::Grouped, outputs)?;
            } else {
                passed.outputs.clone_from(&sums);
            }
            passed.sums.push(sums);
        }
        Ok(passed)
    }

    /// Sums of products, of which the client may be asked for every one; `pair` says what is multiplied.
    fn sums(
        &self,
        place: Place,
        client: &mut impl Refresher<E>,
        (sums, terms): (usize, usize),
        (lefts, rights): (&[Of<E>], &[Of<E>]),
        pair: impl Fn(usize, usize) -> (usize, usize) + Sync,
    ) -> Result<Many<E>, ProtocolError> {
        let asks = self.schedule.asks(place);
        let together = (0..if asks { 1 } else { terms }).map(|term| pair(0, term));
        let [lefts, rights] = self.factors((lefts, rights), together)?;
        let pair = |sum, term| {
            let (left, right) = pair(sum, term);
            (&lefts[left], &rights[right])
        };
        if !asks {
            // Seen, and passed by.
            let sums = self.map(sums, |sum| {
                let pairs: Vec<_> = (0..terms).map(|term| pair(sum, term)).collect();
                self.slots.dot(self.evaluation, &pairs)
            });
            return self.ask(client, place, Form::Grouped, sums?);
        }
        let products = self.map(sums * terms, |index| {
            let (left, right) = pair(index / terms, index % terms);
            self.slots.multiply(self.evaluation, left, right)
        });
        let products = self.ask(client, place, Form::Grouped, products?)?;
        self.map(sums, |sum| {
            let terms: Vec<_> = products[sum * terms..][..terms].iter().map(|product| (product, 1)).collect();
            self.slots.sum(&terms)
        })
    }

    /// Factors at the level that their products have, so that those of many products are lowered once. `pairs` are summed products.
    fn factors<'m>(
        &self,
        (lefts, rights): (&'m [Of<E>], &'m [Of<E>]),
        pairs: impl Iterator<Item = (usize, usize)>,
    ) -> Result<[Cow<'m, [Of<E>]>; 2], ProtocolError> {
        let known: Vec<_> = pairs.map(|(left, right)| (lefts[left].state(), rights[right].state())).collect();
        let level = self.slots.rules().dot(&known)?.level;
        let lowered = |many: &'m [Of<E>]| {
            if many.iter().all(|one| one.state().level == level) {
                return Ok(Cow::Borrowed(many));
            }
            let lowered = self.map(many.len(), |one| Ok(self.slots.drop_to(&many[one], level)?.into_owned()));
            Ok::<_, ProtocolError>(Cow::Owned(lowered?))
        };
        Ok([lowered(lefts)?, lowered(rights)?])
    }

    /// What a layer's deltas are to the neurons below it, one ciphertext a neuron in all blocks or, laid out anew, grouped.
    fn backward(
        &self,
        client: &mut impl Refresher<E>,
        layer: usize,
        weights: &Many<E>,
        deltas: &Many<E>,
    ) -> Result<Many<E>, ProtocolError> {
        let below = self.settings.widths[layer - 1];
        let sums = self.sums(
            (Point::BackwardProduct, layer),
            client,
            (below, deltas.len()),
            (weights, deltas),
            |input, group| (group * below + input, group),
        )?;
        let sums = self.map(below, |input| self.rotated(&sums[input], self.layout.block_steps()))?;
        let from = if self.layout.blocks > 1 { Form::Replicated } else { Form::Grouped };
        let request = self.request((Point::BackwardSum, layer - 1), from, Form::Grouped);
        self.asked(client, request, sums)
    }

    /// Derivatives by sums from derivatives by activations.
    fn delta(
        &self,
        client: &mut impl Refresher<E>,
        layer: usize,
        by_activation: &Many<E>,
        sums: &Many<E>,
    ) -> Result<Many<E>, ProtocolError> {
        let sums = self.ask(client, (Point::SumAgain, layer), Form::Grouped, sums.clone())?;
        let derivative = derivative(&self.settings.activation);
        let coefficient = super::power_of_two(self.settings.coefficient_bits);
        let slopes = self.map(sums.len(), |group| {
            self.slots.polynomial(self.evaluation, &sums[group], &derivative, coefficient)
        });
        let slopes = self.ask(client, (Point::Derivative, layer), Form::Grouped, slopes?)?;
        let deltas = self.map(sums.len(), |group| {
            self.slots.multiply(self.evaluation, &by_activation[group], &slopes[group])
        });
        self.ask(client, (Point::Delta, layer), Form::Grouped, deltas?)
    }

    fn update(
        &self,
        client: &mut impl Refresher<E>,
        layer: usize,
        weights: &mut Many<E>,
        (deltas, inputs): (Many<E>, Many<E>),
    ) -> Result<(), ProtocolError> {
        let width = inputs.len();
        let rules = self.slots.rules();
        // What is only summed and added needs few primes.
        let lowered = self.schedule.gradient_level.map(|level| level + usize::from(rules.rescales()));
        let lower = |from: &Of<E>, to: Option<usize>| match to {
            Some(to) if to < from.state().level => Ok(self.slots.drop_to(from, to)?.into_owned()),
            _ => Ok(from.clone()),
        };
        let all = |many: Many<E>| match lowered {
            None => Ok(many),
            Some(_) => self.map(many.len(), |index| lower(&many[index], lowered)),
        };
        let (deltas, inputs) = (all(deltas)?, all(inputs)?);
        let [deltas, inputs] = self.factors((&deltas, &inputs), std::iter::once((0, 0)))?;
        let rate = self.settings.rate;
        let bits = self.settings.log_period() + rate.bits;
        let step = -f64::from(rate.mantissa) / super::power_of_two(bits);
        let bytes = self.slots.engine().payload_bytes(rules.levels(), false);
        let most = (MESSAGE_BYTES / bytes.max(1)).max(1);
        for start in (0..weights.len()).step_by(most) {
            let count = most.min(weights.len() - start);
            let products = self.map(count, |index| {
                let at = start + index;
                let product =
                    self.slots.multiply(self.evaluation, &deltas[at / width], &inputs[at % width])?;
                lower(&product, self.schedule.gradient_level)
            })?;
            let products = self.ask(client, (Point::GradientProduct, layer), Form::Grouped, products)?;
            let gradients =
                self.map(count, |index| self.rotated(&products[index], self.layout.sample_steps()))?;
            drop(products);
            let gradients = self.ask(client, (Point::Gradient, layer), Form::Weights, gradients)?;
            let moved = self.map(count, |index| {
                let (weight, gradient) = (&weights[start + index], &gradients[index]);
                let target = rules.product_scale(gradient.state().scale, super::power_of_two(bits));
                self.slots.combine(&[(weight, 1.0), (gradient, step)], target)
            })?;
            drop(gradients);
            let moved = self.ask(client, (Point::Weight, layer), Form::Weights, moved)?;
            for (weight, moved) in weights[start..].iter_mut().zip(moved) {
                *weight = moved;
            }
        }
        Ok(())
    }

    /// The sum of the squared errors of all outputs and samples, in the first slot.
    fn loss(&self, client: &mut impl Refresher<E>, errors: &Many<E>) -> Result<Of<E>, ProtocolError> {
        let last = self.settings.layers();
        let pairs: Vec<_> = errors.iter().map(|error| (error, error)).collect();
        let squares = self.map(1, |_| self.slots.dot(self.evaluation, &pairs))?;
        let squares = self.ask(client, (Point::LossProduct, last), Form::Grouped, squares)?;
        let steps = || self.layout.sample_steps().chain(self.layout.block_steps());
        let sums = self.map(squares.len(), |index| self.rotated(&squares[index], steps()))?;
        let sums = self.ask(client, (Point::LossSum, last), Form::Weights, sums)?;
        let sums = self.map(sums.len(), |index| self.slots.compact(&sums[index]))?;
        Ok(sums.into_iter().next().ok_or(SlotError::Empty)?)
    }

    /// The sum of a ciphertext's rotations by all sums of steps.
    fn rotated(&self, ciphertext: &Of<E>, steps: impl Iterator<Item = i64>) -> Result<Of<E>, SlotError> {
        steps.into_iter().try_fold(ciphertext.clone(), |sum, step| {
            let rotated = self.slots.rotate(self.evaluation, &sum, &[step])?;
            let other = rotated.first().ok_or(SlotError::Empty)?;
            self.slots.sum(&[(&sum, 1), (other, 1)])
        })
    }

    fn difference(&self, left: &Of<E>, right: &Of<E>) -> Result<Of<E>, SlotError> {
        let (scale, other) = (left.state().scale, right.state().scale);
        let rules = self.slots.rules();
        if rules.same_scale("a difference", scale, other).is_ok() {
            return self.slots.sum(&[(left, 1), (right, -1)]);
        }
        let target = if rules.rescales() { rules.product_scale(1.0, 1.0) } else { scale.max(other) };
        self.slots.combine(&[(left, 1.0), (right, -1.0)], target)
    }

    fn request(&self, place: Place, from: Form, to: Form) -> Request {
        Request { place, from, to, neurons: self.settings.widths[place.1] }
    }

    /// The same form back, if the client is asked here at all.
    fn ask(
        &self,
        client: &mut impl Refresher<E>,
        place: Place,
        form: Form,
        ciphertexts: Many<E>,
    ) -> Result<Many<E>, ProtocolError> {
        self.asked(client, self.request(place, form, form), ciphertexts)
    }

    fn asked(
        &self,
        client: &mut impl Refresher<E>,
        request: Request,
        ciphertexts: Many<E>,
    ) -> Result<Many<E>, ProtocolError> {
        client.pass(request.place);
        if self.schedule.asks(request.place) { client.refresh(request, ciphertexts) } else { Ok(ciphertexts) }
    }

    /// So many ciphertexts, on all threads.
    fn map(
        &self,
        count: usize,
        make: impl Fn(usize) -> Result<Of<E>, SlotError> + Send + Sync,
    ) -> Result<Many<E>, ProtocolError> {
        self.slots.together(count, || {
            if self.thin && count > 0 {
                return Ok(vec![make(0)?; count]);
            }
            Ok(pool::map(0..count, make).into_iter().collect::<Result<_, SlotError>>()?)
        })
    }
}

/// The derivative, as a polynomial.
pub(super) fn derivative(polynomial: &Polynomial) -> Polynomial {
    let powers = polynomial.to_monomial();
    let coefficients = powers.coefficients.iter().enumerate().skip(1);
    let coefficients = coefficients.map(|(power, coefficient)| power as f64 * coefficient).collect();
    Polynomial::monomial(coefficients, polynomial.interval)
}
