//! The chart of an experiment, or several side by side, from finished cells.

mod epochs;
mod images;

use crate::experiment::check::EPOCH;
use crate::experiment::metric;
use crate::experiment::plan::{self, Plan};
use crate::experiment::spec::FigureKind;
use crate::report::chart::gallery::Gallery;
use crate::report::chart::{Axis, Chart, ChartError, Mark, Point, Scale, Series, Sheet};
use crate::report::reference::Reference;
use crate::report::summary::Summary;
use crate::report::table::{combinations, distinct, undetermined};
use crate::runner::record::Finished;

/// What a figure comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum Drawing {
    /// Charts.
    Sheet(Sheet),
    /// Pictures.
    Gallery(Gallery),
}

impl Drawing {
    /// As an SVG document.
    ///
    /// # Errors
    /// Those of [`Sheet::svg`] and [`Gallery::svg`].
    pub fn svg(&self) -> Result<String, ChartError> {
        match self {
            Self::Sheet(sheet) => sheet.svg(),
            Self::Gallery(gallery) => gallery.svg(),
        }
    }

    /// As a PNG image, at twice the size of the SVG.
    ///
    /// # Errors
    /// Those of [`Sheet::png`] and [`Gallery::png`].
    pub fn png(&self) -> Result<Vec<u8>, ChartError> {
        match self {
            Self::Sheet(sheet) => sheet.png(),
            Self::Gallery(gallery) => gallery.png(),
        }
    }
}

/// Builds the charts; none when there is nothing to draw.
pub fn build(
    plan: &Plan,
    spec: &plan::Figure,
    finished: &[Finished],
    reference: Option<&Reference>,
) -> Option<Drawing> {
    if spec.kind == FigureKind::Images {
        return images::build(plan, spec, finished).map(Drawing::Gallery);
    }
    if spec.x == EPOCH {
        return epochs::build(plan, spec, finished).map(Drawing::Sheet);
    }
    let figure = Figure { plan, spec, reference };
    let mut charts = Vec::new();
    match &spec.panels {
        None => charts.extend(figure.chart(finished, &plan.title)),
        Some(key) => {
            for label in distinct(finished, key) {
                let part: Vec<Finished> = finished
                    .iter()
                    .filter(|cell| cell.label(key).as_ref() == Some(&label))
                    .cloned()
                    .collect();
                charts.extend(figure.chart(&part, &panel_title(key, &label)));
            }
        }
    }
    let title = if spec.panels.is_some() { plan.title.clone() } else { String::new() };
    (!charts.is_empty()).then_some(Drawing::Sheet(Sheet { title, charts, columns: None }))
}

/// What stands above the chart of one label.
fn panel_title(key: &str, label: &str) -> String {
    match label.parse::<f64>() {
        // A number alone says nothing.
        Ok(_) => format!("{} {label}", key.rsplit('.').next().unwrap_or_default()),
        Err(_) => label.to_owned(),
    }
}

struct Figure<'a> {
    plan: &'a Plan,
    spec: &'a plan::Figure,
    reference: Option<&'a Reference>,
}

/// Where the labels of the x axis stand.
struct Place {
    labels: Vec<String>,
    /// An axis of numbers is drawn as one; anything else is an axis of categories.
    numbers: Option<Vec<f64>>,
}

impl Place {
    fn of(spec: &plan::Figure, finished: &[Finished]) -> Self {
        let labels = if spec.kind == FigureKind::Scatter { Vec::new() } else { distinct(finished, &spec.x) };
        let numbers = match spec.kind {
            FigureKind::Line => labels.iter().map(|label| label.parse().ok()).collect(),
            FigureKind::Bar | FigureKind::Images => None,
            FigureKind::Scatter => Some(Vec::new()),
        };
        Self { labels, numbers }
    }

    fn position(&self, index: usize) -> f64 {
        self.numbers.as_ref().map_or(index as f64, |numbers| numbers[index])
    }
}

