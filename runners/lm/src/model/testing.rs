//! Small models with every number at work.

use super::{Decoder, Family, Model, Role, Sizes};
use regatta_core::Draw;

/// 16 wide, 2 heads, 8 positions, 11 tokens; every parameter is random, biases and norms too, so that no error hides behind a
/// zero.
pub(crate) fn model(layers: usize) -> Model {
    let sizes = Sizes { layers, width: 16, heads: 2, context: 8, mlp_width: 40 };
    random(Decoder::new(Family::Gpt2, sizes, 11))
}

/// A model whose every parameter is random.
pub(crate) fn random(decoder: Decoder) -> Model {
    let mut model = Model::fresh(decoder, 0);
    let mut draw = Draw::new(0, "testing", 0, 0);
    for (spec, numbers) in model.parameters_mut().each_mut() {
        let middle = if spec.role == Role::NormWeight { 1.0 } else { 0.0 };
        numbers.iter_mut().for_each(|x| *x = middle + 0.3 * draw.normal() as f32);
    }
    model
}

pub(crate) fn parameters<'a>(model: &'a Model, name: &str) -> &'a [f32] {
    model.parameters().get(name).unwrap()
}
