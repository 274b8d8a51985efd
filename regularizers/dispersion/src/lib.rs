//! Dispersion loss: the points of a group pushed apart, by angle or by distance.
//!
//! For a group `z` of n points and d dims, with `c_ij` the cosine of `z_i / (‖z_i‖ + ε)` and `a_ij = arccos(c_ij) / π`,
//! `c_ij` bounded to ±(1 - clamp):
//! ```text
//! angular_spread      log mean_{i≠j} exp(-a_ij / τ + ε)
//! l2_repel            log mean_{i,j} exp(-‖z_i - z_j‖² / τ + ε) + norm_weight · mean(z²)
//! decorrelation       mean_{i≠j} (s_i·s_j / (d - 1))²,  s_i = z_i standardised over its dims
//! orthogonalization   mean_{i≠j} max(0, margin - a_ij)²
//! perplexity_entropy  mean_i Σ_{j≠i} p_ij log₂(p_ij + ε),  p_i = softmax over j≠i of -‖z_i - z_j‖² / τ
//! ```
//! Liu et al., "Dispersion Loss Counteracts Embedding Condensation and Improves Generalization in Small Language Models",
//! 2026, arXiv:2602.00217; the default is its angular spread, the others are the variants that it compares.
//!
//! As in the published code and beyond the paper's formulas: ε is added to the exponent too, `l2_repel` counts each point's
//! distance to itself and holds the norms down by mean(z²), and the clamp is straight-through: where a cosine lies beyond
//! its bound, the slope is that at the bound.
//!
//! `l2_repel` with `norm_weight: 0` and `epsilon: 0` is the Dispersive Loss of Wang, He, "Diffuse and Disperse: Image Generation
//! with Representation Regularization", 2025, arXiv:2506.09027: its InfoNCE form with squared l2 distances. Their code divides the
//! squared distances by the dims, which is τ = d here.
//!
//! # Shapes
//! points (g, n, d) -> scalar, by way of (g, n, n); the kernel by way of blocks of pairs, in memory linear in n

mod kernels;
mod neighbours;

use regatta_core::maths::{bounded_angles, cosines, log_mean_exp, off_diagonal, squared_distances};
use regatta_core::number::{Inner, NonNegative, Positive};
use regatta_core::schemars::JsonSchema;
use regatta_core::serde::{Deserialize, Serialize};
use regatta_core::{Cloud, Draw, Error, Kernel, Regularizer, Result, Tensor, regularizer, typetag};

/// What is penalised about a pair of points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "regatta_core::serde", rename_all = "snake_case")]
#[schemars(crate = "regatta_core::schemars")]
pub enum Variant {
    /// Small angles, softly: the nearest pairs weigh most.
    AngularSpread,
    /// Small distances, softly, with the norms held down.
    L2Repel,
    /// Correlation of two points over their dims, of either sign.
    Decorrelation,
    /// Angles below a margin.
    Orthogonalization,
    /// Neighbourhoods in which a few points hold all the weight.
    PerplexityEntropy,
}

regularizer! {
    name: "dispersion",
    summary: "pushes points apart by angle or distance",
    paper: "Liu et al., \"Dispersion Loss Counteracts Embedding Condensation and Improves Generalization in \
            Small Language Models\", 2026, arXiv:2602.00217; \
            l2_repel with norm_weight 0 and epsilon 0: the Dispersive Loss of Wang, He, 2025, arXiv:2506.09027",
    formula: "a_ij = arccos(c_ij) / π, c_ij the cosine of z_i / (norm + ε), bounded to ±(1 - clamp)
angular_spread: log mean_{i≠j} exp(-a_ij / τ + ε)
l2_repel: log mean_{i,j} exp(-‖z_i - z_j‖² / τ + ε) + norm_weight · mean(z²); where norm_weight = ε = 0, the Dispersive Loss
decorrelation: mean_{i≠j} (s_i·s_j / (d - 1))², s_i standardised over its dims
orthogonalization: mean_{i≠j} max(0, margin - a_ij)²
perplexity_entropy: mean_i Σ_j p_ij log₂(p_ij + ε), p_i = softmax over j≠i of -‖z_i - z_j‖² / τ",
    expects: "points of a sequence, at any scale; l2_repel and perplexity_entropy see distances, and so the scale",
    variants: [
        Dispersion { variant: Variant::L2Repel, ..Default::default() },
        Dispersion { variant: Variant::Decorrelation, ..Default::default() },
        Dispersion { variant: Variant::Orthogonalization, ..Default::default() },
        Dispersion { variant: Variant::PerplexityEntropy, ..Default::default() },
    ],
    /// Points pushed apart, by angle or by distance.
    pub struct Dispersion {
        /// What is penalised: angular_spread, l2_repel, decorrelation, orthogonalization or perplexity_entropy.
        pub variant: Variant = Variant::AngularSpread,
        /// Temperature τ of angular_spread, l2_repel and perplexity_entropy: the smaller, the more the nearest pairs count.
        pub temperature: Positive = Positive::new(1.0)
            => [variant: Variant::AngularSpread | Variant::L2Repel | Variant::PerplexityEntropy],
        /// Angle, in half turns, that orthogonalization asks of every pair; 0.5 is a right angle.
        pub margin: NonNegative = NonNegative::new(0.5) => [variant: Variant::Orthogonalization],
        /// ε beside norms, in exponents and in logarithms.
        pub epsilon: NonNegative = NonNegative::new(0.01)
            => [if |it: &Dispersion| it.variant != Variant::Decorrelation],
        /// Weight of mean(z²) in l2_repel, which holds the norms down; the Dispersive Loss has none.
        pub norm_weight: NonNegative = NonNegative::new(0.1) => [variant: Variant::L2Repel],
        /// Cosines are bounded to ±(1 - clamp), where the slope of the arccosine is still finite.
        pub clamp: Inner = Inner::new(0.25) => [variant: Variant::AngularSpread | Variant::Orthogonalization],
    }
}

