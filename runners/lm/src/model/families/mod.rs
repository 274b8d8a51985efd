//! The families of models that people train: a set of defaults for a decoder's options each.

use super::decoder::{Biases, Decoder, Mlp, NormKind, NormPlacement, Positions, QkNorm, Rotary};
use serde::{Deserialize, Serialize};

/// A family of models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Radford et al. 2019.
    #[default]
    Gpt2,
    /// Touvron et al. 2023, arXiv:2302.13971; Llama 3, arXiv:2407.21783.
    Llama,
    /// Arxiv:2407.10671.
    Qwen2,
    /// Arxiv:2505.09388.
    Qwen3,
    /// Black et al. 2022, arXiv:2204.06745; Pythia, arXiv:2304.01373.
    GptNeox,
    /// Arxiv:2501.00656.
    Olmo2,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Gpt2, Self::Llama, Self::Qwen2, Self::Qwen3, Self::GptNeox, Self::Olmo2];

    /// Its name in prose.
    pub fn title(self) -> &'static str {
        match self {
            Self::Gpt2 => "GPT-2",
            Self::Llama => "Llama",
            Self::Qwen2 => "Qwen2",
            Self::Qwen3 => "Qwen3",
            Self::GptNeox => "GPT-NeoX",
            Self::Olmo2 => "OLMo 2",
        }
    }

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

    /// Hidden dims of its MLP where none are named: 4 times the width; of a gated one, which has three matrices in place of two,
    /// 8/3 of it, rounded up to a multiple of 16.
    pub fn mlp_width(mlp: Mlp, width: usize) -> usize {
        if mlp == Mlp::Swiglu { Self::gated_width(width) } else { 4 * width }
    }

    fn gated_width(width: usize) -> usize {
        (8 * width).div_ceil(3).next_multiple_of(16)
    }

    /// Whether its checkpoints have queries, keys and values in one matrix: what works on whole matrices (Muon) takes them as one.
    pub fn joins_qkv(self) -> bool {
        matches!(self, Self::Gpt2 | Self::GptNeox)
    }
}
