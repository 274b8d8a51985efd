//! Twenty AdamW steps of seven arms against PyTorch, through the program's own YAML and files.

use crate::fixture;
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[test]
fn golden_trajectories() {
    let Some(path) = fixture("models/trajectories.json") else { return };
    let models = path.parent().unwrap().canonicalize().unwrap();
    let expected: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let (settings, arms) = (&expected["settings"], expected["arms"].as_object().unwrap());
    let tolerance = expected["tolerance"].as_f64().unwrap();

    let tokens = models.join("tokens.bin");
    let study = json!({
        "name": "trajectories",
        "seeds": [0],
        "model": { "init": models.join("gpt2") },
        "data": { "tokens": { "train": tokens, "validation": tokens, "order": "sequential" } },
        "train": {
            "context": settings["context"],
            "steps": settings["steps"],
            "batch_size": settings["batch_size"],
            "lr": settings["lr"],
            "schedule": settings["schedule"],
            "betas": settings["betas"],
            "weight_decay": 0.1, // the fixture says it in words: on tensors of two or more dimensions
            "grad_clip": settings["grad_clip"],
            "dropout": settings["dropout"],
        },
        "arms": arms.iter().map(|(name, arm)| (name.clone(), arm["terms"].clone())).collect::<BTreeMap<_, _>>(),
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trajectories.yaml");
    std::fs::write(&file, serde_yaml::to_string(&study).unwrap()).unwrap();
    let out = folder.path().join("out");
    let run =
        assert_cmd::Command::new(env!("CARGO_BIN_EXE_regatta-under-test")).arg("run").arg(&file).arg("--out").arg(&out).output();
    let run = run.unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));

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
        }
        println!(
            "{name}: largest differences of loss, penalty, gradient norm {}",
            largest.map(|x| format!("{x:.1e}")).join(", ")
        );
    }
}
