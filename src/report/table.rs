//! Rows and columns out of finished cells.

use polars::prelude::{Column, DataFrame};
use serde::Serialize;

use crate::experiment::metric::{CellExpression, Kind};
use crate::experiment::plan::{self, Plan};
use crate::report::ReportError;
use crate::report::summary::Summary;
use crate::runner::record::Finished;

/// One value of the table, with everything needed to find it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cell {
    /// Value of the row key.
    pub row: String,
    /// Values of the column keys.
    pub columns: Vec<String>,
    /// Name of the metric.
    pub metric: &'static str,
    /// The value over repetitions; none where nothing was computed.
    pub value: Option<Summary>,
    /// As it stands in the table.
    pub text: String,
    /// Computed at a paper's own parameters, below the security required.
    pub insecure: bool,
    #[serde(skip)]
    title: &'static str,
    #[serde(skip)]
    kind: Kind,
}

/// A table, which is read in one of two layouts: a row's values of one metric stand side by side, those of several metrics below one another,
/// a column a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Caption.
    pub title: String,
    /// Key of the rows.
    pub row_head: String,
    /// Keys of the columns.
    pub column_heads: Vec<String>,
    /// Whether a metric has a column.
    metrics_are_columns: bool,
    /// Its cells, row by row.
    pub cells: Vec<Cell>,
    /// What stands below it.
    pub notes: Vec<String>,
}

/// Labels in the order in which they first appear.
pub fn distinct<'a>(finished: &'a [Finished], key: &'a str) -> Vec<String> {
    let mut seen = Vec::new();
    for label in finished.iter().filter_map(|cell| cell.label(key)) {
        if !seen.contains(&label) {
            seen.push(label);
        }
    }
    seen
}

/// Keys by which cells with equal labels of `keys` still differ: without them a mean would run over different points.
/// Repetitions are what means run over, so they do not count.
pub fn undetermined(finished: &[Finished], keys: &[String]) -> Vec<String> {
    let mut missing = Vec::new();
    let mut candidates = vec!["variant".to_owned()];
    candidates.extend(finished.iter().flat_map(|cell| cell.record.point.keys().cloned()));
    for key in candidates {
        if keys.contains(&key) || missing.contains(&key) {
            continue;
        }
        let known: Vec<&String> = keys.iter().chain(&missing).collect();
        let place = |cell: &Finished| known.iter().map(|key| cell.label(key)).collect::<Vec<_>>();
        let mut seen: Vec<(Vec<Option<String>>, Option<String>)> = Vec::new();
        let differs = finished.iter().any(|cell| {
            let (place, label) = (place(cell), cell.label(&key));
            if let Some((_, other)) = seen.iter().find(|(known, _)| *known == place) {
                return *other != label;
            }
            seen.push((place, label));
            false
        });
        if differs {
            missing.push(key);
        }
    }
    missing
}

/// Every combination of the column keys' labels, the last key turning fastest.
pub fn combinations(finished: &[Finished], keys: &[String]) -> Vec<Vec<String>> {
    keys.iter().fold(vec![Vec::new()], |combinations, key| {
        let labels = distinct(finished, key);
        combinations
            .iter()
            .flat_map(|left| {
                labels.iter().map(move |label| left.iter().cloned().chain([label.clone()]).collect())
            })
            .collect()
    })
}

