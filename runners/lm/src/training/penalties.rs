//! From the activations of a forward pass to penalties and their gradients: where, which points, then what. Names no
//! regularizer.

use super::TrainError;
use super::accumulate::Activations;
use crate::engine::{Keep, Upstream};
use crate::model::Model;
use crate::spec::{At, Points, Scale, Site, Term};
use candle_core::{D, Device, Result, Tensor, Var};
use rayon::prelude::*;
use regatta_core::{Cloud, Draw, differentiate};
use regatta_kernels::vector::add;
use std::collections::BTreeMap;

/// The penalty of a term, or the objective of an intervention, at one step.
pub(super) struct Penalty {
    /// The regularizer's name; a second term of the same name is called `name.1`.
    pub name: String,
    pub weight: f64,
    /// Raw: the mean over the term's layers.
    pub value: f64,
}

/// What a pass has to keep for these terms.
pub(super) fn keep(terms: &[Term]) -> Keep {
    Keep::ForBackward { contributions: terms.iter().any(|term| matches!(term.at.site, Site::Attention | Site::Mlp)) }
}

/// What penalties are computed from.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    pub model: &'a Model,
    /// Of a pass after its way forward, or of several.
    pub pass: &'a dyn Activations,
    /// The same sequences under another dropout mask, where a term compares two views of them.
    pub view: Option<&'a dyn Activations>,
    pub share: Share,
}

/// Which terms are computed at once, and for what share of a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Share {
    /// All terms, on all of the batch.
    All,
    /// Of a batch that goes through the model in parts: what has to see all of it, and what depends on no batch.
    WholeBatch,
    /// The terms that see each sequence by itself, on a part of the batch.
    Sequences {
        /// Sequences of the batch before the part.
        before: usize,
        /// The part's share of the batch.
        share: f64,
    },
}

impl Share {
    fn takes(self, at: &At) -> bool {
        let by_sequence = !at.sees_whole_batch() && !at.site.is_matrix();
        match self {
            Self::All => true,
            Self::WholeBatch => !by_sequence,
            Self::Sequences { .. } => by_sequence,
        }
    }

    fn weight(self) -> f64 {
        if let Self::Sequences { share, .. } = self { share } else { 1.0 }
    }

    fn before(self) -> usize {
        if let Self::Sequences { before, .. } = self { before } else { 0 }
    }
}

/// Whether a term with a weight at `step` has to see all sequences of a batch at once.
pub(super) fn sees_whole_batch(terms: &[Term], step: usize) -> bool {
    terms.iter().any(|term| term.at.sees_whole_batch() && term.weight.at(step) != 0.0)
}

/// The penalties of all terms with a weight at `step`, in order, before anything is added to them.
pub(super) fn none_yet(terms: &[Term], step: usize) -> Vec<Penalty> {
    let mut all: Vec<Penalty> = Vec::new();
    for (term, weight) in terms.iter().map(|term| (term, term.weight.at(step))).filter(|(_, weight)| *weight != 0.0) {
        let name = free_name(all.iter().map(|penalty| &*penalty.name), term.regularizer.name());
        all.push(Penalty { name, weight, value: 0.0 });
    }
    all
}

/// Whether a term compares two views at `step`: one of weight 0 is not computed.
pub(super) fn compares_views(terms: &[Term], step: usize) -> bool {
    terms.iter().any(|term| term.regularizer.0.needs_view() && term.weight.at(step) != 0.0)
}

/// One term at one layer.
struct Job<'a> {
    index: usize,
    /// Among the terms with a weight.
    place: usize,
    term: &'a Term,
    layer: usize,
    /// Of the layer's penalty in the loss.
    weight: f64,
}

