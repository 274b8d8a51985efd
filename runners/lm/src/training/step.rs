//! One training step.

use super::gradients::global_norm;
use super::penalties::penalties;
use super::{AdamW, StepRecord, TrainError};
use crate::model::Gpt2;
use crate::ops::{Dropout, cross_entropy};
use crate::spec::{Term, TrainSpec};
use candle_core::{Device, Tensor};
use regatta_core::Draw;
use std::time::Instant;

/// A model and its optimizer, with what a step needs to know.
pub struct Learner<'a> {
    /// The model.
    pub model: Gpt2,
    optimizer: AdamW,
    train: &'a TrainSpec,
    terms: &'a [Term],
    seed: u64,
}

impl<'a> Learner<'a> {
    /// An optimizer of its own for `model`. Randomness of its steps derives from `seed`.
    pub fn new(model: Gpt2, train: &'a TrainSpec, terms: &'a [Term], seed: u64) -> Self {
        let optimizer = AdamW::new(model.parameters(), train);
        Self { model, optimizer, train, terms, seed }
    }

    /// Forward, cross-entropy, penalties, backward, clip, update. `inputs` and `targets` are `rows` sequences, one after the
    /// other. Where loss, penalty or gradient is not finite, the update is left out and the record says so.
    ///
    /// # Errors
    /// When a tensor operation or a regularizer fails.
    pub fn step(&mut self, step: usize, rows: usize, inputs: Vec<u32>, targets: Vec<u32>) -> Result<StepRecord, TrainError> {
        let started = Instant::now();
        let tokens = inputs.len();
        let ids = Tensor::from_vec(inputs, (rows, tokens / rows), &Device::Cpu)?; // (b, t)

        let rate = self.train.dropout.get();
        let dropout = (rate > 0.0).then(|| Dropout::new(rate, Draw::new(self.seed, "dropout", step as u64, 0)));
        let seen = self.model.forward(&ids, dropout.as_ref())?;
        let loss = cross_entropy(&seen.logits, targets)?.mean_all()?; // nats per token

        let penalties = penalties(self.terms, &self.model, &seen, self.seed, step)?;
        let mut total = loss.clone();
        for (_, weight, penalty) in &penalties {
            total = (total + (penalty * *weight)?)?;
        }

        let grads = total.backward()?;
        let (grad_norm, broken) = global_norm(self.model.parameters(), &grads)?;
        let clip = self.train.grad_clip.get().map_or(1.0, |most| (most.get() / (grad_norm + 1e-6)).min(1.0));
        let lr = self.train.lr.get() * self.train.schedule.factor(step, self.train.steps.get());

        let number = |tensor: &Tensor| tensor.to_scalar::<f32>().map(f64::from);
        let mut record = StepRecord {
            step,
            loss: number(&loss)?,
            penalty: 0.0,
            terms: Default::default(),
            grad_norm,
            lr,
            tokens_per_second: 0.0,
        };
        for (name, weight, penalty) in penalties {
            let raw = number(&penalty)?;
            record.penalty += weight * raw;
            record.terms.insert(name, raw);
        }
        match (record.divergence(), broken) {
            (None, _) => self.optimizer.step(self.model.parameters(), &grads, lr, clip)?,
            (Some(reason), Some(tensor)) => tracing::debug!("{reason}; first in the gradient of {tensor}"),
            (Some(reason), None) => tracing::debug!("{reason}"),
        }
        record.tokens_per_second = tokens as f64 / started.elapsed().as_secs_f64();
        Ok(record)
    }
}
