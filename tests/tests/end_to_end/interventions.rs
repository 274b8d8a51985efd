//! Arms that change training without a penalty: same bytes on any number of threads, what is exported, what is refused.

use crate::{Study, tiny};
use regatta_lm::model::Model;

const ARMS: &str = "  silent: [{intervention: {noisy_embedding: {alpha: 0}}}, {regularizer: dispersion, weight: 0}]
  noisy: [{intervention: noisy_embedding}]
  forgetful: [{intervention: {active_forgetting: {every: 3}}}]
  ternary: [{intervention: quantised_weights}]
  all: [{regularizer: barlow_twins, weight: 0.1}, {intervention: {quantised_weights: {bits: 3, granularity: 4}}}, {intervention: noisy_embedding}, {regularizer: sigreg, weight: 0.02}, {intervention: {active_forgetting: {every: 4}}}]
";

#[test]
fn one_thread_gives_the_bytes_of_three_and_the_baseline_is_left_alone() {
    let yaml = tiny(ARMS).replace("layers: 1, width: 16", "layers: 2, width: 48").replace("batch_size: 4", "batch_size: 9");
    let study = Study::new(&yaml.replace("schedule: constant", "dropout: 0.1"));
    for threads in ["1", "3"] {
        let run = study.command(&["run", "study.yaml", "--out", threads]).env("RAYON_NUM_THREADS", threads).output().unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    }
    for arm in ["noisy", "forgetful", "ternary", "all"] {
        study.assert_equal_trials("1", "3", arm, 0, arm);
        assert_ne!(study.weights("1", arm, 0), study.weights("1", "baseline", 0), "{arm} changes training");
    }
    assert_eq!(study.metrics("1", "silent", 0).len(), 8);
    assert_eq!(study.weights("1", "silent", 0), study.weights("1", "baseline", 0));
    let loss = |arm: &str, step: usize| study.metrics("1", arm, 0)[step]["loss"].clone();
    assert_eq!(loss("forgetful", 0), loss("baseline", 0));
    assert_ne!(loss("noisy", 0), loss("baseline", 0), "noise comes with the first step");

    let manifest: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(study.path().join("1/manifest.json")).unwrap()).unwrap();
    let named: Vec<&String> = manifest["interventions"].as_object().unwrap().keys().collect();
    assert_eq!(named, ["active_forgetting", "noisy_embedding", "quantised_weights"]);
    let inputs = study.json("1", "all", 0, "trial.json");
    assert_eq!(inputs["terms"][1]["intervention"]["quantised_weights"]["bits"], 3, "the list is kept in order: {inputs}");
    assert_eq!(inputs["versions"].as_array().unwrap().len(), 5, "each plugin's version: {inputs}");
}

#[test]
fn the_first_reset_is_the_first_difference() {
    let study = Study::new(&tiny("  forgetful: [{intervention: {active_forgetting: {every: 3}}}]\n"));
    study.run("out", &["--set", "seeds=[0]"], 0); // at a constant rate, cycles do not change the learning rate
    let (forgetful, baseline) = (study.metrics("out", "forgetful", 0), study.metrics("out", "baseline", 0));
    let same = (0..8).take_while(|&step| forgetful[step]["loss"] == baseline[step]["loss"]).count();
    assert_eq!(same, 3);
    let loss = |step: usize| forgetful[step]["loss"].as_f64().unwrap();
    assert!((loss(3) - 32f64.ln()).abs() < 0.1, "a fresh embedding of 32 tokens knows nothing: {}", loss(3));
}

#[test]
fn what_is_exported_is_what_was_measured() {
    let study = Study::new(&tiny("  ternary: [{intervention: quantised_weights}]\n"));
    study.run("out", &["--set", "seeds=[0]"], 0);
    let model = Model::read(&study.trial("out", "ternary", 0).join("checkpoint")).unwrap();
    for layer in ["attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"] {
        let weights = model.parameters().get(&format!("h.0.{layer}.weight")).unwrap();
        let scale = weights.iter().fold(0f32, |most, w| most.max(w.abs()));
        assert!(weights.iter().all(|&w| w == 0.0 || w.abs() == scale), "{layer} has three values");
        assert!(scale > 0.0 && weights.contains(&0.0));
    }
}

