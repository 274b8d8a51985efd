//! Functions of symmetric matrices by factorisations, which candle does not have. Matrices are factorised in float64 on the CPU,
//! and results are converted to their dtype and moved to their device. Gradients flow by plain tensor operations.

use super::attach_gradient;
use crate::Result;
use candle_core::{DType, Device, Tensor};
use regatta_kernels::symmetric::{FactorisationError, InverseFactor, eigen, eigenvalues, finite};
use regatta_kernels::{Matrix, MatrixMut, Onto, product};

/// Log-determinant of symmetric positive definite matrices; its gradient is the inverse. (g, d, d) -> (g)
///
/// # Errors
/// When a matrix is not positive definite or not finite.
pub fn log_det(matrices: &Tensor) -> Result<Tensor> {
    value_and_gradient(matrices, log_det_of)
}

/// `Σ_k f(λ_k)` over the eigenvalues of symmetric matrices; `function` returns f and its derivative. The gradient is `V f'(Λ) Vᵀ`.
/// It is well defined for repeated eigenvalues too, with any basis of their eigenspace. (g, d, d) -> (g)
///
/// # Errors
/// When a matrix is not finite.
pub fn eigenvalue_sum(matrices: &Tensor, function: impl Fn(f64) -> (f64, f64)) -> Result<Tensor> {
    value_and_gradient(matrices, |matrix, d| eigenvalue_sum_and_gradient(matrix, d, &function))
}

/// A function of each matrix, which returns value and gradient. (g, d, d) -> (g)
fn value_and_gradient(matrices: &Tensor, of: impl Fn(&[f64], usize) -> Result<(f64, Vec<f64>)>) -> Result<Tensor> {
    let (g, d, _) = matrices.dims3()?;
    let mut values = Vec::with_capacity(g);
    let mut gradients = Vec::with_capacity(g * d * d);
    for matrix in float64(matrices)?.chunks_exact(d * d) {
        let (value, gradient) = of(matrix, d)?;
        values.push(value);
        gradients.extend(gradient);
    }
    let (dtype, device) = (matrices.dtype(), matrices.device());
    let value = Tensor::from_vec(values, g, &Device::Cpu)?.to_dtype(dtype)?.to_device(device)?;
    let gradient = Tensor::from_vec(gradients, (g, d, d), &Device::Cpu)?.to_dtype(dtype)?.to_device(device)?;
    attach_gradient(matrices, &value, &gradient)
}

/// The symmetric inverse square root `M^(-1/2)` of symmetric positive definite matrices, without a gradient.
/// (g, d, d) -> (g, d, d)
///
/// # Errors
/// When a matrix is not positive definite or not finite.
pub fn inverse_sqrt(matrices: &Tensor) -> Result<Tensor> {
    let (g, d, _) = matrices.dims3()?;
    let mut roots = Vec::with_capacity(g * d * d);
    for matrix in float64(matrices)?.chunks_exact(d * d) {
        roots.extend(inverse_root(matrix, d)?);
    }
    Ok(Tensor::from_vec(roots, (g, d, d), &Device::Cpu)?.to_dtype(matrices.dtype())?.to_device(matrices.device())?)
}

/// Eigenvalues of one symmetric matrix, in increasing order. (d, d), row-major -> (d)
///
/// # Errors
/// When the matrix is not finite.
pub fn symmetric_eigenvalues_of(matrix: &[f64], d: usize) -> Result<Vec<f64>> {
    Ok(eigenvalues(finite(matrix)?, d)?)
}

/// Eigenvalues of one symmetric matrix, in increasing order, and its orthonormal eigenvectors: column k belongs to eigenvalue k.
/// (d, d), row-major -> (d), (d, d)
///
/// # Errors
/// When the matrix is not finite.
pub fn symmetric_eigen_of(matrix: &[f64], d: usize) -> Result<(Vec<f64>, Vec<f64>)> {
    Ok(eigen(finite(matrix)?, d)?)
}

/// Log-determinant and inverse of one symmetric positive definite matrix. (d, d), row-major -> scalar, (d, d)
///
/// # Errors
/// When the matrix is not positive definite or not finite.
pub fn log_det_of(matrix: &[f64], d: usize) -> Result<(f64, Vec<f64>)> {
    let factor = InverseFactor::of(finite(matrix)?, d)?;
    Ok((factor.log_det, factor.inverse(d)))
}

fn eigenvalue_sum_and_gradient(matrix: &[f64], d: usize, function: &impl Fn(f64) -> (f64, f64)) -> Result<(f64, Vec<f64>)> {
    let (values, vectors) = eigen(matrix, d)?;
    let (terms, derivatives): (Vec<f64>, Vec<f64>) = values.into_iter().map(function).unzip();
    Ok((terms.iter().sum(), from_eigen(&derivatives, &vectors)))
}

