//! Ways into a document: keys and indices, or one text with dots between them.

use serde_json::{Map, Value};

/// Steps that a path may have.
pub(super) const MAX_STEPS: usize = 64;

/// What `step` leads to: a key in a map, an index in a list.
pub(super) fn step<'a>(here: &'a Value, step: &str) -> Option<&'a Value> {
    match here {
        Value::Array(list) => list.get(step.parse::<usize>().ok()?),
        other => other.get(step),
    }
}

/// What `path` leads to.
pub(super) fn get<'a, S: AsRef<str>>(document: &'a Value, path: &[S]) -> Option<&'a Value> {
    path.iter().try_fold(document, |here, name| step(here, name.as_ref()))
}

/// As [`get`], to change it.
pub(super) fn get_mut<'a, S: AsRef<str>>(document: &'a mut Value, path: &[S]) -> Option<&'a mut Value> {
    path.iter().map(AsRef::as_ref).try_fold(document, |here, step| match here {
        Value::Array(list) => list.get_mut(step.parse::<usize>().ok()?),
        other => other.get_mut(step),
    })
}

/// The steps of a dotted path, where a key that holds dots is one step.
pub(super) fn split(document: &Value, dotted: &str) -> Vec<String> {
    let parts: Vec<&str> = dotted.split('.').filter(|part| !part.is_empty()).collect();
    let (mut here, mut rest, mut steps) = (Some(document), &parts[..], Vec::new());
    while !rest.is_empty() {
        let count = here.and_then(Value::as_object).map_or(1, |map| longest_key(map, rest));
        let name = rest[..count].join(".");
        here = here.and_then(|here| step(here, &name));
        steps.push(name);
        rest = &rest[count..];
    }
    steps
}

/// How many parts the longest key of `map` takes that begins `parts`; 1 where there is none.
pub(super) fn longest_key(map: &Map<String, Value>, parts: &[&str]) -> usize {
    (1..=parts.len()).rev().find(|&count| map.contains_key(&parts[..count].join("."))).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_key_with_dots_is_one_step() {
        let document = json!({"arms": {"a.5": [{"weight": 1}], "a": []}});
        let check = |dotted: &str, steps: &[&str], found: Option<Value>| {
            let path = split(&document, dotted);
            assert_eq!(path, steps);
            assert_eq!(get(&document, &path), found.as_ref());
            assert_eq!(get_mut(&mut document.clone(), &path).cloned(), found);
        };
        check("arms.a.5.0.weight", &["arms", "a.5", "0", "weight"], Some(json!(1)));
        check("arms.a", &["arms", "a"], Some(json!([])));
        check("arms.a.5.1.weight", &["arms", "a.5", "1", "weight"], None);
        check("", &[], Some(document.clone()));
    }
}
