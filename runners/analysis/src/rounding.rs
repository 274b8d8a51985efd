//! The loss that rounding the weights adds, over seeds and against the baseline.

use super::arm::ArmRecords;
use super::over::over;
use super::paired::paired;
use regatta_records::TrialEvaluation;
use regatta_results::Rounding;

/// Each rounding that a trial of `arm` has, in the order written. `reference` is the arm that it is compared with, the baseline
/// itself for the baseline.
pub(super) fn roundings(arm: &ArmRecords, reference: &ArmRecords) -> Vec<Rounding> {
    let Some(first) = arm.evaluations.values().next() else { return Vec::new() };
    let rounding = |index: usize| {
        let found = &first.measures.worth.quantised[index];
        let increase = |evaluation: &TrialEvaluation| {
            let own = evaluation.measures.worth.quantised.iter();
            let loss = own.into_iter().find(|other| other.bits == found.bits && other.granularity == found.granularity)?.loss;
            Some(loss - evaluation.measures.loss)
        };
        let increases: Vec<f64> = arm.evaluations.values().filter_map(increase).collect();
        Some(Rounding {
            bits: found.bits.to_string(),
            granularity: found.granularity.to_string(),
            increase: over(&increases)?,
            difference: paired(arm, reference, increase),
        })
    };
    (0..first.measures.worth.quantised.len()).filter_map(rounding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An arm whose trials have these losses: unrounded, of 8 bits, of one.
    fn arm(name: &str, losses: &[[f64; 3]]) -> ArmRecords {
        let mut arm = ArmRecords::empty(name);
        for (seed, [loss, eight, binary]) in losses.iter().enumerate() {
            let evaluation = serde_json::json!({
                "split": "test", "loss": loss, "loss_standard_error": 0.1, "perplexity": 2.0, "bits_per_byte": null,
                "excess_loss": null, "unigram_entropy": 5.0, "windows": 1, "tokens": 16, "mean_cosine": [], "effective_rank": [],
                "quantised": [{"bits": 8, "granularity": "channel", "loss": eight},
                              {"bits": "binary", "granularity": "channel", "loss": binary}],
                "validation_loss": 3.0, "wall_seconds": 1.0, "step_ms": 1.0, "tokens_per_second": 1.0, "peak_memory_mib": null,
            });
            arm.evaluations.insert(seed as u64, serde_json::from_value(evaluation).unwrap());
        }
        arm
    }

    #[test]
    fn increases_are_over_the_unrounded_loss_and_paired_by_seed() {
        let baseline = arm("baseline", &[[3.0, 3.0, 4.0], [3.5, 3.5, 5.0]]);
        let other = arm("other", &[[2.0, 2.5, 3.5], [2.5, 3.0, 4.5]]);
        let found = roundings(&other, &baseline);
        assert_eq!((found[1].bits.as_str(), found[1].granularity.as_str()), ("binary", "channel"));
        assert_eq!((found[1].increase.mean, found[1].increase.low, found[1].increase.high), (1.75, 1.5, 2.0));
        let difference = found[1].difference.unwrap();
        assert_eq!((difference.mean, difference.pairs), (0.5, 2)); // 1.5 - 1 and 2 - 1.5
        assert_eq!((found[0].difference.unwrap().mean, difference.interval.low), (0.5, 0.5)); // both pairs alike
        assert!(roundings(&baseline, &baseline).iter().all(|rounding| rounding.difference.is_none()));
        assert!(roundings(&ArmRecords::empty("none"), &baseline).is_empty());
    }
}
