//! Small pictures that another program (Pillow 12) has written, and archives that lie.

use proptest::prelude::*;

use super::*;
use crate::dataset::archive::pack;

/// 8 x 8: (220, 40, 10) on the left, (20, 60, 200) on the right.
const COLOUR: &str = "\
    ffd8ffe000104a46494600010100000100010000ffdb00430002010101010102010101020202020204030202020205040403\
    04060506060605060606070908060709070606080b08090a0a0a0a0a06080b0c0b0a0c090a0a0affdb004301020202020202\
    050303050a0706070a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a\
    0a0a0a0a0a0a0a0affc00011080008000803011100021101031101ffc40014000100000000000000000000000000000008ff\
    c40018100002030000000000000000000000000000074583c2ffc40014010100000000000000000000000000000007ffc400\
    18110002030000000000000000000000000000084584c4ffda000c03010002110311003f0019b7a3aec080914fd5d23d3bf0\
    16b31fffd9";

/// 8 x 8 in grey: 0, 30, 60, ... from left to right.
const GREY: &str = "\
    ffd8ffe000104a46494600010100000100010000ffdb00430002010101010102010101020202020204030202020205040403\
    04060506060605060606070908060709070606080b08090a0a0a0a0a06080b0c0b0a0c090a0a0affc0000b08000800080101\
    1100ffc40014000100000000000000000000000000000007ffc400181000020300000000000000000000000000000a4583c1\
    ffda0008010100003f00235dc82af0ffd9";

/// 8 wide and 16 high, black.
const TALL: &str = "\
    ffd8ffe000104a46494600010100000100010000ffdb004300100b0c0e0c0a100e0d0e1211101318281a181616183123251d\
    283a333d3c3933383740485c4e404457453738506d51575f626768673e4d71797064785c656763ffdb004301111212181518\
    2f1a1a2f63423842636363636363636363636363636363636363636363636363636363636363636363636363636363636363\
    6363636363636363ffc00011080010000803012200021101031101ffc4001500010100000000000000000000000000000007\
    ffc40014100100000000000000000000000000000000ffc40014010100000000000000000000000000000000ffc400141101\
    00000000000000000000000000000000ffda000c03010002110311003f009f800fffd9";

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn words(words: &str) -> Vec<String> {
    words.split(' ').map(str::to_owned).collect()
}

fn attempt(files: &[(&str, &[u8])], channels: usize) -> Result<Table, DatasetError> {
    let (parts, classes) = (words("train test"), words("cat dog"));
    let picture = Picture { channels, height: 8, width: 8 };
    let layout = Layout { parts: &parts, classes: &classes, picture, rows: 4 };
    let mut table = Table::default();
    read("a.tar.gz", &pack(files), &layout, &mut table).map(|()| table)
}

