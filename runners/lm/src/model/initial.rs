//! Fresh weights, as Hugging Face's GPT-2 starts, in every family.

use super::Parameters;
use super::tensors::{Init, Role, TensorSpec};
use regatta_core::Draw;

/// Fills a tensor with its first value. Each has a draw of its own, so a model with one more layer starts the others alike.
pub(super) fn initial(spec: &TensorSpec, seed: u64, numbers: &mut [f32]) {
    match spec.init {
        Init::Constant(value) => numbers.fill(value),
        Init::Normal { deviation } => normal(numbers, deviation, &mut Draw::new(seed, &format!("init {}", spec.name), 0, 0)),
    }
}

/// Fills the token embedding as a fresh model has it, from `draw`.
pub(super) fn embedding(numbers: &mut [f32], draw: &mut Draw) {
    normal(numbers, TensorSpec::DEVIATION, draw);
}

fn normal(numbers: &mut [f32], deviation: f64, draw: &mut Draw) {
    numbers.iter_mut().for_each(|number| *number = (deviation * draw.normal()) as f32);
}

/// Draws the biases of linear maps; those of norms stay 0.
pub(super) fn random_biases(parameters: &mut Parameters, std: f64, seed: u64) {
    for (spec, numbers) in parameters.each_mut().filter(|(spec, _)| spec.role == Role::Bias) {
        normal(numbers, std, &mut Draw::new(seed, &format!("bias {}", spec.name), 0, 0));
    }
}
