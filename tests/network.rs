//! Networks as a whole: reference results to the bit, optimisers against other implementations, trainings that go on,
//! files that are hostile.

#![expect(
    clippy::unwrap_used,
    reason = "a test; the exemption for tests does not reach its helper functions"
)]

use std::ops::ControlFlow;

use henn::{
    approximation::{Basis, Polynomial},
    math::stream::Stream,
    network::{
        Activation, Augmentation, Dense, Epoch, ExchangeError, Layer, LayerSpec, Loss, Network, NetworkError,
        Nonlinearity, Optimiser, PoolKind, Range, Real, Schedule, Shape, Stop, Trainer, Training, Validation,
        architecture,
    },
};
use ndarray::{Array2, array};
use ndarray_rand::{RandomExt, rand_distr::StandardNormal};
use proptest::prelude::*;
use serde_json::Value;
use sha2::{Digest, Sha256};

fn go_on(_: Epoch) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn noise(samples: usize, features: usize, stream: &Stream) -> Array2<f64> {
    Array2::random_using((samples, features), StandardNormal, &mut stream.rng())
}

/// Classes that are clouds around points, one after another.
fn clouds<T: Real>(
    samples: usize,
    features: usize,
    classes: usize,
    stream: &Stream,
) -> (Array2<T>, Vec<usize>) {
    let centres = noise(classes, features, &stream.derive("centres"));
    let labels: Vec<usize> = (0..samples).map(|sample| sample % classes).collect();
    let noise = noise(samples, features, &stream.derive("noise"));
    let x = Array2::from_shape_fn((samples, features), |(sample, feature)| {
        T::from_f64(centres[[labels[sample], feature]] + 0.7 * noise[[sample, feature]])
    });
    (x, labels)
}

