//! A trial that is cut off goes on as if it had not been: the same steps, each once, and the same bytes.

use crate::{Study, tiny};
use std::process::Output;

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// One seed and `steps` steps, one arm with `terms` and a regularizer that interrupts its process after so many calls.
fn interrupted(steps: usize, terms: &str, after: usize) -> String {
    let interrupt = format!("{{regularizer: {{misbehaving: {{how: interrupt, after: {after}}}}}, weight: 0.001}}");
    let comma = if terms.is_empty() { "" } else { ", " };
    tiny("")
        .replace("seeds: [0, 1]", "seeds: [0]")
        .replace("steps: 8", &format!("steps: {steps}, dropout: 0.1"))
        .replace("  baseline: []\n", &format!("  cut: [{terms}{comma}{interrupt}]\n"))
}

/// Runs a study until it is done; how often that took.
fn run_until_done(study: &Study, out: &str, environment: &[(&str, &str)], more: &[&str]) -> usize {
    for runs in 1..=60 {
        let mut command = study.command(&[&["run", "study.yaml", "--out", out], more].concat());
        command.envs(environment.iter().copied());
        let output = command.output().unwrap();
        assert!(!words(&output).contains("panicked"), "{}", words(&output));
        if output.status.success() {
            return runs;
        }
    }
    panic!("not done after 60 runs");
}

#[test]
fn a_stop_after_any_step_changes_nothing() {
    // 4000 tokens are 250 windows of 16: with 25 a batch an epoch ends after step 10
    let measures =
        |text: String| text.replace("evaluate: {every: 4}", "evaluate: {every: 4, diagnostics: {every: 3, points: 32}}");
    let yaml = |after| measures(interrupted(20, "", after).replace("batch_size: 4", "batch_size: 25"));
    let study = Study::new(&yaml(1000));
    assert_eq!(run_until_done(&study, "whole", &[], &[]), 1);
    let diagnoses = std::fs::read_to_string(study.trial("whole", "cut", 0).join("diagnostics.jsonl")).unwrap();
    let steps = diagnoses.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["step"].as_u64().unwrap());
    assert!(steps.eq([0, 3, 6, 9, 12, 15, 18, 20]));
    for stop in 1..=20 {
        std::fs::write(study.path().join("study.yaml"), yaml(stop - 1)).unwrap(); // the call of step `stop`, counted from 1
        let (out, every) = (format!("stop-{stop}"), if stop % 2 == 0 { "3steps" } else { "60s" });
        let runs = run_until_done(&study, &out, &[], &["--checkpoint-every", every]);
        assert_eq!(runs, if stop == 20 { 2 } else { 20usize.div_ceil(stop) + usize::from(20 % stop == 0) }, "stop after {stop}");
        study.assert_equal_trials(&out, "whole", "cut", 0, &format!("stopped after every {stop} steps"));
        assert!(!study.trial(&out, "cut", 0).join("resume").exists(), "what a trial goes on from is gone when it is done");
    }
}

/// The state of the second engine is in the checkpoint, that of companions and of their parameters too.
#[test]
fn a_stop_changes_nothing_on_a_device() {
    let device = crate::test_device();
    let terms = "{intervention: byol}, {intervention: quantised_weights}, {regularizer: mmcr, weight: 0.1}";
    let yaml = |after| interrupted(12, terms, after).replace("schedule: constant", "schedule: constant, accumulate: 2");
    let study = Study::new(&yaml(1000));
    assert_eq!(run_until_done(&study, "whole", &[], &["--device", &device]), 1);
    for after in [5, 14] {
        std::fs::write(study.path().join("study.yaml"), yaml(after)).unwrap();
        let out = format!("cut-{after}");
        assert!(run_until_done(&study, &out, &[], &["--device", &device, "--checkpoint-every", "3steps"]) > 1);
        study.assert_equal_trials(&out, "whole", "cut", 0, &format!("stopped after {after} calls"));
    }
}

