//! What sweeps and tuning add to [`crate::Results`].

use crate::{Difference, Interval, Spread, Verdict, json};
use serde::Serialize;

/// One arm over models of several sizes, at one point of what else varies.
#[derive(Debug, Clone, Serialize)]
pub struct SizeSeries {
    /// The arm and what else varies, as in `dispersion weight=0.1`.
    pub name: String,
    /// The arm's name in the study.
    pub arm: String,
    /// By parameters, the smallest first.
    pub points: Vec<SizePoint>,
    /// The power law through the losses of the seeds that all sizes finished.
    pub fit: Option<PowerLaw>,
}

/// A row of the results, as one of several sizes.
#[derive(Debug, Clone, Serialize)]
pub struct SizePoint {
    /// The row's name.
    pub arm: String,
    /// Numbers that are trained.
    pub parameters: usize,
    /// Held-out loss, nats per token.
    pub loss: Option<Spread>,
    /// Its difference from the baseline of the same size; none for the baseline itself.
    pub difference: Option<Difference>,
    /// What the difference says.
    pub verdict: Verdict,
}

/// `loss = a · parameters^(-b)`, fitted.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct PowerLaw {
    /// The factor, nats per token.
    #[serde(serialize_with = "json::number")]
    pub a: f64,
    /// The exponent.
    #[serde(serialize_with = "json::number")]
    pub b: f64,
    /// Its 95% interval, not corrected for the number of arms.
    pub interval: Option<Interval>,
    /// Sizes that it rests on: of two the interval is that of the seeds, of more that of the distances from the line.
    pub sizes: usize,
    /// Seeds that it rests on.
    pub seeds: usize,
}

/// The tuning of one arm, in a sweep at one point.
#[derive(Debug, Clone, Serialize)]
pub struct Tuning {
    /// The name of its row in the results.
    pub arm: String,
    /// What was tried, in the order of the grids.
    pub candidates: Vec<TuningCandidate>,
    /// Chosen values at the end of their grid.
    pub edges: Vec<Edge>,
}

/// Settings that were tried.
#[derive(Debug, Clone, Serialize)]
pub struct TuningCandidate {
    /// The weight of the arm's terms; none where it is as the study says.
    #[serde(serialize_with = "json::maybe")]
    pub weight: Option<f64>,
    /// The learning rate; none where it is as the study says.
    #[serde(serialize_with = "json::maybe")]
    pub lr: Option<f64>,
    /// The tuning seeds.
    pub seeds: Vec<u64>,
    /// Mean over them of the validation loss after the last step, nats per token; none where a trial did not finish.
    #[serde(serialize_with = "json::maybe")]
    pub validation_loss: Option<f64>,
    /// Whether the arm was judged with these settings.
    pub chosen: bool,
    /// Trials that did not finish: `seed 1000000 diverged`.
    pub failures: Vec<String>,
}

/// A chosen value that is the least or the largest of those tried.
#[derive(Debug, Clone, Serialize)]
pub struct Edge {
    /// `weight` or `lr`.
    pub setting: String,
    /// The value.
    #[serde(serialize_with = "json::number")]
    pub value: f64,
    /// Whether it is the largest; else it is the least.
    pub largest: bool,
}
