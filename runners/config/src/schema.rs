//! JSON Schema of studies, for editors: what the reader reads, with every plugin linked into this program.
//!
//! Types describe themselves where they are read: numbers by their ranges, choices by their variants, values of several forms by
//! [`regatta_core::forms`], plugins by their cards. Here is only what a file may leave out or must not combine. No map admits the
//! merge key `<<`: what checks YAML against a schema (the YAML language server of editors, this crate's tests) merges first.

mod vary;

use crate::Study;
use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

/// The schema (draft 2020-12) of a study's file.
pub fn schema() -> Value {
    let generator: SchemaGenerator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<Study>();
    RecursiveTransform(plain).transform(&mut schema);
    let mut schema = Map::from_iter(schema.as_object().cloned().unwrap_or_default());
    schema.remove("required");
    schema.insert("title".into(), "A study of Regatta".into());
    // A study without `extends` has arms of its own, and takes none away.
    schema.insert("if".into(), json!({"required": ["extends"]}));
    let arms = json!({"minProperties": 1, "additionalProperties": {"type": "array"}});
    schema.insert("else".into(), json!({"required": ["arms"], "properties": {"arms": arms}}));
    let shared =
        json!({"description": "Pieces for other sections to share by anchors (`&name`, `*name`, `<<: *name`); not read."});
    schema.insert("patternProperties".into(), json!({"^x-": shared}));
    let mut schema = Value::from(schema);
    vary::describe(&mut schema);
    nothing_is_no_value(&mut schema);
    schema
}

/// Sections that take their defaults where nothing stands behind their names; so does a choice, whose schema says it.
const MAY_BE_EMPTY: [&str; 11] =
    ["model", "tokenizer", "data", "train", "evaluate", "vary", "tune", "quantisation", "diagnostics", "capacity", "at"];

/// Drops null from the values of fields, which the reader refuses. A point of `vary` may have it.
fn nothing_is_no_value(schema: &mut Value) {
    let is_null = |form: &Value| form["type"] == "null";
    let is_choice = schema.get("maxProperties").is_some();
    let fields = schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten();
    for (_, field) in fields.filter(|(name, _)| !MAY_BE_EMPTY.contains(&name.as_str())) {
        if let Some(types) = field.get_mut("type").and_then(Value::as_array_mut) {
            types.retain(|of| of != "null");
            if let [one] = &types[..] {
                field["type"] = one.clone();
            }
        }
        if let Some(forms) = field.get_mut("anyOf").and_then(Value::as_array_mut).filter(|_| !is_choice) {
            forms.retain(|form| !is_null(form));
        }
    }
    match schema {
        Value::Object(map) => map.iter_mut().filter(|(key, _)| *key != "vary").for_each(|(_, below)| nothing_is_no_value(below)),
        Value::Array(list) => list.iter_mut().for_each(nothing_is_no_value),
        _ => {}
    }
}

/// Drops what editors do not show: links of Rust's documentation, and names of Rust's numbers.
fn plain(schema: &mut Schema) {
    schema.remove("format");
    if let Some(Value::String(text)) = schema.get_mut("description") {
        let mut parts = text.split("; see ");
        let mut shown = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            shown += part.trim_start_matches(['[', '`']).split_once('`').map_or("", |(_, rest)| rest.trim_start_matches(']'));
        }
        *text = shown.replace("[`", "`").replace("`]", "`");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_not_shown() {
        let check = |text: &str, expected: &str| {
            let mut schema: Schema = json!({"description": text}).try_into().unwrap();
            plain(&mut schema);
            assert_eq!(schema.get("description").unwrap(), expected);
        };
        check("Pairs; see [`crate::tasks`].", "Pairs.");
        check("A corpus; see `data::synthetic`. The defaults", "A corpus. The defaults");
        check("Of a [`TextSpec`].", "Of a `TextSpec`.");
    }
}
