//! The MLP as a part of a block: norm, hidden layer, and the backward pass to the residual stream.

use super::linear::{MapGradients, PackedMaps, Pairs, input_grad};
use super::norm::{NormGradients, Placed};
use super::setting::{Setting, drop_out};
use crate::engine::place;
use crate::model::{Decoder, Mlp, MlpTensors};
use regatta_kernels::Precision;
use regatta_kernels::model::{gelu, gelu_backward, gelu_exact, gelu_exact_backward, linear, swiglu, swiglu_backward};

/// What the backward pass needs.
pub(super) struct MlpKept {
    /// The first map's outputs. (r, m), or (r, 2m) with gates
    first: Vec<f32>,
    /// What it adds to the stream, before its norm, where that comes after. (r, d)
    unnormed: Vec<f32>,
}

/// Gradients of one part.
pub(super) struct MlpGradients {
    /// What the first linear map read. (r, d)
    pub input: Vec<f32>,
    pub first: MapGradients,
    /// What the second read. (r, m)
    pub hidden: Vec<f32>,
    /// Its gradient, where the first map's outputs are of another shape. (r, m)
    of_hidden: Vec<f32>,
    pub output: MapGradients,
    pub norm: NormGradients,
}

impl MlpKept {
    pub fn new(decoder: &Decoder, rows: usize) -> Self {
        Self { first: vec![0.0; rows * decoder.mlp_input_width()], unnormed: Placed::unnormed(decoder, rows) }
    }

    /// What the MLP adds to the residual stream, of which it reads x, both (r, d). normed (r, d) and hidden (r, m) are written
    /// over.
    pub fn forward(
        &mut self,
        Setting { decoder, dropout, time, first, layer, .. }: Setting<'_>,
        tensors: &MlpTensors<&[f32]>,
        packed: &PackedMaps,
        x: &[f32],
        (normed, hidden, mask): (&mut [f32], &mut [f32], &mut Vec<f32>),
        out: &mut [f32],
    ) {
        let norm = Placed::new(decoder, &tensors.norm);
        linear(norm.read(x, normed), &packed.mlp_input, tensors.input.bias, &mut self.first);
        match decoder.mlp {
            Mlp::GeluTanh => gelu(&self.first, hidden),
            Mlp::Gelu => gelu_exact(&self.first, hidden),
            Mlp::Swiglu => swiglu(&self.first, decoder.mlp_width, hidden),
        }
        norm.write(&mut self.unnormed, out, |out| linear(hidden, &packed.mlp_output, tensors.output.bias, out));
        drop_out(dropout, place::mlp(layer), out, time * decoder.width, first, mask);
    }

    /// From the gradient of what the MLP adds, in `grads.output.outputs`, to that of x, added to `stream`. passing (r, d) is
    /// written over.
    #[allow(clippy::too_many_arguments)] // the state of one step of the backward pass
    pub fn backward(
        &self,
        Setting { decoder, dropout, time, first, layer, .. }: Setting<'_>,
        tensors: &MlpTensors<&[f32]>,
        packed: &PackedMaps,
        x: &[f32],
        (passing, mask): (&mut [f32], &mut Vec<f32>),
        (grads, stream): (&mut MlpGradients, &mut [f32]),
        precision: Precision,
    ) {
        let (d, rows) = (decoder.width, x.len() / decoder.width);
        let norm = Placed::new(decoder, &tensors.norm);
        let MlpGradients { input, first: of_first, hidden, of_hidden, output, norm: of_norm } = grads;
        let passing = &mut passing[..rows * d];
        drop_out(dropout, place::mlp(layer), &mut output.outputs, time * d, first, mask);
        norm.write_backward(of_norm, &self.unnormed, &mut output.outputs, [input, passing]);
        match decoder.mlp {
            Mlp::GeluTanh => {
                input_grad(&output.outputs, &packed.mlp_output, &mut of_first.outputs);
                gelu_backward(&self.first, hidden, &mut of_first.outputs);
            }
            Mlp::Gelu => {
                input_grad(&output.outputs, &packed.mlp_output, &mut of_first.outputs);
                gelu_exact_backward(&self.first, hidden, &mut of_first.outputs);
            }
            Mlp::Swiglu => {
                input_grad(&output.outputs, &packed.mlp_output, of_hidden);
                swiglu_backward(&self.first, decoder.mlp_width, hidden, of_hidden, &mut of_first.outputs);
            }
        }
        input_grad(&of_first.outputs, &packed.mlp_input, passing);
        norm.read_backward(of_norm, x, passing, [input, stream]);
        of_first.finish(rows, precision);
        output.finish(rows, precision);
    }
}

impl MlpGradients {
    pub fn new(decoder: &Decoder, rows: usize) -> Self {
        let (d, m) = (decoder.width, decoder.mlp_width);
        Self {
            input: vec![0.0; rows * d],
            first: MapGradients::new(rows, decoder.mlp_input_width(), decoder.biases.mlp),
            hidden: vec![0.0; rows * m],
            of_hidden: vec![0.0; if decoder.mlp == Mlp::Swiglu { rows * m } else { 0 }],
            output: MapGradients::new(rows, d, decoder.biases.mlp),
            norm: NormGradients::new(d),
        }
    }
}

/// Inputs and gradients of both linear maps, part by part.
pub(super) fn pairs<'a>(parts: impl Iterator<Item = &'a MlpGradients> + Clone) -> [Pairs<'a>; 2] {
    [
        parts.clone().map(|grads| (&*grads.input, &grads.first)).collect(),
        parts.map(|grads| (&*grads.hidden, &grads.output)).collect(),
    ]
}
