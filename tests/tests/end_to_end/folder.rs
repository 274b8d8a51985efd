//! Signals, frozen runners, folders of other studies; nothing is done twice.

use crate::{Study, tiny};
use std::io::Read;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

fn slow() -> Study {
    Study::new(&tiny("  slow: [{regularizer: {misbehaving: {how: sleep}}, weight: 0.1}]\n").replace("steps: 8", "steps: 60"))
}

fn signal(name: &str, pids: &[u32]) {
    let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
    assert!(Command::new("kill").arg(format!("-{name}")).args(pids).status().unwrap().success());
}

/// The processes that this one started.
fn children(pid: u32) -> Vec<u32> {
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    list.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

#[test]
fn another_study_and_a_fresh_start_are_refused_at_once_while_somebody_runs() {
    let study = slow();
    let mut first = study.start("out", &[]);
    study.await_steps("out", "slow", 0);
    for (more, what) in [(&["--set", "seeds=3"][..], "another study"), (&["--fresh", "--yes"], "this study")] {
        let started = Instant::now();
        let second = study.regatta(&[&["run", "study.yaml", "--out", "out"], more].concat());
        assert!(started.elapsed() < Duration::from_secs(2));
        assert_eq!(second.status.code(), Some(2));
        let words = String::from_utf8_lossy(&second.stderr).into_owned();
        assert!(words.contains(&format!("process {} on ", first.id())) && words.contains(what), "{words}");
    }
    let status = |arguments: &[&str]| String::from_utf8(study.regatta(arguments).stdout).unwrap();
    let told = status(&["status", "out"]);
    assert!(told.contains(&format!("run by process {} on ", first.id())) && told.contains("1 running"), "{told}");
    assert!(told.contains("trained by") && told.contains(&format!("60   process {} on ", first.id())), "{told}");
    signal("TERM", &[first.id()]);
    assert_eq!(first.wait().unwrap().code(), Some(143));
    let told = status(&["status", "out"]);
    assert!(told.contains("nobody is running it") && told.contains("1 done, 3 pending of 4 trials"), "{told}");
    let told: serde_json::Value = serde_json::from_str(&status(&["status", "out", "--json"])).unwrap();
    let slow = &told["trials"][1];
    assert_eq!((slow["name"].as_str(), slow["seed"].as_u64(), slow["steps"].as_u64()), (Some("slow"), Some(0), Some(60)));
    assert!(slow["made"].as_u64().unwrap() > 0 && slow["reason"].as_str().unwrap().contains("interrupted"), "{slow}");
}

/// The takeover needs half a minute in which the frozen runner shows no sign of life. When it wakes up, the trial is another's, and
/// it ends as a runner does that finds nothing left to train.
#[test]
fn a_frozen_runner_is_taken_over_and_writes_nothing_when_it_wakes() {
    let study = slow();
    let mut frozen = study.start("out", &["--checkpoint-every", "1steps"]);
    study.await_steps("out", "slow", 0);
    let all = [&[frozen.id()][..], &children(frozen.id())].concat();
    signal("STOP", &all);
    let started = Instant::now();
    let words = String::from_utf8_lossy(&study.run("out", &[], 0).stderr).into_owned();
    assert!(words.contains(&format!("waits for process {} on ", frozen.id())), "{words}");
    assert!(words.contains("no heartbeat for 30 s") && started.elapsed() > Duration::from_secs(25), "{words}");
    let state = |path: &std::path::Path| (std::fs::metadata(path).unwrap().modified().unwrap(), std::fs::read(path).unwrap());
    let files = ["status.json", "metrics.jsonl", "validation.jsonl", "evaluation.json", "checkpoint/model.safetensors"];
    let paths: Vec<_> = files.iter().map(|file| study.trial("out", "slow", 0).join(file)).collect();
    let before: Vec<_> = paths.iter().map(|path| state(path)).collect();
    signal("CONT", &all);
    assert_eq!(frozen.wait().unwrap().code(), Some(0));
    let mut words = String::new();
    frozen.stderr.take().unwrap().read_to_string(&mut words).unwrap();
    assert!(words.contains("taken over by"), "{words}");
    assert!(paths.iter().map(|path| state(path)).eq(before), "the runner that was frozen wrote something");
    assert!(!study.trial("out", "slow", 0).join("resume").exists());
}

/// Whether this process was started with SIGHUP ignored, which its children inherit and keep.
fn hangups_are_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[test]
fn signals_keep_the_state_within_a_step_and_two_seconds() {
    for (name, code) in [("INT", Some(130)), ("TERM", Some(143)), ("HUP", Some(129)), ("USR1", Some(0))] {
        if name == "HUP" && hangups_are_ignored() {
            println!("SIGHUP is left out: it is ignored here, as under nohup, and so it is by what is started here");
            continue;
        }
        let study = slow();
        let mut child = study.start("out", &[]);
        study.await_steps("out", "slow", 0);
        let asked = Instant::now();
        signal(name, &[child.id()]);
        assert_eq!(child.wait().unwrap().code(), code, "SIG{name}");
        assert!(asked.elapsed() < Duration::from_millis(2000 + 50), "SIG{name} took {:?}", asked.elapsed());
        let status = study.json("out", "slow", 0, "status.json");
        assert_eq!(status["state"], "pending");
        let made = study.metrics("out", "slow", 0).len();
        assert!(status["reason"].as_str().unwrap().contains(&format!("after {made} steps")), "{status}, {made} steps");
        study.run("out", &[], 0);
        assert_eq!(study.json("out", "slow", 0, "status.json")["resumed_from"], made as u64);
        let steps: Vec<_> = study.metrics("out", "slow", 0).iter().map(|line| line["step"].as_u64().unwrap()).collect();
        assert!(steps.iter().copied().eq(0..60), "{steps:?}");
    }
}

/// As `nohup regatta run ... &` on a machine to which the connection ends.
#[test]
fn a_run_under_nohup_goes_on_when_the_terminal_closes() {
    let study = slow();
    let program = env!("CARGO_BIN_EXE_regatta-under-test");
    let line = format!("trap '' HUP; exec {program} run study.yaml --out out > log 2>&1");
    let mut child = Command::new("sh").args(["-c", &line]).current_dir(study.path()).spawn().unwrap();
    study.await_steps("out", "slow", 0);
    signal("HUP", &[child.id()]);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(study.metrics("out", "slow", 1).len(), 60);
}

#[test]
fn a_second_interrupt_ends_at_once() {
    let study =
        Study::new(&tiny("  hung: [{regularizer: {misbehaving: {how: hang}}, weight: 0.1}]\n").replace("  baseline: []\n", ""));
    let mut child = study.start("out", &[]);
    let patience = Instant::now();
    while !study.trial("out", "hung", 0).join("metrics.jsonl").exists() && patience.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let workers = children(child.id());
    signal("INT", &[child.id()]);
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none(), "the first waits for the step that hangs");
    let asked = Instant::now();
    signal("INT", &[child.id()]);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(asked.elapsed() < Duration::from_millis(200));
    signal("KILL", &workers);
}

