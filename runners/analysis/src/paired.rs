//! A measure that is compared beside the loss, and from which no verdict is read.

use super::arm::ArmRecords;
use super::over::ends;
use regatta_records::TrialEvaluation;
use regatta_results::PairedDifference;
use regatta_statistics::Paired;

/// The measure of `arm` minus that of `reference`, paired by seed; `None` for an arm and itself, and below two pairs.
pub(super) fn paired(
    arm: &ArmRecords,
    reference: &ArmRecords,
    measure: impl Fn(&TrialEvaluation) -> Option<f64>,
) -> Option<PairedDifference> {
    let of_seed = |arm: &ArmRecords, seed: u64| arm.evaluations.get(&seed).and_then(&measure);
    paired_by_seed(arm, reference, of_seed)
}

/// The same of a measure of an arm's seed.
pub(super) fn paired_by_seed(
    arm: &ArmRecords,
    reference: &ArmRecords,
    measure: impl Fn(&ArmRecords, u64) -> Option<f64>,
) -> Option<PairedDifference> {
    let gaps = arm.evaluations.keys().filter_map(|&seed| Some(measure(arm, seed)? - measure(reference, seed)?));
    let paired = Paired::of(&gaps.collect::<Vec<_>>()).filter(|_| arm.name != reference.name)?;
    Some(PairedDifference { mean: paired.mean, interval: ends(paired.interval(1)), pairs: paired.pairs })
}
