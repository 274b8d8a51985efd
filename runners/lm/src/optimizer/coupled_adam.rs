//! Coupled Adam: one second moment for all tokens of a vocabulary. Gradients of an output matrix add up to 0 over its rows; Adam
//! divides those of each row by a second moment of its own, and the rows drift away from 0 together. Stollenwerk & Stollenwerk
//! 2025, arXiv:2502.08441.
//!
//! ```text
//! v <- β2·v + (1 - β2)·mean over rows of g²         one number a dimension
//! ```
//! and all else as AdamW. The paper averages the second moments themselves, which is the same, since each is a sum of squares with
//! the same weights. Its code has no weight decay on the embedding; here the study chooses.

use super::adamw::Rates;
use rayon::prelude::*;
use regatta_kernels::simd::Simd;
use regatta_kernels::vectorize;

/// Rows that one thread takes at a time, and whose squares are summed in float32; the sums over such blocks are in float64.
const ROWS: usize = 64;

/// Updates a matrix of one row per token.
///
/// # Shapes
/// weights, gradient, first (v, d), second (d)
pub(super) fn update(rates: Rates, weights: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32]) {
    let (dims, block) = (second.len(), ROWS * second.len());
    let parts = gradient.par_chunks(block).map(|rows| {
        let mut sums = vec![0.0; dims];
        add_squares(rows, rates.clip, &mut sums);
        sums
    });
    let parts: Vec<Vec<f32>> = parts.collect();
    let count = (gradient.len() / dims) as f64;
    let mut divisors = vec![0.0; dims];
    for (dim, (v, divisor)) in second.iter_mut().zip(&mut divisors).enumerate() {
        let mean = parts.iter().map(|sums| f64::from(sums[dim])).sum::<f64>() / count;
        *v = rates.second_beta * *v + (1.0 - rates.second_beta) * mean as f32;
        *divisor = v.sqrt() * rates.root + rates.epsilon;
    }
    let blocks = weights.par_chunks_mut(block).zip(gradient.par_chunks(block)).zip(first.par_chunks_mut(block));
    blocks.for_each(|((weights, gradient), first)| follow(rates, weights, gradient, first, &divisors));
}

vectorize! {
    fn add_squares(gradient: &[f32], clip: f32, sums: &mut [f32]) = add_squares_with;
    fn follow(rates: Rates, weights: &mut [f32], gradient: &[f32], first: &mut [f32], divisors: &[f32]) = follow_with;
}

#[inline(always)]
fn add_squares_with<S: Simd>(gradient: &[f32], clip: f32, sums: &mut [f32]) {
    for row in gradient.chunks_exact(sums.len()) {
        for (sum, g) in sums.iter_mut().zip(row) {
            let g = g * clip;
            *sum += g * g;
        }
    }
}

#[inline(always)]
fn follow_with<S: Simd>(rates: Rates, weights: &mut [f32], gradient: &[f32], first: &mut [f32], divisors: &[f32]) {
    let Rates { keep, first_beta, step, clip, .. } = rates;
    let dims = divisors.len();
    let rows = weights.chunks_exact_mut(dims).zip(gradient.chunks_exact(dims)).zip(first.chunks_exact_mut(dims));
    for ((weights, gradient), first) in rows {
        for (((w, g), m), divisor) in weights.iter_mut().zip(gradient).zip(first).zip(divisors) {
            let g = g * clip;
            *m = first_beta * *m + (1.0 - first_beta) * g;
            *w = *w * keep - step * *m / divisor;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::AdamWSpec;

    /// Of two tokens one has a gradient of (2, 0), the other of (0, 4): means of squares 2 and 8. A first step of AdamW would move
    /// each by 0.1·sign(g).
    #[test]
    fn by_hand() {
        let (mut weights, mut first, mut second) = ([1.0; 4], [0.0; 4], [0.0; 2]);
        let rates = Rates::new(&AdamWSpec::default(), (0.1, 0.5), 1, 0.5);
        update(rates, &mut weights, &[4.0, 0.0, 0.0, 8.0], &mut first, &mut second);
        let root = 2f32.sqrt();
        let expected = [0.95 - 0.1 * root, 0.95, 0.95, 0.95 - 0.1 * root]; // 2/sqrt(2) and 4/sqrt(8), after a decay of 5%
        assert!(weights.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-6), "{weights:?}");
        assert!((second[0] - 0.1).abs() < 1e-7 && (second[1] - 0.4).abs() < 1e-7, "{second:?}"); // 0.05 of the means
    }

    #[test]
    fn blocks_of_rows_add_up() {
        let (rows, dims) = (3 * ROWS + 5, 2);
        let gradient: Vec<f32> = (0..rows * dims).map(|i| (i % 7) as f32).collect();
        let (mut weights, mut first, mut second) = (vec![0.0; rows * dims], vec![0.0; rows * dims], [0.0; 2]);
        update(Rates::new(&AdamWSpec::default(), (0.1, 0.0), 1, 1.0), &mut weights, &gradient, &mut first, &mut second);
        for (dim, second) in second.iter().enumerate() {
            let squares = gradient.iter().skip(dim).step_by(dims).map(|&g| f64::from(g * g)).sum::<f64>();
            assert!((f64::from(*second) - 0.05 * squares / rows as f64).abs() < 1e-6);
        }
        assert!(weights.iter().zip(&gradient).all(|(w, g)| (*w == 0.0) == (*g == 0.0)), "the last rows too");
    }
}
