use super::*;
use crate::model::{Family, Model, Sizes};
use crate::training::{Learner, Restored};
use candle_core::{Device, Tensor};
use regatta_core::{Action, CompanionObjective, Draw, Intervention, Outputs, Plugin, typetag};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Half the sum of squared distances between the outputs of the two models, the companion's shifted by a parameter of its own.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Beside {
    folder: Option<PathBuf>,
    decay: f64,
    logits: bool,
    weight: f64,
}

#[typetag::serde(name = "companion_test")]
impl Intervention for Beside {
    fn action(&self) -> Option<Action<'_>> {
        Some(Action::Objective(self))
    }
}

impl CompanionObjective for Beside {
    fn weight(&self) -> f64 {
        self.weight
    }

    fn companion(&self) -> Companion {
        match &self.folder {
            Some(folder) => Companion::Checkpoint(folder.clone()),
            None => Companion::MovingAverage { decay: self.decay },
        }
    }

    fn compared(&self) -> Compared {
        if self.logits { Compared::Logits } else { Compared::LastHiddenState }
    }

    fn parameters(&self, dims: usize, draw: &mut Draw) -> regatta_core::Result<Vec<Tensor>> {
        let dims = if self.logits { 5 } else { dims };
        Ok(vec![draw.normals(&[1, dims], candle_core::DType::F32, &Device::Cpu)?])
    }

    fn objective(&self, outputs: &Outputs<'_>, parameters: &[Tensor]) -> regatta_core::Result<Tensor> {
        let target = outputs.companion.broadcast_add(&parameters[0])?;
        Ok((outputs.own.sub(&target)?.sqr()?.sum_all()? / 2.0)?)
    }
}

fn average(logits: bool, weight: f64) -> [Plugin<dyn Intervention>; 1] {
    [Plugin(Box::new(Beside { folder: None, decay: 0.75, logits, weight }))]
}

fn spec(layers: usize) -> Sizes {
    Sizes { layers, width: 8, heads: 2, context: 4, mlp_width: 16 }
}

fn model(moved: usize, by: f32) -> Model {
    let mut model = Model::fresh(Decoder::new(Family::Gpt2, spec(2), 5), 0);
    model.parameters_mut().numbers_mut().iter_mut().for_each(|x| *x *= 5.0); // away from a flat start
    model.parameters_mut().numbers_mut()[moved] += by;
    model
}

const INPUTS: [u32; 8] = [0, 1, 2, 3, 4, 0, 2, 1];
const TARGETS: [u32; 8] = [1, 2, 3, 4, 0, 2, 1, 3];

fn train() -> TrainSpec {
    TrainSpec { dropout: regatta_core::number::Fraction::new(0.2), ..TrainSpec::default() }
}

/// Gradients of the objective in model and own parameters by finite differences of what the step minimises.
fn agree_with_finite_differences(logits: bool) {
    let (train, interventions) = (train(), average(logits, 0.01));
    let teacher = model(0, 0.0); // stays, while the model is moved
    let total = |moved: usize, by: f32, own: Option<usize>| {
        let mut learner = Learner::new(
            model(if own.is_some() { 0 } else { moved }, if own.is_some() { 0.0 } else { by }),
            &train,
            &[],
            &interventions,
            7,
        )
        .unwrap();
        *learner.engine.kernels().second_mut(0) = teacher.clone();
        if let Some(number) = own {
            learner.engine.kernels().own().0.numbers_mut()[number] += by;
        }
        let record = learner.step(3, 2, &INPUTS, &TARGETS).unwrap();
        assert!((record.penalty - 0.01 * record.terms["companion_test"]).abs() < 1e-12);
        let own = learner.engine.kernels().own().1.numbers().to_vec();
        (record.loss + record.penalty, learner.gradients().numbers().to_vec(), own)
    };
    let (_, gradients, own) = total(0, 0.0, None);
    let check = |found: f32, largest: f32, above: f64, below: f64, what: &str| {
        let expected = ((above - below) / 1e-2) as f32;
        assert!((found - expected).abs() < 3e-3 * largest, "{what}: {found}, finite differences say {expected} of {largest}");
    };
    let largest = |of: &[f32]| of.iter().fold(0f32, |most, x| most.max(x.abs()));
    for index in (0..gradients.len()).step_by(37) {
        let (above, below) = (total(index, 5e-3, None).0, total(index, -5e-3, None).0);
        check(gradients[index], largest(&gradients), above, below, &format!("parameter {index}"));
    }
    for index in 0..own.len() {
        let (above, below) = (total(0, 5e-3, Some(index)).0, total(0, -5e-3, Some(index)).0);
        check(own[index], largest(&own), above, below, &format!("own parameter {index}"));
    }
}

