//! Muon: momentum, made orthogonal. Jordan et al. 2024; with weight decay and updates as large as AdamW's, Liu et al. 2025,
//! arXiv:2502.16982. The arithmetic is that of `torch.optim.Muon`, in float32 where that has bfloat16.
//!
//! ```text
//! m <- μ·m + (1 - μ)·g
//! u  = (1 - μ)·g + μ·m                               without nesterov: m
//! w <- w·(1 - lr·decay) - lr·scale·orthogonal(u)     of each linear map by itself; see `orthogonal`
//! ```

use super::orthogonal::orthogonalise;
use crate::spec::MuonSpec;
use rayon::prelude::*;
use regatta_kernels::simd::Simd;
use regatta_kernels::vectorize;
use std::ops::Range;

/// A matrix (inputs, outputs) of linear maps side by side, before an update.
pub(super) struct Update<'a> {
    pub weights: &'a mut [f32],
    pub gradient: &'a [f32],
    pub momentum: &'a mut [f32],
    pub outputs: usize,
    /// The columns of each map.
    pub maps: &'a [Range<usize>],
    pub lr: f64,
    pub decay: f64,
    /// The factor of clipping.
    pub clip: f64,
}

impl Update<'_> {
    pub fn make(self, spec: &MuonSpec) {
        let Self { weights, gradient, momentum, outputs, maps, lr, decay, clip } = self;
        let inputs = weights.len() / outputs;
        let rates = Momentum { beta: spec.momentum.get() as f32, clip: clip as f32, nesterov: spec.nesterov };
        let mut ahead = vec![0.0; weights.len()];
        look_ahead(rates, gradient, momentum, &mut ahead);
        let orthogonal = |columns: &Range<usize>| {
            let mut map =
                if columns.len() > inputs { by_outputs(&ahead, outputs, columns) } else { by_inputs(&ahead, outputs, columns) };
            orthogonalise(&mut map, columns.len().min(inputs), spec.steps.get());
            map
        };
        let factors: Vec<Vec<f32>> = maps.par_iter().map(orthogonal).collect();
        let keep = (1.0 - lr * decay) as f32;
        for (columns, factor) in maps.iter().zip(factors) {
            let step = (lr * spec.scale.factor(inputs, columns.len())) as f32;
            let factor = if columns.len() > inputs { transposed(&factor, inputs) } else { factor };
            for (weights, factor) in weights.chunks_exact_mut(outputs).zip(factor.chunks_exact(columns.len())) {
                follow(&mut weights[columns.clone()], factor, keep, step);
            }
        }
    }
}

/// Some columns. -> (inputs, columns)
fn by_inputs(matrix: &[f32], outputs: usize, columns: &Range<usize>) -> Vec<f32> {
    matrix.chunks_exact(outputs).flat_map(|row| &row[columns.clone()]).copied().collect()
}

/// Some columns, transposed. -> (columns, inputs)
fn by_outputs(matrix: &[f32], outputs: usize, columns: &Range<usize>) -> Vec<f32> {
    transposed(&by_inputs(matrix, outputs, columns), columns.len())
}

/// (n, columns) -> (columns, n)
fn transposed(matrix: &[f32], columns: usize) -> Vec<f32> {
    const TILE: usize = 32; // both of its sides stay in the first cache
    let rows = matrix.len() / columns;
    let mut out = vec![0.0; matrix.len()];
    for first_row in (0..rows).step_by(TILE) {
        for first_column in (0..columns).step_by(TILE) {
            for column in first_column..(first_column + TILE).min(columns) {
                for row in first_row..(first_row + TILE).min(rows) {
                    out[column * rows + row] = matrix[row * columns + column];
                }
            }
        }
    }
    out
}

#[derive(Clone, Copy)]
struct Momentum {
    beta: f32,
    clip: f32,
    nesterov: bool,
}

vectorize! {
    fn look_ahead(rates: Momentum, gradient: &[f32], momentum: &mut [f32], ahead: &mut [f32]) = look_ahead_with;
    fn follow(weights: &mut [f32], factor: &[f32], keep: f32, step: f32) = follow_with;
}

