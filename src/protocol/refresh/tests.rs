use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use ndarray::{Array2, array};
use proptest::prelude::*;

use super::*;
use crate::{
    backend::{
        Meter, Operation, OperationCounts,
        slots::{Approximate, Engine, Exact, Integers, Reals, Slots},
    },
    math::{rns::prime::transform_primes, stream::Stream},
    protocol::{
        channel::pipe,
        message::Kind,
        transcript::{Chain, Link, Traffic},
    },
    scheme::{bgv::Bgv, rlwe, rlwe::Literal},
};

/// log2 of the ring degree: insecure, and quick.
const LOG_DEGREE: u32 = 7;

fn settings(widths: &[usize], policy: Policy) -> Settings {
    Settings {
        widths: widths.to_vec(),
        activation: Polynomial::monomial(vec![0.5, 0.25, 0.0625], [-4.0, 4.0]),
        loss: Loss::Squared,
        batch: 6,
        iterations: 2,
        rate: Rate { mantissa: 2048, bits: 12 },
        packing: false,
        policy,
        levels: None,
        activation_bits: 12,
        activation_magnitude_bits: 4,
        weight_bits: 12,
        weight_magnitude_bits: 2,
        coefficient_bits: 8,
    }
}

fn bgv(primes: usize) -> Exact<Bgv> {
    let literal =
        Literal { log_degree: LOG_DEGREE, modulus_bits: vec![50; primes], special_bits: vec![50; 2] };
    let moduli = transform_primes(33, 1 << LOG_DEGREE, 4, &[]).unwrap();
    Exact::try_new(&literal, &moduli, rlwe::Place::Lowest).unwrap()
}

fn ckks(primes: usize) -> Approximate {
    let mut modulus_bits = vec![36; primes];
    modulus_bits[0] = 50;
    let literal = Literal { log_degree: LOG_DEGREE, modulus_bits, special_bits: vec![50; 2] };
    Approximate::try_new(&literal, libm::exp2(36.0)).unwrap()
}

struct Run {
    opened: Opened,
    weights: Vec<Array2<f64>>,
    traffic: Traffic,
    transcript: Chain,
    operations: OperationCounts,
    /// After the first iteration, with what had gone over the channel by then.
    kept: Option<(Checkpoint, Traffic, Chain)>,
}

/// Two parties and a channel between them.
fn run<E: Engine>(engine: E, settings: &Settings, forecast: &Forecast) -> Run {
    run_from(engine, settings, forecast, None)
}

/// The same, taken up where another run was after its first iteration.
fn run_from<E: Engine>(engine: E, settings: &Settings, forecast: &Forecast, kept: Option<&Run>) -> Run {
    let kept = kept.and_then(|run| run.kept.as_ref());
    let engine = Arc::new(engine);
    let (near, far) = pipe();
    let features = array![[0.5, -1.0], [1.0, 0.25], [-0.75, 0.5], [0.125, 0.875], [-1.0, -1.0]];
    let labels = [0, 1, 1, 0, 1];
    let weights: Vec<Array2<f64>> = settings
        .widths
        .windows(2)
        .map(|pair| {
            Array2::from_shape_fn((pair[1], pair[0]), |(i, j)| ((7 * i + 3 * j) % 5) as f64 / 4.0 - 0.5)
        })
        .collect();
    let done = kept.map_or(0, |(checkpoint, ..)| checkpoint.iterations());
    std::thread::scope(|scope| {
        let server = Slots::new(Arc::clone(&engine), Meter::default());
        let serving = scope.spawn(move || {
            let mut link = Link::new(Box::new(far), false, None);
            let course = Course { iterations: done, phases: &Mutex::default() };
            serve(&server, settings, forecast, &mut link, 5, &course).unwrap();
            server.meter().counts()
        });
        let slots = Slots::new(Arc::clone(&engine), Meter::default());
        let mut link = Link::new(Box::new(near), true, None);
        let private = Stream::seeded(3);
        let mut client = Client::connect(&slots, settings, forecast, &mut link, &private).unwrap();
        let mut model = weights;
        let mut keeping = None;
        if settings.iterations > 0 {
            match kept {
                Some((checkpoint, traffic, chain)) => {
                    client.resume(checkpoint).unwrap();
                    client.link().resume(*traffic, *chain);
                }
                None => {
                    client.send_weights(&model.iter().map(|layer| layer.view()).collect::<Vec<_>>()).unwrap();
                }
            }
            for iteration in done..settings.iterations {
                client.iterate(features.view(), &labels).unwrap();
                if iteration == 0 {
                    let checkpoint = client.checkpoint();
                    keeping = Some((checkpoint, client.link().traffic(), client.link().chain()));
                }
            }
            model = client.receive_weights().unwrap();
        }
        client.send_weights(&model.iter().map(|layer| layer.view()).collect::<Vec<_>>()).unwrap();
        client.classify(features.view()).unwrap();
        let opened = client.close().unwrap();
        let counts = serving.join().unwrap();
        Run {
            opened,
            weights: model,
            traffic: link.traffic(),
            transcript: link.chain(),
            operations: slots.meter().counts().plus(&counts),
            kept: keeping,
        }
    })
}

