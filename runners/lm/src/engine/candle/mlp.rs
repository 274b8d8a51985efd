//! The MLP's hidden layer.

use super::known::known;
use crate::model::{Decoder, Mlp};
use candle_core::{Result, Tensor};
use regatta_kernels::model::CUBE;
use std::f64::consts::FRAC_2_PI;

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
        let (root, cube) = (FRAC_2_PI.sqrt(), f64::from(CUBE));
        let square = x.sqr()?;
        let tanh = x.mul(&square.affine(root * cube, root)?)?.tanh()?;
        let half_slope = square.affine(1.5 * root * cube, 0.5 * root)?; // u' / 2
        let of_tanh = tanh.sqr()?.affine(-1.0, 1.0)?.mul(&half_slope)?.mul(x)?;
        tanh.affine(0.5, 0.5)?.add(&of_tanh)?.mul(grad)
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

#[cfg(test)]
mod tests {
    use super::super::known::check_gradient;
    use super::*;

    #[test]
    fn activations_have_their_textbooks_gradients() {
        check_gradient(&[5, 8], gelu_tanh, |x| {
            let u = ((x + (x.mul(x)?.mul(x)? * 0.044715)?)? * (2.0 / std::f64::consts::PI).sqrt())?;
            (x * 0.5)?.mul(&(u.tanh()? + 1.0)?)
        });
        check_gradient(
            &[5, 8],
            |x| swiglu(x, 4),
            |x| {
                let (gate, up) = (x.narrow(1, 0, 4)?.contiguous()?, x.narrow(1, 4, 4)?.contiguous()?);
                gate.mul(&((gate.neg()?.exp()? + 1.0)?.recip()?))?.mul(&up)
            },
        );
    }
}
