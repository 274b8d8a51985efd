//! All pairs of points of a group, one block at a time, in memory linear in the number of points.
//!
//! The points are split into panels. A block holds the pairs of two panels and is visited once, since q is symmetric in i and j.
//! Round r visits the blocks of panels I and J with `I + J ≡ r` modulo the number of panels. Each panel is then in one block per
//! round, so that:
//!
//! - blocks of a round run in parallel, and each may write to both of its panels;
//! - every sum has one order, whatever the number of threads.

use super::scratch::with_scratch;
use super::vector::{self, sum_with};
use super::{Matrix, MatrixMut, Onto, Panels, Precision, product};
use crate::simd::Simd;
use rayon::prelude::*;
use std::ops::Range;

/// The pairs of a group of points, with one number q per pair: `u_i·u_j`, or `-‖u_i - u_j‖² / 2`.
///
/// The pair of a point with itself has q = -inf.
#[derive(Debug)]
pub struct Pairs<'a> {
    points: &'a [f32],
    dims: usize,
    /// `‖u_i‖² / 2`; empty where q is the dot product.
    half_squares: Vec<f32>,
    panel: usize,
    /// For each panel of rows, the first column and the q of each of its blocks; empty where none are kept.
    kept: Vec<Vec<(usize, Vec<f32>)>>,
}

/// The largest number of points whose q are kept from one pass to the next: 2 MB.
const KEPT: usize = 1024;

impl<'a> Pairs<'a> {
    /// Pairs with `q = u_i·u_j`. points (n, d)
    pub fn products(points: &'a [f32], dims: usize) -> Self {
        // Panels are large enough for efficient matrix products, and there are enough of them to keep all threads busy.
        let panel = (points.len() / dims).div_ceil(8).clamp(128, 512).next_multiple_of(32);
        Self { points, dims, half_squares: Vec::new(), panel, kept: Vec::new() }
    }

    /// Pairs with `q = -‖u_i - u_j‖² / 2`, never above 0. Points with a large common offset lose digits. points (n, d)
    pub fn distances(points: &'a [f32], dims: usize) -> Self {
        let mut half_squares = Vec::with_capacity(points.len() / dims);
        let mut packed = Panels::default();
        for points in points.chunks(STRIP * dims) {
            packed.pack(columns_of(points, dims), Precision::Float32);
            // In the order of q's sums, so that equal points have distance exactly 0.
            half_squares.extend(packed.column_squares().into_iter().map(|square| 0.5 * square));
        }
        Self { half_squares, ..Self::products(points, dims) }
    }

    /// Computes all q now and keeps them, if there are at most 1024 points: for kernels that make several passes.
    pub fn kept(mut self) -> Self {
        if self.count() <= KEPT {
            let mut kept = vec![Vec::new(); self.count().div_ceil(self.panel)];
            self.visit(&mut kept, |block, here, _| here.push((block.columns.start, block.q.to_vec())));
            self.kept = kept;
        }
        self
    }

    /// Number of points, n.
    pub fn count(&self) -> usize {
        self.points.len() / self.dims
    }

    /// Points per panel; the last panel may have fewer.
    pub fn panel(&self) -> usize {
        self.panel
    }

