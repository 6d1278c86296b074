//! Reader for the KEEL format: a header that declares every attribute, then comma separated rows.
//!
//! ```text
//! @relation name
//! @attribute width real [0.1, 2.5]
//! @attribute edge {round, sharp}
//! @attribute class {no, yes}
//! @inputs width, edge
//! @outputs class
//! @data
//! 0.2, sharp, no
//! ```
//!
//! Without `@inputs` and `@outputs` the last attribute is the class and all others are features. Keywords are read
//! in any case, and declared ranges are not enforced: those of the published files are rounded.

use super::{
    error::{DatasetError, Fault, Place, clip},
    table::{Role, Table, fields, text},
};

/// One `@attribute` line.
struct Attribute<'a> {
    name: &'a str,
    /// The declared values of a nominal attribute; `None` for a number.
    values: Option<Vec<String>>,
}

/// A header that has been read to its end.
#[derive(Default)]
struct Header<'a> {
    attributes: Vec<Attribute<'a>>,
    inputs: Option<Vec<&'a str>>,
    outputs: Option<Vec<&'a str>>,
}

/// Reads the rows of `bytes` into `table`, without the attributes named in `drop`. Labels follow the order of
/// `classes`, which must be the declared ones.
///
/// # Errors
/// [`DatasetError::Malformed`] with the line.
pub(crate) fn read(
    file: &str,
    bytes: &[u8],
    drop: &[String],
    classes: &[String],
    table: &mut Table,
) -> Result<(), DatasetError> {
    let mut header = Header::default();
    let mut lines = text(file, bytes)?
        .lines()
        .zip(1..)
        .map(|(line, number)| (line.trim(), number))
        .filter(|(line, _)| !line.is_empty() && !line.starts_with('%'));
    let data = loop {
        let (line, number) = lines.next().ok_or_else(|| {
            Fault::Header { text: String::new(), expected: "@data before the end of the file" }
                .at(file, Place::Whole)
        })?;
        if header.line(line).map_err(|fault| fault.at(file, Place::Line(number)))? {
            break number;
        }
    };
    let roles = header.roles(drop, classes).map_err(|fault| fault.at(file, Place::Line(data)))?;
    for (line, number) in lines {
        let row = fields(line, ',').map_err(|fault| fault.at(file, Place::Line(number)))?;
        table.push_row(file, number, &row, &roles)?;
    }
    Ok(())
}

impl<'a> Header<'a> {
    /// Takes in one line of the header; true for `@data`.
    fn line(&mut self, line: &'a str) -> Result<bool, Fault> {
        let (keyword, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let list = || rest.split(',').map(|name| unquote(name.trim())).collect();
        match keyword.to_ascii_lowercase().as_str() {
            "@relation" => {}
            "@attribute" => self.attributes.push(attribute(rest.trim()).ok_or_else(|| Fault::Header {
                text: clip(line),
                expected: "@attribute NAME real, integer, or {VALUE, ...}",
            })?),
            "@input" | "@inputs" => self.inputs = Some(list()),
            "@output" | "@outputs" => self.outputs = Some(list()),
            "@data" => return Ok(true),
            _ => {
                let expected = "@relation, @attribute, @inputs, @outputs or @data";
                return Err(Fault::Header { text: clip(line), expected });
            }
        }
        Ok(false)
    }

    /// What each attribute is for.
    fn roles<'r>(&'r self, drop: &[String], classes: &'r [String]) -> Result<Vec<Role<'r>>, Fault> {
        let named = |name: &str, expected| {
            let known = self.attributes.iter().any(|other| other.name == name);
            if known { Ok(()) } else { Err(Fault::Header { text: clip(name), expected }) }
        };
        for name in self.inputs.iter().flatten() {
            named(name, "a declared attribute in @inputs")?;
        }
        for name in drop {
            named(name, "the attributes that the manifest drops")?;
        }
        let one = || Fault::Header { text: "@data".into(), expected: "one output attribute before it" };
        let output = match self.outputs.as_deref() {
            Some([output]) => output,
            Some(_) => return Err(one()),
            None => self.attributes.last().ok_or_else(one)?.name,
        };
        named(output, "a declared attribute in @outputs")?;
        self.attributes
            .iter()
            .map(|Attribute { name, values }| {
                if *name == output {
                    let declared = values.as_deref().unwrap_or_default();
                    if sorted(declared) != sorted(classes) {
                        return Err(Fault::Classes { found: declared.to_vec(), expected: classes.to_vec() });
                    }
                    return Ok(Role::Label { classes, skipped: &[] });
                }
                let input = self.inputs.as_ref().is_none_or(|inputs| inputs.contains(name));
                if !input || drop.iter().any(|dropped| dropped == name) {
                    return Ok(Role::Dropped);
                }
                Ok(values.as_deref().map_or(Role::Number, Role::Nominal))
            })
            .collect()
    }
}

/// What stands behind `@attribute`, or `None` where it makes no sense.
fn attribute(declaration: &str) -> Option<Attribute<'_>> {
    let (name, kind) = match declaration.strip_prefix('\'') {
        Some(quoted) => quoted.split_once('\'')?,
        None => declaration.split_at(declaration.find(|c: char| c.is_whitespace() || c == '{')?),
    };
    let kind = kind.trim();
    let Some(list) = kind.strip_prefix('{') else {
        let word = kind.split(|c: char| c.is_whitespace() || c == '[').next()?.to_ascii_lowercase();
        return matches!(word.as_str(), "real" | "integer").then_some(Attribute { name, values: None });
    };
    let values: Vec<_> =
        list.strip_suffix('}')?.split(',').map(|value| unquote(value.trim()).to_owned()).collect();
    let distinct = sorted(&values).windows(2).all(|pair| pair[0] != pair[1]);
    let complete = values.iter().all(|value| !value.is_empty());
    (distinct && complete).then_some(Attribute { name, values: Some(values) })
}

