//! A study's folder as it is read: the comparisons, and the records of each trial.

use super::arm::ArmRecords;
use super::kinds::has_same_bytes;
use super::study::StudyRecord;
use super::terms::Terms;
use regatta_config::baseline;
use regatta_records::{Manifest, PlanRow, RecordError, TuningRow, read_json};
use std::path::Path;

/// A study's folder.
pub(super) struct Records {
    pub study: StudyRecord,
    pub manifest: Option<Manifest>,
    /// The rows of the results: each arm at each point of the sweep.
    pub arms: Vec<ArmRecords>,
    /// The tuning of each row; empty without tuning, or before it has ended.
    pub tuning: Vec<TuningRow>,
}

impl Records {
    /// Reads the study and its plan (in folders older than plans, the study's arms), then status and evaluation of every trial.
    pub fn read(folder: &Path) -> Result<Self, RecordError> {
        let study = StudyRecord::read(folder)?;
        let path = folder.join("plan.json");
        let mut arms = match read_json::<Vec<PlanRow>>(&path)? {
            Some(rows) => planned(&rows).map_err(|reason| RecordError::new(&path, reason))?,
            None => unplanned(&study).map_err(|reason| RecordError::new(&folder.join("study.yaml"), reason))?,
        };
        for arm in &mut arms {
            arm.read(folder, &study.seeds)?;
        }
        let manifest: Option<Manifest> = read_json(&folder.join("manifest.json"))?;
        if let Some(manifest) = &manifest {
            arms.iter_mut().for_each(|arm| arm.assume_machine(manifest));
        }
        if on_mixed_machines(&arms) {
            for arm in &mut arms {
                arm.read_precision(folder, study.train.precision)?;
            }
        }
        let tuning = match study.tune {
            Some(_) => read_json(&folder.join("tuning.json"))?.unwrap_or_default(), // written once all tuning trials ended
            None => Vec::new(),
        };
        Ok(Self { study, manifest, arms, tuning })
    }

    /// The row that the row at `index` is compared with.
    pub fn reference(&self, index: usize) -> &ArmRecords {
        &self.arms[self.arms[index].baseline]
    }

    /// The arm that others are compared with, at its first point; `None` of a study without arms.
    pub fn baseline_arm(&self) -> Option<&ArmRecords> {
        self.arms.first().map(|first| &self.arms[first.baseline])
    }
}

/// Whether machines with other instructions, or other devices, trained some of the trials.
fn on_mixed_machines(arms: &[ArmRecords]) -> bool {
    let mut costs = arms.iter().flat_map(|arm| arm.evaluations.values()).map(|evaluation| &evaluation.cost).peekable();
    let first = costs.peek().copied();
    first.is_some_and(|first| costs.any(|other| !has_same_bytes(first, other, true)))
}

/// The rows of a plan, each with the place of its baseline among them.
fn planned(rows: &[PlanRow]) -> Result<Vec<ArmRecords>, String> {
    let row = |row: &PlanRow| {
        let baseline = rows.iter().position(|other| other.place == row.baseline);
        let baseline =
            baseline.ok_or_else(|| format!("expected a row for `{}`, the baseline of `{}`", row.baseline, row.place))?;
        Ok(ArmRecords {
            name: row.name(),
            arm: row.arm.clone(),
            point: row.point.clone(),
            place: row.place.clone(),
            terms: Terms::read(&row.terms).map_err(|reason| format!("`{}`: {reason}", row.place))?,
            parameters: Some(row.parameters),
            tokens: Some(row.tokens),
            lr: row.chosen.and_then(|chosen| chosen.lr),
            baseline,
            ..ArmRecords::empty("")
        })
    };
    rows.iter().map(row).collect()
}

/// The arms of a study.
fn unplanned(study: &StudyRecord) -> Result<Vec<ArmRecords>, String> {
    if study.train.steps.is_none() {
        return Err("expected `train.steps` in a folder without plan.json, found none".into());
    }
    let arm = |(name, terms): (&str, Terms)| ArmRecords { terms, ..ArmRecords::empty(name) };
    let mut arms: Vec<ArmRecords> = study.arms()?.into_iter().map(arm).collect();
    let baseline = baseline(&arms.iter().map(|arm| arm.terms.weights()).collect::<Vec<_>>());
    arms.iter_mut().for_each(|arm| arm.baseline = baseline);
    Ok(arms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(arm: &str, point: &str, baseline: &str) -> PlanRow {
        let place = if point.is_empty() { arm.to_owned() } else { format!("{arm}/{point}") };
        PlanRow {
            arm: arm.into(),
            point: point.into(),
            place,
            baseline: baseline.into(),
            terms: json!([]),
            parameters: 7,
            tokens: 9,
            steps: None,
            chosen: None,
        }
    }

    #[test]
    fn each_row_has_the_baseline_of_its_point() {
        let rows = [
            row("baseline", "width=16", "baseline/width=16"),
            row("a", "width=16,weight=1", "baseline/width=16"),
            row("baseline", "width=32", "baseline/width=32"),
            row("a", "width=32,weight=1", "baseline/width=32"),
        ];
        let arms = planned(&rows).unwrap();
        assert_eq!(arms.iter().map(|arm| arm.baseline).collect::<Vec<_>>(), [0, 0, 2, 2]);
        assert_eq!((arms[3].name.as_str(), arms[3].parameters), ("a width=32,weight=1", Some(7)));
        let error = planned(&rows[1..2]).err().unwrap();
        assert_eq!(error, "expected a row for `baseline/width=16`, the baseline of `a/width=16,weight=1`");
    }

    #[test]
    fn without_a_plan_the_arms_of_the_study_are_the_rows() {
        let unplanned = |arms: &str, steps: &str| {
            let train = format!("{{batch_size: 4, lr: 0.1, grad_clip: 1.0, dropout: 0.0{steps}}}");
            unplanned(&StudyRecord::parse(&format!("{{name: s, seeds: [0], arms: {arms}, train: {train}}}")).unwrap())
        };
        let check = |arms: &str, expected: &[usize]| {
            let found: Vec<usize> = unplanned(arms, ", steps: 5").unwrap().iter().map(|arm| arm.baseline).collect();
            assert_eq!(found, expected, "{arms}");
        };
        check("{a: [{weight: 1.0}], b: [{weight: 0.0}], c: []}", &[2, 2, 2]);
        check("{a: [{weight: 1.0}], b: [{weight: 0.0}]}", &[1, 1]);
        check("{a: [{weight: 1.0}], b: [{weight: {from: 0, to: 0, steps: 3}}]}", &[1, 1]);
        check("{a: [{weight: 1.0}], b: [{weight: 2.0}]}", &[0, 0]);
        check("{}", &[]);
        let error = unplanned("{a: []}", "").err().unwrap();
        assert_eq!(error, "expected `train.steps` in a folder without plan.json, found none");
        assert_eq!(unplanned("{a: 3}", ", steps: 5").err().unwrap(), "arms.a: expected a list of terms, found 3");
    }
}
