//! Options that are a flag or a word: `qk_norm: true` or `all_heads`, `biases: false` or a list of maps.

use crate::model::{Biases, QkNorm};
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeSeq, Serializer};
use std::fmt;

impl Serialize for QkNorm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_bool(false),
            Self::PerHead => serializer.serialize_bool(true),
            Self::AllHeads => serializer.serialize_str("all_heads"),
        }
    }
}

impl<'de> Deserialize<'de> for QkNorm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FlagOrWord;

        impl Visitor<'_> for FlagOrWord {
            type Value = QkNorm;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("false, true or `all_heads`")
            }

            fn visit_bool<E: de::Error>(self, each: bool) -> Result<QkNorm, E> {
                Ok(if each { QkNorm::PerHead } else { QkNorm::None })
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<QkNorm, E> {
                if word == "all_heads" { Ok(QkNorm::AllHeads) } else { Err(E::invalid_value(de::Unexpected::Str(word), &self)) }
            }
        }

        deserializer.deserialize_any(FlagOrWord)
    }
}

/// The linear maps that have biases together.
#[derive(Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
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

impl<'de> Deserialize<'de> for Biases {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FlagOrList;

        impl<'de> Visitor<'de> for FlagOrList {
            type Value = Biases;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false or a list of `qkv`, `attention_output` and `mlp`")
            }

            fn visit_bool<E: de::Error>(self, all: bool) -> Result<Biases, E> {
                Ok(if all { Biases::ALL } else { Biases::NONE })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Biases, A::Error> {
                let mut biases = Biases::NONE;
                while let Some(biased) = list.next_element()? {
                    if std::mem::replace(biases.of(biased), true) {
                        let name = serde_json::to_value(biased).unwrap_or_default();
                        let name = name.as_str().unwrap_or_default();
                        return Err(de::Error::custom(format!("expected each name once, found `{name}` twice")));
                    }
                }
                Ok(biases)
            }
        }

        deserializer.deserialize_any(FlagOrList)
    }
}
