//! Identical but for the regularizer: the same start, the same batches, the same bytes.

use crate::{Study, tiny};

const ARMS: &str = "  weightless: [{regularizer: dispersion, weight: 0.0}, {regularizer: sigreg, weight: 0, at: {points: batch}}]
  dispersion: [{regularizer: dispersion, weight: 0.1}]
  sigreg: [{regularizer: sigreg, weight: 0.02, at: {points: batch, max_points: 32}}]
";

#[test]
fn an_arm_of_weight_0_gives_the_baselines_bytes() {
    let study = Study::new(&tiny(ARMS));
    study.run("out", &[], 0);
    for seed in [0, 1] {
        assert_eq!(study.metrics("out", "weightless", seed), study.metrics("out", "baseline", seed));
        assert_eq!(study.weights("out", "weightless", seed), study.weights("out", "baseline", seed));
    }
}

#[test]
fn all_arms_of_a_seed_start_alike_and_see_the_same_first_batch() {
    let study = Study::new(&tiny(ARMS));
    study.run("out", &[], 0);
    for seed in [0, 1] {
        let first = |arm: &str| study.metrics("out", arm, seed)[0]["loss"].clone();
        assert_eq!(first("dispersion"), first("baseline"));
        assert_eq!(first("sigreg"), first("baseline"));
        let last = |arm: &str| study.metrics("out", arm, seed)[7]["loss"].clone();
        assert_ne!(last("dispersion"), last("baseline"), "a penalty changes training");
    }
    let first = |seed| study.metrics("out", "baseline", seed)[0]["loss"].clone();
    assert_ne!(first(0), first(1), "another seed starts elsewhere");
}

#[test]
fn a_plugin_that_draws_does_not_move_the_data() {
    // At a learning rate of 0 the weights stay, so the losses tell the batches apart and nothing else. (The smallest legal
    // rate is above 0: 1e-30 moves no float32 weight.)
    let study = Study::new(&tiny(ARMS));
    study.run("out", &["--set", "train.lr=1e-30", "--set", "train.optimizer.adamw.weight_decay=0"], 0);
    let losses = |arm: &str| study.metrics("out", arm, 0).iter().map(|line| line["loss"].clone()).collect::<Vec<_>>();
    assert_eq!(losses("sigreg"), losses("baseline"));
    assert_ne!(losses("baseline")[0], losses("baseline")[1]);
}

#[test]
fn the_same_study_twice_gives_the_same_bytes() {
    let yaml = tiny(ARMS).replace("schedule: constant", "schedule: constant, dropout: 0.1");
    let (one, other) = (Study::new(&yaml), Study::new(&yaml));
    one.run("out", &[], 0);
    other.run("out", &[], 0);
    for arm in ["baseline", "dispersion", "sigreg"] {
        assert_eq!(one.metrics("out", arm, 1), other.metrics("out", arm, 1), "{arm}");
        assert_eq!(one.weights("out", arm, 1), other.weights("out", arm, 1), "{arm}");
    }
}

const VIEWS: &str = "  weightless: [{regularizer: barlow_twins, weight: 0.0}]
  twins: [{regularizer: barlow_twins, weight: 0.1, at: {points: batch, max_points: 32}}]
  mixed: [{regularizer: {infonce: {form: contrastive}}, weight: 0.1, at: {site: mlp}}, {regularizer: sigreg, weight: 0.02}]
  pooled: [{regularizer: {whitening: {form: w_mse}}, weight: 0.1, at: {points: pooled}}, {regularizer: {vicreg: {invariance: 25}}, weight: 0.1}]
";

#[test]
fn a_second_view_moves_nothing_but_its_arm_on_any_number_of_threads() {
    let yaml = tiny(VIEWS).replace("layers: 1, width: 16", "layers: 2, width: 48").replace("batch_size: 4", "batch_size: 9");
    let study = Study::new(&yaml.replace("schedule: constant", "schedule: constant, dropout: 0.1"));
    for threads in ["1", "3"] {
        let run = study.command(&["run", "study.yaml", "--out", threads]).env("RAYON_NUM_THREADS", threads).output().unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    }
    for arm in ["baseline", "twins", "mixed", "pooled"] {
        assert_eq!(study.metrics("1", arm, 0), study.metrics("3", arm, 0), "{arm}");
        assert_eq!(study.weights("1", arm, 0), study.weights("3", arm, 0), "{arm}");
        let first = |arm: &str| study.metrics("1", arm, 0)[0]["loss"].clone();
        assert_eq!(first(arm), first("baseline"), "the cross-entropy is of the first pass alone");
    }
    assert_eq!(study.weights("1", "weightless", 0), study.weights("1", "baseline", 0));
    assert_ne!(study.weights("1", "twins", 0), study.weights("1", "baseline", 0));
}