fn document(name: &str) -> Value {
    let path = format!("{}/tests/vectors/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn digest<'a>(numbers: impl IntoIterator<Item = &'a f64>) -> String {
    let mut hasher = Sha256::new();
    numbers.into_iter().for_each(|number| hasher.update(number.to_bits().to_le_bytes()));
    hex::encode(hasher.finalize())
}

fn bits(number: f64) -> String {
    format!("{:016x}", number.to_bits())
}

/// Made by the code of July 2026, before there were other layers than dense ones.
#[test]
fn networks_of_64_bits_train_to_the_same_bytes_as_ever() {
    let polynomial = |name: &str| match name {
        "monomial" => Polynomial::monomial(vec![0.5, 0.25, 0.0, -1.0 / 48.0], [-4.0, 4.0]),
        _ => Polynomial {
            basis: Basis::Chebyshev,
            coefficients: vec![0.5, 0.6, 0.0, -0.12],
            interval: [-5.0, 6.0],
        },
    };
    let document = document("training_f64.json");
    let cases = document.as_array().unwrap();
    assert_eq!(cases.len(), 36);
    for case in cases {
        let name = case["activation"].as_str().unwrap();
        let activation = serde_json::from_value::<Activation>(case["activation"].clone())
            .map_or_else(|_| Nonlinearity::Polynomial(polynomial(name)), Nonlinearity::Exact);
        let loss: Loss = serde_json::from_value(case["loss"].clone()).unwrap();
        let widths: Vec<usize> = serde_json::from_value(case["widths"].clone()).unwrap();
        let stream = Stream::seeded(98 + widths.len() as u64);
        let mut network = Network::initialise(&widths, activation, loss, &stream.derive("weights"));
        let x = noise(45, 7, &stream.derive("noise")) * 0.5;
        let labels: Vec<usize> = (0..45).map(|sample| (sample * 7 + 1) % 3).collect();
        let settings = Training {
            epochs: 6,
            batch_size: 8,
            optimiser: Optimiser::sgd(0.004, 0.9),
            ..Training::default()
        };
        let mut losses = Vec::new();
        network
            .train(x.view(), &labels, &settings, &stream.derive("order"), &mut |epoch| {
                losses.push(Value::from(bits(epoch.loss)));
                ControlFlow::Continue(())
            })
            .unwrap();
        let context = format!("{name} {loss:?} {widths:?}");
        if name == "chebyshev" {
            // The argument of Chebyshev's polynomials has been computed otherwise since, to be exact about the interval's middle.
            let number =
                |value: &Value| f64::from_bits(u64::from_str_radix(value.as_str().unwrap(), 16).unwrap());
            for (found, expected) in losses.iter().zip(case["losses"].as_array().unwrap()) {
                let (found, expected) = (number(found), number(expected));
                assert!((found - expected).abs() < 1e-12 * expected, "{context}: {found} {expected}");
            }
            continue;
        }
        assert_eq!(Value::from(losses), case["losses"], "{context}");
        let first = network.dense_layers().next().unwrap().weights[[0, 0]];
        assert_eq!(bits(first), case["first_weight"], "{context}");
        let weights = network.dense_layers().flat_map(|layer| layer.weights.iter().chain(&layer.bias));
        assert_eq!(digest(weights), case["weights_sha256"], "{context}");
        assert_eq!(digest(&network.outputs(x.view())), case["outputs_sha256"], "{context}");
        assert_eq!(bits(network.mean_loss(x.view(), &labels)), case["mean_loss"], "{context}");
    }
}

/// One neuron whose gradient is `w - 1`: numbers from `PyTorch`, see `scripts/vectors/optimisers.py`.
#[test]
fn optimisers_step_as_those_of_pytorch_do() {
    let document = document("optimisers.json");
    for case in document["cases"].as_array().unwrap() {
        let field = |name: &str| case[name].as_f64().unwrap();
        let optimiser = match case["optimiser"].as_str().unwrap() {
            "adamw" => Optimiser::Adam {
                learning_rate: field("learning_rate"),
                beta1: field("beta1"),
                beta2: field("beta2"),
                epsilon: field("epsilon"),
            },
            _ => Optimiser::Sgd {
                learning_rate: field("learning_rate"),
                momentum: field("momentum"),
                nesterov: case["nesterov"].as_bool().unwrap(),
            },
        };
        let matrix = |name: &str| {
            let rows: Vec<Vec<f64>> = serde_json::from_value(document[name].clone()).unwrap();
            Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).unwrap()
        };
        let layers = vec![
            Dense { weights: matrix("first"), bias: array![0.1, -0.2, 0.3] },
            Dense { weights: matrix("second"), bias: array![0.05, -0.05] },
        ];
        let mut network = Network::of_dense(layers, Activation::Tanh, Loss::CrossEntropy);
        let labels: Vec<usize> = serde_json::from_value(document["labels"].clone()).unwrap();
        let settings = Training {
            epochs: 10,
            batch_size: labels.len(),
            optimiser,
            weight_decay: field("weight_decay"),
            ..Training::default()
        };
        network.train(matrix("x").view(), &labels, &settings, &Stream::seeded(0), &mut go_on).unwrap();
        let expected: Vec<f64> = serde_json::from_value(case["after"].clone()).unwrap();
        let found = network.dense_layers().flat_map(|layer| layer.weights.iter().chain(&layer.bias));
        for (found, expected) in found.zip(&expected) {
            assert!((found - expected).abs() < 1e-12, "{case}: {found} is not {expected}");
        }
    }
}

#[test]
fn the_conjugate_gradient_solves_a_quadratic_in_as_many_steps_as_it_has_dimensions() {
    // Half the squared distance of a linear network is a quadratic in its weights.
    let stream = Stream::seeded(9);
    let (x, labels) = clouds::<f64>(40, 5, 2, &stream);
    let mut network = Network::initialise(&[5, 2], Activation::Tanh, Loss::Squared, &stream);
    let dimensions = network.parameters();
    let settings = Training {
        epochs: dimensions + 2,
        optimiser: Optimiser::ScaledConjugateGradient { sigma: 1e-6, lambda: 1e-12, least_gradient: 1e-7 },
        ..Training::default()
    };
    let report = network.train(x.view(), &labels, &settings, &stream, &mut go_on).unwrap();
    assert_eq!(report.stop, Stop::Gradient);
    assert!(report.epochs <= dimensions + 1, "{report:?}");
    let gradient = network.gradients(x.view(), &labels);
    assert!(gradient.iter().all(|g| g.abs() < 1e-7));
}

