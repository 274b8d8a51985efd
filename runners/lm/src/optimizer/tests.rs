//! Optimizers of whole models, by role.

use super::*;
use crate::model::{Family, Sizes};
use serde_json::{Value, json};
use std::ops::Range;

fn train(optimizer: Value) -> TrainSpec {
    serde_json::from_value(json!({ "lr": 0.1, "optimizer": optimizer })).unwrap()
}

/// A model without blocks: embeddings of one token and one position, one dim each, and a norm of one dim.
fn smallest() -> Decoder {
    Decoder::new(Family::Gpt2, Sizes { layers: 0, width: 1, heads: 1, context: 1, mlp_width: 1 }, 1)
}

fn llama() -> Decoder {
    Decoder::new(Family::Llama, Sizes { layers: 2, width: 8, heads: 2, context: 4, mlp_width: 12 }, 5)
}

fn filled(numbers: [f32; 4]) -> Parameters {
    let mut parameters = Parameters::zeros(&smallest());
    parameters.numbers_mut().copy_from_slice(&numbers);
    parameters
}

/// Numbers that differ from one another.
fn counted(decoder: &Decoder, step: usize) -> Parameters {
    let mut parameters = Parameters::zeros(decoder);
    let of = |i: usize| ((i * 7 + step * 3) % 11) as f32 / 11.0 - 0.4;
    parameters.numbers_mut().iter_mut().enumerate().for_each(|(i, x)| *x = of(i));
    parameters
}

fn all() -> [Value; 4] {
    [json!("adamw"), json!("muon"), json!("coupled_adam"), json!({"coupled_adam": {"coupled": "both"}})]
}

/// After two steps the embedding is forgotten: its third is a first one at a rate of its own, w·(1 - lr·0.1) - lr·sign(g), while
/// the position goes on as if nothing had happened. Of one token, coupled Adam is AdamW; without blocks, so is Muon.
#[test]
fn an_embedding_that_is_forgotten_starts_again_alone() {
    for optimizer in all() {
        let run = |forgets: bool| {
            let mut parameters = filled([1.0, -2.0, 3.0, 3.0]);
            let mut of = Optimizer::new(&smallest(), &train(optimizer.clone()));
            for step in 0..3 {
                if forgets && step == 2 {
                    parameters.numbers_mut()[0] = 5.0;
                    of.forget_embedding();
                }
                let pace = Pace { factor: 3.0, updates: 1 };
                let gradients = filled([4.0, 1.0 + step as f32, 3.0, 3.0]);
                of.step(&mut parameters, &gradients, 1.0, 1.0, Some(pace).filter(|_| forgets && step == 2));
            }
            parameters.numbers().to_vec()
        };
        let (forgotten, kept) = (run(true), run(false));
        assert!((forgotten[0] - (5.0 * 0.97 - 0.3)).abs() < 1e-6, "{optimizer}: {forgotten:?}");
        assert_eq!(forgotten[1..], kept[1..], "{optimizer}");
    }
}

#[test]
fn groups_have_rates_and_decays_of_their_own() {
    let mut parameters = filled([1.0; 4]);
    let groups = json!({"embedding": {"lr": 0.2}, "positions": {"weight_decay": 0.5}, "norms": {"lr": 0.4, "weight_decay": 1.0}});
    let mut optimizer = Optimizer::new(&smallest(), &train(json!({ "adamw": groups })));
    optimizer.step(&mut parameters, &filled([3.0; 4]), 0.5, 1.0, None);
    // a first step moves each by its rate, halved by the schedule; decays 0.1, 0.5 and 1 times that rate
    let expected = [0.99 - 0.1, 0.975 - 0.05, 0.8 - 0.2, 0.8 - 0.2];
    let found = parameters.numbers();
    assert!(found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-6), "{found:?}, expected {expected:?}");
}

#[test]
fn tensors_have_the_state_that_their_method_needs() {
    let state = |optimizer: Value| {
        let optimizer = Optimizer::new(&llama(), &train(optimizer));
        let shapes = optimizer.state().into_iter().flat_map(|(group, state)| {
            state.each().map(move |(spec, _)| (format!("{group}{}", spec.name), spec.shape.clone())).collect::<Vec<_>>()
        });
        shapes.collect::<std::collections::BTreeMap<_, _>>()
    };
    let adamw = state(json!("adamw"));
    assert_eq!((adamw.len(), &adamw["second.wte.weight"][..]), (2 * 15, &[5, 8][..]));
    let muon = state(json!("muon"));
    assert_eq!((muon.len(), &muon["momentum.h.1.attn.c_attn.weight"][..]), (2 * 7 + 8, &[8, 24][..]));
    assert!(!muon.contains_key("first.h.1.attn.c_attn.weight") && muon.contains_key("first.lm_head.weight"));
    let coupled = state(json!({"coupled_adam": {"coupled": "both"}}));
    assert_eq!([&coupled["second.wte.weight"][..], &coupled["second.lm_head.weight"][..]], [&[8]; 2]);
    assert_eq!((coupled.len(), &coupled["first.wte.weight"][..]), (2 * 15, &[5, 8][..]));
    for optimizer in all() {
        let numbers =
            Optimizer::new(&llama(), &train(optimizer.clone())).state().iter().map(|(_, s)| s.numbers().len()).sum::<usize>();
        assert_eq!(numbers, train(optimizer).optimizer.state(&llama()));
    }
}

/// Steps are steps, with or without a stop after the second, on one thread or three.
#[test]
fn an_optimizer_that_was_cut_off_goes_on_bit_for_bit() {
    for optimizer in all() {
        let train = train(optimizer.clone());
        let steps = |optimizer: &mut Optimizer, parameters: &mut Parameters, steps: Range<usize>| {
            steps.for_each(|step| optimizer.step(parameters, &counted(&llama(), step), 1.0, 0.5, None));
        };
        let on = |threads: usize| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let whole = on(1).install(|| {
            let (mut optimizer, mut parameters) = (Optimizer::new(&llama(), &train), counted(&llama(), 0));
            steps(&mut optimizer, &mut parameters, 0..5);
            parameters
        });
        let cut = on(3).install(|| {
            let (mut first, mut parameters) = (Optimizer::new(&llama(), &train), counted(&llama(), 0));
            steps(&mut first, &mut parameters, 0..2);
            let mut second = Optimizer::new(&llama(), &train);
            second.restore(first.into_state(), 2);
            assert_eq!(second.updates(), 2);
            steps(&mut second, &mut parameters, 2..5);
            parameters
        });
        assert_eq!(cut.numbers(), whole.numbers(), "{optimizer}");
        assert!(whole.numbers().iter().all(|x| x.is_finite()));
    }
}
