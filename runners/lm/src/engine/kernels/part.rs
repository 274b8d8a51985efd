//! One part of a batch: whole sequences that go through the model on one thread.

use super::block::{BlockGradients, BlockKept};
use super::linear::PackedMaps;
use super::norm::{NormGradients, norm};
use super::setting::{Scratch, Setting, add_part, drop_out};
use crate::engine::angles::Angles;
use crate::engine::batch::{Keep, Perturb, Upstream};
use crate::engine::dropout::Dropout;
use crate::engine::place;
use crate::model::{Decoder, Tensors};
use regatta_kernels::model::AttentionScratch;
use regatta_kernels::{Panels, Precision};
use std::ops::Range;

/// Whole sequences of a batch, and their activations.
pub(super) struct Part {
    /// The first sequence's place in the pass.
    pub first: usize,
    /// And its number in the batch, of which a pass may take a few sequences: masks and noise are drawn by it.
    pub number: usize,
    pub sequences: usize,
    pub time: usize,
    /// Token ids (r).
    pub ids: Vec<u32>,
    /// The residual stream before each block and after the last (r, d) each; two buffers in alternation where it is not kept.
    pub stream: Vec<Vec<f32>>,
    /// One of each block, or one for all.
    pub blocks: Vec<BlockKept>,
    /// What attention adds to the stream, of each block or of one for all. (r, d)
    pub attention: Vec<Vec<f32>>,
    /// What the MLP adds. (r, d)
    pub mlp: Vec<Vec<f32>>,
    /// After the final norm. (r, d)
    pub normed: Vec<f32>,
    /// The same, packed for the gradient of the output matrix.
    pub packed_normed: Panels,
    /// The gradient of `normed`, from the loss. (r, d)
    pub normed_grad: Vec<f32>,
    pub losses: Vec<f32>,
    /// `ln Σ_v exp(logit_v)` of each token, where the loss depends on it.
    pub normalizers: Vec<f32>,
    /// Logits, where their cap's gradient needs them. (r, v)
    pub capped: Vec<f32>,
    layers: usize,
    pub scratch: Scratch,
}

/// Of a whole model, what the parts share in the forward or the backward pass.
#[derive(Clone, Copy)]
pub(super) struct Shared<'a> {
    pub decoder: &'a Decoder,
    pub tensors: &'a Tensors<&'a [f32]>,
    pub packed: &'a [PackedMaps],
    pub angles: &'a Angles,
    pub dropout: Option<&'a Dropout>,
    pub precision: Precision,
}

impl Part {
    pub fn new(decoder: &Decoder, first: usize, sequences: usize, time: usize, keep: Keep) -> Self {
        let (rows, d, layers) = (sequences * time, decoder.width, decoder.layers);
        let buffers = |count: usize, width: usize| vec![vec![0f32; rows * width]; count];
        let kept = |keeps: bool| if keeps { layers } else { layers.min(1) };
        let for_backward = matches!(keep, Keep::ForBackward { .. });
        let contributions = keep == Keep::ForBackward { contributions: true };
        Self {
            first,
            number: first,
            sequences,
            time,
            ids: vec![0; rows],
            stream: buffers(if keep == Keep::Last { 2 } else { layers + 1 }, d),
            blocks: (0..kept(for_backward)).map(|_| BlockKept::new(decoder, rows)).collect(),
            attention: buffers(kept(contributions), d),
            mlp: buffers(kept(contributions), d),
            normed: vec![0.0; rows * d],
            packed_normed: Panels::default(),
            normed_grad: vec![0.0; if for_backward { rows * d } else { 0 }],
            losses: vec![0.0; rows],
            normalizers: Vec::new(),
            capped: Vec::new(),
            layers,
            scratch: Scratch {
                normed: vec![0.0; rows * d],
                hidden: vec![0.0; rows * decoder.mlp_width],
                attention: AttentionScratch::default(),
                mask: Vec::new(),
            },
        }
    }

