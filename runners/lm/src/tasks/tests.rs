use super::*;
use crate::data::Tokenizer;
use crate::spec::{EvaluateSpec, TaskForm};
use std::path::PathBuf;
use tempfile::TempDir;

fn write(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn read_text(kind: TaskForm, text: &str) -> Result<Task, String> {
    let folder = TempDir::new().unwrap();
    read(&write(&folder, "task.jsonl", text), kind, &Tokenizer::bytes()).map_err(|error| error.to_string())
}

fn bytes(text: &str) -> Vec<u32> {
    text.bytes().map(u32::from).collect()
}

#[test]
fn a_minimal_pair_begins_with_a_line_break_and_a_space() {
    let line = r#"{"sentence_good": "Héy.", "sentence_bad": "No", "UID": "x"}"#;
    let task = read_text(TaskForm::MinimalPairs, &format!("{line}\n\n{line}\n")).unwrap();
    assert_eq!((task.name.as_str(), task.items.len(), task.items[0].answer), ("task", 2, 0));
    let [good, bad] = &task.items[0].choices[..] else { panic!() };
    assert_eq!((&good.tokens, good.context, good.characters), (&bytes("\n Héy."), 1, 4)); // é is one character of two bytes
    assert_eq!((&bad.tokens, bad.context, bad.characters), (&bytes("\n No"), 1, 2));
}

#[test]
fn a_choice_follows_its_question_and_takes_the_white_space_between() {
    let line = |answer: &str| format!(r#"{{"question": "Is it? ", "choices": ["yes", "no"], "answer": {answer}}}"#);
    let task = read_text(TaskForm::MultipleChoice, &[line("1"), line("\"b\""), line("\"A\"")].join("\n")).unwrap();
    assert_eq!(task.items.iter().map(|item| item.answer).collect::<Vec<_>>(), [1, 1, 0]);
    let [yes, no] = &task.items[0].choices[..] else { panic!() };
    assert_eq!((&yes.tokens, yes.context, yes.characters), (&bytes("Is it?  yes"), 6, 3));
    assert_eq!((&no.tokens, no.context, no.characters), (&bytes("Is it?  no"), 6, 2));
}

#[test]
fn bad_lines_are_named_with_field_and_line() {
    let check = |kind, text: &str, expected: &str| {
        let found = read_text(kind, text).unwrap_err();
        assert!(found.contains("task.jsonl") && found.ends_with(expected), "{found}");
    };
    let good = r#"{"sentence_good": "a", "sentence_bad": "b"}"#;
    let pairs = TaskForm::MinimalPairs;
    check(pairs, "", "expected text or tokens, found an empty file");
    check(pairs, good, "task.jsonl: expected at least 2 lines, found 1");
    check(pairs, &format!("{good}\n[1]\n"), "task.jsonl:2: expected a JSON object, found [1]");
    let no_json = "task.jsonl:2: expected a JSON object, found what is no JSON: EOF while parsing an object column 1";
    check(pairs, &format!("{good}\n{{\n"), no_json);
    check(pairs, &format!("{good}\n\n{{\"sentence_good\": \"a\"}}"), "task.jsonl:3: sentence_bad: expected words, found nothing");
    check(pairs, r#"{"sentence_good": 3, "sentence_bad": "b"}"#, "task.jsonl:1: sentence_good: expected words, found 3");
    check(pairs, r#"{"sentence_good": " ", "sentence_bad": "b"}"#, r#"sentence_good: expected words, found " ""#);
    let choice = |choices: &str, answer: &str| format!(r#"{{"question": "q", "choices": {choices}, "answer": {answer}}}"#);
    let kind = TaskForm::MultipleChoice;
    check(kind, r#"{"choices": ["a", "b"], "answer": 0}"#, "task.jsonl:1: question: expected words, found nothing");
    check(kind, &choice("[\"a\"]", "0"), r#"task.jsonl:1: choices: expected a list of at least 2, found ["a"]"#);
    check(kind, &choice("[\"a\", null]", "0"), "task.jsonl:1: choices.1: expected words, found null");
    let answer = "task.jsonl:1: answer: expected the index of a choice, from 0, or its letter, from A, found ";
    for wrong in ["2", "-1", "0.5", "\"C\"", "\"1\"", "null"] {
        check(kind, &choice("[\"a\", \"b\"]", wrong), &format!("{answer}{wrong}"));
    }
}

#[test]
fn the_fingerprint_holds_what_scores_depend_on() {
    let print = |text: &str| read_text(TaskForm::MultipleChoice, &format!("{text}\n{text}")).unwrap().fingerprint;
    let base = r#"{"question": "q", "choices": ["a", "b"], "answer": 0}"#;
    assert_eq!(print(base), print(r#"{"id": 7, "answer": "A", "choices": ["a", "b"], "question": "q"}"#));
    for other in [base.replace(": 0", ": 1"), base.replace("\"b\"", "\"c\""), base.replace("\"q\"", "\"r\"")] {
        assert_ne!(print(base), print(&other));
    }
}

#[test]
fn a_study_names_tasks_once_and_needs_a_tokenizer() {
    let folder = TempDir::new().unwrap();
    let line = r#"{"sentence_good": "a", "sentence_bad": "b"}"#;
    let path = write(&folder, "task.jsonl", &format!("{line}\n{line}"));
    let spec = |minimal_pairs| EvaluateSpec { minimal_pairs, ..Default::default() };
    let tokenizer = Tokenizer::bytes();
    let tasks = Tasks::read(&spec(vec![path.clone()]), Some(&tokenizer)).unwrap();
    assert_eq!((tasks.of(TaskForm::MinimalPairs).count(), tasks.of(TaskForm::MultipleChoice).count()), (1, 0));
    let (field, error) = Tasks::read(&spec(vec![path.clone(), path.clone()]), Some(&tokenizer)).unwrap_err();
    assert_eq!(field, "minimal_pairs.1");
    assert!(error.to_string().ends_with("expected files of different names, found a second `task`"), "{error}");
    let (field, error) = Tasks::read(&spec(vec![path]), None).unwrap_err();
    assert!(field == "minimal_pairs.0" && error.to_string().contains("tokens without a tokenizer"));
    assert_eq!(Tasks::read(&EvaluateSpec::default(), None).unwrap(), Tasks::default());
}

/// Reads one named task of `evaluate.tasks` on a file of these lines.
fn read_named(lines: &str, task: serde_json::Value) -> Result<Tasks, String> {
    let folder = TempDir::new().unwrap();
    let mut task = task;
    task["file"] = write(&folder, "items.jsonl", lines).to_str().unwrap().into();
    let spec: EvaluateSpec = serde_json::from_value(serde_json::json!({"tasks": {"named": task}})).unwrap();
    Tasks::read(&spec, Some(&Tokenizer::bytes())).map_err(|(field, error)| format!("{field}: {error}"))
}

#[test]
fn description_and_examples_stand_in_front_and_the_limit_cuts_items_alone() {
    let lines: String = (0..3)
        .map(|i| format!("{{\"question\": \"q{i}\", \"choices\": [\"a{i}\", \"b{i}\"], \"answer\": {}}}\n", i % 2))
        .collect();
    let few_shot = serde_json::json!({"count": 1, "sampler": "first_n", "delimiter": "|"});
    let spec = serde_json::json!({"form": "multiple_choice", "description": "D ", "target_delimiter": "=", "limit": 2,
        "few_shot": few_shot});
    let tasks = read_named(&lines, spec).unwrap();
    let items = &tasks.named[0].items;
    assert_eq!((items.len(), tasks.named[0].name.as_str(), tasks.have_items()), (2, "named", true));
    // item 0 is left out of its own examples
    assert_eq!((&items[0].choices[1].tokens, items[0].choices[1].context), (&bytes("D q1=b1|q0=b0"), 10));
    assert_eq!(items[1].choices[0].tokens, bytes("D q0=a0|q1=a1"));
}

#[test]
fn a_blank_context_and_white_space_behind_one() {
    let line = r#"{"context": "", "continuation": "two words"}"#;
    let last_word = serde_json::json!({"form": "last_word"});
    let tasks = read_named(&format!("{line}\n{line}\n"), last_word.clone()).unwrap();
    let choice = &tasks.named[0].items[0].choices[0];
    assert_eq!((&choice.tokens, choice.context), (&bytes("\ntwo words"), 1), "the prefix token is the context");
    let line = r#"{"context": "one ", "continuation": "two"}"#;
    let tasks = read_named(&format!("{line}\n{line}\n"), last_word).unwrap();
    let choice = &tasks.named[0].items[0].choices[0];
    assert_eq!((&choice.tokens, choice.context), (&bytes("one two"), 3), "the space is scored with the word");
}

#[test]
fn the_fingerprint_of_a_named_task_has_its_form_and_documents() {
    let print = |form: &str, line: &str| {
        let tasks = read_named(&format!("{line}\n{line}\n"), serde_json::json!({"form": form})).unwrap();
        tasks.named[0].fingerprint.clone()
    };
    let pair = r#"{"sentence_good": "a", "sentence_bad": "b"}"#;
    assert_ne!(print("minimal_pairs", pair), read_text(TaskForm::MinimalPairs, &format!("{pair}\n{pair}")).unwrap().fingerprint);
    let document = |words: usize| print("rolling", &format!("{{\"text\": \"a b\", \"words\": {words}}}"));
    assert_eq!(document(2), print("rolling", r#"{"text": "a b"}"#));
    assert_ne!(document(2), document(3));
}
