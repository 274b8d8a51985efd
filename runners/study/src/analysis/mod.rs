//! From records to results: what every table, plot and page is made from. A pure function of a study's folder; it needs
//! neither the data nor the regularizers, so a folder can be read anywhere.

mod curves;
mod setup;

use crate::records::{Manifest, RecordError, State, Status, TrialEvaluation, TrialFolder, read_json};
use crate::statistics::{self, Paired, mean, standard_deviation};
use crate::yaml;
use curves::{training_curve, validation_curve};
use regatta_report::{Arm, Difference, Results, Spread, Trial, Verdict};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// What one arm left on disk.
struct ArmRecords {
    name: String,
    terms: Value,
    /// By seed; trials with no status are not there.
    statuses: BTreeMap<u64, Status>,
    /// By seed; trials that are done.
    evaluations: BTreeMap<u64, TrialEvaluation>,
}

/// The results of the study in `folder`, of whatever trials are done.
///
/// # Errors
/// When the folder holds no study, or a record that cannot be read.
pub fn results(folder: &Path) -> Result<Results, RecordError> {
    let path = folder.join("study.yaml");
    let text = std::fs::read_to_string(&path)
        .map_err(|error| RecordError::new(&path, format!("expected the folder of a study: {error}")))?;
    let study = yaml::parse(&text).map_err(|fault| RecordError::new(&path, fault.message))?;
    let manifest: Option<Manifest> = read_json(&folder.join("manifest.json"))?;
    let seeds: Vec<u64> = study["seeds"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();

    let mut arms = Vec::new();
    for (name, terms) in study["arms"].as_object().into_iter().flatten() {
        arms.push(read_arm(folder, name, terms, &seeds)?);
    }
    let baseline = baseline(&arms);
    let results = Results {
        study: study["name"].as_str().unwrap_or_default().to_owned(),
        question: study["question"].as_str().map(str::to_owned),
        program: manifest.as_ref().map_or_else(Manifest::this_program, |manifest| manifest.program.clone()),
        setup: setup::lines(&study, manifest.as_ref(), &seeds),
        held_out: held_out(&arms),
        baseline: baseline.map(|arm| arm.name.clone()).unwrap_or_default(),
        notes: notes(&arms, baseline),
        arms: arms.iter().map(|arm| summary(folder, arm, baseline, &seeds)).collect::<Result<_, _>>()?,
        trials: arms.iter().flat_map(|arm| seeds.iter().map(|&seed| trial(arm, seed))).collect(),
        seeds,
    };
    Ok(results)
}

fn read_arm(folder: &Path, name: &str, terms: &Value, seeds: &[u64]) -> Result<ArmRecords, RecordError> {
    let mut arm =
        ArmRecords { name: name.to_owned(), terms: terms.clone(), statuses: BTreeMap::new(), evaluations: BTreeMap::new() };
    for &seed in seeds {
        let trial = TrialFolder::of(folder, name, seed);
        let Some(status) = trial.status()? else { continue };
        if status.state == State::Done {
            let missing = || RecordError::new(trial.path(), "expected evaluation.json of a trial that is done, found none");
            arm.evaluations.insert(seed, trial.evaluation()?.ok_or_else(missing)?);
        }
        arm.statuses.insert(seed, status);
    }
    Ok(arm)
}

/// The arm that others are compared with: the first without terms, else the first whose weights are all 0, else the first.
fn baseline(arms: &[ArmRecords]) -> Option<&ArmRecords> {
    let terms = |arm: &ArmRecords| arm.terms.as_array().cloned().unwrap_or_default();
    let weightless = |arm: &ArmRecords| terms(arm).iter().all(|term| term["weight"].as_f64() == Some(0.0));
    arms.iter().find(|arm| terms(arm).is_empty()).or_else(|| arms.iter().find(|arm| weightless(arm))).or_else(|| arms.first())
}

fn held_out(arms: &[ArmRecords]) -> String {
    let stands_in = arms.iter().flat_map(|arm| arm.evaluations.values()).any(|evaluation| evaluation.split == "validation");
    if stands_in { "validation (the study names no test data)".into() } else { "test".into() }
}

fn notes(arms: &[ArmRecords], baseline: Option<&ArmRecords>) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(arm) = baseline.filter(|arm| arm.terms.as_array().is_some_and(|terms| !terms.is_empty())) {
        notes.push(format!("No arm is without terms: `{}` stands in as the baseline.", arm.name));
    }
    let entropy = arms.iter().flat_map(|arm| arm.evaluations.values()).map(|e| e.measures.unigram_entropy).next();
    if let Some(entropy) = entropy {
        notes.push(format!(
            "A model that knows token frequencies alone would have a held-out loss of {entropy:.4} (unigram entropy)."
        ));
    }
    notes
}

