//! Points scaled to unit norm on float32 slices, and the way of a gradient back through that.

use super::TINY_SQUARE;
use super::vector::dot_with;
use crate::simd::Simd;
use rayon::prelude::*;

/// The points of a group divided by `norm + epsilon`: as unit norm where epsilon is 0.
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

    /// Turns a gradient with respect to the scaled points, times `factor`, into one with respect to the points, in place.
    pub fn backward(&self, gradient: &mut [f32], factor: f32) {
        scale_back(gradient, self, factor);
    }
}

crate::vectorize! {
    /// Scales each point, and returns the norms.
    fn scale(points: &mut [f32], dims: usize, epsilon: f32) -> Vec<f32> = scale_with;

    fn scale_back(gradient: &mut [f32], scaled: &Scaled, factor: f32) = scale_back_with;

    /// Adds to `sum` what each row is beyond `first`. rows (n, d)
    fn add_beyond(sum: &mut [f32], rows: &[f32], first: &[f32]) = add_beyond_with;

    /// Takes the same from every row. rows (n, d)
    fn take(rows: &mut [f32], mean: &[f32]) = take_with;
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
fn scale_back_with<S: Simd>(gradient: &mut [f32], scaled: &Scaled, factor: f32) {
    let rows = gradient.chunks_exact_mut(scaled.dims).zip(scaled.points.chunks_exact(scaled.dims));
    for ((row, u), norm) in rows.zip(&scaled.norms) {
        let along = factor * dot_with::<S>(row, u) / norm;
        let across = factor / (norm + scaled.epsilon);
        row.iter_mut().zip(u).for_each(|(g, u)| *g = across * *g - along * u);
    }
}

#[inline(always)]
fn add_beyond_with<S: Simd>(sum: &mut [f32], rows: &[f32], first: &[f32]) {
    for row in rows.chunks_exact(first.len()) {
        sum.iter_mut().zip(row.iter().zip(first)).for_each(|(sum, (x, first))| *sum += x - first);
    }
}

#[inline(always)]
fn take_with<S: Simd>(rows: &mut [f32], mean: &[f32]) {
    for row in rows.chunks_exact_mut(mean.len()) {
        row.iter_mut().zip(mean).for_each(|(x, mean)| *x -= mean);
    }
}

/// The mean of a group's points, summed in parts of rows and those in float64. (n, d) -> (d)
///
/// Summed is what they are beyond the first point, so that the mean of equal points is that point.
pub fn mean_point(points: &[f32], dims: usize) -> Vec<f32> {
    let first = &points[..dims];
    let parts: Vec<Vec<f32>> = points
        .par_chunks(ROWS * dims)
        .map(|rows| {
            let mut part = vec![0f32; dims];
            add_beyond(&mut part, rows, first);
            part
        })
        .collect();
    let count = (points.len() / dims) as f64;
    let mut sums = vec![0f64; dims];
    parts.iter().for_each(|part| sums.iter_mut().zip(part).for_each(|(sum, x)| *sum += f64::from(*x)));
    sums.iter().zip(first).map(|(sum, first)| (f64::from(*first) + sum / count) as f32).collect()
}

/// Points less the mean of their group. (n, d) -> (n, d)
pub fn centred_rows(points: &[f32], dims: usize) -> Vec<f32> {
    let mean = mean_point(points, dims);
    let mut centred = points.to_vec();
    centred.par_chunks_mut(ROWS * dims).for_each(|rows| take(rows, &mean));
    centred
}

/// Rows that one task takes.
const ROWS: usize = 128;
