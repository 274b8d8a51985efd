//! Which trials a folder is about, without the regularizers that a plan is made with.

use regatta_config::yaml;
use regatta_records::{PlanRow, RecordError, TrialFolder, read_json, study_of_a_run};
use serde_json::Value;
use std::path::Path;

/// What `study.yaml` and `plan.json` say.
#[derive(Debug)]
pub(crate) struct Listing {
    /// The study's name.
    pub name: String,
    /// Steps of a trial, where its point of the sweep says nothing else.
    pub steps: usize,
    /// Whether weights or learning rates are tuned before arms are judged.
    pub is_tuned: bool,
    /// Folder below `trials/` and name of each arm, at each point of the sweep.
    pub variants: Vec<(String, String)>,
    seeds: Vec<u64>,
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
    /// What the study in `folder` is made of.
    ///
    /// # Errors
    /// When it holds no study, or a plan that cannot be read.
    pub fn read(folder: &Path) -> Result<Self, RecordError> {
        let path = folder.join("study.yaml");
        let study = yaml::parse(&study_of_a_run(folder)?).map_err(|fault| RecordError::new(&path, fault.message))?;
        let plan: Option<Vec<PlanRow>> = read_json(&folder.join("plan.json"))?;
        let written = study["train"]["steps"].as_u64().and_then(|steps| usize::try_from(steps).ok());
        let of_plan = || plan.as_ref()?.first()?.steps; // where the study says how many tokens
        let steps = written.or_else(of_plan).unwrap_or_default();
        let arms = || study["arms"].as_object().into_iter().flatten().map(|(arm, _)| (arm.clone(), arm.clone()));
        let named = |row: PlanRow| (row.place, [row.arm, row.point].join(" ").trim_end().to_owned());
        Ok(Self {
            name: study["name"].as_str().unwrap_or_default().to_owned(),
            steps,
            is_tuned: study["tune"].is_object(),
            variants: plan.map_or_else(|| arms().collect(), |rows| rows.into_iter().map(named).collect()),
            seeds: study["seeds"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect(),
        })
    }

    /// Every tuning trial that was begun, and every trial that is planned, in the order in which they begin.
    pub fn trials(&self, folder: &Path) -> Vec<Listed> {
        let mut trials = Vec::new();
        for (variant, (place, name)) in self.variants.iter().enumerate() {
            for (candidate, seed) in tuned(&folder.join("trials").join(place).join("tune")) {
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
        trials
    }
}

/// Candidates and seeds of the tuning trials that were begun.
fn tuned(folder: &Path) -> Vec<(String, u64)> {
    let names = |folder: &Path| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    };
    let mut found = Vec::new();
    for candidate in names(folder) {
        let seeds = names(&folder.join(&candidate));
        let mut seeds: Vec<u64> = seeds.iter().filter_map(|name| name.strip_prefix("seed-")?.parse().ok()).collect();
        seeds.sort_unstable();
        found.extend(seeds.into_iter().map(|seed| (candidate.clone(), seed)));
    }
    found
}
