//! Memory of rows that is used again.
//!
//! A polynomial is some hundred kilobytes to some megabytes, and every operation makes a few. An allocator hands blocks of that size
//! back to the system, which then fills new ones with zeros page by page: that costs as much as the arithmetic. Here they are kept on a shelf.

use std::{
    collections::BTreeMap,
    fmt,
    ops::{Deref, DerefMut},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use rayon::prelude::*;
use zeroize::Zeroize;

/// Numbers from which on a buffer is worth keeping.
const LEAST: usize = 1 << 12;
/// Most numbers on the shelf beyond what is [reserved](Reservation): 256 MiB, the ciphertexts of a layer or two.
const MOST: usize = 1 << 25;

/// Bytes of a line of the cache, and of a vector.
const LINE: usize = 64;

/// What was returned, by length.
struct Shelf {
    /// numbers, and how many there may be
    held: usize,
    most: usize,
    vectors: BTreeMap<usize, Vec<Vec<u64>>>,
}

static SHELF: Mutex<Shelf> = Mutex::new(Shelf { held: 0, most: MOST, vectors: BTreeMap::new() });

impl Shelf {
    /// A vector of at least that length, and not of much more, unless there is more than there would be without reservations.
    fn take(&mut self, length: usize) -> Option<Vec<u64>> {
        let longest = if self.held > MOST { usize::MAX } else { length + length / 32 };
        let (&found, vectors) = self.vectors.range_mut(length..=longest).next()?;
        let vector = vectors.pop();
        if vectors.is_empty() {
            self.vectors.remove(&found);
        }
        self.held -= vector.as_ref().map_or(0, Vec::len);
        vector
    }

    fn give(&mut self, vector: Vec<u64>) {
        let length = vector.len();
        if length > self.most {
            return;
        }
        while self.held + length > self.most {
            // Others are of sizes that are perhaps no longer asked for; of this one there are enough.
            let Some(other) = self.vectors.keys().copied().find(|size| *size != length) else { return };
            self.held -= self.vectors.remove(&other).map_or(0, |vectors| other * vectors.len());
        }
        self.held += length;
        self.vectors.entry(length).or_default().push(vector);
    }

    /// Gives back to the system what there is no room for.
    fn shrink(&mut self) {
        while self.held > self.most {
            let Some(mut size) = self.vectors.last_entry() else { return };
            self.held -= size.get_mut().pop().map_or(0, |vector| vector.len());
            if size.get().is_empty() {
                size.remove();
            }
        }
    }
}

/// Memory that was taken from the system ahead of what will be kept in it, and stays on the shelf until this is dropped.
///
/// A system hands memory out page by page, as it is touched for the first time: half a second a gigabyte, and several times that where it is
/// a guest whose host takes free pages back. That is no part of an arithmetic's time, and follows from no count.
#[must_use]
pub struct Reservation {
    shelf: &'static Mutex<Shelf>,
    numbers: usize,
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reservation({})", self.numbers)
    }
}

impl Reservation {
    /// Of so many buffers of a length.
    pub(super) fn new(length: usize, count: usize) -> Self {
        Self::on(&SHELF, length, count)
    }

    fn on(shelf: &'static Mutex<Shelf>, length: usize, count: usize) -> Self {
        // Whole pages have a number each 512.
        const PAGE: usize = 512;
        let needed = length + LINE / size_of::<u64>();
        let numbers = if needed < LEAST { 0 } else { needed.saturating_mul(count) };
        let missing = {
            let mut shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
            shelf.most += numbers;
            let there = shelf.vectors.get(&needed).map_or(0, Vec::len);
            if numbers == 0 { 0 } else { count.saturating_sub(there) }
        };
        (0..missing).into_par_iter().for_each(|_| {
            let mut vector = vec![0; needed];
            vector.iter_mut().step_by(PAGE).for_each(|number| *number = 1);
            shelf.lock().unwrap_or_else(PoisonError::into_inner).give(vector);
        });
        Self { shelf, numbers }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.most -= self.numbers;
        shelf.shrink();
    }
}

/// Memory that goes to the shelf when nothing is in it any more, as it is: no more wiped than freed memory is, but where that was asked for.
struct Memory {
    words: Vec<u64>,
    secret: AtomicBool,
}

impl Memory {
    fn new(words: Vec<u64>) -> Arc<Self> {
        Arc::new(Self { words, secret: AtomicBool::new(false) })
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if *self.secret.get_mut() {
            self.words.zeroize();
        } else if self.words.len() >= LEAST {
            let words = std::mem::take(&mut self.words);
            SHELF.lock().unwrap_or_else(PoisonError::into_inner).give(words);
        }
    }
}

