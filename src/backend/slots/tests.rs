use std::sync::LazyLock;

use ndarray::{Array1, Array2};
use rand::RngCore;

use super::*;
use crate::{
    approximation::{Basis, Polynomial},
    backend::Value,
    math::rns::prime::transform_primes,
    scheme::{
        bfv::Bfv,
        bgv::Bgv,
        rlwe::{ExactScheme, Literal, Place, RlweError, Untagged},
    },
};

/// log2 of the ring degree: insecure, and quick.
const LOG_DEGREE: u32 = 6;
const SCALE: f64 = 1_099_511_627_776.0; // 2^40

fn literal(primes: usize, first: u32, others: u32) -> Literal {
    let mut modulus_bits = vec![others; primes];
    modulus_bits[0] = first;
    Literal { log_degree: LOG_DEGREE, modulus_bits, special_bits: vec![50; 2] }
}

fn moduli() -> Vec<u64> {
    transform_primes(33, 1 << LOG_DEGREE, 4, &[]).unwrap()
}

fn bgv() -> Exact<Bgv> {
    Exact::try_new(&literal(16, 50, 50), &moduli(), Place::Lowest).unwrap()
}

fn bfv() -> Exact<Bfv> {
    Exact::try_new(&literal(12, 50, 50), &moduli(), Place::Highest).unwrap()
}

fn ckks() -> Approximate {
    Approximate::try_new(&literal(10, 50, 40), SCALE).unwrap()
}

/// An engine with its keys.
struct Bench<E: Engine> {
    slots: Slots<E>,
    secret: E::Secret,
    evaluation: E::Evaluation,
    /// of fresh ciphertexts
    scale: f64,
}

impl<E: Engine> Bench<E> {
    fn new(engine: E, steps: &[i64], scale: f64) -> Self {
        let (secret, evaluation) = engine.generate(steps, &Stream::seeded(1)).unwrap();
        Self { slots: Slots::new(Arc::new(engine), Meter::default()), secret, evaluation, scale }
    }

    fn encrypt(&self, values: &[f64], magnitude: f64) -> Of<E> {
        self.slots.encrypt(&self.secret, values, self.scale, magnitude, &Stream::seeded(2)).unwrap()
    }

    fn open(&self, ciphertext: &Of<E>) -> Vec<E::Number> {
        self.slots.decrypt(&self.secret, ciphertext).unwrap()
    }

    fn reals(&self, ciphertext: &Of<E>) -> Vec<f64> {
        self.open(ciphertext).iter().map(Value::to_f64).collect()
    }
}

/// A circuit, run on an engine.
trait Circuit {
    fn run<E: Engine>(&self, bench: &Bench<E>, values: &[f64]) -> Result<Of<E>, SlotError>;
    fn exact(&self, values: &[f64]) -> Vec<f64>;
    fn steps(&self) -> Vec<i64> {
        Vec::new()
    }
}

/// Runs a circuit on an engine, its twin and nothing: what both opened, and the bound on errors.
fn compare<A: Engine, B: Engine>(
    circuit: &impl Circuit,
    values: &[f64],
    engine: A,
    twin: B,
    dry: Dry,
    (steps, scale): (&[i64], f64),
) -> (Vec<A::Number>, Vec<B::Number>, f64) {
    let (bench, twin, dry) =
        (Bench::new(engine, steps, scale), Bench::new(twin, steps, scale), Bench::new(dry, steps, scale));
    let found = circuit.run(&bench, values).unwrap();
    let expected = circuit.run(&twin, values).unwrap();
    let planned = circuit.run(&dry, values).unwrap();
    assert_eq!(found.state, expected.state);
    assert_eq!(found.state, planned.state);
    assert_eq!(bench.slots.meter().counts(), twin.slots.meter().counts());
    assert_eq!(bench.slots.meter().counts(), dry.slots.meter().counts());
    // What is sent is as long as the twin's.
    let small = bench.slots.compact(&found).unwrap();
    let mut bytes = [Vec::new(), Vec::new()];
    bench.slots.write(&small, false, &mut bytes[0]);
    twin.slots.write(&twin.slots.compact(&expected).unwrap(), false, &mut bytes[1]);
    assert_eq!(bytes[0].len(), bytes[1].len());
    let opened = bench.slots.open(&bench.secret, &mut &bytes[0][..], small.state.scale).unwrap();
    let twins = twin.slots.open(&twin.secret, &mut &bytes[1][..], small.state.scale).unwrap();
    let error = bench.slots.rules().error(&small.state);
    (opened, twins, error)
}

