//! From the lines of a file to questions and choices.

use super::request::Written;
use super::{Kind, TaskError};
use crate::data;
use serde_json::{Map, Value};
use std::path::Path;

/// Characters of a value that a message shows.
const MOST_SHOWN: usize = 60;

/// What is wrong with a field: its name, what was expected, what was found.
type Fault = (String, &'static str, String);

/// The items of a file, each with its line, from 1. Empty lines are skipped.
pub(super) fn read(path: &Path, kind: Kind) -> Result<Vec<(usize, Written)>, TaskError> {
    objects(
        path,
        match kind {
            Kind::MinimalPairs => minimal_pair,
            Kind::MultipleChoice => multiple_choice,
        },
    )
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
    let text = data::text(path)?;
    let mut items = Vec::new();
    for (line, content) in (1..).zip(text.lines()).filter(|(_, content)| !content.trim().is_empty()) {
        let refuse = |(field, expected, found): Fault| TaskError::item(path, line, field, expected, found);
        items.push((line, object(content).and_then(|object| item(&object)).map_err(refuse)?));
    }
    if items.len() < 2 { Err(TaskError::TooFew { path: path.to_owned(), found: items.len() }) } else { Ok(items) }
}

fn object(line: &str) -> Result<Map<String, Value>, Fault> {
    let fault = |found| Err((String::new(), "a JSON object", found));
    match serde_json::from_str(line) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(other) => fault(shown(Some(&other))),
        Err(error) => fault(format!("what is no JSON: {error}").replace(" at line 1", "")),
    }
}

fn minimal_pair(line: &Map<String, Value>) -> Result<Written, Fault> {
    let sentence = |field: &str| words(field, line.get(field));
    Ok(Written {
        question: String::new(),
        choices: vec![("sentence_good".into(), sentence("sentence_good")?), ("sentence_bad".into(), sentence("sentence_bad")?)],
        answer: 0,
    })
}

fn multiple_choice(line: &Map<String, Value>) -> Result<Written, Fault> {
    let question = words("question", line.get("question"))?;
    let Some(Value::Array(list)) = line.get("choices").filter(|list| list.as_array().is_some_and(|list| list.len() >= 2)) else {
        return Err(("choices".into(), "a list of at least 2", shown(line.get("choices"))));
    };
    let named = list.iter().enumerate().map(|(index, choice)| (format!("choices.{index}"), choice));
    let choices = named.map(|(field, choice)| words(&field, Some(choice)).map(|words| (field, words)));
    let choices = choices.collect::<Result<Vec<_>, _>>()?;
    let found = line.get("answer");
    let index = match found {
        Some(Value::Number(number)) => number.as_u64().and_then(|number| usize::try_from(number).ok()),
        Some(Value::String(word)) => letter(word),
        _ => None,
    };
    match index.filter(|&index| index < choices.len()) {
        Some(answer) => Ok(Written { question, choices, answer }),
        None => Err(("answer".into(), "the index of a choice, from 0, or its letter, from A", shown(found))),
    }
}

/// The index that a letter stands for: A or a is 0.
fn letter(word: &str) -> Option<usize> {
    match word.as_bytes() {
        [letter] if letter.is_ascii_alphabetic() => Some((letter.to_ascii_uppercase() - b'A').into()),
        _ => None,
    }
}

fn words(field: &str, value: Option<&Value>) -> Result<String, Fault> {
    match value {
        Some(Value::String(words)) if !words.trim().is_empty() => Ok(words.clone()),
        other => Err((field.to_owned(), "words", shown(other))),
    }
}

/// What was found, in one short line.
fn shown(value: Option<&Value>) -> String {
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
