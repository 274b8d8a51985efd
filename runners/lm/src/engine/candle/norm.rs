//! Norms over the last dim.

use super::known::known;
use crate::model::{Affine, Decoder, NormKind};
use candle_core::{D, Result, Tensor};

/// A norm of the model's kind, with weight and bias. x (r, d)
pub(super) fn norm(decoder: &Decoder, tensors: &Affine<Tensor>, x: &Tensor) -> Result<Tensor> {
    let unit = match decoder.norm {
        NormKind::LayerNorm => standardised(x, decoder.norm_epsilon)?,
        NormKind::RmsNorm => of_unit_mean_square(x, decoder.norm_epsilon)?,
    };
    let scaled = unit.broadcast_mul(&tensors.weight)?;
    match &tensors.bias {
        Some(bias) => scaled.broadcast_add(bias),
        None => Ok(scaled),
    }
}

/// `x / sqrt(mean(x²) + ε)·weight`
pub(super) fn rms(x: &Tensor, weight: &Tensor, epsilon: f64) -> Result<Tensor> {
    of_unit_mean_square(x, epsilon)?.broadcast_mul(weight)
}

/// `y = (x - mean(x))·s`, where `s = 1 / sqrt(mean((x - mean(x))²) + ε)`; its gradient is `s·(g - mean(g) - y·mean(g·y))`.
fn standardised(x: &Tensor, epsilon: f64) -> Result<Tensor> {
    let plain = x.detach();
    let centred = plain.broadcast_sub(&plain.mean_keepdim(D::Minus1)?)?;
    let scale = inverse_root(&centred, epsilon)?;
    known(x, centred.broadcast_mul(&scale)?, move |_, y, grad| {
        let along = y.broadcast_mul(&grad.mul(y)?.mean_keepdim(D::Minus1)?)?;
        grad.broadcast_sub(&grad.mean_keepdim(D::Minus1)?)?.sub(&along)?.broadcast_mul(&scale)
    })
}

/// `y = x·s`, where `s = 1 / sqrt(mean(x²) + ε)`; its gradient is `s·(g - y·mean(g·y))`.
fn of_unit_mean_square(x: &Tensor, epsilon: f64) -> Result<Tensor> {
    let plain = x.detach();
    let scale = inverse_root(&plain, epsilon)?;
    known(x, plain.broadcast_mul(&scale)?, move |_, y, grad| {
        let along = y.broadcast_mul(&grad.mul(y)?.mean_keepdim(D::Minus1)?)?;
        grad.sub(&along)?.broadcast_mul(&scale)
    })
}

/// `1 / sqrt(mean(x²) + ε)`
fn inverse_root(x: &Tensor, epsilon: f64) -> Result<Tensor> {
    (x.sqr()?.mean_keepdim(D::Minus1)? + epsilon)?.sqrt()?.recip()
}
