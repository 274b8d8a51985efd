//! Kernels: value and gradient of each form for one group of float32 points.

use crate::{Form, Whitening};
use rayon::prelude::*;
use regatta_core::kernels::{
    Matrix, MatrixMut, Onto, Resolvents, centred_rows, gram, product, times, vector, wide_gram, widened,
};
use regatta_core::maths::log_det_of;
use regatta_core::simd::Simd;
use regatta_core::{Draw, FloatCloud, Kernel, Result, vectorize};

impl Kernel for Whitening {
    fn penalties(&self, cloud: FloatCloud<'_>, _: &mut Draw) -> Result<Vec<f64>> {
        let d = cloud.dims();
        match self.form {
            Form::Frobenius => cloud.each_group(|points, gradient| Ok(frobenius(points, d, gradient))),
            Form::GaussianKl => cloud.each_group(|points, gradient| self.fused_gaussian_kl(points, d, gradient)),
            Form::ZcaDistance => cloud.each_group(|points, gradient| self.fused_zca_distance(points, d, gradient)),
            Form::WMse => cloud.each_group_of_views(|views, gradients| self.fused_w_mse(views, d, gradients)),
        }
    }
}

fn frobenius(points: &[f32], d: usize, gradient: &mut [f32]) -> f64 {
    let z = centred_rows(points, d);
    let degrees = (points.len() / d - 1) as f64;
    let mut excess = gram(&z, d); // (n - 1)·C, then C - I, then the gradient: dC = (dzᵀz + zᵀdz) / (n - 1)
    let mut squares = 0.0;
    for (k, row) in excess.chunks_exact_mut(d).enumerate() {
        vector::scale(row, (1.0 / degrees) as f32);
        row[k] -= 1.0;
        squares += f64::from(vector::dot(row, row));
        vector::scale(row, (4.0 / (degrees * d as f64)) as f32);
    }
    times(&z, Matrix::new(&excess, d, d), gradient, |_, _| {});
    squares / d as f64
}

/// Both kernels compute in float64, as the tensor operations do, except where noted.
impl Whitening {
    fn fused_gaussian_kl(&self, points: &[f32], d: usize, gradient: &mut [f32]) -> Result<f64> {
        let mean = wide_mean(points, d);
        let (n, width) = ((points.len() / d) as f64, d as f64);
        let c = self.fused_positive_covariance(points, &mean);
        let trace: f64 = c.iter().step_by(d + 1).sum();
        let (log_det, inverse) = log_det_of(&c, d)?;
        let offset: f64 = mean.iter().map(|x| x * x).sum();

        // The gradient with respect to C is (I - (C + εI)^-1) / (2d), with respect to the mean m / d.
        let mut grad_c = inverse;
        grad_c.iter_mut().for_each(|x| *x *= -1.0 / ((n - 1.0) * width));
        grad_c.iter_mut().step_by(d + 1).for_each(|x| *x += 1.0 / ((n - 1.0) * width));
        let grad_mean: Vec<f64> = mean.iter().map(|mean| mean / (width * n)).collect();
        let rows = points.par_chunks(ROWS * d).zip(gradient.par_chunks_mut(ROWS * d)).with_max_len(1);
        rows.for_each(|(points, gradient)| {
            let (z, rows) = (widened(points, &mean), points.len() / d);
            let mut wide = vec![0f64; z.len()];
            product(MatrixMut::new(&mut wide, rows, d), Onto::Replace, 1.0, Matrix::new(&z, rows, d), Matrix::new(&grad_c, d, d));
            narrow(gradient, &wide, &grad_mean);
        });
        Ok((trace + offset - log_det - width) / (2.0 * width))
    }

