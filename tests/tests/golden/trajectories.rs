//! Twenty steps of training against PyTorch, through the program's own YAML and files: arms, families, optimizers and schedules.

use crate::{fixture, test_device};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

#[test]
fn golden_trajectories_of_gpt2() {
    follow("models/trajectories.json", 7, "cpu");
}

#[test]
fn golden_trajectories_of_families_optimizers_and_schedules() {
    follow("families/trajectories.json", 19, "cpu");
}

#[test]
fn golden_trajectories_of_gpt2_on_a_device() {
    follow("models/trajectories.json", 7, &test_device());
}

#[test]
fn golden_trajectories_of_families_optimizers_and_schedules_on_a_device() {
    follow("families/trajectories.json", 19, &test_device());
}

/// Trains what the fixture says, arms that share model, optimizer and schedule as one study, and compares.
fn follow(name: &str, count: usize, device: &str) {
    let Some(path) = fixture(name) else { return };
    let folder = path.parent().unwrap().canonicalize().unwrap();
    let expected: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let arms = expected["arms"].as_object().unwrap();
    assert_eq!(arms.len(), count);
    let mut studies: BTreeMap<String, (Value, BTreeMap<&String, &Value>)> = BTreeMap::new();
    for (name, arm) in arms {
        let study = study(&folder, &expected["settings"], arm);
        studies.entry(study.to_string()).or_insert((study, BTreeMap::new())).1.insert(name, arm);
    }
    for (study, arms) in studies.into_values() {
        compare(study, &arms, expected["tolerance"].as_f64().unwrap(), device);
    }
}

/// A study of the arm's model, optimizer and schedule.
fn study(folder: &Path, settings: &Value, arm: &Value) -> Value {
    let tokens = folder.join(settings["tokens"].as_str().unwrap_or("tokens.bin"));
    json!({
        "name": "trajectories",
        "seeds": [0],
        "model": { "init": folder.join(arm["model"].as_str().unwrap_or("gpt2")) },
        "data": { "tokens": { "train": tokens, "validation": "validation.bin", "order": "sequential" } },
        "train": {
            "context": settings["context"],
            "steps": settings["steps"],
            "batch_size": settings["batch_size"],
            "lr": settings["lr"],
            "schedule": arm.get("schedule").unwrap_or(&settings["schedule"]),
            "optimizer": optimizer(settings, &arm["optimizer"]),
            "grad_clip": settings["grad_clip"],
            "dropout": settings["dropout"],
        },
    })
}

/// The terms of an arm, each with the whole of its place: the fixture is older than regularizers' homes, and says of a place what was
/// not the default.
fn placed(mut terms: Value) -> Value {
    for term in terms.as_array_mut().unwrap() {
        let mut place = json!({"site": "hidden_states", "max_points": 256, "scale": "none"});
        place.as_object_mut().unwrap().extend(term["at"].as_object().cloned().unwrap_or_default());
        term["at"] = place;
    }
    terms
}

/// The fixture's optimizer in the words of a study.
fn optimizer(settings: &Value, written: &Value) -> Value {
    let adamw = |of: &Value| json!({ "betas": of["betas"], "epsilon": of["eps"], "weight_decay": of["weight_decay"] });
    let (muon, coupled) = (&written["muon"], &written["coupled_adam"]);
    if muon.is_object() {
        assert_eq!(
            (&muon["eps"], &muon["ns_coefficients"]),
            (&json!(1e-7), &json!([3.4445, -4.775, 2.0315])),
            "constants of ours"
        );
        return json!({ "muon": {
            "lr": muon["lr"],
            "momentum": muon["momentum"],
            "nesterov": muon["nesterov"],
            "steps": muon["ns_steps"],
            "scale": muon["adjust_lr_fn"],
            "weight_decay": muon["weight_decay"],
            "adamw": adamw(&muon["others"]["adamw"]),
        } });
    }
    if coupled.is_object() {
        let matrices = coupled["matrices"].as_array().unwrap();
        let matrices = if matrices.len() == 2 { json!("both") } else { matrices[0].clone() };
        return json!({ "coupled_adam": { "coupled": matrices, "adamw": adamw(coupled) } });
    }
    let usual = json!({ "betas": settings["betas"], "eps": settings["eps"], "weight_decay": 0.1 }); // said there in words
    json!({ "adamw": adamw(written.get("adamw").unwrap_or(&usual)) })
}

/// Trains `arms` and compares each step.
fn compare(mut study: Value, arms: &BTreeMap<&String, &Value>, tolerance: f64, device: &str) {
    study["arms"] = arms.iter().map(|(name, arm)| ((*name).clone(), placed(arm["terms"].clone()))).collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trajectories.yaml");
    std::fs::copy(study["data"]["tokens"]["train"].as_str().unwrap(), folder.path().join("validation.bin")).unwrap(); // the same, by a copy
    std::fs::write(&file, serde_yaml::to_string(&study).unwrap()).unwrap();
    let out = folder.path().join("out");
    let mut run = assert_cmd::Command::new(env!("CARGO_BIN_EXE_regatta-under-test"));
    let run = run.arg("run").arg(&file).arg("--out").arg(&out).args(["--device", device]).output().unwrap();
    assert!(run.status.success(), "{:?}: {}", arms.keys(), String::from_utf8_lossy(&run.stderr));

    for (name, arm) in arms {
        let metrics = std::fs::read_to_string(out.join(format!("trials/{name}/seed-0/metrics.jsonl"))).unwrap();
        let lines: Vec<Value> = metrics.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let steps = arm["steps"].as_array().unwrap();
        assert_eq!(lines.len(), steps.len(), "{name}");
        let mut largest = [0f64; 3];
        for (found, expected) in lines.iter().zip(steps) {
            assert_eq!(found["step"], expected["step"]);
            for (largest, field) in largest.iter_mut().zip(["loss", "penalty", "grad_norm"]) {
                let difference = (found[field].as_f64().unwrap() - expected[field].as_f64().unwrap()).abs();
                // the gradient norm is compared as well, relative to its size: it is not what the fixture's tolerance is of
                let scale = if field == "grad_norm" { expected[field].as_f64().unwrap() } else { 1.0 };
                *largest = largest.max(difference / scale);
                assert!(difference / scale <= tolerance, "{name}, step {}: {field} is off by {difference}", found["step"]);
            }
            if let Some(lr) = expected["lr"].as_f64() {
                assert!((found["lr"].as_f64().unwrap() / lr - 1.0).abs() < 1e-12, "{name}: {found}, expected {lr}");
            }
        }
        println!(
            "{name}: largest differences of loss, penalty, gradient norm {}",
            largest.map(|x| format!("{x:.1e}")).join(", ")
        );
    }
}