fn fault(files: &[(&str, &[u8])]) -> (String, Fault) {
    match attempt(files, 3) {
        Err(DatasetError::Malformed { file, place: Place::Whole, fault }) => (file, fault),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_picture_is_read_channel_by_channel_row_by_row() {
    let table = attempt(&[("train/dog/0.jpg", &bytes(COLOUR))], 3).unwrap();
    assert_eq!((table.features.len(), table.labels), (3 * 64, vec![1]));
    for (channel, (left, right)) in [(220.0, 20.0), (40.0, 60.0), (10.0, 200.0)].into_iter().enumerate() {
        for y in 0..8 {
            let row = &table.features[channel * 64 + y * 8..][..8];
            assert!((row[0] - left).abs() < 8.0 && (row[7] - right).abs() < 8.0, "{channel} {y}: {row:?}");
        }
    }
    let grey = attempt(&[("train/cat/0.jpg", &bytes(GREY))], 1).unwrap();
    assert_eq!(grey.features.len(), 64);
    for (x, value) in grey.features[..8].iter().enumerate() {
        assert!((value - 30.0 * x as f64).abs() < 4.0, "{x}: {value}");
    }
}

#[test]
fn rows_go_by_part_name_and_class_whatever_the_order_of_the_archive() {
    let (colour, grey) = (bytes(COLOUR), bytes(GREY));
    let table = attempt(
        &[
            ("README.md", b"about"),
            ("test/dog/0.jpg", &colour),
            ("train/dog/1.jpg", &grey),
            ("train/dog/0.jpg", &colour),
            ("train/cat/0.jpg", &grey),
        ],
        3,
    )
    .unwrap();
    assert_eq!(table.labels, [0, 1, 1, 1]);
    let reds: Vec<_> = table.features.chunks_exact(192).map(|row| row[0] > 100.0).collect();
    assert_eq!(reds, [false, true, false, true]);
}

#[test]
fn members_that_do_not_belong_there_are_refused_by_name() {
    let colour = bytes(COLOUR);
    let good: (&str, &[u8]) = ("train/dog/0.jpg", &colour);
    for (name, permitted) in [
        ("train/cow/0.jpg", "the classes cat, dog"),
        ("train/0.jpg", "train/..., test/CLASS/NAME.jpg"),
        ("0.jpg", "train/..., test/CLASS/NAME.jpg"),
        ("other/dog/0.jpg", "train/..., test/CLASS/NAME.jpg"),
        ("train/dog/more/0.jpg", "train/..., test/CLASS/NAME.jpg"),
        ("train/dog/0.png", "train/..., test/CLASS/NAME.jpg"),
    ] {
        let expected = Fault::Member { name: name.into(), permitted: permitted.into() };
        assert_eq!(fault(&[good, (name, &colour)]), ("a.tar.gz".into(), expected));
    }
    let double = Fault::Member { name: "train/dog/0.jpg".into(), permitted: "each file once".into() };
    assert_eq!(fault(&[good, good]), ("a.tar.gz".into(), double));
    let names: Vec<_> = (0..5).map(|number| format!("train/dog/{number}.jpg")).collect();
    let five: Vec<_> = names.iter().map(|name| (name.as_str(), &colour[..])).collect();
    assert_eq!(fault(&five), ("a.tar.gz".into(), Fault::Rows { limit: 4 }));
}

#[test]
fn pictures_that_are_none_cut_or_of_another_size_are_refused_by_name() {
    let colour = bytes(COLOUR);
    let name = "a.tar.gz!test/cat/7.jpg";
    let refused = |bytes: &[u8]| {
        let (file, fault) = fault(&[("test/cat/7.jpg", bytes)]);
        assert_eq!(file, name);
        fault
    };
    for hostile in [&b""[..], b"\xff\xd8", b"no picture", &colour[..colour.len() / 2], &colour[..200]] {
        let fault = refused(hostile);
        assert!(matches!(fault, Fault::Jpeg { .. }), "{fault}");
    }
    // The frame's header says 65535 x 65535.
    let frame = colour.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    let mut huge = colour.clone();
    huge[frame + 5..frame + 9].fill(0xff);
    assert!(matches!(refused(&huge), Fault::Jpeg { .. }));
    assert!(matches!(refused(&bytes(TALL)), Fault::Jpeg { .. } | Fault::Size { height: 16, .. }));
    let mut small = colour.clone();
    small[frame + 6] = 7;
    let size = Fault::Size { width: 8, height: 7, expected_width: 8, expected_height: 8 };
    assert_eq!(refused(&small), size);
    let limit = 192 + SLACK;
    assert_eq!(refused(&vec![0; 1 << 20]), Fault::TooLarge { limit });
}

#[test]
fn of_several_damaged_pictures_the_first_is_named() {
    for _ in 0..20 {
        let files: [(&str, &[u8]); 4] = [
            ("train/dog/3.jpg", b"x"),
            ("train/cat/1.jpg", b"x"),
            ("train/dog/0.jpg", &bytes(COLOUR)),
            ("train/dog/2.jpg", b"x"),
        ];
        assert_eq!(fault(&files).0, "a.tar.gz!train/cat/1.jpg");
    }
}

proptest! {
    #[test]
    fn no_damage_to_a_picture_makes_the_reader_panic(
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<proptest::sample::Index>(),
        picture in 0..2,
    ) {
        let mut bytes = bytes(if picture == 0 { COLOUR } else { GREY });
        for (place, value) in damage {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        bytes.truncate(cut.index(bytes.len()) + bytes.len() / 2);
        let mut row = vec![0.0; 192];
        if decode(&bytes, Picture { channels: 3, height: 8, width: 8 }, &mut row).is_ok() {
            prop_assert!(row.iter().all(|value| (0.0..=255.0).contains(value)));
        }
    }
}
