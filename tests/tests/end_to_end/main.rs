//! Whole runs of the program, as a user makes them.

mod accumulate;
mod capacity;
mod companions;
mod devices;
mod export;
mod fair;
mod families;
mod faults;
mod folder;
mod formulas;
mod fresh;
mod identical;
mod input;
mod instructions;
mod interventions;
mod losses;
mod missing;
mod named_tasks;
mod optimizers;
mod page;
mod places;
mod projection;
mod rates;
mod resume;
mod runners;
mod starters;
mod statistics;
mod submit;
mod sweeps;
mod tasks;
mod tokens;
mod verbs;
mod warm_start;
mod watch;
mod workers;
mod worth;

use regatta_builtin as _; // configs name the built-in regularizers
use std::path::{Path, PathBuf};
use std::process::Output;

/// A study so small that a trial takes a fraction of a second: baseline and whatever arms are given.
fn tiny(arms: &str) -> String {
    format!(
        "\
name: tiny
seeds: [0, 1]
model: {{layers: 1, width: 16, heads: 2, context: 16}}
data: {{synthetic: {{vocab_size: 32, classes: 4, topics: 2, train_tokens: 4000, validation_tokens: 600, test_tokens: 600}}}}
train: {{steps: 8, batch_size: 4, schedule: constant}}
evaluate: {{every: 4}}
arms:
  baseline: []
{arms}"
    )
}

/// The device that tests of the second engine train on: candle's CPU, or what `tests/devices/run` names.
fn test_device() -> String {
    std::env::var("REGATTA_TEST_DEVICE").unwrap_or_else(|_| "candle".into())
}

/// A folder with a study in it, and the program to run there.
struct Study {
    folder: tempfile::TempDir,
}

impl Study {
    fn new(yaml: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("study.yaml"), yaml).unwrap();
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn command(&self, arguments: &[&str]) -> assert_cmd::Command {
        let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_regatta-under-test"));
        command.current_dir(self.path()).args(arguments).timeout(std::time::Duration::from_secs(120));
        command
    }

    fn regatta(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs the study into `out` and expects the exit status.
    fn run(&self, out: &str, more: &[&str], status: i32) -> Output {
        let output = self.regatta(&[&["run", "study.yaml", "--out", out], more].concat());
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(status), "{text}");
        assert!(!text.contains("RUST_BACKTRACE") || text.contains("on purpose"), "a panic: {text}");
        output
    }

    /// Starts the study into `out` and returns while it runs.
    fn start(&self, out: &str, more: &[&str]) -> std::process::Child {
        std::process::Command::new(env!("CARGO_BIN_EXE_regatta-under-test"))
            .args([&["run", "study.yaml", "--out", out], more].concat())
            .current_dir(self.path())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Waits until a trial has made its first steps.
    fn await_steps(&self, out: &str, arm: &str, seed: u64) {
        let metrics = self.trial(out, arm, seed).join("metrics.jsonl");
        let patience = std::time::Instant::now();
        while std::fs::metadata(&metrics).map_or(0, |file| file.len()) == 0 {
            assert!(patience.elapsed() < std::time::Duration::from_secs(60), "no step of {arm} after a minute");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// Whether two trials made the same steps, validations and weights; steps are those of the reference, each once.
    fn assert_equal_trials(&self, out: &str, reference: &str, arm: &str, seed: u64, what: &str) {
        assert_eq!(self.metrics(out, arm, seed), self.metrics(reference, arm, seed), "{what}: metrics");
        let validations = |out: &str| std::fs::read_to_string(self.trial(out, arm, seed).join("validation.jsonl")).unwrap();
        assert_eq!(validations(out), validations(reference), "{what}: validations");
        let diagnoses = |out: &str| std::fs::read_to_string(self.trial(out, arm, seed).join("diagnostics.jsonl")).ok();
        assert_eq!(diagnoses(out), diagnoses(reference), "{what}: diagnoses");
        assert!(self.weights(out, arm, seed) == self.weights(reference, arm, seed), "{what}: weights");
        let loss = |out: &str| self.json(out, arm, seed, "evaluation.json")["loss"].clone();
        assert_eq!(loss(out), loss(reference), "{what}: held-out loss");
    }

    fn trial(&self, out: &str, arm: &str, seed: u64) -> PathBuf {
        self.path().join(out).join("trials").join(arm).join(format!("seed-{seed}"))
    }

    /// The lines of metrics.jsonl without the times.
    fn metrics(&self, out: &str, arm: &str, seed: u64) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.trial(out, arm, seed).join("metrics.jsonl")).unwrap();
        let timeless = |line: &str| -> serde_json::Value {
            let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
            line.as_object_mut().unwrap().remove("tokens_per_second").unwrap();
            line
        };
        text.lines().map(timeless).collect()
    }

    fn weights(&self, out: &str, arm: &str, seed: u64) -> Vec<u8> {
        std::fs::read(self.trial(out, arm, seed).join("checkpoint/model.safetensors")).unwrap()
    }

    fn json(&self, out: &str, arm: &str, seed: u64, file: &str) -> serde_json::Value {
        serde_json::from_str(&std::fs::read_to_string(self.trial(out, arm, seed).join(file)).unwrap()).unwrap()
    }
}
