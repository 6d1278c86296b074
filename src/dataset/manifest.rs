//! `datasets/manifest.toml`: what every data set is, where it comes from and what its files must hash to.

use std::{collections::BTreeSet, fmt, sync::OnceLock};

use serde::{Deserialize, Serialize};

use super::{DatasetError, Format, Picture, embedded, format::distinct};

/// The manifest's text.
const MANIFEST: &str = include_str!("../../datasets/manifest.toml");

/// The data sets of the manifest that is built into the program.
///
/// # Errors
/// [`DatasetError::Manifest`], which a program that was built from an untouched checkout never sees.
pub fn catalogue() -> Result<&'static Catalogue, DatasetError> {
    static CATALOGUE: OnceLock<Result<Catalogue, String>> = OnceLock::new();
    CATALOGUE
        .get_or_init(|| Catalogue::parse(MANIFEST))
        .as_ref()
        .map_err(|reason| DatasetError::Manifest { reason: reason.clone() })
}

/// The entries of a manifest, in its order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    dataset: Vec<Entry>,
}

impl Catalogue {
    /// Reads and checks a manifest.
    ///
    /// # Errors
    /// [`DatasetError::Manifest`] with the entry or the line that is wrong.
    pub fn from_toml(text: &str) -> Result<Self, DatasetError> {
        Self::parse(text).map_err(|reason| DatasetError::Manifest { reason })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let catalogue: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        let mut names = BTreeSet::new();
        for entry in &catalogue.dataset {
            entry.check().map_err(|reason| format!("data set {:?}: {reason}", entry.name))?;
            if !names.insert(&entry.name) {
                return Err(format!("data set {:?} is there twice", entry.name));
            }
        }
        Ok(catalogue)
    }

    /// Every entry.
    pub fn entries(&self) -> &[Entry] {
        &self.dataset
    }

    /// The entry of this name.
    pub fn find(&self, name: &str) -> Option<&Entry> {
        self.dataset.iter().find(|entry| entry.name == name)
    }

    /// The entry of this name, or an error that lists the names there are.
    ///
    /// # Errors
    /// [`DatasetError::Unknown`].
    pub fn get(&self, name: &str) -> Result<&Entry, DatasetError> {
        self.find(name).ok_or_else(|| DatasetError::Unknown {
            name: name.into(),
            known: self.names().map(str::to_owned).collect(),
        })
    }

    /// Every name.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.dataset.iter().map(|entry| entry.name.as_str())
    }
}

/// One data set of the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    name: String,
    title: String,
    rows: usize,
    columns: usize,
    classes: Vec<String>,
    test_rows: Option<usize>,
    licence: String,
    home: String,
    note: Option<String>,
    picture: Option<Picture>,
    folder: Option<String>,
    source: Option<Package>,
    format: Format,
    files: Vec<RawFile>,
}

/// A release of a package that carries raw files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// The kind of package.
    pub registry: Registry,
    /// The name of the package.
    pub package: String,
    /// The exact version.
    pub version: String,
    /// The folder of the files inside the package; `!` stands between an archive and what is inside it.
    pub path: String,
}

/// A kind of package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Registry {
    /// A Python package.
    Pypi,
    /// A package of npm, which `npm pack` downloads.
    Npm,
    /// A package of Debian, which `apt-get download` downloads.
    Debian,
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let registry = match self.registry {
            Registry::Pypi => "PyPI",
            Registry::Npm => "npm",
            Registry::Debian => "Debian",
        };
        write!(f, "{registry} {} {}, {}", self.package, self.version, self.path)
    }
}

/// One raw file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawFile {
    /// The file's name, without a folder.
    pub name: String,
    /// Its size in bytes; the most that it may have where the digest is not known.
    pub bytes: u64,
    /// The SHA-256 of these bytes, in lower-case hexadecimal; `None` where nobody could compute it yet, so that the
    /// checks of the reader stand alone.
    pub sha256: Option<String>,
    /// A public address; where it ends in `.gz` and the name does not, what comes from there is unpacked.
    pub url: Option<String>,
}

