//! Which trials a study is made of, and where each is kept.

use crate::identity::{Identity, identity};
use crate::prepare::Prepared;
use regatta_config::{Arm, Candidate, Study, StudyFile, Variant};
use regatta_core::Fingerprint;
use regatta_lm::spec::TrainSpec;
use regatta_lm::tasks::Tasks;
use regatta_lm::training::Trial;
use regatta_records::{Fence, RecordError, Status, TrialFolder};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Which trial: a variant of the study, perhaps with settings that are tuned, and a seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Order {
    /// Its place among the variants.
    pub variant: usize,
    /// Settings that are tried, or that tuning chose.
    pub candidate: Option<Candidate>,
    /// Whether they are tried: such a trial is not judged.
    pub tuning: bool,
    pub seed: u64,
}

/// A trial of the plan.
pub(crate) struct PlannedTrial {
    pub order: Order,
    /// The arm and its point, as people name it.
    pub name: String,
    pub folder: TrialFolder,
    pub identity: Identity,
    /// The identity of a finished trial in the folder that stands in for this one though other versions trained it.
    pub stand_in: Option<String>,
    /// What the arm's plugins compute, in their order.
    pub fingerprints: Vec<Option<Fingerprint>>,
    study: Arc<Study>,
    index: usize,
    /// How its arm is trained.
    train: TrainSpec,
    prepared: Prepared,
}

impl PlannedTrial {
    /// The trial that `order` names, of an arm whose plugins have these fingerprints.
    ///
    /// # Errors
    /// When a checkpoint to start from cannot be read.
    ///
    /// # Panics
    /// When the study has no such variant.
    pub fn new(
        file: &StudyFile,
        prepared: &[Prepared],
        out: &Path,
        order: Order,
        fingerprints: Vec<Option<Fingerprint>>,
    ) -> Result<Self, RecordError> {
        let (variant, prepared) = (&file.variants()[order.variant], &prepared[order.variant]);
        let mut prepared = prepared.clone();
        let study = match &order.candidate {
            Some(candidate) => {
                let mut study = variant.study.with(variant.index, candidate);
                if order.tuning {
                    // A candidate is chosen by its validation loss: nobody reads what else is measured, and no identity depends on
                    // it.
                    study.evaluate = study.evaluate.of_losses();
                    prepared.tasks = Arc::default();
                }
                Arc::new(study)
            }
            None => variant.study.clone(),
        };
        let (mut place, mut name) = (place(variant), variant_name(variant));
        if let Some(candidate) = order.candidate.filter(|_| order.tuning) {
            place = format!("{place}/tune/{}", label(&candidate));
            name = format!("{name} tuning {}", label(&candidate));
        }
        let folder = TrialFolder::of(out, &place, order.seed);
        let arm = &study.arms[variant.index];
        let (index, train) = (variant.index, study.train_of(arm).in_steps(prepared.steps));
        let identity = identity(&study, arm, &train, &fingerprints, order.seed, &prepared.corpus, &prepared.tasks)?;
        Ok(Self { order, name, folder, identity, stand_in: None, fingerprints, study, index, train, prepared })
    }

    /// What the trainer needs of it.
    pub fn trial(&self) -> Trial<'_> {
        let Study { model, evaluate, .. } = &*self.study;
        let train = &self.train;
        let Arm { terms, interventions, .. } = self.arm();
        Trial { model, train, evaluate, terms, interventions, corpus: &self.prepared.corpus, seed: self.order.seed }
    }

    /// Whether a status is that of this trial, or of one that stands in for it.
    pub fn is_meant_by(&self, status: &Status) -> bool {
        status.identity == self.identity.hash || self.stand_in.as_ref() == Some(&status.identity)
    }

    /// What the trained model is scored on.
    pub fn tasks(&self) -> &Tasks {
        &self.prepared.tasks
    }

    pub fn arm(&self) -> &Arm {
        &self.study.arms[self.index]
    }

    pub fn steps(&self) -> usize {
        self.prepared.steps.get()
    }
}

/// Where the trials of a variant are kept, below `trials/`.
pub(crate) fn place(variant: &Variant) -> String {
    match variant.label() {
        "" => variant.arm.clone(),
        label => format!("{}/{label}", variant.arm),
    }
}

