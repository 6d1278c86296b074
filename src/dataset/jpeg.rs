//! Reader for a gzipped tar archive of JPEG pictures, `part/class/name.jpg`.
//!
//! JPEG is lossy, and the standard leaves a decoder some freedom; the decoder here is one and the same on every machine
//! (without vector instructions), so that the same archive gives the same features everywhere.

use rayon::prelude::*;
use zune_jpeg::{
    JpegDecoder,
    zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions},
};

use super::{
    Picture,
    archive::{bounded, inside, refuse, walk},
    error::{DatasetError, Fault, Place, clip},
    table::Table,
};

/// The room that a compressed picture may take besides one byte a value: headers, tables and comments.
const SLACK: u64 = 1 << 14;

/// What an archive must hold.
pub(crate) struct Layout<'a> {
    pub(crate) parts: &'a [String],
    pub(crate) classes: &'a [String],
    pub(crate) picture: Picture,
    /// Archives with more pictures are not read to their end.
    pub(crate) rows: usize,
}

/// A picture as it lies in the archive. The derived order is that of the rows: by part, then by name, then by class, so
/// that the first pictures of a part have all classes among them although the archive is sorted by class.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Member {
    part: usize,
    name: String,
    class: usize,
    bytes: Vec<u8>,
}

/// Reads the pictures of an archive into `table`, channel by channel, row by row. Values stay in 0..=255. Files outside
/// of the folders of the parts are passed over unless they are pictures.
///
/// # Errors
/// [`DatasetError::Malformed`] with the member.
pub(crate) fn read(
    file: &str,
    packed: &[u8],
    layout: &Layout<'_>,
    table: &mut Table,
) -> Result<(), DatasetError> {
    let Layout { picture, classes, .. } = *layout;
    let mut members = gather(file, packed, layout)?;
    members.sort_unstable();
    let same = |pair: &[Member]| {
        let [a, b] = pair else { return false };
        (a.part, &a.name, a.class) == (b.part, &b.name, b.class)
    };
    let path =
        |member: &Member| format!("{}/{}/{}", layout.parts[member.part], classes[member.class], member.name);
    if let Some([twice, ..]) = members.windows(2).find(|pair| same(pair)) {
        return Err(refuse(file, &path(twice), "each file once"));
    }
    let values = picture.values().unwrap_or(0);
    let start = table.features.len();
    table.features.resize(start + members.len() * values, 0.0);
    // Of several damaged pictures the first is named, however many threads there are.
    let damaged = table.features[start..].par_chunks_exact_mut(values.max(1)).zip(&members).find_map_first(
        |(row, member)| decode(&member.bytes, picture, row).err().map(|fault| (member, fault)),
    );
    if let Some((member, fault)) = damaged {
        return Err(fault.at(&inside(file, &path(member)), Place::Whole));
    }
    table.labels.extend(members.iter().map(|member| member.class));
    Ok(())
}

/// The compressed pictures of an archive, in its order.
fn gather(file: &str, packed: &[u8], layout: &Layout<'_>) -> Result<Vec<Member>, DatasetError> {
    let values = layout.picture.values().unwrap_or(0) as u64;
    let mut members = Vec::new();
    walk(file, packed, |path, content| {
        let mut steps = path.split('/');
        let (part, class, name, more) = (steps.next(), steps.next(), steps.next(), steps.next());
        let part = part.and_then(|part| layout.parts.iter().position(|known| known == part));
        let is_picture = path.to_ascii_lowercase().ends_with(".jpg");
        let (Some(part), Some(class), Some(name), None, true) = (part, class, name, more, is_picture) else {
            if part.is_none() && !is_picture {
                return Ok(true);
            }
            return Err(refuse(file, path, &format!("{}/CLASS/NAME.jpg", layout.parts.join("/..., "))));
        };
        let Some(class) = layout.classes.iter().position(|known| known == class) else {
            return Err(refuse(file, path, &format!("the classes {}", layout.classes.join(", "))));
        };
        if members.len() == layout.rows {
            return Err(Fault::Rows { limit: layout.rows }.at(file, Place::Whole));
        }
        let bytes = bounded(file, path, content, values.saturating_add(SLACK))?;
        members.push(Member { part, name: name.into(), class, bytes });
        Ok(true)
    })?;
    Ok(members)
}

/// Writes the values of one picture to `row`.
fn decode(bytes: &[u8], picture: Picture, row: &mut [f64]) -> Result<(), Fault> {
    let colours = if picture.channels == 1 { ColorSpace::Luma } else { ColorSpace::RGB };
    // Strict, because the decoder would otherwise fill up a cut picture with grey.
    let options = DecoderOptions::default()
        .set_max_width(picture.width)
        .set_max_height(picture.height)
        .set_strict_mode(true)
        .jpeg_set_out_colorspace(colours);
    let damaged = |reason: String| Fault::Jpeg { reason: clip(&reason) };
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    // Nothing is reserved for the picture before its size is known to be right.
    decoder.decode_headers().map_err(|error| damaged(error.to_string()))?;
    let (width, height) =
        decoder.dimensions().ok_or_else(|| damaged("it does not say how large it is".into()))?;
    if (width, height) != (picture.width, picture.height) {
        let (expected_width, expected_height) = (picture.width, picture.height);
        return Err(Fault::Size { width, height, expected_width, expected_height });
    }
    let pixels = decoder.decode().map_err(|error| damaged(error.to_string()))?;
    if pixels.len() != row.len() {
        return Err(Fault::Pixels { found: pixels.len(), expected: row.len() });
    }
    for (channel, plane) in row.chunks_exact_mut(width * height).enumerate() {
        let values = pixels.iter().skip(channel).step_by(picture.channels);
        plane.iter_mut().zip(values).for_each(|(value, &pixel)| *value = f64::from(pixel));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
