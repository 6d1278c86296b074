//! A checked experiment: every name resolved, every number in its range, every point of the sweep laid out.

mod settings;

use std::collections::BTreeMap;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use crate::backend::Variant;
use crate::experiment::check::{self, Checker};
use crate::experiment::claim::Relation;
use crate::experiment::diagnostic::{Code, Diagnostic, Report};
use crate::experiment::document::{Document, Node};
use crate::experiment::metric::{CellExpression, Metric};
use crate::experiment::spec::{AxisSpec, FigureKind, ProfileName, Randomness, Spec};

pub use self::settings::{
    Approximation, Attack, Cost, Data, Local, Priced, Rule, Settings, System, Task, input_shape,
};

/// More points than this are a mistake in a sweep.
const MAX_POINTS: usize = 10_000;

/// An experiment that can run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Path under `experiments/`, without `.toml`; names the results directory.
    pub name: String,
    /// One line for captions.
    pub title: String,
    /// The paper whose values are compared.
    pub paper: Option<String>,
    /// The paper's artifact.
    pub artifact: Option<String>,
    /// The scale.
    pub profile: ProfileName,
    /// Where the sweep goes.
    pub points: Vec<Point>,
    /// The table.
    pub table: Option<Table>,
    /// The chart.
    pub figure: Option<Figure>,
    /// The claims.
    pub claims: Vec<Claim>,
    /// The file as it was read, profile and `--set` included.
    pub text: String,
    /// What was laid over the file by `--set`.
    pub set: Vec<String>,
    /// What `henn sweep` added.
    pub grid: Vec<String>,
}

/// One point of the sweep.
#[derive(Debug, Clone)]
pub struct Point {
    /// The keys that tell points apart, or that table and chart ask for, with their values as text.
    pub labels: Vec<(String, String)>,
    /// What to compute there.
    pub task: Task,
    /// Variants to run.
    pub variants: Vec<Variant>,
    /// Repetitions to run.
    pub repetitions: usize,
    /// Root of the randomness.
    pub seed: u64,
    /// Where keys come from.
    pub rng: Randomness,
}

impl Point {
    /// The value of a key as text.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

/// A checked table.
#[derive(Debug, Clone)]
pub struct Table {
    /// Key of the rows.
    pub rows: String,
    /// Keys of the column groups.
    pub columns: Vec<String>,
    /// What stands in the cells.
    pub cells: Vec<CellExpression>,
}

/// A checked chart.
#[derive(Debug, Clone)]
pub struct Figure {
    /// Bars, lines or points.
    pub kind: FigureKind,
    /// Key on the x axis; of points, the metric's name.
    pub x: String,
    /// Metric on the y axis.
    pub y: Vec<&'static Metric>,
    /// Key of the series.
    pub series: Option<String>,
    /// Key of the charts that stand side by side.
    pub panels: Option<String>,
    /// Label of the x axis.
    pub x_label: String,
    /// Label of the y axis.
    pub y_label: String,
    /// Range of the y axis.
    pub y_range: Option<(f64, f64)>,
    /// Logarithmic y axis.
    pub y_logarithmic: bool,
    /// Logarithmic x axis.
    pub x_logarithmic: bool,
    /// Over epochs, where a metric's y axis differs.
    pub axes: BTreeMap<String, AxisSpec>,
}

/// A checked claim.
#[derive(Debug, Clone)]
pub struct Claim {
    /// In words.
    pub text: String,
    /// As written.
    pub source: String,
    /// As a relation.
    pub relation: Relation,
    /// What is compared with one another, where that is not variants.
    pub across: Option<Across>,
}

/// A comparison of points.
#[derive(Debug, Clone)]
pub struct Across {
    /// The key whose values are compared.
    pub key: String,
    /// The keys that what is compared has in common.
    pub at: Vec<String>,
}

/// The file to read, and what to lay over it.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Name of the experiment.
    pub name: &'a str,
    /// Where the text comes from, for messages.
    pub origin: &'a str,
    /// The text.
    pub text: &'a str,
    /// The scale.
    pub profile: ProfileName,
    /// `--set` options.
    pub set: &'a [String],
    /// Grids added by `henn sweep`: `key=v1,v2`.
    pub grid: &'a [String],
}

/// A key of the sweep or of a case, with its place.
#[derive(Clone)]
struct Override<'t> {
    key: String,
    key_span: Range<usize>,
    value: Node<'t>,
}

/// The values that one axis of the sweep takes.
type Axis<'t> = Vec<Vec<Override<'t>>>;

