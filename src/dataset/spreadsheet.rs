//! Reader for numbers in a sheet of an Excel workbook of the years 1997 to 2003 (`.xls`, BIFF8).
//!
//! A workbook is a sequence of records, each with a type and a length of 16 bits. The first part lists the sheets with
//! the place where each starts; a sheet's records each hold one cell or several neighbours. Only cells with numbers are
//! of use here, and formulas by the number that they had when the workbook was saved. [MS-XLS] is the public
//! specification.

mod compound;

use compound::{Compound, damaged, word};

use super::{
    error::{DatasetError, Fault, Place},
    table::{Role, Table},
};

const BOF: u16 = 0x0809;
const EOF: u16 = 0x000a;
const BOUND_SHEET: u16 = 0x0085;
const NUMBER: u16 = 0x0203;
const RK: u16 = 0x027e;
const MULTIPLE_RK: u16 = 0x00bd;
const FORMULA: u16 = 0x0006;
/// What the first record of a part says where the format is BIFF8.
const BIFF8: u16 = 0x0600;

/// What a sheet holds, from the manifest; rows and columns are counted from 1.
pub(crate) struct Layout<'a> {
    pub(crate) sheet: &'a str,
    pub(crate) first_row: usize,
    pub(crate) rows: usize,
    pub(crate) features: &'a [usize],
    pub(crate) label: usize,
    pub(crate) classes: &'a [String],
}

/// Reads the rows of a sheet into `table`.
///
/// # Errors
/// [`DatasetError::Malformed`], with the row as the line where a cell is wrong or empty.
pub(crate) fn read(
    file: &str,
    bytes: &[u8],
    layout: &Layout<'_>,
    table: &mut Table,
) -> Result<(), DatasetError> {
    let whole = |fault: Fault| fault.at(file, Place::Whole);
    let workbook = Compound::open(bytes).and_then(|file| file.stream("Workbook")).map_err(whole)?;
    let sheet = find(&workbook, layout.sheet).map_err(whole)?;
    let mut columns: Vec<usize> = layout.features.iter().chain([&layout.label]).copied().collect();
    columns.sort_unstable();
    // As many cells as the manifest says, whatever the sheet says; NaN where nothing is.
    let mut cells = vec![f64::NAN; layout.rows.saturating_mul(columns.len())];
    let mut put = |row: u16, column: u16, value: f64| {
        let row = usize::from(row).checked_sub(layout.first_row.saturating_sub(1));
        let column = columns.binary_search(&(usize::from(column) + 1)).ok();
        if let (Some(row), Some(column)) = (row.filter(|&row| row < layout.rows), column) {
            cells[row * columns.len() + column] = value;
        }
    };
    read_cells(sheet, &mut put).map_err(whole)?;
    // Through text, so that labels and the limits of numbers are those of every other table. The shortest text of a
    // number gives back the same number.
    let width = columns.last().copied().unwrap_or(0);
    let mut roles = vec![Role::Dropped; width];
    for &column in layout.features {
        roles[column - 1] = Role::Number;
    }
    roles[layout.label - 1] = Role::Label { classes: layout.classes, skipped: &[] };
    for (cells, line) in cells.chunks_exact(columns.len()).zip(layout.first_row..) {
        let mut row = vec![String::new(); width];
        for (cell, column) in cells.iter().zip(&columns).filter(|(cell, _)| !cell.is_nan()) {
            row[column - 1] = cell.to_string();
        }
        let row: Vec<_> = row.iter().map(String::as_str).collect();
        table.push_row(file, line, &row, &roles)?;
    }
    Ok(())
}

/// The records from the start of the sheet of this name.
fn find<'a>(workbook: &'a [u8], name: &str) -> Result<Records<'a>, Fault> {
    let mut found = Vec::new();
    for record in Records::start(workbook, 0)? {
        let (kind, data) = record?;
        if kind != BOUND_SHEET {
            continue;
        }
        let (start, sheet) = bound_sheet(data).ok_or_else(|| damaged("a sheet without a name"))?;
        if sheet == name {
            return Records::start(workbook, start);
        }
        found.push(sheet);
    }
    Err(damaged(format!("no sheet {name:?}, only {}", super::error::clip(&found.join(", ")))))
}

