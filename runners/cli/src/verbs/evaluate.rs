//! `regatta evaluate CHECKPOINT`

use crate::failure::{Failure, say};
use regatta_core::number::Count;
use regatta_lm::Device;
use regatta_lm::data::{Split, Tokenizer};
use regatta_lm::engine::Resident;
use regatta_lm::model::{Decoder, Model};
use regatta_lm::spec::{EvaluateSpec, OrNone, TaskForm};
use regatta_lm::tasks::{Asked, NamedScore, Task, TaskScore, Tasks, ask, log_likelihoods};
use regatta_lm::training::{Evaluated, Evaluation, Worth, worth};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Windows of the text per batch.
const ROWS: usize = 16;

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["minimal_pairs", "multiple_choice", "tasks", "text"]))]
#[command(group = clap::ArgGroup::new("scored").multiple(true).args(["minimal_pairs", "multiple_choice", "tasks"]))]
pub(crate) struct Arguments {
    /// A folder in Hugging Face's layout with its tokenizer, such as runs/shakespeare/trials/baseline/seed-0/checkpoint
    checkpoint: PathBuf,
    /// JSONL files of minimal pairs: `sentence_good`, `sentence_bad`
    #[arg(long, value_name = "FILE", num_args = 1..)]
    minimal_pairs: Vec<PathBuf>,
    /// JSONL files of questions: `question`, `choices`, `answer`
    #[arg(long, value_name = "FILE", num_args = 1..)]
    multiple_choice: Vec<PathBuf>,
    /// Tasks as in a study's `evaluate.tasks`: '{lambada: {file: lambada.jsonl, form: last_word, limit: 500}}'
    #[arg(long, value_name = "YAML")]
    tasks: Option<String>,
    /// A text to measure the loss on
    #[arg(long, value_name = "FILE")]
    text: Option<PathBuf>,
    /// Also measure the text's loss with rounded weights, as in --quantisation '{bits: [8, 4], granularity: [channel]}'
    #[arg(long, value_name = "YAML", requires = "text", num_args = 0..=1, default_missing_value = "{}")]
    quantisation: Option<String>,
    /// Tokens per window of the text [default: the model's context length]
    #[arg(long, requires = "text")]
    context: Option<usize>,
    /// Most windows of the text, spread evenly over it; 0 for all
    #[arg(long, value_name = "COUNT", default_value_t = 256, requires = "text")]
    max_windows: usize,
    /// Write the log-likelihoods of every item of the tasks, one JSON object per line
    #[arg(long, value_name = "FILE", requires = "scored")]
    items: Option<PathBuf>,
    /// What to compute on: cpu (the kernels of this program), candle (candle on the CPU), cuda or cuda:N (an NVIDIA GPU), metal
    /// (Apple's); `regatta --version` lists what was built in
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: Device,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints a checkpoint's scores; writes only the file that `--items` names.
pub(crate) fn evaluate(arguments: &Arguments) -> Result<ExitCode, Failure> {
    if let Some(path) = &arguments.items {
        super::output::check(path, "a file of items", is_of_items)?;
    }
    let folder = &arguments.checkpoint;
    let compute = arguments.device.open()?;
    let model = Model::read(folder).map_err(Failure::refused)?;
    let tokenizer = tokenizer_of(folder)?;
    let spec = spec(arguments)?;
    let tasks = Tasks::read(&spec, Some(&tokenizer));
    let tasks = tasks.map_err(|(_, error)| Failure::refused(error))?;
    let split = arguments.text.as_ref().map(|path| Split::read(path, &tokenizer)).transpose().map_err(Failure::refused)?;
    let context = context(arguments, model.decoder())?;
    split.iter().try_for_each(|split| split.check(context)).map_err(Failure::refused)?;

    let on_device = Resident::new(&compute, model).map_err(Failure::failed)?;
    let model = on_device.measured();

    let (mut found, mut items) = (Worth::default(), String::new());
    for (form, scores) in
        [(TaskForm::MinimalPairs, &mut found.minimal_pairs), (TaskForm::MultipleChoice, &mut found.multiple_choice)]
    {
        for task in tasks.of(form) {
            let numbers = log_likelihoods(model, &task.items, &|| true).map_err(Failure::failed)?;
            scores.push(TaskScore::of(task, &numbers, model.decoder().context));
            write_items(&mut items, task, &Asked { log_likelihoods: numbers, greedy: Vec::new() });
        }
    }
    for task in &tasks.named {
        let asked = ask(model, task, &|| true).map_err(Failure::failed)?;
        write_items(&mut items, task, &asked);
        found.tasks.push(NamedScore::of(task, &asked, model.decoder().context).0);
    }
    if let Some(path) = &arguments.items {
        std::fs::write(path, items).map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
    }
    let mut measures = None;
    if let Some(split) = &split {
        let none = Tasks::default();
        let of = Evaluated { split, context, rows: ROWS, spec: &spec };
        let on_text = regatta_lm::training::evaluate(model, of, &|| true)
            .and_then(|measures| Ok((measures, worth(model, &none, of, &|| true)?)));
        let (of_text, rounded) = on_text.map_err(Failure::failed)?;
        found.quantised = rounded.quantised;
        measures = Some(of_text);
    }
    say(if arguments.json { as_json(found, measures) } else { as_text(&found, measures.as_ref()) }.trim_end())?;
    Ok(ExitCode::SUCCESS)
}

/// The tokenizer beside a model.
///
/// # Errors
/// When there is none, as where the model saw no text, or it cannot be read.
pub(super) fn tokenizer_of(folder: &Path) -> Result<Tokenizer, Failure> {
    let file = folder.join("tokenizer.json");
    if folder.is_dir() && !file.exists() {
        return Err(Failure::refused(format!(
            "{}: expected the tokenizer that the model was trained with, found no such file: a model of synthetic data, or of token \
             files, has none, and cannot read text",
            file.display()
        )));
    }
    Tokenizer::file(&file).map_err(Failure::refused)
}

/// Whether a text is what `--items` writes.
fn is_of_items(text: &str) -> bool {
    let of_an_item = |line: &str| serde_json::from_str::<Value>(line).is_ok_and(|item| item.get("log_likelihoods").is_some());
    text.lines().next().is_some_and(of_an_item)
}

fn spec(arguments: &Arguments) -> Result<EvaluateSpec, Failure> {
    let quantisation = arguments.quantisation.as_deref().map(regatta_config::section).transpose();
    let tasks = arguments.tasks.as_deref().map(regatta_config::section).transpose();
    let windows = match arguments.max_windows {
        0 => OrNone::None,
        most => OrNone::Some(Count::try_from(most as u64).map_err(|error| Failure::refused(format!("--max-windows: {error}")))?),
    };
    Ok(EvaluateSpec {
        max_windows: windows,
        minimal_pairs: arguments.minimal_pairs.clone(),
        multiple_choice: arguments.multiple_choice.clone(),
        tasks: tasks.map_err(|message| Failure::refused(format!("--tasks: {message}")))?.unwrap_or_default(),
        quantisation: quantisation.map_err(|message| Failure::refused(format!("--quantisation: {message}")))?,
        ..Default::default()
    })
}

fn context(arguments: &Arguments, model: &Decoder) -> Result<usize, Failure> {
    let (least, most) = (1, model.context);
    match arguments.context.unwrap_or(most) {
        context if (least..=most).contains(&context) => Ok(context),
        other => Err(Failure::refused(format!("--context: expected {least} to {most}, the model's positions, found {other}"))),
    }
}

/// A line for each item: the log-likelihoods of its choices in order, and the index of the right one; whether greedy decoding says
/// it, where that is asked; of a document its words and bytes.
fn write_items(text: &mut String, task: &Task, asked: &Asked) {
    let mut write = |line: Value| {
        let _ = writeln!(text, "{line}"); // writing to a string cannot fail
    };
    let mut rest = asked.log_likelihoods.iter();
    for (index, item) in task.items.iter().enumerate() {
        let here: Vec<f64> = rest.by_ref().take(item.choices.len()).copied().collect();
        let mut line = json!({ "task": task.name, "log_likelihoods": here, "answer": item.answer });
        if let Some(greedy) = asked.greedy.get(index) {
            line["greedy"] = (*greedy).into();
        }
        write(line);
    }
    for (document, log_likelihood) in task.documents.iter().zip(&asked.log_likelihoods) {
        let (words, bytes) = (document.words, document.bytes);
        write(json!({ "task": task.name, "log_likelihoods": [log_likelihood], "words": words, "bytes": bytes }));
    }
}

fn as_json(worth: Worth, measures: Option<Evaluation>) -> String {
    let value = match measures {
        Some(measures) => serde_json::to_value(Evaluation { worth, ..measures }),
        None => serde_json::to_value(worth),
    };
    format!("{:#}", value.unwrap_or(Value::Null))
}

/// Four digits; empty where it is unknown.
fn number(value: Option<f64>) -> String {
    value.map(|value| format!("{value:.4}")).unwrap_or_default()
}

fn as_text(worth: &Worth, measures: Option<&Evaluation>) -> String {
    let mut text = String::new();
    let mut line = |arguments: std::fmt::Arguments<'_>| {
        let _ = writeln!(text, "{arguments}"); // writing to a string cannot fail
    };
    for (kind, scores) in [("minimal pairs", &worth.minimal_pairs), ("multiple choice", &worth.multiple_choice)] {
        for (index, score) in scores.iter().enumerate() {
            if index == 0 {
                line(format_args!("{kind:<48} {:>17} {:>17} {:>7} {:>7}", "accuracy", "normalised", "chance", "items"));
            }
            let fraction = |value: f64, error: f64| format!("{value:.4} ± {error:.4}");
            let (plain, normalised) = (
                fraction(score.accuracy, score.standard_error),
                fraction(score.accuracy_normalised, score.standard_error_normalised),
            );
            let chance = number(score.chance);
            line(format_args!("  {:<46} {plain:>17} {normalised:>17} {chance:>7} {:>7}", score.task, score.items));
            if score.truncated > 0 {
                line(format_args!("    of {} choices only the last tokens fit the model's positions", score.truncated));
            }
        }
    }
    for score in &worth.tasks {
        line(format_args!("{} ({}, {} items)", score.task, score.form.field().replace('_', " "), score.items));
        let measures = score.measures.iter().map(|(name, value)| (name.as_str(), *value));
        let measures = measures.chain(score.chance.map(|chance| ("chance", chance)));
        measures.for_each(|(name, value)| line(format_args!("  {name:<46} {value:>17.4}")));
        if score.truncated > 0 {
            line(format_args!("    of {} choices only the last tokens fit the model's positions", score.truncated));
        }
    }
    if let Some(measures) = measures {
        let (loss, error, windows) = (measures.loss, measures.loss_standard_error, measures.windows);
        line(format_args!("loss                      {loss:.4} ± {error:.4} nats per token, {windows} windows"));
        for found in &worth.quantised {
            let name = format!("{} by {}", found.bits, found.granularity);
            line(format_args!("  {name:<23} {:.4} ({:+.4})", found.loss, found.loss - loss));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[test]
    fn a_model_without_a_tokenizer_is_refused_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let refused = format!("{:?}", tokenizer_of(folder.path()).unwrap_err());
        assert!(
            refused.contains("tokenizer.json: expected the tokenizer that") && refused.contains("synthetic data"),
            "{refused}"
        );
    }

    #[test]
    fn a_file_of_items_is_told_from_others() {
        assert!(!is_of_items("") && !is_of_items("arms: {a: []}") && !is_of_items("{\"task\": \"sleep\"}"));
        assert!(is_of_items("{\"task\": \"a\", \"log_likelihoods\": [-1.5], \"answer\": 0}\n"));
    }

    #[test]
    fn items_are_those_of_tasks() {
        let parsed = |arguments: &str| Program::try_parse_from(["evaluate"].into_iter().chain(arguments.split_whitespace()));
        assert!(parsed("checkpoint --minimal-pairs pairs.jsonl --items items.jsonl").is_ok());
        assert!(parsed("checkpoint --tasks {} --items items.jsonl").is_ok());
        assert!(parsed("checkpoint --multiple-choice questions.jsonl --text held-out.txt --items items.jsonl").is_ok());
        let refused = parsed("checkpoint --text held-out.txt --items items.jsonl").unwrap_err().to_string();
        assert!(refused.contains("--minimal-pairs") && refused.contains("--multiple-choice"), "{refused}");
        assert!(parsed("checkpoint").unwrap_err().to_string().contains("--text"), "something to measure");
    }
}
