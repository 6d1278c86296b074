//! Workbooks that the tests write themselves, byte for byte as the specification has them, and their damage.

use proptest::prelude::*;

use super::*;

const END: u32 = 0xffff_fffe;
const FREE: u32 = 0xffff_ffff;

fn record(kind: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap();
    [&kind.to_le_bytes()[..], &length.to_le_bytes(), data].concat()
}

/// The place of a cell and its style.
fn at(row: u16, column: u16) -> Vec<u8> {
    [row, column, 0].into_iter().flat_map(u16::to_le_bytes).collect()
}

fn number(kind: u16, row: u16, column: u16, value: f64) -> Vec<u8> {
    record(kind, &[&at(row, column)[..], &value.to_le_bytes()].concat())
}

fn rk_cell(row: u16, column: u16, value: u32) -> Vec<u8> {
    record(RK, &[&at(row, column)[..], &value.to_le_bytes()].concat())
}

/// A workbook with a sheet `Other` and a sheet `Data` with these records.
fn workbook(records: &[Vec<u8>]) -> Vec<u8> {
    let bof = record(BOF, &[BIFF8.to_le_bytes(), 5_u16.to_le_bytes()].concat());
    let eof = record(EOF, &[]);
    let sheet = |start: u32, flags: u8, name: &[u8], length: u8| {
        record(BOUND_SHEET, &[&start.to_le_bytes()[..], &[0, 0, length, flags], name].concat())
    };
    let wide: Vec<u8> = "Other".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let globals = |start| {
        let sheets = [sheet(0, 1, &wide, 5), sheet(start, 0, b"Data", 4)].concat();
        [&bof[..], &sheets, &eof].concat()
    };
    let start = u32::try_from(globals(0).len()).unwrap();
    let mut bytes = [&globals(start)[..], &bof, &records.concat(), &eof].concat();
    bytes.resize(bytes.len().next_multiple_of(512).max(4096), 0);
    bytes
}

/// A compound file with the stream `Workbook`: the allocation table in sector 0, the directory in sector 1.
fn compound(stream: &[u8]) -> Vec<u8> {
    let mut header = vec![0; 512];
    header[..8].copy_from_slice(&[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1]);
    header[30] = 9;
    let mut put = |place: usize, word: u32| header[place..place + 4].copy_from_slice(&word.to_le_bytes());
    put(44, 1);
    put(48, 1);
    put(68, END);
    put(76, 0);
    (1..109).for_each(|index| put(76 + 4 * index, FREE));
    let sectors = u32::try_from(stream.len() / 512).unwrap();
    let table = (0..128).map(|sector| match sector {
        0 => 0xffff_fffd,
        sector if sector > sectors + 1 => FREE,
        sector if sector == 1 || sector == sectors + 1 => END,
        sector => sector + 1,
    });
    let table: Vec<u8> = table.flat_map(u32::to_le_bytes).collect();
    let mut directory = vec![0; 512];
    let name: Vec<u8> = "Workbook".encode_utf16().flat_map(u16::to_le_bytes).collect();
    directory[128..][..name.len()].copy_from_slice(&name);
    directory[192..196].copy_from_slice(&[18, 0, 2, 1]);
    directory[244..248].copy_from_slice(&2_u32.to_le_bytes());
    directory[248..252].copy_from_slice(&u32::try_from(stream.len()).unwrap().to_le_bytes());
    [&header[..], &table, &directory, stream].concat()
}

fn attempt(bytes: &[u8]) -> Result<Table, DatasetError> {
    let classes = ["1".to_owned(), "2".to_owned()];
    let layout =
        Layout { sheet: "Data", first_row: 2, rows: 2, features: &[5, 2], label: 4, classes: &classes };
    let mut table = Table::default();
    read("a.xls", bytes, &layout, &mut table).map(|()| table)
}

fn fault(bytes: &[u8]) -> (Place, Fault) {
    match attempt(bytes) {
        Err(DatasetError::Malformed { file, place, fault }) => {
            assert_eq!(file, "a.xls");
            (place, fault)
        }
        other => panic!("{other:?}"),
    }
}

