//! A plugin whose formula changes while its version stays: old and new results are never mixed in silence.

use crate::{Study, tiny};
use std::process::Output;

/// The penalty of `changing` is this many times the mean square: another number is another formula.
const FORMULA: &str = "REGATTA_FORMULA";

fn study() -> Study {
    Study::new(&tiny("  changing: [{regularizer: changing, weight: 0.1}]\n"))
}

/// Runs the study with a formula.
fn run(study: &Study, factor: &str, more: &[&str]) -> Output {
    study.command(&[&["run", "study.yaml", "--out", "out"], more].concat()).env(FORMULA, factor).output().unwrap()
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn another_formula_is_refused_by_name_and_nothing_is_trained() {
    let study = study();
    assert!(run(&study, "1", &[]).status.success());
    assert!(words(&run(&study, "1", &[])).contains("4 of 4 trials are done already"));
    let before = study.weights("out", "changing", 0);
    for more in [&[][..], &["--set", "seeds=3"]] {
        let refused = run(&study, "1.01", more);
        let said = words(&refused);
        assert_eq!(refused.status.code(), Some(2), "{said}");
        let version = env!("CARGO_PKG_VERSION");
        let reason = format!("`changing` computes something else than it did under the same version, \"{version}\"");
        for part in ["changing, seed 0, is there with other formulas", &reason, "--fresh", "--allow-mismatch"] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
    assert!(!study.trial("out", "baseline", 2).exists() && study.weights("out", "changing", 0) == before);

    // kept where that is said, and said wherever results are
    let kept = run(&study, "1.01", &["--set", "seeds=3", "--allow-mismatch"]);
    assert!(kept.status.success() && words(&kept).contains("changing, seed 0, kept: "), "{}", words(&kept));
    let page = std::fs::read_to_string(study.path().join("out/report.html")).unwrap();
    assert!(page.contains("Kept although other versions or formulas trained them: changing, seed 0"), "{page}");
    assert!(words(&run(&study, "1", &["--set", "seeds=3"])).contains("changing, seed 2, is there with other formulas"));
    assert!(run(&study, "1.01", &["--fresh"]).status.success());
    assert_ne!(study.weights("out", "changing", 0), before);
}

#[test]
fn what_differs_in_its_last_digits_is_the_same_formula() {
    let study = study();
    let run = |factor: &str, threads: &str| {
        let mut command = study.command(&["run", "study.yaml", "--out", "out"]);
        command.env(FORMULA, factor).env("RAYON_NUM_THREADS", threads).output().unwrap()
    };
    assert!(run("1", "1").status.success());
    let inputs = study.json("out", "changing", 1, "trial.json");
    assert!(words(&run("1.00000001", "3")).contains("4 of 4 trials are done already"));
    std::fs::remove_dir_all(study.trial("out", "changing", 1)).unwrap();
    assert!(run("1.00000001", "3").status.success());
    assert_eq!(study.json("out", "changing", 1, "trial.json"), inputs, "what was measured first stands");
}

#[test]
fn a_trial_that_was_cut_off_or_failed_goes_on_with_its_own_formula_or_starts_over() {
    let arms =
        "  changing: [{regularizer: changing, weight: 0.1}, {regularizer: {misbehaving: {how: HOW, after: 5}}, weight: 0.1}]\n";
    for how in ["interrupt", "panic"] {
        let study = Study::new(&tiny(&arms.replace("HOW", how)).replace("seeds: [0, 1]", "seeds: [0]"));
        let first = run(&study, "1", &["--checkpoint-every", "1steps"]);
        assert!(!first.status.success() && study.trial("out", "changing", 0).join("resume").exists());
        let second = run(&study, "2", &[]);
        if how == "interrupt" {
            assert_eq!(second.status.code(), Some(2), "{}", words(&second));
            run(&study, "2", &["--allow-mismatch"]);
        }
        let resumed_from = study.json("out", "changing", 0, "status.json")["resumed_from"].clone();
        assert!(resumed_from.is_null(), "{how}: it goes on from what the old formula left: {resumed_from}");
    }
}

/// A folder of before plugins were measured.
#[test]
fn trials_without_a_fingerprint_are_told_from_others_and_kept_where_that_is_said() {
    let study = study();
    run(&study, "1", &[]);
    for seed in [0, 1] {
        let path = study.trial("out", "changing", seed).join("trial.json");
        let mut inputs = study.json("out", "changing", seed, "trial.json");
        inputs.as_object_mut().unwrap().remove("fingerprints").unwrap();
        let text = inputs.to_string();
        std::fs::write(path, &text).unwrap();
        let status = study.trial("out", "changing", seed).join("status.json");
        let mut value = study.json("out", "changing", seed, "status.json");
        value["identity"] = "of before".into();
        if let Some(records) = value.get_mut("records") {
            records["trial.json"] = text.len().into();
        }
        std::fs::write(status, value.to_string()).unwrap();
    }
    let refused = run(&study, "1", &[]);
    let part = "whether regularizer `changing` computes what it did cannot be told: it was not measured then";
    assert!(refused.status.code() == Some(2) && words(&refused).contains(part), "{}", words(&refused));
    let kept = run(&study, "1", &["--allow-mismatch"]);
    assert!(kept.status.success() && words(&kept).contains("4 of 4 trials are done already"), "{}", words(&kept));
}

/// What cannot be measured costs no more than that.
#[test]
fn a_plugin_that_crashes_where_it_is_measured_is_said_and_trained_all_the_same() {
    let study = Study::new(&tiny("  bad: [{regularizer: {misbehaving: {how: abort}}, weight: 0.1}]\n"));
    let said = words(&study.run("out", &[], 1));
    assert!(said.contains("what `misbehaving` computes could not be measured") && said.contains("signal: 6"), "{said}");
    assert_eq!(study.json("out", "baseline", 1, "status.json")["state"], "done");
    assert!(study.json("out", "bad", 0, "trial.json")["fingerprints"][0].is_null());
}

/// As when its author rebuilds it during a run, and a worker has to start again.
#[cfg(target_os = "linux")]
#[test]
fn a_program_that_is_replaced_while_it_runs_goes_on_as_it_was() {
    let arms = "  bad: [{regularizer: {misbehaving: {how: abort, after: 3}}, weight: 0.1}]\n";
    let slow = "  slow: [{regularizer: {misbehaving: {how: sleep}}, weight: 0.1}]\n";
    let study = Study::new(&tiny(&format!("{slow}{arms}")));
    let program = study.path().join("regatta");
    std::fs::copy(env!("CARGO_BIN_EXE_regatta-under-test"), &program).unwrap();
    let child = std::process::Command::new(&program)
        .args(["run", "study.yaml", "--out", "out"])
        .current_dir(study.path())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    study.await_steps("out", "slow", 0);
    std::fs::remove_file(&program).unwrap();
    std::fs::write(&program, "no program").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", words(&output));
    for arm in ["baseline", "slow"] {
        assert_eq!(study.json("out", arm, 1, "status.json")["state"], "done", "{}", words(&output));
    }
}
