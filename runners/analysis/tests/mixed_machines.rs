//! One study whose trials ran on two kinds of machine: what is compared, what is left out, and what is said of it.
//!
//! Each trial has two steps of 100 tokens. The quick machine takes a second for a step of the baseline, the slow one four; a step
//! of arm `a` takes twice as long, one of `b` as long as the baseline's.
//!
//! | trained on | seed 0 | seed 1 | seed 2 |
//! |---|---|---|---|
//! | baseline | quick | quick | quick |
//! | a | quick | quick | slow |
//! | b | slow | slow | slow |

use regatta_analysis::{compare, results};
use regatta_results::{Arm, Results, TimedPairs};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

const SLOW_TRIALS: [(&str, u64); 4] = [("a", 2), ("b", 0), ("b", 1), ("b", 2)];

fn machine(is_slow: bool) -> Value {
    if is_slow {
        json!({"host": "node-2", "processor": "Xeon", "threads": 2, "instructions": "avx512_bf16", "device": "cpu"})
    } else {
        json!({"host": "node-1", "processor": "EPYC", "threads": 2, "instructions": "avx2", "device": "cpu"})
    }
}

/// The folder of the study; `alter` changes what each trial's `evaluation.json` says of its cost.
fn study(precision: &str, alter: impl Fn(&str, u64, &mut Value)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = "{name: s, seeds: [0, 1, 2], model: {width: 16}, arms: {baseline: [], a: [{regularizer: gone, weight: 0.1}],\n\
                b: [{regularizer: gone, weight: 0.2}]}, train: {steps: 2, batch_size: 4, lr: 0.001, schedule: constant,\n\
                grad_clip: none, dropout: 0.0}}";
    fs::write(folder.path().join("study.yaml"), text).unwrap();
    let model = json!({"layers": 1, "width": 16, "heads": 1, "context": 25, "vocab_size": 9, "parameters": 100});
    let data = json!({"source": "s", "train_tokens": 9, "validation_tokens": 9, "test_tokens": 9, "fingerprint": ""});
    let manifest = json!({"program": "regatta 0", "regularizers": {}, "platform": "p", "processor": "EPYC", "threads": 2,
        "instructions": "avx2", "model": model, "data": data});
    write(folder.path(), "manifest.json", &manifest);
    for arm in ["baseline", "a", "b"] {
        for seed in 0..3 {
            let trial = folder.path().join(format!("trials/{arm}/seed-{seed}"));
            fs::create_dir_all(trial.join("checkpoint")).unwrap();
            fs::write(trial.join("checkpoint/model.safetensors"), "weights").unwrap();
            write(&trial, "status.json", &json!({"state": "done", "identity": arm}));
            write(&trial, "trial.json", &json!({"train": {"precision": precision}}));
            records(&trial, (arm, seed), &alter);
        }
    }
    folder
}

/// Steps, validation losses and evaluation of a trial: the baseline goes from 6 down to 4, the others to 3.
fn records(trial: &Path, (arm, seed): (&str, u64), alter: &impl Fn(&str, u64, &mut Value)) {
    let is_slow = SLOW_TRIALS.contains(&(arm, seed));
    let seconds = if is_slow { 4.0 } else { 1.0 } * if arm == "a" { 2.0 } else { 1.0 };
    let last = if arm == "baseline" { 4.0 } else { 3.0 };
    let step = |step: usize| {
        json!({"step": step, "loss": 5.0, "penalty": 0.0, "terms": {}, "grad_norm": 1.0, "lr": 0.001,
               "tokens_per_second": 100.0 / seconds})
    };
    fs::write(trial.join("metrics.jsonl"), format!("{}\n{}\n", step(0), step(1))).unwrap();
    let measured = [json!({"step": 0, "loss": 6.0}), json!({"step": 2, "loss": last})];
    fs::write(trial.join("validation.jsonl"), format!("{}\n{}\n", measured[0], measured[1])).unwrap();
    let mut evaluation = json!({"split": "test", "loss": last, "loss_standard_error": 0.1, "perplexity": 20.0,
        "bits_per_byte": null, "excess_loss": null, "unigram_entropy": 7.0, "windows": 1, "tokens": 16, "mean_cosine": [],
        "effective_rank": [], "validation_loss": last, "wall_seconds": 1800.0, "step_ms": 1000.0 * seconds,
        "tokens_per_second": 100.0 / seconds, "peak_memory_mib": 7.0, "instructions": machine(is_slow)["instructions"],
        "machine": machine(is_slow)});
    alter(arm, seed, &mut evaluation);
    write(trial, "evaluation.json", &evaluation);
}

fn write(folder: &Path, name: &str, value: &Value) {
    fs::write(folder.join(name), value.to_string()).unwrap();
}

fn arm<'a>(results: &'a Results, name: &str) -> &'a Arm {
    results.arms.iter().find(|arm| arm.name == name).unwrap()
}

fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-9, "found {found}, expected {expected}");
}