    pub fn rows(&self) -> usize {
        self.sequences * self.time
    }

    /// Where its tokens stand in the pass.
    pub fn tokens(&self) -> Range<usize> {
        self.first * self.time..(self.first + self.sequences) * self.time
    }

    /// See [`super::Pass::hidden_state`].
    pub fn hidden_state(&self, entry: usize) -> &[f32] {
        assert!(entry == self.layers || self.stream.len() > self.layers, "the pass keeps the last hidden state only");
        if entry == self.layers { &self.normed } else { &self.stream[entry] }
    }

    fn setting<'a>(&self, shared: Shared<'a>, layer: usize) -> Setting<'a> {
        let Shared { decoder, angles, dropout, .. } = shared;
        Setting { decoder, angles, dropout, time: self.time, first: self.number, layer }
    }

    /// From token ids to the final norm.
    pub fn forward(&mut self, shared: Shared<'_>, ids: &[u32], perturb: Option<Perturb<'_>>) {
        let Shared { decoder, tensors, packed, dropout, .. } = shared;
        self.embed(decoder, tensors, ids, dropout, perturb);
        for (layer, block) in tensors.blocks.iter().zip(packed).enumerate() {
            let setting = self.setting(shared, layer);
            let entries = self.stream.len();
            let [x, next] = self.stream.get_disjoint_mut([layer % entries, (layer + 1) % entries]).expect("two entries");
            let (at, of_all) = (layer % self.blocks.len(), layer % self.attention.len());
            let added = [&mut self.attention[of_all][..], &mut self.mlp[of_all]];
            self.blocks[at].forward(setting, block, x, &mut self.scratch, added, next);
        }
        let last = self.layers % self.stream.len();
        norm(decoder, &tensors.norm).forward(&self.stream[last], &mut self.normed);
    }

    /// From the loss's gradient of the final norm's output, plus that of `upstream`, to the gradient of its input.
    pub fn final_norm_backward(
        &mut self,
        shared: Shared<'_>,
        upstream: Option<&Vec<f32>>,
        (grads, of_norm): (&mut BlockGradients, &mut NormGradients),
    ) {
        let (decoder, tokens) = (shared.decoder, self.tokens());
        add_part(&mut self.normed_grad, upstream, &tokens, decoder.width);
        grads.stream.fill(0.0);
        let last = &self.stream[self.stream.len() - 1];
        let again = &mut grads.passing[..last.len()];
        of_norm.backward(norm(decoder, &shared.tensors.norm), last, &mut self.normed_grad, again, &mut grads.stream);
    }

    /// From the gradient of a block's output, `above.stream`, to that of its input and of its linear maps' outputs.
    pub fn block_backward(
        &self,
        shared: Shared<'_>,
        layer: usize,
        upstream: &Upstream,
        above: &BlockGradients,
        grads: &mut BlockGradients,
    ) {
        grads.stream.copy_from_slice(&above.stream);
        if layer + 1 < self.layers {
            let of_output = upstream.hidden_states.get(&(layer + 1));
            add_part(&mut grads.stream, of_output, &self.tokens(), shared.decoder.width);
        }
        let block = (&shared.tensors.blocks[layer], &shared.packed[layer]);
        let (setting, upstream) = (self.setting(shared, layer), (upstream, self.tokens()));
        self.blocks[layer].backward(setting, block, &self.stream[layer], upstream, grads, shared.precision);
    }

    /// The gradient of the embeddings' sum, before dropout, in place.
    pub fn embedding_backward(&self, shared: Shared<'_>, upstream: &Upstream, grads: &mut BlockGradients) {
        let d = shared.decoder.width;
        if self.layers > 0 {
            add_part(&mut grads.stream, upstream.hidden_states.get(&0), &self.tokens(), d);
        }
        drop_out(shared.dropout, place::EMBEDDING, &mut grads.stream, self.time * d, self.number, &mut grads.mask);
    }
}
