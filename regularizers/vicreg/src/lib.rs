//! VICReg as a penalty on hidden states: the variance and covariance terms, and optionally the invariance term.
//!
//! For a group `z` of n points of d dims with covariance `C = zᵀz / (n - 1)` of centred z:
//! ```text
//! variance · 1/d Σ_k max(0, γ - sqrt(C_kk + ε))  +  covariance · 1/d Σ_{k≠l} C_kl²
//! ```
//! With `invariance` above 0, for the points a and a second view b of them:
//! ```text
//! invariance · 1/(nd) Σ_ik (a_ik - b_ik)²  +  variance · mean of both hinges  +  covariance · sum of both 1/d Σ_{k≠l} C_kl²
//! ```
//! Bardes, Ponce, LeCun, "VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised Learning", ICLR 2022,
//! arXiv:2105.04906, eqs. 1-6. As in the authors' code, the hinges of both views are averaged; eq. 6 has their sum.
//!
//! # Deviations from the paper
//!
//! - `invariance` is 0 by default (paper: 25): a language model has one view of each token, and a second one costs a forward pass.
//! - The second view comes from another dropout mask.
//! - The points are hidden states, without a projector.
//!
//! # Shapes
//! points (g, n, d), and with invariance the view (g, n, d) -> scalar, through intermediates (g, d, d)
//!
//! # Units
//! The hinge has the units of the points, the invariance term their square, the covariance term their fourth power.
//!
//! # Errors
//! Returns an error if invariance is above 0 and the cloud has no second view.

use regatta_core::kernels::{Matrix, centred_rows, gram, times, vector};
use regatta_core::maths::{covariance, diagonal, off_diagonal_sum_of_squares};
use regatta_core::number::{NonNegative, Positive};
use regatta_core::simd::Simd;
use regatta_core::{Cloud, Draw, FloatCloud, Home, Kernel, Regularizer, Result, Scale, Tensor, regularizer, typetag, vectorize};

regularizer! {
    name: "vicreg",
    summary: "keeps the standard deviation of each dim above a target and decorrelates the dims",
    paper: "Bardes, Ponce, LeCun, \"VICReg\", ICLR 2022, arXiv:2105.04906, eqs. 1-6",
    formula: "variance · mean_k max(0, target_std - sqrt(C_kk + ε)) + covariance · Σ_{k≠l} C_kl² / d
C the covariance (normalised by n - 1)
with invariance above 0 (needs train.dropout): + invariance · mean((z - view)²); hinges averaged, covariances summed over views",
    expects: "all tokens of a batch, rows with unit variance; with \
              invariance: two views (train.dropout)",
    variants: [VicReg { invariance: NonNegative::new(25.0), ..Default::default() }],
    /// Hinge on the standard deviation of each dim, plus squared off-diagonal covariances.
    pub struct VicReg {
        /// Weight of the variance term (paper: 25).
        pub variance: NonNegative = NonNegative::new(25.0),
        /// Weight of the covariance term (paper: 1).
        pub covariance: NonNegative = NonNegative::new(1.0),
        /// Weight of the squared distance between two views of each point (paper: 25). Above 0 it needs train.dropout above 0.
        pub invariance: NonNegative = NonNegative::new(0.0),
        /// Target standard deviation γ. Dims above it are not penalised.
        pub target_std: Positive = Positive::new(1.0) => [if |it: &VicReg| it.variance.get() > 0.0],
        /// ε, added to the variance under the root, which keeps the gradient finite for a collapsed dim.
        pub epsilon: Positive = Positive::new(1e-4) => [if |it: &VicReg| it.variance.get() > 0.0],
    }
}

#[typetag::serde(name = "vicreg")]
impl Regularizer for VicReg {
    fn penalty(&self, cloud: &Cloud, _: &mut Draw) -> Result<Tensor> {
        let variance = self.variance.get();
        if !self.needs_view() {
            return self.one_view_terms(cloud.points(), variance);
        }
        let [a, b] = cloud.both_views()?;
        let distance = ((a - b)?.sqr()?.mean_all()? * self.invariance.get())?;
        Ok(((distance + self.one_view_terms(a, variance / 2.0)?)? + self.one_view_terms(b, variance / 2.0)?)?)
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
        if self.needs_view() {
            cloud.each_group_of_views(|views, gradients| Ok(self.fused_views(views, d, gradients)))
        } else {
            cloud.each_group(|points, gradient| Ok(self.fused(points, d, variance, gradient)))
        }
    }
}

impl VicReg {
    /// The hinge, weighted by `variance`, plus the weighted covariance term of one view. (g, n, d) -> scalar
    fn one_view_terms(&self, z: &Tensor, variance: f64) -> Result<Tensor> {
        let c = covariance(z)?; // (g, d, d)
        let deviation = (diagonal(&c)? + self.epsilon.get())?.sqrt()?; // (g, d)
        let hinge = deviation.affine(-1.0, self.target_std.get())?.relu()?.mean_all()?;
        let off_diagonal = (off_diagonal_sum_of_squares(&c)?.mean_all()? / z.dim(2)? as f64)?;
        Ok(((hinge * variance)? + (off_diagonal * self.covariance.get())?)?)
    }

