//! Digits of elements, which a batch may keep in one piece of memory.

use std::{
    fmt,
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use zeroize::Zeroize;

/// The digits of an element. Clones share them, as do neighbours in a batch of short work: to take and give back the memory of
/// each alone, from threads that are not the same, would take as long as an addition does.
#[derive(Clone)]
pub(super) struct Digits {
    memory: Arc<Memory>,
    start: u32,
    count: u32,
}

struct Memory {
    digits: Box<[u64]>,
    /// Whether something secret was in it.
    secret: AtomicBool,
}

impl Drop for Memory {
    fn drop(&mut self) {
        if *self.secret.get_mut() {
            self.digits.zeroize();
        }
    }
}

impl Digits {
    /// The elements of a batch, from the digits of one after the other, `count` each.
    pub(super) fn batch(digits: Box<[u64]>, count: u32) -> impl Iterator<Item = Self> {
        let end = u32::try_from(digits.len()).unwrap_or(u32::MAX);
        let memory = Arc::new(Memory { digits, secret: AtomicBool::new(false) });
        let starts = (0..end).step_by(count.max(1) as usize);
        starts.map(move |start| Self { memory: Arc::clone(&memory), start, count })
    }

    /// Overwrites the digits: at once, or with the last element that shares their memory.
    pub(super) fn wipe(&mut self) {
        match Arc::get_mut(&mut self.memory) {
            Some(memory) => memory.digits.zeroize(),
            None => self.memory.secret.store(true, Ordering::Relaxed),
        }
    }
}

impl From<Box<[u64]>> for Digits {
    fn from(digits: Box<[u64]>) -> Self {
        let count = u32::try_from(digits.len()).unwrap_or(u32::MAX);
        Self { memory: Arc::new(Memory { digits, secret: AtomicBool::new(false) }), start: 0, count }
    }
}

impl Deref for Digits {
    type Target = [u64];

    fn deref(&self) -> &[u64] {
        &self.memory.digits[self.start as usize..][..self.count as usize]
    }
}

impl PartialEq for Digits {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Digits {}

impl fmt::Debug for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&**self).finish()
    }
}
