//! Reader for the IDX format of the MNIST family: big-endian headers, one byte a value.
//!
//! An image file is `00 00 08 03`, the number of pictures, rows and columns as 32-bit numbers, then the pixels; a
//! label file is `00 00 08 01`, the number of labels, then the labels.

use super::{
    error::{DatasetError, Fault, Place},
    table::Table,
};

const IMAGES: u32 = 0x0000_0803;
const LABELS: u32 = 0x0000_0801;

/// One raw file: its name and its bytes.
pub(crate) type Raw<'a> = (&'a str, &'a [u8]);

/// Reads a file of pictures with `columns` values each and the file of their labels, each below `classes`, into
/// `table`. Pixels stay in 0..=255.
///
/// # Errors
/// [`DatasetError::Malformed`] with the byte.
pub(crate) fn read(
    images: Raw<'_>,
    labels: Raw<'_>,
    columns: usize,
    classes: usize,
    table: &mut Table,
) -> Result<(), DatasetError> {
    let ([pictures, height, width], pixels) = header::<3>(images, IMAGES)?;
    let found = height.saturating_mul(width);
    if found != columns {
        return Err(Fault::Pixels { found, expected: columns }.at(images.0, Place::Byte(8)));
    }
    let ([count], values) = header::<1>(labels, LABELS)?;
    if count != pictures {
        return Err(Fault::Labels { found: count, expected: pictures }.at(labels.0, Place::Byte(4)));
    }
    if let Some(wrong) = values.iter().position(|&label| usize::from(label) >= classes) {
        let place = Place::Byte(labels.1.len() - values.len() + wrong);
        let fault = Fault::Label { found: values[wrong], first: 0, last: classes.saturating_sub(1) };
        return Err(fault.at(labels.0, place));
    }
    table.features.extend(pixels.iter().map(|&pixel| f64::from(pixel)));
    table.labels.extend(values.iter().map(|&label| usize::from(label)));
    Ok(())
}

/// The `N` dimensions of a file and its values, of which there are exactly as many as the dimensions say.
fn header<const N: usize>((file, bytes): Raw<'_>, magic: u32) -> Result<([usize; N], &[u8]), DatasetError> {
    let word = |index: usize| -> Result<u32, DatasetError> {
        let short =
            || Fault::Length { found: bytes.len(), expected: Some(4 * (N + 1)) }.at(file, Place::Whole);
        let word = bytes.get(4 * index..4 * index + 4).ok_or_else(short)?;
        Ok(word.iter().fold(0, |value, &byte| (value << 8) | u32::from(byte)))
    };
    let found = word(0)?;
    if found != magic {
        return Err(Fault::Magic { found, expected: magic }.at(file, Place::Byte(0)));
    }
    let mut dimensions = [0; N];
    for (index, dimension) in dimensions.iter_mut().enumerate() {
        *dimension = word(index + 1)? as usize;
    }
    // The length is computed from the header but nothing is reserved by it: the values are already here or they are not.
    let expected = dimensions
        .iter()
        .try_fold(1_usize, |product, &dimension| product.checked_mul(dimension))
        .and_then(|values| values.checked_add(4 * (N + 1)));
    if expected != Some(bytes.len()) {
        return Err(Fault::Length { found: bytes.len(), expected }.at(file, Place::Whole));
    }
    Ok((dimensions, &bytes[4 * (N + 1)..]))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An IDX file with these dimensions in its header and these values behind it.
    pub(crate) fn file(magic: u32, dimensions: &[u32], values: &[u8]) -> Vec<u8> {
        let mut bytes = magic.to_be_bytes().to_vec();
        bytes.extend(dimensions.iter().flat_map(|dimension| dimension.to_be_bytes()));
        bytes.extend(values);
        bytes
    }

    fn attempt(images: &[u8], labels: &[u8]) -> Result<Table, DatasetError> {
        let mut table = Table::default();
        read(("images", images), ("labels", labels), 4, 3, &mut table).map(|()| table)
    }

    fn fault(images: &[u8], labels: &[u8]) -> (String, Place, Fault) {
        match attempt(images, labels) {
            Err(DatasetError::Malformed { file, place, fault }) => (file, place, fault),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn pictures_and_labels_are_read_in_order() {
        // Written out byte for byte, so that the reader is not held against its own idea of the format.
        let images = [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2, 0, 1, 2, 3, 255, 254, 253, 252];
        let labels = [0, 0, 8, 1, 0, 0, 0, 2, 2, 0];
        let table = attempt(&images, &labels).unwrap();
        assert_eq!(table.features, [0.0, 1.0, 2.0, 3.0, 255.0, 254.0, 253.0, 252.0]);
        assert_eq!(table.labels, [2, 0]);
    }

    #[test]
    fn every_lie_in_a_header_is_refused_with_its_place() {
        let images = file(IMAGES, &[1, 2, 2], &[0; 4]);
        let labels = file(LABELS, &[1], &[2]);
        let whole =
            |file: &str, found, expected| (file.into(), Place::Whole, Fault::Length { found, expected });
        assert_eq!(fault(&images[..3], &labels), whole("images", 3, Some(16)));
        assert_eq!(fault(&images[..19], &labels), whole("images", 19, Some(20)));
        assert_eq!(fault(&images, &labels[..8]), whole("labels", 8, Some(9)));
        let long = [&images[..], &[0]].concat();
        assert_eq!(fault(&long, &labels), whole("images", 21, Some(20)));
        let huge = file(IMAGES, &[u32::MAX, u32::MAX, u32::MAX], &[]);
        assert_eq!(fault(&huge, &labels), whole("images", 16, None));
        let gigabytes = file(IMAGES, &[u32::MAX, 2, 2], &[0; 4]);
        assert_eq!(fault(&gigabytes, &labels), whole("images", 20, Some(4 * 4_294_967_295 + 16)));
        let (file_, place, _) = fault(&labels, &labels);
        assert_eq!((file_.as_str(), place), ("images", Place::Byte(0)));
        let magic = Fault::Magic { found: IMAGES, expected: LABELS };
        assert_eq!(fault(&images, &images), ("labels".into(), Place::Byte(0), magic));
        let wide = file(IMAGES, &[1, 1, 5], &[0; 5]);
        let pixels = Fault::Pixels { found: 5, expected: 4 };
        assert_eq!(fault(&wide, &labels), ("images".into(), Place::Byte(8), pixels));
        let two = file(LABELS, &[2], &[0, 1]);
        let count = Fault::Labels { found: 2, expected: 1 };
        assert_eq!(fault(&images, &two), ("labels".into(), Place::Byte(4), count));
        let outside = file(LABELS, &[1], &[3]);
        let label = Fault::Label { found: 3, first: 0, last: 2 };
        assert_eq!(fault(&images, &outside), ("labels".into(), Place::Byte(8), label));
    }

    proptest! {
        #[test]
        fn no_header_makes_the_reader_panic_or_believe_it(
            dimensions in proptest::array::uniform3(prop_oneof![0_u32..6, any::<u32>()]),
            values in proptest::collection::vec(any::<u8>(), 0..40),
            count in prop_oneof![0_u32..6, any::<u32>()],
        ) {
            let labels = file(LABELS, &[count], &values);
            if let Ok(table) = attempt(&file(IMAGES, &dimensions, &values), &labels) {
                prop_assert_eq!(table.features.len(), 4 * table.labels.len());
                prop_assert_eq!(table.features.len(), values.len());
            }
        }
    }
}
