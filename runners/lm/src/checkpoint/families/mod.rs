//! How each family is stored: Hugging Face's `config.json`, and the names of its tensors.
//!
//! A family's file has `read`, from the fields of `config.json` to a decoder or to the name of what cannot be computed; `write`,
//! back to `config.json`; and the names of its tensors. A family can describe what it reads back equal; no list of that
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

use crate::model::{Decoder, Family};
use crate::spec::ModelSpec;
use config::Fields;
use serde_json::Value;
pub(super) use stored::{Names, Stored};

impl Family {
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

    /// The `config.json` of `decoder`, where it can describe all of it.
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

/// How a checkpoint describes its model: `config.json`, and the names of its tensors.
pub(super) struct Layout {
    pub config: Value,
    pub names: Names,
}

impl Decoder {
    /// The model of a `config.json`, and the names of the tensors beside it.
    ///
    /// # Errors
    /// When it is not of a family that this program knows, or of a model that it cannot compute, with the field.
    pub(super) fn from_config(config: &Value) -> Result<(Self, Names), String> {
        let fields = Fields::of(config)?;
        fields.unquantised()?;
        let families = Family::ALL.map(|family| (family.model_type(), Some(family)));
        match fields.choice("model_type", &[&families[..], &[(own::MODEL_TYPE, None)]].concat(), None)? {
            Some(family) => Ok((family.read(&fields)?, family.names())),
            None => Ok((own::read(&fields, config)?, own::NAMES)),
        }
    }

    /// How its checkpoint is written: as its own family's, or as that of another which can describe it, or as Regatta's own.
    pub(super) fn layout(&self) -> Layout {
        match self.described() {
            Some((family, config)) => Layout { config, names: family.names() },
            None => Layout { config: own::write(self), names: own::NAMES },
        }
    }

    /// The family as which transformers reads its checkpoint; `None` where none can describe it.
    pub fn stored_as(&self) -> Option<Family> {
        self.described().map(|(family, _)| family)
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

    fn described(&self) -> Option<(Family, Value)> {
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
