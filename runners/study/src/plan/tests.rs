//! What a worker receives is what was planned: it computes the same identity.

use super::*;
use crate::resolved::Received;
use regatta_builtin as _;
use regatta_lm::data::{Corpus, Recipe};
use regatta_lm::model::{Decoder, Family, Model};
use regatta_lm::spec::{DataSpec, ModelSpec, SyntheticSpec, Term};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

/// Supplies of all variants, with a small corpus in place of their own.
fn supplies(file: &StudyFile) -> Vec<Supply> {
    let few = serde_json::json!({"train_tokens": 100, "validation_tokens": 50, "test_tokens": 50, "vocab_size": 512});
    let data = DataSpec::Synthetic(serde_json::from_value::<SyntheticSpec>(few).unwrap());
    let corpus = Corpus::load(&data, None, None).unwrap();
    let (recipe, tokens) =
        (Arc::new(Recipe::of(&corpus, &data, None, (None, None)).unwrap()), crate::identity::Tokens::of(&corpus));
    let supply = |variant: &Variant| {
        let decoder = match &variant.study.model {
            ModelSpec::Fresh(fresh) => fresh.decoder(512),
            ModelSpec::Init(folder) => Decoder::read(folder).unwrap(),
        };
        let steps = variant.study.train.steps_of(&decoder).unwrap();
        let (recipe, tokens, tasks) = (recipe.clone(), tokens.clone(), Arc::default());
        Supply { recipe, tokens, tasks, steps, parameters: decoder.parameters(), tokens_seen: 0 }
    };
    file.variants().iter().map(supply).collect()
}

fn holder() -> Holder {
    Holder { runner: "one".into(), host: "here".into(), pid: 1, attempt: 1, released: false }
}

/// Sends every trial of the study and compares; how many there are.
fn check(study: &Path, overrides: &[String]) -> usize {
    let file = StudyFile::read(study, overrides).unwrap_or_else(|refusal| panic!("{refusal}"));
    let supplies = supplies(&file);
    let tuned = |variant: &Variant| variant.study.candidates(variant.arm()).last().map(|(candidate, _)| *candidate);
    let chosen: Vec<_> = file.variants().iter().map(|variant| file.study.tune.as_ref().and_then(|_| tuned(variant))).collect();
    let keys = [tuning_keys(&file), judged_keys(&file, &chosen)].concat();
    let mut checkpoints = Checkpoints::default();
    for key in &keys {
        let measured = |term: &Term| Fingerprint::of_regularizer(&*term.regularizer.0).ok();
        let fingerprints = file.variants()[key.variant].terms().iter().map(measured).collect();
        let (out, device) = (Path::new("out"), Device::Cpu);
        let planned = PlannedTrial::new(&file, &supplies, out, key.clone(), device, fingerprints, &mut checkpoints).unwrap();
        let line = serde_json::to_string(&planned.request(&holder())).unwrap();
        let Request::Trial(order) = serde_json::from_str::<Request<'_, Received>>(&line).unwrap() else { panic!("{line}") };
        let supply = &supplies[key.variant];
        let trial = order.trial.resolved();
        let found = identity(trial, device, &order.fingerprints, &supply.tokens, &Tasks::default(), &mut checkpoints).unwrap();
        assert_eq!(found.inputs, planned.identity.inputs, "{}: {}", study.display(), planned.name);
        assert_eq!((&found.hash, &order.identity), (&planned.identity.hash, &planned.identity.hash));
        assert_eq!((&*order.data, Path::new(&order.folder)), (&*supply.recipe, planned.folder.path()));
    }
    keys.len()
}

/// A folder with a text and a checkpoint.
fn desk() -> TempDir {
    let desk = TempDir::new().unwrap();
    fs::write(desk.path().join("text.txt"), "some words").unwrap();
    fs::create_dir(desk.path().join("teacher")).unwrap();
    let decoder = Decoder { layers: 1, width: 8, heads: 1, kv_heads: 1, head_dim: 8, mlp_width: 8, ..Family::Gpt2.defaults() };
    Model::fresh(Decoder { vocab_size: 512, ..decoder }, 0).write(&desk.path().join("teacher")).unwrap();
    desk
}

#[test]
fn every_config_arrives_as_it_was_planned() {
    let desk = desk();
    let set = |field: &str, name: &str| vec![format!("{field}={}", desk.path().join(name).display())];
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs"));
    let (mut studies, mut trials) = (0, 0);
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let overrides = match &*stem {
            "families" | "homes" | "rounding" | "shakespeare" | "shakespeare-tuned" => set("data.text.file", "text.txt"),
            "distillation" => set("arms.distilled.0.intervention.distillation.teacher", "teacher"),
            "paper-gpt2" | "paper-qwen3" => {
                let model = "model={layers: 1, width: 16, heads: 2, context: 4096}".into();
                let data = format!("data.text={{file: {}}}", desk.path().join("text.txt").display());
                vec![model, data, "evaluate={}".into()]
            }
            _ => Vec::new(),
        };
        (studies, trials) = (studies + 1, trials + check(&path, &overrides));
    }
    assert!(studies >= 15 && trials > 300, "{studies} studies, {trials} trials");
}

