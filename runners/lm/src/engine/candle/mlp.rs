//! The MLP's hidden layer.

use super::known::known;
use crate::model::{Decoder, Mlp};
use candle_core::{Result, Tensor};
use std::f64::consts::FRAC_2_PI;

/// The factor of the cube in GELU's tanh form.
const CUBE: f64 = 0.044715;

/// Of the first map's outputs. (r, m), or (r, 2m) with gates -> (r, m)
pub(super) fn hidden(decoder: &Decoder, first: &Tensor) -> Result<Tensor> {
    match decoder.mlp {
        Mlp::GeluTanh => gelu_tanh(first),
        Mlp::Gelu => first.gelu_erf(),
        Mlp::Swiglu => swiglu(first, decoder.mlp_width),
    }
}

/// `x/2·(1 + tanh u)`, `u = sqrt(2/π)·(x + 0.044715·x³)`; its gradient is `1/2·(1 + tanh u) + x/2·(1 - tanh² u)·u'`.
fn gelu_tanh(x: &Tensor) -> Result<Tensor> {
    known(x, x.detach().gelu()?, |x, _, grad| {
        let root = FRAC_2_PI.sqrt();
        let square = x.sqr()?;
        let tanh = x.mul(&square.affine(root * CUBE, root)?)?.tanh()?;
        let slope = square.affine(1.5 * root * CUBE, 0.5 * root)?; // u' / 2
        let bent = tanh.sqr()?.affine(-1.0, 1.0)?.mul(&slope)?.mul(x)?;
        tanh.affine(0.5, 0.5)?.add(&bent)?.mul(grad)
    })
}

/// `silu(gate)·up`, where the gates are the first m columns: with `s = sigmoid(gate)`, their gradient is
/// `up·s·(1 + gate·(1 - s))`.
fn swiglu(x: &Tensor, m: usize) -> Result<Tensor> {
    let halves =
        move |x: &Tensor| -> Result<[Tensor; 2]> { Ok([x.narrow(1, 0, m)?.contiguous()?, x.narrow(1, m, m)?.contiguous()?]) };
    let [gate, up] = halves(&x.detach())?;
    known(x, gate.silu()?.mul(&up)?, move |x, _, grad| {
        let [gate, up] = halves(x)?;
        let sigmoid = (gate.neg()?.exp()? + 1.0)?.recip()?;
        let of_up = gate.mul(&sigmoid)?; // silu
        let of_gate = sigmoid.affine(-1.0, 1.0)?.mul(&of_up)?.add(&sigmoid)?.mul(&up)?;
        Tensor::cat(&[of_gate.mul(grad)?, of_up.mul(grad)?], 1)
    })
}
