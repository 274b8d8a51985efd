//! Several runners that share one folder: the trials of one, each trained once, with the same bytes.

use crate::{Study, tiny};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Two arms of trials that take a second each.
fn slow(seeds: &str) -> Study {
    let text = tiny(
        "  slow: [{regularizer: {misbehaving: {how: sleep}}, weight: 0.001}]\n  other: [{regularizer: vicreg, weight: 0.1}]\n",
    );
    Study::new(&text.replace("seeds: [0, 1]", &format!("seeds: {seeds}")).replace("steps: 8", "steps: 20"))
}

/// Waits for each; its exit status and what it wrote to stderr.
fn ends(runners: Vec<Child>) -> Vec<(Option<i32>, String)> {
    let end = |runner: Child| {
        let output = runner.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    runners.into_iter().map(end).collect()
}

/// Which runner trained each of these trials.
fn trained_by(study: &Study, out: &str, arms: &[&str], seeds: std::ops::Range<u64>) -> BTreeSet<String> {
    let of = |arm: &str, seed| study.json(out, arm, seed, "status.json")["runner"].as_str().unwrap().to_owned();
    arms.iter().flat_map(|arm| seeds.clone().map(move |seed| of(arm, seed))).collect()
}

/// The results without those of time.
fn timeless_results(folder: &Path) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(folder.join("results.csv")).unwrap();
    let rows: Vec<Vec<String>> = text.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect();
    let timed =
        |name: &str| ["seconds", "_ms", "per_second", "memory", "rss", "joules", "wall"].iter().any(|word| name.contains(word));
    let kept: Vec<usize> = (0..rows[0].len()).filter(|&column| !timed(&rows[0][column])).collect();
    assert!(kept.len() > 10 && kept.len() < rows[0].len(), "{:?}", rows[0]);
    rows.iter().map(|row| kept.iter().filter_map(|&column| row.get(column).cloned()).collect()).collect()
}

#[test]
fn three_runners_share_the_trials_and_end_with_the_bytes_of_one() {
    let study = slow("3");
    study.run("whole", &[], 0);
    let started = (0..3).map(|_| study.start("out", &[])).collect();
    for (code, words) in ends(started) {
        assert_eq!(code, Some(0), "{words}");
        assert!(!words.contains("panicked"), "{words}");
    }
    for arm in ["baseline", "slow", "other"] {
        for seed in 0..3 {
            study.assert_equal_trials("out", "whole", arm, seed, "three runners");
            assert_eq!(study.json("out", arm, seed, "status.json")["attempt"], 1, "{arm}, seed {seed} was taken twice");
        }
    }
    assert!(trained_by(&study, "out", &["baseline", "slow", "other"], 0..3).len() > 1, "one runner did it all");
    assert_eq!(timeless_results(&study.path().join("out")), timeless_results(&study.path().join("whole")));
    let plan = |out: &str| std::fs::read_to_string(study.path().join(out).join("plan.json")).unwrap();
    assert_eq!(plan("out"), plan("whole"));
}

#[test]
fn tuning_ends_before_any_runner_judges() {
    let study =
        Study::new(&(tiny("  other: [{regularizer: vicreg, weight: 0.1}]\n") + "tune: {weight: [0.01, 0.1, 1.0], seeds: 2}\n"));
    study.run("whole", &[], 0);
    for (code, words) in ends((0..2).map(|_| study.start("out", &[])).collect()) {
        assert_eq!(code, Some(0), "{words}");
    }
    let file = |out: &str, name: &str| std::fs::read_to_string(study.path().join(out).join(name)).unwrap();
    for name in ["tuning.json", "plan.json", "study.yaml"] {
        assert_eq!(file("out", name), file("whole", name), "{name}");
    }
    for seed in 0..2 {
        study.assert_equal_trials("out", "whole", "other", seed, "two runners");
    }
    // one that joins when tuning has ended changes nothing of what was chosen
    study.run("out", &[], 0);
    assert_eq!(file("out", "plan.json"), file("whole", "plan.json"));
}

#[test]
fn a_runner_that_does_not_wait_leaves_the_rest_and_one_that_waits_takes_it_over() {
    let study = slow("1");
    let mut first = study.start("out", &[]);
    study.await_steps("out", "slow", 0);
    let left = study.regatta(&["run", "study.yaml", "--out", "out", "--no-wait"]);
    let words = String::from_utf8_lossy(&left.stderr).into_owned();
    assert!(left.status.success() && words.contains("trained by other runners"), "{words}");
    assert_eq!(study.json("out", "other", 0, "status.json")["state"], "done", "it trained what was free");
    assert!(!study.path().join("out/report.html").exists(), "whoever is last writes the report");
    let second = study.start("out", &["--checkpoint-every", "1steps"]);
    std::thread::sleep(Duration::from_millis(300));
    first.kill().unwrap();
    first.wait().unwrap();
    let (code, words) = ends(vec![second]).remove(0);
    assert_eq!(code, Some(0), "{words}");
    assert!(words.contains("waits for process") && words.contains("ended without giving"), "{words}");
    assert!(study.path().join("out/report.html").exists());
}

