//! What is left of a trained model when its weights are rounded to few bits, without any training after it.
//!
//! Weights w that share a scale s are replaced by s·q, q a whole number:
//!
//! ```text
//! b bits    s = max |w| / (2^(b-1) - 1)     q = round(w / s)                         symmetric round-to-nearest, absmax
//! ternary   s = max(mean |w|, 1e-5)         q = clamp(round(w / s), -1, 1)           absmean, BitNet b1.58
//! binary    s = mean |w|                    q = 1 where w ≥ 0, else -1               BWN
//! ```
//!
//! Halves are rounded to even, as PyTorch does. b bits give the 2^b - 1 values from -(2^(b-1) - 1) to 2^(b-1) - 1: 2 bits are
//! -1, 0 and 1 with another scale than ternary's.
//!
//! Rounded are the matrices of the linear layers: queries, keys and values, attention's projection, and the two of the MLP.
//! Biases, norms and positions stay, and so does the token embedding, which is the output matrix too, unless it is asked for:
//! GPTQ (Frantar et al. 2023, arXiv:2210.17323), LLM.int8() (Dettmers et al. 2022, arXiv:2208.07339) and BitNet leave embedding
//! and output in full precision. An output channel of a linear layer is what makes one of its outputs, that of the embedding a
//! token's row. Activations are float32.
//!
//! Sources: Ma et al. 2024, arXiv:2402.17764 (ternary; the least scale of 1e-5 is that of the authors' code); Rastegari et al.
//! 2016, arXiv:1603.05279, section 3.1 (binary; they share a scale within an output channel). Deviation: both train with the
//! rounding, and here it comes after training.

mod rounding;

use crate::model::Gpt2;
use crate::spec::{Bits, Granularity, QuantisationSpec};
use rounding::{Layout, round};
use serde::{Deserialize, Serialize};

/// The held-out loss of a model whose weights were rounded.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct QuantisedLoss {
    /// Bits a weight.
    pub bits: Bits,
    /// Weights that share a scale.
    pub granularity: Granularity,
    /// Mean cross-entropy, nats per token.
    pub loss: f64,
}

/// Every number of bits of `spec` with each of its granularities, in the order written.
pub(crate) fn settings(spec: &QuantisationSpec) -> impl Iterator<Item = (Bits, Granularity)> {
    spec.bits.iter().flat_map(|&bits| spec.granularity.iter().map(move |&granularity| (bits, granularity)))
}

/// A copy of `model` whose weights are rounded; with `embeddings`, the token embedding too.
pub fn quantised(model: &Gpt2, bits: Bits, granularity: Granularity, embeddings: bool) -> Gpt2 {
    let mut copy = model.copy();
    for (name, shape, numbers) in copy.parameters_mut().named_mut() {
        let layout = match *shape {
            [inputs, outputs] if name.starts_with("h.") => {
                Layout { channels: outputs, inputs, channels_apart: 1, inputs_apart: outputs }
            }
            [tokens, width] if name == "wte.weight" && embeddings => {
                Layout { channels: tokens, inputs: width, channels_apart: width, inputs_apart: 1 }
            }
            _ => continue,
        };
        round(numbers, layout, bits, granularity);
    }
    copy
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Gpt2Config;
    use crate::spec::Gpt2Spec;

    fn model() -> Gpt2 {
        let spec = Gpt2Spec { layers: 2, width: 8, heads: 2, context: 4, mlp_width: 16, bias_std: 0.0 };
        Gpt2::fresh(Gpt2Config::new(&spec, 5), 0)
    }

    /// Names of the tensors that differ.
    fn changed(embeddings: bool) -> Vec<String> {
        let (before, after) = (model(), quantised(&model(), Bits::Whole(3), Granularity::Tensor, embeddings));
        let both = before.parameters().named().zip(after.parameters().named());
        both.filter(|((.., one), (.., other))| one != other).map(|((name, ..), _)| name.to_owned()).collect()
    }

    #[test]
    fn the_matrices_of_linear_layers_are_rounded_and_nothing_else() {
        let linear = ["attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight"];
        let all: Vec<String> = (0..2).flat_map(|layer| linear.map(|name| format!("h.{layer}.{name}"))).collect();
        assert_eq!(changed(false), all);
        assert_eq!(changed(true), [vec!["wte.weight".to_owned()], all].concat());
    }

    #[test]
    fn an_output_channel_of_a_linear_layer_is_a_column() {
        let quantised = quantised(&model(), Bits::Binary, Granularity::Channel, false);
        let weights = quantised.parameters().get("h.0.mlp.c_fc.weight").unwrap(); // (8, 16)
        let sizes: Vec<f32> = weights.iter().map(|w| w.abs()).collect();
        assert!((0..16).all(|output| (1..8).all(|input| sizes[input * 16 + output] == sizes[output])));
        assert!(sizes[0] != sizes[1]);
    }

    #[test]
    fn settings_are_in_the_order_written() {
        let spec = QuantisationSpec {
            bits: vec![Bits::Whole(8), Bits::Binary],
            granularity: vec![Granularity::Group(32), Granularity::Tensor],
            embeddings: false,
        };
        let names: Vec<String> = settings(&spec).map(|(bits, granularity)| format!("{bits}_{granularity}")).collect();
        assert_eq!(names, ["8_32", "8_tensor", "binary_32", "binary_tensor"]);
    }
}
