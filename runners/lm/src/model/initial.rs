//! Fresh weights, as Hugging Face's GPT-2 starts.

use super::{Gpt2Config, Parameters};
use regatta_core::Draw;

/// Standard deviation of a fresh weight.
const DEVIATION: f64 = 0.02;

/// Fills the tensor `name` with its first value: normal with standard deviation 0.02, divided by sqrt(2·layers) for the two
/// projections back into the residual stream; biases 0; norm weights 1. Each tensor has a draw of its own, so a model with
/// one more layer starts the others alike.
pub(super) fn initial(config: &Gpt2Config, name: &str, shape: &[usize], seed: u64, numbers: &mut [f32]) {
    if shape.len() == 1 {
        return numbers.fill(if name.ends_with("weight") { 1.0 } else { 0.0 });
    }
    let deviation = match name.ends_with("c_proj.weight") {
        true => DEVIATION / (2.0 * config.n_layer as f64).sqrt(),
        false => DEVIATION,
    };
    normal(numbers, deviation, &mut Draw::new(seed, &format!("init {name}"), 0, 0));
}

/// Fills the token embedding as a fresh model has it, from `draw`.
pub(super) fn embedding(numbers: &mut [f32], draw: &mut Draw) {
    normal(numbers, DEVIATION, draw);
}

fn normal(numbers: &mut [f32], deviation: f64, draw: &mut Draw) {
    numbers.iter_mut().for_each(|number| *number = (deviation * draw.normal()) as f32);
}

/// Draws the biases of linear maps; those of norms stay 0.
pub(super) fn random_biases(parameters: &mut Parameters, std: f64, seed: u64) {
    for (name, _, numbers) in parameters.named_mut() {
        if name.starts_with("h.") && name.ends_with(".bias") && !name.contains(".ln_") {
            let mut draw = Draw::new(seed, &format!("bias {name}"), 0, 0);
            numbers.iter_mut().for_each(|number| *number = (std * draw.normal()) as f32);
        }
    }
}
