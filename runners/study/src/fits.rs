//! Whether the trials of a study fit into the memory of a device.

use crate::prepare::Prepared;
use regatta_config::{Refusal, StudyFile};
use regatta_lm::Compute;
use regatta_lm::training::{Estimate, Needs};

/// The trial that needs most of a device's memory.
#[derive(Debug, Clone)]
pub struct Neediest {
    /// The arm and its point.
    pub name: String,
    /// What it needs, with all activations kept.
    pub estimate: Estimate,
    /// Whether it fits only if the backward pass computes blocks again. Then all trials of the study do, so that their times
    /// compare.
    pub recompute: bool,
}

/// Estimates what each trial needs, where `jobs` of them train at once on the device, of which this much is `free`: that of the
/// neediest, or nothing on the CPU by kernels.
///
/// # Errors
/// When one does not fit into its part, with the numbers.
pub fn fits(
    file: &StudyFile,
    prepared: &[Prepared],
    compute: &Compute,
    free: Option<u128>,
    jobs: usize,
) -> Result<Option<Neediest>, Refusal> {
    if matches!(compute, Compute::Kernels) {
        return Ok(None);
    }
    let part = free.map(|free| free / jobs.max(1) as u128);
    let place = if jobs > 1 { format!("{} beside {} like it", compute.words(), jobs - 1) } else { compute.words() };
    let mut neediest: Option<Neediest> = None;
    for (variant, prepared) in file.variants().iter().zip(prepared) {
        let train = variant.study.train_of(&variant.study.arms[variant.index]);
        let needs = Needs {
            on_cpu: compute.is_candle_on_cpu(),
            ..Needs::of(&prepared.model, &train, variant.terms(), variant.interventions())
        };
        let estimate = needs.estimate();
        let recompute = part.is_some_and(|part| part < estimate.bytes());
        if let Some(part) = part.filter(|_| recompute) {
            let fewer = if jobs > 1 { "; fewer `--jobs` leave more for each" } else { "" };
            let refused = |message| file.refuse_variant(variant, "train", message + fewer);
            Needs { recompute, ..needs }.check(&place, part).map_err(refused)?;
        }
        if neediest.as_ref().is_none_or(|other| other.estimate.bytes() < estimate.bytes()) {
            neediest = Some(Neediest { name: variant.arm().name.clone(), estimate, recompute });
        }
    }
    Ok(neediest)
}
