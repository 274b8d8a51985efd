//! What a model computes: the options of one decoder. A family is a set of defaults for them.

use super::families::Family;
use super::tensors::{Affine, AttentionTensors, BlockTensors, Matrix, MlpTensors, Role, TensorSpec, Tensors};
use regatta_core::number::{Count, Positive};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// A decoder-only transformer. What the options do is in the file of the part that they belong to, in `engine/`.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoder {
    /// Whose defaults its options have, where a study names no others.
    pub family: Family,
    /// Tokens of the vocabulary v; 0 in a study, until its tokenizer is known.
    pub vocab_size: usize,
    /// Blocks.
    pub layers: usize,
    /// Dims d of the residual stream.
    pub width: usize,
    /// Query heads h.
    pub heads: usize,
    /// Key and value heads, a divisor of `heads`: each serves as many query heads (Ainslie et al. 2023, arXiv:2305.13245).
    pub kv_heads: usize,
    /// Dims of a head.
    pub head_dim: usize,
    /// Longest sequence.
    pub context: usize,
    /// Hidden dims m of the MLP.
    pub mlp_width: usize,
    /// Of every norm but those of queries and keys.
    pub norm: NormKind,
    /// Added to a variance, or a mean square, before its root.
    pub norm_epsilon: f64,
    /// Where the norms of a block stand.
    pub norm_placement: NormPlacement,
    /// How a token knows where it stands.
    pub positions: Positions,
    /// The MLP's hidden layer.
    pub mlp: Mlp,
    /// RMS norms of queries and keys, before rotary positions.
    pub qk_norm: QkNorm,
    /// Which linear maps have biases.
    pub biases: Biases,
    /// Whether the embedding is the output matrix too.
    pub tied: bool,
    /// Whether attention and MLP both read a block's input, side by side (Wang & Komatsuzaki 2021, GPT-J).
    pub parallel: bool,
    /// c in `c·tanh(logits / c)` (Gemma 2, arXiv:2408.00118, section 2).
    pub logit_cap: Option<f64>,
}

/// A norm over the dims of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NormKind {
    /// Mean 0 and variance 1, then a weight and a bias; Ba et al. 2016, arXiv:1607.06450.
    LayerNorm,
    /// Mean square 1, then a weight; Zhang & Sennrich 2019, arXiv:1910.07467.
    RmsNorm,
}

/// Where the norms of a block stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NormPlacement {
    /// Before attention and MLP: on what they read of the residual stream.
    Before,
    /// After them: on what they add to it (OLMo 2, arXiv:2501.00656, section 3).
    After,
}

/// How a token knows where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Positions {
    /// A trained vector for each position, added to the embedding.
    Learned,
    /// Queries and keys are turned by angles that grow with the position; Su et al. 2021, arXiv:2104.09864.
    Rotary(Rotary),
}

/// Rotary positions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Rotary {
    /// Base of the frequencies.
    pub theta: f64,
    /// Share of a head's dims, the first ones, that are turned.
    pub fraction: f64,
    /// How frequencies are stretched for longer contexts than a model was first trained with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scaling: Option<RotaryScaling>,
}

impl Rotary {
    /// Dims of a head of so many that are turned; a model has an even number of them.
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

    /// Numbers of a token's queries: those of all heads.
    pub fn query_width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Numbers of a token's keys, and of its values.
    pub fn key_width(&self) -> usize {
        self.kv_heads * self.head_dim
    }

    /// Numbers of a token's queries, keys and values.
    pub fn qkv_width(&self) -> usize {
        self.query_width() + 2 * self.key_width()
    }

    /// Outputs of the MLP's first map: its hidden dims, and as many gates.
    pub fn mlp_input_width(&self) -> usize {
        if self.mlp == Mlp::Swiglu { 2 * self.mlp_width } else { self.mlp_width }
    }

    /// Dims of a head that are turned by rotary positions.
    pub fn rotary_dims(&self) -> usize {
        match self.positions {
            Positions::Learned => 0,
            Positions::Rotary(rotary) => rotary.dims(self.head_dim),
        }
    }

