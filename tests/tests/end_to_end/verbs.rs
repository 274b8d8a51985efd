//! The verbs, and what a run leaves on disk.

use crate::{Study, tiny};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_run_leaves_what_the_design_says() {
    let study = Study::new(&tiny("  dispersion: [{regularizer: dispersion, weight: 0.1}]\n"));
    let output = study.run("out", &[], 0);
    let table = text(&output.stdout);
    assert!(table.contains("baseline") && table.contains("dispersion"), "{table}");
    for file in ["study.yaml", "manifest.json", "results.csv", "report.html"] {
        assert!(study.path().join("out").join(file).exists(), "{file}");
    }
    let trial = study.trial("out", "dispersion", 1);
    for file in ["status.json", "metrics.jsonl", "evaluation.json", "checkpoint/config.json", "checkpoint/model.safetensors"] {
        assert!(trial.join(file).exists(), "{file}");
    }
    let line = &study.metrics("out", "dispersion", 1)[0];
    let keys: Vec<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["step", "loss", "penalty", "terms", "grad_norm", "lr"]); // and tokens_per_second, left out above
    assert!(line["terms"]["dispersion"].is_number());
    let evaluation = study.json("out", "dispersion", 1, "evaluation.json");
    for key in
        ["loss", "loss_standard_error", "perplexity", "excess_loss", "wall_seconds", "tokens_per_second", "peak_memory_mib"]
    {
        assert!(evaluation[key].is_number(), "{key}: {evaluation}");
    }
    for key in ["mean_cosine", "effective_rank"] {
        assert_eq!(evaluation[key].as_array().unwrap().len(), 2, "{key}: {evaluation}"); // the embedding and one block
    }
    assert!(evaluation["excess_loss"].as_f64().unwrap() > 0.0);
}

#[test]
fn the_study_as_understood_gives_the_same_trials() {
    let study = Study::new(&tiny("  dispersion: [{regularizer: dispersion, weight: 0.1}]\n"));
    study.run("out", &["--set", "train.steps=5"], 0);
    let again = study.regatta(&["run", "out/study.yaml", "--out", "out"]);
    assert_eq!(again.status.code(), Some(0), "{}", text(&again.stderr));
    assert!(text(&again.stderr).contains("4 of 4 trials are done already"), "{}", text(&again.stderr));
}

#[test]
fn a_report_is_a_pure_function_of_the_folder() {
    let study = Study::new(&tiny(""));
    study.run("out", &[], 0);
    let page = || std::fs::read_to_string(study.path().join("out/report.html")).unwrap();
    let before = page();
    std::fs::remove_file(study.path().join("out/report.html")).unwrap();
    assert_eq!(study.regatta(&["report", "out"]).status.code(), Some(0));
    assert_eq!(page(), before);
    let nowhere = study.regatta(&["report", "nowhere"]);
    assert_eq!(nowhere.status.code(), Some(2));
    assert!(text(&nowhere.stderr).contains("expected the folder of a study"));
}

