//! Work that is shared among the pool's threads.
//!
//! Items go through one function that is compiled once: rayon's iterators are compiled anew, a few thousand lines of them, for every
//! closure that they are given, and generic callers have many.

use std::{
    ops::Range,
    sync::{Mutex, PoisonError},
};

/// Items are handed over in at most so many pieces a thread: more, and handing over would take longer than the shortest work does; fewer,
/// and a thread would wait for another's last piece.
const PIECES: usize = 64;

/// Where an item waits, and then what is made of it.
enum Place<I, T> {
    Given(I),
    Taken,
    Made(T),
}

/// What is made of every item, in order. Halves go to other threads until pieces are left.
pub(crate) fn map<I: Send, T: Send>(
    items: impl IntoIterator<Item = I>,
    work: impl Fn(I) -> T + Sync,
) -> Vec<T> {
    let threads = rayon::current_num_threads();
    let items = items.into_iter();
    if threads == 1 {
        return items.map(work).collect();
    }
    let places: Vec<_> = items.map(|item| Mutex::new(Place::Given(item))).collect();
    let swap = |place: &Mutex<Place<I, T>>, new| {
        // Not held while somebody works, who may meanwhile do others' work.
        std::mem::replace(&mut *place.lock().unwrap_or_else(PoisonError::into_inner), new)
    };
    let piece = places.len().div_ceil(PIECES * threads);
    in_halves(0..places.len(), piece, &|piece| {
        for place in &places[piece] {
            if let Place::Given(item) = swap(place, Place::Taken) {
                swap(place, Place::Made(work(item)));
            }
        }
    });
    let places = places.into_iter().map(|place| place.into_inner().unwrap_or_else(PoisonError::into_inner));
    // Not collected, which would keep the longer places' memory.
    let mut out = Vec::with_capacity(places.len());
    out.extend(places.filter_map(|place| if let Place::Made(made) = place { Some(made) } else { None }));
    out
}

/// Does some work on every item.
pub(crate) fn for_each<I: Send>(items: impl Iterator<Item = I>, work: impl Fn(I) + Sync) {
    map(items, work);
}

fn in_halves(indices: Range<usize>, piece: usize, work: &(dyn Fn(Range<usize>) + Sync)) {
    let count = indices.len();
    if count <= piece {
        return work(indices);
    }
    let middle = indices.start + count / 2;
    let (first, second) = (indices.start..middle, middle..indices.end);
    rayon::join(|| in_halves(first, piece, work), || in_halves(second, piece, work));
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// More and fewer items than pieces, none, and work that hands out work itself.
    #[test]
    fn every_item_is_worked_on_once_and_what_is_made_keeps_its_order() {
        for threads in [1, 2, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            for count in [0, 1, 2, 63, 129, 1000] {
                let calls = AtomicUsize::new(0);
                let made = pool.install(|| {
                    map(0..count, |item| {
                        calls.fetch_add(1, Ordering::Relaxed);
                        map(0..item % 7, |inner| inner).into_iter().sum::<usize>() + 100 * item
                    })
                });
                let expected: Vec<_> =
                    (0..count).map(|item| (0..item % 7).sum::<usize>() + 100 * item).collect();
                assert_eq!(made, expected, "{threads} threads");
                assert_eq!(calls.into_inner(), count, "{threads} threads");
            }
        }
    }

    #[test]
    fn shares_keep_their_order() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        for (count, least) in [(0, 8), (1, 8), (23, 8), (24, 8), (1000, 1)] {
            let made = pool.install(|| in_shares(count, least, Iterator::collect));
            assert_eq!(made, (0..count).collect::<Vec<_>>());
        }
    }
}
