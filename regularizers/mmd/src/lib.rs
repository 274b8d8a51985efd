//! MMD: the maximum mean discrepancy between a group and a standard normal, in closed form.
//!
//! For a group of n points and d dims, with the kernel `k(x, y) = exp(-‖x - y‖² / (2h²))` of bandwidth h:
//! ```text
//! mean_{i,j} k(z_i, z_j)  -  2 (h²/(h²+1))^(d/2) mean_i exp(-‖z_i‖² / (2(1+h²)))  +  (h²/(h²+2))^(d/2)
//! ```
//! The last two terms are the means of k over a point and a normal vector, and over two normal vectors, so nothing is sampled. The
//! pair of a point with itself counts, so the value is never below 0. It is the BHEP statistic with β = 1/h over n: Baringhaus and
//! Henze, "A consistent test for multivariate normality based on the empirical characteristic function", Metrika 35, 1988; Henze
//! and Zirkler, "A class of invariant consistent tests for multivariate normality", 1990. LeJEPA's code has it among its
//! multivariate tests: Balestriero, LeCun, 2025, arXiv:2511.08544. Deviations: as there, not times n, and the points are not
//! standardised by their own covariance.
//!
//! At a bandwidth far above `sqrt(d)` every exponential is near 1, and their differences are small. So each is taken less 1, which
//! float32 keeps to all digits, and the three ones cancel by themselves. What is left cancels too, to about `d/h²` of its size: up to
//! a bandwidth of 10 `sqrt(d)`, float32 has four digits of the value.
//!
//! At home it sees at most 1,024 tokens of a batch: its cost grows with the square of the points, and those are what stays within a
//! tenth of a training step.
//!
//! # Shapes
//! points (g, n, d) -> scalar, by way of (g, n, n); the kernel by way of blocks of pairs, in memory linear in n

mod kernel;

use regatta_core::libm;
use regatta_core::maths::{off_diagonal, squared_distances};
use regatta_core::number::Positive;
use regatta_core::{Cloud, Draw, FloatCloud, Home, Kernel, MaxPoints, Regularizer, Result, Scale, Tensor, regularizer, typetag};

regularizer! {
    name: "mmd",
    summary: "lowers the maximum mean discrepancy between points and a standard normal",
    paper: "Baringhaus, Henze, Metrika 35, 1988 (the BHEP test); as in Balestriero, LeCun, \"LeJEPA\", 2025, arXiv:2511.08544",
    formula: "mean_ij k(z_i, z_j) - 2 (h²/(h²+1))^(d/2) mean_i exp(-‖z_i‖² / (2(1+h²))) + (h²/(h²+2))^(d/2)
k(x, y) = exp(-‖x - y‖² / (2h²)), h the bandwidth",
    expects: "tokens of a batch, rows with unit variance, and not too many, since all pairs count (points: batch, scale: layer_norm \
              or unit_sqrt_dim, max_points)",
    /// The maximum mean discrepancy between points and a standard normal.
    pub struct Mmd {
        /// Bandwidth h: differences of the distributions at a much smaller scale than this are not seen.
        pub bandwidth: Positive = Positive::new(10.0),
    }
}

#[typetag::serde(name = "mmd")]
impl Regularizer for Mmd {
    fn penalty(&self, cloud: &Cloud, _: &mut Draw) -> Result<Tensor> {
        let z = cloud.points(); // (g, n, d)
        let Closed { pair_rate, point_rate, point_weight, rest } = self.closed(cloud.dims());
        let distances = off_diagonal(&squared_distances(z)?, 0.0)?; // (g, n, n), a point's own is exactly 0
        let pairs = exponential_less_one(&(distances * (-0.5 * pair_rate))?)?.mean_all()?;
        let points = exponential_less_one(&(z.sqr()?.sum(2)? * (-0.5 * point_rate))?)?.mean_all()?;
        Ok(((pairs - (points * point_weight)?)? + rest)?)
    }

    fn home(&self) -> Home {
        Home { scale: Scale::LayerNorm, max_points: Some(MaxPoints::new(1024)), ..Home::BATCH }
    }

    fn kernel(&self) -> Option<&dyn Kernel> {
        Some(self)
    }
}

impl Kernel for Mmd {
    fn penalties(&self, cloud: FloatCloud<'_>, _: &mut Draw) -> Result<Vec<f64>> {
        let d = cloud.dims();
        let closed = self.closed(d);
        cloud.each_group(|points, gradient| Ok(kernel::value_and_gradient(points, d, &closed, gradient)))
    }
}

/// The closed form in d dims, each exponential less 1:
/// `mean_ij expm1(-pair_rate ‖z_i - z_j‖²/2) - point_weight mean_i expm1(-point_rate ‖z_i‖²/2) + rest`.
#[derive(Debug, Clone, Copy)]
struct Closed {
    pair_rate: f64,
    point_rate: f64,
    point_weight: f64,
    /// What the ones and the last term leave.
    rest: f64,
}

impl Mmd {
    fn closed(&self, dims: usize) -> Closed {
        let square = self.bandwidth.get() * self.bandwidth.get();
        let log_power = |variance: f64| -0.5 * dims as f64 * libm::log1p(variance / square); // of (h²/(h² + variance))^(d/2)
        Closed {
            pair_rate: 1.0 / square,
            point_rate: 1.0 / (1.0 + square),
            point_weight: 2.0 * libm::exp(log_power(1.0)),
            rest: libm::expm1(log_power(2.0)) - 2.0 * libm::expm1(log_power(1.0)),
        }
    }
}

/// `exp(x) - 1` of x at most 0, to all digits near 0: with t = tanh(x/2) it is `2t / (1 - t)`.
fn exponential_less_one(x: &Tensor) -> Result<Tensor> {
    let t = (x * 0.5)?.tanh()?;
    Ok((&t * 2.0)?.div(&t.affine(-1.0, 1.0)?)?)
}

#[cfg(test)]
mod tests;