/// Numbers that start with a line of the cache, so that no vector of theirs is in two. Clones share the memory until one of them is changed:
/// a ciphertext at a lower level is the same memory, of which less is read.
#[derive(Clone)]
pub(crate) struct Buffer {
    memory: Arc<Memory>,
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
        let words = kept.unwrap_or_else(|| vec![0; needed]);
        // Less than a line; the promise is not to be relied on.
        let start = words.as_ptr().align_offset(LINE).min(needed - length);
        Self { memory: Memory::new(words), start, length }
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

impl From<Vec<u64>> for Buffer {
    fn from(words: Vec<u64>) -> Self {
        Self { start: 0, length: words.len(), memory: Memory::new(words) }
    }
}

impl From<&[u64]> for Buffer {
    fn from(numbers: &[u64]) -> Self {
        let mut buffer = Self::stale(numbers.len());
        buffer.copy_from_slice(numbers);
        buffer
    }
}

impl Deref for Buffer {
    type Target = [u64];

    fn deref(&self) -> &[u64] {
        &self.memory.words[self.start..self.start + self.length]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u64] {
        if Arc::get_mut(&mut self.memory).is_none() {
            *self = Self::from(&**self);
        }
        let range = self.start..self.start + self.length;
        // Nobody else has it now.
        Arc::get_mut(&mut self.memory).map_or(&mut [], |memory| &mut memory.words[range])
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
    /// Leaves no numbers here. The memory is wiped now or, where others share it, with the last of them.
    fn zeroize(&mut self) {
        self.memory.secret.store(true, Ordering::Relaxed);
        self.memory = Memory::new(Vec::new());
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
    fn clones_share_memory_until_one_is_changed() {
        let first = Buffer::from(&vec![1; LEAST][..]);
        let mut second = first.clone();
        assert_eq!(first.as_ptr(), second.as_ptr());
        second.truncate(3);
        second[2] = 7;
        assert_eq!((&first[..4], &second[..]), (&[1; 4][..], &[1, 1, 7][..]));
        // Alone, it is changed where it is.
        let place = second.as_ptr();
        second[0] = 2;
        assert_eq!(second.as_ptr(), place);
    }

    #[test]
    fn shared_secrets_are_wiped_with_the_last_that_holds_them() {
        let mut first = Buffer::from(&vec![1; LEAST][..]);
        let second = first.clone();
        let memory = Arc::downgrade(&first.memory);
        first.zeroize();
        assert_eq!(*second, vec![1; LEAST][..]);
        let shared = memory.upgrade().unwrap();
        assert!(shared.secret.load(Ordering::Relaxed) && first.is_empty());
        drop((shared, second));
        assert!(memory.upgrade().is_none());
    }

    #[test]
    fn the_shelf_holds_no_more_than_its_limit() {
        let mut shelf = Shelf { held: 0, most: MOST, vectors: BTreeMap::new() };
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
        shelf.most = 2 * MOST;
        shelf.give(vec![0; MOST / 4]);
        assert_eq!(shelf.take(MOST / 16).unwrap().len(), MOST / 8);
        shelf.most = MOST / 2;
        shelf.shrink();
        assert_eq!(shelf.held, MOST / 2);
    }

    #[test]
    fn what_is_reserved_is_there_and_goes_with_the_reservation() {
        // A shelf of its own: the others' is in use.
        static OTHER: Mutex<Shelf> = Mutex::new(Shelf { held: 0, most: LEAST, vectors: BTreeMap::new() });
        let there = || OTHER.lock().unwrap().vectors.get(&(2 * LEAST)).map_or(0, Vec::len);
        let length = 2 * LEAST - LINE / size_of::<u64>();
        let reservation = Reservation::on(&OTHER, length, 5);
        assert_eq!(there(), 5);
        let taken = OTHER.lock().unwrap().take(2 * LEAST).unwrap();
        assert_eq!(there(), 4);
        // What is there already is not taken a second time.
        let again = Reservation::on(&OTHER, length, 5);
        assert_eq!(there(), 5);
        OTHER.lock().unwrap().give(taken);
        drop(again);
        assert_eq!(there(), 5);
        drop(reservation);
        assert_eq!((there(), OTHER.lock().unwrap().most), (0, LEAST));
        drop(Reservation::on(&OTHER, 1, 5));
        assert_eq!(OTHER.lock().unwrap().held, 0);
    }
}
