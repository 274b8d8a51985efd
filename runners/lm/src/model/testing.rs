//! Small models with every number at work.

use super::{Model, Decoder};
use crate::model::{Family, Sizes};
use regatta_core::Draw;

/// 16 wide, 2 heads, 8 positions, 11 tokens; every parameter is random, biases and norms too, so that no error hides behind a
/// zero.
pub(super) fn model(layers: usize) -> Model {
    let spec = Sizes { layers, width: 16, heads: 2, context: 8, mlp_width: 40 };
    let mut model = Model::fresh(Decoder::new(Family::Gpt2, spec, 11), 0);
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

pub(super) fn parameters<'a>(model: &'a Model, name: &str) -> &'a [f32] {
    model.parameters().get(name).unwrap()
}