/// Runs a circuit on every engine: encrypted numbers are those of the twins, exactly or within the bound that was foretold, and near those
/// of real arithmetic; twins and plans have the same counts, levels and bounds.
fn everywhere(circuit: &impl Circuit, values: &[f64], tolerance: f64) {
    let steps = circuit.steps();
    let near = |found: &[f64], expected: &[f64], tolerance: f64| {
        for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert!((found - expected).abs() <= tolerance, "slot {index}: {found} in place of {expected}");
        }
    };
    let exact = circuit.exact(values);
    let reals = Bench::new(Reals::exact(1 << (LOG_DEGREE - 1)), &steps, 1.0);
    near(&reals.reals(&circuit.run(&reals, values).unwrap()), &exact, 1e-9);
    for bfv_in_place in [false, true] {
        // Inputs with 8 fraction bits.
        let at = (&steps[..], 256.0);
        let (found, expected, _) = if bfv_in_place {
            let engine = bfv();
            let (twin, dry) = (Integers::of(&engine, 12, engine.modulus()), Dry::of(&engine, 12));
            compare(circuit, values, engine, twin, dry, at)
        } else {
            let engine = bgv();
            let (twin, dry) = (Integers::of(&engine, 16, engine.modulus()), Dry::of(&engine, 16));
            compare(circuit, values, engine, twin, dry, at)
        };
        assert_eq!(found, expected);
        let found: Vec<f64> = found.iter().map(Value::to_f64).collect();
        near(&found, &exact, tolerance);
    }
    let engine = ckks();
    let (twin, dry) = (Reals::of(&engine, 10), Dry::of(&engine, 10));
    let (found, expected, error) = compare(circuit, values, engine, twin, dry, (&steps, SCALE));
    assert!(error < 1e-3, "{error}");
    near(&found, &expected, error);
    near(&found, &exact, error + 1e-6);
}

/// Numbers in the unit interval that 8 fraction bits hold.
fn unit(count: usize, seed: u64) -> Vec<f64> {
    let mut rng = Stream::seeded(seed).rng();
    (0..count).map(|_| f64::from(rng.next_u32() % 513) / 256.0 - 1.0).collect()
}

struct Evaluated(Polynomial);

impl Circuit for Evaluated {
    fn run<E: Engine>(&self, bench: &Bench<E>, values: &[f64]) -> Result<Of<E>, SlotError> {
        let x = bench.encrypt(values, 1.0);
        bench.slots.polynomial(&bench.evaluation, &x, &self.0, 4096.0)
    }

    fn exact(&self, values: &[f64]) -> Vec<f64> {
        values.iter().map(|value| self.0.value(*value)).collect()
    }
}

#[test]
fn polynomials_of_all_small_degrees_are_those_of_numbers() {
    for degree in 1..=10 {
        for basis in [Basis::Monomial, Basis::Chebyshev] {
            // The plaintext modulus holds 132 bits; Chebyshev's mapping takes 12 more a power.
            if basis == Basis::Chebyshev && degree > 5 {
                continue;
            }
            let coefficients = unit(degree + 1, degree as u64);
            let polynomial = Polynomial { basis, coefficients, interval: [-1.0, 1.0] };
            everywhere(&Evaluated(polynomial), &unit(32, 7), 0.02);
        }
    }
}

