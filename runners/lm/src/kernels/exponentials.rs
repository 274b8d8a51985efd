//! The numerators of a softmax, and their sum.

use regatta_core::maths::vector::{exp, sum_of};

/// Vector registers hold this many numbers: rows are worked on in whole ones.
pub(super) const LANES: usize = 16;

/// `x = exp(x - shift)`, and the sum of what came out.
pub(super) fn exponentials(x: &mut [f32], shift: f32) -> f32 {
    let mut lanes = [0f32; LANES];
    let mut chunks = x.chunks_exact_mut(LANES);
    for chunk in &mut chunks {
        for lane in 0..LANES {
            chunk[lane] = exp(chunk[lane] - shift);
            lanes[lane] += chunk[lane];
        }
    }
    let mut rest = 0.0;
    for x in chunks.into_remainder() {
        *x = exp(*x - shift);
        rest += *x;
    }
    lanes.iter().sum::<f32>() + rest
}

/// The sum of `exp(x - shift)`.
pub(super) fn sum_of_exponentials(x: &[f32], shift: f32) -> f32 {
    sum_of(x, x, |x, _| exp(x - shift))
}
