//! A study's folder, read: what is compared with what, and what each trial left.

use super::CompareError;
use super::arm::ArmRecords;
use regatta_config::baseline;
use regatta_config::yaml;
use regatta_core::registry;
use regatta_records::{Manifest, PlanRow, RecordError, TuningRow, read_json, study_of_a_run};
use serde_json::Value;
use std::path::Path;

/// A study's folder.
pub(super) struct Records {
    pub study: Value,
    pub manifest: Option<Manifest>,
    pub seeds: Vec<u64>,
    /// The rows of the results: each arm at each point of the sweep.
    pub arms: Vec<ArmRecords>,
    /// What was tuned; empty where nothing was, or where tuning has not ended.
    pub tuning: Vec<TuningRow>,
}

impl Records {
    /// Reads the plan of the study, or, of a folder that is older than plans, its arms; then status and evaluation of every
    /// trial.
    pub fn read(folder: &Path) -> Result<Self, RecordError> {
        let path = folder.join("study.yaml");
        let study = yaml::parse(&study_of_a_run(folder)?).map_err(|fault| RecordError::new(&path, fault.message))?;
        let seeds: Vec<u64> = study["seeds"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
        let path = folder.join("plan.json");
        let mut arms = match read_json::<Vec<PlanRow>>(&path)? {
            Some(rows) => planned(&rows).map_err(|reason| RecordError::new(&path, reason))?,
            None => unplanned(&study),
        };
        for arm in &mut arms {
            arm.read(folder, &seeds)?;
        }
        let tuned = study["tune"].is_object();
        let tuning = if tuned { read_json(&folder.join("tuning.json"))?.unwrap_or_default() } else { Vec::new() };
        Ok(Self { study, manifest: read_json(&folder.join("manifest.json"))?, seeds, arms, tuning })
    }

    /// Where the row of that name is.
    pub fn index(&self, name: &str) -> Result<usize, CompareError> {
        /// Names are listed when they are at most this many.
        const MOST_LISTED: usize = 12;
        self.arms.iter().position(|arm| arm.name == name).ok_or_else(|| {
            let name: String = name.chars().take(300).flat_map(char::escape_debug).collect();
            let nearest = registry::nearest(&name, self.arms.iter().map(|arm| arm.name.as_str()));
            let quoted: Vec<String> = self.arms.iter().map(|arm| format!("`{}`", arm.name)).collect();
            let known = match &quoted[..] {
                [] => "no name: the study has no arms".to_owned(),
                [one] => one.clone(),
                some if some.len() <= MOST_LISTED => format!("one of {}", some.join(", ")),
                many => format!("one of the study's {} arms, as `regatta results` names them", many.len()),
            };
            CompareError::UnknownArm {
                known,
                hint: nearest.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default(),
                name,
            }
        })
    }

    /// What the row at `index` is compared with.
    pub fn reference(&self, index: usize) -> &ArmRecords {
        &self.arms[self.arms[index].baseline]
    }

    /// The arm that others are compared with, at whatever point; empty where there are none.
    pub fn baseline_arm(&self) -> Option<&ArmRecords> {
        self.arms.first().map(|first| &self.arms[first.baseline])
    }
}

/// The rows of a plan, each with the place of its baseline among them.
fn planned(rows: &[PlanRow]) -> Result<Vec<ArmRecords>, String> {
    let row = |row: &PlanRow| {
        let baseline = rows.iter().position(|other| other.place == row.baseline);
        let baseline =
            baseline.ok_or_else(|| format!("expected a row for `{}`, the baseline of `{}`", row.baseline, row.place))?;
        Ok(ArmRecords {
            name: if row.point.is_empty() { row.arm.clone() } else { format!("{} {}", row.arm, row.point) },
            arm: row.arm.clone(),
            point: row.point.clone(),
            place: row.place.clone(),
            terms: row.terms.clone(),
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
fn unplanned(study: &Value) -> Vec<ArmRecords> {
    let arm = |(name, terms): (&String, &Value)| ArmRecords { terms: terms.clone(), ..ArmRecords::empty(name) };
    let mut arms: Vec<ArmRecords> = study["arms"].as_object().into_iter().flatten().map(arm).collect();
    let baseline = baseline(&arms.iter().map(|arm| arm.weights().collect()).collect::<Vec<_>>());
    arms.iter_mut().for_each(|arm| arm.baseline = baseline);
    arms
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
        let baseline = |arms: Value| unplanned(&json!({ "arms": arms })).iter().map(|arm| arm.baseline).collect::<Vec<_>>();
        assert_eq!(baseline(json!({ "a": [{"weight": 1.0}], "b": [{"weight": 0.0}], "c": [] })), [2, 2, 2]);
        assert_eq!(baseline(json!({ "a": [{"weight": 1.0}], "b": [{"weight": 0.0}] })), [1, 1]);
        assert_eq!(baseline(json!({ "a": [{"weight": 1.0}], "b": [{"weight": 2.0}] })), [0, 0]);
        let ramp = |to: f64| json!([{"weight": {"from": 0.0, "to": to, "steps": 4}}]);
        assert_eq!(baseline(json!({ "a": [{"weight": 1.0}], "b": ramp(0.0) })), [1, 1], "a ramp from 0 to 0 has no effect");
        assert_eq!(baseline(json!({ "a": [{"weight": 1.0}], "b": ramp(0.1) })), [0, 0]);
        assert!(baseline(json!({})).is_empty());
    }
}
