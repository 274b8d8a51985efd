//! The model against transformers' GPT-2, computed in float64.

use crate::fixture;
use regatta_core::Tensor;
use regatta_core::candle::{DType, Device, safetensors};
use regatta_lm::engine::{Keep, Pass};
use regatta_lm::model::Model;

const TOLERANCE: f64 = 1e-4;

fn largest_difference(found: Vec<f32>, expected: &Tensor) -> f64 {
    let expected = numbers(expected);
    assert_eq!(found.len(), expected.len());
    found.into_iter().zip(expected).map(|(f, e)| (f64::from(f) - e).abs()).fold(0.0, f64::max)
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1().unwrap()
}

#[test]
fn golden_model() {
    let Some(folder) = fixture("models/gpt2") else { return };
    let expected = safetensors::load(folder.join("expected.safetensors"), &Device::Cpu).unwrap();
    let model = Model::read(&folder).unwrap();
    let ids = expected["input_ids"].to_dtype(DType::U32).unwrap();
    let (sequences, time) = ids.dims2().unwrap();
    let mut pass = Pass::new(model.decoder(), sequences, time, Keep::HiddenStates);
    pass.forward(&model, &ids.flatten_all().unwrap().to_vec1().unwrap(), None).unwrap();

    let mut largest = vec![("logits".to_owned(), largest_difference(pass.logits(&model), &expected["logits"]))];
    for layer in 0..=model.decoder().layers {
        let name = format!("hidden_states.{layer}");
        largest.push((name.clone(), largest_difference(pass.hidden_state(layer), &expected[&name])));
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
    Model::read(&folder).unwrap().write(copy.path()).unwrap();
    let tensors = |folder: &std::path::Path| safetensors::load(folder.join("model.safetensors"), &Device::Cpu).unwrap();
    let (before, after) = (tensors(&folder), tensors(copy.path()));
    assert_eq!(before.len(), after.len());
    for (name, tensor) in before {
        assert_eq!(numbers(&after[&name]), numbers(&tensor), "{name}");
    }
    Model::read(copy.path()).unwrap();
}
