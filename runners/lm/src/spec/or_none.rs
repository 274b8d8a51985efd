//! A value, or the word `none`.

use regatta_core::forms::{Form, Forms};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;

/// A value, or the word `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrNone<T> {
    /// The value.
    Some(T),
    /// `none`: no limit.
    None,
}

impl<T> OrNone<T> {
    /// As an option.
    pub fn get(self) -> Option<T> {
        match self {
            OrNone::Some(value) => Some(value),
            OrNone::None => None,
        }
    }
}

impl<T: Serialize> Serialize for OrNone<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            OrNone::Some(value) => value.serialize(serializer),
            OrNone::None => serializer.serialize_str("none"),
        }
    }
}

impl<T: Form> OrNone<T> {
    fn forms() -> Forms<Self> {
        let number = Forms::expecting("a number or `none`").number(|value| Ok(Self::Some(value)));
        number.constant("none", "No limit.", Self::None)
    }
}

impl<'de, T: Form> Deserialize<'de> for OrNone<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::forms().read(deserializer)
    }
}

impl<T: Form> JsonSchema for OrNone<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("{}OrNone", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Self::forms().schema(generator)
    }
}
