//! A choice by name: a bare `name` takes every default, `{name: {fields}}` sets some.

use super::Forms;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::{EnumAccessDeserializer, MapDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error, IntoDeserializer, Unexpected, VariantAccess, Visitor,
};
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::marker::PhantomData;

/// An enum whose variants are written as `{name: {fields}}` or, with every default, as a bare `name`. A field
/// that is a `T` itself says `#[serde(deserialize_with = "bare_or_map")]` and `#[schemars(with = "Choice<T>")]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice<T>(pub T);

impl<'de, T: DeserializeOwned + 'static> Deserialize<'de> for Choice<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        bare_or_map(deserializer).map(Self)
    }
}

/// Reads a [`Choice`].
///
/// # Errors
/// As the enum's own `Deserialize`.
pub fn bare_or_map<'de, D: Deserializer<'de>, T: DeserializeOwned + 'static>(deserializer: D) -> Result<T, D::Error> {
    let bare =
        |name: &str| T::deserialize(EnumAccessDeserializer::new(BareVariant { name: name.to_owned(), error: PhantomData }));
    choice("a name, or one name with its fields", bare).read(deserializer)
}

/// The two forms of a choice, which reads a name by `bare`.
pub(crate) fn choice<T: DeserializeOwned + 'static>(
    expected: impl Into<String>,
    bare: impl FnOnce(&str) -> Result<T, erased_serde::Error> + 'static,
) -> Forms<T> {
    let mut forms = Forms::expecting(expected);
    forms.text = Some(Box::new(|name| bare(name).map(Some)));
    forms.map = Some(super::reader(Ok));
    forms
}

impl<T: JsonSchema> JsonSchema for Choice<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Choice{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let variants = T::json_schema(generator).to_value();
        let all = ["oneOf", "anyOf"].iter().find_map(|key| variants[key].as_array().cloned()).unwrap_or_else(|| vec![variants]);
        let mut choices = Vec::new();
        for variant in all {
            let description = variant["description"].as_str().unwrap_or_default();
            match variant["properties"].as_object().and_then(|properties| properties.iter().next()) {
                Some((name, fields)) => choices.push((name.clone(), description.to_owned(), Some(fields.clone()))),
                None => {
                    let names = variant["enum"].as_array().cloned().unwrap_or_else(|| vec![variant["const"].clone()]);
                    let names = names.iter().filter_map(Value::as_str);
                    choices.extend(names.map(|name| (name.to_owned(), description.to_owned(), None)));
                }
            }
        }
        named(generator, choices)
    }
}

/// The schema of a choice between names, each with its description and the schema of its fields, if it has any.
pub fn named(generator: &SchemaGenerator, choices: Vec<(String, String, Option<Value>)>) -> Schema {
    let whole = |fields: &Value| {
        let name = fields["$ref"].as_str().and_then(|reference| reference.rsplit('/').next());
        name.and_then(|name| generator.definitions().get(name)).unwrap_or(fields).clone()
    };
    let (mut forms, mut properties) = (Vec::new(), Map::new());
    for (name, description, fields) in choices {
        let takes_defaults = fields.as_ref().map(whole).is_none_or(|fields| {
            fields["type"] == "object" && ["required", "minProperties"].iter().all(|key| fields.get(key).is_none())
        });
        if takes_defaults {
            forms.push(json!({"const": name, "description": description}));
        }
        if let Some(mut fields) = fields {
            if takes_defaults {
                fields = json!({"anyOf": [fields, {"type": "null"}]}); // nothing behind the name
            }
            fields["description"] = description.into();
            properties.insert(name, fields);
        }
    }
    if !properties.is_empty() {
        let map = json!({
            "type": "object", "properties": properties, "minProperties": 1, "maxProperties": 1, "additionalProperties": false
        });
        forms.push(map);
    }
    json_schema!({"anyOf": forms})
}

/// A variant with nothing behind its name: its content is an empty map.
struct BareVariant<E> {
    name: String,
    error: PhantomData<E>,
}

impl<'de, E: Error> EnumAccess<'de> for BareVariant<E> {
    type Error = E;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), E> {
        let name = seed.deserialize(self.name.as_str().into_deserializer())?;
        Ok((name, self))
    }
}

impl<'de, E: Error> VariantAccess<'de> for BareVariant<E> {
    type Error = E;

    fn unit_variant(self) -> Result<(), E> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, E> {
        seed.deserialize(MapDeserializer::new(std::iter::empty::<(&str, u8)>()))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, E> {
        Err(E::invalid_type(Unexpected::UnitVariant, &visitor))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, E> {
        visitor.visit_map(MapDeserializer::new(std::iter::empty::<(&str, u8)>()))
    }
}