    /// Every tensor of the model: name, shape, what it is for and how it starts. All that is known of a model's shape is a fold
    /// over these.
    pub fn tensors(&self) -> Tensors<TensorSpec> {
        let (d, into_stream) = (self.width, TensorSpec::DEVIATION / (2.0 * self.layers as f64).sqrt());
        let spec = TensorSpec::new;
        let norm = |name: String, width: usize| Affine {
            weight: spec(format!("{name}.weight"), &[width], Role::NormWeight),
            bias: (self.norm == NormKind::LayerNorm).then(|| spec(format!("{name}.bias"), &[width], Role::NormBias)),
        };
        let linear = |name: String, inputs: usize, outputs: usize, matrix: Matrix, bias: bool, deviation: f64| Affine {
            weight: spec(format!("{name}.weight"), &[inputs, outputs], Role::Matrix(matrix)).normal(deviation),
            bias: bias.then(|| spec(format!("{name}.bias"), &[outputs], Role::Bias)),
        };
        let qk_norm = |name: String, width: usize| match self.qk_norm {
            QkNorm::None => None,
            QkNorm::PerHead => Some(spec(name, &[self.head_dim], Role::NormWeight)),
            QkNorm::AllHeads => Some(spec(name, &[width], Role::NormWeight)),
        };
        let (usual, Biases { qkv, attention_output, mlp }) = (TensorSpec::DEVIATION, self.biases);
        let block = |layer: usize| {
            let name = |part: &str| format!("h.{layer}.{part}");
            BlockTensors {
                attention: AttentionTensors {
                    norm: norm(name("ln_1"), d),
                    qkv: linear(name("attn.c_attn"), d, self.qkv_width(), Matrix::Qkv, qkv, usual),
                    q_norm: qk_norm(name("attn.q_norm.weight"), self.query_width()),
                    k_norm: qk_norm(name("attn.k_norm.weight"), self.key_width()),
                    output: linear(
                        name("attn.c_proj"),
                        self.query_width(),
                        d,
                        Matrix::AttentionOutput,
                        attention_output,
                        into_stream,
                    ),
                },
                mlp: MlpTensors {
                    norm: norm(name("ln_2"), d),
                    input: linear(name("mlp.c_fc"), d, self.mlp_input_width(), Matrix::MlpInput, mlp, usual),
                    output: linear(name("mlp.c_proj"), self.mlp_width, d, Matrix::MlpOutput, mlp, into_stream),
                },
            }
        };
        let learned = self.positions == Positions::Learned;
        Tensors {
            embedding: spec("wte.weight".into(), &[self.vocab_size, d], Role::Embedding).normal(usual),
            positions: learned.then(|| spec("wpe.weight".into(), &[self.context, d], Role::Positions).normal(usual)),
            blocks: (0..self.layers).map(block).collect(),
            norm: norm("ln_f".into(), d),
            unembedding: (!self.tied)
                .then(|| spec("lm_head.weight".into(), &[self.vocab_size, d], Role::Unembedding).normal(usual)),
        }
    }

    /// Trainable parameters.
    pub fn parameters(&self) -> usize {
        self.numbers() as usize
    }

    /// The same of a model of any size that can be asked for. All blocks are alike, so one is counted.
    pub fn numbers(&self) -> u128 {
        self.sum(|spec| spec.shape.iter().map(|&size| size as u128).product())
    }

    /// The sum of something of every tensor that does not depend on its block.
    pub fn sum(&self, of: impl Fn(&TensorSpec) -> u128) -> u128 {
        let with = |layers: usize| Self { layers, ..self.clone() }.tensors().list().iter().map(&of).sum::<u128>();
        let none = with(0);
        none + self.layers as u128 * (with(1) - none)
    }

    /// The linear maps that lie side by side in a block's matrix, and the outputs of each.
    pub fn maps(&self, matrix: Matrix) -> Vec<(Map, std::ops::Range<usize>)> {
        let widths: &[(Map, usize)] = match (matrix, self.mlp) {
            (Matrix::Qkv, _) => &[
                (Map::AttentionQuery, self.query_width()),
                (Map::AttentionKey, self.key_width()),
                (Map::AttentionValue, self.key_width()),
            ],
            (Matrix::AttentionOutput, _) => &[(Map::AttentionOutput, self.width)],
            (Matrix::MlpInput, Mlp::Swiglu) => &[(Map::MlpGate, self.mlp_width), (Map::MlpInput, self.mlp_width)],
            (Matrix::MlpInput, Mlp::Gelu | Mlp::GeluTanh) => &[(Map::MlpInput, self.mlp_width)],
            (Matrix::MlpOutput, _) => &[(Map::MlpOutput, self.width)],
        };
        let mut first = 0;
        let each = |&(map, width): &(Map, usize)| {
            first += width;
            (map, first - width..first)
        };
        widths.iter().map(each).collect()
    }

    /// The outputs of a linear map in the columns of its matrix; empty for the gate of a model that has none.
    pub fn columns(&self, map: Map) -> std::ops::Range<usize> {
        let maps = self.maps(map.matrix());
        maps.into_iter().find(|(other, _)| *other == map).map_or(0..0, |(_, columns)| columns)
    }
}

/// One linear map of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Map {
    /// To the queries.
    AttentionQuery,
    /// To the keys.
    AttentionKey,
    /// To the values.
    AttentionValue,
    /// From the heads back to the residual stream.
    AttentionOutput,
    /// To the gates of a gated MLP.
    MlpGate,
    /// To the MLP's hidden dims.
    MlpInput,
    /// From the MLP back to the residual stream.
    MlpOutput,
}

impl Map {
    /// The matrix that it lies in.
    pub fn matrix(self) -> Matrix {
        match self {
            Self::AttentionQuery | Self::AttentionKey | Self::AttentionValue => Matrix::Qkv,
            Self::AttentionOutput => Matrix::AttentionOutput,
            Self::MlpGate | Self::MlpInput => Matrix::MlpInput,
            Self::MlpOutput => Matrix::MlpOutput,
        }
    }
}
