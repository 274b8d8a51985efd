//! A pass over a batch by kernels on slices, on the CPU: activations in the forward pass, gradients in the backward pass.
//!
//! A batch is split into parts of whole sequences. Each part goes from the embedding to the final norm on one thread, without
//! waiting for the others; the backward pass does the same block by block, while the gradients of the block above are summed over
//! all parts, tile by tile of each weight matrix. So every number is made by one thread in one order: results depend on the
//! batch's shape and not on the number of threads. All buffers are allocated once and overwritten at every step.
//!
//! | file | what |
//! |---|---|
//! | `part` | one part, from token ids to the final norm and back |
//! | `block` | how attention and MLP meet in the residual stream |
//! | `embedding`, `norm`, `rotary`, `attention`, `mlp`, `output` | a part of the model each: what it keeps, forward, backward |
//! | `setting` | what the parts of a block share |
//! | `linear` | linear maps: weights packed for products, gradients of weights over all parts |
//!
//! Tests compare all that a pass shows, and all gradients, with the same decoder in candle's operations.

mod attention;
mod block;
mod embedding;
mod global_norm;
mod linear;
mod mlp;
mod norm;
mod output;
mod own;
mod part;
mod passes;
mod rotary;
mod second;
mod setting;
mod state;
#[cfg(test)]
mod tests;

pub(crate) use state::State;

use crate::engine::angles::Angles;
use crate::engine::batch::{BatchError, Keep, Perturb, Upstream};
use crate::engine::dropout::Dropout;
use crate::model::{Decoder, Model, Parameters};
use block::{BlockGradients, BlockKept, sum_block};
use linear::PackedMaps;
use norm::{NormGradients, sum_norms};
use output::Output;
use part::{Part, Shared};
use rayon::prelude::*;
use regatta_kernels::Precision;
use regatta_kernels::vector::add;

/// Rows of a part, where a sequence is shorter: enough for matrix products to be fast.
const ROWS: usize = 256;

/// Parts that a batch is split into at least, where it has as many sequences.
const PARTS: usize = 4;

/// The buffers of a pass over batches of one shape.
pub struct Pass {
    keep: Keep,
    sequences: usize,
    time: usize,
    parts: Vec<Part>,
    /// Logits of as many parts as are worked on at once, (r, v) each.
    logits: Vec<Vec<f32>>,
    /// Gradients of two neighbouring blocks' activations, of each part.
    grads: [Vec<BlockGradients>; 2],
    /// Gradients of the final norm, of each part.
    norm_grads: Vec<NormGradients>,
    /// The blocks' weights.
    packed: Vec<PackedMaps>,
    output: Output,
    angles: Angles,
    precision: Precision,
}

impl Pass {
    /// Buffers for batches of `sequences` sequences of `time` tokens, in float32.
    pub fn new(decoder: &Decoder, sequences: usize, time: usize, keep: Keep) -> Self {
        Self::in_precision(decoder, sequences, time, keep, Precision::Float32)
    }

    /// As [`Self::new`], where the factors of products with weight matrices, and of their gradients, are rounded.
    pub fn in_precision(decoder: &Decoder, sequences: usize, time: usize, keep: Keep, precision: Precision) -> Self {
        let each = (ROWS / time).min(sequences / PARTS).max(1);
        let part = |first: usize| Part::new(decoder, first, each.min(sequences - first), time, keep);
        let parts: Vec<Part> = (0..sequences).step_by(each).map(part).collect();
        let backward = if matches!(keep, Keep::ForBackward { .. }) { parts.len() } else { 0 };
        let grads = || parts[..backward].iter().map(|part| BlockGradients::new(decoder, part.rows())).collect();
        let grads = [grads(), grads()];
        let logits = parts.iter().take(PARTS).map(|part| vec![0.0; part.rows() * decoder.vocab_size]).collect();
        let packed = (0..decoder.layers).map(|_| PackedMaps::default()).collect();
        let norm_grads = (0..backward).map(|_| NormGradients::new(decoder.width)).collect();
        let (output, angles) = (Output::new(decoder, precision), Angles::new(decoder, time));
        Self { keep, sequences, time, parts, logits, grads, norm_grads, packed, output, angles, precision }
    }

    /// Sequences and tokens of the batches that it is for.
    pub fn shape(&self) -> (usize, usize) {
        (self.sequences, self.time)
    }