#[test]
fn check_prints_the_study_and_its_cost_and_writes_nothing() {
    let study = Study::new(&tiny(""));
    let output = study.regatta(&["check", "study.yaml"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    for part in ["weight_decay: 0.1", "trials      2", "parameters", "tokens", "per step"] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
    assert_eq!(std::fs::read_dir(study.path()).unwrap().count(), 1, "check wrote something");
}

#[test]
fn check_says_what_a_folder_still_lacks() {
    let study = Study::new(&tiny("  dispersion: [{regularizer: dispersion, weight: 0.1}]\n"));
    let check = |more: &[&str], status: i32| {
        let output = study.regatta(&[&["check", "study.yaml", "--out", "out"], more].concat());
        assert_eq!(output.status.code(), Some(status), "{}", text(&output.stderr));
        text(&output.stdout) + &text(&output.stderr)
    };
    let before = check(&[], 0);
    assert!(before.contains("folder      out (not there yet): 4 would be trained\n"), "{before}");
    assert!(before.contains("for the 16 steps that are left"), "{before}");
    assert!(!study.path().join("out").exists());
    study.run("out", &[], 0);
    let done = check(&[], 0);
    assert!(done.contains("folder      out: 4 done\n") && done.contains("for the 0 steps that are left"), "{done}");
    let more = check(&["--set", "seeds=[0, 1, 2]"], 0);
    assert!(more.contains("folder      out: 4 done, 2 would be trained\n"), "{more}");
    let other = check(&["--set", "train.lr=0.5"], 2);
    assert!(other.contains("out: trial baseline, seed 0, is there with other settings (train.lr: 0.5, was 0.001)"), "{other}");
    let tuned = check(&["--set", "tune={lr: [0.001]}", "--set", "seeds=[0]"], 0);
    assert!(tuned.contains("2 would be trained, 2 would be trained when tuning has ended"), "{tuned}");
}

#[test]
fn what_explain_shows_is_a_legal_term_at_home() {
    let study = Study::new("");
    for card in regatta_core::registry::cards().unwrap().into_values().filter(|card| !card.expects.is_empty()) {
        let explained = text(&study.regatta(&["explain", card.name]).stdout);
        let (_, term) = explained.split_once("in a study\n").unwrap();
        study.write("study.yaml", &tiny(&format!("  shown:\n{term}")).replace("schedule: constant", "dropout: 0.1"));
        let output = study.regatta(&["check", "study.yaml"]);
        assert_eq!(output.status.code(), Some(0), "{}: {}", card.name, text(&output.stderr));
        for home in card.homes_in_words() {
            assert!(explained.contains(&format!("home      {home}")), "{}: {explained}", card.name);
        }
        assert!(!text(&output.stdout).contains("not at home"), "{}", card.name);
    }
}

#[test]
fn list_and_explain_know_the_built_in_plugins() {
    let study = Study::new("");
    let listed = text(&study.regatta(&["list"]).stdout);
    let moments = ["barlow_twins", "coding_rate", "istar", "sigreg", "vicreg", "von_neumann_entropy", "whitening"];
    let further = ["centering", "decov", "hyperspherical_energy", "mmd", "orthogonality", "sketched_isotropy"];
    for name in moments.into_iter().chain(further).chain(["cosreg", "dispersion", "infonce", "koleo"]) {
        assert!(listed.contains(name), "{listed}");
        let explained = text(&study.regatta(&["explain", name]).stdout);
        for part in ["formula", "paper", "arXiv", "expects", "fields (default)"] {
            assert!(explained.contains(part), "{name}: {explained}");
        }
    }
    study.write("costs.json", r#"{"about": "", "shape": "small", "shares": {"dispersion": 0.0495, "koleo": null}}"#);
    let table = text(&study.regatta(&["list", "--format", "md", "--costs", "costs.json"]).stdout);
    let row = |name: &str| table.lines().find(|line| line.starts_with(&format!("| {name} | regularizer |"))).unwrap();
    assert!(row("dispersion").ends_with("| 5.0% |") && row("koleo").ends_with("| not measured |"), "{table}");
    study.write("costs.json", r#"{"about": "", "shape": "small", "shares": {"dispersoin": 0.0495}}"#);
    let refused = study.regatta(&["list", "--costs", "costs.json"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("did you mean `dispersion`?"), "{}", text(&refused.stderr));
    for name in ["active_forgetting", "noisy_embedding", "quantised_weights"] {
        assert!(listed.lines().any(|line| line.contains(name) && line.contains("intervention")), "{listed}");
        let explained = text(&study.regatta(&["explain", name]).stdout);
        assert!(explained.contains("kind      intervention"), "{explained}");
        assert!(explained.ends_with(&format!("in a study\n  - intervention: {name}\n")), "{explained}");
    }
    let needs = text(&study.regatta(&["explain", "distillation"]).stdout);
    assert!(needs.ends_with("  - intervention: {distillation: {teacher: ...}}\n"), "{needs}");
    let views = text(&study.regatta(&["explain", "whitening"]).stdout);
    assert_eq!(views.matches("compares two views of each point").count(), 1, "{views}");
    let unknown = study.regatta(&["explain", "dispersoin"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("did you mean `dispersion`?"));
}

#[test]
fn bench_measures_with_and_without_a_regularizer() {
    let study = Study::new("");
    for more in [&[][..], &["--regularizer", "{dispersion: {variant: decorrelation}}"]] {
        let output = study.regatta(&[&["bench", "--shape", "tiny", "--steps", "1", "--warmup", "1", "--json"], more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        for key in ["tokens_per_second", "step_ms", "best_step_ms", "peak_rss_mib", "flops_per_token", "gflops"] {
            assert!(line[key].as_f64().unwrap() > 0.0, "{key}: {line}");
        }
    }
    for more in [&["--shape", "tiny", "--steps", "1", "--warmup", "0"][..], &["--cloud", "64x8"]] {
        let output = study.regatta(&[&["bench", "--regularizer", "barlow_twins", "--json"], more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    }
    let without = study.regatta(&["bench", "--regularizer", "barlow_twins", "--dropout", "0"]);
    assert_eq!(without.status.code(), Some(2));
    let unknown = study.regatta(&["bench", "--regularizer", "dispersoin"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("dispersion"));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let study = Study::new("");
    let program = env!("CARGO_BIN_EXE_regatta-under-test");
    let output =
        std::process::Command::new("sh").args(["-c", &format!("'{program}' list | true")]).current_dir(study.path()).output();
    assert_eq!(text(&output.unwrap().stderr), "");
}

#[test]
fn json_log_lines_are_json() {
    let study = Study::new(&tiny(""));
    let output = study.run("out", &["--log", "json"], 0);
    let lines = text(&output.stderr);
    assert!(!lines.is_empty() && lines.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{lines}");
}

#[test]
fn every_config_parses() {
    let configs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs");
    let mut seen = 0;
    for entry in std::fs::read_dir(configs).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        seen += 1;
        // configs of text are read with a text at hand, and one with a teacher with a folder
        let folder = tempfile::tempdir().unwrap();
        let text_file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(text_file.path(), "a text\n".repeat(1000)).unwrap();
        let yaml = std::fs::read_to_string(&path).unwrap();
        let set = format!("data.text.file={}", text_file.path().display());
        let mut overrides = if yaml.contains("file:") || yaml.contains("extends: shakespeare") { vec![set] } else { vec![] };
        if path.file_stem().is_some_and(|stem| stem.to_string_lossy().starts_with("paper-")) {
            let (model, text) = (folder.path().display(), text_file.path().display());
            overrides = vec![format!("model.init={model}"), format!("data.text={{file: {text}}}"), "evaluate={}".into()];
        }
        if yaml.contains("teacher: ") {
            overrides.push(format!("arms.distilled.0.intervention.distillation.teacher={}", folder.path().display()));
        }
        regatta_config::Study::read(&path, &overrides).unwrap_or_else(|refusal| panic!("{}: {refusal}", path.display()));
    }
    assert!(seen >= 3, "{seen} configs");
}

/// A million threads stopped the machine for minutes, and a word meant all processors.
#[test]
fn numbers_of_threads_that_cannot_be_meant_are_refused() {
    let study = Study::new(&tiny(""));
    for (variable, value) in [("RAYON_NUM_THREADS", "1000000"), ("RAYON_NUM_THREADS", "foo"), ("CANDLE_NUM_THREADS", "0")] {
        let output = study.command(&["check", "study.yaml"]).env(variable, value).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert_eq!(said, format!("error: {variable}: expected a number of threads from 1 to 1024, found `{value}`\n"));
    }
    assert!(study.command(&["list"]).env("RAYON_NUM_THREADS", "3").output().unwrap().status.success());
}

#[test]
fn outputs_replace_no_file_of_someone_elses() {
    let study = Study::new(&tiny(""));
    let yaml = || std::fs::read_to_string(study.path().join("study.yaml")).unwrap();
    let before = yaml();
    let pairs =
        [&["evaluate", "none", "--minimal-pairs", "p.jsonl", "--items", "study.yaml"][..], &["schema", "--out", "study.yaml"]];
    for arguments in pairs {
        let output = study.regatta(arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("study.yaml: expected a new file, or ") && said.contains("found another file"), "{said}");
    }
    assert_eq!(yaml(), before);
}

#[test]
fn a_checkpoint_without_a_tokenizer_says_why() {
    let study = Study::new(&tiny("").replace("seeds: [0, 1]", "seeds: [0]"));
    study.run("out", &[], 0);
    study.write("text.txt", "words");
    for verb in ["evaluate", "diagnose"] {
        let output = study.regatta(&[verb, "out/trials/baseline/seed-0/checkpoint", "--text", "text.txt"]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("tokenizer.json: expected the tokenizer") && said.contains("a model of synthetic data"), "{said}");
        let help = text(&study.regatta(&[verb, "--help"]).stdout);
        assert!(!help.contains("runs/quickstart") && help.contains("with its tokenizer"), "{help}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_written_is_named() {
    let study = Study::new(&tiny(""));
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let program = env!("CARGO_BIN_EXE_regatta-under-test");
    let output = std::process::Command::new(program).arg("list").current_dir(study.path()).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.starts_with("error: could not write to stdout: No space left on device"), "{said}");
}

#[test]
fn settings_without_effect_are_named_and_trained_all_the_same() {
    let study = Study::new(&tiny("").replace("seeds: [0, 1]", "seeds: [0]").replace("constant", "{cosine: {warmup: 8}}"));
    let note = "train.schedule.cosine: a `warmup` of 8 steps takes all 8 steps of a trial";
    let said = text(&study.run("out", &[], 0).stderr);
    assert!(said.contains(note), "{said}");
    let checked = text(&study.regatta(&["check", "study.yaml"]).stdout);
    assert!(
        checked.contains(&format!("no effect   {note}")) && checked.contains("not included: each trial's start"),
        "{checked}"
    );
    let refused = study.run("unset", &["--set", "train.steps="], 2);
    assert!(text(&refused.stderr).contains("train.steps: expected a value behind the `=`, found nothing"));
}
