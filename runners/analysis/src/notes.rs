//! What else a reader of the results should know, a sentence each.

use super::arm::ArmRecords;
use super::machines;
use super::same_items;
use super::study::StudyRecord;
use super::{label_aware, learnt};
use regatta_records::Manifest;

/// Of arms, each with what it is compared with.
pub(super) fn notes(rows: &[(&ArmRecords, &ArmRecords)], study: &StudyRecord, manifest: Option<&Manifest>) -> Vec<String> {
    let arms: &[&ArmRecords] = &rows.iter().map(|(arm, _)| *arm).collect::<Vec<_>>();
    let mismatches = manifest.map(|manifest| manifest.mismatches.join("; ")).filter(|all| !all.is_empty());
    let kept = mismatches.map(|all| {
        let code = if all.contains("engine: ") { "versions, formulas or devices" } else { "versions or formulas" };
        format!("Kept although other {code} trained them: {all}.")
    });
    [
        learnt::nothing(arms),
        own_rates(arms, study),
        lost_text(arms),
        indistinct(arms),
        label_aware::note(arms),
        same_items::not_recorded(arms),
        kept,
    ]
    .into_iter()
    .flatten()
    .chain(machines::notes(rows))
    .collect()
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

/// Why there are no bits per byte of some texts.
fn lost_text(arms: &[&ArmRecords]) -> Option<String> {
    let measures = || arms.iter().flat_map(|arm| arm.evaluations.values()).map(|evaluation| &evaluation.measures);
    let held_out = measures().filter_map(|of| Some(("the held-out text".to_owned(), of.text_lost?)));
    let further = measures().flat_map(|of| &of.worth.texts).filter_map(|of| Some((format!("`{}`", of.text), of.text_lost?)));
    let mut lost: Vec<String> = Vec::new();
    for (text, fraction) in held_out.chain(further) {
        let words = format!("{text} ({} of its characters are lost)", percent(fraction));
        if !lost.contains(&words) {
            lost.push(words);
        }
    }
    (!lost.is_empty()).then(|| {
        format!(
            "No bits per byte: decoding the tokens does not give the text back, for {}. Losses per token leave out what is lost.",
            lost.join(", ")
        )
    })
}

/// Tasks some of whose items no model could answer.
fn indistinct(arms: &[&ArmRecords]) -> Option<String> {
    let worths = arms.iter().flat_map(|arm| arm.evaluations.values()).map(|evaluation| &evaluation.measures.worth);
    let scores = worths.flat_map(|worth| worth.accuracies()).filter(|of| of.indistinct > 0);
    let mut named: Vec<String> = Vec::new();
    for score in scores {
        let words = format!("{} of {} items of `{}`", score.indistinct, score.items, score.task);
        if !named.contains(&words) {
            named.push(words);
        }
    }
    (!named.is_empty()).then(|| {
        format!(
            "The right choice has the same tokens as another in {}: their order decides there, so the accuracy says nothing of the model.",
            named.join(", ")
        )
    })
}

/// Rounded up to a digit that is not 0, since a fraction above 0 is not none.
fn percent(fraction: f64) -> String {
    match 100.0 * fraction {
        0.0 => "none".into(),
        percent if percent < 0.1 => "less than 0.1%".into(),
        percent => format!("{percent:.1}%"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::tests::early;
    use crate::terms::Terms;

    #[test]
    fn texts_that_tokens_lose_are_named_once() {
        let mut lossy = crate::testing::arm("a", &[Some(3.0), Some(3.1)]);
        assert_eq!(lost_text(&[&lossy]), None);
        lossy.evaluations.values_mut().for_each(|of| of.measures.text_lost = Some(0.25));
        let note = lost_text(&[&lossy, &lossy]).unwrap();
        assert!(note.contains("for the held-out text (25.0% of its characters are lost). Losses"), "{note}");
        assert_eq!([0.0, 1e-5, 0.5].map(percent), ["none", "less than 0.1%", "50.0%"]);
    }

    #[test]
    fn rates_of_arms_are_held_against_the_studys() {
        let terms = Terms::read(&serde_json::json!([{"lr": 0.01}])).unwrap();
        let (own, plain) = (ArmRecords { terms, ..ArmRecords::empty("own") }, ArmRecords::empty("plain"));
        let note = |arms: &[&ArmRecords], more: &str| {
            notes(&arms.iter().map(|arm| (*arm, &plain)).collect::<Vec<_>>(), &early(more).unwrap(), None)
        };
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
