//! I-STAR: 1 minus the isotropy of a group, measured by IsoScore*.
//!
//! For a group of n points of d dims with covariance C (normalised by n - 1), shrunk by ζ to `S = (1 - ζ) C + ζ (tr C / d) I`:
//! ```text
//! 1 - IsoScore* = (d - r) / (d - 1),  r = (tr S)² / ‖S‖²_F
//! ```
//! r is the effective number of dims (the participation ratio), from 1 to d. With ζ = 0, the penalty is 1 if all points are on a
//! line; for every ζ it is 0 if the variance is equal in all directions. It is invariant to scale and to the mean. Rudman,
//! Eickhoff, "Stable Anisotropic Regularization", ICLR 2024, arXiv:2305.19358. The paper finds that *less* isotropy helps and
//! recommends a negative weight.
//!
//! The paper defines IsoScore* by the eigenvalues λ of S, but the result depends on tr S and ‖S‖_F alone, so no eigenvalues are
//! computed here. The paper's steps are `λ' = √d λ / ‖λ‖`; `δ = ‖λ' - 1‖ / √(2(d - √d))`, with `δ² = (√d - √r) / (√d - 1)` since
//! `Σ λ = tr S` and `‖λ‖ = ‖S‖_F`; `φ = (d - δ²(d - √d))² / d² = r / d`; and `IsoScore* = (d φ - 1) / (d - 1)`.
//!
//! # Deviations from the paper
//!
//! - C is shrunk towards a multiple of the identity. The paper shrinks it towards a running estimate of the covariance.
//! - The isotropy of points without variance is undefined. Here the penalty is 1, as for points on a line, with gradient 0.
//!
//! # Shapes
//! points (g, n, d) -> scalar, through intermediates (g, d, d)
//!
//! # Units
//! Dimensionless, from 0 (isotropic) to 1 (all variance in one direction).
//!
//! # Errors
//! Returns an error if the points have one dim.

use regatta_core::kernels::{Matrix, centred_rows, gram, times, vector};
use regatta_core::maths::{covariance, diagonal};
use regatta_core::number::Fraction;
use regatta_core::{Cloud, Draw, Error, FloatCloud, Home, Kernel, Regularizer, Result, Tensor, regularizer, typetag};

/// Added to numerator and denominator of r, which makes 0/0 equal to 1. It is far below the squares of distinct points.
const TINY_SQUARE: f64 = 1e-30;

regularizer! {
    name: "istar",
    summary: "equalises the variance across directions; a negative weight does the opposite",
    paper: "Rudman, Eickhoff, \"Stable Anisotropic Regularization\", ICLR 2024, arXiv:2305.19358 (with a negative weight)",
    formula: "1 - IsoScore* = (d - r) / (d - 1), r = (tr S)² / ‖S‖²_F, S = (1 - shrinkage) C + shrinkage (tr C / d) I,
C the covariance (normalised by n - 1)",
    expects: "all tokens of a batch, at any scale",
    /// Anisotropy of the covariance.
    pub struct IStar {
        /// Shrinkage ζ of the covariance towards a multiple of the identity. It compensates for the anisotropy of small samples.
        pub shrinkage: Fraction = Fraction::new(0.2),
    }
}

#[typetag::serde(name = "istar")]
impl Regularizer for IStar {
    fn penalty(&self, cloud: &Cloud, _: &mut Draw) -> Result<Tensor> {
        let (z, d) = (cloud.points(), cloud.dims()); // (g, n, d)
        at_least_two(d)?;
        let c = covariance(z)?; // (g, d, d)
        let trace = diagonal(&c)?.sum(1)?; // (g)
        // r is invariant to scale. Dividing by the trace keeps squares of small covariances from underflowing in float32.
        let unit = (trace.detach() + TINY_SQUARE.sqrt())?;
        let tiny_square = (unit.recip()?.sqr()? * TINY_SQUARE)?;
        let c = c.broadcast_div(&unit.reshape(((), 1, 1))?)?;
        let trace = trace.div(&unit)?.sqr()?; // (tr C)² = (tr S)²: (g)
        let (square, spread) = self.parts(d);
        let norm = ((c.sqr()?.sum((1, 2))? * square)? + (&trace * spread)?)?; // ‖S‖²: (g)
        let dims = (trace + &tiny_square)?.div(&(norm + tiny_square)?)?; // r: (g)
        Ok((dims.mean_all()?.affine(-1.0, d as f64)? / (d as f64 - 1.0))?)
    }

    fn home(&self) -> Home {
        Home::BATCH
    }

    fn kernel(&self) -> Option<&dyn Kernel> {
        Some(self)
    }
}