#[test]
fn the_order_of_arms_and_trials_changes_no_bytes() {
    let study = Study::new(&tiny(ARMS));
    study.run("all", &[], 0);
    let alone = Study::new(&tiny("  sigreg: [{regularizer: sigreg, weight: 0.02, at: {points: batch, max_points: 32}}]\n"));
    alone.run("all", &["--set", "seeds=[1]"], 0);
    assert_eq!(alone.metrics("all", "sigreg", 1), study.metrics("all", "sigreg", 1));
    assert_eq!(alone.weights("all", "sigreg", 1), study.weights("all", "sigreg", 1));
}

#[test]
fn the_tokenizer_is_the_same_in_another_process() {
    let text: String = (0..4000).map(|i| format!("the {} of {} and {}\n", i % 7, i % 11, i % 13)).collect();
    let yaml = tiny("").replace(
        "data: {synthetic: {vocab_size: 32, classes: 4, topics: 2, train_tokens: 4000, validation_tokens: 600, test_tokens: 600}}",
        "tokenizer: {bpe: {vocab_size: 300}}\ndata: {text: {file: text.txt}}",
    );
    let studies = [Study::new(&yaml), Study::new(&yaml)];
    let mut tokenizers = Vec::new();
    for study in &studies {
        std::fs::write(study.path().join("text.txt"), &text).unwrap();
        study.run("out", &[], 0);
        tokenizers.push(std::fs::read(study.trial("out", "baseline", 0).join("checkpoint/tokenizer.json")).unwrap());
        assert!(study.json("out", "baseline", 0, "evaluation.json")["bits_per_byte"].as_f64().unwrap() > 0.0);
    }
    assert_eq!(tokenizers[0], tokenizers[1]);
    assert_eq!(studies[0].metrics("out", "baseline", 0), studies[1].metrics("out", "baseline", 0));
}

#[test]
fn one_thread_gives_the_bytes_of_three() {
    let arms = "  dispersion: [{regularizer: dispersion, weight: 0.1}, {regularizer: {dispersion: {variant: perplexity_entropy}}, weight: 0.1}]
  infonce: [{regularizer: infonce, weight: 0.1, at: {site: mlp, scale: unit}}]
  moments: [{regularizer: vicreg, weight: 0.02, at: {points: batch, scale: layer_norm}}, {regularizer: whitening, weight: 0.02}]
  sigreg: [{regularizer: sigreg, weight: 0.02, at: {points: batch}}, {regularizer: dispersion, weight: 0.1, at: {site: embedding}}]
";
    let study =
        Study::new(&tiny(arms).replace("layers: 1, width: 16", "layers: 2, width: 48").replace("batch_size: 4", "batch_size: 9"));
    for threads in ["1", "3"] {
        let run = study.command(&["run", "study.yaml", "--out", threads]).env("RAYON_NUM_THREADS", threads).output().unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    }
    for arm in ["baseline", "dispersion", "infonce", "moments", "sigreg"] {
        assert_eq!(study.metrics("1", arm, 0), study.metrics("3", arm, 0), "{arm}");
        assert_eq!(study.weights("1", arm, 0), study.weights("3", arm, 0), "{arm}");
    }
}

#[test]
fn two_names_for_one_arm_end_in_equal_bytes() {
    let study =
        Study::new(&tiny("  a: [{regularizer: dispersion, weight: 0.1}]\n  b: [{regularizer: dispersion, weight: 0.1}]\n"));
    study.run("out", &["--jobs", "2"], 0);
    for seed in [0, 1] {
        assert_eq!(study.metrics("out", "a", seed), study.metrics("out", "b", seed));
        assert_eq!(study.weights("out", "a", seed), study.weights("out", "b", seed));
    }
}

#[test]
fn rounded_products_train_nearly_alike_on_any_number_of_threads() {
    let yaml = tiny(ARMS).replace("layers: 1, width: 16", "layers: 2, width: 48");
    let (study, exact) =
        (Study::new(&yaml.replace("schedule: constant", "schedule: constant, precision: bf16")), Study::new(&yaml));
    exact.run("out", &[], 0);
    for threads in ["1", "3"] {
        let run = study.command(&["run", "study.yaml", "--out", threads]).env("RAYON_NUM_THREADS", threads).output().unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    }
    for arm in ["baseline", "dispersion", "sigreg"] {
        assert_eq!(study.metrics("1", arm, 0), study.metrics("3", arm, 0), "{arm}");
        assert_eq!(study.weights("1", arm, 0), study.weights("3", arm, 0), "{arm}");
        let last = |study: &Study, out: &str| study.metrics(out, arm, 0)[7]["loss"].as_f64().unwrap();
        let (rounded, exact) = (last(&study, "1"), last(&exact, "out"));
        assert!(rounded != exact && (rounded - exact).abs() < 0.01 * exact, "{arm}: {rounded}, in float32 {exact}");
    }
    assert_eq!(study.weights("1", "weightless", 0), study.weights("1", "baseline", 0));
}
