//! The schema against the reader: whatever a test of this crate reads, the schema admits; what the reader refuses for its form, the
//! schema refuses too.

use super::*;
use crate::{schema, yaml};
use jsonschema::Validator;
use std::sync::LazyLock;

static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| jsonschema::draft202012::new(&schema()).unwrap());

/// Fails with all that the schema has against `text`.
pub(super) fn admits(text: &str) {
    let faults = faults(text);
    assert!(faults.is_empty(), "{text}\n{}", faults.join("\n"));
}

fn faults(text: &str) -> Vec<String> {
    let document = yaml::parse(text).unwrap();
    VALIDATOR.iter_errors(&document).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
fn the_schema_is_one() {
    let schema = schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    jsonschema::draft202012::meta::validate(&schema).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn every_form_of_every_section_is_admitted() {
    for text in [
        "arms: {a: [{lr: 0.1}], b: [{intervention: amnesia}], c: [{intervention: {amnesia: {every: 5}}}], d: [{regularizer: {vicreg: }, weight: 1, at: }]}",
        "extends: x.yaml\narms: {a: , b: []}",
        "extends: x.yaml",
        "x-term: &term {regularizer: vicreg, weight: 1}\narms: {a: [{<<: *term, weight: 2}]}",
        "arms: {a: []}\ndata: synthetic\ntokenizer: bytes\ntrain: {schedule: constant, optimizer: muon, tokens: 20M, grad_clip: none}",
        "arms: {a: []}\ndata: {biographies: {people: 10}}\ntrain: {schedule: {wsd: {decay: 0.1}}, tokens: 2.0e+7, precision: bf16}",
        "arms: {a: []}\ndata: {text: {file: a.txt}}\ntokenizer: {file: t.json}\nevaluate: {capacity: , quantisation: , texts: {a: b}}",
        "arms: {a: []}\nmodel: {family: llama, biases: [qkv], qk_norm: all_heads, positions: {rotary: {theta: 1.0e+6}}, logit_cap: 30}",
        "arms: {a: []}\nmodel: {init: there}\nseeds: 4\ntune: {lr: [1, 2], seeds: 2}\nvary: [{train.lr: 1}]",
        "arms: {a: []}\nmodel:\ntrain:\nseeds: [1]\nvary: {train.lr: [1, 2], model: [{layers: 1}], train.optimizer.adamw.betas.0: [0.5], arms.*.0.weight: [0.1]}",
    ] {
        admits(text);
    }
}

#[test]
fn what_the_reader_refuses_for_its_form_the_schema_refuses() {
    let refused = |text: &str| {
        let desk = Desk::with(text);
        let refusal = desk.refusal(&[]);
        assert!(!faults(text).is_empty(), "the schema admits what the reader refuses: {refusal}");
    };
    for text in ["{}", "arms:", "arms: {}", "arms: {a: }", "arms: {a: {}}", "- 1"] {
        refused(text);
    }
    for (old, new) in [
        ("seeds:", "seed:"),
        ("seeds:", "xx-seeds: 1\nseeds:"),
        ("train:", "train:\n  <<: {stesp: 3}"),
        ("[0, 1, 2]", "0"),
        ("[0, 1, 2]", "[]"),
        ("[0, 1, 2]", "[0, 1, 0]"),
        ("[0, 1, 2]", "[0, -1]"),
        ("lr: 1.0e-3", "lrr: 1.0e-3"),
        ("lr: 1.0e-3", "lr: -1"),
        ("lr: 1.0e-3", "lr: '1e-3'"),
        ("steps: 20", "steps: many"),
        ("steps: 20", "steps: 0"),
        ("steps: 20", "steps: 20\n  tokens: 20M"),
        ("steps: 20", "tokens: 20X"),
        ("0.95]", "1.0]"),
        (", 0.95]", "]"),
        ("{cosine: {warmup: 3, final: 0.1}}", "cosin"),
        ("{cosine: {warmup: 3", "{cosine: {warmup: 1.5"),
        ("{cosine: {warmup: 3", "{cosine: {warmpu: 3"),
        ("grad_clip: none", "grad_clip: nnone"),
        ("dropout: 0.0", "dropout: 1.0"),
        ("vocab_size: 512", "vocab_size: 10"),
        ("{bpe: {vocab_size: 512}}", "{bpe: {}, bytes: 1}"),
        ("order: shuffled", "order: shufled"),
        ("qk_norm: false", "qk_norm: heads"),
        ("biases: true", "biases: [qkv, out]"),
        ("positions: learned", "positions: {rotary: {theta: -1}}"),
        ("tied: true", "tied: 3"),
        ("context: 32", "context: 1"),
        ("family: gpt2", "init: ., family: gpt2"),
        ("regularizer: dispersion", "regularizer: dispersoin"),
        ("{infonce: {t: 2}}", "3"),
        ("{infonce: {t: 2}}", "{infonce: {tt: 2}}"),
        ("{infonce: {t: 2}}", "{infonce: {t: 0}}"),
        ("{infonce: {t: 2}}", "{infonce: {}, vicreg: {}}"),
        ("weight: 0.1", "weight: [1]"),
        ("weight: 0.1", "lr: 0.1"),
        ("weight: 0.1", "until: 3"),
        ("{from: 0, to: 0.1, steps: 10}", "{from: 0, to: 0.1}"),
        ("site: hidden_states", "site: hidden"),
        ("early_half", "erly_half"),
        ("early_half", "[1, 1]"),
        ("max_points: 64", "max_points: 1"),
        ("evaluate: {every: 5", "evaluate: {every: 0"),
        ("evaluate:", "tune: {}\nevaluate:"),
        ("evaluate:", "tune: {lr: [1, 1]}\nevaluate:"),
        ("evaluate:", "vary: {}\nevaluate:"),
        ("evaluate:", "vary: {train.lr: []}\nevaluate:"),
        ("evaluate:", "vary: {train.lr: 3}\nevaluate:"),
        ("evaluate:", "vary: {train.lrr: [1]}\nevaluate:"),
        ("evaluate:", "vary: {train.lr: [0]}\nevaluate:"),
        ("evaluate:", "vary: [{model.layers: few}]\nevaluate:"),
        ("evaluate:", "vary: [{}]\nevaluate:"),
        ("baseline: []", "baseline: [{intervention: dispersion}]"),
        ("baseline: []", "baseline: [{}]"),
        ("data:\n  synthetic:", "data:\n  sinthetic:"),
    ] {
        assert!(WHOLE.contains(old), "{old}");
        refused(&WHOLE.replacen(old, new, 1));
    }
    for (section, value) in [("data", "text"), ("data", "{text: {}}"), ("data", "tokens"), ("tokenizer", "file")] {
        refused(&format!("arms: {{a: []}}\n{section}: {value}"));
    }
}

#[test]
fn what_a_field_is_stands_beside_it() {
    let schema = schema();
    let lr = &schema["$defs"]["TrainSpec"]["properties"]["lr"];
    assert_eq!(
        lr,
        &serde_json::json!({"type": "number", "exclusiveMinimum": 0, "description": "Peak learning rate.", "default": 0.001})
    );
}

#[test]
fn a_strangers_study_is_admitted_with_the_plugin_linked() {
    // Read when the test runs, since the package of this crate has no examples beside it.
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/byo-plugin/study.yaml");
    let study = &std::fs::read_to_string(path).unwrap();
    let unknown = faults(study);
    assert!(unknown.iter().all(|fault| fault.starts_with("/arms/resultant/0")) && !unknown.is_empty(), "{unknown:?}");
    admits(&study.replace("{resultant: {allowed:", "{vicreg: {target_std:")); // a plugin that these tests link
}
