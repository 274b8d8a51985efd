//! `tune:` in a study: the same number of tuning trials for every arm. The winner is trained with other seeds.

use super::seeds::{MAX_SEEDS, Seeds};
use super::{Arm, Study};
use regatta_core::forms::Distinct;
use regatta_core::number::{Finite, Positive};
use regatta_lm::spec::{Weight, there};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::HashSet;

/// The first of a count of tuning seeds, far above the seeds that a study counts from 0.
const FIRST_SEED: u64 = 1_000_000;

/// What is tuned, for each arm on its own: an arm is trained with every candidate and tuning seed, and its best candidate is then
/// trained with the study's seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Fields")]
pub struct Tune {
    /// Weights to choose from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<Vec<Finite>>,
    /// Learning rates to choose from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lr: Option<Vec<Positive>>,
    /// What is compared; lower is better.
    pub metric: Metric,
    /// Seeds of tuning trials. The study has none of them, so that no candidate is compared on the seeds that it was chosen by.
    pub seeds: Vec<u64>,
}

/// What candidates are compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// The loss on the validation split after the last step.
    #[default]
    ValidationLoss,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("anyOf" = [{"required": ["weight"]}, {"required": ["lr"]}]))]
struct Fields {
    /// Weights to choose from: each is tried for every term of an arm whose weight is not 0.
    #[serde(default, deserialize_with = "there")]
    #[schemars(with = "Distinct<Finite>")]
    weight: Option<Distinct<Finite>>,
    /// Learning rates to choose from.
    #[serde(default, deserialize_with = "there")]
    #[schemars(with = "Distinct<Positive>")]
    lr: Option<Distinct<Positive>>,
    /// What is compared; lower is better.
    #[serde(default)]
    metric: Metric,
    /// Seeds of tuning trials. The study has none of them, so that no arm is compared on the seeds that it was tuned on.
    #[serde(default = "one_seed", deserialize_with = "Seeds::<FIRST_SEED>::read")]
    #[schemars(with = "Seeds<FIRST_SEED>")]
    seeds: Vec<u64>,
}

impl TryFrom<Fields> for Tune {
    type Error = String;

    fn try_from(Fields { weight, lr, metric, seeds }: Fields) -> Result<Self, String> {
        let (weight, lr) = (weight.map(|Distinct(weights)| weights), lr.map(|Distinct(rates)| rates));
        let tune = Self { weight, lr, metric, seeds };
        match tune.trials() {
            _ if tune.weight.is_none() && tune.lr.is_none() => Err("expected `weight`, `lr` or both, found neither".into()),
            trials if trials > MAX_SEEDS => Err(format!("expected at most {MAX_SEEDS} tuning trials per arm, found {trials}")),
            _ => Ok(tune),
        }
    }
}

impl Tune {
    /// Tuning trials of each arm.
    pub fn trials(&self) -> usize {
        let count = |grid: Option<usize>| grid.unwrap_or(1);
        let (weights, rates) = (self.weight.as_ref().map(Vec::len), self.lr.as_ref().map(Vec::len));
        count(weights).saturating_mul(count(rates)).saturating_mul(self.seeds.len())
    }
}

fn one_seed() -> Vec<u64> {
    vec![FIRST_SEED]
}

/// Settings that an arm is tuned with; `None` leaves the study's.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Candidate {
    /// The weight of the arm's terms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// The learning rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lr: Option<f64>,
}

impl Study {
    /// The tuning trials of `arm`: each candidate, weights before learning rates, and its seeds. Empty where nothing is tuned.
    ///
    /// Every arm gets the same number of trials. An arm without a weight to tune (a baseline, or interventions alone) has a
    /// candidate for each learning rate alone, each with as many times the seeds as there are weights: further seeds follow the
    /// listed ones.
    pub fn candidates(&self, arm: &Arm) -> Vec<(Candidate, Vec<u64>)> {
        let Some(tune) = &self.tune else { return Vec::new() };
        let has_weight = arm.terms.iter().any(|term| !term.weight.is_zero());
        let weights: Vec<Option<f64>> = match &tune.weight {
            Some(weights) if has_weight => weights.iter().map(|weight| Some(weight.get())).collect(),
            _ => vec![None],
        };
        let rates: Vec<Option<f64>> =
            tune.lr.as_ref().map_or_else(|| vec![None], |rates| rates.iter().map(|lr| Some(lr.get())).collect());
        let seeds = self.tuning_seeds(tune, tune.trials() / (weights.len() * rates.len()));
        let pairs = weights.iter().flat_map(|&weight| rates.iter().map(move |&lr| Candidate { weight, lr }));
        pairs.map(|candidate| (candidate, seeds.clone())).collect()
    }

