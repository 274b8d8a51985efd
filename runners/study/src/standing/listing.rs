//! The trials of a folder, read without the plugins that its arms name.

use regatta_config::yaml;
use regatta_records::{PlanRow, RecordError, TrialFolder, read_json, study_of_a_run};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::Path;

/// The trials that `study.yaml` and `plan.json` name.
#[derive(Debug)]
pub(crate) struct Listing {
    /// The study's name.
    pub name: String,
    /// Steps of a trial, where its point of the sweep sets nothing else.
    pub steps: usize,
    /// What its trials are trained on, where that is not the CPU's kernels.
    pub device: Option<String>,
    /// Whether weights or learning rates are tuned before arms are judged.
    pub is_tuned: bool,
    /// Folder below `trials/` and name of each arm, at each point of the sweep.
    pub variants: Vec<(String, String)>,
    seeds: Vec<u64>,
}

/// The part of `study.yaml` that names trials, read without the plugins that its arms name.
#[derive(Deserialize)]
struct Outline {
    name: String,
    seeds: Vec<u64>,
    train: Length,
    tune: Option<IgnoredAny>,
    arms: serde_json::Map<String, Value>,
}

/// The part of `manifest.json` that is shown.
#[derive(Default, Deserialize)]
struct MadeOn {
    device: Option<String>,
}

#[derive(Deserialize)]
struct Length {
    steps: Option<usize>,
}

/// One trial.
#[derive(Debug)]
pub(crate) struct Listed {
    /// The arm, its point of the sweep, and what is tuned.
    pub name: String,
    pub seed: u64,
    pub folder: TrialFolder,
    /// Its place among the variants.
    pub variant: usize,
    /// Whether it tries settings: such a trial is not judged.
    pub is_tuning: bool,
}

impl Listing {
    /// The listing of the study in `folder`.
    ///
    /// # Errors
    /// When it holds no study, or a plan that cannot be read.
    pub fn read(folder: &Path) -> Result<Self, RecordError> {
        let path = folder.join("study.yaml");
        let study = yaml::parse(&study_of_a_run(folder)?).map_err(|fault| RecordError::new(&path, fault.message))?;
        let study: Outline = serde_path_to_error::deserialize(study).map_err(|error| RecordError::new(&path, error))?;
        let plan: Option<Vec<PlanRow>> = read_json(&folder.join("plan.json"))?;
        let made_on: MadeOn = read_json(&folder.join("manifest.json"))?.unwrap_or_default();
        let of_plan = || plan.as_ref()?.first()?.steps; // where the study says how many tokens
        let steps = study.train.steps.or_else(of_plan).unwrap_or_default();
        let arms = || study.arms.keys().map(|arm| (arm.clone(), arm.clone()));
        let named = |row: PlanRow| (row.place.clone(), row.name());
        Ok(Self {
            steps,
            device: made_on.device,
            is_tuned: study.tune.is_some(),
            variants: plan.map_or_else(|| arms().collect(), |rows| rows.into_iter().map(named).collect()),
            name: study.name,
            seeds: study.seeds,
        })
    }

    /// Every tuning trial that was begun, and every trial that is planned, in the order in which they begin.
    ///
    /// # Errors
    /// When the folder of an arm's tuning trials cannot be listed.
    pub fn trials(&self, folder: &Path) -> Result<Vec<Listed>, RecordError> {
        let mut trials = Vec::new();
        for (variant, (place, name)) in self.variants.iter().enumerate() {
            for (candidate, seed) in tuned(&folder.join("trials").join(place).join("tune"))? {
                let folder = TrialFolder::of(folder, &format!("{place}/tune/{candidate}"), seed);
                trials.push(Listed { name: format!("{name} tuning {candidate}"), seed, folder, variant, is_tuning: true });
            }
        }
        for &seed in &self.seeds {
            for (variant, (place, name)) in self.variants.iter().enumerate() {
                let folder = TrialFolder::of(folder, place, seed);
                trials.push(Listed { name: name.clone(), seed, folder, variant, is_tuning: false });
            }
        }
        Ok(trials)
    }
}

/// Candidates and seeds of the tuning trials that were begun.
fn tuned(folder: &Path) -> Result<Vec<(String, u64)>, RecordError> {
    let mut found = Vec::new();
    for candidate in names(folder)? {
        let seeds = names(&folder.join(&candidate))?;
        let mut seeds: Vec<u64> = seeds.iter().filter_map(|name| name.strip_prefix("seed-")?.parse().ok()).collect();
        seeds.sort_unstable();
        found.extend(seeds.into_iter().map(|seed| (candidate.clone(), seed)));
    }
    Ok(found)
}

/// The names in a folder, sorted; none without a folder.
fn names(folder: &Path) -> Result<Vec<String>, RecordError> {
    let list = || std::fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<OsString>>>();
    let names = match list() {
        Err(error) if [ErrorKind::NotFound, ErrorKind::NotADirectory].contains(&error.kind()) => return Ok(Vec::new()),
        names => names.map_err(|error| RecordError::new(folder, error))?,
    };
    let mut names: Vec<String> = names.into_iter().filter_map(|name| name.into_string().ok()).collect();
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without its seeds a study had no trials, and its status was that of a study that is done.
    #[test]
    fn a_study_that_names_no_seeds_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("runners")).unwrap();
        std::fs::write(folder.path().join("runners/turn.1"), "").unwrap();
        let read = |text: &str| {
            std::fs::write(folder.path().join("study.yaml"), text).unwrap();
            Listing::read(folder.path()).map_err(|error| error.to_string())
        };
        let refused = |text: &str| read(text).unwrap_err().rsplit('/').next().unwrap_or_default().to_owned();
        assert_eq!(refused("name: a\ntrain: {steps: 3}\narms: {}\n"), "study.yaml: missing field `seeds`");
        assert!(refused("name: a\nseeds: [x]\ntrain: {steps: 3}\narms: {}\n").starts_with("study.yaml: seeds[0]: invalid type"));
        let listing = read("name: a\nseeds: [4]\ntrain: {tokens: 9}\narms: {b: []}\n").unwrap();
        assert_eq!((listing.steps, listing.is_tuned, listing.trials(folder.path()).unwrap().len()), (0, false, 1));
        assert!(read("name: a\nseeds: [4]\ntrain: {}\ntune: {lr: [1]}\narms: {b: []}\n").unwrap().is_tuned);
    }
}
