//! The same model of candle's differentiable operations, as a textbook has it: what [`Pass`] is compared with.

use super::testing::model;
use super::{Model, Decoder, Keep, Parameters, Pass, Upstream};
use crate::kernels::Dropout;
use crate::model::{Family, Sizes};
use candle_core::{D, DType, Device, Result, Tensor, Var};
use candle_nn::ops::{layer_norm_slow, log_softmax, softmax};
use regatta_core::Draw;
use regatta_core::maths::Precision;
use std::collections::BTreeMap;

/// What a forward pass shows: the loss, hidden states, and what attention and MLP add.
struct Plain {
    logits: Tensor,
    loss: Tensor,
    hidden_states: Vec<Tensor>,
    attention: Vec<Tensor>,
    mlp: Vec<Tensor>,
}

fn variables(model: &Model) -> BTreeMap<String, Var> {
    let var = |(name, shape, numbers): (&str, &[usize], &[f32])| {
        (name.to_owned(), Var::from_slice(numbers, shape, &Device::Cpu).unwrap())
    };
    model.parameters().named().map(var).collect()
}

/// One mask a sequence, of `length` numbers.
fn masked(x: &Tensor, dropout: Option<&Dropout>, place: u64) -> Result<Tensor> {
    let Some(dropout) = dropout else { return Ok(x.clone()) };
    let mut mask = vec![1f32; x.elem_count()];
    dropout.at(place).apply(&mut mask, x.elem_count() / x.dim(0)?, 0, &mut Vec::new());
    x.mul(&Tensor::from_vec(mask, x.shape(), x.device())?)
}

fn attention(qkv: &Tensor, heads: usize, dropout: Option<Dropout>) -> Result<Tensor> {
    let (b, t, width) = qkv.dims3()?;
    let d = width / 3;
    let split = |part: usize| qkv.narrow(2, part * d, d)?.reshape((b, t, heads, d / heads))?.transpose(1, 2)?.contiguous();
    let (q, k, v) = (split(0)?, split(1)?, split(2)?); // (b, h, t, d/h)
    let scores = (q.matmul(&k.transpose(2, 3)?)? / ((d / heads) as f64).sqrt())?;
    let ahead: Vec<f32> = (0..t * t).map(|i| if i % t > i / t { f32::NEG_INFINITY } else { 0.0 }).collect();
    let mut weights = softmax(&scores.broadcast_add(&Tensor::from_vec(ahead, (t, t), &Device::Cpu)?)?, D::Minus1)?;
    if let Some(dropout) = dropout {
        let mut masks = vec![0f32; b * heads * t * t];
        masks.chunks_mut(t * t).enumerate().for_each(|(part, mask)| dropout.fill(part as u64, mask));
        weights = weights.mul(&Tensor::from_vec(masks, weights.shape(), &Device::Cpu)?)?;
    }
    weights.matmul(&v)?.transpose(1, 2)?.reshape((b, t, d))
}

