//! DeCov: different dims of a group do not vary together.
//!
//! For a group of n points with covariance `C = zᵀz / n` of centred z:
//! ```text
//! 1/2 (‖C‖²_F - Σ_k C_kk²)  =  1/2 Σ_{k≠l} C_kl²
//! ```
//! Cogswell, Ahmed, Girshick, Zitnick, Batra, "Reducing Overfitting in Deep Networks by Decorrelating Representations", ICLR
//! 2016, arXiv:1511.06068. Nothing holds the variances C_kk up, and the covariances are not divided by them: the penalty
//! grows with the fourth power of the scale, and small points cost little. It is a sum over dims, as published, so a wider model
//! has a larger penalty. Deviation: on hidden states of a language model, where the paper has hidden layers of image classifiers.
//!
//! # Shapes
//! points (g, n, d) -> scalar, by way of (g, d, d)
//!
//! # Errors
//! When the points have one dim: there is no other to vary with.

use regatta_core::kernels::{Matrix, centred_rows, gram, times, vector};
use regatta_core::maths::{covariance, off_diagonal_sum_of_squares};
use regatta_core::{Cloud, Draw, Error, FloatCloud, Home, Kernel, Regularizer, Result, Tensor, regularizer, typetag};

regularizer! {
    name: "decov",
    summary: "lowers squared covariances between dims",
    paper: "Cogswell et al., \"Reducing Overfitting by Decorrelating Representations\", ICLR 2016, arXiv:1511.06068",
    formula: "1/2 Σ_{k≠l} C_kl², C the covariance (n)",
    expects: "all tokens of a batch, as they are",
    /// Squared covariances between dims.
    pub struct DeCov {}
}

#[typetag::serde(name = "decov")]
impl Regularizer for DeCov {
    fn penalty(&self, cloud: &Cloud, _: &mut Draw) -> Result<Tensor> {
        at_least_two(cloud.dims())?;
        let n = cloud.count() as f64;
        let c = (covariance(cloud.points())? * ((n - 1.0) / n))?; // (g, d, d)
        Ok((off_diagonal_sum_of_squares(&c)?.mean_all()? * 0.5)?)
    }

    fn home(&self) -> Home {
        Home::BATCH
    }

    fn kernel(&self) -> Option<&dyn Kernel> {
        Some(self)
    }
}

impl Kernel for DeCov {
    fn penalties(&self, cloud: FloatCloud<'_>, _: &mut Draw) -> Result<Vec<f64>> {
        let d = cloud.dims();
        at_least_two(d)?;
        cloud.each_group(|points, gradient| Ok(fused(points, d, gradient)))
    }
}

fn at_least_two(dims: usize) -> Result<()> {
    if dims < 2 { Err(Error::TooFewDims { least: 2, found: dims }) } else { Ok(()) }
}

/// Value and gradient together, on the float32 points of one group. points (n, d), gradient (n, d)
fn fused(points: &[f32], d: usize, gradient: &mut [f32]) -> f64 {
    let z = centred_rows(points, d);
    let n = (points.len() / d) as f64;
    let mut c = gram(&z, d); // C, then the derivative with respect to zᵀz: the gradient is twice z times that
    let mut squares = 0.0;
    for (k, row) in c.chunks_exact_mut(d).enumerate() {
        vector::scale(row, (1.0 / n) as f32);
        row[k] = 0.0;
        squares += f64::from(vector::dot(row, row));
        vector::scale(row, (2.0 / n) as f32);
    }
    times(&z, Matrix::new(&c, d, d), gradient, |_, _| {});
    0.5 * squares
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_core::candle::Device;

    fn penalty<const N: usize, const D: usize>(points: [[f64; D]; N]) -> Result<f64> {
        let cloud = Cloud::new(Tensor::new(&[points], &Device::Cpu).unwrap()).unwrap();
        Ok(DeCov {}.penalty(&cloud, &mut Draw::new(0, "test", 0, 0))?.to_scalar::<f64>().unwrap())
    }

    fn check<const N: usize, const D: usize>(points: [[f64; D]; N], expected: f64) {
        let found = penalty(points).unwrap();
        assert!((found - expected).abs() < 1e-12, "{found}, expected {expected}");
    }

    #[test]
    fn a_copied_dim_pays_and_its_variance_does_not() {
        check([[1.0, 1.0], [-1.0, -1.0]], 1.0); // C = [[1, 1], [1, 1]]
        check([[8.0, 6.0], [6.0, 4.0]], 1.0); // whatever the mean
        check([[1.0, -2.0], [-1.0, 2.0]], 4.0); // of either sign: C_12 = -2
        check([[9.0, 0.0], [-9.0, 0.0]], 0.0);
        check([[2.0, 1.0], [2.0, -1.0], [-2.0, 1.0], [-2.0, -1.0]], 0.0); // independent dims
    }

    #[test]
    fn every_pair_of_dims_counts_once() {
        check([[1.0, 1.0, 2.0], [-1.0, -1.0, -2.0]], 1.0 + 4.0 + 4.0); // C_12 = 1, C_13 = C_23 = 2
    }

    #[test]
    fn one_dim_is_refused() {
        assert_eq!(penalty([[1.0], [2.0]]).unwrap_err().to_string(), "expected points of at least 2 dims, found 1");
    }

    #[test]
    fn kernel_agrees_with_tensor_operations() {
        regatta_core::conformance::kernel_agrees(&DeCov {}, 1e-5);
    }

    #[test]
    fn conforms() {
        regatta_core::conformance::conforms::<DeCov>();
    }
}
