//! Models that start from a checkpoint keep its tokenizer.

use crate::worth::study;
use crate::{Study, tiny};

const BPE: &str = "{bpe: {vocab_size: 280}}";

/// A study that starts from what another has trained on its text with byte-pair encoding.
fn warm() -> Study {
    let study = study("evaluate: {every: 4}");
    study.run("first", &["--set", &format!("tokenizer={BPE}"), "--set", "seeds=[0]"], 0);
    let lines = tiny("  d: [{intervention: {distillation: {teacher: warm}}}]\n");
    let lines = lines.replace("model: {layers: 1, width: 16, heads: 2, context: 16}", "model: {init: warm}");
    let data = lines.lines().find(|line| line.starts_with("data:")).unwrap().to_owned();
    study.write("study.yaml", &lines.replace(&data, "data: {text: {train: other.txt, validation: text.txt}}"));
    study.write("other.txt", &"quite another text, of other words. ".repeat(60));
    std::fs::rename(study.trial("first", "baseline", 0).join("checkpoint"), study.path().join("warm")).unwrap();
    study
}

fn refused(study: &Study, more: &[&str], parts: &[&str]) {
    let words = String::from_utf8_lossy(&study.run("refused", more, 2).stderr).into_owned();
    parts.iter().for_each(|part| assert!(words.contains(part), "{part}: {words}"));
    assert!(!study.path().join("refused").exists());
}

#[test]
fn the_checkpoints_tokenizer_is_taken_and_exported() {
    let study = warm();
    study.run("out", &["--set", "seeds=[0]"], 0);
    let tokenizer = |folder: std::path::PathBuf| std::fs::read(folder.join("tokenizer.json")).unwrap();
    let own = tokenizer(study.path().join("warm"));
    assert!(tokenizer(study.trial("out", "baseline", 0).join("checkpoint")) == own);
    let before = study.json("first", "baseline", 0, "evaluation.json")["validation_loss"].as_f64().unwrap();
    let first = std::fs::read_to_string(study.trial("out", "baseline", 0).join("validation.jsonl")).unwrap();
    let first: serde_json::Value = serde_json::from_str(first.lines().next().unwrap()).unwrap();
    assert_eq!(first["loss"].as_f64().unwrap(), before, "it starts with the loss that it ended with, on the same text");
    let said = String::from_utf8_lossy(&study.regatta(&["check", "study.yaml"]).stdout).into_owned();
    assert!(said.contains("tokenizer   that of the checkpoint, "), "{said}");
}

#[test]
fn another_tokenizer_is_refused_before_anything_is_trained() {
    let study = warm();
    let at = ["tokenizer: ", "tokenizer.bytes: expected the ids of the checkpoint's tokenizer", "warm/tokenizer.json"];
    refused(&study, &["--set", "tokenizer=bytes"], &at);
    refused(&study, &["--set", &format!("tokenizer={BPE}")], &["tokenizer.bpe: expected the ids", "found others: token "]);
    // the same text gives the same tokenizer
    study.run("same", &["--set", &format!("tokenizer={BPE}"), "--set", "data.text.train=same.txt", "--set", "seeds=[0]"], 0);
    let config = std::fs::read_to_string(study.path().join("warm/config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    let sizes = format!("vocab_size: {}, train_tokens: 4000, validation_tokens: 600, test_tokens: 600", config["vocab_size"]);
    let data = format!("data={{synthetic: {{{sizes}}}}}");
    let words = ["--set", "model={layers: 1, width: 16, heads: 2, context: 16}", "--set", &data];
    refused(&study, &words, &["arms.d.0.intervention.distillation.teacher: ", "found one of text"]);

    std::fs::remove_file(study.path().join("warm/tokenizer.json")).unwrap();
    refused(
        &study,
        &[],
        &["study.yaml:3:", "model.init: ", "tokenizer.json, or a `tokenizer` that the study names, found neither"],
    );
    study.run("named", &["--set", &format!("tokenizer={BPE}"), "--set", "data.text.train=same.txt", "--set", "seeds=[0]"], 0);
}
