//! The tasks of `evaluate.tasks`: scored while a trial trains and at its end, in its files, in the results and on the page.

use crate::Study;
use crate::worth::study;
use serde_json::{Value, json};
use std::path::Path;

pub const TASKS: &str = "\
evaluate:
  every: 4
  tasks_at: [0, 3, 0.5]
  tasks:
    last: {file: lambada.jsonl, form: last_word, limit: 6}
    blank: {file: winogrande.jsonl, form: partial, few_shot: {count: 1}}
    truth: {file: truthfulqa.jsonl, form: probability_mass, description: 'Q and A.'}
    pages: {file: wikitext.jsonl, form: rolling}
    ways: {file: piqa.jsonl, form: multiple_choice, few_shot: {file: piqa_train.jsonl, count: 2}}
";

/// A study on a text of its own with the items of tests/golden/tasks beside it.
pub fn with_items(evaluate: &str) -> Study {
    let study = study(evaluate.trim_end());
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/tasks");
    for file in std::fs::read_dir(golden).unwrap().map(|entry| entry.unwrap().path()) {
        std::fs::copy(&file, study.path().join(file.file_name().unwrap())).unwrap();
    }
    study
}

fn read(study: &Study, out: &str, arm: &str, file: &str) -> String {
    std::fs::read_to_string(study.trial(out, arm, 0).join(file)).unwrap()
}

#[test]
fn tasks_are_scored_on_the_way_and_at_the_end() {
    let study = with_items(TASKS);
    let yaml = std::fs::read_to_string(study.path().join("study.yaml")).unwrap();
    study.write("study.yaml", &yaml.replace("  baseline: []\n", "  baseline: []\n  odd: [{lr: 0.01}]\n"));
    study.run("out", &[], 0);
    let lines: Vec<Value> =
        read(&study, "out", "odd", "tasks.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().map(|line| line["step"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 3, 4], "half of 8 is 4");
    let names = |scores: &Value| {
        scores.as_array().unwrap().iter().map(|score| score["task"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&lines[1]["scores"]), ["blank", "last", "pages", "truth", "ways"]);
    let evaluation = study.json("out", "odd", 0, "evaluation.json");
    assert_eq!(names(&evaluation["tasks"]), names(&lines[1]["scores"]));
    assert_eq!((&evaluation["tasks"][1]["items"], &evaluation["tasks"][2]["items"]), (&json!(6), &json!(6)));
    let words = evaluation["tasks"][2]["measures"]["words"].as_f64().unwrap();
    assert!(words > 300.0, "those of the pages before they were detokenized: {words}");
    let items: Vec<Value> =
        read(&study, "out", "odd", "items.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let right = |index: usize| (items[index]["task"].clone(), items[index]["right"].as_str().unwrap().len());
    assert_eq!([right(0), right(1), right(2)], [(json!("blank"), 20), (json!("last"), 6), (json!("ways"), 20)]);
    assert!(items[0].get("right_normalised").is_none() && items[2].get("right_normalised").is_some());

    let csv = std::fs::read_to_string(study.path().join("out/results.csv")).unwrap();
    for column in
        ["task_last_perplexity", "task_pages_word_perplexity", "task_truth_probability_mass", "task_ways_accuracy_tokens"]
    {
        assert!(csv.lines().next().unwrap().split(',').any(|name| name == column), "{column}: {csv}");
    }
    let page = std::fs::read_to_string(study.path().join("out/report.html")).unwrap();
    for part in ["Accuracy on tasks", "Perplexity and probability mass on tasks", "Tasks at the last and at the best checkpoint"]
    {
        assert!(page.contains(part), "{part}");
    }
    assert!(page.contains("selected on the reported tasks, so it is optimistic"));
    let results: Value = serde_json::from_slice(&study.regatta(&["results", "out", "--format", "json"]).stdout).unwrap();
    let odd = &results["arms"][1];
    assert_eq!(odd["task_checkpoints"]["scored"], json!([3, 4, 8]));
    assert_eq!(odd["tasks"].as_array().unwrap().len(), 3);
    assert!(odd["tasks"][1]["judged"]["verdict"].is_string(), "{odd}");

    let tasks = r#"{last: {file: lambada.jsonl, form: last_word, limit: 6}, pages: {file: wikitext.jsonl, form: rolling}}"#;
    let output = study.regatta(&["evaluate", "out/trials/odd/seed-0/checkpoint", "--tasks", tasks, "--items", "lines", "--json"]);
    let again: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&again["tasks"][0], &again["tasks"][1]), (&evaluation["tasks"][1], &evaluation["tasks"][2]));
    let lines = std::fs::read_to_string(study.path().join("lines")).unwrap();
    assert!(lines.lines().count() == 12 && lines.lines().next().unwrap().contains("\"greedy\":"), "{lines}");
}

#[test]
fn a_trial_that_was_stopped_has_the_same_scores() {
    let yaml = |after: usize| {
        let interrupt = format!("[{{regularizer: {{misbehaving: {{how: interrupt, after: {after}}}}}, weight: 0.001}}]");
        let study = with_items(&TASKS.replace("[0, 3, 0.5]", "3"));
        let text = std::fs::read_to_string(study.path().join("study.yaml")).unwrap();
        let text = text.replace("  baseline: []\n", &format!("  cut: {interrupt}\n")).replace("seeds: [0, 1]", "seeds: [0]");
        (study, text)
    };
    let (study, whole) = yaml(1000);
    study.write("study.yaml", &whole);
    study.run("whole", &[], 0);
    for stop in [1, 3, 4] {
        study.write("study.yaml", &yaml(stop - 1).1);
        let out = format!("stop-{stop}");
        let done = |_: &i32| study.command(&["run", "study.yaml", "--out", &out]).output().unwrap().status.success();
        assert!((2..=20).contains(&(1..=20).find(done).unwrap()), "stopped at least once");
        for file in ["tasks.jsonl", "items.jsonl"] {
            assert_eq!(read(&study, &out, "cut", file), read(&study, "whole", "cut", file), "{file} after {stop}");
        }
    }
}

#[test]
fn a_task_counts_by_its_items_and_their_examples() {
    let study = with_items(TASKS);
    study.run("out", &["--set", "seeds=1"], 0);
    let edit = |file: &str, from: &str, to: &str| {
        let path = study.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from));
        std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
    };
    edit("arc.jsonl", "own-0", "own-x"); // no task of the study
    assert!(String::from_utf8_lossy(&study.run("out", &["--set", "seeds=1"], 0).stderr).contains("done already"));
    edit("piqa_train.jsonl", "bread", "cheese");
    let refused = String::from_utf8_lossy(&study.run("out", &["--set", "seeds=1"], 2).stderr).into_owned();
    assert!(refused.contains("evaluate.tasks.ways"), "{refused}");
}