#[test]
fn numbers_ramps_places_and_interventions_arrive_to_the_last_digit() {
    let desk = desk();
    let study = "
model: {family: llama, layers: 2, width: 16, heads: 2, norm_epsilon: 1.2345678901234567e-6, positions: {rotary: {theta: 12345.678901234567}}}
train: {tokens: 1M, lr: 0.30000000000000004, dropout: 0.1, grad_clip: 0.3333333333333333, schedule: {wsd: {warmup: 0.1, decay: 0.7}},
        optimizer: {adamw: {betas: [0.9, 0.9999999999999999], epsilon: 1.2345678901234567e-30, embedding: {lr: 0.1}}}}
data: {text: {file: text.txt, split: [0.8, 0.1, 0.1]}}
evaluate: {target: 3.3000000000000003, diagnostics: {}, texts: {}}
vary: {train.batch_size: [2, 4], train.dropout: [0.1, 0.30000000000000004]}
tune: {weight: [0.0123456789012345678, 2], seeds: 2}
arms:
  baseline: []
  ramp: [{regularizer: vicreg, weight: {from: 0.1, to: 0.2, steps: 3, shape: cosine}, until: 9}, {lr: 0.7}]
  labels: [{regularizer: supervised_contrastive, weight: 1, at: {layers: [0, 2], points: batch, max_points: none}}]
  acts: [{intervention: {noisy_embedding: {alpha: 0.1234567890123456789}}}, {intervention: {distillation: {teacher: teacher}}}]
  matrix: [{regularizer: orthogonality, weight: -0.1, at: {site: weights, matrix: mlp_input}}]
";
    let path = desk.path().join("study.yaml");
    fs::write(&path, study).unwrap();
    assert!(check(&path, &[]) > 50);
    fs::write(
        &path,
        "model: {init: teacher}\ntokenizer: bytes\ndata: biographies\nevaluate: {capacity: {people: 3}}\narms: {a: []}",
    )
    .unwrap();
    assert_eq!(check(&path, &[]), 3);
}

/// The first trial of a study, on a device.
fn planned_on(device: Device) -> Identity {
    let desk = desk();
    let path = desk.path().join("study.yaml");
    fs::write(&path, "arms: {a: []}").unwrap();
    let file = StudyFile::read(&path, &[]).unwrap();
    let (supplies, key) = (supplies(&file), judged_keys(&file, &[None]).remove(0));
    PlannedTrial::new(&file, &supplies, Path::new("out"), key, device, vec![], &mut Checkpoints::default()).unwrap().identity
}

/// Folders of before there were devices resume on the CPU.
#[test]
fn the_identity_of_a_trial_on_the_cpu_names_no_device() {
    let inputs = planned_on(Device::Cpu).inputs;
    let names: Vec<&str> = inputs.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = ["evaluate", "model", "order", "program", "seed", "terms", "tokens", "train", "versions", "vocab_size"];
    assert_eq!(names, expected);
}

#[test]
fn engine_and_kind_of_device_are_part_of_the_identity_and_the_index_is_not() {
    let [cpu, candle, cuda, metal] = [Device::Cpu, Device::Candle, Device::Cuda(0), Device::Metal].map(planned_on);
    assert_eq!(planned_on(Device::Cuda(3)), cuda);
    let hashes = std::collections::BTreeSet::from([&cpu.hash, &candle.hash, &cuda.hash, &metal.hash]);
    assert_eq!(hashes.len(), 4);
    assert_eq!((&cuda.inputs["engine"], &cuda.inputs["device"]), (&"candle".into(), &"cuda".into()));
    assert_eq!((&candle.inputs["engine"], &candle.inputs["device"]), (&"candle".into(), &"cpu".into()));
    assert_eq!(metal.differing_code(&cpu.inputs), Some(crate::Code::Device));
}

#[test]
fn a_field_that_nobody_knows_is_refused() {
    let desk = desk();
    let path = desk.path().join("study.yaml");
    fs::write(&path, "arms: {a: [{regularizer: vicreg, weight: 1}]}").unwrap();
    let file = StudyFile::read(&path, &[]).unwrap();
    let (supplies, key) = (supplies(&file), judged_keys(&file, &[None]).remove(0));
    let planned =
        PlannedTrial::new(&file, &supplies, Path::new("out"), key, Device::Cpu, vec![None], &mut Checkpoints::default()).unwrap();
    let request = serde_json::to_value(planned.request(&holder())).unwrap();
    let refused = |path: &str| {
        let mut request = request.clone();
        request.pointer_mut(path).unwrap()["unknown"] = Value::Null;
        let error = serde_json::from_value::<Request<'_, Received>>(request).err().map(|error| error.to_string());
        assert!(error.as_ref().is_some_and(|error| error.contains("unknown")), "{path}: {error:?}");
    };
    let trial = "/Trial/trial";
    for part in ["", "/model", "/train", "/evaluate", "/arm", "/arm/list/0", "/arm/list/0/at"] {
        refused(&format!("{trial}{part}"));
    }
    refused("/Trial/data");
    refused("/Trial");
}