    /// Its first sequence is that of this number in a batch of which it takes a few: dropout and perturbation know sequences by it.
    pub(crate) fn starts_at(&mut self, sequence: usize) {
        self.parts.iter_mut().for_each(|part| part.number = sequence + part.first);
    }

    /// Takes token ids (b·t) from the embedding to the final norm, with dropout on embeddings, attention and residuals where it
    /// is given.
    ///
    /// # Errors
    /// When a sequence exceeds the positions or an id the vocabulary.
    ///
    /// # Panics
    /// When there are not b·t ids.
    pub fn forward(&mut self, model: &Model, ids: &[u32], dropout: Option<&Dropout>) -> Result<(), BatchError> {
        self.perturbed_forward(model, ids, dropout, None)
    }

    /// As [`Self::forward`], where `perturb` changes the embeddings of each sequence before dropout, by amounts that do not depend
    /// on them: the backward pass is the same.
    pub(crate) fn perturbed_forward(
        &mut self,
        model: &Model,
        ids: &[u32],
        dropout: Option<&Dropout>,
        perturb: Option<Perturb<'_>>,
    ) -> Result<(), BatchError> {
        let decoder = model.decoder();
        assert_eq!(ids.len(), self.sequences * self.time, "one id per token");
        if self.time > decoder.context {
            return Err(BatchError::TooLong { found: self.time, positions: decoder.context });
        }
        if let Some(&found) = ids.iter().find(|&&id| id as usize >= decoder.vocab_size) {
            return Err(BatchError::UnknownToken { found, vocabulary: decoder.vocab_size });
        }
        let (tensors, precision) = (model.parameters().tensors(decoder), self.precision);
        let blocks = self.packed.par_iter_mut().zip(&tensors.blocks);
        blocks.for_each(|(packed, block)| packed.pack(decoder, block, precision, |weight| weight));
        let shared = Shared { decoder, tensors: &tensors, packed: &self.packed, angles: &self.angles, dropout, precision };
        self.parts.par_iter_mut().for_each(|part| part.forward(shared, &ids[part.tokens()], perturb));
        Ok(())
    }

    /// The cross-entropy of each token (b·t), nats, after [`Self::forward`].
    ///
    /// # Panics
    /// When there are not b·t targets, or one lies outside the vocabulary.
    pub fn losses(&mut self, model: &Model, targets: &[u32]) -> Vec<f32> {
        self.cross_entropy(model, targets, targets.len(), None, None)
    }

    /// The cross-entropy of each token (b·t), and the gradients of its mean in every parameter, with those of `upstream` through
    /// the activations that `upstream` names. Call [`Self::forward`] first, with the same dropout, and `upstream` learns there
    /// what it needs.
    ///
    /// # Panics
    /// As [`Self::losses`]; when a gradient has another shape than what it is of; when the pass keeps too little.
    pub fn backward(
        &mut self,
        model: &Model,
        targets: &[u32],
        upstream: &Upstream,
        dropout: Option<&Dropout>,
        gradients: &mut Parameters,
    ) -> Vec<f32> {
        self.share_backward(model, targets, targets.len(), upstream, dropout, gradients)
    }

    /// As [`Self::backward`], of the mean over a batch of `tokens` tokens, some of which go through this pass.
    pub(crate) fn share_backward(
        &mut self,
        model: &Model,
        targets: &[u32],
        tokens: usize,
        upstream: &Upstream,
        dropout: Option<&Dropout>,
        gradients: &mut Parameters,
    ) -> Vec<f32> {
        assert!(matches!(self.keep, Keep::ForBackward { .. }), "the backward pass needs what {:?} forgets", self.keep);
        let losses = self.cross_entropy(model, targets, tokens, Some(upstream), Some(gradients));
        self.blocks_backward(model, upstream, dropout, gradients);
        losses
    }

    /// As [`Self::backward`] without the loss: the gradients of `upstream` alone, in every parameter.
    pub fn upstream_backward(
        &mut self,
        model: &Model,
        upstream: &Upstream,
        dropout: Option<&Dropout>,
        gradients: &mut Parameters,
    ) {
        assert!(matches!(self.keep, Keep::ForBackward { .. }), "the backward pass needs what {:?} forgets", self.keep);
        match &upstream.logits {
            Some(grads) => self.logits_backward(model, grads, gradients),
            None => {
                self.parts.par_iter_mut().for_each(|part| part.normed_grad.fill(0.0));
                gradients.tensors_mut(model.decoder()).output_matrix().fill(0.0);
            }
        }
        self.blocks_backward(model, upstream, dropout, gradients);
    }

