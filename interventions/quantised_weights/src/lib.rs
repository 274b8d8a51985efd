//! Quantisation-aware training: linear layers with weights of few bits and straight-through gradients.
//!
//! The linear layers (query, key and value, the attention output, and both layers of the MLP) use a rounded copy Ŵ of their weights
//! W in the forward and backward passes. The gradient with respect to Ŵ updates W:
//! ```text
//! ternary   s = max(mean |w|, 1e-5)       Ŵ = s·clamp(round(W / s), -1, 1)      the default
//! binary    s = mean |w|                  Ŵ = s·sign(W), sign(0) = 1
//! b bits    s = max |w| / (2^(b-1) - 1)   Ŵ = s·round(W / s)
//! W <- optimizer(W, ∂loss/∂Ŵ)             straight-through gradient
//! ```
//! Ties are rounded to even. A scale s is shared by a whole matrix (the default), by an output channel, or by a group of adjacent
//! inputs of a channel. Evaluation and export use the rounded model, in float32. W is stored only in the checkpoints that a trial
//! resumes from. Rounding is idempotent for binary and b-bit weights, up to the last digit of a scale. Ternary weights shrink if
//! they are rounded again, since zeros lower the mean |w|.
//!
//! Ma et al., "The Era of 1-bit LLMs", 2024, arXiv:2402.17764, section 2 (ternary, absmean, one scale per matrix; the minimum scale
//! of 1e-5 is that of the authors' code); Rastegari et al., "XNOR-Net", ECCV 2016, arXiv:1603.05279, section 3.1 (binary);
//! Bengio et al., 2013, arXiv:1308.3432 (straight-through gradients).
//!
//! # Deviations from the papers
//!
//! - Activations are not rounded (BitNet: 8 bits), and no norm is added before the linear layers (BitNet: SubLN), so that all arms
//!   train the same model.
//! - BitNet uses a higher learning rate and a two-stage schedule. Here both are the study's; `tune: {lr: [...]}` tunes the learning
//!   rate per arm.
//! - XNOR-Net's gradient is 0 where |w| > 1; here gradients pass through everywhere.
//!
//! As in the papers, the embedding, the output matrix, norms and biases are not rounded.
//!
//! # Shapes
//! weights (inputs, outputs)

use regatta_core::rounding::{Bits, Granularity, Layout, round, round_linear};
use regatta_core::{Action, Intervention, Result, Tensor, WeightRounding, intervention, typetag};

intervention! {
    name: "quantised_weights",
    summary: "trains linear layers with weights rounded to few bits (BitNet b1.58)",
    paper: "Ma et al., \"The Era of 1-bit LLMs\", 2024, arXiv:2402.17764, section 2; Rastegari et al., 2016, arXiv:1603.05279",
    formula: "W' = s clamp(round(W / s), -1, 1), s = mean |W| (ternary); the gradient of W' updates W",
    variants: [
        QuantisedWeights { bits: Bits::Binary, granularity: Granularity::Channel },
        QuantisedWeights { bits: Bits::Whole(4), granularity: Granularity::Group(32) },
    ],
    /// Linear layers with weights of few bits.
    pub struct QuantisedWeights {
        /// Bits per weight: `ternary`, `binary`, or 2 to 8.
        pub bits: Bits = Bits::Ternary,
        /// Weights that share a scale: `tensor`, `channel`, or the number of adjacent inputs of a channel that form a group.
        pub granularity: Granularity = Granularity::Tensor,
    }
}

#[typetag::serde(name = "quantised_weights")]
impl Intervention for QuantisedWeights {
    fn action(&self) -> Option<Action<'_>> {
        Some(Action::WeightRounding(self))
    }
}

impl WeightRounding for QuantisedWeights {
    fn round(&self, weights: &mut [f32], inputs: usize, outputs: usize) {
        round(weights, Layout::linear(inputs, outputs), self.bits, self.granularity);
    }

    fn round_on_device(&self, weights: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(round_linear(weights, self.bits, self.granularity)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounds a matrix of two inputs (rows) and two outputs (columns).
    fn check(bits: Bits, granularity: Granularity, expected: [f32; 4]) {
        let mut weights = [4.0, -1.0, -2.0, 1.0];
        QuantisedWeights { bits, granularity }.round(&mut weights, 2, 2);
        assert_eq!(weights, expected, "{bits} {granularity}");
    }

    #[test]
    fn weights_are_rounded_per_tensor_channel_or_group() {
        // mean |w| is (4 + 1 + 2 + 1) / 4 = 2: 4 / 2 is clamped to 1, and the tie 1 / 2 goes to 0; per column it is 3 and 1
        check(Bits::Ternary, Granularity::Tensor, [2.0, 0.0, -2.0, 0.0]);
        check(Bits::Ternary, Granularity::Channel, [3.0, -1.0, -3.0, 1.0]);
        check(Bits::Binary, Granularity::Tensor, [2.0, -2.0, -2.0, 2.0]);
        check(Bits::Whole(2), Granularity::Tensor, [4.0, 0.0, 0.0, 0.0]); // the tie -2 / 4 goes to 0
        check(Bits::Whole(2), Granularity::Group(2), [4.0, -1.0, 0.0, 1.0]); // groups (4, -2) and (-1, 1)
    }

    #[test]
    fn rounding_is_idempotent_except_for_ternary_weights() {
        let weights: Vec<f32> = (0..24).map(|i| ((i * 7 % 24) as f32 - 11.3) / 50.0).collect();
        for bits in [Bits::Binary, Bits::Whole(2), Bits::Whole(3), Bits::Whole(8)] {
            for granularity in [Granularity::Tensor, Granularity::Channel, Granularity::Group(2)] {
                let rounding = QuantisedWeights { bits, granularity };
                let mut once = weights.clone();
                rounding.round(&mut once, 6, 4);
                let mut twice = once.clone();
                rounding.round(&mut twice, 6, 4);
                assert!(once.iter().zip(&twice).all(|(a, b)| (a - b).abs() <= 1e-6 * a.abs()), "{bits} {granularity}");
            }
        }
        let mut ternary = [4.0, -1.0, -2.0, 1.0];
        [2.0f32, 1.0].iter().for_each(|scale| {
            QuantisedWeights::default().round(&mut ternary, 2, 2); // two of four are not 0: mean |w| is half the previous scale
            assert_eq!(ternary, [*scale, 0.0, -scale, 0.0]);
        });
    }

    #[test]
    fn conforms() {
        regatta_core::conformance::intervention_conforms::<QuantisedWeights>();
    }
}