/// What a run counts is what was foretold of it.
fn as_foretold(run: &Run, forecast: &Forecast) {
    assert_eq!(run.traffic, forecast.total.traffic);
    assert_eq!(run.operations, forecast.total.operations);
    assert_eq!(run.opened.training, forecast.training_refreshes);
    assert_eq!(run.opened.classification, forecast.classification_refreshes);
}

fn near(left: &Array2<f64>, right: &Array2<f64>, tolerance: f64) {
    assert_eq!(left.dim(), right.dim());
    left.iter().zip(right).for_each(|(a, b)| assert!((a - b).abs() <= tolerance, "{a} in place of {b}"));
}

/// What gradient descent gives, without any of the protocol.
fn descent(settings: &Settings) -> Vec<Array2<f64>> {
    let features = array![[0.5, -1.0], [1.0, 0.25], [-0.75, 0.5], [0.125, 0.875], [-1.0, -1.0]];
    let labels = [0, 1, 1, 0, 1];
    let period = 1 << settings.log_period();
    let p = &settings.activation;
    let mut weights: Vec<Array2<f64>> = settings
        .widths
        .windows(2)
        .map(|pair| {
            Array2::from_shape_fn((pair[1], pair[0]), |(i, j)| ((7 * i + 3 * j) % 5) as f64 / 4.0 - 0.5)
        })
        .collect();
    for _ in 0..settings.iterations {
        let mut gradients: Vec<Array2<f64>> =
            weights.iter().map(|layer| Array2::zeros(layer.dim())).collect();
        for slot in 0..period {
            let sample = slot % 5;
            let mut inputs = vec![features.row(sample).to_owned()];
            let mut sums = Vec::new();
            for layer in &weights {
                let z = layer.dot(&inputs[inputs.len() - 1]);
                inputs.push(z.mapv(|z| p.value(z)));
                sums.push(z);
            }
            let mut errors = inputs.pop().unwrap();
            errors[labels[sample]] -= 1.0;
            for layer in (0..weights.len()).rev() {
                let delta = errors * sums[layer].mapv(|z| p.derivative(z));
                for ((output, input), gradient) in gradients[layer].indexed_iter_mut() {
                    *gradient += delta[output] * inputs[layer][input] / period as f64;
                }
                errors = weights[layer].t().dot(&delta);
            }
        }
        for (layer, gradient) in weights.iter_mut().zip(&gradients) {
            layer.scaled_add(-settings.rate.value(), gradient);
        }
    }
    weights
}

fn forecast_of<E: Engine>(engine: &E, levels: usize, settings: &Settings) -> Forecast {
    let schedules = settings.schedules(engine, levels).unwrap();
    settings.forecast(engine, levels, &schedules, 5).unwrap()
}

