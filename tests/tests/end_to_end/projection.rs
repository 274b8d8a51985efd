//! What a trial cost, and what a study would take elsewhere.

use crate::{Study, tiny};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// FLOPs per token of the tiny model: blocks 4·16² + 2·16·64 = 3,072 and output 32·16 = 512, times 6; attention 6·16·17 = 1,632.
const FLOPS: f64 = 6.0 * 3584.0 + 1632.0;
/// Of a second view: the same without the output matrix.
const VIEW: f64 = 6.0 * 3072.0 + 1632.0;

impl Study {
    fn project(&self, request: &str, more: &[&str]) -> String {
        let output = self.regatta(&[&["check", "study.yaml", "--project", request], more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout)
    }

    fn refused(&self, request: &str, more: &[&str], part: &str) {
        let output = self.regatta(&[&["check", "study.yaml", "--project", request], more].concat());
        let error = text(&output.stderr);
        assert_eq!((output.status.code(), error.lines().count()), (Some(2), 1), "{request}: {error}");
        assert!(error.contains(part) && output.stdout.is_empty(), "{request}: {error}");
    }
}

#[test]
fn every_trial_says_what_it_computed() {
    let arms = "  views: [{regularizer: barlow_twins, weight: 0.1, at: {points: batch}}]\n";
    let study = Study::new(&tiny(arms).replace("steps: 8", "dropout: 0.1, steps: 8"));
    study.run("out", &[], 0);
    for (arm, flops) in [("baseline", FLOPS), ("views", FLOPS + VIEW)] {
        let evaluation = study.json("out", arm, 1, "evaluation.json");
        assert_eq!(evaluation["flops_per_token"], flops, "{evaluation}");
        assert_eq!(evaluation["training_flops"], flops * (8 * 4 * 16) as f64, "{evaluation}");
        assert!(evaluation["peak_rss_mib"].as_f64().unwrap() > 1.0, "{evaluation}");
        assert!(evaluation.get("energy_joules").is_some(), "a number, or null where the machine does not tell: {evaluation}");
    }
    let csv = std::fs::read_to_string(study.path().join("out/results.csv")).unwrap();
    let names: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
    for name in ["flops_per_token", "training_flops", "tokens_per_second", "peak_rss_mib", "energy_joules"] {
        assert_eq!(names.iter().filter(|own| **own == name).count(), 1, "{name}: {csv}");
    }
    let page = std::fs::read_to_string(study.path().join("out/report.html")).unwrap();
    assert!(page.contains("<h2>Cost</h2>"));
    assert!(text(&study.regatta(&["results", "out"]).stdout).contains("\n### Cost\n"));
}

#[test]
fn a_study_is_projected_by_arithmetic() {
    let arms = "  views: [{regularizer: barlow_twins, weight: 0.1, at: {points: batch}}]\n";
    let study = Study::new(&tiny(arms).replace("steps: 8", "dropout: 0.1, steps: 8"));
    // 23.1 kFLOP per token, 512 tokens 11.8 MFLOP; at 1e-6 · 0.5 TFLOP/s, 5e5 per second, 23.69 s or 0.00658 h; two seeds
    let said = study.project("peak=0.000001,mfu=0.5,price=100", &[]);
    let line = |arm: &str| said.lines().find(|line| line.trim_start().starts_with(arm)).unwrap_or_else(|| panic!("{said}"));
    assert_eq!(
        line("baseline").split_once("baseline").unwrap().1.trim(),
        "23.1 kFLOP per token, 512 tokens: 11.8 MFLOP, 0.00658 GPU hours, price 0.658; 2 trials: 0.0132 GPU hours, price 1.32"
    );
    // with the second view's 20,064: 43,200 per token, 22,118,400 per trial
    assert!(
        line("views").contains("43.2 kFLOP per token, 512 tokens: 22.1 MFLOP, 0.0123 GPU hours, price 1.23; 2 trials"),
        "{said}"
    );
    assert!(line("in all").contains("4 trials: 67.9 MFLOP, 0.0377 GPU hours, price 3.77"), "{said}"); // 2 (11,845,632 + 22,118,400)
    assert!(said.contains(
        "loss        unknown: runs/tiny holds no study. For a power law of loss against size, run a study with `vary:"
    ));
    assert!(!study.path().join("runs").exists(), "nothing is trained or written");

    // the size named, and each arm trained once with each of five seeds
    let said = study.project("gpu=h200,mfu=0.4,layers=24,width=2048,context=1024,tokens=2e10,seeds=5", &[]);
    assert!(said.contains("h200, 989 TFLOP/s of dense bfloat16 (NVIDIA H200"), "{said}");
    assert!(said.contains("24 layers, width 2048, MLP 8192, context 1024, vocabulary 32"), "{said}");
    // 6 (24 · 12 · 2048² + 32·2048) + 6·24·2048·1025 = 7,550,435,328 per token, times 2e10, over 3.956e14 · 3600
    let flops = 6.0 * (24.0 * 12.0 * 2048.0f64.powi(2) + 32.0 * 2048.0) + 6.0 * 24.0 * 2048.0 * 1025.0;
    let hours = flops * 2e10 / (989e12 * 0.4) / 3600.0;
    assert!((106.0..107.0).contains(&hours), "{hours}");
    assert!(said.contains("7.55 GFLOP per token, 20,000,000,000 tokens: 151 EFLOP, 106 GPU hours; 5 trials: "), "{said}");
}

#[test]
fn bad_requests_end_with_one_message() {
    let study = Study::new(&tiny(""));
    study.refused("gpu=h20,mfu=0.4", &[], "error: --project: gpu: unknown name \"h20\"");
    study.refused("gpu=h200,mfuu=0.4", &[], "did you mean `mfu`?");
    study.refused("gpu=h200,mfu=1.5", &[], "mfu: expected a fraction above 0 and up to 1, found \"1.5\"");
    study.refused("gpu=h200,mfu=0.4,layers=10000,width=1048576", &[], "expected a model of at most 1000000000000000 parameters");
    study.refused("gpu=h200,mfu=0.4", &["--out", "nowhere"], "nowhere: expected the folder of a study, found none");
}

#[test]
fn a_finished_sweep_says_what_loss_to_expect() {
    let study =
        Study::new(&(tiny("  dispersion: [{regularizer: dispersion, weight: 0.1}]\n") + "vary: {model.width: [8, 16, 32]}\n"));
    assert!(study.project("gpu=a100,mfu=0.3", &[]).contains("law of loss against size, run this study: it varies the size"));
    study.run("out", &[], 0);
    let results = study.regatta(&["results", "out", "--format", "json"]);
    let results: serde_json::Value = serde_json::from_slice(&results.stdout).unwrap();
    let said = study.project("gpu=a100,mfu=0.3,width=64", &["--out", "out"]);
    // blocks 12·64², biases and norms 13·64, final norm 2·64; embedding (32 + 16)·64: 53,184; of width 32 it is 14,304
    let parameters = |width: usize| 12 * width * width + (13 + 2 + 32 + 16) * width;
    let times = format!("{:.2} times the largest", parameters(64) as f64 / parameters(32) as f64);
    for series in results["sizes"].as_array().unwrap() {
        let (name, fit) = (series["name"].as_str().unwrap(), &series["fit"]);
        let loss = fit["a"].as_f64().unwrap() * (parameters(64) as f64).powf(-fit["b"].as_f64().unwrap());
        let line = said.lines().find(|line| line.trim_start().starts_with(&format!("{name}: {loss:.4} (95% interval ")));
        let line = line.unwrap_or_else(|| panic!("{name} {loss}: {said}"));
        assert!(line.contains(&times) && line.ends_with("3 sizes, 2 seeds"), "{line}");
    }
    assert!(said.contains("in all      4 trials:"), "the three widths are one: {said}");
    let other = study.project("gpu=a100,mfu=0.3,width=64,tokens=1e9", &["--out", "out"]);
    assert!(other.contains("It was fitted to 512 tokens per trial, not to the number projected."), "{other}");
    study.refused("gpu=a100,mfu=0.3", &["--out", "out", "--set", "train.lr=0.5"], "its study has other settings in `train`");
}
