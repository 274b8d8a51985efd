//! Which test of normality the slices are held to, and the tests on the order and moments of projections by tensor operations.

use regatta_core::candle::{D, DType, Device};
use regatta_core::libm;
use regatta_core::maths::attach_gradient;
use regatta_core::schemars::JsonSchema;
use regatta_core::serde::{Deserialize, Serialize};
use regatta_core::{Result, Tensor};
use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2, TAU};

/// How a slice is compared with a standard normal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "regatta_core::serde", rename_all = "snake_case")]
#[schemars(crate = "regatta_core::schemars")]
pub enum Test {
    /// By characteristic functions.
    EppsPulley,
    /// By distribution functions.
    CramerVonMises,
    /// By distribution functions, up to a shift between them.
    Watson,
    /// By distribution functions, with most weight on the tails.
    AndersonDarling,
    /// By the first four moments.
    JarqueBera,
}

/// Below it a slice's variance is held, so that one that has collapsed has a finite gradient; its root is 1e-8.
pub const LEAST_VARIANCE: f64 = 1e-16;

/// Values of a slice up to which candle's kernels sort it on a GPU, where one block of 1,024 threads does it all. Longer slices are
/// sorted on the CPU.
const MOST_SORTED_BY_A_GPU: usize = 1024;

/// What the i-th smallest of n numbers is compared with: `(2i - 1) / (2n)`, i from 1.
pub fn midpoint(rank: usize, n: usize) -> f64 {
    (rank as f64 + 0.5) / n as f64
}

/// The statistic of each slice. (g, n, k) -> (g, k)
pub fn cramer_von_mises(x: &Tensor) -> Result<Tensor> {
    let (excess, _) = excess(x)?;
    Ok(excess.sqr()?.mean(D::Minus1)?)
}

/// As [`cramer_von_mises`], less the square of the mean excess: that is `mean F(x) - 1/2`, as the midpoints have mean 1/2.
pub fn watson(x: &Tensor) -> Result<Tensor> {
    let (excess, _) = excess(x)?;
    Ok(excess.broadcast_sub(&excess.mean_keepdim(D::Minus1)?)?.sqr()?.mean(D::Minus1)?)
}

/// As [`cramer_von_mises`]. Of the sums over `log F(s_i)` and `log F(-s_(n+1-i))` the second is taken in the order of the first.
pub fn anderson_darling(x: &Tensor) -> Result<Tensor> {
    let (sorted, midpoints) = sorted(x)?;
    let below = log_distribution(&sorted)?.broadcast_mul(&midpoints)?;
    let above = log_distribution(&sorted.neg()?)?.broadcast_mul(&midpoints.affine(-1.0, 1.0)?)?;
    let n = x.dim(1)? as f64;
    Ok((below + above)?.sum(D::Minus1)?.affine(-2.0, -n)?)
}

/// As [`cramer_von_mises`].
pub fn jarque_bera(x: &Tensor) -> Result<Tensor> {
    let n = x.dim(1)? as f64;
    let mean = x.mean_keepdim(1)?; // (g, 1, k)
    let apart = x.broadcast_sub(&mean)?;
    let raw_variance = (apart.sqr()?.sum_keepdim(1)? / (n - 1.0))?;
    let variance = raw_variance.maximum(LEAST_VARIANCE)?;
    let standardised = apart.broadcast_div(&variance.sqrt()?)?;
    let skewness = (standardised.sqr()? * &standardised)?.mean_keepdim(1)?;
    let kurtosis = standardised.sqr()?.sqr()?.mean_keepdim(1)?;
    let of_mean = (mean.sqr()? / variance)?.affine(n, 0.0)?;
    let of_variance = raw_variance.affine(1.0, -1.0)?.sqr()?.affine((n - 1.0) / 2.0, 0.0)?;
    let of_shape = (skewness.sqr()? + (kurtosis.affine(1.0, -3.0)?.sqr()? / 4.0)?)?.affine(n / 6.0, 0.0)?;
    Ok(((of_mean + of_variance)? + of_shape)?.squeeze(1)?)
}

