//! One part of a batch, from token ids to the final norm.

use super::super::parameters::{BlockTensors, Tensors};
use super::laid::LaidBlock;
use super::{Decoder, Keep, Perturb};
use crate::kernels::{Attention, AttentionScratch, Dropout, gelu, layer_norm, linear, sum};
use regatta_core::maths::Panels;
use std::ops::Range;

/// Whole sequences of a batch, and their activations.
pub(super) struct Part {
    /// The first sequence's number in the batch.
    pub first: usize,
    pub sequences: usize,
    pub time: usize,
    /// Token ids (r).
    pub ids: Vec<u32>,
    /// The residual stream before each block and after the last (r, d) each; two buffers by turns where it is not kept.
    pub stream: Vec<Vec<f32>>,
    /// One of each block, or one for all.
    pub blocks: Vec<BlockActivations>,
    /// What attention adds to the stream, of each block or of one for all. (r, d)
    pub attention: Vec<Vec<f32>>,
    /// What the MLP adds. (r, d)
    pub mlp: Vec<Vec<f32>>,
    /// After the final norm. (r, d)
    pub normed: Vec<f32>,
    /// The same, laid out for the gradient of the output matrix.
    pub laid_normed: Panels,
    /// The gradient of `normed`, from the loss. (r, d)
    pub normed_slope: Vec<f32>,
    pub losses: Vec<f32>,
    layers: usize,
    scratch: Scratch,
}

/// What the way back needs of one block.
pub(super) struct BlockActivations {
    /// Queries, keys and values. (r, 3d)
    pub qkv: Vec<f32>,
    /// Logarithms of attention's denominators. (r, h), sequence by sequence (h, t)
    pub log_sums: Vec<f32>,
    /// Attention's output before its projection. (r, d)
    pub mixed: Vec<f32>,
    /// The residual stream between attention and MLP. (r, d)
    pub middle: Vec<f32>,
    /// The MLP before its GELU. (r, m)
    pub fc: Vec<f32>,
}

struct Scratch {
    normed: Vec<f32>,
    hidden: Vec<f32>,
    attention: AttentionScratch,
    mask: Vec<f32>,
}

/// Where dropout's masks come from, by place.
pub(super) mod place {
    pub const EMBEDDING: u64 = 1;

    pub fn attention_weights(layer: usize) -> u64 {
        1 << 32 | layer as u64
    }

    pub fn attention(layer: usize) -> u64 {
        2 + 2 * layer as u64
    }

    pub fn mlp(layer: usize) -> u64 {
        3 + 2 * layer as u64
    }
}

impl Part {
    pub fn new(config: &Decoder, first: usize, sequences: usize, time: usize, keep: Keep) -> Self {
        let (rows, d, layers) = (sequences * time, config.width, config.layers);
        let buffers = |count: usize, width: usize| vec![vec![0f32; rows * width]; count];
        let kept = |keeps: bool| if keeps { layers } else { layers.min(1) };
        let for_backward = matches!(keep, Keep::ForBackward { .. });
        let contributions = keep == Keep::ForBackward { contributions: true };
        let block = |_| BlockActivations {
            qkv: vec![0.0; rows * 3 * d],
            log_sums: vec![0.0; rows * config.heads],
            mixed: vec![0.0; rows * d],
            middle: vec![0.0; rows * d],
            fc: vec![0.0; rows * config.mlp_width],
        };
        Self {
            first,
            sequences,
            time,
            ids: vec![0; rows],
            stream: buffers(if keep == Keep::Last { 2 } else { layers + 1 }, d),
            blocks: (0..kept(for_backward)).map(block).collect(),
            attention: buffers(kept(contributions), d),
            mlp: buffers(kept(contributions), d),
            normed: vec![0.0; rows * d],
            laid_normed: Panels::default(),
            normed_slope: vec![0.0; if for_backward { rows * d } else { 0 }],
            losses: vec![0.0; rows],
            layers,
            scratch: Scratch {
                normed: vec![0.0; rows * d],
                hidden: vec![0.0; rows * config.mlp_width],
                attention: AttentionScratch::default(),
                mask: Vec::new(),
            },
        }
    }

    pub fn rows(&self) -> usize {
        self.sequences * self.time
    }

    /// Where its tokens stand in the batch.
    pub fn tokens(&self) -> Range<usize> {
        self.first * self.time..(self.first + self.sequences) * self.time
    }