#[test]
fn another_order_or_another_name_redoes_nothing_and_another_setting_does() {
    let arms = ["  dispersion: [{regularizer: dispersion, weight: 0.1}]\n", "  vicreg: [{regularizer: vicreg, weight: 0.1}]\n"];
    let study = Study::new(&tiny(&arms.concat()));
    study.run("out", &[], 0);
    let written = |arm: &str| std::fs::metadata(study.trial("out", arm, 1).join("evaluation.json")).unwrap().modified().unwrap();
    let (first, second) = (written("dispersion"), written("vicreg"));
    let again = |text: &str| {
        std::fs::write(study.path().join("study.yaml"), text).unwrap();
        study.regatta(&["run", "study.yaml", "--out", "out"])
    };
    let reordered = tiny(&[arms[1], arms[0]].concat()).replace("steps: 8, batch_size: 4", "batch_size: 4, steps: 8");
    assert!(again(&reordered).status.success());
    assert!(again(&reordered.replace("dispersion:", "spread:").replace("vicreg:", "dispersion:")).status.success());
    assert_eq!((written("spread"), written("dispersion")), (first, second), "renamed, and one took the other's name");
    let other = again(&reordered.replace("batch_size: 4", "batch_size: 5"));
    assert_eq!(other.status.code(), Some(2));
    let words = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(words.contains("train.batch_size: 5, was 4"), "{words}");
}

