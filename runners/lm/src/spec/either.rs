//! Options that are a flag or a word: `qk_norm: true` or `all_heads`, `biases: false` or a list of maps.

use crate::model::{Biases, QkNorm};
use regatta_core::forms;
use regatta_core::forms::Forms;
use schemars::JsonSchema;
use serde::ser::{Serialize, SerializeSeq, Serializer};

impl Serialize for QkNorm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_bool(false),
            Self::PerHead => serializer.serialize_bool(true),
            Self::AllHeads => serializer.serialize_str("all_heads"),
        }
    }
}

forms! {
    QkNorm => Forms::expecting("false, true or `all_heads`")
        .constant(false, "Queries and keys as they are.", Self::None)
        .constant(true, "Queries and keys are normalised, each head by itself.", Self::PerHead)
        .constant("all_heads", "Queries and keys are normalised, all heads together.", Self::AllHeads)
}

/// The linear maps that have biases together.
#[derive(Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Biased {
    Qkv,
    AttentionOutput,
    Mlp,
}

impl Biases {
    fn each(&self) -> [(Biased, bool); 3] {
        [(Biased::Qkv, self.qkv), (Biased::AttentionOutput, self.attention_output), (Biased::Mlp, self.mlp)]
    }

    fn these(named: Vec<Biased>) -> Result<Self, String> {
        let mut biases = Self::NONE;
        for biased in named {
            if std::mem::replace(biases.of(biased), true) {
                let name = serde_json::to_value(biased).unwrap_or_default();
                return Err(format!("expected each name once, found `{}` twice", name.as_str().unwrap_or_default()));
            }
        }
        Ok(biases)
    }

    fn of(&mut self, biased: Biased) -> &mut bool {
        match biased {
            Biased::Qkv => &mut self.qkv,
            Biased::AttentionOutput => &mut self.attention_output,
            Biased::Mlp => &mut self.mlp,
        }
    }
}

impl Serialize for Biases {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if [Self::ALL, Self::NONE].contains(self) {
            return serializer.serialize_bool(*self == Self::ALL);
        }
        let mut list = serializer.serialize_seq(None)?;
        self.each().iter().filter(|(_, has)| *has).try_for_each(|(biased, _)| list.serialize_element(biased))?;
        list.end()
    }
}

forms! {
    Biases => Forms::expecting("true, false or a list of `qkv`, `attention_output` and `mlp`")
        .constant(true, "Every linear map has a bias.", Self::ALL)
        .constant(false, "No linear map has a bias.", Self::NONE)
        .list(Self::these)
}
