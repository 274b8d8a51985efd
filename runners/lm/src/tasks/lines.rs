//! The lines of a file as JSON objects, and what is common to their fields.

use super::TaskError;
use crate::data;
use serde_json::{Map, Value};
use std::path::Path;

/// Characters of a value that a message shows.
const MOST_SHOWN: usize = 60;

/// What is wrong with a field: its name, what was expected, what was found.
pub(super) type Fault = (String, &'static str, String);

/// An object of a file, with its line, from 1.
pub(super) type Numbered = (usize, Map<String, Value>);

/// The first objects of a file, at most `most` of them. Empty lines are skipped.
pub(super) fn read(path: &Path, most: usize) -> Result<Vec<Numbered>, TaskError> {
    let text = data::text(path)?;
    let lines = (1..).zip(text.lines()).filter(|(_, content)| !content.trim().is_empty()).take(most);
    let items = lines.map(|(line, content)| match object(content) {
        Ok(object) => Ok((line, object)),
        Err((field, expected, found)) => Err(TaskError::item(path, line, field, expected, found)),
    });
    items.collect()
}

/// Whether there are so many items.
pub(super) fn enough(path: &Path, found: usize, least: usize) -> Result<(), TaskError> {
    if found < least { Err(TaskError::TooFew { path: path.to_owned(), least, found }) } else { Ok(()) }
}

/// Two texts, and how alike they are.
pub(super) type ScoredTexts = ([String; 2], f64);

/// The pairs of texts of a file and their scores, each with its line, from 1.
pub(super) fn scored_pairs(path: &Path) -> Result<Vec<(usize, ScoredTexts)>, TaskError> {
    objects(path, |line| {
        let text = |field: &str| words(field, line.get(field));
        let score = line.get("score").and_then(Value::as_f64).filter(|score| score.is_finite());
        let score = score.ok_or_else(|| ("score".to_owned(), "a number", shown(line.get("score"))))?;
        Ok(([text("first")?, text("second")?], score))
    })
}

/// What `item` makes of the JSON object on each line, at least two of them.
fn objects<T>(path: &Path, item: impl Fn(&Map<String, Value>) -> Result<T, Fault>) -> Result<Vec<(usize, T)>, TaskError> {
    let refuse = |line, (field, expected, found): Fault| TaskError::item(path, line, field, expected, found);
    let items = read(path, usize::MAX)?.into_iter();
    let items = items.map(|(line, object)| Ok((line, item(&object).map_err(|fault| refuse(line, fault))?)));
    let items = items.collect::<Result<Vec<_>, TaskError>>()?;
    enough(path, items.len(), 2)?;
    Ok(items)
}

fn object(line: &str) -> Result<Map<String, Value>, Fault> {
    let fault = |found| Err((String::new(), "a JSON object", found));
    match serde_json::from_str(line) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(other) => fault(shown(Some(&other))),
        Err(error) => fault(format!("what is no JSON: {error}").replace(" at line 1", "")),
    }
}

/// The index of a choice among `count`: from 0, or a letter from A.
pub(super) fn index_of_choice(field: &str, found: Option<&Value>, count: usize) -> Result<usize, Fault> {
    let index = match found {
        Some(Value::Number(number)) => number.as_u64().and_then(|number| usize::try_from(number).ok()),
        Some(Value::String(word)) => letter(word),
        _ => None,
    };
    let expected = "the index of a choice, from 0, or its letter, from A";
    index.filter(|&index| index < count).ok_or_else(|| (field.to_owned(), expected, shown(found)))
}

/// The index that a letter stands for: A or a is 0.
fn letter(word: &str) -> Option<usize> {
    match word.as_bytes() {
        [letter] if letter.is_ascii_alphabetic() => Some((letter.to_ascii_uppercase() - b'A').into()),
        _ => None,
    }
}

/// Text that is not blank.
pub(super) fn words(field: &str, value: Option<&Value>) -> Result<String, Fault> {
    match value {
        Some(Value::String(words)) if !words.trim().is_empty() => Ok(words.clone()),
        other => Err((field.to_owned(), "words", shown(other))),
    }
}

/// What was found, in one short line.
pub(super) fn shown(value: Option<&Value>) -> String {
    match value {
        None => "nothing".into(),
        Some(Value::Object(_)) => "a map".into(),
        Some(value) => {
            let text = value.to_string(); // JSON escapes control characters
            let cut: String = text.chars().take(MOST_SHOWN).collect();
            if cut.len() < text.len() { cut + "…" } else { cut }
        }
    }
}
