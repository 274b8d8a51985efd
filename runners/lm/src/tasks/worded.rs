//! Items in words: what a line of a task's file asks, form by form.

use super::documents::{detokenized, words as count_words};
use super::lines::{Fault, index_of_choice, shown, words};
use super::python::{capitalized, trim};
use crate::spec::TaskForm;
use serde_json::{Map, Value};

type Line = Map<String, Value>;

/// An item: texts of which each is scored, after its context.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Worded {
    pub asked: Vec<Asked>,
    /// The indices of the right ones, at least one.
    pub right: Vec<usize>,
    /// The item as an example in front of another: question and answer.
    pub example: [String; 2],
}

/// A text that is scored after its context.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Asked {
    /// The field that it is from.
    pub field: String,
    pub context: String,
    /// What is scored, the delimiter in front of it included.
    pub continuation: String,
    /// What its length is that of.
    pub choice: String,
}

/// A document whose perplexity is measured.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Page {
    pub field: &'static str,
    pub text: String,
    pub words: usize,
    pub bytes: usize,
}

/// What a line asks in a task of a form that has items; `delimiter` stands between a context and what follows it.
pub(super) fn item(form: TaskForm, line: &Line, delimiter: &str) -> Result<Worded, Fault> {
    match form {
        TaskForm::MinimalPairs => {
            let sentence = |field: &str| Ok::<_, Fault>((field.to_owned(), words(field, line.get(field))?));
            let sentences = vec![sentence("sentence_good")?, sentence("sentence_bad")?];
            Ok(choices(String::new(), sentences, vec![0], delimiter))
        }
        TaskForm::MultipleChoice => multiple_choice(line, delimiter),
        TaskForm::ProbabilityMass => probability_mass(line, delimiter),
        TaskForm::LastWord => last_word(line),
        TaskForm::Partial => partial(line, delimiter),
        TaskForm::Rolling => unreachable!("a document is not an item"),
    }
}

/// The document on a line: `text`, or a `page` of WikiText.
pub(super) fn page(line: &Line) -> Result<Page, Fault> {
    let counted = |field: &str, own: usize| match line.get(field) {
        None => Ok(own),
        Some(value) => {
            let number = value.as_u64().and_then(|number| usize::try_from(number).ok()).filter(|&number| number > 0);
            number.ok_or_else(|| (field.to_owned(), "a whole number above 0", shown(Some(value))))
        }
    };
    if line.contains_key("page") {
        let page = words("page", line.get("page"))?;
        return Ok(Page { field: "page", text: detokenized(&page), words: count_words(&page), bytes: page.len() });
    }
    let text = words("text", line.get("text"))?;
    let (words, bytes) = (counted("words", count_words(&text))?, counted("bytes", text.len())?);
    Ok(Page { field: "text", text, words, bytes })
}

/// Choices after one context.
fn choices(context: String, named: Vec<(String, String)>, right: Vec<usize>, delimiter: &str) -> Worded {
    let example = [context.clone(), named[right[0]].1.clone()];
    let asked = named.into_iter().map(|(field, choice)| {
        let continuation = format!("{delimiter}{choice}");
        Asked { field, context: context.clone(), continuation, choice }
    });
    Worded { asked: asked.collect(), right, example }
}

