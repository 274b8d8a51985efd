//! What is left of a trained model when its weights are rounded to few bits, without any training after it.
//!
//! What rounding is, and by whom, is in [`regatta_core::rounding`]; an arm that trains with the rounding uses the same.
//!
//! Rounded are the matrices of the linear layers: queries, keys and values, attention's projection, and those of the MLP.
//! Biases, norms and positions stay, and so do the token embedding and the output matrix, unless they are asked for:
//! GPTQ (Frantar et al. 2023, arXiv:2210.17323), LLM.int8() (Dettmers et al. 2022, arXiv:2208.07339) and BitNet leave embedding
//! and output in full precision. An output channel of a linear layer is what makes one of its outputs, that of the embedding a
//! token's row. Activations are float32.
//!
//! Deviation from the sources of ternary and binary weights: they train with the rounding, and here it comes after training.

use crate::model::{Model, Role};
use crate::spec::QuantisationSpec;
use regatta_core::rounding::{Bits, Granularity, Layout, round};
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
pub fn quantised(model: &Model, bits: Bits, granularity: Granularity, embeddings: bool) -> Model {
    let mut copy = model.clone();
    for (spec, numbers) in copy.parameters_mut().each_mut() {
        let layout = match (spec.role, &spec.shape[..]) {
            (Role::Matrix(_), &[inputs, outputs]) => Layout::linear(inputs, outputs),
            (Role::Embedding | Role::Unembedding, &[tokens, width]) if embeddings => {
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
    use crate::model::{Decoder, Family, Sizes};

    fn model() -> Model {
        let spec = Sizes { layers: 2, width: 8, heads: 2, context: 4, mlp_width: 16 };
        Model::fresh(Decoder::new(Family::Gpt2, spec, 5), 0)
    }

    /// Names of the tensors that differ.
    fn changed(embeddings: bool) -> Vec<String> {
        let (before, after) = (model(), quantised(&model(), Bits::Whole(3), Granularity::Tensor, embeddings));
        let both = before.parameters().each().zip(after.parameters().each());
        both.filter(|((_, one), (_, other))| one != other).map(|((spec, _), _)| spec.name.clone()).collect()
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
