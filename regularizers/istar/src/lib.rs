//! I-STAR: one less the isotropy of a group, measured by IsoScore*.
//!
//! For a group of n points and d dims with covariance C (n - 1), shrunk by ζ to `S = (1 - ζ) C + ζ (tr C / d) I`:
//! ```text
//! 1 - IsoScore* = (d - r) / (d - 1),  r = (tr S)² / ‖S‖²_F
//! ```
//! r is how many dims the points take up, from 1 to d: the penalty is 1 on a line (but for ζ) and 0 where variance is the same
//! in every direction. It sees no scale and no mean. Rudman, Eickhoff, "Stable Anisotropic Regularization", ICLR 2024,
//! arXiv:2305.19358. They find that *less* isotropy helps, so their recommended use has a negative weight.
//!
//! The paper goes to r by the eigenvalues λ of S, and needs none of them: it scales them to `λ' = √d λ / ‖λ‖`, takes
//! `δ = ‖λ' - 1‖ / √(2(d - √d))`, whose square is `(√d - √r) / (√d - 1)`, since `Σ λ = tr S` and `‖λ‖ = ‖S‖_F`; then
//! `φ = (d - δ²(d - √d))² / d² = r / d` and `IsoScore* = (d φ - 1) / (d - 1)`. Deviations: C is shrunk towards a multiple of the
//! identity, where the paper shrinks it towards an estimate that runs over training; and points without any variance, whose
//! isotropy is not defined, count as a line, with a slope of 0.
//!
//! # Shapes
//! points (g, n, d) -> scalar, by way of (g, d, d)
//!
//! # Errors
//! When the points have one dim: there is nothing to be isotropic about.

use regatta_core::kernels::{Matrix, centred_rows, gram, times, vector};
use regatta_core::maths::{covariance, diagonal};
use regatta_core::number::Fraction;
use regatta_core::{Cloud, Draw, Error, FloatCloud, Home, Kernel, Regularizer, Result, Tensor, regularizer, typetag};

/// Beside both squares of r, so that 0/0 is 1: far below those of any points that are not equal.
const TINY_SQUARE: f64 = 1e-30;

regularizer! {
    name: "istar",
    summary: "evens out variance over directions; with a negative weight, the reverse",
    paper: "Rudman, Eickhoff, \"Stable Anisotropic Regularization\", ICLR 2024, arXiv:2305.19358 (with a negative weight)",
    formula: "1 - IsoScore* = (d - r) / (d - 1), r = (tr S)² / ‖S‖²_F, S = (1 - shrinkage) C + shrinkage (tr C / d) I,
C the covariance (n - 1)",
    expects: "all tokens of a batch, at any scale (points: batch)",
    /// How far variance is from even over directions.
    pub struct IStar {
        /// ζ, how far the covariance is shrunk towards an isotropic one: few points make it look less isotropic than it is.
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
        // r is the same at every scale. In units of the trace, float32 can square what is small.
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
    /// `‖S‖²_F` as parts of `‖C‖²_F` and of `(tr C)²`: what is shrunk and what it is shrunk to share the trace.
    fn parts(&self, d: usize) -> (f64, f64) {
        let kept = 1.0 - self.shrinkage.get();
        let square = kept * kept;
        (square, (1.0 - square) / d as f64)
    }

    /// Value and gradient together, on the float32 points of one group. points (n, d), gradient (n, d)
    fn fused(&self, points: &[f32], d: usize, gradient: &mut [f32]) -> f64 {
        let z = centred_rows(points, d);
        let degrees = (points.len() / d - 1) as f64;
        let mut c = gram(&z, d); // (n - 1)·C, and then the slope along C: dC = (dzᵀz + zᵀdz) / (n - 1)
        let trace = c.iter().step_by(d + 1).map(|x| f64::from(*x)).sum::<f64>() / degrees;
        let squares: f64 = c.chunks_exact(d).map(|row| f64::from(vector::dot(row, row))).sum();
        let (square, spread) = self.parts(d);
        let norm = square * squares / (degrees * degrees) + spread * trace * trace + TINY_SQUARE;
        let dims = (trace * trace + TINY_SQUARE) / norm;

        // dr = (2 tr C dtr C - r d‖S‖²) / ‖S‖²
        let scale = -2.0 / (degrees * (d as f64 - 1.0));
        let along = -2.0 * scale * dims * square / (norm * degrees);
        let own = 2.0 * scale * trace * (1.0 - dims * spread) / norm;
        for (k, row) in c.chunks_exact_mut(d).enumerate() {
            row.iter_mut().for_each(|x| *x = (along * f64::from(*x)) as f32);
            row[k] += own as f32;
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
        check(0.0, [[5.0, 7.0], [5.0, 7.0]], 1.0); // no variance at all counts as a line
    }

    #[test]
    fn variances_of_nine_and_one() {
        let points = [[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]];
        check(0.0, points, 2.0 - 100.0 / 82.0); // r = (9 + 1)² / (81 + 1)
        check(0.5, points, 2.0 - 100.0 / 58.0); // halfway to 5 and 5: 7 and 3, r = 10² / (49 + 9)
    }

    #[test]
    fn one_dim_is_refused() {
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