impl Table {
    /// The table that a plan asks for.
    pub fn new(plan: &Plan, spec: &plan::Table, finished: &[Finished]) -> Self {
        let mut cells = Vec::new();
        let mut keys = vec![spec.rows.clone()];
        keys.extend(spec.columns.iter().cloned());
        let extra = undetermined(finished, &keys);
        let columns_keys: Vec<String> = spec.columns.iter().cloned().chain(extra).collect();
        for row in distinct(finished, &spec.rows) {
            for columns in combinations(finished, &columns_keys) {
                let chosen: Vec<&Finished> = finished
                    .iter()
                    .filter(|cell| cell.label(&spec.rows).as_ref() == Some(&row))
                    .filter(|cell| {
                        columns_keys
                            .iter()
                            .zip(&columns)
                            .all(|(key, label)| cell.label(key).as_ref() == Some(label))
                    })
                    .collect();
                for expression in &spec.cells {
                    cells.push(Cell::new(&row, &columns, *expression, &chosen));
                }
            }
        }
        let metrics_are_columns = spec.cells.len() > 1 || columns_keys.is_empty();
        // What could not be computed anywhere says nothing: real numbers have no precision, the twin of a scheme no error.
        let said: Vec<_> = cells.iter().filter(|cell| cell.value.is_some()).cloned().collect();
        if metrics_are_columns {
            cells.retain(|cell| said.iter().any(|other| cell.metric == other.metric));
            cells.retain(|cell| said.iter().any(|other| cell.is_of_line(other)));
        } else {
            cells.retain(|cell| said.iter().any(|other| cell.columns == other.columns));
        }
        let mut notes = Vec::new();
        if let Some(cell) = finished.iter().find(|cell| cell.record.insecure_paper_parameters) {
            let bits = cell.record.security_bits.unwrap_or(0);
            notes.push(format!(
                "† the paper's own parameters: about {bits} bits of security, not the required 128"
            ));
        }
        for note in finished.iter().flat_map(|cell| &cell.record.notes) {
            if !notes.contains(note) {
                notes.push(note.clone());
            }
        }
        notes.push(format!("profile: {}", plan.profile.name()));
        Self {
            title: plan.title.clone(),
            row_head: spec.rows.clone(),
            column_heads: columns_keys,
            metrics_are_columns,
            cells,
            notes,
        }
    }

    /// The same table with only some kinds of metric.
    #[must_use]
    pub fn only(&self, keep: impl Fn(Kind) -> bool) -> Self {
        let cells = self.cells.iter().filter(|cell| keep(cell.kind)).cloned().collect();
        Self { cells, ..self.clone() }
    }

    /// How many columns hold labels, which stand before the values.
    pub fn labels(&self) -> usize {
        if self.metrics_are_columns { 1 + self.column_heads.len() } else { 1 }
    }

    /// Heads of all columns.
    pub fn heads(&self) -> Vec<String> {
        let mut heads = vec![self.row_head.clone()];
        if self.metrics_are_columns {
            heads.extend(self.column_heads.iter().cloned());
        }
        let labels = heads.len();
        for cell in &self.cells {
            let head = if self.metrics_are_columns { cell.title.to_owned() } else { cell.columns.join(" ") };
            if !heads[labels..].contains(&head) {
                heads.push(head);
            }
        }
        heads
    }

    /// Texts line by line, labels first.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let mut lines: Vec<Vec<&Cell>> = Vec::new();
        for cell in &self.cells {
            let is_here = |line: &&mut Vec<&Cell>| {
                let in_line = |other: &&Cell| {
                    if self.metrics_are_columns { cell.is_of_line(other) } else { cell.row == other.row }
                };
                line.first().is_some_and(in_line)
            };
            match lines.iter_mut().find(is_here) {
                Some(line) => line.push(cell),
                None => lines.push(vec![cell]),
            }
        }
        let labels = |cell: &Cell| {
            let columns = if self.metrics_are_columns { &cell.columns[..] } else { &[] };
            [&cell.row].into_iter().chain(columns).cloned().collect::<Vec<_>>()
        };
        let text = |cell: &&Cell| format!("{}{}", cell.text, if cell.insecure { " †" } else { "" });
        lines
            .iter()
            .filter_map(|line| Some(labels(line.first()?).into_iter().chain(line.iter().map(text)).collect()))
            .collect()
    }

    /// One line a value, with its number: what other programs read.
    pub fn frame(&self) -> Result<DataFrame, ReportError> {
        let text = |value: fn(&Cell) -> String| self.cells.iter().map(value).collect::<Vec<String>>();
        let number = |value: fn(&Summary) -> Option<f64>| {
            self.cells.iter().map(|cell| cell.value.as_ref().and_then(value)).collect::<Vec<Option<f64>>>()
        };
        let n: Vec<u32> = self
            .cells
            .iter()
            .map(|cell| cell.value.and_then(|value| u32::try_from(value.n).ok()).unwrap_or(0))
            .collect();
        Ok(DataFrame::new_infer_height(vec![
            Column::new("row".into(), text(|cell| cell.row.clone())),
            Column::new("column".into(), text(|cell| cell.columns.join(" "))),
            Column::new("metric".into(), text(|cell| cell.metric.to_owned())),
            Column::new("mean".into(), number(|value| Some(value.mean))),
            Column::new("std".into(), number(|value| value.std)),
            Column::new("n".into(), n),
            Column::new(
                "insecure".into(),
                self.cells.iter().map(|cell| cell.insecure).collect::<Vec<bool>>(),
            ),
        ])?)
    }
}