#[test]
fn encrypted_training_is_gradient_descent() {
    for (packing, policy) in [
        (false, Policy::Lazy),
        (true, Policy::Lazy),
        (false, Policy::Paper(PaperLevels::Five)),
        (true, Policy::Paper(PaperLevels::Twenty)),
    ] {
        let settings = Settings { packing, ..settings(&[2, 3, 2], policy) };
        let expected = descent(&settings);

        let (engine, levels) = (bgv(12), 12);
        let forecast = forecast_of(&engine, levels, &settings);
        let twin = run(Integers::of(&engine, levels, engine.modulus()), &settings, &forecast);
        let reals = run(Reals::like(&engine), &settings, &{
            let engine = Reals::like(&engine);
            settings.forecast(&engine, 1, &settings.schedules(&bgv(12), 12).unwrap(), 5).unwrap()
        });
        let encrypted = run(engine, &settings, &forecast);
        // Bit for bit, and message for message.
        assert_eq!(encrypted.opened.trace, twin.opened.trace);
        assert!(!twin.opened.trace.is_empty());
        assert_eq!(encrypted.traffic, twin.traffic);
        assert_eq!(encrypted.operations, twin.operations);
        as_foretold(&encrypted, &forecast);
        as_foretold(&twin, &forecast);
        for ((exact, real), found) in expected.iter().zip(&reals.weights).zip(&encrypted.weights) {
            near(real, exact, 1e-12);
            near(found, exact, 2e-3);
        }
        assert_eq!(reals.opened.losses.len(), 2);
        assert!(reals.opened.losses[1] < reals.opened.losses[0]);

        let settings = Settings { activation_bits: 36, ..settings };
        let engine = ckks(14);
        let forecast = forecast_of(&engine, 14, &settings);
        let twin = run(Reals::of(&engine, 14), &settings, &forecast);
        let encrypted = run(engine, &settings, &forecast);
        assert_eq!(encrypted.traffic, twin.traffic);
        assert_eq!(encrypted.operations, twin.operations);
        as_foretold(&encrypted, &forecast);
        as_foretold(&twin, &forecast);
        near(&encrypted.opened.outputs, &reals.opened.outputs, 1e-3);
        for (exact, found) in expected.iter().zip(&encrypted.weights) {
            near(found, exact, 1e-4);
        }
    }
}

#[test]
fn a_given_network_classifies_without_training() {
    let settings = Settings { iterations: 0, batch: 2, ..settings(&[2, 3, 2], Policy::Lazy) };
    let engine = bgv(6);
    let forecast = forecast_of(&engine, 6, &settings);
    assert!(forecast.training.is_none());
    let twin = run(Integers::of(&engine, 6, engine.modulus()), &settings, &forecast);
    let encrypted = run(engine, &settings, &forecast);
    assert_eq!(encrypted.opened.trace, twin.opened.trace);
    assert_eq!(encrypted.opened.outputs.dim(), (5, 2));
    as_foretold(&encrypted, &forecast);
}

#[test]
fn a_forecast_says_how_many_ciphertexts_are_made_together() {
    let settings = Settings { iterations: 0, batch: 2, ..settings(&[2, 3, 2], Policy::Lazy) };
    let engine = bgv(6);
    let forecast = forecast_of(&engine, 6, &settings);
    let together = |operation| {
        let mut found = BTreeMap::new();
        for (job, count) in forecast.total.work.iter().filter(|(job, _)| job.operation == operation) {
            *found.entry(job.together).or_insert(0) += count / engine.rules().instances() as u64;
        }
        found
    };
    // Each of three batches has the sums of three neurons and their squares, and the sums of two.
    assert_eq!(together(Operation::Product), BTreeMap::from([(3, 3 * (6 + 3)), (2, 3 * 6)]));
    // The weights of both layers, six each, and two features of every batch.
    assert_eq!(together(Operation::Encryption), BTreeMap::from([(6, 12), (2, 6)]));
    assert_eq!(together(Operation::Decryption), BTreeMap::from([(2, 6)]));
}

#[test]
fn training_is_taken_up_after_an_iteration_as_if_it_had_never_stopped() {
    for packing in [false, true] {
        let settings = Settings { iterations: 3, packing, ..settings(&[2, 3, 2], Policy::Lazy) };
        let forecast = forecast_of(&bgv(12), 12, &settings);
        let whole = run(bgv(12), &settings, &forecast);
        let kept = whole.kept.as_ref().unwrap();
        // As it comes back from a file.
        let text = serde_json::to_string(&kept.0).unwrap();
        assert_eq!(serde_json::from_str::<Checkpoint>(&text).unwrap(), kept.0);
        let resumed = run_from(bgv(12), &settings, &forecast, Some(&whole));
        assert_eq!(resumed.opened.trace, whole.opened.trace);
        assert_eq!(resumed.opened.losses, whole.opened.losses);
        assert_eq!(resumed.opened.training, whole.opened.training);
        assert_eq!(resumed.weights, whole.weights);
        assert_eq!(resumed.traffic, whole.traffic);
        assert_eq!(resumed.transcript, whole.transcript);

        let other = Settings { widths: vec![2, 2, 2], ..settings };
        let forecast = forecast_of(&bgv(12), 12, &other);
        let slots = Slots::new(Arc::new(bgv(12)), Meter::default());
        let (near, _far) = pipe();
        let mut link = Link::new(Box::new(near), true, None);
        let private = Stream::seeded(3);
        let mut client = Client::connect(&slots, &other, &forecast, &mut link, &private).unwrap();
        let error = client.resume(&kept.0).unwrap_err();
        assert!(error.to_string().contains("a checkpoint of another training"), "{error}");
    }
}

