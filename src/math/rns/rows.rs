//! Work on rows, shared among threads.

use rayon::prelude::*;

/// Does some work, in parallel where there is more than one thread: handing it to a single one would take longer than some of it does.
pub(crate) fn for_each<T: Send>(items: impl Iterator<Item = T>, work: impl Fn(T) + Send + Sync) {
    if rayon::current_num_threads() == 1 {
        items.for_each(work);
    } else {
        items.collect::<Vec<_>>().into_par_iter().for_each(work);
    }
}
