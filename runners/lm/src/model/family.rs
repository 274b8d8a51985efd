//! The families of models that people train.

use super::options::Mlp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A family of models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Radford et al. 2019.
    #[default]
    Gpt2,
    /// Touvron et al. 2023, arXiv:2302.13971; Llama 3, arXiv:2407.21783.
    Llama,
    /// Yang et al. 2024, arXiv:2407.10671.
    Qwen2,
    /// Yang et al. 2025, arXiv:2505.09388.
    Qwen3,
    /// Black et al. 2022, arXiv:2204.06745; Pythia, arXiv:2304.01373.
    GptNeox,
    /// OLMo team 2025, arXiv:2501.00656.
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

    /// Hidden dims of its MLP where none are named: 4 times the width; of a gated one, which has three matrices in place of two,
    /// 8/3 of it, rounded up to a multiple of 16.
    pub fn mlp_width(mlp: Mlp, width: usize) -> usize {
        if mlp == Mlp::Swiglu { Self::gated_width(width) } else { 4 * width }
    }

    pub(super) fn gated_width(width: usize) -> usize {
        (8 * width).div_ceil(3).next_multiple_of(16)
    }

    /// Whether its checkpoints have queries, keys and values in one matrix: what works on whole matrices (Muon) takes them as one.
    pub fn joins_qkv(self) -> bool {
        matches!(self, Self::Gpt2 | Self::GptNeox)
    }
}
