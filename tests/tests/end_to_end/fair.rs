//! What a comparison rests on: terms at home, settings with an effect, numbers with a meaning, arms marked for what they are told.

use crate::{Study, tiny};
use std::process::Output;

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_term_without_a_place_runs_at_home_and_a_field_replaces_that_field_alone() {
    let study = Study::new(&tiny(
        "  bare: [{regularizer: vicreg, weight: 0.1}]
  spelled: [{regularizer: vicreg, weight: 0.1, at: {site: hidden_states, layers: all, points: batch, max_points: none, scale: layer_norm}}]
  away: [{regularizer: vicreg, weight: 0.1, at: {scale: none}}]
",
    ));
    study.run("out", &["--set", "seeds=[0]"], 0);
    assert!(study.weights("out", "bare", 0) == study.weights("out", "spelled", 0));
    assert!(study.weights("out", "bare", 0) != study.weights("out", "away", 0));
    let written = std::fs::read_to_string(study.path().join("out/study.yaml")).unwrap();
    assert_eq!(written.matches("max_points: none").count(), 3, "{written}");
    let checked = printed(&study.regatta(&["check", "study.yaml"]));
    assert!(checked.contains("not at home away: vicreg at scale: none (home: layer_norm)\n"), "{checked}");
    assert_eq!(checked.matches("not at home").count(), 1, "{checked}");
    assert!(checked.contains("same arm    spelled is bare under another name: their trials have the same bytes\n"), "{checked}");
    assert_eq!(checked.matches("same arm").count(), 1, "{checked}");
    let page = std::fs::read_to_string(study.path().join("out/report.html")).unwrap();
    assert!(page.contains("(away from home)"));
}

#[test]
fn a_setting_without_an_effect_is_refused_with_what_it_belongs_to() {
    let refused = |regularizer: &str, parts: &[&str]| {
        let study = Study::new(&tiny(&format!("  d: [{{regularizer: {regularizer}, weight: 0.1}}]\n")));
        let said = words(&study.run("out", &[], 2));
        parts.iter().for_each(|part| assert!(said.contains(part), "{part}: {said}"));
        assert!(!study.path().join("out").exists());
    };
    refused(
        "{dispersion: {variant: l2_repel, margin: 0.1}}",
        &[
            "study.yaml:9:",
            "arms.d.0.regularizer.dispersion.margin: the field `margin` has no effect here",
            "it belongs to `variant: orthogonalization`",
            "`variant`, `temperature`, `epsilon`, `norm_weight`",
        ],
    );
    refused("{infonce: {temperature: 0.1}}", &["infonce.temperature", "`form: negatives`, `form: contrastive`"]);
    refused("{sigreg: {test: watson, knots: 9}}", &["sigreg.knots", "it belongs to `test: epps_pulley`"]);
    refused("{vicreg: {variance: 0, target_std: 2}}", &["vicreg.target_std", "has no effect here"]);
    refused("{dispersion: {orthogonalization: {clmap: 0.2}}}", &["clmap", "did you mean `clamp`?"]);
}

#[test]
fn a_variant_is_also_written_by_its_name() {
    let study = Study::new(&tiny(
        "  flat: [{regularizer: {dispersion: {variant: orthogonalization, margin: 0.4}}, weight: 0.5}]
  nested: [{regularizer: {dispersion: {orthogonalization: {margin: 0.4}}}, weight: 0.5}]
",
    ));
    study.run("out", &["--set", "seeds=[0]"], 0);
    assert!(study.weights("out", "flat", 0) == study.weights("out", "nested", 0));
}

/// Whole words that it knows, all in small letters.
const WORD_LEVEL: &str = r#"{"version": "1.0", "added_tokens": [{"id": 0, "content": "[UNK]", "special": true, "single_word": false,
    "lstrip": false, "rstrip": false, "normalized": false}], "normalizer": {"type": "Lowercase"},
    "pre_tokenizer": {"type": "Whitespace"}, "decoder": null,
    "model": {"type": "WordLevel", "vocab": {"[UNK]": 0, "one": 1, "two": 2, "three": 3}, "unk_token": "[UNK]"}}"#;

#[test]
fn no_bits_per_byte_of_a_text_that_its_tokens_lose() {
    let yaml = tiny("");
    let data = yaml.lines().find(|line| line.starts_with("data:")).unwrap().to_owned();
    let study = Study::new(&yaml.replace(&data, "tokenizer: {file: tokenizer.json}\ndata: {text: {file: text.txt}}"));
    study.write("tokenizer.json", WORD_LEVEL);
    study.write("text.txt", &"One two three два ".repeat(400));
    let checked = printed(&study.regatta(&["check", "study.yaml"]));
    assert!(checked.contains("the tokenizer loses text: decoding the tokens of "), "{checked}");
    assert!(checked.contains("text.txt (train part) does not give it back (27."), "{checked}");
    study.run("out", &["--set", "seeds=[0]"], 0);
    let evaluation = study.json("out", "baseline", 0, "evaluation.json");
    assert!(evaluation["bits_per_byte"].is_null(), "{evaluation}");
    // a capital, three letters and a space, of 18 characters each time
    assert!((evaluation["text_lost"].as_f64().unwrap() - 5.0 / 18.0).abs() < 0.02, "{evaluation}");
    let table = printed(&study.regatta(&["report", "out"]));
    assert!(table.contains("No bits per byte: decoding the tokens does not give the text back"), "{table}");
}

