//! Arms whose model is compared with another: a teacher that a study before exported, a moving average of itself.

use crate::{Study, tiny};
use std::path::{Path, PathBuf};

/// A study in a folder where another has exported a larger model: `teacher`, of two blocks, 24 wide.
fn with_teacher(yaml: &str) -> Study {
    let study = Study::new(yaml);
    let teacher = tiny("").replace("layers: 1, width: 16", "layers: 2, width: 24").replace("seeds: [0, 1]", "seeds: [3, 4]");
    std::fs::write(study.path().join("teacher.yaml"), teacher).unwrap();
    let run = study.regatta(&["run", "teacher.yaml", "--out", "teachers"]);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    copy(&exported(&study, 3), &study.path().join("teacher"));
    study
}

fn exported(study: &Study, seed: u64) -> PathBuf {
    study.trial("teachers", "baseline", seed).join("checkpoint")
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(from.join(file), to.join(file)).unwrap();
    }
}

const ARMS: &str = "  distilled: [{intervention: {distillation: {teacher: teacher, temperature: 3, weight: 0.5}}}]
  byol: [{intervention: {byol: {hidden: 24, decay: 0.9, weight: 0.5}}}]
  silent: [{intervention: {byol: {weight: 0}}}, {intervention: {distillation: {teacher: teacher, weight: 0}}}]
  all: [{intervention: byol}, {regularizer: vicreg, weight: 0.1}, {intervention: {distillation: {teacher: teacher}}}, {intervention: {byol: {hidden: 0}}}, {intervention: quantised_weights}]
";

