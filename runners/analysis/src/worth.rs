//! Columns of `results.csv` for measures beside the loss; a trial has those that were measured.

use regatta_lm::tasks::Capacity;
use regatta_lm::training::Worth;

/// Names and values: for each task `<kind>_<task>_accuracy` and related columns, for each of `evaluate.tasks`
/// `task_<task>_<measure>`, for each further text `text_<name>_loss` and
/// related columns, for each rounding `quantised_<bits>_<granularity>_loss`, for biographies `capacity_bits` and related columns.
pub(super) fn measures(worth: &Worth) -> Vec<(String, Option<f64>)> {
    let mut measures = Vec::new();
    for (kind, scores) in [("minimal_pairs", &worth.minimal_pairs), ("multiple_choice", &worth.multiple_choice)] {
        for score in scores {
            let mut add = |name: &str, value: f64| measures.push((format!("{kind}_{}_{name}", score.task), Some(value)));
            add("accuracy", score.accuracy);
            add("standard_error", score.standard_error);
            add("accuracy_normalised", score.accuracy_normalised);
            add("standard_error_normalised", score.standard_error_normalised);
            score.chance.into_iter().for_each(|chance| add("chance", chance));
            add("items", score.items as f64);
            add("truncated", score.truncated as f64);
        }
    }
    for score in &worth.tasks {
        let mut add = |name: &str, value: f64| measures.push((format!("task_{}_{name}", score.task), Some(value)));
        score.measures.iter().for_each(|(name, value)| add(name, *value));
        score.chance.into_iter().for_each(|chance| add("chance", chance));
        add("items", score.items as f64);
        add("truncated", score.truncated as f64);
    }
    for text in &worth.texts {
        let mut add = |name: &str, value: f64| measures.push((format!("text_{}_{name}", text.text), Some(value)));
        add("loss", text.loss);
        add("loss_se", text.loss_standard_error);
        measures.push((format!("text_{}_bits_per_byte", text.text), text.bits_per_byte));
    }
    let losses = worth.quantised.iter();
    measures.extend(losses.map(|found| (format!("quantised_{}_{}_loss", found.bits, found.granularity), Some(found.loss))));
    if let Some(Capacity { bits, bits_per_parameter, value_accuracy, .. }) = worth.capacity {
        let found = [("bits", bits), ("bits_per_parameter", bits_per_parameter), ("value_accuracy", value_accuracy)];
        measures.extend(found.map(|(name, value)| (format!("capacity_{name}"), Some(value))));
    }
    measures
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_named_after_files_bits_and_granularities() {
        let score = r#"{"task": "agreement", "accuracy": 0.75, "standard_error": 0.25, "accuracy_normalised": 0.5,
                        "standard_error_normalised": 0.3, "items": 4, "truncated": 0}"#;
        let losses =
            r#"[{"bits": "ternary", "granularity": "tensor", "loss": 5.0}, {"bits": 3, "granularity": 128, "loss": 4.0}]"#;
        let worth = format!(r#"{{"minimal_pairs": [{score}], "quantised": {losses}}}"#);
        let measures = measures(&serde_json::from_str(&worth).unwrap());
        let names: Vec<&str> = measures.iter().map(|(name, _)| name.as_str()).collect();
        let expected = [
            "minimal_pairs_agreement_accuracy",
            "minimal_pairs_agreement_standard_error",
            "minimal_pairs_agreement_accuracy_normalised",
            "minimal_pairs_agreement_standard_error_normalised",
            "minimal_pairs_agreement_items",
            "minimal_pairs_agreement_truncated",
            "quantised_ternary_tensor_loss",
            "quantised_3_128_loss",
        ];
        assert_eq!(names, expected);
        assert_eq!(measures[0].1, Some(0.75));
        assert!(super::measures(&Worth::default()).is_empty());
    }

    #[test]
    fn named_tasks_have_a_column_for_each_measure() {
        let score = r#"{"task": "wiki", "form": "multiple_choice", "chance": 0.25, "items": 2, "truncated": 0,
                        "measures": {"accuracy": 0.5}}"#;
        let measures = measures(&serde_json::from_str(&format!(r#"{{"tasks": [{score}]}}"#)).unwrap());
        let names: Vec<&str> = measures.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["task_wiki_accuracy", "task_wiki_chance", "task_wiki_items", "task_wiki_truncated"]);
    }

    #[test]
    fn texts_have_columns_by_their_names() {
        let text = r#"{"text": "wiki", "loss": 3.0, "loss_standard_error": 0.1, "bits_per_byte": 1.5, "windows": 4}"#;
        let measures = measures(&serde_json::from_str(&format!(r#"{{"texts": [{text}]}}"#)).unwrap());
        let column = |name: &str, value: f64| (name.to_owned(), Some(value));
        let expected = [column("text_wiki_loss", 3.0), column("text_wiki_loss_se", 0.1), column("text_wiki_bits_per_byte", 1.5)];
        assert_eq!(measures, expected);
    }

    #[test]
    fn bits_have_columns_where_they_were_measured() {
        let name = r#"{"loss": 2.0, "bits": 24.0, "bits_to_know": 24.0}"#;
        let worth = format!(
            r#"{{"capacity": {{"bits": 48.0, "bits_per_parameter": 2.0, "bits_to_know": 48.0, "value_accuracy": 1.0,
                              "people": 8, "parameters": 24, "name": {name}, "values": []}}}}"#
        );
        let found = measures(&serde_json::from_str(&worth).unwrap());
        let column = |name: &str, value: f64| (name.to_owned(), Some(value));
        let [bits, ratio, accuracy] = ["capacity_bits", "capacity_bits_per_parameter", "capacity_value_accuracy"];
        assert_eq!(found, [column(bits, 48.0), column(ratio, 2.0), column(accuracy, 1.0)]);
    }
}
