//! Covariance, the smaller Gram matrix, and their diagonals and off-diagonal sums.

use super::matmul;
use crate::Result;
use candle_core::{D, Tensor};

/// Points minus the mean of their group. (g, n, d) -> (g, n, d)
///
/// # Errors
/// When a tensor operation fails.
pub fn centred(points: &Tensor) -> Result<Tensor> {
    Ok(points.broadcast_sub(&points.mean_keepdim(1)?)?)
}

/// Unbiased covariance of each group: `C = zᵀz / (n - 1)` of centred z. (g, n, d) -> (g, d, d)
///
/// # Errors
/// When a tensor operation fails.
pub fn covariance(points: &Tensor) -> Result<Tensor> {
    let z = centred(points)?;
    let n = points.dim(1)? as f64;
    Ok((matmul(&z.transpose(1, 2)?, &z)? / (n - 1.0))?)
}

/// The Gram matrix `zᵀz`, or `zzᵀ` if there are fewer points than dims. Both have the same nonzero eigenvalues.
/// (g, n, d) -> (g, m, m), m the smaller of n and d
///
/// # Errors
/// When a tensor operation fails.
pub fn smaller_gram(points: &Tensor) -> Result<Tensor> {
    let (_, n, d) = points.dims3()?;
    let transposed = points.transpose(1, 2)?;
    if n < d { matmul(points, &transposed) } else { matmul(&transposed, points) }
}

/// The diagonal of each matrix. (g, d, d) -> (g, d)
///
/// # Errors
/// When a tensor operation fails.
pub fn diagonal(matrices: &Tensor) -> Result<Tensor> {
    let eye = Tensor::eye(matrices.dim(2)?, matrices.dtype(), matrices.device())?;
    Ok(matrices.broadcast_mul(&eye)?.sum(D::Minus1)?)
}

/// `Σ_{k≠l} M_kl²` of each matrix. (g, d, d) -> (g)
///
/// # Errors
/// When a tensor operation fails.
pub fn off_diagonal_sum_of_squares(matrices: &Tensor) -> Result<Tensor> {
    let eye = Tensor::eye(matrices.dim(2)?, matrices.dtype(), matrices.device())?;
    let off = matrices.broadcast_mul(&(1.0 - eye)?)?;
    Ok(off.sqr()?.sum((1, 2))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn covariance_of_two_points_by_hand() {
        // centred: (1, 2), (-1, -2); zᵀz = [[2, 4], [4, 8]]; n - 1 = 1
        let points = Tensor::new(&[[[3f64, 5.0], [1.0, 1.0]]], &Device::Cpu).unwrap();
        let c = covariance(&points).unwrap();
        assert_eq!(c.to_vec3::<f64>().unwrap(), [[[2.0, 4.0], [4.0, 8.0]]]);
        assert_eq!(diagonal(&c).unwrap().to_vec2::<f64>().unwrap(), [[2.0, 8.0]]);
        assert_eq!(smaller_gram(&points.narrow(1, 0, 1).unwrap()).unwrap().to_vec3::<f64>().unwrap(), [[[34.0]]]); // 9 + 25
        assert_eq!(smaller_gram(&points.narrow(2, 0, 1).unwrap()).unwrap().to_vec3::<f64>().unwrap(), [[[10.0]]]); // 9 + 1
        assert_eq!(off_diagonal_sum_of_squares(&c).unwrap().to_vec1::<f64>().unwrap(), [32.0]);
    }
}
