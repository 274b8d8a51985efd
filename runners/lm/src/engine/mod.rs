//! A pass over a batch: activations on the way forward, gradients on the way back.
//!
//! A batch is split into parts of whole sequences. Each part goes from the embedding to the final norm on one thread, without
//! waiting for the others; the way back does the same block by block, while the gradients of the block above are summed over
//! all parts, tile by tile of each weight matrix. So every number is made by one thread in one order: results depend on the
//! batch's shape and not on the number of threads. All buffers are made once and written anew at every step.
//!
//! | file | what |
//! |---|---|
//! | `forward` | one part, from token ids to the final norm |
//! | `unembed` | one part's logits, losses and their gradient |
//! | `backward` | one part's gradients, block by block |
//! | `laid` | weights, and gradients of linear maps' outputs, laid out for products |
//! | `weights` | gradients of weight matrices, over all parts |

mod backward;
mod forward;
mod laid;
mod unembed;
mod weights;

use super::{Model, Decoder, Parameters};
use crate::kernels::Dropout;
use backward::Slopes;
use forward::Part;
use laid::Laid;
use rayon::prelude::*;
use regatta_core::maths::{Matrix, Panels, Precision};
use std::collections::BTreeMap;

/// Rows of a part, where a sequence is shorter: enough for matrix products to be fast.
const ROWS: usize = 256;

/// Parts that a batch is split into at least, where it has as many sequences.
const PARTS: usize = 4;

/// What a pass remembers of the activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The last only, for losses and logits.
    Last,
    /// All hidden states.
    HiddenStates,
    /// All that the way back needs.
    ForBackward {
        /// And what attention and MLP of each block add to the residual stream.
        contributions: bool,
    },
}

/// Changes the embeddings (t·d) of the sequence of this number in the batch.
pub(crate) type Perturb<'a> = &'a (dyn Fn(usize, &mut [f32]) + Sync);

/// Gradients of activations and of the embedding that come from elsewhere than the loss, each shaped as what it is of.
#[derive(Debug, Default)]
pub struct Upstream {
    /// By entry of the hidden states.
    pub hidden_states: BTreeMap<usize, Vec<f32>>,
    /// Of what attention adds to the residual stream, by block from 0.
    pub attention: BTreeMap<usize, Vec<f32>>,
    /// Of what the MLP adds, by block from 0.
    pub mlp: BTreeMap<usize, Vec<f32>>,
    /// Of the embedding matrix.
    pub embedding: Option<Vec<f32>>,
    /// Of the logits (b·t, v), on their way to the final norm's output and to the output matrix.
    pub logits: Option<Vec<f32>>,
}

/// Why a batch cannot go through a model.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// More tokens than positions.
    #[error("a sequence of {found} tokens in a model of {positions} positions")]
    TooLong {
        /// Tokens of a sequence.
        found: usize,
        /// Positions of the model.
        positions: usize,
    },
    /// A token without an embedding.
    #[error("token {found} in a vocabulary of {vocabulary}")]
    UnknownToken {
        /// The token.
        found: u32,
        /// Size of the vocabulary.
        vocabulary: usize,
    },
}

/// The buffers of a pass over batches of one shape.
pub struct Pass {
    keep: Keep,
    sequences: usize,
    time: usize,
    parts: Vec<Part>,
    /// Logits of as many parts as are worked on at once, (r, v) each.
    logits: Vec<Vec<f32>>,
    /// Gradients of two neighbouring blocks' activations, of each part.
    slopes: [Vec<Slopes>; 2],
    laid: Laid,
}

impl Pass {
    /// Buffers for batches of `sequences` sequences of `time` tokens, in float32.
    pub fn new(config: &Decoder, sequences: usize, time: usize, keep: Keep) -> Self {
        Self::in_precision(config, sequences, time, keep, Precision::Float32)
    }

    /// As [`Self::new`], where the factors of products with weight matrices, and of their gradients, are rounded.
    pub fn in_precision(config: &Decoder, sequences: usize, time: usize, keep: Keep, precision: Precision) -> Self {
        let each = (ROWS / time).min(sequences / PARTS).max(1);
        let part = |first: usize| Part::new(config, first, each.min(sequences - first), time, keep);
        let parts: Vec<Part> = (0..sequences).step_by(each).map(part).collect();
        let slopes = || match keep {
            Keep::ForBackward { .. } => parts.iter().map(|part| Slopes::new(config, part.rows())).collect(),
            Keep::Last | Keep::HiddenStates => Vec::new(),
        };
        let slopes = [slopes(), slopes()];
        let logits = parts.iter().take(PARTS).map(|part| vec![0.0; part.rows() * config.vocab_size]).collect();
        Self { keep, sequences, time, parts, logits, slopes, laid: Laid::new(precision) }
    }

