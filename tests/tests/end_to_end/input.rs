//! Bad input: one message, status 2, and nothing written.

use crate::{Study, tiny};
use std::path::Path;

/// Runs `yaml` with `files` beside it; expects status 2, every part in the message, and no folder of results.
fn refused(yaml: &str, files: &[(&str, &[u8])], parts: &[&str]) {
    let study = Study::new(yaml);
    for (name, content) in files {
        std::fs::write(study.path().join(name), content).unwrap();
    }
    for verb in ["run", "check"] {
        let output = study.regatta(&[verb, "study.yaml"]);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{verb}: {message}");
        for part in parts {
            assert!(message.contains(part), "{verb}: expected `{part}` in: {message}");
        }
        assert_eq!(message.matches("error:").count(), 1, "{message}");
        assert!(!message.contains("panicked"), "{message}");
    }
    assert_eq!(std::fs::read_dir(study.path()).unwrap().count(), 1 + files.len(), "something was written");
}

fn with_data(data: &str) -> String {
    let yaml = tiny("");
    let line = yaml.lines().find(|line| line.starts_with("data:")).unwrap().to_owned();
    yaml.replace(&line, data)
}

#[test]
fn names_and_numbers() {
    refused(
        &tiny("  d: [{regularizer: dispersoin, weight: 0.1}]\n"),
        &[],
        &["study.yaml:9:", "arms.d.0.regularizer", "dispersoin", "did you mean `dispersion`?"],
    );
    refused(&tiny("").replace("steps: 8", "stesp: 8"), &[], &["study.yaml:5:", "train", "stesp", "did you mean `steps`?"]);
    refused(&tiny("").replace("heads: 2", "heads: 3"), &[], &["study.yaml:3:", "heads", "divide"]);
    refused(&tiny("").replace("steps: 8", "steps: 0"), &[], &["study.yaml:5:", "train.steps", "found 0"]);
    refused(&tiny("  d: [{regularizer: dispersion, weight: .nan}]\n"), &[], &["study.yaml:9:", "weight"]);
    refused(&tiny("  baseline: []\n"), &[], &["study.yaml:9:", "baseline"]);
    refused(
        &tiny("  d: [{regularizer: {dispersion: {temperature: -1}}, weight: 1}]\n"),
        &[],
        &["arms.d.0.regularizer.dispersion.temperature", "above 0", "found -1"],
    );
}