impl Plan {
    /// Reads and checks an experiment; warnings come beside a plan.
    ///
    /// # Errors
    /// A report of everything that is wrong.
    pub fn load(request: &Request<'_>) -> Result<(Self, Report), Report> {
        Self::load_points(request, None)
    }

    /// The same with one point alone, the others neither checked nor planned: for whoever needs no more of a stranger's file. A plan without
    /// points where there are not so many.
    ///
    /// # Errors
    /// A report of everything that is wrong with it.
    pub fn load_point(request: &Request<'_>, index: usize) -> Result<(Self, Report), Report> {
        Self::load_points(request, Some(index))
    }

    fn load_points(request: &Request<'_>, only: Option<usize>) -> Result<(Self, Report), Report> {
        let document = Document::parse(request.origin, request.text)
            .map_err(|(sources, diagnostics)| Report::new(sources, diagnostics))?;
        let mut found = Vec::new();
        let (plan, document) = Self::build(request, document, only, &mut found);
        let report = Report::new(document.sources().clone(), found);
        match plan {
            Some(plan) if !report.has_errors() => Ok((plan, report)),
            _ => Err(report),
        }
    }

    fn build<'t>(
        request: &Request<'t>,
        mut document: Document<'t>,
        only: Option<usize>,
        found: &mut Vec<Diagnostic>,
    ) -> (Option<Self>, Document<'t>) {
        apply_profile(&mut document, request.profile, found);
        let mut axes = Vec::new();
        let mut pinned = Vec::new();
        for assignment in request.grid {
            match grid_axis(&mut document, assignment) {
                Ok((key, axis)) => {
                    axes.push(axis);
                    pinned.push(key);
                }
                Err(diagnostic) => found.push(diagnostic),
            }
        }
        for assignment in request.set {
            if let Err(diagnostic) = document.set(assignment) {
                found.push(diagnostic);
            }
            pinned.push(assignment.split('=').next().unwrap_or_default().trim().to_owned());
        }
        let mut tables = |name: &str| -> Vec<Vec<Override<'t>>> {
            let tables = document.take_tables(name).into_iter();
            let entries = tables.map(|table| {
                overrides(table.into_inner(), "").filter(|entry| !pinned.contains(&entry.key)).collect()
            });
            entries.filter(|entries: &Vec<Override<'t>>| !entries.is_empty()).collect()
        };
        let (cases, excluded) = (tables("case"), tables("exclude"));
        if !cases.is_empty() {
            axes.push(cases);
        }
        if let Some(sweep) = document.take_table("sweep") {
            // A profile may write with dots what the file writes in quotes: its values take the place of the file's.
            let mut swept: Vec<(String, Axis<'t>)> = Vec::new();
            for entry in overrides(sweep.into_inner(), "").filter(|entry| !pinned.contains(&entry.key)) {
                let (key, axis) = (entry.key.clone(), sweep_axis(entry, found));
                match swept.iter_mut().find(|(known, _)| *known == key) {
                    Some((_, known)) => *known = axis,
                    None => swept.push((key, axis)),
                }
            }
            axes.extend(swept.into_iter().map(|(_, axis)| axis));
        }
        // Read once without any point, so that what is wrong everywhere is reported at its own place.
        let Some(spec) = document.read::<Spec>(found) else { return (None, document) };
        let keys = label_keys(&spec, &axes);
        let total = axes.iter().map(Vec::len).try_fold(1_usize, usize::checked_mul).unwrap_or(usize::MAX);
        if total > MAX_POINTS {
            found.push(Diagnostic::error(
                Code::Range,
                document.span("title"),
                format!("the sweep has {total} points: at most {MAX_POINTS} allowed"),
            ));
            return (None, document);
        }
        let mut points = Vec::new();
        let mut number = 0;
        for index in 0..total {
            let Some(at_point) = lay_out_point(&document, (&axes, &excluded), index, found) else { continue };
            if only.is_none_or(|only| only == number) {
                points.extend(read_point(&at_point, &keys, found));
            }
            if only == Some(number) {
                break;
            }
            number += 1;
        }
        let mut checker = Checker::new(&document, found);
        let table = spec.table.as_ref().and_then(|table| check::table(table, &keys, &mut checker));
        let figure = spec.figure.as_ref().and_then(|figure| check::figure(figure, &keys, &mut checker));
        let claims = check::claims(&spec, &keys, &mut checker);
        check::heading(&spec, &mut checker);
        let plan = Self {
            name: request.name.to_owned(),
            title: spec.title,
            paper: spec.paper,
            artifact: spec.artifact,
            profile: request.profile,
            points,
            table,
            figure,
            claims,
            text: request.text.to_owned(),
            set: request.set.to_vec(),
            grid: request.grid.to_vec(),
        };
        (Some(plan), document)
    }
}

