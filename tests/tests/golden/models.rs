//! Checkpoints of every family, in every form that they are written in, against transformers computed in float64.

use crate::{fixture, test_device};
use regatta_core::Site;
use regatta_core::Tensor;
use regatta_core::candle::{DType, Device, safetensors};
use regatta_lm::Compute;
use regatta_lm::engine::{Keep, Resident};
use regatta_lm::model::Model;
use std::collections::HashMap;
use std::path::Path;

const TOLERANCE: f64 = 1e-4;

/// Those that have a folder of their own, and those whose name says what is particular about them.
const FIXTURES: [&str; 16] = [
    "models/gpt2",
    "models/llama",
    "models/qwen3",
    "families/layouts/bf16",
    "families/layouts/bin",
    "families/layouts/f16",
    "families/layouts/gpt2_gelu",
    "families/layouts/gpt2_prefixless",
    "families/layouts/gpt2_untied",
    "families/layouts/gpt_neox",
    "families/layouts/llama_attention_bias",
    "families/layouts/llama_rope_scaled",
    "families/layouts/olmo2",
    "families/layouts/qwen2",
    "families/layouts/qwen3_untied",
    "families/layouts/sharded",
];

type Tensors = HashMap<String, Tensor>;

fn load(path: &Path) -> Tensors {
    safetensors::load(path, &Device::Cpu).unwrap()
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1().unwrap()
}

fn largest_difference(found: Vec<f32>, expected: &Tensor) -> f64 {
    let expected = numbers(expected);
    assert_eq!(found.len(), expected.len());
    found.into_iter().zip(expected).map(|(f, e)| (f64::from(f) - e).abs()).fold(0.0, f64::max)
}

/// The largest differences of logits, and of hidden states.
fn differences(compute: &Compute, model: &Model, expected: &Tensors) -> [f64; 2] {
    let ids = expected["input_ids"].to_dtype(DType::U32).unwrap();
    let (sequences, time) = ids.dims2().unwrap();
    let resident = Resident::new(compute, model.clone()).unwrap();
    let mut pass = resident.measured().pass(sequences, time, Keep::HiddenStates).unwrap();
    pass.forward(&ids.flatten_all().unwrap().to_vec1().unwrap()).unwrap();
    let state = |layer| pass.at(Site::HiddenStates, layer).unwrap();
    let states =
        (0..=model.decoder().layers).map(|layer| largest_difference(state(layer), &expected[&format!("hidden_states.{layer}")]));
    let states = states.fold(0.0, f64::max);
    [largest_difference(pass.logits().unwrap(), &expected["logits"]), states]
}

/// A copy of a checkpoint with another of its `config.json`.
fn with_config(folder: &Path, config: &str) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    std::fs::copy(folder.join(config), copy.path().join("config.json")).unwrap();
    copy
}

#[test]
fn golden_models() {
    for name in FIXTURES {
        let Some(folder) = fixture(name) else { return };
        let expected = load(&folder.join("expected.safetensors"));
        for config in ["config.json", "config.v5.json"].into_iter().filter(|config| folder.join(config).exists()) {
            let copy = with_config(&folder, config);
            let model = Model::read(copy.path()).unwrap_or_else(|error| panic!("{name}: {error}"));
            for compute in [Compute::Kernels, test_device().parse::<regatta_lm::Device>().unwrap().open().unwrap()] {
                let [logits, states] = differences(&compute, &model, &expected);
                println!("{name} {config}, {}: logits {logits:.1e}, hidden states {states:.1e}", compute.words());
                assert!(logits <= TOLERANCE && states <= TOLERANCE, "{name} {config}: {logits} {states}");
            }
        }
    }
}

#[test]
fn golden_models_are_written_as_they_were_read() {
    for name in FIXTURES {
        let Some(folder) = fixture(name) else { return };
        let (copy, model) = (tempfile::tempdir().unwrap(), Model::read(&folder).unwrap());
        model.write(copy.path()).unwrap();
        let again = Model::read(copy.path()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(again.decoder(), model.decoder(), "{name}");
        assert!(again.parameters().numbers() == model.parameters().numbers(), "{name}: other numbers");
        let before = folder.join("model.safetensors");
        if !before.exists() || name.contains("prefixless") {
            continue;
        }
        let (before, after) = (load(&before), load(&copy.path().join("model.safetensors")));
        assert_eq!(before.len(), after.len(), "{name}");
        for (tensor, expected) in before {
            assert_eq!(after[&tensor].dims(), expected.dims(), "{name}: {tensor}");
            assert_eq!(numbers(&after[&tensor]), numbers(&expected), "{name}: {tensor}");
        }
    }
}
