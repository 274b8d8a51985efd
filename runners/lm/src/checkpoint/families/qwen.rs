//! Qwen2 and Qwen3 in Hugging Face's layout: Llama's, with biases on queries, keys and values, or with norms of queries and keys.

use super::config::Fields;
use super::llama::{self, Absent};
use crate::model::{Biases, Decoder, Family};
use serde_json::{Value, json};

/// What transformers takes for key and value heads that are not named.
const KV_HEADS: usize = 32;

pub(super) fn read(fields: &Fields, family: Family) -> Result<Decoder, String> {
    let head_dim = (family == Family::Qwen3).then_some(128); // in Qwen3 whatever the width
    let decoder = llama::shared(fields, family, Absent { kv_heads: Some(KV_HEADS), head_dim })?;
    window(fields, &decoder)?;
    let biases = if family == Family::Qwen2 { Biases { qkv: true, ..Biases::NONE } } else { llama::attention_biases(fields)? };
    Ok(Decoder { biases, ..decoder })
}

/// A window that some layer's attention slides along the context cannot be computed; one that is never narrower than the context,
/// or of no layer, does nothing.
fn window(fields: &Fields, decoder: &Decoder) -> Result<(), String> {
    let types = match fields.get("layer_types") {
        None => None,
        Some(types) => {
            Some(types.as_array().ok_or_else(|| fields.refuse("layer_types", "a list of `full_attention`"))?.as_slice())
        }
    };
    let types_of = |name: &str| types.unwrap_or_default().iter().filter(|word| word.as_str() == Some(name)).count();
    let sliding = types_of("sliding_attention");
    if types_of("full_attention") + sliding != types.unwrap_or_default().len() {
        return Err(fields.refuse("layer_types", "a list of `full_attention`"));
    }
    let narrow = match fields.get("sliding_window") {
        None if fields.names("sliding_window") => false,
        None => decoder.context > 4096, // transformers' default
        Some(window) => window.as_u64().is_none_or(|window| window < decoder.context as u64),
    };
    let full = fields.optional_size("max_window_layers", 0..=usize::MAX)?.unwrap_or(28); // transformers' default
    let somewhere = if types.is_some() { sliding > 0 } else { decoder.layers > full };
    if fields.truth("use_sliding_window", false)? && narrow && somewhere {
        return Err(fields.refuse("sliding_window", "null, or no less than `max_position_embeddings`"));
    }
    Ok(())
}

pub(super) fn write(decoder: &Decoder, family: Family) -> Value {
    if family == Family::Qwen2 {
        let mut config = llama::shared_fields(decoder, "qwen2", "Qwen2ForCausalLM");
        config["use_sliding_window"] = false.into();
        return config;
    }
    let mut config = llama::shared_fields(decoder, "qwen3", "Qwen3ForCausalLM");
    config["attention_bias"] = decoder.biases.qkv.into();
    config["use_sliding_window"] = json!(false);
    config
}
