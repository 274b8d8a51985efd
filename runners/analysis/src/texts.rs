//! Losses on further texts, over seeds and against the baseline.

use super::arm::ArmRecords;
use super::over::over;
use super::paired::paired;
use regatta_lm::tasks::TextLoss;
use regatta_records::TrialEvaluation;
use regatta_results::TextResult;

/// Each further text that a trial of `arm` was measured on, by name. `reference` is the arm that it is compared with, the baseline
/// itself for the baseline.
pub(super) fn texts(arm: &ArmRecords, reference: &ArmRecords) -> Vec<TextResult> {
    let Some(first) = arm.evaluations.values().next() else { return Vec::new() };
    let result = |named: &TextLoss| {
        let own =
            |evaluation: &TrialEvaluation| evaluation.measures.worth.texts.iter().find(|text| text.text == named.text).cloned();
        let all = |measure: fn(TextLoss) -> f64| arm.evaluations.values().filter_map(own).map(measure).collect::<Vec<f64>>();
        Some(TextResult {
            text: named.text.clone(),
            loss: over(&all(|text| text.loss))?,
            bits_per_byte: over(&all(|text| text.bits_per_byte.unwrap_or(f64::NAN))).filter(|bits| bits.mean.is_finite()),
            difference: paired(arm, reference, |evaluation| Some(own(evaluation)?.loss)),
        })
    };
    first.measures.worth.texts.iter().filter_map(result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::arm;

    #[test]
    fn losses_are_averaged_and_paired_text_by_text() {
        let with = |name: &str, losses: [f64; 2]| {
            let mut arm = arm(name, &losses.map(Some));
            for evaluation in arm.evaluations.values_mut() {
                let loss = evaluation.measures.loss;
                let text = TextLoss {
                    text: "wiki".into(),
                    loss: loss + 1.0,
                    loss_standard_error: 0.1,
                    bits_per_byte: Some(2.0),
                    text_lost: None,
                    windows: 3,
                };
                evaluation.measures.worth.texts.push(text);
            }
            arm
        };
        let (baseline, other) = (with("baseline", [3.0, 3.5]), with("other", [2.0, 2.5]));
        let found = texts(&other, &baseline);
        assert_eq!(
            (found[0].text.as_str(), found[0].loss.mean, found[0].bits_per_byte.as_ref().unwrap().mean),
            ("wiki", 3.25, 2.0)
        );
        assert_eq!((found[0].difference.unwrap().mean, found[0].difference.unwrap().pairs), (-1.0, 2));
        assert!(texts(&baseline, &baseline)[0].difference.is_none() && texts(&ArmRecords::empty("none"), &baseline).is_empty());
    }
}