    /// Calls `body` on every block with the state of the panel of its rows and, off the diagonal, the state of the panel of its
    /// columns.
    ///
    /// # Panics
    /// When there is not one state per panel.
    pub fn visit<S: Send>(&self, states: &mut [S], body: impl Fn(Block<'_>, &mut S, Option<&mut S>) + Sync) {
        let panels = self.count().div_ceil(self.panel);
        assert_eq!(states.len(), panels, "one state per panel");
        for round in 0..panels {
            let mut free: Vec<_> = states.iter_mut().map(Some).collect();
            let mut blocks = Vec::with_capacity(panels);
            for first in 0..panels {
                let second = (round + panels - first) % panels;
                if let Some(here) = free[first].take() {
                    blocks.push((first, second, here, free[second].take()));
                }
            }
            blocks.into_par_iter().with_max_len(1).for_each(|(first, second, here, there)| {
                let (rows, columns) = (self.range(first), self.range(second));
                with_scratch(rows.len() * columns.len(), |q| body(self.block(rows, columns, q), here, there));
            });
        }
    }

    fn range(&self, panel: usize) -> Range<usize> {
        panel * self.panel..((panel + 1) * self.panel).min(self.count())
    }

    fn block<'b>(&'b self, rows: Range<usize>, columns: Range<usize>, q: &'b mut [f32]) -> Block<'b> {
        let points = |range: &Range<usize>| &self.points[range.start * self.dims..range.end * self.dims];
        let (row_points, column_points) = (points(&rows), points(&columns));
        let kept = self.kept.get(rows.start / self.panel).into_iter().flatten();
        match kept.into_iter().find(|(first, _)| *first == columns.start) {
            Some((_, kept)) => q.copy_from_slice(kept),
            None => self.compute(&rows, &columns, row_points, column_points, q),
        }
        let distances = !self.half_squares.is_empty();
        Block { q, rows, columns, row_points, column_points, dims: self.dims, distances }
    }

    fn compute(&self, rows: &Range<usize>, columns: &Range<usize>, left: &[f32], right: &[f32], q: &mut [f32]) {
        let (m, k, n) = (rows.len(), self.dims, columns.len());
        if rows == columns {
            products_among(left, k, q);
        } else {
            product(MatrixMut::new(q, m, n), Onto::Replace, 1.0, Matrix::new(left, m, k), columns_of(right, k));
        }
        if !self.half_squares.is_empty() {
            let halves = &self.half_squares[columns.clone()];
            subtract_halves(q, &self.half_squares[rows.clone()], halves);
        }
        if rows == columns {
            q.iter_mut().step_by(n + 1).for_each(|q| *q = f32::NEG_INFINITY);
        }
    }

    /// One [`Pull`] per panel, whose sums are written to `gradient`.
    ///
    /// # Shapes
    /// gradient (n, d), zeros at first
    pub fn pulls<'g>(&self, gradient: &'g mut [f32]) -> Vec<Pull<'g>> {
        let rows = gradient.chunks_mut(self.panel * self.dims);
        rows.map(|sums| Pull { weights: vec![0.0; if self.half_squares.is_empty() { 0 } else { sums.len() / self.dims }], sums })
            .collect()
    }

    /// Replaces the sums of panel number `panel` by its part of the gradient, `scale·Σ_j W_ij dq_ij/du_i`, for a symmetric W.
    pub fn settle(&self, panel: usize, pull: &mut Pull<'_>, scale: f32) {
        if self.half_squares.is_empty() {
            vector::scale(pull.sums, scale);
        } else {
            settle_distances(pull.sums, &self.points[self.range(panel).start * self.dims..], &pull.weights, scale);
        }
    }
}

/// Columns of a symmetric block that are computed at once.
const STRIP: usize = 32;

/// Points as the columns of a matrix. (n, d) -> (d, n)
fn columns_of(points: &[f32], dims: usize) -> Matrix<'_> {
    Matrix::new(points, points.len() / dims, dims).transposed()
}

/// `q = x·xᵀ`, of which little more than the lower triangle is computed. x (n, d), q (n, n)
fn products_among(points: &[f32], dims: usize, q: &mut [f32]) {
    let count = points.len() / dims;
    for first in (0..count).step_by(STRIP) {
        let points = &points[first * dims..];
        let (rows, columns) = (count - first, STRIP.min(count - first));
        let out = MatrixMut::part(&mut q[first * (count + 1)..], rows, columns, count);
        let right = columns_of(&points[..columns * dims], dims);
        product(out, Onto::Replace, 1.0, Matrix::new(points, rows, dims), right);
    }
    mirror(q, count);
}

crate::vectorize! {
    /// Copies the lower triangle to the upper one, except in the squares of [`STRIP`] on the diagonal, which are complete. q (n, n)
    fn mirror(q: &mut [f32], n: usize) = mirror_with;

    /// `q - (a_i + b_j)`, at most 0. q (rows, columns), a (rows), b (columns)
    fn subtract_halves(q: &mut [f32], of_rows: &[f32], of_columns: &[f32]) = subtract_halves_with;

    /// Adds `scale·Σ_j q_ij` to each sum. q (sums, columns)
    fn add_rows(sums: &mut [f32], scale: f32, q: &[f32]) = add_rows_with;

    /// Adds `scale·Σ_i q_ij` to each sum. q (rows, sums)
    fn add_columns(sums: &mut [f32], scale: f32, q: &[f32]) = add_columns_with;

    /// `x_i = scale·(x_i - w_i·u_i)`. x, u (n, d), w (n)
    fn settle_distances(x: &mut [f32], points: &[f32], weights: &[f32], scale: f32) = settle_distances_with;
}