/// The file as it is at a point; nothing where the point is left out.
fn lay_out_point<'t>(
    document: &Document<'t>,
    (axes, excluded): (&[Axis<'t>], &[Vec<Override<'t>>]),
    index: usize,
    found: &mut Vec<Diagnostic>,
) -> Option<Document<'t>> {
    let mut point = document.clone();
    let mut rest = index;
    // The last axis turns fastest.
    let mut choice = vec![0; axes.len()];
    for (slot, axis) in choice.iter_mut().zip(axes).rev() {
        *slot = rest % axis.len();
        rest /= axis.len();
    }
    for (axis, &chosen) in axes.iter().zip(&choice) {
        for entry in &axis[chosen] {
            if let Err(diagnostic) = point.overlay(&entry.key, &entry.key_span, entry.value.clone()) {
                found.push(diagnostic);
                return None;
            }
        }
    }
    let has = |entry: &Override<'t>| {
        point.get(&entry.key).is_some_and(|value| display(value) == display(&entry.value))
    };
    let is_excluded = excluded.iter().any(|entries| entries.iter().all(has));
    (!is_excluded).then_some(point)
}

fn read_point(point: &Document<'_>, keys: &[String], found: &mut Vec<Diagnostic>) -> Option<Point> {
    let spec: Spec = point.read(found)?;
    let task = check::task(&spec, &mut Checker::new(point, found))?;
    let labels = keys
        .iter()
        .map(|key| (key.clone(), point.get(key).map_or_else(|| "-".to_owned(), display)))
        .collect();
    let run = spec.run;
    Some(Point {
        labels,
        task,
        variants: run.variants,
        repetitions: run.repetitions,
        seed: run.seed,
        rng: run.rng,
    })
}

/// The keys that tell points apart or that table and chart ask for.
fn label_keys(spec: &Spec, axes: &[Axis<'_>]) -> Vec<String> {
    // Published values are found by the data set, and by the system where the file names it.
    let mut keys = vec!["data.name".to_owned()];
    if !spec.run.label.is_empty() {
        keys.push("run.label".to_owned());
    }
    keys.extend(axes.iter().flatten().flatten().map(|entry| entry.key.clone()));
    if let Some(table) = &spec.table {
        keys.push(table.rows.clone());
        keys.extend(table.columns.iter().cloned());
    }
    for claim in &spec.claims {
        keys.extend(claim.across.clone());
        keys.extend(claim.at.iter().cloned());
    }
    if let Some(figure) = &spec.figure {
        keys.push(figure.x.clone());
        keys.extend(figure.series.clone());
        keys.extend(figure.panels.clone());
    }
    let mut seen = Vec::new();
    for key in keys {
        // Only keys of the file can be labels; `variant` and `repetition` are the runner's, wrong names are reported.
        if key.contains('.') && !seen.contains(&key) {
            seen.push(key);
        }
    }
    seen
}

fn apply_profile(document: &mut Document<'_>, chosen: ProfileName, found: &mut Vec<Diagnostic>) {
    let Some(profiles) = document.take_table("profile") else { return };
    for (name, node) in profiles.into_inner() {
        let known =
            [ProfileName::Quick, ProfileName::Paper].into_iter().find(|known| known.name() == name.get_ref());
        let span = node.span();
        let DeValue::Table(table) = node.into_inner() else {
            found.push(Diagnostic::error(Code::Type, span, "a profile is a table of dotted keys".to_owned()));
            continue;
        };
        let Some(known) = known else {
            found.push(
                Diagnostic::error(
                    Code::UnknownName,
                    name.span(),
                    format!("unknown profile `{}`", name.get_ref()),
                )
                .help("allowed: quick, paper"),
            );
            continue;
        };
        // The profile that is not asked for is laid over a copy, so that its mistakes are found too.
        let mut copy = document.clone();
        let target = if known == chosen { &mut *document } else { &mut copy };
        for entry in overrides(table, "") {
            if let Err(diagnostic) = target.overlay(&entry.key, &entry.key_span, entry.value) {
                found.push(diagnostic);
            }
        }
        if known != chosen {
            for name in ["case", "exclude", "sweep"] {
                copy.take_table(name);
                copy.take_tables(name);
            }
            copy.read::<Spec>(found);
        }
    }
}

/// Dotted keys of a table of overrides: `"a.b" = 1` and `[a] b = 1` are the same.
fn overrides<'t>(table: DeTable<'t>, prefix: &str) -> Box<dyn Iterator<Item = Override<'t>> + 't> {
    let prefix = prefix.to_owned();
    Box::new(table.into_iter().flat_map(move |(key, value)| {
        let path =
            if prefix.is_empty() { key.get_ref().to_string() } else { format!("{prefix}.{}", key.get_ref()) };
        let key_span = key.span();
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(inner) => overrides(inner, &path),
            other => {
                let value = toml::Spanned::new(span, other);
                Box::new(std::iter::once(Override { key: path, key_span, value }))
            }
        }
    }))
}

