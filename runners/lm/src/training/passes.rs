//! The passes that a step makes: of a batch or a part of it, and of the same under another dropout mask, where a term compares
//! views.

use super::accumulate::Activations;
use super::interventions::{Interventions, perturbation};
use super::penalties::{Seen, Share};
use crate::engine::Dropout;
use crate::engine::{BatchError, Keep, Pass, Perturb, Upstream};
use crate::model::{Decoder, Model, Parameters};
use crate::spec::TrainSpec;
use regatta_core::Draw;
use regatta_kernels::Precision;
use regatta_kernels::vector::add;

/// The passes of a step, and room for the gradients of all but the first.
pub(super) struct Passes {
    pub pass: Pass,
    view: Option<Pass>,
    /// Whether this step compares views.
    views: bool,
    room: Option<Parameters>,
}

type Noise<'a> = Box<dyn Fn(usize, &mut [f32]) + Sync + 'a>;

/// What randomness a step's passes have, the first and the second view.
pub(super) struct Randomness<'a> {
    dropout: [Option<Dropout>; 2],
    noise: [Option<Noise<'a>>; 2],
}

impl<'a> Randomness<'a> {
    pub fn new(train: &TrainSpec, interventions: &'a Interventions, width: usize, (seed, step): (u64, usize)) -> Self {
        let rate = train.dropout.get();
        let mask = |purpose| (rate > 0.0).then(|| Dropout::new(rate, Draw::new(seed, purpose, step as u64, 0)));
        let noise = |what| perturbation(interventions, width, (seed, step), what).map(|noise| Box::new(noise) as Noise<'a>);
        Self { dropout: ["dropout", "view"].map(mask), noise: ["noise", "view noise"].map(noise) }
    }

    fn perturb(&self, view: usize) -> Option<Perturb<'_>> {
        self.noise[view].as_deref().map(|noise| noise as Perturb<'_>)
    }
}

impl Passes {
    /// Those that are there, where they are for batches of this shape, or new ones.
    pub fn of<'p>(
        there: &'p mut Option<Self>,
        decoder: &Decoder,
        (sequences, time): (usize, usize),
        keep: Keep,
        precision: Precision,
        views: bool,
    ) -> &'p mut Self {
        let new = || Pass::in_precision(decoder, sequences, time, keep, precision);
        let kept = there.take().filter(|passes| passes.pass.shape() == (sequences, time));
        let mut passes = kept.unwrap_or_else(|| Self { pass: new(), view: None, views, room: None });
        passes.views = views;
        if views && passes.view.is_none() {
            passes.view = Some(new());
        }
        there.insert(passes)
    }

    /// Takes token ids through the model, the first sequence that of this number in the batch.
    pub fn forward(&mut self, model: &Model, first: usize, ids: &[u32], randomness: &Randomness<'_>) -> Result<(), BatchError> {
        let view = self.view.as_mut().filter(|_| self.views);
        for (index, pass) in std::iter::once(&mut self.pass).chain(view).enumerate() {
            pass.starts_at(first);
            pass.perturbed_forward(model, ids, randomness.dropout[index].as_ref(), randomness.perturb(index))?;
        }
        Ok(())
    }

    /// Each that this step makes.
    pub fn each(&self) -> impl Iterator<Item = &Pass> {
        std::iter::once(&self.pass).chain(self.view.as_ref().filter(|_| self.views))
    }

    /// What penalties see of them.
    pub fn seen<'p>(&'p self, model: &'p Model, share: Share) -> Seen<'p> {
        let view = self.view.as_ref().filter(|_| self.views).map(|view| view as &dyn Activations);
        Seen { model, pass: &self.pass, view, share }
    }

    /// The loss of each token, and the gradient of their sum over `tokens`, those of the batch, and of what `upstream` has of both
    /// passes: written to `gradients` by the first part of a batch, added by the others.
    pub fn backward(
        &mut self,
        model: &Model,
        (targets, tokens): (&[u32], usize),
        upstream: &[Upstream; 2],
        randomness: &Randomness<'_>,
        (gradients, is_first): (&mut Parameters, bool),
    ) -> Vec<f32> {
        let Self { pass, view, views, room } = self;
        let [dropout, view_dropout] = randomness.dropout.each_ref().map(Option::as_ref);
        let losses = if is_first {
            pass.share_backward(model, targets, tokens, &upstream[0], dropout, gradients)
        } else {
            let room = room.get_or_insert_with(|| Parameters::zeros(model.decoder()));
            let losses = pass.share_backward(model, targets, tokens, &upstream[0], dropout, room);
            add(gradients.numbers_mut(), room.numbers());
            losses
        };
        if let Some(view) = view.as_mut().filter(|_| *views) {
            let room = room.get_or_insert_with(|| Parameters::zeros(model.decoder()));
            view.upstream_backward(model, &upstream[1], view_dropout, room);
            add(gradients.numbers_mut(), room.numbers());
        }
        losses
    }
}
