//! `--set path=value`: one value of a study, changed from the command line.

use super::hints;
use super::layer::SHARED;
use super::path::{MAX_STEPS, longest_key};
use super::refusal::{Origin, Refusal, in_one_line};
use super::wording::found;
use crate::yaml;
use serde_json::{Map, Value};

/// An override that was made.
#[derive(Debug)]
pub(super) struct Override {
    /// As it was given: `path=value`.
    pub assignment: String,
    /// Keys and indices down to the value.
    pub path: Vec<String>,
}

/// Makes the override `path=value`. The path is dotted, with numbers for the items of a list; names that hold dots are found
/// when they exist. The value is YAML. Maps that are missing on the way are made: whether they belong there, the types say.
///
/// # Errors
/// When it is no assignment, its value is not YAML, or its path leads nowhere.
pub(super) fn apply(document: &mut Value, assignment: &str) -> Result<Override, Refusal> {
    let refuse =
        |path: &str, message: String| Refusal { origin: Origin::Set(assignment.to_owned()), path: path.to_owned(), message };
    let given = assignment.split_once('=').filter(|(path, _)| path.split('.').all(|part| !part.is_empty()));
    let Some((path, value)) = given else {
        return Err(refuse("", "expected `path=value`, as in `train.steps=50`".into()));
    };
    if path.starts_with(SHARED) {
        let message = "expected a field of the study: pieces that a file shares are joined before anything is set";
        return Err(refuse(path, message.into()));
    }
    if value.len() > yaml::MAX_BYTES || path.split('.').count() > MAX_STEPS {
        return Err(refuse("", "expected a shorter path or value".into()));
    }
    let switches_off = ["vary", "tune"].contains(&path);
    if value.trim().is_empty() && !switches_off {
        return Err(refuse(path, "expected a value behind the `=`, found nothing".into())); // of a shell's variable, which is not set
    }
    let value = yaml::decode(value.into()).and_then(|value| yaml::parse(&value)).map_err(|fault| refuse(path, fault.message))?;
    let parts: Vec<&str> = path.split('.').collect();
    let mut taken = Vec::new();
    match set(document, &parts, value, Keys::Dotted, &mut taken) {
        Ok(()) => Ok(Override { assignment: assignment.to_owned(), path: taken }),
        Err(message) => Err(refuse(&taken.join("."), message)),
    }
}

/// Sets the value at `path`, keys and indices down to it, as [`apply`] does.
///
/// # Errors
/// When it leads nowhere, with the way that was found.
pub(super) fn put(document: &mut Value, path: &[String], value: Value) -> Result<(), (Vec<String>, String)> {
    let (parts, mut taken): (Vec<&str>, _) = (path.iter().map(String::as_str).collect(), Vec::new());
    set(document, &parts, value, Keys::Whole, &mut taken).map_err(|message| (taken, message))
}

/// How parts of a path become keys.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keys {
    /// A key that holds dots is several parts.
    Dotted,
    /// Each part is a key.
    Whole,
}

fn set(here: &mut Value, parts: &[&str], value: Value, keys: Keys, taken: &mut Vec<String>) -> Result<(), String> {
    let Some(&first) = parts.first() else {
        *here = value;
        return Ok(());
    };
    if here.is_null() {
        *here = Value::Object(Map::new());
    }
    if *here == first {
        *here = Value::Object(Map::from_iter([(first.to_owned(), Value::Object(Map::new()))])); // a bare name gets fields
    }
    match here {
        Value::Object(map) => {
            let count = match keys {
                Keys::Whole => 1,
                Keys::Dotted if taken.len() <= 2 && taken.first().is_some_and(|section| section == "vary") => {
                    key_of_vary(map, parts)
                }
                Keys::Dotted => longest_key(map, parts),
            };
            let (key, rest) = (parts[..count].join("."), &parts[count..]);
            if !map.contains_key(&key) && rest.first().is_some_and(|next| next.parse::<usize>().is_ok()) {
                let known: Vec<String> = map.keys().cloned().collect();
                taken.push(key);
                let hint = hints::did_you_mean(hints::near_start(parts, &known));
                return Err(format!("expected a list, found nothing of that name{hint}"));
            }
            taken.push(key.clone());
            set(map.entry(key).or_insert(Value::Null), rest, value, keys, taken)
        }
        Value::Array(list) => {
            taken.push(first.to_owned());
            let length = list.len();
            let item = first.parse::<usize>().ok().and_then(|index| list.get_mut(index));
            let item = item.ok_or_else(|| match length {
                0 => format!("expected an index, found `{}`, but the list is empty", in_one_line(first)),
                _ => format!("expected an index from 0 to {}, found `{}`", length - 1, in_one_line(first)),
            })?;
            set(item, &parts[1..], value, keys, taken)
        }
        other => Err(format!("expected a list or a map with `{}`, found {}", in_one_line(first), found(other))),
    }
}

