//! Files of token ids in the forms that people have.

use super::fixture;
use regatta_lm::data::Corpus;
use regatta_lm::spec::DataSpec;
use serde_json::{Value, json};

#[test]
fn golden_token_files_hold_the_same_ids_in_every_form() {
    let Some(path) = fixture("families/tokens/expected.json") else { return };
    let expected: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let ids: Vec<u32> = serde_json::from_value(expected["ids"].clone()).unwrap();
    let files: Vec<&String> = expected["files"].as_object().unwrap().keys().collect();
    assert_eq!((ids.len(), files.len()), (5000, 6));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("validation.bin"), [1, 0, 2, 0]).unwrap();
    let load = |train: Value, dtype: Option<&str>| {
        let validation = folder.path().join("validation.bin");
        let mut tokens = json!({"train": train, "validation": validation});
        if let Some(dtype) = dtype {
            tokens["dtype"] = dtype.into();
            tokens["validation"] = folder.path().join(format!("validation.{dtype}")).to_str().into();
            let width = if dtype == "u32" { 4 } else { 2 };
            std::fs::write(folder.path().join(format!("validation.{dtype}")), [1, 0, 0, 0].repeat(width)).unwrap();
        }
        let data: DataSpec = serde_json::from_value(json!({ "tokens": tokens })).unwrap();
        Corpus::load(&data, None, None)
    };
    let mut fingerprints = Vec::new();
    for name in &files {
        let file = path.with_file_name(name);
        let dtype = (*name == "u32.bin").then_some("u32");
        let corpus = load(json!(file), dtype).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(corpus.train.tokens.all().unwrap(), ids, "{name}");
        assert_eq!(corpus.vocab_size, 97, "{name}");
        if dtype.is_none() {
            fingerprints.push(corpus.fingerprint);
        }
        let (other, right) = if name.contains("u32") || name.contains("llama3") { ("u16", "u32") } else { ("u32", "u16") };
        let refused = load(json!(file), Some(other)).unwrap_err().to_string();
        assert!(refused.starts_with(&format!("{}: ", file.display())) && refused.contains(right), "{refused}");
    }
    assert!(fingerprints.iter().all(|fingerprint| *fingerprint == fingerprints[0]), "an identity is that of the ids");

    let all = [path.with_file_name("llmc_gpt2.bin"), path.with_file_name("*.npy")];
    let corpus = load(json!(all), None).unwrap();
    assert_eq!(corpus.train.tokens.all().unwrap(), ids.repeat(3), "llmc_gpt2.bin, u16.npy, u32.npy");
    assert_eq!(corpus.train.tokens.read(4998..5002).unwrap(), [ids[4998], ids[4999], ids[0], ids[1]]);
}
