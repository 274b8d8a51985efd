//! What a run writes for the study as a whole.

use crate::plan::place;
use crate::supply::Supply;
use regatta_config::{Candidate, StudyFile, Variant};
use regatta_records::{Fence, Manifest, PlanRow, RecordError, disk};
use std::path::Path;

/// Records the study, and what its results are made with.
///
/// # Errors
/// When a file cannot be written, or another runner has the turn now.
pub(super) fn begin(out: &Path, study: &str, manifest: &Manifest, fence: &Fence) -> Result<(), RecordError> {
    fence.write_whole(&out.join("study.yaml"), study.as_bytes())?;
    fence.write_json(&out.join("manifest.json"), manifest)
}

/// Removes the folder of all trials. While a person was asked, another runner may have taken its turn.
pub(super) fn discard(trials: &Path, fence: &Fence) -> Result<(), RecordError> {
    let failed = |error| RecordError::new(trials, error);
    fence.check().map_err(failed)?;
    if !trials.exists() {
        return Ok(());
    }
    // A folder of that name belongs to nobody: whoever is frozen while it is removed removes nothing that the next runner trains.
    let discarded = trials.with_extension(format!("discarded-{}", fence.attempt()));
    disk::remove_folder(&discarded).and_then(|()| disk::move_folder(trials, &discarded)).map_err(failed)?;
    disk::remove_folder(&discarded).map_err(failed)
}

/// A row for each variant: what is compared with what.
pub(super) fn rows(file: &StudyFile, supplies: &[Supply], chosen: &[Option<Candidate>]) -> Result<Vec<PlanRow>, RecordError> {
    let row = |((variant, supply), chosen): ((&Variant, &Supply), &Option<Candidate>)| {
        let study = match chosen {
            Some(candidate) => variant.study.with(variant.index, candidate),
            None => variant.study.with(variant.index, &Candidate::default()),
        };
        let terms = serde_json::to_value(study.arms[variant.index].list());
        Ok(PlanRow {
            arm: variant.arm.clone(),
            point: variant.label().to_owned(),
            place: place(variant),
            baseline: place(file.baseline_of(variant)),
            terms: terms.map_err(|error| RecordError::new(Path::new("plan.json"), error))?,
            parameters: supply.parameters,
            tokens: supply.tokens_seen,
            steps: Some(supply.steps.get()),
            chosen: *chosen,
        })
    };
    file.variants().iter().zip(supplies).zip(chosen).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_records::{Others, Runner};

    /// A run that is suspended while it asks whether it may discard trials loses its turn after half a minute; the answer came
    /// later and the trials of the next runner were removed.
    #[test]
    fn a_runner_that_lost_its_turn_discards_and_writes_nothing() {
        let out = tempfile::tempdir().unwrap();
        let (trials, plan) = (out.path().join("trials"), out.path().join("plan.json"));
        std::fs::create_dir_all(trials.join("baseline")).unwrap();
        let runner = Runner::join(out.path(), None).unwrap();
        let turn = |runner: &Runner| runner.turn(&mut Others::of(out.path()), |_| false).unwrap().unwrap();
        let lost = turn(&runner);
        lost.fence().write_json(&plan, &1).unwrap();
        std::fs::remove_file(out.path().join(format!("runners/{}.json", runner.card().id))).unwrap(); // as if it were gone
        let next = turn(&Runner::join(out.path(), None).unwrap());
        for refused in [discard(&trials, lost.fence()), lost.fence().write_json(&plan, &2)] {
            assert!(refused.unwrap_err().to_string().contains("taken over by"));
        }
        assert!(trials.join("baseline").is_dir());
        assert_eq!(std::fs::read_to_string(&plan).unwrap(), "1\n");
        discard(&trials, next.fence()).unwrap();
        assert!(!trials.exists());
    }
}
