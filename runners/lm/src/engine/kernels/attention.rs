//! Attention as a part of a block: norm, queries, keys and values, their norms and rotation, the heads, and the projection
//! back to the residual stream.

use super::linear::{MapGradients, PackedMaps, Pairs, input_grad};
use super::norm::{NormGradients, Placed};
use super::rotary::{keys, queries};
use super::setting::{Setting, drop_out};
use crate::engine::dropout::Dropout;
use crate::engine::place;
use crate::model::{AttentionTensors, Decoder, QkNorm};
use regatta_kernels::Precision;
use regatta_kernels::model::{
    Attention as Heads, AttentionScratch, DropoutMasks, Rotation, linear, rms_norm_heads, rms_norm_heads_backward,
};

/// What the backward pass needs.
pub(super) struct AttentionKept {
    /// Queries, keys and values, as the heads see them. (r, (h + 2k)·c)
    qkv: Vec<f32>,
    /// The same before norms and rotation, where queries and keys are normed.
    raw: Vec<f32>,
    /// Logarithms of the softmaxes' denominators. (r, h), sequence by sequence (h, t)
    log_sums: Vec<f32>,
    /// What the heads give. (r, h·c)
    pub mixed: Vec<f32>,
    /// What it adds to the stream, before its norm, where that comes after. (r, d)
    unnormed: Vec<f32>,
}

/// Gradients of one part.
pub(super) struct AttentionGradients {
    /// What the first linear map read. (r, d)
    pub input: Vec<f32>,
    pub qkv: MapGradients,
    pub output: MapGradients,
    pub norm: NormGradients,
    /// Of the norms of queries and keys.
    pub q_norm: Vec<f32>,
    pub k_norm: Vec<f32>,
}

impl AttentionKept {
    pub fn new(decoder: &Decoder, rows: usize) -> Self {
        let kept = |is: bool, width: usize| vec![0.0; if is { rows * width } else { 0 }];
        Self {
            qkv: kept(true, decoder.qkv_width()),
            raw: kept(decoder.qk_norm != QkNorm::None, decoder.qkv_width()),
            log_sums: kept(true, decoder.heads),
            mixed: kept(true, decoder.query_width()),
            unnormed: Placed::unnormed(decoder, rows),
        }
    }

    /// What attention adds to the residual stream x, both (r, d). normed (r, d) is written over.
    pub fn forward(
        &mut self,
        setting: Setting<'_>,
        tensors: &AttentionTensors<&[f32]>,
        packed: &PackedMaps,
        x: &[f32],
        (normed, scratch, mask): (&mut [f32], &mut AttentionScratch, &mut Vec<f32>),
        out: &mut [f32],
    ) {
        let Setting { decoder, dropout, time, first, layer, .. } = setting;
        let norm = Placed::new(decoder, &tensors.norm);
        linear(norm.read(x, normed), &packed.qkv, tensors.qkv.bias, &mut self.qkv);
        let kept = self.raw.len();
        self.raw.copy_from_slice(&self.qkv[..kept]); // all or none
        self.norm_queries_and_keys(decoder, tensors);

        self.heads_forward(setting, scratch);
        norm.write(&mut self.unnormed, out, |out| linear(&self.mixed, &packed.attention_output, tensors.output.bias, out));
        drop_out(dropout, place::attention(layer), out, time * decoder.width, first, mask);
    }

    /// Rotates queries and keys in place, and mixes the values.
    fn heads_forward(&mut self, setting: Setting<'_>, scratch: &mut AttentionScratch) {
        let Setting { decoder, angles, dropout, time, first, layer } = setting;
        let of_weights = dropout.map(|dropout| dropout.at(place::attention_weights(layer)));
        let heads = heads(decoder, time, of_weights.as_ref());
        let sequences = self.qkv.chunks_exact_mut(time * decoder.qkv_width());
        let mixed = self.mixed.chunks_exact_mut(time * decoder.query_width());
        let log_sums = self.log_sums.chunks_exact_mut(time * decoder.heads);
        for (index, ((qkv, mixed), log_sums)) in sequences.zip(mixed).zip(log_sums).enumerate() {
            angles.rotate(decoder, qkv, Rotation::Forward);
            heads.forward(first + index, qkv, mixed, log_sums, scratch);
        }
    }

    fn norm_queries_and_keys(&mut self, decoder: &Decoder, tensors: &AttentionTensors<&[f32]>) {
        let epsilon = decoder.norm_epsilon as f32;
        for (weight, heads) in [(tensors.q_norm, queries(decoder)), (tensors.k_norm, keys(decoder))] {
            if let Some(weight) = weight {
                rms_norm_heads(&mut self.qkv, normed_together(decoder, heads), weight, epsilon);
            }
        }
    }