#[test]
fn seeds_are_divided_between_runners() {
    let study = slow("4");
    let words = |more: &[&str], code| String::from_utf8_lossy(&study.run("out", more, code).stderr).into_owned();
    assert!(words(&["--seeds", "0,9"], 2).contains("--seeds: expected seeds of the study (0, 1, 2, 3), found 9"));
    assert!(words(&["--seeds", "1,3"], 0).contains("left to them"));
    for (seed, is_there) in [(0, false), (1, true), (2, false), (3, true)] {
        assert_eq!(study.trial("out", "other", seed).join("evaluation.json").exists(), is_there, "seed {seed}");
    }
    study.run("out", &["--seeds", "0,2"], 0);
    assert!(study.path().join("out/report.html").exists());
}

#[test]
fn what_failed_under_one_runner_is_tried_again_by_none_beside_it() {
    let arms = "  broken: [{regularizer: {misbehaving: {how: fail}}, weight: 0.1}]\n  slow: [{regularizer: {misbehaving: {how: sleep}}, weight: 0.001}]\n";
    let study = Study::new(&tiny(arms).replace("steps: 8", "steps: 40"));
    for (code, words) in ends((0..3).map(|_| study.start("out", &[])).collect()) {
        assert_eq!(code, Some(1), "{words}");
    }
    for seed in 0..2 {
        let status = study.json("out", "broken", seed, "status.json");
        assert_eq!((status["state"].as_str(), status["attempt"].as_u64()), (Some("failed"), Some(1)), "{status}");
    }
    study.run("out", &[], 1);
    assert_eq!(study.json("out", "broken", 0, "status.json")["attempt"], 2, "a later run tries again");
}

/// A runner that wanted no further trial after a failure looked for one all the same, and subtracted below 0.
#[test]
fn runners_that_stop_at_a_failure_stop_at_that_of_another() {
    let arms = "  slow: [{regularizer: {misbehaving: {how: sleep}}, weight: 0.001}]\n  broken: [{regularizer: {misbehaving: {how: fail}}, weight: 0.1}]\n";
    let study = Study::new(&tiny(arms).replace("steps: 8", "steps: 40"));
    let first = study.start("out", &[]);
    study.await_steps("out", "slow", 0);
    let others = (0..2).map(|_| study.start("out", &["--fail-fast"])).collect();
    for (code, words) in ends(others) {
        assert!(code == Some(1) && !words.contains("panicked"), "{code:?} {words}");
    }
    assert_eq!(ends(vec![first])[0].0, Some(1));
}

#[test]
fn a_failure_while_tuning_ends_a_run_that_stops_at_failures_before_it_judges() {
    let text =
        tiny("  broken: [{regularizer: {misbehaving: {how: fail}}, weight: 0.1}]\n") + "tune: {weight: [0.01, 0.1], seeds: 1}\n";
    let study = Study::new(&text);
    study.run("out", &["--fail-fast"], 1);
    assert!(!study.trial("out", "baseline", 0).exists(), "it judged with half a table");
}

#[test]
fn a_candidate_that_diverges_is_a_result_of_tuning_and_no_failure() {
    let text =
        tiny("  nan: [{regularizer: {misbehaving: {how: nan}}, weight: 0.1}]\n") + "tune: {weight: [0.01, 0.1], seeds: 1}\n";
    let study = Study::new(&text);
    study.run("out", &["--fail-fast"], 1);
    assert_eq!(study.json("out", "baseline", 1, "status.json")["state"], "done");
}