fn multiple_choice(line: &Line, delimiter: &str) -> Result<Worded, Fault> {
    let has = |field: &str| line.contains_key(field);
    let text = |field: &str| words(field, line.get(field));
    if has("activity_label") {
        return hellaswag(line, delimiter);
    }
    if has("goal") {
        let solutions = ["sol1", "sol2"].map(|field| Ok::<_, Fault>((field.to_owned(), text(field)?)));
        let solutions = solutions.into_iter().collect::<Result<Vec<_>, _>>()?;
        let right = index_of_choice("label", line.get("label"), 2)?;
        return Ok(choices(format!("Question: {}\nAnswer:", text("goal")?), solutions, vec![right], delimiter));
    }
    if has("answerKey") {
        let labelled = line.get("choices").and_then(Value::as_object).cloned().unwrap_or_default();
        let named = list("choices.text", labelled.get("text"))?;
        let labels = labelled.get("label").and_then(Value::as_array).cloned().unwrap_or_default();
        let key = line.get("answerKey");
        let right = labels.iter().position(|label| Some(label) == key).filter(|&index| index < named.len());
        let right = right.ok_or_else(|| ("answerKey".to_owned(), "one of `choices.label`", shown(key)))?;
        return Ok(choices(format!("Question: {}\nAnswer:", text("question")?), named, vec![right], delimiter));
    }
    let context = if has("context") { any("context", line.get("context"))? } else { text("question")? };
    let named = list("choices", line.get("choices"))?;
    let right = match line.get("answers") {
        None => vec![index_of_choice("answer", line.get("answer"), named.len())?],
        Some(Value::Array(answers)) if !answers.is_empty() => {
            let each = answers.iter().enumerate();
            each.map(|(index, answer)| index_of_choice(&format!("answers.{index}"), Some(answer), named.len()))
                .collect::<Result<_, _>>()?
        }
        other => return Err(("answers".into(), "a list of at least 1", shown(other))),
    };
    Ok(choices(context, named, right, own_delimiter(line, delimiter)?))
}

/// HellaSwag's own lines. What a line of WikiHow has in square brackets is left out, as the harness does.
fn hellaswag(line: &Line, delimiter: &str) -> Result<Worded, Fault> {
    let clean = |text: &str| {
        let text = trim(text).replace(" [title]", ". ");
        let (mut kept, mut rest) = (String::new(), text.as_str());
        while let Some((before, after)) = rest.split_once('[') {
            let inner = after.split_once(']').filter(|(inner, _)| !inner.contains('\n'));
            let Some((_, behind)) = inner else {
                kept.extend([before, "["]);
                rest = after;
                continue;
            };
            kept += before;
            rest = behind;
        }
        (kept + rest).replace("  ", " ")
    };
    let text = |field: &str| any(field, line.get(field));
    let (activity, first, second) = (words("activity_label", line.get("activity_label"))?, text("ctx_a")?, text("ctx_b")?);
    let context = clean(&format!("{activity}: {first} {}", capitalized(&second)));
    let endings = list("endings", line.get("endings"))?.into_iter().map(|(field, ending)| (field, clean(&ending)));
    let endings: Vec<_> = endings.collect();
    let label = line.get("label");
    let written = label.and_then(Value::as_str).and_then(|label| label.parse::<u64>().ok()).map(Value::from);
    let right = index_of_choice("label", written.as_ref().or(label), endings.len())?;
    Ok(choices(context, endings, vec![right], delimiter))
}

fn probability_mass(line: &Line, delimiter: &str) -> Result<Worded, Fault> {
    let (context, named, labels) = match line.get("mc2_targets") {
        Some(targets) => {
            let question = words("question", line.get("question"))?;
            (format!("Q: {question}\nA:"), list("mc2_targets.choices", targets.get("choices"))?, targets.get("labels"))
        }
        None => (any("context", line.get("context"))?, list("choices", line.get("choices"))?, line.get("labels")),
    };
    let field = if line.contains_key("mc2_targets") { "mc2_targets.labels" } else { "labels" };
    let numbers = labels.and_then(Value::as_array).filter(|labels| labels.len() == named.len());
    let binary = |label: &Value| label.as_u64().filter(|&label| label < 2).map(|label| label == 1);
    let true_ones: Option<Vec<bool>> = numbers.and_then(|labels| labels.iter().map(binary).collect());
    let Some(true_ones) = true_ones else {
        return Err((field.into(), "a list of 0 and 1, one for each choice", shown(labels)));
    };
    let right: Vec<usize> = (0..named.len()).filter(|&index| true_ones[index]).collect();
    if right.is_empty() {
        return Err((field.into(), "a 1 for at least one choice", shown(labels)));
    }
    let first = named[0].1.clone(); // the harness's example has the first answer, which is a true one in TruthfulQA
    let worded = choices(context, named, right, own_delimiter(line, delimiter)?);
    Ok(Worded { example: [worded.example[0].clone(), first], ..worded })
}