/// Adds the penalty of each term whose weight is not 0 at `step` to `computed`, which [`none_yet`] made, and gives the gradients of
/// their weighted sum in what they see: in the first pass, and in the view.
///
/// A term's draws derive from (seed, its place in the arm, step, layer), so adding a term moves no other term's draws, and
/// none moves the data. A term of weight 0 is not computed: nothing is spent on it, and its arm has the baseline's bytes.
/// Layers are worked on side by side, and summed in order.
pub(super) fn penalties(
    terms: &[Term],
    seen: Seen<'_>,
    (seed, step): (u64, usize),
    computed: &mut [Penalty],
) -> std::result::Result<[Upstream; 2], TrainError> {
    let mut jobs = Vec::new();
    let weights = terms.iter().map(|term| term.weight.at(step)).enumerate();
    for (place, (index, weight)) in weights.filter(|(_, weight)| *weight != 0.0).enumerate() {
        let term = &terms[index];
        if !seen.share.takes(&term.at) {
            continue;
        }
        let weight = weight * seen.share.weight();
        let layers = term.at.layer_indices(seen.model.decoder().layers).map_err(TrainError::Place)?;
        let job = |&layer: &usize| Job { index, place, term, layer, weight: weight / layers.len() as f64 };
        jobs.extend(layers.iter().map(job));
    }
    let done: Vec<_> = jobs.par_iter().map(|job| job.penalty(seen, seed, step)).collect();

    let mut upstream: [Upstream; 2] = Default::default();
    for (job, done) in jobs.iter().zip(done) {
        let (value, gradients) = done?;
        let penalty = &mut computed[job.place];
        penalty.value += value * job.weight / penalty.weight;
        for (upstream, gradient) in upstream.iter_mut().zip(gradients) {
            let Some(gradient) = gradient else { continue };
            match job.term.at.site {
                Site::HiddenStates => collect(&mut upstream.hidden_states, job.layer, gradient),
                Site::Attention => collect(&mut upstream.attention, job.layer - 1, gradient),
                Site::Mlp => collect(&mut upstream.mlp, job.layer - 1, gradient),
                Site::Embedding => collect_one(&mut upstream.embedding, gradient),
                Site::Unembedding => collect_one(&mut upstream.unembedding, gradient),
                Site::Weights => collect(&mut upstream.weights, (job.term.at.map()?, job.layer - 1), gradient),
            }
        }
    }
    Ok(upstream)
}

/// Of the first pass and of the second.
type Gradients = [Option<Vec<f32>>; 2];

impl Job<'_> {
    /// The raw penalty, and the gradients of its weighted value in both passes; none where the penalty does not depend on one.
    fn penalty(&self, seen: Seen<'_>, seed: u64, step: usize) -> std::result::Result<(f64, Gradients), TrainError> {
        let Self { index, term, layer, weight, .. } = *self;
        let draw = |what: &str| Draw::new(seed, &format!("term {index} {what}"), step as u64, layer as u64);
        let points = leaf(&term.at, layer, seen.model, seen.pass)?;
        let view = match seen.view {
            Some(pass) if term.regularizer.0.needs_view() => Some(second_view(term, layer, seen.model, pass)?),
            _ => None,
        };
        let failed = |source| TrainError::Penalty { name: term.regularizer.name().to_owned(), step, source };
        let cloud = cloud(&term.at, &points, view.as_deref(), (&mut draw("points"), seen.share.before())).map_err(failed)?;
        let leaves: Vec<&Var> = std::iter::once(&points).chain(&view).collect();
        let found = differentiate::penalty(&*term.regularizer.0, &cloud, &leaves, weight, &mut draw("penalty"));
        let (value, gradients) = found.map_err(failed)?;
        let mut gradients = gradients.into_iter();
        Ok((f64::from(value), std::array::from_fn(|_| gradients.next().flatten())))
    }
}

/// What the term sees in the second pass. A weight matrix is the same in both, and studies that ask for a view of one are refused.
fn second_view(term: &Term, layer: usize, model: &Model, pass: &dyn Activations) -> std::result::Result<Var, TrainError> {
    if term.at.site.is_matrix() {
        return Err(TrainError::Place(format!("regularizer `{}`: a weight matrix has no second view", term.regularizer.name())));
    }
    Ok(leaf(&term.at, layer, model, pass)?)
}

/// Adds to the sum of a layer.
pub(super) fn collect<K: Ord>(sums: &mut BTreeMap<K, Vec<f32>>, layer: K, gradient: Vec<f32>) {
    match sums.get_mut(&layer) {
        Some(sum) => add(sum, &gradient),
        None => drop(sums.insert(layer, gradient)),
    }
}

fn collect_one(sum: &mut Option<Vec<f32>>, gradient: Vec<f32>) {
    match sum {
        Some(sum) => add(sum, &gradient),
        None => *sum = Some(gradient),
    }
}

/// `name`, or `name.1` where it is taken, and so on.
pub(super) fn free_name<'a>(taken: impl Iterator<Item = &'a str>, name: &str) -> String {
    let used = taken.filter(|other| *other == name || other.rsplit_once('.').is_some_and(|(stem, _)| stem == name));
    match used.count() {
        0 => name.to_owned(),
        used => format!("{name}.{used}"),
    }
}

