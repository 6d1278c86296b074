//! What training does, and what it refuses.

use super::*;
use crate::network::{
    Activation, Dense, Loss, Optimiser, Schedule, Validation,
    backpropagation::tests::{LOSSES, noise},
};

const ACTIVATIONS: [Activation; 4] =
    [Activation::Sigmoid, Activation::Tanh, Activation::Relu, Activation::Square];

fn sgd(epochs: usize, learning_rate: f64, momentum: f64, batch_size: usize) -> Training {
    Training { epochs, batch_size, optimiser: Optimiser::sgd(learning_rate, momentum), ..Training::default() }
}
use ndarray::{array, s};

fn go_on(_: Epoch) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[test]
fn one_step_without_momentum_subtracts_learning_rate_times_gradient() {
    let stream = Stream::seeded(5);
    let before = Network::initialise(&[4, 3, 2], Activation::Tanh, Loss::CrossEntropy, &stream);
    let (x, labels) = noise(1, 4, 2, &stream.derive("noise"));
    let gradients = before.gradients(x.view(), &labels);
    let mut after = before.clone();
    let settings = sgd(1, 0.25, 0.0, 8);
    after.train(x.view(), &labels, &settings, &stream, &mut go_on).unwrap();
    let mut expected = before.clone();
    expected.move_by(-0.25, &gradients);
    assert_eq!(after, expected);
    assert_ne!(after, before);
}

#[test]
fn momentum_repeats_a_share_of_the_last_step() {
    // One weight, no sample can be wrong about the sums: y = w x + b with x = 1, t = 1, so both have gradient y - 1.
    let layer = Dense { weights: array![[0.0]], bias: array![0.0] };
    let mut network = Network::of_dense(vec![layer], Activation::Relu, Loss::Squared);
    let settings = sgd(2, 0.125, 0.5, 1);
    network.train(array![[1.0]].view(), &[0], &settings, &Stream::seeded(0), &mut go_on).unwrap();
    // Step 1: gradient -1, v = 1/8, w = 1/8. Step 2: y = 1/4, gradient -3/4, v = 1/16 + 3/32, w = 9/32.
    assert_eq!(
        network.dense_layers().next(),
        Some(&Dense { weights: array![[0.28125]], bias: array![0.28125] })
    );
}

#[test]
fn a_short_last_batch_is_averaged_over_its_own_samples() {
    // Three samples that are all alike: every batch has the same mean gradient, whatever its size.
    let x = array![[1.0], [1.0], [1.0]];
    let run = |epochs, batch_size| {
        let layer = Dense { weights: array![[0.0]], bias: array![0.0] };
        let mut network = Network::of_dense(vec![layer], Activation::Relu, Loss::Squared);
        let settings = sgd(epochs, 0.125, 0.0, batch_size);
        network.train(x.view(), &[0, 0, 0], &settings, &Stream::seeded(0), &mut go_on).unwrap();
        network
    };
    assert_eq!(run(1, 2), run(2, 3));
}

#[test]
fn training_separates_what_is_linearly_separable() {
    for loss in LOSSES {
        let stream = Stream::seeded(8);
        // Two clouds, 8 standard deviations apart.
        let (mut x, labels) = noise(200, 2, 2, &stream);
        for (mut row, &label) in x.rows_mut().into_iter().zip(&labels) {
            row[0] += if label == 0 { -4.0 } else { 4.0 };
        }
        let mut network = Network::initialise(&[2, 2], Activation::Sigmoid, loss, &stream);
        let before = network.mean_loss(x.view(), &labels);
        let mut seen = Vec::new();
        let settings = sgd(60, 0.1, 0.9, 16);
        network
            .train(x.view(), &labels, &settings, &stream.derive("order"), &mut |epoch| {
                seen.push((epoch.number, epoch.of));
                ControlFlow::Continue(())
            })
            .unwrap();
        assert!(network.accuracy(x.view(), &labels) > 0.99, "{loss:?}");
        assert!(network.mean_loss(x.view(), &labels) < 0.5 * before, "{loss:?}");
        assert_eq!(seen, (1..=60).map(|number| (number, 60)).collect::<Vec<_>>());
    }
}