fn summary(folder: &Path, arm: &ArmRecords, baseline: Option<&ArmRecords>, seeds: &[u64]) -> Result<Arm, RecordError> {
    let done: Vec<u64> = arm.evaluations.keys().copied().collect();
    let all = |measure: &dyn Fn(&TrialEvaluation) -> f64| arm.evaluations.values().map(measure).collect::<Vec<f64>>();
    let all_known = |measure: &dyn Fn(&TrialEvaluation) -> Option<f64>| {
        let known: Vec<f64> = arm.evaluations.values().filter_map(measure).collect();
        mean(&known)
    };
    let losses = all(&|e| e.measures.loss);
    let is_baseline = baseline.is_some_and(|baseline| baseline.name == arm.name);
    let paired = baseline.filter(|_| !is_baseline).and_then(|baseline| paired(arm, baseline));
    let step_ms = mean(&all(&|e| e.cost.step_ms));
    let baseline_ms = baseline.and_then(|arm| mean(&arm.evaluations.values().map(|e| e.cost.step_ms).collect::<Vec<_>>()));
    Ok(Arm {
        name: arm.name.clone(),
        terms: terms_in_a_line(&arm.terms),
        planned: seeds.len(),
        done: done.len(),
        failures: arm.statuses.iter().filter_map(|(seed, status)| failure(*seed, status)).collect(),
        loss: mean(&losses).map(|mean| Spread { mean, sd: standard_deviation(&losses).unwrap_or(f64::NAN), count: losses.len() }),
        difference: paired.as_ref().map(|p| Difference {
            mean: p.mean,
            low: p.low,
            high: p.high,
            pairs: p.pairs,
            detectable: p.detectable,
        }),
        verdict: if is_baseline { Verdict::Baseline } else { word(statistics::verdict(paired.as_ref())) },
        perplexity: mean(&all(&|e| e.measures.perplexity)),
        bits_per_byte: all_known(&|e| e.measures.bits_per_byte),
        excess_loss: all_known(&|e| e.measures.excess_loss),
        mean_cosine_by_layer: by_layer(arm, |e| &e.measures.mean_cosine),
        effective_rank_by_layer: by_layer(arm, |e| &e.measures.effective_rank),
        step_ms,
        cost_ratio: step_ms.zip(baseline_ms).map(|(arm, baseline)| arm / baseline),
        tokens_per_second: mean(&all(&|e| e.cost.tokens_per_second)),
        peak_memory_mib: arm.evaluations.values().filter_map(|e| e.cost.peak_memory_mib).reduce(f64::max),
        training_curve: training_curve(folder, &arm.name, &done)?,
        validation_curve: validation_curve(folder, &arm.name, &done)?,
    })
}

/// Differences of held-out loss over the seeds that both arms finished.
fn paired(arm: &ArmRecords, baseline: &ArmRecords) -> Option<Paired> {
    let loss = |arm: &ArmRecords, seed: &u64| arm.evaluations.get(seed).map(|e| e.measures.loss);
    let differences: Vec<f64> =
        arm.evaluations.keys().filter_map(|seed| Some(loss(arm, seed)? - loss(baseline, seed)?)).collect();
    Paired::of(&differences)
}

fn word(verdict: statistics::Verdict) -> Verdict {
    match verdict {
        statistics::Verdict::Better => Verdict::Better,
        statistics::Verdict::Worse => Verdict::Worse,
        statistics::Verdict::NoDifference => Verdict::NoDifference,
        statistics::Verdict::Unknown => Verdict::Unknown,
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

/// The terms of an arm as a reader would write them in one line of YAML.
fn terms_in_a_line(terms: &Value) -> String {
    let line =
        |value: &Value| serde_json::to_string(value).unwrap_or_default().replace('"', "").replace(',', ", ").replace(':', ": ");
    terms.as_array().into_iter().flatten().map(line).collect::<Vec<_>>().join("; ")
}

fn trial(arm: &ArmRecords, seed: u64) -> Trial {
    let status = arm.statuses.get(&seed);
    let evaluation = arm.evaluations.get(&seed);
    let measure = |name: &str, value: Option<f64>| (name.to_owned(), value);
    let of = |get: &dyn Fn(&TrialEvaluation) -> f64| evaluation.map(get);
    let maybe = |get: &dyn Fn(&TrialEvaluation) -> Option<f64>| evaluation.and_then(get);
    Trial {
        arm: arm.name.clone(),
        seed,
        state: status.map_or(State::Pending, |status| status.state).word().to_owned(),
        reason: status.and_then(|status| status.reason.clone()),
        measures: vec![
            measure("test_loss", of(&|e| e.measures.loss)),
            measure("test_loss_se", of(&|e| e.measures.loss_standard_error)),
            measure("validation_loss", of(&|e| e.validation_loss)),
            measure("perplexity", of(&|e| e.measures.perplexity)),
            measure("bits_per_byte", maybe(&|e| e.measures.bits_per_byte)),
            measure("excess_loss", maybe(&|e| e.measures.excess_loss)),
            measure("unigram_entropy", of(&|e| e.measures.unigram_entropy)),
            measure("mean_cosine_last", maybe(&|e| e.measures.mean_cosine.last().copied())),
            measure("effective_rank_last", maybe(&|e| e.measures.effective_rank.last().copied())),
            measure("step_ms", of(&|e| e.cost.step_ms)),
            measure("tokens_per_second", of(&|e| e.cost.tokens_per_second)),
            measure("wall_seconds", of(&|e| e.cost.wall_seconds)),
            measure("peak_memory_mib", maybe(&|e| e.cost.peak_memory_mib)),
        ],
    }
}
