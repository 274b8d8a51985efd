//! Norms as parts of a model: which kind a model has, where a block's norms stand, and the gradients of their weights.

use super::linear::sum_vectors;
use crate::model::{Affine, Decoder, NormPlacement};
use regatta_kernels::model::Norm;
use regatta_kernels::vector::add;

/// The norm of these tensors.
pub(super) fn norm<'a>(decoder: &Decoder, tensors: &Affine<&'a [f32]>) -> Norm<'a> {
    Norm { weight: tensors.weight, bias: tensors.bias, epsilon: decoder.norm_epsilon as f32 }
}

/// The norm of a block's attention or MLP: of what it reads of the residual stream, or of what it adds to it.
#[derive(Clone, Copy)]
pub(super) struct Placed<'a> {
    norm: Norm<'a>,
    after: bool,
}

impl<'a> Placed<'a> {
    pub fn new(decoder: &Decoder, tensors: &Affine<&'a [f32]>) -> Self {
        Self { norm: norm(decoder, tensors), after: decoder.norm_placement == NormPlacement::After }
    }

    /// Numbers to keep of what is added, of `width`, where the norm comes after.
    pub fn unnormed(decoder: &Decoder, rows: usize) -> Vec<f32> {
        let after = decoder.norm_placement == NormPlacement::After;
        vec![0.0; if after { rows * decoder.width } else { 0 }]
    }

    /// What is read of the stream x; `normed` has room for it. (r, d) each
    pub fn read<'x>(self, x: &'x [f32], normed: &'x mut [f32]) -> &'x [f32] {
        if self.after {
            return x;
        }
        self.norm.forward(x, normed);
        normed
    }

    /// What is added to the stream, of what `body` writes; `unnormed` keeps that where the norm comes after. (r, d)
    pub fn write(self, unnormed: &mut [f32], out: &mut [f32], body: impl FnOnce(&mut [f32])) {
        if self.after {
            body(unnormed);
            self.norm.forward(unnormed, out);
        } else {
            body(out);
        }
    }

    /// From the gradient of what is added, to that of what `body` wrote, in place. `again` and `passing` are written over. (r, d)
    /// each
    pub fn write_backward(
        self,
        grads: &mut NormGradients,
        unnormed: &[f32],
        grad: &mut [f32],
        [again, passing]: [&mut [f32]; 2],
    ) {
        if self.after {
            passing.fill(0.0);
            grads.backward(self.norm, unnormed, grad, again, passing);
            grad.copy_from_slice(passing);
        }
    }

    /// From the gradient of what was read, which is written over, to that of the stream x, added to `stream`; `read` gets again
    /// what was read. (r, d) each
    pub fn read_backward(self, grads: &mut NormGradients, x: &[f32], grad: &mut [f32], [read, stream]: [&mut [f32]; 2]) {
        if self.after {
            add(stream, grad);
            read.copy_from_slice(x);
        } else {
            grads.backward(self.norm, x, grad, read, stream);
        }
    }
}

/// Gradients of a norm's weight and bias, summed over a part's rows.
#[derive(Debug, Default)]
pub(super) struct NormGradients {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl NormGradients {
    pub fn new(d: usize) -> Self {
        Self { weight: vec![0.0; d], bias: vec![0.0; d] }
    }

    /// From `g` (r, d), the gradient of the norm of x, which is overwritten, to that of x, which is added to `dx`; `y` gets the
    /// norm again.
    pub fn backward(&mut self, norm: Norm<'_>, x: &[f32], g: &mut [f32], y: &mut [f32], dx: &mut [f32]) {
        self.weight.fill(0.0);
        self.bias.fill(0.0);
        norm.backward(x, g, y, dx, &mut self.weight, &mut self.bias);
    }
}

/// The gradient of a norm, summed over all parts.
pub(super) fn sum_norms<'a>(sums: &mut Affine<&mut [f32]>, parts: impl Iterator<Item = &'a NormGradients> + Clone) {
    sum_vectors(sums.weight, parts.clone().map(|part| &part.weight));
    sums.bias.iter_mut().for_each(|bias| sum_vectors(bias, parts.clone().map(|part| &part.bias)));
}
