//! An estimate of the memory that a trial needs on a device, before its first step.
//!
//! Moments of a step are compared, and the largest counts: penalties and objectives, the output layer and the last block, where all
//! activations stand; the first block, where nearly all gradients do; the optimizer's update. What a pass needs is counted in
//! `engine/candle/memory`. Assumed, since only a plugin knows: a penalty holds 12 tensors as large as its cloud, and 22 numbers for
//! each pair of points where it is at home on a limited number of them; an objective holds 6 tensors as large as the outputs that
//! it compares. Not counted: random projections of points, an intervention's own parameters, and what the device's driver takes
//! for itself, some 0.5 GiB with CUDA.

use super::interventions::{Interventions, objectives, roundings};
use crate::engine::memory::{NUMBER, PassBytes, Setting, update_bytes};
use crate::model::{Decoder, Role};
use crate::spec::{At, Points, Site, Term, TrainSpec};
use regatta_core::number::Count;
use regatta_core::{Companion, Compared};
use std::collections::BTreeSet;
use std::fmt::{self, Display};
use std::path::Path;

/// Tensors as large as its cloud that a penalty holds.
const OF_A_CLOUD: u128 = 12;

/// Numbers that it holds for each pair of points: on candle's CPU `mmd` held 22, `supervised_contrastive` 18, `dispersion` 12.
const OF_A_PAIR: u128 = 22;

/// Tensors as large as the compared outputs that an objective holds.
const OF_AN_OUTPUT: u128 = 6;

/// What a trial's memory depends on.
#[derive(Clone, Copy)]
pub struct Needs<'a> {
    /// The model.
    pub decoder: &'a Decoder,
    /// How it is trained.
    pub train: &'a TrainSpec,
    /// The arm's regularizers.
    pub terms: &'a [Term],
    /// The arm's interventions.
    pub interventions: &'a Interventions,
    /// The shape of the checkpoint in a folder that an intervention compares with; where it is not known, the model's is taken.
    pub checkpoint: &'a dyn Fn(&Path) -> Option<Decoder>,
    /// Whether the device is candle's CPU.
    pub on_cpu: bool,
    /// Whether the backward pass computes each block again from its input, for less memory and a third more work; the numbers are
    /// the same.
    pub recompute: bool,
}

/// Bytes that a trial needs on a device, by what they are for; the largest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Estimate {
    parts: Vec<(&'static str, u128)>,
}