    /// Sequences and tokens of the batches that it is for.
    pub fn shape(&self) -> (usize, usize) {
        (self.sequences, self.time)
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
    /// on them: the way back is the same.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// As there.
    pub(crate) fn perturbed_forward(
        &mut self,
        model: &Model,
        ids: &[u32],
        dropout: Option<&Dropout>,
        perturb: Option<Perturb<'_>>,
    ) -> Result<(), BatchError> {
        let config = model.decoder();
        assert_eq!(ids.len(), self.sequences * self.time, "one id a token");
        if self.time > config.context {
            return Err(BatchError::TooLong { found: self.time, positions: config.context });
        }
        if let Some(&found) = ids.iter().find(|&&id| id as usize >= config.vocab_size) {
            return Err(BatchError::UnknownToken { found, vocabulary: config.vocab_size });
        }
        let tensors = model.parameters().tensors();
        self.laid.forward(&tensors);
        let laid = &self.laid.blocks;
        self.parts.par_iter_mut().for_each(|part| part.forward(config, (&tensors, laid), &ids[part.tokens()], dropout, perturb));
        Ok(())
    }

    /// The cross-entropy of each token (b·t), nats, after [`Self::forward`].
    ///
    /// # Panics
    /// When there are not b·t targets, or one lies outside the vocabulary.
    pub fn losses(&mut self, model: &Model, targets: &[u32]) -> Vec<f32> {
        self.cross_entropy(model, targets, None, None)
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
        assert!(matches!(self.keep, Keep::ForBackward { .. }), "the way back needs what {:?} forgets", self.keep);
        let losses = self.cross_entropy(model, targets, upstream.logits.as_deref(), Some(gradients));
        self.blocks_backward(model, upstream, dropout, gradients);
        losses
    }

    /// As [`Self::backward`] where there is no loss: the gradients of `upstream` alone, in every parameter.
    ///
    /// # Panics
    /// As there.
    pub fn upstream_backward(
        &mut self,
        model: &Model,
        upstream: &Upstream,
        dropout: Option<&Dropout>,
        gradients: &mut Parameters,
    ) {
        assert!(matches!(self.keep, Keep::ForBackward { .. }), "the way back needs what {:?} forgets", self.keep);
        match &upstream.logits {
            Some(slopes) => self.logits_backward(model, slopes, gradients),
            None => {
                self.parts.par_iter_mut().for_each(|part| part.normed_slope.fill(0.0));
                gradients.tensors_mut().wte.fill(0.0);
            }
        }
        self.blocks_backward(model, upstream, dropout, gradients);
    }

    /// From the gradient of the final norm's output, that of the loss and `upstream`, to those of all parameters; what the output
    /// matrix has of the loss is in `gradients` already.
    fn blocks_backward(&mut self, model: &Model, upstream: &Upstream, dropout: Option<&Dropout>, gradients: &mut Parameters) {
        let (config, tensors) = (model.decoder(), model.parameters().tensors());
        self.laid.backward(&tensors);
        let mut sums = gradients.tensors_mut();

        let [now, next] = &mut self.slopes;
        let (mut now, mut next) = (now, next); // of the block above, and of the block below it
        let last = config.layers;
        self.parts.par_iter_mut().zip(&mut *now).for_each(|(part, slopes)| {
            part.final_norm_backward(config, &tensors, upstream.hidden_states.get(&last), slopes);
        });
        weights::sum_vectors(&mut sums.ln_f, now.iter().map(|slopes| &slopes.ln_f));
        let precision = self.laid.precision;
        let mut above = None; // the block above, whose weights' gradients are not summed yet
        for layer in (0..last).rev() {
            let (parts, laid) = (&self.parts, &self.laid.blocks[layer]);
            rayon::join(
                || {
                    parts.par_iter().zip(&*now).zip(&mut *next).for_each(|((part, above), slopes)| {
                        part.block_backward(
                            config,
                            layer,
                            (&tensors.blocks[layer], laid),
                            precision,
                            upstream,
                            dropout,
                            above,
                            slopes,
                        );
                    });
                },
                || above.into_iter().for_each(|(layer, block)| weights::sum_block(parts, now, layer, block)),
            );
            above = sums.blocks.pop().map(|block| (layer, block));
            (now, next) = (next, now);
        }
        above.into_iter().for_each(|(layer, block)| weights::sum_block(&self.parts, now, layer, block));
        self.parts
            .par_iter()
            .zip(&mut *now)
            .for_each(|(part, slopes)| part.embedding_backward(config, upstream, dropout, slopes));
        weights::sum_embeddings(&self.parts, now, upstream.embedding.as_deref(), sums.wte, sums.wpe);
    }

    /// The logits of each token (b·t, v), after [`Self::forward`].
    pub fn logits(&self, model: &Model) -> Vec<f32> {
        let wte = Matrix::new(model.embedding(), model.decoder().vocab_size, model.decoder().width);
        let mut unembed = Panels::default();
        unembed.pack(wte.transposed(), self.laid.precision);
        let parts: Vec<Vec<f32>> = self.parts.par_iter().map(|part| part.logits(&unembed)).collect();
        parts.concat()
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
