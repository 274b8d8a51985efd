//! `study.yaml` of a finished or running study, as far as its results are made from it.
//!
//! These types are not [`regatta_config::Study`], for two reasons. A folder is read where neither its data nor its plugins are, so
//! terms stay as written. And folders of earlier versions stay readable: fields that results do not use are ignored, fields that
//! came later may be missing, and a missing field that every version wrote is an error with its name.

use super::terms::Terms;
use regatta_config::{Study, Vary, yaml};
use regatta_core::forms::bare_or_map;
use regatta_core::kernels::Precision;
use regatta_core::number::{Fraction, NonNegative};
use regatta_lm::spec::{AdamWSpec, OptimizerSpec};
use regatta_records::{RecordError, study_of_a_run};
use serde::Deserialize;
use serde_json::{Map, Number, Value};
use std::path::Path;

/// The parts of a study that results need.
#[derive(Debug, Deserialize)]
pub(super) struct StudyRecord {
    pub name: String,
    #[serde(default)]
    pub question: Option<String>,
    /// As a run writes them: always a list.
    pub seeds: Vec<u64>,
    /// Left out where the sweep names all of it.
    #[serde(default)]
    pub model: ModelSection,
    pub train: TrainSection,
    /// Left out by folders older than what is read of it.
    #[serde(default)]
    pub evaluate: EvaluateSection,
    /// Of each arm its list, as written.
    pub arms: Map<String, Value>,
    #[serde(default)]
    pub vary: Option<Vary>,
    #[serde(default)]
    pub tune: Option<TuneSection>,
    #[serde(skip)]
    written: Value,
}

/// `model:`
#[derive(Debug, Default, Deserialize)]
pub(super) struct ModelSection {
    /// The checkpoint folder that training starts from.
    #[serde(default)]
    pub init: Option<String>,
}

/// `train:`. Numbers that are only shown keep the digits of the file.
#[derive(Debug, Deserialize)]
pub(super) struct TrainSection {
    /// Sequences per step.
    pub batch_size: usize,
    /// `None` where the study gives tokens, or the sweep the steps.
    #[serde(default)]
    pub steps: Option<usize>,
    pub lr: Number,
    /// `None` where the sweep chooses it.
    #[serde(default)]
    pub schedule: Option<Value>,
    pub grad_clip: Value,
    pub dropout: Number,
    /// Left out by folders older than the choice of a precision, and where the sweep chooses it.
    #[serde(default)]
    pub precision: Precision,
    #[serde(default)]
    optimizer: Option<Chosen>,
    /// AdamW's, in folders older than the choice of an optimizer.
    #[serde(default)]
    betas: Option<[Fraction; 2]>,
    #[serde(default)]
    weight_decay: Option<NonNegative>,
}

/// `{adamw: {...}}`, or the bare name that a user wrote.
#[derive(Debug, Deserialize)]
struct Chosen(#[serde(deserialize_with = "bare_or_map")] OptimizerSpec);

/// `evaluate:`
#[derive(Debug, Default, Deserialize)]
pub(super) struct EvaluateSection {
    /// The validation loss to reach; the baseline's final one, where none is named.
    #[serde(default)]
    pub target: Option<f64>,
}

/// `tune:`
#[derive(Debug, Deserialize)]
pub(super) struct TuneSection {
    #[serde(default)]
    pub weight: Option<Vec<Number>>,
    #[serde(default)]
    pub lr: Option<Vec<Number>>,
    pub seeds: Vec<u64>,
}

impl StudyRecord {
    /// Reads `study.yaml` in the folder of a run.
    pub fn read(folder: &Path) -> Result<Self, RecordError> {
        let text = study_of_a_run(folder)?;
        Self::parse(&text).map_err(|message| RecordError::new(&folder.join("study.yaml"), message))
    }

    pub fn parse(text: &str) -> Result<Self, String> {
        let written = yaml::parse(text).map_err(|fault| format!("line {}: {}", fault.place.line, fault.message))?;
        let study: Self = serde_path_to_error::deserialize(&written).map_err(|error| refused(&error))?;
        Ok(Self { written, ..study })
    }

    /// Name and list of each arm, in the order written.
    pub fn arms(&self) -> Result<Vec<(&str, Terms)>, String> {
        let read = |(name, list)| match Terms::read(list) {
            Ok(terms) => Ok((String::as_str(name), terms)),
            Err(message) => Err(format!("arms.{name}: {message}")),
        };
        self.arms.iter().map(read).collect()
    }

    /// Whether the sweep names a field below `path`, or `path` itself.
    pub fn varies(&self, path: &str) -> bool {
        assignments(self.vary.as_ref())
            .iter()
            .any(|(varied, _)| varied.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
    }

    /// The first of `sections` that `study` has other settings in.
    pub fn differs_from<'a>(&self, study: &Study, sections: &[&'a str]) -> Result<Option<&'a str>, String> {
        let other = yaml::parse(&study.to_yaml()).map_err(|fault| fault.message)?;
        Ok(sections.iter().copied().find(|section| other[*section] != self.written[*section]))
    }
}

