//! Text that becomes tokens once, and `regatta tokenize`.

use crate::Study;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Two files of documents to learn from, one to watch.
fn study() -> Study {
    let study = Study::new(
        "\
name: kept
seeds: [0]
model: {layers: 1, width: 16, heads: 2, context: 16}
tokenizer: {bpe: {vocab_size: 280}}
data: {text: {train: 'shard-*.jsonl', validation: held.txt, separator: \"\\n\"}}
train: {steps: 4, batch_size: 4, schedule: constant}
evaluate: {every: 4}
arms: {baseline: []}
",
    );
    let line = |number: usize| format!("{{\"text\": \"{} ships sailed past buoy {}\"}}\n", number * 7, number % 13);
    for (name, numbers) in [("shard-a.jsonl", 0..100), ("shard-b.jsonl", 100..200)] {
        std::fs::write(study.path().join(name), numbers.map(line).collect::<String>()).unwrap();
    }
    std::fs::write(study.path().join("held.txt"), "9 ships sailed past buoy 2 and 3 came home. ".repeat(20)).unwrap();
    study
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn tokens_are_made_once_for_the_verb_for_runs_and_for_other_studies() {
    let study = study();
    let check = study.regatta(&["check", "study.yaml"]);
    assert_eq!(check.status.code(), Some(0), "{}", text(&check.stderr));
    assert!(!study.path().join("runs").exists(), "check writes nothing");
    let made = study.regatta(&["tokenize", "study.yaml"]);
    let said = text(&made.stdout);
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    assert!(said.contains(": made in ") && said.contains("bpe, 280 tokens, u16") && said.contains("200 documents"), "{said}");
    assert!(said.contains("all of runs/.tokens: 1 entry"), "{said}");
    let again = text(&study.regatta(&["tokenize", "study.yaml"]).stdout);
    assert!(again.contains(": already there") && !again.contains("made in"), "{again}");

    study.run("runs/kept", &[], 0);
    study.run("runs/other", &["--set", "train.lr=0.01"], 0);
    assert_eq!(entries(&study.path().join("runs/.tokens")).len(), 1);
    std::fs::remove_dir_all(study.path().join("runs/.tokens")).unwrap();
    let output = study.run("runs/third", &[], 0);
    assert!(text(&output.stderr).contains("tokenized 0.0 MB"), "{}", text(&output.stderr));
    study.assert_equal_trials("runs/third", "runs/kept", "baseline", 0, "tokens made anew");
}

#[test]
fn a_damaged_entry_is_named_and_made_anew() {
    let study = study();
    study.regatta(&["tokenize", "study.yaml"]);
    let entry = entries(&study.path().join("runs/.tokens")).remove(0);
    let whole = std::fs::read(entry.join("train.bin")).unwrap();
    std::fs::write(entry.join("train.bin"), &whole[..100]).unwrap();
    let output = study.regatta(&["tokenize", "study.yaml"]);
    let said = text(&output.stderr);
    let expected = format!("train.bin has 100 bytes in place of {}: its tokens are made anew", whole.len());
    assert!(said.contains(&expected) && text(&output.stdout).contains(": made in "), "{said}");
    assert_eq!(std::fs::read(entry.join("train.bin")).unwrap(), whole);
}

#[cfg(unix)]
#[test]
fn an_interrupt_leaves_nothing_half_made() {
    let study = study();
    let line = "{\"text\": \"ships sailed past buoys and came home in the evening, all of them\"}\n".repeat(1 << 18);
    std::fs::write(study.path().join("shard-c.jsonl"), &line).unwrap();
    let mut process = std::process::Command::new(env!("CARGO_BIN_EXE_regatta-under-test"))
        .args(["tokenize", "study.yaml", "--set", "tokenizer=bytes"])
        .current_dir(study.path())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let patience = Instant::now();
    while entries(&study.path().join("runs/.tokens")).is_empty() {
        assert!(patience.elapsed() < Duration::from_secs(60), "no entry was begun in a minute");
        std::thread::sleep(Duration::from_millis(1));
    }
    let interrupt = std::process::Command::new("kill").args(["-INT", &process.id().to_string()]).status().unwrap();
    assert!(interrupt.success());
    let status = process.wait().unwrap();
    if status.code() != Some(0) {
        assert_eq!(status.code(), Some(130)); // it may have been faster than the signal
        assert!(!study.path().join("runs").exists(), "{:?}", entries(&study.path().join("runs/.tokens")));
    }
}