fn unquote(name: &str) -> &str {
    name.strip_prefix('\'').and_then(|name| name.strip_suffix('\'')).unwrap_or(name)
}

fn sorted(values: &[String]) -> Vec<&String> {
    let mut sorted: Vec<_> = values.iter().collect();
    sorted.sort();
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEADER: &str = "% a comment\r\n@RELATION tools\n@attribute id integer [0, 9]\n\
        @attribute width real [0.1, 2.5]\n@Attribute 'the edge' {round, sharp,saw}\n@attribute class{no,yes}\n";

    fn attempt(bytes: &[u8]) -> Result<Table, DatasetError> {
        let mut table = Table::default();
        let classes = ["yes".to_owned(), "no".to_owned()];
        read("a.dat", bytes, &["id".into()], &classes, &mut table).map(|()| table)
    }

    fn fault(bytes: &[u8]) -> (Place, Fault) {
        match attempt(bytes) {
            Err(DatasetError::Malformed { place, fault, .. }) => (place, fault),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn nominal_values_count_in_declared_order_and_classes_in_the_manifests() {
        let table = attempt(format!("{HEADER}@data\n7, 1.5, saw, no\n8,.25,round,yes\n").as_bytes()).unwrap();
        assert_eq!(table.features, [1.5, 2.0, 0.25, 0.0]);
        assert_eq!(table.labels, [1, 0]);
    }

    #[test]
    fn inputs_and_outputs_choose_the_attributes() {
        let text = "@attribute class {no,yes}\n@attribute id integer\n@attribute a real[0,1]\n@attribute b real\n\
            @inputs b\n@output class\n@DATA\nyes,1,2,3\n";
        let table = attempt(text.as_bytes()).unwrap();
        assert_eq!((table.features, table.labels), (vec![3.0], vec![0]));
    }

    #[test]
    fn every_hostile_header_is_refused_with_its_line() {
        let header = |text: &[u8]| match fault(text) {
            (place, Fault::Header { text, .. }) => (place, text),
            other => panic!("{other:?}"),
        };
        assert_eq!(header(b""), (Place::Whole, String::new()));
        assert_eq!(header(HEADER.as_bytes()), (Place::Whole, String::new()));
        assert_eq!(header(b"1,2,3\n"), (Place::Line(1), "1,2,3".into()));
        for wrong in
            ["@attribute a", "@attribute a text", "@attribute a {x,y", "@attribute a {x,x}", "@attribute {"]
        {
            assert_eq!(header(format!("@relation r\n{wrong}\n").as_bytes()), (Place::Line(2), wrong.into()));
        }
        assert_eq!(header(b"@data\n1\n").0, Place::Line(1));
        assert_eq!(header(b"@attribute class {no,yes}\n@data\n"), (Place::Line(2), "id".into()));
        let ghost = format!("{HEADER}@inputs ghost\n@data\n");
        assert_eq!(header(ghost.as_bytes()), (Place::Line(8), "ghost".into()));
        let two = format!("{HEADER}@outputs class, width\n@data\n");
        assert_eq!(header(two.as_bytes()), (Place::Line(8), "@data".into()));
    }

    #[test]
    fn classes_that_the_manifest_does_not_know_are_refused() {
        let (_, fault) = fault(b"@attribute id real\n@attribute class {no,yes,maybe}\n@data\n");
        assert!(matches!(fault, Fault::Classes { found, .. } if found == ["no", "yes", "maybe"]));
    }

    #[test]
    fn every_hostile_row_is_refused_with_its_line() {
        let row = |row: &str| fault(format!("{HEADER}@data\n{row}\n").as_bytes());
        assert_eq!(row("1,2,round"), (Place::Line(8), Fault::Columns { found: 3, expected: 4 }));
        assert_eq!(row("1,?,round,no"), (Place::Line(8), Fault::Number { column: 2, text: "?".into() }));
        let permitted = ["round", "sharp", "saw"].map(str::to_owned).to_vec();
        let undeclared = Fault::Undeclared { column: 3, text: "blunt".into(), permitted };
        assert_eq!(row("\n1,2,blunt,no"), (Place::Line(9), undeclared));
    }

    proptest! {
        #[test]
        fn no_text_made_of_the_formats_own_words_makes_the_reader_panic(
            text in "(@attribute|@inputs|@outputs|@data|class|id| real| integer|\\{|\\}|no|yes|,|'|\\[|\n| |%|1){0,80}",
        ) {
            let _ = attempt(text.as_bytes());
            if let Ok(table) = attempt(format!("{HEADER}@data\n{text}").as_bytes()) {
                prop_assert_eq!(table.features.len(), 2 * table.labels.len());
            }
        }
    }
}
