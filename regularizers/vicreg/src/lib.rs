//! VICReg as a penalty on hidden states: its variance and covariance terms, and where it is asked for, its invariance term.
//!
//! For a group `z` of n points and d dims with covariance `C = zᵀz / (n - 1)` of centred z:
//! ```text
//! variance · 1/d Σ_k max(0, γ - sqrt(C_kk + ε))  +  covariance · 1/d Σ_{k≠l} C_kl²
//! ```
//! With `invariance` above 0, for points a and a second view b of them:
//! ```text
//! invariance · 1/(nd) Σ_ik (a_ik - b_ik)²  +  variance · mean of both hinges  +  covariance · sum of both 1/d Σ_{k≠l} C_kl²
//! ```
//! Bardes, Ponce, LeCun, "VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised Learning", ICLR 2022,
//! arXiv:2105.04906, eqs. 1-6; the authors' code takes the mean of both hinges where eq. 6 has their sum, and so does this.
//! Deviations: invariance is 0 unless it is set (paper: 25), since a language model has one view of each token, and the second
//! costs a forward pass; a view is another dropout mask's, without a projector.
//!
//! # Shapes
//! points, and the view where invariance is above 0, (g, n, d) -> scalar, by way of (g, d, d)
//!
//! # Errors
//! Where invariance is above 0, of a cloud without a second view.

use regatta_core::kernels::{Matrix, centred_rows, gram, times, vector};
use regatta_core::maths::{covariance, diagonal, off_diagonal_sum_of_squares};
use regatta_core::number::{NonNegative, Positive};
use regatta_core::simd::Simd;
use regatta_core::{Cloud, Draw, FloatCloud, Home, Kernel, Regularizer, Result, Scale, Tensor, regularizer, typetag, vectorize};

regularizer! {
    name: "vicreg",
    summary: "a hinge on the spread of each dim, plus squared covariances",
    paper: "Bardes, Ponce, LeCun, \"VICReg\", ICLR 2022, arXiv:2105.04906, eqs. 1-6",
    formula: "variance · mean_k max(0, target_std - sqrt(C_kk + ε)) + covariance · Σ_{k≠l} C_kl² / d, C the covariance (n - 1)
with invariance above 0: + invariance · mean((z - view)²), the hinge the mean of both views, the rest the sum (needs train.dropout)",
    expects: "all tokens of a batch, rows with unit variance (points: batch, scale: layer_norm or unit_sqrt_dim); with \
              invariance: two views (train.dropout)",
    variants: [VicReg { invariance: NonNegative::new(25.0), ..Default::default() }],
    /// Hinge on the spread of each dim, plus squared off-diagonal covariance.
    pub struct VicReg {
        /// Weight of the variance term (paper: 25).
        pub variance: NonNegative = NonNegative::new(25.0),
        /// Weight of the covariance term (paper: 1).
        pub covariance: NonNegative = NonNegative::new(1.0),
        /// Weight of the distance between two views of each point (paper: 25); above 0 it needs train.dropout.
        pub invariance: NonNegative = NonNegative::new(0.0),
        /// Target standard deviation γ: a dim that spreads more costs nothing.
        pub target_std: Positive = Positive::new(1.0) => [if |it: &VicReg| it.variance.get() > 0.0],
        /// ε under the root: keeps the slope finite where a dim has collapsed.
        pub epsilon: Positive = Positive::new(1e-4) => [if |it: &VicReg| it.variance.get() > 0.0],
    }
}

#[typetag::serde(name = "vicreg")]
impl Regularizer for VicReg {
    fn penalty(&self, cloud: &Cloud, _: &mut Draw) -> Result<Tensor> {
        let variance = self.variance.get();
        if !self.needs_view() {
            return self.of_one_view(cloud.points(), variance);
        }
        let [a, b] = cloud.both_views()?;
        let apart = ((a - b)?.sqr()?.mean_all()? * self.invariance.get())?;
        Ok(((apart + self.of_one_view(a, variance / 2.0)?)? + self.of_one_view(b, variance / 2.0)?)?)
    }

