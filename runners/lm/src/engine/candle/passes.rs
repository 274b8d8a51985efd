//! The passes that a step makes: one of a batch or a part of it, and one of the same sequences under another dropout mask where a
//! term compares views.

use super::pass::Pass;
use super::weights::Weights;
use crate::engine::activations::Activations;
use crate::engine::batch::{BatchError, Keep, Upstream};
use crate::engine::numbers::Numbers;
use crate::engine::randomness::Randomness;
use candle_core::{Result, Tensor};
use regatta_core::Site;
use regatta_kernels::Precision;

/// The passes of a step.
pub(super) struct Passes {
    pub pass: Pass,
    view: Option<Pass>,
    /// Whether this step compares views.
    views: bool,
}

impl Passes {
    /// Those in `kept`, where they are for batches of this shape, or new ones.
    pub fn of<'p>(
        kept: &'p mut Option<Self>,
        weights: &Weights,
        (sequences, time): (usize, usize),
        keep: Keep,
        precision: Precision,
        views: bool,
    ) -> Result<&'p mut Self> {
        let new = || Pass::new(weights, sequences, time, keep, precision);
        let fitting = kept.take().filter(|passes| passes.pass.shape() == (sequences, time));
        let mut passes = fitting.map_or_else(|| Ok(Self { pass: new()?, view: None, views }), Ok::<_, candle_core::Error>)?;
        passes.views = views;
        if views && passes.view.is_none() {
            passes.view = Some(new()?);
        }
        Ok(kept.insert(passes))
    }

    /// Whether the backward pass computes each block again from its input.
    pub fn recompute(&mut self, recompute: bool) {
        std::iter::once(&mut self.pass).chain(&mut self.view).for_each(|pass| pass.recompute(recompute));
    }

    /// Takes token ids through the model; their first sequence has the index `first` in the batch.
    pub fn forward(
        &mut self,
        weights: &Weights,
        first: usize,
        ids: &[u32],
        randomness: &Randomness<'_>,
    ) -> std::result::Result<(), BatchError> {
        let view = self.view.as_mut().filter(|_| self.views);
        for (index, pass) in std::iter::once(&mut self.pass).chain(view).enumerate() {
            pass.starts_at(first);
            let (dropout, perturb) = randomness.of(index);
            pass.forward(weights, ids, dropout, perturb)?;
        }
        Ok(())
    }

    /// The second pass, where this step makes one.
    pub fn view(&self) -> Option<&Pass> {
        self.view.as_ref().filter(|_| self.views)
    }

    /// The gradients of what `upstream` adds to the second pass, where this step makes one.
    pub fn view_backward(&mut self, weights: &Weights, upstream: &Upstream<Tensor>) -> Result<Option<Vec<Tensor>>> {
        let view = self.view.as_mut().filter(|_| self.views);
        view.map(|view| Ok(view.backward(weights, None, upstream)?.gradients)).transpose()
    }
}

impl Activations for Pass {
    fn shape(&self) -> (usize, usize) {
        Pass::shape(self)
    }

    fn at(&self, site: Site, layer: usize) -> Result<Numbers> {
        Pass::at(self, site, layer).map(Numbers::Tensor)
    }
}
