//! A batch that goes through the model in parts, one after the other, for less memory. Clouds over the whole batch are gathered by
//! a first forward pass of each part, and the gradient of their penalties enters the backward pass of its part later (gradient
//! caching; Gao et al. 2021, arXiv:2101.06983).

use super::TrainError;
use super::activations::Gathered;
use super::penalties::{Scope, Seen, penalties};
use super::terms::{Penalty, compares_views, sees_whole_batch};
use crate::engine::{Activations, Engine, Numbers, Randomness, Upstream};
use crate::spec::Term;
use std::ops::Range;

/// How a batch is split.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts {
    /// Sequences of the batch.
    rows: usize,
    /// Sequences of a part.
    each: usize,
    /// Tokens of a sequence.
    time: usize,
}

/// Some sequences of a batch.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    /// The index of its first sequence.
    pub first: usize,
    /// Its tokens among those of the batch.
    pub tokens: Range<usize>,
}

impl Parts {
    /// `rows` sequences of `tokens` tokens together, in so many passes, of which `rows` is a multiple.
    pub fn new(rows: usize, tokens: usize, passes: usize) -> Self {
        Self { rows, each: rows / passes, time: tokens / rows }
    }

    /// Sequences, and tokens of each, of one part.
    pub fn shape(self) -> (usize, usize) {
        (self.each, self.time)
    }

    pub fn iter(self) -> impl Iterator<Item = Part> {
        let Self { rows, each, time } = self;
        (0..rows).step_by(each).map(move |first| Part { first, tokens: first * time..(first + each) * time })
    }

    /// What is computed with `part`: all terms, where it is the whole batch.
    pub fn scope(self, part: &Part) -> Scope {
        if self.are_one() {
            Scope::All
        } else {
            Scope::Part { before: part.first, fraction: self.each as f64 / self.rows as f64 }
        }
    }

    fn are_one(self) -> bool {
        self.each == self.rows
    }
}

