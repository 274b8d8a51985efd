//! What a trained model is worth: tasks and rounded weights, from the study to the columns, and from a checkpoint by itself.

use crate::{Study, tiny};
use serde_json::Value;
use std::fmt::Write;

const PAIRS: &str = r#"{"sentence_good": "the cat sees the dog.", "sentence_bad": "cat the dog the sees."}
{"sentence_good": "the dog sees a bird.", "sentence_bad": "the dog sees a zzzz."}
{"sentence_good": "a bird sees the cat.", "sentence_bad": "a xqxq sees the cat."}
{"sentence_good": "a much longer sentence of which the end alone fits the model.", "sentence_bad": "the end."}
"#;
const QUESTIONS: &str = r#"{"question": "the cat sees", "choices": ["the dog.", "qqqq", "xxxxxx"], "answer": 0}
{"question": "a bird", "choices": ["wwww", "sees the cat."], "answer": "B"}
"#;

/// A study on a text of its own, with `evaluate` as given.
pub fn study(evaluate: &str) -> Study {
    let yaml = tiny("").replace("evaluate: {every: 4}", evaluate);
    let data = yaml.lines().find(|line| line.starts_with("data:")).unwrap().to_owned();
    let study = Study::new(&yaml.replace(&data, "tokenizer: bytes\ndata: {text: {train: same.txt, validation: text.txt}}"));
    let mut text = String::new();
    for index in 0..200 {
        let [one, other] = [["the cat", "a bird", "the dog"][index % 3], ["the dog", "a cat"][index % 2]];
        writeln!(text, "{one} sees {other}.").unwrap();
    }
    ["text.txt", "same.txt"].iter().for_each(|name| study.write(name, &text)); // each split has a file of its own
    study.write("pairs.jsonl", PAIRS);
    study.write("questions.jsonl", QUESTIONS);
    study
}

const ALL: &str = "evaluate: {every: 4, minimal_pairs: [pairs.jsonl], multiple_choice: [questions.jsonl], \
                   quantisation: {bits: [8, 2, ternary, binary], granularity: [tensor, channel, 8]}}";