/// How people name a variant.
pub(crate) fn variant_name(variant: &Variant) -> String {
    match variant.label() {
        "" => variant.arm.clone(),
        label => format!("{} {label}", variant.arm),
    }
}

/// `weight=0.1,lr=0.001`
pub(crate) fn label(candidate: &Candidate) -> String {
    let weight = candidate.weight.map(|weight| format!("weight={weight}"));
    let lr = candidate.lr.map(|lr| format!("lr={lr}"));
    let parts: Vec<String> = weight.into_iter().chain(lr).collect();
    if parts.is_empty() { "as-written".into() } else { parts.join(",") }
}

/// The trials that tune each variant.
pub(crate) fn tuning_orders(file: &StudyFile) -> Vec<Order> {
    let mut orders = Vec::new();
    for (variant, Variant { study, index, .. }) in file.variants().iter().enumerate() {
        for (candidate, seeds) in file.study.tune.as_ref().map(|_| study.candidates(&study.arms[*index])).unwrap_or_default() {
            orders.extend(seeds.iter().map(|&seed| Order { variant, candidate: Some(candidate), tuning: true, seed }));
        }
    }
    orders
}

/// The trials that are judged, seed by seed, so that a run cut short still has whole pairs. A variant is left out where tuning
/// found no candidate that can be trained.
pub(crate) fn judged_orders(file: &StudyFile, chosen: &[Option<Candidate>]) -> Vec<Order> {
    let mut orders = Vec::new();
    for &seed in &file.study.seeds {
        for (variant, candidate) in chosen.iter().enumerate() {
            match (&file.study.tune, candidate) {
                (None, _) => orders.push(Order { variant, candidate: None, tuning: false, seed }),
                (Some(_), Some(candidate)) => {
                    orders.push(Order { variant, candidate: Some(*candidate), tuning: false, seed });
                }
                (Some(_), None) => {}
            }
        }
    }
    orders
}

/// Gives trials that are there under another arm's name (it was renamed) the folder that the plan has for them. All leave their
/// old places before the first takes its new one: two arms may have exchanged names.
///
/// # Errors
/// When a folder cannot be read or moved.
pub(crate) fn adopt(trials: &[PlannedTrial], out: &Path, fence: &Fence) -> Result<(), RecordError> {
    let there = by_identity(&out.join("trials"));
    let between = out.join("trials").join(".moving");
    let mut moved = Vec::new();
    for trial in trials {
        let place = trial.folder.path();
        let at_home = trial.folder.status()?.is_some_and(|status| trial.is_meant_by(&status));
        let Some(found) = there.get(&trial.identity.hash).filter(|_| !at_home) else { continue };
        let needed_there = trials.iter().any(|other| other.folder.path() == found && other.identity.hash == trial.identity.hash);
        if needed_there || moved.iter().any(|(stop, _): &(PathBuf, &Path)| stop.ends_with(&trial.identity.hash)) {
            continue;
        }
        tracing::info!("{} holds this very trial: it becomes {}", found.display(), place.display());
        let stop = between.join(&trial.identity.hash);
        if found != &stop {
            TrialFolder::at(found.clone()).guarded(fence).become_folder(&stop)?;
        }
        moved.push((stop, place));
    }
    for (stop, place) in &moved {
        TrialFolder::at(place.to_path_buf()).guarded(fence).remove()?; // a trial that failed; any other was refused or moved
        TrialFolder::at(stop.clone()).guarded(fence).become_folder(place)?;
    }
    if !moved.is_empty() {
        std::fs::remove_dir(&between).map_err(|error| RecordError::new(&between, error))?;
    }
    Ok(())
}

/// The folders below `folder` that hold a trial, by its identity.
pub(crate) fn by_identity(folder: &Path) -> BTreeMap<String, PathBuf> {
    there(folder).into_iter().map(|(folder, status)| (status.identity, folder)).collect()
}

/// How many trials below `folder` are finished, whatever study they are of.
pub(crate) fn settled(folder: &Path) -> usize {
    there(folder).iter().filter(|(_, status)| status.state.is_settled()).count()
}

/// The folders below `folder` that hold a trial, and how it stands.
fn there(folder: &Path) -> Vec<(PathBuf, Status)> {
    let mut there = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        match TrialFolder::at(folder.clone()).status().ok().flatten() {
            Some(status) => there.push((folder, status)),
            None => folders.extend(entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir())),
        }
    }
    there
}
