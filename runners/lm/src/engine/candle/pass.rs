//! A batch's way from token ids to the final norm, and what the pass keeps of it.

use super::attention::Causal;
use super::block::{Made, Setting};
use super::embedding::embedded;
use super::masks::Masks;
use super::norm::norm;
use super::output::{self, Output};
use super::rotary::Rotation;
use super::weights::{Graph, Weights};
use crate::engine::batch::{BatchError, Keep, Perturb};
use crate::engine::dropout::Dropout;
use crate::model::BlockTensors;
use crate::spec::Site;
use candle_core::{Result, Tensor, Var, bail};
use regatta_kernels::Precision;

/// A pass over batches of one shape.
pub(crate) struct Pass {
    pub(super) keep: Keep,
    /// Sequences, and tokens of each.
    shape: (usize, usize),
    /// The number of the first sequence in the batch.
    first: usize,
    pub(super) precision: Precision,
    recompute: bool,
    rotation: Option<Rotation>,
    causal: Causal,
    /// Rows whose logits are made together.
    pub(super) unembedded: usize,
    seen: Option<Seen>,
}

/// What a forward pass leaves, outside of candle's graph but for the blocks'.
pub(super) struct Seen {
    /// (b·t)
    pub ids: Tensor,
    /// Blocks of the model.
    layers: usize,
    pub dropout: Option<Dropout>,
    /// The stream before each block and after the last (b·t, d); empty where the last is kept alone.
    pub stream: Vec<Tensor>,
    /// Each block from its input on, until the backward pass has gone through it; empty where blocks are computed again.
    pub blocks: Vec<Option<Differentiable>>,
    /// What attention adds to the stream, block by block, where contributions are kept. (b·t, d)
    attention: Vec<Tensor>,
    /// What the MLP adds.
    mlp: Vec<Tensor>,
    /// After the final norm. (b·t, d)
    pub normed: Tensor,
}

/// A block in candle's graph.
pub(super) struct Differentiable {
    pub input: Var,
    pub made: Made,
}

impl Pass {
    /// For batches of `sequences` sequences of `time` tokens, on the device of `weights`.
    pub fn new(weights: &Weights, sequences: usize, time: usize, keep: Keep, precision: Precision) -> Result<Self> {
        let (decoder, device) = (weights.decoder(), weights.device());
        Ok(Self {
            keep,
            shape: (sequences, time),
            first: 0,
            precision,
            recompute: false,
            rotation: Rotation::new(decoder, time, device)?,
            causal: Causal::new(time, device)?,
            unembedded: output::rows_together(decoder),
            seen: None,
        })
    }

    /// Whether the backward pass computes each block again from its input, in place of remembering it.
    pub fn recompute(&mut self, recompute: bool) {
        self.recompute = recompute;
    }

    /// With this many queries of attention, and rows of logits, at a time.
    #[cfg(test)]
    pub(in crate::engine) fn in_steps_of(self, queries: usize, unembedded: usize) -> Result<Self> {
        let causal = Causal::by_rows(self.shape.1, queries, self.causal.device())?;
        Ok(Self { causal, unembedded, ..self })
    }

    /// Sequences and tokens of the batches that it is for.
    pub fn shape(&self) -> (usize, usize) {
        self.shape
    }

    /// Its first sequence is that of this number in a batch of which it takes a few: dropout and perturbation know sequences by it.
    pub fn starts_at(&mut self, first: usize) {
        self.first = first;
    }

    /// Takes token ids (b·t) from the embedding to the final norm, with dropout on embeddings, attention and residuals where it is
    /// given; `perturb` changes the embeddings of each sequence before dropout, by amounts that do not depend on them.
    ///
    /// # Errors
    /// When a sequence exceeds the positions or an id the vocabulary, or the device fails.
    ///
    /// # Panics
    /// When there are not b·t ids.
    pub fn forward(
        &mut self,
        weights: &Weights,
        ids: &[u32],
        dropout: Option<&Dropout>,
        perturb: Option<Perturb<'_>>,
    ) -> std::result::Result<(), BatchError> {
        let (decoder, (sequences, time)) = (weights.decoder(), self.shape);
        assert_eq!(ids.len(), sequences * time, "one id per token");
        if time > decoder.context {
            return Err(BatchError::TooLong { found: time, positions: decoder.context });
        }
        if let Some(&found) = ids.iter().find(|&&id| id as usize >= decoder.vocab_size) {
            return Err(BatchError::UnknownToken { found, vocabulary: decoder.vocab_size });
        }
        self.seen = None; // frees what the last batch left
        self.seen = Some(self.see(weights, ids, dropout, perturb)?);
        Ok(())
    }