type Parts = Vec<(&'static str, u128)>;

impl<'a> Needs<'a> {
    /// Of a trial, whose companions' checkpoints are read for their shapes.
    pub fn of(decoder: &'a Decoder, train: &'a TrainSpec, terms: &'a [Term], interventions: &'a Interventions) -> Self {
        let checkpoint = &|folder: &Path| Decoder::read(folder).ok();
        Self { decoder, train, terms, interventions, checkpoint, on_cpu: false, recompute: false }
    }
}

impl Needs<'_> {
    /// The memory of a step when it needs most.
    pub fn estimate(&self) -> Estimate {
        let fixed = self.fixed();
        let moments = self.moments().into_iter().map(|moment| Estimate::new([&*fixed, &*moment].concat()));
        moments.max_by_key(Estimate::bytes).expect("a step has moments")
    }

    /// The estimate, where that much is `free` for it on `device`.
    ///
    /// # Errors
    /// Where it is not: with the numbers, and the least `train.accumulate` that would do.
    pub fn check(&self, device: &str, free: u128) -> Result<Estimate, String> {
        let estimate = self.estimate();
        if estimate.bytes() <= free {
            return Ok(estimate);
        }
        let accumulate = self.train.accumulate.get();
        let smaller = |parts: usize| {
            let train = TrainSpec { accumulate: Count::new(parts), ..self.train.clone() };
            (parts, Needs { train: &train, ..*self }.estimate())
        };
        let batch = self.train.batch_size.get();
        let divisors = (accumulate + 1..=batch).filter(|parts| batch.is_multiple_of(*parts));
        let way_out = match divisors.map(smaller).find(|(_, estimate)| estimate.bytes() <= free) {
            Some((parts, estimate)) => {
                format!("`train.accumulate: {parts}` needs about {}, with the same result", Size(estimate.bytes()))
            }
            None => "a smaller model, a shorter `train.context` or another device is needed".into(),
        };
        Err(format!(
            "expected a study that fits on {device}, where {} are free for a trial, found one that needs {estimate}: {way_out}",
            Size(free)
        ))
    }

    /// What stands in every moment of a step.
    fn fixed(&self) -> Parts {
        let weights = NUMBER * self.decoder.numbers();
        let copies = 1 + u128::from(!roundings(self.interventions).is_empty());
        let second = |other: Decoder| NUMBER * other.numbers();
        vec![
            ("weights", copies * weights),
            ("optimizer", NUMBER * self.train.optimizer.state(self.decoder) as u128),
            ("companions", self.companions().into_iter().map(|(other, _)| second(other)).sum()),
            ("earlier gradients", if self.accumulates() { weights } else { 0 }),
        ]
    }

    fn moments(&self) -> Vec<Parts> {
        let pass = self.pass(self.decoder).bytes();
        let PassBytes { activations, stream, block, block_working, output_working, .. } = pass;
        let view = if self.views() { activations } else { 0 };
        let (gradients, block_gradients) = (NUMBER * self.decoder.numbers(), self.block_gradients());
        let again = if self.recompute { block } else { 0 };
        let matrix = NUMBER * (self.decoder.vocab_size * self.decoder.width) as u128;
        let logits = if self.compares(Compared::Logits) { self.logits(self.decoder) } else { 0 };
        let upstream = ("gradients of activations", self.upstream());
        let all = [("activations", activations), ("second view", view), upstream];
        let with = |parts: &[(&'static str, u128)]| [&all[..], parts].concat();
        let mut moments = vec![
            with(&[("penalties", self.penalties())]),
            with(&[("logits", logits), ("output layer", output_working)]),
            with(&[("gradients", matrix + block_gradients), ("working memory", again + block_working + block_gradients)]),
            vec![
                ("activations", stream + block),
                ("second view", view),
                ("gradients", gradients),
                ("working memory", block_working + block_gradients),
            ],
            vec![
                ("activations", stream),
                ("second view", if self.views() { stream } else { 0 }),
                ("gradients", gradients),
                ("working memory", update_bytes(self.decoder, self.train)),
            ],
        ];
        for (other, compared) in self.companions() {
            let (own, theirs) = match compared {
                Compared::Logits => (self.logits(self.decoder), self.logits(&other)),
                Compared::LastHiddenState => (self.rows() * self.decoder.width as u128, self.rows() * other.width as u128),
            };
            moments.push(with(&[("objectives", OF_AN_OUTPUT * own + theirs)]));
            moments.push(with(&[("objectives", own), ("companion's pass", self.pass(&other).bytes().forward_working)]));
        }
        moments
    }

    /// A part of a batch, in a model of this shape.
    fn pass<'d>(&self, decoder: &'d Decoder) -> Setting<'d> {
        Setting {
            decoder,
            shape: (self.train.batch_size.get().div_ceil(self.train.accumulate.get()), self.context()),
            dropout: self.train.dropout.get() > 0.0,
            precision: self.train.precision,
            on_cpu: self.on_cpu,
            recompute: self.recompute,
        }
    }

    fn context(&self) -> usize {
        self.train.context.map_or(self.decoder.context, |context| context.get())
    }

    /// Tokens of a part of a batch, in bytes of a number each.
    fn rows(&self) -> u128 {
        let (sequences, time) = self.pass(self.decoder).shape;
        NUMBER * (sequences * time) as u128
    }

    fn logits(&self, decoder: &Decoder) -> u128 {
        self.rows() * decoder.vocab_size as u128
    }

    fn views(&self) -> bool {
        self.terms.iter().any(|term| term.regularizer.0.needs_view())
    }

    /// Whether gradients of one pass wait while another makes its own.
    fn accumulates(&self) -> bool {
        self.train.accumulate.get() > 1 || self.views()
    }

    fn compares(&self, what: Compared) -> bool {
        self.companions().iter().any(|(_, compared)| *compared == what)
    }

    /// The second models of the arm, and what of them is compared.
    fn companions(&self) -> Vec<(Decoder, Compared)> {
        let of = |companion: Companion| match companion {
            Companion::Checkpoint(folder) => (self.checkpoint)(&folder).unwrap_or_else(|| self.decoder.clone()),
            Companion::MovingAverage { .. } => self.decoder.clone(),
        };
        let all = objectives(self.interventions).into_iter();
        all.map(|listed| (of(listed.objective.companion()), listed.objective.compared())).collect()
    }

    /// Gradients of one block's parameters.
    fn block_gradients(&self) -> u128 {
        let with = |layers: usize| Decoder { layers, ..self.decoder.clone() }.numbers();
        NUMBER * (with(1) - with(0))
    }

    /// A gradient of each place where a term is applied.
    fn upstream(&self) -> u128 {
        let layers = |term: &Term| term.at.layer_indices(self.decoder.layers).unwrap_or_default();
        let places = |term: &Term| layers(term).into_iter().map(|layer| (term.at.site, layer)).collect::<Vec<_>>();
        let all: BTreeSet<(Site, usize)> = self.terms.iter().flat_map(places).collect();
        all.into_iter().map(|(site, _)| self.site(site, self.rows())).sum()
    }

    /// Of a site at a layer, bytes. `rows` are those of the tokens.
    fn site(&self, site: Site, rows: u128) -> u128 {
        let numbers = |role: fn(Role) -> bool| self.decoder.tensors().list().into_iter().find(|spec| role(spec.role));
        match site {
            Site::HiddenStates | Site::Attention | Site::Mlp => rows * self.decoder.width as u128,
            Site::Embedding | Site::Unembedding => NUMBER * (self.decoder.vocab_size * self.decoder.width) as u128,
            Site::Weights => NUMBER * numbers(|role| matches!(role, Role::Matrix(_))).map_or(0, |spec| spec.len() as u128),
        }
    }

    /// Of the term whose cloud is largest; clouds of whole batches are gathered part by part first.
    fn penalties(&self) -> u128 {
        let of = |term: &Term| {
            let parts = if term.at.sees_whole_batch() { self.train.accumulate.get() as u128 } else { 1 };
            let leaf = self.site(term.at.site, parts * self.rows());
            let views = 1 + u128::from(term.regularizer.0.needs_view());
            let gathered = if parts > 1 { self.layers_of(term) * leaf } else { 0 };
            let (groups, points) = self.cloud(&term.at, leaf);
            let cloud = leaf.min(NUMBER * groups * points * self.decoder.width as u128);
            // its home has a limit because all pairs count
            let pairs = term.regularizer.0.home().max_points.map_or(0, |_| NUMBER * groups * points * points);
            views * (3 * leaf + OF_A_CLOUD * cloud + gathered) + OF_A_PAIR * pairs
        };
        self.terms.iter().map(of).max().unwrap_or(0)
    }

    fn layers_of(&self, term: &Term) -> u128 {
        term.at.layer_indices(self.decoder.layers).map_or(0, |layers| layers.len() as u128)
    }

    /// Groups of points, and how many of each are chosen of a leaf.
    fn cloud(&self, at: &At, leaf: u128) -> (u128, u128) {
        let (sequences, time) = self.pass(self.decoder).shape;
        let (sequences, rows) = (sequences as u128, leaf / (NUMBER * self.decoder.width as u128));
        let (groups, points) = match (at.site.is_matrix(), at.points) {
            (true, _) | (_, Points::Batch) => (1, rows),
            (_, Points::Tokens) => (sequences, time as u128),
            (_, Points::Pooled) => (1, sequences * self.train.accumulate.get() as u128),
        };
        (groups, at.max_points.get().map_or(points, |most| points.min(most.get() as u128)))
    }
}