#[test]
fn the_conjugate_gradient_never_raises_the_loss_and_says_why_it_stops() {
    let stream = Stream::seeded(10);
    let (x, labels) = clouds::<f64>(150, 8, 3, &stream);
    let mut network = Network::initialise(&[8, 5, 3], Activation::Sigmoid, Loss::CrossEntropy, &stream);
    let settings = Training {
        epochs: 1000,
        optimiser: Optimiser::scaled_conjugate_gradient(),
        validation: Some(Validation { share: 0.15, patience: 6 }),
        ..Training::default()
    };
    let (mut last, mut least, mut kept) = (f64::INFINITY, f64::INFINITY, 0);
    let report = network
        .train(x.view(), &labels, &settings, &stream, &mut |epoch| {
            assert!(epoch.loss <= last, "{epoch:?} after {last}");
            last = epoch.loss;
            let validation = epoch.validation.unwrap();
            if validation.loss < least {
                (least, kept) = (validation.loss, epoch.number);
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    assert!(matches!(report.stop, Stop::Validation | Stop::Gradient), "{report:?}");
    assert_eq!(report.kept, kept);
    assert!(network.accuracy(x.view(), &labels) > 0.9);
}

/// Every kind of layer.
fn everything(function: &Nonlinearity) -> Vec<LayerSpec> {
    let convolution =
        |outputs, groups| LayerSpec::Convolution { outputs, kernel: 3, stride: 1, padding: 1, groups };
    let act = || LayerSpec::Activation { function: function.clone() };
    vec![
        convolution(4, 1),
        LayerSpec::Normalisation,
        act(),
        LayerSpec::Pool { pool: PoolKind::Max, size: 2, stride: 2, padding: 0 },
        LayerSpec::Residual {
            layers: vec![
                convolution(4, 4),
                LayerSpec::Normalisation,
                act(),
                LayerSpec::Dropout { rate: 0.1 },
            ],
        },
        LayerSpec::Pool { pool: PoolKind::Mean, size: 2, stride: 2, padding: 0 },
        LayerSpec::Dense { outputs: 6, bias: true },
        LayerSpec::Normalisation,
        act(),
        LayerSpec::Dense { outputs: 3, bias: true },
    ]
}

const IMAGE: Shape = Shape::image(2, 8, 8);

fn trained<T: Real>(settings: Training) -> (Trainer<T>, Array2<T>, Vec<usize>) {
    let stream = Stream::seeded(77);
    let (x, labels) = clouds::<T>(60, IMAGE.len(), 3, &stream);
    let network =
        Network::<T>::build(IMAGE, &everything(&Activation::Relu.into()), 3, Loss::CrossEntropy, &stream)
            .unwrap();
    (Trainer::new(network, settings).unwrap(), x, labels)
}

fn settings(optimiser: Optimiser) -> Training {
    Training {
        epochs: 5,
        batch_size: 16,
        optimiser,
        schedule: Schedule::OneCycle { rise: 0.3 },
        weight_decay: 1e-3,
        label_smoothing: 0.1,
        augmentation: Some(Augmentation { flip: true, shift: 1, cutout: 2 }),
        validation: Some(Validation { share: 0.2, patience: 3 }),
        ..Training::default()
    }
}

fn run<T: Real>(trainer: &mut Trainer<T>, x: &Array2<T>, labels: &[usize], epochs: usize) {
    for _ in 0..epochs {
        trainer.epoch(x.view(), labels, &Stream::seeded(5), &mut |_| ControlFlow::Continue(())).unwrap();
    }
}

fn resumes<T: Real>() {
    for optimiser in
        [Optimiser::sgd(0.05, 0.9), Optimiser::adam(0.01), Optimiser::scaled_conjugate_gradient()]
    {
        let settings = settings(optimiser);
        let (mut whole, x, labels) = trained::<T>(settings);
        let fresh = whole.network().clone();
        run(&mut whole, &x, &labels, 2);
        let bytes = whole.checkpoint();
        run(&mut whole, &x, &labels, 3);
        let mut resumed = Trainer::resume(fresh.clone(), settings, &bytes).unwrap();
        assert_eq!(resumed.epochs(), 2);
        run(&mut resumed, &x, &labels, 3);
        assert!(whole == resumed && whole.checkpoint() == resumed.checkpoint(), "{optimiser:?}");
        assert_ne!(whole.network(), &fresh);
        let other = Training { epochs: 6, ..settings };
        let error = Trainer::resume(fresh, other, &bytes).unwrap_err();
        assert_eq!(error, NetworkError::Checkpoint(ExchangeError::Other { what: "setting" }));
    }
}

#[test]
fn a_training_that_goes_on_from_a_checkpoint_is_one_that_was_never_interrupted() {
    resumes::<f32>();
    resumes::<f64>();
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    fn bytes<T: Real>(threads: usize) -> Vec<u8> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let (mut trainer, x, labels) = trained::<T>(settings(Optimiser::sgd(0.05, 0.9)));
            run(&mut trainer, &x, &labels, 2);
            trainer.checkpoint()
        })
    }
    assert!(bytes::<f32>(1) == bytes::<f32>(2));
    assert!(bytes::<f64>(1) == bytes::<f64>(3));
}