#[test]
fn a_target_is_reported_and_changes_no_trial() {
    let study = Study::new(&tiny("  dispersion: [{regularizer: dispersion, weight: 0.1}]\n").replace("steps: 8", "steps: 40"));
    study.run("out", &[], 0);
    let target = |arm: usize| -> serde_json::Value {
        let text = printed(&study.regatta(&["results", "out", "--format", "json"]));
        let results: serde_json::Value = serde_json::from_str(&text).unwrap();
        results["arms"][arm]["to_target"][0].clone()
    };
    let baseline = target(0);
    assert_eq!((&baseline["of_baseline"], &baseline["reached"], &baseline["tried"]), (&true.into(), &2.into(), &2.into()));
    assert!(baseline["steps"]["mean"].as_f64().unwrap() <= 40.0 && baseline["steps_ratio"].is_null(), "{baseline}");
    let weights = study.weights("out", "dispersion", 0);
    let again = words(&study.run("out", &["--set", "evaluate.target=3.465"], 0));
    assert!(!again.contains("begins"), "nothing is trained again: {again}");
    assert!(study.weights("out", "dispersion", 0) == weights);
    let named = target(1);
    assert_eq!((&named["target"], &named["of_baseline"]), (&3.465.into(), &false.into()), "{named}");
    let page = std::fs::read_to_string(study.path().join("out/report.html")).unwrap();
    assert!(page.contains("Time to a target loss"));
}

#[test]
fn arms_that_are_told_the_next_token_are_marked() {
    let study = Study::new(&tiny(
        "  told: [{regularizer: supervised_contrastive, weight: 0.1}]
  others: [{regularizer: infonce, weight: 0.1}]
",
    ));
    let told = study.run("out", &["--set", "seeds=[0]"], 0);
    let table = printed(&told);
    assert!(table.contains("told (label-aware)") && !table.contains("others (label-aware)"), "{table}");
    let listed = printed(&study.regatta(&["list", "--format", "md"]));
    let row = |name: &str| listed.lines().find(|line| line.starts_with(&format!("| {name} "))).unwrap().to_owned();
    assert!(row("supervised_contrastive").contains("(label-aware)") && !row("infonce").contains("label-aware"), "{listed}");
    let explained = printed(&study.regatta(&["explain", "supervised_contrastive"]));
    assert!(explained.contains("is label-aware"), "{explained}");
    let matrix = study.run("other", &["--set", "arms.told.0.at={site: embedding}"], 2);
    assert!(words(&matrix).contains("depends on the next token of each point, found a weight matrix"), "{}", words(&matrix));
}

#[test]
fn log_normalisers_a_centred_output_and_gated_gradients_are_trained() {
    let arms = "  z: [{intervention: {z_loss: {weight: 0.01}}}]\n  centred: [{intervention: centred_output}]\n  gated: [{intervention: {gradient_gating: {alpha: 0.9}}}]\n";
    let study = Study::new(&tiny(arms));
    study.run("out", &["--set", "seeds=[0]"], 0);
    let record = &study.metrics("out", "z", 0)[0];
    let (value, penalty) = (record["terms"]["z_loss"].as_f64().unwrap(), record["penalty"].as_f64().unwrap());
    // fresh logits are near 0, and the log-normaliser is near ln 32 = 3.466
    assert!((value - 3.466f64.powi(2)).abs() < 0.1 && (penalty - 0.01 * value).abs() < 1e-9, "{record}");
    assert!(study.weights("out", "z", 0) != study.weights("out", "baseline", 0));
    assert!(study.weights("out", "centred", 0) != study.weights("out", "baseline", 0));
    let parts = Study::new(&tiny(arms).replace("batch_size: 4,", "batch_size: 4, accumulate: 2,"));
    parts.run("out", &["--set", "seeds=[0]"], 0);
    let loss = |study: &Study, arm: &str, step: usize| study.metrics("out", arm, 0)[step]["loss"].as_f64().unwrap();
    for arm in ["z", "gated"] {
        let [whole, parts] = [&study, &parts].map(|study| loss(study, arm, 7));
        assert!((whole - parts).abs() < 1e-5, "{arm}: {whole} {parts}");
    }
    let apart = |step: usize| loss(&study, "gated", step) - loss(&study, "baseline", step);
    assert!(apart(0) == 0.0 && apart(1) != 0.0, "the loss is the cross-entropy, and its gradient is gated");
}
