//! One row for each trial.

use super::arm::ArmRecords;
use super::machines::{Machines, note_of_trial};
use super::worth;
use regatta_records::{State, TrialEvaluation};
use regatta_results::Trial;

/// The trial of `arm`, which is compared with `reference`, with `seed`, finished or not.
pub(super) fn trial((arm, reference): (&ArmRecords, &ArmRecords), seed: u64, machines: &Machines<'_>) -> Trial {
    let status = arm.statuses.get(&seed);
    let evaluation = arm.evaluations.get(&seed);
    let diagnosed = arm.diagnosed.get(&seed).map(|diagnosed| diagnosed.measures()).unwrap_or_default();
    let worth = evaluation.map(|evaluation| worth::measures(&evaluation.measures.worth)).unwrap_or_default();
    let measure = |name: &str, value: Option<f64>| (name.to_owned(), value);
    let of = |get: &dyn Fn(&TrialEvaluation) -> f64| evaluation.map(get);
    let maybe = |get: &dyn Fn(&TrialEvaluation) -> Option<f64>| evaluation.and_then(get);
    Trial {
        arm: arm.name.clone(),
        seed,
        state: status.map_or(State::Pending, |status| status.state).word().to_owned(),
        reason: status.and_then(|status| status.reason.clone()),
        machine: evaluation.and_then(|evaluation| machines.place(&evaluation.cost)),
        machine_note: note_of_trial((arm, reference), seed),
        measures: [
            measure("test_loss", of(&|e| e.measures.loss)),
            measure("test_loss_se", of(&|e| e.measures.loss_standard_error)),
            measure("validation_loss", of(&|e| e.validation_loss)),
            measure("perplexity", of(&|e| e.measures.perplexity)),
            measure("bits_per_byte", maybe(&|e| e.measures.bits_per_byte)),
            measure("excess_loss", maybe(&|e| e.measures.excess_loss)),
            measure("unigram_entropy", of(&|e| e.measures.unigram_entropy)),
            measure("mean_cosine_last", maybe(&|e| e.measures.mean_cosine.last().copied())),
            measure("effective_rank_last", maybe(&|e| e.measures.effective_rank.last().copied())),
            measure("step_ms", of(&|e| e.cost.step_ms)),
            measure("tokens_per_second", of(&|e| e.cost.tokens_per_second)),
            measure("wall_seconds", of(&|e| e.cost.wall_seconds)),
            measure("peak_memory_mib", maybe(&|e| e.cost.peak_memory_mib)),
            measure("peak_rss_mib", maybe(&|e| e.cost.peak_rss_mib)),
            measure("flops_per_token", maybe(&|e| e.cost.flops_per_token)),
            measure("training_flops", maybe(&|e| e.cost.training_flops)),
            measure("energy_joules", maybe(&|e| e.cost.energy_joules)),
        ]
        .into_iter()
        .chain(diagnosed)
        .chain(worth)
        .collect(),
    }
}
