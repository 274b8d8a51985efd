//! One row of the results: an arm over its seeds.

use super::arm::ArmRecords;
use super::comparison::Family;
use super::cost::step_cost;
use super::curves::over_seeds;
use super::folder::Records;
use super::listed::listed;
use super::to_target::to_target;
use super::{geometry, rounding, task_checkpoints, task_measures, tasks, texts};
use regatta_records::{State, Status, TrialEvaluation};
use regatta_results::{Arm, Spent, Spread, Verdict};
use regatta_statistics::{interquartile_mean, mean, standard_deviation};

/// `arm` against `reference`: itself, where it is the baseline.
pub(super) fn summary(arm: &ArmRecords, reference: &ArmRecords, family: &Family<'_>, records: &Records) -> Arm {
    let (difference, verdict) =
        if arm.name == reference.name { (None, Verdict::Baseline) } else { family.difference(arm, reference) };
    let step_cost = step_cost(arm, reference);
    Arm {
        name: arm.name.clone(),
        arm: arm.arm.clone(),
        point: arm.point.clone(),
        baseline: reference.name.clone(),
        parameters: arm.parameters,
        terms: arm.terms_in_one_line(),
        listed: listed(&arm.terms, arm.lr),
        planned: records.study.seeds.len(),
        done: arm.evaluations.len(),
        failures: failures(arm, records),
        loss: spread(&arm.losses()),
        difference,
        verdict,
        perplexity: mean_of(arm, |e| Some(e.measures.perplexity)),
        bits_per_byte: mean_of(arm, |e| e.measures.bits_per_byte),
        excess_loss: mean_of(arm, |e| e.measures.excess_loss),
        mean_cosine_by_layer: by_layer(arm, |e| &e.measures.mean_cosine),
        effective_rank_by_layer: by_layer(arm, |e| &e.measures.effective_rank),
        step_ms: mean_of(arm, |e| Some(e.cost.step_ms)),
        cost_ratio: step_cost.ratio,
        cost_range: step_cost.range,
        timed_pairs: step_cost.pairs,
        tokens_per_second: mean_of(arm, |e| Some(e.cost.tokens_per_second)),
        peak_memory_mib: most_of(arm, |e| e.cost.peak_memory_mib),
        spent: Spent {
            flops_per_token: mean_of(arm, |e| e.cost.flops_per_token),
            training_flops: mean_of(arm, |e| e.cost.training_flops),
            peak_rss_mib: most_of(arm, |e| e.cost.peak_rss_mib),
            energy_joules: mean_of(arm, |e| e.cost.energy_joules),
        },
        training_curve: over_seeds(arm.runs.values().map(|run| &run.training)),
        validation_curve: over_seeds(arm.runs.values().map(|run| &run.validation)),
        geometry: geometry::geometry(arm),
        roundings: rounding::roundings(arm, reference),
        tasks: tasks::tasks(arm, reference, family),
        task_average: tasks::average(arm, reference, family),
        task_measures: task_measures::measures(arm, reference),
        task_checkpoints: task_checkpoints::checkpoints(arm, reference),
        texts: texts::texts(arm, reference),
        to_target: to_target(arm, reference, records.study.evaluate.target, family.comparisons()).into_iter().collect(),
    }
}

/// Mean over the seeds that have the measure; `None` where none has.
fn mean_of(arm: &ArmRecords, measure: impl Fn(&TrialEvaluation) -> Option<f64>) -> Option<f64> {
    mean(&arm.evaluations.values().filter_map(measure).collect::<Vec<_>>())
}

/// The largest over the seeds that have the measure; `None` where none has.
fn most_of(arm: &ArmRecords, measure: impl Fn(&TrialEvaluation) -> Option<f64>) -> Option<f64> {
    arm.evaluations.values().filter_map(measure).reduce(f64::max)
}

/// `None` where no trial finished. Figures that one seed cannot give, or that are undefined for a loss that is not finite, are NaN.
fn spread(losses: &[f64]) -> Option<Spread> {
    Some(Spread {
        mean: mean(losses)?,
        sd: standard_deviation(losses).unwrap_or(f64::NAN),
        interquartile_mean: interquartile_mean(losses).unwrap_or(f64::NAN),
        count: losses.len(),
    })
}

/// The trials that did not finish; where tuning found nothing to train, none of the seeds began.
fn failures(arm: &ArmRecords, records: &Records) -> Vec<String> {
    let never = records.tuning.iter().any(|row| row.place == arm.place && row.winner.is_none());
    let why = "not trained: no candidate could be trained with every tuning seed";
    let untried = records.study.seeds.iter().filter(|seed| never && !arm.statuses.contains_key(seed));
    let tried = arm.statuses.iter().filter_map(|(seed, status)| failure(*seed, status));
    tried.chain(untried.map(|seed| format!("seed {seed} {why}"))).collect()
}

fn failure(seed: u64, status: &Status) -> Option<String> {
    let reason = status.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    match status.state {
        State::Done => None,
        state => Some(format!("seed {seed} {}{reason}", state.word())),
    }
}

/// Mean over seeds of a measure of each layer.
fn by_layer(arm: &ArmRecords, measure: impl Fn(&TrialEvaluation) -> &Vec<f64>) -> Vec<f64> {
    let layers = arm.evaluations.values().map(|e| measure(e).len()).min().unwrap_or(0);
    let of_layer = |layer: usize| arm.evaluations.values().map(|e| measure(e)[layer]).collect::<Vec<f64>>();
    (0..layers).filter_map(|layer| mean(&of_layer(layer))).collect()
}
