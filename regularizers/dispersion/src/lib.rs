//! Dispersion loss: pushes the points of a group apart, by angle or by distance.
//!
//! For a group `z` of n points of d dims, let `c_ij` be the cosine of points i and j, computed from `z_i / (‖z_i‖ + ε)` and clamped
//! to ±(1 - clamp), and `a_ij = arccos(c_ij) / π` their angle:
//! ```text
//! angular_spread      log mean_{i≠j} exp(-a_ij / τ + ε)
//! l2_repel            log mean_{i,j} exp(-‖z_i - z_j‖² / τ + ε) + norm_weight · mean(z²)
//! decorrelation       mean_{i≠j} (s_i·s_j / (d - 1))²,  s_i = z_i standardised over its dims
//! orthogonalization   mean_{i≠j} max(0, margin - a_ij)²
//! perplexity_entropy  mean_i Σ_{j≠i} p_ij log₂(p_ij + ε),  p_i = softmax over j≠i of -‖z_i - z_j‖² / τ
//! ```
//! Liu et al., "Dispersion Loss Counteracts Embedding Condensation and Improves Generalization in Small Language Models",
//! 2026, arXiv:2602.00217. The default is the paper's angular spread; the others are the alternatives that it compares.
//!
//! The following details come from the published code and are not in the paper's formulas:
//!
//! - ε is also added to the exponents.
//! - `l2_repel` includes the pairs i = j and penalises norms by norm_weight · mean(z²).
//! - The clamp is straight-through: for a cosine beyond the bound, the gradient is that at the bound.
//!
//! `l2_repel` with `norm_weight: 0` and `epsilon: 0` is the Dispersive Loss of Wang, He, "Diffuse and Disperse: Image Generation
//! with Representation Regularization", 2025, arXiv:2506.09027: its InfoNCE form with squared l2 distances. Their code divides the
//! squared distances by the dims, which is τ = d here.
//!
//! # Shapes
//! points (g, n, d) -> scalar, through intermediates (g, n, n). The kernel computes pairs in blocks; its memory is linear in n.
//!
//! # Units
//! Angles are in half turns: 1 is opposite. `angular_spread` is in nats, as is `l2_repel` without its norm term; `perplexity_entropy`
//! is in bits, `decorrelation` and `orthogonalization` are dimensionless.
//!
//! # Errors
//! `decorrelation` returns an error for points of one dim.

mod kernels;
mod neighbours;

use regatta_core::maths::{bounded_angles, cosines, log_mean_exp, off_diagonal, squared_distances};
use regatta_core::number::{Inner, NonNegative, Positive};
use regatta_core::schemars::JsonSchema;
use regatta_core::serde::{Deserialize, Serialize};
use regatta_core::{Cloud, Draw, Error, Kernel, Regularizer, Result, Tensor, regularizer, typetag};

/// What is penalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "regatta_core::serde", rename_all = "snake_case")]
#[schemars(crate = "regatta_core::schemars")]
pub enum Variant {
    /// Small angles, by a log-mean-exp in which the closest pairs have the largest weights.
    AngularSpread,
    /// Small distances, by a log-mean-exp, and large norms.
    L2Repel,
    /// Squared correlations between points, computed over their dims.
    Decorrelation,
    /// Angles below a margin.
    Orthogonalization,
    /// Low entropy of each point's softmax over its neighbours.
    PerplexityEntropy,
}

