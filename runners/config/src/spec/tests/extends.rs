//! Studies that start from others.

use super::Desk;
use crate::StudyFile;
use regatta_lm::spec::Length;
use std::fs;

/// `x.yaml` with the text `study`, beside other files.
fn desk(study: &str, others: &[(&str, &str)]) -> Desk {
    let desk = Desk::with(study);
    for (name, text) in others {
        let path = desk.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    desk
}

fn check_refused(desk: &Desk, overrides: &[&str], start: &str, part: &str) {
    let message = desk.read(overrides).expect_err("a refusal").to_string();
    let message = message.replace(&format!("{}/", desk.folder.path().display()), "");
    assert!(message.starts_with(start) && message.contains(part), "{message}");
}

const BASE: &str = "\
name: base
question: Does it help?
seeds: [0, 1]
model: {layers: 2, width: 64, heads: 4}
train: {steps: 20, optimizer: {adamw: {betas: [0.9, 0.99]}}}
arms:
  baseline: []
  spread:
    - {regularizer: dispersion, weight: 0.1}
";

#[test]
fn maps_are_joined_and_all_else_is_replaced() {
    let study = "extends: base.yaml\nseeds: [7]\ntrain: {optimizer: {adamw: {betas: [0.5, 0.6]}}}\narms:\n  near: []\n  spread: [{regularizer: vicreg, weight: 1}]\n";
    let study = desk(study, &[("base.yaml", BASE)]).read(&[]).unwrap();
    let arms: Vec<&str> = study.arms.iter().map(|arm| arm.name.as_str()).collect();
    assert_eq!((arms, &study.seeds[..]), (vec!["baseline", "spread", "near"], &[7][..]));
    assert_eq!((study.name.as_str(), study.question.as_deref()), ("x", Some("Does it help?"))); // a name is the study's own
    let betas = study.train.optimizer.adamw().betas.map(|beta| beta.get());
    assert_eq!((study.train.length, betas), (Length::of_steps(20), [0.5, 0.6]));
    assert_eq!(study.arms[1].terms[0].regularizer.name(), "vicreg");
    let written = study.to_yaml();
    assert!(!written.contains("extends"), "{written}");
    assert_eq!(Desk::with(&written).read(&[]).unwrap(), study);
}

#[test]
fn nothing_drops_an_arm_or_goes_back_to_defaults() {
    let study = "extends: base.yaml\ntrain:\narms: {spread: , far: []}\n";
    let study = desk(study, &[("base.yaml", BASE)]).read(&[]).unwrap();
    assert_eq!(study.arms.iter().map(|arm| arm.name.as_str()).collect::<Vec<_>>(), ["baseline", "far"]);
    assert_eq!(study.train.length, Length::of_steps(300));
    let absent = desk("extends: base.yaml\narms:\n  spraed:\n", &[("base.yaml", BASE)]);
    check_refused(
        &absent,
        &[],
        "x.yaml:3:10: arms.spraed: ",
        "expected a list of terms and interventions, `[]` for a baseline, found nothing",
    );
    check_refused(
        &desk("extends:\narms: {a: []}", &[]),
        &[],
        "x.yaml:1:9: extends: ",
        "expected the path of a study, found nothing",
    );
}

#[test]
fn another_choice_replaces_the_one_before() {
    let base = format!("{BASE}tokenizer: {{bpe: {{vocab_size: 300}}}}\ndata: {{synthetic: {{seed: 3}}}}\n");
    let files = [("base.yaml", &base[..]), ("t.txt", "words"), ("tokenizer.json", "{}")];
    let read = |more: &str| desk(&format!("extends: base.yaml\n{more}"), &files).read(&[]).unwrap_or_else(|e| panic!("{e}"));
    assert!(read("tokenizer: {file: tokenizer.json}").to_yaml().contains("tokenizer.json"));
    assert!(read("data: {text: {file: t.txt}}").to_yaml().contains("t.txt"));
    assert!(read("data: {synthetic: {zipf: 2}}").to_yaml().contains("seed: 3"));
    assert!(read("model: {init: .}").to_yaml().contains("init: /"));
    let muon = read("train: {optimizer: {muon: {momentum: 0.9}}}"); // in place of the base's `adamw: {betas: ...}`
    assert!(muon.to_yaml().contains("momentum: 0.9") && muon.train.length == Length::of_steps(20));
    assert!(read("train: {tokens: 20K}").to_yaml().contains("tokens: 20000"));
    let chain =
        [("base.yaml", "extends: more/deep.yaml\nmodel: {layers: 1}"), ("more/deep.yaml", "model: {init: .}\narms: {a: []}")];
    let study = desk("extends: base.yaml\nmodel: {width: 32}", &chain).read(&[]).unwrap();
    assert_eq!(study.size(), desk("arms: {a: []}\nmodel: {layers: 1, width: 32}", &[]).read(&[]).unwrap().size());
}

#[test]
fn sweeps_are_joined_too() {
    let base = format!("{BASE}vary: {{train.lr: [1, 2]}}\n");
    let count = |more: &str| {
        let desk = desk(&format!("extends: base.yaml\n{more}"), &[("base.yaml", &base)]);
        StudyFile::read(&desk.study, &[]).unwrap().variants().iter().map(|v| v.label().to_owned()).next_back().unwrap()
    };
    assert_eq!(count(""), "lr=2");
    assert_eq!(count("vary: {train.steps: [3]}"), "lr=2,steps=3");
    assert_eq!(count("vary: {train.lr: [5]}"), "lr=5");
    assert_eq!(count("vary:"), "");
}

#[test]
fn a_value_is_refused_in_the_file_that_wrote_it() {
    let check = |base: (&str, &str), more: &str, start: &str, part: &str| {
        let desk = desk(&format!("extends: base.yaml\n{more}"), &[("base.yaml", &BASE.replacen(base.0, base.1, 1))]);
        check_refused(&desk, &[], start, part);
    };
    check(("steps: 20", "stesp: 20"), "", "base.yaml:5:9: train.stesp: ", "did you mean `steps`?");
    check(("0.1}", "x}"), "train: {lr: 1}", "base.yaml:9:41: arms.spread.0.weight: ", "found \"x\"");
    check(("20", "20"), "train: {steps: 0}", "x.yaml:2:16: train.steps: ", "found 0");
    check(("heads: 4", "heads: 4"), "model: {width: 65}", "x.yaml:2:8: model: ", "found 4 heads and width 65");
    check((", weight: 0.1", ""), "arms: {new: []}", "base.yaml:9:7: arms.spread.0.weight: ", "found none");
    check(("seeds: [0, 1]", "vary: {train.lr: [1, 0]}"), "", "base.yaml:3:22: vary.train.lr.1: ", "found 0");
    check(("arms:", "arms: ["), "", "base.yaml:", "expected YAML");
    let file = desk("extends: base.yaml\nmodel: {layers: 3}", &[("base.yaml", BASE)]);
    check_refused(&file, &["model.heads=3"], "x.yaml:2:8: model: ", "(with --set model.heads=3)");
    check_refused(&file, &["arms.spread.0.weight=x"], "--set arms.spread.0.weight=x: ", "found \"x\"");
    let read = StudyFile::read(&file.study, &[]).unwrap();
    assert!(read.refuse("arms.spread.0.weight", "no").to_string().contains("base.yaml:9:41: arms.spread.0.weight: no"));
}

#[test]
fn paths_start_from_the_file_that_wrote_them() {
    let base = "data: {text: {file: t.txt}}\narms: {a: []}";
    let files = [("far/base.yaml", base), ("far/t.txt", "far"), ("t.txt", "near"), ("u.txt", "u")];
    let found = |more: &str, overrides: &[&str], name: &str| {
        let desk = desk(&format!("extends: far/base.yaml\n{more}"), &files);
        let written = desk.read(overrides).unwrap().to_yaml();
        let expected = desk.folder.path().join(name).canonicalize().unwrap();
        assert!(written.contains(&format!("file: {}\n", expected.display())), "{written}");
    };
    found("", &[], "far/t.txt");
    found("data: {text: {order: sequential}}", &[], "far/t.txt");
    found("data: {text: {file: t.txt}}", &[], "t.txt");
    found("", &["data.text.file=u.txt"], "u.txt");
    let desk = desk("extends: far/base.yaml\nvary: {data.text.file: [t.txt, u.txt]}", &files);
    assert!(
        desk.read(&[])
            .unwrap()
            .to_yaml()
            .contains(&format!("- {}\n", desk.folder.path().join("t.txt").canonicalize().unwrap().display()))
    );
}

#[test]
fn what_cannot_be_extended_is_refused() {
    let refused =
        |text: &str, others: &[(&str, &str)], start: &str, part: &str| check_refused(&desk(text, others), &[], start, part);
    refused("extends: y.yaml", &[], "x.yaml:1:10: extends: ", "expected a study, found no readable file at y.yaml");
    refused("extends: sub", &[("sub/a", "")], "x.yaml:1:10: extends: ", "no readable file at sub");
    refused("extends: [y.yaml]", &[], "x.yaml:1:10: extends: ", "expected the path of a study, found a list");
    refused("extends: ''", &[], "x.yaml:1:10: extends: ", "expected the path of a study, found \"\"");
    refused("extends: y.yaml", &[("y.yaml", "- 1")], "y.yaml:1:1: ", "found a list");
    refused(
        "extends: ./x.yaml",
        &[],
        "x.yaml:1:10: extends: ",
        "that does not extend itself, found that x.yaml extends ./x.yaml",
    );
    let circle = [("y.yaml", "extends: z.yaml"), ("z.yaml", "seeds: 1\nextends: y.yaml")];
    refused("extends: y.yaml", &circle, "z.yaml:2:10: extends: ", "found that y.yaml extends z.yaml extends y.yaml");
    let tower: Vec<(String, String)> = (0..8).map(|n| (format!("{n}.yaml"), format!("extends: {}.yaml", n + 1))).collect();
    let tower: Vec<(&str, &str)> = tower.iter().map(|(name, text)| (&name[..], &text[..])).collect();
    let tower = [&tower[..], &[("8.yaml", "arms: {a: []}")]].concat();
    refused("extends: 0.yaml", &tower, "6.yaml:1:10: extends: ", "expected at most 8 studies that extend each other, found more");
    assert!(desk("extends: 2.yaml", &tower).read(&[]).is_ok());
    check_refused(&desk("arms: {a: []}", &[]), &["extends=y.yaml"], "--set extends=y.yaml: extends: ", "in a study's file");
    refused("extend: y.yaml\narms: {a: []}", &[], "x.yaml:1:1: extend: ", "did you mean `extends`?");
}