/// The times of a trial that was resumed with other threads mix two kinds of machine, so its records name both.
#[test]
fn a_trial_that_goes_on_with_other_threads_keeps_both_machines() {
    let study = Study::new(&interrupted(12, "", 7));
    let run = |threads: &str, expected: i32| {
        let output = study.command(&["run", "study.yaml", "--out", "out"]).env("RAYON_NUM_THREADS", threads).output().unwrap();
        assert_eq!(output.status.code(), Some(expected), "{}", words(&output));
    };
    run("1", 1);
    run("2", 0);
    let found = study.json("out", "cut", 0, "evaluation.json");
    let [earlier] = &found["earlier_machines"].as_array().unwrap()[..] else { panic!("{found}") };
    assert_eq!((&earlier["threads"], &found["machine"]["threads"]), (&1.into(), &2.into()));
    assert_eq!(earlier["host"], found["machine"]["host"]);
    let seconds = |of: &serde_json::Value| of["wall_seconds"].as_f64().unwrap();
    assert!(0.0 < seconds(earlier) && seconds(earlier) < seconds(&found), "{found}");
}

#[test]
fn every_regularizer_goes_on_bit_for_bit_on_one_thread_and_on_two() {
    let kinds = [
        "dispersion",
        "{dispersion: {variant: l2_repel}}",
        "{dispersion: {variant: decorrelation}}",
        "{dispersion: {variant: orthogonalization}}",
        "{dispersion: {variant: perplexity_entropy}}",
        "infonce",
        "{infonce: {form: negatives}}",
        "vicreg",
        "sigreg",
        "whitening",
        "{whitening: {form: gaussian_kl}}",
        "{whitening: {form: zca_distance}}",
        "cosreg",
        "koleo",
        "coding_rate",
        "von_neumann_entropy",
        "istar",
        "centering",
        "decov",
        "hyperspherical_energy",
        "mmd",
        "orthogonality",
        "{sketched_isotropy: {sketch_dims: 8}}",
        "barlow_twins",
        "{infonce: {form: contrastive}}",
        "{infonce: {form: align_uniform}}",
        "{vicreg: {invariance: 25}}",
        "{whitening: {form: w_mse}}",
    ];
    for kind in kinds {
        goes_on_bit_for_bit(&format!("{{regularizer: {kind}, weight: 0.05, at: {{max_points: 9, scale: layer_norm}}}}"));
    }
}

fn goes_on_bit_for_bit(entries: &str) {
    goes_on_as_it_was(entries, &|yaml| yaml);
}

/// Seven steps in one go on two threads, and cut off after every second step on one thread and on two; of a study that `change`
/// makes of one with these entries.
fn goes_on_as_it_was(entries: &str, change: &dyn Fn(String) -> String) {
    let study = Study::new(&change(interrupted(7, entries, 1000)));
    run_until_done(&study, "whole", &[("RAYON_NUM_THREADS", "2")], &[]);
    std::fs::write(study.path().join("study.yaml"), change(interrupted(7, entries, 2))).unwrap();
    for threads in ["1", "2"] {
        assert!(run_until_done(&study, threads, &[("RAYON_NUM_THREADS", threads)], &[]) > 2);
        study.assert_equal_trials(threads, "whole", "cut", 0, &format!("{entries} on {threads} threads"));
    }
}

#[test]
fn every_optimizer_goes_on_bit_for_bit_on_one_thread_and_on_two() {
    let groups = "embedding: {lr: 0.01, weight_decay: 0}, norms: {lr: 2.0e-3}";
    for optimizer in [
        &format!("{{adamw: {{{groups}}}}}"),
        "muon",
        &format!("{{muon: {{lr: 0.02, scale: original, nesterov: false, steps: 3, adamw: {{{groups}}}}}}}"),
        "coupled_adam",
        &format!("{{coupled_adam: {{coupled: both, adamw: {{{groups}}}}}}}"),
    ] {
        let schedule = "schedule: {wsd: {warmup: 0.2, decay: 3}}";
        let with = |yaml: String| yaml.replace("schedule: constant", &format!("{schedule}, optimizer: {optimizer}"));
        // the embedding forgotten at steps 3 and 6, and parameters of an intervention's own
        goes_on_as_it_was("{intervention: {active_forgetting: {every: 4}}}, {intervention: byol}", &with);
    }
}