#[test]
fn one_thread_gives_the_bytes_of_three_and_weight_0_those_of_the_baseline() {
    let yaml = tiny(ARMS).replace("layers: 1, width: 16", "layers: 2, width: 48").replace("batch_size: 4", "batch_size: 9");
    let study = with_teacher(&yaml.replace("schedule: constant", "dropout: 0.1"));
    for threads in ["1", "3"] {
        let run = study.command(&["run", "study.yaml", "--out", threads]).env("RAYON_NUM_THREADS", threads).output().unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    }
    for arm in ["distilled", "byol", "all"] {
        study.assert_equal_trials("1", "3", arm, 0, arm);
        assert_ne!(study.weights("1", arm, 0), study.weights("1", "baseline", 0), "{arm} changes training");
    }
    assert_eq!(study.weights("1", "silent", 0), study.weights("1", "baseline", 0));
    assert_eq!(study.metrics("1", "silent", 0), study.metrics("1", "baseline", 0));
    for (arm, name, weight) in [("distilled", "distillation", 0.5), ("byol", "byol", 0.5)] {
        for line in study.metrics("1", arm, 0) {
            let (penalty, objective) = (line["penalty"].as_f64().unwrap(), line["terms"][name].as_f64().unwrap());
            assert!(objective > 0.0 && (penalty - weight * objective).abs() < 1e-12, "{arm}: {line}");
        }
        let first = |arm: &str| study.metrics("1", arm, 0)[0]["loss"].clone();
        assert_eq!(first(arm), first("baseline"), "the loss of the first step is the cross-entropy alone");
    }
    let all = study.metrics("1", "all", 0)[0]["terms"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(all, ["byol", "byol.1", "distillation", "vicreg"]);
}

#[test]
fn a_student_that_is_its_teacher_has_nothing_to_learn_from_it() {
    let arms = "  distilled: [{intervention: {distillation: {teacher: teacher}}}]\n";
    let model = "model: {layers: 1, width: 16, heads: 2, context: 16}";
    let study = with_teacher(&tiny(arms).replace(model, "model: {init: teacher}"));
    study.run("out", &["--set", "seeds=[0]"], 0);
    let steps = study.metrics("out", "distilled", 0);
    let found = |step: usize| steps[step]["terms"]["distillation"].as_f64().unwrap();
    assert!(
        found(0).abs() < 1e-6 && found(1) > 1e-6,
        "0 before the first update, and no more after it: {}, {}",
        found(0),
        found(1)
    );
}

#[test]
fn the_teachers_files_are_part_of_a_trial_and_its_path_is_not() {
    let study = with_teacher(&tiny("  d: [{intervention: {distillation: {teacher: teacher}}}]\n"));
    study.run("out", &["--set", "seeds=[0]"], 0);
    let hashes = study.json("out", "d", 0, "trial.json")["terms"][0]["intervention"]["distillation"]["teacher"].clone();
    for file in ["config", "weights"] {
        assert_eq!(hashes[file].as_str().unwrap().len(), 64, "{hashes}");
    }
    let lines = || std::fs::read(study.trial("out", "d", 0).join("metrics.jsonl")).unwrap();
    let (before, moved) = (lines(), study.path().join("moved"));
    copy(&study.path().join("teacher"), &moved);
    let elsewhere = ["--set", "seeds=[0]", "--set", "arms.d.0.intervention.distillation.teacher=moved"];
    study.run("out", &elsewhere, 0);
    assert!(before == lines(), "a teacher that was moved trains nothing again");
    copy(&exported(&study, 4), &moved);
    let refused = study.run("out", &elsewhere, 2);
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(words.contains("with other data (terms: other contents of ") && words.contains("/moved than it"), "{words}");
}

#[test]
fn a_path_starts_from_the_studys_file_and_a_sweep_may_have_several() {
    let arms = "  d.1: [{regularizer: dispersion, weight: 0}, {intervention: {distillation: {teacher: ../teacher}}}]\n";
    let study = with_teacher(&tiny(""));
    copy(&exported(&study, 4), &study.path().join("other"));
    std::fs::create_dir(study.path().join("sub")).unwrap();
    let write = |text: &str| std::fs::write(study.path().join("sub/study.yaml"), text).unwrap();
    let check = |points: &str| {
        let output = study.regatta(&["check", "sub/study.yaml", "--set", "seeds=[0]"]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && text.contains(points), "{text}");
    };
    write(&tiny(arms));
    check("");
    let field = "'arms.d.1.1.intervention.distillation";
    write(&(tiny(arms) + &format!("vary: {{{field}.teacher': [../teacher, ../other], {field}.temperature': [1, 4]}}\n")));
    check("(5 combinations of an arm and a point of the sweep, each with 1 seed)");
}

#[test]
fn a_teacher_that_does_not_fit_is_refused_before_anything_is_written() {
    let study = with_teacher("");
    let refused = |fields: &str, more: &[&str], parts: &[&str]| {
        let arms = format!("  d: [{{intervention: {{distillation: {{{fields}}}}}}}]\n");
        std::fs::write(study.path().join("study.yaml"), tiny(&arms)).unwrap();
        for verb in [&["check", "study.yaml"][..], &["run", "study.yaml", "--out", "out"]] {
            let output = study.regatta(&[verb, more].concat());
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!((output.status.code(), text.lines().count()), (Some(2), 1), "{fields}: {text}");
            parts.iter().for_each(|part| assert!(text.contains(part), "{fields}: no {part:?} in {text}"));
        }
        assert!(!study.path().join("out").exists(), "{fields}: something was written");
    };
    let at = "study.yaml:9:";
    let field = "arms.d.0.intervention.distillation.teacher: ";
    refused("", &[], &[at, "arms.d.0.intervention.distillation", "expected a folder, found none"]);
    refused("teacher: nowhere", &[], &[at, field, "expected a folder, found nothing at", "nowhere"]);
    refused("teacher: teacher.yaml", &[], &[at, field, "expected a folder, found a file at"]);
    refused("teacher: teachers", &[], &[at, field, "config.json"]);
    refused(
        "teacher: teacher, temperature: 0",
        &[],
        &["distillation.temperature: ", "expected a finite number above 0, found 0"],
    );
    refused("teacher: teacher, weight: -1", &[], &["distillation.weight: ", "0 or above, found -1"]);
    refused("techer: teacher", &[], &["did you mean `teacher`?"]);
    let vocabulary = ["--set", "data.synthetic.vocab_size=40"];
    refused(
        "teacher: teacher",
        &vocabulary,
        &[at, field, "expected a checkpoint of the model's vocabulary of 40 tokens, found 32"],
    );
    let longer = ["--set", "model.context=17"];
    let positions = "expected a checkpoint of at least 17 positions, the tokens of a training sequence, found 16";
    refused("teacher: teacher", &longer, &[at, field, positions]);
    let set = ["--set", "arms.d.0.intervention.distillation.teacher=nowhere"];
    refused("teacher: teacher", &set, &["--set", field, "expected a folder"]);
    std::fs::write(study.path().join("teacher/model.safetensors"), b"short").unwrap();
    refused(
        "teacher: teacher",
        &[],
        &[at, field, "model.safetensors: expected 15648 numbers, as config.json asks for", "found a file of 5 bytes"],
    );
    std::fs::remove_file(study.path().join("teacher/model.safetensors")).unwrap();
    refused("teacher: teacher", &[], &[at, field, "model.safetensors"]);
}
