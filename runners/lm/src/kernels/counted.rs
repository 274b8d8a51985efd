//! Matrix products that count themselves: in tests only, to hold the formula of FLOPs to what is computed.

use regatta_core::maths::{Float, Matrix, MatrixMut, Onto};
use std::cell::Cell;

thread_local! {
    static FLOPS: Cell<u64> = const { Cell::new(0) };
}

/// [`regatta_core::maths::product`], and `2·m·n·k` more.
pub(crate) fn product<T: Float>(out: MatrixMut<'_, T>, onto: Onto, scale: T, left: Matrix<'_, T>, right: Matrix<'_, T>) {
    let ((m, k), (_, n)) = (left.shape(), right.shape());
    FLOPS.set(FLOPS.get() + (2 * m * n * k) as u64);
    regatta_core::maths::product(out, onto, scale, left, right);
}

/// FLOPs of the model's products that `work` computes, on one thread of its own: other tests count none of them.
pub(crate) fn flops(work: impl FnOnce() + Send) -> u64 {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    pool.install(|| {
        work();
        FLOPS.get()
    })
}