#[test]
fn gradients_of_logits_reach_every_parameter() {
    agree_with_finite_differences(true);
}

#[test]
fn gradients_of_the_last_hidden_state_reach_every_parameter() {
    agree_with_finite_differences(false);
}

#[test]
fn a_moving_average_by_hand() {
    let (train, interventions) = (train(), average(false, 0.01));
    let mut learner = Learner::new(model(0, 0.0), &train, &[], &interventions, 7).unwrap();
    let before = learner.model().parameters().numbers().to_vec();
    learner.step(0, 2, &INPUTS, &TARGETS).unwrap();
    let after = learner.model().parameters().numbers().to_vec();
    assert_ne!(before, after);
    let found = learner.engine.kernels().second_mut(0).parameters().numbers().to_vec();
    assert!(found.iter().zip(before.iter().zip(&after)).all(|(f, (b, a))| *f == 0.75 * b + 0.25 * a));
}

#[test]
fn a_step_without_an_update_moves_neither_copy_nor_own_parameters() {
    let (train, interventions) = (train(), average(false, f64::INFINITY));
    let mut learner = Learner::new(model(0, 0.0), &train, &[], &interventions, 7).unwrap();
    let kept = |learner: &Learner<'_>| -> Vec<Vec<f32>> {
        learner.companions.kept(&learner.engine).unwrap().iter().map(|(_, parameters)| parameters.numbers().to_vec()).collect()
    };
    let before = kept(&learner);
    let record = learner.step(0, 2, &INPUTS, &TARGETS).unwrap();
    assert_eq!(record.divergence().unwrap(), "the penalty is inf at step 0, first in the gradient of wte.weight");
    assert_eq!(before.len(), 4, "an average, parameters and two moments");
    assert_eq!(kept(&learner), before);
}

#[test]
fn at_weight_0_a_step_has_the_baselines_bytes_and_nothing_is_kept() {
    let train = train();
    let run = |interventions: &Interventions| {
        let mut learner = Learner::new(model(0, 0.0), &train, &[], interventions, 7).unwrap();
        let records: Vec<_> = (0..3).map(|step| learner.step(step, 2, &INPUTS, &TARGETS).unwrap()).collect();
        let measured: Vec<_> = records.iter().map(|record| (record.loss, record.penalty, record.grad_norm)).collect();
        (measured, records[0].terms.len(), learner.snapshot().unwrap().files().unwrap())
    };
    assert_eq!(run(&[]), run(&average(true, 0.0)));
    assert_ne!(run(&[]).2, run(&average(true, 0.01)).2);
    assert_eq!(run(&average(true, 0.01)).2.len(), 3);
}

#[test]
fn one_norm_clips_model_and_own_parameters() {
    let (train, interventions) = (train(), average(false, 1.0));
    let mut learner = Learner::new(model(0, 0.0), &train, &[], &interventions, 7).unwrap();
    let record = learner.step(0, 2, &INPUTS, &TARGETS).unwrap();
    let square = |numbers: &[f32]| numbers.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
    let own = square(learner.engine.kernels().own().1.numbers());
    let norm = (square(learner.gradients().numbers()) + own).sqrt();
    assert!(own > 1.0 && (record.grad_norm - norm).abs() < 1e-6 * norm, "{own}, {norm}, {}", record.grad_norm);
}

