//! Products with panels count themselves in builds with debug assertions, so that tests can hold a formula of FLOPs to what is
//! computed.

use std::cell::Cell;

thread_local! {
    static FLOPS: Cell<u64> = const { Cell::new(0) };
}

/// `2·m·n·k` more.
pub(super) fn count((m, k): (usize, usize), (_, n): (usize, usize)) {
    FLOPS.set(FLOPS.get() + (2 * m * n * k) as u64);
}

/// FLOPs of the products with panels that `work` computes, on one thread of its own: others count none of them.
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
