//! Every embedded set against what is known of it from elsewhere, and the cache against damage.

use std::io::Write;

use ndarray::Axis;

use super::*;
use crate::dataset::{Catalogue, Fault, archive, gzip, idx};

fn load(name: &str) -> Dataset {
    Store::new("no such directory").load(name).unwrap()
}

/// Shape and class counts as the sets' publications give them.
#[test]
fn every_embedded_set_loads_with_its_published_shape_and_class_counts() {
    let known: [(&str, usize, usize, &[usize]); 9] = [
        ("iris", 150, 4, &[50, 50, 50]),
        ("diabetes", 768, 8, &[500, 268]),
        ("kr_vs_kp", 3196, 36, &[1669, 1527]),
        ("wine", 178, 13, &[59, 71, 48]),
        ("sonar", 208, 60, &[97, 111]),
        ("vowel", 990, 10, &[90; 11]),
        ("crabs", 200, 6, &[100, 100]),
        ("fertility", 100, 9, &[88, 12]),
        ("digits", 1797, 64, &[178, 182, 177, 183, 181, 182, 181, 179, 174, 180]),
    ];
    let embedded = catalogue().unwrap().entries().iter().filter(|entry| entry.embedded());
    assert_eq!(embedded.count(), known.len());
    for (name, rows, columns, counts) in known {
        let dataset = load(name);
        assert_eq!(dataset.features.dim(), (rows, columns), "{name}");
        assert_eq!(dataset.class_counts(), counts, "{name}");
        assert_eq!((dataset.classes, dataset.class_names.len()), (counts.len(), counts.len()), "{name}");
        assert_eq!((dataset.test_rows, dataset.len()), (None, rows), "{name}");
    }
}

#[test]
fn the_first_rows_are_the_published_ones() {
    let first = |name: &str| {
        let dataset = load(name);
        let class = dataset.class_names[dataset.labels[0]].clone();
        (dataset.features.row(0).to_vec(), class)
    };
    assert_eq!(first("iris"), (vec![5.1, 3.5, 1.4, 0.2], "Iris-setosa".into()));
    assert_eq!(first("diabetes"), (vec![6.0, 148.0, 72.0, 35.0, 0.0, 33.6, 0.627, 50.0], "positive".into()));
    let (wine, cultivar) = first("wine");
    assert_eq!((&wine[..4], wine[12], cultivar.as_str()), (&[14.23, 1.71, 2.43, 15.6][..], 1065.0, "1"));
    let (vowel, sound) = first("vowel");
    assert_eq!((&vowel[..2], vowel[9], sound.as_str()), (&[-3.639, 0.418][..], -0.814, "0"));
    assert_eq!(first("crabs"), (vec![1.0, 8.1, 6.7, 16.1, 19.0, 7.0], "B".into()));
    assert_eq!(first("fertility"), (vec![-0.33, 0.69, 0.0, 1.0, 1.0, 0.0, 0.8, 0.0, 0.88], "N".into()));
    let (digit, name) = first("digits");
    assert_eq!((&digit[..8], name.as_str()), (&[0.0, 0.0, 5.0, 13.0, 9.0, 1.0, 0.0, 0.0][..], "0"));
}

/// Column means that the literature gives, which a shifted or dropped column would miss.
#[test]
fn the_columns_have_their_published_means() {
    let close = |name: &str, column: usize, mean: f64| {
        let found = load(name).features.mean_axis(Axis(0)).unwrap()[column];
        assert!((found - mean).abs() < 5e-4 * mean, "{name}, feature {column}: {found}, not {mean}");
    };
    for (column, mean) in [5.8433, 3.054, 3.7587, 1.1987].into_iter().enumerate() {
        close("iris", column, mean);
    }
    close("diabetes", 1, 120.8945);
    close("diabetes", 5, 31.9926);
    close("diabetes", 7, 33.2409);
    close("wine", 0, 13.0006);
    close("wine", 12, 746.8933);
}

#[test]
fn the_words_of_the_chess_set_count_in_declared_order() {
    let dataset = load("kr_vs_kp");
    // "f,f,f,f,f,f,f,f,f,f,f,f,l,f,n,f,f,t,f,f,f,f,f,f,f,t,f,f,f,f,f,f,f,t,t,n,won"
    let mut expected = [0.0; 36];
    for column in [12, 14, 17, 25, 33, 34] {
        expected[column] = 1.0;
    }
    assert_eq!(dataset.features.row(0).to_vec(), expected);
    assert_eq!(dataset.labels[0], 0);
    let greatest = dataset.features.fold_axis(Axis(0), 0.0_f64, |greatest, value| greatest.max(*value));
    let mut expected = [1.0; 36];
    expected[14] = 2.0;
    assert_eq!(greatest.to_vec(), expected, "two words a column, three in one");
}

