//! Checks of learning rates, schedules, optimizers, and of what happens at a step, against the rest of a study.

use super::refusal::Misfit;
use super::{Study, Vary, pattern};
use regatta_core::Action;
use regatta_lm::model::Decoder;
use regatta_lm::spec::{Length, Steps};

/// An arm has one learning rate: the study's, or its own. An arm with its own would not take part where the study tunes or varies
/// `train.lr`.
pub(super) fn rates(study: &Study) -> Result<(), Misfit> {
    let of_vary = |vary: &Vary| -> Vec<Vec<String>> {
        let whole = study.plain();
        vary.paths().into_iter().flat_map(|path| pattern::fields(&whole, path).unwrap_or_default()).collect()
    };
    let written = study.vary.as_ref().map(of_vary).unwrap_or_default();
    let varies = |path: &[&str]| written.iter().any(|field| path.iter().zip(field).all(|(step, field)| step == field));
    for arm in &study.arms {
        let places: Vec<String> = arm.listed_rates().map(|place| place.to_string()).collect();
        let Some(place) = places.last() else { continue };
        let refuse = |message: String| Err(Misfit::new(["arms", &arm.name, place, "lr"], message));
        if places.len() > 1 {
            return refuse(format!("expected one learning rate of an arm, found {}", places.len()));
        }
        if study.tune.as_ref().is_some_and(|tune| tune.lr.is_some()) {
            return refuse(
                "expected no learning rate of an arm's own where `tune` has `lr`, which chooses one for every arm".into(),
            );
        }
        if varies(&["train", "lr"]) && !varies(&["arms", &arm.name, place, "lr"]) {
            let own = format!("arms.{}.{place}.lr", arm.name);
            return refuse(format!(
                "expected an arm that follows `train.lr`, which `vary` has, found a learning rate of its own: vary `{own}` too, or \
                 leave it out"
            ));
        }
    }
    Ok(())
}

/// The optimizer finds what it names in a model of this shape.
pub(super) fn optimizer(study: &Study, model: &Decoder) -> Result<(), Misfit> {
    study
        .train
        .optimizer
        .check(model)
        .map_err(|(path, message)| Misfit::new(["train", "optimizer"].into_iter().chain(path), message))
}

/// Everything that has a step happens within the trial.
pub(super) fn timing(study: &Study, steps: Steps) -> Result<(), Misfit> {
    let steps = steps.get();
    let all = match study.train.length {
        Length::Steps(_) => format!("`train.steps`, {steps}"),
        other => format!("the {steps} steps of `train.{}`", other.field()),
    };
    warmup_and_decay(study, steps, &all)?;
    ends(study, steps, &all)?;
    forgets(study, steps, &all)?;
    match study.evaluate.tasks_at.beyond(steps) {
        Some(step) => Err(Misfit::new(["evaluate", "tasks_at"], format!("expected steps within {all}, found {step}"))),
        None => Ok(()),
    }
}

/// Warmup and decay do not overlap.
fn warmup_and_decay(study: &Study, steps: usize, all: &str) -> Result<(), Misfit> {
    match study.train.schedule.rise_and_fall(steps) {
        Some((rise, fall)) if rise.saturating_add(fall) > steps as u64 => {
            let message = format!("expected a `warmup` and a `decay` within {all}, found {rise} and {fall} steps");
            Err(Misfit::new(["train", "schedule", "wsd"], message))
        }
        _ => Ok(()),
    }
}

/// Embedding resets happen before the last step, with room for the schedule between them.
fn forgets(study: &Study, steps: usize, all: &str) -> Result<(), Misfit> {
    for arm in &study.arms {
        for (index, plugin) in arm.listed_interventions() {
            let every = match plugin.0.action() {
                Some(Action::EmbeddingReset { every, .. }) => Some(every),
                _ => None,
            };
            if let Some(every) = every.filter(|every| every.get() >= steps) {
                let least = "expected fewer steps from one fresh embedding to the next than";
                let message = format!("{least} {all}, found {every}: `{}` would never forget", plugin.name());
                return Err(Misfit::new(["arms", &arm.name, &index.to_string(), "intervention"], message));
            }
            let overlap = |(rise, fall): &(u64, u64)| every.is_some_and(|every| rise.saturating_add(*fall) > every.get() as u64);
            let schedule = every.and_then(|every| study.train.schedule.rise_and_fall(every.get()));
            if let Some((rise, fall)) = schedule.filter(overlap) {
                let message = format!(
                    "expected a schedule whose `warmup` and `decay` fit into the steps from one fresh embedding to the next, found {rise} \
                     and {fall}: the embedding follows the schedule anew each time"
                );
                return Err(Misfit::new(["arms", &arm.name, &index.to_string(), "intervention"], message));
            }
        }
    }
    Ok(())
}

/// A term that ends does so before the last step, and when its ramp has arrived at a weight that is not 0.
fn ends(study: &Study, steps: usize, all: &str) -> Result<(), Misfit> {
    for arm in &study.arms {
        for (place, term) in arm.listed_terms() {
            let Some(end) = term.weight.end().map(|end| end.get()) else { continue };
            let refuse = |message: String| Err(Misfit::new(["arms", &arm.name, &place.to_string(), "until"], message));
            match term.weight.arrives() {
                _ if end >= steps => {
                    return refuse(format!("expected a step below {all}, found {end}: the term would never end"));
                }
                Some((arrives, _)) if end < arrives => {
                    return refuse(format!(
                        "expected a step from {arrives} on, where the ramp of its `weight` has arrived, found {end}"
                    ));
                }
                Some((arrives, 0.0)) => {
                    return refuse(format!(
                        "expected no end of a term whose `weight` is 0 from step {arrives} on already, found {end}"
                    ));
                }
                _ => {}
            }
        }
    }
    Ok(())
}