    /// The product with the inverse root is in float32, which is precise enough: the root is computed in float64 before it is
    /// rounded.
    fn fused_zca_distance(&self, points: &[f32], d: usize, gradient: &mut [f32]) -> Result<f64> {
        let mean = wide_mean(points, d);
        let c = self.fused_positive_covariance(points, &mean);
        let trace: f64 = c.iter().step_by(d + 1).sum();
        let root = Resolvents::inverse_sqrt(self.epsilon.get(), trace).of(&c, d)?;
        let root: Vec<f32> = root.into_iter().map(|x| x as f32).collect();
        let scale = (2.0 / points.len() as f64) as f32;
        let parts = gradient.par_chunks_mut(ROWS * d).zip(points.par_chunks(ROWS * d)).with_max_len(1);
        let squares = parts.map(|(gradient, points)| {
            let (mut z, rows) = (vec![0f32; points.len()], points.len() / d);
            centre(points, &mean, &mut z);
            product(MatrixMut::new(gradient, rows, d), Onto::Replace, 1.0, Matrix::new(&z, rows, d), Matrix::new(&root, d, d));
            differences(gradient, points, d, scale)
        });
        Ok(squares.collect::<Vec<f64>>().iter().sum::<f64>() / points.len() as f64)
    }

    /// `C + εI`. points (n, d), mean (d) -> (d, d)
    fn fused_positive_covariance(&self, points: &[f32], mean: &[f64]) -> Vec<f64> {
        let d = mean.len();
        let degrees = (points.len() / d - 1) as f64;
        let mut c = wide_gram(points, mean);
        c.iter_mut().for_each(|x| *x /= degrees);
        c.iter_mut().step_by(d + 1).for_each(|x| *x += self.epsilon.get());
        c
    }
}

vectorize! {
    /// `g = x + offset` in every row, rounded to float32. g, x (n, d), offset (d)
    fn narrow(g: &mut [f32], x: &[f64], offset: &[f64]) = narrow_with;

    /// Subtracts the mean in float64. points, out (n, d), mean (d)
    pub(crate) fn centre(points: &[f32], mean: &[f64], out: &mut [f32]) = centre_with;

    /// Returns `‖points - targets‖²_F` and replaces the targets by `scale·(points - targets)`. targets, points (n, d)
    fn differences(targets: &mut [f32], points: &[f32], d: usize, scale: f32) -> f64 = differences_with;
}

#[inline(always)]
fn narrow_with<S: Simd>(g: &mut [f32], x: &[f64], offset: &[f64]) {
    for (row, x) in g.chunks_exact_mut(offset.len()).zip(x.chunks_exact(offset.len())) {
        row.iter_mut().zip(x).zip(offset).for_each(|((g, x), offset)| *g = (x + offset) as f32);
    }
}

#[inline(always)]
fn centre_with<S: Simd>(points: &[f32], mean: &[f64], out: &mut [f32]) {
    for (row, point) in out.chunks_exact_mut(mean.len()).zip(points.chunks_exact(mean.len())) {
        row.iter_mut().zip(point).zip(mean).for_each(|((out, x), mean)| *out = (f64::from(*x) - mean) as f32);
    }
}

#[inline(always)]
fn differences_with<S: Simd>(targets: &mut [f32], points: &[f32], d: usize, scale: f32) -> f64 {
    targets.iter_mut().zip(points).for_each(|(target, x)| *target = x - *target);
    let sum = targets.chunks(d).map(|row| f64::from(vector::dot_with::<S>(row, row))).sum();
    vector::scale_with::<S>(targets, scale);
    sum
}

/// Rows per task.
pub(crate) const ROWS: usize = 256;

/// The mean of a group's points in float64. Parts are summed in a fixed order. (n, d) -> (d)
pub(crate) fn wide_mean(points: &[f32], d: usize) -> Vec<f64> {
    let parts = points.par_chunks(ROWS * d).map(|rows| {
        let mut part = vec![0f64; d];
        rows.chunks_exact(d).for_each(|row| part.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x)));
        part
    });
    let mut mean = vec![0f64; d];
    for part in parts.collect::<Vec<_>>() {
        mean.iter_mut().zip(part).for_each(|(sum, x)| *sum += x);
    }
    let count = (points.len() / d) as f64;
    mean.iter_mut().for_each(|x| *x /= count);
    mean
}
