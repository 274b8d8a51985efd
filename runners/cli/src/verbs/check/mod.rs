//! `regatta check STUDY.yaml`

mod project;

use super::probe::{self, this_program};
use crate::failure::{Failure, say};
use clap::ValueHint;
use regatta_config::{Study, StudyFile, Variant};
use regatta_core::maths::Precision;
use regatta_core::simd;
use regatta_lm::model::{Role, TensorSpec};
use regatta_lm::spec::{DataSpec, ModelSpec};
use regatta_lm::training::{Learner, TrainError, Trial};
use regatta_study::projection::Request;
use regatta_study::{Outlook, Prepared, prepare};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The study
    study: PathBuf,
    /// Change a field of the study, as in --set train.steps=50
    #[arg(long = "set", value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// What the study would take on another machine, and at another size, in place of an estimate for this one: KEY=VALUE,...
    /// with `gpu` (a100, h100, h200, b200, l40s, 4090) or `peak` in TFLOP/s, `mfu` (the share of the peak that training reaches),
    /// and if wanted `price` of a GPU for an hour, `layers`, `width`, `context`, `tokens` of a trial, `seeds`
    #[arg(long, value_name = "KEY=VALUE,...", value_hint = ValueHint::Other)]
    project: Option<String>,
    /// A folder for results: which trials are done there and what `run` would still train; with --project, the folder of finished
    /// trials whose power law of loss against size is read [default: runs/<name>]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    out: Option<PathBuf>,
}