    fn home(&self) -> Home {
        Home { scale: Scale::LayerNorm, ..Home::BATCH }
    }

    fn needs_view(&self) -> bool {
        self.invariance.get() > 0.0
    }

    fn kernel(&self) -> Option<&dyn Kernel> {
        Some(self)
    }
}

impl Kernel for VicReg {
    fn penalties(&self, cloud: FloatCloud<'_>, _: &mut Draw) -> Result<Vec<f64>> {
        let (d, variance) = (cloud.dims(), self.variance.get());
        match self.needs_view() {
            true => cloud.each_group_of_views(|views, gradients| Ok(self.fused_views(views, d, gradients))),
            false => cloud.each_group(|points, gradient| Ok(self.fused(points, d, variance, gradient))),
        }
    }
}

impl VicReg {
    /// Hinge, weighted by `variance`, and covariances of one view. (g, n, d) -> scalar
    fn of_one_view(&self, z: &Tensor, variance: f64) -> Result<Tensor> {
        let c = covariance(z)?; // (g, d, d)
        let spread = (diagonal(&c)? + self.epsilon.get())?.sqrt()?; // (g, d)
        let hinge = spread.affine(-1.0, self.target_std.get())?.relu()?.mean_all()?;
        let off = (off_diagonal_sum_of_squares(&c)?.mean_all()? / z.dim(2)? as f64)?;
        Ok(((hinge * variance)? + (off * self.covariance.get())?)?)
    }

    /// Value and gradients together, of two views of one group. points, view and their gradients (n, d)
    fn fused_views(&self, [a, b]: [&[f32]; 2], d: usize, [a_slope, b_slope]: [&mut [f32]; 2]) -> f64 {
        let half = self.variance.get() / 2.0;
        let value = self.fused(a, d, half, a_slope) + self.fused(b, d, half, b_slope);
        let weight = self.invariance.get() / a.len() as f64;
        let apart = pull_together([a, b], d, 2.0 * weight as f32, [a_slope, b_slope]);
        value + weight * apart
    }

    /// As [`Self::of_one_view`], value and gradient together, on the float32 points of one group. points (n, d), gradient (n, d)
    fn fused(&self, points: &[f32], d: usize, variance: f64, gradient: &mut [f32]) -> f64 {
        let z = centred_rows(points, d);
        let degrees = (points.len() / d - 1) as f64;
        let mut c = gram(&z, d); // (n - 1)·C, and then the slope along C: dC = (dzᵀz + zᵀdz) / (n - 1)
        let (mut hinge, mut off) = (0.0, 0.0);
        for (k, row) in c.chunks_exact_mut(d).enumerate() {
            let spread = (f64::from(row[k]) / degrees + self.epsilon.get()).sqrt();
            row[k] = 0.0;
            off += f64::from(vector::dot(row, row));
            let slope = 4.0 * self.covariance.get() / (degrees * degrees * d as f64);
            row.iter_mut().for_each(|x| *x *= slope as f32);
            if spread <= self.target_std.get() {
                hinge += self.target_std.get() - spread;
                row[k] = (-variance / (degrees * spread * d as f64)) as f32;
            }
        }
        times(&z, Matrix::new(&c, d, d), gradient, |_, _| {});
        (variance * hinge + self.covariance.get() * off / (degrees * degrees)) / d as f64
    }
}

vectorize! {
    /// `Σ ‖a_i - b_i‖²`; adds `pull·(a - b)` to the first gradient, and takes it from the second. (n, d) each
    fn pull_together(views: [&[f32]; 2], d: usize, pull: f32, slopes: [&mut [f32]; 2]) -> f64 = pull_together_with;
}

