//! The rules of `[table]`, `[figure]` and `[[claim]]`.

use super::Checker;
use crate::{
    backend::Variant,
    experiment::{
        claim::{Relation, RelationError},
        diagnostic::{Code, Diagnostic},
        metric::{self, CellExpression},
        plan::{Across, Claim, Figure, Table},
        spec::{FigureKind, FigureSpec, Spec, TableSpec},
    },
};

/// Keys that are not of the file but of the cell.
const CELL_KEYS: [&str; 2] = ["variant", "repetition"];

/// What charts call the number of passes over the training part.
pub const EPOCH: &str = "epoch";
/// The metrics that are recorded epoch by epoch.
pub const CURVES: [&str; 2] = ["accuracy", "loss"];

/// Reports a key of a table or chart that tells no cells apart.
fn cell_key(path: &str, key: &str, keys: &[String], checker: &mut Checker<'_>) -> bool {
    let known = CELL_KEYS.contains(&key)
        || keys.iter().any(|label| label == key && checker.document.get(label).is_some());
    let swept = keys.iter().any(|label| label == key) && key.contains('.');
    if known || swept {
        return true;
    }
    let names: Vec<&str> = CELL_KEYS.into_iter().chain(keys.iter().map(String::as_str)).collect();
    checker.unknown(path, "key", key, names.iter().copied());
    false
}

fn unknown_metric(path: &str, name: &str, checker: &mut Checker<'_>) {
    let span = checker.document.span(path);
    let names: Vec<&str> = metric::METRICS.iter().map(|metric| metric.name).collect();
    let mut diagnostic = Diagnostic::error(Code::UnknownName, span, format!("unknown metric `{name}`"))
        .help(&format!("allowed, each alone or followed by `± std`: {}", names.join(", ")));
    if let Some(right) = metric::suggest(name) {
        diagnostic = diagnostic.label(&format!("did you mean `{right}`?"));
    }
    checker.found.push(diagnostic);
}

/// Checks `[table]`.
pub fn table(spec: &TableSpec, keys: &[String], checker: &mut Checker<'_>) -> Option<Table> {
    let mut fine = cell_key("table.rows", &spec.rows, keys, checker);
    for (index, column) in spec.columns.iter().enumerate() {
        fine &= cell_key(&format!("table.columns.{index}"), column, keys, checker);
    }
    let mut cells = Vec::new();
    for cell in spec.cell.as_slice() {
        match CellExpression::parse(cell) {
            Ok(cell) => cells.push(cell),
            Err(name) => {
                unknown_metric("table.cell", &name, checker);
                fine = false;
            }
        }
    }
    fine.then(|| Table { rows: spec.rows.clone(), columns: spec.columns.clone(), cells })
}

/// Checks `[figure]`.
pub fn figure(spec: &FigureSpec, keys: &[String], checker: &mut Checker<'_>) -> Option<Figure> {
    let before = checker.found.len();
    if spec.kind != FigureKind::Images {
        let needed = [
            ("figure.x", spec.x.is_empty()),
            ("figure.y", spec.y.as_slice().is_empty()),
            ("figure.x_label", spec.x_label.is_empty()),
            ("figure.y_label", spec.y_label.is_empty()),
        ];
        for (path, _) in needed.into_iter().filter(|(_, is_missing)| *is_missing) {
            checker.missing(path, "only a figure of images does without");
        }
    }
    if checker.has_errors_since(before) {
        return None;
    }
    let mut fine = match (spec.kind, metric::find(&spec.x)) {
        (FigureKind::Images, _) | (FigureKind::Scatter, Some(_)) => true,
        (FigureKind::Scatter, None) => {
            unknown_metric("figure.x", &spec.x, checker);
            false
        }
        (FigureKind::Line, _) if spec.x == EPOCH => epochs(spec, checker),
        (FigureKind::Bar | FigureKind::Line, _) => cell_key("figure.x", &spec.x, keys, checker),
    };
    for (path, key) in [("figure.series", &spec.series), ("figure.panels", &spec.panels)] {
        if let Some(key) = key {
            fine &= cell_key(path, key, keys, checker);
        }
    }
    if let Some([low, high]) = spec.y_range
        && !(low < high && (!spec.y_logarithmic || low > 0.0))
    {
        checker.error(
            "figure.y_range",
            Code::Range,
            format!("`figure.y_range` is [{low}, {high}]"),
            "allowed: a lower bound below the upper; above 0 on a logarithmic axis",
        );
        fine = false;
    }
    let mut y = Vec::new();
    for name in spec.y.as_slice() {
        match metric::find(name) {
            Some(metric) => y.push(metric),
            None => unknown_metric("figure.y", name, checker),
        }
    }
    fine &= y.len() == spec.y.as_slice().len() && (!y.is_empty() || spec.kind == FigureKind::Images);
    fine.then(|| Figure {
        kind: spec.kind,
        x: spec.x.clone(),
        y,
        series: spec.series.clone(),
        panels: spec.panels.clone(),
        x_label: spec.x_label.clone(),
        y_label: spec.y_label.clone(),
        y_range: spec.y_range.map(|[low, high]| (low, high)),
        y_logarithmic: spec.y_logarithmic,
        x_logarithmic: spec.x_logarithmic,
        axes: spec.axes.clone(),
    })
}