impl Entry {
    /// The name that configurations and commands use.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the set is about, in a few words.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The number of samples.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of features.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.classes.len()
    }

    /// The names of the classes in the raw files, in the order of their labels.
    pub fn class_names(&self) -> &[String] {
        &self.classes
    }

    /// How many of the last rows are the published test part.
    pub fn test_rows(&self) -> Option<usize> {
        self.test_rows
    }

    /// The terms under which the data are published.
    pub fn licence(&self) -> &str {
        &self.licence
    }

    /// The address of the set's public home.
    pub fn home(&self) -> &str {
        &self.home
    }

    /// What a user of the set should know.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// The shape of the pictures, where the rows are pictures: their features go channel by channel, row by row.
    pub fn picture(&self) -> Option<Picture> {
        self.picture
    }

    /// The folder of a mirror that has the raw files.
    pub fn folder(&self) -> &str {
        self.folder.as_deref().unwrap_or(&self.name)
    }

    /// The package that carries the raw files.
    pub fn source(&self) -> Option<&Package> {
        self.source.as_ref()
    }

    /// Whether a package client or a public address has the raw files, as far as the manifest knows.
    pub fn fetchable(&self) -> bool {
        self.source.as_ref().is_some_and(|source| source.registry != Registry::Pypi)
            || self.files.iter().any(|file| file.url.is_some())
    }

    /// Whether the digest of every raw file is known.
    pub fn digests_known(&self) -> bool {
        self.files.iter().all(|file| file.sha256.is_some())
    }

    /// How the raw files are written.
    pub fn format(&self) -> &Format {
        &self.format
    }

    /// The raw files.
    pub fn files(&self) -> &[RawFile] {
        &self.files
    }

    /// Whether the raw files are part of the program.
    pub fn embedded(&self) -> bool {
        self.files.iter().all(|file| embedded::bytes(&self.name, &file.name).is_some())
    }

    /// What is wrong with the entry, if anything.
    fn check(&self) -> Result<(), String> {
        let ensure = |condition: bool, reason: &str| if condition { Ok(()) } else { Err(reason.to_owned()) };
        ensure(plain(&self.name), "the name may only have letters, digits, '-', '_' and inner '.'")?;
        ensure(
            self.folder.as_deref().is_none_or(plain),
            "the folder may only have letters, digits, '-', '_' and inner '.'",
        )?;
        ensure(self.rows > 0 && self.columns > 0, "rows and columns must be at least 1")?;
        ensure(
            self.classes.len() > 1 && distinct(&self.classes),
            "there must be two or more different classes",
        )?;
        ensure(
            self.test_rows.is_none_or(|test| (1..self.rows).contains(&test)),
            "test_rows must be at least 1 and below rows",
        )?;
        ensure(!self.files.is_empty(), "there must be a file")?;
        for file in &self.files {
            let digest = file.sha256.as_ref().is_none_or(|digest| {
                digest.len() == 64 && digest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
            });
            ensure(plain(&file.name), "a file's name may only have letters, digits, '-', '_' and inner '.'")?;
            ensure(digest, "sha256 must be 64 lower-case hexadecimal digits")?;
        }
        let names: Vec<_> = self.files.iter().map(|file| &file.name).collect();
        ensure(distinct(&names), "two files have the same name")?;
        if let Some(picture) = self.picture {
            ensure(
                picture.values() == Some(self.columns),
                "the picture must have as many values as columns",
            )?;
        }
        self.format.check(self.columns, &self.classes, self.files.len(), self.picture)
    }
}

