//! Reader for text tables with one row a line: comma or semicolon separated, or white space.

use super::{
    error::{DatasetError, Fault, Place},
    format::{Delimiter, Label, Nominal},
    table::{Role, Table, fields, text},
};

/// The options of a delimited file, from the manifest; columns are counted from 1.
pub(crate) struct Layout<'a> {
    pub(crate) delimiter: Delimiter,
    pub(crate) header_lines: usize,
    pub(crate) label: &'a Label,
    pub(crate) skipped: &'a [String],
    pub(crate) drop: &'a [usize],
    pub(crate) nominal: &'a [Nominal],
    /// Features that are left once the label and the dropped columns are gone.
    pub(crate) columns: usize,
    pub(crate) classes: &'a [String],
}

impl Layout<'_> {
    /// What each column of the file is for.
    fn roles(&self) -> Vec<Role<'_>> {
        let labels = self.label.columns();
        (1..=self.columns + self.drop.len() + labels.len())
            .map(|column| {
                if let Some(class) = labels.iter().position(|&label| label == column) {
                    match self.label {
                        Label::OneHot(_) => Role::Hot(class),
                        _ => Role::Label { classes: self.classes, skipped: self.skipped },
                    }
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
        let row = row.map_err(|fault| fault.at(file, Place::Line(number)))?;
        table.push_row(file, number, &row, &roles)?;
    }
    Ok(())
}

/// Reads the classes of a file with one a line into `table`, which has the `columns` features of the rows already.
///
/// # Errors
/// [`DatasetError::Malformed`] with the line, or where there are fewer or more labels than rows.
pub(crate) fn read_labels(
    file: &str,
    bytes: &[u8],
    classes: &[String],
    columns: usize,
    table: &mut Table,
) -> Result<(), DatasetError> {
    for (line, number) in text(file, bytes)?.lines().zip(1..) {
        if !line.trim().is_empty() {
            table.push_label(file, number, line.trim(), classes)?;
        }
    }
    let (found, expected) = (table.labels.len(), table.features.len() / columns.max(1));
    if found == expected {
        return Ok(());
    }
    Err(Fault::Labels { found, expected }.at(file, Place::Whole))
}

#[cfg(test)]
mod tests {
    use super::*;
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
            label: &Label::Column(4),
            skipped: &[],
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

    /// Two features and then whatever the label says.
    fn labelled(text: &str, label: &Label, skipped: &[String]) -> Result<Table, DatasetError> {
        let classes = words("no yes");
        let delimiter = Delimiter::Comma;
        let (drop, nominal) = (&[][..], &[][..]);
        let layout = Layout {
            delimiter,
            header_lines: 0,
            label,
            skipped,
            drop,
            nominal,
            columns: 2,
            classes: &classes,
        };
        let mut table = Table::default();
        read("a.csv", text.as_bytes(), &layout, &mut table).map(|()| table)
    }

    fn place_and_fault(result: Result<Table, DatasetError>) -> (Place, Fault) {
        match result {
            Err(DatasetError::Malformed { place, fault, .. }) => (place, fault),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_skipped_label_takes_its_row_with_it_but_its_numbers_are_checked() {
        let (label, skipped) = (Label::Column(1), words("0 none"));
        let table = labelled("yes,1,2\n0,3,4\nno,5,6\nnone,7,8\n", &label, &skipped).unwrap();
        assert_eq!((table.features, table.labels), (vec![1.0, 2.0, 5.0, 6.0], vec![1, 0]));
        let refused = place_and_fault(labelled("0,3,nan\n", &label, &skipped));
        assert_eq!(refused, (Place::Line(1), Fault::Number { column: 3, text: "nan".into() }));
        let columns = Fault::Columns { found: 2, expected: 3 };
        assert_eq!(place_and_fault(labelled("0,3\n", &label, &skipped)), (Place::Line(1), columns));
    }

    #[test]
    fn of_several_label_columns_exactly_one_must_hold_1() {
        let label = Label::OneHot(vec![4, 3]);
        let table = labelled("1,2,1,-1\n3,4,-1,1\n5,6,0,1.0\n", &label, &[]).unwrap();
        assert_eq!((table.features, table.labels), (vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], vec![1, 0, 0]));
        for (text, fault) in [
            ("1,2,-1,-1", Fault::OneHot { found: 0 }),
            ("1,2,1,1", Fault::OneHot { found: 2 }),
            ("1,2,0.5,1", Fault::Undeclared { column: 3, text: "0.5".into(), permitted: words("1 0 -1") }),
            ("1,2,1,nan", Fault::Undeclared { column: 4, text: "nan".into(), permitted: words("1 0 -1") }),
        ] {
            assert_eq!(place_and_fault(labelled(text, &label, &[])), (Place::Line(1), fault), "{text}");
        }
    }

    #[test]
    fn separate_labels_must_be_as_many_as_rows() {
        use crate::dataset::format::Elsewhere;
        let label = Label::Elsewhere(Elsewhere::SeparateFile);
        let attempt = |labels: &[u8]| {
            let mut table = labelled("1,2\n3,4\n", &label, &[])?;
            read_labels("a.labels", labels, &words("no yes"), 2, &mut table).map(|()| table)
        };
        assert_eq!(attempt(b"yes\n no \n\n").unwrap().labels, [1, 0]);
        let count = |found| (Place::Whole, Fault::Labels { found, expected: 2 });
        assert_eq!(place_and_fault(attempt(b"yes\n")), count(1));
        assert_eq!(place_and_fault(attempt(b"")), count(0));
        assert_eq!(place_and_fault(attempt(b"yes\nno\nno")), count(3));
        let undeclared = Fault::Undeclared { column: 1, text: "1".into(), permitted: words("no yes") };
        assert_eq!(place_and_fault(attempt(b"yes\n1\n")), (Place::Line(2), undeclared));
        assert_eq!(place_and_fault(attempt(b"\xff")), (Place::Byte(0), Fault::Utf8));
    }

    proptest! {
        #[test]
        fn no_text_makes_other_labels_panic_or_leave_a_half_row(text in "(1|-1|0|no|yes|skip|,|\n){0,60}") {
            for label in [Label::Column(3), Label::OneHot(vec![3, 4])] {
                if let Ok(table) = labelled(&text, &label, &words("skip")) {
                    prop_assert_eq!(table.features.len(), 2 * table.labels.len());
                }
            }
        }

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
