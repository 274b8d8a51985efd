//! One training step.

use super::gradients::global_norm;
use super::penalties::{keep, penalties};
use super::snapshot::{Restored, Snapshot};
use super::{AdamW, StepRecord, TrainError};
use crate::kernels::Dropout;
use crate::model::{Gpt2, Parameters, Pass};
use crate::spec::{Term, TrainSpec};
use regatta_core::Draw;
use std::time::Instant;

/// A model and its optimizer, with what a step needs to know.
pub struct Learner<'a> {
    /// The model.
    pub model: Gpt2,
    gradients: Parameters,
    optimizer: AdamW,
    pass: Option<Pass>,
    train: &'a TrainSpec,
    terms: &'a [Term],
    seed: u64,
}

impl<'a> Learner<'a> {
    /// An optimizer of its own for `model`. Randomness of its steps derives from `seed`.
    pub fn new(model: Gpt2, train: &'a TrainSpec, terms: &'a [Term], seed: u64) -> Self {
        let gradients = Parameters::zeros(model.config());
        let optimizer = AdamW::new(model.config(), train);
        Self { model, gradients, optimizer, pass: None, train, terms, seed }
    }

    /// What has to be kept for another learner to go on from here, bit for bit: all randomness is a function of the step.
    pub fn snapshot(&self) -> Snapshot<'_> {
        let (first, second, steps) = self.optimizer.state();
        Snapshot { steps, weights: self.model.parameters(), first, second }
    }

    /// Goes on from what a learner of the same model and training kept.
    pub fn restore(&mut self, restored: Restored) {
        let Restored { steps, weights, first, second } = restored;
        *self.model.parameters_mut() = weights;
        self.optimizer.restore(first, second, steps);
    }

    /// Forward, cross-entropy, penalties, backward, clip, update. `inputs` and `targets` are `rows` sequences, one after the
    /// other. Where loss, penalty or gradient is not finite, the update is left out and the record says so.
    ///
    /// # Errors
    /// When the batch does not fit the model, or a regularizer fails.
    pub fn step(&mut self, step: usize, rows: usize, inputs: &[u32], targets: &[u32]) -> Result<StepRecord, TrainError> {
        let started = Instant::now();
        let shape = (rows, inputs.len() / rows); // (b, t)
        let pass = match &mut self.pass {
            Some(pass) if pass.shape() == shape => pass,
            other => other.insert(Pass::new(self.model.config(), shape.0, shape.1, keep(self.terms))),
        };

        let rate = self.train.dropout.get();
        let dropout = (rate > 0.0).then(|| Dropout::new(rate, Draw::new(self.seed, "dropout", step as u64, 0)));
        pass.forward(&self.model, inputs, dropout.as_ref())?;
        let (penalties, upstream) = penalties(self.terms, &self.model, pass, self.seed, step)?;
        let losses = pass.backward(&self.model, targets, &upstream, dropout.as_ref(), &mut self.gradients); // nats a token
        let (grad_norm, broken) = global_norm(&self.gradients);
        let clip = self.train.grad_clip.get().map_or(1.0, |most| (most.get() / (grad_norm + 1e-6)).min(1.0));
        let lr = self.train.lr.get() * self.train.schedule.factor(step, self.train.steps.get());

        let mut record = StepRecord {
            step,
            loss: losses.iter().map(|&loss| f64::from(loss)).sum::<f64>() / losses.len() as f64,
            penalty: penalties.iter().map(|penalty| penalty.weight * penalty.value).sum(),
            terms: penalties.into_iter().map(|penalty| (penalty.name, penalty.value)).collect(),
            grad_norm,
            lr,
            tokens_per_second: 0.0,
            broken_gradient: broken.map(str::to_owned),
        };
        if record.divergence().is_none() {
            self.optimizer.step(self.model.parameters_mut(), &self.gradients, lr, clip);
        }
        record.tokens_per_second = inputs.len() as f64 / started.elapsed().as_secs_f64();
        Ok(record)
    }
}
