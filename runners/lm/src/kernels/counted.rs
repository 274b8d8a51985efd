//! Matrix products that count themselves: in tests only, to hold the formula of FLOPs to what is computed.

use regatta_core::maths::{self, Matrix, MatrixMut, Onto, Panels, PanelsPart};
use std::cell::Cell;

thread_local! {
    static FLOPS: Cell<u64> = const { Cell::new(0) };
}

/// [`maths::product_of_panels`], and `2·m·n·k` more.
pub(crate) fn product_of_panels<'a>(
    out: MatrixMut<'_>,
    onto: Onto,
    scale: f32,
    left: Matrix<'_>,
    right: impl Into<PanelsPart<'a>>,
) {
    let right = right.into();
    count(left.shape(), right.shape());
    maths::product_of_panels(out, onto, scale, left, right);
}

/// [`maths::affine`], likewise.
pub(crate) fn affine(out: MatrixMut<'_>, left: Matrix<'_>, right: &Panels, bias: &[f32]) {
    count(left.shape(), right.shape());
    maths::affine(out, left, right, bias);
}

fn count((m, k): (usize, usize), (_, n): (usize, usize)) {
    FLOPS.set(FLOPS.get() + (2 * m * n * k) as u64);
}

/// FLOPs of the model's products that `work` computes, on one thread of its own: other tests count none of them.
pub(crate) fn flops(work: impl FnOnce() + Send) -> u64 {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    pool.install(|| {
        work();
        FLOPS.get()
    })
}