#[test]
fn the_digest_of_a_set_of_one_file_is_the_digest_of_the_file() {
    let file = &catalogue().unwrap().get("iris").unwrap().files()[0];
    assert_eq!(Some(load("iris").digest), file.sha256);
    // FIPS 180-4's example, so that the digests of the manifest are SHA-256 and nothing else.
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(hex(&Sha256::digest(b"abc")), abc);
}

#[test]
fn an_unknown_name_is_answered_with_the_known_ones() {
    let message = Store::new("x").load("irsi").unwrap_err().to_string();
    assert!(message.contains("\"irsi\"") && message.contains("iris, diabetes"), "{message}");
}

#[test]
fn an_absent_set_is_reported_with_its_files_and_every_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path());
    let entry = catalogue().unwrap().get("mnist").unwrap();
    assert!(!store.is_present(entry));
    let error = store.load("mnist").unwrap_err();
    let message = error.to_string();
    assert!(matches!(error, DatasetError::Absent { files, .. } if files.len() == 4));
    for part in [
        "train-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
        &folder.path().join("mnist").display().to_string(),
        "henn datasets fetch mnist",
        "--mirror DIR",
        "HENN_DATASET_MIRROR",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ] {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
}

/// Two pictures of 2 x 2 in `train`, one in `test`, of the classes 0 and 1.
pub(crate) fn tiny_files() -> [(&'static str, Vec<u8>); 4] {
    [
        ("train-images", idx::tests::file(0x803, &[2, 2, 2], &[1, 2, 3, 4, 5, 6, 7, 8])),
        ("train-labels", idx::tests::file(0x801, &[2], &[1, 0])),
        ("test-images", idx::tests::file(0x803, &[1, 2, 2], &[9, 10, 11, 12])),
        ("test-labels", idx::tests::file(0x801, &[1], &[1])),
    ]
}

/// The entry of [`tiny_files`], with `edit` applied to its text; `URL` stands before each file's name in its address.
pub(crate) fn tiny(edit: impl Fn(String) -> String) -> Entry {
    let files: Vec<_> = tiny_files()
        .iter()
        .map(|(name, bytes)| {
            let (length, digest) = (bytes.len(), hex(&Sha256::digest(bytes)));
            format!(
                "{{ name = \"{name}\", bytes = {length}, sha256 = \"{digest}\", url = \"URL/{name}.gz\" }}"
            )
        })
        .collect();
    let text = format!(
        "[[dataset]]\nname = \"tiny\"\ntitle = \"Tiny\"\nrows = 3\ncolumns = 4\nclasses = [\"zero\", \"one\"]\n\
         test_rows = 1\nlicence = \"none\"\nhome = \"https://example.org/tiny\"\n\
         source = {{ registry = \"pypi\", package = \"tiny\", version = \"1.0.0\", path = \"package/data\" }}\n\
         format = {{ kind = \"idx\" }}\nfiles = [{}]\n",
        files.join(", ")
    );
    Catalogue::from_toml(&edit(text)).unwrap().get("tiny").unwrap().clone()
}

/// Puts files into `folder`, which is made.
pub(crate) fn put<'a>(folder: &Path, files: impl IntoIterator<Item = (&'a str, &'a [u8])>) {
    std::fs::create_dir_all(folder).unwrap();
    for (name, bytes) in files {
        File::create(folder.join(name)).unwrap().write_all(bytes).unwrap();
    }
}

/// A cache that has the tiny set.
fn filled() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    put(&folder.path().join("tiny"), tiny_files().iter().map(|(name, bytes)| (*name, &bytes[..])));
    let store = Store::new(folder.path());
    (folder, store)
}

#[test]
fn a_cached_set_is_read_in_the_order_of_the_manifest() {
    let (_folder, store) = filled();
    let entry = tiny(|text| text);
    assert!(store.is_present(&entry) && !entry.embedded());
    store.verify(&entry).unwrap();
    let dataset = store.load_entry(&entry).unwrap();
    assert_eq!(dataset.features.row(2).to_vec(), [9.0, 10.0, 11.0, 12.0]);
    assert_eq!((dataset.labels.clone(), dataset.test_rows), (vec![1, 0, 1], Some(1)));
    let all: Vec<u8> = tiny_files().into_iter().flat_map(|(_, bytes)| bytes).collect();
    assert_eq!(dataset.digest, hex(&Sha256::digest(&all)));
}