    /// From the gradient of what attention adds, in `grads.output.outputs`, to that of x, added to `stream`. passing (r, h·c or d,
    /// the wider) is written over.
    #[allow(clippy::too_many_arguments)] // the state of one step of the backward pass
    pub fn backward(
        &self,
        setting: Setting<'_>,
        tensors: &AttentionTensors<&[f32]>,
        packed: &PackedMaps,
        x: &[f32],
        (passing, scratch, mask): (&mut [f32], &mut AttentionScratch, &mut Vec<f32>),
        (grads, stream): (&mut AttentionGradients, &mut [f32]),
        precision: Precision,
    ) {
        let Setting { decoder, dropout, time, first, layer, .. } = setting;
        let (d, rows) = (decoder.width, x.len() / decoder.width);
        let norm = Placed::new(decoder, &tensors.norm);
        let AttentionGradients { input, qkv, output, norm: of_norm, q_norm, k_norm } = grads;
        drop_out(dropout, place::attention(layer), &mut output.outputs, time * d, first, mask);
        norm.write_backward(of_norm, &self.unnormed, &mut output.outputs, [input, &mut passing[..rows * d]]);
        let grad_mixed = &mut passing[..self.mixed.len()];
        input_grad(&output.outputs, &packed.attention_output, grad_mixed);
        self.heads_backward(setting, grad_mixed, &mut qkv.outputs, scratch);
        self.norm_queries_and_keys_backward(decoder, tensors, &mut qkv.outputs, [q_norm, k_norm]);
        let grad_normed = &mut passing[..rows * d];
        input_grad(&qkv.outputs, &packed.qkv, grad_normed);
        norm.read_backward(of_norm, x, grad_normed, [input, stream]);
        qkv.finish(rows, precision);
        output.finish(rows, precision);
    }

    /// From the gradient of `mixed` (r, h·c) to that of queries, keys and values before rotation. -> (r, (h + 2k)·c)
    fn heads_backward(&self, setting: Setting<'_>, grad_mixed: &[f32], grad_qkv: &mut [f32], scratch: &mut AttentionScratch) {
        let Setting { decoder, angles, dropout, time, first, layer } = setting;
        let of_weights = dropout.map(|dropout| dropout.at(place::attention_weights(layer)));
        let heads = heads(decoder, time, of_weights.as_ref());
        let (row, mixed_row) = (time * decoder.qkv_width(), time * decoder.query_width());
        let forward = self.qkv.chunks_exact(row).zip(self.mixed.chunks_exact(mixed_row));
        let backward = grad_mixed.chunks_exact(mixed_row).zip(grad_qkv.chunks_exact_mut(row));
        let log_sums = self.log_sums.chunks_exact(decoder.heads * time);
        for (index, (((qkv, out), (grad_out, grad_qkv)), log_sums)) in forward.zip(backward).zip(log_sums).enumerate() {
            heads.backward(first + index, qkv, (out, log_sums), grad_out, grad_qkv, scratch);
            angles.rotate(decoder, grad_qkv, Rotation::Inverse);
        }
    }

    /// From the gradients of normed queries and keys to those of what was normed, in place; and to those of the norms' weights.
    fn norm_queries_and_keys_backward(
        &self,
        decoder: &Decoder,
        tensors: &AttentionTensors<&[f32]>,
        grad_qkv: &mut [f32],
        [q_norm, k_norm]: [&mut Vec<f32>; 2],
    ) {
        let epsilon = decoder.norm_epsilon as f32;
        for (weight, heads, sums) in [(tensors.q_norm, queries(decoder), q_norm), (tensors.k_norm, keys(decoder), k_norm)] {
            if let Some(weight) = weight {
                sums.fill(0.0);
                rms_norm_heads_backward(&self.raw, normed_together(decoder, heads), (weight, epsilon), grad_qkv, sums);
            }
        }
    }
}

impl AttentionGradients {
    pub fn new(decoder: &Decoder, rows: usize) -> Self {
        let d = decoder.width;
        let width = |of: usize| match decoder.qk_norm {
            QkNorm::None => 0,
            QkNorm::PerHead => decoder.head_dim,
            QkNorm::AllHeads => of,
        };
        Self {
            input: vec![0.0; rows * d],
            qkv: MapGradients::new(rows, decoder.qkv_width(), decoder.biases.qkv),
            output: MapGradients::new(rows, d, decoder.biases.attention_output),
            norm: NormGradients::new(d),
            q_norm: vec![0.0; width(decoder.query_width())],
            k_norm: vec![0.0; width(decoder.key_width())],
        }
    }
}

/// Inputs and gradients of both linear maps, part by part.
pub(super) fn pairs<'a>(parts: &[(&'a AttentionKept, &'a AttentionGradients)]) -> [Pairs<'a>; 2] {
    [
        parts.iter().map(|(_, grads)| (&*grads.input, &grads.qkv)).collect(),
        parts.iter().map(|(kept, grads)| (&*kept.mixed, &grads.output)).collect(),
    ]
}

fn heads<'a>(decoder: &Decoder, time: usize, dropout: Option<&'a Dropout>) -> Heads<'a> {
    let dropout = dropout.map(|dropout| dropout as &(dyn DropoutMasks + Sync));
    Heads { time, heads: decoder.heads, kv_heads: decoder.kv_heads, head_dims: decoder.head_dim, dropout }
}

/// The heads as one, where they are normed at once.
fn normed_together(decoder: &Decoder, heads: regatta_kernels::model::Heads) -> regatta_kernels::model::Heads {
    match decoder.qk_norm {
        QkNorm::AllHeads => regatta_kernels::model::Heads { heads: 1, dims: heads.heads * heads.dims, ..heads },
        QkNorm::None | QkNorm::PerHead => heads,
    }
}
