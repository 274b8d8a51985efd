//! The MLP as a part of a block: norm, hidden layer, and the way back to the residual stream.

use super::block::{Setting, place};
use super::linear::{LaidMaps, MapSlopes, Pairs, input_slope};
use super::norm::{NormSlopes, norm};
use super::part::drop_out;
use crate::kernels::{add, gelu, gelu_backward, gelu_exact, gelu_exact_backward, linear, swiglu, swiglu_backward};
use crate::model::{Decoder, Mlp, MlpTensors, NormPlacement};
use regatta_core::maths::Precision;

/// What the way back needs.
pub(super) struct MlpKept {
    /// The first map's outputs. (r, m), or (r, 2m) with gates
    first: Vec<f32>,
    /// What it adds to the stream, before its norm, where that comes after. (r, d)
    unnormed: Vec<f32>,
}

/// Gradients of one part.
pub(super) struct MlpSlopes {
    /// What the first linear map read. (r, d)
    pub input: Vec<f32>,
    pub first: MapSlopes,
    /// What the second read. (r, m)
    pub hidden: Vec<f32>,
    /// Its gradient, where the first map's outputs are of another shape. (r, m)
    of_hidden: Vec<f32>,
    pub output: MapSlopes,
    pub norm: NormSlopes,
}

impl MlpKept {
    pub fn new(decoder: &Decoder, rows: usize) -> Self {
        let after = decoder.norm_placement == NormPlacement::After;
        Self {
            first: vec![0.0; rows * decoder.mlp_input_width()],
            unnormed: vec![0.0; if after { rows * decoder.width } else { 0 }],
        }
    }

    /// What the MLP adds to the residual stream, of which it reads x, both (r, d). normed (r, d) and hidden (r, m) are written over.
    pub fn forward(
        &mut self,
        Setting { decoder, dropout, time, first, layer, .. }: Setting<'_>,
        tensors: &MlpTensors<&[f32]>,
        laid: &LaidMaps,
        x: &[f32],
        (normed, hidden, mask): (&mut [f32], &mut [f32], &mut Vec<f32>),
        out: &mut [f32],
    ) {
        let after = decoder.norm_placement == NormPlacement::After;
        let norm = norm(decoder, &tensors.norm);
        let input = if after {
            x
        } else {
            norm.forward(x, normed);
            normed
        };
        linear(input, &laid.mlp_input, tensors.input.bias, &mut self.first);
        match decoder.mlp {
            Mlp::GeluTanh => gelu(&self.first, hidden),
            Mlp::Gelu => gelu_exact(&self.first, hidden),
            Mlp::Swiglu => swiglu(&self.first, decoder.mlp_width, hidden),
        }
        if after {
            linear(hidden, &laid.mlp_output, tensors.output.bias, &mut self.unnormed);
            norm.forward(&self.unnormed, out);
        } else {
            linear(hidden, &laid.mlp_output, tensors.output.bias, out);
        }
        drop_out(dropout, place::mlp(layer), out, time * decoder.width, first, mask);
    }

    /// From the gradient of what the MLP adds, in `slopes.output.outputs`, to that of x, added to `stream`. passing (r, d) is written
    /// over.
    #[allow(clippy::too_many_arguments)] // the state of one step of the way back
    pub fn backward(
        &self,
        Setting { decoder, dropout, time, first, layer, .. }: Setting<'_>,
        tensors: &MlpTensors<&[f32]>,
        laid: &LaidMaps,
        x: &[f32],
        (passing, mask): (&mut [f32], &mut Vec<f32>),
        (slopes, stream): (&mut MlpSlopes, &mut [f32]),
        precision: Precision,
    ) {
        let (d, rows) = (decoder.width, x.len() / decoder.width);
        let after = decoder.norm_placement == NormPlacement::After;
        let norm = norm(decoder, &tensors.norm);
        let MlpSlopes { input, first: of_first, hidden, of_hidden, output, norm: of_norm } = slopes;
        let passing = &mut passing[..rows * d];
        drop_out(dropout, place::mlp(layer), &mut output.outputs, time * d, first, mask);
        if after {
            passing.fill(0.0);
            of_norm.backward(norm, &self.unnormed, &mut output.outputs, input, passing);
            output.outputs.copy_from_slice(passing);
        }
        match decoder.mlp {
            Mlp::GeluTanh => {
                input_slope(&output.outputs, &laid.mlp_output, &mut of_first.outputs);
                gelu_backward(&self.first, hidden, &mut of_first.outputs);
            }
            Mlp::Gelu => {
                input_slope(&output.outputs, &laid.mlp_output, &mut of_first.outputs);
                gelu_exact_backward(&self.first, hidden, &mut of_first.outputs);
            }
            Mlp::Swiglu => {
                input_slope(&output.outputs, &laid.mlp_output, of_hidden);
                swiglu_backward(&self.first, decoder.mlp_width, hidden, of_hidden, &mut of_first.outputs);
            }
        }
        input_slope(&of_first.outputs, &laid.mlp_input, passing);
        if after {
            add(stream, passing);
            input.copy_from_slice(x);
        } else {
            of_norm.backward(norm, x, passing, input, stream);
        }
        of_first.finish(rows, precision);
        output.finish(rows, precision);
    }
}

impl MlpSlopes {
    pub fn new(decoder: &Decoder, rows: usize) -> Self {
        let (d, m) = (decoder.width, decoder.mlp_width);
        Self {
            input: vec![0.0; rows * d],
            first: MapSlopes::new(rows, decoder.mlp_input_width(), decoder.biases.mlp),
            hidden: vec![0.0; rows * m],
            of_hidden: vec![0.0; if decoder.mlp == Mlp::Swiglu { rows * m } else { 0 }],
            output: MapSlopes::new(rows, d, decoder.biases.mlp),
            norm: NormSlopes::new(d),
        }
    }
}

/// Inputs and gradients of both linear maps, part by part.
pub(super) fn pairs<'a>(parts: impl Iterator<Item = &'a MlpSlopes> + Clone) -> [Pairs<'a>; 2] {
    [
        parts.clone().map(|slopes| (&*slopes.input, &slopes.first)).collect(),
        parts.map(|slopes| (&*slopes.hidden, &slopes.output)).collect(),
    ]
}

/// The same in candle's operations.
#[cfg(test)]
pub(super) mod plain {
    use crate::model::{Decoder, Mlp};
    use candle_core::{D, Result, Tensor};

    /// The hidden layer of the first map's outputs.
    pub fn hidden(decoder: &Decoder, first: &Tensor) -> Result<Tensor> {
        match decoder.mlp {
            Mlp::GeluTanh => first.gelu(),
            Mlp::Gelu => first.gelu_erf(),
            Mlp::Swiglu => {
                let m = decoder.mlp_width;
                let (gate, up) = (first.narrow(D::Minus1, 0, m)?, first.narrow(D::Minus1, m, m)?);
                gate.contiguous()?.silu()?.mul(&up)
            }
        }
    }
}
