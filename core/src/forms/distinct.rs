//! Lists in which nothing is written twice.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde::de::{self, Deserialize, Deserializer};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::HashSet;

/// A list of at least one item, and none twice.
pub struct Distinct<T>(pub Vec<T>);

impl<'de, T: Deserialize<'de> + Serialize> Deserialize<'de> for Distinct<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let items = Vec::<T>::deserialize(deserializer)?;
        if items.is_empty() {
            return Err(de::Error::custom("expected at least one value, found none"));
        }
        let written = items.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>().map_err(de::Error::custom)?;
        let mut seen = HashSet::new();
        match written.iter().map(canonical).find(|text| !seen.insert(text.clone())) {
            Some(twice) => Err(de::Error::custom(format!("expected each value once, found {twice} twice"))),
            None => Ok(Self(items)),
        }
    }
}

impl<T: JsonSchema> JsonSchema for Distinct<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Distinct{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let items = generator.subschema_for::<T>();
        json_schema!({"type": "array", "items": items, "minItems": 1, "uniqueItems": true})
    }
}

/// Reads a [`Distinct`] list; use as `#[serde(deserialize_with = "distinct")]`.
///
/// # Errors
/// When it is empty, or has an item twice.
pub fn distinct<'de, D: Deserializer<'de>, T: Deserialize<'de> + Serialize>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Distinct::deserialize(deserializer).map(|Distinct(items)| items)
}

/// One text for equal values, whatever the order of keys and however a number is written.
pub fn canonical(value: &Value) -> String {
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 9e15 => (float as i64).to_string(),
            _ => number.to_string(),
        },
        Value::Array(list) => format!("[{}]", list.iter().map(canonical).collect::<Vec<_>>().join(",")),
        Value::Object(map) => {
            let mut entries: Vec<String> =
                map.iter().map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), canonical(value))).collect();
            entries.sort();
            format!("{{{}}}", entries.join(","))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_twice_is_refused() {
        let read = |text: &str| serde_json::from_str::<Distinct<f64>>(text).map(|list| list.0).map_err(|error| error.to_string());
        assert_eq!(read("[1, 0.5]"), Ok(vec![1.0, 0.5]));
        assert!(read("[1, 2.0, 1.0]").unwrap_err().contains("expected each value once, found 1 twice"));
        assert!(read("[]").unwrap_err().contains("expected at least one value, found none"));
    }
}
