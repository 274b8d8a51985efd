//! From records to results: what every table, plot and page is made from. A pure function of a study's folder; it needs
//! neither the data nor the regularizers, so a folder can be read anywhere.

mod arm;
mod comparison;
mod curves;
mod equal_time;
mod folder;
mod forecasts;
mod geometry;
mod learnt;
mod optimizer;
mod over;
mod rounding;
mod setup;
mod sizes;
mod tasks;
mod terms;
mod texts;
mod trials;
mod tuning;
mod worth;

use arm::ArmRecords;
use comparison::Family;
use curves::over_seeds;
use folder::Records;
pub use forecasts::{SizeForecast, forecasts, varies_size};
use regatta_records::{Manifest, RecordError, State, Status, TrialEvaluation, TuningRow};
use regatta_results::{Arm, Interval, Results, Spent, Spread, Verdict};
use regatta_statistics::{interquartile_mean, mean, standard_deviation};
use serde_json::Value;
use std::path::Path;

/// The results of the study in `folder`, of whatever trials are done: each arm at each point of
/// the sweep against the baseline at the same point.
///
/// # Errors
/// When the folder holds no study, or a record that cannot be read.
pub fn results(folder: &Path) -> Result<Results, RecordError> {
    let mut records = Records::read(folder)?;
    for arm in &mut records.arms {
        arm.read_runs(folder)?;
    }
    let family = Family::with_baselines(&records.arms);
    let rows: Vec<_> = records.arms.iter().enumerate().map(|(index, arm)| (arm, records.reference(index))).collect();
    let mut results = results_of(&records, &rows, &family);
    results.sizes = sizes::series(&records, &results.arms);
    if records.study["tune"].is_object() && records.tuning.is_empty() {
        results.notes.push("Tuning has not ended, so no arm was judged yet.".to_owned());
    }
    if let Some(baseline) = records.baseline_arm() {
        results.baseline.clone_from(&baseline.arm);
        if baseline.has_terms() {
            results.notes.insert(0, format!("No arm is without terms: `{}` stands in as the baseline.", baseline.arm));
        }
    }
    Ok(results)
}