/// Whether a name can be a file's name on every system and cannot lead out of its folder.
fn plain(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !name.is_empty() && name.chars().all(inner) && !name.starts_with('.') && !name.ends_with('.')
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const ENTRY: &str = r#"
        [[dataset]]
        name = "tiny"
        title = "Tiny"
        rows = 3
        columns = 2
        classes = ["a", "b"]
        licence = "none"
        home = "https://example.org/tiny"
        source = { registry = "npm", package = "tiny", version = "1.0.0", path = "package" }
        format = { kind = "delimited", delimiter = "comma", label = 3 }
        files = [{ name = "tiny.csv", bytes = 1, sha256 = "SHA" }]
    "#;

    const FORMAT: &str = r#"{ kind = "delimited", delimiter = "comma", label = 3 }"#;

    fn reason(replacements: &[(&str, &str)]) -> String {
        let mut text = ENTRY.replace("SHA", &"0a".repeat(32));
        for (from, to) in replacements {
            assert!(text.contains(from), "{from}");
            text = text.replace(from, to);
        }
        Catalogue::from_toml(&text).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn the_built_in_manifest_has_the_sets_of_the_papers_and_only_public_homes() {
        let catalogue = catalogue().unwrap();
        let names: Vec<_> = catalogue.names().collect();
        let embedded =
            ["iris", "diabetes", "kr_vs_kp", "wine", "sonar", "vowel", "crabs", "fertility", "digits"];
        let fetched = [
            "mnist",
            "arcene",
            "banknote",
            "blood_transfusion",
            "breast_tissue",
            "cardiotocography_3",
            "cardiotocography_10",
            "climate",
            "cnae_9",
            "daphnet",
            "theorem_proving",
            "ovarian",
            "sensorless",
            "usps",
            "cifar10",
            "cifar10_jpeg",
            "cifar10_first4000",
            "stl10",
            "fashion_mnist",
            "regnet_mnist",
        ];
        assert_eq!(names, [&embedded[..], &fetched].concat());
        let unknown: Vec<_> = catalogue.entries().iter().filter(|entry| !entry.digests_known()).collect();
        assert_eq!(unknown.iter().map(|entry| entry.name()).collect::<Vec<_>>(), ["ovarian"]);
        for entry in catalogue.entries() {
            assert_eq!(entry.embedded(), embedded.contains(&entry.name()), "{}", entry.name());
            for address in entry.files().iter().filter_map(|file| file.url.as_deref()).chain([entry.home()]) {
                assert!(address.starts_with("https://"), "{address}");
                assert!(!["pypi", "npm", "registry"].iter().any(|host| address.contains(host)), "{address}");
            }
        }
        assert!(catalogue.find("iris0").is_none());
        let message = catalogue.get("iris0").unwrap_err().to_string();
        assert!(message.contains("iris0") && message.contains("kr_vs_kp"), "{message}");
    }

    #[test]
    fn a_manifest_with_any_field_out_of_range_or_unknown_is_refused() {
        assert_eq!(reason(&[]), "");
        for (from, to, part) in [
            ("title", "titel", "unknown field"),
            ("label = 3", "label = 3, labels = 3", "unknown field"),
            ("bytes = 1", "bytes = 1, size = 1", "unknown field"),
            ("\"tiny\"\n", "\"../tiny\"\n", "the name may only"),
            ("tiny.csv", "/etc/passwd", "a file's name"),
            ("tiny.csv", "..", "a file's name"),
            ("rows = 3", "rows = 0", "at least 1"),
            ("rows = 3", "rows = 3\ntest_rows = 3", "below rows"),
            ("\"a\", \"b\"", "\"a\"", "two or more"),
            ("\"a\", \"b\"", "\"a\", \"a\"", "different"),
            ("\"0a0a", "\"0A0A", "hexadecimal"),
            ("label = 3", "label = 4", "out of range"),
            ("label = 3", "label = 0", "out of range"),
            ("label = 3", "label = 3, drop = [3]", "twice"),
            ("label = 3", "label = 3, nominal = [{ columns = [1], values = [\"x\", \"x\"] }]", "twice"),
            (FORMAT, "{ kind = \"idx\" }", "pairs"),
            ("comma", "pipe", "unknown variant"),
            ("label = 3", "label = \"nowhere\"", "did not match any variant"),
            ("label = 3", "label = [3]", "one label column a class"),
            ("label = 3", "label = [3, 5]", "out of range"),
            ("label = 3", "label = [3, 3]", "twice"),
            ("label = 3", "label = \"separate_file\"", "pairs of rows and labels"),
            ("label = 3", "label = 3, skip_labels = [\"b\"]", "to be skipped"),
            ("label = 3", "label = [3, 4], skip_labels = [\"c\"]", "single label column"),
            ("rows = 3", "rows = 3\nfolder = \"../up\"", "the folder may only"),
            ("rows = 3", "rows = 3\npicture = { channels = 3, height = 1, width = 1 }", "as many values"),
            ("rows = 3", "rows = 3\npicture = { channels = 0, height = 1, width = 1 }", "as many values"),
            (FORMAT, "{ kind = \"stl10\" }", "needs a picture"),
            (FORMAT, "{ kind = \"jpeg_archive\", parts = [\"a\"] }", "needs a picture"),
            (FORMAT, "{ kind = \"jpeg_archive\", parts = [] }", "parts"),
            (FORMAT, "{ kind = \"cifar\", members = [\"a\", \"a\"] }", "twice"),
            (
                FORMAT,
                "{ kind = \"xls\", sheet = \"a\", first_row = 0, features = [1, 2], label = 3 }",
                "start at 1",
            ),
            (
                FORMAT,
                "{ kind = \"xls\", sheet = \"a\", first_row = 1, features = [1], label = 3 }",
                "as many feature",
            ),
            (
                FORMAT,
                "{ kind = \"xls\", sheet = \"a\", first_row = 1, features = [1, 3], label = 3 }",
                "twice",
            ),
        ] {
            let message = reason(&[(from, to)]);
            assert!(message.contains(part), "{to}: {message:?} should say {part:?}");
        }
        let twice = ENTRY.replace("SHA", &"0a".repeat(32)).repeat(2);
        assert!(Catalogue::from_toml(&twice).unwrap_err().to_string().contains("there twice"));
    }
}
