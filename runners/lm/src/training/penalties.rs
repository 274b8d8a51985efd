//! The penalties of an arm's terms, and their gradients in what the terms see. Names no regularizer.

use super::TrainError;
use super::cloud::{cloud, leaf};
use super::terms::{Penalty, weighted};
use super::upstream::add_at;
use crate::engine::{Activations, Engine, Numbers, Scalar, Upstream};
use crate::spec::{At, Term};
use candle_core::Var;
use regatta_core::Draw;

/// What penalties are computed from.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    pub engine: &'a Engine,
    /// Of one forward pass, or of several.
    pub pass: &'a dyn Activations,
    /// The same sequences under another dropout mask, where a term compares two views of them.
    pub view: Option<&'a dyn Activations>,
    /// The next token of each token in scope.
    pub targets: &'a [u32],
    pub scope: Scope,
}

impl<'a> Seen<'a> {
    /// After a forward pass of `engine`.
    pub fn of(engine: &'a Engine, targets: &'a [u32], scope: Scope) -> Self {
        Self { engine, pass: engine.pass(), view: engine.view(), targets, scope }
    }
}

/// Which terms are computed together, and on what fraction of a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scope {
    /// All terms, on the whole batch.
    All,
    /// Of a batch that goes through the model in parts: the terms that see all of it at once, and those that see weights.
    WholeBatch,
    /// The terms that see each sequence by itself, on a part of the batch.
    Part {
        /// Sequences of the batch before the part.
        before: usize,
        /// The part's fraction of the batch.
        fraction: f64,
    },
}

impl Scope {
    fn includes(self, at: &At) -> bool {
        let by_sequence = !at.sees_whole_batch() && !at.site.is_matrix();
        match self {
            Self::All => true,
            Self::WholeBatch => !by_sequence,
            Self::Part { .. } => by_sequence,
        }
    }

    fn fraction(self) -> f64 {
        if let Self::Part { fraction, .. } = self { fraction } else { 1.0 }
    }

    fn before(self) -> usize {
        if let Self::Part { before, .. } = self { before } else { 0 }
    }
}

/// One term at one layer.
struct Job<'a> {
    /// The term's index in the arm.
    index: usize,
    /// Its index among the terms with a weight.
    place: usize,
    term: &'a Term,
    layer: usize,
    /// Of the layer's penalty in the loss.
    weight: f64,
}

/// Adds the penalty of each term whose weight is not 0 at `step` to `computed`, as [`zero_penalties`](super::terms::zero_penalties)
/// made it, and returns the gradients of their weighted sum in what they see: in the first pass, and in the view.
///
/// A term's draws derive from (seed, its index in the arm, step, layer), so adding a term moves no other term's draws, and
/// none moves the data. A term of weight 0 is not computed: its arm has the baseline's cost and bytes. Layers are computed in
/// parallel, and summed in order.
pub(super) fn penalties(
    terms: &[Term],
    seen: Seen<'_>,
    (seed, step): (u64, usize),
    computed: &mut [Penalty],
) -> Result<[Upstream<Numbers>; 2], TrainError> {
    let jobs = jobs(terms, seen, step)?;
    let done = seen.engine.each(&jobs, |job| job.penalty(seen, seed, step));
    let mut upstream: [Upstream<Numbers>; 2] = Default::default();
    for (job, done) in jobs.iter().zip(done) {
        let (value, gradients) = done?;
        let penalty = &mut computed[job.place];
        let weight = penalty.weight;
        penalty.value.add(value, |value| value * job.weight / weight);
        for (upstream, gradient) in upstream.iter_mut().zip(gradients) {
            if let Some(gradient) = gradient {
                add_at(upstream, &job.term.at, job.layer, gradient)?;
            }
        }
    }
    Ok(upstream)
}

/// The terms in scope with a weight at `step`, layer by layer.
fn jobs<'a>(terms: &'a [Term], seen: Seen<'_>, step: usize) -> Result<Vec<Job<'a>>, TrainError> {
    let mut jobs = Vec::new();
    for (place, (index, term, weight)) in weighted(terms, step).enumerate() {
        if !seen.scope.includes(&term.at) {
            continue;
        }
        let weight = weight * seen.scope.fraction();
        let layers = term.at.layer_indices(seen.engine.decoder().layers).map_err(TrainError::Place)?;
        let job = |&layer: &usize| Job { index, place, term, layer, weight: weight / layers.len() as f64 };
        jobs.extend(layers.iter().map(job));
    }
    Ok(jobs)
}

/// Of the first pass and of the second.
type Gradients = [Option<Numbers>; 2];

impl Job<'_> {
    /// The unweighted penalty, and the gradients of its weighted value in both passes; `None` where it does not depend on one.
    fn penalty(&self, seen: Seen<'_>, seed: u64, step: usize) -> Result<(Scalar, Gradients), TrainError> {
        let Self { index, term, layer, weight, .. } = *self;
        let draw = |what: &str| Draw::new(seed, &format!("term {index} {what}"), step as u64, layer as u64);
        let points = leaf(&term.at, layer, seen.engine, seen.pass)?;
        let view = match seen.view {
            Some(pass) if term.regularizer.0.needs_view() => Some(second_view(term, layer, seen.engine, pass)?),
            _ => None,
        };
        let labels = Some(seen.targets).filter(|_| term.regularizer.0.needs_labels());
        let failed = |source| TrainError::Penalty { name: term.regularizer.name().to_owned(), step, source };
        let cloud =
            cloud(&term.at, &points, view.as_deref(), labels, (&mut draw("points"), seen.scope.before())).map_err(failed)?;
        let leaves: Vec<&Var> = std::iter::once(&points).chain(&view).collect();
        let found = seen.engine.penalty(&*term.regularizer.0, &cloud, &leaves, weight, &mut draw("penalty"));
        let (value, gradients) = found.map_err(failed)?;
        let mut gradients = gradients.into_iter();
        Ok((value, std::array::from_fn(|_| gradients.next().flatten())))
    }
}

/// What the term sees in the second pass. A weight matrix is the same in both passes, and studies that ask for a view of one are
/// refused.
fn second_view(term: &Term, layer: usize, engine: &Engine, pass: &dyn Activations) -> Result<Var, TrainError> {
    if term.at.site.is_matrix() {
        return Err(TrainError::Place(format!("regularizer `{}`: a weight matrix has no second view", term.regularizer.name())));
    }
    Ok(leaf(&term.at, layer, engine, pass)?)
}