#[typetag::serde(name = "dispersion")]
impl Regularizer for Dispersion {
    fn penalty(&self, cloud: &Cloud, _: &mut Draw) -> Result<Tensor> {
        let z = cloud.points(); // (g, n, d)
        self.check_dims(cloud.dims())?;
        match self.variant {
            Variant::AngularSpread => self.angular_spread(z),
            Variant::L2Repel => self.l2_repel(z),
            Variant::Decorrelation => decorrelation(z),
            Variant::Orthogonalization => self.orthogonalization(z),
            Variant::PerplexityEntropy => self.perplexity_entropy(z),
        }
    }

    fn kernel(&self) -> Option<&dyn Kernel> {
        Some(self)
    }

    fn surrogate_gradient(&self) -> Option<&'static str> {
        match self.variant {
            Variant::AngularSpread | Variant::Orthogonalization => {
                Some("beyond the clamp the angle is constant, and its slope is that at the bound")
            }
            Variant::L2Repel | Variant::Decorrelation | Variant::PerplexityEntropy => None,
        }
    }
}

impl Dispersion {
    /// Over one dim there is no correlation.
    fn check_dims(&self, dims: usize) -> Result<()> {
        match self.variant {
            Variant::Decorrelation if dims < 2 => Err(Error::TooFewDims { least: 2, found: dims }),
            _ => Ok(()),
        }
    }

    fn angular_spread(&self, z: &Tensor) -> Result<Tensor> {
        let n = z.dim(1)?;
        let exponents = self.angles(z)?.affine(-1.0 / self.temperature.get(), self.epsilon.get())?; // (g, n, n)
        Ok(log_mean_exp(&off_diagonal(&exponents, f64::NEG_INFINITY)?, 2, n * (n - 1))?.mean_all()?)
    }

    fn l2_repel(&self, z: &Tensor) -> Result<Tensor> {
        let n = z.dim(1)?;
        let distances = off_diagonal(&squared_distances(z)?, 0.0)?; // (g, n, n), a point's own is exactly 0
        let exponents = distances.affine(-1.0 / self.temperature.get(), self.epsilon.get())?;
        let repel = log_mean_exp(&exponents, 2, n * n)?.mean_all()?;
        Ok((repel + (z.sqr()?.mean_all()? * self.norm_weight.get())?)?)
    }

    fn orthogonalization(&self, z: &Tensor) -> Result<Tensor> {
        let n = z.dim(1)?;
        let short = self.angles(z)?.affine(-1.0, self.margin.get())?.relu()?; // (g, n, n)
        mean_over_pairs(&off_diagonal(&short.sqr()?, 0.0)?, n)
    }

    fn perplexity_entropy(&self, z: &Tensor) -> Result<Tensor> {
        let exponents = (squared_distances(z)? * (-1.0 / self.temperature.get()))?;
        let exponents = off_diagonal(&exponents, f64::NEG_INFINITY)?; // (g, n, n)
        let weights = exponents.broadcast_sub(&exponents.max_keepdim(2)?.detach())?.exp()?;
        let p = weights.broadcast_div(&weights.sum_keepdim(2)?)?;
        let logarithm = (&p + self.epsilon.get().max(LEAST_EPSILON))?.log()?;
        Ok(((p * logarithm)?.sum(2)?.mean_all()? * std::f64::consts::LOG2_E)?)
    }

    /// Angles in half turns. (g, n, d) -> (g, n, n)
    fn angles(&self, z: &Tensor) -> Result<Tensor> {
        bounded_angles(&cosines(z, self.epsilon.get())?, self.clamp.get())
    }
}

/// With epsilon 0 a weight that underflows would have no logarithm; with this p log p is 0 there, in float32 too.
const LEAST_EPSILON: f64 = 1e-30;

/// Standardised points have `s_i·s_j / (d - 1)` equal to the cosine of the points less the mean over their dims: both factors
/// d - 1 cancel. A point that is constant over its dims correlates with nothing, and its slope is finite.
fn decorrelation(z: &Tensor) -> Result<Tensor> {
    let n = z.dim(1)?;
    let correlations = cosines(&z.broadcast_sub(&z.mean_keepdim(2)?)?, 0.0)?; // (g, n, n)
    mean_over_pairs(&off_diagonal(&correlations.sqr()?, 0.0)?, n)
}

/// Mean over groups of the mean over i≠j. (g, n, n), diagonals 0 -> scalar
fn mean_over_pairs(pairs: &Tensor, n: usize) -> Result<Tensor> {
    Ok((pairs.sum((1, 2))?.mean_all()? / (n * (n - 1)) as f64)?)
}

#[cfg(test)]
mod tests;