#[test]
fn a_cached_file_with_one_wrong_bit_is_refused_before_it_is_read() {
    let (folder, store) = filled();
    let entry = tiny(|text| text);
    let (name, mut bytes) = tiny_files()[2].clone();
    bytes[17] ^= 1;
    put(&folder.path().join("tiny"), [(name, &bytes[..])]);
    assert!(store.is_present(&entry), "the size is right");
    for error in [store.verify(&entry).unwrap_err(), store.load_entry(&entry).unwrap_err()] {
        let DatasetError::Digest { file, found, expected } = error else { panic!("{error:?}") };
        assert!(file.ends_with("test-images"), "{file}");
        assert_eq!(
            (Some(found), Some(expected)),
            (Some(hex(&Sha256::digest(&bytes))), entry.files()[2].sha256.clone())
        );
    }
}

#[test]
fn a_cached_file_of_another_size_is_not_present_and_never_read_beyond_its_size() {
    let (folder, store) = filled();
    let entry = tiny(|text| text);
    put(&folder.path().join("tiny"), [("test-labels", &[0; 4000][..])]);
    assert!(!store.is_present(&entry));
    let message = store.load_entry(&entry).unwrap_err().to_string();
    assert!(message.contains("more than 9 bytes"), "{message}");
}

#[test]
fn one_missing_file_is_named_alone() {
    let (folder, store) = filled();
    std::fs::remove_file(folder.path().join("tiny/train-labels")).unwrap();
    let error = store.load_entry(&tiny(|text| text)).unwrap_err();
    assert!(matches!(error, DatasetError::Absent { files, .. } if files == ["train-labels"]));
}

#[test]
fn files_that_are_not_what_the_manifest_says_are_refused() {
    let (_folder, store) = filled();
    let refused = |from: &str, to: &str| store.load_entry(&tiny(|text| text.replace(from, to))).unwrap_err();
    let shape = |error, what_, found_, expected_| {
        let DatasetError::Shape { name, what, found, expected } = error else { panic!("{error:?}") };
        assert_eq!((name.as_str(), what, found, expected), ("tiny", what_, found_, expected_));
    };
    shape(refused("rows = 3\n", "rows = 4\n"), "rows", 3, 4);
    shape(refused("\"one\"]", "\"one\", \"two\"]"), "classes with rows", 2, 3);
    let columns = refused("columns = 4", "columns = 5");
    assert!(matches!(
        columns,
        DatasetError::Malformed { fault: Fault::Pixels { found: 4, expected: 5 }, .. }
    ));
}

/// A mirror with the tiny set in the folder `other`, an empty cache, and the set's entry.
fn mirrored() -> (tempfile::TempDir, Store, Entry) {
    let folder = tempfile::tempdir().unwrap();
    let mut files = tiny_files();
    put(&folder.path().join("mirror/other"), [("train-images.gz", &gzip::pack(&files[0].1)[..])]);
    files[0].0 = "unrelated";
    put(&folder.path().join("mirror/other"), files.iter().map(|(name, bytes)| (*name, &bytes[..])));
    let store = Store::new(folder.path().join("cache")).with_mirror(Some(folder.path().join("mirror")));
    let entry = tiny(|text| text.replace("format =", "folder = \"other\"\nformat ="));
    (folder, store, entry)
}

#[test]
fn what_the_cache_lacks_comes_from_the_mirror_and_stays() {
    let (folder, store, entry) = mirrored();
    assert_eq!(store.presence(&entry), Presence::Mirrored);
    assert!(store.is_present(&entry));
    assert_eq!(store.load_entry(&entry).unwrap().labels, [1, 0, 1]);
    assert_eq!(store.presence(&entry), Presence::Cached);
    std::fs::remove_dir_all(folder.path().join("mirror")).unwrap();
    assert_eq!(store.load_entry(&entry).unwrap().labels, [1, 0, 1]);
    assert!(folder.path().join("cache/tiny/train-images").is_file(), "unpacked, under the name of the set");
}

#[test]
fn a_mirror_without_a_file_or_with_a_wrong_one_is_named_with_the_reason() {
    let (folder, store, entry) = mirrored();
    std::fs::remove_file(folder.path().join("mirror/other/test-images")).unwrap();
    put(&folder.path().join("mirror/other"), [("test-labels", &[1, 2, 3][..])]);
    assert_eq!(store.presence(&entry), Presence::Absent);
    let error = store.load_entry(&entry).unwrap_err();
    let message = error.to_string();
    let DatasetError::Absent { files, .. } = error else { panic!("{error:?}") };
    assert_eq!(files, ["test-images", "test-labels"]);
    assert!(message.contains("neither test-images nor test-images.gz"), "{message}");
    assert!(message.contains("test-labels: SHA-256 "), "{message}");
    assert!(message.contains("DIR has other/train-images"), "{message}");
}

