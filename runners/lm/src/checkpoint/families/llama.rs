//! Llama in Hugging Face's layout, and what Qwen and OLMo 2 have from it.

use super::config::{Fields, HEADS, LAYERS, SIZE, divisor};
use super::rope;
use super::stored::{Linear, Names};
use crate::model::{Biases, Decoder, Family, Map, Positions, Rotary};
use serde_json::{Value, json};

pub(super) const NAMES: Names = Names { prefix: "model.", unembedding: "lm_head", linear: Some(LINEAR) };

pub(super) const LINEAR: Linear = Linear {
    embedding: "embed_tokens",
    attention_norm: "input_layernorm",
    mlp_norm: "post_attention_layernorm",
    norm: "norm",
    by_head: None,
    map: |map| match map {
        Map::AttentionQuery => "self_attn.q_proj",
        Map::AttentionKey => "self_attn.k_proj",
        Map::AttentionValue => "self_attn.v_proj",
        Map::AttentionOutput => "self_attn.o_proj",
        Map::MlpGate => "mlp.gate_proj",
        Map::MlpInput => "mlp.up_proj",
        Map::MlpOutput => "mlp.down_proj",
    },
};

pub(super) fn read(fields: &Fields) -> Result<Decoder, String> {
    let shared = shared(fields, Family::Llama, Absent::default())?;
    Ok(Decoder { biases: Biases { mlp: fields.truth("mlp_bias", false)?, ..attention_biases(fields)? }, ..shared })
}

/// What is meant where a field is absent, in a family that differs in this from Llama.
#[derive(Default)]
pub(super) struct Absent {
    /// `None`: as many as query heads.
    pub kv_heads: Option<usize>,
    /// `None`: width over heads.
    pub head_dim: Option<usize>,
}

/// The fields that all of them have.
pub(super) fn shared(fields: &Fields, family: Family, absent: Absent) -> Result<Decoder, String> {
    let (width, heads) = (fields.size("hidden_size", SIZE)?, fields.size("num_attention_heads", HEADS)?);
    let (context, defaults) = (fields.size("max_position_embeddings", SIZE)?, family.defaults());
    let kv_heads = match (fields.optional_size("num_key_value_heads", HEADS)?, absent.kv_heads) {
        (Some(named), _) => named,
        (None, Some(default)) if !fields.names("num_key_value_heads") => default,
        _ => heads,
    };
    divisor(("num_key_value_heads", kv_heads), ("num_attention_heads", heads))?;
    let head_dim = match fields.optional_size("head_dim", HEADS)?.or(absent.head_dim) {
        Some(named) => named,
        None => divisor(("num_attention_heads", heads), ("hidden_size", width)).map(|()| width / heads)?,
    };
    if !head_dim.is_multiple_of(2) {
        return Err(format!("expected `head_dim` to be even, for rotary positions, found {head_dim}"));
    }
    let rotary = rope::read(fields, &rope::LLAMA, context)?;
    if rotary.fraction != 1.0 {
        return Err(format!("expected `partial_rotary_factor` to be 1, found {}", rotary.fraction));
    }
    fields.choice("hidden_act", &[("silu", ()), ("swish", ())], Some("silu"))?;
    Ok(Decoder {
        vocab_size: fields.size("vocab_size", SIZE)?,
        layers: fields.size("num_hidden_layers", LAYERS)?,
        width,
        heads,
        kv_heads,
        head_dim,
        context,
        mlp_width: fields.size("intermediate_size", SIZE)?,
        norm_epsilon: fields.positive("rms_norm_eps", Some(if family == Family::Olmo2 { 1e-5 } else { 1e-6 }))?,
        positions: Positions::Rotary(Rotary { fraction: 1.0, ..rotary }),
        tied: fields.truth("tie_word_embeddings", false)?,
        ..defaults
    })
}

/// `attention_bias` is one flag for queries, keys, values and the projection back.
pub(super) fn attention_biases(fields: &Fields) -> Result<Biases, String> {
    let attention = fields.truth("attention_bias", false)?;
    Ok(Biases { qkv: attention, attention_output: attention, mlp: false })
}

pub(super) fn write(decoder: &Decoder) -> Value {
    let mut config = shared_fields(decoder, "llama", "LlamaForCausalLM");
    config["attention_bias"] = decoder.biases.qkv.into();
    config["mlp_bias"] = decoder.biases.mlp.into();
    config
}

pub(super) fn shared_fields(decoder: &Decoder, model_type: &str, class: &str) -> Value {
    let mut config = json!({
        "model_type": model_type,
        "vocab_size": decoder.vocab_size,
        "max_position_embeddings": decoder.context,
        "hidden_size": decoder.width,
        "num_hidden_layers": decoder.layers,
        "num_attention_heads": decoder.heads,
        "num_key_value_heads": decoder.kv_heads,
        "head_dim": decoder.head_dim,
        "intermediate_size": decoder.mlp_width,
        "hidden_act": "silu",
        "rms_norm_eps": decoder.norm_epsilon,
        "tie_word_embeddings": decoder.tied,
        "torch_dtype": "float32",
        "architectures": [class],
    });
    if let Some(fields) = config.as_object_mut() {
        rope::write(decoder, &rope::LLAMA, fields);
    }
    config
}