/// On another machine, where this one cannot ask for the process. A runner that does not wait gave up the trial of a dead node, and
/// a study whose last task it was stayed without it.
#[test]
fn a_runner_that_does_not_wait_makes_sure_first_that_others_live() {
    let study = slow("1");
    let put = |name: &str, text: &str| {
        let path = study.path().join("out").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    put("runners/far.json", r#"{"id": "far", "host": "far", "pid": 1, "session": "far", "started": 1}"#);
    put("runners/turn.1", r#"{"runner": "far", "host": "far", "pid": 1, "attempt": 1, "released": true}"#);
    put("trials/slow/seed-0/lease.1", r#"{"runner": "far", "host": "far", "pid": 1, "attempt": 1, "released": false}"#);
    let words = String::from_utf8_lossy(&study.run("out", &["--no-wait"], 0).stderr).into_owned();
    assert!(words.contains("no heartbeat for 30 s"), "{words}");
    assert_eq!(study.json("out", "slow", 0, "status.json")["attempt"], 2, "{words}");
    assert!(study.path().join("out/report.html").exists());
}

/// While a trial that failed is held to be tried again, it is not over for anybody.
#[test]
fn a_trial_that_is_tried_again_is_waited_for() {
    let arms = "  flaky: [{regularizer: {misbehaving: {how: abort, after: 12}}, weight: 0.001}]\n";
    let study = Study::new(&tiny(arms).replace("steps: 8", "steps: 30").replace("seeds: [0, 1]", "seeds: [0]"));
    let often = ["--retry", "9", "--checkpoint-every", "1steps"];
    let first = study.start("out", &often);
    study.await_steps("out", "flaky", 0);
    let second = study.start("out", &often);
    for (code, words) in ends(vec![first, second]) {
        assert_eq!(code, Some(0), "{words}");
    }
    assert_eq!(study.json("out", "flaky", 0, "status.json")["attempt"], 1);
}

/// Asked to stop while another runner prepares the folder, it tried to report a study that was not there yet.
#[test]
fn a_runner_that_waits_for_its_turn_stops_when_it_is_asked_to() {
    let study = slow("1");
    std::fs::create_dir_all(study.path().join("out/runners")).unwrap();
    let put = |name: &str, text: &str| std::fs::write(study.path().join("out/runners").join(name), text).unwrap();
    put("far.json", r#"{"id": "far", "host": "far", "pid": 1, "session": "far", "started": 1}"#);
    put("turn.4", r#"{"runner": "far", "host": "far", "pid": 1, "attempt": 4, "released": false}"#);
    let child = study.start("out", &[]);
    std::thread::sleep(Duration::from_millis(2500));
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    let begun = Instant::now();
    let (code, words) = ends(vec![child]).remove(0);
    assert!(code == Some(143) && begun.elapsed() < Duration::from_secs(2), "{code:?} {words}");
    assert!(words.contains("waits for process 1 on far"), "{words}");
}

/// Where `flock` fails as it does on Lustre without it, everything works: a library that stands before the system's makes it fail.
#[test]
fn nothing_needs_file_locks() {
    let study = slow("1");
    let library = study.path().join("noflock.so");
    let source = study.path().join("noflock.c");
    std::fs::write(
        &source,
        "#include <errno.h>\nint flock(int file, int what) { (void)file; (void)what; errno = ENOSYS; return -1; }\n",
    )
    .unwrap();
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
    assert!(built.unwrap().success(), "the project needs a C compiler");
    let start = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_regatta-under-test"));
        command.args(["run", "study.yaml", "--out", "out"]).env("LD_PRELOAD", &library).current_dir(study.path());
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    for (code, words) in ends((0..2).map(|_| start()).collect()) {
        assert_eq!(code, Some(0), "{words}");
    }
    study.run("whole", &[], 0);
    study.assert_equal_trials("out", "whole", "slow", 0, "without locks");
}

/// Kills one of three runners at random times and starts another in its place:
/// `REGATTA_KILLS=200 cargo test --release --test end_to_end -- three_runners_that_are_killed`.
#[test]
fn three_runners_that_are_killed_at_random_lose_nothing() {
    use regatta_core::Draw;
    let kills: usize = std::env::var("REGATTA_KILLS").map_or(10, |count| count.parse().unwrap());
    let study = slow("2");
    study.run("whole", &[], 0);
    let (mut draw, mut killed, mut round) = (Draw::new(0, "kills", 1, 0), 0, 0);
    while killed < kills {
        round += 1;
        let out = format!("out-{round}");
        let start = || study.start(&out, &["--checkpoint-every", "1steps"]);
        let mut runners = [start(), start(), start()];
        let begun = Instant::now();
        while killed < kills && runners.iter_mut().all(|runner| runner.try_wait().unwrap().is_none()) {
            std::thread::sleep(Duration::from_millis(draw.below(400) as u64));
            let victim = draw.below(3);
            runners[victim].kill().unwrap();
            runners[victim].wait().unwrap();
            killed += 1;
            runners[victim] = start();
            assert!(begun.elapsed() < Duration::from_secs(300), "round {round} does not end");
        }
        for (code, words) in ends(runners.into()) {
            assert_eq!(code, Some(0), "round {round}: {words}");
        }
        for arm in ["baseline", "slow", "other"] {
            for seed in 0..2 {
                study.assert_equal_trials(&out, "whole", arm, seed, &format!("round {round}, {killed} kills"));
            }
        }
        assert_eq!(timeless_results(&study.path().join(&out)), timeless_results(&study.path().join("whole")));
        std::fs::remove_dir_all(study.path().join(&out)).unwrap();
    }
    println!("{killed} kills among three runners, {round} studies, all with the bytes of one runner that was not killed");
}
