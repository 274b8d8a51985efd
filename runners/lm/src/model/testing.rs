//! Small models with every number at work.

use super::{Gpt2, Gpt2Config};
use crate::spec::Gpt2Spec;
use regatta_core::Draw;

/// 16 wide, 2 heads, 8 positions, 11 tokens; every parameter is random, biases and norms too, so that no error hides behind a
/// zero.
pub(super) fn model(layers: usize) -> Gpt2 {
    let spec = Gpt2Spec { layers, width: 16, heads: 2, context: 8, mlp_width: 40, bias_std: 0.0 };
    let mut model = Gpt2::fresh(Gpt2Config::new(&spec, 11), 0);
    let mut draw = Draw::new(0, "testing", 0, 0);
    for (name, shape, numbers) in model.parameters_mut().named_mut() {
        let (middle, spread) = match shape.len() {
            1 if name.ends_with("weight") => (1.0, 0.3),
            _ => (0.0, 0.3),
        };
        numbers.iter_mut().for_each(|x| *x = middle + spread * draw.normal() as f32);
    }
    model
}

pub(super) fn parameters<'a>(model: &'a Gpt2, name: &str) -> &'a [f32] {
    model.parameters().get(name).unwrap()
}
