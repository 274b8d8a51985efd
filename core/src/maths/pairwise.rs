//! Functions of all pairs of points of a group. Results are (g, n, n), so time and memory are quadratic in n.

use super::{attach_gradient, centred, matmul, repeat_last, sum_last};
use crate::Result;
use candle_core::{D, Tensor};
use regatta_kernels::TINY_SQUARE;
use std::f64::consts::PI;

/// Points scaled to norm 1; a zero vector stays zero, with a zero gradient. (g, n, d) -> (g, n, d)
///
/// # Errors
/// When a tensor operation fails.
pub fn unit(points: &Tensor) -> Result<Tensor> {
    Ok((points / repeat_last(&norms(points)?, points.dim(D::Minus1)?)?)?)
}

/// Norm of each point. (g, n, d) -> (g, n, 1)
fn norms(points: &Tensor) -> Result<Tensor> {
    Ok((sum_last(&points.sqr()?)? + TINY_SQUARE)?.sqrt()?)
}

/// Dot products of the points `z_i / (‖z_i‖ + epsilon)`: cosines, slightly shrunk if epsilon is above 0, as in some published code.
/// (g, n, d) -> (g, n, n)
///
/// # Errors
/// When a tensor operation fails.
pub fn cosines(points: &Tensor, epsilon: f64) -> Result<Tensor> {
    let u = (points / repeat_last(&(norms(points)? + epsilon)?, points.dim(D::Minus1)?)?)?;
    matmul(&u, &u.transpose(1, 2)?)
}

/// `‖z_i - z_j‖²`, never below 0. Points are centred first, so that a common offset does not cancel digits. (g, n, d) -> (g, n, n)
///
/// # Errors
/// When a tensor operation fails.
pub fn squared_distances(points: &Tensor) -> Result<Tensor> {
    let z = centred(points)?;
    let square = sum_last(&z.sqr()?)?; // (g, n, 1)
    let product = matmul(&z, &z.transpose(1, 2)?)?; // (g, n, n)
    let distance = square.broadcast_add(&square.transpose(1, 2)?)?.sub(&(product * 2.0)?)?;
    Ok(distance.relu()?)
}

/// `arccos(c) / π` of cosines clamped to ±(1 - clamp), with a straight-through gradient: the derivative at the clamped value. It is
/// never zero, so that points that coincide numerically are still pushed apart. Any shape, unchanged.
///
/// # Errors
/// When a tensor operation fails.
pub fn bounded_angles(cosines: &Tensor, clamp: f64) -> Result<Tensor> {
    let bounded = cosines.detach().clamp(clamp - 1.0, 1.0 - clamp)?;
    let derivative = (bounded.sqr()?.affine(-1.0, 1.0)?.sqrt()?.recip()? * (-1.0 / PI))?;
    attach_gradient(cosines, &(arccos(&bounded)? / PI)?, &derivative)
}

/// The arccosine of numbers strictly between -1 and 1, without a gradient. candle has no arccosine: this is a polynomial within
/// 7e-5 (Abramowitz and Stegun, 4.4.45), refined by two steps of Newton's method.
fn arccos(cosines: &Tensor) -> Result<Tensor> {
    let x = cosines.abs()?;
    let mut sum = x.affine(-0.018_729_3, 0.074_261)?;
    for coefficient in [-0.212_114_4, 1.570_728_8] {
        sum = ((sum * &x)? + coefficient)?;
    }
    let acute = (sum * x.affine(-1.0, 1.0)?.sqrt()?)?;
    let mut angle = cosines.lt(0f64)?.where_cond(&acute.affine(-1.0, PI)?, &acute)?;
    for _ in 0..2 {
        angle = (&angle + (angle.cos()? - cosines)?.div(&angle.sin()?)?)?;
    }
    Ok(angle)
}