    /// Computes the value and the gradients for two views of one group. views and gradients (n, d)
    fn fused_views(&self, [a, b]: [&[f32]; 2], d: usize, [grad_a, grad_b]: [&mut [f32]; 2]) -> f64 {
        let half = self.variance.get() / 2.0;
        let value = self.fused(a, d, half, grad_a) + self.fused(b, d, half, grad_b);
        let weight = self.invariance.get() / a.len() as f64;
        let distance = add_invariance([a, b], d, 2.0 * weight as f32, [grad_a, grad_b]);
        value + weight * distance
    }

    /// Computes [`Self::one_view_terms`] and their gradient for one group of float32 points. points, gradient (n, d)
    fn fused(&self, points: &[f32], d: usize, variance: f64, gradient: &mut [f32]) -> f64 {
        let z = centred_rows(points, d);
        let degrees = (points.len() / d - 1) as f64;
        let mut c = gram(&z, d); // (n - 1)·C, then the gradient with respect to C: dC = (dzᵀz + zᵀdz) / (n - 1)
        let (mut hinge, mut squares) = (0.0, 0.0);
        for (k, row) in c.chunks_exact_mut(d).enumerate() {
            let deviation = (f64::from(row[k]) / degrees + self.epsilon.get()).sqrt();
            row[k] = 0.0;
            squares += f64::from(vector::dot(row, row));
            let scale = 4.0 * self.covariance.get() / (degrees * degrees * d as f64);
            row.iter_mut().for_each(|x| *x *= scale as f32);
            if deviation <= self.target_std.get() {
                hinge += self.target_std.get() - deviation;
                row[k] = (-variance / (degrees * deviation * d as f64)) as f32;
            }
        }
        times(&z, Matrix::new(&c, d, d), gradient, |_, _| {});
        (variance * hinge + self.covariance.get() * squares / (degrees * degrees)) / d as f64
    }
}

vectorize! {
    /// Returns `Σ ‖a_i - b_i‖²`. Adds `scale·(a - b)` to the first gradient and subtracts it from the second. (n, d) each
    fn add_invariance(views: [&[f32]; 2], d: usize, scale: f32, gradients: [&mut [f32]; 2]) -> f64 = add_invariance_with;
}

#[inline(always)]
fn add_invariance_with<S: Simd>([a, b]: [&[f32]; 2], d: usize, scale: f32, [grad_a, grad_b]: [&mut [f32]; 2]) -> f64 {
    let rows = a.chunks_exact(d).zip(b.chunks_exact(d));
    let distances = rows.map(|(a, b)| f64::from(vector::sum_of_with::<S>(a, b, |a, b| (a - b) * (a - b)))).sum();
    for ((a, b), (grad_a, grad_b)) in a.iter().zip(b).zip(grad_a.iter_mut().zip(grad_b)) {
        let gradient = scale * (a - b);
        *grad_a += gradient;
        *grad_b -= gradient;
    }
    distances
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
    fn a_copied_dim_has_the_covariance_term() {
        check(VicReg::default(), [[1.0, 1.0], [-1.0, -1.0]], 4.0); // C = [[2, 2], [2, 2]]: (4 + 4)/2; sqrt(2) is above the target
    }

    #[test]
    fn a_collapsed_cloud_has_the_whole_hinge() {
        check(VicReg::default(), [[3.0, 3.0], [3.0, 3.0]], 25.0 * (1.0 - 0.01)); // sqrt(1e-4) = 0.01
    }

    #[test]
    fn each_term_has_its_weight_and_the_hinge_its_target() {
        let hinge = VicReg { variance: NonNegative::new(10.0), covariance: NonNegative::new(0.0), ..Default::default() };
        let wide = VicReg { target_std: Positive::new(2.0), epsilon: Positive::new(0.25), ..hinge.clone() };
        // variances 2 and 0: sqrt(2.25) = 1.5 and sqrt(0.25) = 0.5 are below 2 by 0.5 and 1.5
        check(wide, [[1.0, 0.0], [-1.0, 0.0]], 10.0 * (0.5 + 1.5) / 2.0);
        let covariance = VicReg { variance: NonNegative::new(0.0), covariance: NonNegative::new(3.0), ..hinge };
        check(covariance, [[1.0, 1.0], [-1.0, -1.0]], 12.0);
    }

    #[test]
    fn invariance_adds_a_second_view() {
        let tensor = |points: [[f64; 2]; 2]| Tensor::new(&[points], &Device::Cpu).unwrap();
        // The points have C = [[2, 2], [2, 2]]: no hinge, covariance term 4. The view has collapsed: hinge 1 - 0.01, covariance 0.
        let cloud = Cloud::with_view(tensor([[1.0, 1.0], [-1.0, -1.0]]), tensor([[1.0, 1.0], [1.0, 1.0]])).unwrap();
        let vicreg = VicReg { invariance: NonNegative::new(3.0), ..Default::default() };
        let found = vicreg.penalty(&cloud, &mut Draw::new(0, "test", 0, 0)).unwrap().to_scalar::<f64>().unwrap();
        let expected = 3.0 * (4.0 + 4.0) / 4.0 + 25.0 * 0.99 / 2.0 + 4.0; // the second point differs by 2 in both dims
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
