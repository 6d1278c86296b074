//! Published against measured, and claims against cells.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::backend::Variant;
use crate::experiment::metric;
use crate::experiment::plan::{Across, Claim, Plan};
use crate::report::export::{grid, markdown_grid};
use crate::report::reference::{Published, Reference};
use crate::report::summary::Summary;
use crate::runner::record::Finished;
use crate::runner::sweep::NotRun;

/// Places at which a claim fails that are listed below tables.
const SHOWN: usize = 3;

/// How a published value fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Judgement {
    /// Ours lies within what the paper printed after ±, or within its rounding.
    #[serde(rename = "reproduced")]
    Reproduced,
    /// Ours lies within twice the paper's spread and ours taken together.
    #[serde(rename = "within band")]
    WithinBand,
    /// Ours lies elsewhere.
    #[serde(rename = "not reproduced")]
    NotReproduced,
    /// The printed value cannot be right.
    #[serde(rename = "not comparable")]
    NotComparable,
    /// No cell belongs to it.
    #[serde(rename = "not run")]
    NotRun,
}

impl Judgement {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reproduced => "reproduced",
            Self::WithinBand => "within band",
            Self::NotReproduced => "not reproduced",
            Self::NotComparable => "not comparable",
            Self::NotRun => "not run",
        }
    }
}

/// One published value beside ours.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Table or figure.
    pub artifact: String,
    /// The row as printed.
    pub row: String,
    /// The system as printed.
    pub system: String,
    /// Which of our variants it is compared with.
    pub variant: Option<Variant>,
    /// Metric.
    pub metric: String,
    /// As printed.
    pub published: f64,
    /// Printed after ±.
    pub published_spread: Option<f64>,
    /// Ours.
    pub measured: Option<Summary>,
    /// The greatest difference that still counts as within band.
    pub band: Option<f64>,
    /// The judgement.
    pub verdict: Judgement,
    /// Why, where that needs saying.
    pub reason: Option<String>,
}

/// A claim beside what was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClaimResult {
    /// In words.
    pub text: String,
    /// As a relation.
    pub holds_if: String,
    /// Whether it holds at every point and repetition; none when no cell could tell.
    pub holds: Option<bool>,
    /// Points and repetitions that were checked.
    pub checked: usize,
    /// Where it does not hold.
    pub fails_at: Vec<String>,
}

/// `verdict.json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// The experiment.
    pub experiment: String,
    /// Its scale.
    pub profile: &'static str,
    /// Published values.
    pub values: Vec<Comparison>,
    /// Claims.
    pub claims: Vec<ClaimResult>,
    /// Points that did not run.
    pub not_run: Vec<NotRun>,
}

impl Verdict {
    /// Judges the finished cells of a plan.
    pub fn new(
        plan: &Plan,
        finished: &[Finished],
        not_run: &[NotRun],
        reference: Option<&Reference>,
    ) -> Self {
        let mut values = Vec::new();
        if let (Some(reference), Some(artifact)) = (reference, &plan.artifact) {
            // The artifact's own experiment answers for all of its rows, any other only for those that it touches.
            let own = plan.paper.as_ref().is_some_and(|paper| plan.name == format!("{paper}/{artifact}"));
            for published in reference.values.iter().filter(|value| value.artifact == *artifact) {
                if own || finished.iter().any(|cell| published.is_row_of(cell)) {
                    values.push(compare(published, finished, not_run));
                }
            }
        }
        Self {
            experiment: plan.name.clone(),
            profile: plan.profile.name(),
            values,
            claims: plan.claims.iter().map(|claim| check(claim, finished)).collect(),
            not_run: not_run.to_vec(),
        }
    }

    /// Only the times among the published values, or everything else.
    #[must_use]
    pub fn only_times(&self, times: bool) -> Self {
        let is_time = |value: &&Comparison| {
            metric::find(&value.metric).is_some_and(|metric| metric.kind == metric::Kind::Measured)
        };
        let values = self.values.iter().filter(|value| is_time(value) == times).cloned().collect();
        if times {
            return Self { values, claims: Vec::new(), not_run: Vec::new(), ..self.clone() };
        }
        Self { values, ..self.clone() }
    }

