//! Knowledge in bits: from biographies to the columns.

use crate::{Study, tiny};

const PEOPLE: &str = "{people: 4, exposures: 50, first_names: 2, middle_names: 2, last_names: 2, years: 1, cities: 4, \
                      universities: 2, majors: 2, employers: 2}";

/// A study on biographies, with `evaluate` as given, in which sentences fit the context.
fn study(evaluate: &str) -> Study {
    let yaml = tiny("").replace("evaluate: {every: 4}", evaluate).replace("context: 16", "context: 64");
    let data = yaml.lines().find(|line| line.starts_with("data:")).unwrap().to_owned();
    Study::new(&yaml.replace(&data, &format!("tokenizer: {{bpe: {{vocab_size: 400}}}}\ndata: {{biographies: {PEOPLE}}}")))
}

const ASKED: &str = "evaluate: {every: 50, capacity: {people: 3}}";

#[test]
fn bits_rise_with_training_and_stand_in_their_columns() {
    let study = study(ASKED);
    study.run("little", &["--set", "train.steps=1", "--set", "seeds=1"], 0);
    let before = study.json("little", "baseline", 0, "evaluation.json")["capacity"].clone();
    assert_eq!((before["bits"].as_f64(), before["people"].as_u64()), (Some(0.0), Some(3)), "{before}");

    study.run("much", &["--set", "train.steps=150", "--set", "train.lr=0.01", "--set", "seeds=1"], 0);
    let found = study.json("much", "baseline", 0, "evaluation.json")["capacity"].clone();
    let number = |name: &str| found[name].as_f64().unwrap();
    // 4·log2(8 / 4) + 4·log2(336 · 4 · 2 · 2 · 2) = 4 + 4·13.39 bits
    assert!((number("bits_to_know") - (4.0 + 4.0 * (336.0f64 * 32.0).log2())).abs() < 1e-9, "{found}");
    assert!(number("bits") > 4.0 && number("bits") <= number("bits_to_know") + 4.0, "{found}");
    assert!((number("bits") / number("parameters") - number("bits_per_parameter")).abs() < 1e-12, "{found}");
    assert_eq!(found["values"].as_array().unwrap().len(), 6);

    let csv = std::fs::read_to_string(study.path().join("much/results.csv")).unwrap();
    let cell = |name: &str| {
        let column = csv.lines().next().unwrap().split(',').position(|cell| cell == name).unwrap_or_else(|| panic!("{csv}"));
        csv.lines().nth(1).unwrap().split(',').nth(column).unwrap().parse::<f64>().unwrap()
    };
    for (column, name) in [
        ("capacity_bits", "bits"),
        ("capacity_bits_per_parameter", "bits_per_parameter"),
        ("capacity_value_accuracy", "value_accuracy"),
    ] {
        assert!((cell(column) - number(name)).abs() <= 1e-5 * number(name), "{column}: {csv}");
    }
}

#[test]
fn what_is_not_asked_for_leaves_no_trace() {
    let study = study("evaluate: {every: 4}");
    study.run("out", &["--set", "seeds=1"], 0);
    assert!(study.json("out", "baseline", 0, "evaluation.json").get("capacity").is_none());
    let inputs = study.json("out", "baseline", 0, "trial.json");
    assert_eq!(inputs["evaluate"], serde_json::json!({"every": 4, "max_windows": 256}));
    assert!(!std::fs::read_to_string(study.path().join("out/study.yaml")).unwrap().contains("capacity"));
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let study = study(ASKED);
    let found = |threads: &str| {
        let arguments = ["run", "study.yaml", "--out", threads, "--set", "seeds=1", "--set", "train.lr=0.01"];
        let output = study.command(&arguments).env("RAYON_NUM_THREADS", threads).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        study.json(threads, "baseline", 0, "evaluation.json")["capacity"].clone()
    };
    assert_eq!(found("1"), found("2"));
}

#[test]
fn what_cannot_be_counted_is_refused() {
    let check = |study: &Study, more: &[&str], expected: &str| {
        for verb in ["run", "check"] {
            let output = study.regatta(&[&[verb, "study.yaml"], more].concat());
            let message = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(2), "{message}");
            assert!(message.contains(expected), "expected `{expected}` in: {message}");
        }
        assert!(!study.path().join("runs").exists());
    };
    let synthetic = Study::new(&tiny("").replace("{every: 4}", "{every: 4, capacity: {}}"));
    check(&synthetic, &[], "evaluate.capacity: expected `data` that are `biographies`, found `synthetic`");
    let none = Study::new(&tiny("").replace("{every: 4}", "{every: 4, capacity: }")); // nothing means its defaults
    check(&none, &[], "evaluate.capacity: expected `data` that are `biographies`");
    let people = study(ASKED);
    check(&people, &["--set", "model.context=16"], "evaluate.capacity: expected a context of at least ");
    check(&people, &["--set", "data.biographies.people=9"], "expected at most as many people as names (8), found 9");
    check(&people, &["--set", "data.biographies.people=1"], "data.biographies.people: expected ");
    check(&people, &["--set", "data.biographies.poeple=3"], "did you mean `people`?");
    check(&people, &["--set", "evaluate.capacity.people=0"], "evaluate.capacity.people: expected ");
}

#[test]
fn check_says_how_many_exposures_the_steps_cover() {
    let study = study(ASKED);
    let output = study.regatta(&["check", "study.yaml", "--set", "train.steps=40"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}");
    let train = text.split("biographies: ").nth(1).unwrap().split(' ').next().unwrap().parse::<f64>().unwrap();
    let covered = 40.0 * 4.0 * 64.0 / train * 50.0; // tokens of the steps over those of the split, in passes
    assert!(text.contains(&format!("exposures   the steps cover {covered:.1} of 50 passes")), "{text}");
}
