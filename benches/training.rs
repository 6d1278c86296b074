//! Training of convolutional networks on images in IDX files, timed: henn's side of `scripts/peers/lenet.py`.
//!
//! `HENN_IDX=FOLDER cargo bench --bench training -- [--architecture NAME] [--activation NAME] [--epochs N] [--batch N]
//! [--threads N] [--normalised]` prints one line of JSON an epoch, the same fields as the script. The folder holds MNIST's four files under
//! their usual names (`henn datasets fetch mnist`). Without it, as when all benchmarks are run, this says so and ends.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark prints, and input that cannot be read is a mistake here"
)]

use std::{ops::ControlFlow, path::Path, time::Instant};

use henn::{
    approximation::Polynomial,
    math::stream::Stream,
    network::{
        Activation, Loss, Network, Nonlinearity, Optimiser, PoolKind, Schedule, Shape, Trainer, Training,
        architecture,
    },
};
use ndarray::Array2;

fn images(path: &Path) -> Array2<f32> {
    let bytes = std::fs::read(path).unwrap();
    let pixels = bytes[16..].iter().map(|pixel| f32::from(*pixel) / 255.0).collect();
    Array2::from_shape_vec(((bytes.len() - 16) / 784, 784), pixels).unwrap()
}

fn labels(path: &Path) -> Vec<usize> {
    std::fs::read(path).unwrap()[8..].iter().map(|label| usize::from(*label)).collect()
}

fn main() {
    let Some(folder) = std::env::var_os("HENN_IDX") else {
        println!("HENN_IDX names no folder of IDX files");
        return;
    };
    let folder = Path::new(&folder);
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| arguments.iter().position(|at| at == name).and_then(|at| arguments.get(at + 1));
    let number = |name: &str, default: usize| value(name).map_or(default, |text| text.parse().unwrap());
    let rate: f64 = value("--rate").map_or(0.05, |text| text.parse().unwrap());
    let penalty: f64 = value("--penalty").map_or(0.0, |text| text.parse().unwrap());
    rayon::ThreadPoolBuilder::new().num_threads(number("--threads", 2)).build_global().unwrap();

    let (x, y) =
        (images(&folder.join("train-images-idx3-ubyte")), labels(&folder.join("train-labels-idx1-ubyte")));
    let (test_x, test_y) =
        (images(&folder.join("t10k-images-idx3-ubyte")), labels(&folder.join("t10k-labels-idx1-ubyte")));
    let function: Nonlinearity = match value("--activation").map_or("relu", String::as_str) {
        "relu" => Activation::Relu.into(),
        "tanh" => Activation::Tanh.into(),
        "sigmoid" => Activation::Sigmoid.into(),
        "square" => Activation::Square.into(),
        // Least squares for the rectifier and the sigmoid on [-3, 3] and [-4, 4].
        "quadratic" => {
            Nonlinearity::Polynomial(Polynomial::monomial(vec![0.28125, 0.5, 0.15625], [-3.0, 3.0]))
        }
        "cubic" => {
            Nonlinearity::Polynomial(Polynomial::monomial(vec![0.5, 0.2159, 0.0, -0.0082], [-4.0, 4.0]))
        }
        other => panic!("{other} is no activation here"),
    };
    let specs = match value("--architecture").map_or("lenet_5", String::as_str) {
        "lenet_5" => architecture::lenet_5(&function, 10),
        "conv_1" => architecture::conv_1(&function, 10),
        "cryptonets" => architecture::cryptonets(&function, 10),
        "crypto_dl" => {
            architecture::crypto_dl(&function, 10, arguments.iter().any(|at| at == "--normalised"))
        }
        "deep" => architecture::deep(&function, 10),
        "resnet" => architecture::resnet(&function, 10, number("--width", 16), PoolKind::Mean),
        "mlp" => architecture::mlp(&[128, 128], &function, 10),
        other => panic!("{other} is no architecture here"),
    };
    let stream = Stream::seeded(1);
    let network = Network::<f32>::build(
        Shape::image(1, 28, 28),
        &specs,
        10,
        Loss::CrossEntropy,
        &stream.derive("weights"),
    )
    .unwrap();
    let epochs = number("--epochs", 1);
    let settings = Training {
        epochs,
        batch_size: number("--batch", 64),
        optimiser: if value("--optimiser").is_some_and(|name| name == "adam") {
            Optimiser::adam(rate)
        } else {
            Optimiser::sgd(rate, 0.9)
        },
        schedule: if arguments.iter().any(|at| at == "--cosine") {
            Schedule::Cosine
        } else {
            Schedule::Constant
        },
        penalty,
        ..Training::default()
    };
    let mut trainer = Trainer::new(network, settings).unwrap();
    loop {
        let start = Instant::now();
        let go_on = &mut |_| ControlFlow::Continue(());
        let Some(epoch) = trainer.epoch(x.view(), &y, &stream.derive("order"), go_on).unwrap() else { break };
        let seconds = start.elapsed().as_secs_f64();
        let test = trainer.network().accuracy(test_x.view(), &test_y);
        println!(
            "{}",
            serde_json::json!({
                "epoch": epoch.number, "seconds": seconds, "loss": epoch.loss, "accuracy": epoch.accuracy,
                "test_accuracy": test,
            })
        );
    }
}
