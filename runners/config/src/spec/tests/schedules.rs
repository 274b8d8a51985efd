//! What changes along the steps, or for one arm alone: ramps, ends, learning rates of an arm's own. And further texts.

use super::{Desk, WHOLE, check};
use crate::Study;
use crate::spec::StudyFile;

const ARMS: &str = "\
train: {steps: 20}
arms:
  baseline: []
  slow: [{lr: 3.0e-4}]
  both: [{regularizer: dispersion, weight: 1, until: 15}, {lr: 0.5}, {regularizer: vicreg, weight: 2}]
";

fn read(text: &str) -> Study {
    Desk::with(text).read(&[]).unwrap_or_else(|refusal| panic!("{refusal}"))
}

fn file(text: &str) -> StudyFile {
    StudyFile::read(&Desk::with(text).study, &[]).unwrap_or_else(|refusal| panic!("{refusal}"))
}

/// One term with these fields is refused.
fn refused(term: &str, part: &str) {
    let text = format!("train: {{steps: 20}}\narms:\n  a: [{{regularizer: dispersion, {term}}}]");
    check(text, "x.yaml:3:", part);
}

#[test]
fn an_arm_may_have_a_learning_rate_of_its_own() {
    let study = read(ARMS);
    let rates: Vec<f64> = study.arms.iter().map(|arm| study.train_of(arm).lr.get()).collect();
    assert_eq!(rates, [1e-3, 3e-4, 0.5]);
    assert_eq!(study.train_of(&study.arms[0]), study.train);
    let both = &study.arms[2];
    assert!(both.plugins().eq(["dispersion", "vicreg"]) && both.listed_terms().map(|(place, _)| place).eq([0, 2]));
    assert_eq!(study.baseline(), 0);
    assert_eq!(Desk::with(study.to_yaml()).read(&[]).unwrap(), study);
    let only = read("arms: {slow: [{lr: 0.1}], weightless: [{regularizer: vicreg, weight: 0}]}");
    assert_eq!(only.baseline(), 1, "a learning rate of its own is no baseline's");
}

#[test]
fn a_learning_rate_is_an_entry_by_itself() {
    let entry =
        |entry: &str, start: &str, part: &str| check(format!("arms: {{a: [{entry}]}}"), &format!("x.yaml:1:{start}"), part);
    entry("{lr: 0.1, regularizer: dispersion, weight: 1}", "12: arms.a.0: ", "expected `lr` in an entry of its own");
    entry("{lr: 0.1, until: 3}", "12: arms.a.0: ", "found `until` beside it");
    entry("{lr: 0}", "17: arms.a.0.lr: ", "expected a finite number above 0, found 0");
    entry("{lr: 0.1}, {lr: 0.2}", "28: arms.a.1.lr: ", "expected one learning rate of an arm, found 2");
    entry("{lr: 0.1}], b: [{intervention: amnesia, until: 3}", "", "an intervention has no `until`");
}

#[test]
fn what_is_tuned_or_varied_leaves_no_room_for_an_arms_own() {
    check(format!("{ARMS}tune: {{lr: [0.1]}}"), "x.yaml:4:15: arms.slow.0.lr: ", "where `tune` has `lr`");
    assert!(Desk::with(format!("{ARMS}tune: {{weight: [0.1]}}")).read(&[]).is_ok());
    check(format!("{ARMS}vary: {{train.lr: [0.1, 0.2]}}"), "x.yaml:4:15: arms.slow.0.lr: ", "vary `arms.slow.0.lr` too");
    let points = "vary: [{train.lr: 0.1, arms.*.*.lr: 0.2}, {train.lr: 0.2, arms.*.*.lr: 0.3}]";
    let points = file(&format!("{ARMS}{points}"));
    let rates: Vec<f64> = points.variants().iter().map(|variant| variant.study.train_of(variant.arm()).lr.get()).collect();
    assert_eq!(rates, [0.1, 0.2, 0.2, 0.2, 0.3, 0.3]);
    let own = file(&format!("{ARMS}vary: {{arms.slow.0.lr: [0.1, 0.2]}}"));
    let names: Vec<String> = own.variants().iter().map(|variant| format!("{} {}", variant.arm, variant.label())).collect();
    assert_eq!(names, ["baseline ", "slow lr=0.1", "both ", "slow lr=0.2"]);
}

