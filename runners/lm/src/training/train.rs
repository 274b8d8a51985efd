//! The loop of one trial.

use super::evaluation::{Diagnosed, Diagnosis, Evaluated, diagnose, gather, mean_loss, named_scores};
use super::{Learner, Restored, StepRecord, TrainError, Trial};
use crate::data::{Batches, token_counts};
use crate::engine::Measured;
use crate::measure::MeasureError;
use crate::spec::OnSpike;
use crate::tasks::{ScoredTasks, Tasks};

/// Keeps the records of a trial, and can stop it.
pub trait Recorder {
    /// A step was made.
    ///
    /// # Errors
    /// When it cannot be kept; the trial then fails.
    fn step(&mut self, record: &StepRecord) -> std::io::Result<()>;

    /// The validation loss (nats per token) of the weights after `steps` updates.
    ///
    /// # Errors
    /// When it cannot be kept; the trial then fails.
    fn validation(&mut self, steps: usize, loss: f64) -> std::io::Result<()>;

    /// The geometry of the weights after [`Diagnosis::step`] updates, where the study asks for it.
    ///
    /// # Errors
    /// When it cannot be kept; the trial then fails.
    fn diagnosis(&mut self, _diagnosis: &Diagnosis) -> std::io::Result<()> {
        Ok(())
    }

    /// How the weights after [`ScoredTasks::step`] updates do on the tasks of `evaluate.tasks`, where the study asks for it before
    /// the end.
    ///
    /// # Errors
    /// When it cannot be kept; the trial then fails.
    fn tasks(&mut self, _scored: &ScoredTasks) -> std::io::Result<()> {
        Ok(())
    }

    /// Whether the trial should stop before its next step; also asked between batches of a measurement.
    fn stop(&self) -> bool {
        false
    }

    /// Called before each step but the first: the place to keep a snapshot of the learner, if one is due.
    ///
    /// # Errors
    /// When a snapshot is due and cannot be kept.
    fn between(&mut self, _learner: &Learner<'_>) -> std::io::Result<()> {
        Ok(())
    }
}

/// How a trial ended.
pub enum Outcome<'a> {
    /// All steps were made.
    Finished(Box<Learner<'a>>),
    /// Loss, penalty or gradient stopped being finite.
    Diverged {
        /// Which of them, and at which step.
        reason: String,
    },
    /// The recorder asked for it; another learner can go on from this one's snapshot.
    Stopped(Box<Learner<'a>>),
}

/// Trains one trial to its last step: from its start, or from where an earlier run of it was cut off, given what that run kept and
/// the steps that it made.
///
/// The validation loss of step s is recorded by the run that makes step s: a snapshot after s updates is kept before it.
///
/// # Errors
/// When a tensor operation, a plugin or the recorder fails. A loss that stops being finite is an outcome, not an error.
pub fn train<'a>(
    trial: &Trial<'a>,
    from: Option<(Restored, &[StepRecord])>,
    recorder: &mut impl Recorder,
) -> Result<Outcome<'a>, TrainError> {
    let Trial { compute, train, terms, interventions, seed, recompute, .. } = *trial;
    let mut learner = Box::new(Learner::on(compute, trial.start()?, train, terms, interventions, seed)?);
    if recompute {
        learner.recompute();
    }
    let first = from.as_ref().map_or(0, |(restored, _)| restored.steps);
    if let Some((restored, made)) = from {
        learner.restore(restored, made.iter().map(|record| record.loss))?;
    }
    match steps(trial, &mut learner, first, recorder) {
        Ok(None) => Ok(Outcome::Finished(learner)),
        Ok(Some(reason)) => Ok(Outcome::Diverged { reason }),
        Err(TrainError::Measure(MeasureError::Interrupted)) => Ok(Outcome::Stopped(learner)),
        Err(error) => Err(error),
    }
}

/// Makes the steps from `first` on, each preceded by the measurements that are due. Returns why the trial diverged, if it did; where
/// the recorder asks it to stop, it ends in [`MeasureError::Interrupted`].
fn steps(
    trial: &Trial<'_>,
    learner: &mut Learner<'_>,
    first: usize,
    recorder: &mut impl Recorder,
) -> Result<Option<String>, TrainError> {
    let context = trial.context(learner.decoder());
    let steps = trial.train.steps_of(learner.decoder()).map_err(TrainError::Length)?.get();
    let (corpus, rows) = (trial.corpus, trial.train.batch_size.get());
    corpus.check(context)?;
    let mut batches = Batches::new(corpus.order, trial.seed, corpus.train.windows(context), rows);
    let validation = Validation::of(trial, context, steps)?;
    for step in learner.counted_before(first) {
        learner.count(&gather(&corpus.train, &batches.windows(step), context)?.1);
    }

    for step in first..steps {
        if recorder.stop() {
            return Err(MeasureError::Interrupted.into());
        }
        if step > first {
            recorder.between(learner)?;
        }
        if step % trial.evaluate.every.get() == 0 {
            validation.loss(learner.measured(), step, recorder)?;
        }
        validation.diagnosis(learner.measured(), step, recorder)?;
        validation.tasks(learner.measured(), step, recorder)?;
        let (inputs, targets) = gather(&corpus.train, &batches.windows(step), context)?;
        let record = learner.step(step, rows, &inputs, &targets)?;
        recorder.step(&record)?;
        let outlier = || record.outlier().filter(|_| trial.train.on_spike == OnSpike::Stop);
        if let Some(reason) = record.divergence().or_else(outlier) {
            return Ok(Some(reason));
        }
    }
    if !validation.loss(learner.measured(), steps, recorder)?.is_finite() {
        return Ok(Some("the validation loss is not finite after the last step".into()));
    }
    validation.diagnosis(learner.measured(), steps, recorder)?;
    Ok(None)
}

