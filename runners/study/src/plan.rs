//! Which trials a study is made of, and where each is kept.

use crate::fingerprints::Fingerprints;
use crate::identity::{Checkpoints, Identity, identity};
use crate::protocol::{Order, Request};
use crate::resolved::Resolved;
use crate::sources::sources;
use crate::supply::Supply;
use regatta_config::{Arm, Candidate, Study, StudyFile, Variant};
use regatta_core::Fingerprint;
use regatta_lm::Device;
use regatta_lm::spec::TrainSpec;
use regatta_lm::tasks::Tasks;
use regatta_records::{Holder, RecordError, State, Status, TrialFolder, holder_of};
use serde_json::Value;
use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

/// Which trial: a variant of the study, perhaps with settings that are tuned, and a seed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TrialKey {
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
    pub key: TrialKey,
    /// The arm and its point, for messages.
    pub name: String,
    pub folder: TrialFolder,
    pub identity: Identity,
    /// The identity of a finished trial in the folder that stands in for this one although other versions trained it.
    pub stand_in: Option<String>,
    /// What the arm's plugins compute, in their order.
    pub fingerprints: Vec<Option<Fingerprint>>,
    study: Arc<Study>,
    index: usize,
    /// How its arm is trained.
    train: TrainSpec,
    supply: Supply,
}

impl PlannedTrial {
    /// The trial that `key` names, on a device, of an arm whose plugins have these fingerprints.
    ///
    /// # Errors
    /// When a checkpoint to start from cannot be read.
    ///
    /// # Panics
    /// When the study has no such variant.
    pub fn new(
        file: &StudyFile,
        supplies: &[Supply],
        out: &Path,
        key: TrialKey,
        device: Device,
        fingerprints: Vec<Option<Fingerprint>>,
        checkpoints: &mut Checkpoints,
    ) -> Result<Self, RecordError> {
        let (variant, supply) = (&file.variants()[key.variant], supplies[key.variant].clone());
        let mut tasks = supply.tasks.clone();
        let study = match &key.candidate {
            Some(candidate) => {
                let mut study = variant.study.with(variant.index, candidate);
                if key.tuning {
                    // A candidate is chosen by its validation loss: nobody reads what else is measured, and no identity depends on
                    // it.
                    study.evaluate = study.evaluate.of_losses();
                    tasks = Arc::<Tasks>::default();
                }
                Arc::new(study)
            }
            None => variant.study.clone(),
        };
        let (mut place, mut name) = (place(variant), variant_name(variant));
        if let Some(candidate) = key.candidate.filter(|_| key.tuning) {
            place = format!("{place}/tune/{}", label(&candidate));
            name = format!("{name} tuning {}", label(&candidate));
        }
        let folder = TrialFolder::of(out, &place, key.seed);
        let arm = &study.arms[variant.index];
        let (index, train) = (variant.index, study.train_of(arm).in_steps(supply.steps));
        let resolved = Resolved { model: &study.model, train: &train, evaluate: &study.evaluate, arm, seed: key.seed };
        let identity = identity(resolved, device, &fingerprints, &supply.tokens, &tasks, checkpoints)?;
        Ok(Self { key, name, folder, identity, stand_in: None, fingerprints, study, index, train, supply })
    }

    /// All that its results depend on but its data.
    pub fn resolved(&self) -> Resolved<'_> {
        let Study { model, evaluate, .. } = &*self.study;
        Resolved { model, train: &self.train, evaluate, arm: self.arm(), seed: self.key.seed }
    }

    /// What a worker needs to run it for `holder`.
    pub fn request(&self, holder: &Holder) -> Request<'_, Resolved<'_>> {
        Request::Trial(Box::new(Order {
            name: self.name.clone(),
            folder: self.folder.path().as_os_str().to_owned(),
            holder: holder.clone(),
            identity: self.identity.hash.clone(),
            fingerprints: self.fingerprints.clone(),
            trial: self.resolved(),
            data: Cow::Borrowed(&self.supply.recipe),
        }))
    }

    /// Whether a status is that of this trial, or of one that stands in for it.
    pub fn is_meant_by(&self, status: &Status) -> bool {
        status.identity == self.identity.hash || self.stand_in.as_ref() == Some(&status.identity)
    }

    /// Whether a status says that this trial is over, and need not be trained.
    pub fn is_settled_by(&self, status: &Status) -> bool {
        status.state.is_settled() && self.is_meant_by(status)
    }

    /// Its status, where no runner of `session` needs to train it: it is settled, or it failed in that session and nobody holds it,
    /// to try it again.
    ///
    /// # Errors
    /// When its folder cannot be read.
    pub fn over(&self, session: &str) -> Result<Option<Status>, RecordError> {
        let is_held = holder_of(self.folder.path())?.is_some(); // first: its holder may end between the two
        let Some(status) = self.folder.status()?.filter(|status| self.is_meant_by(status)) else { return Ok(None) };
        let is_over = match status.state {
            State::Failed => status.session.as_deref() == Some(session) && !is_held,
            state => state.is_settled(),
        };
        Ok(is_over.then_some(status))
    }

    /// Which inputs differ from those of another trial, with the files whose contents changed.
    pub fn differences(&self, other: &Value) -> Vec<String> {
        self.identity.differences(other, &|input| sources(&self.study, self.arm(), input))
    }

    pub fn arm(&self) -> &Arm {
        &self.study.arms[self.index]
    }

    pub fn steps(&self) -> usize {
        self.supply.steps.get()
    }
}

/// The trials that `keys` name, on a device.
///
/// # Errors
/// When a checkpoint to start from cannot be read.
pub(crate) fn planned(
    file: &StudyFile,
    supplies: &[Supply],
    out: &Path,
    fingerprints: &Fingerprints,
    device: Device,
    keys: Vec<TrialKey>,
) -> Result<Vec<PlannedTrial>, RecordError> {
    let mut checkpoints = Checkpoints::default();
    let mut planned = |key: TrialKey| {
        let fingerprints = fingerprints.of(file.variants()[key.variant].arm())?;
        PlannedTrial::new(file, supplies, out, key, device, fingerprints, &mut checkpoints)
    };
    keys.into_iter().map(&mut planned).collect()
}

/// Where the trials of a variant are kept, below `trials/`.
pub(crate) fn place(variant: &Variant) -> String {
    match variant.label() {
        "" => variant.arm.clone(),
        label => format!("{}/{label}", variant.arm),
    }
}

/// A variant's name in messages.
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
pub(crate) fn tuning_keys(file: &StudyFile) -> Vec<TrialKey> {
    let mut keys = Vec::new();
    for (variant, Variant { study, index, .. }) in file.variants().iter().enumerate() {
        for (candidate, seeds) in file.study.tune.as_ref().map(|_| study.candidates(&study.arms[*index])).unwrap_or_default() {
            keys.extend(seeds.iter().map(|&seed| TrialKey { variant, candidate: Some(candidate), tuning: true, seed }));
        }
    }
    keys
}

/// The trials that are judged, seed by seed, so that a run cut short still has whole pairs. A variant is left out where tuning
/// found no candidate that can be trained.
pub(crate) fn judged_keys(file: &StudyFile, chosen: &[Option<Candidate>]) -> Vec<TrialKey> {
    let mut keys = Vec::new();
    for &seed in &file.study.seeds {
        for (variant, &candidate) in chosen.iter().enumerate() {
            if file.study.tune.is_none() || candidate.is_some() {
                keys.push(TrialKey { variant, candidate, tuning: false, seed });
            }
        }
    }
    keys
}

#[cfg(test)]
mod tests;
