//! Supervised contrastive loss: points with the same label attract each other, all others repel.
//!
//! On the unit vectors u of a group, with P(i) the other points that have the label of i:
//! ```text
//! mean over i with P(i) ≠ ∅ of  -1/|P(i)| Σ_{p∈P(i)} log( exp(u_i·u_p / τ) / Σ_{a≠i} exp(u_i·u_a / τ) )
//! ```
//! Khosla et al., "Supervised Contrastive Learning", NeurIPS 2020, arXiv:2004.11362, equation 2. A label is the token that the model is
//! to predict at the point, so this regularizer is label-aware: it is told the answers that all others are not.
//!
//! # Deviations from the paper
//! - The paper's points are two augmented views of each image, with the class as label. Here they are the tokens of a batch, one
//!   view each, with the next token as label. So a point may have no other with its label; such points have no term, and a group
//!   without a pair has penalty 0.
//! - The paper has τ = 0.1, and so has the default.
//!
//! # Shapes
//! points (g, n, d), labels (g, n)
//!
//! # Errors
//! When the cloud has no labels.

use regatta_core::candle::D;
use regatta_core::maths::{log_sum_exp, matmul, mean_all, sum_last, unit};
use regatta_core::number::Positive;
use regatta_core::{Cloud, Draw, Home, Points, Regularizer, Result, Tensor, regularizer, typetag};

/// Added to the exponent of a point with itself, which its normaliser leaves out.
const NEVER: f64 = -1e9;

regularizer! {
    name: "supervised_contrastive",
    summary: "pulls points with the same next token together, and pushes all others apart",
    paper: "Khosla et al., \"Supervised Contrastive Learning\", NeurIPS 2020, arXiv:2004.11362, equation 2",
    formula: "mean over i of -1/|P(i)| Σ_{p∈P(i)} log(exp(u_i·u_p / temperature) / Σ_{a≠i} exp(u_i·u_a / temperature)),
u the unit vectors, P(i) the other points with the next token of i",
    expects: "tokens of a batch, at any scale, each with its next token",
    /// Points with the same next token together, all others apart.
    pub struct SupervisedContrastive {
        /// Temperature τ. A smaller τ gives more weight to the closest pairs (paper: 0.1).
        pub temperature: Positive = Positive::new(0.1),
    }
}

#[typetag::serde(name = "supervised_contrastive")]
impl Regularizer for SupervisedContrastive {
    fn penalty(&self, cloud: &Cloud, _: &mut Draw) -> Result<Tensor> {
        let labels = cloud.labels()?; // (g, n)
        let (n, dtype) = (cloud.count(), cloud.points().dtype());
        let u = unit(cloud.points())?; // (g, n, d)
        let logits = (matmul(&u, &u.transpose(1, 2)?)? / self.temperature.get())?; // (g, n, n)
        let itself = Tensor::eye(n, dtype, u.device())?.unsqueeze(0)?; // (1, n, n)
        let same = labels.unsqueeze(2)?.broadcast_eq(&labels.unsqueeze(1)?)?.to_dtype(dtype)?;
        let positives = same.broadcast_sub(&itself)?; // (g, n, n)
        let count = positives.sum(D::Minus1)?; // (g, n)
        let normalizers = log_sum_exp(&logits.broadcast_add(&(&itself * NEVER)?)?)?; // (g, n)
        let attraction = (sum_last(&(positives * logits)?)?.squeeze(D::Minus1)? / count.maximum(1f64)?)?;
        let has_one = count.minimum(1f64)?; // 1 where a point has a positive, else 0
        let total = sum_last(&((normalizers - attraction)? * &has_one)?)?; // (g, 1)
        mean_all(&(total / has_one.sum_keepdim(D::Minus1)?.maximum(1f64)?)?)
    }

    fn needs_labels(&self) -> bool {
        true
    }

    fn home(&self) -> Home {
        Home { points: Points::Batch, ..Home::DEFAULT }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_core::candle::Device;

    fn penalty(points: &[[f64; 2]], labels: &[u32], temperature: f64) -> f64 {
        let points = Tensor::from_slice(points.as_flattened(), (1, points.len(), 2), &Device::Cpu).unwrap();
        let labels = Tensor::new(labels, &Device::Cpu).unwrap().unsqueeze(0).unwrap();
        let cloud = Cloud::new(points).unwrap().with_labels(labels).unwrap();
        let plugin = SupervisedContrastive { temperature: Positive::new(temperature) };
        plugin.penalty(&cloud, &mut Draw::new(0, "test", 0, 0)).unwrap().to_scalar().unwrap()
    }

    #[test]
    fn three_points_by_hand() {
        // unit vectors a, a and b at a right angle; a pair of equal labels, and one point alone, which has no term:
        // both others have -1/τ + ln(e^{1/τ} + e^0) with τ = 1
        let expected = -1.0 + (1f64.exp() + 1.0).ln();
        let found = penalty(&[[2.0, 0.0], [5.0, 0.0], [0.0, 3.0]], &[7, 7, 8], 1.0);
        assert!((found - expected).abs() < 1e-12, "{found} where {expected} was expected");
        // the first and the last with one label: -0 + ln(e^1 + e^0), and -0 + ln(e^0 + e^0)
        let expected = ((1f64.exp() + 1.0).ln() + 2f64.ln()) / 2.0;
        let found = penalty(&[[2.0, 0.0], [5.0, 0.0], [0.0, 3.0]], &[7, 8, 7], 1.0);
        assert!((found - expected).abs() < 1e-12, "{found} where {expected} was expected");
    }

    #[test]
    fn a_temperature_divides_the_cosines() {
        // two pairs: cosines 1 within, 0 across; -1/τ + ln(e^{1/τ} + 2) each, with τ = 1/2
        let found = penalty(&[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]], &[1, 1, 2, 2], 0.5);
        assert!((found - (-2.0 + (2f64.exp() + 2.0).ln())).abs() < 1e-12, "{found}");
    }

    #[test]
    fn without_a_pair_there_is_no_penalty() {
        assert_eq!(penalty(&[[1.0, 0.0], [0.0, 1.0]], &[1, 2], 0.1), 0.0);
    }

    #[test]
    fn conforms() {
        regatta_core::conformance::conforms::<SupervisedContrastive>();
    }
}
