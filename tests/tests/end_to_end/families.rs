//! Models of other families than GPT-2: trained, exported, started from, measured.

use crate::{Study, tiny};
use serde_json::json;

const MODEL: &str = "{layers: 1, width: 16, heads: 2, context: 16}";

fn words(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

fn with_model(model: &str) -> Study {
    let study = Study::new(&tiny("").replace(MODEL, model));
    let text = "tokenizer: bytes\ndata: {text: {train: a.txt, validation: b.txt, test: c.txt}}\n";
    let yaml = std::fs::read_to_string(study.path().join("study.yaml")).unwrap();
    let lines: Vec<&str> = yaml.lines().filter(|line| !line.starts_with("data:")).collect();
    std::fs::write(study.path().join("study.yaml"), format!("{text}{}\n", lines.join("\n"))).unwrap();
    for name in ["a.txt", "b.txt", "c.txt"] {
        std::fs::write(study.path().join(name), "the cat sat on the mat, and the dog on the log. ".repeat(40)).unwrap();
    }
    study
}

#[test]
fn a_sweep_over_families_and_options_is_trained_and_measured() {
    let study = with_model(MODEL);
    let vary = "vary: [{model.family: llama, model.kv_heads: 1}, {model.family: gpt_neox, model.positions.rotary.fraction: 0.5}, \
                {model.family: gpt2, model.norm: rms_norm}]";
    let yaml = std::fs::read_to_string(study.path().join("study.yaml")).unwrap();
    std::fs::write(study.path().join("study.yaml"), format!("{yaml}\n{vary}\n")).unwrap();
    let check = words(&study.regatta(&["check", "study.yaml"]));
    for line in [
        "model       GPT-NeoX with positions {rotary: {theta: 10000.0, fraction: 0.5}}, 1 block of width 16, 2 heads",
        "model       Llama, 1 block of width 16, 2 heads on 1 of keys and values",
        "checkpoints some are for Regatta only: no family of transformers is a GPT-2 with norm rms_norm",
    ] {
        assert!(check.contains(line), "{line}: {check}");
    }
    study.run("out", &[], 0);
    let page = std::fs::read_to_string(study.path().join("out/report.html")).unwrap();
    assert!(page.contains("Llama, 1 block of width 16, 2 heads on 1 of keys and values") && !page.contains("GPT-2,"));
    let trials: Vec<_> =
        std::fs::read_dir(study.path().join("out/trials/baseline")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let mut types: Vec<String> = Vec::new();
    for trial in trials {
        let folder = trial.join("seed-0/checkpoint");
        let config: serde_json::Value = serde_json::from_slice(&std::fs::read(folder.join("config.json")).unwrap()).unwrap();
        types.push(config["model_type"].as_str().unwrap().to_owned());
        let folder = folder.to_str().unwrap();
        let loss = |arguments: &[&str]| {
            let output = study.regatta(arguments);
            assert_eq!(output.status.code(), Some(0), "{}", words(&output));
            serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
        };
        loss(&["evaluate", folder, "--text", "a.txt", "--json"]);
        loss(&["diagnose", folder, "--text", "a.txt", "--json"]);
    }
    types.sort();
    assert_eq!(types, ["gpt_neox", "llama", "regatta"]);
}

#[test]
fn a_model_may_start_from_and_learn_from_other_families() {
    let teacher = with_model("{family: qwen3, layers: 1, width: 24, heads: 2, kv_heads: 1, head_dim: 16, context: 16}");
    teacher.run("out", &["--set", "seeds=1"], 0);
    let folder = teacher.trial("out", "baseline", 0).join("checkpoint");
    let student = with_model("{family: llama, layers: 1, width: 16, heads: 2, context: 16}");
    let arm = json!([{"intervention": {"distillation": {"teacher": folder}}}]);
    let output = student.run("out", &["--set", "seeds=1", "--set", &format!("arms.taught={arm}")], 0);
    assert!(words(&output).contains("taught"), "{}", words(&output));
    let started = with_model(&format!("{{init: {}}}", folder.display()));
    let yaml = std::fs::read_to_string(started.path().join("study.yaml")).unwrap().replace("tokenizer: bytes\n", "");
    std::fs::write(started.path().join("study.yaml"), yaml).unwrap();
    started.run("out", &["--set", "seeds=1"], 0);
    let manifest = std::fs::read_to_string(started.path().join("out/manifest.json")).unwrap();
    assert!(manifest.contains("\"Qwen3, 1 block of width 24, 2 heads of 16 dims on 1 of keys and values\""), "{manifest}");
}

/// A checkpoint in another form than one model.safetensors is started from and learnt from, and its files are part of a trial.
#[test]
fn shards_are_started_from_and_learnt_from() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/families/layouts");
    for layout in ["sharded", "bin"] {
        let study = with_model(&format!("{{init: {}}}", folder.join(layout).display()));
        let ids: Vec<u8> = (0..4000u32).flat_map(|i| ((i * i % 89) as u16).to_le_bytes()).collect();
        std::fs::write(study.path().join("tokens.bin"), &ids).unwrap();
        std::fs::write(study.path().join("valid.bin"), ids).unwrap();
        let teacher = folder.join(layout).display().to_string();
        let arms = format!("arms: {{baseline: [], d: [{{intervention: {{distillation: {{teacher: {teacher}}}}}}}]}}\n");
        let yaml = format!(
            "name: t\nseeds: 1\nmodel: {{init: {teacher}}}\ndata: {{tokens: {{train: tokens.bin, validation: valid.bin}}}}\n\
             train: {{steps: 3, batch_size: 2, context: 16, schedule: constant}}\n{arms}"
        );
        std::fs::write(study.path().join("study.yaml"), yaml).unwrap();
        study.run("out", &[], 0);
        let again = study.run("out", &[], 0);
        assert!(words(&again).contains("2 of 2"), "{}", words(&again));
    }
}

/// Families, norms and ties are kinds of models: no law of the loss goes through their parameters.
#[test]
fn kinds_of_models_are_no_sizes() {
    let study = with_model(MODEL);
    let yaml = std::fs::read_to_string(study.path().join("study.yaml")).unwrap();
    std::fs::write(
        study.path().join("study.yaml"),
        format!("{yaml}\nvary: {{model.family: [gpt2, llama, qwen3], model.tied: [true, false]}}\n"),
    )
    .unwrap();
    let kinds = words(&study.run("out", &[], 0));
    assert!(!kinds.contains("Loss against parameters"), "{kinds}");
    std::fs::write(
        study.path().join("study.yaml"),
        format!("{yaml}\nvary: {{model.family: [gpt2, llama], model.width: [16, 32]}}\n"),
    )
    .unwrap();
    let sizes = words(&study.run("sizes", &[], 0));
    assert!(sizes.contains("Loss against parameters") && sizes.contains("family=llama"), "{sizes}");
}
