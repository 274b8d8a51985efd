//! The passes that a step makes: one of a batch or a part of it, and one of the same sequences under another dropout mask where a
//! term compares views.

use super::activations::Activations;
use super::interventions::{Interventions, embedding_noise};
use super::penalties::{Scope, Seen};
use crate::engine::{BatchError, Dropout, Keep, Pass, Perturb, Upstream};
use crate::model::{Decoder, Model, Parameters};
use crate::spec::TrainSpec;
use regatta_core::Draw;
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

type Noise<'a> = Box<dyn Fn(usize, &mut [f32]) + Sync + 'a>;

/// The randomness of a step's passes: of the first, and of the second view.
pub(super) struct Randomness<'a> {
    dropout: [Option<Dropout>; 2],
    noise: [Option<Noise<'a>>; 2],
}

impl<'a> Randomness<'a> {
    pub fn new(train: &TrainSpec, interventions: &'a Interventions, width: usize, (seed, step): (u64, usize)) -> Self {
        let rate = train.dropout.get();
        let mask = |purpose| (rate > 0.0).then(|| Dropout::new(rate, Draw::new(seed, purpose, step as u64, 0)));
        let noise = |what| embedding_noise(interventions, width, (seed, step), what).map(|noise| Box::new(noise) as Noise<'a>);
        Self { dropout: ["dropout", "view"].map(mask), noise: ["noise", "view noise"].map(noise) }
    }

    fn perturb(&self, view: usize) -> Option<Perturb<'_>> {
        self.noise[view].as_deref().map(|noise| noise as Perturb<'_>)
    }
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
            pass.perturbed_forward(model, ids, randomness.dropout[index].as_ref(), randomness.perturb(index))?;
        }
        Ok(())
    }

    /// The passes that this step makes.
    pub fn each(&self) -> impl Iterator<Item = &Pass> {
        std::iter::once(&self.pass).chain(self.view.as_ref().filter(|_| self.views))
    }

    /// What penalties see of them.
    pub fn seen<'p>(&'p self, model: &'p Model, targets: &'p [u32], scope: Scope) -> Seen<'p> {
        let view = self.view.as_ref().filter(|_| self.views).map(|view| view as &dyn Activations);
        Seen { model, pass: &self.pass, view, targets, scope }
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
