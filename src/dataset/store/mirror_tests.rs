//! The sets that a mirror has, against what is known of them from elsewhere. Without a mirror there is nothing to see.

use super::*;
use crate::dataset::{Catalogue, Picture};

/// Features, counts of the classes, and a few sums over the whole set, which a shifted or dropped column would miss.
type Known = (&'static str, usize, Option<usize>, &'static [usize]);

const KNOWN: [Known; 17] = [
    ("arcene", 10_000, Some(100), &[112, 88]),
    ("banknote", 4, None, &[762, 610]),
    ("blood_transfusion", 4, None, &[570, 178]),
    ("breast_tissue", 9, None, &[21, 15, 18, 16, 14, 22]),
    ("cardiotocography_3", 21, None, &[1655, 295, 176]),
    ("cardiotocography_10", 21, None, &[384, 579, 53, 81, 72, 332, 252, 107, 69, 197]),
    ("climate", 18, None, &[46, 494]),
    ("cnae_9", 856, None, &[120; 9]),
    ("daphnet", 9, None, &[188_969, 16_799]),
    ("theorem_proving", 51, Some(1530), &[1089, 486, 748, 617, 624, 2554]),
    ("sensorless", 48, None, &[200; 11]),
    ("usps", 256, Some(2007), &[1553, 1269, 929, 824, 852, 716, 834, 792, 708, 821]),
    ("cifar10_jpeg", 3072, Some(10_000), &[6000; 10]),
    ("cifar10_first4000", 3072, None, &[]),
    ("cifar10", 3072, Some(10_000), &[6000; 10]),
    ("stl10", 27_648, Some(8000), &[1300; 10]),
    ("regnet_mnist", 400, None, &[50, 69, 52, 52, 52, 41, 46, 54, 40, 56]),
];

/// A store with an empty cache and the machine's mirror; `None`, with the reason on stdout, where there is none.
fn store() -> Option<(tempfile::TempDir, Store)> {
    let Some(mirror) = std::env::var_os("HENN_DATASET_MIRROR") else {
        println!("skipped: HENN_DATASET_MIRROR names no mirror");
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path()).with_mirror(Some(mirror.into()));
    Some((folder, store))
}

#[test]
fn every_set_of_the_mirror_loads_with_its_shape_and_class_counts() {
    let Some((_folder, store)) = store() else { return };
    for (name, columns, test_rows, counts) in KNOWN {
        let entry = catalogue().unwrap().get(name).unwrap();
        if !store.is_present(entry) {
            println!("skipped: the mirror has no {name}");
            continue;
        }
        let start = std::time::Instant::now();
        let dataset = store.load(name).unwrap();
        println!("{name}: {:?} after {:?}", dataset.features.dim(), start.elapsed());
        assert_eq!(dataset.features.dim(), (entry.rows(), columns), "{name}");
        assert_eq!(dataset.test_rows, test_rows, "{name}");
        assert!(
            counts.is_empty() || dataset.class_counts() == counts,
            "{name}: {:?}",
            dataset.class_counts()
        );
        assert_eq!(dataset.picture, entry.picture(), "{name}");
        assert!(dataset.features.iter().all(|value| value.is_finite()), "{name}");
        if name == "arcene" {
            assert_eq!(class_counts_of(&dataset.labels[..100]), [56, 44], "the published training part");
        }
        if name.starts_with("cifar10") {
            assert!(dataset.features.iter().all(|value| (0.0..=255.0).contains(value)), "{name}");
            assert_eq!(dataset.picture, Some(Picture { channels: 3, height: 32, width: 32 }));
        }
        if name == "cifar10_first4000" {
            // A frog, two trucks, a deer, two automobiles, ... as every tutorial shows them.
            assert_eq!(dataset.labels[..10], [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]);
        }
        if name == "cifar10_jpeg" {
            assert_eq!(
                dataset.labels[50_000..50_010],
                [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
                "all classes, not one"
            );
            // The means of the original's channels, 125.3, 123.0 and 113.9, which a mix-up of channels would miss.
            for (channel, mean) in [125.3, 123.0, 113.9].into_iter().enumerate() {
                let plane = ndarray::s![..50_000, channel * 1024..(channel + 1) * 1024];
                let found = dataset.features.slice(plane).mean().unwrap();
                assert!((found - mean).abs() < 1.0, "channel {channel}: {found}");
            }
        }
    }
}

fn class_counts_of(labels: &[usize]) -> Vec<usize> {
    (0..2).map(|class| labels.iter().filter(|&&label| label == class).count()).collect()
}

/// The mirror also has the cardiotocograms as text, which another program has written. It counts the events (AC to DP)
/// where the features of the set are events a second; the sheet has both.
#[test]
fn the_spreadsheet_of_the_cardiotocograms_has_the_numbers_of_its_text() {
    let Some((_folder, store)) = store() else { return };
    for (name, text_labels, sheet_label) in
        [("cardiotocography_3", (23, 22), 46), ("cardiotocography_10", (22, 23), 44)]
    {
        let entry = catalogue().unwrap().get(name).unwrap();
        let classes: Vec<_> = entry.class_names().iter().map(|class| format!("{class:?}")).collect();
        let described = |name: &str, format: &str, file: &str| {
            let text = format!(
                "[[dataset]]\nname = \"{name}\"\ntitle = \"\"\nrows = 2126\ncolumns = 21\nclasses = [{}]\n\
                 licence = \"\"\nhome = \"\"\nfolder = \"cardiotocography\"\nformat = {format}\n\
                 files = [{{ name = \"{file}\", bytes = 2000000 }}]\n",
                classes.join(", ")
            );
            Catalogue::from_toml(&text).unwrap().get(name).unwrap().clone()
        };
        let (label, other) = text_labels;
        let format = format!(
            "{{ kind = \"delimited\", delimiter = \"comma\", header_lines = 1, label = {label}, drop = [{other}] }}"
        );
        let text = described("text", &format, "ctg_21f_CLASS_NSP.csv");
        let counted: Vec<usize> = (3..=8).chain([11]).chain(18..=31).collect();
        let format = format!(
            "{{ kind = \"xls\", sheet = \"Data\", first_row = 3, label = {sheet_label}, features = {counted:?} }}"
        );
        let sheet = described("sheet", &format, "CTG.xls");
        if !store.is_present(&sheet) || !store.is_present(&text) {
            println!("skipped: the mirror has not both files");
            return;
        }
        let (sheet, text) = (store.load_entry(&sheet).unwrap(), store.load_entry(&text).unwrap());
        assert_eq!(sheet.labels, text.labels);
        // The text starts with the base line, LB, the sheet has it behind the counts.
        let order: Vec<usize> = (1..7).chain([0]).chain(7..21).collect();
        assert_eq!(sheet.features, text.features.select(ndarray::Axis(1), &order));
        let dataset = store.load_entry(entry).unwrap();
        assert_eq!(dataset.labels, text.labels);
        let same: Vec<usize> = [0].into_iter().chain(7..21).collect();
        let columns = |features: &Array2<f64>| features.select(ndarray::Axis(1), &same);
        assert_eq!(columns(&dataset.features), columns(&text.features));
        // The second recording: 4 accelerations between its begin (5) and its end (632).
        assert!((dataset.features[[1, 1]] - 4.0 / 627.0).abs() < 1e-15);
    }
}
