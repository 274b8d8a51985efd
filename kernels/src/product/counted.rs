//! FLOPs of products with panels are counted in builds with debug assertions, so that tests can compare a formula of FLOPs with the
//! products that are computed.

use std::cell::Cell;

thread_local! {
    static FLOPS: Cell<u64> = const { Cell::new(0) };
}

/// Adds `2·m·n·k` to this thread's count.
pub(super) fn count((m, k): (usize, usize), (_, n): (usize, usize)) {
    FLOPS.set(FLOPS.get() + (2 * m * n * k) as u64);
}

/// FLOPs of the products with panels that `work` computes. It runs in a pool of one thread, so that no other work is counted.
///
/// # Panics
/// When the thread cannot be started.
pub fn counted_flops(work: impl FnOnce() + Send) -> u64 {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("one thread");
    pool.install(|| {
        let before = FLOPS.get();
        work();
        FLOPS.get() - before
    })
}