fn forward(
    model: &Model,
    vars: &BTreeMap<String, Var>,
    ids: &[u32],
    targets: &[u32],
    time: usize,
    drop: Option<&Dropout>,
) -> Result<Plain> {
    let config = model.decoder();
    let (b, d) = (ids.len() / time, config.width);
    let norm = |x: &Tensor, name: &str| {
        layer_norm_slow(x, &vars[&format!("{name}.weight")], &vars[&format!("{name}.bias")], config.layer_norm_epsilon as f32)
    };
    let linear = |x: &Tensor, name: &str| {
        x.broadcast_matmul(&vars[&format!("{name}.weight")])?.broadcast_add(&vars[&format!("{name}.bias")])
    };
    let ids = Tensor::from_slice(ids, ids.len(), &Device::Cpu)?;
    let tokens = vars["wte.weight"].index_select(&ids, 0)?.reshape((b, time, d))?;
    let mut x = masked(&tokens.broadcast_add(&vars["wpe.weight"].narrow(0, 0, time)?)?, drop, 1)?;
    let (mut hidden_states, mut all_attention, mut all_mlp) = (vec![], vec![], vec![]);
    for layer in 0..config.layers {
        hidden_states.push(x.clone());
        let name = |what: &str| format!("h.{layer}.{what}");
        let places = 2 * layer as u64;
        let qkv = linear(&norm(&x, &name("ln_1"))?, &name("attn.c_attn"))?;
        let mixed = attention(&qkv, config.heads, drop.map(|drop| drop.at(1 << 32 | layer as u64)))?;
        let attended = masked(&linear(&mixed, &name("attn.c_proj"))?, drop, 2 + places)?;
        x = (x + &attended)?;
        let hidden = linear(&norm(&x, &name("ln_2"))?, &name("mlp.c_fc"))?.gelu()?;
        let mlp = masked(&linear(&hidden, &name("mlp.c_proj"))?, drop, 3 + places)?;
        x = (x + &mlp)?;
        all_attention.push(attended);
        all_mlp.push(mlp);
    }
    x = norm(&x, "ln_f")?;
    let logits = x.reshape((b * time, d))?.matmul(&vars["wte.weight"].t()?)?;
    hidden_states.push(x);
    let index = Tensor::from_slice(targets, (targets.len(), 1), &Device::Cpu)?;
    let loss = log_softmax(&logits, D::Minus1)?.gather(&index, 1)?.neg()?.mean_all()?;
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
    let config = model.decoder();
    let mut draw = Draw::new(2, "ids", 0, 0);
    let mut tokens = || -> Vec<u32> { (0..sequences * time).map(|_| draw.below(config.vocab_size) as u32).collect() };
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
    for block in 0..config.layers {
        upstream.attention.insert(block, pull(&plain.attention[block], &format!("attention {block}")));
        upstream.mlp.insert(block, pull(&plain.mlp[block], &format!("mlp {block}")));
    }
    upstream.embedding = Some(pull(&vars["wte.weight"], "embedding"));
    upstream.logits = Some(pull(&plain.logits, "logits"));

    let mut pass = Pass::new(config, sequences, time, Keep::ForBackward { contributions: true });
    let mut gradients = Parameters::zeros(config);
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
    for block in 0..config.layers {
        close(&format!("attention {block}"), &pass.attention(block), &plain.attention[block]);
        close(&format!("mlp {block}"), &pass.mlp(block), &plain.mlp[block]);
    }
    let expected = total.backward().unwrap();
    for (name, _, found) in gradients.named() {
        close(&format!("gradient of {name}"), found, expected.get(&vars[name]).unwrap());
    }
    pass.forward(model, &ids, drop).unwrap();
    pass.upstream_backward(model, &upstream, drop, &mut gradients);
    let expected = (total - plain.loss).unwrap().backward().unwrap();
    for (name, _, found) in gradients.named() {
        close(&format!("gradient without the loss of {name}"), found, expected.get(&vars[name]).unwrap());
    }
}

#[test]
fn a_pass_is_the_textbooks_model() {
    for layers in [0, 1, 3] {
        check(&model(layers), 5, 7, None); // four parts of one sequence and one left over; positions beyond the seventh unused
    }
}

#[test]
fn dropout_masks_both_ways() {
    let drop = Dropout::new(0.2, Draw::new(0, "dropout", 0, 0));
    for layers in [0, 2] {
        check(&model(layers), 4, 8, Some(&drop));
    }
}

/// Several blocks of attention, parts of several sequences, more parts than are unembedded at once.
#[test]
fn long_sequences_and_large_batches() {
    let spec = Sizes { layers: 1, width: 24, heads: 3, context: 150, mlp_width: 130 };
    let model = Model::fresh(Decoder::new(Family::Gpt2, spec, 150), 0);
    check(&model, 17, 150, None);
    check(&model, 2, 150, Some(&Dropout::new(0.2, Draw::new(0, "dropout", 0, 0))));
}

