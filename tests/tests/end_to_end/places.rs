//! Folders that no run made are neither read as results nor written to.

use crate::{Study, tiny};

fn put(study: &Study, name: &str, text: &str) {
    std::fs::create_dir_all(study.path().join(name).parent().unwrap()).unwrap();
    study.write(name, text);
}

#[test]
fn a_folder_with_a_study_that_nobody_ran_is_refused_and_stays_as_it_was() {
    let study = Study::new(&tiny("  dispersion: [{regularizer: dispersion, weight: 0.1}]\n"));
    put(&study, "src/lib.rs", "// a plugin's own\n");
    let before = || {
        let mut names: Vec<_> = std::fs::read_dir(study.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        (names, std::fs::read_to_string(study.path().join("study.yaml")).unwrap())
    };
    let was = before();
    let verbs: [&[&str]; 6] = [
        &["status", "."],
        &["report", "."],
        &["watch", "."],
        &["results", "."],
        &["compare", ".", "dispersion", "baseline"],
        &["check", "study.yaml", "--project", "gpu=h200,mfu=0.4", "--out", "."],
    ];
    for arguments in verbs {
        let output = study.regatta(arguments);
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {words}");
        assert!(words.contains("expected the folder of a run, found a study that nobody ran here"), "{arguments:?}: {words}");
        assert!(words.contains("`regatta run ./study.yaml` runs it") && words.lines().count() == 1, "{arguments:?}: {words}");
    }
    assert_eq!(before(), was);
}

#[test]
fn a_run_replaces_no_file_of_someone_elses() {
    let study = Study::new(&tiny(""));
    let yaml = || std::fs::read_to_string(study.path().join("study.yaml")).unwrap();
    let before = yaml();
    for (out, file) in [
        (".", "study.yaml"),
        ("page", "report.html"),
        ("web", "manifest.json"),
        ("garden", "plan.json"),
        ("runs", "trials/notes.txt"),
    ] {
        if out != "." {
            put(&study, &format!("{out}/{file}"), "my own");
        }
        for more in [&[][..], &["--fresh", "--yes"]] {
            let output = study.regatta(&[&["run", "study.yaml", "--out", out], more].concat());
            let words = String::from_utf8_lossy(&output.stderr).into_owned();
            let name = file.split('/').next().unwrap();
            assert_eq!(output.status.code(), Some(2), "{words}");
            assert!(words.contains(&format!("found {name} that no run wrote")) && words.contains("another --out"), "{words}");
            assert!(out == "." || !study.path().join(out).join("runners").exists());
        }
        assert!(out == "." || std::fs::read_to_string(study.path().join(out).join(file)).unwrap() == "my own");
    }
    assert_eq!(yaml(), before);
    // files that a run does not write stay beside its own, and a copy without its turns is one that a run made
    put(&study, "beside/notes.txt", "my own");
    study.run("beside", &[], 0);
    std::fs::remove_dir_all(study.path().join("beside/runners")).unwrap();
    assert!(study.regatta(&["report", "beside"]).status.success());
    study.run("beside", &[], 0);
}