    /// From the gradient of the final norm's output, that of the loss and `upstream`, to those of all parameters; what the output
    /// matrix has of the loss is in `gradients` already.
    fn blocks_backward(&mut self, model: &Model, upstream: &Upstream, dropout: Option<&Dropout>, gradients: &mut Parameters) {
        let decoder = model.decoder();
        let (tensors, precision) = (model.parameters().tensors(decoder), self.precision);
        let blocks = self.packed.par_iter_mut().zip(&tensors.blocks);
        blocks.for_each(|(packed, block)| packed.pack(decoder, block, precision, |weight| weight.transposed()));
        let shared = Shared { decoder, tensors: &tensors, packed: &self.packed, angles: &self.angles, dropout, precision };
        let mut sums = gradients.tensors_mut(decoder);

        let [now, next] = &mut self.grads;
        let (mut now, mut next) = (now, next); // of the block above, and of the block below it
        let last = decoder.layers;
        let of_norm = self.parts.par_iter_mut().zip(now.par_iter_mut().zip(&mut self.norm_grads));
        of_norm.for_each(|(part, grads)| part.final_norm_backward(shared, upstream.hidden_states.get(&last), grads));
        sum_norms(&mut sums.norm, self.norm_grads.iter());
        let mut above = None; // the block above, whose weights' gradients are not summed yet
        for layer in (0..last).rev() {
            let parts = &self.parts;
            rayon::join(
                || {
                    let parts = parts.par_iter().zip(&*now).zip(&mut *next);
                    parts.for_each(|((part, above), grads)| part.block_backward(shared, layer, upstream, above, grads));
                },
                || above.into_iter().for_each(|(layer, block)| sum_block(kept(parts, layer), now.iter(), block)),
            );
            above = sums.blocks.pop().map(|block| (layer, block));
            (now, next) = (next, now);
        }
        above.into_iter().for_each(|(layer, block)| sum_block(kept(&self.parts, layer), now.iter(), block));
        let parts = self.parts.par_iter().zip(&mut *now);
        parts.for_each(|(part, grads)| part.embedding_backward(shared, upstream, grads));
        let (of_embedding, of_output) = (upstream.embedding.as_ref(), upstream.unembedding.as_ref());
        let of_both = [of_embedding, of_output.filter(|_| decoder.tied)];
        embedding::sum_embeddings(&self.parts, now, &of_both, decoder.tied, sums.embedding, sums.positions);
        if let (Some(matrix), Some(grad)) = (sums.unembedding, of_output) {
            add(matrix, grad);
        }
        for (&(map, layer), grad) in &upstream.weights {
            gradients.add_rows(decoder, map, layer, grad);
        }
    }

    /// A hidden state (b·t, d), counted as Hugging Face counts them: the embedding, each block's output, the last of them after
    /// the final norm; of a model without blocks, the normed embedding alone.
    ///
    /// # Panics
    /// When the pass does not keep it.
    pub fn hidden_state(&self, entry: usize) -> Vec<f32> {
        self.gather(|part| part.hidden_state(entry))
    }

    /// What the attention of a block, from 0, adds to the residual stream (b·t, d).
    ///
    /// # Panics
    /// When the pass does not keep it.
    pub fn attention(&self, block: usize) -> Vec<f32> {
        assert_eq!(self.keep, Keep::ForBackward { contributions: true });
        self.gather(|part| &part.attention[block])
    }

    /// What the MLP of a block, from 0, adds to the residual stream (b·t, d).
    ///
    /// # Panics
    /// When the pass does not keep it.
    pub fn mlp(&self, block: usize) -> Vec<f32> {
        assert_eq!(self.keep, Keep::ForBackward { contributions: true });
        self.gather(|part| &part.mlp[block])
    }

    fn gather<'a>(&'a self, of: impl Fn(&'a Part) -> &'a [f32]) -> Vec<f32> {
        let parts: Vec<&[f32]> = self.parts.iter().map(of).collect();
        parts.concat()
    }
}

/// What each part keeps of a block.
fn kept(parts: &[Part], layer: usize) -> impl Iterator<Item = &BlockKept> + Clone {
    parts.iter().map(move |part| &part.blocks[layer])
}