/// The results of two rows of the study in `folder`, the second in the place of the baseline. A row is named by its arm and, in
/// a sweep, its point, as [`results`] names it.
///
/// Where one of them is the other's baseline, the comparison is one of those that the study was made for, and is corrected as
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
    let planned = arm.baseline == second || reference.baseline == first;
    let family = if planned { Family::with_baselines(&records.arms) } else { Family::all_pairs(&records.arms) };
    let mut results = results_of(&records, &[(reference, reference), (arm, reference)], &family);
    results.baseline.clone_from(&reference.name);
    let sizes = arm.parameters.zip(reference.parameters).filter(|(own, other)| own != other);
    if let Some((own, other)) = sizes {
        results.notes.push(format!("The models differ in size: {own} parameters against {other}."));
    }
    if !planned {
        results.notes.push(format!(
            "Neither arm is the other's baseline: the comparison is one of {} pairs that might have been picked, and is corrected \
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

/// Rows of the study and what each is compared with, judged as part of `family`.
fn results_of(records: &Records, rows: &[(&ArmRecords, &ArmRecords)], family: &Family<'_>) -> Results {
    let (study, manifest) = (&records.study, records.manifest.as_ref());
    let arms: Vec<&ArmRecords> = rows.iter().map(|(arm, _)| *arm).collect();
    let tuned = |row: &&TuningRow| arms.iter().any(|arm| arm.place == row.place);
    let of_rows: Vec<TuningRow> = records.tuning.iter().filter(tuned).cloned().collect();
    Results {
        study: study["name"].as_str().unwrap_or_default().to_owned(),
        question: study["question"].as_str().map(str::to_owned),
        program: manifest.map_or_else(Manifest::this_program, |manifest| manifest.program.clone()),
        setup: setup::lines(records),
        seeds: records.seeds.clone(),
        baseline: String::new(),
        held_out: held_out(&arms),
        notes: notes(&arms, study, manifest),
        sizes: Vec::new(),
        tuning: tuning::table(&of_rows),
        arms: rows.iter().map(|(arm, reference)| summary(arm, reference, family, records)).collect(),
        trials: arms.iter().flat_map(|arm| records.seeds.iter().map(|&seed| trials::trial(arm, seed))).collect(),
    }
}

fn held_out(arms: &[&ArmRecords]) -> String {
    let stands_in = arms.iter().flat_map(|arm| arm.evaluations.values()).any(|evaluation| evaluation.split == "validation");
    if stands_in { "validation (the study names no test data)".into() } else { "test".into() }
}

fn notes(arms: &[&ArmRecords], study: &Value, manifest: Option<&Manifest>) -> Vec<String> {
    let mismatches = manifest.map(|manifest| manifest.mismatches.join("; ")).filter(|all| !all.is_empty());
    let kept = mismatches.map(|all| format!("Kept though other versions or formulas trained them: {all}."));
    [learnt::nothing(arms), own_rates(arms, study), kept].into_iter().flatten().collect()
}

/// Which arms are trained with a learning rate of their own.
fn own_rates(arms: &[&ArmRecords], study: &Value) -> Option<String> {
    let own: Vec<String> = arms.iter().filter_map(|arm| Some(format!("{} ({})", arm.name, arm.own_lr()?))).collect();
    let others = format!("where the study's is {}", study["train"]["lr"]);
    let what = "a difference to or from such an arm is that of its terms and of its learning rate together";
    (!own.is_empty()).then(|| format!("Trained with a learning rate of its own, {others}: {}; {what}.", own.join(", ")))
}

fn summary(arm: &ArmRecords, reference: &ArmRecords, family: &Family<'_>, records: &Records) -> Arm {
    let all = |measure: &dyn Fn(&TrialEvaluation) -> f64| arm.evaluations.values().map(measure).collect::<Vec<f64>>();
    let all_known = |measure: &dyn Fn(&TrialEvaluation) -> Option<f64>| {
        let known: Vec<f64> = arm.evaluations.values().filter_map(measure).collect();
        mean(&known)
    };
    let losses = arm.losses();
    let (difference, verdict) =
        if arm.name == reference.name { (None, Verdict::Baseline) } else { family.difference(arm, reference) };
    let step_ms = mean(&all(&|e| e.cost.step_ms));
    let reference_ms = mean(&reference.evaluations.values().map(|e| e.cost.step_ms).collect::<Vec<_>>());
    Arm {
        name: arm.name.clone(),
        arm: arm.arm.clone(),
        point: arm.point.clone(),
        baseline: reference.name.clone(),
        parameters: arm.parameters,
        terms: arm.terms_in_a_line(),
        listed: terms::listed(&arm.terms, arm.lr),
        planned: records.seeds.len(),
        done: arm.evaluations.len(),
        failures: failures(arm, records),
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
        cost_range: cost_range(arm, reference),
        tokens_per_second: mean(&all(&|e| e.cost.tokens_per_second)),
        peak_memory_mib: arm.evaluations.values().filter_map(|e| e.cost.peak_memory_mib).reduce(f64::max),
        spent: Spent {
            flops_per_token: all_known(&|e| e.cost.flops_per_token),
            training_flops: all_known(&|e| e.cost.training_flops),
            peak_rss_mib: arm.evaluations.values().filter_map(|e| e.cost.peak_rss_mib).reduce(f64::max),
            energy_joules: all_known(&|e| e.cost.energy_joules),
        },
        training_curve: over_seeds(arm.runs.values().map(|run| &run.training)),
        validation_curve: over_seeds(arm.runs.values().map(|run| &run.validation)),
        geometry: geometry::geometry(arm),
        roundings: rounding::roundings(arm, reference),
        tasks: tasks::tasks(arm),
        texts: texts::texts(arm, reference),
        to_target: Vec::new(),
    }
}

/// The least and the greatest ratio of a trial's time per step to that of the reference's with its seed.
fn cost_range(arm: &ArmRecords, reference: &ArmRecords) -> Option<Interval> {
    let ratio = |(seed, own): (&u64, &TrialEvaluation)| Some(own.cost.step_ms / reference.evaluations.get(seed)?.cost.step_ms);
    let range = over::over(&arm.evaluations.iter().filter_map(ratio).collect::<Vec<_>>())?;
    Some(Interval { low: range.low, high: range.high })
}

/// The trials that did not finish; where tuning found nothing to train, none of the seeds began.
fn failures(arm: &ArmRecords, records: &Records) -> Vec<String> {
    let never = records.tuning.iter().any(|row| row.place == arm.place && row.winner.is_none());
    let why = "not trained: no candidate could be trained with every tuning seed";
    let untried = records.seeds.iter().filter(|seed| never && !arm.statuses.contains_key(seed));
    let tried = arm.statuses.iter().filter_map(|(seed, status)| failure(*seed, status));
    tried.chain(untried.map(|seed| format!("seed {seed} {why}"))).collect()
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
