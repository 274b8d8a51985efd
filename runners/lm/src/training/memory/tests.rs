//! By hand, and held to what steps allocate on the CPU.

use super::*;
use crate::device::Compute;
use crate::engine::memory::{peak, trained};
use crate::model::{Family, Model, Sizes};
use crate::spec::{MuonSpec, Weight};
use crate::training::Learner;
use candle_core::Tensor;
use regatta_core::number::Finite;
use regatta_core::{
    Action, Cloud, CompanionObjective, Draw, Home, Intervention, MaxPoints, Outputs, Plugin, Regularizer, intervention,
    regularizer, typetag,
};
use serde_json::{Value, json};

const MIB: u128 = 1 << 20;

fn train(fields: Value) -> TrainSpec {
    serde_json::from_value(fields).unwrap()
}

fn small() -> Decoder {
    Decoder::new(Family::Gpt2, Sizes { layers: 12, width: 768, heads: 12, context: 1024, mlp_width: 3072 }, 50_257)
}

fn needs<'a>(decoder: &'a Decoder, train: &'a TrainSpec) -> Needs<'a> {
    Needs { decoder, train, terms: &[], interventions: &[], checkpoint: &|_| None, on_cpu: false, recompute: false }
}

/// GPT-2 (124M) with 8 sequences of 1,024 tokens. A token leaves 32 rows of 768 numbers and 12 logarithms in each of 12 blocks, and
/// two rows at the end. With all of it stand the gradients of the output matrix and of a block.
#[test]
fn gpt2_is_counted_by_hand() {
    let (decoder, train) = (small(), train(json!({"batch_size": 8})));
    let estimate = needs(&decoder, &train).estimate();
    let of = |name: &str| estimate.parts().iter().find(|(part, _)| *part == name).map(|(_, bytes)| *bytes);
    let tokens = 8 * 1024;
    assert_eq!(of("activations"), Some(4 * tokens * (12 * (32 * 768 + 12) + 2 * 768)));
    assert_eq!((of("weights"), of("optimizer")), (Some(4 * 124_439_808), Some(8 * 124_439_808)));
    assert_eq!(of("gradients"), Some(4 * (50_257 * 768 + 7_087_872)));
    let expected = "about 11.8 GiB (activations 9.1, working memory 1.2, optimizer 0.9, weights 0.5, gradients 0.2)";
    assert_eq!(estimate.to_string(), expected);
}

#[test]
fn what_does_not_fit_is_refused_with_a_way_out() {
    let (decoder, train) = (small(), train(json!({"batch_size": 8})));
    let needs = needs(&decoder, &train);
    let gib = 1 << 30;
    assert_eq!(needs.check("cuda:0", 16 * gib), Ok(needs.estimate()));
    let refused = needs.check("cuda:0", 8 * gib).unwrap_err();
    let start = "expected a study that fits on cuda:0, where 8.0 GiB are free for a trial, found one that needs about 11.8 GiB (";
    assert!(refused.starts_with(start), "{refused}");
    assert!(refused.ends_with("gradients 0.2): `train.accumulate: 2` needs about 7.2 GiB, with the same result"), "{refused}");
    let refused = needs.check("cuda:0", 2 * gib).unwrap_err();
    assert!(refused.ends_with(": a smaller model, a shorter `train.context` or another device is needed"), "{refused}");
    assert!(needs.check("cuda:0", 100 * MIB).unwrap_err().contains("where 100.0 MiB are free for a trial"));
}

regularizer! {
    name: "far_away",
    summary: "how far two views are apart",
    paper: "none: for tests",
    formula: "none",
    expects: "two views",
    struct FarAway {}
}

#[typetag::serde(name = "far_away")]
impl Regularizer for FarAway {
    fn penalty(&self, cloud: &Cloud, _: &mut Draw) -> regatta_core::Result<Tensor> {
        Ok(cloud.points().mean_all()?)
    }

    fn needs_view(&self) -> bool {
        true
    }

    fn home(&self) -> Home {
        Home::BATCH
    }
}

