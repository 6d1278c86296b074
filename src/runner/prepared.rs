//! What the variants of a point and repetition share: data, trained network, polynomial.

use std::collections::BTreeMap;

use ndarray::{Array2, Axis};

use crate::approximation::{self, Approximation, approximate};
use crate::backend::meter::Interrupt;
use crate::dataset::{self, Dataset, Split, Store};
use crate::experiment::plan::{Rule, Settings, input_shape};
use crate::experiment::spec::{IntervalRule, Precision, Randomness, Stage};
use crate::math::stream::Stream;
use crate::network::{Network, Nonlinearity, Real, Training};
use crate::protocol::ProtocolError;
use crate::runner::RunError;
use crate::runner::estimate::{self, Forecast};
use crate::runner::model::{Curve, Models, Trained};

/// Training samples that an interval is measured on.
const MEASURED: usize = 2000;
/// What stands below a table with trainings that diverged.
const DIVERGED: &str =
    "where a training diverges, accuracy and loss are those after its last epoch with finite numbers";

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
    /// Accuracy and loss on the test samples by epoch, where they are asked for.
    pub curves: BTreeMap<String, Vec<f64>>,
    /// What a reader of the numbers must know.
    pub notes: Vec<String>,
    /// The outputs for the test samples of the protocol in plaintext, in the precision of the training; samples x outputs.
    pub outputs: Array2<f64>,
    root: Stream,
}