/// Transposes 8 x 8 numbers at a time.
#[inline(always)]
fn mirror_with<S: Simd>(q: &mut [f32], n: usize) {
    const SIDE: usize = 8;
    const { assert!(STRIP.is_multiple_of(SIDE)) };
    for row in (STRIP..n).step_by(SIDE) {
        for column in (0..row / STRIP * STRIP).step_by(SIDE) {
            if row + SIDE <= n {
                let mut square = [[0f32; SIDE]; SIDE];
                for (index, numbers) in square.iter_mut().enumerate() {
                    numbers.copy_from_slice(&q[(row + index) * n + column..][..SIDE]);
                }
                for (index, numbers) in S::transpose(square).iter().enumerate() {
                    q[(column + index) * n + row..][..SIDE].copy_from_slice(numbers);
                }
            } else {
                for (row, column) in (row..n).flat_map(|row| (column..column + SIDE).map(move |column| (row, column))) {
                    q[column * n + row] = q[row * n + column];
                }
            }
        }
    }
}

#[inline(always)]
fn subtract_halves_with<S: Simd>(q: &mut [f32], of_rows: &[f32], of_columns: &[f32]) {
    for (row, half) in q.chunks_exact_mut(of_columns.len()).zip(of_rows) {
        row.iter_mut().zip(of_columns).for_each(|(q, other)| *q = at_most_0(*q - (half + other))); // the same bits for (j, i)
    }
}

#[inline(always)]
fn add_rows_with<S: Simd>(sums: &mut [f32], scale: f32, q: &[f32]) {
    let columns = q.len() / sums.len();
    sums.iter_mut().zip(q.chunks_exact(columns)).for_each(|(sum, row)| *sum += scale * sum_with::<S>(row));
}

#[inline(always)]
fn add_columns_with<S: Simd>(sums: &mut [f32], scale: f32, q: &[f32]) {
    for row in q.chunks_exact(sums.len()) {
        sums.iter_mut().zip(row).for_each(|(sum, weight)| *sum += scale * weight);
    }
}

#[inline(always)]
fn settle_distances_with<S: Simd>(x: &mut [f32], points: &[f32], weights: &[f32], scale: f32) {
    let dims = x.len() / weights.len();
    for ((row, point), weight) in x.chunks_exact_mut(dims).zip(points.chunks_exact(dims)).zip(weights) {
        row.iter_mut().zip(point).for_each(|(x, u)| *x = scale * (*x - weight * u));
    }
}

/// `min(x, 0)`; NaN stays NaN.
#[inline(always)]
fn at_most_0(x: f32) -> f32 {
    if x > 0.0 { 0.0 } else { x }
}

/// The pairs of two panels.
#[derive(Debug)]
pub struct Block<'a> {
    /// q of each pair, row-major; a body overwrites them with the pairs' weights W.
    pub q: &'a mut [f32],
    /// The points of the rows.
    pub rows: Range<usize>,
    /// The points of the columns.
    pub columns: Range<usize>,
    row_points: &'a [f32],
    column_points: &'a [f32],
    dims: usize,
    distances: bool,
}

impl Block<'_> {
    /// How often each pair of the block counts in a sum over i≠j: twice off the diagonal, where it also stands for (j, i).
    pub fn multiplicity(&self) -> f64 {
        if self.rows == self.columns { 1.0 } else { 2.0 }
    }

    /// Adds `scale·Σ_j W_ij u_j` to each point i of the rows, where W is the current content of `q`.
    pub fn pull(&self, scale: f32, here: &mut Pull<'_>) {
        let (m, k, n) = (self.rows.len(), self.columns.len(), self.dims);
        let weights = Matrix::new(self.q, m, k);
        product(MatrixMut::new(here.sums, m, n), Onto::Add, scale, weights, Matrix::new(self.column_points, k, n));
        if self.distances {
            add_rows(&mut here.weights, scale, self.q);
        }
    }

    /// Adds `scale·Σ_i W_ij u_i` to each point j of the columns, where W is the current content of `q`.
    pub fn pull_columns(&self, scale: f32, there: &mut Pull<'_>) {
        let (m, k, n) = (self.columns.len(), self.rows.len(), self.dims);
        let weights = Matrix::new(self.q, k, m).transposed();
        product(MatrixMut::new(there.sums, m, n), Onto::Add, scale, weights, Matrix::new(self.row_points, k, n));
        if self.distances {
            add_columns(&mut there.weights, scale, self.q);
        }
    }
}

/// The weighted sums that the pull on each point of a panel consists of, over the pairs visited so far.
#[derive(Debug)]
pub struct Pull<'a> {
    /// `Σ_j W_ij u_j`, (points, d).
    sums: &'a mut [f32],
    /// `Σ_j W_ij`; empty where q is the dot product.
    weights: Vec<f32>,
}

