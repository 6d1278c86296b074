//! Work that is shared among the pool's threads.

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

/// Two pieces of work, in parallel where there is more than one thread.
pub(crate) fn join<A: Send, B: Send>(
    first: impl FnOnce() -> A + Send,
    second: impl FnOnce() -> B + Send,
) -> (A, B) {
    if rayon::current_num_threads() == 1 { (first(), second()) } else { rayon::join(first, second) }
}