#[test]
fn files_that_are_no_studies() {
    let study = Study::new("");
    let missing = study.regatta(&["run", "none.yaml"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("none.yaml"));
    refused(&"[".repeat(80_000), &[], &["study.yaml:1:"]);
    refused(&format!("name: {}", "x".repeat(1 << 21)), &[], &["study.yaml"]);
    refused("", &[], &["study.yaml"]);
    refused("arms: {a: []}\n---\narms: {b: []}\n", &[], &["study.yaml:2:"]);
}

#[test]
fn a_file_where_results_should_go() {
    let study = Study::new(&tiny(""));
    std::fs::write(study.path().join("taken"), "a file").unwrap();
    let output = study.run("taken", &[], 2);
    assert!(String::from_utf8_lossy(&output.stderr).contains("taken: expected a folder for results, found a file"));
}

#[test]
fn layers_that_the_model_does_not_have() {
    refused(&tiny("  d: [{regularizer: dispersion, weight: 1, at: {layers: [2]}}]\n"), &[], &["study.yaml:9:", "layers", "2"]);
}

#[test]
fn a_second_view_needs_dropout_and_activations() {
    let arm = |regularizer: &str, at: &str| tiny(&format!("  d: [{{regularizer: {regularizer}, weight: 1{at}}}]\n"));
    let dropped = |yaml: String| yaml.replace("schedule: constant", "schedule: constant, dropout: 0.1");
    let kinds = ["barlow_twins", "{infonce: {form: contrastive}}", "{vicreg: {invariance: 1}}", "{whitening: {form: w_mse}}"];
    for kind in kinds {
        let parts = ["study.yaml:9:", "arms.d.0.regularizer", "expected a `train.dropout` above 0", "set `train.dropout: 0.1`"];
        refused(&arm(kind, ""), &[], &parts);
        for site in ["embedding", "unembedding"] {
            let yaml = dropped(arm(kind, &format!(", at: {{site: {site}}}")));
            refused(&yaml, &[], &["study.yaml:9:", "arms.d.0.at.site", "its rows have no second view"]);
        }
    }
    let sweep = dropped(arm("barlow_twins", "")) + "vary: {train.dropout: [0.0, 0.1]}\n";
    refused(&sweep, &[], &["study.yaml:", "expected a `train.dropout` above 0", "train.dropout=0"]);
}

#[test]
fn text_that_cannot_be_read() {
    let text = with_data("data: {text: {train: train.txt, validation: valid.txt}}");
    let long = "some words in a row\n".repeat(200);
    let (long, valid) = (long.as_bytes(), ("valid.txt", long.as_bytes()));
    refused(&text, &[valid], &["study.yaml:4:", "train.txt"]);
    refused(&text, &[valid, ("train.txt", b"")], &["train.txt", "empty"]);
    refused(&text, &[valid, ("train.txt", b"short")], &["train.txt", "tokens"]);
    refused(&text, &[valid, ("train.txt", &[long, b"\xff"].concat())], &["train.txt", "UTF-8"]);
}

#[test]
fn token_files_that_cannot_be_used() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/models/gpt2").canonicalize().unwrap();
    let tokens = with_data("data: {tokens: {train: train.bin, validation: valid.bin}}")
        .replace("model: {layers: 1, width: 16, heads: 2, context: 16}", &format!("model: {{init: {}}}", golden.display()));
    let valid: (&str, &[u8]) = ("valid.bin", &[1, 0].repeat(100));
    refused(&tokens, &[valid, ("train.bin", &[1, 0, 200, 0].repeat(100))], &["train.bin", "200", "97"]);
    refused(&tokens, &[valid, ("train.bin", &[1, 0, 2])], &["train.bin", "u16", "3 bytes"]);
    refused(&tokens, &[valid, ("train.bin", "some words in a row".as_bytes())], &["train.bin", "UTF-8 text", "some words"]);
    refused(&tokens.replace("valid.bin", "train.bin"), &[("train.bin", &[1, 0])], &["train.bin", "in one split"]);
}

#[test]
fn a_checkpoint_whose_shapes_do_not_fit() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/models/gpt2");
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(golden.join("model.safetensors"), folder.path().join("model.safetensors")).unwrap();
    let config = std::fs::read_to_string(golden.join("config.json")).unwrap();
    let yaml = |_: ()| {
        with_data("data: {tokens: {train: train.bin, validation: valid.bin}}").replace(
            "model: {layers: 1, width: 16, heads: 2, context: 16}",
            &format!("model: {{init: {}}}", folder.path().display()),
        )
    };
    let [tokens, valid]: [(&str, &[u8]); 2] = [("train.bin", &[1, 0].repeat(1000)), ("valid.bin", &[1, 0].repeat(1000))];
    let with_config = |config: &str| std::fs::write(folder.path().join("config.json"), config).unwrap();
    with_config(&config.replace("\"n_embd\": 48", "\"n_embd\": 64"));
    refused(&yaml(()), &[tokens, valid], &["study.yaml:3:", "model.init", "wte.weight", "[97, 64]", "[97, 48]"]);
    with_config(&config.replace("\"n_layer\": 3", "\"n_layer\": 4"));
    refused(&yaml(()), &[tokens, valid], &["model.init", "h.3."]);
    with_config(&config.replace("gelu_new", "relu"));
    refused(&yaml(()), &[tokens, valid], &["model.init", "activation_function", "relu"]);
    with_config(&config);
    std::fs::write(folder.path().join("model.safetensors"), [255; 64]).unwrap();
    refused(&yaml(()), &[tokens, valid], &["model.init", "safetensors"]);
}
