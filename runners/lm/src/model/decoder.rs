//! A decoder: its options, and the table of the tensors that they ask for.

use super::family::Family;
use super::options::{Biases, Mlp, NormKind, NormPlacement, Positions, QkNorm};
use super::tensors::{Affine, AttentionTensors, BlockTensors, Matrix, MlpTensors, Role, TensorSpec, Tensors};

/// A decoder-only transformer. What the options do is in the file of the part that they belong to, in `engine/`.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoder {
    /// Whose defaults its options have, where a study names no others.
    pub family: Family,
    /// Vocabulary size v; 0 in a study until its tokenizer is known.
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
    /// Where a block has its norms.
    pub norm_placement: NormPlacement,
    /// How positions are encoded.
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

impl Decoder {
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

    /// Dims of a head that rotary positions rotate.
    pub fn rotary_dims(&self) -> usize {
        match self.positions {
            Positions::Learned => 0,
            Positions::Rotary(rotary) => rotary.dims(self.head_dim),
        }
    }

    /// Every tensor of the model: name, shape, role and first value. All that is known of a model's shape is a fold over these.
    pub fn tensors(&self) -> Tensors<TensorSpec> {
        let matrix = |name: &str, rows: usize, role: Role| {
            TensorSpec::new(name.into(), &[rows, self.width], role).normal(TensorSpec::DEVIATION)
        };
        let learned = self.positions == Positions::Learned;
        Tensors {
            embedding: matrix("wte.weight", self.vocab_size, Role::Embedding),
            positions: learned.then(|| matrix("wpe.weight", self.context, Role::Positions)),
            blocks: (0..self.layers).map(|layer| self.block(layer)).collect(),
            norm: self.norm_tensors("ln_f".into()),
            unembedding: (!self.tied).then(|| matrix("lm_head.weight", self.vocab_size, Role::Unembedding)),
        }
    }

    fn block(&self, layer: usize) -> BlockTensors<TensorSpec> {
        let name = |part: &str| format!("h.{layer}.{part}");
        let (d, hidden, queries) = (self.width, self.mlp_width, self.query_width());
        let Biases { qkv, attention_output, mlp } = self.biases;
        let (usual, into_stream) = (TensorSpec::DEVIATION, TensorSpec::DEVIATION / (2.0 * self.layers as f64).sqrt());
        BlockTensors {
            attention: AttentionTensors {
                norm: self.norm_tensors(name("ln_1")),
                qkv: linear(name("attn.c_attn"), [d, self.qkv_width()], Matrix::Qkv, qkv, usual),
                q_norm: self.qk_norm_tensor(name("attn.q_norm.weight"), queries),
                k_norm: self.qk_norm_tensor(name("attn.k_norm.weight"), self.key_width()),
                output: linear(name("attn.c_proj"), [queries, d], Matrix::AttentionOutput, attention_output, into_stream),
            },
            mlp: MlpTensors {
                norm: self.norm_tensors(name("ln_2")),
                input: linear(name("mlp.c_fc"), [d, self.mlp_input_width()], Matrix::MlpInput, mlp, usual),
                output: linear(name("mlp.c_proj"), [hidden, d], Matrix::MlpOutput, mlp, into_stream),
            },
        }
    }

    fn norm_tensors(&self, name: String) -> Affine<TensorSpec> {
        let of = |part: &str, role: Role| TensorSpec::new(format!("{name}.{part}"), &[self.width], role);
        Affine {
            weight: of("weight", Role::NormWeight),
            bias: (self.norm == NormKind::LayerNorm).then(|| of("bias", Role::NormBias)),
        }
    }

    fn qk_norm_tensor(&self, name: String, all_heads: usize) -> Option<TensorSpec> {
        let width = match self.qk_norm {
            QkNorm::None => return None,
            QkNorm::PerHead => self.head_dim,
            QkNorm::AllHeads => all_heads,
        };
        Some(TensorSpec::new(name, &[width], Role::NormWeight))
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
}

/// A linear map of `[inputs, outputs]`.
fn linear(name: String, shape: [usize; 2], matrix: Matrix, bias: bool, deviation: f64) -> Affine<TensorSpec> {
    Affine {
        weight: TensorSpec::new(format!("{name}.weight"), &shape, Role::Matrix(matrix)).normal(deviation),
        bias: bias.then(|| TensorSpec::new(format!("{name}.bias"), &shape[1..], Role::Bias)),
    }
}
