//! Whitening: pulls the covariance of a group towards the identity.
//!
//! For a group `z` of n points of d dims with mean m and covariance `C = (z - m)ᵀ(z - m) / (n - 1)`:
//! ```text
//! frobenius     ‖C - I‖²_F / d
//! gaussian_kl   (tr(C + εI) + ‖m‖² - d - log det(C + εI)) / (2d)
//! zca_distance  mean over points and dims of (z - stop_gradient((z - m)(C + εI)^(-1/2)))²
//! w_mse         mean over points of 2 - 2 cos(w, w'), w = L⁻¹(z - m), w' likewise of a second view, L Lᵀ = (1 - ε)C + εI
//! ```
//! `gaussian_kl` is KL(N(m, C + εI) ‖ N(0, I)) per dim. `zca_distance` pulls each point towards its ZCA-whitened position (Kessy,
//! Lewin, Strimmer, "Optimal Whitening and Decorrelation", 2018, arXiv:1512.00809). `w_mse` is the loss of Ermolov et al.,
//! "Whitening for Self-Supervised Representation Learning", ICML 2021, arXiv:2007.06346, which introduced whitening as an
//! objective; each view is whitened separately.
//!
//! # Deviations from the paper
//!
//! - `frobenius`, `gaussian_kl` and `zca_distance` use a single view.
//! - The inverse square root of `zca_distance` is exact, not iterative.
//! - `w_mse` whitens all points of a group together, without sub-batches and without a projector. The second view comes from
//!   another dropout mask. Norms in the cosine are `sqrt(‖w‖² + 1e-8)`, which bounds the gradient of a point at the mean.
//!
//! # Shapes
//! points (g, n, d), and for w_mse the view (g, n, d) -> scalar, through intermediates (g, d, d)
//!
//! # Units
//! `gaussian_kl` is in nats per dim. `w_mse` is a squared distance between unit vectors, from 0 to 4. `frobenius` has the fourth
//! power of the points' units, `zca_distance` their square.
//!
//! # Errors
//! `w_mse` returns an error if the cloud has no second view. All forms but frobenius return an error if a factorisation fails, as it
//! does for non-finite points.

mod kernels;
mod triangular;
mod w_mse;

use regatta_core::candle::DType;
use regatta_core::maths::{centred, covariance, diagonal, inverse_sqrt, log_det, matmul};
use regatta_core::number::Positive;
use regatta_core::schemars::JsonSchema;
use regatta_core::serde::{Deserialize, Serialize};
use regatta_core::{Cloud, Draw, Home, Kernel, Regularizer, Result, Scale, Tensor, regularizer, typetag};

/// The loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "regatta_core::serde", rename_all = "snake_case")]
#[schemars(crate = "regatta_core::schemars")]
pub enum Form {
    /// Squared Frobenius distance of the covariance from the identity.
    Frobenius,
    /// KL divergence of the Gaussian with the group's mean and covariance from the standard normal.
    GaussianKl,
    /// Squared distance of each point from its whitened position, which is detached.
    ZcaDistance,
    /// Squared distance between the whitened, normalised views of each point.
    WMse,
}

regularizer! {
    name: "whitening",
    summary: "pulls the covariance towards the identity",
    paper: "Ermolov et al., ICML 2021, arXiv:2007.06346; Kessy, Lewin, Strimmer, 2018, arXiv:1512.00809 (the ZCA transform)",
    formula: "with the covariance C (normalised by n - 1) and the mean m
frobenius: ‖C - I‖²_F / d
gaussian_kl: (tr(C + εI) + ‖m‖² - d - log det(C + εI)) / (2d)
zca_distance: mean over points and dims of (z - stop_gradient((z - m)(C + εI)^(-1/2)))²
w_mse: mean of 2 - 2 cos(w, w'), w = L⁻¹(z - m), w' likewise of a second view (needs train.dropout), L Lᵀ = (1 - ε)C + εI",
    expects: "all tokens of a batch, rows with unit variance; \
              w_mse: two views (train.dropout)",
    variants: [
        Whitening { form: Form::GaussianKl, ..Default::default() },
        Whitening { form: Form::ZcaDistance, ..Default::default() },
        Whitening { form: Form::WMse, ..Default::default() },
    ],
    /// Distance of the covariance from the identity.
    pub struct Whitening {
        /// The loss: frobenius, gaussian_kl or zca_distance, or with two views (train.dropout above 0) w_mse.
        pub form: Form = Form::Frobenius,
        /// ε, added to the diagonal of the covariance in all forms but frobenius; without it, the covariance of fewer points than
        /// dims is singular. In w_mse, ε is the weight of the identity and 1 - ε that of the covariance; values above 1 count as 1.
        pub epsilon: Positive = Positive::new(1e-3) => [form: Form::GaussianKl | Form::ZcaDistance | Form::WMse],
    }
}

#[typetag::serde(name = "whitening")]
impl Regularizer for Whitening {
    fn penalty(&self, cloud: &Cloud, _: &mut Draw) -> Result<Tensor> {
        let z = cloud.points(); // (g, n, d)
        match self.form {
            Form::Frobenius => frobenius(z),
            Form::GaussianKl => self.gaussian_kl(z),
            Form::ZcaDistance => self.zca_distance(z),
            Form::WMse => self.w_mse(cloud.both_views()?),
        }
    }

    fn home(&self) -> Home {
        match self.form {
            // It whitens each view itself, at any scale.
            Form::WMse => Home::BATCH,
            _ => Home { scale: Scale::LayerNorm, ..Home::BATCH },
        }
    }

    fn needs_view(&self) -> bool {
        self.form == Form::WMse
    }

    fn kernel(&self) -> Option<&dyn Kernel> {
        Some(self)
    }

    fn surrogate_gradient(&self) -> Option<&'static str> {
        match self.form {
            Form::Frobenius | Form::GaussianKl | Form::WMse => None,
            Form::ZcaDistance => Some("the whitened position of each point is a detached target"),
        }
    }
}

