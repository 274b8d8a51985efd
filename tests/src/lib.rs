//! What reads bytes from outside, each as a function of bytes alone: shared by the property tests and the fuzz targets. None may
//! panic, whatever it is given, nor take more than a second.

use regatta_builtin as _; // studies name the built-in regularizers
use regatta_config::StudyFile;
use regatta_lm::data::Corpus;
use regatta_lm::model::{Decoder, Family, Model, Sizes};
use regatta_lm::spec::{DataSpec, TrainSpec};
use regatta_lm::training::{Restored, StepRecord};
use regatta_records::{Checkpoints, Fence, Holder, first_lines, read_lines};
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
    let nobody = Holder { runner: String::new(), host: String::new(), pid: 0, attempt: 1, released: false };
    let checkpoints = Checkpoints::of(folder.path().join("resume"), Fence::of_trial(folder.path(), nobody), "identity");
    let found = checkpoints.newest(|_| Ok(())).expect("a folder that can be read");
    assert!(found.is_none_or(|kept| kept.files.is_empty()), "bytes that vouch for themselves");
}

/// The `config.json` of a model.
pub fn config(bytes: &[u8]) {
    let folder = folder();
    write(&folder.path().join("config.json"), bytes);
    match Decoder::read(folder.path()) {
        Ok(decoder) => assert!(decoder.numbers() > 0 && decoder.heads.is_multiple_of(decoder.kv_heads), "{decoder:?}"),
        Err(refusal) => assert_eq!(refusal.to_string().lines().count(), 1, "{refusal}"),
    }
}

/// A model's weights in each form: safetensors, what `torch.save` writes, the pickle in it, and the index of shards.
pub fn weights(bytes: &[u8]) {
    let config =
        r#"{"model_type": "gpt2", "vocab_size": 5, "n_positions": 3, "n_embd": 4, "n_layer": 0, "n_head": 2, "n_inner": 8}"#;
    let files = ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"];
    let folder = folder();
    write(&folder.path().join("config.json"), config.as_bytes());
    let all = files.iter().map(|file| (*file, bytes.to_vec())).chain([("pytorch_model.bin", archive(bytes))]);
    for (file, bytes) in all {
        let path = folder.path().join(file);
        write(&path, &bytes);
        if let Err(refusal) = Model::read(folder.path()) {
            assert_eq!(refusal.to_string().lines().count(), 1, "{refusal}");
        }
        fs::remove_file(path).expect("a file of a test");
    }
}

/// A zip archive of `data.pkl` and a storage named `0`, of zeros enough for the model of [`weights`].
fn archive(pickle: &[u8]) -> Vec<u8> {
    let (mut bytes, mut directory, mut count) = (Vec::new(), Vec::new(), 0u16);
    for (name, data) in [("data.pkl", pickle), ("data/0", &[0; 4 * 40])] {
        let [length, at] = [data.len(), bytes.len()].map(|size| (size as u32).to_le_bytes());
        let common =
            [&[10, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], &[0; 4], &length, &length, &(name.len() as u16).to_le_bytes(), &[0; 2]]
                .concat();
        directory.extend([&b"PK\x01\x02\x0a\0"[..], &common, &[0; 10], &at, name.as_bytes()].concat());
        bytes.extend([&b"PK\x03\x04"[..], &common, name.as_bytes(), data].concat());
        count += 1;
    }
    let [length, at] = [directory.len(), bytes.len()].map(|size| (size as u32).to_le_bytes());
    let count = count.to_le_bytes();
    [&bytes[..], &directory, b"PK\x05\x06\0\0\0\0", &count, &count, &length, &at, &[0; 2]].concat()
}

/// A file of tokens.
pub fn tokens(bytes: &[u8]) {
    let folder = folder();
    let path = folder.path().join("tokens.bin");
    write(&path, bytes);
    let validation = folder.path().join("validation.bin");
    write(&validation, &[1, 0].repeat(20));
    let data = serde_json::json!({"tokens": {"train": path, "validation": validation, "vocab_size": 300}});
    let data: DataSpec = serde_json::from_value(data).expect("a legal section");
    if let Ok(corpus) = Corpus::load(&data, None, None) {
        assert!(corpus.train.tokens.largest().is_ok_and(|largest| largest < Some(300)), "a token outside the vocabulary");
        let _ = corpus.check(8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_is_one_that_torch_could_have_written() {
        let folder = folder();
        let config = r#"{"model_type": "gpt2", "vocab_size": 5, "n_positions": 3, "n_embd": 4, "n_layer": 0, "n_head": 2}"#;
        write(&folder.path().join("config.json"), config.as_bytes());
        write(&folder.path().join("pytorch_model.bin"), &archive(b"\x80\x02}."));
        let refusal = Model::read(folder.path()).expect_err("a model without tensors").to_string();
        assert!(refusal.ends_with("expected a tensor `transformer.wte.weight` of shape [5, 4], found none"), "{refusal}");
    }
}

/// Rust in documents compiles and runs.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../../docs/plugins.md")]
    mod plugins {}
}
