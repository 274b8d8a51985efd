use super::*;
use crate::model::{Family, Sizes, testing};
use candle_core::{DType, Device, Tensor};
use serde_json::{Value, json};
use std::fs;
use tempfile::TempDir;

type Tensors = HashMap<String, Tensor>;

/// A folder that holds `model`.
fn written(model: &Model) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    model.write(folder.path()).unwrap();
    folder
}

fn tensors(folder: &Path) -> Tensors {
    candle_core::safetensors::load(folder.join("model.safetensors"), &Device::Cpu).unwrap()
}

/// [`testing::model`] in a folder, its tensors changed.
fn changed(change: impl FnOnce(&mut Tensors)) -> TempDir {
    let folder = written(&testing::model(1));
    let mut all = tensors(folder.path());
    change(&mut all);
    candle_core::safetensors::save(&all, folder.path().join("model.safetensors")).unwrap();
    folder
}

fn message(folder: &TempDir) -> String {
    let error = Model::read(folder.path()).expect_err("a refusal").to_string();
    assert_eq!(error.lines().count(), 1, "{error}");
    assert_eq!(Decoder::check(folder.path()).err().map(|error| error.to_string()).as_ref(), Some(&error), "without weights");
    error.replace(&format!("{}/", folder.path().display()), "")
}

fn set(folder: &TempDir, field: &str, value: Value) {
    let path = folder.path().join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    config[field] = value;
    fs::write(path, config.to_string()).unwrap();
}

fn zeros(shape: &[usize]) -> Tensor {
    Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap()
}

#[test]
fn every_family_is_read_as_it_was_written() {
    for family in Family::ALL {
        let sizes = Sizes { layers: 2, width: 16, heads: 2, context: 8, mlp_width: 20 };
        let own = Decoder::new(family, sizes, 11);
        let kv_heads = if family.joins_qkv() { 2 } else { 1 };
        for decoder in [Decoder { kv_heads, ..own.clone() }, Decoder { logit_cap: Some(5.0), kv_heads: 1, ..own }] {
            let mut model = Model::fresh(decoder, 3);
            model.parameters_mut().numbers_mut().iter_mut().zip(1..).for_each(|(number, index)| *number = index as f32);
            let folder = written(&model);
            assert_eq!(&Decoder::check(folder.path()).unwrap(), model.decoder());
            let again = Model::read(folder.path()).unwrap();
            assert_eq!(again.decoder(), model.decoder());
            assert_eq!(again.parameters().numbers(), model.parameters().numbers(), "{family:?}");
        }
    }
}

#[test]
fn tensors_that_are_not_those_of_the_config_are_refused() {
    let name = "transformer.h.0.mlp.c_fc.weight";
    let file = "model.safetensors: ";
    let missing = changed(|all| _ = all.remove(name));
    assert_eq!(message(&missing), format!("{file}expected a tensor `{name}` of shape [16, 40], found none"));
    let shape = changed(|all| _ = all.insert(name.into(), zeros(&[40, 16])));
    assert_eq!(message(&shape), format!("{file}expected `{name}` of shape [16, 40], found [40, 16]"));
    let whole = changed(|all| _ = all.insert(name.into(), zeros(&[16, 40]).to_dtype(DType::U32).unwrap()));
    assert_eq!(message(&whole), format!("{file}expected `{name}` of floats, found U32"));
    let extra = changed(|all| _ = all.insert("transformer.h.1.ln_1.weight".into(), zeros(&[16])));
    assert_eq!(message(&extra), format!("{file}found `transformer.h.1.ln_1.weight`, which a GPT-2 of 1 block does not have"));
    let twice = changed(|all| _ = all.insert(name.strip_prefix("transformer.").unwrap().into(), zeros(&[16, 40])));
    assert!(message(&twice).contains("once, found it twice"), "{}", message(&twice));
    let other = changed(|all| _ = all.insert("lm_head.weight".into(), zeros(&[11, 16])));
    let expected =
        "expected `lm_head.weight` to be the embedding, as `tie_word_embeddings` in config.json says, found other numbers";
    assert_eq!(message(&other), format!("{file}{expected}"));
}

