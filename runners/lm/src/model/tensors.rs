//! The tensors of a decoder by what they do, and the table of them.

/// One tensor of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorSpec {
    /// GPT-2's name for it without `transformer.`, in every family; tensors that GPT-2 lacks follow the same scheme.
    pub name: String,
    /// Of a linear map (inputs, outputs); of an embedding (tokens or positions, width).
    pub shape: Vec<usize>,
    /// What it is for.
    pub role: Role,
    /// How it starts.
    pub init: Init,
}

/// What a tensor is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Token embedding; where it is tied, the output matrix too.
    Embedding,
    /// Learned positions.
    Positions,
    /// An output matrix of its own.
    Unembedding,
    /// The weights of a block's linear maps.
    Matrix(Matrix),
    /// The bias of a linear map.
    Bias,
    /// The weight of a norm.
    NormWeight,
    /// The bias of a norm.
    NormBias,
    /// A parameter of an intervention.
    Own,
}

/// The matrices of a block. Maps of the same input lie side by side in one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matrix {
    /// Queries, keys and values.
    Qkv,
    /// From the heads back to the residual stream.
    AttentionOutput,
    /// The gates of a gated MLP, and its hidden dims.
    MlpInput,
    /// From the MLP back to the residual stream.
    MlpOutput,
}

/// The first value of a tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// All alike.
    Constant(f32),
    /// Drawn from a normal distribution of mean 0.
    Normal {
        /// Standard deviation.
        deviation: f64,
    },
}

impl TensorSpec {
    /// Standard deviation of a fresh weight, as in GPT-2.
    pub const DEVIATION: f64 = 0.02;

    pub(super) fn new(name: String, shape: &[usize], role: Role) -> Self {
        let start = if role == Role::NormWeight { 1.0 } else { 0.0 };
        Self { name, shape: shape.to_vec(), role, init: Init::Constant(start) }
    }

    pub(super) fn normal(self, deviation: f64) -> Self {
        Self { init: Init::Normal { deviation }, ..self }
    }

    /// A parameter of an intervention.
    pub(crate) fn own(name: String, shape: Vec<usize>) -> Self {
        Self { name, shape, role: Role::Own, init: Init::Constant(0.0) }
    }

    /// Numbers in it.
    #[allow(clippy::len_without_is_empty)] // none is empty
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether weight decay is for it, as the field has it: for tensors of two or more dimensions.
    pub fn decays(&self) -> bool {
        self.shape.len() >= 2
    }
}

/// Something of each tensor of a model: what it is, its numbers, or their gradients.
#[derive(Debug, Clone)]
pub struct Tensors<T> {
    /// Token embedding (v, d).
    pub embedding: T,
    /// Learned positions (t, d).
    pub positions: Option<T>,
    /// Block by block.
    pub blocks: Vec<BlockTensors<T>>,
    /// The final norm.
    pub norm: Affine<T>,
    /// Output matrix (v, d), where it is not the embedding.
    pub unembedding: Option<T>,
}

/// Of one block.
#[derive(Debug, Clone)]
pub struct BlockTensors<T> {
    /// Attention and its norm.
    pub attention: AttentionTensors<T>,
    /// MLP and its norm.
    pub mlp: MlpTensors<T>,
}

/// Of attention.
#[derive(Debug, Clone)]
pub struct AttentionTensors<T> {
    /// Before or after it.
    pub norm: Affine<T>,
    /// Queries, keys and values.
    pub qkv: Affine<T>,
    /// Weight of the queries' norm.
    pub q_norm: Option<T>,
    /// Weight of the keys' norm.
    pub k_norm: Option<T>,
    /// Back to the residual stream.
    pub output: Affine<T>,
}

/// Of an MLP.
#[derive(Debug, Clone)]
pub struct MlpTensors<T> {
    /// Before or after it.
    pub norm: Affine<T>,
    /// To the gates, where there are any, and the hidden dims.
    pub input: Affine<T>,
    /// Back to the residual stream.
    pub output: Affine<T>,
}

/// A weight and, where there is one, a bias.
#[derive(Debug, Clone)]
pub struct Affine<T> {
    /// The weight.
    pub weight: T,
    /// The bias.
    pub bias: Option<T>,
}

impl<T> Tensors<T> {
    /// What `of` makes of each, in the order of the forward pass.
    pub fn map<U>(self, mut of: impl FnMut(T) -> U) -> Tensors<U> {
        let of = &mut of;
        Tensors {
            embedding: of(self.embedding),
            positions: self.positions.map(&mut *of),
            blocks: self.blocks.into_iter().map(|block| block.map(of)).collect(),
            norm: self.norm.map(of),
            unembedding: self.unembedding.map(of),
        }
    }

    /// All of them, in the order of the forward pass.
    pub fn list(self) -> Vec<T> {
        let mut all = Vec::new();
        self.map(|tensor| all.push(tensor));
        all
    }

    /// The output matrix: the embedding where it is tied.
    pub fn output_matrix(self) -> T {
        self.unembedding.unwrap_or(self.embedding)
    }
}

impl<T> BlockTensors<T> {
    fn map<U>(self, of: &mut impl FnMut(T) -> U) -> BlockTensors<U> {
        let AttentionTensors { norm, qkv, q_norm, k_norm, output } = self.attention;
        BlockTensors {
            attention: AttentionTensors {
                norm: norm.map(of),
                qkv: qkv.map(of),
                q_norm: q_norm.map(&mut *of),
                k_norm: k_norm.map(&mut *of),
                output: output.map(of),
            },
            mlp: MlpTensors { norm: self.mlp.norm.map(of), input: self.mlp.input.map(of), output: self.mlp.output.map(of) },
        }
    }
}

impl<T> Affine<T> {
    fn map<U>(self, of: &mut impl FnMut(T) -> U) -> Affine<U> {
        Affine { weight: of(self.weight), bias: self.bias.map(of) }
    }
}
