//! [`Pass`] compared with the same decoder in candle's operations, [`candle::Pass`].

use super::Pass;
use crate::engine::batch::{Keep, Upstream};
use crate::engine::candle::{self, Backward, Weights};
use crate::engine::dropout::Dropout;
use crate::engine::gates::Gates;
use crate::model::{Map, Model, Parameters};
use crate::spec::Site;
use candle_core::{DType, Device, Tensor};
use regatta_core::{Draw, RowGate};
use regatta_kernels::Precision;
use std::sync::Arc;

const ALL: Keep = Keep::ForBackward { contributions: true };

/// Holds numbers to those of `expected`, to 2e-5 of the largest.
fn close(what: &str, found: &[f32], expected: &Tensor) {
    let expected = numbers(expected);
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(0f32, |most, x| most.max(x.abs()));
    assert!(scale > 0.0, "{what}: nothing to compare");
    for (index, (f, e)) in found.iter().zip(&expected).enumerate() {
        assert!((f - e).abs() <= 2e-5 * scale, "{what} at {index}: {f}, expected {e}");
    }
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// A gradient for everything that a penalty or an intervention can see, in the form of each engine.
fn upstream(weights: &Weights, tokens: usize, more: bool) -> (Upstream, Upstream<Tensor>) {
    let (decoder, mut lists, mut tensors) = (weights.decoder(), Upstream::default(), Upstream::default());
    let normals = |shape: &[usize], purpose: String| {
        let normals = (Draw::new(1, &purpose, 0, 0).normals(shape, DType::F32, &Device::Cpu).unwrap() * 0.1).unwrap();
        (numbers(&normals), normals)
    };
    let stream = [tokens, decoder.width];
    for entry in 0..=decoder.layers {
        let (list, tensor) = normals(&stream, format!("state {entry}"));
        lists.hidden_states.insert(entry, list);
        tensors.hidden_states.insert(entry, tensor);
    }
    for block in 0..decoder.layers {
        let (list, tensor) = normals(&stream, format!("attention {block}"));
        lists.attention.insert(block, list);
        tensors.attention.insert(block, tensor);
        let (list, tensor) = normals(&stream, format!("mlp {block}"));
        lists.mlp.insert(block, list);
        tensors.mlp.insert(block, tensor);
    }
    let matrix = [decoder.vocab_size, decoder.width];
    let (embedding, unembedding) = (normals(&matrix, "embedding".into()), normals(&matrix, "unembedding".into()));
    (lists.embedding, tensors.embedding) = (Some(embedding.0), Some(embedding.1));
    (lists.unembedding, tensors.unembedding) = (Some(unembedding.0), Some(unembedding.1));
    let maps = [Map::AttentionKey, Map::AttentionOutput, Map::MlpInput, Map::MlpOutput];
    for (map, block) in maps.into_iter().flat_map(|map| (0..decoder.layers).map(move |block| (map, block))) {
        let rows = weights.rows(map, block).unwrap();
        let (list, tensor) = normals(rows.dims(), format!("{map:?} {block}"));
        lists.weights.insert((map, block), list);
        tensors.weights.insert((map, block), tensor);
    }
    if more {
        let (list, tensor) = normals(&[tokens, decoder.vocab_size], "logits".into());
        (lists.logits, tensors.logits) = (Some(list), Some(tensor));
        (lists.normalizers, tensors.normalizers) = (0.3, 0.3);
        let gate = |token, from_others, from_gated| RowGate { token, from_others, from_gated };
        let gates = Arc::new(Gates::new(vec![gate(1, 0.25, 0.5), gate(4, 0.0, 0.75), gate(5, 0.5, 0.0)], decoder.vocab_size));
        (lists.gates, tensors.gates) = (Some(gates.clone()), Some(gates));
    }
    (lists, tensors)
}

/// Compares all that a pass shows, and all gradients of the loss and of a weighted sum of everything that a penalty can see.
fn check(model: &Model, sequences: usize, time: usize, drop: Option<&Dropout>) {
    let weights = Weights::upload(model, &Device::Cpu).unwrap();
    let whole = candle::Pass::new(&weights, sequences, time, ALL, Precision::Float32).unwrap();
    compare(model, &weights, whole, drop, false);
    let whole = candle::Pass::new(&weights, sequences, time, ALL, Precision::Float32).unwrap();
    compare(model, &weights, whole.in_steps_of(3, 4).unwrap(), drop, true);
}

fn compare(model: &Model, weights: &Weights, mut other: candle::Pass, drop: Option<&Dropout>, more: bool) {
    let (decoder, (sequences, time)) = (model.decoder(), other.shape());
    let mut draw = Draw::new(2, "ids", 0, 0);
    let mut tokens = || -> Vec<u32> { (0..sequences * time).map(|_| draw.below(decoder.vocab_size) as u32).collect() };
    let (ids, targets) = (tokens(), tokens());
    let (lists, tensors) = upstream(weights, ids.len(), more);

    let mut pass = Pass::new(decoder, sequences, time, ALL);
    let mut gradients = Parameters::zeros(decoder);
    gradients.numbers_mut().fill(f32::NAN); // whatever was there is written over
    other.forward(weights, &ids, drop, None).unwrap();
    let expected = other.backward(weights, Some((&targets, targets.len())), &tensors).unwrap();
    for _ in 0..2 {
        pass.forward(model, &ids, drop).unwrap();
        close("losses", &pass.backward(model, &targets, &lists, drop, &mut gradients), &expected.losses);
    }
    let squares = pass.normalizers().map(|z| z * z).sum::<f32>();
    expected.normalizer_squares.iter().for_each(|expected| close("normalizers", &[squares], expected));
    assert_eq!(expected.normalizer_squares.is_some(), more);
    close("losses alone", &pass.losses(model, &targets), &other.losses(weights, &targets).unwrap());
    close("logits", &pass.logits(model), &other.logits(weights).unwrap());
    for entry in 0..=decoder.layers {
        let expected = other.at(Site::HiddenStates, entry).unwrap();
        close(&format!("hidden state {entry}"), &pass.hidden_state(entry), &expected);
    }
    for block in 0..decoder.layers {
        let at = |site| other.at(site, block + 1).unwrap();
        close(&format!("attention {block}"), &pass.attention(block), &at(Site::Attention));
        close(&format!("mlp {block}"), &pass.mlp(block), &at(Site::Mlp));
    }
    compare_gradients("with the loss", &gradients, &expected);
    pass.upstream_backward(model, &lists, drop, &mut gradients);
    compare_gradients("without the loss", &gradients, &other.backward(weights, None, &tensors).unwrap());
}

fn compare_gradients(what: &str, found: &Parameters, expected: &Backward) {
    for ((spec, found), expected) in found.each().zip(&expected.gradients) {
        close(&format!("gradient {what} of {}", spec.name), found, expected);
    }
}

mod cases;