    /// `count` tuning seeds: those listed, then the numbers above them that the study does not use.
    fn tuning_seeds(&self, tune: &Tune, count: usize) -> Vec<u64> {
        let mut used: HashSet<u64> = self.seeds.iter().chain(&tune.seeds).copied().collect();
        let mut seeds = tune.seeds.clone();
        let mut next = seeds.iter().copied().max().unwrap_or(FIRST_SEED);
        while seeds.len() < count {
            next = next.wrapping_add(1);
            if used.insert(next) {
                seeds.push(next);
            }
        }
        seeds
    }

    /// The study with `candidate` for one arm: its learning rate, and its weight for every term of the arm at `arm_index` whose
    /// weight is not 0. A ramp keeps its shape: it is scaled so that it ends at the weight, or starts there where it ends at 0.
    ///
    /// # Panics
    /// When the study has no such arm, or when a regularizer cannot be written, which is refused as a study is read.
    pub fn with(&self, arm_index: usize, candidate: &Candidate) -> Self {
        let mut plain = self.plain();
        let arm = &self.arms[arm_index];
        if let Some(lr) = candidate.lr {
            plain["train"]["lr"] = json!(lr);
        }
        if let Some(weight) = candidate.weight {
            for (index, term) in arm.listed_terms().filter(|(_, term)| !term.weight.is_zero()) {
                plain["arms"][&arm.name][index]["weight"] = reweighted(&term.weight, weight);
            }
        }
        let mut study: Self = serde_json::from_value(plain).expect("a study that was read can be read again");
        study.open = self.open.clone();
        study
    }
}

/// `old`, a constant or a ramp, scaled to `weight`.
fn reweighted(old: &Weight, weight: f64) -> Value {
    let mut written = json!(old);
    let Some(ramp) = written.as_object_mut() else { return json!(weight) };
    let end = |name: &str| ramp[name].as_f64().unwrap_or_default();
    let (from, to) = match (end("from"), end("to")) {
        (_, 0.0) => (weight, 0.0),
        (from, to) => ((from / to * weight).clamp(f64::MIN, f64::MAX), weight),
    };
    (ramp["from"], ramp["to"]) = (json!(from), json!(to));
    written
}

/// What tuning chose for an arm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Winner {
    /// Which of the candidates.
    pub index: usize,
    /// Whether its weight is the smallest or the largest of the grid, so that a better one may lie outside.
    pub weight_at_edge: bool,
    /// Whether its learning rate is.
    pub lr_at_edge: bool,
}

impl Winner {
    /// The candidate with the lowest of `means`, the mean of the metric over its seeds; among equals the first. One without a
    /// mean (a trial of it diverged or failed), or whose mean is not finite, is never chosen. `None` when there is no other.
    pub fn of(candidates: &[Candidate], means: &[Option<f64>]) -> Option<Self> {
        let finite = means.iter().take(candidates.len()).enumerate();
        let finite = finite.filter_map(|(index, mean)| mean.filter(|mean| mean.is_finite()).map(|mean| (index, mean)));
        let (index, _) = finite.min_by(|a, b| a.1.total_cmp(&b.1))?;
        let at_edge = |value: &dyn Fn(&Candidate) -> Option<f64>| {
            let chosen = value(&candidates[index]);
            let beyond = |is: &dyn Fn(f64, f64) -> bool| {
                candidates.iter().filter_map(value).any(|other| chosen.is_some_and(|chosen| is(other, chosen)))
            };
            beyond(&|other, chosen| other < chosen) != beyond(&|other, chosen| other > chosen)
        };
        Some(Self { index, weight_at_edge: at_edge(&|c| c.weight), lr_at_edge: at_edge(&|c| c.lr) })
    }
}