#[test]
fn every_intervention_goes_on_bit_for_bit_on_one_thread_and_on_two() {
    let forgetting = "{intervention: {active_forgetting: {every: 3}}}"; // at steps 3 and 6: at an interruption, and between two
    let all = format!("{{intervention: noisy_embedding}}, {forgetting}, {{intervention: {{quantised_weights: {{bits: 4}}}}}}");
    for entries in [
        "{intervention: noisy_embedding}",
        forgetting,
        "{intervention: quantised_weights}",
        "{intervention: {quantised_weights: {bits: binary, granularity: channel}}}",
        "{intervention: {gradient_gating: {alpha: 0.9, memory: 3}}}", // what is counted goes back over interruptions
        "{intervention: byol}",
        "{intervention: {byol: {hidden: 0, decay: 0.5}}}, {intervention: {byol: {hidden: 8}}}, {intervention: {quantised_weights: {bits: 4}}}",
        &format!("{all}, {{regularizer: barlow_twins, weight: 0.05, at: {{points: batch}}}}"),
    ] {
        goes_on_bit_for_bit(entries);
    }
}

/// A study of one quick trial, and its uninterrupted run.
fn reference() -> Study {
    let study = Study::new(&tiny("").replace("seeds: [0, 1]", "seeds: [0]"));
    study.run("whole", &[], 0);
    study
}

const OFTEN: [&str; 2] = ["--checkpoint-every", "2steps"];

/// Lets the n-th change to the disk go wrong, for n from 1 until a run makes no n changes, and expects that the next run ends as
/// if nothing had. Returns n.
fn every_change(process: &str, how: &str, judge: impl Fn(&Study, &str, &Output, usize)) -> usize {
    let study = reference();
    for number in 1..=400 {
        let out = format!("{process}-{how}-{number}");
        let mut command = study.command(&[&["run", "study.yaml", "--out", &out], &OFTEN[..]].concat());
        let output = command.env("REGATTA_DISK", format!("{process}:{how}:{number}")).output().unwrap();
        assert!(!words(&output).contains("panicked"), "{out}: {}", words(&output));
        let clean = output.status.success() && !words(&output).contains("on purpose");
        if !clean {
            judge(&study, &out, &output, number);
        }
        study.run(&out, &OFTEN, 0);
        study.assert_equal_trials(&out, "whole", "baseline", 0, &out);
        std::fs::remove_dir_all(study.path().join(&out)).unwrap();
        if clean {
            return number;
        }
    }
    panic!("400 changes to the disk are too many for this study");
}

#[test]
fn a_worker_killed_before_any_change_to_the_disk_loses_nothing() {
    let changes = every_change("worker", "kill", |study, out, output, number| {
        assert_eq!(output.status.code(), Some(1), "{out}: {}", words(output));
        let status = study.json(out, "baseline", 0, "status.json");
        assert_eq!(status["state"], "failed", "killed before change {number}");
        assert!(status["reason"].as_str().unwrap().contains("signal: 9"), "{status}");
    });
    assert!(changes > 60, "only {changes} changes were made to the disk");
}

#[test]
fn a_run_killed_before_any_change_to_the_disk_loses_nothing() {
    let changes = every_change("run", "kill", |_, _, output, _| assert_eq!(output.status.code(), None));
    assert!(changes > 5, "only {changes} changes were made to the disk");
}

#[test]
fn a_change_to_the_disk_that_fails_is_never_swallowed() {
    for (process, how) in [("worker", "fail"), ("worker", "full"), ("run", "fail"), ("run", "full")] {
        every_change(process, how, |_, out, output, _| {
            let words = words(output);
            assert!(words.contains("on purpose"), "{out} does not say what failed: {words}");
            // a checkpoint that could not be kept is tried again, and costs nothing else, nor does a lease that is not given back by
            // a runner that ends; all other failures cost the trial
            let is_cheap = |what| words.contains(what);
            let cheap = ["the next attempt is when the next one is due", "could not give it back", "/runners/"];
            assert!(!output.status.success() || cheap.into_iter().any(is_cheap), "{out}: {words}");
        });
    }
}

