//! Fresh weights, as Hugging Face's GPT-2 starts.

use super::Gpt2Config;
use candle_core::{Device, Result, Tensor};
use regatta_core::Draw;

/// The first value of the tensor `name`: normal with standard deviation 0.02, divided by sqrt(2·layers) for the two
/// projections back into the residual stream; biases 0; norm weights 1. Each tensor has a draw of its own, so a model with
/// one more layer starts the others alike.
pub(super) fn initial(config: &Gpt2Config, name: &str, shape: &[usize], seed: u64, device: &Device) -> Result<Tensor> {
    if shape.len() == 1 {
        let value = if name.ends_with("weight") { 1f32 } else { 0f32 };
        return Tensor::full(value, shape, device);
    }
    let deviation = match name.ends_with("c_proj.weight") {
        true => 0.02 / (2.0 * config.n_layer as f64).sqrt(),
        false => 0.02,
    };
    let mut draw = Draw::new(seed, &format!("init {name}"), 0, 0);
    let numbers: Vec<f32> = (0..shape.iter().product()).map(|_| (deviation * draw.normal()) as f32).collect();
    Tensor::from_vec(numbers, shape, device)
}