impl Figure<'_> {
    fn chart(&self, finished: &[Finished], title: &str) -> Option<Chart> {
        let spec = self.spec;
        let place = Place::of(spec, finished);
        let mut keys: Vec<String> = spec.panels.iter().cloned().collect();
        keys.extend(spec.series.clone());
        let mut series = if spec.kind == FigureKind::Scatter {
            self.points(finished)
        } else {
            keys.push(spec.x.clone());
            let extra = undetermined(finished, &keys);
            let series_keys: Vec<String> = spec.series.iter().cloned().chain(extra).collect();
            self.lines(finished, &series_keys, &place)
        };
        if series.is_empty() {
            return None;
        }
        series.extend(self.published(finished, &place));
        let insecure = finished.iter().find(|cell| cell.record.insecure_paper_parameters);
        let mark = insecure
            .map(|cell| format!(" († {}-bit security)", cell.record.security_bits.unwrap_or(0)))
            .unwrap_or_default();
        let scale = |logarithmic: bool| if logarithmic { Scale::Logarithmic } else { Scale::Linear };
        let numeric = place.numbers.is_some();
        Some(Chart {
            title: format!("{title}{mark}"),
            x: Axis {
                label: spec.x_label.clone(),
                scale: scale(spec.x_logarithmic && numeric),
                categories: if numeric { Vec::new() } else { place.labels },
                ..Axis::default()
            },
            y: Axis {
                label: spec.y_label.clone(),
                scale: scale(spec.y_logarithmic),
                range: spec.y_range.filter(|range| fits(&series, *range)),
                ..Axis::default()
            },
            series,
        })
    }

    /// One series a combination of the keys' values, over the labels of the x axis.
    fn lines(&self, finished: &[Finished], keys: &[String], place: &Place) -> Vec<Series> {
        let spec = self.spec;
        let mut series = Vec::new();
        let all = combinations(finished, keys);
        for (names, y) in all.iter().flat_map(|names| spec.y.iter().map(move |y| (names, *y))) {
            let of_series = |cell: &&Finished| belongs(cell, keys, names);
            let mut points = Vec::new();
            for (index, label) in place.labels.iter().enumerate() {
                let cells = finished.iter().filter(of_series);
                let cells = cells.filter(|cell| cell.label(&spec.x).as_ref() == Some(label));
                if let Some(summary) = Summary::of(y, cells) {
                    points.push(Point { x: place.position(index), y: summary.mean, error: summary.std });
                }
            }
            // Lines join points in their order; categories are in theirs already.
            points.sort_by(|a: &Point, b| a.x.total_cmp(&b.x));
            if !points.is_empty() {
                let mark = if spec.kind == FigureKind::Bar { Mark::Bar } else { Mark::Line };
                let mut parts = names.clone();
                if spec.y.len() > 1 {
                    parts.push(y.title.to_owned());
                }
                let name = if parts.is_empty() { "henn".to_owned() } else { parts.join(" ") };
                series.push(Series { name, mark, points });
            }
        }
        series
    }

    /// One metric against another: a point a combination of all keys but the series', means over repetitions.
    fn points(&self, finished: &[Finished]) -> Vec<Series> {
        let spec = self.spec;
        let (Some(x), Some(y)) = (metric::find(&spec.x), spec.y.first()) else { return Vec::new() };
        let keys: Vec<String> = spec.series.iter().cloned().collect();
        let others = undetermined(finished, &keys);
        let mut series = Vec::new();
        for names in combinations(finished, &keys) {
            let part: Vec<&Finished> = finished.iter().filter(|cell| belongs(cell, &keys, &names)).collect();
            let mut points = Vec::new();
            for labels in combinations(finished, &others) {
                let cells = || part.iter().copied().filter(|cell| belongs(cell, &others, &labels));
                if let (Some(x), Some(y)) = (Summary::of(x, cells()), Summary::of(y, cells())) {
                    points.push(Point { x: x.mean, y: y.mean, error: y.std });
                }
            }
            if !points.is_empty() {
                let name = if names.is_empty() { "henn".to_owned() } else { names.join(" ") };
                series.push(Series { name, mark: Mark::Point, points });
            }
        }
        series
    }

    /// Published values of the same metric, one series a system, at the places whose cells they belong to.
    fn published(&self, finished: &[Finished], place: &Place) -> Vec<Series> {
        let spec = self.spec;
        let mut series: Vec<Series> = Vec::new();
        let (Some(reference), Some(artifact)) = (self.reference, &self.plan.artifact) else { return series };
        for value in &reference.values {
            if value.artifact != *artifact
                || spec.y.iter().all(|y| value.metric != y.name)
                || value.erratum.is_some()
            {
                continue;
            }
            for (index, label) in place.labels.iter().enumerate() {
                let belongs = finished.iter().any(|cell| {
                    cell.label(&spec.x).as_ref() == Some(label)
                        && value.is_row_of(cell)
                        && (spec.x != "variant" || value.variant == Some(cell.record.variant))
                });
                if !belongs {
                    continue;
                }
                let point = Point { x: place.position(index), y: value.value, error: value.spread };
                let name = format!("{} (published)", value.column);
                match series.iter_mut().find(|known| known.name == name) {
                    Some(known) => known.points.push(point),
                    None => series.push(Series { name, mark: Mark::Point, points: vec![point] }),
                }
            }
        }
        series
    }
}

fn belongs(cell: &Finished, keys: &[String], labels: &[String]) -> bool {
    keys.iter().zip(labels).all(|(key, label)| cell.label(key).as_ref() == Some(label))
}

/// Whether every value lies on the axis that the file asks for; one that does not must be seen all the same.
fn fits(series: &[Series], (low, high): (f64, f64)) -> bool {
    series.iter().flat_map(|series| &series.points).all(|point| (low..=high).contains(&point.y))
}