    /// See [`super::Pass::hidden_state`].
    pub fn hidden_state(&self, entry: usize) -> &[f32] {
        assert!(entry == self.layers || self.stream.len() > self.layers, "the pass keeps the last hidden state only");
        if entry == self.layers { &self.normed } else { &self.stream[entry] }
    }

    pub fn forward(
        &mut self,
        config: &Decoder,
        (tensors, laid): (&Tensors<&[f32]>, &[LaidBlock]),
        ids: &[u32],
        dropout: Option<&Dropout>,
        perturb: Option<Perturb<'_>>,
    ) {
        let d = config.width;
        self.ids.copy_from_slice(ids);
        let rows = self.stream[0].chunks_exact_mut(d).zip(ids).zip(tensors.wpe.chunks_exact(d).take(self.time).cycle());
        for ((x, &id), position) in rows {
            let token = &tensors.wte[id as usize * d..][..d];
            x.iter_mut().zip(token).zip(position).for_each(|((x, t), p)| *x = t + p);
        }
        if let Some(perturb) = perturb {
            let sequences = self.stream[0].chunks_exact_mut(self.time * d).enumerate();
            sequences.for_each(|(sequence, embeddings)| perturb(self.first + sequence, embeddings));
        }
        drop_out(dropout, place::EMBEDDING, &mut self.stream[0], self.time * d, self.first, &mut self.scratch.mask);
        for (layer, block) in tensors.blocks.iter().zip(laid).enumerate() {
            self.block(config, layer, block, dropout);
        }
        let last = self.layers % self.stream.len();
        layer_norm(&self.stream[last], tensors.ln_f.norm(config.layer_norm_epsilon), &mut self.normed);
    }

    /// From one entry of the stream to the next.
    fn block(
        &mut self,
        config: &Decoder,
        layer: usize,
        (tensors, laid): (&BlockTensors<&[f32]>, &LaidBlock),
        dropout: Option<&Dropout>,
    ) {
        let (length, epsilon) = (self.time * config.width, config.layer_norm_epsilon);
        let Scratch { normed, hidden, attention: attention_scratch, mask } = &mut self.scratch;
        let entries = self.stream.len();
        let [x, next] = self.stream.get_disjoint_mut([layer % entries, (layer + 1) % entries]).expect("two entries");
        let (at, of_all) = (layer % self.blocks.len(), layer % self.attention.len());
        let (kept, attended, mlp) = (&mut self.blocks[at], &mut self.attention[of_all], &mut self.mlp[of_all]);

        layer_norm(x, tensors.ln_1.norm(epsilon), normed);
        linear(normed, &laid.c_attn, tensors.c_attn.bias, &mut kept.qkv);
        let weights_dropout = dropout.map(|dropout| dropout.at(place::attention_weights(layer)));
        let attention = attention(config, self.time, weights_dropout.as_ref());
        let sequences = kept.qkv.chunks_exact(3 * length).zip(kept.mixed.chunks_exact_mut(length));
        let log_sums = kept.log_sums.chunks_exact_mut(config.heads * self.time);
        for (index, ((qkv, mixed), log_sums)) in sequences.zip(log_sums).enumerate() {
            attention.forward(self.first + index, qkv, mixed, log_sums, attention_scratch);
        }
        linear(&kept.mixed, &laid.attn_proj, tensors.attn_proj.bias, attended);
        drop_out(dropout, place::attention(layer), attended, length, self.first, mask);
        sum(x, attended, &mut kept.middle);

        layer_norm(&kept.middle, tensors.ln_2.norm(epsilon), normed);
        linear(normed, &laid.c_fc, tensors.c_fc.bias, &mut kept.fc);
        gelu(&kept.fc, hidden);
        linear(hidden, &laid.mlp_proj, tensors.mlp_proj.bias, mlp);
        drop_out(dropout, place::mlp(layer), mlp, length, self.first, mask);
        sum(&kept.middle, mlp, next);
    }
}

pub(super) fn attention<'a>(config: &Decoder, time: usize, dropout: Option<&'a Dropout>) -> Attention<'a> {
    Attention { time, heads: config.heads, head_dims: config.width / config.heads, dropout }
}

/// Masks sequences of `length` numbers, the first of which is the batch's `first`.
pub(super) fn drop_out(dropout: Option<&Dropout>, place: u64, x: &mut [f32], length: usize, first: usize, mask: &mut Vec<f32>) {
    if let Some(dropout) = dropout {
        dropout.at(place).apply(x, length, first, mask);
    }
}
