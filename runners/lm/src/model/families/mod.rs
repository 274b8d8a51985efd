//! The families of models that people train: a set of defaults for a decoder's options each, and what Hugging Face's `config.json`
//! and its tensors are called.
//!
//! A family's file has `read`, from the fields of `config.json` to a decoder or to the name of what cannot be computed; `write`,
//! back to `config.json`; and the names of its tensors. What a family's `config.json` can say is what it reads back: no list of it
//! is kept.

mod config;
mod gpt2;
mod gpt_neox;
mod llama;
mod olmo2;
mod own;
mod qwen;
mod rope;
mod stored;

use super::decoder::{Biases, Decoder, Mlp, NormKind, NormPlacement, Positions, QkNorm, Rotary};
use crate::spec::ModelSpec;
use config::Fields;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
pub(super) use stored::{Names, Stored};

/// A family of models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Radford et al. 2019.
    #[default]
    Gpt2,
    /// Touvron et al. 2023, arXiv:2302.13971; Llama 3, arXiv:2407.21783.
    Llama,
    /// Yang et al. 2024, arXiv:2407.10671.
    Qwen2,
    /// Yang et al. 2025, arXiv:2505.09388.
    Qwen3,
    /// Black et al. 2022, arXiv:2204.06745; Pythia, arXiv:2304.01373.
    GptNeox,
    /// OLMo team 2025, arXiv:2501.00656.
    Olmo2,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Gpt2, Self::Llama, Self::Qwen2, Self::Qwen3, Self::GptNeox, Self::Olmo2];

    /// Its name in prose.
    pub fn title(self) -> &'static str {
        match self {
            Self::Gpt2 => "GPT-2",
            Self::Llama => "Llama",
            Self::Qwen2 => "Qwen2",
            Self::Qwen3 => "Qwen3",
            Self::GptNeox => "GPT-NeoX",
            Self::Olmo2 => "OLMo 2",
        }
    }

    /// A model of the family with the sizes of a study that names none.
    pub fn defaults(self) -> Decoder {
        let gpt2 = Decoder {
            family: self,
            vocab_size: 0,
            layers: 4,
            width: 128,
            heads: 4,
            kv_heads: 4,
            head_dim: 32,
            context: 128,
            mlp_width: 512,
            norm: NormKind::LayerNorm,
            norm_epsilon: 1e-5,
            norm_placement: NormPlacement::Before,
            positions: Positions::Learned,
            mlp: Mlp::GeluTanh,
            qk_norm: QkNorm::None,
            biases: Biases::ALL,
            tied: true,
            parallel: false,
            logit_cap: None,
        };
        let rotary = Rotary::default();
        let llama = Decoder {
            norm: NormKind::RmsNorm,
            positions: Positions::Rotary(rotary),
            mlp: Mlp::Swiglu,
            mlp_width: Self::gated_width(128),
            biases: Biases::NONE,
            tied: false,
            ..gpt2.clone()
        };
        match self {
            Self::Gpt2 => gpt2,
            Self::Llama => llama,
            Self::Qwen2 => Decoder { norm_epsilon: 1e-6, biases: Biases { qkv: true, ..Biases::NONE }, tied: true, ..llama },
            Self::Qwen3 => Decoder { norm_epsilon: 1e-6, qk_norm: QkNorm::PerHead, tied: true, ..llama },
            Self::GptNeox => Decoder {
                positions: Positions::Rotary(Rotary { fraction: 0.25, ..rotary }),
                mlp: Mlp::Gelu,
                tied: false,
                parallel: true,
                ..gpt2
            },
            Self::Olmo2 => {
                Decoder { norm_epsilon: 1e-6, norm_placement: NormPlacement::After, qk_norm: QkNorm::AllHeads, ..llama }
            }
        }
    }

    /// Hidden dims of its MLP where none are named: 4 times the width; of a gated one, which has three matrices in place of two,
    /// 8/3 of it, rounded up to a multiple of 16.
    pub fn mlp_width(mlp: Mlp, width: usize) -> usize {
        if mlp == Mlp::Swiglu { Self::gated_width(width) } else { 4 * width }
    }

    fn gated_width(width: usize) -> usize {
        (8 * width).div_ceil(3).next_multiple_of(16)
    }

    /// Whether its checkpoints have queries, keys and values in one matrix: what works on whole matrices (Muon) takes them as one.
    pub fn joins_qkv(self) -> bool {
        matches!(self, Self::Gpt2 | Self::GptNeox)
    }

    /// Its `model_type`.
    fn model_type(self) -> &'static str {
        match self {
            Self::Gpt2 => "gpt2",
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
            Self::GptNeox => "gpt_neox",
            Self::Olmo2 => "olmo2",
        }
    }

    fn names(self) -> Names {
        match self {
            Self::Gpt2 => gpt2::NAMES,
            Self::Llama | Self::Qwen2 | Self::Qwen3 => llama::NAMES,
            Self::GptNeox => gpt_neox::NAMES,
            Self::Olmo2 => olmo2::NAMES,
        }
    }

    fn read(self, fields: &Fields) -> Result<Decoder, String> {
        match self {
            Self::Gpt2 => gpt2::read(fields),
            Self::Llama => llama::read(fields),
            Self::Qwen2 | Self::Qwen3 => qwen::read(fields, self),
            Self::GptNeox => gpt_neox::read(fields),
            Self::Olmo2 => olmo2::read(fields),
        }
    }

    /// The `config.json` of `decoder`, where it says all that the decoder is.
    fn write(self, decoder: &Decoder) -> Option<Value> {
        let config = match self {
            Self::Gpt2 => gpt2::write(decoder),
            Self::Llama => llama::write(decoder),
            Self::Qwen2 | Self::Qwen3 => qwen::write(decoder, self),
            Self::GptNeox => gpt_neox::write(decoder),
            Self::Olmo2 => olmo2::write(decoder),
        };
        let read = self.read(&Fields::of(&config).ok()?).ok()?;
        (Decoder { family: decoder.family, ..read } == *decoder).then_some(config)
    }
}

