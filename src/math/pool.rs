//! Work that is shared among the pool's threads.
//!
//! All of it goes through one function that is compiled once: rayon's iterators are compiled anew, a few thousand lines of them, for every
//! closure that they are given, and generic callers have many.

use std::{
    ops::Range,
    sync::{Mutex, PoisonError},
};

/// Items are handed over in at most so many pieces a thread: more, and handing over would take longer than the shortest work does; fewer,
/// and a thread would wait for another's last piece.
const PIECES: usize = 64;

/// What is made of every item, in order. Halves go to other threads until pieces are left.
pub(crate) fn map<I: Send, T: Send>(
    items: impl IntoIterator<Item = I, IntoIter: ExactSizeIterator>,
    work: impl Fn(I) -> T + Sync,
) -> Vec<T> {
    let mut items = items.into_iter();
    let count = items.len();
    let threads = rayon::current_num_threads();
    if threads == 1 {
        return items.map(work).collect();
    }
    let size = count.div_ceil(PIECES * threads).max(1);
    let pieces = (0..count).step_by(size).map(|_| items.by_ref().take(size).collect());
    // What is given, and what is made of it.
    let pieces: Vec<Mutex<(Vec<I>, Vec<T>)>> = pieces.map(|given| Mutex::new((given, Vec::new()))).collect();
    let place = |index: usize| pieces[index].lock().unwrap_or_else(PoisonError::into_inner);
    in_halves(0..pieces.len(), &|index| {
        // The lock is not held while others' work may be done here.
        let given = std::mem::take(&mut place(index).0);
        let made = given.into_iter().map(&work).collect();
        place(index).1 = made;
    });
    let mut out = Vec::with_capacity(count);
    for piece in pieces {
        out.extend(piece.into_inner().unwrap_or_else(PoisonError::into_inner).1);
    }
    out
}

/// Does some work on every item.
pub(crate) fn for_each<T: Send>(items: impl Iterator<Item = T>, work: impl Fn(T) + Sync) {
    if rayon::current_num_threads() == 1 {
        items.for_each(work);
    } else {
        map(items.collect::<Vec<_>>(), work);
    }
}

fn in_halves(indices: Range<usize>, work: &(dyn Fn(usize) + Sync)) {
    match indices.len() {
        0 => {}
        1 => work(indices.start),
        count => {
            let middle = indices.start + count / 2;
            rayon::join(|| in_halves(indices.start..middle, work), || in_halves(middle..indices.end, work));
        }
    }
}

/// Does work that has several parallel steps among the pool's threads: a thread from outside then hands over once, and not at every step.
pub(crate) fn in_pool<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    if rayon::current_num_threads() == 1 { work() } else { rayon::scope(|_| work()) }
}

/// Does several parallel steps on each of many items: every thread takes its share of the items through all of them, so that none waits for another after each step.
/// A share has `least` items at least.
pub(crate) fn in_shares<T: Send>(
    count: usize,
    least: usize,
    work: impl Fn(Range<usize>) -> Vec<T> + Send + Sync,
) -> Vec<T> {
    let shares = (count / least.max(1)).clamp(1, rayon::current_num_threads());
    if shares == 1 {
        return in_pool(|| work(0..count));
    }
    let size = count.div_ceil(shares).next_multiple_of(least);
    let starts = (0..count).step_by(size);
    map(starts, |start| work(start..count.min(start + size))).into_iter().flatten().collect()
}

/// Two pieces of work, in parallel where there is more than one thread.
pub(crate) fn join<A: Send, B: Send>(
    first: impl FnOnce() -> A + Send,
    second: impl FnOnce() -> B + Send,
) -> (A, B) {
    if rayon::current_num_threads() == 1 { (first(), second()) } else { rayon::join(first, second) }
}