/// The penalties of [`Scope::WholeBatch`], added to `computed`, and their gradients in all tokens of the batch; `None` where the
/// batch is not split. Where a cloud is of the whole batch, each part makes a forward pass first.
pub(super) fn whole_batch_penalties(
    parts: Parts,
    engine: &mut Engine,
    (inputs, targets): (&[u32], &[u32]),
    randomness: &Randomness<'_>,
    terms: &[Term],
    (seed, step): (u64, usize),
    computed: &mut [Penalty],
) -> Result<Option<[Upstream<Numbers>; 2]>, TrainError> {
    if parts.are_one() {
        return Ok(None);
    }
    let mut gathered: [Gathered; 2] = Default::default();
    if sees_whole_batch(terms, step) {
        for part in parts.iter() {
            engine.forward(part.first, &inputs[part.tokens], randomness)?;
            for (gathered, pass) in gathered.iter_mut().zip(std::iter::once(engine.pass()).chain(engine.view())) {
                gathered.add(pass, terms, step, engine.decoder().layers)?;
            }
        }
    }
    let [pass, view] = &gathered;
    let view = compares_views(terms, step).then_some(view as &dyn Activations);
    let seen = Seen { engine, pass, view, targets, scope: Scope::WholeBatch };
    penalties(terms, seen, (seed, step), computed).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::random;
    use crate::model::{Decoder, Family, Map, Parameters, Sizes};
    use crate::spec::{At, Home, Layers, OrNone, Points, Site, Term, TrainSpec, Weight};
    use crate::training::{Learner, StepRecord};
    use regatta_core::number::{Count, Finite, Fraction};
    use regatta_core::{Cloud, Draw, Plugin, Regularizer, Result, Tensor, regularizer, typetag};

    regularizer! {
        name: "gathered_spread",
        summary: "cubes of centred points, and squares of points",
        paper: "none: for tests",
        formula: "mean((z - mean(z))³ + z²)",
        expects: "any points",
        struct Spread {
            /// Compares two views.
            views: bool = false,
        }
    }

    #[typetag::serde(name = "gathered_spread")]
    impl Regularizer for Spread {
        fn penalty(&self, cloud: &Cloud, draw: &mut Draw) -> Result<Tensor> {
            let points = cloud.points();
            let spread = points.broadcast_sub(&points.mean_keepdim(1)?)?.powf(3.0)?;
            let mut penalty = ((spread + points.sqr()?)?.mean_all()? * draw.normal())?;
            if let Some(view) = cloud.view() {
                penalty = (penalty + points.mul(view)?.mean_all()?)?;
            }
            Ok(penalty)
        }

        fn needs_view(&self) -> bool {
            self.views
        }
    }

    fn term(at: At, views: bool) -> Term {
        Term { regularizer: Plugin(Box::new(Spread { views })), weight: Weight::Constant(Finite::new(0.7)), at }
    }

    fn step(terms: &[Term], accumulate: usize) -> (StepRecord, Parameters) {
        let sizes = Sizes { layers: 2, width: 8, heads: 2, context: 6, mlp_width: 16 };
        let (dropout, accumulate) = (Fraction::new(0.2), Count::new(accumulate));
        let train = TrainSpec { dropout, accumulate, batch_size: Count::new(4), ..TrainSpec::default() };
        let model = random(Decoder::new(Family::Llama, sizes, 11));
        let mut learner = Learner::new(model, &train, terms, &[], 7).unwrap();
        let ids = |factor: usize| (0..24).map(|i| (i * factor % 11) as u32).collect::<Vec<_>>();
        let record = learner.step(3, 4, &ids(7), &ids(5)).unwrap();
        (record, learner.gradients())
    }

    fn check(terms: &[Term]) {
        let (whole, of_whole) = step(terms, 1);
        for parts in [2, 4] {
            let (found, gradients) = step(terms, parts);
            let largest = of_whole.numbers().iter().fold(0f32, |most, x| most.max(x.abs()));
            let apart = gradients.numbers().iter().zip(of_whole.numbers()).map(|(x, y)| (x - y).abs()).fold(0f32, f32::max);
            assert!(apart < 2e-6 * largest, "{parts} parts: gradients are {apart} of {largest} apart");
            assert!((found.loss - whole.loss).abs() < 1e-6 && (found.grad_norm / whole.grad_norm - 1.0).abs() < 1e-6);
            assert_eq!(found.terms.keys().collect::<Vec<_>>(), whole.terms.keys().collect::<Vec<_>>());
            for (name, value) in &whole.terms {
                assert!((found.terms[name] - value).abs() < 1e-6 * value.abs().max(1.0), "{name}: {found:?}, {whole:?}");
            }
        }
    }

    #[test]
    fn a_batch_is_split_by_sequences() {
        let parts = Parts::new(4, 12, 2); // 4 sequences of 3 tokens
        let part = |first, tokens| Part { first, tokens };
        assert_eq!(parts.iter().collect::<Vec<_>>(), [part(0, 0..6), part(2, 6..12)]);
        assert_eq!(parts.shape(), (2, 3));
        assert_eq!(parts.scope(&part(2, 6..12)), Scope::Part { before: 2, fraction: 0.5 });
        let whole = Parts::new(4, 12, 1);
        assert_eq!((whole.iter().count(), whole.scope(&part(0, 0..12))), (1, Scope::All));
    }

    #[test]
    fn parts_of_a_batch_have_its_gradient() {
        let of_three = OrNone::Some(Count::new(3));
        let tokens = At { max_points: of_three, ..At::from(Home::DEFAULT) };
        let batch = At { points: Points::Batch, max_points: of_three, ..At::from(Home::DEFAULT) };
        let pooled = At { points: Points::Pooled, site: Site::Mlp, ..At::from(Home::DEFAULT) };
        let embedding = At { site: Site::Embedding, max_points: of_three, ..At::from(Home::DEFAULT) };
        let unembedding = At { site: Site::Unembedding, ..At::from(Home::DEFAULT) };
        let weights = At { site: Site::Weights, matrix: Some(Map::AttentionKey), ..At::from(Home::DEFAULT) };
        let attention = At { site: Site::Attention, layers: Layers::Last, ..At::from(Home::DEFAULT) };
        check(&[]);
        for at in [&tokens, &batch, &pooled, &embedding, &unembedding, &weights, &attention] {
            check(&[term(at.clone(), false)]);
        }
        check(&[term(tokens.clone(), true)]);
        check(&[term(batch.clone(), true)]);
        check(&[tokens, batch, pooled, embedding, unembedding, weights, attention].map(|at| term(at, false)));
    }
}
