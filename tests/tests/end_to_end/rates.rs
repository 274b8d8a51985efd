//! Arms with a learning rate of their own, terms that end, and what is said of losses that stand out.

use crate::{Study, tiny};

fn words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn an_arms_own_learning_rate_is_its_trainings_and_is_said() {
    let study = Study::new(&tiny("  slow: [{lr: 1.0e-4}]\n  same: [{lr: 1.0e-3}]\n"));
    let run = study.run("out", &[], 0);
    let rate = |arm: &str| study.metrics("out", arm, 0)[7]["lr"].as_f64().unwrap();
    assert_eq!([rate("baseline"), rate("slow")], [1e-3, 1e-4]);
    assert_eq!(study.weights("out", "same", 0), study.weights("out", "baseline", 0), "the study's own rate changes nothing");
    assert_ne!(study.weights("out", "slow", 0), study.weights("out", "baseline", 0));
    let table = words(&run.stdout).replace('\n', " ");
    assert!(table.contains("learning rate of its own, where the study's is 0.001: slow (0.0001), same (0.001)"), "{table}");

    let inputs = |arm: &str| study.json("out", arm, 0, "trial.json");
    assert_eq!((&inputs("slow")["train"]["lr"], &inputs("slow")["terms"]), (&1e-4.into(), &serde_json::json!([])));
    assert_eq!(inputs("same"), inputs("baseline"), "a trial is what it is, whoever said so");
}

#[test]
fn a_term_that_ends_is_computed_up_to_there() {
    let term = |more: &str| format!("[{{regularizer: dispersion, weight: 0.1{more}}}]");
    let arms = format!("  whole: {}\n  ends: {}\n", term(""), term(", until: 3"));
    let study = Study::new(&tiny(&arms));
    study.run("out", &["--set", "seeds=[0]"], 0);
    let [whole, ends] = ["whole", "ends"].map(|arm| study.metrics("out", arm, 0));
    assert_eq!(whole[..3], ends[..3]);
    assert!(ends[3..].iter().all(|step| step["penalty"] == 0.0 && step["terms"] == serde_json::json!({})), "{ends:?}");
    assert!(whole[3]["terms"]["dispersion"].is_number());
    assert!(study.json("out", "whole", 0, "trial.json")["terms"][0].get("until").is_none());
}

#[test]
fn a_spike_is_said_with_arm_seed_and_what_became_of_it() {
    // a long run of one letter, which is learnt, and then words that are not
    let data = "tokenizer: bytes\ndata: {text: {train: text.txt, validation: same.txt, order: sequential}}";
    let yaml = tiny("").replace("train: {steps: 8,", "train: {steps: 125, lr: 1.0e-2,");
    let line = yaml.lines().find(|line| line.starts_with("data:")).unwrap().to_owned();
    let study = Study::new(&yaml.replace(&line, data));
    let text = "a".repeat(120 * 64 + 1) + &"the quick brown fox jumps over the lazy dog. ".repeat(20);
    ["text.txt", "same.txt"].iter().for_each(|name| study.write(name, &text));
    let said =
        |fate: &str| words(&study.run(fate, &["--set", "seeds=[3]", "--set", &format!("train.on_spike={fate}")], 0).stderr);
    let record = said("record");
    assert!(record.contains("WARN baseline seed 3: the loss of "), "{record}");
    assert!(record.contains("recorded, and its update is made (train.on_spike: record)"), "{record}");
    assert!(said("skip").contains("its update is skipped (train.on_spike: skip)"));
}
