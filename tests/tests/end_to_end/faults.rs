//! What goes wrong becomes a record, and the others finish.

use crate::{Study, tiny};
use std::time::Duration;

fn misbehaving(how: &str) -> Study {
    Study::new(&tiny(&format!("  bad: [{{regularizer: {{misbehaving: {{how: {how}, after: 3}}}}, weight: 0.1}}]\n")))
}

/// Runs a study with one arm that misbehaves; expects its state and a part of the reason, and the baseline done.
fn check(how: &str, state: &str, reason: &str) {
    let study = misbehaving(how);
    let output = study.run("out", &[], 1);
    let status = study.json("out", "bad", 0, "status.json");
    assert_eq!(status["state"], state, "{how}: {status}");
    assert!(status["reason"].as_str().unwrap().contains(reason), "{how}: {status}");
    for seed in [0, 1] {
        assert_eq!(study.json("out", "baseline", seed, "status.json")["state"], "done");
    }
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(table.contains("bad") && table.contains(state), "{how}: the table does not name it: {table}");
    let page = std::fs::read_to_string(study.path().join("out/report.html")).unwrap();
    assert!(page.contains(state), "{how}: the page does not name it");
}

#[test]
fn a_panic_is_a_record() {
    check("panic", "failed", "panics on purpose");
}

#[test]
fn a_loss_that_is_not_finite_is_a_record() {
    check("nan", "diverged", "penalty of `misbehaving` is NaN at step 3");
    check("infinity", "diverged", "penalty of `misbehaving` is inf at step 3, first in the gradient of wte.weight");
}

#[test]
fn an_error_and_a_wrong_shape_are_records() {
    check("fail", "failed", "regularizer `misbehaving` at step 3");
    check("wrong_shape", "failed", "expected a scalar");
}

#[test]
fn a_metrics_line_keeps_what_was_not_finite() {
    let study = misbehaving("nan");
    study.run("out", &[], 1);
    let last = study.metrics("out", "bad", 0).pop().unwrap();
    assert_eq!((last["step"].as_u64(), last["penalty"].as_str()), (Some(3), Some("NaN")));
}

#[test]
fn a_trial_that_diverged_names_its_last_checkpoint_and_is_counted() {
    let study = misbehaving("nan");
    let output = study.run("out", &["--checkpoint-every", "2steps"], 1);
    let reason = study.json("out", "bad", 0, "status.json")["reason"].as_str().unwrap().to_owned();
    let (_, checkpoint) = reason.split_once("the last checkpoint before it is ").expect(&reason);
    assert!(study.path().join(checkpoint).join("MANIFEST.json").exists(), "{reason}");
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(table.contains("0/2") && table.contains("2/2"), "{table}");
}

#[test]
fn a_report_of_a_thousand_trials_takes_seconds() {
    let study = Study::new(&tiny("  dispersion: [{regularizer: dispersion, weight: 0.1}]\n"));
    study.run("out", &[], 0);
    for arm in ["baseline", "dispersion"] {
        for seed in 2..500 {
            let folder = study.trial("out", arm, seed);
            std::fs::create_dir_all(folder.join("checkpoint")).unwrap();
            let records = study.json("out", arm, seed % 2, "status.json")["records"].clone();
            for file in records.as_object().unwrap().keys().map(String::as_str).chain(["status.json"]) {
                std::fs::copy(study.trial("out", arm, seed % 2).join(file), folder.join(file)).unwrap();
            }
        }
    }
    let yaml = study.path().join("out/study.yaml");
    let seeds: String = (0..500).map(|seed| format!("- {seed}\n")).collect();
    let text = std::fs::read_to_string(&yaml).unwrap().replace("- 0\n- 1\n", &seeds);
    std::fs::write(&yaml, text).unwrap();
    let started = std::time::Instant::now();
    let output = study.regatta(&["report", "out"]);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert!(String::from_utf8_lossy(&output.stdout).contains("500/500"));
}

#[test]
fn a_pause_of_the_whole_run_loses_nothing() {
    use std::process::Command;
    let study =
        Study::new(&tiny("  slow: [{regularizer: {misbehaving: {how: sleep}}, weight: 0.1}]\n").replace("steps: 8", "steps: 20"));
    let mut child = study.start("out", &[]);
    study.await_steps("out", "slow", 0);
    for signal in ["-STOP", "-CONT"] {
        let worker = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id())).unwrap();
        Command::new("kill").args([signal, &child.id().to_string(), worker.trim()]).status().unwrap();
        std::thread::sleep(Duration::from_millis(400));
    }
    assert!(child.wait().unwrap().success());
    study.run("again", &[], 0);
    study.assert_equal_trials("again", "out", "slow", 0, "stopped and continued");
}

#[test]
fn only_what_is_missing_is_trained() {
    let study = Study::new(&tiny("  dispersion: [{regularizer: dispersion, weight: 0.1}]\n"));
    study.run("out", &[], 0);
    let metrics = |arm: &str, seed| study.trial("out", arm, seed).join("metrics.jsonl");
    let written = |arm: &str, seed| std::fs::metadata(metrics(arm, seed)).unwrap().modified().unwrap();
    let before = (written("baseline", 0), study.weights("out", "dispersion", 1));
    std::fs::remove_dir_all(study.trial("out", "dispersion", 1)).unwrap();
    std::thread::sleep(Duration::from_millis(20));
    study.run("out", &[], 0);
    assert_eq!(written("baseline", 0), before.0, "a finished trial was trained again");
    assert_eq!(study.weights("out", "dispersion", 1), before.1);

    // a third seed is added to what is there
    study.run("out", &["--set", "seeds=3"], 0);
    assert_eq!(written("baseline", 0), before.0);
    assert!(metrics("dispersion", 2).exists());
}

#[test]
fn a_folder_of_another_study_is_refused_and_stays_whole() {
    let study = Study::new(&tiny(""));
    study.run("out", &[], 0);
    let before = study.weights("out", "baseline", 0);
    let output = study.run("out", &["--set", "train.lr=0.5"], 2);
    assert!(String::from_utf8_lossy(&output.stderr).contains("--fresh"));
    assert_eq!(study.weights("out", "baseline", 0), before);
    study.run("out", &["--set", "train.lr=0.5", "--fresh"], 0);
    assert_ne!(study.weights("out", "baseline", 0), before);
}

#[cfg(unix)]
#[test]
fn an_interrupt_stops_after_a_step_and_the_same_command_goes_on() {
    use std::process::{Command, Stdio};
    let yaml = tiny("  slow: [{regularizer: {misbehaving: {how: sleep}}, weight: 0.1}]\n").replace("steps: 8", "steps: 60");
    let study = Study::new(&yaml);
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_regatta-under-test"))
            .args(["run", "study.yaml", "--out", signal])
            .current_dir(study.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let slow = study.trial(signal, "slow", 0).join("metrics.jsonl");
        let patience = std::time::Instant::now();
        while std::fs::metadata(&slow).map_or(0, |file| file.len()) == 0 && patience.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(10));
        }
        Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code), "SIG{signal}");
        assert_eq!(study.json(signal, "slow", 0, "status.json")["state"], "pending");
        assert!(study.path().join(signal).join("report.html").exists(), "what was done is reported");
    }
    study.run("INT", &[], 0);
    assert_eq!(study.json("INT", "slow", 0, "status.json")["state"], "done");
}