/// Where a sheet starts, and its name.
fn bound_sheet(data: &[u8]) -> Option<(usize, String)> {
    let start = word(data, 0)? as usize;
    let (&length, &flags, characters) = (data.get(6)?, data.get(7)?, data.get(8..)?);
    let length = usize::from(length);
    // One or two bytes a character; one is Latin-1.
    let units: Vec<u16> = if flags & 1 == 0 {
        characters.get(..length)?.iter().map(|&byte| u16::from(byte)).collect()
    } else {
        characters.get(..2 * length)?.chunks_exact(2).filter_map(|pair| short(pair, 0)).collect()
    };
    Some((start, String::from_utf16_lossy(&units)))
}

/// Calls `put` with row, column (both from 0) and value of each number in the sheet.
fn read_cells(sheet: Records<'_>, put: &mut impl FnMut(u16, u16, f64)) -> Result<(), Fault> {
    for record in sheet {
        let (kind, data) = record?;
        let cell = match kind {
            RK => cell(data).zip(word(data, 6).map(rk)),
            // A text, a truth value or an error has these two bytes where a number has its highest ones.
            FORMULA if short(data, 12) == Some(0xffff) => continue,
            NUMBER | FORMULA => cell(data).zip(double(data, 6)),
            MULTIPLE_RK => {
                let ((row, first), cells) =
                    cell(data).zip(data.get(4..)).ok_or_else(|| damaged("a cell is cut"))?;
                // Six bytes a cell: two for the style and four for the number; two for the last column end it.
                for (cell, column) in cells.chunks_exact(6).zip(first..) {
                    if let Some(value) = word(cell, 2) {
                        put(row, column, rk(value));
                    }
                }
                continue;
            }
            _ => continue,
        };
        let ((row, column), value) = cell.ok_or_else(|| damaged("a cell is cut"))?;
        put(row, column, value);
    }
    Ok(())
}

fn cell(data: &[u8]) -> Option<(u16, u16)> {
    short(data, 0).zip(short(data, 2))
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at + 2)?;
    Some(u16::from_le_bytes(bytes.try_into().ok()?))
}

fn double(bytes: &[u8], at: usize) -> Option<f64> {
    let bytes = bytes.get(at..at + 8)?;
    Some(f64::from_le_bytes(bytes.try_into().ok()?))
}

/// The number that four bytes stand for: 30 bits, which are a whole number or the highest bits of a floating-point one,
/// and possibly to be divided by 100.
fn rk(word: u32) -> f64 {
    let value = if word & 2 == 0 {
        f64::from_bits(u64::from(word & !3) << 32)
    } else {
        f64::from(word.cast_signed() >> 2)
    };
    if word & 1 == 0 { value } else { value / 100.0 }
}

/// The records of one part of a workbook, without those of parts inside it (charts have their own).
struct Records<'a> {
    rest: &'a [u8],
    depth: usize,
}

impl<'a> Records<'a> {
    /// The records behind the one that opens a part at this byte.
    fn start(workbook: &'a [u8], at: usize) -> Result<Self, Fault> {
        let mut records = Self { rest: workbook.get(at..).unwrap_or_default(), depth: 0 };
        match records.record() {
            Some(Ok((BOF, data))) if short(data, 0) == Some(BIFF8) => Ok(records),
            _ => Err(damaged(format!("no part in the format BIFF8 starts at byte {at} of the workbook"))),
        }
    }

    fn record(&mut self) -> Option<Result<(u16, &'a [u8]), Fault>> {
        let (kind, length) = short(self.rest, 0).zip(short(self.rest, 2))?;
        let end = 4 + usize::from(length);
        let Some(data) = self.rest.get(4..end) else {
            self.rest = &[];
            return Some(Err(damaged("a record is cut")));
        };
        self.rest = &self.rest[end..];
        Some(Ok((kind, data)))
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<(u16, &'a [u8]), Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let record = self.record()?;
            match record {
                Ok((BOF, _)) => self.depth += 1,
                Ok((EOF, _)) if self.depth == 0 => {
                    self.rest = &[];
                    return None;
                }
                Ok((EOF, _)) => self.depth -= 1,
                Ok(_) if self.depth > 0 => {}
                _ => return Some(record),
            }
        }
    }
}

#[cfg(test)]
mod tests;
