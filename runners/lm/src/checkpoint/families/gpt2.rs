//! GPT-2 in Hugging Face's layout. Our tensors have its names, and lie as its `Conv1D` has them.

use super::config::{Fields, HEADS, LAYERS, SIZE, divisor, expected};
use super::stored::Names;
use crate::model::{Decoder, Family, Mlp};
use serde_json::{Value, json};

pub(super) const NAMES: Names = Names { prefix: "transformer.", unembedding: "lm_head", linear: None };

const ACTIVATIONS: [(&str, Mlp); 3] = [("gelu_new", Mlp::GeluTanh), ("gelu", Mlp::Gelu), ("gelu_pytorch_tanh", Mlp::GeluTanh)];

pub(super) fn read(fields: &Fields) -> Result<Decoder, String> {
    let (width, heads) = (fields.size("n_embd", SIZE)?, fields.size("n_head", HEADS)?);
    divisor(("n_head", heads), ("n_embd", width))?;
    fields.always("scale_attn_weights", true, true)?;
    fields.always("scale_attn_by_inverse_layer_idx", false, false)?;
    fields.always("add_cross_attention", false, false)?;
    Ok(Decoder {
        vocab_size: fields.size("vocab_size", SIZE)?,
        layers: fields.size("n_layer", LAYERS)?,
        width,
        heads,
        kv_heads: heads,
        head_dim: width / heads,
        context: fields.size("n_positions", SIZE)?,
        mlp_width: inner(fields, width)?,
        norm_epsilon: fields.positive("layer_norm_epsilon", Some(1e-5))?,
        mlp: fields.choice("activation_function", &ACTIVATIONS, Some("gelu_new"))?,
        tied: fields.truth("tie_word_embeddings", true)?,
        ..Family::Gpt2.defaults()
    })
}

fn inner(fields: &Fields, width: usize) -> Result<usize, String> {
    let inner = fields.optional_size("n_inner", SIZE)?.unwrap_or(4 * width);
    if SIZE.contains(&inner) { Ok(inner) } else { Err(expected("n_embd", "a quarter of 16777216 at most", &width.into())) }
}

pub(super) fn write(decoder: &Decoder) -> Value {
    json!({
        "model_type": "gpt2",
        "vocab_size": decoder.vocab_size,
        "n_positions": decoder.context,
        "n_embd": decoder.width,
        "n_layer": decoder.layers,
        "n_head": decoder.heads,
        "n_inner": decoder.mlp_width,
        "activation_function": if decoder.mlp == Mlp::Gelu { "gelu" } else { "gelu_new" },
        "layer_norm_epsilon": decoder.norm_epsilon,
        "tie_word_embeddings": decoder.tied,
        "scale_attn_weights": true,
        "scale_attn_by_inverse_layer_idx": false,
        "architectures": ["GPT2LMHeadModel"],
    })
}