#[inline(always)]
fn look_ahead_with<S: Simd>(rates: Momentum, gradient: &[f32], momentum: &mut [f32], ahead: &mut [f32]) {
    let Momentum { beta, clip, nesterov } = rates;
    for ((g, m), u) in gradient.iter().zip(momentum).zip(ahead) {
        let g = (1.0 - beta) * (g * clip);
        *m = beta * *m + g;
        *u = if nesterov { g + beta * *m } else { *m };
    }
}

#[inline(always)]
fn follow_with<S: Simd>(weights: &mut [f32], factor: &[f32], keep: f32, step: f32) {
    weights.iter_mut().zip(factor).for_each(|(w, x)| *w = *w * keep - step * x);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::MuonScale;
    use regatta_core::number::Count;

    /// Two maps side by side, of two inputs: one of a single output whose gradient is (3, 4), and one of three whose gradient has a
    /// 2 and a 1 on its diagonal.
    const GRADIENT: [f32; 8] = [3.0, 2.0, 0.0, 0.0, 4.0, 0.0, 1.0, 0.0];

    fn updated(spec: &MuonSpec, maps: &[Range<usize>], momentum: &mut [f32; 8]) -> [f32; 8] {
        let mut weights = [1.0; 8];
        let update =
            Update { weights: &mut weights, gradient: &GRADIENT, momentum, outputs: 4, maps, lr: 0.5, decay: 0.2, clip: 0.5 };
        update.make(spec);
        weights
    }

    fn step(s: f64) -> f64 {
        3.4445 * s - 4.7750 * s.powi(3) + 2.0315 * s.powi(5)
    }

    #[test]
    fn each_map_is_orthogonalised_by_itself() {
        let spec = MuonSpec { scale: MuonScale::Original, steps: Count::new(1), ..MuonSpec::default() };
        let mut momentum = [0.0; 8];
        let found = updated(&spec, &[0..1, 1..4], &mut momentum);
        // a single column becomes a unit vector, times the polynomial at 1; the other map's singular values are 2 and 1, over their
        // norm
        let (single, norm) = (step(1.0), 5f64.sqrt());
        let scale = 1.5f64.sqrt(); // of two inputs and three outputs
        let expected = [
            0.9 - 0.5 * 0.6 * single,
            0.9 - 0.5 * scale * step(2.0 / norm),
            0.9,
            0.9,
            0.9 - 0.5 * 0.8 * single,
            0.9,
            0.9 - 0.5 * scale * step(1.0 / norm),
            0.9,
        ];
        let close = |(found, expected): (&f32, f64)| (f64::from(*found) - expected).abs() < 1e-5;
        assert!(found.iter().zip(expected).all(close), "{found:?}, expected {expected:?}");
        assert!((momentum[0] - 0.075).abs() < 1e-7, "{momentum:?}"); // (1 - 0.95)·3·0.5
        let whole = 0..4;
        let joined = updated(&spec, &[whole], &mut [0.0; 8]);
        assert!((joined[0] - found[0]).abs() > 1e-2 && joined[3] == 0.9, "as one matrix they are another: {joined:?}");
    }

    #[test]
    fn nesterov_looks_ahead() {
        let at = |nesterov| {
            let (mut momentum, mut ahead) = ([1.0], [0.0]);
            look_ahead(Momentum { beta: 0.75, clip: 0.5, nesterov }, &[4.0], &mut momentum, &mut ahead);
            (momentum[0], ahead[0])
        };
        assert_eq!(at(false), (1.25, 1.25)); // 0.75·1 + 0.25·2
        assert_eq!(at(true), (1.25, 0.5 + 0.9375)); // 0.25·2 + 0.75·1.25
    }

    #[test]
    fn columns_are_read_both_ways() {
        let matrix: Vec<f32> = (0..8).map(|x| x as f32).collect();
        assert_eq!(by_inputs(&matrix, 4, &(1..3)), [1.0, 2.0, 5.0, 6.0]);
        assert_eq!(by_outputs(&matrix, 4, &(1..4)), [1.0, 5.0, 2.0, 6.0, 3.0, 7.0]);
        let large: Vec<f32> = (0..70 * 45).map(|x| x as f32).collect();
        assert_eq!(transposed(&transposed(&large, 45), 70), large);
    }
}