#[test]
fn training_with_every_layer_learns_and_folding_changes_nothing() {
    let plain =
        Training { epochs: 8, validation: None, augmentation: None, ..settings(Optimiser::sgd(0.05, 0.9)) };
    let (mut trainer, x, labels) = trained::<f64>(plain);
    run(&mut trainer, &x, &labels, 8);
    let (network, report) = trainer.finish();
    assert_eq!((report.epochs, report.kept), (8, 8));
    assert!(network.accuracy(x.view(), &labels) > 0.9, "{}", network.accuracy(x.view(), &labels));
    let folded = network.folded();
    assert!(!folded.specs().iter().any(|spec| matches!(spec, LayerSpec::Normalisation)));
    let (before, after) = (network.outputs(x.view()), folded.outputs(x.view()));
    assert!(before.iter().zip(&after).all(|(a, b)| (a - b).abs() < 1e-10 * (1.0 + a.abs())));
}

#[test]
fn exported_networks_come_back_to_the_bit() {
    let (mut trainer, x, labels) = trained::<f32>(settings(Optimiser::adam(0.01)));
    run(&mut trainer, &x, &labels, 1);
    let network = trainer.network();
    let bytes = network.export();
    assert_eq!(&Network::<f32>::import(&bytes).unwrap(), network);
    assert_eq!(bytes, network.export());
    assert!(matches!(Network::<f64>::import(&bytes), Err(ExchangeError::Tensor { .. })));
}

/// A file with one place of its header changed; the header's length is kept right.
fn altered(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    let length = usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
    let header = std::str::from_utf8(&bytes[8..8 + length]).unwrap();
    assert!(header.contains(from), "{header}");
    let header = header.replacen(from, to, 1);
    let mut altered = (header.len() as u64).to_le_bytes().to_vec();
    altered.extend(header.as_bytes());
    altered.extend(&bytes[8 + length..]);
    altered
}

