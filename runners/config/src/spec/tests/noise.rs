//! Noise in sweeps, tuning and overrides: whatever is written is read, or refused in one line, within a second.

use super::vary::written_again;
use super::{Desk, WHOLE, check};
use crate::spec::StudyFile;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::time::{Duration, Instant};

/// Part of a path, right or wrong.
const PART: &str = "(train|model|arms|data|vary|tune|\\*|0|1|lr|steps|width|context|weight|to|at|layers|regularizer|dispersion|temperature|text|init|baseline|spread-0\\.1|schedule|cosine|warmup|optimizer|muon|tokens|[a-z*.]{0,3})";
/// A value, right or wrong.
const VALUE: &str = "(0|1|2|64|0\\.5|-1|1e-3|none|last|constant|bytes|muon|20K|\\{wsd: \\}|\\{adamw: \\{embedding: \\{lr: 1\\}\\}\\}|\\[1\\]|\\{steps: 2\\}|~|\\{\\}|\\PC{0,6})";

/// Reads `desk` with `overrides`, within a second.
fn read(desk: &Desk, overrides: &[String]) -> Option<StudyFile> {
    let started = Instant::now();
    let read = StudyFile::read(&desk.study, overrides);
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    read.map_err(|refusal| assert_eq!(refusal.to_string().lines().count(), 1, "{refusal}")).ok()
}

fn run<T: Strategy>(cases: u32, strategy: T, test: impl Fn(T::Value) -> Result<(), TestCaseError>) {
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() }).run(&strategy, test).unwrap();
}

#[test]
fn no_override_ends_in_a_panic() {
    let desk = Desk::with(WHOLE);
    let assignment = (proptest::collection::vec(PART, 0..5), "=?", "(\\PC{0,12}|\\{\\PC{0,5}\\}|\\[\\PC{0,5}\\])");
    run(10_000, assignment, |(path, equals, value)| {
        read(&desk, &[format!("{}{equals}{value}", path.join("."))]);
        Ok(())
    });
}

#[test]
fn no_sweep_ends_in_a_panic() {
    let desk = Desk::with(WHOLE);
    let path = proptest::collection::vec(PART, 1..5).prop_map(|parts| parts.join("."));
    let known = "(train.lr|train.steps|model.width|model.context|model.mlp_width|arms.\\*.0.weight|arms.\\*.\\*.at.layers|train.schedule|tokenizer|data.synthetic.seed|train.optimizer|train.tokens|train.optimizer.adamw.betas.\\*|arms.spread-0.1.1.weight.to)";
    let axis = (prop_oneof![path, known], proptest::collection::vec(VALUE, 0..4));
    let axes = proptest::collection::vec(axis, 0..4);
    run(2_000, (axes, any::<bool>()), |(axes, product)| {
        let axis = |(path, values): &(String, Vec<String>)| match product {
            true => format!("{path:?}: [{}]", values.join(", ")),
            false => format!("{{{path:?}: {}}}", values.first().map_or("", String::as_str)),
        };
        let axes: Vec<String> = axes.iter().map(axis).collect();
        let vary = if product { format!("vary={{{}}}", axes.join(", ")) } else { format!("vary=[{}]", axes.join(", ")) };
        if let Some(file) = read(&desk, &[vary]) {
            written_again(&file);
        }
        Ok(())
    });
}

#[test]
fn no_tuning_ends_in_a_panic() {
    let desk = Desk::with(WHOLE);
    let field = ("(weight|lr|metric|seeds|[a-z]{0,3})", "(\\[[0-9., ]{0,8}\\]|[0-9]{1,20}|validation_loss|\\PC{0,6})");
    run(1_000, proptest::collection::vec(field, 0..4), |fields| {
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        if let Some(file) = read(&desk, &[format!("tune={{{}}}", fields.join(", "))]) {
            let trials = file.study.tune.as_ref().map_or(0, |tune| tune.trials());
            for arm in &file.study.arms {
                prop_assert_eq!(file.study.candidates(arm).iter().map(|(_, seeds)| seeds.len()).sum::<usize>(), trials);
            }
            written_again(&file);
        }
        Ok(())
    });
}

