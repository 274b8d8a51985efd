//! Interventions in an arm's list.

use super::*;
use crate::Candidate;
use regatta_core::Action;
use regatta_core::number::Count;
use std::num::NonZeroUsize;

intervention! {
    name: "amnesia",
    summary: "forgets",
    paper: "none",
    formula: "none",
    struct Amnesia {
        /// Steps from one time to the next.
        every: Count<1, 1000> = Count::new(10),
    }
}

#[typetag::serde(name = "amnesia")]
impl Intervention for Amnesia {
    fn action(&self) -> Option<Action<'_>> {
        NonZeroUsize::new(self.every.get()).map(|every| Action::EmbeddingReset { every, lr_factor: 1.0 })
    }
}

const ARMS: &str = "\
train: {steps: 20}
arms:
  weightless: [{regularizer: vicreg, weight: 0}]
  alone: [{intervention: amnesia}]
  mixed:
    - {regularizer: dispersion, weight: 1}
    - intervention: {amnesia: {every: 5}}
    - {regularizer: vicreg, weight: 2, at: {layers: last}}
";

fn study() -> Study {
    Desk::with(ARMS).read(&[]).unwrap_or_else(|refusal| panic!("{refusal}"))
}

#[test]
fn a_list_is_kept_in_order_with_every_default() {
    let study = study();
    let mixed = &study.arms[2];
    assert_eq!((mixed.terms.len(), mixed.interventions.len()), (2, 1));
    assert_eq!(
        mixed.listed_terms().map(|(place, term)| (place, term.regularizer.name())).collect::<Vec<_>>(),
        [(0, "dispersion"), (2, "vicreg")]
    );
    assert!(mixed.plugins().eq(["dispersion", "amnesia", "vicreg"]));
    let written = study.plain()["arms"].clone();
    assert_eq!(written["alone"], serde_json::json!([{"intervention": {"amnesia": {"every": 10}}}]));
    assert_eq!(written["mixed"][1], serde_json::json!({"intervention": {"amnesia": {"every": 5}}}));
    assert_eq!(written["mixed"][2]["regularizer"], serde_json::json!({"vicreg": {"target_std": 1.0}}));
    assert_eq!(Desk::with(study.to_yaml()).read(&[]).unwrap(), study);
    assert_eq!(
        Desk::with("train: {steps: 20}\narms: {a: [{intervention: {amnesia: }}]}").read(&[]).unwrap().arms[0].interventions.len(),
        1
    );
}

#[test]
fn a_list_of_terms_alone_is_written_as_it_was_before_there_were_interventions() {
    let study = Desk::with(WHOLE).read(&[]).unwrap();
    let arm = &study.arms[1];
    assert_eq!(serde_json::to_string(&arm.list()).unwrap(), serde_json::to_string(&arm.terms).unwrap());
}

#[test]
fn an_arm_of_interventions_is_no_baseline_and_has_no_weight_to_tune() {
    let study = study();
    assert_eq!(study.arms[study.baseline()].name, "weightless");
    let only =
        Desk::with("train: {steps: 20}\narms: {first: [{regularizer: vicreg, weight: 1}], amnesia: [{intervention: amnesia}]}");
    assert_eq!(only.read(&[]).unwrap().baseline(), 0);

    let tuned = Desk::with(format!("{ARMS}tune: {{weight: [3, 4]}}")).read(&[]).unwrap();
    let weights =
        |arm: usize| tuned.candidates(&tuned.arms[arm]).iter().map(|(candidate, _)| candidate.weight).collect::<Vec<_>>();
    assert_eq!((weights(1), weights(2)), (vec![None], vec![Some(3.0), Some(4.0)]));
    let chosen = tuned.with(2, &Candidate { weight: Some(3.0), lr: None });
    assert!(chosen.arms[2].terms.iter().all(|term| term.weight.at(0) == 3.0));
    assert!(chosen.arms[2].plugins().eq(["dispersion", "amnesia", "vicreg"]));
}

#[test]
fn faults_are_placed_in_the_list_as_it_was_written() {
    let check_changed = |old: &str, new: &str, start: &str, part: &str| check(ARMS.replacen(old, new, 1), start, part);
    check_changed("layers: last", "layers: [99]", "x.yaml:8:", "arms.mixed.2.at.layers: expected layers from 0");
    check_changed("every: 5", "every: 0", "x.yaml:7:", "arms.mixed.1.intervention.amnesia.every: expected a whole number from 1");
    check_changed("every: 5", "every: 20", "x.yaml:7:", "than `train.steps`, 20, found 20: `amnesia` would never forget");
    check_changed("intervention: {amnesia: {every: 5}}", "intervention: vicreg", "x.yaml:7:", "`vicreg` is a regularizer: write");
    check_changed("regularizer: dispersion", "regularizer: amnesia", "x.yaml:6:", "`amnesia` is an intervention: write");
    check_changed("weight: 2", "wieght: 2", "x.yaml:8:", "did you mean `weight`?");
}