#[test]
fn odd_polynomials_and_lonely_powers_are_evaluated_too() {
    for coefficients in [
        vec![0.5, 0.25, 0.0, -0.25, 0.0, 0.125],
        vec![0.0, 0.5, 0.0, -0.25, 0.0, 0.125, 0.0, -0.0625],
        vec![0.0, 0.0, 1.0],
        vec![0.0, 0.0, 0.0, 0.0, 1.0],
        vec![0.25, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5],
        vec![0.25],
    ] {
        everywhere(&Evaluated(Polynomial::monomial(coefficients, [-1.0, 1.0])), &unit(32, 3), 0.02);
    }
}

/// The fewest levels: log2 of the degree and one more in CKKS.
#[test]
fn polynomials_take_the_fewest_levels() {
    let engine = ckks();
    let dry = Bench::new(Dry::of(&engine, 10), &[], SCALE);
    for degree in 1..=31_usize {
        let polynomial =
            Polynomial::monomial(unit(degree + 1, 9).iter().map(|c| c + 1.5).collect(), [-1.0, 1.0]);
        let x = dry.encrypt(&[], 0.5);
        let found = dry.slots.polynomial(&dry.evaluation, &x, &polynomial, 1.0).unwrap();
        let levels = x.state.level - found.state.level;
        assert_eq!(levels, polynomial.depth() as usize, "degree {degree}");
    }
    // Degree 7 takes x², x⁴ and two products more.
    let products = dry.slots.meter().counts().get(Operation::Product);
    let polynomial = Polynomial::monomial(vec![1.0; 8], [-1.0, 1.0]);
    dry.slots.polynomial(&dry.evaluation, &dry.encrypt(&[], 0.5), &polynomial, 1.0).unwrap();
    assert!(dry.slots.meter().counts().get(Operation::Product) - products <= 5);
}

struct Layer {
    weights: Array2<f64>,
    bias: Vec<f64>,
}

impl Circuit for Layer {
    /// A layer, a square, and a layer: the levels, scales and magnitudes of all.
    fn run<E: Engine>(&self, bench: &Bench<E>, values: &[f64]) -> Result<Of<E>, SlotError> {
        let slots = &bench.slots;
        let inputs: Vec<_> = values.chunks(8).map(|chunk| bench.encrypt(chunk, 1.0)).collect();
        let target = slots.rules().product_scale(bench.scale, 256.0);
        let sums = slots.affine(&Linear::dense(self.weights.view(), &self.bias), &inputs, target, 5.0)?;
        let squares = sums.iter().map(|sum| slots.multiply(&bench.evaluation, sum, sum));
        let squares = squares.collect::<Result<Vec<_>, _>>()?;
        let target = slots.rules().product_scale(squares[0].state.scale, 256.0);
        let row: Vec<_> = squares.iter().zip([0.5, -1.0, 0.25]).collect();
        slots.combine(&row, target)
    }

    fn exact(&self, values: &[f64]) -> Vec<f64> {
        let column = |slot: usize| Array1::from_iter(values.chunks(8).map(|chunk| chunk[slot]));
        let outputs = |slot: usize| {
            let sums = self.weights.dot(&column(slot)) + Array1::from_vec(self.bias.clone());
            sums.iter().zip([0.5, -1.0, 0.25]).map(|(sum, weight)| sum * sum * weight).sum()
        };
        (0..8).map(outputs).collect()
    }
}

#[test]
fn layers_are_those_of_numbers() {
    let weights = Array2::from_shape_vec((3, 4), unit(12, 5)).unwrap();
    everywhere(&Layer { weights, bias: unit(3, 6) }, &unit(32, 8), 1e-9);
    // A row of zeros is a sum too.
    let mut weights = Array2::from_shape_vec((3, 4), unit(12, 5)).unwrap();
    weights.row_mut(1).fill(0.0);
    everywhere(&Layer { weights, bias: vec![0.0, 0.5, 0.0] }, &unit(32, 8), 1e-9);
}

/// Two layers and a square between them, as protocols with measured bounds have them.
struct Squares {
    first: Linear,
    second: Linear,
}

impl Squares {
    fn new() -> Self {
        let weights = |rows, columns, seed| {
            Array2::from_shape_vec((rows, columns), unit(rows * columns, seed)).unwrap()
        };
        Self {
            first: Linear::dense(weights(3, 4, 5).view(), &unit(3, 6)),
            second: Linear::dense(weights(2, 3, 7).view(), &unit(2, 8)),
        }
    }
}