#[test]
fn a_file_without_a_known_digest_is_read_up_to_its_limit() {
    let (folder, store) = filled();
    let strip = |text: String| {
        let mut parts = text.split(", sha256 = \"");
        let first = parts.next().unwrap().to_owned();
        parts
            .fold(first, |all, part| all + part.split_once('"').unwrap().1)
            .replace("bytes = 9,", "bytes = 10,")
    };
    let entry = tiny(strip);
    assert!(!entry.digests_known() && store.is_present(&entry));
    store.verify(&entry).unwrap();
    assert_eq!(store.load_entry(&entry).unwrap().labels, [1, 0, 1]);
    // What is computed from a file without a known digest is known by the digest that it has.
    let found: Vec<_> = tiny_files().iter().map(|(_, bytes)| Some(hex(&Sha256::digest(bytes)))).collect();
    assert_eq!(store.digests(&entry).unwrap(), found);
    assert_eq!(Store::new("nowhere").digests(&entry).unwrap(), [const { None }; 4]);
    assert_eq!(Store::new("nowhere").digests(&tiny(|text| text)).unwrap(), found);
    put(&folder.path().join("tiny"), [("test-labels", &[0; 11][..])]);
    assert!(!store.is_present(&entry));
    let message = store.load_entry(&entry).unwrap_err().to_string();
    assert!(message.contains("more than 10 bytes") && message.contains("at most 10 bytes"), "{message}");
}

/// An entry of pictures of 2 x 3 with one channel, in one file without a known digest.
fn pictures(file: &str, format: &str) -> Entry {
    let text = format!(
        "[[dataset]]\nname = \"pictures\"\ntitle = \"\"\nrows = 3\ncolumns = 6\nclasses = [\"zero\", \"one\"]\n\
         test_rows = 1\npicture = {{ channels = 1, height = 2, width = 3 }}\nlicence = \"\"\nhome = \"\"\n\
         format = {format}\nfiles = [{{ name = \"{file}\", bytes = 10000 }}]\n"
    );
    Catalogue::from_toml(&text).unwrap().get("pictures").unwrap().clone()
}

#[test]
fn archives_and_compressed_records_are_read_member_by_member() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path());
    let load = |entry: &Entry, bytes: &[u8]| {
        let file = entry.files()[0].name.clone();
        put(&folder.path().join("pictures"), [(file.as_str(), bytes)]);
        store.load_entry(entry)
    };
    let train = [1, 0, 1, 2, 3, 4, 5, 0, 10, 11, 12, 13, 14, 15];
    let test = [1, 20, 21, 22, 23, 24, 25];
    let archive = archive::pack(&[("c/test.bin", &test), ("c/readme", b"x"), ("c/train.bin", &train)]);
    let entry = pictures("c.tar.gz", "{ kind = \"cifar\", members = [\"c/train.bin\", \"c/test.bin\"] }");
    let dataset = load(&entry, &archive).unwrap();
    assert_eq!(dataset.features.row(2).to_vec(), [20.0, 21.0, 22.0, 23.0, 24.0, 25.0]);
    assert_eq!((&dataset.labels[..], dataset.picture), (&[1, 0, 1][..], entry.picture()));
    let records = [&train[..], &test].concat();
    let single = pictures("c.bin.gz", "{ kind = \"cifar\" }");
    assert_eq!(load(&single, &gzip::pack(&records)).unwrap().features, dataset.features);
    let plain = pictures("c.bin", "{ kind = \"cifar\" }");
    assert_eq!(load(&plain, &records).unwrap().features, dataset.features);
    // More records than the manifest has rows are not even unpacked.
    let long = load(&single, &gzip::pack(&[&records[..], &test].concat())).unwrap_err().to_string();
    assert!(long.contains("more than the permitted 21 bytes"), "{long}");

    // The same pictures, written column by column.
    let turned: Vec<u8> =
        records.chunks_exact(7).flat_map(|record| [1, 4, 2, 5, 3, 6].map(|place| record[place])).collect();
    let archive = archive::pack(&[
        ("s/train_X", &turned[..12]),
        ("s/train_y", &[2, 1]),
        ("s/test_X", &turned[12..]),
        ("s/test_y", &[2]),
        ("s/unlabeled_X", &[0; 5000]),
    ]);
    let members = "\"s/train_X\", \"s/train_y\", \"s/test_X\", \"s/test_y\"";
    let entry = pictures("s.tar.gz", &format!("{{ kind = \"stl10\", members = [{members}] }}"));
    let turned = load(&entry, &archive).unwrap();
    assert_eq!((turned.features, turned.labels), (dataset.features, dataset.labels));
    let cut = load(&entry, &archive[..archive.len() / 2]).unwrap_err().to_string();
    assert!(cut.contains("s.tar.gz"), "{cut}");
}
