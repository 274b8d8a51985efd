//! Options of a decoder. What each does is in the file of the part that it belongs to, in `engine/`.

use regatta_core::number::{Count, Positive};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// A norm over the dims of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NormKind {
    /// Mean 0 and variance 1, then a weight and a bias; Ba et al. 2016, arXiv:1607.06450.
    LayerNorm,
    /// Mean square 1, then a weight; Zhang & Sennrich 2019, arXiv:1910.07467.
    RmsNorm,
}

/// Where a block has its norms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NormPlacement {
    /// Before attention and MLP: on what they read of the residual stream.
    Before,
    /// After them: on what they add to it (OLMo 2, arXiv:2501.00656, section 3).
    After,
}

/// How the model encodes positions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Positions {
    /// A trained vector for each position, added to the embedding.
    Learned,
    /// Queries and keys are rotated by angles that grow with the position; Su et al. 2021, arXiv:2104.09864.
    Rotary(Rotary),
}

/// Rotary positions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Rotary {
    /// Base of the frequencies.
    pub theta: f64,
    /// Fraction of a head's dims that are rotated; they are the first ones.
    pub fraction: f64,
    /// How frequencies are stretched for longer contexts than a model was first trained with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scaling: Option<RotaryScaling>,
}

impl Rotary {
    /// How many of `head_dim` dims are rotated; a legal model rotates an even number.
    pub fn dims(&self, head_dim: usize) -> usize {
        (self.fraction * head_dim as f64) as usize
    }
}

impl Default for Rotary {
    fn default() -> Self {
        Self { theta: 10_000.0, fraction: 1.0, scaling: None }
    }
}

/// Llama 3's: waves longer than the original context by `low_frequency` are stretched by `factor`, those shorter than it by
/// `high_frequency` stay, and between them the two are mixed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RotaryScaling {
    /// By which long waves are stretched.
    #[serde(deserialize_with = "positive")]
    #[schemars(with = "Positive")]
    pub factor: f64,
    /// Waves of at least the original context over this are long.
    #[serde(deserialize_with = "positive")]
    #[schemars(with = "Positive")]
    pub low_frequency: f64,
    /// Waves of at most the original context over this are short.
    #[serde(deserialize_with = "positive")]
    #[schemars(with = "Positive")]
    pub high_frequency: f64,
    /// The context that the frequencies were chosen for.
    #[serde(deserialize_with = "context")]
    #[schemars(with = "Count<1, 16_777_216>")]
    pub original_context: usize,
}

fn positive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Positive::deserialize(deserializer).map(Positive::get)
}

fn context<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    Count::<1, 16_777_216>::deserialize(deserializer).map(Count::get)
}

/// The MLP's hidden layer, of x the output of its first linear map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mlp {
    /// GELU by its tanh form; Hendrycks & Gimpel 2016, arXiv:1606.08415.
    GeluTanh,
    /// GELU itself, `x·Φ(x)`.
    Gelu,
    /// `silu(gate)·x`, where gate is as wide as x and comes of the same map; Shazeer 2020, arXiv:2002.05202.
    Swiglu,
}

/// RMS norms of queries and keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QkNorm {
    /// None.
    None,
    /// Of each head by itself, with one weight for all heads (Qwen3).
    PerHead,
    /// Of all heads at once (OLMo 2).
    AllHeads,
}

/// Which linear maps have biases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Biases {
    /// Queries, keys and values.
    pub qkv: bool,
    /// Attention's projection back.
    pub attention_output: bool,
    /// Both maps of the MLP.
    pub mlp: bool,
}

impl Biases {
    /// On every linear map.
    pub const ALL: Self = Self { qkv: true, attention_output: true, mlp: true };
    /// On none.
    pub const NONE: Self = Self { qkv: false, attention_output: false, mlp: false };
}
