//! Trials side by side, and workers that go wrong.

use crate::{Study, tiny};

fn with(how: &str) -> Study {
    Study::new(&tiny(&format!("  bad: [{{regularizer: {{misbehaving: {{how: {how}, after: 3}}}}, weight: 0.1}}]\n")))
}

/// Runs a study with one bad arm; expects it failed for this reason and the baseline done.
fn check(how: &str, more: &[&str], reason: &str) {
    for jobs in ["1", "2"] {
        let study = with(how);
        study.run("out", &[&["--jobs", jobs], more].concat(), 1);
        for seed in [0, 1] {
            let status = study.json("out", "bad", seed, "status.json");
            assert_eq!(status["state"], "failed", "{how}: {status}");
            assert!(status["reason"].as_str().unwrap().contains(reason), "{how}: {status}");
            assert_eq!(study.json("out", "baseline", seed, "status.json")["state"], "done", "{how}");
        }
    }
}

#[test]
fn a_worker_that_dies_costs_its_trial() {
    check("abort", &[], "its process ended (signal: 6");
}

#[test]
fn a_worker_that_hangs_is_ended() {
    check("hang", &["--timeout", "2"], "it hung: no sign of life");
}

#[test]
fn a_worker_that_eats_memory_is_ended() {
    check("eat", &["--memory-limit", "400"], "more than the 400 MiB that a trial may");
}

/// What a plugin prints hid the worker's messages: printed from another thread it waited for a lock for ever, and bytes that are
/// not UTF-8 ended the reading of all that came after them.
#[test]
fn a_plugin_that_prints_anything_costs_nothing() {
    let study = with("print");
    study.run("out", &["--timeout", "60"], 0);
    for seed in [0, 1] {
        let status = study.json("out", "bad", seed, "status.json");
        assert_eq!((status["state"].as_str(), status["attempt"].as_u64()), (Some("done"), Some(1)), "{status}");
    }
}

#[test]
fn a_trial_that_failed_is_tried_as_often_as_asked_for() {
    let study = with("panic");
    let output = study.run("out", &["--retry", "2"], 1);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(words.matches("bad seed 0 failed").count(), 3, "{words}");
    // --fail-fast begins nothing after it
    study.run("fast", &["--fail-fast"], 1);
    assert!(!study.trial("fast", "bad", 1).exists() && !study.trial("fast", "baseline", 1).exists());
}

#[test]
fn jobs_side_by_side_give_the_bytes_of_one_after_the_other() {
    let study = Study::new(&tiny("  sigreg: [{regularizer: sigreg, weight: 0.02, at: {points: batch}}]\n"));
    study.run("one", &[], 0);
    study.run("three", &["--jobs", "3"], 0);
    for arm in ["baseline", "sigreg"] {
        for seed in [0, 1] {
            study.assert_equal_trials("three", "one", arm, seed, "three jobs");
        }
    }
}
