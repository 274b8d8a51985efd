//! `regatta tokenize STUDY.yaml`

use crate::failure::{Failure, say};
use crate::progress::{Tokens, Used, grouped, megabytes};
use crate::signals::Signals;
use regatta_config::StudyFile;
use regatta_lm::data::Cache;
use regatta_lm::spec::DataSpec;
use regatta_study::{prepare_with, tokens_of};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The study
    study: PathBuf,
    /// Folder for results, beside which the tokens are kept in `.tokens` [default: runs/<name>]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Change a field of the study, as in --set train.steps=50
    #[arg(long = "set", value_name = "PATH=VALUE")]
    set: Vec<String>,
}

/// Makes the tokens that the trials of a study read, where they are not there yet.
pub(crate) fn tokenize(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let file = StudyFile::read(&arguments.study, &arguments.set)?;
    let out = arguments.out.clone().unwrap_or_else(|| PathBuf::from("runs").join(&file.study.name));
    let signals = Signals::listen()?;
    let (cache, tokens) = (tokens_of(&out), Tokens::new(&signals.stop));
    if let Err(refusal) = prepare_with(&file, Some(&cache), &tokens) {
        if signals.stop.load(Ordering::Relaxed) {
            drop(tokens);
            tracing::warn!("stopped on request; nothing half-made is left");
            return Ok(ExitCode::from(signals.exit_code()));
        }
        return Err(refusal.into());
    }
    let used = tokens.used();
    for used in &used {
        say(described(used))?;
    }
    if file.variants().iter().any(|variant| !matches!(variant.study.data, DataSpec::Text(_))) {
        say("data that are not text files are not kept: they are read or drawn in each run")?;
    }
    if !used.is_empty() {
        say(whole(&cache)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Where an entry is, and what it holds.
fn described(Used { folder, entry, made }: &Used) -> String {
    let state = made.map_or("already there".to_owned(), |seconds| format!("made in {seconds:.1} s"));
    let mut text = format!("{}: {state}\n", folder.display());
    text += &format!("  {:<12}{}, {} tokens, {}\n", "tokenizer", entry.tokenizer, grouped(entry.vocab_size as u64), entry.dtype);
    for name in ["train", "validation", "test"] {
        if let Some(split) = entry.splits.get(name) {
            let documents = if split.documents == 1 { "document" } else { "documents" };
            let amounts = [(split.documents, documents), (split.bytes, "bytes"), (split.tokens, "tokens")];
            let amounts: Vec<String> = amounts.iter().map(|(count, what)| format!("{} {what}", grouped(*count))).collect();
            text += &format!("  {name:<12}{}\n", amounts.join(", "));
        }
    }
    text + &format!("  {:<12}{}", "size", megabytes(entry.files.values().map(|file| file.bytes).sum()))
}

/// What all entries of a cache take.
fn whole(cache: &Cache) -> std::io::Result<String> {
    let (mut entries, mut bytes) = (0, 0);
    for entry in std::fs::read_dir(cache.folder())? {
        let entry = entry?.path();
        if entry.is_dir() {
            entries += 1;
            bytes += size(&entry)?;
        }
    }
    let entries = if entries == 1 { "1 entry".to_owned() } else { format!("{} entries", grouped(entries)) };
    Ok(format!("all of {}: {entries}, {}", cache.folder().display(), megabytes(bytes)))
}

fn size(folder: &Path) -> std::io::Result<u64> {
    std::fs::read_dir(folder)?.map(|file| Ok(file?.metadata()?.len())).sum()
}
