//! The rows that a reader has gathered so far, and what each column of a text file is for.

use super::error::{DatasetError, Fault, Place, clip};

/// Values beyond this would overflow a variance or a norm.
const LARGEST: f64 = 1e100;

/// Features row after row, and the label of each row.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) features: Vec<f64>,
    pub(crate) labels: Vec<usize>,
}

/// What a column is for.
#[derive(Debug, Clone)]
pub(crate) enum Role<'a> {
    /// Nothing: identifiers and the like.
    Dropped,
    /// A feature that is a number.
    Number,
    /// A feature with declared values, which become 0, 1, ... in the order of their declaration.
    Nominal(&'a [String]),
    /// The class, one of the declared names; a row with one of the `skipped` labels is no part of the set.
    Label {
        /// The declared names.
        classes: &'a [String],
        /// The labels of rows to leave out.
        skipped: &'a [String],
    },
    /// Whether the row is of this class.
    Hot(usize),
}

impl Table {
    /// A table that can take this many values without moving them, if the memory is there.
    ///
    /// The numbers are the manifest's, never those of a file's header.
    pub(crate) fn with_room(rows: usize, columns: usize) -> Self {
        let mut table = Self::default();
        // Where there is no room the table grows as it goes, and fails where it fails.
        let _ = table.features.try_reserve_exact(rows.saturating_mul(columns));
        table
    }

    /// Adds one row of text fields.
    pub(crate) fn push_row(
        &mut self,
        file: &str,
        line: usize,
        fields: &[&str],
        roles: &[Role<'_>],
    ) -> Result<(), DatasetError> {
        let at = |fault: Fault| fault.at(file, Place::Line(line));
        if fields.len() != roles.len() {
            return Err(at(Fault::Columns { found: fields.len(), expected: roles.len() }));
        }
        let start = self.features.len();
        let (mut skip, mut hot, mut one_hot) = (false, Vec::new(), false);
        for ((text, role), column) in fields.iter().zip(roles).zip(1..) {
            match role {
                Role::Dropped => {}
                Role::Number => self.features.push(number(text, column).map_err(at)?),
                Role::Nominal(values) => {
                    self.features.push(ordinal(text, column, values).map_err(at)? as f64);
                }
                Role::Label { skipped, .. } if skipped.iter().any(|label| label == text) => skip = true,
                Role::Label { classes, .. } => {
                    self.labels.push(ordinal(text, column, classes).map_err(at)?);
                }
                Role::Hot(class) => {
                    one_hot = true;
                    if truth(text, column).map_err(at)? {
                        hot.push(*class);
                    }
                }
            }
        }
        if skip {
            self.features.truncate(start);
        }
        match hot[..] {
            [class] => self.labels.push(class),
            _ if one_hot => return Err(at(Fault::OneHot { found: hot.len() })),
            _ => {}
        }
        Ok(())
    }

    /// Adds the class of a row whose features come from elsewhere.
    pub(crate) fn push_label(
        &mut self,
        file: &str,
        line: usize,
        text: &str,
        classes: &[String],
    ) -> Result<(), DatasetError> {
        self.labels.push(ordinal(text, 1, classes).map_err(|fault| fault.at(file, Place::Line(line)))?);
        Ok(())
    }
}

/// Whether a label column says that the row is of its class.
fn truth(text: &str, column: usize) -> Result<bool, Fault> {
    match number(text, column) {
        Ok(1.0) => Ok(true),
        Ok(0.0 | -1.0) => Ok(false),
        _ => Err(Fault::Undeclared {
            column,
            text: clip(text),
            permitted: ["1", "0", "-1"].map(str::to_owned).to_vec(),
        }),
    }
}

fn number(text: &str, column: usize) -> Result<f64, Fault> {
    text.parse::<f64>()
        .ok()
        .filter(|value| value.abs() <= LARGEST)
        .ok_or_else(|| Fault::Number { column, text: clip(text) })
}

fn ordinal(text: &str, column: usize, values: &[String]) -> Result<usize, Fault> {
    values.iter().position(|value| value == text).ok_or_else(|| Fault::Undeclared {
        column,
        text: clip(text),
        permitted: values.to_vec(),
    })
}

/// The text of `bytes`.
pub(crate) fn text<'a>(file: &str, bytes: &'a [u8]) -> Result<&'a str, DatasetError> {
    std::str::from_utf8(bytes).map_err(|error| Fault::Utf8.at(file, Place::Byte(error.valid_up_to())))
}

/// The fields of a line, separated by `separator`; white space around a field is no part of it.
///
/// A field may stand in double quotes, as R writes it; a separator inside the quotes separates nothing. A quote
/// inside a quoted field is not supported: no set here has one.
pub(crate) fn fields(line: &str, separator: char) -> Result<Vec<&str>, Fault> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let column = fields.len() + 1;
        let (field, tail) = match rest.trim_start().strip_prefix('"') {
            Some(quoted) => {
                let (field, tail) = quoted.split_once('"').ok_or(Fault::Quote { column })?;
                let tail = tail.trim_start();
                if !tail.is_empty() && !tail.starts_with(separator) {
                    return Err(Fault::Quote { column });
                }
                (field, tail.strip_prefix(separator))
            }
            None => match rest.split_once(separator) {
                Some((field, tail)) => (field.trim(), Some(tail)),
                None => (rest.trim(), None),
            },
        };
        fields.push(field);
        match tail {
            Some(tail) => rest = tail,
            None => return Ok(fields),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_trimmed_and_a_quoted_separator_separates_nothing() {
        assert_eq!(fields("5.1, 3.5 ,Iris setosa", ',').unwrap(), ["5.1", "3.5", "Iris setosa"]);
        assert_eq!(fields(r#""","a,b" ,1"#, ',').unwrap(), ["", "a,b", "1"]);
        assert_eq!(fields("1,,", ',').unwrap(), ["1", "", ""]);
        assert_eq!(fields("1;2", ',').unwrap(), ["1;2"]);
    }

    #[test]
    fn an_open_quote_and_text_behind_a_quote_are_refused() {
        assert_eq!(fields(r#"1,"B,2"#, ','), Err(Fault::Quote { column: 2 }));
        assert_eq!(fields(r#""B"x,2"#, ','), Err(Fault::Quote { column: 1 }));
    }

    #[test]
    fn numbers_that_arithmetic_cannot_bear_are_refused() {
        for hostile in ["NaN", "nan", "inf", "-infinity", "1e400", "1e101", "", "?", "<null>", "1,5", "0x10"]
        {
            let refused = Err(Fault::Number { column: 4, text: hostile.into() });
            assert_eq!(number(hostile, 4), refused, "{hostile}");
        }
        assert_eq!(number(".28", 1), Ok(0.28));
        assert_eq!(number("-1e100", 1), Ok(-1e100));
    }

    #[test]
    fn a_message_carries_only_the_beginning_of_a_long_field() {
        let message = number(&"9x".repeat(1_000_000), 1).unwrap_err().to_string();
        assert!(message.len() < 200, "{message}");
    }
}