impl Kernel for IStar {
    fn penalties(&self, cloud: FloatCloud<'_>, _: &mut Draw) -> Result<Vec<f64>> {
        let d = cloud.dims();
        at_least_two(d)?;
        cloud.each_group(|points, gradient| Ok(self.fused(points, d, gradient)))
    }
}

fn at_least_two(dims: usize) -> Result<()> {
    if dims < 2 { Err(Error::TooFewDims { least: 2, found: dims }) } else { Ok(()) }
}

impl IStar {
    /// Coefficients of `‖C‖²_F` and `(tr C)²` in `‖S‖²_F`. C and its shrinkage target have equal traces, which merges the other
    /// terms.
    fn parts(&self, d: usize) -> (f64, f64) {
        let retained = 1.0 - self.shrinkage.get();
        let square = retained * retained;
        (square, (1.0 - square) / d as f64)
    }

    /// Computes value and gradient for one group of float32 points. points, gradient (n, d)
    fn fused(&self, points: &[f32], d: usize, gradient: &mut [f32]) -> f64 {
        let z = centred_rows(points, d);
        let degrees = (points.len() / d - 1) as f64;
        let mut c = gram(&z, d); // (n - 1)·C, then the gradient with respect to C: dC = (dzᵀz + zᵀdz) / (n - 1)
        let trace = c.iter().step_by(d + 1).map(|x| f64::from(*x)).sum::<f64>() / degrees;
        let squares: f64 = c.chunks_exact(d).map(|row| f64::from(vector::dot(row, row))).sum();
        let (square, spread) = self.parts(d);
        let norm = square * squares / (degrees * degrees) + spread * trace * trace + TINY_SQUARE;
        let dims = (trace * trace + TINY_SQUARE) / norm;

        // dr = (2 tr C dtr C - r d‖S‖²) / ‖S‖²
        let scale = -2.0 / (degrees * (d as f64 - 1.0));
        let factor = -2.0 * scale * dims * square / (norm * degrees);
        let diagonal_term = 2.0 * scale * trace * (1.0 - dims * spread) / norm;
        for (k, row) in c.chunks_exact_mut(d).enumerate() {
            row.iter_mut().for_each(|x| *x = (factor * f64::from(*x)) as f32);
            row[k] += diagonal_term as f32;
        }
        times(&z, Matrix::new(&c, d, d), gradient, |_, _| {});
        (d as f64 - dims) / (d as f64 - 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_core::candle::Device;

    fn penalty<const N: usize, const D: usize>(shrinkage: f64, points: [[f64; D]; N]) -> Result<f64> {
        let cloud = Cloud::new(Tensor::new(&[points], &Device::Cpu)?)?;
        let regularizer = IStar { shrinkage: Fraction::new(shrinkage) };
        Ok(regularizer.penalty(&cloud, &mut Draw::new(0, "test", 0, 0))?.to_scalar::<f64>()?)
    }

    fn check<const N: usize, const D: usize>(shrinkage: f64, points: [[f64; D]; N], expected: f64) {
        let found = penalty(shrinkage, points).unwrap();
        assert!((found - expected).abs() < 1e-12, "{found}, expected {expected}");
    }

    #[test]
    fn a_cross_is_isotropic_and_a_line_is_not() {
        let cross = [[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]];
        check(0.0, cross, 0.0);
        check(0.2, cross, 0.0);
        check(0.0, [[5.0, 7.0], [6.0, 8.0]], 1.0);
        check(0.0, [[5.0, 7.0], [5.0, 7.0]], 1.0); // points without variance count as a line
    }

    #[test]
    fn unequal_variances_and_shrinkage() {
        let points = [[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]];
        check(0.0, points, 2.0 - 100.0 / 82.0); // r = (9 + 1)² / (81 + 1)
        check(0.5, points, 2.0 - 100.0 / 58.0); // shrunk halfway to 5 and 5, the eigenvalues are 7 and 3: r = 10² / (49 + 9)
    }

    #[test]
    fn points_of_one_dim_are_an_error() {
        let error = penalty(0.2, [[1.0], [2.0]]).unwrap_err();
        assert_eq!(error.to_string(), "expected points of at least 2 dims, found 1");
    }

    #[test]
    fn kernel_agrees_with_tensor_operations() {
        for shrinkage in [0.0, 0.2, 0.9] {
            regatta_core::conformance::kernel_agrees(&IStar { shrinkage: Fraction::new(shrinkage) }, 1e-5);
        }
    }

    #[test]
    fn conforms() {
        regatta_core::conformance::conforms::<IStar>();
    }
}
