//! A trial is done only with all of its records, whenever one goes missing.

use crate::{Study, tiny};
use std::path::Path;
use std::process::Output;

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn slow() -> Study {
    let study = tiny("  slow: [{regularizer: {misbehaving: {how: sleep}}, weight: 0.1}]\n");
    Study::new(&study.replace("seeds: [0, 1]", "seeds: [0]").replace("steps: 8", "steps: 20"))
}

#[test]
fn a_trial_whose_lines_are_removed_while_it_runs_failed_and_is_trained_again() {
    let study = slow();
    study.run("whole", &[], 0);
    let child = study.start("out", &[]);
    study.await_steps("out", "slow", 0);
    std::fs::remove_file(study.trial("out", "slow", 0).join("metrics.jsonl")).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", words(&output));
    let status = study.json("out", "slow", 0, "status.json");
    let reason = status["reason"].as_str().unwrap();
    assert_eq!(status["state"], "failed", "{status}");
    assert!(reason.contains("metrics.jsonl") && reason.contains("removed or changed while the trial ran"), "{reason}");
    study.run("out", &[], 0);
    study.assert_equal_trials("out", "whole", "slow", 0, "trained again");
}

/// The lease goes with the folder: nobody holds the trial, and the runner takes it anew.
#[test]
fn a_trial_whose_folder_is_removed_while_it_runs_starts_over() {
    let study = slow();
    study.run("whole", &[], 0);
    let child = study.start("out", &[]);
    study.await_steps("out", "slow", 0);
    std::fs::remove_dir_all(study.trial("out", "slow", 0)).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && words(&output).contains("lease.1: gone"), "{}", words(&output));
    study.assert_equal_trials("out", "whole", "slow", 0, "started over");
}

#[test]
fn lines_that_are_gone_end_a_trial_at_its_next_checkpoint() {
    let study = slow();
    let child = study.start("out", &["--checkpoint-every", "1steps"]);
    study.await_steps("out", "slow", 0);
    std::fs::remove_file(study.trial("out", "slow", 0).join("metrics.jsonl")).unwrap();
    let begun = std::time::Instant::now();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(1));
    assert!(begun.elapsed() < std::time::Duration::from_millis(900), "{:?}, and 20 steps take a second", begun.elapsed());
    assert_eq!(study.json("out", "slow", 0, "status.json")["state"], "failed");
}

/// Removes or cuts a file.
fn damage(path: &Path, how: &str) {
    match how {
        "removed" => std::fs::remove_file(path).unwrap(),
        _ => {
            let bytes = std::fs::read(path).unwrap();
            std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        }
    }
}

#[test]
fn a_record_that_is_missing_later_is_said_by_every_verb_and_trained_again() {
    let study = Study::new(&tiny("  dispersion: [{regularizer: dispersion, weight: 0.1}]\n"));
    study.run("out", &[], 0);
    study.run("whole", &[], 0);
    let records = study.json("out", "dispersion", 0, "status.json")["records"].clone();
    let records: Vec<String> = records.as_object().unwrap().keys().cloned().collect();
    for expected in ["metrics.jsonl", "validation.jsonl", "evaluation.json", "trial.json", "checkpoint/model.safetensors"] {
        assert!(records.iter().any(|name| name == expected), "{expected}: {records:?}");
    }
    for (name, how) in records.iter().flat_map(|name| [(name, "removed"), (name, "cut")]) {
        damage(&study.trial("out", "dispersion", 0).join(name), how);
        let reason = if how == "cut" { format!("{name} is not what the trial wrote") } else { format!("{name} is missing") };
        for verb in ["status", "watch"] {
            let said = printed(&study.regatta(&[verb, "out"]));
            assert!(said.contains("3 done, 1 incomplete of 4 trials"), "{verb}: {said}");
        }
        let status: serde_json::Value = serde_json::from_slice(&study.regatta(&["status", "out", "--json"]).stdout).unwrap();
        assert!(status["trials"][1]["reason"].as_str().unwrap().contains(&reason), "{status}");
        let report = study.regatta(&["report", "out"]);
        assert!(report.status.success() && printed(&report).contains("1/2"), "{}{}", printed(&report), words(&report));
        let page = std::fs::read_to_string(study.path().join("out/report.html")).unwrap();
        assert!(page.contains("seed 0 incomplete") && page.contains(&reason), "{name} {how}");
        for arguments in [&["results", "out", "--format", "json"][..], &["compare", "out", "dispersion", "baseline"]] {
            let output = study.regatta(arguments);
            assert!(output.status.success() && printed(&output).contains("incomplete"), "{arguments:?}: {}", printed(&output));
        }

        let run = study.run("out", &[], 0);
        assert!(words(&run).contains(&format!("dispersion, seed 0: {reason}")), "{}", words(&run));
        assert!(words(&run).contains("3 of 4 trials are done already"), "{}", words(&run));
        study.assert_equal_trials("out", "whole", "dispersion", 0, "trained again");
    }
    // in a folder from before records were counted, what a trial cannot do without
    let path = study.trial("out", "baseline", 1).join("status.json");
    let mut status = study.json("out", "baseline", 1, "status.json");
    status.as_object_mut().unwrap().remove("records").unwrap();
    std::fs::write(path, status.to_string()).unwrap();
    assert!(printed(&study.regatta(&["status", "out"])).contains("4 done of 4 trials"));
    std::fs::remove_file(study.trial("out", "baseline", 1).join("metrics.jsonl")).unwrap();
    assert!(printed(&study.regatta(&["status", "out"])).contains("3 done, 1 incomplete of 4 trials"));
}

#[test]
fn a_trial_that_diverged_keeps_its_lines_or_is_trained_again() {
    let study = Study::new(&tiny("  bad: [{regularizer: {misbehaving: {how: nan, after: 3}}, weight: 0.1}]\n"));
    study.run("out", &[], 1);
    damage(&study.trial("out", "bad", 1).join("metrics.jsonl"), "removed");
    assert!(printed(&study.regatta(&["status", "out"])).contains("2 done, 1 incomplete, 1 diverged of 4 trials"));
    study.run("out", &[], 1);
    assert_eq!(study.metrics("out", "bad", 1).len(), study.metrics("out", "bad", 0).len());
}
