//! Readers for pictures in records of a fixed size, one byte a value: the binary formats of CIFAR-10 and STL-10.
//!
//! A record of CIFAR-10 is a byte for the class, counted from 0, and the picture channel by channel, row by row. STL-10
//! has the classes in a file of their own, counted from 1, and writes each channel column by column. Neither has a
//! header, so that the length of the file alone says how many records there are.

use super::{
    Picture,
    error::{DatasetError, Fault, Place},
    idx::Raw,
    table::Table,
};

/// Reads records of CIFAR-10 with `columns` values a picture into `table`. Values stay in 0..=255.
///
/// # Errors
/// [`DatasetError::Malformed`] with the byte.
pub(crate) fn read_cifar(
    (file, bytes): Raw<'_>,
    columns: usize,
    classes: usize,
    table: &mut Table,
) -> Result<(), DatasetError> {
    let record = columns.saturating_add(1);
    for (record, number) in records(file, bytes, record)?.zip(0..) {
        let Some((&label, pixels)) = record.split_first() else { continue };
        if usize::from(label) >= classes {
            let fault = Fault::Label { found: label, first: 0, last: classes.saturating_sub(1) };
            return Err(fault.at(file, Place::Byte(number * record.len())));
        }
        table.features.extend(pixels.iter().map(|&pixel| f64::from(pixel)));
        table.labels.push(usize::from(label));
    }
    Ok(())
}

/// Reads pictures of STL-10 and their classes into `table`, the pictures turned so that they go row by row. Values stay
/// in 0..=255.
///
/// # Errors
/// [`DatasetError::Malformed`] with the byte.
pub(crate) fn read_stl10(
    (file, bytes): Raw<'_>,
    labels: Raw<'_>,
    picture: Picture,
    classes: usize,
    table: &mut Table,
) -> Result<(), DatasetError> {
    let record = picture.values().unwrap_or(usize::MAX);
    let pictures = records(file, bytes, record)?;
    let (found, expected) = (labels.1.len(), pictures.len());
    if found != expected {
        return Err(Fault::Labels { found, expected }.at(labels.0, Place::Whole));
    }
    if let Some(place) = labels.1.iter().position(|&label| !(1..=classes).contains(&usize::from(label))) {
        let fault = Fault::Label { found: labels.1[place], first: 1, last: classes };
        return Err(fault.at(labels.0, Place::Byte(place)));
    }
    for pixels in pictures {
        for channel in pixels.chunks_exact(picture.height * picture.width) {
            for y in 0..picture.height {
                let row = channel.iter().skip(y).step_by(picture.height);
                table.features.extend(row.map(|&pixel| f64::from(pixel)));
            }
        }
    }
    table.labels.extend(labels.1.iter().map(|&label| usize::from(label) - 1));
    Ok(())
}

/// The records of a file, of which there is at least one.
fn records<'a>(
    file: &str,
    bytes: &'a [u8],
    record: usize,
) -> Result<std::slice::ChunksExact<'a, u8>, DatasetError> {
    if record == 0 || bytes.is_empty() || !bytes.len().is_multiple_of(record) {
        return Err(Fault::Records { found: bytes.len(), record }.at(file, Place::Whole));
    }
    Ok(bytes.chunks_exact(record))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PICTURE: Picture = Picture { channels: 2, height: 2, width: 3 };

    fn cifar(bytes: &[u8]) -> Result<Table, DatasetError> {
        let mut table = Table::default();
        read_cifar(("a.bin", bytes), 3, 10, &mut table).map(|()| table)
    }

    fn stl10(pictures: &[u8], labels: &[u8]) -> Result<Table, DatasetError> {
        let mut table = Table::default();
        read_stl10(("X.bin", pictures), ("y.bin", labels), PICTURE, 3, &mut table).map(|()| table)
    }

    fn fault(result: Result<Table, DatasetError>) -> (String, Place, Fault) {
        match result {
            Err(DatasetError::Malformed { file, place, fault }) => (file, place, fault),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_record_of_cifar_is_a_class_and_a_picture() {
        let table = cifar(&[9, 1, 2, 255, 0, 4, 5, 6]).unwrap();
        assert_eq!((table.features, table.labels), (vec![1.0, 2.0, 255.0, 4.0, 5.0, 6.0], vec![9, 0]));
    }

    #[test]
    fn pictures_of_stl10_are_turned_and_their_classes_count_from_1() {
        // Each channel is [0 2 4; 1 3 5] where it is written column by column as 0 1 2 3 4 5.
        let table = stl10(&[0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15], &[3]).unwrap();
        assert_eq!(table.features, [0.0, 2.0, 4.0, 1.0, 3.0, 5.0, 10.0, 12.0, 14.0, 11.0, 13.0, 15.0]);
        assert_eq!(table.labels, [2]);
    }

    #[test]
    fn cut_files_and_strange_labels_are_refused_with_their_place() {
        let records =
            |file: &str, found, record| (file.into(), Place::Whole, Fault::Records { found, record });
        assert_eq!(fault(cifar(&[9, 1, 2])), records("a.bin", 3, 4));
        assert_eq!(fault(cifar(&[])), records("a.bin", 0, 4));
        let label = |found, first, last| Fault::Label { found, first, last };
        let second = ("a.bin".into(), Place::Byte(4), label(10, 0, 9));
        assert_eq!(fault(cifar(&[9, 1, 2, 3, 10, 1, 2, 3])), second);
        assert_eq!(fault(stl10(&[0; 13], &[1])), records("X.bin", 13, 12));
        let count = Fault::Labels { found: 1, expected: 2 };
        assert_eq!(fault(stl10(&[0; 24], &[1])), ("y.bin".into(), Place::Whole, count));
        for wrong in [0, 4] {
            let place = ("y.bin".into(), Place::Byte(1), label(wrong, 1, 3));
            assert_eq!(fault(stl10(&[0; 24], &[1, wrong])), place);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_reader_panic_or_leave_half_a_row(
            bytes in proptest::collection::vec(any::<u8>(), 0..100),
            labels in proptest::collection::vec(0_u8..6, 0..5),
        ) {
            if let Ok(table) = cifar(&bytes) {
                prop_assert_eq!(table.features.len(), 3 * table.labels.len());
            }
            if let Ok(table) = stl10(&bytes, &labels) {
                prop_assert_eq!(table.features.len(), 12 * table.labels.len());
            }
        }
    }
}
