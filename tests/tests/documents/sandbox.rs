//! A folder with every file that the documents name, so that their commands and studies find them. The corpora of its `configs` are
//! small.

use crate::root;
use std::fs;
use std::path::Path;
use std::process::Output;
use std::sync::OnceLock;
use std::time::Duration;
use tempfile::TempDir;

/// What a fragment of a study is added to.
pub const BASE: &str = "\
name: base
seeds: [0, 1]
model: {layers: 1, width: 16, heads: 2, context: 128}
tokenizer: bytes
data: {text: {file: text.txt, split: [0.6, 0.2, 0.2]}}
train: {steps: 2000, batch_size: 4, schedule: constant}
evaluate: {every: 2}
arms:
  baseline: []
  dispersion:
    - {regularizer: dispersion, weight: 0.1}
";

const TEXTS: [&str; 8] =
    ["text.txt", "shakespeare.txt", "held-out.txt", "wiki.txt", "code.txt", "train.txt", "validation.txt", "test.txt"];
const PAIR: &str = r#"{"sentence_good": "It helps itself.", "sentence_bad": "It helps himself."}"#;
const QUESTION: &str = r#"{"question": "What is wet?", "choices": ["water", "sand"], "answer": "A"}"#;
const SCORED: &str = r#"{"first": "a cup", "second": "a mug", "score": 4.5}"#;

pub struct Sandbox {
    folder: TempDir,
}

impl Sandbox {
    pub fn new() -> Self {
        let sandbox = Self { folder: tempfile::tempdir().unwrap() };
        let folder = sandbox.path();
        fs::write(folder.join("base.yaml"), BASE).unwrap();
        let line =
            |number: usize| format!("{} ships sailed past buoy {}, and {} came home.\n", number * 7, number % 13, number % 5);
        let text: String = (0..600).map(line).collect();
        for name in TEXTS {
            fs::write(folder.join(name), &text).unwrap();
        }
        for name in ["train.bin", "validation.bin"] {
            let ids = (0..4000u16).flat_map(|position| (position * 7 % 251).to_le_bytes());
            fs::write(folder.join(name), ids.collect::<Vec<u8>>()).unwrap();
        }
        fs::create_dir(folder.join("shards")).unwrap();
        for name in ["shards/train_000.bin", "shards/train_001.bin", "shards/validation.bin"] {
            let ids = (0..4000u32).flat_map(|position| (position * 7 % 251).to_le_bytes());
            fs::write(folder.join(name), ids.collect::<Vec<u8>>()).unwrap();
        }
        for name in ["shards/a.jsonl", "shards/b.jsonl"] {
            fs::write(folder.join(name), "{\"text\": \"Ships sailed past.\"}\n".repeat(200)).unwrap();
        }
        fs::create_dir(folder.join("blimp")).unwrap();
        let tasks = [("blimp/transitive.jsonl", PAIR), ("blimp/anaphor_gender_agreement.jsonl", PAIR)];
        for (name, item) in tasks.into_iter().chain([("questions.jsonl", QUESTION), ("similar.jsonl", SCORED)]) {
            let other = item.replace("4.5", "1.5"); // a rank needs two scores
            fs::write(folder.join(name), format!("{item}\n{other}\n{item}\n")).unwrap();
        }
        for entry in fs::read_dir(root().join("tests/golden/tasks")).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
        }
        fs::create_dir(folder.join("configs")).unwrap();
        for entry in fs::read_dir(root().join("configs")).unwrap() {
            let path = entry.unwrap().path();
            let study = fs::read_to_string(&path).unwrap();
            let study =
                study.replace("train_tokens: 1000000", "train_tokens: 20000").replace("test_tokens: 65536", "test_tokens: 8192");
            fs::write(folder.join("configs").join(path.file_name().unwrap()), study).unwrap();
        }
        for name in ["configs/shakespeare.txt", "configs/text.txt"] {
            fs::write(folder.join(name), &text).unwrap();
        }
        sandbox
    }

    /// With a trained model in `checkpoint` and its tokenizer beside it, for studies that start from one.
    pub fn with_checkpoint() -> Self {
        static TRAINED: OnceLock<Sandbox> = OnceLock::new();
        let trained = TRAINED.get_or_init(|| {
            let sandbox = Self::new();
            let output = sandbox.regatta(&["run", "base.yaml", "--out", "base", "--set", "seeds=1", "--set", "train.steps=4"]);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            sandbox
        });
        let sandbox = Self::new();
        let from = trained.path().join("base/trials/baseline/seed-0/checkpoint");
        copy(&from, &sandbox.path().join("checkpoint"));
        fs::copy(from.join("tokenizer.json"), sandbox.path().join("tokenizer.json")).unwrap();
        sandbox
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn regatta(&self, arguments: &[&str]) -> Output {
        let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_regatta-under-test"));
        command.current_dir(self.path()).args(arguments).timeout(Duration::from_secs(60)).output().unwrap()
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}
