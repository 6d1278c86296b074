//! Memory of rows that is used again.
//!
//! A polynomial is some hundred kilobytes to some megabytes, and every operation makes a few. An allocator hands blocks of that size
//! back to the system, which then fills new ones with zeros page by page: that costs as much as the arithmetic. Here they are kept on a shelf.

use std::{
    collections::BTreeMap,
    fmt,
    ops::{Deref, DerefMut},
    sync::{Mutex, PoisonError},
};

use zeroize::Zeroize;

/// Numbers from which on a buffer is worth keeping.
const LEAST: usize = 1 << 12;
/// Most numbers on the shelf: 256 MiB, the ciphertexts of a layer or two.
const MOST: usize = 1 << 25;

/// Bytes of a line of the cache, and of a vector.
const LINE: usize = 64;

/// What was returned, by length.
struct Shelf {
    held: usize,
    vectors: BTreeMap<usize, Vec<Vec<u64>>>,
}

static SHELF: Mutex<Shelf> = Mutex::new(Shelf { held: 0, vectors: BTreeMap::new() });

impl Shelf {
    /// A vector of at least that length, and not of much more.
    fn take(&mut self, length: usize) -> Option<Vec<u64>> {
        let (&found, vectors) = self.vectors.range_mut(length..=length + length / 32).next()?;
        let vector = vectors.pop();
        if vectors.is_empty() {
            self.vectors.remove(&found);
        }
        self.held -= vector.as_ref().map_or(0, Vec::len);
        vector
    }

    fn give(&mut self, vector: Vec<u64>) {
        let length = vector.len();
        if length > MOST {
            return;
        }
        while self.held + length > MOST {
            // Others are of sizes that are perhaps no longer asked for; of this one there are enough.
            let Some(other) = self.vectors.keys().copied().find(|size| *size != length) else { return };
            self.held -= self.vectors.remove(&other).map_or(0, |vectors| other * vectors.len());
        }
        self.held += length;
        self.vectors.entry(length).or_default().push(vector);
    }
}

/// Numbers in memory that goes to the shelf when it is dropped. It is not wiped then, no more than freed memory is: what is secret is
/// to be zeroized. They start with a line of the cache, so that no vector of theirs is in two.
pub(crate) struct Buffer {
    memory: Vec<u64>,
    start: usize,
    length: usize,
}

impl Buffer {
    /// Numbers that are yet to be written: zeros, or what was left there.
    pub(crate) fn stale(length: usize) -> Self {
        let needed = length + LINE / size_of::<u64>();
        let kept = if needed < LEAST {
            None
        } else {
            SHELF.lock().unwrap_or_else(PoisonError::into_inner).take(needed)
        };
        let memory = kept.unwrap_or_else(|| vec![0; needed]);
        // Less than a line; the promise is not to be relied on.
        let start = memory.as_ptr().align_offset(LINE).min(needed - length);
        Self { memory, start, length }
    }

    /// Zeros.
    pub(super) fn zeros(length: usize) -> Self {
        let mut buffer = Self::stale(length);
        buffer.fill(0);
        buffer
    }

    /// Keeps the first numbers only.
    pub(super) fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }

    /// Appends numbers.
    pub(super) fn extend(&mut self, numbers: &[u64]) {
        let mut longer = Self::stale(self.len() + numbers.len());
        let (start, end) = longer.split_at_mut(self.len());
        start.copy_from_slice(self);
        end.copy_from_slice(numbers);
        *self = longer;
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.memory.len() >= LEAST {
            let memory = std::mem::take(&mut self.memory);
            SHELF.lock().unwrap_or_else(PoisonError::into_inner).give(memory);
        }
    }
}

impl From<Vec<u64>> for Buffer {
    fn from(memory: Vec<u64>) -> Self {
        Self { start: 0, length: memory.len(), memory }
    }
}

impl From<&[u64]> for Buffer {
    fn from(numbers: &[u64]) -> Self {
        let mut buffer = Self::stale(numbers.len());
        buffer.copy_from_slice(numbers);
        buffer
    }
}

impl Clone for Buffer {
    fn clone(&self) -> Self {
        Self::from(&**self)
    }
}

impl Deref for Buffer {
    type Target = [u64];

    fn deref(&self) -> &[u64] {
        &self.memory[self.start..self.start + self.length]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u64] {
        &mut self.memory[self.start..self.start + self.length]
    }
}

impl PartialEq for Buffer {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Buffer {}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl Zeroize for Buffer {
    fn zeroize(&mut self) {
        self.memory.zeroize();
        (self.start, self.length) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_of_used_memory_is_as_if_it_were_new() {
        for length in [5, LEAST, LEAST + 7, 3 * LEAST] {
            drop(Buffer::from(&vec![7; length + length / 8][..]));
            assert!(Buffer::stale(length).as_ptr().addr().is_multiple_of(LINE));
            assert_eq!(Buffer::stale(length).len(), length);
            assert_eq!(*Buffer::zeros(length), vec![0; length][..]);
            let mut buffer = Buffer::from(&vec![1; length][..]);
            buffer.extend(&[2, 3]);
            assert_eq!(buffer[length - 1..], [1, 2, 3]);
            assert_eq!(buffer.clone(), buffer);
            buffer.truncate(2);
            assert_eq!(*buffer, [1, 1]);
            buffer.zeroize();
            assert!(buffer.is_empty());
        }
    }

    #[test]
    fn the_shelf_holds_no_more_than_its_limit() {
        let mut shelf = Shelf { held: 0, vectors: BTreeMap::new() };
        shelf.give(vec![0; MOST + 1]);
        assert_eq!(shelf.held, 0);
        shelf.give(vec![0; MOST / 4]);
        for given in 1..=9 {
            shelf.give(vec![0; MOST / 8]);
            let sizes = shelf.vectors.iter().map(|(size, vectors)| size * vectors.len());
            assert_eq!(sizes.sum::<usize>(), shelf.held);
            // The other size goes when there is no more room for it, and then what comes.
            assert_eq!(
                shelf.held,
                if given <= 6 { MOST / 4 + given * MOST / 8 } else { given.min(8) * MOST / 8 }
            );
        }
        assert!(shelf.take(MOST / 16).is_none());
        assert!(shelf.take(MOST / 8).is_some());
        assert_eq!(shelf.held, MOST / 8 * 7);
    }
}
