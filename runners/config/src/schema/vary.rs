//! Paths that a study may vary, each with the values of its field.

use serde_json::{Map, Value, json};

/// Describes the keys of `vary` in the schema of a study, by the fields that they name.
pub(super) fn describe(schema: &mut Value) {
    let mut paths = Map::new();
    for section in ["model", "tokenizer", "data", "train"] {
        let field = schema["properties"][section].clone();
        follow(schema, section, &field, &mut paths);
    }
    if let Some(vary) = schema.pointer_mut("/properties/vary") {
        restrict(vary, &paths);
    }
}

/// Restricts a map of paths to lists of values, a list of maps of paths to values, or either.
fn restrict(form: &mut Value, paths: &Map<String, Value>) {
    if form["type"] == "object" {
        let axis = |field: &Value| {
            let mut axis = json!({"type": "array", "items": field, "minItems": 1, "uniqueItems": true});
            if let Some(description) = field.get("description") {
                axis["description"] = description.clone();
            }
            axis
        };
        only(form, paths.iter().map(|(path, field)| (path.clone(), axis(field))).collect());
    } else if form["type"] == "array" {
        form["minItems"] = 1.into();
        only(&mut form["items"], paths.clone());
    } else {
        form.get_mut("anyOf").and_then(Value::as_array_mut).into_iter().flatten().for_each(|form| restrict(form, paths));
    }
}

/// Adds `path` and the paths below it.
fn follow(schema: &Value, path: &str, field: &Value, paths: &mut Map<String, Value>) {
    paths.insert(path.to_owned(), field.clone());
    let whole = match field["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')) {
        Some(pointer) => schema.pointer(pointer).unwrap_or(field),
        None => field,
    };
    let alternatives = ["anyOf", "oneOf"].iter().filter_map(|key| whole[key].as_array()).flatten();
    for form in alternatives {
        let mut below = Map::new();
        follow(schema, path, form, &mut below);
        below.remove(path);
        paths.extend(below);
    }
    for (name, field) in whole["properties"].as_object().into_iter().flatten() {
        follow(schema, &format!("{path}.{name}"), field, paths);
    }
}

/// Makes `map` admit these paths, items of lists, and paths within arms, whose names the study chooses.
fn only(map: &mut Value, paths: Map<String, Value>) {
    let any = map.get("additionalProperties").cloned().unwrap_or(true.into());
    map["patternProperties"] = json!({r"^arms\..": any, r"\.([0-9]+|\*)(\.|$)": any});
    map["minProperties"] = 1.into();
    map["properties"] = paths.into();
    map["additionalProperties"] = false.into();
}