fn frobenius(z: &Tensor) -> Result<Tensor> {
    let d = z.dim(2)?;
    let excess = covariance(z)?.broadcast_sub(&Tensor::eye(d, z.dtype(), z.device())?)?; // (g, d, d)
    Ok((excess.sqr()?.sum((1, 2))?.mean_all()? / d as f64)?)
}

/// Both losses are computed in float64: in float32, rounding could make C + εI indefinite if C is singular.
impl Whitening {
    fn gaussian_kl(&self, z: &Tensor) -> Result<Tensor> {
        let d = z.dim(2)? as f64;
        let wide = z.to_dtype(DType::F64)?;
        let c = self.positive_covariance(&wide)?; // (g, d, d)
        let trace = diagonal(&c)?.sum(1)?; // (g)
        let offset = wide.mean(1)?.sqr()?.sum(1)?; // (g)
        let divergence = (((trace + offset)? - log_det(&c)?)? - d)?.mean_all()?;
        Ok((divergence / (2.0 * d))?.to_dtype(z.dtype())?)
    }

    fn zca_distance(&self, z: &Tensor) -> Result<Tensor> {
        let fixed = z.detach().to_dtype(DType::F64)?;
        let white = matmul(&centred(&fixed)?, &inverse_sqrt(&self.positive_covariance(&fixed)?)?)?; // (g, n, d)
        Ok((z - white.to_dtype(z.dtype())?)?.sqr()?.mean_all()?)
    }

    /// `C + εI`. (g, n, d) -> (g, d, d)
    fn positive_covariance(&self, z: &Tensor) -> Result<Tensor> {
        let ridge = (Tensor::eye(z.dim(2)?, z.dtype(), z.device())? * self.epsilon.get())?;
        Ok(covariance(z)?.broadcast_add(&ridge)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_core::candle::{Device, Var};

    fn penalty(form: Form, points: &Tensor) -> Tensor {
        let regularizer = Whitening { form, ..Default::default() };
        regularizer.penalty(&Cloud::new(points.clone()).unwrap(), &mut Draw::new(0, "test", 0, 0)).unwrap()
    }

    fn check<const D: usize>(form: Form, points: [[f64; D]; 2], expected: f64) {
        let found = penalty(form, &Tensor::new(&[points], &Device::Cpu).unwrap()).to_scalar::<f64>().unwrap();
        assert!((found - expected).abs() < 1e-12, "{form:?}: {found}, expected {expected}");
    }

    #[test]
    fn copied_and_collapsed_dims_are_penalised() {
        check(Form::Frobenius, [[1.0, 1.0], [-1.0, -1.0]], 5.0); // C - I = [[1, 2], [2, 1]]: (1 + 4 + 4 + 1)/2
        check(Form::Frobenius, [[3.0, 3.0], [3.0, 3.0]], 1.0); // C = 0: d / d
    }

    #[test]
    fn divergence_depends_on_variance_and_mean() {
        // mean 2, variance 2, ε = 0.001
        check(Form::GaussianKl, [[3.0], [1.0]], (2.001 + 4.0 - 1.0 - 2.001f64.ln()) / 2.0);
        // means 2 and 0, C = [[2, 0], [0, 0]]
        let log_det = 2.001f64.ln() + 0.001f64.ln();
        check(Form::GaussianKl, [[3.0, 0.0], [1.0, 0.0]], (2.001 + 0.001 + 4.0 - 2.0 - log_det) / 4.0);
    }

    #[test]
    fn zca_distance_is_from_the_whitened_position() {
        let white = 1.0 / 2.001f64.sqrt(); // of the centred points ±1, variance 2
        check(Form::ZcaDistance, [[1.0], [-1.0]], (1.0 - white).powi(2));
        check(Form::ZcaDistance, [[3.0], [1.0]], ((3.0 - white).powi(2) + (1.0 + white).powi(2)) / 2.0);
    }

    #[test]
    fn the_whitened_position_is_detached() {
        let points = Var::new(&[[[1f64], [-1.0]]], &Device::Cpu).unwrap();
        let grads = penalty(Form::ZcaDistance, &points).backward().unwrap();
        let gradient = grads.get(&points).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
        let expected = 1.0 - 1.0 / 2.001f64.sqrt(); // d/dz mean (z - white)² = 2 (z - white) / 2 points
        assert!((gradient[0] - expected).abs() < 1e-12 && (gradient[1] + expected).abs() < 1e-12, "{gradient:?}");
    }

    #[test]
    fn kernels_agree_with_tensor_operations() {
        for form in [Form::Frobenius, Form::GaussianKl, Form::ZcaDistance, Form::WMse] {
            regatta_core::conformance::kernel_agrees(&Whitening { form, ..Default::default() }, 1e-5);
        }
    }

    #[test]
    fn conforms() {
        regatta_core::conformance::conforms::<Whitening>();
    }
}
