//! Factors for tests of products.

use super::Matrix;

/// Small integers, whose sums are exact in any order.
pub fn numbers(count: usize, modulus: usize) -> Vec<f32> {
    (0..count).map(|i| (i * 7919 % modulus) as f32 - (modulus / 2) as f32).collect()
}

/// Both factors, each row-major or transposed.
pub fn storage_orders<'a>(a: &'a [f32], b: &'a [f32], (m, k, n): (usize, usize, usize)) -> [(Matrix<'a>, Matrix<'a>); 4] {
    let (left, left_transposed) = (Matrix::new(a, m, k), Matrix::new(a, k, m).transposed());
    let (right, right_transposed) = (Matrix::new(b, k, n), Matrix::new(b, n, k).transposed());
    [(left, right), (left, right_transposed), (left_transposed, right), (left_transposed, right_transposed)]
}

/// `initial + scale·left·right`, with an initial value per column, for factors whose sums are exact. left (m, k), right (k, n)
pub fn by_definition(left: Matrix<'_>, right: Matrix<'_>, initial: impl Fn(usize) -> f32, scale: f32) -> Vec<f32> {
    let ((m, k), (_, n)) = (left.shape(), right.shape());
    let sum = |i: usize, j: usize| (0..k).map(|p| left.at(i, p) * right.at(p, j)).sum::<f32>();
    (0..m * n).map(|index| initial(index % n) + scale * sum(index / n, index % n)).collect()
}

/// (m, k, n), with whole tiles and all kinds of rests.
pub const SHAPES: [(usize, usize, usize); 15] = [
    (1, 1, 1),
    (9, 1, 70),
    (70, 5, 1),
    (5, 3, 2),
    (7, 20, 15),
    (6, 8, 16),
    (13, 515, 70),
    (9, 95, 40),
    (64, 33, 130),
    (3, 1030, 64),
    (32, 32, 32),
    (16, 31, 48),
    (33, 65, 97),
    (17, 1024, 33),
    (50, 1057, 20),
];
