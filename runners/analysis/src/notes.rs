//! What else a reader of the results should know, a sentence each.

use super::arm::ArmRecords;
use super::learnt;
use super::same_items;
use super::study::StudyRecord;
use regatta_records::Manifest;

pub(super) fn notes(arms: &[&ArmRecords], study: &StudyRecord, manifest: Option<&Manifest>) -> Vec<String> {
    let mismatches = manifest.map(|manifest| manifest.mismatches.join("; ")).filter(|all| !all.is_empty());
    let kept = mismatches.map(|all| format!("Kept though other versions or formulas trained them: {all}."));
    [learnt::nothing(arms), own_rates(arms, study), same_items::not_recorded(arms), kept].into_iter().flatten().collect()
}

/// Which arms are trained with a learning rate of their own.
fn own_rates(arms: &[&ArmRecords], study: &StudyRecord) -> Option<String> {
    let own: Vec<String> = arms.iter().filter_map(|arm| Some(format!("{} ({})", arm.name, arm.terms.lr()?))).collect();
    let others = if study.varies("train.lr") {
        "where the study's varies".to_owned()
    } else {
        format!("where the study's is {}", study.train.lr)
    };
    let what = "a difference to or from such an arm is that of its terms and of its learning rate together";
    (!own.is_empty()).then(|| format!("Trained with a learning rate of its own, {others}: {}; {what}.", own.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::tests::early;
    use crate::terms::Terms;

    #[test]
    fn rates_of_arms_are_held_against_the_studys() {
        let terms = Terms::read(&serde_json::json!([{"lr": 0.01}])).unwrap();
        let (own, plain) = (ArmRecords { terms, ..ArmRecords::empty("own") }, ArmRecords::empty("plain"));
        let note = |arms: &[&ArmRecords], more: &str| notes(arms, &early(more).unwrap(), None);
        assert!(note(&[&plain], "").is_empty());
        let fixed = note(&[&plain, &own], "").remove(0);
        assert!(
            fixed.starts_with("Trained with a learning rate of its own, where the study's is 0.001: own (0.01); "),
            "{fixed}"
        );
        let varied = note(&[&own], ", vary: {train.lr: [0.1, 0.2]}").remove(0);
        assert!(varied.contains("where the study's varies: own (0.01)") && !varied.contains("0.001"), "{varied}");
    }
}
