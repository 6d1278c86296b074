//! What an iteration of the split protocol sends, by the channel's count, against GELU-Net's closed forms written out once more.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test; the exemption for tests does not reach its helper functions"
)]

use henn::backend::Variant;
use henn::backend::meter::Interrupt;
use henn::experiment::plan::{Cost, Plan, Priced, Request, Task};
use henn::experiment::spec::ProfileName;
use henn::runner::cell::Computed;
use henn::runner::price;
use proptest::prelude::*;

const FILE: &str = r#"
schema = 1
[network]
activation = "sigmoid"
[scheme]
name = "paillier"
modulus_bits = 1024
security = "paper"
[protocol]
name = "split"
[cost]
of = "network"
widths = [4, 5, 3]
[run]
task = "cost"
variants = ["simulated"]
"#;

fn cost(set: &[String]) -> Cost {
    let request =
        Request { name: "test", origin: "test", text: FILE, profile: ProfileName::Quick, set, grid: &[] };
    let (plan, _) = Plan::load(&request).unwrap_or_else(|report| panic!("{report}"));
    match &plan.points[0].task {
        Task::Cost(cost) => (**cost).clone(),
        other => panic!("not a cost: {other:?}"),
    }
}

fn counted(set: &[String]) -> Computed {
    price::run(&cost(set), Variant::Simulated, 0, &Interrupt::default()).unwrap()
}

/// REFERENCE section 2.7 prints these numbers; they were counted by hand.
#[test]
fn iris_takes_17_ciphertexts_forward_8_for_errors_and_43_for_gradients() {
    let found = counted(&[]);
    let iteration = ["ciphertexts_forward", "ciphertexts_errors", "ciphertexts_gradients"];
    assert_eq!(iteration.map(|name| found.metrics[name].to_string()), ["17", "8", "43"]);
    // Two iterations, and once 1/η.
    assert_eq!(found.counts["ciphertexts_up"] + found.counts["ciphertexts_down"], 2 * (17 + 8 + 43) + 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_channel_counts_what_the_closed_forms_say(
        widths in prop::collection::vec(2_usize..9, 3..6),
        slots in 1_usize..6,
    ) {
        let set = |packing: bool| {
            let mut set = vec![format!("cost.widths={widths:?}")];
            if packing {
                set.extend(["protocol.packing=true".to_owned(), format!("protocol.slots={slots}")]);
            }
            set
        };
        let layers = widths.len();
        // d_0 ... d_(n-1)
        let d = &widths;
        let mut parts = [0; 6];
        for i in 0..layers {
            if i < layers - 1 {
                // Activations go up, sums of the next layer come down.
                parts[0] += d[i];
                parts[1] += d[i + 1];
                parts[4] += d[i + 1].div_ceil(slots);
            }
            if 1 <= i && i <= layers - 2 {
                parts[2] += d[i + 1];
                parts[3] += d[i];
                parts[5] += d[i].div_ceil(slots);
            }
        }
        let [up, down, errors_up, errors_down, down_packed, errors_packed] = parts;
        // Weights and biases of a layer have packs of their own, as full as their masks leave room for.
        let gradients = |slots: [usize; 2]| -> usize {
            (1..layers).map(|i| (d[i - 1] * d[i]).div_ceil(slots[0]) + d[i].div_ceil(slots[1])).sum()
        };
        for (packing, down, errors_down) in [(false, down, errors_down), (true, down_packed, errors_packed)] {
            let found = counted(&set(packing));
            let Priced::Network { protocol, .. } = cost(&set(packing)).of else { panic!("not a network") };
            let slots = protocol.step_packing.map(|steps| [steps.weights, steps.biases].map(|pack| pack.slots));
            prop_assert_eq!(slots.is_some(), packing);
            let gradients = gradients(slots.unwrap_or([1, 1]));
            // As text: a count that is no whole number an iteration would show.
            let of = |name: &str| found.metrics[name].to_string();
            let names = ["ciphertexts_forward", "ciphertexts_errors", "ciphertexts_gradients"];
            let iteration = [up + down, errors_up + errors_down, gradients];
            prop_assert_eq!(names.map(of), iteration.map(|count| count.to_string()));
            let closed = ["closed_forward", "closed_errors", "closed_gradients"];
            prop_assert_eq!(names.map(of), closed.map(of));
            let total = 2 * iteration.iter().sum::<usize>() + 1;
            prop_assert_eq!(found.counts["ciphertexts_up"] + found.counts["ciphertexts_down"], total as u64);
            prop_assert_eq!(of("closed_total"), (total / 2 + 1).to_string());
        }
    }
}

/// Under keys the same is sent.
#[test]
fn ciphertexts_are_counted_as_their_twins_are() {
    let set = ["cost.widths=[3, 2, 2]".to_owned()];
    let cost = cost(&set);
    assert!(matches!(&cost.of, Priced::Network { .. }));
    let [simulated, encrypted] = [Variant::Simulated, Variant::Encrypted]
        .map(|variant| price::run(&cost, variant, 0, &Interrupt::default()).unwrap());
    assert_eq!((simulated.metrics, simulated.counts), (encrypted.metrics, encrypted.counts));
    for name in ["seconds_unit", "seconds_formula", "seconds_per_encryption", "seconds_per_scalar_product"] {
        assert!(encrypted.seconds[name] > 0.0, "{name}");
    }
}

/// Every mistake in `[cost]` has its place.
#[test]
fn mistakes_in_costs_are_named_with_their_place() {
    let line = |key: &str| FILE.lines().position(|line| line.starts_with(key)).unwrap() + 1;
    for (old, new, key, text) in [
        ("widths = [4, 5, 3]", "widths = [4, 5]", "widths", "has 2 layers"),
        ("widths = [4, 5, 3]", "widths = [4, 1, 3]", "widths", "`cost.widths.1` is 1"),
        ("widths = [4, 5, 3]", "widths = [4096, 4096, 3]", "widths", "weights; allowed: 1000000"),
        ("widths = [4, 5, 3]", "", "[cost]", "`cost.widths` is missing"),
        ("widths = [4, 5, 3]", "widths = [4, 5, 3]\nproducts = 0", "widths", "`cost.products` is 0"),
        ("name = \"paillier\"", "name = \"okamoto_uchiyama\"", "name", "no formula for a network"),
        ("of = \"network\"", "of = \"activation\"", "variants", "those of the variant `encrypted`"),
        ("of = \"network\"", "off = \"network\"", "of", "unknown key `off`"),
        ("\"simulated\"", "\"plain\"", "variants", "nothing of this task can be plain"),
    ] {
        let text_of = FILE.replace(old, new);
        let request = Request {
            name: "test",
            origin: "test",
            text: &text_of,
            profile: ProfileName::Quick,
            set: &[],
            grid: &[],
        };
        let report = Plan::load(&request).unwrap_err().to_string();
        assert!(report.contains(text), "{text}: {report}");
        let at = line(key) + usize::from(new.contains("products"));
        assert!(report.contains(&format!("test:{at}:")), "{text} at line {at}: {report}");
    }
}
