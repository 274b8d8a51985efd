//! Gram matrices, `zᵀz`, and products of points with a matrix, on all threads.

use super::{Float, Matrix, MatrixMut, Onto, product};
use crate::simd::Simd;
use rayon::prelude::*;

/// Rows per task: enough for efficient matrix products, few enough to keep all threads busy.
const ROWS: usize = 256;

/// The Gram matrix `zᵀz`; only one triangle is computed. (n, d) -> (d, d)
///
/// The rows are summed in at most 16 parts, and the parts in order, so the result does not depend on the number of threads.
pub fn gram<T: Float>(points: &[T], dims: usize) -> Vec<T> {
    let parts = points.par_chunks(rows_per_part(points.len() / dims) * dims).with_max_len(1);
    symmetric_sum(parts.map(|rows| upper_triangle(rows, dims)).collect(), dims)
}

/// [`gram`] in float64 of float32 points minus `mean`; one part of the rows is converted at a time. points (n, d), mean (d) -> (d, d)
pub fn wide_gram(points: &[f32], mean: &[f64]) -> Vec<f64> {
    let dims = mean.len();
    let parts = points.par_chunks(rows_per_part(points.len() / dims) * dims).with_max_len(1);
    symmetric_sum(parts.map(|rows| upper_triangle(&widened(rows, mean), dims)).collect(), dims)
}

/// Points minus `mean`, in float64. points (n, d), mean (d) -> (n, d)
pub fn widened(points: &[f32], mean: &[f64]) -> Vec<f64> {
    let mut wide = vec![0.0; points.len()];
    widen(points, mean, &mut wide);
    wide
}

crate::vectorize! {
    fn widen(points: &[f32], mean: &[f64], wide: &mut [f64]) = widen_with;
}

#[inline(always)]
fn widen_with<S: Simd>(points: &[f32], mean: &[f64], wide: &mut [f64]) {
    for (row, wide) in points.chunks_exact(mean.len()).zip(wide.chunks_exact_mut(mean.len())) {
        wide.iter_mut().zip(row).zip(mean).for_each(|((wide, x), mean)| *wide = f64::from(*x) - mean);
    }
}

/// Rows per part: at least [`ROWS`], and so many that there are at most 16 parts.
fn rows_per_part(count: usize) -> usize {
    count.div_ceil(16).max(ROWS)
}

/// The sum of symmetric matrices of which only the upper triangle is filled; the result is filled.
fn symmetric_sum<T: Float>(parts: Vec<Vec<T>>, dims: usize) -> Vec<T> {
    let mut parts = parts.into_iter();
    let mut sum = parts.next().unwrap_or_else(|| vec![T::default(); dims * dims]);
    for part in parts {
        sum.iter_mut().zip(part).for_each(|(sum, x)| *sum += x);
    }
    for i in 0..dims {
        for j in 0..i {
            sum[i * dims + j] = sum[j * dims + i];
        }
    }
    sum
}

/// The cross-Gram matrix `xᵀy` of two views. (n, d), (n, d) -> (d, d)
///
/// Rows are summed in the same order as in [`gram`].
pub fn cross_gram<T: Float>(left: &[T], right: &[T], dims: usize) -> Vec<T> {
    let rows = rows_per_part(left.len() / dims);
    let parts = left.par_chunks(rows * dims).zip(right.par_chunks(rows * dims)).with_max_len(1).map(|(left, right)| {
        let mut part = vec![T::default(); dims * dims];
        let [left, right] = [left, right].map(|rows| Matrix::new(rows, rows.len() / dims, dims));
        product(MatrixMut::new(&mut part, dims, dims), Onto::Replace, T::from(1.0), left.transposed(), right);
        part
    });
    let mut parts = parts.collect::<Vec<_>>().into_iter();
    let mut sum = parts.next().unwrap_or_else(|| vec![T::default(); dims * dims]);
    parts.for_each(|part| sum.iter_mut().zip(part).for_each(|(sum, x)| *sum += x));
    sum
}

/// `zᵀz` in tiles on and above the diagonal; entries below those tiles are meaningless.
fn upper_triangle<T: Float>(points: &[T], dims: usize) -> Vec<T> {
    const TILE: usize = 64;
    let count = points.len() / dims;
    let mut gram = vec![T::default(); dims * dims];
    for first in (0..dims).step_by(TILE) {
        let (rows, columns) = (TILE.min(dims - first), dims - first);
        let left = Matrix::part(&points[first..], count, rows, dims).transposed();
        let right = Matrix::part(&points[first..], count, columns, dims);
        product(MatrixMut::part(&mut gram[first * (dims + 1)..], rows, columns, dims), Onto::Replace, T::from(1.0), left, right);
    }
    gram
}

/// `out = points·matrix`, in blocks of rows on all threads. Each block is passed to `finish` with its points.
///
/// # Shapes
/// points (n, k), matrix (k, d), out (n, d); `finish` gets (rows, k) and (rows, d)
pub fn times<T: Float>(points: &[T], matrix: Matrix<'_, T>, out: &mut [T], finish: impl Fn(&[T], &mut [T]) + Sync) {
    let (inner, dims) = matrix.shape();
    let rows = points.par_chunks(ROWS * inner).zip(out.par_chunks_mut(ROWS * dims)).with_max_len(1);
    rows.for_each(|(points, out)| {
        let count = points.len() / inner;
        product(MatrixMut::new(out, count, dims), Onto::Replace, T::from(1.0), Matrix::new(points, count, inner), matrix);
        finish(points, out);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_over_points_by_hand() {
        let points = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]; // three points of two dims
        assert_eq!(gram(&points, 2), [35.0, 44.0, 44.0, 56.0]);
        assert_eq!(wide_gram(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[0.0; 2]), [35.0, 44.0, 44.0, 56.0]);
        assert_eq!(wide_gram(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[3.0, 4.0]), [8.0; 4]); // (-2, -2), (0, 0), (2, 2)
        let other = [1.0, 0.0, 0.0, 1.0, 1.0, 0.0];
        assert_eq!(cross_gram(&points, &other, 2), [6.0, 3.0, 8.0, 4.0]); // 1 + 5, 3; 2 + 6, 4
        let mut out = [0.0; 6];
        times(&points, Matrix::new(&[1.0, 1.0, 0.0, 1.0], 2, 2), &mut out, |points, out| {
            out.iter_mut().zip(points).for_each(|(x, point)| *x -= point);
        });
        assert_eq!(out, [0.0, 1.0, 0.0, 3.0, 0.0, 5.0]);
    }

    #[test]
    fn many_rows_and_dims_are_summed_in_parts() {
        let (count, dims) = (5_000, 131);
        let points: Vec<f32> = (0..count * dims).map(|i| ((i * 7) % 13) as f32 - 6.0).collect(); // whole numbers add exactly
        let (found, crossed) = (gram(&points, dims), cross_gram(&points, &points, dims));
        for (i, j) in [(0, 0), (3, 130), (130, 3), (129, 130)] {
            let expected: f32 = points.chunks_exact(dims).map(|point| point[i] * point[j]).sum();
            assert_eq!(found[i * dims + j], expected, "({i}, {j})");
            assert_eq!(crossed[i * dims + j], expected, "({i}, {j})");
        }
    }
}
