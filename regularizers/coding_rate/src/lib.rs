//! The coding rate: the number of nats needed to encode the directions of a group up to an error ε, a measure of the volume that
//! they span. The penalty is the negative rate.
//!
//! For a group of n points of d dims, with the unit vectors `u_i = z_i / ‖z_i‖` as the rows of U:
//! ```text
//! -1/2 log det(I + d/(n ε²) UᵀU)
//! ```
//! Yu, Chan, You, Song, Ma, "Learning Diverse and Discriminative Representations via the Principle of Maximal Coding Rate
//! Reduction", NeurIPS 2020, arXiv:2006.08558, section 2.1: R(Z, ε), which the paper maximises. Deviation: there are no classes, so
//! the coding rate within classes is not subtracted.
//!
//! UᵀU and UUᵀ give the same determinant; the smaller matrix is factorised. All eigenvalues of the argument of det are at least 1,
//! so value and gradient are finite for every cloud.
//!
//! # Shapes
//! points (g, n, d) -> scalar, through intermediates (g, m, m), m = min(n, d)
//!
//! # Units
//! Nats.
//!
//! # Errors
//! Returns an error if the factorisation fails, as it does for non-finite points.

use regatta_core::candle::DType;
use regatta_core::kernels::of_smaller_gram;
use regatta_core::maths::{log_det, log_det_of, smaller_gram, unit};
use regatta_core::number::Positive;
use regatta_core::{Cloud, Draw, FloatCloud, Home, Kernel, Regularizer, Result, Tensor, regularizer, typetag};

regularizer! {
    name: "coding_rate",
    summary: "maximises the coding rate of the points' directions, the volume that they span",
    paper: "Yu et al., \"Maximal Coding Rate Reduction\", NeurIPS 2020, arXiv:2006.08558",
    formula: "-1/2 log det(I + d/(n epsilon_squared) UᵀU), U with the unit vectors z_i / ‖z_i‖ as rows",
    expects: "all tokens of a batch, at any scale",
    /// Negative coding rate of the points' directions.
    pub struct CodingRate {
        /// ε², the squared error allowed per point (paper: 0.5). A smaller value gives more weight to dims of low variance.
        pub epsilon_squared: Positive = Positive::new(0.5),
    }
}

#[typetag::serde(name = "coding_rate")]
impl Regularizer for CodingRate {
    /// Computes in float64 for every dtype: with a small ε, the matrix is too ill-conditioned for float32.
    fn penalty(&self, cloud: &Cloud, _: &mut Draw) -> Result<Tensor> {
        let z = cloud.points(); // (g, n, d)
        let scale = self.scale(cloud.count(), cloud.dims());
        let gram = smaller_gram(&unit(&z.to_dtype(DType::F64)?)?)?; // (g, m, m)
        let eye = Tensor::eye(gram.dim(2)?, DType::F64, z.device())?;
        let rate = (log_det(&(gram * scale)?.broadcast_add(&eye)?)?.mean_all()? * 0.5)?;
        Ok(rate.neg()?.to_dtype(z.dtype())?)
    }

    fn home(&self) -> Home {
        Home::BATCH
    }

    fn kernel(&self) -> Option<&dyn Kernel> {
        Some(self)
    }
}

impl Kernel for CodingRate {
    fn penalties(&self, cloud: FloatCloud<'_>, _: &mut Draw) -> Result<Vec<f64>> {
        let [_, n, d] = cloud.shape;
        let scale = self.scale(n, d);
        cloud.each_group(|points, gradient| of_smaller_gram(points, d, gradient, |gram, m| half_log_det(gram, m, scale)))
    }
}

impl CodingRate {
    /// `d / (n ε²)`
    fn scale(&self, n: usize, d: usize) -> f64 {
        d as f64 / (n as f64 * self.epsilon_squared.get())
    }
}

/// `-1/2 log det(I + scale·G)` and its gradient with respect to G. (m, m) -> scalar, (m, m)
fn half_log_det(mut gram: Vec<f64>, m: usize, scale: f64) -> Result<(f64, Vec<f64>)> {
    gram.iter_mut().for_each(|x| *x *= scale);
    gram.iter_mut().step_by(m + 1).for_each(|x| *x += 1.0);
    let (log_det, mut gradient) = log_det_of(&gram, m)?;
    gradient.iter_mut().for_each(|x| *x *= -0.5 * scale);
    Ok((-0.5 * log_det, gradient))
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_core::candle::Device;

    fn check<const N: usize, const D: usize>(epsilon_squared: f64, points: [[f64; D]; N], expected: f64) {
        let cloud = Cloud::new(Tensor::new(&[points], &Device::Cpu).unwrap()).unwrap();
        let regularizer = CodingRate { epsilon_squared: Positive::new(epsilon_squared) };
        let found = regularizer.penalty(&cloud, &mut Draw::new(0, "test", 0, 0)).unwrap().to_scalar::<f64>().unwrap();
        assert!((found - expected).abs() < 1e-12, "{regularizer:?}: {found}, expected {expected}");
    }

    #[test]
    fn orthogonal_directions_have_the_lowest_penalty() {
        // d/(n ε²) = 2. Orthogonal points: UᵀU = I, det 3·3. Collapsed points: eigenvalues of UᵀU 2 and 0, det 5·1
        check(0.5, [[3.0, 0.0], [0.0, 4.0]], -0.5 * 9f64.ln());
        check(0.5, [[3.0, 0.0], [4.0, 0.0]], -0.5 * 5f64.ln());
        check(0.25, [[3.0, 0.0], [4.0, 0.0]], -0.5 * 9f64.ln()); // 1 + 4·2
    }

    #[test]
    fn fewer_points_than_dims_give_the_same_determinant() {
        // d/(n ε²) = 3, cosine 0.6: UUᵀ = [[1, 0.6], [0.6, 1]], det(I + 3·UUᵀ) = 4² - 1.8²
        check(0.5, [[1.0, 0.0, 0.0], [0.6, 0.8, 0.0]], -0.5 * (16f64 - 3.24).ln());
    }

    #[test]
    fn kernel_agrees_with_tensor_operations() {
        for epsilon_squared in [0.5, 0.05] {
            let epsilon_squared = Positive::new(epsilon_squared);
            regatta_core::conformance::kernel_agrees(&CodingRate { epsilon_squared }, 1e-5);
        }
    }

    #[test]
    fn conforms() {
        regatta_core::conformance::conforms::<CodingRate>();
    }
}
