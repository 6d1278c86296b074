//! `datasets/manifest.toml`: what every data set is, where it comes from and what its files must hash to.

use std::{collections::BTreeSet, fmt, sync::OnceLock};

use serde::{Deserialize, Serialize};

use super::{DatasetError, embedded};

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
    source: Package,
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
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let registry = match self.registry {
            Registry::Pypi => "PyPI",
            Registry::Npm => "npm",
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
    /// Its size in bytes.
    pub bytes: u64,
    /// The SHA-256 of these bytes, in lower-case hexadecimal.
    pub sha256: String,
    /// A public address; where it ends in `.gz` and the name does not, what comes from there is unpacked.
    pub url: Option<String>,
}

/// How the raw files are written. A text file whose name ends in `.gz` is unpacked when it is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Format {
    /// The KEEL format, which declares its attributes.
    Keel {
        /// The names of attributes that are no features.
        #[serde(default)]
        drop: Vec<String>,
    },
    /// A row a line; several files are read one after the other. Columns are counted from 1.
    Delimited {
        /// What stands between two fields.
        delimiter: Delimiter,
        /// Lines before the first row.
        #[serde(default)]
        header_lines: usize,
        /// The column of the class.
        label: usize,
        /// Columns that are no features.
        #[serde(default)]
        drop: Vec<usize>,
        /// Features that are no numbers.
        #[serde(default)]
        nominal: Vec<Nominal>,
    },
    /// The IDX format of MNIST; the files are pairs of pictures and labels.
    Idx,
}

/// What stands between two fields of a delimited file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delimiter {
    /// A comma; fields may be quoted.
    Comma,
    /// A semicolon; fields may be quoted.
    Semicolon,
    /// Any amount of white space.
    Whitespace,
}

/// Columns of a delimited file whose values are words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nominal {
    /// The columns, counted from 1.
    pub columns: Vec<usize>,
    /// The words, which become 0, 1, ... in this order.
    pub values: Vec<String>,
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

    /// The package that carries the raw files.
    pub fn source(&self) -> &Package {
        &self.source
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
            let digest = file.sha256.len() == 64
                && file.sha256.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            ensure(plain(&file.name), "a file's name may only have letters, digits, '-', '_' and inner '.'")?;
            ensure(digest, "sha256 must be 64 lower-case hexadecimal digits")?;
        }
        let names: Vec<_> = self.files.iter().map(|file| &file.name).collect();
        ensure(distinct(&names), "two files have the same name")?;
        match &self.format {
            Format::Keel { .. } => Ok(()),
            Format::Idx => {
                ensure(self.files.len().is_multiple_of(2), "IDX files must be pairs of pictures and labels")
            }
            Format::Delimited { label, drop, nominal, .. } => {
                let mut special: Vec<_> =
                    nominal.iter().flat_map(|nominal| &nominal.columns).chain(drop).collect();
                special.push(label);
                let width = self.columns + drop.len() + 1;
                ensure(
                    special.iter().all(|column| (1..=width).contains(*column)),
                    "a column is out of range",
                )?;
                ensure(distinct(&special), "a column is named twice")?;
                let words = nominal.iter().all(|nominal| distinct(&nominal.values));
                ensure(words, "a nominal value is there twice")
            }
        }
    }
}

/// Whether a name can be a file's name on every system and cannot lead out of its folder.
fn plain(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !name.is_empty() && name.chars().all(inner) && !name.starts_with('.') && !name.ends_with('.')
}

fn distinct<T: Ord>(items: &[T]) -> bool {
    items.iter().collect::<BTreeSet<_>>().len() == items.len()
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
        assert_eq!(names, [&embedded[..], &["mnist"]].concat());
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
            ("{ kind = \"delimited\", delimiter = \"comma\", label = 3 }", "{ kind = \"idx\" }", "pairs"),
            ("comma", "pipe", "unknown variant"),
        ] {
            let message = reason(&[(from, to)]);
            assert!(message.contains(part), "{to}: {message:?} should say {part:?}");
        }
        let twice = ENTRY.replace("SHA", &"0a".repeat(32)).repeat(2);
        assert!(Catalogue::from_toml(&twice).unwrap_err().to_string().contains("there twice"));
    }
}
