//! The shape of a GPT-2, as Hugging Face's `config.json` says it.

use crate::spec::Gpt2Spec;
use serde::{Deserialize, Serialize};

/// The fields of `config.json` that shape the model. Other fields are ignored when read; those that would change what is
/// computed are checked as it is read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gpt2Config {
    /// `gpt2`.
    pub model_type: String,
    /// Vocabulary size.
    pub vocab_size: usize,
    /// Positions: the longest context.
    pub n_positions: usize,
    /// Width of the residual stream.
    pub n_embd: usize,
    /// Blocks.
    pub n_layer: usize,
    /// Attention heads.
    pub n_head: usize,
    /// Hidden dims of the MLP; 4 x width where absent.
    #[serde(default)]
    pub n_inner: Option<usize>,
    /// `gelu_new`: the tanh form.
    pub activation_function: String,
    /// Epsilon of the layer norms.
    pub layer_norm_epsilon: f64,
    /// Whether the output matrix is the embedding.
    #[serde(default = "yes")]
    pub tie_word_embeddings: bool,
    /// Whether scores are divided by the root of a head's dims.
    #[serde(default = "yes")]
    pub scale_attn_weights: bool,
    /// Whether scores are also divided by the layer's number.
    #[serde(default)]
    pub scale_attn_by_inverse_layer_idx: bool,
    /// The class that Hugging Face's loaders look for.
    #[serde(default = "architectures")]
    pub architectures: Vec<String>,
}

fn yes() -> bool {
    true
}

fn architectures() -> Vec<String> {
    vec!["GPT2LMHeadModel".into()]
}

impl Gpt2Config {
    /// The config of a fresh model.
    pub fn new(spec: &Gpt2Spec, vocab_size: usize) -> Self {
        Self {
            model_type: "gpt2".into(),
            vocab_size,
            n_positions: spec.context,
            n_embd: spec.width,
            n_layer: spec.layers,
            n_head: spec.heads,
            n_inner: Some(spec.mlp_width),
            activation_function: "gelu_new".into(),
            layer_norm_epsilon: 1e-5,
            tie_word_embeddings: true,
            scale_attn_weights: true,
            scale_attn_by_inverse_layer_idx: false,
            architectures: architectures(),
        }
    }

    /// Hidden dims of the MLP.
    pub fn mlp_width(&self) -> usize {
        self.n_inner.unwrap_or(4 * self.n_embd)
    }

    /// Numbers that training changes.
    pub fn parameters(&self) -> usize {
        self.shapes().iter().map(|(_, shape)| shape.iter().product::<usize>()).sum()
    }

    /// Name and shape of every tensor, in order of the forward pass. Weights of linear maps are (inputs, outputs).
    pub fn shapes(&self) -> Vec<(String, Vec<usize>)> {
        let (d, m) = (self.n_embd, self.mlp_width());
        let mut shapes = vec![("wte.weight".into(), vec![self.vocab_size, d]), ("wpe.weight".into(), vec![self.n_positions, d])];
        for layer in 0..self.n_layer {
            let block: [(&str, Vec<usize>); 12] = [
                ("ln_1.weight", vec![d]),
                ("ln_1.bias", vec![d]),
                ("attn.c_attn.weight", vec![d, 3 * d]),
                ("attn.c_attn.bias", vec![3 * d]),
                ("attn.c_proj.weight", vec![d, d]),
                ("attn.c_proj.bias", vec![d]),
                ("ln_2.weight", vec![d]),
                ("ln_2.bias", vec![d]),
                ("mlp.c_fc.weight", vec![d, m]),
                ("mlp.c_fc.bias", vec![m]),
                ("mlp.c_proj.weight", vec![m, d]),
                ("mlp.c_proj.bias", vec![d]),
            ];
            shapes.extend(block.map(|(name, shape)| (format!("h.{layer}.{name}"), shape)));
        }
        shapes.extend([("ln_f.weight".into(), vec![d]), ("ln_f.bias".into(), vec![d])]);
        shapes
    }

    /// What this program cannot compute, in a message that names the field.
    pub(super) fn check(&self) -> Result<(), String> {
        let expected = |field: &str, expected: &str, found: &dyn std::fmt::Display| {
            Err(format!("expected `{field}` to be {expected}, found {found}"))
        };
        if self.model_type != "gpt2" {
            return expected("model_type", "gpt2", &self.model_type);
        }
        if !["gelu_new", "gelu_pytorch_tanh"].contains(&self.activation_function.as_str()) {
            return expected("activation_function", "gelu_new, GELU's tanh form", &self.activation_function);
        }
        if !self.tie_word_embeddings {
            return expected("tie_word_embeddings", "true", &false);
        }
        if !self.scale_attn_weights || self.scale_attn_by_inverse_layer_idx {
            return expected("scale_attn_weights", "true, and scale_attn_by_inverse_layer_idx false", &"another scale");
        }
        if self.layer_norm_epsilon.is_nan() || self.layer_norm_epsilon <= 0.0 {
            return expected("layer_norm_epsilon", "above 0", &self.layer_norm_epsilon);
        }
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("n_positions", self.n_positions),
            ("n_embd", self.n_embd),
            ("n_head", self.n_head),
        ];
        for (field, size) in sizes.into_iter().chain([("n_layer", self.n_layer + 1), ("n_inner", self.mlp_width())]) {
            if size == 0 || size > 1 << 24 {
                return expected(field, "between 1 and 16777216", &size);
            }
        }
        if !self.n_embd.is_multiple_of(self.n_head) {
            return expected("n_head", "a divisor of n_embd", &format!("{} and {}", self.n_head, self.n_embd));
        }
        Ok(())
    }
}
