//! FLOPs of training an arm.

use super::penalties::compares_views;
use crate::model::Gpt2Config;
use crate::spec::{Term, TrainSpec};

/// FLOPs of training an arm on one token, the mean over its steps: those of [`Gpt2Config::training_flops_per_token`], and in the
/// steps in which a term compares two views those of a second pass, which goes through the blocks and back and needs no output
/// matrix. What the penalties themselves compute is not counted.
pub fn flops_per_token(config: &Gpt2Config, context: usize, train: &TrainSpec, terms: &[Term]) -> f64 {
    let steps = train.steps.get();
    let has_views = terms.iter().any(|term| term.regularizer.0.needs_view() && !term.weight.is_zero());
    let viewed = if has_views { (0..steps).filter(|&step| compares_views(terms, step)).count() } else { 0 };
    let view = config.block_flops_per_token(context) as f64;
    config.training_flops_per_token(context) as f64 + view * (viewed as f64 / steps as f64)
}