impl Pull<'_> {
    /// Multiplies all sums so far by `factor`.
    pub fn scale(&mut self, factor: f32) {
        vector::scale(self.sums, factor);
        vector::scale(&mut self.weights, factor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `count` points of three dims with integer coordinates, whose dot products are exact.
    fn points(count: usize) -> Vec<f32> {
        (0..count * 3).map(|i| ((i * 7) % 11) as f32 - 5.0).collect()
    }

    fn q(points: &[f32], distances: bool, i: usize, j: usize) -> f32 {
        let (u, v) = (&points[3 * i..3 * i + 3], &points[3 * j..3 * j + 3]);
        if distances {
            -0.5 * u.iter().zip(v).map(|(u, v)| (u - v) * (u - v)).sum::<f32>()
        } else {
            u.iter().zip(v).map(|(u, v)| u * v).sum()
        }
    }

    /// Every pair is visited once, as (i, j) or as (j, i), with its q, whether q are kept or not.
    fn check(count: usize, distances: bool, kept: bool) {
        let points = points(count);
        let pairs = if distances { Pairs::distances(&points, 3) } else { Pairs::products(&points, 3) };
        let pairs = if kept { pairs.kept() } else { pairs };
        let mut seen = vec![Vec::new(); count.div_ceil(pairs.panel())];
        pairs.visit(&mut seen, |block, here, there| {
            assert_eq!(there.is_none(), block.rows == block.columns);
            for (i, row) in block.rows.clone().zip(block.q.chunks_exact(block.columns.len())) {
                for (j, &found) in block.columns.clone().zip(row) {
                    let expected = if i == j { f32::NEG_INFINITY } else { q(&points, distances, i, j) };
                    assert_eq!(found, expected, "({i}, {j})");
                    here.push((i, j));
                    if there.is_some() {
                        here.push((j, i));
                    }
                }
            }
        });
        let mut seen: Vec<_> = seen.into_iter().flatten().collect();
        seen.sort_unstable();
        assert!(seen.into_iter().eq((0..count).flat_map(|i| (0..count).map(move |j| (i, j)))));
    }

    #[test]
    fn every_pair_is_visited_once() {
        for (distances, kept) in [(false, false), (false, true), (true, false), (true, true)] {
            check(2, distances, kept);
            check(128, distances, kept);
            check(300, distances, kept); // three panels, the last of 44 points
            check(513, distances, kept); // five panels, the last of one point
        }
    }

    /// Thirds, whose sums depend on their order.
    fn thirds(count: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 7919 % 1013) as f32 - 506.0) / 3.0).collect()
    }

    #[test]
    fn products_among_points_have_the_bits_of_one_product() {
        for (n, d) in [1, 31, 32, 33, 44, 128].into_iter().flat_map(|n| [3, 520, 1_101].map(|d| (n, d))) {
            let points = thirds(n * d);
            let (mut found, mut expected) = (vec![7.0; n * n], vec![0.0; n * n]);
            products_among(&points, d, &mut found);
            let x = Matrix::new(&points, n, d);
            product(MatrixMut::new(&mut expected, n, n), Onto::Replace, 1.0, x, x.transposed());
            assert!(found == expected, "{n} x {d}");
        }
    }

    #[test]
    fn equal_points_have_distance_0() {
        let (half, d) = (130, 1_101); // the equal of each point is in another panel
        let points = thirds(half * d).repeat(2);
        let pairs = Pairs::distances(&points, d);
        let mut zeros = vec![0; (2 * half).div_ceil(pairs.panel())];
        pairs.visit(&mut zeros, |block, zeros, there| {
            let count = block.q.iter().filter(|&&q| q == 0.0).count();
            *zeros += if there.is_some() { 2 * count } else { count };
        });
        assert_eq!(zeros.iter().sum::<usize>(), 2 * half);
    }

    #[test]
    fn pulls_are_sums_over_all_points() {
        let (count, points) = (300, points(300));
        for distances in [false, true] {
            let pairs = if distances { Pairs::distances(&points, 3) } else { Pairs::products(&points, 3) };
            let mut gradient = vec![0.0; points.len()];
            let mut pulls = pairs.pulls(&mut gradient);
            pairs.visit(&mut pulls, |block, here, there| {
                block.q.iter_mut().for_each(|q| *q = if *q > f32::NEG_INFINITY { 1.0 } else { 0.0 });
                block.pull(1.0, here);
                there.into_iter().for_each(|there| block.pull_columns(1.0, there));
            });
            pulls.iter_mut().enumerate().for_each(|(panel, pull)| pairs.settle(panel, pull, 2.0));
            for (i, found) in gradient.chunks_exact(3).enumerate() {
                for (k, found) in found.iter().enumerate() {
                    let sum: f32 = points[k..].iter().step_by(3).sum();
                    let own = points[3 * i + k];
                    let expected = if distances { sum - count as f32 * own } else { sum - own };
                    assert_eq!(*found, 2.0 * expected, "({i}, {k})");
                }
            }
        }
    }
}
