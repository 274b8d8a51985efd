//! How attention and MLP of a block meet in the residual stream.
//!
//! ```text
//! one after the other   middle = x + attention(x)     next = middle + mlp(middle)
//! side by side          middle = x + attention(x)     next = middle + mlp(x)
//! ```

use super::attention::{AttentionGradients, AttentionKept};
use super::linear::{PackedMaps, sum_maps, sum_vectors};
use super::mlp::{MlpGradients, MlpKept};
use super::norm::sum_norms;
use super::setting::{Scratch, Setting, add_part};
use super::{attention, mlp};
use crate::engine::batch::Upstream;
use crate::model::{BlockTensors, Decoder};
use regatta_kernels::Precision;
use regatta_kernels::model::{AttentionScratch, sum};
use std::ops::Range;

/// What the backward pass needs of one block.
pub(super) struct BlockKept {
    pub attention: AttentionKept,
    pub mlp: MlpKept,
    /// The residual stream between attention and MLP. (r, d)
    middle: Vec<f32>,
}

/// Gradients of one block's activations, of one part.
pub(super) struct BlockGradients {
    /// Of the block's input, the residual stream. (r, d)
    pub stream: Vec<f32>,
    attention: AttentionGradients,
    mlp: MlpGradients,
    /// On its way from one operation to the next. (r, d or h·c, the wider)
    pub passing: Vec<f32>,
    scratch: AttentionScratch,
    pub mask: Vec<f32>,
}

impl BlockKept {
    pub fn new(decoder: &Decoder, rows: usize) -> Self {
        Self {
            attention: AttentionKept::new(decoder, rows),
            mlp: MlpKept::new(decoder, rows),
            middle: vec![0.0; rows * decoder.width],
        }
    }

    /// From one entry of the stream to the next, both (r, d); and what attention and MLP add.
    pub fn forward(
        &mut self,
        setting: Setting<'_>,
        (tensors, packed): (&BlockTensors<&[f32]>, &PackedMaps),
        x: &[f32],
        scratch: &mut Scratch,
        [attended, added]: [&mut [f32]; 2],
        next: &mut [f32],
    ) {
        let Scratch { normed, hidden, attention, mask } = scratch;
        let Self { attention: of_attention, mlp, middle } = self;
        of_attention.forward(setting, &tensors.attention, packed, x, (normed, attention, mask), attended);
        sum(x, attended, middle);
        let read = if setting.decoder.parallel { x } else { &middle[..] };
        mlp.forward(setting, &tensors.mlp, packed, read, (normed, hidden, mask), added);
        sum(middle, added, next);
    }

    /// From the gradient of the block's output, which is in `grads.stream`, to that of its input x (r, d) and of its linear maps'
    /// outputs. `tokens` are the part's in the batch.
    pub fn backward(
        &self,
        setting: Setting<'_>,
        (tensors, packed): (&BlockTensors<&[f32]>, &PackedMaps),
        x: &[f32],
        (upstream, tokens): (&Upstream, Range<usize>),
        grads: &mut BlockGradients,
        precision: Precision,
    ) {
        let Setting { decoder, layer, .. } = setting;
        let BlockGradients { stream, attention, mlp, passing, scratch, mask } = grads;
        let added = |out: &mut [f32], stream: &[f32], upstream: Option<&Vec<f32>>| {
            out.copy_from_slice(stream);
            add_part(out, upstream, &tokens, decoder.width);
        };
        added(&mut mlp.output.outputs, stream, upstream.mlp.get(&layer));
        if decoder.parallel {
            added(&mut attention.output.outputs, stream, upstream.attention.get(&layer));
        }
        let read = if decoder.parallel { x } else { &self.middle };
        self.mlp.backward(setting, &tensors.mlp, packed, read, (passing, mask), (mlp, stream), precision);
        if !decoder.parallel {
            added(&mut attention.output.outputs, stream, upstream.attention.get(&layer));
        }
        let room = (&mut passing[..], scratch, mask);
        self.attention.backward(setting, &tensors.attention, packed, x, room, (attention, stream), precision);
    }
}

impl BlockGradients {
    pub fn new(decoder: &Decoder, rows: usize) -> Self {
        Self {
            stream: vec![0.0; rows * decoder.width],
            attention: AttentionGradients::new(decoder, rows),
            mlp: MlpGradients::new(decoder, rows),
            passing: vec![0.0; rows * decoder.width.max(decoder.query_width())],
            scratch: AttentionScratch::default(),
            mask: Vec::new(),
        }
    }
}

/// The gradients of a block's tensors. `grads` are those of its activations, part by part.
pub(super) fn sum_block<'a>(
    kept: impl Iterator<Item = &'a BlockKept>,
    grads: impl Iterator<Item = &'a BlockGradients> + Clone,
    sums: BlockTensors<&mut [f32]>,
) {
    let BlockTensors { attention: mut of_attention, mlp: mut of_mlp } = sums;
    let of_parts: Vec<_> = kept.map(|block| &block.attention).zip(grads.clone().map(|block| &block.attention)).collect();
    let [qkv, attention_output] = attention::pairs(&of_parts);
    let [mlp_input, mlp_output] = mlp::pairs(grads.clone().map(|block| &block.mlp));
    sum_maps([
        (of_attention.qkv, qkv),
        (of_attention.output, attention_output),
        (of_mlp.input, mlp_input),
        (of_mlp.output, mlp_output),
    ]);
    sum_norms(&mut of_attention.norm, grads.clone().map(|block| &block.attention.norm));
    sum_norms(&mut of_mlp.norm, grads.clone().map(|block| &block.mlp.norm));
    let q_norms = grads.clone().map(|block| &block.attention.q_norm);
    of_attention.q_norm.into_iter().for_each(|sum| sum_vectors(sum, q_norms.clone()));
    let k_norms = grads.map(|block| &block.attention.k_norm);
    of_attention.k_norm.into_iter().for_each(|sum| sum_vectors(sum, k_norms.clone()));
}
