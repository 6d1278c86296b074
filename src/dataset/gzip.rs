//! Unpacking gzip data under a bound.

use std::io::Read;

use flate2::read::MultiGzDecoder;

use super::error::Fault;

/// The first bytes of every gzip file.
const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Whether `bytes` start like gzip data.
pub(crate) fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

/// Unpacks `packed`, at most `limit` bytes of it.
///
/// # Errors
/// [`Fault::Gzip`] for damaged or cut data, [`Fault::TooLarge`] beyond the limit.
pub(crate) fn unpack(packed: impl Read, limit: u64) -> Result<Vec<u8>, Fault> {
    read_bounded(MultiGzDecoder::new(packed), limit)
        .map_err(|error| Fault::Gzip { reason: error.to_string() })?
        .ok_or(Fault::TooLarge { limit })
}

/// Everything in `reader`, or `None` where that is more than `limit` bytes.
pub(crate) fn read_bounded(reader: impl Read, limit: u64) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    reader.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= limit).then_some(bytes))
}

#[cfg(test)]
pub(crate) fn pack(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bomb_stops_at_the_limit_and_a_cut_file_is_refused() {
        let packed = pack(&vec![7; 1_000_000]);
        assert!(packed.len() < 20_000, "a small file that unpacks to much");
        assert_eq!(unpack(&packed[..], 1_000_000).unwrap().len(), 1_000_000);
        assert_eq!(unpack(&packed[..], 999_999), Err(Fault::TooLarge { limit: 999_999 }));
        assert!(matches!(unpack(&packed[..packed.len() - 9], 2_000_000), Err(Fault::Gzip { .. })));
        assert!(matches!(unpack(&b"plain"[..], 100), Err(Fault::Gzip { .. })));
        assert!(is_gzip(&packed) && !is_gzip(b"plain"));
    }
}
