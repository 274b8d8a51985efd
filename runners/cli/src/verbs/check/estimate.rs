//! How long a study would take here, from a few steps of each arm.

use super::Trials;
use crate::failure::{Failure, say};
use regatta_config::{StudyFile, Variant};
use regatta_lm::Compute;
use regatta_lm::training::{Learner, TrainError, Trial};
use regatta_study::{Outlook, Prepared};
use std::collections::BTreeMap;
use std::time::Instant;

/// Variants whose steps are timed; those of further ones are estimated from the last one of their arm, by parameters and tokens.
const MOST_MEASURED: usize = 24;

/// Prints the time of a step and of all trials of each variant, and of the whole study, on a device and with activations recomputed
/// or not.
pub(super) fn print(
    file: &StudyFile,
    prepared: &[Prepared],
    compute: (&Compute, bool),
    trials: Trials,
    outlook: Option<&Outlook>,
) -> Result<(), Failure> {
    say("\nestimated from a few steps of each arm on fresh weights, which are discarded:")?;
    let (mut total, mut measured) = (0.0, BTreeMap::new());
    for (number, (variant, prepared)) in file.variants().iter().zip(prepared).enumerate() {
        let tokens = variant.study.train.batch_size.get() * prepared.context;
        let work = prepared.model.parameters() as f64 * tokens as f64;
        let known = measured.get(&variant.arm).copied().filter(|_| number >= MOST_MEASURED);
        let (seconds, how) = match known {
            Some((seconds, of)) => (seconds * work / of, "about "),
            None => (step_seconds(variant, prepared, compute).map_err(Failure::failed)?, ""),
        };
        measured.insert(variant.arm.clone(), (seconds, work));
        let steps = outlook.map_or(prepared.steps.get() * trials.each(), |outlook| outlook.steps[number]);
        let time = seconds * steps as f64;
        total += time;
        let name = format!("{} {}", variant.arm, variant.label());
        let ms = seconds * 1e3;
        let of = match outlook {
            Some(_) => format!("for the {steps} steps that are left"),
            None => format!("for {} trials", trials.each()),
        };
        say(format_args!("  {name:<32} {how}{ms:>8.1} ms per step, {} {of}", duration(time)))?;
    }
    say(format_args!(
        "time        {} of training steps{} on this machine, {} threads, one trial after the other",
        duration(total),
        if outlook.is_some() { " left" } else { "" },
        prepared[0].manifest(file).map_err(Failure::refused)?.threads
    ))?;
    Ok(say(LEFT_OUT)?)
}

/// Most of the time of trials of a few steps.
const LEFT_OUT: &str = "            not included: each trial's start in a process of its own, its measurements and its files";

/// The shortest of a few steps of a variant.
fn step_seconds(variant: &Variant, prepared: &Prepared, (compute, recompute): (&Compute, bool)) -> Result<f64, TrainError> {
    let study = &variant.study;
    let (model, train, evaluate) = (&study.model, &study.train_of(&study.arms[variant.index]), &study.evaluate);
    let (terms, interventions) = (variant.terms(), variant.interventions());
    let (corpus, tasks) = (&prepared.corpus, &*prepared.tasks);
    let trial = Trial { model, train, evaluate, terms, interventions, corpus, tasks, seed: 0, compute, recompute };
    let mut learner = Learner::on(compute, trial.start()?, train, terms, interventions, 0)?;
    if recompute {
        learner.recompute();
    }
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

/// Seconds in a fitting unit.
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