    /// Whether every claim that could be checked holds and every value that was compared is at least within band.
    pub fn is_good(&self) -> bool {
        self.claims.iter().all(|claim| claim.holds != Some(false))
            && self.values.iter().all(|value| value.verdict != Judgement::NotReproduced)
    }

    fn rows(&self) -> (Vec<String>, Vec<Vec<String>>) {
        let heads =
            ["row", "system", "metric", "published", "measured", "n", "verdict"].map(str::to_owned).to_vec();
        let rows = self
            .values
            .iter()
            .map(|value| {
                let format = |number: f64| {
                    metric::find(&value.metric)
                        .map_or_else(|| number.to_string(), |metric| metric.format(number))
                };
                let spread =
                    |std: Option<f64>| std.map(|std| format!(" ± {}", format(std))).unwrap_or_default();
                let measured = value.measured.map_or_else(
                    || "–".to_owned(),
                    |measured| format!("{}{}", format(measured.mean), spread(measured.std)),
                );
                let reason = value.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
                vec![
                    value.row.clone(),
                    value.system.clone(),
                    value.metric.clone(),
                    format!("{}{}", format(value.published), spread(value.published_spread)),
                    measured,
                    value.measured.map_or_else(|| "–".to_owned(), |measured| measured.n.to_string()),
                    format!("{}{reason}", value.verdict.name()),
                ]
            })
            .collect();
        (heads, rows)
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for claim in &self.claims {
            let found = match claim.holds {
                Some(true) => format!("holds ({} checked)", claim.checked),
                // All places are in verdict.json.
                Some(false) => match claim.fails_at.get(..SHOWN).filter(|_| claim.fails_at.len() > SHOWN) {
                    None => format!("does not hold at {}", claim.fails_at.join("; ")),
                    Some(first) => format!(
                        "does not hold at {}; and {} more of {} checked",
                        first.join("; "),
                        claim.fails_at.len() - SHOWN,
                        claim.checked
                    ),
                },
                None => "not checked: its variants did not run".to_owned(),
            };
            lines.push(format!("claim \"{}\" [{}]: {found}", claim.text, claim.holds_if));
        }
        let missing = |missing: &NotRun| format!("not run: {}: {}", keys(&missing.point), missing.reason);
        lines.extend(self.not_run.iter().map(missing));
        lines
    }

    /// As a section of a Markdown file.
    pub fn to_markdown(&self) -> String {
        let mut text = String::new();
        if !self.values.is_empty() {
            let (heads, rows) = self.rows();
            text.push_str(&format!("\n## Published against measured\n\n{}", markdown_grid(&heads, 3, &rows)));
        }
        for line in self.lines() {
            text.push_str(&format!("\n* {line}"));
        }
        if !self.lines().is_empty() {
            text.push('\n');
        }
        text
    }

    /// For a terminal.
    pub fn to_terminal(&self) -> String {
        let mut text = String::new();
        if !self.values.is_empty() {
            let (heads, rows) = self.rows();
            text.push_str(&format!("\nPublished against measured\n{}\n", grid(&heads, 3, &rows)));
        }
        for line in self.lines() {
            text.push_str(&line);
            text.push('\n');
        }
        text
    }
}