#[test]
fn bad_tasks_are_refused_with_file_line_and_field() {
    let check = |tasks: &str, parts: &[&str]| {
        let study = with_items(&format!("evaluate: {{every: 4, {tasks}}}"));
        study.write("empty-labels.jsonl", &"{\"context\": \"a\", \"choices\": [\"b\", \"c\"], \"labels\": [0, 0]}\n".repeat(2));
        study.write("one-word.jsonl", "{\"text\": \"two words\"}\n{\"text\": \"one\"}\n");
        let output = study.regatta(&["check", "study.yaml"]);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert_eq!(message.trim().lines().count(), 1, "{message}");
        parts.iter().for_each(|part| assert!(message.contains(part), "expected `{part}` in: {message}"));
    };
    check(
        "tasks: {a: {file: one-word.jsonl, form: last_word}}",
        &["evaluate.tasks.a.file: ", "one-word.jsonl:2: text: expected words before the last word, found \"one\""],
    );
    check(
        "tasks: {a: {file: one-word.jsonl, form: last_word, limit: 1}}",
        &["evaluate.tasks.a.limit: ", "at least 2 lines, found 1"],
    );
    check(
        "tasks: {a: {file: empty-labels.jsonl, form: probability_mass}}",
        &["empty-labels.jsonl:1: labels: expected a 1 for at least one choice, found [0,0]"],
    );
    check(
        "tasks: {a: {file: piqa.jsonl, form: multiple_choice, few_shot: {file: piqa_train.jsonl, count: 13}}}",
        &["evaluate.tasks.a.few_shot.count: expected at most 12, of 12 lines in ", "piqa_train.jsonl, found 13"],
    );
    check(
        "tasks: {a: {file: piqa.jsonl, form: multiple_choice, few_shot: {count: 20}}}",
        &["expected at most 19, of 20 lines in ", "of which one may be the item itself, found 20"],
    );
    check("tasks: {a: {file: lambada.jsonl, form: partial}}", &["lambada.jsonl:1: sentence: expected words, found nothing"]);
    check("tasks: {a: {file: lambada.jsonl, form: lastword}}", &["evaluate.tasks.a.form", "did you mean `last_word`?"]);
    check("tasks: {a: {file: none.jsonl, form: last_word}}", &["evaluate.tasks.a.file: expected a file, found"]);
    check("tasks: {a/b: {file: lambada.jsonl, form: last_word}}", &["expected a name of 1 to 64 letters"]);
    check(
        "tasks: {a: {file: documents.jsonl, form: rolling, few_shot: {count: 1}}}",
        &["evaluate.tasks.a.few_shot: expected nothing"],
    );
    check("tasks_at: 3", &["evaluate.tasks_at: expected `tasks` beside it, found none"]);
    check(
        "tasks_at: [9], tasks: {a: {file: lambada.jsonl, form: last_word}}",
        &["evaluate.tasks_at: expected steps within `train.steps`, 8, found 9"],
    );
    check(
        "minimal_pairs: [pairs.jsonl], tasks: {pairs: {file: pairs.jsonl, form: minimal_pairs}}",
        &["evaluate.tasks.pairs: expected a name that no file of `minimal_pairs` has, found `pairs`"],
    );
    check(
        "tasks: {a: {file: lambada.jsonl, form: last_word}, a: {file: lambada.jsonl, form: last_word}}",
        &["evaluate.tasks", "`a`"],
    );
}