impl Cell {
    fn new(row: &str, columns: &[String], expression: CellExpression, chosen: &[&Finished]) -> Self {
        let metric = expression.metric;
        let value = Summary::of(metric, chosen.iter().copied());
        Self {
            row: row.to_owned(),
            columns: columns.to_vec(),
            metric: metric.name,
            value,
            text: value.map_or_else(|| "–".to_owned(), |value| value.format(metric, expression.spread)),
            insecure: value.is_some() && chosen.iter().any(|cell| cell.record.insecure_paper_parameters),
            title: metric.title,
            kind: metric.kind,
        }
    }

    /// Whether it is another metric of the same cells.
    fn is_of_line(&self, other: &Self) -> bool {
        self.row == other.row && self.columns == other.columns
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::backend::Variant;
    use crate::runner::record::{Measured, Record};

    fn cell(variant: Variant, labels: &[(&str, &str)], repetition: usize) -> Finished {
        Finished {
            record: Record {
                cell: String::new(),
                variant,
                point: labels.iter().map(|(key, label)| ((*key).to_owned(), (*label).to_owned())).collect(),
                repetition,
                metrics: BTreeMap::new(),
                curves: BTreeMap::new(),
                pictures: Vec::new(),
                counts: BTreeMap::new(),
                security_bits: None,
                insecure_paper_parameters: false,
                digest: String::new(),
                transcript: None,
                notes: Vec::new(),
            },
            measured: Measured { cell: String::new(), variant, repetition, values: BTreeMap::new() },
        }
    }

    #[test]
    fn different_points_are_never_taken_for_repetitions() {
        let keys = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let cells = [
            cell(
                Variant::Plain,
                &[("data.name", "iris"), ("network.hidden", "[5]"), ("training.epochs", "1")],
                0,
            ),
            cell(
                Variant::Plain,
                &[("data.name", "iris"), ("network.hidden", "[5]"), ("training.epochs", "1")],
                1,
            ),
            cell(
                Variant::Plain,
                &[("data.name", "wine"), ("network.hidden", "[7]"), ("training.epochs", "1")],
                0,
            ),
        ];
        assert!(undetermined(&cells, &keys(&["data.name"])).is_empty());
        assert_eq!(undetermined(&cells, &keys(&["variant"])), ["data.name"]);
        let more = [
            &cells[..],
            &[
                cell(
                    Variant::Plain,
                    &[("data.name", "iris"), ("network.hidden", "[5]"), ("training.epochs", "9")],
                    0,
                ),
                cell(
                    Variant::Simulated,
                    &[("data.name", "wine"), ("network.hidden", "[7]"), ("training.epochs", "1")],
                    0,
                ),
            ],
        ]
        .concat();
        assert_eq!(undetermined(&more, &keys(&["data.name"])), ["variant", "training.epochs"]);
    }
}
