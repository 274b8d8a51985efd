//! `regatta export`: what TensorBoard finds in the folder.

use crate::{Study, tiny};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

/// Every file below a folder with its content.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.clone(), std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// How often a tag occurs as text.
fn count(file: &[u8], tag: &str) -> usize {
    file.windows(tag.len()).filter(|window| *window == tag.as_bytes()).count()
}

#[test]
fn each_trial_is_a_run_and_the_same_study_gives_the_same_bytes() {
    let study = Study::new(&tiny("  dispersion: [{regularizer: dispersion, weight: 0.1}]\n"));
    study.run("out", &[], 0);
    let output = study.regatta(&["export", "out", "--tensorboard"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("dispersion/seed-1: 8 steps\n"), "{}", said(&output));
    assert!(said(&output).contains("4 runs exported, 0 left out\ntensorboard --logdir out/tensorboard"), "{}", said(&output));
    let board = study.path().join("out/tensorboard");
    let first = files(&board);
    assert_eq!(first.len(), 4 + 1, "a file per trial, and the mark: {:?}", first.keys());
    let run = first.iter().find(|(path, _)| path.starts_with(board.join("dispersion/seed-1"))).unwrap();
    assert!(run.0.file_name().unwrap().to_str().unwrap().contains(".tfevents."));
    for tag in ["train/loss", "terms/dispersion", "train/grad_norm"] {
        assert_eq!(count(run.1, tag), 8, "{tag}: one for each step");
    }
    assert_eq!(count(run.1, "validation/loss"), 3, "before steps 0 and 4, and after the last");
    assert_eq!(count(run.1, "final/test_loss"), 4, "it and its standard error, each as a scalar and as a column of HPARAMS");
    let again = study.regatta(&["export", "out", "--tensorboard", "--out", "out/tensorboard"]);
    assert!(said(&again).contains("baseline/seed-0: 8 steps, unchanged\n"), "{}", said(&again));
    assert_eq!(files(&board), first);
    std::fs::remove_dir_all(&board).unwrap();
    study.regatta(&["export", "out", "--tensorboard"]);
    assert_eq!(files(&board), first);
}

/// A `head` that has read its line closes the pipe.
#[test]
fn every_trial_is_exported_when_nobody_reads_the_output() {
    let study = Study::new(&tiny(""));
    study.run("out", &[], 0);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_regatta-under-test"));
    command.current_dir(study.path()).args(["export", "out", "--tensorboard"]).stdout(writer);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let exported = files(&study.path().join("out/tensorboard"));
    assert_eq!(exported.len(), 2 + 1, "a file per trial, and the mark: {:?}", exported.keys());
}

#[test]
fn what_cannot_be_exported_is_refused_in_one_message() {
    let study = Study::new(&tiny(""));
    let refused = |arguments: &[&str], expected: &str| {
        let output = study.regatta(&[&["export"], arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains(expected), "{}", said(&output));
    };
    refused(&["nowhere", "--tensorboard"], "nowhere/study.yaml: expected the folder of a study");
    refused(&[".", "--tensorboard"], "expected the folder of a run, found a study that nobody ran here");
    study.run("out", &[], 0);
    refused(&["out"], "--tensorboard");
    refused(&["out", "--tensorboard", "--out", "out"], "out: expected a new folder, an empty one or an earlier export");
    refused(&["out", "--tensorboard", "--out", "study.yaml"], "study.yaml: expected a folder for the export, found a file");
    std::fs::remove_dir_all(study.path().join("out/trials")).unwrap();
    refused(&["out", "--tensorboard"], "expected at least one trial that has made steps, found none");
    assert!(!study.path().join("out/tensorboard").exists());
}

#[test]
fn tensorboards_own_reader_finds_every_record() {
    let python = std::env::var("REGATTA_PYTHON").unwrap_or_else(|_| "python3".into());
    let has_reader = Command::new(&python).args(["-c", "import tensorboard.backend.event_processing"]).output();
    if !has_reader.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: {python} has no tensorboard (REGATTA_PYTHON names another interpreter)");
        return;
    }
    let study = Study::new(&tiny("  dispersion: [{regularizer: dispersion, weight: 0.1}]\n"));
    study.run("out", &[], 0);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/tensorboard.py");
    let program = env!("CARGO_BIN_EXE_regatta-under-test");
    let mut command = Command::new(&python);
    command.arg(script).args(["--regatta", program, "--run", "out"]).current_dir(study.path());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("4 runs, "), "{}", said(&output));
}
