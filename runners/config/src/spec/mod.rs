//! A study: one YAML file and the files that it extends, read and checked as a whole.

mod arms;
mod baseline;
mod effects;
mod extends;
mod file;
mod files;
mod hints;
mod label;
mod layer;
mod limits;
mod overrides;
mod path;
mod pattern;
mod refusal;
mod regularizer;
mod schedules;
mod seeds;
mod source;
mod sweep;
mod tune;
mod understand;
mod vary;
mod wording;

pub use arms::Arm;
pub use baseline::baseline;
pub use file::StudyFile;
pub use limits::Size;
pub use refusal::{Origin, Refusal};
pub use regularizer::{regularizer, section};
pub use sweep::Variant;
pub use tune::{Candidate, Metric, Tune, Winner};
pub use vary::{Assignment, Axis, Vary};

use crate::yaml;
use regatta_core::forms::{Choice, bare_or_map};
use regatta_lm::spec::{DataSpec, EvaluateSpec, ModelSpec, TokenizerSpec, TrainSpec};
use schemars::JsonSchema;
use seeds::Seeds;
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A question, and all settings of the trials that answer it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Study {
    /// Name of the study, and of the folder of its results; the file's stem where it is not named.
    #[schemars(with = "Option<String>")]
    pub name: String,
    /// The question that the study answers, in a sentence at the top of its page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// Every arm is trained once with each seed.
    #[serde(default = "three_seeds", deserialize_with = "Seeds::<0>::read")]
    #[schemars(with = "Option<Seeds<0>>")]
    pub seeds: Vec<u64>,
    /// The model that every arm trains. Options that are not named are those of its `family`; the defaults here are of `gpt2`.
    #[serde(default)]
    #[schemars(with = "Option<ModelSpec>")]
    pub model: ModelSpec,
    /// How text becomes tokens. Where it is not named: by the tokenizer of the checkpoint that the model starts from, or else by
    /// `bpe`; synthetic words are tokens themselves.
    #[schemars(with = "Option<Choice<TokenizerSpec>>")]
    #[serde(default, deserialize_with = "TokenizerSpec::optional", skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<TokenizerSpec>,
    /// Where tokens come from. A path is looked up beside the file that names it, then in the current folder.
    #[serde(default, deserialize_with = "bare_or_map")]
    #[schemars(with = "Option<Choice<DataSpec>>")]
    pub data: DataSpec,
    /// How every arm is trained.
    #[serde(default)]
    #[schemars(with = "Option<TrainSpec>")]
    pub train: TrainSpec,
    /// What is measured, and how often.
    #[serde(default)]
    #[schemars(with = "Option<EvaluateSpec>")]
    pub evaluate: EvaluateSpec,
    /// The arms that are compared, by name and in the order of the page: each a list of regularizers with their weights, of
    /// interventions, and of at most one learning rate. An empty list is the baseline.
    #[serde(serialize_with = "arms::write", deserialize_with = "arms::read")]
    #[schemars(with = "arms::Arms")]
    pub arms: Vec<Arm>,
    /// Fields that take several values: every arm is trained at every point, and arms are compared within a point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vary: Option<Vary>,
    /// Weights and learning rates that are tuned for each arm, with the same number of trials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tune: Option<Tune>,
    /// Path of another study's file, whose settings hold where this file has none; only in a file, not with `--set`.
    #[serde(default, rename = "extends", skip_serializing, deserialize_with = "only_in_a_file")]
    #[schemars(with = "Option<PathBuf>")]
    _extends: (),
    /// Sections that are written as the user wrote them; see [`understand::open`].
    #[serde(skip)]
    open: Vec<understand::Open>,
}

impl Study {
    /// Reads the study in the file at `path`, with overrides such as `train.steps=50`.
    ///
    /// # Errors
    /// When it is not a legal study, with the place, what was expected and what was found.
    pub fn read(path: &Path, overrides: &[String]) -> Result<Self, Refusal> {
        StudyFile::read(path, overrides).map(|file| file.study)
    }

    /// The study with every default spelled out; reading it gives an equal study with equal variants. Defaults that depend on what
    /// is varied (`model.mlp_width` on a varied `model.width`) are left out.
    ///
    /// # Panics
    /// When a regularizer cannot be written, which is refused as a study is read.
    pub fn to_yaml(&self) -> String {
        let mut written = self.plain();
        self.open.iter().for_each(|section| section.put(&mut written));
        yaml::write(&written)
    }

    /// The arm that others are compared with, by its index: the first whose list is empty, else the first without interventions
    /// whose weights are all 0, else the first.
    pub fn baseline(&self) -> usize {
        baseline(&self.arms.iter().map(|arm| arm.weights().collect()).collect::<Vec<_>>())
    }

    /// Each arm that says, every default spelled out, the same as one before it, and the first that does: they are one arm under two
    /// names, and a comparison of them compares it with itself.
    pub fn twins(&self) -> Vec<(&str, &str)> {
        let whole = |arm: &Arm| {
            let mut list = serde_json::to_value(arm.list()).ok()?;
            list.as_array_mut().into_iter().for_each(|list| list.retain(|entry| entry.get("lr").is_none()));
            Some(format!("{} {list}", self.train_of(arm).lr.get())) // a learning rate may be the study's or the arm's own
        };
        let lists: Vec<_> = self.arms.iter().map(whole).collect();
        let first =
            |index: usize| lists.iter().position(|list| list.is_some() && *list == lists[index]).filter(|first| *first < index);
        let twin = |index: usize| Some((self.arms[index].name.as_str(), self.arms[first(index)?].name.as_str()));
        (0..self.arms.len()).filter_map(twin).collect()
    }

    /// How `arm` is trained: the study's `train`, with the arm's own learning rate where it has one.
    pub fn train_of(&self, arm: &Arm) -> TrainSpec {
        TrainSpec { lr: arm.lr().unwrap_or(self.train.lr), ..self.train.clone() }
    }

    fn plain(&self) -> Value {
        serde_json::to_value(self).expect("a study that was read can be written")
    }
}

/// Equal as written, in order: a regularizer is a trait object, and its fields are all there is to it.
impl PartialEq for Study {
    fn eq(&self, other: &Self) -> bool {
        match (serde_json::to_string(self), serde_json::to_string(other)) {
            (Ok(this), Ok(other)) => this == other,
            _ => false,
        }
    }
}

fn three_seeds() -> Vec<u64> {
    vec![0, 1, 2]
}

fn only_in_a_file<'de, D: Deserializer<'de>>(_: D) -> Result<(), D::Error> {
    Err(de::Error::custom("expected it in a study's file: files are joined before anything is set"))
}

#[cfg(test)]
mod tests;