/// Trials of another version, as a folder holds them after an upgrade.
#[test]
fn trials_of_another_version_are_kept_only_where_that_is_said() {
    let study = Study::new(&tiny("  vicreg: [{regularizer: vicreg, weight: 0.1}]\n").replace("seeds: [0, 1]", "seeds: [0]"));
    study.run("out", &[], 0);
    let edit = |file: &str, from: &str, to: &str| {
        let path = study.trial("out", "vicreg", 0).join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(path, text.replace(from, to)).unwrap();
    };
    let identity = study.json("out", "vicreg", 0, "status.json")["identity"].as_str().unwrap().to_owned();
    let version = study.json("out", "vicreg", 0, "trial.json")["versions"][0].as_str().unwrap().to_owned();
    edit("trial.json", &format!("\"{version}\""), "\"0.0.9\"");
    edit("status.json", &identity, "of an older version");
    let words = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    let refused = words(&study.run("out", &[], 2));
    assert!(refused.contains("other versions (") && refused.contains("--allow-mismatch to keep"), "{refused}");
    let weights = study.trial("out", "vicreg", 0).join("checkpoint/model.safetensors");
    let made = std::fs::metadata(&weights).unwrap().modified().unwrap();
    let kept = words(&study.regatta(&["run", "study.yaml", "--out", "out", "--allow-mismatch"]));
    assert!(kept.contains("vicreg, seed 0, kept: ") && kept.contains("was \"0.0.9\""), "{kept}");
    assert_eq!(std::fs::metadata(&weights).unwrap().modified().unwrap(), made);
    let manifest = std::fs::read_to_string(study.path().join("out/manifest.json")).unwrap();
    assert!(manifest.contains("vicreg, seed 0: "), "{manifest}");
    let page = std::fs::read_to_string(study.path().join("out/report.html")).unwrap();
    assert!(page.contains("Kept although other versions or formulas trained them"));

    edit("status.json", "\"done\"", "\"pending\"");
    assert!(study.regatta(&["run", "study.yaml", "--out", "out", "--allow-mismatch"]).status.success());
    assert_eq!(study.json("out", "vicreg", 0, "status.json")["identity"], identity, "what was not finished starts over");
    edit("trial.json", "\"seed\": 0", "\"seed\": 7");
    edit("status.json", &identity, "of other settings");
    assert!(words(&study.regatta(&["run", "study.yaml", "--out", "out", "--allow-mismatch"])).contains("other settings ("));
}

#[test]
fn data_that_changed_between_runs_is_refused() {
    let text = |seed: usize| (0..3000).map(|i| format!("{} ", (i * i + seed) % 97)).collect::<String>();
    let study = Study::new(&tiny("").replace(
        "data: {synthetic: {vocab_size: 32, classes: 4, topics: 2, train_tokens: 4000, validation_tokens: 600, test_tokens: 600}}",
        "tokenizer: bytes\ndata: {text: {file: text.txt}}",
    ));
    std::fs::write(study.path().join("text.txt"), text(0)).unwrap();
    study.run("out", &[], 0);
    std::fs::write(study.path().join("text.txt"), text(1)).unwrap();
    let said = String::from_utf8_lossy(&study.run("out", &[], 2).stderr).into_owned();
    assert!(said.contains("is there with other data (tokens: other contents of "), "{said}");
    assert!(said.contains("/text.txt than it was trained with): name another --out, or pass --fresh"), "{said}");
}

/// A file system of 300 kB: the trial fails and says so, and goes on when there is room.
#[test]
fn a_full_file_system_is_said_and_loses_nothing() {
    let study = Study::new(&tiny("").replace("seeds: [0, 1]", "seeds: [0]").replace("width: 16", "width: 96"));
    study.run("whole", &[], 0);
    std::fs::create_dir(study.path().join("small")).unwrap();
    let program = env!("CARGO_BIN_EXE_regatta-under-test");
    // in a name space of its own, where an ordinary user may mount; files are copied out, since it ends with the shell
    let script = format!(
        "mount -t tmpfs -o size=300k tmpfs small && {{ {program} run study.yaml --out small/out --checkpoint-every 2steps; echo status $?; \
         mount -o remount,size=64M small && {program} run study.yaml --out small/out; echo status $?; cp -r small/out out; }}"
    );
    let run = Command::new("unshare").args(["-Urm", "sh", "-c", &script]).current_dir(study.path()).output().unwrap();
    let (said, words) = (String::from_utf8_lossy(&run.stdout).into_owned(), String::from_utf8_lossy(&run.stderr).into_owned());
    if words.contains("unshare failed") || words.contains("Operation not permitted") {
        eprintln!("this machine lets nobody mount: {words}");
        return;
    }
    assert!(said.contains("status 1") && said.contains("status 0"), "{said}{words}");
    assert!(words.contains("No space left on device") && words.contains("bytes"), "{words}");
    study.assert_equal_trials("out", "whole", "baseline", 0, "after the disk was full");
}

#[test]
fn folders_that_cannot_be_used_are_refused_by_name_before_a_step() {
    let study = Study::new(&tiny("  vicreg: [{regularizer: vicreg, weight: 0.1}]\n").replace("seeds: [0, 1]", "seeds: [0]"));
    study.run("a folder ünd spaces/out", &[], 0);
    std::fs::write(study.path().join("file"), "x").unwrap();
    for out in ["file", "file/below", "/proc/regatta"] {
        let output = study.regatta(&["run", "study.yaml", "--out", out]);
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{words}");
        assert!(words.contains(out), "{words}");
    }
}