fn inverse_root(matrix: &[f64], d: usize) -> Result<Vec<f64>> {
    let (values, vectors) = eigen(matrix, d)?;
    if !values.iter().all(|x| *x > 0.0) {
        return Err(FactorisationError("an eigenvalue is not above 0").into());
    }
    let roots: Vec<f64> = values.iter().map(|x| 1.0 / x.sqrt()).collect();
    Ok(from_eigen(&roots, &vectors))
}

/// `V Λ Vᵀ`. (d), (d, d) -> (d, d)
fn from_eigen(values: &[f64], vectors: &[f64]) -> Vec<f64> {
    let d = values.len();
    let scaled: Vec<f64> = vectors.chunks_exact(d).flat_map(|row| row.iter().zip(values).map(|(x, value)| x * value)).collect();
    let mut matrix = vec![0f64; d * d];
    let right = Matrix::new(vectors, d, d).transposed();
    product(MatrixMut::new(&mut matrix, d, d), Onto::Replace, 1.0, Matrix::new(&scaled, d, d), right);
    matrix
}

pub(super) fn float64(matrices: &Tensor) -> Result<Vec<f64>> {
    let numbers = matrices.detach().to_dtype(DType::F64)?.flatten_all()?.to_vec1()?;
    finite(&numbers)?;
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Var;

    fn close(found: &Tensor, expected: &[f64]) {
        let found = found.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        assert!(found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-12), "{found:?} {expected:?}");
    }

    #[test]
    fn log_det_and_its_gradient_by_hand() {
        let m = Var::new(&[[[2f64, 1.0], [1.0, 3.0]]], &Device::Cpu).unwrap(); // det 5, inverse [[3, -1], [-1, 2]] / 5
        let value = log_det(&m).unwrap();
        close(&value, &[5f64.ln()]);
        let grads = value.sum_all().unwrap().backward().unwrap();
        close(grads.get(&m).unwrap(), &[0.6, -0.2, -0.2, 0.4]);
    }

    #[test]
    fn eigenvalue_sum_and_its_gradient_by_hand() {
        // eigenvalues 1 and 3 along (1, -1) and (1, 1): the sum of cubes is 28, its gradient 3M²
        let m = Var::new(&[[[2f64, 1.0], [1.0, 2.0]]], &Device::Cpu).unwrap();
        let cube = |x: f64| (x.powi(3), 3.0 * x * x);
        let value = eigenvalue_sum(&m, cube).unwrap();
        close(&value, &[28.0]);
        let grads = value.sum_all().unwrap().backward().unwrap();
        close(grads.get(&m).unwrap(), &[15.0, 12.0, 12.0, 15.0]);
    }

    #[test]
    fn inverse_sqrt_by_hand() {
        let m = Tensor::new(&[[[4f64, 0.0], [0.0, 0.25]]], &Device::Cpu).unwrap();
        close(&inverse_sqrt(&m).unwrap(), &[0.5, 0.0, 0.0, 2.0]);
    }

    #[test]
    fn eigenvectors_by_hand() {
        let matrix = [2.0, 1.0, 1.0, 2.0]; // 1 along (1, -1), 3 along (1, 1)
        let (values, vectors) = symmetric_eigen_of(&matrix, 2).unwrap();
        assert!(values.iter().zip([1.0, 3.0]).all(|(found, expected)| (found - expected).abs() < 1e-12), "{values:?}");
        let [a, b, c, d] = vectors[..] else { panic!("four numbers") };
        assert!((a + c).abs() < 1e-12 && (b - d).abs() < 1e-12 && (b.abs() - 0.5f64.sqrt()).abs() < 1e-12, "{vectors:?}");
        assert_eq!(symmetric_eigenvalues_of(&[4.0, 0.0, 0.0, 0.25], 2).unwrap(), [0.25, 4.0]);
        assert!(symmetric_eigenvalues_of(&[f64::NAN], 1).is_err() && symmetric_eigen_of(&[f64::INFINITY], 1).is_err());
    }

    #[test]
    fn matrices_that_are_not_positive_definite_are_refused() {
        let m = Tensor::new(&[[[1f64, 2.0], [2.0, 1.0]]], &Device::Cpu).unwrap();
        assert!(log_det(&m).is_err() && inverse_sqrt(&m).is_err());
        let nan = Tensor::new(&[[[f64::NAN]]], &Device::Cpu).unwrap();
        assert!(log_det(&nan).is_err() && inverse_sqrt(&nan).is_err());
    }
}
