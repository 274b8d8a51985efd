//! The model against transformers' GPT-2, computed in float64.

use crate::fixture;
use regatta_core::Tensor;
use regatta_core::candle::{DType, Device, safetensors};
use regatta_lm::model::Gpt2;

const TOLERANCE: f64 = 1e-4;

fn largest_difference(found: &Tensor, expected: &Tensor) -> f64 {
    let expected = expected.to_dtype(DType::F64).unwrap();
    let found = found.to_dtype(DType::F64).unwrap().reshape(expected.shape()).unwrap();
    (found - expected).unwrap().abs().unwrap().max_all().unwrap().to_scalar().unwrap()
}

#[test]
fn golden_model() {
    let Some(folder) = fixture("models/gpt2") else { return };
    let expected = safetensors::load(folder.join("expected.safetensors"), &Device::Cpu).unwrap();
    let model = Gpt2::read(&folder, &Device::Cpu).unwrap();
    let ids = expected["input_ids"].to_dtype(DType::U32).unwrap();
    let seen = model.forward(&ids, None).unwrap();

    let mut largest = vec![("logits".to_owned(), largest_difference(&seen.logits, &expected["logits"]))];
    assert_eq!(seen.hidden_states.len(), model.config().n_layer + 1);
    for (layer, state) in seen.hidden_states.iter().enumerate() {
        let name = format!("hidden_states.{layer}");
        largest.push((name.clone(), largest_difference(state, &expected[&name])));
    }
    println!("largest differences: {largest:?}");
    for (name, difference) in largest {
        assert!(difference <= TOLERANCE, "{name}: {difference}");
    }
}

#[test]
fn golden_model_is_written_as_it_was_read() {
    let Some(folder) = fixture("models/gpt2") else { return };
    let copy = tempfile::tempdir().unwrap();
    Gpt2::read(&folder, &Device::Cpu).unwrap().write(copy.path()).unwrap();
    let tensors = |folder: &std::path::Path| safetensors::load(folder.join("model.safetensors"), &Device::Cpu).unwrap();
    let (before, after) = (tensors(&folder), tensors(copy.path()));
    assert_eq!(before.len(), after.len());
    for (name, tensor) in before {
        assert_eq!(largest_difference(&after[&name], &tensor), 0.0, "{name}");
    }
    Gpt2::read(copy.path(), &Device::Cpu).unwrap();
}
