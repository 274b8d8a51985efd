//! Pieces that a study shares: anchors, aliases, merge keys, and sections that begin with `x-`.

use super::{Desk, check};
use crate::StudyFile;
use regatta_lm::spec::Length;
use std::fs;

const SHARED: &str = "\
x-term: &term
  regularizer: dispersion
  weight: 0.1
x-train: &short
  steps: 20
  lr: 2.0e-3
train:
  <<: *short
  lr: 1.0e-2
arms:
  baseline: []
  spread:
    - *term
  strong:
    - <<: *term
      weight: 0.5
";

#[test]
fn shared_pieces_are_joined_and_not_kept() {
    let study = Desk::with(SHARED).read(&[]).unwrap();
    assert_eq!((study.train.length, study.train.lr.get()), (Length::of_steps(20), 1.0e-2));
    let weights: Vec<f64> = study.arms.iter().flat_map(|arm| &arm.terms).map(|term| term.weight.at(0)).collect();
    assert_eq!(weights, [0.1, 0.5]);
    let written = study.to_yaml();
    assert!(!["x-", "<<", "&", "*"].iter().any(|mark| written.contains(mark)), "{written}");
    assert_eq!(Desk::with(&written).read(&[]).unwrap(), study);
}

#[test]
fn arms_keep_the_order_of_what_they_merge() {
    let arms = |text: &str| Desk::with(text).read(&[]).unwrap().arms.iter().map(|arm| arm.name.clone()).collect::<Vec<_>>();
    let common = "x-arms: &common {b: [{lr: 1}], a: []}\n";
    assert_eq!(arms(&format!("{common}arms: {{<<: *common, c: [{{lr: 2}}], b: []}}")), ["b", "a", "c"]);
    assert_eq!(arms(&format!("{common}arms: {{c: [{{lr: 2}}], <<: *common}}")), ["c", "b", "a"]);
}

/// `old` in [`SHARED`] made `new` is refused with a message that begins with `start` and contains `part`.
fn changed(old: &str, new: &str, start: &str, part: &str) {
    assert!(SHARED.contains(old), "{old}");
    check(SHARED.replacen(old, new, 1), start, part);
}

#[test]
fn what_is_wrong_in_a_piece_is_refused_where_it_was_written() {
    changed("steps: 20", "stesp: 20", "x.yaml:5:3: train.stesp: ", "did you mean `steps`?");
    changed("steps: 20", "steps: 0", "x.yaml:5:10: train.steps: ", "found 0");
    changed("lr: 1.0e-2", "lr: -1", "x.yaml:9:7: train.lr: ", "found -1");
    changed("lr: 2.0e-3", "lr: -1\n  batch_size: 0", "x.yaml:7:15: train.batch_size: ", "found 0"); // the -1 is replaced
    changed("weight: 0.1", "wieght: 0.1", "x.yaml:3:3: arms.spread.0.wieght: ", "did you mean `weight`?");
    changed("<<: *term\n", "<<: *term\n      wieght: 1\n", "x.yaml:16:7: arms.strong.0.wieght: ", "did you mean `weight`?");
    changed(
        "<<: *short",
        "<<: [*short, 20]",
        "x.yaml:8:3: train.<<.1: ",
        "expected a map to merge, or a list of maps, found `20`",
    );
    changed("x-term: &term", "terms: &term", "x.yaml:1:1: terms: ", "unknown name `terms`");
}

#[test]
fn pieces_are_joined_before_what_a_study_extends_and_what_is_set() {
    let desk = Desk::with("extends: base.yaml\nx-train: &mine {lr: 0.5}\ntrain: {<<: *mine}");
    fs::write(desk.folder.path().join("base.yaml"), SHARED).unwrap();
    let study = desk.read(&["arms.strong.0.weight=0.7", "train.steps=9"]).unwrap();
    assert_eq!((study.train.length, study.train.lr.get()), (Length::of_steps(9), 0.5));
    assert_eq!([1, 2].map(|arm: usize| study.arms[arm].terms[0].weight.at(0)), [0.1, 0.7]); // no alias follows what is set
    let refusal = StudyFile::read(&desk.study, &["x-train.lr=1".into()]).unwrap_err().to_string();
    assert!(refusal.starts_with("--set x-train.lr=1: x-train.lr: expected a field of the study"), "{refusal}");
    let message = |text: &str| {
        fs::write(desk.folder.path().join("base.yaml"), text).unwrap();
        desk.read(&[]).unwrap_err().to_string()
    };
    let stesp = message(&SHARED.replace("steps: 20", "stesp: 20"));
    assert!(stesp.contains("base.yaml:5:3: train.stesp: "), "{stesp}");
    let far = Desk::with("extends: base.yaml\ntrain: {<<: *short}"); // an anchor holds within its file
    fs::write(far.folder.path().join("base.yaml"), SHARED).unwrap();
    let unknown = far.read(&[]).unwrap_err().to_string();
    assert!(unknown.contains("x.yaml:2:13: train.<<: ") && unknown.contains("unknown anchor"), "{unknown}");
}
