//! The chart that a plan asks for, out of finished cells and published values.

use crate::experiment::plan::{self, Plan};
use crate::experiment::spec::FigureKind;
use crate::report::chart::{Axis, Chart, Mark, Point, Scale, Series};
use crate::report::reference::Reference;
use crate::report::summary::Summary;
use crate::report::table::{combinations, distinct, undetermined};
use crate::runner::record::Finished;

/// Builds the chart; none when there is nothing to draw.
pub fn build(
    plan: &Plan,
    spec: &plan::Figure,
    finished: &[Finished],
    reference: Option<&Reference>,
) -> Option<Chart> {
    let labels = distinct(finished, &spec.x);
    // An axis of numbers is drawn as one; anything else is an axis of categories.
    let numbers: Option<Vec<f64>> = match spec.kind {
        FigureKind::Line => labels.iter().map(|label| label.parse().ok()).collect(),
        FigureKind::Bar => None,
    };
    let position = |index: usize| numbers.as_ref().map_or(index as f64, |numbers| numbers[index]);
    let mut keys = vec![spec.x.clone()];
    keys.extend(spec.series.clone());
    let extra = undetermined(finished, &keys);
    let series_keys: Vec<String> = spec.series.iter().cloned().chain(extra).collect();
    let mut series = Vec::new();
    for names in combinations(finished, &series_keys) {
        let of_series = |cell: &&Finished| {
            series_keys.iter().zip(&names).all(|(key, name)| cell.label(key).as_ref() == Some(name))
        };
        let mut points = Vec::new();
        for (index, label) in labels.iter().enumerate() {
            let cells =
                finished.iter().filter(of_series).filter(|cell| cell.label(&spec.x).as_ref() == Some(label));
            if let Some(summary) = Summary::of(spec.y, cells) {
                points.push(Point { x: position(index), y: summary.mean, error: summary.std });
            }
        }
        // Lines join points in their order; categories are in theirs already.
        points.sort_by(|a: &Point, b| a.x.total_cmp(&b.x));
        if !points.is_empty() {
            let mark = if spec.kind == FigureKind::Bar { Mark::Bar } else { Mark::Line };
            let name = if names.is_empty() { "henn".to_owned() } else { names.join(" ") };
            series.push(Series { name, mark, points });
        }
    }
    if series.is_empty() {
        return None;
    }
    series.extend(published(plan, spec, finished, reference, &labels, &position));
    let insecure = finished.iter().find(|cell| cell.record.insecure_paper_parameters);
    let mark = insecure
        .map(|cell| format!(" († {}-bit security)", cell.record.security_bits.unwrap_or(0)))
        .unwrap_or_default();
    Some(Chart {
        title: format!("{}{mark}", plan.title),
        x: Axis {
            label: spec.x_label.clone(),
            categories: if numbers.is_some() { Vec::new() } else { labels },
            ..Axis::default()
        },
        y: Axis {
            label: spec.y_label.clone(),
            scale: if spec.y_logarithmic { Scale::Logarithmic } else { Scale::Linear },
            range: spec.y_range.filter(|range| fits(&series, *range)),
            ..Axis::default()
        },
        series,
    })
}

/// Whether every value lies on the axis that the file asks for; one that does not must be seen all the same.
fn fits(series: &[Series], (low, high): (f64, f64)) -> bool {
    series.iter().flat_map(|series| &series.points).all(|point| (low..=high).contains(&point.y))
}

/// Published values of the same metric, one series a system, at the places whose cells they belong to.
fn published(
    plan: &Plan,
    spec: &plan::Figure,
    finished: &[Finished],
    reference: Option<&Reference>,
    labels: &[String],
    position: &dyn Fn(usize) -> f64,
) -> Vec<Series> {
    let mut series: Vec<Series> = Vec::new();
    let (Some(reference), Some(artifact)) = (reference, &plan.artifact) else { return series };
    for value in &reference.values {
        if value.artifact != *artifact || value.metric != spec.y.name || value.erratum.is_some() {
            continue;
        }
        for (index, label) in labels.iter().enumerate() {
            let belongs = finished.iter().any(|cell| {
                cell.label(&spec.x).as_ref() == Some(label)
                    && value.is_row_of(cell)
                    && (spec.x != "variant" || value.variant == Some(cell.record.variant))
            });
            if !belongs {
                continue;
            }
            let point = Point { x: position(index), y: value.value, error: value.spread };
            let name = format!("{} (published)", value.column);
            match series.iter_mut().find(|known| known.name == name) {
                Some(known) => known.points.push(point),
                None => series.push(Series { name, mark: Mark::Point, points: vec![point] }),
            }
        }
    }
    series
}