/// A data set, split, and a polynomial that does not depend on what is trained.
struct Material {
    split: Split,
    chosen: Option<(approximation::Request, Approximation)>,
    shape: crate::network::Shape,
    classes: usize,
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
        Self::with(settings, repetition, store, &Models::none(interrupt.clone()))
    }

    /// The same with what has been trained before, where that is kept.
    pub fn with(
        settings: &Settings,
        repetition: usize,
        store: &Store,
        models: &Models<'_>,
    ) -> Result<Self, RunError> {
        let root = Stream::seeded(settings.seed).item(repetition as u64);
        let mut dataset = store.load(&settings.data.name)?;
        if let Some(limit) = settings.data.feature_limit {
            dataset.keep_features(limit);
        }
        let entry = dataset::catalogue()?.get(&settings.data.name)?;
        let chosen = match &settings.approximation {
            Some(asked) if asked.rule.is_none_or(|rule| rule.rule != IntervalRule::Measured) => {
                let mut request = asked.request.clone();
                if let Some(rule) = asked.rule {
                    request.interval = of_means(rule, &dataset)?;
                }
                let fitted = approximate(&request)?;
                Some((request, fitted))
            }
            _ => None,
        };
        let (classes, digest) = (dataset.classes, dataset.digest.clone());
        let data = &settings.data;
        let mut split = dataset.into_split(data.test_fraction, data.scaling, &root.derive("split"))?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of the rows")]
        let share = (split.train.len() as f64 * data.train_share).ceil() as usize;
        let most = share.min(data.train_limit.unwrap_or(usize::MAX));
        if most < split.train.len() {
            split.train = split.train.take(most);
        }
        let material =
            Material { split, chosen, shape: input_shape(entry, settings.data.feature_limit), classes, root };
        let models = models.of(settings, repetition, &digest);
        match settings.precision {
            Precision::Double => Self::train::<f64>(settings.clone(), material, &models),
            Precision::Single => Self::train::<f32>(settings.clone(), material, &models),
        }
    }

    fn train<T: Real>(
        mut settings: Settings,
        material: Material,
        models: &Models<'_>,
    ) -> Result<Self, RunError> {
        let Material { split, mut chosen, shape, classes, root } = material;
        let stage = settings.approximation.as_ref().map_or(Stage::AfterTraining, |asked| asked.stage);
        let specs = settings.layer_specs(classes);
        let loss = settings.system.loss();
        let mut initial = Network::<T>::build(shape, &specs, classes, loss, &root.derive("weights"))?;
        if let (Stage::Training, Some((_, fitted))) = (stage, &chosen) {
            initial.replace_activations(Nonlinearity::Polynomial(fitted.polynomial.clone()));
        }
        let features = T::nearest(split.train.features.view());
        let labels = &split.train.labels;
        let train = |network: Network<T>, training: &Training, purpose: &str| {
            models.train(network, (features.view(), labels), training, (&root, purpose))
        };
        let workload = split.test.take(settings.data.test_limit.unwrap_or(usize::MAX));
        let test = T::nearest(workload.features.view());
        let mut curve = None;
        let Trained { network: mut trained, report, accuracy, mut seconds } =
            if settings.system.trains_model() {
                Trained::untouched(initial.clone())
            } else if settings.curve {
                let samples = (features.view(), &labels[..]);
                let held_out = (test.view(), &workload.labels[..]);
                let (trained, found) =
                    models.follow(initial.clone(), samples, held_out, &settings.training, &root)?;
                curve = Some(found);
                trained
            } else {
                train(initial.clone(), &settings.training, "training")?
            };
        let mut metrics = BTreeMap::from([("parameters".to_owned(), trained.parameters() as f64)]);
        if settings.system.trains_model() {
            metrics.insert("iterations".to_owned(), settings.system.training_iterations() as f64);
        } else {
            metrics.insert("iterations".to_owned(), report.epochs as f64);
            // Of a training that diverged at once there is none.
            metrics.extend((!accuracy.is_nan()).then(|| ("train_accuracy".to_owned(), accuracy)));
        }
        if let (None, Some(asked)) = (&chosen, &settings.approximation) {
            let mut request = asked.request.clone();
            let some = features.slice(ndarray::s![..features.nrows().min(MEASURED), ..]);
            let coverage = asked.rule.map_or(1.0, |rule| rule.coverage);
            let ranges = trained.pre_activation_ranges(some, coverage);
            let reach =
                ranges.iter().flat_map(|range| range.quantiles).fold(0.0, |most: f64, z| most.max(z.abs()));
            request.interval = symmetric(reach)?;
            let fitted = approximate(&request)?;
            chosen = Some((request, fitted));
        }
        let mut notes = Vec::new();
        let mut curves = BTreeMap::new();
        if let Some(Curve { scores, diverged }) = curve {
            metrics.insert("diverged".to_owned(), f64::from(u8::from(diverged.is_some())));
            if let Some(epoch) = diverged {
                metrics.insert("diverged_epoch".to_owned(), epoch as f64);
                notes.push(DIVERGED.to_owned());
            }
            curves.insert("accuracy".to_owned(), scores.iter().map(|score| score.accuracy).collect());
            curves.insert("loss".to_owned(), scores.iter().map(|score| score.loss).collect());
        }
        if let Some((request, fitted)) = &chosen {
            metrics.extend(polynomial_metrics(fitted));
            notes.extend(polynomial_note(request, fitted));
            if stage != Stage::Training {
                metrics.insert("accuracy_exact".to_owned(), trained.accuracy(test.view(), &workload.labels));
            }
            settings.system = settings.system.clone().with_polynomial(&fitted.polynomial)?;
        }
        // From here on polynomials stand for the activation, where the experiment says so.
        initial.replace_activations(settings.system.activation());
        trained.replace_activations(settings.system.activation());
        if let Some(training) = &settings.fine_tuning {
            let tuned = train(trained, training, "fine-tuning")?;
            (trained, seconds) = (tuned.network, seconds + tuned.seconds);
            metrics.insert("train_accuracy".to_owned(), tuned.accuracy);
        }
        let outputs = trained.outputs(test.view()).mapv(T::wide);
        drop((features, test));
        let (initial, trained) = (initial.widened(), trained.widened());
        settings.system = settings.system.with_weights(&trained)?;
        Ok(Self {
            settings,
            split,
            initial,
            trained,
            training_seconds: seconds,
            metrics,
            curves,
            notes,
            outputs,
            root,
        })
    }

    /// The test samples that go through the protocol.
    pub fn workload(&self) -> dataset::Samples {
        self.split.test.take(self.settings.data.test_limit.unwrap_or(usize::MAX))
    }

    /// The training samples of the protocol, one an iteration, round and round in a seeded order.
    pub(super) fn training_order(&self) -> Vec<usize> {
        use rand::seq::SliceRandom;
        let mut order: Vec<usize> = (0..self.split.train.len()).collect();
        order.shuffle(&mut self.root.derive("protocol-training").rng());
        order.into_iter().cycle().take(self.settings.system.training_iterations()).collect()
    }

    /// The training samples divided among so many clients, each with its part of the same seeded order, to go round and round in.
    pub(super) fn training_parts(&self, clients: usize) -> Result<Vec<Vec<usize>>, ProtocolError> {
        use rand::seq::SliceRandom;
        let samples = self.split.train.len();
        if samples < clients {
            return Err(ProtocolError::Samples { clients, samples });
        }
        let mut order: Vec<usize> = (0..samples).collect();
        order.shuffle(&mut self.root.derive("protocol-training").rng());
        let part = |client| order.iter().copied().skip(client).step_by(clients.max(1)).collect();
        Ok((0..clients).map(part).collect())
    }

    /// Batches of training samples, one an iteration, round and round in a seeded order: features and labels.
    pub(super) fn training_batches(&self, batch: usize, iterations: usize) -> Vec<(Array2<f64>, Vec<usize>)> {
        use rand::seq::SliceRandom;
        let train = &self.split.train;
        let mut order: Vec<usize> = (0..train.len()).collect();
        order.shuffle(&mut self.root.derive("protocol-training").rng());
        let size = batch.min(order.len());
        let mut all = order.iter().copied().cycle();
        (0..iterations)
            .map(|_| {
                let rows: Vec<usize> = all.by_ref().take(size).collect();
                (train.features.select(Axis(0), &rows), rows.iter().map(|row| train.labels[*row]).collect())
            })
            .collect()
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
        estimate::forecast(&self.settings, self.outputs.nrows(), &self.sessions())
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
    let line = if found <= 1 { ", which makes the layer linear" } else { "" };
    fitted.collapses().then(|| {
        format!(
            "of degree {asked}, as asked for, the polynomial for {:?} has degree {found}{line}",
            request.function
        )
    })
}
