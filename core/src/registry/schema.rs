//! What editors are told of a plugin's fields.

use super::Card;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Map;
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
    /// The fields, their documentation, types, ranges and defaults.
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
        json_schema!({"type": "object", "properties": properties, "additionalProperties": false})
    }
}
