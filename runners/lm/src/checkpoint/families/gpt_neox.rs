//! GPT-NeoX, and so Pythia, in Hugging Face's layout: queries, keys and values in one matrix, head by head.

use super::config::{Fields, HEADS, LAYERS, SIZE, divisor};
use super::rope::{self, Outside};
use super::stored::{Linear, Names};
use crate::model::{Biases, Decoder, Family, Map, Mlp, Positions};
use serde_json::{Value, json};

pub(super) const NAMES: Names = Names {
    prefix: "gpt_neox.",
    unembedding: "embed_out",
    linear: Some(Linear {
        embedding: "embed_in",
        attention_norm: "input_layernorm",
        mlp_norm: "post_attention_layernorm",
        norm: "final_layer_norm",
        by_head: Some("attention.query_key_value"),
        map: |map| match map {
            Map::AttentionOutput => "attention.dense",
            Map::MlpInput => "mlp.dense_h_to_4h",
            Map::MlpOutput => "mlp.dense_4h_to_h",
            Map::AttentionQuery | Map::AttentionKey | Map::AttentionValue | Map::MlpGate => unreachable!("not maps of their own"),
        },
    }),
};

const ROPE: Outside = Outside { theta: "rotary_emb_base", fraction: "rotary_pct", whole: 0.25 };

const ACTIVATIONS: [(&str, Mlp); 3] = [("gelu", Mlp::Gelu), ("gelu_new", Mlp::GeluTanh), ("gelu_pytorch_tanh", Mlp::GeluTanh)];

pub(super) fn read(fields: &Fields) -> Result<Decoder, String> {
    let (width, heads) = (fields.size("hidden_size", SIZE)?, fields.size("num_attention_heads", HEADS)?);
    divisor(("num_attention_heads", heads), ("hidden_size", width))?;
    let (head_dim, context) = (width / heads, fields.size("max_position_embeddings", SIZE)?);
    let rotary = rope::read(fields, &ROPE, context)?;
    let rotated = rotary.dims(head_dim);
    if rotated == 0 || !rotated.is_multiple_of(2) {
        let of = format!("{} of {head_dim}", rotary.fraction);
        return Err(format!("expected `rotary_pct` to be a fraction that rotates an even number of a head's dims, found {of}"));
    }
    let attention = fields.truth("attention_bias", true)?;
    Ok(Decoder {
        vocab_size: fields.size("vocab_size", SIZE)?,
        layers: fields.size("num_hidden_layers", LAYERS)?,
        width,
        heads,
        kv_heads: heads,
        head_dim,
        context,
        mlp_width: fields.size("intermediate_size", SIZE)?,
        norm_epsilon: fields.positive("layer_norm_eps", Some(1e-5))?,
        positions: Positions::Rotary(rotary),
        mlp: fields.choice("hidden_act", &ACTIVATIONS, Some("gelu"))?,
        biases: Biases { qkv: attention, attention_output: attention, mlp: true },
        tied: fields.truth("tie_word_embeddings", false)?,
        parallel: fields.truth("use_parallel_residual", true)?,
        ..Family::GptNeox.defaults()
    })
}

pub(super) fn write(decoder: &Decoder) -> Value {
    let mut config = json!({
        "model_type": "gpt_neox",
        "vocab_size": decoder.vocab_size,
        "max_position_embeddings": decoder.context,
        "hidden_size": decoder.width,
        "num_hidden_layers": decoder.layers,
        "num_attention_heads": decoder.heads,
        "intermediate_size": decoder.mlp_width,
        "hidden_act": if decoder.mlp == Mlp::GeluTanh { "gelu_new" } else { "gelu" },
        "layer_norm_eps": decoder.norm_epsilon,
        "attention_bias": decoder.biases.qkv,
        "tie_word_embeddings": decoder.tied,
        "use_parallel_residual": decoder.parallel,
        "torch_dtype": "float32",
        "architectures": ["GPTNeoXForCausalLM"],
    });
    if let Some(fields) = config.as_object_mut() {
        rope::write(decoder, &ROPE, fields);
    }
    config
}
