//! Tables, charts and verdicts from finished cells. Nothing here runs anything.

pub mod chart;
pub mod export;
pub mod figure;
pub mod reference;
pub mod summary;
pub mod table;
pub mod verdict;

use std::path::Path;

use polars::error::PolarsError;
use thiserror::Error;

use crate::experiment::metric::Kind;
use crate::experiment::plan::Plan;
use crate::report::chart::ChartError;
use crate::report::reference::{Reference, ReferenceError};
use crate::report::table::Table;
use crate::report::verdict::Verdict;
use crate::runner::RunError;
use crate::runner::file::write_atomic;
use crate::runner::record::Finished;
use crate::runner::sweep::NotRun;

/// Why a report cannot be written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReportError {
    /// A file cannot be written.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Published values cannot be read.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// A chart cannot be drawn.
    #[error("chart: {0}")]
    Chart(#[from] ChartError),
    /// A table cannot be put together.
    #[error("table: {0}")]
    Table(#[from] PolarsError),
    /// A value cannot be written as JSON.
    #[error("json: {0}")]
    Json(#[from] serde_json::Error),
}

/// A report in memory.
#[derive(Debug)]
pub struct Report {
    /// What the table says, measured columns included.
    pub table: Option<Table>,
    /// Published against measured, and claims.
    pub verdict: Verdict,
}

/// Makes the report of a plan's finished cells.
pub fn make(plan: &Plan, finished: &[Finished], not_run: &[NotRun], reference: Option<&Reference>) -> Report {
    let table = plan.table.as_ref().map(|spec| Table::new(plan, spec, finished));
    let verdict = Verdict::new(plan, finished, not_run, reference);
    Report { table, verdict }
}

impl Report {
    /// Writes tables, chart and verdict into a results directory.
    ///
    /// `table.*`, `figure.*` and `verdict.json` hold only what is the same on every run; measured columns and published times go to
    /// `timing.*`.
    pub fn write(
        &self,
        directory: &Path,
        plan: &Plan,
        finished: &[Finished],
        reference: Option<&Reference>,
    ) -> Result<(), ReportError> {
        if let Some(table) = &self.table {
            for (stem, measured) in [("table", false), ("timing", true)] {
                let part = table.only(|kind| (kind == Kind::Measured) == measured);
                if part.cells.is_empty() && measured {
                    continue;
                }
                let verdict = self.verdict.only_times(measured);
                for (extension, bytes) in export::all(&part, Some(&verdict))? {
                    write_atomic(&directory.join(format!("{stem}.{extension}")), &bytes)?;
                }
            }
        }
        let mut verdict = serde_json::to_vec_pretty(&self.verdict.only_times(false))?;
        verdict.push(b'\n');
        write_atomic(&directory.join("verdict.json"), &verdict)?;
        // Last: a chart that cannot be drawn keeps nothing else from being written.
        if let Some(spec) = &plan.figure
            && let Some(chart) = figure::build(plan, spec, finished, reference)
        {
            write_atomic(&directory.join("figure.svg"), chart.svg()?.as_bytes())?;
            write_atomic(&directory.join("figure.png"), &chart.png()?)?;
        }
        Ok(())
    }

    /// The text for a terminal.
    pub fn to_terminal(&self) -> String {
        let mut text = String::new();
        if let Some(table) = &self.table {
            text.push_str(&export::terminal(table));
        }
        text.push_str(&self.verdict.to_terminal());
        text
    }
}
