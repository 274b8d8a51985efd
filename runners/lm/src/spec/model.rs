//! `model:` in a study.

use crate::model::{Decoder, Family};
use regatta_core::number::{Count, NonNegative};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The one model that every arm trains.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "ModelFields", into = "ModelFields")]
pub enum ModelSpec {
    /// A model with fresh weights.
    Fresh(Fresh),
    /// A Hugging Face checkpoint folder to start from.
    Init(PathBuf),
}

impl Default for ModelSpec {
    fn default() -> Self {
        Self::Fresh(Fresh { decoder: Family::default().defaults(), bias_std: 0.0 })
    }
}

/// A model with fresh weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Fresh {
    /// Its options, all but the vocabulary, which the tokenizer says.
    pub decoder: Decoder,
    /// Standard deviation of the linear maps' biases at the start; 0 in GPT-2.
    pub bias_std: f64,
}

impl Fresh {
    /// The model with a vocabulary of so many tokens.
    pub fn decoder(&self, vocab_size: usize) -> Decoder {
        Decoder { vocab_size, ..self.decoder.clone() }
    }
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelFields {
    #[serde(skip_serializing_if = "Option::is_none")]
    family: Option<Family>,
    #[serde(skip_serializing_if = "Option::is_none")]
    layers: Option<Count<0, 1_000>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<Count<1, 65_536>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    heads: Option<Count<1, 4_096>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<Count<2, 1_048_576>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mlp_width: Option<Count<1, 1_048_576>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bias_std: Option<NonNegative>,
    #[serde(skip_serializing_if = "Option::is_none")]
    init: Option<PathBuf>,
}

impl TryFrom<ModelFields> for ModelSpec {
    type Error = String;

    fn try_from(fields: ModelFields) -> Result<Self, String> {
        let ModelFields { family, layers, width, heads, context, mlp_width, bias_std, init } = fields;
        if let Some(folder) = init {
            let sizes = layers.is_some() || width.is_some() || heads.is_some() || context.is_some() || mlp_width.is_some();
            let named = sizes || bias_std.is_some();
            return match named {
                false => Ok(Self::Init(folder)),
                true => {
                    Err("expected `init` alone: the checkpoint says its own layers, width, heads, context, mlp_width and biases"
                        .into())
                }
            };
        }
        let default = family.unwrap_or_default().defaults();
        let width = width.map_or(default.width, Count::get);
        let heads = heads.map_or(default.heads, Count::get);
        let spec = Decoder {
            layers: layers.map_or(default.layers, Count::get),
            width,
            heads,
            kv_heads: heads,
            head_dim: width / heads,
            context: context.map_or(default.context, Count::get),
            mlp_width: mlp_width.map_or(Family::mlp_width(default.mlp, width), Count::get),
            ..default
        };
        if !spec.width.is_multiple_of(spec.heads) {
            return Err(format!("expected `heads` to divide `width`, found {} heads and width {}", spec.heads, spec.width));
        }
        Ok(Self::Fresh(Fresh { decoder: spec, bias_std: bias_std.map_or(0.0, NonNegative::get) }))
    }
}

impl From<ModelSpec> for ModelFields {
    fn from(spec: ModelSpec) -> Self {
        let none = Self {
            family: None,
            layers: None,
            width: None,
            heads: None,
            context: None,
            mlp_width: None,
            bias_std: None,
            init: None,
        };
        match spec {
            ModelSpec::Init(folder) => Self { init: Some(folder), ..none },
            ModelSpec::Fresh(Fresh { decoder, bias_std }) => Self {
                family: Some(decoder.family),
                layers: Some(Count::new(decoder.layers)),
                width: Some(Count::new(decoder.width)),
                heads: Some(Count::new(decoder.heads)),
                context: Some(Count::new(decoder.context)),
                mlp_width: Some(Count::new(decoder.mlp_width)),
                bias_std: Some(NonNegative::new(bias_std)),
                init: None,
            },
        }
    }
}