#[test]
fn a_hidden_layer_learns_exclusive_or_and_a_linear_network_cannot() {
    let x = array![[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]];
    let labels = [0, 1, 1, 0];
    let settings = sgd(1500, 0.1, 0.9, 4);
    let train = |widths: &[usize], activation| {
        let stream = Stream::seeded(2);
        let mut network = Network::initialise(widths, activation, Loss::CrossEntropy, &stream);
        network.train(x.view(), &labels, &settings, &stream.derive("order"), &mut go_on).unwrap();
        network.accuracy(x.view(), &labels)
    };
    for activation in ACTIVATIONS {
        assert!(train(&[2, 8, 2], activation) > 0.99, "{activation:?}");
    }
    assert!(train(&[2, 2], Activation::Tanh) < 0.8);
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_order_does_not() {
    let (x, labels) = noise(50, 6, 3, &Stream::seeded(1).derive("noise"));
    let bits = |seed| {
        let stream = Stream::seeded(1);
        let mut network = Network::initialise(&[6, 5, 3], Activation::Sigmoid, Loss::CrossEntropy, &stream);
        let settings = sgd(3, 0.1, 0.9, 8);
        network.train(x.view(), &labels, &settings, &Stream::seeded(seed), &mut go_on).unwrap();
        let all = network.dense_layers().flat_map(|l| l.weights.iter().chain(&l.bias).map(|w| w.to_bits()));
        all.collect::<Vec<u64>>()
    };
    assert_eq!(bits(1), bits(1));
    assert_ne!(bits(1), bits(2));
}

#[test]
fn divergence_names_its_epoch() {
    let stream = Stream::seeded(4);
    let (x, labels) = noise(20, 3, 2, &stream.derive("noise"));
    let mut network = Network::initialise(&[3, 4, 2], Activation::Square, Loss::Squared, &stream);
    let settings = sgd(50, 10.0, 0.9, 20);
    let mut last = 0;
    let result = network.train(x.view(), &labels, &settings, &stream, &mut |epoch| {
        last = epoch.number;
        ControlFlow::Continue(())
    });
    let Err(NetworkError::Diverged { epoch, of: 50, .. }) = result else { panic!("{result:?}") };
    assert_eq!(epoch, last + 1);
    assert!(epoch < 50);
}

#[test]
fn a_callback_can_stop_the_training() {
    let stream = Stream::seeded(4);
    let (x, labels) = noise(20, 3, 2, &stream.derive("noise"));
    let run = |epochs, stop_after| {
        let mut network = Network::initialise(&[3, 2], Activation::Relu, Loss::CrossEntropy, &stream);
        let settings = sgd(epochs, 0.1, 0.0, 5);
        let mut stop = |epoch: Epoch| {
            if epoch.number == stop_after { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        network.train(x.view(), &labels, &settings, &stream, &mut stop).unwrap();
        network
    };
    assert_eq!(run(10, 2), run(2, 10));
    assert_ne!(run(10, 2), run(3, 10));
}

#[test]
fn what_does_not_fit_is_refused_before_anything_changes() {
    let stream = Stream::seeded(0);
    let (x, labels) = noise(4, 3, 2, &stream);
    let good = sgd(1, 0.1, 0.0, 2);
    let attempt = |widths: &[usize], x: ArrayView2<f64>, labels: &[usize], settings: Training| {
        let mut network = Network::initialise(widths, Activation::Relu, Loss::CrossEntropy, &stream);
        let before = network.clone();
        let error = network.train(x, labels, &settings, &stream, &mut go_on).unwrap_err();
        assert_eq!(network, before);
        error
    };
    let w = &[3, 2];
    assert_eq!(attempt(&[3], x.view(), &labels, good), NetworkError::NoLayers);
    assert_eq!(attempt(w, x.slice(s![..0, ..]), &[], good), NetworkError::NoSamples);
    assert_eq!(attempt(&[5, 2], x.view(), &labels, good), NetworkError::Features { found: 3, expected: 5 });
    assert_eq!(attempt(w, x.view(), &labels[..3], good), NetworkError::Labels { found: 3, samples: 4 });
    let label = NetworkError::Label { sample: 2, label: 2, classes: 2 };
    assert_eq!(attempt(w, x.view(), &[0, 1, 2, 2], good), label);
    let with = |optimiser| Training { optimiser, ..good };
    for (settings, setting) in [
        (with(Optimiser::sgd(0.0, 0.0)), "learning_rate"),
        (with(Optimiser::sgd(f64::INFINITY, 0.0)), "learning_rate"),
        (with(Optimiser::sgd(0.1, 1.0)), "momentum"),
        (with(Optimiser::sgd(0.1, -0.1)), "momentum"),
        (with(Optimiser::adam(-1.0)), "learning_rate"),
        (Training { batch_size: 0, ..good }, "batch_size"),
        (Training { weight_decay: f64::NAN, ..good }, "weight_decay"),
        (Training { label_smoothing: 1.0, ..good }, "label_smoothing"),
        (Training { penalty: -1.0, ..good }, "penalty"),
        (Training { schedule: Schedule::OneCycle { rise: 2.0 }, ..good }, "rise"),
        (Training { validation: Some(Validation { share: 0.1, patience: 1 }), ..good }, "validation.share"),
        (
            Training { validation: Some(Validation { share: 0.5, patience: 0 }), ..good },
            "validation.patience",
        ),
    ] {
        let error = attempt(w, x.view(), &labels, settings);
        assert!(matches!(error, NetworkError::Setting { name, .. } if name == setting), "{error}");
    }
}