#[test]
fn names_without_a_prefix_buffers_and_a_tied_matrix_twice_are_read() {
    let folder = changed(|all| {
        let bare = |(name, tensor): (String, Tensor)| (name.strip_prefix("transformer.").unwrap().to_owned(), tensor);
        *all = all.drain().map(bare).collect();
        all.insert("h.0.attn.bias".into(), zeros(&[1, 1, 8, 8]));
        all.insert("lm_head.weight".into(), all["wte.weight"].clone());
    });
    assert_eq!(Model::read(folder.path()).unwrap().parameters().numbers(), testing::model(1).parameters().numbers());
    assert_eq!(&Decoder::check(folder.path()).unwrap(), testing::model(1).decoder());
    let half = changed(|all| all.values_mut().for_each(|tensor| *tensor = tensor.to_dtype(DType::BF16).unwrap()));
    let (half, whole) = (Model::read(half.path()).unwrap(), testing::model(1));
    let rounded = half.parameters().numbers().iter().zip(whole.parameters().numbers());
    assert!(rounded.into_iter().all(|(half, whole)| (half - whole).abs() <= whole.abs() / 256.0));
}

#[test]
fn a_file_that_is_cut_short_or_lies_is_an_error() {
    let folder = written(&testing::model(1));
    let path = folder.path().join("model.safetensors");
    let whole = fs::read(&path).unwrap();
    for length in (0..whole.len()).step_by(97) {
        fs::write(&path, &whole[..length]).unwrap();
        assert!(message(&folder).starts_with("model.safetensors: expected "), "{length}");
    }
    for byte in (0..whole.len().min(3000)).step_by(7) {
        let mut bytes = whole.clone();
        bytes[byte] ^= 0x55;
        fs::write(&path, bytes).unwrap();
        _ = Model::read(folder.path()); // a model or an error
    }
    fs::write(&path, &whole).unwrap();
    set(&folder, "n_positions", json!(1 << 24));
    set(&folder, "n_layer", json!(4096));
    let message = message(&folder);
    assert!(message.contains("numbers, as config.json asks for, found a file of"), "{message}");
    fs::remove_file(path).unwrap();
    let none = Model::read(folder.path()).err().unwrap().to_string();
    assert!(none.contains("expected one of model.safetensors, model.safetensors.index.json, pytorch_model.bin"), "{none}");
}

/// A model in two shards, its index changed.
fn sharded(change: impl FnOnce(&mut Value)) -> TempDir {
    let folder = written(&testing::model(1));
    let (all, mut map) = (tensors(folder.path()), serde_json::Map::new());
    for (shard, odd) in [("a.safetensors", false), ("b.safetensors", true)] {
        let of = |name: &String| (name.len() % 2 == 1) == odd;
        let part: Tensors =
            all.iter().filter(|(name, _)| of(name)).map(|(name, tensor)| (name.clone(), tensor.clone())).collect();
        map.extend(part.keys().map(|name| (name.clone(), shard.into())));
        candle_core::safetensors::save(&part, folder.path().join(shard)).unwrap();
    }
    fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    let mut index = json!({"metadata": {}, "weight_map": map});
    change(&mut index);
    fs::write(folder.path().join("model.safetensors.index.json"), index.to_string()).unwrap();
    folder
}

#[test]
fn shards_are_read_as_their_index_says() {
    let found = Model::read(sharded(|_| ()).path()).unwrap();
    assert_eq!(found.parameters().numbers(), testing::model(1).parameters().numbers());
    let name = "transformer.wte.weight";
    let refused = |change: fn(&mut Value), expected: &str| {
        let message = message(&sharded(change));
        assert!(message.contains(expected), "{message}");
    };
    let elsewhere = "a.safetensors: expected `transformer.h.9.x`, as the index says, found none";
    refused(|index| index["weight_map"]["transformer.h.9.x"] = "a.safetensors".into(), elsewhere);
    refused(|index| index["weight_map"]["x"] = "c.safetensors".into(), "expected the file c.safetensors, found none beside it");
    for out in ["../a.safetensors", "/etc/x.safetensors", "..", "a.bin", ""] {
        let folder = sharded(|index| index["weight_map"][name] = out.into());
        assert!(message(&folder).contains("expected the name of a .safetensors file beside it"), "{out}");
    }
    refused(|index| index["weight_map"]["x"] = 3.into(), "found 3");
    refused(|index| *index = json!({}), "expected a `weight_map`");
    let folder = sharded(|_| ());
    fs::write(folder.path().join("b.safetensors"), "short").unwrap();
    assert!(message(&folder).starts_with("b.safetensors: expected a safetensors file"), "{}", message(&folder));
    fs::remove_file(folder.path().join("b.safetensors")).unwrap();
    assert!(message(&folder).contains("expected the file b.safetensors"), "{}", message(&folder));
}

#[test]
fn equal_weights_give_equal_bytes() {
    let [first, second] = [(); 2].map(|()| written(&Model::fresh(testing::model(2).decoder().clone(), 5)));
    for file in ["config.json", "model.safetensors"] {
        assert!(fs::read(first.path().join(file)).unwrap() == fs::read(second.path().join(file)).unwrap(), "{file}");
    }
}
