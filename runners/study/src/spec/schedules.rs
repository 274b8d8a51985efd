//! What learning rates of arms, and terms that end, must be to the rest of a study.

use super::refusal::Misfit;
use super::{Study, Vary, pattern};

/// An arm has one learning rate: the study's, or its own. Where the study tunes or varies its own, an arm with another would not follow.
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

/// A term that ends does so before the last step, and when its ramp has arrived at a weight that is not 0.
pub(super) fn ends(study: &Study) -> Result<(), Misfit> {
    let steps = study.train.steps.get();
    for arm in &study.arms {
        for (place, term) in arm.listed_terms() {
            let Some(end) = term.weight.end().map(|end| end.get()) else { continue };
            let refuse = |message: String| Err(Misfit::new(["arms", &arm.name, &place.to_string(), "until"], message));
            match term.weight.arrives() {
                _ if end >= steps => {
                    return refuse(format!(
                        "expected a step below `train.steps`, {steps}, found {end}: the term would never end"
                    ));
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