#[test]
fn files_that_are_no_networks_are_refused_by_name() {
    let stream = Stream::seeded(3);
    let network = Network::initialise(&[3, 2, 2], Activation::Relu, Loss::Squared, &stream);
    let good = network.export();
    let refused = |bytes: &[u8]| Network::<f64>::import(bytes).unwrap_err();
    assert!(Network::<f64>::import(&good).is_ok());
    assert!(matches!(refused(&[]), ExchangeError::Format(_)));
    assert!(matches!(refused(&good[..good.len() - 1]), ExchangeError::Format(_)));
    assert!(matches!(refused(&altered(&good, "\"henn\"", "\"hemm\"")), ExchangeError::Description(_)));
    assert!(
        matches!(refused(&altered(&good, "\"1.weights\"", "\"9.weights\"")), ExchangeError::Missing { name } if name == "1.weights")
    );
    assert!(
        matches!(refused(&altered(&good, "[2,3]", "[3,2]")), ExchangeError::Tensor { name, .. } if name == "1.weights")
    );
    assert!(matches!(
        refused(&altered(&good, "\\\"outputs\\\":2", "\\\"outputs\\\":3")),
        ExchangeError::Tensor { .. }
    ));
    let huge = altered(&good, "\\\"outputs\\\":2", "\\\"outputs\\\":99999999999999999");
    assert!(matches!(refused(&huge), ExchangeError::Architecture(_)));
    assert!(matches!(
        refused(&altered(&good, "\\\"version\\\":1", "\\\"version\\\":2")),
        ExchangeError::Architecture(_)
    ));
    // Without the last two layers, their tensors are left over.
    let short =
        Network::of_dense(network.dense_layers().take(1).cloned().collect(), Activation::Relu, Loss::Squared);
    let (long, short) =
        (serde_json::to_string(&network.specs()).unwrap(), serde_json::to_string(&short.specs()).unwrap());
    let surplus = altered(&good, &long.replace('"', "\\\""), &short.replace('"', "\\\""));
    assert_eq!(refused(&surplus), ExchangeError::Surplus { found: 4, expected: 2 });
    for bad in [f64::NAN, f64::INFINITY] {
        let mut broken = network.clone();
        if let Some(Layer::Dense(dense)) = broken.layers.first_mut() {
            dense.bias[1] = bad;
        }
        assert_eq!(refused(&broken.export()), ExchangeError::NotFinite { name: "1.bias".to_owned() });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_reading_panic(at in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), cut: prop::sample::Index) {
        let network = Network::initialise(&[2, 2, 2], Activation::Tanh, Loss::Squared, &Stream::seeded(1));
        let mut bytes = network.export();
        for (place, value) in at {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        let _ = Network::<f64>::import(&bytes);
        bytes.truncate(cut.index(bytes.len()));
        let _ = Network::<f64>::import(&bytes);
        let _ = Trainer::resume(network, Training::default(), &bytes);
    }
}

#[test]
fn one_activation_or_all_can_be_replaced_and_ranges_are_measured() {
    let stream = Stream::seeded(2);
    let mut network =
        Network::<f64>::build(IMAGE, &everything(&Activation::Relu.into()), 3, Loss::CrossEntropy, &stream)
            .unwrap();
    let relu: Nonlinearity = Activation::Relu.into();
    let square: Nonlinearity = Activation::Square.into();
    assert!(network.replace_activation(1, Activation::Square));
    assert_eq!(network.activations(), [&relu, &square, &relu]);
    assert!(!network.replace_activation(3, Activation::Square));
    network.replace_activations(Activation::Square);
    assert_eq!(network.activations(), [&square; 3]);

    let identity = Dense { weights: array![[1.0, 0.0], [0.0, -1.0]], bias: array![0.0, 1.0] };
    let network = Network::of_dense(vec![identity.clone(), identity], Activation::Relu, Loss::Squared);
    let x = Array2::from_shape_fn((101, 2), |(sample, _)| sample as f64);
    let ranges = network.pre_activation_ranges(x.view(), 0.9);
    assert_eq!(ranges.len(), 1);
    // 0, ..., 100 and 1, 0, ..., -99: of 202 values ten are left out on either side.
    let expected = Range { activation: 0, extremes: [-99.0, 100.0], quantiles: [-89.0, 90.0] };
    assert_eq!(ranges[0], expected);
}

#[test]
fn named_architectures_fit_their_images() {
    let relu: Nonlinearity = Activation::Relu.into();
    let digits = Shape::image(1, 28, 28);
    let colour = Shape::image(3, 32, 32);
    // Of the residual network 6573130 are published, without biases of convolutions.
    for (name, shape, specs, parameters) in [
        ("conv_1", digits, architecture::conv_1(&relu, 10), 130 + 10 * (5 * 36 + 1)),
        ("lenet_5", digits, architecture::lenet_5(&relu, 10), 61_706),
        ("cryptonets", digits, architecture::cryptonets(&relu, 10), 130 + 50 * 126 + 100 * 1251 + 1010),
        (
            "crypto_dl",
            digits,
            architecture::crypto_dl(&relu, 10, true),
            520 + 40 + 25_050 + 100 + 256 * 801 + 512 + 2570,
        ),
        ("resnet", colour, architecture::resnet(&relu, 10, 64, PoolKind::Max), 6_573_130 + 2240),
    ] {
        let network =
            Network::<f32>::build(shape, &specs, 10, Loss::CrossEntropy, &Stream::seeded(0)).unwrap();
        assert_eq!(network.parameters(), parameters, "{name}");
        let json = serde_json::to_string(&specs).unwrap();
        assert_eq!(serde_json::from_str::<Vec<LayerSpec>>(&json).unwrap(), specs, "{name}");
    }
    for specs in [architecture::deep(&relu, 10), architecture::cifar_small(&relu, 10)] {
        let shape = if specs.len() > 20 { colour } else { digits };
        assert!(Network::<f32>::build(shape, &specs, 10, Loss::CrossEntropy, &Stream::seeded(0)).is_ok());
    }
    let error = Network::<f32>::build(
        digits,
        &architecture::lenet_5(&relu, 10),
        11,
        Loss::CrossEntropy,
        &Stream::seeded(0),
    );
    assert!(matches!(error, Err(NetworkError::Architecture { layer: 11, .. })));
}
