//! The passes that a step makes: one of a batch or a part of it, and one of the same sequences under another dropout mask where a
//! term compares views.

use super::Pass;
use crate::engine::activations::Activations;
use crate::engine::batch::{BatchError, Keep, Upstream};
use crate::engine::numbers::Numbers;
use crate::engine::randomness::Randomness;
use crate::model::{Decoder, Model, Parameters};
use regatta_core::Site;
use regatta_kernels::Precision;
use regatta_kernels::vector::add;

/// The passes of a step, and a buffer for the gradients of all but the first.
pub(super) struct Passes {
    pub pass: Pass,
    view: Option<Pass>,
    /// Whether this step compares views.
    views: bool,
    buffer: Option<Parameters>,
}

impl Passes {
    /// Those in `kept`, where they are for batches of this shape, or new ones.
    pub fn of<'p>(
        kept: &'p mut Option<Self>,
        decoder: &Decoder,
        (sequences, time): (usize, usize),
        keep: Keep,
        precision: Precision,
        views: bool,
    ) -> &'p mut Self {
        let new = || Pass::in_precision(decoder, sequences, time, keep, precision);
        let fitting = kept.take().filter(|passes| passes.pass.shape() == (sequences, time));
        let mut passes = fitting.unwrap_or_else(|| Self { pass: new(), view: None, views, buffer: None });
        passes.views = views;
        if views && passes.view.is_none() {
            passes.view = Some(new());
        }
        kept.insert(passes)
    }

    /// Takes token ids through the model; their first sequence has the index `first` in the batch.
    pub fn forward(&mut self, model: &Model, first: usize, ids: &[u32], randomness: &Randomness<'_>) -> Result<(), BatchError> {
        let view = self.view.as_mut().filter(|_| self.views);
        for (index, pass) in std::iter::once(&mut self.pass).chain(view).enumerate() {
            pass.starts_at(first);
            let (dropout, perturb) = randomness.of(index);
            pass.perturbed_forward(model, ids, dropout, perturb)?;
        }
        Ok(())
    }

    /// The second pass, where this step makes one.
    pub fn view(&self) -> Option<&Pass> {
        self.view.as_ref().filter(|_| self.views)
    }

    /// Returns the loss of each token. The gradient of their sum over `tokens`, the tokens of the whole batch, and of what `upstream`
    /// adds to both passes is written to `gradients` by the first part of a batch, and added by the others.
    pub fn backward(
        &mut self,
        model: &Model,
        (targets, tokens): (&[u32], usize),
        upstream: &[Upstream; 2],
        randomness: &Randomness<'_>,
        (gradients, is_first): (&mut Parameters, bool),
    ) -> Vec<f32> {
        let Self { pass, view, views, buffer } = self;
        let [dropout, view_dropout] = randomness.dropout.each_ref().map(Option::as_ref);
        let losses = if is_first {
            pass.share_backward(model, targets, tokens, &upstream[0], dropout, gradients)
        } else {
            let buffer = buffer.get_or_insert_with(|| Parameters::zeros(model.decoder()));
            let losses = pass.share_backward(model, targets, tokens, &upstream[0], dropout, buffer);
            add(gradients.numbers_mut(), buffer.numbers());
            losses
        };
        if let Some(view) = view.as_mut().filter(|_| *views) {
            let buffer = buffer.get_or_insert_with(|| Parameters::zeros(model.decoder()));
            view.upstream_backward(model, &upstream[1], view_dropout, buffer);
            add(gradients.numbers_mut(), buffer.numbers());
        }
        losses
    }
}

impl Activations for Pass {
    fn shape(&self) -> (usize, usize) {
        Pass::shape(self)
    }

    fn at(&self, site: Site, layer: usize) -> candle_core::Result<Numbers> {
        Ok(Numbers::Floats(match site {
            Site::HiddenStates => self.hidden_state(layer),
            Site::Attention => self.attention(layer - 1),
            Site::Mlp => self.mlp(layer - 1),
            Site::Embedding | Site::Unembedding | Site::Weights => Vec::new(), // not of a batch
        }))
    }
}
