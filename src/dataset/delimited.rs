//! Reader for text tables with one row a line: comma or semicolon separated, or white space.

use super::{
    error::DatasetError,
    manifest::{Delimiter, Nominal},
    table::{Role, Table, fields, text},
};

/// The options of a delimited file, from the manifest; columns are counted from 1.
pub(crate) struct Layout<'a> {
    pub(crate) delimiter: Delimiter,
    pub(crate) header_lines: usize,
    pub(crate) label: usize,
    pub(crate) drop: &'a [usize],
    pub(crate) nominal: &'a [Nominal],
    /// Features that are left once the label and the dropped columns are gone.
    pub(crate) columns: usize,
    pub(crate) classes: &'a [String],
}

impl Layout<'_> {
    /// What each column of the file is for.
    fn roles(&self) -> Vec<Role<'_>> {
        (1..=self.columns + self.drop.len() + 1)
            .map(|column| {
                if column == self.label {
                    Role::Label(self.classes)
                } else if self.drop.contains(&column) {
                    Role::Dropped
                } else {
                    let nominal = self.nominal.iter().find(|nominal| nominal.columns.contains(&column));
                    nominal.map_or(Role::Number, |nominal| Role::Nominal(&nominal.values))
                }
            })
            .collect()
    }
}

/// Reads the rows of `bytes` into `table`. Empty lines are skipped.
///
/// # Errors
/// [`DatasetError::Malformed`] with the line.
pub(crate) fn read(
    file: &str,
    bytes: &[u8],
    layout: &Layout<'_>,
    table: &mut Table,
) -> Result<(), DatasetError> {
    let roles = layout.roles();
    for (line, number) in text(file, bytes)?.lines().zip(1..).skip(layout.header_lines) {
        if line.trim().is_empty() {
            continue;
        }
        let row = match layout.delimiter {
            Delimiter::Comma => fields(line, ','),
            Delimiter::Semicolon => fields(line, ';'),
            Delimiter::Whitespace => Ok(line.split_whitespace().collect()),
        };
        let row = row.map_err(|fault| fault.at(file, super::Place::Line(number)))?;
        table.push_row(file, number, &row, &roles)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Fault, Place};
    use proptest::prelude::*;

    fn words(words: &str) -> Vec<String> {
        words.split(' ').map(str::to_owned).collect()
    }

    fn attempt(bytes: &[u8], delimiter: Delimiter) -> Result<Table, DatasetError> {
        let classes = words("no yes");
        let nominal = [Nominal { columns: vec![3], values: words("low middle high") }];
        let layout = Layout {
            delimiter,
            header_lines: 1,
            label: 4,
            drop: &[1],
            nominal: &nominal,
            columns: 2,
            classes: &classes,
        };
        let mut table = Table::default();
        read("a.csv", bytes, &layout, &mut table).map(|()| table)
    }

    fn fault(bytes: &[u8]) -> (Place, Fault) {
        match attempt(bytes, Delimiter::Comma) {
            Err(DatasetError::Malformed { file, place, fault }) => {
                assert_eq!(file, "a.csv");
                (place, fault)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn labels_drops_and_nominal_values_are_where_the_layout_says() {
        let table =
            attempt(b"id,x,size,answer\r\n\"7\",1.5,high,\"yes\"\r\n8,-2,low,no\n\n", Delimiter::Comma)
                .unwrap();
        assert_eq!(table.features, [1.5, 2.0, -2.0, 0.0]);
        assert_eq!(table.labels, [1, 0]);
        let spaced = attempt(b"id x size answer\n  7\t1.5   high yes", Delimiter::Whitespace).unwrap();
        assert_eq!((spaced.features, spaced.labels), (vec![1.5, 2.0], vec![1]));
        let semicolons = attempt(b"id;x;size;answer\n7; 1.5;middle;no", Delimiter::Semicolon).unwrap();
        assert_eq!((semicolons.features, semicolons.labels), (vec![1.5, 1.0], vec![0]));
    }

    #[test]
    fn every_hostile_row_is_refused_with_its_line() {
        assert_eq!(
            fault(b"h\n7,1,low,no\n7,1,low\n"),
            (Place::Line(3), Fault::Columns { found: 3, expected: 4 })
        );
        assert_eq!(fault(b"h\n7,1,low,no,9\n"), (Place::Line(2), Fault::Columns { found: 5, expected: 4 }));
        assert_eq!(
            fault(b"h\n\n7,nan,low,no\n"),
            (Place::Line(3), Fault::Number { column: 2, text: "nan".into() })
        );
        let undeclared = |column, text: &str, permitted| Fault::Undeclared {
            column,
            text: text.into(),
            permitted: words(permitted),
        };
        assert_eq!(fault(b"h\n7,1,LOW,no\n"), (Place::Line(2), undeclared(3, "LOW", "low middle high")));
        assert_eq!(fault(b"h\n7,1,low,maybe\n"), (Place::Line(2), undeclared(4, "maybe", "no yes")));
        assert_eq!(fault(b"h\n7,\"1,low,no\n"), (Place::Line(2), Fault::Quote { column: 2 }));
        assert_eq!(fault(b"h\n7,\xff\n"), (Place::Byte(4), Fault::Utf8));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic_or_leave_a_half_row(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(table) = attempt(&bytes, Delimiter::Comma) {
                prop_assert_eq!(table.features.len(), 2 * table.labels.len());
            }
        }

        #[test]
        fn no_text_made_of_the_readers_own_words_makes_it_panic(
            text in "(h|7|1|low|no|yes|,|\"|\n|\r| |nan){0,60}",
        ) {
            if let Ok(table) = attempt(text.as_bytes(), Delimiter::Comma) {
                prop_assert!(table.features.iter().all(|value| value.is_finite()));
            }
        }
    }
}