/// What is measured on the validation split while a model trains.
struct Validation<'a> {
    of: Evaluated<'a>,
    /// How often each token occurs in training, where the study asks for diagnoses.
    counts: Option<Vec<u64>>,
    tasks: &'a Tasks,
    /// Steps to make.
    steps: usize,
}

impl<'a> Validation<'a> {
    fn of(trial: &Trial<'a>, context: usize, steps: usize) -> Result<Self, TrainError> {
        let (corpus, rows, spec) = (trial.corpus, trial.train.batch_size.get(), trial.evaluate);
        let counts = spec.diagnostics.as_ref().map(|_| token_counts(&corpus.train, corpus.vocab_size)).transpose()?;
        Ok(Self { of: Evaluated { split: &corpus.validation, context, rows, spec }, counts, tasks: trial.tasks, steps })
    }

    /// Measures and records the loss after `step` updates.
    fn loss(&self, model: Measured<'_>, step: usize, recorder: &mut impl Recorder) -> Result<f64, TrainError> {
        let loss = mean_loss(model, self.of, &|| !recorder.stop())?;
        recorder.validation(step, loss)?;
        Ok(loss)
    }

    /// Measures and records the geometry after `step` updates, where it is due.
    fn diagnosis(&self, model: Measured<'_>, step: usize, recorder: &mut impl Recorder) -> Result<(), TrainError> {
        let (Some(spec), Some(counts)) = (&self.of.spec.diagnostics, &self.counts) else { return Ok(()) };
        if !spec.is_due(step, self.steps) {
            return Ok(());
        }
        let Evaluated { split, context, rows, .. } = self.of;
        let of = Diagnosed { split, counts, context, rows, points: spec.points.get() };
        recorder.diagnosis(&diagnose(model, step, of, &|| !recorder.stop())?)?;
        Ok(())
    }

    /// Scores the tasks after `step` updates and records it, where that is due. After the last one they are scored with all else.
    fn tasks(&self, model: Measured<'_>, step: usize, recorder: &mut impl Recorder) -> Result<(), TrainError> {
        let spec = self.of.spec;
        if self.tasks.named.is_empty() || !spec.tasks_at.is_due(step, self.steps, spec.every.get()) {
            return Ok(());
        }
        let scores = named_scores(model, self.tasks, &|| !recorder.stop())?;
        let scores = scores.into_iter().map(|(score, _)| score).collect();
        recorder.tasks(&ScoredTasks { step, scores })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Corpus;
    use crate::spec::{DataSpec, EvaluateSpec, ModelSpec, TrainSpec};
    use crate::tasks::Tasks;
    use serde_json::{from_value, json};

    /// Truncates a file after the second step.
    struct Truncates(std::path::PathBuf, usize);

    impl Recorder for Truncates {
        fn step(&mut self, _: &StepRecord) -> std::io::Result<()> {
            self.1 += 1;
            if self.1 == 2 {
                std::fs::write(&self.0, [1, 0])?;
            }
            Ok(())
        }

        fn validation(&mut self, _: usize, _: f64) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_token_file_that_shrinks_ends_the_trial_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let [train_file, validation] = ["train.bin", "validation.bin"].map(|name| {
            let path = folder.path().join(name);
            std::fs::write(&path, (0..2000u16).flat_map(|i| (i % 89).to_le_bytes()).collect::<Vec<_>>()).unwrap();
            path
        });
        let data: DataSpec = from_value(json!({"tokens": {"train": train_file, "validation": validation}})).unwrap();
        let corpus = Corpus::load(&data, None, None).unwrap();
        let model: ModelSpec = from_value(json!({"layers": 1, "width": 8, "heads": 1, "context": 8})).unwrap();
        let length: TrainSpec = from_value(json!({"steps": 5, "batch_size": 2})).unwrap();
        let (evaluate, tasks) = (EvaluateSpec::default(), Tasks::default());
        let trial = Trial {
            model: &model,
            train: &length,
            evaluate: &evaluate,
            terms: &[],
            interventions: &[],
            corpus: &corpus,
            tasks: &tasks,
            seed: 0,
            compute: &crate::device::Compute::Kernels,
            recompute: false,
        };
        let Err(error) = train(&trial, None, &mut Truncates(train_file.clone(), 0)) else { panic!("it read what is not there") };
        let expected = format!("{}: expected 4000 bytes, as when the data were opened, found 2 (id ", train_file.display());
        assert!(error.to_string().starts_with(&expected), "{error}");
    }
}
