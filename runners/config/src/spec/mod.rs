//! A study as users write it: one YAML file and what it extends, read whole and judged whole before anything is trained or
//! written.

mod arms;
mod baseline;
mod extends;
mod file;
mod hints;
mod label;
mod layer;
mod limits;
mod overrides;
mod paths;
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
pub use arms::folders;
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

/// One question, and everything needed to answer it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Study {
    /// What it is called; the file's stem where it is not named.
    #[schemars(with = "Option<String>")]
    pub name: String,
    /// What it asks, for the reader of its report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// One trial of each arm a seed. Written as a list, or as a count: 3 means [0, 1, 2].
    #[serde(default = "three_seeds", deserialize_with = "Seeds::<0>::read")]
    #[schemars(with = "Option<Seeds<0>>")]
    pub seeds: Vec<u64>,
    /// The model that every arm trains.
    #[serde(default)]
    #[schemars(with = "Option<ModelSpec>")]
    pub model: ModelSpec,
    /// How text becomes tokens.
    #[schemars(with = "Option<Choice<TokenizerSpec>>")]
    #[serde(default, deserialize_with = "TokenizerSpec::optional", skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<TokenizerSpec>,
    /// Where tokens come from; paths are absolute.
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
    /// What is compared, in the order written.
    #[serde(serialize_with = "arms::write", deserialize_with = "arms::read")]
    #[schemars(with = "arms::Arms")]
    pub arms: Vec<Arm>,
    /// What is varied, where the arms are compared at more than one point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vary: Option<Vary>,
    /// What is tuned for each arm, with the same budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tune: Option<Tune>,
    /// What the study's file starts from. It is resolved as files are read, so a study never holds it.
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

    /// The study as understood, every default spelled out; reading it gives an equal study with equal variants. Defaults that
    /// follow what is varied (`model.mlp_width` a varied `model.width`) are left to follow it.
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

    /// How `arm` is trained: as the study says, with the arm's own learning rate where it has one.
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