impl Estimate {
    fn new(mut parts: Parts) -> Self {
        parts.retain(|(_, bytes)| *bytes > 0);
        parts.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        Self { parts }
    }

    /// All of them.
    pub fn bytes(&self) -> u128 {
        self.parts.iter().map(|(_, bytes)| bytes).sum()
    }

    /// What they are for.
    pub fn parts(&self) -> &[(&'static str, u128)] {
        &self.parts
    }
}

/// `about 21.3 GiB (activations 18.9, optimizer 1.0, ...)`
impl Display for Estimate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, _) = unit(self.bytes());
        let part = |(name, bytes): &(&str, u128)| format!("{name} {:.1}", *bytes as f64 / unit);
        let parts: Vec<String> = self.parts.iter().map(part).collect();
        write!(formatter, "about {} ({})", Size(self.bytes()), parts.join(", "))
    }
}

/// Bytes for people.
struct Size(u128);

impl Display for Size {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, name) = unit(self.0);
        write!(formatter, "{:.1} {name}", self.0 as f64 / unit)
    }
}

/// MiB below one GiB.
fn unit(bytes: u128) -> (f64, &'static str) {
    const GIB: u128 = 1 << 30;
    if bytes < GIB { (f64::from(1 << 20), "MiB") } else { (GIB as f64, "GiB") }
}

#[cfg(test)]
mod tests;