impl Circuit for Squares {
    fn run<E: Engine>(&self, bench: &Bench<E>, values: &[f64]) -> Result<Of<E>, SlotError> {
        let slots = &bench.slots;
        let inputs: Vec<_> = values.chunks(8).map(|chunk| bench.encrypt(chunk, 1.0)).collect();
        let sums = slots.layer(&self.first, &inputs, 256.0, self.first.norm())?;
        let squares = sums.into_iter().map(|sum| slots.square(&slots.settled(sum)?));
        let squares = squares.collect::<Result<Vec<_>, _>>()?;
        let sums = slots.layer(&self.second, &squares, 256.0, self.second.norm())?;
        slots.settled(slots.relinearised(&bench.evaluation, &sums[1])?)
    }

    fn exact(&self, values: &[f64]) -> Vec<f64> {
        let row = |row: &Row, inputs: &[f64]| {
            row.terms.iter().map(|(at, weight)| inputs[*at] * weight).sum::<f64>() + row.bias
        };
        let output = |slot: usize| {
            let inputs: Vec<f64> = values.chunks(8).map(|chunk| chunk[slot]).collect();
            let squares: Vec<f64> =
                self.first.rows.iter().map(|neuron| row(neuron, &inputs).powi(2)).collect();
            row(&self.second.rows[1], &squares)
        };
        (0..8).map(output).collect()
    }
}

#[test]
fn sums_of_squares_are_relinearised_once() {
    everywhere(&Squares::new(), &unit(32, 8), 1e-9);
}

/// Bounds are measured with what they are checked with: anything beyond is refused before it is computed.
#[test]
fn a_weight_beyond_its_bound_is_refused() {
    let bench = Bench::new(bfv(), &[], 256.0);
    let layer = Squares::new().first;
    let inputs: Vec<_> = (0..4).map(|seed| bench.encrypt(&unit(32, seed), 1.0)).collect();
    assert!(bench.slots.layer(&layer, &inputs, 256.0, layer.norm()).is_ok());
    let less = layer.norm() - 1.0 / 256.0;
    let refused = bench.slots.layer(&layer, &inputs, 256.0, less).unwrap_err();
    assert!(matches!(refused, SlotError::Norm { most, .. } if most < layer.norm()), "{refused}");
    let refused = bench.slots.layer(&layer, &inputs[1..], 256.0, layer.norm()).unwrap_err();
    assert!(matches!(refused, SlotError::Length { found: 4, expected: 3, .. }), "{refused}");
}

/// Rows of many weights, none of which is reduced modulo t although their sum passes it, and inputs of unequal errors: what is known of a
/// layer bounds what the secret key sees.
#[test]
fn layers_keep_the_bounds_on_their_errors() {
    fn check<S: ExactScheme<Tag = Untagged> + 'static>(bench: &Bench<Exact<S>>) {
        let slots = &bench.slots;
        for (seed, weight) in [(1, 1.0), (2, 512.0), (3, 65_536.0)] {
            let fresh = bench.encrypt(&unit(32, seed), 1.0);
            let inputs: Vec<_> = (1..=16).map(|times| slots.sum(&[(&fresh, times)]).unwrap()).collect();
            let rows: Vec<f64> = unit(3 * 16, seed).iter().map(|one| weight * one).collect();
            let weights = Array2::from_shape_vec((3, 16), rows).unwrap();
            // As large as they may be.
            let weights = weights.mapv(|one| weight.copysign(one));
            let outputs = slots
                .affine(&Linear::dense(weights.view(), &[0.0; 3]), &inputs, 256.0 * 65_536.0, 16.0 * weight)
                .unwrap();
            for output in outputs {
                let budget = slots.engine().noise_budget(&bench.secret, &output.payload);
                let bound = slots.rules().budget(&output.state);
                assert!(bound <= budget, "{bound} bits foretold, {budget} are left");
            }
        }
    }
    check(&Bench::new(bgv(), &[], 256.0));
    check(&Bench::new(bfv(), &[], 256.0));
}

