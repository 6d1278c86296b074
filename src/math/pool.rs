//! Work that is shared among the pool's threads.

use std::ops::Range;

use rayon::prelude::*;

/// Does some work, in parallel where there is more than one thread: handing it to a single one would take longer than some of it does.
pub(crate) fn for_each<T: Send>(items: impl Iterator<Item = T>, work: impl Fn(T) + Send + Sync) {
    if rayon::current_num_threads() == 1 {
        items.for_each(work);
    } else {
        items.collect::<Vec<_>>().into_par_iter().for_each(work);
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
    let starts: Vec<_> = (0..count).step_by(size).collect();
    collect_in_halves(&starts, &|start| work(*start..count.min(start + size)))
}

/// What a piece of work gives for every item, one after the other. Halves go to other threads until single items are left: for
/// short work that takes less time than an iterator of rayon's, which gathers its parts in lists.
pub(crate) fn collect_in_halves<I: Sync, T: Send, R: IntoIterator<Item = T>>(
    items: &[I],
    work: &(impl Fn(&I) -> R + Sync),
) -> Vec<T> {
    match items {
        [] => Vec::new(),
        [item] => work(item).into_iter().collect(),
        _ => {
            let (first, second) = items.split_at(items.len() / 2);
            let (mut first, second) =
                join(|| collect_in_halves(first, work), || collect_in_halves(second, work));
            first.extend(second);
            first
        }
    }
}

/// Two pieces of work, in parallel where there is more than one thread.
pub(crate) fn join<A: Send, B: Send>(
    first: impl FnOnce() -> A + Send,
    second: impl FnOnce() -> B + Send,
) -> (A, B) {
    if rayon::current_num_threads() == 1 { (first(), second()) } else { rayon::join(first, second) }
}
