//! Points scaled to unit norm on float32 slices, and the way of a gradient back through that.

use super::TINY_SQUARE;
use super::vector::dot;
use rayon::prelude::*;

/// The points of a group divided by `norm + epsilon`: as [`unit`](super::unit) where epsilon is 0.
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
        let norms = points.chunks_exact_mut(dims).map(|point| {
            let norm = (dot(point, point) + TINY_SQUARE as f32).sqrt();
            let factor = 1.0 / (norm + epsilon);
            point.iter_mut().for_each(|x| *x *= factor);
            norm
        });
        Self { norms: norms.collect(), points, dims, epsilon }
    }

    /// The scaled points u (n, d).
    pub fn points(&self) -> &[f32] {
        &self.points
    }

    /// Turns a gradient with respect to the scaled points, times `factor`, into one with respect to the points, in place.
    pub fn backward(&self, gradient: &mut [f32], factor: f32) {
        let rows = gradient.chunks_exact_mut(self.dims).zip(self.points.chunks_exact(self.dims));
        for ((row, u), norm) in rows.zip(&self.norms) {
            let along = factor * dot(row, u) / norm;
            let across = factor / (norm + self.epsilon);
            row.iter_mut().zip(u).for_each(|(g, u)| *g = across * *g - along * u);
        }
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
            for row in rows.chunks_exact(dims) {
                part.iter_mut().zip(row.iter().zip(first)).for_each(|(sum, (x, first))| *sum += x - first);
            }
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
    centred.par_chunks_mut(ROWS * dims).for_each(|rows| {
        rows.chunks_exact_mut(dims).for_each(|row| row.iter_mut().zip(&mean).for_each(|(x, mean)| *x -= mean));
    });
    centred
}

/// Rows that one task takes.
const ROWS: usize = 128;