fn compare(published: &Published, finished: &[Finished], not_run: &[NotRun]) -> Comparison {
    let mut comparison = Comparison {
        artifact: published.artifact.clone(),
        row: published.row_label.clone(),
        system: published.column.clone(),
        variant: published.variant,
        metric: published.metric.clone(),
        published: published.value,
        published_spread: published.spread,
        measured: None,
        band: None,
        verdict: Judgement::NotRun,
        reason: None,
    };
    let Some(variant) = published.variant else {
        comparison.reason = Some("henn does not have this system yet".to_owned());
        return comparison;
    };
    let cells: Vec<&Finished> =
        finished.iter().filter(|cell| cell.record.variant == variant && published.is_row_of(cell)).collect();
    let measured =
        metric::find(&published.metric).and_then(|metric| Summary::of(metric, cells.iter().copied()));
    let Some(measured) = measured else {
        let missing = not_run
            .iter()
            .find(|missing| published.row.iter().all(|(key, value)| missing.point.get(key) == Some(value)));
        comparison.reason =
            Some(missing.map_or_else(|| "not in this run".to_owned(), |missing| missing.reason.clone()));
        return comparison;
    };
    comparison.measured = Some(measured);
    if let Some(erratum) = &published.erratum {
        comparison.verdict = Judgement::NotComparable;
        comparison.reason = Some(erratum.clone());
        return comparison;
    }
    if metric::find(&published.metric).is_some_and(|metric| metric.kind == metric::Kind::Measured) {
        let ratio = published.value / measured.mean;
        comparison.verdict = Judgement::NotComparable;
        comparison.reason = Some(if ratio.is_finite() && ratio > 0.0 {
            let (ratio, word) = if ratio < 1.0 { (1.0 / ratio, "more") } else { (ratio, "less") };
            format!("measured on another machine; ours is {ratio:.1} times {word}")
        } else {
            // Of nothing there are no ratios.
            "measured on another machine".to_owned()
        });
        return comparison;
    }
    let own = spread(&published.metric, measured, &cells);
    // A value that was cut off leaves a whole unit open, which binary fractions miss by a rounding.
    let tolerance = published.tolerance() * (1.0 + 1e-9);
    let band = 2.0 * (tolerance * tolerance + own * own).sqrt();
    let difference = (measured.mean - published.value).abs();
    comparison.band = Some(band);
    comparison.verdict = if difference <= tolerance {
        Judgement::Reproduced
    } else if difference <= band {
        Judgement::WithinBand
    } else {
        let side = if measured.mean > published.value { "higher" } else { "lower" };
        comparison.reason =
            Some(format!("ours is {side} by {}, the band is {}", short(difference), short(band)));
        Judgement::NotReproduced
    };
    comparison
}

/// A small number, as a decimal fraction where that shows it.
fn short(value: f64) -> String {
    if value == 0.0 || value >= 0.001 { format!("{value:.4}") } else { format!("{value:.1e}") }
}

/// How far one repetition of ours strays: the standard deviation over repetitions, but for an accuracy not less than
/// what drawing so many test samples lets it stray. The share is taken with one more right and one more wrong sample
/// (Laplace's rule), or a perfect score on a few samples would pass for certainty.
fn spread(metric: &str, measured: Summary, cells: &[&Finished]) -> f64 {
    let std = measured.std.unwrap_or(0.0);
    if metric != "accuracy" {
        return std;
    }
    let samples = cells.iter().filter_map(|cell| cell.record.metrics.get("samples")).sum::<f64>();
    let share = (measured.mean * samples + 1.0) / (samples + 2.0);
    std.max((share * (1.0 - share) / samples.max(1.0)).sqrt())
}

/// A point and repetition.
type Place<'a> = (&'a BTreeMap<String, String>, usize);
/// The same place in every variant, to evaluate a claim on.
type Variants<'a> = BTreeMap<&'static str, &'a Finished>;

fn check(claim: &Claim, finished: &[Finished]) -> ClaimResult {
    let mut result = ClaimResult {
        text: claim.text.clone(),
        holds_if: claim.source.clone(),
        holds: None,
        checked: 0,
        fails_at: Vec::new(),
    };
    match &claim.across {
        Some(across) => compare_points(claim, across, finished, &mut result),
        None => compare_variants(claim, finished, &mut result),
    }
    result.holds = (result.checked > 0).then_some(result.fails_at.is_empty());
    result
}

/// A claim on the variants of every point and repetition.
fn compare_variants(claim: &Claim, finished: &[Finished], result: &mut ClaimResult) {
    let mut places: Vec<(Place<'_>, Variants<'_>)> = Vec::new();
    for cell in finished {
        let place = (&cell.record.point, cell.record.repetition);
        let index = places.iter().position(|(known, _)| *known == place);
        let index = index.unwrap_or_else(|| {
            places.push((place, BTreeMap::new()));
            places.len() - 1
        });
        places[index].1.insert(cell.record.variant.name(), cell);
    }
    let points: Vec<_> = places.iter().map(|((point, _), _)| *point).collect();
    let (names, repeated) = (telling(&points), places.iter().any(|((_, repetition), _)| *repetition > 0));
    for ((point, repetition), variants) in places {
        let value = |variant: &str, name: &str| variants.get(variant)?.value(metric::find(name)?);
        if let Some(holds) = claim.relation.holds(&value) {
            result.checked += 1;
            if !holds {
                let labels = names.iter().filter_map(|name| Some(format!("{name} = {}", point.get(*name)?)));
                let place = labels.chain(repeated.then(|| format!("repetition {}", repetition + 1)));
                let place = place.collect::<Vec<_>>().join(", ");
                result.fails_at.push(if place.is_empty() { "the only point".to_owned() } else { place });
            }
        }
    }
}

