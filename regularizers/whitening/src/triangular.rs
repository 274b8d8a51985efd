//! Products with a lower triangular matrix K, in tiles of columns that skip most of its zeros.

use regatta_core::kernels::{Matrix, MatrixMut, Onto, product};

/// Columns per product. Narrower tiles skip more zeros; wider ones make products more efficient.
const TILE: usize = 64;

/// `out = rows·Kᵀ`. Column j of the result depends on the columns of `rows` up to j. rows (n, d), K (d, d), out (n, d)
pub(crate) fn times_transposed(rows: &[f32], lower: &[f32], d: usize, out: &mut [f32]) {
    let n = rows.len() / d;
    for (first, end) in tiles(d) {
        let rows = Matrix::part(rows, n, end, d);
        let lower = Matrix::part(&lower[first * d..], end - first, end, d).transposed();
        product(MatrixMut::part(&mut out[first..], n, end - first, d), Onto::Replace, 1.0, rows, lower);
    }
}

/// `out = rows·K`. Column j of the result depends on the columns of `rows` from j on. rows (n, d), K (d, d), out (n, d)
pub(crate) fn times(rows: &[f32], lower: &[f32], d: usize, out: &mut [f32]) {
    let n = rows.len() / d;
    for (first, end) in tiles(d) {
        let rows = Matrix::part(&rows[first..], n, d - first, d);
        let lower = Matrix::part(&lower[first * d + first..], d - first, end - first, d);
        product(MatrixMut::part(&mut out[first..], n, end - first, d), Onto::Replace, 1.0, rows, lower);
    }
}

/// Adds `leftᵀ·right` on and below the diagonal. Elements above it are unspecified. left and right (n, d), out (d, d)
pub(crate) fn add_cross_gram(left: &[f32], right: &[f32], d: usize, out: &mut [f32]) {
    let n = left.len() / d;
    for (first, end) in tiles(d) {
        let left = Matrix::part(&left[first..], n, end - first, d).transposed();
        let right = Matrix::part(right, n, end, d);
        product(MatrixMut::part(&mut out[first * d..], end - first, end, d), Onto::Add, 1.0, left, right);
    }
}

fn tiles(d: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..d).step_by(TILE).map(move |first| (first, d.min(first + TILE)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Products and sums of small integers are exact. Sizes: a part of a tile, one tile, and several with a smaller last one.
    #[test]
    fn tiles_cover_the_whole_triangle() {
        for (n, d) in [(2, 3), (3, TILE), (2, 2 * TILE + 5)] {
            let numbers = |count: usize, by: usize| (0..count).map(|i| ((i * by) % 11) as f32 - 5.0).collect::<Vec<f32>>();
            let (rows, other) = (numbers(n * d, 7), numbers(n * d, 3));
            let lower: Vec<f32> =
                numbers(d * d, 5).iter().enumerate().map(|(i, x)| if i % d > i / d { 0.0 } else { *x }).collect();
            let (mut by_transpose, mut by_lower, mut cross) = (vec![9.0; n * d], vec![9.0; n * d], vec![1.0; d * d]);
            times_transposed(&rows, &lower, d, &mut by_transpose);
            times(&rows, &lower, d, &mut by_lower);
            add_cross_gram(&rows, &other, d, &mut cross);
            let sum = |count: usize, term: &dyn Fn(usize) -> f32| (0..count).map(term).sum::<f32>();
            for j in 0..d {
                for i in 0..n {
                    assert_eq!(by_transpose[i * d + j], sum(d, &|l| rows[i * d + l] * lower[j * d + l]), "{d}: ({i}, {j})");
                    assert_eq!(by_lower[i * d + j], sum(d, &|l| rows[i * d + l] * lower[l * d + j]), "{d}: ({i}, {j})");
                }
                for k in j..d {
                    assert_eq!(cross[k * d + j], 1.0 + sum(n, &|i| rows[i * d + k] * other[i * d + j]), "{d}: ({k}, {j})");
                }
            }
        }
    }
}
