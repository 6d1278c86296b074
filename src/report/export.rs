//! Tables as files: CSV and JSON with one line a value, Markdown and LaTeX as one reads them.

use comfy_table::{CellAlignment, ContentArrangement, TableComponent, presets};
use polars::prelude::{CsvWriter, SerWriter};
use serde_json::json;

use crate::report::ReportError;
use crate::report::table::Table;
use crate::report::verdict::Verdict;

/// All formats of a table: extension and contents. The verdict stands below the readable ones.
pub fn all(table: &Table, verdict: Option<&Verdict>) -> Result<Vec<(&'static str, Vec<u8>)>, ReportError> {
    Ok(vec![
        ("csv", csv(table)?),
        ("json", json(table)?),
        ("md", markdown(table, verdict).into_bytes()),
        ("tex", latex(table).into_bytes()),
    ])
}

fn csv(table: &Table) -> Result<Vec<u8>, ReportError> {
    let mut bytes = Vec::new();
    CsvWriter::new(&mut bytes).finish(&mut table.frame()?)?;
    Ok(bytes)
}

fn json(table: &Table) -> Result<Vec<u8>, ReportError> {
    let mut bytes = serde_json::to_vec_pretty(
        &json!({ "title": table.title, "cells": table.cells, "notes": table.notes }),
    )?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// A Markdown table of texts, of which the first columns are labels.
pub fn markdown_grid(heads: &[String], labels: usize, rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| {
        let escaped: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
        format!("| {} |\n", escaped.join(" | "))
    };
    let rule: Vec<&str> =
        (0..heads.len()).map(|column| if column < labels { "---" } else { "---:" }).collect();
    let mut text = line(heads);
    text.push_str(&format!("| {} |\n", rule.join(" | ")));
    for row in rows {
        text.push_str(&line(row));
    }
    text
}

fn markdown(table: &Table, verdict: Option<&Verdict>) -> String {
    let mut text =
        format!("# {}\n\n{}", table.title, markdown_grid(&table.heads(), table.labels(), &table.rows()));
    for note in &table.notes {
        text.push_str(&format!("\n{note}\n"));
    }
    if let Some(verdict) = verdict {
        text.push_str(&verdict.to_markdown());
    }
    text
}

/// A `tabular` for the `booktabs` package.
fn latex(table: &Table) -> String {
    let heads = table.heads();
    let line = |cells: &[String]| {
        let escaped: Vec<String> = cells.iter().map(|cell| escape_latex(cell)).collect();
        format!("  {} \\\\\n", escaped.join(" & "))
    };
    let mut text = format!("% {}\n% needs \\usepackage{{booktabs}}\n", table.title);
    text.push_str(&format!(
        "\\begin{{tabular}}{{{}{}}}\n  \\toprule\n",
        "l".repeat(table.labels()),
        "r".repeat(heads.len().saturating_sub(table.labels()))
    ));
    text.push_str(&line(&heads));
    text.push_str("  \\midrule\n");
    for row in table.rows() {
        text.push_str(&line(&row));
    }
    text.push_str("  \\bottomrule\n\\end{tabular}\n");
    for note in &table.notes {
        text.push_str(&format!("% {note}\n"));
    }
    text
}

fn escape_latex(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => {
                out.push('\\');
                out.push(letter);
            }
            '~' => out.push_str("\\textasciitilde{}"),
            '^' => out.push_str("\\textasciicircum{}"),
            '\\' => out.push_str("\\textbackslash{}"),
            '±' => out.push_str("$\\pm$"),
            '†' => out.push_str("$\\dagger$"),
            '–' => out.push_str("--"),
            other => out.push(other),
        }
    }
    out
}

/// A table for a terminal.
pub fn terminal(table: &Table) -> String {
    let mut text = format!("{}\n{}\n", table.title, grid(&table.heads(), table.labels(), &table.rows()));
    for note in &table.notes {
        text.push_str(&format!("{note}\n"));
    }
    text
}

/// A table of texts for a terminal, the labels to the left, the other columns to the right.
pub fn grid(heads: &[String], labels: usize, rows: &[Vec<String>]) -> comfy_table::Table {
    let mut grid = comfy_table::Table::new();
    grid.load_preset(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Disabled);
    // No lines between rows.
    for component in [
        TableComponent::HorizontalLines,
        TableComponent::MiddleIntersections,
        TableComponent::LeftBorderIntersections,
        TableComponent::RightBorderIntersections,
    ] {
        grid.remove_style(component);
    }
    grid.set_header(heads.iter().map(|head| head.replace(' ', "\n")));
    for row in rows {
        grid.add_row(row);
    }
    for (number, column) in grid.column_iter_mut().enumerate() {
        column.set_cell_alignment(if number < labels { CellAlignment::Left } else { CellAlignment::Right });
    }
    grid
}