/// On all hidden states.
fn far_away() -> Term {
    let at = At::from(Home { site: Site::HiddenStates, ..Home::DEFAULT });
    Term { regularizer: Plugin(Box::new(FarAway {})), weight: Weight::Constant(Finite::new(1.0)), at }
}

intervention! {
    name: "trailing",
    summary: "compares with a moving average",
    paper: "none: for tests",
    formula: "none",
    struct Trailing {}
}

#[typetag::serde(name = "trailing")]
impl Intervention for Trailing {
    fn action(&self) -> Option<Action<'_>> {
        Some(Action::Objective(self))
    }
}

impl CompanionObjective for Trailing {
    fn weight(&self) -> f64 {
        1.0
    }

    fn companion(&self) -> Companion {
        Companion::MovingAverage { decay: 0.5 }
    }

    fn compared(&self) -> Compared {
        Compared::Logits
    }

    fn objective(&self, outputs: &Outputs<'_>, _: &[Tensor]) -> regatta_core::Result<Tensor> {
        Ok(outputs.own.mean_all()?)
    }
}

#[test]
fn what_an_arm_adds_is_counted() {
    let (decoder, train) = (small(), train(json!({"batch_size": 8, "context": 512})));
    let of = |needs: Needs<'_>, name: &str| {
        let estimate = needs.estimate();
        estimate.parts().iter().find(|(part, _)| *part == name).map_or(0, |(_, bytes)| *bytes)
    };
    let plain = needs(&decoder, &train);
    let tokens = 8 * 512;
    let terms = [far_away()];
    let viewed = Needs { terms: &terms, ..plain };
    assert_eq!(of(viewed, "second view"), of(plain, "activations"));
    assert_eq!(of(viewed, "gradients of activations"), 12 * 4 * tokens * 768);
    let interventions: [Plugin<dyn Intervention>; 1] = [Plugin(Box::new(Trailing {}))];
    let averaged = Needs { interventions: &interventions, ..plain };
    assert_eq!(of(averaged, "companions"), 4 * 124_439_808);
    assert_eq!(of(averaged, "objectives"), 7 * 4 * tokens * 50_257); // whole logits of both models, and six such tensors
    let again = Needs { recompute: true, ..plain };
    assert!(again.estimate().bytes() < plain.estimate().bytes() / 2);
    let muon =
        super::TrainSpec { optimizer: serde_json::from_value(json!({"muon": MuonSpec::default()})).unwrap(), ..train.clone() };
    assert_eq!(of(Needs { train: &muon, ..plain }, "optimizer"), 8 * 124_439_808 - 4 * 12 * 12 * 768 * 768); // one moment of matrices
}

regularizer! {
    name: "all_pairs",
    summary: "each point and each other one",
    paper: "none: for tests",
    formula: "none",
    expects: "not too many points",
    struct AllPairs {}
}

#[typetag::serde(name = "all_pairs")]
impl Regularizer for AllPairs {
    fn penalty(&self, cloud: &Cloud, _: &mut Draw) -> regatta_core::Result<Tensor> {
        Ok(cloud.points().matmul(&cloud.points().t()?)?.mean_all()?)
    }
}

/// 8 groups of 512 points, or 64 of them, in 768 dims; and one group of all.
#[test]
fn pairs_of_points_are_counted_where_a_home_limits_them() {
    let (decoder, train) = (small(), train(json!({"batch_size": 8, "context": 512})));
    let of = |regularizer: fn() -> Box<dyn Regularizer>, home: Home| {
        let weight = Weight::Constant(Finite::new(1.0));
        let terms = [Term { regularizer: Plugin(regularizer()), weight, at: At::from(home) }];
        Needs { terms: &terms, ..needs(&decoder, &train) }.penalties()
    };
    let all_pairs: fn() -> Box<dyn Regularizer> = || Box::new(AllPairs {});
    let (leaf, cloud) = (4 * 8 * 512 * 768, |points: u128| 12 * 4 * 8 * points * 768);
    let whole = Home { max_points: None, ..Home::DEFAULT };
    assert_eq!(of(all_pairs, whole), 3 * leaf + cloud(512) + 22 * 4 * 8 * 512 * 512);
    let few = Home { max_points: Some(MaxPoints::new(64)), ..Home::DEFAULT };
    assert_eq!(of(all_pairs, few), 3 * leaf + cloud(64) + 22 * 4 * 8 * 64 * 64);
    assert_eq!(of(all_pairs, Home::BATCH), 3 * leaf + cloud(512) + 22 * 4 * 4096 * 4096);
    assert_eq!(of(|| Box::new(FarAway {}), whole), 2 * (3 * leaf + cloud(512)), "two views, and no pairs");
}