#[test]
fn fewer_levels_take_more_refreshes() {
    let settings = settings(&[2, 3, 3, 2], Policy::Lazy);
    let refreshes = |levels| {
        forecast_of(&ckks(levels), levels, &Settings { activation_bits: 36, ..settings.clone() })
            .training_refreshes
            .refreshed
    };
    let found = [4, 6, 9, 16].map(refreshes);
    assert!(found.is_sorted_by(|a, b| a >= b) && found[0] > found[3], "{found:?}");
    // Weights alone, of both iterations, with levels enough.
    assert!(found[3] >= 2 * 21);
}

/// CryptoDL's closed forms (tables 3, 6 and 7).
fn closed_form(levels: PaperLevels, widths: &[usize]) -> usize {
    let weights: Vec<usize> = widths.windows(2).map(|pair| pair[0] * pair[1]).collect();
    let later: usize = weights[1..].iter().sum();
    let neurons: usize = widths[1..].iter().sum();
    match levels {
        PaperLevels::Twenty => 2 * later + neurons,
        PaperLevels::Ten => 2 * weights[0] + 3 * later + 5 * neurons - widths[1] + 2,
        PaperLevels::Five => 4 * weights[0] + 5 * later + 7 * neurons - widths[1] + 2,
    }
}

fn paper_count(levels: PaperLevels, widths: &[usize], packing: bool) -> u64 {
    let settings =
        Settings { iterations: 1, packing, activation_bits: 36, ..settings(widths, Policy::Paper(levels)) };
    let schedules = settings.schedules(&ckks(40), 40).unwrap();
    schedules[0].as_ref().unwrap().refreshes(&settings).refreshed
}

#[test]
fn the_papers_counts_are_those_that_it_prints() {
    // Table 3: Crab, Fertility and Climate differ in their inputs only.
    let hidden: [(&[usize], u64); 5] = [
        (&[15], 77),
        (&[15, 5], 192),
        (&[15, 10, 5], 452),
        (&[15, 10, 8, 5], 600),
        (&[15, 10, 8, 5, 4], 640),
    ];
    for (hidden, count) in hidden {
        for inputs in [6, 9, 18] {
            let widths: Vec<usize> = [&[inputs], hidden, &[2]].concat();
            assert_eq!(paper_count(PaperLevels::Twenty, &widths, false), count);
        }
    }
    // Table 7.
    let printed = [
        (PaperLevels::Five, [164, 314, 788, 2432, 8504]),
        (PaperLevels::Ten, [106, 190, 448, 1324, 4516]),
        (PaperLevels::Twenty, [34, 62, 130, 314, 874]),
    ];
    for (levels, counts) in printed {
        for (h, count) in [1, 2, 4, 8, 16].into_iter().zip(counts) {
            assert_eq!(paper_count(levels, &[6 * h, h, h, 10], h % 2 == 0), count, "{levels:?} {h}");
        }
    }
}