regularizer! {
    name: "dispersion",
    summary: "pushes points apart by angle or distance",
    paper: "Liu et al., \"Dispersion Loss Counteracts Embedding Condensation and Improves Generalization in \
            Small Language Models\", 2026, arXiv:2602.00217; \
            l2_repel with norm_weight 0 and epsilon 0: the Dispersive Loss of Wang, He, 2025, arXiv:2506.09027",
    formula: "a_ij = arccos(c_ij) / π, c_ij the cosine of z_i / (‖z_i‖ + ε), clamped to ±(1 - clamp)
angular_spread: log mean_{i≠j} exp(-a_ij / τ + ε)
l2_repel: log mean_{i,j} exp(-‖z_i - z_j‖² / τ + ε) + norm_weight · mean(z²); where norm_weight = ε = 0, the Dispersive Loss
decorrelation: mean_{i≠j} (s_i·s_j / (d - 1))², s_i standardised over its dims
orthogonalization: mean_{i≠j} max(0, margin - a_ij)²
perplexity_entropy: mean_i Σ_j p_ij log₂(p_ij + ε), p_i = softmax over j≠i of -‖z_i - z_j‖² / τ",
    expects: "points of a sequence, at any scale; l2_repel and perplexity_entropy depend on the scale",
    variants: [
        Dispersion { variant: Variant::L2Repel, ..Default::default() },
        Dispersion { variant: Variant::Decorrelation, ..Default::default() },
        Dispersion { variant: Variant::Orthogonalization, ..Default::default() },
        Dispersion { variant: Variant::PerplexityEntropy, ..Default::default() },
    ],
    /// Closeness of points, by angle or by distance.
    pub struct Dispersion {
        /// The loss: angular_spread, l2_repel, decorrelation, orthogonalization or perplexity_entropy.
        pub variant: Variant = Variant::AngularSpread,
        /// Temperature τ of angular_spread, l2_repel and perplexity_entropy. A smaller τ gives more weight to the closest pairs.
        pub temperature: Positive = Positive::new(1.0)
            => [variant: Variant::AngularSpread | Variant::L2Repel | Variant::PerplexityEntropy],
        /// Minimum angle of orthogonalization, in half turns: 0.5 is a right angle. Pairs beyond it are not penalised.
        pub margin: NonNegative = NonNegative::new(0.5) => [variant: Variant::Orthogonalization],
        /// ε, added to norms, exponents and arguments of logarithms.
        pub epsilon: NonNegative = NonNegative::new(0.01) => [if |it: &Dispersion| it.variant != Variant::Decorrelation],
        /// Weight of mean(z²) in l2_repel, which penalises norms; the Dispersive Loss has none.
        pub norm_weight: NonNegative = NonNegative::new(0.1) => [variant: Variant::L2Repel],
        /// Cosines are clamped to ±(1 - clamp), which keeps the derivative of the arccosine finite.
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
            Variant::AngularSpread | Variant::Orthogonalization => Some(
                "the clamp is straight-through, so the derivative beyond the bound is that at the bound, while the angle is constant",
            ),
            Variant::L2Repel | Variant::Decorrelation | Variant::PerplexityEntropy => None,
        }
    }
}

impl Dispersion {
    /// A correlation over a single dim is undefined.
    fn check_dims(&self, dims: usize) -> Result<()> {
        if self.variant == Variant::Decorrelation && dims < 2 {
            return Err(Error::TooFewDims { least: 2, found: dims });
        }
        Ok(())
    }

    fn angular_spread(&self, z: &Tensor) -> Result<Tensor> {
        let n = z.dim(1)?;
        let exponents = self.angles(z)?.affine(-1.0 / self.temperature.get(), self.epsilon.get())?; // (g, n, n)
        Ok(log_mean_exp(&off_diagonal(&exponents, f64::NEG_INFINITY)?, 2, n * (n - 1))?.mean_all()?)
    }

    fn l2_repel(&self, z: &Tensor) -> Result<Tensor> {
        let n = z.dim(1)?;
        let distances = off_diagonal(&squared_distances(z)?, 0.0)?; // (g, n, n), exactly 0 on the diagonal
        let exponents = distances.affine(-1.0 / self.temperature.get(), self.epsilon.get())?;
        let repel = log_mean_exp(&exponents, 2, n * n)?.mean_all()?;
        Ok((repel + (z.sqr()?.mean_all()? * self.norm_weight.get())?)?)
    }

    fn orthogonalization(&self, z: &Tensor) -> Result<Tensor> {
        let n = z.dim(1)?;
        let shortfall = self.angles(z)?.affine(-1.0, self.margin.get())?.relu()?; // (g, n, n)
        mean_over_pairs(&off_diagonal(&shortfall.sqr()?, 0.0)?, n)
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

/// Lower bound on ε. If ε is 0 and a weight underflows to 0, it makes p log(p + ε) 0 instead of NaN, in float32 too.
const LEAST_EPSILON: f64 = 1e-30;

/// `s_i·s_j / (d - 1)` equals the cosine of the points after each is centred over its dims, so no standard deviation is computed. A
/// point that is constant over its dims has correlation 0 and a finite gradient.
fn decorrelation(z: &Tensor) -> Result<Tensor> {
    let n = z.dim(1)?;
    let correlations = cosines(&z.broadcast_sub(&z.mean_keepdim(2)?)?, 0.0)?; // (g, n, n)
    mean_over_pairs(&off_diagonal(&correlations.sqr()?, 0.0)?, n)
}

/// Mean over groups and over pairs i≠j. (g, n, n) with zero diagonals -> scalar
fn mean_over_pairs(pairs: &Tensor, n: usize) -> Result<Tensor> {
    Ok((pairs.sum((1, 2))?.mean_all()? / (n * (n - 1)) as f64)?)
}

#[cfg(test)]
mod tests;
