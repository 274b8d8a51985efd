//! What reads bytes from outside, each as a function of bytes alone: shared by the property tests and the fuzz targets. None may
//! panic, whatever it is given, nor take more than a second.

use regatta_builtin as _; // studies name the built-in regularizers
use regatta_lm::data::Corpus;
use regatta_lm::model::{Decoder, Family, Sizes};
use regatta_lm::spec::{DataSpec, TrainSpec};
use regatta_lm::training::{Restored, StepRecord};
use regatta_study::StudyFile;
use regatta_study::records::{Checkpoints, Fence, first_lines, read_lines};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// A study that overrides are tried on.
const STUDY: &str = "arms: {baseline: [], spread: [{regularizer: dispersion, weight: 0.1}]}\n";

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder for a test's files")
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("a file of a test");
}

/// A study's file.
pub fn study(bytes: &[u8]) {
    let folder = folder();
    let path = folder.path().join("study.yaml");
    write(&path, bytes);
    if let Err(refusal) = StudyFile::read(&path, &[]) {
        assert_eq!(refusal.to_string().lines().count(), 1, "{refusal}");
    }
}

/// The value of `--set`.
pub fn set(bytes: &[u8]) {
    let Ok(assignment) = std::str::from_utf8(bytes) else { return };
    let folder = folder();
    let path = folder.path().join("study.yaml");
    write(&path, STUDY.as_bytes());
    if let Err(refusal) = StudyFile::read(&path, &[assignment.to_owned()]) {
        assert_eq!(refusal.to_string().lines().count(), 1, "{refusal}");
    }
}

/// `metrics.jsonl`, read by a report and by a trial that goes on.
pub fn metrics(bytes: &[u8]) {
    let folder = folder();
    let path = folder.path().join("metrics.jsonl");
    write(&path, bytes);
    let first = first_lines(&path, |record: &StepRecord| record.step < 10).expect("a file that is there");
    if let Ok(all) = read_lines::<StepRecord>(&path) {
        assert!(first.len() <= all.len());
    }
}

/// A checkpoint's manifest, and its weights and moments.
pub fn checkpoint(bytes: &[u8]) {
    let spec = Sizes { layers: 1, width: 4, heads: 2, context: 3, mlp_width: 8 };
    let config = Decoder::new(Family::Gpt2, spec, 5);
    assert!(Restored::read(&config, &TrainSpec::default(), 1, bytes, bytes).is_err(), "one file is not both");
    let folder = folder();
    let kept = folder.path().join("resume/step-000001");
    fs::create_dir_all(&kept).expect("a folder of a test");
    write(&kept.join("MANIFEST.json"), bytes);
    write(&kept.join("model.safetensors"), bytes);
    let checkpoints = Checkpoints::of(folder.path().join("resume"), Fence::of(folder.path(), 1), "identity");
    let found = checkpoints.newest(|_| Ok(())).expect("a folder that can be read");
    assert!(found.is_none_or(|kept| kept.files.is_empty()), "bytes that vouch for themselves");
}

/// A file of tokens.
pub fn tokens(bytes: &[u8]) {
    let folder = folder();
    let path = folder.path().join("tokens.bin");
    write(&path, bytes);
    let data = serde_json::json!({"tokens": {"train": path, "validation": path, "vocab_size": 300}});
    let data: DataSpec = serde_json::from_value(data).expect("a legal section");
    if let Ok(corpus) = Corpus::load(&data, None, None) {
        assert!(corpus.train.tokens.iter().all(|&token| token < 300), "a token outside the vocabulary");
        let _ = corpus.check(8);
    }
}
