//! The inverse of the Cholesky factor, in float64 on the CPU whatever the dtype and device.

use super::spectral::{finite, float64};
use super::symmetric;
use crate::Result;
use candle_core::{CpuStorage, CustomOp1, Device, Layout, Shape, Storage, Tensor};

/// `L⁻¹` of symmetric positive definite matrices `M = L Lᵀ`, L lower triangular: points times `L⁻ᵀ` are white where M is their
/// covariance. Gradients flow through it, and what reaches M is symmetric. (g, d, d) -> (g, d, d)
///
/// With K = `L⁻¹` and Φ the lower triangle with half of the diagonal, `dK = -Φ(K dM Kᵀ) K`, so a gradient `G` of K is one of
/// `-Kᵀ Φ(G Kᵀ) K` of M, made symmetric (Murray, "Differentiation of the Cholesky decomposition", 2016, arXiv:1602.07527).
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
    let inverse = Tensor::from_vec(inverses, (g, d, d), &Device::Cpu)?.to_dtype(matrices.dtype())?;
    Ok(matrices.apply_op1(InverseFactor { inverse })?)
}

/// As [`inverse_cholesky`], of one matrix. (d, d), row after row
///
/// # Errors
/// As there.
pub fn inverse_cholesky_of(matrix: &[f64], d: usize) -> Result<Vec<f64>> {
    Ok(symmetric::InverseFactor::of(finite(matrix)?, d)?.numbers)
}

struct InverseFactor {
    inverse: Tensor,
}

impl CustomOp1 for InverseFactor {
    fn name(&self) -> &'static str {
        "inverse_cholesky"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        match &*self.inverse.storage_and_layout().0 {
            Storage::Cpu(cpu) => Ok((cpu.clone(), self.inverse.shape().clone())),
            _ => candle_core::bail!("inverse_cholesky runs on the CPU"),
        }
    }

    fn bwd(&self, _: &Tensor, inverse: &Tensor, upstream: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let (d, dtype, device) = (inverse.dim(1)?, inverse.dtype(), inverse.device());
        let lower = (Tensor::tril2(d, dtype, device)? - (Tensor::eye(d, dtype, device)? * 0.5)?)?;
        let turned = inverse.transpose(1, 2)?.contiguous()?;
        let inner = upstream.contiguous()?.matmul(&turned)?.broadcast_mul(&lower)?; // Φ(G Kᵀ)
        let slope = turned.matmul(&inner)?.matmul(inverse)?;
        Ok(Some(((&slope + slope.transpose(1, 2)?)? * -0.5)?))
    }
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

    /// Along a symmetric direction, since both halves of a covariance move together.
    #[test]
    fn its_gradient_is_that_of_finite_differences() {
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
