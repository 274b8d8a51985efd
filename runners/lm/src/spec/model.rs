//! `model:` in a study.

use regatta_core::number::{Count, NonNegative};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The one model that every arm trains.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "ModelFields", into = "ModelFields")]
pub enum ModelSpec {
    /// GPT-2 from fresh weights.
    Gpt2(Gpt2Spec),
    /// A Hugging Face checkpoint folder to start from.
    Init(PathBuf),
}

impl Default for ModelSpec {
    fn default() -> Self {
        Self::Gpt2(Gpt2Spec::default())
    }
}

/// The shape of a GPT-2.
#[derive(Debug, Clone, PartialEq)]
pub struct Gpt2Spec {
    /// Blocks; 0 leaves embeddings, final norm and the tied output.
    pub layers: usize,
    /// Dims of the residual stream; a multiple of `heads`.
    pub width: usize,
    /// Attention heads.
    pub heads: usize,
    /// Positions.
    pub context: usize,
    /// Hidden dims of the MLP: 4·width where it is not named.
    pub mlp_width: usize,
    /// Standard deviation of the linear maps' biases at the start; 0 in GPT-2.
    pub bias_std: f64,
}

impl Default for Gpt2Spec {
    fn default() -> Self {
        Self { layers: 4, width: 128, heads: 4, context: 128, mlp_width: 512, bias_std: 0.0 }
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

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Family {
    Gpt2,
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
        let _ = family; // GPT-2 is the only family so far, named or not
        let default = Gpt2Spec::default();
        let width = width.map_or(default.width, Count::get);
        let spec = Gpt2Spec {
            layers: layers.map_or(default.layers, Count::get),
            width,
            heads: heads.map_or(default.heads, Count::get),
            context: context.map_or(default.context, Count::get),
            mlp_width: mlp_width.map_or(4 * width, Count::get),
            bias_std: bias_std.map_or(default.bias_std, NonNegative::get),
        };
        if !spec.width.is_multiple_of(spec.heads) {
            return Err(format!("expected `heads` to divide `width`, found {} heads and width {}", spec.heads, spec.width));
        }
        Ok(Self::Gpt2(spec))
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
            ModelSpec::Gpt2(Gpt2Spec { layers, width, heads, context, mlp_width, bias_std }) => Self {
                family: Some(Family::Gpt2),
                layers: Some(Count::new(layers)),
                width: Some(Count::new(width)),
                heads: Some(Count::new(heads)),
                context: Some(Count::new(context)),
                mlp_width: Some(Count::new(mlp_width)),
                bias_std: Some(NonNegative::new(bias_std)),
                init: None,
            },
        }
    }
}
