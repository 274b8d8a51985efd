//! Norms as parts of a model: which kind a model has, and the gradients of their weights.

use super::linear::sum_vectors;
use crate::kernels::Norm;
use crate::model::{Affine, Decoder};

/// The norm of these tensors.
pub(super) fn norm<'a>(decoder: &Decoder, tensors: &Affine<&'a [f32]>) -> Norm<'a> {
    Norm { weight: tensors.weight, bias: tensors.bias, epsilon: decoder.norm_epsilon as f32 }
}

/// Gradients of a norm's weight and bias, summed over a part's rows.
#[derive(Debug, Default)]
pub(super) struct NormSlopes {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl NormSlopes {
    pub fn new(d: usize) -> Self {
        Self { weight: vec![0.0; d], bias: vec![0.0; d] }
    }

    /// From `g` (r, d), the gradient of the norm of x, which is overwritten, to that of x, which is added to `dx`; `y` gets the norm
    /// again.
    pub fn backward(&mut self, norm: Norm<'_>, x: &[f32], g: &mut [f32], y: &mut [f32], dx: &mut [f32]) {
        self.weight.fill(0.0);
        self.bias.fill(0.0);
        norm.backward(x, g, y, dx, &mut self.weight, &mut self.bias);
    }
}

/// The gradient of a norm, summed over all parts.
pub(super) fn sum_norms<'a>(sums: &mut Affine<&mut [f32]>, parts: impl Iterator<Item = &'a NormSlopes> + Clone) {
    sum_vectors(sums.weight, parts.clone().map(|part| &part.weight));
    sums.bias.iter_mut().for_each(|bias| sum_vectors(bias, parts.clone().map(|part| &part.bias)));
}

/// The same in candle's operations.
#[cfg(test)]
pub(super) mod plain {
    use crate::engine::plain::Named;
    use crate::model::{Decoder, NormKind};
    use candle_core::{D, Result, Tensor};
    use candle_nn::ops::layer_norm_slow;

    pub fn norm(decoder: &Decoder, tensors: &Named, name: &str, x: &Tensor) -> Result<Tensor> {
        let weight = &tensors[&format!("{name}.weight")];
        match decoder.norm {
            NormKind::LayerNorm => layer_norm_slow(x, weight, &tensors[&format!("{name}.bias")], decoder.norm_epsilon as f32),
            NormKind::RmsNorm => rms(x, weight, decoder.norm_epsilon),
        }
    }

    pub fn rms(x: &Tensor, weight: &Tensor, epsilon: f64) -> Result<Tensor> {
        let root = (x.sqr()?.mean_keepdim(D::Minus1)? + epsilon)?.sqrt()?;
        x.broadcast_div(&root)?.broadcast_mul(weight)
    }
}
