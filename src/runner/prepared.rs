//! What the variants of a point and repetition share: data, trained network, polynomial.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Instant;

use ndarray::{Array2, Axis};

use crate::approximation::{self, Approximation, approximate};
use crate::backend::meter::Interrupt;
use crate::dataset::{self, Dataset, Split, Store};
use crate::experiment::plan::{Rule, Settings};
use crate::experiment::spec::{IntervalRule, Randomness, Stage};
use crate::math::stream::Stream;
use crate::network::{Network, Nonlinearity};
use crate::runner::RunError;
use crate::runner::estimate::{self, Forecast};

/// What every variant of a point and repetition shares.
pub struct Prepared {
    /// The cell's settings, with everything that depends on data resolved.
    pub settings: Settings,
    /// Scaled samples.
    pub split: Split,
    /// The network before training.
    pub initial: Network,
    /// The network after training in plaintext.
    pub trained: Network,
    /// Seconds that training took.
    pub training_seconds: f64,
    /// What training and approximation came to.
    pub metrics: BTreeMap<String, f64>,
    /// What a reader of the numbers must know.
    pub notes: Vec<String>,
    root: Stream,
}

impl Prepared {
    /// Loads, splits, scales, fits and trains; the same bytes in every process that does it.
    pub fn new(
        settings: &Settings,
        repetition: usize,
        store: &Store,
        interrupt: &Interrupt,
    ) -> Result<Self, RunError> {
        let mut settings = settings.clone();
        let root = Stream::seeded(settings.seed).item(repetition as u64);
        let dataset = store.load(&settings.data.name)?;
        let mut notes = Vec::new();
        let mut metrics = BTreeMap::new();
        let mut chosen = match &settings.approximation {
            Some(asked) if asked.rule.is_none_or(|rule| rule.rule != IntervalRule::Measured) => {
                let mut request = asked.request.clone();
                if let Some(rule) = asked.rule {
                    request.interval = of_means(rule, &dataset)?;
                }
                Some((request.clone(), approximate(&request)?))
            }
            _ => None,
        };
        let data = &settings.data;
        let mut split = dataset.into_split(data.test_fraction, data.scaling, &root.derive("split"))?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of the rows")]
        let share = (split.train.len() as f64 * data.train_share).ceil() as usize;
        split.train = split.train.take(share.min(data.train_limit.unwrap_or(usize::MAX)));
        let (widths, loss) = (settings.system.widths().to_vec(), settings.system.loss());
        let mut initial = Network::initialise(&widths, settings.activation, loss, &root.derive("weights"));
        let stage = settings.approximation.as_ref().map_or(Stage::AfterTraining, |asked| asked.stage);
        if let (Stage::Training, Some((_, fitted))) = (stage, &chosen) {
            initial.activation = Nonlinearity::Polynomial(fitted.polynomial.clone());
        }
        let mut trained = initial.clone();
        let start = Instant::now();
        let train = |network: &mut Network, stream: &Stream| {
            network.train(
                split.train.features.view(),
                &split.train.labels,
                &settings.training,
                stream,
                &mut |_| {
                    if interrupt.is_raised() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                },
            )?;
            if interrupt.is_raised() { Err(RunError::Interrupted) } else { Ok(()) }
        };
        train(&mut trained, &root.derive("training"))?;
        if let (None, Some(asked)) = (&chosen, &settings.approximation) {
            let mut request = asked.request.clone();
            request.interval = measured(asked.rule, &trained, &split)?;
            chosen = Some((request.clone(), approximate(&request)?));
        }
        if let Some((request, fitted)) = &chosen {
            // From here on the polynomial stands for the activation.
            let exact = Network { activation: settings.activation.into(), ..trained.clone() };
            metrics.extend(polynomial_metrics(fitted));
            notes.extend(polynomial_note(request, fitted));
            let test = split.test.take(settings.data.test_limit.unwrap_or(usize::MAX));
            if stage == Stage::AfterTraining {
                metrics
                    .insert("accuracy_exact".to_owned(), exact.accuracy(test.features.view(), &test.labels));
            }
            settings.system = settings.system.clone().with_polynomial(&fitted.polynomial)?;
        }
        // From here on polynomials stand for the activation, where the experiment says so.
        initial.activation = settings.system.activation();
        trained.activation = settings.system.activation();
        if stage == Stage::FineTuning {
            train(&mut trained, &root.derive("fine-tuning"))?;
        }
        let training_seconds = start.elapsed().as_secs_f64();
        Ok(Self { settings, split, initial, trained, training_seconds, metrics, notes, root })
    }

    /// The test samples that go through the protocol.
    pub fn workload(&self) -> dataset::Samples {
        let limit = self.settings.data.test_limit.unwrap_or(usize::MAX);
        self.split.test.take(limit)
    }

