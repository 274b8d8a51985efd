//! Optimizers, schedules and lengths of a study, as users write them and as the report says them.

use crate::{Study, tiny};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// With these settings in place of `schedule: constant`.
fn with(settings: &str) -> Study {
    Study::new(&tiny("").replace("schedule: constant", settings).replace("seeds: [0, 1]", "seeds: [0]"))
}

#[test]
fn optimizers_are_varied_and_each_is_another() {
    let yaml = tiny("  dispersion: [{regularizer: dispersion, weight: 0.1}]\n").replace("seeds: [0, 1]", "seeds: [0]");
    let study = Study::new(&(yaml + "vary: {train.optimizer: [adamw, muon, coupled_adam]}\n"));
    study.run("out", &[], 0);
    let metrics = ["adamw", "muon", "coupled_adam"].map(|name| study.metrics("out", &format!("baseline/optimizer={name}"), 0));
    let losses = |of: usize| metrics[of].iter().map(|line| line["loss"].as_f64().unwrap()).collect::<Vec<_>>();
    for (one, other) in [(0, 1), (0, 2), (1, 2)] {
        assert_eq!(losses(one)[0], losses(other)[0], "one start");
        assert_ne!(losses(one)[7], losses(other)[7]);
    }
    assert!((0..3).all(|of| losses(of)[7] < losses(of)[0]), "all of them learn");
    let page = std::fs::read_to_string(study.path().join("out/report.html")).unwrap();
    assert!(page.contains("train.optimizer: adamw, muon, coupled_adam"), "what varied is said");
    let again = study.regatta(&["run", "out/study.yaml", "--out", "out"]);
    assert!(text(&again.stderr).contains("6 of 6 trials are done already"), "{}", text(&again.stderr));
}

#[test]
fn the_report_says_the_optimizer_in_words() {
    let study = with("schedule: {linear: {warmup: 0.25, final: 0}}, optimizer: {muon: {lr: 0.02, scale: original}}");
    study.run("out", &[], 0);
    let lr: Vec<f64> = study.metrics("out", "baseline", 0).iter().map(|line| line["lr"].as_f64().unwrap()).collect();
    let expected = [1.0 / 3.0, 2.0 / 3.0, 1.0, 0.8, 0.6, 0.4, 0.2, 0.0]; // two steps up, five down, of 1e-3
    assert!(lr.iter().zip(expected).all(|(lr, factor)| (lr / 1e-3 - factor).abs() < 1e-12), "{lr:?}");
    let page = std::fs::read_to_string(study.path().join("out/report.html")).unwrap();
    let words = "(lr 0.02, momentum 0.95, 5 Newton-Schulz steps, scale original, weight decay 0.1)";
    assert!(page.contains(words) && page.contains("Muon on the blocks"), "{page}");
}

#[test]
fn tokens_are_another_way_of_writing_steps() {
    let study = with("schedule: constant");
    study.run("out", &[], 0);
    for length in ["tokens: 512", "tokens: 0.45K"] {
        // 64 tokens a step: 8 steps, and 7.03 rounded up
        std::fs::write(study.path().join("tokens.yaml"), tiny("").replace("steps: 8", length)).unwrap();
        let run = study.regatta(&["run", "tokens.yaml", "--out", "out", "--set", "seeds=[0]"]);
        assert!(text(&run.stderr).contains("1 of 1 trials are done already"), "{length}: {}", text(&run.stderr));
    }
    let status = study.regatta(&["status", "out"]);
    assert!(text(&status.stdout).contains("8/8"), "{}", text(&status.stdout));
    let page = std::fs::read_to_string(study.path().join("out/report.html")).unwrap();
    assert!(page.contains("512 (8 steps of 4 x 16)"), "{page}");
}

