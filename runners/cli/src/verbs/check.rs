//! `regatta check STUDY.yaml`

use crate::failure::{Failure, say};
use regatta_lm::training::{Learner, TrainError, Trial};
use regatta_study::{Prepared, StudyFile, prepare};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The study
    study: PathBuf,
    /// Change a field of the study, as in --set train.steps=50
    #[arg(long = "set", value_name = "PATH=VALUE")]
    set: Vec<String>,
}

/// Prints the study as understood, and what it would cost.
pub(crate) fn check(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let file = StudyFile::read(&arguments.study, &arguments.set)?;
    let prepared = prepare(&file)?;
    let manifest = prepared.manifest(&file);
    say(file.study.to_yaml().trim_end())?;

    let (study, model, data) = (&file.study, &manifest.model, &manifest.data);
    let (arms, seeds, steps) = (study.arms.len(), study.seeds.len(), study.train.steps.get());
    let tokens = steps * study.train.batch_size.get() * prepared.context;
    say(format_args!("\ntrials      {} ({arms} arms x {seeds} seeds)", arms * seeds))?;
    say(format_args!(
        "parameters  {} ({} without embeddings)",
        model.parameters,
        model.parameters - (model.vocab_size + prepared.model.n_positions) * model.width
    ))?;
    say(format_args!("tokens      {tokens} a trial, {} in all", tokens * arms * seeds))?;
    let test = data.test_tokens.map_or("none: validation stands in".to_owned(), |count| count.to_string());
    say(format_args!(
        "data        {}: {} train, {} validation, test {test}, vocabulary {}",
        data.source, data.train_tokens, data.validation_tokens, model.vocab_size
    ))?;
    if tokens > data.train_tokens {
        say(format_args!("            each train token is seen {:.1} times", tokens as f64 / data.train_tokens as f64))?;
    }
    say("\nestimated from a few steps of each arm on random weights, thrown away again:")?;
    let mut total = 0.0;
    for arm in &study.arms {
        let seconds = step_seconds(&file, &prepared, &arm.terms).map_err(Failure::failed)?;
        total += seconds * (steps * seeds) as f64;
        say(format_args!(
            "  {:<24} {:>8.1} ms a step, {} for {seeds} seeds",
            arm.name,
            seconds * 1e3,
            duration(seconds * (steps * seeds) as f64)
        ))?;
    }
    say(format_args!("time        {} of training on this machine, {} threads", duration(total), manifest.threads))?;
    Ok(ExitCode::SUCCESS)
}

/// The shortest of a few steps of an arm.
fn step_seconds(file: &StudyFile, prepared: &Prepared, terms: &[regatta_lm::spec::Term]) -> Result<f64, TrainError> {
    let study = &file.study;
    let (model, train, evaluate) = (&study.model, &study.train, &study.evaluate);
    let trial = Trial { model, train, evaluate, terms, corpus: &prepared.corpus, seed: 0 };
    let mut learner = Learner::new(trial.start()?, train, terms, 0);
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
