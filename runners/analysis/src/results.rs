//! All rows of a study.

use super::arm::ArmRecords;
use super::comparison::Family;
use super::folder::Records;
use super::machines::Machines;
use super::summary::summary;
use super::{label_aware, notes, same_items, setup, sizes, trials, tuning};
use regatta_records::{Manifest, RecordError};
use regatta_results::Results;
use std::path::Path;

/// The results of the finished trials of the study in `folder`: each arm at each point of the sweep against the baseline at the
/// same point.
///
/// # Errors
/// When the folder holds no study, or a record that cannot be read.
pub fn results(folder: &Path) -> Result<Results, RecordError> {
    let mut records = Records::read(folder)?;
    for arm in &mut records.arms {
        arm.read_runs(folder)?;
    }
    same_items::check(&records.arms, folder)?;
    label_aware::mark(&mut records.arms);
    let family = Family::with_baselines(&records.arms);
    let rows: Vec<_> = records.arms.iter().enumerate().map(|(index, arm)| (arm, records.reference(index))).collect();
    let mut results = results_of(&records, &rows, &family);
    results.sizes = sizes::series(&records, &results.arms);
    if records.study.tune.is_some() && records.tuning.is_empty() {
        results.notes.push("Tuning has not ended, so no arm was judged yet.".to_owned());
    }
    if let Some(baseline) = records.baseline_arm() {
        results.baseline.clone_from(&baseline.arm);
        if !baseline.terms.is_empty() {
            results.notes.insert(0, format!("Every arm has terms: `{}` is used as the baseline.", baseline.arm));
        }
    }
    Ok(results)
}

/// The rows of the study, each compared with its baseline and judged as part of `family`.
pub(super) fn results_of(records: &Records, rows: &[(&ArmRecords, &ArmRecords)], family: &Family<'_>) -> Results {
    let Records { study, manifest, tuning, .. } = records;
    let arms: Vec<&ArmRecords> = rows.iter().map(|(arm, _)| *arm).collect();
    let machines = Machines::of(&arms);
    let tuned = tuning.iter().filter(|row| arms.iter().any(|arm| arm.place == row.place));
    let of_seed = |(row, seed)| trials::trial(row, seed, &machines);
    Results {
        study: study.name.clone(),
        question: study.question.clone(),
        program: manifest.as_ref().map_or_else(Manifest::this_program, |manifest| manifest.program.clone()),
        setup: setup::lines(records),
        seeds: study.seeds.clone(),
        baseline: String::new(),
        held_out: held_out(&arms, manifest.as_ref()),
        notes: notes::notes(rows, study, manifest.as_ref()),
        sizes: Vec::new(),
        tuning: tuning::table(tuned),
        arms: rows.iter().map(|(arm, reference)| summary(arm, reference, family, records)).collect(),
        trials: rows.iter().flat_map(|&row| study.seeds.iter().map(move |&seed| (row, seed))).map(of_seed).collect(),
        machines: machines.rows(),
    }
}

/// The split that losses are measured on: as trials recorded it, or from the data before any has finished.
fn held_out(arms: &[&ArmRecords], manifest: Option<&Manifest>) -> String {
    let mut splits = arms.iter().flat_map(|arm| arm.evaluations.values()).map(|evaluation| evaluation.split.as_str()).peekable();
    let stands_in = match splits.peek() {
        Some(_) => splits.any(|split| split == "validation"),
        None => manifest.is_some_and(|manifest| manifest.data.test_tokens.is_none()),
    };
    if stands_in { "validation (the study names no test data)".into() } else { "test".into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::arm;

    #[test]
    fn before_any_trial_is_done_the_data_tell_the_split() {
        let manifest = |test_tokens: Option<usize>| -> Manifest {
            let model =
                serde_json::json!({"layers": 1, "width": 8, "heads": 1, "context": 8, "vocab_size": 9, "parameters": 100});
            let data = serde_json::json!({"source": "s", "train_tokens": 9, "validation_tokens": 9, "test_tokens": test_tokens,
                "fingerprint": ""});
            let whole = serde_json::json!({"program": "regatta 0", "regularizers": {}, "platform": "p", "processor": null,
                "threads": 1, "model": model, "data": data});
            serde_json::from_value(whole).unwrap()
        };
        let (waiting, done) = (arm("a", &[None]), arm("a", &[Some(3.0)])); // of the test split
        let stand_in = "validation (the study names no test data)";
        assert_eq!(held_out(&[&waiting], Some(&manifest(None))), stand_in);
        assert_eq!(held_out(&[&waiting], Some(&manifest(Some(9)))), "test");
        assert_eq!(held_out(&[&waiting, &done], Some(&manifest(None))), "test");
    }
}