/// Slips in the sections' names and keys; each is refused where it stands, and what was meant is named.
#[test]
fn slips_are_recognised() {
    let text = "vary: {train.lr: [1], arms.*.0.at.layers: [all]}\ntune: {weight: [1], metric: validation_loss, seeds: 2}\narms: {a: [], b: [{regularizer: infonce, weight: 1}]}\n";
    let slips = "vary:>vray: vary:>varry: tune:>tnue: tune:>tun: tune:>Tune: train.lr>trian.lr train.lr>train.lrr train.lr>train.rl \
                 train.lr>tran.lr arms.*>arm.* .at>.att layers:>layer: layers:>layres: weight:>wieght: weight:>weights: metric:>metirc: \
                 metric:>metrics: validation_loss>validaton_loss validation_loss>validation-loss seeds:>seed: seeds:>sedes:";
    for slip in slips.split_whitespace() {
        let (name, slipped) = slip.split_once('>').unwrap();
        let (at, text) = (text.find(name).unwrap(), text.replacen(name, slipped, 1));
        let line = text[..at].lines().count().max(1) + usize::from(text[..at].ends_with('\n'));
        let key = name.trim_start_matches("train.").trim_matches(['.', ':', '*']);
        let meant = if slipped.starts_with("tr") && !slipped.starts_with("train.") { "train" } else { key };
        check(&text, &format!("x.yaml:{line}:"), &format!("did you mean `{meant}`?"));
    }
    check("extnds: a.yaml\narms: {a: []}", "x.yaml:1:1: ", "did you mean `extends`?");
    check("metric: a\narms: {a: []}", "x.yaml:1:1: ", "did you mean `tune.metric`?");
    check("vary: {lr: [1]}\narms: {a: []}", "x.yaml:1:8: vary.lr: ", "did you mean `train.lr`?");
}

/// What is written is read again as the same variants, whatever the user left out and the sweep reaches into.
#[test]
fn sweeps_are_written_and_read_again() {
    let some = |texts: &'static [&'static str]| proptest::sample::select(texts);
    let base = (
        some(&[
            "",
            "model: {width: 64}\n",
            "model: {layers: 1, mlp_width: 100}\n",
            "model: {family: llama, qk_norm: true}\n",
            "model: {positions: rotary, kv_heads: 2}\n",
            "model: {init: .}\n",
        ]),
        some(&["", "train: {context: 16}\n", "train: {schedule: constant}\n", "train: {schedule: {cosine: }}\n"]),
        some(&["", "data: synthetic\n", "data: {synthetic: {seed: 3}}\n", "data: {text: {file: x.yaml}}\n"]),
        some(&["", "tokenizer: bytes\n", "tokenizer: {bpe: }\n"]),
    );
    let axes = proptest::sample::subsequence(
        vec![
            "model.width: [64, 32]",
            "model.context: [32, 16]",
            "model.family: [gpt2, qwen3]",
            "model.positions.rotary.theta: [5, 50]",
            "model.positions: [learned, rotary]",
            "model.heads: [4, 2]",
            "model.init: [.]",
            "model: [{layers: 1}, {init: .}]",
            "train.lr: [1, 2.5e-7]",
            "train.schedule: [constant, cosine]",
            "train.schedule.cosine.warmup: [3]",
            "train.schedule: [{wsd: {decay: 0.1}}, linear]",
            "train.optimizer: [adamw, muon, coupled_adam]",
            "train.optimizer.muon.lr: [0.1, 0.2]",
            "train.optimizer.adamw.weight_decay: [0]",
            "train.tokens: [100K, 200K]",
            "data.synthetic.seed: [1, 2]",
            "data.text.file: [x.yaml]",
            "data: [synthetic, {text: {file: x.yaml}}]",
            "tokenizer.bpe.vocab_size: [300]",
            "arms.*.0.weight: [0, 2]",
            "arms.*.*.at.layers: [last, [1]]",
            "arms.b.1.regularizer: [vicreg, {dispersion: }]",
            "arms.b.0: [{regularizer: vicreg, weight: 1}]",
        ],
        1..4,
    );
    let legal = std::cell::Cell::new(0);
    run(500, (base, axes), |((model, train, data, tokenizer), axes)| {
        let arms =
            "arms: {a: [], b: [{regularizer: infonce, weight: 1}, {regularizer: infonce, weight: {from: 0, to: 1, steps: 2}}]}";
        let desk = Desk::with(format!("{model}{train}{data}{tokenizer}{arms}\nvary: {{{}}}\n", axes.join(", ")));
        if let Some(file) = read(&desk, &[]) {
            written_again(&file);
            legal.set(legal.get() + 1);
        }
        Ok(())
    });
    assert!(legal.get() > 150, "{} of 500 are legal", legal.get());
}