#[test]
fn what_makes_no_sense_is_refused_in_one_line() {
    let refused = |entries: &str, more: &[&str], parts: &[&str]| {
        let study = Study::new(&tiny(&format!("  d: [{entries}]\n")));
        let output = study.regatta(&[&["check", "study.yaml"], more].concat());
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), text.lines().count()), (Some(2), 1), "{entries}: {text}");
        parts.iter().for_each(|part| assert!(text.contains(part), "{entries}: no {part:?} in {text}"));
    };
    let at = "arms.d.0.intervention: ";
    refused(
        "{intervention: of_my_own_crate}",
        &[],
        &[at, "unknown name `of_my_own_crate`", "known to the program that links it"],
    );
    refused("{intervention: noisy_embeding}", &[], &[at, "unknown name `noisy_embeding`", "did you mean `noisy_embedding`?"]);
    refused("{intervention: }", &[], &[at, "expected the name of an intervention, or one name with its fields, found nothing"]);
    refused("{intervention: {}}", &[], &[at, "expected"]);
    refused("{intervention: dispersion}", &[], &[at, "`dispersion` is a regularizer: write `regularizer: dispersion`"]);
    let other = ["arms.d.0.regularizer: ", "`noisy_embedding` is an intervention: write `intervention: noisy_embedding`"];
    refused("{regularizer: noisy_embedding, weight: 1}", &[], &other);
    refused("{intervention: {noisy_embedding: {alpha: -1}}}", &[], &["noisy_embedding.alpha", "0 or above, found -1"]);
    refused("{intervention: {noisy_embedding: {alfa: 1}}}", &[], &["noisy_embedding.alfa", "did you mean `alpha`?"]);
    refused("{intervention: {quantised_weights: {bits: 1}}}", &[], &["bits", "expected 2 to 8 bits, `ternary` or `binary`"]);
    refused("{intervention: noisy_embedding, weight: 1}", &[], &["arms.d.0.weight: ", "an intervention has no `weight`"]);
    refused("{intervention: noisy_embedding, at: {}}", &[], &["arms.d.0.at: ", "an intervention has no `at`"]);
    refused("{intervention: noisy_embedding, regularizer: dispersion}", &[], &["found both: each has an entry of its own"]);
    refused("{}", &[], &["arms.d.0: expected `regularizer`, `intervention` or `lr`, found none of them"]);
    refused("{regularizer: dispersion}", &[], &["arms.d.0.weight: expected a value, found none"]);
    refused("{weight: 1}", &[], &["arms.d.0.regularizer: expected a value, found none"]);
    refused("{intervention: active_forgetting}", &[], &[at, "`train.steps`, 8, found 1000", "would never forget"]);
    let two = "{intervention: quantised_weights}, {intervention: {quantised_weights: {bits: 2}}}";
    refused(
        two,
        &[],
        &["arms.d.1.intervention: ", "one intervention of an arm that rounds weights", "`quantised_weights` after"],
    );
    let two = "{intervention: {active_forgetting: {every: 2}}}, {intervention: {active_forgetting: {every: 3}}}";
    refused(two, &[], &["arms.d.1.intervention: ", "one intervention of an arm that forgets the embedding"]);
    let two = "{intervention: gradient_gating}, {intervention: {gradient_gating: {alpha: 0.1}}}";
    refused(two, &[], &["arms.d.1.intervention: ", "one intervention of an arm that gates the gradient of the output matrix"]);
    let noisy = "{intervention: noisy_embedding}";
    refused(noisy, &["--set", "arms.d.0.weight=2"], &["--set", "arms.d.0.weight: ", "an intervention has no `weight`"]);
    refused(noisy, &["--set", "vary={arms.d.0.weight: [1, 2]}"], &["an intervention has no `weight`"]);
    refused(noisy, &["--set", "vary={arms.*.0.weight: [1, 2]}"], &["found no `weight` in `arms.*.0`"]);
}

#[test]
fn a_sweep_and_tuning_of_weights_pass_over_interventions() {
    let arms = "  noisy: [{intervention: noisy_embedding}]\n  both: [{intervention: noisy_embedding}, {regularizer: dispersion, weight: 1}]\n";
    let study = Study::new(
        &(tiny(arms) + "vary: {'arms.*.*.weight': [0.1, 0.2], 'arms.*.0.intervention.noisy_embedding.alpha': [1, 2]}\n"),
    );
    let output = study.regatta(&["check", "study.yaml", "--set", "seeds=[0]"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("(7 combinations of an arm and a point of the sweep, each with 1 seed)"), "1 + 2 + 4: {text}");

    let study = Study::new(&(tiny(arms) + "tune: {weight: [0.1, 0.2]}\n"));
    study.run("out", &["--set", "seeds=[0]"], 0);
    let terms = |arm: &str| study.json("out", arm, 0, "trial.json")["terms"].clone();
    assert!(terms("both")[1]["weight"].as_f64().unwrap() < 0.3, "the term's weight was tuned: {}", terms("both"));
    assert!(terms("noisy")[0].get("weight").is_none(), "{}", terms("noisy"));
}