fn reason(bytes: &[u8]) -> String {
    match fault(bytes) {
        (Place::Whole, Fault::Spreadsheet { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

/// Two rows below a header: 0.5, 2, 7 and -1.25, 1, 300.
fn good() -> Vec<Vec<u8>> {
    vec![
        number(NUMBER, 0, 1, 99.0),
        number(NUMBER, 1, 1, 0.5),
        rk_cell(1, 3, (2 << 2) | 2),
        number(FORMULA, 1, 4, 7.0),
        // A chart inside the sheet has cells of its own.
        record(BOF, &[0, 6, 32, 0]),
        number(NUMBER, 1, 1, 1000.0),
        record(EOF, &[]),
        record(
            MULTIPLE_RK,
            &[
                &[2, 0, 0, 0][..],
                &[0, 0],
                &(8 << 2 | 2_u32).to_le_bytes(),
                &[0, 0],
                &((-125_i32 << 2).cast_unsigned() | 3).to_le_bytes(),
                &[1, 0],
            ]
            .concat(),
        ),
        rk_cell(2, 3, 0x3ff0_0000),
        rk_cell(2, 4, (30_000 << 2) | 3),
        number(NUMBER, 3, 1, 5.0),
    ]
}

#[test]
fn every_kind_of_number_is_read_and_the_rest_of_the_sheet_is_not() {
    let table = attempt(&compound(&workbook(&good()))).unwrap();
    assert_eq!(table.features, [0.5, 7.0, -1.25, 300.0], "in the order of the columns");
    assert_eq!(table.labels, [1, 0]);
}

#[test]
fn an_empty_cell_and_a_strange_class_are_refused_with_their_row() {
    let mut cells = good();
    cells[1] = number(NUMBER, 9, 1, 0.5);
    let empty = Fault::Number { column: 2, text: String::new() };
    assert_eq!(fault(&compound(&workbook(&cells))), (Place::Line(2), empty));
    let mut cells = good();
    cells[8] = number(NUMBER, 2, 3, 1.5);
    let permitted = vec!["1".to_owned(), "2".to_owned()];
    let strange = Fault::Undeclared { column: 4, text: "1.5".into(), permitted };
    assert_eq!(fault(&compound(&workbook(&cells))), (Place::Line(3), strange));
    for value in [f64::NAN, f64::INFINITY, 1e200] {
        let mut cells = good();
        cells[1] = number(NUMBER, 1, 1, value);
        assert!(matches!(
            fault(&compound(&workbook(&cells))),
            (Place::Line(2), Fault::Number { column: 2, .. })
        ));
    }
    let mut cells = good();
    let mut text = at(1, 4);
    text.extend([0, 0, 0, 0, 0, 0, 0xff, 0xff]);
    cells[3] = record(FORMULA, &text);
    let none = Fault::Number { column: 5, text: String::new() };
    assert_eq!(fault(&compound(&workbook(&cells))), (Place::Line(2), none));
}

#[test]
fn a_workbook_without_the_sheet_or_with_cut_records_is_refused() {
    let bytes = workbook(&good());
    let renamed: Vec<u8> = {
        let place = bytes.windows(4).position(|window| window == b"Data").unwrap();
        [&bytes[..place], b"Date", &bytes[place + 4..]].concat()
    };
    assert_eq!(reason(&compound(&renamed)), "no sheet \"Data\", only Other, Date");
    assert_eq!(reason(&compound(&workbook(&[record(NUMBER, &[0; 13])]))), "a cell is cut");
    assert_eq!(reason(&compound(&workbook(&[record(MULTIPLE_RK, &[0; 3])]))), "a cell is cut");
    let mut cut = bytes;
    let end = cut.len();
    let start = cut.windows(4).rposition(|window| window == [0x0a, 0, 0, 0]).unwrap();
    cut[start..end].fill(0xff);
    assert_eq!(reason(&compound(&cut)), "a record is cut");
    assert!(reason(&compound(&[0; 4096])).starts_with("no part in the format BIFF8"));
}

#[test]
fn lies_in_the_header_the_table_and_the_directory_are_refused() {
    let good = compound(&workbook(&good()));
    let change = |place: usize, bytes: &[u8]| {
        let mut changed = good.clone();
        changed[place..place + bytes.len()].copy_from_slice(bytes);
        reason(&changed)
    };
    assert_eq!(reason(b"garbage"), "it does not start like a compound file");
    assert_eq!(reason(&good[..8]), "it ends within its header");
    assert!(reason(&good[..600]).starts_with("no sector"));
    assert!(reason(&good[..good.len() - 1]).starts_with("no sector"));
    assert_eq!(change(0, &[0]), "it does not start like a compound file");
    assert_eq!(change(30, &[31]), "sectors of 2^31 bytes; permitted are 2^9 and 2^12");
    assert_eq!(change(48, &[77]), "no sector 77");
    assert_eq!(change(76, &[77]), "no sector 77");
    // The second list of table sectors: at a sector that is not there, and in a circle.
    assert_eq!(change(68, &[77, 0, 0, 0]), "no sector 77");
    let circle = [[2, 0, 0, 0]; 128].concat();
    let mut round = good.clone();
    round[68..72].copy_from_slice(&[2, 0, 0, 0]);
    round[512 * 3..512 * 4].copy_from_slice(&circle);
    assert_eq!(reason(&round), "its allocation table is longer than the file");
    let directory = 1024 + 128;
    assert_eq!(change(directory, b"X"), "it has no stream \"Workbook\"");
    assert!(change(directory + 120, &u32::MAX.to_le_bytes()).starts_with("a stream of 4294967295 bytes"));
    assert!(change(directory + 120, &[1, 0, 0, 0]).starts_with("a stream of 1 bytes"));
    assert!(change(512 + 8, &END.to_le_bytes()).ends_with("ends after 512"));
    // A chain in a circle, whose sector is longer than all that is read, is followed no further than the stream is long.
    let mut round = good;
    round[520..524].copy_from_slice(&[2, 0, 0, 0]);
    assert_eq!(attempt(&round).unwrap().labels, [1, 0]);
}

proptest! {
    #[test]
    fn no_damage_makes_the_reader_panic_or_leave_half_a_row(
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..12),
        low in any::<bool>(),
    ) {
        let mut bytes = compound(&workbook(&good()));
        for (place, value) in damage {
            let end = if low { 1700 } else { bytes.len() };
            let place = place.index(end);
            bytes[place] = value;
        }
        if let Ok(table) = attempt(&bytes) {
            prop_assert_eq!(table.features.len(), 2 * table.labels.len());
        }
    }

    #[test]
    fn no_records_make_the_reader_panic(data in proptest::collection::vec(any::<u8>(), 0..300)) {
        drop(attempt(&compound(&workbook(&[data]))));
    }
}
