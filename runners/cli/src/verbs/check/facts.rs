//! The facts of a study, one per line: trials, model, tokens, data.

use super::{Trials, slow_precision};
use crate::failure::{Failure, say};
use regatta_config::{Study, StudyFile};
use regatta_lm::model::{Role, TensorSpec};
use regatta_lm::spec::{DataSpec, ModelSpec};
use regatta_study::Prepared;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Prints trials, folder, model, tokens and data.
pub(super) fn print(file: &StudyFile, prepared: &[Prepared], trials: Trials, folder: Option<&str>) -> Result<(), Failure> {
    say(format_args!("\n{}", of_trials(file, trials)))?;
    if let Some(folder) = folder {
        say(format_args!("folder      {folder}"))?;
    }
    model(prepared)?;
    let each: BTreeSet<(usize, usize)> = prepared.iter().map(|prepared| (prepared.tokens(), prepared.steps.get())).collect();
    let each: Vec<String> = each.iter().map(|(tokens, steps)| format!("{tokens} in {steps} steps")).collect();
    let all: usize = prepared.iter().map(Prepared::tokens).sum();
    say(format_args!("tokens      {} per trial, {} in all", each.join(" or "), all * trials.each()))?;
    data(file, prepared)?;
    for away in away_from_home(file) {
        say(format_args!("not at home {away}"))?;
    }
    for (arm, first) in file.study.twins() {
        say(format_args!("same arm    {arm} is {first} under another name: their trials have the same bytes"))?;
    }
    for note in file.without_effect() {
        say(format_args!("no effect   {note}"))?;
    }
    if let Some(note) = slow_precision(file.variants()) {
        say(format_args!("precision   {note}"))?;
    }
    let passes = exposures(file, prepared);
    if !passes.is_empty() {
        say(format_args!("exposures   the steps cover {} passes over the people", passes.join(" or ")))?;
    }
    Ok(())
}

fn of_trials(file: &StudyFile, trials: Trials) -> String {
    let Trials { tuning, seeds } = trials;
    let variants = file.variants().len();
    let arms = if variants == file.study.arms.len() { "arms" } else { "combinations of an arm and a point of the sweep" };
    let counted = |count: usize, what: &str| if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") };
    let tuned = if tuning > 0 { format!("{} and ", counted(tuning, "tuning trial")) } else { String::new() };
    format!("trials      {} ({variants} {arms}, each with {tuned}{})", variants * trials.each(), counted(seeds, "seed"))
}

fn model(prepared: &[Prepared]) -> Result<(), Failure> {
    let models: BTreeSet<String> = prepared.iter().map(|prepared| prepared.model.words()).collect();
    for words in models {
        say(format_args!("model       {words}"))?;
    }
    if let Some(line) = checkpoints(prepared) {
        say(format_args!("checkpoints {line}"))?;
    }
    let sizes: BTreeSet<(usize, usize)> =
        prepared.iter().map(|prepared| (prepared.model.parameters(), embeddings(prepared))).collect();
    for (parameters, embeddings) in sizes {
        say(format_args!("parameters  {parameters} ({} without embeddings)", parameters - embeddings))?;
    }
    Ok(())
}

fn data(file: &StudyFile, prepared: &[Prepared]) -> Result<(), Failure> {
    let manifest = prepared[0].manifest(file).map_err(Failure::refused)?;
    let data = &manifest.data;
    let test = data.test_tokens.map_or("none: validation is used".to_owned(), |count| count.to_string());
    say(format_args!(
        "data        {}: {} train, {} validation, test {test}, vocabulary {}",
        data.source, data.train_tokens, data.validation_tokens, manifest.model.vocab_size
    ))?;
    if let Some(path) = kept_tokenizer(&file.study) {
        say(format_args!("tokenizer   that of the checkpoint, {}", path.display()))?;
    }
    if let Some(split) = prepared.iter().flat_map(|of| of.corpus.splits()).find(|split| split.lost.is_some()) {
        let lost = 100.0 * split.lost.unwrap_or_default();
        say(format_args!(
            "            the tokenizer loses text: decoding the tokens of {} does not give it back ({lost:.2}% of its characters are \
             lost), so there will be no bits per byte",
            split.name
        ))?;
    }
    let most = prepared.iter().map(Prepared::tokens).max().unwrap_or(0);
    if most > data.train_tokens {
        say(format_args!("            each train token is seen {:.1} times", most as f64 / data.train_tokens as f64))?;
    }
    Ok(())
}

/// The terms that are applied elsewhere than where their papers apply them, each once however many arms share it.
fn away_from_home(file: &StudyFile) -> Vec<String> {
    let mut found = Vec::new();
    for variant in file.variants() {
        for term in variant.terms() {
            let away = term.at.away_from(term.regularizer.0.home());
            let line = format!("{}: {} at {}", variant.arm, term.regularizer.name(), away.join(", "));
            if !away.is_empty() && !found.contains(&line) {
                found.push(line);
            }
        }
    }
    found
}

/// For biographies, how many of the exposures the steps of each variant cover.
fn exposures(file: &StudyFile, prepared: &[Prepared]) -> Vec<String> {
    let passes = file.variants().iter().zip(prepared).filter_map(|(variant, prepared)| {
        let DataSpec::Biographies(spec) = &variant.study.data else { return None };
        let covered = prepared.tokens() as f64 / prepared.corpus.train.tokens.len() as f64;
        Some(format!("{:.1} of {}", covered * spec.exposures.get() as f64, spec.exposures.get()))
    });
    passes.collect::<BTreeSet<String>>().into_iter().collect()
}

/// Parameters of the embeddings.
fn embeddings(prepared: &Prepared) -> usize {
    let tensors = prepared.model.tensors().list();
    let embeds = |role| matches!(role, Role::Embedding | Role::Positions | Role::Unembedding);
    tensors.iter().filter(|spec| embeds(spec.role)).map(TensorSpec::len).sum()
}

/// The tokenizer of the checkpoint that the model starts from, where the data is text.
fn kept_tokenizer(study: &Study) -> Option<PathBuf> {
    let ModelSpec::Init(folder) = &study.model else { return None };
    Some(folder.join("tokenizer.json")).filter(|path| path.exists() && !matches!(study.data, DataSpec::Tokens(_)))
}

/// The layout of the checkpoints, where it is not that of the family that the study names.
fn checkpoints(prepared: &[Prepared]) -> Option<String> {
    let models = || prepared.iter().map(|prepared| &prepared.model);
    if let Some(own) = models().find(|model| model.stored_as().is_none()) {
        let some = if models().all(|model| model.stored_as().is_none()) { "" } else { "some are " };
        return Some(format!("{some}for Regatta only: no family of transformers is a {}", own.kind()));
    }
    let other = models().find_map(|model| model.stored_as().filter(|family| *family != model.family))?;
    Some(format!("in the layout of {}, which this model is", other.title()))
}