fn sweep_axis<'t>(entry: Override<'t>, found: &mut Vec<Diagnostic>) -> Axis<'t> {
    let Override { key, key_span, value } = entry;
    let span = value.span();
    match value.into_inner() {
        DeValue::Array(items) if !items.is_empty() => items
            .into_iter()
            .map(|value| vec![Override { key: key.clone(), key_span: key_span.clone(), value }])
            .collect(),
        _ => {
            found.push(
                Diagnostic::error(Code::Type, span, format!("sweep over `{key}` needs a list of values"))
                    .help("for example `\"data.name\" = [\"iris\", \"wine\"]`"),
            );
            vec![Vec::new()]
        }
    }
}

/// An axis given on the command line: `key=v1,v2,v3`.
fn grid_axis<'t>(document: &mut Document<'t>, assignment: &'t str) -> Result<(String, Axis<'t>), Diagnostic> {
    let (key, values) = assignment.split_once('=').unwrap_or((assignment, ""));
    let key = key.trim().to_owned();
    let mut axis = Vec::new();
    for raw in values.split(',').map(str::trim).filter(|raw| !raw.is_empty()) {
        let value = document.node(&format!("sweep {assignment}"), raw);
        axis.push(vec![Override { key: key.clone(), key_span: value.span(), value }]);
    }
    if axis.is_empty() || key.is_empty() {
        let span = document.node(&format!("sweep {assignment}"), assignment).span();
        return Err(Diagnostic::error(Code::Syntax, span, "a grid wants KEY=V1,V2,...".to_owned()));
    }
    Ok((key, axis))
}

/// A value as it stands in labels: strings bare, lists joined.
fn display(node: &Node<'_>) -> String {
    match node.get_ref() {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(integer) => integer.as_str().to_owned(),
        DeValue::Float(float) => float.as_str().to_owned(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(value) => value.to_string(),
        DeValue::Array(items) => {
            format!("[{}]", items.iter().map(display).collect::<Vec<_>>().join(", "))
        }
        DeValue::Table(_) => "{...}".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
        schema = 1
        [network]
        activation = "sigmoid"
        [approximation]
        method = "minimax"
        [run]
        task = "approximation"
        variants = ["plain"]
        [sweep]
        "approximation.degree" = [1, 3, 5]
        "approximation.interval" = [[-1.0, 1.0], [-8.0, 8.0]]
        [[exclude]]
        "approximation.degree" = 3
        "approximation.interval" = [-8.0, 8.0]
        [[exclude]]
        "approximation.degree" = 5
        [profile.paper]
        sweep = { approximation.degree = [7] }
        [table]
        rows = "approximation.degree"
        cell = "max_error"
    "#;

    fn labels(profile: ProfileName, set: &[&str]) -> Vec<(String, String)> {
        let set: Vec<String> = set.iter().map(ToString::to_string).collect();
        let request = Request { name: "test", origin: "test", text: FILE, profile, set: &set, grid: &[] };
        let (plan, _) = Plan::load(&request).unwrap_or_else(|report| panic!("{report}"));
        let label = |point: &Point, key| point.label(key).unwrap_or_default().to_owned();
        let keys = ["approximation.degree", "approximation.interval"];
        plan.points.iter().map(|point| (label(point, keys[0]), label(point, keys[1]))).collect()
    }

    #[test]
    fn what_is_excluded_is_no_point() {
        let expected = [("1", "[-1.0, 1.0]"), ("1", "[-8.0, 8.0]"), ("3", "[-1.0, 1.0]")];
        let owned = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect::<Vec<_>>()
        };
        assert_eq!(labels(ProfileName::Quick, &[]), owned(&expected));
        // What is pinned on the command line is of all points.
        assert_eq!(labels(ProfileName::Quick, &["approximation.degree=7"]), owned(&[("7", "[-1.0, 1.0]")]));
    }

    #[test]
    fn a_profile_replaces_an_axis_and_adds_none() {
        let found = labels(ProfileName::Paper, &[]);
        assert_eq!(found.iter().map(|(degree, _)| degree.as_str()).collect::<Vec<_>>(), ["7", "7"]);
    }
}