#[test]
fn times_are_compared_on_one_kind_of_machine_only() {
    let folder = study("f32", |_, _, _| ());
    let results = results(folder.path()).unwrap();
    let (a, b) = (arm(&results, "a"), arm(&results, "b"));
    near(a.cost_ratio.unwrap(), 2.0); // with the third seed it would be the cube root of 2 · 2 · 8
    assert_eq!(a.timed_pairs, TimedPairs { finished: 3, alike: 2 });
    assert_eq!((a.cost_range.unwrap().low, a.cost_range.unwrap().high), (2.0, 2.0));
    assert_eq!((b.cost_ratio, b.cost_range, b.timed_pairs), (None, None, TimedPairs { finished: 3, alike: 0 }));
    assert_eq!(arm(&results, "baseline").cost_ratio, Some(1.0));

    // losses are compared for all seeds, at equal time two: after 2 s the baseline is done at 4, and a half way from 6 to 3
    let (of_a, of_b) = (a.difference.unwrap(), b.difference.unwrap());
    assert_eq!((of_a.pairs, of_a.mean, of_b.pairs, of_b.equal_time.is_none()), (3, -1.0, 3, true));
    let time = of_a.equal_time.unwrap();
    assert_eq!((time.pairs, time.seconds), (2, 2.0));
    near(time.mean, 0.5);

    // a crosses the baseline's 4 after 4/3 of its 2 steps, which take 8/3 s where the baseline's 2 steps take 2 s
    let target = &a.to_target[0];
    near(target.steps_ratio.unwrap().mean, 2.0 / 3.0);
    near(target.seconds_ratio.unwrap().mean, 4.0 / 3.0);
    assert_eq!((target.steps_ratio.unwrap().pairs, target.seconds_ratio.unwrap().pairs), (3, 2));
    assert!(b.to_target[0].steps_ratio.is_some() && b.to_target[0].seconds_ratio.is_none());
}

#[test]
fn who_ran_what_is_said() {
    let folder = study("f32", |_, _, _| ());
    let results = results(folder.path()).unwrap();
    let machines: Vec<_> =
        results.machines.iter().map(|of| (of.host.as_deref().unwrap(), of.kind, of.trials, of.hours)).collect();
    assert_eq!(machines, [("node-1", 1, 5, 2.5), ("node-2", 2, 4, 2.0)]); // half an hour each
    let expected = "Time is not compared for a (1 of 3 seeds) and b (3 of 3 seeds): with those seeds, the two trials of a pair \
                    ran on EPYC (2 threads, avx2) and on Xeon (2 threads, avx512_bf16).";
    assert_eq!(results.notes, [expected], "float32 has the same bytes on both");
    for trial in &results.trials {
        let is_slow = SLOW_TRIALS.contains(&(trial.arm.as_str(), trial.seed));
        assert_eq!((trial.machine, trial.machine_note.is_some()), (Some(usize::from(is_slow)), is_slow), "{trial:?}");
    }
    assert!(results.setup.contains(&("Made with".into(), "regatta 0 on 2 machines".into())), "{:?}", results.setup);

    let two = compare(folder.path(), "a", "b").unwrap(); // both of seed 2 ran on the slow machine
    assert_eq!(arm(&two, "a").timed_pairs, TimedPairs { finished: 3, alike: 1 });
    near(arm(&two, "a").cost_ratio.unwrap(), 2.0);
    assert!(two.notes[0].starts_with("Time is not compared for a (2 of 3 seeds): with"), "{:?}", two.notes);
}

#[test]
fn rounded_products_of_two_levels_are_named() {
    let folder = study("bf16", |_, _, _| ());
    let results = results(folder.path()).unwrap();
    let expected = "Machines may account for part of the difference for a (1 of 3 seeds) and b (3 of 3 seeds): with those \
                    seeds, the two trials of a pair ran on cpu at level avx2 and on cpu at level avx512_bf16, which round products of bfloat16 differently \
                    (train.precision: bf16).";
    assert_eq!((results.notes.len(), results.notes[1].as_str()), (2, expected));
    let note = |arm: &str| results.trials.iter().find(|of| of.arm == arm && of.seed == 2).unwrap().machine_note.clone();
    assert!(note("a").unwrap().contains("; machines may account for part of the difference: ") && note("baseline").is_none());
}

#[test]
fn a_trial_that_was_resumed_elsewhere_is_timed_with_none() {
    let folder = study("f32", |arm, seed, evaluation| {
        if (arm, seed) == ("baseline", 0) {
            let mut earlier = machine(true);
            earlier["wall_seconds"] = json!(900.0);
            evaluation["earlier_machines"] = json!([earlier]);
        }
    });
    let results = results(folder.path()).unwrap();
    assert_eq!(arm(&results, "a").timed_pairs, TimedPairs { finished: 3, alike: 1 });
    let hours: Vec<_> = results.machines.iter().map(|of| (of.trials, of.hours)).collect();
    assert_eq!(hours, [(5, 2.25), (5, 2.25)], "the trial counts for both, with a quarter of an hour each");
    let mixed = "ran on EPYC (2 threads, avx2) and on Xeon (2 threads, avx512_bf16) and then EPYC (2 threads, avx2).";
    assert!(
        results.notes.iter().any(|note| note.contains("for a (1 of 3 seeds): ") && note.ends_with(mixed)),
        "{:?}",
        results.notes
    );
}

#[test]
fn folders_without_machines_count_as_the_manifests_one_machine() {
    let older = |_: &str, _: u64, evaluation: &mut Value| {
        let fields = evaluation.as_object_mut().unwrap();
        fields.remove("machine");
        fields.remove("instructions");
    };
    let folder = study("f32", older);
    let found = results(folder.path()).unwrap();
    near(arm(&found, "a").cost_ratio.unwrap(), 2.0 * 4f64.cbrt()); // 2, 2 and 8
    near(arm(&found, "b").cost_ratio.unwrap(), 4.0);
    assert_eq!(arm(&found, "a").timed_pairs, TimedPairs { finished: 3, alike: 3 });
    let [machine] = &found.machines[..] else { panic!("{:?}", found.machines) };
    let of_manifest = (machine.host.as_ref(), machine.processor.as_deref(), machine.threads, machine.instructions.as_deref());
    assert_eq!((of_manifest, machine.trials), ((None, Some("EPYC"), 2, Some("avx2")), 9));
    assert!(found.notes.is_empty(), "{:?}", found.notes);
}
