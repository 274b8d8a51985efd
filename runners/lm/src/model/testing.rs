//! Small models with every number at work.

use super::{Biases, Decoder, Family, Mlp, Model, NormKind, NormPlacement, Positions, QkNorm, Role, Rotary, Sizes};
use regatta_core::Draw;

/// 16 wide, 2 heads, 8 positions, 11 tokens; every parameter is random, biases and norms too, so that no error hides behind a
/// zero.
pub(crate) fn model(layers: usize) -> Model {
    let sizes = Sizes { layers, width: 16, heads: 2, context: 8, mlp_width: 40 };
    random(Decoder::new(Family::Gpt2, sizes, 11))
}

/// 16 wide, 2 layers, 4 heads, 8 positions, 11 tokens.
fn small(family: Family) -> Decoder {
    Decoder::new(family, Sizes { layers: 2, width: 16, heads: 4, context: 8, mlp_width: 24 }, 11)
}

/// Small decoders of every family, those that differ from a GPT-2 and from a Llama in one option, and one of many options at once.
pub(crate) fn every_option() -> Vec<Decoder> {
    let rotary = |fraction| Positions::Rotary(Rotary { fraction, ..Rotary::default() });
    let changes: [fn(&mut Decoder); 16] = [
        |it| it.norm = NormKind::LayerNorm,
        |it| it.norm = NormKind::RmsNorm,
        |it| it.norm_placement = NormPlacement::After,
        |it| it.mlp = Mlp::Gelu,
        |it| it.mlp = Mlp::GeluTanh,
        |it| it.mlp = Mlp::Swiglu,
        |it| it.qk_norm = QkNorm::PerHead,
        |it| it.qk_norm = QkNorm::AllHeads,
        |it| it.biases = Biases::ALL,
        |it| it.biases = Biases::NONE,
        |it| it.tied = !it.tied,
        |it| it.parallel = true,
        |it| it.logit_cap = Some(2.0),
        |it| (it.kv_heads, it.head_dim) = (1, 6), // heads are wider together than the stream
        |it| it.head_dim = 2,
        |it| it.positions = Positions::Learned,
    ];
    // heads of 8 dims, so that a quarter of one, GPT-NeoX's, is a pair to rotate
    let mut all: Vec<Decoder> = Family::ALL.iter().map(|&family| Decoder { head_dim: 8, ..small(family) }).collect();
    for base in [small(Family::Gpt2), Decoder { kv_heads: 2, ..small(Family::Llama) }] {
        for change in changes {
            let mut decoder = base.clone();
            change(&mut decoder);
            all.push(decoder);
        }
        all.push(Decoder { positions: rotary(0.5), ..base });
    }
    all.push(Decoder {
        norm: NormKind::RmsNorm,
        norm_placement: NormPlacement::After,
        positions: rotary(1.0),
        mlp: Mlp::Swiglu,
        qk_norm: QkNorm::AllHeads,
        kv_heads: 2,
        head_dim: 6,
        logit_cap: Some(3.0),
        parallel: true,
        tied: false,
        ..small(Family::Gpt2)
    });
    all
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
