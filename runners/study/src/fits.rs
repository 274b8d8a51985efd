//! Whether the trials of a study fit into the memory of a device.

use crate::prepare::Prepared;
use regatta_config::{Refusal, StudyFile};
use regatta_lm::Compute;
use regatta_lm::training::{Estimate, Fit, Needs, fit};

/// The trial that needs most of a device's memory.
#[derive(Debug, Clone)]
pub struct Neediest {
    /// The arm and its point.
    pub name: String,
    /// What it needs, with all activations kept.
    pub estimate: Estimate,
    /// What it does to fit.
    pub fit: Fit,
}

/// Estimates what each trial needs, where `jobs` of them share the device: that of the neediest, or nothing on the CPU by kernels.
///
/// # Errors
/// When one does not fit, with the numbers.
pub fn fits(file: &StudyFile, prepared: &[Prepared], compute: &Compute, jobs: usize) -> Result<Option<Neediest>, Refusal> {
    if matches!(compute, Compute::Kernels) {
        return Ok(None);
    }
    let mut neediest: Option<Neediest> = None;
    for (variant, prepared) in file.variants().iter().zip(prepared) {
        let train = variant.study.train_of(&variant.study.arms[variant.index]);
        let needs = Needs {
            on_cpu: compute.is_candle_on_cpu(),
            ..Needs::of(&prepared.model, &train, variant.terms(), variant.interventions())
        };
        let estimate = needs.estimate();
        let refused = |message| file.refuse_variant(variant, "train", message);
        let fit = fit(needs, compute, jobs).map_err(refused)?;
        if neediest.as_ref().is_none_or(|other| other.estimate.bytes() < estimate.bytes()) {
            neediest = Some(Neediest { name: variant.arm().name.clone(), estimate, fit });
        }
    }
    Ok(neediest)
}
