//! Products with a lower triangular matrix K, in tiles of columns that leave out most of its zeros.

use regatta_core::kernels::{Matrix, MatrixMut, Onto, product};

/// Columns that one product makes: with fewer, fewer zeros are multiplied; with more, products run better.
const TILE: usize = 64;

/// `out = rows·Kᵀ`: column j takes the columns of `rows` up to j. rows (n, d), K (d, d), out (n, d)
pub(crate) fn times_transposed(rows: &[f32], lower: &[f32], d: usize, out: &mut [f32]) {
    let n = rows.len() / d;
    for (first, end) in tiles(d) {
        let rows = Matrix::part(rows, n, end, d);
        let lower = Matrix::part(&lower[first * d..], end - first, end, d).transposed();
        product(MatrixMut::part(&mut out[first..], n, end - first, d), Onto::Replace, 1.0, rows, lower);
    }
}

/// `out = rows·K`: column j takes the columns of `rows` from j on. rows (n, d), K (d, d), out (n, d)
pub(crate) fn times(rows: &[f32], lower: &[f32], d: usize, out: &mut [f32]) {
    let n = rows.len() / d;
    for (first, end) in tiles(d) {
        let rows = Matrix::part(&rows[first..], n, d - first, d);
        let lower = Matrix::part(&lower[first * d + first..], d - first, end - first, d);
        product(MatrixMut::part(&mut out[first..], n, end - first, d), Onto::Replace, 1.0, rows, lower);
    }
}

/// Adds `leftᵀ·right` on and below the diagonal; what is above it is of no meaning. left and right (n, d), out (d, d)
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

    /// Whole numbers multiply and add exactly. Of one tile, of several, and of a last one that is smaller.
    #[test]
    fn tiles_leave_nothing_out() {
        for (n, d) in [(2, 3), (3, TILE), (2, 2 * TILE + 5)] {
            let numbers = |count: usize, by: usize| (0..count).map(|i| ((i * by) % 11) as f32 - 5.0).collect::<Vec<f32>>();
            let (rows, other) = (numbers(n * d, 7), numbers(n * d, 3));
            let lower: Vec<f32> =
                numbers(d * d, 5).iter().enumerate().map(|(i, x)| if i % d > i / d { 0.0 } else { *x }).collect();
            let (mut turned, mut plain, mut crossed) = (vec![9.0; n * d], vec![9.0; n * d], vec![1.0; d * d]);
            times_transposed(&rows, &lower, d, &mut turned);
            times(&rows, &lower, d, &mut plain);
            add_cross_gram(&rows, &other, d, &mut crossed);
            let sum = |count: usize, term: &dyn Fn(usize) -> f32| (0..count).map(term).sum::<f32>();
            for j in 0..d {
                for i in 0..n {
                    assert_eq!(turned[i * d + j], sum(d, &|l| rows[i * d + l] * lower[j * d + l]), "{d}: ({i}, {j})");
                    assert_eq!(plain[i * d + j], sum(d, &|l| rows[i * d + l] * lower[l * d + j]), "{d}: ({i}, {j})");
                }
                for k in j..d {
                    assert_eq!(crossed[k * d + j], 1.0 + sum(n, &|i| rows[i * d + k] * other[i * d + j]), "{d}: ({k}, {j})");
                }
            }
        }
    }
}
