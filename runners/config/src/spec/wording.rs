//! Reads a document as a type; serde's errors become messages in the words of a study.

use super::refusal::{Misfit, in_one_line};
use super::{hints, path};
use crate::yaml::Target;
use regatta_core::registry::IDLE;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;

/// Known names are listed when they are at most this many.
const MAX_LISTED: usize = 32;

/// What the type of a count expects, whose range is checked later.
const WHOLE: &str = "expected a whole number, 0 or above";

/// Reads `document` as a `T`.
///
/// # Errors
/// At the first thing that does not fit, in the words of a study.
pub(super) fn typed<T: DeserializeOwned>(document: &Value) -> Result<T, Misfit> {
    read(document).map_err(|misfit| with_range::<T>(document, misfit))
}

/// What a whole number may be, where the type alone was found wrong: a range is checked after the type, so that a number beyond
/// every range says it.
fn with_range<T: DeserializeOwned>(document: &Value, misfit: Misfit) -> Misfit {
    let Some(found) = misfit.message.strip_prefix(WHOLE).and_then(|rest| rest.strip_prefix(", found ")) else { return misfit };
    let mut beyond = document.clone();
    let Some(here) = path::get_mut(&mut beyond, &misfit.path) else { return misfit };
    *here = u64::MAX.into();
    match read::<T>(&beyond) {
        Err(Misfit { path, message, .. }) if path == misfit.path => match message.split_once(", found ") {
            Some((range, _)) => Misfit { message: format!("{range}, found {found}"), ..misfit },
            None => misfit,
        },
        _ => misfit,
    }
}

fn read<T: DeserializeOwned>(document: &Value) -> Result<T, Misfit> {
    serde_path_to_error::deserialize(document).map_err(|error| {
        let path = error.path().iter().filter_map(|segment| match segment {
            Segment::Seq { index } => Some(index.to_string()),
            Segment::Map { key } => Some(key.clone()),
            Segment::Enum { variant } => Some(variant.clone()),
            Segment::Unknown => None,
        });
        explain(document, path.collect(), &error.inner().to_string())
    })
}

/// The error at `path` of `document` that serde words as `error`.
fn explain(document: &Value, mut path: Vec<String>, error: &str) -> Misfit {
    let mut target = Target::Value;
    let message = if let Some(field) = error.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        path.push(field.to_owned());
        "expected a value, found none".into()
    } else if let Some((field, _)) = error.strip_prefix(IDLE).and_then(|rest| rest.split_once('`')) {
        target = end_at_key(document, &mut path, field);
        error.to_owned()
    } else if let Some((word, known)) = unknown(error) {
        target = end_at_key(document, &mut path, &word);
        unknown_name(&word, &known, &path)
    } else {
        mismatch(error).unwrap_or_else(|| error.to_owned())
    };
    Misfit { path, target, message }
}

/// Of ``unknown field `a`, expected `b` or `c` ``: a, and b and c. Of variants likewise.
fn unknown(error: &str) -> Option<(String, Vec<String>)> {
    let rest = error.strip_prefix("unknown field `").or_else(|| error.strip_prefix("unknown variant `"))?;
    let (word, known) = match rest.rfind("`, expected ") {
        Some(end) => (&rest[..end], &rest[end + "`, expected ".len()..]),
        None => (rest.split("`, there are no ").next()?, ""),
    };
    Some((word.to_owned(), backticked(known)))
}