/// Within an eighth of the most that the thread held during two steps; what only a plugin knows is assumed, and may be less.
#[test]
fn steps_allocate_what_is_estimated() {
    let sizes = |layers, width, context, mlp_width| Sizes { layers, width, heads: width / 32, context, mlp_width };
    let of = |family, sizes, vocabulary| Decoder::new(family, sizes, vocabulary);
    let usual = sizes(2, 128, 128, 512);
    let long = sizes(1, 64, 512, 256);
    let (none, viewed) = ([], [far_away()]);
    let averaged: [Plugin<dyn Intervention>; 1] = [Plugin(Box::new(Trailing {}))];
    for (decoder, fields, terms, interventions) in [
        (of(Family::Gpt2, usual, 500), json!({"batch_size": 4}), &none[..], &[][..]),
        (of(Family::Gpt2, usual, 500), json!({"batch_size": 8, "accumulate": 2, "precision": "bf16"}), &none, &[]),
        (of(Family::Llama, usual, 500), json!({"batch_size": 4, "optimizer": "muon"}), &none, &[]),
        (of(Family::Qwen3, usual, 500), json!({"batch_size": 4, "optimizer": "coupled_adam"}), &none, &[]),
        (of(Family::GptNeox, usual, 500), json!({"batch_size": 4}), &viewed, &[]),
        (of(Family::Olmo2, usual, 2000), json!({"batch_size": 4}), &none, &averaged),
        (Decoder { logit_cap: Some(30.0), ..of(Family::Gpt2, usual, 10_000) }, json!({"batch_size": 4}), &none, &[]),
        (of(Family::Gpt2, long, 100), json!({"batch_size": 2, "dropout": 0.1}), &none, &[]),
        (Decoder { kv_heads: 1, ..of(Family::Llama, long, 100) }, json!({"batch_size": 2, "precision": "bf16"}), &none, &[]),
        (of(Family::Gpt2, sizes(4, 256, 16, 1024), 100), json!({"batch_size": 1}), &none, &[]),
    ] {
        let train = train(fields.clone());
        let needs = Needs { on_cpu: true, terms, interventions, ..needs(&decoder, &train) };
        let batch = train.batch_size.get();
        let ids: Vec<u32> = (0..batch * decoder.context).map(|i| (i * 7 % decoder.vocab_size) as u32).collect();
        let steps = || {
            let compute = Compute::Candle(candle_core::Device::Cpu);
            let model = Model::fresh(decoder.clone(), 0);
            let mut learner = Learner::on(&compute, model, &train, terms, interventions, 0).unwrap();
            (0..2).for_each(|step| drop(learner.step(step, batch, &ids, &ids).unwrap()));
        };
        let most = if interventions.is_empty() { 1.125 } else { 1.4 };
        close(&needs, peak(steps).1, most);
        if terms.is_empty() && interventions.is_empty() && train.accumulate.get() == 1 {
            let again = Needs { recompute: true, ..needs };
            close(&again, peak(|| trained(&again.pass(&decoder), &train)).1, 1.125);
        }
    }
}

fn close(needs: &Needs<'_>, found: u64, most: f64) {
    let estimate = needs.estimate();
    let ratio = estimate.bytes() as f64 / found as f64;
    let Needs { decoder, train, recompute, .. } = needs;
    let of = format!("{decoder:?}, {train:?}, recompute {recompute}");
    assert!((0.875..most).contains(&ratio), "{found} bytes, estimated {ratio:.3} of them: {estimate}; {of}");
}
