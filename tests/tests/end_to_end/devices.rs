//! `--device`: what cannot be trained on is refused before anything is written, and what was is recorded.

use crate::{Study, named_tasks, tiny};
use serde_json::Value;
use std::process::Output;

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Expects status 2, one message with every part, and nothing beside the study.
fn refused(study: &Study, arguments: &[&str], parts: &[&str]) {
    let output = study.regatta(arguments);
    let message = words(&output);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
    for part in parts {
        assert!(message.contains(part), "{arguments:?}: expected `{part}` in: {message}");
    }
    assert_eq!(message.matches("error:").count(), 1, "{message}");
    assert!(!message.contains("panicked"), "{message}");
    assert_eq!(std::fs::read_dir(study.path()).unwrap().count(), 1, "{arguments:?}: something was written");
}

/// The program under test is built without the features `cuda` and `metal`.
#[test]
fn a_device_that_was_not_built_in_is_refused_with_what_to_do_and_nothing_is_written() {
    let study = Study::new(&tiny(""));
    let cuda =
        "this program was built without CUDA: cargo install --path runners/app --features cuda, which needs the CUDA toolkit";
    for verb in [
        &["run", "study.yaml", "--out", "out"][..],
        &["check", "study.yaml"],
        &["submit", "study.yaml", "--out", "out", "--print"],
        &["bench", "--shape", "tiny"],
        &["evaluate", "checkpoint", "--text", "text.txt"],
        &["diagnose", "checkpoint", "--text", "text.txt"],
    ] {
        refused(&study, &[verb, &["--device", "cuda:1"]].concat(), &["error: cuda:1: ", cuda]);
    }
    refused(&study, &["run", "study.yaml", "--device", "metal"], &["error: metal: ", "--features metal, which needs macOS"]);
}

#[test]
fn a_wrong_word_is_refused_with_the_nearest() {
    let study = Study::new(&tiny(""));
    for verb in ["run", "check"] {
        refused(&study, &[verb, "study.yaml", "--device", "cdua"], &["--device", "cuda:N", "did you mean `cuda`?"]);
        refused(&study, &[verb, "study.yaml", "--device", "gpu:0"], &["found `gpu:0`; did you mean `cuda`?"]);
    }
}

#[test]
fn the_program_says_which_devices_were_built_in() {
    let output = Study::new("").regatta(&["--version"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.lines().any(|line| line == "devices: cpu, candle (built in; --device chooses one)"), "{text}");
}

/// The batch script hands the device to each task. What it asks Slurm for is tested beside `Batch`.
#[test]
fn the_tasks_of_a_submission_get_the_device() {
    let study = Study::new(&tiny(""));
    let print = |more: &[&str]| {
        let arguments = [&["submit", "study.yaml", "--out", "out", "--print"], more].concat();
        let output = study.command(&arguments).env("XDG_CONFIG_HOME", study.path().join("config")).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned() + &words(&output))
    };
    let (status, script) = print(&["--device", "candle"]);
    let command = script.lines().find(|line| line.starts_with("exec ")).unwrap_or_else(|| panic!("{script}"));
    assert!(status == Some(0) && command.ends_with(" --device candle") && !script.contains("gres"), "{script}");
    assert!(!print(&[]).1.contains("--device"), "the default goes without saying");
    let (status, message) = print(&["--", "--device", "candle"]);
    assert!(
        status == Some(2) && message.contains("after `--`: expected flags of `run` but --out, --set, --device, "),
        "{message}"
    );
}

