//! Charts of trainings epoch by epoch: a line a repetition, and a cross where a training diverges.

use crate::experiment::metric::{self, Metric};
use crate::experiment::plan::{self, Plan};
use crate::report::chart::{Axis, Chart, Mark, Point, Scale, Series, Sheet};
use crate::report::figure::panel_title;
use crate::report::table::{combinations, distinct, undetermined};
use crate::runner::record::Finished;

/// Greatest magnitude that a chart takes.
const LARGEST: f64 = 1e100;

/// A row of charts a panel, one a metric; none when no training was recorded.
pub(super) fn build(plan: &Plan, spec: &plan::Figure, finished: &[Finished]) -> Option<Sheet> {
    let mut keys: Vec<String> = spec.panels.iter().cloned().collect();
    keys.extend(spec.series.clone());
    let extra = undetermined(finished, &keys);
    let keys: Vec<String> = spec.series.iter().cloned().chain(extra).collect();
    let panels = match &spec.panels {
        Some(key) => distinct(finished, key).into_iter().map(|label| Some((key, label))).collect(),
        None => vec![None],
    };
    let mut charts = Vec::new();
    for panel in &panels {
        let cells: Vec<&Finished> = finished
            .iter()
            .filter(|cell| panel.as_ref().is_none_or(|(key, label)| cell.label(key).as_ref() == Some(label)))
            .collect();
        let title = panel.as_ref().map_or_else(|| plan.title.clone(), |(key, label)| panel_title(key, label));
        charts.extend(spec.y.iter().filter_map(|y| chart(spec, y, &title, finished, &cells, &keys)));
    }
    let title = if spec.panels.is_some() { plan.title.clone() } else { String::new() };
    let columns = (spec.y.len() > 1).then_some(spec.y.len());
    (!charts.is_empty()).then_some(Sheet { title, charts, columns })
}

/// One metric over epochs, for some of the cells; series are named by the labels that occur in all of them.
fn chart(
    spec: &plan::Figure,
    y: &'static Metric,
    title: &str,
    finished: &[Finished],
    cells: &[&Finished],
    keys: &[String],
) -> Option<Chart> {
    let own = spec.axes.get(y.name);
    let (range, logarithmic, label) = match own {
        Some(axis) => (axis.range.map(|[low, high]| (low, high)), axis.logarithmic, axis.label.clone()),
        None => (spec.y_range, spec.y_logarithmic, spec.y_label.clone()),
    };
    let least = if logarithmic { 1.0 / LARGEST } else { -LARGEST };
    let (low, high) = range.unwrap_or((least, LARGEST));
    let diverged = metric::find("diverged")?;
    let (mut series, mut ends) = (Vec::new(), Vec::new());
    for names in combinations(finished, keys) {
        let mut points = Vec::new();
        let of_series = |cell: &&&Finished| {
            keys.iter().zip(&names).all(|(key, name)| cell.label(key).as_ref() == Some(name))
        };
        for cell in cells.iter().filter(of_series) {
            let Some(values) = cell.record.curves.get(y.name) else { continue };
            let place = |(epoch, value): (usize, &f64)| {
                // What lies beyond the axis lies on its edge.
                Point { x: epoch as f64, y: value.clamp(low, high), error: None }
            };
            points.extend(values.iter().enumerate().map(place));
            if cell.value(diverged) == Some(1.0) {
                ends.extend(points.last().copied());
            }
        }
        if !points.is_empty() {
            let name = if names.is_empty() { "henn".to_owned() } else { names.join(" ") };
            series.push(Series { name, mark: Mark::Curve, points });
        }
    }
    if !ends.is_empty() {
        series.push(Series { name: "diverges next".to_owned(), mark: Mark::Cross, points: ends });
    }
    let scale = if logarithmic { Scale::Logarithmic } else { Scale::Linear };
    (!series.is_empty()).then(|| Chart {
        title: title.to_owned(),
        x: Axis { label: spec.x_label.clone(), ..Axis::default() },
        y: Axis { label, scale, range, ..Axis::default() },
        series,
    })
}
