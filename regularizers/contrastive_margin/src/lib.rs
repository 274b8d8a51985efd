//! SimCTG's contrastive loss: the tokens of a sequence kept apart in angle by a margin.
//!
//! For a group of n points with cosines `s_ij`:
//! ```text
//! mean_{i≠j} max(0, margin - s_ii + s_ij)
//! ```
//! where `s_ii`, the cosine of a point with itself, is 1: pairs whose cosine is below `1 - margin` pay nothing.
//!
//! Su, Lan, Wang, Yogatama, Kong, Collier, "A Contrastive Framework for Neural Text Generation", NeurIPS 2022, arXiv:2202.06417,
//! eq. 2. Deviations: `s_ii` is the constant 1, without what rounding leaves of it; a point of norm 0 has cosine 0 with every
//! other. The paper applies it to the last hidden state alone, which is `layers: last`.
//!
//! # Shapes
//! points (g, n, d) -> scalar, by way of (g, n, n); the kernel by way of blocks of pairs, in memory linear in n

use regatta_core::kernels::{PairTerm, Pairs, Scaled, pair_sum};
use regatta_core::maths::{cosines, off_diagonal};
use regatta_core::number::Positive;
use regatta_core::simd::{Lanes, Simd};
use regatta_core::{Cloud, Draw, FloatCloud, Kernel, Regularizer, Result, Tensor, regularizer, typetag};

regularizer! {
    name: "contrastive_margin",
    summary: "keeps the tokens of a sequence apart in angle by a margin",
    paper: "Su et al., \"A Contrastive Framework for Neural Text Generation\" (SimCTG), NeurIPS 2022, arXiv:2202.06417, eq. 2",
    formula: "mean_{i≠j} max(0, margin - 1 + s_ij), s_ij the cosine of two points",
    expects: "points of a sequence, at any scale; in the paper, of the last hidden state (layers: last)",
    /// Tokens kept apart in angle.
    pub struct ContrastiveMargin {
        /// By how much the cosine of a pair is to be below 1 (paper: 0.5).
        pub margin: Positive = Positive::new(0.5),
    }
}

#[typetag::serde(name = "contrastive_margin")]
impl Regularizer for ContrastiveMargin {
    fn penalty(&self, cloud: &Cloud, _: &mut Draw) -> Result<Tensor> {
        let over = (cosines(cloud.points(), 0.0)? + (self.margin.get() - 1.0))?.relu()?; // (g, n, n)
        let sum = off_diagonal(&over, 0.0)?.sum((1, 2))?; // (g)
        Ok((sum.mean_all()? / ordered_pairs(cloud.count()))?)
    }

    fn kernel(&self) -> Option<&dyn Kernel> {
        Some(self)
    }
}

impl Kernel for ContrastiveMargin {
    fn penalties(&self, cloud: FloatCloud<'_>, _: &mut Draw) -> Result<Vec<f64>> {
        let d = cloud.dims();
        let hinge = Hinge { least: 1.0 - self.margin.get() as f32 };
        cloud.each_group(|points, gradient| {
            let u = Scaled::new(points.to_vec(), d, 0.0);
            let pairs = ordered_pairs(points.len() / d);
            let sum = pair_sum(&Pairs::products(u.points(), d), gradient, &hinge);
            u.backward(gradient, (1.0 / pairs) as f32);
            Ok(sum / pairs)
        })
    }
}

fn ordered_pairs(n: usize) -> f64 {
    n as f64 * (n as f64 - 1.0)
}

/// `max(0, cosine - least)`
struct Hinge {
    least: f32,
}

impl PairTerm for Hinge {
    #[inline(always)]
    fn of<S: Simd>(&self, cosine: Lanes<S>) -> (Lanes<S>, Lanes<S>) {
        let over = cosine - Lanes::splat(self.least);
        let derivative = Lanes::ZERO.simd_lt(over).select(Lanes::ONE, Lanes::ZERO);
        (Lanes::ZERO.fast_max(over), derivative) // NaN where the cosine is
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_core::candle::Device;

    fn check<const N: usize>(margin: f64, points: [[f64; 2]; N], expected: f64) {
        let cloud = Cloud::new(Tensor::new(&[points], &Device::Cpu).unwrap()).unwrap();
        let regularizer = ContrastiveMargin { margin: Positive::new(margin) };
        let found = regularizer.penalty(&cloud, &mut Draw::new(0, "test", 0, 0)).unwrap().to_scalar::<f64>().unwrap();
        assert!((found - expected).abs() < 1e-12, "{regularizer:?}: {found}, expected {expected}");
    }

    #[test]
    fn pairs_within_the_margin_pay() {
        check(0.5, [[3.0, 0.0], [0.6, 0.8]], 0.1); // cosine 0.6, 0.5 asked for
        check(0.5, [[3.0, 0.0], [0.0, 2.0]], 0.0);
        check(1.5, [[3.0, 0.0], [0.0, 2.0]], 0.5);
        check(0.5, [[3.0, 0.0], [1.0, 0.0]], 0.5); // equal directions pay the margin
        check(0.5, [[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]], (0.1 + 0.3 + 0.0) / 3.0); // cosines 0.6, 0.8, 0
    }

    #[test]
    fn kernel_agrees_with_tensor_operations() {
        for margin in [0.5, 0.8, 2.5] {
            regatta_core::conformance::kernel_agrees(&ContrastiveMargin { margin: Positive::new(margin) }, 1e-5);
        }
    }

    #[test]
    fn conforms() {
        regatta_core::conformance::conforms::<ContrastiveMargin>();
    }
}