/// A claim on the points that differ in one key, by their means over repetitions, for every variant.
fn compare_points(claim: &Claim, across: &Across, finished: &[Finished], result: &mut ClaimResult) {
    let mut at = across.at.clone();
    at.push("variant".to_owned());
    let place =
        |cell: &Finished| at.iter().map(|key| cell.label(key).unwrap_or_default()).collect::<Vec<_>>();
    let mut places: Vec<Vec<String>> = Vec::new();
    for cell in finished {
        let place = place(cell);
        if !places.contains(&place) {
            places.push(place);
        }
    }
    for here in places {
        let value = |subject: &str, name: &str| {
            let is_subject = |cell: &&Finished| {
                cell.label(&across.key).is_some_and(|label| label.replace(' ', "_") == subject)
            };
            let cells = finished.iter().filter(|cell| place(cell) == here).filter(is_subject);
            Summary::of(metric::find(name)?, cells).map(|summary| summary.mean)
        };
        if let Some(holds) = claim.relation.holds(&value) {
            result.checked += 1;
            if !holds {
                let labels = at.iter().zip(&here).map(|(key, label)| format!("{key} = {label}"));
                result.fails_at.push(labels.collect::<Vec<_>>().join(", "));
            }
        }
    }
}

/// Keys that tell points apart: one after the other is taken that tells more of them apart, labels first, which are made for it.
fn telling<'a>(points: &[&'a BTreeMap<String, String>]) -> Vec<&'a str> {
    let apart = |names: &[&str]| {
        let seen = |point: &&BTreeMap<String, String>| -> Vec<_> {
            names.iter().map(|name| point.get(*name).cloned()).collect()
        };
        points.iter().map(seen).collect::<BTreeSet<_>>().len()
    };
    let all: BTreeSet<_> = points.iter().flat_map(|point| point.keys()).map(String::as_str).collect();
    let (labels, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|name| *name == "run.label");
    let mut names = Vec::new();
    for name in labels.into_iter().chain(others) {
        let before = apart(&names);
        names.push(name);
        if apart(&names) == before {
            names.pop();
        }
    }
    names
}

