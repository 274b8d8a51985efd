//! Weights of few bits in training: quantisation-aware training with straight-through gradients.
//!
//! The linear layers (queries, keys and values, attention's projection, and the two of the MLP) compute with a rounded copy Ŵ of
//! their weights W, forward and back; W takes the gradient of Ŵ as its own:
//! ```text
//! ternary   s = max(mean |w|, 1e-5)       Ŵ = s·clamp(round(W / s), -1, 1)      the default
//! binary    s = mean |w|                  Ŵ = s·sign(W), sign(0) = 1
//! b bits    s = max |w| / (2^(b-1) - 1)   Ŵ = s·round(W / s)
//! W <- optimizer(W, ∂loss/∂Ŵ)             straight through
//! ```
//! Halves are rounded to even. A scale is shared by a whole matrix (the default), an output channel, or a group of neighbouring
//! inputs of a channel. The model that is measured and exported is the rounded one, in float32; W is kept in the checkpoints
//! that a trial resumes from, and nowhere else. Rounding binary weights or those of b bits again changes at most the last digit
//! of a scale; ternary ones shrink, since their mean size counts the zeros.
//!
//! Ma et al., "The Era of 1-bit LLMs", 2024, arXiv:2402.17764, section 2 (ternary, absmean, one scale per matrix; the minimum scale
//! of 1e-5 is that of the authors' code); Rastegari et al., "XNOR-Net", ECCV 2016, arXiv:1603.05279, section 3.1 (binary);
//! Bengio et al., 2013, arXiv:1308.3432 (straight-through gradients).
//!
//! Deviations: activations are not rounded (BitNet: 8 bits), and no norm is added before the linear layers (BitNet: SubLN), for
//! the model is that of all other arms. BitNet trains with a higher learning rate and a schedule of two stages; here both are
//! the study's: `tune: {lr: [...]}` gives each arm its own. XNOR-Net's gradient is 0 where |w| > 1; here it passes everywhere.
//! Embedding, output matrix, norms and biases stay as they are, as in the papers.
//!
//! # Shapes
//! weights (inputs, outputs)

use regatta_core::rounding::{Bits, Granularity, Layout, round};
use regatta_core::{Action, Intervention, WeightRounding, intervention, typetag};

intervention! {
    name: "quantised_weights",
    summary: "trains linear layers whose weights are rounded to few bits (BitNet b1.58)",
    paper: "Ma et al., \"The Era of 1-bit LLMs\", 2024, arXiv:2402.17764, section 2; Rastegari et al., 2016, arXiv:1603.05279",
    formula: "W' = s clamp(round(W / s), -1, 1), s = mean |W| (ternary); the gradient of W' updates W",
    variants: [
        QuantisedWeights { bits: Bits::Binary, granularity: Granularity::Channel },
        QuantisedWeights { bits: Bits::Whole(4), granularity: Granularity::Group(32) },
    ],
    /// Linear layers of few bits.
    pub struct QuantisedWeights {
        /// Bits per weight: `ternary`, `binary`, or 2 to 8.
        pub bits: Bits = Bits::Ternary,
        /// Weights that share a scale: `tensor`, `channel`, or the size of a group of inputs of one channel.
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
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a matrix of two inputs (rows) and two outputs (columns).
    fn check(bits: Bits, granularity: Granularity, expected: [f32; 4]) {
        let mut weights = [4.0, -1.0, -2.0, 1.0];
        QuantisedWeights { bits, granularity }.round(&mut weights, 2, 2);
        assert_eq!(weights, expected, "{bits} {granularity}");
    }

    #[test]
    fn by_hand() {
        // mean size (4 + 1 + 2 + 1) / 4 = 2: 4 / 2 is cut to 1, 1 / 2 is a half and goes to 0; of columns 3 and 1
        check(Bits::Ternary, Granularity::Tensor, [2.0, 0.0, -2.0, 0.0]);
        check(Bits::Ternary, Granularity::Channel, [3.0, -1.0, -3.0, 1.0]);
        check(Bits::Binary, Granularity::Tensor, [2.0, -2.0, -2.0, 2.0]);
        check(Bits::Whole(2), Granularity::Tensor, [4.0, 0.0, 0.0, 0.0]); // -2 / 4 is a half and goes to 0
        check(Bits::Whole(2), Granularity::Group(2), [4.0, -1.0, 0.0, 1.0]); // columns 4, -2 and -1, 1
    }

    #[test]
    fn rounding_again_changes_whole_bits_and_binary_weights_no_more() {
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
            QuantisedWeights::default().round(&mut ternary, 2, 2); // two of four are left: their mean size is half of their scale
            assert_eq!(ternary, [*scale, 0.0, -scale, 0.0]);
        });
    }

    #[test]
    fn conforms() {
        regatta_core::conformance::intervention_conforms::<QuantisedWeights>();
    }
}
