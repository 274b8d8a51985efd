//! The model in candle's differentiable operations, as a textbook has it. [`Pass`] is compared with it; the operations of each part
//! are beside the part.

use super::{Pass, attention, embedding, mlp, norm, output};
use crate::engine::batch::{Keep, Upstream};
use crate::engine::dropout::Dropout;
use crate::engine::place;
use crate::model::{Map, Model, NormPlacement, Parameters};
use candle_core::{DType, Device, Result, Tensor, Var};
use candle_nn::ops::log_softmax;
use regatta_core::Draw;
use std::collections::BTreeMap;

/// The tensors of a model by name.
pub(super) type Named = BTreeMap<String, Var>;

/// What a forward pass shows: the loss, hidden states, and what attention and MLP add.
struct Plain {
    logits: Tensor,
    loss: Tensor,
    hidden_states: Vec<Tensor>,
    attention: Vec<Tensor>,
    mlp: Vec<Tensor>,
}

fn variables(model: &Model) -> Named {
    let each = model.parameters().each();
    each.map(|(spec, numbers)| (spec.name.clone(), Var::from_slice(numbers, &*spec.shape, &Device::Cpu).unwrap())).collect()
}

/// With one mask per sequence.
fn masked(x: &Tensor, dropout: Option<&Dropout>, place: u64) -> Result<Tensor> {
    let Some(dropout) = dropout else { return Ok(x.clone()) };
    let mut mask = vec![1f32; x.elem_count()];
    dropout.at(place).apply(&mut mask, x.elem_count() / x.dim(0)?, 0, &mut Vec::new());
    x.mul(&Tensor::from_vec(mask, x.shape(), x.device())?)
}

fn linear(tensors: &Named, name: &str, x: &Tensor) -> Result<Tensor> {
    let y = x.broadcast_matmul(&tensors[&format!("{name}.weight")])?;
    match tensors.get(&format!("{name}.bias")) {
        Some(bias) => y.broadcast_add(bias),
        None => Ok(y),
    }
}

fn forward(model: &Model, vars: &Named, ids: &[u32], targets: &[u32], time: usize, drop: Option<&Dropout>) -> Result<Plain> {
    let decoder = model.decoder();
    let (b, d) = (ids.len() / time, decoder.width);
    let normed = |x: &Tensor, name: &str, placement: NormPlacement| {
        if decoder.norm_placement == placement { norm::plain::norm(decoder, vars, name, x) } else { Ok(x.clone()) }
    };
    let (before, after) = (NormPlacement::Before, NormPlacement::After);
    let mut x = masked(&embedding::plain::embedded(vars, ids, time)?, drop, place::EMBEDDING)?;
    let (mut hidden_states, mut all_attention, mut all_mlp) = (vec![], vec![], vec![]);
    for layer in 0..decoder.layers {
        hidden_states.push(x.clone());
        let name = |what: &str| format!("h.{layer}.{what}");
        let qkv = linear(vars, &name("attn.c_attn"), &normed(&x, &name("ln_1"), before)?)?;
        let of_weights = drop.map(|drop| drop.at(place::attention_weights(layer)));
        let mixed = attention::plain::attention(decoder, vars, layer, &qkv, of_weights)?;
        let attended = normed(&linear(vars, &name("attn.c_proj"), &mixed)?, &name("ln_1"), after)?;
        let attended = masked(&attended, drop, place::attention(layer))?;
        let middle = (&x + &attended)?;
        let read = if decoder.parallel { &x } else { &middle };
        let first = linear(vars, &name("mlp.c_fc"), &normed(read, &name("ln_2"), before)?)?;
        let added = linear(vars, &name("mlp.c_proj"), &mlp::plain::hidden(decoder, &first)?)?;
        let added = masked(&normed(&added, &name("ln_2"), after)?, drop, place::mlp(layer))?;
        x = (middle + &added)?;
        all_attention.push(attended);
        all_mlp.push(added);
    }
    x = norm::plain::norm(decoder, vars, "ln_f", &x)?;
    let logits = output::plain::logits(decoder, vars, &x.reshape((b * time, d))?)?;
    hidden_states.push(x);
    let index = Tensor::from_slice(targets, (targets.len(), 1), &Device::Cpu)?;
    let loss = log_softmax(&logits, 1)?.gather(&index, 1)?.neg()?.mean_all()?;
    Ok(Plain { logits, loss, hidden_states, attention: all_attention, mlp: all_mlp })
}

