//! What editors are told of a plugin's fields.

use super::{Card, fields};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};
use std::marker::PhantomData;

/// Stands for a field of type `T`: `(&Probe::<T>::NEW).describe(generator)` calls [`Described`] where the type has a schema, and
/// [`Anything`], one reference further away, where it has none. So a plugin's author need not derive one.
pub struct Probe<T>(PhantomData<T>);

impl<T> Probe<T> {
    /// The only one.
    pub const NEW: Self = Self(PhantomData);
}

/// Types with a schema.
pub trait Described {
    /// The schema.
    fn describe(&self, generator: &mut SchemaGenerator) -> Schema;
}

impl<T: JsonSchema> Described for Probe<T> {
    fn describe(&self, generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
}

/// All other types.
pub trait Anything {
    /// The schema that admits any value.
    fn describe(&self, generator: &mut SchemaGenerator) -> Schema;
}

impl<T> Anything for &Probe<T> {
    fn describe(&self, _: &mut SchemaGenerator) -> Schema {
        json_schema!({})
    }
}

impl Card {
    /// The fields, their documentation, types, ranges and defaults. Where variants have different fields, those of each.
    ///
    /// # Panics
    /// As [`Card::written`].
    pub fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        let (defaults, mut properties) = (self.defaults(), Map::new());
        for field in self.fields {
            let mut schema = (field.schema)(generator);
            let doc: Vec<&str> = field.doc.iter().map(|line| line.trim()).collect();
            schema.insert("description".into(), doc.join(" ").into());
            schema.insert("default".into(), defaults.get(field.name).cloned().unwrap_or_default());
            properties.insert(field.name.into(), schema.into());
        }
        let alternatives = self.alternatives(&mut properties);
        let mut schema = json_schema!({"type": "object", "properties": properties, "additionalProperties": false});
        if !alternatives.is_empty() {
            schema.insert("anyOf".into(), alternatives.into());
        }
        schema
    }

    /// Of each variant, what chooses it and which fields it does not have; and of each that is chosen by a word, that word with its
    /// fields behind it, which is added to `properties`. Empty where all variants have all fields.
    fn alternatives(&self, properties: &mut Map<String, Value>) -> Vec<Value> {
        let variants = self.variants();
        if variants.iter().all(|variant| variant.len() == self.fields.len()) {
            return Vec::new();
        }
        let (flat, mut alternatives) = (properties.clone(), Vec::new());
        for (index, variant) in variants.iter().enumerate() {
            let chosen = fields::choosing(&variants, index);
            let constants: Map<String, Value> =
                chosen.iter().map(|(key, value)| (key.clone(), json!({"const": value}))).collect();
            let missing = self.fields.iter().filter(|field| !variant.contains_key(field.name));
            let missing: Vec<Value> = missing.map(|field| json!({"required": [field.name]})).collect();
            let mut alternative = json!({"properties": constants});
            if index > 0 {
                alternative["required"] = chosen.keys().cloned().collect();
            }
            if !missing.is_empty() {
                alternative["not"] = json!({"anyOf": missing});
            }
            alternatives.push(alternative);
            if let [(chooser, Value::String(word))] = &chosen.iter().collect::<Vec<_>>()[..] {
                let own = flat.iter().filter(|(key, _)| key != chooser && variant.contains_key(*key));
                let own: Map<String, Value> = own.map(|(key, schema)| (key.clone(), schema.clone())).collect();
                properties.insert(word.clone(), json!({"type": "object", "properties": own, "additionalProperties": false}));
                alternatives.push(json!({"required": [word], "maxProperties": 1}));
            }
        }
        alternatives
    }
}
