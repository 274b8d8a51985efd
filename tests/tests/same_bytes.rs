//! A few steps with every plugin, in this process, against numbers that are committed: the same on every processor.
//!
//! Rows are longer than 32 numbers, since candle's own sums depend on the processor from there on. `tests/processors/run` runs this
//! test on processors that the machine is not.

use regatta_builtin as _;
use regatta_core::number::{Count, Finite, Fraction};
use regatta_core::registry::{Kind, cards};
use regatta_core::{Draw, Intervention, Plugin, Regularizer};
use regatta_lm::model::{Decoder, Family, Model, Sizes};
use regatta_lm::spec::{At, Scale, Schedule, Term, TrainSpec, Weight};
use regatta_lm::training::Learner;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

const STEPS: usize = 3;
const BATCH: usize = 5;

fn model() -> Model {
    let sizes = Sizes { layers: 1, width: 40, heads: 5, context: 12, mlp_width: 72 };
    Model::fresh(Decoder::new(Family::Gpt2, sizes, 37), 0)
}

/// Loss, penalty and norm of the gradient at the last step, which depend on all steps before.
fn last_step(terms: &[Term], interventions: &[Plugin<dyn Intervention>]) -> Value {
    let (model, dropout) = (model(), Fraction::new(0.1)); // so that views differ
    let (vocabulary, tokens) = (model.decoder().vocab_size, BATCH * model.decoder().context);
    let train = TrainSpec { schedule: Schedule::Constant, dropout, batch_size: Count::new(BATCH), ..TrainSpec::default() };
    let mut learner = Learner::new(model, &train, terms, interventions, 0).unwrap();
    let mut last = Value::Null;
    for step in 0..STEPS {
        let mut draw = Draw::new(0, "same bytes", step as u64, 0);
        let mut ids = || (0..tokens).map(|_| draw.below(vocabulary) as u32).collect::<Vec<_>>();
        let (inputs, targets) = (ids(), ids());
        let record = learner.step(step, BATCH, &inputs, &targets).unwrap();
        last = json!([record.loss, record.penalty, record.grad_norm]);
    }
    last
}

fn with_regularizer(regularizer: Box<dyn Regularizer>, scale: Scale) -> Value {
    let at = At { scale, ..At::from(regularizer.home()) };
    last_step(&[Term { regularizer: Plugin(regularizer), weight: Weight::Constant(Finite::new(0.05)), at }], &[])
}

/// Where it asks for a checkpoint, it gets that of another seed.
fn with_intervention(mut intervention: Box<dyn Intervention>, teacher: &Path) -> Value {
    intervention.folders().into_iter().for_each(|(_, folder)| *folder = teacher.to_owned());
    last_step(&[], &[Plugin(intervention)])
}

fn found() -> Map<String, Value> {
    let folder = tempfile::tempdir().unwrap();
    let teacher = folder.path().join("teacher");
    std::fs::create_dir(&teacher).unwrap();
    Model::fresh(model().decoder().clone(), 1).write(&teacher).unwrap();
    let mut found = Map::from_iter([("baseline".to_owned(), last_step(&[], &[]))]);
    for card in cards().unwrap().values() {
        let written: Vec<String> = card.written().into_iter().map(|written| written.to_string()).collect();
        match card.kind {
            Kind::Regularizer(variants) => {
                for (scale, words) in [(Scale::None, "none"), (Scale::Unit, "unit"), (Scale::LayerNorm, "layer_norm")] {
                    let forms = written.iter().zip(variants());
                    found.extend(forms.map(|(name, form)| (format!("{name} {words}"), with_regularizer(form, scale))));
                }
            }
            Kind::Intervention(variants) => {
                found.extend(written.into_iter().zip(variants()).map(|(name, form)| (name, with_intervention(form, &teacher))));
            }
        }
    }
    found
}

/// To rewrite the file, after a change that is meant to change numbers:
/// `REGATTA_WRITE_LOSSES=1 cargo test --workspace --test same_bytes`.
#[test]
fn stored_steps_are_met_on_every_processor() {
    let (found, path) = (found(), PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/steps.json"));
    if std::env::var_os("REGATTA_WRITE_LOSSES").is_some() {
        let lines: Vec<String> = found.iter().map(|(name, numbers)| format!("{}: {numbers}", json!(name))).collect();
        std::fs::write(&path, format!("{{\n{}\n}}\n", lines.join(",\n"))).unwrap();
    }
    let stored: Map<String, Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let names = |of: &Map<String, Value>| of.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&found), names(&stored), "a plugin or a form without stored numbers, or one that is gone");
    let other: Vec<String> = found
        .iter()
        .filter(|(name, numbers)| stored[*name] != **numbers)
        .map(|(name, numbers)| format!("{name}: found {numbers}, stored {}", stored[name]))
        .collect();
    assert!(other.is_empty(), "{} of {} differ:\n{}", other.len(), found.len(), other.join("\n"));
}
