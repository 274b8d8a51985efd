//! The von Neumann entropy of the directions of a group: the entropy of the eigenvalue spectrum of their second-moment matrix.
//!
//! For a group of n points, with the unit vectors `u_i = z_i / ‖z_i‖` as the rows of U, the eigenvalues λ of `UᵀU / n` are at least
//! 0 and sum to 1. The penalty is their negative entropy
//! ```text
//! Σ_k λ_k log λ_k
//! ```
//! It ranges from -log d, if the eigenvalues are equal, to 0, if all points are parallel or antiparallel. Kim, Kang, Hwang, Shin,
//! Rhee, "VNE: An Effective Method for Improving Deep Representation by Manipulating Eigenvalue Distribution", CVPR 2023,
//! arXiv:2304.01434: the entropy S(C_auto), which the paper maximises with a positive weight.
//!
//! Deviation: the penalty uses `log(λ + ε)` with ε = 1e-12, which keeps value and gradient finite if the points do not span all
//! dims.
//!
//! The gradient with respect to the matrix is `V f'(Λ) Vᵀ`, which is well defined for repeated eigenvalues. UᵀU and UUᵀ have the
//! same nonzero eigenvalues; the smaller matrix is used. The kernel computes its logarithm without eigenvectors.
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
use regatta_core::kernels::{Resolvents, of_smaller_gram};
use regatta_core::libm;
use regatta_core::maths::{eigenvalue_sum, smaller_gram, unit};
use regatta_core::{Cloud, Draw, FloatCloud, Home, Kernel, Regularizer, Result, Tensor, regularizer, typetag};

/// ε, added to eigenvalues in the logarithm. It is well above float64's rounding errors and negligible in the sum.
const EPSILON: f64 = 1e-12;

regularizer! {
    name: "von_neumann_entropy",
    summary: "evens out the eigenvalue spectrum of the points' directions",
    paper: "Kim et al., \"VNE\", CVPR 2023, arXiv:2304.01434",
    formula: "Σ_k λ_k log(λ_k + 1e-12), λ the eigenvalues of UᵀU / n, U with the unit vectors z_i / ‖z_i‖ as rows",
    expects: "all tokens of a batch, at any scale",
    /// Negative von Neumann entropy of the points' directions.
    pub struct VonNeumannEntropy {}
}

#[typetag::serde(name = "von_neumann_entropy")]
impl Regularizer for VonNeumannEntropy {
    /// Computes in float64 for every dtype: float32 has too few digits for eigenvalues near 0, where the logarithm is steep.
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
                let (value, mut gradient) = value_and_gradient(&moments, m)?;
                gradient.iter_mut().for_each(|x| *x /= n); // with respect to the Gram matrix
                Ok((value, gradient))
            })
        })
    }
}

/// `Σ f(λ)` over the eigenvalues λ of a matrix M, for f(λ) = λ log(λ + ε), and its gradient `f'(M)`, without eigenvectors.
/// (m, m) -> scalar, (m, m)
///
/// With `f'(λ) = log(λ + ε) + 1 - ε / (λ + ε)`, the sum is `tr(M f'(M)) - tr M` up to an error of m·ε.
fn value_and_gradient(moments: &[f64], m: usize) -> Result<(f64, Vec<f64>)> {
    let gradient = Resolvents::ln(EPSILON).shifted(EPSILON).plus(1.0, -EPSILON, EPSILON).of(moments, m)?;
    let product: f64 = moments.iter().zip(&gradient).map(|(x, gradient)| x * gradient).sum();
    Ok((product - moments.iter().step_by(m + 1).sum::<f64>(), gradient))
}

/// `λ log(λ + ε)` and its derivative. A negative eigenvalue is a rounding error and counts as 0.
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
        assert!((found - expected).abs() < 1e-11, "{found}, expected {expected}"); // the expected values ignore ε
    }

    #[test]
    fn orthogonal_directions_have_the_most_entropy_and_parallel_ones_none() {
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