impl TrainSection {
    /// `None` where the sweep chooses it.
    pub fn optimizer(&self) -> Option<OptimizerSpec> {
        if let Some(Chosen(optimizer)) = self.optimizer {
            return Some(optimizer);
        }
        let (betas, weight_decay) = self.betas.zip(self.weight_decay)?;
        Some(OptimizerSpec::AdamW(AdamWSpec { betas, weight_decay, ..AdamWSpec::default() }))
    }
}

/// Each path that a sweep names with each of its values, in the order written.
pub(super) fn assignments(vary: Option<&Vary>) -> Vec<(&str, &Value)> {
    match vary {
        None => Vec::new(),
        Some(Vary::Product(axes)) => {
            axes.iter().flat_map(|axis| axis.values.iter().map(move |value| (axis.path.as_str(), value))).collect()
        }
        Some(Vary::Points(points)) => points.iter().flatten().map(|set| (set.path.as_str(), &set.value)).collect(),
    }
}

fn refused(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    let (path, message) = (error.path().to_string(), error.inner().to_string());
    match message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        Some(field) if path == "." => format!("expected `{field}`, found none"),
        Some(field) => format!("expected `{path}.{field}`, found none"),
        None => format!("{path}: {message}"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A study as the first versions wrote it, and `more` lines at its end.
    pub(crate) fn early(more: &str) -> Result<StudyRecord, String> {
        let text = "{name: s, seeds: [0, 1], model: {width: 16}, arms: {baseline: [], a: [{regularizer: gone, weight: 0.1}]},\n\
                    train: {steps: 5, batch_size: 4, lr: 0.001, schedule: constant, betas: [0.9, 0.99], weight_decay: 0.01,\n\
                    grad_clip: none, dropout: 0.0}";
        StudyRecord::parse(&format!("{text}{more}}}"))
    }

    #[test]
    fn folders_of_the_first_versions_are_read() {
        let study = early("").unwrap();
        assert_eq!((study.name.as_str(), study.seeds.as_slice(), study.train.lr.to_string()), ("s", &[0, 1][..], "0.001".into()));
        let Some(OptimizerSpec::AdamW(adamw)) = study.train.optimizer() else { panic!("{:?}", study.train) };
        assert_eq!((adamw.betas[1].get(), adamw.weight_decay.get()), (0.99, 0.01));
        assert_eq!(study.arms().unwrap()[1].1.in_one_line(), "{regularizer: gone, weight: 0.1}", "no plugin is needed");
        assert!(study.vary.is_none() && study.tune.is_none() && study.question.is_none() && study.model.init.is_none());
    }

    #[test]
    fn a_bare_optimizer_has_its_defaults_and_none_is_none() {
        let optimizer = |written: &str| {
            let train = format!("{{batch_size: 4, lr: 0.001, grad_clip: 1.0, dropout: 0.0{written}}}");
            StudyRecord::parse(&format!("{{name: s, seeds: [0], arms: {{}}, train: {train}}}")).unwrap().train.optimizer()
        };
        assert_eq!(optimizer(", optimizer: adamw"), Some(OptimizerSpec::default()));
        assert_eq!([optimizer(""), optimizer(", optimizer: null")], [None, None]);
    }

    #[test]
    fn a_missing_field_is_named() {
        let refused = |text: &str| StudyRecord::parse(text).unwrap_err();
        assert_eq!(refused("{name: s, seeds: [0], arms: {}}"), "expected `train`, found none");
        let train = "{batch_size: 4, grad_clip: 1.0, dropout: 0.0}";
        assert_eq!(refused(&format!("{{name: s, seeds: [0], arms: {{}}, train: {train}}}")), "expected `train.lr`, found none");
        assert_eq!(refused("{name: s, seeds: [0, x]}"), "seeds[1]: invalid type: string \"x\", expected u64");
        assert!(refused("name: s\nname: t").starts_with("line 2: "));
        let error = early(", vary: 3").unwrap_err();
        assert!(error.starts_with("vary: "), "{error}");
    }

    #[test]
    fn what_varies_is_listed_with_its_values() {
        let study = early(", vary: {model.width: [16, 32], train.lr: [0.1]}").unwrap();
        let found: Vec<String> = assignments(study.vary.as_ref()).iter().map(|(path, value)| format!("{path}={value}")).collect();
        assert_eq!(found, ["model.width=16", "model.width=32", "train.lr=0.1"]);
        assert!(study.varies("train") && study.varies("train.lr") && !study.varies("train.l") && !study.varies("mod"));
        let points = early(", vary: [{model.width: 16, train.lr: 0.1}, {model.width: 32}]").unwrap();
        assert_eq!(assignments(points.vary.as_ref()).len(), 3);
    }
}
