//! The numerators of a softmax, and their sum.

use regatta_core::maths::vector::{LANES, Lanes, exp, exps};

/// `x = exp(x - shift)`, and the sum of what came out.
pub(super) fn exponentials(x: &mut [f32], shift: f32) -> f32 {
    let (chunks, rest) = x.as_chunks_mut::<LANES>();
    let mut sums = Lanes::ZERO;
    for chunk in chunks {
        let e = exps(Lanes::from(*chunk) - Lanes::splat(shift));
        sums += e;
        *chunk = e.to_array();
    }
    rest.iter_mut().for_each(|x| *x = exp(*x - shift));
    sums.as_array().iter().sum::<f32>() + rest.iter().sum::<f32>()
}

/// The sum of `exp(x - shift)`.
pub(super) fn sum_of_exponentials(x: &[f32], shift: f32) -> f32 {
    let (chunks, rest) = x.as_chunks::<LANES>();
    let mut sums = Lanes::ZERO;
    chunks.iter().for_each(|chunk| sums += exps(Lanes::from(*chunk) - Lanes::splat(shift)));
    sums.as_array().iter().sum::<f32>() + rest.iter().map(|x| exp(x - shift)).sum::<f32>()
}
