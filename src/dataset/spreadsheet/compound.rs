//! Streams inside a compound file, the little file system that Office documents of the years 1997 to 2003 are.
//!
//! The file is a header of 512 bytes and then sectors of one size, each of which belongs to a chain: the allocation table
//! has, for every sector, the number of the one that follows. The table is itself in sectors, whose numbers are in the
//! header and, where there are more than 109, in a chain of their own. The directory names each stream with its first
//! sector and its length. [MS-CFB] is the public specification.

use crate::dataset::error::Fault;

const MAGIC: [u8; 8] = [0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1];
/// Numbers from here on say "end of chain", "free" and the like.
const LAST_SECTOR: u32 = 0xffff_fffa;
/// How many sectors of the table the header has room for.
const IN_HEADER: usize = 109;
const DIRECTORY_ENTRY: usize = 128;
/// Shorter streams are kept in another way, which no workbook with data needs.
const SHORTEST: usize = 4096;

/// A compound file, with its allocation table read.
pub(super) struct Compound<'a> {
    bytes: &'a [u8],
    sector: usize,
    table: Vec<u32>,
}

impl<'a> Compound<'a> {
    /// Reads the header and the allocation table.
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, Fault> {
        if !bytes.starts_with(&MAGIC) {
            return Err(damaged("it does not start like a compound file"));
        }
        let sector = match word(bytes, 30).ok_or_else(short)? & 0xffff {
            9 => 512,
            12 => 4096,
            other => {
                return Err(damaged(format!("sectors of 2^{other} bytes; permitted are 2^9 and 2^12")));
            }
        };
        let mut compound = Self { bytes, sector, table: Vec::new() };
        // Every list is cut at the number of sectors that the file has, so that a chain in a circle ends.
        let most = bytes.len() / sector;
        let mut parts: Vec<u32> =
            (0..IN_HEADER).map_while(|index| word(bytes, 76 + 4 * index)).filter(|&n| is_sector(n)).collect();
        let mut next = word(bytes, 68).ok_or_else(short)?;
        for _ in 0..most {
            if !is_sector(next) {
                break;
            }
            let words = compound.sector_words(next)?;
            let Some((&link, numbers)) = words.split_last() else { break };
            parts.extend(numbers.iter().filter(|n| is_sector(**n)));
            next = link;
        }
        if parts.len() > most {
            return Err(damaged("its allocation table is longer than the file"));
        }
        for part in parts {
            let words = compound.sector_words(part)?;
            compound.table.extend(words);
        }
        Ok(compound)
    }

    /// The stream of this name.
    pub(super) fn stream(&self, name: &str) -> Result<Vec<u8>, Fault> {
        let directory = self.chain(word(self.bytes, 48).ok_or_else(short)?, usize::MAX)?;
        let found = directory.chunks_exact(DIRECTORY_ENTRY).find(|entry| is_stream(entry, name));
        let entry = found.ok_or_else(|| damaged(format!("it has no stream {name:?}")))?;
        let (start, size) =
            (word(entry, 116).ok_or_else(short)?, word(entry, 120).ok_or_else(short)? as usize);
        if size < SHORTEST || size > self.bytes.len() {
            let most = self.bytes.len();
            return Err(damaged(format!("a stream of {size} bytes; permitted are {SHORTEST} to {most}")));
        }
        let stream = self.chain(start, size)?;
        if stream.len() < size {
            return Err(damaged(format!("a stream of {size} bytes ends after {}", stream.len())));
        }
        Ok(stream)
    }

    /// The bytes of a chain, at most `limit` of them.
    fn chain(&self, start: u32, limit: usize) -> Result<Vec<u8>, Fault> {
        let mut bytes = Vec::new();
        let mut next = start;
        for _ in 0..self.table.len() {
            if !is_sector(next) || bytes.len() >= limit {
                break;
            }
            bytes.extend_from_slice(self.sector(next)?);
            next = *self.table.get(next as usize).ok_or_else(|| damaged(format!("no sector {next}")))?;
        }
        bytes.truncate(limit);
        Ok(bytes)
    }

    fn sector(&self, number: u32) -> Result<&'a [u8], Fault> {
        let start = (number as usize).checked_add(1).and_then(|number| number.checked_mul(self.sector));
        start
            .and_then(|start| self.bytes.get(start..start.checked_add(self.sector)?))
            .ok_or_else(|| damaged(format!("no sector {number}")))
    }

    fn sector_words(&self, number: u32) -> Result<Vec<u32>, Fault> {
        let bytes = self.sector(number)?;
        Ok(bytes.chunks_exact(4).filter_map(|bytes| word(bytes, 0)).collect())
    }
}

fn is_sector(number: u32) -> bool {
    number < LAST_SECTOR
}

/// Whether a directory entry is a stream of this name, which is there in UTF-16 with its length in bytes and a zero.
fn is_stream(entry: &[u8], name: &str) -> bool {
    let expected: Vec<u8> = name.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
    let length = entry.get(64..66).map(|bytes| usize::from(u16::from_le_bytes([bytes[0], bytes[1]])));
    entry.get(66) == Some(&2) && entry.starts_with(&expected) && length == Some(expected.len())
}

/// The little-endian number at this byte.
pub(super) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

pub(super) fn damaged(reason: impl Into<String>) -> Fault {
    Fault::Spreadsheet { reason: reason.into() }
}

fn short() -> Fault {
    damaged("it ends within its header")
}