/// Every second part between backticks.
fn backticked(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Makes `path` end at the unknown name where that is a key.
fn end_at_key(document: &Value, path: &mut Vec<String>, word: &str) -> Target {
    let here = path::get(document, path);
    if here.is_some_and(|value| value.get(word).is_some()) {
        path.push(word.to_owned());
        return Target::Key;
    }
    let is_key = path.last().is_some_and(|last| last == word) && here.is_some();
    if is_key { Target::Key } else { Target::Value }
}

fn unknown_name(word: &str, known: &[String], path: &[String]) -> String {
    let mut message = format!("unknown name `{}`", in_one_line(word));
    let quoted: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    match &quoted[..] {
        [] => message += ", there are no names to choose from",
        [one] => message += &format!(", expected {one}"),
        some if some.len() <= MAX_LISTED => message += &format!(", expected one of {}", some.join(", ")),
        _ => {}
    }
    if let Some(hint) = hints::meant(word, known, path) {
        message += &format!("; {hint}");
    }
    message
}

/// Of `invalid type: string "a", expected f64` and its kin.
fn mismatch(error: &str) -> Option<String> {
    if let Some(length) = error.strip_prefix("invalid length ") {
        let (length, expected) = length.split_once(", expected ")?;
        let expected = if expected.starts_with("fewer") { "one name".into() } else { in_words(expected) };
        return Some(format!("expected {expected}, found {length}"));
    }
    let rest = error.strip_prefix("invalid type: ").or_else(|| error.strip_prefix("invalid value: "))?;
    let (found, expected) = rest.split_at(rest.rfind(", expected ")?);
    let expected = &expected[", expected ".len()..];
    let word = found.strip_prefix("string \"").and_then(|found| found.strip_suffix('"'));
    let known = backticked(expected);
    let hint = hints::did_you_mean(word.and_then(|word| hints::near(word, &known)));
    Some(format!("expected {}, found {}{hint}", in_words(expected), in_one_line(&plain(found))))
}

/// What was found, without serde's name of its type.
fn plain(found: &str) -> String {
    let number = ["integer `", "floating point `", "boolean `", "character `"].iter().find_map(|kind| found.strip_prefix(kind));
    match found {
        "null" | "unit value" | "Option value" => "nothing".into(),
        "map" => "a map".into(),
        "sequence" => "a list".into(),
        "unit variant" | "newtype variant" | "struct variant" | "tuple variant" => "a bare name".into(),
        _ => number.map_or_else(|| found.strip_prefix("string ").unwrap_or(found), |number| number.trim_end_matches('`')).into(),
    }
}

/// What was expected, without Rust's name of its type.
fn in_words(expected: &str) -> String {
    if let Some(length) = expected.strip_prefix("an array of length ") {
        return format!("a list of {length}");
    }
    match expected {
        "f32" | "f64" => "a number",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or above",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "a string" | "string" => "a string",
        "path string" => "a path",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "string or map" | "map with a single key" => "a name, or one name with its fields",
        "unit variant" | "unit" => "nothing behind the name",
        _ if expected.starts_with("struct ") || expected.starts_with("tuple ") => "a map of fields",
        _ if expected.starts_with("enum ") || expected.starts_with("variant ") => "a name",
        "dyn Intervention" => "the name of an intervention",
        _ if expected.starts_with("dyn ") => "the name of a regularizer",
        _ => expected,
    }
    .into()
}

/// What a value is, in words.
pub(super) fn found(value: &Value) -> String {
    match value {
        Value::Null => "nothing".into(),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "a map".into(),
        other => in_one_line(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(error: &str, expected: &str) {
        assert_eq!(explain(&Value::Null, Vec::new(), error).message, expected);
    }

    #[test]
    fn types_become_words() {
        check(r#"invalid type: string "a", expected f64"#, r#"expected a number, found "a""#);
        check("invalid type: floating point `1.5`, expected usize", "expected a whole number, 0 or above, found 1.5");
        check("invalid value: integer `-1`, expected u64", "expected a whole number, 0 or above, found -1");
        check("invalid type: null, expected struct TrainSpec", "expected a map of fields, found nothing");
        check("invalid type: sequence, expected a string", "expected a string, found a list");
        check("invalid length 1, expected an array of length 3", "expected a list of 3, found 1");
        check("invalid length 2, expected fewer elements in map", "expected one name, found 2");
        check(
            r#"invalid value: string "nnone", expected a number or `none`"#,
            "expected a number or `none`, found \"nnone\"; did you mean `none`?",
        );
        check("expected a finite number above 0, found -1", "expected a finite number above 0, found -1");
        check("missing field `weight`", "expected a value, found none");
    }

    #[test]
    fn unknown_names_come_with_the_known() {
        check("unknown field `b`, expected `a`", "unknown name `b`, expected `a`; did you mean `a`?");
        check(
            "unknown variant `lats`, expected `all` or `last`",
            "unknown name `lats`, expected one of `all`, `last`; did you mean `last`?",
        );
        check("unknown variant `x`, there are no variants", "unknown name `x`, there are no names to choose from");
        check("unknown field `a`, expected `b\nc`, expected `long`", "unknown name `a`, expected `b\\nc`, expected `long`");
    }
}