#[test]
fn tokens_per_parameter_are_known_with_the_model() {
    // embeddings (32 + 16)·16, a block 12·16² + 13·16, a norm 2·16: 4,080 parameters, of which a tenth is 408 tokens
    let yaml = tiny("").replace("steps: 8", "tokens_per_parameter: 0.1").replace("seeds: [0, 1]", "seeds: [0]");
    let study = Study::new(&(yaml + "vary: {model.width: [16, 32]}\n"));
    let check = text(&study.regatta(&["check", "study.yaml"]).stdout);
    assert!(check.contains("tokens_per_parameter: 0.1") && check.contains("448 in 7 steps"), "{check}");
    let status = |more: &[&str]| {
        study.run("out", more, 0);
        (study.metrics("out", "baseline/width=16", 0).len(), study.metrics("out", "baseline/width=32", 0).len())
    };
    assert_eq!(status(&[]), (7, 23)); // 48·32 + 12·32² + 13·32 + 2·32 = 14,304 parameters: 1430.4 tokens
    let sizes = text(&study.regatta(&["status", "out"]).stdout);
    assert!(sizes.contains("7/7") && sizes.contains("23/23"), "{sizes}");
}

#[test]
fn what_does_not_fit_is_refused_where_it_stands() {
    let refused = |settings: &str, parts: &[&str]| {
        let study = with(settings);
        let output = study.regatta(&["run", "study.yaml", "--out", "out"]);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{settings}: {message}");
        assert!(parts.iter().all(|part| message.contains(part)), "{settings}: {message}");
        assert!(!study.path().join("out").exists());
    };
    let moved = "write `optimizer: {adamw: {betas: [0.9, 0.95], weight_decay: 0.1}}`";
    refused("betas: [0.9, 0.99]", &["study.yaml:5:", "train.betas: unknown name `betas`", moved]);
    refused("weight_decay: 0.01", &["study.yaml:5:", "train.weight_decay: unknown name `weight_decay`", moved]);
    refused("tokens: 1M", &["study.yaml:5:", "train: ", "found `steps` and `tokens`"]);
    refused("optimizer: lion", &["train.optimizer", "unknown name `lion`", "`adamw`, `muon`, `coupled_adam`"]);
    refused("optimizer: {muon: {adamw: {matrices: {lr: 1}}}}", &["train.optimizer.muon.adamw.matrices", "Muon updates them"]);
    refused(
        "optimizer: {adamw: {unembedding: {lr: 1}}}",
        &["train.optimizer.adamw.unembedding", "the model has no such tensors"],
    );
    refused("optimizer: {coupled_adam: {coupled: unembedding}}", &["train.optimizer.coupled_adam.coupled", "is the embedding"]);
    refused("schedule: {wsd: {warmup: 5, decay: 0.5}}", &["train.schedule.wsd", "within `train.steps`, 8, found 5 and 4 steps"]);
    refused("schedule: {wsd: {warmup: 1.5}}", &["train.schedule.wsd.warmup", "a fraction of all steps below 1"]);
}

/// A folder whose study.yaml has the fields that `train` had before there was a choice of optimizers.
#[test]
fn a_folder_from_before_is_reported() {
    let study = with("schedule: constant");
    study.run("out", &[], 0);
    let path = study.path().join("out/study.yaml");
    let written = std::fs::read_to_string(&path).unwrap();
    let (before, after) = written.split_once("  optimizer:\n").unwrap();
    let after: String = after.lines().skip_while(|line| line.starts_with("    ")).map(|line| format!("{line}\n")).collect();
    std::fs::write(&path, format!("{before}  betas:\n  - 0.8\n  - 0.9\n  weight_decay: 0.2\n{after}")).unwrap();
    let report = study.regatta(&["report", "out"]);
    assert_eq!(report.status.code(), Some(0), "{}", text(&report.stderr));
    let page = std::fs::read_to_string(study.path().join("out/report.html")).unwrap();
    assert!(page.contains("AdamW, betas [0.8, 0.9], weight decay 0.2; lr 0.001, schedule constant"), "{page}");
}