#[test]
fn an_arm_that_does_not_follow_is_trained_once() {
    let text = format!("{ARMS}vary: {{train.lr: [0.1, 0.2], arms.*.*.lr: [0.3]}}");
    let names: Vec<String> = file(&text).variants().iter().map(|variant| variant.arm.clone()).collect();
    assert_eq!(names, ["baseline", "slow", "both", "baseline"]);
}

#[test]
fn a_term_ends_before_the_last_step_and_after_its_ramp() {
    let term = &read(ARMS).arms[2].terms[0];
    assert_eq!([14, 15].map(|step| term.weight.at(step)), [1.0, 0.0]);
    refused("weight: 1, until: 20", "arms.a.0.until: expected a step below `train.steps`, 20, found 20");
    refused("weight: 1, until: 0", "arms.a.0.until: expected a whole number from 1 to 100000000, found 0");
    refused("weight: 1, untill: 3", "did you mean `until`?");
    let ramp = |to: &str| format!("weight: {{from: 1, to: {to}, steps: 10}}");
    refused(&(ramp("2") + ", until: 9"), "expected a step from 10 on, where the ramp of its `weight` has arrived, found 9");
    refused(&(ramp("0") + ", until: 12"), "expected no end of a term whose `weight` is 0 from step 10 on already, found 12");
    refused("weight: {from: 1, to: 0, steps: 10, shape: cosin}", "did you mean `cosine`?");
    refused("weight: 1, at: {until: 3}", "did you mean `until` of the term, beside `at`?");
}

#[test]
fn what_is_not_used_is_not_written() {
    let written = serde_json::to_string(&read(WHOLE).arms[1].list()).unwrap();
    assert!(!written.contains("until") && !written.contains("shape") && !written.contains("lr"), "{written}");
    let evaluate = serde_json::to_string(&read(WHOLE).evaluate).unwrap();
    assert_eq!(evaluate, r#"{"every":5,"max_windows":16}"#);
}

#[test]
fn tuning_keeps_the_shape_and_the_end() {
    let text =
        "train: {steps: 20}\narms: {a: [{regularizer: vicreg, weight: {from: 0, to: 1, steps: 10, shape: cosine}, until: 12}]}\n";
    let study = read(&(text.to_owned() + "tune: {weight: [4]}"));
    let tuned = study.with(0, &crate::Candidate { weight: Some(4.0), lr: None });
    let weights = [5, 11, 12].map(|step| (tuned.arms[0].terms[0].weight.at(step) * 1e9).round() / 1e9);
    assert_eq!(weights, [2.0, 4.0, 0.0]); // half a cosine is half way up at half its steps
}

#[test]
fn further_texts_have_names_and_files() {
    let text = |texts: &str| format!("evaluate: {{texts: {texts}}}\narms: {{a: []}}");
    check(text("{wiki: none.txt}"), "x.yaml:1:26: evaluate.texts.wiki: ", "expected a file, found neither at none.txt nor at ");
    check(text("{a/b: x.yaml}"), "x.yaml:1:", "expected a name of 1 to 64 letters, digits, `.`, `_` or `-`");
    check(text("[x.yaml]"), "x.yaml:1:19: evaluate.texts: ", "expected a map");
    let study = read(&text("{wiki: x.yaml}"));
    assert!(study.evaluate.texts["wiki"].is_absolute() && study.evaluate.of_losses().texts.is_empty());
    check(text("{wiki: x.yaml}") + "\nvary: {evaluate.texts.wiki: [x.yaml]}", "x.yaml:3:", "what is measured the same way");
}
