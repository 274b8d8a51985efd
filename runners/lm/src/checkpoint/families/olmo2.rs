//! OLMo 2 in Hugging Face's layout: Llama's, with norms after attention and MLP in place of before, and norms of all queries and of
//! all keys.

use super::config::Fields;
use super::llama::{self, Absent, LINEAR};
use super::stored::{Linear, Names};
use crate::model::{Decoder, Family};
use serde_json::Value;

pub(super) const NAMES: Names = Names {
    linear: Some(Linear { attention_norm: "post_attention_layernorm", mlp_norm: "post_feedforward_layernorm", ..LINEAR }),
    ..llama::NAMES
};

pub(super) fn read(fields: &Fields) -> Result<Decoder, String> {
    let shared = llama::shared(fields, Family::Olmo2, Absent::default())?;
    Ok(Decoder { biases: llama::attention_biases(fields)?, ..shared })
}

pub(super) fn write(decoder: &Decoder) -> Value {
    let mut config = llama::shared_fields(decoder, "olmo2", "Olmo2ForCausalLM");
    config["attention_bias"] = decoder.biases.qkv.into();
    config
}
