//! Verdicts on tasks, from the items that trials record to the page, and what happens where records do not fit together.

use crate::worth::study;
use crate::{Study, tiny};
use serde_json::{Value, json};

/// What the folder says, with stdout and stderr together, and the exit status.
fn say(study: &Study, arguments: &[&str]) -> (String, Option<i32>) {
    let output = study.regatta(arguments);
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (text, output.status.code())
}

fn results(study: &Study) -> Value {
    let (text, code) = say(study, &["results", "out", "--format", "json"]);
    assert_eq!(code, Some(0), "{text}");
    serde_json::from_str(&text).unwrap()
}

/// A study of two arms, which differ in their learning rate, and two tasks; run.
fn ran(seeds: &str) -> Study {
    let study = study("evaluate: {every: 4, minimal_pairs: [pairs.jsonl], multiple_choice: [questions.jsonl]}");
    let yaml = std::fs::read_to_string(study.path().join("study.yaml")).unwrap();
    let arms = "  baseline: []\n  odd: [{lr: 0.01}]\n";
    study.write("study.yaml", &yaml.replace("  baseline: []\n", arms).replace("seeds: [0, 1]", &format!("seeds: {seeds}")));
    study.run("out", &[], 0);
    study
}

impl Study {
    fn edit(&self, arm: &str, seed: u64, file: &str, change: impl Fn(&str) -> String) {
        let path = self.trial("out", arm, seed).join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, change(&text)).unwrap();
    }

    fn items(&self, arm: &str, seed: u64) -> Vec<Value> {
        let text = std::fs::read_to_string(self.trial("out", arm, seed).join("items.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Forgets how many bytes each record has, as in folders from before they were counted.
    fn forget_records(&self, arm: &str, seed: u64) {
        self.edit(arm, seed, "status.json", |text| {
            let mut status: Value = serde_json::from_str(text).unwrap();
            status.as_object_mut().unwrap().remove("records").unwrap();
            status.to_string()
        });
    }

    /// Replaces what a trial answered on both tasks.
    fn answer(&self, arm: &str, seed: u64, answers: [&str; 2]) {
        self.forget_records(arm, seed);
        let mut lines = self.items(arm, seed);
        let mut evaluation = self.json("out", arm, seed, "evaluation.json");
        for ((line, kind), right) in lines.iter_mut().zip(["minimal_pairs", "multiple_choice"]).zip(answers) {
            (line["right"], line["right_normalised"]) = (right.into(), right.into());
            let accuracy = right.matches('1').count() as f64 / right.len() as f64;
            let score = &mut evaluation[kind][0];
            (score["accuracy"], score["accuracy_normalised"]) = (accuracy.into(), accuracy.into());
        }
        self.edit(arm, seed, "items.jsonl", |_| lines.iter().map(|line| format!("{line}\n")).collect());
        self.edit(arm, seed, "evaluation.json", |_| evaluation.to_string());
    }
}

#[test]
fn a_trial_records_each_item_and_the_results_are_made_from_them() {
    let study = ran("[0, 1, 2]");
    let mut sum = 0.0;
    for seed in 0..3 {
        let [own, other] = ["odd", "baseline"].map(|arm| study.items(arm, seed));
        assert_eq!((own.len(), &own[0]["kind"], &own[0]["task"]), (2, &json!("minimal_pairs"), &json!("pairs")));
        assert_eq!(own[0]["fingerprint"], other[0]["fingerprint"]);
        let right = |items: &[Value]| items[0]["right"].as_str().unwrap().matches('1').count() as f64 / 4.0;
        let accuracy = study.json("out", "odd", seed, "evaluation.json")["minimal_pairs"][0]["accuracy"].as_f64().unwrap();
        assert_eq!((own[0]["right"].as_str().unwrap().len(), right(&own)), (4, accuracy));
        sum += right(&own) - right(&other);
        let records = &study.json("out", "odd", seed, "status.json")["records"];
        let bytes = std::fs::metadata(study.trial("out", "odd", seed).join("items.jsonl")).unwrap().len();
        assert_eq!(records["items.jsonl"], json!(bytes));
    }
    let results = results(&study);
    let judged = &results["arms"][1]["tasks"][0]["judged"];
    assert!((judged["mean"].as_f64().unwrap() - sum / 3.0).abs() < 1e-12, "{judged}");
    assert_eq!((&judged["test"], &judged["pairs"], &judged["comparisons"]), (&json!("seeds_and_items"), &json!(3), &json!(2)));
    assert!(results["arms"][0]["tasks"][0].get("judged").is_none(), "the baseline is not judged");
}

#[test]
fn verdicts_by_hand_stand_on_the_page_and_in_the_tables() {
    let study = ran("[0, 1, 2]");
    for seed in 0..3 {
        study.answer("baseline", seed, ["0000", "01"]);
        study.answer("odd", seed, ["1111", "11"]);
    }
    let results = results(&study);
    let odd = &results["arms"][1];
    let judged = [&odd["tasks"][0]["judged"], &odd["tasks"][1]["judged"], &odd["task_average"]["judged"]];
    let number = |of: &Value, path: &str| of.pointer(path).and_then(Value::as_f64).unwrap();
    // pairs: 1 on every item of every seed. The seeds' means move in steps of 1/4: e = sqrt((1/16 / 12) / 3), and nothing of items.
    // Two degrees of freedom at 5% over two comparisons: q = 0.975·sqrt(2 / (1 - 0.975²))
    let half = 0.975 * (2.0 / (1.0 - 0.975f64.powi(2))).sqrt() * (1.0f64 / 16.0 / 12.0 / 3.0).sqrt();
    assert!((number(judged[0], "/corrected/low") - (1.0 - half)).abs() < 1e-6, "{}", judged[0]);
    assert_eq!((&judged[0]["verdict"], number(judged[0], "/mean")), (&json!("better"), 1.0));
    // questions: 1 and 0 in every seed. Items' means have the variance 1/2, half of which is that of their mean, and the step 1/2
    // gives the seeds (1/4 / 12) / 3. Two items leave one degree: q = tan(π 0.4875) = 25, and no difference in accuracy is above 1
    let half = (0.4875 * std::f64::consts::PI).tan() * (0.25f64 + 1.0 / 144.0).sqrt();
    assert!(half > 12.0 && number(judged[1], "/corrected/high") == 1.0, "{}", judged[1]);
    assert_eq!((&judged[1]["verdict"], number(judged[1], "/mean")), (&json!("no_difference"), 0.5));
    // the average: tasks' means 1 and 1/2 have the variance 1/8, half of which is that of their mean, the seeds' step is
    // sqrt(1/16 + 1/4) / 2, and one comparison leaves 5% to it
    let half = (0.475 * std::f64::consts::PI).tan() * (1.0f64 / 16.0 + 5.0 / 64.0 / 36.0).sqrt();
    assert!(half > 3.0 && number(judged[2], "/corrected/low") == -1.0, "{}", judged[2]);
    assert_eq!((&judged[2]["verdict"], number(judged[2], "/mean")), (&json!("no_difference"), 0.75));

    let (terminal, code) = say(&study, &["report", "out"]);
    assert_eq!(code, Some(0), "{terminal}");
    assert!(terminal.contains("Accuracy on tasks, averaged over them:"), "{terminal}");
    assert!(
        terminal.contains("odd: no difference detected; these 3 seeds, fewer than five, could not have detected any"),
        "{terminal}"
    );
    let page = std::fs::read_to_string(study.path().join("out/report.html")).unwrap();
    for part in ["better (3 seeds)", "average of 2 tasks", "Each item of a task counts 1 where the arm alone has it right"] {
        assert!(page.contains(part), "{part}");
    }
    let (csv, _) = say(&study, &["results", "out", "--format", "csv"]);
    assert!(csv.lines().next().unwrap().contains("tasks_difference,tasks_corrected_low"), "{csv}");
    let (compared, code) = say(&study, &["compare", "out", "odd", "baseline"]);
    assert!(code == Some(0) && compared.contains("Accuracy on tasks"), "{compared}");
}

#[test]
fn one_seed_is_judged_by_mcnemar_as_two_models() {
    let study = ran("[0]");
    study.answer("baseline", 0, ["1111", "01"]);
    study.answer("odd", 0, ["0001", "01"]);
    let results = results(&study);
    let judged = &results["arms"][1]["tasks"][0]["judged"];
    // three losses of three: p = 2/2³, and the upper end 2·0.0125^(1/3) - 1 of two comparisons, mirrored, times 3/4
    assert_eq!((&judged["test"], &judged["verdict"]), (&json!("items"), &json!("no_difference")));
    assert_eq!(judged["mean"], -0.75);
    assert!((judged["p"].as_f64().unwrap() - 0.25).abs() < 1e-12, "{judged}");
    let high = (1.0 - 2.0 * 0.0125f64.powf(1.0 / 3.0)) * 0.75;
    assert!((judged["corrected"]["high"].as_f64().unwrap() - high).abs() < 1e-9, "{judged}");
    say(&study, &["report", "out"]);
    let page = std::fs::read_to_string(study.path().join("out/report.html")).unwrap();
    assert!(page.contains("none detected (1 seed: two models)") && page.contains("McNemar"), "one seed");
}

#[test]
fn items_that_do_not_fit_are_refused_and_a_cut_file_is_a_trial_to_train_again() {
    let study = ran("[0, 1]");
    let cut = study.items("odd", 1);
    study.edit("odd", 1, "items.jsonl", |text| text[..text.len() / 2].to_owned());
    let (text, code) = say(&study, &["report", "out"]);
    assert!(code == Some(0) && text.contains("items.jsonl is not what the trial wrote"), "{text}");
    study.run("out", &[], 0);
    assert_eq!(study.items("odd", 1), cut, "trained again");

    let refused = |expected: &str| {
        for verb in [&["report", "out"][..], &["results", "out"], &["compare", "out", "odd", "baseline"]] {
            let (text, code) = say(&study, verb);
            assert!(code == Some(2) && text.contains(expected) && text.trim().lines().count() == 1, "{code:?} {text}");
        }
    };
    let whole = study.items("odd", 1)[0]["fingerprint"].as_str().unwrap().to_owned();
    study.edit("odd", 1, "items.jsonl", |text| text.replace(&whole, &"f".repeat(whole.len())));
    refused("seed-1/items.jsonl: expected the items of task `pairs` that trials/baseline/seed-0 was asked, found others");
    study.edit("odd", 1, "items.jsonl", |text| text.replace(&"f".repeat(whole.len()), &whole));
    study.edit("odd", 1, "items.jsonl", |text| {
        text.replacen("\"right\":\"", "\"right\":\"x", 1).replacen("x1", "0", 1).replacen("x0", "1", 1)
    });
    refused("seed-1/items.jsonl: line 1: right: expected ");
    study.forget_records("odd", 1);
    study.edit("odd", 1, "items.jsonl", |text| text.lines().next().unwrap().to_owned() + "\n");
    refused("seed-1/items.jsonl: expected a line for each task of evaluation.json (`pairs`, `questions`), found `pairs`");
}

#[test]
fn folders_without_items_report_scores_and_say_why_there_is_no_verdict() {
    let study = ran("[0, 1]");
    for (arm, seed) in ["baseline", "odd"].into_iter().flat_map(|arm| [(arm, 0), (arm, 1)]) {
        study.forget_records(arm, seed);
        std::fs::remove_file(study.trial("out", arm, seed).join("items.jsonl")).unwrap();
    }
    let (text, code) = say(&study, &["report", "out"]);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(code == Some(0) && text.contains("4 trials have no items.jsonl, as those of earlier versions"), "{text}");
    let page = std::fs::read_to_string(study.path().join("out/report.html")).unwrap();
    assert!(page.contains("No verdict is read from these."), "scores alone");
    assert!(results(&study)["arms"][1]["tasks"][0].get("judged").is_none());
}

#[test]
fn without_tasks_nothing_is_recorded_or_said() {
    let study = Study::new(&tiny("  odd: [{lr: 0.01}]\n"));
    study.run("out", &[], 0);
    assert!(!study.trial("out", "odd", 0).join("items.jsonl").exists());
    let page = std::fs::read_to_string(study.path().join("out/report.html")).unwrap();
    assert!(!page.contains("Each item of a task") && !page.contains("task_average"));
    let (csv, _) = say(&study, &["results", "out", "--format", "csv"]);
    assert!(!csv.contains("tasks"), "{csv}");
}