#[test]
fn another_device_is_another_trial() {
    let study = Study::new(&tiny(""));
    study.run("out", &[], 0);
    let (before, inputs) = (study.weights("out", "baseline", 0), study.json("out", "baseline", 0, "trial.json"));
    assert!(inputs.get("device").is_none() && inputs.get("engine").is_none(), "{inputs}");
    let machine = study.json("out", "baseline", 0, "evaluation.json")["machine"].clone();
    assert_eq!(machine["device"], "cpu");
    let manifest = || std::fs::read_to_string(study.path().join("out/manifest.json")).unwrap();
    assert!(!manifest().contains("\"device\""), "{}", manifest());

    let refused = words(&study.run("out", &["--device", "candle"], 2));
    for part in ["is there with other devices", r#"engine: "candle", was "kernels""#, "--fresh", "--allow-mismatch"] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
    let checked = words(&study.regatta(&["check", "study.yaml", "--out", "out", "--device", "candle"]));
    assert!(checked.contains(r#"engine: "candle", was "kernels""#), "{checked}");

    let kept = words(&study.run("out", &["--device", "candle", "--allow-mismatch"], 0));
    assert!(kept.contains("baseline, seed 0, kept: ") && study.weights("out", "baseline", 0) == before, "{kept}");
    let page = std::fs::read_to_string(study.path().join("out/report.html")).unwrap();
    assert!(page.contains("Kept although other versions, formulas or devices trained them: baseline, seed 0"), "{page}");
    assert!(words(&study.run("out", &[], 0)).contains("2 of 2 trials are done already"), "they are the CPU's own again");
}

#[test]
fn a_study_on_candle_is_trained_recorded_and_near_the_kernels() {
    let study = Study::new(&tiny("  dispersion: [{regularizer: dispersion, weight: 0.1}]\n"));
    study.run("cpu", &[], 0);
    study.run("candle", &["--device", "candle", "--jobs", "2"], 0);
    for arm in ["baseline", "dispersion"] {
        for seed in [0, 1] {
            let evaluation = |out: &str| study.json(out, arm, seed, "evaluation.json");
            assert_eq!(evaluation("candle")["machine"]["device"], "candle");
            let loss = |out: &str| evaluation(out)["loss"].as_f64().unwrap();
            let (kernels, candle) = (loss("cpu"), loss("candle"));
            assert!((kernels - candle).abs() < 1e-4, "{arm}, seed {seed}: {candle} and {kernels}");
        }
    }
    let inputs = study.json("candle", "baseline", 0, "trial.json");
    assert_eq!((&inputs["engine"], &inputs["device"]), (&"candle".into(), &"cpu".into()));
    let read = |file: &str| std::fs::read_to_string(study.path().join("candle").join(file)).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&read("manifest.json")).unwrap();
    assert_eq!(manifest["device"], "candle");
    let csv = read("results.csv");
    let column = csv.lines().next().unwrap().split(',').position(|name| name == "device").unwrap();
    assert!(csv.lines().skip(1).all(|line| line.split(',').nth(column) == Some("candle")), "{csv}");
    let status = study.regatta(&["status", "candle"]);
    assert!(String::from_utf8_lossy(&status.stdout).contains("trained on candle"));
    assert!(words(&study.run("candle", &["--device", "candle"], 0)).contains("4 of 4 trials are done already"));
    let refused = words(&study.run("candle", &[], 2));
    assert!(refused.contains(r#"engine: "kernels", was "candle""#), "{refused}");
}

/// What `stored_losses_are_nearly_met_on_a_device` leaves out: the other regularizers, sites, a subsample of points, a companion from
/// a checkpoint, rounding and accumulation, each with AdamW or Muon.
#[test]
fn other_arms_are_near_the_kernels() {
    let arms = "  attention: [{regularizer: vicreg, weight: 0.05, at: {site: attention}}]
  mlp: [{regularizer: vicreg, weight: 0.05, at: {site: mlp, max_points: 20}}]
  embedding: [{regularizer: dispersion, weight: 0.05, at: {site: embedding, max_points: 16}}]
  weights: [{regularizer: orthogonality, weight: 0.05, at: {site: weights, matrix: mlp_input}}]
  centering: [{regularizer: centering, weight: 0.05}]
  contrastive_margin: [{regularizer: contrastive_margin, weight: 0.05}]
  decov: [{regularizer: decov, weight: 0.05}]
  hyperspherical_energy: [{regularizer: hyperspherical_energy, weight: 0.05}]
  mmcr: [{regularizer: mmcr, weight: 0.05}]
  mmd: [{regularizer: mmd, weight: 0.05}]
  sketched_isotropy: [{regularizer: sketched_isotropy, weight: 0.05}]
  spectral_contrastive: [{regularizer: spectral_contrastive, weight: 0.05}]
  supervised_contrastive: [{regularizer: supervised_contrastive, weight: 0.05}]
  four_bits: [{intervention: {quantised_weights: {bits: 4}}}]
";
    for train in ["dropout: 0.1", "dropout: 0.1, accumulate: 2, optimizer: {muon: {}}"] {
        let yaml = tiny(arms).replace("seeds: [0, 1]", "seeds: [0]").replace("steps: 8", &format!("steps: 40, {train}"));
        let study = Study::new(&yaml);
        study.run("cpu", &["--jobs", "2"], 0);
        study.run("device", &["--jobs", "2", "--device", &crate::test_device()], 0);
        let names = arms.lines().filter_map(|line| line.trim().split(':').next());
        for arm in std::iter::once("baseline").chain(names) {
            let (kernels, device) = (study.metrics("cpu", arm, 0), study.metrics("device", arm, 0));
            assert_eq!((kernels.len(), device.len()), (40, 40), "{arm}");
            let mut largest = 0f64;
            for (kernels, device) in kernels.iter().zip(&device) {
                for field in ["loss", "penalty", "grad_norm"] {
                    let of = |line: &serde_json::Value| line[field].as_f64().unwrap();
                    largest = largest.max((of(kernels) - of(device)).abs() / of(kernels).abs().max(1.0));
                }
            }
            println!("{arm}: at most {largest:.1e}");
            assert!(largest <= 1e-4, "{arm} ({train}): {largest}");
        }
    }
}

/// A model of 1.5 billion parameters and a batch of 512: some hundred GiB, of which nothing is asked for.
#[test]
fn what_does_not_fit_on_the_device_is_refused_with_the_numbers_before_anything_is_written() {
    let yaml = tiny("")
        .replace("layers: 1, width: 16, heads: 2, context: 16", "layers: 48, width: 1600, heads: 25, context: 256")
        .replace("batch_size: 4", "batch_size: 512")
        .replace("test_tokens: 600", "test_tokens: 6000")
        .replace("validation_tokens: 600", "validation_tokens: 6000")
        .replace("train_tokens: 4000", "train_tokens: 400000");
    let study = Study::new(&yaml);
    let run = ["run", "study.yaml", "--out", "out", "--device", "candle"];
    let parts =
        ["study.yaml:5:", "train: expected a study that fits on candle", "are free for a trial, found one that needs ", "GiB"];
    let limit = ["--memory-limit", "20000"];
    refused(&study, &[&run[..], &limit].concat(), &parts);
    let beside = ["fits on candle with 2 trials at once, where ", ", or fewer `--jobs`"];
    refused(&study, &[&run[..], &limit, &["--jobs", "4"]].concat(), &beside);
    if memory_of_the_machine().is_some_and(|gib| gib < 40) {
        refused(&study, &["check", "study.yaml", "--device", "candle"], &parts); // it has no limit but the machine's
    }
}

/// In GiB, where the system tells.
fn memory_of_the_machine() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().trim_end_matches("kB").trim().parse::<u64>().ok().map(|kib| kib >> 20)
}

/// With so little memory for a worker that its trial has to recompute activations.
#[test]
fn a_trial_that_fits_only_so_recomputes_activations_and_keeps_its_bytes() {
    let yaml = tiny("")
        .replace("layers: 1, width: 16, heads: 2, context: 16", "layers: 12, width: 64, heads: 2, context: 64")
        .replace("steps: 8, batch_size: 4", "steps: 3, batch_size: 64");
    let study = Study::new(&yaml);
    let run = |out: &str, limit: &str| {
        let arguments = ["--device", "candle", "--set", "seeds=1", "--memory-limit", limit];
        (words(&study.run(out, &arguments, 0)), study.json(out, "baseline", 0, "evaluation.json")["machine"].clone())
    };
    // about 440 MiB with all activations kept, 80 without
    let ((kept, of_kept), (again, of_again)) = (run("kept", "2000"), run("again", "300"));
    let told = "candle: activations are recomputed in the backward pass, so that a trial fits";
    assert!(again.contains(told) && !kept.contains(told), "{again}");
    assert_eq!((of_again["recomputes"].as_bool(), of_kept.get("recomputes")), (Some(true), None));
    assert_eq!(study.weights("kept", "baseline", 0), study.weights("again", "baseline", 0));
    let manifest = study.regatta(&["results", "again", "--format", "json"]);
    assert!(String::from_utf8_lossy(&manifest.stdout).contains("candle, activations recomputed"));
    // nothing is left to train, so nothing has to fit
    assert!(run("kept", "1").0.contains("1 of 1 trials are done already"));
}

/// Fields of a trial's measurements that do not belong to its weights.
const OF_THE_MACHINE: [&str; 7] =
    ["wall_seconds", "step_ms", "tokens_per_second", "peak_memory_mib", "peak_rss_mib", "energy_joules", "machine"];

/// What differs most between two measurements, relative to numbers above 1, and its place; words are equal. Steps of a number are
/// taken for less: a pair of points at the edge of a histogram's bin (a fraction), or a weight at the edge of a rounding.
fn largest_difference(place: &str, one: &Value, other: &Value) -> (f64, String) {
    let inside = |key: String, one: &Value, other: &Value| largest_difference(&format!("{place}.{key}"), one, other);
    let all: Vec<(f64, String)> = match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            assert!(one.keys().eq(other.keys()), "{place}: {:?} and {:?}", one.keys(), other.keys());
            let of_weights = |key: &str| !OF_THE_MACHINE.contains(&key);
            one.iter().filter(|(key, _)| of_weights(key)).map(|(key, one)| inside(key.clone(), one, &other[key])).collect()
        }
        (Value::Array(one), Value::Array(many)) => {
            assert_eq!(one.len(), many.len(), "{place}");
            one.iter().zip(many).enumerate().map(|(index, (one, other))| inside(index.to_string(), one, other)).collect()
        }
        (Value::Number(one), Value::Number(other)) => {
            let [one, other] = [one, other].map(|number| number.as_f64().unwrap());
            let edges = [("histogram", 50.0), ("quantised", 10.0)];
            let less = edges.into_iter().find_map(|(of, less)| place.contains(of).then_some(less)).unwrap_or(1.0);
            vec![((one - other).abs() / one.abs().max(1.0) / less, format!("{place}: {one} and {other}"))]
        }
        (one, other) => {
            assert_eq!(one, other, "{place}");
            Vec::new()
        }
    };
    all.into_iter().max_by(|one, other| one.0.total_cmp(&other.0)).unwrap_or_default()
}

/// Losses on texts, tasks of each form, rounded weights and diagnoses, while a trial trains, at its end, and of its checkpoint.
#[test]
fn measurements_are_near_the_kernels() {
    let evaluate = format!(
        "{}  texts: {{same: same.txt}}\n  minimal_pairs: [pairs.jsonl]\n  multiple_choice: [questions.jsonl]\n  \
         quantisation: {{bits: [8, 4], granularity: [channel]}}\n  diagnostics: {{every: 4, points: 64}}\n",
        named_tasks::TASKS
    );
    let study = named_tasks::with_items(&evaluate);
    let device = crate::test_device();
    study.run("cpu", &["--set", "seeds=1"], 0);
    study.run("device", &["--set", "seeds=1", "--device", &device], 0);
    let near = |name: &str, cpu: &Value, device: &Value| {
        let (difference, place) = largest_difference(name, cpu, device);
        println!("at most {difference:.1e}: {place}");
        assert!(difference <= 1e-4, "{difference}: {place}");
    };
    let json = |out: &str, file: &str| study.json(out, "baseline", 0, file);
    near("evaluation.json", &json("cpu", "evaluation.json"), &json("device", "evaluation.json"));
    for file in ["validation.jsonl", "tasks.jsonl", "diagnostics.jsonl", "items.jsonl"] {
        let lines = |out: &str| -> Value {
            let text = std::fs::read_to_string(study.trial(out, "baseline", 0).join(file)).unwrap();
            text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect()
        };
        assert!(!lines("cpu").as_array().unwrap().is_empty(), "{file}");
        near(file, &lines("cpu"), &lines("device"));
    }
    let of_a_checkpoint = |arguments: &[&str], device: &str| -> Value {
        let arguments =
            [&[arguments[0], "cpu/trials/baseline/seed-0/checkpoint"], &arguments[1..], &["--json", "--device", device]];
        let output = study.regatta(&arguments.concat());
        assert_eq!(output.status.code(), Some(0), "{}", words(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    for arguments in [
        &["evaluate", "--text", "text.txt", "--quantisation", "{bits: [4]}", "--minimal-pairs", "pairs.jsonl"][..],
        &["diagnose", "--text", "text.txt", "--points", "64"],
    ] {
        near(arguments[0], &of_a_checkpoint(arguments, "cpu"), &of_a_checkpoint(arguments, &device));
    }
}