    fn see(&self, weights: &Weights, ids: &[u32], dropout: Option<&Dropout>, perturb: Option<Perturb<'_>>) -> Result<Seen> {
        let setting = self.setting(weights, dropout);
        let for_backward = matches!(self.keep, Keep::ForBackward { .. });
        let graph = if for_backward && !self.recompute { Graph::Kept } else { Graph::None };
        let tensors = weights.tensors(graph);
        let plain = weights.tensors(Graph::None);
        let ids = Tensor::from_slice(ids, ids.len(), weights.device())?;
        let mut x = embedded(&plain, &ids, setting.masks, perturb)?;
        let (mut stream, mut blocks, mut attention, mut mlp) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (layer, block) in tensors.blocks.iter().enumerate() {
            let made = match graph {
                Graph::Kept => {
                    let block = Differentiable::new(setting, layer, block, &x)?;
                    x = block.input.as_detached_tensor();
                    let made = block.made.detached();
                    blocks.push(Some(block));
                    made
                }
                Graph::None => setting.block(layer, block, &x)?,
            };
            if self.keep == (Keep::ForBackward { contributions: true }) {
                attention.push(made.attention);
                mlp.push(made.mlp);
            }
            let input = std::mem::replace(&mut x, made.output);
            if self.keep != Keep::Last {
                stream.push(input);
            }
        }
        let normed = norm(weights.decoder(), &plain.norm, &x)?;
        if self.keep != Keep::Last {
            stream.push(x);
        }
        let layers = tensors.blocks.len();
        Ok(Seen { ids, layers, dropout: dropout.cloned(), stream, blocks, attention, mlp, normed })
    }

    /// The activations of a site (b·t, d), outside of candle's graph: hidden states as Hugging Face counts them, the embedding
    /// first and the last after the final norm; what attention and MLP add, by layer from 1.
    ///
    /// # Errors
    /// When the site is not of a batch.
    ///
    /// # Panics
    /// When the pass does not keep it.
    pub fn at(&self, site: Site, layer: usize) -> Result<Tensor> {
        let seen = self.seen();
        match site {
            Site::HiddenStates => {
                assert!(layer == seen.layers || !seen.stream.is_empty(), "the pass keeps the last hidden state only");
                Ok(if layer == seen.layers { seen.normed.clone() } else { seen.stream[layer].clone() })
            }
            Site::Attention | Site::Mlp => {
                assert_eq!(self.keep, Keep::ForBackward { contributions: true });
                let all = if site == Site::Attention { &seen.attention } else { &seen.mlp };
                Ok(all[layer - 1].clone())
            }
            Site::Embedding | Site::Unembedding | Site::Weights => bail!("{site:?} is not of a batch"),
        }
    }

    /// The cross-entropy of each token (b·t), nats, after [`Self::forward`].
    ///
    /// # Panics
    /// When there are not b·t targets, or one lies outside the vocabulary.
    pub fn losses(&self, weights: &Weights, targets: &[u32]) -> Result<Tensor> {
        assert_eq!(targets.len(), self.shape.0 * self.shape.1, "one target per token");
        Output::new(weights, self.precision, self.unembedded)?.losses(&self.seen().normed, targets)
    }

    /// The logits of each token (b·t, v), after [`Self::forward`].
    pub fn logits(&self, weights: &Weights) -> Result<Tensor> {
        Output::new(weights, self.precision, self.unembedded)?.logits(&self.seen().normed)
    }

    pub(super) fn seen(&self) -> &Seen {
        self.seen.as_ref().expect("a forward pass comes first")
    }

    pub(super) fn seen_mut(&mut self) -> &mut Seen {
        self.seen.as_mut().expect("a forward pass comes first")
    }

    pub(super) fn setting<'a>(&'a self, weights: &'a Weights, dropout: Option<&'a Dropout>) -> Setting<'a> {
        Setting {
            decoder: weights.decoder(),
            rotation: self.rotation.as_ref(),
            causal: &self.causal,
            masks: Masks { dropout, first: self.first, shape: self.shape, device: weights.device() },
            precision: self.precision,
        }
    }
}

impl Differentiable {
    /// A block from its input x (b·t, d) on.
    pub fn new(setting: Setting<'_>, layer: usize, tensors: &BlockTensors<Tensor>, x: &Tensor) -> Result<Self> {
        let input = Var::from_tensor(&x.detach())?;
        let made = setting.block(layer, tensors, input.as_tensor())?;
        Ok(Self { input, made })
    }
}