/// What a gradient is wanted of, grouped but for the mean of a sequence: (g, n, d). A weight matrix is one group of its rows.
fn leaf(at: &At, layer: usize, model: &Model, pass: &dyn Activations) -> Result<Var> {
    let (decoder, (b, t)) = (model.decoder(), pass.shape());
    let d = decoder.width;
    let activations = match at.site {
        Site::HiddenStates | Site::Attention | Site::Mlp => pass.at(at.site, layer),
        Site::Embedding => return Var::from_slice(model.embedding(), (1, decoder.vocab_size, d), &Device::Cpu),
        Site::Unembedding => return Var::from_slice(model.unembedding(), (1, decoder.vocab_size, d), &Device::Cpu),
        Site::Weights => {
            let map = at.map()?;
            let rows = model.parameters().rows(decoder, map, layer - 1);
            let outputs = decoder.columns(map).len();
            let inputs = rows.len() / outputs;
            return Var::from_vec(rows, (1, outputs, inputs), &Device::Cpu);
        }
    };
    let (groups, points) = leaf_groups(at.points, b, t);
    Var::from_vec(activations, (groups, points, d), &Device::Cpu)
}

/// Groups of a leaf, and rows of each: a leaf that needs no reshaping takes its gradient as it comes.
fn leaf_groups(points: Points, sequences: usize, time: usize) -> (usize, usize) {
    match points {
        Points::Batch => (1, sequences * time),
        Points::Tokens | Points::Pooled => (sequences, time),
    }
}

/// Which points of a leaf form a cloud, subsampled and scaled: the same points of the leaf and of that of its second view. The
/// leaf's groups come after so many other ones, for which the draw has points to choose first.
fn cloud(at: &At, leaf: &Tensor, view: Option<&Tensor>, (draw, before): (&mut Draw, usize)) -> regatta_core::Result<Cloud> {
    let points = grouped(at, leaf)?;
    let rows = match at.max_points.get() {
        Some(most) if points.dim(1)? > most.get() => {
            (0..before).for_each(|_| drop(draw.sample(leaf.dims()[1], most.get())));
            Some(sample(&points, most.get(), draw)?)
        }
        _ => None,
    };
    let chosen = |points: Tensor| {
        let points = match &rows {
            Some(rows) => subsample(&points, rows)?,
            None => points,
        };
        scaled(&points, at.scale)
    };
    match view {
        Some(view) => Cloud::with_view(chosen(points)?, chosen(grouped(at, view)?)?),
        None => Cloud::new(chosen(points)?),
    }
}

/// The points of each group: those of the leaf, or the mean of each sequence.
fn grouped(at: &At, leaf: &Tensor) -> Result<Tensor> {
    match (at.site, at.points) {
        (Site::HiddenStates | Site::Attention | Site::Mlp, Points::Pooled) => leaf.mean(1)?.unsqueeze(0), // (b, t, d) -> (1, b, d)
        _ => Ok(leaf.clone()),
    }
}

/// Which `count` points of each group, without replacement, each group its own. points (g, n, d) -> (g·count), counted over all
fn sample(points: &Tensor, count: usize, draw: &mut Draw) -> Result<Tensor> {
    let (g, n, _) = points.dims3()?;
    let rows: Vec<u32> =
        (0..g).flat_map(|group| draw.sample(n, count).into_iter().map(move |row| (group * n + row) as u32)).collect();
    Tensor::from_vec(rows, g * count, points.device())
}

/// (g, n, d), rows (g·count) -> (g, count, d)
fn subsample(points: &Tensor, rows: &Tensor) -> Result<Tensor> {
    let (g, n, d) = points.dims3()?;
    points.reshape((g * n, d))?.index_select(rows, 0)?.reshape((g, rows.dim(0)? / g, d))
}