/// As [`longest_key`], but keys of `vary` are paths: one that is not there yet takes all parts.
fn key_of_vary(map: &Map<String, Value>, parts: &[&str]) -> usize {
    let count = longest_key(map, parts);
    if map.contains_key(&parts[..count].join(".")) { count } else { parts.len() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(assignment: &str, expected: Result<Value, &str>) {
        let mut document = json!({"seeds": [0, 1], "arms": {"a-b.5": [{"regularizer": "spread", "weight": 1}], "c": []}});
        match (apply(&mut document, assignment), expected) {
            (Ok(_), Ok(expected)) => assert_eq!(document, expected, "{assignment}"),
            (Err(refusal), Err(part)) => assert!(refusal.to_string().contains(part), "{refusal}"),
            (found, expected) => panic!("{assignment}: {found:?} where {expected:?} was expected"),
        }
    }

    #[test]
    fn values_are_set_where_the_path_leads() {
        let arms = json!({"a-b.5": [{"regularizer": "spread", "weight": 1}], "c": []});
        check("seeds=3", Ok(json!({"seeds": 3, "arms": arms})));
        check("seeds.1=[x, {y: 2}]", Ok(json!({"seeds": [0, ["x", {"y": 2}]], "arms": arms})));
        check(
            "train.schedule.cosine.warmup=5",
            Ok(json!({"seeds": [0, 1], "arms": arms, "train": {"schedule": {"cosine": {"warmup": 5}}}})),
        );
        let weighted = json!({"a-b.5": [{"regularizer": "spread", "weight": 0.5}], "c": []});
        check("arms.a-b.5.0.weight=0.5", Ok(json!({"seeds": [0, 1], "arms": weighted})));
        let bare = json!({"a-b.5": [{"regularizer": {"spread": {"scale": 2}}, "weight": 1}], "c": []});
        check("arms.a-b.5.0.regularizer.spread.scale=2", Ok(json!({"seeds": [0, 1], "arms": bare})));
    }

    #[test]
    fn what_leads_nowhere_is_refused() {
        check("train.steps", Err("--set train.steps: expected `path=value`"));
        check("=3", Err("expected `path=value`"));
        check("train.steps=", Err("--set train.steps=: train.steps: expected a value behind the `=`, found nothing"));
        check("seeds= ", Err("found nothing"));
        check("a..b=3", Err("expected `path=value`"));
        check("seeds.2=7", Err("--set seeds.2=7: seeds.2: expected an index from 0 to 1, found `2`"));
        check("arms.c.0.weight=7", Err("the list is empty"));
        check("arms.a-b5.0.weight=7", Err("nothing of that name; did you mean `a-b.5`?"));
        check("arms.a-b.5.0.weight.to=7", Err("arms.a-b.5.0.weight: expected a list or a map with `to`, found 1"));
        check("seeds=[1", Err("did not find expected ',' or ']'"));
        check("seeds={a: 1, a: 2}", Err("found `a` twice"));
        check("x-base.lr=1", Err("--set x-base.lr=1: x-base.lr: expected a field of the study"));
        check("seeds=.nan", Err("expected a finite number"));
    }
}