    /// The network's outputs for them in plaintext, samples x outputs.
    pub fn outputs(&self) -> Array2<f64> {
        self.trained.outputs(self.workload().features.view())
    }

    /// The training samples of the protocol, one an iteration, round and round in a seeded order.
    pub(super) fn training_order(&self) -> Vec<usize> {
        use rand::seq::SliceRandom;
        let mut order: Vec<usize> = (0..self.split.train.len()).collect();
        order.shuffle(&mut self.root.derive("protocol-training").rng());
        order.into_iter().cycle().take(self.settings.system.training_iterations()).collect()
    }

    /// The stream that session lengths come from.
    pub(super) fn sessions(&self) -> Stream {
        self.root.derive("sessions")
    }

    /// A party's private stream: its keys, encryptions and masks.
    pub(super) fn private(&self, party: &str) -> Result<Stream, RunError> {
        match self.settings.rng {
            Randomness::Seeded => Ok(self.root.derive(party)),
            Randomness::Os => Stream::from_os().map_err(RunError::Entropy),
        }
    }

    /// What the protocol will take at this cell; none where there is no protocol.
    pub fn forecast(&self) -> Result<Option<Forecast>, RunError> {
        estimate::forecast(&self.settings, self.workload().len(), &self.sessions())
    }
}

/// An interval from the means of the features as the files have them (CryptoDL, Algorithm 1).
fn of_means(rule: Rule, dataset: &Dataset) -> Result<[f64; 2], RunError> {
    let means = dataset.features.mean_axis(Axis(0)).map(|means| means.to_vec()).unwrap_or_default();
    let reach = match rule.rule {
        IntervalRule::MeanMean => means.iter().sum::<f64>() / means.len() as f64,
        IntervalRule::MaxMean => means.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        IntervalRule::MinMean | IntervalRule::Measured => means.iter().copied().fold(f64::INFINITY, f64::min),
    };
    symmetric(reach.abs())
}

/// As wide as what reaches the hidden layers of a trained network on its training samples, but for the outermost share.
fn measured(rule: Option<Rule>, network: &Network, split: &Split) -> Result<[f64; 2], RunError> {
    let mut sizes = pre_activations(network, split.train.features.view());
    sizes.iter_mut().for_each(|size| *size = size.abs());
    sizes.sort_by(f64::total_cmp);
    let coverage = rule.map_or(1.0, |rule| rule.coverage);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of what there is")]
    let at = ((sizes.len() as f64 * coverage).ceil() as usize).clamp(1, sizes.len().max(1)) - 1;
    symmetric(sizes.get(at).copied().unwrap_or(0.0))
}

fn pre_activations(network: &Network, features: ndarray::ArrayView2<'_, f64>) -> Vec<f64> {
    let mut all = Vec::new();
    let mut values = features.to_owned();
    for layer in network.layers.iter().take(network.layers.len().saturating_sub(1)) {
        let sums = values.dot(&layer.weights.t()) + &layer.bias;
        all.extend(sums.iter().copied());
        values = sums.mapv(|z| network.activation.value(z));
    }
    all
}

fn symmetric(reach: f64) -> Result<[f64; 2], RunError> {
    if reach.is_finite() && reach > 0.0 { Ok([-reach, reach]) } else { Err(RunError::Interval { reach }) }
}

/// A polynomial as tables show it.
pub(super) fn polynomial_metrics(fitted: &Approximation) -> BTreeMap<String, f64> {
    let polynomial = &fitted.polynomial;
    let [low, high] = polynomial.interval;
    let mut metrics = BTreeMap::from(
        [
            ("degree", polynomial.degree() as f64),
            ("degree_requested", fitted.requested as f64),
            ("depth", f64::from(polynomial.depth())),
            ("interval_low", low),
            ("interval_high", high),
            ("norm", fitted.norm),
            ("max_error", fitted.max_error),
            ("rms_error", fitted.rms_error),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    for power in 0..=polynomial.degree().min(9) {
        metrics.insert(format!("coefficient_{power}"), fitted.coefficient(power));
    }
    metrics
}

/// What must be known of a polynomial whose degree is not what was asked for.
pub(super) fn polynomial_note(request: &approximation::Request, fitted: &Approximation) -> Option<String> {
    let (found, asked) = (fitted.polynomial.degree(), fitted.requested);
    let line = if found <= 1 { ": the layer is linear" } else { "" };
    fitted.collapses().then(|| {
        format!(
            "degree {asked} of {:?} is degree {found}{line}: what is even of it is its constant alone, or nothing of it is left",
            request.function
        )
    })
}