struct Matrix(Array2<f64>);

impl Circuit for Matrix {
    fn run<E: Engine>(&self, bench: &Bench<E>, values: &[f64]) -> Result<Of<E>, SlotError> {
        let count = self.0.nrows();
        let all: Vec<f64> = (0..bench.slots.engine().slots()).map(|slot| values[slot % count]).collect();
        bench.slots.multiply_matrix(&bench.evaluation, self.0.view(), &bench.encrypt(&all, 1.0), 256.0)
    }

    fn exact(&self, values: &[f64]) -> Vec<f64> {
        let vector = Array1::from_vec(values[..self.0.nrows()].to_vec());
        self.0.dot(&vector).to_vec().repeat(32 / self.0.nrows())
    }

    fn steps(&self) -> Vec<i64> {
        matrix_steps(self.0.nrows())
    }
}

#[test]
fn matrices_multiply_by_their_diagonals() {
    for log in 0..=5 {
        let count = 1 << log;
        let matrix = Array2::from_shape_vec((count, count), unit(count * count, log)).unwrap();
        everywhere(&Matrix(matrix), &unit(32, 4), 1e-9);
    }
}

/// 4 rows in strides of 8: the product with the first 3 rows of the second matrix.
struct Revolver;

impl Revolver {
    const SHAPE: VolleyRevolver = VolleyRevolver { rows: 4, stride: 8 };
}

impl Circuit for Revolver {
    fn run<E: Engine>(&self, bench: &Bench<E>, values: &[f64]) -> Result<Of<E>, SlotError> {
        let both = |values: &[f64]| {
            values.iter().copied().cycle().take(bench.slots.engine().slots()).collect::<Vec<_>>()
        };
        let (x, v) = values.split_at(32);
        let (x, v) = (bench.encrypt(&both(x), 1.0), bench.encrypt(&both(v), 1.0));
        Self::SHAPE.product(&bench.slots, &bench.evaluation, &x, &v, 3)
    }

    fn exact(&self, values: &[f64]) -> Vec<f64> {
        let (x, v) = values.split_at(32);
        let entry = |slot: usize| {
            let (row, column) = (slot / 8, slot % 8);
            let pairs = x[8 * row..8 * row + 8].iter().zip(&v[8 * (column % 4)..]);
            if column < 3 { pairs.map(|(x, v)| x * v).sum() } else { 0.0 }
        };
        (0..32).map(entry).collect()
    }

    fn steps(&self) -> Vec<i64> {
        Self::SHAPE.steps()
    }
}

#[test]
fn encrypted_matrices_multiply_by_revolving() {
    everywhere(&Revolver, &unit(64, 4), 1e-9);
}

/// Whatever overflows is told before it is opened, or what is opened is right.
mod overflow {
    use super::*;

    static BGV: LazyLock<Bench<Exact<Bgv>>> = LazyLock::new(|| {
        let engine = Exact::try_new(&literal(3, 50, 50), &moduli()[..1], Place::Lowest).unwrap();
        Bench::new(engine, &[], 1.0)
    });
    static BFV: LazyLock<Bench<Exact<Bfv>>> = LazyLock::new(|| {
        let engine = Exact::try_new(&literal(3, 50, 50), &moduli()[..1], Place::Highest).unwrap();
        Bench::new(engine, &[], 1.0)
    });
    static CKKS: LazyLock<Bench<Approximate>> =
        LazyLock::new(|| Bench::new(Approximate::try_new(&literal(3, 50, 40), SCALE).unwrap(), &[], SCALE));