/// Ten steps are ten steps, with or without a stop after the fourth, on one thread or three.
#[test]
fn a_learner_that_was_cut_off_goes_on_bit_for_bit() {
    let (train, config) = (train(), Decoder::new(Family::Gpt2, spec(2), 5));
    let both: [Plugin<dyn Intervention>; 2] = [average(true, 0.01), average(false, 0.02)].map(|[one]| one);
    let learner = || Learner::new(model(0, 0.0), &train, &[], &both, 7).unwrap();
    let steps = |learner: &mut Learner<'_>, steps: Range<usize>| {
        steps.map(|step| learner.step(step, 2, &INPUTS, &TARGETS).unwrap().terms).collect::<Vec<_>>()
    };
    let on = |threads: usize| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let (expected, whole) = on(1).install(|| {
        let mut learner = learner();
        let terms = steps(&mut learner, 0..10);
        assert_eq!(terms[0].keys().collect::<Vec<_>>(), ["companion_test", "companion_test.1"]);
        (terms, learner.snapshot().unwrap().files().unwrap())
    });
    on(3).install(|| {
        let mut first = learner();
        assert_eq!(steps(&mut first, 0..4), expected[..4]);
        let files = first.snapshot().unwrap().files().unwrap();
        let file = |name: &str| files.iter().find(|(other, _)| *other == name).map(|(_, bytes)| &bytes[..]);
        let restored =
            Restored::read(&config, &train, 4, file(Restored::WEIGHTS).unwrap(), file(Restored::OPTIMIZER).unwrap()).unwrap();
        let restored = restored.with_companions(&both, &config, file).unwrap();
        let mut second = learner();
        second.restore(restored, std::iter::empty()).unwrap();
        assert_eq!(steps(&mut second, 4..10), expected[4..]);
        assert!(second.snapshot().unwrap().files().unwrap() == whole, "the same bytes");
        let again =
            Restored::read(&config, &train, 4, file(Restored::WEIGHTS).unwrap(), file(Restored::OPTIMIZER).unwrap()).unwrap();
        let refused = again.with_companions(&both, &config, |_| None).unwrap_err().to_string();
        assert_eq!(refused, "expected companions.safetensors, found none");
    });
}

#[test]
fn a_checkpoint_that_does_not_fit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    Model::fresh(Decoder::new(Family::Gpt2, spec(1), 5), 3).write(folder.path()).unwrap();
    let teacher = |folder: &Path, logits| Beside { folder: Some(folder.to_owned()), decay: 0.0, logits, weight: 1.0 };
    let beside = |logits: bool, width: usize, vocabulary: usize, context: usize| {
        let config = Decoder::new(Family::Gpt2, Sizes { width, ..spec(2) }, vocabulary);
        let found = check_companion(&teacher(folder.path(), logits), &config, context, Decoder::check);
        found.map(|other| assert!(other.is_some())).map_err(|error| error.to_string())
    };
    beside(true, 8, 5, 4).unwrap();
    beside(true, 16, 5, 4).unwrap(); // logits of models of two widths can be compared
    let refused = |found: Result<(), String>, words: &str| {
        let message = found.unwrap_err();
        assert!(message.contains(words), "{message}");
    };
    refused(beside(true, 8, 6, 4), "expected a checkpoint of the model's vocabulary of 6 tokens, found 5 in ");
    refused(beside(true, 8, 5, 5), "expected a checkpoint of at least 5 positions, the tokens of a training sequence, found 4");
    refused(beside(false, 16, 5, 4), "expected a checkpoint of the model's width of 16, found 8");
    let (nowhere, student) = (teacher(&folder.path().join("none"), true), Decoder::new(Family::Gpt2, spec(2), 5));
    let missing = check_companion(&nowhere, &student, 4, Decoder::check);
    refused(missing.map(drop).map_err(|error| error.to_string()), "none/config.json");
}

/// A teacher of another family: what is compared are logits of one vocabulary, whatever computed them.
#[test]
fn a_teacher_may_be_of_another_family() {
    let folder = tempfile::tempdir().unwrap();
    let teacher = Decoder { kv_heads: 1, head_dim: 6, ..Decoder::new(Family::Qwen3, spec(1), 5) };
    Model::fresh(teacher, 3).write(folder.path()).unwrap();
    let beside = Beside { folder: Some(folder.path().to_owned()), decay: 0.0, logits: true, weight: 0.1 };
    let student = Decoder::new(Family::Llama, Sizes { width: 16, ..spec(2) }, 5);
    assert!(check_companion(&beside, &student, 4, Decoder::check).unwrap().is_some());
    let (train, interventions) = (train(), [Plugin(Box::new(beside) as Box<dyn Intervention>)]);
    let mut learner = Learner::new(Model::fresh(student, 0), &train, &[], &interventions, 0).unwrap();
    let first = learner.step(0, 2, &INPUTS, &TARGETS).unwrap();
    let second = learner.step(1, 2, &INPUTS, &TARGETS).unwrap();
    assert!(first.penalty > 0.0 && first.grad_norm > 0.0 && second.loss.is_finite(), "{first:?} {second:?}");
}
