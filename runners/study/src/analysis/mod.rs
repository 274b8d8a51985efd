//! From records to results: what every table, plot and page is made from. A pure function of a study's folder; it needs
//! neither the data nor the regularizers, so a folder can be read anywhere.

mod arm;
mod comparison;
mod curves;
mod equal_time;
mod setup;
mod trials;
mod worth;

use crate::records::{Manifest, RecordError, State, Status, TrialEvaluation, read_json};
use crate::statistics::{interquartile_mean, mean, standard_deviation};
use crate::yaml;
use arm::ArmRecords;
use comparison::Family;
use curves::over_seeds;
use regatta_core::registry;
use regatta_report::{Arm, Results, Spread, Verdict};
use serde_json::Value;
use std::path::Path;

/// The results of the study in `folder`, of whatever trials are done: each arm against the baseline.
///
/// # Errors
/// When the folder holds no study, or a record that cannot be read.
pub fn results(folder: &Path) -> Result<Results, RecordError> {
    let mut records = Records::read(folder)?;
    for arm in &mut records.arms {
        arm.read_runs(folder)?;
    }
    let baseline = records.baseline();
    let family = Family::with_baseline(&records.arms, baseline);
    let mut results = records.results(&records.arms.iter().collect::<Vec<_>>(), baseline, &family);
    if let Some(arm) = baseline.filter(|arm| arm.has_terms()) {
        results.notes.insert(0, format!("No arm is without terms: `{}` stands in as the baseline.", arm.name));
    }
    Ok(results)
}

/// The results of two arms of the study in `folder`, the second in the place of the baseline.
///
/// Where one of them is the study's baseline, the comparison is one of those that the study was made for, and is corrected as
/// in [`results`]; of two other arms it is one of all the pairs that might have been picked, and is corrected for them all.
///
/// # Errors
/// When the folder holds no study or a record that cannot be read, when it has no arm of such a name, or when both names are
/// one.
pub fn compare(folder: &Path, arm: &str, reference: &str) -> Result<Results, CompareError> {
    let mut records = Records::read(folder)?;
    let [first, second] = [records.index(arm)?, records.index(reference)?];
    if first == second {
        return Err(CompareError::SameArm(arm.to_owned()));
    }
    for index in [first, second] {
        records.arms[index].read_runs(folder)?;
    }
    let (arm, reference) = (&records.arms[first], &records.arms[second]);
    let planned = records.baseline().is_some_and(|baseline| [&arm.name, &reference.name].contains(&&baseline.name));
    let family =
        if planned { Family::with_baseline(&records.arms, records.baseline()) } else { Family::all_pairs(&records.arms) };
    let mut results = records.results(&[reference, arm], Some(reference), &family);
    if !planned {
        results.notes.push(format!(
            "Neither arm is the study's baseline: the comparison is one of {} pairs that might have been picked, and is corrected \
             for them all.",
            family.comparisons()
        ));
    }
    Ok(results)
}

/// Why two arms could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The folder could not be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The study has no such arm.
    #[error("unknown arm `{name}`, expected {known}{hint}")]
    UnknownArm {
        /// The name that came.
        name: String,
        /// The names that the study has, in words.
        known: String,
        /// The nearest of them, as a question; empty where none is near.
        hint: String,
    },
    /// An arm does not differ from itself.
    #[error("expected two different arms, found `{0}` twice")]
    SameArm(String),
}

/// A study's folder, read.
struct Records {
    study: Value,
    manifest: Option<Manifest>,
    seeds: Vec<u64>,
    arms: Vec<ArmRecords>,
}

