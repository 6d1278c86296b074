//! From the raw files of an entry to its rows: which reader reads which files.

use super::{
    DatasetError, Elsewhere, Entry, Format, Label, Place, archive, delimited, gzip, idx, idx::Raw, jpeg,
    keel, record, spreadsheet, table::Table,
};

/// No compressed file of the manifest that is no archive unpacks to more.
const LARGEST: u64 = 1 << 28;

/// What the raw files of an entry hold.
///
/// # Errors
/// What the reader of the format says.
pub(crate) fn read(entry: &Entry, names: &[String], raw: &[Vec<u8>]) -> Result<Table, DatasetError> {
    let mut table = Table::with_room(entry.rows(), entry.columns());
    let files: Vec<Raw<'_>> =
        names.iter().zip(raw).map(|(name, bytes)| (name.as_str(), &bytes[..])).collect();
    let (columns, classes, picture) = (entry.columns(), entry.class_names(), entry.picture());
    match entry.format() {
        Format::Keel { drop } => {
            each(&files, |(name, bytes)| keel::read(name, bytes, drop, classes, &mut table))?;
        }
        Format::Delimited { delimiter, header_lines, label, skip_labels, drop, nominal } => {
            let layout = delimited::Layout {
                delimiter: *delimiter,
                header_lines: *header_lines,
                label,
                skipped: skip_labels,
                drop,
                nominal,
                columns,
                classes,
            };
            let separate = *label == Label::Elsewhere(Elsewhere::SeparateFile);
            let mut is_labels = false;
            each(&files, |(name, bytes)| {
                if is_labels {
                    delimited::read_labels(name, bytes, classes, columns, &mut table)?;
                } else {
                    delimited::read(name, bytes, &layout, &mut table)?;
                }
                is_labels = separate && !is_labels;
                Ok(())
            })?;
        }
        Format::Xls { sheet, first_row, features, label } => {
            let (first_row, label, rows) = (*first_row, *label, entry.rows());
            let layout = spreadsheet::Layout { sheet, first_row, rows, features, label, classes };
            each(&files, |(name, bytes)| spreadsheet::read(name, bytes, &layout, &mut table))?;
        }
        Format::Idx => {
            for pair in files.chunks_exact(2) {
                idx::read(pair[0], pair[1], columns, classes.len(), &mut table)?;
            }
        }
        Format::Cifar { members } => {
            let record = columns as u64 + 1;
            let limit = record.saturating_mul(entry.rows() as u64);
            for file in records(&files, members, limit)? {
                record::read_cifar((&file.0, &file.1), columns, classes.len(), &mut table)?;
            }
        }
        Format::Stl10 { members } => {
            let limit = (columns as u64).saturating_mul(entry.rows() as u64);
            let files = records(&files, members, limit)?;
            let Some(picture) = picture else { return Ok(table) };
            for pair in files.chunks_exact(2) {
                let (pictures, labels) = ((&*pair[0].0, &*pair[0].1), (&*pair[1].0, &*pair[1].1));
                record::read_stl10(pictures, labels, picture, classes.len(), &mut table)?;
            }
        }
        Format::JpegArchive { parts } => {
            let Some(picture) = picture else { return Ok(table) };
            let layout = jpeg::Layout { parts, classes, picture, rows: entry.rows() };
            for (name, bytes) in files {
                jpeg::read(name, bytes, &layout, &mut table)?;
            }
        }
    }
    Ok(table)
}

/// Gives each file to `read`, unpacked where it is compressed.
fn each(
    files: &[Raw<'_>],
    mut read: impl FnMut(Raw<'_>) -> Result<(), DatasetError>,
) -> Result<(), DatasetError> {
    for &(name, bytes) in files {
        if gzip::is_gzip(bytes) {
            let unpacked = gzip::unpack(bytes, LARGEST).map_err(|fault| fault.at(name, Place::Whole))?;
            read((name, &unpacked))?;
        } else {
            read((name, bytes))?;
        }
    }
    Ok(())
}

/// Binary files with at most `limit` bytes each: the members of the archives, or the unpacked files themselves.
fn records(
    files: &[Raw<'_>],
    members: &[String],
    limit: u64,
) -> Result<Vec<(String, Vec<u8>)>, DatasetError> {
    let mut all = Vec::new();
    for &(name, bytes) in files {
        if !members.is_empty() {
            let contents = archive::members(name, bytes, members, limit)?;
            let names = members.iter().map(|member| archive::inside(name, member));
            all.extend(names.zip(contents));
        } else if gzip::is_gzip(bytes) {
            let unpacked = gzip::unpack(bytes, limit).map_err(|fault| fault.at(name, Place::Whole))?;
            all.push((name.to_owned(), unpacked));
        } else {
            all.push((name.to_owned(), bytes.to_vec()));
        }
    }
    Ok(all)
}