/// A passage of which the last word, cut off at the last space, is scored; or its two parts, the second as it is.
fn last_word(line: &Line) -> Result<Worded, Fault> {
    let (field, context, continuation) = if line.contains_key("continuation") {
        ("continuation", any("context", line.get("context"))?, words("continuation", line.get("continuation"))?)
    } else {
        let text = words("text", line.get("text"))?;
        let cut = text.rsplit_once(' ').filter(|(before, last)| !trim(before).is_empty() && !last.is_empty());
        let (before, last) = cut.ok_or_else(|| ("text".to_owned(), "words before the last word", shown(line.get("text"))))?;
        ("text", before.to_owned(), format!(" {last}"))
    };
    let example = [context.clone(), continuation.clone()];
    let asked = Asked { field: field.into(), context, choice: continuation.clone(), continuation };
    Ok(Worded { asked: vec![asked], right: vec![0], example })
}

/// A sentence with a blank and two options: what stands behind the blank is scored after each.
fn partial(line: &Line, delimiter: &str) -> Result<Worded, Fault> {
    let (contexts, (field, rest), right) = if line.contains_key("contexts") {
        let contexts = list("contexts", line.get("contexts"))?;
        let right = index_of_choice("answer", line.get("answer"), contexts.len())?;
        (contexts, ("continuation", words("continuation", line.get("continuation"))?), right)
    } else {
        let sentence = words("sentence", line.get("sentence"))?;
        let cut = sentence.split_once('_').filter(|(_, behind)| !trim(behind).is_empty());
        let (before, behind) =
            cut.ok_or_else(|| ("sentence".to_owned(), "a blank, written `_`, and words behind it", shown(line.get("sentence"))))?;
        let option = |field: &str| Ok::<_, Fault>((field.to_owned(), format!("{before}{}", words(field, line.get(field))?)));
        let right = match line.get("answer").and_then(Value::as_str) {
            Some("1") => 0,
            Some("2") => 1,
            _ => return Err(("answer".into(), "\"1\" or \"2\"", shown(line.get("answer")))),
        };
        (vec![option("option1")?, option("option2")?], ("sentence", trim(behind).to_owned()), right)
    };
    let continuation = format!("{}{rest}", own_delimiter(line, delimiter)?);
    let example = [contexts[right].1.clone(), rest.clone()];
    let asked = contexts.into_iter().map(|(_, context)| Asked {
        field: field.into(),
        context,
        continuation: continuation.clone(),
        choice: rest.clone(),
    });
    Ok(Worded { asked: asked.collect(), right: vec![right], example })
}

/// What a line says stands between a context and what follows it.
fn own_delimiter<'a>(line: &'a Line, delimiter: &'a str) -> Result<&'a str, Fault> {
    match line.get("delimiter") {
        None => Ok(delimiter),
        Some(Value::String(own)) => Ok(own),
        other => Err(("delimiter".into(), "text", shown(other))),
    }
}

/// Text, which may be empty.
fn any(field: &str, value: Option<&Value>) -> Result<String, Fault> {
    match value {
        Some(Value::String(text)) => Ok(text.clone()),
        other => Err((field.to_owned(), "text", shown(other))),
    }
}

/// At least two texts, each with the field that it is from.
fn list(field: &str, value: Option<&Value>) -> Result<Vec<(String, String)>, Fault> {
    let Some(Value::Array(list)) = value.filter(|list| list.as_array().is_some_and(|list| list.len() >= 2)) else {
        return Err((field.into(), "a list of at least 2", shown(value)));
    };
    let named = list.iter().enumerate().map(|(index, choice)| (format!("{field}.{index}"), choice));
    named.map(|(field, choice)| words(&field, Some(choice)).map(|words| (field, words))).collect()
}

#[cfg(test)]
mod tests;