/// The values of each slice in increasing order, equal ones in the order of their points, and the midpoints.
/// (g, n, k) -> (g, k, n), (n)
fn sorted(x: &Tensor) -> Result<(Tensor, Tensor)> {
    let slices = x.transpose(1, 2)?.contiguous()?; // (g, k, n)
    let n = x.dim(1)?;
    let order = if n <= MOST_SORTED_BY_A_GPU {
        slices.detach().arg_sort_last_dim(true)?
    } else {
        slices.detach().to_device(&Device::Cpu)?.arg_sort_last_dim(true)?.to_device(x.device())?
    };
    let midpoints: Vec<f64> = (0..n).map(|rank| midpoint(rank, n)).collect();
    let midpoints = Tensor::from_vec(midpoints, n, &Device::Cpu)?.to_dtype(x.dtype())?.to_device(x.device())?;
    Ok((slices.gather(&order, D::Minus1)?, midpoints))
}

/// By how much the normal distribution function at each sorted value is above its midpoint. (g, n, k) -> (g, k, n), (n)
fn excess(x: &Tensor) -> Result<(Tensor, Tensor)> {
    let (sorted, midpoints) = sorted(x)?;
    let distribution = (sorted * FRAC_1_SQRT_2)?.erf()?.affine(0.5, 0.5)?;
    Ok((distribution.broadcast_sub(&midpoints)?, midpoints))
}

/// Log of the normal distribution function of each number, computed in float64 on the CPU.
fn log_distribution(x: &Tensor) -> Result<Tensor> {
    let numbers = x.detach().to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
    let (values, derivatives): (Vec<f64>, Vec<f64>) = numbers.into_iter().map(log_distribution_at).unzip();
    let like_x =
        |numbers: Vec<f64>| Tensor::from_vec(numbers, x.shape(), &Device::Cpu)?.to_dtype(x.dtype())?.to_device(x.device());
    attach_gradient(x, &like_x(values)?, &like_x(derivatives)?)
}

/// `log F(x)` and its derivative. Where the complementary error function would underflow, by its asymptotic series.
fn log_distribution_at(x: f64) -> (f64, f64) {
    const FAR: f64 = -30.0;
    let density = libm::exp(-0.5 * x * x) / TAU.sqrt();
    if x > 0.0 {
        let above = 0.5 * libm::erfc(x / SQRT_2);
        return (libm::log1p(-above), density / (1.0 - above));
    }
    if x > FAR {
        let below = 0.5 * libm::erfc(-x / SQRT_2);
        return (libm::log(below), density / below);
    }
    let inverse = 1.0 / (x * x);
    let series = 1.0 - inverse * (1.0 - 3.0 * inverse * (1.0 - 5.0 * inverse * (1.0 - 7.0 * inverse)));
    (-0.5 * x * x - libm::log(-x * TAU.sqrt() / series), -x / series)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_of_the_distribution_in_both_tails() {
        let check = |x: f64, expected: f64| {
            let (found, derivative) = log_distribution_at(x);
            assert!((found / expected - 1.0).abs() < 1e-12, "{x}: {found}, expected {expected}");
            let step = 1e-4 * x.abs().max(1.0);
            let difference = (log_distribution_at(x + step).0 - log_distribution_at(x - step).0) / (2.0 * step);
            assert!(
                (derivative - difference).abs() < 1e-6 * derivative.abs().max(1e-3),
                "{x}: {derivative}, expected {difference}"
            );
        };
        check(0.0, 0.5f64.ln());
        check(1.0, -0.172_753_779_023_449_88); // log 0.841344746068543
        check(-3.0, -6.607_726_221_510_342); // log 0.001349898031630
        check(-29.999, -454.291_211_196_123_87);
        check(-30.001, -454.351_277_715_458_76);
        let (value, derivative) = log_distribution_at(-1e6);
        assert!((value + 5e11).abs() < 20.0 && (derivative - 1e6).abs() < 1e-3);
    }
}