/// Prints the study as understood, and what it would cost.
pub(crate) fn check(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let request = arguments.project.as_deref().map(str::parse::<Request>).transpose();
    let request = request.map_err(|message| Failure::refused(format!("--project: {message}")))?;
    let file = StudyFile::read(&arguments.study, &arguments.set)?;
    let prepared = prepare(&file)?;
    if let Some(request) = &request {
        return project::project(&file, &prepared, request, arguments.out.as_deref());
    }
    let outlook = arguments.out.as_ref().map(|out| outlook(&file, &prepared, out)).transpose()?;
    let manifest = prepared[0].manifest(&file).map_err(Failure::refused)?;
    say(file.study.to_yaml().trim_end())?;

    let (study, data, variants) = (&file.study, &manifest.data, file.variants());
    let seeds = study.seeds.len();
    let tuning = study.tune.as_ref().map_or(0, regatta_config::Tune::trials); // of each variant
    let arms = if variants.len() == study.arms.len() { "arms" } else { "arms at points of the sweep" };
    let tuned = if tuning > 0 { format!("{tuning} tuning trials and ") } else { String::new() };
    let trials = variants.len() * (tuning + seeds);
    say(format_args!("\ntrials      {trials} ({} {arms} x {tuned}{seeds} seeds)", variants.len()))?;
    if let Some((line, _)) = &outlook {
        say(format_args!("folder      {line}"))?;
    }
    let models: BTreeSet<String> = prepared.iter().map(|prepared| prepared.model.words()).collect();
    for words in models {
        say(format_args!("model       {words}"))?;
    }
    if let Some(line) = checkpoints(&prepared) {
        say(format_args!("checkpoints {line}"))?;
    }
    let sizes: BTreeSet<(usize, usize)> = prepared.iter().map(size).collect();
    for (parameters, embeddings) in sizes {
        say(format_args!("parameters  {parameters} ({} without embeddings)", parameters - embeddings))?;
    }
    let each: BTreeSet<(usize, usize)> = prepared.iter().map(|prepared| (prepared.tokens(), prepared.steps.get())).collect();
    let each: Vec<String> = each.iter().map(|(tokens, steps)| format!("{tokens} in {steps} steps")).collect();
    let all: usize = prepared.iter().map(Prepared::tokens).sum();
    say(format_args!("tokens      {} a trial, {} in all", each.join(" or "), all * (tuning + seeds)))?;
    let test = data.test_tokens.map_or("none: validation stands in".to_owned(), |count| count.to_string());
    say(format_args!(
        "data        {}: {} train, {} validation, test {test}, vocabulary {}",
        data.source, data.train_tokens, data.validation_tokens, manifest.model.vocab_size
    ))?;
    if let Some(path) = kept_tokenizer(&file.study) {
        say(format_args!("tokenizer   that of the checkpoint, {}", path.display()))?;
    }
    let most = prepared.iter().map(Prepared::tokens).max().unwrap_or(0);
    if most > data.train_tokens {
        say(format_args!("            each train token is seen {:.1} times", most as f64 / data.train_tokens as f64))?;
    }
    if let Some(note) = slow_precision(variants) {
        say(format_args!("precision   {note}"))?;
    }
    let passes = variants.iter().zip(&prepared).filter_map(|(variant, prepared)| {
        let DataSpec::Biographies(spec) = &variant.study.data else { return None };
        let covered = prepared.tokens() as f64 / prepared.corpus.train.tokens.len() as f64;
        Some(format!("{:.1} of {}", covered * spec.exposures.get() as f64, spec.exposures.get()))
    });
    let passes: Vec<String> = passes.collect::<BTreeSet<String>>().into_iter().collect();
    if !passes.is_empty() {
        say(format_args!("exposures   the steps cover {} passes over the people", passes.join(" or ")))?;
    }
    say("\nestimated from a few steps of each arm on random weights, thrown away again:")?;
    let (mut total, mut measured) = (0.0, BTreeMap::new());
    for (number, (variant, prepared)) in variants.iter().zip(&prepared).enumerate() {
        let work = size(prepared).0 as f64 * (variant.study.train.batch_size.get() * prepared.context) as f64;
        let known = measured.get(&variant.arm).copied().filter(|_| number >= MOST_MEASURED);
        let (seconds, how) = match known {
            Some((seconds, of)) => (seconds * work / of, "about "),
            None => (step_seconds(variant, prepared).map_err(Failure::failed)?, ""),
        };
        measured.insert(variant.arm.clone(), (seconds, work));
        let trials = tuning + seeds;
        let steps = prepared.steps.get() * trials;
        let steps = outlook.as_ref().map_or(steps, |(_, outlook)| outlook.steps[number]);
        let time = seconds * steps as f64;
        total += time;
        let name = format!("{} {}", variant.arm, variant.label());
        let ms = seconds * 1e3;
        let of = outlook.as_ref().map_or(format!("for {trials} trials"), |_| format!("for the {steps} steps that are left"));
        say(format_args!("  {name:<32} {how}{ms:>8.1} ms a step, {} {of}", duration(time)))?;
    }
    say(format_args!(
        "time        {} of training{} on this machine, {} threads, one trial after the other",
        duration(total),
        if outlook.is_some() { " left" } else { "" },
        manifest.threads
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// What a run into `out` would do, in words and in numbers.
fn outlook(file: &StudyFile, prepared: &[Prepared], out: &Path) -> Result<(String, Outlook), Failure> {
    let folder = out.display();
    if out.exists() && !out.is_dir() {
        return Err(Failure::refused(format!("{folder}: expected a folder for results, found a file")));
    }
    let program = this_program()?;
    let outlook = Outlook::of(file, prepared, out, &|| probe::command(&program)).map_err(Failure::refused)?;
    if let Some(others) = &outlook.others {
        return Err(Failure::refused(format!("{folder}: {others}: `run` would refuse it; name another --out")));
    }
    let Outlook { settled, resumed, fresh, after_tuning, .. } = outlook;
    let parts = [
        (settled, "done"),
        (resumed, "would go on from a checkpoint"),
        (fresh, "would be trained"),
        (after_tuning, "would be trained when tuning has ended"),
    ];
    let said = parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    let said = said.collect::<Vec<_>>().join(", ");
    let there = if out.exists() { "" } else { " (not there yet)" };
    Ok((format!("{folder}{there}: {said}"), outlook))
}

/// The tokenizer of the checkpoint that the model starts from, where text goes through it.
fn kept_tokenizer(study: &Study) -> Option<PathBuf> {
    let ModelSpec::Init(folder) = &study.model else { return None };
    Some(folder.join("tokenizer.json")).filter(|path| path.exists() && !matches!(study.data, DataSpec::Tokens(_)))
}

/// Who can read the checkpoints, where that is not the family that the study names.
fn checkpoints(prepared: &[Prepared]) -> Option<String> {
    let models = || prepared.iter().map(|prepared| &prepared.model);
    if let Some(own) = models().find(|model| model.stored_as().is_none()) {
        let some = if models().all(|model| model.stored_as().is_none()) { "" } else { "some are " };
        return Some(format!("{some}for Regatta alone: no family of transformers is a {}", own.kind()));
    }
    let other = models().find_map(|model| model.stored_as().filter(|family| *family != model.family))?;
    Some(format!("written as those of a {}, which this model is", other.title()))
}

/// A warning where products are rounded for a speed that this machine does not have.
pub(super) fn slow_precision(variants: &[Variant]) -> Option<&'static str> {
    let rounds = variants.iter().any(|variant| variant.study.train.precision == Precision::BFloat16);
    let slow = rounds && !simd::level().multiplies_bf16();
    slow.then_some("bf16, and this machine has no instructions for it (AVX-512 BF16 or AMX): computed in float32, no faster")
}

/// Variants whose steps are timed; those of further ones are reckoned from their arm's last, by parameters and tokens.
const MOST_MEASURED: usize = 24;

/// All parameters, and those of the embeddings.
fn size(prepared: &Prepared) -> (usize, usize) {
    let tensors = prepared.model.tensors().list();
    let embeds = |role| matches!(role, Role::Embedding | Role::Positions | Role::Unembedding);
    let embeddings = tensors.iter().filter(|spec| embeds(spec.role)).map(TensorSpec::len).sum();
    (prepared.model.parameters(), embeddings)
}

/// The shortest of a few steps of a variant.
fn step_seconds(variant: &Variant, prepared: &Prepared) -> Result<f64, TrainError> {
    let study = &variant.study;
    let (model, train, evaluate) = (&study.model, &study.train_of(&study.arms[variant.index]), &study.evaluate);
    let (terms, interventions) = (variant.terms(), variant.interventions());
    let trial = Trial { model, train, evaluate, terms, interventions, corpus: &prepared.corpus, seed: 0 };
    let mut learner = Learner::new(trial.start()?, train, terms, interventions, 0)?;
    let rows = train.batch_size.get();
    let (started, mut best) = (Instant::now(), f64::INFINITY);
    for step in 0..4 {
        let ids = vec![0u32; rows * prepared.context];
        let record = learner.step(step, rows, &ids, &ids)?;
        best = best.min((rows * prepared.context) as f64 / record.tokens_per_second);
        if started.elapsed().as_secs() >= 5 {
            break;
        }
    }
    Ok(best)
}

/// Seconds as people say them.
fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5_400.0 => format!("{:.1} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.1} h", s / 3_600.0),
        s => format!("{:.1} days", s / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_in_fitting_units() {
        assert_eq!([12.0, 120.0, 7_200.0, 864_000.0].map(duration), ["12 s", "2.0 min", "2.0 h", "10.0 days"]);
    }
}
