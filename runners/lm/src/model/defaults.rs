//! A family as defaults for the options of a decoder.

use super::options::{Biases, Mlp, NormKind, NormPlacement, Positions, QkNorm, Rotary};
use super::{Decoder, Family};

impl Family {
    /// A model of the family with the sizes of a study that names none.
    pub fn defaults(self) -> Decoder {
        let gpt2 = Decoder {
            family: self,
            vocab_size: 0,
            layers: 4,
            width: 128,
            heads: 4,
            kv_heads: 4,
            head_dim: 32,
            context: 128,
            mlp_width: 512,
            norm: NormKind::LayerNorm,
            norm_epsilon: 1e-5,
            norm_placement: NormPlacement::Before,
            positions: Positions::Learned,
            mlp: Mlp::GeluTanh,
            qk_norm: QkNorm::None,
            biases: Biases::ALL,
            tied: true,
            parallel: false,
            logit_cap: None,
        };
        let rotary = Rotary::default();
        let llama = Decoder {
            norm: NormKind::RmsNorm,
            positions: Positions::Rotary(rotary),
            mlp: Mlp::Swiglu,
            mlp_width: Self::gated_width(128),
            biases: Biases::NONE,
            tied: false,
            ..gpt2.clone()
        };
        match self {
            Self::Gpt2 => gpt2,
            Self::Llama => llama,
            Self::Qwen2 => Decoder { norm_epsilon: 1e-6, biases: Biases { qkv: true, ..Biases::NONE }, tied: true, ..llama },
            Self::Qwen3 => Decoder { norm_epsilon: 1e-6, qk_norm: QkNorm::PerHead, tied: true, ..llama },
            Self::GptNeox => Decoder {
                positions: Positions::Rotary(Rotary { fraction: 0.25, ..rotary }),
                mlp: Mlp::Gelu,
                tied: false,
                parallel: true,
                ..gpt2
            },
            Self::Olmo2 => {
                Decoder { norm_epsilon: 1e-6, norm_placement: NormPlacement::After, qk_norm: QkNorm::AllHeads, ..llama }
            }
        }
    }
}

/// The sizes of a model, as most tests and `bench` choose them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Blocks.
    pub layers: usize,
    /// Dims of the residual stream; a multiple of `heads`.
    pub width: usize,
    /// Attention heads.
    pub heads: usize,
    /// Longest sequence.
    pub context: usize,
    /// Hidden dims of the MLP.
    pub mlp_width: usize,
}

impl Decoder {
    /// A model of these sizes whose other options are its family's.
    pub fn new(family: Family, sizes: Sizes, vocab_size: usize) -> Self {
        let Sizes { layers, width, heads, context, mlp_width } = sizes;
        let head_dim = width / heads;
        Self { vocab_size, layers, width, heads, kv_heads: heads, head_dim, context, mlp_width, ..family.defaults() }
    }
}