#[test]
fn secure_ml_counts_are_table_5_transposed() {
    let crab = [
        &[6, 15, 2][..],
        &[6, 15, 5, 2],
        &[6, 15, 10, 5, 2],
        &[6, 15, 10, 8, 5, 2],
        &[6, 15, 10, 8, 5, 4, 2],
    ];
    let printed = [
        (282, [6042, 7507, 10452, 12778, 13924]),
        (576, [12216, 15151, 21036, 25714, 28036]),
        (1420, [29940, 37095, 51420, 62850, 68548]),
        (3668, [77148, 95543, 132_348, 161_762, 176_452]),
        (6144, [129_144, 159_919, 221_484, 270_706, 295_300]),
    ];
    for (batch, counts) in printed {
        for (widths, count) in crab.into_iter().zip(counts) {
            assert_eq!(secure_ml_count(widths, batch), count);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn counts_keep_their_closed_forms(inputs in 1_usize..5, hidden in prop::collection::vec(1_usize..5, 1..3), outputs in 2_usize..4) {
        let widths: Vec<usize> = [&[inputs], &hidden[..], &[outputs]].concat();
        for levels in [PaperLevels::Five, PaperLevels::Ten, PaperLevels::Twenty] {
            prop_assert_eq!(paper_count(levels, &widths, false), closed_form(levels, &widths) as u64);
        }
    }

    #[test]
    fn layouts_give_back_what_they_hold(outputs in 1_usize..7, inputs in 1_usize..5, packing: bool) {
        let layout = Layout::new(64, 32, 3, packing).unwrap();
        let weights = Array2::from_shape_fn((outputs, inputs), |(i, j)| (10 * i + j) as f64);
        let slots = layout.weights(weights.view());
        for ((output, input), weight) in weights.indexed_iter() {
            prop_assert_eq!(layout.weight(&slots, (output, input), inputs), Some(*weight));
        }
        let neurons = Array2::from_shape_fn((outputs, 8), |(i, j)| (10 * i + j) as f64);
        let grouped = layout.grouped(neurons.view(), -1.0);
        let replicated = layout.reformed(&grouped, Form::Grouped, Form::Replicated, outputs);
        prop_assert_eq!(replicated.len(), outputs);
        for (neuron, slots) in replicated.iter().enumerate() {
            prop_assert_eq!(slots, &layout.replicated(neurons.row(neuron)));
        }
        let again = layout.reformed(&replicated, Form::Replicated, Form::Grouped, outputs);
        for ((neuron, sample), value) in neurons.indexed_iter() {
            prop_assert_eq!(layout.neuron(&again, neuron, sample), Some(*value));
        }
    }
}

#[test]
fn what_breaks_its_promise_is_told() {
    let settings = Settings { weight_magnitude_bits: 0, ..settings(&[2, 3, 2], Policy::Lazy) };
    let engine = Reals::exact(64);
    let forecast = forecast_of(&engine, 1, &settings);
    let slots = Slots::new(Arc::new(engine), Meter::default());
    let (near, _far) = pipe();
    let mut link = Link::new(Box::new(near), true, None);
    let private = Stream::seeded(3);
    let mut client = Client::connect(&slots, &settings, &forecast, &mut link, &private).unwrap();
    let weights = [Array2::from_elem((3, 2), 1.5), Array2::zeros((2, 3))];
    let error = client.send_weights(&[weights[0].view(), weights[1].view()]).unwrap_err();
    assert!(error.to_string().contains("protocol.weight_magnitude_bits"), "{error}");
}

#[test]
fn hostile_bytes_are_refused() {
    let settings = settings(&[2, 3, 2], Policy::Lazy);
    let engine = bgv(12);
    let forecast = forecast_of(&engine, 12, &settings);
    let keys = {
        let slots = Slots::new(Arc::new(bgv(12)), Meter::default());
        let layout = server::layout(&slots, &settings).unwrap();
        let (_, evaluation) = slots.engine().generate(&settings.steps(&layout), &Stream::seeded(1)).unwrap();
        let mut keys = Vec::new();
        slots.engine().write_evaluation(&evaluation, &mut keys);
        keys
    };
    let server = Slots::new(Arc::new(engine), Meter::default());
    let message = |kind, layer, count, body: Vec<u8>| server::message(kind, layer, count, body.into());
    for messages in [
        vec![message(Kind::PublicKey, 0, 0, vec![0; 10])],
        vec![message(Kind::PublicKey, 0, 0, keys.clone()), message(Kind::Weights, 1, 6, vec![])],
        vec![message(Kind::PublicKey, 0, 0, keys.clone()), message(Kind::Weights, 1, 6, vec![7; 600])],
        vec![message(Kind::PublicKey, 0, 0, keys.clone()), message(Kind::Weights, 1, usize::MAX, vec![7; 6])],
        vec![message(Kind::PublicKey, 0, 0, keys), message(Kind::Refreshed, 1, 6, vec![7; 600])],
    ] {
        let (near, far) = pipe();
        let mut client = Link::new(Box::new(near), true, None);
        for message in messages {
            client.send(message).unwrap();
        }
        drop(client);
        let mut link = Link::new(Box::new(far), false, None);
        let course = Course { iterations: 0, phases: &Mutex::default() };
        assert!(serve(&server, &settings, &forecast, &mut link, 5, &course).is_err());
    }
}
