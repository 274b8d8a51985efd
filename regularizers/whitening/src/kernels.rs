//! Value and gradient of each form together, on the float32 points of one group.

use crate::{Form, Whitening};
use rayon::prelude::*;
use regatta_core::maths::{
    Matrix, MatrixMut, Onto, centred_rows, gram, inverse_sqrt_of, log_det_of, mean_over_groups, product, times, vector,
};
use regatta_core::{Result, Tensor};

impl Whitening {
    /// The penalty by kernels on slices.
    pub(crate) fn fused(&self, z: &Tensor) -> Result<Tensor> {
        let d = z.dim(2)?;
        mean_over_groups(z, "whitening", |points, gradient| match self.form {
            Form::Frobenius => Ok(frobenius(points, d, gradient)),
            Form::GaussianKl => self.fused_gaussian_kl(points, d, gradient),
            Form::ZcaDistance => self.fused_zca_distance(points, d, gradient),
            Form::WMse => Err(regatta_core::Error::NoView),
        })
    }
}

fn frobenius(points: &[f32], d: usize, gradient: &mut [f32]) -> f64 {
    let z = centred_rows(points, d);
    let degrees = (points.len() / d - 1) as f64;
    let mut excess = gram(&z, d); // (n - 1)·C, then C - I, then the slope along it: dC = (dzᵀz + zᵀdz) / (n - 1)
    let mut squares = 0.0;
    for (k, row) in excess.chunks_exact_mut(d).enumerate() {
        row.iter_mut().for_each(|x| *x *= (1.0 / degrees) as f32);
        row[k] -= 1.0;
        squares += f64::from(vector::dot(row, row));
        row.iter_mut().for_each(|x| *x *= (4.0 / (degrees * d as f64)) as f32);
    }
    times(&z, Matrix::new(&excess, d, d), gradient, |_, _| {});
    squares / d as f64
}

/// In float64, as the tensor operations are, but for what is said otherwise.
impl Whitening {
    fn fused_gaussian_kl(&self, points: &[f32], d: usize, gradient: &mut [f32]) -> Result<f64> {
        let (z, mean) = wide_and_centred(points, d);
        let (n, width) = ((points.len() / d) as f64, d as f64);
        let c = self.fused_positive_covariance(&z, d);
        let trace: f64 = c.iter().step_by(d + 1).sum();
        let (log_det, inverse) = log_det_of(&c, d)?;
        let offset: f64 = mean.iter().map(|x| x * x).sum();

        // The slope along C is (I - (C + εI)^-1) / (2d), along the mean m / d.
        let mut slope = inverse;
        slope.iter_mut().for_each(|x| *x *= -1.0 / ((n - 1.0) * width));
        slope.iter_mut().step_by(d + 1).for_each(|x| *x += 1.0 / ((n - 1.0) * width));
        let rows = z.par_chunks(ROWS * d).zip(gradient.par_chunks_mut(ROWS * d)).with_max_len(1);
        rows.for_each(|(z, gradient)| {
            let mut wide = vec![0f64; z.len()];
            let rows = z.len() / d;
            product(MatrixMut::new(&mut wide, rows, d), Onto::Replace, 1.0, Matrix::new(z, rows, d), Matrix::new(&slope, d, d));
            for (row, wide) in gradient.chunks_exact_mut(d).zip(wide.chunks_exact(d)) {
                row.iter_mut().zip(wide).zip(&mean).for_each(|((g, x), mean)| *g = (x + mean / (width * n)) as f32);
            }
        });
        Ok((trace + offset - log_det - width) / (2.0 * width))
    }

    /// The whitened places are a product in float32: it loses no digits, since the root does not magnify what was rounded.
    fn fused_zca_distance(&self, points: &[f32], d: usize, gradient: &mut [f32]) -> Result<f64> {
        let (z, _) = wide_and_centred(points, d);
        let root: Vec<f32> = inverse_sqrt_of(&self.fused_positive_covariance(&z, d), d)?.into_iter().map(|x| x as f32).collect();
        let narrow: Vec<f32> = z.into_iter().map(|x| x as f32).collect();
        times(&narrow, Matrix::new(&root, d, d), gradient, |_, _| {});
        let scale = (2.0 / points.len() as f64) as f32;
        let parts = gradient.par_chunks_mut(ROWS * d).zip(points.par_chunks(ROWS * d));
        let squares = parts.map(|(gradient, points)| {
            gradient.iter_mut().zip(points).for_each(|(place, x)| *place = x - *place);
            let sum: f64 = gradient.chunks(d).map(|row| f64::from(vector::dot(row, row))).sum();
            gradient.iter_mut().for_each(|off| *off *= scale);
            sum
        });
        Ok(squares.collect::<Vec<f64>>().iter().sum::<f64>() / points.len() as f64)
    }

    /// `C + εI` of centred points. (n, d) -> (d, d)
    fn fused_positive_covariance(&self, z: &[f64], d: usize) -> Vec<f64> {
        let degrees = (z.len() / d - 1) as f64;
        let mut c = gram(z, d);
        c.iter_mut().for_each(|x| *x /= degrees);
        c.iter_mut().step_by(d + 1).for_each(|x| *x += self.epsilon.get());
        c
    }
}

/// Rows that one task takes.
const ROWS: usize = 256;

/// Points less their mean, and the mean. (n, d) -> (n, d), (d)
pub(crate) fn wide_and_centred(points: &[f32], d: usize) -> (Vec<f64>, Vec<f64>) {
    let mut mean = vec![0f64; d];
    let count = (points.len() / d) as f64;
    points.chunks_exact(d).for_each(|row| mean.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x)));
    mean.iter_mut().for_each(|x| *x /= count);
    let mut z = Vec::with_capacity(points.len());
    points.chunks_exact(d).for_each(|row| z.extend(row.iter().zip(&mean).map(|(x, mean)| f64::from(*x) - mean)));
    (z, mean)
}