/// Checks a chart over epochs.
fn epochs(spec: &FigureSpec, checker: &mut Checker<'_>) -> bool {
    let before = checker.found.len();
    checker.missing("training.curve", "a chart over epochs needs `training.curve = true`");
    for name in spec.y.as_slice().iter().chain(spec.axes.keys()) {
        if metric::find(name).is_some() && !CURVES.contains(&name.as_str()) {
            checker.unknown("figure.y", "metric of an epoch", name, CURVES.into_iter());
        }
    }
    if spec.x_logarithmic {
        let message = "epochs begin at 0, which has no logarithm".to_owned();
        checker.error("figure.x_logarithmic", Code::Incompatible, message, "leave it out");
    }
    for (name, axis) in &spec.axes {
        if let Some([low, high]) = axis.range
            && !(low < high && (!axis.logarithmic || low > 0.0))
        {
            let path = format!("figure.axes.{name}.range");
            let message = format!("`{path}` is [{low}, {high}]");
            let help = "allowed: a lower bound below the upper; above 0 on a logarithmic axis";
            checker.error(&path, Code::Range, message, help);
        }
    }
    !checker.has_errors_since(before)
}

/// Checks the `[[claim]]`s.
pub fn claims(spec: &Spec, keys: &[String], checker: &mut Checker<'_>) -> Vec<Claim> {
    let mut claims = Vec::new();
    for (index, written) in spec.claims.iter().enumerate() {
        let path = format!("claim.{index}.holds");
        let across = match &written.across {
            None => None,
            Some(key) => {
                let mut at = written.at.clone();
                if let (true, Some(table)) = (at.is_empty(), &spec.table) {
                    at.push(table.rows.clone());
                }
                at.retain(|at| at != key);
                let mut fine = cell_key(&format!("claim.{index}.across"), key, keys, checker);
                for (place, at) in at.iter().enumerate() {
                    fine &= cell_key(&format!("claim.{index}.at.{place}"), at, keys, checker);
                }
                if !fine {
                    continue;
                }
                Some(Across { key: key.clone(), at })
            }
        };
        match Relation::parse(&written.holds) {
            Ok(relation) => {
                let is_variant = |name: &str| Variant::ALL.iter().any(|variant| variant.name() == name);
                let stranger = relation.subjects().find(|name| across.is_none() && !is_variant(name));
                if let Some(name) = stranger {
                    let (name, names) = (name.to_owned(), Variant::ALL.map(Variant::name));
                    checker.unknown(&path, "variant", &name, names.into_iter());
                    continue;
                }
                let (text, source) = (written.text.clone(), written.holds.clone());
                claims.push(Claim { text, source, relation, across });
            }
            Err(error) => {
                let span = checker.document.span(&path);
                let mut diagnostic = Diagnostic::error(Code::Expression, span, error.to_string())
                    .help("for example `encrypted.accuracy >= plain.accuracy - 0.01`");
                if let RelationError::Metric(name) = &error
                    && let Some(right) = metric::suggest(name)
                {
                    diagnostic = diagnostic.label(&format!("did you mean `{right}`?"));
                }
                checker.found.push(diagnostic);
            }
        }
    }
    claims
}