impl Records {
    fn read(folder: &Path) -> Result<Self, RecordError> {
        let path = folder.join("study.yaml");
        let text = std::fs::read_to_string(&path)
            .map_err(|error| RecordError::new(&path, format!("expected the folder of a study: {error}")))?;
        let study = yaml::parse(&text).map_err(|fault| RecordError::new(&path, fault.message))?;
        let manifest = read_json(&folder.join("manifest.json"))?;
        let seeds: Vec<u64> = study["seeds"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
        let mut arms = Vec::new();
        for (name, terms) in study["arms"].as_object().into_iter().flatten() {
            arms.push(ArmRecords::read(folder, name, terms, &seeds)?);
        }
        Ok(Self { study, manifest, seeds, arms })
    }

    /// Where the arm of that name is.
    fn index(&self, name: &str) -> Result<usize, CompareError> {
        /// Names are listed when they are at most this many.
        const MOST_LISTED: usize = 12;
        self.arms.iter().position(|arm| arm.name == name).ok_or_else(|| {
            let name: String = name.chars().take(100).flat_map(char::escape_debug).collect();
            let nearest = registry::nearest(&name, self.arms.iter().map(|arm| arm.name.as_str()));
            let quoted: Vec<String> = self.arms.iter().map(|arm| format!("`{}`", arm.name)).collect();
            let known = match &quoted[..] {
                [] => "no name: the study has no arms".to_owned(),
                [one] => one.clone(),
                some if some.len() <= MOST_LISTED => format!("one of {}", some.join(", ")),
                many => format!("one of the study's {} arms", many.len()),
            };
            CompareError::UnknownArm {
                known,
                hint: nearest.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default(),
                name,
            }
        })
    }

    /// The arm that others are compared with: the first without terms, else the first whose weights are all 0, else the first.
    fn baseline(&self) -> Option<&ArmRecords> {
        let first = |is: fn(&ArmRecords) -> bool| self.arms.iter().find(|arm| is(arm));
        first(|arm| !arm.has_terms()).or_else(|| first(ArmRecords::is_weightless)).or_else(|| self.arms.first())
    }

    /// `arms` of the study against `reference`, judged as part of `family`.
    fn results(&self, arms: &[&ArmRecords], reference: Option<&ArmRecords>, family: &Family<'_>) -> Results {
        let (study, manifest) = (&self.study, self.manifest.as_ref());
        Results {
            study: study["name"].as_str().unwrap_or_default().to_owned(),
            question: study["question"].as_str().map(str::to_owned),
            program: manifest.map_or_else(Manifest::this_program, |manifest| manifest.program.clone()),
            setup: setup::lines(study, manifest, &self.seeds),
            seeds: self.seeds.clone(),
            baseline: reference.map(|arm| arm.name.clone()).unwrap_or_default(),
            held_out: held_out(arms),
            notes: notes(arms),
            arms: arms.iter().map(|arm| summary(arm, reference, family, self.seeds.len())).collect(),
            trials: arms.iter().flat_map(|arm| self.seeds.iter().map(|&seed| trials::trial(arm, seed))).collect(),
        }
    }
}

fn held_out(arms: &[&ArmRecords]) -> String {
    let stands_in = arms.iter().flat_map(|arm| arm.evaluations.values()).any(|evaluation| evaluation.split == "validation");
    if stands_in { "validation (the study names no test data)".into() } else { "test".into() }
}

fn notes(arms: &[&ArmRecords]) -> Vec<String> {
    let entropy = arms.iter().flat_map(|arm| arm.evaluations.values()).map(|e| e.measures.unigram_entropy).next();
    let note = |entropy| {
        format!("A model that knows token frequencies alone would have a held-out loss of {entropy:.4} (unigram entropy).")
    };
    entropy.map(note).into_iter().collect()
}

fn summary(arm: &ArmRecords, reference: Option<&ArmRecords>, family: &Family<'_>, planned: usize) -> Arm {
    let all = |measure: &dyn Fn(&TrialEvaluation) -> f64| arm.evaluations.values().map(measure).collect::<Vec<f64>>();
    let all_known = |measure: &dyn Fn(&TrialEvaluation) -> Option<f64>| {
        let known: Vec<f64> = arm.evaluations.values().filter_map(measure).collect();
        mean(&known)
    };
    let losses = arm.losses();
    let (difference, verdict) = match reference {
        Some(reference) if reference.name != arm.name => family.difference(arm, reference),
        _ => (None, Verdict::Baseline),
    };
    let step_ms = mean(&all(&|e| e.cost.step_ms));
    let reference_ms = reference.and_then(|arm| mean(&arm.evaluations.values().map(|e| e.cost.step_ms).collect::<Vec<_>>()));
    Arm {
        name: arm.name.clone(),
        terms: arm.terms_in_a_line(),
        planned,
        done: arm.evaluations.len(),
        failures: arm.statuses.iter().filter_map(|(seed, status)| failure(*seed, status)).collect(),
        loss: mean(&losses).map(|mean| Spread {
            mean,
            sd: standard_deviation(&losses).unwrap_or(f64::NAN),
            interquartile_mean: interquartile_mean(&losses).unwrap_or(f64::NAN),
            count: losses.len(),
        }),
        difference,
        verdict,
        perplexity: mean(&all(&|e| e.measures.perplexity)),
        bits_per_byte: all_known(&|e| e.measures.bits_per_byte),
        excess_loss: all_known(&|e| e.measures.excess_loss),
        mean_cosine_by_layer: by_layer(arm, |e| &e.measures.mean_cosine),
        effective_rank_by_layer: by_layer(arm, |e| &e.measures.effective_rank),
        step_ms,
        cost_ratio: step_ms.zip(reference_ms).map(|(arm, reference)| arm / reference),
        tokens_per_second: mean(&all(&|e| e.cost.tokens_per_second)),
        peak_memory_mib: arm.evaluations.values().filter_map(|e| e.cost.peak_memory_mib).reduce(f64::max),
        training_curve: over_seeds(arm.runs.values().map(|run| &run.training)),
        validation_curve: over_seeds(arm.runs.values().map(|run| &run.validation)),
    }
}

fn failure(seed: u64, status: &Status) -> Option<String> {
    let reason = status.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    match status.state {
        State::Done => None,
        state => Some(format!("seed {seed} {}{reason}", state.word())),
    }
}

/// Mean over seeds of a measure of each layer.
fn by_layer(arm: &ArmRecords, measure: impl Fn(&TrialEvaluation) -> &Vec<f64>) -> Vec<f64> {
    let layers = arm.evaluations.values().map(|e| measure(e).len()).min().unwrap_or(0);
    let of_layer = |layer: usize| arm.evaluations.values().map(|e| measure(e)[layer]).collect::<Vec<f64>>();
    (0..layers).filter_map(|layer| mean(&of_layer(layer))).collect()
}
