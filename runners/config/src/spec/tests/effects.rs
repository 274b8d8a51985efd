//! Settings that have no effect at a study's number of steps.

use super::{Desk, WHOLE};
use crate::spec::StudyFile;

fn notes(old: &str, new: &str) -> Vec<String> {
    assert!(WHOLE.contains(old), "{old}");
    let desk = Desk::with(WHOLE.replacen(old, new, 1));
    StudyFile::read(&desk.study, &[]).unwrap_or_else(|refusal| panic!("{refusal}")).without_effect()
}

#[test]
fn what_has_an_effect_is_not_reported() {
    assert!(notes("name", "name").is_empty());
    assert!(notes("warmup: 3", "warmup: 19").is_empty(), "the last of 20 steps is `final`");
    assert!(notes("steps: 10}", "steps: 19}").is_empty());
    assert!(notes("every: 5", "every: 20").is_empty());
    assert!(notes("baseline: []", "baseline: [{lr: 0.5}]").is_empty());
}

#[test]
fn each_setting_without_effect_is_named_once() {
    let rises = "train.schedule.cosine: a `warmup` of 20 steps takes all 20 steps of a trial: the learning rate only rises, and \
                 `final` has no effect";
    assert_eq!(notes("warmup: 3", "warmup: 20"), [rises]);
    let linear = notes("cosine: {warmup: 3", "linear: {warmup: 50");
    assert!(linear.len() == 1 && linear[0].starts_with("train.schedule.linear: a `warmup` of 50 steps"), "{linear:?}");
    let ramp = "arms.spread-0.1.1.weight: a ramp of 20 steps does not arrive at 0.1 within the 20 steps of a trial";
    assert_eq!(notes("steps: 10}", "steps: 20}"), [ramp]);
    let every = "evaluate.every: 1000000 is beyond the 20 steps of a trial: nothing is measured between its ends";
    assert_eq!(notes("every: 5", "every: 1000000"), [every]);
    let own = "arms.baseline.0.lr: that is `train.lr`, which the arm has without it";
    assert_eq!(notes("baseline: []", "baseline: [{lr: 0.001}]"), [own]);
    let sweep = notes("arms:\n", "vary: {train.steps: [2, 20]}\narms:\n");
    assert_eq!(sweep.len(), 3, "at 2 steps alone: {sweep:?}");
}

#[test]
fn an_arm_with_the_studys_own_learning_rate_is_another_ones_twin() {
    let twins = |arms: &str| {
        let study = Desk::with(format!("arms: {{{arms}}}")).read(&[]).unwrap();
        study.twins().iter().map(|(arm, first)| format!("{arm} is {first}")).collect::<Vec<_>>()
    };
    assert_eq!(twins("a: [], b: [{lr: 1.0e-3}]"), ["b is a"]);
    assert!(twins("a: [], b: [{lr: 2.0e-3}]").is_empty());
    assert_eq!(twins("a: [{lr: 0.5}], b: [{lr: 0.5}]"), ["b is a"]);
}
