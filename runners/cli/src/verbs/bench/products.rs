//! Matrix products by themselves: the upper limit of this machine.

use super::shape::Shape;
use super::{PROGRAM, Seconds, round};
use crate::failure::Failure;
use rayon::prelude::*;
use regatta_core::Draw;
use regatta_core::candle::Tensor;
use regatta_core::maths::with_floats;
use regatta_core::simd::{self, Level};
use regatta_kernels::{Matrix, MatrixMut, Onto, product};
use serde::Serialize;
use std::fmt;

/// Most rows per thread and task.
const PANEL: usize = 512;

/// Columns of S that it makes at a time: a tile of 1 MiB stays in its cache.
const TILE: usize = 512;

fn panel(rows: usize) -> usize {
    PANEL.min(rows.div_ceil(rayon::current_num_threads()))
}

/// The rate of a large product on all threads.
#[derive(Debug, Serialize)]
pub(super) struct Rate {
    program: &'static str,
    threads: usize,
    instructions: Level,
    size: usize,
    product_gflops: f64,
    best_product_gflops: f64,
}

/// Rate of `C = A·B` for square float32 matrices.
pub(super) fn rate() -> Result<Rate, Failure> {
    const SIZE: usize = 2048;
    let mut draw = Draw::new(0, "bench product", 0, 0);
    let mut matrix = || (0..SIZE * SIZE).map(|_| draw.normal() as f32).collect::<Vec<_>>();
    let (left, right) = (matrix(), matrix());
    let mut out = vec![0f32; SIZE * SIZE];
    let rows = panel(SIZE);
    let seconds = Seconds::of(|| {
        out.par_chunks_mut(rows * SIZE).zip(left.par_chunks(rows * SIZE)).for_each(|(out, left)| {
            let rows = out.len() / SIZE;
            let (left, right) = (Matrix::new(left, rows, SIZE), Matrix::new(&right, SIZE, SIZE));
            product(MatrixMut::new(out, rows, SIZE), Onto::Replace, 1.0, left, right);
        });
        Ok(())
    })?;
    let gflops = |seconds: f64| round(2.0 * (SIZE as f64).powi(3) / seconds / 1e9, 1);
    Ok(Rate {
        program: PROGRAM,
        threads: rayon::current_num_threads(),
        instructions: simd::level(),
        size: SIZE,
        product_gflops: gflops(seconds.median()),
        best_product_gflops: gflops(seconds.best()),
    })
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "float32 product of {0} x {0} matrices: {1} GFLOP/s (best {2}), {3} threads, {4}",
            self.size, self.product_gflops, self.best_product_gflops, self.threads, self.instructions
        )
    }
}

/// Time of the products that a penalty over all pairs comes down to: `S = U·Uᵀ` for the value, `W·U` for the gradient, with S
/// in place of the weights W; in full, without their symmetry, 4n²d operations per group.
pub(super) fn over_all_pairs(shape: Shape, points: &Tensor) -> Result<Seconds, Failure> {
    let Shape { points: n, dims: d, .. } = shape;
    let mut out = vec![0f32; shape.numbers()];
    let rows = panel(n);
    with_floats([points], "bench", |[points]| {
        Seconds::of(|| {
            for (group, out) in points.chunks(n * d).zip(out.chunks_mut(n * d)) {
                out.par_chunks_mut(rows * d)
                    .zip(group.par_chunks(rows * d))
                    .for_each_init(|| vec![0f32; rows * TILE], |tile, (out, own)| panel_products(out, own, group, d, tile));
            }
            Ok(())
        })
    })
    .map_err(Failure::failed)?
}

/// The rows of `W·U` that belong to the points `own`, by way of a tile of S at a time.
///
/// # Shapes
/// out (r, d), own (r, d), all (n, d), tile: room for r x TILE
fn panel_products(out: &mut [f32], own: &[f32], all: &[f32], d: usize, tile: &mut [f32]) {
    let rows = own.len() / d;
    out.fill(0.0);
    for others in all.chunks(TILE * d) {
        let columns = others.len() / d;
        let tile = &mut tile[..rows * columns];
        let others = Matrix::new(others, columns, d);
        product(MatrixMut::new(tile, rows, columns), Onto::Replace, 1.0, Matrix::new(own, rows, d), others.transposed());
        product(MatrixMut::new(out, rows, d), Onto::Add, 1.0, Matrix::new(tile, rows, columns), others);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_products_by_hand() {
        // U = [[1, 0], [1, 2]]: S = [[1, 1], [1, 5]], S·U = [[2, 2], [6, 10]]
        let all = [1.0, 0.0, 1.0, 2.0];
        let mut out = [9.0; 4];
        panel_products(&mut out, &all, &all, 2, &mut [0.0; 2 * TILE]);
        assert_eq!(out, [2.0, 2.0, 6.0, 10.0]);
        panel_products(&mut out[..2], &all[2..], &all, 2, &mut [0.0; TILE]);
        assert_eq!(out[..2], [6.0, 10.0]);
    }
}