#[test]
fn a_broken_checkpoint_is_named_and_the_one_before_it_used() {
    let study = Study::new(&interrupted(12, "", 7));
    study.run("out", &["--checkpoint-every", "3steps"], 1);
    let resume = study.trial("out", "cut", 0).join("resume");
    let mut kept: Vec<_> = std::fs::read_dir(&resume).unwrap().map(|entry| entry.unwrap().path()).collect();
    kept.sort();
    assert_eq!(
        kept.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect::<Vec<_>>(),
        ["step-000006", "step-000008"]
    );
    let weights = kept[1].join("model.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&weights, bytes).unwrap();
    let output = study.regatta(&["run", "study.yaml", "--out", "out"]);
    assert!(words(&output).contains("step-000008") && words(&output).contains("model.safetensors"), "{}", words(&output));
    assert_eq!(study.json("out", "cut", 0, "status.json")["resumed_from"], 6);
}

#[test]
fn torn_and_foreign_lines_after_a_checkpoint_are_dropped_and_before_it_are_not_trusted() {
    let damaged = |damage: &dyn Fn(String) -> Vec<u8>| {
        let study = Study::new(&interrupted(12, "", 1000));
        study.run("whole", &[], 0);
        std::fs::write(study.path().join("study.yaml"), interrupted(12, "", 7)).unwrap();
        study.run("out", &[], 1);
        let metrics = study.trial("out", "cut", 0).join("metrics.jsonl");
        let text = std::fs::read_to_string(&metrics).unwrap();
        std::fs::write(&metrics, damage(text)).unwrap();
        study.regatta(&["run", "study.yaml", "--out", "out"]);
        let resumed_from = study.json("out", "cut", 0, "status.json")["resumed_from"].as_u64();
        run_until_done(&study, "out", &[], &[]);
        study.assert_equal_trials("out", "whole", "cut", 0, "damaged lines");
        resumed_from
    };
    assert_eq!(damaged(&|text| (text + "{\"step\":8,\"lo").into_bytes()), Some(8));
    assert_eq!(damaged(&|text| [text.as_bytes(), &[0xff, 0, b'\n'][..], b"hello\n"].concat()), Some(8));
    assert_eq!(
        damaged(&|text| text.clone().into_bytes().into_iter().chain(text.lines().last().unwrap().bytes()).collect()),
        Some(8)
    );
    assert_eq!(damaged(&|text| text.replacen("{", "", 1).into_bytes()), None, "from the start again");
    assert_eq!(damaged(&|_| Vec::new()), None);
}

/// Kills whole runs at random times: `REGATTA_KILLS=200 cargo test --release --test end_to_end -- random_kills`.
#[test]
fn random_kills_lose_nothing() {
    use regatta_core::Draw;
    let kills: usize = std::env::var("REGATTA_KILLS").map_or(10, |count| count.parse().unwrap());
    let slow = "  slow: [{regularizer: {misbehaving: {how: sleep}}, weight: 0.001}]\n";
    let study = Study::new(
        &tiny(slow).replace("seeds: [0, 1]", "seeds: [0]").replace("  baseline: []\n", "").replace("steps: 8", "steps: 20"),
    );
    study.run("whole", &[], 0);
    let mut draw = Draw::new(0, "kills", 0, 0);
    let (mut killed, mut round) = (0, 0);
    while killed < kills {
        round += 1;
        let out = format!("out-{round}");
        loop {
            let mut child = study.start(&out, &["--checkpoint-every", "1steps"]);
            let patience = std::time::Duration::from_millis(draw.below(900) as u64);
            let started = std::time::Instant::now();
            while started.elapsed() < patience && child.try_wait().unwrap().is_none() {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            if child.try_wait().unwrap().is_some_and(|status| status.success()) {
                break;
            }
            child.kill().unwrap();
            child.wait().unwrap();
            killed += 1;
            if killed >= kills {
                study.run(&out, &[], 0);
                break;
            }
        }
        study.assert_equal_trials(&out, "whole", "slow", 0, &format!("{killed} kills"));
    }
    println!("{killed} kills, {round} trials, all with the bytes of one that was not killed");
}