/// How a checkpoint says what its model is: `config.json`, and the names of its tensors.
pub(super) struct Layout {
    pub config: Value,
    pub names: Names,
}

impl Decoder {
    /// What `config.json` says, and the names of the tensors beside it.
    ///
    /// # Errors
    /// When it is of no family that this program knows, or of a model that it cannot compute, with the field.
    pub(super) fn from_config(config: &Value) -> Result<(Self, Names), String> {
        let fields = Fields::of(config)?;
        fields.unquantised()?;
        let families = Family::ALL.map(|family| (family.model_type(), Some(family)));
        match fields.choice("model_type", &[&families[..], &[(own::MODEL_TYPE, None)]].concat(), None)? {
            Some(family) => Ok((family.read(&fields)?, family.names())),
            None => Ok((own::read(&fields, config)?, own::NAMES)),
        }
    }

    /// How its checkpoint is written: as its own family's, or as that of another which can say it, or as Regatta's own.
    pub(super) fn layout(&self) -> Layout {
        match self.said() {
            Some((family, config)) => Layout { config, names: family.names() },
            None => Layout { config: own::write(self), names: own::NAMES },
        }
    }

    /// The family as which transformers reads its checkpoint; `None` where none can say what it is.
    pub fn stored_as(&self) -> Option<Family> {
        self.said().map(|(family, _)| family)
    }

    /// The family, and the options that are not its own: `Llama with norm layer_norm and tied true`.
    pub fn kind(&self) -> String {
        let (found, family) = (own::write(self), own::write(&self.family.defaults()));
        let differs = |field: &&&str| **field != "mlp_width" && found[**field] != family[**field];
        let words = |field: &&str| {
            format!("{field} {}", found[*field].to_string().replace('"', "").replace(':', ": ").replace(',', ", "))
        };
        let others: Vec<String> = ModelSpec::follow("family").iter().filter(differs).map(words).collect();
        let with = if others.is_empty() { "" } else { " with " };
        format!("{}{with}{}", self.family.title(), others.join(" and "))
    }

    /// The model in words: `Llama, 4 blocks of width 128, 4 heads on 2 of keys and values`.
    pub fn words(&self) -> String {
        let on = if self.kv_heads == self.heads { String::new() } else { format!(" on {} of keys and values", self.kv_heads) };
        let dims = if self.query_width() == self.width { String::new() } else { format!(" of {} dims", self.head_dim) };
        let [blocks, heads] = [(self.layers, "block"), (self.heads, "head")].map(|(count, what)| counted(count, what));
        format!("{}, {blocks} of width {}, {heads}{dims}{on}", self.kind(), self.width)
    }

    fn said(&self) -> Option<(Family, Value)> {
        let families = [self.family].into_iter().chain(Family::ALL);
        families.into_iter().find_map(|family| Some((family, family.write(self)?)))
    }
}

/// `1 block`, `2 blocks`
pub(super) fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;