    /// Random steps until one is refused; what was reached before is right.
    fn walk<E: Engine>(bench: &Bench<E>, seed: u64) -> SlotError {
        let mut rng = Stream::seeded(seed).rng();
        let mut numbers = vec![3.0, -2.0, 1.0];
        let mut current = bench.encrypt(&numbers, 3.0);
        loop {
            let step = rng.next_u32() % 4;
            let next = match step {
                0 => bench.slots.multiply(&bench.evaluation, &current, &current),
                1 => bench.slots.sum(&[(&current, 7), (&current, -2)]),
                2 => bench.slots.sum(&[(&current, 1 << 10)]),
                _ => bench.slots.add_constant(&current, 5.0),
            };
            current = match next {
                Ok(next) => next,
                Err(error) => return error,
            };
            for number in &mut numbers {
                *number = match step {
                    0 => *number * *number,
                    1 => 5.0 * *number,
                    2 => 1024.0 * *number,
                    _ => 5.0 + *number,
                };
            }
            let bound = bench.slots.rules().error(&current.state);
            for (found, number) in bench.reals(&current).iter().zip(&numbers) {
                assert!((found - number).abs() <= bound, "{found} in place of {number} within {bound}");
            }
        }
    }

    #[test]
    fn what_overflows_is_refused_before_it_is_opened() {
        let mut reasons = BTreeMap::<&str, usize>::new();
        for seed in 0..100 {
            for error in [walk(&*BGV, seed), walk(&*BFV, seed), walk(&*CKKS, seed)] {
                let reason = match error {
                    SlotError::Wrapped { needed, available, .. } if needed >= available => "wrapped",
                    SlotError::Scheme(RlweError::Noise { needed, available, .. }) if needed >= available => {
                        "noise"
                    }
                    SlotError::Scheme(RlweError::Level { .. }) => "level",
                    other => panic!("{other}"),
                };
                *reasons.entry(reason).or_default() += 1;
            }
        }
        assert_eq!(reasons.values().sum::<usize>(), 300);
        assert!(reasons.len() > 1, "{reasons:?}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let bench = Bench::new(ckks(), &[], SCALE);
    let refused = |error: SlotError| error.to_string();
    let slots = &bench.slots;
    let encrypt = |values: &[f64]| slots.encrypt(&bench.secret, values, SCALE, 1.0, &Stream::seeded(1));
    assert_eq!(refused(encrypt(&[0.0, 1.5]).unwrap_err()), "number 1 is 1.5; its magnitude may be 1 at most");
    assert!(matches!(encrypt(&[f64::NAN]), Err(SlotError::Magnitude { index: 0, .. })));
    assert_eq!(refused(encrypt(&[0.0; 33]).unwrap_err()), "a vector of 33, expected 32");
    assert_eq!(refused(slots.sum(&[]).unwrap_err()), "a sum without terms");
    let x = encrypt(&[1.0]).unwrap();
    let other = slots.encrypt(&bench.secret, &[1.0], 2.0 * SCALE, 1.0, &Stream::seeded(1)).unwrap();
    assert!(matches!(slots.sum(&[(&x, 1), (&other, 1)]), Err(SlotError::Scheme(RlweError::Scale { .. }))));
    assert!(matches!(
        slots.rotate(&bench.evaluation, &x, &[3]),
        Err(SlotError::Scheme(RlweError::Rotation { .. }))
    ));
    let bench = Bench::new(bgv(), &[], 256.0);
    let x = bench.encrypt(&[1.0], 1.0);
    assert!(matches!(
        bench.slots.combine(&[(&x, 1.0)], 128.0),
        Err(SlotError::Scheme(RlweError::Scale { .. }))
    ));
    let mut bytes = Vec::new();
    bench.slots.write(&bench.slots.compact(&x).unwrap(), true, &mut bytes);
    let stale = bench.slots.read_fresh(&mut &bytes[..], 256.0, 1.0).unwrap_err();
    assert!(matches!(stale, SlotError::Level { expected: 16, .. }), "{stale}");
}

#[test]
fn an_interrupt_stops_a_circuit() {
    let interrupt = crate::backend::meter::Interrupt::default();
    let engine = Arc::new(Dry::of(&ckks(), 10));
    let slots = Slots::new(engine, Meter::new(interrupt.clone()));
    interrupt.raise();
    assert_eq!(slots.encrypt(&(), &[], SCALE, 1.0, &Stream::seeded(1)).unwrap_err(), SlotError::Interrupted);
}