fn keys(point: &BTreeMap<String, String>) -> String {
    point.iter().map(|(key, value)| format!("{key} = {value}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::claim::Relation;
    use crate::runner::record::{Measured, Record};

    fn cell(accuracy: f64, samples: f64) -> Finished {
        let metrics = [("accuracy", accuracy), ("samples", samples)];
        Finished {
            record: Record {
                cell: "key".to_owned(),
                variant: Variant::Encrypted,
                point: BTreeMap::from([("data.name".to_owned(), "iris".to_owned())]),
                repetition: 0,
                metrics: metrics.map(|(name, value)| (name.to_owned(), value)).into(),
                curves: BTreeMap::new(),
                pictures: Vec::new(),
                counts: BTreeMap::new(),
                security_bits: Some(128),
                insecure_paper_parameters: false,
                digest: String::new(),
                transcript: None,
                notes: Vec::new(),
            },
            measured: Measured {
                cell: "key".to_owned(),
                variant: Variant::Encrypted,
                repetition: 0,
                values: BTreeMap::new(),
            },
        }
    }

    fn published() -> Published {
        Published {
            artifact: "table_3".to_owned(),
            row: BTreeMap::from([("data.name".to_owned(), "iris".to_owned())]),
            row_label: "Iris".to_owned(),
            column: "GELU-Net".to_owned(),
            variant: Some(Variant::Encrypted),
            metric: "accuracy".to_owned(),
            unit: "share".to_owned(),
            value: 0.9,
            spread: Some(0.01),
            rounding: None,
            erratum: None,
        }
    }

    fn judge(cells: &[Finished]) -> Judgement {
        compare(&published(), cells, &[]).verdict
    }

    #[test]
    fn verdicts_follow_the_paper_s_spread_and_ours() {
        let many = 1e6;
        assert_eq!(judge(&[cell(0.905, many)]), Judgement::Reproduced);
        assert_eq!(judge(&[cell(0.915, many)]), Judgement::WithinBand);
        assert_eq!(judge(&[cell(0.93, many)]), Judgement::NotReproduced);
        assert_eq!(judge(&[cell(0.87, many)]), Judgement::NotReproduced);
        // Thirty samples leave more open than a million, even when all of them are right.
        assert_eq!(judge(&[cell(0.93, 30.0)]), Judgement::WithinBand);
        assert_eq!(judge(&[cell(1.0, 10.0)]), Judgement::WithinBand);
        assert_eq!(judge(&[cell(1.0, 1000.0)]), Judgement::NotReproduced);
    }

    #[test]
    fn points_are_compared_by_their_means() {
        let of = |label: &str, data: &str, accuracy: f64, repetition: usize| {
            let mut cell = cell(accuracy, 100.0);
            cell.record.repetition = repetition;
            let labels = [("run.label", label), ("data.name", data)];
            cell.record.point = labels.map(|(key, label)| (key.to_owned(), label.to_owned())).into();
            cell
        };
        let cells = [
            of("cubic fit", "iris", 0.8, 0),
            of("cubic fit", "iris", 1.0, 1),
            of("sigmoid", "iris", 0.9, 0),
            of("sigmoid", "iris", 0.8, 1),
            of("cubic fit", "wine", 0.7, 0),
            of("sigmoid", "wine", 0.8, 0),
            of("sigmoid", "crabs", 0.8, 0),
        ];
        let source = "cubic_fit.accuracy >= sigmoid.accuracy";
        let claim = Claim {
            text: "best".to_owned(),
            source: source.to_owned(),
            relation: Relation::parse(source).unwrap(),
            across: Some(Across { key: "run.label".to_owned(), at: vec!["data.name".to_owned()] }),
        };
        let result = check(&claim, &cells);
        assert_eq!((result.checked, result.holds), (2, Some(false)));
        assert_eq!(result.fails_at, ["data.name = wine, variant = encrypted"]);
    }

    /// Of keys that go with each other one is enough; what no key tells apart is no place.
    #[test]
    fn failing_points_are_named_by_what_tells_them_apart() {
        let at = |labels: &[(&str, &str)], repetition: usize| {
            let mut cell = cell(0.5, 100.0);
            let labels = labels.iter().map(|(key, label)| ((*key).to_owned(), (*label).to_owned()));
            cell.record.point = labels.collect();
            cell.record.repetition = repetition;
            cell
        };
        let source = "encrypted.accuracy >= 0.9";
        let claim = Claim {
            text: "good".to_owned(),
            source: source.to_owned(),
            relation: Relation::parse(source).unwrap(),
            across: None,
        };
        let fails = |cells: &[Finished]| check(&claim, cells).fails_at;
        let [one, two] = ["one", "two"].map(|label| {
            move |data: &'static str| {
                [("approximation.degree", label), ("data.name", data), ("run.label", label)]
            }
        });
        let cells = [at(&one("iris"), 0), at(&two("iris"), 0)];
        assert_eq!(fails(&cells), ["run.label = one", "run.label = two"]);
        let cells = [at(&one("iris"), 0), at(&one("wine"), 1), at(&two("wine"), 0)];
        assert_eq!(
            fails(&cells),
            [
                "run.label = one, data.name = iris, repetition 1",
                "run.label = one, data.name = wine, repetition 2",
                "run.label = two, data.name = wine, repetition 1",
            ]
        );
        assert_eq!(fails(&cells[..1]), ["the only point"]);
    }

    #[test]
    fn what_cannot_be_judged_says_why() {
        assert_eq!(judge(&[]), Judgement::NotRun);
        let erratum = Published { erratum: Some("printed twice".to_owned()), ..published() };
        assert_eq!(compare(&erratum, &[cell(0.9, 30.0)], &[]).verdict, Judgement::NotComparable);
        let other = Published { variant: None, ..published() };
        let comparison = compare(&other, &[cell(0.9, 30.0)], &[]);
        assert_eq!(comparison.verdict, Judgement::NotRun);
        assert!(comparison.reason.is_some());
    }
}