/// What is done to each point first. (g, n, d) -> (g, n, d)
fn scaled(points: &Tensor, scale: Scale) -> regatta_core::Result<Tensor> {
    Ok(match scale {
        Scale::None => points.clone(),
        Scale::Unit => regatta_core::maths::unit(points)?,
        Scale::UnitSqrtDim => (regatta_core::maths::unit(points)? * (points.dim(D::Minus1)? as f64).sqrt())?,
        Scale::LayerNorm => {
            let centred = points.broadcast_sub(&points.mean_keepdim(D::Minus1)?)?;
            let deviation = (centred.sqr()?.mean_keepdim(D::Minus1)? + 1e-5)?.sqrt()?;
            centred.broadcast_div(&deviation)?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::OrNone;
    use candle_core::Device;
    use regatta_core::number::Count;

    fn at(points: Points, max_points: usize, scale: Scale) -> At {
        At { points, max_points: OrNone::Some(Count::new(max_points)), scale, ..At::default() }
    }

    fn numbers(at: &At, tensor: &Tensor) -> Vec<Vec<Vec<f32>>> {
        cloud(at, tensor, None, (&mut Draw::new(0, "test", 0, 0), 0)).unwrap().points().to_vec3().unwrap()
    }

    #[test]
    fn points_are_grouped_as_the_design_says() {
        let x = Tensor::new(&[[[1f32, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]], &Device::Cpu).unwrap();
        let found = |points: Points| {
            let (groups, rows) = leaf_groups(points, 2, 2);
            numbers(&at(points, 9, Scale::None), &x.reshape((groups, rows, 2)).unwrap())
        };
        assert_eq!(found(Points::Tokens), x.to_vec3::<f32>().unwrap());
        assert_eq!(found(Points::Batch), [[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]]);
        assert_eq!(found(Points::Pooled), [[[2.0, 3.0], [6.0, 7.0]]]);
    }

    #[test]
    fn the_rows_of_a_weight_matrix_are_one_group_whatever_the_points() {
        let rows = Tensor::new(&[[[1f32, 2.0], [3.0, 4.0], [5.0, 6.0]]], &Device::Cpu).unwrap();
        for points in [Points::Tokens, Points::Batch, Points::Pooled] {
            let at = At { site: Site::Embedding, ..at(points, 9, Scale::None) };
            assert_eq!(numbers(&at, &rows), rows.to_vec3::<f32>().unwrap());
        }
    }

    #[test]
    fn a_large_group_is_subsampled_without_replacement() {
        let x = Tensor::arange(0f32, 200.0, &Device::Cpu).unwrap().reshape((2, 100, 1)).unwrap();
        let found = numbers(&at(Points::Tokens, 30, Scale::None), &x);
        for (group, points) in found.iter().enumerate() {
            let mut values: Vec<usize> = points.iter().map(|p| p[0] as usize).collect();
            assert!(values.iter().all(|v| v / 100 == group));
            values.dedup();
            assert_eq!(values.len(), 30);
        }
        assert_ne!(found[0], found[1].iter().map(|p| vec![p[0] - 100.0]).collect::<Vec<_>>(), "each group draws its own");
    }

    #[test]
    fn a_view_is_grouped_subsampled_and_scaled_as_the_points_are() {
        let x = Tensor::arange(1f32, 201.0, &Device::Cpu).unwrap().reshape((2, 50, 2)).unwrap();
        let view = x.neg().unwrap();
        for points in [Points::Tokens, Points::Batch, Points::Pooled] {
            for scale in [Scale::None, Scale::Unit, Scale::UnitSqrtDim, Scale::LayerNorm] {
                let at = at(points, 9, scale);
                let cloud = cloud(&at, &x, Some(&view), (&mut Draw::new(0, "test", 0, 0), 0)).unwrap();
                let [points, view] = cloud.both_views().unwrap();
                assert_eq!(points.to_vec3::<f32>().unwrap(), numbers(&at, &x), "a view moves no draw");
                assert_eq!(points.to_vec3::<f32>().unwrap(), view.neg().unwrap().to_vec3::<f32>().unwrap());
            }
        }
        let mixed = cloud(&At::default(), &x, Some(&x.narrow(1, 0, 9).unwrap()), (&mut Draw::new(0, "test", 0, 0), 0));
        assert!(mixed.unwrap_err().to_string().contains("second view"));
    }

    #[test]
    fn scales_by_hand() {
        let x = Tensor::new(&[[[3f32, 4.0], [6.0, 8.0]]], &Device::Cpu).unwrap();
        assert_eq!(numbers(&at(Points::Tokens, 9, Scale::Unit), &x), [[[0.6, 0.8], [0.6, 0.8]]]);
        let root = 2f32.sqrt();
        assert_eq!(
            numbers(&at(Points::Tokens, 9, Scale::UnitSqrtDim), &x),
            [[[0.6 * root, 0.8 * root], [0.6 * root, 0.8 * root]]]
        );
        let normed = numbers(&at(Points::Tokens, 9, Scale::LayerNorm), &x);
        assert!((normed[0][0][0] + 1.0).abs() < 1e-4 && (normed[0][1][1] - 1.0).abs() < 1e-4, "{normed:?}");
    }
}