/// `ln(Σ exp(x) / count)` over the last `rank` dims. `count` is the number of terms, without those that are masked with x = -inf.
/// The sum is shifted by the largest x, so that it neither overflows nor underflows. (..., dims) -> (...)
///
/// # Errors
/// When a tensor operation fails.
pub fn log_mean_exp(x: &Tensor, rank: usize, count: usize) -> Result<Tensor> {
    let kept = x.rank() - rank;
    let x = x.flatten_from(kept)?; // (..., terms)
    let largest = x.max_keepdim(D::Minus1)?.detach();
    let sum = x.broadcast_sub(&largest)?.exp()?.sum(D::Minus1)?;
    Ok(((sum / count as f64)?.log()? + largest.squeeze(D::Minus1)?)?) // divided first, so that a log near 0 keeps its digits
}

/// Matrices with `fill` in place of their diagonals, which get no gradient. (g, n, n) -> (g, n, n)
///
/// # Errors
/// When a tensor operation fails.
pub fn off_diagonal(matrices: &Tensor, fill: f64) -> Result<Tensor> {
    let n = matrices.dim(2)?;
    let on = Tensor::eye(n, candle_core::DType::U8, matrices.device())?.broadcast_as(matrices.shape())?;
    let fill = Tensor::full(fill, (), matrices.device())?.to_dtype(matrices.dtype())?.broadcast_as(matrices.shape())?;
    Ok(on.where_cond(&fill, matrices)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    fn cloud() -> Tensor {
        Tensor::new(&[[[3f64, 4.0], [0.0, 2.0]]], &Device::Cpu).unwrap()
    }

    fn check(found: &Tensor, expected: &[f64]) {
        let found = found.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        assert_eq!(found.len(), expected.len());
        assert!(found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-12), "{found:?} {expected:?}");
    }

    #[test]
    fn pairs_by_hand() {
        check(&cosines(&cloud(), 0.0).unwrap(), &[1.0, 0.8, 0.8, 1.0]);
        check(&squared_distances(&cloud()).unwrap(), &[0.0, 13.0, 13.0, 0.0]);
        check(&unit(&cloud()).unwrap(), &[0.6, 0.8, 0.0, 1.0]);
    }

    #[test]
    fn a_zero_vector_has_a_finite_gradient() {
        let points = Var::new(&[[[0f32, 0.0], [0.0, 0.0]]], &Device::Cpu).unwrap();
        let total = cosines(&points, 0.0).unwrap().sum_all().unwrap();
        let grads = total.backward().unwrap();
        assert_eq!(grads.get(&points).unwrap().to_vec3::<f32>().unwrap(), [[[0.0; 2]; 2]]);
    }

    #[test]
    fn angles_are_clamped_with_a_straight_through_gradient() {
        let c = Var::new(&[0f64, 1.0, -1.0], &Device::Cpu).unwrap();
        let angles = bounded_angles(&c, 0.5).unwrap();
        check(&angles, &[0.5, 1.0 / 3.0, 2.0 / 3.0]); // arccos(±0.5) is π/3 and 2π/3
        let grads = angles.sum_all().unwrap().backward().unwrap();
        let at_bound = -1.0 / (PI * 0.75f64.sqrt());
        check(grads.get(&c).unwrap(), &[-1.0 / PI, at_bound, at_bound]);
    }

    #[test]
    fn log_mean_exp_of_large_numbers() {
        let x = Tensor::new(&[[1000f64, 1000.0], [f64::NEG_INFINITY, 5.0]], &Device::Cpu).unwrap();
        check(&log_mean_exp(&x, 1, 2).unwrap(), &[1000.0, 5.0 - 2f64.ln()]);
        check(&log_mean_exp(&x, 2, 2).unwrap(), &[1000.0]); // the two small terms vanish beside e^1000
    }

    #[test]
    fn diagonals_are_filled_and_pass_no_gradient() {
        let m = Var::new(&[[[1f64, 2.0], [3.0, 4.0]]], &Device::Cpu).unwrap();
        let filled = off_diagonal(&m, 0.0).unwrap();
        check(&filled, &[0.0, 2.0, 3.0, 0.0]);
        let grads = filled.sum_all().unwrap().backward().unwrap();
        check(grads.get(&m).unwrap(), &[0.0, 1.0, 1.0, 0.0]);
    }
}