#[inline(always)]
fn pull_together_with<S: Simd>([a, b]: [&[f32]; 2], d: usize, pull: f32, [a_slope, b_slope]: [&mut [f32]; 2]) -> f64 {
    let apart = a.chunks_exact(d).zip(b.chunks_exact(d));
    let apart = apart.map(|(a, b)| f64::from(vector::sum_of_with::<S>(a, b, |a, b| (a - b) * (a - b)))).sum();
    for ((a, b), (a_slope, b_slope)) in a.iter().zip(b).zip(a_slope.iter_mut().zip(b_slope)) {
        let pull = pull * (a - b);
        *a_slope += pull;
        *b_slope -= pull;
    }
    apart
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_core::candle::Device;

    fn check(regularizer: VicReg, points: [[f64; 2]; 2], expected: f64) {
        let cloud = Cloud::new(Tensor::new(&[points], &Device::Cpu).unwrap()).unwrap();
        let found = regularizer.penalty(&cloud, &mut Draw::new(0, "test", 0, 0)).unwrap().to_scalar::<f64>().unwrap();
        assert!((found - expected).abs() < 1e-12, "{regularizer:?}: {found}, expected {expected}");
    }

    #[test]
    fn a_copied_dim_pays_covariance() {
        check(VicReg::default(), [[1.0, 1.0], [-1.0, -1.0]], 4.0); // C = [[2, 2], [2, 2]]: (4 + 4)/2, and sqrt(2) is wide enough
    }

    #[test]
    fn collapse_pays_the_whole_hinge() {
        check(VicReg::default(), [[3.0, 3.0], [3.0, 3.0]], 25.0 * (1.0 - 0.01)); // sqrt(1e-4) = 0.01
    }

    #[test]
    fn each_term_has_its_weight_and_the_hinge_its_target() {
        let hinge = VicReg { variance: NonNegative::new(10.0), covariance: NonNegative::new(0.0), ..Default::default() };
        let wide = VicReg { target_std: Positive::new(2.0), epsilon: Positive::new(0.25), ..hinge.clone() };
        // variances 2 and 0: sqrt(2.25) = 1.5, sqrt(0.25) = 0.5, each short of 2
        check(wide, [[1.0, 0.0], [-1.0, 0.0]], 10.0 * (0.5 + 1.5) / 2.0);
        let covariance = VicReg { variance: NonNegative::new(0.0), covariance: NonNegative::new(3.0), ..hinge };
        check(covariance, [[1.0, 1.0], [-1.0, -1.0]], 12.0);
    }

    #[test]
    fn two_views_by_hand() {
        let tensor = |points: [[f64; 2]; 2]| Tensor::new(&[points], &Device::Cpu).unwrap();
        // Of the points C = [[2, 2], [2, 2]]: no hinge, covariance 4. The view has collapsed: a hinge of 1 - 0.01, no covariance.
        let cloud = Cloud::with_view(tensor([[1.0, 1.0], [-1.0, -1.0]]), tensor([[1.0, 1.0], [1.0, 1.0]])).unwrap();
        let vicreg = VicReg { invariance: NonNegative::new(3.0), ..Default::default() };
        let found = vicreg.penalty(&cloud, &mut Draw::new(0, "test", 0, 0)).unwrap().to_scalar::<f64>().unwrap();
        let expected = 3.0 * (4.0 + 4.0) / 4.0 + 25.0 * 0.99 / 2.0 + 4.0; // the second point is off by 2 in both dims
        assert!((found - expected).abs() < 1e-12, "{found}, expected {expected}");
        assert!(vicreg.needs_view() && !VicReg::default().needs_view());
    }

    #[test]
    fn kernels_agree_with_tensor_operations() {
        regatta_core::conformance::kernel_agrees(&VicReg::default(), 1e-5);
        regatta_core::conformance::kernel_agrees(&VicReg { invariance: NonNegative::new(25.0), ..Default::default() }, 1e-5);
        regatta_core::conformance::kernel_agrees(&VicReg { target_std: Positive::new(0.3), ..Default::default() }, 1e-5);
    }

    #[test]
    fn conforms() {
        regatta_core::conformance::conforms::<VicReg>();
    }
}
