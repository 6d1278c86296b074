//! Pictures of attacks: a row of originals, and below it a row of what was rebuilt at every point.

use crate::experiment::plan::{self, Plan};
use crate::report::chart::gallery::{Gallery, Picture, Row};
use crate::report::table::{combinations, undetermined};
use crate::runner::record::{self, Finished};

/// The rows of the first repetition's pictures; none when there are no pictures.
pub(super) fn build(plan: &Plan, spec: &plan::Figure, finished: &[Finished]) -> Option<Gallery> {
    let shown: Vec<Finished> =
        finished.iter().filter(|cell| !cell.record.pictures.is_empty()).cloned().collect();
    let keys: Vec<String> = spec.series.iter().cloned().collect();
    let extra = undetermined(&shown, &keys);
    let keys: Vec<String> = keys.into_iter().chain(extra).collect();
    let mut rows: Vec<Row> = Vec::new();
    for names in combinations(&shown, &keys) {
        let belongs = |cell: &&Finished| {
            keys.iter().zip(&names).all(|(key, name)| cell.label(key).as_ref() == Some(name))
        };
        let Some(cell) = shown.iter().find(belongs) else { continue };
        let pictures = &cell.record.pictures;
        let originals: Vec<Picture> = pictures.iter().filter_map(|found| picture(found, true)).collect();
        // Points with the same originals share them.
        if rows.iter().rfind(|row| row.name == ORIGINAL).is_none_or(|row| row.pictures != originals) {
            rows.push(Row { name: ORIGINAL.to_owned(), pictures: originals });
        }
        let name = if names.is_empty() { "rebuilt".to_owned() } else { names.join(" ") };
        let rebuilt = pictures.iter().filter_map(|found| picture(found, false)).collect();
        rows.push(Row { name, pictures: rebuilt });
    }
    (!rows.is_empty()).then(|| Gallery { title: plan.title.clone(), rows })
}

/// The name of the rows of originals.
const ORIGINAL: &str = "original";

/// One of a record's two pictures; none where its pixels cannot be read.
fn picture(found: &record::Picture, original: bool) -> Option<Picture> {
    let pixels = hex::decode(if original { &found.original } else { &found.rebuilt }).ok()?;
    let caption = if original {
        String::new()
    } else {
        // Two digits, and no minus before a zero.
        let rounded = (found.correlation * 100.0).round() / 100.0 + 0.0;
        format!("r = {rounded:.2}").replace('-', "−")
    };
    Some(Picture { width: found.width, pixels, caption })
}