/// Attention's rows, blocks and registers are filled just so, or by one more or less.
#[test]
fn sequences_and_heads_of_any_size() {
    for (time, width, heads) in [(1, 40, 2), (15, 20, 1), (16, 80, 1), (17, 96, 3), (64, 34, 2), (65, 16, 1)] {
        let spec = Sizes { layers: 1, width, heads, context: time, mlp_width: 20 };
        check(&Model::fresh(Decoder::new(Family::Gpt2, spec, 30), 0), 2, time, None);
    }
}

/// Rounding to bfloat16 is off by at most 2⁻⁹ of a number, and the errors of many average out.
#[test]
fn rounded_factors_give_nearly_the_same_losses_and_gradients() {
    let model = model(3);
    let (ids, targets): (Vec<u32>, Vec<u32>) = ((0..40).map(|i| i * 7 % 11).collect(), (0..40).map(|i| i * 5 % 11).collect());
    let passed = |precision| {
        let mut pass = Pass::in_precision(model.decoder(), 5, 8, Keep::ForBackward { contributions: false }, precision);
        let mut gradients = Parameters::zeros(model.decoder());
        pass.forward(&model, &ids, None).unwrap();
        let losses = pass.backward(&model, &targets, &Upstream::default(), None, &mut gradients);
        (losses, gradients)
    };
    let ((exact, exact_gradients), (rounded, rounded_gradients)) = (passed(Precision::Float32), passed(Precision::BFloat16));
    assert!(exact.iter().zip(&rounded).all(|(x, y)| (x - y).abs() < 0.02 * x), "{exact:?} {rounded:?}");
    assert_ne!(exact, rounded);
    for ((name, _, exact), (.., rounded)) in exact_gradients.named().zip(rounded_gradients.named()) {
        let norm = |of: &dyn Fn(f32, f32) -> f32| exact.iter().zip(rounded).map(|(&x, &y)| of(x, y).powi(2)).sum::<f32>().sqrt();
        let off = norm(&|x, y| x - y) / norm(&|x, _| x);
        assert!(off > 0.0 && off < 0.02, "{name}: {off} of the gradient's norm");
    }
}

#[test]
fn a_later_token_changes_nothing_before_it() {
    let (time, width) = (70, 16);
    let spec = Sizes { layers: 2, width, heads: 2, context: time, mlp_width: 32 };
    let model = Model::fresh(Decoder::new(Family::Gpt2, spec, 11), 0);
    let states = |changed: usize| {
        let mut pass = Pass::new(model.decoder(), 1, time, Keep::HiddenStates);
        let ids: Vec<u32> = (0..time).map(|at| (at * 7 % 10) as u32 + u32::from(at == changed)).collect();
        pass.forward(&model, &ids, None).unwrap();
        pass.hidden_state(2)
    };
    let before = states(time);
    for changed in [0, 3, 20, 69] {
        let after = states(changed);
        let (earlier, later) = after.split_at(changed * width);
        assert_eq!(earlier, &before[..changed * width], "{changed}");
        for (at, (found, before)) in later.chunks(width).zip(before[changed * width..].chunks(width)).enumerate() {
            assert_ne!(found, before, "{at} after {changed}");
        }
    }
}

#[test]
fn forgetful_passes_see_the_same() {
    let (model, ids, targets) = (model(3), [1, 2, 3, 4, 5, 6], [2, 3, 4, 5, 6, 7]);
    let seen = |keep| {
        let mut pass = Pass::new(model.decoder(), 2, 3, keep);
        pass.forward(&model, &ids, None).unwrap();
        (pass.losses(&model, &targets), pass.hidden_state(3))
    };
    assert_eq!(seen(Keep::Last), seen(Keep::HiddenStates));
    assert_eq!(seen(Keep::Last), seen(Keep::ForBackward { contributions: false }));
}

#[test]
fn a_batch_that_does_not_fit_is_refused() {
    let model = model(1);
    let refused = |time, ids: &[u32]| Pass::new(model.decoder(), 1, time, Keep::Last).forward(&model, ids, None).unwrap_err();
    assert_eq!(refused(9, &[0; 9]).to_string(), "a sequence of 9 tokens in a model of 8 positions");
    assert_eq!(refused(2, &[0, 11]).to_string(), "token 11 in a vocabulary of 11");
}
