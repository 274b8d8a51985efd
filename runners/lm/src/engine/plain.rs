//! The same model of candle's differentiable operations, as a textbook has it: what [`Pass`] is compared with. Each part's
//! operations are beside the part.

use super::dropout::Dropout;
use super::setting::place;
use super::{Keep, Pass, Upstream, attention, embedding, mlp, norm, output};
use crate::model::testing::{model, random};
use crate::model::{
    Biases, Decoder, Family, Map, Mlp, Model, NormKind, NormPlacement, Parameters, Positions, QkNorm, Rotary, Sizes,
};
use candle_core::{DType, Device, Result, Tensor, Var};
use candle_nn::ops::log_softmax;
use regatta_core::Draw;
use regatta_kernels::Precision;
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

/// One mask a sequence, of `length` numbers.
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
    let normed = |x: &Tensor, name: &str, placement: NormPlacement| match decoder.norm_placement == placement {
        true => norm::plain::norm(decoder, vars, name, x),
        false => Ok(x.clone()),
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

#[test]
fn a_pass_is_the_textbooks_model() {
    for layers in [0, 1, 3] {
        check(&model(layers), 5, 7, None); // four parts of one sequence and one left over; positions beyond the seventh unused
    }
}

fn small(family: Family) -> Decoder {
    Decoder::new(family, Sizes { layers: 2, width: 16, heads: 4, context: 8, mlp_width: 24 }, 11)
}

#[test]
fn every_family_is_the_textbooks_model() {
    let drop = Dropout::new(0.2, Draw::new(0, "dropout", 0, 0));
    for family in Family::ALL {
        // heads of 8 dims, so that a quarter of one, GPT-NeoX's, is a pair to turn
        let model = random(Decoder { head_dim: 8, ..small(family) });
        check(&model, 5, 7, None);
        check(&model, 4, 8, Some(&drop));
    }
}

/// One option at a time is changed, from a GPT-2 and from a Llama with fewer heads of keys and values.
#[test]
fn every_option_is_the_textbooks() {
    let rotary = |fraction| Positions::Rotary(Rotary { fraction, ..Rotary::default() });
    let changes: [fn(&mut Decoder); 16] = [
        |it| it.norm = NormKind::LayerNorm,
        |it| it.norm = NormKind::RmsNorm,
        |it| it.norm_placement = NormPlacement::After,
        |it| it.mlp = Mlp::Gelu,
        |it| it.mlp = Mlp::GeluTanh,
        |it| it.mlp = Mlp::Swiglu,
        |it| it.qk_norm = QkNorm::PerHead,
        |it| it.qk_norm = QkNorm::AllHeads,
        |it| it.biases = Biases::ALL,
        |it| it.biases = Biases::NONE,
        |it| it.tied = !it.tied,
        |it| it.parallel = true,
        |it| it.logit_cap = Some(2.0),
        |it| (it.kv_heads, it.head_dim) = (1, 6), // heads are wider together than the stream
        |it| it.head_dim = 2,
        |it| it.positions = Positions::Learned,
    ];
    for base in [small(Family::Gpt2), Decoder { kv_heads: 2, ..small(Family::Llama) }] {
        for change in changes {
            let mut decoder = base.clone();
            change(&mut decoder);
            println!("{decoder:?}");
            check(&random(decoder), 3, 7, None);
        }
        check(&random(Decoder { positions: rotary(0.5), ..base.clone() }), 3, 7, None);
    }
    let all_at_once = Decoder {
        norm: NormKind::RmsNorm,
        norm_placement: NormPlacement::After,
        positions: rotary(1.0),
        mlp: Mlp::Swiglu,
        qk_norm: QkNorm::AllHeads,
        kv_heads: 2,
        head_dim: 6,
        logit_cap: Some(3.0),
        parallel: true,
        tied: false,
        ..small(Family::Gpt2)
    };
    check(&random(all_at_once), 5, 8, Some(&Dropout::new(0.2, Draw::new(0, "dropout", 0, 0))));
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
    for ((spec, exact), (_, rounded)) in exact_gradients.each().zip(rounded_gradients.each()) {
        let norm = |of: &dyn Fn(f32, f32) -> f32| exact.iter().zip(rounded).map(|(&x, &y)| of(x, y).powi(2)).sum::<f32>().sqrt();
        let off = norm(&|x, y| x - y) / norm(&|x, _| x);
        assert!(off > 0.0 && off < 0.02, "{}: {off} of the gradient's norm", spec.name);
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