fn close(what: &str, found: &[f32], expected: &Tensor) {
    let expected = expected.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(0f32, |most, x| most.max(x.abs()));
    assert!(scale > 0.0, "{what}: nothing to compare");
    for (index, (f, e)) in found.iter().zip(&expected).enumerate() {
        assert!((f - e).abs() <= 2e-5 * scale, "{what} at {index}: {f}, expected {e}");
    }
}

fn normals(shape: &[usize], purpose: &str) -> Tensor {
    (Draw::new(1, purpose, 0, 0).normals(shape, DType::F32, &Device::Cpu).unwrap() * 0.1).unwrap()
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// Compares all that a pass shows, and all gradients of the loss and of a weighted sum of everything that a penalty can see.
fn check(model: &Model, sequences: usize, time: usize, drop: Option<&Dropout>) {
    let decoder = model.decoder();
    let mut draw = Draw::new(2, "ids", 0, 0);
    let mut tokens = || -> Vec<u32> { (0..sequences * time).map(|_| draw.below(decoder.vocab_size) as u32).collect() };
    let (ids, targets) = (tokens(), tokens());
    let vars = variables(model);
    let plain = forward(model, &vars, &ids, &targets, time, drop).unwrap();

    let (mut total, mut upstream) = (plain.loss.clone(), Upstream::default());
    let mut pull = |x: &Tensor, purpose: &str| {
        let weights = normals(x.dims(), purpose);
        total = (&total + x.mul(&weights).unwrap().sum_all().unwrap()).unwrap();
        numbers(&weights)
    };
    for (entry, state) in plain.hidden_states.iter().enumerate() {
        upstream.hidden_states.insert(entry, pull(state, &format!("state {entry}")));
    }
    for block in 0..decoder.layers {
        upstream.attention.insert(block, pull(&plain.attention[block], &format!("attention {block}")));
        upstream.mlp.insert(block, pull(&plain.mlp[block], &format!("mlp {block}")));
    }
    upstream.embedding = Some(pull(&vars["wte.weight"], "embedding"));
    let output = vars.get("lm_head.weight").unwrap_or(&vars["wte.weight"]);
    upstream.unembedding = Some(pull(output, "unembedding"));
    let maps = [Map::AttentionKey, Map::AttentionOutput, Map::MlpInput, Map::MlpOutput];
    for (map, block) in maps.into_iter().flat_map(|map| (0..decoder.layers).map(move |block| (map, block))) {
        let parts = ["attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"];
        let name = format!("h.{block}.{}.weight", parts[map.matrix() as usize]);
        let columns = decoder.columns(map);
        let rows = vars[&name].narrow(1, columns.start, columns.len()).unwrap().t().unwrap().contiguous().unwrap();
        assert_eq!(numbers(&rows), model.parameters().rows(decoder, map, block));
        upstream.weights.insert((map, block), pull(&rows, &format!("{map:?} {block}")));
    }
    upstream.logits = Some(pull(&plain.logits, "logits"));

    let mut pass = Pass::new(decoder, sequences, time, Keep::ForBackward { contributions: true });
    let mut gradients = Parameters::zeros(decoder);
    gradients.numbers_mut().fill(f32::NAN); // whatever was there is written over
    for _ in 0..2 {
        pass.forward(model, &ids, drop).unwrap();
        let losses = pass.backward(model, &targets, &upstream, drop, &mut gradients);
        let mean = losses.iter().sum::<f32>() / losses.len() as f32;
        close("loss", &[mean], &plain.loss);
    }
    close("logits", &pass.logits(model), &plain.logits);
    for (entry, state) in plain.hidden_states.iter().enumerate() {
        close(&format!("hidden state {entry}"), &pass.hidden_state(entry), state);
    }
    for block in 0..decoder.layers {
        close(&format!("attention {block}"), &pass.attention(block), &plain.attention[block]);
        close(&format!("mlp {block}"), &pass.mlp(block), &plain.mlp[block]);
    }
    let expected = total.backward().unwrap();
    for (spec, found) in gradients.each() {
        close(&format!("gradient of {}", spec.name), found, expected.get(&vars[&spec.name]).unwrap());
    }
    pass.forward(model, &ids, drop).unwrap();
    pass.upstream_backward(model, &upstream, drop, &mut gradients);
    let expected = (total - plain.loss).unwrap().backward().unwrap();
    for (spec, found) in gradients.each() {
        close(&format!("gradient without the loss of {}", spec.name), found, expected.get(&vars[&spec.name]).unwrap());
    }
}

mod tests;
