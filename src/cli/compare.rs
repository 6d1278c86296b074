//! `henn compare`

use std::path::PathBuf;

use crate::cli::{CliError, Context, ExitStatus, say};
use crate::experiment::metric::{Kind, METRICS};
use crate::report::export::grid;
use crate::runner::record::Finished;
use crate::runner::sweep::read_records;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Results of one run
    left: PathBuf,
    /// Results of the other
    right: PathBuf,
    /// Exit 1 when a deterministic value differs
    #[arg(long)]
    strict: bool,
}

pub(super) fn main(context: &Context, arguments: &Arguments) -> Result<ExitStatus, CliError> {
    let (left, right) = (read_records(&arguments.left)?, read_records(&arguments.right)?);
    let same = |a: &Finished, b: &Finished| {
        let (a, b) = (&a.record, &b.record);
        (a.variant, &a.point, a.repetition) == (b.variant, &b.point, b.repetition)
    };
    let mut rows = Vec::new();
    let mut differences = 0;
    for a in &left {
        let Some(b) = right.iter().find(|b| same(a, b)) else { continue };
        for metric in METRICS {
            let (Some(x), Some(y)) = (a.value(metric), b.value(metric)) else { continue };
            #[expect(clippy::float_cmp, reason = "deterministic values are equal or they are not")]
            let differs = x != y;
            if !differs {
                continue;
            }
            differences += usize::from(metric.kind != Kind::Measured);
            let point: Vec<&str> = a.record.point.values().map(String::as_str).collect();
            let ratio = if x == 0.0 { "–".to_owned() } else { format!("{:.3}", y / x) };
            rows.push(vec![
                format!("{} {} {}", point.join(" "), a.record.variant, a.record.repetition),
                metric.name.to_owned(),
                metric.format(x),
                metric.format(y),
                ratio,
            ]);
        }
    }
    let unmatched = left.iter().filter(|a| !right.iter().any(|b| same(a, b))).count()
        + right.iter().filter(|b| !left.iter().any(|a| same(a, b))).count();
    if context.global.json {
        for row in &rows {
            let [cell, metric, a, b, _] = row.as_slice() else { continue };
            say(serde_json::json!({ "cell": cell, "metric": metric, "left": a, "right": b }));
        }
    } else {
        let heads = ["cell", "metric", "left", "right", "right / left"].map(str::to_owned);
        say(grid(&heads, 2, &rows));
        say(format!("{differences} deterministic values differ, {unmatched} cells stand on one side only"));
    }
    let fails = arguments.strict && (differences > 0 || unmatched > 0);
    Ok(if fails { ExitStatus::Failed } else { ExitStatus::Success })
}
