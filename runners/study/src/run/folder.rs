//! What a run writes for the study as a whole.

use crate::options::Options;
use crate::plan::place;
use crate::prepare::Prepared;
use regatta_config::{Candidate, StudyFile, Variant};
use regatta_records::{Manifest, PlanRow, RecordError, disk, write_json, write_whole};
use std::path::Path;

/// Discards the trials that are there, where that is asked for, and records what the results are made with.
pub(super) fn begin(file: &StudyFile, manifest: &Manifest, options: &Options<'_>) -> Result<(), RecordError> {
    let out = options.out;
    let folder = out.join("trials");
    if options.fresh {
        disk::remove_folder(&folder).map_err(|error| RecordError::new(&folder, error))?;
    }
    write_whole(&out.join("study.yaml"), file.study.to_yaml().as_bytes())?;
    write_json(&out.join("manifest.json"), manifest)
}

/// A row for each variant: what is compared with what.
pub(super) fn rows(file: &StudyFile, prepared: &[Prepared], chosen: &[Option<Candidate>]) -> Result<Vec<PlanRow>, RecordError> {
    let row = |((variant, prepared), chosen): ((&Variant, &Prepared), &Option<Candidate>)| {
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
            parameters: prepared.model.parameters(),
            tokens: prepared.tokens(),
            steps: Some(prepared.steps.get()),
            chosen: *chosen,
        })
    };
    file.variants().iter().zip(prepared).zip(chosen).map(row).collect()
}
