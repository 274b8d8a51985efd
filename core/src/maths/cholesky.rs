//! The inverse of the Cholesky factor. Matrices are factorised in float64 on the CPU, and the result is converted to their dtype
//! and moved to their device. Gradients flow by plain tensor operations.

use super::matmul;
use super::spectral::float64;
use crate::Result;
use candle_core::{Device, Tensor};
use regatta_kernels::symmetric::{self, finite};

/// `L⁻¹` of symmetric positive definite matrices `M = L Lᵀ`, L lower triangular. Points times `L⁻ᵀ` are white if M is their
/// covariance. The gradient with respect to M is symmetric. (g, d, d) -> (g, d, d)
///
/// With K = `L⁻¹` and Φ the lower triangle with half of the diagonal, `dK = -Φ(K dM Kᵀ) K` (Murray, "Differentiation of the
/// Cholesky decomposition", 2016, arXiv:1602.07527). This is linear in dM. With dM = `M - stop_gradient(M)`, which is 0, it adds 0
/// to the value and has the gradient of K.
///
/// # Errors
/// When a matrix is not positive definite or not finite.
pub fn inverse_cholesky(matrices: &Tensor) -> Result<Tensor> {
    let (g, d, _) = matrices.dims3()?;
    let rows = float64(matrices)?;
    let mut inverses = Vec::with_capacity(rows.len());
    for matrix in rows.chunks_exact(d * d) {
        inverses.extend(inverse_cholesky_of(matrix, d)?);
    }
    let (dtype, device) = (matrices.dtype(), matrices.device());
    let inverse = Tensor::from_vec(inverses, (g, d, d), &Device::Cpu)?.to_dtype(dtype)?.to_device(device)?;
    let lower = (Tensor::tril2(d, dtype, device)? - (Tensor::eye(d, dtype, device)? * 0.5)?)?;
    let change = (matrices - matrices.detach())?;
    let change = ((&change + change.transpose(1, 2)?)? * 0.5)?; // makes the gradient of M symmetric
    let change = matmul(&matmul(&inverse, &change)?, &inverse.transpose(1, 2)?)?; // K dM Kᵀ
    Ok((&inverse - matmul(&change.broadcast_mul(&lower)?, &inverse)?)?)
}

/// `L⁻¹` of one symmetric positive definite matrix `M = L Lᵀ`. (d, d), row-major -> (d, d)
///
/// # Errors
/// When the matrix is not positive definite or not finite.
pub fn inverse_cholesky_of(matrix: &[f64], d: usize) -> Result<Vec<f64>> {
    Ok(symmetric::InverseFactor::of(finite(matrix)?, d)?.numbers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Var;

    #[test]
    fn the_inverse_factor_by_hand() {
        // L = [[2, 0], [1, 3]]: M = [[4, 2], [2, 10]], L⁻¹ = [[1/2, 0], [-1/6, 1/3]]
        let found = inverse_cholesky_of(&[4.0, 2.0, 2.0, 10.0], 2).unwrap();
        let expected = [0.5, 0.0, -1.0 / 6.0, 1.0 / 3.0];
        assert!(found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-12), "{found:?}");
        assert!(inverse_cholesky_of(&[1.0, 2.0, 2.0, 1.0], 2).is_err() && inverse_cholesky_of(&[f64::NAN], 1).is_err());
    }

    /// Along symmetric directions, since both triangles of a covariance change together.
    #[test]
    fn its_gradient_agrees_with_finite_differences() {
        let numbers = [4.0, 2.0, -1.0, 2.0, 10.0, 3.0, -1.0, 3.0, 6.0];
        let weights = Tensor::new(&[[[1.0, 0.0, 0.0], [-2.0, 3.0, 0.0], [0.5, -1.0, 2.0]]], &Device::Cpu).unwrap();
        let value = |numbers: &[f64]| {
            let matrix = Var::from_tensor(&Tensor::from_slice(numbers, (1, 3, 3), &Device::Cpu).unwrap()).unwrap();
            (inverse_cholesky(&matrix).unwrap().mul(&weights).unwrap().sum_all().unwrap(), matrix)
        };
        let (sum, matrix) = value(&numbers);
        let gradient = sum.backward().unwrap().get(&matrix).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
        for (i, j) in [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)] {
            let at = |step: f64| {
                let mut moved = numbers;
                moved[3 * i + j] += step;
                moved[3 * j + i] = moved[3 * i + j];
                value(&moved).0.to_scalar::<f64>().unwrap()
            };
            let expected = (at(1e-6) - at(-1e-6)) / 2e-6;
            let found = if i == j { gradient[4 * i] } else { gradient[3 * i + j] + gradient[3 * j + i] };
            assert!((found - expected).abs() < 1e-8, "({i}, {j}): {found}, expected {expected}");
        }
    }
}
