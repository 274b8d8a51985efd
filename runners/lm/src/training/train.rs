//! The loop of one trial.

use super::diagnose::{Diagnosed, Diagnosis, diagnose};
use super::evaluate::{Evaluated, mean_loss};
use super::interventions::Interventions;
use super::{Learner, Restored, StepRecord, TrainError};
use crate::data::{Batches, Corpus, Split, token_counts};
use crate::model::{Decoder, Model};
use crate::spec::{EvaluateSpec, ModelSpec, OnSpike, Term, TrainSpec};

/// One arm with one seed: everything that one training run depends on.
#[derive(Clone, Copy)]
pub struct Trial<'a> {
    /// The model that every arm trains.
    pub model: &'a ModelSpec,
    /// How every arm is trained.
    pub train: &'a TrainSpec,
    /// What is measured, and how often.
    pub evaluate: &'a EvaluateSpec,
    /// The arm: what is added to the loss.
    pub terms: &'a [Term],
    /// The arm: what else changes training.
    pub interventions: &'a Interventions,
    /// The tokens.
    pub corpus: &'a Corpus,
    /// Start, order of batches, dropout and draws of regularizers derive from it, each by a purpose of its own.
    pub seed: u64,
}

/// Where a trial puts what happens, and hears that it should stop.
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

    /// How the points of the weights after [`Diagnosis::step`] updates lie, where the study asks for it.
    ///
    /// # Errors
    /// When it cannot be kept; the trial then fails.
    fn diagnosis(&mut self, _diagnosis: &Diagnosis) -> std::io::Result<()> {
        Ok(())
    }

    /// Whether the trial should stop before its next step; asked between batches of a measurement too.
    fn stop(&self) -> bool {
        false
    }

    /// Asked before each step but the first: a place to keep a snapshot of the learner, if it is time.
    ///
    /// # Errors
    /// When it should be kept and cannot be.
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
        /// What, and at which step.
        reason: String,
    },
    /// The recorder asked for it; another learner can go on from this one's snapshot.
    Stopped(Box<Learner<'a>>),
}

impl Trial<'_> {
    /// The model's shape.
    ///
    /// # Errors
    /// When the checkpoint's config cannot be read.
    pub fn decoder(&self) -> Result<Decoder, TrainError> {
        Ok(match self.model {
            ModelSpec::Fresh(fresh) => fresh.decoder(self.corpus.vocab_size),
            ModelSpec::Init(folder) => Decoder::read(folder)?,
        })
    }

    /// The model as it is before the first step.
    ///
    /// # Errors
    /// When the checkpoint cannot be read or the model does not fit in memory.
    pub fn start(&self) -> Result<Model, TrainError> {
        Ok(match self.model {
            ModelSpec::Fresh(fresh) => Model::fresh(self.decoder()?, self.seed).with_biases(fresh.bias_std, self.seed),
            ModelSpec::Init(folder) => Model::read(folder)?,
        })
    }

    /// Tokens a sequence.
    pub fn context(&self, model: &Decoder) -> usize {
        self.train.context.map_or(model.context, |context| context.get())
    }
}

/// Trains one trial from its start, or from where an earlier run of it was cut off and the steps that it made, to its last step.
///
/// What a measurement of the validation loss finds at step s belongs to the run that makes step s: a snapshot after s updates
/// was kept before it.
///
/// # Errors
/// When a tensor operation, a regularizer or the recorder fails. A loss that stops being finite is no error.
pub fn train<'a>(
    trial: &Trial<'a>,
    from: Option<(Restored, &[StepRecord])>,
    recorder: &mut impl Recorder,
) -> Result<Outcome<'a>, TrainError> {
    let mut learner = Box::new(Learner::new(trial.start()?, trial.train, trial.terms, trial.interventions, trial.seed)?);
    let first = from.as_ref().map_or(0, |(restored, _)| restored.steps);
    if let Some((restored, made)) = from {
        learner.restore(restored, made.iter().map(|record| record.loss));
    }
    let context = trial.context(learner.model().decoder());
    let (corpus, steps, rows) = (trial.corpus, trial.train.steps.get(), trial.train.batch_size.get());
    corpus.check(context)?;
    let mut batches = Batches::new(corpus.order, trial.seed, corpus.train.windows(context), rows);

    let watched = Evaluated { split: &corpus.validation, context, rows, spec: trial.evaluate };
    let measure = |model: &Model, recorder: &mut dyn Recorder| match mean_loss(model, watched, &|| !recorder.stop()) {
        Err(TrainError::Interrupted) => Ok(None),
        other => other.map(Some),
    };

    let counts = trial.evaluate.diagnostics.as_ref().map(|_| token_counts(&corpus.train, corpus.vocab_size));
    let look = |model: &Model, step: usize, recorder: &mut dyn Recorder| -> Result<bool, TrainError> {
        let (Some(spec), Some(counts)) = (&trial.evaluate.diagnostics, &counts) else { return Ok(true) };
        if !spec.is_due(step, steps) {
            return Ok(true);
        }
        let of = Diagnosed { split: &corpus.validation, counts, context, rows, points: spec.points.get() };
        match diagnose(model, step, of, &|| !recorder.stop()) {
            Err(TrainError::Interrupted) => Ok(false),
            other => Ok(recorder.diagnosis(&other?).map(|()| true)?),
        }
    };

    for step in first..steps {
        if recorder.stop() {
            return Ok(Outcome::Stopped(learner));
        }
        if step > first {
            recorder.between(&learner)?;
        }
        if step % trial.evaluate.every.get() == 0 {
            let Some(loss) = measure(learner.model(), recorder)? else { return Ok(Outcome::Stopped(learner)) };
            recorder.validation(step, loss)?;
        }
        if !look(learner.model(), step, recorder)? {
            return Ok(Outcome::Stopped(learner));
        }
        let (inputs, targets) = gather(&corpus.train, &batches.windows(step), context);
        let record = learner.step(step, rows, &inputs, &targets)?;
        recorder.step(&record)?;
        if let Some(reason) = record.divergence() {
            return Ok(Outcome::Diverged { reason });
        }
        if let Some(reason) = record.outlier().filter(|_| trial.train.on_spike == OnSpike::Stop) {
            return Ok(Outcome::Diverged { reason });
        }
    }
    let Some(loss) = measure(learner.model(), recorder)? else { return Ok(Outcome::Stopped(learner)) };
    recorder.validation(steps, loss)?;
    if !loss.is_finite() {
        return Ok(Outcome::Diverged { reason: "the validation loss is not finite after the last step".into() });
    }
    if !look(learner.model(), steps, recorder)? {
        return Ok(Outcome::Stopped(learner));
    }
    Ok(Outcome::Finished(learner))
}

/// The windows of a batch, one after the other: inputs, and the targets that follow them.
pub(super) fn gather(split: &Split, windows: &[usize], context: usize) -> (Vec<u32>, Vec<u32>) {
    let (mut inputs, mut targets) = (Vec::with_capacity(windows.len() * context), Vec::with_capacity(windows.len() * context));
    for &window in windows {
        let (window_inputs, window_targets) = split.window(window, context);
        inputs.extend_from_slice(window_inputs);
        targets.extend_from_slice(window_targets);
    }
    (inputs, targets)
}
