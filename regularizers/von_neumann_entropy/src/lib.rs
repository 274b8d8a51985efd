//! The von Neumann entropy of the directions of a group: the entropy of the spectrum of their second moments.
//!
//! For the unit vectors `u_i = z_i / ‖z_i‖` of a group of n points, the rows of U, and the eigenvalues λ of `UᵀU / n`, which are
//! at least 0 and sum to 1:
//! ```text
//! Σ_k λ_k log λ_k
//! ```
//! from -log d, where directions spread alike, to 0, where all points have one direction or its opposite. Kim, Kang, Hwang,
//! Shin, Rhee, "VNE: An Effective Method for Improving Deep Representation by Manipulating Eigenvalue Distribution", CVPR 2023,
//! arXiv:2304.01434: the entropy S(C_auto), negated, since it is to be raised. Deviation: the logarithm is that of `λ + ε`, with
//! ε = 1e-12, whose slope is finite at 0: so are value and gradient of clouds that do not fill the dims. The gradient along the
//! matrix is `V f'(Λ) Vᵀ`, which is finite where eigenvalues repeat. Of UᵀU and UUᵀ, whose eigenvalues are the same but for
//! zeros, the smaller is taken; the kernel finds its logarithm without eigenvectors.
//!
//! # Shapes
//! points (g, n, d) -> scalar, by way of (g, m, m), m the smaller of n and d

use regatta_core::candle::DType;
use regatta_core::kernels::{Resolvents, of_smaller_gram};
use regatta_core::libm;
use regatta_core::maths::{eigenvalue_sum, smaller_gram, unit};
use regatta_core::{Cloud, Draw, FloatCloud, Home, Kernel, Regularizer, Result, Tensor, regularizer, typetag};

/// ε beside an eigenvalue: well above what float64 rounds, far below what matters in the sum.
const EPSILON: f64 = 1e-12;

regularizer! {
    name: "von_neumann_entropy",
    summary: "evens out the spectrum of the directions of points",
    paper: "Kim et al., \"VNE\", CVPR 2023, arXiv:2304.01434",
    formula: "Σ_k λ_k log(λ_k + 1e-12), λ the eigenvalues of UᵀU / n, the rows of U the unit vectors",
    expects: "all tokens of a batch, at any scale (points: batch)",
    /// The spectrum of the directions of points.
    pub struct VonNeumannEntropy {}
}

#[typetag::serde(name = "von_neumann_entropy")]
impl Regularizer for VonNeumannEntropy {
    /// In float64 whatever the dtype: float32 would round eigenvalues near 0, where the logarithm is steep.
    fn penalty(&self, cloud: &Cloud, _: &mut Draw) -> Result<Tensor> {
        let (z, n) = (cloud.points(), cloud.count() as f64); // (g, n, d)
        let moments = (smaller_gram(&unit(&z.to_dtype(DType::F64)?)?)? / n)?; // (g, m, m)
        Ok(eigenvalue_sum(&moments, term)?.mean_all()?.to_dtype(z.dtype())?)
    }

    fn home(&self) -> Home {
        Home::BATCH
    }

    fn kernel(&self) -> Option<&dyn Kernel> {
        Some(self)
    }
}

impl Kernel for VonNeumannEntropy {
    fn penalties(&self, cloud: FloatCloud<'_>, _: &mut Draw) -> Result<Vec<f64>> {
        let [_, n, d] = cloud.shape;
        let n = n as f64;
        cloud.each_group(|points, gradient| {
            of_smaller_gram(points, d, gradient, |gram, m| {
                let moments: Vec<f64> = gram.into_iter().map(|x| x / n).collect();
                let (value, mut slope) = value_and_slope(&moments, m)?;
                slope.iter_mut().for_each(|x| *x /= n); // along the Gram
                Ok((value, slope))
            })
        })
    }
}

/// The sum of `λ log(λ + ε)` and its slope `f'(M)`, without eigenvectors. (m, m) -> scalar, (m, m)
///
/// With `f'(λ) = log(λ + ε) + 1 - ε / (λ + ε)`, the sum is `tr(M f'(M)) - tr M`, less at most m·ε.
fn value_and_slope(moments: &[f64], m: usize) -> Result<(f64, Vec<f64>)> {
    let slope = Resolvents::ln(EPSILON).shifted(EPSILON).plus(1.0, -EPSILON, EPSILON).of(moments, m)?;
    let product: f64 = moments.iter().zip(&slope).map(|(x, slope)| x * slope).sum();
    Ok((product - moments.iter().step_by(m + 1).sum::<f64>(), slope))
}

/// `λ log(λ + ε)` and its slope; an eigenvalue that was rounded below 0 counts as 0.
fn term(eigenvalue: f64) -> (f64, f64) {
    let lambda = eigenvalue.max(0.0);
    let logarithm = libm::log(lambda + EPSILON);
    (lambda * logarithm, logarithm + lambda / (lambda + EPSILON))
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_core::candle::Device;

    fn check<const N: usize, const D: usize>(points: [[f64; D]; N], expected: f64) {
        let cloud = Cloud::new(Tensor::new(&[points], &Device::Cpu).unwrap()).unwrap();
        let regularizer = VonNeumannEntropy {};
        let found = regularizer.penalty(&cloud, &mut Draw::new(0, "test", 0, 0)).unwrap().to_scalar::<f64>().unwrap();
        assert!((found - expected).abs() < 1e-11, "{found}, expected {expected}"); // ε is not in the numbers by hand
    }

    #[test]
    fn even_directions_have_most_entropy_and_one_has_none() {
        check([[3.0, 0.0], [0.0, 4.0]], -2f64.ln()); // eigenvalues 1/2 and 1/2
        check([[3.0, 0.0], [-4.0, 0.0]], 0.0); // 1 and 0
        check([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], 2.0 / 3.0 * (2f64 / 3.0).ln() + (1f64 / 3.0).ln() / 3.0);
    }

    #[test]
    fn fewer_points_than_dims_have_the_same_entropy() {
        // cosine 0.6: the eigenvalues of [[1, 0.6], [0.6, 1]] / 2 are 0.8 and 0.2
        check([[1.0, 0.0, 0.0], [0.6, 0.8, 0.0]], 0.8 * 0.8f64.ln() + 0.2 * 0.2f64.ln());
    }

    #[test]
    fn terms_are_finite_at_and_below_zero() {
        assert_eq!(term(0.0), (0.0, EPSILON.ln()));
        assert_eq!(term(-1e-17), term(0.0));
    }

    #[test]
    fn kernel_agrees_with_tensor_operations() {
        regatta_core::conformance::kernel_agrees(&VonNeumannEntropy {}, 1e-5);
    }

    #[test]
    fn conforms() {
        regatta_core::conformance::conforms::<VonNeumannEntropy>();
    }
}