impl Study {
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    /// What `regatta evaluate` says of the checkpoint of the baseline with seed 0, as JSON.
    fn evaluate(&self, more: &[&str]) -> Value {
        let output = self.regatta(&[&["evaluate", "out/trials/baseline/seed-0/checkpoint", "--json"], more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

#[test]
fn further_texts_are_measured_at_the_end_and_stand_in_the_results() {
    let study = study("evaluate: {every: 4, texts: {same: text.txt, other: other.txt}}");
    study.write("other.txt", &"nothing of the kind. ".repeat(9));
    study.run("out", &[], 0);
    let found = study.json("out", "baseline", 0, "evaluation.json");
    let [other, same] = [0, 1].map(|index| found["texts"][index].clone());
    assert_eq!(
        (&same["text"], &same["loss"], &same["loss_standard_error"]),
        (&"same".into(), &found["loss"], &found["loss_standard_error"])
    );
    assert!(other["loss"].as_f64().unwrap() > same["loss"].as_f64().unwrap(), "{found}");
    assert_eq!(other["windows"], 11, "189 bytes in windows of 16");
    let csv = std::fs::read_to_string(study.path().join("out/results.csv")).unwrap();
    for column in ["text_same_loss", "text_other_loss_se", "text_other_bits_per_byte"] {
        assert!(csv.lines().next().unwrap().split(',').any(|name| name == column), "{csv}");
    }
    assert!(std::fs::read_to_string(study.path().join("out/report.html")).unwrap().contains("<h2>Further texts</h2>"));

    study.write("other.txt", &"something else then. ".repeat(9));
    let refused = String::from_utf8_lossy(&study.run("out", &[], 2).stderr).into_owned();
    assert!(refused.contains("evaluate.texts.other"), "{refused}");
    study.write("other.txt", "short");
    let refused = String::from_utf8_lossy(&study.run("short", &[], 2).stderr).into_owned();
    assert!(
        refused.contains("study.yaml:7:") && refused.contains("evaluate.texts.other: ") && refused.contains("at least 17"),
        "{refused}"
    );
    let words = ["--set", "data=synthetic", "--set", "tokenizer=null"];
    let refused = String::from_utf8_lossy(&study.run("words", &words, 2).stderr).into_owned();
    assert!(refused.contains("expected data that are text, found tokens without a tokenizer"), "{refused}");
}

#[test]
fn a_trial_measures_what_the_study_asks_for_and_a_checkpoint_gives_the_same() {
    let study = study(ALL);
    study.run("out", &[], 0);
    let found = study.json("out", "baseline", 0, "evaluation.json");
    let (pairs, questions) = (&found["minimal_pairs"][0], &found["multiple_choice"][0]);
    assert_eq!((&pairs["task"], &pairs["items"], &pairs["truncated"]), (&"pairs".into(), &4.into(), &7.into())); // 16 positions
    assert_eq!((&questions["items"], &questions["accuracy"].is_number()), (&2.into(), &true));
    let p = pairs["accuracy"].as_f64().unwrap();
    assert!((pairs["standard_error"].as_f64().unwrap() - (p * (1.0 - p) / 3.0).sqrt()).abs() < 1e-12);
    let quantised = found["quantised"].as_array().unwrap();
    assert_eq!(quantised.len(), 12);
    let loss = found["loss"].as_f64().unwrap();
    let by_bits = |index: usize| (quantised[index]["loss"].as_f64().unwrap() - loss).abs();
    assert!(by_bits(0) < 1e-3, "8 bits cost {}", by_bits(0));
    assert!(by_bits(9) > by_bits(0), "one bit costs no more than 8");

    let csv = std::fs::read_to_string(study.path().join("out/results.csv")).unwrap();
    let header: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
    for name in [
        "minimal_pairs_pairs_accuracy",
        "minimal_pairs_pairs_accuracy_normalised",
        "minimal_pairs_pairs_standard_error",
        "multiple_choice_questions_accuracy",
        "quantised_8_tensor_loss",
        "quantised_ternary_channel_loss",
        "quantised_binary_8_loss",
    ] {
        let column = header.iter().position(|cell| *cell == name).unwrap_or_else(|| panic!("{name}: {csv}"));
        assert!(csv.lines().nth(1).unwrap().split(',').nth(column).unwrap().parse::<f64>().is_ok(), "{name}: {csv}");
    }

    let again = study.evaluate(&[
        "--minimal-pairs",
        "pairs.jsonl",
        "--multiple-choice",
        "questions.jsonl",
        "--text",
        "text.txt",
        "--quantisation",
        "{bits: [8, 2, ternary, binary], granularity: [tensor, channel, 8]}",
    ]);
    for key in ["minimal_pairs", "multiple_choice"] {
        assert_eq!(again[key], found[key], "{key}");
    }
    let close = |one: &Value, other: &Value| (one.as_f64().unwrap() - other.as_f64().unwrap()).abs() < 1e-5;
    assert!(close(&again["loss"], &found["loss"])); // batches have another shape
    assert!(again["quantised"].as_array().unwrap().iter().zip(quantised).all(|(one, other)| close(&one["loss"], &other["loss"])));
}

/// Tuning trials measure losses alone: those that they would have with everything else, so that they choose the same.
#[test]
fn tuning_trials_measure_losses_alone_and_choose_the_same() {
    let more = "evaluate: {every: 4, minimal_pairs: [pairs.jsonl], quantisation: {bits: [2]}, diagnostics: {every: 4}}";
    let tuned = |evaluate: &str| {
        let arms = "\ntune: {weight: [0.01, 0.1]}\narms:\n  dispersion: [{regularizer: dispersion, weight: 0.1}]\n";
        let study = study(evaluate);
        let yaml = std::fs::read_to_string(study.path().join("study.yaml")).unwrap();
        study.write("study.yaml", &yaml.replace("\narms:\n", arms));
        study.run("out", &[], 0);
        study
    };
    let (plain, full) = (tuned("evaluate: {every: 4}"), tuned(more));
    let tuning = |study: &Study| -> Value {
        serde_json::from_str(&std::fs::read_to_string(study.path().join("out/tuning.json")).unwrap()).unwrap()
    };
    assert_eq!(tuning(&full), tuning(&plain));
    for candidate in ["weight=0.01", "weight=0.1"] {
        let arm = format!("dispersion/tune/{candidate}");
        let [one, other] = [&plain, &full].map(|study| study.json("out", &arm, 1_000_000, "evaluation.json"));
        assert_eq!(other["validation_loss"], one["validation_loss"], "{candidate}");
        let keys = |of: &Value| of.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&other), keys(&one), "{candidate}");
        assert!(!full.trial("out", &arm, 1_000_000).join("diagnostics.jsonl").exists());
        let identity = |study: &Study| study.json("out", &arm, 1_000_000, "status.json")["identity"].clone();
        assert_eq!(identity(&full), identity(&plain), "{candidate}: nothing that was skipped is in the identity");
    }
    let judged = full.json("out", "dispersion", 0, "evaluation.json");
    assert!(judged["minimal_pairs"].is_array() && judged["quantised"].is_array(), "{judged}");
    assert!(full.trial("out", "dispersion", 0).join("diagnostics.jsonl").exists());
}

#[test]
fn what_is_not_asked_for_leaves_no_trace() {
    let study = study("evaluate: {every: 4}");
    study.run("out", &[], 0);
    let found = study.json("out", "baseline", 0, "evaluation.json");
    for key in ["minimal_pairs", "multiple_choice", "quantised"] {
        assert!(found.get(key).is_none(), "{found}");
    }
    let inputs = study.json("out", "baseline", 0, "trial.json");
    assert_eq!(inputs["evaluate"], serde_json::json!({"every": 4, "max_windows": 256}));
    assert!(!std::fs::read_to_string(study.path().join("out/study.yaml")).unwrap().contains("minimal_pairs"));
}

#[test]
fn a_task_counts_by_its_items_and_its_name() {
    let study = study(ALL);
    study.run("out", &[], 0);
    study.write("pairs.jsonl", &PAIRS.replace("\"sentence_good\"", "\"UID\": \"other\", \"sentence_good\""));
    let same = study.run("out", &[], 0);
    assert!(String::from_utf8_lossy(&same.stderr).contains("2 of 2 trials are done already"));
    study.write("pairs.jsonl", &PAIRS.replace("zzzz", "yyyy"));
    let other = String::from_utf8_lossy(&study.run("out", &[], 2).stderr).into_owned();
    assert!(other.contains("evaluate.minimal_pairs"), "{other}");
}

#[test]
fn bad_tasks_are_refused_before_anything_is_trained() {
    let check = |evaluate: &str, parts: &[&str]| {
        let study = study(evaluate);
        study.write("bad.jsonl", &PAIRS.replace("\"the end.\"", "7"));
        for verb in ["run", "check"] {
            let output = study.regatta(&[verb, "study.yaml"]);
            let message = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(2), "{message}");
            parts.iter().for_each(|part| assert!(message.contains(part), "expected `{part}` in: {message}"));
        }
        // tokens of the text may be kept, and nothing else is
        let left = std::fs::read_dir(study.path().join("runs")).into_iter().flatten();
        assert!(left.map(|entry| entry.unwrap().file_name()).all(|name| name == ".tokens"));
    };
    let bad = "bad.jsonl:4: sentence_bad: expected words, found 7";
    check("evaluate: {minimal_pairs: [pairs.jsonl, bad.jsonl]}", &["study.yaml:7:41: evaluate.minimal_pairs.1: ", bad]);
    check(
        "evaluate: {minimal_pairs: [none.jsonl]}",
        &["study.yaml:7:28: evaluate.minimal_pairs.0: expected a file, found nothing"],
    );
    check("evaluate: {multiple_choice: [pairs.jsonl]}", &["pairs.jsonl:1: question: expected words, found nothing"]);
    check("evaluate: {minimal_pairs: pairs.jsonl}", &["evaluate.minimal_pairs: expected a list"]);
    check("evaluate: {quantisation: {bits: [9]}}", &["evaluate.quantisation.bits.0: expected 2 to 8 bits", "found 9"]);
    check("evaluate: {quantisation: {bits: [ternery]}}", &["did you mean `ternary`?"]);
    check("evaluate: {quantisaton: {}}", &["evaluate", "did you mean `quantisation`?"]);
    let tokens = Study::new(&tiny("").replace("evaluate: {every: 4}", "evaluate: {minimal_pairs: [pairs.jsonl]}"));
    tokens.write("pairs.jsonl", PAIRS);
    let message = String::from_utf8_lossy(&tokens.run("out", &[], 2).stderr).into_owned();
    assert!(message.contains("evaluate.minimal_pairs.0: expected data that are text, found tokens"), "{message}");
}

#[test]
fn scores_do_not_depend_on_the_number_of_threads() {
    let study = study("evaluate: {every: 4}");
    study.run("out", &[], 0);
    let items = |threads: &str| {
        let arguments =
            ["evaluate", "out/trials/baseline/seed-0/checkpoint", "--minimal-pairs", "pairs.jsonl", "--items", "items"];
        let output = study.command(&arguments).env("RAYON_NUM_THREADS", threads).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::read_to_string(study.path().join("items")).unwrap()
    };
    let one = items("1");
    assert_eq!(one.lines().count(), 4);
    assert!(one.starts_with(r#"{"task":"pairs","log_likelihoods":[-"#), "{one}");
    assert_eq!(one, items("2"));
}

#[test]
fn paths_start_from_the_file_that_wrote_them() {
    let study = study("evaluate: {every: 4}");
    std::fs::create_dir(study.path().join("base")).unwrap();
    study.write("base/pairs.jsonl", &PAIRS.replace("zzzz", "base"));
    study.write("base/base.yaml", &format!("{}\n", "evaluate: {minimal_pairs: [pairs.jsonl]}"));
    let yaml = std::fs::read_to_string(study.path().join("study.yaml")).unwrap();
    study.write("study.yaml", &format!("extends: base/base.yaml\n{yaml}"));
    study.run("out", &["--set", "seeds=1"], 0);
    let written = std::fs::read_to_string(study.path().join("out/study.yaml")).unwrap();
    assert!(written.contains("base/pairs.jsonl"), "{written}");
}
