use super::*;
use serde_json::json;

fn read(form: TaskForm, line: Value) -> Result<Worded, Fault> {
    item(form, line.as_object().unwrap(), " ")
}

fn check(form: TaskForm, line: Value, asked: &[[&str; 2]], right: &[usize], example: [&str; 2]) {
    let found = read(form, line).unwrap();
    let pairs: Vec<[&str; 2]> = found.asked.iter().map(|asked| [&asked.context[..], &asked.continuation]).collect();
    assert_eq!((&pairs[..], &found.right[..], [&found.example[0][..], &found.example[1]]), (asked, right, example));
}

#[test]
fn natural_lines_by_hand() {
    let line = json!({"text": "They gave it a name , Anna"});
    check(TaskForm::LastWord, line, &[["They gave it a name ,", " Anna"]], &[0], ["They gave it a name ,", " Anna"]);
    let line = json!({"sentence": "The jar fit in the box, for the _ was small.", "option1": "jar", "option2": "box",
        "answer": "1"});
    let [jar, box_] = ["jar", "box"].map(|option| format!("The jar fit in the box, for the {option}"));
    check(TaskForm::Partial, line, &[[&jar, " was small."], [&box_, " was small."]], &[0], [&jar, "was small."]);
    let line = json!({"question": "Is it?", "mc2_targets": {"choices": ["Yes.", "No.", "Sure."], "labels": [1, 0, 1]}});
    let context = "Q: Is it?\nA:";
    let asked = [[context, " Yes."], [context, " No."], [context, " Sure."]];
    check(TaskForm::ProbabilityMass, line, &asked, &[0, 2], [context, "Yes."]);
    let line = json!({"goal": "open", "sol1": "pull", "sol2": "push", "label": 1});
    let context = "Question: open\nAnswer:";
    check(TaskForm::MultipleChoice, line, &[[context, " pull"], [context, " push"]], &[1], [context, "push"]);
    let line = json!({"question": "What?", "choices": {"text": ["a", "b"], "label": ["1", "2"]}, "answerKey": "2"});
    let context = "Question: What?\nAnswer:";
    check(TaskForm::MultipleChoice, line, &[[context, " a"], [context, " b"]], &[1], [context, "b"]);
    let line = json!({"activity_label": "Baking", "ctx_a": "[header] How [title] She mixes.", "ctx_b": "she THEN",
        "endings": ["eats  it.", "[x] flies."], "label": "0"});
    let context = "Baking: How. She mixes. She then"; // two spaces where brackets were are one
    check(TaskForm::MultipleChoice, line, &[[context, " eats it."], [context, "  flies."]], &[0], [context, "eats it."]);
}

#[test]
fn neutral_lines_by_hand() {
    let line = json!({"context": "", "choices": ["a", "b", "c"], "answers": [2, 1], "delimiter": "\n"});
    check(TaskForm::MultipleChoice, line, &[["", "\na"], ["", "\nb"], ["", "\nc"]], &[2, 1], ["", "c"]);
    let line = json!({"contexts": ["x a", "x b"], "continuation": "fits", "answer": 1});
    check(TaskForm::Partial, line, &[["x a", " fits"], ["x b", " fits"]], &[1], ["x b", "fits"]);
    let line = json!({"context": "x", "continuation": "\ny"});
    check(TaskForm::LastWord, line, &[["x", "\ny"]], &[0], ["x", "\ny"]);
    let line = json!({"context": "x", "choices": ["a", "b"], "labels": [0, 1]});
    check(TaskForm::ProbabilityMass, line, &[["x", " a"], ["x", " b"]], &[1], ["x", "a"]);
}

#[test]
fn documents_have_the_words_of_their_pages() {
    let found = |line: Value| page(line.as_object().unwrap()).map(|page| (page.text, page.words, page.bytes));
    assert_eq!(found(json!({"text": "é b"})), Ok(("é b".into(), 2, 4)));
    assert_eq!(found(json!({"text": "a", "words": 7, "bytes": 9})), Ok(("a".into(), 7, 9)));
    assert_eq!(found(json!({"page": "a @-@ b"})), Ok(("a-b".into(), 3, 7)));
    assert_eq!(found(json!({"text": "a", "words": 0})), Err(("words".into(), "a whole number above 0", "0".into())));
}

#[test]
fn what_is_no_item_is_named() {
    let refused = |form, line: Value| read(form, line).map(|_| ()).unwrap_err();
    let fault = |field: &str, expected, found: &str| (field.to_owned(), expected, found.to_owned());
    let expected = "words before the last word";
    assert_eq!(refused(TaskForm::LastWord, json!({"text": "Anna"})), fault("text", expected, "\"Anna\""));
    assert_eq!(refused(TaskForm::LastWord, json!({"text": "Anna "})), fault("text", expected, "\"Anna \""));
    let blank = json!({"sentence": "no blank", "option1": "a", "option2": "b", "answer": "1"});
    let expected = "a blank, written `_`, and words behind it";
    assert_eq!(refused(TaskForm::Partial, blank), fault("sentence", expected, "\"no blank\""));
    let answer = json!({"sentence": "a _ b", "option1": "a", "option2": "b", "answer": 1});
    assert_eq!(refused(TaskForm::Partial, answer), fault("answer", "\"1\" or \"2\"", "1"));
    let labels = |labels: Value| json!({"question": "q", "mc2_targets": {"choices": ["a", "b"], "labels": labels}});
    let expected = "a 1 for at least one choice";
    assert_eq!(refused(TaskForm::ProbabilityMass, labels(json!([0, 0]))), fault("mc2_targets.labels", expected, "[0,0]"));
    let expected = "a list of 0 and 1, one for each choice";
    assert_eq!(refused(TaskForm::ProbabilityMass, labels(json!([1]))), fault("mc2_targets.labels", expected, "[1]"));
    let key = json!({"question": "q", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "C"});
    assert_eq!(refused(TaskForm::MultipleChoice, key), fault("answerKey", "one of `choices.label`", "\"C\""));
}
