//! A batch that goes through the model in parts, one after the other, for less memory. Clouds over the whole batch are gathered by
//! a first way forward, and the gradient of their penalties is given to the parts in a second one (gradient caching; Gao et al.
//! 2021, arXiv:2101.06983).

use super::penalties::{collect, sees_whole_batch};
use crate::engine::{Pass, Upstream};
use crate::spec::{Site, Term};
use std::collections::BTreeMap;
use std::ops::Range;

/// What penalties see of a batch.
pub(super) trait Activations: Sync {
    /// Sequences and tokens of each.
    fn shape(&self) -> (usize, usize);

    /// What a site has at a layer (b·t, d), counted as places count layers.
    fn at(&self, site: Site, layer: usize) -> Vec<f32>;
}

impl Activations for Pass {
    fn shape(&self) -> (usize, usize) {
        Pass::shape(self)
    }

    fn at(&self, site: Site, layer: usize) -> Vec<f32> {
        match site {
            Site::HiddenStates => self.hidden_state(layer),
            Site::Attention => self.attention(layer - 1),
            Site::Mlp => self.mlp(layer - 1),
            Site::Embedding | Site::Unembedding | Site::Weights => Vec::new(), // not of a batch
        }
    }
}

/// Activations of several passes, one after the other.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    sequences: usize,
    time: usize,
    activations: BTreeMap<(Site, usize), Vec<f32>>,
}

impl Gathered {
    /// Adds what the terms with a weight at `step` see of the whole batch.
    pub fn add(&mut self, pass: &Pass, terms: &[Term], step: usize, blocks: usize) {
        let (sequences, time) = Pass::shape(pass);
        (self.sequences, self.time) = (self.sequences + sequences, time);
        let mut places: Vec<(Site, usize)> = Vec::new();
        for term in terms.iter().filter(|term| sees_whole_batch(std::slice::from_ref(term), step)) {
            let layers = term.at.layer_indices(blocks).unwrap_or_default(); // refused where the penalty is computed
            places.extend(layers.into_iter().map(|layer| (term.at.site, layer)));
        }
        places.sort_unstable();
        places.dedup();
        for (site, layer) in places {
            self.activations.entry((site, layer)).or_default().extend(pass.at(site, layer));
        }
    }
}

impl Activations for Gathered {
    fn shape(&self) -> (usize, usize) {
        (self.sequences, self.time)
    }

    fn at(&self, site: Site, layer: usize) -> Vec<f32> {
        self.activations.get(&(site, layer)).cloned().unwrap_or_default()
    }
}

/// Adds to `part` what `whole`, the gradient of a batch of `tokens` tokens, has of the part's tokens `own`; and what it has of
/// weights, of which there is one for all parts, to the first.
pub(super) fn take_part(part: &mut Upstream, whole: &Upstream, (own, tokens): (Range<usize>, usize)) {
    let rows = |grad: &Vec<f32>| {
        let d = grad.len() / tokens;
        grad[own.start * d..own.end * d].to_vec()
    };
    let add = |part: &mut BTreeMap<usize, Vec<f32>>, whole: &BTreeMap<usize, Vec<f32>>| {
        whole.iter().for_each(|(&layer, grad)| collect(part, layer, rows(grad)));
    };
    add(&mut part.hidden_states, &whole.hidden_states);
    add(&mut part.attention, &whole.attention);
    add(&mut part.mlp, &whole.mlp);
    if own.start == 0 {
        part.embedding.clone_from(&whole.embedding);
        part.unembedding.clone_from(&whole.unembedding);
        part.weights.clone_from(&whole.weights);
    }
}

#[cfg(test)]
mod tests {
    use crate::model::testing::random;
    use crate::model::{Decoder, Family, Map, Parameters, Sizes};
    use crate::spec::{At, Layers, OrNone, Points, Site, Term, TrainSpec, Weight};
    use crate::training::{Learner, StepRecord};
    use regatta_core::number::{Count, Finite, Fraction};
    use regatta_core::{Cloud, Draw, Plugin, Regularizer, Result, Tensor, regularizer, typetag};

    regularizer! {
        name: "gathered_spread",
        summary: "the cube of what points are, and of what they are to their mean",
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
        (record, learner.gradients.clone())
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
    fn parts_of_a_batch_have_its_gradient() {
        let of_three = OrNone::Some(Count::new(3));
        let tokens = At { max_points: of_three, ..At::default() };
        let batch = At { points: Points::Batch, max_points: of_three, ..At::default() };
        let pooled = At { points: Points::Pooled, site: Site::Mlp, ..At::default() };
        let embedding = At { site: Site::Embedding, max_points: of_three, ..At::default() };
        let unembedding = At { site: Site::Unembedding, ..At::default() };
        let weights = At { site: Site::Weights, matrix: Some(Map::AttentionKey), ..At::default() };
        let attention = At { site: Site::Attention, layers: Layers::Last, ..At::default() };
        check(&[]);
        for at in [&tokens, &batch, &pooled, &embedding, &unembedding, &weights, &attention] {
            check(&[term(at.clone(), false)]);
        }
        check(&[term(tokens.clone(), true)]);
        check(&[term(batch.clone(), true)]);
        check(&[tokens, batch, pooled, embedding, unembedding, weights, attention].map(|at| term(at, false)));
    }
}
