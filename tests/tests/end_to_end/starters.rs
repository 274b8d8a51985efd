//! What a user starts from: `new`, `completions` and `man`. `.ci/run` builds, tests and runs what `new plugin` writes.

use crate::{Study, tiny};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_new_study_passes_check_and_runs_as_it_is() {
    let study = Study::new("");
    for from in ["quickstart", "sweep", "tuned"] {
        let written = study.regatta(&["new", "study", from, "--from", from]);
        assert_eq!(written.status.code(), Some(0), "{}", text(&written.stderr));
        assert!(text(&written.stdout).contains("a baseline against dispersion, vicreg"), "{}", text(&written.stdout));
        let checked = study.regatta(&["check", &format!("{from}.yaml")]);
        assert_eq!(checked.status.code(), Some(0), "{from}: {}", text(&checked.stderr));
    }
    let short = ["--set", "train.steps=4", "--set", "train.schedule=constant", "--set", "evaluate.max_windows=8"];
    let ran = study.regatta(&[&["run", "quickstart.yaml"], &short[..]].concat());
    assert_eq!(ran.status.code(), Some(0), "{}", text(&ran.stderr));
    assert!(study.path().join("runs/quickstart/report.html").exists());
    let again = study.regatta(&["new", "study", "sweep"]);
    assert_eq!(again.status.code(), Some(2));
    assert_eq!(text(&again.stderr), "error: sweep.yaml: expected a new file, found one; --out FILE names another\n");
    let unknown = study.regatta(&["new", "study", "other", "--arms", "dispersoin"]);
    assert!(text(&unknown.stderr).ends_with("did you mean `dispersion`?\n"), "{}", text(&unknown.stderr));
    assert!(!study.path().join("other.yaml").exists());
}

#[test]
fn a_new_plugin_is_a_crate_and_never_replaces_one() {
    let study = Study::new("");
    let written = study.regatta(&["new", "plugin", "my-spread"]);
    assert_eq!(written.status.code(), Some(0), "{}", text(&written.stderr));
    let manifest = std::fs::read_to_string(study.path().join("my-spread/Cargo.toml")).unwrap();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().canonicalize().unwrap();
    let core = format!("regatta-core = {{ version = \"0.1\", path = \"{}\" }}", root.join("core").display());
    assert!(manifest.contains(&core), "{manifest}");
    let library = std::fs::read_to_string(study.path().join("my-spread/src/lib.rs")).unwrap();
    for part in ["name: \"my_spread\"", "pub struct MySpread {", "conforms::<MySpread>()"] {
        assert!(library.contains(part), "{library}");
    }
    let refused = |arguments: &[&str], part: &str| {
        let output = study.regatta(&[&["new", "plugin"], arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let message = text(&output.stderr);
        assert!(message.contains(part) && message.lines().count() == 1, "{arguments:?}: {message}");
    };
    refused(&["my-spread"], "my-spread: expected no folder or an empty one, found ");
    refused(&["vicreg"], "found `vicreg`, which is a linked regularizer already");
    refused(&["regatta-byol", "--intervention"], "found `byol`, which is a linked intervention already");
    refused(&["MySpread"], "did you mean `my_spread`?");
    refused(
        &["other", "--regatta", "my-spread"],
        "expected a clone of Regatta's repository, found no core/Cargo.toml of regatta-core",
    );
    assert!(!study.path().join("other").exists() && !study.path().join("regatta-byol").exists());
}

#[test]
fn completions_know_linked_plugins_and_the_arms_of_a_folder() {
    let study =
        Study::new(&(tiny("  dispersion: [{regularizer: dispersion, weight: 0.1}]\n") + "vary: {model.width: [8, 16]}\n"));
    study.run("out", &["--set", "train.steps=2"], 0);
    let arms = text(&study.regatta(&["arms", "out"]).stdout);
    assert_eq!(arms, "baseline width=8\ndispersion width=8\nbaseline width=16\ndispersion width=16\n");
    let [first, second] = ["baseline width=8", "dispersion width=8"];
    assert_eq!(study.regatta(&["compare", "out", second, first]).status.code(), Some(0), "the names that `compare` takes");
    assert_eq!(study.regatta(&["arms", "nowhere"]).status.code(), Some(2));
    for shell in ["bash", "zsh", "fish"] {
        let script = text(&study.regatta(&["completions", shell]).stdout);
        for name in ["regatta-under-test", "vicreg", "noisy_embedding", "misbehaving"] {
            assert!(script.contains(name), "{shell}: {name}");
        }
    }
}

#[test]
fn there_is_a_page_for_every_verb() {
    let study = Study::new("");
    assert_eq!(study.regatta(&["man", "--out", "man1"]).status.code(), Some(0));
    let help = text(&study.regatta(&["help"]).stdout);
    let verbs = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let verbs: Vec<&str> = verbs.filter(|line| line.starts_with("  ") && !line.starts_with("   ")).collect();
    assert!(verbs.len() > 15, "{help}");
    for verb in verbs.iter().filter_map(|line| line.split_whitespace().next()).filter(|verb| *verb != "help") {
        assert!(study.path().join(format!("man1/regatta-under-test-{verb}.1")).exists(), "{verb}");
        let page = text(&study.regatta(&["man", verb]).stdout);
        assert!(page.contains(&format!(".TH regatta-under-test-{verb} 1")), "{verb}: {page}");
    }
}
