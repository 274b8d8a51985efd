//! Points scaled to unit norm or centred, on float32 slices, with the backward pass of the scaling.

use super::TINY_SQUARE;
use super::vector::dot_with;
use crate::simd::Simd;
use rayon::prelude::*;

/// The points of a group, each divided by `norm + epsilon`. They have unit norm where epsilon is 0.
#[derive(Debug)]
pub struct Scaled {
    points: Vec<f32>,
    dims: usize,
    norms: Vec<f32>,
    epsilon: f32,
}

impl Scaled {
    /// Scales points (n, d).
    pub fn new(mut points: Vec<f32>, dims: usize, epsilon: f32) -> Self {
        let norms = scale(&mut points, dims, epsilon);
        Self { norms, points, dims, epsilon }
    }

    /// The scaled points u (n, d).
    pub fn points(&self) -> &[f32] {
        &self.points
    }

    /// Replaces a gradient with respect to the scaled points by `factor` times the gradient with respect to the original points.
    ///
    /// # Shapes
    /// gradient (n, d)
    pub fn backward(&self, gradient: &mut [f32], factor: f32) {
        scale_backward(gradient, self, factor);
    }
}

crate::vectorize! {
    /// Scales each point, and returns the norms.
    fn scale(points: &mut [f32], dims: usize, epsilon: f32) -> Vec<f32> = scale_with;

    fn scale_backward(gradient: &mut [f32], scaled: &Scaled, factor: f32) = scale_backward_with;

    /// `sum += Σ_i (rows_i - first)`. rows (n, d)
    fn add_differences(sum: &mut [f32], rows: &[f32], first: &[f32]) = add_differences_with;

    /// Subtracts `mean` from every row. rows (n, d)
    fn subtract(rows: &mut [f32], mean: &[f32]) = subtract_with;
}

#[inline(always)]
fn scale_with<S: Simd>(points: &mut [f32], dims: usize, epsilon: f32) -> Vec<f32> {
    let norms = points.chunks_exact_mut(dims).map(|point| {
        let norm = (dot_with::<S>(point, point) + TINY_SQUARE as f32).sqrt();
        let factor = 1.0 / (norm + epsilon);
        point.iter_mut().for_each(|x| *x *= factor);
        norm
    });
    norms.collect()
}

#[inline(always)]
fn scale_backward_with<S: Simd>(gradient: &mut [f32], scaled: &Scaled, factor: f32) {
    let rows = gradient.chunks_exact_mut(scaled.dims).zip(scaled.points.chunks_exact(scaled.dims));
    for ((row, u), norm) in rows.zip(&scaled.norms) {
        let along = factor * dot_with::<S>(row, u) / norm;
        let across = factor / (norm + scaled.epsilon);
        row.iter_mut().zip(u).for_each(|(g, u)| *g = across * *g - along * u);
    }
}

#[inline(always)]
fn add_differences_with<S: Simd>(sum: &mut [f32], rows: &[f32], first: &[f32]) {
    for row in rows.chunks_exact(first.len()) {
        sum.iter_mut().zip(row.iter().zip(first)).for_each(|(sum, (x, first))| *sum += x - first);
    }
}

#[inline(always)]
fn subtract_with<S: Simd>(rows: &mut [f32], mean: &[f32]) {
    for row in rows.chunks_exact_mut(mean.len()) {
        row.iter_mut().zip(mean).for_each(|(x, mean)| *x -= mean);
    }
}

/// The mean of a group's points. (n, d) -> (d)
///
/// Rows are summed in blocks, and the blocks in float64. The first point is subtracted from each before the sum, so that the mean
/// of equal points is exactly that point.
pub fn mean_point(points: &[f32], dims: usize) -> Vec<f32> {
    let first = &points[..dims];
    let parts: Vec<Vec<f32>> = points
        .par_chunks(ROWS * dims)
        .map(|rows| {
            let mut part = vec![0f32; dims];
            add_differences(&mut part, rows, first);
            part
        })
        .collect();
    let count = (points.len() / dims) as f64;
    let mut sums = vec![0f64; dims];
    parts.iter().for_each(|part| sums.iter_mut().zip(part).for_each(|(sum, x)| *sum += f64::from(*x)));
    sums.iter().zip(first).map(|(sum, first)| (f64::from(*first) + sum / count) as f32).collect()
}

/// Points minus the mean of their group. (n, d) -> (n, d)
pub fn centred_rows(points: &[f32], dims: usize) -> Vec<f32> {
    let mean = mean_point(points, dims);
    let mut centred = points.to_vec();
    centred.par_chunks_mut(ROWS * dims).for_each(|rows| subtract(rows, &mean));
    centred
}

/// Rows per task.
const ROWS: usize = 128;
